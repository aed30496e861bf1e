/* SPDX-License-Identifier: MIT
 *
 * decay.c - decay polls, the ends of epochs, and memory that goes back at once.
 */
#include "page/decay.h"

#include "jdb_alloc/pages.h"
#include "os/os.h"
#include "page/defaults.h"
#include "page/quarantine.h"
#include "page/registry.h"
#include "page/shared_cache.h"

static _Atomic uint32_t decay_delay_ms = DEFAULT_DELAY_MS;
static _Atomic uint64_t decay_noted_ms; /* when memory was last left cached beyond the bins of a thread */
static _Atomic uint64_t decay_epoch_ms; /* when this epoch of the shared caches and the heap began */
static atomic_bool decay_is_due;        /* shared caches or heap may have memory to give back */

/* ---- Clock ------------------------------------------------------------------------------------------------ */

void jdb__decay_set_delay(uint32_t ms)
{
    atomic_store_explicit(&decay_delay_ms, ms, memory_order_relaxed);
}

static uint64_t decay_delay(void)
{
    const uint32_t delay = atomic_load_explicit(&decay_delay_ms, memory_order_relaxed);
    return delay == JDB_DELAY_NONE ? 0 : delay;
}

/* Whether so much time has passed since `then`, which another thread may have stored after `now` was read. */
static bool decay_has_passed(uint64_t now, uint64_t then, uint64_t delay)
{
    return now >= then && now - then >= delay;
}

static void decay_set_due(bool is_due)
{
    atomic_store_explicit(&decay_is_due, is_due, memory_order_relaxed);
}

void jdb__decay_note(struct thread_cache *cache)
{
    atomic_store_explicit(&decay_noted_ms, jdb__os_coarse_ms(), memory_order_relaxed);
    decay_set_due(true);
    if (cache != NULL)
        jdb__registry_poll_next(cache);
}

/* ---- Giving back ------------------------------------------------------------------------------------------ */

/* What the quarantine of the checked build keeps goes to the heap; not what other threads put there meanwhile, or this
 * might never end. */
static void decay_end_quarantine(void)
{
    struct run run;
    for (unsigned i = 0; JDB_IS_CHECKED && i < QUARANTINE_RUNS && jdb__quarantine_take(&run); i++)
        jdb__heap_give(&run);
}

static void decay_give_all(void)
{
    decay_set_due(false);
    decay_end_quarantine();
    jdb__shared_cache_drain(true);
    jdb__heap_purge();
}

/* When nothing was noted for the delay, everything goes back; when the epoch is over, it ends. One thread does it,
 * the others see the new time. */
static void decay_process(uint64_t now, uint64_t delay)
{
    if (!atomic_load_explicit(&decay_is_due, memory_order_relaxed))
        return;
    uint64_t began = atomic_load_explicit(&decay_epoch_ms, memory_order_relaxed);
    if (decay_has_passed(now, atomic_load_explicit(&decay_noted_ms, memory_order_relaxed), delay)) {
        decay_give_all();
    } else if (decay_has_passed(now, began, delay) && atomic_compare_exchange_strong(&decay_epoch_ms, &began, now)) {
        jdb__shared_cache_drain(false);
        jdb__heap_end_epoch();
    }
}

void jdb__decay_poll(struct thread_cache *cache)
{
    const uint64_t now = jdb__os_coarse_ms();
    const uint64_t delay = decay_delay();
    JDB_ASSERT(now >= cache->poll_ms && cache->poll_ms >= cache->epoch_ms);
    cache->calls_to_poll = DECAY_POLL_CALLS;
    if (now - cache->poll_ms >= delay) {
        jdb__thread_cache_flush(cache);
        decay_set_due(true);
    } else if (now - cache->epoch_ms >= delay) {
        jdb__thread_cache_end_epoch(cache);
        cache->epoch_ms = now;
        decay_set_due(true);
    }
    cache->poll_ms = now;
    decay_process(now, delay);
}

struct thread_cache *jdb__decay_enter(void)
{
    struct thread_cache *const cache = jdb__registry_here();
    if (cache != NULL)
        decay_count_call(cache);
    else
        decay_process(jdb__os_coarse_ms(), decay_delay());
    return cache;
}

/* ---- At once ---------------------------------------------------------------------------------------------- */

static uint64_t decay_given_pages(void)
{
    struct heap_stats heap;
    jdb__heap_stats(&heap);
    return heap.given_pages;
}

uint64_t jdb_trim(void)
{
    const uint64_t before = decay_given_pages();
    decay_end_quarantine();
    struct thread_cache *const cache = jdb__registry_here();
    if (cache != NULL)
        jdb__thread_cache_flush(cache);
    jdb__shared_cache_drain(true);
    jdb__heap_purge();
    return (decay_given_pages() - before) * JDB_PAGE_SIZE;
}

void jdb_thread_flush(void)
{
    struct thread_cache *const cache = jdb__registry_here();
    if (cache == NULL)
        return;
    jdb__thread_cache_flush(cache);
    jdb__decay_note(cache);
}
