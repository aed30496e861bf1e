/* SPDX-License-Identifier: MIT
 *
 * uring_window_test.c - one call for one I/O: what it fills, what it refuses, and the range that it finds without a
 * search.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"

#include "faults.h"
#include "memlock.h"
#include "must.h"

#define BLOCK 4096
#define REGION ((size_t)JDB_URING_REGION_MIN)

static struct io_uring ring;
static jdb_uring *uring;
static int fd = -1;

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
    uring = NULL;
    io_uring_queue_exit(&ring);
    return err;
}

static jdb_arena *arena_of(size_t frame_size, uint32_t count)
{
    const jdb_arena_options options = {
        .size = sizeof options, .frame_size = frame_size, .frame_count = count, .max_frame_count = 2 * count};
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    return arena;
}

static jdb_raw frame_of(jdb_arena *arena, uint32_t index)
{
    jdb_raw view = JDB_RAW_INIT;
    assert_int_equal(jdb_arena_view(arena, index, 1, &view), 0);
    return view;
}

static jdb_uring_stats stats(void)
{
    jdb_uring_stats ret = {.size = sizeof ret};
    assert_int_equal(jdb_uring_get_stats(uring, &ret), 0);
    return ret;
}

/* An SQE with every byte set. */
static struct io_uring_sqe used_sqe(void)
{
    struct io_uring_sqe sqe;
    memset(&sqe, 0xff, sizeof sqe);
    return sqe;
}

/* Whether a read of the view is fixed; ends it. */
static bool is_fixed(jdb_raw view)
{
    struct io_uring_sqe sqe = used_sqe();
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, 0), 0);
    assert_true(sqe.opcode == IORING_OP_READ_FIXED || sqe.opcode == IORING_OP_READ);
    assert_int_equal(jdb_uring_complete(&op, (int32_t)view.cap), 0);
    return sqe.opcode == IORING_OP_READ_FIXED;
}

/* ---- What is filled --------------------------------------------------------------------------------------- */

