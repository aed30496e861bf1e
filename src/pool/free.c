/* SPDX-License-Identifier: MIT
 *
 * free.c - the free list of a pool, and how frames get there: from batches, from caches that are revoked, by stealing.
 * Everything here is under the pool's lock.
 */
#include "pool/state.h"

#include "base/bits.h"
#include "os/os.h"

#define AWAIT_YIELDS 16u      /* before the first sleep */
#define AWAIT_SLEEP_NS 50000u /* the kernel adds its timer slack, 50 us by default */

/* ---- The list --------------------------------------------------------------------------------------------- */

static uint64_t free_bit(uint32_t index)
{
    return UINT64_C(1) << index % 64;
}

/* A frame comes to the free list. */
static void free_enter(jdb_pool *pool, uint32_t index)
{
    JDB_ASSERT(lock_is_held(&pool->lock));
    JDB_ASSERT(index < pool_frame_count(pool) && !frame_is_lent(&pool->frames, index)); /* F1, F2 */
    JDB_ASSERT(frame_gen(&pool->frames, index) != 0);
    JDB_ASSERT((pool->free_bits[index / 64] & free_bit(index)) == 0); /* F9 */
    pool->free_bits[index / 64] |= free_bit(index);
    atomic_store_explicit(&pool->is_full, false, memory_order_relaxed); /* F11 */
}

static void free_leave(jdb_pool *pool, uint32_t index)
{
    JDB_ASSERT(lock_is_held(&pool->lock));
    JDB_ASSERT((pool->free_bits[index / 64] & free_bit(index)) != 0); /* F9 */
    pool->free_bits[index / 64] &= ~free_bit(index);
}

static void free_push(jdb_pool *pool, uint32_t index)
{
    free_enter(pool, index);
    if (pool->free.first != FRAME_NONE)
        pool->previous[pool->free.first] = index;
    pool_list_push(pool, &pool->free, index);
}

static void free_push_item(jdb_pool *pool, uint64_t item)
{
    JDB_ASSERT(item == frame_item(&pool->frames, (uint32_t)item)); /* F3 */
    free_push(pool, (uint32_t)item);
}

static uint32_t free_pop(jdb_pool *pool)
{
    const uint32_t index = pool_list_pop(pool, &pool->free);
    free_leave(pool, index);
    return index;
}

/* Wherever it is on the list. */
static void free_unlink(jdb_pool *pool, uint32_t index)
{
    struct pool_list *const list = &pool->free;
    const uint32_t next = pool->links[index];
    free_leave(pool, index);
    list->count--;
    if (list->first == index) {
        list->first = next;
        return;
    }
    pool->links[pool->previous[index]] = next;
    if (next != FRAME_NONE)
        pool->previous[next] = pool->previous[index];
    else
        list->last = pool->previous[index];
}

static void free_set_aside(jdb_pool *pool, uint32_t index)
{
    JDB_ASSERT(pool->waiter_count == 0);                                /* F6 */
    atomic_store_explicit(&pool->is_full, false, memory_order_relaxed); /* F11 */
    pool_list_append(pool, &pool->aside, index);
}

void jdb__free_return(jdb_pool *pool, uint32_t index)
{
    const bool has_gens = frame_gen(&pool->frames, index) != 0;
    if (!has_gens && pool->waiter_count == 0) {
        free_set_aside(pool, index);
        return;
    }
    if (!has_gens)
        frame_begin(&pool->frames, index, pool->gen_seed);
    free_push(pool, index);
}

void jdb__free_append(jdb_pool *pool, uint32_t index)
{
    free_enter(pool, index);
    if (pool->free.first != FRAME_NONE)
        pool->previous[index] = pool->free.last;
    pool_list_append(pool, &pool->free, index);
}

static void free_append_item(jdb_pool *pool, uint64_t item)
{
    JDB_ASSERT(item == frame_item(&pool->frames, (uint32_t)item)); /* F3 */
    jdb__free_append(pool, (uint32_t)item);
}

void jdb__free_join(jdb_pool *pool, struct pool_list *list)
{
    while (list->count > 0)
        free_push(pool, pool_list_pop(pool, list));
}

void jdb__free_make_cold(jdb_pool *pool, uint32_t keep_count)
{
    const size_t word_count = ((size_t)pool_used_count(pool) + 63) / 64;
    JDB_ASSERT(lock_is_held(&pool->lock) && pool->cold.count == 0);
    pool_forget_dry(pool);
    pool->cold = pool->free;
    pool->free = (struct pool_list){.first = FRAME_NONE};
    memset(pool->free_bits, 0, word_count * sizeof *pool->free_bits);
    while (pool->free.count < keep_count && pool->cold.count > 0)
        jdb__free_append(pool, pool_list_pop(pool, &pool->cold));
}

