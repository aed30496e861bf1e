/* SPDX-License-Identifier: MIT
 *
 * arena_refusal_test.c - a growth that fails: the report says how far it was to go, what was refused, and why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"

#include <string.h>

static jdb_arena *make(uint32_t flags, uint32_t required)
{
    jdb_arena *arena = NULL;
    const jdb_arena_options options = {.size = sizeof options,
                                       .flags = flags,
                                       .frame_size = 4096,
                                       .frame_count = 8,
                                       .max_frame_count = 64,
                                       .required = required};
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    return arena;
}

static jdb_arena_report report_of(const jdb_arena *arena)
{
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    assert_int_equal(jdb_arena_get_report(arena, &report), 0);
    return report;
}

static void assert_not_refused(const jdb_arena *arena)
{
    const jdb_arena_report report = report_of(arena);
    char text[2000];
    assert_int_equal(report.refused_frame_count, 0);
    assert_int_equal(report.refused_item, JDB_ARENA_ITEM_COUNT);
    assert_int_equal(report.refused_err, 0);
    assert_string_equal(report.refused_reason, "");
    assert_true(jdb_arena_report_format(&report, text, sizeof text) > 0);
    assert_null(strstr(text, "growth"));
}

static int grow(jdb_arena *arena, uint32_t frame_count, enum os_call call, int err)
{
    faults_arm(call, 0, err);
    const int result = jdb_arena_grow(arena, frame_count);
    assert_true(faults_disarm());
    return result;
}

static void a_required_option_that_growth_did_not_get_is_named(void **state)
{
    (void)state;
    jdb_arena *const arena = make(JDB_ARENA_DONTDUMP, 1u << JDB_ARENA_ITEM_DUMP);
    char text[2000];
    assert_not_refused(arena);
    assert_int_equal(jdb_arena_grow(arena, 16), 0);
    assert_not_refused(arena);
    faults_arm(OS_CALL_ADVISE, 1, -EINVAL); /* behind that of fork */
    assert_int_equal(jdb_arena_grow(arena, 24), -ENOTSUP);
    assert_true(faults_disarm());
    const jdb_arena_report report = report_of(arena);
    assert_int_equal(report.refused_frame_count, 24);
    assert_int_equal(report.refused_item, JDB_ARENA_ITEM_DUMP);
    assert_int_equal(report.refused_err, -ENOTSUP);
    assert_non_null(strstr(report.refused_reason, "MADV_DONTDUMP"));
    assert_int_equal(report.items[JDB_ARENA_ITEM_DUMP].is_obtained, 1); /* of the frames that are there */
    assert_string_equal(report.items[JDB_ARENA_ITEM_DUMP].reason, "");
    assert_true(jdb_arena_report_format(&report, text, sizeof text) > 0);
    assert_non_null(strstr(text, "growth       to 24 frames refused, dump: "));
    assert_int_equal(jdb_arena_grow(arena, 16), 0); /* nothing to do: not a growth */
    assert_int_equal(report_of(arena).refused_frame_count, 24);
    assert_int_equal(jdb_arena_grow(arena, 24), 0);
    assert_not_refused(arena);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void a_growth_without_memory_names_no_option(void **state)
{
    (void)state;
    jdb_arena *const arena = make(0, 0);
    char text[2000];
    assert_int_equal(grow(arena, 20, OS_CALL_PROTECT, -ENOMEM), -ENOMEM);
    jdb_arena_report report = report_of(arena);
    assert_int_equal(report.refused_frame_count, 20);
    assert_int_equal(report.refused_item, JDB_ARENA_ITEM_COUNT);
    assert_int_equal(report.refused_err, -ENOMEM);
    assert_string_equal(report.refused_reason, "");
    assert_true(jdb_arena_report_format(&report, text, sizeof text) > 0);
    assert_non_null(strstr(text, "growth       to 20 frames refused (errno 12)\n"));
    assert_int_equal(jdb_arena_grow(arena, 65), -ERANGE); /* an argument: the system was not asked */
    assert_int_equal(report_of(arena).refused_frame_count, 20);

    report.size = (uint32_t)offsetof(jdb_arena_report, refused_frame_count); /* a caller that does not know it */
    assert_true(jdb_arena_report_format(&report, text, sizeof text) > 0);
    assert_null(strstr(text, "growth"));
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void an_option_that_is_not_required_is_no_refusal(void **state)
{
    (void)state;
    jdb_arena *const arena = make(JDB_ARENA_DONTDUMP, 0);
    faults_arm(OS_CALL_ADVISE, 1, -EINVAL);
    assert_int_equal(jdb_arena_grow(arena, 24), 0);
    assert_true(faults_disarm());
    assert_not_refused(arena);
    assert_int_equal(report_of(arena).items[JDB_ARENA_ITEM_DUMP].is_obtained, 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static bool give_up(void *context, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return *(const bool *)context;
}

static void a_growth_given_up_is_reported(void **state)
{
    (void)state;
    bool goes_on = true;
    jdb_arena *arena = NULL;
    const jdb_arena_options options = {.size = sizeof options,
                                       .flags = JDB_ARENA_PREFAULT,
                                       .frame_size = 4096,
                                       .frame_count = 8,
                                       .max_frame_count = 64,
                                       .progress = give_up,
                                       .progress_context = &goes_on};
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    goes_on = false;
    assert_int_equal(jdb_arena_grow(arena, 24), -ECANCELED);
    assert_int_equal(report_of(arena).refused_frame_count, 24);
    assert_int_equal(report_of(arena).refused_err, -ECANCELED);
    assert_int_equal(jdb_arena_free(arena), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_required_option_that_growth_did_not_get_is_named),
        cmocka_unit_test(a_growth_without_memory_names_no_option),
        cmocka_unit_test(an_option_that_is_not_required_is_no_refusal),
        cmocka_unit_test(a_growth_given_up_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
