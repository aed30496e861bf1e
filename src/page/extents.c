/* SPDX-License-Identifier: MIT
 *
 * extents.c - extents in treaps, heads in a bitmap of bitmaps.
 *
 * Treap: R. Seidel, C. Aragon, "Randomized search trees", Algorithmica 16 (1996): expected depth is logarithmic when
 * priorities are random; here they are a hash of the page index, which costs no memory and makes results repeatable.
 */
#include "page/extents.h"

#include "base/bits.h"
#include "base/check.h"

/* ---- Bitmap of heads -------------------------------------------------------------------------------------- */

static size_t head_level_words(uint32_t page_count, unsigned level)
{
    size_t words = page_count;
    for (unsigned i = 0; i <= level; i++)
        words = (words + 63) / 64;
    return words;
}

size_t jdb__extents_heads_size(uint32_t page_count)
{
    size_t words = 0;
    for (unsigned level = 0; level < EXTENTS_LEVELS; level++)
        words += head_level_words(page_count, level);
    return words * sizeof(uint64_t);
}

static void head_set(struct extents *extents, uint32_t index)
{
    for (unsigned level = 0; level < EXTENTS_LEVELS; level++) {
        _Atomic uint64_t *const word = &extents->heads[level][index / 64];
        const uint64_t before = atomic_load_explicit(word, memory_order_relaxed);
        atomic_store_explicit(word, before | UINT64_C(1) << (index % 64), memory_order_release);
        if (before != 0)
            return;
        index /= 64;
    }
}

static void head_clear(struct extents *extents, uint32_t index)
{
    for (unsigned level = 0; level < EXTENTS_LEVELS; level++) {
        _Atomic uint64_t *const word = &extents->heads[level][index / 64];
        const uint64_t after = atomic_load_explicit(word, memory_order_relaxed) & ~(UINT64_C(1) << (index % 64));
        atomic_store_explicit(word, after, memory_order_release);
        if (after != 0)
            return;
        index /= 64;
    }
}

/* Bits 0 to `bit` of a word. */
static uint64_t head_bits_to(uint64_t word, uint32_t bit)
{
    return word & (~UINT64_C(0) >> (63 - bit));
}

uint32_t jdb__extents_head_of(const struct extents *extents, uint32_t index)
{
    JDB_ASSERT(index < extents->page_count);
    unsigned level = 0;
    uint64_t word =
        head_bits_to(atomic_load_explicit(&extents->heads[0][index / 64], memory_order_acquire), index % 64);
    while (word == 0) {
        index /= 64;
        level++;
        if (level == EXTENTS_LEVELS || index == 0)
            return PAGE_NONE;
        index--;
        word = head_bits_to(atomic_load_explicit(&extents->heads[level][index / 64], memory_order_acquire), index % 64);
    }
    for (;;) {
        index = index / 64 * 64 + bits_highest(word);
        if (level == 0)
            return index;
        level--;
        word = atomic_load_explicit(&extents->heads[level][index], memory_order_acquire);
        index *= 64;
        if (word == 0)
            return PAGE_NONE;
    }
}

/* ---- Treap of extents ------------------------------------------------------------------------------------- */

static uint32_t tree_priority(uint32_t index)
{
    index = (index ^ (index >> 16)) * UINT32_C(0x45d9f3b);
    index = (index ^ (index >> 16)) * UINT32_C(0x45d9f3b);
    return index ^ (index >> 16);
}

/* Cut a tree in two: keys below `key` and the rest. */
static void tree_split(struct extents *extents, uint32_t node, uint64_t key, uint32_t *below, uint32_t *rest)
{
    while (node != PAGE_NONE) {
        if (extents_key(extents, node) < key) {
            *below = node;
            below = &extents->links[node].right;
            node = *below;
        } else {
            *rest = node;
            rest = &extents->links[node].left;
            node = *rest;
        }
    }
    *below = PAGE_NONE;
    *rest = PAGE_NONE;
}

