/* SPDX-License-Identifier: MIT
 *
 * op.h - the state of an operation, and how it passes from stage to stage.
 *
 *     0 --start--> STARTED --prep--> STARTED | IN_FLIGHT --complete--> 0, or STARTED again to be resumed
 *                     \--release--> 0
 *
 * The memory is pinned in both states with STARTED (U5). Only a completion ends IN_FLIGHT: the kernel may write to the
 * memory until then, whatever became of the ring.
 *
 * Progress is kept in bytes of the view: [0, moved_size) is moved, [next_size, next_size + flight_size) is what the SQE
 * asks for. next_size is at most moved_size, by less than the alignment, since a short result is resumed at the last
 * aligned offset.
 *
 * An operation with STATE_BOUNCED reads into its bounce memory, and moved_size is what was copied to the view (bounce.c).
 *
 * The first line of an operation is all that most of them need. One that was prepared in the window (window.c) has
 * STATE_FAST, and its pin is the address of a count; when it completes whole, nothing else was set. jdb__uring_thaw() fills
 * the other fields of one that does not. One that was started there without an SQE has STATE_READY until it is prepared.
 */
#ifndef JDB_URING_OP_H
#define JDB_URING_OP_H

#include "base/bits.h"
#include "base/memcheck.h"
#include "jdb_alloc/direct.h"
#include "jdb_alloc/iov.h"
#include "jdb_alloc/pin.h"
#include "pin/pin_mark.h"
#include "uring/state.h"

#define STATE_STARTED 1u
#define STATE_PINNED 2u
#define STATE_WRITES 4u
#define STATE_FIXED 8u      /* the SQE in flight uses a fixed buffer */
#define STATE_GUARDED 16u   /* whole pages of the view are read-only */
#define STATE_IN_FLIGHT 32u /* prepared, and not complete */
#define STATE_CANCELLED 64u /* not to be resumed */
#define STATE_RESUMED 128u
#define STATE_SYNC_DATA 256u /* fdatasync follows the write, or fsync */
#define STATE_SYNC_FILE 512u
#define STATE_SYNCING 1024u    /* every byte is written, the sync is next */
#define STATE_DESCRIPTOR 2048u /* fd is no index, whatever sqe_flags say: done without a ring */
#define STATE_FAST 4096u       /* in flight, in the window: the fields behind the first line are not set */
#define STATE_PIN_FRAME 8192u  /* where the pin is kept, as pin_mark.h has it; neither: it is searched for */
#define STATE_PIN_RUN 16384u
#define STATE_ALLOCATES 32768u /* fallocate(2): no bytes are moved */
#define STATE_FILE 65536u      /* of a jdb_file, which is to know of its result */
#define STATE_BOUNCED 131072u  /* a read of any range: the kernel writes to the bounce memory */
#define STATE_BOUNCE_PINNED 262144u
#define STATE_READY 524288u /* started in the window, and not in flight: as STATE_FAST, its pin is a frame's */
#define STATE_PINS (STATE_PINNED | STATE_PIN_FRAME | STATE_PIN_RUN)
#define STATE_SYNCS (STATE_SYNC_DATA | STATE_SYNC_FILE)

/* Newer than the C library's headers. Source: include/uapi/linux/fs.h, since Linux 6.9 and 6.11. */
#define RWF_KEEPS_OFFSET 0x20u                                 /* RWF_NOAPPEND */
#define RWF_ALL_OR_NONE 0x40u                                  /* RWF_ATOMIC */
#define RWF_FILE (JDB_FILE_RWF_DSYNC | JDB_FILE_RWF_DONTCACHE) /* set by the file, not by the caller */

/* What orders an SQE among others in the ring: it holds for one SQE, not for those that resume it. */
#define ORDER_FLAGS (IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN)
/* A completion that does not come unpins nothing; memory that the kernel chooses is not the view. */
#define REFUSED_FLAGS (IOSQE_CQE_SKIP_SUCCESS | IOSQE_BUFFER_SELECT)
/* Writes whose rest must not be sent again. */
#define WHOLE_FLAGS (RWF_APPEND | RWF_ALL_OR_NONE)

/* Offset alignment for resuming, bytes. */
static inline size_t op_align(const jdb_uring_op *op)
{
    return op->align != 0 ? op->align : JDB_PAGE_SIZE;
}

