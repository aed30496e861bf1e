/* SPDX-License-Identifier: MIT
 *
 * uring_tag_test.c - a release tag is posted once: when a range was removed and its last fixed operation is complete.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <liburing.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/arena.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "faults.h"
#include "memlock.h"

#define TAG UINT64_C(0x7a9)
#define REGION ((size_t)JDB_URING_REGION_MIN)

static struct io_uring ring;
static jdb_uring *uring;

static int open_uring(void **state)
{
    (void)state;
    const jdb_uring_options options = {.size = sizeof options, .slot_count = 8, .region_size = REGION};
    return io_uring_queue_init(16, &ring, 0) != 0 || jdb_uring_open(&ring, &options, &uring) != 0;
}

static int close_uring(void **state)
{
    (void)state;
    faults_disarm();
    const int err = jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
    return err;
}

static jdb_uring_range_options tagged(uint32_t is_atomic)
{
    return (jdb_uring_range_options){
        .size = sizeof(jdb_uring_range_options), .overlap_size = BLOCK, .release_tag = TAG, .is_atomic = is_atomic};
}

/* Completions with the tag that are there, or come soon on a kernel that lets go late. */
static unsigned take_tags(struct io_uring *on, unsigned expected)
{
    unsigned count = 0;
    struct io_uring_cqe *cqe = NULL;
    struct __kernel_timespec soon = {.tv_nsec = expected > 0 ? 500000000 : 10000000};
    while (count <= expected && io_uring_wait_cqe_timeout(on, &cqe, &soon) == 0) {
        assert_int_equal(cqe->user_data, TAG);
        assert_int_equal(cqe->res, 0);
        io_uring_cqe_seen(on, cqe);
        count++;
        soon.tv_nsec = 10000000;
    }
    return count;
}

static jdb_uring_range range_of(const jdb_uring *of, const void *ptr)
{
    jdb_uring_range range = {.size = sizeof range};
    assert_int_equal(jdb_uring_get_range(of, ptr, &range), 0);
    return range;
}

static uint32_t slots_used(const jdb_uring *of)
{
    jdb_uring_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_uring_get_stats(of, &stats), 0);
    return stats.slots_used;
}

static void one_tag_for_all_regions_of_a_range(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 3 * REGION), 0);
    const jdb_uring_range_options options = tagged(1);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &options), 0);
    assert_int_equal(range_of(uring, buf.ptr).is_tagged, 1);
    assert_int_equal(slots_used(uring), 4);
    assert_int_equal(jdb_uring_refresh(uring, buf.ptr), 0);
    assert_int_equal(slots_used(uring), 4);
    assert_int_equal(take_tags(&ring, 0), 0);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(take_tags(&ring, 1), 1);
    assert_int_equal(slots_used(uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    assert_int_equal(range_of(uring, buf.ptr).is_tagged, 0);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(take_tags(&ring, 0), 0);
}

static void an_add_that_fails_posts_none(void **state)
{
    (void)state;
    uint8_t *const area = mmap(NULL, 3 * REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    assert_int_equal(mprotect(area + REGION + BLOCK, BLOCK, PROT_NONE), 0);
    const jdb_uring_range_options options = tagged(1);
    assert_int_equal(jdb_uring_add(uring, area, 3 * REGION, &options), -EFAULT);
    assert_int_equal(take_tags(&ring, 0), 0);
    assert_int_equal(slots_used(uring), 0);
    munmap(area, 3 * REGION);
}

static void what_is_registered_anew_posts_none(void **state)
{
    (void)state;
    const jdb_arena_options sizes = {
        .size = sizeof sizes, .frame_size = 65536, .frame_count = 16, .max_frame_count = 128};
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&sizes, &arena), 0);
    const jdb_uring_range_options options = tagged(0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, &options), 0);
    for (uint32_t count = 32; count <= 128; count *= 2) {
        assert_int_equal(jdb_arena_grow(arena, count), 0);
        assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
    }
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 1, true, NULL), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 70, 1, false, NULL), 0);
    assert_int_equal(take_tags(&ring, 0), 0);
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(take_tags(&ring, 1), 1);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Close removes what is added. */
static void a_close_posts_the_tag(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    const jdb_uring_range_options options = tagged(0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &options), 0);
    assert_int_equal(jdb_uring_close(uring), 0);
    assert_int_equal(take_tags(&ring, 1), 1);
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
}

