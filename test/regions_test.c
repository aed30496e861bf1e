/* SPDX-License-Identifier: MIT
 *
 * regions_test.c - the register of arena regions: found from any address, pinned frame by frame, unknown in children.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "pin/regions.h"
#include "tier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((uint64_t)4096)
#define MIB2 ((uint64_t)1 << 21)
#define GIB16 ((uint64_t)1 << 34)

/* The register never touches the memory, so addresses need not be mapped; these lie below the program. */
static uint8_t *const low = (uint8_t *)0x100000000000;

static void region_init(struct region *region, uint8_t *base, uint64_t span, uint64_t stride, uint64_t mark)
{
    *region = (struct region){.base = base, .span = span, .stride = stride, .fork_mark = mark};
    if ((stride & (stride - 1)) == 0)
        region->stride_shift = (uint32_t)__builtin_ctzll(stride);
    atomic_init(&region->frame_count, (uint32_t)(span / stride));
    assert_int_equal(jdb__pins_reserve(&region->pins, region->frame_count), 0);
    assert_int_equal(jdb__pins_commit(&region->pins, region->frame_count), 0);
    lock_init(&region->lock, LOCK_ARENA, mark == 0);
}

static void region_done(struct region *region)
{
    lock_destroy(&region->lock);
    jdb__pins_release(&region->pins);
}

static void every_size_is_found_at_its_edges_and_nowhere_else(void **state)
{
    (void)state;
    static const uint64_t spans[] = {PAGE,     3 * PAGE, MIB2,         MIB2 + PAGE,
                                     5 * MIB2, GIB16,    GIB16 + MIB2, 3 * GIB16 + PAGE};
    static const uint64_t offsets[] = {0, PAGE, MIB2 - PAGE, MIB2, GIB16 - PAGE, GIB16, GIB16 + MIB2 + PAGE};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        for (size_t j = 0; j < sizeof offsets / sizeof offsets[0]; j++) {
            struct region region;
            uint8_t *const base = low + offsets[j];
            region_init(&region, base, spans[i], PAGE, jdb__fork_mark());
            assert_false(jdb__regions_has(base));
            assert_int_equal(jdb__regions_add(&region), 0);
            assert_true(jdb__regions_has(base));
            assert_true(jdb__regions_has(base + spans[i] / 2));
            assert_true(jdb__regions_has(base + spans[i] - 1));
            assert_false(jdb__regions_has(base - 1));
            assert_false(jdb__regions_has(base + spans[i]));
            jdb__regions_remove(&region);
            assert_false(jdb__regions_has(base));
            assert_false(jdb__regions_has(base + spans[i] - 1));
            region_done(&region);
        }
}

static void overlap_is_refused_and_harms_nobody(void **state)
{
    (void)state;
    struct region first, second, beyond;
    region_init(&first, low + MIB2, MIB2, PAGE, jdb__fork_mark());
    region_init(&second, low, MIB2 + PAGE, PAGE, jdb__fork_mark());
    assert_int_equal(jdb__regions_add(&first), 0);
    assert_int_equal(jdb__regions_add(&second), -EINVAL);
    assert_false(jdb__regions_has(low));
    assert_true(jdb__regions_has(low + MIB2));
    second.span = MIB2;
    atomic_store(&second.frame_count, (uint32_t)(MIB2 / PAGE));
    assert_int_equal(jdb__regions_add(&second), 0);
    jdb__regions_remove(&second);
    assert_true(jdb__regions_has(low + MIB2));
    jdb__regions_remove(&first);
    region_init(&beyond, (uint8_t *)0x1000000000000, PAGE, PAGE, jdb__fork_mark());
    assert_int_equal(jdb__regions_add(&beyond), -EINVAL);
    assert_false(jdb__regions_has(beyond.base));
    region_done(&first);
    region_done(&second);
    region_done(&beyond);
}

