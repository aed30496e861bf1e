/* SPDX-License-Identifier: MIT
 *
 * stress_test.c - hours of a busy program, compressed: churn, producers and consumers, forks, threads that come and go,
 * and calls when a thread or the process is already ending. The long tier is the real measure, and takes hours;
 * JDB_TEST_ONLY=PATTERN runs the cases whose names match alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "cost.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
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

/* ---- Churn ------------------------------------------------------------------------------------------------ */

enum { THREAD_COUNT = 4, SLOT_MAX = 16384 };

struct slot {
    jdb_buf buf;
    uint64_t mark; /* stands in the first and in the last word of the buffer */
};

struct worker {
    pthread_barrier_t *barrier; /* of the workers and of who reports: met at the end of a round and after its report */
    unsigned rounds;
    uint64_t random;
    uint64_t operations; /* of a round */
    uint64_t live_max;
    uint64_t live;
    uint64_t checked;
    size_t size_max;
    bool touches_all; /* each page, not only the first and the last */
    struct slot *slots;
};

static uint8_t *last_word(const jdb_buf *buf)
{
    return buf->ptr + buf->cap - sizeof(uint64_t);
}

static void empty_slot(struct worker *worker, struct slot *slot)
{
    if (slot->buf.ptr == NULL)
        return;
    MUST(memcmp(slot->buf.ptr, &slot->mark, sizeof slot->mark) == 0);
    MUST(memcmp(last_word(&slot->buf), &slot->mark, sizeof slot->mark) == 0);
    worker->checked++;
    worker->live -= slot->buf.cap;
    jdb_buf_drop(&slot->buf);
}

static void fill_slot(struct worker *worker, struct slot *slot)
{
    const size_t size = random_log_uniform(&worker->random, 4096, worker->size_max);
    const bool zeroed = random_below(&worker->random, 16) == 0;
    MUST((zeroed ? jdb_buf_zeroed : jdb_buf_with_cap)(&slot->buf, size) == 0);
    if (zeroed)
        MUST(slot->buf.ptr[0] == 0 && *last_word(&slot->buf) == 0 && slot->buf.ptr[slot->buf.cap / 2] == 0);
    if (worker->touches_all)
        memset(slot->buf.ptr, 1, slot->buf.cap);
    slot->mark = random_next(&worker->random);
    memcpy(slot->buf.ptr, &slot->mark, sizeof slot->mark);
    memcpy(last_word(&slot->buf), &slot->mark, sizeof slot->mark);
    worker->live += slot->buf.cap;
}

/* One operation is a make or a drop. The live set breathes around its most. */
static void churn_round(struct worker *worker)
{
    for (uint64_t i = 0; i < worker->operations; i += 2) {
        struct slot *const slot = &worker->slots[random_below(&worker->random, SLOT_MAX)];
        empty_slot(worker, slot);
        while (worker->live + 16 * MIB > worker->live_max)
            empty_slot(worker, &worker->slots[random_below(&worker->random, SLOT_MAX)]);
        fill_slot(worker, slot);
    }
}

static void *churn(void *argument)
{
    struct worker *const worker = argument;
    for (unsigned round = 0; round < worker->rounds; round++) {
        churn_round(worker);
        pthread_barrier_wait(worker->barrier);
        pthread_barrier_wait(worker->barrier);
    }
    return NULL;
}

struct churn {
    unsigned rounds;     /* at the end of each, memory is looked at and the threads wait */
    uint64_t operations; /* of all rounds */
    uint64_t live_max;
    uint64_t seed;
    size_t size_max;
    bool touches_all;
};

/* Default options keep this much at most: free runs, shared caches, four threads. */
#define WARM_MAX (64 * MIB + 64 * MIB + 4 * 36 * MIB)

