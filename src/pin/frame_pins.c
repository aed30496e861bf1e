/* SPDX-License-Identifier: MIT
 *
 * frame_pins.c - the counters of pins: their memory, several at once, how many are not 0.
 */
#include "pin/frame_pins.h"

#include "base/bits.h"
#include "os/os.h"

#include <stddef.h>

#define PINS_CHUNK (UINT64_C(1) << PINS_CHUNK_SHIFT)
#define PINS_GROUP 512u /* counters that change places with each other */

/* ---- Memory ----------------------------------------------------------------------------------------------- */

static uint64_t pins_chunk_count(uint32_t frame_count)
{
    return (frame_count + PINS_CHUNK - 1) >> PINS_CHUNK_SHIFT;
}

/* Bytes, whole pages. */
static uint64_t pins_marks_size(uint32_t frame_count)
{
    return bits_round_up(pins_chunk_count(frame_count), jdb__os_page_size());
}

static uint64_t pins_counts_size(uint32_t frame_count)
{
    const uint64_t places = bits_round_up(frame_count, PINS_GROUP);
    return bits_round_up(places * sizeof(_Atomic uint32_t), jdb__os_page_size());
}

int jdb__pins_reserve(struct frame_pins *pins, uint32_t max_count)
{
    void *mapping = NULL;
    const uint64_t marks_size = pins_marks_size(max_count);
    const uint64_t size = marks_size + pins_counts_size(max_count);
    int err = jdb__os_reserve(size, &mapping);
    if (err == 0 && (err = jdb__os_commit(mapping, marks_size)) != 0)
        jdb__os_unmap(mapping, size);
    if (err != 0)
        return err;
    *pins = (struct frame_pins){.mapping = mapping, .mapping_size = size};
    pins->counts = (_Atomic uint32_t *)(void *)((uint8_t *)mapping + marks_size);
    return 0;
}

int jdb__pins_commit(const struct frame_pins *pins, uint32_t frame_count)
{
    return frame_count > 0 ? jdb__os_commit((void *)pins->counts, pins_counts_size(frame_count)) : 0;
}

void jdb__pins_release(struct frame_pins *pins)
{
    if (pins->mapping_size > 0)
        jdb__os_unmap(pins->mapping, pins->mapping_size);
    *pins = (struct frame_pins){.mapping_size = 0};
}

/* A new mapping of zeros costs nothing, whatever the number of frames. Marks of chunks are of no use here: fork() may have copied
 * the page of a mark before a thread stored it, and that of the counter after. */
void jdb__pins_forget(const struct frame_pins *pins, uint32_t frame_count)
{
    if (frame_count == 0 || jdb__os_decommit((void *)pins->counts, pins_counts_size(frame_count)) == 0)
        return;
    for (uint32_t i = 0; i < frame_count; i++)
        atomic_store_explicit(pins_of(pins, i), 0, memory_order_relaxed);
}

/* ---- Chunks that were used -------------------------------------------------------------------------------- */

/* The first frame from `index` on whose chunk was used, or frame_count. */
static uint64_t pins_next_used(const struct frame_pins *pins, uint64_t index, uint32_t frame_count)
{
    while (index < frame_count && atomic_load_explicit(pins_mark(pins, (uint32_t)index), memory_order_relaxed) == 0)
        index = bits_round_down(index, PINS_CHUNK) + PINS_CHUNK;
    return bits_min(index, frame_count);
}

uint32_t jdb__pins_count(const struct frame_pins *pins, uint32_t frame_count)
{
    uint32_t count = 0;
    for (uint64_t i = 0; (i = pins_next_used(pins, i, frame_count)) < frame_count; i++)
        count += pins_has(pins, (uint32_t)i) ? 1 : 0;
    return count;
}

/* ---- Several frames --------------------------------------------------------------------------------------- */

int jdb__pins_add(const struct frame_pins *pins, uint32_t first, uint32_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        pins_note(pins, (uint32_t)i);
        const int err = pins_increment(pins_of(pins, (uint32_t)i));
        if (err == 0)
            continue;
        while (i-- > first)
            pins_decrement(pins_of(pins, (uint32_t)i));
        return err;
    }
    return 0;
}

void jdb__pins_unblock(const struct frame_pins *pins, uint32_t first, uint32_t count)
{
    for (uint64_t i = first; i < (uint64_t)first + count; i++) {
        _Atomic uint32_t *const own = pins_of(pins, (uint32_t)i);
        JDB_ASSERT(atomic_load_explicit(own, memory_order_relaxed) == PINS_BLOCKED); /* R3 */
        atomic_store_explicit(own, 0, memory_order_release);
    }
}

int jdb__pins_block(const struct frame_pins *pins, uint32_t first, uint32_t count)
{
    for (uint32_t done = 0; done < count; done++) {
        uint32_t none = 0;
        if (atomic_compare_exchange_strong_explicit(pins_of(pins, first + done), &none, PINS_BLOCKED,
                                                    memory_order_acquire, memory_order_relaxed))
            continue;
        jdb__pins_unblock(pins, first, done);
        return -EBUSY;
    }
    return 0;
}
