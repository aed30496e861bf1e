/* SPDX-License-Identifier: MIT
 *
 * pool.c - lends the frames of an arena: the fast paths, their checks, and the life of a pool. Floor 4.
 */
#include "pool/state.h"

#include "arena/arena_internal.h"
#include "base/bits.h"
#include "base/memcheck.h"
#include "os/os.h"

#include <string.h>

/* ---- A frame ---------------------------------------------------------------------------------------------- */

static inline uint8_t *ptr_of(const struct pool_frames *frames, uint32_t index)
{
    return frames->base + index * frames->stride;
}

static inline uint32_t gen_of(const struct pool_frames *frames, uint32_t index)
{
    return atomic_load_explicit(&frames->gens[index], memory_order_relaxed);
}

static inline uint32_t pins_of(const struct pool_frames *frames, uint32_t index)
{
    return atomic_load_explicit(&frames->pins[index], memory_order_acquire);
}

/* The two numbers are stored as one word: a caller that passes the handle on loads them as one, and a load that spans two
 * stores has to wait until both have left the processor's store buffer. */
static inline void write_handle(jdb_frame *ret_frame, uint8_t *ptr, uint64_t numbers)
{
    ret_frame->ptr = ptr;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&ret_frame->index, &numbers, sizeof numbers);
#else
    ret_frame->index = (uint32_t)numbers;
    ret_frame->gen = (uint32_t)(numbers / POOL_GEN);
#endif
}

static inline uint64_t read_numbers(const jdb_frame *frame)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t numbers = 0;
    memcpy(&numbers, &frame->index, sizeof numbers);
    return numbers;
#else
    return frame->index + frame->gen * POOL_GEN;
#endif
}

static inline void lend(const struct pool_frames *frames, uint64_t item, jdb_frame *ret_frame)
{
    const uint64_t numbers = item + POOL_LENT * POOL_GEN;
    const uint32_t index = (uint32_t)numbers;
    JDB_ASSERT(item >= POOL_GEN && item < POOL_LENT * POOL_GEN && item == pool_free_item(frames, index));
    atomic_store_explicit(&frames->gens[index], (uint32_t)(numbers / POOL_GEN), memory_order_relaxed);
    memcheck_lend(ptr_of(frames, index), frames->stride);
    memcheck_defined(ptr_of(frames, index), frames->stride);
    write_handle(ret_frame, ptr_of(frames, index), numbers);
}

/* Whether this may be the generation of a handle, but for the last: both in one comparison. */
static inline bool is_handle_gen(uint32_t gen)
{
    return (int32_t)gen < (int32_t)POOL_LAST;
}

/* The generation of the next lending; of the numbers of a handle, with POOL_GEN. */
#define NEXT_GEN (POOL_LENT + UINT32_C(1))

/* End a lending that is not the frame's last. False, and nothing done, where the handle is not that of a frame lent at
 * present, below frame_count and not pinned; in the checked build also where another thread was first. */
static inline bool take_back(const struct pool_frames *frames, uint32_t frame_count, jdb_frame frame)
{
    if (JDB_UNLIKELY(frame.index >= frame_count || frame.ptr != ptr_of(frames, frame.index) ||
                     !is_handle_gen(frame.gen)))
        return false;
    _Atomic uint32_t *const place = &frames->gens[frame.index];
    uint32_t gen = atomic_load_explicit(place, memory_order_relaxed);
    if (JDB_UNLIKELY(((gen ^ frame.gen) | pins_of(frames, frame.index)) != 0))
        return false;
#ifdef JDB_CHECKED
    if (!atomic_compare_exchange_strong(place, &gen, gen + NEXT_GEN))
        return false;
#else
    atomic_store_explicit(place, gen + NEXT_GEN, memory_order_relaxed);
#endif
    memcheck_drop(frame.ptr, frames->stride);
    return true;
}