static void report_churn(const struct worker *workers, unsigned rounds, double seconds)
{
    uint64_t resident = 0;
    MUST(jdb_resident_bytes(&resident) == 0);
    uint64_t live = 0;
    uint64_t checked = 0;
    uint64_t operations = 0;
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        live += workers[i].live;
        checked += workers[i].checked;
        operations += workers[i].operations * rounds;
    }
    const jdb_page_stats stats = stats_now();
    printf("churn: %" PRIu64 " operations in %.1f s, %" PRIu64 " buffers checked, live %" PRIu64
           " MiB, resident %" PRIu64 " MiB, cached %" PRIu64 " MiB, mapped %" PRIu64 " MiB, bookkeeping %" PRIu64
           " KiB\n",
           operations, seconds, checked, live / MIB, resident / MIB, stats.cached_bytes / MIB, stats.mapped_bytes / MIB,
           stats.bookkeeping_bytes / KIB);
    fflush(stdout); /* it says how far it is: stderr of a child is read at its end */
    MUST(stats.lent_bytes == live);
    if (tier_is_measurable())
        MUST(resident <= live + (live / 10 > WARM_MAX ? live / 10 : WARM_MAX));
}

static void body_churn(void *argument)
{
    const struct churn *const plan = argument;
    struct worker workers[THREAD_COUNT];
    pthread_t threads[THREAD_COUNT];
    pthread_barrier_t barrier;
    MUST(pthread_barrier_init(&barrier, NULL, THREAD_COUNT + 1) == 0);
    const uint64_t start = cost_now_ns();
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        workers[i] = (struct worker){.barrier = &barrier,
                                     .rounds = plan->rounds,
                                     .random = plan->seed + i,
                                     .operations = plan->operations / plan->rounds / THREAD_COUNT,
                                     .live_max = plan->live_max / THREAD_COUNT,
                                     .size_max = plan->size_max,
                                     .touches_all = plan->touches_all,
                                     .slots = calloc(SLOT_MAX, sizeof(struct slot))};
        MUST(workers[i].slots != NULL);
        MUST(pthread_create(&threads[i], NULL, churn, &workers[i]) == 0);
    }
    for (unsigned round = 1; round <= plan->rounds; round++) {
        pthread_barrier_wait(&barrier);
        report_churn(workers, round, (double)(cost_now_ns() - start) / 1e9);
        pthread_barrier_wait(&barrier);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    MUST(pthread_barrier_destroy(&barrier) == 0);
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        for (size_t k = 0; k < SLOT_MAX; k++)
            empty_slot(&workers[i], &workers[i].slots[k]);
        MUST(workers[i].live == 0);
        free(workers[i].slots);
    }
    MUST(stats_now().lent_bytes == 0);
}

static void churn_stays_within_its_live_bytes(void **state)
{
    (void)state;
    struct churn plan = {
        .rounds = (unsigned)tier_pick(1, 2, 100),
        .operations = tier_pick(40000, 1000000, 1000000000),
        .live_max = tier_pick(512 * MIB, 2 * GIB, 2 * GIB),
        .seed = random_seed("churn"),
        .size_max = 16 * MIB,
    };
    assert_child(body_churn, &plan);
}

static void memory_used_to_the_last_byte_stays_within_its_live_bytes(void **state)
{
    (void)state;
    struct churn plan = {
        .rounds = 1,
        .operations = tier_pick(20000, 400000, 20000000),
        .live_max = tier_pick(128 * MIB, 512 * MIB, 2 * GIB),
        .seed = random_seed("churn, all touched"),
        .size_max = MIB,
        .touches_all = true,
    };
    assert_child(body_churn, &plan);
}

/* ---- Producer and consumer -------------------------------------------------------------------------------- */

enum { RING_SIZE = 1024 };

struct ring {
    _Atomic uint64_t written;
    _Atomic uint64_t read;
    uint64_t total;
    jdb_buf bufs[RING_SIZE];
    uint64_t mapped_early; /* after the first tenth */
    uint64_t cached_most;
};

static void *consume(void *argument)
{
    struct ring *const ring = argument;
    for (uint64_t i = 0; i < ring->total; i++) {
        while (atomic_load_explicit(&ring->written, memory_order_acquire) == i)
            sched_yield();
        jdb_buf *const buf = &ring->bufs[i % RING_SIZE];
        uint64_t mark = 0;
        memcpy(&mark, buf->ptr, sizeof mark);
        MUST(mark == i);
        jdb_buf_drop(buf);
        atomic_store_explicit(&ring->read, i + 1, memory_order_release);
    }
    return NULL;
}

