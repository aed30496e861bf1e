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
#include "os/os.h"
#include "pool/state.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

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

static void a_frame_that_a_ring_holds_is_busy(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(SMALL, FRAMES, 0);
    jdb_budget *const budget = budget_of(MAX_BYTES);
    jdb_pool *pool = NULL;
    assert_int_equal(jdb_arena_hold(arena, (FRAMES - 1) * SMALL, 1), 0);
    assert_int_equal(new_pool(arena, budget, &pool), -EBUSY);
    assert_int_equal(jdb_arena_unhold(arena, (FRAMES - 1) * SMALL, 1), 0);
    assert_int_equal(new_pool(arena, budget, &pool), 0);
    assert_int_equal(jdb_pool_free(pool), 0);
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

/* ---- Whoever gives back, those who wait have it ----------------------------------------------------------- */

#define POOLS 3u
#define POOL_FRAMES 256u

static const uint64_t sizes[POOLS] = {SMALL, 16 * KIB, LARGE};

struct fixture {
    jdb_budget *budget;
    jdb_arena *arenas[POOLS];
    jdb_pool *pools[POOLS];
    unsigned calls;
    jdb_pool_wait wait;
    jdb_frame got;
    jdb_frame middle[MAX_BYTES / (16 * KIB)];
};

static void make(struct fixture *f)
{
    *f = (struct fixture){.budget = budget_of(MAX_BYTES)};
    for (uint32_t i = 0; i < POOLS; i++) {
        f->arenas[i] = arena_of(sizes[i], POOL_FRAMES, 0);
        assert_int_equal(new_pool(f->arenas[i], f->budget, &f->pools[i]), 0);
    }
}

static jdb_budget_stats stats_of(const struct fixture *f)
{
    jdb_budget_stats stats = JDB_BUDGET_STATS_INIT;
    assert_int_equal(jdb_budget_get_stats(f->budget, &stats), 0);
    return stats;
}

static void drop(const struct fixture *f)
{
    for (uint32_t i = 0; i < POOLS; i++) {
        assert_int_equal(jdb_pool_free(f->pools[i]), 0);
        assert_int_equal(jdb_arena_free(f->arenas[i]), 0);
    }
    assert_int_equal(stats_of(f).used_bytes, 0);
    assert_int_equal(stats_of(f).wanted_bytes, 0);
    assert_int_equal(jdb_budget_free(f->budget), 0);
}

static void count_calls(jdb_pool_wait *wait)
{
    ++*(unsigned *)wait->user;
}

static void start_wait(struct fixture *f, jdb_pool *pool)
{
    jdb_pool_wait_init(&f->wait, count_calls, &f->calls);
    assert_int_equal(jdb_pool_wait_start(pool, &f->wait, 1, &f->got), -EAGAIN);
}

/* A wait is queued for a frame of the pool, and all bytes are used: those of the middle pool by free frames, which could not give
 * them back while a ring held them. */
static void use_middle_and_wait(struct fixture *f, uint32_t pool)
{
    const uint32_t count = MAX_BYTES / (16 * KIB);
    assert_int_equal(jdb_pool_get_n(f->pools[1], count, f->middle), 0);
    assert_int_equal(jdb_arena_hold(f->arenas[1], 0, POOL_FRAMES * sizes[1]), 0);
    assert_int_equal(jdb_pool_put_n(f->pools[1], f->middle, count), 0);
    start_wait(f, f->pools[pool]);
    assert_int_equal(jdb_arena_unhold(f->arenas[1], 0, POOL_FRAMES * sizes[1]), 0);
    assert_int_equal(f->calls, 0);
    assert_int_equal(stats_of(f).used_bytes, stats_of(f).max_bytes);
}

static void a_trim_serves_a_wait_in_another_pool(void **state)
{
    (void)state;
    for (uint32_t keep_count = 0; keep_count <= POOL_FRAMES; keep_count += POOL_FRAMES / 2) {
        struct fixture f;
        make(&f);
        use_middle_and_wait(&f, 2);
        assert_int_equal(jdb_pool_trim(f.pools[1], keep_count, NULL), 0);
        assert_int_equal(f.calls, 1);
        assert_int_equal(jdb_pool_put(f.pools[2], f.got), 0);
        drop(&f);
    }
}

static void a_get_that_makes_others_give_back_serves_a_wait_too(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame frame;
    make(&f);
    use_middle_and_wait(&f, 2);
    assert_int_equal(jdb_pool_get(f.pools[0], &frame), 0);
    assert_int_equal(f.calls, 1);
    assert_int_equal(jdb_pool_put(f.pools[0], frame), 0);
    assert_int_equal(jdb_pool_put(f.pools[2], f.got), 0);
    drop(&f);
}

/* Its own pool has no frame for it, whatever bytes there are. */
static void a_wait_that_makes_others_give_back_serves_one_that_is_queued(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame small[POOL_FRAMES];
    jdb_frame one_more;
    jdb_pool_wait second;
    unsigned second_calls = 0;
    make(&f);
    assert_int_equal(jdb_pool_get_n(f.pools[0], POOL_FRAMES, small), 0);
    assert_int_equal(jdb_budget_set_max(f.budget, 2 * MAX_BYTES), 0);
    use_middle_and_wait(&f, 2);
    jdb_pool_wait_init(&second, count_calls, &second_calls);
    assert_int_equal(jdb_pool_wait_start(f.pools[0], &second, 1, &one_more), -EAGAIN);
    assert_int_equal(f.calls, 1);
    assert_int_equal(jdb_pool_wait_cancel(f.pools[0], &second), 0);
    assert_int_equal(second_calls, 0);
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, POOL_FRAMES), 0);
    assert_int_equal(jdb_pool_put(f.pools[2], f.got), 0);
    drop(&f);
}

