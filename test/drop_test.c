/* SPDX-License-Identifier: MIT
 *
 * drop_test.c - a free that would corrupt memory is reported in one line on stderr and aborts, in every build.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "must.h"
#include "tier.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

struct breach {
    size_t size;
    ptrdiff_t ptr_change;
    ptrdiff_t cap_change;
};

static void body_change_and_drop(void *argument)
{
    const struct breach *const breach = argument;
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, breach->size) == 0);
    buf.ptr = (uint8_t *)((uintptr_t)buf.ptr + (uintptr_t)breach->ptr_change);
    buf.cap += (size_t)breach->cap_change;
    jdb_buf_drop(&buf);
}

static void body_drop_a_copy(void *argument)
{
    const struct breach *const breach = argument;
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, breach->size) == 0);
    jdb_buf copy = buf;
    jdb_buf_drop(&buf);
    jdb_buf_drop(&copy);
}

static void *drop_it(void *argument)
{
    jdb_buf_drop(argument);
    return NULL;
}

static void body_drop_a_copy_on_another_thread(void *argument)
{
    const struct breach *const breach = argument;
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, breach->size) == 0);
    jdb_buf copy = buf;
    jdb_buf_drop(&buf);
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, drop_it, &copy) == 0);
    pthread_join(thread, NULL);
}

static void body_drop_a_copy_after_others(void *argument)
{
    const struct breach *const breach = argument;
    jdb_buf bufs[40];
    for (size_t i = 0; i < 40; i++)
        MUST(jdb_buf_with_cap(&bufs[i], breach->size) == 0);
    jdb_buf copy = bufs[0];
    for (size_t i = 0; i < 40; i++)
        jdb_buf_drop(&bufs[i]);
    jdb_buf_drop(&copy);
}

static void body_drop_a_clone_of_pinned(void *argument)
{
    const struct breach *const breach = argument;
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, breach->size) == 0);
    jdb_buf copy = buf;
    MUST(jdb_pin(buf.ptr, buf.cap) == 0);
    jdb_buf_drop(&buf);
    jdb_buf_drop(&copy);
}

static void body_drop_parts_that_were_handed_out_and_dropped(void *argument)
{
    const struct breach *const breach = argument;
    jdb_buf buf;
    uint8_t *ptr = NULL;
    size_t cap = 0;
    MUST(jdb_buf_with_cap(&buf, breach->size) == 0);
    jdb_buf_into_raw_parts(&buf, &ptr, NULL, &cap);
    MUST(jdb_buf_from_raw_parts(&buf, ptr, 0, cap) == 0);
    jdb_buf second;
    MUST(jdb_buf_from_raw_parts(&second, ptr, 0, cap) == 0);
    jdb_buf_drop(&buf);
    jdb_buf_drop(&second);
}

static void body_drop_foreign(void *argument)
{
    (void)argument;
    static jdb_page page;
    jdb_buf buf = {page.bytes, 0, 4096};
    jdb_buf_drop(&buf);
}

static void body_drop_heap(void *argument)
{
    (void)argument;
    void *heap = NULL;
    MUST(posix_memalign(&heap, 4096, 8192) == 0);
    jdb_buf buf = {heap, 0, 8192};
    jdb_buf_drop(&buf);
}

static void assert_breach(void (*body)(void *), const struct breach *breach)
{
    char text[4096];
    struct breach copy = *breach;
    const int status = must_run_child(body, &copy, text, sizeof text);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        fail_msg("size %zu, ptr %+td, cap %+td: status %d: %s", breach->size, breach->ptr_change, breach->cap_change,
                 status, text);
    assert_ptr_equal(strstr(text, "jdb_alloc: "), text);
    if (!TIER_SANITIZED && !TIER_CHECKED)
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static const size_t sizes[] = {4096, 8192, 65536, 131072, 300000, 1048576, 20000000};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };

static void copy_dropped_twice_aborts(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const struct breach breach = {sizes[i], 0, 0};
        assert_breach(body_drop_a_copy, &breach);
        assert_breach(body_drop_a_copy_on_another_thread, &breach);
        assert_breach(body_drop_a_clone_of_pinned, &breach);
        assert_breach(body_drop_parts_that_were_handed_out_and_dropped, &breach);
        if (sizes[i] <= 1048576)
            assert_breach(body_drop_a_copy_after_others, &breach);
    }
}

static void changed_words_abort(void **state)
{
    (void)state;
    static const ptrdiff_t changes[] = {-4096, -1, 1, 512, 4096, 1048576};
    for (size_t i = 0; i < SIZE_COUNT; i++)
        for (size_t k = 0; k < sizeof changes / sizeof changes[0]; k++) {
            const struct breach moved = {sizes[i], changes[k], 0};
            assert_breach(body_change_and_drop, &moved);
            const struct breach resized = {sizes[i], 0, changes[k]};
            assert_breach(body_change_and_drop, &resized);
        }
}

static void interior_run_aborts(void **state)
{
    (void)state;
    for (size_t i = 1; i < SIZE_COUNT; i++) {
        const struct breach tail = {sizes[i], 4096, -4096};
        assert_breach(body_change_and_drop, &tail);
    }
}

static void foreign_memory_aborts(void **state)
{
    (void)state;
    const struct breach any = {4096, 0, 0};
    assert_breach(body_drop_foreign, &any);
    assert_breach(body_drop_heap, &any);
}

/* A common habit: the pointer set to NULL by hand. Nothing is owned, so nothing happens. */
static void null_with_a_capacity_becomes_empty(void **state)
{
    (void)state;
    jdb_buf one;
    assert_int_equal(jdb_buf_with_cap(&one, 5 * 4096), 0); /* this thread has bins now, most of them unused */
    for (size_t pages = 1; pages <= 32; pages++) {
        jdb_buf buf = {NULL, 0, pages * 4096};
        jdb_buf_drop(&buf);
        assert_int_equal(buf.cap, 0);
    }
    jdb_buf_drop(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_with_a_capacity_becomes_empty),
        cmocka_unit_test(copy_dropped_twice_aborts),
        cmocka_unit_test(changed_words_abort),
        cmocka_unit_test(interior_run_aborts),
        cmocka_unit_test(foreign_memory_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
