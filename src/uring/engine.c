/* SPDX-License-Identifier: MIT
 *
 * engine.c - an engine for streams on a ring of its own.
 *
 * A request that fits takes a slot, with an operation of uring.h; one that finds no slot waits in line. A request that does not fit,
 * or that the ring refuses, goes aside: the thread that meets it does it by the file's own calls, without the lock.
 *
 * There is no thread of the engine. Of the threads that wait, one at a time reaps: it sleeps in the kernel, without the lock, takes
 * what has completed and wakes the others, who look for their own request and choose the next one that reaps.
 *
 * Invariants:
 *   - the lock is held for all of the object but that sleep and the requests aside
 *   - a slot has a request exactly while its operation is started
 *   - requests wait in line only while no slot is free
 *   - no write aside runs while a write in flight has a page of it, and no write starts while a write aside has a page of it: the
 *     one goes through the page cache, and would put back what the other replaced
 */
#include "base/check.h"
#include "base/sized.h"
#include "os/os_uring.h"
#include "stream/engine.h"

#include "jdb_alloc/uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

#define ENGINE_REFUSALS_MAX 64u /* of submissions in a row, a millisecond apart, before requests are withdrawn */

SIZED_FORM(uring_engine_options_form, jdb_engine_options, 16, 64);

struct slot {
    jdb_uring_op op;
    jdb_engine_io *io; /* NULL: free */
    struct slot *next; /* of the free ones */
    struct io_uring_sqe *sqe;
    uint64_t sequence; /* of its SQE, among all of the ring */
    bool is_direct;
    bool is_cancelled;
};

struct ring_engine {
    jdb_engine engine; /* first: a pointer to one is a pointer to the other */
    pthread_mutex_t lock;
    pthread_cond_t turn; /* something has completed, or nobody reaps */
    struct io_uring ring;
    jdb_uring *uring;
    struct slot *slots; /* engine.depth of them */
    struct slot *free;
    struct engine_line waiting; /* for a slot */
    struct engine_line aside;   /* to be done by the thread that reaped */
    jdb_engine_io *running;     /* aside, being done now */
    uint64_t prepared_count;
    uint32_t busy_count; /* slots with a request */
    uint32_t refusal_count;
    uint32_t sleeper_count;
    int failure; /* of the ring's system calls, negative: for jdb_engine_wait_any() to return once */
    bool is_reaping;
    bool has_one_thread; /* JDB_ENGINE_ONE_THREAD: requests are submitted by the call that waits */
};

static struct ring_engine *own_of(jdb_engine *engine)
{
    return (struct ring_engine *)(void *)engine;
}

/* ---- Writes of the same pages ------------------------------------------------------------------------------- */

/* Two writes of one file that have a page of the page cache in common. */
static bool writes_meet(const jdb_engine_io *a, const jdb_engine_io *b)
{
    const uint64_t page = jdb__ring_page_size();
    if (a->is_write == 0 || b->is_write == 0 || a->file != b->file)
        return false;
    const uint64_t a_first = (uint64_t)a->offset / page;
    const uint64_t b_first = (uint64_t)b->offset / page;
    const uint64_t a_last = ((uint64_t)a->offset + a->view.len - 1) / page;
    const uint64_t b_last = ((uint64_t)b->offset + b->view.len - 1) / page;
    return a_first <= b_last && b_first <= a_last;
}

static bool meets_running(const struct ring_engine *own, const jdb_engine_io *io)
{
    const jdb_engine_io *at = own->running;
    while (at != NULL && !writes_meet(at, io))
        at = at->next;
    return at != NULL;
}

static bool meets_flight(const struct ring_engine *own, const jdb_engine_io *io)
{
    for (uint32_t i = 0; io->is_write != 0 && i < own->engine.depth; i++) {
        if (own->slots[i].io != NULL && writes_meet(own->slots[i].io, io))
            return true;
    }
    return false;
}

/* ---- Requests in the ring ----------------------------------------------------------------------------------- */

/* NULL: the queue is full and the kernel takes nothing. */
static struct io_uring_sqe *next_sqe(struct ring_engine *own)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&own->ring);
    if (sqe == NULL && jdb__ring_submit(&own->ring) == 0)
        sqe = io_uring_get_sqe(&own->ring);
    own->prepared_count += sqe != NULL ? 1 : 0;
    return sqe;
}

