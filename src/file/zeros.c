/* SPDX-License-Identifier: MIT
 *
 * zeros.c - written zeros: preallocation. By the device, which may do it without a transfer, else from memory.
 */
#include "base/check.h"
#include "file/transfer.h"
#include "os/os.h"

#include <string.h>

/* Steps end at multiples of the zeros' size, so that the inner ones are whole blocks. */
static int zeros_write_steps(struct transfer *transfer, jdb_raw zeros, int64_t offset, uint64_t size)
{
    int err = 0;
    for (uint64_t done = 0; err == 0 && done < size;) {
        const int64_t at = offset + (int64_t)done;
        const uint64_t step = bits_min(zeros.cap - (uint64_t)at % zeros.cap, size - done);
        err = jdb__transfer_write_view(transfer, jdb_raw_with_len(zeros, (size_t)step), at);
        done += step;
    }
    return err;
}

/* From memory. */
static int zeros_write_by_hand(struct transfer *transfer, int64_t offset, uint64_t size)
{
    const uint64_t align = bits_max(bits_max(transfer->memory_align, transfer->align), JDB_ALIGNMENT);
    jdb_buf zeros = JDB_BUF_INIT;
    int err = size != 0 ? jdb_buf_with_cap_aligned(&zeros, FILE_ZEROS_SIZE, (size_t)align) : 0;
    if (err != 0 || size == 0)
        return err;
    memset(zeros.ptr, 0, zeros.cap);
    err = zeros_write_steps(transfer, jdb_buf_as_raw(&zeros), offset, size);
    jdb_buf_drop(&zeros);
    return err;
}

/* ---- By the device ------------------------------------------------------------------------------------------ */

static bool zeros_is_refusal(int err)
{
    return err == -ENOTSUP || err == -ENOSYS || err == -EINVAL; /* ENOTSUP is EOPNOTSUPP on Linux */
}

/* Whole blocks. *ret_done: false where neither file nor device can do it. */
static int zeros_offload(struct transfer *transfer, int64_t offset, uint64_t size, bool *ret_done)
{
    struct jdb__file_span span = jdb__transfer_span(transfer, size, offset);
    transfer->report.request_count++;
    jdb__file_span_take(&span);
    const int err = jdb__os_file_write_zeros(transfer->file->plain_fd, offset, size);
    jdb__file_span_give(&span);
    *ret_done = err == 0;
    if (zeros_is_refusal(err))
        return 0;
    if (err != 0)
        return jdb__transfer_write_failed(transfer, "fallocate", err, size, offset);
    transfer->report.done_size += size;
    transfer->report.direct_size += size;
    return 0;
}

/* ---- A range ------------------------------------------------------------------------------------------------ */

/* The ends from memory, and what lies between by the device where it can. */
static int zeros_write_parts(struct transfer *transfer, int64_t offset, uint64_t size)
{
    const uint64_t block = bits_max(transfer->align, transfer->file->limits.recommended_write_size);
    const uint64_t start = bits_round_up((uint64_t)offset, block);
    const uint64_t end = bits_round_down((uint64_t)offset + size, block);
    bool is_done = false;
    if (start >= end)
        return zeros_write_by_hand(transfer, offset, size);
    int err = zeros_write_by_hand(transfer, offset, start - (uint64_t)offset);
    if (err == 0)
        err = zeros_offload(transfer, (int64_t)start, end - start, &is_done);
    const uint64_t from = is_done ? end : start;
    return err != 0 ? err : zeros_write_by_hand(transfer, (int64_t)from, (uint64_t)offset + size - from);
}

static int zeros_write(struct transfer *transfer, int64_t offset, uint64_t size)
{
    const jdb_raw whole = {NULL, (size_t)size, (size_t)size}; /* for the check alone */
    int err = transfer->file->is_write_direct ? jdb__transfer_check_alignment(transfer, whole, offset, true) : 0;
    if (err != 0)
        return err;
    transfer->needs_sync = true;
    err = zeros_write_parts(transfer, offset, size);
    JDB_ASSERT(err != 0 || transfer->report.done_size == size);
    if (err == 0)
        err = jdb__transfer_end_block(transfer, offset + (int64_t)size);
    return err == 0 ? jdb__transfer_finish_write(transfer) : err;
}

int jdb_file_write_zeros(jdb_file *file, int64_t offset, uint64_t size, jdb_file_report *ret_report)
{
    if (file == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    struct transfer transfer;
    jdb__transfer_begin(&transfer, file, true);
    int err = jdb__transfer_check_range(&transfer, JDB_FILE_WRITE, jdb_raw_new(NULL, 0), 0, offset);
    if (err == 0 && size > (uint64_t)INT64_MAX - (uint64_t)offset)
        err = -EOVERFLOW;
    if (err == 0)
        err = jdb__transfer_check_earlier(&transfer);
    if (err == 0 && size != 0)
        err = zeros_write(&transfer, offset, size);
    return jdb__transfer_end(&transfer, err, ret_report);
}
