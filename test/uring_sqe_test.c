/* SPDX-License-Identifier: MIT
 *
 * uring_sqe_test.c - what each SQE of an operation asks for, and which results are taken: without a submission.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"

#include "faults.h"
#include "memlock.h"

#define BLOCK 4096
#define REGION ((size_t)JDB_URING_REGION_MIN)
#define FD 7

static struct io_uring ring;
static jdb_uring *uring;

static int open_uring(void **state)
{
    (void)state;
    const jdb_uring_options options = {.size = sizeof options, .region_size = REGION};
    if (io_uring_queue_init(8, &ring, 0) != 0)
        return -1;
    return jdb_uring_open(&ring, &options, &uring);
}

static int close_uring(void **state)
{
    (void)state;
    const int err = jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
    return err;
}

static uint8_t *map(size_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *const memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

/* ---- What is asked for ------------------------------------------------------------------------------------ */

static void a_resumed_sqe_keeps_the_flags_of_the_caller(void **state)
{
    (void)state;
    uint8_t *const memory = map(2 * BLOCK);
    for (unsigned i = 0; i < 4; i++) {
        const bool is_write = i % 2 != 0;
        const jdb_raw view = jdb_raw_from_slice(memory, 2 * BLOCK);
        jdb_uring_op op = {.sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC, .rw_flags = RWF_DSYNC};
        struct io_uring_sqe sqe = {.user_data = 0x77};
        if (i == 2)
            assert_int_equal(jdb_uring_add(uring, memory, 2 * BLOCK, NULL), 0);
        assert_int_equal(is_write ? jdb_uring_prep_write(uring, &op, &sqe, FD, view, BLOCK)
                                  : jdb_uring_prep_read(uring, &op, &sqe, FD, view, BLOCK),
                         0);
        for (unsigned piece = 0; piece < 2; piece++) {
            assert_int_equal(sqe.flags, IOSQE_FIXED_FILE | IOSQE_ASYNC);
            assert_int_equal(sqe.rw_flags, RWF_DSYNC);
            assert_int_equal(sqe.fd, FD);
            assert_int_equal(sqe.off, BLOCK * (1 + piece));
            assert_int_equal(sqe.addr, (uintptr_t)memory + piece * BLOCK);
            assert_int_equal(sqe.len, (2 - piece) * BLOCK);
            assert_int_equal(sqe.user_data, 0x77);
            assert_int_equal(jdb_uring_complete(&op, BLOCK), piece == 0 ? JDB_URING_RESUME : 0);
            if (piece == 0)
                assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
        }
        assert_int_equal(jdb_uring_done_size(&op), 2 * BLOCK);
    }
    assert_int_equal(jdb_uring_remove(uring, memory), 0);
    munmap(memory, 2 * BLOCK);
}

/* The kernel moves at most 2 GiB less a page. */
static void more_than_one_sqe_moves_goes_in_several(void **state)
{
    (void)state;
    const size_t size = (size_t)5 << 30;
    const uint32_t aligns[] = {4096, 65536};
    uint8_t *const memory = map(size);
    for (unsigned i = 0; i < 4; i++) {
        const bool is_write = i % 2 != 0;
        const size_t most = (size_t)JDB_TRANSFER_MAX / aligns[i / 2] * aligns[i / 2];
        jdb_uring_op op = {.align = aligns[i / 2], .sqe_flags = IOSQE_FIXED_FILE}; /* not asked for O_APPEND */
        struct io_uring_sqe sqe;
        const jdb_raw view = jdb_raw_from_slice(memory, size);
        int err = is_write ? jdb_uring_prep_write(NULL, &op, &sqe, FD, view, 0)
                           : jdb_uring_prep_read(NULL, &op, &sqe, FD, view, 0);
        for (size_t done = 0; done < size; done += most) {
            const size_t want = size - done < most ? size - done : most;
            assert_int_equal(err, done == 0 ? 0 : JDB_URING_RESUME);
            if (done > 0)
                assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
            assert_int_equal(sqe.len, want);
            assert_int_equal(sqe.off, done);
            assert_int_equal(sqe.addr, (uintptr_t)memory + done);
            err = jdb_uring_complete(&op, (int32_t)want);
        }
        assert_int_equal(err, 0);
        assert_int_equal(jdb_uring_done_size(&op), size);
        assert_int_equal(op.is_eof, 0);
    }
    munmap(memory, size);
}

