/* SPDX-License-Identifier: MIT
 *
 * pool_test.c - the contract of jdb_pool on one thread, threads that end, fork(), and a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "base/memcheck.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define FRAMES 100u

struct fixture {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_frame lent[3]; /* for tests that use them */
};

static jdb_arena *make_arena(uint64_t frame_size, uint32_t frame_count, uint32_t max_frame_count)
{
    jdb_arena_options options = {.size = sizeof options, .frame_size = frame_size, .frame_count = frame_count};
    options.max_frame_count = max_frame_count;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    return arena;
}

static struct fixture make_with(uint32_t frame_count, const jdb_pool_options *options)
{
    struct fixture f = {.arena = make_arena(4096, frame_count, 0)};
    assert_int_equal(jdb_pool_new(f.arena, options, &f.pool), 0);
    return f;
}

static struct fixture make(void)
{
    return make_with(FRAMES, NULL);
}

static void drop(struct fixture f)
{
    assert_int_equal(jdb_pool_free(f.pool), 0);
    assert_int_equal(jdb_arena_free(f.arena), 0);
}

static jdb_pool_stats stats_of(jdb_pool *pool)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    assert_int_equal(jdb_pool_get_stats(pool, &stats), 0);
    return stats;
}

/* ---- Get and put ------------------------------------------------------------------------------------------ */

static void every_frame_is_lent_once_and_then_none(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[FRAMES];
    bool seen[FRAMES] = {false};
    for (uint32_t i = 0; i < FRAMES; i++) {
        assert_int_equal(jdb_pool_get(f.pool, &frames[i]), 0);
        assert_true(frames[i].index < FRAMES);
        assert_false(seen[frames[i].index]);
        seen[frames[i].index] = true;
        assert_ptr_equal(frames[i].ptr, jdb_arena_base(f.arena) + frames[i].index * 4096);
        memset(frames[i].ptr, (int)i, 4096);
    }
    jdb_frame more = {.ptr = NULL, .index = 12345, .gen = 7};
    assert_int_equal(jdb_pool_get(f.pool, &more), -EAGAIN);
    assert_null(more.ptr);
    assert_int_equal(more.index, 12345);
    assert_int_equal(more.gen, 7);
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_int_equal(jdb_pool_put(f.pool, frames[i]), 0);
    drop(f);
}

static void many_are_got_and_put_together_or_not_at_all(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[FRAMES + 1];
    memset(frames, 0x5a, sizeof frames);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES + 1, frames), -ERANGE);
    assert_int_equal(jdb_pool_get_n(f.pool, 0, frames), 0);
    assert_int_equal(jdb_pool_get_n(f.pool, 60, frames), 0);
    memset(&frames[60], 0x5a, sizeof frames[0] * 41);
    assert_int_equal(jdb_pool_get_n(f.pool, 41, &frames[60]), -EAGAIN);
    for (const uint8_t *byte = (uint8_t *)&frames[60]; byte < (uint8_t *)&frames[FRAMES + 1]; byte++)
        assert_int_equal(*byte, 0x5a);
    assert_int_equal(jdb_pool_get_n(f.pool, 40, &frames[60]), 0);
    const jdb_frame twice[3] = {frames[0], frames[1], frames[0]};
    assert_int_equal(jdb_pool_put_n(f.pool, twice, 3), -ESTALE);
    assert_int_equal(stats_of(f.pool).lent_count, FRAMES);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 0), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, FRAMES), 0);
    assert_int_equal(stats_of(f.pool).lent_count, 0);
    assert_int_equal(jdb_pool_get_n(f.pool, FRAMES, frames), 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, FRAMES), 0);
    drop(f);
}

/* ---- What a wrong put returns ----------------------------------------------------------------------------- */

static void a_wrong_put_is_detected_and_harms_nothing(void **state)
{
    (void)state;
    const struct fixture f = make();
    const struct fixture other = make();
    jdb_frame frame;
    jdb_frame foreign;
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    assert_int_equal(jdb_pool_get(other.pool, &foreign), 0);
    assert_int_equal(jdb_pool_put(f.pool, foreign), -EXDEV);

    uint8_t outside[16] = {0};
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){outside, frame.index, frame.gen}), -EINVAL);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){NULL, 0, 0}), -EINVAL);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr + 1, frame.index, frame.gen}), -EINVAL);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr, frame.index + 1, frame.gen}), -EINVAL);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr, FRAMES, frame.gen}), -ERANGE);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr, frame.index, 1}), -EINVAL);
    assert_int_equal(jdb_pool_put(f.pool, (jdb_frame){frame.ptr, frame.index, frame.gen + 1}), -ESTALE);

    assert_int_equal(jdb_pin(frame.ptr, 4096), 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), -EBUSY);
    assert_int_equal(jdb_unpin(frame.ptr, 4096), 0);
    assert_int_equal(stats_of(f.pool).refused_count, 9);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), -ESTALE);
    assert_int_equal(stats_of(f.pool).lent_count, 0);

    jdb_frame again;
    assert_int_equal(jdb_pool_get(f.pool, &again), 0);
    assert_int_equal(again.index, frame.index);
    assert_int_not_equal(again.gen, frame.gen);
    assert_int_equal(jdb_pool_put(f.pool, frame), -ESTALE);
    assert_int_equal(jdb_pool_put(f.pool, again), 0);
    assert_int_equal(jdb_pool_put(other.pool, foreign), 0);
    drop(f);
    drop(other);
}

