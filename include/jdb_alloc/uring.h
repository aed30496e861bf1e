/* SPDX-License-Identifier: MIT
 *
 * uring.h - memory registered with io_uring as fixed buffers, and operations that pin the memory that the kernel uses.
 * Library libjdb_uring (pkg-config jdb_uring); the ring stays the caller's, made with liburing.
 *
 * Example: read a page of a file opened with O_DIRECT.
 *
 *     jdb_uring *uring;
 *     jdb_uring_open(&ring, NULL, &uring);                  // an empty table of fixed buffers on the caller's ring
 *     jdb_uring_add(uring, buf.ptr, buf.cap, NULL);         // may fail: then the same reads go plain
 *
 *     jdb_uring_op op = JDB_URING_OP_INIT;
 *     struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
 *     jdb_uring_prep_read(uring, &op, sqe, fd, jdb_buf_as_raw(&buf), offset);    // pins; READ_FIXED where registered
 *     io_uring_sqe_set_data(sqe, &op);                      // user_data is the caller's
 *     io_uring_submit_and_wait(&ring, 1);
 *     ...
 *     int err = jdb_uring_complete(&op, cqe->res);          // unpins; op.view.len is what was read
 *     if (err == JDB_URING_RESUME)                          // a short result: get an SQE, prep the same op again
 *     ...
 *     jdb_uring_close(uring);                               // nothing in flight, and before io_uring_queue_exit()
 *
 * The uring object is named once, when an operation is started. Registration is an optimisation and may fail
 * (RLIMIT_MEMLOCK above all): nothing else fails with it. The opcode is chosen for each view in O(1), from any part of
 * a registered range, and jdb_uring_get_stats() shows a silent fallback.
 *
 * Invariants:
 *   - a range is registered in regions that start every region_size bytes and overlap by overlap_size, so that any view
 *     of at most overlap_size bytes lies in the region (address - base) / region_size
 *   - memory of this library that is registered is held: decommit, shrink and growth by moving return -EBUSY, and a
 *     dropped buffer is freed by jdb_uring_remove(). MADV_DONTNEED or mremap on foreign registered memory corrupts data
 *     in silence: the kernel keeps accessing the old physical pages
 *   - from jdb_uring_prep_read() or its kin to the completion (or jdb_uring_release()) the memory is pinned (pin.h);
 *     memory that is not this library's is not guarded
 *   - an operation is in flight from when an SQE was filled for it to jdb_uring_complete(), and only its completion ends
 *     it: no cancel does, and neither does the exit of the ring
 *   - a frame that is being written from must not change until the completion
 *
 * Life cycle of the object: jdb_uring_open() on a ring, then jdb_uring_drain(), jdb_uring_close() and
 * io_uring_queue_exit() in this order; jdb_uring_abandon() when the ring went first. jdb_uring_add() and
 * jdb_uring_remove() at any time between, while operations run.
 * Life cycle of an operation: jdb_uring_prep_read() and its kin start it and fill an SQE, complete takes the CQE's result;
 * then it may be started again. It is caller-owned, must not move while started, and is never allocated here. The object that it
 * was started with must stay until it ends; afterwards jdb_uring_release() and jdb_uring_run() alone may be called with
 * it.
 *
 * Why the order: io_uring_queue_exit() does not wait for what is in flight. The kernel takes a ring down in a worker
 * thread, and a read that the device has already goes on writing into its memory for as long as the device takes;
 * nothing reports its end once the ring is gone. Source: io_ring_exit_work() in io_uring/io_uring.c.
 *
 * Thread safety: an object and its operations are used by one thread at a time, as the ring is. Different objects may
 * be used by different threads at once, on the same memory too. A ring made with IORING_SETUP_SINGLE_ISSUER is one
 * thread's, which made it or enabled it: on any other the calls that register, unregister or drain, and jdb_uring_open()
 * and jdb_uring_close(), return -EPERM and change nothing. What is prepared there is not looked at, but the kernel
 * refuses its submission (-EEXIST of io_uring_submit(3)): it stays in flight, for the ring's thread to submit.
 *
 * fork(): the ring and its table stay the parent's. In the child jdb_uring_close() frees the child's copy of the
 * object, whatever was in flight, and makes no call to the kernel; operations go plain; calls that register,
 * unregister, cancel or drain return -EPERM. The child's copies of operations in flight are of no use there:
 * jdb_uring_release() ends them, before jdb_uring_close() and after it, and after that they are not completed. The child
 * calls jdb_uring_open() for a ring of its own.
 */
#ifndef JDB_ALLOC_URING_H
#define JDB_ALLOC_URING_H

#include "base.h"
#include "raw.h"
#include "arena.h"
#include "file.h"
#include "stream.h"

#ifdef __cplusplus
extern "C" {
#endif

struct io_uring;
struct io_uring_sqe;
struct io_uring_cqe;
struct iovec;

typedef struct jdb_uring jdb_uring;

/* Limits of the kernel for one ring: io_uring_register(2) and io_uring/rsrc.c. */
#define JDB_URING_SLOTS_MAX ((uint32_t)16384)
#define JDB_URING_BUFFER_MAX ((uint64_t)1 << 30)
#define JDB_URING_REGION_MIN ((uint64_t)2 << 20)
#define JDB_URING_REGION_MAX ((uint64_t)512 << 20)

/* Private: a struct that carries its size, with that set and every other field 0. */
#ifdef __cplusplus
#define JDB__URING_INIT(type)                            \
    ([] {                                                \
        type init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(type)); \
        return init;                                     \
    }())
#else
#define JDB__URING_INIT(type) ((type){.size = sizeof(type)})
#endif

/* ---- Open and close --------------------------------------------------------------------------------------- */

