/* SPDX-License-Identifier: MIT
 *
 * buffers.c - the timed rows: aligned blocks allocated and freed. One operation is one of each.
 */
#include "maker.h"
#include "sample.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

/* The benchmark's own memory comes from mmap, so that the contenders hold blocks and nothing else, and nothing of
 * the library is laid out differently because of it. */
static void *bench_map(size_t size)
{
    void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sample_must(ptr == MAP_FAILED ? errno : 0, "mmap");
    return ptr;
}

/* ---- One block at a time ---------------------------------------------------------------------------------- */

static uint64_t run_pair(const bench_work *work, uint64_t count)
{
    block it = {0};
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        sample_must(block_make(&it, work->size), "make");
        block_escape(&it);
        block_drop(&it, work->size);
    }
    return sample_now() - start;
}

static uint64_t run_zeroed(const bench_work *work, uint64_t count)
{
    block it = {0};
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        sample_must(block_make_zeroed(&it, work->size), "make zeroed");
        block_escape(&it);
        block_drop(&it, work->size);
    }
    return sample_now() - start;
}

/* No allocator at all: the C library's memset over one hot page. */
static uint64_t run_memset(const bench_work *work, uint64_t count)
{
    uint8_t *const page = bench_map(work->size);
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        memset(page, 0, work->size);
        __asm__ volatile("" : : "r"(page) : "memory");
    }
    const uint64_t took = sample_now() - start;
    munmap(page, work->size);
    return took;
}

/* ---- Many blocks alive ------------------------------------------------------------------------------------ */

typedef struct bench_crowd {
    block *blocks;
    uint32_t *order; /* a random permutation of the indices */
    uint64_t count;
} bench_crowd;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The floor makes nothing: its blocks have addresses from the start. */
static bench_crowd crowd_make(uint64_t count, size_t size)
{
    bench_crowd it = {.blocks = bench_map(count * sizeof *it.blocks), .order = bench_map(count * sizeof *it.order)};
    uint64_t state = 88172645463325252u;
    it.count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = (uint32_t)(next_random(&state) % (i + 1));
        it.order[i] = it.order[j];
        it.order[j] = i;
    }
#ifdef BENCH_FLOOR
    uint8_t *region = bench_map(count * size);
    for (uint64_t i = 0; i < count; i++)
        it.blocks[i] = block_at(region + i * size, size);
#else
    (void)size;
#endif
    return it;
}

/* Made one after the other, the first word written, dropped in random order. */
static uint64_t run_random(const bench_work *work, uint64_t count)
{
    static bench_crowd all;
    if (all.count == 0)
        all = crowd_make(work->live, work->size);
    const uint64_t start = sample_now();
    for (uint64_t done = 0; done < count; done += work->live) {
        for (uint64_t i = 0; i < work->live; i++) {
            sample_must(block_make(&all.blocks[i], work->size), "make");
            *(volatile uint64_t *)(void *)all.blocks[i].ptr = i;
        }
        for (uint64_t i = 0; i < work->live; i++)
            block_drop(&all.blocks[all.order[i]], work->size);
    }
    return sample_now() - start;
}

/* A steady state of `live` blocks: one of them is replaced by a new one. */
static uint64_t run_live(const bench_work *work, uint64_t count)
{
    static bench_crowd all;
    static uint64_t state = 88172645463325252u;
    if (all.count == 0) {
        all = crowd_make(work->live, work->size);
        for (uint64_t i = 0; i < work->live; i++)
            sample_must(block_make(&all.blocks[i], work->size), "make");
    }
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        block *it = &all.blocks[next_random(&state) % work->live];
        block_drop(it, work->size);
        sample_must(block_make(it, work->size), "make");
    }
    return sample_now() - start;
}

/* Sizes from one page to 4,096, each doubling as likely as the other: `live` blocks, one of which is replaced. */
static size_t random_size(uint64_t *state)
{
    const uint64_t order = next_random(state) % 12;
    return (((size_t)1 << order) + next_random(state) % ((size_t)1 << order)) * 4096;
}

static uint64_t run_sizes(const bench_work *work, uint64_t count)
{
    static bench_crowd all;
    static size_t *sizes;
    static uint64_t state = 88172645463325252u;
    if (all.count == 0) {
        all = crowd_make(work->live, 0);
        sizes = bench_map(work->live * sizeof *sizes);
    }
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t at = next_random(&state) % work->live;
        if (sizes[at] != 0)
            block_drop(&all.blocks[at], sizes[at]);
        sizes[at] = random_size(&state);
        sample_must(block_make(&all.blocks[at], sizes[at]), "make");
        all.blocks[at].ptr[0] = 1;
    }
    return sample_now() - start;
}

