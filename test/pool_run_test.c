/* SPDX-License-Identifier: MIT
 *
 * pool_run_test.c - runs of neighbouring frames: what is found, where it is found, and what is returned when nothing is.
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

#define FRAMES 300u

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_frame all[FRAMES];
};

static struct fixture make_with(uint32_t frame_count, uint32_t max_frame_count, const jdb_pool_options *options)
{
    struct fixture f = {.arena = NULL};
    const jdb_arena_options arena_options = {.size = sizeof arena_options,
                                             .frame_size = 4120, /* stride 8192 */
                                             .frame_count = frame_count,
                                             .max_frame_count = max_frame_count};
    assert_int_equal(jdb_arena_new(&arena_options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, options, &f.pool), 0);
    return f;
}

static struct fixture make(void)
{
    return make_with(FRAMES, 0, NULL);
}

/* Frame i is all[i]. */
static struct fixture make_full(void)
{
    struct fixture f = make();
    assert_int_equal(jdb_pool_get_run(f.pool, FRAMES, f.all), 0);
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

static void assert_run(const struct fixture *f, const jdb_frame *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(frames[i].index, frames[0].index + i);
        assert_ptr_equal(frames[i].ptr, jdb_arena_base(f->arena) + (uint64_t)frames[i].index * 8192);
    }
}

/* ---- What a run is ---------------------------------------------------------------------------------------- */

static void a_run_is_of_neighbours_and_each_is_a_frame(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[20];
    assert_int_equal(jdb_pool_get_run(f.pool, 20, frames), 0);
    assert_run(&f, frames, 20);
    assert_int_equal(stats_of(f.pool).lent_count, 20);
    assert_int_equal(stats_of(f.pool).run_count, 1);
    assert_int_equal(jdb_pool_put(f.pool, frames[3]), 0);
    assert_int_equal(jdb_pool_put(f.pool, frames[3]), -ESTALE);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 20), -ESTALE);
    assert_int_equal(stats_of(f.pool).lent_count, 19);
    jdb_frame recycled;
    assert_int_equal(jdb_pool_recycle(f.pool, frames[4], &recycled), 0);
    assert_int_equal(jdb_pool_put(f.pool, frames[4]), -ESTALE);
    frames[4] = recycled;
    assert_int_equal(jdb_pool_put_n(f.pool, &frames[4], 16), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 3), 0);
    assert_int_equal(stats_of(f.pool).lent_count, 0);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 1), -ESTALE);
    drop(&f);
}

static bool is_empty_view(jdb_raw view)
{
    return view.ptr == NULL && view.len == 0 && view.cap == 0;
}

static void one_view_covers_a_run(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[9];
    assert_int_equal(jdb_pool_get_run(f.pool, 8, frames), 0);
    const jdb_raw view = jdb_pool_view_run(f.pool, frames, 8);
    assert_ptr_equal(view.ptr, frames[0].ptr);
    assert_int_equal(view.len, 0);
    assert_int_equal(view.cap, 7 * 8192 + 4120);
    memset(view.ptr, 7, view.cap);
    assert_int_equal(jdb_pool_view_run(f.pool, &frames[2], 1).cap, 4120);
    frames[8] = frames[0];
    assert_true(is_empty_view(jdb_pool_view_run(f.pool, &frames[7], 2)));
    assert_true(is_empty_view(jdb_pool_view_run(f.pool, frames, 0)));
    assert_true(is_empty_view(jdb_pool_view_run(f.pool, NULL, 1)));
    assert_true(is_empty_view(jdb_pool_view_run(NULL, frames, 1)));
    assert_int_equal(jdb_pool_put(f.pool, frames[5]), 0);
    assert_true(is_empty_view(jdb_pool_view_run(f.pool, frames, 8)));
    assert_int_equal(jdb_pool_view_run(f.pool, frames, 5).cap, 4 * 8192 + 4120);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 5), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, &frames[6], 2), 0);
    drop(&f);
}

static void a_pinned_run_is_not_put(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[8];
    assert_int_equal(jdb_pool_get_run(f.pool, 8, frames), 0);
    const jdb_raw view = jdb_pool_view_run(f.pool, frames, 8);
    assert_int_equal(jdb_pin(view.ptr, view.cap), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(jdb_pool_put(f.pool, frames[i]), -EBUSY);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 8), -EBUSY);
    assert_int_equal(jdb_unpin(view.ptr, view.cap), 0);
    assert_int_equal(jdb_pin(frames[7].ptr, 1), 0); /* the last alone: none of them is put */
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 8), -EBUSY);
    assert_int_equal(stats_of(f.pool).lent_count, 8);
    assert_int_equal(jdb_unpin(frames[7].ptr, 1), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 8), 0);
    drop(&f);
}

