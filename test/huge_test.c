/* SPDX-License-Identifier: MIT
 *
 * huge_test.c - blocks of 2 MiB as huge pages, where the program asks: what they are filled with, what stays resident, and
 * what goes back. Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "cost.h"
#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define BLOCK (2 * MIB)

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

static void want_huge(uint32_t huge_pages)
{
    jdb_page_options options = JDB_PAGE_OPTIONS_INIT;
    options.huge_pages = huge_pages;
    options.delay_ms = 40;
    MUST(jdb_set_page_options(&options) == 0);
}

/* Bytes of huge pages of this process. */
static uint64_t huge_resident(void)
{
    FILE *const file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    uint64_t kib = 0;
    MUST(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "AnonHugePages: %" SCNu64 " kB", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

/* What the system says of transparent huge pages, as "always", "madvise" or "never". */
static const char *system_policy(void)
{
    static char text[64];
    FILE *const file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (file == NULL)
        return "none";
    const bool has_line = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    const char *const first = has_line ? strchr(text, '[') : NULL;
    char *const end = first != NULL ? strchr(first, ']') : NULL;
    if (end == NULL)
        return "none";
    *end = '\0';
    return first + 1;
}

static void skip_without_huge_pages(void)
{
    if (!tier_is_measurable())
        print_message("skipped: sanitizers and the checked build keep memory of their own\n");
    else if (strcmp(system_policy(), "madvise") != 0)
        print_message("skipped: transparent huge pages of the system: %s\n", system_policy());
    else if (sysconf(_SC_PAGESIZE) != 4096)
        print_message("skipped: pages of the system are larger than 4 KiB\n");
    else
        return;
    skip();
}

static void assert_child(void (*body)(void *))
{
    char text[4096];
    const int status = must_run_child(body, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
    if (text[0] != '\0')
        print_message("%s", text);
}

static void make_touched(jdb_buf *buf, size_t size)
{
    MUST(jdb_buf_with_cap(buf, size) == 0);
    for (size_t at = 0; at < size; at += 4096)
        buf->ptr[at] = 1;
}

/* The clock is read each 64 frees. */
static void idle(void)
{
    for (unsigned i = 0; i < 30; i++) {
        for (unsigned call = 0; call < 64; call++) {
            jdb_buf buf;
            make_touched(&buf, 4096);
            jdb_buf_drop(&buf);
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

/* ---- Filled ----------------------------------------------------------------------------------------------- */

enum { BUFS_MAX = 65536 };

static jdb_buf bufs[BUFS_MAX];

static void make_all(size_t total, size_t size)
{
    MUST(total / size <= BUFS_MAX);
    for (size_t i = 0; i < total / size; i++)
        make_touched(&bufs[i], size);
}

static void drop_all(size_t total, size_t size)
{
    for (size_t i = 0; i < total / size; i++)
        jdb_buf_drop(&bufs[i]);
}

static const size_t filled_sizes[] = {4 * KIB, 16 * KIB, 60 * KIB, 300 * KIB, 1200 * KIB, 5 * MIB};

enum { FILLED = 192 };

/* Most of what is in use lies on huge pages, no more than a tenth beyond it is resident, and all of it goes back. */
static void body_filled(void *argument)
{
    const size_t size = *(const size_t *)argument;
    const size_t total = FILLED * MIB / size * size;
    const uint64_t before = cost_resident_bytes();
    want_huge(JDB_HUGE_PAGES_ON);
    const uint64_t faults = cost_minor_faults();
    make_all(total, size);
    const uint64_t faulted = cost_minor_faults() - faults;
    const uint64_t resident = cost_resident_bytes() - before;
    const jdb_page_stats stats = stats_now();
    MUST(huge_resident() >= total / 10 * 7);
    MUST(stats.huge_bytes >= huge_resident() && stats.huge_bytes <= total + total / 10);
    MUST(resident <= total + total / 10);
    MUST(faulted < total / 4096 / 4);
    drop_all(total, size);
    idle();
    MUST(cost_resident_bytes() - before < 8 * MIB && stats_now().huge_bytes <= BLOCK);
}

static void small_and_large_buffers_fill_blocks(void **state)
{
    (void)state;
    skip_without_huge_pages();
    for (size_t i = 0; i < sizeof filled_sizes / sizeof *filled_sizes; i++) {
        char text[4096];
        size_t size = filled_sizes[i];
        const int status = must_run_child(body_filled, &size, text, sizeof text);
        if (status != 0)
            fail_msg("%zu KiB: status %d: %s", size / KIB, status, text);
    }
}

/* A program that holds little has no huge pages, and one that did not ask has none. */
static void body_little(void *argument)
{
    (void)argument;
    want_huge(JDB_HUGE_PAGES_ON);
    make_all(8 * MIB, 4 * KIB);
    MUST(huge_resident() == 0 && stats_now().huge_bytes == 0);
}

static void body_default(void *argument)
{
    (void)argument;
    make_all(128 * MIB, 16 * KIB);
    MUST(huge_resident() == 0 && stats_now().huge_bytes == 0);
}

static void no_huge_pages_for_little_or_without_asking(void **state)
{
    (void)state;
    skip_without_huge_pages();
    assert_child(body_little);
    assert_child(body_default);
}

/* The environment asks, and the option decides. */
static void body_environment(void *argument)
{
    (void)argument;
    setenv("JDB_HUGE_PAGES", "1", 1);
    make_all(64 * MIB, 16 * KIB);
    MUST(stats_now().huge_bytes >= 32 * MIB);
}

static void body_environment_and_option(void *argument)
{
    (void)argument;
    setenv("JDB_HUGE_PAGES", "1", 1);
    want_huge(JDB_HUGE_PAGES_OFF);
    make_all(64 * MIB, 16 * KIB);
    MUST(stats_now().huge_bytes == 0);
}

static void the_environment_asks_and_the_option_decides(void **state)
{
    (void)state;
    if (TIER_CHECKED || sysconf(_SC_PAGESIZE) != 4096)
        skip();
    assert_child(body_environment);
    assert_child(body_environment_and_option);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    jdb_page_options options = JDB_PAGE_OPTIONS_INIT;
    options.huge_pages = JDB_HUGE_PAGES_OFF + 1;
    assert_int_equal(jdb_set_page_options(&options), -EINVAL);
    options.huge_pages = 0;
    options.reserved0 = 1; /* of a newer version */
    assert_int_equal(jdb_set_page_options(&options), -E2BIG);
}

/* ---- Given back ------------------------------------------------------------------------------------------- */

/* Whether the system may make huge pages of the memory at ptr. */
static bool is_advised(const void *ptr)
{
    FILE *const file = fopen("/proc/self/smaps", "r");
    char line[512];
    bool is_here = false;
    bool is_huge = false;
    MUST(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long begin = 0;
        unsigned long end = 0;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            is_here = (uintptr_t)ptr >= begin && (uintptr_t)ptr < end;
        else if (is_here && strncmp(line, "VmFlags:", 8) == 0)
            is_huge |= strstr(line, " hg") != NULL;
    }
    fclose(file);
    return is_huge;
}

/* One page of each block stays in use: the rest goes, what is left is no huge page, and nobody asks for one there again. */
static void body_scattered(void *argument)
{
    (void)argument;
    const size_t total = 128 * MIB;
    const uint64_t before = cost_resident_bytes();
    want_huge(JDB_HUGE_PAGES_ON);
    make_all(total, 4 * KIB);
    const uint64_t huge = stats_now().huge_bytes;
    MUST(huge >= total / 2);
    uintptr_t last = 0;
    size_t kept = 0;
    for (size_t i = 0; i < total / (4 * KIB); i++) {
        if ((uintptr_t)bufs[i].ptr / BLOCK == last) {
            jdb_buf_drop(&bufs[i]);
            continue;
        }
        last = (uintptr_t)bufs[i].ptr / BLOCK;
        kept++;
    }
    idle();
    MUST(cost_resident_bytes() - before < 8 * MIB && huge_resident() <= BLOCK && stats_now().huge_bytes <= BLOCK);
    MUST(kept >= total / BLOCK && kept < 4 * total / BLOCK);
    size_t advised = 0;
    for (size_t i = 0; i < total / (4 * KIB); i++) {
        MUST(bufs[i].ptr == NULL || bufs[i].ptr[0] == 1);
        advised += bufs[i].ptr != NULL && is_advised(bufs[i].ptr);
    }
    MUST(advised <= 1); /* the block that is filled now */
}

/* Once it is off, what is taken from then on is no huge page, also where one was. */
static void body_off(void *argument)
{
    (void)argument;
    want_huge(JDB_HUGE_PAGES_ON);
    make_all(128 * MIB, 16 * KIB);
    MUST(huge_resident() > 0);
    drop_all(128 * MIB, 16 * KIB);
    jdb_trim();
    want_huge(JDB_HUGE_PAGES_OFF);
    make_all(128 * MIB, 16 * KIB);
    MUST(huge_resident() == 0 && stats_now().huge_bytes == 0);
}

static pthread_barrier_t advised_turn;
static _Thread_local bool is_advising;
static _Atomic unsigned advice_count;

/* The first advice of this thread waits until another one has given memory back. */
static int wait_at_advice(enum os_call kind)
{
    if (is_advising && kind == OS_CALL_ADVISE) {
        is_advising = false;
        atomic_fetch_add(&advice_count, 1);
        pthread_barrier_wait(&advised_turn);
        pthread_barrier_wait(&advised_turn);
    }
    return 0;
}

static void *trim_at_advice(void *argument)
{
    pthread_barrier_wait(&advised_turn);
    jdb_trim();
    pthread_barrier_wait(&advised_turn);
    return argument;
}

/* A block is opened, and before the system hears of it another thread gives the rest of it back. */
static void body_late_advice(void *argument)
{
    (void)argument;
    pthread_t thread;
    size_t count = 0;
    want_huge(JDB_HUGE_PAGES_ON);
    make_touched(&bufs[count++], 128 * MIB);
    MUST(pthread_barrier_init(&advised_turn, NULL, 2) == 0);
    MUST(pthread_create(&thread, NULL, trim_at_advice, NULL) == 0);
    faults_set_hook(wait_at_advice);
    is_advising = true;
    while (atomic_load(&advice_count) == 0 && count < 64)
        MUST(jdb_buf_with_cap(&bufs[count++], 300 * KIB) == 0);
    MUST(atomic_load(&advice_count) == 1 && pthread_join(thread, NULL) == 0);
    MUST(!is_advised(bufs[count - 1].ptr) && is_advised(bufs[0].ptr + 64 * MIB));
}

static void an_advice_that_comes_late_undoes_no_split(void **state)
{
    (void)state;
    skip_without_huge_pages();
    assert_child(body_late_advice);
}

static void parts_of_blocks_go_back(void **state)
{
    (void)state;
    skip_without_huge_pages();
    assert_child(body_scattered);
    assert_child(body_off);
}

/* ---- Any sizes, in any order ------------------------------------------------------------------------------- */

enum { LIVE_MAX = 512, ROUND_MAX = 20000 };

static void fill(jdb_buf *buf, uint8_t value)
{
    buf->ptr[0] = value;
    buf->ptr[buf->cap - 1] = value;
}

static bool is_zero(const jdb_buf *buf)
{
    for (size_t at = 0; at < buf->cap; at += 512)
        if (buf->ptr[at] != 0)
            return false;
    return true;
}

/* Buffers keep what is theirs, fresh ones are zero where that was asked for; the counts hold. */
static void body_random(void *argument)
{
    uint64_t random = *(const uint64_t *)argument;
    static uint8_t values[LIVE_MAX];
    want_huge(JDB_HUGE_PAGES_ON);
    const unsigned rounds = (unsigned)tier_pick(ROUND_MAX / 4, ROUND_MAX, 10 * ROUND_MAX);
    for (unsigned round = 0; round < rounds; round++) {
        const size_t at = random_below(&random, LIVE_MAX);
        jdb_buf *const buf = &bufs[at];
        if (buf->ptr != NULL) {
            MUST(buf->ptr[0] == values[at] && buf->ptr[buf->cap - 1] == values[at]);
            jdb_buf_drop(buf);
        }
        const size_t size = random_log_uniform(&random, 1, 2048) * 4096;
        const bool is_zeroed = random_below(&random, 2) == 0;
        MUST((is_zeroed ? jdb_buf_zeroed(buf, size) : jdb_buf_with_cap(buf, size)) == 0);
        MUST(!is_zeroed || is_zero(buf));
        values[at] = (uint8_t)(round % 255 + 1);
        fill(buf, values[at]);
        if (random_below(&random, 2000) == 0)
            want_huge(random_below(&random, 2) == 0 ? JDB_HUGE_PAGES_ON : JDB_HUGE_PAGES_OFF);
        const jdb_page_stats stats = stats_now();
        MUST(stats.huge_bytes % BLOCK == 0 && stats.huge_bytes <= stats.mapped_bytes);
    }
    for (size_t i = 0; i < LIVE_MAX; i++)
        jdb_buf_drop(&bufs[i]);
    jdb_trim();
    MUST(stats_now().huge_bytes == 0 && stats_now().cached_bytes == 0);
}

static void any_order_keeps_contents_and_counts(void **state)
{
    (void)state;
    char text[4096];
    uint64_t seed = random_seed("huge");
    const int status = must_run_child(body_random, &seed, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

/* A system that refuses the advice: 4 KiB pages, and nothing is counted. */
static void body_refused(void *argument)
{
    (void)argument;
    want_huge(JDB_HUGE_PAGES_ON);
    faults_arm_all(OS_CALL_ADVISE, 0, -EINVAL);
    make_all(64 * MIB, 16 * KIB);
    MUST(faults_disarm() && stats_now().huge_bytes == 0 && huge_resident() == 0);
}

static void a_refusal_leaves_small_pages(void **state)
{
    (void)state;
    skip_without_huge_pages();
    assert_child(body_refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_and_large_buffers_fill_blocks),
        cmocka_unit_test(no_huge_pages_for_little_or_without_asking),
        cmocka_unit_test(the_environment_asks_and_the_option_decides),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(parts_of_blocks_go_back),
        cmocka_unit_test(an_advice_that_comes_late_undoes_no_split),
        cmocka_unit_test(any_order_keeps_contents_and_counts),
        cmocka_unit_test(a_refusal_leaves_small_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
