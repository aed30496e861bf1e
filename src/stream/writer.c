/* SPDX-License-Identifier: MIT
 *
 * writer.c - the calls of a writer but flush and sync.
 */
#include "base/bits.h"
#include "base/check.h"
#include "base/sized.h"
#include "file/file_internal.h"
#include "os/os.h"
#include "stream/writer_internal.h"

#include <errno.h>
#include <string.h>

SIZED_FORM(writer_status_form, jdb_writer_status, 80, 128);

#define WRITER_BLOCK ((uint32_t)4096)

/* ---- Open --------------------------------------------------------------------------------------------------- */

static int writer_query(jdb_file *file, const jdb_stream_options *options, uint32_t *ret_align, int64_t *ret_start)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    const bool is_padded = (options->flags & JDB_STREAM_PADDED) != 0;
    int err = jdb_file_limits(file, &limits);
    if (err != 0)
        return err;
    if ((options->flags & JDB_STREAM_BACKWARD) != 0 || (is_padded && limits.is_device != 0))
        return -EINVAL;
    *ret_align = (uint32_t)bits_max(limits.write_align, WRITER_BLOCK);
    *ret_start = options->offset;
    return options->offset == JDB_STREAM_END ? jdb_file_size(file, ret_start) : 0;
}

static int writer_make(const struct stream_memory *memory, uint32_t align, jdb_writer **ret_writer)
{
    void *object = NULL;
    if (memory->frame_size % align != 0 || align > WRITER_TAIL_SIZE / 2)
        return -EINVAL;
    int err =
        jdb__stream_alloc(sizeof(jdb_writer), (uint64_t)memory->frame_count + 1, sizeof(struct writer_flight), &object);
    if (err != 0)
        return err;
    jdb_writer *const writer = object;
    err = jdb_buf_with_cap_aligned(&writer->tail, WRITER_TAIL_SIZE, align);
    if (err != 0) {
        jdb__os_free(object);
        return err;
    }
    *ret_writer = writer;
    return 0;
}

int jdb_writer_open(jdb_file *file, const jdb_stream_options *options, jdb_writer **ret_writer)
{
    jdb_stream_options known;
    struct stream_memory memory;
    uint32_t align = 0;
    int64_t start = 0;
    jdb_writer *writer = NULL;
    if (file == NULL || ret_writer == NULL)
        return -EINVAL;
    int err = jdb__stream_read_options(options, &known);
    if (err == 0)
        err = writer_query(file, &known, &align, &start);
    if (err == 0)
        err = jdb__stream_memory_open(&memory, &known);
    if (err != 0)
        return err;
    err = writer_make(&memory, align, &writer);
    if (err != 0) {
        (void)jdb__stream_memory_close(&memory);
        return err;
    }
    writer->file = file;
    writer->memory = memory;
    writer->align = align;
    writer->is_padded = (known.flags & JDB_STREAM_PADDED) != 0;
    writer->durability = known.durability;
    writer->preallocate_size = known.preallocate_size;
    writer->start = writer->end = writer->started = writer->written = writer->durable = writer->allocated = start;
    lock_init(&writer->lock, LOCK_STREAM, false);
    *ret_writer = writer;
    return 0;
}

/* ---- Close -------------------------------------------------------------------------------------------------- */

/* Truncate padding, and free space that was allocated ahead. has_failed: the end of the stream may not have been written; the file
 * is not made longer then. */
static int writer_truncate(jdb_writer *writer, bool has_failed)
{
    int64_t size = INT64_MAX;
    if (!writer->is_padded)
        return writer->allocated > writer->end ? jdb__file_free_space(writer->file, writer->end, writer->allocated) : 0;
    const int err = has_failed ? jdb_file_size(writer->file, &size) : 0;
    return err == 0 && size > writer->end ? jdb_file_truncate(writer->file, writer->end) : err;
}

static int writer_finish(jdb_writer *writer)
{
    lock_take(&writer->lock);
    writer->is_leading = true;
    jdb__writer_lead_flush(writer);
    while (writer->first != NULL)
        jdb__writer_reap(writer);
    if (writer->has_fill)
        jdb__writer_put_frame(writer, writer->fill);
    int err = writer->err;
    lock_release(&writer->lock);
    const int truncated = writer_truncate(writer, err != 0);
    err = err != 0 ? err : truncated;
    if (err == 0 && writer->durability != JDB_FILE_DURABLE_NONE)
        err = jdb_file_sync(writer->file, writer->durability);
    return err;
}

