/* SPDX-License-Identifier: MIT
 *
 * state.h - the uring object: the slots it may fill, the ranges it knows, the operations it has in flight. Read it
 * first.
 *
 * Files. uring.c opens, clones and closes the object; slots.c fills and clears slots of the ring's table of fixed
 * buffers; region.c cuts a range into regions and registers them; range.c adds, finds and removes ranges; window.c
 * keeps what most operations need of one range beside each other; start.c, prep.c and complete.c are the stages of one
 * operation (op.h), bounce.c those of a read of any range; file.c starts and ends those of a jdb_file; flight.c cancels and
 * drains; guard.c makes pages read-only while they are written from; report.c and explain.c say what was obtained and why not
 * more. group.c stands alone: frames that the kernel chooses. engine.c stands above all: an engine for streams.
 *
 * Life of a range. jdb_uring_add() enters it (the memory is pinned or held, the index finds it), then registers its
 * regions one by one. A region is registered (a slot, 0 or above) or not (the -errno that kept it out).
 * jdb_uring_remove() takes the range out of the index and clears its slots. Where operations in flight use it, it waits
 * in `leaving` for the last of them, posts its tag, gives the memory back, and is freed.
 *
 * The window is the range that an operation was found in last: address, pins and slots, with the counters, on the one line
 * of the cache that an operation reads and writes. An operation whose view lies in one frame of the window is prepared and
 * completed by that line, its own and the frame's count alone (STATE_FAST). The line is wiped in a child of fork(), so that
 * an operation there finds no window and looks closer.
 *
 * Life of the object. Its operations point to it (op->uring) from start to end. jdb_uring_close() is refused while one
 * is in flight. jdb_uring_abandon() takes the ring away (ring = NULL) and leaves the object to its operations in
 * flight: the last completion frees it. Each completion takes the operation off an abandoned object (op->uring = NULL).
 *
 * Invariants; docs/uring.md explains them:
 *   U1  regions of a range start at multiples of 1 << shift from its base; region i ends at most at start +
 *       (1 << shift) + overlap_size, which is within JDB_URING_BUFFER_MAX. The last is left out where the overlap of
 *       the one before covers it
 *   U2  slots[i] is the slot of region i, or a negative errno; beyond region_count it is always an errno
 *   U3  a region with a slot holds its bytes of the arena; a region without one holds nothing
 *   U4  a slot is in exactly one place: free_slots, one region, one release tag, or lost (the kernel refused to clear
 *       it). A lost slot is never filled again
 *   U5  from start to the end of an operation its memory is pinned, or is not the library's
 *   U6  ranges of one object share no page
 *   U7  in_flight of the hot line is the number of operations that point here with STATE_IN_FLIGHT; the object is not
 *       freed before it is 0
 *   U8  flight_count of a range is the number of operations in flight whose flight_range it is: those with a fixed
 *       buffer in a range with a release tag, unless use_count has them. use_count of a range that is not an arena's is the
 *       number of operations in flight that were prepared in its window: they have no other pin
 *   U9  the window, where there is one, is a range in the index: its bytes, pins and slots are those of the range
 *
 * Locks: none. An object and its operations belong to one thread at a time, as the ring does. Two things are shared by
 * all objects: the list of guards, under the lock of guard.c, and the moment of the last teardown in slots.c, an
 * atomic.
 *
 * fork(): the handler of uring.c changes jdb__uring_process in the child, so that uring_is_here() is false for every
 * object of the parent. Such an object makes no call to the kernel and names no slot. Its hot line is zero there: no window,
 * nothing in flight.
 */
#ifndef JDB_URING_STATE_H
#define JDB_URING_STATE_H

#include "base/check.h"
#include "base/radix.h"
#include "jdb_alloc/uring.h"

#include "os/os_uring.h"

#include <liburing.h>
#include <stdatomic.h>
#include <stddef.h>

/* ---- Defaults and limits ---------------------------------------------------------------------------------- */

#define URING_DEFAULT_SLOT_COUNT 1024u
#define URING_DEFAULT_REGION_SIZE JDB_URING_REGION_MAX
#define URING_DEFAULT_OVERLAP ((uint64_t)1 << 20)

/* Results of the kernel that may go away are tried again this many times in a row. */
#define URING_RETRIES_MAX 64u

/* For one vectored fixed operation the kernel makes a table of all its pages, and returns -ENOMEM where that is too
 * large for its allocator: seen from 1 GiB on, and memory may be in pieces before. Above this size registration saves
 * nothing. Bytes. */
#define URING_VECTOR_FIXED_MAX ((size_t)32 << 20)

/* Newer than liburing 2.3. Source: include/uapi/linux/io_uring.h, since Linux 6.15. */
#define URING_OP_READV_FIXED 60
#define URING_OP_WRITEV_FIXED 61

/* ---- The object ------------------------------------------------------------------------------------------- */

