/* SPDX-License-Identifier: MIT
 *
 * zeros.c - written zeros: preallocation.
 */
#include "base/check.h"
#include "file/transfer.h"

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
    JDB_ASSERT(err != 0 || transfer->report.done_size == size);
    return err;
}

static int zeros_write(struct transfer *transfer, int64_t offset, uint64_t size)
{
    const jdb_raw whole = {NULL, (size_t)size, (size_t)size}; /* for the check alone */
    int err = transfer->file->is_write_direct ? jdb__transfer_check_alignment(transfer, whole, offset, true) : 0;
    if (err != 0)
        return err;
    const uint64_t align = bits_max(bits_max(transfer->memory_align, transfer->align), JDB_ALIGNMENT);
    jdb_buf zeros = JDB_BUF_INIT;
    err = jdb_buf_with_cap_aligned(&zeros, FILE_ZEROS_SIZE, (size_t)align);
    if (err != 0)
        return err;
    memset(zeros.ptr, 0, zeros.cap);
    transfer->needs_sync = true;
    err = zeros_write_steps(transfer, jdb_buf_as_raw(&zeros), offset, size);
    if (err == 0)
        err = jdb__transfer_finish_write(transfer);
    jdb_buf_drop(&zeros);
    return err;
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
