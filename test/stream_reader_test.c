/* SPDX-License-Identifier: MIT
 *
 * stream_reader_test.c - readers: random operations against a naive model, on engines that answer in any order and fail; the
 * window, lent and taken frames, holes, growing files, errors at their offset. Runs in TMPDIR (default /var/tmp).
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#include "stream_rig.h"

#define ALIGN ((int64_t)4096)
#define MODEL_MAX ((size_t)3 << 20)
#define READ_MAX ((size_t)300000)

#define CHUNK ((size_t)24576) /* of the model's file: data or a hole */

static uint8_t bytes[MODEL_MAX];
static uint8_t chunks[MODEL_MAX]; /* of the model's file */
static uint8_t memory[READ_MAX];

static bool is_hole_at(size_t offset)
{
    return offset / CHUNK % 7 < 3;
}

static int set_up(void **state)
{
    (void)state;
    rig_path("jdb_reader_test");
    rig_fill(bytes, sizeof bytes, 3);
    for (size_t i = 0; i < sizeof chunks; i++)
        chunks[i] = is_hole_at(i) ? 0 : bytes[i];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    faults_set_hook(NULL);
    faults_disarm();
    unlink(path);
    return 0;
}

static jdb_reader *open_reader(jdb_file *file, jdb_engine *engine, uint32_t flags, uint64_t frame_size,
                               uint32_t frame_count)
{
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    options.engine = engine;
    options.flags = flags;
    options.frame_size = frame_size;
    options.frame_count = frame_count;
    options.offset = (flags & JDB_STREAM_BACKWARD) != 0 ? JDB_STREAM_END : 0;
    jdb_reader *reader = NULL;
    CHECK(jdb_reader_open(file, &options, &reader) == 0);
    return reader;
}

static jdb_reader_stats stats_of(const jdb_reader *reader)
{
    jdb_reader_stats stats = JDB_READER_STATS_INIT;
    CHECK(jdb_reader_get_stats(reader, &stats) == 0);
    return stats;
}

/* ---- The model ---------------------------------------------------------------------------------------------- */

struct model {
    jdb_reader *reader;
    jdb_file *file;
    struct rig_engine *rig; /* or NULL */
    bool is_backward;
    size_t size; /* of the file: chunks[0 .. size) */
    int64_t position;
    uint64_t seed;
    jdb_stream_view views[3];
    unsigned view_count;
};

/* Bytes that can be read from the position on before the end, or before the bad block; *ret_err: what comes there. */
static size_t model_readable(const struct model *model, size_t wanted, int *ret_err)
{
    const int64_t position = model->position;
    int64_t limit = model->is_backward ? 0 : (int64_t)model->size;
    const int64_t bad = model->rig != NULL ? model->rig->bad_offset : -1;
    const int64_t bad_start = bad - bad % ALIGN;
    const int64_t top = model->is_backward && position > (int64_t)model->size ? (int64_t)model->size : position;
    int err = 0;
    if (bad >= 0 && !model->is_backward && position < bad_start + ALIGN && bad_start < limit) {
        limit = bad_start > position ? bad_start : position;
        err = -EIO;
    } else if (bad >= 0 && model->is_backward && bad_start < top) {
        limit = bad_start + ALIGN < top ? bad_start + ALIGN : top;
        err = -EIO;
    }
    int64_t there = model->is_backward ? top - limit : limit - position;
    there = there < 0 ? 0 : there;
    *ret_err = (uint64_t)there < wanted ? err : 0;
    return (uint64_t)there < wanted ? (size_t)there : wanted;
}

static void model_move(struct model *model, size_t size)
{
    if (size != 0 && model->is_backward && model->position > (int64_t)model->size)
        model->position = (int64_t)model->size;
    model->position += model->is_backward ? -(int64_t)size : (int64_t)size;
}

/* `size` bytes were returned for the position, which has not moved. */
static void model_compare(const struct model *model, const uint8_t *ptr, size_t size)
{
    const int64_t size_now = (int64_t)model->size;
    const int64_t top = model->is_backward && model->position > size_now ? size_now : model->position;
    CHECK(size == 0 || memcmp(ptr, chunks + (model->is_backward ? top - (int64_t)size : top), size) == 0);
}

/* At the end of the file, in a block that is bad: the reader may know the end already, or meet the block when it asks for it. */
static bool model_may_end(const struct model *model, int err)
{
    return err == -EIO && !model->is_backward && model->position >= (int64_t)model->size;
}

static void do_read(struct model *model, bool is_peek)
{
    const size_t most = is_peek ? 16384 : READ_MAX;
    const size_t wanted = (size_t)random_below(&model->seed, random_below(&model->seed, 2) == 0 ? 3000 : most);
    jdb_raw view = jdb_raw_new(memory, wanted);
    int err = 0;
    const size_t expected = model_readable(model, wanted, &err);
    memset(memory, 0xee, wanted);
    const int got = is_peek ? jdb_reader_peek(model->reader, &view) : jdb_reader_read(model->reader, &view);
    if (got == -EBUSY && model->view_count != 0) {
        CHECK(view.len <= expected);
        model_compare(model, view.ptr, view.len);
        model_move(model, is_peek ? 0 : view.len);
        return;
    }
    CHECK((got == err || (got == 0 && model_may_end(model, err))) && view.len == expected);
    model_compare(model, view.ptr, view.len);
    if (!is_peek)
        model_move(model, expected);
}

static bool model_has_slot(const struct model *model, uint32_t slot)
{
    for (unsigned i = 0; i < model->view_count; i++)
        if (model->views[i].slot == slot)
            return true;
    return false;
}

