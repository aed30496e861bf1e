/* SPDX-License-Identifier: MIT
 *
 * memory.c - the rows that count bytes and faults: what a contender keeps resident for what it lends, what a lazy
 * gigabyte costs, what an appending writer copies, and what churn does to memory. One process, one measurement,
 * printed as a line of JSON: {"work":"resident","lent":[1.001],"trimmed":[0.004]}.
 */
#include "maker.h"
#include "sample.h"
#include "usage.h"

#include <malloc.h>

/* ---- Resident bytes for each byte lent, and after everything was dropped ------------------------------------ */

static void count_resident(void)
{
    enum { PAGES = 65536 };
    block *blocks = map_touched(PAGES * sizeof *blocks);
    const double before = resident_bytes();
    for (unsigned i = 0; i < PAGES; i++) {
        sample_must(block_make(&blocks[i], 4096), "make");
        touch_pages(blocks[i].ptr, 4096);
    }
    const double lent = resident_bytes() - before;
    for (unsigned i = 0; i < PAGES; i++)
        block_drop(&blocks[i], 4096);
    blocks_trim();
    const double trimmed = resident_bytes() - before;
    printf("{\"work\":\"resident\",\"lent\":[%.5f],\"trimmed\":[%.5f]}\n", lent / (PAGES * 4096.0),
           trimmed > 0 ? trimmed / (PAGES * 4096.0) : 0);
}

/* ---- A gigabyte of zeros ---------------------------------------------------------------------------------- */

/* The contender has set itself up before: one page was allocated and freed. */
static void count_gib(void)
{
    block it;
    sample_must(block_make(&it, 4096), "make");
    block_drop(&it, 4096);
    const double before = resident_bytes();
    const uint64_t start = sample_now();
    sample_must(block_make_zeroed(&it, 1024 * MIB), "make zeroed");
    const uint64_t took = sample_now() - start;
    const double resident = resident_bytes() - before;
    block_escape(&it);
    block_drop(&it, 1024 * MIB);
    printf("{\"work\":\"gib\",\"us\":[%.3f],\"resident_kib\":[%.1f]}\n", (double)took / 1000, resident / 1024);
}

/* ---- Append 512 MiB in steps of 64 KiB, from one page -------------------------------------------------------- */

enum { APPEND_STEP = 64 * 1024 };
#define APPEND_SIZE (512 * MIB)

typedef struct appended {
    double copied_bytes, faults;
    uint64_t ns;
} appended;

static uint8_t append_step[APPEND_STEP];