struct uring_range {
    struct uring_range *next;
    uint8_t *ptr;
    size_t size;     /* bytes that may be registered now */
    size_t max_size; /* bytes of addresses that are the range's: an arena grows into them */
    size_t overlap_size;
    uint64_t release_tag;
    uint64_t flight_count;      /* fixed operations in flight on it; counted with a release_tag alone */
    _Atomic uint32_t use_mark;  /* frame_pins.h: in front of the one counter */
    _Atomic uint32_t use_count; /* operations in flight that are pinned by the range alone */
    int32_t tag_slot;           /* where the tag is registered, or the -errno that kept it out */
    jdb_arena *arena;           /* NULL: memory that was added by address */
    unsigned shift;             /* log2 of the distance between starts of regions */
    bool is_kept;               /* pinned, or of an arena that is held */
    bool is_removed;            /* waits for its last operation */
    bool is_shared;             /* registered by the object that this one was cloned from */
    uint32_t region_count;
    int32_t slots[]; /* of each region: its slot, or the -errno that kept it out */
};

_Static_assert(offsetof(struct uring_range, use_mark) + sizeof(uint32_t) == offsetof(struct uring_range, use_count),
               "the mark lies in front of the counter");

/* pin_shift of a window whose range has one counter. */
#define WINDOW_WITHOUT_FRAMES 63u

/* What an operation in the window needs: one line of the cache, in front of the object, in a page that a child of fork()
 * finds zero. */
struct uring_hot {
    uint8_t *base;          /* of the window */
    size_t size;            /* its bytes; 0: no window */
    _Atomic uint32_t *pins; /* frame_pins.h: counters, and marks in front of them */
    const int32_t *slots;   /* of its regions, or the one below */
    uint64_t fixed_count;
    uint64_t fixed_bytes;
    uint32_t in_flight; /* operations prepared here and not complete; an abandoned object lives until it is 0 */
    uint32_t max_view;  /* bytes that lie whole in one region wherever they begin */
    int32_t slot;       /* of the only region */
    uint8_t pin_shift;  /* log2 of the bytes that one pin is for */
    uint8_t region_shift;
    uint8_t is_quiet; /* 1: the ring is there, nothing is cancelled, no range is leaving */
    uint8_t spare;
};
_Static_assert(sizeof(void *) != 8 || sizeof(struct uring_hot) == 64, "one line of the cache");

struct jdb_uring {
    struct io_uring *ring; /* NULL: gone */
    uint32_t process;      /* that opened it: jdb__uring_process */
    int32_t table_error;
    bool is_callers_table;
    bool is_table_gone; /* being closed: the kernel has cleared every slot */
    bool is_cloned;
    bool has_vectored;
    bool may_have_window; /* its hot line is wiped in a child */
    uint32_t first_slot;
    uint32_t slot_count;
    uint32_t free_count;
    uint64_t region_size;
    uint64_t plain_count;
    uint64_t plain_bytes;
    uint64_t resume_count;
    bool is_cancelling;       /* being drained: nothing is resumed */
    struct uring_range *last; /* where the last view was found, or NULL: most of the time the next is there too */
    struct uring_range *ranges;
    struct uring_range *leaving; /* removed, used by operations in flight */
    size_t mapped_size;          /* bytes from the page of the hot line on */
    struct radix index;          /* from an address to its range */
    uint16_t free_slots[];
};

/* The object starts at a page, its hot line ends there. */
static inline struct uring_hot *uring_hot(const jdb_uring *uring)
{
    return (struct uring_hot *)(uintptr_t)uring - 1;
}

/* The last operation of an abandoned object is complete: free it. Leaves it when others are in flight. */
void jdb__uring_free_abandoned(jdb_uring *uring);

/* ---- Processes -------------------------------------------------------------------------------------------- */

/* A number that differs in each child of fork(). A child has its parent's ring, whose table holds the parent's pages.
 * */
extern _Atomic uint32_t jdb__uring_process;

static inline bool uring_is_here(const jdb_uring *uring)
{
    return atomic_load_explicit(&jdb__uring_process, memory_order_relaxed) == uring->process;
}

/* Whether a ring takes calls of this thread: 0, also for NULL; -EPERM: it is of another thread. */
int jdb__uring_check_thread(struct io_uring *ring);

/* Whether the caller may register and unregister here: 0; -EPERM: in a child of fork(), or the ring is of another thread. */
int jdb__uring_check_owner(const jdb_uring *uring);

/* Set is_quiet, when what it depends on has changed. */
static inline void uring_set_quiet(const jdb_uring *uring)
{
    uring_hot(uring)->is_quiet = uring->ring != NULL && !uring->is_cancelling && uring->leaving == NULL;
}

/* ---- Slots ------------------------------------------------------------------------------------------------ */

/* Register [ptr, ptr + size) in a free slot. The kernel's error, or -ENOSPC. */
int jdb__uring_fill_slot(jdb_uring *uring, const uint8_t *ptr, size_t size, uint64_t tag, int32_t *ret_slot);