static bool is_empty_view(jdb_raw view)
{
    return view.ptr == NULL && view.len == 0 && view.cap == 0;
}

static void a_handle_gives_the_view_of_its_frame(void **state)
{
    (void)state;
    struct fixture f = {.arena = make_arena(4120, 4, 8)}; /* stride 8192: a view ends before the stride does */
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    const struct fixture other = make();
    jdb_frame frame;
    jdb_frame foreign;
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    assert_int_equal(jdb_pool_get(other.pool, &foreign), 0);
    const jdb_raw view = jdb_pool_view(f.pool, frame);
    assert_ptr_equal(view.ptr, frame.ptr);
    assert_int_equal(view.len, 0);
    assert_int_equal(view.cap, 4120);
    assert_int_equal(jdb_pin(frame.ptr, 4120), 0); /* a pin is for a view */
    assert_ptr_equal(jdb_pool_view(f.pool, frame).ptr, frame.ptr);
    assert_int_equal(jdb_unpin(frame.ptr, 4120), 0);

    const jdb_frame wrong[] = {
        foreign,
        {NULL, 0, 0},
        {NULL, frame.index, frame.gen},
        {frame.ptr + 1, frame.index, frame.gen},
        {frame.ptr, frame.index + 1, frame.gen},
        {jdb_arena_base(f.arena) + UINT32_C(4) * 8192, 4, frame.gen}, /* not the pool's yet */
        {frame.ptr, UINT32_MAX, frame.gen},
        {frame.ptr, frame.index, frame.gen + 1},
        {jdb_arena_base(f.arena) + UINT32_C(3) * 8192, 3, 0}, /* never lent, as its generation says */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_true(is_empty_view(jdb_pool_view(f.pool, wrong[i])));
    assert_true(is_empty_view(jdb_pool_view(NULL, frame)));
    assert_int_equal(stats_of(f.pool).refused_count, 0);

    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_true(is_empty_view(jdb_pool_view(f.pool, frame)));
    assert_true(is_empty_view(jdb_pool_view(f.pool, (jdb_frame){frame.ptr, frame.index, frame.gen - 0x7fffffffu})));
    jdb_frame again;
    assert_int_equal(jdb_pool_get(f.pool, &again), 0);
    assert_ptr_equal(again.ptr, frame.ptr);
    assert_true(is_empty_view(jdb_pool_view(f.pool, frame)));
    assert_ptr_equal(jdb_pool_view(f.pool, again).ptr, again.ptr);
    assert_int_equal(jdb_pool_put(f.pool, again), 0);
    assert_int_equal(jdb_pool_put(other.pool, foreign), 0);
    drop(f);
    drop(other);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frame;
    jdb_pool *pool = NULL;
    assert_int_equal(jdb_pool_get(NULL, &frame), -EINVAL);
    assert_int_equal(jdb_pool_get(f.pool, NULL), -EINVAL);
    assert_int_equal(jdb_pool_get_n(NULL, 1, &frame), -EINVAL);
    assert_int_equal(jdb_pool_get_n(f.pool, 1, NULL), -EINVAL);
    assert_int_equal(jdb_pool_put(NULL, (jdb_frame){NULL, 0, 0}), -EINVAL);
    assert_int_equal(jdb_pool_put_n(NULL, &frame, 1), -EINVAL);
    assert_int_equal(jdb_pool_put_n(f.pool, NULL, 1), -EINVAL);
    assert_int_equal(jdb_pool_new(NULL, NULL, &pool), -EINVAL);
    assert_int_equal(jdb_pool_new(f.arena, NULL, NULL), -EINVAL);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &pool), -EBUSY);
    assert_int_equal(jdb_pool_extend(NULL, NULL), -EINVAL);
    assert_int_equal(jdb_pool_free(NULL), 0);
    assert_int_equal(jdb_pool_get_stats(f.pool, NULL), -EINVAL);
    jdb_pool_stats stats = {.size = 4};
    assert_int_equal(jdb_pool_get_stats(f.pool, &stats), -EINVAL);
    assert_int_equal(jdb_pool_get_wait(NULL, 1, 0, NULL, &frame), -EINVAL);
    assert_int_equal(jdb_pool_wait_start(f.pool, NULL, 1, &frame), -EINVAL);
    assert_int_equal(jdb_pool_wait_cancel(f.pool, NULL), -EINVAL);
    assert_false(jdb_pool_next_lent(NULL, NULL, NULL));
    assert_null(pool);
    drop(f);
}

