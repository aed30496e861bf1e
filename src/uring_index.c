/* SPDX-License-Identifier: MIT
 *
 * uring_index.c - which range an address lies in: a tree of three levels. Floor 5.
 */
#include "uring.h"

#include "bits.h"
#include "os_uring.h"

static struct uring_granule *granule_at(const jdb_uring *door, uint64_t address)
{
    struct uring_middle *const middle = door->root[address >> (URING_GRANULE_BITS + URING_MIDDLE_BITS)];
    if (middle == NULL)
        return NULL;
    return &middle->granules[(address >> URING_GRANULE_BITS) & ((1u << URING_MIDDLE_BITS) - 1)];
}

static int make_middle(jdb_uring *door, uint64_t address)
{
    struct uring_middle **const middle = &door->root[address >> (URING_GRANULE_BITS + URING_MIDDLE_BITS)];
    void *memory = *middle;
    const int err = memory != NULL ? 0 : jdb__ring_alloc(sizeof **middle, &memory);
    *middle = memory;
    return err;
}

static int make_leaf(struct uring_granule *granule)
{
    void *memory = granule->leaf;
    const int err = memory != NULL ? 0 : jdb__ring_alloc(sizeof *granule->leaf, &memory);
    granule->leaf = memory;
    return err;
}

static int make_granule(jdb_uring *door, uint64_t address, bool needs_leaf)
{
    int err = make_middle(door, address);
    if (err != 0)
        return err;
    struct uring_granule *const granule = granule_at(door, address);
    if (needs_leaf && granule->whole != NULL)
        return -EEXIST;
    err = needs_leaf ? make_leaf(granule) : 0;
    if (err != 0)
        return err;
    return !needs_leaf && (granule->whole != NULL || granule->leaf != NULL) ? -EEXIST : 0;
}

static void drop_empty_leaf(struct uring_granule *granule)
{
    for (size_t i = 0; i < sizeof granule->leaf->pages / sizeof granule->leaf->pages[0]; i++)
        if (granule->leaf->pages[i] != NULL)
            return;
    jdb__ring_free(granule->leaf);
    granule->leaf = NULL;
}

/* What one step of a walk over [address, end) covers: the rest of a granule. */
static uint64_t granule_end(uint64_t address, uint64_t end)
{
    const uint64_t next =
        bits_round_down(address, (uint64_t)1 << URING_GRANULE_BITS) + ((uint64_t)1 << URING_GRANULE_BITS);
    return next < end ? next : end;
}

static bool fills_granule(uint64_t address, uint64_t end)
{
    return end - address == (uint64_t)1 << URING_GRANULE_BITS;
}

/* Put `value` (a range, or NULL) wherever `old` stands in [address, end), a part of one granule. -EEXIST. */
static int swap_granule(struct uring_granule *granule, uint64_t address, uint64_t end, struct uring_range *old,
                        struct uring_range *value)
{
    if (fills_granule(address, end) && granule->leaf == NULL) {
        granule->whole = value;
        return 0;
    }
    URING_ASSERT(granule->leaf != NULL); /* whoever splits a granule makes its leaf first */
    const uint64_t mask = (1u << URING_LEAF_BITS) - 1;
    int err = 0;
    for (uint64_t at = address; at < end; at += JDB_PAGE_SIZE) {
        struct uring_range **const page = &granule->leaf->pages[(at >> URING_PAGE_BITS) & mask];
        if (*page == old)
            *page = value;
        else
            err = -EEXIST;
    }
    return err;
}

void jdb__uring_index_remove(jdb_uring *door, struct uring_range *range)
{
    const uint64_t end = bits_round_up((uintptr_t)range->ptr + range->max_size, JDB_PAGE_SIZE);
    for (uint64_t at = (uintptr_t)range->ptr; at < end; at = granule_end(at, end)) {
        struct uring_granule *const granule = granule_at(door, at);
        if (granule == NULL || (granule->leaf == NULL && granule->whole != range))
            continue;
        swap_granule(granule, at, granule_end(at, end), range, NULL);
        if (granule->leaf != NULL)
            drop_empty_leaf(granule);
    }
}

int jdb__uring_index_add(jdb_uring *door, struct uring_range *range)
{
    const uint64_t end = bits_round_up((uintptr_t)range->ptr + range->max_size, JDB_PAGE_SIZE);
    if (end >> URING_ADDRESS_BITS != 0)
        return -ENOTSUP;
    int err = 0;
    for (uint64_t at = (uintptr_t)range->ptr; err == 0 && at < end; at = granule_end(at, end)) {
        const uint64_t stop = granule_end(at, end);
        err = make_granule(door, at, !fills_granule(at, stop));
        if (err == 0)
            err = swap_granule(granule_at(door, at), at, stop, NULL, range);
    }
    if (err != 0)
        jdb__uring_index_remove(door, range);
    return err;
}

static struct uring_range *range_at(const jdb_uring *door, uint64_t address)
{
    if (address >> URING_ADDRESS_BITS != 0)
        return NULL;
    const struct uring_granule *const granule = granule_at(door, address);
    if (granule == NULL)
        return NULL;
    if (granule->leaf == NULL)
        return granule->whole;
    return granule->leaf->pages[(address >> URING_PAGE_BITS) & ((1u << URING_LEAF_BITS) - 1)];
}

struct uring_range *jdb__uring_index_find(jdb_uring *door, const void *ptr)
{
    struct uring_range *const range = range_at(door, (uintptr_t)ptr);
    if (range == NULL || (uintptr_t)ptr - (uintptr_t)range->ptr >= range->size)
        return NULL;
    door->last = range;
    return range;
}

void jdb__uring_index_free(jdb_uring *door)
{
    for (size_t i = 0; i < sizeof door->root / sizeof door->root[0]; i++)
        jdb__ring_free(door->root[i]);
}