int jdb_writer_close(jdb_writer *writer)
{
    if (writer == NULL)
        return 0;
    if (!jdb__engine_is_mine(writer->memory.engine))
        return -EPERM;
    if (writer->lent_size != 0)
        return -EBUSY;
    JDB_ASSERT(!writer->is_appending && !writer->is_leading);
    const int err = writer_finish(writer);
    (void)jdb__stream_memory_close(&writer->memory);
    jdb_buf_drop(&writer->tail);
    lock_destroy(&writer->lock);
    jdb__os_free(writer);
    return err;
}

/* ---- Append ------------------------------------------------------------------------------------------------- */

/* Under the lock: one thread at a time appends, so that bytes of two do not mix where it waits. */
static int append_begin(jdb_writer *writer, uint64_t size)
{
    while (writer->is_appending)
        jdb__writer_sleep(writer);
    if (writer->err != 0)
        return writer->err;
    const int64_t last = INT64_MAX - (int64_t)writer->align; /* so that the block of the end has one too */
    if (size > (writer->end < last ? (uint64_t)(last - writer->end) : 0))
        return -EOVERFLOW;
    writer->is_appending = true;
    return 0;
}

static void append_end(jdb_writer *writer)
{
    writer->is_appending = false;
    jdb__writer_notify(writer);
}

static uint64_t append_room(const jdb_writer *writer)
{
    return (uint64_t)(writer->fill_offset - writer->end) + writer->memory.frame_size;
}

/* `size` bytes are in the frame. */
static void append_advance(jdb_writer *writer, uint64_t size)
{
    writer->end += (int64_t)size;
    if (append_room(writer) == 0)
        jdb__writer_start_fill(writer);
}

static int append_copy(jdb_writer *writer, const uint8_t *ptr, size_t size)
{
    while (size != 0) {
        const int err = jdb__writer_need_fill(writer);
        if (err != 0)
            return err;
        const size_t part = (size_t)bits_min(size, append_room(writer));
        memcpy(writer->fill.ptr + (writer->end - writer->fill_offset), ptr, part);
        ptr += part;
        size -= part;
        append_advance(writer, part);
    }
    return 0;
}

int jdb_writer_append(jdb_writer *writer, jdb_raw view, int64_t *ret_offset)
{
    if (writer == NULL || (view.ptr == NULL && view.len != 0))
        return -EINVAL;
    if (!jdb__engine_is_mine(writer->memory.engine))
        return -EPERM;
    lock_take(&writer->lock);
    int err = append_begin(writer, view.len);
    if (err != 0) {
        lock_release(&writer->lock);
        return err;
    }
    const int64_t offset = writer->end;
    err = append_copy(writer, view.ptr, view.len);
    append_end(writer);
    lock_release(&writer->lock);
    if (err == 0 && ret_offset != NULL)
        *ret_offset = offset;
    return err;
}

int jdb_writer_lend(jdb_writer *writer, jdb_raw *ret_view)
{
    if (writer == NULL || ret_view == NULL)
        return -EINVAL;
    if (!jdb__engine_is_mine(writer->memory.engine))
        return -EPERM;
    lock_take(&writer->lock);
    int err = append_begin(writer, writer->memory.frame_size);
    if (err != 0) {
        lock_release(&writer->lock);
        return err;
    }
    err = jdb__writer_need_fill(writer);
    if (err != 0) {
        append_end(writer);
    } else {
        writer->lent_size = append_room(writer);
        *ret_view = jdb_raw_new(writer->fill.ptr + (writer->end - writer->fill_offset), (size_t)writer->lent_size);
    }
    lock_release(&writer->lock);
    return err;
}

int jdb_writer_commit(jdb_writer *writer, size_t size)
{
    if (writer == NULL)
        return -EINVAL;
    if (!jdb__engine_is_mine(writer->memory.engine))
        return -EPERM;
    lock_take(&writer->lock);
    int err = writer->lent_size == 0 || size > writer->lent_size ? -EINVAL : 0;
    if (err == 0) {
        writer->lent_size = 0;
        append_advance(writer, size);
        append_end(writer);
        err = writer->err;
    }
    lock_release(&writer->lock);
    return err;
}

/* ---- Status ------------------------------------------------------------------------------------------------- */

int jdb_writer_get_status(jdb_writer *writer, jdb_writer_status *status)
{
    if (writer == NULL || status == NULL)
        return -EINVAL;
    if (!jdb__engine_is_mine(writer->memory.engine))
        return -EPERM;
    lock_take(&writer->lock);
    jdb_writer_status filled = writer->status;
    filled.err = writer->err;
    filled.end = writer->end;
    filled.written_end = writer->written;
    filled.durable_end = writer->durable;
    lock_release(&writer->lock);
    return jdb__sized_write(&writer_status_form, &filled, status);
}
