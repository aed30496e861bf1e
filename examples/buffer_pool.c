/* SPDX-License-Identifier: MIT
 *
 * buffer_pool.c - the buffer pool of a storage engine in one file: pages pinned while in use, CLOCK eviction, dirty pages
 * written back in runs by io_uring, all frames out of one arena, and a file that is read and written directly.
 *
 *     buffer_pool PATH [FRAMES [OPERATIONS]]
 *
 * Threads use random pages of a file ten times the size of the pool. At the end every page is read again and compared with
 * what was last written to it. The file is made and removed.
 *
 * From the library: frames for direct I/O, registered with the ring of each thread; the program's own state beside each frame;
 * an evicted frame made a new one in one call, and pinned while the kernel may access it.
 */
#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>
#include <inttypes.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 16384u
#define THREADS 4u
#define PAGES_PER_FRAME 10u
#define RUN_PAGES 16u   /* most neighbouring pages of a write */
#define RUN_COUNT 4u    /* writes that a thread has in flight */
#define LOOK_AHEAD 256u /* slots looked over for dirty pages, once the hand of the clock has met one */

/* What a frame holds. Guarded by the lock of the cache, but for the content, which the latch guards: alone to write to it or
 * load it, with others to read it or write it back. */
struct slot {
    jdb_frame frame;
    uint32_t page;
    uint32_t users;     /* a page in use is not evicted */
    bool is_dirty;      /* newer than the file */
    bool is_referenced; /* used since the hand of the clock passed */
    bool in_flight;     /* on its way to the file: not evicted */
    pthread_rwlock_t latch;
};

struct page {
    uint32_t slot;    /* 1 + its number, or 0 */
    uint32_t version; /* last one written, guarded by the latch */
};

struct cache {
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_file *file;
    uint32_t slot_count, page_count, hand; /* of the clock */
    struct page *pages;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a page is not in flight any more, or lost a user */
    uint64_t hit_count, read_count, write_count, run_count;
};

/* Neighbouring pages of the file, in frames anywhere, on their way to it. */
struct run {
    jdb_uring_op op;
    jdb_raw views[RUN_PAGES];
    struct iovec iovs[RUN_PAGES];
    struct slot *slots[RUN_PAGES];
    uint32_t count;
};

struct worker {
    struct cache *cache;
    uint64_t operations;
    unsigned random;
    struct io_uring ring;
    jdb_uring *uring; /* NULL: its I/O is not registered */
    struct run runs[RUN_COUNT];
};

static void must(int err, const char *what)
{
    if (err >= 0)
        return;
    fprintf(stderr, "buffer_pool: %s: %s\n", what, jdb_strerror(err));
    exit(1);
}

static struct slot *slot_at(const struct cache *cache, uint32_t index)
{
    return jdb_pool_user(cache->pool, index);
}

static struct slot *slot_of(const struct cache *cache, uint32_t page)
{
    const uint32_t slot = page < cache->page_count ? cache->pages[page].slot : 0;
    return slot != 0 ? slot_at(cache, slot - 1) : NULL;
}

/* What a version of a page is full of; a new file is full of zeros. */
static uint64_t word_of(const struct cache *cache, uint32_t page)
{
    return cache->pages[page].version != 0 ? (uint64_t)page << 32 | cache->pages[page].version : 0;
}

static void change_page(const struct cache *cache, uint8_t *bytes, uint32_t page)
{
    cache->pages[page].version++;
    const uint64_t word = word_of(cache, page);
    for (size_t i = 0; i < PAGE_BYTES; i += sizeof word)
        memcpy(bytes + i, &word, sizeof word);
}

static void check_page(const struct cache *cache, const uint8_t *bytes, uint32_t page)
{
    const uint64_t word = word_of(cache, page);
    must(memcmp(bytes, &word, sizeof word) == 0 ? 0 : -EIO, "a page that is not what was written");
    must(memcmp(bytes, bytes + sizeof word, PAGE_BYTES - sizeof word) == 0 ? 0 : -EIO, "a page that is torn");
}

