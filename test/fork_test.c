/* SPDX-License-Identifier: MIT
 *
 * fork_test.c - fork(): handlers of the program that use the library, in every order of registration, and what a child
 * finds of arenas, pools and pins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "cost.h"
#include "faults.h"
#include "os/fork.h"
#include "must.h"
#include "tier.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define FRAMES 64u
#define MIB ((size_t)1 << 20)

static jdb_arena *arena_of(uint32_t frame_count, uint32_t max_count, uint32_t flags)
{
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = frame_count};
    options.max_frame_count = max_count;
    options.flags = flags;
    jdb_arena *arena = NULL;
    MUST(jdb_arena_new(&options, &arena) == 0);
    return arena;
}

static jdb_pool *pool_over(jdb_arena *arena)
{
    jdb_pool *pool = NULL;
    MUST(jdb_pool_new(arena, NULL, &pool) == 0);
    return pool;
}

static void assert_child(void (*body)(void *), void *context)
{
    char text[1000];
    const int status = must_run_child(body, context, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
}

/* ---- Handlers of the program ------------------------------------------------------------------------------ */

/* What the handlers of the program do, if anything: set by a test, in its own child. */
static void (*use)(void);
static unsigned use_count;

static void handle(void)
{
    if (use == NULL)
        return;
    use();
    use_count++;
}

/* Before any constructor: the library's own handlers come behind, so these run while it holds its locks. */
static void register_before_the_library(void)
{
    pthread_atfork(handle, handle, handle);
}

#ifdef __GLIBC__
__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = register_before_the_library;
#else /* musl runs no .preinit_array: linked before the library, which has the same priority, it runs first */
__attribute__((constructor(101))) static void register_first(void)
{
    register_before_the_library();
}
#endif

/* In a constructor, as programs and libraries do: behind the library's own. */
__attribute__((constructor)) static void register_behind_the_library(void)
{
    pthread_atfork(handle, handle, handle);
}

static void use_buffers(void)
{
    static const size_t sizes[] = {4096, 65536, 1u << 20, 20u << 20};
    jdb_buf bufs[4];
    for (size_t i = 0; i < 4; i++) {
        MUST(jdb_buf_zeroed(&bufs[i], sizes[i]) == 0);
        bufs[i].ptr[sizes[i] - 1] = 1;
        MUST(jdb_pin(bufs[i].ptr, 1) == 0 && jdb_unpin(bufs[i].ptr, 1) == 0);
    }
    for (size_t i = 0; i < 4; i++)
        jdb_buf_drop(&bufs[i]);
    jdb_page_stats stats = {.size = sizeof stats};
    MUST(jdb_get_page_stats(&stats) == 0);
    jdb_trim();
}

static void use_arenas_and_pools(void)
{
    for (uint32_t flags = 0; flags <= JDB_ARENA_KEEP_ON_FORK; flags += JDB_ARENA_KEEP_ON_FORK) {
        jdb_arena *const arena = arena_of(8, 16, flags);
        jdb_pool *const pool = pool_over(arena);
        jdb_frame frame;
        MUST(jdb_pool_get(pool, &frame) == 0);
        MUST(jdb_pin(frame.ptr, 1) == 0 && jdb_pool_put(pool, frame) == -EBUSY && jdb_unpin(frame.ptr, 1) == 0);
        MUST(jdb_pool_put(pool, (jdb_frame){(uint8_t *)arena, 0, 1}) == -EINVAL);
        MUST(jdb_pool_put(pool, frame) == 0);
        MUST(jdb_arena_grow(arena, 16) == 0);
        MUST(jdb_pool_free(pool) == 0);
        MUST(jdb_arena_free(arena) == 0);
    }
}