static void *free_used_pool(void *context)
{
    MUST(jdb_pool_free(context) == -EBUSY);
    return NULL;
}

/* While it looks whether frames are lent, nobody visits it. */
static void a_pool_that_cannot_be_freed_serves_a_wait_that_began_meanwhile(void **state)
{
    (void)state;
    const uint32_t count = MAX_BYTES / (16 * KIB);
    struct fixture f;
    pthread_t thread;
    make(&f);
    assert_int_equal(jdb_pool_get_n(f.pools[1], count, f.middle), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[1], f.middle, count - 1), 0);
    pthread_mutex_lock(&f.pools[1]->lock.mutex); /* it stops there */
    assert_int_equal(pthread_create(&thread, NULL, free_used_pool, f.pools[1]), 0);
    while (stats_of(&f).pool_count == POOLS)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    start_wait(&f, f.pools[2]);
    assert_int_equal(f.calls, 0);
    pthread_mutex_unlock(&f.pools[1]->lock.mutex);
    pthread_join(thread, NULL);
    assert_int_equal(f.calls, 1);
    assert_int_equal(jdb_pool_put(f.pools[1], f.middle[count - 1]), 0);
    assert_int_equal(jdb_pool_put(f.pools[2], f.got), 0);
    drop(&f);
}

/* ---- Between two locks of a call --------------------------------------------------------------------------- */

/* What another thread does before the lock of this place is taken for the n-th time. */
static const void *meddle_lock;
static unsigned meddle_at;
static unsigned meddle_seen;
static void (*meddle)(void);

static void meddle_once(const void *lock)
{
    if (lock != meddle_lock || ++meddle_seen != meddle_at)
        return;
    faults_set_wanted_hook(NULL);
    meddle();
}

static void set_meddle(const void *lock, unsigned at, void (*body)(void))
{
    meddle_lock = lock;
    meddle_at = at;
    meddle_seen = 0;
    meddle = body;
    faults_set_wanted_hook(meddle_once);
}

#define GIVEN 16u

/* The budget is that of the frames of a; those of b are as large, those of c small. */
static struct three {
    jdb_budget *budget;
    jdb_arena *arenas[3];
    jdb_pool *a, *b, *c;
    jdb_frame of_a[GIVEN];
    jdb_frame of_b, of_c;
    jdb_pool_wait wait;
    unsigned calls;
} three;

static void note_frame(jdb_pool_wait *wait)
{
    (void)wait;
    three.calls++;
}

