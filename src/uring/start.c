/* SPDX-License-Identifier: MIT
 *
 * start.c - an operation is started: checked, its memory pinned, and its SQE filled; released again when it was never
 * prepared.
 */
#include "uring/fast.h"
#include "uring/op.h"

#include <string.h>

_Static_assert(sizeof(void *) != 8 || offsetof(jdb_uring_op, align) == 64, "one line of the cache for most operations");
_Static_assert(sizeof(void *) != 8 || sizeof(jdb_uring_op) == 256, "jdb_uring_op keeps its size");

/* ---- Check ------------------------------------------------------------------------------------------------ */

/* What is ordered, or may not be sent again in part, must go in one SQE. */
static JDB_COLD bool flags_fit(const jdb_uring_op *op, size_t size, uint32_t kind)
{
    const bool is_ordered = (op->sqe_flags & ORDER_FLAGS) != 0;
    const bool is_whole = is_ordered || ((kind & STATE_WRITES) != 0 && (op->rw_flags & WHOLE_FLAGS) != 0);
    if ((op->sqe_flags & REFUSED_FLAGS) != 0 || (is_ordered && (kind & STATE_SYNCS) != 0))
        return false;
    return !is_whole || (op->splits == 0 && size <= op_transfer_max(op));
}

static inline int check_start(const jdb_uring_op *op, size_t size, int64_t offset, uint32_t kind)
{
    if (op == NULL || size == 0 || offset < 0 || size > (size_t)(INT64_MAX - offset) || !bits_is_pow2(op_align(op)))
        return -EINVAL;
    if (JDB_UNLIKELY((op->sqe_flags & (ORDER_FLAGS | REFUSED_FLAGS)) != 0 || (op->rw_flags & WHOLE_FLAGS) != 0) &&
        !flags_fit(op, size, kind))
        return -EINVAL;
    return (op->state & STATE_STARTED) != 0 ? -EBUSY : 0;
}

/* What sync adds to the kind of a write, or 0 for a number that is none. */
static uint32_t sync_state(uint32_t sync)
{
    return sync == JDB_URING_SYNC_DATA ? STATE_SYNC_DATA : sync == JDB_URING_SYNC_FILE ? STATE_SYNC_FILE : 0;
}

/* ---- Start ------------------------------------------------------------------------------------------------ */

/* What the two forms of an operation share. */
static void begin(jdb_uring_op *op, jdb_uring *uring, int fd, size_t size, int64_t offset, uint32_t state)
{
    op->offset = offset;
    op->uring = uring;
    op->fd = fd;
    op->pin = NULL;
    op->asked_size = size;
    op->next_size = 0;
    op->flight_size = 0;
    op->moved_size = 0;
    op->is_partial = 1;
    op->is_eof = 0;
    op->state = STATE_STARTED | state;
    op->retry_count = 0;
    op->view_count = 0;
    op->flight_range = NULL;
    op->process = atomic_load_explicit(&jdb__uring_process, memory_order_relaxed);
}

/* Memory of an arena that the object knows is pinned without a search. As jdb_pin_marked(). */
static int pin_view(jdb_uring *uring, const uint8_t *ptr, size_t size, jdb_pin_mark *ret_mark)
{
    const struct uring_range *const range = uring == NULL ? NULL : uring_range_at(uring, ptr);
    if (range != NULL && range->arena != NULL)
        return jdb_arena_pin(range->arena, (uint64_t)(ptr - range->ptr), size, ret_mark);
    return jdb_pin_marked(ptr, size, ret_mark);
}

int jdb__uring_start(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset, uint32_t kind)
{
    const bool is_write = (kind & STATE_WRITES) != 0;
    const size_t size = is_write ? view.len : view.cap;
    jdb_pin_mark mark;
    int err = view.ptr == NULL ? -EINVAL : check_start(op, size, offset, kind);
    if (err != 0)
        return err;
    err = pin_view(uring, view.ptr, size, &mark);
    if (err != 0 && err != -ENOTSUP)
        return err;
    begin(op, uring, fd, size, offset, kind);
    op->view = view;
    op->view.len = is_write ? view.len : 0;
    if (err == 0)
        op_keep_pin(op, &mark);
    if (op->guards != 0 && is_write && err == 0)
        jdb__uring_guard(op);
    return 0;
}

/* Whether a file whose blocks have op->align bytes takes the read as it is. */
static bool is_aligned_read(const jdb_uring_op *op, jdb_raw view, int64_t offset)
{
    return (((uintptr_t)view.ptr | view.cap | (uint64_t)offset) & (op_align(op) - 1)) == 0;
}

/* What must go in one SQE fits the bounce memory, and one call. */
static int check_bounced(const jdb_uring_op *op, jdb_raw view, int64_t offset, size_t bounce_size)
{
    jdb_read_plan plan;
    const int err = jdb_plan_read((uint32_t)op_align(op), offset, view.cap, &plan);
    if (err != 0)
        return err;
    const bool is_one = plan.size <= bounce_size && plan.wanted_size == view.cap;
    return bounce_size != 0 && (is_one || (op->sqe_flags & ORDER_FLAGS) == 0) ? 0 : -EINVAL;
}