/* Join two trees; all keys of the left one are below those of the right one. */
static uint32_t tree_join(struct extents *extents, uint32_t left, uint32_t right)
{
    uint32_t root = PAGE_NONE;
    uint32_t *place = &root;
    while (left != PAGE_NONE && right != PAGE_NONE) {
        if (tree_priority(left) > tree_priority(right)) {
            *place = left;
            place = &extents->links[left].right;
            left = *place;
        } else {
            *place = right;
            place = &extents->links[right].left;
            right = *place;
        }
    }
    *place = left != PAGE_NONE ? left : right;
    return root;
}

static void tree_insert(struct extents *extents, enum extent_kind kind, uint32_t index)
{
    const uint64_t key = extents_key(extents, index);
    const unsigned rank = extents_rank(extents_pages(extents, index));
    struct extent_trees *const trees = &extents->trees[kind];
    uint32_t *place = &trees->roots[rank];
    trees->filled[rank / 64] |= UINT64_C(1) << (rank % 64);
    while (*place != PAGE_NONE && tree_priority(*place) >= tree_priority(index))
        place = extents_key(extents, *place) < key ? &extents->links[*place].right : &extents->links[*place].left;
    const uint32_t subtree = *place;
    *place = index;
    tree_split(extents, subtree, key, &extents->links[index].left, &extents->links[index].right);
}

static void tree_remove(struct extents *extents, enum extent_kind kind, uint32_t index)
{
    const uint64_t key = extents_key(extents, index);
    const unsigned rank = extents_rank(extents_pages(extents, index));
    struct extent_trees *const trees = &extents->trees[kind];
    uint32_t *place = &trees->roots[rank];
    while (*place != index) {
        JDB_ASSERT(*place != PAGE_NONE); /* P4 */
        place = extents_key(extents, *place) < key ? &extents->links[*place].right : &extents->links[*place].left;
    }
    *place = tree_join(extents, extents->links[index].left, extents->links[index].right);
    if (trees->roots[rank] == PAGE_NONE)
        trees->filled[rank / 64] &= ~(UINT64_C(1) << (rank % 64));
}

/* The lowest rank above `rank` whose treap is not empty, or the last rank. */
static unsigned tree_rank_above(const struct extent_trees *trees, unsigned rank)
{
    for (rank++; rank < EXTENTS_RANKS; rank = rank / 64 * 64 + 64) {
        const uint64_t filled = trees->filled[rank / 64] >> (rank % 64);
        if (filled != 0)
            return rank + bits_lowest(filled);
    }
    return EXTENTS_RANKS - 1;
}

/* The highest rank below `rank` whose treap is not empty, or the first rank. */
static unsigned tree_rank_below(const struct extent_trees *trees, unsigned rank)
{
    for (; rank > 0; rank = (rank - 1) / 64 * 64) {
        const uint64_t filled = head_bits_to(trees->filled[(rank - 1) / 64], (rank - 1) % 64);
        if (filled != 0)
            return (rank - 1) / 64 * 64 + bits_highest(filled);
    }
    return 0;
}

/* Of a treap, the extent with the least key that is `key` or more. */
static uint32_t tree_least(const struct extents *extents, uint32_t node, uint64_t key)
{
    uint32_t found = PAGE_NONE;
    while (node != PAGE_NONE) {
        if (extents_key(extents, node) < key) {
            node = extents->links[node].right;
        } else {
            found = node;
            node = extents->links[node].left;
        }
    }
    return found;
}

/* Of a treap, the extent with the greatest key below `key`. */
static uint32_t tree_greatest(const struct extents *extents, uint32_t node, uint64_t key)
{
    uint32_t found = PAGE_NONE;
    while (node != PAGE_NONE) {
        if (extents_key(extents, node) < key) {
            found = node;
            node = extents->links[node].right;
        } else {
            node = extents->links[node].left;
        }
    }
    return found;
}

