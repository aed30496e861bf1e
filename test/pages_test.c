/* SPDX-License-Identifier: MIT
 *
 * pages_test.c - the memory behind the buffers: what is counted, kept for reuse, given back, limited.
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
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static jdb_page_stats stats_now(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats;
}

static uint64_t system_calls(const jdb_page_stats *stats)
{
    return stats->map_calls + stats->unmap_calls + stats->decommit_calls + stats->remap_calls;
}

enum { HOUR_MS = 3600 * 1000 };

/* No limit, and memory that stays cached however slow the machine is: a test of the delay sets its own. */
static int set_defaults(void **state)
{
    (void)state;
    const jdb_page_options options = {.size = sizeof options, .delay_ms = HOUR_MS};
    return jdb_set_page_options(&options) | jdb_set_limit(0, NULL, NULL);
}

static void assert_child(void (*body)(void *), void *argument)
{
    char text[1024];
    const int status = must_run_child(body, argument, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
    if (text[0] != '\0')
        print_message("%s", text);
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* ---- Structs of growing size ------------------------------------------------------------------------------ */

static void options_of_other_versions(void **state)
{
    (void)state;
    struct {
        jdb_page_options ours;
        uint64_t newer[2];
    } options = {.ours = {.size = sizeof options, .delay_ms = 500}};
    assert_int_equal(jdb_set_page_options(&options.ours), 0);
    options.newer[1] = 1;
    assert_int_equal(jdb_set_page_options(&options.ours), -E2BIG);
    options.newer[1] = 0;
    options.ours.reserved[2] = 1;
    assert_int_equal(jdb_set_page_options(&options.ours), -E2BIG);
    options.ours.size = offsetof(jdb_page_options, reserved);
    assert_int_equal(jdb_set_page_options(&options.ours), 0);
    options.ours.size = offsetof(jdb_page_options, huge_pages);
    assert_int_equal(jdb_set_page_options(&options.ours), 0);
    options.ours.size--;
    assert_int_equal(jdb_set_page_options(&options.ours), -EINVAL);
    options.ours.size = 0;
    assert_int_equal(jdb_set_page_options(&options.ours), -EINVAL);
    assert_int_equal(jdb_set_page_options(NULL), -EINVAL);
}

static void stats_of_other_versions(void **state)
{
    (void)state;
    struct {
        jdb_page_stats ours;
        uint64_t newer[2];
    } stats;
    memset(&stats, 0xee, sizeof stats);
    stats.ours.size = sizeof stats;
    assert_int_equal(jdb_get_page_stats(&stats.ours), 0);
    assert_int_equal(stats.ours.size, sizeof stats);
    assert_int_equal(stats.newer[0] | stats.newer[1] | stats.ours.reserved[6], 0);
    memset(&stats, 0xee, sizeof stats);
    stats.ours.size = offsetof(jdb_page_stats, reserved);
    assert_int_equal(jdb_get_page_stats(&stats.ours), 0);
    assert_true(stats.ours.copied_bytes != UINT64_C(0xeeeeeeeeeeeeeeee));
    assert_true(stats.ours.reserved[0] == UINT64_C(0xeeeeeeeeeeeeeeee));
    static const uint32_t small[] = {0, 4, 8, offsetof(jdb_page_stats, lent_bytes)};
    for (size_t i = 0; i < 4; i++) {
        stats.ours = (jdb_page_stats){.size = small[i], .lent_bytes = 77};
        assert_int_equal(jdb_get_page_stats(&stats.ours), -EINVAL);
        assert_int_equal(stats.ours.lent_bytes, 77);
    }
    assert_int_equal(jdb_get_page_stats(NULL), -EINVAL);
}

static void class_stats_of_other_versions(void **state)
{
    (void)state;
    const uint32_t count = jdb_page_class_count();
    jdb_page_class_stats stats = {.size = sizeof stats, .lent_count = 77};
    assert_true(count >= 1);
    assert_int_equal(jdb_get_page_class_stats(0, &stats), -ERANGE);
    assert_int_equal(jdb_get_page_class_stats(count + 1, &stats), -ERANGE);
    assert_int_equal(jdb_get_page_class_stats(UINT32_MAX, &stats), -ERANGE);
    assert_int_equal(stats.lent_count, 77);
    assert_int_equal(jdb_get_page_class_stats(1, NULL), -EINVAL);
    stats.size = 4;
    assert_int_equal(jdb_get_page_class_stats(1, &stats), -EINVAL);
    assert_int_equal(stats.lent_count, 77);
    stats.size = sizeof stats;
    for (uint32_t i = 1; i <= count; i++) {
        assert_int_equal(jdb_get_page_class_stats(i, &stats), 0);
        assert_int_equal(stats.page_count, i);
    }
}

/* ---- Counts ----------------------------------------------------------------------------------------------- */

static void assert_adds_up(uint64_t lent)
{
    const jdb_page_stats stats = stats_now();
    assert_int_equal(stats.lent_bytes, lent);
    assert_true(stats.thread_bytes + stats.shared_bytes <= stats.cached_bytes);
    assert_true(stats.lent_bytes + stats.cached_bytes <= stats.mapped_bytes);
    assert_true(stats.mapped_bytes <= stats.reserved_bytes);
}

static void lent_bytes_are_what_is_lent(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    uint64_t random = random_seed("counts");
    static jdb_buf bufs[COUNT];
    uint64_t lent = stats_now().lent_bytes;
    for (size_t round = 0; round < 2000; round++) {
        jdb_buf *const buf = &bufs[random_below(&random, COUNT)];
        const size_t size = random_log_uniform(&random, 4096, 4 * MIB);
        lent -= buf->cap;
        jdb_buf_drop(buf);
        const uint64_t kind = random_below(&random, 4);
        if (kind == 0)
            assert_int_equal(jdb_buf_zeroed(buf, size), 0);
        else if (kind == 1)
            assert_int_equal(jdb_buf_with_max(buf, size, 2 * size), 0);
        else if (kind == 2)
            assert_int_equal(jdb_buf_with_cap_aligned(buf, size, 64 * KIB), 0);
        else
            assert_int_equal(jdb_buf_reserve(buf, size), 0);
        lent += buf->cap;
        assert_adds_up(lent);
        lent -= buf->cap;
        assert_int_equal(round % 2 == 0 ? jdb_buf_shrink(buf) : jdb_buf_reserve(buf, size + size / 2), 0);
        lent += buf->cap;
        assert_adds_up(lent);
    }
    for (size_t i = 0; i < COUNT; i++) {
        lent -= bufs[i].cap;
        jdb_buf_drop(&bufs[i]);
        assert_adds_up(lent);
    }
}

static void pinned_memory_that_was_dropped_is_lent(void **state)
{
    (void)state;
    const uint64_t before = stats_now().lent_bytes;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, MIB), 0);
    uint8_t *const ptr = buf.ptr;
    assert_int_equal(jdb_pin(ptr, MIB), 0);
    jdb_buf_drop(&buf);
    assert_int_equal(stats_now().lent_bytes, before + MIB);
    assert_int_equal(jdb_unpin(ptr, MIB), 0);
    assert_int_equal(stats_now().lent_bytes, before);
}

