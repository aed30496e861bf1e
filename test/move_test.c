/* SPDX-License-Identifier: MIT
 *
 * move_test.c - pages that move while the system fails half-way: mremap() behaves here as that of older kernels does, which
 * unmaps the place to move to before it refuses, and another thread's mmap() is always there first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "must.h"
#include "os/os.h"
#include "tier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

#if TIER_SANITIZED || !defined(__linux__) || !defined(SYS_mremap)
int main(void)
{
    puts("skipped: a sanitizer takes the same calls over, or this is not Linux");
    return 77;
}
#else

/* ---- The system ------------------------------------------------------------------------------------------- */

enum failure { FAIL_NEVER, FAIL_BEFORE_UNMAP, FAIL_AFTER_UNMAP };

static struct {
    enum failure failure;
    unsigned after;  /* calls that work before */
    bool has_rival;  /* another thread maps a hole as soon as it is there */
    unsigned called; /* FIXED calls */
    unsigned failed;
} system_now;

/* What the other thread mapped last. */
static struct {
    uint8_t *ptr;
    size_t size;
} rival;

enum { RIVAL_BYTE = 0x6b };

static void rival_maps(void *hole, size_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    uint8_t *const ptr = (uint8_t *)syscall(SYS_mmap, hole, size, PROT_READ | PROT_WRITE, flags, -1, (off_t)0);
    MUST(ptr == hole);
    memset(ptr, RIVAL_BYTE, size);
    rival.ptr = ptr;
    rival.size = size;
}

static void check_rival(void)
{
    for (size_t at = 0; at < rival.size; at += 512)
        MUST(rival.ptr[at] == RIVAL_BYTE);
}

static void *fail_with_hole(void *hole, size_t size, int err)
{
    MUST(syscall(SYS_munmap, hole, size) == 0);
    if (system_now.has_rival)
        rival_maps(hole, size);
    errno = err;
    return MAP_FAILED;
}

/* Whether a range has several mappings. */
static bool has_several(const void *ptr, size_t size)
{
    FILE *const maps = fopen("/proc/self/maps", "r");
    char line[512];
    bool is_several = false;
    MUST(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long begin = 0;
        unsigned long end = 0;
        MUST(sscanf(line, "%lx-%lx", &begin, &end) == 2);
        if ((uintptr_t)ptr >= begin && (uintptr_t)ptr < end)
            is_several = (uintptr_t)ptr + size > end;
    }
    fclose(maps);
    return is_several;
}

static bool fails_now(void)
{
    const unsigned call = system_now.called++;
    if (system_now.failure == FAIL_NEVER || call < system_now.after)
        return false;
    system_now.failed++;
    return true;
}

static void *real_mremap(void *from, size_t size, size_t new_size, int flags, void *to)
{
    return (void *)syscall(SYS_mremap, from, size, new_size, flags, to);
}

void *mremap(void *from, size_t size, size_t new_size, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    void *const to = (flags & MREMAP_FIXED) != 0 ? va_arg(list, void *) : NULL;
    va_end(list);
    if (to == NULL)
        return real_mremap(from, size, new_size, flags, NULL);
    if (has_several(from, size)) {
        system_now.failed++;
        return fail_with_hole(to, new_size, EFAULT);
    }
    if (!fails_now())
        return real_mremap(from, size, new_size, flags, to);
    if (system_now.failure == FAIL_AFTER_UNMAP)
        return fail_with_hole(to, new_size, ENOMEM);
    errno = ENOMEM;
    return MAP_FAILED;
}

/* A file that refuses to be mapped is asked after the place is unmapped. */
void *mmap(void *ptr, size_t size, int protection, int flags, int fd, off_t offset)
{
    if ((flags & MAP_FIXED) != 0 && fd >= 0 && fails_now())
        return fail_with_hole(ptr, size, ENOMEM);
    return (void *)syscall(SYS_mmap, ptr, size, protection, flags, fd, offset);
}

static void set_system(enum failure failure, unsigned after, bool has_rival)
{
    system_now.failure = failure;
    system_now.after = after;
    system_now.has_rival = has_rival;
    system_now.called = 0;
    system_now.failed = 0;
}

