/* SPDX-License-Identifier: MIT
 *
 * pool_generation_test.c - a frame that has used its last generation is set aside, so that no handle comes back to life.
 * The pools here begin close to the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "arena/arena_internal.h"
#include "must.h"
#include "pool/state.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define LIVES 3u /* lendings of a frame before it is set aside */
#define FRAMES 8u

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
};

static struct fixture make(uint32_t frame_count, uint32_t lives)
{
    struct fixture f = {NULL, NULL};
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = frame_count};
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    f.pool->gen_seed = FRAME_LENT - lives; /* no frame has begun */
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

/* One frame at a time, until all have used their generations: no handle is given out twice, none is taken again. */
static void every_handle_stays_stale_while_a_frame_has_generations(void **state)
{
    (void)state;
    const struct fixture f = make(FRAMES, LIVES);
    jdb_frame old[FRAMES * LIVES];
    for (uint32_t n = 0; n < FRAMES * LIVES; n++) {
        assert_int_equal(jdb_pool_get(f.pool, &old[n]), 0);
        for (uint32_t i = 0; i < n; i++) {
            assert_false(old[i].index == old[n].index && old[i].gen == old[n].gen);
            assert_int_equal(jdb_pool_put(f.pool, old[i]), -ESTALE);
        }
        assert_int_equal(jdb_pool_put(f.pool, old[n]), 0);
        assert_int_equal(jdb_pool_put(f.pool, old[n]), -ESTALE);
        assert_int_equal(stats_of(f.pool).aside_count, (n + 1) / LIVES);
        assert_int_equal(stats_of(f.pool).lent_count, 0);
    }
    jdb_frame all[FRAMES]; /* nothing is lost: where no other frame is free, they begin anew */
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, all), 0);
    assert_int_equal(stats_of(f.pool).aside_count, 0);
    assert_int_equal(jdb_pool_get(f.pool, &old[0]), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(f.pool, all, FRAMES), 0);
    drop(f);
}

static void the_longest_aside_begins_first(void **state)
{
    (void)state;
    const struct fixture f = make(FRAMES, 1);
    jdb_frame first[FRAMES];
    jdb_frame again[FRAMES];
    for (uint32_t i = 0; i < FRAMES; i++) {
        assert_int_equal(jdb_pool_get(f.pool, &first[i]), 0);
        assert_int_equal(jdb_pool_put(f.pool, first[i]), 0);
    }
    for (uint32_t i = 0; i < FRAMES; i++) {
        assert_int_equal(jdb_pool_get(f.pool, &again[i]), 0);
        assert_int_equal(again[i].index, first[i].index);
    }
    assert_int_equal(jdb_pool_put_n(f.pool, again, FRAMES), 0);
    assert_int_equal(stats_of(f.pool).aside_count, FRAMES);
    drop(f);
}

static void the_last_lending_is_checked_as_every_other(void **state)
{
    (void)state;
    const struct fixture f = make(FRAMES, 1);
    jdb_frame frame;
    jdb_frame pair[2];
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    assert_int_equal(frame.gen, FRAME_GEN_LAST);
    assert_int_equal(jdb_pin(frame.ptr, 1), 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), -EBUSY);
    assert_int_equal(jdb_unpin(frame.ptr, 1), 0);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr + 1, frame.index, frame.gen}), -EINVAL);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr, FRAMES, frame.gen}), -ERANGE);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr, frame.index, frame.gen - 1}), -ESTALE);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr, frame.index, frame.gen & ~FRAME_LENT}), -EINVAL);
    uint32_t cursor = 0;
    assert_true(jdb_pool_next_lent(f.pool, &cursor, &pair[0]));
    assert_int_equal(pair[0].gen, frame.gen);
    assert_int_equal(jdb_pool_free(f.pool), -EBUSY);
    pair[0] = frame;
    pair[1] = frame;
    assert_int_equal(jdb_pool_put_n(f.pool, pair, 2), -ESTALE); /* none of them */
    assert_int_equal(stats_of(f.pool).lent_count, 1);
    assert_int_equal(stats_of(f.pool).aside_count, 0);
    assert_int_equal(jdb_pool_put_n(f.pool, pair, 1), 0);
    assert_int_equal(stats_of(f.pool).aside_count, 1);
    assert_int_equal(jdb_pool_put(f.pool, frame), -ESTALE);
    drop(f);
}

/* The generation that a free frame has is that of no handle, the one before its last too. */
static void the_generation_of_a_free_frame_is_no_handle(void **state)
{
    (void)state;
    for (uint32_t lives = 1; lives < 4; lives++) {
        const struct fixture f = make(FRAMES, lives);
        jdb_frame frame;
        assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
        assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        frame.gen = frame_gen(&f.pool->frames, frame.index);
        assert_int_equal(frame.gen, lives > 1 ? FRAME_LENT - lives + 1 : 0);
        assert_int_equal(jdb_pool_put(f.pool, frame), -EINVAL);
        assert_int_equal(jdb_pool_put_n(f.pool, &frame, 1), -EINVAL);
        assert_int_equal(jdb_pool_recycle(f.pool, frame, &frame), -EINVAL);
        assert_int_equal(stats_of(f.pool).lent_count, 0);
        drop(f);
    }
}

/* While anyone waits no frame is set aside: it serves. */
static void note(jdb_pool_wait *wait)
{
    ++*(unsigned *)wait->user;
}

