/* SPDX-License-Identifier: MIT
 *
 * max_test.c - jdb_buf_with_max: an address range set aside, in which a buffer grows without moving.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "cost.h"
#include "faults.h"
#include "must.h"
#include "tier.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static uint64_t word_at(size_t i)
{
    return (uint64_t)i * 0x9e3779b97f4a7c15u ^ 0x5bd1e995u;
}

static void fill_words(jdb_buf *buf, size_t from, size_t to)
{
    for (size_t at = from; at < to; at += sizeof(uint64_t)) {
        const uint64_t word = word_at(at);
        memcpy(buf->ptr + at, &word, sizeof word);
    }
}

static bool has_words(const jdb_buf *buf, size_t to)
{
    for (size_t at = 0; at < to; at += sizeof(uint64_t)) {
        const uint64_t word = word_at(at);
        if (memcmp(buf->ptr + at, &word, sizeof word) != 0)
            return false;
    }
    return true;
}

static void assert_sane(const jdb_buf *buf)
{
    assert_non_null(buf->ptr);
    assert_int_equal((uintptr_t)buf->ptr % 4096, 0);
    assert_int_equal(buf->cap % 4096, 0);
    assert_true(buf->len <= buf->cap);
}

static void buffer_with_max_grows_in_place(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_max(&buf, 5000, 10 * MIB - 1), 0);
    assert_sane(&buf);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.cap, 8192);
    uint8_t *const ptr = buf.ptr;
    while (buf.len < 10 * MIB) {
        assert_int_equal(jdb_buf_reserve(&buf, 64 * KIB), 0);
        assert_ptr_equal(buf.ptr, ptr);
        assert_true(buf.cap <= 10 * MIB);
        fill_words(&buf, buf.len, buf.len + 64 * KIB);
        assert_int_equal(jdb_buf_set_len(&buf, buf.len + 64 * KIB), 0);
    }
    assert_int_equal(buf.cap, 10 * MIB);
    const jdb_buf was = buf;
    assert_int_equal(jdb_buf_reserve(&buf, 1), -ENOBUFS);
    assert_int_equal(jdb_buf_reserve(&buf, GIB), -ENOBUFS);
    assert_memory_equal(&buf, &was, sizeof buf);
    assert_true(has_words(&buf, buf.len));
    jdb_buf_drop(&buf);
}

static void max_is_a_bound_whatever_the_sizes(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{0, 0}, {0, 1}, {1, 4096}, {4096, 4096}, {4096, 4097}, {70000, 300000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_max(&buf, sizes[i][0], sizes[i][1]), 0);
        const size_t least = sizes[i][0] == 0 ? 1 : sizes[i][0];
        const size_t most = sizes[i][1] == 0 ? 1 : sizes[i][1];
        const size_t max = (most + 4095) / 4096 * 4096;
        assert_int_equal(buf.cap, (least + 4095) / 4096 * 4096);
        uint8_t *const ptr = buf.ptr;
        assert_int_equal(jdb_buf_reserve(&buf, max + 1), -ENOBUFS);
        assert_int_equal(jdb_buf_reserve(&buf, max), 0);
        assert_ptr_equal(buf.ptr, ptr);
        assert_int_equal(buf.cap, max);
        memset(buf.ptr, 1, buf.cap);
        assert_int_equal(jdb_buf_set_len(&buf, max), 0);
        assert_int_equal(jdb_buf_reserve(&buf, 1), -ENOBUFS);
        jdb_buf_drop(&buf);
    }
}

static void max_below_cap_is_einval(void **state)
{
    (void)state;
    jdb_buf buf = {(uint8_t *)0x1234567, 99, 7};
    assert_int_equal(jdb_buf_with_max(&buf, 4097, 4096), -EINVAL);
    assert_null(buf.ptr);
    assert_int_equal(buf.len + buf.cap, 0);
    assert_int_equal(jdb_buf_with_max(&buf, SIZE_MAX, 0), -EINVAL);
    assert_int_equal(jdb_buf_with_max(&buf, SIZE_MAX, SIZE_MAX), -EOVERFLOW);
}

/* Set aside is free always; readable is charged when the system promises no more than it has. */
static bool readable_memory_is_counted(void)
{
    FILE *const file = fopen("/proc/sys/vm/overcommit_memory", "re");
    const int mode = file != NULL ? fgetc(file) : EOF;
    if (file != NULL)
        fclose(file);
    return mode == '2';
}