static void mark_sqe(struct ring_engine *own, struct slot *slot, struct io_uring_sqe *sqe)
{
    io_uring_sqe_set_data(sqe, slot);
    slot->sqe = sqe;
    slot->sequence = own->prepared_count - 1;
}

/* Whether the request may go through the ring, and how. */
static bool fits(const struct ring_engine *own, const jdb_engine_io *io, bool *ret_direct)
{
    jdb_file_request request = JDB_FILE_REQUEST_INIT;
    request.is_write = io->is_write;
    if (jdb_file_begin_request(io->file, &io->view, 1, io->offset, &request) != 0)
        return false;
    *ret_direct = request.is_direct != 0;
    if (io->is_write == 0)
        return true;
    const bool is_alone = request.is_direct != 0 || jdb_file_write_mode(io->file) > JDB_FILE_MODE_UNKNOWN;
    return is_alone && jdb_file_durability(io->file) == JDB_FILE_DURABLE_NONE && !meets_running(own, io);
}

/* False: it goes aside. */
static bool begin(struct ring_engine *own, struct slot *slot, jdb_engine_io *io)
{
    bool is_direct = false;
    if (!fits(own, io, &is_direct))
        return false;
    struct io_uring_sqe *const sqe = next_sqe(own);
    slot->op = JDB_URING_OP_INIT;
    const int err = io->is_write != 0
                        ? jdb_uring_prep_write_file(own->uring, &slot->op, sqe, io->file, io->view, io->offset,
                                                    JDB_FILE_DURABLE_NONE)
                        : jdb_uring_prep_read_file(own->uring, &slot->op, sqe, io->file, io->view, io->offset);
    if (err != 0)
        return false;
    mark_sqe(own, slot, sqe);
    slot->io = io;
    slot->is_direct = is_direct;
    slot->is_cancelled = false;
    JDB_ASSERT(own->free == slot);
    own->free = slot->next;
    own->busy_count++;
    return true;
}

/* The slots that are free take what waits in line. */
static void begin_waiting(struct ring_engine *own)
{
    while (own->free != NULL && own->waiting.first != NULL) {
        jdb_engine_io *const io = engine_line_pop(&own->waiting);
        if (!begin(own, own->free, io))
            engine_line_push(&own->aside, io);
    }
}

/* ---- Completions -------------------------------------------------------------------------------------------- */

/* What the file's own calls may do better: alignments that have grown, a flag that the file refuses, requests that ended with
 * the thread that started them (-ECANCELED, -EFAULT. Source: io_req_task_submit() of io_uring/io_uring.c). */
static bool is_worth_another_way(const struct slot *slot, int err)
{
    switch (err) {
    case -EINVAL:
    case -EOPNOTSUPP:
    case -EAGAIN:
    case -EINTR:
    case -EFAULT:
        return true;
    default:
        return err == -ECANCELED && !slot->is_cancelled;
    }
}

static void end_slot(struct ring_engine *own, struct slot *slot, int err)
{
    jdb_engine_io *const io = slot->io;
    JDB_ASSERT(io != NULL && own->busy_count != 0);
    slot->io = NULL;
    slot->sqe = NULL;
    slot->next = own->free;
    own->free = slot;
    own->busy_count--;
    if (is_worth_another_way(slot, err)) {
        engine_line_push(&own->aside, io);
        return;
    }
    io->done_size = jdb_uring_done_size(&slot->op);
    io->direct_size = slot->is_direct ? io->done_size : 0;
    io->uncached_size = (slot->op.rw_flags & JDB_FILE_RWF_DONTCACHE) != 0 ? io->done_size : 0;
    io->is_eof = slot->op.is_eof;
    if (io->is_write == 0)
        io->view.len = slot->op.view.len;
    jdb_engine_complete(&own->engine, io, err);
}

