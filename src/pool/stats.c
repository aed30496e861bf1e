/* SPDX-License-Identifier: MIT
 *
 * stats.c - reads a pool: counts, a walk over the frames that are lent, the view and the user memory of a frame.
 */
#include "pool/state.h"

#include "base/sized.h"

SIZED_FORM(pool_stats_form, jdb_pool_stats, 24, 208);

/* Under the lock. */
static jdb_pool_stats pool_collect_stats(const jdb_pool *pool)
{
    jdb_pool_stats stats = {
        .frame_count = pool_frame_count(pool),
        .waiter_count = pool->waiter_count,
        .aside_count = pool->aside.count,
        .got_count = pool->got_count,
        .put_count = pool->put_count,
        .empty_count = atomic_load_explicit(&pool->empty_count, memory_order_relaxed),
        .refused_count = atomic_load_explicit(&pool->refused_count, memory_order_relaxed),
        .steal_count = pool->steal_count,
        .wait_count = pool->wait_count,
        .timeout_count = pool->timeout_count,
        .cancel_count = pool->cancel_count,
        .lateness_max_ns = pool->lateness_max_ns,
        .grow_count = pool->grow_count,
        .grow_err = pool->grow_err,
        .grow_wanted_count = pool->grow_wanted_count,
        .pressure_count = pool->pressure_count,
        .run_count = pool->run_count,
        .bare_count = pool->bare.count,
        .fragmented_count = pool->fragmented_count,
        .recycle_count = atomic_load_explicit(&pool->recycle_count, memory_order_relaxed),
    };
    for (const struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next) {
        const uint64_t state = pool_cache_state(cache);
        const uint64_t got_count = state / CACHE_GOT;
        stats.got_count += got_count;
        stats.put_count +=
            got_count + pool_state_count(state) + atomic_load_explicit(&cache->moved_count, memory_order_relaxed);
        stats.recycle_count += atomic_load_explicit(&cache->recycle_count, memory_order_relaxed);
        stats.empty_count += atomic_load_explicit(&cache->empty_count, memory_order_relaxed);
        stats.far_count += atomic_load_explicit(&cache->far_count, memory_order_relaxed);
        stats.batch_count += atomic_load_explicit(&cache->batch_count, memory_order_relaxed);
        stats.cached_count += pool_state_count(state);
        stats.thread_count += cache->owner != NULL ? 1 : 0;
    }
    /* Caches are read one after the other while their owners go on: a put may be seen whose get was not. */
    const uint64_t lent = stats.got_count > stats.put_count ? stats.got_count - stats.put_count : 0;
    stats.lent_count = lent < stats.frame_count ? (uint32_t)lent : stats.frame_count;
    return stats;
}

int jdb_pool_get_stats(jdb_pool *pool, jdb_pool_stats *stats)
{
    if (pool == NULL || stats == NULL || jdb__sized_check(&pool_stats_form, stats) != 0)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    lock_take(&pool->lock);
    const jdb_pool_stats all = pool_collect_stats(pool);
    lock_release(&pool->lock);
    return jdb__sized_write(&pool_stats_form, &all, stats);
}

bool jdb_pool_next_lent(const jdb_pool *pool, uint32_t *cursor, jdb_frame *ret_frame)
{
    if (pool == NULL || cursor == NULL || ret_frame == NULL || pool->token == 0)
        return false;
    const uint32_t used_count = pool_used_count(pool);
    for (uint32_t i = *cursor; i < used_count; i++) {
        const uint32_t gen = jdb__owned_lent_gen(pool, i);
        if (gen == 0)
            continue;
        *cursor = i + 1;
        *ret_frame = (jdb_frame){frame_ptr(&pool->frames, i), i, gen};
        return true;
    }
    *cursor = used_count;
    return false;
}

/* Of most handles the first look says it. */
static bool pool_lends_by(const jdb_pool *pool, jdb_frame frame)
{
    return frame.gen == frame_gen(&pool->frames, frame.index) || frame.gen == jdb__owned_lent_gen(pool, frame.index);
}

jdb_raw jdb_pool_view(const jdb_pool *pool, jdb_frame frame)
{
    if (pool == NULL || pool->token == 0 || (frame.gen & FRAME_LENT) == 0 ||
        !frame_is_in_place(&pool->frames, pool_frame_count(pool), frame) || !pool_lends_by(pool, frame))
        return JDB_RAW_INIT;
    return jdb_raw_new(frame.ptr, (size_t)jdb_arena_frame_size(pool->arena));
}

void *jdb_pool_user(const jdb_pool *pool, uint32_t index)
{
    if (pool == NULL || pool->token == 0 || pool->user_stride == 0 || index >= pool->max_count)
        return NULL;
    return pool->user_memory + index * pool->user_stride;
}
