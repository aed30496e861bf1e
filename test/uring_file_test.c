/* SPDX-License-Identifier: MIT
 *
 * uring_file_test.c - operations of a ring on a jdb_file: descriptor, flags and sync as the file has them, errors that stay with
 * it. Runs in TMPDIR (default /var/tmp); what needs direct I/O is skipped where that file system has none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "faults.h"
#include "file_rig.h"
#include "random.h"
#include "tier.h"

#define SPACE (16 * BLOCK)
#define DSYNC 0x2u
#define DONTCACHE 0x80u

static char path[512];
static struct io_uring ring;
static jdb_uring *uring;
static jdb_buf buf = JDB_BUF_INIT;
static jdb_file *file;

static int open_ring(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/uring_file_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    unlink(path);
    return io_uring_queue_init(8, &ring, 0) != 0 || jdb_uring_open(&ring, NULL, &uring) != 0 ||
           jdb_buf_with_cap(&buf, SPACE) != 0 || jdb_uring_add(uring, buf.ptr, buf.cap, NULL) != 0;
}

static int close_ring(void **state)
{
    (void)state;
    faults_disarm();
    (void)jdb_file_close(file);
    file = NULL;
    unlink(path);
    const int err = jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
    const bool is_pinned = jdb_is_pinned(buf.ptr, buf.cap);
    jdb_buf_drop(&buf);
    return err != 0 || is_pinned ? -1 : 0;
}

static void open_with(uint32_t policy, uint32_t tail, uint32_t flags)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.policy = policy;
    options.tail = tail;
    options.flags = flags;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
}

static void open_direct(void)
{
    open_with(JDB_FILE_DIRECT_PREFER, JDB_FILE_TAIL_BUFFERED, 0);
    if (jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT) {
        print_message("no direct I/O here: %s\n", jdb_file_reason(file));
        skip();
    }
}

static jdb_raw data_at(size_t start, size_t size)
{
    return jdb_raw_from_slice(buf.ptr + start, size);
}

/* One SQE of an operation that is started. */
static int step(jdb_uring_op *op)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    assert_int_equal(jdb_uring_prep(op, sqe), 0);
    io_uring_sqe_set_data64(sqe, 7);
    assert_int_equal(io_uring_submit(&ring), 1);
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    const int32_t res = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return jdb_uring_complete(op, res);
}

static int finish(jdb_uring_op *op)
{
    int err = JDB_URING_RESUME;
    while (err == JDB_URING_RESUME)
        err = step(op);
    return err;
}

static int put(size_t start, size_t size, int64_t offset, uint32_t durability)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    const int err = jdb_uring_write_file(uring, &op, file, data_at(start, size), offset, durability);
    return err == 0 ? finish(&op) : err;
}

static int64_t size_of_file(void)
{
    int64_t size = -1;
    assert_int_equal(jdb_file_size(file, &size), 0);
    return size;
}

/* ---- What the file chooses -------------------------------------------------------------------------------- */

static void aligned_requests_are_direct_and_fixed(void **state)
{
    (void)state;
    open_direct();
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe = {.opcode = 99};
    assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, data_at(0, 2 * BLOCK), 4096, 0), 0);
    assert_int_equal(sqe.opcode, IORING_OP_WRITE_FIXED);
    assert_int_equal(sqe.fd, jdb_file_descriptor(file));
    assert_int_equal(sqe.rw_flags, 0);
    assert_true(op.align >= limits.write_align);
    assert_int_equal(jdb_uring_complete(&op, -ECANCELED), -ECANCELED);
    assert_int_equal(jdb_uring_prep_read_file(uring, &op, &sqe, file, data_at(0, 2 * BLOCK), 4096), 0);
    assert_int_equal(sqe.opcode, IORING_OP_READ_FIXED);
    assert_int_equal(sqe.fd, jdb_file_descriptor(file));
    assert_int_equal(op.align, limits.read_align);
    assert_int_equal(jdb_uring_complete(&op, 2 * BLOCK), 0);
}

