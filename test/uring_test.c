/* SPDX-License-Identifier: MIT
 *
 * uring_test.c - operations of io_uring on a real O_DIRECT file: registered and plain, short and whole, pinned
 * throughout.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "faults.h"
#include "memlock.h"
#include "must.h"

#define FILE_SIZE ((size_t)10000)

static int file_fd = -1;
static struct io_uring ring;

static int open_ring(void **state)
{
    (void)state;
    return io_uring_queue_init(8, &ring, 0);
}

static int exit_ring(void **state)
{
    (void)state;
    io_uring_queue_exit(&ring);
    return 0;
}

static int32_t submit_and_wait(void)
{
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    const int32_t res = cqe->res;
    assert_int_equal(cqe->user_data, 0x1234);
    io_uring_cqe_seen(&ring, cqe);
    return res;
}

/* Do a started operation to its end; the user_data of every CQE is the caller's. */
static int run(jdb_uring_op *op)
{
    int err = JDB_URING_RESUME;
    while (err == JDB_URING_RESUME) {
        struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
        io_uring_sqe_set_data64(sqe, 0x1234);
        jdb_uring_prep(op, sqe);
        err = jdb_uring_complete(op, submit_and_wait());
    }
    return err;
}

static jdb_uring_stats stats_of(const jdb_uring *uring)
{
    jdb_uring_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    return stats;
}

/* ---- Operations ------------------------------------------------------------------------------------------- */

static void a_read_goes_fixed_where_registered_and_plain_elsewhere(void **state)
{
    (void)state;
    JDB_AUTO_BUF fixed = JDB_BUF_INIT;
    JDB_AUTO_BUF plain = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&fixed, 8 * BLOCK), 0);
    assert_int_equal(jdb_buf_with_cap(&plain, BLOCK), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(stats_of(uring).table_error, 0);
    assert_int_equal(jdb_uring_add(uring, fixed.ptr, fixed.cap, NULL), 0);
    jdb_raw part = JDB_RAW_INIT;
    assert_int_equal(jdb_raw_slice(jdb_buf_as_raw(&fixed), 5 * BLOCK, BLOCK, &part), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, part, BLOCK), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, BLOCK);
    assert_int_equal(op.is_eof, 0);
    rig_assert(part.ptr, BLOCK, BLOCK);
    assert_int_equal(stats_of(uring).fixed_count, 1);
    assert_int_equal(stats_of(uring).fixed_bytes, BLOCK);
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_buf_as_raw(&plain), 0), 0);
    assert_int_equal(run(&op), 0);
    rig_assert(plain.ptr, 0, BLOCK);
    assert_int_equal(stats_of(uring).plain_count, 1);
    assert_int_equal(stats_of(uring).plain_bytes, BLOCK);
    jdb_uring_close(uring);
}

static void the_end_of_the_file_is_reported_and_the_length_exact(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * BLOCK), 0);
    buf.ptr[FILE_SIZE] = 0xee;
    jdb_uring_op op = JDB_URING_OP_INIT;
    jdb_raw stale = jdb_raw_with_len(jdb_buf_as_raw(&buf), 4 * BLOCK);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, stale, 0), 0);
    assert_int_equal(op.view.len, 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, FILE_SIZE);
    assert_int_equal(jdb_uring_done_size(&op), FILE_SIZE);
    assert_int_equal(op.is_eof, 1);
    rig_assert(buf.ptr, 0, FILE_SIZE);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 4 * BLOCK), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, 0);
    assert_int_equal(op.is_eof, 1);
}

static void a_short_result_is_resumed_at_an_aligned_offset(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * BLOCK), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 2 * BLOCK), 0);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(jdb_uring_complete(&op, 5000), JDB_URING_RESUME);
    assert_int_equal(op.view.len, 0);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(sqe.off, 3 * BLOCK);
    assert_int_equal(sqe.addr, (uintptr_t)buf.ptr + BLOCK);
    assert_int_equal(sqe.len, 3 * BLOCK);
    assert_int_equal(jdb_uring_complete(&op, -EINTR), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_complete(&op, 3 * BLOCK), 0);
    assert_int_equal(op.view.len, 4 * BLOCK);
    assert_int_equal(op.is_eof, 0);
}

