/* SPDX-License-Identifier: MIT
 *
 * uring_any_test.c - reads of any range into any memory: against a naive model, by a kernel that answers short, and on a real
 * O_DIRECT file. The file is in TMPDIR where that is set, so that file_device_test.sh can choose its sectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "faults.h"
#include "random.h"
#include "tier.h"

#define FILE_SIZE ((size_t)300001)
#define SPACE ((size_t)128 << 10) /* bytes of the view's memory */
#define FILL 0xeeu

static struct io_uring ring;
static int file_fd = -1;
static uint32_t file_align;
static uint64_t seed;
static jdb_buf space = JDB_BUF_INIT;  /* views lie in it */
static jdb_buf bounce = JDB_BUF_INIT; /* 32 KiB */

/* ---- The model -------------------------------------------------------------------------------------------- */

struct range {
    size_t at;   /* of the view in its memory */
    size_t size; /* bytes wanted */
    int64_t offset;
    size_t bounce_size;
};

/* Near the end of the file as often as not. */
static struct range random_range(uint32_t align)
{
    struct range range = {.size = random_log_uniform(&seed, 1, 65536),
                          .offset = (int64_t)random_below(&seed, FILE_SIZE)};
    range.at = random_below(&seed, SPACE - range.size);
    if (random_below(&seed, 2) == 0)
        range.offset = (int64_t)(FILE_SIZE - 10000 + random_below(&seed, 20000));
    if (random_below(&seed, 4) == 0) { /* aligned */
        range.at &= ~(size_t)4095;
        range.size = 4096;
        range.offset &= ~(int64_t)4095;
    }
    range.bounce_size = align * (size_t)(1 + random_below(&seed, 32768 / align));
    return range;
}

static size_t expected_size(const struct range *range)
{
    const size_t left = (size_t)range->offset < FILE_SIZE ? FILE_SIZE - (size_t)range->offset : 0;
    return left < range->size ? left : range->size;
}

/* The view has the file's bytes, and what is not the view's is untouched. */
static void check(const jdb_uring_op *op, const struct range *range)
{
    const size_t size = expected_size(range);
    assert_int_equal(op->view.len, size);
    assert_int_equal(jdb_uring_done_size(op), size);
    assert_int_equal(op->is_eof, size < range->size);
    rig_assert(space.ptr + range->at, (size_t)range->offset, size);
    for (size_t i = 0; i < SPACE; i++)
        if (i - range->at >= range->size)
            assert_int_equal(space.ptr[i], FILL);
    assert_false(jdb_is_pinned(space.ptr, space.cap));
    assert_false(jdb_is_pinned(bounce.ptr, bounce.cap));
}

static int start(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, const struct range *range)
{
    memset(space.ptr, FILL, SPACE);
    return jdb_uring_prep_read_any(uring, op, sqe, file_fd, jdb_raw_new(space.ptr + range->at, range->size),
                                   range->offset, jdb_raw_new(bounce.ptr, range->bounce_size));
}

/* ---- A kernel that answers short --------------------------------------------------------------------------- */

/* An aligned request, and as much of it as the file has, or less: at least one block, or the bytes up to the end. */
static int32_t answer(const struct io_uring_sqe *sqe, uint32_t align)
{
    assert_int_equal(sqe->opcode, IORING_OP_READ);
    assert_int_equal((sqe->off | sqe->len | sqe->addr) & (align - 1), 0);
    assert_int_not_equal(sqe->len, 0);
    if (random_below(&seed, 8) == 0)
        return -EINTR;
    const size_t left = sqe->off < FILE_SIZE ? FILE_SIZE - (size_t)sqe->off : 0;
    size_t got = left < sqe->len ? left : sqe->len;
    if (random_below(&seed, 2) == 0 && got > align)
        got = align + random_below(&seed, got - align);
    for (size_t i = 0; i < got; i++)
        ((uint8_t *)(uintptr_t)sqe->addr)[i] = rig_byte((size_t)sqe->off + i);
    return (int32_t)got;
}

