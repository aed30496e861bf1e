/* SPDX-License-Identifier: MIT
 *
 * uring_group_test.c - frames that the kernel chooses for pipes and sockets: filled, handed over, given back, refilled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <liburing.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring_group.h"
#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#define FRAME ((size_t)4096)
#define FRAMES 8u

static struct io_uring ring;
static jdb_arena *arena;
static jdb_pool *pool;
static jdb_uring_group *group;
static int ends[2]; /* read here, written there */
static uint64_t seed;

static uint32_t lent(void)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    assert_int_equal(jdb_pool_get_stats(pool, &stats), 0);
    return stats.lent_count;
}

static int open_all(void **state)
{
    (void)state;
    const jdb_arena_options options = {.size = sizeof options, .frame_size = FRAME, .frame_count = FRAMES};
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_pool_new(arena, NULL, &pool), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    return io_uring_queue_init(32, &ring, 0);
}

static int close_all(void **state)
{
    (void)state;
    faults_disarm();
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(lent(), 0);
    assert_int_equal(jdb_pool_free(pool), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    io_uring_queue_exit(&ring);
    return 0;
}

static void open_group(uint32_t frame_count, bool is_incremental)
{
    jdb_uring_group_options options = JDB_URING_GROUP_OPTIONS_INIT;
    options.group_id = 7;
    options.frame_count = frame_count;
    options.is_incremental = is_incremental;
    assert_int_equal(jdb_uring_group_open(&ring, pool, &options, &group), 0);
}

/* Receive as long as the connection lasts, or once; from a pipe too. */
static void receive(bool is_multishot)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    if (is_multishot)
        io_uring_prep_recv_multishot(sqe, ends[0], NULL, 0, 0);
    else
        io_uring_prep_read(sqe, ends[0], NULL, FRAME, (uint64_t)-1);
    assert_int_equal(jdb_uring_group_select(group, sqe), 0);
    assert_int_equal(io_uring_submit(&ring), 1);
}

static void send_bytes(const void *bytes, size_t size)
{
    assert_int_equal(write(ends[1], bytes, size), size);
}

/* The next completion: what take returns. */
static int take(jdb_uring_piece *piece, uint32_t *flags)
{
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    const int err = jdb_uring_group_take(group, cqe, piece);
    *flags = cqe->flags;
    io_uring_cqe_seen(&ring, cqe);
    return err;
}

/* ---- Whole frames ----------------------------------------------------------------------------------------- */

static void a_frame_is_handed_over_and_given_back(void **state)
{
    (void)state;
    jdb_uring_piece piece;
    uint32_t flags = 0;
    open_group(4, false);
    assert_int_equal(lent(), 4);
    receive(false);
    assert_int_equal(jdb_uring_group_in_flight(group), 1);
    assert_int_equal(jdb_uring_group_close(group), -EBUSY);
    send_bytes("hello", 5);
    assert_int_equal(take(&piece, &flags), 0);
    assert_int_equal(jdb_uring_group_in_flight(group), 0);
    assert_int_equal(piece.view.len, 5);
    assert_int_equal(piece.is_shared, 0);
    assert_memory_equal(piece.view.ptr, "hello", 5);
    assert_ptr_equal(piece.frame.ptr, piece.view.ptr);
    assert_int_equal(lent(), 5); /* the kernel has four again */
    assert_false(jdb_is_pinned(piece.frame.ptr, FRAME));
    const jdb_uring_piece copy = piece;
    assert_int_equal(jdb_uring_group_give(group, &piece), 0);
    assert_null(piece.view.ptr);
    assert_int_equal(jdb_uring_group_give(group, &piece), 0);
    piece = copy;
    assert_int_equal(jdb_uring_group_give(group, &piece), -ESTALE);
    assert_int_equal(lent(), 4);
    receive(false);
    send_bytes("again", 5);
    assert_int_equal(take(&piece, &flags), 0);
    assert_memory_equal(piece.view.ptr, "again", 5);
    assert_int_equal(jdb_pool_put(pool, piece.frame), 0); /* it is the caller's */
    assert_int_equal(jdb_uring_group_close(group), 0);
}

