/* SPDX-License-Identifier: MIT
 *
 * heap.c - zones of runs under one lock. Floor 3.
 *
 * System calls that make addresses readable are made under the lock (they are rare: by steps). Calls that give
 * memory back take as long as there are pages to free, so the extent is taken out, the lock let go, and the extent put
 * back clean.
 */
#include "page/heap.h"

#include "base/bits.h"
#include "base/check.h"
#include "os/fork.h"
#include "os/os.h"

/* Pages of the first zone: 1 TiB. Sanitizers keep most addresses for themselves. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ZONE_PAGES_FIRST (UINT32_C(1) << 24)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(address_sanitizer)
#define ZONE_PAGES_FIRST (UINT32_C(1) << 24)
#endif
#endif
#ifndef ZONE_PAGES_FIRST
#define ZONE_PAGES_FIRST (SIZE_MAX > UINT32_MAX ? UINT32_C(1) << 28 : UINT32_C(1) << 16)
#endif

/* Where addresses are limited, zones start small and each is as large as all before it together. */
#define ZONE_PAGES_LEAST (UINT32_C(1) << 16)
#define ZONE_COUNT_MAX 64

/* Tables become readable by chunks of this many pages, 64 MiB of memory. */
#define CHUNK_PAGES (UINT32_C(1) << 14)
#define CHUNK_COUNT_MAX (RUNS_PAGE_MAX / CHUNK_PAGES + 1)

/* Addresses become readable by steps of at least this many pages, 4 MiB. */
#define STEP_PAGES (UINT32_C(1) << 10)

/* Dirty pages kept warm unless the user says otherwise: 64 MiB, or a sixteenth of what is out of the heap. */
#define WARM_PAGES_LEAST ((UINT64_C(64) << 20) / JDB_PAGE_SIZE)
#define WARM_SHARE 16

struct zone {
    uint8_t *base;
    struct runs runs;
    uint64_t chunks[CHUNK_COUNT_MAX / 64]; /* bit set: tables of the chunk are readable */
    uint32_t refused; /* the first dropped bounded run that the system did not take, or RUNS_NONE */
};

struct heap_front jdb__front;

static struct {
    struct lock lock;
    struct zone *zones[ZONE_COUNT_MAX];
    _Atomic unsigned zone_count;
    enum runs_kind young; /* the generation of dirty pages that is filled; the other is the old one */
    uint64_t warm_pages;
    bool is_warm_set;
    uint64_t refused_pages; /* dirty beyond what should stay: the system did not take them at the last try */
    uint64_t turn_count;    /* how often the generations changed places */
    struct heap_limit limit;
    struct heap_stats stats;
} heap = {.lock = LOCK_INIT(LOCK_HEAP), .young = RUNS_DIRTY_0, .warm_pages = WARM_PAGES_LEAST};

void jdb__heap_lock(void)
{
    lock_take(&heap.lock);
    heap.stats.lock_count++;
}

void jdb__heap_unlock(void)
{
    lock_release(&heap.lock);
}

static enum runs_kind old_kind(void)
{
    return heap.young == RUNS_DIRTY_0 ? RUNS_DIRTY_1 : RUNS_DIRTY_0;
}

/* Pages of ours in a page of the system. */
static uint32_t os_pages(void)
{
    return (uint32_t)(jdb__os_page_size() / JDB_PAGE_SIZE);
}

