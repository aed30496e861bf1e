/* SPDX-License-Identifier: MIT
 *
 * pool_full_test.c - a pool whose frames are all lent: its caches stay revoked until frames are free again, and frames are
 * recycled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "must.h"
#include "pool/state.h"
#include "tier.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define FRAMES 64u
#define BATCH 16u

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
    bool has_caches; /* else every call takes the lock */
    jdb_frame all[FRAMES];
};

static struct fixture make(uint64_t frame_size, uint32_t zero_policy)
{
    struct fixture f = {.has_caches = jdb__os_membarrier_register() == 0};
    const jdb_arena_options arena_options = {
        .size = sizeof arena_options, .frame_size = frame_size, .frame_count = FRAMES};
    const jdb_pool_options options = {.size = sizeof options, .zero_policy = zero_policy, .thread_frames = 2 * BATCH};
    assert_int_equal(jdb_arena_new(&arena_options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, &options, &f.pool), 0);
    return f;
}

static void drop(const struct fixture *f)
{
    assert_int_equal(jdb_pool_free(f->pool), 0);
    assert_int_equal(jdb_arena_free(f->arena), 0);
}

static jdb_pool_stats stats_of(jdb_pool *pool)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    assert_int_equal(jdb_pool_get_stats(pool, &stats), 0);
    return stats;
}

/* Lend all frames, and look for one more in vain. */
static struct fixture make_full(void)
{
    struct fixture f = make(4096, JDB_POOL_ZERO_NEVER);
    jdb_frame none = {NULL, 0, 0};
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0);
    assert_int_equal(jdb_pool_get(f.pool, &none), -EAGAIN);
    assert_null(none.ptr);
    return f;
}

/* ---- Full ------------------------------------------------------------------------------------------------- */

