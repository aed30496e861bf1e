/* SPDX-License-Identifier: MIT
 *
 * uring_engine_test.c - the engine on a ring: the file's own calls are the model; threads, cancels, refusals of the kernel, streams
 * on it. Runs in TMPDIR (default /var/tmp).
 */
#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"

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
#define MANY 40

static uint8_t bytes[FILE_SIZE];

static int make_file(void **state)
{
    (void)state;
    rig_path("jdb_uring_engine_test");
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

static uint32_t ring_flags; /* of each engine that is opened */

static jdb_engine *open_ring(uint32_t depth)
{
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_URING;
    options.depth = depth;
    options.flags = ring_flags;
    jdb_engine *engine = NULL;
    CHECK(jdb_uring_engine_open(&options, &engine) == 0);
    CHECK(jdb_engine_kind(engine) == JDB_ENGINE_URING && jdb_engine_reason(engine)[0] == '\0');
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

static jdb_file *open_with(uint32_t policy, uint32_t durability)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    options.policy = policy;
    options.durability = durability;
    jdb_file *file = NULL;
    CHECK(jdb_file_open(path, &options, NULL, &file) == 0);
    return file;
}

static void check_file(jdb_file *file)
{
    static uint8_t now[FILE_SIZE];
    jdb_raw view = jdb_raw_new(now, sizeof now);
    CHECK(jdb_file_read_full(file, &view, 0, NULL) == 0 && view.len == FILE_SIZE);
    CHECK(memcmp(now, bytes, FILE_SIZE) == 0);
}

/* ---- The model: the file's own calls ------------------------------------------------------------------------ */

static void check_read(jdb_engine *engine, jdb_engine_io *io)
{
    const size_t there = io->offset < (int64_t)FILE_SIZE ? FILE_SIZE - (size_t)io->offset : 0;
    const size_t expected = there < io->view.cap ? there : io->view.cap;
    CHECK(jdb_engine_wait(engine, io) == 0);
    CHECK(io->err == 0 && io->view.len == expected && io->done_size == expected);
    CHECK((io->is_eof != 0) == (expected < io->view.cap));
    CHECK(expected == 0 || memcmp(io->view.ptr, bytes + io->offset, expected) == 0);
    CHECK(jdb_engine_wait(engine, io) == -EINVAL);
}

/* More than there are slots, aligned and not, up to the end and past it; waited for in another order. */
static void read_many(jdb_engine *engine, jdb_file *file, jdb_buf *buf, uint64_t *seed)
{
    jdb_engine_io ios[MANY];
    for (size_t i = 0; i < MANY; i++) {
        const bool is_aligned = random_below(seed, 3) != 0;
        const size_t step = is_aligned ? 4096 : 1;
        const size_t offset = random_below(seed, FILE_SIZE / step + 4) * step;
        const size_t size = is_aligned ? 4096 * (1 + random_below(seed, 4)) : 1 + random_below(seed, 16384);
        ios[i] = io_of(file, buf->ptr + i * 16384, size, (int64_t)offset, false);
        CHECK(jdb_engine_start(engine, &ios[i]) == 0);
    }
    for (size_t i = MANY; i-- > 0;)
        check_read(engine, &ios[i]);
    CHECK(jdb_engine_in_flight(engine) == 0);
}

/* Parts of any size side by side, all of them at once: many share a block, so some go through the page cache. */
static void write_many(jdb_engine *engine, jdb_file *file, jdb_buf *buf, uint64_t *seed)
{
    jdb_engine_io ios[MANY];
    size_t count = 0;
    size_t at = random_below(seed, FILE_SIZE / 8192) * 4096;
    for (; count < MANY && at < FILE_SIZE; count++) {
        const size_t rest = 512 - at % 512; /* most of them end with a sector */
        const size_t wish =
            random_below(seed, 4) == 0 ? 1 + random_below(seed, 2000) : rest + 512 * random_below(seed, 12);
        const size_t size = wish < FILE_SIZE - at ? wish : FILE_SIZE - at;
        uint8_t *const ptr = buf->ptr + count * 16384;
        rig_fill(ptr, size, random_next(seed) % 251);
        memcpy(bytes + at, ptr, size);
        ios[count] = io_of(file, ptr, size, (int64_t)at, true);
        at += size;
    }
    for (size_t i = 0; i < count; i++) /* every other one first */
        CHECK(jdb_engine_start(engine, &ios[i < (count + 1) / 2 ? 2 * i : 2 * (i - (count + 1) / 2) + 1]) == 0);
    for (size_t i = 0; i < count; i++) {
        CHECK(jdb_engine_wait(engine, &ios[i]) == 0);
        CHECK(ios[i].err == 0 && ios[i].done_size == ios[i].view.len);
    }
}

static void random_requests(jdb_file *file, uint64_t seed)
{
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 16384) == 0);
    jdb_engine *const engine = open_ring(1 + (uint32_t)random_below(&seed, 16));
    for (uint64_t round = 0; round < tier_pick(5, 30, 1000); round++) {
        read_many(engine, file, &buf, &seed);
        write_many(engine, file, &buf, &seed);
        check_file(file);
    }
    /* -EIO: a direct write found a page of the page cache that it could not take out (dio_warn_stale_pagecache() of Linux). */
    CHECK(jdb_file_sync(file, JDB_FILE_DURABLE_DATA) == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

static void direct_files(void **state)
{
    (void)state;
    random_requests(open_with(JDB_FILE_DIRECT_PREFER, JDB_FILE_DURABLE_NONE), random_seed("direct_files"));
}

static void buffered_files(void **state)
{
    (void)state;
    random_requests(open_with(JDB_FILE_DIRECT_OFF, JDB_FILE_DURABLE_NONE), random_seed("buffered_files"));
}

static void durable_files(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 8192) == 0);
    jdb_engine *const engine = open_ring(4);
    jdb_file *const file = open_with(JDB_FILE_DIRECT_PREFER, JDB_FILE_DURABLE_DATA);
    const unsigned long before = faults_calls(OS_CALL_WRITE);
    memcpy(buf.ptr, bytes, 8192);
    jdb_engine_io io = io_of(file, buf.ptr, 8192, 0, true);
    CHECK(jdb_engine_start(engine, &io) == 0 && jdb_engine_is_complete(&io)); /* by the file itself, which syncs */
    CHECK(jdb_engine_wait(engine, &io) == 0 && io.err == 0 && faults_calls(OS_CALL_WRITE) == before + 1);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

