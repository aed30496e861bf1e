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

/* Runs of neighbours by one call each. What is held or pinned keeps its memory. Returns an error that the rest would meet
 * too, or 0. */
static int trim_decommit(const jdb_pool *pool, uint32_t *indices, uint32_t count, uint64_t *bytes)
{
    trim_sort(indices, count);
    for (uint32_t first = 0, end = 0; first < count; first = end) {
        uint64_t part_bytes = 0;
        for (end = first + 1; end < count && indices[end] == indices[end - 1] + 1; end++)
            continue;
        const int err = jdb_arena_decommit(pool->arena, indices[first], end - first, &part_bytes);
        if (err != 0 && err != -EBUSY)
            return err;
        *bytes += part_bytes;
    }
    return 0;
}

/* Under the lock: all free frames but the first keep_count are to be visited. -EBUSY: by another thread. */
static int trim_begin(jdb_pool *pool, uint32_t keep_count)
{
    if (pool->is_trimming)
        return -EBUSY;
    if (pool->waiter_count > 0) /* every free frame is kept for one */
        return 0;
    jdb__free_revoke_all(pool);
    jdb__free_collect_batches(pool);
    pool->is_trimming = true;
    jdb__free_make_cold(pool, keep_count);
    return 0;
}

/* Visit some frames. The lock is held, but for the system's part. */
static int trim_step(jdb_pool *pool, uint64_t *bytes)
{
    uint32_t indices[TRIM_FRAMES];
    uint32_t count = 0;
    for (; count < TRIM_FRAMES && pool->cold.count > 0; count++)
        indices[count] = pool_list_pop(pool, &pool->cold);
    lock_release(&pool->lock);
    const int err = trim_decommit(pool, indices, count, bytes);
    lock_take(&pool->lock);
    for (uint32_t i = 0; i < count; i++)
        jdb__free_append(pool, indices[i]);
    jdb_pool_wait *const served = jdb__waiters_serve(pool);
    lock_release(&pool->lock);
    jdb__waiters_call(pool, served);
    lock_take(&pool->lock);
    return err;
}

int jdb_pool_trim(jdb_pool *pool, uint32_t keep_count, uint64_t *ret_bytes)
{
    if (pool == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    uint64_t bytes = 0;
    lock_take(&pool->lock);
    int err = trim_begin(pool, keep_count);
    const bool is_mine = err == 0 && pool->is_trimming;
    while (is_mine && err == 0 && pool->cold.count > 0)
        err = trim_step(pool, &bytes);
    if (is_mine) {
        jdb__free_join(pool, &pool->cold);
        pool->is_trimming = false;
        jdb__free_rebatch(pool);
    }
    lock_release(&pool->lock);
    if (err == 0 && ret_bytes != NULL)
        *ret_bytes = bytes;
    return err;
}
