/* SPDX-License-Identifier: MIT
 *
 * revoke_test.c - under the limit, a thread takes what others keep in their caches: of threads that sleep, of threads that
 * are busy, and of one that stays in the middle of a call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "cost.h"
#include "faults.h"
#include "must.h"
#include "page/registry.h"
#include "random.h"
#include "tier.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

static void assert_child(void (*body)(void *), void *argument)
{
    static char text[4096];
    const int status = must_run_child(body, argument, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
    if (text[0] != '\0')
        print_message("%s", text);
}

/* ---- Inside --------------------------------------------------------------------------------------------------- */

/* Whatever becomes of a call, nobody waits for its thread afterwards. */
static void no_call_stays_inside(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, 65536, 1 << 20, 48 << 20, (size_t)5 << 40, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned way = 0; way < 4; way++) {
            jdb_buf buf = JDB_BUF_INIT;
            const int err = way == 0   ? jdb_buf_with_cap(&buf, sizes[i])
                            : way == 1 ? jdb_buf_zeroed(&buf, sizes[i])
                            : way == 2 ? jdb_buf_with_cap_aligned(&buf, sizes[i], 16384)
                                       : jdb_buf_with_max(&buf, 4096, sizes[i]);
            assert_int_equal(atomic_load(&jdb__here.is_inside), 0);
            if (err == 0)
                (void)jdb_buf_reserve(&buf, sizes[i]);
            assert_int_equal(atomic_load(&jdb__here.is_inside), 0);
            jdb_buf_drop(&buf);
            assert_int_equal(atomic_load(&jdb__here.is_inside), 0);
        }
}

/* Also where it made room under the limit. */
static void body_room(void *argument)
{
    (void)argument;
    jdb_buf kept;
    jdb_buf large;
    MUST(jdb_set_limit(8 * MIB, NULL, NULL) == 0);
    for (unsigned way = 0; way < 4; way++) {
        MUST(jdb_buf_with_cap(&kept, 4 * MIB) == 0);
        jdb_buf_drop(&kept);
        const int err = way == 0   ? jdb_buf_with_cap(&large, 6 * MIB)
                        : way == 1 ? jdb_buf_zeroed(&large, 6 * MIB)
                        : way == 2 ? jdb_buf_with_max(&large, 6 * MIB, 6 * MIB)
                                   : jdb_buf_with_cap(&large, 9 * MIB);
        MUST(err == (way < 3 ? 0 : -ENOMEM));
        MUST(atomic_load(&jdb__here.is_inside) == 0);
        jdb_buf_drop(&large);
        (void)jdb_trim();
        MUST(atomic_load(&jdb__here.is_inside) == 0);
    }
}

static void a_call_that_made_room_is_not_inside(void **state)
{
    (void)state;
    assert_child(body_room, NULL);
}

/* ---- Threads that sleep ----------------------------------------------------------------------------------- */

struct sleepers {
    pthread_barrier_t filled; /* met by all and the main thread: their caches are full */
    pthread_barrier_t woken;  /* they go on */
    pthread_t threads[300];
    size_t count;
};

enum { MIXED_MAX = 256 };

/* Buffers of mixed sizes, 4 MiB together, each marked, checked and freed. */
static void allocate_and_free_mixed(uint64_t random)
{
    jdb_buf bufs[MIXED_MAX];
    size_t count = 0;
    for (size_t total = 0; total < 4 * MIB && count < MIXED_MAX; total += bufs[count++].cap) {
        MUST(jdb_buf_with_cap(&bufs[count], random_log_uniform(&random, 4096, MIB)) == 0);
        memset(bufs[count].ptr, (int)count, 64);
    }
    while (count-- > 0) {
        MUST(bufs[count].ptr[0] == (uint8_t)count && bufs[count].ptr[63] == (uint8_t)count);
        jdb_buf_drop(&bufs[count]);
    }
}

