/* SPDX-License-Identifier: MIT
 *
 * grow_test.c - reserve and shrink: what stays, what moves, what is refused. Ranges set aside are in max_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

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

/* ---- Reserve ---------------------------------------------------------------------------------------------- */

static void reserve_makes_room_and_keeps_the_content(void **state)
{
    (void)state;
    static const size_t starts[] = {1, 5000, 64 * KIB, 200 * KIB, 3 * MIB};
    for (size_t i = 0; i < 5; i++)
        for (size_t more = 1; more <= 8 * MIB; more = more * 5 + 3) {
            jdb_buf buf;
            assert_int_equal(jdb_buf_with_cap(&buf, starts[i]), 0);
            const size_t len = buf.cap - 8;
            fill_words(&buf, 0, len);
            assert_int_equal(jdb_buf_set_len(&buf, len), 0);
            assert_int_equal(jdb_buf_reserve(&buf, more), 0);
            assert_sane(&buf);
            assert_true(buf.cap - buf.len >= more);
            assert_int_equal(buf.len, len);
            assert_true(has_words(&buf, len));
            memset(buf.ptr + len, 0x11, buf.cap - len);
            assert_true(has_words(&buf, len));
            jdb_buf_drop(&buf);
        }
}

static void reserve_within_the_capacity_changes_nothing(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_zeroed(&buf, 4000), 0);
    const jdb_buf was = buf;
    assert_int_equal(jdb_buf_reserve(&buf, 0), 0);
    assert_int_equal(jdb_buf_reserve(&buf, 96), 0);
    assert_memory_equal(&buf, &was, sizeof buf);
    assert_int_equal(jdb_buf_reserve(&buf, 97), 0);
    assert_true(buf.cap >= 8192);
    jdb_buf_drop(&buf);
}

/* What moves grows at least by half; in place it may take what is free. */
static void reserve_makes_appending_linear(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    unsigned growths = 0;
    while (buf.len < 32 * MIB) {
        const jdb_buf was = buf;
        assert_int_equal(jdb_buf_reserve(&buf, 4096), 0);
        if (buf.ptr != was.ptr)
            assert_true(buf.cap >= was.cap + was.cap / 2);
        growths += buf.cap != was.cap;
        fill_words(&buf, buf.len, buf.len + 4096);
        assert_int_equal(jdb_buf_set_len(&buf, buf.len + 4096), 0);
    }
    assert_true(growths <= 48);
    assert_true(has_words(&buf, buf.len));
    jdb_buf_drop(&buf);
}

static void reserve_works_on_the_empty_buffer(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_reserve(&buf, 0), 0);
    assert_null(buf.ptr);
    assert_int_equal(jdb_buf_reserve(&buf, 1), 0);
    assert_sane(&buf);
    assert_true(buf.cap >= 4096);
    assert_int_equal(buf.len, 0);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_buf_reserve(&buf, 100000), 0);
    assert_true(buf.cap >= 100000);
    jdb_buf_drop(&buf);
}

static void reserve_of_what_cannot_be_changes_nothing(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_zeroed(&buf, 100), 0);
    buf.ptr[99] = 42;
    const jdb_buf was = buf;
    assert_int_equal(jdb_buf_reserve(NULL, 1), -EINVAL);
    static const size_t wraps[] = {SIZE_MAX,
                                   SIZE_MAX - 100,
                                   SIZE_MAX - 99,
                                   (size_t)PTRDIFF_MAX,
                                   (size_t)PTRDIFF_MAX - 100,
                                   (size_t)PTRDIFF_MAX - 4194};
    for (size_t i = 0; i < sizeof wraps / sizeof wraps[0]; i++)
        assert_int_equal(jdb_buf_reserve(&buf, wraps[i]), -EOVERFLOW);
    assert_int_equal(jdb_buf_reserve(&buf, (size_t)PTRDIFF_MAX - 4195), -ENOMEM);
    assert_int_equal(jdb_buf_reserve(&buf, (size_t)1 << 62), -ENOMEM);
    assert_int_equal(jdb_buf_reserve(&buf, (size_t)1 << 48), -ENOMEM);
    assert_memory_equal(&buf, &was, sizeof buf);
    assert_int_equal(buf.ptr[99], 42);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_buf_reserve(&buf, SIZE_MAX), -EOVERFLOW);
    assert_null(buf.ptr);
}

