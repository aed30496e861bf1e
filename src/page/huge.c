/* SPDX-License-Identifier: MIT
 *
 * huge.c - blocks of 2 MiB that are advised to be huge pages, where the program asks for them.
 *
 * A huge page is resident as a whole from its first byte on. So when clean pages are taken that lie in a block of which
 * nothing was taken, the block is advised and all of it leaves the clean extent: what is not taken becomes dirty, counted and
 * used first as all that is dirty. That is done only where dirty pages stay below a sixteenth of those in use. A block goes back
 * to the system as a whole; where a part of it must go, it is no huge page any more, or the kernel's khugepaged would make
 * it whole again.
 *
 * Bit of zone->huge: the block was advised, and is not whole in a clean extent. Under the heap's lock.
 */
#include "base/bits.h"
#include "base/check.h"
#include "page/heap_state.h"

#include <string.h>

/* Pages of a block. */
#define HUGE_PAGES UINT32_C(512)

/* Free pages that may be resident because of it: one for so many in use. */
#define HUGE_SHARE 16

static void huge_choose(bool is_wanted)
{
    if (is_wanted && !JDB_IS_CHECKED && system_pages() == 1)
        jdb__heap.huge = HUGE_WANTED;
    else
        jdb__heap.huge = heap_has_huge() ? HUGE_ENDED : HUGE_NEVER;
}

void jdb__heap_set_huge(bool is_wanted)
{
    jdb__heap_lock();
    huge_choose(is_wanted);
    jdb__heap_unlock();
}

void jdb__huge_start(void)
{
    const char *const wish = jdb__os_environment("JDB_HUGE_PAGES");
    JDB_ASSERT(heap_is_locked());
    if (jdb__heap.huge == HUGE_UNSET)
        huge_choose(wish != NULL && strcmp(wish, "1") == 0);
}

/* ---- Blocks ----------------------------------------------------------------------------------------------- */

/* Pages by which the first page of a zone is behind the beginning of a block. */
static uint32_t huge_lead(const struct zone *zone)
{
    return (uint32_t)((uintptr_t)zone->base / JDB_PAGE_SIZE % HUGE_PAGES);
}

size_t jdb__huge_table_bytes(uint32_t page_count)
{
    return ((size_t)page_count / HUGE_PAGES / 64 + 2) * sizeof(uint64_t);
}

static uint32_t huge_block(const struct zone *zone, uint32_t index)
{
    return (index + huge_lead(zone)) / HUGE_PAGES;
}

static bool huge_has(const struct zone *zone, uint32_t block)
{
    return (zone->huge[block / 64] >> (block % 64) & 1) != 0;
}

static void huge_set(struct zone *zone, uint32_t block, bool is_huge)
{
    if (huge_has(zone, block) == is_huge)
        return;
    zone->huge[block / 64] ^= UINT64_C(1) << (block % 64);
    jdb__heap.stats.huge_pages += is_huge ? HUGE_PAGES : -(uint64_t)HUGE_PAGES;
}

/* The blocks that touch [from, to) and lie in [extent, extent_end). */
static struct huge_range huge_range(const struct zone *zone, uint32_t from, uint32_t to, uint32_t extent,
                                    uint32_t extent_end)
{
    const uint32_t lead = huge_lead(zone);
    uint32_t first = (from + lead) / HUGE_PAGES * HUGE_PAGES;
    uint32_t end = (uint32_t)bits_round_up(to + lead, HUGE_PAGES);
    first += first < extent + lead ? HUGE_PAGES : 0;
    end -= end > extent_end + lead ? HUGE_PAGES : 0;
    return first < end ? (struct huge_range){first - lead, end - lead} : (struct huge_range){0, 0};
}

static int huge_call(const struct huge_advice *advice)
{
    const struct huge_range range = advice->range;
    return jdb__os_advise_huge(zone_address(advice->zone, range.first), pages_to_bytes(range.end - range.first),
                               advice->is_huge);
}

