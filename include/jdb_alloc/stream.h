/* SPDX-License-Identifier: MIT
 *
 * stream.h - engines that keep several requests of a jdb_file in flight: what is lost with the page cache, given back.
 *
 *     jdb_engine *engine = NULL;
 *     jdb_engine_open(NULL, &engine);                        // threads, else synchronous, with the reason
 *     jdb_engine_io io = JDB_ENGINE_IO_INIT;
 *     io.file = file;
 *     io.view = jdb_buf_as_raw(&buf);
 *     io.offset = 0;
 *     jdb_engine_start(engine, &io);                         // in flight: the memory belongs to the request
 *     ...
 *     jdb_engine_wait(engine, &io);                          // io.err, io.view.len, io.is_eof
 *     jdb_engine_close(engine);
 *
 * An engine is an object behind the calls of a jdb_engine_calls, which a program may implement too. The core has two:
 *
 *     synchronous   a request is done within jdb_engine_start(): nothing overlaps
 *     threads       each request is done by one of `depth` threads, which sleep otherwise: first come, first served
 *
 * and libjdb_uring a third (uring.h). Each does what jdb_file_read_full() and jdb_file_write_full() do, with their errors:
 * any memory, any range, short results resumed, memory of this library pinned from start to completion.
 *
 * Life cycle: an engine is opened, serves any number of requests of any files, and is closed when none is in flight. A request
 * is the caller's, must not move or change from jdb_engine_start() until jdb_engine_wait() has returned, and may then be used
 * again.
 *
 * Thread safety: any threads may use one engine at once, and one thread at a time a request; jdb_engine_close() is the last
 * call. Fork: an engine stays with the parent; its calls return -EPERM in the child.
 */
#ifndef JDB_ALLOC_STREAM_H
#define JDB_ALLOC_STREAM_H

#include "arena.h"
#include "base.h"
#include "file.h"
#include "raw.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_engine jdb_engine;

/* ---- Requests --------------------------------------------------------------------------------------------- */

/* One read or write. Set the first five fields, the others to 0 once (JDB_ENGINE_IO_INIT). */
typedef struct jdb_engine_io {
    jdb_file *file;
    jdb_raw view;         /* a read fills cap bytes and sets len; a write takes len bytes */
    int64_t offset;       /* in the file, bytes */
    uint32_t is_write;    /* 1: a write */
    uint32_t is_eof;      /* result of a read: 1: the file ended */
    int32_t err;          /* result: as of jdb_file_read_full() and jdb_file_write_full(); -ECANCELED: not begun */
    uint32_t state;       /* private */
    uint64_t done_size;   /* result: bytes moved from the start of the range, exact on failure too */
    uint64_t direct_size; /* result: of them, with O_DIRECT */
    struct jdb_engine_io *next; /* the engine's while in flight */
    void *engine_data;          /* the engine's while in flight */
    uint64_t reserved[4];
} jdb_engine_io;

#ifdef __cplusplus
#define JDB_ENGINE_IO_INIT \
    jdb_engine_io          \
    {                      \
    }
#else
#define JDB_ENGINE_IO_INIT ((jdb_engine_io){0})
#endif

/* ---- Open and close --------------------------------------------------------------------------------------- */

/* The kind of an engine. */
enum {
    JDB_ENGINE_AUTO = 0,        /* in the options: the best that works; the reason says why it is not a better one */
    JDB_ENGINE_SYNCHRONOUS = 1, /* on the calling thread */
    JDB_ENGINE_THREADS = 2,     /* on threads of the engine */
    JDB_ENGINE_URING = 3,       /* io_uring: jdb_uring_engine_open() */
    JDB_ENGINE_OTHER = 4,       /* the program's own */
};

#define JDB_ENGINE_DEPTH_DEFAULT 8u
#define JDB_ENGINE_DEPTH_MAX 1024u
#define JDB_ENGINE_REASON_SIZE 160 /* bytes, NUL included */

typedef struct jdb_engine_options {
    uint32_t size;  /* bytes of this struct, as the caller knows it */
    uint32_t kind;  /* JDB_ENGINE_x; 0 = AUTO */
    uint32_t depth; /* requests that make progress at once, 1 to 1,024 (64 threads at most); 0 = 8 */
    uint32_t reserved32;
    uint64_t reserved[6];
} jdb_engine_options;

#ifdef __cplusplus
#define JDB_ENGINE_OPTIONS_INIT                                        \
    ([] {                                                              \
        jdb_engine_options init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_engine_options)); \
        return init;                                                   \
    }())
#else
#define JDB_ENGINE_OPTIONS_INIT ((jdb_engine_options){.size = sizeof(jdb_engine_options)})
#endif

/* jdb_engine_open - an engine of the core: threads, or synchronous.
 *
 * options: NULL = JDB_ENGINE_OPTIONS_INIT. Where the system gives fewer threads than `depth`, the engine works with those;
 * where it gives none, AUTO opens a synchronous one; jdb_engine_reason() says so.
 * Returns 0 and *ret_engine, which the caller owns; -EINVAL: NULL, a kind that is not of the core, a depth, or size too small;
 * -E2BIG: an option of a newer version; -ENOMEM; with THREADS the error of the first thread (-EAGAIN). *ret_engine is untouched
 * on failure. Any thread. Since 0.2. */
JDB_API int jdb_engine_open(const jdb_engine_options *options, jdb_engine **ret_engine);

/* jdb_engine_close - end the threads or the ring, and free the engine; NULL is legal.
 *
 * Returns 0; -EBUSY: requests are in flight or streams are open on it, and nothing is closed; -EPERM: child of fork(). Any
 * thread, as the engine's last call. Since 0.2. */
JDB_API int jdb_engine_close(jdb_engine *engine);

