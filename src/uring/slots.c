/* SPDX-License-Identifier: MIT
 *
 * uring_table.c - slots of a ring's table of fixed buffers, filled and cleared one by one. Floor 5.
 */
#include "uring/state.h"

#include "os/os_uring.h"

#include <stdatomic.h>

/* After our own unregistering the kernel may give locked memory back some milliseconds late (it does so when the last
 * reference of the ring goes), and a new registration meets -ENOMEM until then. */
#define TEARDOWN_WINDOW_MS 100u
#define TEARDOWN_TRIES 50u

static _Atomic uint64_t teardown_ms;

/* ---- Retry ------------------------------------------------------------------------------------------------ */

static bool may_retry(unsigned tries)
{
    const uint64_t last = atomic_load(&teardown_ms);
    if (last == 0 || tries >= TEARDOWN_TRIES || jdb__ring_coarse_ms() - last > TEARDOWN_WINDOW_MS)
        return false;
    jdb__ring_sleep_ms(1);
    return true;
}

/* ---- Slots ------------------------------------------------------------------------------------------------ */

/* One slot in one call: so each region has its own errno, and no short count can hide one. */
static int update_slot(const jdb_uring *door, uint32_t slot, const uint8_t *ptr, size_t size, uint64_t tag)
{
    return jdb__ring_update_slot(door->ring, slot, ptr, size, tag);
}

int jdb__uring_fill_slot(jdb_uring *door, const uint8_t *ptr, size_t size, uint64_t tag, int32_t *ret_slot)
{
    if (door->table_error != 0)
        return door->table_error;
    if (door->free_count == 0)
        return -ENOSPC;
    const uint16_t slot = door->free_slots[door->free_count - 1];
    int err = update_slot(door, slot, ptr, size, tag);
    for (unsigned tries = 0; err == -ENOMEM && may_retry(tries); tries++)
        err = update_slot(door, slot, ptr, size, tag);
    if (err != 0)
        return err;
    door->free_count--;
    *ret_slot = slot;
    return 0;
}

/* A slot that the kernel does not clear is lost to the door: it must never be filled again unseen. */
void jdb__uring_clear_slot(jdb_uring *door, int32_t slot)
{
    if (door->ring != NULL && update_slot(door, (uint32_t)slot, NULL, 0, 0) == 0)
        door->free_slots[door->free_count++] = (uint16_t)slot;
    atomic_store(&teardown_ms, jdb__ring_coarse_ms());
}
