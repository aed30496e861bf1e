/* SPDX-License-Identifier: MIT
 *
 * arena_test.c - frames: where they lie, how they grow, are given back, stay with their process, and who may not.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"
#include "faults.h"
#include "tier.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static jdb_arena_options options_of(uint64_t frame_size, uint32_t frame_count, uint32_t max_frame_count)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = frame_size;
    options.frame_count = frame_count;
    options.max_frame_count = max_frame_count;
    return options;
}

static jdb_arena *arena_of(uint64_t frame_size, uint32_t frame_count, uint32_t max_frame_count, uint32_t flags)
{
    jdb_arena_options options = options_of(frame_size, frame_count, max_frame_count);
    options.flags = flags;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_non_null(arena);
    return arena;
}

static uint8_t *frame(const jdb_arena *arena, uint32_t index)
{
    uint8_t *ptr = NULL;
    assert_int_equal(jdb_arena_frame_at(arena, index, &ptr), 0);
    return ptr;
}

static bool is_all(const uint8_t *ptr, uint64_t size, uint8_t value)
{
    for (uint64_t i = 0; i < size; i++)
        if (ptr[i] != value)
            return false;
    return true;
}

/* Whether so many pages of the range are resident; an emulator does not report it. */
static bool has_resident(void *ptr, uint64_t size, uint64_t page_count)
{
    static unsigned char pages[1 << 16];
    assert_true(size / 4096 <= sizeof pages);
    assert_int_equal(mincore(ptr, size, pages), 0);
    uint64_t count = 0;
    for (uint64_t i = 0; i < size / 4096; i++)
        count += pages[i] & 1u;
    return count == page_count || tier_is_emulated();
}

/* Runs look(context) in a child of fork(); returns its exit status, or 128 + the signal that ended it. */
static int in_child(int (*look)(void *context), void *context)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct sigaction fatal = {.sa_handler = SIG_DFL}; /* cmocka catches them */
        sigaction(SIGSEGV, &fatal, NULL);
        sigaction(SIGBUS, &fatal, NULL);
        _exit(look(context));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int write_at(void *context)
{
    *(volatile uint8_t *)context = 1;
    return 0;
}

/* Sanitizers turn the signal into an exit. */
static bool is_fatal(void *ptr)
{
    return in_child(write_at, ptr) != 0;
}

/* ---- Geometry --------------------------------------------------------------------------------------------- */

static void check_geometry(uint64_t frame_size, uint64_t align, uint32_t count)
{
    jdb_arena_options options = options_of(frame_size, count, 0);
    options.frame_align = align;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    const uint64_t stride = (frame_size + align - 1) / align * align;
    uint8_t *const base = jdb_arena_base(arena);
    assert_int_equal((uintptr_t)base % (2 * MIB), 0);
    assert_int_equal((uintptr_t)base % align, 0);
    assert_int_equal(jdb_arena_stride(arena), stride);
    assert_int_equal(jdb_arena_frame_size(arena), frame_size);
    assert_int_equal(jdb_arena_frame_count(arena), count);
    assert_int_equal(jdb_arena_max_frame_count(arena), count);
    assert_int_equal(jdb_arena_size(arena), count * stride);
    assert_true(jdb_arena_reserved_size(arena) >= count * stride);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = UINT32_MAX;
        assert_ptr_equal(frame(arena, i), base + i * stride);
        assert_int_equal(jdb_arena_index_of(arena, base + i * stride, &index), 0);
        assert_int_equal(index, i);
        assert_int_equal(jdb_arena_index_of(arena, base + i * stride + stride - 1, &index), 0);
        assert_int_equal(index, i);
        base[i * stride] = 1;
        base[i * stride + frame_size - 1] = 1;
    }
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void frames_lie_at_multiples_of_the_stride(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 511, 512, 513, 4096, 4120, 16384, 65536, MIB, 3 * MIB / 2};
    static const uint64_t aligns[] = {512, 4096, 65536, 4 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t j = 0; j < sizeof aligns / sizeof aligns[0]; j++)
            check_geometry(sizes[i], aligns[j], 7);
    check_geometry(4120, 512, 3000);
    check_geometry(4096, 4096, 5000);
}

static void what_is_not_a_frame_is_refused(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(4120, 10, 20, 0);
    uint8_t *const base = jdb_arena_base(arena);
    uint8_t *ptr = (uint8_t *)1;
    uint32_t index = 77;
    jdb_raw view = jdb_raw_new(base, 5);
    assert_int_equal(jdb_arena_frame_at(arena, 10, &ptr), -ERANGE);
    assert_int_equal(jdb_arena_frame_at(arena, UINT32_MAX, &ptr), -ERANGE);
    assert_int_equal(jdb_arena_frame_at(NULL, 0, &ptr), -EINVAL);
    assert_int_equal(jdb_arena_frame_at(arena, 0, NULL), -EINVAL);
    assert_ptr_equal(ptr, (uint8_t *)1);
    assert_int_equal(jdb_arena_index_of(arena, base - 1, &index), -ERANGE);
    assert_int_equal(jdb_arena_index_of(arena, base + 10 * 8192, &index), -ERANGE);
    assert_int_equal(jdb_arena_index_of(arena, &index, &index), -ERANGE);
    assert_int_equal(jdb_arena_index_of(arena, NULL, &index), -EINVAL);
    assert_int_equal(jdb_arena_index_of(NULL, base, &index), -EINVAL);
    assert_int_equal(index, 77);
    assert_int_equal(jdb_arena_view(arena, 9, 2, &view), -ERANGE);
    assert_int_equal(jdb_arena_view(arena, 1, UINT32_MAX, &view), -ERANGE);
    assert_int_equal(jdb_arena_view(arena, 0, 0, &view), -EINVAL);
    assert_int_equal(jdb_arena_view(NULL, 0, 1, &view), -EINVAL);
    assert_int_equal(view.cap, 5);
    assert_int_equal(jdb_arena_view(arena, 3, 4, &view), 0);
    assert_ptr_equal(view.ptr, base + 3 * 8192);
    assert_int_equal(view.len, 0);
    assert_int_equal(view.cap, 3 * 8192 + 4120);
    assert_int_equal(jdb_arena_view(arena, 9, 1, &view), 0);
    assert_int_equal(view.cap, 4120);
    assert_null(jdb_arena_base(NULL));
    assert_int_equal(jdb_arena_size(NULL), 0);
    assert_int_equal(jdb_arena_fd(arena), -ENOTSUP);
    assert_int_equal(jdb_arena_fd(NULL), -EINVAL);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(jdb_arena_free(NULL), 0);
}