static int start_bounced(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset, jdb_raw bounce)
{
    int err = view.ptr == NULL || bounce.ptr == NULL ? -EINVAL : check_start(op, view.cap, offset, 0);
    if (err != 0)
        return err;
    const size_t bounce_size = (size_t)bits_round_down(bounce.cap, op_align(op));
    err = check_bounced(op, view, offset, bounce_size);
    if (err != 0)
        return err;
    const int pin_error = jdb_pin(bounce.ptr, bounce_size);
    if (pin_error != 0 && pin_error != -ENOTSUP)
        return pin_error;
    err = jdb__uring_start(uring, op, fd, view, offset, STATE_BOUNCED | (pin_error == 0 ? STATE_BOUNCE_PINNED : 0));
    if (err != 0 && pin_error == 0)
        (void)jdb_unpin(bounce.ptr, bounce_size);
    if (err != 0)
        return err;
    op->bounce = bounce.ptr;
    op->bounce_size = bounce_size;
    return 0;
}

static int start_views(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                       struct iovec *iovs, int64_t offset, uint32_t kind)
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
    begin(op, uring, fd, size, offset, kind);
    op->view = jdb_raw_new(NULL, 0);
    op->views = views;
    op->iovs = iovs;
    op->view_count = view_count;
    if (!is_write)
        jdb_iov_share_out(views, view_count, 0);
    return 0;
}

/* ---- Start and prepare ------------------------------------------------------------------------------------ */

/* liburing cannot take an SQE back, so one without an operation does nothing and completes without a word. */
static JDB_COLD void cancel_sqe(struct io_uring_sqe *sqe)
{
    memset(sqe, 0, sizeof *sqe); /* newer versions of liburing leave fields as io_uring_get_sqe() made them */
    io_uring_prep_nop(sqe);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = 0;
}

int jdb__uring_prep_started(jdb_uring_op *op, struct io_uring_sqe *sqe, int err)
{
    if (sqe == JDB_URING_LATER)
        return err;
    if (err == 0)
        return jdb_uring_prep(op, sqe);
    cancel_sqe(sqe);
    return err;
}

/* Whether the view is in a range that has become the window now. */
static bool move_window(jdb_uring *uring, const uint8_t *ptr)
{
    if (uring == NULL || !uring_is_here(uring))
        return false;
    const struct uring_hot *const hot = uring_hot(uring);
    if ((uintptr_t)ptr - (uintptr_t)hot->base < hot->size)
        return false;
    struct uring_range *const range = uring_range_at(uring, ptr);
    return range != NULL && jdb__uring_set_window(uring, range);
}

static JDB_NOINLINE int prep_slow(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                                  int64_t offset, uint32_t kind)
{
    const bool is_write = (kind & STATE_WRITES) != 0;
    if (sqe == NULL)
        return -EBUSY;
    if (sqe == JDB_URING_LATER && start_in_window(uring, op, fd, view, offset, is_write))
        return 0;
    if (move_window(uring, view.ptr)) {
        if (sqe == JDB_URING_LATER && start_in_window(uring, op, fd, view, offset, is_write))
            return 0;
        if (prep_in_window(uring, op, sqe, fd, view, offset, is_write))
            return 0;
    }
    return jdb__uring_prep_started(op, sqe, jdb__uring_start(uring, op, fd, view, offset, kind));
}

URING_HOT int jdb_uring_prep_read(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                                  int64_t offset)
{
    if (JDB_LIKELY(prep_in_window(uring, op, sqe, fd, view, offset, false)))
        return 0;
    return prep_slow(uring, op, sqe, fd, view, offset, 0);
}

URING_HOT int jdb_uring_prep_write(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                                   int64_t offset)
{
    if (JDB_LIKELY(prep_in_window(uring, op, sqe, fd, view, offset, true)))
        return 0;
    return prep_slow(uring, op, sqe, fd, view, offset, STATE_WRITES);
}

int jdb_uring_prep_read_any(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                            int64_t offset, jdb_raw bounce)
{
    if (sqe == NULL)
        return -EBUSY;
    if (op == NULL)
        return jdb__uring_prep_started(op, sqe, -EINVAL);
    if (is_aligned_read(op, view, offset))
        return jdb_uring_prep_read(uring, op, sqe, fd, view, offset);
    return jdb__uring_prep_started(op, sqe, start_bounced(uring, op, fd, view, offset, bounce));
}

int jdb_uring_prep_write_sync(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw view,
                              int64_t offset, uint32_t sync)
{
    const uint32_t state = sync_state(sync);
    if (sqe == NULL)
        return -EBUSY;
    return jdb__uring_prep_started(
        op, sqe, state == 0 ? -EINVAL : jdb__uring_start(uring, op, fd, view, offset, STATE_WRITES | state));
}

int jdb_uring_prep_readv(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw *views,
                         uint32_t view_count, struct iovec *iovs, int64_t offset)
{
    if (sqe == NULL)
        return -EBUSY;
    return jdb__uring_prep_started(op, sqe, start_views(uring, op, fd, views, view_count, iovs, offset, 0));
}

