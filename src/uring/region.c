/* SPDX-License-Identifier: MIT
 *
 * region.c - a range in overlapping regions, each in a slot or with the reason why not.
 *
 *       range    |------------------------------------------------|
 *       region 0 |== region_size ==|overlap|
 *       region 1                   |== region_size ==|overlap|
 *       region 2                                     |== rest ====|
 */
#include "uring/state.h"

/* ---- Geometry --------------------------------------------------------------------------------------------- */

uint32_t jdb__uring_count_regions(const struct uring_range *range, size_t size)
{
    const uint64_t count = ((uint64_t)size + ((uint64_t)1 << range->shift) - 1) >> range->shift;
    if (count > 1 && size - ((count - 1) << range->shift) <= range->overlap_size)
        return (uint32_t)(count - 1); /* the overlap of the one before covers the last */
    return (uint32_t)count;
}

/* Whether a region has a byte of [start, end) of the range. */
static bool region_shares(const struct uring_range *range, uint32_t index, uint64_t start, uint64_t end)
{
    const uint64_t region_start = (uint64_t)index << range->shift;
    return region_start < end && region_start + uring_region_size(range, range->size, index) > start;
}

/* ---- One region ------------------------------------------------------------------------------------------- */

static int region_hold(const struct uring_range *range, uint32_t index)
{
    if (range->arena == NULL)
        return 0;
    return jdb_arena_hold(range->arena, (uint64_t)index << range->shift, uring_region_size(range, range->size, index));
}

static void region_unhold(const struct uring_range *range, uint32_t index)
{
    if (range->arena != NULL)
        jdb_arena_unhold(range->arena, (uint64_t)index << range->shift, uring_region_size(range, range->size, index));
}

static int region_fill(jdb_uring *uring, struct uring_range *range, uint32_t index)
{
    JDB_ASSERT(index < range->region_count && range->slots[index] < 0); /* U3 */
    int err = region_hold(range, index);
    if (err != 0)
        return err;
    const size_t size = uring_region_size(range, range->size, index);
    err = jdb__uring_fill_slot(uring, uring_region_ptr(range, index), size, 0, &range->slots[index]);
    if (err != 0)
        region_unhold(range, index);
    JDB_ASSERT((err == 0) == (range->slots[index] >= 0)); /* U2 */
    return err;
}

static void region_empty(jdb_uring *uring, struct uring_range *range, uint32_t index)
{
    if (range->slots[index] < 0)
        return;
    JDB_ASSERT(index < range->region_count); /* U2 */
    jdb__uring_clear_slot(uring, range->slots[index]);
    region_unhold(range, index);
    range->slots[index] = -EAGAIN;
}

/* ---- All of a range --------------------------------------------------------------------------------------- */

/* The kernel pins every page before it asks whether it may, so after -ENOMEM nothing of the same size is tried again.
 * */
int jdb__uring_fill_regions(jdb_uring *uring, struct uring_range *range, uint64_t start, uint64_t end)
{
    JDB_ASSERT(range->region_count == jdb__uring_count_regions(range, range->size)); /* U1 */
    uring_clear_window(uring);
    size_t too_big = SIZE_MAX;
    int first_error = 0;
    for (uint32_t i = 0; i < range->region_count; i++) {
        if (range->slots[i] >= 0 || !region_shares(range, i, start, end))
            continue;
        const size_t size = uring_region_size(range, range->size, i);
        const int err = size < too_big ? region_fill(uring, range, i) : -ENOMEM;
        if (err == 0)
            continue;
        JDB_ASSERT(err < 0); /* U2 */
        range->slots[i] = err;
        first_error = first_error == 0 ? err : first_error;
        too_big = err == -ENOMEM && size < too_big ? size : too_big;
    }
    return first_error;
}

void jdb__uring_empty_regions(jdb_uring *uring, struct uring_range *range, uint64_t start, uint64_t end)
{
    uring_clear_window(uring);
    for (uint32_t i = 0; i < range->region_count; i++)
        if (region_shares(range, i, start, end))
            region_empty(uring, range, i);
}

int jdb__uring_resize_regions(jdb_uring *uring, struct uring_range *range, size_t size)
{
    JDB_ASSERT(size >= range->size && size <= range->max_size); /* an arena never loses frames */
    uring_clear_window(uring);
    for (uint32_t i = 0; i < range->region_count; i++)
        if (uring_region_size(range, range->size, i) != uring_region_size(range, size, i))
            region_empty(uring, range, i);
    range->size = size;
    range->region_count = jdb__uring_count_regions(range, size);
    return jdb__uring_fill_regions(uring, range, 0, size);
}

int jdb__uring_share_regions(struct uring_range *range, const struct uring_range *from)
{
    JDB_ASSERT(range->ptr == from->ptr && range->shift == from->shift);                         /* U1 */
    JDB_ASSERT(range->overlap_size == from->overlap_size && range->max_size == from->max_size); /* U1 */
    int err = 0;
    range->size = from->size;
    range->region_count = from->region_count;
    range->is_shared = true;
    for (uint32_t i = 0; err == 0 && i < from->region_count; i++) {
        err = from->slots[i] >= 0 ? region_hold(range, i) : 0;
        range->slots[i] = err == 0 ? from->slots[i] : err;
    }
    return err;
}