static inline bool op_writes(const jdb_uring_op *op)
{
    return (op->state & STATE_WRITES) != 0;
}

/* Bytes that one SQE can move. */
static inline size_t op_transfer_max(const jdb_uring_op *op)
{
    return (size_t)bits_round_down(JDB_TRANSFER_MAX, op_align(op));
}

/* Bytes that are left, as many as one call can move. */
static inline size_t op_next_bytes(const jdb_uring_op *op)
{
    const size_t left = op->asked_size - op->next_size;
    JDB_ASSERT(op->next_size < op->asked_size);
    return left < JDB_TRANSFER_MAX ? left : op_transfer_max(op);
}

/* What one call moves. */
struct uring_request {
    uint8_t *ptr;
    size_t size;
    int64_t offset; /* in the file */
};

/* The next one of an operation with STATE_BOUNCED (bounce.c). */
struct uring_request jdb__uring_bounce_request(const jdb_uring_op *op);

/* The next one of an operation on one view. */
static inline struct uring_request op_next_request(const jdb_uring_op *op)
{
    if (JDB_UNLIKELY((op->state & STATE_BOUNCED) != 0))
        return jdb__uring_bounce_request(op);
    return (struct uring_request){op->view.ptr + op->next_size, op_next_bytes(op), op->offset + (int64_t)op->next_size};
}

/* Take `got` bytes of the bounce memory. 0: all that the file has is in the view; JDB_URING_RESUME; -EIO: more than was
 * asked for. */
int jdb__uring_advance_bounced(jdb_uring_op *op, size_t got);

/* Bytes that a call moves which moves all. */
static inline size_t op_whole_size(const jdb_uring_op *op)
{
    return op_writes(op) ? op->view.len : op->view.cap;
}

/* Writes a line and aborts. */
JDB_COLD _Noreturn void jdb__uring_not_lent(const void *ptr, const void *found);

/* ---- Pins ------------------------------------------------------------------------------------------------- */

/* Keep what jdb_pin_marked() noted; the view's address and asked_size are the rest of it. */
static inline void op_keep_pin(jdb_uring_op *op, const jdb_pin_mark *mark)
{
    op->pin = mark->count;
    op->state |= STATE_PINNED | (mark->kind == PIN_MARK_FRAME ? STATE_PIN_FRAME : 0) |
                 (mark->kind == PIN_MARK_RUN ? STATE_PIN_RUN : 0);
}

static inline void op_unpin(const jdb_uring_op *op, uint32_t state)
{
    jdb_pin_mark mark;
    const uint32_t kind = (state & STATE_PIN_FRAME) != 0 ? PIN_MARK_FRAME : PIN_MARK_RUN;
    JDB_ASSERT((state & STATE_PINNED) != 0 && (op->pin == NULL) == ((state & (STATE_PIN_FRAME | STATE_PIN_RUN)) == 0));
    pin_mark_set(&mark, op->view.ptr, op->asked_size, kind, op->pin);
    (void)jdb_unpin_marked(&mark);
}

/* Take an operation out of the window: STATE_FAST ends, the fields behind the first line are set, and its memory is pinned
 * where only the range was. -EINVAL: align is no power of two, or the buffer was dropped; it is not pinned then, and must
 * end. */
int jdb__uring_thaw(jdb_uring_op *op);

/* The same of one that is not in flight. Its pin stays: of a frame. */
void jdb__uring_thaw_ready(jdb_uring_op *op);

/* The kernel would use memory that is not lent, and no checker sees the kernel: stopped where one is at work. */
static inline void check_lent(const void *ptr, size_t size, bool is_write)
{
    const void *const found = memcheck_find_free(ptr, size, is_write);
    if (JDB_UNLIKELY(found != NULL))
        jdb__uring_not_lent(ptr, found);
}

/* What is left of the views, as iovs; returns how many. */
uint32_t jdb__uring_fill_iovs(const jdb_uring_op *op);

/* ---- Start ------------------------------------------------------------------------------------------------ */

/* Check, pin, begin: kind is STATE_WRITES and what the end of the operation needs. As jdb_uring_prep_read(). */
int jdb__uring_start(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset, uint32_t kind);

/* Prepare what was started, unless it is for later; without it (err) the SQE becomes a no-op. Returns err. */
int jdb__uring_prep_started(jdb_uring_op *op, struct io_uring_sqe *sqe, int err);