/* When the lock is released: the system would keep its holder waiting for the first touch of another huge page. */
static void huge_advise(struct zone *zone, struct huge_range range, bool is_huge)
{
    const struct huge_advice advice = {zone, range, is_huge};
    jdb__heap.stats.map_calls++;
    if (jdb__heap.advice_count < HUGE_ADVICE_MAX)
        jdb__heap.advice[jdb__heap.advice_count++] = advice;
    else
        (void)huge_call(&advice);
}

/* The system has no huge pages: what was to be one is dirty, and none follows. */
static void huge_end(const struct huge_advice *advice, unsigned count)
{
    lock_take(&jdb__heap.lock);
    jdb__heap.huge = HUGE_ENDED;
    for (unsigned i = 0; i < count; i++)
        jdb__huge_leave(advice[i].zone, advice[i].range.first, advice[i].range.end - advice[i].range.first);
    lock_release(&jdb__heap.lock);
}

/* Where another thread gave a part of a block back before it was advised here: it is no huge page. The lock is held for the call,
 * so that nobody opens the block meanwhile. */
static void huge_take_back(const struct huge_advice *advice)
{
    const struct huge_range range = advice->range;
    for (uint32_t index = range.first; index < range.end; index += HUGE_PAGES) {
        const struct huge_advice split = {advice->zone, {index, index + HUGE_PAGES}, false};
        if (advice->is_huge && !huge_has(advice->zone, huge_block(advice->zone, index)))
            (void)huge_call(&split);
    }
}

static void huge_take_back_all(const struct huge_advice *advice, unsigned count)
{
    lock_take(&jdb__heap.lock);
    for (unsigned i = 0; i < count; i++)
        huge_take_back(&advice[i]);
    lock_release(&jdb__heap.lock);
}

void jdb__huge_unlock(void)
{
    struct huge_advice advice[HUGE_ADVICE_MAX];
    const unsigned count = jdb__heap.advice_count;
    const uint64_t left_count = jdb__heap.huge_left_count;
    bool is_refused = false;
    memcpy(advice, jdb__heap.advice, count * sizeof *advice);
    jdb__heap.advice_count = 0;
    lock_release(&jdb__heap.lock);
    for (unsigned i = 0; i < count; i++)
        is_refused |= huge_call(&advice[i]) != 0 && advice[i].is_huge;
    if (is_refused)
        huge_end(advice, count);
    else if (jdb__heap.huge_left_count != left_count)
        huge_take_back_all(advice, count);
}

/* ---- Taken ------------------------------------------------------------------------------------------------ */

/* Whether so many more free pages may be resident when `more` pages are taken. */
static bool huge_may_waste(uint64_t waste, uint64_t more)
{
    return waste == 0 || (jdb__purge_dirty_pages() + waste) * HUGE_SHARE <= jdb__heap.stats.taken_pages + more;
}

/* The blocks to advise when [from, to) is taken of the clean extent [extent, extent_end). */
static struct huge_range huge_wish(const struct zone *zone, uint32_t extent, uint32_t extent_end, uint32_t from,
                                   uint32_t to)
{
    const struct huge_range range = huge_range(zone, from, to, extent, extent_end);
    const uint32_t before = range.first < from ? from - range.first : 0;
    const uint32_t behind = range.end > to ? range.end - to : 0;
    if (jdb__heap.huge != HUGE_WANTED)
        return (struct huge_range){0, 0};
    return huge_may_waste(before + behind, to - from) ? range : huge_range(zone, from, to, from, to);
}

