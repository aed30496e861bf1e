/* SPDX-License-Identifier: MIT
 *
 * pool_short_test.c - what a pool does when too few frames are free: it makes its arena grow, and asks the program for frames;
 * and the caller's own memory of a frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "must.h"
#include "tier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
};

static struct fixture make(uint32_t frame_count, uint32_t max_frame_count, const jdb_pool_options *options)
{
    struct fixture f = {NULL, NULL};
    const jdb_arena_options arena_options = {.size = sizeof arena_options,
                                             .frame_size = 4096,
                                             .frame_count = frame_count,
                                             .max_frame_count = max_frame_count};
    assert_int_equal(jdb_arena_new(&arena_options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, options, &f.pool), 0);
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

/* ---- Growth ----------------------------------------------------------------------------------------------- */

static void a_get_grows_the_arena_up_to_its_maximum(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .grow_frames = 8};
    const struct fixture f = make(4, 100, &options);
    jdb_frame frames[100];
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(jdb_pool_get(f.pool, &frames[i]), 0);
        frames[i].ptr[4095] = 1;
        assert_in_range(jdb_arena_frame_count(f.arena), i + 1, i + 8 < 100 ? i + 8 : 100);
    }
    assert_int_equal(jdb_pool_get(f.pool, frames), -EAGAIN);
    assert_int_equal(stats_of(f.pool).frame_count, 100);
    assert_int_equal(stats_of(f.pool).grow_count, 12);
    assert_int_equal(stats_of(f.pool).grow_err, 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 100), 0);
    drop(f);
}

static void growth_is_by_what_is_wanted_where_that_is_more(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .grow_frames = 1};
    const struct fixture f = make(0, 100, &options); /* no frames yet: not -ERANGE */
    jdb_frame frames[100];
    assert_int_equal(jdb_pool_get_n(f.pool, 101, frames), -ERANGE);
    assert_int_equal(jdb_pool_get_n(f.pool, 30, frames), 0);
    assert_int_equal(jdb_arena_frame_count(f.arena), 30);
    assert_int_equal(jdb_pool_get_wait(f.pool, 40, JDB_DEADLINE_NONE, NULL, &frames[30]), 0);
    assert_int_equal(jdb_arena_frame_count(f.arena), 70);
    assert_int_equal(jdb_pool_get_n(f.pool, 31, &frames[70]), -EAGAIN);
    assert_int_equal(stats_of(f.pool).grow_count, 3); /* the last one in vain: frames 70 to 99 are free */
    assert_int_equal(jdb_pool_get_n(f.pool, 30, &frames[70]), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 100), 0);
    drop(f);
}

static void without_the_option_nothing_grows(void **state)
{
    (void)state;
    const struct fixture f = make(2, 100, NULL);
    jdb_frame frames[3];
    assert_int_equal(jdb_pool_get_n(f.pool, 3, frames), -ERANGE);
    assert_int_equal(jdb_pool_get_n(f.pool, 2, frames), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frames[2]), -EAGAIN);
    assert_int_equal(jdb_arena_frame_count(f.arena), 2);
    assert_int_equal(stats_of(f.pool).grow_count, 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 2), 0);
    drop(f);
}

static void a_refused_growth_is_reported(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .grow_frames = 8};
    const struct fixture f = make(1, 100, &options);
    jdb_frame frame;
    jdb_frame more = {NULL, 17, 0};
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    faults_arm(OS_CALL_PROTECT, 0, -ENOMEM);
    assert_int_equal(jdb_pool_get(f.pool, &more), -EAGAIN);
    assert_true(faults_disarm());
    assert_int_equal(more.index, 17);
    assert_int_equal(stats_of(f.pool).grow_err, ENOMEM);
    assert_int_equal(stats_of(f.pool).grow_wanted_count, 9);
    assert_int_equal(stats_of(f.pool).grow_count, 0);
    assert_int_equal(stats_of(f.pool).frame_count, 1);
    assert_int_equal(jdb_pool_get(f.pool, &more), 0); /* tried again */
    assert_int_equal(stats_of(f.pool).grow_count, 1);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_int_equal(jdb_pool_put(f.pool, more), 0);
    drop(f);
}

