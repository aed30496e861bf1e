/* SPDX-License-Identifier: MIT
 *
 * owned.c - frames that count for an owner: how the put of one, by whatever call, finds the owner, at no cost to the others.
 *
 * While a frame counts for an owner, owners[index] is the owner's address, and the frame's word is stored as its complement. So no
 * handle matches it: every put, view and recycle of it goes the way of a wrong handle, and there the frame is detached first, which
 * is to store its word as it is and to set OWNED_DETACHED in owners[index]. Then it is taken back as any frame, and discharged, or
 * attached again where the call fails.
 *
 * The complement has the number of no frame of that place, and FRAME_LENT clear. So one load says by which handle a frame is lent,
 * and an owner that is read between two loads of the same complement is the owner of that lending: it changes only while the word is
 * no complement, and no generation comes twice.
 */
#include "pool/state.h"

#define OWNED_DETACHED ((uintptr_t)1) /* of an address, which is even */

static bool owned_is_used(const jdb_pool *pool)
{
    return atomic_load_explicit(&pool->owner_count, memory_order_relaxed) > 0;
}

/* The word of a lent frame while it has an owner. */
static uint64_t owned_word(const jdb_frame *frame)
{
    return ~frame_read_numbers(frame);
}

static bool owned_is_owned(uint64_t word, uint32_t index)
{
    return (uint32_t)~word == index;
}

static uint32_t owned_gen(uint64_t word)
{
    return (uint32_t)(word / FRAME_GEN_ONE);
}

static bool owned_is_detached(uintptr_t owner)
{
    return (owner & OWNED_DETACHED) != 0;
}

uint32_t jdb__owned_lent_gen(const jdb_pool *pool, uint32_t index)
{
    const uint64_t word = frame_item(&pool->frames, index);
    const uint32_t gen = owned_gen(owned_is_owned(word, index) ? ~word : word);
    return (gen & FRAME_LENT) != 0 ? gen : 0;
}

uint32_t jdb__owned_gen_of(const jdb_pool *pool, const jdb_pool_owner *owner, uint32_t index)
{
    const _Atomic uint64_t *const place = &pool->frames.words[index];
    uint64_t word = atomic_load(place);
    while (owned_is_owned(word, index) && atomic_load(&pool->owners[index]) == (uintptr_t)owner) {
        const uint64_t before = word;
        word = atomic_load(place);
        if (word == before)
            return owned_gen(~word);
    }
    return 0;
}

int jdb__owned_attach(const jdb_pool *pool, jdb_pool_owner *owner, jdb_frame frame)
{
    const struct pool_frames *const frames = &pool->frames;
    uintptr_t none = 0;
    uint64_t word = frame_read_numbers(&frame);
    JDB_ASSERT((uintptr_t)owner % 2 == 0);
    if (!frame_is_in_place(frames, pool_frame_count(pool), frame) || (frame.gen & FRAME_LENT) == 0)
        return -EINVAL;
    if (jdb__owned_lent_gen(pool, frame.index) != frame.gen)
        return -ESTALE;
    if (!atomic_compare_exchange_strong(&pool->owners[frame.index], &none, (uintptr_t)owner))
        return -EXDEV;
    if (atomic_compare_exchange_strong(&frames->words[frame.index], &word, owned_word(&frame)))
        return 0;
    atomic_store(&pool->owners[frame.index], 0); /* put meanwhile */
    return -ESTALE;
}

static bool owned_detach_one(const jdb_pool *pool, jdb_frame frame)
{
    const struct pool_frames *const frames = &pool->frames;
    if (!frame_is_in_place(frames, pool_frame_count(pool), frame) || (frame.gen & FRAME_LENT) == 0)
        return false;
    const uintptr_t owner = atomic_load(&pool->owners[frame.index]);
    uint64_t word = owned_word(&frame);
    if (owner == 0 || owned_is_detached(owner) ||
        !atomic_compare_exchange_strong(&frames->words[frame.index], &word, frame_read_numbers(&frame)))
        return false;
    atomic_store(&pool->owners[frame.index], owner | OWNED_DETACHED);
    return true;
}

bool jdb__owned_detach(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    bool has_owned = false;
    if (!owned_is_used(pool))
        return false;
    for (uint32_t i = 0; i < frame_count; i++)
        has_owned |= owned_detach_one(pool, frames[i]);
    return has_owned;
}

void jdb__owned_reattach(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    for (uint32_t i = 0; i < frame_count; i++) {
        const jdb_frame frame = frames[i];
        if (!frame_is_in_place(&pool->frames, pool_frame_count(pool), frame))
            continue;
        const uintptr_t owner = atomic_load(&pool->owners[frame.index]);
        if (!owned_is_detached(owner) || frame_gen(&pool->frames, frame.index) != frame.gen)
            continue;
        atomic_store(&pool->owners[frame.index], owner & ~OWNED_DETACHED);
        atomic_store(&pool->frames.words[frame.index], owned_word(&frame));
    }
}

void jdb__owned_discharge(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count)
{
    for (uint32_t i = 0; i < frame_count; i++) {
        const uintptr_t address = atomic_load(&pool->owners[frames[i].index]);
        if (!owned_is_detached(address))
            continue;
        jdb_pool_owner *const owner = (jdb_pool_owner *)(address & ~OWNED_DETACHED);
        atomic_store(&pool->owners[frames[i].index], 0);
        const uint32_t before = atomic_fetch_sub(&owner->frame_count, 1); /* the last access: its owner may free it */
        JDB_ASSERT(before > 0);
        (void)before;
    }
}
