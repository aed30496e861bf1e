/* SPDX-License-Identifier: MIT
 *
 * complete.c - a result becomes the view's length, or the operation is resumed; and the same without a ring.
 */
#include "uring/fast.h"
#include "uring/op.h"

#include <sys/uio.h>

/* ---- End -------------------------------------------------------------------------------------------------- */

static JDB_COLD void share_out(const jdb_uring_op *op)
{
    if (!op_writes(op))
        jdb_iov_share_out(op->views, op->view_count, op->moved_size);
}

static inline int finish(jdb_uring_op *op, int err)
{
    JDB_ASSERT(op->moved_size <= op->asked_size);
    if (JDB_UNLIKELY(op->view_count != 0))
        share_out(op);
    else if (!op_writes(op))
        op->view.len = op->moved_size;
    const int result = JDB_UNLIKELY((op->state & STATE_FILE) != 0) ? jdb__uring_end_file(op, err) : err;
    op_end(op);
    return result;
}

/* ---- Short results ---------------------------------------------------------------------------------------- */

static JDB_COLD int advance_read(jdb_uring_op *op, int64_t got)
{
    const jdb_read_plan plan = {
        .offset = op->offset, .size = op->asked_size, .wanted_size = op->asked_size, .align = op_align(op)};
    jdb_read_step step = {.next_size = op->flight_size, .next_skip = op->next_size, .filled_size = op->moved_size};
    const int64_t file_size = op->file_size > 0 ? op->file_size : -1;
    const int err = jdb_plan_read_step(&plan, got, file_size, &step);
    if (err != 0)
        return finish(op, -EIO);
    JDB_ASSERT(step.valid_size >= op->moved_size && step.next_skip <= step.valid_size); /* what was read stays read */
    op->moved_size = (size_t)step.valid_size;
    op->next_size = (size_t)step.next_skip;
    op->is_eof = step.is_done != 0 && op->moved_size < op->asked_size;
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

/* A write at the end of the file is not resumed: what another program appended meanwhile may stand between, and the
 * aligned offset to resume at lies before what was written already. */
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
    jdb_write_step step = {.next_size = op->flight_size, .next_skip = op->next_size, .done_size = op->moved_size};
    const int err = jdb_plan_write_step((uint32_t)op_align(op), &piece, got, &step);
    if (err != 0)
        return finish(op, -EIO);
    JDB_ASSERT(step.done_size >= op->moved_size &&
               step.next_skip <= step.done_size); /* what was written stays written */
    op->moved_size = (size_t)step.done_size;
    op->next_size = (size_t)step.next_skip;
    if (step.is_done == 0)
        return resume_write(op);
    return step.is_stalled != 0 ? finish(op, -EIO) : finish_write(op);
}

/* ---- Out of the window ------------------------------------------------------------------------------------ */

/* The range of the object that is all that pins the operation's memory, or NULL: it has a pin of its own. */
static struct uring_range *range_in_use(const jdb_uring_op *op)
{
    JDB_ASSERT(op->uring != NULL); /* the window is an object's */
    struct uring_range *const lists[2] = {op->uring->ranges, op->uring->leaving};
    for (unsigned i = 0; i < 2; i++)
        for (struct uring_range *range = lists[i]; range != NULL; range = range->next)
            if ((void *)&range->use_count == op->pin)
                return range;
    return NULL;
}

/* The operation may outlive the range when it is not in flight: it gets a pin of its own. */
static int pin_without_range(jdb_uring_op *op, struct uring_range *range)
{
    jdb_pin_mark mark;
    const int err = jdb_pin_marked(op->view.ptr, op->asked_size, &mark);
    JDB_ASSERT(atomic_load(&range->use_count) > 0); /* U8 */
    atomic_fetch_sub_explicit(&range->use_count, 1, memory_order_relaxed);
    op->pin = NULL;
    if (err == 0)
        op_keep_pin(op, &mark);
    if (range->is_removed)
        jdb__uring_free_left(op->uring);
    return err == -ENOTSUP ? 0 : err;
}

/* The fields that an operation in the window has not. */
static void fill_rest(jdb_uring_op *op)
{
    op->state &= ~(STATE_FAST | STATE_READY);
    op->asked_size = op_whole_size(op);
    op->flight_size = op->asked_size;
    op->next_size = 0;
    op->moved_size = 0;
    op->is_partial = 1;
    op->view_count = 0;
    op->retry_count = 0;
    op->flight_range = NULL;
    op->process = atomic_load_explicit(&jdb__uring_process, memory_order_relaxed);
}

void jdb__uring_thaw_ready(jdb_uring_op *op)
{
    JDB_ASSERT((op->state & (STATE_READY | STATE_IN_FLIGHT | STATE_PINS)) == STATE_READY);
    fill_rest(op);
    op->state |= STATE_PINNED | STATE_PIN_FRAME;
}

int jdb__uring_thaw(jdb_uring_op *op)
{
    struct uring_range *const range = range_in_use(op);
    JDB_ASSERT((op->state & (STATE_FAST | STATE_IN_FLIGHT | STATE_PINS)) == (STATE_FAST | STATE_IN_FLIGHT));
    fill_rest(op);
    op->state |= range == NULL ? STATE_PINNED | STATE_PIN_FRAME : 0;
    const int err = range != NULL ? pin_without_range(op, range) : 0;
    return bits_is_pow2(op_align(op)) ? err : -EINVAL;
}

/* ---- Results ---------------------------------------------------------------------------------------------- */

/* iovs are those of the call that brought the bytes. */
static inline void mark_written(const jdb_uring_op *op, size_t got)
{
    if (op->view_count == 0)
        memcheck_defined(op->view.ptr + op->next_size, got);
    for (uint32_t i = 0; i < op->view_count && got > 0; i++) {
        const size_t size = (size_t)bits_min(op->iovs[i].iov_len, got);
        memcheck_defined(op->iovs[i].iov_base, size);
        got -= size;
    }
}