static uint32_t free_revoked_gets(const jdb_pool *pool)
{
    return atomic_load_explicit(&pool->revoked_get_count, memory_order_relaxed);
}

static void free_count_lent(jdb_pool *pool, uint32_t frame_count)
{
    pool->got_count += frame_count;
    atomic_store_explicit(&pool->revoked_get_count, free_revoked_gets(pool) + frame_count, memory_order_relaxed);
}

void jdb__free_lend(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    JDB_ASSERT(pool->free.count >= frame_count);
    for (uint32_t i = 0; i < frame_count; i++)
        pool_lend(pool, free_pop(pool), &ret_frames[i]);
    free_count_lent(pool, frame_count);
}

static void free_restore(const jdb_pool *pool, struct pool_cache *cache)
{
    JDB_ASSERT(lock_is_held(&pool->lock)); /* F5 */
    atomic_store(&cache->attention, pool->attention);
}

static void free_restore_all(jdb_pool *pool)
{
    JDB_ASSERT(pool->waiter_count == 0); /* F6 */
    pool_forget_dry(pool);               /* before an owner may put into its cache */
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        free_restore(pool, cache);
    pool->is_revoked = false;
}

/* Whether caches may keep frames: there are enough for one of them, or gets find frames though there are not. */
static bool free_is_enough_for_caches(const jdb_pool *pool)
{
    return pool->free.count >= pool->batches.batch_size || free_revoked_gets(pool) >= REVOKED_GETS ||
           (!pool->is_dry && !jdb__batches_is_empty(&pool->batches, pool->budget == NULL ? pool_frame_count(pool) : 0));
}

/* Whether caches may serve and batches may be made (F6). */
static bool free_may_leave_the_list(const jdb_pool *pool)
{
    return pool->waiter_count == 0 && !pool->is_trimming && !budget_is_wanted(pool->budget);
}

void jdb__free_restore_caches(jdb_pool *pool)
{
    if (free_may_leave_the_list(pool) && pool->is_revoked && free_is_enough_for_caches(pool))
        free_restore_all(pool);
}

static void free_pop_items(jdb_pool *pool, uint32_t count, uint64_t *ret_items)
{
    for (uint32_t i = 0; i < count; i++)
        ret_items[i] = frame_item(&pool->frames, free_pop(pool));
}

/* A batch of the first frames of the list. */
static void free_give_batch(jdb_pool *pool, uint32_t batch)
{
    uint64_t items[BATCH_MAX];
    free_pop_items(pool, pool->batches.batch_size, items);
    jdb__batches_give(&pool->batches, batch % BATCH_STACKS, batch, items);
}

/* Of the first ones that lie on one node, among twice as many. */
static void free_give_near_batch(jdb_pool *pool, uint32_t batch)
{
    const uint32_t batch_size = pool->batches.batch_size;
    uint32_t count = (uint32_t)bits_min(UINT64_C(2) * batch_size, pool->free.count);
    uint64_t items[CACHE_FRAMES_MAX];
    free_pop_items(pool, count, items);
    const uint32_t home = jdb__nodes_sort(pool, items, count);
    jdb__batches_give(&pool->batches, home, batch, items);
    while (count > batch_size)
        free_push_item(pool, items[--count]);
}

void jdb__free_rebatch(jdb_pool *pool)
{
    if (!free_may_leave_the_list(pool))
        return;
    if (pool->is_revoked && free_is_enough_for_caches(pool))
        free_restore_all(pool);
    const uint32_t batch_size = pool->batches.batch_size;
    for (uint32_t n = 0; n < REBATCH_MAX && pool->free.count >= batch_size; n++) {
        const uint32_t batch = jdb__batches_claim(&pool->batches);
        if (batch == 0)
            return;
        if (pool->nodes == NULL)
            free_give_batch(pool, batch);
        else
            free_give_near_batch(pool, batch);
    }
}

/* ---- Neighbours ------------------------------------------------------------------------------------------- */

/* The bits at which `count` set bits in a row begin, 1 to 64. */
static uint64_t free_run_starts(uint64_t bits, uint32_t count)
{
    for (uint32_t seen = 1, step; seen < count; seen += step) {
        step = (uint32_t)bits_min(seen, count - seen);
        bits &= bits >> step;
    }
    return bits;
}