/* Growth must not hand the memory of one buffer to another: neighbours are checked after every step. */
static void reserve_leaves_the_neighbours_alone(void **state)
{
    (void)state;
    enum { COUNT = 24 };
    uint64_t random = random_seed("neighbours");
    jdb_buf bufs[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(jdb_buf_with_cap(&bufs[i], 4096), 0);
        memset(bufs[i].ptr, (int)i, 4096);
        assert_int_equal(jdb_buf_set_len(&bufs[i], 4096), 0);
    }
    const uint64_t rounds = tier_pick(300, 2000, 20000);
    for (uint64_t round = 0; round < rounds; round++) {
        jdb_buf *const buf = &bufs[random_below(&random, COUNT)];
        const int value = (int)(buf - bufs);
        const size_t more = random_log_uniform(&random, 4096, 256 * KIB) & ~(size_t)4095;
        if (buf->len + more > 4 * MIB) {
            jdb_buf_truncate(buf, 4096);
            assert_int_equal(jdb_buf_shrink(buf), 0);
        }
        assert_int_equal(jdb_buf_reserve(buf, more), 0);
        memset(buf->ptr + buf->len, value, more);
        assert_int_equal(jdb_buf_set_len(buf, buf->len + more), 0);
        for (size_t i = 0; i < COUNT; i++)
            for (size_t at = 0; at < bufs[i].len; at += 4096)
                if (bufs[i].ptr[at] != i || bufs[i].ptr[at + 4095] != i)
                    fail_msg("buffer %zu at %zu", i, at);
    }
    for (size_t i = 0; i < COUNT; i++)
        jdb_buf_drop(&bufs[i]);
}

/* After memory was moved away, the addresses it left serve other buffers as any memory does. */
static void addresses_left_by_growth_are_good_memory(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        jdb_buf grown;
        jdb_buf wall;
        assert_int_equal(jdb_buf_zeroed(&grown, 256 * KIB), 0);
        assert_int_equal(jdb_buf_with_cap(&wall, 4096), 0);
        memset(grown.ptr, 0x77, grown.len);
        assert_int_equal(jdb_buf_reserve(&grown, 700 * KIB), 0);
        jdb_buf others[6];
        for (size_t i = 0; i < 6; i++) {
            assert_int_equal(jdb_buf_zeroed(&others[i], 128 * KIB), 0);
            for (size_t at = 0; at < 128 * KIB; at++)
                if (others[i].ptr[at] != 0)
                    fail_msg("round %d: byte %zu of buffer %zu is not zero", round, at, i);
            memset(others[i].ptr, 0x33, others[i].cap);
        }
        for (size_t at = 0; at < grown.len; at++)
            if (grown.ptr[at] != 0x77)
                fail_msg("round %d: byte %zu of the grown buffer is lost", round, at);
        for (size_t i = 0; i < 6; i++)
            jdb_buf_drop(&others[i]);
        jdb_buf_drop(&grown);
        jdb_buf_drop(&wall);
    }
}

/* Grow twice, filled after each step: on older kernels the second move meets a run of several mappings. */
static void grow_and_fill(jdb_buf *buf)
{
    for (size_t size = MIB; size <= 4 * MIB; size *= 2) {
        assert_int_equal(jdb_buf_reserve(buf, size - buf->len), 0);
        const size_t len = buf->len;
        assert_int_equal(jdb_buf_set_len(buf, size), 0);
        fill_words(buf, len, size);
    }
}

static bool grow_with_a_failure(unsigned after, int err, bool all_later)
{
    jdb_buf bufs[2] = {JDB_BUF_INIT, JDB_BUF_INIT};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(jdb_buf_with_cap(&bufs[i], MIB), 0);
    for (size_t i = 0; i < 2; i++)
        grow_and_fill(&bufs[i]);
    const size_t more = bufs[0].cap - bufs[0].len + 1;
    (all_later ? faults_arm_all : faults_arm)(OS_CALL_REMAP, after, err);
    assert_int_equal(jdb_buf_reserve(&bufs[0], more), 0);
    const bool has_failed = faults_disarm();
    for (size_t i = 0; i < 2; i++) {
        assert_true(has_words(&bufs[i], bufs[i].len));
        const size_t len = bufs[i].len;
        assert_int_equal(jdb_buf_set_len(&bufs[i], bufs[i].cap), 0);
        fill_words(&bufs[i], len, bufs[i].cap);
        assert_true(has_words(&bufs[i], bufs[i].cap));
        jdb_buf_drop(&bufs[i]);
    }
    return has_failed;
}

/* Where the system wants pages moved in parts (-EFAULT), and where one part of several cannot move, or the place that it moves to
 * is lost (-EADDRNOTAVAIL). */
static void pages_move_in_parts_or_are_copied(void **state)
{
    (void)state;
    static const int errors[] = {-EFAULT, -ENOMEM, -EINVAL, -EADDRNOTAVAIL};
    unsigned failed = 0;
    for (size_t i = 0; i < 4; i++) {
        for (unsigned after = 0; grow_with_a_failure(after, errors[i], false); after++)
            failed++;
        for (unsigned after = 0; grow_with_a_failure(after, errors[i], true); after++)
            failed++;
    }
    print_message("%u moves of page tables failed\n", failed);
    assert_true(failed > 0 || faults_calls(OS_CALL_REMAP) == 0); /* no call: a system without them */
}

