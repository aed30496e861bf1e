/* SPDX-License-Identifier: MIT
 *
 * system_limit_test.c - page memory under the limits of the system, as pages.h says: RLIMIT_AS, RLIMIT_DATA, vm.max_map_count,
 * vm.overcommit_memory = 2, a cgroup's memory. Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "must.h"
#include "tier.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

static int run(void (*body)(void *), void *argument)
{
    char text[4096];
    const int status = must_run_child(body, argument, text, sizeof text);
    if (text[0] != '\0')
        print_message("%s", text);
    return status;
}

/* A number behind a name at the start of a line, such as "VmData: 12 kB"; false: it is not there. */
static bool read_number(const char *path, const char *name, uint64_t *ret_number)
{
    FILE *const file = fopen(path, "r");
    char line[256];
    bool is_found = false;
    while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL) {
        is_found = strncmp(line, name, strlen(name)) == 0;
        *ret_number = is_found ? strtoull(line + strlen(name), NULL, 10) : 0;
    }
    if (file != NULL)
        fclose(file);
    return is_found;
}

/* ---- RLIMIT_AS -------------------------------------------------------------------------------------------- */

enum { AS_COUNT = 640 };

/* 4 GiB of addresses: zones start small, and grow with what is used. What is refused leaves the buffer empty, and what was
 * freed is used again. */
static void body_addresses(void *argument)
{
    (void)argument;
    static jdb_buf bufs[AS_COUNT];
    size_t count = 0;
    const struct rlimit limit = {(rlim_t)4096 * MIB, (rlim_t)4096 * MIB};
    MUST(setrlimit(RLIMIT_AS, &limit) == 0);
    while (count < AS_COUNT && jdb_buf_with_cap(&bufs[count], 8 * MIB) == 0)
        count++;
    const uint64_t reserved = stats_now().reserved_bytes;
    fprintf(stderr, "RLIMIT_AS 4096 MiB: %zu MiB lent, %" PRIu64 " MiB reserved\n", 8 * count, reserved / MIB);
    MUST(count >= 1024 / 8 && count < AS_COUNT && reserved <= limit.rlim_cur);
    MUST(bufs[count].ptr == NULL && bufs[count].cap == 0);
    for (size_t i = 0; i < count; i++)
        jdb_buf_drop(&bufs[i]);
    jdb_trim();
    MUST(stats_now().reserved_bytes == reserved);
    for (size_t i = 0; i < count; i++)
        MUST(jdb_buf_with_cap(&bufs[i], 8 * MIB) == 0);
    MUST(stats_now().reserved_bytes == reserved);
}

static void addresses_are_reserved_by_need_under_a_limit(void **state)
{
    (void)state;
    if (TIER_SANITIZED || tier_is_emulated())
        skip();
    assert_int_equal(run(body_addresses, NULL), 0);
}

static uint64_t system_calls(void)
{
    const jdb_page_stats stats = stats_now();
    return stats.map_calls + stats.unmap_calls + stats.decommit_calls + stats.remap_calls;
}

static pthread_barrier_t outside_is_cached;

static void *cache_outside_and_sleep(void *argument)
{
    jdb_buf buf;
    (void)argument;
    MUST(jdb_buf_with_cap(&buf, MIB) == 0);
    jdb_buf_drop(&buf);
    pthread_barrier_wait(&outside_is_cached);
    pthread_barrier_wait(&outside_is_cached);
    return NULL;
}

/* What another thread has cached, a child takes over. */
static void fork_beside_a_thread_that_caches(void)
{
    pthread_t thread;
    int status = 0;
    jdb_thread_flush();
    MUST(pthread_barrier_init(&outside_is_cached, NULL, 2) == 0);
    MUST(pthread_create(&thread, NULL, cache_outside_and_sleep, NULL) == 0);
    pthread_barrier_wait(&outside_is_cached);
    MUST(stats_now().thread_bytes == MIB);
    const uint64_t lent = stats_now().lent_bytes;
    const pid_t child = fork();
    MUST(child >= 0 && stats_now().lent_bytes == lent);
    MUST(stats_now().thread_bytes == (child == 0 ? 0 : MIB));
    if (child == 0)
        _exit(0);
    MUST(waitpid(child, &status, 0) == child && status == 0);
    pthread_barrier_wait(&outside_is_cached);
    MUST(pthread_join(thread, NULL) == 0);
}

