/* SPDX-License-Identifier: MIT
 *
 * runs.h - who owns which pages of one zone: pure bookkeeping, no system call, no lock. Floor 3: for heap.c.
 *
 * Glossary
 *   page     4096 bytes, named by its index in the zone
 *   run      neighbouring pages with one owner: lent, cached, or on its way
 *   extent   neighbouring free pages, as long as they go: free runs of one kind never touch
 *   word     8 bytes a page: what the page is when a run or an extent starts (or an extent ends) there
 *   link     8 bytes a page: children of the search tree, for the first page of an extent; for the first page of a
 *            bounded run its present size
 *
 * A word:    63           34 33             8 7     4 3     0
 *           [ page_count:30 | pin_count:26   | flags | state ]
 *
 * Kinds of free pages
 *   reserved  addresses only: not readable, cost nothing
 *   clean     readable, known to be zero, not resident
 *   dirty     readable, content unknown, resident; of this period or of the one before (generations, for giving
 *             back what was not used for a while)
 *
 * Invariants
 *   - the first page of every run and extent has its word and its bit in `heads`; no other page has a bit
 *   - the last page of an extent of two pages or more has a word of state TAIL with the extent's page_count; every other
 *     page inside has the word 0
 *   - two neighbouring extents differ in kind (the generations of dirty count as one kind)
 *   - each extent is in the tree of its kind, ordered by (page_count, index): the best fit is the lowest address of the
 *     smallest extent that is large enough
 *   - the tree is a treap whose priorities are a hash of the index, so it needs no memory beyond the links
 *
 * The owner of a run (and nobody else) may store its first word without a lock, see cache.h; all else is under the
 * heap's lock. Readers of another thread's words use runs_word().
 */
#ifndef JDB_RUNS_H
#define JDB_RUNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum runs_state {
    RUNS_INSIDE = 0, /* inside a run or an extent, or nothing known */
    RUNS_TAIL,       /* last page of an extent */
    RUNS_FREE,       /* first page of an extent; its kind is in the flags */
    RUNS_CACHED,     /* a run kept warm */
    RUNS_LENT,       /* a run owned by the user */
    RUNS_DYING,      /* a run dropped while pinned */
    RUNS_LOST,       /* a run whose addresses another thread's mapping may have taken: never touched again */
};

#define RUNS_STATE_MASK UINT64_C(0x0f)
#define RUNS_KIND_MASK UINT64_C(0x30)    /* of a free extent: enum runs_kind << 4 */
#define RUNS_FLAG_ZERO UINT64_C(0x10)    /* of a cached run: known to be zero */
#define RUNS_FLAG_BOUNDED UINT64_C(0x20) /* of a lent run: page_count is the maximum, the link holds the present size */
#define RUNS_FLAG_MOVED UINT64_C(0x40)   /* of a run: its mapping came by moving page tables */
#define RUNS_PIN_SHIFT 8
#define RUNS_PIN_ONE (UINT64_C(1) << RUNS_PIN_SHIFT)
#define RUNS_PIN_MASK ((UINT64_C(1) << 34) - RUNS_PIN_ONE)
#define RUNS_PAGE_SHIFT 34
#define RUNS_PAGE_MAX ((UINT32_C(1) << 30) - 1)

#define RUNS_NONE UINT32_MAX

enum runs_kind {
    RUNS_RESERVED,
    RUNS_CLEAN,
    RUNS_DIRTY_0,
    RUNS_DIRTY_1,
    RUNS_KIND_COUNT,
};

struct runs_link {
    uint32_t left;
    uint32_t right;
};

#define RUNS_LEVELS 5 /* 64^5 pages and more: any 30-bit index */

struct runs {
    _Atomic uint64_t *words; /* page_count */
    struct runs_link *links; /* page_count */
    _Atomic uint64_t
        *heads[RUNS_LEVELS]; /* bit set: a run or extent starts; level n + 1 sums up the words of level n */
    uint32_t page_count;
    uint32_t roots[RUNS_KIND_COUNT]; /* RUNS_NONE when empty */
    uint64_t free_pages[RUNS_KIND_COUNT];
};

/* Bytes that the tables of a zone of page_count pages want: words and links each 8 bytes a page, in step with the pages;
 * the bitmap below a 30th of that, all at once. */
size_t jdb__runs_heads_size(uint32_t page_count);

/* Start with one reserved extent over all pages. words and links: zero, at least the pages that are touched; heads_memory:
 * zero, jdb__runs_heads_size() bytes. */
void jdb__runs_init(struct runs *runs, _Atomic uint64_t *words, struct runs_link *links, void *heads_memory,
                    uint32_t page_count);

