/* SPDX-License-Identifier: MIT
 *
 * pool_nodes_test.c - frames of the node that a thread runs on come first, on a topology that the test makes up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "must.h"
#include "pool/state.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define FRAMES 1024u
#define BATCH 32u

/* ---- The topology ----------------------------------------------------------------------------------------- */

static _Thread_local unsigned node_of_this_thread;
static const uint8_t *base;
static unsigned node_count;
static atomic_int is_present; /* else no page is there */

static unsigned node_here(void)
{
    return node_of_this_thread;
}

static unsigned node_of_frame(uint32_t index)
{
    return index % node_count;
}

static int node_of(const void *page)
{
    return atomic_load(&is_present) != 0 ? (int)node_of_frame((uint32_t)(((const uint8_t *)page - base) / 4096))
                                         : -ENOENT;
}

static struct os_topology topology = {.node_here = node_here, .node_of = node_of};

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_frame frames[FRAMES];
};

static struct fixture make(unsigned nodes)
{
    struct fixture f = {.arena = NULL};
    const jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = FRAMES};
    node_count = nodes;
    topology.node_count = nodes;
    node_of_this_thread = 0;
    atomic_store(&is_present, 1);
    faults_set_topology(&topology);
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    base = jdb_arena_base(f.arena);
    return f;
}

static void drop(const struct fixture *f)
{
    assert_int_equal(jdb_pool_free(f->pool), 0);
    assert_int_equal(jdb_arena_free(f->arena), 0);
    faults_set_topology(NULL);
}

static jdb_pool_stats stats_of(jdb_pool *pool)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    assert_int_equal(jdb_pool_get_stats(pool, &stats), 0);
    return stats;
}

/* Through the cache, one by one, so that batches leave it. */
static void put_all(struct fixture *f)
{
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_int_equal(jdb_pool_put(f->pool, f->frames[i]), 0);
}

static bool has_caches(void)
{
    if (jdb__os_membarrier_register() == 0)
        return true;
    print_message("skipped: no membarrier, so no caches and no batches\n");
    return false;
}

struct getter {
    const struct fixture *fixture;
    unsigned node;
    uint32_t count; /* frames to get and put */
    uint32_t own_count;
};

static void *get_on_a_node(void *context)
{
    struct getter *const me = context;
    jdb_frame frames[FRAMES];
    node_of_this_thread = me->node;
    for (uint32_t i = 0; i < me->count; i++) {
        MUST(jdb_pool_get(me->fixture->pool, &frames[i]) == 0);
        me->own_count += node_of_frame(frames[i].index) == me->node ? 1 : 0;
    }
    for (uint32_t i = 0; i < me->count; i++)
        MUST(jdb_pool_put(me->fixture->pool, frames[i]) == 0);
    return NULL;
}

static uint32_t own_frames_of(const struct fixture *f, unsigned node, uint32_t count)
{
    struct getter getter = {.fixture = f, .node = node, .count = count};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, get_on_a_node, &getter), 0);
    pthread_join(thread, NULL);
    return getter.own_count;
}

/* ---- Near first ------------------------------------------------------------------------------------------- */

static void a_thread_gets_frames_of_its_node(void **state)
{
    (void)state;
    if (!has_caches())
        return;
    for (unsigned nodes = 2; nodes <= 4; nodes++) {
        struct fixture f = make(nodes);
        assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
        put_all(&f); /* all by one thread, on node 0 */
        for (unsigned round = 0; round < 3; round++)
            for (unsigned node = 0; node < nodes; node++) {
                const uint32_t count = FRAMES / nodes / 2;
                const uint32_t own_count = own_frames_of(&f, node, count);
                if (nodes == 2) /* of 64 frames 32 lie on one node: batches are of one node */
                    assert_int_equal(own_count, count);
                else
                    assert_in_range(own_count, count / 2, count);
            }
        if (nodes == 2)
            assert_int_equal(stats_of(f.pool).far_count, 0);
        drop(&f);
    }
}

static void where_its_node_has_none_it_gets_others(void **state)
{
    (void)state;
    if (!has_caches())
        return;
    struct fixture f = make(2);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    put_all(&f);
    const uint32_t own_count = own_frames_of(&f, 1, FRAMES - 64); /* 64 may be in the cache of this thread */
    assert_in_range(own_count, FRAMES / 2 - 64, FRAMES / 2);
    assert_true(stats_of(f.pool).far_count >= (FRAMES / 2 - 64) / BATCH);
    assert_int_equal(own_frames_of(&f, 1, FRAMES), FRAMES / 2); /* the last ones are taken from caches */
    drop(&f);
}

static void frames_never_lent_come_before_those_of_other_nodes(void **state)
{
    (void)state;
    if (!has_caches())
        return;
    struct fixture f = make(2);
    jdb_frame frame;
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES / 2, f.frames), 0);
    const uint32_t used = pool_used_count(f.pool);
    for (uint32_t i = 0; i < FRAMES / 2; i++) /* those of node 0 alone are shared */
        if (node_of_frame(f.frames[i].index) == 0)
            assert_int_equal(jdb_pool_put(f.pool, f.frames[i]), 0);
    struct getter getter = {.fixture = &f, .node = 1, .count = BATCH};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, get_on_a_node, &getter), 0);
    pthread_join(thread, NULL);
    assert_int_equal(pool_used_count(f.pool), used + BATCH);
    assert_int_equal(stats_of(f.pool).far_count, 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    for (uint32_t i = 0; i < FRAMES / 2; i++)
        if (node_of_frame(f.frames[i].index) == 1)
            assert_int_equal(jdb_pool_put(f.pool, f.frames[i]), 0);
    drop(&f);
}

