/* SPDX-License-Identifier: MIT
 *
 * buffer_pool.c - the buffer pool of a storage engine in one file: pages pinned while in use, CLOCK eviction, dirty pages
 * written back, all frames out of one arena, and a file that is read and written directly.
 *
 *     buffer_pool PATH [FRAMES [OPERATIONS]]
 *
 * Threads read and write random pages of a file ten times the size of the pool. At the end every page of the file is
 * read again and compared with what was last written to it. The file is made and removed.
 *
 * What the library does here: the arena gives frames that direct I/O can use, the pool lends them and detects a frame that
 * is put twice, the file pins a frame while the kernel may access it, so that a put during I/O would be -EBUSY.
 */
#include <jdb_alloc.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES 16384u
#define THREADS 4u
#define PAGES_PER_FRAME 10u
#define NOWHERE UINT32_MAX

/* The content of a page: its number and version, repeated to its end. */
struct stamp {
    uint64_t page;
    uint64_t version;
};

/* What frame i holds. Guarded by the lock of the cache, but for the content, which its latch guards. */
struct slot {
    jdb_frame frame;
    uint32_t page;
    uint32_t users;     /* a page in use is not evicted */
    bool is_dirty;      /* newer than the file */
    bool is_referenced; /* used since the hand of the clock passed */
    bool in_flight;     /* between memory and file */
    pthread_mutex_t latch;
};

struct cache {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_file *file;
    struct slot *slots; /* by index of frame */
    uint32_t slot_count;
    uint32_t hand;      /* of the clock */
    uint32_t *where;    /* by page: its slot, or NOWHERE */
    uint64_t *versions; /* by page: the last one written, guarded by the latch of the page */
    uint32_t page_count;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a slot is not in flight any more, or lost a user */
    uint64_t hit_count;
    uint64_t read_count;
    uint64_t write_count;
};

static void must(int err, const char *what)
{
    if (err == 0)
        return;
    fprintf(stderr, "buffer_pool: %s: %s\n", what, jdb_strerror(err));
    exit(1);
}

/* ---- Pages ------------------------------------------------------------------------------------------------ */

static void fill_page(uint8_t *bytes, uint64_t page, uint64_t version)
{
    const struct stamp stamp = {page, version};
    for (size_t i = 0; i < PAGE_BYTES; i += sizeof stamp)
        memcpy(bytes + i, &stamp, sizeof stamp);
}

static void check_page(const uint8_t *bytes, uint64_t page, uint64_t version)
{
    for (size_t i = 0; i < PAGE_BYTES; i += sizeof(struct stamp)) {
        struct stamp stamp;
        memcpy(&stamp, bytes + i, sizeof stamp);
        if (stamp.page == page && stamp.version == version)
            continue;
        fprintf(stderr,
                "buffer_pool: byte %zu of page %" PRIu64 ": wanted version %" PRIu64 ", found %" PRIu64 " of %" PRIu64
                "\n",
                i, page, version, stamp.version, stamp.page);
        exit(1);
    }
}

static int64_t offset_of(uint32_t page)
{
    return (int64_t)page * PAGE_BYTES;
}

static void read_page(struct cache *cache, jdb_frame frame, uint32_t page)
{
    jdb_raw view = jdb_pool_view(cache->pool, frame);
    must(jdb_file_read_full(cache->file, &view, offset_of(page), NULL), "reading a page");
}

static void write_page(struct cache *cache, jdb_frame frame, uint32_t page)
{
    const jdb_raw view = jdb_raw_with_len(jdb_pool_view(cache->pool, frame), PAGE_BYTES);
    must(jdb_file_write_full(cache->file, view, offset_of(page), NULL), "writing a page");
}

/* ---- Eviction, under the cache's lock --------------------------------------------------------------------- */

/* The hand goes round: a page in use stays, one that was used since it passed gets another round. Two rounds find a page
 * unless all are in use. */
static struct slot *find_victim(struct cache *cache)
{
    for (uint32_t step = 0; step < 2 * cache->slot_count; step++) {
        struct slot *const slot = &cache->slots[cache->hand];
        cache->hand = (cache->hand + 1) % cache->slot_count;
        if (slot->page == NOWHERE || slot->users > 0 || slot->in_flight)
            continue;
        if (!slot->is_referenced)
            return slot;
        slot->is_referenced = false;
    }
    return NULL;
}

