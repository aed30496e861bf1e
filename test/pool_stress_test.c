/* SPDX-License-Identifier: MIT
 *
 * pool_stress_test.c - 8 threads get and put; each frame carries its owner's stamp, so that one lent twice is seen.
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

#define THREADS 8
#define HELD_MAX 200u

static pthread_barrier_t start_line;

struct worker {
    jdb_pool *pool;
    uint64_t target; /* frames to get */
    uint64_t seed;
    uint64_t got;
    jdb_frame held[HELD_MAX];
    uint32_t held_count;
};

static uint64_t *stamp_of(jdb_frame frame)
{
    return (uint64_t *)(void *)frame.ptr;
}

static void get_some(struct worker *me, uint32_t count)
{
    jdb_frame *const frames = &me->held[me->held_count];
    const int err = count == 1 ? jdb_pool_get(me->pool, frames) : jdb_pool_get_n(me->pool, count, frames);
    MUST(err == 0 || err == -EAGAIN);
    if (err != 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        MUST(*stamp_of(frames[i]) == 0);
        *stamp_of(frames[i]) = me->seed;
    }
    me->held_count += count;
    me->got += count;
}

static void put_some(struct worker *me, uint32_t count)
{
    me->held_count -= count;
    const jdb_frame *const frames = &me->held[me->held_count];
    for (uint32_t i = 0; i < count; i++) {
        MUST(*stamp_of(frames[i]) == me->seed);
        *stamp_of(frames[i]) = 0;
    }
    const int err = count == 1 ? jdb_pool_put(me->pool, frames[0]) : jdb_pool_put_n(me->pool, frames, count);
    MUST(err == 0);
}

static void *work(void *context)
{
    struct worker *const me = context;
    uint64_t random = me->seed;
    pthread_barrier_wait(&start_line);
    while (me->got < me->target) {
        const uint32_t most = random_below(&random, 8) == 0 ? HELD_MAX : 4;
        const uint32_t room = HELD_MAX - me->held_count;
        const uint32_t count = (uint32_t)(1 + random_below(&random, most));
        if (random_below(&random, 2) == 0)
            get_some(me, count < room ? count : room);
        else
            put_some(me, count < me->held_count ? count : me->held_count);
    }
    put_some(me, me->held_count);
    return NULL;
}

static void run(uint32_t frame_count, uint32_t thread_frames, uint64_t target)
{
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    uint64_t random = random_seed("stress");
    jdb_arena_options arena_options = {.size = sizeof arena_options, .frame_size = 512, .frame_align = 512};
    arena_options.frame_count = frame_count;
    const jdb_pool_options options = {.size = sizeof options, .thread_frames = thread_frames};
    jdb_arena *arena = NULL;
    jdb_pool *pool = NULL;
    assert_int_equal(jdb_arena_new(&arena_options, &arena), 0);
    assert_int_equal(jdb_pool_new(arena, &options, &pool), 0);
    pthread_barrier_init(&start_line, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.pool = pool, .target = target / THREADS, .seed = random_next(&random) | 1};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start_line);
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    assert_int_equal(jdb_pool_get_stats(pool, &stats), 0);
    printf("%u frames: %llu lent, %llu batches moved, %llu caches taken over, %llu times none\n", frame_count,
           (unsigned long long)stats.got_count, (unsigned long long)stats.batch_count,
           (unsigned long long)stats.steal_count, (unsigned long long)stats.empty_count);
    assert_int_equal(stats.got_count, stats.put_count);
    jdb_frame *const all = malloc(frame_count * sizeof *all);
    assert_int_equal(jdb_pool_get_n(pool, frame_count, all), 0);
    assert_int_equal(jdb_pool_put_n(pool, all, frame_count), 0);
    free(all);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void frames_abound(void **state)
{
    (void)state;
    run(20000, 0, tier_pick(1000000, 50000000, 100000000));
}

static void frames_just_suffice(void **state)
{
    (void)state;
    run(THREADS * HELD_MAX / 2, 0, tier_pick(500000, 10000000, 100000000));
}

static void frames_are_short(void **state)
{
    (void)state;
    run(HELD_MAX, 0, tier_pick(100000, 2000000, 20000000));
}

static void caches_are_as_small_as_can_be(void **state)
{
    (void)state;
    run(1000, 2, tier_pick(200000, 4000000, 40000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_abound),
        cmocka_unit_test(frames_just_suffice),
        cmocka_unit_test(frames_are_short),
        cmocka_unit_test(caches_are_as_small_as_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
