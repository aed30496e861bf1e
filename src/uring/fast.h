/* SPDX-License-Identifier: MIT
 *
 * fast.h - an operation whose view lies in one frame of the window: pinned, prepared and completed by three lines of the
 * cache.
 *
 * What is checked elsewhere and not here: the alignment for resuming, which only a short result needs; the process, as
 * the hot line is zero in a child of fork(). All else that jdb_uring_prep() and its kin check is checked here, and what
 * does not pass goes the long way, which knows the reason.
 */
#ifndef JDB_URING_FAST_H
#define JDB_URING_FAST_H

#include "pin/frame_pins.h"
#include "uring/op.h"

/* Code that a program which waits for its device finds outside of the cache: from the start of a line on. */
#define URING_HOT __attribute__((hot, aligned(64)))

/* Flags with conditions. */
static inline bool flags_are_plain(const jdb_uring_op *op, bool is_write)
{
    return (op->sqe_flags & (ORDER_FLAGS | REFUSED_FLAGS)) == 0 && (op->rw_flags & WHOLE_FLAGS) == 0 &&
           (!is_write || op->guards == 0);
}

/* The slot of [at, at + size) of the window, or -1: not in it, not in one frame, or not registered. Memory in front of the
 * window has an `at` that wraps: its first and last byte differ in the highest bit where both comparisons would pass. */
static inline int32_t window_slot(const struct uring_hot *hot, size_t at, size_t size)
{
    const size_t last = at + (size - 1);
    if (JDB_UNLIKELY(size - 1 >= hot->max_view || last >= hot->size || (at ^ last) >> hot->pin_shift != 0))
        return -1;
    return hot->slots[at >> hot->region_shift];
}

/* Whether offset is 0 or more and offset + size within an int64_t; size: below 2^63. */
static inline bool is_file_range(int64_t offset, size_t size)
{
    return (int64_t)((uint64_t)offset | ((uint64_t)offset + size)) >= 0;
}

static inline void fill_fast_sqe(struct io_uring_sqe *sqe, const jdb_uring_op *op, unsigned opcode, size_t size,
                                 int32_t slot)
{
    sqe->opcode = (uint8_t)opcode;
    sqe->flags = op->sqe_flags;
    sqe->ioprio = 0;
    sqe->fd = op->fd;
    sqe->off = (uint64_t)op->offset;
    sqe->addr = (uintptr_t)op->view.ptr;
    sqe->len = (uint32_t)size;
    sqe->rw_flags = (__kernel_rwf_t)op->rw_flags;
    sqe->buf_index = (uint16_t)slot;
    sqe->personality = 0;
    sqe->file_index = 0;
    sqe->addr3 = 0;
    sqe->__pad2[0] = 0;
}

/* Pin the frame that the view lies in, and start the operation. Returns the slot, or -1: nothing is changed. */
static inline __attribute__((always_inline)) int32_t start_in_frame(jdb_uring *uring, jdb_uring_op *op, int fd,
                                                                    jdb_raw view, int64_t offset, bool is_write)
{
    const size_t size = is_write ? view.len : view.cap;
    const struct uring_hot *const hot = uring_hot(uring);
    const size_t at = (uintptr_t)view.ptr - (uintptr_t)hot->base;
    const int32_t slot = window_slot(hot, at, size);
    if (JDB_UNLIKELY(slot < 0 || !is_file_range(offset, size) || !flags_are_plain(op, is_write)))
        return -1;
    const struct frame_pins pins = {.counts = hot->pins};
    const uint32_t frame = (uint32_t)(at >> hot->pin_shift);
    _Atomic uint32_t *const pin = pins_of(&pins, frame);
    pins_note(&pins, frame);
    if (JDB_UNLIKELY(pins_increment(pin) != 0))
        return -1;
    op->view.ptr = view.ptr;
    op->view.len = is_write ? view.len : 0;
    op->view.cap = view.cap;
    op->offset = offset;
    op->is_eof = 0;
    op->is_partial = 0;
    op->fd = fd;
    op->uring = uring;
    op->pin = pin;
    return slot;
}

