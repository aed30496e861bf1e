/* SPDX-License-Identifier: MIT
 *
 * random_read.c - random direct reads of 4 KiB, 32 in flight, into registered frames.
 *
 *     random_read FILE [COUNT] */
#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>

#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH 32
#define SIZE 4096

static struct io_uring ring;
static jdb_uring *uring;
static int fd;
static int64_t blocks;

static void must(int err, const char *what)
{
    if (err >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, jdb_strerror(err));
    exit(1);
}

/* The view of the operation is the one that it had. */
static void read_somewhere(jdb_uring_op *op)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    must(jdb_uring_prep_read(uring, op, sqe, fd, op->view, (int64_t)(state >> 16) % blocks * SIZE), "read");
    io_uring_sqe_set_data(sqe, op);
}

/* A short result goes on with the same operation. */
static long complete(jdb_uring_op *op, int32_t res)
{
    const int err = jdb_uring_complete(op, res);
    if (err < 0)
        fprintf(stderr, "read: %s\n", jdb_uring_explain_op(err).reason);
    must(err, "read");
    if (err != JDB_URING_RESUME)
        return 1;
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    must(jdb_uring_prep(op, sqe), "resume");
    io_uring_sqe_set_data(sqe, op);
    return 0;
}

static void open_ring(jdb_arena **ret_arena)
{
    const jdb_arena_options options = {.size = sizeof options, .frame_size = SIZE, .frame_count = DEPTH};
    must(jdb_arena_new(&options, ret_arena), "arena");
    must(io_uring_queue_init(DEPTH, &ring, 0), "ring");
    must(jdb_uring_open(&ring, NULL, &uring), "jdb_uring");
    must(jdb_uring_add_arena(uring, *ret_arena, NULL), "register");
}

/* As many as are in flight are started again, until count were. */
static void read_all(jdb_uring_op *ops, long count)
{
    long started = 0;
    for (; started < DEPTH && started < count; started++)
        read_somewhere(&ops[started]);
    for (long done = 0; done < count;) {
        struct io_uring_cqe *cqe = NULL;
        const int submitted = io_uring_submit_and_wait(&ring, 1);
        must(submitted == -EINTR ? 0 : submitted, "submit");
        while (io_uring_peek_cqe(&ring, &cqe) == 0) {
            jdb_uring_op *const op = io_uring_cqe_get_data(cqe);
            const long ended = complete(op, cqe->res);
            io_uring_cqe_seen(&ring, cqe);
            done += ended;
            if (ended != 0 && started < count) {
                read_somewhere(op);
                started++;
            }
        }
    }
}

int main(int argc, char **argv)
{
    static jdb_uring_op ops[DEPTH];
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_file *file = NULL;
    if (argc < 2 || jdb_file_open(argv[1], NULL, &report, &file) != 0) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: random_read FILE [COUNT]" : report.text);
        return 1;
    }
    int64_t size = 0;
    jdb_arena *arena = NULL;
    jdb_direct limits = JDB_DIRECT_INIT;
    jdb_uring_stats stats = JDB_URING_STATS_INIT;
    must(jdb_file_size(file, &size), "size");
    must(jdb_file_limits(file, &limits), "limits");
    must(size < SIZE ? -EINVAL : 0, "a file of 4 KiB or more");
    fd = jdb_file_descriptor(file);
    blocks = size / SIZE;
    open_ring(&arena);
    for (uint32_t i = 0; i < DEPTH; i++) {
        ops[i].align = limits.read_align;
        must(jdb_arena_view(arena, i, 1, &ops[i].view), "view");
    }
    read_all(ops, argc > 2 ? strtol(argv[2], NULL, 10) : 100000);
    must(jdb_uring_get_stats(uring, &stats), "stats");
    printf("%llu fixed, %llu plain\n", (unsigned long long)stats.fixed_count, (unsigned long long)stats.plain_count);
    must(jdb_uring_close(uring), "close");
    io_uring_queue_exit(&ring);
    must(jdb_arena_free(arena), "free");
    return jdb_file_close(file) == 0 ? 0 : 1;
}
