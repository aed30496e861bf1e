/* SPDX-License-Identifier: MIT
 *
 * stream.h - sequential readers with readahead and writers with write-behind over a jdb_file, and the engines that keep their
 * requests in flight: what is lost with the page cache, given back.
 *
 *     jdb_reader *reader = NULL;
 *     jdb_reader_open(file, NULL, &reader);                  // from the start; memory and engine of its own
 *     jdb_stream_view view;
 *     int err;
 *     while ((err = jdb_reader_next(reader, 0, &view)) == 0 && view.len != 0) {
 *         use(view.ptr, view.len, view.offset);              // the file's bytes, where the device put them
 *         jdb_reader_release(reader, &view);
 *     }
 *     jdb_reader_close(reader);                              // err 0: view.len 0 was the end of the file
 *
 * A reader keeps a window of the file behind its position in frames of memory, read or being read. The window begins at 128 KiB
 * and doubles with each frame that was read to its end, up to the memory and the share of the engine's depth that the reader has;
 * a seek out of the window makes the next request as small as what is asked for. Views lend the frames themselves; reading
 * into memory of the caller copies.
 *
 * What to know before use:
 *   - What was read ahead is as old as its request: writes to the window that come later are seen after a seek out of it.
 *   - The end of the file is queried whenever it is met, so reading goes on when the file has grown (tail -f).
 *   - An error belongs to its offset: all bytes before it are returned first, down to the block that cannot be read. The
 *     next call tries that block again; jdb_reader_seek() past it goes on behind it.
 *   - Holes of the file cost no I/O when reading forward: their frames are zeroed. JDB_STREAM_READ_HOLES reads them.
 *
 * A writer gathers what is appended in a frame, which is written when it is full while others fill. The last block, of which a part is
 * new, stays in memory: jdb_writer_flush() and jdb_writer_sync() write it from a copy, and it is written once more when it is full. Threads
 * that sync at the same time share one sync of the file. An error stays with the writer, which knows what is not durable.
 *
 *     jdb_writer *writer = NULL;
 *     jdb_writer_open(file, NULL, &writer);                  // from offset 0
 *     jdb_writer_append(writer, record, &offset);            // any length, any thread
 *     jdb_writer_sync(writer);                               // all of it is durable
 *     jdb_writer_close(writer);
 *
 * Engines. An engine is an object behind the calls of a jdb_engine_calls, which a program may implement too. The core has two:
 *
 *     synchronous   a request is done within jdb_engine_start(): nothing overlaps
 *     threads       each request is done by one of `depth` threads, which sleep otherwise: first come, first served
 *
 * Each does what jdb_file_read_full() and jdb_file_write_full() do, with their errors: any memory, any range, short results
 * resumed, memory of this library pinned from start to completion. They serve without a stream as well:
 *
 *     jdb_engine_io io = JDB_ENGINE_IO_INIT;                 // file, view, offset, is_write
 *     jdb_engine_start(engine, &io);                         // in flight: the memory belongs to the request
 *     jdb_engine_wait(engine, &io);                          // io.err, io.view.len, io.is_eof
 *
 * Life cycle: an engine is opened, serves any number of streams and requests of any files, and is closed when no stream is open
 * on it and no request in flight. A request is the caller's, must not move or change from jdb_engine_start() until
 * jdb_engine_wait() has returned, and may then be used again. A stream uses its file, engine and pool, which stay the caller's
 * and outlive it.
 *
 * Thread safety: any threads may use one engine at once, and one thread at a time a request or a reader, any threads a writer; jdb_engine_close() is
 * the last call. Fork: engines and streams stay with the parent; their calls return -EPERM in the child.
 */
#ifndef JDB_ALLOC_STREAM_H
#define JDB_ALLOC_STREAM_H

#include "arena.h"
#include "base.h"
#include "file.h"
#include "pool.h"
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
    uint64_t uncached_size;     /* result: bytes moved with RWF_DONTCACHE */
    uint64_t reserved[3];
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

/* Flags; a sum. */
enum {
    /* One thread alone uses the engine, and waits soon for what it starts: a ring takes the requests with the next wait, several by
     * one system call. Other engines do as ever. */
    JDB_ENGINE_ONE_THREAD = 1,
};

#define JDB_ENGINE_DEPTH_DEFAULT 8u
#define JDB_ENGINE_DEPTH_MAX 1024u
#define JDB_ENGINE_REASON_SIZE 160 /* bytes, NUL included */

