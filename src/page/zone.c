/* SPDX-License-Identifier: MIT
 *
 * zone.c - makes zones, and their pages and tables readable; finds the zone of an address.
 *
 * The system calls that make addresses readable are made under the heap's lock: they are rare, since they go by steps.
 */
#include "page/zone.h"

#include "base/bits.h"
#include "base/check.h"
#include "page/heap_state.h"

/* Pages of the primary zone: 1 TiB. Sanitizers keep most addresses for themselves. */
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

/* Addresses become readable by steps of at least this many pages, 4 MiB. */
#define ZONE_STEP_PAGES (UINT32_C(1) << 10)

struct primary_zone jdb__primary;

/* ---- Tables ----------------------------------------------------------------------------------------------- */

static bool zone_has_chunk(const struct zone *zone, uint32_t index)
{
    const uint32_t chunk = index / ZONE_CHUNK_PAGES;
    return (zone->chunks[chunk / 64] >> (chunk % 64) & 1) != 0;
}

/* Bytes of the tables of one chunk. */
static size_t zone_chunk_bytes(void)
{
    return 2 * sizeof(uint64_t) * ZONE_CHUNK_PAGES + jdb__extents_heads_size(ZONE_CHUNK_PAGES);
}

/* Make the tables of chunks [first, end) readable. */
static int zone_commit_chunks(struct zone *zone, uint32_t first, uint32_t end)
{
    const size_t size = (size_t)(end - first) * ZONE_CHUNK_PAGES * sizeof(uint64_t);
    const size_t at = (size_t)first * ZONE_CHUNK_PAGES;
    jdb__heap.stats.map_calls += 2;
    int err = jdb__os_commit((void *)(uintptr_t)&zone->extents.words[at], size);
    if (err == 0)
        err = jdb__os_commit(&zone->extents.links[at], size);
    if (err != 0)
        return err;
    for (uint32_t chunk = first; chunk < end; chunk++) {
        if (!zone_has_chunk(zone, chunk * ZONE_CHUNK_PAGES))
            jdb__heap.stats.bookkeeping_bytes += zone_chunk_bytes();
        zone->chunks[chunk / 64] |= UINT64_C(1) << (chunk % 64);
    }
    return 0;
}

/* The fast path may read words up to the first chunk that is not readable. */
static void zone_advance_primary(const struct zone *zone)
{
    if (zone != jdb__heap.primary)
        return;
    uint32_t index = atomic_load_explicit(&jdb__primary.page_count, memory_order_relaxed);
    while (index < zone->extents.page_count && zone_has_chunk(zone, index))
        index += ZONE_CHUNK_PAGES;
    JDB_ASSERT(bits_min(index, zone->extents.page_count) >= jdb__primary.page_count); /* P10 */
    atomic_store_explicit(&jdb__primary.page_count, (uint32_t)bits_min(index, zone->extents.page_count),
                          memory_order_release);
}

int jdb__zone_commit_tables(struct zone *zone, uint32_t first, uint32_t last)
{
    uint32_t chunk = first / ZONE_CHUNK_PAGES;
    uint32_t end = (uint32_t)bits_min(last, zone->extents.page_count - 1) / ZONE_CHUNK_PAGES + 1;
    while (chunk < end && zone_has_chunk(zone, chunk * ZONE_CHUNK_PAGES))
        chunk++;
    while (end > chunk && zone_has_chunk(zone, (end - 1) * ZONE_CHUNK_PAGES))
        end--;
    if (chunk == end)
        return 0;
    const int err = zone_commit_chunks(zone, chunk, end);
    zone_advance_primary(zone);
    return err;
}

static void zone_empty_table(void *begin, void *end)
{
    const uintptr_t from = bits_round_up((uintptr_t)begin, jdb__os_page_size());
    const uintptr_t to = bits_round_down((uintptr_t)end, jdb__os_page_size());
    if (to > from)
        (void)jdb__os_decommit((void *)from,
                               to - from); /* words are 0 already, links are stored before they are read */
}

void jdb__zone_empty_tables(struct zone *zone, uint32_t index, uint32_t page_count)
{
    JDB_ASSERT(page_count > 2 && page_count <= zone->extents.page_count - index);
    struct extents *const extents = &zone->extents;
    const uint32_t last = index + page_count - 1;
    zone_empty_table((void *)(uintptr_t)&extents->words[index + 1], (void *)(uintptr_t)&extents->words[last]);
    zone_empty_table(&extents->links[index + 1], &extents->links[last]);
}

