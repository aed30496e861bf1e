/* SPDX-License-Identifier: MIT
 *
 * mapping_test.c - mappings that buffers leave behind: what grew by moving page tables gets a fresh one when it is freed, in
 * whatever way; and what the system refuses or loses on the way back. Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "tier.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static void assert_child(void (*body)(void *))
{
    char text[4096];
    const int status = must_run_child(body, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
    if (text[0] != '\0')
        print_message("%s", text);
}

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

/* ---- Moved ------------------------------------------------------------------------------------------------ */

/* No more than a thread keeps of larger runs, so that none of them goes to the heap before it is to. */
enum { MOVED_COUNT = 8, MAPPINGS_MORE = 3 };

static unsigned count_mappings(void)
{
    FILE *const file = fopen("/proc/self/maps", "r");
    unsigned count = 0;
    int c = 0;
    MUST(file != NULL);
    while ((c = fgetc(file)) != EOF)
        count += c == '\n';
    fclose(file);
    return count;
}

/* Buffers that have moved, each filled: 256 KiB that grew with no room behind. */
static void make_moved(jdb_buf *bufs, jdb_buf *walls)
{
    const uint64_t before = stats_now().moved_bytes;
    for (size_t i = 0; i < MOVED_COUNT; i++) {
        MUST(jdb_buf_zeroed(&bufs[i], 256 * KIB) == 0);
        MUST(jdb_buf_with_cap(&walls[i], 68 * KIB) == 0);
        memset(bufs[i].ptr, (int)i + 1, 256 * KIB);
    }
    for (size_t i = 0; i < MOVED_COUNT; i++) {
        MUST(jdb_buf_reserve(&bufs[i], 256 * KIB) == 0);
        memset(bufs[i].ptr + 256 * KIB, (int)i + 1, 256 * KIB);
        MUST(jdb_buf_set_len(&bufs[i], 512 * KIB) == 0);
    }
    MUST(stats_now().moved_bytes >= before + (MOVED_COUNT - 1) * 256 * KIB); /* the last may have room */
}

/* Freed as they are; or cut first; or taken once more out of the thread's cache, for which they are freed twice. */
static void free_moved(bool is_cut, bool is_taken_again)
{
    static jdb_buf bufs[MOVED_COUNT];
    static jdb_buf walls[MOVED_COUNT];
    make_moved(bufs, walls);
    const unsigned during = count_mappings();
    for (size_t i = 0; i < MOVED_COUNT; i++) {
        jdb_buf_truncate(&bufs[i], is_cut ? 128 * KIB : 512 * KIB);
        MUST(jdb_buf_shrink(&bufs[i]) == 0);
        const size_t cap = bufs[i].cap;
        jdb_buf_drop(&bufs[i]);
        if (is_taken_again)
            MUST(jdb_buf_with_cap(&bufs[i], cap) == 0);
    }
    for (size_t i = 0; i < MOVED_COUNT; i++) {
        jdb_buf_drop(&bufs[i]);
        jdb_buf_drop(&walls[i]);
    }
    jdb_thread_flush();
    const unsigned after = count_mappings();
    fprintf(stderr, "%u mappings with %d moved buffers, %u when they are freed\n", during, MOVED_COUNT, after);
}

static void body_moved(void *argument)
{
    const unsigned *const how = argument;
    jdb_buf first;
    MUST(jdb_buf_with_cap(&first, 8 * MIB) == 0);
    jdb_buf_drop(&first);
    (void)count_mappings(); /* what stdio maps */
    jdb_thread_flush();
    const unsigned before = count_mappings();
    free_moved((*how & 1) != 0, (*how & 2) != 0);
    MUST(count_mappings() <= before + MAPPINGS_MORE);
}

static void moved_buffers_leave_no_mappings(void **state)
{
    (void)state;
    if (!tier_is_measurable() || tier_is_emulated())
        skip();
    for (unsigned how = 0; how < 4; how++) {
        char text[1024];
        const int status = must_run_child(body_moved, &how, text, sizeof text);
        if (status != 0)
            fail_msg("way %u: status %d: %s", how, status, text);
        print_message("%s", text);
    }
}

/* ---- Refused and lost ------------------------------------------------------------------------------------- */

static jdb_buf lost;
static unsigned lost_count;

/* The kernel unmaps the range for a new mapping, and then has none to give. */
static int lose_range(enum os_call kind)
{
    if (kind != OS_CALL_MAP || lost_count++ > 0)
        return 0;
    MUST(munmap(lost.ptr, lost.cap) == 0);
    return -ENOMEM;
}

/* The hole is closed: no other mapping can come there, and the range serves again. */
static void body_lost(void *argument)
{
    (void)argument;
    MUST(jdb_buf_with_max(&lost, MIB, 2 * MIB) == 0);
    memset(lost.ptr, 1, MIB);
    uint8_t *const ptr = lost.ptr;
    const uint64_t mapped = stats_now().mapped_bytes;
    faults_set_hook(lose_range);
    jdb_buf_drop(&lost);
    faults_set_hook(NULL);
    MUST(lost_count == 2 && msync(ptr, MIB, MS_ASYNC) == 0); /* -ENOMEM: nothing is mapped there */
    MUST(stats_now().mapped_bytes == mapped - MIB);
    MUST(jdb_buf_with_max(&lost, MIB, 2 * MIB) == 0 && lost.ptr[0] == 0 && lost.ptr[MIB - 1] == 0);
}

static void a_range_that_the_system_lost_is_mapped_again(void **state)
{
    (void)state;
    if (TIER_SANITIZED || TIER_CHECKED || tier_is_emulated())
        skip();
    assert_child(body_lost);
}

/* No new mapping can be had for a range: its memory goes back all the same. */
static void body_refused(void *argument)
{
    (void)argument;
    jdb_buf buf;
    uint64_t before = 0;
    uint64_t after = 0;
    MUST(jdb_buf_with_max(&buf, 16 * MIB, 32 * MIB) == 0);
    if (jdb_resident_bytes(&before) != 0)
        return;
    memset(buf.ptr, 1, 16 * MIB);
    faults_arm_all(OS_CALL_MAP, 0, -ENOMEM);
    jdb_buf_drop(&buf);
    MUST(faults_disarm());
    MUST(jdb_resident_bytes(&after) == 0 && after <= before + MIB);
}

static void a_range_is_emptied_where_no_mapping_is_to_be_had(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    assert_child(body_refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moved_buffers_leave_no_mappings),
        cmocka_unit_test(a_range_that_the_system_lost_is_mapped_again),
        cmocka_unit_test(a_range_is_emptied_where_no_mapping_is_to_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