typedef struct jdb_engine_options {
    uint32_t size;  /* bytes of this struct, as the caller knows it */
    uint32_t kind;  /* JDB_ENGINE_x; 0 = AUTO */
    uint32_t depth; /* requests that make progress at once, 1 to 1,024 (64 threads at most); 0 = 8 */
    uint32_t flags; /* sum of JDB_ENGINE_x flags */
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
 * Returns 0 and *ret_engine, which the caller owns; -EINVAL: NULL, a kind that is not of the core, a depth, unknown flags, or size
 * too small; -E2BIG: an option of a newer version; -ENOMEM; with THREADS the error of the first thread (-EAGAIN). *ret_engine is
 * untouched on failure. Any thread. Since 0.2. */
JDB_API int jdb_engine_open(const jdb_engine_options *options, jdb_engine **ret_engine);

/* jdb_engine_close - end the threads or the ring, and free the engine; NULL is legal.
 *
 * Returns 0; -EBUSY: requests are in flight or streams are open on it, and nothing is closed; -EPERM: child of fork(). Any
 * thread, as the engine's last call. Since 0.2. */
JDB_API int jdb_engine_close(jdb_engine *engine);

/* jdb_engine_abandon - close an engine in bounded time, whatever is in flight: requests are cancelled, those in the kernel waited
 * for, and what a device does not answer is left behind. NULL is legal.
 *
 * deadline_ns: as of jdb_engine_wait_any(). Short results are not resumed.
 * Returns 0: every request is complete, and the engine closed; -ETIMEDOUT: the engine is gone too, and the requests of which
 * jdb_engine_is_complete() is false are left: the kernel may access their memory at any time from now on. Memory of this library
 * stays pinned; it, other memory, the requests and their files stay in place for the life of the process; -EBUSY: streams are open
 * on it; -ENOTSUP: a program's own engine without this call has requests in flight; -EPERM: child of fork(). After the last three
 * nothing has changed. Any thread, as the engine's last call: no thread waits meanwhile. Since 0.2. */
JDB_API int jdb_engine_abandon(jdb_engine *engine, uint64_t deadline_ns);

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

/* jdb_engine_wait_any - wait until one of several requests is complete; it ends that one, as jdb_engine_wait() does.
 *
 * ios: `count` of them; NULL and those that were not started are passed over, and of those that are complete the first is taken: a
 * caller who keeps them in the order of their starts is fair. deadline_ns: a moment of jdb_clock_ns() (pool.h); 0: only look;
 * UINT64_MAX: none. What the calling thread does itself (requests that a ring refuses) may take longer.
 * Returns 0 and *ret_io, whose results are set; -ETIMEDOUT: none is complete, all stay in flight; -EINVAL: NULL, or none was
 * started; -ENOTSUP: a program's own engine has a wait, but no wait_any: it takes the deadlines 0 and UINT64_MAX alone; -EPERM:
 * child of fork(); else what the ring's system call said when it failed (-EBADF): wait again, or jdb_engine_abandon(). *ret_io is
 * untouched on failure. Any thread, one for each request. Since 0.2. */
JDB_API int jdb_engine_wait_any(jdb_engine *engine, jdb_engine_io *const *ios, size_t count, uint64_t deadline_ns,
                                jdb_engine_io **ret_io);

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

/* ---- Streams ---------------------------------------------------------------------------------------------- */

/* As offset of the options: the end of the file. */
#define JDB_STREAM_END INT64_MAX

#define JDB_STREAM_FRAME_DEFAULT ((uint64_t)1 << 20)
#define JDB_STREAM_WINDOW_MIN ((uint64_t)128 << 10)

/* Flags; a sum. */
enum {
    JDB_STREAM_BACKWARD = 1,   /* a reader goes towards the start of the file */
    JDB_STREAM_READ_HOLES = 2, /* holes are read as data is */
    JDB_STREAM_PADDED = 4,     /* a writer pads the last block with zeros, and truncates them at close */
};

typedef struct jdb_stream_options {
    uint32_t size;  /* bytes of this struct, as the caller knows it */
    uint32_t flags; /* sum of JDB_STREAM_x */
    int64_t offset; /* where the stream begins, bytes; JDB_STREAM_END */
    uint64_t
        frame_size; /* bytes of the largest request, a multiple of 4096 to 1 GiB; 0 = 1 MiB. With a pool: at most its frames' */
    uint32_t
        frame_count; /* most frames that the stream holds, 2 or more; 0 = two more than the engine's depth, 64 at most */
    uint32_t durability;       /* of a writer: JDB_FILE_DURABLE_x: of what jdb_writer_close() does at the end */
    jdb_engine *engine;        /* NULL: one of its own, as jdb_engine_open(NULL) */
    jdb_pool *pool;            /* where frames come from; NULL: an arena and a pool of its own */
    uint64_t preallocate_size; /* of a writer: bytes of space allocated ahead at a time; 0 = none */
    uint64_t reserved[7];
} jdb_stream_options;

#ifdef __cplusplus
#define JDB_STREAM_OPTIONS_INIT                                        \
    ([] {                                                              \
        jdb_stream_options init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_stream_options)); \
        return init;                                                   \
    }())
