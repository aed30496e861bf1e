/* SPDX-License-Identifier: MIT
 *
 * uv_test.c - the adapter to libuv on a real O_DIRECT file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uv.h"
#include "file_rig.h"

#define FILE_SIZE ((size_t)10000)

static int file_fd = -1;

struct outcome {
    int err;
    unsigned calls;
};

static void on_done(uv_fs_t *req)
{
    struct outcome *const outcome = req->data;
    outcome->err = jdb_uv_complete(jdb_uv_of(req));
    outcome->calls++;
}

static void two_views_share_what_was_read(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 8 * BLOCK), 0);
    jdb_raw views[2] = {jdb_raw_from_slice(buf.ptr + 4 * BLOCK, BLOCK), jdb_raw_new(buf.ptr, 4 * BLOCK)};
    struct outcome outcome = {.err = 1};
    jdb_uv_op op = JDB_UV_OP_INIT;
    uv_buf_t bufs[2];
    op.req.data = &outcome;
    assert_int_equal(jdb_uv_read(uv_default_loop(), &op, file_fd, views, 2, bufs, 0, on_done), 0);
    assert_int_equal(views[0].len, 0);
    assert_true(jdb_is_pinned(buf.ptr, BLOCK));
    assert_int_equal(jdb_uv_read(uv_default_loop(), &op, file_fd, views, 2, bufs, 0, on_done), -EBUSY);
    assert_int_equal(uv_run(uv_default_loop(), UV_RUN_DEFAULT), 0);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.err, 0);
    assert_int_equal(op.done_size, FILE_SIZE);
    assert_int_equal(views[0].len, BLOCK);
    assert_int_equal(views[1].len, FILE_SIZE - BLOCK);
    rig_assert(views[0].ptr, 0, BLOCK);
    rig_assert(views[1].ptr, BLOCK, FILE_SIZE - BLOCK);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
}

static void what_is_written_is_read_back_without_a_callback(void **state)
{
    (void)state;
    const int fd = rig_file(2 * BLOCK);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_zeroed(&buf, 2 * BLOCK), 0);
    memset(buf.ptr, 0x5a, BLOCK);
    jdb_uv_op op = JDB_UV_OP_INIT;
    uv_buf_t bufs[1];
    jdb_raw view = jdb_raw_from_slice(buf.ptr, BLOCK);
    assert_int_equal(jdb_uv_write(uv_default_loop(), &op, fd, &view, 1, bufs, BLOCK, NULL), 0);
    assert_int_equal(jdb_uv_complete(&op), 0);
    assert_int_equal(op.done_size, BLOCK);
    view = jdb_buf_as_raw(&buf);
    assert_int_equal(jdb_uv_read(uv_default_loop(), &op, fd, &view, 1, bufs, 0, NULL), 0);
    assert_int_equal(jdb_uv_complete(&op), 0);
    assert_int_equal(view.len, 2 * BLOCK);
    rig_assert(buf.ptr, 0, BLOCK);
    assert_int_equal(buf.ptr[2 * BLOCK - 1], 0x5a);
    close(fd);
}

static void an_error_leaves_no_byte_that_counts(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    jdb_raw view = jdb_raw_from_slice(buf.ptr + 1, BLOCK);
    struct outcome outcome = {.err = 1};
    jdb_uv_op op = JDB_UV_OP_INIT;
    uv_buf_t bufs[1];
    op.req.data = &outcome;
    assert_int_equal(jdb_uv_read(uv_default_loop(), &op, file_fd, &view, 1, bufs, 0, on_done), 0);
    assert_int_equal(uv_run(uv_default_loop(), UV_RUN_DEFAULT), 0);
    assert_int_equal(outcome.err, UV_EINVAL);
    assert_int_equal(view.len, 0);
    assert_int_equal(jdb_uv_complete(&op), -EINVAL);
    jdb_raw empty = JDB_RAW_INIT;
    assert_int_equal(jdb_uv_read(uv_default_loop(), &op, file_fd, &empty, 1, bufs, 0, on_done), -EINVAL);
    jdb_raw outside = jdb_raw_new(buf.ptr, 64 * BLOCK);
    assert_int_equal(jdb_uv_read(uv_default_loop(), &op, file_fd, &outside, 1, bufs, 0, on_done), -ERANGE);
    assert_int_equal(op.is_started, 0);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_views_share_what_was_read),
        cmocka_unit_test(what_is_written_is_read_back_without_a_callback),
        cmocka_unit_test(an_error_leaves_no_byte_that_counts),
    };
    file_fd = rig_file(FILE_SIZE);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    uv_loop_close(uv_default_loop());
    return failed;
}
