/* SPDX-License-Identifier: MIT
 *
 * prep.c - an SQE is filled with what is left of an operation: with a fixed buffer where its memory is registered.
 */
#include "uring/fast.h"
#include "uring/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

_Noreturn void jdb__uring_not_lent(const void *ptr, const void *found)
{
    fprintf(stderr, "jdb_alloc: I/O on memory that is not lent (view at %p, first such byte at %p)\n", ptr, found);
    abort();
}

static inline void fill_sqe(struct io_uring_sqe *sqe, const jdb_uring_op *op, unsigned opcode, const void *ptr,
                            size_t len, int32_t slot)
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

/* ---- One view --------------------------------------------------------------------------------------------- */

/* Of a view longer than the room in its region: the slot, and *size cut to what it holds, when that is wanted; or -1.
 * */
static JDB_NOINLINE int32_t split(const jdb_uring_op *op, int32_t slot, size_t room, size_t *size)
{
    if (slot < 0 || op->splits == 0 || room < op_align(op))
        return -1;
    *size = (size_t)bits_round_down(room, op_align(op));
    return slot;
}

/* Returns the range whose slot the SQE names, or NULL. */
static struct uring_range *prep_view(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    const struct uring_request request = op_next_request(op);
    struct uring_range *const range = uring == NULL ? NULL : uring_range_at(uring, request.ptr);
    size_t size = request.size;
    size_t room = 0;
    int32_t slot = uring_slot(range, request.ptr, &room);
    if (size > room)
        slot = split(op, slot, room, &size);
    unsigned opcode = slot >= 0 ? IORING_OP_READ_FIXED : IORING_OP_READ;
    if (op_writes(op))
        opcode = slot >= 0 ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
    JDB_ASSERT(size > 0 && size <= JDB_TRANSFER_MAX && (slot < 0 || size <= room)); /* U1: whole in one slot */
    check_lent(request.ptr, size, op_writes(op));
    fill_sqe(sqe, op, opcode, request.ptr, size, slot);
    sqe->off = (uint64_t)request.offset;
    op->flight_size = size;
    return slot >= 0 ? range : NULL;
}

/* ---- Several views ---------------------------------------------------------------------------------------- */

uint32_t jdb__uring_fill_iovs(const jdb_uring_op *op)
{
    const size_t count = jdb_iov_fill(op->views, op->view_count, op_writes(op), op->next_size, op->iovs);
    JDB_ASSERT(count > 0 && count <= op->view_count);
    for (size_t i = 0; i < count; i++)
        check_lent(op->iovs[i].iov_base, op->iovs[i].iov_len, op_writes(op));
    return (uint32_t)count;
}

/* The one region that holds every iov whole: its slot and range, or -1. */
static int32_t common_slot(jdb_uring *uring, const struct iovec *iovs, uint32_t count, struct uring_range **ret_range)
{
    int32_t common = -1;
    for (uint32_t i = 0; i < count; i++) {
        size_t room = 0;
        struct uring_range *const range = uring_range_at(uring, iovs[i].iov_base);
        const int32_t slot = uring_slot(range, iovs[i].iov_base, &room);
        if (slot < 0 || iovs[i].iov_len > room || (i > 0 && slot != common))
            return -1;
        common = slot;
        *ret_range = range;
    }
    return common;
}

static struct uring_range *prep_views(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    struct uring_range *range = NULL;
    const uint32_t count = jdb__uring_fill_iovs(op);
    const size_t left = op->asked_size - op->next_size;
    const bool may_be_fixed = uring != NULL && uring->has_vectored && left <= URING_VECTOR_FIXED_MAX;
    const int32_t slot = may_be_fixed ? common_slot(uring, op->iovs, count, &range) : -1;
    unsigned opcode = slot >= 0 ? URING_OP_READV_FIXED : IORING_OP_READV;
    if (op_writes(op))
        opcode = slot >= 0 ? URING_OP_WRITEV_FIXED : IORING_OP_WRITEV;
    fill_sqe(sqe, op, opcode, op->iovs, count, slot);
    op->flight_size = left;
    return slot >= 0 ? range : NULL;
}

/* ---- A sync ----------------------------------------------------------------------------------------------- */

static void prep_sync(jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    JDB_ASSERT(op->moved_size == op->asked_size);
    fill_sqe(sqe, op, IORING_OP_FSYNC, NULL, 0, -1);
    sqe->off = 0;
    sqe->fsync_flags = (op->state & STATE_SYNC_DATA) != 0 ? IORING_FSYNC_DATASYNC : 0;
    op_enter_flight(op, NULL);
}

/* ---- An allocation ---------------------------------------------------------------------------------------- */

/* Source: io_uring_prep_fallocate() of liburing: the length is in addr. */
static void prep_allocation(jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    fill_sqe(sqe, op, IORING_OP_FALLOCATE, NULL, op->mode, -1);
    sqe->off = (uint64_t)op->offset;
    sqe->addr = op->asked_size;
    sqe->rw_flags = 0;
    op_enter_flight(op, NULL);
}

/* ---- Prepare ---------------------------------------------------------------------------------------------- */

/* Reads and writes are counted by the object. */
static void prep_transfer(jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    jdb_uring *const uring = op->uring;
    struct uring_range *const range = op->view_count == 0 ? prep_view(uring, op, sqe) : prep_views(uring, op, sqe);
    op_enter_flight(op, range);
    if (uring != NULL)
        *(range != NULL ? &uring_hot(uring)->fixed_count : &uring->plain_count) += 1;
}

/* An SQE that was filled for it before is not submitted: prepared twice, in flight once. */
static int prep_again(jdb_uring_op *op)
{
    const int err = (op->state & STATE_FAST) != 0 ? jdb__uring_thaw(op) : 0;
    op_leave_flight(op);
    if (err != 0)
        op_end(op);
    return err;
}

static JDB_NOINLINE int prep_slow(jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    if (op == NULL || sqe == JDB_URING_LATER)
        return -EINVAL;
    if ((op->state & STATE_STARTED) == 0)
        JDB_BREACH("an operation is prepared that was not started: its memory is not pinned", op->view.ptr); /* U5 */
    if (sqe == NULL)
        return -EBUSY;
    if ((op->state & STATE_READY) != 0)
        jdb__uring_thaw_ready(op);
    const int err = (op->state & STATE_IN_FLIGHT) != 0 ? prep_again(op) : 0;
    if (err != 0)
        return err;
    if (op->uring != NULL && !uring_is_here(op->uring))
        op->uring = NULL; /* the parent's of fork(): its slots hold the parent's pages */
    if ((op->state & STATE_SYNCING) != 0)
        prep_sync(op, sqe);
    else if ((op->state & STATE_ALLOCATES) != 0)
        prep_allocation(op, sqe);
    else
        prep_transfer(op, sqe);
    return 0;
}

URING_HOT int jdb_uring_prep(jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    return JDB_LIKELY(prep_ready_in_window(op, sqe)) ? 0 : prep_slow(op, sqe);
}
