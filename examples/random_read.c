/* SPDX-License-Identifier: MIT
 *
 * random_read.c - random direct reads of 4 KiB, 32 in flight, into registered frames.
 *
 *     random_read FILE COUNT */
#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>

#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH 32
#define SIZE 4096

static struct io_uring ring;
static jdb_uring *uring;
static jdb_file *file;
static int64_t block_count;
static long left; /* to be started */

static void must(int err, const char *what)
{
    if (err >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, jdb_strerror(err));
    exit(1);
}

/* A short read goes on, else the operation is started again, into the view that it had. */
static void start(jdb_uring_op *op, int err)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    const int64_t offset = random() % block_count * SIZE;
    must(err == JDB_URING_RESUME ? jdb_uring_prep(op, sqe)
                                 : jdb_uring_prep_read_file(uring, op, sqe, file, op->view, offset),
         "prepare");
    io_uring_sqe_set_data(sqe, op);
}

static void on_completion(void *context, const struct io_uring_cqe *cqe)
{
    (void)context;
    jdb_uring_op *const op = io_uring_cqe_get_data(cqe);
    const int err = jdb_uring_complete(op, cqe->res);
    must(err, jdb_uring_explain_op(err).reason);
    if (err == JDB_URING_RESUME || left-- > 0)
        start(op, err);
}

int main(int argc, char **argv)
{
    static jdb_uring_op ops[DEPTH];
    const jdb_arena_options options = {.size = sizeof options, .frame_size = SIZE, .frame_count = DEPTH};
    jdb_uring_stats stats = JDB_URING_STATS_INIT;
    jdb_arena *arena = NULL;
    int64_t size = 0;
    must(argc == 3 ? jdb_file_open(argv[1], NULL, NULL, &file) : -EINVAL, "random_read FILE COUNT");
    must(jdb_file_size(file, &size), "size");
    must(size < SIZE ? -EINVAL : 0, "a file of 4 KiB or more");
    must(jdb_arena_new(&options, &arena), "arena");
    must(io_uring_queue_init(DEPTH, &ring, 0), "ring");
    must(jdb_uring_open(&ring, NULL, &uring), "uring");
    must(jdb_uring_add_arena(uring, arena, NULL), "register");
    block_count = size / SIZE;
    left = strtol(argv[2], NULL, 10);
    for (uint32_t i = 0; i < DEPTH && left > 0; i++, left--) {
        must(jdb_arena_view(arena, i, 1, &ops[i].view), "view");
        start(&ops[i], 0);
    }
    must(jdb_uring_drain(uring, UINT64_MAX, false, on_completion, NULL), "run");
    must(jdb_uring_get_stats(uring, &stats), "stats");
    printf("%llu fixed, %llu plain\n", (unsigned long long)stats.fixed_count, (unsigned long long)stats.plain_count);
    must(jdb_uring_close(uring), "close");
    io_uring_queue_exit(&ring);
    must(jdb_arena_free(arena), "free");
    return jdb_file_close(file) == 0 ? 0 : 1;
}