static void direct_reads_make_no_call_of_the_file(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 65536) == 0);
    jdb_engine *const engine = open_ring(4);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    if (jdb_file_read_mode(file) != JDB_FILE_MODE_DIRECT)
        skip();
    const unsigned long before = faults_calls(OS_CALL_READ);
    jdb_engine_io io = io_of(file, buf.ptr, 65536, 0, false);
    CHECK(jdb_engine_start(engine, &io) == 0 && jdb_engine_wait(engine, &io) == 0);
    CHECK(io.err == 0 && io.direct_size == 65536 && memcmp(buf.ptr, bytes, 65536) == 0);
    CHECK(faults_calls(OS_CALL_READ) == before);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

static void errors_are_of_the_file(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 4096) == 0);
    jdb_engine *const engine = open_ring(2);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    jdb_engine_io io = io_of(file, buf.ptr, 4096, 0, true);
    CHECK(jdb_engine_start(engine, &io) == 0 && jdb_engine_wait(engine, &io) == 0);
    CHECK(io.err == -EBADF && io.done_size == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* ---- Arguments ---------------------------------------------------------------------------------------------- */

static void arguments(void **state)
{
    (void)state;
    jdb_engine *engine = NULL;
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    CHECK(jdb_uring_engine_open(NULL, NULL) == -EINVAL);
    options.kind = JDB_ENGINE_THREADS;
    CHECK(jdb_uring_engine_open(&options, &engine) == -EINVAL);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.depth = JDB_ENGINE_DEPTH_MAX + 1;
    CHECK(jdb_uring_engine_open(&options, &engine) == -EINVAL);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.flags = JDB_ENGINE_ONE_THREAD << 1;
    CHECK(jdb_uring_engine_open(&options, &engine) == -EINVAL);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.reserved[0] = 1;
    CHECK(jdb_uring_engine_open(&options, &engine) == -E2BIG);
    options = JDB_ENGINE_OPTIONS_INIT;
    options.size = 4;
    CHECK(jdb_uring_engine_open(&options, &engine) == -EINVAL && engine == NULL);
    CHECK(jdb_uring_engine_open(NULL, &engine) == 0 && jdb_engine_depth(engine) == JDB_ENGINE_DEPTH_DEFAULT);
    CHECK(jdb_engine_kind(engine) == JDB_ENGINE_URING);
    CHECK(jdb_engine_close(engine) == 0);
}

/* ---- Refusals of the kernel --------------------------------------------------------------------------------- */

static void each_call_of_opening_fails(void **state)
{
    (void)state;
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_URING;
    for (unsigned n = 0;; n++) {
        jdb_engine *engine = NULL;
        faults_arm(FAULTS_ANY, n, -ENOMEM);
        const int err = jdb_uring_engine_open(&options, &engine);
        const bool has_failed = faults_disarm();
        CHECK((err == 0) == (engine != NULL) && (err == 0 || (err == -ENOMEM && has_failed)));
        CHECK(jdb_engine_close(engine) == 0);
        if (!has_failed)
            break;
    }
}

static void another_engine_where_rings_are_refused(void **state)
{
    (void)state;
    jdb_engine *engine = NULL;
    faults_arm(OS_CALL_RING, 0, -ENOSYS);
    CHECK(jdb_uring_engine_open(NULL, &engine) == 0);
    CHECK(faults_disarm());
    CHECK(jdb_engine_kind(engine) == JDB_ENGINE_THREADS);
    CHECK(strncmp(jdb_engine_reason(engine), "io_uring: ", 10) == 0 && strlen(jdb_engine_reason(engine)) > 20);
    CHECK(jdb_engine_close(engine) == 0);
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_URING;
    engine = NULL;
    faults_arm(OS_CALL_RING, 0, -EPERM);
    CHECK(jdb_uring_engine_open(&options, &engine) == -EPERM && engine == NULL);
    CHECK(faults_disarm());
}

static void no_memory_for_a_ring_is_no_failure(void **state)
{
    (void)state;
    jdb_engine *engine = NULL;
    faults_arm(OS_CALL_RING, 0, -ENOMEM); /* RLIMIT_MEMLOCK, before Linux 5.12 */
    CHECK(jdb_uring_engine_open(NULL, &engine) == 0);
    CHECK(faults_disarm());
    CHECK(jdb_engine_kind(engine) == JDB_ENGINE_THREADS && jdb_engine_close(engine) == 0);
}

/* Submissions and waits fail now and then, or for good: requests are done all the same. */
static void the_kernel_takes_no_requests(void **state)
{
    (void)state;
    static const int errors[] = {-EAGAIN, -EBUSY, -EINTR, -ENOMEM};
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 16384) == 0);
    uint64_t seed = random_seed("the_kernel_takes_no_requests");
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        jdb_engine *const engine = open_ring(4);
        for (unsigned n = 0; n < 12; n++) {
            faults_arm(OS_CALL_RING_WAIT, n, errors[i]);
            read_many(engine, file, &buf, &seed);
            faults_disarm();
        }
        faults_arm_all(OS_CALL_RING_WAIT, 3, errors[i]);
        read_many(engine, file, &buf, &seed);
        write_many(engine, file, &buf, &seed);
        CHECK(faults_disarm());
        read_many(engine, file, &buf, &seed); /* the ring works again */
        check_file(file);
        CHECK(jdb_engine_close(engine) == 0);
    }
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* From the first call on: what waits for a slot goes on when those in the slots have been withdrawn. */
static void the_kernel_never_takes_a_request(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 16384) == 0);
    uint64_t seed = random_seed("the_kernel_never_takes_a_request");
    jdb_file *const file = rig_open(JDB_FILE_READ);
    for (uint32_t depth = 1; depth <= 9; depth++) {
        jdb_engine *const engine = open_ring(depth);
        faults_arm_all(OS_CALL_RING_WAIT, 0, -EAGAIN);
        read_many(engine, file, &buf, &seed);
        CHECK(faults_disarm());
        read_many(engine, file, &buf, &seed); /* the ring works again */
        CHECK(jdb_engine_close(engine) == 0);
    }
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* ---- Cancel ------------------------------------------------------------------------------------------------- */

