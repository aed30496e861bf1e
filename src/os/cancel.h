/* SPDX-License-Identifier: MIT
 *
 * cancel.h - no call of the library is a cancellation point (pthreads(7)). For the files of this folder only.
 *
 * A thread that is cancelled never returns to its caller: the span of a write, the gate of syncs and the jobs of other
 * threads on its stack would stay behind. So what may be a cancellation point is called with cancellation put off. A
 * request to cancel acts at the next cancellation point of the program.
 */
#ifndef JDB_OS_CANCEL_H
#define JDB_OS_CANCEL_H

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* Returns the state for os_cancel_restore(). */
static inline int os_cancel_put_off(void)
{
    int before = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void os_cancel_restore(int before)
{
    int ignored = 0;
    (void)pthread_setcancelstate(before, &ignored);
}

/* result = call; call is an expression. */
#define OS_UNCANCELLED(result, call)                      \
    do {                                                  \
        const int os_cancel_before = os_cancel_put_off(); \
        (result) = (call);                                \
        os_cancel_restore(os_cancel_before);              \
    } while (0)

/* The descriptor is gone whatever close returns: close(2), Linux. */
static inline int os_close_uncancelled(int fd)
{
    int err = 0;
    OS_UNCANCELLED(err, close(fd) == 0 ? 0 : -errno);
    return err;
}

#endif
