/* SPDX-License-Identifier: MIT
 *
 * purge.c - gives dirty pages back to the system: those that nobody needed for the delay, and those beyond what may stay.
 *
 * A call that gives memory back takes as long as there are pages to free. So the extent is taken out, the lock is
 * released, and the extent is put back clean (P13), or dirty, where the system refuses. Large extents go first, of those
 * the ones that lie high. Where one of them is refused, a pass over all extents in their order tries the others: each once,
 * so that it ends.
 */
#include "base/bits.h"
#include "base/check.h"
#include "page/defaults.h"
#include "page/heap_state.h"

#include <limits.h>

/* Pages from which on the tables that describe them, a 256th of their memory, go back with them. */
#define PURGE_TABLES_LEAST (UINT32_C(1) << 13)

/* Pages that are worth a mapping of their own, 1 MiB. */
#define PURGE_CLEAN_LEAST (UINT32_C(1) << 8)

/* As many system calls as it takes. */
#define PURGE_NO_MAX UINT_MAX

/* Pages that are worth a system call. */
#define PURGE_PAGES_LEAST 64

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

/* Pages become addresses again. Where the system refuses, they are emptied: pages that are readable and read as zero may count
 * as reserved. */
static int purge_reserve(void *ptr, size_t size, enum extent_kind *ret_kind)
{
    int err = jdb__os_decommit_to_reserved(ptr, size);
    if (err != 0)
        err = jdb__os_decommit(ptr, size);
    if (err == 0)
        *ret_kind = EXTENT_RESERVED;
    return err;
}

/* Pages that went back, and the system calls that it took. */
struct purged {
    uint32_t pages;
    uint32_t calls;
};

/* Give back pages of a kind that were taken out of the heap, and make them free: whole pages of the system as `call` says;
 * the rest, or all of them when the system refuses, of the kind that they were. Lock held, released for the call. */
static struct purged purge_pages(struct zone *zone, uint32_t index, uint32_t page_count, enum extent_kind before,
                                 purge_call *call)
{
    const uint32_t first = (uint32_t)bits_min(bits_round_up(index, system_pages()), index + page_count);
    const uint32_t end = (uint32_t)bits_round_down(index + page_count, system_pages());
    const uint32_t whole = end > first ? end - first : 0;
    enum extent_kind kind = EXTENT_CLEAN;
    struct huge_range split = {0, 0};
    uint32_t calls = 0;
    int err = -EINVAL;
    JDB_ASSERT(heap_is_locked());
    if (whole > 0 && heap_has_huge())
        split = jdb__huge_leave(zone, first, whole);
    jdb__extents_start(&zone->extents, index, word_make(WORD_CACHED, 0, page_count)); /* P13 */
    if (whole > 0) {
        jdb__heap.stats.decommit_calls++;
        jdb__heap_unlock();
        calls = call == purge_empty ? 1 : 2;
        if (split.first < split.end) {
            calls++;
            (void)jdb__os_advise_huge(zone_address(zone, split.first), pages_to_bytes(split.end - split.first), false);
        }
        err = call(zone_address(zone, first), pages_to_bytes(whole), &kind);
        if (err == 0 && whole >= PURGE_TABLES_LEAST) {
            calls += 2;
            jdb__zone_empty_tables(zone, first, whole);
        }
        jdb__heap_lock();
    }
    jdb__extents_end(&zone->extents, index);
    if (err != 0) {
        jdb__extents_give(&zone->extents, index, page_count, before);
        return (struct purged){0, calls};
    }
    if (first > index)
        jdb__extents_give(&zone->extents, index, first - index, before);
    jdb__extents_give(&zone->extents, first, whole, kind);
    jdb__heap.stats.mapped_pages -= kind == EXTENT_RESERVED ? whole : 0;
    if (index + page_count > end)
        jdb__extents_give(&zone->extents, end, index + page_count - end, before);
    jdb__heap.stats.given_pages += before == EXTENT_DIRTY ? whole : 0;
    return (struct purged){whole, calls};
}

/* Give the high end of an extent back: `wanted` pages, or somewhat more where they are few. */
static struct purged purge_extent(struct zone *zone, uint32_t extent, uint64_t wanted)
{
    uint32_t first = extent;
    uint32_t end = extent + extents_pages(&zone->extents, extent);
    if (heap_has_huge())
        jdb__huge_spare_edges(zone, &first, &end);
    const uint64_t most = bits_max(wanted, PURGE_PAGES_LEAST);
    uint32_t from = end - first > most ? (uint32_t)bits_round_down(end - most, system_pages()) : first;
    if (heap_has_huge())
        from = jdb__huge_first(zone, from);
    const uint32_t at = (uint32_t)bits_max(from, first);
    JDB_ASSERT(word_kind(extents_word(&zone->extents, extent)) == EXTENT_DIRTY);
    jdb__extents_take(&zone->extents, extent, at, end - at);
    return purge_pages(zone, at, end - at, EXTENT_DIRTY, zone->is_bounded ? purge_reserve : purge_empty);
}

