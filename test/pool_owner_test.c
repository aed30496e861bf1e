/* SPDX-License-Identifier: MIT
 *
 * pool_owner_test.c - frames counted for owners: whatever call puts them, the counts are right.
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

#define FRAMES 100u

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_pool_owner *owner; /* of up to 10 frames */
    jdb_frame frames[FRAMES];
};

static struct fixture make(void)
{
    struct fixture f = {.arena = NULL};
    const jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = FRAMES};
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    assert_int_equal(jdb_pool_owner_new(f.pool, 10, &f.owner), 0);
    return f;
}

static void drop(const struct fixture *f)
{
    assert_int_equal(jdb_pool_owner_free(f->owner), 0);
    assert_int_equal(jdb_pool_free(f->pool), 0);
    assert_int_equal(jdb_arena_free(f->arena), 0);
}

static jdb_pool_owner_stats stats_of(const jdb_pool_owner *owner)
{
    jdb_pool_owner_stats stats = JDB_POOL_OWNER_STATS_INIT;
    assert_int_equal(jdb_pool_owner_get_stats(owner, &stats), 0);
    return stats;
}

static uint32_t count_of(const jdb_pool_owner *owner)
{
    return stats_of(owner).frame_count;
}

/* ---- The maximum ------------------------------------------------------------------------------------------ */

static void an_owner_gets_up_to_its_maximum(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame more = {.ptr = NULL, .index = 12345, .gen = 7};
    assert_int_equal(jdb_pool_owner_get(f.owner, 11, f.frames), -EDQUOT);
    assert_int_equal(jdb_pool_owner_get(f.owner, UINT32_MAX, f.frames), -EDQUOT);
    assert_int_equal(jdb_pool_owner_get(f.owner, 10, f.frames), 0);
    assert_int_equal(jdb_pool_owner_get(f.owner, 1, &more), -EDQUOT);
    assert_null(more.ptr);
    assert_int_equal(more.index, 12345);
    assert_int_equal(jdb_pool_owner_get(f.owner, 0, &more), 0);
    assert_int_equal(jdb_pool_get(f.pool, &more), 0); /* others do */
    assert_int_equal(jdb_pool_put(f.pool, more), 0);
    assert_int_equal(jdb_pool_put(f.pool, f.frames[4]), 0);
    assert_int_equal(jdb_pool_owner_get(f.owner, 1, &f.frames[4]), 0);
    const jdb_pool_owner_stats stats = stats_of(f.owner);
    assert_int_equal(stats.frame_count, 10);
    assert_int_equal(stats.max_frame_count, 10);
    assert_int_equal(stats.peak_count, 10);
    assert_int_equal(stats.got_count, 11);
    assert_int_equal(stats.refused_count, 3);
    assert_int_equal(jdb_pool_put_n(f.pool, f.frames, 10), 0);
    assert_int_equal(count_of(f.owner), 0);
    drop(&f);
}

static void a_lower_maximum_takes_nothing_away(void **state)
{
    (void)state;
    struct fixture f = make();
    assert_int_equal(jdb_pool_owner_get(f.owner, 10, f.frames), 0);
    assert_int_equal(jdb_pool_owner_set_max(f.owner, 5), 0);
    assert_int_equal(count_of(f.owner), 10);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(jdb_pool_owner_get(f.owner, 1, &f.frames[10]), -EDQUOT);
        assert_int_equal(jdb_pool_put(f.pool, f.frames[i]), 0);
    }
    assert_int_equal(jdb_pool_owner_get(f.owner, 1, f.frames), -EDQUOT);
    assert_int_equal(jdb_pool_owner_set_max(f.owner, UINT32_MAX), 0);
    assert_int_equal(jdb_pool_owner_get(f.owner, 5, f.frames), 0);
    assert_int_equal(jdb_pool_owner_get(f.owner, 91, &f.frames[10]), -EAGAIN); /* the pool's own limit */
    assert_int_equal(count_of(f.owner), 10);
    assert_int_equal(jdb_pool_put_n(f.pool, f.frames, 10), 0);
    drop(&f);
}

/* ---- Every way that a frame goes -------------------------------------------------------------------------- */

