/* SPDX-License-Identifier: MIT
 *
 * cache.c - thread caches, the caches they share, and the registry of threads. Floor 3.
 *
 * Fork. Before fork() every lock is taken (fork.h), so shared caches and heap are whole in the child. The caches of threads
 * that do not exist in the child may have been copied at any moment, a run even seen in two of them; the child takes
 * from them each run whose word still says CACHED, once.
 */
#include "page/cache.h"

#include "base/bits.h"
#include "os/fork.h"
#include "os/os.h"
#include "page/quarantine.h"

#include <pthread.h>
#include <string.h>

/* Indices that a shared stack holds: 32 MiB of runs of one page. */
#define SHARED_MAX 8192

struct shared {
    struct lock lock;
    uint32_t count;
    uint32_t low; /* least count since the last drain: what lay below it was not touched */
    uint64_t lock_count;
};

/* Beside each other and apart from their stacks, of which only what is used is ever touched. */
#define FREE_LOCK                      \
    {                                  \
        .lock = LOCK_INIT(LOCK_SHARED) \
    }
#define FREE_LOCKS_4 FREE_LOCK, FREE_LOCK, FREE_LOCK, FREE_LOCK
static struct shared shared_caches[CACHE_CLASS_MAX + 1] = {FREE_LOCK, FREE_LOCKS_4, FREE_LOCKS_4, FREE_LOCKS_4,
                                                           FREE_LOCKS_4};
static uint32_t shared_items[CACHE_CLASS_MAX + 1][SHARED_MAX];
static _Atomic int64_t shared_pages;
static _Atomic uint64_t shared_pages_max = (64u << 20) / JDB_PAGE_SIZE;
static _Atomic uint64_t large_pages_max = (32u << 20) / JDB_PAGE_SIZE;

static struct lock registry_lock = LOCK_INIT(LOCK_THREADS);
static struct cache *registry; /* caches of living threads */
static struct cache *spare;    /* caches of threads that ended */
static uint64_t registry_count;
static _Atomic uint32_t cache_count; /* ever made */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leave_key;
static bool has_leave_key;

_Atomic uint64_t jdb__no_word;

/* Every bin of these is empty, and no word is one of theirs. Nobody writes to them. */
#define NO_SUCH_WORD UINT64_MAX
#define SHUT                                                                          \
    {                                                                                 \
        .word = &jdb__no_word, .beside_word = NO_SUCH_WORD, .lent_word = NO_SUCH_WORD \
    }
#define SHUT_4 SHUT, SHUT, SHUT, SHUT
#define SHUT_16 SHUT_4, SHUT_4, SHUT_4, SHUT_4
#define SHUT_BINS        \
    {                    \
        SHUT_16, SHUT_16 \
    }
_Static_assert(CACHE_BIN_COUNT == 32, "SHUT_BINS names each bin");
static struct cache no_cache = {.bins = SHUT_BINS};     /* before the first slow call */
static struct cache past_cache = {.bins = SHUT_BINS};   /* after the thread's destructor ran */
static struct cache waking_cache = {.bins = SHUT_BINS}; /* the next call looks at the clock */

_Thread_local struct cache *jdb__cache = &no_cache;

/* The thread's cache while jdb__cache says `waking`. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local struct cache *sleeping_cache;

/* ---- Shared caches ---------------------------------------------------------------------------------------- */

static void lock_shared(struct shared *shared)
{
    lock_take(&shared->lock);
    shared->lock_count++;
}

static void unlock_shared(struct shared *shared)
{
    lock_release(&shared->lock);
}

static unsigned pop_shared(uint32_t page_count, unsigned wanted, uint32_t *ret_indices)
{
    struct shared *const shared = &shared_caches[page_count];
    lock_shared(shared);
    const unsigned taken = wanted < shared->count ? wanted : shared->count;
    shared->count -= taken;
    memcpy(ret_indices, shared_items[page_count] + shared->count, taken * sizeof *ret_indices);
    if (shared->count < shared->low)
        shared->low = shared->count;
    unlock_shared(shared);
    if (taken > 0)
        atomic_fetch_sub_explicit(&shared_pages, (int64_t)taken * page_count, memory_order_relaxed);
    return taken;
}

