/* SPDX-License-Identifier: MIT
 *
 * pool_trim_test.c - the memory of free frames goes back to the system, while others get and put.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "must.h"
#include "os/os.h"
#include "pool/state.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRAMES 1024u

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_frame *all;
};

static struct fixture make(void)
{
    struct fixture f = {NULL, NULL, NULL};
    const jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = FRAMES};
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    f.all = malloc(FRAMES * sizeof *f.all);
    assert_non_null(f.all);
    return f;
}

static void drop(struct fixture f)
{
    free(f.all);
    assert_int_equal(jdb_pool_free(f.pool), 0);
    assert_int_equal(jdb_arena_free(f.arena), 0);
}

static void get_all_and_write(struct fixture f)
{
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0);
    for (uint32_t i = 0; i < FRAMES; i++)
        memset(f.all[i].ptr, 7, 4096);
}

static uint64_t trim(jdb_pool *pool, uint32_t keep_count)
{
    uint64_t bytes = 0;
    assert_int_equal(jdb_pool_trim(pool, keep_count, &bytes), 0);
    return bytes;
}

/* ---- What goes -------------------------------------------------------------------------------------------- */

static void free_frames_go_but_for_those_kept(void **state)
{
    (void)state;
    static const uint32_t keeps[] = {0, 1, 100, FRAMES - 1, FRAMES, UINT32_MAX};
    for (size_t n = 0; n < sizeof keeps / sizeof keeps[0]; n++) {
        const struct fixture f = make();
        const uint32_t kept = keeps[n] < FRAMES ? keeps[n] : FRAMES;
        uint32_t zeroed = 0;
        get_all_and_write(f);
        assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
        assert_int_equal(trim(f.pool, keeps[n]), (uint64_t)(FRAMES - kept) * 4096);
        assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0); /* none is lost */
        for (uint32_t i = 0; i < FRAMES; i++)
            zeroed += f.all[i].ptr[4095] == 0 ? 1 : 0;
        assert_int_equal(zeroed, FRAMES - kept);
        assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
        drop(f);
    }
}

static void frames_put_last_are_kept(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frame;
    get_all_and_write(f);
    assert_int_equal(jdb_pool_get(f.pool, &frame), -EAGAIN); /* so that each put goes to the free list */
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(jdb_pool_put(f.pool, f.all[i]), 0);
    assert_int_equal(trim(f.pool, 5), UINT64_C(15) * 4096);
    for (uint32_t i = 20; i-- > 0;) { /* those put last come first */
        assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
        assert_int_equal(frame.ptr[0], i < 15 ? 0 : 7);
        if (i >= 15)
            assert_int_equal(frame.index, f.all[i].index);
        f.all[i] = frame;
    }
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(f);
}

/* Here those put first are in batches, those put last in the cache. */
static void frames_put_first_go_first_from_caches_and_batches_too(void **state)
{
    (void)state;
    if (jdb__os_membarrier_register() != 0) {
        print_message("skipped: no membarrier, so no caches and no batches\n");
        return;
    }
    const struct fixture f = make();
    const uint32_t count = 6 * BATCH_MAX;
    jdb_frame got[6 * BATCH_MAX];
    assert_int_equal(jdb_pool_get_n(f.pool, count, f.all), 0);
    for (uint32_t i = 0; i < count; i++)
        memset(f.all[i].ptr, 7, 4096);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, count), 0);
    trim(f.pool, count / 2);
    assert_int_equal(jdb_pool_get_n(f.pool, count, got), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(f.all[i].ptr[0], i < count / 2 ? 0 : 7);
    assert_int_equal(jdb_pool_put_n(f.pool, got, count), 0);
    drop(f);
}