/* The measure for faults: the same bytes written into memory set aside. */
static appended append_in_place(void)
{
    uint8_t *region = mmap(NULL, APPEND_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sample_must(region == MAP_FAILED ? errno : 0, "mmap");
    appended it = {.faults = minor_faults(), .ns = sample_now()};
    for (size_t len = 0; len < APPEND_SIZE; len += APPEND_STEP)
        memcpy(region + len, append_step, APPEND_STEP);
    it = (appended){.faults = minor_faults() - it.faults, .ns = sample_now() - it.ns};
    munmap(region, APPEND_SIZE);
    return it;
}

#ifdef BENCH_JDB

static double copied_bytes(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    sample_must(jdb_get_page_stats(&stats), "jdb_get_page_stats");
    return (double)stats.copied_bytes;
}

static void append_by_contender(double *ret_copied)
{
    const double before = copied_bytes();
    block it;
    sample_must(block_make(&it, 4096), "make");
    for (size_t len = 0; len < APPEND_SIZE; len += APPEND_STEP) {
        sample_must(jdb_buf_reserve(&it, APPEND_STEP), "reserve");
        sample_must(jdb_buf_extend(&it, append_step, APPEND_STEP), "extend");
    }
    block_drop(&it, it.cap);
    *ret_copied = copied_bytes() - before;
}

#else

/* Aligned memory has no realloc: a block larger by half, a copy, a drop. */
static void append_by_contender(double *ret_copied)
{
    block it;
    size_t cap = 4096, len = 0;
    sample_must(block_make(&it, cap), "make");
    for (; len < APPEND_SIZE; len += APPEND_STEP) {
        if (cap - len < APPEND_STEP) {
            const size_t larger =
                (cap + cap / 2 > len + APPEND_STEP ? cap + cap / 2 : len + APPEND_STEP) & ~(size_t)4095;
            block next;
            sample_must(block_make(&next, larger), "make");
            memcpy(next.ptr, it.ptr, len);
            *ret_copied += (double)len;
            block_drop(&it, cap);
            it = next;
            cap = larger;
        }
        memcpy(it.ptr + len, append_step, APPEND_STEP);
    }
    block_drop(&it, cap);
}

#endif

static void count_append(void)
{
    memset(append_step, 7, sizeof append_step);
    const appended in_place = append_in_place();
    appended it = {.faults = minor_faults(), .ns = sample_now()};
    append_by_contender(&it.copied_bytes);
    it.faults = minor_faults() - it.faults;
    it.ns = sample_now() - it.ns;
    printf("{\"work\":\"append\",\"copied_kib\":[%.1f],\"faults\":[%.0f],\"faults_in_place\":[%.0f],\"fault_ratio\":[%."
           "4f]",
           it.copied_bytes / 1024, it.faults, in_place.faults, it.faults / in_place.faults);
    printf(",\"ms\":[%.1f],\"ms_in_place\":[%.1f]}\n", (double)it.ns / 1e6, (double)in_place.ns / 1e6);
}

/* ---- Frames among small allocations ------------------------------------------------------------------------- */

/* A steady state: 64 MiB of frames and sixteen small allocations of 32 to 511 bytes for each. A step drops a frame,
 * replaces sixteen small ones, then makes a frame; every frame is replaced twenty times. The small ones are malloc's:
 * the contender's own where it stands in for malloc, else the C library's. */
enum { SMALL_OF_FRAME = 16, TURNS = 20 };

typedef struct churn {
    block *frames;
    void **small;
    size_t *small_sizes;
    size_t frame_size, frame_count;
    uint64_t random;
} churn;

static uint64_t churn_random(churn *it, uint64_t below)
{
    it->random ^= it->random << 13;
    it->random ^= it->random >> 7;
    it->random ^= it->random << 17;
    return it->random % below;
}

static void churn_small(churn *it, size_t index)
{
    free(it->small[index]);
    it->small_sizes[index] = 32 + churn_random(it, 480);
    it->small[index] = malloc(it->small_sizes[index]);
    sample_must(it->small[index] == NULL ? ENOMEM : 0, "malloc");
    memset(it->small[index], 1, it->small_sizes[index]);
}

static void churn_make_frame(churn *it, size_t index)
{
    sample_must(block_make(&it->frames[index], it->frame_size), "make");
    touch_pages(it->frames[index].ptr, it->frame_size);
}

static double churn_live(const churn *it)
{
    double live = (double)(it->frame_count * it->frame_size);
    for (size_t i = 0; i < it->frame_count * SMALL_OF_FRAME; i++)
        live += (double)it->small_sizes[i];
    return live;
}

static void count_churn(size_t frame_size)
{
    churn it = {.frame_size = frame_size, .frame_count = 64 * MIB / frame_size, .random = 88172645463325252u};
    const size_t small_count = it.frame_count * SMALL_OF_FRAME;
    it.frames = map_touched(it.frame_count * sizeof *it.frames);
    it.small = map_touched(small_count * sizeof *it.small);
    it.small_sizes = map_touched(small_count * sizeof *it.small_sizes);
    const double before = resident_bytes();
    for (size_t i = 0; i < it.frame_count; i++) {
        churn_make_frame(&it, i);
        for (size_t j = 0; j < SMALL_OF_FRAME; j++)
            churn_small(&it, i * SMALL_OF_FRAME + j);
    }
    for (size_t step = 0; step < TURNS * it.frame_count; step++) {
        const size_t frame = churn_random(&it, it.frame_count);
        block_drop(&it.frames[frame], it.frame_size);
        for (size_t j = 0; j < SMALL_OF_FRAME; j++)
            churn_small(&it, churn_random(&it, small_count));
        churn_make_frame(&it, frame);
    }
    printf("{\"work\":\"churn\",\"resident\":[%.4f]}\n", (resident_bytes() - before) / churn_live(&it));
}

int main(int argc, char **argv)
{
    const char *work = argc > 1 ? argv[1] : "";
    if (strcmp(work, "resident") == 0)
        count_resident();
    else if (strcmp(work, "gib") == 0)
        count_gib();
    else if (strcmp(work, "append") == 0)
        count_append();
    else if (strcmp(work, "churn16k") == 0)
        count_churn(16 * KIB);
    else if (strcmp(work, "churn64k") == 0)
        count_churn(64 * KIB);
    else
        fprintf(stderr, "usage: PROGRAM resident | gib | append | churn16k | churn64k\n");
    return 0;
}
