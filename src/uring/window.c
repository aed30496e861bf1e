/* SPDX-License-Identifier: MIT
 *
 * window.c - the range that the last operation was found in, made ready for the next.
 */
#include "uring/state.h"

#include "base/bits.h"

/* What is not an arena's is pinned as a whole by its range, while that is in the index. Until the last operation that was
 * prepared in the window it waits in `leaving`, so that such an operation is counted and needs no pin of its own. */
static bool window_find_pins(struct uring_range *range, struct uring_hot *hot)
{
    jdb_arena_pins pins = {.counts = (void *)&range->use_count, .stride_shift = WINDOW_WITHOUT_FRAMES};
    if (range->arena != NULL && jdb_arena_get_pins(range->arena, &pins) != 0)
        return false;
    hot->pins = pins.counts;
    hot->pin_shift = (uint8_t)pins.stride_shift;
    return true;
}

/* A view that lies whole in the overlap lies whole in a region, but for the last ones of the range, which are left out. */
static void window_find_regions(const struct uring_range *range, struct uring_hot *hot)
{
    if (range->region_count == 1) {
        hot->slot = range->slots[0];
        hot->slots = &hot->slot;
        hot->region_shift = 63;
        hot->size = range->size;
        hot->max_view = (uint32_t)bits_min(range->size, JDB_URING_BUFFER_MAX);
        return;
    }
    hot->slots = range->slots;
    hot->region_shift = (uint8_t)range->shift;
    hot->size = (size_t)bits_min(range->size, (uint64_t)range->region_count << range->shift);
    hot->max_view = (uint32_t)range->overlap_size;
}

bool jdb__uring_set_window(jdb_uring *uring, struct uring_range *range)
{
    struct uring_hot *const hot = uring_hot(uring);
    JDB_ASSERT(!range->is_removed && uring_is_here(uring)); /* U9 */
    if (hot->base == range->ptr && hot->size != 0)
        return false;
    if (!uring->may_have_window || uring->ring == NULL || range->region_count == 0)
        return false;
    if (range->release_tag != 0 && range->arena != NULL)
        return false; /* its operations are counted by flight_count */
    if (!window_find_pins(range, hot)) {
        hot->size = 0;
        return false;
    }
    window_find_regions(range, hot);
    hot->base = range->ptr;
    return true;
}
