/* SPDX-License-Identifier: MIT
 *
 * uring_op.c - one read or write from start to completion: pinned, prepared, resumed when short. Floor 5.
 */
#include "uring/state.h"

#include "base/bits.h"
#include "base/check.h"
#include "jdb_alloc/direct.h"
#include "jdb_alloc/iov.h"
#include "jdb_alloc/pin.h"
#include "base/memcheck.h"
#include "os/os_uring.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

/* Newer than liburing 2.3. Source: include/uapi/linux/io_uring.h, since Linux 6.15. */
#define OP_READV_FIXED 60
#define OP_WRITEV_FIXED 61

/* Newer than the C library's headers. Source: include/uapi/linux/fs.h, since Linux 6.9 and 6.11. */
#define RWF_KEEPS_OFFSET 0x20u /* RWF_NOAPPEND */
#define RWF_ALL_OR_NONE 0x40u  /* RWF_ATOMIC */

/* What others in the ring are ordered by: it holds for one SQE, not for those that resume it. */
#define ORDER_FLAGS (IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN)
/* A completion that does not come unpins nothing; memory that the kernel chooses is not the view. */
#define REFUSED_FLAGS (IOSQE_CQE_SKIP_SUCCESS | IOSQE_BUFFER_SELECT)
/* Writes whose rest must not be sent again. */
#define WHOLE_FLAGS (RWF_APPEND | RWF_ALL_OR_NONE)

static size_t align_of(const jdb_uring_op *op)
{
    return op->align != 0 ? op->align : JDB_PAGE_SIZE;
}

static bool writes(const jdb_uring_op *op)
{
    return (op->state & STATE_WRITES) != 0;
}

/* The kernel would use memory that is not lent, and no checker sees the kernel: stopped where one is at work. */
static void check_free(const void *ptr, size_t size, bool is_write)
{
    const void *const found = memcheck_find_free(ptr, size, is_write);
    if (found == NULL)
        return;
    fprintf(stderr, "jdb_alloc: I/O on memory that is not lent (view at %p, first such byte at %p)\n", ptr, found);
    abort();
}

/* ---- Start and end ---------------------------------------------------------------------------------------- */

/* Bytes that one SQE can move. */
static size_t transfer_max(const jdb_uring_op *op)
{
    return (size_t)bits_round_down(JDB_TRANSFER_MAX, align_of(op));
}

/* What is ordered, or may not be sent again in part, must go in one SQE. */
static JDB_COLD bool flags_fit(const jdb_uring_op *op, size_t size, uint32_t kind)
{
    const bool is_ordered = (op->sqe_flags & ORDER_FLAGS) != 0;
    const bool is_whole = is_ordered || ((kind & STATE_WRITES) != 0 && (op->rw_flags & WHOLE_FLAGS) != 0);
    if ((op->sqe_flags & REFUSED_FLAGS) != 0 || (is_ordered && (kind & STATE_SYNCS) != 0))
        return false;
    return !is_whole || (op->splits == 0 && size <= transfer_max(op));
}

static int check_start(const jdb_uring_op *op, size_t size, int64_t offset, uint32_t kind)
{
    if (op == NULL || size == 0 || offset < 0 || size > (size_t)(INT64_MAX - offset) || !bits_is_pow2(align_of(op)))
        return -EINVAL;
    if (JDB_UNLIKELY((op->sqe_flags & (ORDER_FLAGS | REFUSED_FLAGS)) != 0 || (op->rw_flags & WHOLE_FLAGS) != 0) &&
        !flags_fit(op, size, kind))
        return -EINVAL;
    return (op->state & STATE_STARTED) != 0 ? -EBUSY : 0;
}

static void begin(jdb_uring_op *op, int fd, size_t size, int64_t offset, uint32_t state)
{
    op->offset = offset;
    op->fd = fd;
    op->asked_size = size;
    op->next_size = 0;
    op->flight_size = 0;
    op->done_size = 0;
    op->is_eof = 0;
    op->state = STATE_STARTED | state;
    op->retry_count = 0;
    op->views = NULL;
    op->view_count = 0;
}

