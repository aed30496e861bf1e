/* SPDX-License-Identifier: MIT
 *
 * lease.c - see lease.h.
 */
#include "base/lease.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#define BREAK_SECONDS_DEFAULT 45 /* of the kernel: lease-break-time in proc(5) */
#define TRY_AGAIN_NS 50000000L

/* The first try asks the holder to end the lease. When the time is over the kernel ends it, and the last try succeeds. */
int lease_open(const char *path, int flags)
{
    const struct timespec delay = {.tv_nsec = TRY_AGAIN_NS};
    const double started = seconds_now();
    int64_t seconds = -1;
    for (;;) {
        const int fd = open(path, flags | O_NONBLOCK);
        if (fd >= 0 || errno != EWOULDBLOCK || interrupt_signal() != 0)
            return fd;
        if (seconds < 0)
            seconds = text_file_number("/proc/sys/fs/lease-break-time", BREAK_SECONDS_DEFAULT);
        errno = EWOULDBLOCK;
        if (seconds_now() - started > (double)seconds + 1)
            return -1;
        (void)nanosleep(&delay, NULL);
    }
}
