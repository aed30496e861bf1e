/* SPDX-License-Identifier: MIT
 *
 * raw.h - RawIoBuf: a non-owning view of memory, three words copied by value into asynchronous I/O.
 *
 * Every I/O function of the library takes this view. The contract is the same for every adapter (io_uring, libaio,
 * libuv, pread):
 *
 *   to read INTO a view:  the file's bytes go to [ptr, ptr + cap); the adapter sets len to 0 when it prepares
 *                         the operation, and to the exact result when it completes, so no stale byte counts as data
 *   to write FROM a view: the bytes [ptr, ptr + len) go to the file
 *
 * Example: cut a view into pages and read one.
 *
 *     jdb_raw page;
 *     if (jdb_raw_slice(view, 3 * JDB_PAGE_SIZE, JDB_PAGE_SIZE, &page) == 0) {
 *         ssize_t n = pread(fd, page.ptr, page.cap, offset);
 *         if (n >= 0)
 *             jdb_raw_set_len(&page, (size_t)n);
 *     }
 *
 * Invariants: len <= cap; ptr is NULL only when cap is 0. Fields are read-only: functions set them.
 *
 * Life cycle: none. A view never frees memory and never keeps it alive; it must not be used after the buffer, frame
 * or array it was made from is gone. While the kernel may touch the memory, pin it (pin.h; adapters do so).
 *
 * const means the words, not the bytes: a view made from a const buffer may still be read into.
 * Thread safety: a view is a value; the memory behind it is the caller's to order.
 */
#ifndef JDB_ALLOC_RAW_H
#define JDB_ALLOC_RAW_H

#include "base.h"

#ifdef JDB_CHECKED
#include <stdlib.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_raw {
    uint8_t *ptr; /* first byte; NULL only when cap is 0 */
    size_t len;   /* bytes that are data, at most cap */
    size_t cap;   /* bytes that may be read into */
} jdb_raw;

/* The empty view. */
#ifdef __cplusplus
#define JDB_RAW_INIT \
    jdb_raw          \
    {                \
    }
#else
#define JDB_RAW_INIT ((jdb_raw){0})
#endif

/* ---- Create ----------------------------------------------------------------------------------------------- */

/* jdb_raw_new - a view to read into: len 0. ptr: any address; cap: bytes. Since 0.1. */
JDB_INLINE jdb_raw jdb_raw_new(void *ptr, size_t cap)
{
    jdb_raw raw;
    raw.ptr = (uint8_t *)ptr;
    raw.len = 0;
    raw.cap = cap;
    return raw;
}

/* jdb_raw_from_raw_parts - a view of its three words. len is cut to cap. Since 0.1. */
JDB_INLINE jdb_raw jdb_raw_from_raw_parts(void *ptr, size_t len, size_t cap)
{
    jdb_raw raw;
    raw.ptr = (uint8_t *)ptr;
    raw.len = len < cap ? len : cap;
    raw.cap = cap;
    return raw;
}

/* jdb_raw_from_slice - a view to write from: len = cap = size. Any address; jdb_raw_is_aligned() says whether
 * direct I/O can use it. Since 0.1. */
JDB_INLINE jdb_raw jdb_raw_from_slice(void *ptr, size_t size)
{
    jdb_raw raw;
    raw.ptr = (uint8_t *)ptr;
    raw.len = size;
    raw.cap = size;
    return raw;
}

/* jdb_raw_with_len - the same view with another len, cut to cap; chains by value. Since 0.1. */
JDB_INLINE jdb_raw jdb_raw_with_len(jdb_raw raw, size_t len)
{
    raw.len = len < raw.cap ? len : raw.cap;
    return raw;
}

/* ---- Slice ------------------------------------------------------------------------------------------------ */

/* jdb_raw_is_aligned - whether the address is a multiple of align (a power of two; 0 counts as 1). Since 0.1. */
JDB_INLINE bool jdb_raw_is_aligned(jdb_raw raw, size_t align)
{
    return align == 0 || ((uintptr_t)raw.ptr & (align - 1)) == 0;
}

/* jdb_raw_sub - a view to read into, of the bytes [offset, offset + len) of the capacity: len 0, cap = len.
 *
 * align: the resulting address must be a multiple of it; a power of two, 1 = any address.
 * Returns 0; -EINVAL: align is no power of two, or ret_raw is NULL; then -ERANGE: outside the capacity; then
 * -EINVAL: the address is not a multiple of align. *ret_raw is untouched on failure. Every build. Since 0.1. */