/* End the last lending of a frame, whose generation is 0 then. False as take_back(). */
JDB_COLD static bool take_back_last(const jdb_pool *pool, jdb_frame frame)
{
    const struct pool_frames *const frames = &pool->frames;
    uint32_t gen = POOL_LAST;
    if (pool->token == 0 || frame.gen != gen || frame.index >= pool_frame_count(pool) ||
        frame.ptr != ptr_of(frames, frame.index) || pins_of(frames, frame.index) != 0 ||
        !atomic_compare_exchange_strong(&frames->gens[frame.index], &gen, 0))
        return false;
    memcheck_drop(frame.ptr, frames->stride);
    return true;
}

/* Why take_back() and take_back_last() returned false. */
JDB_COLD static int refuse(jdb_pool *pool, jdb_frame frame)
{
    if (pool->token == 0)
        return -EPERM;
    const struct pool_frames *const frames = &pool->frames;
    atomic_fetch_add_explicit(&pool->refused_count, 1, memory_order_relaxed);
    const size_t offset = (size_t)((uintptr_t)frame.ptr - (uintptr_t)frames->base);
    if (offset >= frames->stride * pool->max_count)
        return jdb__regions_has(frame.ptr) ? -EXDEV : -EINVAL;
    if (frame.index >= pool_frame_count(pool))
        return -ERANGE;
    if (frame.ptr != ptr_of(frames, frame.index) || (frame.gen & POOL_LENT) == 0)
        return -EINVAL;
    return frame.gen != gen_of(frames, frame.index) ? -ESTALE : -EBUSY;
}

void jdb__pool_lend(jdb_pool *pool, uint32_t index, jdb_frame *ret_frame)
{
    lend(&pool->frames, pool_free_item(&pool->frames, index), ret_frame);
}

void jdb__pool_zero(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    if (pool->zero_size == 0)
        return;
    for (uint32_t i = 0; i < frame_count; i++)
        memset(frames[i].ptr + pool->zero_offset, 0, pool->zero_size);
}

/* ---- Get -------------------------------------------------------------------------------------------------- */

/* Frames taken out of their places one after the other, before it is known whether there are enough. */
struct chain {
    uint32_t first; /* linked by pool->links */
    uint32_t count;
};

static void gather(jdb_pool *pool, struct pool_cache *cache, uint32_t frame_count, struct chain *chain)
{
    while (chain->count < frame_count) {
        uint32_t count = pool_cache_count(cache);
        if (count == 0 && !jdb__pool_cache_fill(pool, cache))
            return;
        for (count = pool_cache_count(cache); count > 0 && chain->count < frame_count; chain->count++) {
            const uint32_t index = (uint32_t)cache->items[--count];
            pool->links[index] = chain->first;
            chain->first = index;
        }
        pool_cache_set_count(cache, count);
    }
}

static void lend_chain(jdb_pool *pool, struct chain chain, jdb_frame *ret_frames)
{
    for (uint32_t i = 0; i < chain.count; i++) {
        const uint32_t index = chain.first;
        chain.first = pool->links[index];
        jdb__pool_lend(pool, index, &ret_frames[i]);
    }
}

/* Under the lock: out of wherever frames are. */
static int get_loose(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (pool->waiter_count > 0 || !jdb__pool_loosen(pool, frame_count)) {
        pool->empty_count++;
        return -EAGAIN;
    }
    for (uint32_t i = 0; i < frame_count; i++)
        jdb__pool_lend(pool, jdb__pool_pop_loose(pool), &ret_frames[i]);
    pool->got_count += frame_count;
    return 0;
}

static int get_under_lock(jdb_pool *pool, struct chain chain, uint32_t frame_count, jdb_frame *ret_frames)
{
    lock_take(&pool->lock);
    for (; chain.count > 0; chain.count--) {
        const uint32_t next = pool->links[chain.first];
        jdb__pool_push_loose(pool, chain.first);
        chain.first = next;
    }
    jdb_pool_wait *const served = jdb__pool_serve(pool);
    const int err = get_loose(pool, frame_count, ret_frames);
    if (pool->waiter_count == 0)
        jdb__pool_settle(pool);
    lock_release(&pool->lock);
    jdb__pool_call_served(pool, served);
    return err;
}

