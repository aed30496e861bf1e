/* SPDX-License-Identifier: MIT
 *
 * write.c - writes of any range from any memory.
 */
#include "base/check.h"
#include "file/transfer.h"
#include "os/os.h"

#include "jdb_alloc/pin.h"

#include <string.h>

/* ---- Whole blocks ------------------------------------------------------------------------------------------- */

/* From aligned memory. */
static int write_straight(struct transfer *transfer, const uint8_t *ptr, const jdb_write_piece *body)
{
    uint64_t done = 0;
    JDB_ASSERT(transfer_is_memory_aligned(transfer, ptr)); /* I5 */
    const int err = jdb__transfer_write_piece(transfer, body, ptr, &done);
    transfer->report.done_size += done;
    transfer->report.direct_size += done;
    return err;
}

/* From memory that is not aligned, through the bounce buffer. */
static int write_bounced(struct transfer *transfer, const uint8_t *ptr, const jdb_write_piece *body)
{
    int err = jdb__transfer_need_bounce(transfer);
    for (uint64_t at = 0; err == 0 && at < body->size;) {
        const uint64_t size = bits_min(body->size - at, transfer->bounce.cap);
        const jdb_write_piece piece = {.offset = body->offset + (int64_t)at, .size = size, .length = size};
        uint64_t done = 0;
        memcpy(transfer->bounce.ptr, ptr + at, size);
        err = jdb__transfer_write_piece(transfer, &piece, transfer->bounce.ptr, &done);
        transfer->report.done_size += done;
        transfer->report.direct_size += done;
        transfer->report.copied_size += done;
        at += size;
    }
    return err;
}

/* ---- A range ------------------------------------------------------------------------------------------------ */

/* The span of the range's blocks is taken, so that the file's size and the blocks at the ends do not change. */
static int write_direct(struct transfer *transfer, const uint8_t *ptr, uint64_t size, int64_t offset)
{
    int64_t file_size = 0; /* queried where old bytes are read */
    const bool is_queried = !transfer->is_edge_plain && !transfer_is_whole_blocks(transfer, size, offset);
    jdb_write_plan plan;
    int err = is_queried ? jdb_file_size(transfer->file, &file_size) : 0;
    if (err != 0)
        return jdb__transfer_failed(transfer, "fstat", err, size, offset);
    err = jdb_plan_write(transfer->align, offset, size, file_size, &plan);
    if (err == 0)
        err = jdb__transfer_write_edge(transfer, ptr, &plan.head);
    const uint8_t *const body = ptr + plan.body.source;
    if (err == 0 && plan.body.size != 0)
        err = transfer_is_memory_aligned(transfer, body) ? write_straight(transfer, body, &plan.body)
                                                         : write_bounced(transfer, body, &plan.body);
    if (err == 0)
        err = jdb__transfer_write_edge(transfer, ptr, &plan.tail);
    return err;
}

struct jdb__file_span jdb__transfer_span(const struct transfer *transfer, uint64_t size, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    const uint64_t start = bits_round_down((uint64_t)offset, transfer->align);
    const uint64_t end = bits_round_up((uint64_t)offset + size, transfer->align);
    const bool is_whole_device = file->limits.is_device != 0 && transfer->is_edge_plain;
    return is_whole_device ? jdb__file_span_of(file, 0, UINT64_MAX) : jdb__file_span_of(file, start, end);
}

/* One try with the alignments that are known, under the span of its blocks. */
static int write_try(struct transfer *transfer, const uint8_t *ptr, uint64_t size, int64_t offset)
{
    const bool is_direct = transfer->file->is_write_direct;
    int err = is_direct ? jdb__transfer_choose_edges(transfer, size, offset) : 0;
    if (err != 0)
        return err;
    struct jdb__file_span span = jdb__transfer_span(transfer, size, offset);
    jdb__file_span_take(&span);
    err =
        is_direct ? write_direct(transfer, ptr, size, offset) : jdb__transfer_write_plain(transfer, ptr, size, offset);
    jdb__file_span_give(&span);
    return err;
}

int jdb__transfer_write_view(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    const bool is_direct = transfer->file->is_write_direct;
    const uint64_t before = transfer->report.done_size;
    int err = is_direct ? jdb__transfer_check_alignment(transfer, view, offset, true) : 0;
    if (err != 0)
        return err;
    do {
        const uint64_t done = transfer->report.done_size - before;
        err = write_try(transfer, view.ptr + done, view.len - done, offset + (int64_t)done);
    } while (is_direct && err == -EINVAL && jdb__transfer_learn_aligns(transfer, true));
    JDB_ASSERT(err != 0 || transfer->report.done_size - before == view.len);
    return err;
}

