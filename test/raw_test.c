/* SPDX-License-Identifier: MIT
 *
 * raw_test.c - the contract of jdb_raw, the view by value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "random.h"
#include "tier.h"

#include <string.h>

/* Nothing is read through views here: one page of real memory stands for all of it. */
static jdb_page memory[4];

static void assert_view(jdb_raw raw, const void *ptr, size_t len, size_t cap)
{
    assert_ptr_equal(raw.ptr, ptr);
    assert_int_equal(raw.len, len);
    assert_int_equal(raw.cap, cap);
}

static void views_are_made_from_their_words(void **state)
{
    (void)state;
    uint8_t *const at = memory[0].bytes;
    assert_view((jdb_raw)JDB_RAW_INIT, NULL, 0, 0);
    assert_view(jdb_raw_new(at, 8192), at, 0, 8192);
    assert_view(jdb_raw_new(at + 3, 5), at + 3, 0, 5);
    assert_view(jdb_raw_new(NULL, 0), NULL, 0, 0);
    assert_view(jdb_raw_from_raw_parts(at, 5, 4096), at, 5, 4096);
    assert_view(jdb_raw_from_raw_parts(at, 4096, 4096), at, 4096, 4096);
    assert_view(jdb_raw_from_raw_parts(at, 4097, 4096), at, 4096, 4096);
    assert_view(jdb_raw_from_raw_parts(at, SIZE_MAX, 0), at, 0, 0);
    assert_view(jdb_raw_from_slice(at + 7, 100), at + 7, 100, 100);
    assert_view(jdb_raw_from_slice(NULL, 0), NULL, 0, 0);
}

static void with_len_chains_and_is_cut_to_cap(void **state)
{
    (void)state;
    uint8_t *const at = memory[0].bytes;
    const jdb_raw raw = jdb_raw_new(at, 4096);
    assert_view(jdb_raw_with_len(raw, 17), at, 17, 4096);
    assert_view(jdb_raw_with_len(raw, 4096), at, 4096, 4096);
    assert_view(jdb_raw_with_len(raw, 4097), at, 4096, 4096);
    assert_view(jdb_raw_with_len(jdb_raw_with_len(raw, SIZE_MAX), 0), at, 0, 4096);
    assert_view(raw, at, 0, 4096);
}

static void readers_tell_the_words(void **state)
{
    (void)state;
    const jdb_raw raw = jdb_raw_from_raw_parts(memory[0].bytes, 5, 4096);
    assert_int_equal(jdb_raw_len(raw), 5);
    assert_int_equal(jdb_raw_cap(raw), 4096);
    assert_ptr_equal(jdb_raw_as_ptr(raw), memory[0].bytes);
    assert_ptr_equal(jdb_raw_as_mut_ptr(raw), memory[0].bytes);
    assert_false(jdb_raw_is_empty(raw));
    assert_true(jdb_raw_is_empty(jdb_raw_with_len(raw, 0)));
}

static void is_aligned_tells_the_address(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2)
        for (size_t shift = 0; shift <= 4096; shift++) {
            const jdb_raw raw = jdb_raw_new(memory[0].bytes + shift, 1);
            assert_int_equal(jdb_raw_is_aligned(raw, align), shift % align == 0);
        }
    assert_true(jdb_raw_is_aligned(jdb_raw_new(memory[0].bytes + 1, 1), 0));
}

static void set_len_is_exact_and_bounded(void **state)
{
    (void)state;
    jdb_raw raw = jdb_raw_new(memory[0].bytes, 4096);
    assert_int_equal(jdb_raw_set_len(&raw, 4096), 0);
    assert_int_equal(raw.len, 4096);
    assert_int_equal(jdb_raw_set_len(&raw, 4097), -ENOBUFS);
    assert_int_equal(jdb_raw_set_len(&raw, SIZE_MAX), -ENOBUFS);
    assert_int_equal(raw.len, 4096);
    assert_int_equal(jdb_raw_set_len(&raw, 3), 0);
    assert_view(raw, memory[0].bytes, 3, 4096);
    assert_int_equal(jdb_raw_set_len(NULL, 0), -EINVAL);
}

static void set_init_is_monotone(void **state)
{
    (void)state;
    jdb_raw raw = jdb_raw_new(memory[0].bytes, 4096);
    assert_int_equal(jdb_raw_set_init(&raw, 10), 0);
    assert_int_equal(raw.len, 10);
    assert_int_equal(jdb_raw_set_init(&raw, 9), 0);
    assert_int_equal(raw.len, 10);
    assert_int_equal(jdb_raw_set_init(&raw, 4097), -ENOBUFS);
    assert_int_equal(raw.len, 10);
    assert_int_equal(jdb_raw_set_init(&raw, 4096), 0);
    assert_view(raw, memory[0].bytes, 4096, 4096);
    assert_int_equal(jdb_raw_set_init(NULL, 0), -EINVAL);
}

