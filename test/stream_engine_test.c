/* SPDX-License-Identifier: MIT
 *
 * stream_engine_test.c - engines: each kind does what the file's own calls do, in flight or not; refusals, cancels, fork.
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#include "stream_rig.h"

#define FILE_SIZE ((size_t)1 << 20)

static uint8_t bytes[FILE_SIZE];

static int make_file(void **state)
{
    (void)state;
    rig_path("jdb_engine_test");
    rig_fill(bytes, sizeof bytes, 1);
    jdb_file_close(rig_create(bytes, sizeof bytes));
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    faults_set_hook(NULL);
    faults_disarm();
    unlink(path);
    return 0;
}

static jdb_engine *open_kind(uint32_t kind, uint32_t depth)
{
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = kind;
    options.depth = depth;
    jdb_engine *engine = NULL;
    CHECK(jdb_engine_open(&options, &engine) == 0);
    return engine;
}

static jdb_engine_io io_of(jdb_file *file, uint8_t *ptr, size_t size, int64_t offset, bool is_write)
{
    jdb_engine_io io = JDB_ENGINE_IO_INIT;
    io.file = file;
    io.view = is_write ? jdb_raw_from_slice(ptr, size) : jdb_raw_new(ptr, size);
    io.offset = offset;
    io.is_write = is_write ? 1 : 0;
    return io;
}

/* ---- Each kind ---------------------------------------------------------------------------------------------- */

#define MANY 40

static void read_many(jdb_engine *engine, jdb_file *file, jdb_buf *buf)
{
    jdb_engine_io ios[MANY];
    uint64_t seed = random_seed("read_many");
    for (size_t i = 0; i < MANY; i++) {
        const size_t offset = random_below(&seed, FILE_SIZE);
        ios[i] = io_of(file, buf->ptr + i * 8192, 1 + random_below(&seed, 8192), (int64_t)offset, false);
        CHECK(jdb_engine_start(engine, &ios[i]) == 0);
        CHECK(jdb_engine_start(engine, &ios[i]) == -EBUSY);
    }
    for (size_t i = MANY; i-- > 0;) {
        const size_t there = FILE_SIZE - (size_t)ios[i].offset;
        const size_t expected = there < ios[i].view.cap ? there : ios[i].view.cap;
        CHECK(jdb_engine_wait(engine, &ios[i]) == 0);
        CHECK(ios[i].err == 0 && ios[i].view.len == expected && ios[i].done_size == expected);
        CHECK((ios[i].is_eof != 0) == (expected < ios[i].view.cap));
        CHECK(memcmp(ios[i].view.ptr, bytes + ios[i].offset, expected) == 0);
        CHECK(jdb_engine_wait(engine, &ios[i]) == -EINVAL && !jdb_engine_is_complete(&ios[i]));
    }
    CHECK(jdb_engine_in_flight(engine) == 0);
}

static void write_many(jdb_engine *engine, jdb_file *file, jdb_buf *buf)
{
    jdb_engine_io ios[MANY];
    rig_fill(buf->ptr, MANY * 8192, 5);
    for (size_t i = 0; i < MANY; i++) {
        ios[i] = io_of(file, buf->ptr + i * 8192, 8192, (int64_t)(i * 8192), true);
        CHECK(jdb_engine_start(engine, &ios[i]) == 0);
    }
    for (size_t i = 0; i < MANY; i++)
        CHECK(jdb_engine_wait(engine, &ios[i]) == 0 && ios[i].err == 0 && ios[i].done_size == 8192);
    memcpy(bytes, buf->ptr, MANY * 8192);
    jdb_raw view = jdb_raw_new(buf->ptr, MANY * 8192);
    CHECK(jdb_file_read_full(file, &view, 0, NULL) == 0);
    CHECK(memcmp(view.ptr, bytes, MANY * 8192) == 0);
}

