/* SPDX-License-Identifier: MIT
 *
 * uring_flight_test.c - only a completion ends an operation in flight: release, close and abandon, cancel and drain.
 *
 * A read of an empty pipe is in flight for as long as the test likes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <liburing.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/arena.h"
#include "jdb_alloc/pool.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "faults.h"

#define READS 6u
#define MILLISECOND UINT64_C(1000000)

static struct io_uring ring;
static jdb_uring *uring;
static int pipe_ends[2];
static jdb_arena *arena;
static jdb_pool *pool;
static jdb_frame frames[READS];
static jdb_uring_op ops[READS];
static unsigned completions;
static int last_result;

static int open_all(void **state)
{
    (void)state;
    const jdb_arena_options options = {.size = sizeof options, .frame_size = BLOCK, .frame_count = READS};
    if (io_uring_queue_init(16, &ring, 0) != 0 || jdb_uring_open(&ring, NULL, &uring) != 0 || pipe(pipe_ends) != 0 ||
        jdb_arena_new(&options, &arena) != 0 || jdb_pool_new(arena, NULL, &pool) != 0)
        return -1;
    memset(ops, 0, sizeof ops);
    completions = 0;
    last_result = 1;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    faults_disarm();
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    for (unsigned i = 0; i < READS; i++)
        (void)jdb_uring_complete(&ops[i], -ECANCELED);
    for (unsigned i = 0; i < READS; i++)
        if (frames[i].ptr != NULL)
            (void)jdb_pool_put(pool, frames[i]);
    memset(frames, 0, sizeof frames);
    if (jdb_uring_close(uring) != 0)
        return -1;
    io_uring_queue_exit(&ring);
    return jdb_pool_free(pool) != 0 || jdb_arena_free(arena) != 0;
}

static void prepare_read(unsigned index)
{
    jdb_uring_op *const op = &ops[index];
    if (frames[index].ptr == NULL)
        assert_int_equal(jdb_pool_get(pool, &frames[index]), 0);
    assert_int_equal(jdb_uring_read(uring, op, pipe_ends[0], jdb_raw_new(frames[index].ptr, BLOCK), 0), 0);
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(op, sqe);
    io_uring_sqe_set_data64(sqe, index + 1);
}

static void start_reads(void)
{
    for (unsigned i = 0; i < READS; i++)
        prepare_read(i);
    assert_int_equal(io_uring_submit(&ring), READS);
}

static void on_completion(void *context, const struct io_uring_cqe *cqe)
{
    assert_ptr_equal(context, &completions);
    completions++;
    if (cqe->user_data >= 1 && cqe->user_data <= READS)
        last_result = jdb_uring_complete(&ops[cqe->user_data - 1], cqe->res);
}

static int drain(uint64_t milliseconds, bool cancels)
{
    return jdb_uring_drain(uring, jdb_clock_ns() + milliseconds * MILLISECOND, cancels, on_completion, &completions);
}

/* ---- Release, close, abandon ------------------------------------------------------------------------------ */

/* It waits for its operation, and the memory is added anew. */
static void a_removed_range_that_waits_is_not_found(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
        jdb_uring_region region = JDB_URING_REGION_INIT;
        assert_int_equal(jdb_uring_get_region(uring, buf.ptr, 0, &region), 0);
        const jdb_raw view = jdb_raw_new(buf.ptr, BLOCK);
        assert_int_equal(jdb_uring_prep_read(uring, &ops[i], &sqe, pipe_ends[0], view, 0), 0);
        assert_int_equal(sqe.opcode, region.slot >= 0 ? IORING_OP_READ_FIXED : IORING_OP_READ);
        assert_int_equal(sqe.buf_index, region.slot >= 0 ? region.slot : 0);
        assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
        assert_true(jdb_is_pinned(buf.ptr, 1));
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(jdb_uring_complete(&ops[i], -ECANCELED), -ECANCELED);
    assert_false(jdb_is_pinned(buf.ptr, 1));
    jdb_buf_drop(&buf);
}