static void do_next(struct model *model)
{
    const size_t most = (size_t)random_below(&model->seed, 3) == 0 ? 0 : (size_t)random_below(&model->seed, 60000);
    jdb_stream_view view = {.len = 77};
    int err = 0;
    const size_t expected = model_readable(model, most != 0 ? most : 1, &err);
    const int got = jdb_reader_next(model->reader, most, &view);
    if (got == -EBUSY && model->view_count != 0)
        return;
    if (expected == 0) {
        CHECK(got == err || (got == 0 && model_may_end(model, err)));
        CHECK(view.len == (got != 0 ? 77 : 0));
        model_move(model, 0);
        return;
    }
    CHECK(got == 0 && view.len != 0 && (most == 0 || view.len <= expected));
    model_compare(model, view.ptr, view.len);
    model_move(model, view.len);
    CHECK(view.offset == (model->is_backward ? model->position : model->position - (int64_t)view.len));
    if (model->view_count == 3) {
        CHECK(jdb_reader_release(model->reader, &view) == 0);
        CHECK(model_has_slot(model, view.slot) || jdb_reader_release(model->reader, &view) == -ESTALE);
        return;
    }
    model->views[model->view_count++] = view;
}

/* The bytes of a view that was lent before are still there. */
static void do_release(struct model *model)
{
    if (model->view_count == 0)
        return;
    const unsigned at = (unsigned)random_below(&model->seed, model->view_count);
    const jdb_stream_view view = model->views[at];
    model->views[at] = model->views[--model->view_count];
    CHECK(memcmp(view.ptr, chunks + view.offset, view.len) == 0);
    jdb_frame frame;
    if (random_below(&model->seed, 2) == 0 && jdb_reader_take(model->reader, &view, &frame) == 0) {
        CHECK(memcmp(view.ptr, chunks + view.offset, view.len) == 0);
        CHECK(jdb_reader_release(model->reader, &view) == -ESTALE);
        CHECK(jdb_pool_put(jdb_reader_pool(model->reader), frame) == 0);
    } else {
        CHECK(jdb_reader_release(model->reader, &view) == 0);
    }
}

static void do_seek(struct model *model)
{
    const int64_t near = model->position + (int64_t)random_below(&model->seed, 200000) - 50000;
    const int64_t far = (int64_t)random_below(&model->seed, model->size + 10000);
    const int64_t target = random_below(&model->seed, 2) == 0 && near >= 0 ? near : far;
    CHECK(jdb_reader_seek(model->reader, target) == 0);
    CHECK(jdb_reader_offset(model->reader) == target);
    model->position = target;
}

/* Extend the file: its data chunks are written, the others stay holes. A request in flight sees none of its bytes before they are
 * written. */
static void model_extend(struct model *model, size_t size)
{
    for (size_t at = model->size; at < size;) {
        const size_t end = at / CHUNK * CHUNK + CHUNK < size ? at / CHUNK * CHUNK + CHUNK : size;
        if (!is_hole_at(at))
            CHECK(jdb_file_write_full(model->file, jdb_raw_from_slice(chunks + at, end - at), (int64_t)at, NULL) == 0);
        at = end;
    }
    CHECK(jdb_file_truncate(model->file, (int64_t)size) == 0);
    model->size = size;
}

static void do_grow(struct model *model)
{
    const size_t more = (size_t)random_below(&model->seed, 20000);
    if (model->size + more <= MODEL_MAX)
        model_extend(model, model->size + more);
}

/* What was read before does not see it: begin anew. */
static void model_begin_anew(struct model *model)
{
    CHECK(jdb_reader_seek(model->reader, model->position + (int64_t)MODEL_MAX * 2) == 0);
    CHECK(jdb_reader_seek(model->reader, model->position) == 0);
}

static void do_shrink(struct model *model)
{
    model->size = (size_t)random_below(&model->seed, model->size) + 1;
    CHECK(jdb_file_truncate(model->file, (int64_t)model->size) == 0);
    if (model->rig != NULL && model->rig->bad_offset >= (int64_t)model->size)
        model->rig->bad_offset = -1; /* there is nothing to be read */
    model_begin_anew(model);
}

static void do_fault(struct model *model)
{
    if (model->rig == NULL)
        return;
    const size_t bad = (size_t)random_below(&model->seed, model->size);
    const bool is_bad = random_below(&model->seed, 2) == 0 && !is_hole_at(bad); /* holes are not read */
    model->rig->bad_offset = is_bad ? (int64_t)bad : -1;
    model->rig->refuse_once = is_bad ? 0 : 1; /* what is refused is done without the engine, and its faults */
    model_begin_anew(model);
}

static void do_one(struct model *model)
{
    const uint64_t choice = random_below(&model->seed, 100);
    if (choice < 30)
        do_read(model, false);
    else if (choice < 40)
        do_read(model, true);
    else if (choice < 70)
        do_next(model);
    else if (choice < 85)
        do_release(model);
    else if (choice < 93)
        do_seek(model);
    else if (choice < 96)
        do_grow(model);
    else if (choice < 97)
        do_shrink(model);
    else
        do_fault(model);
    if (model->is_backward && model->position > (int64_t)model->size &&
        jdb_reader_offset(model->reader) == (int64_t)model->size)
        model->position = (int64_t)model->size; /* it has seen that there is nothing between */
    CHECK(jdb_reader_offset(model->reader) == model->position);
}

