/* SPDX-License-Identifier: MIT
 *
 * extents_test.c - the bookkeeping of pages against a naive model, an array with what each page is: all short operation lists
 * over a zone of a few pages, and long random ones over a larger zone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "page/extents.h"

#include "must.h"
#include "random.h"
#include "tier.h"

#include <inttypes.h>
#include <string.h>

enum { PAGE_MAX = 4096 };

/* The model's word for a page of a run; a free page has its kind. */
#define IN_RUN EXTENT_KIND_COUNT

/* The real thing and its model; plain memory, so that a copy brings both back (the pointers inside stay right). */
static struct world {
    struct extents extents;
    _Atomic uint64_t words[PAGE_MAX];
    struct extent_link links[PAGE_MAX];
    _Atomic uint64_t heads[2 * PAGE_MAX / 64 + EXTENTS_LEVELS];
    uint32_t page_count;
    uint8_t page[PAGE_MAX];  /* a kind, or IN_RUN */
    bool is_first[PAGE_MAX]; /* a run begins here */
} world;

static void begin(uint32_t page_count)
{
    memset(&world, 0, sizeof world);
    MUST(page_count <= PAGE_MAX && jdb__extents_heads_size(page_count) <= sizeof world.heads);
    world.page_count = page_count;
    jdb__extents_init(&world.extents, world.words, world.links, world.heads, page_count);
}

/* ---- The model -------------------------------------------------------------------------------------------- */

static bool is_readable(uint32_t index)
{
    return index < world.page_count && world.page[index] != IN_RUN && world.page[index] != EXTENT_RESERVED;
}

/* End of the run or extent that begins at `first`. */
static uint32_t end_of(uint32_t first)
{
    uint32_t end = first + 1;
    while (end < world.page_count && world.page[end] == world.page[first] && !world.is_first[end])
        end++;
    return end;
}

static void model_take(uint32_t at, uint32_t page_count)
{
    for (uint32_t i = at; i < at + page_count; i++) {
        MUST(world.page[i] != IN_RUN);
        world.page[i] = IN_RUN;
    }
    world.is_first[at] = true;
}

static void model_give(uint32_t index, uint32_t page_count, enum extent_kind kind)
{
    world.is_first[index] = false;
    for (uint32_t i = index; i < index + page_count; i++)
        world.page[i] = (uint8_t)kind;
}

static uint32_t first_place(uint32_t first, uint32_t end, uint32_t page_count, uint32_t align, uint32_t phase)
{
    for (uint32_t at = first; at + page_count <= end; at++)
        if (at % align == phase)
            return at;
    return PAGE_NONE;
}

static uint32_t last_place(uint32_t first, uint32_t end, uint32_t page_count, uint32_t align, uint32_t phase)
{
    for (uint32_t at = end; at-- > first;)
        if (at + page_count <= end && at % align == phase)
            return at;
    return PAGE_NONE;
}

struct extent {
    uint32_t first;
    uint32_t page_count;
};

/* The extents of a kind, the largest first, of equals the highest first. */
static unsigned extents_of(enum extent_kind kind, struct extent *extents)
{
    unsigned count = 0;
    for (uint32_t first = 0; first < world.page_count; first = end_of(first)) {
        if (world.page[first] != kind)
            continue;
        const struct extent extent = {first, end_of(first) - first};
        unsigned at = count++;
        for (; at > 0 && extents[at - 1].page_count <= extent.page_count; at--)
            extents[at] = extents[at - 1];
        extents[at] = extent;
    }
    return count;
}

static struct extent extents[PAGE_MAX];

/* ---- Comparison ------------------------------------------------------------------------------------------- */

static void check_find(enum extent_kind kind, uint32_t page_count, uint32_t align, uint32_t phase)
{
    uint32_t at = 77;
    const uint32_t found = jdb__extents_find(&world.extents, kind, page_count, align, phase, &at);
    const unsigned count = extents_of(kind, extents);
    uint32_t best = PAGE_NONE;
    bool is_sure = false;
    for (unsigned i = 0; i < count; i++) {
        is_sure |= extents[i].page_count >= page_count + align - 1;
        if (extents[i].page_count >= page_count)
            best = extents[i].first;
    }
    if (found == PAGE_NONE) {
        MUST(at == 77 && !is_sure);
        return;
    }
    MUST(world.page[found] == kind && (found == 0 || world.page[found - 1] != kind || world.is_first[found]));
    MUST(at == first_place(found, end_of(found), page_count, align, phase));
    MUST(align > 1 || found == best);
}

static uint32_t joined_place(const struct extent *extent, uint32_t page_count, uint32_t align, uint32_t phase)
{
    uint32_t end = extent->first;
    while (is_readable(end) && end < extent->first + page_count + align - 1)
        end = end_of(end);
    uint32_t at = first_place(extent->first, end, page_count, align, phase);
    for (uint32_t first = extent->first; at == PAGE_NONE && first > 0 && is_readable(first - 1); first--)
        at = last_place(first - 1, end, page_count, align, phase);
    return at;
}

