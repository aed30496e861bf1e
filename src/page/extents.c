/* SPDX-License-Identifier: MIT
 *
 * runs.c - extents in treaps, heads in a bitmap of bitmaps. Floor 3, pure.
 *
 * Treap: R. Seidel, C. Aragon, "Randomized search trees", Algorithmica 16 (1996): expected depth is logarithmic when
 * priorities are random; here they are a hash of the page index, which costs no memory and makes runs repeatable.
 */
#include "page/extents.h"

#include "base/bits.h"
#include "base/check.h"

/* ---- Bitmap of heads -------------------------------------------------------------------------------------- */

static size_t level_words(uint32_t page_count, unsigned level)
{
    size_t words = page_count;
    for (unsigned i = 0; i <= level; i++)
        words = (words + 63) / 64;
    return words;
}

size_t jdb__runs_heads_size(uint32_t page_count)
{
    size_t words = 0;
    for (unsigned level = 0; level < RUNS_LEVELS; level++)
        words += level_words(page_count, level);
    return words * sizeof(uint64_t);
}

static void set_head(struct runs *runs, uint32_t index)
{
    for (unsigned level = 0; level < RUNS_LEVELS; level++) {
        _Atomic uint64_t *const word = &runs->heads[level][index / 64];
        const uint64_t before = atomic_load_explicit(word, memory_order_relaxed);
        atomic_store_explicit(word, before | UINT64_C(1) << (index % 64), memory_order_release);
        if (before != 0)
            return;
        index /= 64;
    }
}

static void clear_head(struct runs *runs, uint32_t index)
{
    for (unsigned level = 0; level < RUNS_LEVELS; level++) {
        _Atomic uint64_t *const word = &runs->heads[level][index / 64];
        const uint64_t after = atomic_load_explicit(word, memory_order_relaxed) & ~(UINT64_C(1) << (index % 64));
        atomic_store_explicit(word, after, memory_order_release);
        if (after != 0)
            return;
        index /= 64;
    }
}

/* Bits 0 to `bit` of a word. */
static uint64_t up_to(uint64_t word, uint32_t bit)
{
    return word & (~UINT64_C(0) >> (63 - bit));
}

uint32_t jdb__runs_head_of(const struct runs *runs, uint32_t index)
{
    unsigned level = 0;
    uint64_t word = up_to(atomic_load_explicit(&runs->heads[0][index / 64], memory_order_acquire), index % 64);
    while (word == 0) {
        index /= 64;
        level++;
        if (level == RUNS_LEVELS || index == 0)
            return RUNS_NONE;
        index--;
        word = up_to(atomic_load_explicit(&runs->heads[level][index / 64], memory_order_acquire), index % 64);
    }
    for (;;) {
        index = index / 64 * 64 + bits_highest(word);
        if (level == 0)
            return index;
        level--;
        word = atomic_load_explicit(&runs->heads[level][index], memory_order_acquire);
        index *= 64;
        if (word == 0)
            return RUNS_NONE;
    }
}

/* ---- Treap of extents ------------------------------------------------------------------------------------- */

static uint32_t priority_of(uint32_t index)
{
    index = (index ^ (index >> 16)) * UINT32_C(0x45d9f3b);
    index = (index ^ (index >> 16)) * UINT32_C(0x45d9f3b);
    return index ^ (index >> 16);
}

/* (page_count, index) as one number that orders extents. */
static uint64_t key_of(const struct runs *runs, uint32_t index)
{
    return (uint64_t)runs_pages_of(runs_word(runs, index)) << 32 | index;
}

/* Cut a tree in two: keys below `key` and the rest. */
static void split(struct runs *runs, uint32_t node, uint64_t key, uint32_t *below, uint32_t *rest)
{
    while (node != RUNS_NONE) {
        if (key_of(runs, node) < key) {
            *below = node;
            below = &runs->links[node].right;
            node = *below;
        } else {
            *rest = node;
            rest = &runs->links[node].left;
            node = *rest;
        }
    }
    *below = RUNS_NONE;
    *rest = RUNS_NONE;
}

