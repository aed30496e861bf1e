/* SPDX-License-Identifier: MIT
 *
 * queue.c - see queue.h.
 */
#include "cp/queue.h"

#include "base/clock.h"
#include "base/interrupt.h"

#include <jdb_alloc/uring.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECOND UINT64_C(1000000)
#define TURN_NS (250 * MILLISECOND) /* between two looks for a signal */
/* How long queue_close() waits for what is in flight; and how long after a signal, or after a wait that failed. */
#define DRAIN_NS (10000 * MILLISECOND)
#define DRAIN_SHORT_NS (500 * MILLISECOND)

/* ---- Open ------------------------------------------------------------------------------------------------- */

static int allocate_frames(struct queue *queue, size_t frame_size)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = frame_size;
    options.frame_count = queue->depth;
    options.pages = JDB_ARENA_PAGES_THP; /* frames that lie in few pages are pinned by few steps */
    queue->slots = calloc(queue->depth, sizeof *queue->slots);
    queue->in_flight = calloc(queue->depth, sizeof(jdb_engine_io *));
    int err = queue->slots == NULL || queue->in_flight == NULL ? -ENOMEM : jdb_arena_new(&options, &queue->arena);
    for (uint32_t i = 0; err == 0 && i < queue->depth; i++)
        err = jdb_arena_view(queue->arena, i, 1, &queue->slots[i].frame);
    return err;
}

static void set_reason(struct queue *queue, const char *what, jdb_uring_reason why)
{
    (void)snprintf(queue->reason, sizeof queue->reason, "%s: %s: %s; %s", what, strerror(abs(why.err)), why.reason,
                   why.remedy);
}

/* Frames that cannot be registered are used as they are, with the reason. */
static int register_frames(struct queue *queue)
{
    jdb_uring_range range = {.size = sizeof range};
    int err = jdb_engine_add_arena(queue->engine, queue->arena);
    if (err == 0)
        err = jdb_uring_get_range(jdb_uring_of_engine(queue->engine), jdb_arena_base(queue->arena), &range);
    queue->is_registered = err == 0 && range.registered_count == range.region_count;
    if (err == 0 && !queue->is_registered)
        set_reason(queue, "frames not registered", jdb_uring_explain(range.first_error));
    return err;
}

/* 0, or why there is no ring. */
static int open_ring(struct queue *queue, enum queue_engine engine)
{
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_URING;
    options.depth = queue->depth;
    options.flags = JDB_ENGINE_ONE_THREAD;
    if (engine == QUEUE_PREAD) {
        (void)snprintf(queue->reason, sizeof queue->reason, "no io_uring: --engine=pread asks for that");
        return -ENOTSUP;
    }
    const int err = jdb_uring_engine_open(&options, &queue->engine);
    if (err != 0)
        set_reason(queue, "no io_uring", jdb_uring_explain_ring(err));
    return err;
}

int queue_open(struct queue *queue, struct outcome *outcome, enum queue_engine engine, uint32_t depth,
               size_t frame_size)
{
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_SYNCHRONOUS;
    *queue = (struct queue){.depth = depth};
    int err = allocate_frames(queue, frame_size);
    const int refusal = err == 0 ? open_ring(queue, engine) : 0;
    if (refusal != 0 && engine == QUEUE_URING)
        return outcome_fail(outcome, DIO_EXIT_FAILED, -refusal, "%s", queue->reason);
    if (refusal != 0)
        err = jdb_engine_open(&options, &queue->engine);
    if (err != 0)
        return outcome_fail(outcome, DIO_EXIT_FAILED, -err,
                            "no memory for %u frames of %zu bytes; take fewer (--depth) or smaller ones "
                            "(--block-size)",
                            depth, frame_size);
    err = refusal == 0 ? register_frames(queue) : 0;
    return err == 0 ? 0
                    : outcome_fail(outcome, DIO_EXIT_FAILED, -err, "cannot use io_uring: %s; try --engine=pread",
                                   jdb_strerror(err));
}

bool queue_fits(const struct queue *queue, uint32_t depth, size_t frame_size)
{
    return queue->slots != NULL && !queue->is_stuck && queue->depth >= depth && queue->slots[0].frame.cap >= frame_size;
}

bool queue_is_uring(const struct queue *queue)
{
    return jdb_engine_kind(queue->engine) == JDB_ENGINE_URING;
}

/* ---- In flight -------------------------------------------------------------------------------------------- */

/* Brings the integral of the depth up to date before in_flight_count changes. */
static void account_depth(struct queue *queue)
{
    const double now = seconds_now();
    if (queue->in_flight_count > 0) {
        /* By pread one transfer is made at a time, whatever is complete and not waited for. */
        const double depth = queue_is_uring(queue) ? (double)queue->in_flight_count : 1;
        queue->depth_seconds += depth * (now - queue->last_change);
        queue->busy_seconds += now - queue->last_change;
    }
    queue->last_change = now;
}

double queue_mean_depth(const struct queue *queue)
{
    return queue->busy_seconds > 0 ? queue->depth_seconds / queue->busy_seconds : 0;
}