static void requests_are_cancelled(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 16384) == 0);
    uint64_t seed = random_seed("requests_are_cancelled");
    jdb_engine *const engine = open_ring(2);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    uint64_t cancelled = 0;
    for (uint64_t round = 0; round < tier_pick(20, 100, 1000); round++) {
        jdb_engine_io ios[8];
        for (size_t i = 0; i < 8; i++) {
            ios[i] = io_of(file, buf.ptr + i * 4096, 4096, (int64_t)i * 4096, false);
            CHECK(jdb_engine_start(engine, &ios[i]) == 0);
        }
        CHECK(jdb_engine_close(engine) == -EBUSY);
        for (size_t i = 0; i < 8; i++)
            CHECK(random_below(&seed, 2) == 0 || jdb_engine_cancel(engine, &ios[i]) == 0);
        for (size_t i = 0; i < 8; i++) {
            CHECK(jdb_engine_wait(engine, &ios[i]) == 0);
            CHECK(ios[i].err == 0 || (ios[i].err == -ECANCELED && ios[i].view.len == 0));
            CHECK(ios[i].err != 0 || memcmp(ios[i].view.ptr, bytes + ios[i].offset, 4096) == 0);
            cancelled += ios[i].err != 0 ? 1 : 0;
        }
    }
    CHECK(cancelled != 0); /* those in line, at least */
    read_many(engine, file, &buf, &seed);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* Of the one thread of an engine: what waits for the next wait has not begun. */
static void what_was_not_submitted_is_cancelled(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 5 * 4096) == 0);
    memset(buf.ptr, 0x5a, 5 * 4096);
    jdb_engine *const engine = open_ring(3);
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    jdb_engine_io ios[5];
    for (size_t i = 0; i < 5; i++) {
        ios[i] = io_of(file, buf.ptr + i * 4096, 4096, (int64_t)i * 4096, i != 2 && i != 3);
        CHECK(jdb_engine_start(engine, &ios[i]) == 0);
    }
    const unsigned long before = faults_calls(OS_CALL_RING_WAIT);
    CHECK(jdb_engine_cancel(engine, &ios[4]) == 0 && jdb_engine_cancel(engine, &ios[0]) == 0);
    CHECK(jdb_engine_cancel(engine, &ios[1]) == 0 && faults_calls(OS_CALL_RING_WAIT) == before);
    for (size_t i = 0; i < 5; i++)
        CHECK(jdb_engine_is_complete(&ios[i]) == (i != 2 && i != 3));
    for (size_t i = 0; i < 5; i++) {
        CHECK(jdb_engine_wait(engine, &ios[i]) == 0 && ios[i].err == (i != 2 && i != 3 ? -ECANCELED : 0));
    }
    CHECK(memcmp(buf.ptr + 2 * 4096, bytes + 2 * 4096, 2 * 4096) == 0);
    check_file(file);
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* What is in the kernel is asked to end: a call to the system more. */
static void a_request_in_flight_is_cancelled_by_the_kernel(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 4096) == 0);
    jdb_engine *const engine = open_ring(1);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    jdb_engine_io io = io_of(file, buf.ptr, 4096, 0, false);
    CHECK(jdb_engine_start(engine, &io) == 0);
    const unsigned long before = faults_calls(OS_CALL_RING_WAIT);
    CHECK(jdb_engine_cancel(engine, &io) == 0 && faults_calls(OS_CALL_RING_WAIT) == before + 1);
    CHECK(jdb_engine_wait(engine, &io) == 0 && (io.err == 0 || io.err == -ECANCELED));
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* ---- Any of several ----------------------------------------------------------------------------------------- */

#define MILLISECOND UINT64_C(1000000)

static int pipe_ends[2];

/* A file whose reads wait until the test writes to the pipe behind its descriptor, and are cancelled by the kernel when asked to. */
static jdb_file *open_pipe(void)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.policy = JDB_FILE_DIRECT_OFF;
    options.flags = JDB_FILE_NO_UNCACHED;
    jdb_file *file = NULL;
    CHECK(jdb_file_open(path, &options, NULL, &file) == 0);
    CHECK(pipe(pipe_ends) == 0 && dup2(pipe_ends[0], jdb_file_descriptor(file)) >= 0);
    return file;
}

static void close_pipe(jdb_file *file)
{
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    (void)jdb_file_close(file);
}

