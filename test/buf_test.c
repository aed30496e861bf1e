/* SPDX-License-Identifier: MIT
 *
 * buf_test.c - the contract of jdb_buf: make, drop, view, content. Growth is in grow_test.c.
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

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void assert_empty(const jdb_buf *buf)
{
    assert_null(buf->ptr);
    assert_int_equal(buf->len, 0);
    assert_int_equal(buf->cap, 0);
}

static void assert_sane(const jdb_buf *buf)
{
    assert_non_null(buf->ptr);
    assert_int_equal((uintptr_t)buf->ptr % 4096, 0);
    assert_true(buf->cap > 0);
    assert_int_equal(buf->cap % 4096, 0);
    assert_true(buf->len <= buf->cap);
}

/* What an object holds before its constructor runs: content that is overwritten, never freed. */
static jdb_buf garbage(void)
{
    return (jdb_buf){(uint8_t *)0x1234567, 99, 7};
}

static bool is_all(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* A byte that says where it is. */
static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + 1);
}

static void fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(i);
}

/* ---- Allocate and free ------------------------------------------------------------------------------------ */

/* First of all tests: a process that never had much address space still gets its buffers. */
static void body_low_address_space(void *argument)
{
    (void)argument;
    const struct rlimit low = {256 * MIB, 256 * MIB};
    MUST(setrlimit(RLIMIT_AS, &low) == 0);
    jdb_buf small[16];
    for (size_t i = 0; i < 16; i++) {
        MUST(jdb_buf_zeroed(&small[i], 1 * MIB) == 0);
        small[i].ptr[MIB - 1] = 1;
    }
    jdb_buf large = garbage();
    MUST(jdb_buf_with_cap(&large, GIB) == -ENOMEM);
    MUST(large.ptr == NULL && large.len == 0 && large.cap == 0);
    for (size_t i = 0; i < 16; i++)
        jdb_buf_drop(&small[i]);
}

static void works_under_a_low_address_limit(void **state)
{
    (void)state;
    if (TIER_SANITIZED)
        skip();
    char text[512];
    const int status = must_run_child(body_low_address_space, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

static void body_no_memory(void *argument)
{
    (void)argument;
    jdb_buf before;
    MUST(jdb_buf_zeroed(&before, 64 * KIB) == 0);
    const struct rlimit low = {64 * MIB, 64 * MIB};
    MUST(setrlimit(RLIMIT_DATA, &low) == 0);
    jdb_buf buf = garbage();
    MUST(jdb_buf_with_cap(&buf, GIB) == -ENOMEM && buf.ptr == NULL && buf.cap == 0);
    MUST(jdb_buf_zeroed(&buf, GIB) == -ENOMEM && buf.ptr == NULL && buf.len == 0);
    MUST(jdb_buf_with_cap_aligned(&buf, GIB, 2 * MIB) == -ENOMEM && buf.ptr == NULL);
    const jdb_buf was = before;
    MUST(jdb_buf_reserve(&before, GIB) == -ENOMEM);
    MUST(before.ptr == was.ptr && before.len == was.len && before.cap == was.cap);
    MUST(before.ptr[0] == 0 && before.ptr[before.len - 1] == 0);
    jdb_buf_drop(&before);
}

static void no_memory_is_enomem_and_leaves_the_buffer_empty(void **state)
{
    (void)state;
    if (TIER_SANITIZED)
        skip();
    char text[512];
    const int status = must_run_child(body_no_memory, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

static void capacity_is_rounded_up_to_pages(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{0, 4096},           {1, 4096},      {511, 4096},        {4095, 4096},
                                      {4096, 4096},        {4097, 8192},   {5000, 8192},       {8192, 8192},
                                      {65535, 65536},      {65537, 69632}, {1048577, 1052672}, {3145728, 3145728},
                                      {16777217, 16781312}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        jdb_buf buf = garbage();
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i][0]), 0);
        assert_sane(&buf);
        assert_int_equal(buf.cap, sizes[i][1]);
        assert_int_equal(buf.len, 0);
        buf.ptr[0] = 1;
        buf.ptr[buf.cap - 1] = 1;
        jdb_buf_drop(&buf);
        assert_empty(&buf);
    }
}

static void every_capacity_up_to_many_pages_is_exact(void **state)
{
    (void)state;
    for (size_t pages = 1; pages <= 600; pages++) {
        jdb_buf buf = garbage();
        assert_int_equal(jdb_buf_with_cap(&buf, pages * 4096 - pages % 2), 0);
        assert_sane(&buf);
        assert_int_equal(buf.cap, pages * 4096);
        memset(buf.ptr, (int)pages, buf.cap);
        jdb_buf_drop(&buf);
    }
}

static void alignment_asked_for_is_given(void **state)
{
    (void)state;
    for (size_t align = 4096; align <= 64 * MIB; align *= 2) {
        const size_t caps[] = {0, 1, align - 1, align, align + 1, 3 * align};
        jdb_buf bufs[6];
        for (size_t i = 0; i < 6; i++) {
            bufs[i] = garbage();
            assert_int_equal(jdb_buf_with_cap_aligned(&bufs[i], caps[i], align), 0);
            assert_sane(&bufs[i]);
            assert_int_equal((uintptr_t)bufs[i].ptr % align, 0);
            const size_t blocks = caps[i] == 0 ? 1 : (caps[i] + align - 1) / align;
            assert_int_equal(bufs[i].cap, blocks * align);
            assert_int_equal(bufs[i].len, 0);
            bufs[i].ptr[0] = 1;
            bufs[i].ptr[bufs[i].cap - 1] = 1;
        }
        for (size_t i = 0; i < 6; i++)
            jdb_buf_drop(&bufs[i]);
    }
}

