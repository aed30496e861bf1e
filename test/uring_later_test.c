/* SPDX-License-Identifier: MIT
 *
 * uring_later_test.c - operations that are started before their SQE is there: random lists of calls against a model of what is
 * pinned, in flight and asked for, while ranges come and go.
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
#include "must.h"
#include "random.h"
#include "tier.h"

#define FRAMES 8u
#define OPS 12u
#define PLACES 3u /* two arenas and a buffer */

static struct io_uring ring;
static jdb_uring *uring;
static jdb_arena *arenas[2];
static jdb_buf buf = JDB_BUF_INIT;
static bool is_added[PLACES];
static int file_fd = -1;
static int written_fd = -1;
static uint64_t seed;

static uint8_t *base_of(unsigned place)
{
    return place < 2 ? jdb_arena_base(arenas[place]) : buf.ptr;
}

static void toggle(unsigned place)
{
    if (is_added[place])
        assert_int_equal(jdb_uring_remove(uring, base_of(place)), 0);
    else if (place < 2)
        assert_int_equal(jdb_uring_add_arena(uring, arenas[place], NULL), 0);
    else
        assert_int_equal(jdb_uring_add(uring, buf.ptr, buf.cap, NULL), 0);
    is_added[place] = !is_added[place];
}

/* ---- The model -------------------------------------------------------------------------------------------- */

enum step { ENDED, STARTED, IN_FLIGHT };

struct model {
    jdb_uring_op op;
    enum step step;
    unsigned place;
    uint32_t frame;
    size_t size;  /* at the start of the frame */
    size_t moved; /* by a short result: whole blocks */
    bool is_write;
    int64_t offset;
};

static struct model models[OPS];

static uint8_t *memory_of(const struct model *model)
{
    return base_of(model->place) + (size_t)model->frame * 2 * BLOCK;
}

/* A buffer of which nothing is added is pinned as a whole by each of its operations, a frame by its own. */
static bool is_used(unsigned place, uint32_t frame)
{
    for (unsigned i = 0; i < OPS; i++)
        if (models[i].step != ENDED && models[i].place == place && (place == 2 || models[i].frame == frame))
            return true;
    return place == 2 && is_added[place];
}

static void check_pins(void)
{
    uint64_t in_flight = 0;
    for (unsigned place = 0; place < PLACES; place++)
        for (uint32_t frame = 0; frame < FRAMES; frame++)
            assert_int_equal(jdb_is_pinned(base_of(place) + (size_t)frame * 2 * BLOCK, BLOCK), is_used(place, frame));
    for (unsigned i = 0; i < OPS; i++)
        in_flight += models[i].step == IN_FLIGHT;
    assert_int_equal(jdb_uring_in_flight(uring), in_flight);
}

static void start(struct model *model)
{
    model->place = (unsigned)random_below(&seed, PLACES);
    model->frame = (uint32_t)random_below(&seed, FRAMES);
    model->size = BLOCK * (1 + random_below(&seed, 2));
    model->is_write = random_below(&seed, 2) == 0;
    model->offset = (int64_t)(BLOCK * random_below(&seed, 4));
    model->moved = 0;
    const jdb_raw view = jdb_raw_from_slice(memory_of(model), model->size);
    assert_int_equal(model->is_write ? jdb_uring_write(uring, &model->op, written_fd, view, model->offset)
                                     : jdb_uring_read(uring, &model->op, file_fd, view, model->offset),
                     0);
    assert_int_equal(model->op.view.len, model->is_write ? model->size : 0);
    model->step = STARTED;
}

static void prep(struct model *model)
{
    struct io_uring_sqe sqe;
    memset(&sqe, 0xee, sizeof sqe);
    const uint64_t own = sqe.user_data;
    assert_int_equal(jdb_uring_prep(&model->op, NULL), -EBUSY);
    assert_int_equal(jdb_uring_prep(&model->op, JDB_URING_LATER), -EINVAL);
    assert_int_equal(jdb_uring_prep(&model->op, &sqe), 0);
    const unsigned fixed = model->is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
    const unsigned plain = model->is_write ? IORING_OP_WRITE : IORING_OP_READ;
    jdb_uring_region region = JDB_URING_REGION_INIT;
    if (is_added[model->place]) {
        assert_int_equal(jdb_uring_get_region(uring, base_of(model->place), 0, &region), 0);
        assert_int_equal(sqe.opcode, region.slot >= 0 ? fixed : plain);
        assert_int_equal(sqe.buf_index, region.slot >= 0 ? region.slot : 0);
    } else {
        assert_int_equal(sqe.opcode, plain);
    }
    assert_int_equal(sqe.addr, (uintptr_t)memory_of(model) + model->moved);
    assert_int_equal(sqe.len, model->size - model->moved);
    assert_int_equal(sqe.off, (uint64_t)model->offset + model->moved);
    assert_int_equal(sqe.fd, model->is_write ? written_fd : file_fd);
    assert_int_equal(
        sqe.flags | sqe.ioprio | (uint32_t)sqe.rw_flags | sqe.personality | sqe.file_index | (uint32_t)sqe.addr3, 0);
    assert_int_equal(sqe.user_data, own);
    assert_int_equal(jdb_uring_release(&model->op), -EBUSY);
    model->step = IN_FLIGHT;
}

