/* SPDX-License-Identifier: MIT
 *
 * heap.c - takes runs out of the zones and puts them back, under the heap's lock; changes their size in place.
 */
#include "page/heap.h"

#include "base/bits.h"
#include "base/check.h"
#include "page/guard.h"
#include "page/heap_state.h"

struct heap_state jdb__heap = {
    .lock = LOCK_INIT(LOCK_HEAP),
    .dirty_max = DIRTY_NO_MAX,
    .cursor = {0, UINT64_MAX},
};

void jdb__heap_lock(void)
{
    lock_take(&jdb__heap.lock);
    jdb__heap.stats.lock_count++;
}

void jdb__heap_unlock(void)
{
    if (JDB_UNLIKELY(jdb__heap.advice_count > 0))
        jdb__huge_unlock();
    else
        lock_release(&jdb__heap.lock);
}

/* ---- Take ------------------------------------------------------------------------------------------------- */

/* Take free pages, out of the extent that `at` lies in and those right behind it. */
static void heap_take_at(struct zone *zone, uint32_t extent, uint32_t at, uint32_t page_count)
{
    if (heap_has_huge()) {
        jdb__huge_open(zone, at, page_count);
        extent = jdb__extents_head_of(&zone->extents, at);
    }
    jdb__extents_take_joined(&zone->extents, extent, at, page_count);
}

/* Find and take readable pages of a zone that are of one kind. */
static bool heap_take_of_kind(struct zone *zone, enum extent_kind kind, uint32_t page_count, uint32_t align_pages,
                              struct run *ret_run)
{
    uint32_t at = 0;
    const uint32_t extent =
        jdb__extents_find(&zone->extents, kind, page_count, align_pages, zone_phase(zone, align_pages), &at);
    if (extent == PAGE_NONE)
        return false;
    heap_take_at(zone, extent, at, page_count);
    *ret_run = (struct run){zone, at, page_count, kind == EXTENT_CLEAN};
    return true;
}

/* The same, of dirty and clean pages that are neighbours. */
static bool heap_take_joined(struct zone *zone, uint32_t page_count, uint32_t align_pages, struct run *ret_run)
{
    uint32_t at = 0;
    const uint32_t extent =
        jdb__extents_find_joined(&zone->extents, page_count, align_pages, zone_phase(zone, align_pages), &at);
    if (extent == PAGE_NONE)
        return false;
    heap_take_at(zone, extent, at, page_count);
    *ret_run = (struct run){zone, at, page_count, false};
    return true;
}

/* Find and take readable pages of a zone: dirty ones first, unless zeros are wanted. */
static bool heap_take_readable(struct zone *zone, uint32_t page_count, uint32_t align_pages, bool want_zero,
                               struct run *ret_run)
{
    if (!want_zero && (heap_take_of_kind(zone, EXTENT_DIRTY, page_count, align_pages, ret_run) ||
                       heap_take_joined(zone, page_count, align_pages, ret_run)))
        return true;
    return heap_take_of_kind(zone, EXTENT_CLEAN, page_count, align_pages, ret_run);
}

static int heap_take_pages(struct zone *zone, uint32_t page_count, uint32_t align_pages, bool want_zero,
                           struct run *ret_run)
{
    if (heap_take_readable(zone, page_count, align_pages, want_zero, ret_run))
        return 0;
    int err = jdb__zone_commit_room(zone, page_count, align_pages);
    if (err == 0 && heap_take_readable(zone, page_count, align_pages, want_zero, ret_run))
        return 0;
    if (want_zero && heap_take_readable(zone, page_count, align_pages, false, ret_run))
        return 0;
    return err == 0 ? ZONE_IS_FULL : err;
}

static int heap_take_from(struct zone *zone, const struct heap_wish *wish, struct run *ret_run)
{
    if (zone->is_bounded)
        return jdb__bounded_take(zone, wish, ret_run);
    const uint32_t page_count = wish->page_count + jdb__guard_pages();
    const int err = heap_take_pages(zone, page_count, wish->align_pages, wish->want_zero, ret_run);
    if (err != 0)
        return err;
    ret_run->page_count = wish->page_count;
    jdb__extents_start(&zone->extents, ret_run->index, word_make(WORD_LENT, 0, wish->page_count));
    jdb__guard_raise(zone, ret_run->index + wish->page_count);
    return 0;
}

