/* SPDX-License-Identifier: MIT
 *
 * heap_test.c - which free pages are used again, which go back to the system and when: what no call of the library shows
 * apart from outside. Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "faults.h"
#include "page/heap.h"
#include "must.h"
#include "tier.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static uint64_t dirty_pages(void)
{
    struct heap_stats stats;
    jdb__heap_stats(&stats);
    return stats.dirty_pages;
}

static struct run take(uint32_t page_count)
{
    struct run run = {0};
    uint64_t missing = 0;
    MUST(jdb__heap_take(&(struct heap_wish){page_count, 1, 0, false}, &run, &missing) == 0);
    return run;
}

static int take_zero(uint32_t page_count, struct run *ret_run)
{
    uint64_t missing = 0;
    return jdb__heap_take(&(struct heap_wish){page_count, 1, 0, true}, ret_run, &missing);
}

/* A run that does not touch the next one: give it, and it is an extent of its own. */
static struct run take_apart(uint32_t page_count)
{
    const struct run run = take(page_count);
    take(1);
    return run;
}

/* In the checked build a run has a page behind it that comes and goes with it. */
enum { RUN_MAX = 256, GUARD = TIER_CHECKED };

static struct run runs[RUN_MAX];

static void take_runs(unsigned count, uint32_t page_count)
{
    MUST(count <= RUN_MAX);
    for (unsigned i = 0; i < count; i++) {
        runs[i] = take_apart(page_count);
        runs[i].is_zero = false; /* it was used */
    }
}

static void give_runs(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        jdb__heap_give(&runs[i]);
}

static void set_dirty_max(uint64_t page_count)
{
    jdb__heap_set_dirty_max(page_count * JDB_PAGE_SIZE);
}

