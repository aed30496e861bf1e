/* SPDX-License-Identifier: MIT
 *
 * buf.h - AlignedBuf: an owning buffer of whole pages, aligned for direct I/O.
 *
 * Example: a page read with O_DIRECT.
 *
 *     jdb_buf buf;
 *     int err = jdb_buf_with_cap(&buf, 4096);
 *     if (err != 0)
 *         return err;                                   // buf is empty, and jdb_buf_drop() accepts it
 *     ssize_t n = pread(fd, buf.ptr, buf.cap, 0);
 *     if (n >= 0)
 *         jdb_buf_set_len(&buf, (size_t)n);
 *     jdb_buf_drop(&buf);
 *
 * Invariants (between calls):
 *   - the empty buffer is {NULL, 0, 0} = JDB_BUF_INIT; every other has ptr != NULL and cap > 0
 *   - ptr is a multiple of 4096 (of align, when asked for), cap is a multiple of 4096, len <= cap
 *   - [ptr, ptr + cap) belongs to this buffer alone; no header stands in or before it
 *   - only jdb_buf_reserve() changes ptr; jdb_buf_extend() never moves
 *   - fields are read-only for the caller: a changed ptr or cap makes jdb_buf_drop() abort
 *
 * Life cycle: a constructor (with_cap, with_cap_aligned, with_max, zeroed, page, try_clone, from_raw_parts) takes the
 * object first, returns 0 and the caller owns the buffer; or returns an error and leaves the object empty. The object's
 * old content is overwritten, not freed. jdb_buf_drop() frees the memory, on any thread; it accepts NULL and the empty
 * buffer and leaves the empty buffer. A jdb_buf may be moved by assignment when the source is not used again; only one
 * of two copies may be freed. Freeing the other one is detected and aborts as long as the memory has not been lent
 * again; after that, only the checked build detects it.
 *
 * Thread safety: a buffer is used by one thread at a time; distinct buffers by any threads at once. Any thread may
 * free what another allocated. After fork() both processes own their copy.
 *
 * Memory comes from mmap only (pages.h says how it is kept, counted and limited).
 */
#ifndef JDB_ALLOC_BUF_H
#define JDB_ALLOC_BUF_H

#include "base.h"
#include "raw.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_buf {
    uint8_t *ptr; /* first byte, a multiple of 4096; NULL when empty */
    size_t len;   /* bytes that are data, at most cap */
    size_t cap;   /* bytes owned, a multiple of 4096 */
} jdb_buf;

/* The empty buffer. */
#ifdef __cplusplus
#define JDB_BUF_INIT \
    jdb_buf          \
    {                \
    }
#else
#define JDB_BUF_INIT ((jdb_buf){0})
#endif

/* A page for static and stack use: aligned for direct I/O, owned by its scope. jdb_raw_new(page.bytes,
 * sizeof page.bytes) is its view. */
typedef struct jdb_page {
#ifdef __cplusplus
    alignas(4096) uint8_t bytes[4096];
#else
    _Alignas(4096) uint8_t bytes[4096];
#endif
} jdb_page;

/* ---- Allocate and free ------------------------------------------------------------------------------------ */

/* jdb_buf_with_cap - a buffer of at least cap bytes, len 0.
 *
 * cap: bytes, rounded up to a multiple of 4096, at least one page. The content is not initialised.
 * Returns 0; -EINVAL: buf is NULL; -EOVERFLOW: cap exceeds PTRDIFF_MAX when rounded; -ENOMEM. Left empty on failure.
 * The caller owns the buffer on success. Any thread. Since 0.1. */
JDB_API int jdb_buf_with_cap(jdb_buf *buf, size_t cap);

/* jdb_buf_with_cap_aligned - as jdb_buf_with_cap(), address and capacity multiples of align bytes.
 *
 * align: a power of two, 4096 or more, else -EINVAL: blocks of 16 KiB, 64 KiB, 2 MiB exist. Since 0.1. */
JDB_API int jdb_buf_with_cap_aligned(jdb_buf *buf, size_t cap, size_t align);

/* jdb_buf_with_max - as jdb_buf_with_cap(), with an address range of max bytes reserved.
 *
 * Up to max, jdb_buf_reserve() grows it in place: ptr never changes, nothing is copied. A reserved range costs
 * address space, not memory. Past max, jdb_buf_reserve() returns -ENOBUFS.
 * max: bytes, rounded up to a multiple of 4096, or of the system's pages where those are larger; less than cap:
 * -EINVAL. Since 0.1. */
JDB_API int jdb_buf_with_max(jdb_buf *buf, size_t cap, size_t max);

/* jdb_buf_zeroed - a buffer with len = size; every byte up to cap is zero.
 *
 * Lazy: fresh memory is known to be zero and is not touched, so 1 GiB costs microseconds and no resident memory.
 * Errors and ownership as jdb_buf_with_cap(). Since 0.1. */
