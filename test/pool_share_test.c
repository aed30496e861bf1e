/* SPDX-License-Identifier: MIT
 *
 * pool_share_test.c - pools of one budget: what a pool that is refused leaves as it was, and whoever gives bytes back, a wait that
 * they suffice for has them.
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
#include <string.h>

#define KIB UINT64_C(1024)
#define MAX_BYTES (1024 * KIB)
#define SMALL (4 * KIB)
#define LARGE (64 * KIB)

/* ---- A pool that is refused ------------------------------------------------------------------------------- */

#define FRAMES 8u

static jdb_arena *arena_of(uint64_t frame_size, uint32_t frame_count, uint32_t flags)
{
    jdb_arena *arena = NULL;
    const jdb_arena_options options = {
        .size = sizeof options, .frame_size = frame_size, .frame_count = frame_count, .flags = flags};
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    return arena;
}

static void fill(jdb_arena *arena)
{
    memset(jdb_arena_base(arena), 7, jdb_arena_size(arena));
}

static void assert_is_filled(jdb_arena *arena)
{
    for (uint64_t i = 0; i < jdb_arena_size(arena); i++)
        assert_int_equal(jdb_arena_base(arena)[i], 7);
}

static jdb_budget *budget_of(uint64_t max_bytes)
{
    jdb_budget *budget = NULL;
    assert_int_equal(jdb_budget_new(max_bytes, &budget), 0);
    return budget;
}

static int new_pool(jdb_arena *arena, jdb_budget *budget, jdb_pool **ret_pool)
{
    const jdb_pool_options options = {.size = sizeof options, .thread_frames = 16, .budget = budget};
    return jdb_pool_new(arena, &options, ret_pool);
}

static void frames_that_another_pool_lends_keep_their_content(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(SMALL, FRAMES, 0);
    jdb_budget *const budget = budget_of(MAX_BYTES);
    jdb_pool *pool = NULL;
    jdb_pool *other = NULL;
    jdb_frame frame;
    assert_int_equal(jdb_pool_new(arena, NULL, &pool), 0);
    assert_int_equal(jdb_pool_get(pool, &frame), 0);
    fill(arena);
    assert_int_equal(new_pool(arena, budget, &other), -EBUSY);
    assert_null(other);
    assert_is_filled(arena);
    assert_int_equal(jdb_pool_put(pool, frame), 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_budget_free(budget), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void a_pool_that_the_system_has_no_memory_for_leaves_the_content(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(SMALL, FRAMES, 0);
    jdb_budget *const budget = budget_of(MAX_BYTES);
    unsigned refused_count = 0;
    for (unsigned n = 0;; n++) {
        jdb_pool *pool = NULL;
        fill(arena);
        faults_arm_all(FAULTS_ANY, n, -ENOMEM);
        const int err = new_pool(arena, budget, &pool);
        if (!faults_disarm()) {
            assert_int_equal(err, 0);
            assert_int_equal(jdb_pool_free(pool), 0);
            break;
        }
        refused_count += err != 0 ? 1 : 0;
        assert_int_equal(pool == NULL, err != 0);
        if (err != 0)
            assert_is_filled(arena);
        assert_int_equal(jdb_pool_free(pool), 0);
    }
    assert_in_range(refused_count, 3, 100); /* the pool, its place among all pools, the memory given back */
    assert_int_equal(jdb_budget_free(budget), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void the_file_of_another_process_is_not_emptied(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(SMALL, FRAMES, JDB_ARENA_MEMFD);
    jdb_budget *const budget = budget_of(MAX_BYTES);
    const jdb_arena_options options = {.size = sizeof options, .frame_size = SMALL, .frame_count = FRAMES};
    jdb_arena *attached = NULL;
    jdb_pool *pool = NULL;
    assert_int_equal(jdb_arena_map_fd(&options, jdb_arena_fd(arena), &attached), 0);
    fill(arena);
    assert_int_equal(new_pool(attached, budget, &pool), -ENOTSUP);
    assert_is_filled(arena);
    assert_int_equal(jdb_arena_free(attached), 0);
    assert_int_equal(jdb_budget_free(budget), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* What is made and freed in between lends nothing. */
static void handles_stay_stale_whatever_pools_come_between(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(SMALL, FRAMES, 0);
    jdb_budget *const budget = budget_of(MAX_BYTES);
    jdb_frame old[6];
    for (unsigned round = 0; round < 6; round++) {
        jdb_pool *pool = NULL;
        assert_int_equal(new_pool(arena, NULL, &pool), 0);
        assert_int_equal(jdb_pool_get(pool, &old[round]), 0);
        for (unsigned i = 0; i < round; i++)
            assert_int_equal(jdb_pool_put(pool, old[i]), -ESTALE);
        assert_int_equal(jdb_pool_put(pool, old[round]), 0);
        assert_int_equal(jdb_pool_free(pool), 0);
        assert_int_equal(jdb_pin(jdb_arena_base(arena), 1), 0);
        assert_int_equal(new_pool(arena, budget, &pool), -EBUSY);
        assert_int_equal(jdb_unpin(jdb_arena_base(arena), 1), 0);
        assert_int_equal(new_pool(arena, round % 2 == 0 ? budget : NULL, &pool), 0);
        assert_int_equal(jdb_pool_free(pool), 0);
    }
    assert_int_equal(jdb_budget_free(budget), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_another_pool_lends_keep_their_content),
        cmocka_unit_test(a_pool_that_the_system_has_no_memory_for_leaves_the_content),
        cmocka_unit_test(the_file_of_another_process_is_not_emptied),
        cmocka_unit_test(handles_stay_stale_whatever_pools_come_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