#else
#define JDB_STREAM_OPTIONS_INIT ((jdb_stream_options){.size = sizeof(jdb_stream_options)})
#endif

/* ---- Readers ---------------------------------------------------------------------------------------------- */

typedef struct jdb_reader jdb_reader;

/* jdb_reader_open - a reader of a file, forward or backward.
 *
 * file: open for reading. options: NULL = JDB_STREAM_OPTIONS_INIT. Two frames of a pool that is shared are the reader's until
 * it is closed, so that each reader makes progress; more are taken while the pool has some. A reader without a pool and an
 * engine of its own costs a thread for each request of its depth: give many readers one engine.
 *
 * Returns 0 and *ret_reader, which the caller owns; -EINVAL: NULL, an option, size too small, or a pool whose frames are
 * smaller than 4096 bytes; -E2BIG: an option of a newer version; -EAGAIN: the pool has no two frames; -EPERM: the engine or the pool
 * stayed with the parent of a fork; -EOVERFLOW: the last block of the file ends past INT64_MAX; -ENOMEM; else the error of the
 * system. *ret_reader is untouched on failure. Any thread. Since 0.2. */
JDB_API int jdb_reader_open(jdb_file *file, const jdb_stream_options *options, jdb_reader **ret_reader);

/* jdb_reader_close - wait for what is in flight, give the frames back, free the reader; NULL is legal.
 *
 * Returns 0; -EBUSY: views are lent, or frames that were taken out of the reader's own pool, and nothing is closed; -EPERM: child of
 * fork(). Since 0.2. */
JDB_API int jdb_reader_close(jdb_reader *reader);

/* A part of a frame, lent. Read-only. */
typedef struct jdb_stream_view {
    const uint8_t *ptr;
    size_t len;       /* 0: the end of the file, or its start when reading backward; nothing is lent then */
    int64_t offset;   /* in the file, of the first byte */
    uint32_t is_hole; /* 1: all of it is a hole: zeros that were not read */
    uint32_t slot;    /* private */
    uint64_t serial;  /* private */
} jdb_stream_view;

/* jdb_reader_next - lend the bytes at the position, as many as lie in one frame, and move the position behind them; when
 * reading backward those in front of the position, and the position moves to their start.
 *
 * max_size: most bytes wanted; 0 = all of the frame. A record that lies in two frames comes in two views: jdb_reader_read()
 * and jdb_reader_peek() join them.
 * Returns 0 and *ret_view: the bytes stay until jdb_reader_release(); len 0 at the end; -EBUSY: every frame is lent or, in
 * the pool, another's; -EINVAL: NULL; -EPERM; else the error of the block at the position, which does not move. *ret_view is untouched
 * on failure. Since 0.2. */
JDB_API int jdb_reader_next(jdb_reader *reader, size_t max_size, jdb_stream_view *ret_view);

/* jdb_reader_release - end the lending of a view, in any order, once for each.
 *
 * Returns 0, also for a view of len 0; -ESTALE: no view of its frame is lent any more; -EINVAL: NULL, or no view of this
 * reader; -EPERM. Since 0.2. */
JDB_API int jdb_reader_release(jdb_reader *reader, const jdb_stream_view *view);

/* jdb_reader_take - hand the frame of a view over to the caller, without a copy: it is a frame of jdb_reader_pool(), to be
 * put there by the caller, and its bytes stay where view->ptr has them. Ends the lending.
 *
 * Returns 0 and *ret_frame; -EBUSY: another view of the frame is lent, or a part of it is still to be read; -EAGAIN: the
 * pool has no frame to replace it; -ESTALE, -EINVAL, -EPERM as jdb_reader_release(). Untouched on failure. Since 0.2. */
JDB_API int jdb_reader_take(jdb_reader *reader, const jdb_stream_view *view, jdb_frame *ret_frame);

/* jdb_reader_pool - the pool that the frames come from. NULL for NULL. Since 0.2. */
JDB_API jdb_pool *jdb_reader_pool(const jdb_reader *reader);