/* More than there are slots, some of them aside. */
static void any_of_many(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, MANY * 4096) == 0);
    jdb_engine *const engine = open_ring(8);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    for (uint64_t round = 0; round < tier_pick(20, 200, 2000); round++) {
        jdb_engine_io requests[MANY];
        jdb_engine_io *ios[MANY];
        for (size_t i = 0; i < MANY; i++) {
            requests[i] = io_of(file, buf.ptr + i * 4096, i % 8 == 7 ? 100 : 4096, (int64_t)i * 4096, false);
            ios[i] = &requests[i];
            CHECK(jdb_engine_start(engine, ios[i]) == 0);
        }
        for (size_t i = 0; i < MANY; i++) {
            jdb_engine_io *io = NULL;
            CHECK(jdb_engine_wait_any(engine, ios, MANY, UINT64_MAX, &io) == 0);
            CHECK(io->err == 0 && memcmp(io->view.ptr, bytes + io->offset, io->view.cap) == 0);
            ios[io - requests] = NULL;
        }
        CHECK(jdb_engine_wait_any(engine, ios, MANY, UINT64_MAX, &ios[0]) == -EINVAL);
    }
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

static void a_deadline_passes(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t memory[2][4096];
    jdb_engine *const engine = open_ring(4);
    jdb_file *const late = open_pipe();
    jdb_file *const file = rig_open(JDB_FILE_READ);
    jdb_engine_io first = io_of(late, memory[0], 4096, 0, false);
    jdb_engine_io second = io_of(file, memory[1], 4096, 0, false);
    jdb_engine_io *const ios[] = {&first, &second};
    jdb_engine_io *io = NULL;
    for (int round = 0; round < 2; round++) {
        CHECK(jdb_engine_start(engine, &first) == 0 && jdb_engine_start(engine, &second) == 0);
        CHECK(jdb_engine_wait_any(engine, ios, 2, UINT64_MAX, &io) == 0 && io == &second && second.err == 0);
        io = NULL;
        const uint64_t begin = jdb_clock_ns();
        CHECK(jdb_engine_wait_any(engine, ios, 2, 0, &io) == -ETIMEDOUT && io == NULL);
        CHECK(jdb_engine_wait_any(engine, ios, 2, begin + 20 * MILLISECOND, &io) == -ETIMEDOUT && io == NULL);
        CHECK(jdb_clock_ns() >= begin + 20 * MILLISECOND && jdb_engine_in_flight(engine) == 1);
        CHECK(write(pipe_ends[1], bytes, 1000) == 1000 && write(pipe_ends[1], bytes + 1000, 3096) == 3096);
        if (round == 0)
            CHECK(jdb_engine_wait(engine, &first) == 0);
        else
            CHECK(jdb_engine_wait_any(engine, ios, 2, begin + 60000 * MILLISECOND, &io) == 0 && io == &first);
        CHECK(first.err == 0 && first.done_size == 4096 && memcmp(memory[0], bytes, 4096) == 0);
    }
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
    close_pipe(late);
}

static void *write_later(void *context)
{
    (void)context;
    const struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    MUST(write(pipe_ends[1], bytes, 4096) == 4096);
    return NULL;
}

/* A moment that is far, but not for ever, is no moment that has passed: the wait sleeps, and takes no processor time. */
static void a_deadline_is_far(void **state)
{
    (void)state;
    static const uint64_t deadlines[] = {UINT64_MAX - 1, UINT64_MAX / 2, UINT64_MAX / 2 - 1};
    static _Alignas(4096) uint8_t memory[4096];
    jdb_engine *const engine = open_ring(2);
    jdb_file *const late = open_pipe();
    for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++) {
        jdb_engine_io first = io_of(late, memory, 4096, 0, false);
        jdb_engine_io *line = &first;
        jdb_engine_io *io = NULL;
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, write_later, NULL) == 0 && jdb_engine_start(engine, &first) == 0);
        const unsigned long before = faults_calls(OS_CALL_RING_WAIT);
        CHECK(jdb_engine_wait_any(engine, &line, 1, deadlines[i], &io) == 0 && io == &first && first.err == 0);
        CHECK(faults_calls(OS_CALL_RING_WAIT) - before < 10);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(jdb_engine_close(engine) == 0);
    close_pipe(late);
}

struct waiter {
    jdb_engine *engine;
    jdb_engine_io *io;
    int err;
};

static void *wait_shortly(void *context)
{
    struct waiter *const own = context;
    jdb_engine_io *io = NULL;
    own->err = jdb_engine_wait_any(own->engine, &own->io, 1, jdb_clock_ns() + 50 * MILLISECOND, &io);
    MUST(io == NULL);
    return NULL;
}

/* Who reaps goes away at the deadline: another that waits takes its place, and has a deadline of its own while it does not reap. */
static void deadlines_of_two_threads(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t memory[2][4096];
    jdb_engine *const engine = open_ring(4);
    jdb_file *const late = open_pipe();
    jdb_engine_io first = io_of(late, memory[0], 4096, 0, false);
    jdb_engine_io second = io_of(late, memory[1], 4096, 0, false);
    jdb_engine_io *line = &second;
    jdb_engine_io *io = NULL;
    CHECK(jdb_engine_start(engine, &first) == 0 && jdb_engine_start(engine, &second) == 0);
    for (int round = 0; round < 3; round++) {
        struct waiter waiter = {.engine = engine, .io = &first};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, wait_shortly, &waiter) == 0);
        const uint64_t longer = (uint64_t)(round * 50) * MILLISECOND;
        CHECK(jdb_engine_wait_any(engine, &line, 1, jdb_clock_ns() + longer, &io) == -ETIMEDOUT && io == NULL);
        CHECK(pthread_join(thread, NULL) == 0 && waiter.err == -ETIMEDOUT);
    }
    CHECK(write(pipe_ends[1], bytes, 8192) == 8192);
    CHECK(jdb_engine_wait_any(engine, &line, 1, UINT64_MAX, &io) == 0 && io == &second && second.err == 0);
    CHECK(jdb_engine_wait(engine, &first) == 0 && first.err == 0);
    CHECK(jdb_engine_close(engine) == 0);
    close_pipe(late);
}

