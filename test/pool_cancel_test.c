/* SPDX-License-Identifier: MIT
 *
 * pool_cancel_test.c - what comes after a cancel of a wait: after 0 nothing, after -ESTALE what the entry was at that moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define FRAMES 4u

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_frame frames[FRAMES]; /* all of them, lent */
};

static struct fixture make_full(void)
{
    struct fixture f = {.arena = NULL};
    const jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = FRAMES};
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    return f;
}

static void drop(const struct fixture *f)
{
    assert_int_equal(jdb_pool_free(f->pool), 0);
    assert_int_equal(jdb_arena_free(f->arena), 0);
}

struct entry {
    jdb_pool_wait wait;
    jdb_pool *pool;
    jdb_frame frame;
    struct entry *victim; /* which the callback cancels */
    int cancelled;
    unsigned calls;
};

static void note_and_cancel(jdb_pool_wait *wait)
{
    struct entry *const me = wait->user;
    me->calls++;
    if (me->victim != NULL)
        me->cancelled = jdb_pool_wait_cancel(me->pool, &me->victim->wait);
}

static void init(struct entry *entry, jdb_pool *pool, struct entry *victim)
{
    *entry = (struct entry){.pool = pool, .victim = victim};
    jdb_pool_wait_init(&entry->wait, note_and_cancel, entry);
}

static void start(struct entry *entry)
{
    assert_int_equal(jdb_pool_wait_start(entry->pool, &entry->wait, 1, &entry->frame), -EAGAIN);
}

/* ---- Callbacks -------------------------------------------------------------------------------------------- */

/* One put serves two; the first callback cancels the second, which has its frame already. */
static void a_callback_whose_frames_were_handed_over_still_comes(void **state)
{
    (void)state;
    const struct fixture f = make_full();
    struct entry first;
    struct entry second;
    init(&second, f.pool, NULL);
    init(&first, f.pool, &second);
    start(&first);
    start(&second);
    assert_int_equal(jdb_pool_put_n(f.pool, f.frames, 2), 0);
    assert_int_equal(first.calls, 1);
    assert_int_equal(first.cancelled, -ESTALE);
    assert_int_equal(second.calls, 1);
    assert_int_equal(jdb_pool_wait_start(f.pool, &second.wait, 1, &second.frame), -ECANCELED); /* until an init */
    assert_int_equal(jdb_pool_put(f.pool, first.frame), 0);
    assert_int_equal(jdb_pool_put(f.pool, second.frame), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, &f.frames[2], 2), 0);
    drop(&f);
}

static void a_queued_callback_that_is_cancelled_never_comes(void **state)
{
    (void)state;
    const struct fixture f = make_full();
    struct entry first;
    struct entry second;
    init(&second, f.pool, NULL);
    init(&first, f.pool, &second);
    start(&first);
    start(&second);
    assert_int_equal(jdb_pool_put(f.pool, f.frames[0]), 0);
    assert_int_equal(first.cancelled, 0);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, &second.wait), -ESTALE); /* over */
    assert_int_equal(jdb_pool_put_n(f.pool, &f.frames[1], 3), 0);
    assert_int_equal(jdb_pool_put(f.pool, first.frame), 0);
    assert_int_equal(second.calls, 0);
    drop(&f);
}

static void before_the_start_and_after_the_end_nothing_comes(void **state)
{
    (void)state;
    const struct fixture f = make_full();
    struct entry entry;
    init(&entry, f.pool, NULL);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, &entry.wait), -ESTALE);
    assert_int_equal(jdb_pool_wait_start(f.pool, &entry.wait, 1, &entry.frame), -ECANCELED);
    init(&entry, f.pool, NULL);
    start(&entry);
    assert_int_equal(jdb_pool_put(f.pool, f.frames[0]), 0);
    assert_int_equal(entry.calls, 1);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, &entry.wait), -ESTALE);
    assert_int_equal(jdb_pool_put(f.pool, entry.frame), 0);
    assert_int_equal(entry.calls, 1);
    init(&entry, f.pool, NULL);
    assert_int_equal(jdb_pool_wait_start(f.pool, &entry.wait, 1, &entry.frame), 0);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, &entry.wait), -ESTALE);
    assert_int_equal(entry.calls, 0);
    assert_int_equal(jdb_pool_put(f.pool, entry.frame), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, &f.frames[1], 3), 0);
    drop(&f);
}

/* ---- Blocking --------------------------------------------------------------------------------------------- */

struct sleeper {
    struct entry entry; /* without a callback */
    int result;
};

