/* SPDX-License-Identifier: MIT
 *
 * bounds_test.c - what one call may cost others: how many calls to the system it makes, and how long it holds a lock. Threads
 * do everything that buffers can, under several options; a histogram of both is printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* Goals: calls to the system in one call of the library, and the time that a lock is held, of the thread's processor time. */
#define SYSTEM_CALLS_MAX 64
#define SYSTEM_CALLS_MAX_GROW 640 /* growth that moves the page tables of many mappings, which it looks for */
#define LOCK_NS_MAX 1000000

/* ---- Histograms ------------------------------------------------------------------------------------------- */

enum { BUCKETS = 32 };

/* Bucket n: values below 2^n, and not below half of that. */
struct histogram {
    _Atomic uint64_t counts[BUCKETS];
    _Atomic uint64_t most;
};

static void histogram_add(struct histogram *histogram, uint64_t value)
{
    unsigned bucket = 0;
    while (bucket < BUCKETS - 1 && value >> bucket != 0)
        bucket++;
    atomic_fetch_add(&histogram->counts[bucket], 1);
    uint64_t most = atomic_load(&histogram->most);
    while (value > most && !atomic_compare_exchange_weak(&histogram->most, &most, value))
        continue;
}

static void histogram_print(const struct histogram *histogram, const char *title)
{
    printf("%-28s", title);
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        const uint64_t count = atomic_load(&histogram->counts[bucket]);
        if (count > 0)
            printf(" <%llu:%llu", 1ull << bucket, (unsigned long long)count);
    }
    printf("  most %llu\n", (unsigned long long)atomic_load(&histogram->most));
}

/* ---- What a call does ------------------------------------------------------------------------------------- */

enum call { CALL_ALLOC, CALL_ZEROED, CALL_MAX, CALL_GROW, CALL_SHRINK, CALL_FREE, CALL_FLUSH, CALL_STATS, CALL_COUNT };

static const char *const call_names[CALL_COUNT] = {"with_cap", "zeroed", "with_max",     "reserve",
                                                   "shrink",   "drop",   "thread_flush", "get_page_stats"};

static struct histogram system_calls[CALL_COUNT];
static struct histogram lock_ns;
static _Thread_local unsigned calls_here;
static _Thread_local uint64_t lock_since;
static _Thread_local bool is_counting;

static uint64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int count_call(enum os_call kind)
{
    calls_here += kind != OS_CALL_ALLOC; /* malloc */
    return 0;
}

/* Locks of pages do not nest. */
static void count_lock(bool is_held)
{
    if (!is_counting)
        return;
    if (is_held)
        lock_since = thread_ns();
    else
        histogram_add(&lock_ns, thread_ns() - lock_since);
}

static void begin(void)
{
    calls_here = 0;
    is_counting = true;
}

static void end(enum call call)
{
    is_counting = false;
    histogram_add(&system_calls[call], calls_here);
}

/* ---- Work ------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, LIVE = 96, PAGES_MAX = 4096 };

static uint64_t step_count;

static void touch(const jdb_buf *buf, size_t step)
{
    for (size_t at = 0; at < buf->cap; at += step)
        buf->ptr[at] = 1;
}

static void make(jdb_buf *buf, uint64_t *random)
{
    const size_t size = random_log_uniform(random, 1, PAGES_MAX) * 4096;
    const uint64_t how = random_below(random, 8);
    const enum call call = how == 0 ? CALL_MAX : how == 1 ? CALL_ZEROED : CALL_ALLOC;
    int err = 0;
    begin();
    if (call == CALL_MAX)
        err = jdb_buf_with_max(buf, size, 4 * size);
    else if (call == CALL_ZEROED)
        err = jdb_buf_zeroed(buf, size);
    else
        err = jdb_buf_with_cap(buf, size);
    end(call);
    MUST(err == 0 || err == -ENOMEM);
    if (err == 0)
        touch(buf, random_below(random, 4) == 0 ? 4096 : 16 * 4096);
}

static void resize(jdb_buf *buf, uint64_t *random)
{
    if (random_below(random, 2) == 0) {
        begin();
        const int err = jdb_buf_reserve(buf, random_log_uniform(random, 1, 64) * 4096);
        end(CALL_GROW);
        MUST(err == 0 || err == -ENOMEM || err == -ENOBUFS);
        return;
    }
    MUST(jdb_buf_set_len(buf, random_below(random, buf->cap + 1)) == 0);
    begin();
    const int err = jdb_buf_shrink(buf);
    end(CALL_SHRINK);
    MUST(err == 0);
}

static void drop(jdb_buf *buf)
{
    begin();
    jdb_buf_drop(buf);
    end(CALL_FREE);
}

static void look(uint64_t *random)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    begin();
    if (random_below(random, 2) == 0) {
        jdb_thread_flush();
        end(CALL_FLUSH);
    } else {
        MUST(jdb_get_page_stats(&stats) == 0);
        end(CALL_STATS);
    }
}

static void *work(void *argument)
{
    uint64_t random = *(const uint64_t *)argument;
    jdb_buf bufs[LIVE] = {0};
    for (uint64_t step = 0; step < step_count; step++) {
        jdb_buf *const buf = &bufs[random_below(&random, LIVE)];
        const uint64_t what = random_below(&random, 100);
        if (what == 0)
            look(&random);
        else if (buf->ptr == NULL)
            make(buf, &random);
        else if (what < 20)
            resize(buf, &random);
        else
            drop(buf);
    }
    for (unsigned i = 0; i < LIVE; i++)
        drop(&bufs[i]);
    return NULL;
}

/* ---- Cases ------------------------------------------------------------------------------------------------ */

