/* SPDX-License-Identifier: MIT
 *
 * external.c - requests on a file that others make: io_uring, libaio. Which descriptor and flags each of them takes, and what
 * its result means for the file.
 */
#include "base/check.h"
#include "base/sized.h"
#include "file/transfer.h"
#include "os/os.h"

SIZED_FORM(file_request_form, jdb_file_request, 48, 72);

/* ---- Begin -------------------------------------------------------------------------------------------------- */

/* The range of the file that is asked for. */
struct external_range {
    const jdb_raw *views;
    uint32_t view_count;
    int64_t offset;
    uint64_t size;
};

static int external_check(const jdb_file *file, struct external_range *range, const jdb_file_request *request)
{
    const uint32_t access = request->is_write != 0 ? JDB_FILE_WRITE : JDB_FILE_READ;
    if (range->offset < 0 || request->is_write > 1 || request->durability > JDB_FILE_DURABLE_SYNC ||
        (request->is_write == 0 && request->durability != 0) || range->view_count > JDB_PIECES_MAX)
        return -EINVAL;
    const int err = jdb__transfer_views_size(range->views, range->view_count, request->is_write != 0, &range->size);
    if (err != 0)
        return err;
    if (range->size > (uint64_t)INT64_MAX - (uint64_t)range->offset)
        return -EOVERFLOW;
    return (file->options.access & access) != 0 ? 0 : -EBADF;
}

/* Whole blocks in aligned memory, by the alignments that jdb_file_write_full() and jdb_file_writev() go by. */
static bool external_is_aligned(const struct transfer *transfer, const struct external_range *range, bool is_write)
{
    if (!transfer_is_whole_blocks(transfer, range->size, range->offset))
        return false;
    for (uint32_t i = 0; i < range->view_count; i++) {
        const size_t size = transfer_view_size(&range->views[i], is_write);
        if (!transfer_is_memory_aligned(transfer, range->views[i].ptr) || !transfer_is_whole_blocks(transfer, size, 0))
            return false;
    }
    return true;
}

/* -EINVAL: the range would take more than one request. A part of a block goes through the page cache where the tail strategy
 * sends it there too. */
static int external_choose(struct transfer *transfer, const struct external_range *range, jdb_file_request *request)
{
    const jdb_file *const file = transfer->file;
    const bool is_write = request->is_write != 0;
    const bool is_direct_mode = is_write ? file->is_write_direct : file->is_read_direct;
    const bool is_aligned = external_is_aligned(transfer, range, is_write);
    const bool ends_whole = file->options.tail == JDB_FILE_TAIL_READ_MODIFY_WRITE && file->limits.is_device == 0;
    if (is_write && ends_whole && !transfer_is_whole_blocks(transfer, range->size, range->offset))
        return -EINVAL;
    const bool may_be_plain = is_write && file->is_edge_plain && (file->options.flags & JDB_FILE_NO_COPY) == 0;
    if (is_direct_mode && !is_aligned && !may_be_plain)
        return -EINVAL;
    request->is_direct = is_direct_mode && is_aligned;
    request->fd = request->is_direct != 0 ? file->direct_fd : file->plain_fd;
    request->align = request->is_direct != 0 ? transfer->align : 1;
    const bool is_uncached = atomic_load_explicit(&file->is_uncached, memory_order_relaxed);
    request->rw_flags = request->is_direct == 0 && is_uncached ? JDB_FILE_RWF_DONTCACHE : 0;
    return 0;
}

/* A direct write reports its own errors, so its sync may run at any time. All else is synced behind the gate (I8). */
static void external_plan_durability(const jdb_file *file, jdb_file_request *request)
{
    const bool is_alone = request->is_direct != 0 && file->direct_write_mode == JDB_FILE_MODE_DIRECT;
    if (!is_alone)
        request->end_sync = request->durability;
    else if (request->durability == JDB_FILE_DURABLE_DATA)
        request->rw_flags |= JDB_FILE_RWF_DSYNC;
    else
        request->sync = request->durability;
}

int jdb_file_begin_request(jdb_file *file, const jdb_raw *views, uint32_t view_count, int64_t offset,
                           jdb_file_request *request)
{
    if (file == NULL || request == NULL || jdb__sized_check(&file_request_form, request) != 0)
        return -EINVAL;
    jdb_file_request filled = JDB_FILE_REQUEST_INIT;
    filled.is_write = request->is_write;
    filled.durability = request->durability;
    struct external_range range = {.views = views, .view_count = view_count, .offset = offset};
    struct transfer transfer;
    int err = external_check(file, &range, &filled);
    if (err != 0)
        return err;
    jdb__transfer_begin(&transfer, file, filled.is_write != 0);
    filled.errors = transfer.errors;
    if (filled.durability != JDB_FILE_DURABLE_NONE)
        err = jdb__file_check_errors(file, transfer.errors);
    if (err == 0)
        err = external_choose(&transfer, &range, &filled);
    if (err != 0)
        return err;
    external_plan_durability(file, &filled);
    if (file->is_write_direct && filled.is_write != 0 && filled.is_direct == 0)
        jdb__file_cached_note(file, offset, range.size);
    return jdb__sized_write(&file_request_form, &filled, request);
}

/* ---- End ---------------------------------------------------------------------------------------------------- */

/* The alignments may have grown since the request began: the next one is checked against what they are now. */
static void external_learn(jdb_file *file)
{
    jdb_direct now = JDB_DIRECT_INIT;
    if (file->direct_fd >= 0)
        (void)jdb_file_limits(file, &now);
}

static int external_end_write(jdb_file *file, const jdb_file_request *request, int err)
{
    if (err == -ECANCELED || jdb__transfer_is_refusal(err))
        return err;
    if ((request->rw_flags & JDB_FILE_RWF_DSYNC) != 0)
        jdb__file_record_direct_sync(file, "write", err);
    else
        jdb__file_record(file, "write", err);
    return err;
}

static int external_end_sync(jdb_file *file, const jdb_file_request *request)
{
    const int err = request->end_sync != JDB_FILE_DURABLE_NONE
                        ? jdb__file_sync(file, request->end_sync == JDB_FILE_DURABLE_DATA)
                        : 0;
    return err == 0 ? jdb__file_check_errors(file, request->errors) : err;
}

int jdb_file_end_request(jdb_file *file, const jdb_file_request *request, int write_err, int sync_err)
{
    if (file == NULL || request == NULL || jdb__sized_check(&file_request_form, request) != 0 || write_err > 0 ||
        sync_err > 0)
        return -EINVAL;
    if (write_err == -EINVAL)
        external_learn(file);
    if (request->is_write == 0)
        return write_err;
    if (write_err != 0)
        return external_end_write(file, request, write_err);
    if (sync_err == -ECANCELED)
        return sync_err; /* not made: a direct write has no error that it could have reported */
    if (sync_err != 0) {
        jdb__file_record_direct_sync(file, "sync", sync_err);
        return sync_err;
    }
    return request->durability != JDB_FILE_DURABLE_NONE ? external_end_sync(file, request) : 0;
}
