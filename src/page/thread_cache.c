/* SPDX-License-Identifier: MIT
 *
 * thread_cache.c - bins and larger runs on the slow path: filled, emptied, handed on.
 */
#include "page/thread_cache.h"

#include "base/bits.h"
#include "page/defaults.h"
#include "page/shared_cache.h"

#include <string.h>

static _Atomic uint64_t cache_large_pages_max = DEFAULT_THREAD_BYTES / JDB_PAGE_SIZE;

/* ---- Bins ------------------------------------------------------------------------------------------------- */

static uint32_t bin_stack_count(const struct thread_cache *cache, uint32_t page_count)
{
    return atomic_load_explicit(&cache->bins[page_count].count, memory_order_relaxed);
}

static void bin_set_stack_count(struct thread_cache *cache, uint32_t page_count, uint32_t count)
{
    atomic_store_explicit(&cache->bins[page_count].count, count, memory_order_relaxed);
}

/* Move the run of the hot slot to the stack, which has room for one more than its limit. In a child of fork() the
 * owner may have stopped while it remembered another run, so the run is found from its word and not from bin->ptr;
 * or with the stack full and its last run still in the hot slot, which is then on the stack already. */
static void bin_stack_hot(struct thread_cache *cache, uint32_t page_count)
{
    struct bin *const bin = cache_bin(cache, page_count);
    _Atomic uint64_t *const word = bin_hot_run(bin).word;
    const uint32_t count = bin_stack_count(cache, page_count);
    if (word_load_freed(word) != bin->hot_word || count > bin->limit)
        return;
    bin->items[count] = cached_run_at((uint32_t)(word - primary_words()));
    bin_set_stack_count(cache, page_count, count + 1);
    word_cache_again(word, bin->lent_word ^ WORD_FLIP);
}

/* Runs of the first fill of a decay epoch. */
#define BIN_FILL_FIRST 4

static unsigned bin_next_fill(struct thread_cache *cache, uint32_t page_count)
{
    uint8_t *const fill = &cache->fills[page_count];
    const unsigned next = *fill == 0 ? BIN_FILL_FIRST : 2u * *fill;
    *fill = (uint8_t)bits_min(next, cache_bin(cache, page_count)->limit / 2);
    return *fill;
}

int jdb__thread_cache_fill(struct thread_cache *cache, uint32_t page_count, uint64_t *ret_missing)
{
    const unsigned wanted = bin_next_fill(cache, page_count);
    uint32_t indices[BIN_RUNS_MAX / 2];
    unsigned filled = jdb__shared_cache_pop(page_count, wanted, indices);
    if (filled == 0) {
        const int err = jdb__heap_take_batch(page_count, wanted, indices, &filled, ret_missing);
        if (err != 0)
            return err;
    }
    JDB_ASSERT(filled <= wanted && bin_stack_count(cache, page_count) == 0);
    for (unsigned i = 0; i < filled; i++) {
        JDB_ASSERT(word_state(word_load(&primary_words()[indices[i]])) == WORD_CACHED); /* P7 */
        cache->bins[page_count].items[i] = cached_run_at(indices[i]);
    }
    bin_set_stack_count(cache, page_count, filled);
    return 0;
}

bool jdb__thread_cache_pop_aligned(struct thread_cache *cache, uint32_t page_count, size_t align,
                                   struct cached_run *ret_run)
{
    const uint32_t count = bin_stack_count(cache, page_count);
    struct cached_run *const items = cache->bins[page_count].items;
    uint32_t at = count;
    while (at > 0 && ((uintptr_t)items[at - 1].ptr & (align - 1)) != 0)
        at--;
    if (at == 0)
        return false;
    *ret_run = items[at - 1];
    memmove(&items[at - 1], &items[at], (count - at) * sizeof *items);
    bin_set_stack_count(cache, page_count, count - 1);
    return true;
}

/* Take the oldest runs of a bin, so many, out of its stack and hand them on. False: the heap has them. */
static bool bin_spill(struct thread_cache *cache, uint32_t page_count, uint32_t spilled)
{
    uint32_t batch[BIN_RUNS_MAX + 1];
    JDB_ASSERT(spilled <= bin_stack_count(cache, page_count));
    struct cached_run *const items = cache->bins[page_count].items;
    const uint32_t kept = bin_stack_count(cache, page_count) - spilled;
    if (spilled == 0)
        return true;
    for (uint32_t i = 0; i < spilled; i++)
        batch[i] = cached_run_index(items[i]);
    memmove(items, items + spilled, kept * sizeof *items);
    bin_set_stack_count(cache, page_count, kept);
    if (jdb__shared_cache_push(page_count, batch, spilled))
        return true;
    jdb__heap_give_batch(batch, spilled, false);
    return false;
}

static void bin_spill_all(struct thread_cache *cache, uint32_t page_count)
{
    bin_stack_hot(cache, page_count);
    bin_spill(cache, page_count, bin_stack_count(cache, page_count));
    cache->fills[page_count] = 0;
}