/* Random regions against a map of pages. */
static void register_agrees_with_a_naive_map(void **state)
{
    (void)state;
    enum { PAGES = 4 * 512, SLOTS = 32 };
    static int owner[PAGES];
    static struct region regions[SLOTS];
    static bool used[SLOTS];
    uint8_t *const start = low + 7 * GIB16 - 2 * MIB2; /* straddles entries of the first level */
    unsigned seed = 1;
    memset(owner, -1, sizeof owner);
    for (int round = 0; round < 4000; round++) {
        const int slot = rand_r(&seed) % SLOTS;
        if (used[slot]) {
            jdb__regions_remove(&regions[slot]);
            for (int page = 0; page < PAGES; page++)
                owner[page] = owner[page] == slot ? -1 : owner[page];
            region_done(&regions[slot]);
            used[slot] = false;
        } else {
            const int first = rand_r(&seed) % PAGES;
            const int most = rand_r(&seed) % 4 == 0 ? PAGES : 64;
            const int count = 1 + rand_r(&seed) % (most < PAGES - first ? most : PAGES - first);
            bool is_free = true;
            for (int page = first; page < first + count; page++)
                is_free = is_free && owner[page] == -1;
            region_init(&regions[slot], start + (uint64_t)first * PAGE, (uint64_t)count * PAGE, PAGE, jdb__fork_mark());
            assert_int_equal(jdb__regions_add(&regions[slot]), is_free ? 0 : -EINVAL);
            if (!is_free) {
                region_done(&regions[slot]);
                continue;
            }
            used[slot] = true;
            for (int page = first; page < first + count; page++)
                owner[page] = slot;
        }
        for (int i = 0; i < 50; i++) {
            const int page = rand_r(&seed) % PAGES;
            assert_true(jdb__regions_has(start + (uint64_t)page * PAGE) == (owner[page] >= 0));
        }
    }
    for (int slot = 0; slot < SLOTS; slot++)
        if (used[slot]) {
            jdb__regions_remove(&regions[slot]);
            region_done(&regions[slot]);
        }
}

static void pins_count_for_each_frame_of_the_range(void **state)
{
    (void)state;
    struct region region;
    region_init(&region, low, MIB2, 3 * PAGE / 2, jdb__fork_mark()); /* 6,144 bytes: no power of two */
    const uint64_t stride = region.stride;
    assert_int_equal(jdb__regions_add(&region), 0);
    assert_int_equal(jdb_pin(low + stride + 1, 2 * stride), 0); /* frames 1, 2, 3 */
    assert_false(jdb_is_pinned(low, stride));
    for (uint64_t i = 1; i <= 3; i++)
        assert_true(jdb_is_pinned(low + i * stride, 1));
    assert_false(jdb_is_pinned(low + 4 * stride, 1));
    assert_int_equal(jdb__pins_count(&region.pins, region.frame_count), 3);
    assert_int_equal(jdb_pin(low + 2 * stride, 1), 0);
    assert_int_equal(jdb_unpin(low + stride + 1, 2 * stride), 0);
    assert_int_equal(jdb__pins_count(&region.pins, region.frame_count), 1);
    assert_int_equal(jdb_unpin(low + stride, 2 * stride), -EINVAL);     /* frame 1 is not pinned */
    assert_int_equal(jdb_unpin(low + 2 * stride, 2 * stride), -EINVAL); /* frame 3 is not: frame 2 keeps its pin */
    assert_true(jdb_is_pinned(low + 2 * stride, 1));
    assert_int_equal(jdb_unpin(low + 2 * stride, 1), 0);
    assert_int_equal(jdb_unpin(low + 2 * stride, 1), -EINVAL);

    const uint64_t usable = region.frame_count * stride;
    assert_int_equal(jdb_pin(low + usable - 1, 1), 0);
    assert_int_equal(jdb_unpin(low + usable - 1, 1), 0);
    assert_int_equal(jdb_pin(low + usable - 1, 2), -ERANGE);
    assert_int_equal(jdb_pin(low, SIZE_MAX), -ERANGE);
    assert_int_equal(jdb_pin(low + usable, 1), -ERANGE);
    assert_int_equal(jdb_pin(low - 1, 1), -ENOTSUP);
    assert_int_equal(jdb_pin(low, 0), -EINVAL);
    assert_int_equal(jdb__pins_count(&region.pins, region.frame_count), 0);
    jdb__regions_remove(&region);
    assert_int_equal(jdb_pin(low, 1), -ENOTSUP);
    region_done(&region);
}

