/* SPDX-License-Identifier: MIT
 *
 * page_size_test.c - systems whose pages are 16 or 64 KiB, on one where they are 4: the calls are taken over by functions
 * that refuse what such a kernel would refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "page/heap.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

#if TIER_SANITIZED || !defined(__linux__)
int main(void)
{
    puts("skipped: a sanitizer takes the same calls over, or this is not Linux");
    return 77;
}
#else

/* ---- The system ------------------------------------------------------------------------------------------- */

static size_t page_size = 4096;

static bool is_odd(const void *ptr)
{
    return (uintptr_t)ptr % page_size != 0;
}

static size_t whole(size_t size)
{
    return (size + page_size - 1) / page_size * page_size;
}

static int refuse(void)
{
    errno = EINVAL;
    return -1;
}

long sysconf(int name)
{
    return name == _SC_PAGESIZE ? (long)page_size : 1024; /* nothing else is asked for here */
}

void *mmap(void *ptr, size_t size, int protection, int flags, int fd, off_t offset)
{
    const bool is_fixed = (flags & MAP_FIXED) != 0;
    if (is_fixed && is_odd(ptr)) {
        refuse();
        return MAP_FAILED;
    }
    const size_t more = is_fixed ? 0 : page_size;
    uint8_t *const range = (uint8_t *)syscall(SYS_mmap, ptr, whole(size) + more, protection, flags, fd, offset);
    if (is_fixed || range == MAP_FAILED)
        return range;
    return range + (page_size - (uintptr_t)range % page_size) % page_size;
}

int munmap(void *ptr, size_t size)
{
    return is_odd(ptr) ? refuse() : (int)syscall(SYS_munmap, ptr, whole(size));
}

int mprotect(void *ptr, size_t size, int protection)
{
    return is_odd(ptr) ? refuse() : (int)syscall(SYS_mprotect, ptr, whole(size), protection);
}

int madvise(void *ptr, size_t size, int advice)
{
    return is_odd(ptr) || advice >= 102 ? refuse() : (int)syscall(SYS_madvise, ptr, whole(size), advice);
}

int mincore(void *ptr, size_t size, unsigned char *pages)
{
    unsigned char small[16];
    if (is_odd(ptr))
        return refuse();
    for (size_t at = 0; at < whole(size); at += page_size) {
        if (syscall(SYS_mincore, (uint8_t *)ptr + at, page_size, small) != 0)
            return -1;
        pages[at / page_size] = 0;
        for (size_t i = 0; i < page_size / 4096; i++)
            pages[at / page_size] |= small[i];
    }
    return 0;
}

/* ---- Tests ------------------------------------------------------------------------------------------------ */

static const size_t page_sizes[] = {16 * KIB, 64 * KIB};

static void run_on_each(void (*body)(void *))
{
    char text[512];
    for (size_t i = 0; i < 2; i++) {
        page_size = page_sizes[i];
        const int status = must_run_child(body, NULL, text, sizeof text);
        page_size = 4096;
        if (status != 0)
            fail_msg("pages of %zu bytes: status %d: %s", page_sizes[i], status, text);
    }
}

static void body_first(void *context)
{
    (void)context;
    jdb_buf buf;
    MUST(jdb_buf_with_max(&buf, 4096, 5 * 4096) == 0);
    buf.len = 4096;
    MUST(jdb_buf_reserve(&buf, 4 * 4096) == 0);
    memset(buf.ptr, 1, buf.cap);
    buf.len = buf.cap;
    MUST(jdb_buf_reserve(&buf, page_size) == -ENOBUFS);
    jdb_buf_drop(&buf);
}

static void the_first_buffer_may_be_one_with_a_maximum(void **state)
{
    (void)state;
    run_on_each(body_first);
}

