/* SPDX-License-Identifier: MIT
 *
 * budget.h - bytes that several pools share: what a pool has charged, and which pools there are.
 *
 * A frame is charged from the moment that it leaves the frames never lent, or the list `bare` of its pool, until its memory
 * was given back to the system and it is on that list: lent or free, it counts. So the cache of a thread and the batches hold
 * frames that are paid for, and a get that they serve knows nothing of the budget (F10). What is charged is an upper bound of what is
 * resident: a frame has no memory before it was lent first, and none on `bare`.
 *
 * A pool that lacks bytes makes the others give the memory of free frames back (share.c). A wait announces what it lacks in
 * wanted_bytes first, and then takes away the caches of all other pools; while bytes are wanted the caches stay revoked. So
 * either the waiter's last look sees what a put made free, or the put comes to the lock of its pool and sees that bytes are
 * wanted: no wake-up is lost between pools either.
 *
 * What the others give before the wait is queued may go to a get of a third pool, so they give once more when it is (and its bytes
 * are kept for it); and a get that failed with frames in hand, which no visit sees, brings them to the waits as a put does.
 *
 * A wait of such a pool is for one frame. So a pool with waiters has no free frame, and every byte that is not lent is there for
 * any waiter: no two pools wait, each with a part of what the other lacks. Waits of many would need one queue over all pools.
 *
 * What a queued wait lacks is kept for it: a pool without waits charges none of that (kept_bytes), so that no get overtakes a wait
 * that needs more bytes than it does. Waits themselves charge whatever there is.
 *
 * Lock: LOCK_BUDGET guards the list of pools. A pool that is visited is not freed meanwhile; nobody holds this lock while
 * visiting.
 */
#ifndef JDB_POOL_BUDGET_H
#define JDB_POOL_BUDGET_H

#include "jdb_alloc/pool.h"
#include "os/fork.h"

struct jdb_budget {
    struct lock lock;
    uint64_t fork_mark;
    jdb_pool *first;
    uint32_t pool_count;
    _Atomic uint64_t max_bytes;
    _Atomic uint64_t used_bytes;   /* at most max_bytes, where that was not lowered since */
    _Atomic uint64_t peak_bytes;   /* most of it */
    _Atomic uint64_t wanted_bytes; /* by waits, queued or about to be */
    _Atomic uint64_t
        kept_bytes; /* of those, by waits that are queued and whose pools have a frame without memory for them */
    _Atomic uint64_t taken_bytes; /* given back by pools for others */
    _Atomic uint64_t refused_count;
};

/* Whether waits want bytes. */
static inline bool budget_is_wanted(const jdb_budget *budget)
{
    return JDB_UNLIKELY(budget != NULL) && atomic_load(&budget->wanted_bytes) > 0;
}

/* How many bytes more have to be given back before the pool may charge so many. */
uint64_t jdb__budget_lacks(const jdb_pool *pool, uint64_t bytes);

/* Charge up to frame_count frames of the pool. Returns how many; all where the pool has no budget. */
uint32_t jdb__budget_charge(const jdb_pool *pool, uint32_t frame_count);
void jdb__budget_discharge(const jdb_pool *pool, uint64_t frame_count);

/* Announce what a wait for so many frames lacks: returns the bytes that others want. That wait is over: nothing where the pool has
 * no budget. */
uint64_t jdb__budget_want(jdb_pool *pool, uint32_t frame_count);
void jdb__budget_want_no_more(jdb_pool *pool, uint32_t frame_count);

/* jdb__batches_take_fresh() of frames that are charged, for a pool with a budget. */
uint32_t jdb__budget_take_fresh(jdb_pool *pool, uint32_t frame_count, uint32_t *ret_first);

/* Whether a pool over this arena can have this budget: errors of jdb_pool_new(). */
int jdb__budget_check(const jdb_budget *budget, const jdb_arena *arena);

/* Memory that an earlier user of the arena touched is given back, as no frame is charged yet: once it is known that no other pool
 * lends it. Nothing where the pool has no budget. */
int jdb__budget_empty(const jdb_pool *pool);

/* Enter a pool into the list, and take it out: waits until nobody visits it. Nothing where it has no budget. */
void jdb__budget_join(jdb_pool *pool);
void jdb__budget_leave(jdb_pool *pool);

/* Visit the pools: the first after NULL, NULL at the end. One that is visited is not freed. */
jdb_pool *jdb__budget_next(jdb_budget *budget, jdb_pool *visited);

#endif