JDB_NOINLINE static int get_slow(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (pool->token == 0)
        return -EPERM;
    if (frame_count > pool_frame_count(pool))
        return -ERANGE;
    struct chain chain = {NO_FRAME, 0};
    struct pool_cache *const cache = jdb__pool_cache_here(pool);
    if (cache != NULL && pool_cache_enter(cache, ATTENTION_REVOKED)) {
        gather(pool, cache, frame_count, &chain);
        if (chain.count == frame_count)
            pool_cache_set_state(cache, pool_cache_state(cache) + chain.count * CACHE_GOT);
        else
            pool_bump(&cache->moved_count, chain.count);
        pool_cache_leave(cache);
    }
    int err = 0;
    if (chain.count == frame_count)
        lend_chain(pool, chain, ret_frames);
    else
        err = get_under_lock(pool, chain, frame_count, ret_frames);
    if (err == 0)
        jdb__pool_zero(pool, ret_frames, frame_count);
    return err;
}

int jdb_pool_get(jdb_pool *pool, jdb_frame *ret_frame)
{
    if (JDB_UNLIKELY(pool == NULL || ret_frame == NULL))
        return -EINVAL;
    struct pool_cache *const cache = jdb__pool_last.cache;
    if (JDB_UNLIKELY(!pool_is_last(pool) || !pool_cache_enter(cache, ATTENTION_REVOKED | ATTENTION_ZERO)))
        return get_slow(pool, 1, ret_frame);
    const uint64_t state = pool_cache_state(cache);
    const uint32_t count = pool_state_count(state);
    if (JDB_UNLIKELY(count == 0)) {
        pool_cache_leave(cache);
        return get_slow(pool, 1, ret_frame);
    }
    const uint64_t item = cache->items[count - 1];
    pool_cache_set_state(cache, state + CACHE_GOT - 1);
    pool_cache_leave(cache);
    lend(&pool->frames, item, ret_frame);
    return 0;
}

int jdb_pool_get_n(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (JDB_UNLIKELY(pool == NULL || ret_frames == NULL))
        return -EINVAL;
    if (JDB_UNLIKELY(frame_count == 0))
        return 0;
    struct pool_cache *const cache = jdb__pool_last.cache;
    if (JDB_UNLIKELY(!pool_is_last(pool) || !pool_cache_enter(cache, ATTENTION_REVOKED | ATTENTION_ZERO)))
        return get_slow(pool, frame_count, ret_frames);
    const uint64_t state = pool_cache_state(cache);
    const uint32_t count = pool_state_count(state);
    if (JDB_UNLIKELY(count < frame_count)) {
        pool_cache_leave(cache);
        return get_slow(pool, frame_count, ret_frames);
    }
    const struct pool_frames frames = pool->frames;
    for (uint32_t i = 0; i < frame_count; i++)
        lend(&frames, cache->items[count - 1 - i], &ret_frames[i]);
    pool_cache_set_state(cache, state + frame_count * (CACHE_GOT - 1));
    pool_cache_leave(cache);
    return 0;
}

/* ---- Put -------------------------------------------------------------------------------------------------- */

/* Put frames taken back into an entered cache, spilling where it is full. Returns how many it took. */
static uint32_t put_in_cache(jdb_pool *pool, struct pool_cache *cache, const jdb_frame *frames, uint32_t frame_count)
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
            cache->items[count++] = pool_free_item(&pool->frames, frames[done++].index);
        pool_cache_set_count(cache, count);
    }
    return done;
}

static void put_under_lock(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    lock_take(&pool->lock);
    for (uint32_t i = 0; i < frame_count; i++)
        jdb__pool_push_free(pool, frames[i].index);
    pool->put_count += frame_count;
    jdb_pool_wait *const served = jdb__pool_serve(pool);
    if (pool->waiter_count == 0)
        jdb__pool_settle(pool);
    lock_release(&pool->lock);
    jdb__pool_call_served(pool, served);
}