/* ---- Buffers ---------------------------------------------------------------------------------------------- */

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

static void fill(jdb_buf *buf)
{
    for (size_t at = 0; at < buf->cap; at += 512)
        buf->ptr[at] = (uint8_t)(at >> 12 ^ at >> 9);
    buf->len = buf->cap;
}

static bool is_filled(const jdb_buf *buf, size_t size)
{
    for (size_t at = 0; at < size; at += 512)
        if (buf->ptr[at] != (uint8_t)(at >> 12 ^ at >> 9))
            return false;
    return true;
}

/* A full buffer of 1 MiB that has to move to grow, of an odd number of mappings: `unit` bytes each, but for the last. */
static void make_full(jdb_buf *buf, jdb_buf *wall, unsigned mappings, size_t unit)
{
    MUST(jdb_buf_with_cap(buf, MIB) == 0);
    MUST(jdb_buf_with_cap(wall, 4 * MIB) == 0);
    fill(buf);
    for (size_t at = unit; mappings > 1; at += 2 * unit, mappings -= 2)
        MUST(madvise(buf->ptr + at, unit, MADV_DONTDUMP) == 0 && has_several(buf->ptr, buf->cap));
}

static void drop_all(jdb_buf *buf, jdb_buf *wall)
{
    jdb_buf_drop(buf);
    jdb_buf_drop(wall);
    jdb_trim();
    MUST(stats_now().lent_bytes == 0);
}

/* Whatever the library does from now on, it does not touch what the other thread has. */
static void use_much(void)
{
    uint64_t bytes = 0;
    for (size_t round = 0; round < 3; round++) {
        jdb_buf bufs[40];
        for (size_t i = 0; i < 40; i++) {
            MUST(jdb_buf_zeroed(&bufs[i], (i + 1) * 64 * KIB) == 0);
            for (size_t at = 0; at < bufs[i].cap; at += 4096)
                MUST(bufs[i].ptr[at] == 0);
            fill(&bufs[i]);
        }
        for (size_t i = 0; i < 40; i++) {
            MUST(is_filled(&bufs[i], bufs[i].cap));
            jdb_buf_drop(&bufs[i]);
        }
        jdb_trim();
    }
    const int err = jdb_resident_bytes(&bytes);
    MUST(err == 0 || err == -ENOTSUP); /* a system without mincore */
    MUST(stats_now().lent_bytes == 0);
    check_rival();
}

/* ---- Growth ----------------------------------------------------------------------------------------------- */