/* jdb_reader_read - copy the next view->cap bytes and move the position; backward: those in front of it, in the file's order.
 *
 * view: any memory; its len becomes the bytes copied, fewer than cap at the end.
 * Returns 0; an error as jdb_reader_next(), with view->len the bytes before it, behind which the position is; backward:
 * the bytes between the error and the position. Since 0.2. */
JDB_API int jdb_reader_read(jdb_reader *reader, jdb_raw *view);

/* jdb_reader_peek - as jdb_reader_read(), and the position stays. -EINVAL also: cap is larger than a frame. -EBUSY also: no
 * second frame is free where the bytes lie in two. Since 0.2. */
JDB_API int jdb_reader_peek(jdb_reader *reader, jdb_raw *view);

/* jdb_reader_seek - set the position, in bytes, past the end too. Within the window, in the reader's direction, what is there is used;
 * else it is given up without waiting. Views that are lent stay. Returns 0; -EINVAL: NULL or negative; -EPERM. Since 0.2. */
JDB_API int jdb_reader_seek(jdb_reader *reader, int64_t offset);

/* jdb_reader_offset - the position, in bytes. 0 for NULL. Since 0.2. */
JDB_API int64_t jdb_reader_offset(const jdb_reader *reader);

/* Counts of a reader. Set size before the call. */
typedef struct jdb_reader_stats {
    uint32_t size;          /* bytes of this struct, as the caller knows it */
    uint32_t frame_count;   /* frames held now */
    uint64_t window_size;   /* bytes requested ahead of the position, as wanted now */
    uint64_t request_count; /* requests started, those that find a bad block included */
    uint64_t hit_count;     /* requests that were complete when their bytes were wanted */
    uint64_t wait_count;    /* requests that were waited for */
    uint64_t wait_ns;       /* the time of that */
    uint64_t read_bytes;    /* bytes that requests have read */
    uint64_t direct_bytes;  /* of them, with O_DIRECT */
    uint64_t used_bytes;    /* bytes that were passed by the position, holes included */
    uint64_t unused_bytes;  /* bytes that were read, or zeroed, and given up */
    uint64_t hole_bytes;    /* bytes of holes, not read */
    uint64_t seek_count;    /* seeks out of the window */
    uint64_t reserved[6];
} jdb_reader_stats;

#ifdef __cplusplus
#define JDB_READER_STATS_INIT                                        \
    ([] {                                                            \
        jdb_reader_stats init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_reader_stats)); \
        return init;                                                 \
    }())
#else
#define JDB_READER_STATS_INIT ((jdb_reader_stats){.size = sizeof(jdb_reader_stats)})
#endif

/* jdb_reader_get_stats - fill the fields that stats->size covers. Returns 0; -EINVAL: NULL or size too small; -EPERM. Since 0.2. */
JDB_API int jdb_reader_get_stats(const jdb_reader *reader, jdb_reader_stats *stats);

/* ---- Writers ---------------------------------------------------------------------------------------------- */

typedef struct jdb_writer jdb_writer;

/* jdb_writer_open - a writer that appends from options->offset on; JDB_STREAM_END: behind the end of the file.
 *
 * file: open for writing; nobody else writes the range meanwhile. Bytes gather in a frame; a full frame is written while the
 * next one fills. The end of the file is exact after jdb_writer_flush(), and the file has no byte more than was appended; with
 * JDB_STREAM_PADDED it ends at a multiple of the block, with zeros behind the data, until jdb_writer_close() truncates it: one
 * direct write for each sync, where the other way has one through the page cache as well. The file ends with the stream then:
 * what it had behind it is lost. After a crash the zeros stay, so a log must know its length by its records.
 *
 * Frames in flight are written in any order, so until a flush the file may have zeros in front of its end where bytes are still
 * to come. A reader that follows a writer (tail -f) reads up to status.written_end, and seeks out of its window and back when that
 * has moved: what it has read ahead may be such zeros.
 *
 * preallocate_size: space is allocated ahead in such steps; what the file system refuses is no error (status.preallocate_err), and
 * what is left over is freed at close. With JDB_STREAM_PADDED the file ends behind that space until then, so that writes do not move
 * its end, which a file system lets them do one at a time only (ext4, XFS: exclusive lock of the inode, no asynchronous write).
 *
 * Returns 0 and *ret_writer, which the caller owns; -EINVAL also: JDB_STREAM_BACKWARD, or PADDED on a device; else as
 * jdb_reader_open(). Any thread. Since 0.2. */
JDB_API int jdb_writer_open(jdb_file *file, const jdb_stream_options *options, jdb_writer **ret_writer);

