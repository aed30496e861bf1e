/* SPDX-License-Identifier: MIT
 *
 * engine.c - what all engines share: the state of requests, options; and the engine that does each request at once.
 */
#include "stream/engine.h"
#include "base/bits.h"
#include "base/sized.h"
#include "os/fork_mark.h"
#include "os/os.h"

#include <errno.h>
#include <stdio.h>

SIZED_FORM(engine_options_form, jdb_engine_options, 16, 64);

/* ---- The object --------------------------------------------------------------------------------------------- */

int jdb_engine_init(jdb_engine *engine, const jdb_engine_calls *calls, uint32_t depth, const char *reason)
{
    if (engine == NULL || calls == NULL || calls->size < offsetof(jdb_engine_calls, wait_any) || depth == 0 ||
        reason == NULL || calls->start == NULL || calls->close == NULL)
        return -EINVAL;
    *engine = (jdb_engine){.calls = calls, .depth = depth, .mark = jdb__fork_mark()};
    snprintf(engine->reason, sizeof engine->reason, "%s", reason);
    return 0;
}

bool jdb__engine_is_mine(const jdb_engine *engine)
{
    return fork_mark_is_mine(engine->mark);
}

int jdb_engine_close(jdb_engine *engine)
{
    if (engine == NULL)
        return 0;
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    if (jdb_engine_in_flight(engine) != 0 || __atomic_load_n(&engine->stream_count, __ATOMIC_ACQUIRE) != 0)
        return -EBUSY;
    engine->calls->close(engine);
    return 0;
}

/* Whether the engine knows the calls that came with wait_any. */
static bool engine_knows_any(const jdb_engine *engine)
{
    return engine->calls->size >= offsetof(jdb_engine_calls, reserved);
}

int jdb_engine_abandon(jdb_engine *engine, uint64_t deadline_ns)
{
    if (jdb_engine_in_flight(engine) == 0) /* of NULL too */
        return jdb_engine_close(engine);
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    if (__atomic_load_n(&engine->stream_count, __ATOMIC_ACQUIRE) != 0)
        return -EBUSY;
    if (!engine_knows_any(engine) || engine->calls->abandon == NULL)
        return -ENOTSUP;
    return engine->calls->abandon(engine, deadline_ns);
}

uint32_t jdb_engine_kind(const jdb_engine *engine)
{
    return engine != NULL ? engine->calls->kind : 0;
}

uint32_t jdb_engine_depth(const jdb_engine *engine)
{
    return engine != NULL ? engine->depth : 0;
}

const char *jdb_engine_reason(const jdb_engine *engine)
{
    return engine != NULL ? engine->reason : "";
}

uint64_t jdb_engine_in_flight(const jdb_engine *engine)
{
    return engine != NULL ? __atomic_load_n(&engine->in_flight_count, __ATOMIC_ACQUIRE) : 0;
}

const char *jdb_engine_kind_name(uint32_t kind)
{
    static const char *const names[] = {"?", "synchronous", "threads", "io_uring", "other"};
    return names[kind < sizeof names / sizeof names[0] ? kind : 0];
}

void jdb__engine_join(jdb_engine *engine)
{
    __atomic_add_fetch(&engine->stream_count, 1, __ATOMIC_ACQ_REL);
}

void jdb__engine_leave(jdb_engine *engine)
{
    const uint32_t before = __atomic_fetch_sub(&engine->stream_count, 1, __ATOMIC_ACQ_REL);
    JDB_ASSERT(before != 0);
    (void)before;
}

uint32_t jdb__engine_share(const jdb_engine *engine)
{
    const uint32_t streams = __atomic_load_n(&engine->stream_count, __ATOMIC_RELAXED);
    return (uint32_t)bits_max(2, engine->depth / bits_max(1, streams));
}

/* ---- Requests ----------------------------------------------------------------------------------------------- */

static uint32_t engine_state(const jdb_engine_io *io)
{
    return __atomic_load_n(&io->state, __ATOMIC_ACQUIRE);
}

static bool engine_io_is_valid(const jdb_engine_io *io)
{
    const size_t size = io->is_write != 0 ? io->view.len : io->view.cap;
    return io->file != NULL && io->view.ptr != NULL && size != 0 && io->offset >= 0;
}

int jdb_engine_start(jdb_engine *engine, jdb_engine_io *io)
{
    if (engine == NULL || io == NULL)
        return -EINVAL;
    if (engine_state(io) != ENGINE_IDLE) /* before its fields are read: they are the engine's */
        return -EBUSY;
    if (!engine_io_is_valid(io))
        return -EINVAL;
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    const jdb_raw view = io->view;
    if (io->is_write == 0)
        io->view.len = 0;
    io->err = 0;
    io->is_eof = 0;
    io->done_size = 0;
    io->direct_size = 0;
    io->uncached_size = 0;
    __atomic_add_fetch(&engine->in_flight_count, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&io->state, ENGINE_STARTED, __ATOMIC_RELEASE);
    const int err = engine->calls->start(engine, io);
    if (err == 0)
        return 0;
    io->view = view;
    __atomic_store_n(&io->state, ENGINE_IDLE, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&engine->in_flight_count, 1, __ATOMIC_ACQ_REL);
    return err;
}