typedef struct jdb_uring_options {
    uint32_t size;              /* bytes of this struct, as the caller knows it */
    uint32_t slot_count;        /* slots this object may fill; 0 = 1,024; at most 16,384 */
    uint32_t first_slot;        /* first of them; only with uses_caller_table */
    uint32_t uses_caller_table; /* 1: the caller registered a table and lends [first_slot, first_slot + slot_count) */
    uint64_t region_size;       /* bytes, a power of two from 2 MiB to 512 MiB; 0 = 512 MiB */
    uint64_t reserved[5];
} jdb_uring_options;

#define JDB_URING_OPTIONS_INIT JDB__URING_INIT(jdb_uring_options)

/* jdb_uring_open - a uring object on the caller's ring, with an empty sparse table of fixed buffers.
 *
 * ring: initialised; must stay where it is until jdb_uring_close(). options: NULL = JDB_URING_OPTIONS_INIT.
 * A table that the kernel refuses is no error: the object works, every operation goes plain, and jdb_uring_get_stats()
 * gives the error (table_error), jdb_uring_explain() its reason.
 * Returns 0, and the caller owns *ret_uring (jdb_uring_close()); -EINVAL: NULL, an option out of range, or size too
 * small; -E2BIG: an option of a newer version; -EPERM: the ring is another thread's; -ENOMEM. *ret_uring is untouched on failure. Any
 * thread else. Since 0.1.
 * Source: sparse tables since Linux 5.19, io_uring_register_buffers_sparse(3). */
JDB_API int jdb_uring_open(struct io_uring *ring, const jdb_uring_options *options, jdb_uring **ret_uring);

/* jdb_uring_clone - a uring object on another ring over the same ranges, with the same options.
 *
 * The table is shared where the kernel can: that costs no locked memory and no time. Elsewhere, or where the table is a
 * caller's, every range is registered again; jdb_uring_get_stats() says which (is_cloned). A release_tag does not pass
 * to a clone, nor does a buffer that was dropped meanwhile. The two objects are independent then: what one adds or
 * removes the other does not see.
 * from: used by no other thread during the call. Returns as jdb_uring_open(); -EPERM: child of fork(). Since 0.1.
 * Source: IORING_REGISTER_CLONE_BUFFERS of io_uring_register(2), since Linux 6.12. */
JDB_API int jdb_uring_clone(const jdb_uring *from, struct io_uring *ring, jdb_uring **ret_uring);

/* jdb_uring_close - unregister every range, unpin its memory, free the object. Call it before io_uring_queue_exit():
 * the kernel gives locked memory back at once then, and up to some milliseconds late after the exit of a ring.
 *
 * Returns 0, also for NULL and in a child of fork(); -EBUSY: operations are in flight (jdb_uring_in_flight() has their
 * number) and nothing is closed: jdb_uring_drain() first; -EPERM: the ring is another thread's. Since 0.1; it returns a
 * result since 0.2. */
JDB_API int jdb_uring_close(jdb_uring *uring);

/* jdb_uring_abandon - free the object of a ring that is gone already (exited, or its descriptor closed): no call to the
 * kernel is made.
 *
 * What was in flight on that ring may still be written to by the kernel, at any time from now on, and no completion
 * will report its end. So the memory of such an operation stays pinned for the life of the process: its frame cannot be
 * put, its buffer, once dropped, is never freed. That is a leak, and the only safe outcome; jdb_uring_drain() before
 * the ring's exit avoids it. A caller who knows by other means that the kernel is done with an operation (the pipe or
 * socket it read from is closed, the device is gone) passes -ECANCELED to jdb_uring_complete(). Memory that is not this
 * library's is not pinned: the caller must keep it.
 *
 * Returns how many operations were in flight; 0 for NULL. The operations must stay readable until they complete or for
 * good. Since 0.1; it returns the number since 0.2. */
JDB_API uint64_t jdb_uring_abandon(jdb_uring *uring);

/* ---- Register memory -------------------------------------------------------------------------------------- */

typedef struct jdb_uring_range_options {
    uint32_t size;         /* bytes of this struct, as the caller knows it */
    uint32_t is_atomic;    /* 1: all regions or none; the first error is returned. 0: as many as can be */
    uint64_t overlap_size; /* bytes: views up to this size are always fixed; 0 = 1 MiB (an arena: its stride) */
    uint64_t release_tag;  /* not 0: user_data of one completion when the ring is done with the removed range */
    uint64_t reserved[5];
} jdb_uring_range_options;

#define JDB_URING_RANGE_OPTIONS_INIT JDB__URING_INIT(jdb_uring_range_options)

/* jdb_uring_add - register [ptr, ptr + size) as fixed buffers.
 *
 * ptr: a multiple of 4096: a jdb_buf, or memory of the caller that stays mapped until jdb_uring_remove(). An arena is
 * added by jdb_uring_add_arena(): added here all its frames are pinned, and none can be put. size: bytes. Registering
 * makes every page resident and locks it. options: NULL = JDB_URING_RANGE_OPTIONS_INIT.
 * release_tag: after jdb_uring_remove() or jdb_uring_close(), when every fixed operation of this object on the range is
 * complete, one completion with this user_data and res 0 arrives; none arrives before, whatever jdb_uring_refresh() and
 * jdb_uring_decommit() register anew, and none for an add that failed. It is one of this ring: a clone's ring has the
 * range until it is removed there.
 * The tag takes a slot and one locked page. Where that is refused no completion will come, which jdb_uring_get_range()
 * reports (is_tagged), and jdb_uring_refresh() tries again; with is_atomic the add fails.
 * A region that the kernel refuses is no error (unless is_atomic): its views go plain, jdb_uring_get_region() says why.
 * Returns 0: the range is known, whatever could be registered; -EINVAL: NULL, not a multiple of 4096, an option out of
 * range, size of the options too small, or memory of this library that is not lent; -ERANGE: leaves its buffer;
 * -EEXIST: touches a range that was added before; -ENOTSUP: past 48 bits of addresses; -EBUSY, -EPERM as jdb_pin();
 * -E2BIG; -ENOMEM; with is_atomic the kernel's error, and nothing is registered. Since 0.1. */
