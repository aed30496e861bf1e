/* SPDX-License-Identifier: MIT
 *
 * pool_thread_test.c - what a thread has in pools: its slots, its caches when it ends, and how others wait for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "must.h"
#include "pool/state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define FRAMES 64u
#define POOLS 50u
#define MS 1000000

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
};

static struct fixture make(void)
{
    struct fixture f = {NULL, NULL};
    const jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = FRAMES};
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

static void get_and_put(jdb_pool *pool)
{
    jdb_frame frame;
    MUST(jdb_pool_get(pool, &frame) == 0);
    MUST(jdb_pool_put(pool, frame) == 0);
}

/* ---- Slots ------------------------------------------------------------------------------------------------ */

static void check_slots(const struct fixture *pools)
{
    bool is_taken[POOLS] = {false};
    for (uint32_t i = 0; i < POOLS; i++) {
        assert_in_range(pools[i].pool->slot, 0, POOLS - 1);
        assert_false(is_taken[pools[i].pool->slot]);
        is_taken[pools[i].pool->slot] = true;
    }
}

/* However many pools came and went before, those that live never have a slot together. */
static void pools_that_live_have_slots_of_their_own(void **state)
{
    (void)state;
    struct fixture pools[POOLS];
    for (uint32_t i = 0; i < POOLS; i++)
        pools[i] = make();
    for (uint32_t round = 0; round < 100; round++) {
        const uint32_t victim = round * 7 % POOLS;
        drop(pools[victim]);
        pools[victim] = make();
        get_and_put(pools[victim].pool);
        check_slots(pools);
    }
    for (uint32_t i = 0; i < POOLS; i++)
        drop(pools[i]);
}

/* ---- Ends ------------------------------------------------------------------------------------------------- */

struct visit {
    struct fixture *pools;
    uint32_t count;
};

static void *use_pools(void *context)
{
    const struct visit *const visit = context;
    for (uint32_t i = 0; i < visit->count; i++)
        get_and_put(visit->pools[i].pool);
    for (uint32_t i = 0; i < visit->count; i++)
        MUST(stats_of(visit->pools[i].pool).thread_count == 1);
    return NULL;
}

static void *use_some_and_the_last(void *context)
{
    const struct visit *const visit = context;
    get_and_put(visit->pools[visit->count - 1].pool);
    get_and_put(visit->pools[2].pool);
    return NULL;
}

static void a_thread_that_ends_leaves_its_caches_in_all_pools(void **state)
{
    (void)state;
    struct fixture pools[POOLS];
    const struct visit visit = {pools, POOLS};
    void *(*const uses[])(void *) = {use_pools, use_some_and_the_last, use_pools};
    for (uint32_t i = 0; i < POOLS; i++)
        pools[i] = make();
    for (size_t n = 0; n < sizeof uses / sizeof uses[0]; n++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, uses[n], (void *)(uintptr_t)&visit), 0);
        pthread_join(thread, NULL);
        for (uint32_t i = 0; i < POOLS; i++) {
            assert_int_equal(stats_of(pools[i].pool).thread_count, 0);
            assert_int_equal(stats_of(pools[i].pool).cached_count, 0);
            const struct pool_cache *const cache = pools[i].pool->caches; /* one, used again */
            assert_ptr_equal(pools[i].pool->unowned, cache);
            assert_true(cache == NULL || cache->next == NULL);
        }
    }
    for (uint32_t i = 0; i < POOLS; i++)
        drop(pools[i]);
}

static void *use_without_memory(void *context)
{
    struct fixture *const pools = context;
    jdb_frame frames[FRAMES];
    MUST(jdb_pool_get_n(pools[POOLS - 1].pool, FRAMES, frames) == 0);
    MUST(jdb_pool_put_n(pools[POOLS - 1].pool, frames, FRAMES) == 0);
    return NULL;
}

/* Itself, its slots, its cache. */
static void without_memory_a_thread_has_no_cache(void **state)
{
    (void)state;
    struct fixture pools[POOLS];
    for (uint32_t i = 0; i < POOLS; i++)
        pools[i] = make();
    for (unsigned after = 0; after < 3; after++) {
        pthread_t thread;
        faults_arm_all(OS_CALL_ALLOC, after, -ENOMEM);
        assert_int_equal(pthread_create(&thread, NULL, use_without_memory, pools), 0);
        pthread_join(thread, NULL);
        assert_true(faults_disarm());
        assert_null(pools[POOLS - 1].pool->caches);
    }
    for (uint32_t i = 0; i < POOLS; i++)
        drop(pools[i]);
}

/* ---- Waiting for a thread that is inside of its cache ------------------------------------------------------ */

struct theft {
    jdb_pool *pool;
    uint64_t cpu_ns;
};

static uint64_t cpu_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *take_all(void *context)
{
    struct theft *const theft = context;
    jdb_frame frames[FRAMES];
    const uint64_t start_ns = cpu_now_ns();
    MUST(jdb_pool_get_n(theft->pool, FRAMES, frames) == 0);
    theft->cpu_ns = cpu_now_ns() - start_ns;
    MUST(jdb_pool_put_n(theft->pool, frames, FRAMES) == 0);
    return NULL;
}

/* As if the owner were preempted there for 200 ms. A real-time thread that spun meanwhile could keep it there for ever. */
static void a_thief_sleeps_while_the_owner_does_not_run(void **state)
{
    (void)state;
    const struct fixture f = make();
    struct theft theft = {.pool = f.pool};
    const struct timespec preempted = {0, 200 * MS};
    pthread_t thread;
    get_and_put(f.pool);
    struct pool_cache *const cache = f.pool->caches;
    assert_non_null(cache);
    if (pool_cache_is_revoked(cache)) /* no membarrier: nobody is ever waited for */
        skip();
    assert_true(pool_cache_enter(cache));
    assert_int_equal(pthread_create(&thread, NULL, take_all, &theft), 0);
    nanosleep(&preempted, NULL);
    pool_cache_leave(cache);
    pthread_join(thread, NULL);
    assert_in_range(theft.cpu_ns, 0, 100 * MS);
    drop(f);
}

/* ---- What was never used ---------------------------------------------------------------------------------- */

static void frames_never_lent_are_not_looked_at(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[3];
    jdb_frame found;
    uint32_t cursor = 0;
    uint32_t count = 0;
    assert_false(jdb_pool_next_lent(f.pool, &cursor, &found));
    assert_int_equal(cursor, 0);
    assert_int_equal(jdb_pool_get_n(f.pool, 3, frames), 0);
    while (jdb_pool_next_lent(f.pool, &cursor, &found))
        count++;
    assert_int_equal(count, 3);
    assert_int_equal(cursor, pool_used_count(f.pool));
    assert_true(cursor < FRAMES);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 3), 0);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_that_live_have_slots_of_their_own),
        cmocka_unit_test(a_thread_that_ends_leaves_its_caches_in_all_pools),
        cmocka_unit_test(without_memory_a_thread_has_no_cache),
        cmocka_unit_test(a_thief_sleeps_while_the_owner_does_not_run),
        cmocka_unit_test(frames_never_lent_are_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
