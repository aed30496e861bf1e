/* SPDX-License-Identifier: MIT
 *
 * arena_report_test.c - every option of an arena: obtained, or reported with the right reason, or an error when required;
 * with each call to the system failing one after the other, and nothing left behind.
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

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define REQUIRED(item) (1u << (item))

static jdb_arena_options options_of(uint64_t size, uint32_t pages, uint32_t flags)
{
    jdb_arena_options options = {.size = sizeof options, .flags = flags};
    options.frame_size = 16384;
    options.frame_count = (uint32_t)(size / 16384);
    options.max_frame_count = options.frame_count * 2;
    options.pages = pages;
    return options;
}

static jdb_arena_report report_of(const jdb_arena *arena)
{
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    assert_int_equal(jdb_arena_get_report(arena, &report), 0);
    return report;
}

/* Mappings and descriptors of the process: what could leak. */
struct owned {
    uint64_t mapping_count;
    uint64_t mapped_bytes;
    uint64_t fd_count;
};

static struct owned count_owned(void)
{
    struct owned owned = {0};
    FILE *const maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    char line[512];
    unsigned long start = 0, end = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "[heap]") != NULL || strstr(line, "[stack]") != NULL)
            continue; /* they move on their own */
        char *rest = NULL;
        start = strtoul(line, &rest, 16);
        end = strtoul(rest + 1, NULL, 16);
        owned.mapping_count++;
        owned.mapped_bytes += end - start;
    }
    fclose(maps);
    DIR *const fds = opendir("/proc/self/fd");
    while (readdir(fds) != NULL)
        owned.fd_count++;
    closedir(fds);
    return owned;
}

static void expect_owned(const struct owned *before)
{
    const struct owned after = count_owned();
    assert_int_equal(after.fd_count, before->fd_count);
    if (!tier_is_measurable())
        return;
    assert_int_equal(after.mapped_bytes, before->mapped_bytes);
    assert_int_equal(after.mapping_count, before->mapping_count);
}

static int in_child(int (*look)(void *context), void *context)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(look(context));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- Huge pages of the system ----------------------------------------------------------------------------- */

static const char pages_2m[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
static const char free_2m[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
static const char pages_1g[] = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages";

static long number_in(const char *path)
{
    char text[32] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    const ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 ? strtol(text, NULL, 10) : -1;
}

static bool write_number(const char *path, long number)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%ld", number);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && write(fd, text, (size_t)length) == length;
    if (fd >= 0)
        close(fd);
    return ok;
}

static long before_2m, before_1g;
static int keeper_pipe = -1;
static pid_t keeper;

/* A process of its own puts the numbers back when this one ends, however it ends. */
static void keep_numbers(void)
{
    int ends[2];
    const int lock = open(pages_2m, O_RDONLY | O_CLOEXEC); /* one such test at a time; the keeper holds it to its end */
    if (lock >= 0)
        assert_int_equal(flock(lock, LOCK_EX), 0);
    before_2m = number_in(pages_2m);
    before_1g = number_in(pages_1g);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    keeper = fork();
    assert_true(keeper >= 0);
    if (keeper == 0) {
        char byte;
        setsid(); /* not hit by a signal for the tests */
        close(ends[1]);
        while (read(ends[0], &byte, 1) > 0)
            continue;
        write_number(pages_2m, before_2m);
        write_number(pages_1g, before_1g);
        _exit(0);
    }
    close(ends[0]);
    if (lock >= 0)
        close(lock);
    keeper_pipe = ends[1];
}

static void restore_numbers(void)
{
    close(keeper_pipe);
    waitpid(keeper, NULL, 0);
}

/* Whether the system has exactly `count` huge pages now, all of them free. */
static bool has_pages(const char *path, long count)
{
    return write_number(path, count) && number_in(path) == count;
}

static void reserved_huge_pages_are_used_and_counted(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 24)) {
        print_message("cannot reserve huge pages here: skipped\n");
        skip();
    }
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        jdb_arena_options options = options_of(19 * MIB, JDB_ARENA_PAGES_HUGETLB_2M, flags);
        options.required = REQUIRED(JDB_ARENA_ITEM_PAGES);
        jdb_arena *arena = NULL;
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        jdb_arena_report report = report_of(arena);
        assert_int_equal(report.hugetlb_2m_bytes, 20 * MIB); /* rounded up */
        assert_int_equal(report.usable_bytes, 20 * MIB);
        assert_int_equal(report.resident_bytes, 20 * MIB); /* populated at once */
        assert_int_equal(report.small_bytes, 0);
        assert_int_equal(report.items[JDB_ARENA_ITEM_PAGES].obtained, JDB_ARENA_PAGES_HUGETLB_2M);
        assert_int_equal(report.items[JDB_ARENA_ITEM_PAGES].is_obtained, 1);
        assert_int_equal(number_in(free_2m), 14);
        memset(jdb_arena_base(arena), 1, 20 * MIB);
        assert_int_equal(jdb_arena_decommit(arena, 0, 128, NULL), -ENOTSUP);
        assert_int_equal(jdb_arena_grow(arena, 1216 + 128), 0); /* 21 MiB */
        assert_int_equal(report_of(arena).hugetlb_2m_bytes, 22 * MIB);
        assert_int_equal(jdb_arena_grow(arena, 2 * 1216), 0); /* 38 MiB: the last of 24 pages are not enough */
        assert_int_equal(jdb_arena_free(arena), 0);
        assert_int_equal(number_in(free_2m), 24);
    }
}

