/* SPDX-License-Identifier: MIT
 *
 * queue.c - see queue.h.
 */
#include "cp/queue.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/sizes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* How long queue_close() waits for what is in flight; and how long after a signal, or after a wait that failed. */
#define DRAIN_MS 10000u
#define DRAIN_SHORT_MS 500u

/* ---- Memory ----------------------------------------------------------------------------------------------- */

static int allocate_frames(struct queue *queue, size_t frame_size)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = frame_size;
    options.frame_count = queue->depth;
    options.pages = JDB_ARENA_PAGES_THP; /* frames that lie in few pages are pinned by few steps */
    int err = jdb_arena_new(&options, &queue->arena);
    for (uint32_t i = 0; err == 0 && i < queue->depth; i++)
        err = jdb_arena_view(queue->arena, i, 1, &queue->slots[i].frame);
    return err;
}

/* ---- Results ---------------------------------------------------------------------------------------------- */

/* Takes a result of the system, bytes or -errno. Returns as jdb_uring_complete(): JDB_URING_RESUME where the operation is to
 * be started once more, after a sleep if it was refused for the moment. */
static int take_result(struct queue *queue, struct queue_slot *slot, int result)
{
    const int err = jdb_uring_complete(&slot->op, result);
    if (err != JDB_URING_RESUME)
        return err;
    const bool is_refused = result < 0;
    if (!is_refused)
        patience_reset(&slot->patience);
    if (!queue->is_ending && (!is_refused || patience_sleep(&slot->patience)))
        return JDB_URING_RESUME;
    jdb_uring_release(&slot->op);
    return is_refused ? result : -ECANCELED;
}

/* ---- io_uring --------------------------------------------------------------------------------------------- */

static void set_reason(struct queue *queue, const char *what, jdb_uring_reason why)
{
    (void)snprintf(queue->reason, sizeof queue->reason, "%s: %s: %s; %s", what, strerror(abs(why.err)), why.reason,
                   why.remedy);
}

static int ring_open(struct queue *queue)
{
    /* Completions are run when we wait, on our own time: no interrupts of the copying thread. Since Linux 6.1. */
    const unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int err = io_uring_queue_init(queue->depth, &queue->ring, flags);
    if (err == -EINVAL)
        err = io_uring_queue_init(queue->depth, &queue->ring, 0);
    if (err != 0) {
        set_reason(queue, "no io_uring", jdb_uring_explain_ring(err));
        return err;
    }
    queue->is_uring = true;
    return 0;
}

/* Frames that cannot be registered are used as they are, with the reason. */
static int ring_register(struct queue *queue)
{
    const jdb_uring_options options = {.size = sizeof options, .slot_count = 64};
    int err = jdb_uring_open(&queue->ring, &options, &queue->uring);
    if (err == 0)
        err = jdb_uring_add_arena(queue->uring, queue->arena, NULL);
    if (err != 0)
        return err;
    jdb_uring_range range = {.size = sizeof range};
    err = jdb_uring_get_range(queue->uring, jdb_arena_base(queue->arena), &range);
    if (err != 0)
        return err;
    queue->is_registered = range.registered_count == range.region_count;
    if (!queue->is_registered)
        set_reason(queue, "frames not registered", jdb_uring_explain(range.first_error));
    return 0;
}

/* Puts a started operation into the ring. Each slot has at most one entry, so there is always room. */
static void ring_add(struct queue *queue, uint32_t number)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&queue->ring);
    (void)jdb_uring_prep(&queue->slots[number].op, sqe);
    io_uring_sqe_set_data(sqe, (void *)(uintptr_t)number);
}

/* One system call, or two: a filter that does not know preadv2(2) and pwritev2(2) refuses them with EPERM. */
static ssize_t move_bytes(int fd, bool is_write, const struct iovec *view, int64_t offset, int flags)
{
    const ssize_t moved =
        is_write ? pwritev2(fd, view, 1, (off_t)offset, flags) : preadv2(fd, view, 1, (off_t)offset, flags);
    if (moved >= 0 || flags != 0 || errno != EPERM)
        return moved;
    return is_write ? pwritev(fd, view, 1, (off_t)offset) : preadv(fd, view, 1, (off_t)offset);
}

/* Makes the transfer that is in flight by the file's own calls: a read elsewhere, a write of the same bytes to the same place. */
static int call_once(const struct queue_slot *slot, uint8_t *memory)
{
    jdb_raw elsewhere = jdb_raw_from_slice(memory, slot->view.cap);
    return slot->is_write ? jdb_file_write_full(slot->file, slot->view, slot->offset, NULL)
                          : jdb_file_read_full(slot->file, &elsewhere, slot->offset, NULL);
}

/* Looks for a transfer that the ring does not complete because its system call is refused for the moment, each time: *ret_slot,
 * and its errno, negative. 0: there is none, the device is slow. */