JDB_API int jdb_uring_add(jdb_uring *uring, const void *ptr, size_t size, const jdb_uring_range_options *options);

/* jdb_uring_remove - unregister the range that was added at ptr, and unpin its memory. Operations in flight on it are
 * safe: the kernel keeps the pages until they complete. Prepared ones that were not submitted yet fail with -EFAULT:
 * submit first.
 * Returns 0; -EINVAL: no range was added at ptr; -EPERM: child of fork(). Since 0.1. */
JDB_API int jdb_uring_remove(jdb_uring *uring, const void *ptr);

/* jdb_uring_add_arena - register the usable frames of an arena; a frame's stride is the overlap unless a larger one is
 * asked for, so every frame is fixed. Until the range is removed registered frames can be got and put, are decommitted
 * by jdb_uring_decommit() only, and jdb_arena_free() returns -EBUSY.
 * Returns as jdb_uring_add(); -EPERM: child of fork(). Since 0.1. */
JDB_API int jdb_uring_add_arena(jdb_uring *uring, jdb_arena *arena, const jdb_uring_range_options *options);

/* jdb_uring_refresh - try again what is not registered of the range added at ptr: after a limit was raised, after an
 * arena has grown (its new frames are registered too), after jdb_uring_decommit().
 * Returns 0: jdb_uring_get_range() says what was obtained; -EINVAL: no range was added at ptr; -EPERM: child of fork().
 * Since 0.1. */
JDB_API int jdb_uring_refresh(jdb_uring *uring, const void *ptr);

/* jdb_uring_decommit - unregister the regions that hold count frames from `first` on, give the frames' memory back
 * (jdb_arena_decommit()), and register the regions again.
 *
 * registers_again: false leaves the regions unregistered, their views go plain until jdb_uring_refresh(): registering
 * makes every page resident, so memory stays away only as long as it is not registered.
 * ret_bytes: bytes given back; may be NULL. Frames that came by growth: after jdb_uring_refresh(), else -ERANGE.
 * Returns 0; -EBUSY: a frame is pinned, or another uring object holds it; -EINVAL: the arena was not added, count 0;
 * -EPERM: child of fork(); else as jdb_arena_decommit(). On failure nothing is given back and the regions are
 * registered as before. Since 0.1. */
JDB_API int jdb_uring_decommit(jdb_uring *uring, jdb_arena *arena, uint32_t first, uint32_t count, bool registers_again,
                               uint64_t *ret_bytes);

/* One error of the kernel in words. Strings are static. */
typedef struct jdb_uring_reason {
    const char *reason; /* what it means here */
    const char *remedy; /* what to change */
    int32_t err;        /* negative errno */
    uint32_t reserved;
} jdb_uring_reason;

/* What an error means, and what to change: one errno means different things at different calls. Any thread. err:
 * negative or positive.
 *   jdb_uring_explain       an error of registration: table_error, first_error, why.err, what jdb_uring_add() returned
 *                           with is_atomic. Since 0.1.
 *   jdb_uring_explain_ring  the result of io_uring_queue_init() and its kin: any error there means "use another way"
 *                           (jdb_uring_run(), file.h), never one of a list. -EEXIST of io_uring_submit() is in its table too. Since 0.1. */
JDB_API jdb_uring_reason jdb_uring_explain(int err);
JDB_API jdb_uring_reason jdb_uring_explain_ring(int err);

/* jdb_uring_explain_op - the same of what jdb_uring_complete() or jdb_uring_run() returned: -EINVAL of a read that is
 * not aligned, -EIO of a write that makes no progress. Since 0.2. */
JDB_API jdb_uring_reason jdb_uring_explain_op(int err);

/* A range: what was asked and what was obtained. */
typedef struct jdb_uring_range {
    uint32_t size; /* bytes of this struct, as the caller knows it */
    uint32_t region_count;
    uint32_t registered_count; /* regions */
    int32_t first_error;       /* of the first region that is not registered; 0 = all are */
    uint64_t range_bytes;
    uint64_t registered_bytes; /* bytes of the range that lie in a registered region, each counted once */
    uint64_t region_size;
    uint64_t overlap_size;
    uint32_t is_tagged; /* 1: its removal will be reported by release_tag */
    uint32_t reserved[7];
} jdb_uring_range;

#define JDB_URING_RANGE_INIT JDB__URING_INIT(jdb_uring_range)

/* jdb_uring_get_range - status of the range added at ptr. Returns 0; -EINVAL: no such range, NULL, or size too small.
 * Since 0.1. */
JDB_API int jdb_uring_get_range(const jdb_uring *uring, const void *ptr, jdb_uring_range *ret_range);

/* One region of a range. */
typedef struct jdb_uring_region {
    uint32_t size; /* bytes of this struct, as the caller knows it */
    int32_t slot;  /* in the ring's table; -1 = not registered */
    const uint8_t *ptr;
    uint64_t region_bytes;
    jdb_uring_reason why; /* err 0 when registered */
    uint64_t reserved[4];
} jdb_uring_region;

#define JDB_URING_REGION_INIT JDB__URING_INIT(jdb_uring_region)

/* jdb_uring_get_region - status of region `index` (0 to region_count - 1) of the range added at ptr.
 * Returns 0; -EINVAL: no such range, NULL, or size too small; -ERANGE: no such region. Since 0.1. */