/* Of the clean extent [extent, extent_end) the pages [from, to) are about to be taken. */
static void huge_open_extent(struct zone *zone, uint32_t extent, uint32_t extent_end, uint32_t from, uint32_t to)
{
    const struct huge_range range = huge_range(zone, from, to, extent, extent_end);
    const struct huge_range wish = huge_wish(zone, extent, extent_end, from, to);
    const bool is_all = wish.first == range.first && wish.end == range.end;
    if (!is_all && range.first < zone->huge_end)
        huge_advise(zone, range, false); /* of an earlier advice nothing may be left */
    if (wish.first == wish.end)
        return;
    huge_advise(zone, wish, true);
    zone->huge_end = (uint32_t)bits_max(zone->huge_end, wish.end);
    for (uint32_t index = wish.first; index < wish.end; index += HUGE_PAGES)
        huge_set(zone, huge_block(zone, index), true);
    jdb__extents_take(&zone->extents, extent, wish.first, wish.end - wish.first);
    jdb__extents_give(&zone->extents, wish.first, wish.end - wish.first, EXTENT_DIRTY);
}

void jdb__huge_open(struct zone *zone, uint32_t at, uint32_t page_count)
{
    const uint32_t end = at + page_count;
    JDB_ASSERT(heap_is_locked());
    for (uint32_t from = at; from < end;) {
        const uint32_t extent = jdb__extents_head_of(&zone->extents, from);
        const uint32_t extent_end = extent + extents_pages(&zone->extents, extent);
        const uint32_t to = (uint32_t)bits_min(extent_end, end);
        if (word_kind(extents_word(&zone->extents, extent)) == EXTENT_CLEAN)
            huge_open_extent(zone, extent, extent_end, from, to);
        from = to;
    }
}

/* ---- Given back ------------------------------------------------------------------------------------------- */

uint64_t jdb__huge_keep(void)
{
    return heap_has_huge() ? jdb__heap.stats.taken_pages / HUGE_SHARE : 0;
}

/* Each advice splits a mapping, and each mapping takes several calls to move. */
void jdb__huge_unify(const struct run *run)
{
    (void)jdb__os_advise_huge(run_address(run), pages_to_bytes(run->page_count), jdb__heap.huge == HUGE_WANTED);
}

bool jdb__huge_touches(const struct zone *zone, uint32_t index, uint32_t page_count)
{
    bool touches = false;
    for (uint32_t block = huge_block(zone, index); block <= huge_block(zone, index + page_count - 1); block++)
        touches |= huge_has(zone, block);
    return touches;
}

void jdb__huge_spare_edges(const struct zone *zone, uint32_t *from, uint32_t *to)
{
    const uint32_t lead = huge_lead(zone);
    uint32_t first = *from;
    uint32_t end = *to;
    if (huge_has(zone, huge_block(zone, first)))
        first = (uint32_t)bits_round_up(first + lead, HUGE_PAGES) - lead;
    if (huge_has(zone, huge_block(zone, end - 1)))
        end = (end + lead) / HUGE_PAGES * HUGE_PAGES - lead;
    if (first < end) {
        *from = first;
        *to = end;
    }
}

uint32_t jdb__huge_first(const struct zone *zone, uint32_t index)
{
    const uint32_t lead = huge_lead(zone);
    return huge_has(zone, huge_block(zone, index)) ? (index + lead) / HUGE_PAGES * HUGE_PAGES - lead : index;
}

struct huge_range jdb__huge_leave(struct zone *zone, uint32_t index, uint32_t page_count)
{
    const uint32_t last = huge_block(zone, index + page_count - 1);
    struct huge_range split = {0, 0};
    JDB_ASSERT(heap_is_locked());
    for (uint32_t block = huge_block(zone, index); block <= last; block++) {
        if (!huge_has(zone, block))
            continue;
        const uint32_t first = block * HUGE_PAGES - huge_lead(zone);
        const bool is_whole = first >= index && first + HUGE_PAGES <= index + page_count;
        if (!is_whole)
            split = (struct huge_range){split.first == split.end ? first : split.first, first + HUGE_PAGES};
        huge_set(zone, block, false);
        jdb__heap.huge_left_count++; /* before the system gets to know of the split */
    }
    return split;
}
