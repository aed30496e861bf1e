/* SPDX-License-Identifier: MIT
 *
 * reader_window.c - the queue of a reader: which requests are made, when, and how large.
 */
#include "base/bits.h"
#include "base/check.h"
#include "stream/reader_internal.h"

#include <errno.h>

/* ---- The window --------------------------------------------------------------------------------------------- */

/* Most bytes ahead: a frame less than the reader may hold, for the front. */
static uint64_t window_max(const jdb_reader *reader)
{
    const uint64_t share = jdb__engine_share(reader->memory.engine);
    return bits_min(share, reader->memory.frame_count - 1) * reader->memory.frame_size;
}

/* The share of the engine changes as streams come and go. */
uint64_t jdb__reader_window(const jdb_reader *reader)
{
    return bits_min(reader->window, window_max(reader));
}

static void window_grow(jdb_reader *reader)
{
    reader->window = reader->window == 0 ? JDB_STREAM_WINDOW_MIN : 2 * jdb__reader_window(reader);
}

void jdb__reader_reset(jdb_reader *reader, uint64_t window)
{
    while (reader->first != NULL)
        jdb__reader_pop(reader);
    const uint64_t position = (uint64_t)reader->position;
    reader->next = (int64_t)(reader->is_backward ? bits_round_up(position, reader->align)
                                                 : bits_round_down(position, reader->align));
    reader->window = window;
    reader->data_start = 0;
    reader->data_end = 0;
}

/* ---- Requests ----------------------------------------------------------------------------------------------- */

/* Bytes of the next request: half of the window, so that two are in flight, and not less than what is asked for; behind a seek
 * that alone. */
static uint64_t request_size(const jdb_reader *reader, uint64_t hint)
{
    const uint64_t window = jdb__reader_window(reader);
    const uint64_t least = window == 0 && hint == 0 ? JDB_STREAM_WINDOW_MIN : reader->align;
    const uint64_t asked = hint != 0 ? bits_min(hint, reader->memory.frame_size) + reader->align : least;
    const uint64_t ahead = window == window_max(reader) ? reader->memory.frame_size : window / 2;
    return bits_min(bits_round_up(bits_max(asked, ahead), reader->align), reader->memory.frame_size);
}

static int64_t request_end_of_file(const jdb_reader *reader)
{
    return (int64_t)bits_round_up((uint64_t)reader->file_size, reader->align);
}

/* Whether there is anything behind the queue. */
static bool request_is_left(const jdb_reader *reader)
{
    return reader->is_backward ? reader->next > 0 : reader->next < reader->file_size;
}

/* Bytes of a hole at `next`, whole blocks of it; 0: data. */
static uint64_t request_hole_size(jdb_reader *reader)
{
    if (!reader->skips_holes || (reader->next >= reader->data_start && reader->next < reader->data_end))
        return 0;
    jdb_range data;
    const int err = jdb_file_find_data(reader->file, reader->next, &data);
    if (err != 0) {
        reader->skips_holes = false;
        return 0;
    }
    if (data.size == 0 && data.offset <= reader->next) /* the file has shrunk: a read finds its end */
        return 0;
    if (data.size == 0) { /* a hole to the end of the file as it is now */
        reader->file_size = (int64_t)bits_min((uint64_t)reader->file_size, (uint64_t)data.offset);
        return (uint64_t)(request_end_of_file(reader) - reader->next);
    }
    reader->data_start = (int64_t)bits_round_down((uint64_t)data.offset, reader->align);
    reader->data_end = data.offset + (int64_t)data.size;
    return bits_round_down((uint64_t)(data.offset - reader->next), reader->align);
}

static int request_forward(jdb_reader *reader, uint64_t hint)
{
    const uint64_t hole_size = request_hole_size(reader);
    const bool is_known = reader->next >= reader->data_start && reader->next < reader->data_end;
    const int64_t data_end = (int64_t)bits_round_up((uint64_t)reader->data_end, reader->align);
    const int64_t end = is_known ? data_end : request_end_of_file(reader);
    const uint64_t rest = (uint64_t)(end - reader->next);
    const uint64_t wanted =
        hole_size != 0 ? bits_min(hole_size, reader->memory.frame_size) : request_size(reader, hint);
    const uint64_t size = bits_min(wanted, rest);
    const int err = jdb__reader_begin(reader, reader->next, size, hole_size != 0);
    reader->next += err == 0 ? (int64_t)size : 0;
    return err;
}

