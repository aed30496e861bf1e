/* SPDX-License-Identifier: MIT
 *
 * pool_wait_test.c - waiting for frames of a pool: order, deadlines, cancelling, callbacks, and no wake-up lost.
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
#include <string.h>
#include <time.h>

#define MS UINT64_C(1000000)

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
};

static struct fixture make(uint32_t frame_count)
{
    struct fixture f = {NULL, NULL};
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = frame_count};
    options.max_frame_count = 64;
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    return f;
}

static void drop(struct fixture f)
{
    assert_int_equal(jdb_pool_free(f.pool), 0);
    assert_int_equal(jdb_arena_free(f.arena), 0);
}

static jdb_pool_stats stats_of(jdb_pool *pool)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    MUST(jdb_pool_get_stats(pool, &stats) == 0);
    return stats;
}

static void nap_ns(long ns)
{
    const struct timespec time = {0, ns};
    nanosleep(&time, NULL);
}

static void await_waiters(jdb_pool *pool, uint32_t count)
{
    while (stats_of(pool).waiter_count != count)
        nap_ns(100000);
}

/* ---- Deadlines -------------------------------------------------------------------------------------------- */

static void a_deadline_is_never_early(void **state)
{
    (void)state;
    const struct fixture f = make(1);
    jdb_frame only;
    jdb_frame none = {NULL, 1, 2};
    assert_int_equal(jdb_pool_get_wait(f.pool, 1, JDB_DEADLINE_NONE, NULL, &only), 0);
    assert_int_equal(jdb_pool_get_wait(f.pool, 1, 0, NULL, &none), -ETIMEDOUT);
    for (uint64_t us = 1; us < 20000; us *= 3) {
        const uint64_t deadline_ns = jdb_clock_ns() + us * 1000;
        assert_int_equal(jdb_pool_get_wait(f.pool, 1, deadline_ns, NULL, &none), -ETIMEDOUT);
        assert_true(jdb_clock_ns() >= deadline_ns);
    }
    assert_null(none.ptr);
    assert_int_equal(stats_of(f.pool).timeout_count, 11);
    assert_true(stats_of(f.pool).lateness_max_ns > 0);
    assert_true(stats_of(f.pool).lateness_max_ns < 3600 * 1000 * MS); /* not the age of the clock, of a deadline of 0 */
    assert_int_equal(jdb_pool_get_wait(f.pool, 2, JDB_DEADLINE_NONE, NULL, &none), -ERANGE);
    assert_int_equal(jdb_pool_put(f.pool, only), 0);
    drop(f);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The bound of 1 ms is for an idle machine: what the system's own sleep is late by, is not the pool's. */
static void a_deadline_is_kept_as_well_as_a_sleep(void **state)
{
    (void)state;
    enum { ROUNDS = 400 };
    static uint64_t late[ROUNDS];
    static uint64_t sleep_late[ROUNDS];
    const struct fixture f = make(1);
    jdb_frame frame;
    jdb_frame none;
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t deadline_ns = jdb_clock_ns() + MS;
        assert_int_equal(jdb_pool_get_wait(f.pool, 1, deadline_ns, NULL, &none), -ETIMEDOUT);
        late[i] = jdb_clock_ns() - deadline_ns;
        const uint64_t end_ns = jdb_clock_ns() + MS;
        const struct timespec end = {(time_t)(end_ns / (1000 * MS)), (long)(end_ns % (1000 * MS))};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
        sleep_late[i] = jdb_clock_ns() - end_ns;
    }
    qsort(late, ROUNDS, sizeof late[0], compare);
    qsort(sleep_late, ROUNDS, sizeof late[0], compare);
    const uint64_t p99 = late[ROUNDS * 99 / 100];
    const uint64_t sleep_p99 = sleep_late[ROUNDS * 99 / 100];
    printf("lateness p50 %llu us, p99 %llu us; of the system's sleep %llu and %llu us\n",
           (unsigned long long)late[ROUNDS / 2] / 1000, (unsigned long long)p99 / 1000,
           (unsigned long long)sleep_late[ROUNDS / 2] / 1000, (unsigned long long)sleep_p99 / 1000);
    if (sleep_p99 < MS / 2 && tier_is_measurable())
        assert_true(p99 < 2 * MS);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    drop(f);
}