static void take_result(struct ring_engine *own, struct slot *slot, int result)
{
    const int err = jdb_uring_complete(&slot->op, result);
    if (err != JDB_URING_RESUME) {
        end_slot(own, slot, err);
        return;
    }
    struct io_uring_sqe *const sqe = next_sqe(own);
    if (jdb_uring_prep(&slot->op, sqe) == 0) {
        mark_sqe(own, slot, sqe);
        return;
    }
    (void)jdb_uring_release(&slot->op); /* started, and not in flight */
    end_slot(own, slot, -EAGAIN);
}

static void take_completions(struct ring_engine *own)
{
    struct io_uring_cqe *cqe = NULL;
    while (io_uring_peek_cqe(&own->ring, &cqe) == 0) {
        struct slot *const slot =
            io_uring_cqe_get_data(cqe); /* NULL: of a cancel, or of a request that was withdrawn */
        const int result = cqe->res;
        io_uring_cqe_seen(&own->ring, cqe);
        if (slot != NULL)
            take_result(own, slot, result);
    }
    begin_waiting(own);
}

/* ---- Submission --------------------------------------------------------------------------------------------- */

static bool is_submitted(const struct ring_engine *own, const struct slot *slot)
{
    return slot->sequence < own->prepared_count - io_uring_sq_ready(&own->ring);
}

/* Whether a completion will come. */
static bool has_submitted(const struct ring_engine *own)
{
    for (uint32_t i = 0; i < own->engine.depth; i++) {
        if (own->slots[i].io != NULL && is_submitted(own, &own->slots[i]))
            return true;
    }
    return false;
}

/* Of a request that the kernel has not taken: it goes aside, or is complete where it was cancelled. */
static void withdraw_slot(struct ring_engine *own, struct slot *slot)
{
    memset(slot->sqe, 0, sizeof *slot->sqe);
    io_uring_prep_nop(slot->sqe);
    end_slot(own, slot, jdb_uring_complete(&slot->op, -ECANCELED));
}

/* The kernel takes no more requests, or is to take none. The slots are taken at once, as nobody looks at the line when nothing is
 * left in the slots. */
static void withdraw(struct ring_engine *own)
{
    for (uint32_t i = 0; i < own->engine.depth; i++) {
        struct slot *const slot = &own->slots[i];
        if (slot->io != NULL && !is_submitted(own, slot))
            withdraw_slot(own, slot);
    }
    begin_waiting(own);
}

/* An error that does not go away by itself is reported to who can hear it; who cannot goes on. */
static void note_failure(struct ring_engine *own, int err)
{
    const bool is_passing =
        err == 0 || err == -EINTR || err == -EAGAIN || err == -EBUSY || err == -ENOMEM || err == -ETIME;
    if (!is_passing)
        own->failure = err;
}

/* Returns whether there is something to wait for in the kernel. */
static bool submit(struct ring_engine *own)
{
    const int err = io_uring_sq_ready(&own->ring) != 0 ? jdb__ring_submit(&own->ring) : 0;
    note_failure(own, err);
    if (err == 0) {
        own->refusal_count = 0;
        return own->busy_count != 0;
    }
    if (has_submitted(own))
        return true; /* what completes makes room */
    own->refusal_count++;
    if (own->refusal_count >= ENGINE_REFUSALS_MAX)
        withdraw(own);
    return false;
}

/* ---- Turns -------------------------------------------------------------------------------------------------- */

static void sleep_turn(struct ring_engine *own, uint64_t deadline_ns)
{
    own->sleeper_count++;
    jdb__ring_sleep(&own->turn, &own->lock, deadline_ns);
    own->sleeper_count--;
}

static void wake_sleepers(struct ring_engine *own)
{
    if (own->sleeper_count != 0)
        (void)pthread_cond_broadcast(&own->turn);
}

static uint64_t time_left(uint64_t deadline_ns)
{
    const uint64_t now = deadline_ns != UINT64_MAX ? jdb_clock_ns() : 0;
    return deadline_ns == UINT64_MAX ? UINT64_MAX : deadline_ns > now ? deadline_ns - now : 0;
}

static int sleep_in_kernel(struct ring_engine *own, bool is_coming, uint64_t deadline_ns)
{
    const uint64_t left = time_left(deadline_ns);
    if (left == 0)
        return 0;
    const int err = is_coming ? jdb__ring_wait(&own->ring, left) : 0;
    if (!is_coming || err != 0)
        jdb__ring_sleep_ms(is_coming ? 0 : 1);
    return err;
}