static void produce(struct ring *ring, uint64_t *random)
{
    for (uint64_t i = 0; i < ring->total; i++) {
        while (i - atomic_load_explicit(&ring->read, memory_order_acquire) == RING_SIZE)
            sched_yield();
        jdb_buf *const buf = &ring->bufs[i % RING_SIZE];
        const size_t pages = 1 + (random_below(random, 8) == 0 ? random_below(random, 40) : 0);
        MUST(jdb_buf_with_cap(buf, pages * 4096) == 0);
        memcpy(buf->ptr, &i, sizeof i);
        atomic_store_explicit(&ring->written, i + 1, memory_order_release);
        if (i == ring->total / 10)
            ring->mapped_early = stats_now().mapped_bytes;
        if (i % 4096 == 0) {
            const uint64_t cached = stats_now().cached_bytes;
            ring->cached_most = cached > ring->cached_most ? cached : ring->cached_most;
        }
    }
}

static void body_producer_and_consumer(void *argument)
{
    static struct ring ring;
    ring.total = *(const uint64_t *)argument;
    uint64_t random = 1;
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, consume, &ring) == 0);
    produce(&ring, &random);
    MUST(pthread_join(thread, NULL) == 0);
    const jdb_page_stats stats = stats_now();
    fprintf(stderr,
            "%" PRIu64 " buffers handed on: mapped %" PRIu64 " KiB, after a tenth %" PRIu64
            " KiB; cached at most %" PRIu64 " KiB\n",
            ring.total, stats.mapped_bytes / KIB, ring.mapped_early / KIB, ring.cached_most / KIB);
    MUST(stats.lent_bytes == 0);
    MUST(stats.mapped_bytes <= ring.mapped_early + 32 * MIB);
    MUST(ring.cached_most <= 160 * MIB);
}

static void producer_and_consumer_stay_flat(void **state)
{
    (void)state;
    uint64_t total = tier_pick(100000, 3000000, 100000000);
    assert_child(body_producer_and_consumer, &total);
}

/* ---- Fork ------------------------------------------------------------------------------------------------- */

static atomic_bool is_over;

static void *allocate_until_over(void *argument)
{
    uint64_t random = (uintptr_t)argument;
    jdb_buf bufs[32] = {{0}};
    while (!atomic_load(&is_over)) {
        jdb_buf *const buf = &bufs[random_below(&random, 32)];
        jdb_buf_drop(buf);
        MUST(jdb_buf_with_cap(buf, random_log_uniform(&random, 4096, MIB)) == 0);
        buf->ptr[0] = (uint8_t)random;
    }
    for (size_t i = 0; i < 32; i++)
        jdb_buf_drop(&bufs[i]);
    return NULL;
}

/* What a child of a program with many threads can do: all of it, many times over what caches hold. */
static void work_in_child(jdb_buf *inherited)
{
    MUST(inherited->ptr[0] == 0x5a && inherited->ptr[inherited->cap - 1] == 0x5a);
    jdb_buf_drop(inherited);
    jdb_buf bufs[200];
    for (size_t i = 0; i < 200; i++) {
        MUST(jdb_buf_zeroed(&bufs[i], (1 + i % 33) * 4096) == 0);
        MUST(bufs[i].ptr[0] == 0 && bufs[i].ptr[bufs[i].cap - 1] == 0);
        bufs[i].ptr[0] = bufs[i].ptr[bufs[i].cap - 1] = (uint8_t)i;
    }
    for (size_t i = 0; i < 200; i++) {
        MUST(bufs[i].ptr[0] == (uint8_t)i && bufs[i].ptr[bufs[i].cap - 1] == (uint8_t)i);
        MUST(jdb_buf_reserve(&bufs[i], 2 * bufs[i].cap) == 0);
        jdb_buf_drop(&bufs[i]);
    }
    jdb_thread_flush();
    jdb_trim();
    _exit(0);
}