JDB_INLINE int jdb_raw_sub(jdb_raw raw, size_t offset, size_t len, size_t align, jdb_raw *ret_raw)
{
    if (ret_raw == NULL || align == 0 || (align & (align - 1)) != 0)
        return -EINVAL;
    if (offset > raw.cap || len > raw.cap - offset)
        return -ERANGE;
    if ((((uintptr_t)raw.ptr + offset) & (align - 1)) != 0)
        return -EINVAL;
    *ret_raw = jdb_raw_new(raw.ptr == NULL ? NULL : raw.ptr + offset, len);
    return 0;
}

/* jdb_raw_slice - a view to read into: len 0, cap = len. As jdb_raw_sub() with align 4096: bounds first
 * (-ERANGE), then the address must be a multiple of 4096 (-EINVAL). Since 0.1. */
JDB_INLINE int jdb_raw_slice(jdb_raw raw, size_t offset, size_t len, jdb_raw *ret_raw)
{
    return jdb_raw_sub(raw, offset, len, JDB_ALIGNMENT, ret_raw);
}

/* jdb_raw_slice_data - a view to write from: len = cap = len. Errors as jdb_raw_slice(). Since 0.1. */
JDB_INLINE int jdb_raw_slice_data(jdb_raw raw, size_t offset, size_t len, jdb_raw *ret_raw)
{
    const int err = jdb_raw_sub(raw, offset, len, JDB_ALIGNMENT, ret_raw);
    if (err == 0)
        ret_raw->len = len;
    return err;
}

/* jdb_raw_slice_unchecked - as jdb_raw_slice() without any check: the caller has made sure that
 * offset + len <= cap and that the address is aligned. Code compiled with -DJDB_CHECKED aborts when that does not hold.
 * Since 0.1. */
JDB_INLINE jdb_raw jdb_raw_slice_unchecked(jdb_raw raw, size_t offset, size_t len)
{
#ifdef JDB_CHECKED
    if (offset > raw.cap || len > raw.cap - offset || !jdb_raw_is_aligned(raw, JDB_ALIGNMENT) ||
        offset % JDB_ALIGNMENT != 0)
        abort();
#endif
    return jdb_raw_new(raw.ptr + offset, len);
}

/* ---- Read and set ----------------------------------------------------------------------------------------- */

/* jdb_raw_len, jdb_raw_cap, jdb_raw_is_empty, jdb_raw_as_ptr, jdb_raw_as_mut_ptr - the words of the view, for
 * bindings of other languages; C reads the fields. Empty means len 0. Since 0.1. */
JDB_INLINE size_t jdb_raw_len(jdb_raw raw)
{
    return raw.len;
}

JDB_INLINE size_t jdb_raw_cap(jdb_raw raw)
{
    return raw.cap;
}

JDB_INLINE bool jdb_raw_is_empty(jdb_raw raw)
{
    return raw.len == 0;
}

JDB_INLINE const uint8_t *jdb_raw_as_ptr(jdb_raw raw)
{
    return raw.ptr;
}

JDB_INLINE uint8_t *jdb_raw_as_mut_ptr(jdb_raw raw)
{
    return raw.ptr;
}

/* jdb_raw_set_len - the bytes that are data, exactly. Returns 0; -ENOBUFS: over capacity, nothing changed;
 * -EINVAL: raw is NULL. Since 0.1. */
JDB_INLINE int jdb_raw_set_len(jdb_raw *raw, size_t len)
{
    if (raw == NULL)
        return -EINVAL;
    if (len > raw->cap)
        return -ENOBUFS;
    raw->len = len;
    return 0;
}

/* jdb_raw_set_init - the first `initialised` bytes are data now: monotone, a smaller number than len changes
 * nothing. Returns 0; -ENOBUFS: over capacity, nothing changed; -EINVAL: raw is NULL. Since 0.1. */
JDB_INLINE int jdb_raw_set_init(jdb_raw *raw, size_t initialised)
{
    if (raw == NULL)
        return -EINVAL;
    if (initialised > raw->cap)
        return -ENOBUFS;
    if (initialised > raw->len)
        raw->len = initialised;
    return 0;
}

/* jdb_raw_format - the view as text, as snprintf does: "RawIoBuf { ptr: 0x7f01c2a53000, len: 5, cap: 4096 }".
 *
 * text: room for text_size bytes, NUL included; may be NULL when text_size is 0.
 * Returns the length that the whole text has (cut when it is text_size or more); -EINVAL: raw is NULL.
 * Any thread. Since 0.1. */
JDB_API int jdb_raw_format(const jdb_raw *raw, char *text, size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