static int request_backward(jdb_reader *reader, uint64_t hint)
{
    const uint64_t size = bits_min(request_size(reader, hint), (uint64_t)reader->next);
    const int err = jdb__reader_begin(reader, reader->next - (int64_t)size, size, false);
    reader->next -= err == 0 ? (int64_t)size : 0;
    return err;
}

static int window_request(jdb_reader *reader, uint64_t hint)
{
    return reader->is_backward ? request_backward(reader, hint) : request_forward(reader, hint);
}

/* The front is in use: the window is behind it. */
static void window_fill(jdb_reader *reader, uint64_t hint)
{
    while (request_is_left(reader)) {
        const uint64_t ahead = reader->first != NULL ? reader->queued - reader->first->size : 0;
        if (reader->first != NULL && ahead + request_size(reader, hint) > jdb__reader_window(reader))
            return;
        if (window_request(reader, hint) != 0)
            return;
    }
}

/* Take what the position has passed out of the queue: reading goes on, so the window grows. */
static void window_pass(jdb_reader *reader)
{
    while (reader->first != NULL && reader_is_passed(reader, reader->first)) {
        jdb__reader_pop(reader);
        window_grow(reader);
    }
}

/* ---- The front ---------------------------------------------------------------------------------------------- */

int jdb__reader_query_size(jdb_file *file, uint32_t align, int64_t *ret_size)
{
    const int err = jdb_file_size(file, ret_size);
    return err == 0 && *ret_size > INT64_MAX - (int64_t)align ? -EOVERFLOW : err;
}

int jdb__reader_refresh(jdb_reader *reader)
{
    int64_t size = 0;
    const int err = jdb__reader_query_size(reader->file, reader->align, &size);
    if (err != 0)
        return err;
    if (reader->is_backward && reader->position > size)
        reader->position = size;
    reader->file_size = size;
    jdb__reader_reset(reader, reader->window);
    return 0;
}

/* Whether the end, or the start, of the file is at the position, as far as is known. */
static bool window_is_over(const jdb_reader *reader)
{
    return reader->is_backward ? reader->position == 0 : reader->position >= reader->file_size;
}

/* Whether a backward reader is behind the end of the file, which has shrunk: an error in front of that is not one of the position
 * yet. */
static bool window_is_behind_end(const jdb_reader *reader)
{
    int64_t size = 0;
    return reader->is_backward && jdb_file_size(reader->file, &size) == 0 && reader->position > size;
}

int jdb__reader_front(jdb_reader *reader, uint64_t hint, struct reader_slot **ret_slot)
{
    bool is_retried = false;
    if (reader->is_backward && reader->position > reader->file_size) {
        const int err = jdb__reader_refresh(reader); /* from the end on: there is nothing between */
        if (err != 0)
            return err;
    }
    for (;;) {
        window_pass(reader);
        window_fill(reader, hint);
        struct reader_slot *const slot = reader->first;
        int err = 0;
        if (slot == NULL && request_is_left(reader)) {
            if (!jdb__reader_reclaim(reader))
                return -EBUSY;
            continue;
        }
        if (slot != NULL) {
            jdb__reader_wait(reader, slot);
            if (reader_has(reader, slot, reader->position) ||
                (slot->err != 0 && jdb__reader_narrow(reader, slot, reader->position))) {
                *ret_slot = slot;
                return 0;
            }
            err = slot->err;
        }
        if (err != 0 && !window_is_behind_end(reader)) {
            jdb__reader_reset(reader, 0);
            return err;
        }
        err = jdb__reader_refresh(reader); /* the file may have another size now */
        if (err == 0 && !window_is_over(reader) && !is_retried) {
            is_retried = true;
            continue;
        }
        *ret_slot = NULL;
        return err;
    }
}

int jdb__reader_behind(jdb_reader *reader, struct reader_slot *slot, uint64_t hint, struct reader_slot **ret_slot)
{
    if (slot->next == NULL && request_is_left(reader))
        while (window_request(reader, hint) != 0)
            if (!jdb__reader_reclaim(reader))
                return -EBUSY;
    *ret_slot = slot->next;
    if (slot->next != NULL)
        jdb__reader_wait(reader, slot->next);
    return 0;
}