static unsigned opcode_of_views(jdb_raw first, jdb_raw second)
{
    jdb_raw views[2] = {first, second};
    struct iovec iovs[2];
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_readv(uring, &op, &sqe, FD, views, 2, iovs, 0), 0);
    assert_int_equal(jdb_uring_complete(&op, -ECANCELED), -ECANCELED);
    return sqe.opcode;
}

static void views_of_two_regions_are_in_no_slot(void **state)
{
    (void)state;
    jdb_uring_stats stats = JDB_URING_STATS_INIT;
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    if (stats.has_vectored == 0) {
        print_message("skipped: no vectored fixed operations here (Linux 6.15)\n");
        return;
    }
    uint8_t *const memory = map(4 * REGION);
    uint8_t *const other = map(REGION);
    jdb_uring_range_options options = JDB_URING_RANGE_OPTIONS_INIT;
    options.overlap_size = BLOCK;
    assert_int_equal(jdb_uring_add(uring, memory, 4 * REGION, &options), 0);
    assert_int_equal(jdb_uring_add(uring, other, REGION, NULL), 0);
    const jdb_raw first = jdb_raw_from_slice(memory, BLOCK);
    const unsigned fixed = 60; /* IORING_OP_READV_FIXED */
    assert_int_equal(opcode_of_views(first, jdb_raw_from_slice(memory + 8 * BLOCK, BLOCK)), fixed);
    assert_int_equal(opcode_of_views(first, jdb_raw_from_slice(memory + REGION, BLOCK)), IORING_OP_READV);
    assert_int_equal(opcode_of_views(jdb_raw_from_slice(memory + REGION, BLOCK), first), IORING_OP_READV);
    assert_int_equal(opcode_of_views(first, jdb_raw_from_slice(other, BLOCK)), IORING_OP_READV);
    assert_int_equal(opcode_of_views(first, jdb_raw_from_slice(memory + REGION - BLOCK, 3 * BLOCK)), IORING_OP_READV);
    assert_int_equal(jdb_uring_remove(uring, memory), 0);
    assert_int_equal(jdb_uring_remove(uring, other), 0);
    munmap(memory, 4 * REGION);
    munmap(other, REGION);
}

/* ---- What is taken ---------------------------------------------------------------------------------------- */

/* RWF_NOWAIT asks for -EAGAIN; without it that may go away. */
static void nowait_is_not_tried_again(void **state)
{
    (void)state;
    uint8_t *const memory = map(BLOCK);
    for (unsigned i = 0; i < 2; i++) {
        struct io_uring_sqe sqe;
        jdb_uring_op op = {.rw_flags = RWF_NOWAIT};
        if (i == 1)
            assert_int_equal(jdb_uring_add(uring, memory, BLOCK, NULL), 0);
        const jdb_raw view = jdb_raw_from_slice(memory, BLOCK);
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, FD, view, 0), 0);
        assert_int_equal(jdb_uring_complete(&op, -EINTR), JDB_URING_RESUME);
        assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
        assert_int_equal(jdb_uring_complete(&op, -EAGAIN), -EAGAIN);
        op.rw_flags = 0;
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, FD, view, 0), 0);
        assert_int_equal(jdb_uring_complete(&op, -EAGAIN), JDB_URING_RESUME);
        assert_int_equal(jdb_uring_release(&op), 0);
    }
    assert_int_equal(jdb_uring_remove(uring, memory), 0);
    munmap(memory, BLOCK);
}

/* More than was asked for is no result of this SQE. */
static void an_oversized_result_is_an_error(void **state)
{
    (void)state;
    uint8_t *const memory = map(2 * BLOCK);
    for (unsigned i = 0; i < 4; i++) {
        struct io_uring_sqe sqe;
        jdb_uring_op op = JDB_URING_OP_INIT;
        const jdb_raw view = jdb_raw_from_slice(memory, BLOCK);
        if (i == 2)
            assert_int_equal(jdb_uring_add(uring, memory, 2 * BLOCK, NULL), 0);
        assert_int_equal(i % 2 == 0 ? jdb_uring_prep_read(uring, &op, &sqe, FD, view, 0)
                                    : jdb_uring_prep_write(uring, &op, &sqe, FD, view, 0),
                         0);
        assert_int_equal(jdb_uring_complete(&op, BLOCK + 1), -EIO);
        assert_true(jdb_uring_done_size(&op) <= BLOCK);
        assert_true(op.view.len <= BLOCK);
        assert_int_equal(jdb_uring_in_flight(uring), 0);
    }
    assert_int_equal(jdb_uring_remove(uring, memory), 0);
    munmap(memory, 2 * BLOCK);
}