/* The extent of the kind with the least key that is `key` or more. */
static uint32_t tree_at_least(const struct extents *extents, enum extent_kind kind, uint64_t key)
{
    const struct extent_trees *const trees = &extents->trees[kind];
    const unsigned rank = extents_rank((uint32_t)(key >> 32));
    const uint32_t found = tree_least(extents, trees->roots[rank], key);
    return found != PAGE_NONE ? found : tree_least(extents, trees->roots[tree_rank_above(trees, rank)], key);
}

uint32_t jdb__extents_below(const struct extents *extents, enum extent_kind kind, uint64_t key)
{
    const struct extent_trees *const trees = &extents->trees[kind];
    const unsigned rank = extents_rank((uint32_t)(key >> 32));
    const uint32_t found = tree_greatest(extents, trees->roots[rank], key);
    return found != PAGE_NONE ? found : tree_greatest(extents, trees->roots[tree_rank_below(trees, rank)], key);
}

uint32_t jdb__extents_largest(const struct extents *extents, enum extent_kind kind)
{
    return jdb__extents_below(extents, kind, UINT64_MAX);
}

/* Extents among which the highest is sought, and how much smaller than the largest they may be. */
#define HIGHEST_TRIES 32
#define HIGHEST_SHARE 16

uint32_t jdb__extents_highest(const struct extents *extents, enum extent_kind kind)
{
    uint32_t extent = jdb__extents_largest(extents, kind);
    uint32_t highest = extent;
    if (extent == PAGE_NONE)
        return PAGE_NONE;
    const uint32_t least = extents_pages(extents, extent) / HIGHEST_SHARE;
    for (unsigned tries = 1; tries < HIGHEST_TRIES; tries++) {
        extent = jdb__extents_below(extents, kind, extents_key(extents, extent));
        if (extent == PAGE_NONE || extents_pages(extents, extent) < least)
            break;
        highest = (uint32_t)bits_max(extent, highest);
    }
    return highest;
}

/* ---- Extents ---------------------------------------------------------------------------------------------- */

static void extent_insert(struct extents *extents, uint32_t index, uint32_t page_count, enum extent_kind kind)
{
    JDB_ASSERT(kind < EXTENT_KIND_COUNT && page_count > 0 && page_count <= extents->page_count - index);
    JDB_ASSERT(extents_word(extents, index) == 0 && extents_word(extents, index + page_count - 1) == 0); /* P2 */
    if (page_count > 1)
        extents_set_word(extents, index + page_count - 1,
                         word_make(WORD_TAIL, (uint64_t)kind << WORD_KIND_SHIFT, page_count));
    extents_set_word(extents, index, word_make(WORD_FREE, (uint64_t)kind << WORD_KIND_SHIFT, page_count));
    head_set(extents, index);
    tree_insert(extents, kind, index);
    extents->free_pages[kind] += page_count;
}

static void extent_remove(struct extents *extents, uint32_t index)
{
    const uint64_t word = extents_word(extents, index);
    const uint32_t page_count = word_pages(word);
    const enum extent_kind kind = word_kind(word);
    JDB_ASSERT(word_state(word) == WORD_FREE);
    JDB_ASSERT(extents->free_pages[kind] >= page_count); /* P5 */
    tree_remove(extents, kind, index);
    head_clear(extents, index);
    extents_set_word(extents, index + page_count - 1, 0);
    extents_set_word(extents, index, 0);
    extents->free_pages[kind] -= page_count;
}

void jdb__extents_init(struct extents *extents, _Atomic uint64_t *words, struct extent_link *links, void *heads_memory,
                       uint32_t page_count)
{
    JDB_ASSERT(page_count > 0 && page_count <= WORD_PAGE_MAX);
    *extents = (struct extents){.words = words, .links = links, .page_count = page_count};
    _Atomic uint64_t *level_start = heads_memory;
    for (unsigned level = 0; level < EXTENTS_LEVELS; level++) {
        extents->heads[level] = level_start;
        level_start += head_level_words(page_count, level);
    }
    for (unsigned kind = 0; kind < EXTENT_KIND_COUNT; kind++)
        for (unsigned rank = 0; rank < EXTENTS_RANKS; rank++)
            extents->trees[kind].roots[rank] = PAGE_NONE;
    extent_insert(extents, 0, page_count, EXTENT_RESERVED);
}

