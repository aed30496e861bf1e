/* SPDX-License-Identifier: MIT
 *
 * waiters.h - the queue of those who wait for frames of a pool, under the pool's lock: first come, first served.
 *
 *            start                 a put suffices      frames are zeroed, the list of those served is past it
 *     IDLE ---------> QUEUED ---------------> HANDED -------------------------------------------------------> DONE
 *                       |
 *                       +--> CANCELLED by another thread, IDLE by the deadline
 *
 * The state changes under the pool's lock, but for HANDED to DONE, which the serving thread does as its last access to the
 * entry (it calls or wakes after that): a sleeper that finds its entry HANDED waits for DONE, whatever its deadline,
 * because it owns the frames by then.
 *
 * An entry is in the queue of the pool whose token it carries, and in no other: the token is claimed by compare-and-swap
 * from 0 under that pool's lock before the entry is changed, and given up under the same lock. So a cancel at the wrong
 * pool, whose lock protects nothing here, does no harm, nor do two threads that start one entry.
 */
#ifndef JDB_POOL_WAITERS_H
#define JDB_POOL_WAITERS_H

#include "pool/state.h"

enum { WAIT_IDLE, WAIT_QUEUED, WAIT_HANDED, WAIT_DONE, WAIT_CANCELLED };

static inline uint32_t wait_state(const jdb_pool_wait *wait)
{
    return __atomic_load_n(&wait->state, __ATOMIC_ACQUIRE);
}

static inline void wait_set_state(jdb_pool_wait *wait, uint32_t state)
{
    __atomic_store_n(&wait->state, state, __ATOMIC_RELEASE);
}

/* Whether the library may access the entry. */
static inline bool wait_is_in_use(const jdb_pool_wait *wait)
{
    const uint32_t state = wait_state(wait);
    return state == WAIT_QUEUED || state == WAIT_HANDED;
}

/* Of the pool that has claimed the entry, or 0. */
static inline uint64_t wait_token(const jdb_pool_wait *wait)
{
    return __atomic_load_n(&wait->token, __ATOMIC_ACQUIRE);
}

/* Under the lock. False: another thread or pool has claimed it. */
static inline bool wait_claim(jdb_pool_wait *wait, const jdb_pool *pool)
{
    uint64_t none = 0;
    return __atomic_compare_exchange_n(&wait->token, &none, pool->token, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline void wait_disclaim(jdb_pool_wait *wait)
{
    __atomic_store_n(&wait->token, 0, __ATOMIC_RELEASE);
}

/* Under the lock, all caches revoked: enter the queue at its end. The entry is claimed. */
void jdb__waiters_enter(jdb_pool *pool, jdb_pool_wait *wait);

/* Under the lock: take an entry out of the queue of this pool, where it ends in new_state. False: it is not there. Those
 * behind it may be served by what was kept for it: *ret_served. */
bool jdb__waiters_leave(jdb_pool *pool, jdb_pool_wait *wait, uint32_t new_state, jdb_pool_wait **ret_served);

/* Under the lock: hand frames of the free list to the oldest waiters that they suffice for. Returns those served, for
 * jdb__waiters_call() once the lock is released. */
jdb_pool_wait *jdb__waiters_serve(jdb_pool *pool);

/* Without a lock: wake and call the waiters served. */
void jdb__waiters_call(const jdb_pool *pool, jdb_pool_wait *served);

#endif