static void run_model(uint64_t seed, uint32_t flags, jdb_engine *engine, struct rig_engine *rig, unsigned count)
{
    struct model model = {.rig = rig, .is_backward = (flags & JDB_STREAM_BACKWARD) != 0, .seed = seed};
    model.file = rig_create(chunks, 0);
    model_extend(&model, (size_t)random_below(&model.seed, 1 << 20) + 1);
    const uint64_t frame_size = 16384u << random_below(&model.seed, 5);
    model.reader = open_reader(model.file, engine, flags, frame_size, 2 + (uint32_t)random_below(&model.seed, 10));
    model.position = model.is_backward ? (int64_t)model.size : 0;
    for (unsigned i = 0; i < count; i++)
        do_one(&model);
    CHECK(model.view_count == 0 || jdb_reader_close(model.reader) == -EBUSY);
    while (model.view_count != 0)
        do_release(&model);
    model_begin_anew(&model);
    const jdb_reader_stats stats = stats_of(model.reader);
    CHECK(stats.read_bytes + stats.hole_bytes == stats.used_bytes + stats.unused_bytes && stats.frame_count >= 2);
    CHECK(jdb_reader_close(model.reader) == 0);
    CHECK(jdb_file_close(model.file) == 0);
}

static void random_operations_are_those_of_a_model(void **state)
{
    (void)state;
    uint64_t seed = random_seed("reader model");
    const unsigned runs = (unsigned)tier_pick(12, 60, 1000);
    for (unsigned run = 0; run < runs; run++) {
        struct rig_engine rig;
        rig_engine_init(&rig, random_next(&seed), 1 + (uint32_t)random_below(&seed, 12));
        const uint32_t flags = (uint32_t)random_below(&seed, 4);
        const bool is_rig = run % 2 == 0;
        run_model(random_next(&seed), flags, is_rig ? &rig.engine : NULL, is_rig ? &rig : NULL, 400);
        CHECK(rig.count == 0 && (!is_rig || jdb_engine_close(&rig.engine) == 0));
    }
}

/* ---- The window --------------------------------------------------------------------------------------------- */

static void the_window_doubles_and_a_seek_shrinks_it(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, MODEL_MAX);
    struct rig_engine rig;
    rig_engine_init(&rig, 1, 8);
    jdb_reader *const reader = open_reader(file, &rig.engine, 0, 65536, 12);
    jdb_stream_view view;
    uint64_t before = stats_of(reader).window_size;
    assert_int_equal(before, JDB_STREAM_WINDOW_MIN);
    for (int i = 0; i < 20; i++) {
        CHECK(jdb_reader_next(reader, 0, &view) == 0 && view.len == 65536);
        CHECK(jdb_reader_release(reader, &view) == 0);
        const uint64_t now = stats_of(reader).window_size;
        CHECK(now == before || now == 2 * before || now == 8 * 65536);
        before = now;
    }
    assert_int_equal(before, 8 * 65536);   /* the depth of the engine */
    CHECK(rig.most >= 8 && rig.most <= 9); /* and the one that is waited for */
    const uint64_t requests = stats_of(reader).request_count;
    CHECK(jdb_reader_seek(reader, 100000) == 0);
    jdb_raw raw = jdb_raw_new(memory, 1000);
    CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 1000 && memcmp(memory, bytes + 100000, 1000) == 0);
    assert_int_equal(stats_of(reader).request_count, requests + 1); /* one, and small */
    CHECK(stats_of(reader).seek_count == 1 && stats_of(reader).unused_bytes != 0);
    const uint64_t read = stats_of(reader).read_bytes;
    CHECK(jdb_reader_seek(reader, 2000000) == 0);
    raw = jdb_raw_new(memory, 100);
    CHECK(jdb_reader_read(reader, &raw) == 0);
    CHECK(stats_of(reader).read_bytes - read <= 8192u + 8 * 65536u); /* of it what was in flight */
    CHECK(jdb_reader_close(reader) == 0);
    CHECK(jdb_file_close(file) == 0);
}

/* Every byte is requested once. */
static void a_scan_reads_each_byte_once(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, MODEL_MAX - 777);
    for (uint32_t flags = 0; flags <= JDB_STREAM_BACKWARD; flags++) {
        jdb_reader *const reader = open_reader(file, NULL, flags, 0, 0);
        size_t total = 0;
        jdb_raw raw = jdb_raw_new(memory, 65536);
        while (jdb_reader_read(reader, &raw) == 0 && raw.len != 0) {
            const size_t at = flags == 0 ? total : MODEL_MAX - 777 - total - raw.len;
            CHECK(memcmp(memory, bytes + at, raw.len) == 0);
            total += raw.len;
        }
        const jdb_reader_stats stats = stats_of(reader);
        CHECK(total == MODEL_MAX - 777 && stats.used_bytes == total && stats.seek_count == 0);
        CHECK(stats.read_bytes < total + 8192 && stats.hit_count + stats.wait_count <= stats.request_count);
        CHECK(jdb_reader_close(reader) == 0);
    }
    CHECK(jdb_file_close(file) == 0);
}

/* ---- Shared memory and engine ------------------------------------------------------------------------------- */