/* ---- Order ------------------------------------------------------------------------------------------------ */

#define WAITERS 16

struct line {
    jdb_pool *pool;
    atomic_uint served;
    unsigned place[WAITERS]; /* when each was served */
};

struct in_line {
    struct line *line;
    unsigned number;
};

static void *stand_in_line(void *context)
{
    const struct in_line *const me = context;
    jdb_frame frame;
    MUST(jdb_pool_get_wait(me->line->pool, 1, JDB_DEADLINE_NONE, NULL, &frame) == 0);
    me->line->place[me->number] = atomic_fetch_add(&me->line->served, 1);
    while (stats_of(me->line->pool).wait_count < WAITERS)
        nap_ns(100000);
    MUST(jdb_pool_put(me->line->pool, frame) == 0);
    return NULL;
}

/* 16 threads come one after the other; 4 frames are put one after the other. With one frame on its way at a time, the
 * order in which they are served can be seen. */
static void waiters_are_served_in_order(void **state)
{
    (void)state;
    const struct fixture f = make(4);
    jdb_frame frames[4];
    struct line line = {.pool = f.pool};
    struct in_line waiters[WAITERS];
    pthread_t threads[WAITERS];
    assert_int_equal(jdb_pool_get_n(f.pool, 4, frames), 0);
    for (unsigned i = 0; i < WAITERS; i++) {
        waiters[i] = (struct in_line){&line, i};
        assert_int_equal(pthread_create(&threads[i], NULL, stand_in_line, &waiters[i]), 0);
        await_waiters(f.pool, i + 1);
    }
    jdb_frame none;
    assert_int_equal(jdb_pool_get(f.pool, &none), -EAGAIN);
    assert_int_equal(jdb_pool_put(f.pool, frames[0]), 0);
    for (unsigned i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < WAITERS; i++)
        assert_int_equal(line.place[i], i);
    assert_int_equal(jdb_pool_put_n(f.pool, &frames[1], 3), 0);
    drop(f);
}

struct entry {
    jdb_pool_wait wait;
    jdb_frame frames[64];
    unsigned place; /* 0: not called; else the how manieth */
};

static unsigned calls;

static void note(jdb_pool_wait *wait)
{
    ((struct entry *)wait->user)->place = ++calls;
}

static void start(jdb_pool *pool, struct entry *entry, uint32_t frame_count, void (*on_frames)(jdb_pool_wait *))
{
    entry->place = 0;
    jdb_pool_wait_init(&entry->wait, on_frames, entry);
    assert_int_equal(jdb_pool_wait_start(pool, &entry->wait, frame_count, entry->frames), -EAGAIN);
}

static void one_who_wants_many_is_not_overtaken(void **state)
{
    (void)state;
    const struct fixture f = make(4);
    jdb_frame frames[4];
    struct entry many;
    struct entry one;
    calls = 0;
    assert_int_equal(jdb_pool_get_n(f.pool, 4, frames), 0);
    start(f.pool, &many, 3, note);
    start(f.pool, &one, 1, note);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 2), 0);
    assert_int_equal(many.place + one.place, 0);
    jdb_frame none;
    assert_int_equal(jdb_pool_get(f.pool, &none), -EAGAIN);
    assert_int_equal(jdb_pool_put(f.pool, frames[2]), 0);
    assert_int_equal(many.place, 1);
    assert_int_equal(one.place, 0);
    assert_int_equal(jdb_pool_put(f.pool, frames[3]), 0);
    assert_int_equal(one.place, 2);
    assert_int_equal(jdb_pool_put_n(f.pool, many.frames, 3), 0);
    assert_int_equal(jdb_pool_put(f.pool, one.frames[0]), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, 4, frames), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 4), 0);
    drop(f);
}