static void classes_count_their_runs(void **state)
{
    (void)state;
    for (uint32_t pages = 1; pages <= jdb_page_class_count(); pages++) {
        jdb_page_class_stats before = JDB_PAGE_CLASS_STATS_INIT;
        jdb_page_class_stats during = before;
        jdb_page_class_stats after = before;
        jdb_buf bufs[40];
        assert_int_equal(jdb_get_page_class_stats(pages, &before), 0);
        for (size_t i = 0; i < 40; i++)
            assert_int_equal(jdb_buf_with_cap(&bufs[i], pages * 4096), 0);
        assert_int_equal(jdb_get_page_class_stats(pages, &during), 0);
        assert_int_equal(during.lent_count, before.lent_count + 40);
        for (size_t i = 0; i < 40; i++)
            jdb_buf_drop(&bufs[i]);
        assert_int_equal(jdb_get_page_class_stats(pages, &after), 0);
        assert_int_equal(after.lent_count, before.lent_count);
        assert_true(TIER_CHECKED || after.thread_count > 0);
        jdb_thread_flush();
        assert_int_equal(jdb_get_page_class_stats(pages, &after), 0);
        assert_int_equal(after.thread_count, 0);
        jdb_trim();
        assert_int_equal(jdb_get_page_class_stats(pages, &after), 0);
        assert_int_equal(after.shared_count, 0);
    }
}

/* ---- Cached ----------------------------------------------------------------------------------------------- */

static void allocating_and_freeing_cached_memory_costs_no_system_call(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    static const size_t sizes[] = {4096, 8192, 64 * KIB, 68 * KIB, MIB, 16 * MIB};
    for (size_t i = 0; i < 6; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        jdb_buf_drop(&buf);
        const jdb_page_stats before = stats_now();
        for (int round = 0; round < 1000; round++) {
            assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
            buf.ptr[0] = 1;
            jdb_buf_drop(&buf);
        }
        const jdb_page_stats after = stats_now();
        assert_int_equal(system_calls(&after), system_calls(&before));
    }
}

enum { ALIGNED_LIVE = 64, ALIGNED_ROUNDS = 500 };

static uint64_t locks_of_aligned(jdb_buf *bufs, size_t size, size_t align)
{
    const uint64_t before = stats_now().shared_locks;
    for (int round = 0; round < ALIGNED_ROUNDS; round++) {
        for (size_t i = 0; i < ALIGNED_LIVE; i++) {
            MUST(jdb_buf_with_cap_aligned(&bufs[i], size, align) == 0);
            MUST((uintptr_t)bufs[i].ptr % align == 0 && bufs[i].cap == size);
        }
        for (size_t i = 0; i < ALIGNED_LIVE; i++)
            jdb_buf_drop(&bufs[i]);
    }
    return stats_now().shared_locks - before;
}

/* Of every size that has a class, at the largest alignment that it may have. */
static void aligned_buffers_come_from_the_caches(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    static jdb_buf bufs[ALIGNED_LIVE];
    static jdb_buf plain[ALIGNED_LIVE];
    for (size_t pages = 2; pages <= jdb_page_class_count(); pages += 2) {
        const size_t size = pages * 4096;
        const size_t align = size & (~size + 1);
        for (size_t i = 0; i < ALIGNED_LIVE; i++)
            assert_int_equal(jdb_buf_with_cap(&plain[i], size), 0);
        for (size_t i = 0; i < ALIGNED_LIVE; i++)
            jdb_buf_drop(&plain[i]);
        const uint64_t locks = locks_of_aligned(bufs, size, align);
        const uint64_t plain_locks = locks_of_aligned(bufs, size, 4096);
        if (locks > plain_locks + plain_locks / 16 + 64)
            fail_msg("%zu pages: %" PRIu64 " locks, %" PRIu64 " of unaligned ones", pages, locks, plain_locks);
        jdb_trim();
    }
}