/* As a file of small pages is: see arena_test.c. */
static void a_file_of_huge_pages_that_may_not_be_written_is_refused(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 2))
        skip();
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_HUGETLB_2M, JDB_ARENA_MEMFD);
    options.required = REQUIRED(JDB_ARENA_ITEM_PAGES);
    jdb_arena *arena = NULL;
    jdb_arena *other = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", jdb_arena_fd(arena));
    const int read_only = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read_only >= 0);
    assert_int_equal(jdb_arena_map_fd(&options, read_only, &other), -EINVAL);
    assert_null(other);
    close(read_only);
    assert_int_equal(jdb_arena_map_fd(&options, jdb_arena_fd(arena), &other), 0);
    jdb_arena_base(other)[5] = 7;
    assert_int_equal(jdb_arena_base(arena)[5], 7);
    assert_int_equal(jdb_arena_free(other), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void growth_past_the_huge_pages_is_refused_or_falls_back(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 3))
        skip();
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_HUGETLB_2M, 0);
    options.max_frame_count = 4096;
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_arena_grow(arena, 512), 0); /* 8 MiB: one page is left, so none of the step is huge */
    jdb_arena_report report = report_of(arena);
    assert_int_equal(report.hugetlb_2m_bytes, 4 * MIB);
    assert_int_equal(report.items[JDB_ARENA_ITEM_PAGES].obtained, JDB_ARENA_PAGES_THP);
    assert_int_equal(report.items[JDB_ARENA_ITEM_PAGES].is_obtained, 0);
    assert_int_equal(report.items[JDB_ARENA_ITEM_PAGES].err, -ENOMEM);
    memset(jdb_arena_base(arena), 1, 8 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);

    options.required = REQUIRED(JDB_ARENA_ITEM_PAGES);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    memset(jdb_arena_base(arena), 2, 4 * MIB);
    assert_int_equal(jdb_arena_grow(arena, 512), -ENOMEM);
    report = report_of(arena);
    assert_int_equal(report.usable_bytes, 4 * MIB);
    assert_int_equal(report.items[JDB_ARENA_ITEM_PAGES].is_obtained, 1);
    assert_int_equal(jdb_arena_base(arena)[4 * MIB - 1], 2);
    assert_int_equal(jdb_arena_free(arena), 0);
    assert_int_equal(number_in(free_2m), 3);
}

static void one_gigabyte_pages_come_first(void **state)
{
    (void)state;
    if (tier_pick(1, 0, 0) == 1) {
        print_message("filling a gigabyte takes seconds: skipped in the quick tier\n");
        skip();
    }
    if (!has_pages(pages_1g, 1) || !has_pages(pages_2m, 4)) {
        write_number(pages_1g, before_1g);
        print_message("no free gigabyte in one piece: skipped\n");
        skip();
    }
    jdb_arena_options options = options_of(1024 * MIB + 5 * MIB, JDB_ARENA_PAGES_BEST, JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    jdb_arena_report report = report_of(arena);
    assert_int_equal(report.hugetlb_1g_bytes, 1024 * MIB);
    assert_int_equal(report.hugetlb_2m_bytes, 4 * MIB);
    assert_int_equal(report.small_bytes, MIB);
    assert_int_equal(report.resident_bytes, 1029 * MIB);
    assert_int_equal(report.items[JDB_ARENA_ITEM_PAGES].is_obtained, 1);
    memset(jdb_arena_base(arena) + 1020 * MIB, 1, 9 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
    options.pages = JDB_ARENA_PAGES_HUGETLB_1G;
    options.frame_count = 1;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(report_of(arena).hugetlb_1g_bytes, 1024 * MIB); /* rounded up */
    assert_int_equal(jdb_arena_free(arena), 0);
    write_number(pages_1g, before_1g);
}

static void without_huge_pages_the_fallback_is_visible_or_an_error(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 0))
        skip();
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        const struct owned before = count_owned();
        jdb_arena_options options = options_of(8 * MIB, JDB_ARENA_PAGES_HUGETLB_2M, flags);
        jdb_arena_report report = JDB_ARENA_REPORT_INIT;
        jdb_arena *arena = NULL;
        options.report = &report;
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        const jdb_arena_item *const item = &report.items[JDB_ARENA_ITEM_PAGES];
        assert_string_equal(item->name, "pages");
        assert_int_equal(item->asked, JDB_ARENA_PAGES_HUGETLB_2M);
        assert_int_equal(item->obtained, JDB_ARENA_PAGES_THP);
        assert_int_equal(item->is_obtained, 0);
        assert_int_equal(item->err, -ENOMEM);
        assert_non_null(strstr(item->reason, "vm.nr_hugepages"));
        memset(jdb_arena_base(arena), 1, 8 * MIB);
        assert_int_equal(jdb_arena_decommit(arena, 0, 1, NULL), 0);
        assert_int_equal(jdb_arena_free(arena), 0);

        options.required = REQUIRED(JDB_ARENA_ITEM_PAGES);
        arena = NULL;
        assert_int_equal(jdb_arena_new(&options, &arena), -ENOMEM);
        assert_null(arena);
        assert_int_equal(item->err, -ENOMEM);
        assert_int_equal(report.usable_bytes, 0);
        assert_int_equal(report.reserved_bytes, 0); /* nothing is left of it */
        expect_owned(&before);
    }
}

/* ---- A control group that allows less than there is ------------------------------------------------------- */

/* A group under the hugetlb controller that allows 4 MiB, seen by this process and its children alone. */
struct group {
    char root[64];
    char path[80];
};

static bool write_text(const char *directory, const char *file, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* False: no such controller, or no right to it; nothing is left behind. */
static bool make_group(struct group *group)
{
    snprintf(group->root, sizeof group->root, "/tmp/jdb-hugetlb-XXXXXX");
    if (mkdtemp(group->root) == NULL)
        return false;
    snprintf(group->path, sizeof group->path, "%s/small", group->root);
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", group->root, "cgroup", 0, "hugetlb") == 0) {
        if (mkdir(group->path, 0755) == 0 && write_text(group->path, "hugetlb.2MB.limit_in_bytes", "4194304"))
            return true;
        rmdir(group->path);
        umount(group->root);
    }
    rmdir(group->root);
    return false;
}

static void remove_group(const struct group *group)
{
    MUST(rmdir(group->path) == 0);
    MUST(umount(group->root) == 0);
    MUST(rmdir(group->root) == 0);
}