/* Fill the SQE of an operation that is started. kept: STATE_FILE, or 0. */
static inline __attribute__((always_inline)) void enter_flight_in_window(jdb_uring_op *op, struct io_uring_sqe *sqe,
                                                                         size_t size, int32_t slot, bool is_write,
                                                                         uint32_t kept)
{
    struct uring_hot *const hot = uring_hot(op->uring);
    check_lent(op->view.ptr, size, is_write);
    op->state = STATE_STARTED | STATE_IN_FLIGHT | STATE_FIXED | STATE_FAST | (is_write ? STATE_WRITES : 0) | kept;
    fill_fast_sqe(sqe, op, is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED, size, slot);
    hot->fixed_count++;
    hot->in_flight++;
}

/* Returns whether it is done; else nothing is changed. sqe: NULL and JDB_URING_LATER too. */
static inline __attribute__((always_inline)) bool prep_in_window(jdb_uring *uring, jdb_uring_op *op,
                                                                 struct io_uring_sqe *sqe, int fd, jdb_raw view,
                                                                 int64_t offset, bool is_write)
{
    if (JDB_UNLIKELY(uring == NULL || op == NULL || (uintptr_t)sqe + 1 <= 1 || op->state != 0))
        return false;
    const int32_t slot = start_in_frame(uring, op, fd, view, offset, is_write);
    if (JDB_UNLIKELY(slot < 0))
        return false;
    enter_flight_in_window(op, sqe, is_write ? view.len : view.cap, slot, is_write, 0);
    return true;
}

/* The two halves of it, for an SQE that comes later. Only in an arena: frames have pins of their own, whatever becomes of
 * the range. */
static inline bool start_in_window(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset,
                                   bool is_write)
{
    if (uring == NULL || op == NULL || op->state != 0 || uring_hot(uring)->pin_shift == WINDOW_WITHOUT_FRAMES)
        return false;
    if (start_in_frame(uring, op, fd, view, offset, is_write) < 0)
        return false;
    op->state = STATE_STARTED | STATE_READY | (is_write ? STATE_WRITES : 0);
    return true;
}

static inline bool prep_ready_in_window(jdb_uring_op *op, struct io_uring_sqe *sqe)
{
    if (op == NULL || (op->state & STATE_READY) == 0 || (uintptr_t)sqe + 1 <= 1)
        return false;
    const bool is_write = op_writes(op);
    const size_t size = op_whole_size(op);
    const struct uring_hot *const hot = uring_hot(op->uring);
    const int32_t slot = window_slot(hot, (uintptr_t)op->view.ptr - (uintptr_t)hot->base, size);
    if (slot < 0)
        return false;
    enter_flight_in_window(op, sqe, size, slot, is_write, op->state & STATE_FILE);
    return true;
}

/* The same for a result. Returns whether all is moved and the operation has ended; else nothing is changed. */
static inline __attribute__((always_inline)) bool complete_in_window(jdb_uring_op *op, int32_t res)
{
    const uint32_t state = op->state;
    const size_t size = op_whole_size(op);
    if (JDB_UNLIKELY((state & STATE_FAST) == 0 || (size_t)res != size))
        return false;
    struct uring_hot *const hot = uring_hot(op->uring);
    if (JDB_UNLIKELY(hot->is_quiet == 0))
        return false;
    JDB_ASSERT(hot->in_flight > 0); /* U7 */
    if ((state & STATE_WRITES) == 0) {
        op->view.len = size;
        memcheck_defined(op->view.ptr, size);
    }
    op->state = 0;
    hot->in_flight--;
    hot->fixed_bytes += size;
    (void)pins_decrement(op->pin); /* fails where another took the pin off */
    return true;
}

#endif
