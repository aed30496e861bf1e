/* SPDX-License-Identifier: MIT
 *
 * memlock.h - whether a test may register memory with io_uring, which counts as locked memory (RLIMIT_MEMLOCK).
 */
#ifndef JDB_TEST_MEMLOCK_H
#define JDB_TEST_MEMLOCK_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The limit is one for all processes of a user, so tests that run at the same time share it. */
#define MEMLOCK_OF_TESTS ((uint64_t)256 << 20)
#define MEMLOCK_SKIPPED "skipped: needs CAP_IPC_LOCK or a limit of locked memory of 256 MiB (ulimit -l 262144)\n"

static inline bool memlock_allows(uint64_t bytes)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &head, data) == 0 &&
        (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0)
        return true;
    struct rlimit limit;
    return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes);
}

#endif