static int find_refused(const struct queue *queue, uint32_t *ret_slot)
{
    jdb_buf memory;
    struct patience patience = {0};
    uint32_t number = 0;
    while (!queue->slots[number].is_in_flight)
        number++;
    if (jdb_buf_with_cap_aligned(&memory, queue->slots[number].view.cap, JDB_ALIGNMENT) != 0)
        return 0;
    int result = 0;
    do {
        result = call_once(&queue->slots[number], memory.ptr);
    } while ((result == -EAGAIN || result == -EINTR) && patience_sleep(&patience));
    jdb_buf_drop(&memory);
    *ret_slot = number;
    return result == -EAGAIN || result == -EINTR ? result : 0;
}

/* Submits, and waits for a completion, a quarter of a second at most. 0, or -errno. */
static int ring_submit_and_wait(struct queue *queue)
{
    struct io_uring_cqe *cqe = NULL;
    struct __kernel_timespec longest = {.tv_nsec = 250000000};
    const bool has_timeout = (queue->ring.features & IORING_FEAT_EXT_ARG) != 0;
    const int result = has_timeout ? io_uring_submit_and_wait_timeout(&queue->ring, &cqe, 1, &longest, NULL)
                                   : io_uring_submit_and_wait(&queue->ring, 1);
    return result == -ETIME || result >= 0 ? 0 : result;
}

/* Waits for a completion. Returns 0: it is *ret_cqe, unless *ret_refused is set: a negative errno, of the transfer *ret_slot,
 * which will not complete. Or -errno: waiting failed, or a signal came and no completion. */
static int ring_next(struct queue *queue, struct io_uring_cqe **ret_cqe, uint32_t *ret_slot, int *ret_refused)
{
    struct patience patience = {0};
    double since = seconds_now();
    double signalled = 0;
    while (io_uring_peek_cqe(&queue->ring, ret_cqe) != 0) {
        const int err = ring_submit_and_wait(queue);
        const bool is_refused = err == -EINTR || err == -EAGAIN || err == -EBUSY;
        const double now = seconds_now();
        if (err == 0)
            patience_reset(&patience);
        else if (!is_refused || !patience_sleep_through(&patience))
            return err;
        if (interrupt_signal() != 0 && signalled == 0)
            signalled = now;
        if (signalled != 0 && now - signalled >= 1)
            return -EINTR;
        if (now - since < PATIENCE_SECONDS || err != 0)
            continue;
        *ret_refused = find_refused(queue, ret_slot);
        if (*ret_refused != 0)
            return 0;
        since = seconds_now();
    }
    return 0;
}

static int ring_wait(struct queue *queue, uint32_t *ret_slot, int *ret_error)
{
    for (;;) {
        struct io_uring_cqe *cqe = NULL;
        int refused = 0;
        const int err = queue->is_stuck ? -EBUSY : ring_next(queue, &cqe, ret_slot, &refused);
        queue->is_stuck = err != 0 || refused != 0;
        if (queue->is_stuck) {
            *ret_error = refused;
            return err;
        }
        const uint32_t number = (uint32_t)(uintptr_t)io_uring_cqe_get_data(cqe);
        const int32_t bytes = cqe->res;
        io_uring_cqe_seen(&queue->ring, cqe);
        const int result = take_result(queue, &queue->slots[number], bytes);
        if (result != JDB_URING_RESUME) {
            *ret_slot = number;
            *ret_error = result;
            return 0;
        }
        ring_add(queue, number);
    }
}

/* ---- pread and pwrite ------------------------------------------------------------------------------------- */

/* The operation to its end, one system call at a time: the entry of a ring says what to call. */
static int run_transfer(struct queue *queue, struct queue_slot *slot)
{
    int result = queue->is_ending ? -ECANCELED : JDB_URING_RESUME;
    if (queue->is_ending)
        jdb_uring_release(&slot->op);
    while (result == JDB_URING_RESUME) {
        struct io_uring_sqe sqe = {0};
        (void)jdb_uring_prep(&slot->op, &sqe);
        const struct iovec view = {.iov_base = (void *)(uintptr_t)sqe.addr, .iov_len = sqe.len};
        const ssize_t moved = move_bytes(sqe.fd, slot->is_write, &view, (int64_t)sqe.off, sqe.rw_flags);
        result = take_result(queue, slot, moved < 0 ? -errno : (int)moved);
    }
    return result;
}

/* ---- The queue -------------------------------------------------------------------------------------------- */

static int open_engine(struct queue *queue, struct outcome *outcome, enum queue_engine engine)
{
    if (engine == QUEUE_PREAD) {
        (void)snprintf(queue->reason, sizeof queue->reason, "no io_uring: --engine=pread asks for that");
        return 0;
    }
    const int ring_error = ring_open(queue);
    if (ring_error != 0)
        return engine == QUEUE_AUTO ? 0 : outcome_fail(outcome, DIO_EXIT_FAILED, -ring_error, "%s", queue->reason);
    const int err = ring_register(queue);
    return err == 0 ? 0
                    : outcome_fail(outcome, DIO_EXIT_FAILED, -err, "cannot use io_uring: %s; try --engine=pread",
                                   jdb_strerror(err));
}

