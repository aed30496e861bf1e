/* SPDX-License-Identifier: MIT
 *
 * shared_cache.h - freed runs between the caches of threads and the heap: a stack of page indices for each size class,
 * four of them under a lock.
 *
 * Caches of threads fill and empty by batches, so a lock is taken at most once for 32 pages that go through. Runs are
 * as P7 and P8 of thread_cache.h say: their words are CACHED.
 *
 * Locks: 16, each of the classes that differ by a multiple of 16, between the registry's and the heap's in the order of
 * os/fork.h. None is held while a run goes to the heap.
 */
#ifndef JDB_SHARED_CACHE_H
#define JDB_SHARED_CACHE_H

#include <stdbool.h>
#include <stdint.h>

/* Take up to `wanted` runs of a class, put last first; returns how many. */
unsigned jdb__shared_cache_pop(uint32_t page_count, unsigned wanted, uint32_t *ret_indices);

/* Put runs of a class. False: no room, or more than may stay; none is put then. */
bool jdb__shared_cache_push(uint32_t page_count, const uint32_t *indices, unsigned count);

/* Give runs of all classes to the heap: all of them, or those that were not touched since the last call. What is in
 * excess in the heap then is the caller's to give back. */
void jdb__shared_cache_drain(bool all);

/* Bytes that all classes together hold at most; 0 = no bound beyond that of each stack. */
void jdb__shared_cache_set_max(uint64_t bytes);

/* Runs of one class. */
uint64_t jdb__shared_cache_count(uint32_t page_count);

struct shared_cache_stats {
    uint64_t pages;
    uint64_t lock_count; /* how often a lock was taken */
};

struct shared_cache_stats jdb__shared_cache_stats(void);

/* Around fork(). */
void jdb__shared_cache_before_fork(void);
void jdb__shared_cache_after_fork(void);

#endif