static void fork_with_handlers(void *context)
{
    void (*const body)(void) = *(void (*const *)(void))context;
    const struct timespec pause = {.tv_nsec = 10000000};
    alarm(30); /* a lock that is never released would hang */
    jdb_buf first_use;
    MUST(jdb_buf_page(&first_use) == 0);
    use = body;
    for (int i = 0; i < 3; i++) {
        use_count = 0;
        const pid_t child = fork();
        MUST(child >= 0);
        if (child == 0) {
            alarm(30);
            body();
            _exit(use_count == 4 ? 0 : 1); /* two before fork(), two in the child */
        }
        int status = 0;
        MUST(waitpid(child, &status, 0) == child);
        MUST(status == 0 && use_count == 4);
        body();
        nanosleep(&pause, NULL);
    }
    use = NULL;
    jdb_buf_drop(&first_use);
}

static void handlers_of_the_program_may_use_buffers(void **state)
{
    (void)state;
    void (*body)(void) = use_buffers;
    assert_child(fork_with_handlers, &body);
}

static void handlers_of_the_program_may_use_arenas_and_pools(void **state)
{
    (void)state;
    void (*body)(void) = use_arenas_and_pools;
    assert_child(fork_with_handlers, &body);
}

/* ---- Threads that are at work ----------------------------------------------------------------------------- */

static atomic_int stage;

static void await_stage(int wanted)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    while (atomic_load(&stage) < wanted)
        nanosleep(&pause, NULL);
}

/* Called with the arena locked; another arena may be created there. */
static bool make_another(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    (void)done;
    (void)total;
    if (atomic_load(&stage) == 0)
        return true;
    atomic_store(&stage, 2);
    const struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL); /* fork() is waiting by now */
    use_arenas_and_pools();
    use_buffers();
    return true;
}

static void *grow(void *context)
{
    MUST(jdb_arena_grow(context, 2 * FRAMES) == 0);
    return NULL;
}

#if TIER_SANITIZED
/* To ThreadSanitizer of gcc 14 the threads of the parent are leaked in a child that ends. */
JDB_API const char *__tsan_default_options(void);
JDB_API const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}
#endif

static int in_child(int (*look)(void *), void *context)
{
    fflush(NULL);
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0)
        _exit(look(context));
    int status = 0;
    MUST(waitpid(child, &status, 0) == child);
    MUST(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int count_frames(void *context)
{
    return (int)jdb_arena_frame_count(context);
}

static void fork_beside_growth(void *context)
{
    (void)context;
    alarm(30);
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = FRAMES};
    options.max_frame_count = 2 * FRAMES;
    options.flags = JDB_ARENA_KEEP_ON_FORK | JDB_ARENA_PREFAULT;
    options.progress = make_another;
    jdb_arena *arena = NULL;
    pthread_t thread;
    MUST(jdb_arena_new(&options, &arena) == 0);
    atomic_store(&stage, 1);
    MUST(pthread_create(&thread, NULL, grow, arena) == 0);
    await_stage(2);
    MUST(in_child(count_frames, arena) == 2 * FRAMES);
    pthread_join(thread, NULL);
    MUST(jdb_arena_free(arena) == 0);
}

static void fork_waits_for_growth_whose_callback_uses_the_library(void **state)
{
    (void)state;
    assert_child(fork_beside_growth, NULL);
}

static atomic_bool stop;

static void *use_all(void *context)
{
    jdb_pool *const pool = context;
    while (!atomic_load(&stop)) {
        jdb_frame frames[3];
        if (jdb_pool_get_n(pool, 3, frames) == 0)
            MUST(jdb_pool_put_n(pool, frames, 3) == 0);
        jdb_arena *const arena = arena_of(8, 16, JDB_ARENA_KEEP_ON_FORK);
        MUST(jdb_arena_hold(arena, 0, 4096) == 0 && jdb_arena_unhold(arena, 0, 4096) == 0);
        MUST(jdb_arena_grow(arena, 16) == 0);
        MUST(jdb_pool_free(pool_over(arena)) == 0);
        MUST(jdb_arena_free(arena) == 0);
    }
    return NULL;
}

static int use_all_in_child(void *context)
{
    jdb_frame frame;
    alarm(30);
    use_arenas_and_pools();
    use_buffers();
    return jdb_pool_get(context, &frame) == -EPERM ? 0 : 1;
}

