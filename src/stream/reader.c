/* SPDX-License-Identifier: MIT
 *
 * reader.c - the calls of a reader.
 */
#include "base/bits.h"
#include "base/check.h"
#include "base/sized.h"
#include "os/os.h"
#include "stream/reader_internal.h"

#include <errno.h>
#include <string.h>

SIZED_FORM(reader_stats_form, jdb_reader_stats, 96, 144);

#define READER_BLOCK ((uint32_t)4096)

/* ---- Open and close ----------------------------------------------------------------------------------------- */

static void reader_init(jdb_reader *reader, jdb_file *file, const jdb_stream_options *options, uint32_t align,
                        int64_t file_size)
{
    reader->file = file;
    reader->align = align;
    reader->is_backward = (options->flags & JDB_STREAM_BACKWARD) != 0;
    reader->skips_holes = !reader->is_backward && (options->flags & JDB_STREAM_READ_HOLES) == 0;
    reader->file_size = file_size;
    const bool is_clipped = options->offset == JDB_STREAM_END || (reader->is_backward && options->offset > file_size);
    reader->position = is_clipped ? file_size : options->offset;
    reader->slot_count = reader->memory.frame_count;
    jdb__reader_reset(reader, JDB_STREAM_WINDOW_MIN);
}

static int reader_query(jdb_file *file, uint32_t *ret_align, int64_t *ret_file_size)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    const int err = jdb_file_limits(file, &limits);
    if (err != 0)
        return err;
    *ret_align = (uint32_t)bits_max(limits.read_align, READER_BLOCK);
    return jdb__reader_query_size(file, *ret_align, ret_file_size);
}

int jdb_reader_open(jdb_file *file, const jdb_stream_options *options, jdb_reader **ret_reader)
{
    jdb_stream_options known;
    struct stream_memory memory;
    uint32_t align = 0;
    int64_t file_size = 0;
    if (file == NULL || ret_reader == NULL)
        return -EINVAL;
    int err = jdb__stream_read_options(options, &known);
    if (err == 0)
        err = reader_query(file, &align, &file_size);
    if (err == 0)
        err = jdb__stream_memory_open(&memory, &known);
    if (err != 0)
        return err;
    void *object = NULL;
    if (memory.frame_size % align != 0)
        err = -EINVAL;
    else
        err = jdb__stream_alloc(sizeof(jdb_reader), memory.frame_count, sizeof(struct reader_slot), &object);
    if (err != 0) {
        (void)jdb__stream_memory_close(&memory);
        return err;
    }
    jdb_reader *const reader = object;
    reader->memory = memory;
    reader_init(reader, file, &known, align, file_size);
    *ret_reader = reader;
    return 0;
}

/* -EINVAL, -EPERM. */
static int reader_check(const jdb_reader *reader)
{
    if (reader == NULL)
        return -EINVAL;
    return jdb__engine_is_mine(reader->memory.engine) ? 0 : -EPERM;
}

static bool reader_is_lent(const jdb_reader *reader)
{
    for (uint32_t i = 0; i < reader->slot_count; i++)
        if (reader->slots[i].state != READER_FREE && reader->slots[i].lent_count != 0)
            return true;
    return false;
}

int jdb_reader_close(jdb_reader *reader)
{
    if (reader == NULL)
        return 0;
    int err = reader_check(reader);
    if (err != 0)
        return err;
    if (reader_is_lent(reader))
        return -EBUSY;
    jdb__reader_reset(reader, reader->window);
    while (jdb__reader_reclaim(reader))
        continue;
    err = jdb__stream_memory_close(&reader->memory);
    if (err == 0)
        jdb__os_free(reader);
    return err;
}

/* ---- Views -------------------------------------------------------------------------------------------------- */

/* Bytes of the slot at `position`, at most max_size. */
static jdb_raw reader_part(const jdb_reader *reader, const struct reader_slot *slot, int64_t position, size_t max_size)
{
    JDB_ASSERT(reader_has(reader, slot, position));
    const int64_t rest = reader->is_backward ? position - slot->begin : slot->end - position;
    const size_t size = (size_t)bits_min((uint64_t)rest, max_size);
    const int64_t start = reader->is_backward ? position - (int64_t)size : position;
    return jdb_raw_from_slice(slot->frame.ptr + (start - slot->offset), size);
}