JDB_API int jdb_uring_get_region(const jdb_uring *uring, const void *ptr, uint32_t index, jdb_uring_region *ret_region);

/* ---- Locked memory ---------------------------------------------------------------------------------------- */

#define JDB_URING_NEED_NONE 0u    /* no limit applies */
#define JDB_URING_NEED_UNKNOWN 1u /* within the limit, if the user's other processes and rings leave so much */
#define JDB_URING_NEED_OVER 2u    /* over the limit whatever others hold: some regions will not be registered */

/* What registering would cost, before it is done. The kernel charges whole pages to the user, over all its processes,
 * and what others hold cannot be asked. Source: io_uring_register(2), RLIMIT_MEMLOCK; a huge page is charged whole. */
typedef struct jdb_uring_need {
    uint32_t size;             /* bytes of this struct, as the caller knows it */
    uint32_t verdict;          /* JDB_URING_NEED_x, by need_bytes */
    uint32_t huge_verdict;     /* the same by need_huge_bytes */
    uint32_t is_exempt;        /* 1: CAP_IPC_LOCK; it counts as it was when the ring was made */
    uint64_t need_bytes;       /* on small pages; where regions overlap a page is charged twice */
    uint64_t need_huge_bytes;  /* if every page were of 2 MiB */
    uint64_t limit_bytes;      /* RLIMIT_MEMLOCK, soft; UINT64_MAX = none */
    uint64_t hard_limit_bytes; /* and hard: what setrlimit(2) may raise it to */
    uint64_t own_bytes;        /* charged by this object already */
    uint32_t region_count;
    uint32_t reserved[9];
} jdb_uring_need;

#define JDB_URING_NEED_INIT JDB__URING_INIT(jdb_uring_need)

/* jdb_uring_get_need - what jdb_uring_add() with the same arguments would cost. For an arena: its base, its size, and
 * overlap_size = its stride. Nothing is registered.
 * Returns 0; -EINVAL: also size of *ret_need too small; else as jdb_uring_add(). Since 0.1. */
JDB_API int jdb_uring_get_need(const jdb_uring *uring, const void *ptr, size_t size,
                               const jdb_uring_range_options *options, jdb_uring_need *ret_need);

/* ---- Operations ------------------------------------------------------------------------------------------- */

/* jdb_uring_op - one read or write; caller-owned. Set align, splits, guards, rw_flags and sqe_flags before starting it, where
 * needed; they stay set. The first 64 bytes are all that most operations use: align an array of them to 64. */
typedef struct jdb_uring_op {
    jdb_raw view;       /* result: a read's len is 0 from start to completion, then exactly the bytes read */
    int64_t offset;     /* in the file, of the view's first byte */
    uint32_t rw_flags;  /* input: RWF_x of preadv2(2) */
    uint8_t sqe_flags;  /* input: IOSQE_x, see below; with IOSQE_FIXED_FILE fd is an index */
    uint8_t guards;     /* input: 1: pages written from are read-only meanwhile, see jdb_uring_prep_write() */
    uint8_t is_eof;     /* result: 1: the read met the end of the file */
    uint8_t is_partial; /* private: jdb_uring_done_size() is moved_size */
    int32_t fd;         /* private, as all from here on but align and splits */
    uint32_t state;
    jdb_uring *uring; /* that it was started with, or NULL */
    void *pin;        /* where its pin is counted, or NULL */

    uint32_t align;     /* input: offset alignment of the file for resuming, bytes; 0 = 4096 */
    uint32_t splits;    /* input: 1: what is longer than the overlap goes in fixed pieces by resuming, 0: plain */
    size_t moved_size;  /* bytes of the view that are read or written */
    size_t asked_size;  /* bytes wanted of the view */
    size_t next_size;   /* where the SQE in flight starts in the view */
    size_t flight_size; /* its bytes */
    jdb_raw *views;     /* of a vectored operation */
    struct iovec *iovs;
    uint32_t view_count;  /* else 0 */
    uint32_t retry_count; /* of results that may go away, in a row */
    void *flight_range;   /* whose removal waits for it, or NULL */
    struct jdb_uring_op *next_guard;
    int64_t
        file_size; /* input: bytes of the file that is read, where they are known; 0 = not, see jdb_uring_prep_read() */
    uint32_t mode; /* of an allocation; of a write of a jdb_file its durability */
    uint32_t process; /* that started it */
    jdb_file *file;   /* of jdb_uring_prep_read_file() and its kin */
    uint64_t file_errors;
    uint8_t *bounce; /* of jdb_uring_prep_read_any() */
    size_t bounce_size;
    uint64_t reserved[8];
} jdb_uring_op;

#ifdef __cplusplus
#define JDB_URING_OP_INIT \
    jdb_uring_op          \
    {                     \
    }
#else
#define JDB_URING_OP_INIT ((jdb_uring_op){0})
#endif

/* Flags of an SQE and operations of more than one SQE.
 *
 * An operation that is resumed, split, or ends in a sync takes several SQEs. IOSQE_IO_LINK, IOSQE_IO_HARDLINK and
 * IOSQE_IO_DRAIN are on its first one alone: what the caller prepares next is never linked to a resumed one. After a
 * short result the kernel has cancelled what was linked behind the first SQE (-ECANCELED), and the caller prepares that
 * again when the operation is complete; with IOSQE_IO_HARDLINK it has run too early. So these three are -EINVAL
 * together with splits, with a sync, and with more bytes than one SQE moves (JDB_TRANSFER_MAX). IOSQE_CQE_SKIP_SUCCESS
 * is -EINVAL: without a completion nothing is unpinned; so is IOSQE_BUFFER_SELECT.
 *
 * A write with RWF_APPEND, or to a descriptor with O_APPEND, is never resumed: others may have appended meanwhile. A
 * short one ends with -EIO, and jdb_uring_done_size() is the bytes that are in the file. The descriptor is asked (fcntl(2)) when a
 * write is short; behind IOSQE_FIXED_FILE it cannot be, so set RWF_APPEND there. The same holds for RWF_ATOMIC; both
 * are -EINVAL with splits and with more bytes than one SQE moves. The offset -1 (the position of fd) is -EINVAL. */

