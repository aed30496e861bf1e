/* SPDX-License-Identifier: MIT
 *
 * uring_op.c - one read or write from start to completion: pinned, prepared, resumed when short. Floor 5.
 */
#include "uring.h"

#include "bits.h"
#include "jdb_alloc/pin.h"

#include <limits.h>
#include <sys/uio.h>

#define STATE_STARTED 1u
#define STATE_PINNED 2u
#define STATE_WRITES 4u
#define STATE_FIXED 8u /* the SQE in flight uses a fixed buffer */

/* The most that Linux moves in one call, MAX_RW_COUNT: 2 GiB less a page. */
#define TRANSFER_MAX ((size_t)0x7ffff000)

static size_t align_of(const jdb_uring_op *op)
{
    return op->align != 0 ? op->align : JDB_PAGE_SIZE;
}

/* ---- Start and end ---------------------------------------------------------------------------------------- */

static int start(jdb_uring_op *op, int fd, jdb_raw view, size_t size, int64_t offset, uint32_t kind)
{
    if (op == NULL || view.ptr == NULL || size == 0 || offset < 0 || size > (size_t)(INT64_MAX - offset) ||
        !bits_is_pow2(align_of(op)))
        return -EINVAL;
    if ((op->state & STATE_STARTED) != 0)
        return -EBUSY;
    const int err = jdb_pin(view.ptr, size);
    if (err != 0 && err != -ENOTSUP)
        return err;
    op->view = view;
    op->offset = offset;
    op->fd = fd;
    op->asked_size = size;
    op->next_size = 0;
    op->done_size = 0;
    op->flight_size = 0;
    op->is_eof = 0;
    op->state = STATE_STARTED | kind | (err == 0 ? STATE_PINNED : 0);
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

void jdb_uring_release(jdb_uring_op *op)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return;
    if ((op->state & STATE_PINNED) != 0)
        jdb_unpin(op->view.ptr, op->asked_size);
    op->state = 0;
}

/* ---- Prepare ---------------------------------------------------------------------------------------------- */

/* What is left, as much as one call can move. */
static size_t next_bytes(const jdb_uring_op *op)
{
    const size_t left = op->asked_size - op->next_size;
    return left < TRANSFER_MAX ? left : bits_round_down(TRANSFER_MAX, align_of(op));
}

static uint8_t opcode_of(bool writes, bool is_fixed)
{
    if (writes)
        return is_fixed ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
    return is_fixed ? IORING_OP_READ_FIXED : IORING_OP_READ;
}

void jdb_uring_prep(jdb_uring *door, jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    uint8_t *const ptr = op->view.ptr + op->next_size;
    size_t size = next_bytes(op);
    const int32_t slot = door == NULL ? -1 : uring_slot(door, ptr, align_of(op), op->splits != 0, &size);
    const bool is_fixed = slot >= 0;
    sqe->opcode = opcode_of((op->state & STATE_WRITES) != 0, is_fixed);
    sqe->flags = (uint8_t)op->sqe_flags;
    sqe->ioprio = 0;
    sqe->fd = op->fd;
    sqe->off = (uint64_t)op->offset + op->next_size;
    sqe->addr = (uintptr_t)ptr;
    sqe->len = (uint32_t)size;
    sqe->rw_flags = (__kernel_rwf_t)op->rw_flags;
    sqe->buf_index = is_fixed ? (uint16_t)slot : 0;
    sqe->personality = 0;
    sqe->file_index = 0;
    sqe->addr3 = 0;
    sqe->__pad2[0] = 0;
    op->flight_size = size;
    op->state = is_fixed ? op->state | STATE_FIXED : op->state & ~STATE_FIXED;
    if (door != NULL) {
        door->fixed_count += is_fixed;
        door->plain_count += !is_fixed;
    }
}

/* ---- Complete --------------------------------------------------------------------------------------------- */

static int finish(jdb_uring_op *op, int err)
{
    if ((op->state & STATE_WRITES) == 0)
        op->view.len = op->done_size;
    jdb_uring_release(op);
    return err;
}

/* Where an operation that got `got` bytes of the SQE in flight goes on: behind what is done, or at the aligned offset
 * below, when the file was met at aligned offsets so far. */
static size_t resume_at(const jdb_uring_op *op, size_t reached)
{
    const size_t align = align_of(op);
    if ((uint64_t)op->offset % align != 0)
        return reached;
    return bits_round_down(reached, align);
}

/* res: bytes, 0 or more. */
static int advance(jdb_uring_op *op, size_t got)
{
    const size_t reached = op->next_size + got;
    const bool writes = (op->state & STATE_WRITES) != 0;
    if (reached <= op->done_size || got == 0) {
        op->is_eof = !writes;
        return finish(op, writes ? -EIO : 0);
    }
    op->done_size = reached < op->asked_size ? reached : op->asked_size;
    if (op->done_size == op->asked_size)
        return finish(op, 0);
    op->next_size = resume_at(op, reached);
    return JDB_URING_RESUME;
}

static bool is_transient(const jdb_uring_op *op, int32_t res)
{
    return res == -EINTR || (res == -EAGAIN && (op->rw_flags & RWF_NOWAIT) == 0);
}

int jdb_uring_complete(jdb_uring *door, jdb_uring_op *op, int32_t res)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return -EINVAL;
    if (door != NULL && res > 0) {
        door->fixed_bytes += (op->state & STATE_FIXED) != 0 ? (uint32_t)res : 0;
        door->plain_bytes += (op->state & STATE_FIXED) == 0 ? (uint32_t)res : 0;
    }
    int err = JDB_URING_RESUME;
    if (res >= 0)
        err = advance(op, (size_t)res);
    else if (!is_transient(op, res))
        err = finish(op, res);
    if (door != NULL && err == JDB_URING_RESUME)
        door->resume_count++;
    return err;
}

/* ---- Without a ring --------------------------------------------------------------------------------------- */

int jdb_uring_run(jdb_uring_op *op)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return -EINVAL;
    int err = JDB_URING_RESUME;
    while (err == JDB_URING_RESUME) {
        const struct iovec iov = {.iov_base = op->view.ptr + op->next_size, .iov_len = next_bytes(op)};
        const off_t offset = (off_t)op->offset + (off_t)op->next_size;
        const ssize_t got = (op->state & STATE_WRITES) != 0 ? pwritev2(op->fd, &iov, 1, offset, (int)op->rw_flags)
                                                            : preadv2(op->fd, &iov, 1, offset, (int)op->rw_flags);
        err = jdb_uring_complete(NULL, op, got < 0 ? -errno : (int32_t)got);
    }
    return err;
}
