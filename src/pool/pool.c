/* SPDX-License-Identifier: MIT
 *
 * pool.c - get and put: the fast paths that the calling thread's cache serves, and the slow ones behind them.
 */
#include "pool/waiters.h"

#define POOL_UNROLLED 4 /* frames of a round of the loops that the caches serve */

/* ---- Get -------------------------------------------------------------------------------------------------- */

/* Take frames out of an entered cache, which is filled as often as needed, into a list of the calling thread: that they are
 * enough is known only at the end. */
static void pool_gather(jdb_pool *pool, struct pool_cache *cache, uint32_t frame_count, struct pool_list *list)
{
    while (list->count < frame_count) {
        uint32_t count = pool_cache_count(cache);
        if (count == 0 && !jdb__pool_cache_fill(pool, cache))
            return;
        for (count = pool_cache_count(cache); count > 0 && list->count < frame_count;)
            pool_list_push(pool, list, (uint32_t)cache->items[--count]);
        pool_cache_set_count(cache, count);
    }
}

/* Under the lock. Most pools have no waiter. */
static inline jdb_pool_wait *pool_serve(jdb_pool *pool)
{
    return JDB_UNLIKELY(pool->waiter_count > 0) ? jdb__waiters_serve(pool) : NULL;
}

static void pool_lend_list(jdb_pool *pool, struct pool_list *list, jdb_frame *ret_frames)
{
    for (uint32_t i = 0; list->count > 0; i++)
        pool_lend(pool, pool_list_pop(pool, list), &ret_frames[i]);
}

/* Under the lock: out of every place. A waiter comes first. */
static int pool_get_anywhere(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (pool->waiter_count > 0 || !jdb__free_collect(pool, frame_count)) {
        atomic_fetch_add_explicit(&pool->empty_count, 1, memory_order_relaxed);
        return -EAGAIN;
    }
    jdb__free_lend(pool, frame_count, ret_frames);
    return 0;
}

/* What was gathered in vain goes to the free list, where the lock's holder finds it. */
static int pool_get_under_lock(jdb_pool *pool, struct pool_list *list, uint32_t frame_count, jdb_frame *ret_frames)
{
    lock_take(&pool->lock);
    jdb__free_join(pool, list);
    jdb_pool_wait *const served = pool_serve(pool);
    const int err = pool_get_anywhere(pool, frame_count, ret_frames);
    jdb__free_rebatch(pool);
    jdb__free_note_full(pool);
    lock_release(&pool->lock);
    if (err != 0 && budget_is_wanted(pool->budget)) /* a wait of another pool has not seen what was in hand */
        jdb__share_feed(pool);
    jdb__waiters_call(pool, served);
    return err;
}

/* Out of an entered cache that has so many. */
static inline void pool_cache_lend(const jdb_pool *pool, struct pool_cache *cache, uint32_t frame_count,
                                   jdb_frame *ret_frames)
{
    const uint64_t state = pool_cache_state(cache);
    const uint64_t *const end = &cache->items[pool_state_count(state)];
    const struct pool_frames frames = pool->frames;
#pragma GCC unroll 4
    for (uint32_t i = 0; i < frame_count; i++)
        frame_lend(&frames, end[-1 - (ptrdiff_t)i], &ret_frames[i]);
    pool_cache_set_state(cache, state + frame_count * (CACHE_GOT - 1));
}

/* Without the lock. A thread that a get has no cache for yet counts in the pool. */
static int pool_get_of_full(jdb_pool *pool)
{
    const uint32_t revoked_get_count = atomic_load_explicit(&pool->revoked_get_count, memory_order_relaxed);
    if (revoked_get_count != 0) /* no store to a shared line in vain */
        atomic_store_explicit(&pool->revoked_get_count, 0, memory_order_relaxed);
    if (pool_is_last(pool))
        pool_bump(&jdb__pool_last.cache->empty_count, 1);
    else
        atomic_fetch_add_explicit(&pool->empty_count, 1, memory_order_relaxed);
    return -EAGAIN;
}

