/* SPDX-License-Identifier: MIT
 *
 * stream_rig.h - for the tests of streams: a file of known bytes in TMPDIR (default /var/tmp), and an engine that completes
 * its requests late, in random order, some of them failing. Behind <cmocka.h>.
 */
#ifndef JDB_TEST_STREAM_RIG_H
#define JDB_TEST_STREAM_RIG_H

#include "jdb_alloc.h"

#include "random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                \
    do {                                \
        if (!(condition))               \
            fail_msg("%s", #condition); \
    } while (0)

static char path[512];

static inline void rig_path(const char *name)
{
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/%s.%ld", directory != NULL ? directory : "/var/tmp", name, (long)getpid());
    unlink(path);
}

static inline jdb_file *rig_open(uint32_t access)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = access;
    jdb_file *file = NULL;
    CHECK(jdb_file_open(path, &options, NULL, &file) == 0);
    return file;
}

static inline void rig_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((i * 7 + i / 256 * 13 + seed) % 251 + 1);
}

/* A file of these bytes, open for reading and writing. */
static inline jdb_file *rig_create(const uint8_t *bytes, size_t size)
{
    unlink(path);
    jdb_file *const file = rig_open(JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE);
    if (size != 0)
        CHECK(jdb_file_write_full(file, jdb_raw_from_slice((void *)(uintptr_t)bytes, size), 0, NULL) == 0);
    return file;
}

/* ---- An engine without an order ----------------------------------------------------------------------------- */

#define RIG_QUEUE 256

struct rig_engine {
    jdb_engine engine;
    uint64_t seed;
    jdb_engine_io *queue[RIG_QUEUE];
    size_t count;
    int64_t bad_offset;   /* requests that touch this byte fail with -EIO and move some of what is before; -1: none */
    unsigned refuse_once; /* 1: the next start is refused with -EAGAIN */
    unsigned most;        /* requests that were in flight at once */
};

static inline struct rig_engine *rig_of(jdb_engine *engine)
{
    return (struct rig_engine *)(void *)engine;
}

static inline int rig_start(jdb_engine *engine, jdb_engine_io *io)
{
    struct rig_engine *const own = rig_of(engine);
    if (own->refuse_once != 0) {
        own->refuse_once = 0;
        return -EAGAIN;
    }
    CHECK(own->count < RIG_QUEUE);
    own->queue[own->count++] = io;
    if (own->count > own->most)
        own->most = (unsigned)own->count;
    return 0;
}

/* Any number of bytes in front of the bad block, in whole blocks or not. */
static inline int rig_fail(struct rig_engine *own, jdb_engine_io *io)
{
    const int64_t before = own->bad_offset - own->bad_offset % 4096 - io->offset;
    const size_t size = before > 0 ? (size_t)random_below(&own->seed, (uint64_t)before + 1) : 0;
    const jdb_raw whole = io->view;
    if (size != 0) {
        io->view = io->is_write != 0 ? jdb_raw_from_slice(whole.ptr, size) : jdb_raw_new(whole.ptr, size);
        CHECK(jdb_engine_run(io) == 0);
        io->view.cap = whole.cap;
        io->view.len = io->is_write != 0 ? whole.len : io->view.len;
    }
    return -EIO;
}

static inline void rig_finish(struct rig_engine *own, size_t at)
{
    jdb_engine_io *const io = own->queue[at];
    own->queue[at] = own->queue[--own->count];
    const size_t size = io->is_write != 0 ? io->view.len : io->view.cap;
    const bool is_bad = own->bad_offset >= io->offset && own->bad_offset < io->offset + (int64_t)size;
    jdb_engine_complete(&own->engine, io, is_bad ? rig_fail(own, io) : jdb_engine_run(io));
}

/* Others first, and others too. */
static inline void rig_wait(jdb_engine *engine, jdb_engine_io *io)
{
    struct rig_engine *const own = rig_of(engine);
    while (!jdb_engine_is_complete(io))
        rig_finish(own, (size_t)random_below(&own->seed, own->count));
}

static inline void rig_cancel(jdb_engine *engine, jdb_engine_io *io)
{
    struct rig_engine *const own = rig_of(engine);
    for (size_t i = 0; i < own->count; i++)
        if (own->queue[i] == io && random_below(&own->seed, 2) == 0) {
            own->queue[i] = own->queue[--own->count];
            jdb_engine_complete(engine, io, -ECANCELED);
            return;
        }
}

static inline void rig_close(jdb_engine *engine)
{
    (void)engine;
}

static inline void rig_engine_init(struct rig_engine *own, uint64_t seed, uint32_t depth)
{
    static const jdb_engine_calls calls = {
        .size = sizeof calls,
        .kind = JDB_ENGINE_OTHER,
        .start = rig_start,
        .wait = rig_wait,
        .cancel = rig_cancel,
        .close = rig_close,
    };
    *own = (struct rig_engine){.seed = seed, .bad_offset = -1};
    CHECK(jdb_engine_init(&own->engine, &calls, depth, "random order") == 0);
}

#endif