/* jdb_uring_complete() returns it for a short result: the operation wants another SQE. */
#define JDB_URING_RESUME 1

/* In place of an SQE: the operation is started, its memory pinned, and jdb_uring_prep() or jdb_uring_run() comes later. */
#define JDB_URING_LATER ((struct io_uring_sqe *)UINTPTR_MAX)

/* jdb_uring_prep_read - start a read into [view.ptr, view.ptr + view.cap) and fill its SQE: READ_FIXED where the memory lies
 * in a registered region, else READ. op->view has len 0 until it completes.
 *
 * A short result may be the end of the file or not, which takes a second read to find out. With op->file_size one that
 * reaches that size has met the end (is_eof), and the operation is complete. Set it where the file does not grow, or
 * where what was appended meanwhile does not count.
 *
 * uring: the object of the ring that the SQE is of: its fixed buffers are used, its counters count; NULL: no object, the
 * operation goes plain, on any ring or none. op: JDB_URING_OP_INIT or completed. sqe: from io_uring_get_sqe(3), every field
 * is filled but user_data; or JDB_URING_LATER. fd: open file. offset: bytes, 0 or more.
 * Returns 0: the memory is pinned until jdb_uring_complete() returns anything but JDB_URING_RESUME, or until
 * jdb_uring_release(); -EBUSY: sqe is NULL (the submission queue is full: submit, and call again), op is started already,
 * or as jdb_pin(); -EINVAL: NULL, an empty view, a negative offset, align is no power of two, memory of this library that is
 * not lent, or flags that do not go together; -ERANGE: the view leaves its buffer. Nothing is started then, and the SQE,
 * which liburing cannot take back, becomes a no-op without a completion (before Linux 5.17 with one of user_data 0).
 * Since 0.2. */
JDB_API int jdb_uring_prep_read(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                                int64_t offset);

/* jdb_uring_prep_write - the same of a write of [view.ptr, view.ptr + view.len).
 *
 * With op->guards the pages that lie whole in the view are read-only (mprotect) until it ends, so that a program which
 * changes them meanwhile gets SIGSEGV. Where several guarded writes share a page it is writable again when the last of
 * them ends. Only memory of this library is guarded, and only as far as the system lets pages be protected one by one.
 * Else as jdb_uring_prep_read(). Since 0.2. */
JDB_API int jdb_uring_prep_write(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                                 int64_t offset);

/* jdb_uring_prep_read_any - a read of any offset and length into any memory, of a file opened with O_DIRECT.
 *
 * Where view.ptr, offset and view.cap are multiples of op->align (0 = 4096) it is jdb_uring_prep_read(). Else the aligned
 * blocks around the range are read into the bounce memory, as many as it holds by each SQE (JDB_URING_RESUME until all are
 * there), and jdb_uring_complete() copies the wanted bytes to the view. view.len, jdb_uring_done_size() and is_eof are of
 * the view alone.
 * op->align: the file's read_align, or its memory_align where that is more (direct.h). bounce: memory as the file wants it,
 * one block of op->align bytes or more: a frame of a registered arena, whose reads go fixed. It is used and pinned until the
 * operation ends, by this operation alone. Links and IOSQE_IO_DRAIN are -EINVAL where one SQE is not enough.
 * Returns as jdb_uring_prep_read(); -EINVAL: also bounce.cap is smaller than a block, or bounce.ptr NULL, where they are
 * needed; -EOVERFLOW: the last block ends past INT64_MAX; -EBUSY, -ERANGE, -EINVAL as jdb_pin() of the bounce memory.
 * Since 0.2. */
JDB_API int jdb_uring_prep_read_any(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                                    int64_t offset, jdb_raw bounce);

/* jdb_uring_prep_readv, jdb_uring_prep_writev - as above, of several views that follow each other in the file.
 *
 * views, iovs: arrays of view_count, the caller's, which must stay until the operation ends; iovs is filled here. A
 * read sets the len of each view to 0, and at completion to its part of the bytes read; op->view stays empty.
 * view_count: 1 to 1,024 (IOV_MAX). A view without bytes is -EINVAL. With O_DIRECT each view is whole blocks in memory that is
 * aligned as the file wants it; jdb_plan_vector() says how far views are that. Fixed when all views lie in one registered region
 * and the kernel knows vectored fixed operations (since Linux 6.15), else plain; so is what is more than 32 MiB, for
 * which the kernel may have no memory. splits and guards do not apply. Since 0.2. */
JDB_API int jdb_uring_prep_readv(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw *views,
                                 uint32_t view_count, struct iovec *iovs, int64_t offset);
JDB_API int jdb_uring_prep_writev(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw *views,
                                  uint32_t view_count, struct iovec *iovs, int64_t offset);

/* What follows a write: fdatasync(2), or fsync(2). */
#define JDB_URING_SYNC_DATA 1u
#define JDB_URING_SYNC_FILE 2u