static void blocked_frames_and_pinned_frames_exclude_each_other(void **state)
{
    (void)state;
    struct region region;
    region_init(&region, low, 8 * PAGE, PAGE, jdb__fork_mark());
    assert_int_equal(jdb__regions_add(&region), 0);
    assert_int_equal(jdb_pin(low + 3 * PAGE, 1), 0);
    assert_int_equal(jdb__pins_block(&region.pins, 1, 4), -EBUSY);
    assert_int_equal(jdb_pin(low + PAGE, 2 * PAGE), 0); /* nothing stayed blocked */
    assert_int_equal(jdb_unpin(low + PAGE, 2 * PAGE), 0);
    assert_int_equal(jdb__pins_block(&region.pins, 4, 4), 0);
    assert_int_equal(jdb_pin(low + 2 * PAGE, 3 * PAGE), -EBUSY);
    assert_false(jdb_is_pinned(low + 2 * PAGE, 1)); /* rolled back */
    assert_int_equal(jdb_unpin(low + 4 * PAGE, 1), -EINVAL);
    assert_int_equal(jdb__pins_block(&region.pins, 7, 1), -EBUSY);
    jdb__pins_unblock(&region.pins, 4, 4);
    assert_int_equal(jdb_pin(low + 4 * PAGE, 1), 0);
    assert_int_equal(jdb_unpin(low + 4 * PAGE, 1), 0);

    atomic_store(pins_of(&region.pins, 0), PINS_MAX); /* the most pins there can be */
    assert_int_equal(jdb_pin(low, 1), -EBUSY);
    assert_int_equal(atomic_load(pins_of(&region.pins, 0)), PINS_MAX);
    atomic_store(pins_of(&region.pins, 0), 0);
    assert_int_equal(jdb_unpin(low + 3 * PAGE, 1), 0);
    jdb__regions_remove(&region);
    region_done(&region);
}

static void no_memory_leaves_nothing_registered(void **state)
{
    (void)state;
    struct region region;
    region_init(&region, low + 9 * GIB16 - PAGE, GIB16 + 2 * PAGE, PAGE, jdb__fork_mark());
    unsigned n = 0;
    for (;; n++) {
        faults_arm(FAULTS_ANY, n, -ENOMEM);
        const int err = jdb__regions_add(&region);
        const bool failed = faults_disarm();
        assert_int_equal(err, failed ? -ENOMEM : 0);
        if (!failed)
            break;
        assert_false(jdb__regions_has(region.base));
        assert_false(jdb__regions_has(region.base + PAGE));
        assert_false(jdb__regions_has(region.base + region.span - 1));
    }
    assert_in_range(n, 2, 4); /* tables under two entries of the first level, and one under each of these */
    jdb__regions_remove(&region);
    region_done(&region);
}

/* What a child of fork() sees of a region: its exit status. */
static int in_child(int (*look)(struct region *), struct region *region)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(look(region));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int look_as_stranger(struct region *region)
{
    if (jdb_pin(low, 1) != -EPERM || jdb_unpin(low, 1) != -EPERM || jdb_is_pinned(low, 1) || jdb__regions_has(low))
        return 1;
    struct region own; /* the child may have an arena of its own at these addresses */
    region_init(&own, region->base, region->span, region->stride, jdb__fork_mark());
    if (jdb__regions_add(&own) != 0 || jdb_pin(low, 1) != 0 || jdb_unpin(low, 1) != 0)
        return 2;
    jdb__regions_remove(&own);
    region_done(&own);
    return jdb_pin(low, 1) == -ENOTSUP ? 0 : 3;
}

static int look_as_heir(struct region *region)
{
    (void)region;
    return jdb_pin(low, 1) == 0 && jdb_unpin(low, 1) == 0 ? 0 : 1;
}