/* Twice: found by a search, and not. */
static void every_field_of_the_sqe_is_filled(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(BLOCK, 4);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    for (unsigned i = 0; i < 6; i++) {
        const bool is_write = i % 2 != 0;
        const bool is_plain = i >= 4;
        jdb_uring *const object = is_plain ? NULL : uring;
        struct io_uring_sqe sqe = used_sqe();
        jdb_uring_op op = {.sqe_flags = IOSQE_ASYNC | IOSQE_FIXED_FILE, .rw_flags = RWF_HIPRI};
        const jdb_raw view = jdb_raw_with_len(frame_of(arena, 1), 1000);
        const int err = is_write ? jdb_uring_prep_write(object, &op, &sqe, 7, view, BLOCK)
                                 : jdb_uring_prep_read(object, &op, &sqe, 7, view, BLOCK);
        assert_int_equal(err, 0);
        struct io_uring_sqe want = {.flags = IOSQE_ASYNC | IOSQE_FIXED_FILE,
                                    .fd = 7,
                                    .off = BLOCK,
                                    .addr = (uintptr_t)view.ptr,
                                    .len = is_write ? 1000 : BLOCK,
                                    .rw_flags = RWF_HIPRI,
                                    .user_data = UINT64_MAX};
        want.opcode = is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
        if (is_plain)
            want.opcode = is_write ? IORING_OP_WRITE : IORING_OP_READ;
        assert_memory_equal(&sqe, &want, sizeof sqe);
        assert_int_equal(op.view.len, is_write ? 1000 : 0);
        assert_int_equal(jdb_uring_complete(&op, (int32_t)want.len), 0);
        assert_int_equal(op.view.len, is_write ? 1000 : BLOCK);
        assert_int_equal(jdb_uring_done_size(&op), want.len);
    }
    assert_int_equal(stats().fixed_count, 4);
    assert_int_equal(stats().fixed_bytes, 2 * BLOCK + 2000);
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void the_inputs_of_an_operation_stay_and_its_results_do_not(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(BLOCK, 4);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        jdb_uring *const object = i == 0 ? uring : NULL;
        struct io_uring_sqe sqe = used_sqe();
        jdb_uring_op op = {.sqe_flags = IOSQE_ASYNC, .rw_flags = RWF_HIPRI, .align = 512};
        assert_int_equal(jdb_uring_prep_read(object, &op, &sqe, fd, frame_of(arena, 0), 0), 0);
        assert_int_equal(jdb_uring_complete(&op, 100), JDB_URING_RESUME);
        assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
        assert_int_equal(jdb_uring_complete(&op, 100), 0);
        assert_int_equal(op.is_eof, 1);
        assert_int_equal(jdb_uring_done_size(&op), 100);
        assert_int_equal(jdb_uring_prep_read(object, &op, &sqe, fd, frame_of(arena, 0), 0), 0);
        assert_int_equal(op.is_eof, 0);
        assert_int_equal(sqe.flags, IOSQE_ASYNC);
        assert_int_equal(sqe.rw_flags, RWF_HIPRI);
        assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
        assert_int_equal(op.is_eof, 0);
        assert_int_equal(jdb_uring_done_size(&op), BLOCK);
        assert_int_equal(op.align, 512);
    }
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- What is refused -------------------------------------------------------------------------------------- */

static void a_full_submission_queue_is_busy(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_page(&buf), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    jdb_raw views[1] = {jdb_buf_as_raw(&buf)};
    struct iovec iovs[1];
    for (unsigned i = 0; i < 2; i++) {
        jdb_uring *const object = i == 0 ? uring : NULL;
        jdb_uring_op op = JDB_URING_OP_INIT;
        assert_int_equal(jdb_uring_prep_read(object, &op, NULL, fd, views[0], 0), -EBUSY);
        assert_int_equal(jdb_uring_prep_write(object, &op, NULL, fd, views[0], 0), -EBUSY);
        assert_int_equal(jdb_uring_prep_readv(object, &op, NULL, fd, views, 1, iovs, 0), -EBUSY);
        assert_int_equal(jdb_uring_prep_writev(object, &op, NULL, fd, views, 1, iovs, 0), -EBUSY);
        assert_int_equal(jdb_uring_prep_write_sync(object, &op, NULL, fd, views[0], 0, 1), -EBUSY);
        assert_int_equal(jdb_uring_prep_writev_sync(object, &op, NULL, fd, views, 1, iovs, 0, 1), -EBUSY);
        assert_int_equal(jdb_uring_complete(&op, 0), -EINVAL); /* not started */
        assert_int_equal(jdb_uring_read(object, &op, fd, views[0], 0), 0);
        assert_int_equal(jdb_uring_prep(&op, NULL), -EBUSY);
        assert_int_equal(jdb_uring_prep(&op, JDB_URING_LATER), -EINVAL);
        assert_int_equal(jdb_uring_prep(NULL, NULL), -EINVAL);
        assert_int_equal(jdb_uring_release(&op), 0); /* stayed started, and is not in flight */
    }
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
}

/* The SQE is in the queue already: it completes without a word, and the program sees the next one. */
static void the_sqe_of_a_refused_operation_does_nothing(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_page(&buf), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    memset(sqe, 0xff, sizeof *sqe);
    assert_int_equal(jdb_uring_prep_read(uring, &op, sqe, fd, jdb_buf_as_raw(&buf), -2), -EINVAL);
    assert_int_equal(sqe->opcode, IORING_OP_NOP);
    assert_int_equal(jdb_uring_in_flight(uring), 0);
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_submit_and_wait(&ring, 1), 2);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(cqe->user_data, 0);
    assert_int_equal(cqe->res, 0);
    io_uring_cqe_seen(&ring, cqe);
    assert_int_equal(io_uring_cq_ready(&ring), 0);
}

