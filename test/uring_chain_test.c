/* SPDX-License-Identifier: MIT
 *
 * uring_chain_test.c - operations of several SQEs: flags that hold for the first alone, appends that are never sent
 * again, a write and its sync as one, results that are retried and how often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "faults.h"
#include "must.h"

#define RETRIES 64u
#define NO_APPEND 0x20u /* RWF_NOAPPEND */
#define ATOMIC 0x40u    /* RWF_ATOMIC */

static int file_fd = -1;
static struct io_uring ring;
static jdb_buf buf = JDB_BUF_INIT;

static int open_ring(void **state)
{
    (void)state;
    return io_uring_queue_init(8, &ring, 0) != 0 || jdb_buf_with_cap(&buf, 4 * BLOCK) != 0;
}

static int exit_ring(void **state)
{
    (void)state;
    faults_disarm();
    const bool is_pinned = jdb_is_pinned(buf.ptr, buf.cap);
    jdb_buf_drop(&buf);
    io_uring_queue_exit(&ring);
    return is_pinned ? -1 : 0;
}

static jdb_raw data_of(size_t size)
{
    return jdb_raw_from_slice(buf.ptr, size);
}

/* A nameless file in the working directory. */
static int new_file(int flags)
{
    char path[] = "chain_test.XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    const int again = open(path, O_RDWR | O_CLOEXEC | flags);
    assert_true(again >= 0);
    close(fd);
    unlink(path);
    return again;
}

static int64_t size_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return status.st_size;
}

/* From here on files end at `size`; SIGXFSZ is ignored, so a write that reaches it comes out short. */
static void limit_files(rlim_t size)
{
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigaction(SIGXFSZ, &ignored, NULL);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int32_t wait_for(uint64_t user_data)
{
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(cqe->user_data, user_data);
    const int32_t res = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return res;
}

/* Prepare, submit, complete: one SQE. */
static int step(jdb_uring_op *op)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(op, sqe);
    io_uring_sqe_set_data64(sqe, 1);
    assert_int_equal(io_uring_submit(&ring), 1);
    return jdb_uring_complete(op, wait_for(1));
}

/* ---- Flags ------------------------------------------------------------------------------------------------ */

static int start_with(uint32_t sqe_flags, uint32_t splits)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.sqe_flags = (uint8_t)sqe_flags;
    op.splits = splits;
    const int err = jdb_uring_write(NULL, &op, file_fd, data_of(2 * BLOCK), 0);
    assert_int_equal(jdb_uring_release(&op), 0);
    return err;
}

static void flags_that_need_one_sqe_are_refused_where_there_are_more(void **state)
{
    (void)state;
    const uint32_t ordered[] = {IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_IO_DRAIN};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(start_with(ordered[i], 0), 0);
        assert_int_equal(start_with(ordered[i], 1), -EINVAL);
        jdb_uring_op op = JDB_URING_OP_INIT;
        op.sqe_flags = (uint8_t)ordered[i];
        assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(BLOCK), 0, JDB_URING_SYNC_DATA), -EINVAL);
        const jdb_raw huge = jdb_raw_from_slice((void *)(uintptr_t)BLOCK, (size_t)JDB_TRANSFER_MAX + BLOCK);
        assert_int_equal(jdb_uring_write(NULL, &op, file_fd, huge, 0), -EINVAL);
        const jdb_raw large = jdb_raw_from_slice((void *)(uintptr_t)BLOCK, (size_t)JDB_TRANSFER_MAX);
        assert_int_equal(jdb_uring_write(NULL, &op, file_fd, large, 0), 0);
        assert_int_equal(jdb_uring_release(&op), 0);
    }
    assert_int_equal(start_with(IOSQE_ASYNC, 1), 0);
    assert_int_equal(start_with(IOSQE_FIXED_FILE, 1), 0);
    assert_int_equal(start_with(IOSQE_CQE_SKIP_SUCCESS, 0), -EINVAL);
    assert_int_equal(start_with(IOSQE_BUFFER_SELECT, 0), -EINVAL);
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.sqe_flags = IOSQE_CQE_SKIP_SUCCESS;
    jdb_raw view = data_of(BLOCK);
    struct iovec iov;
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, view, 0), -EINVAL);
    assert_int_equal(jdb_uring_readv(NULL, &op, file_fd, &view, 1, &iov, 0), -EINVAL);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, view, -1), -EINVAL);
    assert_false(jdb_is_pinned(buf.ptr, 1));
}