static void what_is_in_flight_is_not_released(void **state)
{
    (void)state;
    start_reads();
    assert_int_equal(jdb_uring_in_flight(uring), READS);
    for (unsigned i = 0; i < READS; i++) {
        assert_int_equal(jdb_uring_release(&ops[i]), -EBUSY);
        assert_true(jdb_is_pinned(frames[i].ptr, BLOCK));
        assert_int_equal(jdb_pool_put(pool, frames[i]), -EBUSY);
    }
    assert_int_equal(jdb_uring_run(&ops[0]), -EBUSY);
    assert_int_equal(jdb_uring_read(NULL, &ops[0], pipe_ends[0], ops[0].view, 0), -EBUSY);
    assert_int_equal(jdb_uring_close(uring), -EBUSY);
    assert_int_equal(jdb_uring_in_flight(uring), READS);
    assert_int_equal(drain(1000, true), 0);
    assert_int_equal(jdb_uring_in_flight(uring), 0);
    assert_int_equal(jdb_uring_in_flight(NULL), 0);
    assert_false(jdb_is_pinned(frames[0].ptr, BLOCK));
}

static void what_was_started_only_is_released(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_read(uring, &op, pipe_ends[0], jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_int_equal(jdb_uring_release(NULL), 0);
    assert_false(jdb_is_pinned(buf.ptr, 1));
    assert_int_equal(jdb_uring_read(uring, &op, pipe_ends[0], jdb_buf_as_raw(&buf), 0), 0);
    jdb_uring_prep(&op, &sqe);
    jdb_uring_prep(&op, &sqe); /* in another SQE: still one operation */
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_in_flight(uring), 0);
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_false(jdb_is_pinned(buf.ptr, 1));
}

/* A program that gives up its ring half way goes on without one. */
static void what_is_not_in_flight_outlives_its_object(void **state)
{
    (void)state;
    const int fd = rig_file(2 * BLOCK);
    if (fd < 0)
        skip(); /* no O_DIRECT in the working directory */
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    memset(buf.ptr, 0, 2 * BLOCK);
    jdb_uring *other = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &other), 0);
    jdb_uring_op runs = JDB_URING_OP_INIT;
    jdb_uring_op ends = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_read(other, &runs, fd, jdb_raw_new(buf.ptr, BLOCK), BLOCK), 0);
    assert_int_equal(jdb_uring_read(other, &ends, fd, jdb_raw_new(buf.ptr + BLOCK, BLOCK), 0), 0);
    jdb_uring_prep(&runs, &sqe);
    assert_int_equal(jdb_uring_run(&runs), -EBUSY);
    assert_int_equal(jdb_uring_close(other), -EBUSY);
    assert_int_equal(jdb_uring_complete(&runs, -EINTR), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_close(other), 0);
    assert_int_equal(jdb_uring_run(&runs), 0);
    rig_assert(buf.ptr, BLOCK, BLOCK);
    assert_int_equal(jdb_uring_release(&ends), 0);
    assert_false(jdb_is_pinned(buf.ptr, 2 * BLOCK));
    close(fd);
}

/* The ring is gone, and with it the report of the end: the frames are nobody else's. */
static void what_was_in_flight_on_a_ring_that_is_gone_stays_pinned(void **state)
{
    (void)state;
    start_reads();
    io_uring_queue_exit(&ring);
    assert_int_equal(jdb_uring_abandon(uring), READS);
    for (unsigned i = 0; i < READS; i++) {
        assert_int_equal(jdb_uring_release(&ops[i]), -EBUSY);
        assert_int_equal(jdb_pool_put(pool, frames[i]), -EBUSY);
    }
    assert_int_equal(jdb_pool_free(pool), -EBUSY);
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_cancel(&ops[0], 1, &sqe), -EINVAL);
    /* Its pipe is closed, so the caller knows the end of each. The first one goes on without the object. */
    assert_int_equal(jdb_uring_complete(&ops[0], -EINTR), JDB_URING_RESUME);
    jdb_uring_prep(&ops[0], &sqe);
    assert_int_equal(sqe.opcode, IORING_OP_READ);
    for (unsigned i = 0; i < READS; i++)
        assert_int_equal(jdb_uring_complete(&ops[i], -ECANCELED), -ECANCELED);
    assert_int_equal(jdb_pool_put(pool, frames[0]), 0);
    frames[0].ptr = NULL;
    assert_int_equal(jdb_uring_abandon(NULL), 0);
    assert_int_equal(io_uring_queue_init(16, &ring, 0), 0);
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
}