/* What threads sleep on that wait for any of several requests; engines share them by their addresses. */
static uint32_t engine_any_words[16];

static uint32_t *engine_any_word(const jdb_engine *engine)
{
    return &engine_any_words[(uintptr_t)engine / sizeof *engine %
                             (sizeof engine_any_words / sizeof engine_any_words[0])];
}

void jdb_engine_complete(jdb_engine *engine, jdb_engine_io *io, int err)
{
    io->err = err;
    __atomic_sub_fetch(&engine->in_flight_count, 1, __ATOMIC_ACQ_REL);
    const uint32_t before = __atomic_exchange_n(&io->state, ENGINE_COMPLETE, __ATOMIC_ACQ_REL);
    JDB_ASSERT(before >= ENGINE_STARTED && before <= ENGINE_AWAITED_ANY);
    if (before == ENGINE_AWAITED)
        jdb__os_wake(&io->state);
    if (before == ENGINE_AWAITED_ANY) {
        uint32_t *const word = engine_any_word(engine);
        __atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
        jdb__os_wake_all(word);
    }
}

bool jdb_engine_is_complete(const jdb_engine_io *io)
{
    return io != NULL && engine_state(io) == ENGINE_COMPLETE;
}

/* False: its state is another by now. */
static bool engine_change(jdb_engine_io *io, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&io->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void engine_sleep(jdb_engine_io *io)
{
    const uint32_t state = engine_state(io);
    if (state == ENGINE_COMPLETE || (state != ENGINE_AWAITED && !engine_change(io, state, ENGINE_AWAITED)))
        return;
    jdb__os_sleep(&io->state, ENGINE_AWAITED, UINT64_MAX);
}

int jdb_engine_wait(jdb_engine *engine, jdb_engine_io *io)
{
    if (engine == NULL || io == NULL || engine_state(io) == ENGINE_IDLE)
        return -EINVAL;
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    if (engine->calls->wait != NULL && engine_state(io) != ENGINE_COMPLETE)
        engine->calls->wait(engine, io);
    while (engine_state(io) != ENGINE_COMPLETE)
        engine_sleep(io);
    __atomic_store_n(&io->state, ENGINE_IDLE, __ATOMIC_RELAXED);
    return 0;
}

/* End the first that is complete: 0 and *ret_io. -EAGAIN: none is; -EINVAL: none was started. */
static int engine_end_first(jdb_engine_io *const *ios, size_t count, jdb_engine_io **ret_io)
{
    int err = -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (ios[i] == NULL || engine_state(ios[i]) == ENGINE_IDLE)
            continue;
        if (engine_change(ios[i], ENGINE_COMPLETE, ENGINE_IDLE)) {
            *ret_io = ios[i];
            return 0;
        }
        err = -EAGAIN;
    }
    return err;
}

/* Sleep until one of the requests may be complete. The word is read first, so that no completion after that is missed. */
static int engine_sleep_any(const jdb_engine *engine, jdb_engine_io *const *ios, size_t count, uint64_t deadline_ns)
{
    uint32_t *const word = engine_any_word(engine);
    const uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (deadline_ns != UINT64_MAX && jdb__os_clock_ns() >= deadline_ns)
        return -ETIMEDOUT;
    for (size_t i = 0; i < count; i++) {
        if (ios[i] != NULL && !engine_change(ios[i], ENGINE_STARTED, ENGINE_AWAITED_ANY) &&
            jdb_engine_is_complete(ios[i]))
            return 0;
    }
    jdb__os_sleep(word, seen, deadline_ns);
    return 0;
}

/* Of an engine that has a wait of its own, and none with a deadline. */
static int engine_wait_for_one(jdb_engine *engine, jdb_engine_io *const *ios, size_t count, uint64_t deadline_ns)
{
    size_t i = 0;
    if (deadline_ns != UINT64_MAX)
        return deadline_ns == 0 ? -ETIMEDOUT : -ENOTSUP;
    while (i < count && (ios[i] == NULL || engine_state(ios[i]) == ENGINE_IDLE))
        i++;
    if (i < count)
        engine->calls->wait(engine, ios[i]);
    return 0;
}