static void a_resumed_sqe_is_linked_to_nobody(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    const uint32_t kept = IOSQE_ASYNC | IOSQE_FIXED_FILE;
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.sqe_flags = (uint8_t)(kept | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN);
    const int32_t results[] = {BLOCK, -EINTR, -EAGAIN};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(jdb_uring_write(NULL, &op, 0, data_of(2 * BLOCK), 0), 0);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(sqe.flags, op.sqe_flags);
        assert_int_equal(jdb_uring_complete(&op, results[i]), JDB_URING_RESUME);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(sqe.flags, kept);
        assert_int_equal(jdb_uring_complete(&op, -EIO), -EIO);
    }
}

/* A linked read meets the end of the file; what is prepared behind its second SQE runs. */
static void a_stranger_behind_a_resumed_read_is_not_cancelled(void **state)
{
    (void)state;
    const int fd = rig_file(2 * BLOCK + 100);
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.sqe_flags = IOSQE_IO_LINK;
    assert_int_equal(jdb_uring_read(NULL, &op, fd, jdb_buf_as_raw(&buf), 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        jdb_uring_prep(&op, sqe);
        io_uring_sqe_set_data64(sqe, 1);
        sqe = io_uring_get_sqe(&ring);
        io_uring_prep_nop(sqe);
        io_uring_sqe_set_data64(sqe, 2);
        assert_int_equal(io_uring_submit(&ring), 2);
        int32_t results[3] = {0};
        for (unsigned k = 0; k < 2; k++) {
            struct io_uring_cqe *cqe = NULL;
            assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
            results[cqe->user_data] = cqe->res;
            io_uring_cqe_seen(&ring, cqe);
        }
        assert_int_equal(results[2], i == 0 ? -ECANCELED : 0);
        assert_int_equal(jdb_uring_complete(&op, results[1]), i == 0 ? JDB_URING_RESUME : 0);
    }
    assert_int_equal(op.view.len, 2 * BLOCK + 100);
    close(fd);
}

/* ---- Appends ---------------------------------------------------------------------------------------------- */

/* A short append of two blocks, by the ring or without. */
static void append_short(int file_flags, uint32_t rw_flags, bool has_ring)
{
    const int fd = new_file(file_flags);
    for (size_t i = 0; i < 2 * BLOCK; i++)
        buf.ptr[i] = rig_byte(i);
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.rw_flags = rw_flags;
    assert_int_equal(jdb_uring_write(NULL, &op, fd, data_of(2 * BLOCK), 0), 0);
    limit_files(5000);
    const int err = has_ring ? step(&op) : jdb_uring_run(&op);
    limit_files(RLIM_INFINITY);
    assert_int_equal(err, -EIO);
    assert_int_equal(jdb_uring_done_size(&op), 5000);
    assert_int_equal(size_of(fd), 5000);
    assert_int_equal(jdb_uring_complete(&op, 0), -EINVAL);
    close(fd);
}

static void a_short_append_is_not_sent_again(void **state)
{
    (void)state;
    append_short(O_APPEND, 0, true);
    append_short(O_APPEND, 0, false);
    append_short(0, RWF_APPEND, true);
    append_short(0, RWF_APPEND, false);
}

/* What complete makes of a short write of 5,000 bytes. */
static int complete_short(int fd, uint32_t rw_flags, uint32_t sqe_flags)
{
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.rw_flags = rw_flags;
    op.sqe_flags = (uint8_t)sqe_flags;
    assert_int_equal(jdb_uring_write(NULL, &op, fd, data_of(2 * BLOCK), 0), 0);
    jdb_uring_prep(&op, &sqe);
    const int err = jdb_uring_complete(&op, 5000);
    assert_int_equal(jdb_uring_done_size(&op), 5000);
    assert_int_equal(jdb_uring_release(&op), 0);
    return err;
}

static void what_is_no_append_is_resumed(void **state)
{
    (void)state;
    const int fd = new_file(O_APPEND);
    assert_int_equal(complete_short(file_fd, 0, 0), JDB_URING_RESUME);
    assert_int_equal(complete_short(fd, 0, 0), -EIO);
    assert_int_equal(complete_short(fd, NO_APPEND, 0), JDB_URING_RESUME);
    assert_int_equal(complete_short(fd, RWF_DSYNC, 0), -EIO);
    assert_int_equal(complete_short(file_fd, ATOMIC, 0), -EIO);
    assert_int_equal(complete_short(0, RWF_APPEND, IOSQE_FIXED_FILE), -EIO);
    assert_int_equal(complete_short(fd, 0, IOSQE_FIXED_FILE), JDB_URING_RESUME); /* fd is an index there */
    assert_int_equal(complete_short(-1, 0, 0), -EBADF);
    faults_arm(OS_CALL_STAT, 0, -ENOMEM);
    assert_int_equal(complete_short(file_fd, 0, 0), -ENOMEM);
    assert_true(faults_disarm());
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.splits = 1;
    op.rw_flags = RWF_APPEND;
    assert_int_equal(jdb_uring_write(NULL, &op, fd, data_of(BLOCK), 0), -EINVAL);
    op.rw_flags = ATOMIC;
    assert_int_equal(jdb_uring_write(NULL, &op, fd, data_of(BLOCK), 0), -EINVAL);
    close(fd);
}

/* sqe_flags mean nothing without a ring, IOSQE_FIXED_FILE neither. */
static void run_takes_fd_for_a_descriptor(void **state)
{
    (void)state;
    const int fd = new_file(O_APPEND);
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.sqe_flags = IOSQE_FIXED_FILE;
    assert_int_equal(jdb_uring_write(NULL, &op, fd, data_of(2 * BLOCK), 0), 0);
    limit_files(5000);
    const int err = jdb_uring_run(&op);
    limit_files(RLIM_INFINITY);
    assert_int_equal(err, -EIO);
    assert_int_equal(size_of(fd), 5000);
    close(fd);
}

/* ---- Write, then sync ------------------------------------------------------------------------------------- */

static void a_sync_follows_when_every_byte_is_written(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.sqe_flags = IOSQE_FIXED_FILE;
    op.rw_flags = RWF_HIPRI;
    assert_int_equal(jdb_uring_write_sync(NULL, &op, 5, data_of(3 * BLOCK), BLOCK, JDB_URING_SYNC_DATA), 0);
    const int32_t results[] = {BLOCK, -EINTR, BLOCK + 100, -EAGAIN, BLOCK};
    for (size_t i = 0; i < 5; i++) {
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(sqe.opcode, IORING_OP_WRITE);
        assert_int_equal(jdb_uring_complete(&op, results[i]), JDB_URING_RESUME);
        assert_true(jdb_is_pinned(buf.ptr, 1));
    }
    assert_int_equal(jdb_uring_done_size(&op), 3 * BLOCK);
    memset(&sqe, 0xff, sizeof sqe);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(sqe.opcode, IORING_OP_FSYNC);
    assert_int_equal(sqe.fsync_flags, IORING_FSYNC_DATASYNC);
    assert_int_equal(sqe.flags, IOSQE_FIXED_FILE);
    assert_int_equal(sqe.fd, 5);
    assert_int_equal(sqe.off, 0);
    assert_int_equal(sqe.addr, 0);
    assert_int_equal(sqe.len, 0);
    assert_int_equal(sqe.buf_index, 0);
    assert_int_equal(jdb_uring_release(&op), -EBUSY);
    assert_int_equal(jdb_uring_complete(&op, 0), 0);
    assert_int_equal(jdb_uring_done_size(&op), 3 * BLOCK);
}

/* -EINTR and -EAGAIN too may be the error of a writeback, which a second sync would not return. */
static void the_result_of_a_sync_is_final(void **state)
{
    (void)state;
    const int errors[] = {-EINTR, -EAGAIN, -EIO};
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(BLOCK), 0, JDB_URING_SYNC_DATA), 0);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(jdb_uring_complete(&op, errors[i]), errors[i]);
        assert_int_equal(jdb_uring_done_size(&op), BLOCK);
        assert_false(jdb_is_pinned(buf.ptr, 1));
        assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(BLOCK), 0, JDB_URING_SYNC_DATA), 0);
        const unsigned long before = faults_calls(OS_CALL_SYNC);
        faults_arm(OS_CALL_SYNC, 0, errors[i]);
        assert_int_equal(jdb_uring_run(&op), errors[i]);
        assert_true(faults_disarm());
        assert_int_equal(faults_calls(OS_CALL_SYNC) - before, 1);
    }
}

