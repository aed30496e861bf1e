/* SPDX-License-Identifier: MIT
 *
 * range.c - ranges of memory that an object knows: added, found by address, removed, copied to a clone.
 */
#include "uring/state.h"

#include "base/bits.h"
#include "base/sized.h"
#include "jdb_alloc/pin.h"

SIZED_FORM(range_options_form, jdb_uring_range_options, 24, 64);

static const struct radix_memory index_memory = {jdb__ring_alloc, jdb__ring_free};

/* ---- Make ------------------------------------------------------------------------------------------------- */

int jdb__uring_read_range_options(const jdb_uring_range_options *given, jdb_uring_range_options *ret_options)
{
    jdb_uring_range_options options = JDB_URING_RANGE_OPTIONS_INIT;
    const int err = given == NULL ? 0 : jdb__sized_read(&range_options_form, given, &options);
    if (err != 0)
        return err;
    if (options.is_atomic > 1)
        return -EINVAL;
    *ret_options = options;
    return 0;
}

/* A region and its overlap have to fit into one buffer of the kernel. */
static size_t range_overlap(const jdb_uring *uring, size_t least_overlap, uint64_t asked)
{
    const uint64_t least = least_overlap == 0 && asked == 0 ? URING_DEFAULT_OVERLAP : least_overlap;
    return (size_t)bits_min(bits_max(asked, least), JDB_URING_BUFFER_MAX - uring->region_size);
}

int jdb__uring_range_new(const jdb_uring *uring, const void *ptr, size_t max_size, size_t least_overlap,
                         const jdb_uring_range_options *options, struct uring_range **ret_range)
{
    const unsigned shift = bits_highest(uring->region_size);
    JDB_ASSERT((uint64_t)1 << shift == uring->region_size);          /* U1 */
    JDB_ASSERT(max_size > 0 && (uintptr_t)ptr % JDB_PAGE_SIZE == 0); /* U6: the index knows whole pages */
    if (max_size >> shift > (uint64_t)JDB_URING_SLOTS_MAX * 64)
        return -EINVAL;
    const size_t count_max = (max_size >> shift) + 1;
    void *memory = NULL;
    const int err = jdb__ring_alloc(sizeof(struct uring_range) + count_max * sizeof(int32_t), &memory);
    if (err != 0)
        return err;
    struct uring_range *const range = memory;
    range->ptr = (uint8_t *)(uintptr_t)ptr;
    range->max_size = max_size;
    range->overlap_size = range_overlap(uring, least_overlap, options->overlap_size);
    range->release_tag = options->release_tag;
    range->tag_slot = -EAGAIN;
    range->shift = shift;
    for (size_t i = 0; i < count_max; i++)
        range->slots[i] = -EAGAIN;
    JDB_ASSERT(jdb__uring_count_regions(range, max_size) <= count_max); /* U2 */
    *ret_range = range;
    return 0;
}

/* ---- Find ------------------------------------------------------------------------------------------------- */

/* A range that is smaller than its last page still owns that page. */
static struct radix_range range_pages(const struct uring_range *range)
{
    return (struct radix_range){range->ptr, bits_round_up(range->max_size, JDB_PAGE_SIZE)};
}

struct uring_range **jdb__uring_range_find(const jdb_uring *uring, const void *ptr)
{
    struct uring_range **link = (struct uring_range **)(uintptr_t)&uring->ranges;
    while (*link != NULL && (*link)->ptr != ptr)
        link = &(*link)->next;
    return link;
}

struct uring_range *jdb__uring_range_lookup(jdb_uring *uring, const void *ptr)
{
    struct uring_range *const range = jdb__radix_find(&uring->index, ptr);
    if (range == NULL || (uintptr_t)ptr - (uintptr_t)range->ptr >= range->size)
        return NULL;
    JDB_ASSERT(!range->is_removed);
    uring->last = range;
    return range;
}

/* ---- Release tag ------------------------------------------------------------------------------------------ */

/* The kernel posts a tag whenever it is done with a buffer: for each region, also of an add that fails and of one that
 * is registered anew. So the regions have none; the tag lies with a buffer of its own, one byte of the jdb_uring, that
 * is emptied when the removed range has no operation in flight. */
static int tag_fill(jdb_uring *uring, struct uring_range *range)
{
    if (range->release_tag == 0 || range->tag_slot >= 0)
        return 0;
    const int err = jdb__uring_fill_slot(uring, (const uint8_t *)uring, 1, range->release_tag, &range->tag_slot);
    if (err != 0)
        range->tag_slot = err;
    return err;
}

static void tag_post(jdb_uring *uring, const struct uring_range *range)
{
    JDB_ASSERT(range->release_tag != 0 || range->tag_slot < 0); /* U4 */
    if (range->tag_slot >= 0)
        jdb__uring_clear_slot(uring, range->tag_slot);
}

