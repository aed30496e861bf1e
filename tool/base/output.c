/* SPDX-License-Identifier: MIT
 *
 * output.c - see output.h.
 */
#include "base/output.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A descriptor that somebody else made non-blocking (O_NONBLOCK belongs to the open file, not to us) is waited for. */
static void wait_for_room(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    (void)poll(&output, 1, -1);
}

int output_write(struct outcome *outcome, const void *ptr, size_t size)
{
    const uint8_t *const bytes = ptr;
    for (size_t done = 0; done < size;) {
        const ssize_t put = write(STDOUT_FILENO, bytes + done, size - done);
        if (put >= 0)
            done += (size_t)put;
        else if (errno == EAGAIN)
            wait_for_room();
        else if (errno != EINTR)
            return outcome_fail(outcome, DIO_EXIT_FAILED, errno, "cannot write to standard output: %s",
                                strerror(errno));
    }
    return 0;
}

int output_flush(const char *command, int exit_code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return exit_code;
    (void)fprintf(stderr, "dio %s: cannot print the result on standard output: %s\n", command, strerror(errno));
    return exit_code != 0 ? exit_code : DIO_EXIT_FAILED;
}
