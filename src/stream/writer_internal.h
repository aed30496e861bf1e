/* SPDX-License-Identifier: MIT
 *
 * writer_internal.h - the writer: its frames, who does which I/O, and what holds of it.
 *
 *     start          written            started         end
 *       |  ... done ...  | frames in flight | in `fill`   |
 *
 * Threads that append fill one frame under the lock; a full one is started and goes to the flights. Flights end in their order: one
 * thread at a time waits for the first of them (is_reaping), the others sleep on `word`, which changes with everything that someone
 * may wait for. One thread at a time leads a flush or a sync (is_leading), for all that wait. It starts the whole blocks of the
 * frame that is being filled, and writes the tail, from a copy, since the frame goes on being filled. The block of the tail is
 * written again by the frame when it is full: that waits for the leader (is_tail_busy), or an old tail could come last.
 *
 *     writer.c         open, close, append, status
 *     writer_flight.c  frames: get, start, wait for
 *     writer_sync.c    flush and sync: the leader
 *
 * Invariants (docs/design.md): S5 to S8.
 */
#ifndef JDB_STREAM_WRITER_INTERNAL_H
#define JDB_STREAM_WRITER_INTERNAL_H

#include "os/fork.h"
#include "stream/memory.h"

#include "jdb_alloc/buf.h"

#include <errno.h>

#define WRITER_TAIL_SIZE ((uint64_t)64 << 10) /* what is shorter is copied and written at once */

struct writer_flight {
    struct writer_flight *next;
    bool is_used;
    bool is_done;   /* it was done at once, as the engine refused it */
    bool has_frame; /* gives the frame back when it ends */
    jdb_frame frame;
    jdb_engine_io io;
};

struct jdb_writer {
    jdb_file *file;
    struct stream_memory memory;
    bool is_padded;
    uint32_t durability;
    uint32_t align;
    uint64_t preallocate_size; /* 0: not, or no longer */
    int64_t start;

    struct lock lock; /* of all below */
    uint32_t word;
    int64_t end;
    int64_t started; /* every byte in front is written, in flight, or with the leader */
    int64_t written;
    int64_t durable;
    int64_t allocated; /* space is allocated up to here, or a part of it where that was refused */
    int err;           /* the first */
    bool is_appending; /* a thread appends, or has room that was lent */
    bool is_reaping;
    bool is_leading;
    bool is_tail_busy;
    uint64_t lent_size;
    bool has_fill;
    jdb_frame fill;
    int64_t fill_offset;
    struct writer_flight *first;
    struct writer_flight *last;
    jdb_buf tail; /* the leader's */
    jdb_writer_status status;
    struct writer_flight flights[];
};

/* All of these: under the lock, which is released while they wait. */

/* Wait until something has changed. */
void jdb__writer_sleep(jdb_writer *writer);
void jdb__writer_notify(jdb_writer *writer);

/* Record an error: the first stays. */
void jdb__writer_fail(jdb_writer *writer, int err);

/* Whether blocks that could not be replaced have what they had: there was no room. After other errors nobody knows. */
static inline bool writer_error_keeps_blocks(int err)
{
    return err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
}

/* A write failed at `offset`, in a block that may have been written before, or durable. */
void jdb__writer_fail_at(jdb_writer *writer, int err, int64_t offset);

/* Give a frame back, to the pool where the writer has its two. */
void jdb__writer_put_frame(jdb_writer *writer, jdb_frame frame);

/* Make sure that there is a frame to fill. Returns 0 or the writer's error. */
int jdb__writer_need_fill(jdb_writer *writer);

/* Allocate space ahead where the next write ends behind what is allocated. */
void jdb__writer_preallocate(jdb_writer *writer, int64_t to);

/* Start what is left of the frame to fill, which is full or the last. */
void jdb__writer_start_fill(jdb_writer *writer);

/* Start [from, to) of the frame to fill; has_frame: the frame ends with it. */
void jdb__writer_start(jdb_writer *writer, int64_t from, int64_t to, bool has_frame);

/* Wait for the first flight, or for the thread that does. There is one. */
void jdb__writer_reap(jdb_writer *writer);

/* Where the writing of bytes from `offset` on begins: at a block, but not in front of the stream. */
int64_t jdb__writer_block(const jdb_writer *writer, int64_t offset);

/* Lead one flush of all that was appended. */
void jdb__writer_lead_flush(jdb_writer *writer);

#endif