void jdb__purge_moved(struct zone *zone, uint32_t index, uint32_t page_count)
{
    purge_pages(zone, index, page_count, EXTENT_DIRTY, purge_replace);
}

void jdb__purge_bounded(struct zone *zone, uint32_t index, uint32_t page_count)
{
    purge_pages(zone, index, page_count, EXTENT_DIRTY, purge_reserve);
}

uint64_t jdb__purge_dirty_pages(void)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < heap_zone_count(); i++)
        pages += jdb__heap.zones[i]->extents.free_pages[EXTENT_DIRTY];
    return pages;
}

/* Give `wanted` pages of one large extent back, of the zone whose extents are larger. No pages: there is none, the system
 * refuses, or it holds no whole page of the system. */
static struct purged purge_large(uint64_t wanted)
{
    struct zone *from = NULL;
    uint32_t most = 0;
    for (unsigned i = 0; i < heap_zone_count(); i++) {
        const struct extents *const extents = &jdb__heap.zones[i]->extents;
        const uint32_t largest = jdb__extents_largest(extents, EXTENT_DIRTY);
        if (largest == PAGE_NONE || extents_pages(extents, largest) <= most)
            continue;
        from = jdb__heap.zones[i];
        most = extents_pages(extents, largest);
    }
    if (from == NULL)
        return (struct purged){0, 0};
    const uint32_t extent = heap_has_huge() ? jdb__extents_largest(&from->extents, EXTENT_DIRTY)
                                            : jdb__extents_highest(&from->extents, EXTENT_DIRTY);
    return purge_extent(from, extent, wanted);
}

/* Give `wanted` pages of the next extent of a pass back. False: the pass is over, and the next one may begin. */
static bool purge_next(struct purge_cursor *cursor, uint64_t wanted, struct purged *ret_purged)
{
    for (; cursor->zone < heap_zone_count(); *cursor = (struct purge_cursor){cursor->zone + 1, UINT64_MAX}) {
        struct zone *const zone = jdb__heap.zones[cursor->zone];
        const uint32_t extent = jdb__extents_below(&zone->extents, EXTENT_DIRTY, cursor->key);
        if (extent == PAGE_NONE)
            continue;
        cursor->key = extents_key(&zone->extents, extent);
        *ret_purged = purge_extent(zone, extent, wanted);
        return true;
    }
    *cursor = (struct purge_cursor){0, UINT64_MAX};
    return false;
}

/* System calls that an extent takes at most: huge pages of which a part stays, the pages, two tables. Those of a bounded run,
 * which the system refused before, may take one more. */
static unsigned purge_calls_each(uint64_t wanted)
{
    return 1u + heap_has_huge() + (wanted >= PURGE_TABLES_LEAST ? 2u : 0u);
}

/* Give pages back until at most `keep` are dirty, by at most max_calls system calls. No more are given than are dirty now:
 * others may free as fast as this one gives back. Returns the pages. Lock held, released meanwhile. */
static uint64_t purge_to(uint64_t keep, unsigned max_calls, struct purge_cursor *cursor)
{
    const uint64_t most = jdb__purge_dirty_pages();
    uint64_t dirty = most;
    uint64_t given = 0;
    bool is_pass = false;
    uint64_t calls = 0;
    while (given < most && dirty > keep && calls + purge_calls_each(dirty - keep) <= max_calls) {
        struct purged purged = {0, 0};
        if (is_pass && !purge_next(cursor, dirty - keep, &purged))
            break;
        if (!is_pass)
            purged = purge_large(dirty - keep);
        is_pass |= purged.pages == 0;
        calls += bits_max(purged.calls, 1);
        given += purged.pages;
        dirty = jdb__purge_dirty_pages();
    }
    for (unsigned i = 0; i < HEAP_STEPS; i++)
        jdb__heap.spare[i] -= bits_min(given, jdb__heap.spare[i]);
    return given;
}

void jdb__purge_note_use(void)
{
    uint64_t *const spare = &jdb__heap.spare[jdb__heap.step % HEAP_STEPS];
    *spare = bits_min(jdb__purge_dirty_pages(), *spare);
}

/* Pages that may be dirty, and in *ret_slack how many of them nobody may need. Without a bound of the user's they are as
 * many as went out of use since the most that was in use in the last epoch, and the slack. */
static uint64_t purge_max(uint64_t *ret_slack)
{
    *ret_slack = jdb__heap.dirty_max;
    if (jdb__heap.dirty_max != DIRTY_NO_MAX)
        return jdb__heap.dirty_max;
    const uint64_t taken = jdb__heap.stats.taken_pages;
    const uint64_t most = bits_max(jdb__heap.most[jdb__heap.step % HEAP_STEPS], jdb__heap.most_before);
    JDB_ASSERT(most >= taken);
    *ret_slack = bits_max(most / 10, DEFAULT_SLACK_BYTES / JDB_PAGE_SIZE);
    return most - taken + *ret_slack;
}

