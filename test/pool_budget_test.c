/* SPDX-License-Identifier: MIT
 *
 * pool_budget_test.c - several pools share one budget of bytes: never more are used, and no wait sleeps while bytes are free.
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

#define POOLS 3u
#define FRAMES 256u /* of each pool: more than the budget holds of any */
#define KIB UINT64_C(1024)
#define MAX_BYTES (1024 * KIB)

static const uint64_t sizes[POOLS] = {4 * KIB, 16 * KIB, 64 * KIB};

struct fixture {
    jdb_budget *budget;
    jdb_arena *arenas[POOLS];
    jdb_pool *pools[POOLS];
};

static struct fixture make(void)
{
    struct fixture f = {.budget = NULL};
    assert_int_equal(jdb_budget_new(MAX_BYTES, &f.budget), 0);
    for (uint32_t i = 0; i < POOLS; i++) {
        const jdb_arena_options arena_options = {
            .size = sizeof arena_options, .frame_size = sizes[i], .frame_count = FRAMES};
        const jdb_pool_options options = {.size = sizeof options, .thread_frames = 16, .budget = f.budget};
        assert_int_equal(jdb_arena_new(&arena_options, &f.arenas[i]), 0);
        assert_int_equal(jdb_pool_new(f.arenas[i], &options, &f.pools[i]), 0);
    }
    return f;
}

static jdb_budget_stats stats_of(jdb_budget *budget)
{
    jdb_budget_stats stats = JDB_BUDGET_STATS_INIT;
    assert_int_equal(jdb_budget_get_stats(budget, &stats), 0);
    return stats;
}

static void drop(const struct fixture *f)
{
    assert_int_equal(jdb_budget_free(f->budget), -EBUSY);
    for (uint32_t i = 0; i < POOLS; i++) {
        assert_int_equal(jdb_pool_free(f->pools[i]), 0);
        assert_int_equal(jdb_arena_free(f->arenas[i]), 0);
    }
    assert_int_equal(stats_of(f->budget).used_bytes, 0);
    assert_int_equal(stats_of(f->budget).wanted_bytes, 0);
    assert_int_equal(jdb_budget_free(f->budget), 0);
}

static void get_n(jdb_pool *pool, uint32_t count, jdb_frame *ret_frames, uint64_t frame_size)
{
    assert_int_equal(jdb_pool_get_n(pool, count, ret_frames), 0);
    for (uint32_t i = 0; i < count; i++)
        memset(ret_frames[i].ptr, 7, frame_size);
}

static uint64_t resident_bytes(const struct fixture *f)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < POOLS; i++) {
        jdb_arena_report report = JDB_ARENA_REPORT_INIT;
        assert_int_equal(jdb_arena_get_report(f->arenas[i], &report), 0);
        bytes += report.resident_bytes;
    }
    return bytes;
}

/* ---- Get -------------------------------------------------------------------------------------------------- */

static void what_one_pool_puts_another_gets(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame small[FRAMES];
    jdb_frame large[16];
    get_n(f.pools[0], 256, small, sizes[0]); /* all of the budget */
    assert_int_equal(stats_of(f.budget).used_bytes, MAX_BYTES);
    assert_int_equal(jdb_pool_get(f.pools[2], large), -EAGAIN);
    assert_int_equal(stats_of(f.budget).refused_count, 1);
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, 15), 0);
    assert_int_equal(jdb_pool_get(f.pools[2], large), -EAGAIN); /* 60 of 64 KiB */
    assert_int_equal(jdb_pool_put(f.pools[0], small[15]), 0);
    get_n(f.pools[2], 1, large, sizes[2]);
    assert_int_equal(jdb_pool_get(f.pools[0], small), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(f.pools[0], &small[16], 240), 0);
    get_n(f.pools[2], 15, &large[1], sizes[2]);
    assert_int_equal(stats_of(f.budget).used_bytes, MAX_BYTES);
    if (tier_is_measurable())
        assert_in_range(resident_bytes(&f), 0, MAX_BYTES);
    assert_int_equal(jdb_pool_put_n(f.pools[2], large, 16), 0);
    assert_int_equal(jdb_pool_get_n(f.pools[0], 256, small), 0);
    for (uint32_t i = 0; i < 256; i++)
        assert_int_equal(small[i].ptr[100], 0); /* given back meanwhile */
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, 256), 0);
    assert_int_equal(stats_of(f.budget).peak_bytes, MAX_BYTES);
    drop(&f);
}