static size_t bytes_of(uint64_t page_count)
{
    return (size_t)page_count * JDB_PAGE_SIZE;
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- Addresses -------------------------------------------------------------------------------------------- */

static uint8_t *page_address(const struct zone *zone, uint32_t index)
{
    return zone->base + bytes_of(index);
}

uint8_t *jdb__heap_address(const struct heap_run *run)
{
    return page_address(run->zone, run->index);
}

_Atomic uint64_t *jdb__heap_word(const struct heap_run *run)
{
    return &run->zone->runs.words[run->index];
}

/* A bounded run is in no tree: its link holds its readable size. */
uint32_t jdb__heap_size(const struct heap_run *run)
{
    const uint64_t word = runs_word(&run->zone->runs, run->index);
    return (word & RUNS_FLAG_BOUNDED) != 0 ? run->zone->runs.links[run->index].left : runs_pages_of(word);
}

static uint32_t extent_pages(const struct zone *zone, uint32_t extent)
{
    return runs_pages_of(runs_word(&zone->runs, extent));
}

/* Pages by which an address that is a multiple of align_pages is ahead of an index that is. */
static uint32_t phase_of(const struct zone *zone, uint32_t align_pages)
{
    return (uint32_t)(-((uintptr_t)zone->base / JDB_PAGE_SIZE) & (align_pages - 1));
}

/* ---- Tables ----------------------------------------------------------------------------------------------- */

static bool is_chunk_readable(const struct zone *zone, uint32_t index)
{
    const uint32_t chunk = index / CHUNK_PAGES;
    return (zone->chunks[chunk / 64] >> (chunk % 64) & 1) != 0;
}

/* Bytes of the tables of one chunk. */
static size_t chunk_bytes(void)
{
    return 2 * sizeof(uint64_t) * CHUNK_PAGES + jdb__runs_heads_size(CHUNK_PAGES);
}

/* Make the tables of chunks [first, end) readable. */
static int commit_chunks(struct zone *zone, uint32_t first, uint32_t end)
{
    const size_t size = (size_t)(end - first) * CHUNK_PAGES * sizeof(uint64_t);
    const size_t at = (size_t)first * CHUNK_PAGES;
    heap.stats.map_calls += 2;
    int err = jdb__os_commit((void *)(uintptr_t)&zone->runs.words[at], size);
    if (err == 0)
        err = jdb__os_commit(&zone->runs.links[at], size);
    if (err != 0)
        return err;
    for (uint32_t chunk = first; chunk < end; chunk++) {
        if (!is_chunk_readable(zone, chunk * CHUNK_PAGES))
            heap.stats.bookkeeping_bytes += chunk_bytes();
        zone->chunks[chunk / 64] |= UINT64_C(1) << (chunk % 64);
    }
    return 0;
}

/* The fast path may read words up to the first chunk that is not readable. */
static void advance_front(const struct zone *zone)
{
    if (zone != heap.zones[0])
        return;
    uint32_t index = atomic_load_explicit(&jdb__front.page_count, memory_order_relaxed);
    while (index < zone->runs.page_count && is_chunk_readable(zone, index))
        index += CHUNK_PAGES;
    atomic_store_explicit(&jdb__front.page_count, least_of(index, zone->runs.page_count), memory_order_release);
}

/* Make the tables readable for the pages first to last. */
static int commit_tables(struct zone *zone, uint32_t first, uint32_t last)
{
    uint32_t chunk = first / CHUNK_PAGES;
    uint32_t end = least_of(last, zone->runs.page_count - 1) / CHUNK_PAGES + 1;
    while (chunk < end && is_chunk_readable(zone, chunk * CHUNK_PAGES))
        chunk++;
    while (end > chunk && is_chunk_readable(zone, (end - 1) * CHUNK_PAGES))
        end--;
    if (chunk == end)
        return 0;
    const int err = commit_chunks(zone, chunk, end);
    advance_front(zone);
    return err;
}

/* ---- Zones ------------------------------------------------------------------------------------------------ */

static int map_tables(uint32_t page_count, void **ret_words, void **ret_links, void **ret_heads)
{
    const size_t table_size = bits_round_up(page_count, CHUNK_PAGES) * sizeof(uint64_t);
    const size_t heads_size = bits_round_up(jdb__runs_heads_size(page_count), jdb__os_page_size());
    void *tables = NULL;
    int err = jdb__os_reserve(2 * table_size + heads_size, &tables);
    if (err != 0)
        return err;
    uint8_t *const heads = (uint8_t *)tables + 2 * table_size;
    err = jdb__os_commit(heads, heads_size);
    if (err != 0) {
        jdb__os_unmap(tables, 2 * table_size + heads_size);
        return err;
    }
    *ret_words = tables;
    *ret_links = (uint8_t *)tables + table_size;
    *ret_heads = heads;
    return 0;
}

static void unmap_tables(uint32_t page_count, void *tables)
{
    const size_t table_size = bits_round_up(page_count, CHUNK_PAGES) * sizeof(uint64_t);
    const size_t heads_size = bits_round_up(jdb__runs_heads_size(page_count), jdb__os_page_size());
    heap.stats.unmap_calls++;
    jdb__os_unmap(tables, 2 * table_size + heads_size);
}

/* Tables for an empty zone: its words of both ends are readable. */
static int make_tables(struct zone *zone, uint32_t page_count)
{
    void *words = NULL;
    void *links = NULL;
    void *heads = NULL;
    int err = map_tables(page_count, &words, &links, &heads);
    if (err != 0)
        return err;
    zone->runs = (struct runs){.words = words, .links = links, .page_count = page_count};
    const uint32_t last = (page_count - 1) / CHUNK_PAGES;
    const uint64_t bookkeeping_before = heap.stats.bookkeeping_bytes;
    err = commit_chunks(zone, 0, 1);
    if (err == 0 && last > 0)
        err = commit_chunks(zone, last, last + 1);
    if (err != 0) {
        heap.stats.bookkeeping_bytes = bookkeeping_before;
        unmap_tables(page_count, words);
        return err;
    }
    jdb__runs_init(&zone->runs, words, links, heads, page_count);
    return 0;
}

static int make_zone(uint32_t page_count, struct zone **ret_zone)
{
    void *memory = NULL;
    int err = jdb__os_alloc(sizeof(struct zone), &memory);
    if (err != 0)
        return err;
    struct zone *const zone = memory;
    void *base = NULL;
    heap.stats.map_calls += 3;
    err = jdb__os_reserve(bytes_of(page_count), &base);
    if (err == 0)
        err = make_tables(zone, page_count);
    if (err != 0) {
        if (base != NULL)
            jdb__os_unmap(base, bytes_of(page_count));
        jdb__os_free(zone);
        return err;
    }
    zone->base = base;
    zone->refused = RUNS_NONE;
    *ret_zone = zone;
    return 0;
}

static void publish_zone(struct zone *zone)
{
    const unsigned count = atomic_load_explicit(&heap.zone_count, memory_order_relaxed);
    heap.zones[count] = zone;
    heap.stats.reserved_pages += zone->runs.page_count;
    if (count == 0) {
        atomic_store_explicit(&jdb__front.base, zone->base, memory_order_relaxed);
        atomic_store_explicit(&jdb__front.words, zone->runs.words, memory_order_relaxed);
    }
    atomic_store_explicit(&heap.zone_count, count + 1, memory_order_release);
    advance_front(zone);
}

/* Undo make_zone(). Tables may have become readable since, but no page. */
static void drop_zone(struct zone *zone)
{
    const uint32_t page_count = zone->runs.page_count;
    for (uint32_t index = 0; index < page_count; index += CHUNK_PAGES)
        heap.stats.bookkeeping_bytes -= is_chunk_readable(zone, index) ? chunk_bytes() : 0;
    JDB_ASSERT(zone->runs.free_pages[RUNS_RESERVED] == page_count);
    heap.stats.unmap_calls++;
    jdb__os_unmap(zone->base, bytes_of(page_count));
    unmap_tables(page_count, (void *)(uintptr_t)zone->runs.words);
    jdb__os_free(zone);
}

/* A zone is used for what it was made for, err is the outcome. Where the system refused, no zone stays: the next call would
 * leave another. */
static int keep_zone(struct zone *zone, int err)
{
    if (err == 0)
        publish_zone(zone);
    else
        drop_zone(zone);
    return err;
}

/* A new zone that holds a run of page_count pages; the more room the better. The caller takes the run and calls keep_zone(). */
static int new_zone(uint64_t page_count, struct zone **ret_zone)
{
    const unsigned count = atomic_load_explicit(&heap.zone_count, memory_order_relaxed);
    if (count == ZONE_COUNT_MAX || page_count > RUNS_PAGE_MAX - STEP_PAGES)
        return -ENOMEM;
    const uint32_t least = (uint32_t)bits_round_up(page_count, STEP_PAGES);
    uint64_t wish = count == 0 ? ZONE_PAGES_FIRST : heap.stats.reserved_pages;
    int err = -ENOMEM;
    if (wish >= least && wish <= RUNS_PAGE_MAX)
        err = make_zone((uint32_t)wish, ret_zone);
    for (wish = ZONE_PAGES_LEAST; err != 0 && wish > least; wish /= 4)
        err = make_zone((uint32_t)wish, ret_zone);
    return err == 0 ? 0 : make_zone(least, ret_zone);
}

/* ---- Guards ----------------------------------------------------------------------------------------------- */

/* In the checked build a run is followed by a page that nobody may touch, where the system has such pages; it is a run
 * of its own, of state CACHED, that comes and goes with the run before it. */
#ifdef JDB_CHECKED
static uint32_t guard_pages(void)
{
    return os_pages() == 1 ? 1 : 0;
}

static void raise_guard(struct zone *zone, uint32_t at)
{
    if (guard_pages() == 0)
        return;
    jdb__runs_start(&zone->runs, at, runs_make_word(RUNS_CACHED, 0, 1));
    jdb__os_guard(page_address(zone, at), JDB_PAGE_SIZE);
}

/* Pages to give back with a run that ends at `at`. */
static uint32_t lower_guard(struct zone *zone, uint32_t at)
{
    if (guard_pages() == 0)
        return 0;
    jdb__os_unguard(page_address(zone, at), JDB_PAGE_SIZE);
    jdb__runs_end(&zone->runs, at);
    return 1;
}

/* A walk over the first zone, as far as its tables are readable, costs too much for each call. */
#define WALK_EVERY 4096

static void walk(void)
{
    static unsigned calls;
    const uint32_t limit = atomic_load_explicit(&jdb__front.page_count, memory_order_relaxed);
    if (limit > 0 && ++calls % WALK_EVERY == 0)
        JDB_ASSERT_WALK(jdb__runs_is_valid(&heap.zones[0]->runs, limit));
}
#else
static uint32_t guard_pages(void)
{
    return 0;
}

static void raise_guard(struct zone *zone, uint32_t at)
{
    (void)zone;
    (void)at;
}

static uint32_t lower_guard(struct zone *zone, uint32_t at)
{
    (void)zone;
    (void)at;
    return 0;
}

static void walk(void)
{
}
#endif

/* ---- Take ------------------------------------------------------------------------------------------------- */

/* A zone has no addresses left for a run: another may, or a new one. Any other error is the system's, which would refuse the
 * same of a new zone. */
#define NO_ROOM (-ENOSPC)

/* Over the limit? Tells by how many pages. */
static int check_limit(uint64_t more_pages, uint64_t *ret_missing)
{
    const uint64_t limit = heap.stats.limit_pages;
    const uint64_t wanted = heap.stats.taken_pages + more_pages;
    if (heap.limit.bytes == 0 || wanted <= limit)
        return 0;
    *ret_missing = wanted - limit;
    return -EDQUOT;
}

/* A run of page_count pages left the heap, or came back. */
static void count_out(uint32_t page_count, uint32_t run_count)
{
    heap.stats.taken_pages += (uint64_t)page_count * run_count;
    if (page_count <= HEAP_CLASS_MAX)
        heap.stats.class_counts[page_count] += run_count;
}

static void count_back(uint32_t page_count)
{
    heap.stats.taken_pages -= page_count;
    if (page_count <= HEAP_CLASS_MAX)
        heap.stats.class_counts[page_count]--;
}

/* A run outside changed its size. */
static void count_resized(uint32_t from, uint32_t to)
{
    count_back(from);
    count_out(to, 1);
}

/* Turn reserved pages [at, at + page_count) of an extent into clean ones, a step at a time. */
static int commit_pages(struct zone *zone, uint32_t extent, uint32_t at, uint32_t page_count)
{
    const uint32_t end = extent + runs_pages_of(runs_word(&zone->runs, extent));
    const uint32_t from = (uint32_t)bits_round_down(at, os_pages());
    const uint64_t step_end = bits_round_up((uint64_t)at + page_count, STEP_PAGES);
    const uint32_t to = step_end < end ? (uint32_t)step_end : end;
    int err = commit_tables(zone, from == 0 ? 0 : from - 1, to);
    if (err != 0)
        return err;
    heap.stats.map_calls++;
    err = jdb__os_commit(page_address(zone, from), bytes_of(to - from));
    if (err != 0)
        return err;
    jdb__runs_take(&zone->runs, extent, from, to - from);
    jdb__runs_give(&zone->runs, from, to - from, RUNS_CLEAN);
    heap.stats.mapped_pages += to - from;
    return 0;
}

/* Find and take readable pages of a zone that are of one kind. */
static bool take_of_kind(struct zone *zone, enum runs_kind kind, uint32_t page_count, uint32_t align_pages,
                         struct heap_run *ret_run)
{
    uint32_t at = 0;
    const uint32_t extent =
        jdb__runs_find(&zone->runs, kind, page_count, align_pages, phase_of(zone, align_pages), &at);
    if (extent == RUNS_NONE)
        return false;
    jdb__runs_take(&zone->runs, extent, at, page_count);
    *ret_run = (struct heap_run){zone, at, page_count, kind == RUNS_CLEAN};
    return true;
}

/* The same, of dirty and clean pages that lie side by side. */
static bool take_joined(struct zone *zone, enum runs_kind kind, uint32_t page_count, uint32_t align_pages,
                        struct heap_run *ret_run)
{
    uint32_t at = 0;
    const uint32_t extent =
        jdb__runs_find_joined(&zone->runs, kind, page_count, align_pages, phase_of(zone, align_pages), &at);
    if (extent == RUNS_NONE)
        return false;
    jdb__runs_take_joined(&zone->runs, extent, at, page_count);
    *ret_run = (struct heap_run){zone, at, page_count, false};
    return true;
}

/* Find and take readable pages of a zone: what is warm first, unless zeroes are wanted. */
static bool take_readable(struct zone *zone, uint32_t page_count, uint32_t align_pages, bool want_zero,
                          struct heap_run *ret_run)
{
    if (!want_zero && (take_of_kind(zone, heap.young, page_count, align_pages, ret_run) ||
                       take_of_kind(zone, old_kind(), page_count, align_pages, ret_run) ||
                       take_joined(zone, heap.young, page_count, align_pages, ret_run) ||
                       take_joined(zone, old_kind(), page_count, align_pages, ret_run)))
        return true;
    return take_of_kind(zone, RUNS_CLEAN, page_count, align_pages, ret_run);
}

/* Commit room for a run in a zone: not in what a bounded run left, as long as there is room elsewhere. NO_ROOM, or
 * the system refuses. */
static int commit_room(struct zone *zone, uint32_t page_count, uint32_t align_pages)
{
    uint32_t at = 0;
    const uint32_t extent = jdb__runs_find_in_largest(&zone->runs, RUNS_RESERVED, page_count, align_pages,
                                                      phase_of(zone, align_pages), &at);
    return extent == RUNS_NONE ? NO_ROOM : commit_pages(zone, extent, at, page_count);
}

static int take_from_zone(struct zone *zone, uint32_t page_count, uint32_t align_pages, bool want_zero,
                          struct heap_run *ret_run)
{
    if (take_readable(zone, page_count, align_pages, want_zero, ret_run))
        return 0;
    int err = commit_room(zone, page_count, align_pages);
    if (err == 0 && take_readable(zone, page_count, align_pages, true, ret_run))
        return 0;
    if (want_zero && take_readable(zone, page_count, align_pages, false, ret_run))
        return 0;
    return err == 0 ? NO_ROOM : err;
}

static int take_from_any(uint32_t page_count, uint32_t align_pages, bool want_zero, struct heap_run *ret_run)
{
    const unsigned count = atomic_load_explicit(&heap.zone_count, memory_order_relaxed);
    bool is_refused = false;
    for (unsigned i = 0; i < count; i++) {
        const int err = take_from_zone(heap.zones[i], page_count, align_pages, want_zero, ret_run);
        if (err == 0)
            return 0;
        is_refused |= err != NO_ROOM;
    }
    struct zone *zone = NULL;
    int err = is_refused ? -ENOMEM : new_zone((uint64_t)page_count + align_pages, &zone);
    if (err == 0)
        err = keep_zone(zone, take_from_zone(zone, page_count, align_pages, want_zero, ret_run));
    return err;
}

int jdb__heap_take(uint32_t page_count, uint32_t align_pages, bool want_zero, struct heap_run *ret_run,
                   uint64_t *ret_missing)
{
    jdb__heap_lock();
    int err = check_limit(page_count, ret_missing);
    if (err == 0)
        err = take_from_any(page_count + guard_pages(), align_pages, want_zero, ret_run);
    if (err == 0) {
        ret_run->page_count = page_count;
        jdb__runs_start(&ret_run->zone->runs, ret_run->index, runs_make_word(RUNS_LENT, 0, page_count));
        raise_guard(ret_run->zone, ret_run->index + page_count);
        count_out(page_count, 1);
    }
    walk();
    jdb__heap_unlock();
    return err;
}

/* Cut runs from the best extent of the first zone; returns how many. */
static unsigned cut_runs(struct zone *zone, enum runs_kind kind, uint32_t page_count, unsigned count,
                         uint32_t *ret_indices)
{
    uint32_t at = 0;
    const uint32_t extent = jdb__runs_find(&zone->runs, kind, page_count, 1, 0, &at);
    if (extent == RUNS_NONE)
        return 0;
    const uint32_t fitting = runs_pages_of(runs_word(&zone->runs, extent)) / page_count;
    const unsigned taken = least_of(fitting, count);
    jdb__runs_take(&zone->runs, extent, extent, taken * page_count);
    const uint64_t flags = kind == RUNS_CLEAN ? RUNS_FLAG_ZERO : 0;
    for (unsigned i = 0; i < taken; i++) {
        ret_indices[i] = extent + i * page_count;
        jdb__runs_start(&zone->runs, ret_indices[i], runs_make_word(RUNS_CACHED, flags, page_count));
    }
    return taken;
}

static unsigned cut_readable(struct zone *zone, uint32_t page_count, unsigned count, uint32_t *ret_indices)
{
    const enum runs_kind kinds[] = {heap.young, old_kind(), RUNS_CLEAN};
    unsigned taken = 0;
    for (unsigned i = 0; i < 3; i++) {
        unsigned more = 1;
        while (taken < count && more > 0) {
            more = cut_runs(zone, kinds[i], page_count, count - taken, ret_indices + taken);
            taken += more;
        }
    }
    return taken;
}

static int take_batch_from(struct zone *zone, uint32_t page_count, unsigned count, uint32_t *ret_indices,
                           unsigned *ret_count)
{
    int err = 0;
    unsigned taken = cut_readable(zone, page_count, count, ret_indices);
    if (taken < count && (err = commit_room(zone, page_count * (count - taken), 1)) == 0)
        taken += cut_readable(zone, page_count, count - taken, ret_indices + taken);
    if (taken == 0)
        return err == 0 ? -ENOMEM : err;
    *ret_count = taken;
    return 0;
}

static int take_batch(uint32_t page_count, unsigned count, uint32_t *ret_indices, unsigned *ret_count)
{
    if (atomic_load_explicit(&heap.zone_count, memory_order_relaxed) > 0)
        return take_batch_from(heap.zones[0], page_count, count, ret_indices, ret_count);
    struct zone *zone = NULL;
    const int err = new_zone(page_count, &zone);
    return err != 0 ? err : keep_zone(zone, take_batch_from(zone, page_count, count, ret_indices, ret_count));
}

int jdb__heap_take_batch(uint32_t page_count, unsigned count, uint32_t *ret_indices, unsigned *ret_count,
                         uint64_t *ret_missing)
{
    jdb__heap_lock();
    int err = check_limit((uint64_t)page_count * count, ret_missing);
    if (err == 0)
        err = take_batch(page_count, count, ret_indices, ret_count);
    if (err == 0)
        count_out(page_count, *ret_count);
    jdb__heap_unlock();
    return err;
}

/* ---- Bounded runs ----------------------------------------------------------------------------------------- */

/* The high end of the smallest reserved extent that holds it, in whole pages of the system: what a dropped bounded run left is
 * used again, and else the high end of the zone. */
static int take_high_end(struct zone *zone, uint32_t page_count, uint32_t max_pages, struct heap_run *ret_run)
{
    uint32_t low = 0;
    const uint32_t extent = jdb__runs_find(&zone->runs, RUNS_RESERVED, max_pages, 1, 0, &low);
    if (extent == RUNS_NONE)
        return NO_ROOM;
    const uint32_t at = extent + extent_pages(zone, extent) - max_pages;
    int err = commit_tables(zone, at == 0 ? 0 : at - 1, at);
    if (err != 0)
        return err;
    const uint32_t readable = (uint32_t)bits_round_up(page_count, os_pages());
    heap.stats.map_calls++;
    err = jdb__os_commit(page_address(zone, at), bytes_of(readable));
    if (err != 0)
        return err;
    jdb__runs_take(&zone->runs, extent, at, max_pages);
    jdb__runs_start(&zone->runs, at, runs_make_word(RUNS_LENT, RUNS_FLAG_BOUNDED, max_pages));
    zone->runs.links[at].left = page_count;
    heap.stats.mapped_pages += readable;
    *ret_run = (struct heap_run){zone, at, max_pages, true};
    return 0;
}

static int take_bounded(uint32_t page_count, uint32_t max_pages, struct heap_run *ret_run)
{
    const unsigned count = atomic_load_explicit(&heap.zone_count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++) {
        const int err = take_high_end(heap.zones[i], page_count, max_pages, ret_run);
        if (err != NO_ROOM)
            return err;
    }
    struct zone *zone = NULL;
    const int err = new_zone(max_pages, &zone);
    return err != 0 ? err : keep_zone(zone, take_high_end(zone, page_count, max_pages, ret_run));
}

int jdb__heap_take_bounded(uint32_t page_count, uint32_t max_pages, struct heap_run *ret_run, uint64_t *ret_missing)
{
    jdb__heap_lock();
    int err = check_limit(page_count, ret_missing);
    if (err == 0)
        err = take_bounded(page_count, (uint32_t)bits_round_up(max_pages, os_pages()), ret_run);
    if (err == 0)
        count_out(page_count, 1);
    jdb__heap_unlock();
    return err;
}

static int grow_bounded(struct zone *zone, uint32_t index, uint32_t from, uint32_t to)
{
    const uint32_t readable = (uint32_t)bits_round_up(from, os_pages());
    const uint32_t wanted = (uint32_t)bits_round_up(to, os_pages());
    if (wanted == readable)
        return 0;
    heap.stats.map_calls++;
    const int err = jdb__os_commit(page_address(zone, index + readable), bytes_of(wanted - readable));
    if (err == 0)
        heap.stats.mapped_pages += wanted - readable;
    return err;
}

static int cut_bounded(struct zone *zone, uint32_t index, uint32_t from, uint32_t to)
{
    const uint32_t readable = (uint32_t)bits_round_up(from, os_pages());
    const uint32_t wanted = (uint32_t)bits_round_up(to, os_pages());
    if (wanted == readable)
        return 0;
    heap.stats.decommit_calls++;
    const int err = jdb__os_decommit_to_reserved(page_address(zone, index + wanted), bytes_of(readable - wanted));
    if (err == 0)
        heap.stats.mapped_pages -= readable - wanted;
    return err;
}

static int resize_bounded(const struct heap_run *run, uint32_t page_count, uint64_t *ret_missing)
{
    struct runs *const runs = &run->zone->runs;
    const uint64_t word = runs_word(runs, run->index);
    uint32_t *const size = &runs->links[run->index].left;
    if (page_count > runs_pages_of(word))
        return -ENOBUFS;
    if (page_count < *size && runs_pins_of(word) > 0)
        return -EBUSY;
    if (page_count > *size && check_limit(page_count - *size, ret_missing) != 0)
        return -EDQUOT;
    const int err = page_count > *size ? grow_bounded(run->zone, run->index, *size, page_count)
                                       : cut_bounded(run->zone, run->index, *size, page_count);
    if (err != 0)
        return -ENOMEM;
    count_resized(*size, page_count);
    *size = page_count;
    return 0;
}

int jdb__heap_resize_bounded(const struct heap_run *run, uint32_t page_count, uint64_t *ret_missing)
{
    jdb__heap_lock();
    const int err = resize_bounded(run, page_count, ret_missing);
    jdb__heap_unlock();
    return err;
}

/* ---- Give ------------------------------------------------------------------------------------------------- */

/* How pages go back to the system, and what they are then. */
typedef int give_back(void *ptr, size_t size, enum runs_kind *ret_kind);

static int empty(void *ptr, size_t size, enum runs_kind *ret_kind)
{
    const int err = jdb__os_decommit(ptr, size);
    if (err == 0)
        *ret_kind = RUNS_CLEAN;
    return err;
}

/* Where page tables were moved to, the mapping is an odd one: it is replaced. By one without access first, for which nothing is
 * charged: a fresh one that is refused could leave a hole. */
static int replace(void *ptr, size_t size, enum runs_kind *ret_kind)
{
    const int err = jdb__os_decommit_to_reserved(ptr, size);
    if (err == 0)
        *ret_kind = jdb__os_commit(ptr, size) == 0 ? RUNS_CLEAN : RUNS_RESERVED;
    return err;
}

/* An extent is taken out, the lock let go for the system call `back`, and the extent put back: whole system pages
 * as `back` says, the rest, or all of it when the system refuses, dirty of the kind given. Returns pages that went back. Lock
 * held, let go inside. */
static uint32_t give_to_system(struct zone *zone, uint32_t index, uint32_t page_count, enum runs_kind rest_kind,
                               give_back *back)
{
    const uint32_t first = least_of((uint32_t)bits_round_up(index, os_pages()), index + page_count);
    const uint32_t end = (uint32_t)bits_round_down(index + page_count, os_pages());
    const uint32_t whole = end > first ? end - first : 0;
    enum runs_kind kind = RUNS_CLEAN;
    int err = -EINVAL;
    jdb__runs_start(&zone->runs, index, runs_make_word(RUNS_CACHED, 0, page_count));
    if (whole > 0) {
        heap.stats.decommit_calls++;
        jdb__heap_unlock();
        err = back(page_address(zone, first), bytes_of(whole), &kind);
        jdb__heap_lock();
    }
    jdb__runs_end(&zone->runs, index);
    if (err != 0) {
        jdb__runs_give(&zone->runs, index, page_count, rest_kind);
        return 0;
    }
    if (first > index)
        jdb__runs_give(&zone->runs, index, first - index, rest_kind);
    jdb__runs_give(&zone->runs, first, whole, kind);
    heap.stats.mapped_pages -= kind == RUNS_RESERVED ? whole : 0;
    if (index + page_count > end)
        jdb__runs_give(&zone->runs, end, index + page_count - end, rest_kind);
    heap.stats.given_pages += whole;
    return whole;
}

/* What the system does not take becomes of the other generation, so that who empties one of them comes to an end. */
static uint32_t purge_extent(struct zone *zone, uint32_t extent)
{
    const uint64_t word = runs_word(&zone->runs, extent);
    const enum runs_kind other = runs_kind_of(word) == RUNS_DIRTY_0 ? RUNS_DIRTY_1 : RUNS_DIRTY_0;
    jdb__runs_take(&zone->runs, extent, extent, runs_pages_of(word));
    return give_to_system(zone, extent, runs_pages_of(word), other, empty);
}

static uint64_t dirty_pages(void)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < atomic_load_explicit(&heap.zone_count, memory_order_relaxed); i++)
        pages += heap.zones[i]->runs.free_pages[RUNS_DIRTY_0] + heap.zones[i]->runs.free_pages[RUNS_DIRTY_1];
    return pages;
}

