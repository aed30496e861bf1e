/* SPDX-License-Identifier: MIT
 *
 * explain.c - what an error of the kernel means, and what to change: one table for each question, since one errno means
 * different things when a ring is made and when memory is registered.
 */
#include "uring/state.h"

#include <string.h>

static const jdb_uring_reason registration_reasons[] = {
    {.err = 0, .reason = "registered", .remedy = "nothing to do"},
    {.err = -ENOMEM,
     .reason = "over RLIMIT_MEMLOCK of this user (all its processes and rings count together), or no memory",
     .remedy = "raise it: ulimit -l, LimitMEMLOCK= of systemd, or give the program CAP_IPC_LOCK"},
    {.err = -ENOSPC, .reason = "every slot of this uring object is taken", .remedy = "raise slot_count or region_size"},
    {.err = -EBUSY,
     .reason = "the ring has a table of fixed buffers already, or the frames are being decommitted",
     .remedy = "lend a part of the table (uses_caller_table, first_slot), or jdb_uring_refresh() later"},
    {.err = -EFAULT,
     .reason = "a page cannot be written, is not mapped, or belongs to a file",
     .remedy = "register memory that is readable and writable, private or of a memfd"},
    {.err = -EOPNOTSUPP,
     .reason = "this kind of memory cannot be registered (a mapping of a file)",
     .remedy = "use anonymous memory or a memfd"},
    {.err = -EINVAL,
     .reason = "the kernel knows no sparse tables of fixed buffers, or the slot is outside the caller's table",
     .remedy = "Linux 5.19 or newer, or check first_slot and slot_count"},
    {.err = -EAGAIN,
     .reason = "not tried since the memory was given back",
     .remedy = "jdb_uring_refresh() registers it"},
    {.err = -ENXIO,
     .reason = "the ring has no table of fixed buffers",
     .remedy = "register one before lending a part of it"},
    {.err = -EPERM,
     .reason = "the system forbids registering on this ring",
     .remedy = "see seccomp filters and io_uring restrictions"},
};

static const jdb_uring_reason ring_reasons[] = {
    {.err = 0, .reason = "the ring was made", .remedy = "nothing to do"},
    {.err = -EPERM,
     .reason = "io_uring is forbidden here: sysctl kernel.io_uring_disabled, or a seccomp filter (containers)",
     .remedy = "set kernel.io_uring_disabled to 0 or join kernel.io_uring_group; allow io_uring_setup in the seccomp "
               "profile"},
    {.err = -ENOSYS,
     .reason = "io_uring is absent: an old kernel, one built without it, or a seccomp filter that says so",
     .remedy = "Linux 5.6 or newer with CONFIG_IO_URING; allow io_uring_setup in the seccomp profile"},
    {.err = -EOPNOTSUPP,
     .reason = "io_uring is refused by the sandbox or the emulated kernel",
     .remedy = "run outside it, or do without a ring"},
    {.err = -ENOMEM,
     .reason = "no memory for the ring, or over RLIMIT_MEMLOCK (Linux before 5.12)",
     .remedy = "ask for fewer entries, or raise the limit: ulimit -l"},
    {.err = -EMFILE, .reason = "too many open files in this process", .remedy = "raise ulimit -n"},
    {.err = -ENFILE, .reason = "too many open files in the system", .remedy = "raise fs.file-max"},
    {.err = -EINVAL,
     .reason = "this kernel does not know the flags, or the number of entries is out of range",
     .remedy = "make the ring with fewer flags"},
};

static jdb_uring_reason find_reason(const jdb_uring_reason *table, size_t count, int err)
{
    const int number = err > 0 ? -err : err;
    for (size_t i = 0; i < count; i++)
        if (table[i].err == number)
            return table[i];
    return (jdb_uring_reason){.err = number, .reason = strerror(-number), .remedy = "none known: do without"};
}

jdb_uring_reason jdb_uring_explain(int err)
{
    return find_reason(registration_reasons, sizeof registration_reasons / sizeof registration_reasons[0], err);
}

jdb_uring_reason jdb_uring_explain_ring(int err)
{
    return find_reason(ring_reasons, sizeof ring_reasons / sizeof ring_reasons[0], err);
}
