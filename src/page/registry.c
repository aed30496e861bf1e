/* SPDX-License-Identifier: MIT
 *
 * registry.c - a cache for each thread, from its first call to its end.
 *
 * Fork. Before fork() every lock is taken (fork.h), so shared caches and heap are whole in the child. The caches of
 * threads that do not exist in the child may have been copied at any moment, a run even seen in two of them; the child
 * takes from them each run whose word still says CACHED, once. Its first call does so, before any thread of it changes a
 * word: fork() returns at once, and a child that never calls takes nothing.
 */
#include "page/registry.h"

#include "base/bits.h"
#include "os/fork.h"
#include "os/os.h"
#include "page/quarantine.h"
#include "page/shared_cache.h"

#include <pthread.h>
#include <string.h>

static struct lock registry_lock = LOCK_INIT(LOCK_THREADS);
static struct thread_cache *registry_list;              /* caches of living threads */
static struct thread_cache *registry_spare;             /* caches of threads that ended */
static _Atomic(struct thread_cache *) registry_orphans; /* in a child: of threads that it does not have */
static _Atomic uint64_t registry_count;                 /* of the list, and of threads that are about to enter it */
static uint64_t registry_max;                           /* of the list */
static _Atomic(struct thread_cache *)
    registry_all;                         /* every cache that was ever made, last made first: only grows (P11) */
static _Atomic uint32_t registry_numbers; /* numbers of caches that were given out */
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static pthread_key_t registry_key;
static bool registry_has_key;

_Atomic uint64_t jdb__no_word;

/* Every bin of this one is empty, and no word is one of its own. Nobody writes to it. */
#define NO_SUCH_WORD UINT64_MAX
#define SHUT                                                                       \
    {                                                                              \
        .word = &jdb__no_word, .hot_word = NO_SUCH_WORD, .lent_word = NO_SUCH_WORD \
    }
#define SHUT_4 SHUT, SHUT, SHUT, SHUT
#define SHUT_16 SHUT_4, SHUT_4, SHUT_4, SHUT_4
#define SHUT_64 SHUT_16, SHUT_16, SHUT_16, SHUT_16
#define SHUT_BINS        \
    {                    \
        SHUT_64, SHUT_64 \
    }
_Static_assert(BIN_COUNT == 128, "SHUT_BINS names each bin");
static struct thread_cache registry_shut = {.bins = SHUT_BINS};
static struct thread_cache registry_revoked = {.bins = SHUT_BINS}; /* the same, for a cache that is revoked */

_Thread_local struct thread_here jdb__here = {.cache = &registry_shut};

/* The thread's own cache: jdb__here.cache, or that is shut because the next call polls the clock, or it is revoked. NULL: it
 * has none. */
static _Thread_local struct thread_cache *registry_own FORK_TLS;

/* ---- Start and end of a thread ---------------------------------------------------------------------------- */

static void registry_unlink(struct thread_cache *cache)
{
    JDB_ASSERT(*cache->link == cache && registry_count > 0);
    *cache->link = cache->next;
    if (cache->next != NULL)
        cache->next->link = cache->link;
    registry_count--;
}

/* For a later thread; the registry's lock is held. */
static void registry_keep_spare(struct thread_cache *cache)
{
    cache->next = registry_spare;
    registry_spare = cache;
}

static void registry_link(struct thread_cache *cache)
{
    lock_take(&registry_lock);
    cache->next = registry_list;
    cache->link = &registry_list;
    if (registry_list != NULL)
        registry_list->link = &cache->next;
    registry_list = cache;
    lock_release(&registry_lock);
}

/* The cache is of no thread any more. */
static void registry_retire(struct thread_cache *cache)
{
    lock_take(&registry_lock);
    registry_unlink(cache);
    registry_keep_spare(cache);
    registry_own = NULL;
    atomic_store_explicit(&jdb__here.cache, &registry_shut, memory_order_relaxed);
    lock_release(&registry_lock);
}

/* Enter the thread's own cache, which is shut or revoked. */
static struct thread_cache *registry_resume(void)
{
    struct thread_cache *shut = &registry_shut;
    (void)cache_enter();
    if (atomic_compare_exchange_strong(&jdb__here.cache, &shut, registry_own) || shut == registry_own)
        return registry_own;
    cache_leave();
    lock_take(&registry_lock);
    profile_count_given(registry_own->lost_pages);
    registry_own->lost_pages = 0;
    (void)cache_enter();
    atomic_store_explicit(&jdb__here.cache, registry_own, memory_order_relaxed);
    lock_release(&registry_lock);
    return registry_own;
}

static void registry_leave(void *argument)
{
    struct thread_cache *const cache = argument;
    (void)registry_resume();
    jdb__thread_cache_flush(cache);
    cache_leave();
    jdb__heap_purge_excess();
    jdb__profile_leave(0);
    registry_retire(cache);
    jdb__here.has_ended = true;
}

/* Threads that have a cache of their own: so many, or more by the number of processors. */
#define REGISTRY_CACHES_LEAST 64
#define REGISTRY_CACHES_EACH 4