static void readers_share_a_pool_and_an_engine(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, MODEL_MAX);
    jdb_arena_options arena_options = JDB_ARENA_OPTIONS_INIT;
    arena_options.frame_size = 32768;
    arena_options.frame_count = 9;
    jdb_arena *arena = NULL;
    jdb_pool *pool = NULL;
    jdb_engine *engine = NULL;
    CHECK(jdb_arena_new(&arena_options, &arena) == 0 && jdb_pool_new(arena, NULL, &pool) == 0);
    CHECK(jdb_engine_open(NULL, &engine) == 0);
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    options.engine = engine;
    options.pool = pool;
    jdb_reader *readers[5] = {NULL};
    for (int i = 0; i < 4; i++) {
        options.offset = i * 500000;
        CHECK(jdb_reader_open(file, &options, &readers[i]) == 0);
    }
    CHECK(jdb_reader_open(file, &options, &readers[4]) == -EAGAIN && readers[4] == NULL);
    CHECK(jdb_engine_close(engine) == -EBUSY);
    for (int round = 0; round < 40; round++)
        for (int i = 0; i < 4; i++) { /* each makes progress, whatever the others hold */
            jdb_raw raw = jdb_raw_new(memory, 12345);
            CHECK(jdb_reader_read(readers[i], &raw) == 0 && raw.len == 12345);
            CHECK(memcmp(memory, bytes + i * 500000 + round * 12345, 12345) == 0);
            const jdb_reader_stats stats = stats_of(readers[i]);
            CHECK(stats.frame_count >= 2 && stats.window_size <= 2 * 32768u); /* a quarter of the depth */
        }
    for (int i = 0; i < 4; i++)
        CHECK(jdb_reader_close(readers[i]) == 0);
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    CHECK(jdb_pool_get_stats(pool, &stats) == 0 && stats.lent_count == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_pool_free(pool) == 0 && jdb_arena_free(arena) == 0);
    CHECK(jdb_file_close(file) == 0);
}

static void lent_frames_end(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, MODEL_MAX);
    jdb_reader *const reader = open_reader(file, NULL, 0, 65536, 3);
    jdb_stream_view views[3];
    jdb_stream_view other = {.len = 5};
    for (int i = 0; i < 3; i++)
        CHECK(jdb_reader_next(reader, 0, &views[i]) == 0 && views[i].len == 65536);
    CHECK(jdb_reader_next(reader, 0, &other) == -EBUSY && other.len == 5);
    CHECK(jdb_reader_close(reader) == -EBUSY);
    jdb_frame frames[2];
    CHECK(jdb_reader_take(reader, &views[1], &frames[0]) == 0 && frames[0].ptr == views[1].ptr);
    CHECK(jdb_reader_take(reader, &views[1], &frames[1]) == -ESTALE);
    CHECK(jdb_reader_take(reader, &views[0], &frames[1]) == -EAGAIN); /* two are the reader's own */
    CHECK(jdb_reader_release(reader, &views[0]) == 0);
    CHECK(jdb_reader_next(reader, 1000, &views[0]) == 0 && memcmp(views[0].ptr, bytes + 3 * 65536, 1000) == 0);
    CHECK(memcmp(frames[0].ptr, bytes + 65536, 65536) == 0);
    CHECK(jdb_reader_take(reader, &views[0], &frames[1]) == -EBUSY); /* its rest is still to be read */
    other = views[0];
    other.slot = 99;
    CHECK(jdb_reader_release(reader, &other) == -EINVAL);
    other = (jdb_stream_view){.len = 0};
    CHECK(jdb_reader_release(reader, &other) == 0 && jdb_reader_release(reader, NULL) == -EINVAL);
    CHECK(jdb_reader_release(reader, &views[0]) == 0 && jdb_reader_release(reader, &views[2]) == 0);
    CHECK(jdb_reader_close(reader) == -EBUSY); /* a frame of its pool is the caller's */
    CHECK(jdb_pool_put(jdb_reader_pool(reader), frames[0]) == 0);
    CHECK(jdb_reader_close(reader) == 0);
    CHECK(jdb_file_close(file) == 0);
}

/* The last frame of a file too, which its bytes do not fill; what it would have had is read into another one. */
static void every_frame_of_a_file_can_be_taken(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 100000);
    for (uint32_t flags = 0; flags <= JDB_STREAM_BACKWARD; flags++) {
        jdb_reader *const reader = open_reader(file, NULL, flags, 65536, 4);
        jdb_pool *const pool = jdb_reader_pool(reader);
        jdb_stream_view view;
        size_t total = 0;
        while (jdb_reader_next(reader, 0, &view) == 0 && view.len != 0) {
            jdb_frame frame;
            CHECK(jdb_reader_take(reader, &view, &frame) == 0 && memcmp(view.ptr, bytes + view.offset, view.len) == 0);
            CHECK(jdb_pool_put(pool, frame) == 0);
            total += view.len;
        }
        CHECK(total == 100000 && stats_of(reader).unused_bytes == 0);
        CHECK(jdb_reader_seek(reader, 50000) == 0 && jdb_reader_next(reader, 1000, &view) == 0);
        CHECK(jdb_reader_seek(reader, 90000) == 0);
        jdb_frame frame;
        CHECK(jdb_reader_take(reader, &view, &frame) == 0 && jdb_pool_put(pool, frame) == 0);
        const jdb_reader_stats stats = stats_of(reader);
        CHECK(stats.read_bytes == stats.used_bytes + stats.unused_bytes && stats.unused_bytes != 0);
        CHECK(jdb_reader_close(reader) == 0);
    }
    CHECK(jdb_file_close(file) == 0);
}

/* ---- Files -------------------------------------------------------------------------------------------------- */