/* Wait for the child; one that hangs is killed, and fails. */
static void wait_for_child(pid_t child)
{
    for (int i = 0; i < 60000; i++) {
        int status = 0;
        const pid_t ended = waitpid(child, &status, WNOHANG);
        MUST(ended >= 0);
        if (ended == child) {
            MUST(status == 0);
            return;
        }
        const struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    const bool has_ended_in_time = false;
    MUST(has_ended_in_time);
}

static void body_forks(void *argument)
{
    const uint64_t forks = *(const uint64_t *)argument;
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        MUST(pthread_create(&threads[i], NULL, allocate_until_over, (void *)(i + 1)) == 0);
    for (uint64_t i = 0; i < forks; i++) {
        jdb_buf mine;
        MUST(jdb_buf_with_cap(&mine, (i % 20 + 1) * 4096) == 0);
        memset(mine.ptr, 0x5a, mine.cap);
        const pid_t child = fork();
        MUST(child >= 0);
        if (child == 0)
            work_in_child(&mine);
        wait_for_child(child);
        MUST(mine.ptr[0] == 0x5a && mine.ptr[mine.cap - 1] == 0x5a);
        jdb_buf_drop(&mine);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < 8; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    MUST(stats_now().lent_bytes == 0);
}

static void children_of_a_busy_program_can_allocate(void **state)
{
    (void)state;
    if (TIER_SANITIZED) /* fork_test.c */
        skip();
    uint64_t forks = TIER_CHECKED ? 5 : tier_pick(10, 40, 1000);
    assert_child(body_forks, &forks);
}

/* ---- Threads that come and go ----------------------------------------------------------------------------- */

static void *live_a_short_life(void *argument)
{
    const uintptr_t number = (uintptr_t)argument;
    jdb_buf bufs[20];
    for (size_t i = 0; i < 20; i++) {
        MUST(jdb_buf_with_cap(&bufs[i], (1 + (i * number) % 24) * 4096) == 0);
        bufs[i].ptr[0] = 1;
    }
    for (size_t i = 0; i < 20; i++)
        jdb_buf_drop(&bufs[i]);
    return NULL;
}

static void run_threads(uint64_t count)
{
    for (uint64_t i = 0; i < count; i += 4) {
        pthread_t threads[4];
        for (size_t k = 0; k < 4; k++)
            MUST(pthread_create(&threads[k], NULL, live_a_short_life, (void *)(uintptr_t)(i + k)) == 0);
        for (size_t k = 0; k < 4; k++)
            MUST(pthread_join(threads[k], NULL) == 0);
    }
}

static void body_threads(void *argument)
{
    const uint64_t count = *(const uint64_t *)argument;
    run_threads(count / 10);
    const jdb_page_stats early = stats_now();
    const uint64_t resident_early = cost_resident_bytes();
    run_threads(count);
    const jdb_page_stats late = stats_now();
    const uint64_t resident_late = cost_resident_bytes();
    fprintf(stderr,
            "%" PRIu64 " threads: mapped %" PRIu64 " to %" PRIu64 " KiB, resident %" PRIu64 " to %" PRIu64 " KiB\n",
            count, early.mapped_bytes / KIB, late.mapped_bytes / KIB, resident_early / KIB, resident_late / KIB);
    MUST(late.lent_bytes == 0);
    MUST(late.threads <= early.threads);
    MUST(late.mapped_bytes <= early.mapped_bytes + 8 * MIB);
    MUST(late.bookkeeping_bytes <= early.bookkeeping_bytes + MIB);
    if (tier_is_measurable())
        MUST(resident_late <= resident_early + 8 * MIB);
}

static void threads_that_end_leave_nothing(void **state)
{
    (void)state;
    uint64_t count = tier_pick(1000, 20000, 100000);
    assert_child(body_threads, &count);
}

/* ---- At the end ------------------------------------------------------------------------------------------- */

static pthread_key_t keys[3];

/* Runs again after the library's own clean-up of the thread: each call sets the key anew, three times. */
static void use_in_destructor(void *argument)
{
    jdb_buf buf;
    jdb_buf large;
    MUST(jdb_buf_zeroed(&buf, 8192) == 0);
    MUST(jdb_buf_with_cap(&large, 2 * MIB) == 0);
    MUST(buf.ptr[0] == 0 && buf.ptr[8191] == 0);
    memset(buf.ptr, 0xff, buf.cap);
    large.ptr[0] = 1;
    jdb_buf_drop(&buf);
    jdb_buf_drop(&large);
    jdb_thread_flush();
    const uintptr_t round = (uintptr_t)argument;
    const uintptr_t key = round / 16;
    if (round % 16 < 3)
        pthread_setspecific(keys[key], (void *)(round + 1));
}

static void *set_keys(void *argument)
{
    const bool used_before = argument != NULL;
    jdb_buf buf = JDB_BUF_INIT;
    if (used_before)
        MUST(jdb_buf_page(&buf) == 0);
    for (uintptr_t i = 0; i < 3; i++)
        MUST(pthread_setspecific(keys[i], (void *)(i * 16 + 1)) == 0);
    jdb_buf_drop(&buf);
    return NULL;
}

static void body_destructors(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < 2; i++)
        MUST(pthread_key_create(&keys[i], use_in_destructor) == 0);
    jdb_buf first;
    MUST(jdb_buf_page(&first) == 0);
    MUST(pthread_key_create(&keys[2], use_in_destructor) == 0);
    for (uintptr_t i = 0; i < 200; i++) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, set_keys, (void *)(i % 2)) == 0);
        MUST(pthread_join(thread, NULL) == 0);
    }
    jdb_buf_drop(&first);
    MUST(stats_now().lent_bytes == 0);
}

