/* SPDX-License-Identifier: MIT
 *
 * uring_range.c - a range of memory in overlapping regions, each in a slot or with the reason why not. Floor 5.
 *
 *       range    |------------------------------------------------|
 *       region 0 |== region_size ==|overlap|
 *       region 1                   |== region_size ==|overlap|
 *       region 2                                     |== rest ====|
 */
#include "uring/state.h"

#include "base/bits.h"
#include "jdb_alloc/pin.h"
#include "os/os_uring.h"

#define DEFAULT_OVERLAP ((size_t)1 << 20)

/* ---- Geometry --------------------------------------------------------------------------------------------- */

/* The last region is left out when the overlap of the one before covers it. */
uint32_t jdb__uring_count_regions(const struct uring_range *range, size_t size)
{
    const uint64_t count = ((uint64_t)size + ((uint64_t)1 << range->shift) - 1) >> range->shift;
    if (count > 1 && size - ((count - 1) << range->shift) <= range->overlap_size)
        return (uint32_t)(count - 1);
    return (uint32_t)count;
}

static uint8_t *region_ptr(const struct uring_range *range, uint32_t index)
{
    return range->ptr + ((size_t)index << range->shift);
}

int jdb__uring_range_make(const jdb_uring *door, const void *ptr, size_t max_size, size_t overlap_size,
                          const jdb_uring_range_options *options, struct uring_range **ret_range)
{
    jdb_uring_range_options wanted = {.size = sizeof wanted};
    int err = options == NULL ? 0 : jdb__uring_read_options(&wanted, sizeof wanted, options);
    if (err != 0)
        return err;
    const unsigned shift = bits_highest(door->region_size);
    if (wanted.is_atomic > 1 || max_size >> shift > (uint64_t)JDB_URING_SLOTS_MAX * 64)
        return -EINVAL;
    const uint64_t most = JDB_URING_BUFFER_MAX - door->region_size;
    const uint64_t least = overlap_size == 0 && wanted.overlap_size == 0 ? DEFAULT_OVERLAP : overlap_size;
    const uint64_t asked = wanted.overlap_size > least ? wanted.overlap_size : least;
    const size_t count_max = (max_size >> shift) + 1;
    void *memory = NULL;
    err = jdb__ring_alloc(sizeof(struct uring_range) + count_max * sizeof(int32_t), &memory);
    if (err != 0)
        return err;
    struct uring_range *const range = memory;
    range->ptr = (uint8_t *)(uintptr_t)ptr;
    range->max_size = max_size;
    range->overlap_size = (size_t)(asked < most ? asked : most);
    range->release_tag = wanted.release_tag;
    range->tag_slot = -EAGAIN;
    range->shift = shift;
    for (size_t i = 0; i < count_max; i++)
        range->slots[i] = -EAGAIN;
    *ret_range = range;
    return 0;
}

struct uring_range **jdb__uring_range_find(const jdb_uring *door, const void *ptr)
{
    struct uring_range **link = (struct uring_range **)(uintptr_t)&door->ranges;
    while (*link != NULL && (*link)->ptr != ptr)
        link = &(*link)->next;
    return link;
}

/* ---- Regions ---------------------------------------------------------------------------------------------- */

static int hold_region(const struct uring_range *range, uint32_t index)
{
    if (range->arena == NULL)
        return 0;
    return jdb_arena_hold(range->arena, (uint64_t)index << range->shift, uring_region_size(range, range->size, index));
}

static void unhold_region(const struct uring_range *range, uint32_t index)
{
    if (range->arena != NULL)
        jdb_arena_unhold(range->arena, (uint64_t)index << range->shift, uring_region_size(range, range->size, index));
}

static int fill_region(jdb_uring *door, struct uring_range *range, uint32_t index)
{
    int err = hold_region(range, index);
    if (err != 0)
        return err;
    const size_t size = uring_region_size(range, range->size, index);
    err = jdb__uring_fill_slot(door, region_ptr(range, index), size, 0, &range->slots[index]);
    if (err != 0)
        unhold_region(range, index);
    return err;
}

static void empty_region(jdb_uring *door, struct uring_range *range, uint32_t index)
{
    if (range->slots[index] < 0)
        return;
    jdb__uring_clear_slot(door, range->slots[index]);
    unhold_region(range, index);
    range->slots[index] = -EAGAIN;
}

/* Whether a region has a byte of [start, end) of the range. */
static bool shares_bytes(const struct uring_range *range, uint32_t index, uint64_t start, uint64_t end)
{
    const uint64_t region_start = (uint64_t)index << range->shift;
    return region_start < end && region_start + uring_region_size(range, range->size, index) > start;
}

/* Register the regions that share a byte with [start, end) and are not registered. Returns the first error.
 *
 * The kernel pins every page before it asks whether it may, so after -ENOMEM nothing of the same size is tried again. */
