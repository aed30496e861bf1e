/* SPDX-License-Identifier: MIT
 *
 * extents.h - who owns which pages of one zone: pure bookkeeping, no system call, no lock.
 *
 *   page     4096 bytes, named by its index in the zone
 *   run      neighbouring pages with one owner: lent, cached, or on their way
 *   extent   neighbouring free pages of one kind, as long as they go
 *   word     8 bytes a page: what starts or ends there (word.h)
 *   link     8 bytes a page: children in the treap, of the first page of an extent; of the first page of a bounded run,
 *            its present size in pages
 *   heads    a bitmap of bitmaps: bit set, a run or extent starts there
 *
 * Invariants, numbered as in docs/design.md:
 *   P1  the first page of each run and each extent has its word and its bit in heads; no other page has a bit
 *   P2  the last page of an extent of two pages or more has a word of state TAIL with the extent's page_count; every
 *       other page inside a run or extent has the word 0
 *   P3  two neighbouring extents differ in kind
 *   P4  each extent is in the treap of its kind and rank and in no other; runs are in none
 *   P5  free_pages[kind] is the sum of the page counts in the treaps of that kind
 *
 * A treap is ordered by (page_count, index): the best fit is the lowest address of the smallest extent that is large
 * enough. Its priorities are a hash of the index, so it needs no memory beyond the links. Each kind has a treap for every rank
 * of sizes, a quarter of a doubling, so that most have few extents; the order goes on from one rank to the next.
 *
 * Lock: everything here is under the heap's lock, but for what owners of runs store by word.h, and for
 * jdb__extents_head_of().
 */
#ifndef JDB_EXTENTS_H
#define JDB_EXTENTS_H

#include "base/bits.h"
#include "page/word.h"

#include <stddef.h>

/* No page: where a search finds none. */
#define PAGE_NONE UINT32_MAX

/* Kinds of free pages. */
enum extent_kind {
    EXTENT_RESERVED, /* addresses only: not readable, no memory */
    EXTENT_CLEAN,    /* readable, known to be zero, not resident */
    EXTENT_DIRTY,    /* readable, content unknown, resident */
    EXTENT_KIND_COUNT,
};

struct extent_link {
    uint32_t left;
    uint32_t right;
};

/* Ranks of page counts: each of 1 to 7 has its own, from 8 on a quarter of a doubling. The first and the last rank are those
 * of no extent, so a search that finds no other ends there. */
#define EXTENTS_RANKS 128

static inline unsigned extents_rank(uint32_t page_count)
{
    const unsigned order = bits_highest(page_count | 4);
    return page_count < 4 ? page_count : 4 * order + (page_count >> (order - 2) & 3);
}

struct extent_trees {
    uint64_t filled[EXTENTS_RANKS / 64]; /* bit set: the treap of the rank is not empty */
    uint32_t roots[EXTENTS_RANKS];       /* PAGE_NONE when empty */
};

#define EXTENTS_LEVELS 5 /* levels of heads: 64^5 pages and more, any 30-bit index */

struct extents {
    _Atomic uint64_t *words;                 /* page_count */
    struct extent_link *links;               /* page_count */
    _Atomic uint64_t *heads[EXTENTS_LEVELS]; /* level n + 1 has a bit for each word of level n that is not 0 */
    uint32_t page_count;
    uint64_t free_pages[EXTENT_KIND_COUNT];
    struct extent_trees trees[EXTENT_KIND_COUNT];
};

/* Bytes of heads for a zone of page_count pages. */
size_t jdb__extents_heads_size(uint32_t page_count);

/* Start with one reserved extent over all pages. words and links: zero, at least the pages that are touched;
 * heads_memory: zero, jdb__extents_heads_size() bytes. */
void jdb__extents_init(struct extents *extents, _Atomic uint64_t *words, struct extent_link *links, void *heads_memory,
                       uint32_t page_count);

/* ---- Words ------------------------------------------------------------------------------------------------ */

static inline uint64_t extents_word(const struct extents *extents, uint32_t index)
{
    JDB_ASSERT(index < extents->page_count);
    return word_load(&extents->words[index]);
}

