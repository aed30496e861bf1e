/* SPDX-License-Identifier: MIT
 *
 * lifecycle.c - a pool is made and freed.
 */
#include "pool/waiters.h"

#include "arena/arena_internal.h"
#include "base/bits.h"
#include "base/sized.h"
#include "os/os.h"

SIZED_FORM(pool_options_form, jdb_pool_options, 12, 64);

/* ---- Options ---------------------------------------------------------------------------------------------- */

/* Of the caller, or the defaults: 0 in every field. */
static int pool_read_options(const jdb_pool_options *options, jdb_pool_options *ret_known)
{
    const jdb_pool_options none = JDB_POOL_OPTIONS_INIT;
    const int err = jdb__sized_read(&pool_options_form, options != NULL ? options : &none, ret_known);
    if (err != 0)
        return err;
    const bool is_known = ret_known->zero_policy <= JDB_POOL_ZERO_ALWAYS && ret_known->user_size <= USER_SIZE_MAX;
    return is_known ? 0 : -EINVAL;
}

static uint32_t pool_cache_limit(const jdb_pool_options *options, uint32_t max_count)
{
    const uint32_t wanted = options->thread_frames != 0 ? options->thread_frames : max_count / CACHE_POOL_SHARE;
    const uint32_t most = wanted < CACHE_FRAMES_MAX ? wanted : CACHE_FRAMES_MAX;
    return (uint32_t)bits_max(most & ~1u, CACHE_FRAMES_MIN);
}

static size_t pool_user_stride(const jdb_pool_options *options)
{
    return (size_t)bits_round_up(options->user_size, 8);
}

/* ---- Memory ----------------------------------------------------------------------------------------------- */

/* Bytes of the pool with its tables; where the tables are. */
struct pool_layout {
    size_t words;
    size_t links;
    size_t previous;
    size_t free_bits;
    size_t owners;
    size_t next;
    size_t items;
    size_t nodes; /* 0: none */
    size_t user;
    size_t size;
};

/* Twice what all frames fill; a number + 1 fits in 32 bits. */
static uint32_t pool_batch_count(uint32_t max_count, uint32_t batch_size)
{
    return (uint32_t)bits_min((uint64_t)max_count * 2 / batch_size, UINT32_MAX - 1);
}

static struct pool_layout pool_lay_out(uint32_t max_count, uint32_t batch_size, size_t user_stride)
{
    const size_t batch_count = pool_batch_count(max_count, batch_size);
    struct pool_layout layout = {.words = bits_round_up(sizeof(jdb_pool), 64)};
    layout.links = bits_round_up(layout.words + (size_t)max_count * sizeof(uint64_t), 64);
    layout.previous = bits_round_up(layout.links + (size_t)max_count * 4, 64);
    layout.free_bits = bits_round_up(layout.previous + (size_t)max_count * 4, 64);
    layout.owners = layout.free_bits + bits_round_up(((size_t)max_count + 7) / 8, 64);
    layout.next = bits_round_up(layout.owners + max_count * sizeof(uintptr_t), 64);
    layout.items = bits_round_up(layout.next + batch_count * 4, 64);
    layout.user = bits_round_up(layout.items + batch_count * batch_size * sizeof(uint64_t), 64);
    if (jdb__os_node_count() > 1) {
        layout.nodes = layout.user;
        layout.user = bits_round_up(layout.nodes + max_count, 64);
    }
    layout.size = bits_round_up(layout.user + max_count * user_stride, jdb__os_page_size());
    return layout;
}

/* Zeroed memory that a child of fork() sees as zero again, where the system can do so (registry.c does without). */
static int pool_map_wiped(size_t size, void **ret_memory)
{
    void *memory = NULL;
    int err = jdb__os_reserve(size, &memory);
    if (err != 0)
        return err;
    err = jdb__os_commit(memory, size);
    if (err != 0) {
        jdb__os_unmap(memory, size);
        return err;
    }
    jdb__os_wipe_on_fork(memory, size);
    *ret_memory = memory;
    return 0;
}

static void pool_set_zeroing(jdb_pool *pool, uint32_t policy)
{
    const size_t frame_size = (size_t)jdb_arena_frame_size(pool->arena);
    if (policy == JDB_POOL_ZERO_NEVER)
        return;
    pool->zero_offset = policy == JDB_POOL_ZERO_TAIL ? frame_size : 0;
    pool->zero_size = pool->frames.stride - pool->zero_offset;
}

