/* SPDX-License-Identifier: MIT
 *
 * pin.h - pins: the kernel may access this memory.
 *
 * Every adapter pins from the preparation of an operation to its completion. While memory is pinned it cannot be put
 * back into a pool, shrunk, grown by moving, or decommitted: those calls return -EBUSY and change nothing.
 * Freeing a pinned buffer is legal: the buffer becomes empty at once, and the last unpin frees its memory.
 *
 *     if (jdb_pin(view.ptr, view.cap) == 0) {
 *         submit(view);                       // the kernel reads or writes
 *         ...
 *         jdb_unpin(view.ptr, view.cap);      // on completion, cancelled or not
 *     }
 *
 * Pins count: each jdb_pin() needs one jdb_unpin() with the same range. A pin covers the whole run or frame
 * that the range lies in. Memory of a jdb_buf is pinned as one run; memory of an arena frame by frame.
 *
 * Fork: a child inherits the pins of a jdb_buf with its copy of the memory, and ends them itself. Pins of an arena stay
 * with the parent: in the child no frame is pinned (-EINVAL), or the arena does not exist (-EPERM).
 *
 * Memory that is not this library's (a stack array, malloc) gives -ENOTSUP: nothing guards it, and the
 * caller has to keep it valid during the I/O.
 */
#ifndef JDB_ALLOC_PIN_H
#define JDB_ALLOC_PIN_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* jdb_pin - the kernel may access [ptr, ptr + size) from now on.
 *
 * Returns 0; -ENOTSUP: not memory of this library; -ERANGE: the range leaves its buffer or frames; -EINVAL: NULL or
 * size 0, or memory of a jdb_buf that is not lent at present (a frame may be pinned whether or not a pool lends it);
 * -EBUSY: 33 million pins at once (of a buffer 67 million), or an arena frame is being decommitted at this moment;
 * -EPERM: child of fork(), arena memory that stayed with the parent. Nothing changed then. Ownership does not
 * change. Any thread; the caller makes sure that nobody frees the buffer during the call itself. Since 0.1. */
JDB_API int jdb_pin(const void *ptr, size_t size);

/* jdb_unpin - the kernel is done with [ptr, ptr + size). The last unpin of memory that was freed meanwhile gives it
 * back.
 *
 * Returns 0; -ENOTSUP, -ERANGE, -EINVAL, -EPERM as jdb_pin(); -EINVAL also when the memory is not pinned.
 * Any thread, not only the one that pinned. Since 0.1. */
JDB_API int jdb_unpin(const void *ptr, size_t size);

/* Where a pin is kept: 40 bytes of the caller's, filled by jdb_pin_marked(), private. */
typedef struct jdb_pin_mark {
    const void *ptr;
    size_t size;
    void *count;
    uint32_t kind;
    uint32_t reserved32;
    uint64_t reserved;
} jdb_pin_mark;

/* jdb_pin_marked - jdb_pin() that notes where the pin is kept, so that jdb_unpin_marked() need not search for it:
 * for adapters, where it halves the cost of a pair. Returns as jdb_pin(), and *ret_mark is untouched on failure.
 * Since 0.1. */
JDB_API int jdb_pin_marked(const void *ptr, size_t size, jdb_pin_mark *ret_mark);

/* jdb_unpin_marked - jdb_unpin() of a marked pin, once for each jdb_pin_marked(). Returns as jdb_unpin(). Since 0.1. */
JDB_API int jdb_unpin_marked(const jdb_pin_mark *mark);

/* jdb_is_pinned - whether the run or a frame under [ptr, ptr + size) is pinned at this moment. False for memory
 * that is not the library's. Any thread; the answer may be old when it arrives. Since 0.1. */
JDB_API bool jdb_is_pinned(const void *ptr, size_t size);

#ifdef __cplusplus
}
#endif

#endif