static void holes_are_not_read(void **state)
{
    (void)state;
    static const int64_t places[] = {0, 300000, 2000000};
    static uint8_t expected[MODEL_MAX];
    jdb_file *const file = rig_create(bytes, 0);
    CHECK(jdb_file_truncate(file, MODEL_MAX - 5000) == 0);
    memset(expected, 0, sizeof expected);
    for (size_t i = 0; i < 3; i++) {
        memcpy(expected + places[i], bytes, 70000);
        CHECK(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 70000), places[i], NULL) == 0);
    }
    CHECK(jdb_file_sync(file, JDB_FILE_DURABLE_DATA) == 0);
    jdb_range data;
    const int found = jdb_file_find_data(file, 1000000, &data);
    const bool has_holes = found == 0 && data.offset > 1000000;
    if (getenv("JDB_TEST_NO_HOLES") != NULL) /* by file_device_test.sh, on FUSE */
        CHECK(found == -ENOTSUP);
    for (uint32_t flags = 0; flags <= JDB_STREAM_READ_HOLES; flags += JDB_STREAM_READ_HOLES) {
        jdb_reader *const reader = open_reader(file, NULL, flags, 0, 0);
        jdb_stream_view view;
        int64_t at = 0;
        while (jdb_reader_next(reader, 0, &view) == 0 && view.len != 0) {
            CHECK(view.offset == at && memcmp(view.ptr, expected + at, view.len) == 0);
            at += (int64_t)view.len;
            CHECK(jdb_reader_release(reader, &view) == 0);
        }
        const jdb_reader_stats stats = stats_of(reader);
        CHECK(at == MODEL_MAX - 5000);
        CHECK(stats.hole_bytes + stats.read_bytes >= (uint64_t)at);
        if (flags == 0 && has_holes)
            CHECK(stats.hole_bytes > 2500000 && stats.read_bytes < 600000);
        else
            CHECK(stats.hole_bytes == 0);
        CHECK(jdb_reader_close(reader) == 0);
    }
    CHECK(jdb_file_find_data(file, -1, &data) == -EINVAL && jdb_file_find_data(NULL, 0, &data) == -EINVAL);
    if (found == 0) {
        for (unsigned n = 0; n < 2; n++) {
            faults_arm(OS_CALL_STAT, n, -EIO);
            CHECK(jdb_file_find_data(file, 0, &data) == -EIO && faults_disarm());
        }
        CHECK(jdb_file_find_data(file, MODEL_MAX, &data) == 0 && data.size == 0 && data.offset == MODEL_MAX - 5000);
    }
    CHECK(jdb_file_close(file) == 0);
}

static void a_file_grows_and_shrinks(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 1000);
    jdb_reader *const reader = open_reader(file, NULL, 0, 0, 0);
    size_t size = 1000;
    size_t at = 0;
    for (int i = 0; i < 30; i++) {
        jdb_raw raw = jdb_raw_new(memory, 100000);
        CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == size - at && memcmp(memory, bytes + at, raw.len) == 0);
        CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 0);
        at = size;
        const size_t more = (size_t)(i * 997 % 9000);
        CHECK(jdb_file_write_full(file, jdb_raw_from_slice(bytes + size, more), (int64_t)size, NULL) == 0);
        size += more;
    }
    CHECK(jdb_file_truncate(file, 100) == 0);
    jdb_raw raw = jdb_raw_new(memory, 10);
    CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 0);
    CHECK(jdb_reader_seek(reader, 95) == 0);
    CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 5 && memcmp(memory, bytes + 95, 5) == 0);
    CHECK(jdb_reader_close(reader) == 0);
    CHECK(jdb_file_close(file) == 0);
}

/* Where blocks of requests are larger than those of the file system, which may have data begin in the midst of one. */
static void a_block_with_data_is_read_alone(void **state)
{
    (void)state;
    const int64_t block = 65536;
    jdb_file *const made = rig_create(bytes, 0);
    CHECK(jdb_file_truncate(made, MODEL_MAX) == 0);
    for (int i = 1; i < 40; i += 13)
        CHECK(jdb_file_write_full(made, jdb_raw_from_slice(bytes, 4096), i * block + 8192, NULL) == 0);
    CHECK(jdb_file_sync(made, JDB_FILE_DURABLE_DATA) == 0 && jdb_file_close(made) == 0);
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.pretend_align = (uint32_t)block;
    jdb_file *file = NULL;
    CHECK(jdb_file_open(path, &options, NULL, &file) == 0);
    jdb_range data;
    const bool has_holes = jdb_file_find_data(file, 4096, &data) == 0 && data.size == 4096;
    jdb_reader *const reader = open_reader(file, NULL, 0, 0, 0);
    jdb_raw raw = jdb_raw_new(memory, READ_MAX);
    while (jdb_reader_read(reader, &raw) == 0 && raw.len != 0)
        continue;
    const jdb_reader_stats stats = stats_of(reader);
    CHECK(stats.used_bytes == MODEL_MAX && (!has_holes || stats.read_bytes == 3 * (uint64_t)block));
    CHECK(jdb_reader_close(reader) == 0 && jdb_file_close(file) == 0);
}

/* Data and holes in turn: what is behind the end of a file that shrank was data, and is neither a hole nor there. */
static void a_file_that_shrank_has_no_hole_behind_its_end(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 0);
    struct model model = {.file = file};
    model_extend(&model, MODEL_MAX);
    for (uint32_t flags = 0; flags <= JDB_STREAM_READ_HOLES; flags += JDB_STREAM_READ_HOLES) {
        jdb_reader *const reader = open_reader(file, NULL, flags, 8192, 0);
        jdb_raw raw = jdb_raw_new(memory, 100000);
        CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 100000 && memcmp(memory, chunks, 100000) == 0);
        CHECK(jdb_file_truncate(file, 100 + flags) == 0);
        CHECK(jdb_reader_seek(reader, 2000000) == 0 && jdb_reader_read(reader, &raw) == 0 && raw.len == 0);
        CHECK(jdb_reader_seek(reader, 0) == 0 && jdb_reader_read(reader, &raw) == 0 && raw.len == 100 + flags);
        CHECK(jdb_reader_close(reader) == 0);
        model.size = 100 + flags;
        model_extend(&model, MODEL_MAX);
    }
    CHECK(jdb_file_close(file) == 0);
}

