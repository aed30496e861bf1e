/* SPDX-License-Identifier: MIT
 *
 * uring_fork_test.c - a child of fork() leaves its parent's ring, table and operations alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/arena.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "faults.h"
#include "must.h"

static int file_fd = -1;
static struct io_uring ring;
static jdb_uring *uring;
static jdb_buf buf = JDB_BUF_INIT;
static jdb_arena *arena;
static bool closes_early;

static int open_all(void **state)
{
    (void)state;
    const jdb_arena_options options = {.size = sizeof options, .frame_size = BLOCK, .frame_count = 8};
    return io_uring_queue_init(8, &ring, 0) != 0 || jdb_uring_open(&ring, NULL, &uring) != 0 ||
           jdb_buf_with_cap(&buf, 4 * BLOCK) != 0 || jdb_arena_new(&options, &arena) != 0 ||
           jdb_uring_add(uring, buf.ptr, buf.cap, NULL) != 0 || jdb_uring_add_arena(uring, arena, NULL) != 0;
}

static int close_all(void **state)
{
    (void)state;
    const int err = jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
    jdb_buf_drop(&buf);
    return err != 0 || jdb_arena_free(arena) != 0;
}

/* A handler of the program's own, registered before anything else in main(). */
static void close_in_child(void)
{
    if (closes_early)
        MUST(jdb_uring_close(uring) == 0);
}

static void in_child(void (*body)(void *), void *argument)
{
    char text[512];
    const int status = must_run_child(body, argument, text, sizeof text);
    if (status != 0)
        print_message("%s", text);
    assert_int_equal(status, 0);
}

static void read_fixed(uint8_t *ptr)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_cqe *cqe = NULL;
    memset(ptr, 0, BLOCK);
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(ptr, BLOCK), 0), 0);
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(&op, sqe);
    assert_int_equal(sqe->opcode, IORING_OP_READ_FIXED);
    assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(jdb_uring_complete(&op, cqe->res), 0);
    io_uring_cqe_seen(&ring, cqe);
    rig_assert(ptr, 0, BLOCK);
}

static void read_all_fixed(void)
{
    read_fixed(buf.ptr + BLOCK);
    read_fixed(jdb_arena_base(arena));
}

static void close_body(void *argument)
{
    (void)argument;
    const unsigned long before = faults_calls(OS_CALL_RING);
    MUST(jdb_uring_close(uring) == 0);
    MUST(faults_calls(OS_CALL_RING) == before);
    MUST(!jdb_is_pinned(buf.ptr, BLOCK));
}

static void abandon_body(void *argument)
{
    (void)argument;
    MUST(jdb_uring_abandon(uring) == 0);
}

static void a_close_in_a_child_leaves_the_table(void **state)
{
    (void)state;
    in_child(close_body, NULL);
    read_all_fixed();
    in_child(abandon_body, NULL);
    read_all_fixed();
}

static void nothing_body(void *argument)
{
    (void)argument;
}

static void a_handler_of_the_program_may_close_first(void **state)
{
    (void)state;
    closes_early = true;
    in_child(nothing_body, NULL);
    closes_early = false;
    read_all_fixed();
}

static void ignore(void *context, const struct io_uring_cqe *cqe)
{
    (void)context;
    (void)cqe;
}

static void calls_body(void *argument)
{
    jdb_uring_op *const op = argument;
    const unsigned long before = faults_calls(OS_CALL_RING);
    struct io_uring other;
    struct io_uring_sqe sqe;
    jdb_uring *clone = NULL;
    uint64_t bytes = 7;
    jdb_buf more = JDB_BUF_INIT;
    MUST(jdb_buf_with_cap(&more, BLOCK) == 0);
    MUST(io_uring_queue_init(4, &other, 0) == 0);
    MUST(jdb_uring_add(uring, more.ptr, more.cap, NULL) == -EPERM);
    MUST(jdb_uring_add_arena(uring, arena, NULL) == -EPERM);
    MUST(jdb_uring_remove(uring, buf.ptr) == -EPERM);
    MUST(jdb_uring_refresh(uring, buf.ptr) == -EPERM);
    MUST(jdb_uring_decommit(uring, arena, 0, 1, true, &bytes) == -EPERM && bytes == 7);
    MUST(jdb_uring_clone(uring, &other, &clone) == -EPERM && clone == NULL);
    MUST(jdb_uring_cancel(op, 1, &sqe) == -EPERM);
    MUST(jdb_uring_drain(uring, 0, true, ignore, NULL) == -EPERM);
    MUST(jdb_uring_release(op) == 0); /* the parent's */
    MUST(jdb_uring_complete(op, BLOCK) == -EINVAL);
    MUST(faults_calls(OS_CALL_RING) == before);
    MUST(jdb_uring_open(&other, NULL, &clone) == 0);
    MUST(jdb_uring_add(clone, more.ptr, more.cap, NULL) == 0);
    MUST(jdb_uring_close(clone) == 0);
    MUST(jdb_uring_close(uring) == 0); /* though the parent's operation is in flight */
}

