/* SPDX-License-Identifier: MIT
 *
 * share.c - pools that share a budget give the memory of free frames back for each other. Protocol: budget.h.
 */
#include "base/bits.h"
#include "base/sized.h"
#include "os/fork_mark.h"
#include "os/os.h"
#include "pool/waiters.h"

#define RECLAIM_ROUNDS 64u /* visits to the other pools by one get, while others charge what they give */

SIZED_FORM(budget_stats_form, jdb_budget_stats, 56, 88);

/* Frames of a pool that hold so many bytes. */
static uint32_t share_frames(const jdb_pool *pool, uint64_t bytes)
{
    const uint64_t stride = pool->frames.stride;
    return (uint32_t)bits_min(bytes / stride + (bytes % stride != 0 ? 1 : 0), UINT32_MAX);
}

static void share_serve_all(jdb_budget *budget);

/* Returns whether it gave anything, or another thread was giving. */
static bool share_give_back(jdb_pool *pool, uint64_t bytes, uint32_t least_count)
{
    uint64_t given = 0;
    bool has_more = false;
    const uint32_t frame_count = (uint32_t)bits_max(share_frames(pool, bytes), least_count);
    const bool is_busy = jdb__trim_give_back(pool, frame_count, &given, &has_more) == -EBUSY;
    const bool has_others = has_more;
    while (has_more) {
        const uint64_t wanted = atomic_load(&pool->budget->wanted_bytes);
        (void)jdb__trim_give_back(pool, share_frames(pool, wanted), &given, &has_more);
    }
    atomic_fetch_add(&pool->budget->taken_bytes, given);
    if (has_others)
        share_serve_all(pool->budget);
    return is_busy || given > 0;
}

/* Serve the waiters of all pools by what may be charged now. */
static void share_serve_all(jdb_budget *budget)
{
    for (jdb_pool *pool = NULL; (pool = jdb__budget_next(budget, pool)) != NULL;) {
        lock_take(&pool->lock);
        jdb_pool_wait *const served = jdb__waiters_serve(pool);
        jdb__free_rebatch(pool);
        lock_release(&pool->lock);
        jdb__waiters_call(pool, served);
    }
}

/* ---- Get -------------------------------------------------------------------------------------------------- */

/* Frames without memory that a get lacks, where the pool has so many. False: it has not, or a waiter comes first. Those of a run
 * that found no neighbours among frames enough are as many more, or all. */
static bool share_lacks(jdb_pool *pool, uint32_t frame_count, bool is_fragmented, uint64_t *ret_missing)
{
    lock_take(&pool->lock);
    jdb__free_revoke_all(pool);
    jdb__free_collect_batches(pool);
    const uint64_t bare_count = pool_bare_count(pool);
    const uint32_t free_count = pool->free.count;
    if (is_fragmented)
        *ret_missing = bits_min(bare_count, frame_count);
    else
        *ret_missing = frame_count > free_count ? frame_count - free_count : 0;
    const bool can_help = pool->waiter_count == 0 && bare_count >= *ret_missing;
    lock_release(&pool->lock);
    return can_help && (*ret_missing > 0 || !is_fragmented);
}

/* Returns whether any pool gave, or was giving. */
static bool share_reclaim_once(const jdb_pool *pool, uint64_t bytes)
{
    jdb_budget *const budget = pool->budget;
    bool has_given = false;
    for (jdb_pool *other = NULL; (other = jdb__budget_next(budget, other)) != NULL;) {
        const uint64_t lacks = jdb__budget_lacks(pool, bytes);
        if (other != pool && lacks > 0)
            has_given |= share_give_back(other, lacks, other->batches.batch_size);
    }
    if (budget_is_wanted(budget)) /* what was given back is more, or a hold ended since they queued */
        share_serve_all(budget);
    return has_given;
}

bool jdb__share_reclaim(jdb_pool *pool, uint32_t frame_count, bool is_fragmented)
{
    jdb_budget *const budget = pool->budget;
    uint64_t missing = 0;
    if (budget == NULL || !share_lacks(pool, frame_count, is_fragmented, &missing))
        return false;
    const uint64_t bytes = missing * pool->frames.stride;
    for (uint32_t round = 0; share_reclaim_once(pool, bytes) && jdb__budget_lacks(pool, bytes) > 0; round++) {
        if (round == RECLAIM_ROUNDS)
            break;
        jdb__os_yield(); /* to those who give, or charge what was given */
    }
    if (jdb__budget_lacks(pool, bytes) == 0)
        return true;
    atomic_fetch_add(&budget->refused_count, 1);
    return false;
}