static int pool_get_once(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (atomic_load_explicit(&pool->is_full, memory_order_relaxed)) /* F11 */
        return pool_get_of_full(pool);
    struct pool_list list = {.first = FRAME_NONE};
    struct pool_cache *const cache = jdb__pool_cache_here(pool);
    if (cache != NULL && pool_cache_enter(cache)) {
        pool_gather(pool, cache, frame_count, &list);
        if (list.count == frame_count)
            pool_cache_set_state(cache, pool_cache_state(cache) + list.count * CACHE_GOT);
        else
            pool_bump(&cache->moved_count, list.count);
        pool_cache_leave(cache);
    }
    if (list.count != frame_count)
        return pool_get_under_lock(pool, &list, frame_count, ret_frames);
    pool_lend_list(pool, &list, ret_frames);
    return 0;
}

/* Whether other pools of the budget gave memory back, or the arena grew. */
static bool pool_has_more(jdb_pool *pool, uint32_t frame_count)
{
    return (pool->budget != NULL && jdb__share_reclaim(pool, frame_count, false)) ||
           (pool->grow_frames != 0 && jdb__pool_grow(pool, frame_count));
}

JDB_NOINLINE static int pool_get_slow(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (pool->token == 0)
        return -EPERM;
    if (frame_count > (pool->grow_frames != 0 ? pool->max_count : pool_frame_count(pool)))
        return -ERANGE;
    int err = pool_get_once(pool, frame_count, ret_frames);
    while (err == -EAGAIN && pool_has_more(pool, frame_count))
        err = pool_get_once(pool, frame_count, ret_frames);
    if (err == 0)
        jdb__frame_zero(pool, ret_frames, frame_count);
    return err;
}

int jdb_pool_get(jdb_pool *pool, jdb_frame *ret_frame)
{
    if (JDB_UNLIKELY(pool == NULL || ret_frame == NULL))
        return -EINVAL;
    struct pool_cache *const cache = jdb__pool_last.cache;
    if (JDB_UNLIKELY(!pool_is_last(pool) || !pool_cache_enter(cache)))
        return pool_get_slow(pool, 1, ret_frame);
    const uint64_t state = pool_cache_state(cache);
    const uint32_t count = pool_state_count(state);
    if (JDB_UNLIKELY(count == 0)) {
        pool_cache_leave(cache);
        return pool_get_slow(pool, 1, ret_frame);
    }
    const uint64_t item = cache->items[count - 1];
    pool_cache_set_state(cache, state + CACHE_GOT - 1);
    pool_cache_leave(cache);
    frame_lend(&pool->frames, item, ret_frame);
    if (JDB_UNLIKELY(pool->zero_size != 0))
        jdb__frame_zero(pool, ret_frame, 1);
    return 0;
}

int jdb_pool_get_n(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (JDB_UNLIKELY(pool == NULL || ret_frames == NULL))
        return -EINVAL;
    if (JDB_UNLIKELY(frame_count == 0))
        return 0;
    struct pool_cache *const cache = jdb__pool_last.cache;
    if (JDB_UNLIKELY(!pool_is_last(pool) || !pool_cache_enter(cache)))
        return pool_get_slow(pool, frame_count, ret_frames);
    if (JDB_UNLIKELY(pool_cache_count(cache) < frame_count)) {
        pool_cache_leave(cache);
        return pool_get_slow(pool, frame_count, ret_frames);
    }
    pool_cache_lend(pool, cache, frame_count, ret_frames);
    pool_cache_leave(cache);
    if (JDB_UNLIKELY(pool->zero_size != 0))
        jdb__frame_zero(pool, ret_frames, frame_count);
    return 0;
}

/* ---- Put -------------------------------------------------------------------------------------------------- */

/* Put frames taken back into an entered cache, spilling where it is full. Returns how many it took. */
static uint32_t pool_put_in_cache(jdb_pool *pool, struct pool_cache *cache, const jdb_frame *frames,
                                  uint32_t frame_count)
{
    uint32_t done = 0;
    while (done < frame_count) {
        uint32_t count = pool_cache_count(cache);
        if (count == cache->limit) {
            if (!jdb__pool_cache_spill(pool, cache))
                break;
            count = pool_cache_count(cache);
        }
        while (count < cache->limit && done < frame_count)
            cache->items[count++] = frame_item(&pool->frames, frames[done++].index);
        pool_cache_set_count(cache, count);
    }
    return done;
}

static void pool_put_under_lock(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    lock_take(&pool->lock);
    for (uint32_t i = 0; i < frame_count; i++)
        jdb__free_return(pool, frames[i].index);
    pool->put_count += frame_count;
    jdb_pool_wait *const served = pool_serve(pool);
    jdb__free_rebatch(pool);
    lock_release(&pool->lock);
    if (budget_is_wanted(pool->budget))
        jdb__share_feed(pool);
    jdb__waiters_call(pool, served);
}