struct getter {
    jdb_pool *pool;
    jdb_frame frames[50];
};

static void *get_fifty(void *context)
{
    struct getter *const me = context;
    for (int i = 0; i < 50; i++) {
        MUST(jdb_pool_get(me->pool, &me->frames[i]) == 0);
        me->frames[i].ptr[0] = 1;
    }
    return NULL;
}

static void threads_grow_one_arena_together(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < tier_pick(20, 200, 2000); round++) {
        const jdb_pool_options options = {.size = sizeof options, .grow_frames = 1};
        const struct fixture f = make(0, 200, &options);
        struct getter getters[4];
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            getters[i].pool = f.pool;
            assert_int_equal(pthread_create(&threads[i], NULL, get_fifty, &getters[i]), 0);
        }
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(stats_of(f.pool).lent_count, 200);
        for (int i = 0; i < 4; i++)
            assert_int_equal(jdb_pool_put_n(f.pool, getters[i].frames, 50), 0);
        drop(f);
    }
}

/* ---- Pressure --------------------------------------------------------------------------------------------- */

struct presser {
    jdb_frame frames[8];
    uint32_t count; /* of them held */
    uint32_t calls;
    uint32_t wanted; /* frames, by the last call */
    bool begins_a_wait;
    int err; /* of that wait */
};

static void put_on_pressure(jdb_pool *pool, uint32_t frame_count, void *user)
{
    struct presser *const me = user;
    jdb_frame frame;
    me->calls++;
    me->wanted = frame_count;
    if (me->begins_a_wait)
        me->err = jdb_pool_get_wait(pool, 1, 0, NULL, &frame);
    for (; frame_count > 0 && me->count > 0; frame_count--)
        MUST(jdb_pool_put(pool, me->frames[--me->count]) == 0);
}

static struct fixture make_pressed(struct presser *presser)
{
    jdb_pool_options options = {.size = sizeof options, .on_pressure = put_on_pressure, .pressure_user = presser};
    const struct fixture f = make(8, 0, &options);
    memset(presser, 0, sizeof *presser);
    presser->count = 8;
    assert_int_equal(jdb_pool_get_n(f.pool, 8, presser->frames), 0);
    return f;
}

static void a_wait_asks_for_frames_before_it_is_queued(void **state)
{
    (void)state;
    struct presser presser;
    const struct fixture f = make_pressed(&presser);
    jdb_frame frames[3];
    assert_int_equal(jdb_pool_get(f.pool, frames), -EAGAIN); /* no wait */
    assert_int_equal(presser.calls, 0);
    assert_int_equal(jdb_pool_get_wait(f.pool, 3, JDB_DEADLINE_NONE, NULL, frames), 0);
    assert_int_equal(presser.calls, 1);
    assert_int_equal(presser.wanted, 3);
    assert_int_equal(presser.count, 5);
    assert_int_equal(stats_of(f.pool).wait_count, 0);
    assert_int_equal(stats_of(f.pool).pressure_count, 1);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 3), 0);
    assert_int_equal(jdb_pool_get_wait(f.pool, 2, 0, NULL, frames), 0); /* enough are free */
    assert_int_equal(presser.calls, 1);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 2), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, presser.frames, presser.count), 0);
    drop(f);
}

static void count_calls(jdb_pool_wait *wait)
{
    ++*(unsigned *)wait->user;
}

static void where_pressure_brings_too_little_the_wait_is_queued(void **state)
{
    (void)state;
    struct presser presser;
    const struct fixture f = make_pressed(&presser);
    jdb_frame rest[5];
    jdb_frame frames[4];
    unsigned calls = 0;
    jdb_pool_wait wait;
    memcpy(rest, &presser.frames[3], sizeof rest);
    presser.count = 3;
    jdb_pool_wait_init(&wait, count_calls, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pool, &wait, 4, frames), -EAGAIN);
    assert_int_equal(presser.calls, 1);
    assert_int_equal(presser.count, 0);
    assert_int_equal(calls, 0);
    assert_int_equal(jdb_pool_put(f.pool, rest[0]), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 4), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, &rest[1], 4), 0);
    drop(f);
}

