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
static _Thread_local struct pool_thread *registry_this_thread;

/* A pool of this process, in memory that no child finds wiped: what one pool lost must not hide another. */
struct registry_entry {
    jdb_pool *pool;
    struct registry_entry *next;
};

static struct lock registry_lock = LOCK_INIT(LOCK_POOLS);
static struct registry_entry *registry_pools;
static uint64_t registry_last_token;

static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static pthread_key_t registry_end_key;
static bool registry_has_end_key;

/* ---- Threads ---------------------------------------------------------------------------------------------- */

/* While anyone waits the cache is revoked, and empty. */
static void registry_return_cache(jdb_pool *pool, const struct pool_thread *thread)
{
    lock_take(&pool->lock);
    for (struct pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        if (cache->owner == thread) {
            JDB_ASSERT(!pool_cache_is_busy(cache)); /* F5 */
            jdb__free_empty_cache(pool, cache);
            cache->owner = NULL;
        }
    jdb__free_rebatch(pool);
    lock_release(&pool->lock);
}

static void registry_end_thread(void *context)
{
    lock_take(&registry_lock);
    for (const struct registry_entry *entry = registry_pools; entry != NULL; entry = entry->next)
        registry_return_cache(entry->pool, context);
    lock_release(&registry_lock);
    jdb__pool_last = (struct pool_slot)NO_SLOT;
    registry_this_thread = NULL;
    jdb__os_free(context);
}

struct pool_thread *jdb__pool_thread_here(void)
{
    if (registry_this_thread != NULL)
        return registry_this_thread;
    void *memory = NULL;
    if (jdb__os_alloc(sizeof(struct pool_thread), &memory) != 0)
        return NULL;
    if (pthread_setspecific(registry_end_key, memory) != 0) {
        jdb__os_free(memory);
        return NULL;
    }
    registry_this_thread = memory;
    return memory;
}

/* ---- fork() ----------------------------------------------------------------------------------------------- */

void jdb__pools_before_fork(void)
{
    pthread_mutex_lock(&registry_lock.mutex);
}

void jdb__pools_after_fork(void)
{
    pthread_mutex_unlock(&registry_lock.mutex);
}

/* Where the system did not wipe the pool. */
static void registry_disown(jdb_pool *pool)
{
    if (pool->token == 0)
        return;
    pool->token = 0;
    atomic_store(&pool->frame_count, 0); /* no handle is of a frame there, so a put comes to jdb__frame_refuse() */
}

void jdb__pools_in_child(void)
{
    while (registry_pools != NULL) {
        struct registry_entry *const entry = registry_pools;
        registry_pools = entry->next;
        registry_disown(entry->pool);
        jdb__os_free(entry);
    }
    if (registry_this_thread != NULL)
        registry_this_thread->served =
            NULL; /* a callback called fork(): frames of waiters behind it stayed with the parent */
}

/* ---- Pools ------------------------------------------------------------------------------------------------ */

static void registry_start(void)
{
    registry_has_end_key = jdb__fork_watch() == 0 && pthread_key_create(&registry_end_key, registry_end_thread) == 0;
}

static bool registry_has_pool_of(const jdb_arena *arena)
{
    const struct registry_entry *entry = registry_pools;
    while (entry != NULL && entry->pool->arena != arena)
        entry = entry->next;
    return entry != NULL;
}

/* Behind all handles of the last pool over this arena. Pools over different arenas, and one in a child of fork() whose
 * parent goes on with its own, start far apart. */
static uint32_t registry_gen_seed(const jdb_pool *pool)
{
    const uint32_t next = pool->arena->next_gen;
    if (next > 0 && next <= FRAME_GEN_SEED_MAX && atomic_load(&pool->arena->pool_mark) == 0)
        return next;
    return (uint32_t)registry_last_token * GEN_SEED_STEP % FRAME_GEN_SEED_MAX + 1;
}

/* The last generation of any frame of a pool that is freed, where none is lent. A frame that was set aside had them all. */
static uint32_t registry_last_gen(const jdb_pool *pool)
{
    uint32_t last = pool->aside.count > 0 ? FRAME_GEN_SEED_MAX : 0;
    const uint32_t frame_count = pool_frame_count(pool);
    for (uint32_t i = 0; i < frame_count; i++) {
        JDB_ASSERT(!frame_is_lent(&pool->frames, i));
        last = (uint32_t)bits_max(last, frame_gen(&pool->frames, i));
    }
    return last;
}

/* Under the registry's lock. */
static void registry_enter(jdb_pool *pool, struct registry_entry *entry)
{
    pool->token = ++registry_last_token;
    pool->slot = (uint32_t)(pool->token % CACHE_SLOTS);
    pool->gen_seed = registry_gen_seed(pool);
    *entry = (struct registry_entry){pool, registry_pools};
    registry_pools = entry;
    atomic_store(&pool->arena->pool_mark, jdb__fork_mark());
    JDB_ASSERT(pool->token != 0 && pool->token != NO_TOKEN);
}

int jdb__pool_register(jdb_pool *pool)
{
    void *entry = NULL;
    pthread_once(&registry_once, registry_start);
    if (!registry_has_end_key || jdb__os_alloc(sizeof(struct registry_entry), &entry) != 0)
        return -ENOMEM;
    lock_take(&registry_lock);
    const bool is_first = !registry_has_pool_of(pool->arena);
    if (is_first)
        registry_enter(pool, entry);
    lock_release(&registry_lock);
    if (is_first)
        return 0;
    jdb__os_free(entry);
    return -EBUSY;
}

void jdb__pool_unregister(jdb_pool *pool)
{
    lock_take(&registry_lock);
    struct registry_entry **link = &registry_pools;
    while ((*link)->pool != pool)
        link = &(*link)->next;
    struct registry_entry *const entry = *link;
    *link = entry->next;
    pool->arena->next_gen = registry_last_gen(pool) + 1;
    atomic_store(&pool->arena->pool_mark, 0);
    lock_release(&registry_lock);
    jdb__os_free(entry);
    while (pool->caches != NULL) {
        struct pool_cache *const cache = pool->caches;
        pool->caches = cache->next;
        jdb__os_free(cache->memory);
    }
}
