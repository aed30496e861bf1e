/* SPDX-License-Identifier: MIT
 *
 * uring_arena_test.c - arenas as fixed buffers: every frame at every region edge, growth, memory given back, held ones
 * kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <liburing.h>
#include <string.h>

#include "jdb_alloc.h"
#include "jdb_alloc/arena.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "memlock.h"
#include "tier.h"

#define FILE_BLOCKS 64u

static int file_fd = -1;
static int scratch_fd = -1;
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

static jdb_arena *make_arena(uint64_t frame_size, uint32_t frame_count, uint32_t max_frame_count)
{
    const jdb_arena_options options = {.size = sizeof options,
                                       .frame_size = frame_size,
                                       .frame_count = frame_count,
                                       .max_frame_count = max_frame_count};
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    return arena;
}

static jdb_uring *open_uring(uint64_t region_size)
{
    const jdb_uring_options options = {.size = sizeof options, .region_size = region_size};
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    return uring;
}

static jdb_uring_stats stats_of(const jdb_uring *uring)
{
    jdb_uring_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_uring_get_stats(uring, &stats), 0);
    return stats;
}

static jdb_uring_range range_of(const jdb_uring *uring, const jdb_arena *arena)
{
    jdb_uring_range range = {.size = sizeof range};
    assert_int_equal(jdb_uring_get_range(uring, jdb_arena_base(arena), &range), 0);
    return range;
}

static jdb_raw frame_view(const jdb_arena *arena, uint32_t index)
{
    jdb_raw view = JDB_RAW_INIT;
    assert_int_equal(jdb_arena_view(arena, index, 1, &view), 0);
    return view;
}

static void run(jdb_uring_op *op)
{
    int err = JDB_URING_RESUME;
    while (err == JDB_URING_RESUME) {
        struct io_uring_cqe *cqe = NULL;
        jdb_uring_prep(op, io_uring_get_sqe(&ring));
        assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
        assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
        err = jdb_uring_complete(op, cqe->res);
        io_uring_cqe_seen(&ring, cqe);
    }
    assert_int_equal(err, 0);
}

/* Read into a frame, write from it into another file, and read that back. */
static void exercise(jdb_uring *uring, const jdb_arena *arena, uint32_t index)
{
    const jdb_raw view = frame_view(arena, index);
    const size_t size = view.cap / BLOCK * BLOCK;
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(view.ptr, size), BLOCK), 0);
    run(&op);
    assert_int_equal(op.view.len, size);
    rig_assert(view.ptr, BLOCK, size);
    assert_int_equal(jdb_uring_write(uring, &op, scratch_fd, jdb_raw_from_slice(view.ptr, size), 0), 0);
    run(&op);
    memset(view.ptr, 0, size);
    assert_int_equal(jdb_uring_read(uring, &op, scratch_fd, jdb_raw_new(view.ptr, size), 0), 0);
    run(&op);
    rig_assert(view.ptr, BLOCK, size);
}

