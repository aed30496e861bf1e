/* SPDX-License-Identifier: MIT
 *
 * pool_cache.c - caches of threads in pools: made, filled, spilled, revoked, and returned when a thread ends. Floor 4.
 */
#include "pool/state.h"

#include "arena/arena_internal.h"
#include "base/bits.h"
#include "os/fork_mark.h"
#include "os/os.h"

#include <string.h>

#define NO_TOKEN UINT64_MAX /* no pool has it, and 0 a pool has in a child of fork() */
#define NO_SLOT           \
    {                     \
        .token = NO_TOKEN \
    }

_Thread_local struct pool_slot jdb__pool_last = NO_SLOT;

/* What the calling thread knows of the other pools it used. NULL before its first slow call. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local struct pool_thread *this_thread;

/* All pools of this process, in memory that no child finds wiped: what one pool lost must not hide another. */
struct listed {
    jdb_pool *pool;
    struct listed *next;
};

static struct lock list_lock = LOCK_INIT(LOCK_POOLS);
static struct listed *pools;
static uint64_t last_token;

#define GEN_SEED_STEP 0x9e3779b1u /* odd, and far from small multiples of itself */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t end_key;
static bool has_end_key;

/* ---- Threads and pools ------------------------------------------------------------------------------------ */

static void loosen_cache(jdb_pool *pool, struct pool_cache *cache)
{
    const uint32_t count = pool_cache_count(cache);
    for (uint32_t i = 0; i < count; i++)
        jdb__pool_push_loose(pool, (uint32_t)cache->items[i]);
    pool_cache_set_count(cache, 0);
    pool_bump(&cache->moved_count, count);
}

/* While anyone waits the cache is revoked, and empty. */
static void return_cache(jdb_pool *pool, const struct pool_thread *thread)
{
    lock_take(&pool->lock);
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        if (cache->owner == thread) {
            loosen_cache(pool, cache);
            cache->owner = NULL;
        }
    if (pool->waiter_count == 0)
        jdb__pool_settle(pool);
    lock_release(&pool->lock);
}

static void end_thread(void *context)
{
    lock_take(&list_lock);
    for (const struct listed *entry = pools; entry != NULL; entry = entry->next)
        return_cache(entry->pool, context);
    lock_release(&list_lock);
    jdb__pool_last = (struct pool_slot)NO_SLOT;
    this_thread = NULL;
    jdb__os_free(context);
}

void jdb__pools_before_fork(void)
{
    pthread_mutex_lock(&list_lock.mutex);
}

void jdb__pools_after_fork(void)
{
    pthread_mutex_unlock(&list_lock.mutex);
}

/* Where the system did not wipe the pool. */
static void disown(jdb_pool *pool)
{
    if (pool->token == 0)
        return;
    pool->token = 0;
    atomic_store(&pool->frame_count, 0); /* no handle is of a frame there, so a put comes to refuse() */
}

void jdb__pools_in_child(void)
{
    while (pools != NULL) {
        struct listed *const entry = pools;
        pools = entry->next;
        disown(entry->pool);
        jdb__os_free(entry);
    }
    if (this_thread != NULL)
        this_thread->served = NULL; /* a callback called fork(): frames of waiters behind it stayed with the parent */
}

static void start(void)
{
    has_end_key = jdb__fork_watch() == 0 && pthread_key_create(&end_key, end_thread) == 0;
}

static bool has_pool(const jdb_arena *arena)
{
    const struct listed *entry = pools;
    while (entry != NULL && entry->pool->arena != arena)
        entry = entry->next;
    return entry != NULL;
}

/* Behind all handles of the last pool over this arena. Pools over different arenas, and one in a child of fork() whose
 * parent goes on with its own, start far apart. */
static uint32_t gen_seed_of(const jdb_pool *pool)
{
    const uint32_t next = pool->arena->next_gen;
    if (next > 0 && next <= POOL_SEED_MAX && atomic_load(&pool->arena->pool_mark) == 0)
        return next;
    return (uint32_t)last_token * GEN_SEED_STEP % POOL_SEED_MAX + 1;
}

