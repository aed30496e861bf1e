/* SPDX-License-Identifier: MIT
 *
 * registry.c - all pools of this process, and the threads that use them: what the end of a thread and fork() need.
 */
#include "pool/state.h"

#include "arena/arena_internal.h"
#include "base/bits.h"
#include "os/fork_mark.h"
#include "os/os.h"

#define NO_TOKEN UINT64_MAX /* no pool has it; 0 a pool has in a child of fork() */
#define NO_SLOT           \
    {                     \
        .token = NO_TOKEN \
    }
#define GEN_SEED_STEP 0x9e3779b1u /* odd, and far from small multiples of itself */

_Thread_local struct pool_slot jdb__pool_last = NO_SLOT;

/* NULL before the calling thread's first slow call. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local struct pool_thread *pools_this_thread;

/* A pool of this process, in memory that no child finds wiped: what one pool lost must not hide another. */
struct pools_entry {
    jdb_pool *pool;
    struct pools_entry *next;
};

static struct lock pools_lock = LOCK_INIT(LOCK_POOLS);
static struct pools_entry *pools_first; /* in the order of their slots */
static uint64_t pools_last_token;

static pthread_once_t pools_once = PTHREAD_ONCE_INIT;
static pthread_key_t pools_end_key;
static bool pools_has_end_key;

/* ---- Threads ---------------------------------------------------------------------------------------------- */

/* While anyone waits the cache is revoked, and empty. */
static void pools_return_cache(jdb_pool *pool, struct pool_cache *cache)
{
    lock_take(&pool->lock);
    JDB_ASSERT(!pool_cache_is_busy(cache) && cache->owner != NULL); /* F5 */
    jdb__free_empty_cache(pool, cache);
    cache->owner = NULL;
    cache->next_unowned = pool->unowned;
    pool->unowned = cache;
    jdb__free_rebatch(pool);
    lock_release(&pool->lock);
}

/* Only the pools that live are looked at, in the order of their slots; not the caches of other threads. */
static void pools_end_thread(void *context)
{
    struct pool_thread *const thread = context;
    lock_take(&pools_lock);
    for (const struct pools_entry *entry = pools_first; entry != NULL && entry->pool->slot < thread->slot_count;
         entry = entry->next) {
        const struct pool_slot *const slot = &thread->slots[entry->pool->slot];
        if (slot->token == entry->pool->token)
            pools_return_cache(entry->pool, slot->cache);
    }
    lock_release(&pools_lock);
    jdb__pool_last = (struct pool_slot)NO_SLOT;
    pools_this_thread = NULL;
    jdb__os_free(thread->slots);
    jdb__os_free(thread);
}

struct pool_thread *jdb__pool_thread_here(void)
{
    if (pools_this_thread != NULL)
        return pools_this_thread;
    void *memory = NULL;
    if (jdb__os_alloc(sizeof(struct pool_thread), &memory) != 0)
        return NULL;
    if (pthread_setspecific(pools_end_key, memory) != 0) {
        jdb__os_free(memory);
        return NULL;
    }
    pools_this_thread = memory;
    return memory;
}

struct pool_slot *jdb__pool_thread_slot(struct pool_thread *thread, const jdb_pool *pool)
{
    if (pool->slot < thread->slot_count)
        return &thread->slots[pool->slot];
    void *memory = NULL;
    const uint32_t slot_count = (uint32_t)bits_max(SLOTS_MIN, bits_round_up((uint64_t)pool->slot + 1, SLOTS_MIN) * 2);
    if (jdb__os_alloc(slot_count * sizeof(struct pool_slot), &memory) != 0)
        return NULL;
    if (thread->slot_count > 0)
        memcpy(memory, thread->slots, thread->slot_count * sizeof(struct pool_slot));
    jdb__os_free(thread->slots);
    thread->slots = memory;
    thread->slot_count = slot_count;
    return &thread->slots[pool->slot];
}

/* ---- fork() ----------------------------------------------------------------------------------------------- */

void jdb__pools_before_fork(void)
{
    pthread_mutex_lock(&pools_lock.mutex);
}

void jdb__pools_after_fork(void)
{
    pthread_mutex_unlock(&pools_lock.mutex);
}

