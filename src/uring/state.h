/* SPDX-License-Identifier: MIT
 *
 * uring.h - what a door knows: its slots, its ranges, and which range an address lies in. Floor 5.
 */
#ifndef JDB_URING_INTERNAL_H
#define JDB_URING_INTERNAL_H

#include "base/check.h"
#include "base/radix.h"
#include "jdb_alloc/uring.h"

#include "os/os_uring.h"

#include <liburing.h>
#include <stdatomic.h>

struct uring_range {
    struct uring_range *next;
    uint8_t *ptr;
    size_t size;     /* bytes that may be registered now */
    size_t max_size; /* bytes of addresses that are the range's: an arena grows into them */
    size_t overlap_size;
    uint64_t release_tag;
    uint64_t flight_count; /* fixed operations in flight on it; counted with a release_tag alone */
    int32_t tag_slot;      /* where the tag is registered, or the -errno that kept it out */
    jdb_arena *arena;      /* NULL: memory that was added by address */
    unsigned shift;        /* log2 of the distance between starts of regions */
    bool is_kept;          /* pinned, or of an arena that is held */
    bool is_removed;       /* waits for its last operation, to report that */
    bool is_shared;        /* registered by the door that this one was cloned from */
    uint32_t region_count;
    int32_t slots[]; /* of each region: its slot, or the -errno that kept it out */
};

struct jdb_uring {
    struct io_uring *ring; /* NULL: gone */
    uint32_t process;      /* that opened it: jdb__uring_process */
    int32_t table_error;
    bool is_callers_table;
    bool is_cloned;
    bool has_vectored;
    uint32_t first_slot;
    uint32_t slot_count;
    uint32_t free_count;
    uint64_t region_size;
    uint64_t fixed_count;
    uint64_t plain_count;
    uint64_t fixed_bytes;
    uint64_t plain_bytes;
    uint64_t resume_count;
    uint64_t in_flight_count; /* operations prepared here and not complete; an abandoned object lives until it is 0 */
    bool is_cancelling;       /* being drained: nothing is resumed */
    struct uring_range *last; /* where the last view was found, or NULL: most of the time the next is there too */
    struct uring_range *ranges;
    struct uring_range *leaving; /* removed, with operations in flight that the release tag waits for */
    struct radix index;          /* from an address to its range */
    uint16_t free_slots[];
};

/* The state of an operation. */
#define STATE_STARTED 1u
#define STATE_PINNED 2u
#define STATE_WRITES 4u
#define STATE_FIXED 8u      /* the SQE in flight uses a fixed buffer */
#define STATE_GUARDED 16u   /* whole pages of the view are read-only */
#define STATE_IN_FLIGHT 32u /* prepared, and not complete */
#define STATE_CANCELLED 64u /* not to be resumed */
#define STATE_RESUMED 128u
#define STATE_SYNC_DATA 256u /* fdatasync follows the write, or fsync */
#define STATE_SYNC_FILE 512u
#define STATE_SYNCING 1024u    /* every byte is written, the sync is next */
#define STATE_DESCRIPTOR 2048u /* fd is no index, whatever sqe_flags say: done without a ring */
#define STATE_SYNCS (STATE_SYNC_DATA | STATE_SYNC_FILE)

/* Results of the kernel that may go away are tried again this many times in a row. */
#define RETRIES_MAX 64u

/* ---- Processes -------------------------------------------------------------------------------------------- */

/* A number that differs in each child of fork(). A child has its parent's ring, whose table holds the parent's pages. */
extern _Atomic uint32_t jdb__uring_process;

static inline bool uring_is_here(const jdb_uring *door)
{
    return atomic_load_explicit(&jdb__uring_process, memory_order_relaxed) == door->process;
}

/* ---- Options and reports that carry their size ------------------------------------------------------------ */

/* Copy the fields that both sides know; what only the caller knows must be zero. -EINVAL, -E2BIG. */
int jdb__uring_read_options(void *known, uint32_t known_size, const void *given);

/* Copy the fields that both sides know, and keep the caller's size. -EINVAL. */
int jdb__uring_write_report(void *report, const void *filled, uint32_t filled_size);

/* ---- Slots ------------------------------------------------------------------------------------------------ */

/* Register [ptr, ptr + size) in a free slot. The kernel's error, or -ENOSPC. */
int jdb__uring_fill_slot(jdb_uring *door, const uint8_t *ptr, size_t size, uint64_t tag, int32_t *ret_slot);

/* Unregister what is in the slot. */
void jdb__uring_clear_slot(jdb_uring *door, int32_t slot);

/* ---- Index ------------------------------------------------------------------------------------------------ */

/* -EEXIST: another range lies there; -ENOTSUP: beyond 48 bits; -ENOMEM. Nothing changed. */
int jdb__uring_index_add(jdb_uring *door, struct uring_range *range);
void jdb__uring_index_remove(jdb_uring *door, const struct uring_range *range);
void jdb__uring_index_free(jdb_uring *door);

/* The range that ptr lies in, remembered as the last, or NULL. */
struct uring_range *jdb__uring_index_find(jdb_uring *door, const void *ptr);