static void body_resident(void *context)
{
    (void)context;
    jdb_buf small[5];
    jdb_buf large;
    uint64_t before = 0;
    uint64_t after = 0;
    for (size_t i = 0; i < 5; i++)
        MUST(jdb_buf_with_cap(&small[i], (2 * i + 1) * 4096) == 0);
    MUST(jdb_resident_bytes(&before) == 0);
    MUST(jdb_buf_zeroed(&large, 8 * MIB) == 0);
    memset(large.ptr, 1, large.cap);
    MUST(jdb_resident_bytes(&after) == 0);
    MUST(after >= before + large.cap && after <= before + large.cap + 2 * page_size);
    jdb_buf_drop(&large);
    for (size_t i = 0; i < 5; i++)
        jdb_buf_drop(&small[i]);
    jdb_trim();
    MUST(jdb_resident_bytes(&after) == 0);
    MUST(after <= 32 * page_size);
}

static void resident_bytes_are_counted_once(void **state)
{
    (void)state;
    run_on_each(body_resident);
}

static void fill_and_look(jdb_buf *buf, uint8_t value)
{
    memset(buf->ptr, value, buf->cap);
    MUST(buf->ptr[0] == value && buf->ptr[buf->cap - 1] == value);
}

/* Neighbours keep their bytes, zeroed ones are zero, whatever shares a page of the system. */
static void body_mixed(void *context)
{
    (void)context;
    enum { SLOTS = 64 };
    static jdb_buf bufs[SLOTS];
    uint64_t random = 1;
    for (unsigned i = 0; i < 20000; i++) {
        const uint64_t k = random_below(&random, SLOTS);
        jdb_buf *const buf = &bufs[k];
        const size_t size = (size_t)1 << random_below(&random, 19);
        for (size_t at = 0; buf->ptr != NULL && at < buf->len; at += 512)
            MUST(buf->ptr[at] == (uint8_t)(k + 1));
        switch (random_below(&random, 6)) {
        case 0:
            buf->len = buf->len / 2;
            MUST(jdb_buf_shrink(buf) == 0);
            break;
        case 1:
            MUST(jdb_buf_reserve(buf, size) == 0);
            break;
        case 2:
            if (random_below(&random, 50) == 0)
                jdb_trim();
            break;
        default:
            jdb_buf_drop(buf);
            MUST((i % 2 == 0 ? jdb_buf_zeroed(buf, size) : jdb_buf_with_cap(buf, size)) == 0);
            for (size_t at = 0; i % 2 == 0 && at < buf->cap; at += 512)
                MUST(buf->ptr[at] == 0);
        }
        if (buf->ptr != NULL) {
            fill_and_look(buf, (uint8_t)(k + 1));
            buf->len = buf->cap;
        }
    }
}

static void buffers_that_share_a_page_of_the_system_are_apart(void **state)
{
    (void)state;
    run_on_each(body_mixed);
}

static struct run take_apart(uint32_t page_count)
{
    struct run run = {0};
    struct run next = {0};
    uint64_t missing = 0;
    MUST(jdb__heap_take(&(struct heap_wish){page_count, 1, 0, false}, &run, &missing) == 0);
    MUST(jdb__heap_take(&(struct heap_wish){1, 1, 0, false}, &next, &missing) == 0);
    run.is_zero = false;
    return run;
}

/* The highest of the large extents is less than a page of the system: it cannot go, the others do, and no more of them. */
static void body_fragment(void *context)
{
    (void)context;
    struct run large[20];
    struct heap_stats stats;
    for (unsigned i = 0; i < 20; i++)
        large[i] = take_apart(199);
    struct run fragment = take_apart((uint32_t)(page_size / 4096 * 3 / 4));
    for (unsigned i = 0; i < 20; i++)
        jdb__heap_give(&large[i]);
    jdb__heap_give(&fragment);
    jdb__heap_set_dirty_max((uint64_t)3400 * 4096);
    jdb__heap_stats(&stats);
    MUST(stats.dirty_pages <= 2550 && stats.dirty_pages > 2550 - 199);
}

static void fragments_that_cannot_go_keep_no_others(void **state)
{
    (void)state;
    run_on_each(body_fragment);
}

int main(void)
{
    if (getauxval(AT_PAGESZ) != 4096) {
        puts("skipped: the pages of this system are larger already");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_buffer_may_be_one_with_a_maximum),
        cmocka_unit_test(resident_bytes_are_counted_once),
        cmocka_unit_test(buffers_that_share_a_page_of_the_system_are_apart),
        cmocka_unit_test(fragments_that_cannot_go_keep_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