/* What was cut to the size of a class is cached where it lies: the thread looks past it. */
static void a_badly_aligned_run_in_the_cache_is_passed_over(void **state)
{
    (void)state;
    enum { CUT = 4 };
    jdb_buf cut[CUT];
    jdb_buf good;
    jdb_buf bufs[CUT + 1];
    jdb_trim();
    assert_int_equal(jdb_buf_with_cap_aligned(&good, 4 * 4096, 4 * 4096), 0);
    for (size_t i = 0; i < CUT; i++) {
        assert_int_equal(jdb_buf_with_cap(&cut[i], 5 * 4096), 0);
        assert_int_equal(jdb_buf_set_len(&cut[i], 4 * 4096), 0);
        assert_int_equal(jdb_buf_shrink(&cut[i]), 0);
    }
    jdb_buf_drop(&good);
    for (size_t i = 0; i < CUT; i++)
        jdb_buf_drop(&cut[i]);
    for (size_t i = 0; i <= CUT; i++) {
        assert_int_equal(jdb_buf_with_cap_aligned(&bufs[i], 4 * 4096, 4 * 4096), 0);
        assert_int_equal((uintptr_t)bufs[i].ptr % (4 * 4096), 0);
        memset(bufs[i].ptr, (int)i + 1, bufs[i].cap);
    }
    for (size_t i = 0; i <= CUT; i++) {
        assert_int_equal(bufs[i].ptr[0], i + 1);
        assert_int_equal(bufs[i].ptr[bufs[i].cap - 1], i + 1);
        jdb_buf_drop(&bufs[i]);
    }
}

enum { BATCH = 64 };

struct relay {
    _Atomic(jdb_buf *) full; /* BATCH buffers on their way to the consumer */
    atomic_bool is_over;
};

static void *consume(void *argument)
{
    struct relay *const relay = argument;
    while (!atomic_load(&relay->is_over) || atomic_load(&relay->full) != NULL) {
        jdb_buf *const batch = atomic_exchange(&relay->full, NULL);
        for (size_t i = 0; batch != NULL && i < BATCH; i++)
            jdb_buf_drop(&batch[i]);
        free(batch);
    }
    return NULL;
}

/* Sizes in turn, each with a few alive: what a thread freed it takes again, of each size that has a class. */
static void a_thread_keeps_runs_of_each_class(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    enum { ALIVE = 2, ROUNDS = 20 };
    const uint32_t classes = jdb_page_class_count();
    jdb_buf bufs[ALIVE];
    uint64_t locks = 0;
    assert_true(classes >= 64);
    for (unsigned round = 0; round < ROUNDS; round++) {
        locks = round == 1 ? stats_now().shared_locks : locks;
        for (size_t size = 4096; size <= classes * (size_t)4096; size += 4096) {
            for (size_t i = 0; i < ALIVE; i++)
                assert_int_equal(jdb_buf_with_cap(&bufs[i], size), 0);
            for (size_t i = 0; i < ALIVE; i++)
                jdb_buf_drop(&bufs[i]);
        }
    }
    const uint64_t more = stats_now().shared_locks - locks;
    print_message("%u sizes, %d times: %" PRIu64 " locks\n", classes, ROUNDS - 1, more);
    assert_true(more < 1000);
}

static void pages_that_change_threads_take_a_lock_in_32(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    enum { ROUNDS = 500 };
    struct relay relay = {NULL, false};
    pthread_t thread;
    const uint64_t before = stats_now().shared_locks;
    assert_int_equal(pthread_create(&thread, NULL, consume, &relay), 0);
    for (int round = 0; round < ROUNDS; round++) {
        jdb_buf *const batch = calloc(BATCH, sizeof *batch);
        assert_non_null(batch);
        for (size_t i = 0; i < BATCH; i++)
            assert_int_equal(jdb_buf_with_cap(&batch[i], 4096), 0);
        for (jdb_buf *none = NULL; !atomic_compare_exchange_weak(&relay.full, &none, batch); none = NULL)
            sched_yield();
    }
    atomic_store(&relay.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    const uint64_t locks = stats_now().shared_locks - before;
    print_message("%d pages through two threads: %" PRIu64 " locks\n", ROUNDS * BATCH, locks);
    assert_true(locks <= ROUNDS * BATCH * 2 / 32 + 100);
}

/* ---- Given back ------------------------------------------------------------------------------------------- */

static void drop_all(jdb_buf *bufs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        jdb_buf_drop(&bufs[i]);
}

static void make_and_touch(jdb_buf *bufs, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        MUST(jdb_buf_with_cap(&bufs[i], size) == 0);
        memset(bufs[i].ptr, 1, bufs[i].cap);
    }
}

static void trim_gives_memory_back_and_says_how_much(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 64 * KIB, MIB, 32 * MIB};
    for (size_t i = 0; i < 4; i++) {
        static jdb_buf bufs[8192];
        const size_t count = 32 * MIB / sizes[i];
        jdb_trim();
        make_and_touch(bufs, count, sizes[i]);
        const uint64_t lent = stats_now().lent_bytes;
        const uint64_t resident = cost_resident_bytes();
        drop_all(bufs, count);
        assert_int_equal(stats_now().lent_bytes, lent - 32 * MIB);
        const uint64_t bytes = jdb_trim();
        assert_true(bytes >= 32 * MIB);
        assert_true(TIER_CHECKED || bytes <= 40 * MIB); /* guards count too */
        if (tier_is_measurable())
            assert_true(cost_resident_bytes() + 31 * MIB <= resident);
        assert_int_equal(stats_now().cached_bytes, 0);
        assert_int_equal(jdb_trim(), 0);
    }
}