static void short_answers_make_the_range_whole(void **state)
{
    (void)state;
    const uint32_t aligns[] = {512, 4096, 16384};
    const unsigned rounds = (unsigned)tier_pick(300, 3000, 30000);
    for (unsigned round = 0; round < rounds; round++) {
        struct io_uring_sqe sqe;
        jdb_uring_op op = JDB_URING_OP_INIT;
        op.align = aligns[round % 3];
        op.file_size = random_below(&seed, 2) == 0 ? (int64_t)FILE_SIZE : 0;
        const struct range range = random_range(op.align);
        assert_int_equal(start(NULL, &op, &sqe, &range), 0);
        unsigned calls = 1;
        int err = JDB_URING_RESUME;
        for (; (err = jdb_uring_complete(&op, answer(&sqe, op.align))) == JDB_URING_RESUME; calls++) {
            assert_true(calls < 1000);
            assert_int_equal(op.view.len, 0);
            assert_true(jdb_is_pinned(space.ptr + range.at, range.size));
            assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
        }
        assert_int_equal(err, 0);
        check(&op, &range);
    }
}

/* ---- A real file ------------------------------------------------------------------------------------------ */

static int run(jdb_uring_op *op)
{
    int err = JDB_URING_RESUME;
    for (unsigned calls = 0; err == JDB_URING_RESUME; calls++) {
        struct io_uring_cqe *cqe = NULL;
        assert_true(calls < 1000);
        assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
        assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
        err = jdb_uring_complete(op, cqe->res);
        io_uring_cqe_seen(&ring, cqe);
        if (err == JDB_URING_RESUME)
            assert_int_equal(jdb_uring_prep(op, io_uring_get_sqe(&ring)), 0);
    }
    return err;
}

static void any_range_of_a_real_file_is_read(void **state)
{
    (void)state;
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, bounce.ptr, bounce.cap, NULL), 0);
    const unsigned rounds = (unsigned)tier_pick(200, 1000, 20000);
    for (unsigned round = 0; round < rounds; round++) {
        jdb_uring_op op = JDB_URING_OP_INIT;
        op.align = random_below(&seed, 2) == 0 ? file_align : 0;
        op.file_size = random_below(&seed, 2) == 0 ? (int64_t)FILE_SIZE : 0;
        op.splits = (uint32_t)random_below(&seed, 2);
        const struct range range = random_range(op.align != 0 ? op.align : 4096);
        jdb_uring *const with = random_below(&seed, 4) == 0 ? NULL : uring;
        if (random_below(&seed, 4) == 0) {
            assert_int_equal(start(with, &op, JDB_URING_LATER, &range), 0);
            assert_int_equal(jdb_uring_run(&op), 0);
        } else {
            assert_int_equal(start(with, &op, io_uring_get_sqe(&ring), &range), 0);
            assert_int_equal(run(&op), 0);
        }
        assert_false(jdb_is_pinned(space.ptr, space.cap));
        memset(bounce.ptr, 0, bounce.cap);
        assert_int_equal(op.view.len, expected_size(&range));
        rig_assert(op.view.ptr, (size_t)range.offset, op.view.len);
        assert_int_equal(op.is_eof, op.view.len < range.size);
    }
    jdb_uring_stats stats = JDB_URING_STATS_INIT;
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    assert_true(stats.table_error != 0 || stats.fixed_count > 0);
    assert_int_equal(jdb_uring_close(uring), 0);
}

/* ---- One by one ------------------------------------------------------------------------------------------- */

static void what_is_aligned_needs_no_bounce(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(
        jdb_uring_prep_read_any(NULL, &op, &sqe, file_fd, jdb_raw_new(space.ptr, 8192), 4096, JDB_RAW_INIT), 0);
    assert_ptr_equal((void *)(uintptr_t)sqe.addr, space.ptr);
    assert_int_equal(sqe.len, 8192);
    assert_int_equal(jdb_uring_complete(&op, 8192), 0);
    assert_int_equal(op.view.len, 8192);
}