/* Give a generation back, the largest extents first, until at most `keep` pages are dirty. No more pages are tried than
 * it has now: others may drop as fast as this one gives back. Lock held, let go inside. */
static void purge_kind(enum runs_kind kind, uint64_t keep)
{
    for (unsigned i = 0; i < atomic_load_explicit(&heap.zone_count, memory_order_relaxed); i++) {
        struct zone *const zone = heap.zones[i];
        uint64_t left = zone->runs.free_pages[kind];
        while (left > 0 && dirty_pages() > keep && runs_any(&zone->runs, kind) != RUNS_NONE) {
            const uint32_t extent = jdb__runs_largest(&zone->runs, kind);
            const uint32_t page_count = extent_pages(zone, extent);
            left -= page_count < left ? page_count : left;
            purge_extent(zone, extent);
        }
    }
}

static void purge_both(uint64_t keep)
{
    const enum runs_kind young = heap.young;
    purge_kind(old_kind(), keep);
    purge_kind(young, keep);
}

/* Pages that may stay dirty: what the user set, or a share of what is out where that is more. */
static uint64_t warm_max(void)
{
    const uint64_t share = heap.stats.taken_pages / WARM_SHARE;
    return heap.is_warm_set || share < heap.warm_pages ? heap.warm_pages : share;
}