static void a_bad_argument_is_refused_in_the_window_too(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(BLOCK, 4);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    const jdb_raw view = jdb_raw_with_len(frame_of(arena, 0), BLOCK);
    assert_true(is_fixed(view));
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, NULL, &sqe, fd, view, 0), -EINVAL);
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, -1), -EINVAL);
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, INT64_MAX - BLOCK + 1), -EINVAL);
    assert_int_equal(jdb_uring_prep_write(uring, &op, &sqe, fd, jdb_raw_with_len(view, 0), 0), -EINVAL);
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_raw_new(view.ptr, 0), 0), -EINVAL);
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_raw_new(NULL, BLOCK), 0), -EINVAL);
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_raw_new(view.ptr, 5 * BLOCK), 0), -ERANGE);
    op.sqe_flags = IOSQE_CQE_SKIP_SUCCESS;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, 0), -EINVAL);
    op.sqe_flags = IOSQE_IO_LINK;
    op.splits = 1;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, 0), -EINVAL);
    op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, INT64_MAX - BLOCK), 0);
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, 0), -EBUSY);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void an_alignment_that_is_none_is_found_when_it_is_needed(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(BLOCK, 4);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    struct io_uring_sqe sqe;
    jdb_uring_op op = {.align = 768};
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, frame_of(arena, 0), 0), 0);
    assert_int_equal(jdb_uring_complete(&op, BLOCK / 2), -EINVAL);
    assert_false(jdb_is_pinned(op.view.ptr, BLOCK));
    assert_int_equal(jdb_uring_in_flight(uring), 0);
    assert_int_equal(jdb_uring_prep_read(NULL, &op, &sqe, fd, frame_of(arena, 0), 0), -EINVAL);
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* ---- Pins ------------------------------------------------------------------------------------------------- */

static void the_frame_is_pinned_from_the_call_to_the_completion(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(BLOCK, 4);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    for (int32_t res = BLOCK; res >= 0; res -= BLOCK) {
        struct io_uring_sqe sqe;
        jdb_uring_op op = JDB_URING_OP_INIT;
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, frame_of(arena, 2), 0), 0);
        assert_true(jdb_is_pinned(op.view.ptr, BLOCK));
        assert_false(jdb_is_pinned(op.view.ptr - BLOCK, BLOCK));
        assert_int_equal(jdb_uring_release(&op), -EBUSY);
        assert_int_equal(jdb_uring_run(&op), -EBUSY);
        assert_int_equal(jdb_uring_close(uring), -EBUSY);
        assert_int_equal(jdb_uring_complete(&op, res), 0);
        assert_false(jdb_is_pinned(op.view.ptr, BLOCK));
        assert_int_equal(op.view.len, res);
        assert_int_equal(jdb_uring_complete(&op, res), -EINVAL);
    }
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* A frame that is pinned as often as can be, and one that is given back meanwhile, are refused as by jdb_pin(). */
static void a_frame_in_use_elsewhere_has_both_pins(void **state)
{
    (void)state;
    jdb_arena *const arena = arena_of(BLOCK, 4);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    const jdb_raw view = frame_of(arena, 0);
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_pin(view.ptr, BLOCK), 0);
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, 0), 0);
    assert_int_equal(jdb_unpin(view.ptr, BLOCK), 0);
    assert_true(jdb_is_pinned(view.ptr, BLOCK));
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 1, true, NULL), -EBUSY);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 1, true, NULL), 0);
    assert_true(is_fixed(view));
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Runs of pages that are lent at this moment. */
static uint64_t lent_bytes(void)
{
    jdb_page_stats ret = {.size = sizeof ret};
    assert_int_equal(jdb_get_page_stats(&ret), 0);
    return ret.lent_bytes;
}

