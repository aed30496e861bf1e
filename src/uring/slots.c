/* SPDX-License-Identifier: MIT
 *
 * slots.c - slots of a ring's table of fixed buffers, filled and cleared one by one.
 *
 * One slot in one call: so each region has its own errno, and no short count hides one.
 */
#include "uring/state.h"

/* After our own unregistering the kernel may give locked memory back some milliseconds late (it does so when the last
 * reference of the ring goes), and a new registration meets -ENOMEM until then. */
#define TEARDOWN_WINDOW_MS 100u
#define TEARDOWN_RETRIES 50u

static _Atomic uint64_t teardown_ms; /* the last unregistering of this process; 0 = none */

/* Whether -ENOMEM may go away; has slept then. */
static bool slot_may_retry(unsigned tries)
{
    const uint64_t last = atomic_load(&teardown_ms);
    if (last == 0 || tries >= TEARDOWN_RETRIES || jdb__ring_coarse_ms() - last > TEARDOWN_WINDOW_MS)
        return false;
    jdb__ring_sleep_ms(1);
    return true;
}

static bool slot_is_ours(const jdb_uring *uring, uint32_t slot)
{
    return slot >= uring->first_slot && slot - uring->first_slot < uring->slot_count;
}

/* For the checked build. */
static bool slot_is_free(const jdb_uring *uring, uint32_t slot)
{
    for (uint32_t i = 0; i < uring->free_count; i++)
        if (uring->free_slots[i] == slot)
            return true;
    return false;
}

int jdb__uring_fill_slot(jdb_uring *uring, const uint8_t *ptr, size_t size, uint64_t tag, int32_t *ret_slot)
{
    JDB_ASSERT(size > 0 && size <= JDB_URING_BUFFER_MAX); /* U1 */
    JDB_ASSERT(uring->free_count <= uring->slot_count);   /* U4 */
    if (uring->table_error != 0)
        return uring->table_error;
    if (uring->free_count == 0)
        return -ENOSPC;
    const uint16_t slot = uring->free_slots[uring->free_count - 1];
    JDB_ASSERT(slot_is_ours(uring, slot)); /* U4 */
    int err = jdb__ring_update_slot(uring->ring, slot, ptr, size, tag);
    for (unsigned tries = 0; err == -ENOMEM && slot_may_retry(tries); tries++)
        err = jdb__ring_update_slot(uring->ring, slot, ptr, size, tag);
    if (err != 0)
        return err;
    uring->free_count--;
    *ret_slot = slot;
    return 0;
}

/* A slot that the kernel does not clear is lost: what it holds is unknown, so it is never filled again. Those of a ring that
 * is gone, or of the parent of this child, are left as they are. */
void jdb__uring_clear_slot(jdb_uring *uring, int32_t slot)
{
    JDB_ASSERT(slot >= 0 && slot_is_ours(uring, (uint32_t)slot)); /* U4 */
    JDB_ASSERT(uring->free_count < uring->slot_count);            /* U4 */
    JDB_ASSERT_WALK(!slot_is_free(uring, (uint32_t)slot));        /* U4 */
    if (uring->ring != NULL && uring_is_here(uring) &&
        (uring->is_table_gone || jdb__ring_update_slot(uring->ring, (uint32_t)slot, NULL, 0, 0) == 0))
        uring->free_slots[uring->free_count++] = (uint16_t)slot;
    atomic_store(&teardown_ms, jdb__ring_coarse_ms());
}