static void an_error_says_whether_the_write_failed_or_the_sync(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(2 * BLOCK), 0, JDB_URING_SYNC_FILE), 0);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(jdb_uring_complete(&op, i == 0 ? BLOCK : 2 * BLOCK), JDB_URING_RESUME);
        jdb_uring_prep(&op, &sqe);
        assert_int_equal(sqe.opcode, i == 0 ? IORING_OP_WRITE : IORING_OP_FSYNC);
        assert_true(i == 0 || sqe.fsync_flags == 0);
        assert_int_equal(jdb_uring_complete(&op, -EIO), -EIO);
        assert_int_equal(jdb_uring_done_size(&op), i == 0 ? BLOCK : 2 * BLOCK);
        assert_false(jdb_is_pinned(buf.ptr, 1));
    }
    assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(BLOCK), 0, 0), -EINVAL);
    assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(BLOCK), 0, 3), -EINVAL);
    assert_int_equal(jdb_uring_write_sync(NULL, NULL, file_fd, data_of(BLOCK), 0, 1), -EINVAL);
    assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(BLOCK), 0, 1), 0);
    assert_int_equal(jdb_uring_write_sync(NULL, &op, file_fd, data_of(BLOCK), 0, 1), -EBUSY);
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_int_equal(jdb_uring_write(NULL, &op, file_fd, data_of(BLOCK), 0), 0); /* no sync of the write before stays */
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
}