/* One mapping after the other in a range of its own, until the process may have only `spare` more; NULL where that is not
 * known. */
static uint8_t *use_up_mappings(long spare, size_t *ret_size)
{
    long max = 0;
    long count = 0;
    FILE *const limit = fopen("/proc/sys/vm/max_map_count", "r");
    FILE *const maps = fopen("/proc/self/maps", "r");
    if (limit != NULL && maps != NULL && fscanf(limit, "%ld", &max) == 1)
        for (int c = fgetc(maps); c != EOF; c = fgetc(maps))
            count += c == '\n';
    if (limit != NULL)
        fclose(limit);
    if (maps != NULL)
        fclose(maps);
    if (max == 0 || max > 1000000)
        return NULL;
    const size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    const size_t pages = (size_t)(max - count) + 8;
    uint8_t *const range = mmap(NULL, pages * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(range != MAP_FAILED);
    const long wanted = max - count - spare;
    long more = 1;
    for (size_t i = 1; more + 2 <= wanted && mprotect(range + i * page_size, page_size, PROT_READ) == 0; i += 2)
        more += 2;
    if (more < wanted)
        MUST(mprotect(range + (pages - 1) * page_size, page_size, PROT_READ) == 0);
    *ret_size = pages * page_size;
    return range;
}

/* Where the process may have no more mappings, a buffer that lies in several of them can move in part alone: Linux 6.17 and
 * later then report an error with the rest left behind. */
static void grow_without_mappings(void *context)
{
    const long spare = *(const long *)context;
    jdb_buf buf;
    jdb_buf walls[3];
    MUST(jdb_buf_with_cap(&buf, MIB) == 0);
    for (size_t i = 0; i < 3; i++) {
        buf.len = buf.cap;
        fill_words(&buf, 0, buf.cap);
        MUST(jdb_buf_with_cap(&walls[i], 6 * MIB) == 0);
        if (i < 2)
            MUST(jdb_buf_reserve(&buf, (i + 1) * MIB) == 0);
    }
    size_t size = 0;
    uint8_t *const range = use_up_mappings(spare, &size);
    const size_t len = buf.len;
    const int err = jdb_buf_reserve(&buf, 8 * MIB);
    if (range != NULL)
        MUST(munmap(range, size) == 0);
    MUST(err == 0 || err == -ENOMEM);
    MUST(has_words(&buf, len));
}

static void content_survives_where_mappings_run_out(void **state)
{
    (void)state;
    if (TIER_SANITIZED || tier_is_emulated())
        skip();
    char text[256];
    for (long spare = 0; spare < (long)tier_pick(6, 10, 16); spare++)
        if (must_run_child(grow_without_mappings, &spare, text, sizeof text) != 0)
            fail_msg("%ld mappings spare: %s", spare, text);
}

static void grow_locked(void *context)
{
    (void)context;
    jdb_buf buf;
    jdb_buf wall;
    jdb_page_stats stats = {.size = sizeof stats};
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return;
    MUST(jdb_buf_with_cap(&buf, MIB) == 0);
    fill_words(&buf, 0, buf.cap);
    buf.len = buf.cap;
    MUST(jdb_buf_with_cap(&wall, MIB) == 0);
    MUST(jdb_get_page_stats(&stats) == 0);
    const uint64_t copied = stats.copied_bytes;
    const unsigned long moves = faults_calls(OS_CALL_REMAP);
    MUST(jdb_buf_reserve(&buf, MIB) == 0);
    MUST(has_words(&buf, buf.len));
    MUST(jdb_get_page_stats(&stats) == 0);
    MUST(faults_calls(OS_CALL_REMAP) == moves || stats.copied_bytes == copied); /* no call: a system without them */
}

static void locked_memory_is_moved_too(void **state)
{
    (void)state;
    if (TIER_SANITIZED || tier_is_emulated()) /* their own memory is too much to lock */
        skip();
    char text[256];
    if (must_run_child(grow_locked, NULL, text, sizeof text) != 0)
        fail_msg("%s", text);
}

static void an_alignment_asked_for_is_kept(void **state)
{
    (void)state;
    for (size_t align = 4096; align <= 2 * MIB; align *= 2) {
        jdb_buf buf;
        jdb_buf wall;
        assert_int_equal(jdb_buf_with_cap_aligned(&buf, 1, align), 0);
        for (size_t i = 0; i < 4; i++) {
            fill_words(&buf, 0, buf.cap);
            assert_int_equal(jdb_buf_set_len(&buf, buf.cap), 0);
            assert_int_equal(jdb_buf_with_cap(&wall, 4096), 0);
            assert_int_equal(jdb_buf_reserve(&buf, 5000), 0);
            assert_int_equal((uintptr_t)buf.ptr % align, 0);
            assert_int_equal(buf.cap % align, 0);
            assert_true(has_words(&buf, buf.len));
            jdb_buf_drop(&wall);
        }
        jdb_buf_drop(&buf);
    }
}

/* ---- Shrink ----------------------------------------------------------------------------------------------- */

static void shrink_gives_back_the_pages_past_len(void **state)
{
    (void)state;
    static const size_t caps[] = {4096, 8192, 64 * KIB, 300 * KIB, 5 * MIB};
    static const size_t lens[] = {0, 8, 4096, 4104, 16384, 100000};
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 6 && lens[k] <= caps[i]; k++) {
            jdb_buf buf;
            assert_int_equal(jdb_buf_with_cap(&buf, caps[i]), 0);
            fill_words(&buf, 0, buf.cap);
            assert_int_equal(jdb_buf_set_len(&buf, lens[k]), 0);
            uint8_t *const ptr = buf.ptr;
            assert_int_equal(jdb_buf_shrink(&buf), 0);
            assert_ptr_equal(buf.ptr, ptr);
            assert_int_equal(buf.len, lens[k]);
            assert_int_equal(buf.cap, lens[k] == 0 ? 4096 : (lens[k] + 4095) / 4096 * 4096);
            assert_true(has_words(&buf, buf.cap));
            assert_int_equal(jdb_buf_reserve(&buf, MIB), 0);
            assert_true(has_words(&buf, lens[k] & ~(size_t)7));
            memset(buf.ptr, 1, buf.cap);
            jdb_buf_drop(&buf);
        }
}