/* A read of an empty pipe into a fixed buffer is in flight as long as we like. */
static void start_read(jdb_uring_op *op, int fd, uint8_t *ptr, uint64_t user_data)
{
    assert_int_equal(jdb_uring_read(uring, op, fd, jdb_raw_new(ptr, BLOCK), 0), 0);
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(op, sqe);
    io_uring_sqe_set_data64(sqe, user_data);
    assert_int_equal(sqe->opcode, IORING_OP_READ_FIXED);
    assert_int_equal(io_uring_submit(&ring), 1);
}

static void a_tag_waits_for_the_last_operation_of_its_range(void **state)
{
    (void)state;
    int ends[2];
    uint8_t bytes[BLOCK];
    memset(bytes, 0x5a, sizeof bytes);
    assert_int_equal(pipe(ends), 0);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    JDB_AUTO_BUF other = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    assert_int_equal(jdb_buf_with_cap(&other, BLOCK), 0);
    const jdb_uring_range_options options = tagged(0);
    assert_int_equal(jdb_uring_add(uring, other.ptr, other.cap, &options), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &options), 0);
    jdb_uring_op ops[2];
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < 2; i++)
        start_read(&ops[i], ends[0], buf.ptr + i * BLOCK, i);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(jdb_uring_remove(uring, other.ptr), 0);
    assert_int_equal(take_tags(&ring, 1), 1); /* the other's, which nobody uses */
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        struct io_uring_cqe *cqe = NULL;
        assert_int_equal(take_tags(&ring, 0), 0);
        assert_int_equal(write(ends[1], bytes, BLOCK), BLOCK);
        assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
        assert_in_range(cqe->user_data, 0, 1);
        jdb_uring_op *const op = &ops[cqe->user_data];
        assert_int_equal(cqe->res, BLOCK);
        io_uring_cqe_seen(&ring, cqe);
        assert_int_equal(jdb_uring_complete(op, BLOCK), 0);
        assert_memory_equal(op->view.ptr, bytes, BLOCK);
    }
    assert_int_equal(take_tags(&ring, 1), 1);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(slots_used(uring), 0);
    close(ends[0]);
    close(ends[1]);
}

/* The ring is gone: nothing is posted, and the range that waits goes with its last operation. */
static void an_abandoned_range_waits_for_nobody(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    const jdb_uring_range_options options = tagged(0);
    jdb_uring_op ops[2];
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(jdb_uring_add(uring, buf.ptr + i * BLOCK, BLOCK, &options), 0);
        start_read(&ops[i], ends[0], buf.ptr + i * BLOCK, i);
    }
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    io_uring_queue_exit(&ring);
    assert_int_equal(jdb_uring_abandon(uring), 2);
    close(ends[0]);
    close(ends[1]);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(jdb_uring_complete(&ops[i], -ECANCELED), -ECANCELED);
    assert_int_equal(open_uring(NULL), 0);
}

static void a_clone_has_no_tag_and_its_slot_is_free_there(void **state)
{
    (void)state;
    struct io_uring second;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(io_uring_queue_init(4, &second, 0), 0);
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    JDB_AUTO_BUF leaving = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    assert_int_equal(jdb_buf_with_cap(&leaving, BLOCK), 0);
    const jdb_uring_range_options options = tagged(0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &options), 0);
    assert_int_equal(jdb_uring_add(uring, leaving.ptr, leaving.cap, &options), 0);
    start_read(&op, ends[0], leaving.ptr, 1);
    assert_int_equal(jdb_uring_remove(uring, leaving.ptr), 0);
    assert_int_equal(slots_used(uring), 3);
    jdb_uring *clone = NULL;
    assert_int_equal(jdb_uring_clone(uring, &second, &clone), 0);
    assert_int_equal(slots_used(clone), 1);
    assert_int_equal(range_of(clone, buf.ptr).is_tagged, 0);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(take_tags(&ring, 1), 1);
    assert_int_equal(jdb_uring_close(clone), 0);
    assert_int_equal(take_tags(&second, 0), 0);
    io_uring_queue_exit(&second);
    close(ends[1]); /* the read ends: nobody writes any more */
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(jdb_uring_complete(&op, cqe->res), 0);
    io_uring_cqe_seen(&ring, cqe);
    assert_int_equal(take_tags(&ring, 1), 1);
    close(ends[0]);
}