/* The range pins it for the operation, also when it is removed in flight. */
static void a_dropped_buffer_stays_until_its_operation_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const bool is_tagged = i % 2 != 0;
        const int32_t res = i < 2 ? 2 * BLOCK : -EIO;
        jdb_uring_range_options options = JDB_URING_RANGE_OPTIONS_INIT;
        options.release_tag = is_tagged ? 0x77 : 0;
        jdb_buf buf = JDB_BUF_INIT;
        assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
        assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &options), 0);
        struct io_uring_sqe sqe;
        jdb_uring_op op = JDB_URING_OP_INIT;
        uint8_t *const ptr = buf.ptr;
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_buf_as_raw(&buf), 0), 0);
        assert_int_equal(sqe.opcode, IORING_OP_READ_FIXED);
        jdb_buf_drop(&buf);
        assert_int_equal(jdb_uring_remove(uring, ptr), 0);
        assert_true(jdb_is_pinned(ptr, 2 * BLOCK));
        assert_int_equal(io_uring_cq_ready(&ring), 0);
        assert_int_equal(jdb_uring_complete(&op, res), res < 0 ? res : 0);
        assert_false(jdb_is_pinned(ptr, 2 * BLOCK));
        io_uring_submit_and_get_events(&ring);
        assert_int_equal(io_uring_cq_ready(&ring), is_tagged ? 1 : 0);
        io_uring_cq_advance(&ring, is_tagged ? 1 : 0);
    }
}

/* The rest is not in flight, and the range may go: it needs a pin of its own. */
static void a_short_result_leaves_the_window_with_a_pin_of_its_own(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
        struct io_uring_sqe sqe;
        jdb_uring_op op = JDB_URING_OP_INIT;
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_buf_as_raw(&buf), 0), 0);
        if (i == 1)
            assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
        assert_int_equal(jdb_uring_complete(&op, i == 2 ? -EINTR : BLOCK), JDB_URING_RESUME);
        if (i != 1)
            assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
        assert_true(jdb_is_pinned(buf.ptr, buf.cap));
        assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
        assert_int_equal(sqe.opcode, IORING_OP_READ);
        assert_int_equal(sqe.len, i == 2 ? 2 * BLOCK : BLOCK);
        assert_int_equal(jdb_uring_complete(&op, (int32_t)sqe.len), 0);
        assert_int_equal(op.view.len, 2 * BLOCK);
        assert_false(jdb_is_pinned(buf.ptr, buf.cap));
    }
}

static void a_short_result_of_a_dropped_buffer_ends_the_operation(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    uint8_t *const ptr = buf.ptr;
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    const uint64_t before = lent_bytes();
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_buf_as_raw(&buf), 0), 0);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), -EINVAL);
    assert_int_equal(jdb_uring_done_size(&op), BLOCK);
    assert_int_equal(jdb_uring_remove(uring, ptr), 0);
    assert_int_equal(lent_bytes(), before - 2 * BLOCK);
}

/* Its SQE is not submitted: the operation is in flight once. */
static void what_is_prepared_twice_is_in_flight_once(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_page(&buf), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(jdb_uring_prep(&op, &sqe), 0);
    assert_int_equal(sqe.opcode, IORING_OP_READ_FIXED);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
    assert_int_equal(jdb_uring_in_flight(uring), 0);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_false(jdb_is_pinned(buf.ptr, buf.cap));
}

/* ---- The window ------------------------------------------------------------------------------------------- */