/* No fork() beside busy threads under a sanitizer: another thread may hold the lock of its allocator or of its table of stacks
 * (StackDepot) at that moment, which nobody releases in the child. ThreadSanitizer takes both before a fork() since LLVM 19,
 * that of gcc 12 does not. Source: google/sanitizers#1400, llvm/llvm-project#96600. */
static void a_child_of_a_busy_program_finds_no_lock_taken(void **state)
{
    (void)state;
    if (TIER_SANITIZED) {
        print_message("a lock of the sanitizer may be taken in a child: skipped\n");
        skip();
    }
    jdb_arena *const arena = arena_of(FRAMES, FRAMES, 0);
    jdb_pool *const pool = pool_over(arena);
    pthread_t threads[3];
    atomic_store(&stop, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_all, pool), 0);
    for (uint64_t i = 0; i < tier_pick(30, 100, 3000); i++)
        assert_int_equal(in_child(use_all_in_child, pool), 0);
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- What a child finds ----------------------------------------------------------------------------------- */

struct pools {
    jdb_pool *pools[3];
    jdb_frame lent[3];
};

static void find_pools_refused(void *context)
{
    const struct pools *const all = context;
    for (int i = 0; i < 3; i++) {
        jdb_frame frame = {NULL, 7, 7};
        MUST(jdb_pool_get(all->pools[i], &frame) == -EPERM && frame.index == 7);
        MUST(jdb_pool_put(all->pools[i], all->lent[i]) == -EPERM);
        MUST(jdb_pool_view(all->pools[i], all->lent[i]).ptr == NULL);
        MUST(jdb_pool_get_wait(all->pools[i], 1, JDB_DEADLINE_NONE, NULL, &frame) == -EPERM);
        MUST(jdb_pool_free(all->pools[i]) == -EPERM);
    }
    use_arenas_and_pools();
}

/* The system wipes the memory of some pools for the child, and not that of others (as at vm.max_map_count). */
static void every_pool_is_refused_though_some_were_not_wiped(void **state)
{
    (void)state;
    for (unsigned wiped = 0; wiped < 8; wiped++) {
        struct pools all;
        jdb_arena *arenas[3];
        for (int i = 0; i < 3; i++) {
            arenas[i] = arena_of(FRAMES, FRAMES, 0);
            if ((wiped >> i & 1) == 0)
                faults_arm_all(OS_CALL_ADVISE, 0, -ENOMEM);
            all.pools[i] = pool_over(arenas[i]);
            faults_disarm();
            MUST(jdb_pool_get(all.pools[i], &all.lent[i]) == 0);
        }
        assert_child(find_pools_refused, &all);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(jdb_pool_put(all.pools[i], all.lent[i]), 0);
            assert_int_equal(jdb_pool_free(all.pools[i]), 0);
            assert_int_equal(jdb_arena_free(arenas[i]), 0);
        }
    }
}

struct marked {
    jdb_arena *arena;
    jdb_pin_mark one;
    jdb_pin_mark two; /* over two frames */
};

static void unpin_what_stayed_with_the_parent(void *context)
{
    const struct marked *const pins = context;
    MUST(jdb_unpin_marked(&pins->one) == -EPERM);
    MUST(jdb_unpin_marked(&pins->two) == -EPERM);
    MUST(jdb_unpin(pins->one.ptr, 1) == -EPERM);
}

static void unpin_what_was_kept(void *context)
{
    const struct marked *const pins = context;
    jdb_arena *const arena = pins->arena;
    jdb_arena_report report = {.size = sizeof report};
    MUST(!jdb_is_pinned(pins->one.ptr, 1));
    MUST(jdb_unpin_marked(&pins->one) == -EINVAL);
    MUST(jdb_unpin_marked(&pins->two) == -EINVAL);
    MUST(jdb_unpin(pins->one.ptr, 1) == -EINVAL);
    MUST(jdb_arena_get_report(arena, &report) == 0 && report.held_bytes == 0 && report.pinned_frames == 0);
    MUST(jdb_arena_unhold(arena, 0, 4096) == -EINVAL);
    MUST(jdb_arena_decommit(arena, 0, FRAMES, NULL) == 0);
    MUST(jdb_arena_hold(arena, 4096, 4096) == 0);
    MUST(jdb_arena_free(arena) == -EBUSY);
    MUST(jdb_arena_unhold(arena, 4096, 4096) == 0);
    MUST(jdb_arena_free(arena) == 0);
}

