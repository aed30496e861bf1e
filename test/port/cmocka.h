/* SPDX-License-Identifier: MIT
 *
 * cmocka.h - the part of cmocka's interface that our tests use, for systems that have no cmocka at hand: other
 * architectures in an emulator, other C libraries (script/test, steps aarch64 and musl). Elsewhere the real one is used.
 *
 * Included by one file of a program only: everything is static.
 */
#ifndef JDB_TEST_PORT_CMOCKA_H
#define JDB_TEST_PORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func;
    CMFixtureFunction teardown_func;
    void *initial_state;
};

#define cmocka_unit_test(f) \
    {                       \
#f, f, 0, 0, 0      \
    }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
    {                                                       \
#f, f, setup, teardown, 0                           \
    }
#define cmocka_unit_test_prestate(f, state) \
    {                                       \
#f, f, 0, 0, state                  \
    }

enum { PORT_RUNNING, PORT_FAILED, PORT_SKIPPED };

static _Thread_local jmp_buf *port_return; /* of the thread that runs the case */

__attribute__((unused, noreturn)) static void port_end(int how)
{
    if (port_return == 0)
        abort(); /* failed on a thread that the case made */
    longjmp(*port_return, how);
}

__attribute__((unused)) static void port_check(int good, const char *what, const char *file, int line)
{
    if (good)
        return;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    port_end(PORT_FAILED);
}

__attribute__((unused)) static void port_equal(uintmax_t a, uintmax_t b, const char *what, const char *file, int line)
{
    if (a == b)
        return;
    fprintf(stderr, "%s:%d: %s: %#jx and %#jx\n", file, line, what, a, b);
    port_end(PORT_FAILED);
}

#define port_word(value) ((uintmax_t)(uintptr_t)(value))
#define assert_true(value) port_check(!!(value), "must be true: " #value, __FILE__, __LINE__)
#define assert_false(value) port_check(!(value), "must be false: " #value, __FILE__, __LINE__)
#define assert_null(value) port_check((value) == 0, "must be NULL: " #value, __FILE__, __LINE__)
#define assert_non_null(value) port_check((value) != 0, "must not be NULL: " #value, __FILE__, __LINE__)
#define assert_int_equal(a, b) port_equal(port_word(a), port_word(b), #a " == " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) port_check(port_word(a) != port_word(b), #a " != " #b, __FILE__, __LINE__)
#define assert_ptr_equal(a, b) port_equal(port_word(a), port_word(b), #a " == " #b, __FILE__, __LINE__)
#define assert_ptr_not_equal(a, b) port_check(port_word(a) != port_word(b), #a " != " #b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, size) \
    port_check(memcmp((a), (b), (size)) == 0, "same bytes: " #a ", " #b, __FILE__, __LINE__)
#define assert_memory_not_equal(a, b, size) \
    port_check(memcmp((a), (b), (size)) != 0, "other bytes: " #a ", " #b, __FILE__, __LINE__)
#define assert_string_equal(a, b) port_check(strcmp((a), (b)) == 0, "same text: " #a ", " #b, __FILE__, __LINE__)
#define assert_string_not_equal(a, b) port_check(strcmp((a), (b)) != 0, "other text: " #a ", " #b, __FILE__, __LINE__)
#define assert_in_range(value, low, high)                                                                      \
    port_check(port_word(value) >= port_word(low) && port_word(value) <= port_word(high), "in range: " #value, \
               __FILE__, __LINE__)
#define print_message(...) printf(__VA_ARGS__)
#define print_error(...) fprintf(stderr, __VA_ARGS__)
#define skip() port_end(PORT_SKIPPED)
#define fail() port_check(0, "fail", __FILE__, __LINE__)
#define fail_msg(...)                                     \
    do {                                                  \
        fprintf(stderr, __VA_ARGS__);                     \
        port_check(0, " (fail_msg)", __FILE__, __LINE__); \
    } while (0)

/* What a case leaves behind is removed after a failure and a skip too. */
static int port_run(const struct CMUnitTest *test)
{
    jmp_buf here;
    void *state = test->initial_state;
    port_return = &here;
    int how = setjmp(here);
    if (how == PORT_RUNNING) {
        if (test->setup_func != 0 && test->setup_func(&state) != 0)
            return PORT_FAILED;
        test->test_func(&state);
    }
    port_return = &here;
    if (setjmp(here) != 0)
        return PORT_FAILED;
    if (test->teardown_func != 0 && test->teardown_func(&state) != 0)
        how = PORT_FAILED;
    port_return = 0;
    return how;
}

/* All cases run here. */
static inline void cmocka_set_test_filter(const char *pattern)
{
    (void)pattern;
}

static int port_run_group(const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
                          CMFixtureFunction teardown)
{
    static const char *const verdicts[] = {"[       OK ]", "[  FAILED  ]", "[  SKIPPED ]"};
    int failed = 0;
    void *state = 0;
    if (setup != 0 && setup(&state) != 0) {
        printf("[  FAILED  ] setup of the group\n");
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        const int how = port_run(&tests[i]);
        printf("%s %s\n", verdicts[how], tests[i].name);
        fflush(stdout);
        failed += how == PORT_FAILED;
    }
    if (teardown != 0 && teardown(&state) != 0) {
        printf("[  FAILED  ] teardown of the group\n");
        failed++;
    }
    return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
    port_run_group((tests), sizeof(tests) / sizeof(tests)[0], setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) cmocka_run_group_tests(tests, setup, teardown)

#endif