/* Write a page back; the lock is released meanwhile. Its latch keeps writers of the page away. */
static void clean(struct cache *cache, struct slot *slot)
{
    slot->in_flight = true;
    slot->is_dirty = false;
    pthread_mutex_unlock(&cache->lock);
    pthread_mutex_lock(&slot->latch);
    write_page(cache, slot->frame, slot->page);
    pthread_mutex_unlock(&slot->latch);
    pthread_mutex_lock(&cache->lock);
    slot->in_flight = false;
    cache->write_count++;
    pthread_cond_broadcast(&cache->changed);
}

/* Put one frame, or clean one for the next try, or wait until a page is not in use. */
static void evict(struct cache *cache)
{
    struct slot *const slot = find_victim(cache);
    if (slot == NULL) {
        pthread_cond_wait(&cache->changed, &cache->lock);
    } else if (slot->is_dirty) {
        clean(cache, slot);
    } else {
        cache->where[slot->page] = NOWHERE;
        slot->page = NOWHERE;
        must(jdb_pool_put(cache->pool, slot->frame), "putting a frame");
    }
}

/* ---- Use of pages ----------------------------------------------------------------------------------------- */

/* Load a page into a frame just got; the lock is released meanwhile, and others who want the page wait. */
static struct slot *load(struct cache *cache, jdb_frame frame, uint32_t page)
{
    struct slot *const slot = &cache->slots[frame.index];
    slot->frame = frame;
    slot->page = page;
    slot->users = 1;
    slot->is_dirty = false;
    slot->in_flight = true;
    cache->where[page] = frame.index;
    pthread_mutex_unlock(&cache->lock);
    read_page(cache, frame, page);
    pthread_mutex_lock(&cache->lock);
    slot->in_flight = false;
    cache->read_count++;
    pthread_cond_broadcast(&cache->changed);
    return slot;
}

/* The slot of a page, in use from now on and latched. */
static struct slot *use(struct cache *cache, uint32_t page)
{
    struct slot *slot = NULL;
    pthread_mutex_lock(&cache->lock);
    while (slot == NULL) {
        jdb_frame frame;
        if (cache->where[page] != NOWHERE) {
            slot = &cache->slots[cache->where[page]];
            slot->users++;
            cache->hit_count++;
            while (slot->in_flight)
                pthread_cond_wait(&cache->changed, &cache->lock);
        } else if (jdb_pool_get(cache->pool, &frame) == 0) {
            slot = load(cache, frame, page);
        } else {
            evict(cache);
        }
    }
    slot->is_referenced = true;
    pthread_mutex_unlock(&cache->lock);
    pthread_mutex_lock(&slot->latch);
    return slot;
}

static void release(struct cache *cache, struct slot *slot, bool was_changed)
{
    pthread_mutex_unlock(&slot->latch);
    pthread_mutex_lock(&cache->lock);
    slot->is_dirty = slot->is_dirty || was_changed;
    if (--slot->users == 0)
        pthread_cond_broadcast(&cache->changed);
    pthread_mutex_unlock(&cache->lock);
}

/* ---- Make and close --------------------------------------------------------------------------------------- */

static void *zeroed(size_t count, size_t size)
{
    void *const memory = calloc(count, size);
    must(memory == NULL ? -ENOMEM : 0, "tables");
    return memory;
}

static void open_file(struct cache *cache, const char *path)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE;
    const int err = jdb_file_open(path, &options, &report, &cache->file);
    if (err != 0)
        fprintf(stderr, "%s\n", report.text);
    must(err, path);
    printf("%s: %s\n", path, jdb_file_mode_name(jdb_file_read_mode(cache->file)));
}

static void make(struct cache *cache, const char *path, uint32_t frame_count)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = PAGE_BYTES;
    options.frame_count = frame_count;
    *cache = (struct cache){.slot_count = frame_count, .page_count = frame_count * PAGES_PER_FRAME};
    must(jdb_arena_new(&options, &cache->arena), "arena");
    must(jdb_pool_new(cache->arena, NULL, &cache->pool), "pool");
    open_file(cache, path);
    cache->slots = zeroed(frame_count, sizeof *cache->slots);
    cache->where = zeroed(cache->page_count, sizeof *cache->where);
    cache->versions = zeroed(cache->page_count, sizeof *cache->versions);
    pthread_mutex_init(&cache->lock, NULL);
    pthread_cond_init(&cache->changed, NULL);
    for (uint32_t i = 0; i < frame_count; i++) {
        cache->slots[i].page = NOWHERE;
        pthread_mutex_init(&cache->slots[i].latch, NULL);
    }
    jdb_frame frame;
    must(jdb_pool_get(cache->pool, &frame), "a frame to begin with");
    for (uint32_t page = 0; page < cache->page_count; page++) {
        cache->where[page] = NOWHERE;
        fill_page(frame.ptr, page, 0);
        write_page(cache, frame, page);
    }
    must(jdb_pool_put(cache->pool, frame), "putting it");
}