/* The clock is read every 64 frees (pages.h). */
static void wait_for_a_poll(long ms)
{
    jdb_buf buf;
    nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
    for (unsigned i = 0; i < 64; i++) {
        MUST(jdb_buf_with_cap(&buf, 4096) == 0);
        jdb_buf_drop(&buf);
    }
}

/* What was freed outside of the first zone is used again without a system call, where it is large without a lock, counted, and
 * given back after the delay or by a trim. */
static void body_outside(void *argument)
{
    (void)argument;
    static jdb_buf held[300];
    static const size_t sizes[] = {4 * KIB, 64 * KIB, MIB, 16 * MIB};
    jdb_buf bufs[2];
    const struct rlimit limit = {(rlim_t)4096 * MIB, (rlim_t)4096 * MIB};
    const jdb_page_options options = {.size = sizeof options, .delay_ms = 100};
    MUST(setrlimit(RLIMIT_AS, &limit) == 0 && jdb_set_page_options(&options) == 0);
    for (size_t i = 0; i < 300; i++)
        MUST(jdb_buf_with_cap(&held[i], MIB) == 0);
    MUST(stats_now().reserved_bytes > 256 * MIB);
    for (size_t i = 0; i < 4; i++) {
        const uint64_t before = system_calls();
        const uint64_t locks = stats_now().shared_locks;
        for (unsigned k = 0; k < 10000; k++) {
            MUST(jdb_buf_with_cap(&bufs[0], sizes[i]) == 0);
            bufs[0].ptr[0] = 1;
            jdb_buf_drop(&bufs[0]);
        }
        fprintf(stderr, "%zu KiB outside, 10,000 times: %" PRIu64 " system calls\n", sizes[i] / KIB,
                system_calls() - before);
        MUST(system_calls() - before <= 200);
        MUST(sizes[i] < MIB || (stats_now().shared_locks - locks <= 1000 && stats_now().thread_bytes >= sizes[i]));
    }
    fork_beside_a_thread_that_caches();
    for (unsigned is_trim = 0; is_trim < 2; is_trim++) {
        MUST(jdb_buf_with_cap(&bufs[0], 64 * MIB) == 0);
        memset(bufs[0].ptr, 1, bufs[0].cap);
        jdb_buf_drop(&bufs[0]);
        MUST(stats_now().cached_bytes >= 64 * MIB);
        MUST(is_trim == 0 || jdb_trim() >= 64 * MIB);
        if (is_trim == 0)
            wait_for_a_poll(150);
        MUST(stats_now().cached_bytes <= MIB && stats_now().lent_bytes == 300 * MIB);
    }
}

static void memory_outside_of_the_first_zone_is_cached_too(void **state)
{
    (void)state;
    if (!tier_is_measurable() || tier_is_emulated())
        skip();
    assert_int_equal(run(body_outside, NULL), 0);
}

/* ---- RLIMIT_DATA ------------------------------------------------------------------------------------------ */

/* What is cached counts as data, so malloc() beside it is refused; after a trim it is not. Addresses do not count. */
static void body_data(void *argument)
{
    (void)argument;
    jdb_buf buf;
    jdb_buf small;
    jdb_buf ranges[8];
    uint64_t data_kib = 0;
    MUST(jdb_buf_with_cap(&small, 4096) == 0);
    void *volatile memory =
        malloc(256 * MIB); /* what malloc() itself needs once. volatile: a compiler may leave malloc() out */
    free(memory);
    MUST(read_number("/proc/self/status", "VmData:", &data_kib));
    const rlim_t most = data_kib * KIB + 512 * MIB;
    const struct rlimit limit = {most, most};
    MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
    for (size_t i = 0; i < 8; i++)
        MUST(jdb_buf_with_max(&ranges[i], 4096, 1024 * MIB) == 0);
    MUST(jdb_buf_with_cap(&buf, 400 * MIB) == 0);
    memset(buf.ptr, 1, MIB);
    jdb_buf other;
    MUST(jdb_buf_with_cap(&other, 400 * MIB) == -ENOMEM && other.ptr == NULL);
    jdb_buf_drop(&buf);
    memory = malloc(400 * MIB);
    MUST(memory == NULL);
    MUST(jdb_trim() >= MIB);
    MUST(stats_now().mapped_bytes <= 16 * MIB);
    memory = malloc(400 * MIB);
    MUST(memory != NULL);
    MUST(jdb_buf_with_cap(&buf, 400 * MIB) == -ENOMEM);
    free(memory);
    MUST(jdb_buf_zeroed(&buf, 400 * MIB) == 0 && buf.ptr[0] == 0 && buf.ptr[400 * MIB - 1] == 0);
}