int jdb_engine_wait_any(jdb_engine *engine, jdb_engine_io *const *ios, size_t count, uint64_t deadline_ns,
                        jdb_engine_io **ret_io)
{
    if (engine == NULL || ios == NULL || ret_io == NULL)
        return -EINVAL;
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    int err = engine_end_first(ios, count, ret_io);
    while (err == -EAGAIN) {
        const jdb_engine_calls *const calls = engine->calls;
        int failure = 0;
        if (engine_knows_any(engine) && calls->wait_any != NULL)
            failure = calls->wait_any(engine, ios, count, deadline_ns);
        else
            failure = calls->wait == NULL ? engine_sleep_any(engine, ios, count, deadline_ns)
                                          : engine_wait_for_one(engine, ios, count, deadline_ns);
        err = engine_end_first(ios, count, ret_io);
        if (err == -EAGAIN && failure != 0)
            return failure;
    }
    return err;
}

int jdb_engine_cancel(jdb_engine *engine, jdb_engine_io *io)
{
    if (engine == NULL || io == NULL || engine_state(io) == ENGINE_IDLE)
        return -EINVAL;
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    if (engine->calls->cancel != NULL && engine_state(io) != ENGINE_COMPLETE)
        engine->calls->cancel(engine, io);
    return 0;
}

int jdb_engine_run(jdb_engine_io *io)
{
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const int err = io->is_write != 0 ? jdb_file_write_full(io->file, io->view, io->offset, &report)
                                      : jdb_file_read_full(io->file, &io->view, io->offset, &report);
    io->is_eof = report.is_eof;
    io->done_size = report.done_size;
    io->direct_size = report.direct_size;
    const uint32_t mode = io->is_write != 0 ? jdb_file_write_mode(io->file) : jdb_file_read_mode(io->file);
    io->uncached_size = mode == JDB_FILE_MODE_UNCACHED ? report.buffered_size : 0;
    return err;
}

/* ---- Arenas ------------------------------------------------------------------------------------------------- */

int jdb_engine_add_arena(jdb_engine *engine, jdb_arena *arena)
{
    if (engine == NULL || arena == NULL)
        return -EINVAL;
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    return engine->calls->add_arena != NULL ? engine->calls->add_arena(engine, arena) : 0;
}

int jdb_engine_remove_arena(jdb_engine *engine, jdb_arena *arena)
{
    if (engine == NULL || arena == NULL)
        return -EINVAL;
    if (!jdb__engine_is_mine(engine))
        return -EPERM;
    return engine->calls->remove_arena != NULL ? engine->calls->remove_arena(engine, arena) : 0;
}

/* ---- Synchronous -------------------------------------------------------------------------------------------- */

static int engine_start_synchronous(jdb_engine *engine, jdb_engine_io *io)
{
    jdb_engine_complete(engine, io, jdb_engine_run(io));
    return 0;
}

static void engine_close_synchronous(jdb_engine *engine)
{
    jdb__os_free(engine);
}

int jdb__engine_open_synchronous(const char *reason, jdb_engine **ret_engine)
{
    static const jdb_engine_calls calls = {
        .size = sizeof calls,
        .kind = JDB_ENGINE_SYNCHRONOUS,
        .start = engine_start_synchronous,
        .close = engine_close_synchronous,
    };
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(jdb_engine), &memory);
    if (err != 0)
        return err;
    (void)jdb_engine_init(memory, &calls, 1, reason);
    *ret_engine = memory;
    return 0;
}

/* ---- Open --------------------------------------------------------------------------------------------------- */

static int engine_open_auto(uint32_t depth, jdb_engine **ret_engine)
{
    const int err = jdb__engine_open_threads(depth, ret_engine);
    if (err == 0 || err == -ENOMEM)
        return err;
    char words[64];
    char reason[JDB_ENGINE_REASON_SIZE];
    snprintf(reason, sizeof reason, "no thread could be started: %s; requests do not overlap",
             jdb__os_error_text(err, words, sizeof words));
    return jdb__engine_open_synchronous(reason, ret_engine);
}

int jdb_engine_open(const jdb_engine_options *options, jdb_engine **ret_engine)
{
    jdb_engine_options known = JDB_ENGINE_OPTIONS_INIT;
    if (ret_engine == NULL)
        return -EINVAL;
    const int err = options != NULL ? jdb__sized_read(&engine_options_form, options, &known) : 0;
    if (err != 0)
        return err;
    if (known.kind > JDB_ENGINE_THREADS || known.depth > JDB_ENGINE_DEPTH_MAX || known.flags > JDB_ENGINE_ONE_THREAD)
        return -EINVAL;
    const uint32_t depth = known.depth != 0 ? known.depth : JDB_ENGINE_DEPTH_DEFAULT;
    if (known.kind == JDB_ENGINE_SYNCHRONOUS)
        return jdb__engine_open_synchronous("", ret_engine);
    return known.kind == JDB_ENGINE_THREADS ? jdb__engine_open_threads(depth, ret_engine)
                                            : engine_open_auto(depth, ret_engine);
}