/* Until `count` operations are complete; a short result goes on with the same operation. */
static void await(struct worker *me, uint32_t count)
{
    while (count > 0) {
        struct io_uring_cqe *cqe = NULL;
        must(io_uring_submit_and_wait(&me->ring, 1), "submit");
        while (io_uring_peek_cqe(&me->ring, &cqe) == 0) {
            jdb_uring_op *const op = io_uring_cqe_get_data(cqe);
            const int err = jdb_uring_complete(op, cqe->res);
            io_uring_cqe_seen(&me->ring, cqe);
            must(err, "I/O");
            count -= err == 0;
            if (err == 0)
                continue;
            struct io_uring_sqe *const sqe = io_uring_get_sqe(&me->ring);
            must(jdb_uring_prep(op, sqe), "resume");
            io_uring_sqe_set_data(sqe, op);
        }
    }
}

static void read_page(struct worker *me, jdb_frame frame, uint32_t page)
{
    jdb_uring_op op = {.file_size = (int64_t)me->cache->page_count * PAGE_BYTES};
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&me->ring);
    must(jdb_uring_prep_read(me->uring, &op, sqe, jdb_file_descriptor(me->cache->file),
                             jdb_pool_view(me->cache->pool, frame), (int64_t)page * PAGE_BYTES),
         "reading a page");
    io_uring_sqe_set_data(sqe, &op);
    await(me, 1);
}

static void write_run(struct worker *me, struct run *run)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&me->ring);
    const int64_t offset = (int64_t)run->slots[0]->page * PAGE_BYTES;
    for (uint32_t i = 0; i < run->count; i++)
        run->views[i] = jdb_raw_with_len(jdb_pool_view(me->cache->pool, run->slots[i]->frame), PAGE_BYTES);
    run->op = JDB_URING_OP_INIT;
    must(jdb_uring_prep_writev(me->uring, &run->op, sqe, jdb_file_descriptor(me->cache->file), run->views, run->count,
                               run->iovs, offset),
         "writing pages");
    io_uring_sqe_set_data(sqe, &run->op);
}

/* ---- Write-back, under the cache's lock ------------------------------------------------------------------- */

/* Whether a page may be written back now: dirty, and nobody writes to it. Readers go on meanwhile. */
static bool take_to_clean(struct slot *slot)
{
    if (slot == NULL || !slot->is_dirty || slot->in_flight || pthread_rwlock_tryrdlock(&slot->latch) != 0)
        return false;
    slot->in_flight = true;
    slot->is_dirty = false;
    return true;
}

/* A dirty page and those around it in the file that are dirty too. 0: it cannot be cleaned now. */
static uint32_t gather_run(struct cache *cache, struct slot *slot, struct run *run)
{
    if (!take_to_clean(slot))
        return 0;
    uint32_t first = slot->page;
    uint32_t end = slot->page + 1;
    while (end - first < RUN_PAGES && take_to_clean(slot_of(cache, first - 1))) /* before page 0 there is none */
        first--;
    while (end - first < RUN_PAGES && take_to_clean(slot_of(cache, end)))
        end++;
    run->count = end - first;
    for (uint32_t i = 0; i < run->count; i++)
        run->slots[i] = slot_of(cache, first + i);
    return 1;
}

/* Write back dirty pages of the slots from `index` on, some runs at once; the lock is released meanwhile. */
static void clean_from(struct worker *me, uint32_t index)
{
    struct cache *const cache = me->cache;
    uint32_t runs = 0;
    for (uint32_t i = 0; i < LOOK_AHEAD && runs < RUN_COUNT; i++)
        runs += gather_run(cache, slot_at(cache, (index + i) % cache->slot_count), &me->runs[runs]);
    pthread_mutex_unlock(&cache->lock);
    for (uint32_t i = 0; i < runs; i++)
        write_run(me, &me->runs[i]);
    await(me, runs);
    pthread_mutex_lock(&cache->lock);
    for (const struct run *run = me->runs; run < me->runs + runs; run++)
        for (uint32_t i = 0; i < run->count; i++) {
            pthread_rwlock_unlock(&run->slots[i]->latch);
            run->slots[i]->in_flight = false;
            cache->write_count++;
        }
    cache->run_count += runs;
    pthread_cond_broadcast(&cache->changed);
}

/* ---- Eviction, under the cache's lock --------------------------------------------------------------------- */