/* jdb_uring_prep_write_sync - a write that ends in a sync of the file: durable when jdb_uring_complete() returns 0.
 *
 * The sync is prepared when every byte is written, after short writes too: jdb_uring_complete() returns
 * JDB_URING_RESUME then, and jdb_uring_prep() fills an SQE of IORING_OP_FSYNC. So one loop serves as for any write, and
 * no sync runs after half a write.
 * sync: JDB_URING_SYNC_x. Else as jdb_uring_prep_write().
 * An error with jdb_uring_done_size() smaller than the view: of the write, no sync was made. With all of it: of the
 * sync, and what the file has of these and of earlier writes is unknown, for the kernel may have dropped them: write
 * them again. A sync is made once: after -EINTR and -EAGAIN too a second one could return 0 for bytes that are lost.
 * Without O_DIRECT have one of them in flight at a time for each open file, and no other sync of it: the kernel reports
 * the error of a writeback to one sync of an open file and returns 0 to the others, whose bytes may be lost too.
 * jdb_file_write_full() (file.h) orders that for any number of threads. A direct write reports its own error.
 * Since 0.2. Source: IORING_OP_FSYNC of io_uring_enter(2); fsync(2), ERRORS; errseq_check_and_advance() of Linux. */
JDB_API int jdb_uring_prep_write_sync(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd,
                                      jdb_raw view, int64_t offset, uint32_t sync);

/* jdb_uring_prep_writev_sync - the same of several views, as jdb_uring_prep_writev(). Since 0.2. */
JDB_API int jdb_uring_prep_writev_sync(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd,
                                       jdb_raw *views, uint32_t view_count, struct iovec *iovs, int64_t offset,
                                       uint32_t sync);

/* jdb_uring_prep_sync - a sync of the file, of all that was written before it was submitted: for several writes at once.
 *
 * No memory is pinned; op->view is empty. sync: JDB_URING_SYNC_x. With IOSQE_IO_LINK on the write before it, it runs
 * after that write, and not (-ECANCELED) where that write failed or was short; IOSQE_IO_DRAIN waits for all.
 * The result of jdb_uring_complete() is final, as that of the sync of jdb_uring_prep_write_sync().
 * Returns as jdb_uring_prep_read(); -EINVAL: also a sync that is none. Since 0.2. */
JDB_API int jdb_uring_prep_sync(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, uint32_t sync);

/* jdb_uring_prep_allocate - change the extents of [offset, offset + size) of the file: fallocate(2).
 *
 * No memory is pinned; op->view is empty. mode: sum of FALLOC_FL_x, 0 = allocate. offset, size: bytes; size is not 0. What
 * the file system has not (-EOPNOTSUPP) is a result of jdb_uring_complete(); -EINTR and -EAGAIN are resumed.
 * Returns as jdb_uring_prep_read(). Since 0.2. Source: IORING_OP_FALLOCATE, since Linux 5.6. */
JDB_API int jdb_uring_prep_allocate(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, uint32_t mode,
                                    int64_t offset, uint64_t size);

/* jdb_uring_prep_read_file - a read of a jdb_file (file.h): descriptor, alignment and page-cache mode are those of the file.
 *
 * file: open until the operation ends. view, offset: where reads of the file are direct both are multiples of its
 * alignments, as is view.cap; jdb_file_read_full() reads any range.
 * Sets op->align, and RWF_DSYNC and RWF_DONTCACHE in op->rw_flags.
 * Returns as jdb_uring_prep_read(); -EINVAL: also when the request is not aligned as the file requires, or with IOSQE_FIXED_FILE;
 * -EOVERFLOW; -EBADF: not open for reading. An -EINVAL of the kernel (the alignments have grown) makes the file query its
 * limits again; prepare the request anew. Since 0.2. */
JDB_API int jdb_uring_prep_read_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file,
                                     jdb_raw view, int64_t offset);

/* jdb_uring_prep_write_file - a write of a jdb_file, with a durability of its own.
 *
 * view, offset: any range and memory where the writes of the file are not direct, or its tail strategy is
 * JDB_FILE_TAIL_BUFFERED: what is not aligned goes through the page cache, whole (jdb_file_begin_request()). Else aligned.
 * durability: JDB_FILE_DURABLE_x, for this write alone; that of the file's options does not count. A direct write is
 * one request with RWF_DSYNC (DATA), or is followed by fsync(2) on the ring (SYNC), after short writes too. The sync of any other
 * write is made by jdb_uring_complete(), which waits for it: the kernel reports a lost writeback to one sync of an open file
 * alone, so all syncs of the file have to pass one gate, as those of jdb_file_write_full() do.
 * A failed write or sync stays with the file, as jdb_file_write_full() has it; until jdb_file_clear_error() durable writes
 * are refused with it here, and those in flight return it.
 * Order writes that are in flight against calls that write a part of the same block or page.
 * Returns as jdb_uring_prep_write() and jdb_uring_prep_read_file(); -EBADF: not open for writing; the error that
 * jdb_file_error() keeps, for a durable write. Since 0.2. */
JDB_API int jdb_uring_prep_write_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file,
                                      jdb_raw view, int64_t offset, uint32_t durability);

/* jdb_uring_prep_readv_file, jdb_uring_prep_writev_file - the same of several views, as jdb_uring_prep_readv() and
 * jdb_uring_prep_writev() have them: frames of a pool written back as one run, for example.
 *
 * Aligned is what is whole blocks in each view. Returns as jdb_uring_prep_readv() and the two above. Since 0.2. */
JDB_API int jdb_uring_prep_readv_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file,
                                      jdb_raw *views, uint32_t view_count, struct iovec *iovs, int64_t offset);
JDB_API int jdb_uring_prep_writev_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file,
                                       jdb_raw *views, uint32_t view_count, struct iovec *iovs, int64_t offset,
                                       uint32_t durability);

/* jdb_uring_read, jdb_uring_read_any, jdb_uring_write, jdb_uring_readv, jdb_uring_writev, jdb_uring_write_sync,
 * jdb_uring_writev_sync, jdb_uring_read_file, jdb_uring_write_file, jdb_uring_readv_file, jdb_uring_writev_file - the same with JDB_URING_LATER: for jdb_uring_run(), and where the SQE is not
 * there yet. Since 0.2; 0.1 had others. */