/* ---- Cancel ----------------------------------------------------------------------------------------------- */

static int32_t next_result(uint64_t user_data)
{
    struct io_uring_cqe *cqe = NULL;
    int32_t res = INT32_MIN;
    for (unsigned i = 0; i < 2 && res == INT32_MIN; i++) {
        assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
        if (cqe->user_data == user_data)
            res = cqe->res;
        io_uring_cqe_seen(&ring, cqe);
    }
    return res;
}

static void a_cancelled_read_ends_with_its_own_completion(void **state)
{
    (void)state;
    start_reads();
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    sqe->user_data = 99;
    assert_int_equal(jdb_uring_cancel(&ops[2], 3, sqe), 0);
    assert_int_equal(sqe->user_data, 99);
    assert_int_equal(io_uring_submit(&ring), 1);
    assert_true(jdb_is_pinned(frames[2].ptr, BLOCK));
    const int32_t res = next_result(3);
    assert_int_equal(res, -ECANCELED);
    assert_int_equal(jdb_uring_complete(&ops[2], res), -ECANCELED);
    assert_false(jdb_is_pinned(frames[2].ptr, BLOCK));
    assert_int_equal(jdb_uring_in_flight(uring), READS - 1);
    assert_int_equal(jdb_uring_cancel(&ops[2], 3, sqe), -EINVAL);
    assert_int_equal(jdb_uring_cancel(NULL, 2, sqe), -EINVAL);
    assert_int_equal(jdb_uring_cancel(&ops[1], 2, NULL), -EINVAL);
    assert_int_equal(drain(1000, true), 0);
}

static void what_was_cancelled_is_not_resumed(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    const int32_t results[] = {BLOCK, -EINTR};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(jdb_uring_read(uring, &op, pipe_ends[0], jdb_buf_as_raw(&buf), 0), 0);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(jdb_uring_cancel(&op, 1, &sqe), 0);
        assert_int_equal(jdb_uring_complete(&op, results[i]), -ECANCELED);
        assert_int_equal(jdb_uring_done_size(&op), i == 0 ? BLOCK : 0);
        assert_false(jdb_is_pinned(buf.ptr, 1));
    }
    assert_int_equal(jdb_uring_read(uring, &op, pipe_ends[0], jdb_buf_as_raw(&buf), 0), 0);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME); /* it was that read, not this */
    assert_int_equal(jdb_uring_release(&op), 0);
}

/* No object is needed: the request names its target by user_data. */
static void a_read_without_an_object_is_cancelled_too(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(NULL, &op, pipe_ends[0], jdb_buf_as_raw(&buf), 0), 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(&op, sqe);
    sqe->user_data = 1;
    assert_int_equal(io_uring_submit(&ring), 1);
    assert_int_equal(jdb_uring_in_flight(uring), 0);
    sqe = io_uring_get_sqe(&ring);
    assert_int_equal(jdb_uring_cancel(&op, 1, sqe), 0);
    sqe->user_data = 2;
    assert_int_equal(io_uring_submit(&ring), 1);
    assert_int_equal(jdb_uring_complete(&op, next_result(1)), -ECANCELED);
    assert_false(jdb_is_pinned(buf.ptr, 1));
}

/* ---- Drain ------------------------------------------------------------------------------------------------ */