static void caches_stay_empty_until_a_batch_is_free(void **state)
{
    (void)state;
    struct fixture f = make_full();
    for (uint32_t i = 0; i < BATCH - 1; i++) {
        assert_int_equal(jdb_pool_put(f.pool, f.all[i]), 0);
        assert_int_equal(stats_of(f.pool).cached_count, 0);
    }
    for (uint32_t i = BATCH - 1; i < FRAMES; i++)
        assert_int_equal(jdb_pool_put(f.pool, f.all[i]), 0);
    assert_int_equal(stats_of(f.pool).cached_count > 0, f.has_caches);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

static void evict_and_get_finds_the_frame_each_time(void **state)
{
    (void)state;
    struct fixture f = make_full();
    const uint64_t steals = stats_of(f.pool).steal_count;
    for (uint32_t i = 0; i < 10 * FRAMES; i++) {
        jdb_frame frame;
        const uint32_t victim = i % FRAMES;
        assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN);
        assert_int_equal(jdb_pool_put(f.pool, f.all[victim]), 0);
        assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
        assert_int_equal(frame.index, f.all[victim].index);
        assert_int_not_equal(frame.gen, f.all[victim].gen);
        f.all[victim] = frame;
        assert_int_equal(stats_of(f.pool).cached_count, 0);
    }
    assert_int_equal(stats_of(f.pool).steal_count, steals);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

/* Few frames are free, but nobody misses one: caches serve again after a while. */
static void caches_come_back_where_gets_find_frames(void **state)
{
    (void)state;
    struct fixture f = make_full();
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, 3), 0);
    for (uint32_t i = 0; i < REVOKED_GETS - 1; i++) {
        jdb_frame frame;
        assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
        assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        assert_int_equal(stats_of(f.pool).cached_count, 0);
    }
    jdb_frame frame;
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_int_equal(stats_of(f.pool).cached_count, f.has_caches ? 1 : 0);
    assert_int_equal(jdb_pool_get_n(f.pool, 3, f.all), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

/* A get that fails, with the lock or without, shows that frames are short: then the caches do not come back. */
static void caches_stay_empty_where_gets_fail(void **state)
{
    (void)state;
    struct fixture f = make_full();
    jdb_frame two[2];
    for (uint32_t i = 0; i < 2 * REVOKED_GETS; i++) {
        assert_int_equal(jdb_pool_get(f.pool, two), -EAGAIN);
        assert_int_equal(jdb_pool_put(f.pool, f.all[0]), 0);
        assert_int_equal(jdb_pool_get(f.pool, &f.all[0]), 0);
        assert_true(f.pool->is_revoked); /* none was given back: that costs a barrier over all threads */
    }
    assert_int_equal(jdb_pool_put(f.pool, f.all[0]), 0);
    for (uint32_t i = 0; i < 2 * REVOKED_GETS; i++) {
        assert_int_equal(jdb_pool_get_n(f.pool, 2, two), -EAGAIN);
        assert_int_equal(jdb_pool_get(f.pool, &f.all[0]), 0);
        assert_int_equal(jdb_pool_put(f.pool, f.all[0]), 0);
        assert_true(f.pool->is_revoked);
    }
    assert_int_equal(jdb_pool_put_n(f.pool, f.all + 1, FRAMES - 1), 0);
    drop(&f);
}

/* A frame whose last generation ends while caches are revoked is found by the next get. */
static void a_frame_set_aside_in_a_full_pool_is_found(void **state)
{
    (void)state;
    struct fixture f = make(4096, JDB_POOL_ZERO_NEVER);
    f.pool->gen_seed = FRAME_LENT - 1;
    jdb_frame frame;
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN);
    assert_int_equal(jdb_pool_put(f.pool, f.all[5]), 0);
    assert_int_equal(stats_of(f.pool).aside_count, 1);
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    assert_int_equal(frame.index, f.all[5].index);
    f.all[5] = frame;
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

/* A thread that comes while caches are revoked gets a revoked one: what it puts is on the free list. */
static void *put_what_is_given(void *context)
{
    const struct fixture *const f = context;
    MUST(jdb_pool_put(f->pool, f->all[0]) == 0);
    return NULL;
}

static void a_put_of_a_new_thread_is_found(void **state)
{
    (void)state;
    struct fixture f = make_full();
    for (uint32_t i = 0; i < 50; i++) {
        pthread_t thread;
        jdb_frame frame;
        assert_int_equal(pthread_create(&thread, NULL, put_what_is_given, &f), 0);
        while (jdb_pool_get(f.pool, &frame) == -EAGAIN)
            sched_yield();
        pthread_join(thread, NULL);
        assert_int_equal(frame.index, f.all[0].index);
        f.all[0] = frame;
    }
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

static atomic_uint locks_taken;

static void count_locks(bool is_held)
{
    if (is_held)
        atomic_fetch_add(&locks_taken, 1);
}

/* Of this thread, which has used the pool, or of one that has not. */
static void *get_in_vain(void *context)
{
    jdb_frame frames[2];
    atomic_store(&locks_taken, 0);
    for (uint32_t i = 0; i < 100; i++)
        MUST(jdb_pool_get_n(context, 1 + i % 2, frames) == -EAGAIN);
    MUST(jdb_pool_get_n(context, FRAMES + 1, frames) == -ERANGE);
    return NULL;
}

static void a_get_of_a_full_pool_takes_no_lock(void **state)
{
    (void)state;
    struct fixture f = make_full();
    pthread_t thread;
    assert_int_equal(stats_of(f.pool).empty_count, 1);
    faults_set_lock_hook(count_locks);
    get_in_vain(f.pool);
    assert_int_equal(atomic_load(&locks_taken), 0);
    assert_int_equal(pthread_create(&thread, NULL, get_in_vain, f.pool), 0);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&locks_taken), 0);
    faults_set_lock_hook(NULL);
    assert_int_equal(stats_of(f.pool).empty_count, 201);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

/* The pool is full once more when the frame is lent again, and not before. */
static void must_find(struct fixture *f, uint32_t place)
{
    jdb_frame frame;
    assert_int_equal(jdb_pool_get(f->pool, &frame), 0);
    assert_int_equal(frame.index, f->all[place].index);
    f->all[place] = frame;
    assert_int_equal(jdb_pool_get(f->pool, &frame), -EAGAIN);
}

static void a_full_pool_lends_what_it_is_given(void **state)
{
    (void)state;
    struct fixture f = make_full();
    jdb_frame two[2];
    assert_int_equal(jdb_pool_put(f.pool, f.all[3]), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, 2, two), -EAGAIN);
    must_find(&f, 3);
    assert_int_equal(jdb_pool_put(f.pool, f.all[4]), 0);
    assert_int_equal(jdb_pool_trim(f.pool, 0, NULL), 0);
    must_find(&f, 4);
    assert_int_equal(jdb_pool_put_run(f.pool, &f.all[5], 1), 0);
    assert_int_equal(jdb_pool_get_run(f.pool, 1, two), 0);
    f.all[5] = two[0];
    assert_int_equal(jdb_pool_get(f.pool, two), -EAGAIN);
    assert_int_equal(jdb_pool_get_run(f.pool, 1, two), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

static void a_full_pool_lends_what_it_grows_by(void **state)
{
    (void)state;
    struct fixture f = {.arena = NULL};
    jdb_frame frame;
    const jdb_arena_options options = {
        .size = sizeof options, .frame_size = 4096, .frame_count = FRAMES - 1, .max_frame_count = FRAMES};
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES - 1, f.all), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN);
    assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN);
    assert_int_equal(jdb_arena_grow(f.arena, FRAMES), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN);
    assert_int_equal(jdb_pool_extend(f.pool, NULL), 0);
    assert_int_equal(jdb_pool_get(f.pool, &f.all[FRAMES - 1]), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

/* ---- Recycle ---------------------------------------------------------------------------------------------- */

static void a_recycled_frame_is_a_new_lending_of_the_same(void **state)
{
    (void)state;
    struct fixture f = make_full();
    jdb_frame frame = f.all[7];
    for (uint32_t i = 0; i < 1000; i++) {
        const jdb_frame old = frame;
        assert_int_equal(jdb_pool_recycle(f.pool, frame, &frame), 0);
        assert_int_equal(frame.index, old.index);
        assert_ptr_equal(frame.ptr, old.ptr);
        assert_int_not_equal(frame.gen, old.gen);
        assert_null(jdb_pool_view(f.pool, old).ptr);
        assert_ptr_equal(jdb_pool_view(f.pool, frame).ptr, frame.ptr);
        assert_int_equal(jdb_pool_put(f.pool, old), -ESTALE);
        assert_int_equal(jdb_pool_recycle(f.pool, old, &(jdb_frame){NULL, 0, 0}), -ESTALE);
    }
    const jdb_pool_stats stats = stats_of(f.pool);
    assert_int_equal(stats.recycle_count, 1000);
    assert_int_equal(stats.refused_count, 2000);
    assert_int_equal(stats.lent_count, FRAMES);
    assert_int_equal(stats.got_count, FRAMES);
    assert_int_equal(stats.put_count, 0);
    f.all[7] = frame;
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

static void a_wrong_recycle_is_detected_and_harms_nothing(void **state)
{
    (void)state;
    struct fixture f = make_full();
    struct fixture other = make_full();
    const jdb_frame frame = f.all[3];
    const jdb_frame wrong[] = {
        other.all[3],
        {frame.ptr, FRAMES, frame.gen},
        {frame.ptr + 1, frame.index, frame.gen},
        {frame.ptr, frame.index, 1},
        {frame.ptr, frame.index, frame.gen + 1},
    };
    static const int errors[] = {-EXDEV, -ERANGE, -EINVAL, -EINVAL, -ESTALE};
    jdb_frame result = {NULL, 17, 18};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(jdb_pool_recycle(f.pool, wrong[i], &result), errors[i]);
    assert_int_equal(jdb_pool_recycle(NULL, frame, &result), -EINVAL);
    assert_int_equal(jdb_pool_recycle(f.pool, frame, NULL), -EINVAL);
    assert_int_equal(jdb_pin(frame.ptr, 1), 0);
    assert_int_equal(jdb_pool_recycle(f.pool, frame, &result), -EBUSY);
    assert_int_equal(jdb_unpin(frame.ptr, 1), 0);
    assert_true(result.ptr == NULL && result.index == 17 && result.gen == 18);
    assert_int_equal(stats_of(f.pool).recycle_count, 0);
    assert_ptr_equal(jdb_pool_view(f.pool, frame).ptr, frame.ptr);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    assert_int_equal(jdb_pool_put_n(other.pool, other.all, FRAMES), 0);
    drop(&f);
    drop(&other);
}

static void recycling_zeroes_as_the_policy_says(void **state)
{
    (void)state;
    for (uint32_t policy = JDB_POOL_ZERO_NEVER; policy <= JDB_POOL_ZERO_ALWAYS; policy++) {
        struct fixture f = make(4120, policy); /* stride 8192 */
        jdb_frame frame;
        assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
        memset(frame.ptr, 0xff, 8192);
        assert_int_equal(jdb_pool_recycle(f.pool, frame, &frame), 0);
        assert_int_equal(frame.ptr[0], policy == JDB_POOL_ZERO_ALWAYS ? 0 : 0xff);
        assert_int_equal(frame.ptr[4119], policy == JDB_POOL_ZERO_ALWAYS ? 0 : 0xff);
        assert_int_equal(frame.ptr[4120], policy == JDB_POOL_ZERO_NEVER ? 0xff : 0);
        assert_int_equal(frame.ptr[8191], policy == JDB_POOL_ZERO_NEVER ? 0xff : 0);
        assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        drop(&f);
    }
}

static void a_frame_recycled_past_its_last_generation_begins_anew(void **state)
{
    (void)state;
    struct fixture f = make(4096, JDB_POOL_ZERO_NEVER);
    f.pool->gen_seed = FRAME_LENT - 2;
    jdb_frame old[2];
    jdb_frame frame;
    assert_int_equal(jdb_pool_get(f.pool, &old[0]), 0);
    assert_int_equal(jdb_pool_recycle(f.pool, old[0], &old[1]), 0);
    assert_int_equal(old[1].gen, FRAME_GEN_LAST);
    f.pool->gen_seed = 5;
    assert_int_equal(jdb_pin(old[1].ptr, 1), 0);
    assert_int_equal(jdb_pool_recycle(f.pool, old[1], &frame), -EBUSY);
    assert_int_equal(jdb_unpin(old[1].ptr, 1), 0);
    assert_int_equal(jdb_pool_recycle(f.pool, old[1], &frame), 0);
    assert_int_equal(frame.gen, FRAME_LENT + 5);
    assert_int_equal(jdb_pool_put(f.pool, old[0]), -ESTALE);
    assert_int_equal(jdb_pool_put(f.pool, old[1]), -ESTALE);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    drop(&f);
}

static void count_calls(jdb_pool_wait *wait)
{
    ++*(unsigned *)wait->user;
}

static void recycling_serves_no_waiter(void **state)
{
    (void)state;
    struct fixture f = make_full();
    unsigned calls = 0;
    jdb_frame got;
    jdb_pool_wait wait;
    jdb_pool_wait_init(&wait, count_calls, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pool, &wait, 1, &got), -EAGAIN);
    assert_int_equal(jdb_pool_recycle(f.pool, f.all[0], &f.all[0]), 0);
    assert_int_equal(calls, 0);
    assert_int_equal(jdb_pool_put(f.pool, f.all[0]), 0);
    assert_int_equal(calls, 1);
    f.all[0] = got;
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

static void *recycle_without_memory(void *context)
{
    struct fixture *const f = context;
    MUST(jdb_pool_recycle(f->pool, f->all[1], &f->all[1]) == 0);
    return NULL;
}

static void without_memory_for_a_cache_a_thread_recycles(void **state)
{
    (void)state;
    struct fixture f = make_full();
    pthread_t thread;
    faults_arm_all(OS_CALL_ALLOC, 0, -ENOMEM);
    assert_int_equal(pthread_create(&thread, NULL, recycle_without_memory, &f), 0);
    pthread_join(thread, NULL);
    assert_true(faults_disarm());
    assert_int_equal(stats_of(f.pool).recycle_count, 1);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

static void recycle_in_child(void *context)
{
    struct fixture *const f = context;
    MUST(jdb_pool_recycle(f->pool, f->all[1], &f->all[1]) == -EPERM);
}

static void a_child_of_fork_recycles_nothing(void **state)
{
    (void)state;
    struct fixture f = make_full();
    char text[1000];
    const int status = must_run_child(recycle_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches_stay_empty_until_a_batch_is_free),
        cmocka_unit_test(evict_and_get_finds_the_frame_each_time),
        cmocka_unit_test(caches_come_back_where_gets_find_frames),
        cmocka_unit_test(caches_stay_empty_where_gets_fail),
        cmocka_unit_test(a_frame_set_aside_in_a_full_pool_is_found),
        cmocka_unit_test(a_put_of_a_new_thread_is_found),
        cmocka_unit_test(a_get_of_a_full_pool_takes_no_lock),
        cmocka_unit_test(a_full_pool_lends_what_it_is_given),
        cmocka_unit_test(a_full_pool_lends_what_it_grows_by),
        cmocka_unit_test(a_recycled_frame_is_a_new_lending_of_the_same),
        cmocka_unit_test(a_wrong_recycle_is_detected_and_harms_nothing),
        cmocka_unit_test(recycling_zeroes_as_the_policy_says),
        cmocka_unit_test(a_frame_recycled_past_its_last_generation_begins_anew),
        cmocka_unit_test(recycling_serves_no_waiter),
        cmocka_unit_test(without_memory_for_a_cache_a_thread_recycles),
        cmocka_unit_test(a_child_of_fork_recycles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
