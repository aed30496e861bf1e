/* SPDX-License-Identifier: MIT
 *
 * iov_test.c - the adapter to preadv2 and pwritev2 on a real O_DIRECT file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/iov.h"
#include "file_rig.h"

#define FILE_SIZE ((size_t)10000)

static int file_fd = -1;

static void views_share_what_was_read(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 8 * BLOCK), 0);
    jdb_raw views[3] = {jdb_raw_new(buf.ptr + 3 * BLOCK, BLOCK), jdb_raw_new(buf.ptr, 2 * BLOCK),
                        jdb_raw_from_slice(buf.ptr + 5 * BLOCK, BLOCK)};
    struct iovec iovs[3];
    assert_int_equal(jdb_iov_read(file_fd, views, 3, iovs, 0, 0), FILE_SIZE);
    assert_int_equal(views[0].len, BLOCK);
    assert_int_equal(views[1].len, FILE_SIZE - BLOCK);
    assert_int_equal(views[2].len, 0);
    rig_assert(views[0].ptr, 0, BLOCK);
    rig_assert(views[1].ptr, BLOCK, FILE_SIZE - BLOCK);
    assert_false(jdb_is_pinned(buf.ptr, buf.cap));
}

static void an_error_leaves_no_byte_that_counts(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_raw view = jdb_raw_from_slice(buf.ptr, BLOCK);
    struct iovec iov;
    assert_int_equal(jdb_iov_read(-1, &view, 1, &iov, 0, 0), -EBADF);
    assert_int_equal(view.len, 0);
    assert_false(jdb_is_pinned(buf.ptr, buf.cap));
    jdb_raw outside = jdb_raw_new(buf.ptr, 64 * BLOCK);
    assert_int_equal(jdb_iov_read(file_fd, &outside, 1, &iov, 0, 0), -ERANGE);
    assert_int_equal(jdb_iov_read(file_fd, &view, 0, &iov, 0, 0), -EINVAL);
    assert_int_equal(jdb_iov_read(file_fd, &view, 1, NULL, 0, 0), -EINVAL);
    assert_int_equal(jdb_iov_write(file_fd, &view, 1, &iov, 0, 0), -EINVAL);
    view.len = view.cap;
    assert_int_equal(jdb_iov_read(file_fd, &view, 1, &iov, -1, 0), -EINVAL); /* not at the position of the file */
    assert_int_equal(jdb_iov_write(file_fd, &view, 1, &iov, -1, 0), -EINVAL);
    assert_int_equal(view.len, view.cap);
    jdb_raw huge[2] = {jdb_raw_new(buf.ptr, PTRDIFF_MAX), jdb_raw_new(buf.ptr, PTRDIFF_MAX)};
    struct iovec two[2];
    assert_int_equal(jdb_iov_read(file_fd, huge, 2, two, 0, 0), -EOVERFLOW);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const int fd = rig_file(4 * BLOCK);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_zeroed(&buf, 4 * BLOCK), 0);
    memset(buf.ptr, 0x5a, BLOCK);
    memset(buf.ptr + 2 * BLOCK, 0xa5, BLOCK);
    const jdb_raw views[2] = {jdb_raw_from_slice(buf.ptr + 2 * BLOCK, BLOCK), jdb_raw_from_slice(buf.ptr, BLOCK)};
    struct iovec iovs[2];
    assert_int_equal(jdb_iov_write(fd, views, 2, iovs, BLOCK, 0), 2 * BLOCK);
    jdb_raw all = jdb_raw_new(buf.ptr, buf.cap);
    assert_int_equal(jdb_iov_read(fd, &all, 1, iovs, 0, 0), 4 * BLOCK);
    rig_assert(buf.ptr, 0, BLOCK);
    assert_int_equal(buf.ptr[BLOCK], 0xa5);
    assert_int_equal(buf.ptr[3 * BLOCK - 1], 0x5a);
    rig_assert(buf.ptr + 3 * BLOCK, 3 * BLOCK, BLOCK);
    close(fd);
}

static void filling_skips_what_is_done(void **state)
{
    (void)state;
    uint8_t bytes[32];
    const jdb_raw views[3] = {jdb_raw_from_slice(bytes, 8), jdb_raw_from_slice(bytes + 8, 8),
                              jdb_raw_from_slice(bytes + 16, 16)};
    struct iovec iovs[3];
    assert_int_equal(jdb_iov_fill(views, 3, JDB_IOV_WRITE, 0, iovs), 3);
    assert_int_equal(jdb_iov_fill(views, 3, JDB_IOV_WRITE, 8, iovs), 2);
    assert_ptr_equal(iovs[0].iov_base, bytes + 8);
    assert_int_equal(jdb_iov_fill(views, 3, JDB_IOV_WRITE, 20, iovs), 1);
    assert_ptr_equal(iovs[0].iov_base, bytes + 20);
    assert_int_equal(iovs[0].iov_len, 12);
    assert_int_equal(jdb_iov_fill(views, 3, JDB_IOV_WRITE, 32, iovs), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_share_what_was_read),
        cmocka_unit_test(an_error_leaves_no_byte_that_counts),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(filling_skips_what_is_done),
    };
    file_fd = rig_file(FILE_SIZE);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