static void options_are_checked(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(4096, FRAMES, 0);
    jdb_pool *pool = NULL;
    jdb_pool_options options = {.size = 0};
    assert_int_equal(jdb_pool_new(arena, &options, &pool), -EINVAL);
    options.size = sizeof options;
    options.zero_policy = 3;
    assert_int_equal(jdb_pool_new(arena, &options, &pool), -EINVAL);
    options.zero_policy = JDB_POOL_ZERO_NEVER;
    options.reserved[3] = 1;
    assert_int_equal(jdb_pool_new(arena, &options, &pool), -E2BIG);
    assert_null(pool);
    options.reserved[3] = 0;
    assert_int_equal(jdb_pool_new(arena, &options, &pool), 0);
    drop((struct fixture){.arena = arena, .pool = pool});
}

/* A caller of any version: what it lacks is the default, what it has beyond this version must be 0. */
static void options_of_every_size_are_read(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(4096, FRAMES, 0);
    uint32_t words[sizeof(jdb_pool_options) / sizeof(uint32_t) + 4] = {0};
    for (uint32_t size = 0; size <= sizeof words; size++) {
        jdb_pool *pool = NULL;
        words[0] = size;
        const int err = jdb_pool_new(arena, (const jdb_pool_options *)(const void *)words, &pool);
        assert_int_equal(err, size < 12 ? -EINVAL : 0);
        assert_int_equal(jdb_pool_free(pool), 0);
    }
    words[0] = sizeof words;
    for (size_t i = offsetof(jdb_pool_options, reserved) / sizeof words[0]; i < sizeof words / sizeof words[0]; i++) {
        jdb_pool *pool = NULL;
        words[i] = 1;
        assert_int_equal(jdb_pool_new(arena, (const jdb_pool_options *)(const void *)words, &pool), -E2BIG);
        assert_null(pool);
        words[i] = 0;
    }
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void stats_of_every_size_are_written(void **state)
{
    (void)state;
    const struct fixture f = make();
    uint8_t bytes[sizeof(jdb_pool_stats) + 16];
    const jdb_pool_stats whole = stats_of(f.pool);
    for (uint32_t size = 0; size <= sizeof bytes; size++) {
        memset(bytes, 0xee, sizeof bytes);
        memcpy(bytes, &size, sizeof size);
        assert_int_equal(jdb_pool_get_stats(f.pool, (jdb_pool_stats *)(void *)bytes), size < 24 ? -EINVAL : 0);
        assert_memory_equal(bytes, &size, sizeof size);
        for (size_t i = sizeof size; i < sizeof bytes; i++) {
            const bool is_written = size >= 24 && i < size;
            const uint8_t known = i < sizeof whole ? ((const uint8_t *)&whole)[i] : 0;
            assert_int_equal(bytes[i], is_written ? known : 0xee);
        }
    }
    drop(f);
}

#ifdef JDB_ASAN
static void the_sanitizer_knows_what_is_free(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[2];
    assert_int_equal(jdb_pool_get_n(f.pool, 2, frames), 0);
    assert_null(memcheck_find_free(frames[0].ptr, 4096, false));
    assert_int_equal(jdb_pool_put(f.pool, frames[0]), 0);
    assert_ptr_equal(memcheck_find_free(frames[0].ptr, 4096, false), frames[0].ptr);
    const jdb_frame wrong[2] = {frames[1], frames[0]};
    assert_int_equal(jdb_pool_put_n(f.pool, wrong, 2), -ESTALE);
    assert_null(memcheck_find_free(frames[1].ptr, 4096, false));
    assert_int_equal(jdb_pool_put(f.pool, frames[1]), 0);
    uint8_t *const base = jdb_arena_base(f.arena);
    assert_int_equal(jdb_pool_free(f.pool), 0);
    assert_null(memcheck_find_free(base, (size_t)FRAMES * 4096, false));
    assert_int_equal(jdb_arena_free(f.arena), 0);
}
#endif

/* ---- Zero on reuse ---------------------------------------------------------------------------------------- */

static void zeroing_follows_the_policy(void **state)
{
    (void)state;
    for (uint32_t policy = JDB_POOL_ZERO_NEVER; policy <= JDB_POOL_ZERO_ALWAYS; policy++) {
        const jdb_pool_options options = {.size = sizeof options, .zero_policy = policy};
        jdb_arena *const arena = make_arena(4120, 4, 0);
        jdb_pool *pool = NULL;
        assert_int_equal(jdb_pool_new(arena, &options, &pool), 0);
        jdb_frame frames[4];
        for (uint32_t count = 1; count <= 4; count += 3) {
            assert_int_equal(jdb_pool_get_n(pool, count, frames), 0);
            for (uint32_t i = 0; i < count; i++)
                memset(frames[i].ptr, 0xff, 8192);
            assert_int_equal(jdb_pool_put_n(pool, frames, count), 0);
            assert_int_equal(count == 1 ? jdb_pool_get(pool, frames) : jdb_pool_get_n(pool, count, frames), 0);
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(frames[i].ptr[0], policy == JDB_POOL_ZERO_ALWAYS ? 0 : 0xff);
                assert_int_equal(frames[i].ptr[4119], policy == JDB_POOL_ZERO_ALWAYS ? 0 : 0xff);
                assert_int_equal(frames[i].ptr[4120], policy == JDB_POOL_ZERO_NEVER ? 0xff : 0);
                assert_int_equal(frames[i].ptr[8191], policy == JDB_POOL_ZERO_NEVER ? 0xff : 0);
            }
            assert_int_equal(jdb_pool_put_n(pool, frames, count), 0);
        }
        drop((struct fixture){.arena = arena, .pool = pool});
    }
}

