/* SPDX-License-Identifier: MIT
 *
 * fork.h - the locks of the library, their one order, and what fork() does with them.
 *
 * Order. A thread that holds a lock takes only locks that stand further down; lock_take() asserts it:
 *
 *     LOCK_ARENA       one per arena: growth, decommit, holds. Held while a progress callback runs, which may call
 *                      everything but the same arena, so it comes first, and another arena's may be taken under it
 *     LOCK_STREAM      one per writer. Held while a request is started, which a synchronous engine does to its end
 *     LOCK_ENGINE      one per engine of threads
 *     LOCK_REGIONS     the register of regions
 *     LOCK_POOLS       the registry of pools
 *     LOCK_POOL        one per pool
 *     LOCK_BUDGET      one per budget of pools: which they are
 *     LOCK_THREADS     the list of the threads' caches
 *     LOCK_SHARED      16, each of four size classes: the shared caches
 *     LOCK_QUARANTINE  runs kept by the checked build
 *     LOCK_HEAP        zones and extents
 *     LOCK_PROFILE     samples and stacks
 *
 * No lock is held while any other callback runs or a thread sleeps, but for a pool's lock while another thread leaves its cache, which
 * it is in for one call at most (pool/state.h).
 *
 * fork(). The library registers its handlers once, when it is loaded, so that the program's own prepare handlers run
 * before ours and its parent and child handlers after ours. Ours take the locks of all that a child keeps (those with
 * is_kept), so that the child finds every structure whole and every lock free. A pool, and an arena whose memory stays
 * with the parent, are of no use in the child: nobody waits for their locks.
 *
 * Between our handlers the forking thread holds all these locks. Where handlers of the program run in between (they were
 * registered before a late dlopen() of the library), lock_take() lets that thread pass: it may use the library.
 */
#ifndef JDB_FORK_H
#define JDB_FORK_H

#include "base/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum lock_rank {
    LOCK_ARENA,
    LOCK_STREAM,
    LOCK_ENGINE,
    LOCK_REGIONS,
    LOCK_POOLS,
    LOCK_POOL,
    LOCK_BUDGET,
    LOCK_THREADS,
    LOCK_SHARED,
    LOCK_QUARANTINE,
    LOCK_HEAP,
    LOCK_PROFILE,
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
    bool is_kept; /* fork() takes it */
#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)
    _Atomic(const void *) holder; /* an address that no other thread has, or NULL */
#endif
};

/* Of a lock that fork() takes. */
#define LOCK_INIT(the_rank)                                                     \
    {                                                                           \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (the_rank), .is_kept = true \
    }

/* Initial-exec, as every thread-local variable of the library. */
#if defined(__GNUC__) || defined(__clang__)
#define FORK_TLS __attribute__((tls_model("initial-exec")))
#else
#define FORK_TLS
#endif

/* Whether the calling thread is between the prepare handler and the handler after it. */
extern _Thread_local bool jdb__is_forking FORK_TLS;

#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)
/* Bit r: the calling thread holds a lock of rank r. */
extern _Thread_local uint32_t jdb__held_ranks FORK_TLS;

static inline bool lock_is_next(const struct lock *lock)
{
    const uint32_t lowest = lock->rank == LOCK_ARENA ? 1u : 0;
    return jdb__held_ranks >> (lock->rank + lowest) == 0;
}

static inline void lock_note(struct lock *lock, bool is_held)
{
    const uint32_t bit = 1u << lock->rank;
    jdb__held_ranks = is_held ? jdb__held_ranks | bit : jdb__held_ranks & ~bit;
    atomic_store_explicit(&lock->holder, is_held ? &jdb__held_ranks : NULL, memory_order_relaxed);
}

static inline bool lock_is_none_held(void)
{
    return jdb__held_ranks == 0;
}

/* Whether the calling thread holds the lock. */
static inline bool lock_is_held(const struct lock *lock)
{
    return (jdb__is_forking && lock->is_kept) ||
           atomic_load_explicit(&lock->holder, memory_order_relaxed) == &jdb__held_ranks;
}
#else
static inline bool lock_is_next(const struct lock *lock)
{
    (void)lock;
    return true;
}

static inline void lock_note(struct lock *lock, bool is_held)
{
    (void)lock;
    (void)is_held;
}

static inline bool lock_is_none_held(void)
{
    return true;
}

static inline bool lock_is_held(const struct lock *lock)
{
    (void)lock;
    return true;
}
#endif

#ifdef JDB_FAULTS
/* The calling thread is about to take a lock. Defined by the tests, as the next one. */
void jdb__lock_wanted(const void *lock);

/* It took a lock, or is about to release it. */
void jdb__lock_noted(bool is_held);
#else
static inline void jdb__lock_wanted(const void *lock)
{
    (void)lock;
}

static inline void jdb__lock_noted(bool is_held)
{
    (void)is_held;
}
#endif

/* A lock of one object. */
static inline void lock_init(struct lock *lock, enum lock_rank rank, bool is_kept)
{
    pthread_mutex_init(&lock->mutex, NULL);
    lock->rank = rank;
    lock->is_kept = is_kept;
#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)
    atomic_init(&lock->holder, NULL);
#endif
}

static inline void lock_destroy(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

static inline void lock_take(struct lock *lock)
{
    if (JDB_UNLIKELY(jdb__is_forking && lock->is_kept))
        return;
    JDB_ASSERT(jdb__is_forking || lock_is_next(lock));
    jdb__lock_wanted(lock);
    pthread_mutex_lock(&lock->mutex);
    lock_note(lock, true);
    jdb__lock_noted(true);
}

static inline void lock_release(struct lock *lock)
{
    if (JDB_UNLIKELY(jdb__is_forking && lock->is_kept))
        return;
    JDB_ASSERT(lock_is_held(lock));
    jdb__lock_noted(false);
    lock_note(lock, false);
    pthread_mutex_unlock(&lock->mutex);
}

/* Register the handlers, the first time. 0, or -ENOMEM: a child of fork() might find locks that nobody releases, so
 * nothing that children keep may be made. */
int jdb__fork_watch(void);

/* ---- What each part does, called by fork.c only ----------------------------------------------------------- */

void jdb__regions_before_fork(void);
void jdb__regions_after_fork(void);
void jdb__pools_before_fork(void);
void jdb__pools_after_fork(void);
void jdb__caches_before_fork(void); /* caches of threads, shared caches, quarantine, heap, profile */
void jdb__caches_after_fork(void);

/* In the child, which has one thread and no other's work to finish; locks are free. */
void jdb__fork_mark_in_child(void);
void jdb__regions_in_child(void);
void jdb__pools_in_child(void);
void jdb__caches_in_child(void);

#endif
