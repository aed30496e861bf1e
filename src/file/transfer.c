/* SPDX-License-Identifier: MIT
 *
 * transfer.c - the steps of a transfer around its requests: checks, pins, bounce buffer, alignments, reports.
 */
#include "file/transfer.h"

#include "base/check.h"
#include "os/os.h"

#include "jdb_alloc/pin.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Failures ----------------------------------------------------------------------------------------------- */

int jdb__transfer_failed(struct transfer *transfer, const char *call, int err, uint64_t size, int64_t offset)
{
    char words[64];
    JDB_ASSERT(err < 0);
    transfer->report.call = call;
    snprintf(transfer->report.text, sizeof transfer->report.text,
             "%s of %" PRIu64 " bytes at offset %" PRId64 " failed: %s", call, size, offset,
             jdb__os_error_text(err, words, sizeof words));
    return err;
}

int jdb__transfer_stalled(struct transfer *transfer, const char *call, int64_t offset)
{
    snprintf(transfer->report.text, sizeof transfer->report.text, "%s made no progress at offset %" PRId64, call,
             offset);
    return -EIO;
}

bool jdb__transfer_is_refusal(int err)
{
    return err == -EINVAL || err == -EOPNOTSUPP || err == -EINTR || err == -EAGAIN || err == -EFAULT || err == -EBADF ||
           err == -EFBIG;
}

/* A request that reaches over RLIMIT_FSIZE is cut by the kernel, and refused where what is left of it is no whole blocks. */
static int transfer_explain_refusal(int err, uint64_t size, int64_t offset)
{
    return err == -EINVAL && (uint64_t)offset + size > jdb__os_file_size_limit() ? -EFBIG : err;
}

int jdb__transfer_write_failed(struct transfer *transfer, const char *call, int err, uint64_t size, int64_t offset)
{
    err = transfer_explain_refusal(err, size, offset);
    if (!jdb__transfer_is_refusal(err) && (transfer->write_flags & OS_IO_DATA_SYNC) != 0)
        jdb__file_record_direct_sync(transfer->file, call, err);
    else if (!jdb__transfer_is_refusal(err))
        jdb__file_record(transfer->file, call, err);
    return jdb__transfer_failed(transfer, call, err, size, offset);
}

int jdb__transfer_write_stalled(struct transfer *transfer, const char *call, int64_t offset)
{
    jdb__file_record(transfer->file, call, -EIO);
    return jdb__transfer_stalled(transfer, call, offset);
}

/* ---- Begin and end ------------------------------------------------------------------------------------------ */

void jdb__transfer_begin(struct transfer *transfer, jdb_file *file, bool is_write)
{
    const uint32_t read_align = atomic_load_explicit(&file->read_align, memory_order_relaxed);
    const uint32_t write_align = atomic_load_explicit(&file->write_align, memory_order_relaxed);
    *transfer = (struct transfer){.file = file, .report = JDB_FILE_REPORT_INIT, .bounce = JDB_BUF_INIT};
    transfer->memory_align = atomic_load_explicit(&file->memory_align, memory_order_relaxed);
    transfer->align = is_write ? (uint32_t)bits_max(write_align, read_align) : read_align;
    if (is_write)
        jdb__file_own(file);
    transfer->errors = jdb__file_errors(file);
    JDB_ASSERT(bits_is_pow2(transfer->align) && bits_is_pow2(transfer->memory_align)); /* I3 */
}

int jdb__transfer_end(struct transfer *transfer, int err, jdb_file_report *ret_report)
{
    jdb_buf_drop(&transfer->bounce);
    transfer->report.err = err;
    transfer->report.mode = jdb__file_mode(transfer->file);
    jdb__file_write_report(&transfer->report, ret_report);
    return err;
}

/* ---- Checks ------------------------------------------------------------------------------------------------- */

int jdb__transfer_check_range(struct transfer *transfer, uint32_t access, jdb_raw view, uint64_t size, int64_t offset)
{
    if (offset < 0 || (view.ptr == NULL && size != 0))
        return -EINVAL;
    if (size > (uint64_t)INT64_MAX - (uint64_t)offset)
        return -EOVERFLOW;
    if ((transfer->file->options.access & access) != 0)
        return 0;
    snprintf(transfer->report.text, sizeof transfer->report.text, "the file is not open for %s",
             access == JDB_FILE_READ ? "reading" : "writing");
    return -EBADF;
}

