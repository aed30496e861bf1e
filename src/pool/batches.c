/* SPDX-License-Identifier: MIT
 *
 * pool_batches.c - the free frames that threads share, in batches, without a lock. Floor 4.
 */
#include "pool/batches.h"

#include <string.h>

#define NUMBER_MASK UINT64_C(0xffffffff)
#define TAG_ONE (UINT64_C(1) << 32)

/* Returns the number of the batch popped + 1, or 0. */
static uint32_t pop(struct batches *batches, _Atomic uint64_t *stack)
{
    uint64_t old = atomic_load_explicit(stack, memory_order_acquire);
    for (;;) {
        const uint32_t top = (uint32_t)old;
        if (top == 0)
            return 0;
        const uint32_t below = atomic_load_explicit(&batches->next[top - 1], memory_order_relaxed);
        const uint64_t new = (old & ~NUMBER_MASK) | below;
        if (atomic_compare_exchange_weak_explicit(stack, &old, new, memory_order_acq_rel, memory_order_acquire))
            return top;
    }
}

static void push(struct batches *batches, _Atomic uint64_t *stack, uint32_t top)
{
    uint64_t old = atomic_load_explicit(stack, memory_order_relaxed);
    uint64_t new;
    do {
        atomic_store_explicit(&batches->next[top - 1], (uint32_t)old, memory_order_relaxed);
        new = ((old & ~NUMBER_MASK) + TAG_ONE) | top;
    } while (!atomic_compare_exchange_weak_explicit(stack, &old, new, memory_order_release, memory_order_relaxed));
}

/* Returns the number of a batch never used + 1, or 0. */
static uint32_t take_fresh_batch(struct batches *batches)
{
    uint32_t fresh = atomic_load_explicit(&batches->fresh_batch, memory_order_relaxed);
    while (fresh < batches->batch_count)
        if (atomic_compare_exchange_weak_explicit(&batches->fresh_batch, &fresh, fresh + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return fresh + 1;
    return 0;
}

static uint32_t *items_of(const struct batches *batches, uint32_t top)
{
    return batches->items + (size_t)(top - 1) * batches->batch_size;
}

bool jdb__batches_take(struct batches *batches, uint32_t *ret_items)
{
    const uint32_t top = pop(batches, &batches->full);
    if (top == 0)
        return false;
    memcpy(ret_items, items_of(batches, top), batches->batch_size * sizeof *ret_items);
    push(batches, &batches->spare, top);
    return true;
}

bool jdb__batches_give(struct batches *batches, const uint32_t *items)
{
    uint32_t top = pop(batches, &batches->spare);
    if (top == 0)
        top = take_fresh_batch(batches);
    if (top == 0)
        return false;
    memcpy(items_of(batches, top), items, batches->batch_size * sizeof *items);
    push(batches, &batches->full, top);
    return true;
}

uint32_t jdb__batches_take_fresh(struct batches *batches, uint32_t frame_count, uint32_t count, uint32_t *ret_first)
{
    uint32_t fresh = atomic_load_explicit(&batches->fresh_frame, memory_order_acquire);
    while (fresh < frame_count) {
        const uint32_t taken = frame_count - fresh < count ? frame_count - fresh : count;
        if (atomic_compare_exchange_weak_explicit(&batches->fresh_frame, &fresh, fresh + taken, memory_order_release,
                                                  memory_order_acquire)) {
            *ret_first = fresh;
            return taken;
        }
    }
    return 0;
}