int jdb_uring_prep_writev(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw *views,
                          uint32_t view_count, struct iovec *iovs, int64_t offset)
{
    if (sqe == NULL)
        return -EBUSY;
    return jdb__uring_prep_started(op, sqe, start_views(uring, op, fd, views, view_count, iovs, offset, STATE_WRITES));
}

int jdb_uring_prep_writev_sync(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, jdb_raw *views,
                               uint32_t view_count, struct iovec *iovs, int64_t offset, uint32_t sync)
{
    const uint32_t state = sync_state(sync);
    if (sqe == NULL)
        return -EBUSY;
    const int err =
        state == 0 ? -EINVAL : start_views(uring, op, fd, views, view_count, iovs, offset, STATE_WRITES | state);
    return jdb__uring_prep_started(op, sqe, err);
}

/* ---- Without memory --------------------------------------------------------------------------------------- */

/* What has no view is one SQE, and can be linked to others. */
static int start_without_view(jdb_uring *uring, jdb_uring_op *op, int fd, size_t size, int64_t offset, uint32_t kind)
{
    if (op == NULL || (op->sqe_flags & REFUSED_FLAGS) != 0)
        return -EINVAL;
    if ((op->state & STATE_STARTED) != 0)
        return -EBUSY;
    begin(op, uring, fd, size, offset, kind);
    op->view = jdb_raw_new(NULL, 0);
    return 0;
}

int jdb_uring_prep_sync(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, uint32_t sync)
{
    const uint32_t state = sync_state(sync);
    if (sqe == NULL)
        return -EBUSY;
    const int err = state == 0 ? -EINVAL : start_without_view(uring, op, fd, 0, 0, state | STATE_SYNCING);
    return jdb__uring_prep_started(op, sqe, err);
}

int jdb_uring_prep_allocate(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, int fd, uint32_t mode,
                            int64_t offset, uint64_t size)
{
    if (sqe == NULL)
        return -EBUSY;
    const bool is_range = offset >= 0 && size > 0 && size <= (uint64_t)INT64_MAX - (uint64_t)offset;
    int err = is_range && size <= SIZE_MAX ? 0 : -EINVAL;
    if (err == 0)
        err = start_without_view(uring, op, fd, (size_t)size, offset, STATE_ALLOCATES);
    if (err == 0)
        op->mode = mode;
    return jdb__uring_prep_started(op, sqe, err);
}

/* ---- Release ---------------------------------------------------------------------------------------------- */

/* Of an operation in flight: whether it was started by the parent of this child of fork(). The object that it points to is
 * there, since a child frees none of its parent's. */
static bool is_parents(const jdb_uring_op *op)
{
    if ((op->state & STATE_FAST) != 0)
        return !uring_is_here(op->uring);
    return op->process != atomic_load_explicit(&jdb__uring_process, memory_order_relaxed);
}

/* The kernel writes to the parent's memory, not to this copy. The pins of frames and ranges are forgotten in a child. */
static JDB_COLD void release_parents(jdb_uring_op *op)
{
    if ((op->state & STATE_FAST) != 0) {
        op->state = 0;
        return;
    }
    op->state &= ~STATE_IN_FLIGHT;
    op->uring = NULL;
    op->flight_range = NULL;
    op_end(op);
}

int jdb_uring_release(jdb_uring_op *op)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return 0;
    const bool is_in_flight = (op->state & STATE_IN_FLIGHT) != 0;
    if (is_in_flight && !is_parents(op))
        return -EBUSY;
    if ((op->state & STATE_READY) != 0)
        jdb__uring_thaw_ready(op);
    if (is_in_flight)
        release_parents(op);
    else
        op_end(op);
    return 0;
}

/* ---- Exported twins --------------------------------------------------------------------------------------- */

extern inline int jdb_uring_read(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset);
extern inline int jdb_uring_read_any(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset,
                                     jdb_raw bounce);
extern inline int jdb_uring_write(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset);
extern inline int jdb_uring_readv(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                                  struct iovec *iovs, int64_t offset);
extern inline int jdb_uring_writev(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                                   struct iovec *iovs, int64_t offset);
extern inline int jdb_uring_write_sync(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw view, int64_t offset,
                                       uint32_t sync);
extern inline int jdb_uring_writev_sync(jdb_uring *uring, jdb_uring_op *op, int fd, jdb_raw *views, uint32_t view_count,
                                        struct iovec *iovs, int64_t offset, uint32_t sync);
extern inline int jdb_uring_read_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw view, int64_t offset);
extern inline int jdb_uring_write_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw view, int64_t offset,
                                       uint32_t durability);
extern inline int jdb_uring_readv_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw *views,
                                       uint32_t view_count, struct iovec *iovs, int64_t offset);
extern inline int jdb_uring_writev_file(jdb_uring *uring, jdb_uring_op *op, jdb_file *file, jdb_raw *views,
                                        uint32_t view_count, struct iovec *iovs, int64_t offset, uint32_t durability);
extern inline size_t jdb_uring_done_size(const jdb_uring_op *op);
