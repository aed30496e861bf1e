/* SPDX-License-Identifier: MIT
 *
 * thread_cache.h - freed runs that a thread keeps for its next calls: the fast path of view/buf.c, without a lock and
 * without an atomic read-modify-write.
 *
 *   bin       for each size class (1 to 64 pages): a stack of runs, and beside it a hot slot for the run freed last
 *   large     a list of up to 8 larger runs, of any zone but those of bounded runs
 *
 * Behind it lie the shared caches (shared_cache.h), and the heap behind both. An empty bin is filled, of a full one half is
 * handed on: runs go in batches. A fill takes a few runs, and each that follows within a decay epoch twice as many, up to
 * half of the bin: a thread that needs few keeps few.
 *
 * Hot slot. Allocate and free in turn use the run in the hot slot. The bin remembers it when it is taken, so that
 * freeing the same run needs no search. Only its word says whether it is there: it then has the number of the cache in
 * place of pins, which no other cache has, so that the same run in another thread's cache looks different. An allocate
 * or free there costs one store, that of the word.
 *
 * Invariants, numbered as in docs/design.md:
 *   P7   a CACHED word belongs to one owner: one thread's cache, one shared stack, the quarantine, or a thread that is
 *        giving the run back; nobody else stores it
 *   P8   a run in a thread's or shared cache is not pinned, not bounded, and, where it is of a class, of the primary zone
 *        and was not moved. cache_may_keep() says so of a run; the fast paths see it by one comparison, with bin->lent_word, or by
 *        word_is_plain()
 *   P11  the memory of a cache is never freed: it is used again by a later thread
 *
 * A cache belongs to its thread, which alone changes it while it says that it is inside; whoever revokes the cache has it
 * once the owner is not (registry.h). Freeing into the hot slot is one store, that of the word, and is done without:
 * whenever it comes, the run is in the cache from then on. Others read the atomic fields, for statistics; a child of fork()
 * takes the runs of threads that it does not have (registry.c).
 */
#ifndef JDB_THREAD_CACHE_H
#define JDB_THREAD_CACHE_H

#include "base/check.h"
#include "page/heap.h"
#include "page/profile.h"

#define CLASS_BYTES_MAX (CLASS_PAGES_MAX * JDB_PAGE_SIZE)
#define BIN_COUNT (2 * CLASS_PAGES_MAX) /* by pages; those of no class, 0 among them, stay shut */
#define BIN_RUNS_MAX 128
#define LARGE_RUNS_MAX 8
#define DECAY_POLL_CALLS 64 /* frees of a thread from one decay poll to the next */

/* A run: its address and its word. */
struct cached_run {
    uint8_t *ptr;
    _Atomic uint64_t *word;
};

struct bin {
    _Atomic(_Atomic uint64_t *)
        word;                 /* of the run in the hot slot, or of the one that was; of no run: &jdb__no_word. Stored
                                       * by the owner alone, read by others for statistics */
    uint8_t *ptr;             /* its address */
    uint64_t hot_word;        /* of a run in the hot slot */
    uint64_t lent_word;       /* of a run of this class that is lent */
    struct cached_run *items; /* the stack: limit + 1 runs */
    _Atomic uint32_t count;   /* on the stack; as `word` */
    uint32_t limit;           /* most on the stack; 0 in a shut bin */
    size_t lent_len;          /* 0: with the next, two words of a buffer that is copied as one */
    size_t lent_cap;          /* bytes of a run of this class */
};

_Static_assert(sizeof(struct bin) * 64 == JDB_PAGE_SIZE, "a size finds its bin by one shift");
_Static_assert((BIN_COUNT & (BIN_COUNT - 1)) == 0, "one mask shows whether a size has a bin");

/* The word of no run. */
extern _Atomic uint64_t jdb__no_word;

struct large_run {
    struct cached_run run;
    uint32_t page_count;
    bool is_old; /* kept since before this decay epoch */
};

