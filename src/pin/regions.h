/* SPDX-License-Identifier: MIT
 *
 * regions.h - every arena's region: found from an address without a lock; pins of ranges of addresses.
 *
 * Invariants of a region in the register, numbered as in docs/design.md:
 *   R1  [base, base + span) overlaps no other region of this process; base and span are multiples of 4096
 *   R2  frames [0, frame_count) are usable; frame i lies at base + i * stride; frame_count only grows, and is stored by
 *       release after the frames and their counters are readable
 *   R3  the counter of a usable frame: the number of its pins, or PINS_BLOCKED while it is being given back (frame_pins.h)
 *   R4  a region that a reader found stays, because the caller of jdb_pin() keeps the memory alive during the call
 *
 * Locks: the register's guards the tree and the list; each region has the lock of its arena. Look-ups and pins take
 * none.
 */
#ifndef JDB_REGIONS_H
#define JDB_REGIONS_H

#include "base/check.h"
#include "os/fork.h"
#include "os/fork_mark.h"
#include "pin/frame_pins.h"

#include <stddef.h>

struct region {
    uint8_t *base;
    uint64_t span;         /* bytes */
    uint64_t stride;       /* bytes */
    uint64_t fork_mark;    /* 0: children of fork() keep the memory */
    uint32_t stride_shift; /* stride == 1 << stride_shift; 0 when it is no power of two */
    _Atomic uint32_t frame_count;
    struct frame_pins pins;
    struct lock lock;    /* of the arena: growth, decommit, holds */
    struct region *next; /* the register's */
};

/* Enter a region. The region stays its owner's and must not move. -EINVAL: it overlaps a region, or its addresses are
 * beyond 48 bits; -ENOMEM. */
int jdb__regions_add(struct region *region);

/* Take it out. A region once entered can be entered again without an error. */
void jdb__regions_remove(struct region *region);

/* The meaning and errors of jdb_pin() and so on, for addresses of arenas; -EPERM in a child of fork() that has no
 * such memory. Any thread, no lock. */
int jdb__regions_pin(const void *ptr, size_t size);
int jdb__regions_unpin(const void *ptr, size_t size);
int jdb__regions_unpin_error(const void *ptr, size_t size); /* of a range that is not pinned */
bool jdb__regions_is_pinned(const void *ptr, size_t size);

/* Whether the address lies in a region of this process. */
bool jdb__regions_has(const void *ptr);

/* As jdb__regions_pin(); *ret_count: where the pin is kept, or NULL when it is in several frames. */
int jdb__regions_pin_marked(const void *ptr, size_t size, _Atomic uint32_t **ret_count);

/* The frame of a byte offset below frame_count * stride. */
static inline uint32_t region_index(const struct region *region, uint64_t offset)
{
    return (uint32_t)(region->stride_shift != 0 ? offset >> region->stride_shift : offset / region->stride);
}

/* The usable frames of [offset, offset + size), size above 0. -EPERM, -ERANGE. */
static inline int region_frames(const struct region *region, uint64_t offset, size_t size, uint32_t *ret_first,
                                uint32_t *ret_last)
{
    if (JDB_UNLIKELY(!fork_mark_is_mine(region->fork_mark)))
        return -EPERM;
    const uint64_t usable = atomic_load_explicit(&region->frame_count, memory_order_acquire) * region->stride;
    if (JDB_UNLIKELY(offset >= usable || size > usable - offset))
        return -ERANGE;
    *ret_first = region_index(region, offset);
    *ret_last = region_index(region, offset + size - 1);
    return 0;
}

#endif
