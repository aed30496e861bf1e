/* SPDX-License-Identifier: MIT
 *
 * uring_refused_test.c - no ring to be had, for every reason known: the same operations run without one and say why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <liburing.h>
#include <seccomp.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "must.h"

static int file_fd = -1;

/* From here on the system answers io_uring_setup(2) with the error. */
static void refuse_rings(int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    MUST(filter != NULL);
    MUST(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)error), SCMP_SYS(io_uring_setup), 0) == 0);
    MUST(seccomp_load(filter) == 0);
    seccomp_release(filter);
}

static void read_without_a_ring(void *argument)
{
    const int error = *(const int *)argument;
    refuse_rings(error);
    struct io_uring ring;
    const int err = io_uring_queue_init(4, &ring, 0);
    MUST(err == -error);
    const jdb_uring_reason why = jdb_uring_explain_ring(err);
    MUST(why.err == -error && strlen(why.reason) > 20 && strlen(why.remedy) > 10);
    fprintf(stderr, "%s", why.reason);
    jdb_buf buf = JDB_BUF_INIT;
    MUST(jdb_buf_with_cap(&buf, BLOCK) == 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    MUST(jdb_uring_read(NULL, &op, file_fd, jdb_buf_as_raw(&buf), BLOCK) == 0);
    MUST(jdb_uring_run(&op) == 0);
    MUST(op.view.len == BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        MUST(buf.ptr[i] == rig_byte(BLOCK + i));
    jdb_buf_drop(&buf);
}

static void a_refused_ring_is_explained_and_done_without(void **state)
{
    (void)state;
    static const struct {
        int error;
        const char *word;
    } cases[] = {{EPERM, "io_uring_disabled"}, {ENOSYS, "kernel"}, {EOPNOTSUPP, "sandbox"}, {ENOMEM, "memory"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int error = cases[i].error;
        char text[1024];
        assert_int_equal(must_run_child(read_without_a_ring, &error, text, sizeof text), 0);
        assert_non_null(strstr(text, cases[i].word));
    }
}

static void an_error_of_no_table_has_words_too(void **state)
{
    (void)state;
    assert_int_equal(jdb_uring_explain_ring(EXDEV).err, -EXDEV);
    assert_non_null(jdb_uring_explain_ring(EXDEV).reason);
    assert_non_null(jdb_uring_explain(-EXDEV).remedy);
    assert_int_equal(jdb_uring_explain(0).err, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_ring_is_explained_and_done_without),
        cmocka_unit_test(an_error_of_no_table_has_words_too),
    };
    file_fd = rig_file(2 * BLOCK);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
