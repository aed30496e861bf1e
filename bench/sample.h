/* SPDX-License-Identifier: MIT
 *
 * sample.h - the frame of every timed program: calibrates a loop, takes samples, prints them as one line of JSON.
 *
 *     static uint64_t run_pair(const bench_work *work, uint64_t count) { ... count operations; return nanoseconds ... }
 *     static const bench_work works[] = {{.name = "pair", .run = run_pair, .size = 4096}};
 *     int main(int argc, char **argv) { return sample_main(argc, argv, works, 1); }
 *
 *     PROGRAM WORK [--samples N] [--ms N]     {"work":"pair","ns":[31.2,30.9],"tick":[0.82,0.81]}
 *     PROGRAM WORK --count N                  N operations and no word: for callgrind and perf
 *     PROGRAM WORK --size N --live N --threads N    change the numbers of the work
 *
 * ns: nanoseconds of one operation, one number per sample. tick: nanoseconds of eight additions just before each
 * sample, which shows how fast the core was at that moment.
 */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <stdint.h>

typedef struct bench_work bench_work;
struct bench_work {
    const char *name;
    /* Does count operations, a multiple of batch, and returns the nanoseconds that they took. */
    uint64_t (*run)(const bench_work *work, uint64_t count);
    uint64_t batch;   /* operations that belong together; 0 counts as 1 */
    uint64_t size;    /* bytes of a block */
    uint64_t live;    /* blocks alive at once */
    uint64_t threads; /* that work at once */
};

/* Nanoseconds of a clock that only goes forward. */
uint64_t sample_now(void);

/* One line on stderr and exit(1). err: an errno of either sign. */
_Noreturn void sample_fail(int err, const char *what);

static inline void sample_must(int err, const char *what)
{
    if (__builtin_expect(err != 0, 0))
        sample_fail(err, what);
}

int sample_main(int argc, char **argv, const bench_work *works, unsigned work_count);

#endif