/* Give one large extent back, of the zone and the generation whose extents are larger. Returns pages; 0: there is none,
 * the system refuses, or it holds no whole page of the system. */
static uint32_t purge_large(void)
{
    struct zone *from = NULL;
    enum runs_kind from_kind = RUNS_DIRTY_0;
    uint32_t most = 0;
    for (unsigned i = 0; i < atomic_load_explicit(&heap.zone_count, memory_order_relaxed); i++)
        for (enum runs_kind kind = RUNS_DIRTY_0; kind <= RUNS_DIRTY_1; kind++) {
            const uint32_t largest = jdb__runs_largest(&heap.zones[i]->runs, kind);
            if (largest == RUNS_NONE || extent_pages(heap.zones[i], largest) <= most)
                continue;
            from = heap.zones[i];
            from_kind = kind;
            most = extent_pages(from, largest);
        }
    return from == NULL ? 0 : purge_extent(from, jdb__runs_highest(&from->runs, from_kind));
}

/* More is dirty than shall be kept warm: down to three quarters of it. Where one extent does not go (the program locked
 * it), the others do, in the order of their age. What stayed then counts no more, so that the next try is not at the next
 * drop. */
static void purge_over_warm(void)
{
    const uint64_t max = warm_max();
    const uint64_t keep = max / 4 * 3;
    uint64_t left = dirty_pages();
    if (left <= keep + heap.refused_pages)
        heap.refused_pages = left > keep ? left - keep : 0;
    if (left <= max + heap.refused_pages + heap.refused_pages / 8)
        return;
    heap.refused_pages = 0;
    while (left > 0 && dirty_pages() > keep) {
        const uint32_t pages = purge_large();
        left -= pages < left ? pages : left;
        if (pages == 0) {
            purge_both(keep);
            heap.refused_pages = dirty_pages() > keep ? dirty_pages() - keep : 0;
            return;
        }
    }
}