static void a_drain_waits_until_its_deadline(void **state)
{
    (void)state;
    uint8_t bytes[BLOCK];
    memset(bytes, 7, sizeof bytes);
    start_reads();
    struct io_uring_sqe *const stranger = io_uring_get_sqe(&ring);
    io_uring_prep_nop(stranger);
    io_uring_sqe_set_data64(stranger, 77);
    const uint64_t start = jdb_clock_ns();
    assert_int_equal(drain(30, false), -ETIMEDOUT);
    assert_true(jdb_clock_ns() - start >= 30 * MILLISECOND);
    assert_int_equal(completions, 1); /* the stranger's, which was submitted */
    assert_int_equal(jdb_uring_in_flight(uring), READS);
    assert_true(jdb_is_pinned(frames[0].ptr, BLOCK));
    for (unsigned i = 0; i < READS; i++)
        assert_int_equal(write(pipe_ends[1], bytes, BLOCK), BLOCK);
    assert_int_equal(drain(10000, false), 0);
    assert_int_equal(completions, 1 + READS);
    for (unsigned i = 0; i < READS; i++) {
        assert_int_equal(ops[i].view.len, BLOCK);
        assert_memory_equal(frames[i].ptr, bytes, BLOCK);
        assert_false(jdb_is_pinned(frames[i].ptr, BLOCK));
    }
}

/* As before Linux 5.11, where the timeout of liburing is a request: the queue has what was prepared, and nothing else. */
static void a_drain_puts_no_request_into_the_queue(void **state)
{
    (void)state;
    ring.features &= ~(unsigned)IORING_FEAT_EXT_ARG;
    start_reads();
    const unsigned before = ring.sq.sqe_tail;
    const uint64_t begin = jdb_clock_ns();
    assert_int_equal(drain(30, false), -ETIMEDOUT);
    assert_true(jdb_clock_ns() - begin >= 30 * MILLISECOND);
    assert_int_equal(ring.sq.sqe_tail, before);
    assert_int_equal(drain(5000, true), 0);
    assert_int_equal(completions, READS);
    assert_int_equal(ring.sq.sqe_tail, before);
    assert_true(jdb_clock_ns() - begin < 4000 * MILLISECOND);
}

static void a_deadline_that_has_passed_takes_what_is_complete(void **state)
{
    (void)state;
    uint8_t byte[BLOCK] = {1};
    prepare_read(0);
    prepare_read(1);
    assert_int_equal(io_uring_submit(&ring), 2);
    assert_int_equal(write(pipe_ends[1], byte, BLOCK), BLOCK);
    assert_int_equal(jdb_uring_drain(uring, 0, false, on_completion, &completions), -ETIMEDOUT);
    assert_int_equal(completions, 1);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(write(pipe_ends[1], byte, BLOCK), BLOCK);
    assert_int_equal(jdb_uring_drain(uring, 0, false, on_completion, &completions), 0);
    assert_int_equal(jdb_uring_drain(uring, 0, false, on_completion, &completions), 0);
    assert_int_equal(completions, 2);
}

/* Prepared and not submitted counts too: whoever drains need not know. */
static void a_drain_that_cancels_ends_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < READS; i++)
        prepare_read(i);
    assert_int_equal(drain(5000, true), 0);
    assert_int_equal(completions, READS);
    assert_int_equal(last_result, -ECANCELED);
    for (unsigned i = 0; i < READS; i++)
        assert_int_equal(jdb_pool_put(pool, frames[i]), 0);
    memset(frames, 0, sizeof frames);
}

static void prepare_again(void *context, const struct io_uring_cqe *cqe)
{
    on_completion(context, cqe);
    if (last_result != JDB_URING_RESUME)
        return;
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(&ops[0], sqe);
    io_uring_sqe_set_data64(sqe, 1);
}