static void a_frame_of_an_owner_is_a_frame_as_any(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame frame;
    assert_int_equal(jdb_pool_owner_get(f.owner, 1, &frame), 0);
    assert_ptr_equal(jdb_pool_view(f.pool, frame).ptr, frame.ptr);
    assert_int_equal(jdb_pool_view_run(f.pool, &frame, 1).cap, 4096);
    uint32_t cursor = 0;
    jdb_frame lent;
    assert_true(jdb_pool_next_lent(f.pool, &cursor, &lent));
    assert_memory_equal(&lent, &frame, sizeof frame);
    assert_false(jdb_pool_next_lent(f.pool, &cursor, &lent));
    assert_int_equal(jdb_pool_free(f.pool), -EBUSY);

    assert_int_equal(jdb_pin(frame.ptr, 4096), 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), -EBUSY);
    assert_int_equal(jdb_pool_recycle(f.pool, frame, &lent), -EBUSY);
    assert_int_equal(jdb_pool_put_run(f.pool, &frame, 1), -EBUSY);
    assert_int_equal(count_of(f.owner), 1);
    assert_int_equal(jdb_unpin(frame.ptr, 4096), 0);

    jdb_frame wrong = frame;
    wrong.gen++;
    assert_int_equal(jdb_pool_put(f.pool, wrong), -ESTALE);
    wrong.gen = ~frame.gen; /* what is stored */
    assert_int_equal(jdb_pool_put(f.pool, wrong), -EINVAL);
    assert_null(jdb_pool_view(f.pool, wrong).ptr);
    assert_int_equal(count_of(f.owner), 1);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), -ESTALE);
    assert_null(jdb_pool_view(f.pool, frame).ptr);
    assert_int_equal(count_of(f.owner), 0);
    drop(&f);
}

static void a_recycled_frame_goes_on_counting(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame frame;
    assert_int_equal(jdb_pool_owner_get(f.owner, 1, &frame), 0);
    const jdb_frame old = frame;
    assert_int_equal(jdb_pool_recycle(f.pool, frame, &frame), 0);
    assert_int_equal(frame.index, old.index);
    assert_int_not_equal(frame.gen, old.gen);
    assert_int_equal(count_of(f.owner), 1);
    assert_int_equal(jdb_pool_put(f.pool, old), -ESTALE);
    assert_int_equal(jdb_pool_recycle(f.pool, old, &frame), -ESTALE);
    assert_int_equal(count_of(f.owner), 1);
    assert_int_equal(jdb_pool_put_n(f.pool, &frame, 1), 0);
    assert_int_equal(count_of(f.owner), 0);
    drop(&f);
}

static void the_last_generation_ends_with_an_owner_too(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame frame;
    f.pool->gen_seed = FRAME_LENT - 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jdb_pool_owner_get(f.owner, 1, &frame), 0);
        assert_int_equal(frame.gen, FRAME_GEN_LAST);
        assert_ptr_equal(jdb_pool_view(f.pool, frame).ptr, frame.ptr);
        if (i == 0)
            assert_int_equal(jdb_pool_recycle(f.pool, frame, &frame), 0);
        assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        assert_int_equal(count_of(f.owner), 0);
    }
    drop(&f);
}

static void a_put_of_many_that_fails_leaves_the_counts(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame list[8];
    assert_int_equal(jdb_pool_owner_get(f.owner, 5, list), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, 2, &list[5]), 0);
    list[7] = list[1]; /* named twice */
    assert_int_equal(jdb_pool_put_n(f.pool, list, 8), -ESTALE);
    assert_int_equal(jdb_pool_put_run(f.pool, list, 8), -ESTALE);
    assert_int_equal(count_of(f.owner), 5);
    for (int i = 0; i < 7; i++)
        assert_ptr_equal(jdb_pool_view(f.pool, list[i]).ptr, list[i].ptr);
    list[7] = (jdb_frame){NULL, UINT32_MAX, FRAME_GEN_LAST};
    assert_int_equal(jdb_pool_put_n(f.pool, list, 8), -EINVAL);
    assert_int_equal(count_of(f.owner), 5);
    assert_int_equal(jdb_pool_put_n(f.pool, list, 7), 0);
    assert_int_equal(count_of(f.owner), 0);
    drop(&f);
}