/* What goes back meanwhile, since it is more than may stay, is reported too. */
static void trim_counts_what_goes_back_on_the_way(void **state)
{
    (void)state;
    const jdb_page_options small = {.size = sizeof small, .delay_ms = HOUR_MS, .dirty_bytes = MIB};
    jdb_buf buf;
    jdb_trim();
    assert_int_equal(jdb_set_page_options(&small), 0);
    assert_int_equal(jdb_buf_with_cap(&buf, 16 * MIB), 0);
    memset(buf.ptr, 1, buf.cap);
    jdb_buf_drop(&buf);
    assert_true(stats_now().cached_bytes >= 16 * MIB);
    assert_true(jdb_trim() >= 16 * MIB);
}

/* What is free beyond that has gone back already. */
static void dirty_memory_is_bounded_where_a_bound_is_set(void **state)
{
    (void)state;
    if (!tier_is_measurable())
        skip();
    static jdb_buf bufs[65536];
    const jdb_page_options options = {.size = sizeof options, .delay_ms = HOUR_MS, .dirty_bytes = 64 * MIB};
    assert_int_equal(jdb_set_page_options(&options), 0);
    make_and_touch(bufs, 65536, 4096);
    const uint64_t resident = cost_resident_bytes();
    drop_all(bufs, 65536);
    const jdb_page_stats stats = stats_now();
    assert_true(stats.cached_bytes <= 64 * MIB + 64 * MIB + 8 * MIB);
    assert_true(cost_resident_bytes() + 64 * MIB <= resident);
    jdb_trim();
}

static uint64_t shared_bytes_of(jdb_buf *bufs, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++)
        MUST(jdb_buf_with_cap(&bufs[i], size) == 0);
    drop_all(bufs, count);
    const uint64_t bytes = stats_now().shared_bytes;
    jdb_trim();
    return bytes;
}

/* A stack takes 8,192 runs. What it refuses does not count against what all stacks may hold. */
static void a_full_stack_of_the_shared_caches_leaves_room_in_others(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    enum { PAGES = 32768 };
    const jdb_page_options options = {.size = sizeof options, .delay_ms = HOUR_MS, .dirty_bytes = 64 * MIB};
    jdb_buf *const bufs = calloc(PAGES, sizeof *bufs);
    assert_non_null(bufs);
    assert_int_equal(jdb_set_page_options(&options), 0);
    jdb_trim();
    assert_true(shared_bytes_of(bufs, PAGES, 4096) >= 31 * MIB);
    assert_true(shared_bytes_of(bufs, PAGES / 2, 8192) >= 60 * MIB);
    assert_int_equal(stats_now().shared_bytes, 0);
    free(bufs);
}

static void body_resident_per_byte(void *argument)
{
    (void)argument;
    enum { PAGES = 65536 };
    jdb_buf *const bufs = malloc(PAGES * sizeof *bufs);
    MUST(bufs != NULL);
    memset(bufs, 1, PAGES * sizeof *bufs);
    cost_resident_bytes();
    const double bytes = (double)PAGES * 4096.0;
    const double before = (double)cost_resident_bytes();
    make_and_touch(bufs, PAGES, 4096);
    const double per_byte = ((double)cost_resident_bytes() - before) / bytes;
    const double bookkeeping = (double)stats_now().bookkeeping_bytes / bytes;
    drop_all(bufs, PAGES);
    jdb_trim();
    const double trimmed = ((double)cost_resident_bytes() - before) / bytes;
    fprintf(stderr, "65,536 pages: %.4f resident per byte, %.4f after trim, %.4f bookkeeping\n", per_byte, trimmed,
            bookkeeping);
    MUST(per_byte <= 1.01);
    MUST(trimmed <= 0.02);
}

/* First of all tests: its child has the tables of nobody before it. */
static void fresh_pages_cost_what_they_hold(void **state)
{
    (void)state;
    if (!tier_is_measurable())
        skip();
    assert_child(body_resident_per_byte, NULL);
}

static void resident_bytes_counts_what_was_touched(void **state)
{
    (void)state;
    uint64_t before = 77;
    uint64_t after = 0;
    jdb_trim();
    assert_int_equal(jdb_resident_bytes(NULL), -EINVAL);
    assert_int_equal(jdb_resident_bytes(&before), 0);
    jdb_buf buf;
    assert_int_equal(jdb_buf_zeroed(&buf, 32 * MIB), 0);
    assert_int_equal(jdb_resident_bytes(&after), 0);
    assert_true(after < before + MIB);
    memset(buf.ptr, 1, 16 * MIB);
    assert_int_equal(jdb_resident_bytes(&after), 0);
    assert_true(after >= before + 16 * MIB && after <= before + 17 * MIB);
    jdb_buf_drop(&buf);
    jdb_trim();
    assert_int_equal(jdb_resident_bytes(&after), 0);
    assert_true(after <= before + MIB);
}

/* ---- Statistics beside threads ---------------------------------------------------------------------------- */

static atomic_bool counted;

static void *allocate_until_counted(void *argument)
{
    jdb_buf bufs[3];
    while (!atomic_load(&counted)) {
        MUST(jdb_buf_with_cap(&bufs[0], 4096) == 0 && jdb_buf_with_cap(&bufs[1], 4096) == 0);
        MUST(jdb_buf_with_cap(&bufs[2], MIB) == 0);
        drop_all(bufs, 3);
    }
    return argument;
}