static void a_child_is_refused_unless_the_memory_is_kept(void **state)
{
    (void)state;
    struct region region;
    region_init(&region, low, MIB2, PAGE, jdb__fork_mark());
    assert_int_equal(jdb__regions_add(&region), 0);
    assert_int_equal(in_child(look_as_stranger, &region), 0);
    assert_int_equal(jdb_pin(low, 1), 0);
    assert_int_equal(jdb_unpin(low, 1), 0);
    jdb__regions_remove(&region);
    region.fork_mark = 0;
    assert_int_equal(jdb__regions_add(&region), 0);
    assert_int_equal(in_child(look_as_heir, &region), 0);
    jdb__regions_remove(&region);
    assert_int_equal(in_child(look_as_heir, &region), 1);
    region_done(&region);
}

static atomic_bool stop;

static void *add_and_remove(void *context)
{
    struct region *const region = context;
    while (!atomic_load(&stop)) {
        if (jdb__regions_add(region) != 0)
            return region;
        jdb__regions_remove(region);
    }
    return NULL;
}

static void pins_go_on_while_neighbours_come_and_go(void **state)
{
    (void)state;
    struct region mine, other;
    region_init(&mine, low, 16 * PAGE, PAGE, jdb__fork_mark());
    region_init(&other, low + 16 * PAGE, 3 * MIB2, PAGE, jdb__fork_mark());
    assert_int_equal(jdb__regions_add(&mine), 0);
    pthread_t thread;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, add_and_remove, &other), 0);
    for (int i = 0; i < 200000; i++) {
        uint8_t *const ptr = low + (uint64_t)(i % 15) * PAGE;
        assert_int_equal(jdb_pin(ptr, 2 * PAGE), 0);
        assert_int_equal(jdb_unpin(ptr, 2 * PAGE), 0);
    }
    atomic_store(&stop, true);
    void *failed = NULL;
    pthread_join(thread, &failed);
    assert_null(failed);
    jdb__regions_remove(&mine);
    region_done(&mine);
    region_done(&other);
}

/* ---- Unpins that nobody is owed --------------------------------------------------------------------------- */

static void *unpin_in_vain(void *context)
{
    while (!atomic_load(&stop))
        jdb_unpin(context, 2 * PAGE); /* frames 0 and 1 */
    return NULL;
}

static void *unpin_one_in_vain(void *context)
{
    while (!atomic_load(&stop))
        pins_decrement(context);
    return NULL;
}

static void *pin_and_unpin(void *context)
{
    while (!atomic_load(&stop))
        if (pins_increment(context) == 0)
            pins_decrement(context);
    return NULL;
}

/* A pin that is refused while the frame is blocked, an unblocking and an unpin too many, in every order. */
static void an_unpin_too_many_leaves_no_frame_pinned(void **state)
{
    (void)state;
    struct region region;
    pthread_t threads[4];
    region_init(&region, low, 16 * PAGE, PAGE, jdb__fork_mark());
    void *const pins = (void *)pins_of(&region.pins, 0);
    atomic_store(&stop, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? pin_and_unpin : unpin_one_in_vain, pins), 0);
    for (uint64_t i = 0; i < tier_pick(10000000, 20000000, 200000000); i++)
        if (jdb__pins_block(&region.pins, 0, 1) == 0)
            jdb__pins_unblock(&region.pins, 0, 1);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    while (pins_decrement(pins) == 0) /* of a pin that outlived its unpin */
        continue;
    assert_int_equal(atomic_load(pins_of(&region.pins, 0)), 0);
    assert_int_equal(pins_increment(pins), 0);
    assert_int_equal(pins_decrement(pins), 0);
    region_done(&region);
}

static void a_refused_pin_changes_no_count(void **state)
{
    (void)state;
    static const uint32_t counts[] = {PINS_BLOCKED, PINS_BLOCKED + 1, PINS_MAX, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        _Atomic uint32_t count = counts[i];
        assert_int_equal(pins_increment(&count), -EBUSY);
        assert_int_equal(atomic_load(&count), counts[i]);
    }
    _Atomic uint32_t count = PINS_MAX - 1;
    assert_int_equal(pins_increment(&count), 0);
    assert_int_equal(atomic_load(&count), PINS_MAX);
}