static void a_trim_makes_room_for_malloc_under_a_limit_of_data(void **state)
{
    (void)state;
    uint64_t data_kib = 0;
    if (TIER_SANITIZED || tier_is_emulated() || !read_number("/proc/self/status", "VmData:", &data_kib)) {
        print_message("skipped: no VmData in /proc/self/status, or a sanitizer's memory counts in it\n");
        skip();
    }
    assert_int_equal(run(body_data, NULL), 0);
}

/* ---- vm.max_map_count ------------------------------------------------------------------------------------- */

/* Take mappings until the system gives none; returns the last one, with which the others are linked. */
static void **take_mappings(void)
{
    void **last = NULL;
    for (unsigned i = 0; i < 1u << 18; i++) { /* neighbours differ, so none joins another */
        void **const page =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE | (i % 2 == 0 ? PROT_EXEC : 0), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            return last;
        *page = last;
        last = page;
    }
    return NULL;
}

static void give_mappings(void **last)
{
    while (last != NULL) {
        void **const before = *last;
        munmap(last, 4096);
        last = before;
    }
}

static void body_mappings(void *argument)
{
    (void)argument;
    jdb_buf bounded[2];
    jdb_buf buf;
    for (size_t i = 0; i < 2; i++)
        MUST(jdb_buf_with_max(&bounded[i], 4096, MIB) == 0);
    MUST(jdb_buf_with_cap(&buf, MIB) == 0);
    memset(buf.ptr, 7, MIB);
    MUST(jdb_buf_set_len(&buf, MIB) == 0);
    void **const taken = take_mappings();
    MUST(taken != NULL);
    const jdb_page_stats before = stats_now();
    jdb_buf refused[64];
    unsigned count = 0;
    int err = 0;
    while (count < 64 && (err = jdb_buf_with_max(&refused[count], 4096, 2 * MIB)) == 0)
        count++;
    MUST(err == -ENOMEM && refused[count].ptr == NULL);
    MUST(stats_now().reserved_bytes == before.reserved_bytes);
    MUST(jdb_buf_reserve(&buf, 64 * MIB) == 0 && buf.ptr[0] == 7 && buf.ptr[MIB - 1] == 7);
    jdb_buf plain;
    MUST(jdb_buf_with_cap(&plain, 32 * MIB) == 0);
    jdb_buf_drop(&plain);
    jdb_buf_drop(&bounded[0]);
    jdb_trim();
    give_mappings(taken);
    MUST(jdb_buf_with_max(&refused[count], 4096, 2 * MIB) == 0);
    jdb_buf_drop(&refused[count]);
    jdb_buf_drop(&bounded[1]);
    jdb_buf_drop(&buf);
    while (count-- > 0)
        jdb_buf_drop(&refused[count]);
    jdb_trim();
    MUST(stats_now().lent_bytes == 0 && stats_now().cached_bytes == 0);
    fprintf(stderr, "vm.max_map_count: %" PRIu64 " MiB mapped at the end\n", stats_now().mapped_bytes / MIB);
}

static void without_mappings_a_maximum_is_refused_and_the_rest_works(void **state)
{
    (void)state;
    uint64_t most = 0;
    if (TIER_SANITIZED || tier_is_emulated() || !read_number("/proc/sys/vm/max_map_count", "", &most) ||
        most > 200000) {
        print_message("skipped: needs a vm.max_map_count of at most 200,000, and no sanitizer\n");
        skip();
    }
    assert_int_equal(run(body_mappings, NULL), 0);
}

/* ---- vm.overcommit_memory = 2 ----------------------------------------------------------------------------- */

/* Committed_AS counts what is readable, not what is reserved; a trim takes it back. */
static void body_commit(void *argument)
{
    (void)argument;
    uint64_t before = 0;
    uint64_t during = 0;
    uint64_t after = 0;
    jdb_buf buf;
    jdb_buf range;
    MUST(jdb_buf_with_max(&range, 4096, 64 * 1024 * MIB) == 0);
    jdb_trim();
    MUST(read_number("/proc/meminfo", "Committed_AS:", &before));
    MUST(jdb_buf_with_cap(&buf, 256 * MIB) == 0);
    MUST(read_number("/proc/meminfo", "Committed_AS:", &during));
    jdb_buf_drop(&buf);
    jdb_trim();
    MUST(read_number("/proc/meminfo", "Committed_AS:", &after));
    fprintf(stderr, "Committed_AS: %" PRIu64 " MiB, with 256 MiB lent %" PRIu64 ", after a trim %" PRIu64 "\n",
            before / KIB, during / KIB, after / KIB);
    MUST(during >= before + 200 * KIB && after <= before + 50 * KIB);
}

