/* SPDX-License-Identifier: MIT
 *
 * pcache.c - a page cache of SQLite whose pages are frames of a jdb_pool: aligned, so that the VFS "jdb" moves them without a copy.
 *
 *     LD_PRELOAD=./sqlite-jdb-pcache.so sqlite3 ...      or link it: it registers itself before main()
 *
 * One pool for each page size serves all caches of the process. What SQLite wants to know of a page, and the links of its cache, are
 * in the frame's own memory of the caller (jdb_pool_user()). A pinned page is in the hash of its cache alone; an unpinned one is in the
 * list too, which goes from the page unpinned last to the one unpinned first, and is reused from there.
 *
 * SQLite calls one cache from one thread at a time, and different ones at once: the pools are all that caches share.
 */
#include <jdb_alloc.h>

#include <sqlite3.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_SIZE_MIN 512u
#define SIZE_COUNT 8u  /* 512 bytes to 64 KiB */
#define USER_SIZE 384u /* bytes of a frame's own memory: struct page, and what SQLite keeps with a page: 220 in 3.40 */
#define GROW_SIZE (1u << 20)  /* bytes by which a pool grows */
#define FREE_FRAMES_KEPT 256u /* of a pool, when many pages are freed at once */
#define FRAME_COUNT_MAX (1u << 24)
#define BUCKET_COUNT_MIN 256u

/* ---- Pools -------------------------------------------------------------------------------------------------- */

struct page {
    sqlite3_pcache_page parent;
    struct page *next_in_bucket;
    struct page *newer; /* of the list of the cache; NULL: pinned */
    struct page *older;
    jdb_frame frame;
    unsigned key;
};

static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static jdb_pool *pools[SIZE_COUNT]; /* of page size PAGE_SIZE_MIN << index; never freed */

/* As many frames as the machine has memory for: addresses, not memory. */
static uint32_t pool_frame_max(uint64_t page_size)
{
    const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t count = memory / page_size;
    return count < FRAME_COUNT_MAX ? (uint32_t)count : FRAME_COUNT_MAX;
}

static jdb_pool *pool_new(uint32_t page_size)
{
    jdb_arena *arena = NULL;
    jdb_pool *pool = NULL;
    jdb_arena_options arena_options = JDB_ARENA_OPTIONS_INIT;
    arena_options.frame_size = page_size;
    arena_options.frame_align = page_size < JDB_ALIGNMENT ? page_size : JDB_ALIGNMENT;
    arena_options.max_frame_count = pool_frame_max(page_size);
    jdb_pool_options pool_options = JDB_POOL_OPTIONS_INIT;
    pool_options.user_size = USER_SIZE;
    pool_options.grow_frames = GROW_SIZE / page_size;
    if (jdb_arena_new(&arena_options, &arena) != 0)
        return NULL;
    if (jdb_pool_new(arena, &pool_options, &pool) != 0)
        (void)jdb_arena_free(arena);
    return pool;
}

/* NULL: no memory, or no page size of SQLite. */
static jdb_pool *pool_of(uint32_t page_size)
{
    uint32_t index = 0;
    while (index < SIZE_COUNT && PAGE_SIZE_MIN << index != page_size)
        index++;
    if (index == SIZE_COUNT)
        return NULL;
    pthread_mutex_lock(&pools_lock);
    if (pools[index] == NULL)
        pools[index] = pool_new(page_size);
    jdb_pool *const pool = pools[index];
    pthread_mutex_unlock(&pools_lock);
    return pool;
}

/* ---- A cache ------------------------------------------------------------------------------------------------ */

struct cache {
    jdb_pool *pool;
    bool is_purgeable; /* else no page is ever reused unless SQLite discards it */
    unsigned page_max; /* as SQLite asks for; more may be pinned */
    unsigned page_count;
    unsigned pinned_count;
    unsigned key_max; /* of all pages that were ever in it */
    struct page list; /* its end: older is the page unpinned last, newer the one unpinned first */
    struct page **buckets;
    unsigned bucket_count; /* a power of two */
};

static struct cache *cache_of(sqlite3_pcache *handle)
{
    return (struct cache *)(void *)handle;
}

static struct page *page_of(sqlite3_pcache_page *page)
{
    return (struct page *)(void *)page;
}

static struct page **cache_bucket(const struct cache *cache, unsigned key)
{
    return &cache->buckets[key & (cache->bucket_count - 1)];
}

static struct page *cache_find(const struct cache *cache, unsigned key)
{
    struct page *page = *cache_bucket(cache, key);
    while (page != NULL && page->key != key)
        page = page->next_in_bucket;
    return page;
}

static void cache_link(struct cache *cache, struct page *page)
{
    struct page **const bucket = cache_bucket(cache, page->key);
    page->next_in_bucket = *bucket;
    *bucket = page;
}

