/* SPDX-License-Identifier: MIT
 *
 * pool.c - frames got from a pool and put back, against rte_mempool of DPDK. One operation is one frame got and put.
 *
 *     pair, bulk       one frame, 32 at a time; served by the thread's cache
 *     threads          the same on --threads threads at once
 *     past             --threads threads hold 256 frames each, more than a cache keeps; prints the runs' "worst" too
 *     full             every frame is lent: a get that fails, a put of what is evicted, a get
 *     recycle          the same by the one call that jdb_pool has for it
 *     pins             two threads pin and unpin frames that are neighbours, jdb_pool alone
 *
 * rte_mempool checks nothing (no handle, no pins); jdb_pool is the release build with all its checks.
 */
#include "sample.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES = 16384, FRAME_SIZE = 4096, BULK = 32, HELD = 256, MAX_THREADS = 16, RUNS = 10, PAST_COUNT = 128 * 1024 };

#if defined(BENCH_JDB)

#include <jdb_alloc.h>

typedef jdb_frame frame;

static jdb_pool *pool;

static void pool_make(void)
{
    jdb_arena_options options = {.size = sizeof options, .frame_size = FRAME_SIZE, .frame_count = FRAMES};
    jdb_arena *arena = NULL;
    sample_must(jdb_arena_new(&options, &arena), "arena");
    sample_must(jdb_pool_new(arena, NULL, &pool), "pool");
}

static void thread_enter(void)
{
}

static void thread_leave(void)
{
}

static inline int get(frame *it)
{
    return jdb_pool_get(pool, it);
}

static inline int put(const frame *it)
{
    return jdb_pool_put(pool, *it);
}

static inline int get_bulk(frame *them)
{
    return jdb_pool_get_n(pool, BULK, them);
}

static inline int put_bulk(const frame *them)
{
    return jdb_pool_put_n(pool, them, BULK);
}

static inline int renew(frame *it)
{
    return jdb_pool_recycle(pool, *it, it);
}

#elif defined(BENCH_MEMPOOL)

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

typedef void *frame;

static struct rte_mempool *pool;

/* EAL binds the calling thread to its core: the others must be free to run anywhere. */
static void pool_make(void)
{
    char *arguments[] = {"bench",    "--no-huge",      "-m", "512", "--no-shconf",
                         "--no-pci", "--no-telemetry", "-l", "0",   "--log-level=1"};
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    sample_must(rte_eal_init(sizeof arguments / sizeof arguments[0], arguments) < 0, "rte_eal_init");
    sched_setaffinity(0, sizeof all, &all);
    pool = rte_mempool_create("bench", FRAMES, FRAME_SIZE, 2 * BULK, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
    sample_must(pool == NULL ? rte_errno : 0, "rte_mempool_create");
}

static void thread_enter(void)
{
    sample_must(rte_thread_register(), "rte_thread_register");
}

static void thread_leave(void)
{
    rte_thread_unregister();
}

static inline int get(frame *it)
{
    return rte_mempool_get(pool, it);
}

static inline int put(const frame *it)
{
    rte_mempool_put(pool, *it);
    return 0;
}

static inline int get_bulk(frame *them)
{
    return rte_mempool_get_bulk(pool, them, BULK);
}

static inline int put_bulk(const frame *them)
{
    rte_mempool_put_bulk(pool, them, BULK);
    return 0;
}

static inline int renew(frame *it)
{
    rte_mempool_put(pool, *it);
    return rte_mempool_get(pool, it);
}

#elif defined(BENCH_FLOOR)

#include "floor.h"

typedef floor_frame frame;

static void pool_make(void)
{
}

static void thread_enter(void)
{
}

static void thread_leave(void)
{
}

static inline int get(frame *it)
{
    return floor_get(NULL, it);
}

static inline int put(const frame *it)
{
    return floor_put(NULL, *it);
}

static inline int get_bulk(frame *them)
{
    return floor_get_n(NULL, BULK, them);
}

static inline int put_bulk(const frame *them)
{
    return floor_put_n(NULL, them, BULK);
}

static inline int renew(frame *it)
{
    return floor_get(NULL, it);
}

#else
#error "no contender chosen"
#endif

/* The compiler must believe that somebody uses the frame. */
static inline void escape(frame *it)
{
    __asm__ volatile("" : : "r"(it) : "memory");
}

/* ---- Within the cache ------------------------------------------------------------------------------------- */

static uint64_t run_pair(const bench_work *work, uint64_t count)
{
    (void)work;
    frame it;
    memset(&it, 0, sizeof it);
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        sample_must(get(&it), "get");
        escape(&it);
        sample_must(put(&it), "put");
    }
    return sample_now() - start;
}

static uint64_t run_bulk(const bench_work *work, uint64_t count)
{
    (void)work;
    frame them[BULK];
    memset(them, 0, sizeof them);
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i += BULK) {
        sample_must(get_bulk(them), "get bulk");
        escape(them);
        sample_must(put_bulk(them), "put bulk");
    }
    return sample_now() - start;
}

static uint64_t run_held(const bench_work *work, uint64_t count)
{
    (void)work;
    frame them[HELD];
    memset(them, 0, sizeof them);
    const uint64_t start = sample_now();
    for (uint64_t done = 0; done < count; done += HELD) {
        for (int i = 0; i < HELD; i++)
            sample_must(get(&them[i]), "get");
        escape(them);
        for (int i = 0; i < HELD; i++)
            sample_must(put(&them[i]), "put");
    }
    return sample_now() - start;
}