/* ---- Wait ------------------------------------------------------------------------------------------------- */

static void share_ask_others(const jdb_pool *pool, uint64_t bytes)
{
    for (jdb_pool *other = NULL; (other = jdb__budget_next(pool->budget, other)) != NULL;)
        if (other != pool)
            (void)share_give_back(other, bytes, 0);
}

void jdb__share_want(jdb_pool *pool, uint32_t frame_count)
{
    jdb_budget *const budget = pool->budget;
    if (budget == NULL)
        return;
    const uint64_t bytes = frame_count * pool->frames.stride;
    const uint64_t before = jdb__budget_want(pool, frame_count);
    share_ask_others(pool, before + bytes);
    if (before > 0) /* those who are queued come first */
        share_serve_all(budget);
}

void jdb__share_want_queued(jdb_pool *pool)
{
    jdb_budget *const budget = pool->budget;
    if (!budget_is_wanted(budget))
        return;
    share_ask_others(pool, atomic_load(&budget->wanted_bytes));
    share_serve_all(budget);
}

void jdb__share_feed(jdb_pool *pool)
{
    if (!budget_is_wanted(pool->budget))
        return;
    (void)share_give_back(pool, atomic_load(&pool->budget->wanted_bytes), 0);
    share_serve_all(pool->budget);
}

void jdb__share_close(const jdb_pool *pool)
{
    if (pool->budget == NULL)
        return;
    jdb__budget_discharge(pool, (uint64_t)pool_used_count(pool) - pool->bare.count);
    if (budget_is_wanted(pool->budget))
        share_serve_all(pool->budget);
}

/* ---- The budget ------------------------------------------------------------------------------------------- */

static int budget_check(const jdb_budget *budget)
{
    if (budget == NULL)
        return -EINVAL;
    return fork_mark_is_mine(budget->fork_mark) ? 0 : -EPERM;
}

int jdb_budget_new(uint64_t max_bytes, jdb_budget **ret_budget)
{
    if (ret_budget == NULL)
        return -EINVAL;
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(jdb_budget), &memory);
    if (err != 0)
        return err;
    jdb_budget *const budget = memory;
    budget->fork_mark = jdb__fork_mark();
    atomic_store(&budget->max_bytes, max_bytes);
    lock_init(&budget->lock, LOCK_BUDGET, false);
    *ret_budget = budget;
    return 0;
}

int jdb_budget_free(jdb_budget *budget)
{
    if (budget == NULL)
        return 0;
    const int err = budget_check(budget);
    if (err != 0)
        return err;
    lock_take(&budget->lock);
    const bool is_used = budget->pool_count > 0;
    lock_release(&budget->lock);
    if (is_used)
        return -EBUSY;
    lock_destroy(&budget->lock);
    jdb__os_free(budget);
    return 0;
}

int jdb_budget_set_max(jdb_budget *budget, uint64_t max_bytes)
{
    const int err = budget_check(budget);
    if (err != 0)
        return err;
    atomic_store(&budget->max_bytes, max_bytes);
    for (jdb_pool *pool = NULL; (pool = jdb__budget_next(budget, pool)) != NULL;) {
        const uint64_t used = atomic_load(&budget->used_bytes);
        if (used > max_bytes)
            share_give_back(pool, used - max_bytes, 0);
    }
    share_serve_all(budget);
    return 0;
}

int jdb_budget_get_stats(jdb_budget *budget, jdb_budget_stats *stats)
{
    if (stats == NULL || jdb__sized_check(&budget_stats_form, stats) != 0)
        return -EINVAL;
    const int err = budget_check(budget);
    if (err != 0)
        return err;
    jdb_budget_stats all = {
        .max_bytes = atomic_load(&budget->max_bytes),
        .used_bytes = atomic_load(&budget->used_bytes),
        .peak_bytes = atomic_load(&budget->peak_bytes),
        .wanted_bytes = atomic_load(&budget->wanted_bytes),
        .taken_bytes = atomic_load(&budget->taken_bytes),
        .refused_count = atomic_load(&budget->refused_count),
    };
    lock_take(&budget->lock);
    all.pool_count = budget->pool_count;
    lock_release(&budget->lock);
    return jdb__sized_write(&budget_stats_form, &all, stats);
}