static uint32_t free_low_ones(uint64_t bits)
{
    return bits == UINT64_MAX ? 64 : bits_lowest(~bits);
}

static uint32_t free_high_ones(uint64_t bits)
{
    return bits == UINT64_MAX ? 64 : 63 - bits_highest(~bits);
}

uint32_t jdb__free_find_run(const jdb_pool *pool, uint32_t frame_count)
{
    const uint32_t used_count = pool_used_count(pool);
    uint32_t before = 0; /* free frames that end where the word begins */
    JDB_ASSERT(lock_is_held(&pool->lock) && frame_count > 0);
    for (uint32_t at = 0; at < used_count && pool->free.count >= frame_count; at += 64) {
        const uint64_t bits = pool->free_bits[at / 64];
        if (before + free_low_ones(bits) >= frame_count)
            return at - before;
        const uint64_t starts = frame_count < 64 ? free_run_starts(bits, frame_count) : 0;
        if (starts != 0)
            return at + bits_lowest(starts);
        before = bits == UINT64_MAX ? before + 64 : free_high_ones(bits);
    }
    return FRAME_NONE;
}

void jdb__free_lend_run(jdb_pool *pool, uint32_t first, uint32_t frame_count, jdb_frame *ret_frames)
{
    for (uint32_t i = 0; i < frame_count; i++) {
        free_unlink(pool, first + i);
        pool_lend(pool, first + i, &ret_frames[i]);
    }
    free_count_lent(pool, frame_count);
}

/* ---- Out of the shared places ----------------------------------------------------------------------------- */

/* Batches, one after the other, until the free list has count frames. They go to its end, those put first last: what a batch has was
 * put before what a cache has, and before what is in the batches above it. */
static void free_collect_batches(jdb_pool *pool, uint32_t count)
{
    uint64_t items[BATCH_MAX];
    uint32_t batch = 0;
    while (pool->free.count < count && (batch = jdb__batches_take(&pool->batches, 0, items)) != 0) {
        jdb__batches_drop(&pool->batches, batch);
        for (uint32_t i = pool->batches.batch_size; i-- > 0;)
            free_append_item(pool, items[i]);
    }
}

void jdb__free_collect_batches(jdb_pool *pool)
{
    free_collect_batches(pool, UINT32_MAX);
}

static void free_collect_fresh(jdb_pool *pool, uint32_t count)
{
    uint32_t first = 0;
    uint32_t taken = pool_take_fresh(pool, count, &first);
    while (taken > 0) {
        frame_begin(&pool->frames, first + --taken, pool->gen_seed);
        free_push(pool, first + taken);
    }
}

void jdb__free_collect_fresh(jdb_pool *pool, uint32_t count)
{
    free_collect_fresh(pool, count);
}

void jdb__free_collect_bare(jdb_pool *pool, uint32_t count)
{
    const uint32_t wanted = (uint32_t)bits_min(count, pool->bare.count);
    for (uint32_t left = wanted > 0 ? jdb__budget_charge(pool, wanted) : 0; left > 0; left--)
        free_push(pool, pool_list_pop(pool, &pool->bare));
}

bool jdb__free_collect_shared(jdb_pool *pool, uint32_t count)
{
    free_collect_batches(pool, count);
    while (pool->free.count < count && pool->cold.count > 0)
        free_push(pool, pool_list_pop(pool, &pool->cold));
    if (pool->free.count < count && pool->bare.count > 0)
        jdb__free_collect_bare(pool, count - pool->free.count);
    if (pool->free.count < count)
        free_collect_fresh(pool, count - pool->free.count);
    return pool->free.count >= count;
}

void jdb__free_collect_aside(jdb_pool *pool, uint32_t count)
{
    while (pool->free.count < count && pool->aside.count > 0) {
        const uint32_t index = pool_list_pop(pool, &pool->aside);
        frame_begin(&pool->frames, index, pool->gen_seed);
        free_push(pool, index);
    }
}

bool jdb__free_collect_rest(jdb_pool *pool, uint32_t count)
{
    JDB_ASSERT(jdb__free_is_revoked(pool));
    JDB_ASSERT(!pool->is_dry ||
               (pool->cold.count == 0 && jdb__batches_is_empty(&pool->batches, pool_frame_count(pool)))); /* F11 */
    if (!(pool->is_dry ? pool->free.count >= count : jdb__free_collect_shared(pool, count)))
        jdb__free_collect_aside(pool, count);
    if (pool->free.count >= count)
        return true;
    pool->is_dry = pool->budget == NULL; /* what is bare may be given memory by other pools */
    return false;
}

