/* SPDX-License-Identifier: MIT
 *
 * uring_sized_test.c - each public struct of uring.h that carries its size, at every size: callers older and newer than
 * the library. Each struct lies at the end of an allocation of just that size, so that a sanitizer sees a byte too
 * many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "memlock.h"

#define BLOCK ((size_t)4096)
#define NEWER 64u /* bytes that a caller may have beyond ours */
#define FILLED 0x55

static struct io_uring ring;
static jdb_uring *uring;
static jdb_buf buf = JDB_BUF_INIT;

static int open_all(void **state)
{
    (void)state;
    return io_uring_queue_init(8, &ring, 0) != 0 || jdb_uring_open(&ring, NULL, &uring) != 0 ||
           jdb_buf_with_cap(&buf, 4 * BLOCK) != 0 || jdb_uring_add(uring, buf.ptr, buf.cap, NULL) != 0;
}

static int close_all(void **state)
{
    (void)state;
    const int err = jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
    jdb_buf_drop(&buf);
    return err;
}

/* A struct of `size` bytes, each of them `fill` but for the size itself. Of less than four bytes the size alone is
 * there. */
static uint8_t *sized_new(uint32_t size, int fill)
{
    const size_t bytes = size < sizeof size ? sizeof size : size;
    uint8_t *const sized = malloc(bytes);
    assert_non_null(sized);
    memset(sized, fill, bytes);
    memcpy(sized, &size, sizeof size);
    return sized;
}

/* ---- Options ---------------------------------------------------------------------------------------------- */

struct options_case {
    const char *name;
    uint32_t least;
    uint32_t reserved; /* from here on this version knows nothing */
    uint32_t size;
    int (*call)(const void *options); /* what it made is undone */
};

static int call_open(const void *options)
{
    struct io_uring other;
    jdb_uring *opened = NULL;
    assert_int_equal(io_uring_queue_init(2, &other, 0), 0);
    const int err = jdb_uring_open(&other, options, &opened);
    assert_int_equal(err == 0, opened != NULL);
    assert_int_equal(jdb_uring_close(opened), 0);
    io_uring_queue_exit(&other);
    return err;
}

static int call_add(const void *options)
{
    jdb_buf more = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&more, BLOCK), 0);
    const int err = jdb_uring_add(uring, more.ptr, more.cap, options);
    assert_int_equal(jdb_uring_remove(uring, more.ptr), err == 0 ? 0 : -EINVAL);
    assert_false(jdb_is_pinned(more.ptr, 1));
    jdb_buf_drop(&more);
    return err;
}

static int call_need(const void *options)
{
    jdb_uring_need need = JDB_URING_NEED_INIT;
    return jdb_uring_get_need(uring, buf.ptr, buf.cap, options, &need);
}

static int call_add_arena(const void *options)
{
    jdb_arena_options wanted = {.size = sizeof wanted, .frame_size = BLOCK, .frame_count = 2};
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&wanted, &arena), 0);
    const int err = jdb_uring_add_arena(uring, arena, options);
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), err == 0 ? 0 : -EINVAL);
    assert_int_equal(jdb_arena_free(arena), 0);
    return err;
}

static const struct options_case options_cases[] = {
    {"open", 24, offsetof(jdb_uring_options, reserved), sizeof(jdb_uring_options), call_open},
    {"add", 24, offsetof(jdb_uring_range_options, reserved), sizeof(jdb_uring_range_options), call_add},
    {"add_arena", 24, offsetof(jdb_uring_range_options, reserved), sizeof(jdb_uring_range_options), call_add_arena},
    {"get_need", 24, offsetof(jdb_uring_range_options, reserved), sizeof(jdb_uring_range_options), call_need},
};

/* What is missing is the default, and so is what is there and zero. */
static void check_zeros(const struct options_case *of, uint32_t size)
{
    uint8_t *const options = sized_new(size, 0);
    const int expected = size < of->least ? -EINVAL : 0;
    const int err = of->call(options);
    if (err != expected)
        fail_msg("%s with %u bytes: %d instead of %d", of->name, size, err, expected);
    free(options);
}