/* ---- Cancelling ------------------------------------------------------------------------------------------- */

static void what_was_kept_for_a_cancelled_one_goes_on(void **state)
{
    (void)state;
    const struct fixture f = make(4);
    jdb_frame frames[4];
    struct entry many;
    struct entry one;
    calls = 0;
    assert_int_equal(jdb_pool_get_n(f.pool, 4, frames), 0);
    start(f.pool, &many, 4, note);
    start(f.pool, &one, 1, note);
    assert_int_equal(jdb_pool_free(f.pool), -EBUSY);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 3), 0);
    assert_int_equal(jdb_pool_wait_start(f.pool, &many.wait, 4, many.frames), -EINVAL);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, &many.wait), 0);
    assert_int_equal(many.place, 0);
    assert_int_equal(one.place, 1);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, &one.wait), -ESTALE);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, &many.wait), -ESTALE);
    assert_int_equal(jdb_pool_wait_start(f.pool, &many.wait, 1, many.frames), -ECANCELED);
    jdb_pool_wait_init(&many.wait, note, &many);
    assert_int_equal(jdb_pool_wait_start(f.pool, &many.wait, 1, many.frames), 0);
    assert_int_equal(many.place, 0);
    assert_int_equal(jdb_pool_put(f.pool, many.frames[0]), 0);
    assert_int_equal(jdb_pool_put(f.pool, one.frames[0]), 0);
    assert_int_equal(jdb_pool_put(f.pool, frames[3]), 0);
    assert_int_equal(stats_of(f.pool).cancel_count, 1);
    drop(f);
}

struct race {
    jdb_pool *pool;
    jdb_pool_wait wait;
    int result;
    jdb_frame frame;
};

static void *wait_in_race(void *context)
{
    struct race *const race = context;
    race->result = jdb_pool_get_wait(race->pool, 1, JDB_DEADLINE_NONE, &race->wait, &race->frame);
    return NULL;
}

/* Cancel, put and the start of the wait in every order: the frame goes to exactly one side, and nobody sleeps on. */
static void cancelling_races_with_a_put(void **state)
{
    (void)state;
    uint64_t random = random_seed("cancel");
    const struct fixture f = make(1);
    unsigned results[2] = {0, 0};
    for (uint64_t i = 0; i < tier_pick(500, 5000, 200000); i++) {
        jdb_frame frame;
        struct race race = {.pool = f.pool};
        pthread_t thread;
        assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
        jdb_pool_wait_init(&race.wait, NULL, NULL);
        assert_int_equal(pthread_create(&thread, NULL, wait_in_race, &race), 0);
        if (random_below(&random, 2) == 0)
            await_waiters(f.pool, 1);
        const bool put_first = random_below(&random, 2) == 0;
        if (put_first)
            assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        const int cancelled = jdb_pool_wait_cancel(f.pool, &race.wait);
        assert_true(cancelled == 0 || cancelled == -ESTALE);
        pthread_join(thread, NULL);
        assert_true(race.result == 0 || race.result == -ECANCELED);
        assert_true(cancelled != 0 || race.result == -ECANCELED);
        results[race.result != 0]++;
        if (race.result == 0)
            assert_int_equal(jdb_pool_put(f.pool, race.frame), 0);
        if (!put_first)
            assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        assert_int_equal(stats_of(f.pool).lent_count, 0);
    }
    assert_true(results[0] > 0 && results[1] > 0);
    drop(f);
}