/* One that gives back frame by frame. */
static jdb_pool *pool_of(jdb_arena *arena)
{
    jdb_pool *pool = NULL;
    const jdb_pool_options options = {.size = sizeof options, .thread_frames = 2, .budget = three.budget};
    assert_int_equal(jdb_pool_new(arena, &options, &pool), 0);
    return pool;
}

static void make_three(void)
{
    three = (struct three){.budget = budget_of(GIVEN * LARGE)};
    three.arenas[0] = arena_of(LARGE, GIVEN, 0);
    three.arenas[1] = arena_of(LARGE, 4, 0);
    three.arenas[2] = arena_of(SMALL, 64, 0);
    three.a = pool_of(three.arenas[0]);
    three.b = pool_of(three.arenas[1]);
    assert_int_equal(new_pool(three.arenas[2], three.budget, &three.c), 0);
    jdb_pool_wait_init(&three.wait, note_frame, NULL);
    assert_int_equal(jdb_pool_get_n(three.a, GIVEN, three.of_a), 0);
    assert_int_equal(jdb_pool_get(three.b, &three.of_b), -EAGAIN);
}

static void drop_three(void)
{
    jdb_pool *const pools[] = {three.a, three.b, three.c};
    faults_set_wanted_hook(NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(jdb_pool_free(pools[i]), 0);
        assert_int_equal(jdb_arena_free(three.arenas[i]), 0);
    }
    assert_int_equal(jdb_budget_free(three.budget), 0);
}

static void get_of_c(void)
{
    MUST(jdb_pool_get(three.c, &three.of_c) == 0);
}

/* Between what a gives for the wait and the last look of it. */
static void put_all_of_a(void)
{
    MUST(jdb_pool_put_n(three.a, three.of_a, GIVEN) == 0);
    set_meddle(&three.b->lock, 1, get_of_c);
}

static void what_a_third_pool_takes_is_given_to_a_wait_once_more(void **state)
{
    (void)state;
    make_three();
    set_meddle(&three.budget->lock, POOLS + 1, put_all_of_a); /* the get of the wait has asked all pools in vain */
    const int err = jdb_pool_wait_start(three.b, &three.wait, 1, &three.of_b);
    assert_non_null(three.of_c.ptr);
    assert_true(err == 0 || (err == -EAGAIN && three.calls == 1));
    assert_int_equal(jdb_pool_put(three.b, three.of_b), 0);
    assert_int_equal(jdb_pool_put(three.c, three.of_c), 0);
    drop_three();
}

static void what_a_third_pool_takes_is_given_to_a_get_once_more(void **state)
{
    (void)state;
    make_three();
    assert_int_equal(jdb_pool_put_n(three.a, three.of_a, GIVEN), 0);
    set_meddle(&three.budget->lock, POOLS + 1, get_of_c);
    assert_int_equal(jdb_pool_get(three.b, &three.of_b), 0);
    assert_non_null(three.of_c.ptr);
    assert_int_equal(jdb_pool_put(three.b, three.of_b), 0);
    assert_int_equal(jdb_pool_put(three.c, three.of_c), 0);
    drop_three();
}

static void wait_of_b(void)
{
    MUST(jdb_pool_wait_start(three.b, &three.wait, 1, &three.of_b) == -EAGAIN);
}

/* A get of several has frames of its cache in hand while the wait looks, and fails. */
static void what_a_get_had_in_hand_serves_a_wait(void **state)
{
    (void)state;
    make_three();
    jdb_frame more[GIVEN];
    assert_int_equal(jdb_pool_put_n(three.a, three.of_a, 4), 0);
    for (uint32_t i = 0; i < 2 * REVOKED_GETS; i++) { /* caches are given back */
        assert_int_equal(jdb_pool_get_n(three.a, 4, more), 0);
        assert_int_equal(jdb_pool_put_n(three.a, more, 4), 0);
    }
    set_meddle(&three.a->lock, 1, wait_of_b);
    assert_int_equal(jdb_pool_get_n(three.a, 6, more), -EAGAIN);
    assert_int_equal(three.calls, 1);
    assert_int_equal(jdb_pool_put(three.b, three.of_b), 0);
    assert_int_equal(jdb_pool_put_n(three.a, three.of_a + 4, GIVEN - 4), 0);
    drop_three();
}