/* The frames are taken back already. */
JDB_NOINLINE static void pool_put_slow(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    uint32_t done = 0;
    struct pool_cache *const cache = jdb__pool_cache_here(pool);
    if (cache != NULL && pool_cache_enter(cache)) {
        done = pool_put_in_cache(pool, cache, frames, frame_count);
        pool_cache_leave(cache);
    }
    if (done < frame_count)
        pool_put_under_lock(pool, frames + done, frame_count - done);
}

JDB_NOINLINE static int pool_put_one_slow(jdb_pool *pool, uint32_t index)
{
    const jdb_frame frame = {NULL, index, 0};
    pool_put_slow(pool, &frame, 1);
    return 0;
}

/* Take back frames from `at` on as long as they are right. Returns the first that is wrong, or end. By itself, so that all it needs
 * fits in registers. */
JDB_NOINLINE static const jdb_frame *pool_take_back_plain(const jdb_pool *pool, const jdb_frame *at,
                                                          const jdb_frame *end)
{
    const struct pool_frames all = pool->frames;
    const uint32_t all_count = pool_frame_count(pool);
    while (at < end && frame_take_back(&all, all_count, at) != 0)
        at++;
    return at;
}

/* frame_take_back() returned 0 for the frame of this place. On an error those before it are lent again. */
JDB_COLD static int pool_take_back_last(jdb_pool *pool, const jdb_frame *frames, uint32_t place, bool *ret_has_last)
{
    if (jdb__frame_take_back_last(pool, frames[place])) {
        *ret_has_last = true;
        return 0;
    }
    const int err = jdb__frame_refuse(pool, frames[place]);
    while (place-- > 0)
        jdb__frame_restore(pool, frames[place]);
    return err;
}

/* All of them, or none and the error of the first wrong one. *ret_has_last: some ended their last lending. */
static int pool_take_back_each(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count, bool *ret_has_last)
{
    const jdb_frame *const end = frames + frame_count;
    const jdb_frame *at = frames;
    while ((at = pool_take_back_plain(pool, at, end)) < end) {
        const int err = pool_take_back_last(pool, frames, (uint32_t)(at++ - frames), ret_has_last);
        if (err != 0)
            return err;
    }
    return 0;
}

int jdb__pool_take_back_all(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count, bool *ret_has_last)
{
    const bool has_owned = jdb__owned_detach(pool, frames, frame_count);
    const int err = pool_take_back_each(pool, frames, frame_count, ret_has_last);
    if (has_owned && err == 0)
        jdb__owned_discharge(pool, frames, frame_count);
    else if (has_owned)
        jdb__owned_reattach(pool, frames, frame_count);
    return err;
}

JDB_NOINLINE static int pool_put_n_slow(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    bool has_last = false;
    const int err = jdb__pool_take_back_all(pool, frames, frame_count, &has_last);
    if (err != 0 || frame_count == 0)
        return err;
    if (has_last)
        pool_put_under_lock(pool, frames, frame_count);
    else
        pool_put_slow(pool, frames, frame_count);
    return 0;
}

/* frame_take_back() returned 0: the frame ends its last lending, has an owner, or is refused. */
JDB_COLD static int pool_put_refused(jdb_pool *pool, jdb_frame frame)
{
    return pool_put_n_slow(pool, &frame, 1);
}

int jdb_pool_put(jdb_pool *pool, jdb_frame frame)
{
    if (JDB_UNLIKELY(pool == NULL))
        return -EINVAL;
    const uint64_t item = frame_take_back(&pool->frames, pool_frame_count(pool), &frame);
    if (JDB_UNLIKELY(item == 0))
        return pool_put_refused(pool, frame);
    struct pool_cache *const cache = jdb__pool_last.cache;
    if (JDB_UNLIKELY(!pool_is_last(pool) || !pool_cache_enter(cache)))
        return pool_put_one_slow(pool, frame.index);
    const uint64_t state = pool_cache_state(cache);
    const uint32_t count = pool_state_count(state);
    if (JDB_UNLIKELY(count == cache->limit)) {
        pool_cache_leave(cache);
        return pool_put_one_slow(pool, frame.index);
    }
    cache->items[count] = item;
    pool_cache_set_state(cache, state + 1);
    pool_cache_leave(cache);
    return 0;
}