int queue_open(struct queue *queue, struct outcome *outcome, enum queue_engine engine, uint32_t depth,
               size_t frame_size)
{
    *queue = (struct queue){.depth = depth};
    queue->slots = calloc(depth, sizeof *queue->slots);
    queue->waiting = calloc(depth, sizeof *queue->waiting);
    const int err = queue->slots == NULL || queue->waiting == NULL ? -ENOMEM : allocate_frames(queue, frame_size);
    if (err != 0)
        return outcome_fail(outcome, DIO_EXIT_FAILED, -err,
                            "no memory for %u frames of %zu bytes; take fewer (--depth) or smaller ones "
                            "(--block-size)",
                            depth, frame_size);
    return open_engine(queue, outcome, engine);
}

bool queue_fits(const struct queue *queue, uint32_t depth, size_t frame_size)
{
    return queue->slots != NULL && !queue->is_stuck && queue->depth >= depth && queue->slots[0].frame.cap >= frame_size;
}

/* Brings the integral of the depth up to date before in_flight_count changes. */
static void account_depth(struct queue *queue)
{
    const double now = seconds_now();
    if (queue->in_flight_count > 0) {
        /* The pread engine makes one transfer at a time, whatever is queued. */
        const double depth = queue->is_uring ? (double)queue->in_flight_count : 1;
        queue->depth_seconds += depth * (now - queue->last_change);
        queue->busy_seconds += now - queue->last_change;
    }
    queue->last_change = now;
}

int queue_start(struct queue *queue, uint32_t number, jdb_file *file, bool is_write, jdb_raw view, int64_t offset)
{
    struct queue_slot *const slot = &queue->slots[number];
    DIO_ASSERT(number < queue->depth && !slot->is_in_flight && queue->in_flight_count < queue->depth); /* C3 */
    DIO_ASSERT(view.ptr >= slot->frame.ptr && view.ptr + view.cap <= slot->frame.ptr + slot->frame.cap);
    DIO_ASSERT(!queue->is_stuck);
    slot->is_write = is_write;
    slot->file = file;
    slot->view = view;
    slot->offset = offset;
    slot->patience = (struct patience){0};
    slot->op = JDB_URING_OP_INIT;
    const int err = is_write ? jdb_uring_write_file(queue->uring, &slot->op, file, view, offset, JDB_FILE_DURABLE_NONE)
                             : jdb_uring_read_file(queue->uring, &slot->op, file, view, offset);
    if (err != 0)
        return err;
    if (queue->is_uring)
        ring_add(queue, number);
    else
        queue->waiting[(queue->waiting_head + queue->in_flight_count) % queue->depth] = number;
    account_depth(queue);
    slot->is_in_flight = true;
    queue->in_flight_count++;
    return 0;
}

int queue_wait(struct queue *queue, uint32_t *ret_slot, int *ret_error)
{
    DIO_ASSERT(queue->in_flight_count > 0);
    if (queue->is_uring) {
        const int err = ring_wait(queue, ret_slot, ret_error);
        if (err != 0)
            return err;
    } else {
        *ret_slot = queue->waiting[queue->waiting_head];
        *ret_error = run_transfer(queue, &queue->slots[*ret_slot]);
        queue->waiting_head = (queue->waiting_head + 1) % queue->depth;
    }
    account_depth(queue);
    DIO_ASSERT(*ret_slot < queue->depth && queue->slots[*ret_slot].is_in_flight); /* C3 */
    queue->slots[*ret_slot].is_in_flight = false;
    queue->in_flight_count--;
    return 0;
}

double queue_mean_depth(const struct queue *queue)
{
    return queue->busy_seconds > 0 ? queue->depth_seconds / queue->busy_seconds : 0;
}

static void end_slot(void *context, const struct io_uring_cqe *cqe)
{
    struct queue *const queue = context;
    const uint32_t number = (uint32_t)(uintptr_t)io_uring_cqe_get_data(cqe);
    (void)jdb_uring_complete(&queue->slots[number].op, cqe->res);
}

/* What is in flight after a failure belongs to the kernel until it completes. Memory whose operation does not complete in time
 * stays pinned, and is not freed. */
static void ring_close(struct queue *queue)
{
    const uint64_t drain_ms = interrupt_signal() != 0 || queue->is_stuck ? DRAIN_SHORT_MS : DRAIN_MS;
    (void)jdb_uring_drain(queue->uring, jdb_clock_ns() + drain_ms * UINT64_C(1000000), true, end_slot, queue);
    const int err = jdb_uring_close(queue->uring);
    io_uring_queue_exit(&queue->ring);
    if (err != 0)
        (void)jdb_uring_abandon(queue->uring);
}

void queue_close(struct queue *queue)
{
    if (queue->is_uring)
        ring_close(queue);
    for (uint32_t i = 0; queue->slots != NULL && i < queue->depth; i++)
        (void)jdb_uring_release(&queue->slots[i].op);
    (void)jdb_arena_free(queue->arena); /* -EBUSY: the kernel may access it */
    free(queue->slots);
    free(queue->waiting);
    *queue = (struct queue){.is_stuck = queue->is_stuck};
}
