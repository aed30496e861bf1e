/* SPDX-License-Identifier: MIT
 *
 * cache.h - warm runs near the thread that uses them. Floor 3: for pages.c and, its fast path, buf.c.
 *
 *   thread cache   of each thread: a bin of page indices per size class (runs of 1 to 16 pages), and a few larger runs.
 *                  No lock, no atomic read-modify-write.
 *   shared cache   of the process: a stack of indices per class, each under its lock. Thread caches fill and empty
 *                  by batches, so a lock is taken at most once for 32 pages that go through it.
 *   heap           behind both (heap.h).
 *
 * Hysteresis: an empty bin is filled by half, a full bin is emptied by half.
 *
 * Runs of the first zone only. A cached run has a word of state CACHED: that is how a second drop is told. The thread that
 * takes or puts a run owns it, and stores its word without a lock.
 *
 * Order of locks: registry, then shared caches by class, then quarantine (quarantine.h), then heap.
 */
#ifndef JDB_CACHE_H
#define JDB_CACHE_H

#include "check.h"
#include "heap.h"

#define CACHE_CLASS_MAX HEAP_CLASS_MAX /* pages of the largest class */
#define CACHE_CLASS_BYTES (CACHE_CLASS_MAX * JDB_PAGE_SIZE)
#define CACHE_BIN_MAX 128
#define CACHE_LARGE_MAX 8
#define CACHE_TICKS 64 /* calls between looks at the clock */

/* A run of the first zone: its address and its word. */
struct cache_run {
    uint8_t *ptr;
    _Atomic uint64_t *word;
};

/* A bin is a stack with its newest run beside it. Make and drop in turn go through the run beside: its place is
 * remembered when it is taken, and only `beside` changes, so that no call waits for a number that the call before has just
 * stored, and a drop of the same run needs no search. */
struct cache_bin {
    _Atomic uint32_t
        beside; /* enum cache_beside; with count, stored by the owner alone, read by others for statistics */
    _Atomic uint32_t count; /* on the stack */
    struct cache_run run;   /* beside; remembered when there is none */
    uint64_t lent_word;     /* of a run of this class that is lent; 0 in the caches that stand for "none" */
    uint32_t *items;        /* the stack: limit + 1 page indices */
    uint32_t limit;         /* most on the stack; 0 in the caches that stand for "none" */
    uint32_t reserved[5];   /* 64 bytes */
};

_Static_assert(sizeof(struct cache_bin) == 64 || sizeof(void *) != 8, "a bin is found by a shift");

/* A cached word is the lent word with these bits turned over. */
#define CACHE_WORD_FLIP ((uint64_t)RUNS_LENT ^ (uint64_t)RUNS_CACHED)

enum cache_beside {
    CACHE_BESIDE_NONE,
    CACHE_BESIDE_RUN,
    CACHE_BESIDE_SHUT, /* in the caches that stand for "none" */
};

struct cache {
    struct cache_bin bins[CACHE_CLASS_MAX]; /* by class: pages less one */
    uint32_t ticks;                         /* drops until the next look at the clock */
    uint32_t large_count;
    _Atomic uint32_t large_pages;
    uint32_t large_limit; /* pages; 0 from a turn to the first put behind it, see jdb__cache_keep_large() */
    uint32_t items[CACHE_CLASS_MAX][CACHE_BIN_MAX + 1];
    struct {
        uint32_t index;
        uint32_t page_count;
        bool is_old;          /* put before the last turn */
    } large[CACHE_LARGE_MAX]; /* oldest first */
    uint64_t seen_ms;         /* last look at the clock */
    uint64_t turn_ms;         /* last turn */
    struct cache *next;       /* in the registry */
    struct cache **link;
};

/* The calling thread's cache; or one that is empty and full at once, so that the next call takes the slow path: before the
 * thread's first call, after its end, and when it shall look at the clock. Initial-exec: a call through __tls_get_addr
 * would cost more than the rest of the fast path, and a few bytes fit in every dlopen. */
#if defined(__GNUC__) || defined(__clang__)
extern _Thread_local struct cache *jdb__cache __attribute__((tls_model("initial-exec")));
#else
extern _Thread_local struct cache *jdb__cache;
#endif

/* ---- Fast path -------------------------------------------------------------------------------------------- */

static inline struct cache_bin *cache_bin_for(struct cache *cache, uint32_t page_count)
{
    return &cache->bins[page_count - 1];
}

static inline struct cache_run cache_run_at(uint32_t index)
{
    return (struct cache_run){heap_front_base() + (size_t)index * JDB_PAGE_SIZE, &heap_front_words()[index]};
}

static inline uint32_t cache_index_of(const uint8_t *ptr)
{
    return (uint32_t)((size_t)(ptr - heap_front_base()) / JDB_PAGE_SIZE);
}

static inline uint32_t cache_beside(const struct cache_bin *bin)
{
    return atomic_load_explicit(&bin->beside, memory_order_relaxed);
}

static inline void cache_set_beside(struct cache_bin *bin, enum cache_beside beside)
{
    atomic_store_explicit(&bin->beside, beside, memory_order_relaxed);
}