/* Of the frames of a pool that is freed, where none is lent. One that was set aside had them all. */
static uint32_t last_gen_of(const jdb_pool *pool)
{
    uint32_t last = pool->aside_count > 0 ? POOL_SEED_MAX : 0;
    const uint32_t frame_count = pool_frame_count(pool);
    for (uint32_t i = 0; i < frame_count; i++) {
        const uint32_t gen = atomic_load_explicit(&pool->frames.gens[i], memory_order_relaxed);
        last = gen > last ? gen : last;
    }
    return last;
}

/* Under the list's lock. */
static void list_pool(jdb_pool *pool, struct listed *entry)
{
    pool->token = ++last_token;
    pool->slot = (uint32_t)(last_token % CACHE_SLOTS);
    pool->gen_seed = gen_seed_of(pool);
    *entry = (struct listed){pool, pools};
    pools = entry;
    atomic_store(&pool->arena->pool_mark, jdb__fork_mark());
}

int jdb__pool_register(jdb_pool *pool)
{
    void *entry = NULL;
    pthread_once(&once, start);
    if (!has_end_key || jdb__os_alloc(sizeof(struct listed), &entry) != 0)
        return -ENOMEM;
    lock_take(&list_lock);
    const bool is_first = !has_pool(pool->arena);
    if (is_first)
        list_pool(pool, entry);
    lock_release(&list_lock);
    if (is_first)
        return 0;
    jdb__os_free(entry);
    return -EBUSY;
}

void jdb__pool_unregister(jdb_pool *pool)
{
    lock_take(&list_lock);
    struct listed **link = &pools;
    while ((*link)->pool != pool)
        link = &(*link)->next;
    struct listed *const entry = *link;
    *link = entry->next;
    pool->arena->next_gen = last_gen_of(pool) + 1;
    atomic_store(&pool->arena->pool_mark, 0);
    lock_release(&list_lock);
    jdb__os_free(entry);
    while (pool->caches != NULL) {
        struct pool_cache *const cache = pool->caches;
        pool->caches = cache->next;
        jdb__os_free(cache->memory);
    }
}

/* ---- The calling thread's cache --------------------------------------------------------------------------- */

struct pool_thread *jdb__pool_thread_here(void)
{
    if (this_thread != NULL)
        return this_thread;
    void *memory = NULL;
    if (jdb__os_alloc(sizeof(struct pool_thread), &memory) != 0)
        return NULL;
    if (pthread_setspecific(end_key, memory) != 0) {
        jdb__os_free(memory);
        return NULL;
    }
    this_thread = memory;
    return memory;
}

static struct pool_cache *make_cache(jdb_pool *pool)
{
    void *memory = NULL;
    if (jdb__os_alloc(sizeof(struct pool_cache) + 63, &memory) != 0)
        return NULL;
    struct pool_cache *const cache = (struct pool_cache *)bits_round_up((uintptr_t)memory, 64);
    cache->memory = memory;
    cache->limit = pool->cache_limit;
    atomic_store(&cache->attention, pool->attention | (pool->waiter_count > 0 ? ATTENTION_REVOKED : 0));
    cache->next = pool->caches;
    pool->caches = cache;
    return cache;
}

/* The thread's own one (its slot may have gone to another pool since), else one without owner, else a new one. */
static struct pool_cache *find_cache(jdb_pool *pool, const struct pool_thread *thread)
{
    struct pool_cache *unowned = NULL;
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next) {
        if (cache->owner == thread)
            return cache;
        if (cache->owner == NULL)
            unowned = cache;
    }
    return unowned != NULL ? unowned : make_cache(pool);
}

static struct pool_cache *adopt_cache(jdb_pool *pool, struct pool_thread *thread)
{
    lock_take(&pool->lock);
    struct pool_cache *const cache = find_cache(pool, thread);
    if (cache != NULL)
        cache->owner = thread;
    lock_release(&pool->lock);
    if (cache != NULL)
        thread->slots[pool->slot] = (struct pool_slot){pool->token, cache};
    return cache;
}

struct pool_cache *jdb__pool_cache_here(jdb_pool *pool)
{
    if (pool_is_last(pool))
        return jdb__pool_last.cache;
    struct pool_thread *const thread = jdb__pool_thread_here();
    if (thread == NULL || (thread->slots[pool->slot].token != pool->token && adopt_cache(pool, thread) == NULL))
        return NULL;
    jdb__pool_last = thread->slots[pool->slot];
    return jdb__pool_last.cache;
}