static void a_free_frame_that_nobody_else_needs_keeps_its_memory(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[40];
    jdb_frame large;
    get_n(f.pools[0], 40, frames, sizes[0]);
    assert_int_equal(jdb_pool_put_n(f.pools[0], frames, 40), 0);
    for (int i = 0; i < 15; i++) { /* 15 of 16 */
        get_n(f.pools[2], 1, &large, sizes[2]);
        assert_int_equal(jdb_pool_put(f.pools[2], large), 0);
    }
    assert_int_equal(stats_of(f.budget).taken_bytes, 0);
    assert_int_equal(jdb_pool_get_n(f.pools[0], 40, frames), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(frames[i].ptr[5], 7);
    assert_int_equal(jdb_pool_put_n(f.pools[0], frames, 40), 0);
    drop(&f);
}

static void a_run_is_paid_for_as_any_frames(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame run[64];
    jdb_frame large[16];
    get_n(f.pools[2], 16, large, sizes[2]);
    assert_int_equal(jdb_pool_get_run(f.pools[1], 4, run), -EAGAIN);
    assert_int_equal(jdb_pool_put(f.pools[2], large[0]), 0);
    assert_int_equal(jdb_pool_get_run(f.pools[1], 4, run), 0);
    assert_int_equal(run[3].index, run[0].index + 3);
    assert_int_equal(jdb_pool_put_run(f.pools[1], run, 4), 0);
    assert_int_equal(jdb_pool_get(f.pools[2], &large[0]), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[2], large, 16), 0);
    assert_int_equal(jdb_pool_get_run(f.pools[1], 64, run), 0);
    assert_int_equal(jdb_pool_put_run(f.pools[1], run, 64), 0);
    drop(&f);
}

static void a_trim_pays_back(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[40];
    uint64_t bytes = 0;
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    get_n(f.pools[1], 40, frames, sizes[1]);
    assert_int_equal(jdb_pool_put_n(f.pools[1], frames, 40), 0);
    const uint64_t used = stats_of(f.budget).used_bytes;
    assert_int_equal(jdb_pool_trim(f.pools[1], 5, &bytes), 0);
    assert_int_equal(stats_of(f.budget).used_bytes, 5 * sizes[1]);
    assert_int_equal(bytes, used - 5 * sizes[1]);
    assert_int_equal(jdb_pool_get_stats(f.pools[1], &stats), 0);
    assert_int_equal(stats.bare_count, used / sizes[1] - 5);
    assert_int_equal(jdb_pool_get_n(f.pools[1], 40, frames), 0);
    assert_int_equal(stats_of(f.budget).used_bytes, 40 * sizes[1]);
    assert_int_equal(jdb_pool_put_n(f.pools[1], frames, 40), 0);
    drop(&f);
}

static void held_frames_keep_their_memory_and_count(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame large[16];
    jdb_frame small;
    get_n(f.pools[2], 16, large, sizes[2]);
    assert_int_equal(jdb_arena_hold(f.arenas[2], 0, FRAMES * sizes[2]), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[2], large, 16), 0);
    assert_int_equal(jdb_pool_get(f.pools[0], &small), -EAGAIN);
    assert_int_equal(stats_of(f.budget).used_bytes, MAX_BYTES);
    assert_int_equal(jdb_pool_get_n(f.pools[2], 16, large), 0);
    assert_int_equal(large[0].ptr[0], 7);
    assert_int_equal(jdb_pool_put_n(f.pools[2], large, 16), 0);
    assert_int_equal(jdb_arena_unhold(f.arenas[2], 0, FRAMES * sizes[2]), 0);
    assert_int_equal(jdb_pool_get(f.pools[0], &small), 0);
    assert_int_equal(jdb_pool_put(f.pools[0], small), 0);
    drop(&f);
}

/* ---- Wait ------------------------------------------------------------------------------------------------- */

static void count_calls(jdb_pool_wait *wait)
{
    ++*(unsigned *)wait->user;
}