static int heap_take_from_any(const struct heap_wish *wish, struct run *ret_run)
{
    const unsigned count = heap_zone_count();
    const bool is_bounded = wish->max_pages > 0;
    bool is_refused = false;
    for (unsigned i = 0; i < count; i++) {
        if (jdb__heap.zones[i]->is_bounded != is_bounded)
            continue;
        const int err = heap_take_from(jdb__heap.zones[i], wish, ret_run);
        if (err == 0)
            return 0;
        is_refused |= err != ZONE_IS_FULL;
    }
    const uint64_t room = is_bounded ? wish->max_pages : (uint64_t)wish->page_count + wish->align_pages;
    struct zone *zone = NULL;
    const int err = is_refused ? -ENOMEM : jdb__zone_new(room, is_bounded, &zone);
    return err != 0 ? err : jdb__zone_keep(zone, heap_take_from(zone, wish, ret_run));
}

int jdb__heap_take(const struct heap_wish *wish, struct run *ret_run, uint64_t *ret_missing)
{
    jdb__heap_lock();
    int err = heap_check_limit(wish->page_count, ret_missing);
    if (err == 0)
        err = heap_take_from_any(wish, ret_run);
    if (err == 0) {
        heap_count_taken(wish->page_count, 1);
        jdb__purge_note_use();
    }
    jdb__guard_walk();
    jdb__heap_unlock();
    return err;
}

/* Split the best extent of a zone into runs, each at a multiple of its natural alignment; returns how many. */
static unsigned heap_split_extent(struct zone *zone, enum extent_kind kind, uint32_t page_count, unsigned count,
                                  uint32_t *ret_indices)
{
    const uint32_t align_pages = class_align_pages(page_count);
    uint32_t at = 0;
    const uint32_t extent =
        jdb__extents_find(&zone->extents, kind, page_count, align_pages, zone_phase(zone, align_pages), &at);
    if (extent == PAGE_NONE)
        return 0;
    const uint32_t fitting = (extent + extents_pages(&zone->extents, extent) - at) / page_count;
    const unsigned taken = (unsigned)bits_min(fitting, count);
    heap_take_at(zone, extent, at, taken * page_count);
    const uint64_t flags = kind == EXTENT_CLEAN ? WORD_ZERO : 0;
    for (unsigned i = 0; i < taken; i++) {
        ret_indices[i] = at + i * page_count;
        jdb__extents_start(&zone->extents, ret_indices[i], word_make(WORD_CACHED, flags, page_count));
    }
    return taken;
}

/* The same of one extent after the other, as long as there are any. */
static unsigned heap_split_extents(struct zone *zone, enum extent_kind kind, uint32_t page_count, unsigned count,
                                   uint32_t *ret_indices)
{
    unsigned taken = 0;
    unsigned more = 1;
    while (taken < count && more > 0) {
        more = heap_split_extent(zone, kind, page_count, count - taken, ret_indices + taken);
        taken += more;
    }
    return taken;
}

/* Runs of pages that are dirty in part. */
static unsigned heap_split_joined(struct zone *zone, uint32_t page_count, unsigned count, uint32_t *ret_indices)
{
    unsigned taken = 0;
    struct run run;
    while (taken < count && heap_take_joined(zone, page_count, class_align_pages(page_count), &run)) {
        jdb__extents_start(&zone->extents, run.index, word_make(WORD_CACHED, 0, page_count));
        ret_indices[taken++] = run.index;
    }
    return taken;
}

static unsigned heap_split_readable(struct zone *zone, uint32_t page_count, unsigned count, uint32_t *ret_indices)
{
    unsigned taken = heap_split_extents(zone, EXTENT_DIRTY, page_count, count, ret_indices);
    taken += heap_split_joined(zone, page_count, count - taken, ret_indices + taken);
    return taken + heap_split_extents(zone, EXTENT_CLEAN, page_count, count - taken, ret_indices + taken);
}

static int heap_take_batch_from(struct zone *zone, uint32_t page_count, unsigned count, uint32_t *ret_indices,
                                unsigned *ret_count)
{
    int err = 0;
    unsigned taken = heap_split_readable(zone, page_count, count, ret_indices);
    const uint32_t missing = page_count * (count - taken) + class_align_pages(page_count) - 1;
    if (taken < count && (err = jdb__zone_commit_room(zone, missing, 1)) == 0)
        taken += heap_split_readable(zone, page_count, count - taken, ret_indices + taken);
    if (taken == 0)
        return err == 0 ? -ENOMEM : err;
    *ret_count = taken;
    return 0;
}

