/* SPDX-License-Identifier: MIT
 *
 * edge.c - the first and last block of a write, of which only a part is new.
 *
 * Either the block is read, modified in the bounce buffer and written directly, or just the new bytes are written through the
 * page cache (is_edge_plain). In the page cache the kernel orders them against every other write to the file, of
 * other processes too, and the file never ends behind them. On a device it does not, and the cached page must not stay: then
 * the span of the write covers the device, and the page is written before the span is given back.
 */
#include "base/check.h"
#include "file/transfer.h"
#include "os/os.h"

#include <string.h>

/* ---- Read, modify, write ------------------------------------------------------------------------------------ */

/* Fill the bounce buffer with the block as the file has it, and with zeros behind the end of the file. */
static int edge_read_block(struct transfer *transfer, const jdb_write_piece *piece)
{
    uint64_t valid = 0;
    if (piece->old_size != 0) {
        jdb_read_plan plan;
        jdb_read_step step;
        int err = jdb_plan_read(transfer->align, piece->offset, piece->old_size, &plan);
        if (err == 0)
            err = jdb__transfer_read_plan(transfer, &plan, transfer->bounce.ptr, &step);
        if (err != 0)
            return err;
        valid = step.valid_size;
    }
    JDB_ASSERT(valid <= piece->old_size && piece->old_size <= piece->size); /* I6 */
    memset(transfer->bounce.ptr + valid, 0, piece->size - valid);
    return 0;
}

static int edge_modify(struct transfer *transfer, const uint8_t *source, const jdb_write_piece *piece)
{
    int err = jdb__transfer_need_bounce(transfer);
    JDB_ASSERT(err != 0 || piece->size <= transfer->bounce.cap);
    if (err == 0)
        err = edge_read_block(transfer, piece);
    if (err != 0)
        return err;
    memcpy(transfer->bounce.ptr + piece->skip, source, piece->length);
    uint64_t written = 0;
    err = jdb__transfer_write_piece(transfer, piece, transfer->bounce.ptr, &written);
    const uint64_t done = written > piece->skip ? bits_min(written - piece->skip, piece->length) : 0;
    transfer->report.done_size += done;
    transfer->report.direct_size += done;
    transfer->report.copied_size += done;
    return err;
}

/* ---- Through the page cache --------------------------------------------------------------------------------- */

static int edge_write_plain(struct transfer *transfer, const uint8_t *source, const jdb_write_piece *piece)
{
    const int64_t offset = piece->offset + (int64_t)piece->skip;
    int err = jdb__transfer_write_plain(transfer, source, piece->length, offset);
    if (err != 0)
        return err;
    if (transfer->file->limits.is_device != 0)
        err = jdb__file_sync(transfer->file, true);
    if (err != 0)
        return jdb__transfer_failed(transfer, "fdatasync", err, piece->length, offset);
    jdb__file_cached_add(transfer->file, offset, piece->length);
    return 0;
}

/* ---- Which of the two --------------------------------------------------------------------------------------- */

/* The last block of a device whose size is no multiple of the alignment cannot be written whole. */
int jdb__transfer_choose_edges(struct transfer *transfer, uint64_t size, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    transfer->is_edge_plain = file->is_edge_plain;
    if (file->limits.is_device == 0 || file->is_edge_plain || transfer_is_whole_blocks(transfer, size, offset))
        return 0;
    int64_t device_size = 0;
    const int err = jdb_file_size(file, &device_size);
    if (err != 0)
        return jdb__transfer_failed(transfer, "ioctl", err, size, offset);
    transfer->is_edge_plain = bits_round_up((uint64_t)offset + size, transfer->align) > (uint64_t)device_size;
    return 0;
}

int jdb__transfer_write_edge(struct transfer *transfer, const uint8_t *ptr, const jdb_write_piece *piece)
{
    if (piece->size == 0)
        return 0;
    JDB_ASSERT(piece->size == transfer->align && piece->length < transfer->align); /* one block, a part of it new */
    return transfer->is_edge_plain ? edge_write_plain(transfer, ptr + piece->source, piece)
                                   : edge_modify(transfer, ptr + piece->source, piece);
}