static void wrong_alignment_is_einval(void **state)
{
    (void)state;
    static const size_t aligns[] = {0, 1, 2, 512, 2048, 4095, 4097, 6144, 12288, SIZE_MAX, SIZE_MAX - 4095};
    for (size_t i = 0; i < sizeof aligns / sizeof aligns[0]; i++) {
        jdb_buf buf = garbage();
        assert_int_equal(jdb_buf_with_cap_aligned(&buf, 4096, aligns[i]), -EINVAL);
        assert_empty(&buf);
    }
}

static void sizes_that_cannot_be_are_eoverflow(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX,    SIZE_MAX - 4095,           SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1,
                                   PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 4094};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        jdb_buf buf = garbage();
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), -EOVERFLOW);
        assert_empty(&buf);
        buf = garbage();
        assert_int_equal(jdb_buf_zeroed(&buf, sizes[i]), -EOVERFLOW);
        assert_empty(&buf);
        buf = garbage();
        assert_int_equal(jdb_buf_with_cap_aligned(&buf, sizes[i], 4096), -EOVERFLOW);
        assert_empty(&buf);
        buf = garbage();
        assert_int_equal(jdb_buf_with_max(&buf, 1, sizes[i]), -EOVERFLOW);
        assert_empty(&buf);
    }
}

static void alignments_that_cannot_be_are_eoverflow(void **state)
{
    (void)state;
    const size_t half = (size_t)PTRDIFF_MAX + 1;
    const size_t cases[][2] = {{1, half}, {0, half}, {half / 2 + 1, half / 2}, {(size_t)PTRDIFF_MAX - 4095, 8192}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        jdb_buf buf = garbage();
        assert_int_equal(jdb_buf_with_cap_aligned(&buf, cases[i][0], cases[i][1]), -EOVERFLOW);
        assert_empty(&buf);
    }
}

static void sizes_past_the_address_space_are_enomem(void **state)
{
    (void)state;
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX - 4095, (size_t)1 << 62, (size_t)1 << 48, (size_t)1 << 47};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        jdb_buf buf = garbage();
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), -ENOMEM);
        assert_empty(&buf);
        buf = garbage();
        assert_int_equal(jdb_buf_zeroed(&buf, sizes[i]), -ENOMEM);
        assert_empty(&buf);
        buf = garbage();
        assert_int_equal(jdb_buf_with_max(&buf, 1, sizes[i]), -ENOMEM);
        assert_empty(&buf);
        buf = garbage();
        assert_int_equal(jdb_buf_with_cap_aligned(&buf, 1, (size_t)1 << 62), -ENOMEM);
        assert_empty(&buf);
    }
}

static void null_object_is_einval(void **state)
{
    (void)state;
    jdb_buf other = garbage();
    assert_int_equal(jdb_buf_with_cap(NULL, 1), -EINVAL);
    assert_int_equal(jdb_buf_with_cap_aligned(NULL, 1, 4096), -EINVAL);
    assert_int_equal(jdb_buf_with_max(NULL, 1, 2), -EINVAL);
    assert_int_equal(jdb_buf_zeroed(NULL, 1), -EINVAL);
    assert_int_equal(jdb_buf_page(NULL), -EINVAL);
    assert_int_equal(jdb_buf_from_raw_parts(NULL, NULL, 0, 0), -EINVAL);
    assert_int_equal(jdb_buf_try_clone(&other, NULL), -EINVAL);
    assert_int_equal(jdb_buf_set_len(NULL, 0), -EINVAL);
    assert_int_equal(jdb_buf_set_init(NULL, 0), -EINVAL);
    assert_int_equal(jdb_buf_pad_to(NULL, 1), -EINVAL);
    assert_int_equal(jdb_buf_refit_tail(NULL, 0, 1, NULL), -EINVAL);
    assert_int_equal(jdb_buf_extend(NULL, "x", 1), -EINVAL);
    assert_int_equal(jdb_buf_extend(NULL, NULL, 0), -EINVAL);
    jdb_buf_truncate(NULL, 0);
    jdb_buf_clear(NULL);
    assert_int_equal(jdb_buf_len(NULL), 0);
    assert_int_equal(jdb_buf_cap(NULL), 0);
    assert_true(jdb_buf_is_empty(NULL));
    assert_null(jdb_buf_as_ptr(NULL));
    assert_null(jdb_buf_as_mut_ptr(NULL));
}

static void zeroed_reads_as_zero_up_to_cap(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 5000, 65536, 70000, 131072, 1048576, 3000001, 40000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int round = 0; round < 3; round++) {
            jdb_buf buf = garbage();
            assert_int_equal(jdb_buf_zeroed(&buf, sizes[i]), 0);
            assert_sane(&buf);
            assert_int_equal(buf.len, sizes[i]);
            assert_true(is_all(buf.ptr, buf.cap, 0));
            memset(buf.ptr, 0xff, buf.cap);
            jdb_buf_drop(&buf);
        }
}

/* Memory that was written by one size and shape comes back as zero in every other. */
static void zeroed_is_zero_whatever_was_there_before(void **state)
{
    (void)state;
    for (size_t pages = 1; pages <= 300; pages = pages * 3 / 2 + 1) {
        jdb_buf dirty[8];
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(jdb_buf_with_cap(&dirty[i], pages * 4096), 0);
            memset(dirty[i].ptr, 0xee, dirty[i].cap);
        }
        for (size_t i = 0; i < 8; i++)
            jdb_buf_drop(&dirty[i]);
        jdb_buf clean[16];
        for (size_t i = 0; i < 16; i++) {
            assert_int_equal(jdb_buf_zeroed(&clean[i], (1 + i * pages / 5) * 4096), 0);
            assert_true(is_all(clean[i].ptr, clean[i].cap, 0));
        }
        for (size_t i = 0; i < 16; i++)
            jdb_buf_drop(&clean[i]);
    }
}