static jdb_frame to_put[POOL_FRAMES];
static jdb_pool *puts_pool;
static uint32_t put_count;
static uintptr_t stack_low, stack_high;

/* While a frame's memory is given back another one is put, whose thread finds that a trim runs. */
static int put_another(enum os_call kind)
{
    /* Not the address of a local: AddressSanitizer may keep those elsewhere. */
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    stack_low = here < stack_low ? here : stack_low;
    stack_high = here > stack_high ? here : stack_high;
    if (kind == OS_CALL_ADVISE && put_count < POOL_FRAMES / 2)
        MUST(jdb_pool_put(puts_pool, to_put[put_count++]) == 0);
    return 0;
}

/* A wait that no memory helps, as its pool has no frame: each put gives back in vain. */
static void puts_during_a_put_take_no_stack(void **state)
{
    (void)state;
    make_three();
    jdb_frame of_b[4];
    assert_int_equal(jdb_pool_put_n(three.a, three.of_a, GIVEN), 0);
    assert_int_equal(jdb_pool_get_n(three.b, 4, of_b), 0);
    jdb_arena *const arena = arena_of(SMALL, POOL_FRAMES, 0);
    puts_pool = pool_of(arena);
    for (uint32_t i = 0; i < POOL_FRAMES / 2; i++)
        assert_int_equal(jdb_pool_get(puts_pool, &to_put[i]), 0);
    wait_of_b();
    put_count = 1;
    stack_low = UINTPTR_MAX;
    stack_high = 0;
    faults_set_hook(put_another);
    assert_int_equal(jdb_pool_put(puts_pool, to_put[0]), 0);
    faults_set_hook(NULL);
    assert_int_equal(put_count, POOL_FRAMES / 2);
    assert_in_range(stack_high - stack_low, 0, 8192); /* a recursion takes twice as much */
    assert_int_equal(jdb_pool_put_n(three.b, of_b, 4), 0);
    assert_int_equal(three.calls, 1);
    assert_int_equal(jdb_pool_put(three.b, three.of_b), 0);
    assert_int_equal(jdb_pool_free(puts_pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    drop_three();
}

/* ---- Runs ------------------------------------------------------------------------------------------------- */

/* Every other one of 16 frames of the middle pool is free, and has its memory; free frames of another pool use the rest of the
 * budget. */
static void scatter(struct fixture *f, jdb_frame *ret_small)
{
    const uint32_t small_count = (uint32_t)((MAX_BYTES - 16 * sizes[1]) / SMALL);
    assert_int_equal(jdb_pool_get_n(f->pools[1], 16, f->middle), 0);
    assert_int_equal(jdb_pool_get_n(f->pools[0], small_count, ret_small), 0);
    assert_int_equal(jdb_pool_put_n(f->pools[0], ret_small, small_count), 0);
    for (uint32_t i = 0; i < 16; i += 2)
        assert_int_equal(jdb_pool_put(f->pools[1], f->middle[i]), 0);
    assert_int_equal(stats_of(f).used_bytes, MAX_BYTES);
}

static void put_rest(const struct fixture *f)
{
    for (uint32_t i = 1; i < 16; i += 2)
        assert_int_equal(jdb_pool_put(f->pools[1], f->middle[i]), 0);
}

static void others_give_back_for_a_run_of_which_scattered_frames_are_free(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame small[POOL_FRAMES];
    jdb_frame run[8];
    make(&f);
    scatter(&f, small);
    assert_int_equal(jdb_pool_get_run(f.pools[1], 8, run), 0);
    assert_int_equal(run[7].index, run[0].index + 7);
    assert_in_range(stats_of(&f).taken_bytes, 8 * sizes[1], 9 * sizes[1]);
    assert_int_equal(jdb_pool_put_run(f.pools[1], run, 8), 0);
    put_rest(&f);
    drop(&f);
}

/* A pool that has no other frame makes nobody give back. */
static void scattered_frames_of_a_full_pool_take_nothing_from_others(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame small[POOL_FRAMES];
    jdb_frame run[2];
    make(&f);
    jdb_arena *const arena = arena_of(16 * KIB, 16, 0);
    jdb_pool *const whole = f.pools[1];
    assert_int_equal(new_pool(arena, f.budget, &f.pools[1]), 0);
    scatter(&f, small);
    assert_int_equal(jdb_pool_get_run(f.pools[1], 2, run), -ENOMEM);
    assert_int_equal(stats_of(&f).taken_bytes, 0);
    put_rest(&f);
    assert_int_equal(jdb_pool_free(f.pools[1]), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    f.pools[1] = whole;
    drop(&f);
}

/* ---- What is charged -------------------------------------------------------------------------------------- */

/* Half of thread_frames, where the system lets threads have caches. */
static void batches_come_and_go_at_once(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame frames[9];
    make(&f);
    assert_int_equal(jdb_pool_get(f.pools[0], frames), 0);
    assert_int_equal(stats_of(&f).used_bytes, jdb__os_membarrier_register() == 0 ? 8 * SMALL : SMALL);
    assert_int_equal(jdb_pool_put(f.pools[0], frames[0]), 0);
    assert_int_equal(jdb_pool_get_n(f.pools[0], 8, frames), 0);
    assert_int_equal(stats_of(&f).used_bytes, 8 * SMALL);
    assert_int_equal(jdb_pool_put_n(f.pools[0], frames, 8), 0);
    assert_int_equal(jdb_pool_get_n(f.pools[2], 15, f.middle), 0);
    assert_int_equal(jdb_pool_get_n(f.pools[1], 2, frames), 0);
    assert_int_equal(stats_of(&f).taken_bytes, 0);
    assert_int_equal(jdb_pool_get(f.pools[1], &frames[2]), 0);
    assert_int_equal(stats_of(&f).taken_bytes, 8 * SMALL); /* more than it lacked */
    assert_int_equal(jdb_pool_put_n(f.pools[1], frames, 3), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[2], f.middle, 15), 0);
    drop(&f);
}

static void a_get_charges_no_more_than_the_pool_has(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame large[FRAMES];
    jdb_frame more[2];
    jdb_arena *const arena = arena_of(LARGE, FRAMES, 0);
    jdb_pool *pool = NULL;
    make(&f);
    assert_int_equal(new_pool(arena, f.budget, &pool), 0);
    assert_int_equal(jdb_pool_get_n(pool, FRAMES - 1, large), 0);
    assert_int_equal(jdb_pool_get_n(pool, 2, more), -EAGAIN);
    assert_int_equal(jdb_pool_get(pool, &large[FRAMES - 1]), 0);
    assert_int_equal(jdb_pool_get(pool, more), -EAGAIN);
    assert_int_equal(jdb_pool_get_n(pool, FRAMES, more), -EAGAIN);
    assert_int_equal(jdb_pool_get_run(pool, 2, more), -EAGAIN);
    assert_int_equal(jdb_pool_get_wait(pool, 1, 0, NULL, more), -ETIMEDOUT);
    assert_int_equal(stats_of(&f).used_bytes, FRAMES * LARGE);
    assert_int_equal(stats_of(&f).peak_bytes, FRAMES * LARGE); /* not for a moment either */
    assert_int_equal(jdb_pool_put_n(pool, large, FRAMES), 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    drop(&f);
}

/* ---- Gets while a wait of another pool is queued ----------------------------------------------------------- */

static void no_get_takes_the_bytes_that_a_wait_lacks(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame small[2];
    make(&f);
    assert_int_equal(jdb_pool_get_n(f.pools[1], 60, f.middle), 0);
    assert_int_equal(jdb_pool_get(f.pools[0], &small[0]), 0);
    start_wait(&f, f.pools[2]); /* 60 of its 64 KiB are free */
    assert_int_equal(stats_of(&f).used_bytes, MAX_BYTES - 60 * KIB);
    assert_int_equal(jdb_pool_get(f.pools[0], &small[1]), -EAGAIN);
    assert_int_equal(jdb_pool_get_run(f.pools[1], 2, &f.middle[60]), -EAGAIN);
    assert_int_equal(jdb_pool_get_wait(f.pools[0], 1, 0, NULL, &small[1]), 0); /* waits are in no order */
    assert_int_equal(jdb_pool_put(f.pools[0], small[1]), 0);
    assert_int_equal(f.calls, 0);
    assert_int_equal(jdb_pool_put(f.pools[0], small[0]), 0);
    assert_int_equal(f.calls, 1);
    assert_int_equal(jdb_pool_put(f.pools[2], f.got), 0);
    assert_int_equal(jdb_pool_get(f.pools[0], &small[1]), 0);
    assert_int_equal(jdb_pool_put(f.pools[0], small[1]), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[1], f.middle, 60), 0);
    drop(&f);
}

static void a_wait_that_lacks_a_frame_keeps_no_bytes(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame large[FRAMES];
    jdb_frame small[POOL_FRAMES];
    jdb_arena *const arena = arena_of(LARGE, FRAMES, 0);
    jdb_pool *pool = NULL;
    make(&f);
    assert_int_equal(new_pool(arena, f.budget, &pool), 0);
    assert_int_equal(jdb_pool_get_n(pool, FRAMES, large), 0);
    start_wait(&f, pool);
    for (uint32_t i = 0; i < (MAX_BYTES - FRAMES * LARGE) / SMALL; i++)
        assert_int_equal(jdb_pool_get(f.pools[0], &small[i]), 0);
    assert_int_equal(jdb_pool_get(f.pools[0], &small[POOL_FRAMES - 1]), -EAGAIN);
    assert_int_equal(jdb_pool_put(pool, large[0]), 0);
    assert_int_equal(f.calls, 1);
    assert_int_equal(jdb_pool_put(pool, f.got), 0);
    assert_int_equal(jdb_pool_put_n(pool, &large[1], FRAMES - 1), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[0], small, (MAX_BYTES - FRAMES * LARGE) / SMALL), 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    drop(&f);
}

static void a_wait_that_is_cancelled_keeps_no_bytes(void **state)
{
    (void)state;
    struct fixture f;
    jdb_frame small;
    make(&f);
    assert_int_equal(jdb_pool_get_n(f.pools[1], 61, f.middle), 0);
    start_wait(&f, f.pools[2]);
    assert_int_equal(jdb_pool_get(f.pools[0], &small), -EAGAIN);
    assert_int_equal(jdb_pool_wait_cancel(f.pools[2], &f.wait), 0);
    assert_int_equal(jdb_pool_get(f.pools[0], &small), 0);
    assert_int_equal(jdb_pool_put(f.pools[0], small), 0);
    assert_int_equal(jdb_pool_put_n(f.pools[1], f.middle, 61), 0);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_another_pool_lends_keep_their_content),
        cmocka_unit_test(a_pool_that_the_system_has_no_memory_for_leaves_the_content),
        cmocka_unit_test(a_frame_that_a_ring_holds_is_busy),
        cmocka_unit_test(the_file_of_another_process_is_not_emptied),
        cmocka_unit_test(handles_stay_stale_whatever_pools_come_between),
        cmocka_unit_test(a_trim_serves_a_wait_in_another_pool),
        cmocka_unit_test(a_get_that_makes_others_give_back_serves_a_wait_too),
        cmocka_unit_test(a_wait_that_makes_others_give_back_serves_one_that_is_queued),
        cmocka_unit_test(a_pool_that_cannot_be_freed_serves_a_wait_that_began_meanwhile),
        cmocka_unit_test(what_a_third_pool_takes_is_given_to_a_wait_once_more),
        cmocka_unit_test(what_a_third_pool_takes_is_given_to_a_get_once_more),
        cmocka_unit_test(what_a_get_had_in_hand_serves_a_wait),
        cmocka_unit_test(puts_during_a_put_take_no_stack),
        cmocka_unit_test(others_give_back_for_a_run_of_which_scattered_frames_are_free),
        cmocka_unit_test(scattered_frames_of_a_full_pool_take_nothing_from_others),
        cmocka_unit_test(batches_come_and_go_at_once),
        cmocka_unit_test(a_get_charges_no_more_than_the_pool_has),
        cmocka_unit_test(no_get_takes_the_bytes_that_a_wait_lacks),
        cmocka_unit_test(a_wait_that_lacks_a_frame_keeps_no_bytes),
        cmocka_unit_test(a_wait_that_is_cancelled_keeps_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