/* What the thread took is in its cache, as far as the profile knows: others took the rest. */
static void assert_all_is_seen(void)
{
    const struct thread_cache *const cache = jdb__registry_here();
    MUST(cache == NULL || jdb__profile_here == (int64_t)jdb__thread_cache_pages(cache) * PROFILE_PAGE);
    cache_leave();
}

static void *fill_and_sleep(void *argument)
{
    struct sleepers *const sleepers = argument;
    allocate_and_free_mixed((uintptr_t)pthread_self());
    pthread_barrier_wait(&sleepers->filled);
    pthread_barrier_wait(&sleepers->woken);
    allocate_and_free_mixed((uintptr_t)pthread_self());
    if (sleepers->count <= 16)
        assert_all_is_seen();
    return NULL;
}

static void start_sleepers(struct sleepers *sleepers, size_t count)
{
    sleepers->count = count;
    MUST(pthread_barrier_init(&sleepers->filled, NULL, (unsigned)count + 1) == 0);
    MUST(pthread_barrier_init(&sleepers->woken, NULL, (unsigned)count + 1) == 0);
    for (size_t i = 0; i < count; i++)
        MUST(pthread_create(&sleepers->threads[i], NULL, fill_and_sleep, sleepers) == 0);
    pthread_barrier_wait(&sleepers->filled);
}

static void end_sleepers(struct sleepers *sleepers)
{
    pthread_barrier_wait(&sleepers->woken);
    for (size_t i = 0; i < sleepers->count; i++)
        MUST(pthread_join(sleepers->threads[i], NULL) == 0);
}

static struct sleepers sleepers;

/* As many as there are, of 1 MiB each. Returns how many. */
static size_t lend_all(jdb_buf *bufs, size_t most)
{
    size_t count = 0;
    while (count < most && jdb_buf_with_cap(&bufs[count], MIB) == 0)
        count++;
    return count;
}

static void drop_all(jdb_buf *bufs, size_t count)
{
    while (count-- > 0)
        jdb_buf_drop(&bufs[count]);
}

static void body_sleepers(void *argument)
{
    (void)argument;
    static jdb_buf bufs[1024];
    start_sleepers(&sleepers, tier_is_measurable() ? 300 : 100);
    MUST(jdb_set_limit(GIB, NULL, NULL) == 0);
    const uint64_t kept = stats_now().thread_bytes;
    const size_t count = lend_all(bufs, 1024);
    fprintf(stderr, "%zu threads keep %" PRIu64 " MiB; of a limit of 1,024 MiB are lent: %zu\n", sleepers.count,
            kept / MIB, count);
    MUST(count >= 1020 && stats_now().lent_bytes == count * MIB);
    drop_all(bufs, count);
    end_sleepers(&sleepers);
    MUST(stats_now().lent_bytes == 0);
}

static void limit_takes_what_threads_that_sleep_keep(void **state)
{
    (void)state;
    assert_child(body_sleepers, NULL);
}

static void body_counts(void *argument)
{
    (void)argument;
    start_sleepers(&sleepers, 16);
    const uint64_t kept = stats_now().thread_bytes;
    MUST(kept > 8 * MIB || TIER_CHECKED);
    MUST(jdb__registry_take_all() * 4096 == kept);
    MUST(stats_now().thread_bytes == 0 && stats_now().lent_bytes == 0 && jdb__registry_take_all() == 0);
    end_sleepers(&sleepers);
}

static void what_is_taken_is_counted(void **state)
{
    (void)state;
    assert_child(body_counts, NULL);
}

static uint64_t asked_bytes;
static unsigned asked_count;

static bool note_asked(void *context, uint64_t needed)
{
    MUST(atomic_load(&jdb__here.is_inside) == 0); /* other threads may take what this one keeps */
    jdb_buf_drop(context);
    asked_bytes += needed;
    asked_count++;
    return true;
}