JDB_INLINE int jdb_uring_read(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset)
{
    return jdb_uring_prep_read(uring, op, JDB_URING_LATER, fd, view, offset);
}

JDB_INLINE int jdb_uring_read_any(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset,
                                  jdb_raw bounce)
{
    return jdb_uring_prep_read_any(uring, op, JDB_URING_LATER, fd, view, offset, bounce);
}

JDB_INLINE int jdb_uring_write(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset)
{
    return jdb_uring_prep_write(uring, op, JDB_URING_LATER, fd, view, offset);
}

JDB_INLINE int jdb_uring_readv(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                               struct iovec *iovs, int64_t offset)
{
    return jdb_uring_prep_readv(uring, op, JDB_URING_LATER, fd, views, view_count, iovs, offset);
}

JDB_INLINE int jdb_uring_writev(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                                struct iovec *iovs, int64_t offset)
{
    return jdb_uring_prep_writev(uring, op, JDB_URING_LATER, fd, views, view_count, iovs, offset);
}

JDB_INLINE int jdb_uring_write_sync(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset,
                                    uint32_t sync)
{
    return jdb_uring_prep_write_sync(uring, op, JDB_URING_LATER, fd, view, offset, sync);
}

JDB_INLINE int jdb_uring_writev_sync(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                                     struct iovec *iovs, int64_t offset, uint32_t sync)
{
    return jdb_uring_prep_writev_sync(uring, op, JDB_URING_LATER, fd, views, view_count, iovs, offset, sync);
}

JDB_INLINE int jdb_uring_read_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw view, int64_t offset)
{
    return jdb_uring_prep_read_file(uring, op, JDB_URING_LATER, file, view, offset);
}

JDB_INLINE int jdb_uring_write_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw view, int64_t offset,
                                    uint32_t durability)
{
    return jdb_uring_prep_write_file(uring, op, JDB_URING_LATER, file, view, offset, durability);
}

JDB_INLINE int jdb_uring_readv_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw *views,
                                    uint32_t view_count, struct iovec *iovs, int64_t offset)
{
    return jdb_uring_prep_readv_file(uring, op, JDB_URING_LATER, file, views, view_count, iovs, offset);
}

JDB_INLINE int jdb_uring_writev_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw *views,
                                     uint32_t view_count, struct iovec *iovs, int64_t offset, uint32_t durability)
{
    return jdb_uring_prep_writev_file(uring, op, JDB_URING_LATER, file, views, view_count, iovs, offset, durability);
}

/* jdb_uring_prep - fill an SQE with what is left of an operation that is started and not in flight: after JDB_URING_RESUME,
 * or after JDB_URING_LATER. Fills every field but user_data.
 *
 * op: one that is not started is stopped with a message and abort(), since its memory is not pinned. sqe: of the ring that
 * the operation's object is for.
 * Returns 0; -EBUSY: sqe is NULL: the submission queue is full, the operation stays started; -EINVAL: op is NULL, or sqe is
 * JDB_URING_LATER. Since 0.2; 0.1 had another. */
JDB_API int jdb_uring_prep(jdb_uring_op *op, struct io_uring_sqe *sqe);

/* jdb_uring_done_size - bytes that a complete operation has read or written, after an error too. Since 0.2. */
JDB_INLINE size_t jdb_uring_done_size(const jdb_uring_op *op)
{
    return op->is_partial != 0 ? op->moved_size : op->view.len;
}

/* jdb_uring_complete - turn the result of a CQE into the view's length.
 *
 * res: cqe->res. Short results are resumed at the last aligned offset; a read that ends or makes no progress there has
 * met the end of the file (is_eof). -EINTR, and -EAGAIN without RWF_NOWAIT, are resumed too, 64 times in a row at most:
 * a descriptor with O_NONBLOCK may have no other answer. Those of a sync are final.
 * Returns 0: done, the memory is unpinned, view.len (of a read) and jdb_uring_done_size() are exact; JDB_URING_RESUME: get
 * an SQE, jdb_uring_prep() the same operation, submit; else the kernel's negative errno, or -EIO for a write that makes no
 * progress or an append that came out short: unpinned, jdb_uring_done_size() is what was done before,
 * jdb_uring_explain_op() has the reason. -EINVAL too when op is not started; after a short result also when align is no
 * power of two, or the buffer was dropped meanwhile. The operation is not in flight afterwards, whatever is returned.
 * Since 0.2; 0.1 had the object here. */
JDB_API int jdb_uring_complete(jdb_uring_op *op, int32_t res);

/* jdb_uring_release - unpin an operation that was started and is not in flight: not prepared since it was started, or
 * since jdb_uring_complete() returned JDB_URING_RESUME; in a child of fork() also one that the parent has in flight.
 *
 * An operation whose SQE was prepared and shall not be submitted: turn that SQE into a no-op (io_uring_prep_nop(3)) and
 * pass -ECANCELED to jdb_uring_complete().
 * Returns 0, also when op is NULL or not started; -EBUSY: it is in flight and stays pinned, whether or not its ring is
 * still there. Since 0.1; it returns a result since 0.2. */
JDB_API int jdb_uring_release(jdb_uring_op *op);

/* jdb_uring_run - do a started operation to its end without a ring, with preadv2(2) or pwritev2(2), and its sync.
 * Its object, if it has one, is neither used nor counted, and may be closed.
 * Returns as jdb_uring_complete() but never JDB_URING_RESUME; -EBUSY: op is in flight on a ring. sqe_flags are ignored,
 * fd is a descriptor. Since 0.1. */
JDB_API int jdb_uring_run(jdb_uring_op *op);

/* ---- Cancel and drain ------------------------------------------------------------------------------------- */