/* False: no room, or more than shall be kept warm. */
static bool push_shared(uint32_t page_count, const uint32_t *indices, unsigned count)
{
    struct shared *const shared = &shared_caches[page_count];
    const int64_t pages = (int64_t)count * page_count;
    const int64_t max = (int64_t)atomic_load_explicit(&shared_pages_max, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&shared_pages, pages, memory_order_relaxed) + pages > max) {
        atomic_fetch_sub_explicit(&shared_pages, pages, memory_order_relaxed);
        return false;
    }
    lock_shared(shared);
    const bool has_room = count <= SHARED_MAX - shared->count;
    if (has_room) {
        memcpy(shared_items[page_count] + shared->count, indices, count * sizeof *indices);
        shared->count += count;
    }
    unlock_shared(shared);
    if (!has_room)
        atomic_fetch_sub_explicit(&shared_pages, pages, memory_order_relaxed);
    return has_room;
}

/* Take the oldest runs from the bottom of a shared stack. */
static unsigned take_bottom(uint32_t page_count, unsigned wanted, uint32_t *ret_indices)
{
    struct shared *const shared = &shared_caches[page_count];
    uint32_t *const items = shared_items[page_count];
    const unsigned taken = wanted < shared->count ? wanted : shared->count;
    memcpy(ret_indices, items, taken * sizeof *items);
    shared->count -= taken;
    memmove(items, items + taken, shared->count * sizeof *items);
    return taken;
}

static void drain_class(uint32_t page_count, bool all)
{
    struct shared *const shared = &shared_caches[page_count];
    uint32_t indices[512];
    lock_shared(shared);
    unsigned left = all ? shared->count : shared->low;
    while (left > 0 && shared->count > 0) {
        const unsigned wanted = left < 512 ? left : 512;
        const unsigned taken = take_bottom(page_count, wanted, indices);
        left -= taken;
        unlock_shared(shared);
        atomic_fetch_sub_explicit(&shared_pages, (int64_t)taken * page_count, memory_order_relaxed);
        jdb__heap_give_batch(indices, taken);
        lock_shared(shared);
    }
    shared->low = shared->count;
    unlock_shared(shared);
}

/* ---- Bins ------------------------------------------------------------------------------------------------- */

static uint32_t bin_count(const struct cache *cache, uint32_t page_count)
{
    return atomic_load_explicit(&cache->bins[page_count].count, memory_order_relaxed);
}

static void set_bin_count(struct cache *cache, uint32_t page_count, uint32_t count)
{
    atomic_store_explicit(&cache->bins[page_count].count, count, memory_order_relaxed);
}

/* Runs in the bin, the one beside the stack included. */
static uint32_t bin_runs(const struct cache *cache, uint32_t page_count)
{
    return bin_count(cache, page_count) + cache_has_beside(&cache->bins[page_count]);
}

/* Put the run beside on the stack, which has room for one more than its limit. In a child of fork() the owner may have stopped
 * while it remembered another run, so its place is asked of its word; or with the stack full and its last run beside still,
 * which is then on it already. */
static void stack_beside(struct cache *cache, uint32_t page_count)
{
    struct cache_bin *const bin = cache_bin_for(cache, page_count);
    _Atomic uint64_t *const word = cache_run_beside(bin).word;
    const uint32_t count = bin_count(cache, page_count);
    if (!cache_has_beside(bin) || count > bin->limit)
        return;
    bin->items[count] = cache_run_at((uint32_t)(word - heap_front_words()));
    set_bin_count(cache, page_count, count + 1);
    atomic_store_explicit(word, bin->lent_word ^ CACHE_WORD_FLIP, memory_order_relaxed);
}