/* A byte that this version does not know. */
static void check_unknown(const struct options_case *of, uint32_t size, uint32_t at)
{
    uint8_t *const options = sized_new(size, 0);
    options[at] = 1;
    const int err = of->call(options);
    if (err != -E2BIG)
        fail_msg("%s with %u bytes, byte %u set: %d", of->name, size, at, err);
    free(options);
}

static void options_of_every_size_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof options_cases / sizeof options_cases[0]; i++) {
        const struct options_case *const of = &options_cases[i];
        for (uint32_t size = 0; size <= of->size + NEWER; size++)
            check_zeros(of, size);
        for (uint32_t at = of->reserved; at < of->size + NEWER; at++) {
            check_unknown(of, at + 1, at);
            check_unknown(of, of->size + NEWER, at);
        }
    }
}

/* The fields that the smallest struct has do something. */
static void the_oldest_options_are_obeyed(void **state)
{
    (void)state;
    jdb_uring_options options = JDB_URING_OPTIONS_INIT;
    jdb_uring_stats stats = JDB_URING_STATS_INIT;
    jdb_uring *opened = NULL;
    struct io_uring other;
    options.size = 24;
    options.slot_count = 7;
    options.region_size = (uint64_t)4 << 20;
    assert_int_equal(io_uring_queue_init(2, &other, 0), 0);
    assert_int_equal(jdb_uring_open(&other, &options, &opened), 0);
    assert_int_equal(jdb_uring_get_stats(opened, &stats), 0);
    assert_int_equal(stats.slot_count, 7);
    jdb_uring_range_options whole = JDB_URING_RANGE_OPTIONS_INIT;
    jdb_uring_range range = JDB_URING_RANGE_INIT;
    whole.size = 24;
    whole.overlap_size = 5 * BLOCK;
    whole.release_tag = 9;
    assert_int_equal(jdb_uring_add(opened, buf.ptr, buf.cap, &whole), 0);
    assert_int_equal(jdb_uring_get_range(opened, buf.ptr, &range), 0);
    assert_int_equal(range.overlap_size, 5 * BLOCK);
    assert_int_equal(range.region_size, (uint64_t)4 << 20);
    assert_int_equal(range.is_tagged, stats.table_error == 0);
    assert_int_equal(jdb_uring_close(opened), 0);
    io_uring_queue_exit(&other);
}

/* ---- Reports ---------------------------------------------------------------------------------------------- */

struct report_case {
    const char *name;
    uint32_t least;
    uint32_t reserved;
    uint32_t size;
    int (*call)(void *report);
};

static int call_range(void *report)
{
    return jdb_uring_get_range(uring, buf.ptr, report);
}

static int call_region(void *report)
{
    return jdb_uring_get_region(uring, buf.ptr, 0, report);
}

static int call_stats(void *report)
{
    return jdb_uring_get_stats(uring, report);
}

static int call_report_of_need(void *report)
{
    return jdb_uring_get_need(uring, buf.ptr, buf.cap, NULL, report);
}

static const struct report_case report_cases[] = {
    {"range", 52, offsetof(jdb_uring_range, reserved), sizeof(jdb_uring_range), call_range},
    {"region", 48, offsetof(jdb_uring_region, reserved), sizeof(jdb_uring_region), call_region},
    {"stats", 64, offsetof(jdb_uring_stats, reserved), sizeof(jdb_uring_stats), call_stats},
    {"need", 60, offsetof(jdb_uring_need, reserved), sizeof(jdb_uring_need), call_report_of_need},
};

/* What the byte at `at` has to be: the size, what both know, or zero. */
static uint8_t expected_byte(const struct report_case *of, const uint8_t *full, uint32_t size, uint32_t at)
{
    uint8_t bytes[sizeof size];
    memcpy(bytes, &size, sizeof size);
    if (at < sizeof size)
        return bytes[at];
    if (size < of->least)
        return FILLED;
    return at < of->size ? full[at] : 0;
}

