/* SPDX-License-Identifier: MIT
 *
 * stream_writer_test.c - writers: random operations against a naive model, on engines that answer in any order and fail; kill and
 * recover; group commit; each call failing in turn. Runs in TMPDIR (default /var/tmp).
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "stream_rig.h"

#define MODEL_MAX ((size_t)3 << 20)
#define MODEL_AHEAD ((size_t)1000000)

static uint8_t bytes[MODEL_MAX];
static uint8_t scratch[MODEL_MAX + MODEL_AHEAD + 65536];

static int set_up(void **state)
{
    (void)state;
    rig_path("jdb_writer_test");
    rig_fill(bytes, sizeof bytes, 3);
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

static jdb_writer *open_writer(jdb_file *file, jdb_engine *engine, uint32_t flags, int64_t offset, uint64_t frame_size)
{
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    options.engine = engine;
    options.flags = flags;
    options.offset = offset;
    options.frame_size = frame_size;
    options.frame_count = frame_size != 0 ? 3 : 0;
    jdb_writer *writer = NULL;
    CHECK(jdb_writer_open(file, &options, &writer) == 0);
    return writer;
}

static jdb_writer_status status_of(jdb_writer *writer)
{
    jdb_writer_status status = JDB_WRITER_STATUS_INIT;
    CHECK(jdb_writer_get_status(writer, &status) == 0);
    return status;
}

static jdb_raw raw_of(size_t offset, size_t size)
{
    return jdb_raw_from_slice(bytes + offset, size);
}

#define NOT_PADDED 0
#define PADDED 4096

/* The file begins with bytes[0 .. size), and is as long; padded: longer by less than so many zeros. */
static void assert_file(size_t size, size_t padding)
{
    const int fd = open(path, O_RDONLY);
    struct stat stat = {0};
    CHECK(fd >= 0 && fstat(fd, &stat) == 0);
    const size_t there = (size_t)stat.st_size;
    CHECK(there >= size && (padding != 0 ? there < size + padding : there == size));
    CHECK(pread(fd, scratch, there, 0) == (ssize_t)there);
    CHECK(memcmp(scratch, bytes, size) == 0);
    for (size_t i = size; i < there; i++)
        CHECK(scratch[i] == 0);
    close(fd);
}

#define OLD 0xdd

/* As NOT_PADDED, and what the file had behind is still there: OLD up to old_size. */
static void assert_file_over(size_t size, size_t old_size)
{
    jdb_raw view = jdb_raw_new(scratch, sizeof scratch);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    CHECK(jdb_file_read_full(file, &view, 0, NULL) == 0 && view.len == (size > old_size ? size : old_size));
    CHECK(memcmp(scratch, bytes, size) == 0);
    for (size_t i = size; i < view.len; i++)
        CHECK(scratch[i] == OLD);
    CHECK(jdb_file_close(file) == 0);
}

/* ---- The model ---------------------------------------------------------------------------------------------- */

struct model {
    jdb_writer *writer;
    uint64_t seed;
    size_t end;
    bool is_padded;
    size_t flushed;
    size_t old_size; /* of the file, which the stream is written over; not padded */
    int err;         /* of the writer, which stays */
    size_t durable;  /* what a sync has returned 0 for */
};

/* Whether a call worked; the first error may come at any of them, and is the answer of all behind it. */
static bool model_check(struct model *model, int err)
{
    CHECK(err == 0 || err == -EIO);
    CHECK(model->err == 0 || err == model->err);
    model->err = err;
    return err == 0;
}

static void do_append(struct model *model)
{
    static const size_t edges[] = {0, 1, 4095, 4096, 4097};
    const size_t most = random_below(&model->seed, 3) != 0 ? 5000 : 200000;
    size_t size = random_below(&model->seed, 4) != 0 ? (size_t)random_below(&model->seed, most)
                                                     : edges[random_below(&model->seed, 5)];
    size = size < MODEL_MAX - model->end ? size : MODEL_MAX - model->end;
    int64_t offset = -1;
    if (!model_check(model, jdb_writer_append(model->writer, raw_of(model->end, size), &offset))) {
        CHECK(offset == -1);
        return;
    }
    CHECK(offset == (int64_t)model->end);
    model->end += size;
}

static void do_lend(struct model *model)
{
    jdb_raw room = {.cap = 7};
    if (!model_check(model, jdb_writer_lend(model->writer, &room))) {
        CHECK(room.cap == 7 && jdb_writer_commit(model->writer, 0) == -EINVAL);
        return;
    }
    CHECK(room.len == 0 && room.cap != 0);
    CHECK(jdb_writer_close(model->writer) == -EBUSY && jdb_writer_commit(model->writer, room.cap + 1) == -EINVAL);
    size_t size = (size_t)random_below(&model->seed, room.cap + 1);
    size = size < MODEL_MAX - model->end ? size : MODEL_MAX - model->end;
    memset(room.ptr, 0xee, room.cap);
    memcpy(room.ptr, bytes + model->end, size);
    if (model_check(model, jdb_writer_commit(model->writer, size)))
        model->end += size;
    CHECK(jdb_writer_commit(model->writer, 0) == -EINVAL);
}

