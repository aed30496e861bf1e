/* SPDX-License-Identifier: MIT
 *
 * retry.h - a system call on a file that was interrupted or found the file busy is repeated, but not for ever. For the files
 * of this folder only.
 *
 * -EINTR is repeated at once, -EAGAIN after a pause that doubles from RETRY_PAUSE_MIN_NS to RETRY_PAUSE_MAX_NS. After
 * RETRY_MAX repetitions (for -EAGAIN 0.4 s) the error is returned: a file system that answers so for ever
 * must not hang its caller. Injected faults are repeated as real errors are. close(2) and syncs are never repeated.
 */
#ifndef JDB_OS_RETRY_H
#define JDB_OS_RETRY_H

#include "base/check.h"
#include "os/cancel.h"
#include "os/os.h"

#include <errno.h>

#define RETRY_MAX 32u
#define RETRY_PAUSE_MIN_NS UINT64_C(16384)
#define RETRY_PAUSE_MAX_NS UINT64_C(16777216)

struct os_retry {
    unsigned count; /* repetitions so far, at most RETRY_MAX */
    uint64_t pause_ns;
};

/* Whether the call that returned result (-errno or anything else) is to be made again; pauses first where that helps. */
static inline bool os_retry_again(struct os_retry *retry, int64_t result)
{
    JDB_ASSERT(retry->count <= RETRY_MAX);
    if (JDB_LIKELY(result != -EINTR && result != -EAGAIN) || retry->count == RETRY_MAX)
        return false;
    retry->count++;
    if (result == -EAGAIN) {
        uint32_t word = 0; /* on this stack, so nobody wakes it: the sleep ends at its deadline */
        jdb__os_sleep(&word, 0, jdb__os_clock_ns() + retry->pause_ns);
        if (retry->pause_ns < RETRY_PAUSE_MAX_NS)
            retry->pause_ns *= 2;
    }
    return true;
}

/* result = call, repeated as above and never cancelled; call is an expression that returns -errno on failure. */
#define OS_RETRY(result, call)                                                         \
    do {                                                                               \
        struct os_retry os_retry_state = {.count = 0, .pause_ns = RETRY_PAUSE_MIN_NS}; \
        do {                                                                           \
            OS_UNCANCELLED(result, call);                                              \
        } while (os_retry_again(&os_retry_state, (result)));                           \
    } while (0)

#endif