static void bytes_come_back_to_the_end_of_the_file(void **state)
{
    (void)state;
    open_with(JDB_FILE_DIRECT_PREFER, 0, 0);
    for (size_t i = 0; i < SPACE; i++)
        buf.ptr[i] = rig_byte(i);
    assert_int_equal(put(0, 8 * BLOCK, 0, JDB_FILE_DURABLE_DATA), 0);
    assert_int_equal(jdb_file_truncate(file, 5000), 0);
    memset(buf.ptr, 0, SPACE);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read_file(uring, &op, file, data_at(0, 4 * BLOCK), 0), 0);
    assert_int_equal(finish(&op), 0);
    assert_int_equal(op.view.len, 5000);
    assert_int_equal(op.is_eof, 1);
    rig_assert(buf.ptr, 0, 5000);
}

static void a_write_of_a_part_of_a_block_goes_through_the_page_cache(void **state)
{
    (void)state;
    open_direct();
    memset(buf.ptr, 0x41, SPACE);
    assert_int_equal(put(0, 3 * BLOCK, 0, 0), 0);
    memset(buf.ptr, 0x42, SPACE);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, data_at(1, 5000), 9000, 0), 0);
    assert_int_not_equal(sqe.fd, jdb_file_descriptor(file));
    assert_int_equal(op.align, 1);
    assert_int_equal(finish(&op), 0);
    assert_int_equal(size_of_file(), 14000);
    uint8_t seen[14000];
    jdb_raw view = jdb_raw_new(seen, sizeof seen);
    assert_int_equal(jdb_file_read_full(file, &view, 0, NULL), 0);
    for (size_t i = 0; i < sizeof seen; i++)
        assert_int_equal(seen[i], i < 9000 ? 0x41 : 0x42);
}

/* Nothing is started, and the operation's inputs are as they were. */
static void assert_refused(jdb_raw view, int64_t offset, bool is_write, int err)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.align = 8192;
    op.rw_flags = DSYNC;
    struct io_uring_sqe sqe = {.opcode = 99};
    const int got = is_write ? jdb_uring_prep_write_file(uring, &op, &sqe, file, view, offset, 0)
                             : jdb_uring_prep_read_file(uring, &op, &sqe, file, view, offset);
    assert_int_equal(got, err);
    assert_int_equal(sqe.opcode, IORING_OP_NOP);
    assert_int_equal(op.align, 8192);
    assert_int_equal(op.rw_flags, DSYNC);
    assert_int_equal(op.state, 0);
}

static void what_would_take_several_requests_is_refused(void **state)
{
    (void)state;
    open_direct();
    assert_refused(data_at(1, BLOCK), 0, false, -EINVAL);
    assert_refused(data_at(0, BLOCK), 100, false, -EINVAL);
    assert_refused(data_at(0, 1000), 0, false, -EINVAL);
    assert_int_equal(jdb_file_close(file), 0);
    const struct {
        uint32_t tail, flags;
    } strict[] = {{JDB_FILE_TAIL_READ_MODIFY_WRITE, 0}, {JDB_FILE_TAIL_BUFFERED, JDB_FILE_NO_COPY}};
    for (size_t i = 0; i < 2; i++) {
        open_with(JDB_FILE_DIRECT_PREFER, strict[i].tail, strict[i].flags);
        assert_refused(data_at(1, BLOCK), 0, true, -EINVAL);
        assert_refused(data_at(0, BLOCK), 100, true, -EINVAL);
        assert_refused(data_at(0, 1000), 0, true, -EINVAL);
        assert_int_equal(put(0, BLOCK, 0, 0), 0);
        assert_int_equal(jdb_file_close(file), 0);
    }
    file = NULL;
}