static void do_flush(struct model *model, bool is_durable)
{
    if (!model_check(model, is_durable ? jdb_writer_sync(model->writer) : jdb_writer_flush(model->writer)))
        return;
    model->durable = is_durable ? model->end : model->durable;
    const jdb_writer_status status = status_of(model->writer);
    CHECK(status.end == (int64_t)model->end && status.written_end == status.end && status.err == 0);
    CHECK(!is_durable || status.durable_end == status.end);
    if (model->is_padded)
        assert_file(model->end, model->end != model->flushed ? PADDED + MODEL_AHEAD : NOT_PADDED);
    else
        assert_file_over(model->end, model->old_size);
    model->flushed = model->is_padded ? model->flushed : 0;
}

/* Some bytes of the stream's, and behind them what it is written over. */
static jdb_file *model_create(struct model *model)
{
    memcpy(scratch, bytes, model->end);
    memset(scratch + model->end, OLD, model->old_size - model->end);
    return rig_create(scratch, model->old_size);
}

/* What the status promises of a writer that has failed is there, and nothing is left allocated behind the file. */
static void model_check_failed(const struct model *model, const jdb_writer_status *status, int64_t bad_offset)
{
    struct stat now;
    const int64_t durable = (int64_t)model->durable;
    CHECK(status->err == model->err && status->durable_end <= durable && status->durable_end > durable - 4096);
    CHECK(status->durable_end <= status->written_end && status->written_end <= bad_offset);
    const int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && pread(fd, scratch, (size_t)status->written_end, 0) == (ssize_t)status->written_end);
    CHECK(memcmp(scratch, bytes, (size_t)status->written_end) == 0);
    CHECK(fstat(fd, &now) == 0 && now.st_blocks * 512 < now.st_size + 300000);
    CHECK(!model->is_padded || now.st_size <= status->end);
    close(fd);
}

static void run_model(uint64_t seed, jdb_engine *engine, struct rig_engine *rig)
{
    struct model model = {.seed = seed};
    const uint32_t flags = random_below(&model.seed, 2) == 0 ? JDB_STREAM_PADDED : 0;
    model.end = (size_t)random_below(&model.seed, 2) * (size_t)random_below(&model.seed, 20000);
    model.is_padded = flags != 0;
    model.flushed = model.end; /* nothing is padded before there is something to write */
    model.durable = model.end;
    model.old_size =
        model.end + (model.is_padded ? 0 : random_below(&model.seed, 2) * random_below(&model.seed, 100000));
    jdb_file *const file = model_create(&model);
    if (rig != NULL && random_below(&model.seed, 3) == 0)
        rig->bad_offset = (int64_t)(model.end + random_below(&model.seed, 1000000));
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    options.engine = engine;
    options.flags = flags;
    options.offset = model.old_size == model.end ? JDB_STREAM_END : (int64_t)model.end;
    options.frame_size = 8192u << random_below(&model.seed, 6);
    options.frame_count = 2 + (uint32_t)random_below(&model.seed, 6);
    options.preallocate_size = random_below(&model.seed, 2) * MODEL_AHEAD;
    options.durability = (uint32_t)random_below(&model.seed, 3);
    CHECK(jdb_writer_open(file, &options, &model.writer) == 0);
    for (unsigned i = 0; i < 120; i++) {
        const uint64_t choice = random_below(&model.seed, 100);
        if (choice < 60)
            do_append(&model);
        else if (choice < 75)
            do_lend(&model);
        else
            do_flush(&model, choice < 85);
    }
    const int flushed = jdb_writer_flush(model.writer);
    const jdb_writer_status status = status_of(model.writer);
    CHECK(model_check(&model, flushed) == (jdb_writer_close(model.writer) == 0));
    if (model.err != 0)
        model_check_failed(&model, &status, rig->bad_offset);
    else
        assert_file_over(model.end, model.old_size);
    struct stat now;
    const size_t size = model.end > model.old_size ? model.end : model.old_size;
    CHECK(stat(path, &now) == 0 && (uint64_t)now.st_blocks * 512 < size + 300000); /* nothing is left allocated */
    CHECK(jdb_file_close(file) == 0 || model.err != 0);
}

static void random_operations_are_those_of_a_model(void **state)
{
    (void)state;
    uint64_t seed = random_seed("writer model");
    const unsigned runs = (unsigned)tier_pick(6, 50, 800);
    for (unsigned run = 0; run < runs; run++) {
        struct rig_engine rig;
        rig_engine_init(&rig, random_next(&seed), 1 + (uint32_t)random_below(&seed, 12));
        run_model(random_next(&seed), run % 2 == 0 ? &rig.engine : NULL, run % 2 == 0 ? &rig : NULL);
        CHECK(rig.count == 0);
    }
}

/* ---- Errors ------------------------------------------------------------------------------------------------- */