static void what_the_kernel_has_cannot_be_put(void **state)
{
    (void)state;
    open_group(4, false);
    uint32_t cursor = 0;
    unsigned count = 0;
    jdb_frame frame;
    for (; jdb_pool_next_lent(pool, &cursor, &frame); count++)
        assert_int_equal(jdb_pool_put(pool, frame), -EBUSY);
    assert_int_equal(count, 4);
    assert_int_equal(jdb_uring_group_close(group), 0);
}

static void without_frames_a_request_ends_and_goes_on_later(void **state)
{
    (void)state;
    jdb_uring_piece pieces[FRAMES];
    jdb_uring_piece none;
    uint32_t flags = 0;
    open_group(FRAMES, false);
    assert_int_equal(jdb_uring_group_refill(group), FRAMES);
    receive(true);
    for (unsigned i = 0; i < FRAMES; i++) {
        send_bytes(&i, sizeof i);
        assert_int_equal(take(&pieces[i], &flags), 0);
        assert_true((flags & IORING_CQE_F_MORE) != 0);
        assert_memory_equal(pieces[i].view.ptr, &i, sizeof i);
    }
    assert_int_equal(jdb_uring_group_refill(group), 0);
    const struct io_uring_cqe again = {.res = 4, .flags = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE};
    assert_int_equal(jdb_uring_group_take(group, &again, &none), -ESTALE); /* one that was taken before */
    send_bytes("more", 4);
    assert_int_equal(take(&none, &flags), -ENOBUFS);
    assert_null(none.view.ptr);
    assert_int_equal(jdb_uring_group_in_flight(group), 0);
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(jdb_uring_group_give(group, &pieces[i]), 0);
    assert_int_equal(jdb_uring_group_refill(group), FRAMES);
    receive(true);
    assert_int_equal(take(&pieces[0], &flags), 0);
    assert_memory_equal(pieces[0].view.ptr, "more", 4);
    assert_int_equal(jdb_uring_group_give(group, &pieces[0]), 0);
    shutdown(ends[1], SHUT_WR);
    assert_int_equal(take(&none, &flags), 0);
    assert_int_equal(none.view.len, 0);
    assert_int_equal(flags & IORING_CQE_F_MORE, 0);
    assert_int_equal(jdb_uring_group_give(group, &none), 0);
    assert_int_equal(jdb_uring_group_close(group), 0);
}

static void a_pipe_is_read_too(void **state)
{
    (void)state;
    jdb_uring_piece piece;
    uint32_t flags = 0;
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(pipe(ends), 0);
    open_group(0, false); /* 64, of which the pool has 8 */
    receive(false);
    send_bytes("pipe", 4);
    assert_int_equal(take(&piece, &flags), 0);
    assert_memory_equal(piece.view.ptr, "pipe", 4);
    assert_int_equal(jdb_uring_group_give(group, &piece), 0);
    receive(false);
    close(ends[1]);
    assert_int_equal(take(&piece, &flags), 0);
    assert_int_equal(piece.view.len, 0);
    ends[1] = dup(ends[0]);
    assert_int_equal(jdb_uring_group_close(group), 0);
}

/* ---- Shared frames ---------------------------------------------------------------------------------------- */