/* ---- Zones ------------------------------------------------------------------------------------------------ */

/* Heads, and blocks that are huge. */
static size_t zone_bitmap_bytes(uint32_t page_count)
{
    return bits_round_up(jdb__extents_heads_size(page_count) + jdb__huge_table_bytes(page_count), jdb__os_page_size());
}

static int zone_map_tables(uint32_t page_count, void **ret_words, void **ret_links, void **ret_heads)
{
    const size_t table_size = bits_round_up(page_count, ZONE_CHUNK_PAGES) * sizeof(uint64_t);
    const size_t heads_size = zone_bitmap_bytes(page_count);
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

static void zone_unmap_tables(uint32_t page_count, void *tables)
{
    const size_t table_size = bits_round_up(page_count, ZONE_CHUNK_PAGES) * sizeof(uint64_t);
    const size_t heads_size = zone_bitmap_bytes(page_count);
    jdb__heap.stats.unmap_calls++;
    jdb__os_unmap(tables, 2 * table_size + heads_size);
}

/* Tables for a new zone, which is one reserved extent: the words of both its ends are readable. */
static int zone_init_tables(struct zone *zone, uint32_t page_count)
{
    void *words = NULL;
    void *links = NULL;
    void *heads = NULL;
    int err = zone_map_tables(page_count, &words, &links, &heads);
    if (err != 0)
        return err;
    zone->extents = (struct extents){.words = words, .links = links, .page_count = page_count};
    const uint32_t last = (page_count - 1) / ZONE_CHUNK_PAGES;
    const uint64_t bookkeeping_before = jdb__heap.stats.bookkeeping_bytes;
    err = zone_commit_chunks(zone, 0, 1);
    if (err == 0 && last > 0)
        err = zone_commit_chunks(zone, last, last + 1);
    if (err != 0) {
        jdb__heap.stats.bookkeeping_bytes = bookkeeping_before;
        zone_unmap_tables(page_count, words);
        return err;
    }
    zone->huge = (uint64_t *)(void *)((uint8_t *)heads + jdb__extents_heads_size(page_count));
    jdb__extents_init(&zone->extents, words, links, heads, page_count);
    return 0;
}

static int zone_alloc(uint32_t page_count, bool is_bounded, struct zone **ret_zone)
{
    void *memory = NULL;
    int err = jdb__os_alloc(sizeof(struct zone), &memory);
    if (err != 0)
        return err;
    struct zone *const zone = memory;
    void *base = NULL;
    jdb__heap.stats.map_calls += 3;
    err = jdb__os_reserve(pages_to_bytes(page_count), &base);
    if (err == 0)
        err = zone_init_tables(zone, page_count);
    if (err != 0) {
        if (base != NULL)
            jdb__os_unmap(base, pages_to_bytes(page_count));
        jdb__os_free(zone);
        return err;
    }
    zone->base = base;
    zone->is_bounded = is_bounded;
    *ret_zone = zone;
    return 0;
}

static void zone_publish(struct zone *zone)
{
    const unsigned count = heap_zone_count();
    JDB_ASSERT(heap_is_locked() && count < ZONE_COUNT_MAX);
    jdb__heap.zones[count] = zone;
    jdb__heap.stats.reserved_pages += zone->extents.page_count;
    if (!zone->is_bounded && jdb__heap.primary == NULL) {
        jdb__heap.primary = zone;
        atomic_store_explicit(&jdb__primary.base, zone->base, memory_order_relaxed);
        atomic_store_explicit(&jdb__primary.words, zone->extents.words, memory_order_relaxed);
    }
    atomic_store_explicit(&jdb__heap.zone_count, count + 1, memory_order_release);
    zone_advance_primary(zone);
}

/* Undo zone_alloc(), and what was made readable in the zone since: nothing of it was ever lent. */
static void zone_free(struct zone *zone)
{
    const uint32_t page_count = zone->extents.page_count;
    for (uint32_t index = 0; index < page_count; index += ZONE_CHUNK_PAGES)
        jdb__heap.stats.bookkeeping_bytes -= zone_has_chunk(zone, index) ? zone_chunk_bytes() : 0;
    JDB_ASSERT(zone->extents.free_pages[EXTENT_RESERVED] + zone->extents.free_pages[EXTENT_CLEAN] == page_count);
    JDB_ASSERT(heap_zone_count() == 0 || jdb__heap.zones[heap_zone_count() - 1] != zone); /* P12 */
    jdb__heap.stats.mapped_pages -= zone->extents.free_pages[EXTENT_CLEAN];
    jdb__heap.stats.unmap_calls++;
    jdb__os_unmap(zone->base, pages_to_bytes(page_count));
    zone_unmap_tables(page_count, (void *)(uintptr_t)zone->extents.words);
    jdb__os_free(zone);
}

int jdb__zone_keep(struct zone *zone, int err)
{
    if (err == 0)
        zone_publish(zone);
    else
        zone_free(zone);
    return err;
}

static bool zone_is_first(bool is_bounded)
{
    for (unsigned i = 0; i < heap_zone_count(); i++)
        if (jdb__heap.zones[i]->is_bounded == is_bounded)
            return false;
    return true;
}

int jdb__zone_new(uint64_t page_count, bool is_bounded, struct zone **ret_zone)
{
    if (heap_zone_count() == 0)
        jdb__huge_start();
    if (heap_zone_count() == ZONE_COUNT_MAX || page_count > WORD_PAGE_MAX - ZONE_STEP_PAGES)
        return -ENOMEM;
    const uint32_t least = (uint32_t)bits_round_up(page_count, ZONE_STEP_PAGES);
    uint64_t wish = zone_is_first(is_bounded) ? ZONE_PAGES_FIRST : jdb__heap.stats.reserved_pages;
    int err = -ENOMEM;
    if (wish >= least && wish <= WORD_PAGE_MAX)
        err = zone_alloc((uint32_t)wish, is_bounded, ret_zone);
    for (wish = ZONE_PAGES_LEAST; err != 0 && wish > least; wish /= 4)
        err = zone_alloc((uint32_t)wish, is_bounded, ret_zone);
    return err == 0 ? 0 : zone_alloc(least, is_bounded, ret_zone);
}

/* ---- Readable pages --------------------------------------------------------------------------------------- */

int jdb__zone_commit(struct zone *zone, uint32_t extent, uint32_t at, uint32_t page_count)
{
    const uint32_t end = extent + extents_pages(&zone->extents, extent);
    const uint32_t from = (uint32_t)bits_round_down(at, system_pages());
    const uint32_t phase = zone_phase(zone, ZONE_STEP_PAGES);
    const uint64_t step_end = bits_round_up((uint64_t)at + page_count + ZONE_STEP_PAGES - phase, ZONE_STEP_PAGES) -
                              ZONE_STEP_PAGES + phase; /* where a block of huge.c ends */
    const uint32_t to = (uint32_t)bits_min(step_end, end);
    JDB_ASSERT(heap_is_locked() && word_kind(extents_word(&zone->extents, extent)) == EXTENT_RESERVED);
    int err = jdb__zone_commit_tables(zone, from == 0 ? 0 : from - 1, to);
    if (err != 0)
        return err;
    jdb__heap.stats.map_calls++;
    err = jdb__os_commit(zone_address(zone, from), pages_to_bytes(to - from));
    if (err != 0)
        return err;
    jdb__extents_take(&zone->extents, extent, from, to - from);
    jdb__extents_give(&zone->extents, from, to - from, EXTENT_CLEAN);
    jdb__heap.stats.mapped_pages += to - from;
    return 0;
}

int jdb__zone_commit_room(struct zone *zone, uint32_t page_count, uint32_t align_pages)
{
    uint32_t at = 0;
    const uint32_t extent =
        jdb__extents_find(&zone->extents, EXTENT_RESERVED, page_count, align_pages, zone_phase(zone, align_pages), &at);
    return extent == PAGE_NONE ? ZONE_IS_FULL : jdb__zone_commit(zone, extent, at, page_count);
}

/* ---- Look ------------------------------------------------------------------------------------------------- */

static bool zone_find(struct zone *zone, uintptr_t offset, struct run *ret_run)
{
    const uint32_t index = (uint32_t)(offset / JDB_PAGE_SIZE);
    const uint32_t head = jdb__extents_head_of(&zone->extents, index);
    if (head == PAGE_NONE)
        return false;
    const uint64_t word = extents_word(&zone->extents, head);
    if (word_state(word) == WORD_LOST)
        return false;
    *ret_run = (struct run){zone, head, word_pages(word), false};
    return true;
}

bool jdb__heap_find(const void *ptr, struct run *ret_run)
{
    const unsigned count = atomic_load_explicit(&jdb__heap.zone_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        const uintptr_t offset = (uintptr_t)ptr - (uintptr_t)jdb__heap.zones[i]->base;
        if (offset < pages_to_bytes(jdb__heap.zones[i]->extents.page_count))
            return zone_find(jdb__heap.zones[i], offset, ret_run);
    }
    return false;
}

bool jdb__heap_overlaps(const void *ptr, size_t size)
{
    const unsigned count = atomic_load_explicit(&jdb__heap.zone_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        const uintptr_t base = (uintptr_t)jdb__heap.zones[i]->base;
        if ((uintptr_t)ptr < base + pages_to_bytes(jdb__heap.zones[i]->extents.page_count) &&
            base < (uintptr_t)ptr + size)
            return true;
    }
    return false;
}

/* Add the resident bytes of [index, index + page_count), readable or reserved, in whole pages of the system. What
 * lies before *counted_end was counted already; it moves to the end. */
static int zone_count_resident(const struct zone *zone, uint32_t index, uint32_t page_count, uint8_t **counted_end,
                               uint64_t *bytes)
{
    unsigned char pages[1024];
    const size_t system_page = jdb__os_page_size();
    uint8_t *const begin = zone_address(zone, index / system_pages() * system_pages());
    uint8_t *const end = zone_address(zone, (uint32_t)bits_round_up(index + page_count, system_pages()));
    uint8_t *at = begin > *counted_end ? begin : *counted_end;
    while (at < end) {
        const size_t left = (size_t)(end - at);
        const size_t size = bits_min(left, sizeof pages * system_page);
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

/* Pages that are counted from one look at the tables to the next. */
#define RESIDENT_PAGES_MAX (UINT32_C(1) << 14)

/* Readable pages from *index on, some of one run or extent: *ret_first, and how many; 0: here are none. *index moves
 * behind what was looked at. */
static uint32_t zone_readable(const struct zone *zone, uint32_t *index, uint32_t *ret_first)
{
    const uint32_t first = *index;
    const uint32_t head = jdb__extents_head_of(&zone->extents, first);
    JDB_ASSERT(heap_is_locked() && head != PAGE_NONE); /* P1 */
    const uint64_t word = extents_word(&zone->extents, head);
    const bool is_reserved = word_state(word) == WORD_FREE && word_kind(word) == EXTENT_RESERVED;
    const bool is_bounded = word_state(word) == WORD_LENT && zone->is_bounded;
    const uint32_t end = head + (is_bounded ? zone->extents.links[head].left : word_pages(word));
    *ret_first = first;
    *index = head + word_pages(word);
    if (is_reserved || word_state(word) == WORD_LOST || end <= first)
        return 0;
    const uint32_t page_count = (uint32_t)bits_min(end - first, RESIDENT_PAGES_MAX);
    *index = first + page_count < end ? first + page_count : *index;
    return page_count;
}

/* The lock is taken for each look at the tables, so that no other thread waits long; what changes meanwhile is counted as
 * it was or as it is. */
static int zone_resident(const struct zone *zone, uint64_t *bytes)
{
    uint8_t *counted_end = zone->base;
    uint32_t index = 0;
    uint32_t first = 0;
    int err = 0;
    while (err == 0 && index < zone->extents.page_count) {
        jdb__heap_lock();
        const uint32_t page_count = zone_readable(zone, &index, &first);
        jdb__heap_unlock();
        if (page_count > 0)
            err = zone_count_resident(zone, first, page_count, &counted_end, bytes);
    }
    return err;
}

int jdb__heap_resident(uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    int err = 0;
    const unsigned count = atomic_load_explicit(&jdb__heap.zone_count, memory_order_acquire);
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = zone_resident(jdb__heap.zones[i], &bytes);
    if (err == 0)
        *ret_bytes = bytes;
    return err;
}
