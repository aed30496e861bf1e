/* SPDX-License-Identifier: MIT
 *
 * without_uring.c - runs a command as a container runs it that forbids io_uring: a seccomp filter refuses its system
 * calls, with EPERM or with the number given.
 *
 *     without_uring [-e ERRNO] COMMAND [ARGUMENT...]
 */
#include <seccomp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refuse(uint32_t error)
{
    static const int calls[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)};
    const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL)
        return -ENOMEM;
    int err = 0;
    for (size_t i = 0; err == 0 && i < sizeof calls / sizeof calls[0]; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), calls[i], 0);
    if (err == 0)
        err = seccomp_load(filter);
    seccomp_release(filter);
    return err;
}

int main(int argc, char **argv)
{
    int first = 1;
    uint32_t error = EPERM;
    if (argc > 3 && strcmp(argv[1], "-e") == 0) {
        error = (uint32_t)strtoul(argv[2], NULL, 10);
        first = 3;
    }
    if (first >= argc) {
        (void)fprintf(stderr, "usage: without_uring [-e ERRNO] COMMAND [ARGUMENT...]\n");
        return 2;
    }
    const int err = refuse(error);
    if (err != 0) {
        (void)fprintf(stderr, "without_uring: the filter is refused: %s\n", strerror(-err));
        return 77;
    }
    (void)execvp(argv[first], argv + first);
    (void)fprintf(stderr, "without_uring: %s: %s\n", argv[first], strerror(errno));
    return 127;
}
