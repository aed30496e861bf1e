/* SPDX-License-Identifier: MIT
 *
 * bounded.c - runs with addresses for a maximum, of which the low part is readable and grows in place.
 *
 * The word of a bounded run has its maximum, the link of its first page its present size: `left` in pages. Words behind
 * the first one have no memory yet. A freed bounded run that the system does not take stays as if it were cached;
 * `right` of its link is then the next one of those that were refused.
 */
#include "base/bits.h"
#include "base/check.h"
#include "page/heap_state.h"

/* Readable pages that page_count pages need: whole pages of the system. */
static uint32_t bounded_readable(uint32_t page_count)
{
    return (uint32_t)bits_round_up(page_count, system_pages());
}

/* The high end of the smallest reserved extent that holds it, in whole pages of the system: what a freed bounded run
 * left is used again before the high end of the zone. */
static int bounded_take_from(struct zone *zone, uint32_t page_count, uint32_t max_pages, struct run *ret_run)
{
    uint32_t low = 0;
    const uint32_t extent = jdb__extents_find(&zone->extents, EXTENT_RESERVED, max_pages, 1, 0, &low);
    if (extent == PAGE_NONE)
        return ZONE_IS_FULL;
    const uint32_t at = extent + extents_pages(&zone->extents, extent) - max_pages;
    int err = jdb__zone_commit_tables(zone, at == 0 ? 0 : at - 1, at);
    if (err != 0)
        return err;
    const uint32_t readable = bounded_readable(page_count);
    jdb__heap.stats.map_calls++;
    err = jdb__os_commit(zone_address(zone, at), pages_to_bytes(readable));
    if (err != 0)
        return err;
    jdb__extents_take(&zone->extents, extent, at, max_pages);
    jdb__extents_start(&zone->extents, at, word_make(WORD_LENT, WORD_BOUNDED, max_pages));
    zone->extents.links[at].left = page_count;
    jdb__heap.stats.mapped_pages += readable;
    *ret_run = (struct run){zone, at, max_pages, true};
    return 0;
}

static int bounded_take(uint32_t page_count, uint32_t max_pages, struct run *ret_run)
{
    const unsigned count = heap_zone_count();
    for (unsigned i = 0; i < count; i++) {
        const int err = bounded_take_from(jdb__heap.zones[i], page_count, max_pages, ret_run);
        if (err != ZONE_IS_FULL)
            return err;
    }
    struct zone *zone = NULL;
    const int err = jdb__zone_new(max_pages, &zone);
    return err != 0 ? err : jdb__zone_keep(zone, bounded_take_from(zone, page_count, max_pages, ret_run));
}

int jdb__heap_take_bounded(uint32_t page_count, uint32_t max_pages, struct run *ret_run, uint64_t *ret_missing)
{
    jdb__heap_lock();
    int err = heap_check_limit(page_count, ret_missing);
    if (err == 0)
        err = bounded_take(page_count, (uint32_t)bits_round_up(max_pages, system_pages()), ret_run);
    if (err == 0)
        heap_count_taken(page_count, 1);
    jdb__heap_unlock();
    return err;
}

static int bounded_grow(struct zone *zone, uint32_t index, uint32_t from, uint32_t to)
{
    const uint32_t readable = bounded_readable(from);
    const uint32_t wanted = bounded_readable(to);
    if (wanted == readable)
        return 0;
    jdb__heap.stats.map_calls++;
    const int err = jdb__os_commit(zone_address(zone, index + readable), pages_to_bytes(wanted - readable));
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
    JDB_ASSERT(word_state(word) == WORD_LENT && (word & WORD_BOUNDED) != 0);
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

/* Make the readable pages of a bounded run reserved again. Where the system refuses, they are emptied: pages that
 * are readable and read as zero may count as reserved. An error: the system refused that too. */
static int bounded_to_reserved(struct zone *zone, uint32_t index, uint32_t readable)
{
    uint8_t *const ptr = zone_address(zone, index);
    const int err = jdb__os_decommit_to_reserved(ptr, pages_to_bytes(readable));
    return err == 0 ? 0 : jdb__os_decommit(ptr, pages_to_bytes(readable));
}

void jdb__bounded_give(struct zone *zone, uint32_t index, uint32_t max_pages)
{
    struct extent_link *const link = &zone->extents.links[index];
    JDB_ASSERT(heap_is_locked() && link->left <= max_pages);
    const uint32_t readable = bounded_readable(link->left);
    jdb__extents_start(&zone->extents, index, word_make(WORD_CACHED, 0, max_pages)); /* P13 */
    jdb__heap.stats.decommit_calls++;
    jdb__heap_unlock();
    const int err = bounded_to_reserved(zone, index, readable);
    jdb__heap_lock();
    if (err != 0) {
        link->right = zone->refused;
        zone->refused = index;
        return;
    }
    jdb__extents_end(&zone->extents, index);
    jdb__heap.stats.mapped_pages -= readable;
    jdb__extents_give(&zone->extents, index, max_pages, EXTENT_RESERVED);
}

/* Of one zone; returns how many of `count` are left. Those that are refused again are put before the rest, so the rest
 * is taken out first. */
static unsigned bounded_retry_zone(struct zone *zone, unsigned count)
{
    uint32_t first = zone->refused;
    uint32_t end = first;
    for (unsigned i = 0; i < count && end != PAGE_NONE; i++)
        end = zone->extents.links[end].right;
    zone->refused = end;
    for (; first != end; count--) {
        const uint32_t next = zone->extents.links[first].right;
        jdb__bounded_give(zone, first, extents_pages(&zone->extents, first));
        first = next;
    }
    return count;
}

void jdb__bounded_retry(unsigned count)
{
    JDB_ASSERT(heap_is_locked());
    for (unsigned i = 0; i < heap_zone_count() && count > 0; i++)
        count = bounded_retry_zone(jdb__heap.zones[i], count);
}