static void arguments_are_checked(void **state)
{
    (void)state;
    open_with(JDB_FILE_DIRECT_PREFER, 0, 0);
    const jdb_raw view = data_at(0, BLOCK);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe = {0};
    assert_int_equal(jdb_uring_read_file(uring, &op, NULL, view, 0), -EINVAL);
    assert_int_equal(jdb_uring_write_file(uring, &op, NULL, view, 0, 0), -EINVAL);
    assert_int_equal(jdb_uring_read_file(uring, NULL, file, view, 0), -EINVAL);
    assert_int_equal(jdb_uring_write_file(uring, NULL, file, view, 0, 0), -EINVAL);
    assert_int_equal(jdb_uring_read_file(uring, &op, file, view, -1), -EINVAL);
    assert_int_equal(jdb_uring_read_file(uring, &op, file, view, INT64_MAX - 4095), -EOVERFLOW);
    assert_int_equal(jdb_uring_read_file(uring, &op, file, data_at(0, 0), 0), -EINVAL);
    assert_int_equal(jdb_uring_write_file(uring, &op, file, view, 0, JDB_FILE_DURABLE_SYNC + 1), -EINVAL);
    assert_int_equal(jdb_uring_prep_read_file(uring, &op, NULL, file, view, 0), -EBUSY);
    assert_int_equal(jdb_uring_prep_write_file(uring, &op, NULL, file, view, 0, 0), -EBUSY);
    op.sqe_flags = (uint8_t)IOSQE_FIXED_FILE;
    assert_int_equal(jdb_uring_read_file(uring, &op, file, view, 0), -EINVAL);
    op.sqe_flags = 0;
    assert_int_equal(jdb_uring_write_file(uring, &op, file, view, 0, 0), 0);
    assert_int_equal(jdb_uring_prep_read_file(uring, &op, &sqe, file, view, 0), -EBUSY);
    assert_int_equal(jdb_uring_release(&op), 0);
    jdb_file *reader = NULL;
    assert_int_equal(jdb_file_open(path, NULL, NULL, &reader), 0);
    assert_int_equal(jdb_uring_write_file(uring, &op, reader, view, 0, 0), -EBADF);
    assert_int_equal(jdb_file_close(reader), 0);
}

/* ---- Several views ---------------------------------------------------------------------------------------- */

static jdb_raw views[4];
static struct iovec iovs[4];

/* `count` views of `size` bytes, with as many between them. */
static void cut(uint32_t count, size_t size)
{
    for (uint32_t i = 0; i < count; i++)
        views[i] = data_at(2 * i * size, size);
}

static int putv(uint32_t count, int64_t offset, uint32_t durability)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    const int err = jdb_uring_writev_file(uring, &op, file, views, count, iovs, offset, durability);
    return err == 0 ? finish(&op) : err;
}

static void views_come_back(void **state)
{
    (void)state;
    open_with(JDB_FILE_DIRECT_PREFER, 0, 0);
    const size_t sizes[] = {BLOCK, 1000, 2 * BLOCK};
    for (size_t i = 0; i < 3; i++) {
        for (size_t at = 0; at < SPACE; at++)
            buf.ptr[at] = rig_byte(at);
        cut(4, sizes[i]);
        assert_int_equal(putv(4, BLOCK, (uint32_t)i), 0);
        memset(buf.ptr, 0, SPACE);
        cut(4, 2 * BLOCK);
        jdb_uring_op op = JDB_URING_OP_INIT;
        assert_int_equal(jdb_uring_readv_file(uring, &op, file, views, 4, iovs, BLOCK), 0);
        assert_int_equal(finish(&op), 0);
        const size_t size = (size_t)size_of_file() - BLOCK;
        assert_int_equal(jdb_uring_done_size(&op), size);
        for (size_t at = 0; at < 4 * sizes[i]; at++) {
            const size_t from = at / sizes[i] * 2 * sizes[i] + at % sizes[i];
            assert_int_equal(buf.ptr[at / (2 * BLOCK) * 4 * BLOCK + at % (2 * BLOCK)], rig_byte(from));
        }
    }
}