static void a_put_in_one_pool_serves_a_wait_in_another(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame small[FRAMES];
    jdb_frame got;
    unsigned calls = 0;
    jdb_pool_wait wait;
    get_n(f.pools[0], 256, small, sizes[0]);
    jdb_pool_wait_init(&wait, count_calls, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pools[2], &wait, 1, &got), -EAGAIN);
    assert_int_equal(stats_of(f.budget).wanted_bytes, sizes[2]);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(calls, 0);
        assert_int_equal(jdb_pool_put(f.pools[0], small[i]), 0);
    }
    assert_int_equal(calls, 1);
    assert_int_equal(stats_of(f.budget).wanted_bytes, 0);
    assert_int_equal(jdb_pool_put_n(f.pools[0], &small[16], 200), 0);
    jdb_pool_stats stats = JDB_POOL_STATS_INIT; /* caches serve again */
    assert_int_equal(jdb_pool_get(f.pools[0], small), 0);
    assert_int_equal(jdb_pool_put(f.pools[0], small[0]), 0);
    assert_int_equal(jdb_pool_get_stats(f.pools[0], &stats), 0);
    assert_int_equal(stats.cached_count > 0, jdb__os_membarrier_register() == 0);
    assert_int_equal(jdb_pool_put(f.pools[2], got), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[0], &small[216], 40), 0);
    drop(&f);
}

static void what_ends_a_wait_wants_no_more(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame small[FRAMES];
    jdb_frame got[2];
    unsigned calls = 0;
    jdb_pool_wait wait;
    get_n(f.pools[0], 256, small, sizes[0]);
    assert_int_equal(jdb_pool_get_wait(f.pools[1], 1, 0, NULL, got), -ETIMEDOUT);
    assert_int_equal(stats_of(f.budget).wanted_bytes, 0);
    jdb_pool_wait_init(&wait, count_calls, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pools[1], &wait, 1, got), -EAGAIN);
    assert_int_equal(jdb_pool_wait_start(f.pools[1], &wait, 1, got), -EINVAL);
    assert_int_equal(stats_of(f.budget).wanted_bytes, sizes[1]);
    assert_int_equal(jdb_pool_wait_cancel(f.pools[1], &wait), 0);
    assert_int_equal(stats_of(f.budget).wanted_bytes, 0);
    assert_int_equal(jdb_pool_wait_start(f.pools[1], &wait, 1, got), -ECANCELED);
    assert_int_equal(jdb_pool_get_wait(f.pools[1], 2, 0, NULL, got), -ENOTSUP);
    jdb_pool_wait_init(&wait, count_calls, &calls);
    assert_int_equal(jdb_pool_wait_start(f.pools[1], &wait, 2, got), -ENOTSUP);
    assert_int_equal(calls, 0);
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, 256), 0);
    drop(&f);
}

static void a_larger_budget_or_a_pool_less_serves_a_wait(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame small[FRAMES];
    jdb_frame got[2];
    unsigned calls = 0;
    jdb_pool_wait waits[2];
    get_n(f.pools[0], 256, small, sizes[0]);
    for (int i = 0; i < 2; i++) {
        jdb_pool_wait_init(&waits[i], count_calls, &calls);
        assert_int_equal(jdb_pool_wait_start(f.pools[1], &waits[i], 1, &got[i]), -EAGAIN);
    }
    assert_int_equal(jdb_budget_set_max(f.budget, MAX_BYTES + sizes[1] - 1), 0);
    assert_int_equal(calls, 0);
    assert_int_equal(jdb_budget_set_max(f.budget, MAX_BYTES + sizes[1]), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(jdb_pool_free(f.pools[0]), -EBUSY);
    assert_int_equal(calls, 1);
    assert_int_equal(jdb_arena_hold(f.arenas[0], 0, FRAMES * sizes[0]), 0); /* so that the puts give nothing back */
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, 256), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(jdb_pool_free(f.pools[0]), 0);
    assert_int_equal(calls, 2);
    f.pools[0] = NULL;
    assert_int_equal(jdb_arena_unhold(f.arenas[0], 0, FRAMES * sizes[0]), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[1], got, 2), 0);
    drop(&f);
}

static void a_smaller_budget_takes_free_frames_only(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[48];
    jdb_frame more;
    get_n(f.pools[1], 48, frames, sizes[1]);
    assert_int_equal(jdb_pool_put_n(f.pools[1], frames, 24), 0);
    assert_int_equal(jdb_budget_set_max(f.budget, 10 * sizes[1]), 0);
    assert_int_equal(stats_of(f.budget).used_bytes, 24 * sizes[1]);
    assert_int_equal(jdb_pool_get(f.pools[1], &more), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(f.pools[1], &frames[24], 24), 0);
    assert_int_equal(jdb_pool_get(f.pools[1], &more), 0); /* one that has its memory */
    assert_int_equal(jdb_pool_put(f.pools[1], more), 0);
    assert_int_equal(jdb_budget_set_max(f.budget, 10 * sizes[1]), 0);
    assert_int_equal(stats_of(f.budget).used_bytes, 10 * sizes[1]);
    drop(&f);
}