/* 16 MiB of huge pages are free, and 4 MiB allowed: that is reported, and never a SIGBUS. */
static void ask_for_more_than_allowed(void *argument)
{
    const struct group *const group = argument;
    MUST(write_text(group->path, "cgroup.procs", "0"));
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        jdb_arena_options options = options_of(16 * MIB, JDB_ARENA_PAGES_HUGETLB_2M, flags);
        jdb_arena_report report = JDB_ARENA_REPORT_INIT;
        jdb_arena *arena = NULL;
        options.report = &report;
        MUST(jdb_arena_new(&options, &arena) == 0);
        const jdb_arena_item *const item = &report.items[JDB_ARENA_ITEM_PAGES];
        fprintf(stderr, "huge pages over the limit of the control group: %s (%s)\n", strerror(-item->err),
                item->reason);
        MUST(item->is_obtained == 0 && strstr(item->reason, "cgroup") != NULL);
        MUST(report.hugetlb_2m_bytes == 0 && report.usable_bytes == 16 * MIB);
        memset(jdb_arena_base(arena), 1, 16 * MIB);
        MUST(jdb_arena_free(arena) == 0);
        options.required = REQUIRED(JDB_ARENA_ITEM_PAGES);
        MUST(jdb_arena_new(&options, &arena) < 0);
        options.frame_count = (uint32_t)(4 * MIB / options.frame_size);
        MUST(jdb_arena_new(&options, &arena) == 0);
        memset(jdb_arena_base(arena), 1, 4 * MIB);
        MUST(jdb_arena_free(arena) == 0);
    }
}

static void in_a_small_group(void *argument)
{
    struct group group;
    char text[1024];
    (void)argument;
    if (!make_group(&group)) {
        fprintf(stderr, "skipped: no hugetlb controller of control groups, or no right to it\n");
        return;
    }
    const int status = must_run_child(ask_for_more_than_allowed, &group, text, sizeof text);
    fputs(text, stderr);
    remove_group(&group);
    MUST(status == 0);
}

static void a_control_group_that_allows_less_is_reported(void **state)
{
    (void)state;
    char text[2048];
    if (!has_pages(pages_2m, 8)) {
        print_message("cannot reserve huge pages here: skipped\n");
        skip();
    }
    const int status = must_run_child(in_a_small_group, NULL, text, sizeof text);
    print_message("%s", text);
    assert_int_equal(status, 0);
    assert_int_equal(number_in(free_2m), 8);
    if (strstr(text, "skipped") != NULL)
        skip();
}

/* ---- Transparent huge pages, nodes, names ----------------------------------------------------------------- */

static bool thp_is_possible(void)
{
    char text[64] = "";
    const int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 && strstr(text, "[never]") == NULL;
}