static inline int pin_view(const jdb_uring_op *op, const uint8_t *ptr, size_t size, jdb_pin_mark *ret_mark)
{
    const struct uring_range *const range = op->door == NULL ? NULL : uring_range_at(op->door, ptr);
    if (range != NULL && range->arena != NULL)
        return jdb_arena_pin(range->arena, (uint64_t)(ptr - range->ptr), size, ret_mark);
    return jdb_pin_marked(ptr, size, ret_mark);
}

static int start(jdb_uring_op *op, int fd, jdb_raw view, size_t size, int64_t offset, uint32_t kind)
{
    int err = view.ptr == NULL ? -EINVAL : check_start(op, size, offset, kind);
    if (err != 0)
        return err;
    err = pin_view(op, view.ptr, size, &op->pin);
    if (err != 0 && err != -ENOTSUP)
        return err;
    begin(op, fd, size, offset, kind | (err == 0 ? STATE_PINNED : 0));
    op->view = view;
    if (JDB_UNLIKELY(op->guards != 0) && writes(op) && err == 0)
        jdb__uring_guard(op);
    return 0;
}

int jdb_uring_read(jdb_uring_op *op, int fd, jdb_raw view, int64_t offset)
{
    const int err = start(op, fd, view, view.cap, offset, 0);
    if (err == 0)
        op->view.len = 0;
    return err;
}

int jdb_uring_write(jdb_uring_op *op, int fd, jdb_raw view, int64_t offset)
{
    return start(op, fd, view, view.len, offset, STATE_WRITES);
}

/* Set *ret_kind for JDB_URING_SYNC_x, and op->door; on failure nothing. */
static int begin_sync(jdb_uring_op *op, jdb_uring *ring, uint32_t sync, uint32_t *ret_kind)
{
    if (op == NULL || (sync != JDB_URING_SYNC_DATA && sync != JDB_URING_SYNC_FILE))
        return -EINVAL;
    if ((op->state & STATE_STARTED) != 0)
        return -EBUSY;
    op->door = ring;
    *ret_kind = STATE_WRITES | (sync == JDB_URING_SYNC_DATA ? STATE_SYNC_DATA : STATE_SYNC_FILE);
    return 0;
}

int jdb_uring_write_sync(jdb_uring *ring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset, uint32_t sync)
{
    uint32_t kind = 0;
    const int err = begin_sync(op, ring, sync, &kind);
    return err != 0 ? err : start(op, fd, view, view.len, offset, kind);
}

static int start_views(jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count, struct iovec *iovs,
                       int64_t offset, uint32_t kind)
{
    if (views == NULL || iovs == NULL || view_count == 0 || view_count > JDB_PIECES_MAX)
        return -EINVAL;
    const bool is_write = (kind & STATE_WRITES) != 0;
    size_t size = 0;
    int err = jdb_iov_sum(views, view_count, is_write, &size);
    if (err == 0)
        err = check_start(op, size, offset, kind);
    if (err == 0)
        err = jdb_iov_pin(views, view_count, is_write);
    if (err != 0)
        return err;
    begin(op, fd, size, offset, kind);
    op->view = jdb_raw_new(NULL, 0);
    op->views = views;
    op->iovs = iovs;
    op->view_count = view_count;
    return 0;
}

int jdb_uring_readv(jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count, struct iovec *iovs, int64_t offset)
{
    const int err = start_views(op, fd, views, view_count, iovs, offset, 0);
    if (err == 0)
        jdb_iov_share_out(views, view_count, 0);
    return err;
}

int jdb_uring_writev(jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count, struct iovec *iovs, int64_t offset)
{
    return start_views(op, fd, views, view_count, iovs, offset, STATE_WRITES);
}

int jdb_uring_writev_sync(jdb_uring *ring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                          struct iovec *iovs, int64_t offset, uint32_t sync)
{
    uint32_t kind = 0;
    const int err = begin_sync(op, ring, sync, &kind);
    return err != 0 ? err : start_views(op, fd, views, view_count, iovs, offset, kind);
}

static inline void end(jdb_uring_op *op)
{
    const uint32_t state = op->state;
    op->state = 0;
    if (JDB_UNLIKELY((state & STATE_GUARDED) != 0))
        jdb__uring_unguard(op);
    if (JDB_LIKELY((state & STATE_PINNED) != 0))
        jdb_unpin_marked(&op->pin);
    if (JDB_UNLIKELY(op->view_count != 0))
        jdb_iov_unpin(op->views, op->view_count, (state & STATE_WRITES) != 0);
}