static void assert_child(void (*body)(void *))
{
    char text[4096];
    const int status = must_run_child(body, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

/* ---- Used again ------------------------------------------------------------------------------------------- */

static void body_joined(void *argument)
{
    (void)argument;
    struct run low = take(50);
    struct run high = take_apart(50);
    low.is_zero = false;
    high.is_zero = true;
    MUST(high.index == low.index + 50 + GUARD);
    jdb__heap_give(&low);
    jdb__heap_give(&high);
    struct run run = {0};
    MUST(take_zero(80, &run) == 0 && run.is_zero && run.index > high.index);
    run = take(80);
    MUST(!run.is_zero && run.index == low.index);
    MUST(take_zero(20, &run) == 0 && run.is_zero && run.index == low.index + 80 + GUARD);
    MUST(dirty_pages() == 0);
}

/* Behind the run lie dirty, clean and reserved pages. */
static void body_behind(void *argument)
{
    (void)argument;
    struct run run = take(50);
    struct run dirty = take(50);
    dirty.is_zero = false;
    jdb__heap_give(&dirty);
    uint64_t missing = 0;
    if (TIER_CHECKED) {
        MUST(jdb__heap_extend(&run, 51, 51, 1, &missing) == -ENOSPC);
        return;
    }
    MUST(jdb__heap_extend(&run, 200, 200, 1, &missing) == 0 && run.page_count == 200);
    MUST(dirty_pages() == 0);
    MUST(jdb__heap_extend(&run, 1 << 14, 1 << 14, 1, &missing) == 0 && run_pages(&run) == 1 << 14);
    memset(run_address(&run), 1, run_bytes(&run));
    const struct run next = take(1);
    MUST(next.index == run.index + run.page_count);
    MUST(jdb__heap_extend(&run, (1 << 14) + 1, 1 << 15, 1, &missing) == -ENOSPC && run.page_count == 1 << 14);
    jdb__heap_give(&next);
    const struct heap_limit limit = {.bytes = ((UINT64_C(1) << 14) + 3) * JDB_PAGE_SIZE};
    jdb__heap_set_limit(&limit);
    MUST(jdb__heap_extend(&run, (1 << 14) + 5, 1 << 15, 1, &missing) == -EDQUOT && missing == 2);
    MUST(jdb__heap_extend(&run, (1 << 14) + 3, 1 << 15, 1, &missing) == 0 && run.page_count == (1 << 14) + 3);
}

static void a_run_grows_into_whatever_is_free_behind_it(void **state)
{
    (void)state;
    assert_child(body_behind);
}

static void dirty_pages_are_joined_with_clean_ones(void **state)
{
    (void)state;
    assert_child(body_joined);
}

static void body_low_stays(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < 10; i++) {
        runs[i] = take_apart(80 - i);
        runs[i].is_zero = false;
    }
    give_runs(10);
    set_dirty_max(400);
    MUST(dirty_pages() <= 300 && dirty_pages() >= 300 - 80 - GUARD);
    while (dirty_pages() > 80)
        MUST(take(70).index < runs[5].index);
}

static void what_goes_back_lies_high(void **state)
{
    (void)state;
    assert_child(body_low_stays);
}

/* ---- Given back ------------------------------------------------------------------------------------------- */

static unsigned refusals_left;

static int refuse_first(enum os_call kind)
{
    if (kind != OS_CALL_ADVISE || refusals_left == 0)
        return 0;
    refusals_left--;
    return -EINVAL;
}

/* The largest extent is refused at first. */
static void body_one_refused(void *argument)
{
    (void)argument;
    take_runs(20, 200);
    struct run large = take_apart(600);
    large.is_zero = false;
    give_runs(20);
    jdb__heap_give(&large);
    refusals_left = 1;
    faults_set_hook(refuse_first);
    set_dirty_max(3200);
    MUST(refusals_left == 0 && dirty_pages() <= 2400);
    for (unsigned i = 0; i < 4; i++)
        jdb__heap_end_steps(HEAP_STEPS);
    MUST(dirty_pages() == 0);
}

static void one_refused_extent_does_not_keep_the_others(void **state)
{
    (void)state;
    assert_child(body_one_refused);
}

static void body_all_refused(void *argument)
{
    (void)argument;
    set_dirty_max(1000);
    take_runs(200, 10);
    faults_arm_all(OS_CALL_ADVISE, 0, -EINVAL);
    give_runs(150);
    MUST(dirty_pages() == 150 * (10 + GUARD));
    unsigned drops_with_calls = 0;
    for (unsigned i = 150; i < 200; i++) {
        const unsigned long before = faults_calls(OS_CALL_ADVISE);
        jdb__heap_give(&runs[i]);
        drops_with_calls += faults_calls(OS_CALL_ADVISE) != before;
    }
    MUST(drops_with_calls >= 1 && drops_with_calls <= 3);
    jdb__heap_purge();
    MUST(dirty_pages() == 200 * (10 + GUARD));
    faults_disarm();
    jdb__heap_purge();
    MUST(dirty_pages() == 0);
}

static void where_all_is_refused_few_drops_try(void **state)
{
    (void)state;
    assert_child(body_all_refused);
}

/* What was refused once and has been taken again leaves no room for other pages. */
static void body_refusals_end(void *argument)
{
    (void)argument;
    set_dirty_max(1000);
    take_runs(200, 10);
    faults_arm_all(OS_CALL_ADVISE, 0, -EINVAL);
    give_runs(200);
    MUST(dirty_pages() == 200 * (10 + GUARD));
    faults_disarm();
    take_runs(200, 10);
    MUST(dirty_pages() < 500);
    give_runs(200);
    MUST(dirty_pages() <= 1000);
}

static void the_limit_holds_again_when_refusals_end(void **state)
{
    (void)state;
    assert_child(body_refusals_end);
}

static struct run large_runs[4];
static unsigned given;

/* As other threads would, which free while this one is in the system. */
static int give_another(enum os_call kind)
{
    if (kind == OS_CALL_ADVISE && given < 4)
        jdb__heap_give(&large_runs[given++]);
    return 0;
}

static void body_overlap(void *argument)
{
    (void)argument;
    set_dirty_max(16384);
    take_runs(256, 62);
    for (unsigned i = 0; i < 4; i++) {
        large_runs[i] = take_apart(4096);
        large_runs[i].is_zero = false;
    }
    give_runs(256);
    faults_set_hook(give_another);
    jdb__heap_give(&large_runs[given++]);
    MUST(given == 4 && dirty_pages() <= 16384 && dirty_pages() > 12288 - 62 - GUARD);
}

static void purges_that_overlap_leave_what_may_stay(void **state)
{
    (void)state;
    assert_child(body_overlap);
}

static sem_t second_may_start;
static sem_t first_may_go_on;
static sem_t first_has_ended;
static _Thread_local unsigned purger; /* 1 or 2 */

/* The first purge is in the system until the second one is, and that until the first has ended. */
static int wait_for_the_other(enum os_call kind)
{
    const unsigned who = purger;
    if (kind != OS_CALL_ADVISE || who == 0)
        return 0;
    purger = 0;
    sem_post(who == 1 ? &second_may_start : &first_may_go_on);
    sem_wait(who == 1 ? &first_may_go_on : &first_has_ended);
    return 0;
}

static void *purge_second(void *argument)
{
    sem_wait(&second_may_start);
    purger = 2;
    jdb__heap_purge();
    return argument;
}

static void body_two_purges(void *argument)
{
    (void)argument;
    struct run old = take_apart(10);
    old.is_zero = false;
    take_runs(100, 100);
    jdb__heap_give(&old);
    give_runs(100);
    MUST(dirty_pages() == 10 + GUARD + 100 * (100 + GUARD));
    MUST(sem_init(&second_may_start, 0, 0) == 0 && sem_init(&first_may_go_on, 0, 0) == 0);
    MUST(sem_init(&first_has_ended, 0, 0) == 0);
    faults_set_hook(wait_for_the_other);
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, purge_second, NULL) == 0);
    purger = 1;
    jdb__heap_purge();
    sem_post(&first_has_ended);
    MUST(pthread_join(thread, NULL) == 0);
    MUST(dirty_pages() == 0);
}

