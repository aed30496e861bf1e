/* SPDX-License-Identifier: MIT
 *
 * sized_test.c - every public struct of the core that carries its size, at every size that a caller may have; and the protocol
 * itself (base/sized.h). The structs of io_uring have a test of their own.
 *
 * The least size of each struct stands here as a number: it may never grow, or callers of an older version are refused.
 */
#include "jdb_alloc.h"

#include "base/sized.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROOM ((size_t)2048) /* twice the largest struct, and more */
#define BEYOND ((size_t)64) /* a newer caller's struct is so much larger than this version's */
#define FOREIGN 0xa5        /* bytes behind the caller's struct */
#define OLD 0x5c            /* bytes of a report before the call */

/* ---- What the calls use ------------------------------------------------------------------------------------- */

static char path[512];
static int fd = -1;
static jdb_file *file;
static jdb_arena *arena;
static jdb_arena *shared_arena; /* over a memfd; NULL where the system has none */
static jdb_pool *pool;
static uint8_t memory[4096] __attribute__((aligned(4096)));

static int open_all(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_sized_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, memory, sizeof memory) == (ssize_t)sizeof memory);
    jdb_file_options file_options = JDB_FILE_OPTIONS_INIT;
    file_options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    file_options.policy = JDB_FILE_DIRECT_OFF; /* so that atomic writes are refused everywhere */
    assert_int_equal(jdb_file_open(path, &file_options, NULL, &file), 0);
    jdb_arena_options arena_options = {.size = sizeof arena_options, .frame_size = 4096, .frame_count = 4};
    assert_int_equal(jdb_arena_new(&arena_options, &arena), 0);
    assert_int_equal(jdb_pool_new(arena, NULL, &pool), 0);
    arena_options.flags = JDB_ARENA_MEMFD;
    arena_options.required = JDB_ARENA_REQUIRE_ALL;
    const int err = jdb_arena_new(&arena_options, &shared_arena);
    assert_true(err == 0 || err == -ENOTSUP);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(jdb_arena_free(shared_arena), 0);
    assert_int_equal(jdb_file_close(file), 0);
    close(fd);
    return unlink(path);
}

/* ---- The calls ---------------------------------------------------------------------------------------------- */

static int set_page_options(void *options)
{
    return jdb_set_page_options(options);
}

static int get_page_stats(void *stats)
{
    return jdb_get_page_stats(stats);
}

static int get_page_class_stats(void *stats)
{
    return jdb_get_page_class_stats(1, stats);
}

static void want_frames(void *options)
{
    jdb_arena_options *const wish = options;
    wish->frame_size = 4096;
    wish->frame_count = 4;
}

static int arena_new(void *options)
{
    jdb_arena *made = NULL;
    const int err = jdb_arena_new(options, &made);
    assert_int_equal(err == 0, made != NULL);
    return err == 0 ? jdb_arena_free(made) : err;
}

static int arena_map_fd(void *options)
{
    if (shared_arena == NULL)
        skip();
    jdb_arena *made = NULL;
    const int err = jdb_arena_map_fd(options, jdb_arena_fd(shared_arena), &made);
    assert_int_equal(err == 0, made != NULL);
    return err == 0 ? jdb_arena_free(made) : err;
}

static int arena_new_report(void *report)
{
    jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = 4, .report = report};
    return arena_new(&options);
}

static int arena_get_report(void *report)
{
    return jdb_arena_get_report(arena, report);
}

static void take_arena_report(void *report)
{
    assert_int_equal(jdb_arena_get_report(arena, report), 0);
}

static int arena_report_format(void *report)
{
    char text[4096];
    const int length = jdb_arena_report_format(report, text, sizeof text);
    return length < 0 ? length : 0;
}

static int pool_new(void *options)
{
    const jdb_arena_options arena_options = {.size = sizeof arena_options, .frame_size = 4096, .frame_count = 4};
    jdb_arena *own = NULL;
    jdb_pool *made = NULL;
    assert_int_equal(jdb_arena_new(&arena_options, &own), 0);
    const int err = jdb_pool_new(own, options, &made);
    assert_int_equal(err == 0, made != NULL);
    assert_int_equal(jdb_pool_free(made), 0);
    assert_int_equal(jdb_arena_free(own), 0);
    return err;
}

