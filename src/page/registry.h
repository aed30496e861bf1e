/* SPDX-License-Identifier: MIT
 *
 * registry.h - the caches of all threads: made on a thread's first call, handed on at its end, listed for statistics
 * and fork().
 *
 * Memory that is cached grows with processors and not with threads: only so many threads have a cache of their own at a
 * time, at least 64. The others use the shared caches; the next one to call when a thread with a cache has ended gets one.
 *
 * A thread that ends flushes its cache and leaves the block to the next thread that starts: blocks are never freed
 * (P11), so there are as many as there were threads at once.
 *
 * Where memory is short under the limit, one thread takes what the others keep. It revokes their caches, which are shut from
 * then on, makes a barrier in all threads (membarrier(2)), and empties each whose owner is not inside. The owner's next
 * call is a slow one, takes the registry's lock and has its cache back. An owner that stays inside, since it was preempted
 * there or the system keeps it, is waited for 25 ms at most, and keeps what it has. Without membarrier all do.
 *
 * Lock: the registry's guards the list, the spare blocks, their count, and caches that are revoked. It comes first in the
 * order of the page locks, and is held while others leave their caches.
 */
#ifndef JDB_REGISTRY_H
#define JDB_REGISTRY_H

#include "page/thread_cache.h"

/* Enter the calling thread's cache, made on its first call; the caller leaves it by cache_leave(). NULL when it cannot be (enough
 * threads have one, no memory, the thread ends), and in the checked build, where every run goes through the heap and the
 * quarantine. */
struct thread_cache *jdb__registry_here(void);

/* What the caches of other threads keep goes on to the shared ones or the heap. Returns how many pages. The caller is inside
 * of none. */
uint64_t jdb__registry_take_all(void);

/* The thread's next call polls the clock. */
void jdb__registry_poll_next(struct thread_cache *cache);

struct registry_stats {
    uint64_t thread_count;
    uint64_t pages;
};

struct registry_stats jdb__registry_stats(void);

/* Runs of one class in the caches of all threads. */
uint64_t jdb__registry_count(uint32_t page_count);

#endif