static void each_kind_reads_and_writes(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 8192) == 0);
    for (uint32_t kind = JDB_ENGINE_AUTO; kind <= JDB_ENGINE_THREADS; kind++) {
        jdb_engine *const engine = open_kind(kind, 4);
        jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
        CHECK(jdb_engine_kind(engine) == (kind == JDB_ENGINE_AUTO ? JDB_ENGINE_THREADS : kind));
        CHECK(jdb_engine_depth(engine) == (kind == JDB_ENGINE_SYNCHRONOUS ? 1u : 4u));
        CHECK(jdb_engine_reason(engine)[0] == '\0');
        read_many(engine, file, &buf);
        write_many(engine, file, &buf);
        read_many(engine, file, &buf);
        CHECK(jdb_engine_close(engine) == 0);
        CHECK(jdb_file_close(file) == 0);
    }
    jdb_buf_drop(&buf);
}

static void errors_are_of_the_file(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 8192) == 0);
    for (uint32_t kind = JDB_ENGINE_SYNCHRONOUS; kind <= JDB_ENGINE_THREADS; kind++) {
        jdb_engine *const engine = open_kind(kind, 2);
        jdb_file *const file = rig_open(JDB_FILE_READ);
        jdb_engine_io io = io_of(file, buf.ptr, 4096, 0, true);
        CHECK(jdb_engine_start(engine, &io) == 0 && jdb_engine_wait(engine, &io) == 0);
        CHECK(io.err == -EBADF && io.done_size == 0);
        io = io_of(file, buf.ptr, 8192, 0, false);
        faults_arm(OS_CALL_READ, 0, -EIO);
        CHECK(jdb_engine_start(engine, &io) == 0 && jdb_engine_wait(engine, &io) == 0);
        CHECK(faults_disarm());
        CHECK(io.err == -EIO && io.view.len == 0);
        CHECK(jdb_engine_start(engine, &io) == 0 && jdb_engine_wait(engine, &io) == 0); /* used again */
        CHECK(io.err == 0 && io.view.len == 8192);
        CHECK(jdb_engine_close(engine) == 0);
        CHECK(jdb_file_close(file) == 0);
    }
    jdb_buf_drop(&buf);
}

/* ---- Arguments ---------------------------------------------------------------------------------------------- */