/* jdb_writer_append - append view.len bytes, which are copied, and which no other thread's come between.
 *
 * ret_offset: where they are in the file; may be NULL. Waits for writes in flight when all frames are in use.
 * Returns 0; -EINVAL: NULL; -EOVERFLOW: past INT64_MAX, nothing is appended; -EPERM: child of fork(); else the error that stays with
 * the writer: from status.written_end on nothing is known to be written, and the bytes of this call may be lost. Any thread.
 * Since 0.2. */
JDB_API int jdb_writer_append(jdb_writer *writer, jdb_raw view, int64_t *ret_offset);

/* jdb_writer_lend - lend room in a frame, to append without a copy: fill any part of it from its start, then
 * jdb_writer_commit(). Until then other threads that append wait; this one would wait for itself.
 *
 * ret_view: len 0, cap 1 or more. Returns 0; else as jdb_writer_append(), and nothing is lent. Any thread. Since 0.2. */
JDB_API int jdb_writer_lend(jdb_writer *writer, jdb_raw *ret_view);

/* jdb_writer_commit - append the first `size` bytes of the room that was lent to this thread; 0 gives it back. Returns 0; -EINVAL:
 * NULL, nothing is lent, or more than was lent: nothing changed; else as jdb_writer_append(). Since 0.2. */
JDB_API int jdb_writer_commit(jdb_writer *writer, size_t size);

/* jdb_writer_flush - wait until all bytes that were appended before are written to the file. Not durable.
 * jdb_writer_sync - the same, and durable: one sync of the file serves all threads that wait for it (group commit).
 * The last block, of which a part is new, is written from a copy, and once more when it has become full.
 * Returns 0; -EINVAL, -EPERM; else the error that stays with the writer: bytes from status.durable_end on may be lost. Any
 * thread. Since 0.2. */
JDB_API int jdb_writer_flush(jdb_writer *writer);
JDB_API int jdb_writer_sync(jdb_writer *writer);

/* jdb_writer_close - write what is left, truncate padding and preallocated space, sync where options->durability asks for it, and
 * free the writer; NULL is legal.
 *
 * Returns 0; the first error of the writer; else that of the truncate or sync. The writer is freed in every case but -EPERM, of a
 * child of fork(), and -EBUSY: room is lent. The last call. Since 0.2. */
JDB_API int jdb_writer_close(jdb_writer *writer);

/* Where a writer is. Offsets in the file, in bytes. Set size before the call. */
typedef struct jdb_writer_status {
    uint32_t size;       /* bytes of this struct, as the caller knows it */
    int32_t err;         /* the first error, which stays; 0 = none */
    int64_t end;         /* behind what was appended */
    int64_t written_end; /* behind what is known to be written */
    /* Behind what is known to be durable: all from here on must be written again after an error. The last block, which is written
     * once more when it has become full, is not known any more when that has failed, but for want of room: the number is smaller
     * then. */
    int64_t durable_end;
    int32_t preallocate_err; /* why no more space is allocated ahead; 0 = it is, or was not asked for */
    uint32_t reserved32;
    uint64_t request_count;  /* writes made */
    uint64_t wait_count;     /* times that a thread waited for a frame */
    uint64_t sync_count;     /* calls of jdb_writer_sync() that returned 0 */
    uint64_t group_count;    /* syncs of the file that served them */
    uint64_t rewritten_size; /* bytes of last blocks that were written again */
    uint64_t reserved[6];
} jdb_writer_status;

#ifdef __cplusplus
#define JDB_WRITER_STATUS_INIT                                        \
    ([] {                                                             \
        jdb_writer_status init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_writer_status)); \
        return init;                                                  \
    }())
#else
#define JDB_WRITER_STATUS_INIT ((jdb_writer_status){.size = sizeof(jdb_writer_status)})
#endif

/* jdb_writer_get_status - fill the fields that status->size covers. Returns 0; -EINVAL: NULL or size too small; -EPERM. Any thread.
 * Since 0.2. */
JDB_API int jdb_writer_get_status(jdb_writer *writer, jdb_writer_status *status);

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
    /* Return 0 when one of the requests may be complete; else -ETIMEDOUT at the deadline, or why it cannot wait. NULL: others
     * complete them, and the caller sleeps; with a wait of its own, see jdb_engine_wait_any(). */
    int (*wait_any)(jdb_engine *engine, jdb_engine_io *const *ios, size_t count, uint64_t deadline_ns);
    /* As jdb_engine_abandon(): free it, or what of it can be freed. 0, -ETIMEDOUT. May be NULL. */
    int (*abandon)(jdb_engine *engine, uint64_t deadline_ns);
    uint64_t reserved[6];
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
