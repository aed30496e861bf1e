/* SPDX-License-Identifier: MIT
 *
 * usage.h - what the system says of the process, for the rows that count bytes and faults.
 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include "sample.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Bytes of this process's own memory that are resident; not code and files, which come in by chance around what is
 * touched. Exact, where /proc/self/statm lags behind by up to 64 pages for each thread. */
static inline double resident_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    sample_must(file == NULL ? errno : 0, "/proc/self/smaps_rollup");
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Anonymous: %llu kB", &kib) == 1)
            break;
    fclose(file);
    return (double)kib * 1024;
}

static inline double minor_faults(void)
{
    struct rusage usage;
    sample_must(getrusage(RUSAGE_SELF, &usage) == 0 ? 0 : errno, "getrusage");
    return (double)usage.ru_minflt;
}

static inline void *map_touched(size_t size)
{
    void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    sample_must(ptr == MAP_FAILED ? errno : 0, "mmap");
    return ptr;
}

static inline void touch_pages(uint8_t *ptr, size_t size)
{
    for (size_t at = 0; at < size; at += 4096)
        ptr[at] = 1;
}

#endif
