/* SPDX-License-Identifier: MIT
 *
 * budget.c - charges frames to a budget, and knows its pools.
 */
#include "arena/arena_internal.h"
#include "base/bits.h"
#include "os/fork_mark.h"
#include "os/os.h"
#include "pool/state.h"

#define BUDGET_SLEEP_NS 50000u /* until a visitor of a pool has left it */

/* ---- Charges ---------------------------------------------------------------------------------------------- */

/* Bytes that the pool may not charge: waits of other pools are first. Where it has one itself, any order of those is good. */
static uint64_t budget_kept_from(const jdb_pool *pool)
{
    return atomic_load(&pool->want_count) > 0 ? 0 : atomic_load(&pool->budget->kept_bytes);
}

uint64_t jdb__budget_lacks(const jdb_pool *pool, uint64_t bytes)
{
    const uint64_t max_bytes = atomic_load(&pool->budget->max_bytes);
    const uint64_t needed = atomic_load(&pool->budget->used_bytes) + budget_kept_from(pool) + bytes;
    return needed > max_bytes ? needed - max_bytes : 0;
}

static void budget_note_peak(jdb_budget *budget, uint64_t bytes)
{
    uint64_t peak = atomic_load(&budget->peak_bytes);
    while (peak < bytes && !atomic_compare_exchange_weak(&budget->peak_bytes, &peak, bytes))
        continue;
}

uint32_t jdb__budget_charge(const jdb_pool *pool, uint32_t frame_count)
{
    jdb_budget *const budget = pool->budget;
    if (budget == NULL)
        return frame_count;
    uint64_t used = atomic_load(&budget->used_bytes);
    uint64_t count;
    do {
        const uint64_t max_bytes = atomic_load(&budget->max_bytes);
        const uint64_t taken = used + budget_kept_from(pool);
        count = max_bytes > taken ? bits_min((max_bytes - taken) / pool->frames.stride, frame_count) : 0;
        if (count == 0)
            return 0;
    } while (!atomic_compare_exchange_weak(&budget->used_bytes, &used, used + count * pool->frames.stride));
    budget_note_peak(budget, used + count * pool->frames.stride);
    return (uint32_t)count;
}

void jdb__budget_discharge(const jdb_pool *pool, uint64_t frame_count)
{
    if (pool->budget == NULL || frame_count == 0)
        return;
    const uint64_t bytes = frame_count * pool->frames.stride;
    const uint64_t before = atomic_fetch_sub(&pool->budget->used_bytes, bytes);
    JDB_ASSERT(before >= bytes); /* F10 */
    (void)before;
}

uint64_t jdb__budget_want(jdb_pool *pool, uint32_t frame_count)
{
    atomic_fetch_add(&pool->want_count, 1);
    return atomic_fetch_add(&pool->budget->wanted_bytes, frame_count * pool->frames.stride);
}

void jdb__budget_want_no_more(jdb_pool *pool, uint32_t frame_count)
{
    if (pool->budget == NULL)
        return;
    atomic_fetch_sub(&pool->budget->wanted_bytes, frame_count * pool->frames.stride);
    atomic_fetch_sub(&pool->want_count, 1);
}

/* More is charged than taken only where another thread of this pool took the last ones. Whoever lacks bytes in another pool visits
 * this one, under its lock and with its caches revoked, so that is over before it looks. */
uint32_t jdb__budget_take_fresh(jdb_pool *pool, uint32_t frame_count, uint32_t *ret_first)
{
    const uint32_t all_count = pool_frame_count(pool);
    const uint32_t fresh_count = jdb__batches_fresh_count(&pool->batches, all_count);
    const uint32_t charged = jdb__budget_charge(pool, (uint32_t)bits_min(frame_count, fresh_count));
    const uint32_t taken = charged > 0 ? jdb__batches_take_fresh(&pool->batches, all_count, charged, ret_first) : 0;
    jdb__budget_discharge(pool, charged - taken);
    return taken;
}

/* ---- Pools ------------------------------------------------------------------------------------------------ */

int jdb__budget_check(const jdb_budget *budget, const jdb_arena *arena)
{
    const jdb_arena_options *const options = &arena->options;
    if (!fork_mark_is_mine(budget->fork_mark))
        return -EPERM;
    if (arena->region.stride % jdb__os_page_size() != 0)
        return -EINVAL;
    const bool can_give_back =
        options->foreign_ptr == NULL && !arena->is_attached && options->pages == JDB_ARENA_PAGES_NONE;
    return can_give_back && (options->flags & JDB_ARENA_PREFAULT) == 0 ? 0 : -ENOTSUP;
}

int jdb__budget_empty(const jdb_pool *pool)
{
    const uint32_t frame_count = pool_frame_count(pool);
    return pool->budget == NULL || frame_count == 0 ? 0 : jdb_arena_decommit(pool->arena, 0, frame_count, NULL);
}

void jdb__budget_join(jdb_pool *pool)
{
    jdb_budget *const budget = pool->budget;
    if (budget == NULL)
        return;
    lock_take(&budget->lock);
    pool->budget_next = budget->first;
    budget->first = pool;
    budget->pool_count++;
    lock_release(&budget->lock);
}

static bool budget_try_leave(jdb_budget *budget, jdb_pool *pool)
{
    lock_take(&budget->lock);
    const bool can_leave = pool->budget_visits == 0;
    if (can_leave) {
        jdb_pool **link = &budget->first;
        while (*link != pool)
            link = &(*link)->budget_next;
        *link = pool->budget_next;
        budget->pool_count--;
    }
    lock_release(&budget->lock);
    return can_leave;
}

void jdb__budget_leave(jdb_pool *pool)
{
    uint32_t nobody_wakes = 0;
    while (pool->budget != NULL && !budget_try_leave(pool->budget, pool))
        jdb__os_sleep(&nobody_wakes, 0, jdb__os_clock_ns() + BUDGET_SLEEP_NS);
}

jdb_pool *jdb__budget_next(jdb_budget *budget, jdb_pool *visited)
{
    lock_take(&budget->lock);
    jdb_pool *const next = visited != NULL ? visited->budget_next : budget->first;
    if (visited != NULL)
        visited->budget_visits--;
    if (next != NULL)
        next->budget_visits++;
    lock_release(&budget->lock);
    return next;
}
