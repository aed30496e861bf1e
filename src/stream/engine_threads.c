/* SPDX-License-Identifier: MIT
 *
 * engine_threads.c - the engine that does its requests on threads of its own.
 *
 * A queue in the order of the starts, so that streams that share the engine are served in turn. A thread that finds the queue
 * empty sleeps on `word`, which changes, under the lock, with each request and at the close.
 */
#include "base/bits.h"
#include "os/fork.h"
#include "os/os.h"
#include "stream/engine.h"

#include <errno.h>
#include <stdio.h>

#define ABANDON_PAUSE_NS UINT64_C(1000000)

struct thread_engine {
    jdb_engine engine; /* first: a pointer to one is a pointer to the other */
    struct lock lock;
    struct engine_line waiting; /* for a thread */
    uint32_t word;
    bool is_closing;
    uint32_t thread_count;
    void *threads[ENGINE_THREADS_MAX];
};

static struct thread_engine *threads_of(jdb_engine *engine)
{
    return (struct thread_engine *)(void *)engine;
}

/* Under the lock. */
static void threads_notify(struct thread_engine *own)
{
    __atomic_store_n(&own->word, own->word + 1, __ATOMIC_RELEASE);
}

/* ---- On the threads ----------------------------------------------------------------------------------------- */

/* The next request; NULL: the engine is closing. */
static jdb_engine_io *threads_next(struct thread_engine *own)
{
    for (;;) {
        lock_take(&own->lock);
        jdb_engine_io *const io = engine_line_pop(&own->waiting);
        const uint32_t word = own->word;
        const bool is_closing = own->is_closing;
        lock_release(&own->lock);
        if (io != NULL || is_closing)
            return io;
        jdb__os_sleep(&own->word, word, UINT64_MAX);
    }
}

static void threads_work(void *context)
{
    struct thread_engine *const own = context;
    for (jdb_engine_io *io = threads_next(own); io != NULL; io = threads_next(own))
        jdb_engine_complete(&own->engine, io, jdb_engine_run(io));
}

/* ---- Calls -------------------------------------------------------------------------------------------------- */

static int threads_start(jdb_engine *engine, jdb_engine_io *io)
{
    struct thread_engine *const own = threads_of(engine);
    lock_take(&own->lock);
    engine_line_push(&own->waiting, io);
    threads_notify(own);
    lock_release(&own->lock);
    jdb__os_wake(&own->word);
    return 0;
}

static void threads_cancel(jdb_engine *engine, jdb_engine_io *io)
{
    struct thread_engine *const own = threads_of(engine);
    lock_take(&own->lock);
    const bool was_queued = engine_line_remove(&own->waiting, io);
    lock_release(&own->lock);
    if (was_queued)
        jdb_engine_complete(engine, io, -ECANCELED);
}

/* Threads end when they are idle. */
static void threads_end(struct thread_engine *own)
{
    lock_take(&own->lock);
    own->is_closing = true;
    threads_notify(own);
    lock_release(&own->lock);
    for (uint32_t i = 0; i < own->thread_count; i++)
        jdb__os_wake(&own->word);
}

static void threads_close(jdb_engine *engine)
{
    struct thread_engine *const own = threads_of(engine);
    JDB_ASSERT(own->waiting.first == NULL);
    threads_end(own);
    for (uint32_t i = 0; i < own->thread_count; i++)
        jdb__os_thread_join(own->threads[i]);
    lock_destroy(&own->lock);
    jdb__os_free(own);
}

/* A thread that the kernel holds uses the object when it comes back, so what is left behind is not freed. */
static int threads_abandon(jdb_engine *engine, uint64_t deadline_ns)
{
    struct thread_engine *const own = threads_of(engine);
    lock_take(&own->lock);
    struct engine_line queued = own->waiting;
    own->waiting = (struct engine_line){0};
    lock_release(&own->lock);
    for (jdb_engine_io *io = engine_line_pop(&queued); io != NULL; io = engine_line_pop(&queued))
        jdb_engine_complete(engine, io, -ECANCELED);
    uint32_t word = 0; /* on this stack, so nobody wakes it */
    while (jdb_engine_in_flight(engine) != 0 && jdb__os_clock_ns() < deadline_ns)
        jdb__os_sleep(&word, 0, jdb__os_clock_ns() + ABANDON_PAUSE_NS);
    if (jdb_engine_in_flight(engine) == 0) {
        threads_close(engine);
        return 0;
    }
    threads_end(own);
    return -ETIMEDOUT;
}

/* ---- Open --------------------------------------------------------------------------------------------------- */

static void threads_report_few(struct thread_engine *own, uint32_t wanted, int err)
{
    char words[64];
    own->engine.depth = own->thread_count;
    snprintf(own->engine.reason, sizeof own->engine.reason, "%u of %u threads: %s", (unsigned)own->thread_count,
             (unsigned)wanted, jdb__os_error_text(err, words, sizeof words));
}

int jdb__engine_open_threads(uint32_t depth, jdb_engine **ret_engine)
{
    static const jdb_engine_calls calls = {
        .size = sizeof calls,
        .kind = JDB_ENGINE_THREADS,
        .start = threads_start,
        .cancel = threads_cancel,
        .close = threads_close,
        .abandon = threads_abandon,
    };
    const uint32_t wanted = (uint32_t)bits_min(depth, ENGINE_THREADS_MAX);
    void *memory = NULL;
    int err = jdb__os_alloc(sizeof(struct thread_engine), &memory);
    if (err != 0)
        return err;
    struct thread_engine *const own = memory;
    (void)jdb_engine_init(&own->engine, &calls, wanted, "");
    lock_init(&own->lock, LOCK_ENGINE, false);
    while (err == 0 && own->thread_count < wanted) {
        err = jdb__os_thread_start(threads_work, own, &own->threads[own->thread_count]);
        own->thread_count += err == 0 ? 1 : 0;
    }
    if (own->thread_count == 0) {
        lock_destroy(&own->lock);
        jdb__os_free(own);
        return err;
    }
    if (err != 0)
        threads_report_few(own, wanted, err);
    *ret_engine = &own->engine;
    return 0;
}
