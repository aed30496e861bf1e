/* SPDX-License-Identifier: MIT
 *
 * purge.c - gives dirty pages back to the system: those of an epoch that ended, and those beyond what may stay.
 *
 * A call that gives memory back takes as long as there are pages to free. So the extent is taken out, the lock is
 * released, and the extent is put back clean (P13). What the system refuses becomes part of the other generation, so
 * that a loop over one generation ends.
 */
#include "base/bits.h"
#include "base/check.h"
#include "page/defaults.h"
#include "page/heap_state.h"

/* How pages go back to the system, and what they are then. */
typedef int purge_call(void *ptr, size_t size, enum extent_kind *ret_kind);

static int purge_empty(void *ptr, size_t size, enum extent_kind *ret_kind)
{
    const int err = jdb__os_decommit(ptr, size);
    if (err == 0)
        *ret_kind = EXTENT_CLEAN;
    return err;
}

/* Pages that came by moving page tables have a mapping of their own: it is replaced. By one without access first,
 * for which nothing is charged: a fresh one that is refused could leave a hole. */
static int purge_replace(void *ptr, size_t size, enum extent_kind *ret_kind)
{
    const int err = jdb__os_decommit_to_reserved(ptr, size);
    if (err == 0)
        *ret_kind = jdb__os_commit(ptr, size) == 0 ? EXTENT_CLEAN : EXTENT_RESERVED;
    return err;
}

/* Give back pages that were taken out of the heap, and make them free: whole pages of the system as `call` says; the
 * rest, or all of them when the system refuses, as dirty pages of rest_kind. Returns the pages that went back. Lock
 * held, released for the call. */
static uint32_t purge_pages(struct zone *zone, uint32_t index, uint32_t page_count, enum extent_kind rest_kind,
                            purge_call *call)
{
    const uint32_t first = (uint32_t)bits_min(bits_round_up(index, system_pages()), index + page_count);
    const uint32_t end = (uint32_t)bits_round_down(index + page_count, system_pages());
    const uint32_t whole = end > first ? end - first : 0;
    enum extent_kind kind = EXTENT_CLEAN;
    int err = -EINVAL;
    JDB_ASSERT(heap_is_locked() && extent_kind_is_dirty(rest_kind));
    jdb__extents_start(&zone->extents, index, word_make(WORD_CACHED, 0, page_count)); /* P13 */
    if (whole > 0) {
        jdb__heap.stats.decommit_calls++;
        jdb__heap_unlock();
        err = call(zone_address(zone, first), pages_to_bytes(whole), &kind);
        jdb__heap_lock();
    }
    jdb__extents_end(&zone->extents, index);
    if (err != 0) {
        jdb__extents_give(&zone->extents, index, page_count, rest_kind);
        return 0;
    }
    if (first > index)
        jdb__extents_give(&zone->extents, index, first - index, rest_kind);
    jdb__extents_give(&zone->extents, first, whole, kind);
    jdb__heap.stats.mapped_pages -= kind == EXTENT_RESERVED ? whole : 0;
    if (index + page_count > end)
        jdb__extents_give(&zone->extents, end, index + page_count - end, rest_kind);
    jdb__heap.stats.given_pages += whole;
    return whole;
}

static uint32_t purge_extent(struct zone *zone, uint32_t extent)
{
    const uint64_t word = extents_word(&zone->extents, extent);
    const enum extent_kind other = word_kind(word) == EXTENT_DIRTY_0 ? EXTENT_DIRTY_1 : EXTENT_DIRTY_0;
    jdb__extents_take(&zone->extents, extent, extent, word_pages(word));
    return purge_pages(zone, extent, word_pages(word), other, purge_empty);
}

void jdb__purge_moved(struct zone *zone, uint32_t index, uint32_t page_count)
{
    purge_pages(zone, index, page_count, jdb__heap.young, purge_replace);
}

uint64_t jdb__purge_dirty_pages(void)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < heap_zone_count(); i++)
        pages += jdb__heap.zones[i]->extents.free_pages[EXTENT_DIRTY_0] +
                 jdb__heap.zones[i]->extents.free_pages[EXTENT_DIRTY_1];
    return pages;
}

/* Give a generation back, the largest extents first, until at most `keep` pages are dirty. No more pages are tried than
 * it has now: others may free as fast as this one gives back. Lock held, released meanwhile. */