int jdb__cache_fill(struct cache *cache, uint32_t page_count, uint64_t *ret_missing)
{
    const unsigned wanted = cache->bins[page_count].limit / 2;
    uint32_t indices[CACHE_BIN_MAX / 2];
    unsigned filled = pop_shared(page_count, wanted, indices);
    if (filled == 0) {
        const int err = jdb__heap_take_batch(page_count, wanted, indices, &filled, ret_missing);
        if (err != 0)
            return err;
    }
    for (unsigned i = 0; i < filled; i++)
        cache->bins[page_count].items[i] = cache_run_at(indices[i]);
    set_bin_count(cache, page_count, filled);
    return 0;
}

/* Take the `spilled` runs put first out of a bin and hand them on. */
static void spill(struct cache *cache, uint32_t page_count, uint32_t spilled)
{
    uint32_t batch[CACHE_BIN_MAX + 1];
    struct cache_run *const items = cache->bins[page_count].items;
    const uint32_t kept = bin_count(cache, page_count) - spilled;
    if (spilled == 0)
        return;
    for (uint32_t i = 0; i < spilled; i++)
        batch[i] = cache_index_of(items[i]);
    memmove(items, items + spilled, kept * sizeof *items);
    set_bin_count(cache, page_count, kept);
    if (!push_shared(page_count, batch, spilled))
        jdb__heap_give_batch(batch, spilled);
}

static void spill_all(struct cache *cache, uint32_t page_count)
{
    stack_beside(cache, page_count);
    spill(cache, page_count, bin_count(cache, page_count));
}

static void spill_half(struct cache *cache, uint32_t page_count)
{
    stack_beside(cache, page_count);
    spill(cache, page_count, (bin_count(cache, page_count) + 1) / 2);
}

void jdb__cache_spill(struct cache *cache, uint32_t page_count)
{
    spill(cache, page_count, bin_count(cache, page_count) - cache->bins[page_count].limit / 2);
}

/* ---- Larger runs ------------------------------------------------------------------------------------------ */

static uint32_t large_pages(const struct cache *cache)
{
    return atomic_load_explicit(&cache->large_pages, memory_order_relaxed);
}

/* The oldest goes to the heap. */
static void evict_large(struct cache *cache)
{
    const uint32_t index = cache->large[0].index;
    atomic_store_explicit(&cache->large_pages, large_pages(cache) - cache->large[0].page_count, memory_order_relaxed);
    cache->large_count--;
    memmove(&cache->large[0], &cache->large[1], cache->large_count * sizeof cache->large[0]);
    jdb__heap_give_batch(&index, 1);
}

bool jdb__cache_keep_large(struct cache *cache, uint32_t page_count, uint32_t index)
{
    const uint64_t max = atomic_load_explicit(&large_pages_max, memory_order_relaxed);
    bool is_all_kept = true;
    if (cache->large_limit == 0)
        jdb__cache_wake_next(cache);
    cache->large_limit = (uint32_t)(max < UINT32_MAX ? max : UINT32_MAX);
    if (page_count > max) {
        jdb__heap_give_batch(&index, 1);
        return false;
    }
    while (!cache_push_large(cache, page_count, index)) {
        evict_large(cache);
        is_all_kept = false;
    }
    return is_all_kept;
}

/* ---- Flush ------------------------------------------------------------------------------------------------ */

void jdb__cache_flush(struct cache *cache)
{
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++)
        spill_all(cache, page_count);
    while (cache->large_count > 0)
        evict_large(cache);
    cache->large_limit = 0;
}

void jdb__cache_turn(struct cache *cache)
{
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++)
        spill_half(cache, page_count);
    while (cache->large_count > 0 && cache->large[0].is_old)
        evict_large(cache);
    for (uint32_t i = 0; i < cache->large_count; i++)
        cache->large[i].is_old = true;
    cache->large_limit = 0;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

/* Runs of a class that a thread keeps at most: 512 KiB of each class, 8 runs at least. */
static uint32_t bin_limit(uint32_t page_count)
{
    const uint32_t by_bytes = CACHE_BIN_MAX / page_count;
    return by_bytes < 8 ? 8 : by_bytes;
}

