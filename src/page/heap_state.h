/* SPDX-License-Identifier: MIT
 *
 * heap_state.h - what zone.c, heap.c, bounded.c and purge.c share: the state of the heap under its one lock.
 *
 * Everything here is read and changed under the heap's lock. Exceptions: zones[0 .. zone_count) and the addresses in
 * them, which stay once they are published (P11, P12), are read without.
 *
 *   P5   see extents.h
 *   P9   taken_pages counts every page outside of the heap: lent, cached, in quarantine; class_counts the runs of 1 to
 *        CLASS_PAGES_MAX pages among them. The limit of jdb_set_limit() compares with taken_pages
 *   P13  while memory is given back to the system without the lock, its word says CACHED: no search finds it and no
 *        neighbour joins it
 */
#ifndef JDB_HEAP_STATE_H
#define JDB_HEAP_STATE_H

#include "os/fork.h"
#include "os/os.h"
#include "page/heap.h"
#include "page/profile.h"

#define ZONE_COUNT_MAX 64

/* No bound on dirty pages. */
#define DIRTY_NO_MAX UINT64_MAX

/* Huge pages (huge.c). */
enum huge_use {
    HUGE_UNSET,  /* the environment was not asked yet */
    HUGE_NEVER,  /* no block was ever advised */
    HUGE_WANTED, /* by the program */
    HUGE_ENDED,  /* by the program, and blocks may be left */
};

/* Pages of blocks, [first, end). */
struct huge_range {
    uint32_t first;
    uint32_t end;
};

/* A call to the system that is made once the lock is released. */
struct huge_advice {
    struct zone *zone;
    struct huge_range range;
    bool is_huge;
};

#define HUGE_ADVICE_MAX 8

/* Where a pass over the dirty extents goes on, largest first. */
struct purge_cursor {
    unsigned zone;
    uint64_t key; /* extents of this key and above were tried */
};

struct heap_state {
    struct lock lock;
    struct zone *zones[ZONE_COUNT_MAX];
    _Atomic unsigned zone_count;
    struct zone *primary;
    uint64_t spare[HEAP_STEPS]; /* fewest dirty pages in each of the last decay steps: what nobody needed */
    uint64_t most[HEAP_STEPS];  /* most taken pages in each of them */
    uint64_t most_before;       /* in all of them but this one */
    unsigned step;              /* this step is spare[step % HEAP_STEPS] */
    uint64_t dirty_max;         /* pages that may be dirty, by the user, or DIRTY_NO_MAX */
    uint64_t purge_at;          /* the system refused to take some: dirty pages from which on it is asked again, or 0 */
    _Atomic(enum huge_use) huge;      /* changed under the lock */
    _Atomic uint64_t huge_left_count; /* of blocks that were huge; changed under the lock */
    struct huge_advice advice[HUGE_ADVICE_MAX];
    unsigned advice_count;
    struct purge_cursor cursor; /* of the passes that no call makes at once */
    struct heap_limit limit;
    struct heap_stats stats;
};

extern struct heap_state jdb__heap;

static inline bool heap_is_locked(void)
{
    return lock_is_held(&jdb__heap.lock);
}

/* Whether blocks may be huge. */
static inline bool heap_has_huge(void)
{
    return JDB_UNLIKELY(atomic_load_explicit(&jdb__heap.huge, memory_order_relaxed) > HUGE_NEVER);
}

/* Pages of ours in a page of the system. */
static inline uint32_t system_pages(void)
{
    return (uint32_t)(jdb__os_page_size() / JDB_PAGE_SIZE);
}

static inline size_t pages_to_bytes(uint64_t page_count)
{
    return (size_t)page_count * JDB_PAGE_SIZE;
}

static inline unsigned heap_zone_count(void)
{
    return atomic_load_explicit(&jdb__heap.zone_count, memory_order_relaxed);
}

/* ---- Counts ----------------------------------------------------------------------------------------------- */

/* More pages would be over the limit: -EDQUOT, and by how many. */
static inline int heap_check_limit(uint64_t more_pages, uint64_t *ret_missing)
{
    const uint64_t limit = jdb__heap.stats.limit_pages;
    const uint64_t wanted = jdb__heap.stats.taken_pages + more_pages;
    JDB_ASSERT(heap_is_locked());
    if (jdb__heap.limit.bytes == 0 || wanted <= limit)
        return 0;
    *ret_missing = wanted - limit;
    return -EDQUOT;
}