/* What is lent at any moment lies between nothing and all that two threads ever lend. */
static void statistics_are_read_while_threads_allocate(void **state)
{
    (void)state;
    pthread_t threads[2];
    const uint64_t before = stats_now().lent_bytes;
    atomic_store(&counted, false);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_until_counted, NULL), 0);
    for (unsigned i = 0; i < 500; i++) {
        const jdb_page_stats stats = stats_now();
        jdb_page_class_stats of_class = JDB_PAGE_CLASS_STATS_INIT;
        assert_int_equal(jdb_get_page_class_stats(1, &of_class), 0);
        assert_true(stats.lent_bytes <= before + 4 * MIB && of_class.lent_count <= before / 4096 + 1000);
    }
    atomic_store(&counted, true);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(stats_now().lent_bytes, before);
}

/* ---- Threads that go idle --------------------------------------------------------------------------------- */

struct idle {
    pthread_barrier_t barrier;
    bool flushes;
};

static void *go_idle(void *argument)
{
    struct idle *const idle = argument;
    jdb_buf bufs[16];
    make_and_touch(bufs, 16, 4096);
    drop_all(bufs, 16);
    if (idle->flushes)
        jdb_thread_flush();
    pthread_barrier_wait(&idle->barrier);
    pthread_barrier_wait(&idle->barrier);
    return NULL;
}

static void thread_flush_hands_the_cache_on(void **state)
{
    (void)state;
    if (TIER_CHECKED)
        skip();
    for (int flushes = 0; flushes < 2; flushes++) {
        struct idle idle = {.flushes = flushes == 1};
        pthread_t thread;
        assert_int_equal(pthread_barrier_init(&idle.barrier, NULL, 2), 0);
        jdb_trim();
        const jdb_page_stats before = stats_now();
        assert_int_equal(pthread_create(&thread, NULL, go_idle, &idle), 0);
        pthread_barrier_wait(&idle.barrier);
        const jdb_page_stats during = stats_now();
        jdb_trim();
        const jdb_page_stats trimmed = stats_now();
        pthread_barrier_wait(&idle.barrier);
        assert_int_equal(pthread_join(thread, NULL), 0);
        const jdb_page_stats after = stats_now();
        assert_int_equal(during.threads, before.threads + 1);
        assert_int_equal(after.threads, before.threads);
        assert_int_equal(after.thread_bytes, 0);
        assert_true(flushes ? during.thread_bytes == 0 : during.thread_bytes >= 16 * 4096);
        assert_true(flushes ? trimmed.cached_bytes == 0 : trimmed.cached_bytes >= 16 * 4096);
        pthread_barrier_destroy(&idle.barrier);
        jdb_trim();
    }
}

/* ---- Delay ------------------------------------------------------------------------------------------------ */

/* Bytes still cached after the calls that follow a pause. */
static uint64_t cached_after_a_pause(unsigned ms, unsigned calls)
{
    sleep_ms(ms);
    for (unsigned i = 0; i < calls; i++) {
        jdb_buf buf;
        MUST(jdb_buf_with_cap(&buf, 4096) == 0);
        jdb_buf_drop(&buf);
    }
    return stats_now().cached_bytes;
}

/* A thread looks at the clock every 64 calls at least. */
static void memory_goes_back_on_the_calls_after_the_delay(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 64 * KIB, MIB, 24 * MIB};
    const jdb_page_options options = {.size = sizeof options, .delay_ms = 400};
    for (size_t i = 0; i < 4; i++) {
        static jdb_buf bufs[6144];
        const size_t count = 24 * MIB / sizes[i];
        jdb_trim();
        assert_int_equal(jdb_set_page_options(&options), 0);
        make_and_touch(bufs, count, sizes[i]);
        drop_all(bufs, count);
        assert_true(stats_now().cached_bytes >= 20 * MIB || TIER_CHECKED);
        const uint64_t left = cached_after_a_pause(800, 64);
        if (left > MIB)
            fail_msg("size %zu: %" PRIu64 " bytes still cached after the delay", sizes[i], left);
    }
}

static void *make_and_drop_much(void *argument)
{
    (void)argument;
    jdb_buf bufs[64];
    make_and_touch(bufs, 64, 256 * KIB);
    drop_all(bufs, 64);
    return NULL;
}

