/* SPDX-License-Identifier: MIT
 *
 * batches.c - stacks of batches by compare-and-swap.
 */
#include "pool/batches.h"

#include "base/bits.h"
#include "base/check.h"

#include <string.h>

#define BATCHES_TOP_MASK UINT64_C(0xffffffff)
#define BATCHES_TAG_ONE (UINT64_C(1) << 32)

/* Returns the number of the batch popped + 1, or 0. */
static uint32_t batches_pop(struct batches *batches, _Atomic uint64_t *stack)
{
    uint64_t old = atomic_load_explicit(stack, memory_order_acquire);
    for (;;) {
        const uint32_t top = (uint32_t)old;
        if (top == 0)
            return 0;
        JDB_ASSERT(top <= batches->batch_count);
        const uint32_t below = atomic_load_explicit(&batches->next[top - 1], memory_order_relaxed);
        const uint64_t new = (old & ~BATCHES_TOP_MASK) | below;
        if (atomic_compare_exchange_weak_explicit(stack, &old, new, memory_order_acq_rel, memory_order_acquire))
            return top;
    }
}

static void batches_push(struct batches *batches, _Atomic uint64_t *stack, uint32_t top)
{
    uint64_t old = atomic_load_explicit(stack, memory_order_relaxed);
    uint64_t new;
    JDB_ASSERT(top > 0 && top <= batches->batch_count);
    do {
        JDB_ASSERT((uint32_t)old != top); /* F7: it is on no stack */
        atomic_store_explicit(&batches->next[top - 1], (uint32_t)old, memory_order_relaxed);
        new = ((old & ~BATCHES_TOP_MASK) + BATCHES_TAG_ONE) | top;
    } while (!atomic_compare_exchange_weak_explicit(stack, &old, new, memory_order_release, memory_order_relaxed));
}

/* Returns the number of a batch never used + 1, or 0. */
static uint32_t batches_take_unused(struct batches *batches)
{
    uint32_t fresh = atomic_load_explicit(&batches->fresh_batch, memory_order_relaxed);
    while (fresh < batches->batch_count)
        if (atomic_compare_exchange_weak_explicit(&batches->fresh_batch, &fresh, fresh + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return fresh + 1;
    return 0;
}

static uint64_t *batches_items(const struct batches *batches, uint32_t top)
{
    return batches->items + (size_t)(top - 1) * batches->batch_size;
}

uint32_t jdb__batches_take_home(struct batches *batches, uint32_t home, uint64_t *ret_items)
{
    const uint32_t top = batches_pop(batches, &batches->full[home].top);
    if (top != 0)
        memcpy(ret_items, batches_items(batches, top), batches->batch_size * sizeof *ret_items);
    return top;
}

uint32_t jdb__batches_take(struct batches *batches, uint32_t home, uint64_t *ret_items)
{
    for (uint32_t i = 0; i < BATCH_STACKS; i++) {
        const uint32_t top = batches_pop(batches, &batches->full[(home + i) % BATCH_STACKS].top);
        if (top == 0)
            continue;
        memcpy(ret_items, batches_items(batches, top), batches->batch_size * sizeof *ret_items);
        return top;
    }
    return 0;
}

uint32_t jdb__batches_claim(struct batches *batches)
{
    const uint32_t top = batches_pop(batches, &batches->spare);
    return top != 0 ? top : batches_take_unused(batches);
}

void jdb__batches_give(struct batches *batches, uint32_t home, uint32_t batch, const uint64_t *items)
{
    JDB_ASSERT(home < BATCH_STACKS);
    memcpy(batches_items(batches, batch), items, batches->batch_size * sizeof *items);
    batches_push(batches, &batches->full[home].top, batch);
}

void jdb__batches_drop(struct batches *batches, uint32_t batch)
{
    batches_push(batches, &batches->spare, batch);
}

uint32_t jdb__batches_take_fresh(struct batches *batches, uint32_t frame_count, uint32_t count, uint32_t *ret_first)
{
    uint32_t fresh = atomic_load_explicit(&batches->fresh_frame, memory_order_acquire);
    while (fresh < frame_count) {
        const uint32_t taken = (uint32_t)bits_min(frame_count - fresh, count);
        if (atomic_compare_exchange_weak_explicit(&batches->fresh_frame, &fresh, fresh + taken, memory_order_release,
                                                  memory_order_acquire)) {
            *ret_first = fresh;
            return taken;
        }
    }
    return 0;
}

bool jdb__batches_is_empty(const struct batches *batches, uint32_t frame_count)
{
    uint32_t top = 0;
    for (uint32_t i = 0; i < BATCH_STACKS; i++)
        top |= (uint32_t)atomic_load_explicit(&batches->full[i].top, memory_order_acquire);
    return top == 0 && jdb__batches_fresh_count(batches, frame_count) == 0;
}

uint64_t jdb__batches_count(const struct batches *batches)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < BATCH_STACKS; i++)
        for (uint32_t top = (uint32_t)atomic_load(&batches->full[i].top); top != 0;
             top = atomic_load(&batches->next[top - 1]))
            count += batches->batch_size;
    return count;
}

uint32_t jdb__batches_fresh_count(const struct batches *batches, uint32_t frame_count)
{
    const uint32_t fresh = atomic_load(&batches->fresh_frame);
    return frame_count > fresh ? frame_count - fresh : 0;
}