/* The hand goes round: a page in use stays, one that was used since it passed gets another round. Two rounds find a page
 * unless all are in use. */
static struct slot *find_victim(struct cache *cache)
{
    for (uint32_t step = 0; step < 2 * cache->slot_count; step++) {
        struct slot *const slot = slot_at(cache, cache->hand);
        cache->hand = (cache->hand + 1) % cache->slot_count;
        if (slot->users > 0 || slot->in_flight)
            continue;
        if (!slot->is_referenced)
            return slot;
        slot->is_referenced = false;
    }
    return NULL;
}

/* The frame of a page that is evicted is a new one at once. False: the lock was released meanwhile, look again. */
static bool evict(struct worker *me, jdb_frame *ret_frame)
{
    struct cache *const cache = me->cache;
    struct slot *const slot = find_victim(cache);
    if (slot == NULL)
        return pthread_cond_wait(&cache->changed, &cache->lock), false;
    if (slot->is_dirty)
        return clean_from(me, slot->frame.index), false;
    cache->pages[slot->page].slot = 0;
    must(jdb_pool_recycle(cache->pool, slot->frame, ret_frame), "recycling a frame");
    return true;
}

/* Load a page into a frame; the lock is released meanwhile, and others who want the page wait for its latch. */
static struct slot *load(struct worker *me, jdb_frame frame, uint32_t page)
{
    struct cache *const cache = me->cache;
    struct slot *const slot = slot_at(cache, frame.index);
    slot->frame = frame;
    slot->page = page;
    slot->users = 1;
    cache->pages[page].slot = frame.index + 1;
    cache->read_count++;
    must(-pthread_rwlock_trywrlock(&slot->latch), "a latch that nobody has");
    pthread_mutex_unlock(&cache->lock);
    read_page(me, frame, page);
    pthread_rwlock_unlock(&slot->latch);
    pthread_mutex_lock(&cache->lock);
    return slot;
}

/* The slot of a page, in use from now on and latched. A frame is looked for as long as nobody else loads the page. */
static struct slot *use(struct worker *me, uint32_t page, bool writes)
{
    struct cache *const cache = me->cache;
    jdb_frame frame;
    pthread_mutex_lock(&cache->lock);
    struct slot *slot = slot_of(cache, page);
    cache->hit_count += slot != NULL;
    while (slot == NULL && jdb_pool_get(cache->pool, &frame) != 0 && !evict(me, &frame))
        slot = slot_of(cache, page);
    if (slot == NULL)
        slot = load(me, frame, page);
    else
        slot->users++;
    slot->is_referenced = true;
    pthread_mutex_unlock(&cache->lock);
    must(-(writes ? pthread_rwlock_wrlock(&slot->latch) : pthread_rwlock_rdlock(&slot->latch)), "latch");
    return slot;
}

static void release(struct cache *cache, struct slot *slot, bool was_changed)
{
    pthread_rwlock_unlock(&slot->latch);
    pthread_mutex_lock(&cache->lock);
    slot->is_dirty = slot->is_dirty || was_changed;
    if (--slot->users == 0)
        pthread_cond_broadcast(&cache->changed);
    pthread_mutex_unlock(&cache->lock);
}

/* Half of the uses change the page; half fall on a tenth of the pages, as much as the pool holds. */
static void *work(void *context)
{
    struct worker *const me = context;
    struct cache *const cache = me->cache;
    for (uint64_t i = 0; i < me->operations; i++) {
        const uint32_t range = rand_r(&me->random) % 2 == 0 ? cache->slot_count : cache->page_count;
        const uint32_t page = (uint32_t)rand_r(&me->random) % range;
        const bool writes = rand_r(&me->random) % 2 == 0;
        struct slot *const slot = use(me, page, writes);
        check_page(cache, slot->frame.ptr, page);
        if (writes)
            change_page(cache, slot->frame.ptr, page);
        release(cache, slot, writes);
    }
    return NULL;
}

/* ---- Make, run, verify ------------------------------------------------------------------------------------ */