static void memory_of_a_thread_that_ended_goes_back_by_another(void **state)
{
    (void)state;
    const jdb_page_options options = {.size = sizeof options, .delay_ms = 400};
    jdb_trim();
    assert_int_equal(jdb_set_page_options(&options), 0);
    jdb_buf mine;
    assert_int_equal(jdb_buf_page(&mine), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, make_and_drop_much, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(stats_now().cached_bytes >= 8 * MIB || TIER_CHECKED);
    const uint64_t left = cached_after_a_pause(800, 64);
    if (left > MIB)
        fail_msg("%" PRIu64 " bytes still cached after the delay", left);
    jdb_buf_drop(&mine);
}

static void no_delay_keeps_nothing(void **state)
{
    (void)state;
    const jdb_page_options options = {.size = sizeof options, .delay_ms = JDB_DELAY_NONE};
    static const size_t sizes[] = {MIB, 16 * MIB};
    assert_int_equal(jdb_set_page_options(&options), 0);
    cached_after_a_pause(5, 100);
    for (size_t i = 0; i < 2; i++) {
        jdb_buf buf;
        make_and_touch(&buf, 1, sizes[i]);
        jdb_buf_drop(&buf);
        const uint64_t left = cached_after_a_pause(10, 1);
        if (left > MIB / 2)
            fail_msg("size %zu: %" PRIu64 " bytes cached", sizes[i], left);
    }
}

/* ---- Limit ------------------------------------------------------------------------------------------------ */

struct pressure {
    jdb_buf *spare;
    unsigned calls;
    uint64_t needed;
    bool answer;
};

static bool relieve(void *context, uint64_t needed)
{
    struct pressure *const pressure = context;
    pressure->calls++;
    pressure->needed = needed;
    jdb_buf_drop(pressure->spare);
    return pressure->answer;
}

static void limit_refuses_what_is_over_it(void **state)
{
    (void)state;
    jdb_trim();
    const uint64_t lent = stats_now().lent_bytes;
    jdb_buf first;
    jdb_buf second = {(uint8_t *)1, 2, 3};
    assert_int_equal(jdb_set_limit(lent + 4 * MIB, NULL, NULL), 0);
    assert_int_equal(stats_now().limit_bytes, lent + 4 * MIB);
    assert_int_equal(jdb_buf_with_cap(&first, 3 * MIB), 0);
    assert_int_equal(jdb_buf_with_cap(&second, 2 * MIB), -ENOMEM);
    assert_null(second.ptr);
    assert_int_equal(jdb_buf_zeroed(&second, 2 * MIB), -ENOMEM);
    assert_int_equal(jdb_buf_with_max(&second, 2 * MIB, 4 * MIB), -ENOMEM);
    assert_int_equal(jdb_buf_with_max(&second, 64 * KIB, 64 * MIB), 0);
    assert_int_equal(jdb_buf_reserve(&second, 3 * MIB), -ENOMEM);
    assert_int_equal(second.cap, 64 * KIB);
    const jdb_buf was = first;
    assert_int_equal(jdb_buf_reserve(&first, 6 * MIB), -ENOMEM);
    assert_memory_equal(&first, &was, sizeof was);
    jdb_buf_drop(&second);
    assert_int_equal(jdb_buf_with_cap(&second, MIB), 0);
    jdb_buf_drop(&first);
    jdb_buf_drop(&second);
    assert_int_equal(jdb_set_limit(0, NULL, NULL), 0);
    assert_int_equal(stats_now().limit_bytes, 0);
    assert_int_equal(jdb_buf_with_cap(&first, 8 * MIB), 0);
    jdb_buf_drop(&first);
}

static void limit_refuses_small_buffers_too(void **state)
{
    (void)state;
    static jdb_buf bufs[1000];
    jdb_trim();
    const uint64_t lent = stats_now().lent_bytes;
    assert_int_equal(jdb_set_limit(lent + MIB, NULL, NULL), 0);
    size_t count = 0;
    while (count < 1000 && jdb_buf_page(&bufs[count]) == 0)
        count++;
    assert_int_equal(count, 256);
    assert_null(bufs[count].ptr);
    jdb_buf_drop(&bufs[0]);
    assert_int_equal(jdb_buf_page(&bufs[0]), 0);
    drop_all(bufs, count);
}

static void limit_empties_caches_before_it_refuses(void **state)
{
    (void)state;
    static jdb_buf bufs[512];
    jdb_trim();
    const uint64_t lent = stats_now().lent_bytes;
    assert_int_equal(jdb_set_limit(lent + 2 * MIB, NULL, NULL), 0);
    make_and_touch(bufs, 512, 4096);
    drop_all(bufs, 512);
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * MIB), 0);
    jdb_buf_drop(&buf);
    make_and_touch(bufs, 512, 4096);
    drop_all(bufs, 512);
}

static void limit_asks_the_callback(void **state)
{
    (void)state;
    jdb_trim();
    jdb_buf spare;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&spare, 8 * MIB), 0);
    struct pressure pressure = {&spare, 0, 0, true};
    assert_int_equal(jdb_set_limit(stats_now().lent_bytes + MIB, relieve, &pressure), 0);
    assert_int_equal(jdb_buf_with_cap(&buf, MIB), 0);
    assert_int_equal(pressure.calls, 0);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_buf_with_cap(&buf, 5 * MIB), 0);
    assert_int_equal(pressure.calls, 1);
    assert_int_equal(pressure.needed, 4 * MIB);
    assert_null(spare.ptr);
    jdb_buf more;
    pressure.answer = false;
    assert_int_equal(jdb_buf_with_cap(&more, 5 * MIB), -ENOMEM);
    assert_int_equal(pressure.calls, 2);
    pressure.answer = true;
    assert_int_equal(jdb_buf_with_cap(&more, 5 * MIB), -ENOMEM);
    assert_true(pressure.calls > 2);
    jdb_buf_drop(&buf);
}

/* Neither a batch for later nor the better of two sizes is a reason to call it. */
static void limit_asks_the_callback_for_what_is_missing_alone(void **state)
{
    (void)state;
    jdb_trim();
    struct pressure pressure = {NULL, 0, 0, false};
    jdb_buf bufs[3];
    const uint64_t lent = stats_now().lent_bytes;
    assert_int_equal(jdb_set_limit(lent + 100 * 4096, relieve, &pressure), 0);
    assert_int_equal(jdb_buf_with_cap(&bufs[0], 50 * 4096), 0);
    assert_int_equal(jdb_buf_with_cap(&bufs[1], 4096), 0);
    assert_int_equal(pressure.calls, 0);
    assert_int_equal(jdb_set_limit(0, NULL, NULL), 0);
    assert_int_equal(jdb_buf_with_cap(&bufs[2], 17 * 4096), 0);
    assert_int_equal(jdb_set_limit(stats_now().lent_bytes + 60 * 4096, relieve, &pressure), 0);
    assert_int_equal(jdb_buf_set_len(&bufs[0], bufs[0].cap), 0);
    assert_int_equal(jdb_buf_reserve(&bufs[0], 4096), 0);
    assert_int_equal(pressure.calls, 0);
    drop_all(bufs, 3);
}