static void check_end(struct model *model, int err, int expected, size_t done)
{
    assert_int_equal(err, expected);
    assert_int_equal(jdb_uring_done_size(&model->op), done);
    assert_int_equal(model->op.view.len, model->is_write ? model->size : done);
    model->step = ENDED;
}

/* Of one that was never prepared too: its SQE was another's. */
static void complete(struct model *model)
{
    const size_t left = model->size - model->moved;
    if (random_below(&seed, 4) == 0) {
        check_end(model, jdb_uring_complete(&model->op, -ENXIO), -ENXIO, model->moved);
    } else if (model->step == IN_FLIGHT && left > BLOCK && random_below(&seed, 2) == 0) {
        assert_int_equal(jdb_uring_complete(&model->op, BLOCK), JDB_URING_RESUME);
        model->moved += BLOCK;
        model->step = STARTED;
    } else if (model->step == IN_FLIGHT) {
        check_end(model, jdb_uring_complete(&model->op, (int32_t)left), 0, model->size);
    }
}

static void without_sqe(struct model *model)
{
    if (random_below(&seed, 2) == 0) {
        assert_int_equal(jdb_uring_release(&model->op), 0);
        assert_int_equal(jdb_uring_release(&model->op), 0);
        model->step = ENDED;
        return;
    }
    check_end(model, jdb_uring_run(&model->op), 0, model->size);
    assert_int_equal(model->op.uring == NULL, true);
}

static void step(struct model *model)
{
    const uint64_t choice = random_below(&seed, 8);
    if (model->step == ENDED)
        start(model);
    else if (model->step == STARTED && choice < 5)
        prep(model);
    else if (choice == 7 && model->step == STARTED)
        without_sqe(model);
    else
        complete(model);
}

static void end_all(void)
{
    for (unsigned i = 0; i < OPS; i++)
        if (models[i].step == IN_FLIGHT)
            check_end(&models[i], jdb_uring_complete(&models[i].op, -ECANCELED), -ECANCELED, models[i].moved);
        else if (models[i].step == STARTED)
            without_sqe(&models[i]);
}

static void any_order_of_calls_pins_what_it_should(void **state)
{
    (void)state;
    const unsigned rounds = (unsigned)tier_pick(5000, 50000, 500000);
    for (unsigned i = 0; i < rounds; i++) {
        if (random_below(&seed, 20) == 0)
            toggle((unsigned)random_below(&seed, PLACES));
        else
            step(&models[random_below(&seed, OPS)]);
        check_pins();
    }
    end_all();
    check_pins();
}

/* ---- One by one ------------------------------------------------------------------------------------------- */

static void fail_in_child(void *unused)
{
    (void)unused;
    struct io_uring_sqe sqe;
    MUST(jdb_uring_prep(&models[0].op, &sqe) == 0 &&
         sqe.opcode == IORING_OP_READ); /* the slot holds the parent's pages */
    MUST(jdb_uring_complete(&models[0].op, -EIO) == -EIO);
    MUST(jdb_uring_close(uring) == 0);
    MUST(jdb_uring_release(&models[1].op) == 0);
    MUST(jdb_uring_in_flight(uring) == 0);
}

static void start_two(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        jdb_raw view = JDB_RAW_INIT;
        assert_int_equal(jdb_arena_view(arenas[0], i, 1, &view), 0);
        assert_int_equal(jdb_uring_read(uring, &models[i].op, file_fd, view, 0), 0);
    }
}

static void a_child_prepares_it_without_the_slot(void **state)
{
    (void)state;
    char text[256];
    if (!is_added[0])
        toggle(0);
    start_two();
    const int status = must_run_child(fail_in_child, NULL, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(status, 0);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(jdb_uring_run(&models[i].op), 0);
    check_pins();
}

/* Its object may go: it is run, or released. */
static void it_outlives_its_object(void **state)
{
    (void)state;
    if (!is_added[0])
        toggle(0);
    start_two();
    assert_int_equal(jdb_uring_close(uring), 0);
    assert_int_equal(jdb_arena_free(arenas[0]), -EBUSY);
    assert_int_equal(jdb_uring_run(&models[0].op), 0);
    assert_int_equal(jdb_uring_release(&models[1].op), 0);
    rig_assert(models[0].op.view.ptr, 0, BLOCK);
    assert_int_equal(jdb_arena_free(arenas[0]), 0);
    assert_int_equal(jdb_arena_free(arenas[1]), 0);
}

static int open_all(void **state)
{
    (void)state;
    const jdb_arena_options options = {.size = sizeof options, .frame_size = 2 * BLOCK, .frame_count = FRAMES};
    assert_int_equal(jdb_arena_new(&options, &arenas[0]), 0);
    assert_int_equal(jdb_arena_new(&options, &arenas[1]), 0);
    assert_int_equal(jdb_buf_with_cap(&buf, FRAMES * 2 * BLOCK), 0);
    memset(buf.ptr, 0, buf.cap);
    return jdb_uring_open(&ring, NULL, &uring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_calls_pins_what_it_should),
        cmocka_unit_test(a_child_prepares_it_without_the_slot),
        cmocka_unit_test(it_outlives_its_object),
    };
    const int err = io_uring_queue_init(8, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    file_fd = rig_file(8 * BLOCK);
    written_fd = rig_file(8 * BLOCK);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    seed = random_seed("uring_later_test");
    return cmocka_run_group_tests(tests, open_all, NULL);
}