static void a_wait_under_pressure_does_not_ask_again(void **state)
{
    (void)state;
    struct presser presser;
    const struct fixture f = make_pressed(&presser);
    jdb_frame frame;
    presser.begins_a_wait = true;
    assert_int_equal(jdb_pool_get_wait(f.pool, 1, JDB_DEADLINE_NONE, NULL, &frame), 0);
    assert_int_equal(presser.err, -ETIMEDOUT);
    assert_int_equal(presser.calls, 1);
    presser.begins_a_wait = false;
    presser.frames[presser.count++] = frame;
    assert_int_equal(jdb_pool_get_wait(f.pool, 1, JDB_DEADLINE_NONE, NULL, &frame), 0);
    assert_int_equal(presser.calls, 2);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, presser.frames, presser.count), 0);
    drop(f);
}

/* ---- The caller's memory of a frame ----------------------------------------------------------------------- */

static void each_frame_has_memory_of_the_callers(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 8, 12, 64, 192, 4096};
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
        const jdb_pool_options options = {.size = sizeof options, .user_size = sizes[n]};
        const struct fixture f = make(10, 20, &options);
        jdb_frame frame;
        for (uint32_t i = 0; i < 20; i++) {
            uint8_t *const own = jdb_pool_user(f.pool, i);
            assert_non_null(own);
            assert_int_equal((uintptr_t)own % (sizes[n] % 64 == 0 ? 64 : 8), 0);
            for (uint32_t k = 0; k < sizes[n]; k++)
                assert_int_equal(own[k], 0);
            memset(own, (int)i + 1, sizes[n]);
        }
        for (uint32_t i = 0; i < 30; i++) {
            assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
            assert_int_equal(jdb_pool_recycle(f.pool, frame, &frame), 0);
            assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        }
        for (uint32_t i = 0; i < 20; i++) {
            const uint8_t *const own = jdb_pool_user(f.pool, i);
            for (uint32_t k = 0; k < sizes[n]; k++)
                assert_int_equal(own[k], i + 1);
        }
        assert_null(jdb_pool_user(f.pool, 20));
        assert_null(jdb_pool_user(f.pool, UINT32_MAX));
        drop(f);
    }
}

static void use_in_child(void *context)
{
    const struct fixture *const f = context;
    MUST(jdb_pool_user(f->pool, 0) == NULL);
}

static void without_it_there_is_none(void **state)
{
    (void)state;
    char text[1000];
    jdb_pool_options options = {.size = sizeof options, .user_size = 4097};
    struct fixture f = make(10, 0, NULL);
    jdb_pool *pool = NULL;
    assert_null(jdb_pool_user(f.pool, 0));
    assert_null(jdb_pool_user(NULL, 0));
    assert_int_equal(jdb_pool_free(f.pool), 0);
    assert_int_equal(jdb_pool_new(f.arena, &options, &pool), -EINVAL);
    assert_null(pool);
    options.user_size = 8;
    assert_int_equal(jdb_pool_new(f.arena, &options, &f.pool), 0);
    assert_non_null(jdb_pool_user(f.pool, 0));
    const int status = must_run_child(use_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_grows_the_arena_up_to_its_maximum),
        cmocka_unit_test(growth_is_by_what_is_wanted_where_that_is_more),
        cmocka_unit_test(without_the_option_nothing_grows),
        cmocka_unit_test(a_refused_growth_is_reported),
        cmocka_unit_test(threads_grow_one_arena_together),
        cmocka_unit_test(a_wait_asks_for_frames_before_it_is_queued),
        cmocka_unit_test(where_pressure_brings_too_little_the_wait_is_queued),
        cmocka_unit_test(a_wait_under_pressure_does_not_ask_again),
        cmocka_unit_test(each_frame_has_memory_of_the_callers),
        cmocka_unit_test(without_it_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
