/* SPDX-License-Identifier: MIT
 *
 * bounded.c - runs with addresses for a maximum, of which the low part is readable and grows in place.
 *
 * They have zones of their own (zone.h), in which all that is free is reserved. The word of a bounded run has its maximum,
 * the link of its first page its present size: `left` in pages. Words behind that size need not be readable. What the
 * system does not take of a freed one is dirty, and tried again as all that is dirty.
 */
#include "base/bits.h"
#include "base/check.h"
#include "page/heap_state.h"

/* Readable pages that page_count pages need: whole pages of the system. */
static uint32_t bounded_readable(uint32_t page_count)
{
    return (uint32_t)bits_round_up(page_count, system_pages());
}

int jdb__bounded_take(struct zone *zone, const struct heap_wish *wish, struct run *ret_run)
{
    const uint32_t max_pages = (uint32_t)bits_round_up(wish->max_pages, system_pages());
    const uint32_t readable = bounded_readable(wish->page_count);
    uint32_t low = 0;
    const uint32_t extent = jdb__extents_find(&zone->extents, EXTENT_RESERVED, max_pages, 1, 0, &low);
    if (extent == PAGE_NONE)
        return ZONE_IS_FULL;
    const uint32_t at = extent + extents_pages(&zone->extents, extent) - max_pages;
    int err = jdb__zone_commit_tables(zone, at == 0 ? 0 : at - 1, at + readable);
    if (err != 0)
        return err;
    jdb__heap.stats.map_calls++;
    err = jdb__os_commit(zone_address(zone, at), pages_to_bytes(readable));
    if (err != 0)
        return err;
    jdb__extents_take(&zone->extents, extent, at, max_pages);
    jdb__extents_start(&zone->extents, at, word_make(WORD_LENT, 0, max_pages));
    zone->extents.links[at].left = wish->page_count;
    jdb__heap.stats.mapped_pages += readable;
    *ret_run = (struct run){zone, at, max_pages, true};
    return 0;
}

static int bounded_grow(struct zone *zone, uint32_t index, uint32_t from, uint32_t to)
{
    const uint32_t readable = bounded_readable(from);
    const uint32_t wanted = bounded_readable(to);
    if (wanted == readable)
        return 0;
    int err = jdb__zone_commit_tables(zone, index, index + wanted);
    if (err != 0)
        return err;
    jdb__heap.stats.map_calls++;
    err = jdb__os_commit(zone_address(zone, index + readable), pages_to_bytes(wanted - readable));
    if (err == 0)
        jdb__heap.stats.mapped_pages += wanted - readable;
    return err;
}

/* Lock held, released for the call: only the owner of the run changes its size. */
static int bounded_cut(struct zone *zone, uint32_t index, uint32_t from, uint32_t to)
{
    const uint32_t readable = bounded_readable(from);
    const uint32_t wanted = bounded_readable(to);
    if (wanted == readable)
        return 0;
    jdb__heap.stats.decommit_calls++;
    jdb__heap_unlock();
    const int err = jdb__os_decommit_to_reserved(zone_address(zone, index + wanted), pages_to_bytes(readable - wanted));
    jdb__heap_lock();
    if (err == 0)
        jdb__heap.stats.mapped_pages -= readable - wanted;
    return err;
}

static int bounded_resize(const struct run *run, uint32_t page_count, uint64_t *ret_missing)
{
    struct extents *const extents = &run->zone->extents;
    const uint64_t word = extents_word(extents, run->index);
    uint32_t *const size = &extents->links[run->index].left;
    JDB_ASSERT(word_state(word) == WORD_LENT && run->zone->is_bounded);
    JDB_ASSERT(*size > 0 && *size <= word_pages(word) && page_count > 0);
    if (page_count > word_pages(word))
        return -ENOBUFS;
    if (page_count < *size && word_pins(word) > 0)
        return -EBUSY;
    if (page_count > *size && heap_check_limit(page_count - *size, ret_missing) != 0)
        return -EDQUOT;
    const int err = page_count > *size ? bounded_grow(run->zone, run->index, *size, page_count)
                                       : bounded_cut(run->zone, run->index, *size, page_count);
    if (err != 0)
        return -ENOMEM;
    heap_count_resized(*size, page_count);
    __atomic_store_n(size, page_count, __ATOMIC_RELAXED); /* run_pages() reads it without the lock */
    return 0;
}

int jdb__heap_resize_bounded(const struct run *run, uint32_t page_count, uint64_t *ret_missing)
{
    jdb__heap_lock();
    const int err = bounded_resize(run, page_count, ret_missing);
    jdb__heap_unlock();
    return err;
}

void jdb__bounded_give(const struct run *run, uint32_t page_count)
{
    const uint32_t readable = bounded_readable(page_count);
    JDB_ASSERT(heap_is_locked() && readable <= run->page_count);
    if (readable < run->page_count)
        jdb__extents_give(&run->zone->extents, run->index + readable, run->page_count - readable, EXTENT_RESERVED);
    jdb__purge_bounded(run->zone, run->index, readable);
}
