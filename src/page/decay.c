/* SPDX-License-Identifier: MIT
 *
 * decay.c - decay polls, the ends of epochs, and memory that goes back at once.
 */
#include "page/decay.h"

#include "base/bits.h"
#include "jdb_alloc/pages.h"
#include "os/os.h"
#include "page/defaults.h"
#include "page/quarantine.h"
#include "page/registry.h"
#include "page/shared_cache.h"

static _Atomic uint32_t decay_delay_ms = DEFAULT_DELAY_MS;
static _Atomic uint64_t decay_noted_ms; /* when memory was last left cached beyond the bins of a thread */
static _Atomic uint64_t decay_epoch_ms; /* when this epoch of the shared caches began */
static _Atomic uint64_t decay_step_ms;  /* when this step of the heap began */
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

/* Some at a time: the thread's next call goes on. */
static void decay_give_all(void)
{
    decay_set_due(false);
    decay_end_quarantine();
    jdb__shared_cache_drain(true);
    if (!jdb__heap_purge_some())
        return;
    decay_set_due(true);
    struct thread_cache *const cache = jdb__registry_here();
    if (cache != NULL)
        jdb__registry_poll_next(cache);
}

/* Whether a period of so many milliseconds is over, in which case the next one begins. Of threads that find it at once,
 * one gets true. *ret_passed: milliseconds since it began. */
static bool decay_ends(_Atomic uint64_t *began_ms, uint64_t now, uint64_t period, uint64_t *ret_passed)
{
    uint64_t began = atomic_load_explicit(began_ms, memory_order_relaxed);
    if (!decay_has_passed(now, began, period) || !atomic_compare_exchange_strong(began_ms, &began, now))
        return false;
    *ret_passed = now - began;
    return true;
}

/* When nothing was noted for the delay, everything goes back; when an epoch or a step is over, it ends. Memory goes back once.
 * has_given: the heap may have more of it than before. */
static JDB_NOINLINE void decay_process_due(uint64_t now, uint64_t delay, bool has_given)
{
    if (decay_has_passed(now, atomic_load_explicit(&decay_noted_ms, memory_order_relaxed), delay)) {
        decay_give_all();
        return;
    }
    const uint64_t step = delay / HEAP_STEPS;
    uint64_t passed = 0;
    const bool is_epoch = decay_ends(&decay_epoch_ms, now, delay, &passed);
    if (is_epoch)
        jdb__shared_cache_drain(false);
    if (decay_ends(&decay_step_ms, now, step, &passed))
        jdb__heap_end_steps(step == 0 ? HEAP_STEPS : (unsigned)bits_min(passed / step, HEAP_STEPS));
    else if (is_epoch || has_given)
        jdb__heap_purge_excess();
}

static void decay_process(uint64_t now, uint64_t delay, bool has_given)
{
    if (atomic_load_explicit(&decay_is_due, memory_order_relaxed))
        decay_process_due(now, delay, has_given);
}

void jdb__decay_poll(struct thread_cache *cache)
{
    const uint64_t now = jdb__os_coarse_ms();
    const uint64_t delay = decay_delay();
    JDB_ASSERT(now >= cache->poll_ms && cache->poll_ms >= cache->epoch_ms);
    bool has_given = true;
    cache->calls_to_poll = DECAY_POLL_CALLS;
    if (now - cache->poll_ms >= delay) {
        (void)jdb__registry_here();
        jdb__thread_cache_flush(cache);
        decay_set_due(true);
    } else if (now - cache->epoch_ms >= delay) {
        (void)jdb__registry_here();
        jdb__thread_cache_end_epoch(cache);
        cache->epoch_ms = now;
        decay_set_due(true);
    } else {
        has_given = false;
    }
    cache->poll_ms = now;
    cache_leave(); /* whoever wants the cache need not wait for what goes back */
    decay_process(now, delay, has_given);
    if (profile_is_on() && jdb__registry_here() == cache)
        jdb__profile_poll(cache);
    cache_leave();
}

struct thread_cache *jdb__decay_enter(void)
{
    struct thread_cache *const cache = jdb__registry_here();
    if (cache == NULL)
        decay_process(jdb__os_coarse_ms(), decay_delay(), false);
    else
        decay_count_call(cache);
    return cache == NULL ? NULL : jdb__registry_here();
}

/* ---- At once ---------------------------------------------------------------------------------------------- */

static uint64_t decay_given_pages(void)
{
    struct heap_stats heap;
    jdb__heap_stats(&heap);
    return heap.given_pages;
}

/* The thread is inside of no cache afterwards. */
static void decay_drain(void)
{
    decay_end_quarantine();
    struct thread_cache *const cache = jdb__registry_here();
    if (cache != NULL)
        jdb__thread_cache_flush(cache);
    cache_leave();
    jdb__shared_cache_drain(true);
}

void jdb__decay_empty_caches(void)
{
    decay_drain();
    jdb__decay_note(NULL);
}

bool jdb__decay_take_caches(void)
{
    const bool has_taken = jdb__registry_take_all() > 0;
    jdb__shared_cache_drain(true);
    jdb__decay_note(NULL);
    return has_taken;
}

uint64_t jdb_trim(void)
{
    const uint64_t before = decay_given_pages();
    decay_drain();
    jdb__heap_purge();
    return (decay_given_pages() - before) * JDB_PAGE_SIZE;
}

void jdb_thread_flush(void)
{
    struct thread_cache *const cache = jdb__registry_here();
    if (cache == NULL)
        return;
    jdb__thread_cache_flush(cache);
    cache_leave();
    jdb__heap_purge_excess();
    jdb__decay_note(cache);
}