/* Join two trees; all keys of the left one are below those of the right one. */
static uint32_t join(struct runs *runs, uint32_t left, uint32_t right)
{
    uint32_t root = RUNS_NONE;
    uint32_t *place = &root;
    while (left != RUNS_NONE && right != RUNS_NONE) {
        if (priority_of(left) > priority_of(right)) {
            *place = left;
            place = &runs->links[left].right;
            left = *place;
        } else {
            *place = right;
            place = &runs->links[right].left;
            right = *place;
        }
    }
    *place = left != RUNS_NONE ? left : right;
    return root;
}

static void tree_insert(struct runs *runs, enum runs_kind kind, uint32_t index)
{
    const uint64_t key = key_of(runs, index);
    uint32_t *place = &runs->roots[kind];
    while (*place != RUNS_NONE && priority_of(*place) >= priority_of(index))
        place = key_of(runs, *place) < key ? &runs->links[*place].right : &runs->links[*place].left;
    const uint32_t subtree = *place;
    *place = index;
    split(runs, subtree, key, &runs->links[index].left, &runs->links[index].right);
}

static void tree_remove(struct runs *runs, enum runs_kind kind, uint32_t index)
{
    const uint64_t key = key_of(runs, index);
    uint32_t *place = &runs->roots[kind];
    while (*place != index) {
        JDB_ASSERT(*place != RUNS_NONE);
        place = key_of(runs, *place) < key ? &runs->links[*place].right : &runs->links[*place].left;
    }
    *place = join(runs, runs->links[index].left, runs->links[index].right);
}

/* The extent with the least key that is `key` or more. */
static uint32_t tree_at_least(const struct runs *runs, enum runs_kind kind, uint64_t key)
{
    uint32_t found = RUNS_NONE;
    uint32_t node = runs->roots[kind];
    while (node != RUNS_NONE) {
        if (key_of(runs, node) < key) {
            node = runs->links[node].right;
        } else {
            found = node;
            node = runs->links[node].left;
        }
    }
    return found;
}

uint32_t jdb__runs_largest(const struct runs *runs, enum runs_kind kind)
{
    uint32_t node = runs->roots[kind];
    while (node != RUNS_NONE && runs->links[node].right != RUNS_NONE)
        node = runs->links[node].right;
    return node;
}

/* The extent with the greatest key below `key`. */
static uint32_t tree_below(const struct runs *runs, enum runs_kind kind, uint64_t key)
{
    uint32_t found = RUNS_NONE;
    uint32_t node = runs->roots[kind];
    while (node != RUNS_NONE) {
        if (key_of(runs, node) < key) {
            found = node;
            node = runs->links[node].right;
        } else {
            node = runs->links[node].left;
        }
    }
    return found;
}

/* Extents among which the highest is sought, and how much smaller than the largest they may be. */
#define HIGHEST_TRIES 32
#define HIGHEST_SHARE 16

uint32_t jdb__runs_highest(const struct runs *runs, enum runs_kind kind)
{
    uint32_t extent = jdb__runs_largest(runs, kind);
    uint32_t highest = extent;
    if (extent == RUNS_NONE)
        return RUNS_NONE;
    const uint32_t least = runs_pages_of(runs_word(runs, extent)) / HIGHEST_SHARE;
    for (unsigned tries = 1; tries < HIGHEST_TRIES; tries++) {
        extent = tree_below(runs, kind, key_of(runs, extent));
        if (extent == RUNS_NONE || runs_pages_of(runs_word(runs, extent)) < least)
            break;
        highest = extent > highest ? extent : highest;
    }
    return highest;
}

/* ---- Extents ---------------------------------------------------------------------------------------------- */

static void extent_insert(struct runs *runs, uint32_t index, uint32_t page_count, enum runs_kind kind)
{
    if (page_count > 1)
        runs_set_word(runs, index + page_count - 1, runs_make_word(RUNS_TAIL, (uint64_t)kind << 4, page_count));
    runs_set_word(runs, index, runs_make_word(RUNS_FREE, (uint64_t)kind << 4, page_count));
    set_head(runs, index);
    tree_insert(runs, kind, index);
    runs->free_pages[kind] += page_count;
}