static void unlink_cache(struct cache *cache)
{
    *cache->link = cache->next;
    if (cache->next != NULL)
        cache->next->link = cache->link;
    registry_count--;
    cache->next = spare;
    spare = cache;
}

static void leave(void *argument)
{
    struct cache *const cache = argument;
    jdb__cache = &past_cache;
    jdb__cache_flush(cache);
    lock_take(&registry_lock);
    unlink_cache(cache);
    lock_release(&registry_lock);
}

void jdb__caches_before_fork(void)
{
    pthread_mutex_lock(&registry_lock.mutex);
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++)
        pthread_mutex_lock(&shared_caches[page_count].lock.mutex);
    jdb__quarantine_lock();
    jdb__heap_lock();
}

void jdb__caches_after_fork(void)
{
    jdb__heap_unlock();
    jdb__quarantine_unlock();
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++)
        pthread_mutex_unlock(&shared_caches[page_count].lock.mutex);
    pthread_mutex_unlock(&registry_lock.mutex);
}

/* Give one run of a thread that is gone to the heap, unless it was lent or seen before. */
static void reclaim_run(uint32_t index, uint32_t page_count)
{
    const uint64_t word = atomic_load_explicit(&heap_front_words()[index], memory_order_relaxed);
    if (runs_state_of(word) != RUNS_CACHED || runs_pages_of(word) != page_count)
        return;
    jdb__heap_give_batch(&index, 1);
}

static void reclaim_cache(struct cache *cache)
{
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++) {
        stack_beside(cache, page_count);
        for (uint32_t i = 0; i < bin_count(cache, page_count); i++)
            reclaim_run(cache_index_of(cache->bins[page_count].items[i]), page_count);
        set_bin_count(cache, page_count, 0);
    }
    for (uint32_t i = 0; i < cache->large_count; i++)
        reclaim_run(cache->large[i].index, cache->large[i].page_count);
    cache->large_count = 0;
    atomic_store_explicit(&cache->large_pages, 0, memory_order_relaxed);
}

void jdb__caches_in_child(void)
{
    struct cache *next = NULL;
    const struct cache *const own = jdb__cache_own();
    for (struct cache *cache = registry; cache != NULL; cache = next) {
        next = cache->next;
        if (cache == own)
            continue;
        reclaim_cache(cache);
        unlink_cache(cache);
    }
}

static void start(void)
{
    has_leave_key = jdb__fork_watch() == 0 && pthread_key_create(&leave_key, leave) == 0;
}

static void open_bin(struct cache *cache, uint32_t page_count, struct cache_run *items)
{
    struct cache_bin *const bin = cache_bin_for(cache, page_count);
    bin->beside_word = runs_make_word(RUNS_CACHED, cache->number * RUNS_PIN_ONE, page_count);
    bin->lent_word = runs_make_word(RUNS_LENT, 0, page_count);
    bin->limit = bin_limit(page_count);
    bin->items = items;
}

/* Runs that all stacks of a cache hold. */
static uint32_t item_count(void)
{
    uint32_t count = 0;
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++)
        count += bin_limit(page_count) + 1;
    return count;
}

/* One block for a cache and its stacks, which is never freed. NULL: no memory, or no number is left. */
static struct cache *new_cache(void)
{
    void *memory = NULL;
    const size_t size = sizeof(struct cache) + item_count() * sizeof(struct cache_run);
    if (atomic_load_explicit(&cache_count, memory_order_relaxed) >= RUNS_PIN_MASK >> RUNS_PIN_SHIFT ||
        jdb__os_alloc(size + sizeof(struct cache_bin), &memory) != 0)
        return NULL;
    struct cache *const cache = (struct cache *)bits_round_up((uintptr_t)memory, sizeof(struct cache_bin));
    struct cache_run *items = (struct cache_run *)(cache + 1);
    memcpy(cache->bins, no_cache.bins, sizeof cache->bins);
    cache->number = atomic_fetch_add_explicit(&cache_count, 1, memory_order_relaxed) + 1;
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++) {
        open_bin(cache, page_count, items);
        items += bin_limit(page_count) + 1;
    }
    return cache;
}