struct thread_cache {
    struct bin bins[BIN_COUNT];
    uint8_t fills[CLASS_PAGES_MAX + 1]; /* runs that the last fill asked for; 0: none since the last decay epoch */
    uint32_t calls_to_poll;             /* frees until the next decay poll */
    uint32_t large_count;
    _Atomic uint32_t large_pages;
    uint32_t
        large_limit; /* pages; 0 from the end of an epoch to the next large run: see jdb__thread_cache_keep_large() */
    struct large_run large[LARGE_RUNS_MAX]; /* oldest first */
    uint64_t poll_ms;                       /* last decay poll */
    uint64_t epoch_ms;                      /* start of this decay epoch */
    uint32_t number;                        /* of this cache, from 1; no other has it, ever */
    uint64_t lost_pages;                    /* taken while it was revoked, and the owner does not know it yet */
    struct thread_here *owner;
    struct thread_cache *next; /* in the registry */
    struct thread_cache **link;
    struct thread_cache *made_before; /* in the list of all caches ever made */
    struct profile_thread profile;
};

struct thread_here {
    /* The thread's cache; or one whose bins are all empty and full at once, so that the next call takes the slow path: before
     * the thread's first call, after its end, when it is to poll the clock, and when its cache is revoked. */
    _Atomic(struct thread_cache *) cache;
    _Atomic uint32_t is_inside; /* stored by the thread alone */
    bool has_ended;             /* its destructor ran */
};

/* Of the calling thread. Initial-exec: a call through __tls_get_addr would cost more than the rest of the fast path, and a
 * few bytes fit in every dlopen. */
extern _Thread_local struct thread_here jdb__here FORK_TLS;

/* ---- Inside of a cache ------------------------------------------------------------------------------------ */

/* The cache, to read what no other thread changes. */
static inline struct thread_cache *cache_here(void)
{
    return atomic_load_explicit(&jdb__here.cache, memory_order_relaxed);
}

/* Either this load sees that the cache is revoked, or the thread that revokes it sees the store: its membarrier call stands
 * between both. */