static void zeroed_gibibyte_is_not_touched(void **state)
{
    (void)state;
    if (!tier_is_measurable())
        skip();
    uint64_t best_ns = UINT64_MAX;
    uint64_t least_growth = UINT64_MAX;
    for (int round = 0; round < 5; round++) {
        const uint64_t resident = cost_resident_bytes();
        const uint64_t start = cost_now_ns();
        jdb_buf buf;
        assert_int_equal(jdb_buf_zeroed(&buf, GIB), 0);
        const uint64_t took = cost_now_ns() - start;
        const uint64_t after = cost_resident_bytes();
        const uint64_t growth = after > resident ? after - resident : 0;
        best_ns = took < best_ns ? took : best_ns;
        least_growth = growth < least_growth ? growth : least_growth;
        assert_int_equal(buf.len, GIB);
        for (size_t at = 0; at < GIB; at += 50 * MIB + 4093)
            assert_int_equal(buf.ptr[at], 0);
        assert_int_equal(buf.ptr[GIB - 1], 0);
        jdb_buf_drop(&buf);
    }
    print_message("zeroed(1 GiB): %" PRIu64 " ns, %" PRIu64 " bytes resident\n", best_ns, least_growth);
    assert_true(best_ns < 1000000);
    assert_true(least_growth < 64 * KIB);
}

static void page_is_one_zeroed_page(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        jdb_buf buf = garbage();
        assert_int_equal(jdb_buf_page(&buf), 0);
        assert_sane(&buf);
        assert_int_equal(buf.len, 4096);
        assert_int_equal(buf.cap, 4096);
        assert_true(is_all(buf.ptr, 4096, 0));
        memset(buf.ptr, round + 1, 4096);
        jdb_buf_drop(&buf);
    }
}

static void drop_accepts_null_and_the_empty_buffer(void **state)
{
    (void)state;
    jdb_buf_drop(NULL);
    jdb_buf buf = JDB_BUF_INIT;
    jdb_buf_drop(&buf);
    assert_empty(&buf);
    assert_int_equal(jdb_buf_page(&buf), 0);
    jdb_buf_drop(&buf);
    jdb_buf_drop(&buf);
    assert_empty(&buf);
}

static void buffer_moves_by_assignment(void **state)
{
    (void)state;
    jdb_buf from;
    assert_int_equal(jdb_buf_zeroed(&from, 100), 0);
    jdb_buf to = from;
    to.ptr[99] = 5;
    assert_int_equal(jdb_buf_extend(&to, "abc", 3), 0);
    assert_int_equal(to.len, 103);
    jdb_buf_drop(&to);
}

static void clone_copies_len_and_keeps_cap(void **state)
{
    (void)state;
    static const size_t caps[] = {4096, 8192, 65536, 1048576 + 4096};
    for (size_t i = 0; i < 4; i++) {
        jdb_buf src;
        jdb_buf dst = garbage();
        assert_int_equal(jdb_buf_with_cap(&src, caps[i]), 0);
        fill(src.ptr, src.cap);
        assert_int_equal(jdb_buf_set_len(&src, caps[i] - 1000), 0);
        const jdb_buf was = src;
        assert_int_equal(jdb_buf_try_clone(&src, &dst), 0);
        assert_sane(&dst);
        assert_memory_equal(&src, &was, sizeof src);
        assert_ptr_not_equal(dst.ptr, src.ptr);
        assert_int_equal(dst.len, src.len);
        assert_int_equal(dst.cap, src.cap);
        assert_memory_equal(dst.ptr, src.ptr, src.len);
        memset(dst.ptr, 0, dst.cap);
        assert_int_equal(src.ptr[10], byte_at(10));
        jdb_buf_drop(&src);
        jdb_buf_drop(&dst);
    }
}

static void clone_of_empty_and_of_itself(void **state)
{
    (void)state;
    const jdb_buf empty = JDB_BUF_INIT;
    jdb_buf dst = garbage();
    assert_int_equal(jdb_buf_try_clone(&empty, &dst), 0);
    assert_empty(&dst);
    jdb_buf buf;
    assert_int_equal(jdb_buf_page(&buf), 0);
    const jdb_buf was = buf;
    assert_int_equal(jdb_buf_try_clone(&buf, &buf), -EINVAL);
    assert_memory_equal(&buf, &was, sizeof buf);
    dst = garbage();
    assert_int_equal(jdb_buf_try_clone(NULL, &dst), -EINVAL);
    jdb_buf_drop(&buf);
}

static void clone_of_a_cleared_buffer_has_its_cap(void **state)
{
    (void)state;
    jdb_buf src;
    jdb_buf dst = garbage();
    assert_int_equal(jdb_buf_with_cap(&src, 20000), 0);
    assert_int_equal(jdb_buf_try_clone(&src, &dst), 0);
    assert_int_equal(dst.len, 0);
    assert_int_equal(dst.cap, 20480);
    jdb_buf_drop(&src);
    jdb_buf_drop(&dst);
}

static void auto_buf_drops_at_the_end_of_its_scope(void **state)
{
    (void)state;
    uint8_t *ptr = NULL;
    size_t cap = 0;
    {
        JDB_AUTO_BUF buf = JDB_BUF_INIT;
        assert_int_equal(jdb_buf_with_cap(&buf, 12288), 0);
        ptr = buf.ptr;
        cap = buf.cap;
    }
    jdb_buf taken = garbage();
    assert_int_equal(jdb_buf_from_raw_parts(&taken, ptr, 0, cap), -EINVAL);
    assert_empty(&taken);
}

