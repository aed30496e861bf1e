/* SPDX-License-Identifier: MIT
 *
 * cache.h - warm runs near the thread that uses them. Floor 3: for pages.c and, its fast path, buf.c.
 *
 *   thread cache   of each thread: a bin of runs per size class (1 to 16 pages), and a few larger runs. No lock, no
 *                  atomic read-modify-write.
 *   shared cache   of the process: a stack of indices per class, each under its lock. Thread caches fill and empty
 *                  by batches, so a lock is taken at most once for 32 pages that go through it.
 *   heap           behind both (heap.h).
 *
 * Hysteresis: an empty bin is filled by half, a full bin is emptied by half.
 *
 * Runs of the first zone only. A cached run has a word of state CACHED: that is how a second drop is told. The thread that
 * takes or puts a run owns it, and stores its word without a lock.
 */
#ifndef JDB_CACHE_H
#define JDB_CACHE_H

#include "base/check.h"
#include "page/heap.h"

#define CACHE_CLASS_MAX HEAP_CLASS_MAX /* pages of the largest class */
#define CACHE_CLASS_BYTES (CACHE_CLASS_MAX * JDB_PAGE_SIZE)
#define CACHE_BIN_COUNT (2 * CACHE_CLASS_MAX) /* by pages; those of no class, 0 among them, stay shut */
#define CACHE_BIN_MAX 128
#define CACHE_LARGE_MAX 8
#define CACHE_TICKS 64 /* calls between looks at the clock */

/* A run of the first zone: its address and its word. */
struct cache_run {
    uint8_t *ptr;
    _Atomic uint64_t *word;
};

/* A bin is a stack with its newest run beside it. Make and drop in turn go through the run beside: its place is
 * remembered when it is taken, so that a drop of the same run needs no search. Whether it is there its word alone tells,
 * which then has the owner's number where a lent run has its pins: a number that no other cache uses, so that the same run in
 * the cache of another thread looks different. A make or drop costs one store here, that of the word. */
struct cache_bin {
    _Atomic(_Atomic uint64_t *) word; /* of the run beside, or that was; of no run: &jdb__no_word. Stored by the owner
                                       * alone, read by others for statistics */
    uint8_t *ptr;                     /* its address */
    uint64_t beside_word;             /* of a run beside */
    uint64_t lent_word;               /* of a run of this class that is lent */
    struct cache_run *items;          /* the stack: limit + 1 runs */
    _Atomic uint32_t count;           /* on the stack; as `word` */
    uint32_t limit;                   /* most on the stack; 0 in a shut bin */
    uint64_t reserved[2];
};

_Static_assert(sizeof(struct cache_bin) * 64 == JDB_PAGE_SIZE, "a size finds its bin by one shift");
_Static_assert((CACHE_BIN_COUNT & (CACHE_BIN_COUNT - 1)) == 0, "and its having one by one mask");

/* A cached word is the lent word with these bits turned over. */
#define CACHE_WORD_FLIP ((uint64_t)RUNS_LENT ^ (uint64_t)RUNS_CACHED)

/* The word of no run. */
extern _Atomic uint64_t jdb__no_word;

struct cache {
    struct cache_bin bins[CACHE_BIN_COUNT];
    uint32_t ticks; /* drops until the next look at the clock */
    uint32_t large_count;
    _Atomic uint32_t large_pages;
    uint32_t large_limit; /* pages; 0 from a turn to the first put behind it, see jdb__cache_keep_large() */
    struct {
        uint32_t index;
        uint32_t page_count;
        bool is_old;          /* put before the last turn */
    } large[CACHE_LARGE_MAX]; /* oldest first */
    uint64_t seen_ms;         /* last look at the clock */
    uint64_t turn_ms;         /* last turn */
    uint32_t number;          /* of this cache, from 1; never used again */
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
    return &cache->bins[page_count];
}

/* Whether a size in bytes has a bin, which may be shut: a whole number of pages, and a small one. */
static inline bool cache_has_bin(size_t size)
{
    return (size & ~((CACHE_BIN_COUNT - 1) * (size_t)JDB_PAGE_SIZE)) == 0;
}

/* The bin of such a size: cache->bins[size / JDB_PAGE_SIZE], by one shift. */
static inline struct cache_bin *cache_bin_of_size(struct cache *cache, size_t size)
{
    return (struct cache_bin *)(void *)((uint8_t *)cache->bins + size / (JDB_PAGE_SIZE / sizeof(struct cache_bin)));
}

static inline struct cache_run cache_run_at(uint32_t index)
{
    return (struct cache_run){heap_front_base() + (size_t)index * JDB_PAGE_SIZE, &heap_front_words()[index]};
}

static inline uint32_t cache_index_of(struct cache_run run)
{
    return (uint32_t)(run.word - heap_front_words());
}

static inline uint64_t cache_load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Of a run that is dropped: the last unpin of it, by another thread, is over and all that came before it is seen. */
static inline uint64_t cache_load_dropped(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/* The run beside when it is there, else the word of a run that is elsewhere, or of none. */
static inline struct cache_run cache_run_beside(const struct cache_bin *bin)
{
    return (struct cache_run){bin->ptr, atomic_load_explicit(&bin->word, memory_order_relaxed)};
}

static inline bool cache_has_beside(const struct cache_bin *bin)
{
    return cache_load(cache_run_beside(bin).word) == bin->beside_word;
}

/* Remember a run, which then is the one to be beside. */
static inline void cache_remember(struct cache_bin *bin, struct cache_run run)
{
    bin->ptr = run.ptr;
    atomic_store_explicit(&bin->word, run.word, memory_order_relaxed);
}

/* Take a run from the stack, there being none beside. The word of the run that was beside is read no more: it may belong
 * to another thread now. False: the stack is empty. The caller stores the run's word. */
static inline bool cache_pop_stack(struct cache_bin *bin, struct cache_run *ret_run)
{
    const uint32_t count = atomic_load_explicit(&bin->count, memory_order_relaxed);
    if (JDB_UNLIKELY(count == 0))
        return false;
    *ret_run = bin->items[count - 1];
    atomic_store_explicit(&bin->count, count - 1, memory_order_relaxed);
    atomic_store_explicit(&bin->word, &jdb__no_word, memory_order_relaxed);
    return true;
}

/* Take the run put last. False: the bin is empty. The caller stores its word. */
static inline bool cache_pop(struct cache_bin *bin, struct cache_run *ret_run)
{
    if (!cache_has_beside(bin))
        return cache_pop_stack(bin, ret_run);
    *ret_run = cache_run_beside(bin);
    return true;
}

/* Put a run and store its word. False: the bin is full, and nothing is stored. */
static inline bool cache_push(struct cache_bin *bin, struct cache_run run)
{
    if (!cache_has_beside(bin)) {
        cache_remember(bin, run);
        atomic_store_explicit(run.word, bin->beside_word, memory_order_relaxed);
        return true;
    }
    const uint32_t count = atomic_load_explicit(&bin->count, memory_order_relaxed);
    if (JDB_UNLIKELY(count >= bin->limit))
        return false;
    bin->items[count] = run;
    atomic_store_explicit(&bin->count, count + 1, memory_order_relaxed);
    atomic_store_explicit(run.word, bin->lent_word ^ CACHE_WORD_FLIP, memory_order_relaxed);
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