static int fill_between(jdb_uring *door, struct uring_range *range, uint64_t start, uint64_t end)
{
    size_t too_big = SIZE_MAX;
    int first_error = 0;
    for (uint32_t i = 0; i < range->region_count; i++) {
        if (range->slots[i] >= 0 || !shares_bytes(range, i, start, end))
            continue;
        const size_t size = uring_region_size(range, range->size, i);
        const int err = size < too_big ? fill_region(door, range, i) : -ENOMEM;
        if (err == 0)
            continue;
        range->slots[i] = err;
        first_error = first_error == 0 ? err : first_error;
        too_big = err == -ENOMEM && size < too_big ? size : too_big;
    }
    return first_error;
}

static void empty_regions(jdb_uring *door, struct uring_range *range)
{
    for (uint32_t i = 0; i < range->region_count; i++)
        empty_region(door, range, i);
}

/* Follow a new size: regions that end elsewhere now are registered anew. Returns the first error of a region. */
static int resize(jdb_uring *door, struct uring_range *range, size_t size)
{
    for (uint32_t i = 0; i < range->region_count; i++)
        if (uring_region_size(range, range->size, i) != uring_region_size(range, size, i))
            empty_region(door, range, i);
    range->size = size;
    range->region_count = jdb__uring_count_regions(range, size);
    return fill_between(door, range, 0, size);
}

/* ---- Release tag ------------------------------------------------------------------------------------------ */

/* The kernel posts a tag whenever it lets a buffer go: for each region, also of an add that fails and of one that is registered
 * anew. So the regions have none; the tag lies with a buffer of its own, one byte of the jdb_uring, that is emptied when the removed
 * range has no operation in flight. */
static int fill_tag(jdb_uring *door, struct uring_range *range)
{
    if (range->release_tag == 0 || range->tag_slot >= 0)
        return 0;
    const int err = jdb__uring_fill_slot(door, (const uint8_t *)door, 1, range->release_tag, &range->tag_slot);
    if (err != 0)
        range->tag_slot = err;
    return err;
}

static void post_tag(jdb_uring *door, const struct uring_range *range)
{
    if (range->tag_slot >= 0)
        jdb__uring_clear_slot(door, range->tag_slot);
}

/* ---- Add and remove --------------------------------------------------------------------------------------- */

/* The memory stays until the range is gone, whether or not any of it is registered; of an arena that can be decommitted. */
static int keep_memory(struct uring_range *range)
{
    const int err = range->arena != NULL ? jdb_arena_hold(range->arena, 0, 0) : jdb_pin(range->ptr, range->max_size);
    range->is_kept = err == 0;
    return err == -ENOTSUP ? 0 : err;
}

static void let_go(const struct uring_range *range)
{
    if (range->is_kept && range->arena != NULL)
        jdb_arena_unhold(range->arena, 0, 0);
    else if (range->is_kept)
        jdb_unpin(range->ptr, range->max_size);
}

static void free_range(struct uring_range *range)
{
    let_go(range);
    jdb__ring_free(range);
}

static int enter(jdb_uring *door, struct uring_range *range)
{
    int err = keep_memory(range);
    if (err == 0)
        err = jdb__uring_index_add(door, range);
    if (err != 0)
        return err;
    range->next = door->ranges;
    door->ranges = range;
    return 0;
}

/* Takes the range over, also on failure. */
static int add_range(jdb_uring *door, struct uring_range *range, size_t size, bool is_atomic)
{
    const int err = enter(door, range);
    if (err != 0) {
        free_range(range);
        return err;
    }
    int first_error = resize(door, range, size);
    if (first_error == 0 || !is_atomic) {
        const int tag_error = fill_tag(door, range);
        first_error = first_error == 0 ? tag_error : first_error;
    }
    if (first_error != 0 && is_atomic) {
        jdb__uring_range_remove(door, &door->ranges);
        return first_error;
    }
    return 0;
}

int jdb_uring_add(jdb_uring *door, const void *ptr, size_t size, const jdb_uring_range_options *options)
{
    if (door == NULL || ptr == NULL || size == 0 || size > PTRDIFF_MAX || (uintptr_t)ptr % JDB_PAGE_SIZE != 0)
        return -EINVAL;
    if (!uring_is_here(door))
        return -EPERM;
    struct uring_range *range = NULL;
    const int err = jdb__uring_range_make(door, ptr, size, 0, options, &range);
    return err != 0 ? err : add_range(door, range, size, options != NULL && options->is_atomic != 0);
}

int jdb_uring_add_arena(jdb_uring *door, jdb_arena *arena, const jdb_uring_range_options *options)
{
    if (door == NULL || arena == NULL)
        return -EINVAL;
    if (!uring_is_here(door))
        return -EPERM;
    const uint8_t *const base = jdb_arena_base(arena);
    if (base == NULL)
        return -EPERM;
    struct uring_range *range = NULL;
    const int err = jdb__uring_range_make(door, base, (size_t)jdb_arena_reserved_size(arena),
                                          (size_t)jdb_arena_stride(arena), options, &range);
    if (err != 0)
        return err;
    range->arena = arena;
    return add_range(door, range, (size_t)jdb_arena_size(arena), options != NULL && options->is_atomic != 0);
}

