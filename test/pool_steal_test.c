/* SPDX-License-Identifier: MIT
 *
 * pool_steal_test.c - threads take frames out of each other's caches all the time, from a thread that is just inside of its
 * cache, or was preempted there: more threads than processors, which hold between one frame and twice their share.
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
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define THREADS_MAX 32
#define FRAMES_MAX 4096u
#define HELD_MAX 64u

static jdb_pool *pool;
static pthread_barrier_t start_line;
static _Atomic uint32_t owners[FRAMES_MAX]; /* number of the thread that has the frame + 1, or 0 */

struct worker {
    uint32_t number;
    uint32_t held_count;
    uint64_t target; /* frames to get */
};

static uint32_t get_some(const struct worker *me, jdb_frame *frames, uint32_t most)
{
    uint32_t count = 0;
    for (; count < most; count++) {
        const int err = jdb_pool_get(pool, &frames[count]);
        MUST(err == 0 || err == -EAGAIN);
        if (err != 0)
            break;
        MUST(atomic_exchange(&owners[frames[count].index], me->number + 1) == 0);
    }
    return count;
}

static void *work(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->number + 1;
    jdb_frame frames[HELD_MAX];
    pthread_barrier_wait(&start_line);
    for (uint64_t got = 0; got < me->target;) {
        uint32_t count = get_some(me, frames, (uint32_t)(1 + random_below(&random, me->held_count)));
        got += count;
        sched_yield(); /* the others get theirs meanwhile */
        while (count-- > 0) {
            MUST(atomic_exchange(&owners[frames[count].index], 0) == me->number + 1);
            MUST(jdb_pool_put(pool, frames[count]) == 0);
        }
    }
    return NULL;
}

static void steal(uint32_t thread_count, uint32_t held_count, uint64_t target)
{
    static struct worker workers[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    const uint32_t frame_count = thread_count * held_count / 2;
    jdb_arena_options options = {.size = sizeof options, .frame_size = 512, .frame_align = 512};
    options.frame_count = frame_count;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_pool_new(arena, NULL, &pool), 0);
    pthread_barrier_init(&start_line, NULL, thread_count);
    for (uint32_t i = 0; i < thread_count; i++) {
        workers[i] = (struct worker){i, held_count, target / thread_count};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start_line);
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    assert_int_equal(jdb_pool_get_stats(pool, &stats), 0);
    printf("%u threads, %u frames: %llu lent, %llu caches taken over\n", thread_count, frame_count,
           (unsigned long long)stats.got_count, (unsigned long long)stats.steal_count);
    assert_int_equal(stats.refused_count, 0);
    assert_int_equal(stats.lent_count, 0);
    assert_int_equal(stats.got_count, stats.put_count);
    assert_true(stats.steal_count > 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void few_frames_each(void **state)
{
    (void)state;
    steal(8, 3, tier_pick(100000, 2000000, 20000000));
}

static void as_many_as_a_cache_keeps(void **state)
{
    (void)state;
    steal(16, HELD_MAX, tier_pick(500000, 10000000, 100000000));
}

static void many_threads(void **state)
{
    (void)state;
    steal(THREADS_MAX, 40, tier_pick(500000, 10000000, 100000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_frames_each),
        cmocka_unit_test(as_many_as_a_cache_keeps),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