/* Once, after the caches are empty, for the rest. */
static void body_callback(void *argument)
{
    (void)argument;
    jdb_buf spare;
    jdb_buf large;
    start_sleepers(&sleepers, 16);
    MUST(jdb_buf_with_cap(&spare, 24 * MIB) == 0);
    MUST(stats_now().thread_bytes > 8 * MIB || TIER_CHECKED);
    MUST(jdb_set_limit(64 * MIB, note_asked, &spare) == 0);
    MUST(jdb_buf_with_cap(&large, 40 * MIB) == 0 && asked_count == 0);
    jdb_buf_drop(&large);
    MUST(jdb_buf_with_cap(&large, 50 * MIB) == 0);
    MUST(asked_count == 1 && asked_bytes == 10 * MIB && spare.ptr == NULL);
    jdb_buf_drop(&large);
    MUST(jdb_set_limit(0, NULL, NULL) == 0);
    end_sleepers(&sleepers);
    MUST(stats_now().lent_bytes == 0);
}

static void callback_is_asked_for_what_no_thread_keeps(void **state)
{
    (void)state;
    assert_child(body_callback, NULL);
}

static void *lend_the_limit(void *argument)
{
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, *(const size_t *)argument) == 0);
    jdb_buf_drop(&buf);
    jdb_thread_flush();
    return NULL;
}