/* ---- Errors ----------------------------------------------------------------------------------------------- */

static int new_pool(jdb_budget *budget, const jdb_arena_options *arena_options)
{
    jdb_arena *arena = NULL;
    jdb_pool *pool = NULL;
    const jdb_pool_options options = {.size = sizeof options, .budget = budget};
    assert_int_equal(jdb_arena_new(arena_options, &arena), 0);
    const int err = jdb_pool_new(arena, &options, &pool);
    assert_int_equal(pool != NULL, err == 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    return err;
}

static void arenas_that_cannot_give_back_are_refused(void **state)
{
    (void)state;
    jdb_budget *budget = NULL;
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = 8};
    assert_int_equal(jdb_budget_new(MAX_BYTES, &budget), 0);
    assert_int_equal(new_pool(budget, &options), 0);
    options.flags = JDB_ARENA_PREFAULT;
    assert_int_equal(new_pool(budget, &options), -ENOTSUP);
    options.flags = 0;
    options.pages = JDB_ARENA_PAGES_BEST;
    assert_int_equal(new_pool(budget, &options), -ENOTSUP);
    options.pages = 0;
    options.frame_align = 512;
    options.frame_size = 4608;
    assert_int_equal(new_pool(budget, &options), -EINVAL);
    options.flags = JDB_ARENA_MEMFD;
    options.frame_align = 0;
    assert_int_equal(new_pool(budget, &options), 0);
    assert_int_equal(stats_of(budget).pool_count, 0);
    assert_int_equal(jdb_budget_free(budget), 0);
}

static void memory_of_an_earlier_user_is_given_back(void **state)
{
    (void)state;
    jdb_budget *budget = NULL;
    jdb_arena *arena = NULL;
    jdb_pool *pool = NULL;
    jdb_frame frame;
    const jdb_arena_options arena_options = {.size = sizeof arena_options, .frame_size = 4096, .frame_count = 8};
    assert_int_equal(jdb_budget_new(MAX_BYTES, &budget), 0);
    const jdb_pool_options options = {.size = sizeof options, .budget = budget};
    assert_int_equal(jdb_arena_new(&arena_options, &arena), 0);
    memset(jdb_arena_base(arena), 7, 8 * 4096);
    assert_int_equal(jdb_pin(jdb_arena_base(arena), 1), 0);
    assert_int_equal(jdb_pool_new(arena, &options, &pool), -EBUSY);
    assert_int_equal(jdb_unpin(jdb_arena_base(arena), 1), 0);
    assert_int_equal(jdb_pool_new(arena, &options, &pool), 0);
    assert_int_equal(jdb_pool_get(pool, &frame), 0);
    assert_int_equal(frame.ptr[0], 0);
    assert_int_equal(jdb_pool_put(pool, frame), 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(jdb_budget_free(budget), 0);
}

static void use_in_child(void *context)
{
    const struct fixture *const f = context;
    jdb_budget_stats stats = JDB_BUDGET_STATS_INIT;
    const jdb_arena_options arena_options = {.size = sizeof arena_options, .frame_size = 4096, .frame_count = 8};
    const jdb_pool_options options = {.size = sizeof options, .budget = f->budget};
    jdb_arena *arena = NULL;
    jdb_pool *pool = NULL;
    MUST(jdb_budget_set_max(f->budget, 1) == -EPERM);
    MUST(jdb_budget_get_stats(f->budget, &stats) == -EPERM);
    MUST(jdb_budget_free(f->budget) == -EPERM);
    MUST(jdb_arena_new(&arena_options, &arena) == 0);
    MUST(jdb_pool_new(arena, &options, &pool) == -EPERM);
    MUST(jdb_arena_free(arena) == 0);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_budget *budget = NULL;
    jdb_budget_stats stats = {.size = 8};
    char text[1000];
    assert_int_equal(jdb_budget_new(1, NULL), -EINVAL);
    assert_int_equal(jdb_budget_free(NULL), 0);
    assert_int_equal(jdb_budget_set_max(NULL, 1), -EINVAL);
    assert_int_equal(jdb_budget_get_stats(f.budget, NULL), -EINVAL);
    assert_int_equal(jdb_budget_get_stats(f.budget, &stats), -EINVAL);
    stats.size = sizeof stats;
    assert_int_equal(jdb_budget_get_stats(NULL, &stats), -EINVAL);
    faults_arm(OS_CALL_ALLOC, 0, -ENOMEM);
    assert_int_equal(jdb_budget_new(1, &budget), -ENOMEM);
    assert_true(faults_disarm());
    assert_null(budget);
    const int status = must_run_child(use_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    drop(&f);
}

static void memory_that_the_system_does_not_take_counts_on(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame small[FRAMES];
    jdb_frame large;
    get_n(f.pools[0], 256, small, sizes[0]);
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, 256), 0);
    faults_arm_all(OS_CALL_ADVISE, 0, -EINVAL);
    assert_int_equal(jdb_pool_get(f.pools[2], &large), -EAGAIN);
    assert_true(faults_disarm());
    assert_int_equal(stats_of(f.budget).used_bytes, MAX_BYTES);
    assert_int_equal(jdb_pool_get(f.pools[2], &large), 0);
    assert_int_equal(jdb_pool_put(f.pools[2], large), 0);
    assert_int_equal(jdb_pool_get_n(f.pools[0], 256, small), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, 256), 0);
    drop(&f);
}