/* What an engine is. 0, and "" of the reason, for NULL. Any thread. Since 0.2.
 *   jdb_engine_kind       JDB_ENGINE_x
 *   jdb_engine_depth      requests that make progress at once
 *   jdb_engine_reason     why it is not a better one, one sentence; "" = it is what was asked for. Valid until it is closed
 *   jdb_engine_in_flight  requests that were started and are not complete */
JDB_API uint32_t jdb_engine_kind(const jdb_engine *engine);
JDB_API uint32_t jdb_engine_depth(const jdb_engine *engine);
JDB_API const char *jdb_engine_reason(const jdb_engine *engine);
JDB_API uint64_t jdb_engine_in_flight(const jdb_engine *engine);

/* jdb_engine_kind_name - "synchronous", "threads", "io_uring", "other", a static string; "?" for other numbers. Since 0.2. */
JDB_API const char *jdb_engine_kind_name(uint32_t kind);

/* ---- Run requests ----------------------------------------------------------------------------------------- */

/* jdb_engine_start - begin a request; its memory must not be used until it is complete.
 *
 * Returns 0: it will complete, with io->err; -EINVAL: NULL, no file, an empty view; -EBUSY: it is in flight, or complete
 * and not waited for; -EPERM: child of fork(); or the engine's error: it was not begun. Any thread. Since 0.2. */
JDB_API int jdb_engine_start(jdb_engine *engine, jdb_engine_io *io);

/* jdb_engine_is_complete - whether jdb_engine_wait() would return at once. An engine may need a wait for any request to see
 * what is complete. False for a request that was not started. Any thread. Since 0.2. */
JDB_API bool jdb_engine_is_complete(const jdb_engine_io *io);

/* jdb_engine_wait - wait until a request is complete; only this ends it. Returns 0: its results are set, and it may be started
 * again; -EINVAL: NULL, or it was not started; -EPERM: child of fork(). Any thread, one for each request. Since 0.2. */
JDB_API int jdb_engine_wait(jdb_engine *engine, jdb_engine_io *io);

/* jdb_engine_cancel - ask for a request in flight to end early: one that has not begun completes with -ECANCELED, one that the
 * device has runs on. Wait for it as ever. Returns 0; -EINVAL: NULL, or it was not started; -EPERM. Any thread. Since 0.2. */
JDB_API int jdb_engine_cancel(jdb_engine *engine, jdb_engine_io *io);

/* jdb_engine_add_arena - register an arena with the engine's ring as fixed buffers; other engines need nothing and return 0.
 * What the ring refuses is no error: its requests go plain. jdb_engine_remove_arena() before the arena is freed.
 * Returns 0; -EINVAL: NULL; else as jdb_uring_add_arena(). Any thread. Since 0.2. */
JDB_API int jdb_engine_add_arena(jdb_engine *engine, jdb_arena *arena);

/* jdb_engine_remove_arena - undo jdb_engine_add_arena(). Returns 0; -EINVAL: NULL, or not added; -EPERM. Any thread.
 * Since 0.2. */
JDB_API int jdb_engine_remove_arena(jdb_engine *engine, jdb_arena *arena);

/* ---- Implement an engine ---------------------------------------------------------------------------------- */

/* What an engine does. The calls of jdb_engine_x() above have checked the arguments, and that this is no child of fork(). */
typedef struct jdb_engine_calls {
    uint32_t size; /* bytes of this struct, as the engine knows it */
    uint32_t kind; /* JDB_ENGINE_x */
    /* Begin a request, or do it: jdb_engine_complete() is called once for it, here or later, on any thread. Returns 0; an
     * error: not begun, and never completed. */
    int (*start)(jdb_engine *engine, jdb_engine_io *io);
    /* Return when the request is complete. NULL: others complete it, and the caller sleeps. */
    void (*wait)(jdb_engine *engine, jdb_engine_io *io);
    void (*cancel)(jdb_engine *engine, jdb_engine_io *io);     /* may be NULL */
    int (*add_arena)(jdb_engine *engine, jdb_arena *arena);    /* may be NULL */
    int (*remove_arena)(jdb_engine *engine, jdb_arena *arena); /* may be NULL */
    void (*close)(jdb_engine *engine);                         /* free it; nothing is in flight */
    uint64_t reserved[8];
} jdb_engine_calls;

/* An engine begins with this. Private but for jdb_engine_init(). */
struct jdb_engine {
    const jdb_engine_calls *calls;
    uint64_t mark; /* of the process that it belongs to */
    uint32_t depth;
    uint32_t stream_count; /* streams that are open on it */
    uint64_t in_flight_count;
    uint64_t reserved[6];
    char reason[JDB_ENGINE_REASON_SIZE];
};

/* jdb_engine_init - prepare the struct that an engine begins with. calls: stays in place as long as the engine. depth: 1 or
 * more. reason: one sentence or "", copied. Returns 0; -EINVAL. Any thread. Since 0.2. */
JDB_API int jdb_engine_init(jdb_engine *engine, const jdb_engine_calls *calls, uint32_t depth, const char *reason);

/* jdb_engine_complete - for the engine: the request is done, its results but err are set. It may be reused or freed by its
 * owner from now on. err: 0 or negative. Any thread. Since 0.2. */
JDB_API void jdb_engine_complete(jdb_engine *engine, jdb_engine_io *io, int err);

/* jdb_engine_run - for the engine: do the request on the calling thread, by jdb_file_read_full() or jdb_file_write_full(), and
 * set its results but err. Returns its error, for jdb_engine_complete(). Any thread. Since 0.2. */
JDB_API int jdb_engine_run(jdb_engine_io *io);

#ifdef __cplusplus
}
#endif

#endif