/* ---- Failures ----------------------------------------------------------------------------------------------- */

static void an_error_has_its_offset_and_goes_away(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 1 << 20);
    struct rig_engine rig;
    rig_engine_init(&rig, 7, 8);
    rig.bad_offset = 700001;
    jdb_reader *const reader = open_reader(file, &rig.engine, 0, 0, 0);
    int64_t at = 0;
    jdb_stream_view view;
    while (jdb_reader_next(reader, 0, &view) == 0) {
        at += (int64_t)view.len;
        CHECK(jdb_reader_release(reader, &view) == 0);
    }
    assert_int_equal(at, 700001 / 4096 * 4096);
    CHECK(jdb_reader_next(reader, 0, &view) == -EIO && jdb_reader_offset(reader) == at); /* again */
    CHECK(jdb_reader_seek(reader, at + 4096) == 0);                                      /* past it */
    jdb_raw raw = jdb_raw_new(memory, 5000);
    CHECK(jdb_reader_read(reader, &raw) == 0 && memcmp(memory, bytes + at + 4096, 5000) == 0);
    CHECK(jdb_reader_seek(reader, at) == 0);
    CHECK(jdb_reader_read(reader, &raw) == -EIO && raw.len == 0);
    rig.bad_offset = -1;
    CHECK(jdb_reader_read(reader, &raw) == 0 && memcmp(memory, bytes + at, 5000) == 0);
    CHECK(jdb_reader_close(reader) == 0);
    CHECK(jdb_file_close(file) == 0);
}

/* Where the size of the file cannot be queried, nobody knows whether it has grown. */
static void a_size_that_is_not_known_is_no_end(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 10000);
    for (uint32_t flags = 0; flags <= JDB_STREAM_BACKWARD; flags++) {
        jdb_reader *const reader = open_reader(file, NULL, flags, 0, 0);
        jdb_raw raw = jdb_raw_new(memory, 10000);
        jdb_stream_view view = {.len = 7};
        CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 10000);
        if (flags != 0)
            CHECK(jdb_reader_seek(reader, 20000) == 0); /* behind the end */
        const int64_t position = jdb_reader_offset(reader);
        faults_arm(OS_CALL_STAT, 0, -EIO);
        CHECK(jdb_reader_read(reader, &raw) == -EIO && raw.len == 0 && faults_disarm());
        faults_arm(OS_CALL_STAT, 0, -EIO);
        CHECK(jdb_reader_next(reader, 0, &view) == -EIO && view.len == 7 && faults_disarm());
        CHECK(jdb_reader_offset(reader) == position && jdb_reader_next(reader, 0, &view) == 0);
        CHECK(flags != 0 ? view.len != 0 : view.len == 0);
        CHECK(jdb_reader_release(reader, &view) == 0 && jdb_reader_close(reader) == 0);
    }
    CHECK(jdb_file_close(file) == 0);
}

/* As a read returns them: the request behind the front is searched for its bad block too. */
static void a_peek_returns_all_that_is_before_a_bad_block(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 1 << 20);
    for (uint32_t flags = 0; flags <= JDB_STREAM_BACKWARD; flags++) {
        const bool is_backward = flags != 0;
        struct rig_engine rig;
        rig_engine_init(&rig, 5, 8);
        rig.bad_offset = is_backward ? (1 << 20) - 100000 : 100000; /* in the second frame */
        const int64_t edge = is_backward ? rig.bad_offset / ALIGN * ALIGN + ALIGN : rig.bad_offset / ALIGN * ALIGN;
        jdb_reader *const reader = open_reader(file, &rig.engine, flags, 65536, 0);
        jdb_raw raw = jdb_raw_new(memory, 60000);
        CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 60000);
        const int64_t position = jdb_reader_offset(reader);
        const size_t there = (size_t)(is_backward ? position - edge : edge - position);
        for (int i = 0; i < 2; i++) {
            raw = jdb_raw_new(memory, there);
            CHECK(jdb_reader_peek(reader, &raw) == 0 && raw.len == there);
            raw = jdb_raw_new(memory, there + 1);
            CHECK(jdb_reader_peek(reader, &raw) == -EIO && raw.len == there && jdb_reader_offset(reader) == position);
            CHECK(memcmp(memory, bytes + (is_backward ? edge : position), there) == 0);
        }
        rig.bad_offset = -1;
        CHECK(jdb_reader_peek(reader, &raw) == 0 && raw.len == there + 1);
        CHECK(jdb_reader_close(reader) == 0);
    }
    CHECK(jdb_file_close(file) == 0);
}

/* A request that fails may have read a part of a block; the rest is read behind it. */
/* A file that shrank ends in front of the position: the bytes up to the bad block are returned before its error. */
static void a_bad_block_is_no_error_behind_the_end(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 1 << 20);
    struct rig_engine rig;
    rig_engine_init(&rig, 5, 8);
    jdb_reader *const reader = open_reader(file, &rig.engine, JDB_STREAM_BACKWARD, 65536, 0);
    CHECK(jdb_reader_seek(reader, 201500) == 0 && jdb_file_truncate(file, 201000) == 0);
    rig.bad_offset = 190000;
    const size_t there = (size_t)(201000 - (190000 / ALIGN * ALIGN + ALIGN));
    jdb_raw raw = jdb_raw_new(memory, 60000);
    CHECK(jdb_reader_read(reader, &raw) == -EIO && raw.len == there);
    CHECK(memcmp(memory, bytes + 201000 - there, there) == 0);
    CHECK(jdb_reader_close(reader) == 0 && jdb_file_close(file) == 0);
}