static uint32_t check_find_joined(uint32_t page_count, uint32_t align, uint32_t phase, uint32_t *ret_at)
{
    *ret_at = 77;
    const uint32_t found = jdb__extents_find_joined(&world.extents, page_count, align, phase, ret_at);
    const unsigned count = extents_of(EXTENT_DIRTY, extents);
    uint32_t at = PAGE_NONE;
    for (unsigned i = 0; i < count && i < 4 && at == PAGE_NONE && extents[i].page_count >= page_count / 4; i++)
        at = joined_place(&extents[i], page_count, align, phase);
    MUST((at == PAGE_NONE) == (found == PAGE_NONE) && *ret_at == (at == PAGE_NONE ? 77 : at));
    MUST(found == PAGE_NONE || (found <= at && at < end_of(found)));
    return found;
}

static void check_order(enum extent_kind kind)
{
    const unsigned count = extents_of(kind, extents);
    MUST(jdb__extents_largest(&world.extents, kind) == (count == 0 ? PAGE_NONE : extents[0].first));
    uint32_t highest = PAGE_NONE;
    for (unsigned i = 0; i < count && i < 32 && extents[i].page_count >= extents[0].page_count / 16; i++)
        highest = highest == PAGE_NONE || extents[i].first > highest ? extents[i].first : highest;
    MUST(jdb__extents_highest(&world.extents, kind) == highest);
    uint64_t pages = 0;
    for (unsigned i = 0; i < count; i++)
        pages += extents[i].page_count;
    MUST(world.extents.free_pages[kind] == pages);
    uint64_t key = UINT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        MUST(jdb__extents_below(&world.extents, kind, key) == extents[i].first);
        key = extents_key(&world.extents, extents[i].first);
    }
    MUST(jdb__extents_below(&world.extents, kind, key) == PAGE_NONE);
}

static void check_pages(void)
{
    for (uint32_t first = 0; first < world.page_count; first = end_of(first)) {
        const uint32_t end = end_of(first);
        const uint64_t word = extents_word(&world.extents, first);
        uint32_t page_count = 77;
        enum extent_kind kind = EXTENT_KIND_COUNT;
        MUST(word_pages(word) == end - first);
        MUST(word_state(word) == (world.page[first] == IN_RUN ? WORD_LENT : WORD_FREE));
        MUST(jdb__extents_at(&world.extents, first, &page_count, &kind) == (world.page[first] != IN_RUN));
        MUST(world.page[first] == IN_RUN ? page_count == 77 : page_count == end - first && kind == world.page[first]);
        for (uint32_t index = first; index < end; index++)
            MUST(jdb__extents_head_of(&world.extents, index) == first);
    }
}

static void check_world(void)
{
    MUST(jdb__extents_is_valid(&world.extents, world.page_count));
    check_pages();
    for (enum extent_kind kind = EXTENT_RESERVED; kind < EXTENT_KIND_COUNT; kind++)
        check_order(kind);
}

/* ---- Operations on both ----------------------------------------------------------------------------------- */

static void start_run(uint32_t at, uint32_t page_count)
{
    model_take(at, page_count);
    jdb__extents_start(&world.extents, at, word_make(WORD_LENT, 0, page_count));
}

static void take(uint32_t extent, uint32_t at, uint32_t page_count)
{
    jdb__extents_take(&world.extents, extent, at, page_count);
    start_run(at, page_count);
}

static void give(uint32_t run, enum extent_kind kind)
{
    const uint32_t page_count = end_of(run) - run;
    jdb__extents_end(&world.extents, run);
    jdb__extents_give(&world.extents, run, page_count, kind);
    model_give(run, page_count, kind);
}

/* What a purge or a commit does to an extent: it becomes of another kind. */
static void change(uint32_t extent, enum extent_kind kind)
{
    const uint32_t page_count = end_of(extent) - extent;
    jdb__extents_take(&world.extents, extent, extent, page_count);
    jdb__extents_give(&world.extents, extent, page_count, kind);
    model_give(extent, page_count, kind);
}

static bool take_joined(uint32_t page_count, uint32_t align, uint32_t phase)
{
    uint32_t at = 0;
    const uint32_t extent = check_find_joined(page_count, align, phase, &at);
    if (extent == PAGE_NONE)
        return false;
    jdb__extents_take_joined(&world.extents, extent, at, page_count);
    start_run(at, page_count);
    return true;
}

/* ---- All short lists -------------------------------------------------------------------------------------- */

static uint64_t list_count;

static void explore(unsigned depth);

/* Go on from here with one operation more, and come back. */
static void explore_next(const struct world *before, unsigned depth)
{
    check_world();
    explore(depth - 1);
    world = *before;
}

static void explore_extent(const struct world *before, uint32_t first, unsigned depth)
{
    const uint32_t end = end_of(first);
    for (uint32_t at = first; at < end; at++)
        for (uint32_t page_count = 1; at + page_count <= end; page_count++) {
            take(first, at, page_count);
            explore_next(before, depth);
        }
    for (enum extent_kind kind = EXTENT_CLEAN; kind < EXTENT_KIND_COUNT; kind++)
        if (kind != before->page[first]) {
            change(first, kind);
            explore_next(before, depth);
        }
}