static void the_request_is_the_blocks_around_the_range(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring *uring = NULL;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, bounce.ptr, bounce.cap, NULL), 0);
    op.rw_flags = RWF_HIPRI;
    op.sqe_flags = IOSQE_IO_LINK;
    assert_int_equal(
        jdb_uring_prep_read_any(uring, &op, &sqe, 7, jdb_raw_new(space.ptr + 1, 5000), 4000, jdb_buf_as_raw(&bounce)),
        0);
    jdb_uring_stats stats = JDB_URING_STATS_INIT;
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    assert_int_equal(sqe.opcode, stats.table_error == 0 ? IORING_OP_READ_FIXED : IORING_OP_READ);
    assert_int_equal(sqe.off, 0);
    assert_int_equal(sqe.len, 12288);
    assert_int_equal(sqe.fd, 7);
    assert_int_equal(sqe.flags, IOSQE_IO_LINK);
    assert_int_equal(sqe.rw_flags, RWF_HIPRI);
    assert_true(jdb_is_pinned(bounce.ptr, bounce.cap));
    assert_int_equal(jdb_uring_close(uring), -EBUSY);
    bounce.ptr[8999] = 0x5a;
    assert_int_equal(jdb_uring_complete(&op, 9000), 0); /* all that is wanted, though not all that was asked for */
    assert_int_equal(op.view.len, 5000);
    assert_int_equal(op.is_eof, 0);
    assert_int_equal(space.ptr[5000], 0x5a);
    assert_int_equal(jdb_uring_close(uring), 0);
}

static int start_at(jdb_uring_op *op, int64_t offset, size_t size, jdb_raw with)
{
    return jdb_uring_read_any(NULL, op, file_fd, jdb_raw_new(space.ptr + 1, size), offset, with);
}

static void what_cannot_be_started_leaves_nothing_pinned(void **state)
{
    (void)state;
    const jdb_raw all = jdb_buf_as_raw(&bounce);
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(start_at(&op, 0, 10, JDB_RAW_INIT), -EINVAL);
    assert_int_equal(start_at(&op, 0, 10, jdb_raw_new(bounce.ptr, 4095)), -EINVAL);
    assert_int_equal(start_at(&op, 0, 0, all), -EINVAL);
    assert_int_equal(start_at(&op, -1, 10, all), -EINVAL);
    assert_int_equal(start_at(&op, INT64_MAX - 20, 10, all), -EOVERFLOW);
    assert_int_equal(start_at(&op, 0, 10, jdb_raw_new(bounce.ptr, bounce.cap + 4096)), -ERANGE);
    assert_int_equal(start_at(NULL, 0, 10, all), -EINVAL);
    assert_int_equal(jdb_uring_prep_read_any(NULL, &op, NULL, file_fd, jdb_raw_new(space.ptr, 10), 0, all), -EBUSY);
    assert_int_equal(start_at(&op, 0, space.cap + 1, all), -ERANGE);
    op.align = 3;
    assert_int_equal(start_at(&op, 0, 10, all), -EINVAL);
    op.align = 0;
    const uint8_t ordered[] = {IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_IO_DRAIN};
    for (size_t i = 0; i < 3; i++) {
        op.sqe_flags = ordered[i];
        assert_int_equal(start_at(&op, 1, bounce.cap, all), -EINVAL); /* two requests */
    }
    assert_false(jdb_is_pinned(bounce.ptr, bounce.cap));
    assert_false(jdb_is_pinned(space.ptr, space.cap));
    assert_int_equal(start_at(&op, 1, bounce.cap - 1, all), 0);
    assert_int_equal(start_at(&op, 1, 10, all), -EBUSY);
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_false(jdb_is_pinned(bounce.ptr, bounce.cap));
    op.sqe_flags = IOSQE_BUFFER_SELECT;
    assert_int_equal(jdb_uring_prep_read_any(NULL, &op, &sqe, file_fd, jdb_raw_new(space.ptr, 10), 0, all), -EINVAL);
    assert_int_equal(sqe.opcode, IORING_OP_NOP);
}