/* Pages of a bounded run that were readable are reserved again. Where the system refuses to take them, they are emptied: what is
 * readable and reads as zero may be reserved. 0; else the system refused that too. */
static int unreserve(struct zone *zone, uint32_t index, uint32_t readable)
{
    uint8_t *const ptr = page_address(zone, index);
    const int err = jdb__os_decommit_to_reserved(ptr, bytes_of(readable));
    return err == 0 ? 0 : jdb__os_decommit(ptr, bytes_of(readable));
}

/* The words behind the first one have no memory yet, so the run goes back as a whole, or stays as if cached, its link the next of
 * those that were refused. Lock held, let go inside. */
static void give_bounded(struct zone *zone, uint32_t index, uint32_t max_pages)
{
    struct runs_link *const link = &zone->runs.links[index];
    const uint32_t readable = (uint32_t)bits_round_up(link->left, os_pages());
    jdb__runs_start(&zone->runs, index, runs_make_word(RUNS_CACHED, 0, max_pages));
    heap.stats.decommit_calls++;
    jdb__heap_unlock();
    const int err = unreserve(zone, index, readable);
    jdb__heap_lock();
    if (err != 0) {
        link->right = zone->refused;
        zone->refused = index;
        return;
    }
    jdb__runs_end(&zone->runs, index);
    heap.stats.mapped_pages -= readable;
    jdb__runs_give(&zone->runs, index, max_pages, RUNS_RESERVED);
}

