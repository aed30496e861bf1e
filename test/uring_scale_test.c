/* SPDX-License-Identifier: MIT
 *
 * uring_scale_test.c - every slot filled, ranges coming and going under running reads, tags, several rings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <liburing.h>
#include <string.h>
#include <sys/mman.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "memlock.h"
#include "tier.h"

#define DEPTH 4u
#define FILE_BLOCKS 64u

static int file_fd = -1;
static struct io_uring ring;

static int open_ring(void **state)
{
    (void)state;
    return io_uring_queue_init(64, &ring, 0);
}

static int exit_ring(void **state)
{
    (void)state;
    io_uring_queue_exit(&ring);
    return 0;
}

static jdb_uring_stats stats_of(const jdb_uring *uring)
{
    jdb_uring_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    return stats;
}

/* Read one block on the given ring and look at every byte. */
static void read_block(struct io_uring *on, jdb_uring *uring, uint8_t *ptr, size_t block)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    memset(ptr, 0, BLOCK);
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(ptr, BLOCK), (int64_t)(block * BLOCK)), 0);
    jdb_uring_prep(&op, io_uring_get_sqe(on));
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_submit_and_wait(on, 1), 1);
    assert_int_equal(io_uring_wait_cqe(on, &cqe), 0);
    assert_int_equal(jdb_uring_complete(&op, cqe->res), 0);
    io_uring_cqe_seen(on, cqe);
    rig_assert(ptr, block * BLOCK, BLOCK);
}

static uint8_t *map(size_t size)
{
    uint8_t *const area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    return area;
}

static void every_slot_can_be_filled_and_one_more_is_refused(void **state)
{
    (void)state;
    const size_t count = JDB_URING_SLOTS_MAX;
    uint8_t *const area = map((count + 1) * BLOCK);
    const jdb_uring_options options = {.size = sizeof options, .slot_count = JDB_URING_SLOTS_MAX};
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    for (size_t i = 0; i <= count; i++)
        assert_int_equal(jdb_uring_add(uring, area + i * BLOCK, BLOCK, NULL), 0);
    assert_int_equal(stats_of(uring).slots_used, count);
    jdb_uring_region region = {.size = sizeof region};
    assert_int_equal(jdb_uring_get_region(uring, area + count * BLOCK, 0, &region), 0);
    assert_int_equal(region.why.err, -ENOSPC);
    for (size_t i = 0; i < count; i += 997)
        read_block(&ring, uring, area + i * BLOCK, i % FILE_BLOCKS);
    read_block(&ring, uring, area + (count - 1) * BLOCK, 3);
    assert_int_equal(stats_of(uring).plain_count, 0);
    assert_int_equal(jdb_uring_remove(uring, area), 0);
    assert_int_equal(jdb_uring_refresh(uring, area + count * BLOCK), 0);
    read_block(&ring, uring, area + count * BLOCK, 5);
    assert_int_equal(stats_of(uring).plain_count, 0);
    jdb_uring_close(uring);
    munmap(area, (count + 1) * BLOCK);
}

/* ---- Coming and going under running reads ----------------------------------------------------------------- */

struct reader {
    jdb_uring_op op;
    uint8_t *ptr;
    size_t block;
};

static void start_reader(jdb_uring *uring, struct reader *reader)
{
    reader->block = (reader->block + 7) % FILE_BLOCKS;
    memset(reader->ptr, 0, BLOCK);
    const int64_t offset = (int64_t)(reader->block * BLOCK);
    assert_int_equal(jdb_uring_read(uring, &reader->op, file_fd, jdb_raw_new(reader->ptr, BLOCK), offset), 0);
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    jdb_uring_prep(&reader->op, sqe);
    io_uring_sqe_set_data(sqe, reader);
}

static struct reader *finish_reader(void)
{
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    struct reader *const reader = io_uring_cqe_get_data(cqe);
    assert_int_equal(jdb_uring_complete(&reader->op, cqe->res), 0);
    io_uring_cqe_seen(&ring, cqe);
    rig_assert(reader->ptr, reader->block * BLOCK, BLOCK);
    return reader;
}

/* Half of the readers use a range that stays, half one that is removed under them and comes back. */
static void ranges_come_and_go_while_reads_run(void **state)
{
    (void)state;
    const uint64_t rounds = tier_pick(100, 1000, 20000);
    JDB_AUTO_BUF stays = JDB_BUF_INIT;
    JDB_AUTO_BUF goes = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&stays, DEPTH * BLOCK), 0);
    assert_int_equal(jdb_buf_with_cap(&goes, DEPTH * BLOCK), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, stays.ptr, stays.cap, NULL), 0);
    struct reader readers[2 * DEPTH];
    for (size_t i = 0; i < 2 * DEPTH; i++) {
        readers[i] = (struct reader){.ptr = (i % 2 == 0 ? stays.ptr : goes.ptr) + i / 2 * BLOCK, .block = i};
        start_reader(uring, &readers[i]);
    }
    assert_int_equal(io_uring_submit(&ring), 2 * DEPTH);
    for (uint64_t round = 0; round < rounds; round++) {
        if (round % 2 == 0)
            assert_int_equal(jdb_uring_add(uring, goes.ptr, goes.cap, NULL), 0);
        else
            assert_int_equal(jdb_uring_remove(uring, goes.ptr), 0);
        for (size_t i = 0; i < DEPTH; i++)
            start_reader(uring, finish_reader());
        assert_int_equal(io_uring_submit(&ring), DEPTH);
    }
    for (size_t i = 0; i < 2 * DEPTH; i++)
        finish_reader();
    assert_true(stats_of(uring).fixed_count > rounds);
    assert_true(stats_of(uring).plain_count > 0);
    jdb_uring_close(uring);
    assert_false(jdb_is_pinned(goes.ptr, goes.cap));
}