/* One of `live` blocks and eight small allocations of 100 bytes are replaced; the small ones are malloc's. */
enum { SMALL_SIZE = 100, SMALL_EACH = 8 };

static uint64_t run_small(const bench_work *work, uint64_t count)
{
    static bench_crowd all;
    static void **small;
    static uint64_t state = 88172645463325252u;
    if (all.count == 0) {
        all = crowd_make(work->live, work->size);
        small = bench_map(work->live * SMALL_EACH * sizeof *small);
        for (uint64_t i = 0; i < work->live; i++) {
            sample_must(block_make(&all.blocks[i], work->size), "make");
            *(volatile uint64_t *)(void *)all.blocks[i].ptr = i;
        }
        for (uint64_t i = 0; i < work->live * SMALL_EACH; i++)
            small[i] = malloc(SMALL_SIZE);
    }
    const uint64_t start = sample_now();
    for (uint64_t i = 0; i < count; i++) {
        block *it = &all.blocks[next_random(&state) % work->live];
        block_drop(it, work->size);
        for (unsigned j = 0; j < SMALL_EACH; j++) {
            void **place = &small[next_random(&state) % (work->live * SMALL_EACH)];
            free(*place);
            *place = malloc(SMALL_SIZE);
            *(volatile char *)*place = 1;
        }
        sample_must(block_make(it, work->size), "make");
        *(volatile uint64_t *)(void *)it->ptr = i;
    }
    return sample_now() - start;
}

/* Blocks aligned to their size, so many alive at once. */
enum { AT_ONCE = 64 };

static uint64_t run_aligned(const bench_work *work, uint64_t count)
{
    block blocks[AT_ONCE] = {0};
    const uint64_t start = sample_now();
    for (uint64_t done = 0; done < count; done += AT_ONCE) {
        for (unsigned i = 0; i < AT_ONCE; i++) {
            sample_must(block_make_aligned(&blocks[i], work->size, work->size), "make");
            block_escape(&blocks[i]);
        }
        for (unsigned i = 0; i < AT_ONCE; i++)
            block_drop_aligned(&blocks[i], work->size);
    }
    return sample_now() - start;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

enum { MAX_THREADS = 64, WARM_BATCHES = 64 };

typedef struct bench_team bench_team;
struct bench_team {
    const bench_work *work;
    uint64_t count; /* operations of one thread */
    void (*member)(const bench_team *team, uint64_t count);
    pthread_barrier_t ready;
};

typedef struct bench_member {
    bench_team *team;
    uint64_t start, end;
} bench_member;

static void make_and_drop_batch(block *blocks, size_t size)
{
    for (unsigned i = 0; i < AT_ONCE; i++) {
        sample_must(block_make(&blocks[i], size), "make");
        block_escape(&blocks[i]);
    }
    for (unsigned i = 0; i < AT_ONCE; i++)
        block_drop(&blocks[i], size);
}

static void member_batches(const bench_team *team, uint64_t count)
{
    block blocks[AT_ONCE] = {0};
    for (uint64_t done = 0; done < count; done += AT_ONCE)
        make_and_drop_batch(blocks, team->work->size);
}

/* One of 32 blocks of 17 to 64 pages is replaced. */
static void member_middle(const bench_team *team, uint64_t count)
{
    enum { LIVE = 32 };
    block blocks[LIVE];
    size_t sizes[LIVE] = {0};
    uint64_t state = (uintptr_t)blocks | 1;
    (void)team;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t at = next_random(&state) % LIVE;
        if (sizes[at] != 0)
            block_drop(&blocks[at], sizes[at]);
        sizes[at] = (17 + next_random(&state) % 48) * 4096;
        sample_must(block_make(&blocks[at], sizes[at]), "make");
        blocks[at].ptr[0] = 1;
    }
    for (unsigned i = 0; i < LIVE; i++)
        if (sizes[i] != 0)
            block_drop(&blocks[i], sizes[i]);
}

static void *member_main(void *context)
{
    bench_member *it = context;
    it->team->member(it->team, WARM_BATCHES * AT_ONCE);
    pthread_barrier_wait(&it->team->ready);
    it->start = sample_now();
    it->team->member(it->team, it->team->count);
    it->end = sample_now();
    return NULL;
}