/* ---- Close and grow --------------------------------------------------------------------------------------- */

/* It shares its pages with others, so a part of it is zeroed: a sanitizer must not take that for a use. */
static void a_free_frame_may_be_decommitted(void **state)
{
    (void)state;
    struct fixture f = {.arena = make_arena(4608, FRAMES, 0)};
    jdb_frame frame;
    uint64_t bytes = 0;
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    memset(frame.ptr, 7, 4608);
    const uint32_t index = frame.index;
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    assert_int_equal(jdb_arena_decommit(f.arena, index, 1, &bytes), 0);
    assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
    assert_int_equal(frame.index, index);
    for (size_t i = 0; i < 4608; i++)
        assert_int_equal(frame.ptr[i], 0);
    assert_int_equal(jdb_pool_put(f.pool, frame), 0);
    drop(f);
}

static void closing_says_what_is_lent(void **state)
{
    (void)state;
    const struct fixture f = make();
    jdb_frame frames[3];
    assert_int_equal(jdb_pool_get_n(f.pool, 3, frames), 0);
    assert_int_equal(jdb_pool_put(f.pool, frames[1]), 0);
    assert_int_equal(jdb_pool_free(f.pool), -EBUSY);
    uint32_t cursor = 0;
    uint32_t found = 0;
    jdb_frame lent;
    while (jdb_pool_next_lent(f.pool, &cursor, &lent)) {
        assert_int_not_equal(lent.index, frames[1].index);
        assert_int_equal(jdb_pool_put(f.pool, lent), 0);
        found++;
    }
    assert_int_equal(found, 2);
    assert_int_equal(jdb_pool_put(f.pool, frames[0]), -ESTALE);
    drop(f);
}

static void a_pool_follows_its_arena(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(4096, 3, 200);
    jdb_pool *pool = NULL;
    assert_int_equal(jdb_pool_new(arena, NULL, &pool), 0);
    jdb_frame frames[200];
    assert_int_equal(jdb_pool_get_n(pool, 3, frames), 0);
    assert_int_equal(jdb_arena_grow(arena, 200), 0);
    assert_int_equal(jdb_pool_get(pool, &frames[3]), -EAGAIN);
    uint32_t frame_count = 0;
    assert_int_equal(jdb_pool_extend(pool, &frame_count), 0);
    assert_int_equal(frame_count, 200);
    assert_int_equal(jdb_pool_get_n(pool, 197, &frames[3]), 0);
    assert_int_equal(jdb_pool_get(pool, frames), -EAGAIN);
    assert_int_equal(jdb_pool_put_n(pool, frames, 200), 0);
    drop((struct fixture){.arena = arena, .pool = pool});
}

static void handles_of_an_earlier_pool_are_stale(void **state)
{
    (void)state;
    struct fixture f = make();
    jdb_frame old;
    assert_int_equal(jdb_pool_get(f.pool, &old), 0);
    assert_int_equal(jdb_pool_put(f.pool, old), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(jdb_pool_free(f.pool), 0);
        assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
        jdb_frame frame;
        assert_int_equal(jdb_pool_get(f.pool, &frame), 0);
        assert_int_equal(frame.index, old.index);
        assert_int_equal(jdb_pool_put(f.pool, old), -ESTALE);
        assert_int_equal(jdb_pool_put(f.pool, frame), 0);
        old = frame;
    }
    drop(f);
}

/* More pools at once than a thread has slots for: its caches are found again, no frame is lost. */
static void a_thread_uses_many_pools(void **state)
{
    (void)state;
    struct fixture pools[40];
    for (int i = 0; i < 40; i++)
        pools[i] = make_with(10, NULL);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 40; i++) {
            jdb_frame frames[10];
            for (int k = 0; k < 10; k++)
                assert_int_equal(jdb_pool_get(pools[i].pool, &frames[k]), 0);
            for (int k = 0; k < 10; k++)
                assert_int_equal(jdb_pool_put(pools[i].pool, frames[k]), 0);
            assert_int_equal(stats_of(pools[i].pool).thread_count, 1);
        }
    for (int i = 0; i < 40; i++)
        drop(pools[i]);
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