static void a_trim_takes_back_what_the_system_has_promised(void **state)
{
    (void)state;
    uint64_t mode = 0;
    if (TIER_SANITIZED || !read_number("/proc/sys/vm/overcommit_memory", "", &mode) || mode != 2) {
        print_message("skipped: vm.overcommit_memory is not 2\n");
        skip();
    }
    assert_int_equal(run(body_commit, NULL), 0);
}

/* ---- A cgroup's memory ------------------------------------------------------------------------------------ */

struct group {
    char path[128];
    const char *limit; /* the name of the file of its limit */
};

static bool write_text(const struct group *group, const char *name, const char *text)
{
    char path[192];
    snprintf(path, sizeof path, "%s/%s", group->path, name);
    const int fd = open(path, O_WRONLY);
    const bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_written;
}

/* A group of 128 MiB, of either version of cgroups. False: not here. */
static bool group_make(struct group *group)
{
    static const char *const places[][2] = {{"/sys/fs/cgroup", "memory.max"},
                                            {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}};
    for (size_t i = 0; i < 2; i++) {
        snprintf(group->path, sizeof group->path, "%s/jdb-%d", places[i][0], (int)getpid());
        group->limit = places[i][1];
        if (mkdir(group->path, 0755) == 0 && write_text(group, group->limit, "134217728")) {
            write_text(group, "memory.swap.max", "0");
            write_text(group, "memory.swappiness", "0");
            return true;
        }
        rmdir(group->path);
    }
    return false;
}

/* 64 MiB at a time, twice what the group may have in all: freed memory is used again, and a trim gives it back. */
static void body_group_used_again(void *argument)
{
    MUST(write_text(argument, "cgroup.procs", "0"));
    for (unsigned i = 0; i < 4; i++) {
        jdb_buf buf;
        MUST(jdb_buf_with_cap(&buf, (64 + i) * MIB) == 0);
        memset(buf.ptr, 1, buf.cap);
        jdb_buf_drop(&buf);
        MUST(jdb_trim() >= 64 * MIB);
    }
}

/* The library's own limit comes first. */
static void body_group_own_limit(void *argument)
{
    MUST(write_text(argument, "cgroup.procs", "0"));
    MUST(jdb_set_limit(96 * MIB, NULL, NULL) == 0);
    jdb_buf bufs[2];
    MUST(jdb_buf_with_cap(&bufs[0], 64 * MIB) == 0);
    memset(bufs[0].ptr, 1, bufs[0].cap);
    MUST(jdb_buf_with_cap(&bufs[1], 64 * MIB) == -ENOMEM);
}

/* No call of the library fails: the kernel kills, when memory is touched. */
static void body_group_overused(void *argument)
{
    MUST(write_text(argument, "cgroup.procs", "0"));
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, 512 * MIB) == 0);
    memset(buf.ptr, 1, buf.cap);
}

static void a_group_kills_what_the_limit_of_the_library_refuses(void **state)
{
    (void)state;
    struct group group;
    if (TIER_SANITIZED || !group_make(&group)) {
        print_message("skipped: no cgroup with a limit of memory can be made here\n");
        skip();
    }
    const int used_again = run(body_group_used_again, &group);
    const int own_limit = run(body_group_own_limit, &group);
    const int overused = run(body_group_overused, &group);
    assert_int_equal(rmdir(group.path), 0);
    assert_int_equal(used_again, 0);
    assert_int_equal(own_limit, 0);
    assert_true(WIFSIGNALED(overused) && WTERMSIG(overused) == SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_reserved_by_need_under_a_limit),
        cmocka_unit_test(memory_outside_of_the_first_zone_is_cached_too),
        cmocka_unit_test(a_trim_makes_room_for_malloc_under_a_limit_of_data),
        cmocka_unit_test(without_mappings_a_maximum_is_refused_and_the_rest_works),
        cmocka_unit_test(a_trim_takes_back_what_the_system_has_promised),
        cmocka_unit_test(a_group_kills_what_the_limit_of_the_library_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