/* ---- Options ---------------------------------------------------------------------------------------------- */

static void expect_refused(const jdb_arena_options *options, int err)
{
    jdb_arena *arena = (jdb_arena *)options;
    assert_int_equal(jdb_arena_new(options, &arena), err);
    assert_ptr_equal(arena, options);
}

#define EXPECT_REFUSED(err, ...)                       \
    do {                                               \
        jdb_arena_options o = options_of(4096, 8, 16); \
        __VA_ARGS__;                                   \
        expect_refused(&o, (err));                     \
    } while (0)

static void wrong_options_are_refused_and_change_nothing(void **state)
{
    (void)state;
    static _Alignas(65536) uint8_t memory[16 * 4096];
    char long_name[66];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[65] = '\0';
    jdb_arena_report small_report = {.size = 4};
    assert_int_equal(jdb_arena_new(NULL, NULL), -EINVAL);
    EXPECT_REFUSED(-EINVAL, o.size = 0);
    EXPECT_REFUSED(-EINVAL, o.size = 148);
    EXPECT_REFUSED(-E2BIG, o.reserved[7] = 1);
    EXPECT_REFUSED(-EINVAL, o.flags = 32);
    EXPECT_REFUSED(-EINVAL, o.required = 1u << JDB_ARENA_ITEM_COUNT);
    EXPECT_REFUSED(-EINVAL, o.pages = 5);
    EXPECT_REFUSED(-EINVAL, o.numa_policy = 4);
    EXPECT_REFUSED(-EINVAL, o.numa_policy = JDB_ARENA_NUMA_BIND); /* no nodes */
    EXPECT_REFUSED(-EINVAL, o.numa_nodes[3] = 1);                 /* no policy */
    EXPECT_REFUSED(-EINVAL, o.frame_size = 0);
    EXPECT_REFUSED(-EINVAL, o.frame_count = 17);
    EXPECT_REFUSED(-EINVAL, o.frame_count = 0, o.max_frame_count = 0);
    EXPECT_REFUSED(-EINVAL, o.frame_align = 256);
    EXPECT_REFUSED(-EINVAL, o.frame_align = 4097);
    EXPECT_REFUSED(-EINVAL, o.frame_align = 2ull << 30);
    EXPECT_REFUSED(-EINVAL, o.name = "");
    EXPECT_REFUSED(-EINVAL, o.name = "a[b]");
    EXPECT_REFUSED(-EINVAL, o.name = long_name);
    EXPECT_REFUSED(-EINVAL, o.report = &small_report);
    EXPECT_REFUSED(-EOVERFLOW, o.frame_size = UINT64_MAX);
    EXPECT_REFUSED(-EOVERFLOW, o.frame_size = 1ull << 60);
    EXPECT_REFUSED(-EOVERFLOW, o.max_frame_count = UINT32_MAX, o.frame_size = 1ull << 40);
    EXPECT_REFUSED(-EOVERFLOW, o.guard_size = UINT64_MAX);
    EXPECT_REFUSED(-ENOMEM, o.max_frame_count = UINT32_MAX, o.frame_size = 1ull << 20); /* more than 47 bits */
    EXPECT_REFUSED(-ENOTSUP, o.pages = JDB_ARENA_PAGES_HUGETLB_2M, o.flags = JDB_ARENA_KEEP_ON_FORK);
    EXPECT_REFUSED(-EINVAL, o.foreign_size = 4096);
    EXPECT_REFUSED(-EINVAL, o.foreign_ptr = memory + 512, o.foreign_size = 15 * 4096);
    EXPECT_REFUSED(-EINVAL, o.foreign_ptr = memory, o.foreign_size = 15 * 4096 + 512);
    EXPECT_REFUSED(-EINVAL, o.foreign_ptr = memory + 4096, o.foreign_size = 15 * 4096, o.frame_align = 8192);
    EXPECT_REFUSED(-ERANGE, o.foreign_ptr = memory, o.foreign_size = 15 * 4096);
    EXPECT_REFUSED(-ENOTSUP, o.foreign_ptr = memory, o.foreign_size = sizeof memory, o.pages = JDB_ARENA_PAGES_THP);
    EXPECT_REFUSED(-ENOTSUP, o.foreign_ptr = memory, o.foreign_size = sizeof memory, o.flags = JDB_ARENA_MEMFD);
}

/* A caller of any version: what it lacks is the default, what it has beyond this version must be 0. */
static void options_of_every_size_are_read(void **state)
{
    (void)state;
    union {
        jdb_arena_options options;
        uint64_t words[sizeof(jdb_arena_options) / 8 + 4];
        uint32_t halves[sizeof(jdb_arena_options) / 4 + 8];
    } given;
    memset(&given, 0, sizeof given);
    given.options = options_of(4096, 8, 16);
    for (uint32_t size = 0; size <= sizeof given; size++) {
        jdb_arena *arena = NULL;
        given.options.size = size;
        assert_int_equal(jdb_arena_new(&given.options, &arena), size < 152 ? -EINVAL : 0);
        assert_int_equal(jdb_arena_free(arena), 0);
    }
    given.options.size = sizeof given;
    for (size_t i = 152 / 4; i < sizeof given / 4; i++) {
        given.halves[i] = 1;
        expect_refused(&given.options, -E2BIG);
        given.halves[i] = 0;
    }
    given.options.size = 152; /* what lies behind is not the caller's */
    given.words[152 / 8] = 1;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&given.options, &arena), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Growth ----------------------------------------------------------------------------------------------- */