static void page_type_is_aligned_where_it_stands(void **state)
{
    (void)state;
    static jdb_page at_rest;
    jdb_page on_stack;
    assert_int_equal(sizeof(jdb_page), 4096);
    assert_int_equal(_Alignof(jdb_page), 4096);
    assert_int_equal((uintptr_t)at_rest.bytes % 4096, 0);
    assert_int_equal((uintptr_t)on_stack.bytes % 4096, 0);
    on_stack.bytes[0] = 1;
    const jdb_raw view = jdb_raw_new(on_stack.bytes, sizeof on_stack.bytes);
    assert_true(jdb_raw_is_aligned(view, JDB_ALIGNMENT));
}

/* ---- Raw parts -------------------------------------------------------------------------------------------- */

static void raw_parts_make_the_round_trip(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_zeroed(&buf, 5000), 0);
    fill(buf.ptr, 5000);
    const jdb_buf was = buf;
    uint8_t *ptr = NULL;
    size_t len = 0;
    size_t cap = 0;
    jdb_buf_into_raw_parts(&buf, &ptr, &len, &cap);
    assert_empty(&buf);
    assert_ptr_equal(ptr, was.ptr);
    assert_int_equal(len, 5000);
    assert_int_equal(cap, 8192);
    jdb_buf back = garbage();
    assert_int_equal(jdb_buf_from_raw_parts(&back, ptr, 4999, cap), 0);
    assert_ptr_equal(back.ptr, ptr);
    assert_int_equal(back.len, 4999);
    assert_int_equal(back.cap, 8192);
    assert_int_equal(back.ptr[4998], byte_at(4998));
    jdb_buf_drop(&back);
}

static void raw_parts_outputs_may_be_null(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_page(&buf), 0);
    uint8_t *const ptr = buf.ptr;
    jdb_buf_into_raw_parts(&buf, NULL, NULL, NULL);
    assert_empty(&buf);
    assert_int_equal(jdb_buf_from_raw_parts(&buf, ptr, 0, 4096), 0);
    jdb_buf_drop(&buf);
    uint8_t *none = ptr;
    size_t len = 9;
    size_t cap = 9;
    jdb_buf_into_raw_parts(&buf, &none, &len, &cap);
    assert_null(none);
    assert_int_equal(len, 0);
    assert_int_equal(cap, 0);
    assert_int_equal(jdb_buf_from_raw_parts(&buf, NULL, 0, 0), 0);
    assert_empty(&buf);
}

static void assert_not_ours(uint8_t *ptr, size_t len, size_t cap)
{
    jdb_buf buf = garbage();
    assert_int_equal(jdb_buf_from_raw_parts(&buf, ptr, len, cap), -EINVAL);
    assert_empty(&buf);
}

static void assert_parts_must_be_exact(size_t size)
{
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, size), 0);
    uint8_t *ptr = NULL;
    size_t cap = 0;
    jdb_buf_into_raw_parts(&buf, &ptr, NULL, &cap);
    static const ptrdiff_t changes[] = {-4096, -1, 1, 4096, 65536, 1048576};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        assert_not_ours((uint8_t *)((uintptr_t)ptr + (uintptr_t)changes[i]), 0, cap);
        assert_not_ours(ptr, 0, cap + (size_t)changes[i]);
    }
    assert_not_ours(ptr, 0, 0);
    assert_not_ours(ptr, 0, cap * 2);
    assert_not_ours(ptr, cap + 1, cap);
    assert_not_ours(ptr, SIZE_MAX, cap);
    assert_not_ours(ptr, 0, SIZE_MAX - 4095);
    if (cap > 4096)
        assert_not_ours(ptr + 4096, 0, cap - 4096);
    assert_int_equal(jdb_buf_from_raw_parts(&buf, ptr, cap, cap), 0);
    jdb_buf_drop(&buf);
    assert_not_ours(ptr, 0, cap);
}

static void raw_parts_that_are_not_exactly_a_run_are_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 8192, 65536, 131072, 1048576, 5000000, 100000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_parts_must_be_exact(sizes[i]);
}

static void raw_parts_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    static jdb_page at_rest;
    jdb_page on_stack;
    void *heap = NULL;
    assert_int_equal(posix_memalign(&heap, 4096, 8192), 0);
    assert_not_ours(at_rest.bytes, 0, 4096);
    assert_not_ours(on_stack.bytes, 0, 4096);
    assert_not_ours(heap, 0, 8192);
    assert_not_ours(NULL, 0, 4096);
    assert_not_ours(NULL, 1, 0);
    assert_not_ours((uint8_t *)4096, 0, 4096);
    assert_not_ours((uint8_t *)(UINTPTR_MAX - 4095), 0, 4096);
    free(heap);
}

/* ---- View ------------------------------------------------------------------------------------------------- */