/* The size of the file saves the read that would find its end. */
static void a_read_up_to_the_known_size_is_complete(void **state)
{
    (void)state;
    uint8_t *const memory = map(4 * BLOCK);
    for (unsigned i = 0; i < 2; i++) {
        jdb_uring_op op = {.file_size = 3 * BLOCK + 100};
        struct io_uring_sqe sqe;
        if (i == 1)
            assert_int_equal(jdb_uring_add(uring, memory, 4 * BLOCK, NULL), 0);
        const jdb_raw view = jdb_raw_from_slice(memory, 4 * BLOCK);
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, FD, view, BLOCK), 0);
        assert_int_equal(jdb_uring_complete(&op, 2 * BLOCK + 100), 0);
        assert_int_equal(op.is_eof, 1);
        assert_int_equal(op.view.len, 2 * BLOCK + 100);
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, FD, view, BLOCK), 0);
        assert_int_equal(jdb_uring_complete(&op, 2 * BLOCK), JDB_URING_RESUME); /* before that size */
        assert_int_equal(op.file_size, 3 * BLOCK + 100);
        assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
        assert_int_equal(sqe.off, 3 * BLOCK);
        assert_int_equal(jdb_uring_complete(&op, 0), 0); /* the file is shorter than it was */
        assert_int_equal(op.is_eof, 1);
        assert_int_equal(jdb_uring_done_size(&op), 2 * BLOCK);
        op.file_size = 0;
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, FD, view, 0), 0);
        assert_int_equal(jdb_uring_complete(&op, BLOCK), JDB_URING_RESUME);
        assert_int_equal(jdb_uring_release(&op), 0);
    }
    assert_int_equal(jdb_uring_remove(uring, memory), 0);
    munmap(memory, 4 * BLOCK);
}

/* ---- Without memory --------------------------------------------------------------------------------------- */

static void a_sync_is_one_sqe(void **state)
{
    (void)state;
    for (uint32_t sync = JDB_URING_SYNC_DATA; sync <= JDB_URING_SYNC_FILE; sync++) {
        jdb_uring_op op = {.sqe_flags = IOSQE_IO_LINK, .rw_flags = RWF_DSYNC};
        struct io_uring_sqe sqe;
        memset(&sqe, 0xff, sizeof sqe);
        assert_int_equal(jdb_uring_prep_sync(uring, &op, &sqe, FD, sync), 0);
        const struct io_uring_sqe want = {.opcode = IORING_OP_FSYNC,
                                          .flags = IOSQE_IO_LINK,
                                          .fd = FD,
                                          .fsync_flags = sync == JDB_URING_SYNC_DATA ? IORING_FSYNC_DATASYNC : 0,
                                          .user_data = UINT64_MAX};
        assert_memory_equal(&sqe, &want, sizeof sqe);
        assert_int_equal(jdb_uring_in_flight(uring), 1);
        assert_int_equal(jdb_uring_prep_sync(uring, &op, &sqe, FD, sync), -EBUSY);
        assert_int_equal(jdb_uring_release(&op), -EBUSY);
        assert_int_equal(jdb_uring_complete(&op, sync == JDB_URING_SYNC_DATA ? 0 : -EINTR),
                         sync == JDB_URING_SYNC_DATA ? 0 : -EINTR); /* final, whatever it is */
        assert_int_equal(jdb_uring_in_flight(uring), 0);
        assert_int_equal(jdb_uring_done_size(&op), 0);
    }
}