/* Free pages do not count, so that giving them back would make no room. */
static void limit_makes_room_without_a_system_call(void **state)
{
    (void)state;
    jdb_buf bufs[16];
    jdb_buf large;
    jdb_trim();
    make_and_touch(bufs, 16, MIB);
    drop_all(bufs, 16);
    assert_int_equal(jdb_set_limit(stats_now().lent_bytes + 16 * MIB, NULL, NULL), 0);
    const uint64_t before = stats_now().decommit_calls;
    for (size_t size = 9 * MIB; size <= 16 * MIB; size += MIB) {
        assert_int_equal(jdb_buf_with_cap(&large, size), 0);
        jdb_buf_drop(&large);
    }
    assert_int_equal(stats_now().decommit_calls, before);
    jdb_trim();
}

/* An alignment is kept by growing in large steps, but not where there is no room for them. */
static void limit_leaves_room_for_what_is_asked_for(void **state)
{
    (void)state;
    jdb_buf bufs[2];
    jdb_trim();
    assert_int_equal(jdb_buf_with_cap_aligned(&bufs[0], 2 * MIB, 2 * MIB), 0);
    assert_int_equal(jdb_buf_with_cap(&bufs[1], MIB), 0);
    assert_int_equal(jdb_set_limit(stats_now().lent_bytes + 3 * MIB, NULL, NULL), 0);
    assert_int_equal(jdb_buf_set_len(&bufs[0], bufs[0].cap), 0);
    assert_int_equal(jdb_buf_reserve(&bufs[0], 4096), 0);
    assert_int_equal((uintptr_t)bufs[0].ptr % (2 * MIB), 0);
    drop_all(bufs, 2);
}

static void limit_of_less_than_a_page_refuses_all(void **state)
{
    (void)state;
    jdb_buf buf;
    jdb_trim();
    assert_int_equal(jdb_set_limit(1, NULL, NULL), 0);
    assert_int_equal(jdb_buf_with_cap(&buf, 4096), -ENOMEM);
    assert_int_equal(jdb_buf_with_cap(&buf, MIB), -ENOMEM);
    assert_int_equal(jdb_set_limit(0, NULL, NULL), 0);
}

static void limit_below_what_is_lent_is_legal(void **state)
{
    (void)state;
    jdb_trim();
    jdb_buf first;
    jdb_buf second;
    assert_int_equal(jdb_buf_with_cap(&first, 8 * MIB), 0);
    assert_int_equal(jdb_set_limit(4096, NULL, NULL), 0);
    assert_int_equal(jdb_buf_with_cap(&second, MIB), -ENOMEM);
    assert_int_equal(jdb_buf_set_len(&first, 1), 0);
    assert_int_equal(jdb_buf_shrink(&first), 0);
    jdb_buf_drop(&first);
    assert_int_equal(jdb_set_limit(stats_now().lent_bytes + 2 * MIB, NULL, NULL), 0);
    assert_int_equal(jdb_buf_with_cap(&second, MIB), 0);
    jdb_buf_drop(&second);
}

static void *take_what_there_is(void *argument)
{
    uint64_t random = (uintptr_t)argument;
    jdb_buf bufs[64];
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < 64; i++) {
            const int err = jdb_buf_with_cap(&bufs[i], random_log_uniform(&random, 4096, MIB));
            MUST(err == 0 || err == -ENOMEM);
            if (err == 0)
                bufs[i].ptr[0] = 1;
        }
        drop_all(bufs, 64);
    }
    return NULL;
}

static void limit_holds_under_threads(void **state)
{
    (void)state;
    jdb_trim();
    const uint64_t limit = stats_now().lent_bytes + 16 * MIB;
    const uint64_t lent = stats_now().lent_bytes;
    assert_int_equal(jdb_set_limit(limit, NULL, NULL), 0);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_what_there_is, (void *)(i + 1)), 0);
    for (int i = 0; i < 200; i++) {
        assert_true(stats_now().lent_bytes <= limit);
        sleep_ms(1);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(stats_now().lent_bytes, lent);
}

/* ---- Appending -------------------------------------------------------------------------------------------- */

static uint64_t faults_of_writing(uint8_t *bytes, size_t size)
{
    const uint64_t before = cost_minor_faults();
    for (size_t at = 0; at < size; at += 4096)
        bytes[at] = 1;
    return cost_minor_faults() - before;
}

/* The measure: the same bytes into memory that was set aside at once; of small pages, wherever huge ones are given to
 * all: what grows by steps has few of those. */
static uint64_t faults_of_memory_set_aside(size_t size)
{
    void *const memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED);
    madvise(memory, size, MADV_NOHUGEPAGE);
    const uint64_t faults = faults_of_writing(memory, size);
    munmap(memory, size);
    return faults;
}