/* Classes of up to so many pages keep half of what they have when an epoch ends: these are many and small. */
#define BIN_HALF_PAGES_MAX 16

static void bin_end_epoch(struct thread_cache *cache, uint32_t page_count)
{
    bin_stack_hot(cache, page_count);
    const uint32_t count = bin_stack_count(cache, page_count);
    bin_spill(cache, page_count, page_count <= BIN_HALF_PAGES_MAX ? (count + 1) / 2 : count);
    cache->fills[page_count] = 0;
}

void jdb__thread_cache_spill(struct thread_cache *cache, uint32_t page_count)
{
    if (!bin_spill(cache, page_count, bin_stack_count(cache, page_count) - cache->bins[page_count].limit / 2))
        jdb__heap_purge_excess();
}

/* ---- Larger runs ------------------------------------------------------------------------------------------ */

static uint32_t cache_large_pages(const struct thread_cache *cache)
{
    return atomic_load_explicit(&cache->large_pages, memory_order_relaxed);
}

static uint8_t *cache_take_oldest(struct thread_cache *cache)
{
    const struct cached_run run = cache->large[0].run;
    JDB_ASSERT(cache->large_count > 0 && cache_large_pages(cache) >= cache->large[0].page_count);
    atomic_store_explicit(&cache->large_pages, cache_large_pages(cache) - cache->large[0].page_count,
                          memory_order_relaxed);
    cache->large_count--;
    memmove(&cache->large[0], &cache->large[1], cache->large_count * sizeof cache->large[0]);
    return run.ptr;
}

static void cache_evict_large(struct thread_cache *cache)
{
    uint8_t *const oldest = cache_take_oldest(cache);
    jdb__heap_give_cached(&oldest, 1, false);
}

bool jdb__thread_cache_keep_large(struct thread_cache *cache, uint32_t page_count, struct cached_run run)
{
    const uint64_t max = atomic_load_explicit(&cache_large_pages_max, memory_order_relaxed);
    uint8_t *given[LARGE_RUNS_MAX];
    unsigned given_count = 0;
    JDB_ASSERT(word_state(word_load(run.word)) == WORD_CACHED); /* P7 */
    cache->large_limit = (uint32_t)bits_min(max, UINT32_MAX);
    if (page_count > max)
        given[given_count++] = run.ptr;
    else
        while (!cache_push_large(cache, page_count, run))
            given[given_count++] = cache_take_oldest(cache);
    if (given_count > 0)
        jdb__heap_give_cached(given, given_count, true);
    return given_count == 0;
}

void jdb__thread_cache_set_large_max(uint64_t bytes)
{
    atomic_store_explicit(&cache_large_pages_max, bytes / JDB_PAGE_SIZE, memory_order_relaxed);
}

/* ---- All of the cache ------------------------------------------------------------------------------------- */

void jdb__thread_cache_flush(struct thread_cache *cache)
{
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++)
        bin_spill_all(cache, page_count);
    while (cache->large_count > 0)
        cache_evict_large(cache);
    cache->large_limit = 0;
}

void jdb__thread_cache_end_epoch(struct thread_cache *cache)
{
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++)
        bin_end_epoch(cache, page_count);
    while (cache->large_count > 0 && cache->large[0].is_old)
        cache_evict_large(cache);
    for (uint32_t i = 0; i < cache->large_count; i++)
        cache->large[i].is_old = true;
    cache->large_limit = 0;
}

/* Give one run to the heap, unless it was lent or seen before, or its owner stopped while it stored address or word. */
static void cache_reclaim_run(struct cached_run run, uint32_t page_count)
{
    struct run found;
    const bool is_found = jdb__heap_find(run.ptr, &found) && run_word(&found) == run.word;
    if (is_found && word_state(word_load(run.word)) == WORD_CACHED && found.page_count == page_count)
        jdb__heap_give_cached(&run.ptr, 1, false);
}

void jdb__thread_cache_reclaim(struct thread_cache *cache)
{
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++) {
        bin_stack_hot(cache, page_count);
        for (uint32_t i = 0; i < bin_stack_count(cache, page_count); i++)
            cache_reclaim_run(cached_run_at(cached_run_index(cache->bins[page_count].items[i])), page_count);
        bin_set_stack_count(cache, page_count, 0);
    }
    for (uint32_t i = 0; i < cache->large_count; i++)
        cache_reclaim_run(cache->large[i].run, cache->large[i].page_count);
    cache->large_count = 0;
    atomic_store_explicit(&cache->large_pages, 0, memory_order_relaxed);
}

/* ---- Look ------------------------------------------------------------------------------------------------- */

uint32_t jdb__thread_cache_runs(const struct thread_cache *cache, uint32_t page_count)
{
    return bin_stack_count(cache, page_count) + bin_has_hot(&cache->bins[page_count]);
}

uint64_t jdb__thread_cache_pages(const struct thread_cache *cache)
{
    uint64_t pages = cache_large_pages(cache);
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++)
        pages += (uint64_t)jdb__thread_cache_runs(cache, page_count) * page_count;
    return pages;
}