static void the_window_follows_the_views(void **state)
{
    (void)state;
    jdb_arena *const odd = arena_of(3 * BLOCK, 4); /* a stride that is no power of two */
    jdb_arena *const even = arena_of(BLOCK, (uint32_t)(3 * REGION / BLOCK));
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * REGION + BLOCK), 0);
    assert_int_equal(jdb_uring_add_arena(uring, odd, NULL), 0);
    assert_int_equal(jdb_uring_add_arena(uring, even, NULL), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    const uint32_t last = jdb_arena_frame_count(even) - 1;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(is_fixed(frame_of(odd, i)));
        assert_true(is_fixed(frame_of(even, i)));
        assert_true(is_fixed(frame_of(even, last)));
        assert_true(is_fixed(jdb_raw_new(buf.ptr + i * REGION, BLOCK)));
        assert_true(
            is_fixed(jdb_raw_new(frame_of(even, 1).ptr + 512, 2 * BLOCK))); /* in three frames, which are pinned */
        assert_true(is_fixed(jdb_raw_new(buf.ptr + REGION - BLOCK, 2 * BLOCK)));
        assert_false(is_fixed(jdb_raw_new(buf.ptr, buf.cap))); /* longer than a region and its overlap */
    }
    assert_true(is_fixed(frame_of(even, 0)));
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(even)), 0); /* that the last view was in */
    assert_false(is_fixed(frame_of(even, 0)));
    assert_true(is_fixed(jdb_raw_new(buf.ptr, BLOCK)));
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_false(is_fixed(jdb_raw_new(buf.ptr, BLOCK)));
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(odd)), 0);
    assert_int_equal(jdb_arena_free(odd), 0);
    assert_int_equal(jdb_arena_free(even), 0);
}

/* The slot of the frame that a read names, or -1. */
static int slot_of(jdb_raw view)
{
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, view, 0), 0);
    assert_int_equal(jdb_uring_complete(&op, (int32_t)view.cap), 0);
    return sqe.opcode == IORING_OP_READ_FIXED ? sqe.buf_index : -1;
}

static int slot_in_table(jdb_arena *arena, uint32_t region)
{
    jdb_uring_region ret = {.size = sizeof ret};
    assert_int_equal(jdb_uring_get_region(uring, jdb_arena_base(arena), region, &ret), 0);
    return ret.slot;
}

static void the_window_follows_growth_and_decommit(void **state)
{
    (void)state;
    const uint32_t frames = (uint32_t)(REGION / BLOCK);
    jdb_arena *const arena = arena_of(BLOCK, frames);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    assert_int_equal(slot_of(frame_of(arena, 0)), slot_in_table(arena, 0));
    assert_int_equal(jdb_arena_grow(arena, 2 * frames), 0);
    assert_int_equal(slot_of(frame_of(arena, frames + 1)), -1);
    assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(slot_of(frame_of(arena, 0)), slot_in_table(arena, 0));
    assert_int_equal(slot_of(frame_of(arena, 2 * frames - 1)), slot_in_table(arena, 1));
    assert_int_equal(jdb_uring_decommit(uring, arena, frames + 5, 1, false, NULL), 0);
    assert_int_equal(slot_of(frame_of(arena, frames + 7)), -1);
    assert_int_equal(slot_of(frame_of(arena, 0)), slot_in_table(arena, 0));
    assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(slot_of(frame_of(arena, frames + 7)), slot_in_table(arena, 1));
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Without MADV_WIPEONFORK a child could use the parent's window, so there is none. */
static void without_a_window_all_goes_the_long_way(void **state)
{
    (void)state;
    jdb_uring *const first = uring;
    jdb_arena *const arena = arena_of(BLOCK, 4);
    struct io_uring other;
    assert_int_equal(io_uring_queue_init(8, &other, 0), 0);
    faults_arm(OS_CALL_ADVISE, 0, -EINVAL);
    assert_int_equal(jdb_uring_open(&other, NULL, &uring), 0);
    assert_true(faults_disarm());
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    assert_true(is_fixed(frame_of(arena, 0)));
    assert_true(is_fixed(frame_of(arena, 1)));
    const pid_t child = fork();
    if (child == 0)
        _exit(is_fixed(jdb_raw_new(&other, 64)) ? 1 : 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(jdb_uring_close(uring), 0);
    io_uring_queue_exit(&other);
    assert_int_equal(jdb_arena_free(arena), 0);
    uring = first;
}

/* The child has the memory, as its own copy; the ring's table has the parent's. */
static void a_child_has_no_window(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_page(&buf), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    assert_true(is_fixed(jdb_buf_as_raw(&buf)));
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_buf_as_raw(&buf), 0), 0);
    const pid_t child = fork();
    if (child == 0) {
        const bool was_fixed = is_fixed(jdb_buf_as_raw(&buf));
        const bool is_over = jdb_uring_complete(&op, BLOCK) == 0 && jdb_uring_in_flight(uring) == 0;
        _exit((was_fixed ? 1 : 0) + (is_over ? 0 : 2) + (jdb_uring_close(uring) == 0 ? 0 : 4));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), 0);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
}