/* The frames around every region's start, of an arena over `total` bytes. */
static void check_edges(uint64_t frame_size, uint64_t total, uint64_t region_size)
{
    const uint32_t frame_count = (uint32_t)(total / frame_size);
    jdb_arena *const arena = make_arena(frame_size, frame_count, 0);
    jdb_uring *const uring = open_uring(region_size);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    const jdb_uring_range range = range_of(uring, arena);
    assert_int_equal(range.registered_count, range.region_count);
    assert_int_equal(range.registered_bytes, jdb_arena_size(arena));
    uint32_t exercised = 0;
    for (uint64_t edge = 0; edge <= jdb_arena_size(arena); edge += region_size)
        for (int64_t around = -1; around <= 1; around++) {
            const int64_t index = (int64_t)(edge / jdb_arena_stride(arena)) + around;
            if (index < 0 || index >= frame_count)
                continue;
            exercise(uring, arena, (uint32_t)index);
            exercised++;
        }
    assert_true(exercised >= range.region_count);
    exercise(uring, arena, frame_count - 1);
    assert_int_equal(stats_of(uring).plain_count, 0);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void frames_at_every_edge_are_fixed(void **state)
{
    (void)state;
    check_edges(4096, (uint64_t)16 << 20, JDB_URING_REGION_MIN);
    check_edges(12288, (uint64_t)16 << 20, JDB_URING_REGION_MIN);
    check_edges(BLOCK + 24, (uint64_t)8 << 20, JDB_URING_REGION_MIN);
}

static void an_arena_over_a_gigabyte_is_fixed_at_every_edge(void **state)
{
    (void)state;
    if (tier_pick(0, 1, 1) == 0)
        skip();
    check_edges(12288, ((uint64_t)1 << 30) + ((uint64_t)160 << 20), JDB_URING_REGION_MAX);
}

static void a_registered_arena_is_neither_freed_nor_decommitted(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 64, 0);
    jdb_uring *const uring = open_uring(0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_int_equal(jdb_arena_decommit(arena, 0, 1, NULL), -EBUSY);
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_arena_decommit(arena, 0, 1, NULL), 0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Nothing of it may be registered, but the object goes on to look at it. */
static void an_added_arena_stays_though_nothing_is_registered(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 64, 0);
    jdb_uring *const uring = open_uring(0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 64, false, NULL), 0);
    assert_int_equal(range_of(uring, arena).registered_count, 0);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    assert_int_equal(jdb_arena_decommit(arena, 0, 1, NULL), 0);
    assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static uint32_t registered(jdb_uring *uring, jdb_arena *arena)
{
    return range_of(uring, arena).registered_count;
}

static void decommit_leaves_other_regions_alone(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 2048, 0); /* 16 regions of 128 frames, each with one frame more */
    jdb_uring *const uring = open_uring(JDB_URING_REGION_MIN);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    const uint32_t all = registered(uring, arena);
    assert_int_equal(jdb_uring_decommit(uring, arena, 1, 1, false, NULL), 0);
    assert_int_equal(registered(uring, arena), all - 1);
    assert_int_equal(jdb_uring_decommit(uring, arena, 1000, 1, true, NULL), 0);
    assert_int_equal(registered(uring, arena), all - 1);
    assert_int_equal(jdb_pin(frame_view(arena, 500).ptr, 1), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 500, 1, true, NULL), -EBUSY);
    assert_int_equal(jdb_unpin(frame_view(arena, 500).ptr, 1), 0);
    assert_int_equal(registered(uring, arena), all - 1);
    assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(registered(uring, arena), all);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void a_frame_in_flight_is_held(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 8, 0);
    jdb_uring *const uring = open_uring(0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, frame_view(arena, 3), 0), 0);
    assert_int_equal(jdb_arena_decommit(arena, 3, 1, NULL), -EBUSY);
    assert_int_equal(jdb_arena_decommit(arena, 4, 1, NULL), 0);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    run(&op);
    assert_int_equal(jdb_arena_decommit(arena, 3, 1, NULL), 0);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* An operation pins the frame that it uses, and only that. */