/* Where a run of page_count pages fits into an extent, or PAGE_NONE. */
static uint32_t extent_place(uint32_t extent, uint32_t extent_pages, uint32_t page_count, uint32_t align_pages,
                             uint32_t phase)
{
    JDB_ASSERT(bits_is_pow2(align_pages) && phase < align_pages);
    const uint64_t at = bits_round_up((uint64_t)extent + align_pages - phase, align_pages) + phase - align_pages;
    const uint64_t end = (uint64_t)extent + extent_pages;
    return at + page_count <= end ? (uint32_t)at : PAGE_NONE;
}

/* Extents that are looked at before one is taken that is sure to hold the alignment: bounds the search. */
#define ALIGNED_TRIES 8

uint32_t jdb__extents_find(const struct extents *extents, enum extent_kind kind, uint32_t page_count,
                           uint32_t align_pages, uint32_t phase, uint32_t *ret_at)
{
    uint64_t key = (uint64_t)page_count << 32;
    for (unsigned tries = 0; tries <= ALIGNED_TRIES; tries++) {
        const uint32_t extent = tree_at_least(extents, kind, key);
        if (extent == PAGE_NONE)
            return PAGE_NONE;
        const uint32_t extent_pages = extents_pages(extents, extent);
        const uint32_t at = extent_place(extent, extent_pages, page_count, align_pages, phase);
        if (at != PAGE_NONE) {
            *ret_at = at;
            return extent;
        }
        key = tries + 1 < ALIGNED_TRIES ? extents_key(extents, extent) + 1
                                        : ((uint64_t)page_count + align_pages - 1) << 32;
    }
    return PAGE_NONE;
}

void jdb__extents_take(struct extents *extents, uint32_t extent, uint32_t at, uint32_t page_count)
{
    const uint64_t word = extents_word(extents, extent);
    const enum extent_kind kind = word_kind(word);
    const uint32_t end = extent + word_pages(word);
    JDB_ASSERT(word_state(word) == WORD_FREE && page_count > 0);
    JDB_ASSERT(at >= extent && at + page_count <= end);
    extent_remove(extents, extent);
    if (at > extent)
        extent_insert(extents, extent, at - extent, kind);
    if (at + page_count < end)
        extent_insert(extents, at + page_count, end - (at + page_count), kind);
}

bool jdb__extents_at(const struct extents *extents, uint32_t index, uint32_t *ret_page_count,
                     enum extent_kind *ret_kind)
{
    if (index >= extents->page_count)
        return false;
    const uint64_t word = extents_word(extents, index);
    if (word_state(word) != WORD_FREE)
        return false;
    *ret_page_count = word_pages(word);
    *ret_kind = word_kind(word);
    return true;
}

void jdb__extents_start(struct extents *extents, uint32_t index, uint64_t word)
{
    JDB_ASSERT(word_state(word) == WORD_LENT || word_state(word) == WORD_CACHED);
    JDB_ASSERT(word_pages(word) > 0 && word_pages(word) <= extents->page_count - index);
    extents_set_word(extents, index, word);
    head_set(extents, index);
}

void jdb__extents_end(struct extents *extents, uint32_t index)
{
    const uint64_t word = extents_word(extents, index);
    JDB_ASSERT(word_state(word) == WORD_CACHED || (word_state(word) != WORD_FREE && word_pins(word) == 0));
    (void)word;
    head_clear(extents, index);
    extents_set_word(extents, index, 0);
}

/* First page of the extent that ends right before `index`, or PAGE_NONE. */
static uint32_t extent_before(const struct extents *extents, uint32_t index)
{
    if (index == 0)
        return PAGE_NONE;
    const uint64_t word = extents_word(extents, index - 1);
    if (word_state(word) == WORD_FREE)
        return index - 1;
    return word_state(word) == WORD_TAIL ? index - word_pages(word) : PAGE_NONE;
}