/* On a real ring: the write comes out short at a limit, which is raised then; the sync is the third SQE. */
static void a_chain_survives_a_short_write(void **state)
{
    (void)state;
    const int fd = new_file(0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    for (size_t i = 0; i < buf.cap; i++)
        buf.ptr[i] = rig_byte(i);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_write_sync(uring, &op, fd, data_of(4 * BLOCK), 0, JDB_URING_SYNC_DATA), 0);
    assert_ptr_equal(op.uring, uring);
    limit_files(2 * BLOCK + 100);
    assert_int_equal(step(&op), JDB_URING_RESUME);
    limit_files(RLIM_INFINITY);
    assert_int_equal(jdb_uring_done_size(&op), 2 * BLOCK + 100);
    assert_int_equal(step(&op), JDB_URING_RESUME);
    assert_int_equal(size_of(fd), 4 * BLOCK);
    assert_int_equal(step(&op), 0);
    uint8_t written[4 * BLOCK];
    assert_int_equal(pread(fd, written, sizeof written, 0), sizeof written);
    assert_memory_equal(written, buf.ptr, sizeof written);
    assert_int_equal(jdb_uring_close(uring), 0);
    close(fd);
}

static void a_chain_of_views_ends_in_a_sync_too(void **state)
{
    (void)state;
    jdb_raw views[2] = {data_of(BLOCK), jdb_raw_from_slice(buf.ptr + 2 * BLOCK, BLOCK)};
    struct iovec iovs[2];
    struct io_uring_sqe sqe;
    const int fd = new_file(0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_writev_sync(NULL, &op, fd, views, 2, iovs, 0, JDB_URING_SYNC_DATA), 0);
    assert_int_equal(step(&op), JDB_URING_RESUME);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(sqe.opcode, IORING_OP_FSYNC);
    assert_int_equal(jdb_uring_complete(&op, -ENOSPC), -ENOSPC);
    assert_int_equal(jdb_uring_done_size(&op), 2 * BLOCK);
    assert_int_equal(size_of(fd), 2 * BLOCK);
    assert_int_equal(jdb_uring_writev_sync(NULL, &op, fd, views, 2, iovs, 0, 9), -EINVAL);
    close(fd);
}