static int heap_take_batch(uint32_t page_count, unsigned count, uint32_t *ret_indices, unsigned *ret_count)
{
    if (jdb__heap.primary != NULL)
        return heap_take_batch_from(jdb__heap.primary, page_count, count, ret_indices, ret_count);
    struct zone *zone = NULL;
    const int err = jdb__zone_new(page_count, false, &zone);
    return err != 0 ? err : jdb__zone_keep(zone, heap_take_batch_from(zone, page_count, count, ret_indices, ret_count));
}

int jdb__heap_take_batch(uint32_t page_count, unsigned count, uint32_t *ret_indices, unsigned *ret_count,
                         uint64_t *ret_missing)
{
    JDB_ASSERT(page_count > 0 && page_count <= CLASS_PAGES_MAX && count > 0);
    JDB_ASSERT(jdb__guard_pages() == 0);
    jdb__heap_lock();
    int err = heap_check_limit((uint64_t)page_count * count, ret_missing);
    if (err == 0)
        err = heap_take_batch(page_count, count, ret_indices, ret_count);
    if (err == 0) {
        heap_count_taken(page_count, *ret_count);
        jdb__purge_note_use();
    }
    jdb__heap_unlock();
    return err;
}

/* ---- Give ------------------------------------------------------------------------------------------------- */

/* Zeros in a huge page are resident. */
static enum extent_kind heap_kind_given(const struct run *run)
{
    const bool is_huge = heap_has_huge() && jdb__huge_touches(run->zone, run->index, run->page_count);
    return run->is_zero && !is_huge ? EXTENT_CLEAN : EXTENT_DIRTY;
}

/* Make a run free. Lock held, released while memory goes back. */
static void heap_give_run(const struct run *run)
{
    struct zone *const zone = run->zone;
    const uint64_t word = extents_word(&zone->extents, run->index);
    const uint32_t size = run_pages(run);
    jdb__extents_end(&zone->extents, run->index);
    heap_count_given(size);
    if (zone->is_bounded) {
        jdb__bounded_give(run, size);
        return;
    }
    const uint32_t page_count = run->page_count + jdb__guard_lower(zone, run->index + run->page_count);
    if ((word & WORD_MOVED) != 0)
        jdb__purge_moved(zone, run->index, page_count);
    else
        jdb__extents_give(&zone->extents, run->index, page_count, heap_kind_given(run));
}

void jdb__heap_give(const struct run *run)
{
    jdb__heap_lock();
    heap_give_run(run);
    jdb__purge_excess();
    jdb__heap_unlock();
}

static void heap_give_end(bool is_last)
{
    if (is_last)
        jdb__purge_excess();
    jdb__heap_unlock();
}

void jdb__heap_give_batch(const uint32_t *indices, unsigned count, bool is_last)
{
    jdb__heap_lock();
    struct zone *const zone = jdb__heap.primary;
    for (unsigned i = 0; i < count; i++) {
        JDB_ASSERT(word_state(extents_word(&zone->extents, indices[i])) == WORD_CACHED); /* P7 */
        const uint64_t word = extents_word(&zone->extents, indices[i]);
        const struct run run = {zone, indices[i], word_pages(word), (word & WORD_ZERO) != 0};
        heap_give_run(&run);
    }
    heap_give_end(is_last);
}

void jdb__heap_give_cached(uint8_t *const *runs, unsigned count, bool is_last)
{
    jdb__heap_lock();
    for (unsigned i = 0; i < count; i++) {
        struct run run;
        if (!jdb__heap_find(runs[i], &run))
            JDB_BREACH("the tables of the page allocator were overwritten", runs[i]);
        JDB_ASSERT(word_state(word_load(run_word(&run))) == WORD_CACHED); /* P7 */
        heap_give_run(&run);
    }
    heap_give_end(is_last);
}

/* ---- Change in place -------------------------------------------------------------------------------------- */

/* Free pages right behind a run, of as many extents as it takes to find `wanted`; reserved ones are made readable. */
static uint32_t heap_free_behind(const struct run *run, uint32_t wanted)
{
    struct zone *const zone = run->zone;
    uint32_t room = 0;
    uint32_t page_count = 0;
    enum extent_kind kind = EXTENT_CLEAN;
    while (room < wanted) {
        const uint32_t at = run->index + run->page_count + room;
        if (!jdb__extents_at(&zone->extents, at, &page_count, &kind))
            break;
        const uint32_t missing = wanted - room;
        const bool is_reserved = kind == EXTENT_RESERVED;
        if (is_reserved &&
            (page_count < missing || at % system_pages() != 0 || jdb__zone_commit(zone, at, at, missing) != 0))
            break;
        room += is_reserved ? missing : page_count; /* committed ones may be one extent with those before them */
    }
    return room;
}