void jdb__extents_give(struct extents *extents, uint32_t index, uint32_t page_count, enum extent_kind kind)
{
    const uint32_t before = extent_before(extents, index);
    if (before != PAGE_NONE && word_kind(extents_word(extents, before)) == kind) {
        extent_remove(extents, before);
        page_count += index - before;
        index = before;
    }
    uint32_t next_pages = 0;
    enum extent_kind next_kind = kind;
    if (jdb__extents_at(extents, index + page_count, &next_pages, &next_kind) && next_kind == kind) {
        extent_remove(extents, index + page_count);
        page_count += next_pages;
    }
    extent_insert(extents, index, page_count, kind);
}

/* ---- Neighbouring extents --------------------------------------------------------------------------------- */

static bool extent_is_readable(const struct extents *extents, uint32_t extent)
{
    return word_kind(extents_word(extents, extent)) != EXTENT_RESERVED;
}

/* End of the readable extents that follow each other from `extent` on; no further than `enough` pages need. */
static uint32_t extent_readable_end(const struct extents *extents, uint32_t extent, uint32_t enough)
{
    uint32_t end = extent;
    uint32_t page_count = 0;
    enum extent_kind kind = EXTENT_CLEAN;
    while (end - extent < enough && jdb__extents_at(extents, end, &page_count, &kind) && kind != EXTENT_RESERVED)
        end += page_count;
    return end;
}

/* The last place before `end` where the run fits, if it lies behind `begin`; or PAGE_NONE. */
static uint32_t extent_last_place(uint32_t begin, uint32_t end, uint32_t page_count, uint32_t align_pages,
                                  uint32_t phase)
{
    if (end - begin < page_count)
        return PAGE_NONE;
    const uint64_t at = bits_round_down((uint64_t)(end - page_count) + align_pages - phase, align_pages) + phase;
    return at >= (uint64_t)begin + align_pages ? (uint32_t)(at - align_pages) : PAGE_NONE;
}

/* Where the run fits into the extent and its neighbours: it begins in the extent, or reaches back as little as it
 * must. */
static uint32_t extent_place_around(const struct extents *extents, uint32_t extent, uint32_t page_count,
                                    uint32_t align_pages, uint32_t phase)
{
    const uint32_t end = extent_readable_end(extents, extent, page_count + align_pages - 1);
    uint32_t at = extent_place(extent, end - extent, page_count, align_pages, phase);
    while (at == PAGE_NONE) {
        extent = extent_before(extents, extent);
        if (extent == PAGE_NONE || !extent_is_readable(extents, extent))
            return PAGE_NONE;
        at = extent_last_place(extent, end, page_count, align_pages, phase);
    }
    return at;
}

/* Extents that are looked around, and how much of the run each must be. */
#define JOINED_TRIES 4
#define JOINED_SHARE 4

uint32_t jdb__extents_find_joined(const struct extents *extents, uint32_t page_count, uint32_t align_pages,
                                  uint32_t phase, uint32_t *ret_at)
{
    uint32_t extent = jdb__extents_largest(extents, EXTENT_DIRTY);
    for (unsigned tries = 0; tries < JOINED_TRIES && extent != PAGE_NONE; tries++) {
        if (extents_pages(extents, extent) < page_count / JOINED_SHARE)
            return PAGE_NONE;
        const uint32_t at = extent_place_around(extents, extent, page_count, align_pages, phase);
        if (at != PAGE_NONE) {
            *ret_at = at;
            return jdb__extents_head_of(extents, at);
        }
        extent = jdb__extents_below(extents, EXTENT_DIRTY, extents_key(extents, extent));
    }
    return PAGE_NONE;
}

void jdb__extents_take_joined(struct extents *extents, uint32_t extent, uint32_t at, uint32_t page_count)
{
    const uint32_t end = at + page_count;
    while (at < end) {
        const uint32_t extent_end = extent + extents_pages(extents, extent);
        const uint32_t part_end = (uint32_t)bits_min(extent_end, end);
        jdb__extents_take(extents, extent, at, part_end - at);
        extent = at = part_end;
    }
}
