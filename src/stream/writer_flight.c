/* SPDX-License-Identifier: MIT
 *
 * writer_flight.c - the frames of a writer: filled, in flight, given back.
 */
#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"
#include "stream/writer_internal.h"

#include <errno.h>

/* ---- Waiting ------------------------------------------------------------------------------------------------ */

void jdb__writer_sleep(jdb_writer *writer)
{
    const uint32_t seen = writer->word;
    lock_release(&writer->lock);
    jdb__os_sleep(&writer->word, seen, UINT64_MAX);
    lock_take(&writer->lock);
}

void jdb__writer_notify(jdb_writer *writer)
{
    __atomic_store_n(&writer->word, writer->word + 1, __ATOMIC_RELEASE);
    jdb__os_wake_all(&writer->word);
}

void jdb__writer_fail(jdb_writer *writer, int err)
{
    if (writer->err == 0)
        writer->err = err;
}

void jdb__writer_fail_at(jdb_writer *writer, int err, int64_t offset)
{
    jdb__writer_fail(writer, err);
    if (writer_error_keeps_blocks(err))
        return;
    writer->written = (int64_t)bits_min((uint64_t)writer->written, (uint64_t)offset);
    writer->durable = (int64_t)bits_min((uint64_t)writer->durable, (uint64_t)offset);
}

int64_t jdb__writer_block(const jdb_writer *writer, int64_t offset)
{
    return (int64_t)bits_max(bits_round_down((uint64_t)offset, writer->align), (uint64_t)writer->start);
}

/* ---- Frames -------------------------------------------------------------------------------------------------- */

/* The pool is asked without the lock: growth of its arena calls the program. */
static int flight_get_frame(jdb_writer *writer, jdb_frame *ret_frame)
{
    struct stream_memory *const memory = &writer->memory;
    int err = -EAGAIN;
    if (jdb__stream_frame_begin_get(memory)) {
        lock_release(&writer->lock);
        err = jdb_pool_get(memory->pool, ret_frame);
        lock_take(&writer->lock);
        jdb__stream_frame_end_get(memory, err);
    }
    return err == 0 ? 0 : jdb__stream_frame_get_spare(memory, ret_frame);
}

/* Who waits for a frame of the pool is called without the lock. */
void jdb__writer_put_frame(jdb_writer *writer, jdb_frame frame)
{
    if (jdb__stream_frame_keep(&writer->memory, frame))
        return;
    lock_release(&writer->lock);
    const int err = jdb_pool_put(writer->memory.pool, frame);
    lock_take(&writer->lock);
    JDB_ASSERT(err == 0);
    (void)err;
}

/* ---- Space --------------------------------------------------------------------------------------------------- */

/* Whether a part may have been allocated before the error: ext4 keeps what it found. */
static bool preallocation_may_be_partial(int err)
{
    return err == -ENOSPC || err == -EDQUOT || err == -EIO || err == -EINTR;
}

/* What is refused is no error of the writer: the space may be there when it is written. */
void jdb__writer_preallocate(jdb_writer *writer, int64_t to)
{
    if (writer->preallocate_size == 0 || to <= writer->allocated)
        return;
    const uint64_t size = bits_max(writer->preallocate_size, (uint64_t)(to - writer->allocated));
    int err = jdb_file_preallocate(writer->file, writer->allocated, size);
    if (err == 0 || preallocation_may_be_partial(err))
        writer->allocated += (int64_t)size;
    /* A file system lets writes inside of a file make progress at once, those that move its end one at a time. */
    if (err == 0 && writer->is_padded)
        err = jdb_file_truncate(writer->file, writer->allocated);
    if (err != 0) {
        writer->status.preallocate_err = err;
        writer->preallocate_size = 0;
    }
}

/* ---- Start -------------------------------------------------------------------------------------------------- */

static struct writer_flight *flight_find(jdb_writer *writer)
{
    for (uint32_t i = 0; i <= writer->memory.frame_count; i++)
        if (!writer->flights[i].is_used)
            return &writer->flights[i];
    return NULL;
}

static void flight_enqueue(jdb_writer *writer, struct writer_flight *flight)
{
    if (writer->first == NULL)
        writer->first = flight;
    else
        writer->last->next = flight;
    writer->last = flight;
}