/* Both pools go on as if the call had not been. */
static void a_wait_is_cancelled_at_its_own_pool_alone(void **state)
{
    (void)state;
    const struct fixture mine = make(4);
    const struct fixture other = make(4);
    struct race race = {.pool = mine.pool};
    struct entry entry;
    jdb_frame frames[4];
    jdb_frame free_ones[4];
    pthread_t thread;
    assert_int_equal(jdb_pool_get_n(mine.pool, 4, frames), 0);
    start(mine.pool, &entry, 1, note);
    jdb_pool_wait_init(&race.wait, NULL, NULL);
    assert_int_equal(pthread_create(&thread, NULL, wait_in_race, &race), 0);
    await_waiters(mine.pool, 2);
    assert_int_equal(jdb_pool_wait_cancel(other.pool, &entry.wait), -EXDEV);
    assert_int_equal(jdb_pool_wait_cancel(other.pool, &race.wait), -EXDEV);
    assert_int_equal(jdb_pool_wait_start(other.pool, &entry.wait, 1, entry.frames), -EINVAL);
    assert_int_equal(stats_of(mine.pool).waiter_count, 2);
    assert_int_equal(stats_of(other.pool).waiter_count, 0);
    assert_int_equal(stats_of(other.pool).cancel_count, 0);
    assert_int_equal(jdb_pool_get_n(other.pool, 4, free_ones), 0);
    assert_int_equal(jdb_pool_put_n(other.pool, free_ones, 4), 0);
    calls = 0;
    assert_int_equal(jdb_pool_put(mine.pool, frames[0]), 0);
    assert_int_equal(entry.place, 1);
    assert_int_equal(jdb_pool_wait_cancel(mine.pool, &race.wait), 0);
    pthread_join(thread, NULL);
    assert_int_equal(race.result, -ECANCELED);
    assert_int_equal(jdb_pool_put_n(mine.pool, &frames[1], 3), 0);
    assert_int_equal(jdb_pool_put(mine.pool, entry.frames[0]), 0);
    /* An entry that has left one pool's queue may stand in another's. */
    assert_int_equal(jdb_pool_get_n(other.pool, 4, free_ones), 0);
    start(other.pool, &entry, 1, note);
    assert_int_equal(jdb_pool_wait_cancel(mine.pool, &entry.wait), -EXDEV);
    assert_int_equal(jdb_pool_wait_cancel(other.pool, &entry.wait), 0);
    assert_int_equal(jdb_pool_put_n(other.pool, free_ones, 4), 0);
    drop(mine);
    drop(other);
}

struct start_race {
    jdb_pool *pool;
    struct entry *entry;
    pthread_barrier_t *barrier;
    int result;
};

static void *start_in_race(void *context)
{
    struct start_race *const race = context;
    pthread_barrier_wait(race->barrier);
    race->result = jdb_pool_wait_start(race->pool, &race->entry->wait, 1, race->entry->frames);
    return NULL;
}

/* Two threads start one entry, at one pool or two: one of them queues it. */
static void an_entry_started_twice_at_once_is_queued_once(void **state)
{
    (void)state;
    const struct fixture pools[2] = {make(1), make(1)};
    jdb_frame lent[2];
    pthread_barrier_t barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(jdb_pool_get(pools[i].pool, &lent[i]), 0);
    for (uint64_t i = 0; i < tier_pick(1000, 5000, 200000); i++) {
        struct entry entry;
        struct start_race races[2];
        pthread_t thread;
        jdb_pool_wait_init(&entry.wait, note, &entry);
        for (int k = 0; k < 2; k++)
            races[k] = (struct start_race){pools[i % 2 * (unsigned)k].pool, &entry, &barrier, 0};
        assert_int_equal(pthread_create(&thread, NULL, start_in_race, &races[0]), 0);
        start_in_race(&races[1]);
        pthread_join(thread, NULL);
        const int winner = races[0].result == -EAGAIN ? 0 : 1;
        assert_int_equal(races[winner].result, -EAGAIN);
        assert_int_equal(races[1 - winner].result, -EINVAL);
        assert_int_equal(stats_of(races[winner].pool).waiter_count, 1);
        assert_int_equal(jdb_pool_wait_cancel(races[winner].pool, &entry.wait), 0);
        assert_int_equal(stats_of(pools[0].pool).waiter_count + stats_of(pools[1].pool).waiter_count, 0);
    }
    pthread_barrier_destroy(&barrier);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jdb_pool_put(pools[i].pool, lent[i]), 0);
        drop(pools[i]);
    }
}

/* ---- Callbacks -------------------------------------------------------------------------------------------- */