static void arguments(void **state)
{
    (void)state;
    jdb_engine *engine = NULL;
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    CHECK(jdb_engine_open(NULL, NULL) == -EINVAL);
    options.kind = JDB_ENGINE_URING;
    CHECK(jdb_engine_open(&options, &engine) == -EINVAL);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.depth = JDB_ENGINE_DEPTH_MAX + 1;
    CHECK(jdb_engine_open(&options, &engine) == -EINVAL);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.flags = JDB_ENGINE_ONE_THREAD << 1;
    CHECK(jdb_engine_open(&options, &engine) == -EINVAL);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.reserved[0] = 1;
    CHECK(jdb_engine_open(&options, &engine) == -E2BIG);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.size = 4;
    CHECK(jdb_engine_open(&options, &engine) == -EINVAL && engine == NULL);
    CHECK(jdb_engine_open(NULL, &engine) == 0);
    CHECK(jdb_engine_depth(engine) == JDB_ENGINE_DEPTH_DEFAULT);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    uint8_t byte = 0;
    jdb_engine_io io = io_of(NULL, &byte, 1, 0, false);
    CHECK(jdb_engine_start(engine, &io) == -EINVAL);
    io = io_of(file, &byte, 0, 0, false);
    CHECK(jdb_engine_start(engine, &io) == -EINVAL);
    io = io_of(file, &byte, 1, -1, false);
    CHECK(jdb_engine_start(engine, &io) == -EINVAL);
    CHECK(jdb_engine_start(NULL, &io) == -EINVAL && jdb_engine_start(engine, NULL) == -EINVAL);
    CHECK(jdb_engine_wait(engine, &io) == -EINVAL && jdb_engine_cancel(engine, &io) == -EINVAL);
    CHECK(jdb_engine_wait(engine, NULL) == -EINVAL && jdb_engine_cancel(NULL, &io) == -EINVAL);
    jdb_engine_io *line = &io;
    CHECK(jdb_engine_wait_any(engine, &line, 1, 0, &line) == -EINVAL && line == &io); /* not started */
    CHECK(jdb_engine_wait_any(engine, &line, 0, 0, &line) == -EINVAL);
    CHECK(jdb_engine_wait_any(NULL, &line, 1, 0, &line) == -EINVAL);
    CHECK(jdb_engine_wait_any(engine, NULL, 1, 0, &line) == -EINVAL);
    CHECK(jdb_engine_wait_any(engine, &line, 1, 0, NULL) == -EINVAL);
    CHECK(jdb_engine_add_arena(engine, NULL) == -EINVAL && jdb_engine_remove_arena(NULL, NULL) == -EINVAL);
    CHECK(jdb_engine_kind(NULL) == 0 && jdb_engine_depth(NULL) == 0 && jdb_engine_in_flight(NULL) == 0);
    CHECK(jdb_engine_reason(NULL)[0] == '\0' && jdb_engine_close(NULL) == 0 && !jdb_engine_is_complete(NULL));
    CHECK(strcmp(jdb_engine_kind_name(JDB_ENGINE_THREADS), "threads") == 0);
    CHECK(strcmp(jdb_engine_kind_name(99), "?") == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
}

/* ---- Refusals ----------------------------------------------------------------------------------------------- */

static void threads_that_the_system_refuses(void **state)
{
    (void)state;
    jdb_engine *engine = NULL;
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.depth = 5;
    faults_arm(OS_CALL_THREAD, 3, -EAGAIN);
    CHECK(jdb_engine_open(&options, &engine) == 0);
    CHECK(faults_disarm());
    CHECK(jdb_engine_kind(engine) == JDB_ENGINE_THREADS && jdb_engine_depth(engine) == 3);
    CHECK(strstr(jdb_engine_reason(engine), "3 of 5 threads") != NULL);
    CHECK(jdb_engine_close(engine) == 0);

    faults_arm(OS_CALL_THREAD, 0, -EAGAIN);
    CHECK(jdb_engine_open(&options, &engine) == 0);
    CHECK(faults_disarm());
    CHECK(jdb_engine_kind(engine) == JDB_ENGINE_SYNCHRONOUS);
    CHECK(strstr(jdb_engine_reason(engine), "no thread could be started") != NULL);
    CHECK(jdb_engine_close(engine) == 0);

    options.kind = JDB_ENGINE_THREADS;
    engine = NULL;
    faults_arm(OS_CALL_THREAD, 0, -EAGAIN);
    CHECK(jdb_engine_open(&options, &engine) == -EAGAIN && engine == NULL);
    CHECK(faults_disarm());
    for (unsigned n = 0;; n++) {
        faults_arm(OS_CALL_ALLOC, n, -ENOMEM);
        const int err = jdb_engine_open(&options, &engine);
        if (!faults_disarm()) {
            CHECK(err == 0);
            break;
        }
        CHECK(n < 2 ? err == -ENOMEM : err == 0 && jdb_engine_depth(engine) == n - 1);
        CHECK(err != 0 || jdb_engine_close(engine) == 0);
    }
    CHECK(jdb_engine_close(engine) == 0);
}

/* ---- Cancel ------------------------------------------------------------------------------------------------- */

static atomic_bool is_held;
static atomic_uint held_count;

static int hold_reads(enum os_call kind)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    if (kind == OS_CALL_READ && atomic_load(&is_held))
        atomic_fetch_add(&held_count, 1);
    while (kind == OS_CALL_READ && atomic_load(&is_held))
        nanosleep(&pause, NULL);
    return 0;
}