static void two_purges_at_once_leave_nothing(void **state)
{
    (void)state;
    assert_child(body_two_purges);
}

static void end_steps(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        jdb__heap_end_steps(1);
}

static void body_spare(void *argument)
{
    (void)argument;
    take_runs(2, 100);
    jdb__heap_give(&runs[0]);
    end_steps(3);
    jdb__heap_give(&runs[1]);
    end_steps(HEAP_STEPS - 3);
    MUST(dirty_pages() == 2 * (100 + GUARD));
    end_steps(1);
    MUST(dirty_pages() == 100 + GUARD);
    end_steps(2);
    MUST(dirty_pages() == 100 + GUARD);
    end_steps(1);
    MUST(dirty_pages() == 0);
}

static void pages_go_back_when_nobody_needed_them_for_an_epoch(void **state)
{
    (void)state;
    assert_child(body_spare);
}

/* 300 pages are freed, and 200 of them taken again and freed in every sixth step. */
static void body_dip(void *argument)
{
    (void)argument;
    struct run dip = take_apart(200);
    struct run rest = take_apart(100);
    dip.is_zero = rest.is_zero = false;
    const uint32_t index = dip.index;
    jdb__heap_give(&dip);
    jdb__heap_give(&rest);
    for (unsigned i = 0; i < 60; i++) {
        end_steps(1);
        if (i % 6 != 5)
            continue;
        dip = take(200);
        MUST(dip.index == index && !dip.is_zero);
        jdb__heap_give(&dip);
    }
    MUST(dirty_pages() == 200 + GUARD);
    end_steps(HEAP_STEPS + 1);
    MUST(dirty_pages() == 0);
}

static void what_the_largest_dip_took_again_stays(void **state)
{
    (void)state;
    assert_child(body_dip);
}

/* Of one extent no more goes than is spare. */
static void body_part(void *argument)
{
    (void)argument;
    struct run whole = take_apart(10000);
    whole.is_zero = false;
    jdb__heap_give(&whole);
    for (unsigned i = 0; i < 3 * HEAP_STEPS; i++) {
        struct run part = take(9000);
        MUST(part.index == whole.index);
        part.is_zero = false;
        jdb__heap_give(&part);
        end_steps(1);
    }
    MUST(dirty_pages() <= 9000 + GUARD && dirty_pages() >= 9000 - 64);
}