static jdb_pool *callback_pool;
static unsigned depth;
static unsigned deepest;

static void put_at_once(jdb_pool_wait *wait)
{
    struct entry *const entry = wait->user;
    depth++;
    deepest = depth > deepest ? depth : deepest;
    entry->place = ++calls;
    MUST(jdb_pool_put(callback_pool, entry->frames[0]) == 0);
    depth--;
}

static void a_chain_of_callbacks_does_not_deepen_the_stack(void **state)
{
    (void)state;
    enum { ENTRIES = 2000 };
    static struct entry entries[ENTRIES];
    const struct fixture f = make(1);
    jdb_frame frame;
    callback_pool = f.pool;
    calls = depth = deepest = 0;
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    for (int i = 0; i < ENTRIES; i++)
        start(f.pool, &entries[i], 1, put_at_once);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(entries[i].place, i + 1);
    assert_int_equal(deepest, 1);
    drop(f);
}

static void start_again(jdb_pool_wait *wait)
{
    struct entry *const entry = wait->user;
    MUST(jdb_pool_put(callback_pool, entry->frames[0]) == 0);
    if (++entry->place < 100)
        MUST(jdb_pool_wait_start(callback_pool, wait, 1, entry->frames) <= 0);
}

static void a_callback_may_start_its_entry_again(void **state)
{
    (void)state;
    const struct fixture f = make(1);
    struct entry entry;
    jdb_frame frame;
    callback_pool = f.pool;
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    start(f.pool, &entry, 1, start_again);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_int_equal(entry.place, 1);
    assert_int_equal(jdb_pool_put(f.pool, entry.frames[0]), 0);
    drop(f);
}

static atomic_bool is_awake;

static void *wait_and_put(void *context)
{
    jdb_pool *const pool = context;
    jdb_frame frame;
    MUST(jdb_pool_get_wait(pool, 1, JDB_DEADLINE_NONE, NULL, &frame) == 0);
    atomic_store(&is_awake, true);
    MUST(jdb_pool_put(pool, frame) == 0);
    return NULL;
}

static jdb_frame second_frame;
static bool was_awake;

/* Serves the sleeper behind it, and waits for it: it may not have to wait for this callback to return. */
static void put_and_wait_for_the_sleeper(jdb_pool_wait *wait)
{
    (void)wait;
    const uint64_t end_ns = jdb_clock_ns() + 10000 * MS;
    MUST(jdb_pool_put(callback_pool, second_frame) == 0);
    while (!atomic_load(&is_awake) && jdb_clock_ns() < end_ns)
        nap_ns(100000);
    was_awake = atomic_load(&is_awake);
}

static void a_sleeper_does_not_wait_for_a_callback(void **state)
{
    (void)state;
    const struct fixture f = make(2);
    jdb_frame frames[2];
    struct entry entry;
    pthread_t thread;
    callback_pool = f.pool;
    atomic_store(&is_awake, false);
    assert_int_equal(jdb_pool_get_n(f.pool, 2, frames), 0);
    second_frame = frames[1];
    start(f.pool, &entry, 1, put_and_wait_for_the_sleeper);
    assert_int_equal(pthread_create(&thread, NULL, wait_and_put, f.pool), 0);
    await_waiters(f.pool, 2);
    assert_int_equal(jdb_pool_put(f.pool, frames[0]), 0);
    pthread_join(thread, NULL);
    assert_true(was_awake);
    assert_int_equal(jdb_pool_put(f.pool, entry.frames[0]), 0);
    drop(f);
}

static void growing_the_arena_serves_waiters(void **state)
{
    (void)state;
    const struct fixture f = make(2);
    jdb_frame frames[2];
    struct entry many;
    struct entry one;
    calls = 0;
    assert_int_equal(jdb_pool_get_n(f.pool, 2, frames), 0);
    start(f.pool, &many, 2, note);
    start(f.pool, &one, 1, note);
    assert_int_equal(jdb_arena_grow(f.arena, 6), 0);
    assert_int_equal(jdb_pool_extend(f.pool, NULL), 0);
    assert_int_equal(many.place, 1);
    assert_int_equal(one.place, 2);
    assert_int_equal(jdb_pool_put_n(f.pool, many.frames, 2), 0);
    assert_int_equal(jdb_pool_put(f.pool, one.frames[0]), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 2), 0);
    drop(f);
}