static void an_arena_that_was_added_is_pinned_frame_by_frame(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 8, 16);
    jdb_uring *const uring = open_uring(0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    const jdb_raw view = frame_view(arena, 3);
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, view, 0), 0);
    assert_true(jdb_is_pinned(view.ptr, view.cap));
    assert_false(jdb_is_pinned(view.ptr + 16384, view.cap));
    run(&op);
    assert_false(jdb_is_pinned(view.ptr, view.cap));
    const jdb_raw pair = jdb_raw_new(view.ptr, 32768);
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, pair, 0), 0);
    assert_true(jdb_is_pinned(view.ptr + 16384, 1));
    run(&op);
    assert_false(jdb_is_pinned(view.ptr, 32768));
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(view.ptr, 16 * 16384), 0), -ERANGE);
    uint8_t foreign[16];
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(foreign, 16), 0), 0);
    jdb_uring_release(&op);
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, view, 0), 0);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    jdb_uring_release(&op);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* Memory of a registered frame goes back in one call; the kernel reads into the new pages, not into the old ones. */
static void decommit_through_the_object_keeps_the_kernel_right(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 512, 0);
    jdb_uring *const uring = open_uring(JDB_URING_REGION_MIN);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    const uint32_t regions = range_of(uring, arena).region_count;
    const jdb_raw view = frame_view(arena, 200);
    memset(view.ptr, 0xee, view.cap);
    uint64_t bytes = 0;
    assert_int_equal(jdb_uring_decommit(uring, arena, 200, 1, true, &bytes), 0);
    assert_int_equal(bytes, 16384);
    assert_int_equal(range_of(uring, arena).registered_count, regions);
    assert_int_equal(view.ptr[0], 0);
    exercise(uring, arena, 200);
    assert_int_equal(stats_of(uring).plain_count, 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 200, 1, false, NULL), 0);
    assert_true(range_of(uring, arena).registered_count < regions);
    exercise(uring, arena, 200);
    assert_true(stats_of(uring).plain_count > 0);
    assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(range_of(uring, arena).registered_count, regions);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void decommit_of_a_frame_in_flight_changes_nothing(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 64, 0);
    jdb_uring *const uring = open_uring(0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    jdb_uring_op op = JDB_URING_OP_INIT;
    uint64_t bytes = 7;
    assert_int_equal(jdb_uring_read(uring, &op, file_fd, frame_view(arena, 3), 0), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 2, 2, true, &bytes), -EBUSY);
    assert_int_equal(bytes, 7);
    assert_int_equal(range_of(uring, arena).registered_count, 1);
    run(&op);
    assert_int_equal(stats_of(uring).fixed_count, 1);
    assert_int_equal(jdb_uring_decommit(uring, arena, 60, 5, true, NULL), -ERANGE);
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 0, true, NULL), -EINVAL);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

/* What the last operation used is looked up again. */
static void a_region_given_back_is_named_no_more(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 8, 0);
    jdb_uring *const uring = open_uring(0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    struct io_uring_sqe sqe;
    for (unsigned round = 0; round < 3; round++) {
        jdb_uring_op op = JDB_URING_OP_INIT;
        assert_int_equal(jdb_uring_prep_read(uring, &op, &sqe, file_fd, frame_view(arena, 3), 0), 0);
        assert_int_equal(sqe.opcode, round == 1 ? IORING_OP_READ : IORING_OP_READ_FIXED);
        assert_int_equal(jdb_uring_complete(&op, -ECANCELED), -ECANCELED);
        if (round == 0)
            assert_int_equal(jdb_uring_decommit(uring, arena, 3, 1, false, NULL), 0);
        else
            assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
    }
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void growth_is_followed(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(12288, 100, 2000);
    jdb_uring *const uring = open_uring(JDB_URING_REGION_MIN);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    const uint32_t steps[] = {101, 170, 171, 500, 2000};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(jdb_arena_grow(arena, steps[i]), 0);
        const uint64_t plain = stats_of(uring).plain_count;
        exercise(uring, arena, steps[i] - 1);
        assert_int_equal(stats_of(uring).plain_count, plain + 3);
        assert_int_equal(jdb_uring_refresh(uring, jdb_arena_base(arena)), 0);
        assert_int_equal(range_of(uring, arena).registered_bytes, jdb_arena_size(arena));
        exercise(uring, arena, steps[i] - 1);
        exercise(uring, arena, steps[i] / 2);
        assert_int_equal(stats_of(uring).plain_count, plain + 3);
    }
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(stats_of(uring).slots_used, 0);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), 0);
}