/* faults: where the pins of a child cannot be forgotten by a new mapping. */
static void pin_and_fork(uint32_t flags, bool faults)
{
    struct marked pins = {.arena = arena_of(FRAMES, FRAMES, flags)};
    uint8_t *const base = jdb_arena_base(pins.arena);
    assert_int_equal(jdb_pin_marked(base, 1, &pins.one), 0);
    assert_int_equal(jdb_arena_pin(pins.arena, 5 * 4096 + 1, 4096, &pins.two), 0);
    assert_int_equal(jdb_arena_hold(pins.arena, 0, 4096), 0);
    if (faults)
        faults_arm_all(OS_CALL_ADVISE, 0, -ENOMEM);
    assert_child(flags == 0 ? unpin_what_stayed_with_the_parent : unpin_what_was_kept, &pins);
    faults_disarm();
    assert_true(jdb_is_pinned(base, 1) && jdb_is_pinned(base + 6 * 4096, 1));
    assert_int_equal(jdb_arena_decommit(pins.arena, 0, 1, NULL), -EBUSY);
    assert_int_equal(jdb_unpin_marked(&pins.one), 0);
    assert_int_equal(jdb_unpin_marked(&pins.two), 0);
    assert_int_equal(jdb_arena_free(pins.arena), -EBUSY);
    assert_int_equal(jdb_arena_unhold(pins.arena, 0, 4096), 0);
    assert_int_equal(jdb_arena_free(pins.arena), 0);
}

static void pins_and_holds_of_an_arena_stay_with_the_parent(void **state)
{
    (void)state;
    pin_and_fork(0, false);
    pin_and_fork(0, true);
    pin_and_fork(JDB_ARENA_KEEP_ON_FORK, false);
}

/* ---- fork() in a callback --------------------------------------------------------------------------------- */

struct waiter {
    jdb_pool_wait wait;
    jdb_frame frame;
    unsigned call_count;
    pid_t child; /* of the fork() in its callback */
};

static void fork_when_served(jdb_pool_wait *wait)
{
    struct waiter *const waiter = wait->user;
    waiter->call_count++;
    waiter->child = fork();
}

static void count_call(jdb_pool_wait *wait)
{
    struct waiter *const waiter = wait->user;
    waiter->call_count++;
}

static void serve_and_fork(void *context)
{
    (void)context;
    jdb_arena *const arena = arena_of(2, 2, 0);
    jdb_pool *const pool = pool_over(arena);
    struct waiter waiters[2] = {{.call_count = 0}};
    jdb_frame lent[2];
    MUST(jdb_pool_get_n(pool, 2, lent) == 0);
    jdb_pool_wait_init(&waiters[0].wait, fork_when_served, &waiters[0]);
    jdb_pool_wait_init(&waiters[1].wait, count_call, &waiters[1]);
    for (int i = 0; i < 2; i++)
        MUST(jdb_pool_wait_start(pool, &waiters[i].wait, 1, &waiters[i].frame) == -EAGAIN);
    const int err = jdb_pool_put_n(pool, lent, 2);
    MUST(err == 0 && waiters[0].call_count == 1 && waiters[0].child >= 0);
    if (waiters[0].child == 0) {
        MUST(waiters[1].call_count == 0); /* its frame stayed with the parent */
        use_arenas_and_pools();
        _exit(0);
    }
    int status = 0;
    MUST(waitpid(waiters[0].child, &status, 0) == waiters[0].child && status == 0);
    MUST(waiters[1].call_count == 1);
    for (int i = 0; i < 2; i++)
        MUST(jdb_pool_put(pool, waiters[i].frame) == 0);
    MUST(jdb_pool_free(pool) == 0);
    MUST(jdb_arena_free(arena) == 0);
}

