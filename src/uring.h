/* SPDX-License-Identifier: MIT
 *
 * uring.h - what a door knows: its slots, its ranges, and which range an address lies in. Floor 5.
 *
 * The index is a tree over addresses of 48 bits: the upper two levels lead to 2 MiB, and where a range does not fill all
 * of them a third leads to a page. Any address is found in three loads at most, whatever is registered.
 */
#ifndef JDB_URING_INTERNAL_H
#define JDB_URING_INTERNAL_H

#include "jdb_alloc/uring.h"

#include <liburing.h>

#define URING_PAGE_BITS 12
#define URING_LEAF_BITS 9
#define URING_MIDDLE_BITS 13
#define URING_ROOT_BITS 14
#define URING_GRANULE_BITS (URING_PAGE_BITS + URING_LEAF_BITS)
#define URING_ADDRESS_BITS (URING_GRANULE_BITS + URING_MIDDLE_BITS + URING_ROOT_BITS)

struct uring_range {
    struct uring_range *next;
    uint8_t *ptr;
    size_t size;
    size_t overlap_size;
    uint64_t release_tag;
    unsigned shift; /* log2 of the distance between starts of regions */
    bool is_pinned;
    uint32_t region_count;
    int32_t slots[]; /* of each region: its slot, or the -errno that kept it out */
};

struct uring_leaf {
    struct uring_range *pages[1 << URING_LEAF_BITS];
};

/* 2 MiB of addresses: one range fills them, or a leaf tells page by page, or nothing is registered. */
struct uring_granule {
    struct uring_range *whole;
    struct uring_leaf *leaf;
};

struct uring_middle {
    struct uring_granule granules[1 << URING_MIDDLE_BITS];
};

struct jdb_uring {
    struct io_uring *ring;
    int32_t table_error;
    bool is_callers_table;
    uint32_t slot_count;
    uint32_t free_count;
    uint64_t region_size;
    uint64_t fixed_count;
    uint64_t plain_count;
    uint64_t fixed_bytes;
    uint64_t plain_bytes;
    uint64_t resume_count;
    struct uring_range *ranges;
    struct uring_middle *root[1 << URING_ROOT_BITS];
    uint16_t free_slots[];
};

static inline struct uring_range *uring_find(const jdb_uring *door, const void *ptr)
{
    const uint64_t address = (uintptr_t)ptr;
    if (address >> URING_ADDRESS_BITS != 0)
        return NULL;
    const struct uring_middle *const middle = door->root[address >> (URING_GRANULE_BITS + URING_MIDDLE_BITS)];
    if (middle == NULL)
        return NULL;
    const struct uring_granule *const granule =
        &middle->granules[(address >> URING_GRANULE_BITS) & ((1u << URING_MIDDLE_BITS) - 1)];
    if (granule->leaf == NULL)
        return granule->whole;
    return granule->leaf->pages[(address >> URING_PAGE_BITS) & ((1u << URING_LEAF_BITS) - 1)];
}

/* Bytes from the start of region `index` to its end. */
static inline size_t uring_region_size(const struct uring_range *range, uint32_t index)
{
    const size_t start = (size_t)index << range->shift;
    const size_t most = ((size_t)1 << range->shift) + range->overlap_size;
    return most < range->size - start ? most : range->size - start;
}

/* The slot of the region that holds [ptr, ptr + size) whole, or -1. When `splits`, *size is cut to what the region of ptr
 * holds, in multiples of align. */
static inline int32_t uring_slot(const jdb_uring *door, const uint8_t *ptr, size_t align, bool splits, size_t *size)
{
    const struct uring_range *const range = uring_find(door, ptr);
    if (range == NULL)
        return -1;
    const size_t offset = (size_t)(ptr - range->ptr);
    if (offset >= range->size)
        return -1;
    const size_t guess = offset >> range->shift;
    const uint32_t index = guess < range->region_count ? (uint32_t)guess : range->region_count - 1;
    const int32_t slot = range->slots[index];
    if (slot < 0)
        return -1;
    const size_t room = uring_region_size(range, index) - (offset - ((size_t)index << range->shift));
    if (*size <= room)
        return slot;
    if (!splits || room < align)
        return -1;
    *size = room & ~(align - 1);
    return slot;
}

#endif
