/* SPDX-License-Identifier: MIT
 *
 * uring.c - the uring object on the caller's ring: opened, cloned, closed.
 */
#include "uring/op.h"

#include "base/bits.h"
#include "base/sized.h"

#include <string.h>

SIZED_FORM(uring_options_form, jdb_uring_options, 24, 64);

/* ---- Options ---------------------------------------------------------------------------------------------- */

static int uring_options(const jdb_uring_options *given, jdb_uring_options *ret_options)
{
    jdb_uring_options options = JDB_URING_OPTIONS_INIT;
    const int err = given == NULL ? 0 : jdb__sized_read(&uring_options_form, given, &options);
    if (err != 0)
        return err;
    if (options.slot_count == 0)
        options.slot_count = URING_DEFAULT_SLOT_COUNT;
    if (options.region_size == 0)
        options.region_size = URING_DEFAULT_REGION_SIZE;
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

/* The kernel alone knows which thread made the ring, or enabled it. */
int jdb__uring_check_thread(struct io_uring *ring)
{
    if (ring == NULL || (ring->flags & IORING_SETUP_SINGLE_ISSUER) == 0)
        return 0;
    return jdb__ring_ask(ring) == -EEXIST ? -EPERM : 0;
}

int jdb__uring_check_owner(const jdb_uring *uring)
{
    return uring_is_here(uring) ? jdb__uring_check_thread(uring->ring) : -EPERM;
}

/* ---- Open and close --------------------------------------------------------------------------------------- */

/* The object and its hot line, which ends where the object begins. */
static int uring_map(uint32_t slot_count, jdb_uring **ret_uring)
{
    const size_t page_size = jdb__ring_page_size();
    const size_t object_size = sizeof(jdb_uring) + slot_count * sizeof(uint16_t);
    const size_t mapped_size = page_size + (size_t)bits_round_up(object_size, page_size);
    void *memory = NULL;
    const int err = jdb__ring_map(mapped_size, &memory);
    if (err != 0)
        return err;
    jdb_uring *const uring = (jdb_uring *)(void *)((uint8_t *)memory + page_size);
    uring->mapped_size = mapped_size;
    uring->may_have_window = jdb__ring_wipe_on_fork(memory, page_size) == 0;
    *ret_uring = uring;
    return 0;
}

static void uring_unmap(jdb_uring *uring)
{
    jdb__ring_unmap((uint8_t *)uring - jdb__ring_page_size(), uring->mapped_size);
}

/* An object without a table, all its slots free. */
static int uring_new(struct io_uring *ring, const jdb_uring_options *options, jdb_uring **ret_uring)
{
    jdb_uring *uring = NULL;
    int err = watch_forks();
    if (err == 0)
        err = uring_map(options->slot_count, &uring);
    if (err != 0)
        return err;
    uring->ring = ring;
    uring->process = atomic_load_explicit(&jdb__uring_process, memory_order_relaxed);
    uring->is_callers_table = options->uses_caller_table != 0;
    uring->first_slot = options->first_slot;
    uring->slot_count = options->slot_count;
    uring->region_size = options->region_size;
    uring_set_quiet(uring);
    (void)jdb__ring_knows(ring, URING_OP_WRITEV_FIXED, &uring->has_vectored);
    for (uint32_t i = options->slot_count; i > 0; i--)
        uring->free_slots[uring->free_count++] = (uint16_t)(options->first_slot + i - 1);
    JDB_ASSERT(uring->free_count == uring->slot_count); /* U4 */
    *ret_uring = uring;
    return 0;
}

static void make_table(jdb_uring *uring)
{
    if (!uring->is_callers_table)
        uring->table_error = jdb__ring_register_table(uring->ring, uring->slot_count);
}

int jdb_uring_open(struct io_uring *ring, const jdb_uring_options *options, jdb_uring **ret_uring)
{
    if (ring == NULL || ret_uring == NULL)
        return -EINVAL;
    jdb_uring_options wanted;
    int err = uring_options(options, &wanted);
    if (err == 0)
        err = jdb__uring_check_thread(ring);
    if (err == 0)
        err = uring_new(ring, &wanted, ret_uring);
    if (err == 0)
        make_table(*ret_uring);
    return err;
}

/* The slots of a cloned table that the other object has filled are not free here either. */
static void copy_slots(jdb_uring *uring, const jdb_uring *from)
{
    JDB_ASSERT(uring->slot_count == from->slot_count && uring->first_slot == from->first_slot); /* U4 */
    uring->free_count = from->free_count;
    memcpy(uring->free_slots, from->free_slots, from->free_count * sizeof from->free_slots[0]);
}

int jdb_uring_clone(const jdb_uring *from, struct io_uring *ring, jdb_uring **ret_uring)
{
    if (from == NULL || from->ring == NULL || ring == NULL || ret_uring == NULL)
        return -EINVAL;
    if (!uring_is_here(from))
        return -EPERM;
    const jdb_uring_options options = {.slot_count = from->slot_count,
                                       .first_slot = from->first_slot,
                                       .uses_caller_table = from->is_callers_table,
                                       .region_size = from->region_size};
    jdb_uring *uring = NULL;
    int err = jdb__uring_check_thread(ring);
    if (err == 0)
        err = uring_new(ring, &options, &uring);
    if (err != 0)
        return err;
    uring->is_cloned =
        !from->is_callers_table && from->table_error == 0 && jdb__ring_clone_table(ring, from->ring) == 0;
    if (uring->is_cloned)
        copy_slots(uring, from);
    else
        make_table(uring);
    err = jdb__uring_copy_ranges(uring, from);
    if (err != 0) {
        (void)jdb_uring_close(uring);
        return err;
    }
    *ret_uring = uring;
    return 0;
}

static bool has_own_table(const jdb_uring *uring)
{
    return !uring->is_callers_table && uring->table_error == 0;
}

/* All slots in one call. A tag is to be posted when its range is unregistered, so with tags they are cleared one by one. */
static bool clear_table(const jdb_uring *uring)
{
    if (!has_own_table(uring))
        return false;
    for (const struct uring_range *range = uring->ranges; range != NULL; range = range->next)
        if (range->release_tag != 0)
            return false;
    return jdb__ring_unregister_table(uring->ring) == 0;
}

int jdb_uring_close(jdb_uring *uring)
{
    if (uring == NULL)
        return 0;
    if (!uring_is_here(uring)) {
        (void)jdb_uring_abandon(uring);
        return 0;
    }
    const int err = jdb__uring_check_thread(uring->ring);
    if (err != 0)
        return err;
    if (uring_hot(uring)->in_flight > 0)
        return -EBUSY;
    JDB_ASSERT(uring->leaving == NULL); /* U8: nothing is in flight */
    uring->is_table_gone = clear_table(uring);
    jdb__uring_remove_ranges(uring);
    if (has_own_table(uring) && !uring->is_table_gone)
        (void)jdb__ring_unregister_table(uring->ring);
    uring_unmap(uring);
    return 0;
}

void jdb__uring_free_abandoned(jdb_uring *uring)
{
    JDB_ASSERT(uring->ring == NULL && uring->ranges == NULL);
    if (!uring_is_here(uring))
        return; /* the count is wiped, and operations that the parent started point here */
    JDB_ASSERT(uring_hot(uring)->in_flight > 0 || uring->leaving == NULL); /* U8 */
    if (uring_hot(uring)->in_flight == 0)
        uring_unmap(uring);
}

uint64_t jdb_uring_abandon(jdb_uring *uring)
{
    if (uring == NULL)
        return 0;
    const uint64_t count = uring_hot(uring)->in_flight;
    uring->ring = NULL;
    uring_set_quiet(uring);
    jdb__uring_remove_ranges(uring);
    jdb__uring_free_abandoned(uring);
    return count;
}