/* got: bytes, 0 or more. */
static inline int advance(jdb_uring_op *op, size_t got)
{
    if (!op_writes(op))
        mark_written(op, got);
    if (JDB_LIKELY(got == op->asked_size)) {
        op->moved_size = got;
        return finish_write(op);
    }
    return op_writes(op) ? advance_write(op, (int64_t)got) : advance_read(op, (int64_t)got);
}

/* The file has no RWF_DONTCACHE, which shows at the first write where the file cannot be read. */
static bool result_drops_flag(jdb_uring_op *op, int32_t res)
{
    if (res != -EOPNOTSUPP || (op->state & STATE_FILE) == 0 || (op->rw_flags & JDB_FILE_RWF_DONTCACHE) == 0)
        return false;
    op->rw_flags &= ~JDB_FILE_RWF_DONTCACHE;
    return true;
}

static JDB_COLD int advance_bounced(jdb_uring_op *op, size_t got)
{
    const int err = jdb__uring_advance_bounced(op, got);
    return err == JDB_URING_RESUME ? err : finish(op, err);
}

/* A result that may be another when asked again. Of a descriptor with O_NONBLOCK -EAGAIN may be all that there is. */
static bool result_may_retry(jdb_uring_op *op, int32_t res)
{
    if (res != -EINTR && (res != -EAGAIN || (op->rw_flags & RWF_NOWAIT) != 0))
        return false;
    return op->retry_count++ < URING_RETRIES_MAX;
}

/* What the result makes of the operation. That of a sync is final: -EINTR and -EAGAIN may be the error of a writeback,
 * which the kernel reports once, and a second sync would return 0. */
static inline int take_result(jdb_uring_op *op, int32_t res)
{
    if (JDB_UNLIKELY((op->state & STATE_SYNCING) != 0))
        return finish(op, res < 0 ? res : 0);
    if (JDB_UNLIKELY(res < 0))
        return result_may_retry(op, res) || result_drops_flag(op, res) ? JDB_URING_RESUME : finish(op, res);
    op->retry_count = 0;
    if (JDB_UNLIKELY((op->state & STATE_ALLOCATES) != 0))
        return finish(op, 0);
    if (JDB_UNLIKELY((op->state & STATE_BOUNCED) != 0))
        return advance_bounced(op, (size_t)res);
    return advance(op, (size_t)res);
}

static JDB_NOINLINE int complete_slow(jdb_uring_op *op, int32_t res)
{
    if ((op->state & STATE_READY) != 0)
        jdb__uring_thaw_ready(op);
    const bool is_fixed = (op->state & STATE_FIXED) != 0;
    const int error = (op->state & STATE_FAST) != 0 ? jdb__uring_thaw(op) : 0;
    if (op->uring != NULL && res > 0)
        *(is_fixed ? &uring_hot(op->uring)->fixed_bytes : &op->uring->plain_bytes) += (uint32_t)res;
    op_leave_flight(op);
    const int err = take_result(op, res);
    if (err != JDB_URING_RESUME)
        return err;
    if (error != 0)
        return finish(op, error);
    if ((op->state & STATE_CANCELLED) != 0)
        return finish(op, -ECANCELED);
    op->state |= STATE_RESUMED;
    if (op->uring != NULL && (op->state & (STATE_SYNCING | STATE_ALLOCATES)) == 0)
        op->uring->resume_count++;
    return JDB_URING_RESUME;
}

URING_HOT int jdb_uring_complete(jdb_uring_op *op, int32_t res)
{
    if (JDB_UNLIKELY(op == NULL || op->state == 0))
        return -EINVAL;
    return JDB_LIKELY(complete_in_window(op, res)) ? 0 : complete_slow(op, res);
}

/* ---- Without a ring --------------------------------------------------------------------------------------- */

/* One system call for what is left: bytes or -errno. */
static int64_t transfer(jdb_uring_op *op)
{
    if ((op->state & STATE_SYNCING) != 0)
        return jdb__ring_sync(op->fd, (op->state & STATE_SYNC_DATA) != 0);
    if ((op->state & STATE_ALLOCATES) != 0)
        return jdb__ring_allocate(op->fd, op->mode, op->offset, op->asked_size);
    const bool is_one = op->view_count == 0;
    struct uring_request request = {.offset = op->offset + (int64_t)op->next_size};
    if (is_one)
        request = op_next_request(op);
    struct iovec one = {.iov_base = request.ptr, .iov_len = request.size};
    struct iovec *const iovs = is_one ? &one : op->iovs;
    const uint32_t count = is_one ? 1 : jdb__uring_fill_iovs(op);
    op->flight_size = is_one ? request.size : op->asked_size - op->next_size;
    if (op_writes(op))
        return jdb__ring_write_at(op->fd, iovs, count, request.offset, op->rw_flags);
    return jdb__ring_read_at(op->fd, iovs, count, request.offset, op->rw_flags);
}

int jdb_uring_run(jdb_uring_op *op)
{
    if (op == NULL || (op->state & STATE_STARTED) == 0)
        return -EINVAL;
    if ((op->state & STATE_IN_FLIGHT) != 0)
        return -EBUSY;
    if ((op->state & STATE_READY) != 0)
        jdb__uring_thaw_ready(op);
    op->state |= STATE_DESCRIPTOR;
    op->uring = NULL; /* which may be closed: nothing of the ring is needed from here on */
    int err = JDB_URING_RESUME;
    while (err == JDB_URING_RESUME)
        err = jdb_uring_complete(op, (int32_t)transfer(op));
    return err;
}