static void an_error_stays_and_names_what_is_lost(void **state)
{
    (void)state;
    uint64_t seed = random_seed("writer error");
    for (int run = 0; run < 20; run++) {
        jdb_file *const file = rig_create(bytes, 0);
        struct rig_engine rig;
        rig_engine_init(&rig, random_next(&seed), 8);
        rig.bad_offset = 200000 + (int64_t)random_below(&seed, 500000);
        jdb_writer *const writer = open_writer(file, &rig.engine, 0, 0, 32768);
        CHECK(jdb_writer_append(writer, raw_of(0, 100000), NULL) == 0 && jdb_writer_sync(writer) == 0);
        int err = 0;
        size_t end = 100000;
        for (; err == 0 && end < 2000000; end += 10000)
            err = jdb_writer_append(writer, raw_of(end, 10000), NULL);
        CHECK(err == -EIO);
        CHECK(jdb_writer_append(writer, raw_of(0, 1), NULL) == -EIO && jdb_writer_flush(writer) == -EIO);
        jdb_raw room = {.cap = 7};
        CHECK(jdb_writer_sync(writer) == -EIO && jdb_writer_lend(writer, &room) == -EIO && room.cap == 7);
        const jdb_writer_status status = status_of(writer);
        CHECK(status.err == -EIO && status.durable_end == 100000);
        CHECK(status.written_end >= 100000 && status.written_end <= rig.bad_offset);
        CHECK(rig.bad_offset - status.written_end < 32768); /* the frame */
        jdb_raw view = jdb_raw_new(scratch, (size_t)status.written_end);
        CHECK(jdb_file_read_full(file, &view, 0, NULL) == 0 && memcmp(scratch, bytes, (size_t)status.written_end) == 0);
        CHECK(jdb_writer_close(writer) == -EIO);
        CHECK(rig.count == 0 && jdb_engine_close(&rig.engine) == 0);
        CHECK(jdb_file_close(file) == 0);
    }
}

static void a_failed_sync_stays(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 0);
    jdb_writer *const writer = open_writer(file, NULL, 0, 0, 0);
    CHECK(jdb_writer_append(writer, raw_of(0, 5000), NULL) == 0 && jdb_writer_sync(writer) == 0);
    CHECK(jdb_writer_append(writer, raw_of(5000, 5000), NULL) == 0);
    faults_arm(OS_CALL_SYNC, 0, -EIO);
    CHECK(jdb_writer_sync(writer) == -EIO && faults_disarm());
    CHECK(jdb_writer_sync(writer) == -EIO && status_of(writer).durable_end == 4096); /* the block was written again */
    CHECK(status_of(writer).written_end == 10000 && status_of(writer).err == -EIO);
    CHECK(status_of(writer).sync_count == 1 && status_of(writer).group_count == 2); /* the last one was not tried */
    CHECK(jdb_writer_close(writer) == -EIO);
    CHECK(jdb_file_close(file) == -EIO);
}

/* The last block was durable in part; its rewrite fails, and may have destroyed that part. */
static void a_failed_rewrite_takes_back_the_block(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        const bool is_tail = run != 0;
        const int err = run < 2 ? -EIO : -ENOSPC;
        jdb_file *const file = rig_create(bytes, 0);
        struct rig_engine rig;
        rig_engine_init(&rig, 7, 8);
        rig.bad_offset = 4500;
        jdb_writer *const writer = open_writer(file, &rig.engine, 0, 0, 32768);
        CHECK(jdb_writer_append(writer, raw_of(0, 5000), NULL) == 0 && jdb_writer_sync(writer) == 0);
        CHECK(status_of(writer).durable_end == 5000);
        CHECK(jdb_writer_append(writer, raw_of(5000, is_tail ? 100 : 30000), NULL) == 0);
        if (is_tail)
            faults_arm(OS_CALL_WRITE, 0, err);
        CHECK(jdb_writer_flush(writer) == err && (!is_tail || faults_disarm()));
        const int64_t known = err == -ENOSPC ? 5000 : 4096; /* where there was no room the block is as it was */
        CHECK(status_of(writer).durable_end == known && status_of(writer).written_end == known);
        CHECK(jdb_writer_close(writer) == err);
        (void)jdb_file_close(file); /* it keeps its error too */
    }
}