struct visit {
    jdb_pool *pool;
    pthread_barrier_t filled;
    pthread_barrier_t leave;
};

static void *fill_a_cache(void *context)
{
    struct visit *const visit = context;
    jdb_frame frames[40];
    MUST(jdb_pool_get_n(visit->pool, 40, frames) == 0);
    for (int i = 0; i < 40; i++)
        MUST(jdb_pool_put(visit->pool, frames[i]) == 0);
    pthread_barrier_wait(&visit->filled);
    pthread_barrier_wait(&visit->leave);
    return NULL;
}

static void begin_visit(struct visit *visit, jdb_pool *pool, pthread_t *ret_thread)
{
    visit->pool = pool;
    pthread_barrier_init(&visit->filled, NULL, 2);
    pthread_barrier_init(&visit->leave, NULL, 2);
    assert_int_equal(pthread_create(ret_thread, NULL, fill_a_cache, visit), 0);
    pthread_barrier_wait(&visit->filled);
}

static void end_visit(struct visit *visit, pthread_t thread)
{
    pthread_barrier_wait(&visit->leave);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&visit->filled);
    pthread_barrier_destroy(&visit->leave);
}

static void frames_are_taken_from_the_cache_of_an_idle_thread(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .thread_frames = 64};
    const struct fixture f = make_with(64, &options);
    struct visit visit;
    pthread_t thread;
    begin_visit(&visit, f.pool, &thread);
    const bool has_caches = jdb__os_membarrier_register() == 0; /* else all frames are where everybody finds them */
    assert_int_equal(stats_of(f.pool).cached_count > 0, has_caches);
    jdb_frame frames[64];
    for (int i = 0; i < 64; i++)
        assert_int_equal(jdb_pool_get(f.pool, &frames[i]), 0);
    assert_int_equal(jdb_pool_get(f.pool, frames), -EAGAIN);
    assert_int_equal(stats_of(f.pool).steal_count, has_caches);
    assert_int_equal(stats_of(f.pool).lent_count, 64);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 64), 0);
    end_visit(&visit, thread);
    drop(f);
}

static void a_thread_that_ends_returns_its_cache(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .thread_frames = 64};
    const struct fixture f = make_with(64, &options);
    for (int i = 0; i < 10; i++) {
        struct visit visit;
        pthread_t thread;
        begin_visit(&visit, f.pool, &thread);
        assert_int_equal(stats_of(f.pool).thread_count, 1);
        end_visit(&visit, thread);
        assert_int_equal(stats_of(f.pool).cached_count, 0);
        assert_int_equal(stats_of(f.pool).thread_count, 0);
    }
    jdb_frame frames[64];
    assert_int_equal(jdb_pool_get_n(f.pool, 64, frames), 0);
    assert_int_equal(stats_of(f.pool).steal_count, 0);
    assert_int_equal(jdb_pool_put_n(f.pool, frames, 64), 0);
    drop(f);
}

/* Two frames: one goes in and out of the cache of a busy thread, the other lies in that of a calm one when it is not ours. */
struct seek {
    jdb_pool *pool;
    jdb_frame found;
    atomic_int turn; /* 0: ours; 1: the calm one puts what was found; 2: it has no cache yet */
    atomic_bool is_over;
};

static void *put_what_was_found(void *context)
{
    struct seek *const seek = context;
    jdb_frame frame;
    MUST(jdb_pool_get(seek->pool, &frame) == 0);
    MUST(jdb_pool_put(seek->pool, frame) == 0);
    atomic_store(&seek->turn, 0);
    while (!atomic_load(&seek->is_over))
        if (atomic_load(&seek->turn) == 1) {
            MUST(jdb_pool_put(seek->pool, seek->found) == 0);
            atomic_store(&seek->turn, 0);
        } else {
            sched_yield();
        }
    return NULL;
}

static void *get_and_put(void *context)
{
    struct seek *const seek = context;
    jdb_frame frame;
    while (!atomic_load(&seek->is_over))
        if (jdb_pool_get(seek->pool, &frame) == 0)
            MUST(jdb_pool_put(seek->pool, frame) == 0);
    return NULL;
}