static int pool_get_stats(void *stats)
{
    return jdb_pool_get_stats(pool, stats);
}

static int direct_limits(void *limits)
{
    return jdb_direct_limits(fd, limits);
}

static void take_limits(void *limits)
{
    assert_int_equal(jdb_direct_limits(fd, limits), 0);
}

static int direct_override(void *limits)
{
    return jdb_direct_override(limits, 512, 0, 0);
}

static int direct_pretend(void *limits)
{
    return jdb_direct_pretend(limits, 512);
}

static int direct_format(void *limits)
{
    char text[JDB_DIRECT_TEXT_SIZE];
    const int length = jdb_direct_format(limits, text, sizeof text);
    return length < 0 ? length : 0;
}

static int direct_check_by(void *limits)
{
    return jdb_direct_check_read(limits, jdb_raw_new(memory, 0), 0, NULL);
}

static int direct_check_read(void *check)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    take_limits(&limits);
    return jdb_direct_check_read(&limits, jdb_raw_new(memory, 0), 0, check);
}

static int direct_check_write(void *check)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    take_limits(&limits);
    return jdb_direct_check_write(&limits, jdb_raw_new(memory, 0), 0, check);
}

static int direct_check_format(void *check)
{
    char text[JDB_DIRECT_TEXT_SIZE];
    const int length = jdb_direct_check_format(check, text, sizeof text);
    return length < 0 ? length : 0;
}

static int file_limits(void *limits)
{
    return jdb_file_limits(file, limits);
}

static int file_known_limits(void *limits)
{
    return jdb_file_known_limits(file, limits);
}

static int file_open_with(const jdb_file_options *options, jdb_file_report *report)
{
    jdb_file *opened = NULL;
    const int err = jdb_file_open(path, options, report, &opened);
    assert_int_equal(err == 0, opened != NULL);
    return err == 0 ? jdb_file_close(opened) : err;
}

static int file_open(void *options)
{
    return file_open_with(options, NULL);
}

static int file_open_report(void *report)
{
    return file_open_with(NULL, report);
}

/* A report of a failure is written as any other. */
static int file_open_fails(void *report)
{
    jdb_file *opened = NULL;
    const int err = jdb_file_open("/no such file", NULL, report, &opened);
    return err == -ENOENT ? 0 : err;
}

static int file_read_full(void *report)
{
    jdb_raw view = jdb_raw_new(memory, sizeof memory);
    return jdb_file_read_full(file, &view, 0, report);
}

static int file_write_full(void *report)
{
    return jdb_file_write_full(file, jdb_raw_from_slice(memory, sizeof memory), 0, report);
}

static int file_write_zeros(void *report)
{
    return jdb_file_write_zeros(file, 0, sizeof memory, report);
}

static int file_write_atomic(void *report)
{
    const int err = jdb_file_write_atomic(file, jdb_raw_from_slice(memory, sizeof memory), 0, report);
    return err == -ENOTSUP ? 0 : err;
}

/* ---- The structs -------------------------------------------------------------------------------------------- */

enum role {
    OPTIONS, /* read: what the library does not know must be zero */
    REPORT,  /* written */
    FILLED,  /* filled by an earlier call: the fields are read or changed, what is not known is ignored */
};

struct row {
    enum role role;
    const char *type;
    uint32_t least;
    uint32_t reserved; /* offset */
    uint32_t size;     /* of this version */
    const char *call_name;
    int (*call)(void *sized);
    void (*prepare)(void *sized); /* makes the zeroed struct valid; NULL: it is */
};

#define FORM(type, least) #type, SIZED_SMALLER(least, offsetof(type, reserved)), offsetof(type, reserved), sizeof(type)
#define CALL(function) #function, function