/* ---- Slices ----------------------------------------------------------------------------------------------- */

/* What the header says, word by word, in integers that cannot wrap. */
static int expect_sub(jdb_raw raw, size_t offset, size_t len, size_t align)
{
    if (align == 0 || (align & (align - 1)) != 0)
        return -EINVAL;
    if ((unsigned __int128)offset + len > raw.cap)
        return -ERANGE;
    return ((unsigned __int128)(uintptr_t)raw.ptr + offset) % align == 0 ? 0 : -EINVAL;
}

static void assert_sub(jdb_raw raw, size_t offset, size_t len, size_t align)
{
    const jdb_raw was = {(uint8_t *)0x99, 3, 33};
    jdb_raw sub = was;
    jdb_raw slice = was;
    jdb_raw data = was;
    const int expected = expect_sub(raw, offset, len, align);
    assert_int_equal(jdb_raw_sub(raw, offset, len, align, &sub), expected);
    assert_view(sub, expected == 0 ? raw.ptr + offset : was.ptr, expected == 0 ? 0 : 3, expected == 0 ? len : 33);
    const int paged = expect_sub(raw, offset, len, 4096);
    assert_int_equal(jdb_raw_slice(raw, offset, len, &slice), paged);
    assert_view(slice, paged == 0 ? raw.ptr + offset : was.ptr, paged == 0 ? 0 : 3, paged == 0 ? len : 33);
    assert_int_equal(jdb_raw_slice_data(raw, offset, len, &data), paged);
    assert_view(data, paged == 0 ? raw.ptr + offset : was.ptr, paged == 0 ? len : 3, paged == 0 ? len : 33);
}

static void slices_match_the_rule_at_every_edge(void **state)
{
    (void)state;
    static const size_t edges[] = {0,    1,    511,   512,   513,   4095,  4096,         4097,         8191,
                                   8192, 8193, 12288, 16383, 16384, 16385, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX};
    static const size_t aligns[] = {0, 1, 2, 3, 512, 513, 4096, 8192, SIZE_MAX, (size_t)1 << 63};
    static const size_t shifts[] = {0, 1, 512, 4096, 4608};
    enum { EDGES = sizeof edges / sizeof edges[0] };
    for (size_t shift = 0; shift < 5; shift++)
        for (size_t offset = 0; offset < EDGES; offset++)
            for (size_t len = 0; len < EDGES; len++)
                for (size_t align = 0; align < sizeof aligns / sizeof aligns[0]; align++) {
                    const size_t cap = sizeof memory - shifts[shift];
                    const jdb_raw raw = jdb_raw_from_slice((uint8_t *)memory + shifts[shift], cap);
                    assert_sub(raw, edges[offset], edges[len], aligns[align]);
                }
}

static void slices_match_the_rule_at_random(void **state)
{
    (void)state;
    uint64_t random = random_seed("slices");
    const uint64_t rounds = tier_pick(20000, 200000, 2000000);
    for (uint64_t i = 0; i < rounds; i++) {
        const size_t shift = random_below(&random, 4096);
        const size_t cap = random_below(&random, sizeof memory - shift + 1);
        const jdb_raw raw = jdb_raw_from_raw_parts((uint8_t *)memory + shift, cap / 2, cap);
        const size_t offset = random_below(&random, 4) * 4096 + random_below(&random, 3) * (4096 - shift);
        assert_sub(raw, offset, random_below(&random, cap + 100), (size_t)1 << random_below(&random, 14));
    }
}

static void bounds_come_before_alignment(void **state)
{
    (void)state;
    const jdb_raw raw = jdb_raw_new(memory[0].bytes, 8192);
    jdb_raw slice = {0};
    assert_int_equal(jdb_raw_slice(raw, 8191, 2, &slice), -ERANGE);
    assert_int_equal(jdb_raw_slice(raw, 1, 4096, &slice), -EINVAL);
    assert_int_equal(jdb_raw_slice(raw, 4096, SIZE_MAX, &slice), -ERANGE);
    assert_int_equal(jdb_raw_slice(raw, SIZE_MAX, 4096, &slice), -ERANGE);
    assert_int_equal(jdb_raw_slice(raw, 0, 4096, NULL), -EINVAL);
    assert_int_equal(jdb_raw_slice_data(raw, 0, 4096, NULL), -EINVAL);
    assert_int_equal(jdb_raw_sub(raw, 0, 4096, 1, NULL), -EINVAL);
    assert_int_equal(jdb_raw_sub(raw, 9000, 0, 3, &slice), -EINVAL);
    assert_view(slice, NULL, 0, 0);
}