/* The frames are taken back already. */
JDB_NOINLINE static void put_slow(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    uint32_t done = 0;
    struct pool_cache *const cache = jdb__pool_cache_here(pool);
    if (cache != NULL && pool_cache_enter(cache, ATTENTION_REVOKED)) {
        done = put_in_cache(pool, cache, frames, frame_count);
        pool_cache_leave(cache);
    }
    if (done < frame_count)
        put_under_lock(pool, frames + done, frame_count - done);
}

JDB_NOINLINE static int put_one_slow(jdb_pool *pool, uint32_t index)
{
    const jdb_frame frame = {NULL, index, 0};
    put_slow(pool, &frame, 1);
    return 0;
}

/* take_back() returned false. */
JDB_COLD static int put_last_or_refuse(jdb_pool *pool, jdb_frame frame)
{
    if (!take_back_last(pool, frame))
        return refuse(pool, frame);
    put_under_lock(pool, &frame, 1);
    return 0;
}

int jdb_pool_put(jdb_pool *pool, jdb_frame frame)
{
    if (JDB_UNLIKELY(pool == NULL))
        return -EINVAL;
    if (JDB_UNLIKELY(!take_back(&pool->frames, pool_frame_count(pool), frame)))
        return put_last_or_refuse(pool, frame);
    struct pool_cache *const cache = jdb__pool_last.cache;
    if (JDB_UNLIKELY(!pool_is_last(pool) || !pool_cache_enter(cache, ATTENTION_REVOKED)))
        return put_one_slow(pool, frame.index);
    const uint64_t state = pool_cache_state(cache);
    const uint32_t count = pool_state_count(state);
    if (JDB_UNLIKELY(count == cache->limit)) {
        pool_cache_leave(cache);
        return put_one_slow(pool, frame.index);
    }
    cache->items[count] = read_numbers(&frame) + NEXT_GEN * POOL_GEN;
    pool_cache_set_state(cache, state + 1);
    pool_cache_leave(cache);
    return 0;
}

/* All of them, or none and the error of the first wrong one. *ret_has_last: some ended their last lending. */
static int take_back_all(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count, bool *ret_has_last)
{
    const struct pool_frames all = pool->frames;
    const uint32_t all_count = pool_frame_count(pool);
    for (uint32_t i = 0; i < frame_count; i++) {
        if (JDB_LIKELY(take_back(&all, all_count, frames[i])))
            continue;
        if (take_back_last(pool, frames[i])) {
            *ret_has_last = true;
            continue;
        }
        const int err = refuse(pool, frames[i]);
        while (i-- > 0) {
            atomic_store_explicit(&all.gens[frames[i].index], frames[i].gen, memory_order_relaxed);
            memcheck_lend(frames[i].ptr, all.stride);
            memcheck_defined(frames[i].ptr, all.stride);
        }
        return err;
    }
    return 0;
}

int jdb_pool_put_n(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    if (JDB_UNLIKELY(pool == NULL || frames == NULL))
        return -EINVAL;
    bool has_last = false;
    const int err = take_back_all(pool, frames, frame_count, &has_last);
    if (err != 0 || frame_count == 0)
        return err;
    if (has_last)
        put_under_lock(pool, frames, frame_count);
    else
        put_slow(pool, frames, frame_count);
    return 0;
}

/* ---- Make and free ---------------------------------------------------------------------------------------- */

static int check_options(const jdb_pool_options *options)
{
    if (options == NULL)
        return 0;
    if (options->size < offsetof(jdb_pool_options, reserved32) || options->zero_policy > JDB_POOL_ZERO_ALWAYS)
        return -EINVAL;
    const uint8_t *const bytes = (const uint8_t *)options;
    for (size_t i = offsetof(jdb_pool_options, reserved32); i < options->size; i++)
        if (bytes[i] != 0)
            return -E2BIG;
    return 0;
}