static const struct row rows[] = {
    {OPTIONS, FORM(jdb_page_options, 24), CALL(set_page_options), NULL},
    {REPORT, FORM(jdb_page_stats, 128), CALL(get_page_stats), NULL},
    {REPORT, FORM(jdb_page_class_stats, 32), CALL(get_page_class_stats), NULL},
    {OPTIONS, FORM(jdb_arena_options, 152), CALL(arena_new), want_frames},
    {OPTIONS, FORM(jdb_arena_options, 152), CALL(arena_map_fd), want_frames},
    {REPORT, FORM(jdb_arena_report, 8), CALL(arena_new_report), NULL},
    {REPORT, FORM(jdb_arena_report, 8), CALL(arena_get_report), NULL},
    {FILLED, FORM(jdb_arena_report, 944), CALL(arena_report_format), take_arena_report},
    {OPTIONS, FORM(jdb_pool_options, 12), CALL(pool_new), NULL},
    {REPORT, FORM(jdb_pool_stats, 24), CALL(pool_get_stats), NULL},
    {REPORT, FORM(jdb_direct, 296), CALL(direct_limits), NULL},
    {REPORT, FORM(jdb_direct, 296), CALL(file_limits), NULL},
    {REPORT, FORM(jdb_direct, 296), CALL(file_known_limits), NULL},
    {FILLED, FORM(jdb_direct, 296), CALL(direct_override), take_limits},
    {FILLED, FORM(jdb_direct, 296), CALL(direct_pretend), take_limits},
    {FILLED, FORM(jdb_direct, 296), CALL(direct_format), take_limits},
    {FILLED, FORM(jdb_direct, 296), CALL(direct_check_by), take_limits},
    {REPORT, FORM(jdb_direct_check, 132), CALL(direct_check_read), NULL},
    {REPORT, FORM(jdb_direct_check, 132), CALL(direct_check_write), NULL},
    {FILLED, FORM(jdb_direct_check, 132), CALL(direct_check_format), NULL},
    {OPTIONS, FORM(jdb_file_options, 48), CALL(file_open), NULL},
    {REPORT, FORM(jdb_file_report, 388), CALL(file_open_report), NULL},
    {REPORT, FORM(jdb_file_report, 388), CALL(file_open_fails), NULL},
    {REPORT, FORM(jdb_file_report, 388), CALL(file_read_full), NULL},
    {REPORT, FORM(jdb_file_report, 388), CALL(file_write_full), NULL},
    {REPORT, FORM(jdb_file_report, 388), CALL(file_write_zeros), NULL},
    {REPORT, FORM(jdb_file_report, 388), CALL(file_write_atomic), NULL},
};

/* ---- Every size --------------------------------------------------------------------------------------------- */