static void purge_kind(enum extent_kind kind, uint64_t keep)
{
    for (unsigned i = 0; i < heap_zone_count(); i++) {
        struct zone *const zone = jdb__heap.zones[i];
        uint64_t left = zone->extents.free_pages[kind];
        while (left > 0 && jdb__purge_dirty_pages() > keep && extents_any(&zone->extents, kind) != PAGE_NONE) {
            const uint32_t extent = jdb__extents_largest(&zone->extents, kind);
            const uint32_t page_count = extents_pages(&zone->extents, extent);
            left -= bits_min(page_count, left);
            purge_extent(zone, extent);
        }
    }
}

static void purge_both(uint64_t keep)
{
    const enum extent_kind young = jdb__heap.young;
    purge_kind(heap_old_kind(), keep);
    purge_kind(young, keep);
}

/* Pages that may stay dirty: what the user set; by default a share of the taken pages, where that is more. */
static uint64_t purge_dirty_max(void)
{
    const uint64_t share = jdb__heap.stats.taken_pages / DEFAULT_DIRTY_SHARE;
    return jdb__heap.is_dirty_max_set ? jdb__heap.dirty_max : bits_max(share, jdb__heap.dirty_max);
}

/* Give one large extent back, of the zone and the generation whose extents are larger. Returns pages; 0: there is none,
 * the system refuses, or it holds no whole page of the system. */
static uint32_t purge_large(void)
{
    struct zone *from = NULL;
    enum extent_kind from_kind = EXTENT_DIRTY_0;
    uint32_t most = 0;
    for (unsigned i = 0; i < heap_zone_count(); i++)
        for (enum extent_kind kind = EXTENT_DIRTY_0; kind <= EXTENT_DIRTY_1; kind++) {
            const uint32_t largest = jdb__extents_largest(&jdb__heap.zones[i]->extents, kind);
            if (largest == PAGE_NONE || extents_pages(&jdb__heap.zones[i]->extents, largest) <= most)
                continue;
            from = jdb__heap.zones[i];
            from_kind = kind;
            most = extents_pages(&from->extents, largest);
        }
    return from == NULL ? 0 : purge_extent(from, jdb__extents_highest(&from->extents, from_kind));
}

/* Where more is dirty than may stay: down to three quarters of that. Where one extent does not go (the program
 * locked it), the others do, in the order of their age. What stayed is then left out of the count, so that the next
 * try is not at the next free. */
void jdb__purge_excess(void)
{
    JDB_ASSERT(heap_is_locked());
    const uint64_t max = purge_dirty_max();
    const uint64_t keep = max / 4 * 3;
    uint64_t left = jdb__purge_dirty_pages();
    if (left <= keep + jdb__heap.refused_pages)
        jdb__heap.refused_pages = left > keep ? left - keep : 0;
    if (left <= max + jdb__heap.refused_pages + jdb__heap.refused_pages / 8)
        return;
    jdb__heap.refused_pages = 0;
    while (left > 0 && jdb__purge_dirty_pages() > keep) {
        const uint32_t pages = purge_large();
        left -= bits_min(pages, left);
        if (pages == 0) {
            purge_both(keep);
            jdb__heap.refused_pages = jdb__purge_dirty_pages() > keep ? jdb__purge_dirty_pages() - keep : 0;
            return;
        }
    }
}

void jdb__heap_purge(void)
{
    jdb__heap_lock();
    jdb__heap.refused_pages = 0;
    jdb__bounded_retry();
    purge_both(0);
    jdb__heap_unlock();
}

/* Of threads that do this at once, the first to finish swaps the generations. */
void jdb__heap_end_epoch(void)
{
    jdb__heap_lock();
    const uint64_t epoch_count = jdb__heap.epoch_count;
    const enum extent_kind old = heap_old_kind();
    jdb__heap.refused_pages = 0;
    jdb__bounded_retry();
    purge_kind(old, 0);
    if (jdb__heap.epoch_count == epoch_count) {
        jdb__heap.young = old;
        jdb__heap.epoch_count++;
    }
    jdb__heap_unlock();
}

void jdb__heap_set_dirty_max(uint64_t bytes)
{
    jdb__heap_lock();
    jdb__heap.is_dirty_max_set = bytes != 0;
    jdb__heap.dirty_max = bytes != 0 ? bytes / JDB_PAGE_SIZE : DEFAULT_DIRTY_BYTES / JDB_PAGE_SIZE;
    jdb__heap.refused_pages = 0;
    jdb__purge_excess();
    jdb__heap_unlock();
}
