/* SPDX-License-Identifier: MIT
 *
 * atomic.c - writes of which all bytes or none are there after a crash.
 */
#include "base/check.h"
#include "file/transfer.h"
#include "os/os.h"

#include "jdb_alloc/pin.h"

#include <inttypes.h>
#include <stdio.h>

static int atomic_refuse(struct transfer *transfer, int err, const char *reason)
{
    snprintf(transfer->report.text, sizeof transfer->report.text, "%s", reason);
    return err;
}

static int atomic_check(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    const jdb_direct *const limits = &transfer->file->limits;
    if (!transfer->file->is_write_direct || limits->atomic_min_size == 0)
        return atomic_refuse(
            transfer, -ENOTSUP,
            "the file has no atomic writes: they require direct I/O, and support by the file system and "
            "the device");
    if (!bits_is_pow2(view.len) || view.len < limits->atomic_min_size || view.len > limits->atomic_max_size) {
        snprintf(transfer->report.text, sizeof transfer->report.text,
                 "an atomic write has a power of two of bytes from %" PRIu32 " to %" PRIu32 ", not %zu",
                 limits->atomic_min_size, limits->atomic_max_size, view.len);
        return -EINVAL;
    }
    if (((uint64_t)offset & (view.len - 1)) != 0)
        return atomic_refuse(transfer, -EINVAL, "the offset of an atomic write is a multiple of its length");
    if (!transfer_is_memory_aligned(transfer, view.ptr))
        return atomic_refuse(transfer, -EINVAL, "the memory of an atomic write is not aligned");
    return 0;
}

static int atomic_write(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    const int err = atomic_check(transfer, view, offset);
    if (err != 0)
        return err;
    JDB_ASSERT(file->direct_fd >= 0); /* I2 */
    transfer->write_flags = file->options.durability == JDB_FILE_DURABLE_DATA ? (uint32_t)OS_IO_DATA_SYNC : 0;
    transfer->needs_sync = file->options.durability == JDB_FILE_DURABLE_SYNC;
    transfer->report.request_count++;
    struct jdb__file_span span = jdb__transfer_span(transfer, view.len, offset);
    jdb__file_span_take(&span);
    const uint32_t flags = transfer->write_flags | (uint32_t)OS_IO_ATOMIC;
    const int64_t put = jdb__os_write_at(file->direct_fd, view.ptr, view.len, offset, flags);
    jdb__file_span_give(&span);
    if (put < 0)
        return jdb__transfer_write_failed(transfer, "pwritev2 with RWF_ATOMIC", (int)put, view.len, offset);
    transfer->report.done_size = (uint64_t)put;
    transfer->report.direct_size = (uint64_t)put;
    return (uint64_t)put == view.len ? jdb__transfer_finish_write(transfer)
                                     : jdb__transfer_write_stalled(transfer, "pwritev2", offset + put);
}

int jdb_file_write_atomic(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report)
{
    if (file == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    struct transfer transfer;
    jdb__transfer_begin(&transfer, file, true);
    int err = jdb__transfer_check_range(&transfer, JDB_FILE_WRITE, view, view.len, offset);
    if (err == 0)
        err = jdb__transfer_check_earlier(&transfer);
    if (err != 0)
        return jdb__transfer_end(&transfer, err, ret_report);
    bool is_pinned = false;
    err = jdb__transfer_pin(&transfer, view, view.len, &is_pinned);
    if (err == 0)
        err = atomic_write(&transfer, view, offset);
    if (is_pinned)
        (void)jdb_unpin(view.ptr, view.len);
    return jdb__transfer_end(&transfer, err, ret_report);
}