static void a_frame_that_lies_in_some_cache_is_found(void **state)
{
    (void)state;
    const jdb_pool_options options = {.size = sizeof options, .thread_frames = 2};
    const struct fixture f = make_with(2, &options);
    struct seek seek = {.pool = f.pool, .turn = 2};
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, put_what_was_found, &seek), 0);
    while (atomic_load(&seek.turn) != 0)
        sched_yield();
    assert_int_equal(pthread_create(&threads[1], NULL, get_and_put, &seek), 0);
    uint64_t missed = 0;
    for (uint64_t i = 0; i < tier_pick(1000, 3000, 100000); i++)
        if (jdb_pool_get(f.pool, &seek.found) == 0) {
            atomic_store(&seek.turn, 1);
            while (atomic_load(&seek.turn) != 0)
                sched_yield();
        } else {
            missed++;
        }
    atomic_store(&seek.is_over, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_int_equal(missed, 0);
    drop(f);
}

/* The thread's cache was the old pool's; a new pool, often at the same address, must not meet it. */
static void a_thread_outlives_its_pool(void **state)
{
    (void)state;
    struct fixture f = make_with(64, NULL);
    for (int i = 0; i < 20; i++) {
        struct visit visit;
        pthread_t thread;
        begin_visit(&visit, f.pool, &thread);
        assert_int_equal(jdb_pool_free(f.pool), 0);
        assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
        jdb_frame frames[64];
        assert_int_equal(jdb_pool_get_n(f.pool, 64, frames), 0);
        assert_int_equal(jdb_pool_put_n(f.pool, frames, 64), 0);
        end_visit(&visit, thread);
        assert_int_equal(jdb_pool_get_n(f.pool, 64, frames), 0);
        assert_int_equal(jdb_pool_put_n(f.pool, frames, 64), 0);
    }
    drop(f);
}

#ifdef JDB_CHECKED
struct put_race {
    jdb_pool *pool;
    jdb_frame frame;
    pthread_barrier_t start;
    int result;
};

static void *put_in_race(void *context)
{
    struct put_race *const race = context;
    pthread_barrier_wait(&race->start);
    race->result = jdb_pool_put(race->pool, race->frame);
    return NULL;
}

static void two_threads_that_put_one_frame_are_detected(void **state)
{
    (void)state;
    const struct fixture f = make();
    for (int i = 0; i < 1000; i++) {
        struct put_race race = {.pool = f.pool};
        pthread_t thread;
        assert_int_equal(jdb_pool_get(f.pool, &race.frame), 0);
        pthread_barrier_init(&race.start, NULL, 2);
        assert_int_equal(pthread_create(&thread, NULL, put_in_race, &race), 0);
        pthread_barrier_wait(&race.start);
        const int result = jdb_pool_put(f.pool, race.frame);
        pthread_join(thread, NULL);
        pthread_barrier_destroy(&race.start);
        assert_int_equal(result + race.result, -ESTALE);
        assert_int_equal(stats_of(f.pool).lent_count, 0);
    }
    drop(f);
}
#endif

/* ---- Fork ------------------------------------------------------------------------------------------------- */

static void use_in_child(void *context)
{
    const struct fixture *const f = context;
    jdb_frame frames[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
    jdb_pool *pool = NULL;
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    jdb_pool_wait wait;
    uint32_t cursor = 0;
    jdb_pool_wait_init(&wait, NULL, NULL);
    MUST(jdb_pool_get(f->pool, frames) == -EPERM);
    MUST(jdb_pool_get_n(f->pool, 2, frames) == -EPERM);
    MUST(jdb_pool_get_wait(f->pool, 1, JDB_DEADLINE_NONE, NULL, frames) == -EPERM);
    MUST(jdb_pool_put(f->pool, f->lent[0]) == -EPERM);
    MUST(jdb_pool_put(f->pool, f->lent[0]) == -EPERM);
    MUST(jdb_pool_put_n(f->pool, &f->lent[1], 2) == -EPERM);
    MUST(jdb_pool_get(f->pool, frames) == -EPERM);
    MUST(jdb_pool_wait_cancel(f->pool, &wait) == -EPERM);
    MUST(jdb_pool_get_stats(f->pool, &stats) == -EPERM);
    MUST(jdb_pool_extend(f->pool, NULL) == -EPERM);
    MUST(!jdb_pool_next_lent(f->pool, &cursor, frames));
    MUST(jdb_pool_new(f->arena, NULL, &pool) == -EPERM);
    MUST(jdb_pool_free(f->pool) == -EPERM);
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = 8};
    jdb_arena *arena = NULL;
    MUST(jdb_arena_new(&options, &arena) == 0);
    MUST(jdb_pool_new(arena, NULL, &pool) == 0);
    MUST(jdb_pool_get_n(pool, 2, frames) == 0);
    MUST(jdb_pool_put_n(pool, frames, 2) == 0);
    MUST(jdb_pool_free(pool) == 0);
    MUST(jdb_arena_free(arena) == 0);
}

static void *lend(void *context)
{
    struct fixture *const f = context;
    MUST(jdb_pool_get_n(f->pool, 3, f->lent) == 0);
    return NULL;
}