static void assert_child(void (*body)(void *), const void *argument)
{
    char text[4096];
    const int status = must_run_child(body, (void *)(uintptr_t)argument, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

static uint8_t *map_pages(size_t size, int protection)
{
    uint8_t *const ptr = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(ptr != MAP_FAILED);
    return ptr;
}

static void body_several(void *argument)
{
    (void)argument;
    jdb_buf buf;
    jdb_buf wall;
    make_full(&buf, &wall, 3, 128 * KIB);
    set_system(FAIL_NEVER, 0, true);
    MUST(jdb_buf_reserve(&buf, MIB) == 0);
    MUST(is_filled(&buf, MIB) && system_now.failed == 0);
    MUST(system_now.called == 0 || stats_now().copied_bytes == 0); /* it moved, where the system has the call */
    check_rival();
    fill(&buf);
    drop_all(&buf, &wall);
    use_much();
}

/* As many mappings as growth can make, none where a half of the range ends: they are found. */
static void body_grown(void *argument)
{
    (void)argument;
    const size_t page = jdb__os_page_size();
    const size_t page_count = 1 << 15;
    uint8_t *const from = map_pages(page_count * page, PROT_READ | PROT_WRITE);
    uint8_t *const to = map_pages(page_count * page, PROT_READ | PROT_WRITE);
    const bool has_call = jdb__os_move(from, page, to) == 0; /* its mapping does not change */
    bool is_other = false;
    for (size_t at = 33; at < page_count; at += at / 2) {
        const size_t end = at + at / 2 < page_count ? at + at / 2 : page_count;
        is_other = !is_other;
        from[at * page] = 1;
        MUST(!is_other || madvise(from + at * page, (end - at) * page, MADV_DONTDUMP) == 0);
    }
    set_system(FAIL_NEVER, 0, false);
    const int err = jdb__os_move(from, page_count * page, to);
    MUST(err == 0 || !has_call); /* a system without it */
    for (size_t at = 33; err == 0 && at < page_count; at += at / 2)
        MUST(to[at * page] == 1 && from[at * page] == 0);
}

/* To find them all would take too many calls. */
static void body_many(void *argument)
{
    (void)argument;
    jdb_buf buf;
    jdb_buf wall;
    make_full(&buf, &wall, 255, 4 * KIB);
    MUST(jdb_buf_reserve(&buf, MIB) == 0);
    MUST(is_filled(&buf, MIB) && stats_now().copied_bytes == MIB && stats_now().moved_bytes == 0);
    drop_all(&buf, &wall);
}

static void a_buffer_of_several_mappings_moves_and_overwrites_nobody(void **state)
{
    (void)state;
    assert_child(body_several, NULL);
    assert_child(body_grown, NULL);
    assert_child(body_many, NULL);
}

struct half_way {
    enum failure failure;
    unsigned after;
    bool has_rival;
    bool is_several;
};

enum { NOTHING_FAILED = 100 };

/* The n-th part does not move: the buffer is copied. */
static void body_half_way(void *argument)
{
    const struct half_way *const now = argument;
    uint64_t mapped = 0;
    for (unsigned round = 0; round < 12; round++) {
        jdb_buf buf;
        jdb_buf wall;
        set_system(FAIL_NEVER, 0, false);
        make_full(&buf, &wall, now->is_several ? 3 : 1, 128 * KIB);
        set_system(now->failure, now->after, now->has_rival);
        MUST(jdb_buf_reserve(&buf, 2 * MIB) == 0);
        if (system_now.failed == 0 && round == 0)
            _exit(NOTHING_FAILED);
        set_system(FAIL_NEVER, 0, false);
        MUST(is_filled(&buf, MIB));
        check_rival();
        MUST(rival.ptr == NULL || jdb_pin(rival.ptr, 1) == -ENOTSUP);
        fill(&buf);
        MUST(is_filled(&buf, buf.cap));
        drop_all(&buf, &wall);
        MUST(round < 2 || now->has_rival || stats_now().mapped_bytes == mapped); /* nothing is lost but to others */
        MUST(stats_now().mapped_bytes <= 64 * MIB);
        mapped = stats_now().mapped_bytes;
    }
    use_much();
}

static void a_move_that_fails_half_way_loses_and_overwrites_nothing(void **state)
{
    (void)state;
    char text[4096];
    unsigned failed = 0;
    for (unsigned i = 0; i < 6; i++) {
        const enum failure failure = i < 2 ? FAIL_BEFORE_UNMAP : FAIL_AFTER_UNMAP;
        struct half_way now = {failure, 0, i >= 4, i % 2 != 0};
        int status = 0;
        for (; (status = must_run_child(body_half_way, &now, text, sizeof text)) == 0; now.after++)
            assert_true(++failed < 100);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != NOTHING_FAILED)
            fail_msg("failure %d, rival %d, several %d, %u calls work: status %d: %s", now.failure, now.has_rival,
                     now.is_several, now.after, status, text);
    }
    print_message("%u calls failed\n", failed);
    assert_true(failed == 0 || failed >= 6); /* 0: a system without the call */
}

/* ---- One range over another --------------------------------------------------------------------------------- */

static bool is_mapped(uint8_t *page)
{
    unsigned char is_resident = 0;
    return mincore(page, 4096, &is_resident) == 0;
}

/* To see that there is one mapping, it is asked to be longer: what it then has behind it goes again. */
static void body_end(void *argument)
{
    (void)argument;
    const size_t page = jdb__os_page_size();
    uint8_t *const from = map_pages(64 * page, PROT_READ | PROT_WRITE);
    uint8_t *const to = map_pages(32 * page, PROT_READ | PROT_WRITE);
    MUST(munmap(from + 32 * page, 32 * page) == 0);
    memset(from, 1, 32 * page);
    set_system(FAIL_NEVER, 0, false);
    const int err = jdb__os_move(from, 32 * page, to);
    MUST(err == 0 || system_now.called == 0 || err == -EINVAL);
    MUST(!is_mapped(from + 32 * page) && is_mapped(from + 31 * page));
    MUST(err != 0 || (to[0] == 1 && to[32 * page - 1] == 1 && from[0] == 0));
}

static void a_move_maps_nothing_behind(void **state)
{
    (void)state;
    assert_child(body_end, NULL);
}

/* ---- Arenas ----------------------------------------------------------------------------------------------- */

static jdb_arena_options memfd_options(void)
{
    return (jdb_arena_options){
        .size = sizeof(jdb_arena_options),
        .frame_size = 64 * KIB,
        .frame_count = 16,
        .max_frame_count = 64,
        .flags = JDB_ARENA_MEMFD,
    };
}

/* Bytes of address space. */
static uint64_t address_bytes(void)
{
    FILE *const file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    MUST(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void body_arena_new(void *argument)
{
    const struct half_way *const now = argument;
    const jdb_arena_options options = memfd_options();
    jdb_arena *arena = NULL;
    MUST(jdb_arena_new(&options, &arena) == 0 && jdb_arena_free(arena) == 0);
    const uint64_t addresses = address_bytes();
    for (unsigned round = 0; round < 12; round++) {
        set_system(now->failure, 0, now->has_rival);
        arena = NULL;
        MUST(jdb_arena_new(&options, &arena) == -ENOMEM && arena == NULL);
        MUST(system_now.failed == 1);
        check_rival();
    }
    set_system(FAIL_NEVER, 0, false);
    MUST(now->has_rival || address_bytes() <= addresses + MIB);
    MUST(jdb_arena_new(&options, &arena) == 0 && jdb_arena_free(arena) == 0);
    check_rival();
}

static void body_arena_grow(void *argument)
{
    const struct half_way *const now = argument;
    const jdb_arena_options options = memfd_options();
    jdb_arena *arena = NULL;
    MUST(jdb_arena_new(&options, &arena) == 0);
    uint8_t *const base = jdb_arena_base(arena);
    memset(base, 0x11, 16 * 64 * KIB);
    set_system(now->failure, 0, now->has_rival);
    MUST(jdb_arena_grow(arena, 32) == -ENOMEM && jdb_arena_frame_count(arena) == 16);
    MUST(system_now.failed == 1);
    set_system(FAIL_NEVER, 0, false);
    check_rival();
    MUST(jdb_arena_grow(arena, 24) == (now->has_rival ? -ENOMEM : 0));
    jdb_arena_report report = {.size = sizeof report};
    MUST(jdb_arena_get_report(arena, &report) == 0);
    MUST(report.guard_bytes <= MIB && report.usable_bytes >= 16 * 64 * KIB);
    for (size_t at = 0; at < 16 * 64 * KIB; at += 512)
        MUST(base[at] == 0x11);
    MUST(jdb_arena_free(arena) == 0);
    check_rival();
}

static void addresses_lost_to_another_thread_are_no_arena(void **state)
{
    (void)state;
    if (jdb_arena_new(
            &(jdb_arena_options){
                .size = sizeof(jdb_arena_options), .frame_size = 4096, .frame_count = 1, .flags = JDB_ARENA_MEMFD},
            &(jdb_arena *){NULL}) != 0)
        skip(); /* a system without them */
    const struct half_way all[] = {
        {FAIL_BEFORE_UNMAP, 0, false, false},
        {FAIL_AFTER_UNMAP, 0, false, false},
        {FAIL_AFTER_UNMAP, 0, true, false},
    };
    for (size_t i = 0; i < 3; i++) {
        assert_child(body_arena_new, &all[i]);
        assert_child(body_arena_grow, &all[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_of_several_mappings_moves_and_overwrites_nobody),
        cmocka_unit_test(a_move_that_fails_half_way_loses_and_overwrites_nothing),
        cmocka_unit_test(a_move_maps_nothing_behind),
        cmocka_unit_test(addresses_lost_to_another_thread_are_no_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