/* ---- Take ------------------------------------------------------------------------------------------------- */

static void what_is_not_got_is_no_peak(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame rest[FRAMES];
    jdb_frame more[10];
    assert_int_equal(jdb_pool_owner_get(f.owner, 4, f.frames), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES - 4, rest), 0);
    assert_int_equal(jdb_pool_owner_get(f.owner, 6, more), -EAGAIN);
    memcpy(more, rest, 5 * sizeof rest[0]);
    more[5] = f.frames[0];
    assert_int_equal(jdb_pool_owner_take(f.owner, more, 6), -EXDEV);
    assert_int_equal(stats_of(f.owner).peak_count, 4);
    assert_int_equal(stats_of(f.owner).got_count, 4);
    assert_int_equal(jdb_pool_owner_take(f.owner, more, 5), 0);
    assert_int_equal(stats_of(f.owner).peak_count, 9);
    assert_int_equal(jdb_pool_put_n(f.pool, f.frames, 4), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, rest, FRAMES - 4), 0);
    assert_int_equal(stats_of(f.owner).peak_count, 9);
    drop(&f);
}

static void frames_got_otherwise_are_taken(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_pool_owner *other = NULL;
    jdb_frame run[12];
    assert_int_equal(jdb_pool_owner_new(f.pool, 1, &other), 0);
    assert_int_equal(jdb_pool_get_run(f.pool, 12, run), 0);
    assert_int_equal(jdb_pool_owner_take(f.owner, run, 12), -EDQUOT);
    assert_int_equal(jdb_pool_owner_take(f.owner, run, 8), 0);
    assert_int_equal(jdb_pool_owner_take(f.owner, &run[7], 2), -EXDEV); /* the first is its own already */
    assert_int_equal(jdb_pool_owner_take(other, &run[7], 1), -EXDEV);
    const jdb_frame twice[2] = {run[8], run[8]};
    assert_int_equal(jdb_pool_owner_take(f.owner, twice, 2), -EXDEV);
    assert_int_equal(count_of(f.owner), 8);
    assert_int_equal(count_of(other), 0);
    assert_int_equal(jdb_pool_owner_take(other, &run[8], 1), 0);
    assert_int_equal(jdb_pool_put_run(f.pool, run, 12), 0);
    assert_int_equal(jdb_pool_owner_take(f.owner, run, 1), -ESTALE);
    assert_int_equal(jdb_pool_owner_take(f.owner, &(jdb_frame){run[0].ptr + 1, 0, run[0].gen}, 1), -EINVAL);
    assert_int_equal(jdb_pool_owner_take(f.owner, &(jdb_frame){run[0].ptr, FRAMES, run[0].gen}, 1), -EINVAL);
    assert_int_equal(jdb_pool_owner_take(f.owner, run, 0), 0);
    assert_int_equal(count_of(f.owner), 0);
    assert_int_equal(count_of(other), 0);
    assert_int_equal(jdb_pool_owner_free(other), 0);
    drop(&f);
}

static void the_frames_of_an_owner_are_walked(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame frame;
    uint32_t cursor = 0;
    uint32_t count = 0;
    assert_int_equal(jdb_pool_get_n(f.pool, 5, f.frames), 0);
    assert_int_equal(jdb_pool_owner_get(f.owner, 7, &f.frames[5]), 0);
    while (jdb_pool_owner_next(f.owner, &cursor, &frame)) {
        bool is_its_own = false;
        for (uint32_t i = 5; i < 12; i++)
            is_its_own |= memcmp(&f.frames[i], &frame, sizeof frame) == 0;
        assert_true(is_its_own);
        assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        count++;
    }
    assert_int_equal(count, 7);
    assert_int_equal(count_of(f.owner), 0);
    assert_false(jdb_pool_owner_next(NULL, &cursor, &frame));
    assert_false(jdb_pool_owner_next(f.owner, NULL, &frame));
    assert_false(jdb_pool_owner_next(f.owner, &cursor, NULL));
    assert_int_equal(jdb_pool_put_n(f.pool, f.frames, 5), 0);
    drop(&f);
}

