/* SPDX-License-Identifier: MIT
 *
 * cost.h - what this process costs: resident memory, page faults, time.
 */
#ifndef JDB_TEST_COST_H
#define JDB_TEST_COST_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

/* Resident bytes, exact: smaps_rollup walks the page tables, while the counters of statm lag by many pages. 0 where
 * the system does not say. Source: proc(5). */
static inline uint64_t cost_resident_bytes(void)
{
    FILE *const file = fopen("/proc/self/smaps_rollup", "r");
    if (file == NULL)
        return 0;
    char line[256];
    uint64_t kib = 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

/* Page faults that needed no I/O, of all threads. */
static inline uint64_t cost_minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt;
}

static inline uint64_t cost_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