int jdb_uring_release(jdb_uring_op *op)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return 0;
    if ((op->state & STATE_IN_FLIGHT) != 0)
        return -EBUSY;
    end(op);
    return 0;
}

/* ---- Prepare ---------------------------------------------------------------------------------------------- */

/* What is left, as much as one call can move. */
static size_t next_bytes(const jdb_uring_op *op)
{
    const size_t left = op->asked_size - op->next_size;
    return left < JDB_TRANSFER_MAX ? left : transfer_max(op);
}

static void fill_sqe(struct io_uring_sqe *sqe, const jdb_uring_op *op, unsigned opcode, const void *ptr, size_t len,
                     int32_t slot)
{
    sqe->opcode = (uint8_t)opcode;
    sqe->flags = (uint8_t)((op->state & STATE_RESUMED) != 0 ? op->sqe_flags & ~(uint32_t)ORDER_FLAGS : op->sqe_flags);
    sqe->ioprio = 0;
    sqe->fd = op->fd;
    sqe->off = (uint64_t)op->offset + op->next_size;
    sqe->addr = (uintptr_t)ptr;
    sqe->len = (uint32_t)len;
    sqe->rw_flags = (__kernel_rwf_t)op->rw_flags;
    sqe->buf_index = slot >= 0 ? (uint16_t)slot : 0;
    sqe->personality = 0;
    sqe->file_index = 0;
    sqe->addr3 = 0;
    sqe->__pad2[0] = 0;
}

/* Of a view longer than the room in its region: the slot, and *size cut to what it holds, when that is wanted; or -1. */
static JDB_NOINLINE int32_t split(const jdb_uring_op *op, int32_t slot, size_t room, size_t *size)
{
    if (slot < 0 || op->splits == 0 || room < align_of(op))
        return -1;
    *size = (size_t)bits_round_down(room, align_of(op));
    return slot;
}

/* Returns the slot, or -1. */
static inline int32_t prep_one(jdb_uring *door, jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    uint8_t *const ptr = op->view.ptr + op->next_size;
    size_t size = next_bytes(op);
    size_t room = 0;
    int32_t slot = door == NULL ? -1 : uring_slot(door, ptr, &room);
    if (JDB_UNLIKELY(size > room))
        slot = split(op, slot, room, &size);
    unsigned opcode = slot >= 0 ? IORING_OP_READ_FIXED : IORING_OP_READ;
    if (writes(op))
        opcode = slot >= 0 ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
    check_free(ptr, size, writes(op));
    fill_sqe(sqe, op, opcode, ptr, size, slot);
    op->flight_size = size;
    return slot;
}

/* The parts of the views behind next_size, as iovs; returns how many. */
static uint32_t fill_iovs(const jdb_uring_op *op)
{
    const size_t count = jdb_iov_fill(op->views, op->view_count, writes(op), op->next_size, op->iovs);
    for (size_t i = 0; i < count; i++)
        check_free(op->iovs[i].iov_base, op->iovs[i].iov_len, writes(op));
    return (uint32_t)count;
}

/* The one region that holds every iov whole, or -1. */
static int32_t common_slot(jdb_uring *door, const struct iovec *iovs, uint32_t count)
{
    int32_t common = -1;
    for (uint32_t i = 0; i < count; i++) {
        size_t room = 0;
        const int32_t slot = uring_slot(door, iovs[i].iov_base, &room);
        if (slot < 0 || iovs[i].iov_len > room || (i > 0 && slot != common))
            return -1;
        common = slot;
    }
    return common;
}

/* For one vectored fixed operation the kernel makes a table of all its pages, and returns -ENOMEM where that is too large
 * for its allocator: seen from 1 GiB on, and memory may be in pieces before. Above this size registration saves nothing. */
#define VECTOR_FIXED_MAX ((size_t)32 << 20)