/* ---- Errors ----------------------------------------------------------------------------------------------- */

static void use_in_child(void *context)
{
    struct fixture *const f = context;
    jdb_pool_owner *owner = NULL;
    jdb_pool_owner_stats stats = JDB_POOL_OWNER_STATS_INIT;
    uint32_t cursor = 0;
    MUST(jdb_pool_owner_new(f->pool, 1, &owner) == -EPERM);
    MUST(jdb_pool_owner_get(f->owner, 1, &f->frames[1]) == -EPERM);
    MUST(jdb_pool_owner_take(f->owner, f->frames, 1) == -EPERM);
    MUST(jdb_pool_owner_set_max(f->owner, 1) == -EPERM);
    MUST(jdb_pool_owner_get_stats(f->owner, &stats) == -EPERM);
    MUST(!jdb_pool_owner_next(f->owner, &cursor, &f->frames[1]));
    MUST(jdb_pool_put(f->pool, f->frames[0]) == -EPERM);
    MUST(jdb_pool_owner_free(f->owner) == -EPERM);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_pool_owner *owner = NULL;
    jdb_pool_owner_stats stats = {.size = 8};
    char text[1000];
    assert_int_equal(jdb_pool_owner_new(NULL, 1, &owner), -EINVAL);
    assert_int_equal(jdb_pool_owner_new(f.pool, 1, NULL), -EINVAL);
    assert_int_equal(jdb_pool_owner_get(NULL, 1, f.frames), -EINVAL);
    assert_int_equal(jdb_pool_owner_get(f.owner, 1, NULL), -EINVAL);
    assert_int_equal(jdb_pool_owner_take(NULL, f.frames, 1), -EINVAL);
    assert_int_equal(jdb_pool_owner_take(f.owner, NULL, 1), -EINVAL);
    assert_int_equal(jdb_pool_owner_set_max(NULL, 1), -EINVAL);
    assert_int_equal(jdb_pool_owner_get_stats(f.owner, NULL), -EINVAL);
    assert_int_equal(jdb_pool_owner_get_stats(f.owner, &stats), -EINVAL);
    assert_int_equal(jdb_pool_owner_get_stats(NULL, &(jdb_pool_owner_stats){.size = sizeof(jdb_pool_owner_stats)}),
                     -EINVAL);
    assert_int_equal(jdb_pool_owner_free(NULL), 0);
    faults_arm(OS_CALL_ALLOC, 0, -ENOMEM);
    assert_int_equal(jdb_pool_owner_new(f.pool, 1, &owner), -ENOMEM);
    assert_true(faults_disarm());
    assert_null(owner);
    assert_int_equal(jdb_pool_free(f.pool), -EBUSY); /* before its owners */
    assert_int_equal(jdb_pool_owner_get(f.owner, 1, f.frames), 0);
    assert_int_equal(jdb_pool_owner_free(f.owner), -EBUSY);
    const int status = must_run_child(use_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    assert_int_equal(jdb_pool_put(f.pool, f.frames[0]), 0);
    drop(&f);
}

/* ---- Model ------------------------------------------------------------------------------------------------ */

#define OWNERS 3u

struct model {
    jdb_pool *pool;
    jdb_pool_owner *owners[OWNERS];
    uint32_t max_counts[OWNERS];
    jdb_frame out[FRAMES];
    uint32_t owner_of[FRAMES]; /* of out[i]; OWNERS: none */
    uint32_t out_count;
};

static uint32_t model_count(const struct model *model, uint32_t owner)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->out_count; i++)
        count += model->owner_of[i] == owner ? 1 : 0;
    return count;
}