static void a_queued_request_is_cancelled(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 16384) == 0);
    memset(buf.ptr, 0xee, 16384);
    jdb_engine *const engine = open_kind(JDB_ENGINE_THREADS, 1);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    atomic_store(&is_held, true);
    faults_set_hook(hold_reads);
    jdb_engine_io ios[4];
    for (size_t i = 0; i < 4; i++) {
        ios[i] = io_of(file, buf.ptr + i * 4096, 4096, (int64_t)i * 4096, false);
        CHECK(jdb_engine_start(engine, &ios[i]) == 0);
    }
    CHECK(jdb_engine_close(engine) == -EBUSY && jdb_engine_in_flight(engine) == 4);
    CHECK(jdb_engine_cancel(engine, &ios[3]) == 0 && jdb_engine_is_complete(&ios[3])); /* the last, and one between */
    CHECK(jdb_engine_cancel(engine, &ios[1]) == 0 && jdb_engine_is_complete(&ios[1]));
    CHECK(!jdb_engine_is_complete(&ios[2]));
    atomic_store(&is_held, false);
    for (size_t i = 0; i < 4; i++) {
        const bool is_cancelled = i == 1 || i == 3;
        CHECK(jdb_engine_wait(engine, &ios[i]) == 0);
        CHECK(ios[i].err == (is_cancelled ? -ECANCELED : 0) && ios[i].view.len == (is_cancelled ? 0u : 4096u));
        CHECK(buf.ptr[i * 4096] == (is_cancelled ? 0xee : bytes[i * 4096]));
    }
    CHECK(jdb_engine_start(engine, &ios[3]) == 0); /* the queue is whole */
    CHECK(jdb_engine_wait(engine, &ios[3]) == 0 && ios[3].err == 0);
    faults_set_hook(NULL);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* ---- Any of several ----------------------------------------------------------------------------------------- */

#define MILLISECOND UINT64_C(1000000)

/* All of them, whichever is complete first; between them a NULL and one that was not started. */
static void read_any(jdb_engine *engine, jdb_file *file, jdb_buf *buf)
{
    jdb_engine_io requests[MANY];
    jdb_engine_io idle = JDB_ENGINE_IO_INIT;
    jdb_engine_io *ios[MANY + 2];
    for (size_t i = 0; i < MANY; i++) {
        requests[i] = io_of(file, buf->ptr + i * 8192, 4096, (int64_t)i * 4096, false);
        ios[i] = &requests[i];
        CHECK(jdb_engine_start(engine, &requests[i]) == 0);
    }
    ios[MANY] = NULL;
    ios[MANY + 1] = &idle;
    for (size_t i = 0; i < MANY; i++) {
        jdb_engine_io *io = NULL;
        CHECK(jdb_engine_wait_any(engine, ios, MANY + 2, UINT64_MAX, &io) == 0);
        CHECK(io->err == 0 && memcmp(io->view.ptr, bytes + io->offset, 4096) == 0);
        CHECK(jdb_engine_wait(engine, io) == -EINVAL);
        ios[io - requests] = NULL; /* once each */
    }
    CHECK(jdb_engine_wait_any(engine, ios, MANY + 2, UINT64_MAX, &ios[0]) == -EINVAL && ios[0] == NULL);
    CHECK(jdb_engine_in_flight(engine) == 0);
}

static void each_kind_waits_for_any(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 8192) == 0);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    for (uint32_t kind = JDB_ENGINE_SYNCHRONOUS; kind <= JDB_ENGINE_THREADS; kind++) {
        jdb_engine *const engine = open_kind(kind, 4);
        for (uint64_t round = 0; round < tier_pick(20, 200, 2000); round++)
            read_any(engine, file, &buf);
        CHECK(jdb_engine_close(engine) == 0);
    }
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* The first in the array, though a later one was complete before. */
static void the_first_that_is_complete_is_taken(void **state)
{
    (void)state;
    static uint8_t memory[3];
    jdb_engine *const engine = open_kind(JDB_ENGINE_SYNCHRONOUS, 0);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    jdb_engine_io requests[3];
    jdb_engine_io *ios[3];
    for (size_t i = 0; i < 3; i++) {
        requests[i] = io_of(file, &memory[i], 1, (int64_t)i, false);
        ios[i] = &requests[i];
        CHECK(jdb_engine_start(engine, ios[i]) == 0);
    }
    for (size_t i = 0; i < 3; i++) {
        jdb_engine_io *io = NULL;
        CHECK(jdb_engine_wait_any(engine, ios, 3, 0, &io) == 0 && io == &requests[i]);
    }
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
}