static void several_arenas_share_the_slots(void **state)
{
    (void)state;
    jdb_uring *const uring = open_uring(JDB_URING_REGION_MIN);
    jdb_arena *arenas[8];
    for (uint32_t i = 0; i < 8; i++) {
        arenas[i] = make_arena(4096u << (i % 3), 200 + 100 * i, 0);
        assert_int_equal(jdb_uring_add_arena(uring, arenas[i], NULL), 0);
        assert_int_equal(jdb_uring_add_arena(uring, arenas[i], NULL), -EEXIST);
    }
    for (uint32_t i = 0; i < 8; i += 2)
        assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arenas[i])), 0);
    for (uint32_t i = 0; i < 8; i++)
        exercise(uring, arenas[i], 150 + i);
    assert_int_equal(stats_of(uring).fixed_count, 12);
    assert_int_equal(stats_of(uring).plain_count, 12);
    jdb_uring_close(uring);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(jdb_arena_free(arenas[i]), 0);
}

static void a_region_without_a_slot_is_not_held(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 512, 0);
    const jdb_uring_options options = {.size = sizeof options, .slot_count = 1, .region_size = JDB_URING_REGION_MIN};
    jdb_uring *uring = NULL;
    assert_int_equal(jdb_uring_open(&ring, &options, &uring), 0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    assert_int_equal(range_of(uring, arena).registered_count, 1);
    assert_int_equal(range_of(uring, arena).first_error, -ENOSPC);
    assert_int_equal(jdb_arena_decommit(arena, 511, 1, NULL), 0);
    assert_int_equal(jdb_arena_decommit(arena, 0, 1, NULL), -EBUSY);
    const jdb_uring_range_options all = {.size = sizeof all, .is_atomic = 1};
    assert_int_equal(jdb_uring_remove(uring, jdb_arena_base(arena)), 0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, &all), -ENOSPC);
    assert_int_equal(stats_of(uring).slots_used, 0);
    assert_int_equal(jdb_arena_free(arena), 0);
    jdb_uring_close(uring);
}

static void two_rings_hold_one_arena(void **state)
{
    (void)state;
    jdb_arena *const arena = make_arena(16384, 64, 0);
    jdb_uring *const uring = open_uring(0);
    assert_int_equal(jdb_uring_add_arena(uring, arena, NULL), 0);
    struct io_uring other;
    assert_int_equal(io_uring_queue_init(4, &other, 0), 0);
    jdb_uring *clone = NULL;
    assert_int_equal(jdb_uring_clone(uring, &other, &clone), 0);
    assert_int_equal(jdb_uring_decommit(uring, arena, 0, 1, true, NULL), -EBUSY);
    assert_int_equal(range_of(uring, arena).registered_count, 1);
    jdb_uring_close(uring);
    assert_int_equal(jdb_arena_free(arena), -EBUSY);
    jdb_uring_close(clone);
    io_uring_queue_exit(&other);
    assert_int_equal(jdb_arena_free(arena), 0);
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, exit_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(frames_at_every_edge_are_fixed),
        WITH_RING(an_arena_over_a_gigabyte_is_fixed_at_every_edge),
        WITH_RING(a_registered_arena_is_neither_freed_nor_decommitted),
        WITH_RING(an_added_arena_stays_though_nothing_is_registered),
        WITH_RING(decommit_leaves_other_regions_alone),
        WITH_RING(a_frame_in_flight_is_held),
        WITH_RING(an_arena_that_was_added_is_pinned_frame_by_frame),
        WITH_RING(decommit_through_the_object_keeps_the_kernel_right),
        WITH_RING(decommit_of_a_frame_in_flight_changes_nothing),
        WITH_RING(a_region_given_back_is_named_no_more),
        WITH_RING(growth_is_followed),
        WITH_RING(several_arenas_share_the_slots),
        WITH_RING(a_region_without_a_slot_is_not_held),
        WITH_RING(two_rings_hold_one_arena),
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
    scratch_fd = rig_file(FILE_BLOCKS * BLOCK);
    if (file_fd < 0 || scratch_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