/* The same for the one thread of the engine, which submits and sleeps by one call. */
static void reap_alone(struct ring_engine *own, uint64_t deadline_ns)
{
    struct io_uring_cqe *cqe = NULL;
    int err = 0;
    if (io_uring_peek_cqe(&own->ring, &cqe) != 0)
        err = jdb__ring_submit_and_wait(&own->ring, time_left(deadline_ns));
    note_failure(own, err);
    if (err == 0 || err == -ETIME)
        own->refusal_count = 0;
    else
        jdb__ring_sleep_ms(submit(own) && own->refusal_count == 0 ? 0 : 1);
    take_completions(own);
}

/* Sleep in the kernel until something is complete or the deadline has passed, and take it. */
static void reap(struct ring_engine *own, uint64_t deadline_ns)
{
    struct io_uring_cqe *cqe = NULL;
    own->is_reaping = true;
    const bool is_coming = submit(own);
    if (io_uring_peek_cqe(&own->ring, &cqe) != 0) {
        (void)pthread_mutex_unlock(&own->lock);
        const int err = sleep_in_kernel(own, is_coming, deadline_ns);
        (void)pthread_mutex_lock(&own->lock);
        note_failure(own, err);
    }
    take_completions(own);
    (void)submit(own); /* what has got a slot, or goes on: no other thread may wait for long */
    own->is_reaping = false;
    wake_sleepers(own);
}

static void run_aside(struct ring_engine *own);

/* Wait until something may have changed, or the deadline has passed. Called and returns with the lock. */
static void take_turn(struct ring_engine *own, uint64_t deadline_ns)
{
    if (own->aside.first != NULL)
        run_aside(own);
    else if (own->is_reaping || own->busy_count == 0)
        sleep_turn(own, deadline_ns);
    else if (own->has_one_thread)
        reap_alone(own, deadline_ns);
    else
        reap(own, deadline_ns);
}

static void remove_running(struct ring_engine *own, const jdb_engine_io *io)
{
    jdb_engine_io **at = &own->running;
    while (*at != io)
        at = &(*at)->next;
    *at = io->next;
}

/* Called and returns with the lock. */
static void do_aside(struct ring_engine *own, jdb_engine_io *io)
{
    io->next = own->running;
    own->running = io;
    while (meets_flight(own, io))
        take_turn(own, UINT64_MAX);
    (void)pthread_mutex_unlock(&own->lock);
    const int err = jdb_engine_run(io);
    (void)pthread_mutex_lock(&own->lock);
    remove_running(own, io);
    jdb_engine_complete(&own->engine, io, err);
    wake_sleepers(own);
}

static void run_aside(struct ring_engine *own)
{
    jdb_engine_io *const io = engine_line_pop(&own->aside);
    if (io != NULL)
        do_aside(own, io);
}

/* ---- Calls -------------------------------------------------------------------------------------------------- */

static int ring_start(jdb_engine *engine, jdb_engine_io *io)
{
    struct ring_engine *const own = own_of(engine);
    (void)pthread_mutex_lock(&own->lock);
    if (own->free == NULL)
        engine_line_push(&own->waiting, io);
    else if (!begin(own, own->free, io))
        do_aside(own, io);
    else if (!own->has_one_thread)
        note_failure(own,
                     jdb__ring_submit(&own->ring)); /* what is refused is submitted by the next thread that waits */
    (void)pthread_mutex_unlock(&own->lock);
    return 0;
}

static void ring_wait(jdb_engine *engine, jdb_engine_io *io)
{
    struct ring_engine *const own = own_of(engine);
    (void)pthread_mutex_lock(&own->lock);
    while (!jdb_engine_is_complete(io))
        take_turn(own, UINT64_MAX);
    (void)pthread_mutex_unlock(&own->lock);
}

static bool is_one_complete(jdb_engine_io *const *ios, size_t count)
{
    size_t i = 0;
    while (i < count && !jdb_engine_is_complete(ios[i]))
        i++;
    return i < count;
}