struct setting {
    const char *name;
    jdb_page_options options;
    uint64_t limit_bytes;
};

static void body_setting(void *argument)
{
    const struct setting *const setting = argument;
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    uint64_t random = random_seed(setting->name);
    MUST(jdb_set_page_options(&setting->options) == 0 && jdb_set_limit(setting->limit_bytes, NULL, NULL) == 0);
    faults_set_hook(count_call);
    faults_set_lock_hook(count_lock);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = random_next(&random);
        MUST(pthread_create(&threads[i], NULL, work, &seeds[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    for (unsigned call = 0; call < CALL_COUNT; call++)
        histogram_print(&system_calls[call], call_names[call]);
    histogram_print(&lock_ns, "lock held, ns");
    fflush(stdout);
    for (unsigned call = 0; call < CALL_COUNT; call++)
        MUST(atomic_load(&system_calls[call].most) <= (call == CALL_GROW ? SYSTEM_CALLS_MAX_GROW : SYSTEM_CALLS_MAX));
    const bool is_timed = tier_is_measurable() && tier_pick(0, 0, 1) != 0;
    _exit(is_timed && atomic_load(&lock_ns.most) > LOCK_NS_MAX ? 1 : 0);
}

/* The processor time of a thread has that of the hypervisor's in it: what is long by chance is not so each time. */
static void assert_bounded(struct setting *setting)
{
    enum { TRIES = 5 };
    char text[4096];
    int status = 1;
    for (unsigned tries = 0; tries < TRIES && status != 0; tries++) {
        status = must_run_child(body_setting, setting, text, sizeof text);
        if (WIFSIGNALED(status))
            fail_msg("%s: signal %d: %s", setting->name, WTERMSIG(status), text);
        if (text[0] != '\0')
            fail_msg("%s", text);
    }
    if (status != 0)
        fail_msg("%s: a lock was held longer than %d ns in each of %d runs", setting->name, LOCK_NS_MAX, TRIES);
}

#define OPTIONS(...)                                  \
    {                                                 \
        .size = sizeof(jdb_page_options), __VA_ARGS__ \
    }

static void no_call_keeps_others_waiting(void **state)
{
    (void)state;
    static struct setting settings[] = {
        {"default", OPTIONS(.delay_ms = 1000), 0},
        {"short delay", OPTIONS(.delay_ms = 20), 0},
        {"no delay", OPTIONS(.delay_ms = JDB_DELAY_NONE), 0},
        {"bound of 1 MiB", OPTIONS(.delay_ms = 50, .dirty_bytes = 1 << 20), 0},
        {"bound of a page", OPTIONS(.delay_ms = 50, .dirty_bytes = 4096), 0},
        {"limit", OPTIONS(.delay_ms = 50), 128 * MIB},
        {"huge pages", OPTIONS(.delay_ms = 20, .huge_pages = JDB_HUGE_PAGES_ON), 0},
    };
    step_count = TIER_SANITIZED ? 200 : tier_pick(1000, 5000, 1000000);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        assert_bounded(&settings[i]);
}

/* Every other buffer of many small ones, of so many sizes, is free: each is an extent of its own once the thread lets it go. */
enum { PIECE_CLASSES = 10, PIECES = 24 };

static void body_pieces(void *argument)
{
    const jdb_page_options options = OPTIONS(.dirty_bytes = 4096);
    jdb_buf bufs[PIECE_CLASSES * PIECES];
    size_t count = 0;
    (void)argument;
    MUST(jdb_set_page_options(&options) == 0);
    faults_set_hook(count_call);
    for (size_t page_count = 1; page_count <= PIECE_CLASSES; page_count++)
        for (unsigned i = 0; i < PIECES; i++) {
            MUST(jdb_buf_with_cap(&bufs[count], page_count * 4096) == 0);
            touch(&bufs[count++], 4096);
        }
    for (size_t i = 0; i < count; i += 2)
        drop(&bufs[i]);
    begin();
    jdb_thread_flush();
    end(CALL_FLUSH);
    for (size_t i = 1; i < count; i += 2)
        drop(&bufs[i]);
    for (unsigned call = 0; call < CALL_COUNT; call++)
        MUST(atomic_load(&system_calls[call].most) <= SYSTEM_CALLS_MAX);
}

static void a_flush_of_many_pieces_is_bounded(void **state)
{
    char text[4096];
    (void)state;
    const int status = must_run_child(body_pieces, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_keeps_others_waiting),
        cmocka_unit_test(a_flush_of_many_pieces_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