static void aligned_views_are_direct_and_carry_their_sync(void **state)
{
    (void)state;
    open_direct();
    const unsigned long syncs = faults_calls(OS_CALL_SYNC);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    cut(4, BLOCK);
    assert_int_equal(jdb_uring_prep_writev_file(uring, &op, &sqe, file, views, 4, iovs, 0, JDB_FILE_DURABLE_DATA), 0);
    assert_int_equal(sqe.fd, jdb_file_descriptor(file));
    assert_int_equal(sqe.rw_flags, DSYNC);
    assert_true(jdb_is_pinned(buf.ptr, 1));
    assert_int_equal(jdb_uring_complete(&op, 4 * BLOCK), 0);
    assert_int_equal(jdb_uring_prep_writev_file(uring, &op, &sqe, file, views, 4, iovs, 0, JDB_FILE_DURABLE_SYNC), 0);
    assert_int_equal(sqe.rw_flags, 0);
    assert_int_equal(jdb_uring_complete(&op, 4 * BLOCK), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(sqe.opcode, IORING_OP_FSYNC);
    assert_int_equal(jdb_uring_complete(&op, 0), 0);
    assert_int_equal(faults_calls(OS_CALL_SYNC), syncs);
    assert_int_equal(jdb_uring_prep_readv_file(uring, &op, &sqe, file, views, 4, iovs, 0), 0);
    assert_int_equal(sqe.fd, jdb_file_descriptor(file));
    assert_int_equal(jdb_uring_complete(&op, 0), 0);
    assert_int_equal(op.is_eof, 1);
}

/* Whole blocks together, which the kernel may refuse: through the page cache, or refused. */
static void views_that_are_parts_of_a_block_are_not_direct(void **state)
{
    (void)state;
    open_direct();
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    views[0] = data_at(0, 256); /* sectors are larger */
    views[1] = data_at(BLOCK, BLOCK - 256);
    assert_int_equal(jdb_uring_prep_writev_file(uring, &op, &sqe, file, views, 2, iovs, 0, 0), 0);
    assert_int_not_equal(sqe.fd, jdb_file_descriptor(file));
    assert_int_equal(jdb_uring_complete(&op, -ECANCELED), -ECANCELED);
    assert_int_equal(jdb_uring_readv_file(uring, &op, file, views, 2, iovs, 0), -EINVAL);
    cut(2, BLOCK);
    views[1].ptr++;
    assert_int_equal(jdb_uring_readv_file(uring, &op, file, views, 2, iovs, 0), -EINVAL);
    assert_int_equal(jdb_uring_readv_file(uring, &op, file, views, 0, iovs, 0), -EINVAL);
    assert_int_equal(jdb_uring_writev_file(uring, &op, file, views, 1, NULL, 0, 0), -EINVAL);
    assert_int_equal(jdb_uring_prep_readv_file(uring, &op, NULL, file, views, 1, iovs, 0), -EBUSY);
    assert_int_equal(jdb_uring_prep_writev_file(uring, &op, NULL, file, views, 1, iovs, 0, 0), -EBUSY);
    assert_int_equal(op.state, 0);
}

static void a_failed_write_of_views_stays_with_the_file(void **state)
{
    (void)state;
    open_direct();
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    cut(2, BLOCK);
    assert_int_equal(jdb_uring_prep_writev_file(uring, &op, &sqe, file, views, 2, iovs, 0, 0), 0);
    assert_int_equal(jdb_uring_complete(&op, -EIO), -EIO);
    assert_int_equal(jdb_file_error(file), -EIO);
    assert_int_equal(putv(2, 0, JDB_FILE_DURABLE_DATA), -EIO);
    assert_int_equal(jdb_file_clear_error(file), 0);
    assert_int_equal(putv(2, 0, JDB_FILE_DURABLE_DATA), 0);
}

/* ---- Durability ------------------------------------------------------------------------------------------- */

static void a_direct_write_carries_its_sync(void **state)
{
    (void)state;
    open_direct();
    const unsigned long syncs = faults_calls(OS_CALL_SYNC);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, data_at(0, BLOCK), 0, JDB_FILE_DURABLE_DATA), 0);
    assert_int_equal(sqe.rw_flags, DSYNC);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
    assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, data_at(0, BLOCK), 0, 0), 0);
    assert_int_equal(sqe.rw_flags, 0);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
    assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, data_at(0, BLOCK), 0, JDB_FILE_DURABLE_SYNC), 0);
    assert_int_equal(sqe.rw_flags, 0);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(sqe.opcode, IORING_OP_FSYNC);
    assert_int_equal(sqe.fsync_flags, 0);
    assert_int_equal(jdb_uring_complete(&op, 0), 0);
    assert_int_equal(faults_calls(OS_CALL_SYNC), syncs);
}