static void pool_set_up(jdb_pool *pool, jdb_arena *arena, const jdb_pool_options *options, uint32_t cache_limit,
                        const struct pool_layout *layout)
{
    uint8_t *const memory = (uint8_t *)pool;
    const struct region *const region = &arena->region;
    pool->arena = arena;
    pool->frames.base = region->base;
    pool->frames.stride = region->stride;
    pool->frames.pins = region->pins.counts;
    pool->frames.words = (_Atomic uint64_t *)(void *)(memory + layout->words);
    pool->links = (uint32_t *)(void *)(memory + layout->links);
    pool->previous = (uint32_t *)(void *)(memory + layout->previous);
    pool->owners = (_Atomic uintptr_t *)(void *)(memory + layout->owners);
    pool->free_bits = (uint64_t *)(void *)(memory + layout->free_bits);
    pool->nodes = layout->nodes != 0 ? memory + layout->nodes : NULL;
    pool->user_memory = memory + layout->user;
    pool->user_stride = pool_user_stride(options);
    pool->grow_frames = options->grow_frames;
    pool->on_pressure = options->on_pressure;
    pool->pressure_user = options->pressure_user;
    pool->max_count = jdb_arena_max_frame_count(arena);
    atomic_store(&pool->frame_count, jdb_arena_frame_count(arena));
    pool->cache_limit = cache_limit;
    pool->map_size = layout->size;
    pool->has_membarrier = jdb__os_membarrier_register() == 0;
    pool->attention = pool->has_membarrier ? 0 : ATTENTION_REVOKED;
    pool->free.first = FRAME_NONE;
    pool->aside.first = FRAME_NONE;
    pool->cold.first = FRAME_NONE;
    pool->bare.first = FRAME_NONE;
    pool->budget = options->budget;
    pool->batches.batch_size = cache_limit / 2;
    pool->batches.batch_count = pool_batch_count(pool->max_count, pool->batches.batch_size);
    pool->kept_limit = (uint32_t)bits_min(pool->batches.batch_count / KEPT_POOL_SHARE, BATCH_KEPT_MAX);
    pool->batches.next = (_Atomic uint32_t *)(void *)(memory + layout->next);
    pool->batches.items = (uint64_t *)(void *)(memory + layout->items);
    JDB_ASSERT(cache_limit == 2 * pool->batches.batch_size && cache_limit <= CACHE_FRAMES_MAX); /* F4 */
    JDB_ASSERT(pool_frame_count(pool) <= pool->max_count);
    lock_init(&pool->lock, LOCK_POOL, false);
    pool_set_zeroing(pool, options->zero_policy);
}

/* ---- Make and free ----------------------------------------------------------------------------------------- */

/* On an error it is in no list, and the arena has its memory. */
static int pool_enter(jdb_pool *pool)
{
    int err = jdb__pool_register(pool);
    if (err != 0)
        return err;
    err = jdb__budget_empty(pool);
    if (err != 0)
        jdb__pool_unregister(pool);
    return err;
}

int jdb_pool_new(jdb_arena *arena, const jdb_pool_options *options, jdb_pool **ret_pool)
{
    if (arena == NULL || ret_pool == NULL)
        return -EINVAL;
    jdb_pool_options known;
    int err = pool_read_options(options, &known);
    if (err != 0)
        return err;
    if (jdb_arena_base(arena) == NULL)
        return -EPERM;
    err = known.budget != NULL ? jdb__budget_check(known.budget, arena) : 0;
    if (err != 0)
        return err;
    const uint32_t max_count = jdb_arena_max_frame_count(arena);
    const uint32_t cache_limit = pool_cache_limit(&known, max_count);
    const struct pool_layout layout = pool_lay_out(max_count, cache_limit / 2, pool_user_stride(&known));
    void *memory = NULL;
    err = pool_map_wiped(layout.size, &memory);
    if (err != 0)
        return err;
    jdb_pool *const pool = memory;
    pool_set_up(pool, arena, &known, cache_limit, &layout);
    err = pool_enter(pool);
    if (err != 0) {
        lock_destroy(&pool->lock);
        jdb__os_unmap(memory, layout.size);
        return err;
    }
    jdb__budget_join(pool);
    *ret_pool = pool;
    return 0;
}

/* Whether as many frames have their bit as are on the free list. */
static bool pool_has_its_bits(const jdb_pool *pool)
{
    uint64_t count = 0;
    const uint32_t used_count = pool_used_count(pool);
    for (uint32_t at = 0; at < used_count; at += 64)
        for (uint64_t bits = pool->free_bits[at / 64]; bits != 0; bits &= bits - 1)
            count++;
    return count == pool->free.count;
}

/* Whether every frame is in one of the places of a pool of which none is lent. */
static bool pool_is_whole(const jdb_pool *pool)
{
    uint64_t count =
        (uint64_t)pool->free.count + pool->aside.count + pool->bare.count + jdb__batches_count(&pool->batches);
    for (const struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        count += pool_cache_count(cache);
    return count + jdb__batches_fresh_count(&pool->batches, pool_frame_count(pool)) == pool_frame_count(pool);
}

int jdb_pool_free(jdb_pool *pool)
{
    if (pool == NULL)
        return 0;
    if (pool->token == 0)
        return -EPERM;
    uint32_t cursor = 0;
    jdb_frame frame;
    jdb__budget_leave(pool);
    lock_take(&pool->lock);
    JDB_ASSERT(!pool->is_trimming && pool->cold.count == 0);
    const bool is_used =
        pool->waiter_count > 0 || atomic_load(&pool->owner_count) > 0 || jdb_pool_next_lent(pool, &cursor, &frame);
    JDB_ASSERT_WALK(is_used || pool_is_whole(pool)); /* F1 */
    JDB_ASSERT_WALK(pool_has_its_bits(pool));        /* F9 */
    lock_release(&pool->lock);
    if (is_used) {
        jdb__budget_join(pool);
        jdb__share_feed(pool); /* a wait that was queued meanwhile did not find this pool */
        return -EBUSY;
    }
    jdb__pool_unregister(pool);
    jdb__share_close(pool);
    memcheck_lend(pool->frames.base, pool->frames.stride * pool_frame_count(pool));
    lock_destroy(&pool->lock);
    jdb__os_unmap(pool, pool->map_size);
    return 0;
}
