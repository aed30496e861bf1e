/* SPDX-License-Identifier: MIT
 *
 * extents_check.c - the invariants of extents.h by a walk: for the checked build and for tests.
 */
#include "page/extents.h"

#include "base/bits.h"

#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)

/* P1. */
static bool check_head(const struct extents *extents, uint32_t index)
{
    return (atomic_load_explicit(&extents->heads[0][index / 64], memory_order_relaxed) >> (index % 64) & 1) != 0;
}

/* P4: the search for an extent's size and index, from the root of its kind, ends at the extent. */
static bool check_tree_holds(const struct extents *extents, enum extent_kind kind, uint32_t index)
{
    const uint32_t page_count = extents_pages(extents, index);
    uint32_t node = extents->trees[kind].roots[extents_rank(page_count)];
    while (node != PAGE_NONE && node != index) {
        const uint32_t pages = extents_pages(extents, node);
        const bool is_below = pages < page_count || (pages == page_count && node < index);
        node = is_below ? extents->links[node].right : extents->links[node].left;
    }
    return node == index;
}

/* P5. */
static uint64_t check_tree_pages(const struct extents *extents, uint32_t node)
{
    if (node == PAGE_NONE)
        return 0;
    return extents_pages(extents, node) + check_tree_pages(extents, extents->links[node].left) +
           check_tree_pages(extents, extents->links[node].right);
}

static uint64_t check_kind_pages(const struct extents *extents, enum extent_kind kind)
{
    uint64_t pages = 0;
    for (unsigned rank = 0; rank < EXTENTS_RANKS; rank++)
        pages += check_tree_pages(extents, extents->trees[kind].roots[rank]);
    return pages;
}

/* P2, P3, P4. */
static bool check_extent(const struct extents *extents, uint32_t index)
{
    const uint64_t word = extents_word(extents, index);
    const uint32_t page_count = word_pages(word);
    const uint64_t tail = extents_word(extents, index + page_count - 1);
    uint32_t next_pages = 0;
    enum extent_kind next_kind = EXTENT_RESERVED;
    const bool is_apart =
        !jdb__extents_at(extents, index + page_count, &next_pages, &next_kind) || next_kind != word_kind(word);
    const bool is_ended = page_count == 1 || (word_state(tail) == WORD_TAIL && word_pages(tail) == page_count);
    return is_apart && is_ended && check_tree_holds(extents, word_kind(word), index);
}

/* P1, P2. */
static bool check_inside(const struct extents *extents, uint32_t first, uint32_t end)
{
    for (uint32_t index = first; index < end; index++)
        if (check_head(extents, index) || extents_word(extents, index) != 0)
            return false;
    return true;
}

bool jdb__extents_is_valid(const struct extents *extents, uint32_t limit)
{
    uint32_t index = 0;
    while (index < limit) {
        const uint64_t word = extents_word(extents, index);
        const uint32_t page_count = word_pages(word);
        const bool is_free = word_state(word) == WORD_FREE;
        if (page_count == 0 || !check_head(extents, index) || (is_free && !check_extent(extents, index)))
            return false;
        const uint32_t end = (uint32_t)bits_min(index + page_count, limit);
        const uint32_t inside_end = is_free && page_count > 1 && end == index + page_count ? end - 1 : end;
        if (!check_inside(extents, index + 1, inside_end))
            return false;
        index += page_count;
    }
    for (enum extent_kind kind = 0; kind < EXTENT_KIND_COUNT; kind++)
        if (check_kind_pages(extents, kind) != extents->free_pages[kind])
            return false;
    return true;
}

#endif