static void unaligned_base_can_have_aligned_slices(void **state)
{
    (void)state;
    const jdb_raw raw = jdb_raw_from_slice(memory[0].bytes + 100, 3 * 4096);
    jdb_raw slice = {0};
    assert_int_equal(jdb_raw_slice(raw, 0, 4096, &slice), -EINVAL);
    assert_int_equal(jdb_raw_slice(raw, 4096, 4096, &slice), -EINVAL);
    assert_int_equal(jdb_raw_slice(raw, 3996, 4096, &slice), 0);
    assert_view(slice, memory[1].bytes, 0, 4096);
    assert_int_equal(jdb_raw_sub(raw, 412, 512, 512, &slice), 0);
    assert_view(slice, memory[0].bytes + 512, 0, 512);
}

static void slice_at_the_end_and_of_the_empty_view(void **state)
{
    (void)state;
    const jdb_raw raw = jdb_raw_new(memory[0].bytes, 8192);
    jdb_raw slice = {0};
    assert_int_equal(jdb_raw_slice(raw, 8192, 0, &slice), 0);
    assert_view(slice, memory[0].bytes + 8192, 0, 0);
    assert_int_equal(jdb_raw_slice(raw, 8192, 1, &slice), -ERANGE);
    const jdb_raw none = JDB_RAW_INIT;
    assert_int_equal(jdb_raw_slice(none, 0, 0, &slice), 0);
    assert_view(slice, NULL, 0, 0);
    assert_int_equal(jdb_raw_slice(none, 0, 1, &slice), -ERANGE);
    assert_int_equal(jdb_raw_slice(none, 1, 0, &slice), -ERANGE);
}

static void slice_may_replace_its_own_view(void **state)
{
    (void)state;
    jdb_raw raw = jdb_raw_from_slice(memory[0].bytes, sizeof memory);
    assert_int_equal(jdb_raw_slice_data(raw, 4096, 8192, &raw), 0);
    assert_view(raw, memory[1].bytes, 8192, 8192);
    assert_int_equal(jdb_raw_slice(raw, 4096, 4096, &raw), 0);
    assert_view(raw, memory[2].bytes, 0, 4096);
}

static void unchecked_slice_is_the_slice(void **state)
{
    (void)state;
    const jdb_raw raw = jdb_raw_from_slice(memory[0].bytes, sizeof memory);
    assert_view(jdb_raw_slice_unchecked(raw, 4096, 8192), memory[1].bytes, 0, 8192);
    assert_view(jdb_raw_slice_unchecked(raw, 0, 0), memory[0].bytes, 0, 0);
}

/* ---- Text ------------------------------------------------------------------------------------------------- */

static void format_works_as_snprintf(void **state)
{
    (void)state;
    const char *const whole = "RawIoBuf { ptr: 0x123456789abc, len: 5, cap: 4096 }";
    const jdb_raw raw = jdb_raw_from_raw_parts((void *)(uintptr_t)UINT64_C(0x123456789abc), 5, 4096);
    char text[96];
    assert_int_equal(jdb_raw_format(&raw, NULL, 0), (int)strlen(whole));
    for (size_t room = 1; room < sizeof text; room++) {
        memset(text, 'x', sizeof text);
        assert_int_equal(jdb_raw_format(&raw, text, room), (int)strlen(whole));
        const size_t shown = room - 1 < strlen(whole) ? room - 1 : strlen(whole);
        assert_int_equal(strlen(text), shown);
        assert_memory_equal(text, whole, shown);
    }
    const jdb_raw largest = jdb_raw_from_slice(memory[0].bytes, SIZE_MAX);
    assert_true(jdb_raw_format(&largest, text, sizeof text) > 0);
    const jdb_raw empty = JDB_RAW_INIT;
    assert_true(jdb_raw_format(&empty, text, sizeof text) > 0);
    assert_string_equal(text, "RawIoBuf { ptr: 0x0, len: 0, cap: 0 }");
    assert_int_equal(jdb_raw_format(NULL, text, sizeof text), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_made_from_their_words),
        cmocka_unit_test(with_len_chains_and_is_cut_to_cap),
        cmocka_unit_test(readers_tell_the_words),
        cmocka_unit_test(is_aligned_tells_the_address),
        cmocka_unit_test(set_len_is_exact_and_bounded),
        cmocka_unit_test(set_init_is_monotone),
        cmocka_unit_test(slices_match_the_rule_at_every_edge),
        cmocka_unit_test(slices_match_the_rule_at_random),
        cmocka_unit_test(bounds_come_before_alignment),
        cmocka_unit_test(unaligned_base_can_have_aligned_slices),
        cmocka_unit_test(slice_at_the_end_and_of_the_empty_view),
        cmocka_unit_test(slice_may_replace_its_own_view),
        cmocka_unit_test(unchecked_slice_is_the_slice),
        cmocka_unit_test(format_works_as_snprintf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
