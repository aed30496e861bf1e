/* SPDX-License-Identifier: MIT
 *
 * aio.h - adapter to libaio: a view becomes an iocb, an event becomes the view's length. Header only; link libaio.
 *
 * Example: one page of a file opened with O_DIRECT (libaio is asynchronous for such files only). libaio.h itself wants
 * POSIX: -std=gnu11 or _GNU_SOURCE.
 *
 *     jdb_aio_op op = JDB_AIO_OP_INIT;
 *     int err = jdb_aio_read(&op, fd, jdb_buf_as_raw(&buf), offset);     // pins the memory; op.view.len is 0
 *     op.iocb.data = mine;                                               // stays the caller's
 *     struct iocb *list[1] = {&op.iocb};
 *     io_submit(context, 1, list);
 *     ...
 *     struct io_event event;
 *     io_getevents(context, 1, 1, &event, NULL);
 *     err = jdb_aio_complete(jdb_aio_of(event.obj), &event);             // unpins; op.view.len is what was read
 *
 * Life cycle: read or write starts an operation and pins its memory; complete, or jdb_aio_release() for one that was
 * never submitted or whose context is gone (io_destroy() waits for what is in flight), ends it. Then it may be started
 * again. Caller-owned; must not move while started.
 *
 * Thread safety: an operation is used by one thread at a time.
 */
#ifndef JDB_ALLOC_AIO_H
#define JDB_ALLOC_AIO_H

#include "base.h"
#include "pin.h"
#include "raw.h"

#include <signal.h>
#include <time.h>

#include <libaio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_aio_op {
    struct iocb iocb;   /* to submit; iocb.data is the caller's */
    jdb_raw view;       /* result: a read's len is 0 from start to completion, then exactly the bytes read */
    size_t done_size;   /* result: bytes read or written */
    size_t asked_size;  /* private: bytes wanted, 0 = not started */
    uint32_t is_write;  /* private */
    uint32_t is_pinned; /* private */
    uint64_t reserved[4];
} jdb_aio_op;

#ifdef __cplusplus
#define JDB_AIO_OP_INIT \
    jdb_aio_op          \
    {                   \
    }
#else
#define JDB_AIO_OP_INIT ((jdb_aio_op){.asked_size = 0})
#endif

/* jdb_aio_of - the operation that an iocb (io_event.obj) is the first member of. Since 0.1. */
static inline jdb_aio_op *jdb_aio_of(struct iocb *iocb)
{
    return (jdb_aio_op *)(void *)iocb;
}

/* Private: what both directions share. Since 0.1. */
static inline int jdb__aio_start(jdb_aio_op *op, jdb_raw view, size_t size, int64_t offset, bool is_write)
{
    if (op == NULL || view.ptr == NULL || size == 0 || offset < 0)
        return -EINVAL;
    if (op->asked_size != 0)
        return -EBUSY;
    const int err = jdb_pin(view.ptr, size);
    if (err != 0 && err != -ENOTSUP)
        return err;
    op->view = view;
    op->done_size = 0;
    op->asked_size = size;
    op->is_write = is_write;
    op->is_pinned = err == 0;
    return 0;
}

/* jdb_aio_read - an iocb that reads into [view.ptr, view.ptr + view.cap). Every field of the iocb is set, data to NULL.
 *
 * Returns 0: pinned until jdb_aio_complete() or jdb_aio_release(); -EINVAL: NULL, an empty view, a negative offset, or
 * memory of this library that is not lent; -ERANGE: the view leaves its buffer; -EBUSY: op is started already.
 * Since 0.1. */
static inline int jdb_aio_read(jdb_aio_op *op, int fd, jdb_raw view, int64_t offset)
{
    const int err = jdb__aio_start(op, view, view.cap, offset, false);
    if (err != 0)
        return err;
    op->view.len = 0;
    io_prep_pread(&op->iocb, fd, view.ptr, view.cap, offset);
    return 0;
}

/* jdb_aio_write - an iocb that writes [view.ptr, view.ptr + view.len). Else as jdb_aio_read(). Since 0.1. */
static inline int jdb_aio_write(jdb_aio_op *op, int fd, jdb_raw view, int64_t offset)
{
    const int err = jdb__aio_start(op, view, view.len, offset, true);
    if (err != 0)
        return err;
    io_prep_pwrite(&op->iocb, fd, view.ptr, view.len, offset);
    return 0;
}

/* jdb_aio_release - unpin an operation that will never complete. Does nothing when it is not started. Since 0.1. */
static inline void jdb_aio_release(jdb_aio_op *op)
{
    if (op == NULL || op->asked_size == 0)
        return;
    if (op->is_pinned != 0)
        (void)jdb_unpin(op->view.ptr, op->asked_size);
    op->asked_size = 0;
}

/* jdb_aio_complete - turn an event into the view's length, and unpin.
 *
 * Returns 0: view.len (of a read) and done_size are exact, less than asked at the end of the file or when the kernel
 * stopped short (jdb_plan_read_step() of direct.h says which); the kernel's negative errno: nothing counts as read;
 * -EINVAL:
 * NULL or not started. Since 0.1. */
static inline int jdb_aio_complete(jdb_aio_op *op, const struct io_event *event)
{
    if (op == NULL || event == NULL || op->asked_size == 0)
        return -EINVAL;
    const long result = (long)event->res;
    op->done_size = result < 0 ? 0 : (size_t)result;
    if (op->is_write == 0)
        op->view.len = op->done_size;
    jdb_aio_release(op);
    return result < 0 ? (int)result : 0;
}

#ifdef __cplusplus
}
#endif

#endif