/* ---- Files (file.c) --------------------------------------------------------------------------------------- */

/* Report the result of an operation of STATE_FILE to its file: err, or the error that the file has for it. */
JDB_COLD int jdb__uring_end_file(const jdb_uring_op *op, int err);

/* ---- Guards ----------------------------------------------------------------------------------------------- */

/* Make the whole pages that a write is made from read-only, where the system allows it. */
void jdb__uring_guard(jdb_uring_op *op);

/* And writable again, but for those that another operation guards. */
void jdb__uring_unguard(jdb_uring_op *op);

/* In a child of fork(), where nothing of the parent is in flight. */
void jdb__uring_forget_guards(void);

/* ---- In flight -------------------------------------------------------------------------------------------- */

static inline void op_leave_range(jdb_uring_op *op)
{
    struct uring_range *const range = op->flight_range;
    op->flight_range = NULL;
    JDB_ASSERT(range->release_tag != 0 && range->flight_count > 0); /* U8 */
    if (--range->flight_count == 0 && range->is_removed)
        jdb__uring_free_left(op->uring);
}

/* The kernel is done with the operation. op->uring is NULL afterwards where the ring is gone, or the parent's. */
static inline void op_leave_flight(jdb_uring_op *op)
{
    jdb_uring *const uring = op->uring;
    JDB_ASSERT((op->state & STATE_FAST) == 0);
    if ((op->state & STATE_IN_FLIGHT) == 0)
        return;
    op->state &= ~STATE_IN_FLIGHT;
    if (uring == NULL)
        return;
    if (JDB_UNLIKELY(!uring_is_here(uring))) {
        op->uring = NULL;
        op->flight_range = NULL;
        return;
    }
    JDB_ASSERT(uring_hot(uring)->in_flight > 0); /* U7 */
    if (JDB_UNLIKELY(op->flight_range != NULL))
        op_leave_range(op);
    op->state |= uring->is_cancelling ? STATE_CANCELLED : 0;
    uring_hot(uring)->in_flight--;
    if (JDB_LIKELY(uring->ring != NULL))
        return;
    op->uring = NULL;
    jdb__uring_free_abandoned(uring);
}

/* range: that the SQE names a slot of, or NULL. */
static inline void op_enter_flight(jdb_uring_op *op, struct uring_range *range)
{
    jdb_uring *const uring = op->uring;
    JDB_ASSERT((op->state & (STATE_STARTED | STATE_IN_FLIGHT)) == STATE_STARTED);
    JDB_ASSERT(op->flight_range == NULL && (range == NULL || uring != NULL)); /* U8 */
    op->state = (op->state & ~STATE_FIXED) | STATE_IN_FLIGHT | (range != NULL ? STATE_FIXED : 0);
    if (uring == NULL)
        return;
    uring_hot(uring)->in_flight++;
    if (range == NULL || JDB_LIKELY(range->release_tag == 0))
        return;
    JDB_ASSERT(range->region_count > 0 && !range->is_removed);
    op->flight_range = range;
    range->flight_count++;
}

/* ---- End -------------------------------------------------------------------------------------------------- */

/* What few operations have besides their pin. */
static JDB_COLD void op_end_rare(jdb_uring_op *op, uint32_t state)
{
    if ((state & STATE_GUARDED) != 0)
        jdb__uring_unguard(op);
    if ((state & STATE_BOUNCE_PINNED) != 0)
        (void)jdb_unpin(op->bounce, op->bounce_size);
}

/* Unpin: the operation may be started again. */
static inline void op_end(jdb_uring_op *op)
{
    const uint32_t state = op->state;
    JDB_ASSERT((state & (STATE_STARTED | STATE_IN_FLIGHT)) == STATE_STARTED); /* U5 */
    op->state = 0;
    if (JDB_UNLIKELY((state & (STATE_GUARDED | STATE_BOUNCE_PINNED)) != 0))
        op_end_rare(op, state);
    if (JDB_LIKELY((state & STATE_PINNED) != 0))
        op_unpin(op, state);
    if (JDB_UNLIKELY(op->view_count != 0))
        jdb_iov_unpin(op->views, op->view_count, (state & STATE_WRITES) != 0);
}

#endif
