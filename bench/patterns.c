/* SPDX-License-Identifier: MIT
 *
 * patterns.c - rows whose cost is page faults and system calls as much as instructions: processor time of the whole
 * process, faults, and what stays resident. One process, one measurement, printed as a line of JSON:
 * {"work":"burst","cpu_ns":[275.1],"faults":[0.01],"after_mib":[2.4]}.
 */
#include "maker.h"
#include "sample.h"
#include "usage.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void make_touched(block *it, size_t size)
{
    sample_must(block_make(it, size), "make");
    touch_pages(it->ptr, size);
}

/* 2.5 seconds with a block of one page every 10 ms, as a server that is nearly idle. */
static double resident_when_idle(double before)
{
    for (unsigned i = 0; i < 250; i++) {
        block it;
        make_touched(&it, 4096);
        block_drop(&it, 4096);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    const double after = resident_bytes() - before;
    return after > 0 ? after / (double)MIB : 0;
}

/* ---- 800 MiB allocated on one thread, freed on another, again and again ------------------------------------------ */

enum { BURST_COUNT = 50000, BURST_ROUNDS = 10 };
#define BURST_SIZE (16 * KIB)

typedef struct burst {
    block *blocks;
    pthread_barrier_t turn;
} burst;

static void *burst_drop(void *context)
{
    burst *it = context;
    for (unsigned round = 0; round < BURST_ROUNDS; round++) {
        pthread_barrier_wait(&it->turn);
        for (unsigned i = 0; i < BURST_COUNT; i++)
            block_drop(&it->blocks[i], BURST_SIZE);
        pthread_barrier_wait(&it->turn);
    }
    return NULL;
}

static void burst_make(const burst *it)
{
    for (unsigned i = 0; i < BURST_COUNT; i++)
        make_touched(&it->blocks[i], BURST_SIZE);
}

/* The first round, which touches memory for the first time, does not count. */
static void count_burst(void)
{
    burst it = {.blocks = map_touched(BURST_COUNT * sizeof *it.blocks)};
    pthread_t dropper;
    const double before = resident_bytes();
    sample_must(pthread_barrier_init(&it.turn, NULL, 2), "pthread_barrier_init");
    sample_must(pthread_create(&dropper, NULL, burst_drop, &it), "pthread_create");
    double cpu = 0, faults = 0;
    for (unsigned round = 0; round < BURST_ROUNDS; round++) {
        burst_make(&it);
        pthread_barrier_wait(&it.turn);
        pthread_barrier_wait(&it.turn);
        if (round == 0) {
            cpu = cpu_ns();
            faults = minor_faults();
        }
    }
    const double buffers = (double)BURST_COUNT * (BURST_ROUNDS - 1);
    cpu = cpu_ns() - cpu;
    faults = minor_faults() - faults;
    pthread_join(dropper, NULL);
    printf("{\"work\":\"burst\",\"cpu_ns\":[%.1f],\"faults\":[%.4f],\"after_mib\":[%.2f]}\n", cpu / buffers,
           faults / buffers, resident_when_idle(before));
}

/* ---- 100,000 pages allocated and freed in order ------------------------------------------------------------------- */

static void count_pages(void)
{
    enum { PAGES = 100000, ROUNDS = 6 };
    block *blocks = map_touched(PAGES * sizeof *blocks);
    double cpu = 0, faults = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round == 1) {
            cpu = cpu_ns();
            faults = minor_faults();
        }
        for (unsigned i = 0; i < PAGES; i++)
            make_touched(&blocks[i], 4096);
        for (unsigned i = 0; i < PAGES; i++)
            block_drop(&blocks[i], 4096);
    }
    const double pages = (double)PAGES * (ROUNDS - 1);
    printf("{\"work\":\"pages\",\"cpu_ns\":[%.1f],\"faults\":[%.4f]}\n", (cpu_ns() - cpu) / pages,
           (minor_faults() - faults) / pages);
}

/* ---- Every size, a gigabyte alive --------------------------------------------------------------------------- */

enum { MIXED_STEPS = 30000, MIXED_MAX = 4096 };

typedef struct mixed {
    block blocks[MIXED_MAX];
    size_t sizes[MIXED_MAX];
    size_t count, live;
    uint64_t random;
} mixed;

static uint64_t mixed_random(mixed *it)
{
    it->random ^= it->random << 13;
    it->random ^= it->random >> 7;
    it->random ^= it->random << 17;
    return it->random;
}

/* From one page to 16 MiB, each doubling as likely as the other. The first and last page are written. */
static void mixed_make(mixed *it, bool is_whole)
{
    const double exponent = 12 + 12 * (double)(mixed_random(it) % 100000) / 100000;
    const size_t size = ((size_t)exp2(exponent) + 4095) & ~(size_t)4095;
    block *made = &it->blocks[it->count];
    sample_must(block_make(made, size), "make");
    touch_pages(made->ptr, is_whole ? size : 1);
    made->ptr[size - 1] = 1;
    it->sizes[it->count++] = size;
    it->live += size;
}