/* What each search finds here; and a run taken across extents. */
static void explore_searches(const struct world *before)
{
    for (uint32_t page_count = 1; page_count <= world.page_count; page_count++)
        for (uint32_t align = 1; align <= 4; align *= 2)
            for (uint32_t phase = 0; phase < align; phase++) {
                for (enum extent_kind kind = EXTENT_RESERVED; kind < EXTENT_KIND_COUNT; kind++)
                    check_find(kind, page_count, align, phase);
                if (take_joined(page_count, align, phase)) {
                    check_world();
                    world = *before;
                }
            }
}

static void explore(unsigned depth)
{
    list_count++;
    struct world *const before = malloc(sizeof *before);
    MUST(before != NULL);
    *before = world;
    explore_searches(before);
    for (uint32_t first = 0; depth > 0 && first < world.page_count; first = end_of(first)) {
        if (world.page[first] != IN_RUN) {
            explore_extent(before, first, depth);
            continue;
        }
        for (enum extent_kind kind = EXTENT_RESERVED; kind < EXTENT_KIND_COUNT; kind++) {
            give(first, kind);
            explore_next(before, depth);
        }
    }
    free(before);
}

static void all_short_lists_agree_with_the_model(void **state)
{
    (void)state;
    begin(6);
    explore((unsigned)tier_pick(3, 4, 5));
    print_message("%" PRIu64 " lists of operations\n", list_count);
}

/* ---- Long random lists ------------------------------------------------------------------------------------ */

struct wish {
    enum extent_kind kind;
    uint32_t page_count;
    uint32_t align;
    uint32_t phase;
};

static struct wish random_wish(uint64_t *random)
{
    const uint32_t align = UINT32_C(1) << (random_below(random, 3) == 0 ? random_below(random, 7) : 0);
    return (struct wish){
        .kind = (enum extent_kind)random_below(random, EXTENT_KIND_COUNT),
        .page_count = (uint32_t)random_log_uniform(random, 1, 256),
        .align = align,
        .phase = (uint32_t)random_below(random, align),
    };
}

static void take_random(uint64_t *random)
{
    const struct wish wish = random_wish(random);
    uint32_t at = 0;
    check_find(wish.kind, wish.page_count, wish.align, wish.phase);
    const uint32_t extent = jdb__extents_find(&world.extents, wish.kind, wish.page_count, wish.align, wish.phase, &at);
    if (extent != PAGE_NONE)
        take(extent, at, wish.page_count);
}

static void take_random_joined(uint64_t *random)
{
    const struct wish wish = random_wish(random);
    if (wish.kind == EXTENT_DIRTY)
        take_joined(wish.page_count, wish.align, wish.phase);
}

/* Give back, or change, what a random page lies in. */
static void give_random(uint64_t *random)
{
    const uint32_t first = jdb__extents_head_of(&world.extents, (uint32_t)random_below(random, world.page_count));
    const enum extent_kind kind = (enum extent_kind)random_below(random, EXTENT_KIND_COUNT);
    if (world.page[first] == IN_RUN)
        give(first, kind);
    else if (random_below(random, 4) == 0)
        change(first, kind);
}

static void long_random_lists_agree_with_the_model(void **state)
{
    (void)state;
    uint64_t random = random_seed("extents");
    begin(PAGE_MAX - 3);
    const uint64_t steps = tier_pick(1500, 60000, 5000000);
    for (uint64_t step = 0; step < steps; step++) {
        const uint64_t choice = random_below(&random, 8);
        if (choice < 3)
            take_random(&random);
        else if (choice == 3)
            take_random_joined(&random);
        else
            give_random(&random);
        if (step % 8 == 0)
            check_world();
    }
    check_world();
}

/* ---- Depth ------------------------------------------------------------------------------------------------ */

static unsigned tree_depth(uint32_t node)
{
    if (node == PAGE_NONE)
        return 0;
    const unsigned left = tree_depth(world.extents.links[node].left);
    const unsigned right = tree_depth(world.extents.links[node].right);
    return 1 + (left > right ? left : right);
}

/* 2,048 extents of one page that come in the order of their keys: 11 levels at best, 2,048 in a list. */
static void a_search_takes_few_steps(void **state)
{
    (void)state;
    begin(PAGE_MAX);
    jdb__extents_take(&world.extents, 0, 0, PAGE_MAX);
    for (uint32_t index = 0; index < PAGE_MAX; index += 2)
        jdb__extents_give(&world.extents, index, 1, EXTENT_DIRTY);
    const unsigned depth = tree_depth(world.extents.trees[EXTENT_DIRTY].roots[extents_rank(1)]);
    print_message("%u levels\n", depth);
    assert_true(depth >= 11 && depth <= 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_short_lists_agree_with_the_model),
        cmocka_unit_test(long_random_lists_agree_with_the_model),
        cmocka_unit_test(a_search_takes_few_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