/* Reported once each, by the call that finds nothing complete; what passes by itself is not. */
static void failures_of_the_ring_are_reported(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t memory[4096];
    jdb_engine *const engine = open_ring(4);
    jdb_file *const late = open_pipe();
    jdb_engine_io first = io_of(late, memory, 4096, 0, false);
    jdb_engine_io *line = &first;
    jdb_engine_io *io = NULL;
    for (int round = 0; round < 2; round++) {
        faults_arm(OS_CALL_RING_WAIT, 0, -EBADF); /* the submission */
        CHECK(jdb_engine_start(engine, &first) == 0 && faults_disarm());
        CHECK(jdb_engine_wait_any(engine, &line, 1, UINT64_MAX, &io) == -EBADF && io == NULL);
        faults_arm(OS_CALL_RING_WAIT, 1, -EFAULT); /* behind the submission: the wait */
        CHECK(jdb_engine_wait_any(engine, &line, 1, UINT64_MAX, &io) == -EFAULT && io == NULL && faults_disarm());
        faults_arm(OS_CALL_RING_WAIT, 0, -EINTR);
        CHECK(jdb_engine_wait_any(engine, &line, 1, jdb_clock_ns() + 20 * MILLISECOND, &io) == -ETIMEDOUT);
        CHECK(faults_disarm());
        CHECK(jdb_engine_in_flight(engine) == 1 && write(pipe_ends[1], bytes, 4096) == 4096);
        CHECK(jdb_engine_wait_any(engine, &line, 1, UINT64_MAX, &io) == 0 && io == &first && first.err == 0);
        io = NULL;
    }
    CHECK(jdb_engine_close(engine) == 0);
    close_pipe(late);
}

/* The request is in the kernel, and the wait for it is refused: the thread sleeps in between. */
static void a_wait_that_is_refused_is_not_busy(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t memory[4096];
    jdb_engine *const engine = open_ring(4);
    jdb_file *const late = open_pipe();
    jdb_engine_io first = io_of(late, memory, 4096, 0, false);
    jdb_engine_io *line = &first;
    jdb_engine_io *io = NULL;
    CHECK(jdb_engine_start(engine, &first) == 0);
    CHECK(jdb_engine_wait_any(engine, &line, 1, 0, &io) == -ETIMEDOUT);
    const unsigned long before = faults_calls(OS_CALL_RING_WAIT);
    faults_arm_all(OS_CALL_RING_WAIT, 0, -ENOMEM);
    CHECK(jdb_engine_wait_any(engine, &line, 1, jdb_clock_ns() + 50 * MILLISECOND, &io) == -ETIMEDOUT);
    CHECK(faults_disarm() && faults_calls(OS_CALL_RING_WAIT) - before < 5000);
    CHECK(write(pipe_ends[1], bytes, 4096) == 4096);
    CHECK(jdb_engine_wait(engine, &first) == 0 && first.err == 0);
    CHECK(jdb_engine_close(engine) == 0);
    close_pipe(late);
}

/* ---- Abandon ------------------------------------------------------------------------------------------------ */

/* The kernel cancels what waits for the pipe; what waits for a slot is not begun. */
static void what_is_cancelled_is_complete(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t memory[4][4096];
    jdb_engine *const engine = open_ring(2);
    jdb_file *const late = open_pipe();
    jdb_engine_io ios[4];
    for (size_t i = 0; i < 4; i++) {
        ios[i] = io_of(late, memory[i], 4096, 0, false);
        CHECK(jdb_engine_start(engine, &ios[i]) == 0);
    }
    CHECK(jdb_engine_abandon(engine, jdb_clock_ns() + 60000 * MILLISECOND) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(jdb_engine_is_complete(&ios[i]) && ios[i].err == -ECANCELED);
    close_pipe(late);
}

/* Where the kernel takes nothing, too. */
static void what_was_not_submitted_is_never_written(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 8192) == 0);
    memset(buf.ptr, 0x5a, 8192);
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    for (int round = 0; round < 2; round++) {
        jdb_engine *const engine = open_ring(2);
        jdb_engine_io ios[2];
        for (size_t i = 0; i < 2; i++) {
            ios[i] = io_of(file, buf.ptr + i * 4096, 4096, (int64_t)i * 4096, true);
            CHECK(jdb_engine_start(engine, &ios[i]) == 0);
        }
        if (round != 0)
            faults_arm_all(OS_CALL_RING_WAIT, 0, -EBADF);
        CHECK(jdb_engine_abandon(engine, jdb_clock_ns() + 1000 * MILLISECOND) == 0);
        faults_disarm();
        for (size_t i = 0; i < 2; i++)
            CHECK(jdb_engine_is_complete(&ios[i]) && ios[i].err == -ECANCELED && ios[i].done_size == 0);
        CHECK(!jdb_is_pinned(buf.ptr, 8192));
        check_file(file);
    }
    CHECK(jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

static void abandon_a_read(void *context)
{
    static jdb_engine_io ios[2];
    jdb_file *const late = open_pipe();
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_URING;
    options.depth = 1;
    jdb_engine *engine = NULL;
    jdb_buf buf = JDB_BUF_INIT;
    MUST(jdb_uring_engine_open(&options, &engine) == 0 && jdb_buf_with_cap(&buf, 8192) == 0);
    for (size_t i = 0; i < 2; i++) {
        ios[i] = (jdb_engine_io){.file = late, .view = jdb_raw_new(buf.ptr + i * 4096, 4096)};
        MUST(jdb_engine_start(engine, &ios[i]) == 0);
    }
    if (context != NULL)
        faults_arm_all(FAULTS_ANY, 0, -EBADF); /* a ring that is gone; else a kernel that cannot cancel */
    else
        faults_arm_all(OS_CALL_RING, 0, -EINVAL);
    const uint64_t begin = jdb_clock_ns();
    MUST(jdb_engine_abandon(engine, begin + 20 * MILLISECOND) == -ETIMEDOUT && faults_disarm());
    MUST(jdb_clock_ns() - begin < 10000 * MILLISECOND);
    MUST(!jdb_engine_is_complete(&ios[0]) && jdb_is_pinned(buf.ptr, 4096));
    MUST(jdb_engine_is_complete(&ios[1]) && ios[1].err == -ECANCELED);
}

/* In a child, where what is left behind is no leak. */
static void what_is_stuck_is_left_behind(void **state)
{
    (void)state;
    char text[256];
    int reason = 0;
    for (int i = 0; i < 2; i++) {
        const int status = must_run_child(abandon_a_read, i == 0 ? NULL : &reason, text, sizeof text);
        assert_string_equal(text, "");
        assert_int_equal(status, 0);
    }
}

/* ---- Order -------------------------------------------------------------------------------------------------- */

/* The request behind the one that is waited for is in the kernel when that wait ends, and needs none of its own. */
static void a_slot_that_is_free_goes_on_by_itself(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 8192) == 0);
    jdb_engine *const engine = open_ring(1);
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    if (jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT)
        skip();
    memset(buf.ptr, 0xa5, 4096);
    memset(bytes, 0xa5, 4096);
    jdb_engine_io first = io_of(file, buf.ptr + 4096, 4096, 8192, false);
    jdb_engine_io second = io_of(file, buf.ptr, 4096, 0, true);
    CHECK(jdb_engine_start(engine, &first) == 0 && jdb_engine_start(engine, &second) == 0);
    CHECK(jdb_engine_wait(engine, &first) == 0 && first.err == 0);
    uint8_t now[4096] = {0};
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int tries = 0; tries < 5000 && now[0] != 0xa5; tries++) {
        jdb_raw view = jdb_raw_new(now, sizeof now);
        CHECK(jdb_file_read_full(file, &view, 0, NULL) == 0);
        nanosleep(&pause, NULL);
    }
    CHECK(now[0] == 0xa5);
    CHECK(jdb_engine_wait(engine, &second) == 0 && second.err == 0);
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

