/* SPDX-License-Identifier: MIT
 *
 * demand_test.c - freed memory goes back by demand and time: what is taken again within the delay stays, however much it
 * is; what nobody needs goes, a bounded number of system calls at a time. Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "cost.h"
#include "faults.h"
#include "must.h"
#include "page/heap_state.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static uint64_t dirty_bytes; /* bound for the children, or 0 */

static void set_delay(uint32_t ms)
{
    const jdb_page_options options = {.size = sizeof options, .delay_ms = ms, .dirty_bytes = dirty_bytes};
    MUST(jdb_set_page_options(&options) == 0);
}

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static void make_touched(jdb_buf *buf, size_t size)
{
    MUST(jdb_buf_with_cap(buf, size) == 0);
    for (size_t at = 0; at < size; at += 4096)
        buf->ptr[at] = 1;
}

/* A page every 10 ms, as a server that is nearly idle. */
static void idle_ms(unsigned ms)
{
    for (unsigned i = 0; i < ms / 10; i++) {
        jdb_buf buf;
        make_touched(&buf, 4096);
        jdb_buf_drop(&buf);
        sleep_ms(10);
    }
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

/* ---- Bursts ----------------------------------------------------------------------------------------------- */

enum { BURST_COUNT = 16384, BURST_SIZE = 16384, BURST_ROUNDS = 6 };

struct burst {
    jdb_buf bufs[BURST_COUNT];
    pthread_barrier_t turn;
};

static void *burst_drop(void *argument)
{
    struct burst *const burst = argument;
    for (unsigned round = 0; round < BURST_ROUNDS; round++) {
        pthread_barrier_wait(&burst->turn);
        for (size_t i = 0; i < BURST_COUNT; i++)
            jdb_buf_drop(&burst->bufs[i]);
        pthread_barrier_wait(&burst->turn);
    }
    return NULL;
}

/* 256 MiB allocated on one thread and freed on another, again and again: page faults in the first round alone. When it is
 * over, nearly all goes back, the memory of the tables included. */
static void body_burst(void *argument)
{
    (void)argument;
    static struct burst burst;
    pthread_t thread;
    uint64_t faults = 0;
    set_delay(20000);
    memset(burst.bufs, 0, sizeof burst.bufs);
    const uint64_t before = cost_resident_bytes();
    MUST(pthread_barrier_init(&burst.turn, NULL, 2) == 0);
    MUST(pthread_create(&thread, NULL, burst_drop, &burst) == 0);
    for (unsigned round = 0; round < BURST_ROUNDS; round++) {
        for (size_t i = 0; i < BURST_COUNT; i++)
            make_touched(&burst.bufs[i], BURST_SIZE);
        pthread_barrier_wait(&burst.turn);
        pthread_barrier_wait(&burst.turn);
        faults = round == 0 ? cost_minor_faults() : faults;
    }
    faults = cost_minor_faults() - faults;
    pthread_join(thread, NULL);
    set_delay(300);
    idle_ms(1200);
    const uint64_t after = cost_resident_bytes();
    fprintf(stderr, "%" PRIu64 " faults in %d buffers, %" PRIu64 " KiB resident after\n", faults,
            BURST_COUNT * (BURST_ROUNDS - 1), after > before ? (after - before) / KIB : 0);
    MUST(faults <= BURST_COUNT * (BURST_ROUNDS - 1) / 100);
    MUST(after <= before + 3 * MIB / 2);
}

static void bursts_fault_once_and_leave_nothing(void **state)
{
    (void)state;
    if (TIER_CHECKED || !tier_is_measurable())
        skip();
    assert_child(body_burst);
}

/* ---- Churn ------------------------------------------------------------------------------------------------ */

enum { CHURN_LIVE = 512 };

static void body_churn(void *argument)
{
    (void)argument;
    static jdb_buf bufs[CHURN_LIVE];
    uint64_t random = random_seed("churn");
    set_delay(20000);
    const uint64_t before = stats_now().decommit_calls;
    uint64_t used = 0;
    uint64_t most = 0;
    for (unsigned i = 0; i < 30000; i++) {
        jdb_buf *const buf = &bufs[random_below(&random, CHURN_LIVE)];
        used -= buf->cap;
        jdb_buf_drop(buf);
        MUST(jdb_buf_with_cap(buf, random_log_uniform(&random, 4096, 16 * MIB)) == 0);
        buf->ptr[0] = 1;
        used += buf->cap;
        most = used > most ? used : most;
    }
    const jdb_page_stats stats = stats_now();
    const uint64_t calls = stats.decommit_calls - before;
    fprintf(stderr, "%" PRIu64 " calls gave memory back, %" PRIu64 " MiB cached of %" PRIu64 " in use\n", calls,
            stats.cached_bytes / MIB, stats.lent_bytes / MIB);
    MUST(calls <= 1000);                                                   /* 4,690 where 64 MiB may stay */
    MUST(stats.cached_bytes <= most - used + most / 10 + (64 + 36) * MIB); /* the last are caches of runs */
}

static void churn_keeps_a_part_of_what_is_in_use(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    assert_child(body_churn);
}

/* ---- Bounded work ----------------------------------------------------------------------------------------- */

enum { SCATTERED = 4000, SYSTEM_CALLS_MAX = 64 };

static unsigned long system_calls(void)
{
    unsigned long calls = 0;
    for (enum os_call kind = 0; kind < OS_CALL_COUNT; kind++)
        calls += faults_calls(kind);
    return calls;
}

/* Thousands of free extents with runs between them, and the delay is over: the calls that follow give them back, each a
 * few. */
static void body_scattered(void *argument)
{
    (void)argument;
    static jdb_buf bufs[2 * SCATTERED];
    set_delay(1000); /* longer than the drops take, on a busy machine too */
    for (size_t i = 0; i < (size_t)2 * SCATTERED; i++)
        make_touched(&bufs[i], (size_t)17 * 4096);
    unsigned long most = 0;
    for (size_t i = 0; i < SCATTERED; i++) {
        const unsigned long before = system_calls();
        jdb_buf_drop(&bufs[2 * i]);
        most = system_calls() - before > most ? system_calls() - before : most;
    }
    const uint64_t cached = stats_now().cached_bytes;
    sleep_ms(1500);
    unsigned calls = 0;
    for (; calls < 4000 && stats_now().cached_bytes > MIB; calls++) {
        jdb_buf buf;
        const unsigned long before = system_calls();
        make_touched(&buf, 4096);
        jdb_buf_drop(&buf);
        most = system_calls() - before > most ? system_calls() - before : most;
    }
    fprintf(stderr, "%" PRIu64 " MiB went back on %u calls, of which none made more than %lu system calls\n",
            cached / MIB, calls, most);
    MUST(cached >= 200 * MIB && stats_now().cached_bytes <= MIB);
    MUST(most <= SYSTEM_CALLS_MAX);
}

static void no_call_gives_everything_back(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    assert_child(body_scattered);
}

static unsigned held_calls;
static unsigned free_calls;

/* Memory goes back: the heap's lock must be free. */
static int note_lock(enum os_call kind)
{
    if (kind != OS_CALL_MAP && kind != OS_CALL_ADVISE && kind != OS_CALL_RESIDENT)
        return 0;
    if (pthread_mutex_trylock(&jdb__heap.lock.mutex) != 0) {
        held_calls++;
        return 0;
    }
    pthread_mutex_unlock(&jdb__heap.lock.mutex);
    free_calls++;
    return 0;
}

/* A run of each kind lies in the zone while it is walked. */
static void body_without_lock(void *argument)
{
    (void)argument;
    jdb_buf bounded;
    jdb_buf plain;
    jdb_buf kept;
    uint64_t bytes = 0;
    MUST(jdb_buf_with_max(&bounded, 64 * MIB, 128 * MIB) == 0);
    MUST(jdb_buf_with_cap(&plain, 256 * MIB) == 0);
    MUST(jdb_buf_with_cap(&kept, 4096) == 0);
    memset(bounded.ptr, 1, 8 * MIB);
    memset(plain.ptr, 1, 4 * MIB);
    MUST(jdb_buf_set_len(&bounded, 4 * MIB) == 0);
    faults_set_hook(note_lock);
    const int err = jdb_resident_bytes(&bytes);
    MUST(err == 0 || err == -ENOTSUP); /* without mincore() of Linux */
    MUST(held_calls == 0 && (err != 0 || free_calls >= 5));
    MUST(err != 0 || (bytes >= 12 * MIB && bytes <= 13 * MIB));
    MUST(jdb_buf_shrink(&bounded) == 0 && bounded.cap == 4 * MIB);
    jdb_buf_drop(&plain);
    jdb_buf_drop(&bounded);
    jdb_trim();
    MUST(held_calls == 0 && free_calls >= (err == 0 ? 8 : 3));
    MUST(err != 0 || (jdb_resident_bytes(&bytes) == 0 && bytes <= MIB));
    faults_set_hook(NULL);
    jdb_buf_drop(&kept);
}

static void memory_goes_back_and_is_counted_without_the_lock(void **state)
{
    (void)state;
    assert_child(body_without_lock);
}

/* ---- Many threads ----------------------------------------------------------------------------------------- */

enum { CROWD = 400, CROWD_ROUNDS = 20, CROWD_LIVE = 8 };

static pthread_barrier_t crowd_turn;

/* Zeroed, aligned, and of each class up to 8 pages. */
static void crowd_round(uint8_t mark)
{
    jdb_buf bufs[CROWD_LIVE];
    for (size_t i = 0; i < CROWD_LIVE; i++) {
        const size_t size = (i + 1) * 4096;
        const size_t align = size & (~size + 1);
        if (i % 2 == 0)
            MUST(jdb_buf_zeroed(&bufs[i], size) == 0 && bufs[i].ptr[0] == 0 && bufs[i].ptr[size - 1] == 0);
        else
            MUST(jdb_buf_with_cap_aligned(&bufs[i], size, align) == 0 && (uintptr_t)bufs[i].ptr % align == 0);
        memset(bufs[i].ptr, mark, size);
    }
    for (size_t i = 0; i < CROWD_LIVE; i++) {
        MUST(bufs[i].ptr[0] == mark && bufs[i].ptr[bufs[i].cap - 1] == mark);
        jdb_buf_drop(&bufs[i]);
    }
}

static void *crowd_main(void *argument)
{
    for (unsigned round = 0; round < CROWD_ROUNDS; round++)
        crowd_round((uint8_t)(uintptr_t)argument);
    pthread_barrier_wait(&crowd_turn);
    pthread_barrier_wait(&crowd_turn);
    return NULL;
}

static void *work_alone(void *argument)
{
    crowd_round(1);
    *(uint32_t *)argument = stats_now().threads;
    return NULL;
}

/* What is cached does not grow with threads that sleep; when they have ended, there are caches for others. */
static void body_crowd(void *argument)
{
    (void)argument;
    static pthread_t ids[CROWD];
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t most = processors > 16 ? 4 * (uint64_t)processors : 64;
    uint32_t threads = 0;
    set_delay(200);
    crowd_round(1);
    MUST(pthread_barrier_init(&crowd_turn, NULL, CROWD + 1) == 0);
    for (uintptr_t i = 0; i < CROWD; i++)
        MUST(pthread_create(&ids[i], NULL, crowd_main, (void *)i) == 0);
    pthread_barrier_wait(&crowd_turn);
    MUST(stats_now().threads <= most);
    MUST(stats_now().lent_bytes == 0);
    idle_ms(1000);
    const jdb_page_stats stats = stats_now();
    fprintf(stderr, "%d threads, %" PRIu32 " with a cache, hold %" PRIu64 " MiB\n", CROWD, stats.threads,
            stats.cached_bytes / MIB);
    MUST(stats.cached_bytes <= most * MIB);
    pthread_barrier_wait(&crowd_turn);
    for (unsigned i = 0; i < CROWD; i++)
        MUST(pthread_join(ids[i], NULL) == 0);
    MUST(stats_now().threads == 1);
    MUST(pthread_create(&ids[0], NULL, work_alone, &threads) == 0 && pthread_join(ids[0], NULL) == 0);
    MUST(threads == 2);
}

static void threads_that_sleep_hold_little(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    assert_child(body_crowd);
}

/* The shared caches take nothing: runs go to the heap, and none is lost on the way. */
static void threads_without_a_cache_work_where_nothing_is_shared(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    dirty_bytes = 4096;
    assert_child(body_crowd);
    dirty_bytes = 0;
}

/* ---- The limit -------------------------------------------------------------------------------------------- */

/* A buffer that cannot move, with room behind it, and the limit used up: by a cache, which is emptied, or for good. */
static void body_pinned(void *argument)
{
    (void)argument;
    jdb_buf buf;
    jdb_buf between;
    jdb_buf cached;
    MUST(jdb_buf_with_cap(&buf, MIB) == 0 && jdb_buf_set_len(&buf, MIB) == 0);
    MUST(jdb_buf_with_cap(&between, 260 * KIB) == 0 && between.ptr == buf.ptr + buf.cap);
    MUST(jdb_buf_with_cap(&cached, 8 * MIB) == 0);
    jdb_buf_drop(&between);
    jdb_trim();
    jdb_buf_drop(&cached);
    const uint8_t *const ptr = buf.ptr;
    MUST(jdb_set_limit(9 * MIB, NULL, NULL) == 0);
    MUST(jdb_pin(buf.ptr, buf.cap) == 0);
    MUST(jdb_buf_reserve(&buf, 4096) == 0 && buf.ptr == ptr);
    MUST(jdb_buf_set_len(&buf, buf.cap) == 0);
    MUST(jdb_set_limit(MIB, NULL, NULL) == 0);
    MUST(jdb_buf_reserve(&buf, 4096) == -ENOMEM);
    MUST(jdb_set_limit(0, NULL, NULL) == 0);
}

static bool note_needed(void *context, uint64_t needed)
{
    *(uint64_t *)context = needed;
    return false;
}

/* Room behind the buffer, and the limit alone in the way: what is missing is what it grows by, not a second buffer. */
static void body_missing(void *argument)
{
    (void)argument;
    jdb_buf buf;
    uint64_t needed = 0;
    MUST(jdb_buf_with_cap(&buf, 64 * MIB) == 0 && jdb_buf_set_len(&buf, 64 * MIB) == 0);
    MUST(jdb_set_limit(64 * MIB, note_needed, &needed) == 0);
    MUST(jdb_buf_reserve(&buf, 8192) == -ENOMEM && needed == 8192 && buf.cap == 64 * MIB);
    MUST(jdb_set_limit(64 * MIB + 8192, note_needed, &needed) == 0);
    MUST(jdb_buf_reserve(&buf, 8192) == 0 && buf.cap == 64 * MIB + 8192);
    jdb_buf_drop(&buf);
}

static void the_callback_is_asked_for_what_growth_lacks(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    assert_child(body_missing);
}

static void a_pinned_buffer_at_the_limit_grows_when_caches_are_emptied(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    assert_child(body_pinned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts_fault_once_and_leave_nothing),
        cmocka_unit_test(churn_keeps_a_part_of_what_is_in_use),
        cmocka_unit_test(no_call_gives_everything_back),
        cmocka_unit_test(memory_goes_back_and_is_counted_without_the_lock),
        cmocka_unit_test(threads_that_sleep_hold_little),
        cmocka_unit_test(threads_without_a_cache_work_where_nothing_is_shared),
        cmocka_unit_test(the_callback_is_asked_for_what_growth_lacks),
        cmocka_unit_test(a_pinned_buffer_at_the_limit_grows_when_caches_are_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