static void no_more_goes_back_than_is_spare(void **state)
{
    (void)state;
    assert_child(body_part);
}

/* Steps that nobody saw end count as one that was as long. */
static void body_late(void *argument)
{
    (void)argument;
    take_runs(1, 100);
    jdb__heap_give(&runs[0]);
    jdb__heap_end_steps(1);
    jdb__heap_end_steps(HEAP_STEPS - 1);
    MUST(dirty_pages() == 100 + GUARD);
    jdb__heap_end_steps(1);
    MUST(dirty_pages() == 0);
    take_runs(1, 100);
    jdb__heap_give(&runs[0]);
    jdb__heap_end_steps(1000);
    MUST(dirty_pages() == 100 + GUARD);
    jdb__heap_end_steps(1000);
    MUST(dirty_pages() == 0);
}

static void steps_that_end_late_count_all(void **state)
{
    (void)state;
    assert_child(body_late);
}

/* Each with the tables of its extents. */
static void body_some(void *argument)
{
    (void)argument;
    take_runs(40, 10000);
    give_runs(40);
    unsigned calls = 0;
    for (bool has_more = true; has_more; calls++) {
        const unsigned long before = faults_calls(OS_CALL_ADVISE);
        has_more = jdb__heap_purge_some();
        MUST(faults_calls(OS_CALL_ADVISE) - before <= PURGE_CALLS_MAX);
    }
    MUST(dirty_pages() == 0 && calls == 10); /* four extents of three calls each */
    faults_arm_all(OS_CALL_ADVISE, 0, -EINVAL);
    take_runs(40, 10);
    give_runs(40);
    MUST(!jdb__heap_purge_some() && dirty_pages() == 40 * (10 + GUARD));
}

static void a_call_gives_some_back_and_says_if_there_is_more(void **state)
{
    (void)state;
    assert_child(body_some);
}

/* ---- Moved -------------------------------------------------------------------------------------------------- */

enum { MOVED_PAGES = 64 };

struct give_moved {
    enum os_call refused; /* OS_CALL_COUNT: none */
    bool is_unmapped;
    bool is_dirty;
};

static uint64_t mapped_pages(void)
{
    struct heap_stats stats;
    jdb__heap_stats(&stats);
    return stats.mapped_pages;
}

/* A moved run gets a fresh mapping: readable, where that is refused reserved, and where all is refused it is what it was. */
static void body_moved(void *argument)
{
    const struct give_moved *const now = argument;
    struct run from = take(MOVED_PAGES);
    struct run to = take_apart(MOVED_PAGES);
    from.is_zero = to.is_zero = false;
    memset(run_address(&from), 7, MOVED_PAGES * JDB_PAGE_SIZE);
    if (jdb__heap_move(&from, &to) != 0)
        return; /* a system without the call */
    MUST(run_address(&to)[MOVED_PAGES * JDB_PAGE_SIZE - 1] == 7);
    const uint64_t mapped = mapped_pages();
    if (now->refused != OS_CALL_COUNT)
        faults_arm_all(now->refused, 0, -ENOMEM);
    jdb__heap_give(&to);
    faults_disarm();
    MUST(mapped - mapped_pages() == (now->is_unmapped ? MOVED_PAGES + GUARD : 0));
    MUST(dirty_pages() == (now->is_dirty ? MOVED_PAGES + GUARD : 0));
    struct run run = {0};
    for (unsigned i = 0; i < 3; i++) {
        MUST(take_zero(MOVED_PAGES, &run) == 0 && run.is_zero);
        for (size_t at = 0; at < MOVED_PAGES * JDB_PAGE_SIZE; at += 512)
            MUST(run_address(&run)[at] == 0);
    }
    if (now->is_dirty)
        MUST(take(MOVED_PAGES).index == to.index && run_address(&to)[0] == 7);
}

