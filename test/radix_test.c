/* SPDX-License-Identifier: MIT
 *
 * radix_test.c - from an address to its object: random additions and removals against a list of ranges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/radix.h"
#include "random.h"
#include "tier.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((uint64_t)4096)
#define MIB2 ((uint64_t)1 << 21)
#define GIB16 ((uint64_t)1 << 34)
#define ADDRESS_END ((uint64_t)1 << 48)
#define RANGE_COUNT 24

static unsigned tables;        /* that are allocated */
static unsigned allowed = ~0u; /* allocations that still work */

static int count_alloc(size_t size, void **ret_ptr)
{
    if (allowed == 0)
        return -ENOMEM;
    allowed--;
    *ret_ptr = calloc(1, size);
    tables++;
    return *ret_ptr == NULL ? -ENOMEM : 0;
}

static void count_free(void *ptr)
{
    tables--;
    free(ptr);
}

static const struct radix_memory memory = {count_alloc, count_free};

/* An object of the model: where it lies, and whether it is entered. */
struct object {
    uint64_t start;
    uint64_t size;
    bool is_entered;
    bool is_gone;
};

static struct radix radix;
static struct object objects[RANGE_COUNT];

static struct radix_range range_of(const struct object *object)
{
    return (struct radix_range){(const void *)(uintptr_t)object->start, object->size};
}

static struct object *model_find(uint64_t address)
{
    for (size_t i = 0; i < RANGE_COUNT; i++)
        if (objects[i].is_entered && address >= objects[i].start && address - objects[i].start < objects[i].size)
            return &objects[i];
    return NULL;
}

static bool overlaps(const struct object *a, const struct object *b)
{
    return a->start < b->start + b->size && b->start < a->start + a->size;
}

static bool model_is_taken(const struct object *object)
{
    for (size_t i = 0; i < RANGE_COUNT; i++)
        if (objects[i].is_entered && !objects[i].is_gone && overlaps(object, &objects[i]))
            return true;
    return false;
}

/* Sizes and places of all levels, near each other, so that they meet. */
static void place(struct object *object, uint64_t *seed)
{
    static const uint64_t units[] = {PAGE, MIB2, GIB16};
    const uint64_t unit = units[random_below(seed, 3)];
    object->size = (1 + random_below(seed, 4)) * unit;
    object->start = random_below(seed, 4) * units[random_below(seed, 3)] + random_below(seed, 3) * PAGE;
    if (random_below(seed, 4) == 0)
        object->size += PAGE;
    object->is_gone = false;
}

static void check_edges(const struct object *object)
{
    const uint64_t places[] = {object->start, object->start + object->size / 2, object->start + object->size - 1,
                               object->start - 1, object->start + object->size};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        assert_ptr_equal(jdb__radix_find(&radix, (const void *)(uintptr_t)places[i]), model_find(places[i]));
}

static void random_ranges_are_found_as_in_a_list(void **state)
{
    (void)state;
    uint64_t seed = random_seed("radix");
    for (uint64_t step = 0; step < tier_pick(3000, 30000, 1000000); step++) {
        struct object *const object = &objects[random_below(&seed, RANGE_COUNT)];
        if (object->is_entered) {
            jdb__radix_remove(&radix, range_of(object));
            object->is_entered = false;
        } else {
            place(object, &seed);
            const int err = jdb__radix_add(&radix, range_of(object), object, NULL, &memory);
            assert_int_equal(err, model_is_taken(object) ? -EEXIST : 0);
            object->is_entered = err == 0;
        }
        check_edges(object);
    }
    jdb__radix_free(&radix, &memory);
    assert_int_equal(tables, 0);
    for (size_t i = 0; i < RANGE_COUNT; i++) {
        assert_null(jdb__radix_find(&radix, (const void *)(uintptr_t)objects[i].start));
        objects[i].is_entered = false;
    }
}

static bool is_gone(const void *object)
{
    return ((const struct object *)object)->is_gone;
}

static void objects_that_are_gone_give_way(void **state)
{
    (void)state;
    static struct object old = {.start = GIB16, .size = GIB16};
    static struct object new = {.start = GIB16 + MIB2, .size = 3 * PAGE};
    assert_int_equal(jdb__radix_add(&radix, range_of(&old), &old, NULL, &memory), 0);
    assert_int_equal(jdb__radix_add(&radix, range_of(&new), &new, is_gone, &memory), -EEXIST);
    assert_ptr_equal(jdb__radix_find(&radix, (const void *)(uintptr_t) new.start), &old);
    old.is_gone = true;
    assert_int_equal(jdb__radix_add(&radix, range_of(&new), &new, NULL, &memory), -EEXIST);
    assert_int_equal(jdb__radix_add(&radix, range_of(&new), &new, is_gone, &memory), 0);
    assert_ptr_equal(jdb__radix_find(&radix, (const void *)(uintptr_t) new.start), &new);
    jdb__radix_free(&radix, &memory);
}