/* What the window had in flight is counted by the object that was abandoned, and its last completion frees that. */
static void an_abandoned_object_ends_with_the_operations_of_its_window(void **state)
{
    (void)state;
    jdb_uring *const first = uring;
    struct io_uring other;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    assert_int_equal(io_uring_queue_init(8, &other, 0), 0);
    assert_int_equal(jdb_uring_open(&other, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    struct io_uring_sqe sqe;
    jdb_uring_op ops[2] = {{.fd = 0}, {.fd = 0}};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(jdb_uring_prep_read(uring, &ops[i], &sqe, fd, jdb_raw_new(buf.ptr + i * BLOCK, BLOCK), 0), 0);
    io_uring_queue_exit(&other);
    assert_int_equal(jdb_uring_abandon(uring), 2);
    assert_true(jdb_is_pinned(buf.ptr, buf.cap));
    assert_int_equal(jdb_uring_complete(&ops[0], BLOCK), 0);
    assert_true(jdb_is_pinned(buf.ptr, buf.cap));
    assert_int_equal(jdb_uring_complete(&ops[1], -ECANCELED), -ECANCELED);
    assert_false(jdb_is_pinned(buf.ptr, buf.cap));
    uring = first;
}

static void a_drain_that_cancels_resumes_nothing_of_the_window(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(jdb_uring_cancel(&op, 1, &sqe), 0);
    assert_int_equal(jdb_uring_complete(&op, BLOCK), -ECANCELED);
    assert_int_equal(jdb_uring_done_size(&op), BLOCK);
    assert_int_equal(op.view.len, BLOCK);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
}

static int open_file(void **state)
{
    (void)state;
    fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    return fd < 0 ? -1 : 0;
}

static int close_file(void **state)
{
    (void)state;
    return close(fd);
}

#define URING_TEST(name) cmocka_unit_test_setup_teardown(name, open_uring, close_uring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        URING_TEST(every_field_of_the_sqe_is_filled),
        URING_TEST(the_inputs_of_an_operation_stay_and_its_results_do_not),
        URING_TEST(a_full_submission_queue_is_busy),
        URING_TEST(the_sqe_of_a_refused_operation_does_nothing),
        URING_TEST(a_bad_argument_is_refused_in_the_window_too),
        URING_TEST(an_alignment_that_is_none_is_found_when_it_is_needed),
        URING_TEST(the_frame_is_pinned_from_the_call_to_the_completion),
        URING_TEST(a_frame_in_use_elsewhere_has_both_pins),
        URING_TEST(a_dropped_buffer_stays_until_its_operation_ends),
        URING_TEST(a_short_result_leaves_the_window_with_a_pin_of_its_own),
        URING_TEST(a_short_result_of_a_dropped_buffer_ends_the_operation),
        URING_TEST(what_is_prepared_twice_is_in_flight_once),
        URING_TEST(the_window_follows_the_views),
        URING_TEST(the_window_follows_growth_and_decommit),
        URING_TEST(without_a_window_all_goes_the_long_way),
        URING_TEST(a_child_has_no_window),
        URING_TEST(an_abandoned_object_ends_with_the_operations_of_its_window),
        URING_TEST(a_drain_that_cancels_resumes_nothing_of_the_window),
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
    return cmocka_run_group_tests(tests, open_file, close_file);
}