static _Thread_local bool is_held_here;
static atomic_int held;

static int hold_write(enum os_call kind)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    if (kind != OS_CALL_WRITE || !is_held_here || atomic_load(&held) != 0)
        return 0;
    atomic_store(&held, 1);
    while (atomic_load(&held) != 2)
        nanosleep(&pause, NULL);
    return 0;
}

struct part {
    jdb_engine *engine;
    jdb_engine_io io;
};

static void *write_part(void *context)
{
    struct part *const part = context;
    is_held_here = true;
    MUST(jdb_engine_start(part->engine, &part->io) == 0 && jdb_engine_wait(part->engine, &part->io) == 0);
    return NULL;
}

/* A part of a block is about to be written through the page cache: its page is not written directly meanwhile. */
static void no_direct_write_overtakes_one_of_its_page(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 8192) == 0);
    memcpy(buf.ptr, bytes, 8192);
    jdb_engine *const engine = open_ring(4);
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    struct part part = {.engine = engine, .io = io_of(file, buf.ptr + 4096, 100, 4096, true)};
    pthread_t thread;
    const struct timespec pause = {.tv_nsec = 1000000};
    atomic_store(&held, 0);
    faults_set_hook(hold_write);
    CHECK(pthread_create(&thread, NULL, write_part, &part) == 0);
    while (atomic_load(&held) != 1)
        nanosleep(&pause, NULL);
    jdb_engine_io other = io_of(file, buf.ptr, 4096, 8192, true); /* of another page: it goes through the ring */
    const unsigned long before = faults_calls(OS_CALL_WRITE);
    CHECK(jdb_engine_start(engine, &other) == 0 && jdb_engine_wait(engine, &other) == 0 && other.err == 0);
    CHECK(jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT || faults_calls(OS_CALL_WRITE) == before);
    jdb_engine_io same = io_of(file, buf.ptr + 4608, 512, 4608, true);
    CHECK(jdb_engine_start(engine, &same) == 0);
    const bool is_aside = faults_calls(OS_CALL_WRITE) > before;
    atomic_store(&held, 2);
    CHECK(pthread_join(thread, NULL) == 0 && jdb_engine_wait(engine, &same) == 0);
    CHECK(is_aside && same.err == 0 && part.io.err == 0);
    faults_set_hook(NULL);
    memcpy(bytes + 8192, buf.ptr, 4096);
    check_file(file);
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
    jdb_buf_drop(&buf);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

struct worker {
    pthread_t thread;
    jdb_engine *engine;
    jdb_file *file;
    uint64_t seed;
    unsigned rounds;
    jdb_engine_io *left; /* started, and not waited for */
    uint8_t *memory;
};

static void *read_alone(void *context)
{
    struct worker *const own = context;
    uint8_t *const memory = aligned_alloc(4096, 8 * 4096);
    MUST(memory != NULL);
    for (unsigned round = 0; round < own->rounds; round++) {
        jdb_engine_io ios[8];
        jdb_engine_io *line[8];
        for (size_t i = 0; i < 8; i++) {
            line[i] = &ios[i];
            const bool is_aside = random_below(&own->seed, 8) == 0;
            const size_t offset = random_below(&own->seed, FILE_SIZE / 4096) * 4096;
            ios[i] = (jdb_engine_io){.file = own->file,
                                     .view = jdb_raw_new(memory + i * 4096, is_aside ? 100 : 4096),
                                     .offset = (int64_t)offset};
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
            MUST(io->err == -ECANCELED || memcmp(io->view.ptr, bytes + io->offset, io->view.cap) == 0);
        }
    }
    free(memory);
    return NULL;
}