static uint32_t cache_limit_of(const jdb_pool_options *options, uint32_t max_count)
{
    const uint32_t asked = options != NULL ? options->thread_frames : 0;
    const uint32_t wanted = asked != 0 ? asked : max_count / 8;
    const uint32_t most = wanted < CACHE_FRAMES_MAX ? wanted : CACHE_FRAMES_MAX;
    return most < 2 ? 2 : most & ~1u;
}

/* Bytes of the pool with its tables; where the tables are. */
struct layout {
    size_t gens;
    size_t links;
    size_t next;
    size_t items;
    size_t size;
};

static struct layout lay_out(uint32_t max_count, uint32_t batch_size)
{
    const size_t batch_count = max_count / batch_size;
    struct layout layout = {.gens = bits_round_up(sizeof(jdb_pool), 64)};
    layout.links = bits_round_up(layout.gens + (size_t)max_count * 4, 64);
    layout.next = bits_round_up(layout.links + (size_t)max_count * 4, 64);
    layout.items = bits_round_up(layout.next + batch_count * 4, 64);
    layout.size = bits_round_up(layout.items + batch_count * batch_size * 4, jdb__os_page_size());
    return layout;
}

/* Zeroed memory that a child of fork() sees as zero again, where the system can do so (pool_cache.c does without). */
static int map_wiped(size_t size, void **ret_memory)
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

static void set_zeroing(jdb_pool *pool, const jdb_pool_options *options)
{
    const size_t frame_size = jdb_arena_frame_size(pool->arena);
    const uint32_t policy = options != NULL ? options->zero_policy : JDB_POOL_ZERO_NEVER;
    if (policy == JDB_POOL_ZERO_NEVER)
        return;
    pool->zero_offset = policy == JDB_POOL_ZERO_TAIL ? frame_size : 0;
    pool->zero_size = pool->frames.stride - pool->zero_offset;
    pool->attention |= pool->zero_size != 0 ? ATTENTION_ZERO : 0;
}

static void set_up(jdb_pool *pool, jdb_arena *arena, const jdb_pool_options *options, uint32_t cache_limit,
                   const struct layout *layout)
{
    uint8_t *const memory = (uint8_t *)pool;
    const struct region *const region = &arena->region;
    pool->arena = arena;
    pool->frames.base = region->base;
    pool->frames.stride = region->stride;
    pool->frames.pins = region->pins;
    pool->max_count = jdb_arena_max_frame_count(arena);
    atomic_store(&pool->frame_count, jdb_arena_frame_count(arena));
    pool->frames.gens = (_Atomic uint32_t *)(void *)(memory + layout->gens);
    pool->links = (uint32_t *)(void *)(memory + layout->links);
    pool->cache_limit = cache_limit;
    pool->map_size = layout->size;
    pool->has_membarrier = jdb__os_membarrier_register() == 0;
    pool->attention = pool->has_membarrier ? 0 : ATTENTION_REVOKED;
    pool->loose = NO_FRAME;
    pool->aside = NO_FRAME;
    pool->batches.batch_size = cache_limit / 2;
    pool->batches.batch_count = pool->max_count / pool->batches.batch_size;
    pool->batches.next = (_Atomic uint32_t *)(void *)(memory + layout->next);
    pool->batches.items = (uint32_t *)(void *)(memory + layout->items);
    lock_init(&pool->lock, LOCK_POOL, false);
    set_zeroing(pool, options);
}

int jdb_pool_new(jdb_arena *arena, const jdb_pool_options *options, jdb_pool **ret_pool)
{
    if (arena == NULL || ret_pool == NULL)
        return -EINVAL;
    int err = check_options(options);
    if (err != 0)
        return err;
    if (jdb_arena_base(arena) == NULL)
        return -EPERM;
    const uint32_t max_count = jdb_arena_max_frame_count(arena);
    const uint32_t cache_limit = cache_limit_of(options, max_count);
    const struct layout layout = lay_out(max_count, cache_limit / 2);
    void *memory = NULL;
    err = map_wiped(layout.size, &memory);
    if (err != 0)
        return err;
    jdb_pool *const pool = memory;
    set_up(pool, arena, options, cache_limit, &layout);
    err = jdb__pool_register(pool);
    if (err != 0) {
        jdb__os_unmap(memory, layout.size);
        return err;
    }
    *ret_pool = pool;
    return 0;
}