static int64_t reader_step(const jdb_reader *reader, int64_t position, size_t size)
{
    return reader->is_backward ? position - (int64_t)size : position + (int64_t)size;
}

static void reader_advance(jdb_reader *reader, struct reader_slot *slot, size_t size)
{
    reader->position = reader_step(reader, reader->position, size);
    slot->used_size += size;
    reader->stats.used_bytes += size;
}

int jdb_reader_next(jdb_reader *reader, size_t max_size, jdb_stream_view *ret_view)
{
    struct reader_slot *slot = NULL;
    int err = ret_view != NULL ? reader_check(reader) : -EINVAL;
    if (err == 0)
        err = jdb__reader_front(reader, max_size, &slot);
    if (err != 0)
        return err;
    if (slot == NULL) {
        *ret_view = (jdb_stream_view){.offset = reader->position};
        return 0;
    }
    const jdb_raw part = reader_part(reader, slot, reader->position, max_size != 0 ? max_size : SIZE_MAX);
    reader_advance(reader, slot, part.len);
    slot->lent_count++;
    *ret_view = (jdb_stream_view){
        .ptr = part.ptr,
        .len = part.len,
        .offset = slot->offset + (part.ptr - slot->frame.ptr),
        .is_hole = slot->is_hole ? 1 : 0,
        .slot = (uint32_t)(slot - reader->slots),
        .serial = slot->serial,
    };
    return 0;
}

static int reader_find_lent(jdb_reader *reader, const jdb_stream_view *view, struct reader_slot **ret_slot)
{
    const int err = view != NULL ? reader_check(reader) : -EINVAL;
    if (err != 0)
        return err;
    if (view->slot >= reader->slot_count || view->serial == 0 || view->serial > reader->serial)
        return -EINVAL;
    struct reader_slot *const slot = &reader->slots[view->slot];
    if (slot->state == READER_FREE || slot->serial != view->serial || slot->lent_count == 0)
        return -ESTALE;
    *ret_slot = slot;
    return 0;
}

int jdb_reader_release(jdb_reader *reader, const jdb_stream_view *view)
{
    struct reader_slot *slot = NULL;
    if (view != NULL && view->len == 0)
        return reader_check(reader);
    const int err = reader_find_lent(reader, view, &slot);
    if (err == 0)
        jdb__reader_unlend(reader, slot);
    return err;
}

int jdb_reader_take(jdb_reader *reader, const jdb_stream_view *view, jdb_frame *ret_frame)
{
    struct reader_slot *slot = NULL;
    const int err = ret_frame != NULL ? reader_find_lent(reader, view, &slot) : -EINVAL;
    if (err != 0)
        return err;
    if (slot->lent_count != 1 || (slot->state == READER_QUEUED && !reader_is_used_up(reader, slot)))
        return -EBUSY;
    const int replaced = jdb__stream_frame_leave(&reader->memory);
    if (replaced != 0)
        return replaced;
    if (slot->state == READER_QUEUED)
        jdb__reader_pop(reader);
    *ret_frame = jdb__reader_hand_over(reader, slot);
    return 0;
}

jdb_pool *jdb_reader_pool(const jdb_reader *reader)
{
    return reader != NULL ? reader->memory.pool : NULL;
}

/* ---- Copies ------------------------------------------------------------------------------------------------- */

static bool reader_is_raw(const jdb_raw *view)
{
    return view != NULL && (view->ptr != NULL || view->cap == 0);
}

/* Backward the bytes come from the end of the memory; where there are fewer than wanted they move to its start. */
static void reader_place(const jdb_reader *reader, jdb_raw *view, size_t done, jdb_raw part)
{
    uint8_t *const to = reader->is_backward ? view->ptr + view->cap - done - part.len : view->ptr + done;
    memcpy(to, part.ptr, part.len);
}

static void reader_finish(const jdb_reader *reader, jdb_raw *view, size_t done)
{
    if (reader->is_backward && done != 0 && done < view->cap)
        memmove(view->ptr, view->ptr + view->cap - done, done);
    view->len = done;
}

