/* SPDX-License-Identifier: MIT
 *
 * uv.h - adapter to libuv: views become uv_buf_t, a finished uv_fs_t becomes the views' lengths. Header only; link
 * libuv.
 *
 * Example: a page of a file opened with UV_FS_O_DIRECT.
 *
 *     static void on_read(uv_fs_t *req)
 *     {
 *         jdb_uv_op *op = jdb_uv_of(req);
 *         int err = jdb_uv_complete(op);              // unpins; op->views[i].len is exact
 *         ...
 *     }
 *     jdb_raw view = jdb_buf_as_raw(&buf);
 *     uv_buf_t bufs[1];
 *     jdb_uv_op op = JDB_UV_OP_INIT;
 *     op.req.data = mine;                             // stays the caller's
 *     int err = jdb_uv_read(loop, &op, file, &view, 1, bufs, offset, on_read);
 *
 * libuv runs these on its thread pool; without a callback they run at once, and complete is called right behind.
 *
 * Life cycle: read or write starts an operation and pins its memory; complete ends it (after a cancel too: the callback
 * comes with UV_ECANCELED). Then it may be started again. Caller-owned; must not move while started, nor may the views.
 *
 * Thread safety: as libuv: the loop's thread.
 */
#ifndef JDB_ALLOC_UV_H
#define JDB_ALLOC_UV_H

#include "base.h"
#include "iov.h"
#include "pin.h"
#include "raw.h"

#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_uv_op {
    uv_fs_t req;    /* req.data is the caller's */
    jdb_raw *views; /* result: of a read, len is 0 from start to completion, then each view's part */
    size_t view_count;
    size_t done_size;    /* result: bytes read or written */
    uint32_t is_write;   /* private */
    uint32_t is_started; /* private */
    uint64_t reserved[4];
} jdb_uv_op;

#ifdef __cplusplus
#define JDB_UV_OP_INIT \
    jdb_uv_op          \
    {                  \
    }
#else
#define JDB_UV_OP_INIT ((jdb_uv_op){.view_count = 0})
#endif

/* jdb_uv_of - the operation that a request is the first member of. Since 0.1. */
static inline jdb_uv_op *jdb_uv_of(uv_fs_t *req)
{
    return (jdb_uv_op *)(void *)req;
}

/* Private: check, pin, and fill bufs. Since 0.1. */
static inline int jdb__uv_start(jdb_uv_op *op, jdb_raw *views, size_t view_count, uv_buf_t *bufs, bool is_write)
{
    size_t size = 0;
    if (op == NULL || bufs == NULL || view_count > 1024)
        return -EINVAL;
    if (op->is_started != 0)
        return -EBUSY;
    int err = jdb_iov_sum(views, view_count, is_write, &size);
    if (err == 0)
        err = jdb_iov_pin(views, view_count, is_write);
    if (err != 0)
        return err;
    for (size_t i = 0; i < view_count; i++) {
        bufs[i].base = (char *)views[i].ptr;
        bufs[i].len = jdb_iov_bytes(views[i], is_write);
    }
    op->views = views;
    op->view_count = view_count;
    op->done_size = 0;
    op->is_write = is_write;
    op->is_started = 1;
    return 0;
}

/* jdb_uv_complete - turn req.result into the views' lengths, unpin, and clean the request up.
 *
 * Returns 0: each len (of a read) and done_size are exact; libuv's error, on Unix a negative errno: nothing counts as
 * read; -EINVAL: NULL or not started. Since 0.1. */
static inline int jdb_uv_complete(jdb_uv_op *op)
{
    if (op == NULL || op->is_started == 0)
        return -EINVAL;
    const ssize_t result = op->req.result;
    op->done_size = result < 0 ? 0 : (size_t)result;
    if (op->is_write == 0)
        jdb_iov_share_out(op->views, op->view_count, op->done_size);
    jdb_iov_unpin(op->views, op->view_count, op->is_write != 0);
    op->is_started = 0;
    uv_fs_req_cleanup(&op->req);
    return result < 0 ? (int)result : 0;
}

/* Private: a call that libuv did not take has no callback and is over. Since 0.1. */
static inline int jdb__uv_started(jdb_uv_op *op, int result, uv_fs_cb callback)
{
    if (callback != NULL && result < 0) {
        jdb_iov_unpin(op->views, op->view_count, op->is_write != 0);
        op->is_started = 0;
        return result;
    }
    if (result < 0)
        op->req.result = result; /* without memory libuv leaves it 0 */
    if (op->is_write == 0)
        jdb_iov_share_out(op->views, op->view_count, 0);
    return 0;
}

/* jdb_uv_read - uv_fs_read() into views: from offset on to the first, then the second and so on.
 *
 * bufs: scratch room for view_count (1,024 at most), needed during this call only. callback: calls jdb_uv_complete();
 * NULL:
 * the read is done when this returns, and jdb_uv_complete() gives its result.
 * Returns 0: started and pinned; -EINVAL: NULL, no views, a view without bytes, memory of this library that is not
 * lent; -ERANGE: a view leaves its buffer; -EBUSY: op is started already; else libuv's error, nothing is started. Since
 * 0.1. */
static inline int jdb_uv_read(uv_loop_t *loop, jdb_uv_op *op, uv_file file, jdb_raw *views, size_t view_count,
                              uv_buf_t *bufs, int64_t offset, uv_fs_cb callback)
{
    const int err = jdb__uv_start(op, views, view_count, bufs, JDB_IOV_READ);
    if (err != 0)
        return err;
    return jdb__uv_started(op, uv_fs_read(loop, &op->req, file, bufs, (unsigned)view_count, offset, callback),
                           callback);
}

/* jdb_uv_write - uv_fs_write() from views, whose len must stay until the end. Else as jdb_uv_read(). Since 0.1. */
static inline int jdb_uv_write(uv_loop_t *loop, jdb_uv_op *op, uv_file file, jdb_raw *views, size_t view_count,
                               uv_buf_t *bufs, int64_t offset, uv_fs_cb callback)
{
    const int err = jdb__uv_start(op, views, view_count, bufs, JDB_IOV_WRITE);
    if (err != 0)
        return err;
    return jdb__uv_started(op, uv_fs_write(loop, &op->req, file, bufs, (unsigned)view_count, offset, callback),
                           callback);
}

#ifdef __cplusplus
}
#endif

#endif