static void a_child_made_in_a_callback_serves_nobody(void **state)
{
    (void)state;
    assert_child(serve_and_fork, NULL);
}

/* ---- Order of locks --------------------------------------------------------------------------------------- */

static void take_upwards(void *context)
{
    (void)context;
    struct lock heap = LOCK_INIT(LOCK_HEAP);
    struct lock pools = LOCK_INIT(LOCK_POOLS);
    lock_take(&heap);
    lock_take(&pools);
}

static void take_downwards(void *context)
{
    (void)context;
    struct lock arena = LOCK_INIT(LOCK_ARENA);
    struct lock other = LOCK_INIT(LOCK_ARENA);
    struct lock heap = LOCK_INIT(LOCK_HEAP);
    lock_take(&arena);
    lock_take(&other);
    lock_take(&heap);
    lock_release(&heap);
    lock_release(&other);
    lock_release(&arena);
    lock_take(&arena);
    lock_release(&arena);
}

static void the_order_of_locks_is_asserted(void **state)
{
    (void)state;
    char text[1000];
    assert_child(take_downwards, NULL);
    const int status = must_run_child(take_upwards, NULL, text, sizeof text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "assertion failed"));
}

/* ---- Caches of threads that a child does not have --------------------------------------------------------- */

static pthread_barrier_t cached_turn;

static void *cache_runs(void *argument)
{
    jdb_buf bufs[12];
    for (size_t i = 0; i < 12; i++)
        MUST(jdb_buf_with_cap(&bufs[i], i < 6 ? (i + 1) << 20 : 4096) == 0);
    for (size_t i = 0; i < 12; i++)
        jdb_buf_drop(&bufs[i]);
    pthread_barrier_wait(&cached_turn);
    pthread_barrier_wait(&cached_turn);
    return argument;
}

/* Small ones and larger ones: none is lent in the child, none is in a cache, all are free. */
static void body_child_of_threads(void *argument)
{
    (void)argument;
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    MUST(stats.threads <= 1 && stats.lent_bytes == 0 && stats.thread_bytes == 0);
    MUST(stats.cached_bytes >= 20 << 20 || TIER_CHECKED);
}

/* The first call allocates: what the threads had cached makes room for it under the limit. */
static void body_child_allocates(void *argument)
{
    jdb_buf buf;
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    (void)argument;
    MUST(jdb_buf_with_cap(&buf, 16 * MIB) == 0);
    MUST(jdb_get_page_stats(&stats) == 0 && stats.lent_bytes == 16 * MIB);
    jdb_buf_drop(&buf);
}

struct cached_fork {
    void (*body)(void *);
    bool has_cache; /* the thread that forks */
};

static void body_threads_and_fork(void *argument)
{
    const struct cached_fork *const now = argument;
    pthread_t thread;
    char text[1000];
    jdb_buf own;
    MUST(jdb_set_limit(30 * MIB, NULL, NULL) == 0);
    if (now->has_cache) {
        MUST(jdb_buf_with_cap(&own, 4096) == 0);
        jdb_buf_drop(&own);
    }
    MUST(pthread_barrier_init(&cached_turn, NULL, 2) == 0);
    MUST(pthread_create(&thread, NULL, cache_runs, NULL) == 0);
    pthread_barrier_wait(&cached_turn);
    const int status = must_run_child(now->body, NULL, text, sizeof text);
    if (status != 0)
        fprintf(stderr, "%s", text);
    MUST(status == 0);
    pthread_barrier_wait(&cached_turn);
    MUST(pthread_join(thread, NULL) == 0);
}

static void a_child_frees_what_threads_of_the_parent_had_cached(void **state)
{
    (void)state;
    assert_child(body_threads_and_fork, &(struct cached_fork){body_child_of_threads, false});
}