/* Once more for those that were refused. Lock held, let go inside. */
static void retry_bounded(void)
{
    for (unsigned i = 0; i < atomic_load_explicit(&heap.zone_count, memory_order_relaxed); i++) {
        struct zone *const zone = heap.zones[i];
        uint32_t index = zone->refused;
        zone->refused = RUNS_NONE;
        while (index != RUNS_NONE) {
            const uint32_t next = zone->runs.links[index].right;
            give_bounded(zone, index, extent_pages(zone, index));
            index = next;
        }
    }
}

/* Make a run free. Lock held, let go inside. */
static void give_run(const struct heap_run *run)
{
    struct zone *const zone = run->zone;
    const uint64_t word = runs_word(&zone->runs, run->index);
    const uint32_t size = jdb__heap_size(run);
    jdb__runs_end(&zone->runs, run->index);
    count_back(size);
    if ((word & RUNS_FLAG_BOUNDED) != 0) {
        give_bounded(zone, run->index, run->page_count);
        return;
    }
    const uint32_t page_count = run->page_count + lower_guard(zone, run->index + run->page_count);
    if ((word & RUNS_FLAG_MOVED) != 0)
        give_to_system(zone, run->index, page_count, heap.young, replace);
    else
        jdb__runs_give(&zone->runs, run->index, page_count, run->is_zero ? RUNS_CLEAN : heap.young);
}