static void lent_and_fresh_frames_stay(void **state)
{
    (void)state;
    const struct fixture f = make();
    assert_int_equal(jdb_pool_get_n(f.pool, 64, f.all), 0);
    for (uint32_t i = 0; i < 64; i++)
        memset(f.all[i].ptr, 7, 4096);
    const uint32_t used = pool_used_count(f.pool);
    assert_int_equal(jdb_pool_put_n(f.pool, &f.all[10], 54), 0);
    assert_int_equal(trim(f.pool, 0), (uint64_t)(used - 10) * 4096);
    assert_int_equal(pool_used_count(f.pool), used);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(f.all[i].ptr[100], 7);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, 10), 0);
    drop(f);
}

static void held_frames_keep_their_memory(void **state)
{
    (void)state;
    const struct fixture f = make();
    get_all_and_write(f);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    assert_int_equal(jdb_arena_hold(f.arena, 0, (uint64_t)FRAMES * 4096), 0);
    assert_int_equal(trim(f.pool, 0), 0);
    assert_int_equal(jdb_arena_unhold(f.arena, 0, (uint64_t)FRAMES * 4096), 0);
    assert_int_equal(trim(f.pool, 0), (uint64_t)FRAMES * 4096);
    drop(f);
}

/* Frames around one that is held, or pinned, go. */
static bool is_one_of(const uint32_t *places, size_t count, uint32_t index)
{
    while (count > 0 && places[count - 1] != index)
        count--;
    return count > 0;
}

static void a_frame_that_stays_keeps_no_other(void **state)
{
    (void)state;
    static const uint32_t places[] = {0, 1, 100, 255, 256, 511, FRAMES - 1};
    const struct fixture f = make();
    const size_t count = sizeof places / sizeof places[0];
    for (size_t n = 1; n <= count; n++) {
        get_all_and_write(f);
        assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
        assert_int_equal(jdb_arena_hold(f.arena, (uint64_t)places[n - 1] * 4096, 4096), 0);
        assert_int_equal(trim(f.pool, 0), (FRAMES - n) * UINT64_C(4096));
        assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0);
        for (uint32_t i = 0; i < FRAMES; i++)
            assert_int_equal(f.all[i].ptr[0], is_one_of(places, n, f.all[i].index) ? 7 : 0);
        assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    }
    for (size_t n = 0; n < count; n++)
        assert_int_equal(jdb_arena_unhold(f.arena, (uint64_t)places[n] * 4096, 4096), 0);
    assert_int_equal(jdb_pin(jdb_arena_base(f.arena) + 4096, 1), 0);
    assert_int_equal(trim(f.pool, 0), (FRAMES - 1) * UINT64_C(4096));
    assert_int_equal(jdb_unpin(jdb_arena_base(f.arena) + 4096, 1), 0);
    drop(f);
}

static void a_trim_around_a_frame_that_stays_takes_few_calls(void **state)
{
    (void)state;
    const struct fixture f = make();
    assert_int_equal(jdb_pool_get_run(f.pool, 256, f.all), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, f.all, 256), 0);
    assert_int_equal(jdb_arena_hold(f.arena, 0, 1), 0);
    faults_arm(OS_CALL_ADVISE, 9, -EIO); /* 1, 2, 4 ... 128 frames and the one left */
    assert_int_equal(trim(f.pool, 0), UINT64_C(255) * 4096);
    assert_false(faults_disarm());
    assert_int_equal(jdb_arena_unhold(f.arena, 0, 1), 0);
    drop(f);
}

/* ---- Errors ----------------------------------------------------------------------------------------------- */

static void a_refused_trim_loses_no_frame(void **state)
{
    (void)state;
    const struct fixture f = make();
    uint64_t bytes = 12345;
    get_all_and_write(f);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    faults_arm_all(FAULTS_ANY, 0, -ENOTSUP);
    const int err = jdb_pool_trim(f.pool, 0, &bytes);
    assert_true(faults_disarm());
    assert_int_not_equal(err, 0);
    assert_int_equal(bytes, 12345);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    assert_int_equal(jdb_pool_trim(NULL, 0, NULL), -EINVAL);
    assert_int_equal(jdb_pool_trim(f.pool, 0, NULL), 0);
    drop(f);
}

