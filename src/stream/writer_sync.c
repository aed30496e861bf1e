/* SPDX-License-Identifier: MIT
 *
 * writer_sync.c - flush and sync of a writer: one thread leads for all that wait.
 */
#include "base/bits.h"
#include "base/check.h"
#include "stream/writer_internal.h"

#include <errno.h>
#include <string.h>

/* ---- The leader --------------------------------------------------------------------------------------------- */

/* Copy [from, end) of the frame to fill into the tail buffer; what is written of it. */
static jdb_raw sync_copy_tail(jdb_writer *writer, int64_t from)
{
    const size_t size = (size_t)(writer->end - from);
    const uint64_t padded_end = bits_round_up((uint64_t)writer->end, writer->align);
    const size_t whole = writer->is_padded ? (size_t)(padded_end - (uint64_t)from) : size;
    memcpy(writer->tail.ptr, writer->fill.ptr + (from - writer->fill_offset), size);
    memset(writer->tail.ptr + size, 0, whole - size);
    return jdb_raw_from_slice(writer->tail.ptr, whole);
}

static void sync_write_tail(jdb_writer *writer, int64_t from)
{
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const jdb_raw tail = sync_copy_tail(writer, from);
    jdb__writer_preallocate(writer, from + (int64_t)tail.len);
    writer->is_tail_busy = true;
    writer->status.request_count++;
    writer->status.rewritten_size += (uint64_t)(writer->started - from);
    writer->started = writer->end;
    lock_release(&writer->lock);
    const int err = jdb_file_write_full(writer->file, tail, from, &report);
    lock_take(&writer->lock);
    writer->is_tail_busy = false;
    if (err != 0)
        jdb__writer_fail_at(writer, err, from + (int64_t)report.done_size);
    jdb__writer_notify(writer);
}

/* What was appended and not started is in the frame to fill. */
static void sync_start_rest(jdb_writer *writer)
{
    if (!writer->has_fill || writer->started == writer->end)
        return;
    const int64_t from = jdb__writer_block(writer, writer->started);
    const int64_t last = jdb__writer_block(writer, writer->end);
    const bool is_short = (uint64_t)(writer->end - from) <= WRITER_TAIL_SIZE - writer->align;
    if (!is_short && last > from)
        jdb__writer_start(writer, from, last, false);
    const int64_t tail = is_short ? from : last;
    if (tail < writer->end)
        sync_write_tail(writer, tail);
}

void jdb__writer_lead_flush(jdb_writer *writer)
{
    JDB_ASSERT(writer->is_leading && !writer->is_tail_busy);
    const int64_t target = writer->end;
    sync_start_rest(writer);
    while (writer->first != NULL && writer->first->io.offset < target)
        jdb__writer_reap(writer);
    if (writer->err == 0)
        writer->written = (int64_t)bits_max((uint64_t)writer->written, (uint64_t)target);
}

/* The last block that was durable was written once more since, and may be what is lost. */
static void sync_fail(jdb_writer *writer, int err)
{
    jdb__writer_fail(writer, err);
    if (!writer_error_keeps_blocks(err))
        writer->durable = jdb__writer_block(writer, writer->durable);
}

static void writer_lead_sync(jdb_writer *writer, bool is_durable)
{
    writer->is_leading = true;
    jdb__writer_lead_flush(writer);
    const int64_t target = writer->written;
    if (writer->err == 0 && is_durable) {
        const uint32_t durability =
            writer->durability == JDB_FILE_DURABLE_SYNC ? JDB_FILE_DURABLE_SYNC : JDB_FILE_DURABLE_DATA;
        lock_release(&writer->lock);
        const int err = jdb_file_sync(writer->file, durability);
        lock_take(&writer->lock);
        writer->status.group_count++;
        if (err != 0)
            sync_fail(writer, err);
        else
            writer->durable = (int64_t)bits_max((uint64_t)writer->durable, (uint64_t)target); /* S8 */
    }
    writer->is_leading = false;
    jdb__writer_notify(writer);
}

/* ---- Calls -------------------------------------------------------------------------------------------------- */

static int sync_all(jdb_writer *writer, bool is_durable)
{
    if (writer == NULL)
        return -EINVAL;
    if (!jdb__engine_is_mine(writer->memory.engine))
        return -EPERM;
    lock_take(&writer->lock);
    const int64_t target = writer->end;
    while (writer->err == 0 && (is_durable ? writer->durable : writer->written) < target) {
        if (writer->is_leading)
            jdb__writer_sleep(writer);
        else
            writer_lead_sync(writer, is_durable);
    }
    const int err = writer->err;
    writer->status.sync_count += err == 0 && is_durable ? 1 : 0;
    lock_release(&writer->lock);
    return err;
}

int jdb_writer_flush(jdb_writer *writer)
{
    return sync_all(writer, false);
}

int jdb_writer_sync(jdb_writer *writer)
{
    return sync_all(writer, true);
}