static void view_has_the_three_words(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_zeroed(&buf, 5000), 0);
    const jdb_raw raw = jdb_buf_as_raw(&buf);
    const jdb_raw view = jdb_buf_as_raw_view(&buf);
    assert_memory_equal(&raw, &view, sizeof raw);
    assert_ptr_equal(raw.ptr, buf.ptr);
    assert_int_equal(raw.len, 5000);
    assert_int_equal(raw.cap, 8192);
    assert_ptr_equal(jdb_buf_as_ptr(&buf), buf.ptr);
    assert_ptr_equal(jdb_buf_as_mut_ptr(&buf), buf.ptr);
    assert_int_equal(jdb_buf_len(&buf), 5000);
    assert_int_equal(jdb_buf_cap(&buf), 8192);
    assert_false(jdb_buf_is_empty(&buf));
    jdb_buf_clear(&buf);
    assert_true(jdb_buf_is_empty(&buf));
    jdb_buf_drop(&buf);
    const jdb_raw none = jdb_buf_as_raw(NULL);
    assert_null(none.ptr);
    assert_int_equal(none.len + none.cap, 0);
    const jdb_raw empty = jdb_buf_as_raw_view(&buf);
    assert_null(empty.ptr);
    assert_int_equal(empty.len + empty.cap, 0);
}

static void assert_slices(size_t cap, size_t chunk)
{
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, cap), 0);
    assert_int_equal(jdb_buf_set_len(&buf, cap / 2), 0);
    jdb_raw_iter iter;
    assert_int_equal(jdb_buf_slice_into_raws(&buf, chunk, &iter), 0);
    jdb_raw frame = {0};
    size_t at = 0;
    for (; jdb_raw_iter_next(&iter, &frame); at += chunk) {
        assert_ptr_equal(frame.ptr, buf.ptr + at);
        assert_int_equal(frame.len, 0);
        assert_int_equal(frame.cap, chunk);
        const jdb_raw rest = jdb_raw_iter_rest(&iter);
        assert_int_equal(rest.cap, buf.cap - at - chunk);
        assert_int_equal(rest.len, 0);
    }
    assert_int_equal(at, buf.cap / chunk * chunk);
    const jdb_raw last = frame;
    assert_false(jdb_raw_iter_next(&iter, &frame));
    assert_memory_equal(&frame, &last, sizeof frame);
    const jdb_raw rest = jdb_raw_iter_rest(&iter);
    assert_int_equal(rest.cap, buf.cap % chunk);
    assert_ptr_equal(rest.ptr, rest.cap == 0 ? NULL : buf.ptr + at);
    assert_int_equal(buf.len, cap / 2);
    jdb_buf_drop(&buf);
}

static void frames_cover_the_capacity_and_the_rest_is_told(void **state)
{
    (void)state;
    for (size_t cap = 4096; cap <= 10 * 4096; cap += 4096)
        for (size_t chunk = 4096; chunk <= 12 * 4096; chunk += 4096)
            assert_slices(cap, chunk);
    assert_slices(1 * MIB, SIZE_MAX - 4095);
}

static void wrong_chunk_leaves_the_iterator_untouched(void **state)
{
    (void)state;
    static const size_t chunks[] = {0, 1, 512, 4095, 4097, 6144, SIZE_MAX};
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 16384), 0);
    jdb_raw_iter iter;
    jdb_raw_iter was;
    memset(&iter, 0x5a, sizeof iter);
    memset(&was, 0x5a, sizeof was);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        assert_int_equal(jdb_buf_slice_into_raws(&buf, chunks[i], &iter), -EINVAL);
        assert_memory_equal(&iter, &was, sizeof iter);
    }
    assert_int_equal(jdb_buf_slice_into_raws(NULL, 4096, &iter), -EINVAL);
    assert_memory_equal(&iter, &was, sizeof iter);
    assert_int_equal(jdb_buf_slice_into_raws(&buf, 4096, NULL), -EINVAL);
    jdb_buf_drop(&buf);
}

static void empty_buffer_has_no_frames(void **state)
{
    (void)state;
    const jdb_buf empty = JDB_BUF_INIT;
    jdb_raw_iter iter;
    jdb_raw frame = {0};
    assert_int_equal(jdb_buf_slice_into_raws(&empty, 4096, &iter), 0);
    assert_false(jdb_raw_iter_next(&iter, &frame));
    assert_null(jdb_raw_iter_rest(&iter).ptr);
    assert_false(jdb_raw_iter_next(NULL, &frame));
    assert_false(jdb_raw_iter_next(&iter, NULL));
    assert_null(jdb_raw_iter_rest(NULL).ptr);
}

/* ---- Content ---------------------------------------------------------------------------------------------- */

static void extend_appends_until_the_capacity(void **state)
{
    (void)state;
    jdb_buf buf;
    uint8_t model[8192];
    fill(model, sizeof model);
    assert_int_equal(jdb_buf_with_cap(&buf, 8192), 0);
    uint8_t *const ptr = buf.ptr;
    size_t at = 0;
    for (size_t size = 0; at + size <= 8192; at += size, size += 7)
        assert_int_equal(jdb_buf_extend(&buf, model + at, size), 0);
    assert_int_equal(buf.len, at);
    assert_int_equal(jdb_buf_extend(&buf, model, 8192 - at + 1), -ENOBUFS);
    assert_int_equal(jdb_buf_extend(&buf, model, SIZE_MAX), -ENOBUFS);
    assert_int_equal(jdb_buf_extend(&buf, model, SIZE_MAX - at + 1), -ENOBUFS);
    assert_int_equal(buf.len, at);
    assert_int_equal(jdb_buf_extend(&buf, model + at, 8192 - at), 0);
    assert_int_equal(buf.len, 8192);
    assert_memory_equal(buf.ptr, model, 8192);
    assert_int_equal(jdb_buf_extend(&buf, model, 0), 0);
    assert_int_equal(jdb_buf_extend(&buf, model, 1), -ENOBUFS);
    assert_ptr_equal(buf.ptr, ptr);
    jdb_buf_drop(&buf);
}

