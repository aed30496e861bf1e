/* SPDX-License-Identifier: MIT
 *
 * heap.h - the free runs of all zones, under one lock: takes addresses from the system, makes them readable by steps, and
 * gives memory back. Floor 3: for cache.c and pages.c.
 *
 *   zone   a range of addresses set aside at once, with tables beside it (runs.h):
 *
 *     base                                                               base + page_count * 4096
 *     | readable: runs and extents, clean or dirty | reserved ............ | bounded runs |
 *
 * Runs are taken from the low end, bounded runs (jdb_buf_with_max) from the high end. The first zone is large enough for
 * nearly every program (1 TiB where addresses are free), so the caches keep runs of the first zone alone and the fast
 * path knows it by two words, struct heap_front.
 *
 * Pages that are out of the heap (lent or in caches) count against the limit.
 */
#ifndef JDB_HEAP_H
#define JDB_HEAP_H

#include "jdb_alloc/base.h"
#include "page/extents.h"

/* What the fast path needs of the first zone. Written once, before the first run is lent; page_count only grows and is
 * stored last: whoever has no run of the zone (a drop of an empty or wrong buffer) reads it first, by acquire. */
struct heap_front {
    _Atomic(uint8_t *) base;
    _Atomic(_Atomic uint64_t *) words;
    _Atomic uint32_t page_count; /* pages below which words may be read */
};

extern struct heap_front jdb__front;

static inline uint8_t *heap_front_base(void)
{
    return atomic_load_explicit(&jdb__front.base, memory_order_relaxed);
}

static inline _Atomic uint64_t *heap_front_words(void)
{
    return atomic_load_explicit(&jdb__front.words, memory_order_relaxed);
}

/* A run taken from the heap. */
struct heap_run {
    struct zone *zone;
    uint32_t index;
    uint32_t page_count;
    bool is_zero;
};

struct zone;

/* Runs of up to this many pages are counted by size. */
#define HEAP_CLASS_MAX 16

/* Counters; read under the lock by jdb__heap_stats(). */
struct heap_stats {
    uint64_t taken_pages; /* out of the heap */
    uint64_t dirty_pages;
    uint64_t given_pages; /* back to the system, since the start */
    uint64_t mapped_pages;
    uint64_t reserved_pages;
    uint64_t bookkeeping_bytes;
    uint64_t limit_pages; /* 0 = none */
    uint64_t map_calls;
    uint64_t unmap_calls;
    uint64_t decommit_calls;
    uint64_t remap_calls;
    uint64_t lock_count;
    uint64_t class_counts[HEAP_CLASS_MAX + 1]; /* runs out of the heap, by pages */
};

/* ---- Take and give ---------------------------------------------------------------------------------------- */

/* Take one run. want_zero: clean pages first (is_zero tells what it became), else warm pages first. The run's word is
 * set to LENT. -EDQUOT: over the limit, *ret_missing pages too many; any other error: no memory, and no addresses were kept
 * for what was refused. */
int jdb__heap_take(uint32_t page_count, uint32_t align_pages, bool want_zero, struct heap_run *ret_run,
                   uint64_t *ret_missing);

/* Take up to `count` runs of page_count pages out of the first zone; their words are set to CACHED, with the ZERO flag where
 * it holds. *ret_count is at least 1 on success. Errors as jdb__heap_take(). */
int jdb__heap_take_batch(uint32_t page_count, unsigned count, uint32_t *ret_indices, unsigned *ret_count,
                         uint64_t *ret_missing);

/* Take a run with max_pages of address space, page_count of them readable. Its word is LENT | BOUNDED with max_pages. */
int jdb__heap_take_bounded(uint32_t page_count, uint32_t max_pages, struct heap_run *ret_run, uint64_t *ret_missing);

/* Give runs back: dirty, or clean where the caller knows. */
void jdb__heap_give(const struct heap_run *run);
void jdb__heap_give_batch(const uint32_t *indices, unsigned count);

/* ---- Change in place -------------------------------------------------------------------------------------- */

/* Grow a run to at most best_pages, a multiple of step_pages and at least least_pages, where the pages behind it are
 * free. False: they are not. */
bool jdb__heap_extend(struct heap_run *run, uint32_t least_pages, uint32_t best_pages, uint32_t step_pages);

/* Cut a run to page_count pages; what is cut off is given back. -EBUSY: pinned. */
int jdb__heap_cut(struct heap_run *run, uint32_t page_count);

/* Change the readable size of a bounded run. -ENOBUFS, -ENOMEM, -EDQUOT, -EBUSY. */
int jdb__heap_resize_bounded(const struct heap_run *run, uint32_t page_count, uint64_t *ret_missing);

/* Move the pages of `from` to the front of `to`; from reads as zero after. An error: nothing moved, the caller copies.
 * -EADDRNOTAVAIL: and `to` is lost, it is nobody's run any more. */
int jdb__heap_move(const struct heap_run *from, const struct heap_run *to);

/* ---- Give memory back ------------------------------------------------------------------------------------- */

/* Give all dirty pages back to the system. */
void jdb__heap_purge(void);

/* A period has passed: give back what came free before the last turn. */
void jdb__heap_turn(void);

/* Most bytes of dirty pages; 0 = the default. */
void jdb__heap_set_warm(uint64_t bytes);

/* The limit and what to call when it would be passed. */
struct heap_limit {
    uint64_t bytes;
    bool (*callback)(void *context, uint64_t needed);
    void *context;
};

void jdb__heap_set_limit(const struct heap_limit *limit);
struct heap_limit jdb__heap_limit(void);

/* ---- Look ------------------------------------------------------------------------------------------------- */

/* The run that the address lies in, by the zones; false: not page memory. The run must stay lent during the call. */
bool jdb__heap_find(const void *ptr, struct heap_run *ret_run);

/* Whether the range has a byte of a zone: page memory, lent or not. Any thread, no lock. */
bool jdb__heap_overlaps(const void *ptr, size_t size);

/* Whether the run is one of the first zone, which caches may keep. */
bool jdb__heap_is_front(const struct heap_run *run);

void jdb__heap_stats(struct heap_stats *ret_stats);

/* Bytes resident, by mincore. */
int jdb__heap_resident(uint64_t *ret_bytes);

/* Around fork(). */
void jdb__heap_lock(void);
void jdb__heap_unlock(void);

/* ---- Words of a taken run --------------------------------------------------------------------------------- */

uint8_t *jdb__heap_address(const struct heap_run *run);
_Atomic uint64_t *jdb__heap_word(const struct heap_run *run);

/* Present pages of a run: of a bounded one, what is readable. */
uint32_t jdb__heap_size(const struct heap_run *run);

#endif