static void check_report(const struct report_case *of, const uint8_t *full, uint32_t size)
{
    uint8_t *const report = sized_new(size, FILLED);
    const int err = of->call(report);
    if (err != (size < of->least ? -EINVAL : 0))
        fail_msg("%s with %u bytes: %d", of->name, size, err);
    for (uint32_t at = 0; at < size; at++)
        if (report[at] != expected_byte(of, full, size, at))
            fail_msg("%s with %u bytes: byte %u is %u", of->name, size, at, report[at]);
    free(report);
}

static void reports_of_every_size_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof report_cases / sizeof report_cases[0]; i++) {
        const struct report_case *const of = &report_cases[i];
        uint8_t *const full = sized_new(of->size, FILLED);
        assert_int_equal(of->call(full), 0);
        for (uint32_t at = of->reserved; at < of->size; at++)
            assert_int_equal(full[at], 0);
        for (uint32_t size = 0; size <= of->size + NEWER; size++)
            check_report(of, full, size);
        free(full);
    }
}

/* ---- Init ------------------------------------------------------------------------------------------------- */

#define ASSERT_INIT(type, init)                                                           \
    do {                                                                                  \
        type sized;                                                                       \
        memset(&sized, FILLED, sizeof sized);                                             \
        sized = init;                                                                     \
        type zero;                                                                        \
        memset(&zero, 0, sizeof zero);                                                    \
        zero.size = sizeof zero;                                                          \
        assert_memory_equal(&sized, &zero, sizeof sized);                                 \
        assert_int_equal(offsetof(type, reserved) + sizeof sized.reserved, sizeof sized); \
    } while (0)

/* reserved is last: what it becomes later moves nothing. */
static void each_struct_begins_with_its_size_and_ends_with_reserved(void **state)
{
    (void)state;
    ASSERT_INIT(jdb_uring_options, JDB_URING_OPTIONS_INIT);
    ASSERT_INIT(jdb_uring_range_options, JDB_URING_RANGE_OPTIONS_INIT);
    ASSERT_INIT(jdb_uring_range, JDB_URING_RANGE_INIT);
    ASSERT_INIT(jdb_uring_region, JDB_URING_REGION_INIT);
    ASSERT_INIT(jdb_uring_need, JDB_URING_NEED_INIT);
    ASSERT_INIT(jdb_uring_stats, JDB_URING_STATS_INIT);
}

/* Sizes of this version. A struct that has grown takes its fields from reserved. */
static void the_sizes_are_those_that_were_released(void **state)
{
    (void)state;
    assert_int_equal(sizeof(jdb_uring_options), 64);
    assert_int_equal(sizeof(jdb_uring_range_options), 64);
    assert_int_equal(sizeof(jdb_uring_range), 80);
    assert_int_equal(sizeof(jdb_uring_region), 80);
    assert_int_equal(sizeof(jdb_uring_need), 96);
    assert_int_equal(sizeof(jdb_uring_stats), 112);
    assert_int_equal(sizeof(jdb_uring_op), 256);
    assert_int_equal(offsetof(jdb_uring_op, align), 64);
}

#define WITH_ALL(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ALL(options_of_every_size_are_read),
        WITH_ALL(the_oldest_options_are_obeyed),
        WITH_ALL(reports_of_every_size_are_written),
        cmocka_unit_test(each_struct_begins_with_its_size_and_ends_with_reserved),
        cmocka_unit_test(the_sizes_are_those_that_were_released),
    };
    if (!memlock_allows(MEMLOCK_OF_TESTS)) {
        print_message(MEMLOCK_SKIPPED);
        return 77;
    }
    struct io_uring probe;
    const int err = io_uring_queue_init(2, &probe, 0);
    if (err != 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