static void any_other_write_is_synced_at_its_end(void **state)
{
    (void)state;
    open_with(JDB_FILE_DIRECT_OFF, 0, 0);
    for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        const unsigned long syncs = faults_calls(OS_CALL_SYNC);
        assert_int_equal(put(3, 1000, 77, durability), 0);
        assert_int_equal(faults_calls(OS_CALL_SYNC) - syncs, durability != 0);
    }
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_write_file(uring, &op, file, data_at(0, 1000), 0, JDB_FILE_DURABLE_DATA), 0);
    faults_arm(OS_CALL_SYNC, 0, -EIO);
    assert_int_equal(finish(&op), -EIO);
    assert_true(faults_disarm());
    assert_int_equal(jdb_uring_done_size(&op), 1000);
    assert_int_equal(jdb_file_error(file), -EIO);
}

static void a_write_without_a_ring_is_as_durable(void **state)
{
    (void)state;
    open_with(JDB_FILE_DIRECT_OFF, 0, 0);
    const unsigned long syncs = faults_calls(OS_CALL_SYNC);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_write_file(NULL, &op, file, data_at(0, 1000), 0, JDB_FILE_DURABLE_SYNC), 0);
    assert_int_equal(jdb_uring_run(&op), 0);
    assert_int_equal(faults_calls(OS_CALL_SYNC) - syncs, 1);
    assert_int_equal(size_of_file(), 1000);
}

/* ---- Errors ----------------------------------------------------------------------------------------------- */

/* Start a write of one block and complete it with res. */
static int put_with_result(uint32_t durability, int32_t res)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    const int err = jdb_uring_prep_write_file(uring, &op, &sqe, file, data_at(0, BLOCK), 0, durability);
    return err == 0 ? jdb_uring_complete(&op, res) : err;
}

static void a_failed_write_stays_with_the_file(void **state)
{
    (void)state;
    open_direct();
    for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        const int32_t failures[] = {-EIO, -ENOSPC, -EDQUOT};
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(put_with_result(durability, failures[i]), failures[i]);
            assert_int_equal(jdb_file_error(file), failures[i]);
            assert_int_equal(put(0, BLOCK, 0, JDB_FILE_DURABLE_DATA), failures[i]);
            assert_int_equal(put(0, BLOCK, 0, JDB_FILE_DURABLE_SYNC), failures[i]);
            assert_int_equal(put(0, BLOCK, 0, 0), 0);
            assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), failures[i]);
            assert_int_equal(jdb_file_clear_error(file), 0);
            assert_int_equal(put(0, BLOCK, 0, JDB_FILE_DURABLE_DATA), 0);
        }
    }
    assert_int_equal(put_with_result(0, 0), -EIO); /* no progress */
    assert_int_equal(jdb_file_error(file), -EIO);
}

static void a_refused_or_cancelled_write_does_not(void **state)
{
    (void)state;
    open_direct();
    const int32_t refusals[] = {-EINVAL, -EBADF, -EFAULT, -EFBIG, -ECANCELED};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        assert_int_equal(put_with_result(JDB_FILE_DURABLE_DATA, refusals[i]), refusals[i]);
        assert_int_equal(jdb_file_error(file), 0);
    }
}

static void a_failed_sync_stays_whatever_it_is(void **state)
{
    (void)state;
    open_direct();
    const int32_t failures[] = {-EIO, -EINTR, -EAGAIN};
    for (size_t i = 0; i < 3; i++) {
        jdb_uring_op op = JDB_URING_OP_INIT;
        struct io_uring_sqe sqe;
        const jdb_raw view = data_at(0, BLOCK);
        assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, view, 0, JDB_FILE_DURABLE_SYNC), 0);
        assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
        assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
        assert_int_equal(jdb_uring_complete(&op, failures[i]), failures[i]);
        assert_int_equal(jdb_uring_done_size(&op), BLOCK);
        assert_int_equal(jdb_file_error(file), failures[i]);
        assert_int_equal(jdb_file_clear_error(file), 0);
    }
}