static void many_threads_share_an_engine(void **state)
{
    (void)state;
    jdb_engine *const engine = open_ring(3);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    struct worker workers[4];
    for (unsigned i = 0; i < 4; i++) {
        workers[i] =
            (struct worker){.engine = engine, .file = file, .seed = i, .rounds = (unsigned)tier_pick(50, 500, 20000)};
        CHECK(pthread_create(&workers[i].thread, NULL, read_alone, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(workers[i].thread, NULL);
    CHECK(jdb_engine_in_flight(engine) == 0);
    CHECK(jdb_engine_close(engine) == 0);
    CHECK(jdb_file_close(file) == 0);
}

static void *start_and_leave(void *context)
{
    struct worker *const own = context;
    for (size_t i = 0; i < 8; i++)
        MUST(jdb_engine_start(own->engine, &own->left[i]) == 0);
    return NULL;
}

/* The kernel ends what a thread that exits has in its workers. */
static void a_thread_ends_before_its_requests(void **state)
{
    (void)state;
    jdb_buf buf = JDB_BUF_INIT;
    CHECK(jdb_buf_with_cap(&buf, 8 * 4096) == 0);
    jdb_engine *const engine = open_ring(4);
    for (uint64_t round = 0; round < tier_pick(10, 50, 500); round++) {
        jdb_file *const file = open_with(round % 2 == 0 ? JDB_FILE_DIRECT_PREFER : JDB_FILE_DIRECT_OFF, 0);
        jdb_engine_io ios[8];
        for (size_t i = 0; i < 8; i++)
            ios[i] = io_of(file, buf.ptr + i * 4096, 4096, (int64_t)(i * 7) * 4096, false);
        struct worker worker = {.engine = engine, .left = ios};
        CHECK(pthread_create(&worker.thread, NULL, start_and_leave, &worker) == 0);
        pthread_join(worker.thread, NULL);
        for (size_t i = 0; i < 8; i++)
            check_read(engine, &ios[i]);
        CHECK(jdb_file_close(file) == 0);
    }
    CHECK(jdb_engine_close(engine) == 0);
    jdb_buf_drop(&buf);
}

/* ---- Fork --------------------------------------------------------------------------------------------------- */

static void use_in_child(void *context)
{
    jdb_engine *const engine = context;
    uint8_t byte = 0;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    jdb_file *file = NULL;
    MUST(jdb_file_open(path, &options, NULL, &file) == 0);
    jdb_engine_io io = {.file = file, .view = jdb_raw_new(&byte, 1)};
    MUST(jdb_engine_start(engine, &io) == -EPERM);
    MUST(jdb_engine_close(engine) == -EPERM && jdb_engine_abandon(engine, 0) == -EPERM);
    jdb_engine_io *line = &io;
    MUST(jdb_engine_wait_any(engine, &line, 1, 0, &line) == -EPERM && line == &io);
}

static void a_child_cannot_use_it(void **state)
{
    (void)state;
    char text[256];
    jdb_engine *const engine = open_ring(2);
    assert_int_equal(must_run_child(use_in_child, engine, text, sizeof text), 0);
    assert_string_equal(text, "");
    CHECK(jdb_engine_close(engine) == 0);
}

/* ---- Streams and arenas ------------------------------------------------------------------------------------- */

static void an_arena_is_registered_until_it_is_removed(void **state)
{
    (void)state;
    jdb_engine *const engine = open_ring(2);
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = 65536;
    options.frame_count = 4;
    jdb_arena *arena = NULL;
    CHECK(jdb_arena_new(&options, &arena) == 0);
    CHECK(jdb_engine_remove_arena(engine, arena) == -EINVAL);
    CHECK(jdb_engine_add_arena(engine, arena) == 0);
    jdb_uring_range range = {.size = sizeof range};
    CHECK(jdb_uring_get_range(jdb_uring_of_engine(engine), jdb_arena_base(arena), &range) == 0);
    CHECK(range.range_bytes >= 4 * 65536 && jdb_uring_of_engine(NULL) == NULL);
    CHECK(jdb_engine_add_arena(engine, arena) == -EEXIST && jdb_arena_free(arena) == -EBUSY);
    CHECK(jdb_engine_remove_arena(engine, arena) == 0 && jdb_arena_free(arena) == 0);
    CHECK(jdb_engine_close(engine) == 0);
}

static int start_nothing(jdb_engine *engine, jdb_engine_io *io)
{
    (void)engine;
    (void)io;
    return -EAGAIN;
}

static void close_nothing(jdb_engine *engine)
{
    (void)engine;
}

static void only_engines_of_this_library_have_its_ring(void **state)
{
    (void)state;
    static const jdb_engine_calls calls = {
        .size = sizeof calls, .kind = JDB_ENGINE_URING, .start = start_nothing, .close = close_nothing};
    jdb_engine own;
    CHECK(jdb_engine_init(&own, &calls, 1, "") == 0 && jdb_engine_kind(&own) == JDB_ENGINE_URING);
    CHECK(jdb_uring_of_engine(&own) == NULL);
    jdb_engine *threads = NULL;
    CHECK(jdb_engine_open(NULL, &threads) == 0 && jdb_uring_of_engine(threads) == NULL);
    CHECK(jdb_engine_close(threads) == 0);
}

static void a_scan_and_a_copy(void **state)
{
    (void)state;
    jdb_engine *const engine = open_ring(8);
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE);
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    options.engine = engine;
    options.frame_size = 65536;
    jdb_writer *writer = NULL;
    CHECK(jdb_writer_open(file, &options, &writer) == 0);
    uint64_t seed = random_seed("a_scan_and_a_copy");
    for (size_t at = 0; at < FILE_SIZE;) {
        const size_t wish = 1 + random_below(&seed, 70000);
        const size_t size = wish < FILE_SIZE - at ? wish : FILE_SIZE - at;
        CHECK(jdb_writer_append(writer, jdb_raw_from_slice(bytes + at, size), NULL) == 0);
        CHECK(random_below(&seed, 4) != 0 || jdb_writer_sync(writer) == 0);
        at += size;
    }
    CHECK(jdb_writer_close(writer) == 0);
    check_file(file);
    jdb_reader *reader = NULL;
    jdb_stream_view view;
    CHECK(jdb_reader_open(file, &options, &reader) == 0);
    size_t at = 0;
    while (jdb_reader_next(reader, 0, &view) == 0 && view.len != 0) {
        CHECK(memcmp(view.ptr, bytes + at, view.len) == 0);
        at += view.len;
        CHECK(jdb_reader_release(reader, &view) == 0);
    }
    CHECK(at == FILE_SIZE && jdb_engine_close(engine) == -EBUSY);
    CHECK(jdb_reader_close(reader) == 0 && jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
}

/* The one thread of an engine submits what it has started by the call that waits, not before. */
static void one_thread_submits_when_it_waits(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t memory[8][4096];
    jdb_engine *const engine = open_ring(8);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    jdb_engine_io ios[8];
    const unsigned long before = faults_calls(OS_CALL_RING_WAIT);
    for (size_t i = 0; i < 8; i++) {
        ios[i] = io_of(file, memory[i], 4096, (int64_t)i * 4096, false);
        CHECK(jdb_engine_start(engine, &ios[i]) == 0);
    }
    CHECK(faults_calls(OS_CALL_RING_WAIT) == before);
    for (size_t i = 0; i < 8; i++)
        check_read(engine, &ios[i]);
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
}

/* A look takes what is complete, though nobody slept for it. */
static void one_thread_looks(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t memory[4096];
    jdb_engine *const engine = open_ring(2);
    jdb_file *const file = rig_open(JDB_FILE_READ);
    jdb_engine_io first = io_of(file, memory, 4096, 0, false);
    jdb_engine_io *line = &first;
    jdb_engine_io *io = NULL;
    const struct timespec pause = {.tv_nsec = 1000000};
    CHECK(jdb_engine_start(engine, &first) == 0);
    for (int tries = 0; tries < 10000 && jdb_engine_wait_any(engine, &line, 1, 0, &io) == -ETIMEDOUT; tries++)
        nanosleep(&pause, NULL);
    CHECK(io == &first && first.err == 0 && memcmp(memory, bytes, 4096) == 0);
    CHECK(jdb_engine_close(engine) == 0 && jdb_file_close(file) == 0);
}

static int use_one_thread(void **state)
{
    (void)state;
    ring_flags = JDB_ENGINE_ONE_THREAD;
    return 0;
}

static int use_any_thread(void **state)
{
    (void)state;
    ring_flags = 0;
    return 0;
}

#define ONE_THREAD_TEST(test) cmocka_unit_test_setup_teardown(test, use_one_thread, use_any_thread)

int main(void)
{
    jdb_engine *engine = NULL;
    jdb_engine_options options = JDB_ENGINE_OPTIONS_INIT;
    options.kind = JDB_ENGINE_URING;
    const int err = jdb_uring_engine_open(&options, &engine);
    if (err != 0) {
        printf("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    jdb_engine_close(engine);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_files),
        cmocka_unit_test(buffered_files),
        cmocka_unit_test(durable_files),
        cmocka_unit_test(direct_reads_make_no_call_of_the_file),
        cmocka_unit_test(errors_are_of_the_file),
        cmocka_unit_test(arguments),
        cmocka_unit_test(each_call_of_opening_fails),
        cmocka_unit_test(another_engine_where_rings_are_refused),
        cmocka_unit_test(no_memory_for_a_ring_is_no_failure),
        cmocka_unit_test(the_kernel_takes_no_requests),
        cmocka_unit_test(the_kernel_never_takes_a_request),
        ONE_THREAD_TEST(the_kernel_never_takes_a_request),
        cmocka_unit_test(requests_are_cancelled),
        ONE_THREAD_TEST(what_was_not_submitted_is_cancelled),
        cmocka_unit_test(a_request_in_flight_is_cancelled_by_the_kernel),
        cmocka_unit_test(any_of_many),
        cmocka_unit_test(a_deadline_passes),
        cmocka_unit_test(a_deadline_is_far),
        ONE_THREAD_TEST(a_deadline_is_far),
        cmocka_unit_test(deadlines_of_two_threads),
        cmocka_unit_test(failures_of_the_ring_are_reported),
        cmocka_unit_test(a_wait_that_is_refused_is_not_busy),
        ONE_THREAD_TEST(a_wait_that_is_refused_is_not_busy),
        cmocka_unit_test(what_is_cancelled_is_complete),
        ONE_THREAD_TEST(what_was_not_submitted_is_never_written),
        cmocka_unit_test(what_is_stuck_is_left_behind),
        cmocka_unit_test(a_slot_that_is_free_goes_on_by_itself),
        cmocka_unit_test(no_direct_write_overtakes_one_of_its_page),
        cmocka_unit_test(many_threads_share_an_engine),
        cmocka_unit_test(a_thread_ends_before_its_requests),
        cmocka_unit_test(a_child_cannot_use_it),
        cmocka_unit_test(an_arena_is_registered_until_it_is_removed),
        cmocka_unit_test(only_engines_of_this_library_have_its_ring),
        cmocka_unit_test(a_scan_and_a_copy),
        ONE_THREAD_TEST(one_thread_submits_when_it_waits),
        ONE_THREAD_TEST(one_thread_looks),
        ONE_THREAD_TEST(direct_files),
        ONE_THREAD_TEST(buffered_files),
        ONE_THREAD_TEST(the_kernel_takes_no_requests),
        ONE_THREAD_TEST(requests_are_cancelled),
        ONE_THREAD_TEST(any_of_many),
        ONE_THREAD_TEST(a_deadline_passes),
        ONE_THREAD_TEST(what_is_cancelled_is_complete),
        ONE_THREAD_TEST(an_arena_is_registered_until_it_is_removed),
        ONE_THREAD_TEST(a_scan_and_a_copy),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