/* ---- Words ------------------------------------------------------------------------------------------------ */

static inline uint64_t runs_make_word(enum runs_state state, uint64_t flags, uint32_t page_count)
{
    return (uint64_t)state | flags | (uint64_t)page_count << RUNS_PAGE_SHIFT;
}

static inline uint64_t runs_word(const struct runs *runs, uint32_t index)
{
    return atomic_load_explicit(&runs->words[index], memory_order_relaxed);
}

static inline void runs_set_word(struct runs *runs, uint32_t index, uint64_t word)
{
    atomic_store_explicit(&runs->words[index], word, memory_order_relaxed);
}

static inline enum runs_state runs_state_of(uint64_t word)
{
    return (enum runs_state)(word & RUNS_STATE_MASK);
}

static inline uint32_t runs_pages_of(uint64_t word)
{
    return (uint32_t)(word >> RUNS_PAGE_SHIFT);
}

static inline enum runs_kind runs_kind_of(uint64_t word)
{
    return (enum runs_kind)((word & RUNS_KIND_MASK) >> 4);
}

static inline uint64_t runs_pins_of(uint64_t word)
{
    return (word & RUNS_PIN_MASK) >> RUNS_PIN_SHIFT;
}

/* ---- Search, take, give ----------------------------------------------------------------------------------- */

/* First page of the best extent of the kind that holds page_count pages at a multiple of align_pages (a power of two) plus
 * phase pages, or RUNS_NONE. *ret_at gets the page where the run would start. */
uint32_t jdb__runs_find(const struct runs *runs, enum runs_kind kind, uint32_t page_count, uint32_t align_pages,
                        uint32_t phase, uint32_t *ret_at);

/* The same in the largest extent of the kind where the run fits there: what is taken piece by piece stays together, and leaves
 * the smaller ones whole. */
uint32_t jdb__runs_find_in_largest(const struct runs *runs, enum runs_kind kind, uint32_t page_count,
                                   uint32_t align_pages, uint32_t phase, uint32_t *ret_at);

/* The same across neighbouring extents that are readable: around one of the largest dirty ones of the kind, so that pages
 * which are warm are used again before clean ones are, or new ones made readable. The extent returned is the one that
 * *ret_at lies in; jdb__runs_take_joined() takes the pages. */
uint32_t jdb__runs_find_joined(const struct runs *runs, enum runs_kind kind, uint32_t page_count, uint32_t align_pages,
                               uint32_t phase, uint32_t *ret_at);

/* Take [at, at + page_count) out of the extent that starts at `extent`; what is left before and behind stays free. The
 * taken pages have no word: the caller gives them one with jdb__runs_start(). */
void jdb__runs_take(struct runs *runs, uint32_t extent, uint32_t at, uint32_t page_count);

/* Take [at, at + page_count) out of the extent that starts at `extent` and those right behind it. */
void jdb__runs_take_joined(struct runs *runs, uint32_t extent, uint32_t at, uint32_t page_count);

/* The extent that begins at `index`, when it is free: its page_count and kind. */
bool jdb__runs_extent_at(const struct runs *runs, uint32_t index, uint32_t *ret_page_count, enum runs_kind *ret_kind);

/* A run starts here. */
void jdb__runs_start(struct runs *runs, uint32_t index, uint64_t word);

/* A run that started here is no more (its pages go to jdb__runs_give or to another run). */
void jdb__runs_end(struct runs *runs, uint32_t index);

/* Free pages of a kind, joined with neighbours of the same kind. The pages have no word. */
void jdb__runs_give(struct runs *runs, uint32_t index, uint32_t page_count, enum runs_kind kind);

/* Any extent of the kind (the tree's root), or RUNS_NONE. */
static inline uint32_t runs_any(const struct runs *runs, enum runs_kind kind)
{
    return runs->roots[kind];
}

/* The extent of the kind with the most pages, or RUNS_NONE. */
uint32_t jdb__runs_largest(const struct runs *runs, enum runs_kind kind);

/* One of the largest extents of the kind, of those the one with the highest address, or RUNS_NONE. What goes back to the
 * system from there leaves what is low and large to be used again. */
uint32_t jdb__runs_highest(const struct runs *runs, enum runs_kind kind);

/* First page of the run or extent that page `index` lies in, or RUNS_NONE. Without a lock: right when the page is
 * inside a run that stays lent during the call. */
uint32_t jdb__runs_head_of(const struct runs *runs, uint32_t index);

/* Every invariant above, by a walk over all pages below `limit`. For tests and the checked build. */
bool jdb__runs_is_valid(const struct runs *runs, uint32_t limit);

#endif