/* A pipe gives one half; the drain resumes for the other, unless it cancels. */
static void a_drain_resumes_unless_it_cancels(void **state)
{
    (void)state;
    uint8_t bytes[BLOCK / 2] = {0};
    ops[0].align = BLOCK / 2;
    prepare_read(0);
    assert_int_equal(write(pipe_ends[1], bytes, sizeof bytes), sizeof bytes);
    const uint64_t soon = jdb_clock_ns() + 20 * MILLISECOND;
    assert_int_equal(jdb_uring_drain(uring, soon, false, prepare_again, &completions), -ETIMEDOUT);
    assert_int_equal(completions, 1);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(write(pipe_ends[1], bytes, sizeof bytes), sizeof bytes);
    const uint64_t late = jdb_clock_ns() + 5000 * MILLISECOND;
    assert_int_equal(jdb_uring_drain(uring, late, false, prepare_again, &completions), 0);
    assert_int_equal(ops[0].view.len, BLOCK);
    prepare_read(0);
    assert_int_equal(write(pipe_ends[1], bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(jdb_uring_drain(uring, late, true, prepare_again, &completions), 0);
    assert_int_equal(last_result, -ECANCELED);
    assert_int_equal(jdb_uring_done_size(&ops[0]), BLOCK / 2);
    prepare_read(0);
    assert_int_equal(write(pipe_ends[1], bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(io_uring_submit(&ring), 1);
    assert_int_equal(next_result(1), sizeof bytes);
    assert_int_equal(jdb_uring_complete(&ops[0], sizeof bytes), JDB_URING_RESUME); /* that drain is over */
    assert_int_equal(jdb_uring_release(&ops[0]), 0);
}

static void a_ring_that_fails_for_ever_ends_the_drain(void **state)
{
    (void)state;
    const int errors[] = {-EINTR, -EAGAIN, -EBUSY, -EBADF};
    prepare_read(0);
    for (size_t i = 0; i < 4; i++) {
        const unsigned long before = faults_calls(OS_CALL_RING_WAIT);
        faults_arm_all(OS_CALL_RING_WAIT, 0, errors[i]);
        assert_int_equal(jdb_uring_drain(uring, UINT64_MAX, false, on_completion, &completions), errors[i]);
        assert_true(faults_disarm());
        assert_int_equal(faults_calls(OS_CALL_RING_WAIT) - before, errors[i] == -EBADF ? 1 : 65);
        assert_int_equal(jdb_uring_in_flight(uring), 1);
    }
    assert_int_equal(jdb_uring_drain(uring, 0, false, NULL, NULL), -EINVAL);
    assert_int_equal(jdb_uring_drain(NULL, 0, false, on_completion, NULL), -EINVAL);
    faults_arm_all(OS_CALL_RING_WAIT, 0, -EINTR);
    assert_int_equal(drain(0, true), -ETIMEDOUT);
    faults_disarm();
    faults_arm(OS_CALL_RING, 0, -EINVAL); /* an older kernel: it only waits */
    assert_int_equal(drain(10, true), -ETIMEDOUT);
    assert_true(faults_disarm());
    assert_int_equal(drain(5000, true), 0);
}

#define WITH_ALL(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ALL(a_removed_range_that_waits_is_not_found),
        WITH_ALL(what_is_in_flight_is_not_released),
        WITH_ALL(what_was_started_only_is_released),
        WITH_ALL(what_is_not_in_flight_outlives_its_object),
        WITH_ALL(what_was_in_flight_on_a_ring_that_is_gone_stays_pinned),
        WITH_ALL(a_cancelled_read_ends_with_its_own_completion),
        WITH_ALL(a_read_without_an_object_is_cancelled_too),
        WITH_ALL(what_was_cancelled_is_not_resumed),
        WITH_ALL(a_drain_waits_until_its_deadline),
        WITH_ALL(a_drain_puts_no_request_into_the_queue),
        WITH_ALL(a_deadline_that_has_passed_takes_what_is_complete),
        WITH_ALL(a_drain_that_cancels_ends_all),
        WITH_ALL(a_drain_resumes_unless_it_cancels),
        WITH_ALL(a_ring_that_fails_for_ever_ends_the_drain),
    };
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&ring);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