static void extend_by_null_or_of_the_empty_buffer(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_extend(&buf, NULL, 0), 0);
    assert_int_equal(jdb_buf_extend(&buf, "x", 0), 0);
    assert_int_equal(jdb_buf_extend(&buf, "x", 1), -ENOBUFS);
    assert_empty(&buf);
    assert_int_equal(jdb_buf_page(&buf), 0);
    jdb_buf_clear(&buf);
    assert_int_equal(jdb_buf_extend(&buf, NULL, 1), -EINVAL);
    assert_int_equal(jdb_buf_extend(&buf, NULL, 0), 0);
    assert_int_equal(buf.len, 0);
    jdb_buf_drop(&buf);
}

/* Every overlap of source and place in a small window, against memmove on an array. */
static void extend_with_overlap_works_as_memmove(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 4096), 0);
    uint8_t model[4096];
    for (size_t len = 60; len < 68; len++)
        for (size_t from = 0; from < 128; from++)
            for (size_t size = 0; size < 72; size++) {
                fill(buf.ptr, 256);
                fill(model, 256);
                assert_int_equal(jdb_buf_set_len(&buf, len), 0);
                assert_int_equal(jdb_buf_extend(&buf, buf.ptr + from, size), 0);
                memmove(model + len, model + from, size);
                assert_int_equal(buf.len, len + size);
                if (memcmp(buf.ptr, model, 256) != 0)
                    fail_msg("len %zu from %zu size %zu", len, from, size);
            }
    jdb_buf_drop(&buf);
}

static void set_len_is_exact_and_bounded(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 5000), 0);
    assert_int_equal(jdb_buf_set_len(&buf, 8192), 0);
    assert_int_equal(buf.len, 8192);
    assert_int_equal(jdb_buf_set_len(&buf, 8193), -ENOBUFS);
    assert_int_equal(jdb_buf_set_len(&buf, SIZE_MAX), -ENOBUFS);
    assert_int_equal(buf.len, 8192);
    assert_int_equal(jdb_buf_set_len(&buf, 17), 0);
    assert_int_equal(buf.len, 17);
    assert_int_equal(jdb_buf_set_len(&buf, 0), 0);
    assert_int_equal(buf.len, 0);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_buf_set_len(&buf, 0), 0);
    assert_int_equal(jdb_buf_set_len(&buf, 1), -ENOBUFS);
    assert_empty(&buf);
}

static void set_init_is_monotone(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 4096), 0);
    assert_int_equal(jdb_buf_set_init(&buf, 100), 0);
    assert_int_equal(buf.len, 100);
    assert_int_equal(jdb_buf_set_init(&buf, 50), 0);
    assert_int_equal(buf.len, 100);
    assert_int_equal(jdb_buf_set_init(&buf, 0), 0);
    assert_int_equal(buf.len, 100);
    assert_int_equal(jdb_buf_set_init(&buf, 4097), -ENOBUFS);
    assert_int_equal(jdb_buf_set_init(&buf, SIZE_MAX), -ENOBUFS);
    assert_int_equal(buf.len, 100);
    assert_int_equal(jdb_buf_set_init(&buf, 4096), 0);
    assert_int_equal(buf.len, 4096);
    jdb_buf_drop(&buf);
}

static void truncate_and_clear_only_cut(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_zeroed(&buf, 4000), 0);
    const jdb_buf was = buf;
    jdb_buf_truncate(&buf, 4001);
    assert_int_equal(buf.len, 4000);
    jdb_buf_truncate(&buf, 4000);
    assert_int_equal(buf.len, 4000);
    jdb_buf_truncate(&buf, 3);
    assert_int_equal(buf.len, 3);
    jdb_buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_ptr_equal(buf.ptr, was.ptr);
    assert_int_equal(buf.cap, was.cap);
    jdb_buf_drop(&buf);
}

static void pad_to_appends_zeros_to_a_multiple(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 8192), 0);
    for (size_t align = 1; align <= 8192; align *= 2)
        for (size_t len = 0; len <= 8192; len += len % 512 < 2 || len % 512 > 509 ? 1 : 101) {
            memset(buf.ptr, 0xaa, 8192);
            assert_int_equal(jdb_buf_set_len(&buf, len), 0);
            const size_t padded = (len + align - 1) / align * align;
            assert_int_equal(jdb_buf_pad_to(&buf, align), 0);
            assert_int_equal(buf.len, padded);
            assert_true(is_all(buf.ptr, len, 0xaa));
            assert_true(is_all(buf.ptr + len, padded - len, 0));
            assert_true(is_all(buf.ptr + padded, 8192 - padded, 0xaa));
        }
    jdb_buf_drop(&buf);
}

static void pad_to_refuses_and_changes_nothing(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 4096), 0);
    memset(buf.ptr, 0xaa, 4096);
    static const size_t wrong[] = {0, 3, 4095, 4097, SIZE_MAX};
    assert_int_equal(jdb_buf_set_len(&buf, 10), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(jdb_buf_pad_to(&buf, wrong[i]), -EINVAL);
    assert_int_equal(jdb_buf_pad_to(&buf, 8192), -ENOBUFS);
    assert_int_equal(jdb_buf_pad_to(&buf, (size_t)1 << 63), -ENOBUFS);
    assert_int_equal(buf.len, 10);
    assert_true(is_all(buf.ptr, 4096, 0xaa));
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_buf_pad_to(&buf, 4096), 0);
    assert_empty(&buf);
}

static void assert_refit(jdb_buf *buf, size_t data_len, size_t align, size_t len)
{
    fill(buf->ptr, buf->cap);
    assert_int_equal(jdb_buf_set_len(buf, len), 0);
    size_t kept = SIZE_MAX;
    assert_int_equal(jdb_buf_refit_tail(buf, data_len, align, &kept), 0);
    const size_t start = data_len / align * align;
    assert_int_equal(kept, data_len - start);
    assert_int_equal(buf->len, kept);
    for (size_t i = 0; i < kept; i++)
        if (buf->ptr[i] != byte_at(start + i))
            fail_msg("data_len %zu align %zu: byte %zu", data_len, align, i);
}