/* ---- Tags ------------------------------------------------------------------------------------------------- */

static void a_tag_reports_that_the_kernel_is_done(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, BLOCK), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, NULL, &uring), 0);
    const jdb_uring_range_options tagged = {.size = sizeof tagged, .release_tag = 0x7a9};
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, &tagged), 0);
    struct io_uring_cqe *cqe = NULL;
    assert_int_equal(io_uring_peek_cqe(&ring, &cqe), -EAGAIN);
    assert_int_equal(jdb_uring_remove(uring, buf.ptr), 0);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    assert_int_equal(cqe->user_data, 0x7a9);
    io_uring_cqe_seen(&ring, cqe);
    jdb_uring_close(uring);
}

/* ---- Several rings ---------------------------------------------------------------------------------------- */

static void check_clone(const jdb_uring_options *options, bool may_share)
{
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 3 * JDB_URING_REGION_MIN), 0);
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, options, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    struct io_uring other;
    assert_int_equal(io_uring_queue_init(4, &other, 0), 0);
    if (options->uses_caller_table != 0)
        assert_int_equal(io_uring_register_buffers_sparse(&other, 64), 0);
    jdb_uring *clone = NULL;
    assert_int_equal(jdb_uring_clone(uring, &other, &clone), 0);
    print_message("table shared: %u\n", stats_of(clone).is_cloned);
    assert_true(may_share || stats_of(clone).is_cloned == 0);
    assert_int_equal(stats_of(clone).slots_used, stats_of(uring).slots_used);
    jdb_uring_close(uring);
    assert_true(jdb_is_pinned(buf.ptr, BLOCK));
    read_block(&other, clone, buf.ptr + JDB_URING_REGION_MIN, 9);
    assert_int_equal(stats_of(clone).fixed_count, 1);
    JDB_AUTO_BUF more = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&more, BLOCK), 0);
    assert_int_equal(jdb_uring_add(clone, more.ptr, more.cap, NULL), 0);
    read_block(&other, clone, more.ptr, 11);
    assert_int_equal(stats_of(clone).fixed_count, 2);
    assert_int_equal(jdb_uring_remove(clone, buf.ptr), 0);
    assert_false(jdb_is_pinned(buf.ptr, BLOCK));
    jdb_uring_close(clone);
    io_uring_queue_exit(&other);
}

static void a_clone_serves_another_ring(void **state)
{
    (void)state;
    const jdb_uring_options options = {.size = sizeof options, .region_size = JDB_URING_REGION_MIN};
    check_clone(&options, true);
}

static void a_clone_goes_without_what_was_dropped(void **state)
{
    (void)state;
    jdb_uring *uring = NULL;
    jdb_uring *clone = NULL;
    struct io_uring other;
    jdb_buf dropped;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&dropped, BLOCK), 0);
    const jdb_uring_options options = {.size = sizeof options, .slot_count = 2};
    assert_int_equal(jdb_buf_with_cap(&buf, 2 * BLOCK), 0);
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    assert_int_equal(jdb_uring_add(uring, buf.ptr, BLOCK, NULL), 0);
    assert_int_equal(jdb_uring_add(uring, dropped.ptr, dropped.cap, NULL), 0);
    const void *const ptr = dropped.ptr;
    jdb_buf_drop(&dropped);
    assert_int_equal(io_uring_queue_init(4, &other, 0), 0);
    assert_int_equal(jdb_uring_clone(uring, &other, &clone), 0);
    read_block(&other, clone, buf.ptr, 3);
    assert_int_equal(stats_of(clone).fixed_count, 1);
    assert_int_equal(jdb_uring_remove(clone, ptr), -EINVAL);
    const jdb_uring_range_options at_once = {.size = sizeof at_once, .is_atomic = 1};
    assert_int_equal(jdb_uring_add(clone, buf.ptr + BLOCK, BLOCK, &at_once), 0); /* in the slot that it had */
    jdb_uring_close(clone);
    jdb_uring_close(uring);
    io_uring_queue_exit(&other);
}

static void a_clone_of_a_callers_table_registers_again(void **state)
{
    (void)state;
    assert_int_equal(io_uring_register_buffers_sparse(&ring, 64), 0);
    const jdb_uring_options options = {.size = sizeof options,
                                       .uses_caller_table = 1,
                                       .first_slot = 10,
                                       .slot_count = 20,
                                       .region_size = JDB_URING_REGION_MIN};
    check_clone(&options, false);
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, exit_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(every_slot_can_be_filled_and_one_more_is_refused),
        WITH_RING(ranges_come_and_go_while_reads_run),
        WITH_RING(a_tag_reports_that_the_kernel_is_done),
        WITH_RING(a_clone_serves_another_ring),
        WITH_RING(a_clone_goes_without_what_was_dropped),
        WITH_RING(a_clone_of_a_callers_table_registers_again),
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
    file_fd = rig_file(FILE_BLOCKS * BLOCK);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