/* Nothing but `is_held` completes the requests. */
static void check_deadlines(jdb_engine *engine, jdb_engine_io *first, jdb_engine_io *second)
{
    jdb_engine_io *const ios[] = {first, second};
    jdb_engine_io *io = NULL;
    const uint64_t begin = jdb_clock_ns();
    CHECK(jdb_engine_wait_any(engine, ios, 2, 0, &io) == -ETIMEDOUT && io == NULL);
    CHECK(jdb_engine_wait_any(engine, ios, 2, begin, &io) == -ETIMEDOUT && io == NULL);
    CHECK(jdb_engine_wait_any(engine, ios, 2, begin + 20 * MILLISECOND, &io) == -ETIMEDOUT && io == NULL);
    CHECK(jdb_clock_ns() >= begin + 20 * MILLISECOND && jdb_engine_in_flight(engine) == 2);
    CHECK(first->err == 0 && first->done_size == 0 && !jdb_engine_is_complete(first));
    CHECK(jdb_engine_start(engine, first) == -EBUSY);
}

static void *let_go(void *context)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    (void)context;
    nanosleep(&pause, NULL);
    atomic_store(&is_held, false);
    return NULL;
}

/* A request that one call has waited for in vain is waited for by another, of either kind, which sleeps when it completes. */
static void a_deadline_passes(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 16384) == 0);
    jdb_engine *const engine = open_kind(JDB_ENGINE_THREADS, 2);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    for (int round = 0; round < 2; round++) {
        pthread_t thread;
        atomic_store(&is_held, true);
        faults_set_hook(hold_reads);
        jdb_engine_io first = io_of(file, buf.ptr, 4096, 0, false);
        jdb_engine_io second = io_of(file, buf.ptr + 8192, 4096, 8192, false);
        jdb_engine_io *const ios[] = {&first, &second};
        jdb_engine_io *io = NULL;
        CHECK(jdb_engine_start(engine, &first) == 0 && jdb_engine_start(engine, &second) == 0);
        check_deadlines(engine, &first, &second);
        CHECK(pthread_create(&thread, NULL, let_go, NULL) == 0);
        if (round == 0)
            CHECK(jdb_engine_wait(engine, &second) == 0 && second.err == 0);
        else
            CHECK(jdb_engine_wait_any(engine, &ios[1], 1, jdb_clock_ns() + 60000 * MILLISECOND, &io) == 0 &&
                  io == &second);
        CHECK(jdb_engine_wait_any(engine, ios, 2, UINT64_MAX, &io) == 0 && io == &first && first.err == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        faults_set_hook(NULL);
    }
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* ---- Abandon ------------------------------------------------------------------------------------------------ */

static void an_engine_is_abandoned_when_idle(void **state)
{
    (void)state;
    uint8_t byte = 0;
    jdb_file *const file = rig_open(JDB_FILE_READ);
    CHECK(jdb_engine_abandon(NULL, 0) == 0);
    for (uint32_t kind = JDB_ENGINE_SYNCHRONOUS; kind <= JDB_ENGINE_THREADS; kind++) {
        jdb_engine *engine = open_kind(kind, 2);
        CHECK(jdb_engine_abandon(engine, 0) == 0);
        engine = open_kind(kind, 2);
        jdb_reader *reader = NULL;
        jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
        options.engine = engine;
        CHECK(jdb_reader_open(file, &options, &reader) == 0);
        CHECK(jdb_engine_abandon(engine, 0) == -EBUSY);
        CHECK(jdb_reader_close(reader) == 0);
        jdb_engine_io io = io_of(file, &byte, 1, 0, false);
        CHECK(jdb_engine_start(engine, &io) == 0);
        CHECK(jdb_engine_abandon(engine, jdb_clock_ns() + 60000 * MILLISECOND) == 0);
        CHECK(jdb_engine_is_complete(&io) && (io.err == 0 || io.err == -ECANCELED));
    }
    CHECK(jdb_file_close(file) == 0);
}

static void abandon_a_thread(void *context)
{
    static uint8_t memory[3][4096];
    static jdb_engine_io ios[3];
    const struct timespec pause = {.tv_nsec = 1000000};
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_THREADS;
    options.depth = 1;
    jdb_engine *engine = NULL;
    MUST(jdb_engine_open(&options, &engine) == 0);
    for (size_t i = 0; i < 3; i++) {
        ios[i] = (jdb_engine_io){.file = context, .view = jdb_raw_new(memory[i], 4096), .offset = (int64_t)i * 4096};
        MUST(jdb_engine_start(engine, &ios[i]) == 0);
    }
    while (atomic_load(&held_count) == 0)
        nanosleep(&pause, NULL);
    const uint64_t begin = jdb_clock_ns();
    MUST(jdb_engine_abandon(engine, begin + 20 * MILLISECOND) == -ETIMEDOUT);
    MUST(jdb_clock_ns() - begin < 10000 * MILLISECOND);
    MUST(!jdb_engine_is_complete(&ios[0]));
    for (size_t i = 1; i < 3; i++) /* were queued */
        MUST(jdb_engine_is_complete(&ios[i]) && ios[i].err == -ECANCELED);
    atomic_store(&is_held, false);
    while (!jdb_engine_is_complete(&ios[0])) /* the thread comes back, and ends */
        nanosleep(&pause, NULL);
    MUST(ios[0].err == 0 && memcmp(memory[0], bytes, 4096) == 0);
}

/* In a child, where what is left behind is no leak. The thread sanitizer lets no child start threads. */
static void a_stuck_thread_is_left_behind(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip();
#endif
    char text[4096];
    jdb_file *const file = rig_open(JDB_FILE_READ);
    atomic_store(&is_held, true);
    atomic_store(&held_count, 0);
    faults_set_hook(hold_reads);
    const int status = must_run_child(abandon_a_thread, file, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(status, 0);
    faults_set_hook(NULL);
    CHECK(jdb_file_close(file) == 0);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

struct reader {
    pthread_t thread;
    jdb_engine *engine;
    jdb_file *file;
    uint64_t seed;
    unsigned rounds;
};

static void *read_alone(void *context)
{
    struct reader *const own = context;
    uint8_t *const memory = aligned_alloc(4096, 8 * 4096);
    MUST(memory != NULL);
    for (unsigned round = 0; round < own->rounds; round++) {
        jdb_engine_io ios[8];
        jdb_engine_io *line[8];
        for (size_t i = 0; i < 8; i++) {
            const size_t offset = random_below(&own->seed, FILE_SIZE / 4096) * 4096;
            ios[i] = (jdb_engine_io){
                .file = own->file, .view = jdb_raw_new(memory + i * 4096, 4096), .offset = (int64_t)offset};
            line[i] = &ios[i];
            MUST(jdb_engine_start(own->engine, &ios[i]) == 0);
        }
        for (size_t i = 0; i < 8; i++) {
            jdb_engine_io *io = &ios[i];
            if (random_below(&own->seed, 4) == 0)
                MUST(jdb_engine_cancel(own->engine, io) == 0 || round % 2 != 0); /* it may have ended */
            if (round % 2 == 0)
                MUST(jdb_engine_wait(own->engine, io) == 0);
            else
                MUST(jdb_engine_wait_any(own->engine, line, 8, UINT64_MAX, &io) == 0);
            MUST(io->err == -ECANCELED || memcmp(io->view.ptr, bytes + io->offset, 4096) == 0);
        }
    }
    free(memory);
    return NULL;
}

static void many_threads_share_an_engine(void **state)
{
    (void)state;
    jdb_engine *const engine = open_kind(JDB_ENGINE_THREADS, 3);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    struct reader readers[4];
    for (unsigned i = 0; i < 4; i++) {
        readers[i] =
            (struct reader){.engine = engine, .file = file, .seed = i, .rounds = (unsigned)tier_pick(50, 500, 5000)};
        CHECK(pthread_create(&readers[i].thread, NULL, read_alone, &readers[i]) == 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(readers[i].thread, NULL);
    CHECK(jdb_engine_in_flight(engine) == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
}

/* ---- Fork and own engines ----------------------------------------------------------------------------------- */

static void use_in_child(void *context)
{
    jdb_engine *const engine = context;
    uint8_t byte = 0;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    jdb_file *file = NULL;
    MUST(jdb_file_open(path, &options, NULL, &file) == 0);
    jdb_engine_io io = {.file = file, .view = jdb_raw_new(&byte, 1)};
    MUST(jdb_engine_start(engine, &io) == -EPERM);
    MUST(jdb_engine_close(engine) == -EPERM);
    io.state = 1;
    MUST(jdb_engine_wait(engine, &io) == -EPERM && jdb_engine_cancel(engine, &io) == -EPERM);
    jdb_engine_io *line = &io;
    MUST(jdb_engine_wait_any(engine, &line, 1, 0, &line) == -EPERM && line == &io);
    engine->in_flight_count = 1;
    MUST(jdb_engine_abandon(engine, 0) == -EPERM);
    engine->in_flight_count = 0;
    MUST(jdb_engine_abandon(engine, 0) == -EPERM);
    MUST(jdb_engine_add_arena(engine, (jdb_arena *)(void *)&byte) == -EPERM);
    MUST(jdb_engine_remove_arena(engine, (jdb_arena *)(void *)&byte) == -EPERM);
}

static void a_child_cannot_use_it(void **state)
{
    (void)state;
    char text[256];
    jdb_engine *const engine = open_kind(JDB_ENGINE_SYNCHRONOUS, 0);
    assert_int_equal(must_run_child(use_in_child, engine, text, sizeof text), 0);
    assert_string_equal(text, "");
    CHECK(jdb_engine_close(engine) == 0);
}

static void a_program_has_an_engine_of_its_own(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 8192) == 0);
    struct rig_engine own;
    rig_engine_init(&own, random_seed("own engine"), 16);
    jdb_engine *const engine = &own.engine;
    CHECK(jdb_engine_kind(engine) == JDB_ENGINE_OTHER && strcmp(jdb_engine_reason(engine), "random order") == 0);
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    read_many(engine, file, &buf);
    write_many(engine, file, &buf);
    CHECK(own.most == MANY);
    own.refuse_once = 1;
    jdb_engine_io io = io_of(file, buf.ptr, 4096, 0, false);
    io.view.len = 7;
    CHECK(jdb_engine_start(engine, &io) == -EAGAIN && io.view.len == 7 && jdb_engine_in_flight(engine) == 0);
    CHECK(jdb_engine_start(engine, &io) == 0 && jdb_engine_wait(engine, &io) == 0);
    CHECK(jdb_engine_init(NULL, engine->calls, 1, "") == -EINVAL && jdb_engine_init(engine, NULL, 1, "") == -EINVAL);
    CHECK(jdb_engine_init(engine, engine->calls, 0, "") == -EINVAL);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* Its wait has no deadline. */
static void an_engine_with_a_wait_alone(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 8192) == 0);
    struct rig_engine own;
    rig_engine_init(&own, random_seed("a wait alone"), 16);
    jdb_engine *const engine = &own.engine;
    jdb_file *const file = rig_open(JDB_FILE_READ);
    read_any(engine, file, &buf);
    jdb_engine_io io = io_of(file, buf.ptr, 4096, 0, false);
    jdb_engine_io *line = &io;
    jdb_engine_io *got = NULL;
    CHECK(jdb_engine_start(engine, &io) == 0);
    CHECK(jdb_engine_wait_any(engine, &line, 1, 0, &got) == -ETIMEDOUT && got == NULL);
    CHECK(jdb_engine_wait_any(engine, &line, 1, jdb_clock_ns() + MILLISECOND, &got) == -ENOTSUP && got == NULL);
    CHECK(jdb_engine_abandon(engine, 0) == -ENOTSUP && jdb_engine_in_flight(engine) == 1);
    CHECK(jdb_engine_wait_any(engine, &line, 1, UINT64_MAX, &got) == 0 && got == &io && io.err == 0);
    CHECK(jdb_engine_abandon(engine, 0) == 0); /* closed */
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

static int start_nothing(jdb_engine *engine, jdb_engine_io *io)
{
    (void)engine;
    (void)io;
    return 0;
}

static void close_nothing(jdb_engine *engine)
{
    (void)engine;
}

static int wait_in_vain(jdb_engine *engine, jdb_engine_io *const *ios, size_t count, uint64_t deadline_ns)
{
    if (deadline_ns == 7) /* what completes with the failure is returned, and not the failure */
        jdb_engine_complete(engine, ios[count - 1], 0);
    return -EBADF;
}

static int abandon_late(jdb_engine *engine, uint64_t deadline_ns)
{
    (void)engine;
    return deadline_ns == 7 ? -ETIMEDOUT : 0;
}

static void an_engine_has_these_calls_itself(void **state)
{
    (void)state;
    uint8_t byte = 0;
    jdb_engine_calls calls = {.size = sizeof calls,
                              .kind = JDB_ENGINE_OTHER,
                              .start = start_nothing,
                              .close = close_nothing,
                              .wait_any = wait_in_vain,
                              .abandon = abandon_late};
    jdb_engine engine;
    jdb_file *const file = rig_open(JDB_FILE_READ);
    jdb_engine_io io = io_of(file, &byte, 1, 0, false);
    jdb_engine_io *line = &io;
    jdb_engine_io *got = NULL;
    CHECK(jdb_engine_init(&engine, &calls, 1, "") == 0 && jdb_engine_start(&engine, &io) == 0);
    CHECK(jdb_engine_wait_any(&engine, &line, 1, UINT64_MAX, &got) == -EBADF && got == NULL);
    CHECK(jdb_engine_abandon(&engine, 7) == -ETIMEDOUT && jdb_engine_abandon(&engine, 8) == 0);
    CHECK(jdb_engine_wait_any(&engine, &line, 1, 7, &got) == 0 && got == &io);

    calls.size = offsetof(jdb_engine_calls, wait_any); /* older than they are: what lies there is not called */
    CHECK(jdb_engine_init(&engine, &calls, 1, "") == 0 && jdb_engine_start(&engine, &io) == 0);
    CHECK(jdb_engine_wait_any(&engine, &line, 1, jdb_clock_ns() + MILLISECOND, &got) == -ETIMEDOUT);
    CHECK(jdb_engine_abandon(&engine, 8) == -ENOTSUP);
    jdb_engine_complete(&engine, &io, -EIO);
    CHECK(jdb_engine_wait_any(&engine, &line, 1, 0, &got) == 0 && got->err == -EIO);
    calls.size--;
    CHECK(jdb_engine_init(&engine, &calls, 1, "") == -EINVAL);
    CHECK(jdb_file_close(file) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_reads_and_writes),
        cmocka_unit_test(errors_are_of_the_file),
        cmocka_unit_test(arguments),
        cmocka_unit_test(threads_that_the_system_refuses),
        cmocka_unit_test(a_queued_request_is_cancelled),
        cmocka_unit_test(each_kind_waits_for_any),
        cmocka_unit_test(the_first_that_is_complete_is_taken),
        cmocka_unit_test(a_deadline_passes),
        cmocka_unit_test(an_engine_is_abandoned_when_idle),
        cmocka_unit_test(a_stuck_thread_is_left_behind),
        cmocka_unit_test(many_threads_share_an_engine),
        cmocka_unit_test(a_child_cannot_use_it),
        cmocka_unit_test(a_program_has_an_engine_of_its_own),
        cmocka_unit_test(an_engine_with_a_wait_alone),
        cmocka_unit_test(an_engine_has_these_calls_itself),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