static void an_error_keeps_what_was_done_and_unpins(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_write(NULL, &op, file_fd, jdb_raw_with_len(jdb_buf_as_raw(&buf), 2 * BLOCK), 0), 0);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(sqe.opcode, IORING_OP_WRITE);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
    assert_true(jdb_is_pinned(buf.ptr, buf.cap));
    assert_int_equal(jdb_uring_complete(&op, -EIO), -EIO);
    assert_int_equal(jdb_uring_done_size(&op), BLOCK);
    assert_false(jdb_is_pinned(buf.ptr, buf.cap));
    assert_int_equal(jdb_uring_complete(&op, 0), -EINVAL);
    assert_int_equal(jdb_uring_write(NULL, &op, file_fd, jdb_raw_with_len(jdb_buf_as_raw(&buf), 2 * BLOCK), 0), 0);
    assert_int_equal(jdb_uring_complete(&op, 0), -EIO);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const int fd = rig_file(4 * BLOCK);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * BLOCK), 0);
    memset(buf.ptr, 0x5a, buf.cap);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_write(uring, &op, fd, jdb_raw_from_slice(buf.ptr + BLOCK, 2 * BLOCK), BLOCK), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(jdb_uring_done_size(&op), 2 * BLOCK);
    assert_int_equal(op.view.len, 2 * BLOCK);
    assert_int_equal(jdb_uring_read(uring, &op, fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(run(&op), 0);
    rig_assert(buf.ptr, 0, BLOCK);
    for (size_t i = BLOCK; i < 3 * BLOCK; i++)
        assert_int_equal(buf.ptr[i], 0x5a);
    rig_assert(buf.ptr + 3 * BLOCK, 3 * BLOCK, BLOCK);
    jdb_uring_close(uring);
    close(fd);
}

static void the_same_operation_runs_without_a_ring(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * BLOCK), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(jdb_uring_run(&op), 0);
    assert_int_equal(op.view.len, FILE_SIZE);
    assert_int_equal(op.is_eof, 1);
    assert_int_equal(jdb_uring_read(NULL, &op, -1, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(jdb_uring_run(&op), -EBADF);
    assert_int_equal(op.view.len, 0);
    assert_int_equal(jdb_uring_run(&op), -EINVAL);
}

static void wrong_arguments_start_nothing(void **state)
{
    (void)state;
    uint8_t bytes[16];
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(NULL, NULL, file_fd, jdb_raw_new(bytes, 16), 0), -EINVAL);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, JDB_RAW_INIT, 0), -EINVAL);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(bytes, 16), -1), -EINVAL);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(bytes, 16), INT64_MAX), -EINVAL);
    assert_int_equal(jdb_uring_write(NULL, &op, file_fd, jdb_raw_new(bytes, 16), 0), -EINVAL);
    op.align = 1000;
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(bytes, 16), 0), -EINVAL);
    op.align = 0;
    assert_int_equal(op.state, 0);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(bytes, 16), 0), 0);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(bytes, 16), 0), -EBUSY);
    jdb_uring_release(&op);
    jdb_uring_release(&op);
    jdb_uring_release(NULL);
}

static void prepare_unstarted(void *context)
{
    jdb_uring_op *const op = context;
    struct io_uring_sqe sqe;
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(SIGABRT, &usual, NULL);
    jdb_uring_prep(op, &sqe);
}

/* Nothing pins its memory, so the kernel must not get it. */
static void an_operation_that_is_not_started_is_not_prepared(void **state)
{
    (void)state;
    char text[512];
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    for (size_t i = 0; i < 2; i++) {
        assert_int_not_equal(must_run_child(prepare_unstarted, &op, text, sizeof text), 0);
        assert_non_null(strstr(text, "not started"));
        assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
        assert_int_equal(jdb_uring_release(&op), 0);
    }
}

/* ---- Several views ---------------------------------------------------------------------------------------- */

static void several_views_are_read_in_one_and_share_the_length(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 8 * BLOCK), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    jdb_raw views[3] = {jdb_raw_new(buf.ptr + 4 * BLOCK, BLOCK), jdb_raw_new(buf.ptr, BLOCK),
                        jdb_raw_new(buf.ptr + 6 * BLOCK, 2 * BLOCK)};
    views[0].len = 17;
    struct iovec iovs[3];
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_readv(uring, &op, file_fd, views, 3, iovs, 0), 0);
    assert_int_equal(views[0].len, 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(jdb_uring_done_size(&op), FILE_SIZE);
    assert_int_equal(op.is_eof, 1);
    assert_int_equal(views[0].len, BLOCK);
    assert_int_equal(views[1].len, BLOCK);
    assert_int_equal(views[2].len, FILE_SIZE - 2 * BLOCK);
    rig_assert(views[0].ptr, 0, BLOCK);
    rig_assert(views[1].ptr, BLOCK, BLOCK);
    rig_assert(views[2].ptr, 2 * BLOCK, FILE_SIZE - 2 * BLOCK);
    const jdb_uring_stats stats = stats_of(uring);
    assert_int_equal(stats.has_vectored != 0 ? stats.fixed_count : stats.plain_count, 2);
    jdb_uring_close(uring);
}