static void refit_tail_keeps_what_is_written_again(void **state)
{
    (void)state;
    static const size_t aligns[] = {1, 2, 8, 512, 4096};
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * 4096), 0);
    const jdb_buf was = buf;
    const size_t step = (size_t)tier_pick(7, 1, 1);
    for (size_t i = 0; i < 5; i++)
        for (size_t data_len = 0; data_len <= 3 * aligns[i]; data_len += aligns[i] < 512 ? 1 : step) {
            assert_refit(&buf, data_len, aligns[i], data_len);
            assert_refit(&buf, data_len, aligns[i], (data_len + aligns[i] - 1) / aligns[i] * aligns[i]);
        }
    assert_ptr_equal(buf.ptr, was.ptr);
    assert_int_equal(buf.cap, was.cap);
    jdb_buf_drop(&buf);
}

static void refit_tail_refuses_and_changes_nothing(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 8192), 0);
    fill(buf.ptr, 8192);
    assert_int_equal(jdb_buf_set_len(&buf, 5000), 0);
    size_t kept = 77;
    assert_int_equal(jdb_buf_refit_tail(&buf, 5001, 512, &kept), -ENOBUFS);
    assert_int_equal(jdb_buf_refit_tail(&buf, SIZE_MAX, 512, &kept), -ENOBUFS);
    assert_int_equal(jdb_buf_refit_tail(&buf, 5000, 0, &kept), -EINVAL);
    assert_int_equal(jdb_buf_refit_tail(&buf, 5000, 513, &kept), -EINVAL);
    assert_int_equal(kept, 77);
    assert_int_equal(buf.len, 5000);
    assert_int_equal(buf.ptr[4999], byte_at(4999));
    assert_int_equal(jdb_buf_refit_tail(&buf, 5000, 4096, NULL), 0);
    assert_int_equal(buf.len, 904);
    jdb_buf_drop(&buf);
    kept = 77;
    assert_int_equal(jdb_buf_refit_tail(&buf, 0, 4096, &kept), 0);
    assert_int_equal(kept, 0);
}

/* A log writer: append, pad, write, refit. What reached the file is what was appended. */
static void pad_and_refit_make_a_log(void **state)
{
    (void)state;
    enum { LOG_SIZE = 40000 };
    static uint8_t file[LOG_SIZE + 4096];
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 8192), 0);
    size_t offset = 0;
    size_t appended = 0;
    for (size_t size = 1; appended + size <= LOG_SIZE; size = size * 5 % 2003 + 1) {
        uint8_t record[2048];
        for (size_t i = 0; i < size; i++)
            record[i] = byte_at(appended + i);
        assert_int_equal(jdb_buf_extend(&buf, record, size), 0);
        appended += size;
        const size_t data_len = buf.len;
        assert_int_equal(jdb_buf_pad_to(&buf, 512), 0);
        memcpy(file + offset, buf.ptr, buf.len);
        size_t kept = 0;
        assert_int_equal(jdb_buf_refit_tail(&buf, data_len, 512, &kept), 0);
        offset += data_len - kept;
        for (size_t i = 0; i < appended; i += 61)
            assert_int_equal(file[i], byte_at(i));
    }
    for (size_t i = 0; i < appended; i++)
        assert_int_equal(file[i], byte_at(i));
    jdb_buf_drop(&buf);
}

/* ---- Text ------------------------------------------------------------------------------------------------- */

static void format_works_as_snprintf(void **state)
{
    (void)state;
    const char *const whole = "AlignedBuf { len: 5, cap: 4096 }";
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 10), 0);
    assert_int_equal(jdb_buf_extend(&buf, "hello", 5), 0);
    char text[64];
    assert_int_equal(jdb_buf_format(&buf, text, sizeof text), (int)strlen(whole));
    assert_string_equal(text, whole);
    assert_int_equal(jdb_buf_format(&buf, NULL, 0), (int)strlen(whole));
    for (size_t room = 1; room <= strlen(whole) + 1; room++) {
        memset(text, 'x', sizeof text);
        assert_int_equal(jdb_buf_format(&buf, text, room), (int)strlen(whole));
        assert_int_equal(strlen(text), room - 1);
        assert_memory_equal(text, whole, room - 1);
        assert_int_equal(text[room], 'x');
    }
    jdb_buf_drop(&buf);
    assert_true(jdb_buf_format(&buf, text, sizeof text) > 0);
    assert_string_equal(text, "AlignedBuf { len: 0, cap: 0 }");
    assert_int_equal(jdb_buf_format(NULL, text, sizeof text), -EINVAL);
}

/* ---- Threads, processes, the kernel ----------------------------------------------------------------------- */

static void *drop_them(void *argument)
{
    jdb_buf *const bufs = argument;
    for (size_t i = 0; i < 64; i++) {
        MUST(is_all(bufs[i].ptr, bufs[i].cap, (uint8_t)i));
        jdb_buf_drop(&bufs[i]);
    }
    return NULL;
}

static void any_thread_may_drop(void **state)
{
    (void)state;
    for (size_t round = 0; round < 20; round++) {
        jdb_buf bufs[64];
        for (size_t i = 0; i < 64; i++) {
            assert_int_equal(jdb_buf_with_cap(&bufs[i], (1 + i * round % 19) * 4096), 0);
            memset(bufs[i].ptr, (int)i, bufs[i].cap);
        }
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, drop_them, bufs), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_empty(&bufs[63]);
    }
}

