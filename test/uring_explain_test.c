/* SPDX-License-Identifier: MIT
 *
 * uring_explain_test.c - the reason of an error fits the call that returned it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <liburing.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"

static int file_fd = -1;
static struct io_uring ring;
static jdb_uring *uring;

static int open_all(void **state)
{
    (void)state;
    return io_uring_queue_init(8, &ring, 0) != 0 || jdb_uring_open(&ring, NULL, &uring) != 0;
}

static int close_all(void **state)
{
    (void)state;
    const int err = jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
    return err;
}

/* The result of a prepared operation. */
static int submit_and_complete(jdb_uring_op *op)
{
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    const int err = jdb_uring_complete(op, cqe->res);
    io_uring_cqe_seen(&ring, cqe);
    return err;
}

static int run(jdb_uring_op *op)
{
    jdb_uring_prep(op, io_uring_get_sqe(&ring));
    return submit_and_complete(op);
}

static void assert_says(jdb_uring_reason why, int err, const char *word)
{
    assert_int_equal(why.err, err);
    assert_non_null(strstr(why.reason, word));
    assert_true(strlen(why.remedy) > 0);
}

/* ---- Errors of the kernel --------------------------------------------------------------------------------- */

static void a_misaligned_read_is_called_so(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(buf.ptr, BLOCK), 1), 0);
    const int ring_err = run(&op);
    assert_int_equal(jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(buf.ptr, BLOCK), 1), 0);
    assert_int_equal(jdb_uring_run(&op), ring_err);
    if (ring_err == 0)
        print_message("skipped: this file system reads from any offset\n");
    else
        assert_says(jdb_uring_explain_op(ring_err), -EINVAL, "not aligned");
}

static void a_buffer_that_was_removed_too_early_is_called_so(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_buf_as_raw(&buf), 0), 0);
    jdb_uring_prep(&op, io_uring_get_sqe(&ring));
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_says(jdb_uring_explain_op(submit_and_complete(&op)), -EFAULT, "removed before");
}

static void a_descriptor_that_is_none_is_called_so(void **state)
{
    (void)state;
    uint8_t bytes[16];
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, -1, jdb_raw_new(bytes, 16), 0), 0);
    assert_says(jdb_uring_explain_op(run(&op)), -EBADF, "not open");
}

/* ---- Tables ----------------------------------------------------------------------------------------------- */

typedef jdb_uring_reason (*explain)(int err);
static const explain tables[] = {jdb_uring_explain, jdb_uring_explain_ring, jdb_uring_explain_op};

/* One errno, three questions. */
static void each_question_has_its_own_answer(void **state)
{
    (void)state;
    const int errors[] = {EINVAL, EPERM, ENOMEM};
    for (size_t i = 0; i < 3; i++) {
        const jdb_uring_reason first = tables[0](errors[i]);
        const jdb_uring_reason second = tables[1](errors[i]);
        const jdb_uring_reason third = tables[2](errors[i]);
        assert_string_not_equal(first.reason, second.reason);
        assert_string_not_equal(second.reason, third.reason);
        assert_string_not_equal(first.reason, third.reason);
    }
    assert_says(jdb_uring_explain(-EINVAL), -EINVAL, "registration");
    assert_non_null(strstr(jdb_uring_explain(-EINVAL).remedy, "jdb_uring_explain_op()"));
}

static void both_signs_and_any_number_have_a_reason(void **state)
{
    (void)state;
    for (size_t table = 0; table < 3; table++) {
        for (int err = 0; err < 140; err++) {
            const jdb_uring_reason why = tables[table](err);
            assert_int_equal(why.err, -err);
            assert_true(strlen(why.reason) > 0 && strlen(why.remedy) > 0);
            assert_string_equal(why.remedy, tables[table](-err).remedy);
        }
        assert_string_equal(tables[table](0).remedy, "nothing to do");
        assert_string_equal(tables[table](EXDEV).reason, strerror(EXDEV));
    }
}

#define WITH_ALL(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ALL(a_misaligned_read_is_called_so),
        WITH_ALL(a_buffer_that_was_removed_too_early_is_called_so),
        WITH_ALL(a_descriptor_that_is_none_is_called_so),
        cmocka_unit_test(each_question_has_its_own_answer),
        cmocka_unit_test(both_signs_and_any_number_have_a_reason),
    };
    struct io_uring probe;
    const int err = io_uring_queue_init(2, &probe, 0);
    if (err != 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&probe);
    file_fd = rig_file(4 * BLOCK);
    if (file_fd < 0) {
        print_message("skipped: no O_DIRECT in the working directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