/* What a waiter or a look at all places brought to the free list is sorted too. */
static void batches_made_of_the_free_list_are_of_one_node(void **state)
{
    (void)state;
    if (!has_caches())
        return;
    struct fixture f = make(2);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, f.frames, FRAMES), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, 1, f.frames), 0); /* makes batches */
    for (unsigned node = 0; node < 2; node++)
        assert_int_equal(own_frames_of(&f, node, FRAMES / 4), FRAMES / 4);
    assert_int_equal(jdb_pool_put(f.pool, f.frames[0]), 0);
    drop(&f);
}

/* ---- What is known ---------------------------------------------------------------------------------------- */

static void a_frame_is_asked_for_once_until_its_memory_goes(void **state)
{
    (void)state;
    if (!has_caches())
        return;
    struct fixture f = make(2);
    for (int i = 0; i < 3; i++) {
        const unsigned long before = faults_calls(OS_CALL_NODES);
        assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
        put_all(&f);
        assert_int_equal(faults_calls(OS_CALL_NODES) > before, i != 1);
        atomic_store(&is_present, 0);
        if (i == 1)
            assert_int_equal(jdb_pool_trim(f.pool, 0, NULL), 0);
        atomic_store(&is_present, 1);
    }
    drop(&f);
}

static uint32_t known_count(const struct fixture *f)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < FRAMES; i++)
        count += f->pool->nodes[i] != 0 ? 1 : 0;
    return count;
}

static void a_frame_without_memory_counts_as_near(void **state)
{
    (void)state;
    if (!has_caches())
        return;
    struct fixture f = make(2);
    atomic_store(&is_present, 0);
    node_of_this_thread = 1;
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    put_all(&f);
    assert_int_equal(known_count(&f), 0);
    own_frames_of(&f, 1, FRAMES - 64);
    assert_int_equal(stats_of(f.pool).far_count, 0);
    atomic_store(&is_present, 1); /* looked up when it leaves a cache next */
    own_frames_of(&f, 1, FRAMES - 64);
    own_frames_of(&f, 0, 64);
    assert_in_range(known_count(&f), FRAMES / 2, FRAMES);
    drop(&f);
}

static void a_system_that_does_not_say_it_loses_no_frame(void **state)
{
    (void)state;
    struct fixture f = make(2);
    faults_arm_all(OS_CALL_NODES, 0, -EPERM);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    put_all(&f);
    own_frames_of(&f, 1, FRAMES - 64);
    assert_int_equal(faults_disarm(), has_caches());
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    put_all(&f);
    drop(&f);
}

static void with_one_node_nobody_asks(void **state)
{
    (void)state;
    struct fixture f = make(1);
    const unsigned long before = faults_calls(OS_CALL_NODES);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    put_all(&f);
    assert_int_equal(faults_calls(OS_CALL_NODES), before);
    assert_int_equal(stats_of(f.pool).far_count, 0);
    assert_null(f.pool->nodes);
    drop(&f);
}

static void the_systems_own_nodes_are_found(void **state)
{
    (void)state;
    static _Alignas(65536) uint8_t memory[65536];
    const void *const page = memory;
    int node = -1;
    memory[0] = 1;
    assert_true(jdb__os_node_count() >= 1);
    assert_true(jdb__os_node_here() < jdb__os_node_count());
    const int err = jdb__os_nodes_of(&page, 1, &node);
    if (err != 0) {
        print_message("skipped: move_pages(2) is refused: %d\n", err);
        return;
    }
    assert_in_range(node, 0, jdb__os_node_count() - 1);
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

struct worker {
    jdb_pool *pool;
    atomic_bool *stop;
    uint64_t seed;
};

static void *get_and_put_on_changing_nodes(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->seed;
    jdb_frame frames[200];
    while (!atomic_load(me->stop)) {
        node_of_this_thread = (unsigned)random_below(&random, node_count);
        const uint32_t count = (uint32_t)(1 + random_below(&random, 200));
        MUST(jdb_pool_get_wait(me->pool, count, JDB_DEADLINE_NONE, NULL, frames) == 0);
        for (uint32_t i = 0; i < count; i++)
            *(uint64_t *)(void *)frames[i].ptr = me->seed;
        for (uint32_t i = 0; i < count; i++)
            MUST(*(uint64_t *)(void *)frames[i].ptr == me->seed);
        MUST(jdb_pool_put_n(me->pool, frames, count) == 0);
        if (random_below(&random, 16) == 0)
            MUST(jdb_pool_trim(me->pool, 100, NULL) <= 0);
    }
    return NULL;
}

static void threads_of_several_nodes_lose_no_frame(void **state)
{
    (void)state;
    struct fixture f = make(3);
    atomic_bool stop = false;
    struct worker workers[4];
    pthread_t threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){f.pool, &stop, i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_put_on_changing_nodes, &workers[i]), 0);
    }
    const struct timespec pause = {0, (long)tier_pick(200, 600, 900) * 1000000};
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.frames), 0);
    put_all(&f);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_gets_frames_of_its_node),
        cmocka_unit_test(where_its_node_has_none_it_gets_others),
        cmocka_unit_test(frames_never_lent_come_before_those_of_other_nodes),
        cmocka_unit_test(batches_made_of_the_free_list_are_of_one_node),
        cmocka_unit_test(a_frame_is_asked_for_once_until_its_memory_goes),
        cmocka_unit_test(a_frame_without_memory_counts_as_near),
        cmocka_unit_test(a_system_that_does_not_say_it_loses_no_frame),
        cmocka_unit_test(with_one_node_nobody_asks),
        cmocka_unit_test(the_systems_own_nodes_are_found),
        cmocka_unit_test(threads_of_several_nodes_lose_no_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