static struct cache *make_cache(void)
{
    lock_take(&registry_lock);
    struct cache *cache = spare;
    if (cache != NULL)
        spare = cache->next;
    lock_release(&registry_lock);
    if (cache == NULL)
        cache = new_cache();
    if (cache == NULL)
        return NULL;
    cache->ticks = CACHE_TICKS;
    cache->seen_ms = jdb__os_coarse_ms();
    cache->turn_ms = cache->seen_ms;
    return cache;
}

static void link_cache(struct cache *cache)
{
    lock_take(&registry_lock);
    cache->next = registry;
    cache->link = &registry;
    if (registry != NULL)
        registry->link = &cache->next;
    registry = cache;
    registry_count++;
    lock_release(&registry_lock);
}

void jdb__cache_wake_next(struct cache *cache)
{
    cache->ticks = 1;
    sleeping_cache = cache;
    jdb__cache = &waking_cache;
}

static struct cache *enter(void)
{
    pthread_once(&once, start);
    if (!has_leave_key)
        return NULL;
    struct cache *const cache = make_cache();
    if (cache == NULL)
        return NULL;
    link_cache(cache);
    if (pthread_setspecific(leave_key, cache) != 0) {
        lock_take(&registry_lock);
        unlink_cache(cache);
        lock_release(&registry_lock);
        return NULL;
    }
    jdb__cache = cache;
    return cache;
}

struct cache *jdb__cache_own(void)
{
    struct cache *const cache = jdb__cache;
    if (JDB_IS_CHECKED) {
        pthread_once(&once, start);
        return NULL;
    }
    if (cache == &no_cache)
        return enter();
    if (cache == &past_cache)
        return NULL;
    if (cache == &waking_cache)
        jdb__cache = sleeping_cache;
    return jdb__cache;
}

void jdb__cache_drain_shared(bool all)
{
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++)
        drain_class(page_count, all);
}

/* ---- Options and counts ----------------------------------------------------------------------------------- */

void jdb__cache_set_thread_bytes(uint64_t bytes)
{
    atomic_store_explicit(&large_pages_max, bytes / JDB_PAGE_SIZE, memory_order_relaxed);
}

void jdb__cache_set_shared_bytes(uint64_t bytes)
{
    atomic_store_explicit(&shared_pages_max, bytes / JDB_PAGE_SIZE, memory_order_relaxed);
}

void jdb__cache_stats(struct cache_stats *ret_stats)
{
    struct cache_stats stats = {0};
    lock_take(&registry_lock);
    for (const struct cache *cache = registry; cache != NULL; cache = cache->next) {
        for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++)
            stats.thread_pages += (uint64_t)bin_runs(cache, page_count) * page_count;
        stats.thread_pages += large_pages(cache);
    }
    stats.thread_count = registry_count;
    lock_release(&registry_lock);
    for (uint32_t page_count = 1; page_count <= CACHE_CLASS_MAX; page_count++) {
        lock_take(&shared_caches[page_count].lock);
        stats.lock_count += shared_caches[page_count].lock_count;
        stats.shared_pages += (uint64_t)shared_caches[page_count].count * page_count;
        lock_release(&shared_caches[page_count].lock);
    }
    *ret_stats = stats;
}

void jdb__cache_class_stats(uint32_t page_count, uint64_t *ret_thread_count, uint64_t *ret_shared_count)
{
    uint64_t thread_count = 0;
    lock_take(&registry_lock);
    for (const struct cache *cache = registry; cache != NULL; cache = cache->next)
        thread_count += bin_runs(cache, page_count);
    lock_release(&registry_lock);
    struct shared *const shared = &shared_caches[page_count];
    lock_take(&shared->lock);
    *ret_shared_count = shared->count;
    lock_release(&shared->lock);
    *ret_thread_count = thread_count;
}