/* One turn after the deadline too: what is complete in the ring is taken. */
static int ring_wait_any(jdb_engine *engine, jdb_engine_io *const *ios, size_t count, uint64_t deadline_ns)
{
    struct ring_engine *const own = own_of(engine);
    int err = 0;
    bool is_late = false;
    (void)pthread_mutex_lock(&own->lock);
    while (err == 0 && !is_one_complete(ios, count)) {
        if (own->failure != 0 || is_late) {
            err = own->failure != 0 ? own->failure : -ETIMEDOUT;
            own->failure = 0;
        } else {
            is_late = deadline_ns != UINT64_MAX && jdb_clock_ns() >= deadline_ns;
            take_turn(own, deadline_ns);
        }
    }
    (void)pthread_mutex_unlock(&own->lock);
    return err;
}

static void cancel_slot(struct ring_engine *own, struct slot *slot)
{
    slot->is_cancelled = true;
    if (!is_submitted(own, slot)) {
        withdraw_slot(own, slot);
        begin_waiting(own);
        wake_sleepers(own);
        return;
    }
    struct io_uring_sqe *const sqe = next_sqe(own);
    if (sqe == NULL)
        return; /* too busy to ask: it ends by itself */
    if (jdb_uring_cancel(&slot->op, (uint64_t)(uintptr_t)slot, sqe) != 0)
        io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, NULL);
    (void)jdb__ring_submit(&own->ring);
}

static void ring_cancel(jdb_engine *engine, jdb_engine_io *io)
{
    struct ring_engine *const own = own_of(engine);
    (void)pthread_mutex_lock(&own->lock);
    if (engine_line_remove(&own->waiting, io) || engine_line_remove(&own->aside, io)) {
        jdb_engine_complete(engine, io, -ECANCELED);
        wake_sleepers(own);
    }
    for (uint32_t i = 0; i < own->engine.depth; i++) {
        if (own->slots[i].io == io)
            cancel_slot(own, &own->slots[i]);
    }
    (void)pthread_mutex_unlock(&own->lock);
}

static int ring_add_arena(jdb_engine *engine, jdb_arena *arena)
{
    struct ring_engine *const own = own_of(engine);
    (void)pthread_mutex_lock(&own->lock);
    const int err = jdb_uring_add_arena(own->uring, arena, NULL);
    (void)pthread_mutex_unlock(&own->lock);
    return err;
}

static int ring_remove_arena(jdb_engine *engine, jdb_arena *arena)
{
    struct ring_engine *const own = own_of(engine);
    (void)pthread_mutex_lock(&own->lock);
    const int err = jdb_uring_remove(own->uring, jdb_arena_base(arena));
    (void)pthread_mutex_unlock(&own->lock);
    return err;
}

static void ring_free(struct ring_engine *own)
{
    (void)pthread_cond_destroy(&own->turn);
    (void)pthread_mutex_destroy(&own->lock);
    jdb__ring_free(own->slots);
    jdb__ring_free(own);
}

static void ring_close(jdb_engine *engine)
{
    struct ring_engine *const own = own_of(engine);
    JDB_ASSERT(own->busy_count == 0 && own->waiting.first == NULL && own->aside.first == NULL);
    const int err = jdb_uring_close(own->uring);
    JDB_ASSERT(err == 0);
    (void)err;
    jdb__ring_close(&own->ring);
    ring_free(own);
}

static void drained(void *context, const struct io_uring_cqe *cqe)
{
    struct slot *const slot = io_uring_cqe_get_data(cqe);
    if (slot != NULL)
        take_result(context, slot, cqe->res);
}

static void cancel_line(struct ring_engine *own, struct engine_line *line)
{
    for (jdb_engine_io *io = engine_line_pop(line); io != NULL; io = engine_line_pop(line))
        jdb_engine_complete(&own->engine, io, -ECANCELED);
}

/* The operations of what is left stay readable for good, so the slots are not freed. */
static int ring_abandon(jdb_engine *engine, uint64_t deadline_ns)
{
    struct ring_engine *const own = own_of(engine);
    cancel_line(own, &own->waiting);
    for (uint32_t i = 0; i < own->engine.depth; i++)
        own->slots[i].is_cancelled = true;
    withdraw(own);
    (void)jdb_uring_drain(own->uring, deadline_ns, true, drained, own);
    cancel_line(own, &own->aside);
    if (own->busy_count == 0) {
        ring_close(engine);
        return 0;
    }
    jdb__ring_close(&own->ring);
    (void)jdb_uring_abandon(own->uring);
    own->slots = NULL;
    ring_free(own);
    return -ETIMEDOUT;
}