/* ---- Out of the caches ------------------------------------------------------------------------------------ */

/* After this barrier an owner either sees REVOKED, or had set `busy` before. */
static void free_make_barrier(const jdb_pool *pool)
{
    if (pool->has_membarrier && jdb__os_membarrier() != 0)
        JDB_BREACH("membarrier(2) is refused, which was registered: frames could be lent twice", pool);
}

/* Wait until the owner of a revoked cache is out of it. It is inside for one call at most, or preempted there: a thread of
 * higher priority must not keep the processor from it, so it sleeps after a while. */
static void free_await_owner(const struct pool_cache *cache)
{
    uint32_t nobody_wakes = 0;
    for (uint32_t i = 0; pool_cache_is_busy(cache); i++)
        if (i < AWAIT_YIELDS)
            jdb__os_yield();
        else
            jdb__os_sleep(&nobody_wakes, 0, jdb__os_clock_ns() + AWAIT_SLEEP_NS);
}

static void free_revoke(const jdb_pool *pool, struct pool_cache *cache)
{
    JDB_ASSERT(lock_is_held(&pool->lock)); /* F5 */
    atomic_store(&cache->attention, pool->attention | ATTENTION_REVOKED);
}

void jdb__free_empty_cache(jdb_pool *pool, struct pool_cache *cache)
{
    const uint32_t count = pool_cache_count(cache);
    JDB_ASSERT(count <= cache->limit); /* F4 */
    for (uint32_t i = 0; i < count; i++)
        free_push_item(pool, cache->items[i]);
    while (cache->kept_count > 0)
        jdb__batches_drop(&pool->batches, cache->kept[--cache->kept_count]);
    pool_cache_set_count(cache, 0);
    pool_bump(&cache->moved_count, count);
}

static void free_take_over(jdb_pool *pool, struct pool_cache *cache)
{
    free_await_owner(cache);
    JDB_ASSERT(pool_cache_is_revoked(cache)); /* F5 */
    jdb__free_empty_cache(pool, cache);
}

/* Out of so many caches that their counts, as seen from here, suffice. Frames on their way to a cache are found by the last look
 * of jdb__free_collect(). */
static void free_steal(jdb_pool *pool, uint32_t count)
{
    JDB_ASSERT(pool->waiter_count == 0); /* F6: a waiter's caches must not be given back */
    uint64_t promised = pool->free.count;
    bool has_victim = false;
    for (struct pool_cache *cache = pool->caches; cache != NULL && promised < count; cache = cache->next)
        if (pool_cache_count(cache) > 0) {
            promised += pool_cache_count(cache);
            free_revoke(pool, cache);
            has_victim = true;
        }
    if (!has_victim)
        return;
    free_make_barrier(pool);
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        if (pool_cache_is_revoked(cache)) {
            free_take_over(pool, cache);
            free_restore(pool, cache);
            pool->steal_count++;
        }
}

/* A victim may have used up what it promised before it was out, and frames may have gone from a cache to the shared ones
 * between the two looks. That there are too few is known only when all stand still, and they stay so. */
bool jdb__free_collect(jdb_pool *pool, uint32_t count)
{
    if (!pool->is_revoked) {
        if (jdb__free_collect_shared(pool, count))
            return true;
        free_steal(pool, count);
        if (pool->free.count >= count)
            return true;
        jdb__free_revoke_all(pool);
    }
    if (jdb__free_collect_rest(pool, count))
        return true;
    atomic_store_explicit(&pool->revoked_get_count, 0, memory_order_relaxed);
    return false;
}

void jdb__free_note_full(jdb_pool *pool)
{
    JDB_ASSERT(lock_is_held(&pool->lock) && (!pool->is_dry || pool->is_revoked)); /* F11 */
    if (pool->is_dry && pool->free.count == 0 && pool->aside.count == 0)
        atomic_store_explicit(&pool->is_full, true, memory_order_relaxed);
}

void jdb__free_revoke_all(jdb_pool *pool)
{
    if (pool->is_revoked)
        return;
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        free_revoke(pool, cache);
    free_make_barrier(pool);
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        free_take_over(pool, cache);
    pool->is_revoked = true;
}

bool jdb__free_is_revoked(const jdb_pool *pool)
{
    const struct pool_cache *cache = pool->caches;
    if (!pool->is_revoked)
        return false;
    while (cache != NULL && pool_cache_is_revoked(cache) && pool_cache_count(cache) == 0)
        cache = cache->next;
    return cache == NULL;
}
