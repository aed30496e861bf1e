/* SPDX-License-Identifier: MIT
 *
 * arena_facts_test.c - what a report says of memory that is shared, adopted, or not there; what arenas over one memfd leave each
 * other.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "jdb_alloc.h"
#include "must.h"
#include "tier.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static jdb_arena_options options_of(uint32_t frame_count, uint32_t flags)
{
    jdb_arena_options options = {
        .size = sizeof options, .frame_size = 4096, .frame_count = frame_count, .flags = flags};
    options.max_frame_count = 512;
    return options;
}

static jdb_arena *arena_of(uint32_t frame_count, uint32_t flags)
{
    const jdb_arena_options options = options_of(frame_count, flags);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    return arena;
}

static jdb_arena_report report_of(const jdb_arena *arena)
{
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    assert_int_equal(jdb_arena_get_report(arena, &report), 0);
    assert_int_equal(report.facts_err, 0);
    return report;
}

/* ---- Locked, and shared ------------------------------------------------------------------------------------ */

static void pages_that_another_mapping_has_too_are_locked_in_full(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(256, JDB_ARENA_MEMFD | JDB_ARENA_LOCK | JDB_ARENA_PREFAULT);
    const jdb_arena_options options = options_of(256, JDB_ARENA_PREFAULT);
    jdb_arena *other = NULL;
    assert_int_equal(jdb_arena_map_fd(&options, jdb_arena_fd(arena), &other), 0);
    assert_int_equal(report_of(arena).locked_bytes, MIB);
    assert_int_equal(report_of(other).locked_bytes, 0);
    assert_int_equal(report_of(other).resident_bytes, MIB);
    assert_int_equal(jdb_arena_free(other), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void pages_that_a_child_has_too_are_locked_in_full(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(256, JDB_ARENA_KEEP_ON_FORK | JDB_ARENA_LOCK | JDB_ARENA_PREFAULT);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char word;
        close(ends[1]);
        _exit(read(ends[0], &word, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(report_of(arena).locked_bytes, MIB);
    close(ends[1]);
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Held --------------------------------------------------------------------------------------------------- */

static void what_is_next_to_a_held_range_is_not_held(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(16, 0);
    assert_int_equal(jdb_arena_hold(arena, 4 * 4096, 2 * 4096), 0);
    assert_int_equal(jdb_arena_decommit(arena, 0, 4, NULL), 0);
    assert_int_equal(jdb_arena_decommit(arena, 6, 10, NULL), 0);
    assert_int_equal(jdb_arena_decommit(arena, 3, 2, NULL), -EBUSY);
    assert_int_equal(jdb_arena_decommit(arena, 5, 2, NULL), -EBUSY);
    assert_int_equal(jdb_arena_hold(arena, 4 * 4096, 2 * 4096), 0);
    assert_int_equal(report_of(arena).held_bytes, 4 * 4096); /* a byte held twice counts twice */
    assert_int_equal(jdb_arena_unhold(arena, 4 * 4096, 2 * 4096), 0);
    assert_int_equal(report_of(arena).held_bytes, 2 * 4096);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_int_equal(jdb_arena_unhold(arena, 4 * 4096, 2 * 4096), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Adopted ----------------------------------------------------------------------------------------------- */

/* Bytes that the process has locked. */
static uint64_t locked_bytes(void)
{
    FILE *const file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    char line[256];
    unsigned long kib = 0;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmLck: %lu kB", &kib) != 1)
        continue;
    fclose(file);
    return kib * 1024u;
}

static void *foreign_memory(void)
{
    void *const ptr = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(ptr != MAP_FAILED);
    return ptr;
}

static jdb_arena_options adopting(void *ptr, uint32_t flags)
{
    jdb_arena_options options = options_of(256, flags);
    options.max_frame_count = 256;
    options.foreign_ptr = ptr;
    options.foreign_size = MIB;
    return options;
}

static void adopted_memory_is_reported_as_what_it_is(void **state)
{
    (void)state;
    void *const ptr = foreign_memory(); /* its mapping reaches beyond the arena */
    const jdb_arena_options options = adopting(ptr, JDB_ARENA_LOCK | JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    const jdb_arena_report report = report_of(arena);
    assert_int_equal(report.reserved_bytes, jdb_arena_reserved_size(arena));
    assert_int_equal(report.reserved_bytes, MIB);
    assert_int_equal(report.guard_bytes, 0);
    assert_int_equal(report.resident_bytes, MIB);
    assert_int_equal(report.small_bytes + report.thp_bytes, MIB);
    assert_int_equal(report.locked_bytes, MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(munmap(ptr, 2 * MIB), 0);
}

/* owner_size: bytes that the owner has locked before. */
static uint64_t locked_after_adoption(uint64_t owner_size)
{
    void *const ptr = foreign_memory();
    const uint64_t before = locked_bytes();
    assert_int_equal(owner_size > 0 ? mlock(ptr, owner_size) : 0, 0);
    const jdb_arena_options options = adopting(ptr, JDB_ARENA_LOCK);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(locked_bytes() - before, owner_size > MIB ? owner_size : MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
    const uint64_t after = locked_bytes() - before;
    assert_int_equal(munmap(ptr, 2 * MIB), 0);
    return after;
}

/* Sanitizers make mlock() and munlock() do nothing. */
static void skip_where_nothing_is_locked(void)
{
    if (TIER_SANITIZED) {
        print_message("a sanitizer locks no memory: skipped\n");
        skip();
    }
}

static void adopted_memory_goes_back_locked_as_it_came(void **state)
{
    (void)state;
    skip_where_nothing_is_locked();
    assert_int_equal(locked_after_adoption(0), 0);
    assert_int_equal(locked_after_adoption(MIB), MIB);
    assert_int_equal(locked_after_adoption(2 * MIB), 2 * MIB);
    assert_int_equal(locked_after_adoption(MIB / 2), MIB); /* a part of it was locked: all of it stays so */
}

static void a_lock_that_fails_leaves_the_one_of_the_owner(void **state)
{
    (void)state;
    skip_where_nothing_is_locked();
    void *const ptr = foreign_memory();
    const uint64_t before = locked_bytes();
    assert_int_equal(mlock(ptr, MIB), 0);
    const jdb_arena_options options = adopting(ptr, JDB_ARENA_LOCK);
    jdb_arena *arena = NULL;
    faults_arm(OS_CALL_LOCK, 0, -EPERM);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_true(faults_disarm());
    assert_int_equal(locked_bytes() - before, MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(locked_bytes() - before, MIB);
    assert_int_equal(munmap(ptr, 2 * MIB), 0);
}

/* ---- Calls that fail --------------------------------------------------------------------------------------- */

static void the_report_of_a_call_that_fails_says_that_nothing_was_obtained(void **state)
{
    (void)state;
    void *const ptr = foreign_memory();
    jdb_arena_options options = adopting(ptr, 0);
    jdb_arena *arena = NULL;
    jdb_arena *second = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    options.report = &report;
    assert_int_equal(jdb_arena_new(&options, &second), -EINVAL);
    assert_int_equal(report.usable_bytes + report.reserved_bytes, 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(munmap(ptr, 2 * MIB), 0);

    options = options_of(256, JDB_ARENA_MEMFD | JDB_ARENA_DONTDUMP | JDB_ARENA_PREFAULT);
    options.pages = JDB_ARENA_PAGES_BEST;
    options.name = "never there";
    options.report = &report;
    faults_arm_all(OS_CALL_MAP, 0, -ENOMEM);
    assert_int_equal(jdb_arena_new(&options, &second), -ENOMEM);
    assert_true(faults_disarm());
    assert_int_equal(report.usable_bytes + report.reserved_bytes, 0);
    for (uint32_t i = 0; i < report.item_count; i++) {
        assert_int_equal(report.items[i].obtained, 0);
        assert_int_equal(report.items[i].is_obtained, report.items[i].asked == 0 ? 1 : 0);
    }
    assert_true(report.items[JDB_ARENA_ITEM_PAGES].asked != 0 && report.items[JDB_ARENA_ITEM_DUMP].asked != 0);
}

/* ---- The file ---------------------------------------------------------------------------------------------- */

static void an_arena_that_starts_without_frames_has_its_file(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(0, JDB_ARENA_MEMFD);
    const int fd = jdb_arena_fd(arena);
    assert_true(fd >= 0);
    assert_int_equal(report_of(arena).items[JDB_ARENA_ITEM_MEMFD].is_obtained, 1);
    const jdb_arena_options options = options_of(0, 0);
    jdb_arena *other = NULL;
    assert_int_equal(jdb_arena_map_fd(&options, fd, &other), 0);
    assert_int_equal(jdb_arena_grow(other, 4), -ERANGE);
    assert_int_equal(jdb_arena_grow(arena, 4), 0);
    assert_int_equal(jdb_arena_fd(arena), fd);
    assert_int_equal(jdb_arena_grow(other, 4), 0);
    jdb_arena_base(arena)[3 * 4096] = 7;
    assert_int_equal(jdb_arena_base(other)[3 * 4096], 7);
    assert_int_equal(jdb_arena_free(other), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Huge pages are found, or not, when there are bytes for them. */
static void a_file_that_is_yet_to_be_made_is_not_reported_as_obtained(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(0, JDB_ARENA_MEMFD);
    options.pages = JDB_ARENA_PAGES_BEST;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_arena_fd(arena), -ENOTSUP);
    jdb_arena_report report = report_of(arena);
    assert_int_equal(report.items[JDB_ARENA_ITEM_MEMFD].is_obtained, 0);
    assert_non_null(strstr(report.items[JDB_ARENA_ITEM_MEMFD].reason, "first frames"));
    assert_int_equal(jdb_arena_grow(arena, 4), 0);
    assert_true(jdb_arena_fd(arena) >= 0);
    report = report_of(arena);
    assert_int_equal(report.items[JDB_ARENA_ITEM_MEMFD].is_obtained, 1);
    assert_string_equal(report.items[JDB_ARENA_ITEM_MEMFD].reason, "");
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void a_file_that_cannot_be_made_fails_the_call_before_there_are_frames(void **state)
{
    (void)state;
    const jdb_arena_options options = options_of(0, JDB_ARENA_MEMFD);
    jdb_arena *arena = NULL;
    faults_arm(OS_CALL_MEMFD, 0, -EMFILE);
    assert_int_equal(jdb_arena_new(&options, &arena), -ENOTSUP);
    assert_true(faults_disarm());
    assert_null(arena);
}

static void growth_of_a_file_that_is_sealed_against_it_is_out_of_range(void **state)
{
    (void)state;
    for (uint32_t frame_count = 0; frame_count <= 256; frame_count += 256) {
        jdb_arena *const arena = arena_of(frame_count, JDB_ARENA_MEMFD);
        assert_int_equal(fcntl(jdb_arena_fd(arena), F_ADD_SEALS, F_SEAL_GROW), 0);
        assert_int_equal(jdb_arena_grow(arena, 512), -ERANGE);
        assert_int_equal(jdb_arena_frame_count(arena), frame_count);
        memset(jdb_arena_base(arena), 1, frame_count * UINT64_C(4096));
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static void memory_of_a_file_that_is_sealed_against_writing_cannot_go_back(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(256, JDB_ARENA_MEMFD);
    jdb_budget *budget = NULL;
    jdb_pool *pool = NULL;
    memset(jdb_arena_base(arena), 7, MIB);
    assert_int_equal(fcntl(jdb_arena_fd(arena), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    assert_int_equal(jdb_arena_decommit(arena, 0, 256, NULL), -ENOTSUP);
    assert_int_equal(jdb_budget_new(MIB, &budget), 0);
    const jdb_pool_options options = {.size = sizeof options, .budget = budget};
    assert_int_equal(jdb_pool_new(arena, &options, &pool), -ENOTSUP);
    assert_int_equal(jdb_arena_base(arena)[MIB - 1], 7);
    assert_int_equal(jdb_budget_free(budget), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void a_new_file_that_the_system_does_not_lengthen_is_not_out_of_range(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_ARENA_KEEP_ON_FORK; flags += JDB_ARENA_KEEP_ON_FORK) {
        const jdb_arena_options options = options_of(256, JDB_ARENA_MEMFD | flags);
        jdb_arena *arena = NULL;
        faults_arm(OS_CALL_TRUNCATE, 0, -EPERM);
        const int err = jdb_arena_new(&options, &arena);
        assert_true(faults_disarm());
        assert_true(err != 0 && err != -ERANGE); /* which is for a file that another process has sealed */
        assert_null(arena);
    }
}

static void the_file_decides_on_pages_whatever_is_asked(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(256, JDB_ARENA_MEMFD);
    jdb_arena_options options = options_of(256, JDB_ARENA_KEEP_ON_FORK);
    for (options.pages = 0; options.pages < 6; options.pages++) {
        jdb_arena *other = NULL;
        assert_int_equal(jdb_arena_map_fd(&options, jdb_arena_fd(arena), &other), 0);
        assert_int_equal(report_of(other).items[JDB_ARENA_ITEM_PAGES].asked, 0);
        assert_int_equal(jdb_arena_free(other), 0);
    }
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Larger pages than small ones -------------------------------------------------------------------------- */

/* Whether a file of the system has one of two words chosen: "always [madvise] never". */
static bool has_chosen(const char *path, const char *word, const char *other_word)
{
    char text[256] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 && (strstr(text, word) != NULL || strstr(text, other_word) != NULL);
}

static uint64_t mthp_size(void)
{
    const bool is_on = has_chosen("/sys/kernel/mm/transparent_hugepage/enabled", "[always]", "[madvise]");
    uint64_t largest = 0;
    for (unsigned kib = 8; kib <= 1024; kib *= 2) {
        char path[96];
        snprintf(path, sizeof path, "/sys/kernel/mm/transparent_hugepage/hugepages-%ukB/enabled", kib);
        if (has_chosen(path, "[always]", "[madvise]") || (is_on && has_chosen(path, "[inherit]", "[inherit]")))
            largest = (uint64_t)kib * 1024;
    }
    return largest;
}

static bool write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

static void pages_between_small_and_huge_are_reported(void **state)
{
    (void)state;
    static const char one_size[] = "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled";
    jdb_arena_options options = options_of(0, 0);
    options.frame_count = 256;
    jdb_arena *small = NULL;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &small), 0);
    options.frame_count = 512;
    options.pages = JDB_ARENA_PAGES_THP;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(report_of(small).mthp_size, 0);
    assert_int_equal(report_of(arena).mthp_size, mthp_size());
    const bool may_change = has_chosen(one_size, "[never]", "[never]") && write_text(one_size, "madvise");
    const jdb_arena_report report = report_of(arena);
    const uint64_t wanted = mthp_size();
    if (may_change)
        write_text(one_size, "never");
    assert_int_equal(report.mthp_size, wanted);
    assert_true(!may_change || wanted >= 65536);
    char text[4096];
    assert_true(jdb_arena_report_format(&report, text, sizeof text) > 0);
    assert_true((strstr(text, "mTHP up to") != NULL) == (wanted != 0));
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(jdb_arena_free(small), 0);
}

int main(void)
{
    if (tier_is_emulated()) {
        printf("an emulator does not report what mappings are made of: skipped\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_another_mapping_has_too_are_locked_in_full),
        cmocka_unit_test(pages_that_a_child_has_too_are_locked_in_full),
        cmocka_unit_test(what_is_next_to_a_held_range_is_not_held),
        cmocka_unit_test(adopted_memory_is_reported_as_what_it_is),
        cmocka_unit_test(adopted_memory_goes_back_locked_as_it_came),
        cmocka_unit_test(a_lock_that_fails_leaves_the_one_of_the_owner),
        cmocka_unit_test(the_report_of_a_call_that_fails_says_that_nothing_was_obtained),
        cmocka_unit_test(an_arena_that_starts_without_frames_has_its_file),
        cmocka_unit_test(a_file_that_is_yet_to_be_made_is_not_reported_as_obtained),
        cmocka_unit_test(a_file_that_cannot_be_made_fails_the_call_before_there_are_frames),
        cmocka_unit_test(growth_of_a_file_that_is_sealed_against_it_is_out_of_range),
        cmocka_unit_test(memory_of_a_file_that_is_sealed_against_writing_cannot_go_back),
        cmocka_unit_test(a_new_file_that_the_system_does_not_lengthen_is_not_out_of_range),
        cmocka_unit_test(the_file_decides_on_pages_whatever_is_asked),
        cmocka_unit_test(pages_between_small_and_huge_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