/* Whatever fails: what close, and sync, have returned 0 for is there. */
static void each_call_fails_in_turn(void **state)
{
    (void)state;
    jdb_engine_options engine_options = JDB_ENGINE_OPTIONS_INIT;
    engine_options.kind = JDB_ENGINE_SYNCHRONOUS;
    jdb_engine *engine = NULL;
    CHECK(jdb_engine_open(&engine_options, &engine) == 0);
    for (unsigned n = 0;; n++) {
        jdb_file *const file = rig_create(bytes, 0);
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        options.engine = n % 2 == 0 ? engine : NULL;
        options.flags = n % 4 < 2 ? JDB_STREAM_PADDED : 0;
        options.frame_size = 16384;
        options.frame_count = 2;
        options.preallocate_size = 100000;
        options.durability = JDB_FILE_DURABLE_DATA;
        jdb_writer *writer = NULL;
        faults_arm(FAULTS_ANY, n / 4, -EIO);
        int err = jdb_writer_open(file, &options, &writer);
        CHECK((err == 0) == (writer != NULL));
        for (size_t at = 0; err == 0 && at < 100000; at += 20000) {
            err = jdb_writer_append(writer, raw_of(at, 20000), NULL);
            err = err == 0 ? jdb_writer_sync(writer) : err;
            if (err == 0)
                assert_file(at + 20000, options.flags != 0 ? PADDED + options.preallocate_size : NOT_PADDED);
        }
        const int closed = jdb_writer_close(writer);
        const bool has_failed = faults_disarm();
        CHECK(err == 0 || writer == NULL || closed == err);
        if (writer != NULL && closed == 0)
            assert_file(100000, NOT_PADDED);
        (void)jdb_file_close(file); /* it keeps its error too */
        if (!has_failed && n % 4 == 3)
            break;
    }
    CHECK(jdb_engine_close(engine) == 0);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

#define RECORD 100
#define COMMITTERS 6

struct committer {
    pthread_t thread;
    jdb_writer *writer;
    unsigned number;
    unsigned count;
    unsigned sync_each;
    int64_t *offsets;
};

static void fill_record(uint8_t *record, unsigned number, unsigned at)
{
    for (unsigned i = 0; i < RECORD; i++)
        record[i] = (uint8_t)(number * 31 + at * 7 + i + 1);
}

static void *commit_records(void *context)
{
    struct committer *const own = context;
    for (unsigned i = 0; i < own->count; i++) {
        uint8_t record[RECORD];
        fill_record(record, own->number, i);
        MUST(jdb_writer_append(own->writer, jdb_raw_from_slice(record, RECORD), &own->offsets[i]) == 0);
        if (i % own->sync_each == 0) {
            MUST(jdb_writer_sync(own->writer) == 0);
            jdb_writer_status status = JDB_WRITER_STATUS_INIT;
            MUST(jdb_writer_get_status(own->writer, &status) == 0 && status.durable_end >= own->offsets[i] + RECORD);
        }
    }
    return NULL;
}

static void threads_commit_as_a_group(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_STREAM_PADDED; flags += JDB_STREAM_PADDED) {
        jdb_file *const file = rig_create(bytes, 0);
        jdb_writer *const writer = open_writer(file, NULL, flags, 0, 8192);
        struct committer committers[COMMITTERS];
        const unsigned count = (unsigned)tier_pick(60, 1000, 10000);
        for (unsigned i = 0; i < COMMITTERS; i++) {
            committers[i] = (struct committer){.writer = writer, .number = i, .count = count, .sync_each = 1 + i * 3};
            committers[i].offsets = calloc(count, sizeof(int64_t));
            CHECK(committers[i].offsets != NULL);
            CHECK(pthread_create(&committers[i].thread, NULL, commit_records, &committers[i]) == 0);
        }
        for (unsigned i = 0; i < COMMITTERS; i++)
            pthread_join(committers[i].thread, NULL);
        const jdb_writer_status status = status_of(writer);
        CHECK(status.end == (int64_t)COMMITTERS * count * RECORD && status.group_count < status.sync_count);
        print_message("%llu commits by %llu syncs of the file\n", (unsigned long long)status.sync_count,
                      (unsigned long long)status.group_count);
        CHECK(jdb_writer_close(writer) == 0);
        for (unsigned i = 0; i < COMMITTERS; i++) {
            for (unsigned at = 0; at < count; at++) {
                uint8_t record[RECORD];
                jdb_raw view = jdb_raw_new(scratch, RECORD);
                fill_record(record, i, at);
                CHECK(jdb_file_read_full(file, &view, committers[i].offsets[at], NULL) == 0 && view.len == RECORD);
                CHECK(memcmp(scratch, record, RECORD) == 0); /* whole */
            }
            free(committers[i].offsets);
        }
        CHECK(jdb_file_close(file) == 0);
    }
}

/* ---- Kill and recover --------------------------------------------------------------------------------------- */

static void append_until_killed(uint64_t seed, uint32_t flags, int report)
{
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    jdb_writer *const writer = open_writer(file, NULL, flags, 0, 32768);
    for (size_t end = 0; end < MODEL_MAX - 20000;) {
        const size_t size = (size_t)random_below(&seed, 20000);
        MUST(jdb_writer_append(writer, raw_of(end, size), NULL) == 0);
        end += size;
        if (random_below(&seed, 3) == 0) {
            MUST(jdb_writer_sync(writer) == 0);
            MUST(write(report, &end, sizeof end) == sizeof end);
        }
    }
    for (;;)
        pause();
}

/* Kill the child somewhere between two of its syncs, or in one; the bytes that it reported as durable. */
static size_t run_and_kill(uint64_t *seed, uint32_t flags)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    const uint64_t child_seed = random_next(seed);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        append_until_killed(child_seed, flags, ends[1]);
    close(ends[1]);
    size_t durable = 0;
    for (uint64_t reports = random_below(seed, 20); reports != 0; reports--)
        CHECK(read(ends[0], &durable, sizeof durable) == sizeof durable);
    const struct timespec pause_time = {.tv_nsec = (long)random_below(seed, 3000000)};
    nanosleep(&pause_time, NULL);
    CHECK(kill(child, SIGKILL) == 0);
    for (size_t end = 0; read(ends[0], &end, sizeof end) == sizeof end;)
        durable = end;
    close(ends[0]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    return durable;
}