static void set_aside_costs_no_memory(void **state)
{
    (void)state;
    if (!tier_is_measurable())
        skip();
    jdb_buf first;
    assert_int_equal(jdb_buf_with_max(&first, 4096, 64 * GIB), 0);
    cost_resident_bytes();
    const uint64_t before = cost_resident_bytes();
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_max(&buf, 4096, 64 * GIB), 0);
    buf.ptr[0] = 1;
    const uint64_t after = cost_resident_bytes();
    print_message("reserved: %" PRIu64 " bytes resident\n", after - before);
    assert_true(after < before + 256 * KIB);
    const int err = jdb_buf_reserve(&buf, 32 * GIB);
    if (err == 0)
        buf.ptr[32 * GIB - 1] = 1;
    else
        assert_true(err == -ENOMEM && readable_memory_is_counted());
    assert_true(cost_resident_bytes() < before + 256 * KIB);
    jdb_buf_drop(&buf);
    jdb_buf_drop(&first);
}

static void buffer_with_max_keeps_its_range_when_shrunk(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_max(&buf, MIB, 4 * MIB), 0);
    uint8_t *const ptr = buf.ptr;
    fill_words(&buf, 0, MIB);
    for (int round = 0; round < 4; round++) {
        assert_int_equal(jdb_buf_set_len(&buf, 8192), 0);
        assert_int_equal(jdb_buf_shrink(&buf), 0);
        assert_int_equal(buf.cap, 8192);
        assert_true(has_words(&buf, 8192));
        assert_int_equal(jdb_buf_reserve(&buf, 4 * MIB - 8192), 0);
        assert_ptr_equal(buf.ptr, ptr);
        assert_int_equal(buf.cap, 4 * MIB);
        assert_true(has_words(&buf, 8192));
        memset(buf.ptr + 8192, 0xcc, buf.cap - 8192);
        assert_int_equal(jdb_buf_reserve(&buf, 4 * MIB), -ENOBUFS);
    }
    jdb_buf_drop(&buf);
}

static uint64_t mapped_bytes(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_get_page_stats(&stats), 0);
    return stats.mapped_bytes;
}

static void what_is_readable_of_a_range_is_counted(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_max(&buf, MIB, 16 * MIB), 0);
    const uint64_t before = mapped_bytes();
    assert_int_equal(jdb_buf_reserve(&buf, 8 * MIB), 0);
    assert_int_equal(mapped_bytes(), before + buf.cap - MIB);
    assert_int_equal(jdb_buf_set_len(&buf, 64 * KIB), 0);
    assert_int_equal(jdb_buf_shrink(&buf), 0);
    assert_int_equal(mapped_bytes(), before - MIB + 64 * KIB);
    jdb_buf_drop(&buf);
    assert_int_equal(mapped_bytes(), before - MIB);
}

static void many_ranges_set_aside_are_apart(void **state)
{
    (void)state;
    enum { COUNT = 32 };
    jdb_buf bufs[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(jdb_buf_with_max(&bufs[i], 1, (i + 1) * 128 * KIB), 0);
    for (size_t i = 0; i < COUNT; i++) {
        const size_t max = (i + 1) * 128 * KIB;
        assert_int_equal(jdb_buf_reserve(&bufs[i], max), 0);
        memset(bufs[i].ptr, (int)i, max);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(bufs[i].cap, (i + 1) * 128 * KIB);
        for (size_t at = 0; at < bufs[i].cap; at += 512)
            assert_int_equal(bufs[i].ptr[at], i);
        jdb_buf_drop(&bufs[i]);
    }
}

static void what_is_set_aside_and_not_grown_into_cannot_be_pinned(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_max(&buf, 8192, MIB), 0);
    assert_int_equal(jdb_pin(buf.ptr, 8193), -ERANGE);
    assert_int_equal(jdb_pin(buf.ptr + 8192, 1), -ERANGE);
    assert_int_equal(jdb_pin(buf.ptr + MIB - 1, 1), -ERANGE);
    assert_int_equal(jdb_pin(buf.ptr + MIB / 2, SIZE_MAX), -ERANGE);
    assert_false(jdb_is_pinned(buf.ptr, 1));
    jdb_buf_drop(&buf);
}

static void parts_of_a_buffer_with_max_come_back(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_max(&buf, 8192, MIB), 0);
    uint8_t *ptr = NULL;
    size_t cap = 0;
    jdb_buf_into_raw_parts(&buf, &ptr, NULL, &cap);
    assert_int_equal(jdb_buf_from_raw_parts(&buf, ptr, 0, MIB), -EINVAL);
    assert_int_equal(jdb_buf_from_raw_parts(&buf, ptr, 0, cap), 0);
    assert_int_equal(jdb_buf_reserve(&buf, MIB), 0);
    assert_ptr_equal(buf.ptr, ptr);
    jdb_buf_drop(&buf);
}

