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

int64_t jdb__writer_block(const jdb_writer *writer, int64_t offset)
{
    return (int64_t)bits_max(bits_round_down((uint64_t)offset, writer->align), (uint64_t)writer->start);
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

/* What is refused is no error of the writer: the space may be there when it is written. */
static void flight_preallocate(jdb_writer *writer, int64_t to)
{
    if (writer->preallocate_size == 0 || to <= writer->allocated)
        return;
    const uint64_t size = bits_max(writer->preallocate_size, (uint64_t)(to - writer->allocated));
    int err = jdb_file_preallocate(writer->file, writer->allocated, size);
    if (err == 0) {
        writer->allocated += (int64_t)size;
        /* A file system lets writes inside of a file make progress at once, those that move its end one at a time. */
        err = writer->is_padded ? jdb_file_truncate(writer->file, writer->allocated) : 0;
    }
    if (err != 0) {
        writer->status.preallocate_err = err;
        writer->preallocate_size = 0;
    }
}

/* A request that the engine refuses is done at once. */
void jdb__writer_start(jdb_writer *writer, int64_t from, int64_t to, bool has_frame)
{
    JDB_ASSERT(writer->has_fill && from < to && from >= writer->fill_offset && !writer->is_tail_busy); /* S7 */
    struct writer_flight *flight = flight_find(writer);
    JDB_ASSERT(flight != NULL); /* a flight for each frame, and one for the leader */
    flight_preallocate(writer, to);
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
    for (struct writer_flight *at = writer->first; at != NULL; at = at->next)
        if (at->frame.ptr == writer->fill.ptr) {
            JDB_ASSERT(!at->has_frame);
            at->has_frame = true;
            return;
        }
    jdb__stream_frame_put(&writer->memory, writer->fill);
}

void jdb__writer_start_fill(jdb_writer *writer)
{
    while (writer->is_tail_busy)
        jdb__writer_sleep(writer);
    const int64_t from = jdb__writer_block(writer, writer->started);
    if (writer->err == 0 && writer->started < writer->end)
        jdb__writer_start(writer, from, writer->end, true);
    else
        flight_end_fill(writer);
    writer->has_fill = false;
}

/* ---- End ---------------------------------------------------------------------------------------------------- */

static void flight_end(jdb_writer *writer, struct writer_flight *flight)
{
    const int64_t done = flight->io.offset + (int64_t)flight->io.done_size;
    writer->first = flight->next;
    flight->is_used = false;
    if (flight->has_frame)
        jdb__stream_frame_put(&writer->memory, flight->frame);
    if (writer->err == 0)
        writer->written = (int64_t)bits_max((uint64_t)writer->written, (uint64_t)done); /* S6 */
    if (flight->io.err != 0)
        jdb__writer_fail(writer, flight->io.err);
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
    flight_end(writer, flight);
    jdb__writer_notify(writer);
}

/* ---- The frame to fill -------------------------------------------------------------------------------------- */

/* Nobody else fills, so that at most the caller's frame is missing when nothing is in flight. */
int jdb__writer_need_fill(jdb_writer *writer)
{
    JDB_ASSERT(writer->is_appending);
    while (writer->err == 0 && !writer->has_fill) {
        if (jdb__stream_frame_get(&writer->memory, &writer->fill) == 0) {
            writer->has_fill = true;
            writer->fill_offset = (int64_t)bits_round_down((uint64_t)writer->end, writer->align);
            return 0;
        }
        writer->status.wait_count++;
        JDB_ASSERT(writer->first != NULL); /* S4: two frames or more, none is filled: they are in flight */
        jdb__writer_reap(writer);
    }
    return writer->err;
}