static void a_tag_that_finds_no_slot_is_reported(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    JDB_AUTO_BUF last = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 7 * REGION), 0);
    assert_int_equal(jdb_buf_with_cap(&last, BLOCK), 0);
    jdb_uring_range_options options = tagged(0);
    options.release_tag = 0;
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &options), 0);
    options = tagged(1);
    assert_int_equal(jdb_uring_add(uring, last.ptr, last.cap, &options), -ENOSPC);
    assert_int_equal(slots_used(uring), 7);
    options = tagged(0);
    assert_int_equal(jdb_uring_add(uring, last.ptr, last.cap, &options), 0);
    assert_int_equal(range_of(uring, last.ptr).registered_count, 1);
    assert_int_equal(range_of(uring, last.ptr).is_tagged, 0);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(jdb_uring_refresh(uring, last.ptr), 0);
    assert_int_equal(range_of(uring, last.ptr).is_tagged, 1);
    assert_int_equal(jdb_uring_remove(uring, last.ptr), 0);
    assert_int_equal(take_tags(&ring, 1), 1);
    options = tagged(0);
    faults_arm(OS_CALL_RING, 1, -EPERM); /* the region is registered, the tag is not */
    assert_int_equal(jdb_uring_add(uring, last.ptr, last.cap, &options), 0);
    assert_true(faults_disarm());
    assert_int_equal(range_of(uring, last.ptr).is_tagged, 0);
    assert_int_equal(jdb_uring_remove(uring, last.ptr), 0);
    assert_int_equal(take_tags(&ring, 0), 0);
    faults_arm(OS_CALL_RING, 0, -EPERM); /* the tag is, in the first slot, and the region is not */
    assert_int_equal(jdb_uring_add(uring, last.ptr, last.cap, &options), 0);
    assert_true(faults_disarm());
    assert_int_equal(range_of(uring, last.ptr).registered_count, 0);
    assert_int_equal(range_of(uring, last.ptr).is_tagged, 1);
    assert_int_equal(jdb_uring_remove(uring, last.ptr), 0);
    assert_int_equal(take_tags(&ring, 1), 1);
}

static void a_tag_needs_one_page_more(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    const jdb_uring_range_options options = tagged(0);
    jdb_uring_need plain = {.size = sizeof plain};
    jdb_uring_need need = {.size = sizeof need};
    assert_int_equal(jdb_uring_get_need(uring, buf.ptr, buf.cap, NULL, &plain), 0);
    assert_int_equal(jdb_uring_get_need(uring, buf.ptr, buf.cap, &options, &need), 0);
    assert_int_equal(need.need_bytes, plain.need_bytes + page_size);
    assert_int_equal(need.need_huge_bytes, plain.need_huge_bytes + page_size);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &options), 0);
    assert_int_equal(jdb_uring_get_need(uring, buf.ptr, buf.cap, NULL, &need), 0);
    assert_int_equal(need.own_bytes, plain.need_bytes + page_size);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(take_tags(&ring, 1), 1);
}

#define WITH_URING(test) cmocka_unit_test_setup_teardown(test, open_uring, close_uring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_URING(one_tag_for_all_regions_of_a_range),
        WITH_URING(an_add_that_fails_posts_none),
        WITH_URING(what_is_registered_anew_posts_none),
        WITH_URING(a_close_posts_the_tag),
        WITH_URING(a_tag_waits_for_the_last_operation_of_its_range),
        WITH_URING(an_abandoned_range_waits_for_nobody),
        WITH_URING(a_clone_has_no_tag_and_its_slot_is_free_there),
        WITH_URING(a_tag_that_finds_no_slot_is_reported),
        WITH_URING(a_tag_needs_one_page_more),
    };
    if (!memlock_allows(MEMLOCK_OF_TESTS)) {
        print_message(MEMLOCK_SKIPPED);
        return 77;
    }
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&ring);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