/* The sync was not made, so the file has lost nothing: by the kernel, and before it was prepared. */
static void a_cancelled_sync_does_not(void **state)
{
    (void)state;
    open_direct();
    for (int is_prepared = 0; is_prepared < 2; is_prepared++) {
        jdb_uring_op op = JDB_URING_OP_INIT;
        struct io_uring_sqe sqe;
        struct io_uring_sqe cancel;
        const jdb_raw view = data_at(0, BLOCK);
        assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, view, 0, JDB_FILE_DURABLE_SYNC), 0);
        if (is_prepared == 0)
            assert_int_equal(jdb_uring_cancel(&op, 1, &cancel), 0);
        assert_int_equal(jdb_uring_complete(&op, BLOCK), is_prepared != 0 ? JDB_URING_RESUME : -ECANCELED);
        if (is_prepared != 0) {
            assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
            assert_int_equal(jdb_uring_complete(&op, -ECANCELED), -ECANCELED);
        }
        assert_int_equal(jdb_file_error(file), 0);
        assert_int_equal(put(0, BLOCK, 0, JDB_FILE_DURABLE_DATA), 0);
    }
}

static void a_durable_write_returns_what_failed_meanwhile(void **state)
{
    (void)state;
    open_direct();
    for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        jdb_uring_op op = JDB_URING_OP_INIT;
        assert_int_equal(jdb_uring_write_file(uring, &op, file, data_at(0, BLOCK), 0, durability), 0);
        assert_int_equal(put_with_result(0, -EIO), -EIO);
        assert_int_equal(jdb_file_clear_error(file), 0);
        assert_int_equal(finish(&op), durability != 0 ? -EIO : 0);
    }
}

static void a_failed_read_does_not_stay(void **state)
{
    (void)state;
    open_direct();
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_prep_read_file(uring, &op, &sqe, file, data_at(0, BLOCK), 0), 0);
    assert_int_equal(jdb_uring_complete(&op, -EIO), -EIO);
    assert_int_equal(jdb_file_error(file), 0);
}

static void after_an_alignment_error_the_limits_are_queried(void **state)
{
    (void)state;
    open_direct();
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    for (int is_write = 0; is_write < 2; is_write++) {
        const jdb_raw view = data_at(0, BLOCK);
        const unsigned long queries = faults_calls(OS_CALL_STAT);
        assert_int_equal(is_write ? jdb_uring_prep_write_file(uring, &op, &sqe, file, view, 0, 0)
                                  : jdb_uring_prep_read_file(uring, &op, &sqe, file, view, 0),
                         0);
        assert_int_equal(faults_calls(OS_CALL_STAT), queries);
        assert_int_equal(jdb_uring_complete(&op, -EINVAL), -EINVAL);
        assert_true(faults_calls(OS_CALL_STAT) > queries);
    }
}

