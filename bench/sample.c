/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_SAMPLES = 1000, TICKS = 200000 };

typedef struct bench_plan {
    bench_work work;
    uint64_t samples;
    uint64_t sample_ms;
    uint64_t count; /* not 0: do so many operations, once */
} bench_plan;

uint64_t sample_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void sample_fail(int err, const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(abs(err)));
    exit(1);
}

/* Four independent chains of additions: what a core does side by side. Where another machine uses the other half of
 * the core, this slows down as all dense code does; a chain of dependent operations would not show it. */
static double tick_ns(void)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    const uint64_t start = sample_now();
    for (unsigned i = 0; i < TICKS; i++)
        __asm__ volatile("add $1, %0\n add $1, %1\n add $1, %2\n add $1, %3\n"
                         "add $1, %0\n add $1, %1\n add $1, %2\n add $1, %3"
                         : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    return (double)(sample_now() - start) / TICKS;
}

static uint64_t batched(const bench_work *work, double count)
{
    const uint64_t batch = work->batch == 0 ? 1 : work->batch;
    const uint64_t batches = (uint64_t)(count / (double)batch);
    return (batches == 0 ? 1 : batches) * batch;
}

/* The shorter of two runs: a run that was interrupted says nothing of the work. */
static double undisturbed_ns(const bench_work *work, uint64_t count)
{
    const double first = (double)work->run(work, count);
    const double second = (double)work->run(work, count);
    return first < second ? first : second;
}

/* Operations that fill one sample; finding it warms the caches up. */
static uint64_t calibrate(const bench_work *work, double sample_ns)
{
    uint64_t count = batched(work, 1);
    double took = undisturbed_ns(work, count);
    while (took < sample_ns / 4) {
        count *= 4;
        took = undisturbed_ns(work, count);
    }
    return batched(work, (double)count * sample_ns / took);
}

static void print_list(const char *key, const double *values, uint64_t count)
{
    printf(",\"%s\":[", key);
    for (uint64_t i = 0; i < count; i++)
        printf("%s%.4f", i == 0 ? "" : ",", values[i]);
    printf("]");
}

static void take_samples(const bench_plan *plan)
{
    static double ns[MAX_SAMPLES], tick[MAX_SAMPLES];
    const bench_work *work = &plan->work;
    const uint64_t count = calibrate(work, (double)plan->sample_ms * 1e6);
    for (uint64_t i = 0; i < plan->samples; i++) {
        tick[i] = tick_ns();
        ns[i] = (double)work->run(work, count) / (double)count;
    }
    printf("{\"work\":\"%s\"", work->name);
    print_list("ns", ns, plan->samples);
    print_list("tick", tick, plan->samples);
    printf("}\n");
}

static int read_options(int argc, char **argv, bench_plan *plan)
{
    const struct {
        const char *name;
        uint64_t *value;
    } options[] = {{"--samples", &plan->samples}, {"--ms", &plan->sample_ms},   {"--count", &plan->count},
                   {"--size", &plan->work.size},  {"--live", &plan->work.live}, {"--threads", &plan->work.threads}};
    for (int i = 2; i + 1 < argc; i += 2) {
        unsigned o = 0;
        while (o < sizeof options / sizeof options[0] && strcmp(options[o].name, argv[i]) != 0)
            o++;
        if (o == sizeof options / sizeof options[0])
            return -1;
        *options[o].value = strtoull(argv[i + 1], NULL, 10);
    }
    return argc % 2 == 0 && plan->samples <= MAX_SAMPLES ? 0 : -1;
}

static int usage(const bench_work *works, unsigned work_count)
{
    fprintf(stderr,
            "usage: PROGRAM WORK [--samples N] [--ms N] [--count N] [--size N] [--live N] [--threads N]\nworks:");
    for (unsigned i = 0; i < work_count; i++)
        fprintf(stderr, " %s", works[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int sample_main(int argc, char **argv, const bench_work *works, unsigned work_count)
{
    bench_plan plan = {.samples = 12, .sample_ms = 4};
    for (unsigned i = 0; argc > 1 && i < work_count; i++)
        if (strcmp(works[i].name, argv[1]) == 0)
            plan.work = works[i];
    if (plan.work.run == NULL || read_options(argc, argv, &plan) != 0)
        return usage(works, work_count);
    if (plan.count != 0)
        plan.work.run(&plan.work, batched(&plan.work, (double)plan.count));
    else
        take_samples(&plan);
    return 0;
}