/* Take the run put last. False: the bin is empty. The caller stores its word. */
static inline bool cache_pop(struct cache_bin *bin, struct cache_run *ret_run)
{
    if (JDB_LIKELY(cache_beside(bin) == CACHE_BESIDE_RUN)) {
        ret_run->ptr = bin->run.ptr;
        ret_run->word = bin->run.word;
        cache_set_beside(bin, CACHE_BESIDE_NONE);
        return true;
    }
    const uint32_t count = atomic_load_explicit(&bin->count, memory_order_relaxed);
    if (JDB_UNLIKELY(count == 0))
        return false;
    *ret_run = cache_run_at(bin->items[count - 1]);
    atomic_store_explicit(&bin->count, count - 1, memory_order_relaxed);
    return true;
}

/* Put a run whose word says CACHED. False: the bin is full. */
static inline bool cache_push(struct cache_bin *bin, uint32_t index)
{
    if (cache_beside(bin) == CACHE_BESIDE_NONE) {
        bin->run = cache_run_at(index);
        cache_set_beside(bin, CACHE_BESIDE_RUN);
        return true;
    }
    const uint32_t count = atomic_load_explicit(&bin->count, memory_order_relaxed);
    if (JDB_UNLIKELY(count >= bin->limit))
        return false;
    bin->items[count] = index;
    atomic_store_explicit(&bin->count, count + 1, memory_order_relaxed);
    return true;
}

/* Take a larger run of exactly page_count pages, put last first, at a multiple of align bytes. The caller stores its word. */
static inline bool cache_pop_large(struct cache *cache, uint64_t page_count, size_t align, uint32_t *ret_index)
{
    for (uint32_t i = cache->large_count; i-- > 0;) {
        const uint32_t index = cache->large[i].index;
        const uintptr_t address = (uintptr_t)heap_front_base() + (uintptr_t)index * JDB_PAGE_SIZE;
        if (cache->large[i].page_count != page_count || (address & (align - 1)) != 0)
            continue;
        const uint32_t kept = atomic_load_explicit(&cache->large_pages, memory_order_relaxed) - (uint32_t)page_count;
        atomic_store_explicit(&cache->large_pages, kept, memory_order_relaxed);
        cache->large_count--;
        for (; i < cache->large_count; i++)
            cache->large[i] = cache->large[i + 1];
        *ret_index = index;
        return true;
    }
    return false;
}

/* Put a larger run whose word says CACHED. False: no room. */
static inline bool cache_push_large(struct cache *cache, uint64_t page_count, uint32_t index)
{
    const uint64_t kept = atomic_load_explicit(&cache->large_pages, memory_order_relaxed) + page_count;
    const uint32_t count = cache->large_count;
    if (JDB_UNLIKELY(kept > cache->large_limit || count == CACHE_LARGE_MAX))
        return false;
    cache->large[count].index = index;
    cache->large[count].page_count = (uint32_t)page_count;
    cache->large[count].is_old = false;
    cache->large_count = count + 1;
    atomic_store_explicit(&cache->large_pages, (uint32_t)kept, memory_order_relaxed);
    return true;
}

/* ---- Slow path -------------------------------------------------------------------------------------------- */

/* The calling thread's cache, made on its first call; NULL when it cannot be (no memory, the thread ends), and in the checked
 * build, where every run goes through the heap and the quarantine. */
struct cache *jdb__cache_own(void);

/* Fill the bin of page_count pages by half from the shared cache, else from the heap. Errors as jdb__heap_take(). */
int jdb__cache_fill(struct cache *cache, uint32_t page_count, uint64_t *ret_missing);

/* Empty the bin by half. */
void jdb__cache_spill(struct cache *cache, uint32_t page_count);

/* As cache_push_large(), and makes room: what no longer fits goes to the heap, this run included, and then the result
 * is false. The first put after a turn makes the next call look at the clock, so that a thread which keeps large runs and
 * goes idle gives them back. */
bool jdb__cache_keep_large(struct cache *cache, uint32_t page_count, uint32_t index);

/* The thread's next call looks at the clock. */
void jdb__cache_wake_next(struct cache *cache);

/* Hand everything the thread keeps to the others. */
void jdb__cache_flush(struct cache *cache);

/* A period has passed: hand over half of each bin, and the larger runs that were put before the last turn. A bin
 * in use is filled again for one lock; one that is not is empty after a few periods. */
void jdb__cache_turn(struct cache *cache);

/* Give the shared caches to the heap: all of them, or what was not touched since the last call. */
void jdb__cache_drain_shared(bool all);

void jdb__cache_set_thread_bytes(uint64_t bytes);
void jdb__cache_set_shared_bytes(uint64_t bytes);

/* ---- Look ------------------------------------------------------------------------------------------------- */

struct cache_stats {
    uint64_t thread_count;
    uint64_t thread_pages;
    uint64_t shared_pages;
    uint64_t lock_count;
};

void jdb__cache_stats(struct cache_stats *ret_stats);

/* Runs of one class in the caches of threads, and in the shared cache. */
void jdb__cache_class_stats(uint32_t page_count, uint64_t *ret_thread_count, uint64_t *ret_shared_count);

#endif
