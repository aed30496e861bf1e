/* SPDX-License-Identifier: MIT
 *
 * uring_fault_test.c - each call of libjdb_uring to the system fails once: outputs untouched, nothing pinned or leaked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <liburing.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "faults.h"

static int file_fd = -1;
static struct io_uring ring;

/* Before the library's own constructor, which watches for forks: it fails there, and open makes up for it. */
__attribute__((constructor(101))) static void fail_early(void)
{
    faults_arm(OS_CALL_THREAD, 0, -ENOMEM);
}

static int open_ring(void **state)
{
    (void)state;
    return io_uring_queue_init(8, &ring, 0);
}

static int exit_ring(void **state)
{
    (void)state;
    faults_disarm();
    io_uring_queue_exit(&ring);
    return 0;
}

/* Everything between open and close; the first error of a call that reports one. */
static int use_ring(const jdb_buf *buf)
{
    const jdb_uring_options options = {.size = sizeof options, .region_size = JDB_URING_REGION_MIN};
    jdb_uring *uring = NULL;
    int err = jdb_uring_open(&ring, &options, &uring);
    if (err != 0) {
        assert_null(uring);
        return err;
    }
    err = jdb_uring_add(uring, buf->ptr, buf->cap, NULL);
    if (err == 0)
        err = jdb_uring_refresh(uring, buf->ptr);
    jdb_uring_op op = JDB_URING_OP_INIT;
    if (err == 0)
        err = jdb_uring_read(NULL, &op, file_fd, jdb_raw_new(buf->ptr, BLOCK), 0);
    if (err == 0)
        err = jdb_uring_run(&op);
    jdb_uring_close(uring);
    return err;
}

static void forks_that_cannot_be_watched_open_nothing(void **state)
{
    (void)state;
    jdb_uring *uring = NULL;
    assert_true(faults_disarm());
    faults_arm(OS_CALL_THREAD, 0, -ENOMEM);
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), -ENOMEM);
    assert_null(uring);
    assert_true(faults_disarm());
    faults_arm(OS_CALL_THREAD, 1, -ENOMEM); /* it is asked once more, and no more */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
        assert_int_equal(jdb_uring_close(uring), 0);
    }
    assert_false(faults_disarm());
}

static void each_call_may_fail_once(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * JDB_URING_REGION_MIN), 0);
    unsigned n = 0;
    unsigned errors = 0;
    for (;; n++) {
        faults_arm(FAULTS_ANY, n, -ENOMEM);
        const int err = use_ring(&buf);
        const bool has_failed = faults_disarm();
        assert_true(err == 0 || err == -ENOMEM);
        errors += err != 0;
        assert_false(jdb_is_pinned(buf.ptr, buf.cap));
        (void)io_uring_unregister_buffers(&ring); /* where that was the call that failed */
        if (!has_failed)
            break;
    }
    print_message("%u calls, %u errors\n", n, errors);
    assert_true(n >= 10 && errors >= 4);
    assert_int_equal(use_ring(&buf), 0);
}

static void a_table_that_is_refused_is_reported(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_uring *uring = NULL;
    faults_arm_all(OS_CALL_RING, 0, -ENOMEM);
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    assert_true(faults_disarm());
    jdb_uring_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    assert_int_equal(stats.table_error, -ENOMEM);
    assert_int_equal(stats.has_vectored, 0);
    jdb_uring_range range = {.size = sizeof range};
    assert_int_equal(jdb_uring_get_range(uring, buf.ptr, &range), 0);
    assert_int_equal(range.first_error, -ENOMEM);
    jdb_uring_close(uring);
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, exit_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(forks_that_cannot_be_watched_open_nothing),
        WITH_RING(each_call_may_fail_once),
        WITH_RING(a_table_that_is_refused_is_reported),
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