static void an_error_keeps_what_was_copied(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    const jdb_raw view = jdb_raw_new(space.ptr + 3, 10000);
    const jdb_raw one = jdb_raw_new(bounce.ptr, 4096);
    memset(bounce.ptr, 0x11, 4096);
    assert_int_equal(jdb_uring_prep_read_any(NULL, &op, &sqe, file_fd, view, 96, one), 0);
    assert_int_equal(jdb_uring_complete(&op, 4096), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(sqe.off, 4096);
    assert_int_equal(jdb_uring_complete(&op, -EIO), -EIO);
    assert_int_equal(op.view.len, 4000);
    assert_int_equal(space.ptr[4002], 0x11);
    assert_int_equal(jdb_uring_prep_read_any(NULL, &op, &sqe, file_fd, view, 96, one), 0);
    assert_int_equal(jdb_uring_complete(&op, 8192), -EIO); /* more than was asked for */
    assert_int_equal(op.view.len, 0);
    assert_int_equal(jdb_uring_read_any(NULL, &op, file_fd, view, 96, one), 0);
    faults_arm(OS_CALL_READ, 1, -ENXIO);
    assert_int_equal(jdb_uring_run(&op), -ENXIO);
    assert_true(faults_disarm());
    assert_int_equal(op.view.len, 4000);
    rig_assert(op.view.ptr, 96, 4000);
    assert_false(jdb_is_pinned(bounce.ptr, bounce.cap));
}

/* The file ends in the bytes before the range, and has grown by the time that it is asked again. */
static void what_ends_before_the_range_is_asked_once_more(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    const jdb_raw view = jdb_raw_new(space.ptr + 3, 100);
    assert_int_equal(jdb_uring_prep_read_any(NULL, &op, &sqe, file_fd, view, 1000, jdb_buf_as_raw(&bounce)), 0);
    assert_int_equal(jdb_uring_complete(&op, 500), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(sqe.off, 0);
    assert_int_equal(jdb_uring_complete(&op, 1050), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(jdb_uring_complete(&op, 1050), 0);
    assert_int_equal(op.view.len, 50);
    assert_int_equal(op.is_eof, 1);
}

static void the_known_size_ends_a_read_in_several_requests(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.file_size = 8192;
    assert_int_equal(jdb_uring_prep_read_any(NULL, &op, &sqe, file_fd, jdb_raw_new(space.ptr + 3, 20000), 96,
                                             jdb_raw_new(bounce.ptr, 4096)),
                     0);
    assert_int_equal(jdb_uring_complete(&op, 4096), JDB_URING_RESUME);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(jdb_uring_complete(&op, 4096), 0); /* no third one */
    assert_int_equal(op.view.len, 8096);
    assert_int_equal(op.is_eof, 1);
}

static void memory_dropped_meanwhile_is_freed_at_the_end(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    jdb_buf own = JDB_BUF_INIT;
    jdb_buf between = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&own, 4096), 0);
    assert_int_equal(jdb_buf_with_cap(&between, 8192), 0);
    assert_int_equal(jdb_uring_prep_read_any(NULL, &op, &sqe, file_fd, jdb_raw_new(own.ptr + 1, 100), 4090,
                                             jdb_buf_as_raw(&between)),
                     0);
    uint8_t *const memory = between.ptr;
    jdb_buf_drop(&own);
    jdb_buf_drop(&between);
    memset(memory, 0x22, 8192); /* by the kernel */
    assert_int_equal(jdb_uring_complete(&op, 8192), 0);
    assert_int_equal(jdb_uring_done_size(&op), 100);
}

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

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, exit_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_answers_make_the_range_whole),
        WITH_RING(any_range_of_a_real_file_is_read),
        cmocka_unit_test(what_is_aligned_needs_no_bounce),
        WITH_RING(the_request_is_the_blocks_around_the_range),
        cmocka_unit_test(what_cannot_be_started_leaves_nothing_pinned),
        cmocka_unit_test(an_error_keeps_what_was_copied),
        cmocka_unit_test(what_ends_before_the_range_is_asked_once_more),
        cmocka_unit_test(the_known_size_ends_a_read_in_several_requests),
        cmocka_unit_test(memory_dropped_meanwhile_is_freed_at_the_end),
    };
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&ring);
    const char *const directory = getenv("TMPDIR");
    assert_int_equal(directory == NULL ? 0 : chdir(directory), 0);
    file_fd = rig_file(FILE_SIZE);
    jdb_direct limits = JDB_DIRECT_INIT;
    if (file_fd < 0 || jdb_direct_limits(file_fd, &limits) != 0 || limits.state != JDB_DIRECT_STATE_DIRECT) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    file_align = limits.read_align > limits.memory_align ? limits.read_align : limits.memory_align;
    print_message("blocks of %u bytes\n", file_align);
    seed = random_seed("uring_any_test");
    assert_int_equal(jdb_buf_with_cap(&space, SPACE), 0);
    assert_int_equal(jdb_buf_with_cap_aligned(&bounce, 32768, 32768), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