static void growth_moves_nothing_and_brings_zeros(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(4120, 0, 1000, 0);
    uint8_t *const base = jdb_arena_base(arena);
    assert_int_equal(jdb_arena_size(arena), 0);
    for (uint32_t count = 0; count <= 1000; count += 1 + count / 3) {
        assert_int_equal(jdb_arena_grow(arena, count), 0);
        assert_int_equal(jdb_arena_frame_count(arena), count);
        assert_ptr_equal(jdb_arena_base(arena), base);
        for (uint32_t i = 0; i < count; i++)
            assert_true(base[i * 8192] == 0 || base[i * 8192] == (uint8_t)(i | 1));
        if (count > 0)
            assert_true(is_all(frame(arena, count - 1), 4120, 0));
        for (uint32_t i = 0; i < count; i++)
            base[i * 8192] = (uint8_t)(i | 1);
        if (count > 0)
            frame(arena, count - 1)[4119] = 0;
    }
    const uint32_t before = jdb_arena_frame_count(arena);
    assert_int_equal(jdb_arena_grow(arena, 1), 0); /* never shrinks */
    assert_int_equal(jdb_arena_grow(arena, 1001), -ERANGE);
    assert_int_equal(jdb_arena_frame_count(arena), before);
    assert_int_equal(jdb_arena_grow(arena, 1000), 0);
    assert_int_equal(jdb_arena_grow(NULL, 1), -EINVAL);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void terabytes_cost_addresses_alone(void **state)
{
    (void)state;
    if (tier_is_emulated()) {
        print_message("an emulator keeps tables of each reserved page: skipped\n");
        skip();
    }
    /* The thread sanitizer leaves little address space. */
    const uint32_t most = TIER_SANITIZED ? 256u << 10 : 4u << 20; /* 256 GiB, 4 TiB */
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    jdb_arena *const arena = arena_of(MIB, 4, most, 0);
    frame(arena, 3)[MIB - 1] = 1;
    assert_int_equal(jdb_arena_grow(arena, 2000), 0);
    frame(arena, 1999)[MIB - 1] = 1;
    assert_int_equal(jdb_pin(frame(arena, 1999), MIB), 0);
    assert_int_equal(jdb_unpin(frame(arena, 1999), MIB), 0);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16384); /* KiB */
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Bytes of [start, end) that are mapped without any access. */
static uint64_t guarded_bytes(const uint8_t *start, const uint8_t *end)
{
    FILE *const maps = fopen("/proc/self/maps", "r");
    char line[512];
    uint64_t bytes = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        char *rest = NULL;
        const uintptr_t first = strtoul(line, &rest, 16);
        const uintptr_t last = strtoul(rest + 1, &rest, 16);
        const uintptr_t low = first > (uintptr_t)start ? first : (uintptr_t)start;
        const uintptr_t high = last < (uintptr_t)end ? last : (uintptr_t)end;
        bytes += strncmp(rest, " ---", 4) == 0 && low < high ? high - low : 0;
    }
    fclose(maps);
    return bytes;
}

static void ends_are_guarded(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4096, 512, 1024);
    options.guard_size = 100000;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    uint8_t *const base = jdb_arena_base(arena);
    uint8_t *const end = base + jdb_arena_reserved_size(arena);
    assert_int_equal(guarded_bytes(base - 100000, base), 100000);
    assert_int_equal(guarded_bytes(end, end + 100000), 100000);
    assert_int_equal(guarded_bytes(base, end), jdb_arena_reserved_size(arena) - jdb_arena_size(arena));
    assert_true(is_fatal(base - 1));
    assert_true(is_fatal(base - 100000));
    assert_true(is_fatal(end));
    assert_true(is_fatal(end + 100000 - 1));
    assert_true(is_fatal(base + jdb_arena_size(arena))); /* reserved for growth */
    base[0] = 1;
    base[jdb_arena_size(arena) - 1] = 1;
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Decommit --------------------------------------------------------------------------------------------- */