/* Where the system did not wipe the pool. */
static void pools_disown(jdb_pool *pool)
{
    if (pool->token == 0)
        return;
    pool->token = 0;
    atomic_store(&pool->frame_count, 0); /* no handle is of a frame there, so a put comes to jdb__frame_refuse() */
}

void jdb__pools_in_child(void)
{
    while (pools_first != NULL) {
        struct pools_entry *const entry = pools_first;
        pools_first = entry->next;
        pools_disown(entry->pool);
        jdb__os_free(entry);
    }
    /* Where a callback called fork(), the frames of waiters behind it stayed with the parent. */
    if (pools_this_thread != NULL)
        pools_this_thread->served = NULL;
}

/* ---- Pools ------------------------------------------------------------------------------------------------ */

static void pools_start(void)
{
    pools_has_end_key = jdb__fork_watch() == 0 && pthread_key_create(&pools_end_key, pools_end_thread) == 0;
}

static bool pools_has_pool_of(const jdb_arena *arena)
{
    const struct pools_entry *entry = pools_first;
    while (entry != NULL && entry->pool->arena != arena)
        entry = entry->next;
    return entry != NULL;
}

/* Behind all handles of the last pool over this arena. Pools over different arenas, and one in a child of fork() whose
 * parent goes on with its own, start far apart. */
static uint32_t pools_gen_seed(const jdb_pool *pool)
{
    const uint32_t next = pool->arena->next_gen;
    if (next > 0 && next <= FRAME_GEN_SEED_MAX && atomic_load(&pool->arena->pool_mark) == 0)
        return next;
    return (uint32_t)pools_last_token * GEN_SEED_STEP % FRAME_GEN_SEED_MAX + 1;
}

/* The last generation of any frame of a pool that is freed, or of those before it, where none is lent. A frame that was set aside
 * had them all. */
static uint32_t pools_last_gen(const jdb_pool *pool)
{
    uint32_t last = pool->aside.count > 0 ? FRAME_GEN_SEED_MAX : pool->gen_seed - 1;
    const uint32_t used_count = pool_used_count(pool);
    for (uint32_t i = 0; i < used_count; i++) {
        JDB_ASSERT(!frame_is_lent(&pool->frames, i));
        last = (uint32_t)bits_max(last, frame_gen(&pool->frames, i));
    }
    return last;
}

/* Under the registry's lock. The pool gets the lowest slot that no other has. */
static void pools_enter(jdb_pool *pool, struct pools_entry *entry)
{
    struct pools_entry **link = &pools_first;
    for (; *link != NULL && (*link)->pool->slot == pool->slot; link = &(*link)->next)
        pool->slot++;
    pool->token = ++pools_last_token;
    pool->gen_seed = pools_gen_seed(pool);
    *entry = (struct pools_entry){pool, *link};
    *link = entry;
    atomic_store(&pool->arena->pool_mark, jdb__fork_mark());
    JDB_ASSERT(pool->token != 0 && pool->token != NO_TOKEN);
}

int jdb__pool_register(jdb_pool *pool)
{
    void *entry = NULL;
    pthread_once(&pools_once, pools_start);
    if (!pools_has_end_key || jdb__os_alloc(sizeof(struct pools_entry), &entry) != 0)
        return -ENOMEM;
    lock_take(&pools_lock);
    const bool is_first = !pools_has_pool_of(pool->arena);
    if (is_first)
        pools_enter(pool, entry);
    lock_release(&pools_lock);
    if (is_first)
        return 0;
    jdb__os_free(entry);
    return -EBUSY;
}

void jdb__pool_unregister(jdb_pool *pool)
{
    lock_take(&pools_lock);
    struct pools_entry **link = &pools_first;
    while ((*link)->pool != pool)
        link = &(*link)->next;
    struct pools_entry *const entry = *link;
    *link = entry->next;
    pool->arena->next_gen = pools_last_gen(pool) + 1;
    atomic_store(&pool->arena->pool_mark, 0);
    lock_release(&pools_lock);
    jdb__os_free(entry);
    while (pool->caches != NULL) {
        struct pool_cache *const cache = pool->caches;
        pool->caches = cache->next;
        jdb__os_free(cache->memory);
    }
}