/* Fixed, the kernel has no memory for the table of so many pages; plain, it takes its 2 GiB at a time. */
static void many_large_views_are_written_to_the_end(void **state)
{
    (void)state;
    enum { VIEWS = 300 };
    static jdb_raw views[VIEWS];
    static struct iovec iovs[VIEWS];
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    const size_t size = (size_t)4 << 20;
    const int sink_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(sink_fd >= 0);
    assert_int_equal(jdb_buf_with_cap(&buf, size), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    for (size_t i = 0; i < VIEWS; i++)
        views[i] = jdb_raw_with_len(jdb_raw_new(buf.ptr, size), size);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_writev(uring, &op, sink_fd, views, VIEWS, iovs, 0), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(jdb_uring_done_size(&op), VIEWS * size);
    jdb_uring_close(uring);
    close(sink_fd);
}

static void a_short_vectored_result_goes_on_within_a_view(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 8 * BLOCK), 0);
    jdb_raw views[2] = {jdb_raw_from_slice(buf.ptr, 3 * BLOCK), jdb_raw_from_slice(buf.ptr + 4 * BLOCK, BLOCK)};
    views[0].cap = 4 * BLOCK;
    struct iovec iovs[2];
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_writev(NULL, &op, file_fd, views, 2, iovs, 0), 0);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(sqe.opcode, IORING_OP_WRITEV);
    assert_int_equal(sqe.len, 2);
    assert_int_equal(jdb_uring_complete(&op, 2 * BLOCK + 100), JDB_URING_RESUME);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(sqe.off, 2 * BLOCK);
    assert_ptr_equal(iovs[0].iov_base, buf.ptr + 2 * BLOCK);
    assert_int_equal(iovs[0].iov_len, BLOCK);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(sqe.len, 1);
    assert_ptr_equal(iovs[0].iov_base, buf.ptr + 4 * BLOCK);
    assert_true(jdb_is_pinned(buf.ptr, BLOCK));
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
    assert_int_equal(jdb_uring_done_size(&op), 4 * BLOCK);
    assert_int_equal(views[0].len, 3 * BLOCK); /* a write leaves its views as they were */
    assert_int_equal(views[1].len, BLOCK);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
    assert_int_equal(jdb_uring_readv(NULL, &op, file_fd, views, 2, iovs, 0), 0);
    assert_int_equal(jdb_uring_run(&op), 0);
    rig_assert(buf.ptr + 2 * BLOCK, 2 * BLOCK, FILE_SIZE - 2 * BLOCK);
}

static void wrong_views_start_nothing(void **state)
{
    (void)state;
    uint8_t bytes[16];
    jdb_raw views[2] = {jdb_raw_new(bytes, 16), jdb_raw_new(bytes, 0)};
    struct iovec iovs[2];
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_readv(NULL, &op, file_fd, views, 2, iovs, 0), -EINVAL);
    assert_int_equal(jdb_uring_readv(NULL, &op, file_fd, views, 0, iovs, 0), -EINVAL);
    assert_int_equal(jdb_uring_readv(NULL, &op, file_fd, views, 1025, iovs, 0), -EINVAL);
    assert_int_equal(jdb_uring_readv(NULL, &op, file_fd, views, 1, NULL, 0), -EINVAL);
    assert_int_equal(jdb_uring_writev(NULL, &op, file_fd, views, 1, iovs, 0), -EINVAL);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    views[0] = jdb_buf_as_raw(&buf);
    views[1] = jdb_raw_new(buf.ptr, 64 * BLOCK);
    assert_int_equal(jdb_uring_readv(NULL, &op, file_fd, views, 2, iovs, 0), -ERANGE);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
    assert_int_equal(op.state, 0);
}

/* ---- Pins ------------------------------------------------------------------------------------------------- */