/* Of a frame that was never lent, or set aside, by its first taker. */
static void begin_gen(const jdb_pool *pool, uint32_t index)
{
    atomic_store_explicit(&pool->frames.gens[index], pool->gen_seed, memory_order_relaxed);
}

/* Frames never lent: the lowest last, so that it is lent first. Returns how many. */
static uint32_t take_fresh(jdb_pool *pool, uint32_t *ret_indices)
{
    uint32_t first = 0;
    const uint32_t taken =
        jdb__batches_take_fresh(&pool->batches, pool_frame_count(pool), pool->batches.batch_size, &first);
    for (uint32_t i = 0; i < taken; i++) {
        ret_indices[taken - 1 - i] = first + i;
        begin_gen(pool, first + i);
    }
    return taken;
}

bool jdb__pool_cache_fill(jdb_pool *pool, struct pool_cache *cache)
{
    const uint32_t count = pool_cache_count(cache);
    uint32_t taken = pool->batches.batch_size;
    uint32_t indices[BATCH_MAX];
    JDB_ASSERT(count + taken <= cache->limit);
    if (!jdb__batches_take(&pool->batches, indices))
        taken = take_fresh(pool, indices);
    for (uint32_t i = 0; i < taken; i++)
        cache->items[count + i] = pool_free_item(&pool->frames, indices[i]);
    pool_cache_set_count(cache, count + taken);
    pool_bump(&cache->moved_count, -(uint64_t)taken);
    pool_bump(&cache->batch_count, 1);
    return taken > 0;
}

bool jdb__pool_cache_spill(jdb_pool *pool, struct pool_cache *cache)
{
    const uint32_t batch_size = pool->batches.batch_size;
    const uint32_t left = pool_cache_count(cache) - batch_size;
    uint32_t indices[BATCH_MAX];
    for (uint32_t i = 0; i < batch_size; i++)
        indices[i] = (uint32_t)cache->items[i];
    if (!jdb__batches_give(&pool->batches, indices))
        return false;
    memmove(cache->items, cache->items + batch_size, left * sizeof cache->items[0]);
    pool_cache_set_count(cache, left);
    pool_bump(&cache->moved_count, batch_size);
    pool_bump(&cache->batch_count, 1);
    return true;
}

/* ---- Loose frames ----------------------------------------------------------------------------------------- */

void jdb__pool_push_loose(jdb_pool *pool, uint32_t index)
{
    pool->links[index] = pool->loose;
    pool->loose = index;
    pool->loose_count++;
}

static void push_aside(jdb_pool *pool, uint32_t index)
{
    pool->links[index] = NO_FRAME;
    if (pool->aside == NO_FRAME)
        pool->aside = index;
    else
        pool->links[pool->last_aside] = index;
    pool->last_aside = index;
    pool->aside_count++;
}

void jdb__pool_push_free(jdb_pool *pool, uint32_t index)
{
    const bool has_gens = atomic_load_explicit(&pool->frames.gens[index], memory_order_relaxed) != 0;
    if (!has_gens && pool->waiter_count == 0) {
        push_aside(pool, index);
        return;
    }
    if (!has_gens)
        begin_gen(pool, index);
    jdb__pool_push_loose(pool, index);
}

bool jdb__pool_loosen_aside(jdb_pool *pool, uint32_t count)
{
    while (pool->loose_count < count && pool->aside_count > 0) {
        const uint32_t index = pool->aside;
        pool->aside = pool->links[index];
        pool->aside_count--;
        begin_gen(pool, index);
        jdb__pool_push_loose(pool, index);
    }
    return pool->loose_count >= count;
}

uint32_t jdb__pool_pop_loose(jdb_pool *pool)
{
    const uint32_t index = pool->loose;
    JDB_ASSERT(pool->loose_count > 0 && index != NO_FRAME);
    pool->loose = pool->links[index];
    pool->loose_count--;
    return index;
}

void jdb__pool_settle(jdb_pool *pool)
{
    const uint32_t batch_size = pool->batches.batch_size;
    uint32_t items[BATCH_MAX];
    while (pool->loose_count >= batch_size) {
        for (uint32_t i = 0; i < batch_size; i++)
            items[i] = jdb__pool_pop_loose(pool);
        if (jdb__batches_give(&pool->batches, items))
            continue;
        for (uint32_t i = 0; i < batch_size; i++)
            jdb__pool_push_loose(pool, items[i]);
        return;
    }
}