static void shrink_of_nothing(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_shrink(&buf), 0);
    assert_null(buf.ptr);
    assert_int_equal(jdb_buf_shrink(NULL), -EINVAL);
}

/* The pages given back are lent to others while the buffer lives. */
static void pages_given_back_are_apart_from_the_buffer(void **state)
{
    (void)state;
    for (size_t cap = 8192; cap <= 2 * MIB; cap *= 2) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, cap), 0);
        memset(buf.ptr, 0x44, buf.cap);
        assert_int_equal(jdb_buf_set_len(&buf, cap / 4), 0);
        assert_int_equal(jdb_buf_shrink(&buf), 0);
        jdb_buf others[16];
        for (size_t i = 0; i < 16; i++) {
            assert_int_equal(jdb_buf_with_cap(&others[i], cap / 4), 0);
            memset(others[i].ptr, 0x55, others[i].cap);
        }
        for (size_t at = 0; at < buf.cap; at++)
            assert_int_equal(buf.ptr[at], 0x44);
        for (size_t i = 0; i < 16; i++)
            jdb_buf_drop(&others[i]);
        jdb_buf_drop(&buf);
    }
}

static void shrunk_buffer_clones_and_drops(void **state)
{
    (void)state;
    jdb_buf buf;
    jdb_buf clone;
    assert_int_equal(jdb_buf_with_cap_aligned(&buf, 4 * MIB, 2 * MIB), 0);
    fill_words(&buf, 0, 8192);
    assert_int_equal(jdb_buf_set_len(&buf, 8000), 0);
    assert_int_equal(jdb_buf_shrink(&buf), 0);
    assert_int_equal((uintptr_t)buf.ptr % (2 * MIB), 0);
    assert_int_equal(buf.cap, 8192);
    assert_int_equal(jdb_buf_try_clone(&buf, &clone), 0);
    assert_int_equal(clone.cap, 8192);
    assert_true(has_words(&clone, 8000));
    jdb_buf_drop(&buf);
    jdb_buf_drop(&clone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserve_makes_room_and_keeps_the_content),
        cmocka_unit_test(reserve_within_the_capacity_changes_nothing),
        cmocka_unit_test(reserve_makes_appending_linear),
        cmocka_unit_test(reserve_works_on_the_empty_buffer),
        cmocka_unit_test(reserve_of_what_cannot_be_changes_nothing),
        cmocka_unit_test(reserve_leaves_the_neighbours_alone),
        cmocka_unit_test(addresses_left_by_growth_are_good_memory),
        cmocka_unit_test(pages_move_in_parts_or_are_copied),
        cmocka_unit_test(content_survives_where_mappings_run_out),
        cmocka_unit_test(locked_memory_is_moved_too),
        cmocka_unit_test(an_alignment_asked_for_is_kept),
        cmocka_unit_test(shrink_gives_back_the_pages_past_len),
        cmocka_unit_test(shrink_of_nothing),
        cmocka_unit_test(pages_given_back_are_apart_from_the_buffer),
        cmocka_unit_test(shrunk_buffer_clones_and_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