static void memory_in_flight_is_held_and_freed_by_the_last_unpin(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * BLOCK), 0);
    uint8_t *const ptr = buf.ptr;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_true(jdb_is_pinned(ptr, BLOCK));
    assert_int_equal(jdb_buf_shrink(&buf), -EBUSY);
    assert_int_equal(jdb_buf_reserve(&buf, (size_t)64 << 20), -EBUSY);
    jdb_buf_drop(&buf);
    assert_int_equal(run(&op), 0);
    assert_false(jdb_is_pinned(ptr, BLOCK));
}

static void registered_memory_is_held_until_removed(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * BLOCK), 0);
    uint8_t *const ptr = buf.ptr;
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    assert_int_equal(jdb_buf_shrink(&buf), -EBUSY);
    jdb_buf_drop(&buf);
    assert_true(jdb_is_pinned(ptr, BLOCK));
    assert_int_equal(jdb_uring_remove(uring, ptr), 0);
    assert_false(jdb_is_pinned(ptr, BLOCK));
    assert_int_equal(jdb_uring_remove(uring, ptr), -EINVAL);
    jdb_uring_close(uring);
}

static void without_the_guard_the_kernel_reads_into_pages_that_are_gone(void **state)
{
    (void)state;
    uint8_t *const ptr = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(ptr != MAP_FAILED);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, ptr, BLOCK, NULL), 0);
    assert_int_equal(stats_of(uring).slots_used, 1);
    assert_int_equal(madvise(ptr, BLOCK, MADV_DONTNEED), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(ptr, BLOCK), 0), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        assert_int_equal(ptr[i], 0);
    jdb_uring_close(uring);
    munmap(ptr, BLOCK);
}

static void write_to(void *argument)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(SIGSEGV, &usual, NULL);
    *(volatile uint8_t *)argument = 1;
}

static void a_guarded_frame_is_read_only_until_its_write_completes(void **state)
{
    (void)state;
    char text[256];
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    const int fd = rig_file(2 * BLOCK);
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.guards = 1;
    assert_int_equal(jdb_uring_write(NULL, &op, fd, jdb_raw_from_slice(buf.ptr, BLOCK), 0), 0);
    assert_int_not_equal(must_run_child(write_to, buf.ptr, text, sizeof text), 0);
    assert_int_equal(must_run_child(write_to, buf.ptr + BLOCK, text, sizeof text), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(must_run_child(write_to, buf.ptr, text, sizeof text), 0);
    close(fd);
}

/* Whether each block from ptr on may be written, as "w" and "r": in a child, which gets the signal. */
static void assert_writable(const uint8_t *ptr, const char *expected)
{
    char text[256];
    for (size_t i = 0; expected[i] != '\0'; i++) {
        const int status = must_run_child(write_to, (void *)(uintptr_t)(ptr + i * BLOCK), text, sizeof text);
        assert_int_equal(status == 0, expected[i] == 'w');
    }
}

static void start_guarded(jdb_uring_op *op, uint8_t *ptr, size_t count)
{
    *op = JDB_URING_OP_INIT;
    op->guards = 1;
    assert_int_equal(jdb_uring_write(NULL, op, file_fd, jdb_raw_from_slice(ptr, count * BLOCK), 0), 0);
}

static void a_page_stays_guarded_until_its_last_write_ends(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 6 * BLOCK), 0);
    jdb_uring_op ops[4];
    start_guarded(&ops[0], buf.ptr, 6);
    start_guarded(&ops[1], buf.ptr + BLOCK, 1);
    start_guarded(&ops[2], buf.ptr + 3 * BLOCK, 2);
    start_guarded(&ops[3], buf.ptr + 4 * BLOCK, 1);
    assert_writable(buf.ptr, "rrrrrr");
    assert_int_equal(jdb_uring_release(&ops[0]), 0);
    assert_writable(buf.ptr, "wrwrrw");
    assert_int_equal(jdb_uring_release(&ops[2]), 0);
    assert_writable(buf.ptr, "wrwwrw");
    start_guarded(&ops[0], buf.ptr, 6);
    assert_int_equal(jdb_uring_release(&ops[1]), 0);
    assert_int_equal(jdb_uring_release(&ops[3]), 0);
    assert_writable(buf.ptr, "rrrrrr");
    assert_int_equal(jdb_uring_release(&ops[0]), 0);
    assert_writable(buf.ptr, "wwwwww");
}

