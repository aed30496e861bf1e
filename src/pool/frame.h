/* SPDX-License-Identifier: MIT
 *
 * frame.h - one frame of a pool: its handle, its generation, and what lending it and taking it back does.
 *
 * A free frame is known by its number and is not touched: generations and links are outside of the frames.
 *
 * The word of a frame is its number, and above it its generation, as the numbers of a handle are: one comparison shows whether
 * a handle is that of the present lending, and a free frame is handed on as its word (its item).
 *
 * The generation of a frame counts its lendings. FRAME_LENT is set in it exactly while the frame is lent (F2), so a handle,
 * which carries the generation of its lending, matches at most one lending. Each put ends a generation: it clears
 * FRAME_LENT and adds 1. A generation does not wrap: a frame whose last one (FRAME_GEN_LAST) ends has the word 0, is set
 * aside, and begins anew only when no other frame is free (free.c).
 *
 * Memory model: the words of a frame are stored by whoever owns the frame at the moment, relaxed; they pass from thread to
 * thread with the places that the frame passes through (state.h).
 */
#ifndef JDB_POOL_FRAME_H
#define JDB_POOL_FRAME_H

#include "base/check.h"
#include "base/memcheck.h"
#include "jdb_alloc/pool.h"
#include "pin/frame_pins.h"

#include <stdatomic.h>
#include <string.h>

#define FRAME_NONE UINT32_MAX
#define FRAME_LENT UINT32_C(0x80000000)
#define FRAME_GEN_LAST UINT32_C(0xffffffff)       /* of a handle */
#define FRAME_GEN_SEED_MAX (UINT32_C(1) << 30)    /* a frame begins with 1 to this */
#define FRAME_GEN_ONE (UINT64_C(1) << 32)         /* one generation in an item, and in the numbers of a handle */
#define FRAME_GEN_NEXT (FRAME_LENT + UINT32_C(1)) /* from the generation of a lending to the one after it */

/* Where frames are and their state. Constant after jdb_pool_new(). */
struct pool_frames {
    uint8_t *base; /* frame i is at base + i * stride */
    size_t stride;
    _Atomic uint64_t *words;      /* per frame; 0: never lent, or set aside; for an owner: owned.c */
    const _Atomic uint32_t *pins; /* per frame, at pins_place(): 0, or the kernel may access it; the arena's */
};

static inline uint8_t *frame_ptr(const struct pool_frames *frames, uint32_t index)
{
    return frames->base + index * frames->stride;
}

static inline uint32_t frame_gen(const struct pool_frames *frames, uint32_t index)
{
    return (uint32_t)(atomic_load_explicit(&frames->words[index], memory_order_relaxed) / FRAME_GEN_ONE);
}

static inline bool frame_is_lent(const struct pool_frames *frames, uint32_t index)
{
    return (frame_gen(frames, index) & FRAME_LENT) != 0;
}

static inline uint32_t frame_pin_count(const struct pool_frames *frames, uint32_t index)
{
    return atomic_load_explicit(&frames->pins[pins_place(index)], memory_order_acquire);
}

/* Give a frame that was never lent, or set aside, its first generation. By its owner. */
static inline void frame_begin(const struct pool_frames *frames, uint32_t index, uint32_t gen_seed)
{
    JDB_ASSERT(frame_gen(frames, index) == 0);
    JDB_ASSERT(gen_seed > 0 && gen_seed < FRAME_LENT);
    atomic_store_explicit(&frames->words[index], index + gen_seed * FRAME_GEN_ONE, memory_order_relaxed);
}

/* A free frame as caches keep it, so that a get need not look its generation up: its word, which is the numbers of its next
 * handle without FRAME_LENT. */
static inline uint64_t frame_item(const struct pool_frames *frames, uint32_t index)
{
    return atomic_load_explicit(&frames->words[index], memory_order_relaxed);
}

/* ---- Handles ---------------------------------------------------------------------------------------------- */

/* The two numbers are stored as one word: a caller that passes the handle on loads them as one, and a load that spans two
 * stores has to wait until both have left the processor's store buffer. */