static void a_frame_is_filled_bit_by_bit(void **state)
{
    (void)state;
    jdb_uring_piece pieces[3];
    uint32_t flags = 0;
    open_group(2, true);
    if (!jdb_uring_group_is_incremental(group)) {
        assert_int_equal(jdb_uring_group_close(group), 0);
        skip();
    }
    receive(true);
    for (unsigned i = 0; i < 3; i++) {
        send_bytes(&"abcdef"[i], 3);
        assert_int_equal(take(&pieces[i], &flags), 0);
        assert_int_equal(pieces[i].is_shared, 1);
        assert_memory_equal(pieces[i].view.ptr, &"abcdef"[i], 3);
    }
    assert_ptr_equal(pieces[1].view.ptr, pieces[0].view.ptr + 3);
    assert_ptr_equal(pieces[2].view.ptr, pieces[0].view.ptr + 6);
    assert_int_equal(lent(), 2);
    assert_int_equal(jdb_uring_group_give(group, &pieces[1]), 0);
    assert_int_equal(jdb_pool_put(pool, pieces[0].frame), -EBUSY);
    shutdown(ends[1], SHUT_WR);
    jdb_uring_piece none;
    assert_int_equal(take(&none, &flags), 0);
    assert_int_equal(none.view.len, 0);
    assert_int_equal(jdb_uring_group_close(group), 0);
    assert_int_equal(lent(), 1); /* two pieces of it are out */
    assert_memory_equal(pieces[2].view.ptr, "cde", 3);
    assert_int_equal(jdb_unpin(pieces[0].frame.ptr, 1), 0);
    assert_int_equal(jdb_unpin(pieces[2].frame.ptr, 1), 0);
    assert_int_equal(jdb_pool_put(pool, pieces[0].frame), 0);
}

/* A stream of bytes arrives whole and in order, whatever was sent at a time and however late pieces are given back. */
static void stream(bool is_incremental)
{
    jdb_uring_piece held[5];
    memset(held, 0, sizeof held);
    uint8_t bytes[2 * FRAME];
    uint8_t sent = 0;
    uint8_t got = 0;
    uint32_t flags = 0;
    size_t left = 0;
    open_group(4, is_incremental);
    receive(true);
    const unsigned rounds = (unsigned)tier_pick(300, 3000, 30000);
    for (unsigned round = 0; round < rounds || left > 0; round++) {
        if (left == 0) {
            left = random_log_uniform(&seed, 1, sizeof bytes);
            for (size_t i = 0; i < left; i++)
                bytes[i] = sent++;
            send_bytes(bytes, left);
        }
        jdb_uring_piece piece;
        const int err = take(&piece, &flags);
        assert_true(err == 0 || err == -ENOBUFS);
        for (size_t i = 0; i < piece.view.len; i++)
            assert_int_equal(piece.view.ptr[i], got++);
        left -= piece.view.len;
        jdb_uring_piece *const place = &held[random_below(&seed, 5)];
        assert_int_equal(jdb_uring_group_give(group, place), 0);
        *place = piece;
        if ((flags & IORING_CQE_F_MORE) == 0)
            receive(true);
    }
    shutdown(ends[1], SHUT_WR);
    jdb_uring_piece none;
    do {
        assert_int_equal(take(&none, &flags), 0);
    } while ((flags & IORING_CQE_F_MORE) != 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(jdb_uring_group_give(group, &held[i]), 0);
    assert_int_equal(jdb_uring_group_close(group), 0);
}

static void a_stream_in_whole_frames_arrives_in_order(void **state)
{
    (void)state;
    stream(false);
}

static void a_stream_in_shared_frames_arrives_in_order(void **state)
{
    (void)state;
    stream(true);
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

static void *give(void *piece)
{
    MUST(jdb_uring_group_give(group, piece) == 0);
    return NULL;
}

static void pieces_come_back_on_any_thread(void **state)
{
    (void)state;
    const unsigned rounds = (unsigned)tier_pick(50, 500, 5000);
    for (unsigned round = 0; round < rounds; round++) {
        jdb_uring_piece pieces[2];
        pthread_t threads[2];
        uint32_t flags = 0;
        open_group(1, true);
        receive(true);
        for (unsigned i = 0; i < 2; i++) {
            send_bytes("x", 1);
            assert_int_equal(take(&pieces[i], &flags), 0);
        }
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, give, &pieces[i]), 0);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
        io_uring_prep_cancel_fd(sqe, ends[0], 0);
        sqe->user_data = 1;
        assert_int_equal(io_uring_submit(&ring), 1);
        for (unsigned i = 0; i < 2; i++) {
            struct io_uring_cqe *cqe = NULL;
            jdb_uring_piece none;
            assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
            if (cqe->user_data == 0)
                assert_int_equal(jdb_uring_group_take(group, cqe, &none), -ECANCELED);
            io_uring_cqe_seen(&ring, cqe);
        }
        assert_int_equal(jdb_uring_group_close(group), 0);
        assert_int_equal(lent(), 0);
    }
}