static void mixed_drop(mixed *it)
{
    const size_t at = mixed_random(it) % it->count;
    block_drop(&it->blocks[at], it->sizes[at]);
    it->live -= it->sizes[at];
    it->blocks[at] = it->blocks[--it->count];
    it->sizes[at] = it->sizes[it->count];
}

#ifdef BENCH_JDB
static double purge_calls(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    sample_must(jdb_get_page_stats(&stats), "jdb_get_page_stats");
    return (double)stats.decommit_calls;
}
#else
static double purge_calls(void)
{
    return 0;
}
#endif

static void count_mixed(const char *name, bool is_whole, size_t live_max)
{
    static mixed it = {.random = 88172645463325252u};
    const double before = resident_bytes();
    double peak = 0;
    const double cpu = cpu_ns(), faults = minor_faults(), calls = purge_calls();
    for (unsigned step = 0; step < MIXED_STEPS; step++) {
        while (it.live > live_max)
            mixed_drop(&it);
        mixed_make(&it, is_whole);
        const double ratio = step % 1000 == 999 ? (resident_bytes() - before) / (double)it.live : 0;
        peak = ratio > peak ? ratio : peak;
    }
    printf("{\"work\":\"%s\",\"cpu_ns\":[%.1f],\"faults\":[%.4f],\"purge_calls\":[%.0f],\"resident\":[%.4f]", name,
           (cpu_ns() - cpu) / MIXED_STEPS, (minor_faults() - faults) / MIXED_STEPS, purge_calls() - calls, peak);
    while (it.count > 0)
        mixed_drop(&it);
    printf(",\"after_mib\":[%.2f]}\n", resident_when_idle(before));
}

/* ---- The first touch of fresh pages ---------------------------------------------------------------------------- */

static void count_touch(void)
{
    enum { PAGES = 65536 };
    block *blocks = map_touched(PAGES * sizeof *blocks);
    const double cpu = cpu_ns(), faults = minor_faults();
    for (unsigned i = 0; i < PAGES; i++)
        make_touched(&blocks[i], 4096);
    printf("{\"work\":\"touch\",\"cpu_ns\":[%.1f],\"faults\":[%.4f]}\n", (cpu_ns() - cpu) / PAGES,
           (minor_faults() - faults) / PAGES);
}

/* ---- Ten thousand threads that worked and sleep ----------------------------------------------------------------- */

enum { SLEEPERS = 10000, SLEEPER_LIVE = 4, SLEEPER_ROUNDS = 20 };

static pthread_barrier_t sleepers_turn;

static void sleeper_work(void)
{
    block blocks[SLEEPER_LIVE];
    for (unsigned round = 0; round < SLEEPER_ROUNDS; round++) {
        for (size_t i = 0; i < SLEEPER_LIVE; i++)
            make_touched(&blocks[i], (i + 1) * 4096);
        for (size_t i = 0; i < SLEEPER_LIVE; i++)
            block_drop(&blocks[i], (i + 1) * 4096);
    }
}

static void *sleeper_main(void *context)
{
    volatile char stack[8 * KIB] = {0};
    (void)context;
    (void)stack;
    pthread_barrier_wait(&sleepers_turn);
    pthread_barrier_wait(&sleepers_turn);
    sleeper_work();
    pthread_barrier_wait(&sleepers_turn);
    pthread_barrier_wait(&sleepers_turn);
    return NULL;
}

/* What they hold beyond their stacks. */
static void count_sleepers(void)
{
    pthread_t *ids = map_touched(SLEEPERS * sizeof *ids);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * KIB);
    pthread_barrier_init(&sleepers_turn, NULL, SLEEPERS + 1);
    for (unsigned i = 0; i < SLEEPERS; i++)
        sample_must(pthread_create(&ids[i], &attributes, sleeper_main, NULL), "pthread_create");
    pthread_barrier_wait(&sleepers_turn);
    const double before = resident_bytes();
    pthread_barrier_wait(&sleepers_turn);
    pthread_barrier_wait(&sleepers_turn);
    const double at_once = (resident_bytes() - before) / (double)MIB;
    const double when_idle = resident_when_idle(before);
    pthread_barrier_wait(&sleepers_turn);
    for (unsigned i = 0; i < SLEEPERS; i++)
        pthread_join(ids[i], NULL);
    printf("{\"work\":\"sleepers\",\"at_once_mib\":[%.1f],\"after_mib\":[%.1f]}\n", at_once, when_idle);
}

int main(int argc, char **argv)
{
    const char *work = argc > 1 ? argv[1] : "";
    if (strcmp(work, "burst") == 0)
        count_burst();
    else if (strcmp(work, "pages") == 0)
        count_pages();
    else if (strcmp(work, "mixed") == 0)
        count_mixed(work, false, GIB);
    else if (strcmp(work, "mixed-whole") == 0)
        count_mixed(work, true, GIB / 4);
    else if (strcmp(work, "touch") == 0)
        count_touch();
    else if (strcmp(work, "sleepers") == 0)
        count_sleepers();
    else
        fprintf(stderr, "usage: PROGRAM burst | pages | mixed | mixed-whole | touch | sleepers\n");
    return 0;
}