static void *sleep_for_a_frame(void *context)
{
    struct sleeper *const me = context;
    me->result = jdb_pool_get_wait(me->entry.pool, 1, JDB_DEADLINE_NONE, &me->entry.wait, &me->entry.frame);
    return NULL;
}

static void await_waiters(jdb_pool *pool, uint32_t count)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    do {
        nanosleep(&(struct timespec){0, 100000}, NULL);
        assert_int_equal(jdb_pool_get_stats(pool, &stats), 0);
    } while (stats.waiter_count < count);
}

/* The callback is called after the sleeper was handed its frame. */
static void a_sleeper_whose_frame_was_handed_over_has_it(void **state)
{
    (void)state;
    const struct fixture f = make_full();
    struct sleeper sleeper;
    struct entry canceller;
    pthread_t thread;
    init(&sleeper.entry, f.pool, NULL);
    jdb_pool_wait_init(&sleeper.entry.wait, NULL, NULL);
    init(&canceller, f.pool, &sleeper.entry);
    assert_int_equal(pthread_create(&thread, NULL, sleep_for_a_frame, &sleeper), 0);
    await_waiters(f.pool, 1);
    start(&canceller);
    assert_int_equal(jdb_pool_put_n(f.pool, f.frames, 2), 0);
    pthread_join(thread, NULL);
    assert_int_equal(canceller.cancelled, -ESTALE);
    assert_int_equal(sleeper.result, 0);
    assert_int_equal(jdb_pool_put(f.pool, sleeper.entry.frame), 0);
    assert_int_equal(jdb_pool_put(f.pool, canceller.frame), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, &f.frames[2], 2), 0);
    drop(&f);
}

/* ---- A program that ends its waits ------------------------------------------------------------------------ */

#define WAITS 8u

struct ending {
    struct entry entries[WAITS];
    atomic_uint calls[WAITS];
    jdb_pool *pool;
};

static void put_what_came(jdb_pool_wait *wait)
{
    struct ending *const all = wait->user;
    for (uint32_t i = 0; i < WAITS; i++)
        if (&all->entries[i].wait == wait) {
            MUST(jdb_pool_put(all->pool, all->entries[i].frame) == 0);
            atomic_fetch_add(&all->calls[i], 1);
        }
}

static void *put_all(void *context)
{
    const struct fixture *const f = context;
    for (uint32_t i = 0; i < FRAMES; i++)
        MUST(jdb_pool_put(f->pool, f->frames[i]) == 0);
    return NULL;
}

/* Each entry is removed by its cancel, or has one callback: which, the cancel says. */
static void each_wait_is_cancelled_or_called(void **state)
{
    (void)state;
    uint64_t random = random_seed("pool_cancel");
    for (uint64_t run = 0; run < tier_pick(200, 1000, 20000); run++) {
        struct fixture f = make_full();
        struct ending all = {.pool = f.pool};
        pthread_t thread;
        for (uint32_t i = 0; i < WAITS; i++) {
            jdb_pool_wait_init(&all.entries[i].wait, put_what_came, &all);
            assert_int_equal(jdb_pool_wait_start(f.pool, &all.entries[i].wait, 1, &all.entries[i].frame), -EAGAIN);
        }
        assert_int_equal(pthread_create(&thread, NULL, put_all, &f), 0);
        for (uint64_t spin = random_below(&random, 2000); spin > 0; spin--)
            atomic_signal_fence(memory_order_seq_cst);
        for (uint32_t i = 0; i < WAITS; i++) {
            const int err = jdb_pool_wait_cancel(f.pool, &all.entries[i].wait);
            assert_true(err == 0 || err == -ESTALE);
            if (err == -ESTALE)
                while (atomic_load(&all.calls[i]) == 0) /* it comes, if it has not */
                    nanosleep(&(struct timespec){0, 1000}, NULL);
            else
                assert_int_equal(atomic_load(&all.calls[i]), 0);
            all.entries[i].cancelled = err;
        }
        pthread_join(thread, NULL);
        for (uint32_t i = 0; i < WAITS; i++)
            assert_int_equal(atomic_load(&all.calls[i]), all.entries[i].cancelled == 0 ? 0 : 1);
        drop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_whose_frames_were_handed_over_still_comes),
        cmocka_unit_test(a_queued_callback_that_is_cancelled_never_comes),
        cmocka_unit_test(before_the_start_and_after_the_end_nothing_comes),
        cmocka_unit_test(a_sleeper_whose_frame_was_handed_over_has_it),
        cmocka_unit_test(each_wait_is_cancelled_or_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