/* ---- Errors ----------------------------------------------------------------------------------------------- */

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    jdb_uring_group_options options = JDB_URING_GROUP_OPTIONS_INIT;
    const struct io_uring_cqe strange = {.res = 5, .flags = IORING_CQE_F_BUFFER | 99u << IORING_CQE_BUFFER_SHIFT};
    struct io_uring_sqe sqe = {0};
    jdb_uring_piece piece;
    group = NULL;
    assert_int_equal(jdb_uring_group_open(NULL, pool, NULL, &group), -EINVAL);
    assert_int_equal(jdb_uring_group_open(&ring, NULL, NULL, &group), -EINVAL);
    assert_int_equal(jdb_uring_group_open(&ring, pool, NULL, NULL), -EINVAL);
    const uint32_t counts[] = {3, 65536};
    for (size_t i = 0; i < 2; i++) {
        options.frame_count = counts[i];
        assert_int_equal(jdb_uring_group_open(&ring, pool, &options, &group), -EINVAL);
    }
    options.frame_count = 1;
    options.group_id = 65536;
    assert_int_equal(jdb_uring_group_open(&ring, pool, &options, &group), -EINVAL);
    options.group_id = 0;
    options.is_incremental = 2;
    assert_int_equal(jdb_uring_group_open(&ring, pool, &options, &group), -EINVAL);
    options.is_incremental = 0;
    options.reserved[5] = 1;
    assert_int_equal(jdb_uring_group_open(&ring, pool, &options, &group), -E2BIG);
    options.size = 4;
    assert_int_equal(jdb_uring_group_open(&ring, pool, &options, &group), -EINVAL);
    assert_null(group);
    assert_int_equal(jdb_uring_group_close(NULL), 0);
    assert_int_equal(jdb_uring_group_refill(NULL), -EINVAL);
    assert_int_equal(jdb_uring_group_in_flight(NULL), 0);
    assert_false(jdb_uring_group_is_incremental(NULL));
    assert_int_equal(jdb_uring_group_select(NULL, &sqe), -EINVAL);
    assert_int_equal(jdb_uring_group_give(NULL, &piece), -EINVAL);
    open_group(1, false);
    jdb_uring_group *second = NULL;
    options = (jdb_uring_group_options){.size = sizeof options, .group_id = 7};
    assert_int_equal(jdb_uring_group_open(&ring, pool, &options, &second), -EEXIST);
    assert_int_equal(lent(), 1);
    assert_int_equal(jdb_uring_group_select(group, NULL), -EINVAL);
    io_uring_prep_recv(&sqe, ends[0], NULL, 0, 0);
    sqe.ioprio = 1u << 4; /* IORING_RECVSEND_BUNDLE */
    assert_int_equal(jdb_uring_group_select(group, &sqe), -EINVAL);
    assert_int_equal(sqe.flags, 0);
    assert_int_equal(jdb_uring_group_in_flight(group), 0);
    assert_int_equal(jdb_uring_group_take(group, NULL, &piece), -EINVAL);
    assert_int_equal(jdb_uring_group_take(group, &strange, NULL), -EINVAL);
    assert_int_equal(jdb_uring_group_take(group, &strange, &piece), -ESTALE);
    assert_int_equal(jdb_uring_group_give(group, NULL), -EINVAL);
    assert_int_equal(jdb_uring_group_close(group), 0);
}