/* What protection it had before is not known, so it is left alone. */
static void foreign_memory_is_not_guarded(void **state)
{
    (void)state;
    uint8_t *const ptr = mmap(NULL, 2 * BLOCK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(ptr != MAP_FAILED);
    jdb_uring_op op;
    start_guarded(&op, ptr, 2);
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_writable(ptr, "rr");
    munmap(ptr, 2 * BLOCK);
}

static void a_guard_that_the_system_refuses_is_done_without(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_uring_op op;
    faults_arm(OS_CALL_PROTECT, 0, -ENOMEM);
    start_guarded(&op, buf.ptr, 1);
    assert_true(faults_disarm());
    assert_writable(buf.ptr, "w");
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_writable(buf.ptr, "w");
}

#ifdef __SANITIZE_ADDRESS__

static void prepare_freed(void *argument)
{
    (void)argument;
    uint8_t *const bytes = aligned_alloc(BLOCK, BLOCK);
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    MUST(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(bytes, BLOCK), 0) == 0);
    free(bytes);
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(SIGABRT, &usual, NULL);
    jdb_uring_prep(&op, &sqe);
}

/* No checker sees the kernel write: the library asks before it is submitted, for the whole range. */
static void a_read_into_freed_memory_is_stopped_where_a_checker_is(void **state)
{
    (void)state;
    char text[512];
    assert_int_not_equal(must_run_child(prepare_freed, NULL, text, sizeof text), 0);
    assert_non_null(strstr(text, "memory that is not lent"));
}

#endif

/* ---- Ranges ----------------------------------------------------------------------------------------------- */

static void ranges_do_not_overlap_and_are_found_page_by_page(void **state)
{
    (void)state;
    const size_t granule = (size_t)2 << 20;
    uint8_t *const area = mmap(NULL, 8 * granule, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    uint8_t *const base = (uint8_t *)(((uintptr_t)area + granule - 1) & ~(uintptr_t)(granule - 1));
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, base + granule, 2 * granule, NULL), 0);
    assert_int_equal(jdb_uring_add(uring, base + granule - BLOCK, BLOCK, NULL), 0);
    assert_int_equal(jdb_uring_add(uring, base + 3 * granule, BLOCK, NULL), 0);
    assert_int_equal(jdb_uring_add(uring, base + granule + BLOCK, BLOCK, NULL), -EEXIST);
    assert_int_equal(jdb_uring_add(uring, base + granule - BLOCK, 4 * granule, NULL), -EEXIST);
    assert_int_equal(jdb_uring_add(uring, base, granule, NULL), -EEXIST);
    assert_int_equal(jdb_uring_add(uring, base + 1, BLOCK, NULL), -EINVAL);
    assert_int_equal(stats_of(uring).slots_used, 3);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(base + granule - BLOCK, BLOCK), 0), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(jdb_uring_remove(uring, base + granule), 0);
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(base + granule, BLOCK), 0), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(stats_of(uring).fixed_count, 1);
    assert_int_equal(stats_of(uring).plain_count, 1);
    assert_int_equal(jdb_uring_add(uring, base, 3 * granule - 2 * BLOCK, NULL), -EEXIST);
    assert_int_equal(jdb_uring_add(uring, base, granule - BLOCK, NULL), 0);
    jdb_uring_close(uring);
    munmap(area, 8 * granule);
}

static void any_view_up_to_the_overlap_is_fixed_whatever_edge_it_crosses(void **state)
{
    (void)state;
    const size_t size = (size_t)9 << 20;
    const size_t frame = 12288;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, size), 0);
    const jdb_uring_options options = {.size = sizeof options, .region_size = JDB_URING_REGION_MIN};
    const jdb_uring_range_options overlap = {.size = sizeof overlap, .overlap_size = frame};
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &overlap), 0);
    jdb_uring_range range = {.size = sizeof range};
    assert_int_equal(jdb_uring_get_range(uring, buf.ptr, &range), 0);
    assert_int_equal(range.region_count, 5);
    assert_int_equal(range.registered_count, 5);
    assert_int_equal(range.registered_bytes, buf.cap);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    for (size_t at = 0; at + frame <= buf.cap; at += BLOCK) {
        assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(buf.ptr + at, frame), 0), 0);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(sqe.opcode, IORING_OP_READ_FIXED);
        assert_int_equal(jdb_uring_complete(&op, -ECANCELED), -ECANCELED);
    }
    for (size_t edge = JDB_URING_REGION_MIN; edge < size; edge += JDB_URING_REGION_MIN) {
        memset(buf.ptr + edge - BLOCK, 0, frame);
        assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(buf.ptr + edge - BLOCK, 2 * BLOCK), 0), 0);
        assert_int_equal(run(&op), 0);
        rig_assert(buf.ptr + edge - BLOCK, 0, 2 * BLOCK);
    }
    assert_int_equal(stats_of(uring).plain_count, 0);
    jdb_uring_close(uring);
    jdb_buf_drop(&buf);
}