/* ---- Model ------------------------------------------------------------------------------------------------ */

struct model {
    jdb_frame out[POOLS][FRAMES];
    uint32_t out_count[POOLS];
    uint64_t max_bytes;
};

static uint64_t model_lent_bytes(const struct model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < POOLS; i++)
        bytes += model->out_count[i] * sizes[i];
    return bytes;
}

/* Every byte that is not lent is there for any pool. */
static void model_get(const struct fixture *f, struct model *model, uint32_t pool, uint32_t n, bool is_run)
{
    jdb_frame frames[FRAMES];
    const bool has_frames = n <= FRAMES - model->out_count[pool];
    const bool has_bytes = model_lent_bytes(model) + n * sizes[pool] <= model->max_bytes;
    const int err = is_run ? jdb_pool_get_run(f->pools[pool], n, frames) : jdb_pool_get_n(f->pools[pool], n, frames);
    if (!(is_run && err == -ENOMEM))
        assert_int_equal(err, has_frames && has_bytes ? 0 : -EAGAIN);
    if (err != 0)
        return;
    memcpy(&model->out[pool][model->out_count[pool]], frames, n * sizeof frames[0]);
    model->out_count[pool] += n;
    for (uint32_t i = 0; i < n; i++)
        frames[i].ptr[0] = 1;
}

static void model_put(const struct fixture *f, struct model *model, uint32_t pool, uint32_t n, uint64_t *random)
{
    jdb_frame *const out = model->out[pool];
    n = n < model->out_count[pool] ? n : model->out_count[pool];
    for (uint32_t i = 0; i < n; i++) { /* random ones to the end */
        const uint32_t k = (uint32_t)random_below(random, model->out_count[pool] - i);
        const uint32_t last = model->out_count[pool] - 1 - i;
        const jdb_frame frame = out[k];
        out[k] = out[last];
        out[last] = frame;
    }
    model->out_count[pool] -= n;
    assert_int_equal(jdb_pool_put_n(f->pools[pool], &out[model->out_count[pool]], n), 0);
}

