/* SPDX-License-Identifier: MIT
 *
 * uring.c - direct I/O on one file with io_uring: by jdb_uring, and by the same loop written by hand over liburing.
 *
 *     PROGRAM WORK --depth N --ms N    {"work":"read-4k","ns":[..],"user_ns":[..],"cpu_ns":[..],"fixed":[1]}
 *
 * ns: of the wall clock for one I/O. user_ns: spent in this loop between calls to the kernel, for one I/O; it does not
 * depend on the device. cpu_ns: user and system, by getrusage. One number for each of the samples. File and ring are
 * the same for all: the file registered, the frames from one arena, the offsets by one generator.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"

#define FILE_SIZE ((uint64_t)256 << 20)
#define DEPTH_MAX 128u
#define SAMPLES 5u

#ifdef BENCH_THP
#define PAGES JDB_ARENA_PAGES_THP
#else
#define PAGES JDB_ARENA_PAGES_NONE
#endif
#ifdef BENCH_PLAIN
#define IS_FIXED false
#else
#define IS_FIXED true
#endif

struct work {
    const char *name;
    uint64_t size; /* bytes of one I/O */
    bool is_write;
    bool is_random;
};

static const struct work works[] = {
    {"read-4k", 4096, false, true},
    {"write-4k", 4096, true, true},
    {"read-128k", 131072, false, false},
    {"write-128k", 131072, true, false},
};

/* Of the same lines of the cache for all: an operation keeps its view itself. */
struct slot {
#ifdef BENCH_JDB
    _Alignas(64) jdb_uring_op op;
#else
    _Alignas(64) jdb_raw view;
#endif
};

static jdb_raw *view_of(struct slot *slot)
{
#ifdef BENCH_JDB
    return &slot->op.view;
#else
    return &slot->view;
#endif
}

struct bench {
    struct work work;
    unsigned depth;
    uint64_t sample_ns;
    int fd;
    struct io_uring ring;
    jdb_arena *arena;
    jdb_uring *uring;
    uint64_t state;  /* of the generator */
    uint64_t cursor; /* of sequential I/O */
    struct slot slots[DEPTH_MAX];
};

/* ---- One I/O ---------------------------------------------------------------------------------------------- */

static int64_t next_offset(struct bench *bench)
{
    const uint64_t blocks = FILE_SIZE / bench->work.size;
    if (!bench->work.is_random)
        return (int64_t)(bench->cursor++ % blocks * bench->work.size);
    bench->state ^= bench->state << 13;
    bench->state ^= bench->state >> 7;
    bench->state ^= bench->state << 17;
    return (int64_t)(bench->state % blocks * bench->work.size);
}

#ifdef BENCH_JDB

static void start(struct bench *bench, struct slot *slot)
{
    jdb_uring_op *const op = &slot->op;
    const int64_t offset = next_offset(bench);
    op->sqe_flags = IOSQE_FIXED_FILE;
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&bench->ring);
    sample_must(bench->work.is_write ? jdb_uring_prep_write(bench->uring, op, sqe, 0, op->view, offset)
                                     : jdb_uring_prep_read(bench->uring, op, sqe, 0, op->view, offset),
                "prepare");
    io_uring_sqe_set_data(sqe, slot);
}

static void finish(struct bench *bench, const struct io_uring_cqe *cqe)
{
    struct slot *const slot = io_uring_cqe_get_data(cqe);
    sample_must(jdb_uring_complete(&slot->op, cqe->res), "complete");
    start(bench, slot);
}

#else

static void start(struct bench *bench, struct slot *slot)
{
    const int64_t offset = next_offset(bench);
    const unsigned size = (unsigned)bench->work.size;
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&bench->ring);
    if (bench->work.is_write && IS_FIXED)
        io_uring_prep_write_fixed(sqe, 0, slot->view.ptr, size, (uint64_t)offset, 0);
    else if (bench->work.is_write)
        io_uring_prep_write(sqe, 0, slot->view.ptr, size, (uint64_t)offset);
    else if (IS_FIXED)
        io_uring_prep_read_fixed(sqe, 0, slot->view.ptr, size, (uint64_t)offset, 0);
    else
        io_uring_prep_read(sqe, 0, slot->view.ptr, size, (uint64_t)offset);
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, slot);
}