static void cache_unlink(struct cache *cache, const struct page *page)
{
    struct page **link = cache_bucket(cache, page->key);
    while (*link != page)
        link = &(*link)->next_in_bucket;
    *link = page->next_in_bucket;
}

/* Twice the buckets; without memory for them the chains get longer. */
static void cache_grow(struct cache *cache)
{
    struct cache grown = *cache;
    grown.bucket_count = cache->bucket_count * 2;
    grown.buckets = calloc(grown.bucket_count, sizeof(struct page *));
    if (grown.buckets == NULL)
        return;
    for (unsigned i = 0; i < cache->bucket_count; i++) {
        while (cache->buckets[i] != NULL) {
            struct page *const page = cache->buckets[i];
            cache->buckets[i] = page->next_in_bucket;
            cache_link(&grown, page);
        }
    }
    free(cache->buckets);
    cache->buckets = grown.buckets;
    cache->bucket_count = grown.bucket_count;
}

/* ---- Pinned and unpinned ------------------------------------------------------------------------------------ */

static void page_pin(struct cache *cache, struct page *page)
{
    page->newer->older = page->older;
    page->older->newer = page->newer;
    page->newer = NULL;
    page->older = NULL;
    cache->pinned_count++;
}

static void page_unpin(struct cache *cache, struct page *page)
{
    page->newer = &cache->list;
    page->older = cache->list.older;
    page->older->newer = page;
    cache->list.older = page;
    cache->pinned_count--;
}

/* The page unpinned first; NULL: all are pinned. */
static struct page *cache_oldest(const struct cache *cache)
{
    return cache->list.newer != &cache->list ? cache->list.newer : NULL;
}

/* Out of the cache, pinned or not. */
static void cache_free_page(struct cache *cache, struct page *page)
{
    if (page->newer != NULL)
        page_pin(cache, page);
    cache_unlink(cache, page);
    cache->pinned_count--;
    cache->page_count--;
    (void)jdb_pool_put(cache->pool, page->frame);
}

/* Free the pages unpinned first until no more than page_max are left, or all are pinned. */
static void cache_evict(struct cache *cache, unsigned page_max)
{
    const unsigned before = cache->page_count;
    struct page *page = NULL;
    while (cache->page_count > page_max && (page = cache_oldest(cache)) != NULL)
        cache_free_page(cache, page);
    if (before - cache->page_count > FREE_FRAMES_KEPT)
        (void)jdb_pool_trim(cache->pool, FREE_FRAMES_KEPT, NULL);
}

/* ---- Pages -------------------------------------------------------------------------------------------------- */

static struct page *page_new(jdb_pool *pool)
{
    jdb_frame frame;
    if (jdb_pool_get(pool, &frame) != 0)
        return NULL;
    struct page *const page = jdb_pool_user(pool, frame.index);
    page->frame = frame;
    page->parent.pBuf = frame.ptr;
    page->parent.pExtra = page + 1;
    return page;
}

/* The frame of the page unpinned first, for another page. */
static struct page *cache_reuse(struct cache *cache)
{
    struct page *const page = cache_oldest(cache);
    if (page == NULL)
        return NULL;
    page_pin(cache, page);
    cache_unlink(cache, page);
    cache->pinned_count--;
    cache->page_count--;
    return page;
}

static struct page *cache_add(struct cache *cache, unsigned key)
{
    struct page *page = NULL;
    if (cache->is_purgeable && cache->page_count >= cache->page_max)
        page = cache_reuse(cache);
    if (page == NULL)
        page = page_new(cache->pool);
    if (page == NULL && cache->is_purgeable)
        page = cache_reuse(cache);
    if (page == NULL)
        return NULL;
    if (cache->page_count >= cache->bucket_count)
        cache_grow(cache);
    page->key = key;
    cache->key_max = key > cache->key_max ? key : cache->key_max;
    page->newer = NULL;
    page->older = NULL;
    memset(page->parent.pExtra, 0, USER_SIZE - sizeof *page);
    cache_link(cache, page);
    cache->pinned_count++;
    cache->page_count++;
    return page;
}

/* ---- The methods of SQLite ---------------------------------------------------------------------------------- */

static int cache_init(void *argument)
{
    (void)argument;
    return SQLITE_OK;
}

static void cache_shutdown(void *argument)
{
    (void)argument;
}

static sqlite3_pcache *cache_create(int page_size, int extra_size, int is_purgeable)
{
    if (extra_size < 0 || (size_t)extra_size > USER_SIZE - sizeof(struct page))
        return NULL;
    struct cache *const cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    cache->pool = pool_of((uint32_t)page_size);
    cache->is_purgeable = is_purgeable != 0;
    cache->list.newer = &cache->list;
    cache->list.older = &cache->list;
    cache->bucket_count = BUCKET_COUNT_MIN;
    cache->buckets = calloc(cache->bucket_count, sizeof(struct page *));
    if (cache->pool != NULL && cache->buckets != NULL)
        return (sqlite3_pcache *)(void *)cache;
    free(cache->buckets);
    free(cache);
    return NULL;
}