/* Random runs against a copy of what each frame should hold. */
static void check_decommit(uint64_t frame_size, uint64_t align, uint32_t flags, uint32_t pages)
{
    enum { COUNT = 400 };
    jdb_arena_options options = options_of(frame_size, COUNT, 0);
    options.frame_align = align;
    options.flags = flags;
    options.pages = pages;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    uint8_t expected[COUNT];
    unsigned seed = 7;
    const uint64_t stride = jdb_arena_stride(arena);
    for (uint32_t i = 0; i < COUNT; i++)
        memset(frame(arena, i), expected[i] = (uint8_t)(i | 1), stride);
    for (int round = 0; round < 60; round++) {
        const uint32_t first = (uint32_t)rand_r(&seed) % COUNT;
        const uint32_t count = 1 + (uint32_t)rand_r(&seed) % (round % 2 == 0 ? 3 : COUNT - first);
        if (first + count > COUNT)
            continue;
        uint64_t bytes = UINT64_MAX;
        assert_int_equal(jdb_arena_decommit(arena, first, count, &bytes), 0);
        const uint64_t start = (first * stride + 4095) / 4096 * 4096;
        const uint64_t end = (first + count) * stride / 4096 * 4096;
        assert_int_equal(bytes, end > start ? end - start : 0);
        if (end > start && (flags & JDB_ARENA_LOCK) == 0)
            assert_true(has_resident(jdb_arena_base(arena) + start, end - start, 0));
        memset(expected + first, 0, count);
        for (uint32_t i = 0; i < COUNT; i++)
            assert_true(is_all(frame(arena, i), stride, expected[i]));
        for (uint32_t i = first; i < first + count; i += 2)
            memset(frame(arena, i), expected[i] = (uint8_t)(i | 1), stride);
    }
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void decommitted_frames_give_memory_back_and_read_zero(void **state)
{
    (void)state;
    check_decommit(4120, 512, 0, JDB_ARENA_PAGES_NONE);
    check_decommit(1000, 512, 0, JDB_ARENA_PAGES_NONE);
    check_decommit(16384, 4096, JDB_ARENA_PREFAULT, JDB_ARENA_PAGES_THP);
    check_decommit(4120, 512, JDB_ARENA_MEMFD, JDB_ARENA_PAGES_NONE);
    check_decommit(8192, 4096, JDB_ARENA_LOCK, JDB_ARENA_PAGES_NONE);
    check_decommit(8192, 4096, JDB_ARENA_LOCK | JDB_ARENA_PREFAULT | JDB_ARENA_MEMFD, JDB_ARENA_PAGES_NONE);
}

static void decommit_lowers_what_is_resident(void **state)
{
    (void)state;
    if (tier_is_emulated()) {
        print_message("an emulator does not report what is resident: skipped\n");
        skip();
    }
    jdb_arena *const arena = arena_of(65536, 512, 0, JDB_ARENA_PREFAULT);
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    assert_int_equal(jdb_arena_get_report(arena, &report), 0);
    assert_int_equal(report.resident_bytes, 512 * 65536);
    uint64_t bytes = 0;
    assert_int_equal(jdb_arena_decommit(arena, 100, 300, &bytes), 0);
    assert_int_equal(bytes, 300 * 65536);
    assert_int_equal(jdb_arena_get_report(arena, &report), 0);
    assert_int_equal(report.resident_bytes, 212 * 65536);
    assert_int_equal(jdb_arena_decommit(arena, 0, 512, NULL), 0);
    assert_int_equal(jdb_arena_get_report(arena, &report), 0);
    assert_int_equal(report.resident_bytes, 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void memory_that_the_kernel_may_touch_is_kept(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(4096, 64, 128, 0);
    uint8_t *const base = jdb_arena_base(arena);
    memset(base, 5, 64 * 4096);
    uint64_t bytes = 99;
    assert_int_equal(jdb_pin(base + 10 * 4096 + 1, 1), 0);
    assert_int_equal(jdb_arena_decommit(arena, 8, 8, &bytes), -EBUSY);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_true(is_all(base, 64 * 4096, 5));
    assert_int_equal(jdb_arena_decommit(arena, 11, 4, NULL), 0);
    assert_int_equal(jdb_unpin(base + 10 * 4096 + 1, 1), 0);
    assert_int_equal(jdb_arena_decommit(arena, 8, 3, NULL), 0);

    assert_int_equal(jdb_arena_hold(arena, 20 * 4096 + 5, 2 * 4096), 0); /* frames 20, 21, 22 */
    assert_int_equal(jdb_arena_hold(arena, 20 * 4096 + 5, 2 * 4096), 0);
    assert_int_equal(jdb_arena_hold(arena, 22 * 4096, 200 * 4096), 0); /* past the usable frames */
    assert_int_equal(jdb_arena_decommit(arena, 19, 2, &bytes), -EBUSY);
    assert_int_equal(jdb_arena_decommit(arena, 63, 1, &bytes), -EBUSY);
    assert_int_equal(jdb_arena_decommit(arena, 19, 1, NULL), 0);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_int_equal(jdb_arena_unhold(arena, 20 * 4096, 2 * 4096), -EINVAL); /* another range */
    assert_int_equal(jdb_arena_unhold(arena, 22 * 4096, 200 * 4096), 0);
    assert_int_equal(jdb_arena_unhold(arena, 20 * 4096 + 5, 2 * 4096), 0);
    assert_int_equal(jdb_arena_decommit(arena, 22, 1, &bytes), -EBUSY); /* held twice */
    assert_int_equal(jdb_pin(base + 22 * 4096, 4096), 0);               /* a held frame can be used */
    assert_int_equal(jdb_unpin(base + 22 * 4096, 4096), 0);
    assert_int_equal(jdb_arena_unhold(arena, 20 * 4096 + 5, 2 * 4096), 0);
    assert_int_equal(jdb_arena_unhold(arena, 20 * 4096 + 5, 2 * 4096), -EINVAL);
    assert_int_equal(bytes, 99);
    assert_int_equal(jdb_arena_decommit(arena, 0, 64, &bytes), 0);
    assert_int_equal(bytes, 64 * 4096);

    const uint64_t span = jdb_arena_reserved_size(arena);
    assert_int_equal(jdb_arena_hold(arena, span, 1), -ERANGE);
    assert_int_equal(jdb_arena_hold(arena, span - 1, 2), -ERANGE);
    assert_int_equal(jdb_arena_hold(arena, UINT64_MAX, UINT64_MAX), -ERANGE);
    assert_int_equal(jdb_arena_hold(NULL, 0, 1), -EINVAL);
    assert_int_equal(jdb_arena_hold(arena, 0, 0), 0); /* no byte */
    assert_int_equal(jdb_arena_decommit(arena, 0, 64, NULL), 0);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_int_equal(jdb_arena_unhold(arena, 0, 0), 0);
    assert_int_equal(jdb_arena_unhold(NULL, 0, 1), -EINVAL);
    assert_int_equal(jdb_arena_decommit(arena, 64, 1, NULL), -ERANGE);
    assert_int_equal(jdb_arena_decommit(arena, 1, UINT32_MAX, NULL), -ERANGE);
    assert_int_equal(jdb_arena_decommit(arena, 0, 0, NULL), -EINVAL);
    assert_int_equal(jdb_arena_decommit(NULL, 0, 1, NULL), -EINVAL);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void an_arena_is_not_freed_under_its_pool(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(4096, 16, 0, 0);
    jdb_pool *pool = NULL;
    jdb_frame frame_lent;
    assert_int_equal(jdb_pool_new(arena, NULL, &pool), 0);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_int_equal(jdb_pool_get(pool, &frame_lent), 0);
    assert_int_equal(jdb_pin(frame_lent.ptr, 4096), 0);
    assert_int_equal(jdb_pool_put(pool, frame_lent), -EBUSY);
    assert_int_equal(jdb_arena_decommit(arena, frame_lent.index, 1, NULL), -EBUSY);
    assert_int_equal(jdb_unpin(frame_lent.ptr, 4096), 0);
    assert_int_equal(jdb_arena_hold(arena, 0, jdb_arena_size(arena)), 0);
    assert_int_equal(jdb_pool_put(pool, frame_lent), 0); /* registered frames are lent and put */
    assert_int_equal(jdb_arena_unhold(arena, 0, jdb_arena_size(arena)), 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- fork() ----------------------------------------------------------------------------------------------- */

/* Every call on an arena that stayed with the parent: the number of the first that does not say so. */
static int look_at_every_call(void *context)
{
    jdb_arena *const arena = context;
    uint8_t *ptr = NULL;
    uint32_t index = 0;
    jdb_raw view = JDB_RAW_INIT;
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    jdb_pin_mark mark;
    jdb_arena_pins pins;
    const int errors[] = {
        jdb_arena_frame_at(arena, 0, &ptr),    jdb_arena_index_of(arena, &index, &index),
        jdb_arena_view(arena, 0, 1, &view),    jdb_arena_grow(arena, 20),
        jdb_arena_decommit(arena, 0, 1, NULL), jdb_arena_hold(arena, 0, 4096),
        jdb_arena_unhold(arena, 0, 4096),      jdb_arena_fd(arena),
        jdb_arena_get_report(arena, &report),  jdb_arena_pin(arena, 0, 1, &mark),
        jdb_arena_get_pins(arena, &pins),      jdb_arena_free(arena),
    };
    for (int i = 0; i < (int)(sizeof errors / sizeof errors[0]); i++)
        if (errors[i] != -EPERM)
            return 1 + i;
    if (jdb_arena_base(arena) != NULL || jdb_arena_size(arena) != 0 || jdb_arena_frame_count(arena) != 0)
        return 20;
    jdb_arena *const own = arena_of(4096, 10, 20, 0); /* the child makes its own */
    frame(own, 9)[4095] = 1;
    if (jdb_pin(frame(own, 9), 4096) != 0 || jdb_unpin(frame(own, 9), 4096) != 0)
        return 21;
    return jdb_arena_free(own) == 0 ? 0 : 22;
}

struct heir {
    jdb_arena *arena;
    uint8_t *ptr;
};

static int use_kept_arena(void *context)
{
    struct heir *const heir = context;
    if (*heir->ptr != 7 || jdb_arena_base(heir->arena) == NULL)
        return 1;
    *heir->ptr = 8;
    if (jdb_arena_grow(heir->arena, 20) != 0)
        return 2;
    frame(heir->arena, 19)[0] = 1;
    if (jdb_pin(heir->ptr, 1) != 0 || jdb_arena_decommit(heir->arena, 0, 1, NULL) != -EBUSY ||
        jdb_unpin(heir->ptr, 1) != 0)
        return 3;
    return jdb_arena_free(heir->arena) == 0 ? 0 : 4;
}

static void a_child_is_refused_and_the_parent_goes_on(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        jdb_arena *const arena = arena_of(4096, 10, 20, flags);
        uint8_t *const ptr = frame(arena, 0);
        *ptr = 7;
        assert_int_equal(jdb_pin(ptr, 1), 0);
        assert_int_equal(in_child(look_at_every_call, arena), 0);
        assert_true(tier_is_emulated() || is_fatal(ptr));
        assert_int_equal(*ptr, 7);
        assert_int_equal(jdb_unpin(ptr, 1), 0);
        assert_int_equal(jdb_arena_grow(arena, 20), 0);
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

static void kept_memory_is_a_copy_or_shared(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        struct heir heir = {.arena = arena_of(4096, 10, 20, flags | JDB_ARENA_KEEP_ON_FORK)};
        heir.ptr = frame(heir.arena, 0);
        *heir.ptr = 7;
        assert_int_equal(in_child(use_kept_arena, &heir), 0);
        assert_int_equal(*heir.ptr, flags == 0 ? 7 : 8);
        assert_int_equal(jdb_arena_frame_count(heir.arena), 10);
        assert_int_equal(jdb_arena_free(heir.arena), 0);
    }
}

static atomic_bool stop;

static void *hold_and_unhold(void *context)
{
    while (!atomic_load(&stop))
        if (jdb_arena_hold(context, 0, 4096) != 0 || jdb_arena_unhold(context, 0, 4096) != 0)
            return context;
    return NULL;
}

static int hold_in_child(void *context)
{
    alarm(20); /* a lock left over from the parent would hang */
    return jdb_arena_hold(context, 0, 8192) == 0 && jdb_arena_unhold(context, 0, 8192) == 0 ? 0 : 1;
}

static void no_lock_is_left_locked_in_a_child(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(4096, 10, 20, JDB_ARENA_KEEP_ON_FORK);
    pthread_t thread;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, hold_and_unhold, arena), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(in_child(hold_in_child, arena), 0);
    atomic_store(&stop, true);
    void *failed = NULL;
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- memfd ------------------------------------------------------------------------------------------------ */

struct partner {
    int fd;
    int socket;
};

/* The other process: maps the file, sees the parent's bytes, answers, follows growth. */
static int be_partner(void *context)
{
    const struct partner *const partner = context;
    jdb_arena_options options = options_of(4120, 100, 200);
    jdb_arena *arena = NULL;
    char word = 0;
    if (jdb_arena_map_fd(&options, partner->fd, &arena) != 0)
        return 1;
    if (!is_all(frame(arena, 42), 4120, 1) || jdb_arena_grow(arena, 150) != -ERANGE)
        return 2;
    if (jdb_arena_frame_count(arena) != 100)
        return 3;
    memset(frame(arena, 43), 2, 4120);
    if (write(partner->socket, "a", 1) != 1 || read(partner->socket, &word, 1) != 1)
        return 4;
    if (jdb_arena_grow(arena, 150) != 0 || !is_all(frame(arena, 149), 4120, 3))
        return 5;
    if (!is_all(frame(arena, 42), 4120, 0)) /* decommitted by the parent */
        return 6;
    return jdb_arena_free(arena) == 0 ? 0 : 7;
}

static void two_processes_share_a_memfd(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(4120, 100, 200, JDB_ARENA_MEMFD);
    int sockets[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    memset(frame(arena, 42), 1, 4120);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct partner partner = {jdb_arena_fd(arena), sockets[1]};
        if (partner.fd != -EPERM)
            _exit(99);
        partner.fd = 3; /* found below: descriptors are inherited, the arena's word for it is not */
        for (; partner.fd < 64; partner.fd++) {
            jdb_arena_options options = options_of(4120, 100, 200);
            jdb_arena *found = NULL;
            if (jdb_arena_map_fd(&options, partner.fd, &found) == 0 && jdb_arena_free(found) == 0)
                break;
        }
        _exit(be_partner(&partner));
    }
    char word = 0;
    assert_int_equal(read(sockets[0], &word, 1), 1);
    assert_true(is_all(frame(arena, 43), 4120, 2));
    assert_int_equal(jdb_arena_grow(arena, 150), 0);
    memset(frame(arena, 149), 3, 4120);
    assert_int_equal(jdb_arena_decommit(arena, 42, 1, NULL), 0);
    assert_int_equal(write(sockets[0], "b", 1), 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(sockets[0]);
    close(sockets[1]);
    assert_int_equal(jdb_arena_free(arena), 0);
}

struct peer {
    jdb_arena *arena; /* over the same file, once there is one */
    bool is_giving_up;
};

/* Called while the owner grows: the peer grows into the same frames, and uses one, before the owner gives up. */
static bool let_the_peer_grow(void *context, uint64_t done, uint64_t total)
{
    struct peer *const peer = context;
    (void)done;
    (void)total;
    if (!peer->is_giving_up)
        return true;
    assert_int_equal(jdb_arena_grow(peer->arena, 200), 0);
    memset(frame(peer->arena, 150), 0xaa, 4120);
    return false;
}

static void growth_that_fails_leaves_the_frames_of_the_other_side(void **state)
{
    (void)state;
    struct peer peer = {NULL, false};
    jdb_arena_options options = options_of(4120, 100, 200);
    options.flags = JDB_ARENA_MEMFD | JDB_ARENA_PREFAULT;
    options.progress = let_the_peer_grow;
    options.progress_context = &peer;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    const jdb_arena_options other = options_of(4120, 100, 200);
    assert_int_equal(jdb_arena_map_fd(&other, jdb_arena_fd(arena), &peer.arena), 0);
    peer.is_giving_up = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jdb_arena_grow(arena, 200), -ECANCELED);
        assert_int_equal(jdb_arena_frame_count(arena), 100);
        assert_true(is_all(frame(peer.arena, 150), 4120, 0xaa));
    }
    peer.is_giving_up = false;
    assert_int_equal(jdb_arena_grow(arena, 200), 0);
    assert_true(is_all(frame(arena, 150), 4120, 0xaa));
    assert_int_equal(jdb_arena_free(peer.arena), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Bytes that the memfd of an arena of this name has, without asking the arena for it. */
static uint64_t memfd_bytes(const char *name)
{
    char link[64];
    char target[PATH_MAX];
    for (int fd = 0; fd < 1000; fd++) {
        struct stat info;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        if (strstr(target, name) != NULL && fstat(fd, &info) == 0)
            return (uint64_t)info.st_blocks * 512;
    }
    return UINT64_MAX;
}

static bool give_up(void *context, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return !*(const bool *)context;
}

static void growth_that_fails_leaves_no_memory_in_a_file_that_nobody_else_has(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4096, 100, 200);
    options.flags = JDB_ARENA_MEMFD | JDB_ARENA_PREFAULT;
    options.name = "one of a kind";
    jdb_arena *arena = NULL;
    bool is_giving_up = false;
    options.progress = give_up;
    options.progress_context = &is_giving_up;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(memfd_bytes(options.name), 100 * 4096);
    is_giving_up = true;
    assert_int_equal(jdb_arena_grow(arena, 200), -ECANCELED);
    assert_int_equal(memfd_bytes(options.name), 100 * 4096);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static int grow_in_child(void *context)
{
    if (jdb_arena_grow(context, 20) != 0)
        return 1;
    memset(frame(context, 19), 9, 4096);
    return 0;
}

/* Parent and child may both make the file longer, each by what it needs. */
static void growth_follows_that_of_a_child_that_keeps_the_file(void **state)
{
    (void)state;
    for (uint32_t frame_count = 0; frame_count <= 10; frame_count += 10) {
        jdb_arena *const arena = arena_of(4096, frame_count, 20, JDB_ARENA_MEMFD | JDB_ARENA_KEEP_ON_FORK);
        assert_int_equal(in_child(grow_in_child, arena), 0);
        assert_int_equal(jdb_arena_grow(arena, 15), 0);
        frame(arena, 14)[0] = 1;
        assert_int_equal(jdb_arena_grow(arena, 20), 0);
        assert_true(is_all(frame(arena, 19), 4096, 9));
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

static void a_file_that_can_shrink_is_refused(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4096, 10, 20);
    jdb_arena *arena = NULL;
    const int plain = memfd_create("plain", MFD_ALLOW_SEALING);
    FILE *const file = tmpfile();
    assert_int_equal(ftruncate(plain, 65536), 0);
    assert_int_equal(jdb_arena_map_fd(&options, plain, &arena), -EINVAL);
    assert_int_equal(jdb_arena_map_fd(&options, fileno(file), &arena), -EINVAL);
    assert_int_equal(jdb_arena_map_fd(&options, -1, &arena), -EINVAL);
    assert_int_equal(jdb_arena_map_fd(&options, 999, &arena), -EINVAL);
    assert_int_equal(jdb_arena_map_fd(&options, plain, NULL), -EINVAL);
    fclose(file);
    close(plain);

    jdb_arena *const owner = arena_of(4096, 10, 20, JDB_ARENA_MEMFD);
    const int fd = jdb_arena_fd(owner);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), -1); /* sealed */
    options.frame_count = 11;
    assert_int_equal(jdb_arena_map_fd(&options, fd, &arena), -ERANGE);
    options.frame_count = 10;
    options.foreign_ptr = jdb_arena_base(owner); /* aligned: refused for what it is */
    assert_int_equal(jdb_arena_map_fd(&options, fd, &arena), -EINVAL);
    assert_null(arena);
    options.foreign_ptr = NULL;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int read_only = open(path, O_RDONLY);
    assert_true(read_only >= 0);
    assert_int_equal(jdb_arena_map_fd(&options, read_only, &arena), -EINVAL);
    close(read_only);
    assert_null(arena);
    assert_int_equal(jdb_arena_map_fd(&options, fd, &arena), 0);
    assert_int_equal(jdb_arena_free(owner), 0);
    frame(arena, 9)[4095] = 1; /* outlives the owner */
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Foreign memory --------------------------------------------------------------------------------------- */

static int released;

static void note_release(void *context, void *ptr, uint64_t size)
{
    assert_ptr_equal(context, &released);
    assert_int_equal(size, 64 * 4096);
    munmap(ptr, size);
    released++;
}

/* KiB that the process has locked; 0 where the system does not say. */
static unsigned long locked_kib(void)
{
    unsigned long kib = 0;
    char line[256];
    FILE *const file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmLck:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    if (file != NULL)
        fclose(file);
    return kib;
}

static void foreign_memory_is_adopted_and_handed_back(void **state)
{
    (void)state;
    uint8_t *const memory = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    memset(memory, 9, 4096);
    jdb_arena_options options = options_of(4120, 10, 28);
    options.frame_align = 512;
    options.flags = JDB_ARENA_PREFAULT | JDB_ARENA_LOCK;
    options.foreign_ptr = memory;
    options.foreign_size = 64 * 4096;
    options.foreign_release = note_release;
    options.foreign_context = &released;
    jdb_arena *arena = NULL, *again = NULL;
    released = 0;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_ptr_equal(jdb_arena_base(arena), memory);
    assert_true(is_all(memory, 4096, 9)); /* prefault changes nothing */
    assert_true(has_resident(memory, 12 * 4096, 12));
    const unsigned long locked = locked_kib();
    assert_int_equal(jdb_arena_new(&options, &again), -EINVAL); /* adopted already */
    assert_int_equal(locked_kib(), locked);
    assert_int_equal(jdb_arena_grow(arena, 28), 0);
    assert_int_equal(jdb_arena_decommit(arena, 0, 1, NULL), -ENOTSUP);
    assert_int_equal(jdb_pin(frame(arena, 27), 4120), 0);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_int_equal(released, 0);
    assert_int_equal(jdb_unpin(frame(arena, 27), 4120), 0);
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    assert_int_equal(jdb_arena_get_report(arena, &report), 0);
    assert_int_equal(report.usable_bytes, 32 * 4096); /* 28 frames of 4,608 bytes, rounded up */
    assert_true(report.resident_bytes >= report.usable_bytes || tier_is_emulated());
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(released, 1);
    assert_int_equal(jdb_pin(memory, 1), -ENOTSUP);
}

/* It would be pinned as a buffer, and the frame put or the arena freed under the kernel. */
static void memory_of_a_buffer_is_not_adopted(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 65536, MIB, 64 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        jdb_arena_options options = options_of(4096, 1, 1);
        jdb_arena *arena = NULL;
        options.foreign_ptr = buf.ptr + buf.cap - 4096;
        options.foreign_size = 4096;
        assert_int_equal(jdb_arena_new(&options, &arena), -EINVAL);
        options.foreign_ptr = buf.ptr;
        options.foreign_size = buf.cap;
        assert_int_equal(jdb_arena_new(&options, &arena), -EINVAL);
        assert_null(arena);
        jdb_buf_drop(&buf);
        assert_int_equal(jdb_arena_new(&options, &arena), -EINVAL); /* nor memory that is not lent */
    }
}

static jdb_arena_options adopting(void *ptr, uint64_t size)
{
    jdb_arena_options options = options_of(4096, (uint32_t)(size / 4096), (uint32_t)(size / 4096));
    options.foreign_ptr = ptr;
    options.foreign_size = size;
    return options;
}

/* Prefault says what it is about, in a signal's stead: with populate as it is, and as an older system refuses it. */
static void expect_unwritable(void *ptr, uint64_t size)
{
    for (int is_old = 0; is_old < 2; is_old++) {
        jdb_arena_report report = JDB_ARENA_REPORT_INIT;
        jdb_arena_options options = adopting(ptr, size);
        options.flags = JDB_ARENA_PREFAULT;
        options.report = &report;
        jdb_arena *arena = NULL;
        if (is_old)
            faults_arm_all(OS_CALL_POPULATE, 0, -EINVAL);
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        const jdb_arena_item *const item = &report.items[JDB_ARENA_ITEM_PREFAULT];
        assert_int_equal(item->err, -EFAULT);
        assert_int_equal(item->is_obtained, 0);
        assert_non_null(strstr(item->reason, "cannot be written"));
        assert_int_equal(jdb_arena_free(arena), 0);
        arena = NULL;
        options.required = 1u << JDB_ARENA_ITEM_PREFAULT;
        assert_int_equal(jdb_arena_new(&options, &arena), -ENOTSUP);
        assert_null(arena);
        faults_disarm();
    }
}

static void memory_that_cannot_be_written_is_reported_by_prefault(void **state)
{
    (void)state;
    const int kind = MAP_PRIVATE | MAP_ANONYMOUS;
    uint8_t *const read_only = mmap(NULL, MIB, PROT_READ, kind, -1, 0);
    uint8_t *const closed = mmap(NULL, MIB, PROT_NONE, kind, -1, 0);
    uint8_t *const in_part = mmap(NULL, MIB, PROT_READ | PROT_WRITE, kind, -1, 0);
    FILE *const file = tmpfile();
    assert_int_equal(ftruncate(fileno(file), 4096), 0);
    uint8_t *const past_the_end = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    assert_true(read_only != MAP_FAILED && closed != MAP_FAILED && in_part != MAP_FAILED && past_the_end != MAP_FAILED);
    assert_int_equal(mprotect(in_part + MIB / 2, 4096, PROT_READ), 0);
    expect_unwritable(read_only, MIB);
    expect_unwritable(closed, MIB);
    expect_unwritable(in_part, MIB);
    expect_unwritable(past_the_end, MIB);
    munmap(read_only, MIB);
    munmap(closed, MIB);
    munmap(in_part, MIB);
    munmap(past_the_end, MIB);
    fclose(file);
}

/* Where the system cannot populate, the kernel touches; where it cannot do that either, nothing is touched. */
static void foreign_memory_is_prefaulted_without_populate(void **state)
{
    (void)state;
    uint8_t *const memory = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    memset(memory, 7, 4096);
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    jdb_arena_options options = adopting(memory, MIB);
    options.flags = JDB_ARENA_PREFAULT;
    options.report = &report;
    jdb_arena *arena = NULL;
    faults_arm_all(OS_CALL_POPULATE, 0, -EINVAL);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    faults_disarm();
    assert_int_equal(report.items[JDB_ARENA_ITEM_PREFAULT].obtained, MIB);
    assert_true(has_resident(memory, MIB, MIB / 4096));
    assert_true(is_all(memory, 4096, 7));
    assert_int_equal(jdb_arena_free(arena), 0);
    munmap(memory, MIB);
}

/* ---- Prefault --------------------------------------------------------------------------------------------- */

struct progress {
    uint64_t calls;
    uint64_t last;
    uint64_t total;
    uint64_t give_up_at;
    pthread_t thread;
};

static bool note_progress(void *context, uint64_t done, uint64_t total)
{
    struct progress *const progress = context;
    assert_true(pthread_equal(progress->thread, pthread_self()) != 0);
    assert_true(done > progress->last && done <= total);
    progress->calls++;
    progress->last = done;
    progress->total = total;
    return done < progress->give_up_at;
}

static uint64_t mapping_count(void)
{
    FILE *const maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    uint64_t lines = 0;
    for (int c = fgetc(maps); c != EOF; c = fgetc(maps))
        lines += c == '\n' ? 1 : 0;
    fclose(maps);
    return lines;
}

static void prefault_reports_its_progress_and_can_be_given_up(void **state)
{
    (void)state;
    struct progress progress = {.give_up_at = UINT64_MAX, .thread = pthread_self()};
    jdb_arena_options options = options_of(MIB, 128, 256);
    options.flags = JDB_ARENA_PREFAULT;
    options.prefault_threads = 2;
    options.progress = note_progress;
    options.progress_context = &progress;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_true(progress.calls >= 1);
    assert_int_equal(progress.last, 128 * MIB);
    assert_int_equal(progress.total, 128 * MIB);
    assert_true(has_resident(jdb_arena_base(arena), 128 * MIB, 128 * MIB / 4096));
    memset(frame(arena, 127), 3, MIB);
    progress.last = 0;
    progress.give_up_at = 32 * MIB;
    assert_int_equal(jdb_arena_grow(arena, 256), -ECANCELED);
    assert_int_equal(jdb_arena_frame_count(arena), 128);
    assert_true(is_fatal(jdb_arena_base(arena) + 128 * MIB));
    assert_true(is_all(frame(arena, 127), MIB, 3));
    progress.last = 0;
    progress.give_up_at = UINT64_MAX;
    assert_int_equal(jdb_arena_grow(arena, 160), 0);
    assert_int_equal(progress.total, 32 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);

    const uint64_t before = mapping_count();
    progress.last = 0;
    progress.give_up_at = 0;
    arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), -ECANCELED);
    assert_null(arena);
    assert_true(mapping_count() <= before + 4); /* libc keeps stacks of threads that ended */
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

enum { RACE_FRAMES = 16 };

/* Pins a frame, fills it, and expects it to stay while the pin lasts. */
static void *pin_and_check(void *context)
{
    jdb_arena *const arena = context;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int i = 0; i < 20000; i++) {
        const uint32_t index = (uint32_t)rand_r(&seed) % RACE_FRAMES;
        uint8_t *ptr = NULL;
        if (jdb_arena_frame_at(arena, index, &ptr) != 0)
            return arena;
        const int err = jdb_pin(ptr, 4096);
        if (err == -EBUSY)
            continue;
        _Atomic uint64_t *const word = (_Atomic uint64_t *)(void *)ptr;
        atomic_store(word, 42);
        const bool kept = err == 0 && atomic_load(word) == 42;
        if (!kept || jdb_unpin(ptr, 4096) != 0)
            return arena;
    }
    return NULL;
}

static void *grow_slowly(void *context)
{
    for (uint32_t count = RACE_FRAMES; count <= 2000; count++)
        if (jdb_arena_grow(context, count) != 0 || jdb_arena_frame_count(context) < count)
            return context;
    return NULL;
}

static void pins_hold_against_decommit_and_growth_in_other_threads(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(4096, RACE_FRAMES, 2000, 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? pin_and_check : grow_slowly, arena), 0);
    int given_back = 0;
    for (int i = 0; i < 20000; i++) {
        const int err = jdb_arena_decommit(arena, (uint32_t)i % RACE_FRAMES, 1, NULL);
        assert_true(err == 0 || err == -EBUSY);
        given_back += err == 0 ? 1 : 0;
    }
    assert_true(given_back > 0);
    for (int i = 0; i < 4; i++) {
        void *failed = arena;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(jdb_arena_frame_count(arena), 2000);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void the_counts_of_pins_are_those_of_the_frames(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(8192, 4, 4, 0);
    jdb_arena *const odd = arena_of(3 * 4096, 4, 4, 0);
    jdb_arena_pins pins = {.stride_shift = 99};
    assert_int_equal(jdb_arena_get_pins(NULL, &pins), -EINVAL);
    assert_int_equal(jdb_arena_get_pins(arena, NULL), -EINVAL);
    assert_int_equal(jdb_arena_get_pins(odd, &pins), -ENOTSUP);
    assert_int_equal(pins.stride_shift, 99);
    assert_int_equal(jdb_arena_get_pins(arena, &pins), 0);
    assert_int_equal(pins.stride_shift, 13);
    assert_int_equal(jdb_pin(frame(arena, 2), 8192), 0);
    /* Each of 512 frames has its place; those that the arena has not are 0. */
    const uint32_t *const counts = pins.counts;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 512; i++)
        sum += counts[i];
    assert_int_equal(sum, 1);
    assert_int_equal(jdb_unpin(frame(arena, 2), 8192), 0);
    for (uint32_t i = 0; i < 512; i++)
        assert_int_equal(counts[i], 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(jdb_arena_free(odd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_lie_at_multiples_of_the_stride),
        cmocka_unit_test(what_is_not_a_frame_is_refused),
        cmocka_unit_test(wrong_options_are_refused_and_change_nothing),
        cmocka_unit_test(options_of_every_size_are_read),
        cmocka_unit_test(growth_moves_nothing_and_brings_zeros),
        cmocka_unit_test(terabytes_cost_addresses_alone),
        cmocka_unit_test(ends_are_guarded),
        cmocka_unit_test(decommitted_frames_give_memory_back_and_read_zero),
        cmocka_unit_test(decommit_lowers_what_is_resident),
        cmocka_unit_test(memory_that_the_kernel_may_touch_is_kept),
        cmocka_unit_test(an_arena_is_not_freed_under_its_pool),
        cmocka_unit_test(a_child_is_refused_and_the_parent_goes_on),
        cmocka_unit_test(kept_memory_is_a_copy_or_shared),
        cmocka_unit_test(no_lock_is_left_locked_in_a_child),
        cmocka_unit_test(two_processes_share_a_memfd),
        cmocka_unit_test(growth_that_fails_leaves_the_frames_of_the_other_side),
        cmocka_unit_test(growth_that_fails_leaves_no_memory_in_a_file_that_nobody_else_has),
        cmocka_unit_test(growth_follows_that_of_a_child_that_keeps_the_file),
        cmocka_unit_test(a_file_that_can_shrink_is_refused),
        cmocka_unit_test(foreign_memory_is_adopted_and_handed_back),
        cmocka_unit_test(memory_of_a_buffer_is_not_adopted),
        cmocka_unit_test(the_counts_of_pins_are_those_of_the_frames),
        cmocka_unit_test(memory_that_cannot_be_written_is_reported_by_prefault),
        cmocka_unit_test(foreign_memory_is_prefaulted_without_populate),
        cmocka_unit_test(prefault_reports_its_progress_and_can_be_given_up),
        cmocka_unit_test(pins_hold_against_decommit_and_growth_in_other_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