static void what_touches_the_table_is_refused_in_a_child(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(jdb_uring_read(uring, &op, ends[0], jdb_raw_new(buf.ptr, BLOCK), 0), 0);
    jdb_uring_prep(&op, io_uring_get_sqe(&ring));
    assert_int_equal(io_uring_submit(&ring), 1);
    in_child(calls_body, &op);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    static const uint8_t bytes[BLOCK] = {'a'};
    assert_int_equal(write(ends[1], bytes, BLOCK), BLOCK);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(jdb_uring_complete(&op, cqe->res), 0);
    io_uring_cqe_seen(&ring, cqe);
    assert_int_equal(buf.ptr[0], 'a');
    close(ends[0]);
    close(ends[1]);
    read_all_fixed();
}

static void complete_body(void *argument)
{
    const unsigned long before = faults_calls(OS_CALL_RING);
    MUST(jdb_uring_complete(argument, -ECANCELED) == -ECANCELED);
    MUST(jdb_uring_in_flight(uring) == 0);
    MUST(faults_calls(OS_CALL_RING) == before);
    MUST(jdb_uring_close(uring) == 0);
}

/* The operation points to the object, and a child does not know how many do. */
static void complete_behind_close_body(void *argument)
{
    MUST(jdb_uring_close(uring) == 0);
    MUST(jdb_uring_complete(argument, -ECANCELED) == -ECANCELED);
}

/* The last operation of a removed range posts its tag: in a child that would be a completion of the parent's ring. */
static void a_completion_in_a_child_posts_no_tag(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    JDB_AUTO_BUF tagged = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&tagged, BLOCK), 0);
    jdb_uring_range_options options = JDB_URING_RANGE_OPTIONS_INIT;
    options.release_tag = 7;
    assert_int_equal(jdb_uring_add(uring, tagged.ptr, tagged.cap, &options), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(jdb_uring_read(uring, &op, ends[0], jdb_raw_new(tagged.ptr, BLOCK), 0), 0);
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(&op, sqe);
    assert_int_equal(sqe->opcode, IORING_OP_READ_FIXED);
    io_uring_sqe_set_data64(sqe, 1);
    assert_int_equal(io_uring_submit(&ring), 1);
    assert_int_equal(jdb_uring_remove(uring, tagged.ptr), 0);
    in_child(complete_body, &op);
    in_child(complete_behind_close_body, &op);
    assert_int_equal(write(ends[1], "a", 1), 1);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(cqe->user_data, 1); /* not the tag */
    assert_int_equal(jdb_uring_complete(&op, cqe->res), JDB_URING_RESUME);
    io_uring_cqe_seen(&ring, cqe);
    assert_int_equal(jdb_uring_release(&op), 0);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(cqe->user_data, 7);
    io_uring_cqe_seen(&ring, cqe);
    close(ends[0]);
    close(ends[1]);
}

static void plain_body(void *argument)
{
    (void)argument;
    struct io_uring_sqe sqe;
    jdb_uring_op op = JDB_URING_OP_INIT;
    jdb_raw view = jdb_raw_new(buf.ptr, BLOCK);
    struct iovec iov;
    MUST(jdb_uring_read(uring, &op, file_fd, view, 0) == 0);
    jdb_uring_prep(&op, &sqe);
    MUST(sqe.opcode == IORING_OP_READ);
    MUST(jdb_uring_in_flight(uring) == 0);
    MUST(jdb_uring_complete(&op, BLOCK) == 0);
    MUST(jdb_uring_readv(uring, &op, file_fd, &view, 1, &iov, 0) == 0);
    jdb_uring_prep(&op, &sqe);
    MUST(sqe.opcode == IORING_OP_READV);
}

/* A fixed one would write to the parent's pages. */
static void operations_of_a_child_go_plain(void **state)
{
    (void)state;
    in_child(plain_body, NULL);
}

static void guard_body(void *argument)
{
    jdb_uring_op *const parents = argument;
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(SIGSEGV, &usual, NULL);
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.guards = 1;
    MUST(jdb_uring_write(NULL, &op, file_fd, jdb_raw_from_slice(buf.ptr, BLOCK), 0) == 0);
    MUST(jdb_uring_release(&op) == 0);
    buf.ptr[0] = 1;
    MUST(jdb_uring_release(parents) == 0);
    buf.ptr[BLOCK] = 1;
}

static void guards_of_the_parent_are_not_the_childs(void **state)
{
    (void)state;
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.guards = 1;
    assert_int_equal(jdb_uring_write(NULL, &op, file_fd, jdb_raw_from_slice(buf.ptr, 2 * BLOCK), 0), 0);
    in_child(guard_body, &op);
    assert_int_equal(jdb_uring_release(&op), 0);
}

#define WITH_ALL(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ALL(a_close_in_a_child_leaves_the_table),          WITH_ALL(a_handler_of_the_program_may_close_first),
        WITH_ALL(what_touches_the_table_is_refused_in_a_child), WITH_ALL(operations_of_a_child_go_plain),
        WITH_ALL(a_completion_in_a_child_posts_no_tag),         WITH_ALL(guards_of_the_parent_are_not_the_childs),
    };
    pthread_atfork(NULL, NULL, close_in_child);
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