/* Runs of page_count pages left the heap. */
static inline void heap_count_taken(uint32_t page_count, uint32_t run_count)
{
    JDB_ASSERT(heap_is_locked() && page_count > 0);
    jdb__heap.stats.taken_pages += (uint64_t)page_count * run_count;
    profile_count_taken((uint64_t)page_count * run_count);
    uint64_t *const most = &jdb__heap.most[jdb__heap.step % HEAP_STEPS];
    *most = *most > jdb__heap.stats.taken_pages ? *most : jdb__heap.stats.taken_pages;
    if (page_count <= CLASS_PAGES_MAX)
        jdb__heap.stats.class_counts[page_count] += run_count;
}

/* A run of page_count pages came back. */
static inline void heap_count_given(uint32_t page_count)
{
    JDB_ASSERT(heap_is_locked() && jdb__heap.stats.taken_pages >= page_count); /* P9 */
    jdb__heap.stats.taken_pages -= page_count;
    profile_count_given(page_count);
    if (page_count <= CLASS_PAGES_MAX) {
        JDB_ASSERT(jdb__heap.stats.class_counts[page_count] > 0); /* P9 */
        jdb__heap.stats.class_counts[page_count]--;
    }
}

/* A run outside of the heap changed its size. */
static inline void heap_count_resized(uint32_t from, uint32_t to)
{
    heap_count_given(from);
    heap_count_taken(to, 1);
}

/* ---- purge.c ---------------------------------------------------------------------------------------------- */

/* Pages were taken: fewer may be spare. */
void jdb__purge_note_use(void);

/* Give back what is dirty beyond what may stay, some at a time. Lock held, released meanwhile. */
void jdb__purge_excess(void);

/* Give a run that came by moving page tables its own mapping back and make it free. Lock held, released meanwhile. */
void jdb__purge_moved(struct zone *zone, uint32_t index, uint32_t page_count);

/* Make what was readable of a bounded run reserved again. Lock held, released meanwhile. */
void jdb__purge_bounded(struct zone *zone, uint32_t index, uint32_t page_count);

uint64_t jdb__purge_dirty_pages(void);

/* ---- huge.c, where heap_has_huge() ------------------------------------------------------------------------ */

/* Release the heap's lock, and make the advices that were noted under it. */
void jdb__huge_unlock(void);

/* Dirty pages that stay though nobody needs them: small ones go only with a part of a block. 0 where none is huge. */
uint64_t jdb__huge_keep(void);

/* Before the first zone is made: what the environment says, unless the program said it. */
void jdb__huge_start(void);

/* Bytes of the table of blocks of a zone. */
size_t jdb__huge_table_bytes(uint32_t page_count);

/* The free pages [at, at + page_count) are about to be taken: those of clean extents whose blocks are whole there may
 * become dirty, and with them the rest of the blocks. */
void jdb__huge_open(struct zone *zone, uint32_t at, uint32_t page_count);

/* Pages that move as one have one mapping, so one advice. Without the lock. */
void jdb__huge_unify(const struct run *run);

/* Whether the pages lie in a huge block, at least in part. */
bool jdb__huge_touches(const struct zone *zone, uint32_t index, uint32_t page_count);

/* Of the free pages [*from, *to): without those at either end of which the rest of the block stays, where any are left
 * then. */
void jdb__huge_spare_edges(const struct zone *zone, uint32_t *from, uint32_t *to);

/* The first page of a huge block that the page lies in, else the page itself. */
uint32_t jdb__huge_first(const struct zone *zone, uint32_t index);

/* The pages are about to go to the system: their blocks are huge no more. Returns those of which a part stays: the system
 * must not make them huge again. */
struct huge_range jdb__huge_leave(struct zone *zone, uint32_t index, uint32_t page_count);

/* ---- bounded.c -------------------------------------------------------------------------------------------- */

/* Take one of a zone for them. Errors as jdb__zone_commit_room(). */
int jdb__bounded_take(struct zone *zone, const struct heap_wish *wish, struct run *ret_run);

/* Make it free: page_count of its pages are readable. Lock held, released meanwhile. */
void jdb__bounded_give(const struct run *run, uint32_t page_count);

#endif