static void an_allocation_is_one_sqe_and_resumed(void **state)
{
    (void)state;
    jdb_uring_op op = {.sqe_flags = IOSQE_ASYNC, .rw_flags = RWF_DSYNC};
    struct io_uring_sqe sqe;
    memset(&sqe, 0xff, sizeof sqe);
    const uint64_t size = (uint64_t)5 << 30;
    assert_int_equal(jdb_uring_prep_allocate(uring, &op, &sqe, FD, FALLOC_FL_KEEP_SIZE, BLOCK, size), 0);
    struct io_uring_sqe want = {.opcode = IORING_OP_FALLOCATE,
                                .flags = IOSQE_ASYNC,
                                .fd = FD,
                                .off = BLOCK,
                                .addr = size,
                                .len = FALLOC_FL_KEEP_SIZE,
                                .user_data = UINT64_MAX};
    assert_memory_equal(&sqe, &want, sizeof sqe);
    assert_int_equal(jdb_uring_complete(&op, -EINTR), JDB_URING_RESUME);
    memset(&sqe, 0xff, sizeof sqe);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_memory_equal(&sqe, &want, sizeof sqe);
    assert_int_equal(jdb_uring_complete(&op, 0), 0);
    assert_int_equal(jdb_uring_in_flight(uring), 0);
    assert_int_equal(jdb_uring_prep_allocate(uring, &op, &sqe, FD, 0, 0, BLOCK), 0);
    assert_int_equal(jdb_uring_complete(&op, -EOPNOTSUPP), -EOPNOTSUPP);
}

static void what_has_no_memory_is_checked_too(void **state)
{
    (void)state;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_sync(uring, &op, NULL, FD, JDB_URING_SYNC_DATA), -EBUSY);
    assert_int_equal(jdb_uring_prep_sync(uring, &op, &sqe, FD, 0), -EINVAL);
    assert_int_equal(sqe.opcode, IORING_OP_NOP);
    assert_int_equal(jdb_uring_prep_sync(uring, &op, &sqe, FD, 3), -EINVAL);
    assert_int_equal(jdb_uring_prep_sync(uring, NULL, &sqe, FD, 1), -EINVAL);
    assert_int_equal(jdb_uring_prep_allocate(uring, &op, NULL, FD, 0, 0, 1), -EBUSY);
    assert_int_equal(jdb_uring_prep_allocate(uring, &op, &sqe, FD, 0, -1, 1), -EINVAL);
    assert_int_equal(jdb_uring_prep_allocate(uring, &op, &sqe, FD, 0, 0, 0), -EINVAL);
    assert_int_equal(jdb_uring_prep_allocate(uring, &op, &sqe, FD, 0, 1, INT64_MAX), -EINVAL);
    assert_int_equal(jdb_uring_prep_allocate(uring, NULL, &sqe, FD, 0, 0, 1), -EINVAL);
    op.sqe_flags = IOSQE_CQE_SKIP_SUCCESS;
    assert_int_equal(jdb_uring_prep_sync(uring, &op, &sqe, FD, 1), -EINVAL);
    assert_int_equal(jdb_uring_prep_allocate(uring, &op, &sqe, FD, 0, 0, 1), -EINVAL);
    assert_int_equal(jdb_uring_in_flight(uring), 0);
}

/* Both by the kernel, and both without a ring. */
static void a_file_is_allocated_and_synced(void **state)
{
    (void)state;
    char path[] = "uring_sqe_test.XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    for (unsigned i = 0; i < 4; i++) {
        const bool has_ring = i < 2;
        jdb_uring_op op = JDB_URING_OP_INIT;
        struct io_uring_sqe *const sqe = has_ring ? io_uring_get_sqe(&ring) : JDB_URING_LATER;
        const int64_t offset = (int64_t)(1 + i / 2) * 4 * BLOCK;
        assert_int_equal(i % 2 == 0 ? jdb_uring_prep_allocate(uring, &op, sqe, fd, 0, offset, 4 * BLOCK)
                                    : jdb_uring_prep_sync(uring, &op, sqe, fd, JDB_URING_SYNC_FILE),
                         0);
        if (has_ring) {
            struct io_uring_cqe *cqe = NULL;
            io_uring_sqe_set_data64(sqe, i);
            assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
            assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
            assert_int_equal(jdb_uring_complete(&op, cqe->res), 0);
            io_uring_cqe_seen(&ring, cqe);
        } else {
            faults_arm(i % 2 == 0 ? OS_CALL_TRUNCATE : OS_CALL_SYNC, 0, -EIO);
            assert_int_equal(jdb_uring_run(&op), -EIO);
            assert_true(faults_disarm());
            assert_int_equal(i % 2 == 0 ? jdb_uring_prep_allocate(uring, &op, sqe, fd, 0, offset, 4 * BLOCK)
                                        : jdb_uring_prep_sync(uring, &op, sqe, fd, JDB_URING_SYNC_FILE),
                             0);
            assert_int_equal(jdb_uring_run(&op), 0);
        }
        struct stat found;
        assert_int_equal(fstat(fd, &found), 0);
        assert_int_equal(found.st_size, i < 2 ? 8 * BLOCK : 12 * BLOCK);
    }
    close(fd);
}