static void cache_set_max(sqlite3_pcache *handle, int page_max)
{
    struct cache *const cache = cache_of(handle);
    cache->page_max = page_max > 0 ? (unsigned)page_max : 0;
    if (cache->is_purgeable)
        cache_evict(cache, cache->page_max);
}

static int cache_count(sqlite3_pcache *handle)
{
    return (int)cache_of(handle)->page_count;
}

/* create: 0: only what is there, 1: not if that would pin nearly all, so that SQLite writes dirty pages first; 2: if at all possible. */
static sqlite3_pcache_page *cache_fetch(sqlite3_pcache *handle, unsigned key, int create)
{
    struct cache *const cache = cache_of(handle);
    struct page *page = cache_find(cache, key);
    if (page != NULL && page->newer != NULL)
        page_pin(cache, page);
    if (page != NULL || create == 0)
        return (sqlite3_pcache_page *)page;
    if (create == 1 && cache->is_purgeable && cache->pinned_count >= cache->page_max - cache->page_max / 10)
        return NULL;
    return (sqlite3_pcache_page *)cache_add(cache, key);
}

static void cache_unpin(sqlite3_pcache *handle, sqlite3_pcache_page *view, int is_discarded)
{
    struct cache *const cache = cache_of(handle);
    struct page *const page = page_of(view);
    if (is_discarded != 0 || (cache->is_purgeable && cache->page_count > cache->page_max))
        cache_free_page(cache, page);
    else
        page_unpin(cache, page);
}

/* What had the new key is gone. */
static void cache_rekey(sqlite3_pcache *handle, sqlite3_pcache_page *view, unsigned old_key, unsigned new_key)
{
    struct cache *const cache = cache_of(handle);
    struct page *const page = page_of(view);
    struct page *const other = cache_find(cache, new_key);
    (void)old_key;
    if (other == page)
        return;
    if (other != NULL)
        cache_free_page(cache, other);
    cache_unlink(cache, page);
    page->key = new_key;
    cache->key_max = new_key > cache->key_max ? new_key : cache->key_max;
    cache_link(cache, page);
}

/* Pages from first_key on go, pinned or not. */
static void cache_truncate(sqlite3_pcache *handle, unsigned first_key)
{
    struct cache *const cache = cache_of(handle);
    const unsigned before = cache->page_count;
    if (first_key > cache->key_max)
        return;
    for (unsigned i = 0; i < cache->bucket_count && cache->page_count != 0; i++) {
        struct page *page = cache->buckets[i];
        while (page != NULL) {
            struct page *const next = page->next_in_bucket;
            if (page->key >= first_key)
                cache_free_page(cache, page);
            page = next;
        }
    }
    if (before - cache->page_count > FREE_FRAMES_KEPT)
        (void)jdb_pool_trim(cache->pool, FREE_FRAMES_KEPT, NULL);
}

static void cache_destroy(sqlite3_pcache *handle)
{
    struct cache *const cache = cache_of(handle);
    cache_truncate(handle, 0);
    free(cache->buckets);
    free(cache);
}

static void cache_shrink(sqlite3_pcache *handle)
{
    cache_evict(cache_of(handle), 0);
    (void)jdb_pool_trim(cache_of(handle)->pool, 0, NULL);
}

static const sqlite3_pcache_methods2 cache_methods = {
    .iVersion = 1,
    .xInit = cache_init,
    .xShutdown = cache_shutdown,
    .xCreate = cache_create,
    .xCachesize = cache_set_max,
    .xPagecount = cache_count,
    .xFetch = cache_fetch,
    .xUnpin = cache_unpin,
    .xRekey = cache_rekey,
    .xTruncate = cache_truncate,
    .xDestroy = cache_destroy,
    .xShrink = cache_shrink,
};

/* ---- Registration ------------------------------------------------------------------------------------------- */

static int registered = SQLITE_MISUSE;

/* When the object is loaded, as SQLite takes a page cache only before its first use. */
__attribute__((constructor)) static void cache_register(void)
{
    registered = sqlite3_config(SQLITE_CONFIG_PCACHE2, &cache_methods);
}

/* jdb_sqlite_pcache - SQLITE_OK: the page cache is SQLite's; SQLITE_MISUSE: SQLite was in use when the object was loaded. */
__attribute__((visibility("default"))) int jdb_sqlite_pcache(void);

int jdb_sqlite_pcache(void)
{
    return registered;
}