static void registry_start(void)
{
    registry_max = bits_max((uint64_t)REGISTRY_CACHES_EACH * jdb__os_cpu_count(), REGISTRY_CACHES_LEAST);
    registry_has_key = jdb__fork_watch() == 0 && pthread_key_create(&registry_key, registry_leave) == 0;
}

static void registry_open_bin(struct thread_cache *cache, uint32_t page_count, struct cached_run *items)
{
    struct bin *const bin = cache_bin(cache, page_count);
    bin->hot_word = word_make(WORD_CACHED, cache->number * WORD_PIN_ONE, page_count);
    bin->lent_word = word_make(WORD_LENT, 0, page_count);
    bin->lent_cap = (size_t)page_count * JDB_PAGE_SIZE;
    bin->limit = bin_limit(page_count);
    bin->items = items;
}

/* Runs that all stacks of a cache hold. */
static uint32_t registry_item_count(void)
{
    uint32_t count = 0;
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++)
        count += bin_limit(page_count) + 1;
    return count;
}

/* One block for a cache and its stacks, which is never freed. NULL: no memory, or no number is left. */
static struct thread_cache *registry_alloc(void)
{
    void *memory = NULL;
    const size_t size = sizeof(struct thread_cache) + registry_item_count() * sizeof(struct cached_run);
    if (atomic_load_explicit(&registry_numbers, memory_order_relaxed) >= WORD_PIN_MAX ||
        jdb__os_alloc(size + sizeof(struct bin), &memory) != 0)
        return NULL;
    struct thread_cache *const cache = (struct thread_cache *)bits_round_up((uintptr_t)memory, sizeof(struct bin));
    struct cached_run *items = (struct cached_run *)(cache + 1);
    memcpy(cache->bins, registry_shut.bins, sizeof cache->bins);
    cache->number = atomic_fetch_add_explicit(&registry_numbers, 1, memory_order_relaxed) + 1;
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++) {
        registry_open_bin(cache, page_count, items);
        items += bin_limit(page_count) + 1;
    }
    cache->made_before = atomic_load_explicit(&registry_all, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&registry_all, &cache->made_before, cache, memory_order_release,
                                                  memory_order_relaxed))
        continue;
    return cache;
}

static bool registry_is_full(void)
{
    return atomic_load_explicit(&registry_count, memory_order_relaxed) >= registry_max;
}

/* A place for one more cache, or none. */
static bool registry_count_one(void)
{
    const bool is_full = atomic_fetch_add_explicit(&registry_count, 1, memory_order_relaxed) >= registry_max;
    if (is_full)
        atomic_fetch_sub_explicit(&registry_count, 1, memory_order_relaxed);
    return !is_full;
}

static struct thread_cache *registry_make(void)
{
    lock_take(&registry_lock);
    struct thread_cache *cache = registry_spare;
    if (cache != NULL)
        registry_spare = cache->next;
    lock_release(&registry_lock);
    if (cache == NULL)
        cache = registry_alloc();
    if (cache == NULL)
        return NULL;
    cache->owner = &jdb__here;
    cache->lost_pages = 0;
    cache->calls_to_poll = DECAY_POLL_CALLS;
    cache->poll_ms = jdb__os_coarse_ms();
    cache->epoch_ms = cache->poll_ms;
    jdb__profile_enter(cache);
    return cache;
}

static struct thread_cache *registry_enter(void)
{
    pthread_once(&registry_once, registry_start);
    if (JDB_IS_CHECKED || jdb__here.has_ended || !registry_has_key || registry_is_full() || !registry_count_one())
        return NULL;
    struct thread_cache *const cache = registry_make();
    if (cache == NULL) {
        atomic_fetch_sub_explicit(&registry_count, 1, memory_order_relaxed);
        return NULL;
    }
    registry_link(cache);
    if (pthread_setspecific(registry_key, cache) != 0) {
        registry_retire(cache);
        return NULL;
    }
    registry_own = cache;
    return registry_resume();
}

/* Others wait for the lock until the last one is empty. */
static void registry_empty_orphans(void)
{
    struct thread_cache *cache = NULL;
    lock_take(&registry_lock);
    const int64_t own = jdb__profile_here; /* what they held this thread did not lend */
    while ((cache = atomic_load_explicit(&registry_orphans, memory_order_relaxed)) != NULL) {
        struct thread_cache *const next = cache->next;
        jdb__thread_cache_reclaim(cache);
        registry_keep_spare(cache);
        atomic_store_explicit(&registry_orphans, next, memory_order_release);
    }
    jdb__profile_here = own;
    lock_release(&registry_lock);
    jdb__heap_purge_excess();
}

static void registry_adopt(void)
{
    if (JDB_UNLIKELY(atomic_load_explicit(&registry_orphans, memory_order_acquire) != NULL))
        registry_empty_orphans();
}

struct thread_cache *jdb__registry_here(void)
{
    struct thread_cache *const cache = cache_enter();
    if (cache != &registry_shut && cache != &registry_revoked)
        return cache;
    cache_leave();
    registry_adopt();
    return registry_own != NULL ? registry_resume() : registry_enter();
}