/* Under the heap's lock. */
static inline void extents_set_word(struct extents *extents, uint32_t index, uint64_t word)
{
    JDB_ASSERT(index < extents->page_count);
    atomic_store_explicit(&extents->words[index], word, memory_order_relaxed);
}

/* Of the word of an extent. */
static inline enum extent_kind word_kind(uint64_t word)
{
    JDB_ASSERT(word_state(word) == WORD_FREE || word_state(word) == WORD_TAIL);
    return (enum extent_kind)((word & WORD_KIND_MASK) >> WORD_KIND_SHIFT);
}

/* Pages of the run or extent that starts at index. */
static inline uint32_t extents_pages(const struct extents *extents, uint32_t index)
{
    return word_pages(extents_word(extents, index));
}

/* ---- Search, take, give ----------------------------------------------------------------------------------- */

/* First page of the best extent of the kind that holds page_count pages at a multiple of align_pages (a power of
 * two) plus phase pages, or PAGE_NONE. *ret_at gets the page where the run would start. */
uint32_t jdb__extents_find(const struct extents *extents, enum extent_kind kind, uint32_t page_count,
                           uint32_t align_pages, uint32_t phase, uint32_t *ret_at);

/* The same across neighbouring extents that are readable: around one of the largest dirty ones, so that pages that are
 * resident are used again before clean ones are, or new ones made readable. The extent returned is the one that *ret_at
 * lies in; jdb__extents_take_joined() takes the pages. */
uint32_t jdb__extents_find_joined(const struct extents *extents, uint32_t page_count, uint32_t align_pages,
                                  uint32_t phase, uint32_t *ret_at);

/* Take [at, at + page_count) out of the extent that starts at `extent`; what is left before and behind stays free. The
 * taken pages have no word until the caller calls jdb__extents_start(). */
void jdb__extents_take(struct extents *extents, uint32_t extent, uint32_t at, uint32_t page_count);

/* Take [at, at + page_count) out of the extent that starts at `extent` and those right behind it. */
void jdb__extents_take_joined(struct extents *extents, uint32_t extent, uint32_t at, uint32_t page_count);

/* The extent that begins at `index`, when it is free: its page_count and kind. */
bool jdb__extents_at(const struct extents *extents, uint32_t index, uint32_t *ret_page_count,
                     enum extent_kind *ret_kind);

/* A run starts here: its word is stored and its bit set. */
void jdb__extents_start(struct extents *extents, uint32_t index, uint64_t word);

/* A run that started here ends: its word becomes 0. Its pages go to jdb__extents_give() or to another run. */
void jdb__extents_end(struct extents *extents, uint32_t index);

/* Make pages free, of a kind; they are joined with neighbours of that kind. The pages have no word. */
void jdb__extents_give(struct extents *extents, uint32_t index, uint32_t page_count, enum extent_kind kind);

/* The extent of the kind with the most pages, or PAGE_NONE. */
uint32_t jdb__extents_largest(const struct extents *extents, enum extent_kind kind);

/* A number that orders extents: by page_count, then by index. */
static inline uint64_t extents_key(const struct extents *extents, uint32_t index)
{
    return (uint64_t)extents_pages(extents, index) << 32 | index;
}

/* The extent of the kind with the greatest key below `key`, or PAGE_NONE. */
uint32_t jdb__extents_below(const struct extents *extents, enum extent_kind kind, uint64_t key);

/* Of the largest extents of the kind the one with the highest address, or PAGE_NONE. Giving that back leaves low and
 * large ones to be used again. */
uint32_t jdb__extents_highest(const struct extents *extents, enum extent_kind kind);

/* First page of the run or extent that page `index` lies in, or PAGE_NONE. Without a lock: right when the page is
 * inside a run that stays lent during the call. index < page_count. */
uint32_t jdb__extents_head_of(const struct extents *extents, uint32_t index);

#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)
/* P1 to P5, by a walk over all pages below `limit` and all treaps. */
bool jdb__extents_is_valid(const struct extents *extents, uint32_t limit);
#endif

#endif
