/* SPDX-License-Identifier: MIT
 *
 * trim.c - gives the memory of free frames back to the system, those put longest ago first.
 *
 * All caches are revoked meanwhile and no batch is made, so each free frame is on the free list, on the list of those that
 * the trim has yet to visit, where every get looks too, or in the hands of the trim. Those it has visited go to the end of
 * the free list.
 */
#include "pool/waiters.h"

#include "arena/arena_internal.h"
#include "base/bits.h"

#define TRIM_FRAMES 256u /* in hand at a time, without the lock */

/* Shell's sort: few numbers, no memory. */
static void trim_sort(uint32_t *indices, uint32_t count)
{
    for (uint32_t gap = count / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < count; i++) {
            const uint32_t index = indices[i];
            uint32_t place = i;
            for (; place >= gap && indices[place - gap] > index; place -= gap)
                indices[place] = indices[place - gap];
            indices[place] = index;
        }
}

/* Frames in hand. */
struct trim_part {
    uint32_t indices[TRIM_FRAMES];
    bool has_no_memory[TRIM_FRAMES];
    uint32_t count;
};

/* Neighbours [first, end). What is held or pinned keeps its memory: where there is such a frame among them, ever fewer are tried,
 * and behind it ever more again. */
static int trim_decommit_run(const jdb_pool *pool, struct trim_part *part, uint32_t first, uint32_t end,
                             uint64_t *bytes)
{
    uint32_t most_count = end - first;
    while (first < end) {
        uint64_t run_bytes = 0;
        const uint32_t count = (uint32_t)bits_min(most_count, end - first);
        const int err = jdb_arena_decommit(pool->arena, part->indices[first], count, &run_bytes);
        if (err != 0 && err != -EBUSY)
            return err;
        if (err == -EBUSY && count > 1) {
            most_count = count / 2;
            continue;
        }
        *bytes += run_bytes;
        memset(&part->has_no_memory[first], err == 0, count);
        first += count;
        most_count = count * 2;
    }
    return 0;
}

/* Runs of neighbours by one call each, where none is held. Returns an error that the rest would meet too, or 0. */
static int trim_decommit(const jdb_pool *pool, struct trim_part *part, uint64_t *bytes)
{
    int err = 0;
    trim_sort(part->indices, part->count);
    for (uint32_t first = 0, end = 0; err == 0 && first < part->count; first = end) {
        for (end = first + 1; end < part->count && part->indices[end] == part->indices[end - 1] + 1; end++)
            continue;
        err = trim_decommit_run(pool, part, first, end, bytes);
    }
    return err;
}

/* Under the lock: the oldest of the free frames but the first keep_count, most_count of them at most, are to be visited. -EBUSY:
 * another thread trims. */
static int trim_begin(jdb_pool *pool, uint32_t keep_count, uint32_t most_count)
{
    if (pool->is_trimming)
        return -EBUSY;
    if (pool->waiter_count > 0) /* every free frame is kept for one */
        return 0;
    jdb__free_revoke_all(pool);
    jdb__free_collect_batches(pool);
    pool->is_trimming = true;
    const uint32_t rest_count = pool->free.count > most_count ? pool->free.count - most_count : 0;
    jdb__free_make_cold(pool, (uint32_t)bits_max(keep_count, rest_count));
    return 0;
}

/* Under the lock: what was in hand goes to the end of the free list; where a budget counts memory, frames without go to the list
 * of those. */
static void trim_return(jdb_pool *pool, const struct trim_part *part)
{
    uint32_t bare_count = 0;
    for (uint32_t i = 0; i < part->count; i++)
        if (part->has_no_memory[i])
            jdb__nodes_forget(pool, part->indices[i]);
    for (uint32_t i = 0; i < part->count; i++)
        if (pool->budget != NULL && part->has_no_memory[i]) {
            pool_list_push(pool, &pool->bare, part->indices[i]);
            bare_count++;
        } else {
            jdb__free_append(pool, part->indices[i]);
        }
    jdb__budget_discharge(pool, bare_count);
}

/* Visit some frames. The lock is held, but for the system's part. */
static int trim_step(jdb_pool *pool, uint64_t *bytes)
{
    struct trim_part part = {.count = 0};
    while (part.count < TRIM_FRAMES && pool->cold.count > 0)
        part.indices[part.count++] = pool_list_pop(pool, &pool->cold);
    lock_release(&pool->lock);
    const int err = trim_decommit(pool, &part, bytes);
    lock_take(&pool->lock);
    trim_return(pool, &part);
    jdb_pool_wait *const served = jdb__waiters_serve(pool);
    lock_release(&pool->lock);
    jdb__waiters_call(pool, served);
    lock_take(&pool->lock);
    return err;
}

/* *ret_has_more: another thread came to give back what it had put meanwhile. */
static int trim_run(jdb_pool *pool, uint32_t keep_count, uint32_t most_count, uint64_t *bytes, bool *ret_has_more)
{
    *ret_has_more = false;
    lock_take(&pool->lock);
    int err = trim_begin(pool, keep_count, most_count);
    const bool is_mine = err == 0 && pool->is_trimming;
    while (is_mine && err == 0 && pool->cold.count > 0)
        err = trim_step(pool, bytes);
    if (is_mine) {
        jdb__free_join(pool, &pool->cold);
        pool->is_trimming = false;
        *ret_has_more = pool->has_more_to_give;
        pool->has_more_to_give = false;
        jdb__free_rebatch(pool);
    } else if (err == -EBUSY && budget_is_wanted(pool->budget)) {
        pool->has_more_to_give = true;
    }
    lock_release(&pool->lock);
    return err;
}

int jdb__trim_give_back(jdb_pool *pool, uint32_t frame_count, uint64_t *bytes, bool *ret_has_more)
{
    return trim_run(pool, 0, frame_count, bytes, ret_has_more);
}

int jdb_pool_trim(jdb_pool *pool, uint32_t keep_count, uint64_t *ret_bytes)
{
    if (pool == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    uint64_t bytes = 0;
    bool has_more = false;
    const int err = trim_run(pool, keep_count, UINT32_MAX, &bytes, &has_more);
    jdb__share_feed(pool); /* has_more too */
    if (err == 0 && ret_bytes != NULL)
        *ret_bytes = bytes;
    return err;
}