static void make(struct cache *cache, const char *path)
{
    const jdb_file_options options = {.size = sizeof options,
                                      .access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE};
    const jdb_arena_options arena_options = {
        .size = sizeof arena_options, .frame_size = PAGE_BYTES, .frame_count = cache->slot_count};
    const jdb_pool_options pool_options = {.size = sizeof pool_options, .user_size = sizeof(struct slot)};
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    must(jdb_file_open(path, &options, &report, &cache->file), report.text);
    must(jdb_file_write_zeros(cache->file, 0, (uint64_t)cache->page_count * PAGE_BYTES, NULL), "a new file");
    cache->pages = calloc(cache->page_count, sizeof *cache->pages);
    must(cache->pages == NULL ? -ENOMEM : 0, "the table of pages");
    must(jdb_arena_new(&arena_options, &cache->arena), "arena");
    must(jdb_pool_new(cache->arena, &pool_options, &cache->pool), "pool");
    for (uint32_t i = 0; i < cache->slot_count; i++)
        pthread_rwlock_init(&slot_at(cache, i)->latch, NULL);
}

static void run_workers(struct worker *workers, uint64_t operations)
{
    pthread_t threads[THREADS];
    const uint64_t start_ns = jdb_clock_ns();
    const clock_t start = clock();
    for (uint32_t i = 0; i < THREADS; i++)
        must(-pthread_create(&threads[i], NULL, work, &workers[i]), "thread");
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%" PRIu64 " uses in %.3f s, %.2f us of processor time each\n", operations,
           (double)(jdb_clock_ns() - start_ns) / 1e9,
           (double)(clock() - start) / CLOCKS_PER_SEC * 1e6 / (double)operations);
}

/* All is written back, every page is read again, and every frame goes back. */
static void verify(struct worker *me)
{
    struct cache *const cache = me->cache;
    pthread_mutex_lock(&cache->lock);
    for (uint32_t i = 0; i < cache->slot_count; i++)
        clean_from(me, i);
    pthread_mutex_unlock(&cache->lock);
    must(jdb_file_sync(cache->file, JDB_FILE_DURABLE_DATA), "sync");
    const jdb_frame frame = slot_at(cache, 0)->frame;
    for (uint32_t page = 0; page < cache->page_count; page++) {
        memset(frame.ptr, 0xff, PAGE_BYTES);
        read_page(me, frame, page);
        check_page(cache, frame.ptr, page);
    }
    for (uint32_t i = 0; i < cache->slot_count; i++) {
        pthread_rwlock_destroy(&slot_at(cache, i)->latch);
        if (slot_at(cache, i)->frame.ptr != NULL)
            must(jdb_pool_put(cache->pool, slot_at(cache, i)->frame), "putting a frame");
    }
    printf("%" PRIu64 " hits, %" PRIu64 " pages read, %" PRIu64 " written back by %" PRIu64 " writes; %" PRIu32
           " pages verified\n",
           cache->hit_count, cache->read_count, cache->write_count, cache->run_count, cache->page_count);
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    const unsigned long frame_count = argc > 2 ? strtoul(argv[2], NULL, 10) : 256;
    const unsigned long operations = argc > 3 ? strtoul(argv[3], NULL, 10) : 20000;
    must(argc < 2 || frame_count < RUN_PAGES * RUN_COUNT ? -EINVAL : 0, "PATH, or less than 64 frames");
    static struct cache cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    cache.slot_count = (uint32_t)frame_count;
    cache.page_count = cache.slot_count * PAGES_PER_FRAME;
    make(&cache, argv[1]);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.cache = &cache, .operations = operations / THREADS, .random = i};
        must(io_uring_queue_init(2 * RUN_COUNT, &workers[i].ring, 0), "ring");
        must(jdb_uring_open(&workers[i].ring, NULL, &workers[i].uring), "jdb_uring");
        must(jdb_uring_add_arena(workers[i].uring, cache.arena, NULL), "register");
    }
    run_workers(workers, operations);
    verify(&workers[0]);
    for (uint32_t i = 0; i < THREADS; i++) {
        must(jdb_uring_close(workers[i].uring), "closing a ring");
        io_uring_queue_exit(&workers[i].ring);
    }
    must(jdb_pool_free(cache.pool), "closing the pool: frames are lent");
    must(jdb_arena_free(cache.arena), "freeing the arena");
    must(jdb_file_close(cache.file), "close");
    free(cache.pages);
    unlink(argv[1]);
    return 0;
}