bool jdb__pool_loosen_shared(jdb_pool *pool, uint32_t count)
{
    const uint32_t frame_count = pool_frame_count(pool);
    uint32_t items[BATCH_MAX];
    while (pool->loose_count < count && jdb__batches_take(&pool->batches, items))
        for (uint32_t i = 0; i < pool->batches.batch_size; i++)
            jdb__pool_push_loose(pool, items[i]);
    uint32_t first = 0;
    if (pool->loose_count >= count)
        return true;
    uint32_t taken = jdb__batches_take_fresh(&pool->batches, frame_count, count - pool->loose_count, &first);
    while (taken > 0) {
        begin_gen(pool, first + --taken);
        jdb__pool_push_loose(pool, first + taken);
    }
    return pool->loose_count >= count;
}

/* ---- Revoking --------------------------------------------------------------------------------------------- */

/* After this barrier an owner either sees REVOKED, or had set `busy` before. */
static void make_barrier(const jdb_pool *pool)
{
    if (pool->has_membarrier)
        jdb__os_membarrier();
}

static bool is_busy(const struct pool_cache *cache)
{
    return atomic_load(&cache->busy) != 0;
}

/* Wait until the owner of a revoked cache is out of it. It is inside for some instructions, or preempted there. */
static void await_owner(struct pool_cache *cache)
{
    while (is_busy(cache))
        jdb__os_yield();
}

static void revoke(const jdb_pool *pool, struct pool_cache *cache)
{
    atomic_store(&cache->attention, pool->attention | ATTENTION_REVOKED);
}

static void unrevoke(const jdb_pool *pool, struct pool_cache *cache)
{
    atomic_store(&cache->attention, pool->attention);
}

static bool is_revoked(const struct pool_cache *cache)
{
    return (atomic_load_explicit(&cache->attention, memory_order_relaxed) & ATTENTION_REVOKED) != 0;
}

static void take_over(jdb_pool *pool, struct pool_cache *cache)
{
    await_owner(cache);
    loosen_cache(pool, cache);
}

/* Out of so many caches that their counts, as seen from here, suffice; one whose owner is inside may be about to get frames
 * that are on their way. */
static void steal(jdb_pool *pool, uint32_t count)
{
    JDB_ASSERT(pool->waiter_count == 0);
    uint64_t promised = pool->loose_count;
    bool has_victim = false;
    for (struct pool_cache *cache = pool->caches; cache != NULL && promised < count; cache = cache->next)
        if (is_busy(cache) || pool_cache_count(cache) > 0) {
            promised += pool_cache_count(cache);
            revoke(pool, cache);
            has_victim = true;
        }
    if (!has_victim)
        return;
    make_barrier(pool);
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        if (is_revoked(cache)) {
            take_over(pool, cache);
            unrevoke(pool, cache);
            pool->steal_count++;
        }
}

/* A victim may have used up what it promised before it was out, and frames may have gone from a cache to the shared ones
 * between the two looks. Only when all stand still it is known that there are too few. */
bool jdb__pool_loosen(jdb_pool *pool, uint32_t count)
{
    if (jdb__pool_loosen_shared(pool, count))
        return true;
    steal(pool, count);
    if (pool->loose_count >= count)
        return true;
    jdb__pool_revoke_all(pool);
    const bool is_enough = jdb__pool_loosen_shared(pool, count) || jdb__pool_loosen_aside(pool, count);
    jdb__pool_unrevoke_all(pool);
    return is_enough;
}

void jdb__pool_revoke_all(jdb_pool *pool)
{
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        revoke(pool, cache);
    make_barrier(pool);
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        take_over(pool, cache);
}

void jdb__pool_unrevoke_all(jdb_pool *pool)
{
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        unrevoke(pool, cache);
}

bool jdb__pool_is_revoked(const jdb_pool *pool)
{
    const struct pool_cache *cache = pool->caches;
    while (cache != NULL && is_revoked(cache) && pool_cache_count(cache) == 0)
        cache = cache->next;
    return cache == NULL;
}