JDB_API int jdb_buf_zeroed(jdb_buf *buf, size_t size);

/* jdb_buf_page - one zeroed page: len = cap = 4096. Errors and ownership as jdb_buf_with_cap(). Since 0.1. */
JDB_API int jdb_buf_page(jdb_buf *buf);

/* jdb_buf_try_clone - a new buffer with src's len and cap and a copy of its len bytes.
 *
 * Bytes past len are not initialised. src is not changed and stays the caller's. src == dst: -EINVAL, unchanged.
 * An empty src gives an empty dst. Errors as jdb_buf_with_cap(), dst left empty. Since 0.1. */
JDB_API int jdb_buf_try_clone(const jdb_buf *src, jdb_buf *dst);

/* jdb_buf_drop - free the memory; the buffer becomes empty.
 *
 * Accepts NULL and the empty buffer. Memory that is pinned (pin.h) is freed by its last unpin. Aborts with one line on
 * stderr when the words are not a buffer that is lent at present (a copy of one that was freed, a changed ptr or cap).
 * Any thread. Since 0.1. */
JDB_API void jdb_buf_drop(jdb_buf *buf);

/* JDB_AUTO_BUF - declare a buffer that is freed when its scope ends (GCC and Clang):
 *     JDB_AUTO_BUF buf = JDB_BUF_INIT;
 * Since 0.1. */
#if defined(__GNUC__) || defined(__clang__)
#define JDB_AUTO_BUF __attribute__((cleanup(jdb_buf_drop))) jdb_buf
#endif

/* jdb_buf_into_raw_parts - hand the memory to the caller; the buffer becomes empty.
 *
 * ptr, len, cap: outputs; each may be NULL when not wanted (keep ptr and cap: they are needed to give the memory back
 * through jdb_buf_from_raw_parts()). Since 0.1. */
JDB_API void jdb_buf_into_raw_parts(jdb_buf *buf, uint8_t **ptr, size_t *len, size_t *cap);

/* jdb_buf_from_raw_parts - take memory back that jdb_buf_into_raw_parts() handed out.
 *
 * Returns 0 and the buffer owns the memory; -EINVAL unless (ptr, cap) is exactly a run that this library has lent, or
 * when len > cap; left empty then, and the caller keeps the memory. (NULL, 0, 0) gives the empty buffer.
 * Since 0.1. */
JDB_API int jdb_buf_from_raw_parts(jdb_buf *buf, uint8_t *ptr, size_t len, size_t cap);

/* ---- View ------------------------------------------------------------------------------------------------- */

/* jdb_buf_as_raw - a view of the whole buffer, with its len and cap, to read into or to write from. The buffer keeps
 * the memory: the view must not outlive it. NULL gives the empty view. Since 0.1. */
JDB_API jdb_raw jdb_buf_as_raw(jdb_buf *buf);

/* jdb_buf_as_raw_view - the same view of a const buffer. The two differ in the type of their argument alone: const
 * protects the words of the buffer, not its bytes. Since 0.1. */
JDB_API jdb_raw jdb_buf_as_raw_view(const jdb_buf *buf);

/* Walks the frames that a buffer is cut into; caller-owned, on the stack, no clean-up. Its fields are private. */
typedef struct jdb_raw_iter {
    uint8_t *next;
    size_t left;  /* bytes from next to the end of the buffer */
    size_t chunk; /* bytes of a frame */
    uint64_t reserved[3];
} jdb_raw_iter;

/* jdb_buf_slice_into_raws - start to cut the capacity into frames of chunk bytes.
 *
 * Returns 0; -EINVAL: chunk is not a positive multiple of 4096, or NULL; *ret_iter is untouched then. The buffer keeps
 * the memory. Since 0.1. */
JDB_API int jdb_buf_slice_into_raws(const jdb_buf *buf, size_t chunk, jdb_raw_iter *ret_iter);

/* jdb_raw_iter_next - the next frame, len 0, cap = chunk. False at the end, *ret_frame untouched. Since 0.1. */
JDB_API bool jdb_raw_iter_next(jdb_raw_iter *iter, jdb_raw *ret_frame);

/* jdb_raw_iter_rest - the part that no frame has taken yet, len 0; after the last frame, the remainder shorter than a
 * chunk (the empty view when there is none). Since 0.1. */
JDB_API jdb_raw jdb_raw_iter_rest(const jdb_raw_iter *iter);

/* ---- Content ---------------------------------------------------------------------------------------------- */

/* jdb_buf_extend - append size bytes of data. Never moves the buffer; overlap with itself works as memmove would.
 *
 * Returns 0; -ENOBUFS: over capacity, nothing changed; -EINVAL: buf is NULL, or data is NULL with size > 0.
 * data stays the caller's. Since 0.1. */
