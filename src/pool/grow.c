/* SPDX-License-Identifier: MIT
 *
 * grow.c - more frames for a pool: those that its arena has grown by, and those that it makes the arena grow by.
 */
#include "pool/waiters.h"

#include "arena/arena_internal.h"
#include "base/bits.h"

int jdb_pool_extend(jdb_pool *pool, uint32_t *ret_frame_count)
{
    if (pool == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    lock_take(&pool->lock);
    const uint32_t frame_count = jdb_arena_frame_count(pool->arena);
    JDB_ASSERT(frame_count >= pool_frame_count(pool)); /* R2 */
    pool_forget_dry(pool);
    atomic_store(&pool->frame_count, frame_count);
    uint64_t wanted = 0;
    for (const jdb_pool_wait *wait = pool->first_wait; wait != NULL; wait = wait->next)
        wanted += wait->frame_count;
    jdb__free_collect_shared(pool, (uint32_t)bits_min(wanted, frame_count));
    jdb_pool_wait *const served = jdb__waiters_serve(pool);
    jdb__free_rebatch(pool);
    lock_release(&pool->lock);
    jdb__waiters_call(pool, served);
    if (ret_frame_count != NULL)
        *ret_frame_count = frame_count;
    return 0;
}

static void grow_note(jdb_pool *pool, uint64_t wanted_count, int err)
{
    lock_take(&pool->lock);
    if (err == 0) {
        pool->grow_count++;
    } else {
        pool->grow_err = (uint64_t)-err;
        pool->grow_wanted_count = wanted_count;
    }
    lock_release(&pool->lock);
}

/* Where another thread has grown the arena meanwhile, this adds its frames to the pool and nothing else. */
bool jdb__pool_grow(jdb_pool *pool, uint32_t frame_count)
{
    const uint32_t present = pool_frame_count(pool);
    if (pool->grow_frames == 0 || present >= pool->max_count)
        return false;
    if (pool->budget != NULL && jdb__budget_lacks(pool, pool->frames.stride) > 0) /* new frames would not help */
        return false;
    const uint64_t wanted = bits_min(present + bits_max(pool->grow_frames, frame_count), pool->max_count);
    const int err = jdb_arena_grow(pool->arena, (uint32_t)wanted);
    grow_note(pool, wanted, err);
    return err == 0 && jdb_pool_extend(pool, NULL) == 0;
}