/* ---- Ranges ----------------------------------------------------------------------------------------------- */

/* A range known to no door yet: max_size bytes at ptr, of which none are registered; overlap_size: the least, 0 = the
 * default. To be freed with free(). -EINVAL, -E2BIG, -ENOMEM. */
int jdb__uring_range_make(const jdb_uring *door, const void *ptr, size_t max_size, size_t overlap_size,
                          const jdb_uring_range_options *options, struct uring_range **ret_range);

/* The link to the range that was added at ptr, or to NULL. */
struct uring_range **jdb__uring_range_find(const jdb_uring *door, const void *ptr);

/* Regions that `size` bytes make. */
uint32_t jdb__uring_count_regions(const struct uring_range *range, size_t size);

/* Take over every range of another door: with the same slots where the table is shared, else registered again. -ENOMEM. */
int jdb__uring_copy_ranges(jdb_uring *door, const jdb_uring *from);

/* Unregister and forget the range that the link leads to. */
void jdb__uring_range_remove(jdb_uring *door, struct uring_range **link);

/* The last operation on a range that was removed is over: post its release tag, and free it. */
void jdb__uring_range_left(jdb_uring *door, struct uring_range *range);

/* ---- In flight -------------------------------------------------------------------------------------------- */

/* The ring is gone: free the object, or leave it to the last operation in flight. */
void jdb__uring_let_die(jdb_uring *door);

static inline void uring_leave_range(jdb_uring *door, jdb_uring_op *op)
{
    struct uring_range *const range = op->flight_range;
    op->flight_range = NULL;
    JDB_ASSERT(range->flight_count > 0);
    if (--range->flight_count == 0 && range->is_removed)
        jdb__uring_range_left(door, range);
}

/* The operation is over as far as the kernel goes. */
static inline void uring_leave_flight(jdb_uring_op *op)
{
    jdb_uring *const door = op->flight_door;
    if ((op->state & STATE_IN_FLIGHT) == 0)
        return;
    op->state &= ~STATE_IN_FLIGHT;
    if (door == NULL)
        return;
    JDB_ASSERT(door->in_flight_count > 0);
    op->flight_door = NULL;
    if (JDB_UNLIKELY(op->flight_range != NULL))
        uring_leave_range(door, op);
    op->state |= door->is_cancelling ? STATE_CANCELLED : 0;
    door->in_flight_count--;
    if (JDB_UNLIKELY(door->ring == NULL))
        jdb__uring_let_die(door);
}

/* door: NULL = of no ring that is known. range: whose fixed buffer it uses, or NULL. An operation that is prepared twice is in
 * flight once. */
static inline void uring_enter_flight(jdb_uring *door, jdb_uring_op *op, struct uring_range *range)
{
    if (JDB_UNLIKELY((op->state & STATE_IN_FLIGHT) != 0))
        uring_leave_flight(op);
    op->state |= STATE_IN_FLIGHT;
    op->flight_door = door;
    op->flight_range = NULL;
    if (door != NULL)
        door->in_flight_count++;
    if (range == NULL || JDB_LIKELY(range->release_tag == 0))
        return;
    op->flight_range = range;
    range->flight_count++;
}

/* ---- Guards ----------------------------------------------------------------------------------------------- */

/* Make the whole pages that a write is made from read-only, where the system lets us. */
void jdb__uring_guard(jdb_uring_op *op);

/* And writable again, but for those that another operation guards. */
void jdb__uring_unguard(jdb_uring_op *op);

/* In a child of fork(), where nothing of the parent is in flight. */
void jdb__uring_forget_guards(void);

/* ---- Look up ---------------------------------------------------------------------------------------------- */

/* Bytes from the start of region `index` to its end, in a range of `size` bytes. */
static inline size_t uring_region_size(const struct uring_range *range, size_t size, uint32_t index)
{
    const size_t start = (size_t)index << range->shift;
    const size_t most = ((size_t)1 << range->shift) + range->overlap_size;
    return most < size - start ? most : size - start;
}

/* The range that ptr lies in, or NULL. */
static inline struct uring_range *uring_range_at(jdb_uring *door, const void *ptr)
{
    struct uring_range *const range = door->last;
    if (JDB_LIKELY(range != NULL && (uintptr_t)ptr - (uintptr_t)range->ptr < range->size))
        return range;
    return jdb__uring_index_find(door, ptr);
}

/* The slot of the region that ptr lies in, and the bytes from ptr to its end; or -1, and 0 bytes. */
static inline int32_t uring_slot(jdb_uring *door, const uint8_t *ptr, size_t *ret_room)
{
    const struct uring_range *const range = uring_range_at(door, ptr);
    *ret_room = 0;
    if (JDB_UNLIKELY(range == NULL))
        return -1;
    const size_t offset = (size_t)(ptr - range->ptr);
    const size_t guess = offset >> range->shift;
    const uint32_t index = guess < range->region_count ? (uint32_t)guess : range->region_count - 1;
    const int32_t slot = range->slots[index];
    if (JDB_UNLIKELY(slot < 0))
        return -1;
    *ret_room = uring_region_size(range, range->size, index) - (offset - ((size_t)index << range->shift));
    return slot;
}

#endif
