/* SPDX-License-Identifier: MIT
 *
 * frame.c - the rare cases of a frame: its last lending, a put that is refused, zeroing.
 */
#include "pool/state.h"

#include "pin/regions.h"

JDB_COLD bool jdb__frame_take_back_last(const jdb_pool *pool, jdb_frame frame)
{
    const struct pool_frames *const frames = &pool->frames;
    uint64_t word = frame_read_numbers(&frame);
    if (pool->token == 0 || frame.gen != FRAME_GEN_LAST || !frame_is_in_place(frames, pool_frame_count(pool), frame) ||
        frame_pin_count(frames, frame.index) != 0 ||
        !atomic_compare_exchange_strong(&frames->words[frame.index], &word, 0))
        return false;
    memcheck_drop(frame.ptr, frames->stride);
    return true;
}

JDB_COLD int jdb__frame_refuse(jdb_pool *pool, jdb_frame frame)
{
    if (pool->token == 0)
        return -EPERM;
    const struct pool_frames *const frames = &pool->frames;
    atomic_fetch_add_explicit(&pool->refused_count, 1, memory_order_relaxed);
    const size_t offset = (size_t)((uintptr_t)frame.ptr - (uintptr_t)frames->base);
    if (offset >= frames->stride * pool->max_count)
        return jdb__regions_has(frame.ptr) ? -EXDEV : -EINVAL;
    if (frame.index >= pool_frame_count(pool))
        return -ERANGE;
    if (frame.ptr != frame_ptr(frames, frame.index) || (frame.gen & FRAME_LENT) == 0)
        return -EINVAL;
    return frame.gen != frame_gen(frames, frame.index) ? -ESTALE : -EBUSY;
}

void jdb__frame_restore(const jdb_pool *pool, jdb_frame frame)
{
    const struct pool_frames *const frames = &pool->frames;
    JDB_ASSERT((frame.gen & FRAME_LENT) != 0 && !frame_is_lent(frames, frame.index)); /* F2 */
    atomic_store_explicit(&frames->words[frame.index], frame_read_numbers(&frame), memory_order_relaxed);
    memcheck_lend(frame.ptr, frames->stride);
    memcheck_defined(frame.ptr, frames->stride);
}

void jdb__frame_zero(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    if (pool->zero_size == 0)
        return;
    for (uint32_t i = 0; i < frame_count; i++)
        memset(frames[i].ptr + pool->zero_offset, 0, pool->zero_size);
}