static void frames_of_a_run_are_zeroed_by_the_policy(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .zero_policy = JDB_POOL_ZERO_ALWAYS};
    const struct fixture f = make_with(8, 0, &options);
    jdb_frame frames[8];
    assert_int_equal(jdb_pool_get_run(f.pool, 8, frames), 0);
    memset(frames[0].ptr, 7, UINT64_C(8) * 8192);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 8), 0);
    assert_int_equal(jdb_pool_get_run(f.pool, 8, frames), 0);
    for (uint32_t i = 0; i < 8 * 8192; i++)
        assert_int_equal(frames[0].ptr[i], 0);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 8), 0);
    drop(&f);
}

/* ---- Where it is found ------------------------------------------------------------------------------------ */

static void a_run_that_was_put_is_found_without_a_look_at_caches(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame single;
    jdb_frame frames[64];
    jdb_frame again[64];
    assert_int_equal(jdb_pool_get_run(f.pool, 64, frames), 0);
    assert_int_equal(jdb_pool_get(f.pool, &single), 0);
    assert_int_equal(jdb_pool_put(f.pool, single), 0);
    const jdb_pool_stats before = stats_of(f.pool);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(jdb_pool_put_run(f.pool, frames, 64), 0);
        assert_int_equal(jdb_pool_get_run(f.pool, 64, again), 0);
        assert_int_equal(again[0].index, frames[0].index);
        assert_run(&f, again, 64);
        memcpy(frames, again, sizeof frames);
    }
    assert_int_equal(stats_of(f.pool).cached_count, before.cached_count);
    assert_int_equal(stats_of(f.pool).batch_count, before.batch_count);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 64), 0);
    drop(&f);
}

static atomic_int cached;
static atomic_int may_end;

static void *keep_frames_in_a_cache(void *context)
{
    const struct fixture *const f = context;
    jdb_frame frames[30];
    MUST(jdb_pool_get_n(f->pool, 30, frames) == 0);
    MUST(jdb_pool_put_n(f->pool, frames, 30) == 0);
    atomic_fetch_add(&cached, 1);
    while (atomic_load(&may_end) == 0)
        nanosleep(&(struct timespec){0, 100000}, NULL);
    return NULL;
}