/* The thread that forks has used the pool, or never has. */
static void fork_and_use(struct fixture f, bool has_used)
{
    char text[1000];
    pthread_t thread;
    if (has_used) {
        lend(&f);
    } else {
        assert_int_equal(pthread_create(&thread, NULL, lend, &f), 0);
        pthread_join(thread, NULL);
    }
    const int status = must_run_child(use_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    assert_int_equal(jdb_pool_put_n(f.pool, f.lent, 3), 0);
    drop(f);
}

static void a_child_of_fork_is_refused(void **state)
{
    (void)state;
    fork_and_use(make(), true);
    fork_and_use(make(), false);
}

static void *make_until_it_works(void *context)
{
    struct fixture *const f = context;
    int err = -EBUSY;
    while (err == -EBUSY)
        err = jdb_pool_new(f->arena, NULL, &f->pool);
    MUST(err == 0);
    return NULL;
}

static void a_pool_made_while_another_is_freed_is_known(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < tier_pick(100, 500, 20000); i++) {
        const struct fixture first = make();
        struct fixture second = {.arena = first.arena};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, make_until_it_works, &second), 0);
        assert_int_equal(jdb_pool_free(first.pool), 0);
        pthread_join(thread, NULL);
        assert_int_equal(jdb_arena_free(first.arena), -EBUSY);
        drop(second);
    }
}

/* Linux before 4.14, and emulators. */
static void a_child_of_fork_is_refused_where_memory_is_not_wiped(void **state)
{
    (void)state;
    for (int has_used = 0; has_used < 2; has_used++) {
        jdb_arena *const arena = make_arena(4096, FRAMES, 0);
        struct fixture f = {.arena = arena};
        faults_arm_all(OS_CALL_ADVISE, 0, -EINVAL);
        assert_int_equal(jdb_pool_new(arena, NULL, &f.pool), 0);
        assert_true(faults_disarm());
        fork_and_use(f, has_used != 0);
    }
}

static void free_in_child(void *context)
{
    const struct fixture *const f = context;
    jdb_pool *pool = NULL;
    jdb_frame frame;
    MUST(jdb_pool_get(f->pool, &frame) == -EPERM);
    MUST(jdb_pool_new(f->arena, NULL, &pool) == 0);
    MUST(jdb_arena_free(f->arena) == -EBUSY);
    MUST(jdb_pool_get(pool, &frame) == 0);
    MUST(jdb_pool_put(pool, frame) == 0);
    MUST(jdb_pool_free(pool) == 0);
    MUST(jdb_arena_free(f->arena) == 0);
}

static void a_child_that_keeps_the_arena_may_pool_and_free_it(void **state)
{
    (void)state;
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = FRAMES};
    options.flags = JDB_ARENA_KEEP_ON_FORK;
    struct fixture f = {.arena = NULL};
    char text[1000];
    assert_int_equal(jdb_arena_new(&options, &f.arena), 0);
    assert_int_equal(jdb_pool_new(f.arena, NULL, &f.pool), 0);
    const int status = must_run_child(free_in_child, &f, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
    assert_int_equal(jdb_arena_free(f.arena), -EBUSY);
    drop(f);
}

/* ---- Faults ----------------------------------------------------------------------------------------------- */

