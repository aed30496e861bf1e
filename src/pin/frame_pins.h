/* SPDX-License-Identifier: MIT
 *
 * frame_pins.h - how often each frame of an arena is pinned: one counter for each, outside of the frames.
 *
 * A counter holds the number of pins of its frame, or PINS_BLOCKED while the frame is given back to the system (R3). It changes
 * by compare-and-swap, and only where the change is granted.
 *
 * Neighbouring frames are used by different threads at once, so their counters are in different cache lines: the counters
 * of 512 frames are stored in an order that puts any two whose numbers are less than 16 apart into two lines.
 *
 * The chunks of 1,024 frames in which one was ever pinned are marked, so that counting pins, and freeing an arena, costs what
 * was used of it. The marks lie in front of the counters, that of the first chunk last: one address leads to both.
 */
#ifndef JDB_PIN_FRAME_PINS_H
#define JDB_PIN_FRAME_PINS_H

#include "base/check.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PINS_BLOCKED 0x80000000u
#define PINS_MAX 33554431u /* as jdb_pin() promises */
#define PINS_CHUNK_SHIFT 10u

struct frame_pins {
    _Atomic uint32_t *counts; /* one for each usable frame, at pins_place() */
    void *mapping;
    uint64_t mapping_size; /* bytes */
};

/* Reserve the counters of max_count frames. -ENOMEM. */
int jdb__pins_reserve(struct frame_pins *pins, uint32_t max_count);

/* Make those of the first frame_count usable: 0 pins. -ENOMEM. */
int jdb__pins_commit(const struct frame_pins *pins, uint32_t frame_count);

void jdb__pins_release(struct frame_pins *pins);

/* In a child of fork(): none of the first frame_count is pinned. */
void jdb__pins_forget(const struct frame_pins *pins, uint32_t frame_count);

/* Of the first frame_count, those with at least one pin. */
uint32_t jdb__pins_count(const struct frame_pins *pins, uint32_t frame_count);

/* Pin frames [first, last], all or none. -EBUSY. */
int jdb__pins_add(const struct frame_pins *pins, uint32_t first, uint32_t last);

/* Keep frames [first, first + count) from being pinned. -EBUSY: one is pinned or blocked, nothing changed. */
int jdb__pins_block(const struct frame_pins *pins, uint32_t first, uint32_t count);
void jdb__pins_unblock(const struct frame_pins *pins, uint32_t first, uint32_t count);

/* Where the counter of a frame is. */
static inline uint32_t pins_place(uint32_t index)
{
    return index ^ (index & 15u) << 5;
}

static inline _Atomic uint32_t *pins_of(const struct frame_pins *pins, uint32_t index)
{
    return &pins->counts[pins_place(index)];
}

/* index: a usable frame. */
static inline bool pins_has(const struct frame_pins *pins, uint32_t index)
{
    return atomic_load_explicit(pins_of(pins, index), memory_order_acquire) != 0;
}

/* Not 0: a frame of the chunk of this one was pinned. */
static inline _Atomic uint8_t *pins_mark(const struct frame_pins *pins, uint32_t index)
{
    return (_Atomic uint8_t *)pins->counts - 1 - (index >> PINS_CHUNK_SHIFT);
}

/* Mark the chunk of a frame that is about to be pinned. */
static inline void pins_note(const struct frame_pins *pins, uint32_t index)
{
    _Atomic uint8_t *const mark = pins_mark(pins, index);
    if (JDB_UNLIKELY(atomic_load_explicit(mark, memory_order_relaxed) == 0))
        atomic_store_explicit(mark, 1, memory_order_relaxed);
}

/* Add a pin to a counter whose chunk is marked. -EBUSY: given back at this moment, or pinned as often as can be. The count
 * changes only where the pin is granted: a pin that is added first and taken back later could be unpinned, and the frame be
 * blocked again, in between. */
static inline int pins_increment(_Atomic uint32_t *count)
{
    uint32_t old = atomic_load_explicit(count, memory_order_relaxed);
    do {
        if (JDB_UNLIKELY(old >= PINS_MAX))
            return -EBUSY;
    } while (!atomic_compare_exchange_weak_explicit(count, &old, old + 1, memory_order_acquire, memory_order_relaxed));
    return 0;
}

/* Take a pin off. -EINVAL: not pinned. */
static inline int pins_decrement(_Atomic uint32_t *count)
{
    uint32_t old = atomic_load_explicit(count, memory_order_relaxed);
    do {
        if (JDB_UNLIKELY(old == 0 || old >= PINS_BLOCKED))
            return -EINVAL;
    } while (!atomic_compare_exchange_weak_explicit(count, &old, old - 1, memory_order_release, memory_order_relaxed));
    return 0;
}

#endif