/* ---- Ranges ----------------------------------------------------------------------------------------------- */

static void a_clone_keeps_the_overlap(void **state)
{
    (void)state;
    struct io_uring other;
    jdb_uring *clone = NULL;
    uint8_t *const memory = map(3 * REGION);
    jdb_uring_range_options options = JDB_URING_RANGE_OPTIONS_INIT;
    options.overlap_size = 3 * BLOCK;
    assert_int_equal(jdb_uring_add(uring, memory, 3 * REGION, &options), 0);
    assert_int_equal(io_uring_queue_init(8, &other, 0), 0);
    assert_int_equal(jdb_uring_clone(uring, &other, &clone), 0);
    jdb_uring_range range = JDB_URING_RANGE_INIT;
    assert_int_equal(jdb_uring_get_range(clone, memory, &range), 0);
    assert_int_equal(range.overlap_size, 3 * BLOCK);
    assert_int_equal(range.registered_bytes, 3 * REGION);
    for (size_t blocks = 3; blocks <= 4; blocks++) {
        struct io_uring_sqe sqe;
        jdb_uring_op op = JDB_URING_OP_INIT;
        const jdb_raw view = jdb_raw_from_slice(memory + REGION - 512, blocks * BLOCK);
        assert_int_equal(jdb_uring_prep_read(clone, &op, &sqe, FD, view, 0), 0);
        assert_int_equal(sqe.opcode, blocks == 3 ? IORING_OP_READ_FIXED : IORING_OP_READ);
        assert_int_equal(jdb_uring_complete(&op, -ECANCELED), -ECANCELED);
    }
    assert_int_equal(jdb_uring_close(clone), 0);
    io_uring_queue_exit(&other);
    assert_int_equal(jdb_uring_remove(uring, memory), 0);
    munmap(memory, 3 * REGION);
}

/* The frames have their memory still. */
static void what_could_not_be_decommitted_is_registered_again(void **state)
{
    (void)state;
    const jdb_arena_options options = {.size = sizeof options, .frame_size = BLOCK, .frame_count = 16};
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    uint64_t bytes = 77;
    jdb_pin_mark mark;
    assert_int_equal(jdb_arena_pin(arena, 0, BLOCK, &mark), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 2, false, &bytes), -EBUSY);
    assert_int_equal(jdb_unpin_marked(&mark), 0);
    assert_int_equal(jdb_arena_hold(arena, 0, BLOCK), 0); /* by another ring */
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 2, false, &bytes), -EBUSY);
    assert_int_equal(bytes, 77);
    jdb_uring_range range = JDB_URING_RANGE_INIT;
    assert_int_equal(jdb_uring_get_range(uring, jdb_arena_base(arena), &range), 0);
    assert_int_equal(range.registered_count, range.region_count);
    assert_int_equal(jdb_arena_unhold(arena, 0, BLOCK), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 2, false, &bytes), 0);
    assert_int_equal(jdb_uring_get_range(uring, jdb_arena_base(arena), &range), 0);
    assert_int_equal(range.registered_count, 0);
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* One call to the kernel, however many slots there are; one by one where that is refused, or a tag is to be posted. */
static void a_ring_object_is_closed_at_once(void **state)
{
    (void)state;
    uint8_t *const memory = map(64 * BLOCK);
    for (unsigned i = 0; i < 4; i++) {
        struct io_uring other;
        jdb_uring *object = NULL;
        jdb_uring_range_options options = JDB_URING_RANGE_OPTIONS_INIT;
        options.release_tag = i == 1 ? 0x77 : 0;
        jdb_uring_options table = JDB_URING_OPTIONS_INIT;
        table.uses_caller_table = i == 3;
        table.slot_count = 64;
        assert_int_equal(io_uring_queue_init(128, &other, 0), 0);
        if (i == 3)
            assert_int_equal(io_uring_register_buffers_sparse(&other, 64), 0);
        assert_int_equal(jdb_uring_open(&other, &table, &object), 0);
        for (unsigned k = 0; k < 32; k++)
            assert_int_equal(jdb_uring_add(object, memory + 2 * k * BLOCK, BLOCK, &options), 0);
        jdb_uring_stats stats = JDB_URING_STATS_INIT;
        assert_int_equal(jdb_uring_get_stats(object, &stats), 0);
        assert_int_equal(stats.slots_used, i == 1 ? 64 : 32);
        const unsigned long before = faults_calls(OS_CALL_RING);
        faults_arm(OS_CALL_RING, i == 2 ? 0 : 1000, -EBUSY);
        assert_int_equal(jdb_uring_close(object), 0);
        assert_int_equal(faults_disarm(), i == 2);
        const unsigned long calls[] = {1, 64 + 1, 1 + 32 + 1, 32};
        assert_int_equal(faults_calls(OS_CALL_RING) - before, calls[i]);
        io_uring_submit_and_get_events(&other);
        assert_int_equal(io_uring_cq_ready(&other), i == 1 ? 32 : 0);
        if (i != 3)
            assert_int_equal(io_uring_register_buffers_sparse(&other, 1), 0); /* the table is gone */
        io_uring_queue_exit(&other);
    }
    munmap(memory, 64 * BLOCK);
}