static void model_get(struct model *model, uint64_t *random)
{
    const uint32_t owner = (uint32_t)random_below(random, OWNERS + 1);
    const uint32_t n = (uint32_t)random_below(random, 12);
    jdb_frame *const frames = &model->out[model->out_count < FRAMES ? model->out_count : FRAMES - 1];
    int expected = n > FRAMES - model->out_count ? -EAGAIN : 0;
    if (owner < OWNERS && n > 0 && model_count(model, owner) + n > model->max_counts[owner])
        expected = -EDQUOT;
    const int err =
        owner < OWNERS ? jdb_pool_owner_get(model->owners[owner], n, frames) : jdb_pool_get_n(model->pool, n, frames);
    assert_int_equal(err, expected);
    for (uint32_t i = 0; err == 0 && i < n; i++)
        model->owner_of[model->out_count++] = owner;
}

/* n random ones to the end. */
static void model_shuffle(struct model *model, uint64_t *random, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t from = (uint32_t)random_below(random, model->out_count - i);
        const uint32_t to = model->out_count - 1 - i;
        const jdb_frame frame = model->out[from];
        const uint32_t owner = model->owner_of[from];
        model->out[from] = model->out[to];
        model->owner_of[from] = model->owner_of[to];
        model->out[to] = frame;
        model->owner_of[to] = owner;
    }
}

static void model_put(struct model *model, uint64_t *random)
{
    const uint32_t n = (uint32_t)random_below(random, model->out_count < 12 ? model->out_count + 1 : 12);
    model_shuffle(model, random, n);
    const uint32_t first = model->out_count - n;
    const uint64_t how = random_below(random, 4);
    if (n > 0 && how == 0) {
        assert_int_equal(jdb_pool_put(model->pool, model->out[--model->out_count]), 0);
    } else if (n > 0 && how == 1) {
        assert_int_equal(jdb_pool_recycle(model->pool, model->out[first], &model->out[first]), 0);
    } else {
        assert_int_equal(how == 2 ? jdb_pool_put_run(model->pool, &model->out[first], n)
                                  : jdb_pool_put_n(model->pool, &model->out[first], n),
                         0);
        model->out_count = first;
    }
}

static void random_calls_agree_with_a_model(void **state)
{
    (void)state;
    uint64_t random = random_seed("pool_owner");
    for (uint64_t run = 0; run < tier_pick(20, 100, 3000); run++) {
        struct fixture f = make();
        struct model model = {.pool = f.pool};
        for (uint32_t i = 0; i < OWNERS; i++) {
            model.max_counts[i] = (uint32_t)random_below(&random, 60);
            assert_int_equal(jdb_pool_owner_new(f.pool, model.max_counts[i], &model.owners[i]), 0);
        }
        for (int step = 0; step < 500; step++) {
            if (random_below(&random, 2) == 0)
                model_get(&model, &random);
            else
                model_put(&model, &random);
            for (uint32_t i = 0; i < OWNERS; i++)
                assert_int_equal(count_of(model.owners[i]), model_count(&model, i));
        }
        assert_int_equal(jdb_pool_put_n(f.pool, model.out, model.out_count), 0);
        for (uint32_t i = 0; i < OWNERS; i++)
            assert_int_equal(jdb_pool_owner_free(model.owners[i]), 0);
        drop(&f);
    }
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

struct worker {
    struct fixture *fixture;
    atomic_bool *stop;
    jdb_pool_owner *owner;
    uint64_t seed;
};

static void *get_and_put(void *context)
{
    const struct worker *const me = context;
    jdb_pool *const pool = me->fixture->pool;
    uint64_t random = me->seed;
    jdb_frame frames[12];
    while (!atomic_load(me->stop)) {
        const uint32_t n = (uint32_t)(1 + random_below(&random, 12));
        const int err = jdb_pool_owner_get(me->owner, n, frames);
        MUST(err == 0 || err == -EDQUOT || err == -EAGAIN);
        if (err != 0)
            continue;
        for (uint32_t i = 0; i < n; i++)
            *(uint64_t *)(void *)frames[i].ptr = me->seed;
        for (uint32_t i = 0; i < n; i++)
            MUST(*(uint64_t *)(void *)frames[i].ptr == me->seed);
        MUST(jdb_pool_recycle(pool, frames[0], &frames[0]) == 0);
        MUST(jdb_pool_put(pool, frames[0]) == 0);
        MUST(jdb_pool_put_n(pool, &frames[1], n - 1) == 0);
    }
    return NULL;
}

static void counts_of_threads_come_to_zero(void **state)
{
    (void)state;
    struct fixture f = make();
    atomic_bool stop = false;
    struct worker workers[4];
    pthread_t threads[4];
    jdb_pool_owner *owners[2];
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(jdb_pool_owner_new(f.pool, 20, &owners[i]), 0);
    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){&f, &stop, owners[i % 2], i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_put, &workers[i]), 0);
    }
    const uint64_t end_ns = jdb_clock_ns() + tier_pick(200, 600, 900) * 1000000;
    while (jdb_clock_ns() < end_ns) { /* walks while others put: each answer was true at some moment */
        uint32_t cursor = 0;
        jdb_frame frame;
        while (jdb_pool_owner_next(owners[0], &cursor, &frame))
            assert_true((frame.gen & FRAME_LENT) != 0);
        assert_in_range(count_of(owners[0]), 0, 20);
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 2; i++) {
        assert_in_range(stats_of(owners[i]).peak_count, 1, 20);
        assert_int_equal(jdb_pool_owner_free(owners[i]), 0);
    }
    drop(&f);
}