static void frames_in_caches_of_threads_and_batches_are_gathered(void **state)
{
    (void)state;
    struct fixture f = make();
    pthread_t threads[3];
    atomic_store(&cached, 0);
    atomic_store(&may_end, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_frames_in_a_cache, &f), 0);
    while (atomic_load(&cached) < 3)
        nanosleep(&(struct timespec){0, 100000}, NULL);
    assert_int_equal(jdb_pool_get_run(f.pool, FRAMES, f.all), 0);
    assert_run(&f, f.all, FRAMES);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0); /* batches, as caches serve again */
    assert_int_equal(jdb_pool_get_run(f.pool, FRAMES, f.all), 0);
    assert_run(&f, f.all, FRAMES);
    atomic_store(&may_end, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(jdb_pool_put_run(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

static void caches_serve_again_after_a_run(void **state)
{
    (void)state;
    const struct fixture f = make_full();
    jdb_frame frames[64];
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, FRAMES), 0);
    assert_int_equal(jdb_pool_get_run(f.pool, 64, frames), 0); /* revokes: no neighbours are on the free list */
    for (int i = 0; i < 100; i++) {
        jdb_frame single;
        assert_int_equal(jdb_pool_get(f.pool, &single), 0);
        assert_int_equal(jdb_pool_put(f.pool, single), 0);
    }
    assert_int_equal(stats_of(f.pool).cached_count > 0, jdb__os_membarrier_register() == 0);
    assert_int_equal(jdb_pool_put_run(f.pool, frames, 64), 0);
    drop(&f);
}

/* ---- What is not found ------------------------------------------------------------------------------------ */

static void too_few_frames_and_too_few_neighbours_differ(void **state)
{
    (void)state;
    struct fixture f = make_full();
    jdb_frame run[3];
    memset(run, 0x5a, sizeof run);
    assert_int_equal(jdb_pool_get_run(f.pool, 1, run), -EAGAIN);
    for (uint32_t i = 0; i < FRAMES; i += 2)
        assert_int_equal(jdb_pool_put(f.pool, f.all[i]), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jdb_pool_get_run(f.pool, 2, run), -ENOMEM);
    assert_int_equal(jdb_pool_get_run(f.pool, FRAMES / 2 + 1, run), -EAGAIN);
    assert_int_equal(stats_of(f.pool).fragmented_count, 5);
    for (const uint8_t *byte = (uint8_t *)run; byte < (uint8_t *)&run[3]; byte++)
        assert_int_equal(*byte, 0x5a);
    assert_int_equal(jdb_pool_put(f.pool, f.all[127]), 0); /* across two words of bits */
    assert_int_equal(jdb_pool_get_run(f.pool, 3, run), 0);
    assert_int_equal(run[0].index, 126);
    assert_run(&f, run, 3);
    assert_int_equal(jdb_pool_put_run(f.pool, run, 3), 0);
    for (uint32_t i = 1; i < FRAMES; i += 2)
        if (i != 127)
            assert_int_equal(jdb_pool_put(f.pool, f.all[i]), 0);
    drop(&f);
}

static void use_in_child(void *context)
{
    struct fixture *const f = context;
    jdb_frame frame = f->all[0];
    MUST(jdb_pool_get_run(f->pool, 2, f->all) == -EPERM);
    MUST(jdb_pool_put_run(f->pool, &frame, 1) == -EPERM);
    MUST(jdb_pool_view_run(f->pool, &frame, 1).ptr == NULL);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct fixture f = make();
    char text[1000];
    assert_int_equal(jdb_pool_get_run(NULL, 1, f.all), -EINVAL);
    assert_int_equal(jdb_pool_get_run(f.pool, 1, NULL), -EINVAL);
    assert_int_equal(jdb_pool_put_run(NULL, f.all, 1), -EINVAL);
    assert_int_equal(jdb_pool_put_run(f.pool, NULL, 1), -EINVAL);
    assert_int_equal(jdb_pool_get_run(f.pool, 0, f.all), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, f.all, 0), 0);
    assert_int_equal(jdb_pool_get_run(f.pool, FRAMES + 1, f.all), -ERANGE);
    assert_int_equal(jdb_pool_get_run(f.pool, UINT32_MAX, f.all), -ERANGE);
    assert_int_equal(jdb_pool_get_run(f.pool, 1, f.all), 0);
    const int status = must_run_child(use_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    assert_int_equal(jdb_pool_put(f.pool, f.all[0]), 0);
    drop(&f);
}

static void a_pool_that_may_grows_for_a_run(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .grow_frames = 4};
    struct fixture f = make_with(16, 64, &options);
    jdb_frame run[40];
    assert_int_equal(jdb_pool_get_n(f.pool, 16, f.all), 0);
    for (uint32_t i = 0; i < 16; i += 2)
        assert_int_equal(jdb_pool_put(f.pool, f.all[i]), 0);
    assert_int_equal(jdb_pool_get_run(f.pool, 6, run), 0); /* fragmented */
    assert_int_equal(jdb_arena_frame_count(f.arena), 22);
    assert_run(&f, run, 6);
    assert_int_equal(jdb_pool_get_run(f.pool, 40, &run[0]), 0);
    assert_int_equal(jdb_arena_frame_count(f.arena), 62);
    assert_int_equal(run[0].index, 22);
    assert_int_equal(jdb_pool_get_run(f.pool, 65, run), -ERANGE);
    assert_int_equal(jdb_pool_put_run(f.pool, run, 40), 0);
    uint32_t cursor = 0;
    jdb_frame frame;
    while (jdb_pool_next_lent(f.pool, &cursor, &frame))
        assert_int_equal(jdb_pool_put_run(f.pool, &frame, 1), 0);
    drop(&f);
}

/* ---- Among others ----------------------------------------------------------------------------------------- */

static void count_calls(jdb_pool_wait *wait)
{
    ++*(unsigned *)wait->user;
}

static void a_waiter_comes_before_a_run(void **state)
{
    (void)state;
    const struct fixture f = make_full();
    unsigned calls = 0;
    jdb_frame got[3];
    jdb_frame run[1];
    jdb_pool_wait wait;
    jdb_pool_wait_init(&wait, count_calls, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pool, &wait, 3, got), -EAGAIN);
    assert_int_equal(jdb_pool_put_run(f.pool, f.all, 2), 0);
    assert_int_equal(jdb_pool_get_run(f.pool, 1, run), -EAGAIN);
    assert_int_equal(calls, 0);
    assert_int_equal(jdb_pool_put_run(f.pool, &f.all[2], 2), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(jdb_pool_get_run(f.pool, 1, run), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, got, 3), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, run, 1), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, &f.all[4], FRAMES - 4), 0);
    drop(&f);
}