static void what_is_longer_than_the_overlap_goes_plain_or_in_pieces(void **state)
{
    (void)state;
    const size_t region = JDB_URING_REGION_MIN;
    const int fd = rig_file(2 * region);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * region), 0);
    const jdb_uring_options options = {.size = sizeof options, .region_size = region};
    const jdb_uring_range_options overlap = {.size = sizeof overlap, .overlap_size = BLOCK};
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &overlap), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(stats_of(uring).plain_count, 1);
    memset(buf.ptr, 0, buf.cap);
    op.splits = 1;
    assert_int_equal(jdb_uring_read(uring, &op, fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, 2 * region);
    rig_assert(buf.ptr, 0, 2 * region);
    assert_int_equal(stats_of(uring).fixed_count, 2);
    assert_int_equal(stats_of(uring).resume_count, 1);
    op.align = 2 * JDB_URING_REGION_MIN; /* no piece of a region is a multiple of it */
    assert_int_equal(jdb_uring_read(uring, &op, fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, 2 * region);
    assert_int_equal(stats_of(uring).plain_count, 2);
    jdb_raw views[2] = {jdb_raw_new(buf.ptr, BLOCK), jdb_raw_new(buf.ptr + BLOCK, 2 * region - BLOCK)};
    struct iovec iovs[2];
    memset(buf.ptr, 0, buf.cap);
    assert_int_equal(jdb_uring_readv(uring, &op, fd, views, 2, iovs, 0), 0);
    assert_int_equal(run(&op), 0);
    rig_assert(buf.ptr, 0, 2 * region);
    assert_int_equal(stats_of(uring).plain_count, 3); /* both begin in one region, and one leaves it */
    jdb_uring_close(uring);
    close(fd);
}

static void a_region_that_the_kernel_refuses_says_why_and_its_views_go_plain(void **state)
{
    (void)state;
    const size_t region = JDB_URING_REGION_MIN;
    uint8_t *const area = mmap(NULL, 3 * region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    assert_int_equal(mprotect(area + region + BLOCK, BLOCK, PROT_NONE), 0);
    const jdb_uring_options options = {.size = sizeof options, .region_size = region};
    jdb_uring_range_options whole = {.size = sizeof whole, .overlap_size = BLOCK, .is_atomic = 1};
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, area, 3 * region, &whole), -EFAULT);
    assert_int_equal(stats_of(uring).slots_used, 0);
    whole.is_atomic = 0;
    assert_int_equal(jdb_uring_add(uring, area, 3 * region, &whole), 0);
    jdb_uring_region status = {.size = sizeof status};
    assert_int_equal(jdb_uring_get_region(uring, area, 1, &status), 0);
    assert_int_equal(status.slot, -1);
    assert_int_equal(status.why.err, -EFAULT);
    assert_non_null(status.why.remedy);
    assert_int_equal(jdb_uring_get_region(uring, area, 2, &status), 0);
    assert_int_equal(status.why.err, 0);
    assert_int_equal(jdb_uring_get_region(uring, area, 3, &status), -ERANGE);
    jdb_uring_range range = {.size = sizeof range};
    assert_int_equal(jdb_uring_get_range(uring, area, &range), 0);
    assert_int_equal(range.registered_count, 2);
    assert_int_equal(range.first_error, -EFAULT);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(area + region + 4 * BLOCK, BLOCK), 0), 0);
    assert_int_equal(run(&op), 0);
    rig_assert(area + region + 4 * BLOCK, 0, BLOCK);
    assert_int_equal(stats_of(uring).plain_count, 1);
    jdb_uring_close(uring);
    munmap(area, 3 * region);
}