int jdb__transfer_check_alignment(struct transfer *transfer, jdb_raw view, int64_t offset, bool is_write)
{
    if ((transfer->file->options.flags & JDB_FILE_NO_COPY) == 0)
        return 0;
    jdb_direct limits = transfer->file->limits;
    limits.memory_align = transfer->memory_align;
    limits.write_align = transfer->align;
    limits.read_align = transfer->align;
    jdb_direct_check found = JDB_DIRECT_CHECK_INIT;
    const int err = is_write ? jdb_direct_check_write(&limits, view, offset, &found)
                             : jdb_direct_check_read(&limits, view, offset, &found);
    if (err != 0)
        (void)jdb_direct_check_format(&found, transfer->report.text, sizeof transfer->report.text);
    return err;
}

int jdb__transfer_check_earlier(struct transfer *transfer)
{
    if (transfer->file->options.durability == JDB_FILE_DURABLE_NONE)
        return 0;
    const int err = jdb__file_check_errors(transfer->file, transfer->errors);
    return err == 0 ? 0 : jdb__file_report_earlier(transfer->file, err, &transfer->report);
}

/* ---- Memory ------------------------------------------------------------------------------------------------- */

int jdb__transfer_pin(struct transfer *transfer, jdb_raw view, size_t size, bool *ret_pinned)
{
    const int err = size != 0 ? jdb_pin(view.ptr, size) : -ENOTSUP;
    *ret_pinned = err == 0;
    if (err == 0 || err == -ENOTSUP)
        return 0;
    snprintf(transfer->report.text, sizeof transfer->report.text, "the memory cannot be pinned: %s", jdb_strerror(err));
    return err;
}

int jdb__transfer_need_bounce(struct transfer *transfer)
{
    if (transfer->bounce.cap != 0)
        return 0;
    const uint64_t size = bits_max(transfer->file->options.copy_size, (uint64_t)transfer->align * 2);
    const uint64_t align = bits_max(transfer->memory_align, JDB_ALIGNMENT);
    const size_t cap = (size_t)bits_round_up(size, transfer->align);
    const int err = jdb_buf_with_cap_aligned(&transfer->bounce, cap, (size_t)align);
    if (err != 0)
        snprintf(transfer->report.text, sizeof transfer->report.text, "no memory for the bounce buffer");
    JDB_ASSERT(err != 0 || transfer_is_memory_aligned(transfer, transfer->bounce.ptr)); /* I5 */
    JDB_ASSERT(err != 0 || transfer->bounce.cap >= (size_t)transfer->align * 2);
    JDB_ASSERT(err != 0 || transfer->bounce.cap % transfer->align == 0); /* I5 */
    return err;
}

/* A write that was one request of whole blocks is no longer: from here on a sync follows instead of the flag (I8). */
static void transfer_sync_later(struct transfer *transfer)
{
    if ((transfer->write_flags & OS_IO_DATA_SYNC) == 0)
        return;
    transfer->write_flags &= ~(uint32_t)OS_IO_DATA_SYNC;
    transfer->needs_sync = true;
}

int jdb__transfer_views_size(const jdb_raw *views, uint32_t view_count, bool is_write, uint64_t *ret_size)
{
    uint64_t sum = 0;
    if (views == NULL || view_count == 0)
        return -EINVAL;
    for (uint32_t i = 0; i < view_count; i++) {
        const uint64_t size = transfer_view_size(&views[i], is_write);
        if (views[i].ptr == NULL || size == 0)
            return -EINVAL;
        if (size > (uint64_t)INT64_MAX - sum)
            return -EOVERFLOW;
        sum += size;
    }
    *ret_size = sum;
    return 0;
}

bool jdb__transfer_learn_aligns(struct transfer *transfer, bool is_write)
{
    jdb_file *const file = transfer->file;
    jdb_direct now = JDB_DIRECT_INIT;
    if (jdb__file_query_limits(&file->options, file->direct_fd, &now) != 0)
        return false;
    const uint32_t align = is_write ? (uint32_t)bits_max(now.write_align, now.read_align) : now.read_align;
    if (now.memory_align <= transfer->memory_align && align <= transfer->align)
        return false;
    transfer->memory_align = (uint32_t)bits_max(now.memory_align, transfer->memory_align);
    transfer->align = (uint32_t)bits_max(align, transfer->align);
    jdb__file_raise_aligns(file, &now);
    transfer_sync_later(transfer);
    jdb_buf_drop(&transfer->bounce);
    transfer->report.call = NULL;
    transfer->report.text[0] = '\0';
    return true;
}