void jdb__registry_poll_next(struct thread_cache *cache)
{
    struct thread_cache *open = cache;
    cache->calls_to_poll = 1;
    (void)atomic_compare_exchange_strong(&jdb__here.cache, &open,
                                         &registry_shut); /* or it is shut already, or revoked */
}

/* ---- Caches of other threads ------------------------------------------------------------------------------ */

/* How long one look waits for all owners that are inside; a call looks four times (lend.c). */
#define REGISTRY_AWAIT_NS UINT64_C(25000000)
#define REGISTRY_SLEEP_NS 50000

/* Whether a cache of another thread has anything to take: shut it. */
static bool registry_revoke(struct thread_cache *cache)
{
    if (cache == registry_own || jdb__thread_cache_pages(cache) == 0)
        return false;
    atomic_store(&cache->owner->cache, &registry_revoked);
    return true;
}

static bool registry_await_owner(const struct thread_cache *cache, uint64_t deadline_ns)
{
    uint32_t nobody_wakes = 0;
    while (atomic_load(&cache->owner->is_inside) != 0) {
        const uint64_t now = jdb__os_clock_ns();
        if (now >= deadline_ns)
            return false;
        jdb__os_sleep(&nobody_wakes, 0, now + REGISTRY_SLEEP_NS);
    }
    return true;
}

/* Of a cache that is revoked, and its owner not inside; who may put a run into a hot slot all the same, before it is looked at or
 * after: what this thread gives is counted. */
static uint64_t registry_empty(struct thread_cache *cache)
{
    const int64_t before = jdb__profile_here;
    jdb__thread_cache_flush(cache);
    const uint64_t taken = (uint64_t)((before - jdb__profile_here) / PROFILE_PAGE);
    cache->lost_pages += taken;
    return taken;
}

static uint64_t registry_take_revoked(void)
{
    uint64_t taken = 0;
    const uint64_t deadline = jdb__os_clock_ns() + REGISTRY_AWAIT_NS;
    for (struct thread_cache *cache = registry_list; cache != NULL; cache = cache->next)
        if (atomic_load_explicit(&cache->owner->cache, memory_order_relaxed) == &registry_revoked &&
            registry_await_owner(cache, deadline))
            taken += registry_empty(cache);
    return taken;
}

uint64_t jdb__registry_take_all(void)
{
    uint64_t taken = 0;
    bool is_any = false;
    if (jdb__is_forking ||
        jdb__os_membarrier_register() != 0) /* in a child the list names threads that it does not have */
        return 0;
    lock_take(&registry_lock);
    const int64_t own = jdb__profile_here; /* what they held this thread did not lend */
    for (struct thread_cache *cache = registry_list; cache != NULL; cache = cache->next)
        is_any |= registry_revoke(cache);
    if (is_any && jdb__os_membarrier() == 0)
        taken = registry_take_revoked();
    jdb__profile_here = own;
    lock_release(&registry_lock);
    return taken;
}

/* ---- Fork ------------------------------------------------------------------------------------------------- */

void jdb__caches_before_fork(void)
{
    pthread_mutex_lock(&registry_lock.mutex);
    jdb__shared_cache_before_fork();
    jdb__quarantine_lock();
    jdb__heap_lock();
    jdb__profile_before_fork();
}

void jdb__caches_after_fork(void)
{
    jdb__profile_after_fork();
    jdb__heap_unlock();
    jdb__quarantine_unlock();
    jdb__shared_cache_after_fork();
    pthread_mutex_unlock(&registry_lock.mutex);
}

/* This thread's next call is a slow one, as the first call of any other is. Where orphans are left from a fork() before this
 * one, nobody has called since, and there are no others. */
void jdb__caches_in_child(void)
{
    struct thread_cache *const own = registry_own;
    if (own != NULL)
        registry_unlink(own);
    if (registry_list != NULL) {
        JDB_ASSERT(registry_orphans == NULL);
        atomic_store_explicit(&registry_orphans, registry_list, memory_order_relaxed);
    }
    registry_list = NULL;
    atomic_store_explicit(&registry_count, own != NULL, memory_order_relaxed); /* others may have been about to enter */
    if (own == NULL)
        return;
    registry_link(own);
    if (registry_orphans != NULL)
        jdb__registry_poll_next(own);
}

/* ---- Look ------------------------------------------------------------------------------------------------- */

/* Caches of threads that ended are empty. No lock: with thousands of threads this takes a while. */
struct registry_stats jdb__registry_stats(void)
{
    struct registry_stats stats = {0};
    registry_adopt();
    stats.thread_count = atomic_load_explicit(&registry_count, memory_order_relaxed);
    const struct thread_cache *cache = atomic_load_explicit(&registry_all, memory_order_acquire);
    for (; cache != NULL; cache = cache->made_before)
        stats.pages += jdb__thread_cache_pages(cache);
    return stats;
}

uint64_t jdb__registry_count(uint32_t page_count)
{
    uint64_t count = 0;
    registry_adopt();
    const struct thread_cache *cache = atomic_load_explicit(&registry_all, memory_order_acquire);
    for (; cache != NULL; cache = cache->made_before)
        count += jdb__thread_cache_runs(cache, page_count);
    return count;
}