static int heap_extend_run(struct run *run, uint32_t least_pages, uint32_t best_pages, uint32_t step_pages,
                           uint64_t *ret_missing)
{
    JDB_ASSERT(least_pages > run->page_count && best_pages > run->page_count);
    uint64_t missing = 0;
    if (heap_check_limit(best_pages - run->page_count, &missing) != 0)
        best_pages = least_pages;
    const uint32_t room = jdb__guard_pages() == 0 ? heap_free_behind(run, best_pages - run->page_count) : 0;
    const uint32_t page_count = (uint32_t)bits_round_down(bits_min(run->page_count + room, best_pages), step_pages);
    if (room == 0 || page_count < least_pages)
        return -ENOSPC;
    const uint32_t more = page_count - run->page_count;
    if (heap_check_limit(more, ret_missing) != 0)
        return -EDQUOT;
    const uint32_t behind = run->index + run->page_count;
    heap_take_at(run->zone, behind, behind, more);
    word_grow(run_word(run), more);
    heap_count_resized(run->page_count, page_count);
    jdb__purge_note_use();
    run->page_count = page_count;
    return 0;
}

int jdb__heap_extend(struct run *run, uint32_t least_pages, uint32_t best_pages, uint32_t step_pages,
                     uint64_t *ret_missing)
{
    jdb__heap_lock();
    const int err = heap_extend_run(run, least_pages, best_pages, step_pages, ret_missing);
    jdb__heap_unlock();
    return err;
}

/* Cut off the pages of a run from `at` on; with guards, the first of them becomes the new one. */
static void heap_cut_tail(const struct run *run, uint32_t at, uint64_t flags)
{
    struct zone *const zone = run->zone;
    const uint32_t end = run->index + run->page_count;
    jdb__guard_raise(zone, at);
    at += jdb__guard_pages();
    if (at < end) {
        const struct run rest = {zone, at, end - at, false};
        heap_count_taken(rest.page_count, 1);
        jdb__extents_start(&zone->extents, at, word_make(WORD_CACHED, flags, rest.page_count));
        heap_give_run(&rest);
    } else {
        jdb__guard_lower(zone, end);
        jdb__extents_give(&zone->extents, end, jdb__guard_pages(), EXTENT_DIRTY);
    }
}

int jdb__heap_cut(struct run *run, uint32_t page_count)
{
    jdb__heap_lock();
    const uint64_t flags = word_load(run_word(run)) & WORD_MOVED;
    const int err = word_cut(run_word(run), page_count);
    if (err == 0) {
        heap_count_resized(run->page_count, page_count);
        heap_cut_tail(run, run->index + page_count, flags);
        jdb__purge_excess();
        run->page_count = page_count;
    }
    jdb__heap_unlock();
    return err;
}

/* The addresses of a run may be another thread's mapping now: the run is neither used nor counted any more. */
static void heap_lose_run(const struct run *run)
{
    heap_count_given(run->page_count);
    jdb__heap.stats.mapped_pages -= run->page_count;
    word_lose(run_word(run));
}

/* The mark stays also where the system refused after it had moved a part. */
int jdb__heap_move(const struct run *from, const struct run *to)
{
    if (from->page_count % system_pages() != 0 || from->index % system_pages() != 0 || to->index % system_pages() != 0)
        return -ENOTSUP;
    JDB_ASSERT(from->page_count <= to->page_count);
    word_mark_moved(run_word(to));
    if (heap_has_huge())
        jdb__huge_unify(from);
    const int err = jdb__os_move(run_address(from), pages_to_bytes(from->page_count), run_address(to));
    jdb__heap_lock();
    jdb__heap.stats.remap_calls++;
    if (err == -EADDRNOTAVAIL)
        heap_lose_run(to);
    jdb__heap_unlock();
    return err;
}

/* ---- Limit and counts ------------------------------------------------------------------------------------- */

void jdb__heap_set_limit(const struct heap_limit *limit)
{
    jdb__heap_lock();
    jdb__heap.limit = *limit;
    jdb__heap.stats.limit_pages = limit->bytes / JDB_PAGE_SIZE;
    jdb__heap_unlock();
}

struct heap_limit jdb__heap_limit(void)
{
    jdb__heap_lock();
    const struct heap_limit limit = jdb__heap.limit;
    jdb__heap_unlock();
    return limit;
}

void jdb__heap_stats(struct heap_stats *ret_stats)
{
    jdb__heap_lock();
    *ret_stats = jdb__heap.stats;
    ret_stats->dirty_pages = jdb__purge_dirty_pages();
    jdb__heap_unlock();
}