int jdb_pool_extend(jdb_pool *pool, uint32_t *ret_frame_count)
{
    if (pool == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    lock_take(&pool->lock);
    const uint32_t frame_count = jdb_arena_frame_count(pool->arena);
    atomic_store(&pool->frame_count, frame_count);
    uint64_t wanted = 0;
    for (const jdb_pool_wait *wait = pool->first_wait; wait != NULL; wait = wait->next)
        wanted += wait->frame_count;
    jdb__pool_loosen_shared(pool, wanted < frame_count ? (uint32_t)wanted : frame_count);
    jdb_pool_wait *const served = jdb__pool_serve(pool);
    lock_release(&pool->lock);
    jdb__pool_call_served(pool, served);
    if (ret_frame_count != NULL)
        *ret_frame_count = frame_count;
    return 0;
}

bool jdb_pool_next_lent(const jdb_pool *pool, uint32_t *cursor, jdb_frame *ret_frame)
{
    if (pool == NULL || cursor == NULL || ret_frame == NULL || pool->token == 0)
        return false;
    const uint32_t frame_count = pool_frame_count(pool);
    for (uint32_t i = *cursor; i < frame_count; i++) {
        const uint32_t gen = gen_of(&pool->frames, i);
        if ((gen & POOL_LENT) == 0)
            continue;
        *cursor = i + 1;
        *ret_frame = (jdb_frame){ptr_of(&pool->frames, i), i, gen};
        return true;
    }
    *cursor = frame_count;
    return false;
}

int jdb_pool_free(jdb_pool *pool)
{
    if (pool == NULL)
        return 0;
    if (pool->token == 0)
        return -EPERM;
    uint32_t cursor = 0;
    jdb_frame frame;
    lock_take(&pool->lock);
    const bool is_used = pool->waiter_count > 0 || jdb_pool_next_lent(pool, &cursor, &frame);
    lock_release(&pool->lock);
    if (is_used)
        return -EBUSY;
    jdb__pool_unregister(pool);
    memcheck_lend(pool->frames.base, pool->frames.stride * pool_frame_count(pool));
    lock_destroy(&pool->lock);
    jdb__os_unmap(pool, pool->map_size);
    return 0;
}

/* ---- Counts ----------------------------------------------------------------------------------------------- */

static jdb_pool_stats collect_stats(jdb_pool *pool)
{
    jdb_pool_stats stats = {
        .size = sizeof(jdb_pool_stats),
        .frame_count = pool_frame_count(pool),
        .waiter_count = pool->waiter_count,
        .aside_count = pool->aside_count,
        .got_count = pool->got_count,
        .put_count = pool->put_count,
        .empty_count = pool->empty_count,
        .refused_count = atomic_load_explicit(&pool->refused_count, memory_order_relaxed),
        .steal_count = pool->steal_count,
        .wait_count = pool->wait_count,
        .timeout_count = pool->timeout_count,
        .cancel_count = pool->cancel_count,
        .lateness_max_ns = pool->lateness_max_ns,
    };
    for (const struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next) {
        const uint64_t state = pool_cache_state(cache);
        const uint64_t got_count = state / CACHE_GOT;
        stats.got_count += got_count;
        stats.put_count +=
            got_count + pool_state_count(state) + atomic_load_explicit(&cache->moved_count, memory_order_relaxed);
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
    if (pool == NULL || stats == NULL || stats->size < offsetof(jdb_pool_stats, got_count))
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    const uint32_t size = stats->size;
    lock_take(&pool->lock);
    jdb_pool_stats all = collect_stats(pool);
    lock_release(&pool->lock);
    all.size = size;
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
    return 0;
}
