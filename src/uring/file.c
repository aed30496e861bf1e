/* SPDX-License-Identifier: MIT
 *
 * file.c - operations on a jdb_file: it chooses the descriptor, the flags and the sync, and keeps the error.
 */
#include "uring/op.h"

#define MODE_END_SYNC_SHIFT 8 /* of op->mode: the durability of the write, and above it that of the sync at its end */

/* Ask the file how the request is to be made. The inputs of the operation are set when it may be started. */
static int choose(jdb_uring_op *op, jdb_file *file, const jdb_raw *views, uint32_t view_count, int64_t offset,
                  jdb_file_request *request)
{
    if (op == NULL || file == NULL || (op->sqe_flags & (uint32_t)IOSQE_FIXED_FILE) != 0)
        return -EINVAL;
    if ((op->state & STATE_STARTED) != 0)
        return -EBUSY;
    const int err = jdb_file_begin_request(file, views, view_count, offset, request);
    if (err != 0)
        return err;
    op->align = request->align;
    op->rw_flags = (op->rw_flags & ~RWF_FILE) | request->rw_flags;
    return 0;
}

/* The operation is started: its end is reported to the file. */
static void keep_file(jdb_uring_op *op, jdb_file *file, const jdb_file_request *request)
{
    op->state |= STATE_FILE;
    op->file = file;
    op->file_errors = request->errors;
    op->mode = request->durability | request->end_sync << MODE_END_SYNC_SHIFT;
}

int jdb_uring_prep_read_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file, jdb_raw view,
                             int64_t offset)
{
    if (sqe == NULL)
        return -EBUSY;
    jdb_file_request request = JDB_FILE_REQUEST_INIT;
    int err = choose(op, file, &view, 1, offset, &request);
    if (err != 0)
        return jdb__uring_prep_started(op, sqe, err);
    err = jdb_uring_prep_read(uring, op, sqe, request.fd, view, offset);
    if (err == 0)
        keep_file(op, file, &request);
    return err;
}

/* Not in the window, as the end of a durable write is more than that of a transfer. */
static int prep_durable(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_raw view, int64_t offset,
                        const jdb_file_request *request)
{
    const uint32_t sync = request->sync == JDB_FILE_DURABLE_SYNC ? STATE_SYNC_FILE : 0;
    const int err = jdb__uring_start(uring, op, request->fd, view, offset, STATE_WRITES | sync);
    return jdb__uring_prep_started(op, sqe, err);
}

int jdb_uring_prep_write_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file,
                              jdb_raw view, int64_t offset, uint32_t durability)
{
    if (sqe == NULL)
        return -EBUSY;
    jdb_file_request request = JDB_FILE_REQUEST_INIT;
    request.is_write = 1;
    request.durability = durability;
    int err = choose(op, file, &view, 1, offset, &request);
    if (err != 0)
        return jdb__uring_prep_started(op, sqe, err);
    err = durability == JDB_FILE_DURABLE_NONE ? jdb_uring_prep_write(uring, op, sqe, request.fd, view, offset)
                                              : prep_durable(uring, op, sqe, view, offset, &request);
    if (err == 0)
        keep_file(op, file, &request);
    return err;
}

int jdb_uring_prep_readv_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file,
                              jdb_raw *views, uint32_t view_count, struct iovec *iovs, int64_t offset)
{
    if (sqe == NULL)
        return -EBUSY;
    jdb_file_request request = JDB_FILE_REQUEST_INIT;
    int err = choose(op, file, views, view_count, offset, &request);
    if (err != 0)
        return jdb__uring_prep_started(op, sqe, err);
    err = jdb_uring_prep_readv(uring, op, sqe, request.fd, views, view_count, iovs, offset);
    if (err == 0)
        keep_file(op, file, &request);
    return err;
}

int jdb_uring_prep_writev_file(jdb_uring *uring, jdb_uring_op *op, struct io_uring_sqe *sqe, jdb_file *file,
                               jdb_raw *views, uint32_t view_count, struct iovec *iovs, int64_t offset,
                               uint32_t durability)
{
    if (sqe == NULL)
        return -EBUSY;
    jdb_file_request request = JDB_FILE_REQUEST_INIT;
    request.is_write = 1;
    request.durability = durability;
    int err = choose(op, file, views, view_count, offset, &request);
    if (err != 0)
        return jdb__uring_prep_started(op, sqe, err);
    err = request.sync == JDB_FILE_DURABLE_SYNC
              ? jdb_uring_prep_writev_sync(uring, op, sqe, request.fd, views, view_count, iovs, offset,
                                           JDB_URING_SYNC_FILE)
              : jdb_uring_prep_writev(uring, op, sqe, request.fd, views, view_count, iovs, offset);
    if (err == 0)
        keep_file(op, file, &request);
    return err;
}

int jdb__uring_end_file(const jdb_uring_op *op, int err)
{
    jdb_file_request request = JDB_FILE_REQUEST_INIT;
    request.is_write = (op->state & STATE_WRITES) != 0;
    request.rw_flags = op->rw_flags;
    request.durability = op->mode & ((1u << MODE_END_SYNC_SHIFT) - 1);
    request.end_sync = op->mode >> MODE_END_SYNC_SHIFT;
    request.errors = op->file_errors;
    const bool is_of_sync = (op->state & STATE_SYNCING) != 0;
    return jdb_file_end_request(op->file, &request, is_of_sync ? 0 : err, is_of_sync ? err : 0);
}