static void extent_remove(struct runs *runs, uint32_t index)
{
    const uint64_t word = runs_word(runs, index);
    const uint32_t page_count = runs_pages_of(word);
    const enum runs_kind kind = runs_kind_of(word);
    JDB_ASSERT(runs_state_of(word) == RUNS_FREE);
    tree_remove(runs, kind, index);
    clear_head(runs, index);
    runs_set_word(runs, index + page_count - 1, 0);
    runs_set_word(runs, index, 0);
    runs->free_pages[kind] -= page_count;
}

void jdb__runs_init(struct runs *runs, _Atomic uint64_t *words, struct runs_link *links, void *heads_memory,
                    uint32_t page_count)
{
    JDB_ASSERT(page_count > 0 && page_count <= RUNS_PAGE_MAX);
    *runs = (struct runs){.words = words, .links = links, .page_count = page_count};
    _Atomic uint64_t *level_start = heads_memory;
    for (unsigned level = 0; level < RUNS_LEVELS; level++) {
        runs->heads[level] = level_start;
        level_start += level_words(page_count, level);
    }
    for (unsigned kind = 0; kind < RUNS_KIND_COUNT; kind++)
        runs->roots[kind] = RUNS_NONE;
    extent_insert(runs, 0, page_count, RUNS_RESERVED);
}

/* Where a run of page_count pages fits into an extent, or RUNS_NONE. */
static uint32_t place_in(uint32_t extent, uint32_t extent_pages, uint32_t page_count, uint32_t align_pages,
                         uint32_t phase)
{
    const uint64_t at = bits_round_up((uint64_t)extent + align_pages - phase, align_pages) + phase - align_pages;
    const uint64_t end = (uint64_t)extent + extent_pages;
    return at + page_count <= end ? (uint32_t)at : RUNS_NONE;
}

/* Extents that are looked at before one is taken that is sure to hold the alignment: bounds the search. */
#define ALIGNED_TRIES 8

uint32_t jdb__runs_find(const struct runs *runs, enum runs_kind kind, uint32_t page_count, uint32_t align_pages,
                        uint32_t phase, uint32_t *ret_at)
{
    uint64_t key = (uint64_t)page_count << 32;
    for (unsigned tries = 0; tries <= ALIGNED_TRIES; tries++) {
        const uint32_t extent = tree_at_least(runs, kind, key);
        if (extent == RUNS_NONE)
            return RUNS_NONE;
        const uint32_t extent_pages = runs_pages_of(runs_word(runs, extent));
        const uint32_t at = place_in(extent, extent_pages, page_count, align_pages, phase);
        if (at != RUNS_NONE) {
            *ret_at = at;
            return extent;
        }
        key = tries + 1 < ALIGNED_TRIES ? key_of(runs, extent) + 1 : ((uint64_t)page_count + align_pages - 1) << 32;
    }
    return RUNS_NONE;
}

uint32_t jdb__runs_find_in_largest(const struct runs *runs, enum runs_kind kind, uint32_t page_count,
                                   uint32_t align_pages, uint32_t phase, uint32_t *ret_at)
{
    const uint32_t extent = jdb__runs_largest(runs, kind);
    if (extent == RUNS_NONE)
        return RUNS_NONE;
    const uint32_t extent_pages = runs_pages_of(runs_word(runs, extent));
    const uint32_t at = place_in(extent, extent_pages, page_count, align_pages, phase);
    if (at == RUNS_NONE)
        return jdb__runs_find(runs, kind, page_count, align_pages, phase, ret_at);
    *ret_at = at;
    return extent;
}

void jdb__runs_take(struct runs *runs, uint32_t extent, uint32_t at, uint32_t page_count)
{
    const uint64_t word = runs_word(runs, extent);
    const enum runs_kind kind = runs_kind_of(word);
    const uint32_t end = extent + runs_pages_of(word);
    JDB_ASSERT(at >= extent && at + page_count <= end);
    extent_remove(runs, extent);
    if (at > extent)
        extent_insert(runs, extent, at - extent, kind);
    if (at + page_count < end)
        extent_insert(runs, at + page_count, end - (at + page_count), kind);
}