/* ---- Length --------------------------------------------------------------------------------------------------- */

/* With JDB_FILE_TAIL_READ_MODIFY_WRITE the file ends at a multiple of the alignment whatever its mode: where the last block was not
 * written whole, zeros follow behind the end of the file. */
static int write_pad(struct transfer *transfer, int64_t end, int64_t block_end)
{
    static const uint8_t zeros[4096];
    int64_t at = 0;
    int err = jdb_file_size(transfer->file, &at);
    while (err == 0 && at >= end && at < block_end) {
        const uint64_t size = bits_min((uint64_t)(block_end - at), sizeof zeros);
        err = jdb__transfer_write_plain(transfer, zeros, size, at);
        at += (int64_t)size;
    }
    return err;
}

int jdb__transfer_end_block(struct transfer *transfer, int64_t end)
{
    const jdb_file *const file = transfer->file;
    const bool is_plain = !file->is_write_direct || file->is_edge_plain;
    const int64_t block_end = (int64_t)bits_round_up((uint64_t)end, transfer->align);
    if (!is_plain || file->options.tail != JDB_FILE_TAIL_READ_MODIFY_WRITE || file->limits.is_device != 0 ||
        block_end == end)
        return 0;
    const jdb_file_report before = transfer->report;
    struct jdb__file_span span = jdb__file_span_of(file, (uint64_t)block_end - transfer->align, (uint64_t)block_end);
    jdb__file_span_take(&span);
    const int err = write_pad(transfer, end, block_end);
    jdb__file_span_give(&span);
    transfer->report.done_size = before.done_size; /* the zeros are not the caller's */
    transfer->report.buffered_size = before.buffered_size;
    return err;
}

/* ---- Durability --------------------------------------------------------------------------------------------- */

/* A write is its own sync where it is one request: a flag costs less than a call. Only where nothing passes the page cache,
 * whose errors this would take from the syncs of other threads (I8). */
static void write_plan_durability(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    const uint32_t durability = file->options.durability;
    const bool is_direct = file->is_write_direct && file->direct_write_mode == JDB_FILE_MODE_DIRECT;
    const bool is_whole =
        transfer_is_whole_blocks(transfer, view.len, offset) && transfer_is_memory_aligned(transfer, view.ptr);
    if (durability == JDB_FILE_DURABLE_DATA && view.len <= JDB_TRANSFER_MAX && is_direct && is_whole)
        transfer->write_flags = OS_IO_DATA_SYNC;
    else
        transfer->needs_sync = durability != JDB_FILE_DURABLE_NONE;
}

int jdb__transfer_finish_write(struct transfer *transfer)
{
    jdb_file *const file = transfer->file;
    if (file->options.durability == JDB_FILE_DURABLE_NONE)
        return 0;
    JDB_ASSERT(transfer->needs_sync || transfer->report.buffered_size == 0); /* I8 */
    const bool is_data_only = file->options.durability == JDB_FILE_DURABLE_DATA;
    int err = transfer->needs_sync ? jdb__file_sync(file, is_data_only) : 0;
    if (err != 0)
        return jdb__file_report_failure(&transfer->report, is_data_only ? "fdatasync" : "fsync", err);
    err = jdb__file_check_errors(file, transfer->errors);
    return err == 0 ? 0 : jdb__file_report_earlier(file, err, &transfer->report);
}

int jdb_file_write_full(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report)
{
    if (file == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    struct transfer transfer;
    jdb__transfer_begin(&transfer, file, true);
    int err = jdb__transfer_check_range(&transfer, JDB_FILE_WRITE, view, view.len, offset);
    if (err == 0)
        err = jdb__transfer_check_earlier(&transfer);
    if (err != 0 || view.len == 0)
        return jdb__transfer_end(&transfer, err, ret_report);
    bool is_pinned = false;
    err = jdb__transfer_pin(&transfer, view, view.len, &is_pinned);
    write_plan_durability(&transfer, view, offset);
    if (err == 0)
        err = jdb__transfer_write_view(&transfer, view, offset);
    if (err == 0)
        err = jdb__transfer_end_block(&transfer, offset + (int64_t)view.len);
    if (err == 0)
        err = jdb__transfer_finish_write(&transfer);
    if (is_pinned)
        (void)jdb_unpin(view.ptr, view.len);
    return jdb__transfer_end(&transfer, err, ret_report);
}