static void no_memory_changes_nothing(void **state)
{
    (void)state;
    static struct object object = {.start = GIB16 - PAGE, .size = 2 * PAGE}; /* four tables */
    for (unsigned works = 0; works < 4; works++) {
        allowed = works;
        assert_int_equal(jdb__radix_add(&radix, range_of(&object), &object, NULL, &memory), -ENOMEM);
        assert_null(jdb__radix_find(&radix, (const void *)(uintptr_t)object.start));
        assert_null(jdb__radix_find(&radix, (const void *)(uintptr_t)(object.start + PAGE)));
        jdb__radix_free(&radix, &memory);
        assert_int_equal(tables, 0);
    }
    allowed = ~0u;
    assert_int_equal(jdb__radix_add(&radix, range_of(&object), &object, NULL, &memory), 0);
    assert_int_equal(tables, 4);
    jdb__radix_free(&radix, &memory);
}

static void addresses_end_at_48_bits(void **state)
{
    (void)state;
    static struct object last = {.start = ADDRESS_END - PAGE, .size = PAGE};
    static struct object past = {.start = ADDRESS_END - PAGE, .size = 2 * PAGE};
    static struct object above = {.start = ADDRESS_END, .size = PAGE};
    assert_int_equal(jdb__radix_add(&radix, range_of(&past), &past, NULL, &memory), -ERANGE);
    assert_int_equal(jdb__radix_add(&radix, range_of(&above), &above, NULL, &memory), -ERANGE);
    assert_int_equal(jdb__radix_add(&radix, range_of(&last), &last, NULL, &memory), 0);
    assert_ptr_equal(jdb__radix_find(&radix, (const void *)(uintptr_t)(ADDRESS_END - 1)), &last);
    assert_null(jdb__radix_find(&radix, (const void *)(uintptr_t)ADDRESS_END));
    assert_null(jdb__radix_find(&radix, (const void *)UINTPTR_MAX));
    jdb__radix_free(&radix, &memory);
}

static void large_ranges_cost_few_tables(void **state)
{
    (void)state;
    static struct object tebibyte = {.start = GIB16 * 64, .size = GIB16 * 64};
    assert_int_equal(jdb__radix_add(&radix, range_of(&tebibyte), &tebibyte, NULL, &memory), 0);
    assert_int_equal(tables, 0);
    assert_ptr_equal(jdb__radix_find(&radix, (const void *)(uintptr_t)(tebibyte.start + MIB2 + 1)), &tebibyte);
    jdb__radix_free(&radix, &memory);
}

static atomic_bool is_over;

static void *look_up(void *argument)
{
    const struct object *const object = argument;
    while (!atomic_load(&is_over))
        if (jdb__radix_find(&radix, (const void *)(uintptr_t)(object->start + PAGE)) != object)
            return argument;
    return NULL;
}

static void readers_need_no_lock(void **state)
{
    (void)state;
    static struct object stays = {.start = MIB2, .size = 4 * PAGE};
    static struct object comes = {.start = MIB2 + 4 * PAGE, .size = GIB16};
    pthread_t reader;
    void *wrong = NULL;
    atomic_store(&is_over, false);
    assert_int_equal(jdb__radix_add(&radix, range_of(&stays), &stays, NULL, &memory), 0);
    assert_int_equal(pthread_create(&reader, NULL, look_up, &stays), 0);
    for (uint64_t i = 0; i < tier_pick(2000, 20000, 200000); i++) {
        assert_int_equal(jdb__radix_add(&radix, range_of(&comes), &comes, NULL, &memory), 0);
        jdb__radix_remove(&radix, range_of(&comes));
    }
    atomic_store(&is_over, true);
    pthread_join(reader, &wrong);
    assert_null(wrong);
    jdb__radix_free(&radix, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_ranges_are_found_as_in_a_list),
        cmocka_unit_test(objects_that_are_gone_give_way),
        cmocka_unit_test(no_memory_changes_nothing),
        cmocka_unit_test(addresses_end_at_48_bits),
        cmocka_unit_test(large_ranges_cost_few_tables),
        cmocka_unit_test(readers_need_no_lock),
    };
    return cmocka_run_group_tests_name("radix", tests, NULL, NULL);
}