static void a_moved_run_gets_a_fresh_mapping_or_stays(void **state)
{
    (void)state;
    char text[4096];
    struct give_moved all[] = {
        {OS_CALL_COUNT, false, false}, {OS_CALL_PROTECT, true, false}, {OS_CALL_MAP, false, true}};
    for (size_t i = 0; i < 3; i++)
        if (must_run_child(body_moved, &all[i], text, sizeof text) != 0)
            fail_msg("%zu: %s", i, text);
}

/* ---- Ranges set aside --------------------------------------------------------------------------------------- */

static struct run take_bounded(uint32_t page_count, uint32_t max_pages)
{
    struct run run = {0};
    uint64_t missing = 0;
    MUST(jdb__heap_take(&(struct heap_wish){page_count, 1, max_pages, false}, &run, &missing) == 0);
    return run;
}

static uint64_t bookkeeping_bytes(void)
{
    struct heap_stats stats;
    jdb__heap_stats(&stats);
    return stats.bookkeeping_bytes;
}

/* The next range is reserved before the last one is freed, as a log does with its segments. */
static void body_rotation(void *argument)
{
    const bool are_sizes_mixed = *(const bool *)argument;
    enum { ROUNDS = 4000, MAX_PAGES = 512 };
    struct run last = take_bounded(1, MAX_PAGES);
    const uint32_t first = last.index;
    const uint64_t before = bookkeeping_bytes();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const struct run next = take_bounded(1, are_sizes_mixed ? 1 + i * 37 % MAX_PAGES : MAX_PAGES);
        jdb__heap_give(&last);
        last = next;
        MUST(first - last.index <= 4 * MAX_PAGES || last.index > first);
    }
    MUST(bookkeeping_bytes() == before);
    jdb__heap_give(&last);
    MUST(take_bounded(1, MAX_PAGES).index == first);
}

static void ranges_in_rotation_use_the_same_addresses(void **state)
{
    (void)state;
    char text[4096];
    for (int i = 0; i < 2; i++) {
        bool are_sizes_mixed = i != 0;
        if (must_run_child(body_rotation, &are_sizes_mixed, text, sizeof text) != 0)
            fail_msg("%s sizes: %s", are_sizes_mixed ? "mixed" : "equal", text);
    }
}

/* What they left is for other ranges: a run there would not fit into the caches, and would split it. */
static void body_hole(void *argument)
{
    (void)argument;
    const struct run low = take(1);
    const struct run range = take_bounded(1, 1 << 14);
    const struct run other = take_bounded(1, 1 << 14);
    jdb__heap_give(&range);
    for (unsigned i = 0; i < 3000; i++)
        MUST(take(7).index < other.index);
    MUST(low.zone != range.zone && take_bounded(1, 1 << 14).index == range.index);
}

static void runs_leave_the_hole_of_a_range_alone(void **state)
{
    (void)state;
    assert_child(body_hole);
}

/* ---- Refused ------------------------------------------------------------------------------------------------ */