static void lent_bytes_stay_while_a_bad_block_is_searched(void **state)
{
    (void)state;
    uint64_t seed = random_seed("partial requests");
    for (int run = 0; run < 20; run++) {
        jdb_file *const file = rig_create(bytes, 1 << 20);
        struct rig_engine rig;
        rig_engine_init(&rig, random_next(&seed), 8);
        rig.bad_offset = 50000;
        jdb_reader *const reader = open_reader(file, &rig.engine, 0, 131072, 0);
        jdb_stream_view view;
        CHECK(jdb_reader_next(reader, 0, &view) == 0);
        CHECK(jdb_file_write_full(file, jdb_raw_from_slice(bytes + 1000, 131072), 0, NULL) == 0);
        jdb_raw raw = jdb_raw_new(memory, 131072);
        CHECK(jdb_reader_read(reader, &raw) == -EIO && jdb_reader_offset(reader) == 50000 / ALIGN * ALIGN);
        CHECK(memcmp(view.ptr, bytes, view.len) == 0);
        CHECK(jdb_reader_release(reader, &view) == 0 && jdb_reader_close(reader) == 0);
        CHECK(jdb_file_close(file) == 0);
    }
}

static void arguments(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 5000);
    jdb_reader *reader = NULL;
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    CHECK(jdb_reader_open(NULL, NULL, &reader) == -EINVAL && jdb_reader_open(file, NULL, NULL) == -EINVAL);
    options.frame_size = 1000;
    CHECK(jdb_reader_open(file, &options, &reader) == -EINVAL);
    options = JDB_STREAM_OPTIONS_INIT;
    options.flags = 1024;
    CHECK(jdb_reader_open(file, &options, &reader) == -EINVAL);
    options = JDB_STREAM_OPTIONS_INIT;
    options.frame_count = 1;
    CHECK(jdb_reader_open(file, &options, &reader) == -EINVAL);
    options = JDB_STREAM_OPTIONS_INIT;
    options.offset = -1;
    CHECK(jdb_reader_open(file, &options, &reader) == -EINVAL);
    options = JDB_STREAM_OPTIONS_INIT;
    options.reserved[1] = 1;
    CHECK(jdb_reader_open(file, &options, &reader) == -E2BIG);
    options.size = 8;
    CHECK(jdb_reader_open(file, &options, &reader) == -EINVAL && reader == NULL);
    reader = open_reader(file, NULL, 0, 8192, 2);
    jdb_raw raw = jdb_raw_new(memory, 8193);
    jdb_stream_view view;
    CHECK(jdb_reader_peek(reader, &raw) == -EINVAL && jdb_reader_peek(reader, NULL) == -EINVAL);
    CHECK(jdb_reader_read(reader, NULL) == -EINVAL && jdb_reader_next(reader, 0, NULL) == -EINVAL);
    CHECK(jdb_reader_seek(reader, -1) == -EINVAL && jdb_reader_seek(NULL, 0) == -EINVAL);
    CHECK(jdb_reader_next(NULL, 0, &view) == -EINVAL && jdb_reader_get_stats(reader, NULL) == -EINVAL);
    CHECK(jdb_reader_offset(NULL) == 0 && jdb_reader_pool(NULL) == NULL && jdb_reader_close(NULL) == 0);
    raw = jdb_raw_new(memory, 0);
    CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 0 && jdb_reader_peek(reader, &raw) == 0);
    CHECK(jdb_reader_close(reader) == 0);
    CHECK(jdb_file_close(file) == 0);
}

/* As many as there are, as the program means it. */
static void counts_may_be_as_large_as_they_can(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 100000);
    struct rig_engine rig;
    rig_engine_init(&rig, 3, UINT32_MAX);
    jdb_reader *reader = open_reader(file, &rig.engine, 0, 8192, 0);
    jdb_raw raw = jdb_raw_new(memory, 100000);
    CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 100000 && memcmp(memory, bytes, 100000) == 0);
    CHECK(stats_of(reader).frame_count > 2 && jdb_reader_close(reader) == 0);
    if (!TIER_SANITIZED) { /* which end the program where memory is asked for that nobody has */
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        jdb_writer *writer = NULL;
        options.frame_count = UINT32_MAX;
        options.engine = &rig.engine;
        jdb_arena_options arena_options = JDB_ARENA_OPTIONS_INIT;
        jdb_arena *arena = NULL;
        arena_options.frame_size = 8192;
        arena_options.frame_count = 4;
        CHECK(jdb_arena_new(&arena_options, &arena) == 0 && jdb_pool_new(arena, NULL, &options.pool) == 0);
        CHECK(jdb_writer_open(file, &options, &writer) == -ENOMEM && writer == NULL);
        CHECK(jdb_pool_free(options.pool) == 0 && jdb_arena_free(arena) == 0);
    }
    CHECK(jdb_engine_close(&rig.engine) == 0 && jdb_file_close(file) == 0);
}