/* ---- No wake-up is lost ----------------------------------------------------------------------------------- */

struct storm {
    jdb_pool *pool;
    pthread_barrier_t *start;
    uint64_t rounds;
    uint64_t seed;
};

/* A wait that nobody wakes would last until the deadline, far away. */
static void *get_and_put(void *context)
{
    const struct storm *const storm = context;
    uint64_t random = storm->seed;
    pthread_barrier_wait(storm->start);
    for (uint64_t i = 0; i < storm->rounds; i++) {
        jdb_frame frames[3];
        const uint32_t count = random_below(&random, 16) == 0 ? 3 : 1;
        const uint64_t deadline_ns = jdb_clock_ns() + 60000 * MS;
        MUST(jdb_pool_get_wait(storm->pool, count, deadline_ns, NULL, frames) == 0);
        for (uint32_t k = 0; k < count; k++) {
            uint64_t *const owner = (uint64_t *)(void *)frames[k].ptr;
            MUST(*owner == 0);
            *owner = (uintptr_t)&random;
        }
        if (random_below(&random, 64) == 0)
            nap_ns(1000);
        for (uint32_t k = 0; k < count; k++) {
            uint64_t *const owner = (uint64_t *)(void *)frames[k].ptr;
            MUST(*owner == (uintptr_t)&random);
            *owner = 0;
        }
        MUST(jdb_pool_put_n(storm->pool, frames, count) == 0);
    }
    return NULL;
}

static void storm(jdb_pool *pool, uint64_t rounds, uint64_t *random)
{
    struct storm storms[WAITERS];
    pthread_t threads[WAITERS];
    pthread_barrier_t start;
    assert_int_equal(pthread_barrier_init(&start, NULL, WAITERS), 0);
    for (unsigned i = 0; i < WAITERS; i++) {
        storms[i] = (struct storm){pool, &start, rounds, random_next(random)};
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_put, &storms[i]), 0);
    }
    for (unsigned i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

/* In many short storms: a thread that ends has its cache taken from it, and the last put of all wakes nobody else. */
static void no_wake_up_is_lost(void **state)
{
    (void)state;
    const struct fixture f = make(4);
    uint64_t random = random_seed("storm");
    for (uint64_t i = 0; i < tier_pick(20, 100, 1000); i++)
        storm(f.pool, i % 2 == 0 ? 100 : 20, &random);
    const jdb_pool_stats stats = stats_of(f.pool);
    printf("%llu waits in %llu frames lent\n", (unsigned long long)stats.wait_count,
           (unsigned long long)stats.got_count);
    assert_int_equal(stats.timeout_count, 0);
    assert_int_equal(stats.lent_count, 0);
    assert_int_equal(stats.waiter_count, 0);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_never_early),
        cmocka_unit_test(a_deadline_is_kept_as_well_as_a_sleep),
        cmocka_unit_test(waiters_are_served_in_order),
        cmocka_unit_test(one_who_wants_many_is_not_overtaken),
        cmocka_unit_test(what_was_kept_for_a_cancelled_one_goes_on),
        cmocka_unit_test(cancelling_races_with_a_put),
        cmocka_unit_test(a_wait_is_cancelled_at_its_own_pool_alone),
        cmocka_unit_test(an_entry_started_twice_at_once_is_queued_once),
        cmocka_unit_test(a_chain_of_callbacks_does_not_deepen_the_stack),
        cmocka_unit_test(a_callback_may_start_its_entry_again),
        cmocka_unit_test(a_sleeper_does_not_wait_for_a_callback),
        cmocka_unit_test(growing_the_arena_serves_waiters),
        cmocka_unit_test(no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