static void a_pool_without_frames_opens_nothing(void **state)
{
    (void)state;
    jdb_frame frames[FRAMES];
    group = NULL;
    assert_int_equal(jdb_pool_get_n(pool, FRAMES, frames), 0);
    assert_int_equal(jdb_uring_group_open(&ring, pool, NULL, &group), -EAGAIN);
    assert_null(group);
    assert_int_equal(jdb_pool_put_n(pool, frames, FRAMES), 0);
    assert_int_equal(jdb_uring_group_open(&ring, pool, NULL, &group), 0); /* the number is free */
    assert_int_equal(jdb_uring_group_close(group), 0);
}

static void each_call_may_fail_once(void **state)
{
    (void)state;
    for (unsigned n = 0;; n++) {
        group = NULL;
        faults_arm(FAULTS_ANY, n, -ENOMEM);
        const int err = jdb_uring_group_open(&ring, pool, NULL, &group);
        const bool has_failed = faults_disarm();
        assert_true(err == 0 || (err == -ENOMEM && group == NULL));
        assert_int_equal(lent(), err == 0 ? FRAMES : 0);
        if (err == 0) {
            faults_arm(OS_CALL_RING, 0, -ENOMEM);
            assert_int_equal(jdb_uring_group_close(group), -ENOMEM);
            assert_true(faults_disarm());
            assert_int_equal(jdb_uring_group_close(group), 0);
        }
        if (!has_failed)
            break;
    }
    faults_arm(OS_CALL_RING, 0, -EINVAL); /* what a kernel before 6.12 says to incremental */
    open_group(4, true);
    assert_true(faults_disarm());
    assert_false(jdb_uring_group_is_incremental(group));
    assert_int_equal(jdb_uring_group_close(group), 0);
}

static void in_the_child(void *unused)
{
    (void)unused;
    struct io_uring_sqe sqe = {0};
    const struct io_uring_cqe cqe = {.res = 0};
    jdb_uring_piece piece = {.frame = {.ptr = (uint8_t *)4096}};
    MUST(jdb_uring_group_select(group, &sqe) == -EPERM);
    MUST(jdb_uring_group_give(group, &piece) == -EPERM);
    MUST(jdb_uring_group_take(group, &cqe, &piece) == -EPERM);
    MUST(jdb_uring_group_refill(group) == -EPERM);
    MUST(jdb_uring_group_in_flight(group) == 0);
    MUST(jdb_uring_group_close(group) == 0);
}

static void a_child_of_fork_closes_its_copy(void **state)
{
    (void)state;
    char text[256];
    jdb_uring_piece piece;
    uint32_t flags = 0;
    open_group(2, false);
    receive(false);
    assert_int_equal(must_run_child(in_the_child, NULL, text, sizeof text), 0);
    send_bytes("parent", 6);
    assert_int_equal(take(&piece, &flags), 0);
    assert_memory_equal(piece.view.ptr, "parent", 6);
    assert_int_equal(jdb_uring_group_give(group, &piece), 0);
    assert_int_equal(jdb_uring_group_close(group), 0);
}

#define WITH_ALL(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ALL(a_frame_is_handed_over_and_given_back),
        WITH_ALL(what_the_kernel_has_cannot_be_put),
        WITH_ALL(without_frames_a_request_ends_and_goes_on_later),
        WITH_ALL(a_pipe_is_read_too),
        WITH_ALL(a_frame_is_filled_bit_by_bit),
        WITH_ALL(a_stream_in_whole_frames_arrives_in_order),
        WITH_ALL(a_stream_in_shared_frames_arrives_in_order),
        WITH_ALL(pieces_come_back_on_any_thread),
        WITH_ALL(wrong_arguments_are_refused),
        WITH_ALL(a_pool_without_frames_opens_nothing),
        WITH_ALL(each_call_may_fail_once),
        WITH_ALL(a_child_of_fork_closes_its_copy),
    };
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&ring);
    seed = random_seed("uring_group_test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