static void without_a_ring_the_sync_is_made_once_and_last(void **state)
{
    (void)state;
    const int fd = new_file(0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    for (uint32_t sync = JDB_URING_SYNC_DATA; sync <= JDB_URING_SYNC_FILE; sync++) {
        const unsigned long before = faults_calls(OS_CALL_SYNC);
        assert_int_equal(jdb_uring_write_sync(NULL, &op, fd, data_of(2 * BLOCK), 0, sync), 0);
        assert_int_equal(jdb_uring_run(&op), 0);
        assert_int_equal(faults_calls(OS_CALL_SYNC) - before, 1);
    }
    assert_int_equal(jdb_uring_write_sync(NULL, &op, fd, data_of(2 * BLOCK), 0, JDB_URING_SYNC_DATA), 0);
    faults_arm(OS_CALL_SYNC, 0, -EIO);
    assert_int_equal(jdb_uring_run(&op), -EIO);
    assert_true(faults_disarm());
    assert_int_equal(jdb_uring_done_size(&op), 2 * BLOCK);
    const unsigned long before = faults_calls(OS_CALL_SYNC);
    assert_int_equal(jdb_uring_write_sync(NULL, &op, fd, data_of(2 * BLOCK), 0, JDB_URING_SYNC_DATA), 0);
    faults_arm(OS_CALL_WRITE, 0, -ENOSPC);
    assert_int_equal(jdb_uring_run(&op), -ENOSPC);
    assert_true(faults_disarm());
    assert_int_equal(faults_calls(OS_CALL_SYNC), before);
    close(fd);
}

/* A cancelled chain makes no sync behind its write. */
static void a_cancelled_chain_ends_before_its_sync(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_write_sync(uring, &op, file_fd, data_of(BLOCK), 0, JDB_URING_SYNC_DATA), 0);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(jdb_uring_cancel(&op, 1, &sqe), 0);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), -ECANCELED);
    assert_int_equal(jdb_uring_done_size(&op), BLOCK);
    assert_int_equal(jdb_uring_write_sync(uring, &op, file_fd, data_of(BLOCK), 0, JDB_URING_SYNC_DATA), 0);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
    jdb_uring_prep(&op, &sqe);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(jdb_uring_complete(&op, 0), 0);
    jdb_uring_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    assert_int_equal(stats.resume_count, 0); /* a sync resumes nothing */
    assert_int_equal(stats.plain_count, 2);  /* and moves nothing */
    assert_int_equal(jdb_uring_close(uring), 0);
}

/* ---- Retries ---------------------------------------------------------------------------------------------- */

/* What io_uring returns each time that it is asked: -EAGAIN of a descriptor with O_NONBLOCK whose file system cannot
 * wait. */