/* ---- Every frame lent ------------------------------------------------------------------------------------- */

static frame all[FRAMES];

static void take_all(void)
{
    static bool is_taken;
    frame more;
    for (int i = 0; i < FRAMES && !is_taken; i++)
        sample_must(get(&all[i]), "get of every frame");
    sample_must(get(&more) == 0, "a full pool lends another frame");
    is_taken = true;
}

static uint64_t run_full(const bench_work *work, uint64_t count)
{
    (void)work;
    take_all();
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        frame *const victim = &all[i % FRAMES];
        frame it;
        sample_must(get(&it) == 0, "a full pool lends another frame");
        sample_must(put(victim), "put");
        sample_must(get(victim), "get");
        escape(victim);
    }
    return sample_now() - start;
}

static uint64_t run_recycle(const bench_work *work, uint64_t count)
{
    (void)work;
    take_all();
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        sample_must(renew(&all[i % FRAMES]), "recycle");
        escape(&all[i % FRAMES]);
    }
    return sample_now() - start;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

typedef uint64_t run_function(const bench_work *work, uint64_t count);

typedef struct team {
    run_function *run;
    uint64_t count; /* operations of one thread */
    pthread_barrier_t ready;
} team;

typedef struct member {
    team *team;
    uint64_t start;
    uint64_t end;
} member;

static void *work_in_team(void *context)
{
    member *const me = context;
    thread_enter();
    me->team->run(NULL, HELD);
    pthread_barrier_wait(&me->team->ready);
    me->start = sample_now();
    me->team->run(NULL, me->team->count);
    me->end = sample_now();
    thread_leave();
    return NULL;
}

/* Nanoseconds from the start of the first to the end of the last. */
static uint64_t run_team(run_function *run, uint64_t thread_count, uint64_t count)
{
    pthread_t threads[MAX_THREADS];
    member members[MAX_THREADS];
    team it = {.run = run, .count = count / thread_count / HELD * HELD};
    pthread_barrier_init(&it.ready, NULL, (unsigned)thread_count);
    for (uint64_t i = 0; i < thread_count; i++) {
        members[i] = (member){.team = &it};
        sample_must(pthread_create(&threads[i], NULL, work_in_team, &members[i]), "thread");
    }
    uint64_t start = UINT64_MAX;
    uint64_t end = 0;
    for (uint64_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
        start = members[i].start < start ? members[i].start : start;
        end = members[i].end > end ? members[i].end : end;
    }
    pthread_barrier_destroy(&it.ready);
    return end - start;
}

#if defined(BENCH_JDB)

static frame neighbours[2];
static _Atomic unsigned neighbour_count;

static uint64_t run_pins_alone(const bench_work *work, uint64_t count)
{
    (void)work;
    const uint8_t *const ptr = neighbours[atomic_fetch_add(&neighbour_count, 1) % 2].ptr;
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        sample_must(jdb_pin(ptr, FRAME_SIZE), "pin");
        sample_must(jdb_unpin(ptr, FRAME_SIZE), "unpin");
    }
    return sample_now() - start;
}

/* Nanoseconds that one thread spends, both at work. A member runs twice, to warm up and to be measured: with the same frame, as
 * the barrier is between. */
static uint64_t run_pins(const bench_work *work, uint64_t count)
{
    for (int i = 0; i < 2 && neighbours[1].ptr == NULL; i++)
        sample_must(get(&neighbours[i]), "get");
    sample_must(neighbours[1].index != neighbours[0].index + 1, "frames that are neighbours");
    return run_team(run_pins_alone, work->threads, count) * work->threads;
}

#endif

static uint64_t run_threads(const bench_work *work, uint64_t count)
{
    return run_team(run_pair, work->threads, count);
}

/* Ten runs; a run is as many operations of each thread, however many threads. */
static void print_past(uint64_t thread_count)
{
    double worst = 0;
    double least = 0;
    for (int i = 0; i < RUNS; i++) {
        const uint64_t count = thread_count * PAST_COUNT;
        const double ns = (double)run_team(run_held, thread_count, count) / (double)count;
        worst = ns > worst ? ns : worst;
        least = i == 0 || ns < least ? ns : least;
    }
    printf("{\"work\":\"past\",\"worst\":[%.4f],\"ns\":[%.4f]}\n", worst, least);
}

int main(int argc, char **argv)
{
    static const bench_work works[] = {
        {.name = "pair", .run = run_pair},
        {.name = "bulk", .run = run_bulk, .batch = BULK},
        {.name = "threads", .run = run_threads, .batch = MAX_THREADS * HELD, .threads = 2},
        {.name = "full", .run = run_full},
        {.name = "recycle", .run = run_recycle},
#if defined(BENCH_JDB)
        {.name = "pins", .run = run_pins, .batch = MAX_THREADS * HELD, .threads = 2},
#endif
    };
    pool_make();
    if (argc == 3 && strcmp(argv[1], "past") == 0) {
        const unsigned long thread_count = strtoul(argv[2], NULL, 10);
        sample_must(thread_count < 1 || thread_count > MAX_THREADS, "threads");
        print_past(thread_count);
        return 0;
    }
    return sample_main(argc, argv, works, sizeof works / sizeof works[0]);
}