static inline struct thread_cache *cache_enter(void)
{
    atomic_store_explicit(&jdb__here.is_inside, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return cache_here();
}

static inline void cache_leave(void)
{
    atomic_store_explicit(&jdb__here.is_inside, 0, memory_order_release);
}

/* ---- Runs ------------------------------------------------------------------------------------------------- */

/* P8, of a run that is freed; page_count: of its word. */
static inline bool cache_may_keep(const struct run *run, uint64_t word)
{
    const bool is_moved = (word & WORD_MOVED) != 0;
    JDB_ASSERT(word_pins(word) == 0 && word_pages(word) == run->page_count);
    if (run->page_count > CLASS_PAGES_MAX)
        return !run->zone->is_bounded;
    return run->zone->base == primary_base() && !is_moved;
}

static inline struct cached_run cached_run_at(uint32_t index)
{
    return (struct cached_run){primary_base() + (size_t)index * JDB_PAGE_SIZE, &primary_words()[index]};
}

static inline uint32_t cached_run_index(struct cached_run run)
{
    return (uint32_t)(run.word - primary_words());
}

/* ---- Bins: the fast path ---------------------------------------------------------------------------------- */

static inline struct bin *cache_bin(struct thread_cache *cache, uint32_t page_count)
{
    JDB_ASSERT(page_count > 0 && page_count <= CLASS_PAGES_MAX);
    return &cache->bins[page_count];
}

/* Whether a size in bytes has a bin, which may be shut: a whole number of pages, and a small one. */
static inline bool size_has_bin(size_t size)
{
    return (size & ~((BIN_COUNT - 1) * (size_t)JDB_PAGE_SIZE)) == 0;
}

/* The bin of such a size: cache->bins[size / JDB_PAGE_SIZE], by one shift. */
static inline struct bin *cache_bin_of_size(struct thread_cache *cache, size_t size)
{
    JDB_ASSERT(size_has_bin(size));
    return (struct bin *)(void *)((uint8_t *)cache->bins + size / (JDB_PAGE_SIZE / sizeof(struct bin)));
}

/* The bin of the pages below the one that byte `last` is in; there are fewer than BIN_COUNT. */
static inline struct bin *cache_bin_up_to(struct thread_cache *cache, size_t last)
{
    const uint32_t offset = (uint32_t)(last / (JDB_PAGE_SIZE / sizeof(struct bin)));
    JDB_ASSERT(last < (size_t)BIN_COUNT * JDB_PAGE_SIZE);
    return (struct bin *)(void *)((uint8_t *)cache->bins + (offset & ~(uint32_t)(sizeof(struct bin) - 1)));
}

/* The run that the hot slot has, or had, or none. */
static inline struct cached_run bin_hot_run(const struct bin *bin)
{
    return (struct cached_run){bin->ptr, atomic_load_explicit(&bin->word, memory_order_relaxed)};
}

static inline bool bin_has_hot(const struct bin *bin)
{
    return word_load(bin_hot_run(bin).word) == bin->hot_word;
}

/* Remember a run: the next one to be in the hot slot. */
static inline void bin_remember(struct bin *bin, struct cached_run run)
{
    bin->ptr = run.ptr;
    atomic_store_explicit(&bin->word, run.word, memory_order_relaxed);
}

/* Take a run from the stack; the hot slot has none. The word of the run that was there is read no more: it may
 * belong to another thread now. False: the stack is empty. The caller stores the run's word. */
static inline bool bin_pop_stack(struct bin *bin, struct cached_run *ret_run)
{
    const uint32_t count = atomic_load_explicit(&bin->count, memory_order_relaxed);
    if (JDB_UNLIKELY(count == 0))
        return false;
    JDB_ASSERT(count <= bin->limit + 1);
    *ret_run = bin->items[count - 1];
    atomic_store_explicit(&bin->count, count - 1, memory_order_relaxed);
    atomic_store_explicit(&bin->word, &jdb__no_word, memory_order_relaxed);
    return true;
}

/* Take the run put last. False: the bin is empty. The caller stores its word. */
static inline bool bin_pop(struct bin *bin, struct cached_run *ret_run)
{
    if (!bin_has_hot(bin))
        return bin_pop_stack(bin, ret_run);
    *ret_run = bin_hot_run(bin);
    return true;
}

/* As bin_pop(), of a run at a multiple of align bytes. False: the run put last is at none, or the bin is empty. */
static inline bool bin_pop_aligned(struct bin *bin, size_t align, struct cached_run *ret_run)
{
    const uint32_t count = atomic_load_explicit(&bin->count, memory_order_relaxed);
    const bool is_hot = bin_has_hot(bin);
    if (JDB_UNLIKELY(!is_hot && count == 0))
        return false;
    const uint8_t *const ptr = is_hot ? bin->ptr : bin->items[count - 1].ptr;
    return JDB_LIKELY(((uintptr_t)ptr & (align - 1)) == 0) && bin_pop(bin, ret_run);
}

/* Put a run and store its word. False: the bin is full, and nothing is stored. */
static inline bool bin_push(struct bin *bin, struct cached_run run)
{
    if (!bin_has_hot(bin)) {
        bin_remember(bin, run);
        word_cache(run.word, bin->hot_word);
        return true;
    }
    const uint32_t count = atomic_load_explicit(&bin->count, memory_order_relaxed);
    if (JDB_UNLIKELY(count >= bin->limit))
        return false;
    bin->items[count] = run;
    atomic_store_explicit(&bin->count, count + 1, memory_order_relaxed);
    word_cache(run.word, bin->lent_word ^ WORD_FLIP);
    return true;
}

/* ---- Larger runs: the fast path --------------------------------------------------------------------------- */

/* Take a larger run of exactly page_count pages, put last first, at a multiple of align bytes. The caller stores its
 * word. */
static inline bool cache_pop_large(struct thread_cache *cache, uint64_t page_count, size_t align,
                                   struct cached_run *ret_run)
{
    for (uint32_t i = cache->large_count; i-- > 0;) {
        const struct cached_run run = cache->large[i].run;
        if (cache->large[i].page_count != page_count || ((uintptr_t)run.ptr & (align - 1)) != 0)
            continue;
        const uint32_t kept = atomic_load_explicit(&cache->large_pages, memory_order_relaxed) - (uint32_t)page_count;
        atomic_store_explicit(&cache->large_pages, kept, memory_order_relaxed);
        cache->large_count--;
        for (; i < cache->large_count; i++)
            cache->large[i] = cache->large[i + 1];
        *ret_run = run;
        return true;
    }
    return false;
}

/* Put a larger run whose word is CACHED, or will be. False: no room. */
static inline bool cache_push_large(struct thread_cache *cache, uint64_t page_count, struct cached_run run)
{
    const uint64_t kept = atomic_load_explicit(&cache->large_pages, memory_order_relaxed) + page_count;
    const uint32_t count = cache->large_count;
    JDB_ASSERT(page_count > CLASS_PAGES_MAX && count <= LARGE_RUNS_MAX);
    if (JDB_UNLIKELY(kept > cache->large_limit || count == LARGE_RUNS_MAX))
        return false;
    cache->large[count].run = run;
    cache->large[count].page_count = (uint32_t)page_count;
    cache->large[count].is_old = false;
    cache->large_count = count + 1;
    atomic_store_explicit(&cache->large_pages, (uint32_t)kept, memory_order_relaxed);
    return true;
}

/* ---- Slow path -------------------------------------------------------------------------------------------- */

/* Runs of a class on the stack of a bin at most: 512 KiB. */
static inline uint32_t bin_limit(uint32_t page_count)
{
    return BIN_RUNS_MAX / page_count;
}

/* Fill the bin of page_count pages, whose stack is empty: from the shared cache, else from the heap. Errors as
 * jdb__heap_take(). */
int jdb__thread_cache_fill(struct thread_cache *cache, uint32_t page_count, uint64_t *ret_missing);

/* Take the run put last of those on the stack of a bin that are at a multiple of align bytes. False: none is. The caller
 * stores its word. */
bool jdb__thread_cache_pop_aligned(struct thread_cache *cache, uint32_t page_count, size_t align,
                                   struct cached_run *ret_run);

/* Hand on the older half of the bin. */
void jdb__thread_cache_spill(struct thread_cache *cache, uint32_t page_count);

/* As cache_push_large(), and makes room: what no longer fits goes to the heap, this run included, and then the
 * result is false. */
bool jdb__thread_cache_keep_large(struct thread_cache *cache, uint32_t page_count, struct cached_run run);

/* Hand on everything. What is in excess in the heap then is the caller's to give back: jdb__heap_purge_excess(), or more. */
void jdb__thread_cache_flush(struct thread_cache *cache);

/* A decay epoch of the thread ends: hand on half of each bin, and the larger runs that were kept since before it. A
 * bin in use is filled again for one lock; one that is not is empty after a few epochs. As jdb__thread_cache_flush(). */
void jdb__thread_cache_end_epoch(struct thread_cache *cache);

/* Empty the cache of a thread that a child of fork() does not have: runs whose words still say CACHED go to the
 * heap. As jdb__thread_cache_flush(). */
void jdb__thread_cache_reclaim(struct thread_cache *cache);

/* Bytes of the larger runs that each thread keeps. */
void jdb__thread_cache_set_large_max(uint64_t bytes);

/* ---- Look: any thread, for statistics --------------------------------------------------------------------- */

/* Runs in a bin, the one in the hot slot included; pages in all of the cache. */
uint32_t jdb__thread_cache_runs(const struct thread_cache *cache, uint32_t page_count);
uint64_t jdb__thread_cache_pages(const struct thread_cache *cache);

#endif