/* Every thread does `count` operations. The time is that of one processor: with more threads than processors, what the
 * threads took divided by how many shared one. */
static uint64_t run_team(const bench_work *work, uint64_t count, void (*member)(const bench_team *team, uint64_t count))
{
    const uint64_t processors = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t threads = work->threads < MAX_THREADS ? work->threads : MAX_THREADS;
    bench_team team = {.work = work, .count = count, .member = member};
    bench_member members[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    sample_must(pthread_barrier_init(&team.ready, NULL, (unsigned)threads), "pthread_barrier_init");
    for (uint64_t i = 0; i < threads; i++) {
        members[i] = (bench_member){.team = &team};
        sample_must(pthread_create(&ids[i], NULL, member_main, &members[i]), "pthread_create");
    }
    uint64_t first = UINT64_MAX, last = 0;
    for (uint64_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        first = members[i].start < first ? members[i].start : first;
        last = members[i].end > last ? members[i].end : last;
    }
    pthread_barrier_destroy(&team.ready);
    return threads > processors ? (last - first) * processors / threads : last - first;
}

static uint64_t run_threads(const bench_work *work, uint64_t count)
{
    return run_team(work, count, member_batches);
}

static uint64_t run_middle(const bench_work *work, uint64_t count)
{
    return run_team(work, count, member_middle);
}

/* ---- Made on one thread, dropped on another ---------------------------------------------------------------- */

/* One writer, one reader; each keeps a copy of the other's index and looks again only when it seems stuck. */
enum { RING_SLOTS = 1024, SPINS = 2000 };

typedef struct bench_ring {
    _Alignas(128) _Atomic uint64_t written;
    _Alignas(128) _Atomic uint64_t read;
    _Alignas(128) uint8_t *slots[RING_SLOTS];
} bench_ring;

typedef struct bench_handoff {
    const bench_work *work;
    uint64_t count;
    pthread_barrier_t ready;
    bench_ring ring;
    uint64_t end; /* when the last block was dropped */
} bench_handoff;

static uint64_t wait_for_change(_Atomic uint64_t *index, uint64_t old)
{
    for (unsigned spins = 0;; spins++) {
        const uint64_t now = atomic_load_explicit(index, memory_order_acquire);
        if (now != old)
            return now;
        if (spins % SPINS == SPINS - 1)
            sched_yield();
    }
}

static void *handoff_drop(void *context)
{
    bench_handoff *it = context;
    uint64_t written = 0;
    pthread_barrier_wait(&it->ready);
    for (uint64_t i = 0; i < it->count; i++) {
        if (i == written)
            written = wait_for_change(&it->ring.written, i);
        block got = block_at(it->ring.slots[i % RING_SLOTS], it->work->size);
        block_drop(&got, it->work->size);
        atomic_store_explicit(&it->ring.read, i + 1, memory_order_release);
    }
    it->end = sample_now();
    return NULL;
}

static void handoff_make(bench_handoff *it)
{
    uint64_t read = 0;
    block made = {0};
    for (uint64_t i = 0; i < it->count; i++) {
        if (i - read == RING_SLOTS)
            read = wait_for_change(&it->ring.read, read);
        sample_must(block_make(&made, it->work->size), "make");
        it->ring.slots[i % RING_SLOTS] = made.ptr;
        atomic_store_explicit(&it->ring.written, i + 1, memory_order_release);
    }
}

/* Addresses go through a ring of pointers, whose own cost is what the floor takes here. */
static uint64_t run_handoff(const bench_work *work, uint64_t count)
{
    static bench_handoff it;
    it.work = work;
    it.count = count;
    atomic_store(&it.ring.written, 0);
    atomic_store(&it.ring.read, 0);
    sample_must(pthread_barrier_init(&it.ready, NULL, 2), "pthread_barrier_init");
    pthread_t reader;
    sample_must(pthread_create(&reader, NULL, handoff_drop, &it), "pthread_create");
    pthread_barrier_wait(&it.ready);
    const uint64_t start = sample_now();
    handoff_make(&it);
    pthread_join(reader, NULL);
    pthread_barrier_destroy(&it.ready);
    return it.end - start;
}

/* The same through a queue that holds `live` blocks, whose threads wait in the kernel; every page is written. */
typedef struct bench_queue {
    const bench_work *work;
    uint64_t count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    block *slots;
    uint64_t written, read;
} bench_queue;

static void *queue_drop(void *context)
{
    bench_queue *it = context;
    for (uint64_t i = 0; i < it->count; i++) {
        pthread_mutex_lock(&it->lock);
        while (it->read == it->written)
            pthread_cond_wait(&it->changed, &it->lock);
        block got = it->slots[it->read++ % it->work->live];
        pthread_cond_signal(&it->changed);
        pthread_mutex_unlock(&it->lock);
        block_drop(&got, it->work->size);
    }
    return NULL;
}

static void queue_make(bench_queue *it)
{
    for (uint64_t i = 0; i < it->count; i++) {
        block made = {0};
        sample_must(block_make(&made, it->work->size), "make");
#ifndef BENCH_FLOOR
        for (size_t at = 0; at < it->work->size; at += 4096)
            made.ptr[at] = 1;
#endif
        pthread_mutex_lock(&it->lock);
        while (it->written - it->read == it->work->live)
            pthread_cond_wait(&it->changed, &it->lock);
        it->slots[it->written++ % it->work->live] = made;
        pthread_cond_signal(&it->changed);
        pthread_mutex_unlock(&it->lock);
    }
}

static uint64_t run_queue(const bench_work *work, uint64_t count)
{
    static bench_queue it = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    if (it.slots == NULL)
        it.slots = bench_map(work->live * sizeof *it.slots);
    it.work = work;
    it.count = count;
    pthread_t reader;
    const uint64_t start = sample_now();
    sample_must(pthread_create(&reader, NULL, queue_drop, &it), "pthread_create");
    queue_make(&it);
    pthread_join(reader, NULL);
    return sample_now() - start;
}

/* The same in steps of a thousand, for counting its instructions: threads wait in the kernel, never by spinning. */
enum { STEP = 1000 };

typedef struct bench_steps {
    const bench_work *work;
    uint64_t count;
    pthread_barrier_t turn;
    block blocks[STEP];
} bench_steps;

static void *steps_drop(void *context)
{
    bench_steps *it = context;
    for (uint64_t done = 0; done < it->count; done += STEP) {
        pthread_barrier_wait(&it->turn);
        for (unsigned i = 0; i < STEP; i++)
            block_drop(&it->blocks[i], it->work->size);
        pthread_barrier_wait(&it->turn);
    }
    return NULL;
}

static uint64_t run_steps(const bench_work *work, uint64_t count)
{
    static bench_steps it;
    it.work = work;
    it.count = count;
    sample_must(pthread_barrier_init(&it.turn, NULL, 2), "pthread_barrier_init");
    pthread_t dropper;
    const uint64_t start = sample_now();
    sample_must(pthread_create(&dropper, NULL, steps_drop, &it), "pthread_create");
    for (uint64_t done = 0; done < count; done += STEP) {
        for (unsigned i = 0; i < STEP; i++)
            sample_must(block_make(&it.blocks[i], work->size), "make");
        pthread_barrier_wait(&it.turn);
        pthread_barrier_wait(&it.turn);
    }
    pthread_join(dropper, NULL);
    pthread_barrier_destroy(&it.turn);
    return sample_now() - start;
}

static const bench_work works[] = {
    {.name = "pair", .run = run_pair, .size = 4096},
    {.name = "zeroed", .run = run_zeroed, .size = 4096},
    {.name = "memset", .run = run_memset, .size = 4096},
    {.name = "random", .run = run_random, .batch = 4096, .size = 4096, .live = 4096},
    {.name = "live", .run = run_live, .size = 4096, .live = 1000},
    {.name = "threads", .run = run_threads, .batch = AT_ONCE, .size = 4096, .threads = 2},
    {.name = "handoff", .run = run_handoff, .size = 4096},
    {.name = "queue", .run = run_queue, .size = 65536, .live = 64},
    {.name = "middle", .run = run_middle, .threads = 4},
    {.name = "sizes", .run = run_sizes, .live = 256},
    {.name = "small", .run = run_small, .size = 4096, .live = 10000},
    {.name = "aligned", .run = run_aligned, .batch = AT_ONCE, .size = 16384},
    {.name = "steps", .run = run_steps, .batch = STEP, .size = 4096},
};

int main(int argc, char **argv)
{
    return sample_main(argc, argv, works, sizeof works / sizeof works[0]);
}