/* Take back frames from `at` on as long as they are right, and write their items. Returns the first that is wrong, or end.
 * By itself, so that all it needs fits in registers. */
JDB_NOINLINE static const jdb_frame *pool_take_back_run(const jdb_pool *pool, const jdb_frame *at, const jdb_frame *end,
                                                        uint64_t *ret_items)
{
    const struct pool_frames all = pool->frames;
    const uint32_t all_count = pool_frame_count(pool);
    for (; end - at >= POOL_UNROLLED; at += POOL_UNROLLED, ret_items += POOL_UNROLLED)
#pragma GCC unroll 4
        for (int i = 0; i < POOL_UNROLLED; i++) {
            ret_items[i] = frame_take_back(&all, all_count, &at[i]);
            if (JDB_UNLIKELY(ret_items[i] == 0))
                return &at[i];
        }
    for (; at < end && (*ret_items = frame_take_back(&all, all_count, at)) != 0; at++)
        ret_items++;
    return at;
}

/* Straight into the cache where it has room; what is wrong with a frame is found out by the slow path, from the start. */
int jdb_pool_put_n(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    if (JDB_UNLIKELY(pool == NULL || frames == NULL))
        return -EINVAL;
    struct pool_cache *const cache = jdb__pool_last.cache;
    if (JDB_UNLIKELY(!pool_is_last(pool) || !pool_cache_enter(cache)))
        return pool_put_n_slow(pool, frames, frame_count);
    const uint64_t state = pool_cache_state(cache);
    const uint32_t count = pool_state_count(state);
    const jdb_frame *wrong = frames;
    if (JDB_LIKELY(frame_count <= cache->limit - count))
        wrong = pool_take_back_run(pool, frames, frames + frame_count, &cache->items[count]);
    if (JDB_UNLIKELY(wrong != frames + frame_count)) {
        pool_cache_leave(cache);
        while (wrong != frames)
            jdb__frame_restore(pool, *--wrong);
        return pool_put_n_slow(pool, frames, frame_count);
    }
    pool_cache_set_state(cache, state + frame_count);
    pool_cache_leave(cache);
    return 0;
}

/* ---- Recycle ---------------------------------------------------------------------------------------------- */

/* A frame that ends its last lending begins anew at once. */
static int pool_recycle_take_back(jdb_pool *pool, const jdb_frame *old)
{
    if (frame_take_back(&pool->frames, pool_frame_count(pool), old) != 0)
        return 0;
    if (!jdb__frame_take_back_last(pool, *old))
        return jdb__frame_refuse(pool, *old);
    frame_begin(&pool->frames, old->index, pool->gen_seed);
    return 0;
}

static inline void pool_recycle_end(jdb_pool *pool, uint32_t index, jdb_frame *ret_frame)
{
    pool_lend(pool, index, ret_frame);
    if (JDB_UNLIKELY(pool->zero_size != 0))
        jdb__frame_zero(pool, ret_frame, 1);
    struct pool_cache *const cache = pool_is_last(pool) ? jdb__pool_last.cache : jdb__pool_cache_here(pool);
    if (cache != NULL)
        pool_bump(&cache->recycle_count, 1);
    else
        atomic_fetch_add_explicit(&pool->recycle_count, 1, memory_order_relaxed);
}

/* frame_take_back() returned 0. An owner keeps the frame, as a new lending. */
JDB_COLD static int pool_recycle_slow(jdb_pool *pool, jdb_frame old, jdb_frame *ret_frame)
{
    const bool has_owner = jdb__owned_detach(pool, &old, 1);
    const int err = pool_recycle_take_back(pool, &old);
    if (err == 0)
        pool_recycle_end(pool, old.index, ret_frame);
    if (has_owner)
        jdb__owned_reattach(pool, err == 0 ? ret_frame : &old, 1);
    return err;
}

int jdb_pool_recycle(jdb_pool *pool, jdb_frame old, jdb_frame *ret_frame)
{
    if (pool == NULL || ret_frame == NULL)
        return -EINVAL;
    if (JDB_UNLIKELY(frame_take_back(&pool->frames, pool_frame_count(pool), &old) == 0))
        return pool_recycle_slow(pool, old, ret_frame);
    pool_recycle_end(pool, old.index, ret_frame);
    return 0;
}
