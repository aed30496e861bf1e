/* SPDX-License-Identifier: MIT
 *
 * cache.c - the calling thread's cache in a pool: found, filled by a batch, emptied by a batch.
 */
#include "pool/state.h"

#include "base/bits.h"
#include "os/os.h"

#define CACHE_ALIGN 64u

/* ---- The calling thread's cache --------------------------------------------------------------------------- */

static struct pool_cache *pool_cache_new(jdb_pool *pool)
{
    void *memory = NULL;
    if (jdb__os_alloc(sizeof(struct pool_cache) + CACHE_ALIGN - 1, &memory) != 0)
        return NULL;
    struct pool_cache *const cache = (struct pool_cache *)bits_round_up((uintptr_t)memory, CACHE_ALIGN);
    cache->memory = memory;
    cache->limit = pool->cache_limit;
    cache->home = pool->caches != NULL ? (pool->caches->home + 1) % BATCH_STACKS : 0;
    atomic_store(&cache->attention, pool->attention | (pool->is_revoked ? ATTENTION_REVOKED : 0)); /* F6 */
    cache->next = pool->caches;
    pool->caches = cache;
    return cache;
}

/* Under the lock. One that a thread has left, else a new one. */
static struct pool_cache *pool_cache_unowned(jdb_pool *pool)
{
    struct pool_cache *const cache = pool->unowned;
    if (cache == NULL)
        return pool_cache_new(pool);
    pool->unowned = cache->next_unowned;
    return cache;
}

static struct pool_cache *pool_cache_adopt(jdb_pool *pool, const struct pool_thread *thread)
{
    lock_take(&pool->lock);
    struct pool_cache *const cache = pool_cache_unowned(pool);
    if (cache != NULL) {
        JDB_ASSERT(!pool_cache_is_busy(cache) && cache->owner == NULL); /* F5 */
        cache->owner = thread;
    }
    lock_release(&pool->lock);
    return cache;
}

static struct pool_slot *pool_cache_slot(jdb_pool *pool)
{
    struct pool_thread *const thread = jdb__pool_thread_here();
    struct pool_slot *const slot = thread != NULL ? jdb__pool_thread_slot(thread, pool) : NULL;
    if (slot == NULL || slot->token == pool->token)
        return slot;
    struct pool_cache *const cache = pool_cache_adopt(pool, thread);
    if (cache == NULL)
        return NULL;
    *slot = (struct pool_slot){pool->token, cache};
    return slot;
}

struct pool_cache *jdb__pool_cache_here(jdb_pool *pool)
{
    if (pool_is_last(pool))
        return jdb__pool_last.cache;
    const struct pool_slot *const slot = pool_cache_slot(pool);
    if (slot == NULL)
        return NULL;
    JDB_ASSERT(slot->cache->owner == jdb__pool_thread_here());
    jdb__pool_last = *slot;
    return slot->cache;
}

/* ---- Batches ---------------------------------------------------------------------------------------------- */

/* Frames never lent: the lowest last, so that it is lent first. Returns how many. */
static uint32_t pool_cache_take_fresh(jdb_pool *pool, uint64_t *ret_items)
{
    uint32_t first = 0;
    const uint32_t taken = pool_take_fresh(pool, pool->batches.batch_size, &first);
    for (uint32_t i = 0; i < taken; i++) {
        frame_begin(&pool->frames, first + i, pool->gen_seed);
        ret_items[taken - 1 - i] = frame_item(&pool->frames, first + i);
    }
    return taken;
}

static void pool_cache_keep(jdb_pool *pool, struct pool_cache *cache, uint32_t batch)
{
    if (cache->kept_count < pool->kept_limit)
        cache->kept[cache->kept_count++] = batch;
    else
        jdb__batches_drop(&pool->batches, batch);
}

/* A batch of any stack, `home` first, or frames never lent. Returns how many frames. */
static uint32_t pool_cache_take(jdb_pool *pool, struct pool_cache *cache, uint32_t home, uint64_t *ret_items)
{
    const uint32_t batch = jdb__batches_take(&pool->batches, home, ret_items);
    if (batch == 0)
        return pool_cache_take_fresh(pool, ret_items);
    pool_cache_keep(pool, cache, batch);
    return pool->batches.batch_size;
}

/* Where there are several nodes: a batch of the node that the thread runs on, else frames never lent, which the first to write
 * places, else a batch of another. */
static uint32_t pool_cache_take_near(jdb_pool *pool, struct pool_cache *cache, uint64_t *ret_items)
{
    const uint32_t home = jdb__nodes_here();
    const uint32_t batch = jdb__batches_take_home(&pool->batches, home, ret_items);
    if (batch != 0) {
        pool_cache_keep(pool, cache, batch);
        return pool->batches.batch_size;
    }
    uint32_t taken = pool_cache_take_fresh(pool, ret_items);
    if (taken == 0) {
        taken = pool_cache_take(pool, cache, home, ret_items);
        pool_bump(&cache->far_count, taken > 0 ? 1 : 0);
    }
    return taken;
}

bool jdb__pool_cache_fill(jdb_pool *pool, struct pool_cache *cache)
{
    const uint32_t count = pool_cache_count(cache);
    uint64_t *const end = &cache->items[count];
    JDB_ASSERT(pool_cache_is_busy(cache));                        /* F5 */
    JDB_ASSERT(count + pool->batches.batch_size <= cache->limit); /* F4 */
    const uint32_t taken =
        pool->nodes == NULL ? pool_cache_take(pool, cache, cache->home, end) : pool_cache_take_near(pool, cache, end);
    pool_cache_set_count(cache, count + taken);
    pool_bump(&cache->moved_count, -(uint64_t)taken);
    pool_bump(&cache->batch_count, 1);
    return taken > 0;
}

bool jdb__pool_cache_spill(jdb_pool *pool, struct pool_cache *cache)
{
    const uint32_t batch_size = pool->batches.batch_size;
    JDB_ASSERT(pool_cache_is_busy(cache) && pool_cache_count(cache) >= batch_size); /* F5 */
    const uint32_t left = pool_cache_count(cache) - batch_size;
    const uint32_t batch =
        cache->kept_count > 0 ? cache->kept[--cache->kept_count] : jdb__batches_claim(&pool->batches);
    if (batch == 0)
        return false;
    const uint32_t home =
        pool->nodes == NULL ? cache->home : jdb__nodes_sort(pool, cache->items, pool_cache_count(cache));
    jdb__batches_give(&pool->batches, home, batch, cache->items);
    memmove(cache->items, cache->items + batch_size, left * sizeof cache->items[0]);
    pool_cache_set_count(cache, left);
    pool_bump(&cache->moved_count, batch_size);
    pool_bump(&cache->batch_count, 1);
    return true;
}