int jdb_reader_read(jdb_reader *reader, jdb_raw *view)
{
    int err = reader_is_raw(view) ? reader_check(reader) : -EINVAL;
    if (err != 0)
        return err;
    size_t done = 0;
    while (done < view->cap) {
        struct reader_slot *slot = NULL;
        err = jdb__reader_front(reader, view->cap - done, &slot);
        if (err != 0 || slot == NULL)
            break;
        const jdb_raw part = reader_part(reader, slot, reader->position, view->cap - done);
        reader_place(reader, view, done, part);
        reader_advance(reader, slot, part.len);
        done += part.len;
    }
    reader_finish(reader, view, done);
    return err;
}

static int reader_peek_slots(jdb_reader *reader, struct reader_slot *slot, jdb_raw *view, size_t *done)
{
    int64_t at = reader->position;
    while (slot != NULL) {
        if (!reader_has(reader, slot, at) && (slot->err == 0 || !jdb__reader_narrow(reader, slot, at)))
            return slot->err;
        const jdb_raw part = reader_part(reader, slot, at, view->cap - *done);
        reader_place(reader, view, *done, part);
        *done += part.len;
        at = reader_step(reader, at, part.len);
        if (*done == view->cap)
            return 0;
        const int64_t edge = reader->is_backward ? slot->offset : slot->offset + (int64_t)slot->size;
        const int err = at == edge ? jdb__reader_behind(reader, slot, view->cap - *done, &slot) : 0;
        if (err != 0)
            return err;
    }
    return 0;
}

static int reader_peek_once(jdb_reader *reader, jdb_raw *view, size_t *done)
{
    struct reader_slot *slot = NULL;
    *done = 0;
    const int err = jdb__reader_front(reader, view->cap, &slot);
    return err == 0 && slot != NULL ? reader_peek_slots(reader, slot, view, done) : err;
}

/* Whether the file has more than the queue knew of. */
static bool reader_has_grown(jdb_reader *reader, size_t done)
{
    int64_t size = 0;
    return !reader->is_backward && jdb_file_size(reader->file, &size) == 0 && size > reader->position + (int64_t)done;
}

int jdb_reader_peek(jdb_reader *reader, jdb_raw *view)
{
    int err = reader_is_raw(view) ? reader_check(reader) : -EINVAL;
    if (err == 0 && view->cap > reader->memory.frame_size)
        err = -EINVAL;
    if (err != 0)
        return err;
    size_t done = 0;
    if (view->cap != 0)
        err = reader_peek_once(reader, view, &done);
    const bool is_short = err == 0 && done < view->cap && reader_has_grown(reader, done);
    if (is_short || err == -EBUSY) { /* once more, in requests as large as what is wanted */
        err = jdb__reader_refresh(reader);
        if (err == 0)
            err = reader_peek_once(reader, view, &done);
    }
    if (err != 0 && err != -EBUSY) /* what has failed behind the front is read again by the next call */
        jdb__reader_reset(reader, 0);
    reader_finish(reader, view, done);
    return err;
}

/* ---- Position ----------------------------------------------------------------------------------------------- */

/* Whether the position would be in the queue, or right behind it. */
static bool reader_is_ahead(const jdb_reader *reader, int64_t offset)
{
    return reader->is_backward ? offset <= reader->position && offset > reader->next
                               : offset >= reader->position && offset < reader->next;
}

int jdb_reader_seek(jdb_reader *reader, int64_t offset)
{
    const int err = reader_check(reader);
    if (err != 0)
        return err;
    if (offset < 0)
        return -EINVAL;
    if (offset == reader->position)
        return 0;
    const bool is_ahead = reader->first != NULL && reader_is_ahead(reader, offset);
    reader->position = offset;
    if (!is_ahead) {
        reader->stats.seek_count++;
        jdb__reader_reset(reader, 0);
        return 0;
    }
    while (reader->first != NULL && reader_is_passed(reader, reader->first))
        jdb__reader_pop(reader); /* skipped, not read: the window stays */
    return 0;
}

int64_t jdb_reader_offset(const jdb_reader *reader)
{
    return reader != NULL ? reader->position : 0;
}

int jdb_reader_get_stats(const jdb_reader *reader, jdb_reader_stats *stats)
{
    const int err = stats != NULL ? reader_check(reader) : -EINVAL;
    if (err != 0)
        return err;
    jdb_reader_stats filled = reader->stats;
    filled.window_size = jdb__reader_window(reader);
    filled.frame_count = reader->memory.held_count;
    return jdb__sized_write(&reader_stats_form, &filled, stats);
}