/* No thread uses a page any more. */
static void flush(struct cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    for (uint32_t i = 0; i < cache->slot_count; i++) {
        struct slot *const slot = &cache->slots[i];
        if (slot->page == NOWHERE)
            continue;
        if (slot->is_dirty)
            clean(cache, slot);
        cache->where[slot->page] = NOWHERE;
        slot->page = NOWHERE;
        must(jdb_pool_put(cache->pool, slot->frame), "putting a frame");
    }
    pthread_mutex_unlock(&cache->lock);
    must(jdb_file_sync(cache->file, JDB_FILE_DURABLE_DATA), "sync");
}

static void verify(struct cache *cache)
{
    jdb_frame frame;
    must(jdb_pool_get(cache->pool, &frame), "a frame to verify with");
    for (uint32_t page = 0; page < cache->page_count; page++) {
        memset(frame.ptr, 0xff, PAGE_BYTES);
        read_page(cache, frame, page);
        check_page(frame.ptr, page, cache->versions[page]);
    }
    must(jdb_pool_put(cache->pool, frame), "putting it");
}

/* In the order that undoes make(): what a frame is lent for, the pool, the arena. */
static void close_all(struct cache *cache)
{
    must(jdb_file_close(cache->file), "close");
    must(jdb_pool_free(cache->pool), "closing the pool: frames are lent");
    must(jdb_arena_free(cache->arena), "freeing the arena");
    for (uint32_t i = 0; i < cache->slot_count; i++)
        pthread_mutex_destroy(&cache->slots[i].latch);
    free(cache->slots);
    free(cache->where);
    free(cache->versions);
}

/* ---- Work ------------------------------------------------------------------------------------------------- */

struct worker {
    struct cache *cache;
    uint64_t operations;
    uint64_t random;
};

/* xorshift64. Source: Marsaglia, "Xorshift RNGs", 2003. */
static uint32_t random_below(struct worker *me, uint32_t bound)
{
    me->random ^= me->random << 13;
    me->random ^= me->random >> 7;
    me->random ^= me->random << 17;
    return (uint32_t)(me->random >> 32) % bound;
}

/* Half of the uses change the page; half fall on a tenth of the pages, as much as the pool holds. */
static void *work(void *context)
{
    struct worker *const me = context;
    struct cache *const cache = me->cache;
    for (uint64_t i = 0; i < me->operations; i++) {
        const uint32_t range = random_below(me, 2) == 0 ? cache->slot_count : cache->page_count;
        const uint32_t page = random_below(me, range);
        const bool writes = random_below(me, 2) == 0;
        struct slot *const slot = use(cache, page);
        check_page(slot->frame.ptr, page, cache->versions[page]);
        if (writes)
            fill_page(slot->frame.ptr, page, ++cache->versions[page]);
        release(cache, slot, writes);
    }
    return NULL;
}

static void run_workers(struct cache *cache, uint64_t operations)
{
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){cache, operations / THREADS, 88172645463325252u + i};
        must(-pthread_create(&threads[i], NULL, work, &workers[i]), "thread");
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    const unsigned long frame_count = argc > 2 ? strtoul(argv[2], NULL, 10) : 256;
    const unsigned long operations = argc > 3 ? strtoul(argv[3], NULL, 10) : 20000;
    if (argc < 2 || frame_count < 2 * THREADS || frame_count > 1000000) {
        fprintf(stderr, "usage: buffer_pool PATH [FRAMES [OPERATIONS]]\n");
        return 2;
    }
    struct cache cache;
    make(&cache, argv[1], (uint32_t)frame_count);
    run_workers(&cache, operations);
    flush(&cache);
    verify(&cache);
    printf("%lu uses: %" PRIu64 " hits, %" PRIu64 " pages read, %" PRIu64 " written back; %" PRIu32 " pages verified\n",
           operations, cache.hit_count, cache.read_count, cache.write_count, cache.page_count);
    close_all(&cache);
    unlink(argv[1]);
    return 0;
}