/* ---- Open --------------------------------------------------------------------------------------------------- */

static int make_slots(struct ring_engine *own, uint32_t depth)
{
    void *memory = NULL;
    const int err = jdb__ring_alloc(depth * sizeof(struct slot), &memory);
    if (err != 0)
        return err;
    own->slots = memory;
    for (uint32_t i = depth; i-- > 0;) {
        own->slots[i].next = own->free;
        own->free = &own->slots[i];
    }
    return 0;
}

static int open_ring(struct ring_engine *own, uint32_t depth)
{
    int err = make_slots(own, depth);
    if (err == 0)
        err = jdb__ring_open(&own->ring, depth);
    if (err != 0)
        return err;
    err = jdb_uring_open(&own->ring, NULL, &own->uring);
    if (err != 0)
        jdb__ring_close(&own->ring);
    return err;
}

static int open_engine(uint32_t depth, uint32_t flags, jdb_engine **ret_engine)
{
    static const jdb_engine_calls calls = {
        .size = sizeof calls,
        .kind = JDB_ENGINE_URING,
        .start = ring_start,
        .wait = ring_wait,
        .cancel = ring_cancel,
        .add_arena = ring_add_arena,
        .remove_arena = ring_remove_arena,
        .close = ring_close,
        .wait_any = ring_wait_any,
        .abandon = ring_abandon,
    };
    void *memory = NULL;
    int err = jdb__ring_alloc(sizeof(struct ring_engine), &memory);
    if (err != 0)
        return err;
    struct ring_engine *const own = memory;
    own->has_one_thread = (flags & JDB_ENGINE_ONE_THREAD) != 0;
    (void)pthread_mutex_init(&own->lock, NULL);
    jdb__ring_condition_init(&own->turn);
    (void)jdb_engine_init(&own->engine, &calls, depth, "");
    err = open_ring(own, depth);
    if (err != 0) {
        ring_free(own);
        return err;
    }
    *ret_engine = &own->engine;
    return 0;
}

jdb_uring *jdb_uring_of_engine(const jdb_engine *engine)
{
    const bool is_ours = engine != NULL && engine->calls->start == ring_start; /* a program's own may be of this kind */
    return is_ours ? ((const struct ring_engine *)(const void *)engine)->uring : NULL;
}

static int open_another(const jdb_engine_options *options, int refusal, jdb_engine **ret_engine)
{
    jdb_engine *engine = NULL;
    const int err = jdb_engine_open(options, &engine);
    if (err != 0)
        return err;
    char before[JDB_ENGINE_REASON_SIZE];
    memcpy(before, engine->reason, sizeof before);
    snprintf(engine->reason, sizeof engine->reason, "io_uring: %s%s%.60s", jdb_uring_explain_ring(refusal).reason,
             before[0] != '\0' ? "; " : "", before);
    *ret_engine = engine;
    return 0;
}

int jdb_uring_engine_open(const jdb_engine_options *options, jdb_engine **ret_engine)
{
    jdb_engine_options known = JDB_ENGINE_OPTIONS_INIT;
    if (ret_engine == NULL)
        return -EINVAL;
    int err = options != NULL ? jdb__sized_read(&uring_engine_options_form, options, &known) : 0;
    if (err != 0)
        return err;
    if ((known.kind != JDB_ENGINE_AUTO && known.kind != JDB_ENGINE_URING) || known.depth > JDB_ENGINE_DEPTH_MAX ||
        known.flags > JDB_ENGINE_ONE_THREAD)
        return -EINVAL;
    err = open_engine(known.depth != 0 ? known.depth : JDB_ENGINE_DEPTH_DEFAULT, known.flags, ret_engine);
    if (err == 0 || known.kind == JDB_ENGINE_URING)
        return err; /* -ENOMEM may be RLIMIT_MEMLOCK, before Linux 5.12 */
    return open_another(&known, err, ret_engine);
}