static void the_first_call_of_a_child_has_what_threads_of_the_parent_had_cached(void **state)
{
    (void)state;
    assert_child(body_threads_and_fork, &(struct cached_fork){body_child_allocates, false});
    assert_child(body_threads_and_fork, &(struct cached_fork){body_child_allocates, true});
}

enum { CROWD = 60, CROWD_FAULTS_MAX = 150 };

static pthread_barrier_t crowd_turn;

/* Half a megabyte of each class, which a child that walks it would copy the tables of. */
static void *fill_cache(void *argument)
{
    jdb_buf bufs[128];
    for (size_t pages = 1; pages <= 16; pages++) {
        for (size_t i = 0; i < 128 / pages; i++)
            MUST(jdb_buf_with_cap(&bufs[i], pages * 4096) == 0);
        for (size_t i = 0; i < 128 / pages; i++)
            jdb_buf_drop(&bufs[i]);
    }
    pthread_barrier_wait(&crowd_turn);
    pthread_barrier_wait(&crowd_turn);
    return argument;
}

/* In the child of a child that has called nothing: the first call frees all that the threads had. */
static void look_in_grandchild(void)
{
    jdb_buf buf;
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    const uint64_t faults = cost_minor_faults();
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        const uint64_t faults_forked = cost_minor_faults();
        MUST(jdb_buf_with_cap(&buf, 4096) == 0);
        buf.ptr[0] = 1;
        jdb_buf_drop(&buf);
        MUST(jdb_get_page_stats(&stats) == 0);
        fprintf(stderr, "%u caches: fork() made %" PRIu64 " faults in the child, and %" PRIu64 " in its child\n", CROWD,
                faults, faults_forked);
        MUST(faults <= CROWD_FAULTS_MAX && faults_forked <= CROWD_FAULTS_MAX);
        MUST(stats.threads == 1 && stats.lent_bytes == 0);
        MUST(stats.thread_bytes <= MIB);
        _exit(0);
    }
    int status = 0;
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void body_crowd(void *argument)
{
    (void)argument;
    pthread_t threads[CROWD];
    jdb_buf own;
    jdb_page_stats before = JDB_PAGE_STATS_INIT;
    MUST(jdb_buf_with_cap(&own, 4096) == 0);
    jdb_buf_drop(&own);
    MUST(pthread_barrier_init(&crowd_turn, NULL, CROWD + 1) == 0);
    for (size_t i = 0; i < CROWD; i++)
        MUST(pthread_create(&threads[i], NULL, fill_cache, NULL) == 0);
    pthread_barrier_wait(&crowd_turn);
    MUST(jdb_get_page_stats(&before) == 0 && before.thread_bytes >= 100 * MIB);
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        look_in_grandchild();
        _exit(0);
    }
    int status = 0;
    MUST(waitpid(child, &status, 0) == child && status == 0);
    pthread_barrier_wait(&crowd_turn);
    for (size_t i = 0; i < CROWD; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
}

static void fork_does_not_walk_the_caches_of_threads(void **state)
{
    (void)state;
    if (!tier_is_measurable() || tier_is_emulated())
        skip();
    assert_child(body_crowd, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_of_the_program_may_use_buffers),
        cmocka_unit_test(handlers_of_the_program_may_use_arenas_and_pools),
        cmocka_unit_test(fork_waits_for_growth_whose_callback_uses_the_library),
        cmocka_unit_test(a_child_of_a_busy_program_finds_no_lock_taken),
        cmocka_unit_test(every_pool_is_refused_though_some_were_not_wiped),
        cmocka_unit_test(pins_and_holds_of_an_arena_stay_with_the_parent),
        cmocka_unit_test(a_child_made_in_a_callback_serves_nobody),
        cmocka_unit_test(the_order_of_locks_is_asserted),
        cmocka_unit_test(a_child_frees_what_threads_of_the_parent_had_cached),
        cmocka_unit_test(the_first_call_of_a_child_has_what_threads_of_the_parent_had_cached),
        cmocka_unit_test(fork_does_not_walk_the_caches_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