static void destructors_of_threads_may_allocate(void **state)
{
    (void)state;
    assert_child(body_destructors, NULL);
}

static jdb_buf kept;

static void use_at_exit(void)
{
    MUST(kept.ptr[0] == 7);
    MUST(jdb_buf_reserve(&kept, MIB) == 0);
    MUST(kept.ptr[0] == 7);
    jdb_buf_drop(&kept);
    jdb_buf buf;
    MUST(jdb_buf_zeroed(&buf, 100000) == 0);
    MUST(buf.ptr[99999] == 0);
    jdb_buf_drop(&buf);
    jdb_trim();
    fprintf(stderr, "used at exit\n");
}

static void body_exit(void *argument)
{
    (void)argument;
    MUST(atexit(use_at_exit) == 0);
    MUST(jdb_buf_page(&kept) == 0);
    kept.ptr[0] = 7;
    exit(0);
}

static void handlers_at_exit_may_allocate(void **state)
{
    (void)state;
    char text[512];
    const int status = must_run_child(body_exit, NULL, text, sizeof text);
    if (status != 0 || strstr(text, "used at exit") == NULL)
        fail_msg("status %d: %s", status, text);
}

/* Threads go on while the main thread leaves and the process takes itself apart. */
static void body_exit_with_threads(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < 4; i++) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, allocate_until_over, (void *)(i + 1)) == 0);
        pthread_detach(thread);
    }
    MUST(atexit(use_at_exit) == 0);
    MUST(jdb_buf_page(&kept) == 0);
    kept.ptr[0] = 7;
    const struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
    exit(0);
}

static void process_may_exit_while_threads_allocate(void **state)
{
    (void)state;
    const uint64_t rounds = tier_pick(5, 50, 500);
    for (uint64_t i = 0; i < rounds; i++) {
        char text[512];
        const int status = must_run_child(body_exit_with_threads, NULL, text, sizeof text);
        if (status != 0)
            fail_msg("status %d: %s", status, text);
    }
}

int main(void)
{
    cmocka_set_test_filter(getenv("JDB_TEST_ONLY"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(churn_stays_within_its_live_bytes),
        cmocka_unit_test(memory_used_to_the_last_byte_stays_within_its_live_bytes),
        cmocka_unit_test(producer_and_consumer_stay_flat),
        cmocka_unit_test(children_of_a_busy_program_can_allocate),
        cmocka_unit_test(threads_that_end_leave_nothing),
        cmocka_unit_test(destructors_of_threads_may_allocate),
        cmocka_unit_test(handlers_at_exit_may_allocate),
        cmocka_unit_test(process_may_exit_while_threads_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
