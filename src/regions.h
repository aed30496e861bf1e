/* SPDX-License-Identifier: MIT
 *
 * regions.h - every arena's region: found from an address without a lock, its frames pinned one by one. Floor 3.
 *
 * Invariants of a region that is in the register:
 *   - [base, base + span) overlaps no other region of this process; base and span are multiples of 4096
 *   - frames [0, frame_count) are usable; frame i lies at base + i * stride; frame_count only grows
 *   - pins[i] of a usable frame: the number of its pins, or REGION_BLOCKED while it is being given back
 */
#ifndef JDB_REGIONS_H
#define JDB_REGIONS_H

#include "fork_mark.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGION_BLOCKED 0x80000000u
#define REGION_MAX_PINS 33554431u /* as jdb_pin() promises */

struct region {
    uint8_t *base;
    uint64_t span;         /* bytes */
    uint64_t stride;       /* bytes */
    uint64_t fork_mark;    /* 0: children of fork() keep the memory */
    uint32_t stride_shift; /* stride == 1 << stride_shift; 0 when it is no power of two */
    _Atomic uint32_t frame_count;
    _Atomic uint32_t *pins; /* one for each usable frame */
    pthread_mutex_t lock; /* of the arena: growth, decommit, holds; fork() waits for it when children keep the memory */
    struct region *next_kept; /* the register's */
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
bool jdb__regions_is_pinned(const void *ptr, size_t size);

/* Whether the address lies in a region of this process. */
bool jdb__regions_has(const void *ptr);

/* Keep frames [first, first + count) from being pinned. -EBUSY: one is pinned or blocked, nothing changed. */
int jdb__region_block(struct region *region, uint32_t first, uint32_t count);
void jdb__region_unblock(struct region *region, uint32_t first, uint32_t count);

/* Usable frames with at least one pin. */
uint32_t jdb__region_pinned_count(const struct region *region);

/* As jdb__regions_pin(); *ret_count: where the pin is kept, or NULL when it is in several frames. */
int jdb__regions_pin_marked(const void *ptr, size_t size, _Atomic uint32_t **ret_count);

/* The same of a region that is known, for bytes from its base on: nothing is looked up. *ret_count is not defined on
 * failure. */
int jdb__region_pin_marked(struct region *region, uint64_t offset, size_t size, _Atomic uint32_t **ret_count);

/* The end of a pin that is kept at count. -EINVAL: not pinned. */
int jdb__regions_unpin_marked(_Atomic uint32_t *count);

/* The frame of a byte offset below frame_count * stride. */
static inline uint32_t region_index(const struct region *region, uint64_t offset)
{
    return (uint32_t)(region->stride_shift != 0 ? offset >> region->stride_shift : offset / region->stride);
}

/* index: a usable frame. */
static inline bool region_is_pinned(const struct region *region, uint32_t index)
{
    return atomic_load_explicit(&region->pins[index], memory_order_acquire) != 0;
}

#endif