static unsigned opcode_of_read(uint8_t *ptr, size_t size)
{
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, 0, jdb_raw_new(ptr, size), 0), 0);
    assert_int_equal(jdb_uring_complete(&op, (int32_t)size), 0);
    return sqe.opcode;
}

/* Every view around the edges of registered memory, behind one that lies in it. */
static void a_view_that_leaves_its_range_on_either_side_is_plain(void **state)
{
    (void)state;
    uint8_t *const memory = map(6 * BLOCK);
    uint8_t *const added = memory + 2 * BLOCK;
    assert_int_equal(jdb_uring_add(uring, added, 2 * BLOCK, NULL), 0);
    const unsigned within = opcode_of_read(added, BLOCK);
    for (size_t at = 0; at < 6 * BLOCK; at += 512)
        for (size_t size = 512; size <= 6 * BLOCK - at; size += 512) {
            const bool is_within = at >= 2 * BLOCK && at + size <= 4 * BLOCK;
            assert_int_equal(opcode_of_read(added, BLOCK), within);
            assert_int_equal(opcode_of_read(memory + at, size), is_within ? within : IORING_OP_READ);
        }
    assert_int_equal(jdb_uring_remove(uring, added), 0);
    munmap(memory, 6 * BLOCK);
}

#define URING_TEST(name) cmocka_unit_test_setup_teardown(name, open_uring, close_uring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        URING_TEST(a_resumed_sqe_keeps_the_flags_of_the_caller),
        URING_TEST(more_than_one_sqe_moves_goes_in_several),
        URING_TEST(views_of_two_regions_are_in_no_slot),
        URING_TEST(nowait_is_not_tried_again),
        URING_TEST(an_oversized_result_is_an_error),
        URING_TEST(a_read_up_to_the_known_size_is_complete),
        URING_TEST(a_sync_is_one_sqe),
        URING_TEST(an_allocation_is_one_sqe_and_resumed),
        URING_TEST(what_has_no_memory_is_checked_too),
        URING_TEST(a_file_is_allocated_and_synced),
        URING_TEST(a_ring_object_is_closed_at_once),
        URING_TEST(a_view_that_leaves_its_range_on_either_side_is_plain),
        URING_TEST(a_clone_keeps_the_overlap),
        URING_TEST(what_could_not_be_decommitted_is_registered_again),
    };
    if (!memlock_allows(MEMLOCK_OF_TESTS)) {
        print_message(MEMLOCK_SKIPPED);
        return 77;
    }
    struct io_uring probe;
    const int err = io_uring_queue_init(2, &probe, 0);
    if (err != 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