static void pinned_buffer_with_max_grows_in_place(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_max(&buf, 4096, 8 * MIB), 0);
    uint8_t *const ptr = buf.ptr;
    ptr[0] = 5;
    assert_int_equal(jdb_pin(ptr, 4096), 0);
    assert_int_equal(jdb_buf_reserve(&buf, 8 * MIB), 0);
    assert_ptr_equal(buf.ptr, ptr);
    assert_int_equal(jdb_pin(ptr + 4 * MIB, 4 * MIB), 0);
    assert_int_equal(jdb_buf_shrink(&buf), -EBUSY);
    assert_int_equal(jdb_buf_reserve(&buf, 8 * MIB + 1), -ENOBUFS);
    assert_int_equal(buf.cap, 8 * MIB);
    assert_int_equal(jdb_unpin(ptr + 4 * MIB, 4 * MIB), 0);
    jdb_buf_drop(&buf);
    assert_int_equal(ptr[0], 5);
    assert_true(jdb_is_pinned(ptr, 1));
    assert_int_equal(jdb_unpin(ptr, 4096), 0);
    assert_false(jdb_is_pinned(ptr, 1));
}

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

/* More is readable than the tables of its first page cover. */
static void *pin_and_unpin(void *argument)
{
    const jdb_raw *const view = argument;
    for (unsigned i = 0; i < 20000; i++)
        MUST(jdb_pin(view->ptr, view->cap) == 0 && jdb_unpin(view->ptr, view->cap) == 0);
    return NULL;
}

/* What is pinned may be unpinned by any thread, also while the owner grows the buffer behind it. */
static void others_pin_while_the_owner_grows(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_max(&buf, 64 * KIB, 64 * MIB), 0);
    jdb_raw view = jdb_raw_new(buf.ptr, 64 * KIB);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pin_and_unpin, &view), 0);
    for (size_t cap = 68 * KIB; cap <= 64 * MIB; cap += 64 * KIB) {
        assert_int_equal(jdb_buf_set_len(&buf, buf.cap), 0);
        assert_int_equal(jdb_buf_reserve(&buf, cap > buf.cap ? cap - buf.cap : 0), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    jdb_buf_drop(&buf);
}

static void a_large_range_is_dropped_where_the_system_refuses(void **state)
{
    (void)state;
    static const enum os_call kinds[] = {OS_CALL_MAP, FAULTS_ANY};
    for (size_t i = 0; i < 2; i++) {
        jdb_buf buf;
        const uint64_t mapped = stats_now().mapped_bytes;
        assert_int_equal(jdb_buf_with_max(&buf, 200 * MIB, 256 * MIB), 0);
        memset(buf.ptr, 1, 4096);
        faults_arm_all(kinds[i], 0, -ENOMEM);
        jdb_buf_drop(&buf);
        assert_true(faults_disarm());
        assert_int_equal(stats_now().lent_bytes, 0);
        const uint64_t kept =
            stats_now().mapped_bytes - mapped; /* all of it where the system empties by mapping anew */
        assert_true(kept == 0 || kept == 200 * MIB || !tier_is_measurable());
        jdb_trim();
        if (!TIER_CHECKED) /* where the range is in quarantine until then */
            assert_int_equal(stats_now().mapped_bytes, mapped);
        assert_int_equal(jdb_buf_with_max(&buf, 200 * MIB, 256 * MIB), 0);
        for (size_t at = 0; at < buf.cap; at += MIB)
            assert_int_equal(buf.ptr[at], 0);
        jdb_buf_drop(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_with_max_grows_in_place),
        cmocka_unit_test(max_is_a_bound_whatever_the_sizes),
        cmocka_unit_test(max_below_cap_is_einval),
        cmocka_unit_test(set_aside_costs_no_memory),
        cmocka_unit_test(buffer_with_max_keeps_its_range_when_shrunk),
        cmocka_unit_test(what_is_readable_of_a_range_is_counted),
        cmocka_unit_test(many_ranges_set_aside_are_apart),
        cmocka_unit_test(what_is_set_aside_and_not_grown_into_cannot_be_pinned),
        cmocka_unit_test(parts_of_a_buffer_with_max_come_back),
        cmocka_unit_test(pinned_buffer_with_max_grows_in_place),
        cmocka_unit_test(others_pin_while_the_owner_grows),
        cmocka_unit_test(a_large_range_is_dropped_where_the_system_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
