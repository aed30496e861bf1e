/* SPDX-License-Identifier: MIT
 *
 * run.c - get and put of a run: neighbouring frames, which one large I/O can move.
 *
 * A run is found on the free list, which has a bit for each frame. Frames that are elsewhere come there first: those never
 * lent, which are neighbours, then those of the batches and of all caches. So what put_run gives back stays on the free
 * list, where the next get_run finds it without looking at a cache.
 */
#include "pool/waiters.h"

/* Bring every free frame to the free list, but those set aside; of those never lent there are fewer than frame_count. */
static void run_collect(jdb_pool *pool, uint32_t frame_count)
{
    jdb__free_revoke_all(pool);
    jdb__free_collect_batches(pool);
    jdb__free_join(pool, &pool->cold);
    jdb__free_collect_bare(pool, frame_count);
    jdb__free_collect_fresh(pool, frame_count);
}

static uint32_t run_find(jdb_pool *pool, uint32_t frame_count)
{
    uint32_t first = jdb__free_find_run(pool, frame_count);
    if (first != FRAME_NONE)
        return first;
    if (jdb__batches_fresh_count(&pool->batches, pool_frame_count(pool)) >= frame_count) {
        jdb__free_collect_fresh(pool, frame_count);
        first = jdb__free_find_run(pool, frame_count);
    }
    if (first != FRAME_NONE)
        return first;
    run_collect(pool, frame_count);
    first = jdb__free_find_run(pool, frame_count);
    if (first != FRAME_NONE || pool->free.count >= frame_count)
        return first;
    jdb__free_collect_aside(pool, frame_count);
    return jdb__free_find_run(pool, frame_count);
}

/* Under the lock. A waiter comes first. */
static int run_lend(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    const uint32_t first = pool->waiter_count == 0 ? run_find(pool, frame_count) : FRAME_NONE;
    if (first != FRAME_NONE) {
        jdb__free_lend_run(pool, first, frame_count, ret_frames);
        pool->run_count++;
        return 0;
    }
    if (pool->waiter_count == 0 && pool->free.count >= frame_count) {
        pool->fragmented_count++;
        return -ENOMEM;
    }
    atomic_fetch_add_explicit(&pool->empty_count, 1, memory_order_relaxed);
    pool->revoked_get_count = 0;
    return -EAGAIN;
}

static int run_get(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    lock_take(&pool->lock);
    const int err = run_lend(pool, frame_count, ret_frames);
    jdb__free_restore_caches(pool);
    lock_release(&pool->lock);
    return err;
}

/* Whether another look may find a run after this error: other pools of the budget gave memory back, or the arena grew. For frames
 * that are no neighbours the others give back once: as much more brings a run of frames never lent, or of those that a trim visited
 * together, and a pool of scattered frames is not to empty the others. */
static bool run_has_more(jdb_pool *pool, uint32_t frame_count, int err, bool *is_spread)
{
    if (err != -EAGAIN && err != -ENOMEM)
        return false;
    const bool may_reclaim = err == -EAGAIN || !*is_spread;
    *is_spread |= err == -ENOMEM;
    return (may_reclaim && jdb__share_reclaim(pool, frame_count, err == -ENOMEM)) || jdb__pool_grow(pool, frame_count);
}

int jdb_pool_get_run(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (pool == NULL || ret_frames == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    if (frame_count == 0)
        return 0;
    if (frame_count > (pool->grow_frames != 0 ? pool->max_count : pool_frame_count(pool)))
        return -ERANGE;
    bool is_spread = false;
    int err = run_get(pool, frame_count, ret_frames);
    while (run_has_more(pool, frame_count, err, &is_spread))
        err = run_get(pool, frame_count, ret_frames);
    if (err == 0)
        jdb__frame_zero(pool, ret_frames, frame_count);
    return err;
}

int jdb_pool_put_run(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    bool has_last = false;
    if (pool == NULL || frames == NULL)
        return -EINVAL;
    const int err = jdb__pool_take_back_all(pool, frames, frame_count, &has_last);
    if (err != 0 || frame_count == 0)
        return err;
    lock_take(&pool->lock);
    for (uint32_t i = frame_count; i-- > 0;) /* the first is lent first */
        jdb__free_return(pool, frames[i].index);
    pool->put_count += frame_count;
    jdb_pool_wait *const served = jdb__waiters_serve(pool);
    jdb__free_restore_caches(pool);
    lock_release(&pool->lock);
    jdb__share_feed(pool);
    jdb__waiters_call(pool, served);
    return 0;
}

jdb_raw jdb_pool_view_run(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    if (pool == NULL || frames == NULL || frame_count == 0)
        return JDB_RAW_INIT;
    for (uint32_t i = 0; i < frame_count; i++)
        if (frames[i].index != frames[0].index + i || jdb_pool_view(pool, frames[i]).ptr == NULL)
            return JDB_RAW_INIT;
    const size_t last_size = (size_t)jdb_arena_frame_size(pool->arena);
    return jdb_raw_new(frames[0].ptr, (frame_count - 1) * pool->frames.stride + last_size);
}
