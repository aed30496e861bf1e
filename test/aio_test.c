/* SPDX-License-Identifier: MIT
 *
 * aio_test.c - the adapter to libaio on a real O_DIRECT file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/aio.h"
#include "file_rig.h"

#define FILE_SIZE ((size_t)10000)

static int file_fd = -1;
static io_context_t context;

/* Submit one operation and complete what comes back; data stays the caller's. */
static int run(jdb_aio_op *op)
{
    int mark = 0;
    op->iocb.data = &mark;
    struct iocb *list[1] = {&op->iocb};
    assert_int_equal(io_submit(context, 1, list), 1);
    struct io_event event;
    assert_int_equal(io_getevents(context, 1, 1, &event, NULL), 1);
    assert_ptr_equal(event.data, &mark);
    assert_ptr_equal(jdb_aio_of(event.obj), op);
    return jdb_aio_complete(op, &event);
}

static void the_length_is_what_was_read(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_zeroed(&buf, 4 * BLOCK), 0);
    jdb_aio_op op = JDB_AIO_OP_INIT;
    assert_int_equal(jdb_aio_read(&op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(op.view.len, 0);
    assert_true(jdb_is_pinned(buf.ptr, BLOCK));
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, FILE_SIZE);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
    rig_assert(buf.ptr, 0, FILE_SIZE);
    assert_int_equal(jdb_aio_read(&op, file_fd, jdb_buf_as_raw(&buf), 4 * BLOCK), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.view.len, 0);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const int fd = rig_file(2 * BLOCK);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_zeroed(&buf, 2 * BLOCK), 0);
    memset(buf.ptr, 0x5a, BLOCK);
    jdb_aio_op op = JDB_AIO_OP_INIT;
    assert_int_equal(jdb_aio_write(&op, fd, jdb_raw_from_slice(buf.ptr, BLOCK), BLOCK), 0);
    assert_int_equal(run(&op), 0);
    assert_int_equal(op.done_size, BLOCK);
    assert_int_equal(op.view.len, BLOCK);
    assert_int_equal(jdb_aio_read(&op, fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(run(&op), 0);
    rig_assert(buf.ptr, 0, BLOCK);
    assert_int_equal(buf.ptr[BLOCK], 0x5a);
    close(fd);
}

static void an_error_of_the_kernel_is_passed_on(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_zeroed(&buf, 2 * BLOCK), 0);
    jdb_aio_op op = JDB_AIO_OP_INIT;
    assert_int_equal(jdb_aio_read(&op, file_fd, jdb_raw_new(buf.ptr + 1, BLOCK), 0), 0);
    assert_int_equal(run(&op), -EINVAL);
    assert_int_equal(op.view.len, 0);
    assert_int_equal(op.done_size, 0);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
}

static void wrong_arguments_start_nothing(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_aio_op op = JDB_AIO_OP_INIT;
    struct io_event event = {0};
    assert_int_equal(jdb_aio_read(NULL, file_fd, jdb_buf_as_raw(&buf), 0), -EINVAL);
    assert_int_equal(jdb_aio_read(&op, file_fd, jdb_buf_as_raw(&buf), -1), -EINVAL);
    assert_int_equal(jdb_aio_write(&op, file_fd, jdb_buf_as_raw(&buf), 0), -EINVAL);
    assert_int_equal(jdb_aio_read(&op, file_fd, jdb_raw_new(buf.ptr, 64 * BLOCK), 0), -ERANGE);
    assert_int_equal(jdb_aio_complete(&op, &event), -EINVAL);
    assert_int_equal(jdb_aio_read(&op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
    assert_int_equal(jdb_aio_read(&op, file_fd, jdb_buf_as_raw(&buf), 0), -EBUSY);
    jdb_aio_release(&op);
    jdb_aio_release(&op);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_length_is_what_was_read),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(an_error_of_the_kernel_is_passed_on),
        cmocka_unit_test(wrong_arguments_start_nothing),
    };
    file_fd = rig_file(FILE_SIZE);
    if (file_fd < 0 || io_setup(4, &context) < 0) {
        print_message("skipped: no direct I/O in this directory, or no AIO in this system\n");
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    io_destroy(context);
    return failed;
}