static void body_append(void *argument)
{
    const size_t total = *(const size_t *)argument;
    const uint64_t measure = faults_of_memory_set_aside(total);
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, 4096) == 0);
    const jdb_page_stats before = stats_now();
    const uint64_t start = cost_minor_faults();
    while (buf.len < total) {
        MUST(jdb_buf_reserve(&buf, 64 * KIB) == 0);
        for (size_t at = 0; at < 64 * KIB; at += 4096)
            memcpy(buf.ptr + buf.len + at, &buf.len, sizeof buf.len);
        MUST(jdb_buf_set_len(&buf, buf.len + 64 * KIB) == 0);
    }
    const uint64_t faults = cost_minor_faults() - start;
    const jdb_page_stats after = stats_now();
    const uint64_t copied = after.copied_bytes - before.copied_bytes;
    fprintf(stderr,
            "append %zu MiB: %" PRIu64 " bytes copied, %" PRIu64 " moved, %" PRIu64 " faults; set aside %" PRIu64 "\n",
            total / MIB, copied, after.moved_bytes - before.moved_bytes, faults, measure);
    for (size_t at = 0; at < total; at += 64 * KIB)
        MUST(memcmp(buf.ptr + at, &at, sizeof at) == 0);
    MUST(copied <= 128 * KIB);
    MUST((double)faults <= 1.01 * (double)measure + 64);
    jdb_buf_drop(&buf);
}

static void appending_copies_no_bytes_and_faults_no_more(void **state)
{
    (void)state;
    if (!tier_is_measurable())
        skip();
    size_t total = (size_t)tier_pick(64, 512, 512) * MIB;
    assert_child(body_append, &total);
}

/* Two buffers that grow alternately block each other: they move, and still copy little. */
static void body_append_two(void *argument)
{
    const size_t total = *(const size_t *)argument;
    jdb_buf bufs[2];
    MUST(jdb_buf_with_cap(&bufs[0], 4096) == 0 && jdb_buf_with_cap(&bufs[1], 4096) == 0);
    const jdb_page_stats before = stats_now();
    for (size_t len = 0; len < total; len += 64 * KIB)
        for (size_t i = 0; i < 2; i++) {
            MUST(jdb_buf_reserve(&bufs[i], 64 * KIB) == 0);
            for (size_t at = 0; at < 64 * KIB; at += 4096)
                bufs[i].ptr[len + at] = (uint8_t)(len / 4096 + at + i);
            MUST(jdb_buf_set_len(&bufs[i], len + 64 * KIB) == 0);
        }
    for (size_t i = 0; i < 2; i++)
        for (size_t len = 0; len < total; len += 64 * KIB)
            for (size_t at = 0; at < 64 * KIB; at += 4096)
                MUST(bufs[i].ptr[len + at] == (uint8_t)(len / 4096 + at + i));
    const jdb_page_stats after = stats_now();
    fprintf(stderr, "append 2 x %zu MiB: %" PRIu64 " bytes copied, %" PRIu64 " moved\n", total / MIB,
            after.copied_bytes - before.copied_bytes, after.moved_bytes - before.moved_bytes);
    MUST(after.copied_bytes - before.copied_bytes <= MIB);
    MUST(after.moved_bytes - before.moved_bytes <= 8 * total);
    drop_all(bufs, 2);
}

static void appending_to_two_buffers_moves_page_tables(void **state)
{
    (void)state;
    if (!tier_is_measurable())
        skip();
    size_t total = (size_t)tier_pick(32, 128, 512) * MIB;
    assert_child(body_append_two, &total);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_defaults, set_defaults)

#ifdef JDB_CHECKED
/* Small runs first, which leave one at a time: large ones behind them must not pile up. */
static void the_quarantine_keeps_64_mib(void **state)
{
    (void)state;
    static jdb_buf bufs[256];
    make_and_touch(bufs, 256, 4096);
    drop_all(bufs, 256);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(jdb_buf_with_cap(&bufs[0], 16 * MIB), 0);
        jdb_buf_drop(&bufs[0]);
    }
    assert_true(stats_now().cached_bytes <= (64 + 64) * MIB); /* of the quarantine, and dirty in the heap */
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fresh_pages_cost_what_they_hold),
        TEST(options_of_other_versions),
        TEST(stats_of_other_versions),
        TEST(class_stats_of_other_versions),
        TEST(lent_bytes_are_what_is_lent),
        TEST(pinned_memory_that_was_dropped_is_lent),
        TEST(classes_count_their_runs),
        TEST(allocating_and_freeing_cached_memory_costs_no_system_call),
        TEST(aligned_buffers_come_from_the_caches),
        TEST(a_badly_aligned_run_in_the_cache_is_passed_over),
        TEST(a_thread_keeps_runs_of_each_class),
        TEST(pages_that_change_threads_take_a_lock_in_32),
        TEST(trim_gives_memory_back_and_says_how_much),
        TEST(trim_counts_what_goes_back_on_the_way),
        TEST(dirty_memory_is_bounded_where_a_bound_is_set),
        TEST(a_full_stack_of_the_shared_caches_leaves_room_in_others),
        TEST(resident_bytes_counts_what_was_touched),
        TEST(statistics_are_read_while_threads_allocate),
        TEST(thread_flush_hands_the_cache_on),
        TEST(memory_goes_back_on_the_calls_after_the_delay),
        TEST(memory_of_a_thread_that_ended_goes_back_by_another),
        TEST(no_delay_keeps_nothing),
        TEST(limit_refuses_what_is_over_it),
        TEST(limit_refuses_small_buffers_too),
        TEST(limit_empties_caches_before_it_refuses),
        TEST(limit_asks_the_callback),
        TEST(limit_asks_the_callback_for_what_is_missing_alone),
#ifdef JDB_CHECKED
        TEST(the_quarantine_keeps_64_mib),
#endif
        TEST(limit_makes_room_without_a_system_call),
        TEST(limit_leaves_room_for_what_is_asked_for),
        TEST(limit_of_less_than_a_page_refuses_all),
        TEST(limit_below_what_is_lent_is_legal),
        TEST(limit_holds_under_threads),
        TEST(appending_copies_no_bytes_and_faults_no_more),
        TEST(appending_to_two_buffers_moves_page_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