static void what_was_synced_survives_a_kill(void **state)
{
    (void)state;
    uint64_t seed = random_seed("kill");
    const unsigned runs = (unsigned)tier_pick(8, 40, 600);
    size_t most = 0;
    for (unsigned run = 0; run < runs; run++) {
        const uint32_t flags = run % 2 == 0 ? 0 : JDB_STREAM_PADDED;
        jdb_file_close(rig_create(bytes, 0));
        const size_t durable = run_and_kill(&seed, flags);
        jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
        jdb_raw view = jdb_raw_new(scratch, durable);
        CHECK(durable == 0 || (jdb_file_read_full(file, &view, 0, NULL) == 0 && view.len == durable));
        CHECK(memcmp(scratch, bytes, durable) == 0);
        jdb_writer *const writer =
            open_writer(file, NULL, JDB_STREAM_PADDED, (int64_t)durable, 0); /* and on from there */
        const size_t more = durable < MODEL_MAX - 10000 ? 10000 : MODEL_MAX - durable;
        CHECK(jdb_writer_append(writer, raw_of(durable, more), NULL) == 0 && jdb_writer_close(writer) == 0);
        assert_file(durable + more, NOT_PADDED);
        CHECK(jdb_file_close(file) == 0);
        most = durable > most ? durable : most;
    }
    print_message("%u kills, the latest after %zu durable bytes\n", runs, most);
    CHECK(most != 0);
}

/* ---- The rest ----------------------------------------------------------------------------------------------- */

static void the_last_block_is_written_once_more(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 0);
    jdb_writer *const writer = open_writer(file, NULL, JDB_STREAM_PADDED, 0, 65536);
    CHECK(jdb_writer_append(writer, raw_of(0, 1000), NULL) == 0 && jdb_writer_flush(writer) == 0);
    CHECK(status_of(writer).request_count == 1 && status_of(writer).rewritten_size == 0);
    CHECK(jdb_writer_flush(writer) == 0 && status_of(writer).request_count == 1); /* nothing is new */
    CHECK(status_of(writer).sync_count == 0 && status_of(writer).group_count == 0);
    CHECK(jdb_writer_append(writer, raw_of(1000, 65536 + 200), NULL) == 0 && jdb_writer_flush(writer) == 0);
    CHECK(status_of(writer).request_count == 3 && status_of(writer).rewritten_size == 1000);
    assert_file(66736, PADDED);
    CHECK(jdb_writer_close(writer) == 0);
    assert_file(66736, NOT_PADDED);
    CHECK(jdb_file_close(file) == 0);
}

static void preallocation_is_ahead_and_may_be_refused(void **state)
{
    (void)state;
    const bool knows_blocks = getenv("JDB_TEST_NO_BLOCKS") == NULL; /* by gluster_test.sh */
    for (int is_refused = 0; is_refused < 2; is_refused++) {
        jdb_file *const file = rig_create(bytes, 0);
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        options.preallocate_size = 5000000;
        jdb_writer *writer = NULL;
        CHECK(jdb_writer_open(file, &options, &writer) == 0);
        if (is_refused != 0)
            faults_arm(OS_CALL_TRUNCATE, 0, -ENOSPC);
        CHECK(jdb_writer_append(writer, raw_of(0, 2 << 20), NULL) == 0 && jdb_writer_flush(writer) == 0);
        CHECK(faults_disarm() == (is_refused != 0));
        const int err = status_of(writer).preallocate_err;
        struct stat now;
        CHECK(stat(path, &now) == 0 && now.st_size == 2 << 20);
        CHECK(is_refused != 0 ? err == -ENOSPC : err == -ENOTSUP || !knows_blocks || now.st_blocks * 512 >= 5000000);
        CHECK(jdb_writer_close(writer) == 0);
        CHECK(stat(path, &now) == 0 && now.st_size == 2 << 20 && now.st_blocks * 512 < 3000000);
        assert_file(2 << 20, NOT_PADDED);
        CHECK(jdb_file_preallocate(NULL, 0, 1) == -EINVAL && jdb_file_preallocate(file, -1, 1) == -EINVAL);
        CHECK(jdb_file_preallocate(file, 0, 0) == -EINVAL && jdb_file_preallocate(file, 1, INT64_MAX) == -EOVERFLOW);
        CHECK(jdb_file_close(file) == 0);
    }
}

static uint64_t allocated_now(void)
{
    struct stat now;
    CHECK(stat(path, &now) == 0);
    return (uint64_t)now.st_blocks * 512;
}

static jdb_writer *open_ahead(jdb_file *file, jdb_engine *engine, uint32_t flags, uint64_t preallocate_size)
{
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    options.engine = engine;
    options.flags = flags;
    options.preallocate_size = preallocate_size;
    jdb_writer *writer = NULL;
    CHECK(jdb_writer_open(file, &options, &writer) == 0);
    return writer;
}

