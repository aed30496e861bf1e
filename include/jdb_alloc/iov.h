/* SPDX-License-Identifier: MIT
 *
 * iov.h - adapter to the calls of POSIX: views as iovec for readv, writev, preadv2 and pwritev2. Header only.
 *
 * Example: two pages of a file, not next to each other in memory, in one call.
 *
 *     jdb_raw views[2] = {first, second};
 *     struct iovec iovs[2];
 *     ssize_t n = jdb_iov_read(fd, views, 2, iovs, offset, 0);
 *     if (n >= 0)
 *         use(views[0].ptr, views[0].len), use(views[1].ptr, views[1].len);    // exact, whatever n is
 *
 * Or step by step, for a call that is not here: jdb_iov_pin(), jdb_iov_fill(), the call, jdb_iov_share_out(),
 * jdb_iov_unpin().
 *
 * The contract of every adapter (raw.h): a read sets the len of each view to 0 first and to its part of the result at
 * the end; a write takes len bytes of each. The memory is pinned (pin.h) during the call, so another thread's drop
 * frees it behind it; memory that is not this library's is the caller's to keep.
 *
 * Thread safety: no state; views belong to the caller.
 */
#ifndef JDB_ALLOC_IOV_H
#define JDB_ALLOC_IOV_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include: syscall(2) is a GNU extension"
#endif

#include "base.h"
#include "pin.h"
#include "raw.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The two directions. */
#define JDB_IOV_READ false
#define JDB_IOV_WRITE true

/* jdb_iov_bytes - bytes of a view that take part: cap of one to read into, len of one to write from. Since 0.1. */
static inline size_t jdb_iov_bytes(jdb_raw view, bool is_write)
{
    return is_write ? view.len : view.cap;
}

/* jdb_iov_sum - bytes of all views together.
 *
 * Returns 0 and *ret_size; -EINVAL: NULL, no views, or a view without bytes; -EOVERFLOW: more than PTRDIFF_MAX.
 * Since 0.1. */
static inline int jdb_iov_sum(const jdb_raw *views, size_t view_count, bool is_write, size_t *ret_size)
{
    size_t sum = 0;
    if (views == NULL || view_count == 0 || ret_size == NULL)
        return -EINVAL;
    for (size_t i = 0; i < view_count; i++) {
        const size_t size = jdb_iov_bytes(views[i], is_write);
        if (views[i].ptr == NULL || size == 0)
            return -EINVAL;
        if (size > (size_t)PTRDIFF_MAX - sum)
            return -EOVERFLOW;
        sum += size;
    }
    *ret_size = sum;
    return 0;
}

/* jdb_iov_unpin - the end of jdb_iov_pin(); len of views written from must be as it was then. Memory that is not this
 * library's was not pinned and is passed over. Since 0.1. */
static inline void jdb_iov_unpin(const jdb_raw *views, size_t view_count, bool is_write)
{
    for (size_t i = 0; i < view_count; i++)
        (void)jdb_unpin(views[i].ptr, jdb_iov_bytes(views[i], is_write));
}

/* jdb_iov_pin - pin every view. Returns 0; the errors of jdb_pin() but -ENOTSUP, with nothing pinned. Since 0.1. */
static inline int jdb_iov_pin(const jdb_raw *views, size_t view_count, bool is_write)
{
    for (size_t i = 0; i < view_count; i++) {
        const int err = jdb_pin(views[i].ptr, jdb_iov_bytes(views[i], is_write));
        if (err != 0 && err != -ENOTSUP) {
            jdb_iov_unpin(views, i, is_write);
            return err;
        }
    }
    return 0;
}

/* jdb_iov_fill - what is left of the views behind their first `skip` bytes, as iovecs.
 *
 * iovs: room for view_count. Returns how many were filled. Since 0.1. */
static inline size_t jdb_iov_fill(const jdb_raw *views, size_t view_count, bool is_write, size_t skip,
                                  struct iovec *iovs)
{
    size_t count = 0;
    for (size_t i = 0; i < view_count; i++) {
        const size_t size = jdb_iov_bytes(views[i], is_write);
        if (skip < size) {
            iovs[count].iov_base = views[i].ptr + skip;
            iovs[count].iov_len = size - skip;
            count++;
        }
        skip -= skip < size ? skip : size;
    }
    return count;
}

/* jdb_iov_share_out - give each view its part of `size` bytes that were read into them in order. Since 0.1. */
static inline void jdb_iov_share_out(jdb_raw *views, size_t view_count, size_t size)
{
    for (size_t i = 0; i < view_count; i++) {
        views[i].len = size < views[i].cap ? size : views[i].cap;
        size -= views[i].len;
    }
}

/* jdb_iov_read - preadv2(2) into views: [offset, ...) of the file to the first, then the second and so on.
 *
 * iovs: scratch room for view_count (1,024 at most). offset: bytes, 0 or more, else -EINVAL. flags: RWF_x. Short
 * results are passed on, not resumed.
 * Returns the bytes read, 0 at the end of the file, and each view's len is exact; -EINVAL, -EOVERFLOW as jdb_iov_sum();
 * -ERANGE: a view leaves its buffer; else the kernel's negative errno, and every len is 0. Since 0.1. */
static inline ssize_t jdb_iov_read(int fd, jdb_raw *views, size_t view_count, struct iovec *iovs, int64_t offset,
                                   int flags)
{
    size_t size = 0;
    int err = iovs == NULL || offset < 0 ? -EINVAL : jdb_iov_sum(views, view_count, JDB_IOV_READ, &size);
    if (err == 0)
        err = jdb_iov_pin(views, view_count, JDB_IOV_READ);
    if (err != 0)
        return err;
    jdb_iov_share_out(views, view_count, 0);
    const size_t count = jdb_iov_fill(views, view_count, JDB_IOV_READ, 0, iovs);
    /* By system call, since musl has the wrapper only from 1.2.5 on. On 64 bits the offset fills the first of two
     * words. */
    const ssize_t got = syscall(SYS_preadv2, fd, iovs, (long)count, (long)offset, 0L, (long)flags);
    const ssize_t result = got < 0 ? -errno : got;
    jdb_iov_share_out(views, view_count, got < 0 ? 0 : (size_t)got);
    jdb_iov_unpin(views, view_count, JDB_IOV_READ);
    return result;
}

/* jdb_iov_write - pwritev2(2) from views. Returns the bytes written; errors as jdb_iov_read(). Since 0.1. */
static inline ssize_t jdb_iov_write(int fd, const jdb_raw *views, size_t view_count, struct iovec *iovs, int64_t offset,
                                    int flags)
{
    size_t size = 0;
    int err = iovs == NULL || offset < 0 ? -EINVAL : jdb_iov_sum(views, view_count, JDB_IOV_WRITE, &size);
    if (err == 0)
        err = jdb_iov_pin(views, view_count, JDB_IOV_WRITE);
    if (err != 0)
        return err;
    const size_t count = jdb_iov_fill(views, view_count, JDB_IOV_WRITE, 0, iovs);
    const ssize_t got = syscall(SYS_pwritev2, fd, iovs, (long)count, (long)offset, 0L, (long)flags);
    const ssize_t result = got < 0 ? -errno : got;
    jdb_iov_unpin(views, view_count, JDB_IOV_WRITE);
    return result;
}

#ifdef __cplusplus
}
#endif

#endif