static void without_memory_a_pool_is_not_made(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(4096, FRAMES, 0);
    unsigned failures = 0;
    for (unsigned n = 0;; n++) {
        jdb_pool *pool = NULL;
        faults_arm(FAULTS_ANY, n, -ENOMEM);
        const int err = jdb_pool_new(arena, NULL, &pool);
        if (!faults_disarm()) {
            assert_int_equal(err, 0);
            assert_int_equal(jdb_pool_free(pool), 0);
            break;
        }
        if (err == 0) { /* what it can do without: a wiped page, the membarrier */
            assert_int_equal(jdb_pool_free(pool), 0);
            continue;
        }
        assert_int_equal(err, -ENOMEM);
        assert_null(pool);
        failures++;
    }
    assert_int_equal(failures, 3); /* its addresses, its memory, its place in the list */
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void *use_without_memory(void *context)
{
    const struct fixture *const f = context;
    jdb_frame frames[FRAMES];
    for (uint32_t i = 0; i < FRAMES; i++)
        MUST(jdb_pool_get(f->pool, &frames[i]) == 0);
    MUST(jdb_pool_get(f->pool, frames) == -EAGAIN);
    for (uint32_t i = 0; i < FRAMES; i++)
        MUST(jdb_pool_put(f->pool, frames[i]) == 0);
    MUST(jdb_pool_get_n(f->pool, FRAMES, frames) == 0);
    MUST(jdb_pool_put_n(f->pool, frames, FRAMES) == 0);
    return NULL;
}

static void without_memory_for_a_cache_a_thread_goes_without(void **state)
{
    (void)state;
    struct fixture f = make();
    for (unsigned after = 0; after < 2; after++) {
        pthread_t thread;
        faults_arm_all(OS_CALL_ALLOC, after, -ENOMEM);
        assert_int_equal(pthread_create(&thread, NULL, use_without_memory, &f), 0);
        pthread_join(thread, NULL);
        assert_true(faults_disarm());
        assert_int_equal(stats_of(f.pool).thread_count, 0);
    }
    assert_int_equal(stats_of(f.pool).got_count, stats_of(f.pool).put_count);
    drop(f);
}

static void without_a_membarrier_every_call_takes_the_lock(void **state)
{
    (void)state;
    faults_arm(OS_CALL_BARRIER, 0, -ENOSYS);
    struct fixture f = make();
    assert_true(faults_disarm());
    use_without_memory(&f);
    assert_int_equal(stats_of(f.pool).cached_count, 0);
    drop(f);
}

/* ---- Model ------------------------------------------------------------------------------------------------ */

/* Random calls against a list of the handles that are out. */
static void random_calls_agree_with_a_model(void **state)
{
    (void)state;
    uint64_t random = random_seed("pool");
    for (uint64_t run = 0; run < tier_pick(20, 200, 5000); run++) {
        const uint32_t frame_count = (uint32_t)(1 + random_below(&random, 300));
        const jdb_pool_options options = {.size = sizeof options, .thread_frames = (uint32_t)random_below(&random, 70)};
        const struct fixture f = make_with(frame_count, &options);
        jdb_frame out[300];
        uint32_t out_count = 0;
        uint64_t got = 0;
        for (int step = 0; step < 500; step++) {
            const uint32_t n = (uint32_t)random_below(&random, random_below(&random, 4) == 0 ? frame_count + 1 : 4);
            if (random_below(&random, 2) == 0) {
                const bool fits = n <= frame_count - out_count;
                const int err = n == 1 ? jdb_pool_get(f.pool, &out[out_count])
                                       : jdb_pool_get_n(f.pool, n, &out[out_count < 299 ? out_count : 299]);
                assert_int_equal(err, fits ? 0 : n > frame_count ? -ERANGE : -EAGAIN);
                out_count += fits ? n : 0;
                got += fits ? n : 0;
            } else if (n <= out_count) {
                for (uint32_t i = 0; i < n; i++) { /* n random ones to the end */
                    const uint32_t k = (uint32_t)random_below(&random, out_count - i);
                    const jdb_frame frame = out[k];
                    out[k] = out[out_count - 1 - i];
                    out[out_count - 1 - i] = frame;
                }
                out_count -= n;
                assert_int_equal(jdb_pool_put_n(f.pool, &out[out_count], n), 0);
                if (n > 0)
                    assert_int_equal(jdb_pool_put(f.pool, out[out_count]), -ESTALE);
            }
            assert_int_equal(stats_of(f.pool).lent_count, out_count);
        }
        assert_int_equal(stats_of(f.pool).got_count, got);
        assert_int_equal(jdb_pool_put_n(f.pool, out, out_count), 0);
        drop(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_is_lent_once_and_then_none),
        cmocka_unit_test(many_are_got_and_put_together_or_not_at_all),
        cmocka_unit_test(a_wrong_put_is_detected_and_harms_nothing),
        cmocka_unit_test(a_handle_gives_the_view_of_its_frame),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(options_of_every_size_are_read),
        cmocka_unit_test(stats_of_every_size_are_written),
#ifdef JDB_ASAN
        cmocka_unit_test(the_sanitizer_knows_what_is_free),
#endif
        cmocka_unit_test(zeroing_follows_the_policy),
        cmocka_unit_test(a_free_frame_may_be_decommitted),
        cmocka_unit_test(closing_says_what_is_lent),
        cmocka_unit_test(a_pool_follows_its_arena),
        cmocka_unit_test(handles_of_an_earlier_pool_are_stale),
        cmocka_unit_test(a_thread_uses_many_pools),
        cmocka_unit_test(frames_are_taken_from_the_cache_of_an_idle_thread),
        cmocka_unit_test(a_thread_that_ends_returns_its_cache),
        cmocka_unit_test(a_thread_outlives_its_pool),
#ifdef JDB_CHECKED
        cmocka_unit_test(two_threads_that_put_one_frame_are_detected),
#endif
        cmocka_unit_test(a_pool_made_while_another_is_freed_is_known),
        cmocka_unit_test(a_child_of_fork_is_refused),
        cmocka_unit_test(a_child_of_fork_is_refused_where_memory_is_not_wiped),
        cmocka_unit_test(a_child_that_keeps_the_arena_may_pool_and_free_it),
        cmocka_unit_test(a_frame_that_lies_in_some_cache_is_found),
        cmocka_unit_test(without_memory_a_pool_is_not_made),
        cmocka_unit_test(without_memory_for_a_cache_a_thread_goes_without),
        cmocka_unit_test(without_a_membarrier_every_call_takes_the_lock),
        cmocka_unit_test(random_calls_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