/* Unregister what is in the slot. */
void jdb__uring_clear_slot(jdb_uring *uring, int32_t slot);

/* ---- Regions ---------------------------------------------------------------------------------------------- */

/* Regions that `size` bytes make. */
uint32_t jdb__uring_count_regions(const struct uring_range *range, size_t size);

/* Register the regions that share a byte with [start, end) of the range and are not registered. Returns the first
 * error, which is left in the place of its slot, as every other. */
int jdb__uring_fill_regions(jdb_uring *uring, struct uring_range *range, uint64_t start, uint64_t end);

/* Unregister the regions that share a byte with [start, end) of the range. There is no window afterwards. */
void jdb__uring_empty_regions(jdb_uring *uring, struct uring_range *range, uint64_t start, uint64_t end);

/* Follow a new size of the range: regions that end elsewhere now are registered anew. Returns the first error. */
int jdb__uring_resize_regions(jdb_uring *uring, struct uring_range *range, size_t size);

/* Take over the slots of the same range of another object, whose table is shared. -ENOMEM, -EBUSY: of holding an arena.
 * */
int jdb__uring_share_regions(struct uring_range *range, const struct uring_range *from);

/* Bytes from the start of region `index` to its end, in a range of `size` bytes. */
static inline size_t uring_region_size(const struct uring_range *range, size_t size, uint32_t index)
{
    const size_t start = (size_t)index << range->shift;
    const size_t most = ((size_t)1 << range->shift) + range->overlap_size;
    JDB_ASSERT(start < size);                 /* U1 */
    JDB_ASSERT(most <= JDB_URING_BUFFER_MAX); /* U1 */
    return most < size - start ? most : size - start;
}

static inline uint8_t *uring_region_ptr(const struct uring_range *range, uint32_t index)
{
    return range->ptr + ((size_t)index << range->shift);
}

/* ---- Ranges ----------------------------------------------------------------------------------------------- */

/* Read a caller's options, or the defaults for NULL. -EINVAL, -E2BIG. */
int jdb__uring_read_range_options(const jdb_uring_range_options *given, jdb_uring_range_options *ret_options);

/* A range known to no object yet: max_size bytes at ptr, of which none are registered; least_overlap: bytes, 0 = the
 * default. To be freed with jdb__ring_free(). -EINVAL, -ENOMEM. */
int jdb__uring_range_new(const jdb_uring *uring, const void *ptr, size_t max_size, size_t least_overlap,
                         const jdb_uring_range_options *options, struct uring_range **ret_range);

/* The link to the range that was added at ptr, or to NULL. */
struct uring_range **jdb__uring_range_find(const jdb_uring *uring, const void *ptr);

/* The range that ptr lies in, remembered as the last, or NULL. */
struct uring_range *jdb__uring_range_lookup(jdb_uring *uring, const void *ptr);

/* Take over every range of another object: with the same slots where the table is shared, else registered again.
 * -ENOMEM. */
int jdb__uring_copy_ranges(jdb_uring *uring, const jdb_uring *from);

/* Unregister and forget the range that the link leads to. */
void jdb__uring_range_remove(jdb_uring *uring, struct uring_range **link);

/* Free the removed ranges that no operation uses any more, and post their release tags. */
void jdb__uring_free_left(jdb_uring *uring);

/* Unregister and forget every range. */
void jdb__uring_remove_ranges(jdb_uring *uring);

/* The range that ptr lies in, or NULL. */
static inline struct uring_range *uring_range_at(jdb_uring *uring, const void *ptr)
{
    struct uring_range *const range = uring->last;
    if (JDB_LIKELY(range != NULL && (uintptr_t)ptr - (uintptr_t)range->ptr < range->size))
        return range;
    return jdb__uring_range_lookup(uring, ptr);
}

/* The slot of the region that ptr lies in, and the bytes from ptr to its end; or -1, and 0 bytes. range: may be NULL. */
static inline int32_t uring_slot(const struct uring_range *range, const uint8_t *ptr, size_t *ret_room)
{
    *ret_room = 0;
    if (range == NULL)
        return -1;
    const size_t offset = (size_t)(ptr - range->ptr);
    const size_t guess = offset >> range->shift;
    const uint32_t index = guess < range->region_count ? (uint32_t)guess : range->region_count - 1;
    const int32_t slot = range->slots[index];
    if (slot < 0)
        return -1;
    *ret_room = uring_region_size(range, range->size, index) - (offset - ((size_t)index << range->shift));
    JDB_ASSERT(*ret_room > 0 && *ret_room <= range->size - offset); /* U1 */
    return slot;
}

/* ---- The window (window.c) ---------------------------------------------------------------------------------- */

/* Make a range in the index the window. Returns whether it can be one and was not yet. */
bool jdb__uring_set_window(jdb_uring *uring, struct uring_range *range);

/* There is no window: its range is removed, or has other regions or slots. */
static inline void uring_clear_window(const jdb_uring *uring)
{
    uring_hot(uring)->size = 0;
}

#endif