/* The thread that forks has lost its cache, and does not know it yet. */
static void body_fork(void *argument)
{
    (void)argument;
    size_t size = 16 * MIB;
    pthread_t thread;
    jdb_buf buf;
    allocate_and_free_mixed(1);
    MUST(stats_now().thread_bytes > 0 || TIER_CHECKED);
    MUST(jdb_set_limit(size, NULL, NULL) == 0);
    MUST(pthread_create(&thread, NULL, lend_the_limit, &size) == 0 && pthread_join(thread, NULL) == 0);
    const uint64_t kept = stats_now().thread_bytes;
    const pid_t child = fork();
    MUST(child >= 0 && kept == 0);
    MUST(jdb_buf_with_cap(&buf, size) == 0);
    jdb_buf_drop(&buf);
    allocate_and_free_mixed(2);
    MUST(stats_now().lent_bytes == 0);
    if (child == 0)
        _exit(0);
    int status = 0;
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void a_thread_that_lost_its_cache_may_fork(void **state)
{
    (void)state;
    assert_child(body_fork, NULL);
}

/* ---- Threads that are busy -------------------------------------------------------------------------------- */

enum { LIVE_COUNT = 64 };

struct worker {
    pthread_t thread;
    uint64_t random;
    uint64_t live_max; /* bytes */
    size_t size_max;
    uint64_t operations;
};

static atomic_bool workers_end;

/* Allocates, marks, checks and frees. Never refused. */
static void *work(void *argument)
{
    struct worker *const worker = argument;
    jdb_buf bufs[LIVE_COUNT] = {{0}};
    uint64_t live = 0;
    for (; !atomic_load_explicit(&workers_end, memory_order_relaxed); worker->operations++) {
        jdb_buf *const buf = &bufs[random_below(&worker->random, LIVE_COUNT)];
        if (buf->ptr != NULL) {
            MUST(*(uint64_t *)(void *)buf->ptr == (uintptr_t)buf && buf->ptr[buf->cap - 1] == (uint8_t)buf->cap);
            live -= buf->cap;
            jdb_buf_drop(buf);
        }
        const size_t size = random_log_uniform(&worker->random, 4096, worker->size_max);
        if (live + size + 4096 > worker->live_max)
            continue;
        MUST(jdb_buf_with_cap(buf, size) == 0);
        *(uint64_t *)(void *)buf->ptr = (uintptr_t)buf;
        buf->ptr[buf->cap - 1] = (uint8_t)buf->cap;
        live += buf->cap;
    }
    drop_all(bufs, LIVE_COUNT);
    return NULL;
}

static void start_workers(struct worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
}

static void end_workers(struct worker *workers, size_t count)
{
    atomic_store(&workers_end, true);
    for (size_t i = 0; i < count; i++) {
        MUST(pthread_join(workers[i].thread, NULL) == 0);
        fprintf(stderr, "worker %zu: %" PRIu64 " operations\n", i, workers[i].operations);
    }
    MUST(stats_now().lent_bytes == 0);
}

/* Each of them would keep more in its cache than there is. */
static void body_half_is_free(void *argument)
{
    const uint64_t seed = random_seed("busy");
    struct worker workers[2] = {{.random = seed, .live_max = 8 * MIB, .size_max = MIB},
                                {.random = seed + 1, .live_max = 8 * MIB, .size_max = MIB}};
    MUST(jdb_set_limit(32 * MIB, NULL, NULL) == 0);
    start_workers(workers, 2);
    sleep_ms(*(const unsigned *)argument);
    end_workers(workers, 2);
}

static unsigned busy_time_ms(void)
{
    return (unsigned)tier_pick(1000, 5000, 60000);
}

static void busy_threads_are_not_refused_what_is_free(void **state)
{
    (void)state;
    unsigned time_ms = busy_time_ms();
    assert_child(body_half_is_free, &time_ms);
}

/* The workers' fast paths meet a thread that takes their caches all the time. */
static void body_taker(void *argument)
{
    const uint64_t seed = random_seed("taken");
    const uint64_t end = cost_now_ns() + *(const unsigned *)argument * UINT64_C(1000000);
    struct worker workers[3];
    unsigned tries = 0;
    jdb_buf buf;
    for (size_t i = 0; i < 3; i++)
        workers[i] = (struct worker){.random = seed + i, .live_max = MIB, .size_max = 16 * KIB};
    MUST(jdb_set_limit(64 * MIB, NULL, NULL) == 0);
    start_workers(workers, 3);
    for (; cost_now_ns() < end; tries++)
        MUST(jdb_buf_with_cap(&buf, 65 * MIB) == -ENOMEM);
    fprintf(stderr, "caches taken %u times\n", tries);
    end_workers(workers, 3);
}

static void fast_paths_meet_a_thread_that_takes_their_caches(void **state)
{
    (void)state;
    unsigned time_ms = busy_time_ms();
    assert_child(body_taker, &time_ms);
}

/* Frees into hot slots, which a thread does while it is not inside. */
static void *free_into_hot_slots(void *argument)
{
    (void)argument;
    while (!atomic_load_explicit(&workers_end, memory_order_relaxed)) {
        jdb_buf bufs[3];
        for (size_t i = 0; i < 3; i++)
            MUST(jdb_buf_with_cap(&bufs[i], (i + 1) * 64 * KIB) == 0);
        drop_all(bufs, 3);
    }
    assert_all_is_seen();
    return NULL;
}

static void body_hot_slots(void *argument)
{
    const uint64_t end = cost_now_ns() + *(const unsigned *)argument * UINT64_C(1000000);
    pthread_t threads[3];
    jdb_buf buf;
    MUST(jdb_set_limit(64 * MIB, NULL, NULL) == 0);
    for (size_t i = 0; i < 3; i++)
        MUST(pthread_create(&threads[i], NULL, free_into_hot_slots, NULL) == 0);
    while (cost_now_ns() < end)
        MUST(jdb_buf_with_cap(&buf, 65 * MIB) == -ENOMEM);
    atomic_store(&workers_end, true);
    for (size_t i = 0; i < 3; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
}

static void what_is_taken_beside_frees_is_counted(void **state)
{
    (void)state;
    unsigned time_ms = busy_time_ms();
    assert_child(body_hot_slots, &time_ms);
}

/* ---- A thread in the middle of a call --------------------------------------------------------------------- */

static pthread_barrier_t held_begins;
static atomic_bool held_ends;
static _Thread_local bool is_to_be_held;

/* Before the first lock of a flush. */
static void hold(const void *lock)
{
    (void)lock;
    if (!is_to_be_held)
        return;
    is_to_be_held = false;
    pthread_barrier_wait(&held_begins);
    while (!atomic_load(&held_ends))
        sleep_ms(1);
}

static void *stay_inside(void *argument)
{
    (void)argument;
    allocate_and_free_mixed(3);
    is_to_be_held = true;
    jdb_thread_flush();
    allocate_and_free_mixed(4);
    return NULL;
}

static void body_held(void *argument)
{
    (void)argument;
    pthread_t thread;
    jdb_buf buf;
    MUST(pthread_barrier_init(&held_begins, NULL, 2) == 0);
    faults_set_wanted_hook(hold);
    MUST(pthread_create(&thread, NULL, stay_inside, NULL) == 0);
    pthread_barrier_wait(&held_begins);
    MUST(jdb_set_limit(16 * MIB, NULL, NULL) == 0);
    const uint64_t kept = stats_now().thread_bytes;
    const uint64_t begin = cost_now_ns();
    MUST(jdb_buf_with_cap(&buf, 16 * MIB) == -ENOMEM);
    MUST(kept > 0 && stats_now().thread_bytes == kept);
    const uint64_t time_ms = (cost_now_ns() - begin) / 1000000;
    fprintf(stderr, "refused after %" PRIu64 " ms\n", time_ms);
    MUST(time_ms >= 90 && (time_ms < 1000 || !tier_is_measurable()));
    atomic_store(&held_ends, true);
    MUST(pthread_join(thread, NULL) == 0);
    MUST(jdb_buf_with_cap(&buf, 16 * MIB) == 0);
    jdb_buf_drop(&buf);
    MUST(stats_now().lent_bytes == 0);
}

static void a_thread_inside_of_a_call_is_not_waited_for_long(void **state)
{
    (void)state;
    if (TIER_CHECKED) /* no thread has a cache */
        skip();
    assert_child(body_held, NULL);
}

/* ---- Without membarrier ----------------------------------------------------------------------------------- */

static void body_no_membarrier(void *argument)
{
    (void)argument;
    static jdb_buf bufs[64];
    start_sleepers(&sleepers, 4);
    faults_arm_all(OS_CALL_BARRIER, 0, -ENOSYS);
    MUST(jdb_set_limit(64 * MIB, NULL, NULL) == 0);
    const uint64_t kept = stats_now().thread_bytes;
    const size_t count = lend_all(bufs, 64);
    MUST(count >= 1 && count * MIB + kept <= 64 * MIB && stats_now().thread_bytes <= kept);
    MUST(faults_disarm() || TIER_CHECKED);
    drop_all(bufs, count);
    end_sleepers(&sleepers);
    MUST(stats_now().lent_bytes == 0);
}

static void without_membarrier_others_keep_their_caches(void **state)
{
    (void)state;
    assert_child(body_no_membarrier, NULL);
}

int main(void)
{
    cmocka_set_test_filter(getenv("JDB_TEST_ONLY"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_made_room_is_not_inside),
        cmocka_unit_test(limit_takes_what_threads_that_sleep_keep),
        cmocka_unit_test(what_is_taken_is_counted),
        cmocka_unit_test(callback_is_asked_for_what_no_thread_keeps),
        cmocka_unit_test(a_thread_that_lost_its_cache_may_fork),
        cmocka_unit_test(busy_threads_are_not_refused_what_is_free),
        cmocka_unit_test(fast_paths_meet_a_thread_that_takes_their_caches),
        cmocka_unit_test(what_is_taken_beside_frees_is_counted),
        cmocka_unit_test(a_thread_inside_of_a_call_is_not_waited_for_long),
        cmocka_unit_test(without_membarrier_others_keep_their_caches),
        cmocka_unit_test(
            no_call_stays_inside), /* last: children of this process take over what it leaves in its cache */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