static JDB_COLD int32_t prep_vector(jdb_uring *door, jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    const uint32_t count = fill_iovs(op);
    const bool may_be_fixed = door != NULL && door->has_vectored && op->asked_size - op->next_size <= VECTOR_FIXED_MAX;
    const int32_t slot = may_be_fixed ? common_slot(door, op->iovs, count) : -1;
    unsigned opcode = slot >= 0 ? OP_READV_FIXED : IORING_OP_READV;
    if (writes(op))
        opcode = slot >= 0 ? OP_WRITEV_FIXED : IORING_OP_WRITEV;
    fill_sqe(sqe, op, opcode, op->iovs, count, slot);
    op->flight_size = op->asked_size - op->next_size;
    return slot;
}

static JDB_COLD void prep_sync(const jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    fill_sqe(sqe, op, IORING_OP_FSYNC, NULL, 0, -1);
    sqe->off = 0;
    sqe->fsync_flags = (op->state & STATE_SYNC_DATA) != 0 ? IORING_FSYNC_DATASYNC : 0;
}

void jdb_uring_prep(jdb_uring *door, jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    if (JDB_UNLIKELY((op->state & STATE_SYNCING) != 0)) {
        prep_sync(op, sqe);
        uring_enter_flight(door, op, NULL);
        return;
    }
    if (door != NULL && JDB_UNLIKELY(!uring_is_here(door)))
        door = NULL; /* its slots hold the pages of the parent */
    const int32_t slot = op->view_count == 0 ? prep_one(door, op, sqe) : prep_vector(door, op, sqe);
    op->state = slot >= 0 ? op->state | STATE_FIXED : op->state & ~STATE_FIXED;
    uring_enter_flight(door, op,
                       door != NULL && slot >= 0 ? door->last : NULL); /* the look-up of the slot was the last */
    if (door != NULL)
        *(slot >= 0 ? &door->fixed_count : &door->plain_count) += 1;
}

/* ---- Complete --------------------------------------------------------------------------------------------- */

static JDB_COLD void share_out(const jdb_uring_op *op)
{
    if (!writes(op))
        jdb_iov_share_out(op->views, op->view_count, op->done_size);
}

static inline int finish(jdb_uring_op *op, int err)
{
    if (JDB_UNLIKELY(op->view_count != 0))
        share_out(op);
    else if (!writes(op))
        op->view.len = op->done_size;
    end(op);
    return err;
}

/* iovs are those of the call that brought the bytes. */
static inline void mark_written(const jdb_uring_op *op, size_t got)
{
    if (op->view_count == 0)
        memcheck_defined(op->view.ptr + op->next_size, got);
    for (uint32_t i = 0; i < op->view_count && got > 0; i++) {
        const size_t size = op->iovs[i].iov_len < got ? op->iovs[i].iov_len : got;
        memcheck_defined(op->iovs[i].iov_base, size);
        got -= size;
    }
}

/* Short results, by the planner. */
static JDB_COLD int advance_read(jdb_uring_op *op, int64_t got)
{
    const jdb_read_plan plan = {
        .offset = op->offset, .size = op->asked_size, .wanted_size = op->asked_size, .align = align_of(op)};
    jdb_read_step step = {.next_size = op->flight_size, .next_skip = op->next_size, .filled_size = op->done_size};
    const int err = jdb_plan_read_step(&plan, got, -1, &step);
    if (err != 0)
        return finish(op, -EIO);
    op->done_size = (size_t)step.valid_size;
    op->next_size = (size_t)step.next_skip;
    op->is_eof = step.is_done != 0 && op->done_size < op->asked_size;
    return step.is_done != 0 ? finish(op, 0) : JDB_URING_RESUME;
}

/* Every byte is written. */
static inline int finish_write(jdb_uring_op *op)
{
    if (JDB_LIKELY((op->state & STATE_SYNCS) == 0))
        return finish(op, 0);
    op->state |= STATE_SYNCING;
    return JDB_URING_RESUME;
}

/* A write at the end of the file is not resumed: what another program appended meanwhile may stand between, and the aligned
 * offset to resume at lies before what was written already. */
static JDB_COLD int resume_write(jdb_uring_op *op)
{
    const bool has_descriptor =
        (op->state & STATE_DESCRIPTOR) != 0 || (op->sqe_flags & (uint32_t)IOSQE_FIXED_FILE) == 0;
    bool appends = (op->rw_flags & WHOLE_FLAGS) != 0;
    int err = 0;
    if (!appends && has_descriptor && (op->rw_flags & RWF_KEEPS_OFFSET) == 0)
        err = jdb__ring_appends(op->fd, &appends);
    if (err == 0 && appends)
        err = -EIO;
    return err == 0 ? JDB_URING_RESUME : finish(op, err);
}