static void a_callers_table_is_used_within_the_lent_slots(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 3 * JDB_URING_REGION_MIN), 0);
    assert_int_equal(io_uring_register_buffers_sparse(&ring, 8), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(stats_of(uring).table_error, -EBUSY);
    jdb_uring_close(uring);
    const jdb_uring_options options = {.size = sizeof options,
                                       .uses_caller_table = 1,
                                       .first_slot = 6,
                                       .slot_count = 2,
                                       .region_size = JDB_URING_REGION_MIN};
    const jdb_uring_range_options overlap = {.size = sizeof overlap, .overlap_size = BLOCK};
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &overlap), 0);
    jdb_uring_region status = {.size = sizeof status};
    assert_int_equal(jdb_uring_get_region(uring, buf.ptr, 0, &status), 0);
    assert_int_equal(status.slot, 6);
    assert_int_equal(jdb_uring_get_region(uring, buf.ptr, 2, &status), 0);
    assert_int_equal(status.why.err, -ENOSPC);
    jdb_uring_close(uring);
    assert_int_equal(io_uring_unregister_buffers(&ring), 0);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    jdb_uring *uring = NULL;
    jdb_uring_options options = {.size = sizeof options, .region_size = 3 << 20};
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), -EINVAL);
    options = (jdb_uring_options){.size = sizeof options, .slot_count = JDB_URING_SLOTS_MAX + 1};
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), -EINVAL);
    options = (jdb_uring_options){.size = sizeof options, .first_slot = 1};
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), -EINVAL);
    struct {
        jdb_uring_options known;
        uint64_t newer;
    } newer = {.known = {.size = sizeof newer}, .newer = 1};
    assert_int_equal(jdb_uring_open(&ring, &newer.known, &uring), -E2BIG);
    assert_int_equal(jdb_uring_open(NULL, NULL, &uring), -EINVAL);
    assert_null(uring);
    jdb_uring_close(NULL);
    jdb_uring_abandon(NULL);
}

static void an_object_outlives_its_ring_when_abandoned(void **state)
{
    (void)state;
    struct io_uring other;
    assert_int_equal(io_uring_queue_init(4, &other, 0), 0);
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&other, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    io_uring_queue_exit(&other);
    jdb_uring_abandon(uring);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
    jdb_buf_drop(&buf);
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, exit_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(a_read_goes_fixed_where_registered_and_plain_elsewhere),
        WITH_RING(the_end_of_the_file_is_reported_and_the_length_exact),
        WITH_RING(a_short_result_is_resumed_at_an_aligned_offset),
        WITH_RING(an_error_keeps_what_was_done_and_unpins),
        WITH_RING(what_is_written_is_read_back),
        WITH_RING(the_same_operation_runs_without_a_ring),
        WITH_RING(wrong_arguments_start_nothing),
        WITH_RING(an_operation_that_is_not_started_is_not_prepared),
        WITH_RING(several_views_are_read_in_one_and_share_the_length),
        WITH_RING(a_short_vectored_result_goes_on_within_a_view),
        WITH_RING(many_large_views_are_written_to_the_end),
        WITH_RING(wrong_views_start_nothing),
        WITH_RING(a_guarded_frame_is_read_only_until_its_write_completes),
        WITH_RING(a_page_stays_guarded_until_its_last_write_ends),
        WITH_RING(foreign_memory_is_not_guarded),
        WITH_RING(a_guard_that_the_system_refuses_is_done_without),
#ifdef __SANITIZE_ADDRESS__
        WITH_RING(a_read_into_freed_memory_is_stopped_where_a_checker_is),
#endif
        WITH_RING(memory_in_flight_is_held_and_freed_by_the_last_unpin),
        WITH_RING(registered_memory_is_held_until_removed),
        WITH_RING(without_the_guard_the_kernel_reads_into_pages_that_are_gone),
        WITH_RING(ranges_do_not_overlap_and_are_found_page_by_page),
        WITH_RING(any_view_up_to_the_overlap_is_fixed_whatever_edge_it_crosses),
        WITH_RING(what_is_longer_than_the_overlap_goes_plain_or_in_pieces),
        WITH_RING(a_region_that_the_kernel_refuses_says_why_and_its_views_go_plain),
        WITH_RING(a_callers_table_is_used_within_the_lent_slots),
        WITH_RING(wrong_options_are_refused),
        WITH_RING(an_object_outlives_its_ring_when_abandoned),
    };
    if (!memlock_allows(MEMLOCK_OF_TESTS)) {
        print_message(MEMLOCK_SKIPPED);
        return 77;
    }
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&ring);
    file_fd = rig_file(FILE_SIZE);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
