/* SPDX-License-Identifier: MIT
 *
 * pool_rare_test.c - moments of a pool that come by chance, brought about: between two looks of a wait, at the end of a thread,
 * after a cache was taken over.
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

static jdb_arena *arena;
static jdb_pool *pool;

static void make(uint32_t frame_count, uint32_t max_frame_count, const jdb_pool_options *options)
{
    jdb_arena_options arena_options = {.size = sizeof arena_options, .frame_size = 4096, .frame_count = frame_count};
    arena_options.max_frame_count = max_frame_count;
    assert_int_equal(jdb_arena_new(&arena_options, &arena), 0);
    assert_int_equal(jdb_pool_new(arena, options, &pool), 0);
}

static void drop(void)
{
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static jdb_pool_stats stats_now(void)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    MUST(jdb_pool_get_stats(pool, &stats) == 0);
    return stats;
}

static bool is_zero(jdb_frame frame)
{
    static const uint8_t zeros[4096];
    return memcmp(frame.ptr, zeros, sizeof zeros) == 0;
}

/* ---- Between the two looks of a wait ----------------------------------------------------------------------- */

static void *(*other)(void *context); /* what another thread does at that moment */
static jdb_frame lent;
static jdb_pool_wait wait_entry;

/* The first look has found nothing and makes the arena grow, in vain. */
static int act_and_refuse(enum os_call kind)
{
    void *(*const act)(void *) = other;
    if (kind != OS_CALL_PROTECT || act == NULL)
        return 0;
    pthread_t thread;
    other = NULL;
    MUST(pthread_create(&thread, NULL, act, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    return -ENOMEM;
}

static void never_called(jdb_pool_wait *wait)
{
    MUST(wait == NULL);
}

static void *put_the_frame(void *context)
{
    MUST(jdb_pool_put(pool, lent) == 0);
    return context;
}

static void *cancel_the_wait(void *context)
{
    MUST(jdb_pool_wait_cancel(pool, &wait_entry) == -ESTALE);
    return context;
}

static int wait_while(void *(*act)(void *context), jdb_frame *ret_frame)
{
    jdb_pool_options options = {.size = sizeof options, .grow_frames = 1, .zero_policy = JDB_POOL_ZERO_ALWAYS};
    make(1, 2, &options);
    assert_int_equal(jdb_pool_get(pool, &lent), 0);
    memset(lent.ptr, 0xaa, 4096);
    jdb_pool_wait_init(&wait_entry, never_called, NULL);
    other = act;
    faults_set_hook(act_and_refuse);
    const int err = jdb_pool_wait_start(pool, &wait_entry, 1, ret_frame);
    faults_set_hook(NULL);
    assert_null(other);
    return err;
}

static void a_frame_that_comes_between_the_looks_is_zeroed(void **state)
{
    (void)state;
    jdb_frame frame;
    assert_int_equal(wait_while(put_the_frame, &frame), 0);
    assert_true(is_zero(frame));
    assert_int_equal(stats_now().wait_count, 0);
    assert_int_equal(jdb_pool_put(pool, frame), 0);
    drop();
}

static void a_cancel_that_comes_between_the_looks_is_not_lost(void **state)
{
    (void)state;
    jdb_frame frame;
    assert_int_equal(wait_while(cancel_the_wait, &frame), -ECANCELED);
    assert_int_equal(stats_now().waiter_count, 0);
    assert_int_equal(jdb_pool_put(pool, lent), 0);
    drop();
}

/* ---- Waiters ----------------------------------------------------------------------------------------------- */

static void note_a_call(jdb_pool_wait *wait)
{
    MUST(is_zero(*(const jdb_frame *)wait->user));
    *(jdb_frame *)wait->user = (jdb_frame){NULL, 0, 0};
}

static void a_frame_that_is_handed_to_a_waiter_is_zeroed(void **state)
{
    (void)state;
    jdb_pool_options options = {.size = sizeof options, .zero_policy = JDB_POOL_ZERO_ALWAYS};
    make(1, 1, &options);
    jdb_frame frame;
    assert_int_equal(jdb_pool_get(pool, &lent), 0);
    jdb_pool_wait_init(&wait_entry, note_a_call, &frame);
    assert_int_equal(jdb_pool_wait_start(pool, &wait_entry, 1, &frame), -EAGAIN);
    memset(lent.ptr, 0xaa, 4096);
    assert_int_equal(jdb_pool_put(pool, lent), 0);
    assert_null(frame.ptr);
    uint32_t cursor = 0;
    assert_true(jdb_pool_next_lent(pool, &cursor, &frame));
    assert_int_equal(jdb_pool_put(pool, frame), 0);
    drop();
}

/* A deadline of long ago is not the pool's delay. */
static void a_wait_that_begins_past_its_deadline_is_late_from_its_call_on(void **state)
{
    (void)state;
    make(1, 1, NULL);
    jdb_frame frame;
    assert_int_equal(jdb_pool_get(pool, &lent), 0);
    const uint64_t start_ns = jdb_clock_ns();
    assert_int_equal(jdb_pool_get_wait(pool, 1, 1, NULL, &frame), -ETIMEDOUT);
    assert_true(stats_now().lateness_max_ns <= jdb_clock_ns() - start_ns);
    assert_int_equal(jdb_pool_put(pool, lent), 0);
    drop();
}

/* ---- The end of a thread ----------------------------------------------------------------------------------- */

static pthread_key_t last_key; /* made after the pool's, so its destructor runs after that one */

static void use_the_pool_again(void *context)
{
    jdb_frame frame;
    (void)context;
    MUST(stats_now().thread_count == 0 && stats_now().cached_count == 0);
    MUST(jdb_pool_get(pool, &frame) == 0);
    MUST(jdb_pool_put(pool, frame) == 0);
    MUST(stats_now().thread_count == 1); /* it has a cache again, of its own */
}

static void *use_the_pool(void *context)
{
    jdb_frame frame;
    MUST(pthread_setspecific(last_key, &last_key) == 0);
    MUST(jdb_pool_get(pool, &frame) == 0);
    MUST(jdb_pool_put(pool, frame) == 0);
    return context;
}

static void a_thread_that_has_ended_owns_no_cache(void **state)
{
    (void)state;
    pthread_t thread;
    make(64, 64, NULL);
    assert_int_equal(pthread_key_create(&last_key, use_the_pool_again), 0);
    assert_int_equal(pthread_create(&thread, NULL, use_the_pool, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(stats_now().thread_count, 0);
    assert_int_equal(stats_now().cached_count, 0);
    assert_int_equal(pthread_key_delete(last_key), 0);
    drop();
}

/* ---- A cache that was taken over --------------------------------------------------------------------------- */

static pthread_barrier_t turn;

/* Leaves frames in its cache, and looks whether it has the cache again after it was emptied. */
static void *have_a_cache(void *context)
{
    jdb_frame frames[64];
    MUST(jdb_pool_get_n(pool, 64, frames) == 0);
    MUST(jdb_pool_put_n(pool, frames, 64) == 0);
    MUST(stats_now().cached_count > 0);
    pthread_barrier_wait(&turn); /* main steals */
    pthread_barrier_wait(&turn);
    const jdb_pool_stats before = stats_now();
    MUST(before.steal_count > 0);
    MUST(jdb_pool_get(pool, &frames[0]) == 0);
    MUST(stats_now().batch_count > before.batch_count); /* filled by a batch, which a cache that is revoked is not */
    MUST(jdb_pool_put(pool, frames[0]) == 0);
    return context;
}

static void a_cache_that_was_stolen_from_is_given_back(void **state)
{
    (void)state;
    static jdb_frame frames[1024];
    pthread_t thread;
    make(1024, 1024, NULL);
    assert_int_equal(pthread_barrier_init(&turn, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, have_a_cache, NULL), 0);
    pthread_barrier_wait(&turn);
    assert_int_equal(jdb_pool_get_n(pool, 1024, frames), 0);
    assert_int_equal(jdb_pool_put_n(pool, frames, 1024), 0);
    pthread_barrier_wait(&turn);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&turn);
    drop();
}

/* What pool.h says of the memory that a pool takes for each frame. */
static void a_pool_costs_what_it_says(void **state)
{
    (void)state;
    const uint32_t frame_count = 1000000;
    static const struct {
        uint32_t thread_frames;
        uint32_t user_size;
        uint32_t most_bytes;
    } cases[] = {{0, 0, 41}, {64, 16, 41 + 16}, {32, 0, 41}, {2, 0, 49}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const jdb_pool_options options = {
            .size = sizeof options, .thread_frames = cases[i].thread_frames, .user_size = cases[i].user_size};
        make(1, frame_count, &options);
        const size_t most_bytes = cases[i].most_bytes + (pool->nodes != NULL ? 1 : 0);
        assert_in_range(pool->map_size, (most_bytes - 2) * frame_count, most_bytes * frame_count);
        drop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_that_comes_between_the_looks_is_zeroed),
        cmocka_unit_test(a_cancel_that_comes_between_the_looks_is_not_lost),
        cmocka_unit_test(a_frame_that_is_handed_to_a_waiter_is_zeroed),
        cmocka_unit_test(a_wait_that_begins_past_its_deadline_is_late_from_its_call_on),
        cmocka_unit_test(a_thread_that_has_ended_owns_no_cache),
        cmocka_unit_test(a_cache_that_was_stolen_from_is_given_back),
        cmocka_unit_test(a_pool_costs_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