void jdb__heap_give(const struct heap_run *run)
{
    jdb__heap_lock();
    give_run(run);
    purge_over_warm();
    jdb__heap_unlock();
}

void jdb__heap_give_batch(const uint32_t *indices, unsigned count)
{
    jdb__heap_lock();
    struct zone *const zone = heap.zones[0];
    for (unsigned i = 0; i < count; i++) {
        const uint64_t word = runs_word(&zone->runs, indices[i]);
        const struct heap_run run = {zone, indices[i], runs_pages_of(word), (word & RUNS_FLAG_ZERO) != 0};
        give_run(&run);
    }
    purge_over_warm();
    jdb__heap_unlock();
}

/* ---- Change in place -------------------------------------------------------------------------------------- */

/* Pages of any free extent that starts right behind the run; reserved ones are made readable first. */
static uint32_t free_behind(const struct heap_run *run, uint32_t wanted)
{
    struct zone *const zone = run->zone;
    const uint32_t behind = run->index + run->page_count;
    uint32_t page_count = 0;
    enum runs_kind kind = RUNS_CLEAN;
    if (!jdb__runs_extent_at(&zone->runs, behind, &page_count, &kind))
        return 0;
    if (kind != RUNS_RESERVED)
        return page_count;
    if (page_count < wanted || behind % os_pages() != 0 || commit_pages(zone, behind, behind, wanted) != 0)
        return 0;
    jdb__runs_extent_at(&zone->runs, behind, &page_count, &kind);
    return page_count;
}

static bool extend_run(struct heap_run *run, uint32_t least_pages, uint32_t best_pages, uint32_t step_pages)
{
    uint64_t missing = 0;
    if (check_limit(best_pages - run->page_count, &missing) != 0)
        best_pages = least_pages;
    if (check_limit(best_pages - run->page_count, &missing) != 0)
        return false;
    const uint32_t room = guard_pages() == 0 ? free_behind(run, best_pages - run->page_count) : 0;
    const uint32_t page_count = (uint32_t)bits_round_down(least_of(run->page_count + room, best_pages), step_pages);
    if (room == 0 || page_count < least_pages)
        return false;
    const uint32_t more = page_count - run->page_count;
    const uint32_t behind = run->index + run->page_count;
    jdb__runs_take(&run->zone->runs, behind, behind, more);
    atomic_fetch_add_explicit(jdb__heap_word(run), (uint64_t)more << RUNS_PAGE_SHIFT, memory_order_relaxed);
    count_resized(run->page_count, page_count);
    run->page_count = page_count;
    return true;
}

bool jdb__heap_extend(struct heap_run *run, uint32_t least_pages, uint32_t best_pages, uint32_t step_pages)
{
    jdb__heap_lock();
    const bool is_extended = extend_run(run, least_pages, best_pages, step_pages);
    jdb__heap_unlock();
    return is_extended;
}

/* Cut off the pages of a run from `at` on; with guards, the first of them becomes the new one. */
static void cut_tail(const struct heap_run *run, uint32_t at, uint64_t flags)
{
    struct zone *const zone = run->zone;
    const uint32_t end = run->index + run->page_count;
    raise_guard(zone, at);
    at += guard_pages();
    if (at < end) {
        const struct heap_run rest = {zone, at, end - at, false};
        count_out(rest.page_count, 1);
        jdb__runs_start(&zone->runs, at, runs_make_word(RUNS_CACHED, flags, rest.page_count));
        give_run(&rest);
    } else {
        lower_guard(zone, end);
        jdb__runs_give(&zone->runs, end, guard_pages(), heap.young);
    }
}

int jdb__heap_cut(struct heap_run *run, uint32_t page_count)
{
    jdb__heap_lock();
    uint64_t word = runs_word(&run->zone->runs, run->index);
    const uint64_t flags = word & RUNS_FLAG_MOVED;
    const uint64_t cut_word = runs_make_word(RUNS_LENT, flags, page_count);
    int err = 0;
    if (runs_pins_of(word) > 0 || !atomic_compare_exchange_strong(jdb__heap_word(run), &word, cut_word)) {
        err = -EBUSY;
    } else {
        count_resized(run->page_count, page_count);
        cut_tail(run, run->index + page_count, flags);
        purge_over_warm();
        run->page_count = page_count;
    }
    jdb__heap_unlock();
    return err;
}

/* A run whose addresses may be another thread's: it is no longer the heap's, nor does it count. */
static void lose_run(const struct heap_run *run)
{
    count_back(run->page_count);
    heap.stats.mapped_pages -= run->page_count;
    runs_set_word(&run->zone->runs, run->index, runs_make_word(RUNS_LOST, 0, run->page_count));
}