void jdb__uring_range_remove(jdb_uring *door, struct uring_range **link)
{
    struct uring_range *const range = *link;
    *link = range->next;
    door->last = NULL;
    jdb__uring_index_remove(door, range);
    empty_regions(door, range);
    let_go(range);
    if (range->flight_count == 0) {
        post_tag(door, range);
        jdb__ring_free(range);
        return;
    }
    range->is_removed = true;
    range->next = door->leaving;
    door->leaving = range;
}

void jdb__uring_range_left(jdb_uring *door, struct uring_range *range)
{
    JDB_ASSERT(range->is_removed && range->flight_count == 0);
    struct uring_range **link = &door->leaving;
    while (*link != range)
        link = &(*link)->next;
    *link = range->next;
    post_tag(door, range);
    jdb__ring_free(range);
}

int jdb_uring_remove(jdb_uring *door, const void *ptr)
{
    if (door == NULL || ptr == NULL)
        return -EINVAL;
    if (!uring_is_here(door))
        return -EPERM;
    struct uring_range **const link = jdb__uring_range_find(door, ptr);
    if (*link == NULL)
        return -EINVAL;
    jdb__uring_range_remove(door, link);
    return 0;
}

int jdb_uring_refresh(jdb_uring *door, const void *ptr)
{
    if (door == NULL || ptr == NULL)
        return -EINVAL;
    if (!uring_is_here(door))
        return -EPERM;
    struct uring_range *const range = *jdb__uring_range_find(door, ptr);
    if (range == NULL)
        return -EINVAL;
    resize(door, range, range->arena != NULL ? (size_t)jdb_arena_size(range->arena) : range->size);
    (void)fill_tag(door, range);
    return 0;
}

/* ---- Decommit --------------------------------------------------------------------------------------------- */

static void empty_between(jdb_uring *door, struct uring_range *range, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < range->region_count; i++)
        if (shares_bytes(range, i, start, end))
            empty_region(door, range, i);
}

int jdb_uring_decommit(jdb_uring *door, jdb_arena *arena, uint32_t first, uint32_t count, bool registers_again,
                       uint64_t *ret_bytes)
{
    if (door == NULL || arena == NULL || count == 0)
        return -EINVAL;
    if (!uring_is_here(door))
        return -EPERM;
    struct uring_range *const range = *jdb__uring_range_find(door, jdb_arena_base(arena));
    if (range == NULL || range->arena != arena)
        return -EINVAL;
    const uint64_t stride = jdb_arena_stride(arena);
    const uint64_t start = first * stride;
    const uint64_t end = start + count * stride;
    if (end > range->size)
        return -ERANGE;
    if (jdb_is_pinned(range->ptr + start, (size_t)(end - start)))
        return -EBUSY;
    empty_between(door, range, start, end);
    const int err = jdb_arena_decommit(arena, first, count, ret_bytes);
    if (err != 0 || registers_again)
        fill_between(door, range, start, end);
    return err;
}

/* ---- Clone ------------------------------------------------------------------------------------------------ */

/* A buffer that was dropped meanwhile, and lives until the other door lets go of it, is of no use to this one. */
static bool is_dropped(const struct uring_range *range, int err)
{
    return err == -EINVAL && range->arena == NULL;
}

/* Slots of a shared table. */
static void clear_slots_of(jdb_uring *door, const struct uring_range *from)
{
    for (uint32_t i = 0; door->is_cloned && i < from->region_count; i++)
        if (from->slots[i] >= 0)
            jdb__uring_clear_slot(door, from->slots[i]);
}

static int copy_range(jdb_uring *door, const struct uring_range *from)
{
    const jdb_uring_range_options options = {.size = sizeof options, .overlap_size = from->overlap_size};
    struct uring_range *range = NULL;
    int err = jdb__uring_range_make(door, from->ptr, from->max_size, 0, &options, &range);
    if (err != 0)
        return err;
    range->arena = from->arena;
    err = enter(door, range);
    if (err != 0) {
        free_range(range);
        if (!is_dropped(from, err))
            return err;
        clear_slots_of(door, from);
        return 0;
    }
    if (!door->is_cloned) {
        resize(door, range, from->size);
        return 0;
    }
    range->size = from->size;
    range->region_count = from->region_count;
    range->is_shared = true;
    for (uint32_t i = 0; err == 0 && i < from->region_count; i++) {
        err = from->slots[i] >= 0 ? hold_region(range, i) : 0;
        range->slots[i] = err == 0 ? from->slots[i] : err;
    }
    return err;
}

/* Tags do not pass to a clone, so their slots of a shared table are free there. */
static void clear_tags_of(jdb_uring *door, const struct uring_range *from)
{
    for (; door->is_cloned && from != NULL; from = from->next)
        post_tag(door, from);
}

int jdb__uring_copy_ranges(jdb_uring *door, const jdb_uring *from)
{
    int err = 0;
    clear_tags_of(door, from->ranges);
    clear_tags_of(door, from->leaving);
    for (const struct uring_range *range = from->ranges; err == 0 && range != NULL; range = range->next)
        err = copy_range(door, range);
    return err;
}