static inline void frame_write_handle(jdb_frame *ret_frame, uint8_t *ptr, uint64_t numbers)
{
    ret_frame->ptr = ptr;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&ret_frame->index, &numbers, sizeof numbers);
#else
    ret_frame->index = (uint32_t)numbers;
    ret_frame->gen = (uint32_t)(numbers / FRAME_GEN_ONE);
#endif
}

static inline uint64_t frame_read_numbers(const jdb_frame *frame)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t numbers = 0;
    memcpy(&numbers, &frame->index, sizeof numbers);
    return numbers;
#else
    return frame->index + frame->gen * FRAME_GEN_ONE;
#endif
}

/* Whether a handle has the place of a frame of this pool. */
static inline bool frame_is_in_place(const struct pool_frames *frames, uint32_t frame_count, jdb_frame frame)
{
    return frame.index < frame_count && frame.ptr == frame_ptr(frames, frame.index);
}

/* ---- Lend and take back ----------------------------------------------------------------------------------- */

/* Lend a frame that the caller has taken out of its place, by its item. */
static inline void frame_lend(const struct pool_frames *frames, uint64_t item, jdb_frame *ret_frame)
{
    const uint64_t numbers = item + FRAME_LENT * FRAME_GEN_ONE;
    const uint32_t index = (uint32_t)numbers;
    JDB_ASSERT(item >= FRAME_GEN_ONE && item < FRAME_LENT * FRAME_GEN_ONE); /* F2 */
    JDB_ASSERT(item == frame_item(frames, index));                          /* F3 */
    atomic_store_explicit(&frames->words[index], numbers, memory_order_relaxed);
    memcheck_lend(frame_ptr(frames, index), frames->stride);
    memcheck_defined(frame_ptr(frames, index), frames->stride);
    frame_write_handle(ret_frame, frame_ptr(frames, index), numbers);
}

/* End a lending that is not the frame's last. Returns the item of the frame; 0, and nothing done, where the handle is not
 * that of a frame lent at present, below frame_count and not pinned; in the checked build also where another thread was
 * first. One comparison finds the generations of no lending, and the last. */
static inline uint64_t frame_take_back(const struct pool_frames *frames, uint32_t frame_count, const jdb_frame *frame)
{
    const uint64_t numbers = frame_read_numbers(frame);
    const size_t index = (uint32_t)numbers;
    const uint64_t item = numbers + FRAME_GEN_NEXT * FRAME_GEN_ONE;
    if (JDB_UNLIKELY(index >= frame_count) || JDB_UNLIKELY((int64_t)item < (int64_t)FRAME_GEN_ONE) ||
        JDB_UNLIKELY(frame->ptr != frames->base + index * frames->stride))
        return 0;
    _Atomic uint64_t *const place = &frames->words[index];
    uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
    if (JDB_UNLIKELY(word != numbers) || JDB_UNLIKELY(frame_pin_count(frames, (uint32_t)index) != 0))
        return 0;
#ifdef JDB_CHECKED
    if (!atomic_compare_exchange_strong(place, &word, item))
        return 0;
#else
    atomic_store_explicit(place, item, memory_order_relaxed);
#endif
    JDB_ASSERT(word >= FRAME_LENT * FRAME_GEN_ONE && item < FRAME_LENT * FRAME_GEN_ONE); /* F2 */
    JDB_ASSERT(item == frame_item(frames, (uint32_t)index));                             /* F3 */
    memcheck_drop(frame->ptr, frames->stride);
    return item;
}

/* End the last lending of a frame, whose generation is 0 then. False where that one returns 0. */
bool jdb__frame_take_back_last(const jdb_pool *pool, jdb_frame frame);

/* The error of a put whose frame neither of them took back. */
int jdb__frame_refuse(jdb_pool *pool, jdb_frame frame);

/* Undo a frame_take_back(): the frame is lent by the same handle again. */
void jdb__frame_restore(const jdb_pool *pool, jdb_frame frame);

/* Fill frames just lent with zeros, as the policy of the pool says. */
void jdb__frame_zero(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

#endif