static void trim_in_child(void *context)
{
    const struct fixture *const f = context;
    MUST(jdb_pool_trim(f->pool, 0, NULL) == -EPERM);
}

static void a_child_of_fork_trims_nothing(void **state)
{
    (void)state;
    struct fixture f = make();
    char text[1000];
    const int status = must_run_child(trim_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    drop(f);
}

static void count_calls(jdb_pool_wait *wait)
{
    ++*(unsigned *)wait->user;
}

static void what_is_kept_for_a_waiter_stays(void **state)
{
    (void)state;
    const struct fixture f = make();
    unsigned calls = 0;
    jdb_frame got[3];
    jdb_pool_wait wait;
    get_all_and_write(f);
    jdb_pool_wait_init(&wait, count_calls, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pool, &wait, 3, got), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, 2), 0);
    assert_int_equal(trim(f.pool, 0), 0);
    assert_int_equal(jdb_pool_put(f.pool, f.all[2]), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(jdb_pool_put_n(f.pool, got, 3), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, &f.all[3], FRAMES - 3), 0);
    drop(f);
}

/* ---- Among others ----------------------------------------------------------------------------------------- */

struct worker {
    jdb_pool *pool;
    atomic_bool *stop;
    uint64_t seed;
};

/* Waits, so that a frame in the hands of a trim is no reason to fail. */
static void *get_write_and_put(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->seed;
    jdb_frame frames[300];
    while (!atomic_load(me->stop)) {
        const uint32_t count = (uint32_t)(1 + random_below(&random, 300));
        MUST(jdb_pool_get_wait(me->pool, count, JDB_DEADLINE_NONE, NULL, frames) == 0);
        for (uint32_t i = 0; i < count; i++)
            *(uint64_t *)(void *)frames[i].ptr = me->seed + frames[i].index;
        for (uint32_t i = 0; i < count; i++)
            MUST(*(uint64_t *)(void *)frames[i].ptr == me->seed + frames[i].index); /* no trim took it */
        MUST(jdb_pool_put_n(me->pool, frames, count) == 0);
    }
    return NULL;
}

static void *trim_often(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->seed;
    while (!atomic_load(me->stop)) {
        const int err = jdb_pool_trim(me->pool, (uint32_t)random_below(&random, FRAMES), NULL);
        MUST(err == 0 || err == -EBUSY);
    }
    return NULL;
}

static void a_trim_takes_no_frame_that_is_lent(void **state)
{
    (void)state;
    const struct fixture f = make();
    atomic_bool stop = false;
    struct worker workers[5];
    pthread_t threads[5];
    for (uint32_t i = 0; i < 5; i++) {
        workers[i] = (struct worker){f.pool, &stop, UINT64_C(1000000) * (i + 1)};
        assert_int_equal(pthread_create(&threads[i], NULL, i < 3 ? get_write_and_put : trim_often, &workers[i]), 0);
    }
    const struct timespec pause = {0, (long)tier_pick(300, 900, 900) * 1000000};
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, f.all), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_frames_go_but_for_those_kept),
        cmocka_unit_test(frames_put_last_are_kept),
        cmocka_unit_test(frames_put_first_go_first_from_caches_and_batches_too),
        cmocka_unit_test(lent_and_fresh_frames_stay),
        cmocka_unit_test(held_frames_keep_their_memory),
        cmocka_unit_test(a_frame_that_stays_keeps_no_other),
        cmocka_unit_test(a_trim_around_a_frame_that_stays_takes_few_calls),
        cmocka_unit_test(a_refused_trim_loses_no_frame),
        cmocka_unit_test(a_child_of_fork_trims_nothing),
        cmocka_unit_test(what_is_kept_for_a_waiter_stays),
        cmocka_unit_test(a_trim_takes_no_frame_that_is_lent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
