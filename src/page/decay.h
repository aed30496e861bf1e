/* SPDX-License-Identifier: MIT
 *
 * decay.h - when cached memory goes back: the clock, the delay, and what happens at the end of a decay epoch.
 *
 * Memory moves one stage towards the system for each decay epoch (the delay of jdb_set_page_options()) in which it is
 * not used:
 *
 *     a thread's bins, half of each -> shared caches -> dirty pages -> system
 *     a thread's larger runs -> dirty pages
 *
 * Dirty pages go by demand: an epoch has HEAP_STEPS steps, and at the end of each as many pages go as nobody needed in the
 * last epoch. What bursts free and take again within an epoch stays, however much it is. When nothing was left cached
 * beyond the bins of threads for an epoch, everything goes. Each poll makes a bounded number of system calls; where more
 * is to go, the thread's next call polls again.
 *
 * The clock is read in a decay poll, not on each call, which would cost more than the call: on slow paths, every 64
 * frees of a thread, and on the next call of a thread that left memory cached beyond its bins. There is no background
 * thread.
 *
 * No lock. Threads poll at the same time: one of them ends the process's epoch, by a compare-and-swap of its start.
 */
#ifndef JDB_DECAY_H
#define JDB_DECAY_H

#include "page/thread_cache.h"

/* A decay poll of the calling thread, which is not inside of its cache afterwards. */
JDB_COLD void jdb__decay_poll(struct thread_cache *cache);

/* A call of the fast path, which has left the cache. */
static inline void decay_count_call(struct thread_cache *cache)
{
    if (JDB_UNLIKELY(--cache->calls_to_poll == 0))
        jdb__decay_poll(cache);
}

/* A call of a slow path: polls the clock when it is time. As jdb__registry_here(). */
struct thread_cache *jdb__decay_enter(void);

/* Memory was left cached beyond the thread's bins: its next call polls the clock. cache: NULL = the thread has none. */
void jdb__decay_note(struct thread_cache *cache);

/* What the calling thread's cache and the shared ones hold goes to the heap. The thread is not inside of its cache afterwards. */
void jdb__decay_empty_caches(void);

/* The same of the caches of other threads. False: they hold nothing. The caller is inside of none. */
bool jdb__decay_take_caches(void);

/* Milliseconds; JDB_DELAY_NONE = 0. */
void jdb__decay_set_delay(uint32_t ms);

#endif