static void the_same_answer_for_ever_ends_the_operation(void **state)
{
    (void)state;
    const int errors[] = {-EAGAIN, -EINTR};
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
        unsigned rounds = 0;
        int err = JDB_URING_RESUME;
        for (; err == JDB_URING_RESUME && rounds < 100000; rounds++) {
            jdb_uring_prep(&op, &sqe);
            err = jdb_uring_complete(&op, errors[i]);
        }
        assert_int_equal(err, errors[i]);
        assert_int_equal(rounds, RETRIES + 1);
        assert_false(jdb_is_pinned(buf.ptr, 1));
    }
}

static void progress_begins_the_count_anew(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(buf.ptr, 2 * BLOCK), 0), 0);
    for (unsigned i = 0; i < 2 * RETRIES; i++) {
        jdb_uring_prep(&op, &sqe);
        if (i == RETRIES) {
            assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
            jdb_uring_prep(&op, &sqe);
        }
        assert_int_equal(jdb_uring_complete(&op, i % 2 == 0 ? -EINTR : -EAGAIN), JDB_URING_RESUME);
    }
    assert_int_equal(jdb_uring_complete(&op, -EINTR), -EINTR);
    assert_int_equal(op.view.len, BLOCK);
    op.rw_flags = RWF_NOWAIT;
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(jdb_uring_complete(&op, -EINTR), JDB_URING_RESUME); /* nor does one operation count for the next */
    assert_int_equal(jdb_uring_complete(&op, -EAGAIN), -EAGAIN);
}

static void without_a_ring_the_count_is_the_same(void **state)
{
    (void)state;
    const int errors[] = {-EINTR, -EAGAIN};
    jdb_uring_op op = JDB_URING_OP_INIT;
    for (size_t i = 0; i < 2; i++) {
        const unsigned long before = faults_calls(OS_CALL_READ);
        assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
        faults_arm_all(OS_CALL_READ, 0, errors[i]);
        assert_int_equal(jdb_uring_run(&op), errors[i]);
        assert_true(faults_disarm());
        assert_int_equal(faults_calls(OS_CALL_READ) - before, RETRIES + 1);
    }
}

static void *run_cancelled(void *argument)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    const int fd = *(const int *)argument;
    pthread_cancel(pthread_self());
    MUST(jdb_uring_write_sync(NULL, &op, fd, data_of(BLOCK), 0, JDB_URING_SYNC_DATA) == 0 && jdb_uring_run(&op) == 0);
    MUST(jdb_uring_read(NULL, &op, fd, data_of(BLOCK), 0) == 0 && jdb_uring_run(&op) == 0);
    *(int *)argument = -1;
    pthread_testcancel();
    return NULL;
}

static void without_a_ring_no_call_is_a_cancellation_point(void **state)
{
    (void)state;
    int fd = new_file(0);
    const int same = fd;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_cancelled, &fd), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(fd, -1);
    close(same);
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, exit_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(flags_that_need_one_sqe_are_refused_where_there_are_more),
        WITH_RING(a_resumed_sqe_is_linked_to_nobody),
        WITH_RING(a_stranger_behind_a_resumed_read_is_not_cancelled),
        WITH_RING(a_short_append_is_not_sent_again),
        WITH_RING(what_is_no_append_is_resumed),
        WITH_RING(run_takes_fd_for_a_descriptor),
        WITH_RING(a_sync_follows_when_every_byte_is_written),
        WITH_RING(the_result_of_a_sync_is_final),
        WITH_RING(an_error_says_whether_the_write_failed_or_the_sync),
        WITH_RING(a_chain_survives_a_short_write),
        WITH_RING(a_chain_of_views_ends_in_a_sync_too),
        WITH_RING(without_a_ring_the_sync_is_made_once_and_last),
        WITH_RING(a_cancelled_chain_ends_before_its_sync),
        WITH_RING(the_same_answer_for_ever_ends_the_operation),
        WITH_RING(progress_begins_the_count_anew),
        WITH_RING(without_a_ring_the_count_is_the_same),
        WITH_RING(without_a_ring_no_call_is_a_cancellation_point),
    };
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&ring);
    file_fd = rig_file(4 * BLOCK);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