/* Dirty pages to keep. Where more are than may stay: that without a quarter of the slack; else all of them. */
static uint64_t purge_keep(uint64_t dirty)
{
    uint64_t slack = 0;
    const uint64_t max = purge_max(&slack);
    JDB_ASSERT(heap_is_locked());
    if (dirty <= max)
        jdb__heap.purge_at = 0;
    return dirty <= bits_max(max, jdb__heap.purge_at) ? dirty : max - slack / 4;
}

/* Where the system refuses, the next try is when an eighth more is dirty. */
void jdb__purge_excess(void)
{
    const uint64_t dirty = jdb__purge_dirty_pages();
    const uint64_t keep = purge_keep(dirty);
    if (keep >= dirty)
        return;
    const bool is_refused = purge_to(keep, PURGE_CALLS_MAX, &jdb__heap.cursor) == 0;
    jdb__heap.purge_at = is_refused ? dirty + dirty / 8 : 0;
}

void jdb__heap_purge_excess(void)
{
    jdb__heap_lock();
    jdb__purge_excess();
    jdb__heap_unlock();
}

/* Readable pages that are empty still count as data and as promised memory (pages.h): the large extents of them become
 * addresses alone again. Not each, as it may be a mapping more. */
static void purge_clean(struct zone *zone)
{
    uint64_t key = UINT64_MAX;
    for (;;) {
        const uint32_t extent = jdb__extents_below(&zone->extents, EXTENT_CLEAN, key);
        if (extent == PAGE_NONE || extents_pages(&zone->extents, extent) < PURGE_CLEAN_LEAST)
            return;
        const uint32_t page_count = extents_pages(&zone->extents, extent);
        key = extents_key(&zone->extents, extent);
        jdb__extents_take(&zone->extents, extent, extent, page_count);
        purge_pages(zone, extent, page_count, EXTENT_CLEAN, purge_reserve);
    }
}

void jdb__heap_purge(void)
{
    struct purge_cursor cursor = {0, UINT64_MAX};
    jdb__heap_lock();
    purge_to(0, PURGE_NO_MAX, &cursor);
    for (unsigned i = 0; i < heap_zone_count(); i++)
        purge_clean(jdb__heap.zones[i]);
    jdb__heap_unlock();
}

bool jdb__heap_purge_some(void)
{
    jdb__heap_lock();
    const bool has_given = purge_to(jdb__huge_keep(), PURGE_CALLS_MAX, &jdb__heap.cursor) > 0;
    const bool has_more = has_given && jdb__purge_dirty_pages() > jdb__huge_keep();
    jdb__heap_unlock();
    return has_more;
}

static uint64_t purge_spare_pages(void)
{
    uint64_t spare = UINT64_MAX;
    for (unsigned i = 0; i < HEAP_STEPS; i++)
        spare = bits_min(jdb__heap.spare[i], spare);
    return spare;
}

/* The next step begins with so many dirty pages. */
static void purge_next_step(uint64_t dirty)
{
    uint64_t most = 0;
    jdb__heap.step++;
    jdb__heap.spare[jdb__heap.step % HEAP_STEPS] = dirty;
    jdb__heap.most[jdb__heap.step % HEAP_STEPS] = jdb__heap.stats.taken_pages;
    for (unsigned i = 0; i < HEAP_STEPS; i++)
        most = bits_max(jdb__heap.most[i], most);
    jdb__heap.most_before = most;
}

void jdb__heap_end_steps(unsigned steps)
{
    jdb__heap_lock();
    for (unsigned i = 1; i < bits_min(steps, HEAP_STEPS); i++)
        purge_next_step(jdb__heap.spare[jdb__heap.step % HEAP_STEPS]);
    const uint64_t dirty = jdb__purge_dirty_pages();
    const uint64_t spare = bits_min(purge_spare_pages(), dirty);
    const uint64_t needed = spare > 0 ? bits_max(dirty - spare, jdb__huge_keep()) : dirty;
    purge_to(bits_min(needed, purge_keep(dirty)), PURGE_CALLS_MAX, &jdb__heap.cursor);
    purge_next_step(jdb__purge_dirty_pages());
    jdb__heap_unlock();
}

void jdb__heap_set_dirty_max(uint64_t bytes)
{
    jdb__heap_lock();
    jdb__heap.dirty_max = bytes != 0 ? bytes / JDB_PAGE_SIZE : DIRTY_NO_MAX;
    jdb__heap.purge_at = 0;
    jdb__purge_excess();
    jdb__heap_unlock();
}