static void body_child_owns_its_copy(void *argument)
{
    jdb_buf *const bufs = argument;
    for (size_t i = 0; i < 8; i++) {
        MUST(is_all(bufs[i].ptr, bufs[i].cap, 7));
        memset(bufs[i].ptr, 9, bufs[i].cap);
        MUST(jdb_buf_reserve(&bufs[i], bufs[i].cap * 3) == 0);
        jdb_buf_drop(&bufs[i]);
    }
    jdb_buf fresh;
    MUST(jdb_buf_zeroed(&fresh, MIB) == 0);
    MUST(is_all(fresh.ptr, MIB, 0));
    jdb_buf_drop(&fresh);
}

static void after_fork_both_processes_own_their_copy(void **state)
{
    (void)state;
    jdb_buf bufs[8];
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(jdb_buf_with_cap(&bufs[i], (size_t)4096 << i), 0);
        memset(bufs[i].ptr, 7, bufs[i].cap);
        assert_int_equal(jdb_buf_set_len(&bufs[i], bufs[i].cap), 0);
    }
    char text[512];
    const int status = must_run_child(body_child_owns_its_copy, bufs, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
    for (size_t i = 0; i < 8; i++) {
        assert_true(is_all(bufs[i].ptr, bufs[i].cap, 7));
        jdb_buf_drop(&bufs[i]);
    }
}

/* The point of it all: the kernel takes the whole capacity, whatever was asked for. */
static void kernel_takes_the_buffer_for_direct_io(void **state)
{
    (void)state;
    char path[] = "direct_io_XXXXXX";
    const int plain = mkstemp(path);
    assert_true(plain >= 0);
    close(plain);
    const int fd = open(path, O_RDWR | O_DIRECT);
    unlink(path);
    if (fd < 0) {
        print_message("skipped: no O_DIRECT in the working directory: %s\n", strerror(errno));
        skip();
    }
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 5000), 0);
    fill(buf.ptr, buf.cap);
    assert_int_equal(pwrite(fd, buf.ptr, buf.cap, 0), 8192);
    jdb_buf back;
    assert_int_equal(jdb_buf_zeroed(&back, 5000), 0);
    assert_int_equal(pread(fd, back.ptr, back.cap, 0), 8192);
    assert_memory_equal(buf.ptr, back.ptr, 8192);
    close(fd);
    jdb_buf_drop(&buf);
    jdb_buf_drop(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(works_under_a_low_address_limit),
        cmocka_unit_test(no_memory_is_enomem_and_leaves_the_buffer_empty),
        cmocka_unit_test(capacity_is_rounded_up_to_pages),
        cmocka_unit_test(every_capacity_up_to_many_pages_is_exact),
        cmocka_unit_test(alignment_asked_for_is_given),
        cmocka_unit_test(wrong_alignment_is_einval),
        cmocka_unit_test(sizes_that_cannot_be_are_eoverflow),
        cmocka_unit_test(alignments_that_cannot_be_are_eoverflow),
        cmocka_unit_test(sizes_past_the_address_space_are_enomem),
        cmocka_unit_test(null_object_is_einval),
        cmocka_unit_test(zeroed_reads_as_zero_up_to_cap),
        cmocka_unit_test(zeroed_is_zero_whatever_was_there_before),
        cmocka_unit_test(zeroed_gibibyte_is_not_touched),
        cmocka_unit_test(page_is_one_zeroed_page),
        cmocka_unit_test(drop_accepts_null_and_the_empty_buffer),
        cmocka_unit_test(buffer_moves_by_assignment),
        cmocka_unit_test(clone_copies_len_and_keeps_cap),
        cmocka_unit_test(clone_of_empty_and_of_itself),
        cmocka_unit_test(clone_of_a_cleared_buffer_has_its_cap),
        cmocka_unit_test(auto_buf_drops_at_the_end_of_its_scope),
        cmocka_unit_test(page_type_is_aligned_where_it_stands),
        cmocka_unit_test(raw_parts_make_the_round_trip),
        cmocka_unit_test(raw_parts_outputs_may_be_null),
        cmocka_unit_test(raw_parts_that_are_not_exactly_a_run_are_refused),
        cmocka_unit_test(raw_parts_that_are_not_ours_are_refused),
        cmocka_unit_test(view_has_the_three_words),
        cmocka_unit_test(frames_cover_the_capacity_and_the_rest_is_told),
        cmocka_unit_test(wrong_chunk_leaves_the_iterator_untouched),
        cmocka_unit_test(empty_buffer_has_no_frames),
        cmocka_unit_test(extend_appends_until_the_capacity),
        cmocka_unit_test(extend_by_null_or_of_the_empty_buffer),
        cmocka_unit_test(extend_with_overlap_works_as_memmove),
        cmocka_unit_test(set_len_is_exact_and_bounded),
        cmocka_unit_test(set_init_is_monotone),
        cmocka_unit_test(truncate_and_clear_only_cut),
        cmocka_unit_test(pad_to_appends_zeros_to_a_multiple),
        cmocka_unit_test(pad_to_refuses_and_changes_nothing),
        cmocka_unit_test(refit_tail_keeps_what_is_written_again),
        cmocka_unit_test(refit_tail_refuses_and_changes_nothing),
        cmocka_unit_test(pad_and_refit_make_a_log),
        cmocka_unit_test(format_works_as_snprintf),
        cmocka_unit_test(any_thread_may_drop),
        cmocka_unit_test(after_fork_both_processes_own_their_copy),
        cmocka_unit_test(kernel_takes_the_buffer_for_direct_io),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
