/* SPDX-License-Identifier: MIT
 *
 * delay_test.c - what was just freed stays for the delay, however long nothing happened before; what nobody took for an epoch
 * goes. Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "must.h"
#include "page/heap.h"
#include "page/shared_cache.h"
#include "tier.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* Far above what a loaded machine takes for a few calls. */
enum { DELAY_MS = 1500, PAUSE_MS = 1700 };

static void assert_child(void (*body)(void *))
{
    char text[4096];
    if (TIER_CHECKED) /* keeps nothing in caches */
        skip();
    const int status = must_run_child(body, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

static void set_delay(void)
{
    const jdb_page_options options = {.size = sizeof options, .delay_ms = DELAY_MS};
    MUST(jdb_set_page_options(&options) == 0);
}

static void pause_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Enough frees for the thread to look at the clock. */
static void poll_clock(void)
{
    for (unsigned i = 0; i < 130; i++) {
        jdb_buf buf;
        MUST(jdb_buf_with_cap(&buf, 4096) == 0);
        jdb_buf_drop(&buf);
    }
}

static void run_thread(void *(*body)(void *))
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, body, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* ---- Freed just now --------------------------------------------------------------------------------------- */

enum { FLUSHED = 100 };

static pthread_barrier_t turn;

/* What the cache holds leaves no trace of its own, so the flush has to. */
static void *flush_cache(void *argument)
{
    jdb_buf bufs[FLUSHED];
    for (size_t i = 0; i < FLUSHED; i++)
        MUST(jdb_buf_with_cap(&bufs[i], 8192) == 0);
    for (size_t i = 0; i < FLUSHED / 2; i++)
        jdb_buf_drop(&bufs[i]);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    jdb_thread_flush();
    for (size_t i = FLUSHED / 2; i < FLUSHED; i++)
        jdb_buf_drop(&bufs[i]);
    return argument;
}

static void body_flush(void *argument)
{
    (void)argument;
    pthread_t thread;
    set_delay();
    MUST(pthread_barrier_init(&turn, NULL, 2) == 0);
    MUST(pthread_create(&thread, NULL, flush_cache, NULL) == 0);
    pthread_barrier_wait(&turn);
    pause_ms(PAUSE_MS);
    pthread_barrier_wait(&turn);
    while (stats_now().shared_bytes < FLUSHED / 2 * 8192)
        pause_ms(1);
    poll_clock();
    MUST(stats_now().shared_bytes >= FLUSHED / 2 * 8192);
    MUST(pthread_join(thread, NULL) == 0);
}

static void what_a_thread_hands_on_stays_for_the_delay(void **state)
{
    (void)state;
    assert_child(body_flush);
}

static void body_shrink(void *argument)
{
    (void)argument;
    jdb_buf buf;
    set_delay();
    MUST(jdb_buf_with_cap(&buf, 32 * MIB) == 0);
    memset(buf.ptr, 1, buf.cap);
    pause_ms(PAUSE_MS);
    MUST(jdb_buf_shrink(&buf) == 0 && stats_now().cached_bytes >= 31 * MIB);
    poll_clock();
    MUST(stats_now().cached_bytes >= 31 * MIB);
    jdb_buf_drop(&buf);
}

static void what_a_buffer_is_cut_by_stays_for_the_delay(void **state)
{
    (void)state;
    assert_child(body_shrink);
}

/* ---- A cache used again ----------------------------------------------------------------------------------- */

static void *use_some(void *argument)
{
    poll_clock();
    return argument;
}

/* The cache is one of a thread that ended before the pause: its old times are not this thread's. */
static void *use_cache_of_another(void *argument)
{
    jdb_buf bufs[8];
    for (size_t i = 0; i < 8; i++)
        MUST(jdb_buf_with_cap(&bufs[i], 16384) == 0);
    for (size_t i = 0; i < 8; i++)
        jdb_buf_drop(&bufs[i]);
    const uint64_t kept = stats_now().thread_bytes;
    poll_clock();
    MUST(kept >= 8 * 16384 && stats_now().thread_bytes >= kept);
    return argument;
}

static void body_reused(void *argument)
{
    (void)argument;
    set_delay();
    run_thread(use_some);
    pause_ms(PAUSE_MS);
    run_thread(use_cache_of_another);
}

static void a_cache_that_another_thread_left_begins_anew(void **state)
{
    (void)state;
    assert_child(body_reused);
}

/* ---- Untouched for an epoch ------------------------------------------------------------------------------- */

enum { SHARED_RUNS = 100, SHARED_USED = 30 };

/* Each drain ends an epoch: of a stack that lies below what was touched since the one before goes. */
static void body_untouched(void *argument)
{
    (void)argument;
    uint32_t indices[SHARED_RUNS];
    unsigned count = 0;
    uint64_t missing = 0;
    while (count < SHARED_RUNS) {
        unsigned more = 0;
        MUST(jdb__heap_take_batch(1, SHARED_RUNS - count, indices + count, &more, &missing) == 0);
        count += more;
    }
    MUST(jdb__shared_cache_push(1, indices, SHARED_RUNS));
    jdb__shared_cache_drain(false);
    MUST(jdb__shared_cache_count(1) == SHARED_RUNS);
    MUST(jdb__shared_cache_pop(1, SHARED_USED, indices) == SHARED_USED);
    MUST(jdb__shared_cache_push(1, indices, SHARED_USED));
    jdb__shared_cache_drain(false);
    MUST(jdb__shared_cache_count(1) == SHARED_USED);
    MUST(jdb__shared_cache_pop(1, 1, indices) == 1);
    MUST(jdb__shared_cache_push(1, indices, 1));
    jdb__shared_cache_drain(false);
    MUST(jdb__shared_cache_count(1) == 1);
    jdb__shared_cache_drain(false);
    MUST(jdb__shared_cache_count(1) == 0);
}

static void what_lies_untouched_in_a_shared_stack_goes(void **state)
{
    (void)state;
    assert_child(body_untouched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_thread_hands_on_stays_for_the_delay),
        cmocka_unit_test(what_a_buffer_is_cut_by_stays_for_the_delay),
        cmocka_unit_test(a_cache_that_another_thread_left_begins_anew),
        cmocka_unit_test(what_lies_untouched_in_a_shared_stack_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
