/* SPDX-License-Identifier: MIT
 *
 * uring.c - a door on the caller's ring: opened, cloned, closed. Floor 5, a library of its own.
 */
#include "uring/state.h"

#include "base/bits.h"
#include "os/os_uring.h"

#include <string.h>

#define DEFAULT_SLOT_COUNT 1024u

/* Newer than liburing 2.3. Source: include/uapi/linux/io_uring.h, since Linux 6.15. */
#define OP_WRITEV_FIXED 61

/* ---- Options and reports ---------------------------------------------------------------------------------- */

int jdb__uring_read_options(void *known, uint32_t known_size, const void *given)
{
    uint32_t given_size = 0;
    memcpy(&given_size, given, sizeof given_size);
    if (given_size < sizeof given_size)
        return -EINVAL;
    const uint8_t *const bytes = given;
    for (uint32_t i = known_size; i < given_size; i++)
        if (bytes[i] != 0)
            return -E2BIG;
    memcpy(known, given, given_size < known_size ? given_size : known_size);
    return 0;
}

static int door_options(const jdb_uring_options *given, jdb_uring_options *ret_options)
{
    jdb_uring_options options = {.size = sizeof options};
    const int err = given == NULL ? 0 : jdb__uring_read_options(&options, sizeof options, given);
    if (err != 0)
        return err;
    if (options.slot_count == 0)
        options.slot_count = DEFAULT_SLOT_COUNT;
    if (options.region_size == 0)
        options.region_size = JDB_URING_REGION_MAX;
    if (!bits_is_pow2(options.region_size) || options.region_size < JDB_URING_REGION_MIN ||
        options.region_size > JDB_URING_REGION_MAX)
        return -EINVAL;
    if (options.slot_count > JDB_URING_SLOTS_MAX || options.uses_caller_table > 1 ||
        options.first_slot > JDB_URING_SLOTS_MAX - options.slot_count ||
        (options.first_slot != 0 && options.uses_caller_table == 0))
        return -EINVAL;
    *ret_options = options;
    return 0;
}

int jdb__uring_write_report(void *report, const void *filled, uint32_t filled_size)
{
    uint32_t size = 0;
    memcpy(&size, report, sizeof size);
    if (size < sizeof size)
        return -EINVAL;
    memcpy(report, filled, size < filled_size ? size : filled_size);
    memcpy(report, &size, sizeof size);
    return 0;
}

/* ---- Processes -------------------------------------------------------------------------------------------- */

_Atomic uint32_t jdb__uring_process;
static atomic_bool is_watching;

static void begin_child(void)
{
    atomic_fetch_add_explicit(&jdb__uring_process, 1, memory_order_relaxed);
    jdb__uring_forget_guards();
}

/* -ENOMEM. Twice is once too often, and harmless. */
static int watch_forks(void)
{
    if (atomic_load(&is_watching))
        return 0;
    const int err = jdb__ring_at_fork(begin_child);
    if (err == 0)
        atomic_store(&is_watching, true);
    return err;
}

/* When the library is loaded: before a handler of the program's own, which may close its rings in the child. */
__attribute__((constructor)) static void watch_early(void)
{
    (void)watch_forks();
}

/* ---- Open and close --------------------------------------------------------------------------------------- */

/* A door without a table, all its slots free. */
static int make_door(struct io_uring *ring, const jdb_uring_options *options, jdb_uring **ret_door)
{
    void *memory = NULL;
    int err = watch_forks();
    if (err != 0)
        return err;
    err = jdb__ring_alloc(sizeof(jdb_uring) + options->slot_count * sizeof(uint16_t), &memory);
    if (err != 0)
        return err;
    jdb_uring *const door = memory;
    door->ring = ring;
    door->process = atomic_load_explicit(&jdb__uring_process, memory_order_relaxed);
    door->is_callers_table = options->uses_caller_table != 0;
    door->first_slot = options->first_slot;
    door->slot_count = options->slot_count;
    door->region_size = options->region_size;
    (void)jdb__ring_knows(ring, OP_WRITEV_FIXED, &door->has_vectored);
    for (uint32_t i = options->slot_count; i > 0; i--)
        door->free_slots[door->free_count++] = (uint16_t)(options->first_slot + i - 1);
    *ret_door = door;
    return 0;
}

static void make_table(jdb_uring *door)
{
    if (!door->is_callers_table)
        door->table_error = jdb__ring_register_table(door->ring, door->slot_count);
}

int jdb_uring_open(struct io_uring *ring, const jdb_uring_options *options, jdb_uring **ret_door)
{
    if (ring == NULL || ret_door == NULL)
        return -EINVAL;
    jdb_uring_options wanted;
    int err = door_options(options, &wanted);
    if (err == 0)
        err = make_door(ring, &wanted, ret_door);
    if (err == 0)
        make_table(*ret_door);
    return err;
}

/* The slots of a cloned table that the other door has filled are not free here either. */
static void copy_slots(jdb_uring *door, const jdb_uring *from)
{
    door->free_count = from->free_count;
    memcpy(door->free_slots, from->free_slots, from->free_count * sizeof from->free_slots[0]);
}

int jdb_uring_clone(const jdb_uring *from, struct io_uring *ring, jdb_uring **ret_door)
{
    if (from == NULL || from->ring == NULL || ring == NULL || ret_door == NULL)
        return -EINVAL;
    if (!uring_is_here(from))
        return -EPERM;
    const jdb_uring_options options = {.slot_count = from->slot_count,
                                       .first_slot = from->first_slot,
                                       .uses_caller_table = from->is_callers_table,
                                       .region_size = from->region_size};
    jdb_uring *door = NULL;
    int err = make_door(ring, &options, &door);
    if (err != 0)
        return err;
    door->is_cloned = !from->is_callers_table && from->table_error == 0 && jdb__ring_clone_table(ring, from->ring) == 0;
    if (door->is_cloned)
        copy_slots(door, from);
    else
        make_table(door);
    err = jdb__uring_copy_ranges(door, from);
    if (err != 0) {
        (void)jdb_uring_close(door);
        return err;
    }
    *ret_door = door;
    return 0;
}

static void remove_all(jdb_uring *door)
{
    while (door->ranges != NULL)
        jdb__uring_range_remove(door, &door->ranges);
    jdb__uring_index_free(door);
}

int jdb_uring_close(jdb_uring *door)
{
    if (door == NULL)
        return 0;
    if (!uring_is_here(door)) {
        (void)jdb_uring_abandon(door);
        return 0;
    }
    if (door->in_flight_count > 0)
        return -EBUSY;
    remove_all(door);
    if (!door->is_callers_table && door->table_error == 0)
        (void)jdb__ring_unregister_table(door->ring);
    jdb__ring_free(door);
    return 0;
}

void jdb__uring_let_die(jdb_uring *door)
{
    JDB_ASSERT(door->ring == NULL && door->ranges == NULL);
    JDB_ASSERT(door->in_flight_count > 0 || door->leaving == NULL);
    if (door->in_flight_count == 0)
        jdb__ring_free(door);
}

uint64_t jdb_uring_abandon(jdb_uring *door)
{
    if (door == NULL)
        return 0;
    const uint64_t count = door->in_flight_count;
    door->ring = NULL;
    remove_all(door);
    jdb__uring_let_die(door);
    return count;
}