int queue_start(struct queue *queue, uint32_t number, jdb_file *file, bool is_write, jdb_raw view, int64_t offset)
{
    struct queue_slot *const slot = &queue->slots[number];
    DIO_ASSERT(number < queue->depth && queue->in_flight_count < queue->depth); /* C3 */
    DIO_ASSERT(view.ptr >= slot->frame.ptr && view.ptr + view.cap <= slot->frame.ptr + slot->frame.cap);
    DIO_ASSERT(!queue->is_stuck);
    slot->patience = (struct patience){0};
    slot->most_done = 0;
    slot->io = (jdb_engine_io){.file = file, .view = view, .offset = offset, .is_write = is_write ? 1 : 0};
    account_depth(queue);
    const int err = jdb_engine_start(queue->engine, &slot->io);
    if (err == 0)
        queue->in_flight[queue->in_flight_count++] = &slot->io;
    return err;
}

static void leave_flight(struct queue *queue, const struct queue_slot *slot)
{
    uint32_t at = 0;
    account_depth(queue);
    while (queue->in_flight[at] != &slot->io)
        at++;
    queue->in_flight_count--;
    DIO_ASSERT(at <= queue->in_flight_count); /* C3 */
    memmove(&queue->in_flight[at], &queue->in_flight[at + 1], (queue->in_flight_count - at) * sizeof(jdb_engine_io *));
}

/* ---- Wait ------------------------------------------------------------------------------------------------- */

static bool is_refusal(int err)
{
    return err == -EAGAIN || err == -EINTR;
}

/* Starts a transfer that was refused for the moment once more, after a sleep. Bytes that it had moved are moved again. */
static bool try_again(struct queue *queue, struct queue_slot *slot)
{
    if (queue->is_ending || !is_refusal(slot->io.err))
        return false;
    if (slot->io.done_size > slot->most_done) {
        slot->most_done = slot->io.done_size;
        patience_reset(&slot->patience);
    }
    if (!patience_sleep(&slot->patience))
        return false;
    const int err = jdb_engine_start(queue->engine, &slot->io);
    DIO_ASSERT(err == 0);
    return err == 0;
}

/* Makes the transfer of a slot, which is in flight, by the file's own calls: a read elsewhere, a write of the same bytes to the same
 * place. Returns -EAGAIN or -EINTR where that is refused for the moment, each time; 0: it is not, the device is slow. */
static int find_refusal(const struct queue_slot *slot)
{
    jdb_buf memory;
    struct patience patience = {0};
    jdb_engine_io twin = slot->io;
    if (jdb_buf_with_cap_aligned(&memory, slot->io.view.cap, JDB_ALIGNMENT) != 0)
        return 0;
    if (twin.is_write == 0)
        twin.view.ptr = memory.ptr;
    int err = 0;
    do {
        err = jdb_engine_run(&twin);
    } while (is_refusal(err) && patience_sleep(&patience));
    jdb_buf_drop(&memory);
    return is_refusal(err) ? err : 0;
}

/* Waits for a transfer. Returns 0: it is that of *ret_slot, unless *ret_refusal is set: the oldest one will not complete. Or
 * -errno: waiting failed, or a signal came and no completion. */
static int wait_for_one(struct queue *queue, struct queue_slot **ret_slot, int *ret_refusal)
{
    jdb_engine_io *io = NULL;
    double since = seconds_now();
    double signalled = 0;
    int err = -ETIMEDOUT;
    while (err == -ETIMEDOUT && *ret_refusal == 0) {
        err =
            jdb_engine_wait_any(queue->engine, queue->in_flight, queue->in_flight_count, jdb_clock_ns() + TURN_NS, &io);
        const double now = seconds_now();
        if (interrupt_signal() != 0 && signalled == 0)
            signalled = now;
        if (err == -ETIMEDOUT && signalled != 0 && now - signalled >= 1)
            return -EINTR;
        if (err != -ETIMEDOUT || now - since < PATIENCE_SECONDS)
            continue;
        io = queue->in_flight[0];
        *ret_refusal = find_refusal((struct queue_slot *)(void *)io);
        since = seconds_now();
    }
    *ret_slot = (struct queue_slot *)(void *)io;
    return *ret_refusal != 0 ? 0 : err;
}

int queue_wait(struct queue *queue, uint32_t *ret_slot, int *ret_error)
{
    struct queue_slot *slot = NULL;
    int refusal = 0;
    DIO_ASSERT(queue->in_flight_count > 0 && !queue->is_stuck);
    do {
        const int err = wait_for_one(queue, &slot, &refusal);
        queue->is_stuck = err != 0 || refusal != 0;
        if (err != 0)
            return err;
    } while (refusal == 0 && try_again(queue, slot));
    leave_flight(queue, slot);
    *ret_slot = (uint32_t)(slot - queue->slots);
    *ret_error = refusal != 0 ? refusal : slot->io.err;
    return 0;
}

/* ---- Close ------------------------------------------------------------------------------------------------ */

/* What is in flight after a failure belongs to the kernel until it completes. Memory whose transfer does not complete in time
 * stays pinned, and is not freed. */
void queue_close(struct queue *queue)
{
    const uint64_t drain_ns = interrupt_signal() != 0 || queue->is_stuck ? DRAIN_SHORT_NS : DRAIN_NS;
    const bool is_left = jdb_engine_abandon(queue->engine, jdb_clock_ns() + drain_ns) == -ETIMEDOUT;
    (void)jdb_arena_free(queue->arena); /* -EBUSY: the kernel may access it */
    if (!is_left)
        free(queue->slots);
    free(queue->in_flight);
    *queue = (struct queue){.is_stuck = queue->is_stuck};
}