/* The mark stands also where only a part was moved before the system refused. */
int jdb__heap_move(const struct heap_run *from, const struct heap_run *to)
{
    if (from->page_count % os_pages() != 0 || from->index % os_pages() != 0 || to->index % os_pages() != 0)
        return -ENOTSUP;
    atomic_fetch_or_explicit(jdb__heap_word(to), RUNS_FLAG_MOVED, memory_order_relaxed);
    const int err = jdb__os_move(jdb__heap_address(from), bytes_of(from->page_count), jdb__heap_address(to));
    jdb__heap_lock();
    heap.stats.remap_calls++;
    if (err == -EADDRNOTAVAIL)
        lose_run(to);
    jdb__heap_unlock();
    return err;
}

/* ---- Give memory back ------------------------------------------------------------------------------------- */

void jdb__heap_purge(void)
{
    jdb__heap_lock();
    heap.refused_pages = 0;
    retry_bounded();
    purge_both(0);
    jdb__heap_unlock();
}

/* Of threads that turn at once, the first to end turns. */
void jdb__heap_turn(void)
{
    jdb__heap_lock();
    const uint64_t turn_count = heap.turn_count;
    const enum runs_kind old = old_kind();
    heap.refused_pages = 0;
    retry_bounded();
    purge_kind(old, 0);
    if (heap.turn_count == turn_count) {
        heap.young = old;
        heap.turn_count++;
    }
    jdb__heap_unlock();
}

void jdb__heap_set_warm(uint64_t bytes)
{
    jdb__heap_lock();
    heap.is_warm_set = bytes != 0;
    heap.warm_pages = bytes != 0 ? bytes / JDB_PAGE_SIZE : WARM_PAGES_LEAST;
    heap.refused_pages = 0;
    purge_over_warm();
    jdb__heap_unlock();
}

void jdb__heap_set_limit(const struct heap_limit *limit)
{
    jdb__heap_lock();
    heap.limit = *limit;
    heap.stats.limit_pages = limit->bytes / JDB_PAGE_SIZE;
    jdb__heap_unlock();
}

struct heap_limit jdb__heap_limit(void)
{
    jdb__heap_lock();
    const struct heap_limit limit = heap.limit;
    jdb__heap_unlock();
    return limit;
}

/* ---- Look ------------------------------------------------------------------------------------------------- */

static bool find_in_zone(struct zone *zone, uintptr_t offset, struct heap_run *ret_run)
{
    const uint32_t index = (uint32_t)(offset / JDB_PAGE_SIZE);
    const uint32_t head = jdb__runs_head_of(&zone->runs, index);
    if (head == RUNS_NONE)
        return false;
    const uint64_t word = runs_word(&zone->runs, head);
    if (runs_state_of(word) == RUNS_LOST)
        return false;
    *ret_run = (struct heap_run){zone, head, runs_pages_of(word), false};
    return true;
}

bool jdb__heap_find(const void *ptr, struct heap_run *ret_run)
{
    const unsigned count = atomic_load_explicit(&heap.zone_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        const uintptr_t offset = (uintptr_t)ptr - (uintptr_t)heap.zones[i]->base;
        if (offset < bytes_of(heap.zones[i]->runs.page_count))
            return find_in_zone(heap.zones[i], offset, ret_run);
    }
    return false;
}

bool jdb__heap_overlaps(const void *ptr, size_t size)
{
    const unsigned count = atomic_load_explicit(&heap.zone_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        const uintptr_t base = (uintptr_t)heap.zones[i]->base;
        if ((uintptr_t)ptr < base + bytes_of(heap.zones[i]->runs.page_count) && base < (uintptr_t)ptr + size)
            return true;
    }
    return false;
}

bool jdb__heap_is_front(const struct heap_run *run)
{
    return run->zone == heap.zones[0];
}

void jdb__heap_stats(struct heap_stats *ret_stats)
{
    jdb__heap_lock();
    *ret_stats = heap.stats;
    ret_stats->dirty_pages = dirty_pages();
    jdb__heap_unlock();
}

/* Resident bytes of [index, index + page_count), which is readable or reserved, in whole pages of the system, but for what lies
 * before *counted_end; that moves on. */
static int count_resident(const struct zone *zone, uint32_t index, uint32_t page_count, uint8_t **counted_end,
                          uint64_t *bytes)
{
    unsigned char pages[1024];
    const size_t system_page = jdb__os_page_size();
    uint8_t *const begin = page_address(zone, index / os_pages() * os_pages());
    uint8_t *const end = page_address(zone, (uint32_t)bits_round_up(index + page_count, os_pages()));
    uint8_t *at = begin > *counted_end ? begin : *counted_end;
    while (at < end) {
        const size_t left = (size_t)(end - at);
        const size_t size = left < sizeof pages * system_page ? left : sizeof pages * system_page;
        const int err = jdb__os_resident(at, size, pages);
        if (err != 0)
            return err;
        for (size_t i = 0; i < size / system_page; i++)
            *bytes += (pages[i] & 1u) * system_page;
        at += size;
    }
    *counted_end = at;
    return 0;
}

static int zone_resident(const struct zone *zone, uint64_t *bytes)
{
    uint8_t *counted_end = zone->base;
    uint32_t index = 0;
    int err = 0;
    while (err == 0 && index < zone->runs.page_count) {
        const uint64_t word = runs_word(&zone->runs, index);
        const bool is_reserved = runs_state_of(word) == RUNS_FREE && runs_kind_of(word) == RUNS_RESERVED;
        const bool is_lost = runs_state_of(word) == RUNS_LOST;
        const uint32_t page_count = runs_pages_of(word);
        const bool is_bounded = runs_state_of(word) == RUNS_LENT && (word & RUNS_FLAG_BOUNDED) != 0;
        const uint32_t readable = is_bounded ? zone->runs.links[index].left : page_count;
        if (!is_reserved && !is_lost)
            err = count_resident(zone, index, readable, &counted_end, bytes);
        index += page_count;
    }
    return err;
}

int jdb__heap_resident(uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    int err = 0;
    jdb__heap_lock();
    const unsigned count = atomic_load_explicit(&heap.zone_count, memory_order_relaxed);
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = zone_resident(heap.zones[i], &bytes);
    jdb__heap_unlock();
    if (err == 0)
        *ret_bytes = bytes;
    return err;
}