/* Bytes of address space of the process. */
static uint64_t address_bytes(void)
{
    FILE *const file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    MUST(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return (uint64_t)pages * 4096;
}

static unsigned maps_left;

/* The system has no more than 256 MiB of addresses in one piece, until it is asked for more than a few times. */
static int refuse_large_maps(enum os_call kind)
{
    if (kind != OS_CALL_MAP || maps_left == 0)
        return 0;
    maps_left--;
    return -ENOMEM;
}

enum refused { REFUSED_TAKE, REFUSED_BATCH, REFUSED_BOUNDED, REFUSED_COUNT };

static int take_and_drop(enum refused how, uint32_t page_count)
{
    struct run run = {0};
    uint64_t missing = 0;
    uint32_t index = 0;
    unsigned count = 0;
    int err = 0;
    if (how == REFUSED_BATCH)
        err = jdb__heap_take_batch(16, 1, &index, &count, &missing);
    else if (how == REFUSED_BOUNDED)
        err = jdb__heap_take(&(struct heap_wish){page_count, 1, page_count + 100, false}, &run, &missing);
    else
        err = jdb__heap_take(&(struct heap_wish){page_count, 1, 0, false}, &run, &missing);
    if (err == 0 && how == REFUSED_BATCH)
        jdb__heap_give_batch(&index, 1, false);
    else if (err == 0)
        jdb__heap_give(&run);
    return err;
}

struct refusal {
    enum refused how;
    bool is_first;       /* the process has no zone yet */
    uint32_t page_count; /* more than a zone of 256 MiB has, or not */
    unsigned after;      /* calls that work before all are refused */
};

static const struct refusal *refusal;

enum { NOTHING_REFUSED = 100 };

/* Nothing stays of a request that is refused after some calls, however often it is repeated. */
static void body_refused(void *argument)
{
    refusal = argument;
    struct heap_stats before;
    struct heap_stats after;
    faults_set_hook(refuse_large_maps);
    if (!refusal->is_first) {
        maps_left = 1; /* of 1 TiB */
        MUST(take_and_drop(REFUSED_TAKE, 16) == 0);
    }
    jdb__heap_stats(&before);
    MUST(before.reserved_pages <= (refusal->is_first ? 0 : 1 << 16));
    const uint64_t addresses = address_bytes();
    for (unsigned round = 0; round < 20; round++) {
        maps_left = refusal->is_first ? 1 : 0;
        faults_arm_all(OS_CALL_PROTECT, refusal->after, -ENOMEM);
        const int err = take_and_drop(refusal->how, refusal->page_count);
        const bool is_refused = faults_disarm();
        MUST(is_refused == (err != 0));
        if (!is_refused && round == 0)
            _exit(NOTHING_REFUSED);
    }
    jdb__heap_stats(&after);
    MUST(after.reserved_pages == before.reserved_pages && after.taken_pages == before.taken_pages);
    MUST(after.mapped_pages <= before.mapped_pages + 1024 * 3);
    MUST(TIER_SANITIZED || address_bytes() - addresses < (uint64_t)64 << 20);
    maps_left = refusal->is_first ? 1 : 0;
    MUST(take_and_drop(refusal->how, refusal->page_count) == 0);
}

static void what_is_refused_leaves_no_addresses_behind(void **state)
{
    (void)state;
    char text[4096];
    unsigned refused = 0;
    for (int how = 0; how < REFUSED_COUNT; how++)
        for (int i = 0; i < 4; i++) {
            if (TIER_CHECKED && how == REFUSED_BATCH)
                continue; /* batches are for caches, which that build has none of */
            struct refusal now = {(enum refused)how, i % 2 != 0, i / 2 != 0 ? 1 << 17 : 100, 0};
            int status = 0;
            for (; (status = must_run_child(body_refused, &now, text, sizeof text)) == 0; now.after++)
                refused++;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != NOTHING_REFUSED)
                fail_msg("kind %d, first %d, %u pages, %u calls work: status %d: %s", how, now.is_first, now.page_count,
                         now.after, status, text);
        }
    print_message("refused at %u calls\n", refused);
    assert_true(refused >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dirty_pages_are_joined_with_clean_ones),
        cmocka_unit_test(a_run_grows_into_whatever_is_free_behind_it),
        cmocka_unit_test(what_goes_back_lies_high),
        cmocka_unit_test(one_refused_extent_does_not_keep_the_others),
        cmocka_unit_test(where_all_is_refused_few_drops_try),
        cmocka_unit_test(the_limit_holds_again_when_refusals_end),
        cmocka_unit_test(purges_that_overlap_leave_what_may_stay),
        cmocka_unit_test(two_purges_at_once_leave_nothing),
        cmocka_unit_test(pages_go_back_when_nobody_needed_them_for_an_epoch),
        cmocka_unit_test(what_the_largest_dip_took_again_stays),
        cmocka_unit_test(no_more_goes_back_than_is_spare),
        cmocka_unit_test(steps_that_end_late_count_all),
        cmocka_unit_test(a_call_gives_some_back_and_says_if_there_is_more),
        cmocka_unit_test(a_moved_run_gets_a_fresh_mapping_or_stays),
        cmocka_unit_test(ranges_in_rotation_use_the_same_addresses),
        cmocka_unit_test(runs_leave_the_hole_of_a_range_alone),
        cmocka_unit_test(what_is_refused_leaves_no_addresses_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