static void finish(struct bench *bench, const struct io_uring_cqe *cqe)
{
    struct slot *const slot = io_uring_cqe_get_data(cqe);
    if (__builtin_expect(cqe->res != (int)bench->work.size, 0))
        sample_fail(cqe->res < 0 ? cqe->res : -EIO, "result");
    slot->view.len = (size_t)cqe->res;
    start(bench, slot);
}

#endif

/* ---- The loop --------------------------------------------------------------------------------------------- */

struct sample {
    uint64_t count;
    uint64_t wall_ns;
    uint64_t user_ns;
    uint64_t cpu_ns;
};

static uint64_t cpu_now(void)
{
    struct rusage usage;
    sample_must(getrusage(RUSAGE_SELF, &usage) == 0 ? 0 : errno, "getrusage");
    const struct timeval user = usage.ru_utime, kernel = usage.ru_stime;
    return (uint64_t)(user.tv_sec + kernel.tv_sec) * 1000000000u + (uint64_t)(user.tv_usec + kernel.tv_usec) * 1000u;
}

/* Take every completion there is and start as many again. Returns how many. */
static unsigned finish_ready(struct bench *bench)
{
    unsigned head = 0;
    unsigned count = 0;
    struct io_uring_cqe *cqe = NULL;
    io_uring_for_each_cqe(&bench->ring, head, cqe)
    {
        finish(bench, cqe);
        count++;
    }
    io_uring_cq_advance(&bench->ring, count);
    return count;
}

static struct sample run_sample(struct bench *bench)
{
    struct sample sample = {0};
    const uint64_t cpu_start = cpu_now();
    const uint64_t start_ns = sample_now();
    uint64_t now = start_ns;
    while (now - start_ns < bench->sample_ns) {
        const int err = io_uring_submit_and_wait(&bench->ring, 1);
        sample_must(err < 0 ? err : 0, "submit");
        const uint64_t back = sample_now();
        sample.count += finish_ready(bench);
        now = sample_now();
        sample.user_ns += now - back;
    }
    sample.wall_ns = now - start_ns;
    sample.cpu_ns = cpu_now() - cpu_start;
    return sample;
}

/* ---- Set up ----------------------------------------------------------------------------------------------- */

static void fill_file(int fd)
{
    jdb_buf buf = JDB_BUF_INIT;
    sample_must(jdb_buf_with_cap(&buf, (size_t)1 << 20), "buffer");
    memset(buf.ptr, 0xa7, buf.cap);
    for (uint64_t at = 0; at < FILE_SIZE; at += buf.cap)
        sample_must(pwrite(fd, buf.ptr, buf.cap, (off_t)at) == (ssize_t)buf.cap ? 0 : EIO, "fill");
    sample_must(fsync(fd) == 0 ? 0 : errno, "fsync");
    jdb_buf_drop(&buf);
}

/* The file stands beside the program and stays, so that every contender meets the same extents. */
static int open_file(const char *program)
{
    char path[4096];
    const char *const slash = strrchr(program, '/');
    snprintf(path, sizeof path, "%.*suring.data", slash == NULL ? 0 : (int)(slash - program + 1), program);
    const int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644);
    sample_must(fd < 0 ? errno : 0, path);
    struct stat status;
    sample_must(fstat(fd, &status) == 0 ? 0 : errno, path);
    if ((uint64_t)status.st_size < FILE_SIZE)
        fill_file(fd);
    return fd;
}