/* jdb_uring_in_flight - operations of this object that were prepared and are not complete. 0 for NULL. Since 0.2. */
JDB_API uint64_t jdb_uring_in_flight(const jdb_uring *uring);

/* jdb_uring_cancel - fill an SQE that asks the kernel to end an operation early.
 *
 * user_data: the one that the operation's own SQE carries. sqe: of the same ring; every field is set but its user_data,
 * which is the caller's.
 * The SQE's own completion says whether the request was found; it ends nothing. The operation ends with its own
 * completion as ever, and is pinned until then: with -ECANCELED, or with its result when it was too late. What a block
 * device has already cannot be called back; a pipe, a socket, or a request that waits for a worker can. From this call
 * on short results are not resumed: jdb_uring_complete() returns -ECANCELED for them, jdb_uring_done_size() is what was
 * done.
 * Returns 0; -EINVAL: NULL, op is not in flight, or its ring is gone; -EPERM: child of fork(). Since 0.2.
 * Source: io_uring_prep_cancel(3). */
JDB_API int jdb_uring_cancel(jdb_uring_op *op, uint64_t user_data, struct io_uring_sqe *sqe);

/* What jdb_uring_drain() does with each completion: as the caller's own loop, it finds the operation by cqe->user_data
 * and calls jdb_uring_complete(); for JDB_URING_RESUME it prepares an SQE again. It may start operations, which
 * are waited for too: so a program may run on a drain. It must not take completions from the ring itself. cqe: valid during the call. */
typedef void (*jdb_uring_completion)(void *context, const struct io_uring_cqe *cqe);

/* jdb_uring_drain - submit what is prepared and take completions from the ring until no operation is in flight.
 *
 * deadline_ns: a moment of jdb_clock_ns() (pool.h), or UINT64_MAX for none; when it has passed, what is complete
 * already is still taken. cancels: true asks every request of the ring to end early, the caller's own too, and short
 * results are not resumed while it drains (-ECANCELED, as after jdb_uring_cancel()); before Linux 6.0 it only waits.
 * on_completion: called for each completion of the ring, those of other requests too, on the calling thread.
 * Returns 0: none is in flight; -ETIMEDOUT: jdb_uring_in_flight() of them are, pinned as before; drain again, or go on;
 * -EINVAL: NULL; -EPERM: child of fork(); -EINTR, -EAGAIN, -EBUSY where 64 retries in a row did not help; else the
 * kernel's error. Since 0.2. */
JDB_API int jdb_uring_drain(jdb_uring *uring, uint64_t deadline_ns, bool cancels, jdb_uring_completion on_completion,
                            void *context);

/* ---- An engine for streams -------------------------------------------------------------------------------- */

/* jdb_uring_engine_open - an engine (stream.h) on a ring of its own: readers and writers keep their requests in flight with one
 * thread, and arenas of streams are fixed buffers.
 *
 *     jdb_engine *engine = NULL;
 *     jdb_uring_engine_open(NULL, &engine);                 // io_uring, or threads where it is refused
 *     stream_options.engine = engine;
 *
 * Direct reads and direct writes of whole blocks go through the ring, and those of files that are not direct. All else (a part of
 * a block, a write to a file opened with a durability) is done by the file's own calls within
 * jdb_engine_start(), which waits for it; so is what the ring refuses, by a thread that waits. Such a write waits for writes in flight to the same pages of the file, and theirs for it:
 * order those of other engines and threads yourself. A thread that waits takes completions for all; no thread is started.
 *
 * options: NULL = JDB_ENGINE_OPTIONS_INIT. kind: JDB_ENGINE_URING, or AUTO: where the kernel refuses a ring an engine of
 * jdb_engine_open() is opened, and jdb_engine_reason() has the reason. depth: requests in the kernel at once, 1 to 1,024; others
 * wait in line.
 * Returns 0 and *ret_engine, which the caller owns (jdb_engine_close()); -EINVAL: NULL, another kind, a depth, unknown flags, or
 * size too small; -E2BIG: an option of a newer version; -ENOMEM; with URING the kernel's error (jdb_uring_explain_ring()).
 * *ret_engine is untouched on failure. Any thread. Since 0.2. */
JDB_API int jdb_uring_engine_open(const jdb_engine_options *options, jdb_engine **ret_engine);

/* jdb_uring_of_engine - the object of an engine's ring, to query what was registered and counted (jdb_uring_get_range()) while no
 * other thread uses the engine. The engine owns it. NULL: the engine has no ring. Since 0.2. */
JDB_API jdb_uring *jdb_uring_of_engine(const jdb_engine *engine);

/* ---- Counters --------------------------------------------------------------------------------------------- */

typedef struct jdb_uring_stats {
    uint32_t size;       /* bytes of this struct, as the caller knows it */
    int32_t table_error; /* 0, or why this object has no table of fixed buffers */
    uint32_t slot_count; /* slots of this object */
    uint32_t slots_used;
    uint32_t is_cloned;    /* 1: the table is shared with the object it was cloned from */
    uint32_t has_vectored; /* 1: the kernel knows vectored fixed operations */
    uint64_t fixed_count;  /* SQEs prepared with a fixed buffer */
    uint64_t plain_count;  /* and without */
    uint64_t fixed_bytes;  /* bytes that completed through a fixed buffer */
    uint64_t plain_bytes;
    uint64_t resume_count; /* short results and split operations that were resumed */
    uint64_t reserved[6];
} jdb_uring_stats;

#define JDB_URING_STATS_INIT JDB__URING_INIT(jdb_uring_stats)

/* jdb_uring_get_stats - fill the fields that ret_stats->size covers. Returns 0; -EINVAL: NULL or size too small.
 * Since 0.1. */
JDB_API int jdb_uring_get_stats(const jdb_uring *uring, jdb_uring_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
