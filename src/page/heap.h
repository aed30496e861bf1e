/* SPDX-License-Identifier: MIT
 *
 * heap.h - the free pages of all zones, under one lock: lends runs out, takes them back, and gives memory back to the
 * system.
 *
 * Files: zone.c makes addresses readable, heap.c takes and gives runs, bounded.c those with a maximum, purge.c gives
 * memory back, huge.c has the blocks that are huge pages; they share heap_state.h. Pages outside of the heap (lent or in caches) count against the limit (P9).
 *
 * Every function takes the heap's lock, which comes last in the order of os/fork.h, but for jdb__heap_find() and
 * jdb__heap_overlaps(), which take none. The lock is held while pages are made readable; it is released while pages are
 * given back to the system, or counted. No callback runs under it.
 */
#ifndef JDB_HEAP_H
#define JDB_HEAP_H

#include "page/zone.h"

/* Runs of 1 to so many pages have a size class each; they are counted by class. */
#define CLASS_PAGES_MAX 64

/* The natural alignment of such a run: the largest power of two that divides its pages. The address of a run has every
 * alignment that its size is a multiple of, so that jdb_buf_with_cap_aligned() takes any run of a cache. Runs that were
 * cut or have grown may have less. */
static inline uint32_t class_align_pages(uint32_t page_count)
{
    JDB_ASSERT(page_count > 0);
    return page_count & (~page_count + 1);
}

/* Counters; read under the lock by jdb__heap_stats(). */
struct heap_stats {
    uint64_t taken_pages; /* out of the heap */
    uint64_t dirty_pages;
    uint64_t given_pages; /* back to the system, since the start */
    uint64_t mapped_pages;
    uint64_t reserved_pages;
    uint64_t bookkeeping_bytes;
    uint64_t huge_pages;  /* in blocks that are advised to be huge, and not clean as a whole */
    uint64_t limit_pages; /* 0 = none */
    uint64_t map_calls;
    uint64_t unmap_calls;
    uint64_t decommit_calls;
    uint64_t remap_calls;
    uint64_t lock_count;
    uint64_t class_counts[CLASS_PAGES_MAX + 1]; /* runs out of the heap, by pages */
};

/* ---- Take and give ---------------------------------------------------------------------------------------- */

struct heap_wish {
    uint32_t page_count;
    uint32_t align_pages; /* of the address: a power of two */
    uint32_t max_pages;   /* addresses of a bounded run, of which page_count pages are readable; 0: not bounded */
    bool want_zero;       /* clean pages first, else dirty ones first */
};

/* Take one run; ret_run->is_zero says whether its pages were clean. Its word is LENT. -EDQUOT: over the limit,
 * *ret_missing pages too many; any other error: no memory, and no addresses were kept for what was refused. */
int jdb__heap_take(const struct heap_wish *wish, struct run *ret_run, uint64_t *ret_missing);

/* Take up to `count` runs of page_count pages, naturally aligned, out of the primary zone; their words are CACHED, with
 * ZERO where it holds. For caches, so never in the checked build: the runs have no guards. *ret_count is at least 1 on success.
 * Errors as jdb__heap_take(). */
int jdb__heap_take_batch(uint32_t page_count, unsigned count, uint32_t *ret_indices, unsigned *ret_count,
                         uint64_t *ret_missing);

/* Give runs back: they become dirty, or clean where run->is_zero or the flag ZERO says so. A batch is of runs of the primary zone,
 * cached ones are of any. After the last ones, and one run, what is in excess goes back to the system; after others the caller
 * calls jdb__heap_purge_excess(), once. */
void jdb__heap_give(const struct run *run);
void jdb__heap_give_batch(const uint32_t *indices, unsigned count, bool is_last);
void jdb__heap_give_cached(uint8_t *const *runs, unsigned count, bool is_last);

/* ---- Change in place -------------------------------------------------------------------------------------- */

/* Grow a run to at most best_pages, a multiple of step_pages and at least least_pages, where the pages behind it are
 * free. -ENOSPC: they are not; -EDQUOT: they are, and it would be over the limit, by *ret_missing pages. */
int jdb__heap_extend(struct run *run, uint32_t least_pages, uint32_t best_pages, uint32_t step_pages,
                     uint64_t *ret_missing);

/* Cut a run to page_count pages; the others are given back. -EBUSY: pinned. */
int jdb__heap_cut(struct run *run, uint32_t page_count);

/* Change the readable size of a bounded run. -ENOBUFS, -ENOMEM, -EDQUOT, -EBUSY. */
int jdb__heap_resize_bounded(const struct run *run, uint32_t page_count, uint64_t *ret_missing);

/* Move the pages of `from` to the start of `to`; from reads as zero after. An error: nothing moved, the caller copies.
 * -EADDRNOTAVAIL: and `to` is lost, it is nobody's run any more. */
int jdb__heap_move(const struct run *from, const struct run *to);

/* ---- Give memory back ------------------------------------------------------------------------------------- */

/* Decay steps in the delay of jdb_set_page_options(). */
#define HEAP_STEPS 8

/* System calls by which one of the functions below gives extents back: one for each, and more where huge pages are split or
 * tables go too. One call of the library calls two of them at most: after a decay poll, and for what it frees itself. With what
 * else it does (up to eight larger runs of the thread's cache that have moved, by four calls each) these are at most 64.
 * jdb__heap_purge() makes as many as it takes. */
#define PURGE_CALLS_MAX 12

/* Give all dirty pages back to the system, and make large extents of clean ones reserved. */
void jdb__heap_purge(void);

/* Give dirty extents back, but for what is kept of huge pages. Returns whether there are more that the system may take. */
bool jdb__heap_purge_some(void);

/* Give back what is dirty beyond what may stay. */
void jdb__heap_purge_excess(void);

/* `steps` decay steps end: give back what is in excess, and pages that were dirty through all of the last HEAP_STEPS ones. So
 * what stays is what the largest dip of that time in the use of memory freed and took again. */
void jdb__heap_end_steps(unsigned steps);

/* Most bytes of dirty pages; 0 = no bound. */
void jdb__heap_set_dirty_max(uint64_t bytes);

/* Whether blocks of 2 MiB shall be huge pages, as far as those taken from now on. */
void jdb__heap_set_huge(bool is_wanted);

/* The limit, and what to call when it would be exceeded. */
struct heap_limit {
    uint64_t bytes; /* 0 = none */
    bool (*callback)(void *context, uint64_t needed);
    void *context;
};

void jdb__heap_set_limit(const struct heap_limit *limit);
struct heap_limit jdb__heap_limit(void);

/* ---- Look ------------------------------------------------------------------------------------------------- */

/* The run that the address lies in, by the zones; false: not page memory. The run must stay lent during the call. */
bool jdb__heap_find(const void *ptr, struct run *ret_run);

/* Whether the range has a byte of a zone: page memory, lent or not. Any thread, no lock. */
bool jdb__heap_overlaps(const void *ptr, size_t size);

void jdb__heap_stats(struct heap_stats *ret_stats);

/* Bytes resident, by mincore. */
int jdb__heap_resident(uint64_t *ret_bytes);

/* Around fork(), and for the files that share heap_state.h. */
void jdb__heap_lock(void);
void jdb__heap_unlock(void);

#endif