/* ---- Add -------------------------------------------------------------------------------------------------- */

/* The memory stays until the range is gone, whether or not any of it is registered; of an arena that can be
 * decommitted. */
static int range_keep_memory(struct uring_range *range)
{
    const int err = range->arena != NULL ? jdb_arena_hold(range->arena, 0, 0) : jdb_pin(range->ptr, range->max_size);
    range->is_kept = err == 0;
    return err == -ENOTSUP ? 0 : err;
}

static void range_release_memory(const struct uring_range *range)
{
    if (range->is_kept && range->arena != NULL)
        jdb_arena_unhold(range->arena, 0, 0);
    else if (range->is_kept)
        jdb_unpin(range->ptr, range->max_size);
}

/* U6. -EEXIST: another range lies there; -ENOTSUP: past 48 bits of addresses; -ENOMEM. */
static int range_index(jdb_uring *uring, struct uring_range *range)
{
    const int err = jdb__radix_add(&uring->index, range_pages(range), range, NULL, &index_memory);
    return err == -ERANGE ? -ENOTSUP : err;
}

/* Make the range known. Takes it over, also on failure. */
static int range_enter(jdb_uring *uring, struct uring_range *range)
{
    int err = range_keep_memory(range);
    if (err == 0)
        err = range_index(uring, range);
    if (err != 0) {
        range_release_memory(range);
        jdb__ring_free(range);
        return err;
    }
    range->next = uring->ranges;
    uring->ranges = range;
    return 0;
}

/* Takes the range over, also on failure. */
static int range_add(jdb_uring *uring, struct uring_range *range, size_t size, bool is_atomic)
{
    const int err = range_enter(uring, range);
    if (err != 0)
        return err;
    int first_error = jdb__uring_resize_regions(uring, range, size);
    if (first_error == 0 || !is_atomic) {
        const int tag_error = tag_fill(uring, range);
        first_error = first_error == 0 ? tag_error : first_error;
    }
    if (first_error != 0 && is_atomic) {
        jdb__uring_range_remove(uring, &uring->ranges);
        return first_error;
    }
    return 0;
}

int jdb_uring_add(jdb_uring *uring, const void *ptr, size_t size, const jdb_uring_range_options *options)
{
    if (uring == NULL || ptr == NULL || size == 0 || size > PTRDIFF_MAX || (uintptr_t)ptr % JDB_PAGE_SIZE != 0)
        return -EINVAL;
    int err = jdb__uring_check_owner(uring);
    if (err != 0)
        return err;
    jdb_uring_range_options wanted;
    struct uring_range *range = NULL;
    err = jdb__uring_read_range_options(options, &wanted);
    if (err == 0)
        err = jdb__uring_range_new(uring, ptr, size, 0, &wanted, &range);
    return err != 0 ? err : range_add(uring, range, size, wanted.is_atomic != 0);
}

int jdb_uring_add_arena(jdb_uring *uring, jdb_arena *arena, const jdb_uring_range_options *options)
{
    if (uring == NULL || arena == NULL)
        return -EINVAL;
    int err = jdb__uring_check_owner(uring);
    if (err != 0)
        return err;
    const uint8_t *const base = jdb_arena_base(arena);
    if (base == NULL)
        return -EPERM;
    jdb_uring_range_options wanted;
    struct uring_range *range = NULL;
    err = jdb__uring_read_range_options(options, &wanted);
    if (err == 0)
        err = jdb__uring_range_new(uring, base, (size_t)jdb_arena_reserved_size(arena), (size_t)jdb_arena_stride(arena),
                                   &wanted, &range);
    if (err != 0)
        return err;
    range->arena = arena;
    return range_add(uring, range, (size_t)jdb_arena_size(arena), wanted.is_atomic != 0);
}

int jdb_uring_refresh(jdb_uring *uring, const void *ptr)
{
    if (uring == NULL || ptr == NULL)
        return -EINVAL;
    const int err = jdb__uring_check_owner(uring);
    if (err != 0)
        return err;
    struct uring_range *const range = *jdb__uring_range_find(uring, ptr);
    if (range == NULL)
        return -EINVAL;
    const size_t size = range->arena != NULL ? (size_t)jdb_arena_size(range->arena) : range->size;
    (void)jdb__uring_resize_regions(uring, range, size);
    (void)tag_fill(uring, range);
    return 0;
}

/* ---- Remove ----------------------------------------------------------------------------------------------- */

static bool range_is_used(const jdb_uring *uring, const struct uring_range *range)
{
    const uint32_t use_count = atomic_load_explicit(&range->use_count, memory_order_relaxed);
    JDB_ASSERT(range->flight_count == 0 || range->release_tag != 0); /* U8 */
    return uring_is_here(uring) && (range->flight_count != 0 || use_count != 0);
}