/* No frame is ever full. */
static void short_records_have_space_ahead_too(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_STREAM_PADDED; flags += JDB_STREAM_PADDED) {
        jdb_file *const file = rig_create(bytes, 0);
        jdb_writer *const writer = open_ahead(file, NULL, flags, 4000000);
        for (size_t at = 0; at < 1000; at += 100) {
            CHECK(jdb_writer_append(writer, raw_of(at, 100), NULL) == 0 && jdb_writer_sync(writer) == 0);
            CHECK(status_of(writer).preallocate_err != 0 || getenv("JDB_TEST_NO_BLOCKS") != NULL ||
                  allocated_now() >= 4000000);
        }
        CHECK(jdb_writer_close(writer) == 0 && allocated_now() < 100000);
        assert_file(1000, NOT_PADDED);
        CHECK(jdb_file_close(file) == 0);
    }
}

/* Whatever became of the writer: a write that fails; an allocation that found a part of its space; data behind the stream. */
static void space_ahead_is_freed_at_close(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= JDB_STREAM_PADDED; flags += JDB_STREAM_PADDED) {
        struct rig_engine rig;
        rig_engine_init(&rig, 3, 8);
        rig.bad_offset = 1 << 20;
        jdb_file *const file = rig_create(bytes, 0);
        jdb_writer *const writer = open_ahead(file, &rig.engine, flags, 8000000);
        CHECK(jdb_writer_append(writer, raw_of(0, 5 << 19), NULL) == 0 && jdb_writer_flush(writer) == -EIO);
        CHECK(jdb_writer_close(writer) == -EIO && allocated_now() < 3000000);
        CHECK(jdb_file_close(file) == 0);
    }
    jdb_file *file = rig_create(bytes, 0);
    jdb_writer *writer = open_ahead(file, NULL, 0, 8000000);
    (void)jdb_file_preallocate(file, 0, 7000000);
    faults_arm(OS_CALL_TRUNCATE, 0, -ENOSPC);
    CHECK(jdb_writer_append(writer, raw_of(0, 5000), NULL) == 0 && jdb_writer_flush(writer) == 0 && faults_disarm());
    CHECK(jdb_writer_close(writer) == 0 && allocated_now() < 100000);
    assert_file(5000, NOT_PADDED);
    CHECK(jdb_file_close(file) == 0);
    file = rig_create(bytes, 100000);
    writer = open_ahead(file, NULL, 0, 8000000);
    CHECK(jdb_writer_append(writer, raw_of(0, 5000), NULL) == 0 && jdb_writer_close(writer) == 0);
    CHECK(allocated_now() < 200000);
    assert_file(100000, NOT_PADDED);
    CHECK(jdb_file_close(file) == 0);
}

struct other_writer {
    jdb_file *file;
    unsigned round_count;
    _Atomic unsigned round; /* that may begin */
};

#define OTHER_OFFSET ((int64_t)600000)

static void *write_behind(void *context)
{
    struct other_writer *const own = context;
    for (unsigned round = 1; round <= own->round_count; round++) {
        while (atomic_load(&own->round) < 2 * round)
            continue;
        MUST(jdb_file_write_full(own->file, raw_of(0, 100), OTHER_OFFSET, NULL) == 0);
        atomic_store(&own->round, 2 * round + 1);
    }
    return NULL;
}

/* The end of the file that the space behind is freed of is not that of a moment ago. */
static void closing_cuts_nothing_that_others_write(void **state)
{
    (void)state;
    uint64_t seed = random_seed("close and another writer");
    struct other_writer other = {.file = rig_create(bytes, 0)};
    other.round_count = (unsigned)tier_pick(60, 200, 1000);
    jdb_engine_options engine_options = JDB_ENGINE_OPTIONS_INIT;
    engine_options.kind = JDB_ENGINE_SYNCHRONOUS;
    jdb_engine *engine = NULL;
    CHECK(jdb_engine_open(&engine_options, &engine) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, write_behind, &other) == 0);
    for (unsigned round = 1; round <= other.round_count; round++) {
        CHECK(jdb_file_truncate(other.file, 0) == 0);
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        options.engine = engine;
        options.frame_size = 4096;
        options.preallocate_size = 2000000;
        jdb_writer *writer = NULL;
        CHECK(jdb_writer_open(other.file, &options, &writer) == 0);
        CHECK(jdb_writer_append(writer, raw_of(0, 8192), NULL) == 0 && jdb_writer_flush(writer) == 0);
        atomic_store(&other.round, 2 * round);
        for (volatile uint64_t spin = random_below(&seed, 30000); spin != 0; spin--)
            continue;
        CHECK(jdb_writer_close(writer) == 0);
        while (atomic_load(&other.round) == 2 * round)
            continue;
        jdb_raw view = jdb_raw_new(scratch, 100);
        CHECK(jdb_file_read_full(other.file, &view, OTHER_OFFSET, NULL) == 0 && view.len == 100);
    }
    pthread_join(thread, NULL);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(other.file) == 0);
}

