/* SPDX-License-Identifier: MIT
 *
 * explain.c - what an error of the kernel means, and what to change: one table for each question, since one errno means
 * different things when a ring is made, when memory is registered, and when an operation completes.
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
     .reason =
         "registration: the kernel knows no sparse tables of fixed buffers, or the slot is outside the caller's table",
     .remedy = "Linux 5.19 or newer, or check first_slot and slot_count; for an operation see jdb_uring_explain_op()"},
    {.err = -EAGAIN,
     .reason = "not tried since the memory was given back",
     .remedy = "jdb_uring_refresh() registers it"},
    {.err = -ENXIO,
     .reason = "the ring has no table of fixed buffers",
     .remedy = "register one before lending a part of it"},
    {.err = -EEXIST, .reason = "the range touches one that was added before", .remedy = "remove the other range"},
    {.err = -EPERM,
     .reason =
         "the ring is of another thread (IORING_SETUP_SINGLE_ISSUER) or of the parent of this child, or the system "
         "forbids registering on it",
     .remedy = "register on the thread that made the ring; see seccomp filters and io_uring restrictions"},
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
     .reason = "no memory for the ring, or over RLIMIT_MEMLOCK, which counts before Linux 5.12 and in new ones (6.18)",
     .remedy = "ask for fewer entries, or raise the limit: ulimit -l"},
    {.err = -EMFILE, .reason = "too many open files in this process", .remedy = "raise ulimit -n"},
    {.err = -ENFILE, .reason = "too many open files in the system", .remedy = "raise fs.file-max"},
    {.err = -EEXIST,
     .reason = "submitted by another thread than the ring's (IORING_SETUP_SINGLE_ISSUER)",
     .remedy = "submit on the thread that made the ring, or enabled it"},
    {.err = -EINVAL,
     .reason = "this kernel does not know the flags, or the number of entries is out of range",
     .remedy = "make the ring with fewer flags"},
};

/* Source: preadv2(2), pwritev2(2), fsync(2), io_uring_enter(2). */
static const jdb_uring_reason op_reasons[] = {
    {.err = 0, .reason = "complete", .remedy = "nothing to do"},
    {.err = -EINVAL,
     .reason =
         "the address, the offset or the length is not aligned as the file requires for direct I/O; or the file does "
         "not know this kind of I/O or a flag",
     .remedy = "jdb_direct_check_read() and jdb_direct_check_write() say which; or open without O_DIRECT"},
    {.err = -EIO,
     .reason = "the device failed, a write made no progress, or an append came out short",
     .remedy = "done_size bytes were moved; after a failed sync write everything again"},
    {.err = -ECANCELED,
     .reason =
         "cancelled: by jdb_uring_cancel(), by jdb_uring_drain(), or because the SQE that it was linked to failed",
     .remedy = "done_size bytes were moved; start it again for the rest"},
    {.err = -EAGAIN,
     .reason = "the file would have to wait, and RWF_NOWAIT or O_NONBLOCK forbids it",
     .remedy = "start it again later, or without the flag"},
    {.err = -EINTR, .reason = "interrupted, each time that it was tried again", .remedy = "start it again"},
    {.err = -EFAULT,
     .reason = "the memory is not mapped as it has to be, or its fixed buffer was removed before the SQE was submitted",
     .remedy = "submit what is prepared before jdb_uring_remove()"},
    {.err = -EBADF,
     .reason = "fd is not open in this direction, or with IOSQE_FIXED_FILE no registered file has this index",
     .remedy = "open it for reading or writing, or register it"},
    {.err = -EOPNOTSUPP,
     .reason = "the file or the kernel does not know a flag of rw_flags",
     .remedy = "start it without RWF_ATOMIC, RWF_DONTCACHE and their kin"},
    {.err = -ENOSPC, .reason = "the file system is full", .remedy = "free space; done_size bytes were written"},
    {.err = -EDQUOT, .reason = "the quota of the user is used up", .remedy = "free space or raise the quota"},
    {.err = -EFBIG,
     .reason = "the file would be larger than RLIMIT_FSIZE or than the file system allows",
     .remedy = "raise ulimit -f, or split the data into several files"},
    {.err = -ENOMEM,
     .reason = "the kernel has no memory for the request",
     .remedy = "start fewer or smaller operations at once"},
    {.err = -EPERM,
     .reason = "the file is sealed or immutable, or the ring is restricted",
     .remedy = "see fcntl(2) F_GET_SEALS, lsattr(1), and the restrictions of the ring"},
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

jdb_uring_reason jdb_uring_explain_op(int err)
{
    return find_reason(op_reasons, sizeof op_reasons / sizeof op_reasons[0], err);
}