static void range_free(jdb_uring *uring, struct uring_range *range)
{
    tag_post(uring, range);
    range_release_memory(range);
    jdb__ring_free(range);
}

void jdb__uring_range_remove(jdb_uring *uring, struct uring_range **link)
{
    struct uring_range *const range = *link;
    *link = range->next;
    uring->last = NULL;
    jdb__radix_remove(&uring->index, range_pages(range));
    jdb__uring_empty_regions(uring, range, 0, range->size);
    if (!range_is_used(uring, range)) {
        range_free(uring, range);
        return;
    }
    range->is_removed = true;
    range->next = uring->leaving;
    uring->leaving = range;
    uring_set_quiet(uring);
}

void jdb__uring_free_left(jdb_uring *uring)
{
    struct uring_range **link = &uring->leaving;
    while (*link != NULL) {
        struct uring_range *const range = *link;
        if (range_is_used(uring, range)) {
            link = &range->next;
            continue;
        }
        *link = range->next;
        range_free(uring, range);
    }
    uring_set_quiet(uring);
}

void jdb__uring_remove_ranges(jdb_uring *uring)
{
    while (uring->ranges != NULL)
        jdb__uring_range_remove(uring, &uring->ranges);
    jdb__radix_free(&uring->index, &index_memory);
}

int jdb_uring_remove(jdb_uring *uring, const void *ptr)
{
    if (uring == NULL || ptr == NULL)
        return -EINVAL;
    const int err = jdb__uring_check_owner(uring);
    if (err != 0)
        return err;
    struct uring_range **const link = jdb__uring_range_find(uring, ptr);
    if (*link == NULL)
        return -EINVAL;
    jdb__uring_range_remove(uring, link);
    return 0;
}

/* ---- Decommit --------------------------------------------------------------------------------------------- */

int jdb_uring_decommit(jdb_uring *uring, jdb_arena *arena, uint32_t first, uint32_t count, bool registers_again,
                       uint64_t *ret_bytes)
{
    if (uring == NULL || arena == NULL || count == 0)
        return -EINVAL;
    int err = jdb__uring_check_owner(uring);
    if (err != 0)
        return err;
    struct uring_range *const range = *jdb__uring_range_find(uring, jdb_arena_base(arena));
    if (range == NULL || range->arena != arena)
        return -EINVAL;
    const uint64_t stride = jdb_arena_stride(arena);
    const uint64_t start = first * stride;
    const uint64_t end = start + count * stride;
    if (end > range->size)
        return -ERANGE;
    if (jdb_is_pinned(range->ptr + start, (size_t)(end - start)))
        return -EBUSY;
    jdb__uring_empty_regions(uring, range, start, end);
    err = jdb_arena_decommit(arena, first, count, ret_bytes);
    if (err != 0 || registers_again)
        (void)jdb__uring_fill_regions(uring, range, start, end);
    return err;
}

/* ---- Clone ------------------------------------------------------------------------------------------------ */

/* A buffer that was dropped meanwhile, and lives until the other object unpins it, is of no use to this one. */
static bool is_dropped(const struct uring_range *range, int err)
{
    return err == -EINVAL && range->arena == NULL;
}

/* Slots of a shared table. */
static void clear_slots_of(jdb_uring *uring, const struct uring_range *from)
{
    for (uint32_t i = 0; uring->is_cloned && i < from->region_count; i++)
        if (from->slots[i] >= 0)
            jdb__uring_clear_slot(uring, from->slots[i]);
}

static int copy_range(jdb_uring *uring, const struct uring_range *from)
{
    jdb_uring_range_options options = JDB_URING_RANGE_OPTIONS_INIT;
    options.overlap_size = from->overlap_size;
    struct uring_range *range = NULL;
    int err = jdb__uring_range_new(uring, from->ptr, from->max_size, 0, &options, &range);
    if (err != 0)
        return err;
    range->arena = from->arena;
    err = range_enter(uring, range);
    if (err != 0 && is_dropped(from, err)) {
        clear_slots_of(uring, from);
        return 0;
    }
    if (err != 0)
        return err;
    if (uring->is_cloned)
        return jdb__uring_share_regions(range, from);
    (void)jdb__uring_resize_regions(uring, range, from->size);
    return 0;
}

/* Tags do not pass to a clone, so their slots of a shared table are free there. */
static void clear_tags_of(jdb_uring *uring, const struct uring_range *from)
{
    for (; uring->is_cloned && from != NULL; from = from->next)
        tag_post(uring, from);
}

int jdb__uring_copy_ranges(jdb_uring *uring, const jdb_uring *from)
{
    int err = 0;
    clear_tags_of(uring, from->ranges);
    clear_tags_of(uring, from->leaving);
    for (const struct uring_range *range = from->ranges; err == 0 && range != NULL; range = range->next)
        err = copy_range(uring, range);
    return err;
}