/* Writes inside of a file do not wait for each other; close() makes the end exact. */
static void padded_files_end_behind_the_space_allocated_ahead(void **state)
{
    (void)state;
    const size_t ahead = 3000000; /* more than is appended */
    for (int is_refused = 0; is_refused < 2; is_refused++) {
        jdb_file *const file = rig_create(bytes, 0);
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        options.flags = JDB_STREAM_PADDED;
        options.preallocate_size = ahead;
        jdb_writer *writer = NULL;
        CHECK(jdb_writer_open(file, &options, &writer) == 0);
        faults_arm(OS_CALL_TRUNCATE, is_refused != 0 ? 1 : 1000, -EIO); /* 1: the one behind the allocation */
        CHECK(jdb_writer_append(writer, raw_of(0, 2005000), NULL) == 0 && jdb_writer_sync(writer) == 0);
        const bool has_failed = faults_disarm();
        const int err = status_of(writer).preallocate_err;
        CHECK(err == -ENOTSUP || (has_failed == (is_refused != 0) && err == (is_refused != 0 ? -EIO : 0)));
        struct stat now;
        CHECK(stat(path, &now) == 0 && (err != 0 || now.st_size == (off_t)ahead));
        assert_file(2005000, err != 0 ? PADDED : ahead);
        CHECK(jdb_writer_close(writer) == 0);
        assert_file(2005000, NOT_PADDED);
        CHECK(jdb_file_close(file) == 0);
    }
}

/* It would end the process by SIGXFSZ, though no byte is written there: ftruncate() anywhere, fallocate() on tmpfs. */
static void space_is_not_allocated_past_the_limit_of_the_process(void **state)
{
    (void)state;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {2000000, 2000000};
        jdb_file *const file = rig_create(bytes, 0);
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        options.flags = JDB_STREAM_PADDED;
        options.preallocate_size = 3000000;
        jdb_writer *writer = NULL;
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0 && jdb_writer_open(file, &options, &writer) == 0);
        CHECK(jdb_writer_append(writer, raw_of(0, 1500000), NULL) == 0 && jdb_writer_flush(writer) == 0);
        CHECK(status_of(writer).preallocate_err == -EFBIG && jdb_writer_close(writer) == 0);
        assert_file(1500000, NOT_PADDED);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* ---- Shared pools ------------------------------------------------------------------------------------------- */

static jdb_writer *called_writer;
static unsigned calls_made;

/* By the pool, on the thread that gives a frame back. */
static void use_writer(jdb_pool_wait *wait)
{
    (void)wait;
    CHECK(status_of(called_writer).err == 0 &&
          jdb_writer_append(called_writer, raw_of((size_t)4 * 32768, 100), NULL) == 0);
    calls_made++;
}

/* Waiters of the pool are called, and its arena grows, without the lock of the writer. */
static void the_pool_calls_the_program_that_uses_the_writer(void **state)
{
    (void)state;
    for (uint32_t frame_count = 2; frame_count <= 4; frame_count += 2) {
        jdb_file *const file = rig_create(bytes, 0);
        jdb_arena_options arena_options = JDB_ARENA_OPTIONS_INIT;
        jdb_pool_options pool_options = JDB_POOL_OPTIONS_INIT;
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        jdb_arena *arena = NULL;
        arena_options.frame_size = 32768;
        arena_options.frame_count = frame_count;
        arena_options.max_frame_count = 4;
        pool_options.grow_frames = 1;
        CHECK(jdb_arena_new(&arena_options, &arena) == 0 && jdb_pool_new(arena, &pool_options, &options.pool) == 0);
        CHECK(jdb_writer_open(file, &options, &called_writer) == 0);
        CHECK(jdb_writer_append(called_writer, raw_of(0, (size_t)4 * 32768), NULL) == 0);
        jdb_pool_stats stats = JDB_POOL_STATS_INIT;
        CHECK(jdb_pool_get_stats(options.pool, &stats) == 0 && stats.lent_count == 4);
        jdb_pool_wait wait;
        jdb_frame frame;
        calls_made = 0;
        jdb_pool_wait_init(&wait, use_writer, NULL);
        CHECK(jdb_pool_wait_start(options.pool, &wait, 1, &frame) == -EAGAIN);
        CHECK(jdb_writer_flush(called_writer) == 0 && calls_made == 1 && jdb_pool_put(options.pool, frame) == 0);
        CHECK(jdb_writer_close(called_writer) == 0);
        assert_file((size_t)4 * 32768 + 100, NOT_PADDED);
        CHECK(jdb_pool_free(options.pool) == 0 && jdb_arena_free(arena) == 0 && jdb_file_close(file) == 0);
    }
}