static JDB_COLD int advance_write(jdb_uring_op *op, int64_t got)
{
    const jdb_write_piece piece = {.offset = op->offset, .size = op->asked_size, .length = op->asked_size};
    jdb_write_step step = {.next_size = op->flight_size, .next_skip = op->next_size, .done_size = op->done_size};
    const int err = jdb_plan_write_step((uint32_t)align_of(op), &piece, got, &step);
    if (err != 0)
        return finish(op, -EIO);
    op->done_size = (size_t)step.done_size;
    op->next_size = (size_t)step.next_skip;
    if (step.is_done == 0)
        return resume_write(op);
    return step.is_stalled != 0 ? finish(op, -EIO) : finish_write(op);
}

/* got: bytes, 0 or more. */
static inline int advance(jdb_uring_op *op, size_t got)
{
    if (!writes(op))
        mark_written(op, got);
    if (JDB_LIKELY(got == op->asked_size)) {
        op->done_size = got;
        return finish_write(op);
    }
    return writes(op) ? advance_write(op, (int64_t)got) : advance_read(op, (int64_t)got);
}

/* A result that may be another when asked again. Of a descriptor with O_NONBLOCK -EAGAIN may be all that there is. */
static bool may_retry(jdb_uring_op *op, int32_t res)
{
    if (res != -EINTR && (res != -EAGAIN || (op->rw_flags & RWF_NOWAIT) != 0))
        return false;
    return op->retry_count++ < RETRIES_MAX;
}

/* What the result makes of the operation. */
static inline int take(jdb_uring_op *op, int32_t res)
{
    if (JDB_UNLIKELY(res < 0))
        return may_retry(op, res) ? JDB_URING_RESUME : finish(op, res);
    op->retry_count = 0;
    return JDB_LIKELY((op->state & STATE_SYNCING) == 0) ? advance(op, (size_t)res) : finish(op, 0);
}

int jdb_uring_complete(jdb_uring *door, jdb_uring_op *op, int32_t res)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return -EINVAL;
    if (door != NULL && res > 0)
        *((op->state & STATE_FIXED) != 0 ? &door->fixed_bytes : &door->plain_bytes) += (uint32_t)res;
    uring_leave_flight(op);
    const int err = take(op, res);
    if (JDB_LIKELY(err != JDB_URING_RESUME))
        return err;
    if ((op->state & STATE_CANCELLED) != 0)
        return finish(op, -ECANCELED);
    op->state |= STATE_RESUMED;
    if (door != NULL && (op->state & STATE_SYNCING) == 0)
        door->resume_count++;
    return JDB_URING_RESUME;
}

/* ---- Without a ring --------------------------------------------------------------------------------------- */

static int64_t transfer(jdb_uring_op *op)
{
    if ((op->state & STATE_SYNCING) != 0)
        return jdb__ring_sync(op->fd, (op->state & STATE_SYNC_DATA) != 0);
    struct iovec one = {.iov_len = next_bytes(op)};
    struct iovec *iovs = &one;
    const uint32_t count = op->view_count == 0 ? 1 : fill_iovs(op);
    if (op->view_count == 0)
        one.iov_base = op->view.ptr + op->next_size;
    else
        iovs = op->iovs;
    op->flight_size = op->view_count == 0 ? one.iov_len : op->asked_size - op->next_size;
    const int64_t offset = op->offset + (int64_t)op->next_size;
    if (writes(op))
        return jdb__ring_write_at(op->fd, iovs, count, offset, op->rw_flags);
    return jdb__ring_read_at(op->fd, iovs, count, offset, op->rw_flags);
}

int jdb_uring_run(jdb_uring_op *op)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return -EINVAL;
    if ((op->state & STATE_IN_FLIGHT) != 0)
        return -EBUSY;
    op->state |= STATE_DESCRIPTOR;
    int err = JDB_URING_RESUME;
    while (err == JDB_URING_RESUME)
        err = jdb_uring_complete(NULL, op, (int32_t)transfer(op));
    return err;
}