static void transparent_huge_pages_are_verified(void **state)
{
    (void)state;
    if (!thp_is_possible())
        skip();
    jdb_arena_options options = options_of(32 * MIB, JDB_ARENA_PAGES_THP, JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    jdb_arena_report report = report_of(arena);
    assert_int_equal(report.thp_bytes + report.small_bytes, 32 * MIB);
    const jdb_arena_item *const item = &report.items[JDB_ARENA_ITEM_PAGES];
    assert_true(item->is_obtained == (report.thp_bytes == 32 * MIB));
    assert_true(item->is_obtained == (item->reason[0] == '\0'));
    assert_int_equal(jdb_arena_free(arena), 0);

    options.pages = JDB_ARENA_PAGES_NONE;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    report = report_of(arena);
    assert_int_equal(report.thp_bytes, 0);
    assert_int_equal(report.small_bytes, 32 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);

    options = options_of(MIB, JDB_ARENA_PAGES_THP, 0);
    options.required = REQUIRED(JDB_ARENA_ITEM_PAGES);
    report.size = sizeof report;
    options.report = &report;
    assert_int_equal(jdb_arena_new(&options, &arena), -ENOTSUP);
    assert_non_null(strstr(item->reason, "smaller than a huge page"));
}

/* A process for which the system makes no huge pages. */
static int ask_for_thp_in_vain(void *context)
{
    (void)context;
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    jdb_arena_options options = options_of(8 * MIB, JDB_ARENA_PAGES_THP, JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    options.report = &report;
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        return 77;
    const jdb_arena_item *const item = &report.items[JDB_ARENA_ITEM_PAGES];
    for (uint32_t pages = JDB_ARENA_PAGES_THP; pages <= JDB_ARENA_PAGES_BEST; pages += 3) {
        options.pages = pages;
        options.required = 0;
        if (jdb_arena_new(&options, &arena) != 0 || item->is_obtained != 0 || item->obtained != JDB_ARENA_PAGES_NONE)
            return 1;
        if (report.thp_bytes != 0 || report.small_bytes != 8 * MIB || strstr(item->reason, "fewer") == NULL)
            return 2;
        if (jdb_arena_grow(arena, options.max_frame_count) != 0 || jdb_arena_free(arena) != 0)
            return 3;
        options.required = REQUIRED(JDB_ARENA_ITEM_PAGES);
        if (jdb_arena_new(&options, &arena) != -ENOTSUP || strstr(item->reason, "fewer") == NULL)
            return 4;
    }
    return 0;
}

static void missing_transparent_huge_pages_are_noticed(void **state)
{
    (void)state;
    const int status = in_child(ask_for_thp_in_vain, NULL);
    if (status == 77)
        skip();
    assert_int_equal(status, 0);
}

static void placement_is_obtained_or_refused(void **state)
{
    (void)state;
    for (uint32_t policy = JDB_ARENA_NUMA_BIND; policy <= JDB_ARENA_NUMA_INTERLEAVE; policy++) {
        jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, JDB_ARENA_PREFAULT);
        jdb_arena_report report = JDB_ARENA_REPORT_INIT;
        jdb_arena *arena = NULL;
        options.numa_policy = policy;
        options.numa_nodes[0] = 1;
        options.required = REQUIRED(JDB_ARENA_ITEM_NUMA);
        options.report = &report;
        const int err = jdb_arena_new(&options, &arena);
        if (err == -ENOTSUP) {
            print_message("no NUMA policies here: %s: skipped\n", report.items[JDB_ARENA_ITEM_NUMA].reason);
            skip();
        }
        assert_int_equal(err, 0);
        assert_int_equal(report.items[JDB_ARENA_ITEM_NUMA].obtained, policy);
        assert_int_equal(report.node_bytes[0], 4 * MIB);
        assert_int_equal(report.other_node_bytes, 0);
        assert_int_equal(jdb_arena_free(arena), 0);

        options.numa_nodes[0] = 0;
        options.numa_nodes[2] = 1; /* node 128 */
        arena = NULL;
        assert_int_equal(jdb_arena_new(&options, &arena), -ENOTSUP);
        assert_null(arena);
        options.required = 0;
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        assert_int_equal(report.items[JDB_ARENA_ITEM_NUMA].is_obtained, 0);
        assert_int_equal(report.items[JDB_ARENA_ITEM_NUMA].err, -EINVAL);
        assert_non_null(strstr(report.items[JDB_ARENA_ITEM_NUMA].reason, "node"));
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

static bool is_in_maps(const char *text)
{
    FILE *const maps = fopen("/proc/self/maps", "r");
    char line[512];
    bool found = false;
    while (fgets(line, sizeof line, maps) != NULL)
        found = found || strstr(line, text) != NULL;
    fclose(maps);
    return found;
}

static void a_name_is_seen_in_maps_or_refused(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, flags);
        options.name = "pool of the test";
        jdb_arena *arena = NULL;
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        const jdb_arena_report report = report_of(arena);
        const jdb_arena_item *const item = &report.items[JDB_ARENA_ITEM_NAME];
        assert_true(item->is_obtained == is_in_maps("pool of the test"));
        assert_true(flags == 0 || item->is_obtained == 1);
        assert_true(item->is_obtained == 1 || strstr(item->reason, "CONFIG_ANON_VMA_NAME") != NULL);
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

/* The line VmFlags of smaps for the mapping that holds ptr. */
static bool has_vm_flag(const void *ptr, const char *flag)
{
    FILE *const smaps = fopen("/proc/self/smaps", "r");
    char line[1024];
    bool inside = false, found = false;
    while (fgets(line, sizeof line, smaps) != NULL) {
        char *rest = NULL;
        const unsigned long start = strtoul(line, &rest, 16);
        if (*rest == '-')
            inside = (uintptr_t)ptr >= start && (uintptr_t)ptr < strtoul(rest + 1, NULL, 16);
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = found || strstr(line, flag) != NULL;
    }
    fclose(smaps);
    return found;
}

static void advice_reaches_the_mapping(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, flags | JDB_ARENA_DONTDUMP);
        jdb_arena *arena = NULL;
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        assert_int_equal(jdb_arena_grow(arena, options.max_frame_count), 0);
        assert_true(has_vm_flag(jdb_arena_base(arena), " dc"));
        assert_true(has_vm_flag(jdb_arena_base(arena), " dd"));
        assert_true(has_vm_flag(jdb_arena_base(arena) + 7 * MIB, " dc"));
        assert_true(has_vm_flag(jdb_arena_base(arena) + 7 * MIB, " dd"));
        assert_int_equal(jdb_arena_free(arena), 0);
        options.flags = flags | JDB_ARENA_KEEP_ON_FORK;
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        assert_false(has_vm_flag(jdb_arena_base(arena), " dc"));
        assert_false(has_vm_flag(jdb_arena_base(arena), " dd"));
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

static void locked_memory_is_filled_only_when_asked(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, JDB_ARENA_LOCK);
    jdb_arena *arena = NULL;
    options.required = REQUIRED(JDB_ARENA_ITEM_LOCK);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(report_of(arena).resident_bytes, 0);
    memset(jdb_arena_base(arena), 1, MIB);
    assert_int_equal(report_of(arena).locked_bytes, MIB);
    assert_int_equal(jdb_arena_decommit(arena, 0, 32, NULL), 0);
    assert_int_equal(report_of(arena).locked_bytes, MIB / 2);
    memset(jdb_arena_base(arena), 1, MIB);
    assert_int_equal(report_of(arena).locked_bytes, MIB); /* locked again when touched */
    assert_int_equal(jdb_arena_free(arena), 0);
    options.flags |= JDB_ARENA_PREFAULT;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(report_of(arena).locked_bytes, 4 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Limits of the process -------------------------------------------------------------------------------- */

/* The type of the first argument differs between C libraries. */
#define SET_LIMIT(resource, bytes)                      \
    do {                                                \
        const struct rlimit limit = {(bytes), (bytes)}; \
        if (setrlimit((resource), &limit) != 0)         \
            _exit(100);                                 \
    } while (0)

/* The right to lock without limit is what root has; nothing else of root is given up, as another user might be unable to read
 * /proc (its directory may be closed to others). */
static void give_up_locking(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, data) != 0)
        _exit(101);
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    if (syscall(SYS_capset, &header, data) != 0)
        _exit(102);
}

/* Less than 8 MiB may be locked: a number other than 0 names what went wrong. */
static int lock_too_much(void *context)
{
    (void)context;
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    jdb_arena_options options = options_of(8 * MIB, JDB_ARENA_PAGES_NONE, JDB_ARENA_LOCK);
    jdb_arena *arena = NULL;
    options.report = &report;
    SET_LIMIT(RLIMIT_MEMLOCK, MIB);
    give_up_locking();
    for (uint32_t flags = 0; flags <= JDB_ARENA_PREFAULT; flags++) {
        options.flags = JDB_ARENA_LOCK | flags;
        options.required = 0;
        const jdb_arena_item *const item = &report.items[JDB_ARENA_ITEM_LOCK];
        if (jdb_arena_new(&options, &arena) != 0 || item->is_obtained != 0 || item->obtained != 0)
            return 1;
        if (item->asked != 8 * MIB || item->err != -ENOMEM || strstr(item->reason, "RLIMIT_MEMLOCK") == NULL)
            return 2;
        if (jdb_arena_get_report(arena, &report) != 0 || report.locked_bytes != 0 || jdb_arena_free(arena) != 0)
            return 3;
        arena = NULL;
        options.required = REQUIRED(JDB_ARENA_ITEM_LOCK);
        if (jdb_arena_new(&options, &arena) != -ENOMEM || arena != NULL || item->err != -ENOMEM)
            return 4;
    }
    options.frame_count = 32; /* 512 KiB are allowed, growing past the limit is not */
    options.max_frame_count = 128;
    if (jdb_arena_new(&options, &arena) != 0 || jdb_arena_grow(arena, 128) != -ENOMEM)
        return 5;
    jdb_arena_base(arena)[0] = 1;
    if (jdb_arena_get_report(arena, &report) != 0 || report.facts_err != 0)
        return 6;
    if (report.locked_bytes != 32 * 16384)
        return 7;
    return jdb_arena_free(arena) == 0 ? 0 : 8;
}

static void locking_stays_within_its_limit(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (limit.rlim_max < MIB) {
        print_message("less than 1 MiB may be locked here: skipped\n");
        skip();
    }
    assert_int_equal(in_child(lock_too_much, NULL), 0);
}

static int map_too_much(void *context)
{
    (void)context;
    const struct owned before = count_owned();
    jdb_arena_options options = options_of(64 * MIB, JDB_ARENA_PAGES_BEST, 0);
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    jdb_arena *arena = NULL;
    SET_LIMIT(RLIMIT_AS, before.mapped_bytes + 32 * MIB);
    options.report = &report;
    if (jdb_arena_new(&options, &arena) != -ENOMEM || arena != NULL)
        return 1;
    return report.usable_bytes == 0 && report.reserved_bytes == 0 && report.item_count == JDB_ARENA_ITEM_COUNT ? 0 : 2;
}

static void address_space_stays_within_its_limit(void **state)
{
    (void)state;
    if (TIER_SANITIZED) {
        print_message("a sanitizer needs address space without limit: skipped\n");
        skip();
    }
    assert_int_equal(in_child(map_too_much, NULL), 0);
}

/* ---- Every call fails once -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t pages;
    uint32_t flags;
    uint32_t numa_policy;
} combinations[] = {
    {"plain", JDB_ARENA_PAGES_NONE, 0, JDB_ARENA_NUMA_NONE},
    {"thp", JDB_ARENA_PAGES_THP, JDB_ARENA_PREFAULT | JDB_ARENA_DONTDUMP, JDB_ARENA_NUMA_BIND},
    {"locked", JDB_ARENA_PAGES_NONE, JDB_ARENA_PREFAULT | JDB_ARENA_LOCK, JDB_ARENA_NUMA_INTERLEAVE},
    {"lazy", JDB_ARENA_PAGES_THP, JDB_ARENA_LOCK | JDB_ARENA_DONTDUMP, JDB_ARENA_NUMA_PREFER},
    {"memfd", JDB_ARENA_PAGES_THP, JDB_ARENA_MEMFD | JDB_ARENA_PREFAULT | JDB_ARENA_LOCK, JDB_ARENA_NUMA_BIND},
    {"best", JDB_ARENA_PAGES_BEST, JDB_ARENA_PREFAULT | JDB_ARENA_DONTDUMP, JDB_ARENA_NUMA_BIND},
    {"huge memfd", JDB_ARENA_PAGES_HUGETLB_2M, JDB_ARENA_MEMFD | JDB_ARENA_LOCK, JDB_ARENA_NUMA_PREFER},
};
enum { COMBINATIONS = sizeof combinations / sizeof combinations[0] };

static jdb_arena_options combination(int which, uint32_t required, jdb_arena_report *report)
{
    jdb_arena_options options = options_of(4 * MIB, combinations[which].pages, combinations[which].flags);
    options.numa_policy = combinations[which].numa_policy;
    options.numa_nodes[0] = options.numa_policy != JDB_ARENA_NUMA_NONE ? 1 : 0;
    options.prefault_threads = 2;
    options.required = required;
    options.report = report;
    report->size = sizeof *report;
    return options;
}

/* An arena that was made although a call failed is whole, and its report names the option that was refused. */
static void check_made(jdb_arena *arena, const jdb_arena_report *report, const jdb_arena_options *options)
{
    assert_int_equal(jdb_arena_frame_count(arena), options->frame_count);
    memset(jdb_arena_base(arena), 1, jdb_arena_size(arena));
    for (uint32_t i = 0; i < JDB_ARENA_ITEM_COUNT; i++) {
        const jdb_arena_item *const item = &report->items[i];
        assert_true(item->is_obtained == 1 || item->reason[0] != '\0');
        assert_true(item->is_obtained == 1 || (options->required >> i & 1) == 0);
        assert_true(item->asked != 0 || item->is_obtained == 1);
    }
    assert_int_equal(jdb_arena_grow(arena, options->max_frame_count), 0);
    memset(jdb_arena_base(arena), 2, jdb_arena_size(arena));
}

static void fail_each_call(int which, uint32_t required, int err_to_give)
{
    jdb_arena_report report;
    unsigned n = 0;
    for (;; n++) {
        const struct owned before = count_owned();
        const jdb_arena_options options = combination(which, required, &report);
        jdb_arena *arena = NULL;
        faults_arm(FAULTS_ANY, n, err_to_give);
        const int err = jdb_arena_new(&options, &arena);
        const bool failed = faults_disarm();
        assert_true(err == 0 || (failed && (err == -ENOMEM || err == -ENOTSUP || err == err_to_give)));
        assert_true((arena != NULL) == (err == 0));
        if (err == 0) {
            check_made(arena, &report, &options);
            assert_int_equal(jdb_arena_free(arena), 0);
        }
        expect_owned(&before);
        if (!failed)
            break;
    }
    assert_true(n > 4);
}

static void making_survives_each_failing_call(void **state)
{
    (void)state;
    const bool has_huge = has_pages(pages_2m, 8);
    for (int which = 0; which < COMBINATIONS; which++) {
        const bool needs_huge = combinations[which].pages >= JDB_ARENA_PAGES_HUGETLB_2M;
        if (needs_huge && !has_huge)
            continue;
        fail_each_call(which, 0, -ENOMEM);
        if (tier_pick(1, 0, 0) == 1)
            continue;
        fail_each_call(which, 0, -EINVAL);
        fail_each_call(which, 0, -EPERM);
        if (combinations[which].pages != JDB_ARENA_PAGES_THP || thp_is_possible())
            fail_each_call(which, JDB_ARENA_REQUIRE_ALL & ~REQUIRED(JDB_ARENA_ITEM_PAGES), -ENOMEM);
    }
    write_number(pages_2m, before_2m);
}

/* One kind of call fails for good: the item it belongs to says so. */
static void check_item(int which, enum os_call call, int err, uint32_t item)
{
    jdb_arena_report report;
    jdb_arena_options options = combination(which, 0, &report);
    jdb_arena *arena = NULL;
    faults_arm_all(call, 0, err);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_true(faults_disarm());
    assert_int_equal(report.items[item].is_obtained, 0);
    assert_int_equal(report.items[item].err, err);
    assert_true(report.items[item].reason[0] != '\0');
    assert_int_equal(jdb_arena_free(arena), 0);
    options.required = REQUIRED(item);
    arena = NULL;
    faults_arm_all(call, 0, err);
    assert_int_equal(jdb_arena_new(&options, &arena), err == -ENOMEM ? -ENOMEM : -ENOTSUP);
    assert_true(faults_disarm());
    assert_null(arena);
    assert_int_equal(report.items[item].err, err);
    assert_int_equal(report.usable_bytes, 0);
}

static void each_refusal_is_reported_at_its_option(void **state)
{
    (void)state;
    check_item(1, OS_CALL_ADVISE, -EINVAL, JDB_ARENA_ITEM_FORK);
    check_item(1, OS_CALL_ADVISE, -EINVAL, JDB_ARENA_ITEM_DUMP);
    check_item(1, OS_CALL_ADVISE, -EINVAL, JDB_ARENA_ITEM_PAGES);
    check_item(1, OS_CALL_BIND, -ENOSYS, JDB_ARENA_ITEM_NUMA);
    check_item(1, OS_CALL_POPULATE, -ENOMEM, JDB_ARENA_ITEM_PREFAULT);
    check_item(2, OS_CALL_POPULATE, -EFAULT, JDB_ARENA_ITEM_PREFAULT);
    check_item(2, OS_CALL_LOCK, -EPERM, JDB_ARENA_ITEM_LOCK);
    check_item(3, OS_CALL_LOCK, -ENOMEM, JDB_ARENA_ITEM_LOCK);
    check_item(4, OS_CALL_BIND, -EPERM, JDB_ARENA_ITEM_NUMA);
}

/* A child could be killed over a private huge page, so without MADV_DONTFORK there are none. */
static void huge_pages_that_children_would_get_are_not_used(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 8))
        skip();
    jdb_arena_report report;
    jdb_arena *arena = NULL;
    const jdb_arena_options options = combination(5, 0, &report);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(report.hugetlb_2m_bytes, 4 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
    faults_arm_all(OS_CALL_ADVISE, 0, -EINVAL);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_true(faults_disarm());
    assert_int_equal(report.hugetlb_2m_bytes, 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    write_number(pages_2m, before_2m);
}

static bool note_progress(void *context, uint64_t done, uint64_t total)
{
    uint64_t *const last = context;
    assert_true(done >= last[0] && done <= total);
    last[0] = done;
    last[1] = total;
    return true;
}

/* Huge pages, then small ones. */
static void progress_goes_on_from_part_to_part(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 8))
        skip();
    uint64_t last[2] = {0, 0};
    jdb_arena_options options = options_of(5 * MIB, JDB_ARENA_PAGES_BEST, JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    options.progress = note_progress;
    options.progress_context = last;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(report_of(arena).hugetlb_2m_bytes, 4 * MIB);
    assert_int_equal(last[0], 5 * MIB);
    assert_int_equal(last[1], 5 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
    write_number(pages_2m, before_2m);
}

/* Huge pages that cannot come to their place are filled in vain. */
static void what_is_filled_twice_counts_once(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 8))
        skip();
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_HUGETLB_2M, JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    options.report = &report;
    faults_arm_all(OS_CALL_REMAP, 0, -EINVAL);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_true(faults_disarm());
    assert_int_equal(report.hugetlb_2m_bytes, 0);
    assert_int_equal(report.items[JDB_ARENA_ITEM_PREFAULT].asked, 4 * MIB);
    assert_int_equal(report.items[JDB_ARENA_ITEM_PREFAULT].obtained, 4 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
    write_number(pages_2m, before_2m);
}

/* Growth of two parts, huge and small: when the second fails, the first goes too. */
static void growth_of_several_parts_is_all_or_nothing(void **state)
{
    (void)state;
    if (!has_pages(pages_2m, 8))
        skip();
    unsigned undone = 0;
    for (unsigned n = 0;; n++) {
        jdb_arena_report report;
        jdb_arena_options options = combination(5, JDB_ARENA_REQUIRE_ALL & ~REQUIRED(JDB_ARENA_ITEM_PAGES), &report);
        jdb_arena *arena = NULL;
        options.max_frame_count = 256 + 200; /* 4 MiB and 3.125 MiB */
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        assert_int_equal(number_in(free_2m), 6);
        faults_arm(FAULTS_ANY, n, -ENOMEM);
        const int err = jdb_arena_grow(arena, 456);
        const bool failed = faults_disarm();
        assert_true(err == 0 || (failed && err == -ENOMEM));
        undone += err != 0 ? 1 : 0;
        report = report_of(arena);
        assert_int_equal(report.usable_bytes, err == 0 ? 456 * 16384 : 4 * MIB);
        assert_true(err == 0 || (report.hugetlb_2m_bytes == 4 * MIB && number_in(free_2m) == 6));
        assert_int_equal(jdb_arena_grow(arena, 456), 0);
        memset(jdb_arena_base(arena), 1, 456 * 16384);
        assert_int_equal(jdb_arena_free(arena), 0);
        assert_int_equal(number_in(free_2m), 8);
        if (!failed)
            break;
    }
    assert_true(undone > 6);
    write_number(pages_2m, before_2m);
}

static void an_older_kernel_is_touched_instead_of_populated(void **state)
{
    (void)state;
    jdb_arena_report report;
    const jdb_arena_options options = combination(2, JDB_ARENA_REQUIRE_ALL, &report);
    jdb_arena *arena = NULL;
    faults_arm_all(OS_CALL_POPULATE, 0, -EINVAL);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_true(faults_disarm());
    assert_int_equal(report.items[JDB_ARENA_ITEM_PREFAULT].obtained, 4 * MIB);
    assert_int_equal(report.resident_bytes, 4 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void fewer_threads_do_the_same_work(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(128 * MIB, JDB_ARENA_PAGES_NONE, JDB_ARENA_PREFAULT);
    options.prefault_threads = 16;
    jdb_arena *arena = NULL;
    faults_arm(OS_CALL_THREAD, 1, -EAGAIN);
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_true(faults_disarm());
    assert_int_equal(report_of(arena).resident_bytes, 128 * MIB);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void growth_survives_each_failing_call(void **state)
{
    (void)state;
    for (int which = 0; which < COMBINATIONS; which++) {
        jdb_arena_report report;
        if (combinations[which].pages >= JDB_ARENA_PAGES_HUGETLB_2M)
            continue; /* what is refused here falls back for good */
        for (unsigned n = 0;; n++) {
            jdb_arena_options options = combination(which, 0, &report);
            options.required = which == 4 ? JDB_ARENA_REQUIRE_ALL & ~REQUIRED(JDB_ARENA_ITEM_PAGES) : 0;
            jdb_arena *arena = NULL;
            assert_int_equal(jdb_arena_new(&options, &arena), 0);
            const uint64_t size = jdb_arena_size(arena);
            const jdb_arena_report before = report_of(arena);
            memset(jdb_arena_base(arena), 3, size);
            faults_arm(FAULTS_ANY, n, -ENOMEM);
            const int err = jdb_arena_grow(arena, options.max_frame_count);
            const bool failed = faults_disarm();
            assert_true(err == 0 || (failed && err == -ENOMEM));
            assert_int_equal(jdb_arena_size(arena), err == 0 ? 2 * size : size);
            for (uint64_t i = 0; i < size; i += 4096)
                assert_int_equal(jdb_arena_base(arena)[i], 3);
            const jdb_arena_report after = report_of(arena);
            if (err != 0) {
                assert_memory_equal(after.items, before.items, sizeof after.items);
                assert_int_equal(after.usable_bytes, before.usable_bytes);
            }
            assert_int_equal(jdb_arena_grow(arena, options.max_frame_count), 0);
            for (uint64_t i = size; i < 2 * size; i += 4096)
                assert_int_equal(jdb_arena_base(arena)[i], 0);
            assert_int_equal(jdb_arena_free(arena), 0);
            if (!failed)
                break;
        }
    }
}

static void freeing_and_giving_back_survive_a_failing_call(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, 0);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    uint8_t *const base = jdb_arena_base(arena);
    memset(base, 5, 4 * MIB);
    uint64_t bytes = 1;
    faults_arm(OS_CALL_ADVISE, 0, -ENOMEM);
    assert_int_equal(jdb_arena_decommit(arena, 3, 5, &bytes), -ENOMEM);
    assert_true(faults_disarm());
    assert_int_equal(bytes, 1);
    assert_int_equal(base[3 * 16384], 5);
    assert_int_equal(jdb_pin(base + 3 * 16384, 1), 0); /* not left blocked */
    assert_int_equal(jdb_unpin(base + 3 * 16384, 1), 0);
    faults_arm(OS_CALL_ALLOC, 0, -ENOMEM);
    assert_int_equal(jdb_arena_hold(arena, 0, 1), -ENOMEM);
    assert_true(faults_disarm());
    faults_arm(OS_CALL_UNMAP, 0, -ENOMEM);
    assert_int_equal(jdb_arena_free(arena), -ENOMEM);
    assert_true(faults_disarm());
    assert_int_equal(jdb_pin(base, 1), 0); /* unharmed */
    assert_int_equal(jdb_unpin(base, 1), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- The report itself ------------------------------------------------------------------------------------ */

static void a_report_of_every_size_is_filled_as_far_as_it_goes(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    uint64_t words[sizeof(jdb_arena_report) / 8 + 4];
    const uint8_t *const bytes = (const uint8_t *)words;
    jdb_arena_report whole = report_of(arena);
    for (uint32_t size = 0; size <= sizeof words; size += size < 64 ? 1 : 7) {
        memset(words, 0xee, sizeof words);
        memcpy(words, &size, sizeof size);
        assert_int_equal(jdb_arena_get_report(arena, (jdb_arena_report *)(void *)words), size < 8 ? -EINVAL : 0);
        assert_memory_equal(words, &size, sizeof size);
        for (size_t i = sizeof size; i < sizeof words; i++) {
            const bool is_written = size >= 8 && i < size;
            const uint8_t known = i < sizeof whole ? ((const uint8_t *)&whole)[i] : 0;
            assert_int_equal(bytes[i], is_written ? known : 0xee);
        }
        const int length = jdb_arena_report_format((const jdb_arena_report *)(void *)words, NULL, 0);
        assert_true(size < offsetof(jdb_arena_report, mthp_size) ? length == -EINVAL : length > 0);
    }
    words[sizeof whole / 8 + 3] = 1; /* of a version to come */
    words[0] = sizeof words;
    assert_true(jdb_arena_report_format((const jdb_arena_report *)(void *)words, NULL, 0) > 0); /* of a newer caller */
    assert_int_equal(jdb_arena_get_report(arena, NULL), -EINVAL);
    assert_int_equal(jdb_arena_get_report(NULL, &whole), -EINVAL);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void a_report_counts_holds_pins_and_bytes(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, JDB_ARENA_PREFAULT);
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_arena_hold(arena, 0, 100), 0);
    assert_int_equal(jdb_arena_hold(arena, 50, 100), 0);
    assert_int_equal(jdb_pin(jdb_arena_base(arena), 3 * 16384), 0);
    jdb_arena_report report = report_of(arena);
    assert_int_equal(report.held_bytes, 200);
    assert_int_equal(report.pinned_frames, 3);
    assert_int_equal(report.guard_bytes, 2 * (uint64_t)sysconf(_SC_PAGESIZE));
    assert_int_equal(report.reserved_bytes, jdb_arena_reserved_size(arena) + report.guard_bytes);
    assert_int_equal(report.resident_bytes, 4 * MIB);
    assert_int_equal(report.node_bytes[0] + report.other_node_bytes, report.facts_err == 0 ? 4 * MIB : 0);

    faults_arm(OS_CALL_FACTS, 0, -EACCES);
    report = report_of(arena);
    assert_true(faults_disarm());
    assert_int_equal(report.facts_err, EACCES);
    assert_int_equal(report.resident_bytes, 0);
    assert_int_equal(jdb_unpin(jdb_arena_base(arena), 3 * 16384), 0);
    assert_int_equal(jdb_arena_unhold(arena, 0, 100), 0);
    assert_int_equal(jdb_arena_unhold(arena, 50, 100), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void a_report_reads_as_text(void **state)
{
    (void)state;
    jdb_arena_options options = options_of(4 * MIB, JDB_ARENA_PAGES_NONE, 0);
    jdb_arena *arena = NULL;
    options.numa_policy = JDB_ARENA_NUMA_BIND;
    options.numa_nodes[3] = 1ull << 63; /* node 255 */
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    const jdb_arena_report report = report_of(arena);
    char text[4096], part[20];
    const int length = jdb_arena_report_format(&report, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_non_null(strstr(text, "usable       4194304 bytes\n"));
    assert_non_null(strstr(text, "numa         asked 1, obtained 0: "));
    assert_null(strstr(text, "lock"));
    assert_int_equal(jdb_arena_report_format(&report, NULL, 0), length);
    assert_int_equal(jdb_arena_report_format(&report, part, sizeof part), length);
    assert_int_equal(strlen(part), sizeof part - 1);
    assert_memory_equal(part, text, sizeof part - 1);
    assert_int_equal(jdb_arena_report_format(NULL, part, sizeof part), -EINVAL);
    assert_int_equal(jdb_arena_report_format(&report, NULL, 1), -EINVAL);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* What is made once and kept is made before anything is counted. */
static void make_one_of_each(void)
{
    for (uint32_t flags = 0; flags <= JDB_ARENA_MEMFD; flags += JDB_ARENA_MEMFD) {
        jdb_arena_options options = options_of(128 * MIB, JDB_ARENA_PAGES_NONE, flags | JDB_ARENA_PREFAULT);
        options.prefault_threads = 2;
        jdb_arena *arena = NULL;
        assert_int_equal(jdb_arena_new(&options, &arena), 0);
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

int main(void)
{
    if (tier_is_emulated()) {
        printf("an emulator does not report what mappings are made of: skipped\n");
        return 77;
    }
    keep_numbers();
    make_one_of_each();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_huge_pages_are_used_and_counted),
        cmocka_unit_test(a_file_of_huge_pages_that_may_not_be_written_is_refused),
        cmocka_unit_test(growth_past_the_huge_pages_is_refused_or_falls_back),
        cmocka_unit_test(one_gigabyte_pages_come_first),
        cmocka_unit_test(a_control_group_that_allows_less_is_reported),
        cmocka_unit_test(without_huge_pages_the_fallback_is_visible_or_an_error),
        cmocka_unit_test(transparent_huge_pages_are_verified),
        cmocka_unit_test(missing_transparent_huge_pages_are_noticed),
        cmocka_unit_test(placement_is_obtained_or_refused),
        cmocka_unit_test(a_name_is_seen_in_maps_or_refused),
        cmocka_unit_test(advice_reaches_the_mapping),
        cmocka_unit_test(locked_memory_is_filled_only_when_asked),
        cmocka_unit_test(locking_stays_within_its_limit),
        cmocka_unit_test(address_space_stays_within_its_limit),
        cmocka_unit_test(making_survives_each_failing_call),
        cmocka_unit_test(each_refusal_is_reported_at_its_option),
        cmocka_unit_test(huge_pages_that_children_would_get_are_not_used),
        cmocka_unit_test(progress_goes_on_from_part_to_part),
        cmocka_unit_test(what_is_filled_twice_counts_once),
        cmocka_unit_test(growth_of_several_parts_is_all_or_nothing),
        cmocka_unit_test(an_older_kernel_is_touched_instead_of_populated),
        cmocka_unit_test(fewer_threads_do_the_same_work),
        cmocka_unit_test(growth_survives_each_failing_call),
        cmocka_unit_test(freeing_and_giving_back_survive_a_failing_call),
        cmocka_unit_test(a_report_of_every_size_is_filled_as_far_as_it_goes),
        cmocka_unit_test(a_report_counts_holds_pins_and_bytes),
        cmocka_unit_test(a_report_reads_as_text),
    };
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    restore_numbers();
    return failures;
}