struct turns {
    jdb_pool *pool;
    atomic_bool *stop;
    jdb_pool_owner *owners[2];
};

/* One frame is lent to two owners in turn, so its generations are in turn those of one and of the other. */
static void *get_and_put_in_turn(void *context)
{
    const struct turns *const turns = context;
    jdb_frame first;
    do { /* an odd one; what is put last is got first */
        MUST(jdb_pool_get(turns->pool, &first) == 0);
        MUST(jdb_pool_put(turns->pool, first) == 0);
    } while (first.gen % 2 == 0);
    while (!atomic_load(turns->stop))
        for (uint32_t i = 0; i < 2; i++) {
            jdb_frame frame;
            MUST(jdb_pool_owner_get(turns->owners[i], 1, &frame) == 0);
            MUST(frame.gen % 2 == i);
            MUST(jdb_pool_put(turns->pool, frame) == 0);
        }
    return NULL;
}

static void a_walk_names_no_lending_of_another_owner(void **state)
{
    (void)state;
    struct fixture f = make();
    atomic_bool stop = false;
    struct turns turns = {.pool = f.pool, .stop = &stop, .owners = {f.owner, NULL}};
    pthread_t thread;
    uint32_t wrong_count = 0;
    uint32_t named_count = 0;
    assert_int_equal(jdb_pool_owner_new(f.pool, 10, &turns.owners[1]), 0);
    assert_int_equal(pthread_create(&thread, NULL, get_and_put_in_turn, &turns), 0);
    const uint64_t end_ns = jdb_clock_ns() + tier_pick(300, 600, 900) * 1000000;
    /* A busy machine may run one thread long before the other. */
    const uint64_t late_ns = end_ns + 60 * (uint64_t)1000000000;
    while (jdb_clock_ns() < end_ns || (named_count == 0 && jdb_clock_ns() < late_ns)) {
        uint32_t cursor = 0;
        jdb_frame frame;
        while (jdb_pool_owner_next(f.owner, &cursor, &frame)) {
            named_count++;
            wrong_count += frame.gen % 2;
        }
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    assert_in_range(named_count, 1, UINT32_MAX);
    assert_int_equal(wrong_count, 0);
    assert_int_equal(jdb_pool_owner_free(turns.owners[1]), 0);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_gets_up_to_its_maximum),
        cmocka_unit_test(a_lower_maximum_takes_nothing_away),
        cmocka_unit_test(a_frame_of_an_owner_is_a_frame_as_any),
        cmocka_unit_test(a_recycled_frame_goes_on_counting),
        cmocka_unit_test(the_last_generation_ends_with_an_owner_too),
        cmocka_unit_test(a_put_of_many_that_fails_leaves_the_counts),
        cmocka_unit_test(what_is_not_got_is_no_peak),
        cmocka_unit_test(frames_got_otherwise_are_taken),
        cmocka_unit_test(the_frames_of_an_owner_are_walked),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(random_calls_agree_with_a_model),
        cmocka_unit_test(counts_of_threads_come_to_zero),
        cmocka_unit_test(a_walk_names_no_lending_of_another_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
