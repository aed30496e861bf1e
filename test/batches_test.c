/* SPDX-License-Identifier: MIT
 *
 * batches_test.c - batches of free frames: found on every stack, each with one owner, none lost with the thread that kept it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"
#include "must.h"
#include "pool/state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 4u
#define COUNT 16u

static struct batches make(void)
{
    struct batches batches;
    memset(&batches, 0, sizeof batches);
    batches.batch_size = SIZE;
    batches.batch_count = COUNT;
    batches.next = calloc(COUNT, sizeof *batches.next);
    batches.items = calloc((size_t)COUNT * SIZE, sizeof *batches.items);
    assert_true(batches.next != NULL && batches.items != NULL);
    return batches;
}

static void drop(struct batches *batches)
{
    free((void *)batches->next);
    free(batches->items);
}

/* A thread that was preempted between reading a stack and changing it finds it changed, though the same batch is on top again
 * (ABA). */
static void a_stack_differs_though_the_same_batch_is_on_it_again(void **state)
{
    (void)state;
    struct batches batches = make();
    const uint64_t items[SIZE] = {0};
    uint64_t found[SIZE];
    const uint32_t batch = jdb__batches_claim(&batches);
    jdb__batches_give(&batches, 0, batch, items);
    for (int i = 0; i < 3; i++) {
        const uint64_t before = batches.full[0].top;
        assert_int_equal(jdb__batches_take(&batches, 0, found), batch);
        jdb__batches_give(&batches, 0, batch, items);
        assert_int_equal((uint32_t)batches.full[0].top, (uint32_t)before);
        assert_int_not_equal(batches.full[0].top, before);
    }
    assert_int_equal(jdb__batches_take(&batches, 0, found), batch);
    jdb__batches_drop(&batches, batch);
    for (int i = 0; i < 3; i++) {
        const uint64_t before = batches.spare;
        assert_int_equal(jdb__batches_claim(&batches), batch);
        jdb__batches_drop(&batches, batch);
        assert_int_not_equal(batches.spare, before);
    }
    drop(&batches);
}

static void a_batch_is_found_from_every_home(void **state)
{
    (void)state;
    struct batches batches = make();
    for (uint32_t home = 0; home < BATCH_STACKS; home++)
        for (uint32_t seeker = 0; seeker < BATCH_STACKS; seeker++) {
            const uint64_t items[SIZE] = {home, seeker, 7, UINT64_MAX};
            uint64_t found[SIZE] = {0};
            assert_true(jdb__batches_is_empty(&batches, 0));
            const uint32_t batch = jdb__batches_claim(&batches);
            jdb__batches_give(&batches, home, batch, items);
            assert_false(jdb__batches_is_empty(&batches, 0));
            assert_int_equal(jdb__batches_count(&batches), SIZE);
            assert_int_equal(jdb__batches_take(&batches, seeker, found), batch);
            assert_memory_equal(found, items, sizeof items);
            assert_int_equal(jdb__batches_take(&batches, seeker, found), 0);
            jdb__batches_drop(&batches, batch);
        }
    assert_int_equal(batches.fresh_batch, 1); /* one was enough */
    drop(&batches);
}

static void the_home_is_looked_at_first(void **state)
{
    (void)state;
    struct batches batches = make();
    for (uint64_t home = 0; home < BATCH_STACKS; home++)
        jdb__batches_give(&batches, (uint32_t)home, jdb__batches_claim(&batches), (uint64_t[SIZE]){home, 1, 2, 3});
    assert_int_equal(jdb__batches_count(&batches), BATCH_STACKS * SIZE);
    for (uint32_t home = BATCH_STACKS; home-- > 0;) {
        uint64_t found[SIZE];
        assert_true(jdb__batches_take(&batches, home, found) != 0);
        assert_int_equal(found[0], home);
    }
    drop(&batches);
}

static void each_batch_has_one_owner(void **state)
{
    (void)state;
    struct batches batches = make();
    bool is_owned[COUNT + 1] = {false};
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t batch = jdb__batches_claim(&batches);
        assert_in_range(batch, 1, COUNT);
        assert_false(is_owned[batch]);
        is_owned[batch] = true;
    }
    assert_int_equal(jdb__batches_claim(&batches), 0);
    jdb__batches_drop(&batches, 3);
    assert_int_equal(jdb__batches_claim(&batches), 3);
    drop(&batches);
}

static void *get_and_put_many(void *context)
{
    jdb_pool *const pool = context;
    jdb_frame frames[512];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 512; i++)
            MUST(jdb_pool_get(pool, &frames[i]) == 0);
        for (int i = 0; i < 512; i++)
            MUST(jdb_pool_put(pool, frames[i]) == 0);
    }
    return NULL;
}

/* Threads keep emptied batches; when they end, or their caches are taken, all batches can be had again. */
static void kept_batches_are_given_up(void **state)
{
    (void)state;
    const jdb_arena_options options = {
        .size = sizeof options, .frame_size = 512, .frame_align = 512, .frame_count = 4096};
    jdb_arena *arena = NULL;
    jdb_pool *pool = NULL;
    jdb_frame *const all = malloc(4096 * sizeof *all);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_pool_new(arena, NULL, &pool), 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, get_and_put_many, pool), 0);
        pthread_join(thread, NULL);
    }
    get_and_put_many(pool);
    assert_int_equal(jdb_pool_get_n(pool, 4096, all), 0);
    assert_int_equal(jdb_pool_get(pool, all), -EAGAIN); /* takes the caches */
    uint32_t count = 0;
    while (jdb__batches_claim(&pool->batches) != 0)
        count++;
    assert_int_equal(count, pool->batches.batch_count);
    while (count > 0)
        jdb__batches_drop(&pool->batches, count--);
    assert_int_equal(jdb_pool_put_n(pool, all, 4096), 0);
    free(all);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stack_differs_though_the_same_batch_is_on_it_again),
        cmocka_unit_test(a_batch_is_found_from_every_home),
        cmocka_unit_test(the_home_is_looked_at_first),
        cmocka_unit_test(each_batch_has_one_owner),
        cmocka_unit_test(kept_batches_are_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