bool jdb__runs_extent_at(const struct runs *runs, uint32_t index, uint32_t *ret_page_count, enum runs_kind *ret_kind)
{
    if (index >= runs->page_count)
        return false;
    const uint64_t word = runs_word(runs, index);
    if (runs_state_of(word) != RUNS_FREE)
        return false;
    *ret_page_count = runs_pages_of(word);
    *ret_kind = runs_kind_of(word);
    return true;
}

void jdb__runs_start(struct runs *runs, uint32_t index, uint64_t word)
{
    runs_set_word(runs, index, word);
    set_head(runs, index);
}

void jdb__runs_end(struct runs *runs, uint32_t index)
{
    clear_head(runs, index);
    runs_set_word(runs, index, 0);
}

static bool is_dirty(enum runs_kind kind)
{
    return kind == RUNS_DIRTY_0 || kind == RUNS_DIRTY_1;
}

static bool kinds_join(enum runs_kind one, enum runs_kind other)
{
    return one == other || (is_dirty(one) && is_dirty(other));
}

/* First page of the extent that ends right before `index`, or RUNS_NONE. */
static uint32_t extent_before(const struct runs *runs, uint32_t index)
{
    if (index == 0)
        return RUNS_NONE;
    const uint64_t word = runs_word(runs, index - 1);
    if (runs_state_of(word) == RUNS_FREE)
        return index - 1;
    return runs_state_of(word) == RUNS_TAIL ? index - runs_pages_of(word) : RUNS_NONE;
}

void jdb__runs_give(struct runs *runs, uint32_t index, uint32_t page_count, enum runs_kind kind)
{
    const uint32_t before = extent_before(runs, index);
    if (before != RUNS_NONE && kinds_join(runs_kind_of(runs_word(runs, before)), kind)) {
        extent_remove(runs, before);
        page_count += index - before;
        index = before;
    }
    uint32_t next_pages = 0;
    enum runs_kind next_kind = kind;
    if (jdb__runs_extent_at(runs, index + page_count, &next_pages, &next_kind) && kinds_join(next_kind, kind)) {
        extent_remove(runs, index + page_count);
        page_count += next_pages;
    }
    extent_insert(runs, index, page_count, kind);
}

/* ---- Neighbouring extents --------------------------------------------------------------------------------- */

static bool is_readable(const struct runs *runs, uint32_t extent)
{
    return runs_kind_of(runs_word(runs, extent)) != RUNS_RESERVED;
}

/* End of the readable extents that follow each other from `extent` on; no further than `enough` pages need. */
static uint32_t readable_end(const struct runs *runs, uint32_t extent, uint32_t enough)
{
    uint32_t end = extent;
    uint32_t page_count = 0;
    enum runs_kind kind = RUNS_CLEAN;
    while (end - extent < enough && jdb__runs_extent_at(runs, end, &page_count, &kind) && kind != RUNS_RESERVED)
        end += page_count;
    return end;
}

/* The last place before `end` where the run fits, if it lies behind `begin`; or RUNS_NONE. */
static uint32_t last_place(uint32_t begin, uint32_t end, uint32_t page_count, uint32_t align_pages, uint32_t phase)
{
    if (end - begin < page_count)
        return RUNS_NONE;
    const uint64_t at = bits_round_down((uint64_t)(end - page_count) + align_pages - phase, align_pages) + phase;
    return at >= (uint64_t)begin + align_pages ? (uint32_t)(at - align_pages) : RUNS_NONE;
}

/* Where the run fits into the extent and its neighbours: it begins in the extent, or reaches back as little as it must. */
static uint32_t place_around(const struct runs *runs, uint32_t extent, uint32_t page_count, uint32_t align_pages,
                             uint32_t phase)
{
    const uint32_t end = readable_end(runs, extent, page_count + align_pages - 1);
    uint32_t at = place_in(extent, end - extent, page_count, align_pages, phase);
    while (at == RUNS_NONE) {
        extent = extent_before(runs, extent);
        if (extent == RUNS_NONE || !is_readable(runs, extent))
            return RUNS_NONE;
        at = last_place(extent, end, page_count, align_pages, phase);
    }
    return at;
}