static void an_unpin_of_more_than_is_pinned_gives_nothing_up(void **state)
{
    (void)state;
    struct region region;
    pthread_t thread;
    uint64_t blocked = 0;
    region_init(&region, low, 16 * PAGE, PAGE, jdb__fork_mark());
    assert_int_equal(jdb__regions_add(&region), 0);
    assert_int_equal(jdb_pin(low, 1), 0);
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, unpin_in_vain, low), 0);
    for (uint64_t i = 0; i < tier_pick(200000, 2000000, 20000000); i++)
        if (jdb__pins_block(&region.pins, 0, 1) == 0) {
            blocked++;
            jdb__pins_unblock(&region.pins, 0, 1);
        }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(blocked, 0); /* else its memory had been given back under the kernel */
    assert_int_equal(jdb_unpin(low, 1), 0);
    jdb__regions_remove(&region);
    region_done(&region);
}

/* ---- Where the counters are ------------------------------------------------------------------------------- */

static void neighbours_have_counters_in_other_cache_lines(void **state)
{
    (void)state;
    static bool is_taken[4096];
    memset(is_taken, 0, sizeof is_taken);
    for (uint32_t i = 0; i < 4096; i++) {
        assert_in_range(pins_place(i), 0, 4095);
        assert_false(is_taken[pins_place(i)]);
        is_taken[pins_place(i)] = true;
        for (uint32_t other = i + 1; other < i + 16; other++)
            assert_int_not_equal(pins_place(i) * sizeof(uint32_t) / 64, pins_place(other) * sizeof(uint32_t) / 64);
    }
}

/* Of more frames than could be looked at one by one. */
static void pins_are_counted_where_frames_were_pinned(void **state)
{
    (void)state;
    struct frame_pins pins;
    static const uint32_t pinned[] = {0, 1, 1023, 1024, 5000000, UINT32_MAX - 1};
    assert_int_equal(jdb__pins_reserve(&pins, UINT32_MAX), 0);
    assert_int_equal(jdb__pins_commit(&pins, UINT32_MAX), 0);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(jdb__pins_count(&pins, UINT32_MAX), i);
        assert_int_equal(jdb__pins_add(&pins, pinned[i], pinned[i]), 0);
        assert_true(pins_has(&pins, pinned[i]));
    }
    assert_int_equal(jdb__pins_count(&pins, UINT32_MAX), 6);
    assert_int_equal(jdb__pins_count(&pins, UINT32_MAX - 1), 5);
    assert_int_equal(jdb__pins_count(&pins, 1024), 3);
    assert_int_equal(jdb__pins_count(&pins, 0), 0);
    jdb__pins_forget(&pins, UINT32_MAX);
    assert_int_equal(jdb__pins_count(&pins, UINT32_MAX), 0);
    jdb__pins_release(&pins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_have_counters_in_other_cache_lines),
        cmocka_unit_test(pins_are_counted_where_frames_were_pinned),
        cmocka_unit_test(every_size_is_found_at_its_edges_and_nowhere_else),
        cmocka_unit_test(overlap_is_refused_and_harms_nobody),
        cmocka_unit_test(register_agrees_with_a_naive_map),
        cmocka_unit_test(pins_count_for_each_frame_of_the_range),
        cmocka_unit_test(blocked_frames_and_pinned_frames_exclude_each_other),
        cmocka_unit_test(no_memory_leaves_nothing_registered),
        cmocka_unit_test(a_child_is_refused_unless_the_memory_is_kept),
        cmocka_unit_test(pins_go_on_while_neighbours_come_and_go),
        cmocka_unit_test(an_unpin_too_many_leaves_no_frame_pinned),
        cmocka_unit_test(a_refused_pin_changes_no_count),
        cmocka_unit_test(an_unpin_of_more_than_is_pinned_gives_nothing_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
