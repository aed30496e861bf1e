/* SPDX-License-Identifier: MIT
 *
 * zone.h - zones: ranges of addresses that are reserved at once, with tables beside them; and the runs in them.
 *
 *     base                                                               base + page_count * 4096
 *     | runs and extents, clean or dirty ............................................. | reserved |
 *     | reserved ................................................... | bounded runs and what they left |
 *
 * Addresses are reserved without access. Pages become readable by steps of at least 4 MiB, the tables of words and
 * links by chunks that describe 64 MiB. Runs are taken where they fit best and, of new addresses, from the low end.
 * Bounded runs (jdb_buf_with_max) have zones of their own, the second form above: they are taken where they fit best,
 * from the high end.
 *
 * The primary zone is the first one that is not for bounded runs: 1 TiB where addresses are free, 64 GiB under the
 * sanitizers. The bins keep runs of the primary zone alone, so the fast path finds the word of a run by one
 * subtraction and one shift.
 *
 * Invariants, numbered as in docs/design.md:
 *   P10  base and words of the primary zone are written once, before its first run is lent; the count of pages whose
 *        words may be read only grows; it is stored last, by release, and read first, by acquire, by who has no run of
 *        the zone
 *   P11  words and links are never unmapped once a zone is published: a reader without a lock may be late
 *   P12  a zone is never removed once it is published
 *
 * Lock: zones are made and changed under the heap's lock. jdb__heap_find() and jdb__heap_overlaps() (heap.h) take none.
 */
#ifndef JDB_ZONE_H
#define JDB_ZONE_H

#include "jdb_alloc/base.h"
#include "page/extents.h"

/* Tables become readable by chunks of this many pages, 64 MiB of memory. */
#define ZONE_CHUNK_PAGES (UINT32_C(1) << 14)
#define ZONE_CHUNK_MAX (WORD_PAGE_MAX / ZONE_CHUNK_PAGES + 1)

struct zone {
    uint8_t *base;
    struct extents extents;
    bool is_bounded;                      /* its runs are bounded */
    uint64_t *huge;                       /* a bit for each block of 2 MiB of addresses; see huge.c */
    uint32_t huge_end;                    /* no page from here on was ever advised to be in a huge page */
    uint64_t chunks[ZONE_CHUNK_MAX / 64]; /* bit set: tables of the chunk are readable */
};

/* What the fast path needs of the primary zone (P10). */
struct primary_zone {
    _Atomic(uint8_t *) base;
    _Atomic(_Atomic uint64_t *) words;
    _Atomic uint32_t page_count; /* pages below which words may be read */
};

extern struct primary_zone jdb__primary;

static inline uint8_t *primary_base(void)
{
    return atomic_load_explicit(&jdb__primary.base, memory_order_relaxed);
}

static inline _Atomic uint64_t *primary_words(void)
{
    return atomic_load_explicit(&jdb__primary.words, memory_order_relaxed);
}

/* By who may have no run of the zone: a buffer that is freed may be empty or wrong. */
static inline uint32_t primary_pages(void)
{
    return atomic_load_explicit(&jdb__primary.page_count, memory_order_acquire);
}

/* ---- Runs ------------------------------------------------------------------------------------------------- */

struct run {
    struct zone *zone;
    uint32_t index;
    uint32_t page_count; /* of a bounded run: its maximum */
    bool is_zero;        /* every byte is known to be zero */
};

static inline uint8_t *zone_address(const struct zone *zone, uint32_t index)
{
    return zone->base + (size_t)index * JDB_PAGE_SIZE;
}

static inline uint8_t *run_address(const struct run *run)
{
    return zone_address(run->zone, run->index);
}

static inline _Atomic uint64_t *run_word(const struct run *run)
{
    return &run->zone->extents.words[run->index];
}

/* Readable pages of a run. A bounded run is in no treap: its link holds their count. Who unpins a part of it may read that
 * while the owner grows it. */
static inline uint32_t run_pages(const struct run *run)
{
    const uint64_t word = extents_word(&run->zone->extents, run->index);
    JDB_ASSERT(word_state(word) > WORD_FREE);
    if (!run->zone->is_bounded)
        return word_pages(word);
    return __atomic_load_n(&run->zone->extents.links[run->index].left, __ATOMIC_RELAXED);
}

static inline size_t run_bytes(const struct run *run)
{
    return (size_t)run_pages(run) * JDB_PAGE_SIZE;
}

/* ---- Under the heap's lock -------------------------------------------------------------------------------- */

/* A zone has no addresses left for a run: another may, or a new one. Any other error is the system's, which would
 * refuse the same of a new zone. */
#define ZONE_IS_FULL (-ENOSPC)

/* Pages by which an address that is a multiple of align_pages is ahead of an index that is. */
static inline uint32_t zone_phase(const struct zone *zone, uint32_t align_pages)
{
    return (uint32_t)(-((uintptr_t)zone->base / JDB_PAGE_SIZE) & (align_pages - 1));
}

/* A new zone that holds a run of page_count pages; the more room the better. The caller takes the run and calls
 * jdb__zone_keep(). -ENOMEM. */
int jdb__zone_new(uint64_t page_count, bool is_bounded, struct zone **ret_zone);

/* err: whether a run was taken from a new zone. The zone is published; or, since the system refused, undone: the
 * next call would leave another. Returns err. */
int jdb__zone_keep(struct zone *zone, int err);

/* Make the tables readable for the pages first to last. */
int jdb__zone_commit_tables(struct zone *zone, uint32_t first, uint32_t last);

/* The tables of free pages, but for the first and last one, hold nothing: give their memory back. Without the lock, while
 * the word of the first page says CACHED (P13). What the system refuses stays. */
void jdb__zone_empty_tables(struct zone *zone, uint32_t index, uint32_t page_count);

/* Turn reserved pages [at, at + page_count) of an extent, and those up to the end of a step, into clean ones. */
int jdb__zone_commit(struct zone *zone, uint32_t extent, uint32_t at, uint32_t page_count);

/* The same for a run of page_count pages, where it fits best. ZONE_IS_FULL, or the system refuses. */
int jdb__zone_commit_room(struct zone *zone, uint32_t page_count, uint32_t align_pages);

#endif
