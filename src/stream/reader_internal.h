/* SPDX-License-Identifier: MIT
 *
 * reader_internal.h - the reader: its slots, the queue of them, and what holds of both.
 *
 * A slot has a frame and the request that fills it, for the bytes [offset, offset + size) of the file:
 *
 *     FREE ----> QUEUED ----> FREE        the position has passed it, no view is lent
 *                  |  \-----> LENT ----> FREE      ... views are lent
 *                  \--------> DROPPED -> FREE      given up while in flight
 *
 * The queue holds the slots ahead, in the reader's direction, without a gap:
 *
 *     forward     position         next                    backward    next            position
 *                    |  [first][    ]|                                   |[    ][first]   |
 *
 *     reader.c          the calls
 *     reader_window.c   the queue: which requests are made, when, and how large
 *     reader_slot.c     one slot: its request, its result, the search for a bad block
 *
 * Invariants (docs/design.md): S1 to S4.
 */
#ifndef JDB_STREAM_READER_INTERNAL_H
#define JDB_STREAM_READER_INTERNAL_H

#include "stream/memory.h"

enum reader_state { READER_FREE, READER_QUEUED, READER_LENT, READER_DROPPED };

struct reader_slot {
    struct reader_slot *next; /* in the queue */
    enum reader_state state;
    bool is_ready; /* the result is here */
    bool is_hole;
    int err; /* of the byte at `end`, or backward of the one in front of `begin` */
    uint32_t lent_count;
    uint64_t serial; /* which use of the slot this is */
    jdb_frame frame;
    jdb_engine_io io;
    int64_t offset; /* of the frame's first byte in the file */
    uint64_t size;
    int64_t begin; /* [begin, end) is valid, in bytes of the file, where is_ready */
    int64_t end;
    uint64_t read_size; /* bytes that were read into the frame, or zeroed, twice where it was done twice */
    uint64_t used_size; /* bytes that the position has passed */
};

struct jdb_reader {
    jdb_file *file;
    struct stream_memory memory;
    uint32_t align; /* of requests, in offset and size */
    bool is_backward;
    bool skips_holes;
    int64_t position;
    int64_t next;       /* forward: where the next request starts; backward: where it ends. A multiple of align */
    int64_t file_size;  /* as last queried */
    int64_t data_start; /* forward: [data_start, data_end) is known to be data */
    int64_t data_end;
    uint64_t window; /* bytes wanted ahead; 0: what is asked for, and no more */
    uint64_t queued; /* bytes of the slots in the queue */
    uint64_t serial;
    struct reader_slot *first;
    struct reader_slot *last;
    uint32_t queue_count;
    uint32_t slot_count;
    jdb_reader_stats stats;
    struct reader_slot slots[];
};

/* ---- One slot (reader_slot.c) ------------------------------------------------------------------------------- */

/* A free slot with a request for [offset, offset + size), started, at the end of the queue. A hole is zeroed instead. -EAGAIN: no slot or
 * no frame is free. */
int jdb__reader_begin(jdb_reader *reader, int64_t offset, uint64_t size, bool is_hole);

/* Wait for its result. */
void jdb__reader_wait(jdb_reader *reader, struct reader_slot *slot);

/* Take the first slot out of the queue. */
void jdb__reader_pop(jdb_reader *reader);

/* A view of the slot is lent no more. */
void jdb__reader_unlend(jdb_reader *reader, struct reader_slot *slot);

/* The frame of a slot that one view is lent of and that is not in the queue is the caller's. */
jdb_frame jdb__reader_hand_over(jdb_reader *reader, struct reader_slot *slot);

/* Wait for a slot that was given up. False: there is none. */
bool jdb__reader_reclaim(jdb_reader *reader);

/* The request of the slot failed: read up to the block that is bad, in the reader's direction from `position` on, where the slot
 * has no byte yet. Returns whether it has one now. */
bool jdb__reader_narrow(jdb_reader *reader, struct reader_slot *slot, int64_t position);

/* ---- The queue (reader_window.c) ---------------------------------------------------------------------------- */

/* Empty the queue; requests begin at the position again, in a window of `window` bytes. */
void jdb__reader_reset(jdb_reader *reader, uint64_t window);

/* The size of the file now. -EOVERFLOW: the last block of requests would end past INT64_MAX. */
int jdb__reader_query_size(jdb_file *file, uint32_t align, int64_t *ret_size);

/* Begin at the position again, with the size that the file has now. */
int jdb__reader_refresh(jdb_reader *reader);

/* Bytes wanted ahead now. */
uint64_t jdb__reader_window(const jdb_reader *reader);

/* Make the first slot of the queue one that holds bytes at the position. hint: bytes wanted there, 0: not known. 0 and *ret_slot, NULL
 * at the end; else as jdb_reader_next(). */
int jdb__reader_front(jdb_reader *reader, uint64_t hint, struct reader_slot **ret_slot);

/* The slot behind this one in the queue, with its result; made, for `hint` bytes or more, if it is not there. NULL: at the end. -EBUSY. */
int jdb__reader_behind(jdb_reader *reader, struct reader_slot *slot, uint64_t hint, struct reader_slot **ret_slot);

/* Whether the position has passed all of the slot. */
static inline bool reader_is_passed(const jdb_reader *reader, const struct reader_slot *slot)
{
    return reader->is_backward ? reader->position <= slot->offset
                               : reader->position >= slot->offset + (int64_t)slot->size;
}

/* Whether the position has passed all that the slot will have: it may end in front of its size with the file. */
static inline bool reader_is_used_up(const jdb_reader *reader, const struct reader_slot *slot)
{
    const bool is_at_end = !reader->is_backward && slot->err == 0 && reader->position >= slot->end;
    return is_at_end || reader_is_passed(reader, slot);
}

/* Whether the slot has bytes at `position`, in the reader's direction. */
static inline bool reader_has(const jdb_reader *reader, const struct reader_slot *slot, int64_t position)
{
    return reader->is_backward ? position > slot->begin && position <= slot->end
                               : position >= slot->begin && position < slot->end;
}

#endif
