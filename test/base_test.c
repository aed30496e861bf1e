/* SPDX-License-Identifier: MIT
 *
 * base_test.c - the words and numbers: versions, errors and their remedies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const int errors[] = {ENOMEM, EOVERFLOW, ENOBUFS, ERANGE, EINVAL, EAGAIN,  ETIMEDOUT, ECANCELED,
                             ESTALE, EXDEV,     EBUSY,   E2BIG,  EPERM,  ENOTSUP, EDQUOT};
enum { ERROR_COUNT = sizeof errors / sizeof errors[0] };

static void every_error_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        const char *const text = jdb_strerror(-errors[i]);
        assert_non_null(text);
        assert_null(strstr(text, "unknown"));
        assert_ptr_equal(text, jdb_strerror(errors[i]));
        assert_string_not_equal(text, strerror(errors[i]));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(text, jdb_strerror(-errors[k]));
    }
    assert_string_equal(jdb_strerror(0), "success");
}

/* A cause, then what to do about it: the two halves stand before and after a colon or a semicolon. */
static void every_error_names_its_remedy(void **state)
{
    (void)state;
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        const char *const text = jdb_strerror(-errors[i]);
        const size_t cause = strcspn(text, ":;");
        if (text[cause] == '\0' || strlen(text + cause) < 12)
            fail_msg("no remedy in \"%s\"", text);
        assert_true(cause > 8);
        assert_null(strchr(text, '\n'));
    }
}

static void other_numbers_are_unknown(void **state)
{
    (void)state;
    static const int others[] = {EIO, ENOENT, EFAULT, 99999, INT_MAX, INT_MIN, -INT_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_non_null(strstr(jdb_strerror(others[i]), "unknown error"));
}

static void version_agrees_with_its_parts(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", JDB_VERSION_MAJOR, JDB_VERSION_MINOR, JDB_VERSION_PATCH);
    assert_string_equal(text, JDB_VERSION_STRING);
    assert_int_equal(jdb_version(), JDB_VERSION_MAJOR * 1000000 + JDB_VERSION_MINOR * 1000 + JDB_VERSION_PATCH);
}

static void page_is_4096_everywhere(void **state)
{
    (void)state;
    assert_int_equal(JDB_PAGE_SIZE, 4096);
    assert_int_equal(JDB_ALIGNMENT, 4096);
    assert_int_equal(sizeof JDB_PAGE_SIZE, sizeof(size_t));
    assert_int_equal(sizeof(jdb_buf), 3 * sizeof(void *));
    assert_int_equal(sizeof(jdb_raw), 3 * sizeof(void *));
    assert_int_equal(sizeof(jdb_raw_iter), 6 * sizeof(void *));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_text_of_its_own), cmocka_unit_test(every_error_names_its_remedy),
        cmocka_unit_test(other_numbers_are_unknown),         cmocka_unit_test(version_agrees_with_its_parts),
        cmocka_unit_test(page_is_4096_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