/* A request that the engine refuses is done at once. */
void jdb__writer_start(jdb_writer *writer, int64_t from, int64_t to, bool has_frame)
{
    JDB_ASSERT(writer->has_fill && from < to && from >= writer->fill_offset && !writer->is_tail_busy); /* S7 */
    struct writer_flight *flight = flight_find(writer);
    JDB_ASSERT(flight != NULL); /* a flight for each frame, and one for the leader */
    jdb__writer_preallocate(writer, to);
    *flight = (struct writer_flight){.is_used = true, .has_frame = has_frame, .frame = writer->fill};
    flight->io.file = writer->file;
    flight->io.view = jdb_raw_from_slice(writer->fill.ptr + (from - writer->fill_offset), (size_t)(to - from));
    flight->io.offset = from;
    flight->io.is_write = 1;
    writer->status.request_count++;
    writer->status.rewritten_size += (uint64_t)(writer->started - from);
    writer->started = to;
    if (jdb_engine_start(writer->memory.engine, &flight->io) != 0) {
        flight->io.err = jdb_engine_run(&flight->io);
        flight->is_done = true;
    }
    flight_enqueue(writer, flight);
}

/* The frame to fill is not needed any more: it ends with the leader's flight of a part of it, or now. */
static void flight_end_fill(jdb_writer *writer)
{
    writer->has_fill = false;
    for (struct writer_flight *at = writer->first; at != NULL; at = at->next)
        if (at->frame.ptr == writer->fill.ptr) {
            JDB_ASSERT(!at->has_frame);
            at->has_frame = true;
            return;
        }
    jdb__writer_put_frame(writer, writer->fill);
}

void jdb__writer_start_fill(jdb_writer *writer)
{
    while (writer->is_tail_busy)
        jdb__writer_sleep(writer);
    const int64_t from = jdb__writer_block(writer, writer->started);
    if (writer->err != 0 || writer->started == writer->end) {
        flight_end_fill(writer);
        return;
    }
    jdb__writer_start(writer, from, writer->end, true);
    writer->has_fill = false;
}

/* ---- End ---------------------------------------------------------------------------------------------------- */

static void flight_end(jdb_writer *writer, struct writer_flight *flight)
{
    const int64_t done = flight->io.offset + (int64_t)flight->io.done_size;
    writer->first = flight->next;
    flight->is_used = false;
    if (writer->err == 0)
        writer->written = (int64_t)bits_max((uint64_t)writer->written, (uint64_t)done); /* S6 */
    if (flight->io.err != 0)
        jdb__writer_fail_at(writer, flight->io.err, done);
}

void jdb__writer_reap(jdb_writer *writer)
{
    struct writer_flight *const flight = writer->first;
    if (writer->is_reaping) {
        jdb__writer_sleep(writer);
        return;
    }
    writer->is_reaping = true;
    lock_release(&writer->lock);
    if (!flight->is_done)
        (void)jdb_engine_wait(writer->memory.engine, &flight->io);
    lock_take(&writer->lock);
    writer->is_reaping = false;
    const bool has_frame = flight->has_frame;
    const jdb_frame frame = flight->frame;
    flight_end(writer, flight);
    jdb__writer_notify(writer);
    if (has_frame)
        jdb__writer_put_frame(writer, frame);
}

/* ---- The frame to fill -------------------------------------------------------------------------------------- */

/* Nobody else fills, so that at most the caller's frame is missing when nothing is in flight. */
int jdb__writer_need_fill(jdb_writer *writer)
{
    JDB_ASSERT(writer->is_appending);
    while (writer->err == 0 && !writer->has_fill) {
        jdb_frame frame;
        if (flight_get_frame(writer, &frame) == 0) {
            writer->fill = frame;
            writer->has_fill = true;
            writer->fill_offset = (int64_t)bits_round_down((uint64_t)writer->end, writer->align);
            break;
        }
        writer->status.wait_count++;
        JDB_ASSERT(writer->first != NULL); /* S4: two frames or more, none is filled: they are in flight */
        jdb__writer_reap(writer);
    }
    return writer->err;
}