/* Extents that are looked around, and how much of the run each must be. */
#define JOINED_TRIES 4
#define JOINED_SHARE 4

uint32_t jdb__runs_find_joined(const struct runs *runs, enum runs_kind kind, uint32_t page_count, uint32_t align_pages,
                               uint32_t phase, uint32_t *ret_at)
{
    uint32_t extent = jdb__runs_largest(runs, kind);
    for (unsigned tries = 0; tries < JOINED_TRIES && extent != RUNS_NONE; tries++) {
        if (runs_pages_of(runs_word(runs, extent)) < page_count / JOINED_SHARE)
            return RUNS_NONE;
        const uint32_t at = place_around(runs, extent, page_count, align_pages, phase);
        if (at != RUNS_NONE) {
            *ret_at = at;
            return jdb__runs_head_of(runs, at);
        }
        extent = tree_below(runs, kind, key_of(runs, extent));
    }
    return RUNS_NONE;
}

void jdb__runs_take_joined(struct runs *runs, uint32_t extent, uint32_t at, uint32_t page_count)
{
    const uint32_t end = at + page_count;
    while (at < end) {
        const uint32_t extent_end = extent + runs_pages_of(runs_word(runs, extent));
        const uint32_t part_end = extent_end < end ? extent_end : end;
        jdb__runs_take(runs, extent, at, part_end - at);
        extent = at = part_end;
    }
}

/* ---- Validity --------------------------------------------------------------------------------------------- */

static bool has_head(const struct runs *runs, uint32_t index)
{
    return (atomic_load_explicit(&runs->heads[0][index / 64], memory_order_relaxed) >> (index % 64) & 1) != 0;
}

static bool tree_holds(const struct runs *runs, enum runs_kind kind, uint32_t index)
{
    return tree_at_least(runs, kind, key_of(runs, index)) == index;
}

static uint64_t tree_pages(const struct runs *runs, uint32_t node)
{
    if (node == RUNS_NONE)
        return 0;
    return runs_pages_of(runs_word(runs, node)) + tree_pages(runs, runs->links[node].left) +
           tree_pages(runs, runs->links[node].right);
}

static bool extent_is_valid(const struct runs *runs, uint32_t index)
{
    const uint64_t word = runs_word(runs, index);
    const uint32_t page_count = runs_pages_of(word);
    const uint64_t tail = runs_word(runs, index + page_count - 1);
    uint32_t next_pages = 0;
    enum runs_kind next_kind = RUNS_RESERVED;
    const bool is_joined = !jdb__runs_extent_at(runs, index + page_count, &next_pages, &next_kind) ||
                           !kinds_join(next_kind, runs_kind_of(word));
    const bool is_ended = page_count == 1 || (runs_state_of(tail) == RUNS_TAIL && runs_pages_of(tail) == page_count);
    return is_joined && is_ended && tree_holds(runs, runs_kind_of(word), index);
}

static bool inside_is_valid(const struct runs *runs, uint32_t first, uint32_t end)
{
    for (uint32_t index = first; index < end; index++)
        if (has_head(runs, index) || runs_word(runs, index) != 0)
            return false;
    return true;
}

bool jdb__runs_is_valid(const struct runs *runs, uint32_t limit)
{
    uint32_t index = 0;
    while (index < limit) {
        const uint64_t word = runs_word(runs, index);
        const uint32_t page_count = runs_pages_of(word);
        const bool is_free = runs_state_of(word) == RUNS_FREE;
        if (page_count == 0 || !has_head(runs, index) || (is_free && !extent_is_valid(runs, index)))
            return false;
        const uint32_t end = index + page_count < limit ? index + page_count : limit;
        const uint32_t inside_end = is_free && page_count > 1 && end == index + page_count ? end - 1 : end;
        if (!inside_is_valid(runs, index + 1, inside_end))
            return false;
        index += page_count;
    }
    for (unsigned kind = 0; kind < RUNS_KIND_COUNT; kind++)
        if (tree_pages(runs, runs->roots[kind]) != runs->free_pages[kind])
            return false;
    return true;
}