/* A file that cannot be read shows only now whether it takes the flag. */
static void an_uncached_write_that_is_refused_is_repeated_cached(void **state)
{
    (void)state;
    open_with(JDB_FILE_DIRECT_OFF, 0, 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe sqe;
    assert_int_equal(jdb_uring_prep_write_file(uring, &op, &sqe, file, data_at(0, BLOCK), 0, 0), 0);
    const uint32_t flags = (uint32_t)sqe.rw_flags;
    const bool is_uncached = jdb_file_write_mode(file) == JDB_FILE_MODE_UNCACHED;
    assert_int_equal(flags, is_uncached ? DONTCACHE : 0);
    assert_int_equal(jdb_uring_complete(&op, -EOPNOTSUPP), is_uncached ? JDB_URING_RESUME : -EOPNOTSUPP);
    if (!is_uncached)
        return;
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(sqe.rw_flags, 0);
    assert_int_equal(jdb_uring_complete(&op, -EOPNOTSUPP), -EOPNOTSUPP);
    assert_int_equal(jdb_file_error(file), 0);
}

/* ---- Random operations ------------------------------------------------------------------------------------ */

static uint8_t model[SPACE];
static size_t model_size;

static void random_write(uint64_t *random, size_t align, uint32_t flags)
{
    const size_t offset = random_below(random, SPACE / 2) / align * align;
    const size_t size = (random_below(random, SPACE / 4) / align + 1) * align;
    const size_t start = random_below(random, SPACE - size + 1) / align * align;
    for (size_t i = 0; i < size; i++)
        buf.ptr[start + i] = (uint8_t)random_next(random);
    assert_int_equal(put(start, size, (int64_t)offset, (uint32_t)random_below(random, flags)), 0);
    if (offset > model_size)
        memset(model + model_size, 0, offset - model_size);
    memcpy(model + offset, buf.ptr + start, size);
    if (offset + size > model_size)
        model_size = offset + size;
    assert_int_equal(size_of_file(), model_size);
}

static void random_read(uint64_t *random, size_t align)
{
    const size_t offset = random_below(random, SPACE) / align * align;
    const size_t size = (random_below(random, SPACE / 2) / align + 1) * align;
    const size_t start = random_below(random, SPACE - size + 1) / align * align;
    jdb_uring_op op = JDB_URING_OP_INIT;
    memset(buf.ptr, 0xee, SPACE);
    assert_int_equal(jdb_uring_read_file(uring, &op, file, data_at(start, size), (int64_t)offset), 0);
    assert_int_equal(finish(&op), 0);
    const size_t there = offset < model_size ? model_size - offset : 0;
    assert_int_equal(op.view.len, size < there ? size : there);
    assert_memory_equal(buf.ptr + start, model + offset, op.view.len);
}

static void random_operations_are_those_of_an_array(void **state)
{
    (void)state;
    for (uint32_t policy = JDB_FILE_DIRECT_PREFER; policy <= JDB_FILE_DIRECT_OFF; policy += 2) {
        uint64_t random = random_seed(jdb_file_mode_name(policy == 0 ? 1 : 4));
        open_with(policy, JDB_FILE_TAIL_BUFFERED, 0);
        const bool is_direct = jdb_file_read_mode(file) <= JDB_FILE_MODE_UNKNOWN;
        model_size = 0;
        assert_int_equal(jdb_file_truncate(file, 0), 0);
        for (uint64_t i = 0; i < tier_pick(60, 400, 5000); i++) {
            if (random_below(&random, 2) == 0)
                random_write(&random, random_below(&random, 2) == 0 ? 1 : BLOCK, 3);
            else
                random_read(&random, is_direct || random_below(&random, 2) == 0 ? BLOCK : 1);
        }
        assert_int_equal(jdb_file_close(file), 0);
        file = NULL;
    }
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, close_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(aligned_requests_are_direct_and_fixed),
        WITH_RING(bytes_come_back_to_the_end_of_the_file),
        WITH_RING(a_write_of_a_part_of_a_block_goes_through_the_page_cache),
        WITH_RING(what_would_take_several_requests_is_refused),
        WITH_RING(arguments_are_checked),
        WITH_RING(views_come_back),
        WITH_RING(aligned_views_are_direct_and_carry_their_sync),
        WITH_RING(views_that_are_parts_of_a_block_are_not_direct),
        WITH_RING(a_failed_write_of_views_stays_with_the_file),
        WITH_RING(a_direct_write_carries_its_sync),
        WITH_RING(any_other_write_is_synced_at_its_end),
        WITH_RING(a_write_without_a_ring_is_as_durable),
        WITH_RING(a_failed_write_stays_with_the_file),
        WITH_RING(a_refused_or_cancelled_write_does_not),
        WITH_RING(a_cancelled_sync_does_not),
        WITH_RING(a_failed_sync_stays_whatever_it_is),
        WITH_RING(a_durable_write_returns_what_failed_meanwhile),
        WITH_RING(a_failed_read_does_not_stay),
        WITH_RING(after_an_alignment_error_the_limits_are_queried),
        WITH_RING(an_uncached_write_that_is_refused_is_repeated_cached),
        WITH_RING(random_operations_are_those_of_an_array),
    };
    struct io_uring probe;
    const int err = io_uring_queue_init(2, &probe, 0);
    if (err != 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