JDB_API int jdb_buf_extend(jdb_buf *buf, const void *data, size_t size);

/* jdb_buf_set_len - the bytes that are data, exactly. Returns 0; -ENOBUFS: over capacity, nothing changed; -EINVAL:
 * buf is NULL. Bytes that were not written before are not initialised. Since 0.1. */
JDB_API int jdb_buf_set_len(jdb_buf *buf, size_t len);

/* jdb_buf_set_init - the first `initialised` bytes are data now: monotone. Errors as jdb_buf_set_len(). Since 0.1. */
JDB_API int jdb_buf_set_init(jdb_buf *buf, size_t initialised);

/* jdb_buf_truncate - len = min(len, new_len). jdb_buf_clear - len = 0. NULL is accepted. Since 0.1. */
JDB_API void jdb_buf_truncate(jdb_buf *buf, size_t new_len);
JDB_API void jdb_buf_clear(jdb_buf *buf);

/* jdb_buf_pad_to - append zero bytes until len is a multiple of align, as a direct write needs it.
 *
 * align: bytes, a power of two, 1 or more, else -EINVAL. Returns 0; -ENOBUFS: no room, nothing changed. Since 0.1. */
JDB_API int jdb_buf_pad_to(jdb_buf *buf, size_t align);

/* jdb_buf_refit_tail - after a write: keep only what has to be written again, at the front.
 *
 * data_len: bytes of real data (before padding), at most len, else -ENOBUFS. align: a power of two, else -EINVAL.
 * Moves the bytes [data_len rounded down to align, data_len) to the front and sets len to their count, which may be 0.
 * Their file offset is the old offset + the rounded-down part: the next write starts there, so a log
 * goes on in the block it stopped in. *ret_kept (may be NULL) gets the number of bytes kept. Since 0.1. */
JDB_API int jdb_buf_refit_tail(jdb_buf *buf, size_t data_len, size_t align, size_t *ret_kept);

/* ---- Grow and shrink -------------------------------------------------------------------------------------- */

/* jdb_buf_reserve - make room for additional bytes after len: afterwards cap - len >= additional.
 *
 * Grows at least by half (less where memory is short or the buffer pinned) so that appending is linear; in place where
 * the addresses behind are free or reserved (jdb_buf_with_max), else the buffer moves and ptr changes: below 128 KiB by
 * copying its len bytes, above by moving page tables, with copying as the fallback. New bytes are not initialised.
 * What address and capacity are multiples of (an alignment asked for at creation), up to 2 MiB, is kept when the buffer
 * moves: by the address always, by cap where memory is not short. A buffer with a maximum grows by what is asked for.
 * Works on the empty buffer.
 * Returns 0; -EBUSY: pinned and would have to move, limit or not; -ENOBUFS: past the max of jdb_buf_with_max();
 * -EOVERFLOW; -ENOMEM; -EINVAL: NULL. Nothing changed on failure. Since 0.1. */
JDB_API int jdb_buf_reserve(jdb_buf *buf, size_t additional);

/* jdb_buf_shrink - give back the whole pages past len (one page stays). ptr does not change.
 *
 * Returns 0; -EBUSY: pinned; -ENOMEM: the system refused to split a mapping; -EINVAL: NULL. Nothing changed on
 * failure. A buffer with a maximum keeps its address range. Since 0.1. */
JDB_API int jdb_buf_shrink(jdb_buf *buf);

/* ---- Read ------------------------------------------------------------------------------------------------- */

/* jdb_buf_len, jdb_buf_cap, jdb_buf_is_empty, jdb_buf_as_ptr, jdb_buf_as_mut_ptr - the words of the buffer, for
 * bindings of other languages; C reads the fields. Empty means len 0. The pointer is NULL for the empty buffer and
 * stays the buffer's; NULL counts as the empty buffer. Since 0.1. */
JDB_API size_t jdb_buf_len(const jdb_buf *buf);
JDB_API size_t jdb_buf_cap(const jdb_buf *buf);
JDB_API bool jdb_buf_is_empty(const jdb_buf *buf);
JDB_API const uint8_t *jdb_buf_as_ptr(const jdb_buf *buf);
JDB_API uint8_t *jdb_buf_as_mut_ptr(jdb_buf *buf);

/* jdb_buf_format - the buffer as text, as snprintf does: "AlignedBuf { len: 5, cap: 4096 }".
 *
 * text: room for text_size bytes, NUL included; may be NULL when text_size is 0.
 * Returns the length that the whole text has (cut when it is text_size or more); -EINVAL: buf is NULL. Since 0.1. */
JDB_API int jdb_buf_format(const jdb_buf *buf, char *text, size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
