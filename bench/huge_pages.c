/* SPDX-License-Identifier: MIT
 *
 * huge_pages.c - what huge pages of buffers cost and bring: processor time to fill 256 MiB of fresh memory, and resident bytes for
 * each byte alive: full, and three seconds after three quarters were freed at random. Each figure of a process of its own, with
 * and without the option in turn; a table on stdout.
 *
 *     build-bench/bench/huge_pages-jdb [ROUNDS]        default 6: under a minute
 */
#include "jdb_alloc/buf.h"
#include "jdb_alloc/pages.h"
#include "sample.h"
#include "usage.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIVE (256 * MIB)
#define SIZES 3
#define ROUNDS_MAX 64

static const char *const size_names[SIZES] = {"4 KiB", "16 KiB", "4 KiB to 2 MiB"};

struct result {
    double fill_seconds; /* of the processor */
    double full_ratio;   /* resident bytes for each that is alive */
    double rest_ratio;
};

static jdb_buf bufs[LIVE / 4096 + 1];
static size_t buf_count;
static size_t live_size;
static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t choose_size(int sizes)
{
    if (sizes < 2)
        return sizes == 0 ? 4096 : 16384;
    const size_t power = (size_t)4096 << next_random() % 9;
    return power + next_random() % power / 4096 * 4096;
}

static double cpu_seconds(void)
{
    struct timespec time;
    sample_must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 ? 0 : errno, "clock_gettime");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fill(int sizes)
{
    while (live_size < LIVE) {
        jdb_buf *const buf = &bufs[buf_count++];
        sample_must(jdb_buf_with_cap(buf, choose_size(sizes)), "buffer");
        memset(buf->ptr, 1, buf->cap);
        live_size += buf->cap;
    }
}

static void free_three_quarters(void)
{
    while (live_size > LIVE / 4) {
        jdb_buf *const buf = &bufs[next_random() % buf_count];
        live_size -= buf->cap;
        jdb_buf_drop(buf);
        *buf = bufs[--buf_count];
    }
}

/* The clock of the library is read by calls. */
static void wait_for_the_delay(void)
{
    jdb_buf buf;
    for (unsigned i = 0; i < 300; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        for (unsigned k = 0; k < 64; k++) {
            sample_must(jdb_buf_with_cap(&buf, 4096), "buffer");
            jdb_buf_drop(&buf);
        }
    }
}

static void measure(int sizes, bool is_huge, struct result *ret_result)
{
    jdb_page_options options = {.size = sizeof options};
    options.huge_pages = is_huge ? JDB_HUGE_PAGES_ON : JDB_HUGE_PAGES_OFF;
    sample_must(jdb_set_page_options(&options), "options");
    const double before = cpu_seconds();
    fill(sizes);
    ret_result->fill_seconds = cpu_seconds() - before;
    ret_result->full_ratio = (double)resident_bytes() / (double)live_size;
    free_three_quarters();
    wait_for_the_delay();
    ret_result->rest_ratio = (double)resident_bytes() / (double)live_size;
}

static void measure_in_child(int sizes, bool is_huge, struct result *ret_result)
{
    const pid_t child = fork();
    sample_must(child < 0 ? errno : 0, "fork");
    if (child == 0) {
        measure(sizes, is_huge, ret_result);
        _exit(0);
    }
    int status = 0;
    sample_must(waitpid(child, &status, 0) == child && status == 0 ? 0 : ECHILD, "child");
}

static void print_row(int sizes, bool is_huge, const struct result *results, unsigned rounds)
{
    struct result least = results[0];
    struct result most = results[0];
    for (unsigned i = 1; i < rounds; i++) {
        least.fill_seconds =
            results[i].fill_seconds < least.fill_seconds ? results[i].fill_seconds : least.fill_seconds;
        most.fill_seconds = results[i].fill_seconds > most.fill_seconds ? results[i].fill_seconds : most.fill_seconds;
        most.full_ratio = results[i].full_ratio > most.full_ratio ? results[i].full_ratio : most.full_ratio;
        most.rest_ratio = results[i].rest_ratio > most.rest_ratio ? results[i].rest_ratio : most.rest_ratio;
    }
    printf("| %s | %s | %.2f to %.2f | %.2f | %.2f |\n", size_names[sizes], is_huge ? "huge" : "small",
           least.fill_seconds, most.fill_seconds, most.full_ratio, most.rest_ratio);
}

int main(int argc, char **argv)
{
    const long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 6;
    const unsigned rounds = wanted > 0 && wanted <= ROUNDS_MAX ? (unsigned)wanted : 6;
    const size_t size = sizeof(struct result) * SIZES * 2 * ROUNDS_MAX;
    struct result(*const results)[2][ROUNDS_MAX] =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sample_must(results == MAP_FAILED ? errno : 0, "mmap");
    for (unsigned round = 0; round < rounds; round++)
        for (int sizes = 0; sizes < SIZES; sizes++)
            for (int is_huge = 0; is_huge < 2; is_huge++)
                measure_in_child(sizes, is_huge != 0, &results[sizes][is_huge][round]);
    printf("| buffers of | pages | fill 256 MiB, s of the processor | resident / live, full | after the delay, a "
           "quarter |\n"
           "|---|---|---|---|---|\n");
    for (int sizes = 0; sizes < SIZES; sizes++)
        for (int is_huge = 0; is_huge < 2; is_huge++)
            print_row(sizes, is_huge != 0, results[sizes][is_huge], rounds);
    return 0;
}