#define CHECK(row, size, condition)                                                                         \
    do {                                                                                                    \
        if (!(condition))                                                                                   \
            fail_msg("%s of %s, size %u: %s", (row)->type, (row)->call_name, (unsigned)(size), #condition); \
    } while (0)

/* A caller's struct of the given size, and foreign bytes behind it. */
struct caller {
    _Alignas(16) uint8_t bytes[ROOM];
};

static void caller_init(const struct row *row, struct caller *caller, uint32_t size)
{
    struct caller valid = {{0}};
    memcpy(valid.bytes, &row->size, sizeof row->size);
    if (row->prepare != NULL)
        row->prepare(valid.bytes);
    memset(caller->bytes, FOREIGN, ROOM);
    memcpy(caller->bytes, valid.bytes, size);
    if (row->role == REPORT)
        memset(caller->bytes, OLD, size);
    memcpy(caller->bytes, &size, sizeof size);
}

static bool is_filled(const uint8_t *bytes, size_t from, size_t end, uint8_t value)
{
    for (size_t i = from; i < end; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* The bytes of a full report, and which of them are the same at every call. */
struct reference {
    struct caller report;
    bool is_stable[ROOM];
};

static void reference_init(const struct row *row, struct reference *reference)
{
    struct caller again;
    caller_init(row, &reference->report, row->size);
    caller_init(row, &again, row->size);
    CHECK(row, row->size, row->call(reference->report.bytes) == 0);
    CHECK(row, row->size, row->call(again.bytes) == 0);
    for (size_t i = 0; i < ROOM; i++)
        reference->is_stable[i] = reference->report.bytes[i] == again.bytes[i];
}

static void check_refused(const struct row *row, uint32_t size)
{
    struct caller caller;
    caller_init(row, &caller, size);
    const struct caller before = caller;
    CHECK(row, size, row->call(caller.bytes) == -EINVAL);
    CHECK(row, size, memcmp(caller.bytes, before.bytes, ROOM) == 0);
}

static void check_options(const struct row *row, uint32_t size)
{
    struct caller caller;
    caller_init(row, &caller, size);
    const struct caller before = caller;
    CHECK(row, size, row->call(caller.bytes) == 0);
    CHECK(row, size, memcmp(caller.bytes, before.bytes, ROOM) == 0);
    for (size_t i = row->reserved; i < size; i++) {
        caller.bytes[i] = 1;
        CHECK(row, size, row->call(caller.bytes) == -E2BIG);
        caller.bytes[i] = 0;
        CHECK(row, size, memcmp(caller.bytes, before.bytes, ROOM) == 0);
    }
}

static void check_report(const struct row *row, uint32_t size, const struct reference *reference)
{
    struct caller caller;
    uint32_t kept = 0;
    caller_init(row, &caller, size);
    CHECK(row, size, row->call(caller.bytes) == 0);
    memcpy(&kept, caller.bytes, sizeof kept);
    CHECK(row, size, kept == size);
    for (size_t i = sizeof size; i < size && i < row->reserved; i++)
        CHECK(row, size, caller.bytes[i] == reference->report.bytes[i] || !reference->is_stable[i]);
    CHECK(row, size, is_filled(caller.bytes, row->reserved, size, 0));
    CHECK(row, size, is_filled(caller.bytes, size, ROOM, FOREIGN));
}

static void check_filled(const struct row *row, uint32_t size)
{
    struct caller caller;
    uint32_t kept = 0;
    caller_init(row, &caller, size);
    if (size > row->reserved)
        memset(caller.bytes + row->reserved, OLD, size - row->reserved);
    CHECK(row, size, row->call(caller.bytes) == 0);
    memcpy(&kept, caller.bytes, sizeof kept);
    CHECK(row, size, kept == size);
    CHECK(row, size, is_filled(caller.bytes, row->reserved, size, OLD));
    CHECK(row, size, is_filled(caller.bytes, size, ROOM, FOREIGN));
}

static void check_row(const struct row *row)
{
    struct reference reference;
    CHECK(row, row->size, row->size + BEYOND < ROOM && row->least <= row->reserved);
    if (row->role == REPORT)
        reference_init(row, &reference);
    for (uint32_t size = sizeof size; size < row->least; size++)
        check_refused(row, size);
    for (uint32_t size = row->least; size <= row->size + BEYOND; size++)
        if (row->role == OPTIONS)
            check_options(row, size);
        else if (row->role == REPORT)
            check_report(row, size, &reference);
        else
            check_filled(row, size);
}

static void every_size(void **state)
{
    check_row(*state);
}

/* ---- The protocol itself ------------------------------------------------------------------------------------ */

/* As of this library: `new_field` came after the first release, whose struct had 16 bytes and its reserved behind `old`. */
struct sample {
    uint32_t size;
    uint32_t first;
    uint64_t old;
    uint64_t new_field;
    uint64_t reserved[3];
};

SIZED_FORM(sample_form, struct sample, 16, 48);

/* As of a newer library. */
struct newer {
    struct sample known;
    uint64_t more[4];
};

static void a_form_has_the_numbers_of_the_layout(void **state)
{
    (void)state;
    assert_int_equal(sample_form.least, 16);
    assert_int_equal(sample_form.reserved, 24);
    assert_int_equal(sample_form.size, 48);
}

static void what_an_older_caller_lacks_is_zero(void **state)
{
    (void)state;
    const struct sample given = {.size = 16, .first = 1, .old = 2, .new_field = 3, .reserved = {4}};
    struct sample known = {.size = 9, .new_field = 9, .reserved = {9, 9, 9}};
    assert_int_equal(jdb__sized_read(&sample_form, &given, &known), 0);
    const struct sample expected = {.size = 48, .first = 1, .old = 2};
    assert_memory_equal(&known, &expected, sizeof known);
}

static void every_byte_that_is_not_known_must_be_zero(void **state)
{
    (void)state;
    const struct sample untouched = {.size = 7, .reserved = {7}};
    for (uint32_t size = 16; size <= sizeof(struct newer); size++)
        for (uint32_t i = 4; i < sizeof(struct newer); i++) {
            struct newer given = {.known = {.size = size}};
            struct sample known = untouched;
            ((uint8_t *)&given)[i] = 1;
            const bool is_refused = i >= sample_form.reserved && i < size;
            assert_int_equal(jdb__sized_read(&sample_form, &given, &known), is_refused ? -E2BIG : 0);
            if (is_refused)
                assert_memory_equal(&known, &untouched, sizeof known);
            else
                assert_int_equal(((const uint8_t *)&known)[i < size ? i : 4], i < size || i == 4);
        }
}

static void a_size_below_the_least_is_refused(void **state)
{
    (void)state;
    for (uint32_t size = 0; size < 16; size++) {
        struct sample given = {.size = size, .first = 5};
        const struct sample given_before = given;
        struct sample known = {.size = 7, .old = 7};
        const struct sample known_before = known;
        assert_int_equal(jdb__sized_read(&sample_form, &given, &known), -EINVAL);
        assert_int_equal(jdb__sized_check(&sample_form, &given), -EINVAL);
        assert_int_equal(jdb__sized_write(&sample_form, &known, &given), -EINVAL);
        assert_memory_equal(&given, &given_before, sizeof given);
        assert_memory_equal(&known, &known_before, sizeof known);
    }
}

/* The caller gets what both know, zeros in what only the caller knows, and keeps its size. */
static void a_report_of_every_size_is_written(void **state)
{
    (void)state;
    const struct sample filled = {.size = 48, .first = 0x01010101, .old = UINT64_MAX, .new_field = UINT64_MAX};
    for (uint32_t size = 16; size <= sizeof(struct newer); size++) {
        uint8_t report[sizeof(struct newer) + 8];
        uint32_t kept = 0;
        memset(report, FOREIGN, sizeof report);
        memcpy(report, &size, sizeof size);
        assert_int_equal(jdb__sized_check(&sample_form, report), 0);
        assert_int_equal(jdb__sized_write(&sample_form, &filled, report), 0);
        memcpy(&kept, report, sizeof kept);
        assert_int_equal(kept, size);
        const size_t shared = size < sizeof filled ? size : sizeof filled;
        assert_memory_equal(report + 4, (const uint8_t *)&filled + 4, shared - 4);
        assert_true(is_filled(report, shared, size, 0));
        assert_true(is_filled(report, size, sizeof report, FOREIGN));
    }
}

#define ROW_COUNT (sizeof rows / sizeof rows[0])

int main(void)
{
    const struct CMUnitTest protocol_tests[] = {
        cmocka_unit_test(a_form_has_the_numbers_of_the_layout),
        cmocka_unit_test(what_an_older_caller_lacks_is_zero),
        cmocka_unit_test(every_byte_that_is_not_known_must_be_zero),
        cmocka_unit_test(a_size_below_the_least_is_refused),
        cmocka_unit_test(a_report_of_every_size_is_written),
    };
    struct CMUnitTest row_tests[ROW_COUNT] = {{0}};
    static char names[ROW_COUNT][100];
    for (size_t i = 0; i < ROW_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%s of %s", rows[i].type, rows[i].call_name);
        row_tests[i].name = names[i];
        row_tests[i].test_func = every_size;
        row_tests[i].initial_state = (void *)(uintptr_t)&rows[i];
    }
    const int failed = cmocka_run_group_tests(protocol_tests, NULL, NULL);
    return failed + cmocka_run_group_tests(row_tests, open_all, close_all);
}