static void random_calls_agree_with_a_model(void **state)
{
    (void)state;
    uint64_t random = random_seed("pool_budget");
    for (uint64_t run = 0; run < tier_pick(5, 50, 1000); run++) {
        const struct fixture f = make();
        struct model model = {.max_bytes = MAX_BYTES};
        for (int step = 0; step < 400; step++) {
            const uint32_t pool = (uint32_t)random_below(&random, POOLS);
            const uint32_t n = (uint32_t)(1 + random_below(&random, random_below(&random, 4) == 0 ? 40 : 5));
            const uint64_t what = random_below(&random, 20);
            if (what < 10)
                model_get(&f, &model, pool, n, what == 0);
            else if (what < 19)
                model_put(&f, &model, pool, n, &random);
            else
                assert_int_equal(jdb_pool_trim(f.pools[pool], n, NULL), 0);
            const uint64_t used = stats_of(f.budget).used_bytes;
            assert_in_range(used, model_lent_bytes(&model), model.max_bytes);
        }
        for (uint32_t i = 0; i < POOLS; i++)
            model_put(&f, &model, i, FRAMES, &random);
        drop(&f);
    }
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

struct worker {
    const struct fixture *fixture;
    atomic_bool *stop;
    uint64_t seed;
};

static _Atomic uint64_t lent_bytes;

static void use_and_put(jdb_pool *pool, uint64_t frame_size, jdb_frame frame, uint64_t mark)
{
    const uint64_t lent = atomic_fetch_add(&lent_bytes, frame_size) + frame_size;
    MUST(lent <= MAX_BYTES);
    *(uint64_t *)(void *)frame.ptr = mark;
    *(uint64_t *)(void *)(frame.ptr + frame_size - 8) = mark;
    MUST(*(uint64_t *)(void *)frame.ptr == mark);
    MUST(*(uint64_t *)(void *)(frame.ptr + frame_size - 8) == mark);
    atomic_fetch_sub(&lent_bytes, frame_size);
    MUST(jdb_pool_put(pool, frame) == 0);
}

static void *get_and_wait_in_all_pools(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->seed;
    while (!atomic_load(me->stop)) {
        const uint32_t i = (uint32_t)random_below(&random, POOLS);
        jdb_pool *const pool = me->fixture->pools[i];
        jdb_frame frame;
        int err = jdb_pool_get(pool, &frame);
        if (err == -EAGAIN) /* holding none, for ever: whatever is free in another pool serves it */
            err = jdb_pool_get_wait(pool, 1, JDB_DEADLINE_NONE, NULL, &frame);
        MUST(err == 0);
        use_and_put(pool, sizes[i], frame, me->seed);
    }
    return NULL;
}

static void *get_many_and_trim(void *context)
{
    const struct worker *const me = context;
    uint64_t random = me->seed;
    jdb_frame frames[14];
    while (!atomic_load(me->stop)) {
        const uint32_t i = (uint32_t)random_below(&random, POOLS);
        jdb_pool *const pool = me->fixture->pools[i];
        const uint32_t n = (uint32_t)(1 + random_below(&random, 14));
        if (jdb_pool_get_n(pool, n, frames) == 0) {
            atomic_fetch_add(&lent_bytes, n * sizes[i]);
            nanosleep(&(struct timespec){0, 20000}, NULL);
            atomic_fetch_sub(&lent_bytes, n * sizes[i]);
            MUST(jdb_pool_put_n(pool, frames, n) == 0);
        }
        if (random_below(&random, 8) == 0) {
            const int err = jdb_pool_trim(pool, 3, NULL);
            MUST(err == 0 || err == -EBUSY);
        }
    }
    return NULL;
}

static void threads_of_all_pools_stay_within_the_budget(void **state)
{
    (void)state;
    const struct fixture f = make();
    atomic_bool stop = false;
    struct worker workers[6];
    pthread_t threads[6];
    atomic_store(&lent_bytes, 0);
    for (uint32_t i = 0; i < 6; i++) {
        workers[i] = (struct worker){&f, &stop, UINT64_C(1000000) * (i + 1)};
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < 3 ? get_and_wait_in_all_pools : get_many_and_trim, &workers[i]), 0);
    }
    const uint64_t end_ns = jdb_clock_ns() + tier_pick(400, 1500, 3000) * 1000000;
    while (jdb_clock_ns() < end_ns) {
        assert_in_range(stats_of(f.budget).used_bytes, 0, MAX_BYTES);
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(stats_of(f.budget).peak_bytes, 1, MAX_BYTES);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_pool_puts_another_gets),
        cmocka_unit_test(a_free_frame_that_nobody_else_needs_keeps_its_memory),
        cmocka_unit_test(a_run_is_paid_for_as_any_frames),
        cmocka_unit_test(a_trim_pays_back),
        cmocka_unit_test(held_frames_keep_their_memory_and_count),
        cmocka_unit_test(a_put_in_one_pool_serves_a_wait_in_another),
        cmocka_unit_test(what_ends_a_wait_wants_no_more),
        cmocka_unit_test(a_larger_budget_or_a_pool_less_serves_a_wait),
        cmocka_unit_test(a_smaller_budget_takes_free_frames_only),
        cmocka_unit_test(arenas_that_cannot_give_back_are_refused),
        cmocka_unit_test(memory_of_an_earlier_user_is_given_back),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(memory_that_the_system_does_not_take_counts_on),
        cmocka_unit_test(random_calls_agree_with_a_model),
        cmocka_unit_test(threads_of_all_pools_stay_within_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