static void make_frames(struct bench *bench)
{
    const jdb_arena_options options = {.size = sizeof options,
                                       .frame_size = bench->work.size,
                                       .frame_count = DEPTH_MAX,
                                       .pages = PAGES,
                                       .flags = JDB_ARENA_PREFAULT};
    sample_must(jdb_arena_new(&options, &bench->arena), "arena");
    memset(jdb_arena_base(bench->arena), 0x3c, jdb_arena_size(bench->arena));
    for (unsigned i = 0; i < bench->depth; i++) {
        sample_must(jdb_arena_view(bench->arena, i, 1, view_of(&bench->slots[i])), "view");
        view_of(&bench->slots[i])->len = bench->work.size;
    }
}

static void make_ring(struct bench *bench)
{
    sample_must(io_uring_queue_init(2 * DEPTH_MAX, &bench->ring, 0), "ring");
    sample_must(io_uring_register_files(&bench->ring, &bench->fd, 1), "register file");
#ifdef BENCH_JDB
    sample_must(jdb_uring_open(&bench->ring, NULL, &bench->uring), "uring object");
    const jdb_uring_range_options all = {.size = sizeof all, .is_atomic = 1};
    if (IS_FIXED)
        sample_must(jdb_uring_add_arena(bench->uring, bench->arena, &all), "register");
#else
    const struct iovec iov = {jdb_arena_base(bench->arena), jdb_arena_size(bench->arena)};
    if (IS_FIXED)
        sample_must(io_uring_register_buffers(&bench->ring, &iov, 1), "register");
#endif
}

/* Which of the submissions went through a fixed buffer: a silent fallback would show here. */
static double fixed_share(const struct bench *bench)
{
    if (bench->uring == NULL)
        return IS_FIXED ? 1 : 0;
    jdb_uring_stats stats = {.size = sizeof stats};
    sample_must(jdb_uring_get_stats(bench->uring, &stats), "stats");
    return (double)stats.fixed_count / (double)(stats.fixed_count + stats.plain_count);
}

static void print_list(const char *key, const struct sample *samples, size_t offset)
{
    printf(",\"%s\":[", key);
    for (unsigned i = 0; i < SAMPLES; i++) {
        const uint64_t total = *(const uint64_t *)(const void *)((const char *)&samples[i] + offset);
        printf("%s%.2f", i == 0 ? "" : ",", (double)total / (double)samples[i].count);
    }
    printf("]");
}

static void measure(struct bench *bench)
{
    struct sample samples[SAMPLES];
    for (unsigned i = 0; i < bench->depth; i++)
        start(bench, &bench->slots[i]);
    run_sample(bench);
    for (unsigned i = 0; i < SAMPLES; i++)
        samples[i] = run_sample(bench);
    printf("{\"work\":\"%s\"", bench->work.name);
    print_list("ns", samples, offsetof(struct sample, wall_ns));
    print_list("user_ns", samples, offsetof(struct sample, user_ns));
    print_list("cpu_ns", samples, offsetof(struct sample, cpu_ns));
    printf(",\"fixed\":[%g]}\n", fixed_share(bench));
}

static void choose(struct bench *bench, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof works / sizeof works[0]; i++)
        if (strcmp(argv[1], works[i].name) == 0)
            bench->work = works[i];
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--depth") == 0)
            bench->depth = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--ms") == 0)
            bench->sample_ns = strtoul(argv[i + 1], NULL, 10) * 1000000;
    }
    if (bench->work.name == NULL || bench->depth == 0 || bench->depth > DEPTH_MAX)
        sample_fail(EINVAL, "usage: PROGRAM read-4k|write-4k|read-128k|write-128k --depth 1..128 --ms N");
}

int main(int argc, char **argv)
{
    static struct bench bench = {.depth = 32, .sample_ns = 50000000, .state = 0x9e3779b97f4a7c15u};
    choose(&bench, argc, argv);
    bench.fd = open_file(argv[0]);
    make_frames(&bench);
    make_ring(&bench);
    measure(&bench);
    /* What is in flight ends with the process. */
    return 0;
}