static void a_waiter_gets_a_frame_that_would_be_set_aside(void **state)
{
    (void)state;
    const struct fixture f = make(2, 1);
    jdb_frame lent[2];
    jdb_frame got[2];
    unsigned calls = 0;
    jdb_pool_wait wait;
    for (int i = 0; i < 2; i++) { /* both aside, then both lent for their last */
        assert_int_equal(jdb_pool_get_n(f.pool, 2, lent), 0);
        assert_int_equal(jdb_pool_put_n(f.pool, lent, 2), 0);
        assert_int_equal(stats_of(f.pool).aside_count, 2);
    }
    assert_int_equal(jdb_pool_get(f.pool, &lent[0]), 0);
    assert_int_equal(stats_of(f.pool).aside_count, 1);
    jdb_pool_wait_init(&wait, note, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pool, &wait, 2, got), -EAGAIN);
    assert_int_equal(stats_of(f.pool).aside_count, 0);
    assert_int_equal(jdb_pool_put(f.pool, lent[0]), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(jdb_pool_put_n(f.pool, got, 2), 0);
    jdb_pool_wait_init(&wait, note, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pool, &wait, 2, got), 0); /* both were aside */
    assert_int_equal(jdb_pool_put_n(f.pool, got, 2), 0);
    drop(f);
}

/* Handles of earlier pools over the arena, however often those have lent a frame. */
static void a_pool_begins_where_the_last_one_ended(void **state)
{
    (void)state;
    struct fixture f = make(FRAMES, FRAME_LENT - 100);
    jdb_frame last = {NULL, 0, 0};
    for (uint32_t round = 1; round < 50; round++) {
        jdb_frame frame;
        for (uint32_t i = 0; i < round * 100; i++) {
            assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
            assert_true(frame.gen > last.gen);
            assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        }
        last = frame;
        assert_int_equal(jdb_pool_free(f.pool), 0);
        assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    }
    f.pool->gen_seed = FRAME_LENT - 1; /* one that used all: the next begins anew, elsewhere */
    assert_int_equal(jdb_pool_get(f.pool, &last), 0);
    assert_int_equal(jdb_pool_put(f.pool, last), 0);
    assert_int_equal(jdb_pool_free(f.pool), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    assert_true(f.pool->gen_seed >= 1 && f.pool->gen_seed <= FRAME_GEN_SEED_MAX);
    drop(f);
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

#define THREADS 3
#define HELD 4u

struct worker {
    jdb_pool *pool;
    uint64_t seed;
    uint64_t rounds;
};

/* Each frame is its getter's alone, whatever became of its generations. */
static void *work(void *context)
{
    struct worker *const me = context;
    for (uint64_t i = 0; i < me->rounds; i++) {
        jdb_frame frames[HELD];
        const uint32_t count = (uint32_t)(1 + random_below(&me->seed, HELD));
        const int err = random_below(&me->seed, 4) == 0
                            ? jdb_pool_get_wait(me->pool, count, jdb_clock_ns() + 1000000, NULL, frames)
                            : jdb_pool_get_n(me->pool, count, frames);
        MUST(err == 0 || err == -EAGAIN || err == -ETIMEDOUT);
        for (uint32_t k = 0; err == 0 && k < count; k++)
            MUST(atomic_fetch_add((_Atomic uint8_t *)frames[k].ptr, 1) == 0);
        for (uint32_t k = 0; err == 0 && k < count; k++)
            MUST(atomic_fetch_sub((_Atomic uint8_t *)frames[k].ptr, 1) == 1);
        if (err == 0 && count == 1)
            MUST(jdb_pool_put(me->pool, frames[0]) == 0);
        else if (err == 0)
            MUST(jdb_pool_put_n(me->pool, frames, count) == 0);
    }
    return NULL;
}

static void threads_lose_no_frame_that_was_set_aside(void **state)
{
    (void)state;
    static const uint32_t frame_counts[] = {HELD, 2 * HELD, 200};
    uint64_t random = random_seed("generations");
    for (size_t i = 0; i < sizeof frame_counts / sizeof frame_counts[0]; i++) {
        const struct fixture f = make(frame_counts[i], LIVES);
        struct worker workers[THREADS];
        pthread_t threads[THREADS];
        for (int k = 0; k < THREADS; k++) {
            workers[k] = (struct worker){f.pool, random_next(&random) | 1, tier_pick(5000, 100000, 2000000)};
            assert_int_equal(pthread_create(&threads[k], NULL, work, &workers[k]), 0);
        }
        for (int k = 0; k < THREADS; k++)
            pthread_join(threads[k], NULL);
        jdb_frame all[200];
        assert_int_equal(jdb_pool_get_n(f.pool, frame_counts[i], all), 0);
        assert_int_equal(stats_of(f.pool).lent_count, frame_counts[i]);
        assert_int_equal(jdb_pool_put_n(f.pool, all, frame_counts[i]), 0);
        assert_int_equal(stats_of(f.pool).lent_count, 0);
        drop(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_handle_stays_stale_while_a_frame_has_generations),
        cmocka_unit_test(the_longest_aside_begins_first),
        cmocka_unit_test(the_last_lending_is_checked_as_every_other),
        cmocka_unit_test(the_generation_of_a_free_frame_is_no_handle),
        cmocka_unit_test(a_waiter_gets_a_frame_that_would_be_set_aside),
        cmocka_unit_test(a_pool_begins_where_the_last_one_ended),
        cmocka_unit_test(threads_lose_no_frame_that_was_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