/* Frames that have used their last generation are lent when no others are free, in a run as by any get. */
static void frames_set_aside_are_in_runs_when_others_do_not_suffice(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame run[2];
    f.pool->gen_seed = FRAME_LENT - 1;
    assert_int_equal(jdb_pool_get_run(f.pool, FRAMES, f.all), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, &f.all[10], 2), 0);
    assert_int_equal(stats_of(f.pool).aside_count, 2);
    assert_int_equal(jdb_pool_get_run(f.pool, 2, run), 0);
    assert_int_equal(run[0].index, 10);
    assert_int_equal(stats_of(f.pool).aside_count, 0);
    assert_int_equal(jdb_pool_put_run(f.pool, run, 2), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, f.all, 10), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, &f.all[12], FRAMES - 12), 0);
    drop(&f);
}

/* ---- Model ------------------------------------------------------------------------------------------------ */

struct model {
    jdb_frame lent[FRAMES]; /* by index; ptr NULL: free */
    uint32_t frame_count;
};

static uint32_t model_free_count(const struct model *model)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->frame_count; i++)
        count += model->lent[i].ptr == NULL ? 1 : 0;
    return count;
}

static bool model_has_run(const struct model *model, uint32_t count)
{
    for (uint32_t i = 0, length = 0; i < model->frame_count; i++) {
        length = model->lent[i].ptr == NULL ? length + 1 : 0;
        if (length >= count)
            return true;
    }
    return false;
}

static void model_lend(struct model *model, const jdb_frame *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_true(frames[i].index < model->frame_count);
        assert_null(model->lent[frames[i].index].ptr);
        model->lent[frames[i].index] = frames[i];
    }
}

/* Up to count frames that are lent, from a random one on, are the model's no more. */
static uint32_t model_take(struct model *model, uint64_t *random, uint32_t count, jdb_frame *ret_frames)
{
    const uint32_t start = (uint32_t)random_below(random, model->frame_count);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < model->frame_count && taken < count; i++) {
        jdb_frame *const frame = &model->lent[(start + i) % model->frame_count];
        if (frame->ptr == NULL)
            continue;
        ret_frames[taken++] = *frame;
        frame->ptr = NULL;
    }
    return taken;
}

static void get_by_model(const struct fixture *f, struct model *model, uint64_t *random, uint32_t count)
{
    jdb_frame frames[FRAMES];
    const uint32_t free_count = model_free_count(model);
    const bool is_run = random_below(random, 2) == 0;
    const int expected = count > free_count ? -EAGAIN : is_run && !model_has_run(model, count) ? -ENOMEM : 0;
    const int err = is_run ? jdb_pool_get_run(f->pool, count, frames) : jdb_pool_get_n(f->pool, count, frames);
    assert_int_equal(err, expected);
    if (err == 0 && is_run)
        assert_run(f, frames, count);
    if (err == 0)
        model_lend(model, frames, count);
}

static void put_by_model(const struct fixture *f, struct model *model, uint64_t *random, uint32_t count)
{
    jdb_frame frames[FRAMES];
    count = model_take(model, random, count, frames);
    const bool is_run = random_below(random, 2) == 0;
    assert_int_equal(is_run ? jdb_pool_put_run(f->pool, frames, count) : jdb_pool_put_n(f->pool, frames, count), 0);
}