static void arguments(void **state)
{
    (void)state;
    jdb_file *const file = rig_create(bytes, 5000);
    jdb_writer *writer = NULL;
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    CHECK(jdb_writer_open(NULL, NULL, &writer) == -EINVAL && jdb_writer_open(file, NULL, NULL) == -EINVAL);
    options.flags = JDB_STREAM_BACKWARD;
    CHECK(jdb_writer_open(file, &options, &writer) == -EINVAL);
    options = JDB_STREAM_OPTIONS_INIT;
    options.durability = 9;
    CHECK(jdb_writer_open(file, &options, &writer) == -EINVAL);
    options = JDB_STREAM_OPTIONS_INIT;
    options.reserved[0] = 1;
    CHECK(jdb_writer_open(file, &options, &writer) == -E2BIG && writer == NULL);
    writer = open_writer(file, NULL, 0, JDB_STREAM_END, 0);
    jdb_writer_status status = {.size = 4};
    CHECK(jdb_writer_get_status(writer, &status) == -EINVAL && jdb_writer_get_status(NULL, &status) == -EINVAL);
    CHECK(jdb_writer_append(NULL, raw_of(0, 1), NULL) == -EINVAL && jdb_writer_sync(NULL) == -EINVAL);
    CHECK(jdb_writer_append(writer, (jdb_raw){.len = 1}, NULL) == -EINVAL && jdb_writer_flush(NULL) == -EINVAL);
    CHECK(jdb_writer_lend(writer, NULL) == -EINVAL && jdb_writer_commit(writer, 0) == -EINVAL);
    CHECK(jdb_writer_append(writer, raw_of(0, 0), NULL) == 0 && jdb_writer_sync(writer) == 0);
    CHECK(status_of(writer).request_count == 0 && status_of(writer).group_count == 0);
    CHECK(jdb_writer_close(writer) == 0 && jdb_writer_close(NULL) == 0);
    writer = open_writer(file, NULL, 0, INT64_MAX - 8192, 0);
    int64_t offset = 5;
    CHECK(jdb_writer_append(writer, raw_of(0, 9000), &offset) == -EOVERFLOW && offset == 5);
    CHECK(jdb_writer_close(writer) == 0);
    writer = open_writer(file, NULL, 0, INT64_MAX - 100, 0); /* in the last block */
    jdb_raw room = {.cap = 7};
    CHECK(jdb_writer_append(writer, raw_of(0, 200), &offset) == -EOVERFLOW && offset == 5);
    CHECK(jdb_writer_lend(writer, &room) == -EOVERFLOW && room.cap == 7 && status_of(writer).end == INT64_MAX - 100);
    CHECK(jdb_writer_append(writer, raw_of(0, 0), NULL) == 0 && jdb_writer_close(writer) == 0);
    assert_file(5000, NOT_PADDED);
    CHECK(jdb_file_close(file) == 0);
}

static void use_in_child(void *context)
{
    jdb_writer *const writer = context;
    jdb_raw room;
    jdb_writer_status status = JDB_WRITER_STATUS_INIT;
    MUST(jdb_writer_append(writer, raw_of(0, 1), NULL) == -EPERM && jdb_writer_sync(writer) == -EPERM);
    MUST(jdb_writer_flush(writer) == -EPERM && jdb_writer_lend(writer, &room) == -EPERM);
    MUST(jdb_writer_commit(writer, 0) == -EPERM && jdb_writer_get_status(writer, &status) == -EPERM);
    MUST(jdb_writer_close(writer) == -EPERM);
}

static void a_child_cannot_use_it(void **state)
{
    (void)state;
    char text[256];
    jdb_file *const file = rig_create(bytes, 0);
    jdb_engine_options engine_options = JDB_ENGINE_OPTIONS_INIT;
    engine_options.kind = JDB_ENGINE_SYNCHRONOUS;
    jdb_engine *engine = NULL;
    CHECK(jdb_engine_open(&engine_options, &engine) == 0);
    jdb_writer *const writer = open_writer(file, engine, 0, 0, 0);
    assert_int_equal(must_run_child(use_in_child, writer, text, sizeof text), 0);
    assert_string_equal(text, "");
    CHECK(jdb_writer_close(writer) == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_are_those_of_a_model),
        cmocka_unit_test(an_error_stays_and_names_what_is_lost),
        cmocka_unit_test(a_failed_sync_stays),
        cmocka_unit_test(a_failed_rewrite_takes_back_the_block),
        cmocka_unit_test(each_call_fails_in_turn),
        cmocka_unit_test(threads_commit_as_a_group),
        cmocka_unit_test(what_was_synced_survives_a_kill),
        cmocka_unit_test(the_last_block_is_written_once_more),
        cmocka_unit_test(preallocation_is_ahead_and_may_be_refused),
        cmocka_unit_test(short_records_have_space_ahead_too),
        cmocka_unit_test(space_ahead_is_freed_at_close),
        cmocka_unit_test(closing_cuts_nothing_that_others_write),
        cmocka_unit_test(padded_files_end_behind_the_space_allocated_ahead),
        cmocka_unit_test(space_is_not_allocated_past_the_limit_of_the_process),
        cmocka_unit_test(the_pool_calls_the_program_that_uses_the_writer),
        cmocka_unit_test(arguments),
        cmocka_unit_test(a_child_cannot_use_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