/* tmpfs, XFS and btrfs have files of up to INT64_MAX bytes. */
static void a_file_may_be_as_large_as_its_last_block_allows(void **state)
{
    (void)state;
    const int64_t size = INT64_MAX - (1 << 20);
    const int fd = memfd_create("large", 0);
    jdb_file *file = NULL;
    jdb_reader *reader = NULL;
    CHECK(fd >= 0 && ftruncate(fd, INT64_MAX) == 0 && jdb_file_from_fd(fd, NULL, NULL, &file) == 0);
    CHECK(jdb_reader_open(file, NULL, &reader) == -EOVERFLOW && reader == NULL);
    CHECK(ftruncate(fd, size) == 0);
    for (uint32_t flags = 0; flags <= JDB_STREAM_READ_HOLES; flags++) {
        const bool is_backward = (flags & JDB_STREAM_BACKWARD) != 0;
        reader = open_reader(file, NULL, flags, 65536, 3);
        jdb_raw raw = jdb_raw_new(memory, 200000);
        CHECK(jdb_reader_seek(reader, INT64_MAX) == 0 && jdb_reader_read(reader, &raw) == 0);
        CHECK(raw.len == (is_backward ? 200000 : 0));
        CHECK(jdb_reader_seek(reader, size - 100000) == 0 && jdb_reader_read(reader, &raw) == 0);
        CHECK(raw.len == (is_backward ? 200000 : 100000) && memory[0] == 0 && memory[raw.len - 1] == 0);
        CHECK(jdb_reader_close(reader) == 0);
    }
    CHECK(jdb_file_close(file) == 0 && close(fd) == 0);
}

static void opening_survives_each_failing_call(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 50000);
    jdb_engine_options engine_options = JDB_ENGINE_OPTIONS_INIT;
    engine_options.kind = JDB_ENGINE_SYNCHRONOUS;
    jdb_engine *engine = NULL;
    CHECK(jdb_engine_open(&engine_options, &engine) == 0);
    for (unsigned n = 0;; n++) {
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        options.engine = n % 2 == 0 ? engine : NULL;
        jdb_reader *reader = NULL;
        faults_arm(FAULTS_ANY, n / 2, -ENOMEM);
        const int err = jdb_reader_open(file, &options, &reader);
        const bool has_failed = faults_disarm();
        CHECK(err == 0 ? reader != NULL : err == -ENOMEM && reader == NULL);
        if (reader != NULL) {
            jdb_raw raw = jdb_raw_new(memory, 50000);
            CHECK(jdb_reader_read(reader, &raw) == 0 && raw.len == 50000 && memcmp(memory, bytes, 50000) == 0);
            CHECK(jdb_reader_close(reader) == 0);
        }
        if (!has_failed && n % 2 == 1)
            break;
    }
    CHECK(jdb_engine_close(engine) == 0); /* no stream is left on it */
    CHECK(jdb_file_close(file) == 0);
}

static void use_in_child(void *context)
{
    jdb_reader *const reader = context;
    jdb_stream_view view = {.len = 1};
    jdb_raw raw = jdb_raw_new(memory, 10);
    jdb_frame frame;
    jdb_reader_stats stats = JDB_READER_STATS_INIT;
    MUST(jdb_reader_next(reader, 0, &view) == -EPERM && jdb_reader_read(reader, &raw) == -EPERM);
    MUST(jdb_reader_peek(reader, &raw) == -EPERM && jdb_reader_seek(reader, 0) == -EPERM);
    MUST(jdb_reader_release(reader, &view) == -EPERM && jdb_reader_take(reader, &view, &frame) == -EPERM);
    MUST(jdb_reader_get_stats(reader, &stats) == -EPERM && jdb_reader_close(reader) == -EPERM);
}

static void a_child_cannot_use_it(void **state)
{
    (void)state;
    char text[256];
    jdb_file *const file = rig_create(bytes, 50000);
    jdb_engine_options engine_options = JDB_ENGINE_OPTIONS_INIT;
    engine_options.kind = JDB_ENGINE_SYNCHRONOUS;
    jdb_engine *engine = NULL;
    CHECK(jdb_engine_open(&engine_options, &engine) == 0);
    jdb_reader *const reader = open_reader(file, engine, 0, 0, 0);
    assert_int_equal(must_run_child(use_in_child, reader, text, sizeof text), 0);
    assert_string_equal(text, "");
    CHECK(jdb_reader_close(reader) == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_are_those_of_a_model),
        cmocka_unit_test(the_window_doubles_and_a_seek_shrinks_it),
        cmocka_unit_test(a_scan_reads_each_byte_once),
        cmocka_unit_test(readers_share_a_pool_and_an_engine),
        cmocka_unit_test(lent_frames_end),
        cmocka_unit_test(every_frame_of_a_file_can_be_taken),
        cmocka_unit_test(holes_are_not_read),
        cmocka_unit_test(a_block_with_data_is_read_alone),
        cmocka_unit_test(a_file_grows_and_shrinks),
        cmocka_unit_test(a_file_that_shrank_has_no_hole_behind_its_end),
        cmocka_unit_test(an_error_has_its_offset_and_goes_away),
        cmocka_unit_test(a_size_that_is_not_known_is_no_end),
        cmocka_unit_test(a_peek_returns_all_that_is_before_a_bad_block),
        cmocka_unit_test(a_bad_block_is_no_error_behind_the_end),
        cmocka_unit_test(lent_bytes_stay_while_a_bad_block_is_searched),
        cmocka_unit_test(arguments),
        cmocka_unit_test(a_file_may_be_as_large_as_its_last_block_allows),
        cmocka_unit_test(counts_may_be_as_large_as_they_can),
        cmocka_unit_test(opening_survives_each_failing_call),
        cmocka_unit_test(a_child_cannot_use_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