static void random_calls_agree_with_a_model(void **state)
{
    (void)state;
    uint64_t random = random_seed("pool_run");
    for (uint64_t run = 0; run < tier_pick(20, 200, 5000); run++) {
        struct model model = {.frame_count = (uint32_t)(1 + random_below(&random, FRAMES))};
        const jdb_pool_options options = {.size = sizeof options, .thread_frames = (uint32_t)random_below(&random, 70)};
        const struct fixture f = make_with(model.frame_count, 0, &options);
        for (int step = 0; step < 400; step++) {
            const uint32_t most = random_below(&random, 4) == 0 ? model.frame_count : 5;
            const uint32_t count =
                (uint32_t)(1 + random_below(&random, most < model.frame_count ? most : model.frame_count));
            const uint64_t what = random_below(&random, 20);
            if (what < 10)
                get_by_model(&f, &model, &random, count);
            else if (what < 19)
                put_by_model(&f, &model, &random, count);
            else
                assert_int_equal(jdb_pool_trim(f.pool, (uint32_t)random_below(&random, FRAMES), NULL), 0);
            assert_int_equal(stats_of(f.pool).lent_count, model.frame_count - model_free_count(&model));
        }
        put_by_model(&f, &model, &random, model.frame_count);
        drop(&f);
    }
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

struct worker {
    jdb_pool *pool;
    atomic_bool *stop;
    uint64_t seed;
};

static void write_and_look(const jdb_frame *frames, uint32_t count, uint64_t mark)
{
    for (uint32_t i = 0; i < count; i++)
        *(uint64_t *)(void *)frames[i].ptr = mark + frames[i].index;
    for (uint32_t i = 0; i < count; i++)
        MUST(*(uint64_t *)(void *)frames[i].ptr == mark + frames[i].index);
}

static void *get_runs_and_singles(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->seed;
    jdb_frame frames[100];
    while (!atomic_load(me->stop)) {
        const uint32_t count = (uint32_t)(1 + random_below(&random, random_below(&random, 3) == 0 ? 100 : 6));
        const bool is_run = random_below(&random, 2) == 0;
        const int err = is_run ? jdb_pool_get_run(me->pool, count, frames) : jdb_pool_get_n(me->pool, count, frames);
        MUST(err == 0 || err == -EAGAIN || (is_run && err == -ENOMEM));
        if (err != 0)
            continue;
        for (uint32_t i = 1; is_run && i < count; i++)
            MUST(frames[i].index == frames[0].index + i);
        write_and_look(frames, count, me->seed);
        if (random_below(&random, 2) == 0)
            MUST(jdb_pool_put_run(me->pool, frames, count) == 0);
        else
            MUST(jdb_pool_put_n(me->pool, frames, count) == 0);
    }
    return NULL;
}

static void *trim_and_wait(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->seed;
    jdb_frame frames[100];
    while (!atomic_load(me->stop)) {
        const uint32_t count = (uint32_t)(1 + random_below(&random, 100));
        const int err = jdb_pool_trim(me->pool, (uint32_t)random_below(&random, FRAMES), NULL);
        MUST(err == 0 || err == -EBUSY);
        MUST(jdb_pool_get_wait(me->pool, count, JDB_DEADLINE_NONE, NULL, frames) == 0);
        write_and_look(frames, count, me->seed);
        MUST(jdb_pool_put_n(me->pool, frames, count) == 0);
    }
    return NULL;
}

static void threads_that_get_runs_share_no_frame(void **state)
{
    (void)state;
    struct fixture f = make();
    atomic_bool stop = false;
    struct worker workers[5];
    pthread_t threads[5];
    for (uint32_t i = 0; i < 5; i++) {
        workers[i] = (struct worker){f.pool, &stop, UINT64_C(1000000) * (i + 1)};
        assert_int_equal(pthread_create(&threads[i], NULL, i < 4 ? get_runs_and_singles : trim_and_wait, &workers[i]),
                         0);
    }
    const struct timespec pause = {0, (long)tier_pick(300, 900, 900) * 1000000};
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(jdb_pool_get_run(f.pool, FRAMES, f.all), 0);
    assert_run(&f, f.all, FRAMES);
    assert_int_equal(jdb_pool_put_run(f.pool, f.all, FRAMES), 0);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_of_neighbours_and_each_is_a_frame),
        cmocka_unit_test(one_view_covers_a_run),
        cmocka_unit_test(a_pinned_run_is_not_put),
        cmocka_unit_test(frames_of_a_run_are_zeroed_by_the_policy),
        cmocka_unit_test(a_run_that_was_put_is_found_without_a_look_at_caches),
        cmocka_unit_test(frames_in_caches_of_threads_and_batches_are_gathered),
        cmocka_unit_test(caches_serve_again_after_a_run),
        cmocka_unit_test(too_few_frames_and_too_few_neighbours_differ),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(a_pool_that_may_grows_for_a_run),
        cmocka_unit_test(a_waiter_comes_before_a_run),
        cmocka_unit_test(frames_set_aside_are_in_runs_when_others_do_not_suffice),
        cmocka_unit_test(random_calls_agree_with_a_model),
        cmocka_unit_test(threads_that_get_runs_share_no_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
