/* SPDX-License-Identifier: MIT
 *
 * uring_issuer_test.c - rings with IORING_SETUP_SINGLE_ISSUER: other threads than the ring's are refused, and nothing changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "must.h"

static struct io_uring ring;
static struct io_uring other_ring; /* any thread's */
static jdb_uring *uring;
static jdb_arena *arena;
static jdb_buf buf = JDB_BUF_INIT;
static int file_fd = -1;

static void count_completion(void *context, const struct io_uring_cqe *cqe)
{
    MUST(jdb_uring_complete(io_uring_cqe_get_data(cqe), cqe->res) == 0);
    *(unsigned *)context += 1;
}

static jdb_uring_stats stats_of(void)
{
    jdb_uring_stats stats = JDB_URING_STATS_INIT;
    MUST(jdb_uring_get_stats(uring, &stats) == 0);
    return stats;
}

static void *every_call(void *unused)
{
    const jdb_uring_stats before = stats_of();
    jdb_uring *second = NULL;
    unsigned completions = 0;
    MUST(jdb_uring_open(&ring, NULL, &second) == -EPERM);
    MUST(jdb_uring_clone(uring, &ring, &second) == -EPERM && second == NULL);
    MUST(jdb_uring_add(uring, buf.ptr, buf.cap, NULL) == -EPERM);
    MUST(jdb_uring_add_arena(uring, arena, NULL) == -EPERM);
    MUST(jdb_uring_remove(uring, buf.ptr) == -EPERM);
    MUST(jdb_uring_refresh(uring, buf.ptr) == -EPERM);
    MUST(jdb_uring_decommit(uring, arena, 0, 1, true, NULL) == -EPERM);
    MUST(jdb_uring_drain(uring, 0, true, count_completion, &completions) == -EPERM);
    MUST(jdb_uring_close(uring) == -EPERM);
    MUST(completions == 0 && jdb_is_pinned(buf.ptr, buf.cap));
    const jdb_uring_stats after = stats_of();
    MUST(memcmp(&before, &after, sizeof after) == 0);
    MUST(strstr(jdb_uring_explain(-EPERM).reason, "IORING_SETUP_SINGLE_ISSUER") != NULL);
    return unused;
}

/* The kernel refuses what another thread submits: the operation stays in flight, and its own thread submits it. */
static void *submit(void *op)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    MUST(jdb_uring_prep_read(uring, op, sqe, file_fd, jdb_raw_new(buf.ptr, BLOCK), 0) == 0);
    io_uring_sqe_set_data(sqe, op);
    const int err = io_uring_submit(&ring);
    MUST(err == -EEXIST);
    MUST(strstr(jdb_uring_explain_ring(err).reason, "IORING_SETUP_SINGLE_ISSUER") != NULL);
    MUST(jdb_uring_release(op) == -EBUSY);
    return NULL;
}

/* The clone's ring is any thread's, and so is the clone. */
static void *make_clone(void *unused)
{
    jdb_uring *copy = NULL;
    MUST(jdb_uring_clone(uring, &other_ring, &copy) == 0);
    MUST(jdb_uring_close(copy) == 0);
    return unused;
}

static void run_on_another_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void another_thread_changes_nothing(void **state)
{
    (void)state;
    run_on_another_thread(every_call, NULL);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_false(jdb_is_pinned(buf.ptr, buf.cap));
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    assert_int_equal(stats_of().slots_used, stats_of().table_error == 0 ? 2 : 0);
}

static void what_it_submits_is_refused_and_submitted_here(void **state)
{
    (void)state;
    jdb_uring_op op = JDB_URING_OP_INIT;
    unsigned completions = 0;
    run_on_another_thread(submit, &op);
    assert_int_equal(jdb_uring_in_flight(uring), 1);
    assert_int_equal(jdb_uring_drain(uring, UINT64_MAX, false, count_completion, &completions), 0);
    assert_int_equal(completions, 1);
    rig_assert(op.view.ptr, 0, BLOCK);
}

static void a_ring_of_any_thread_takes_a_clone(void **state)
{
    (void)state;
    run_on_another_thread(make_clone, NULL);
}

static void *abandon(void *object)
{
    MUST(jdb_uring_abandon(object) == 0);
    return NULL;
}

static void another_thread_can_abandon_it(void **state)
{
    (void)state;
    struct io_uring gone;
    jdb_uring *object = NULL;
    assert_int_equal(io_uring_queue_init(2, &gone, IORING_SETUP_SINGLE_ISSUER), 0);
    assert_int_equal(jdb_uring_open(&gone, NULL, &object), 0);
    io_uring_queue_exit(&gone);
    run_on_another_thread(abandon, object);
}

/* Nobody's yet: it is its thread's from when it is enabled. */
static void a_ring_that_is_not_enabled_is_any_threads(void **state)
{
    (void)state;
    struct io_uring later;
    jdb_uring *object = NULL;
    assert_int_equal(io_uring_queue_init(2, &later, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED), 0);
    assert_int_equal(jdb_uring_open(&later, NULL, &object), 0);
    assert_int_equal(syscall(SYS_io_uring_register, later.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0), 0);
    assert_int_equal(jdb_uring_add(object, buf.ptr, buf.cap, NULL), 0);
    assert_int_equal(jdb_uring_close(object), 0);
    io_uring_queue_exit(&later);
}

static int close_all(void **state)
{
    (void)state;
    assert_int_equal(jdb_uring_close(uring), 0);
    io_uring_queue_exit(&ring);
    io_uring_queue_exit(&other_ring);
    jdb_buf_drop(&buf);
    return jdb_arena_free(arena);
}

static int open_all(void **state)
{
    (void)state;
    const jdb_arena_options options = {.size = sizeof options, .frame_size = BLOCK, .frame_count = 4};
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    assert_int_equal(jdb_buf_with_cap(&buf, 4 * BLOCK), 0);
    assert_int_equal(io_uring_queue_init(2, &other_ring, 0), 0);
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    return jdb_uring_add(uring, buf.ptr, buf.cap, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_thread_changes_nothing),
        cmocka_unit_test(what_it_submits_is_refused_and_submitted_here),
        cmocka_unit_test(a_ring_of_any_thread_takes_a_clone),
        cmocka_unit_test(another_thread_can_abandon_it),
        cmocka_unit_test(a_ring_that_is_not_enabled_is_any_threads),
    };
    const int err = io_uring_queue_init(8, &ring, IORING_SETUP_SINGLE_ISSUER);
    if (err < 0) {
        print_message("skipped: no ring of one thread here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    file_fd = rig_file(4 * BLOCK);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, open_all, close_all);
}
