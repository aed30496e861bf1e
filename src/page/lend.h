/* SPDX-License-Identifier: MIT
 *
 * lend.h - lends runs of 4 KiB pages through caches and heap, takes them back, grows and shrinks them.
 *
 * Sizes are bytes and multiples of 4096 in [4096, PTRDIFF_MAX]; errors as in base.h. view/buf.c does the usual case
 * itself, by thread_cache.h; these functions do all the rest. Any thread; no lock is held when a callback of the user's
 * is called.
 */
#ifndef JDB_LEND_H
#define JDB_LEND_H

#include "page/zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lend a run of size bytes whose address is a multiple of align (a power of two, 4096 or more); zeroed: every byte
 * reads as zero. -ENOMEM. */
int jdb__pages_lend(size_t size, size_t align, bool zeroed, uint8_t **ret_ptr);

/* Lend a run of size bytes with max bytes of address space reserved for it. -ENOMEM. */
int jdb__pages_lend_max(size_t size, size_t max, uint8_t **ret_ptr);

/* Take a run back; deferred while it is pinned. Aborts when (ptr, size) is not exactly a lent run. */
void jdb__pages_take_back(uint8_t *ptr, size_t size);

/* A run that nobody owns any more, all its pins gone, goes to the caches or the heap. run->page_count: that of its
 * word, now. */
void jdb__pages_release(const struct run *run);

/* Whether (ptr, size) is exactly a lent run. */
bool jdb__pages_is_lent(const uint8_t *ptr, size_t size);

/* Grow the run (ptr, size) holding data_size bytes of data to at least `least` bytes, better `best` bytes; *ret_ptr and
 * *ret_size are its new place. -EBUSY, -ENOBUFS, -ENOMEM: nothing changed. */
int jdb__pages_grow(uint8_t *ptr, size_t size, size_t data_size, size_t least, size_t best, uint8_t **ret_ptr,
                    size_t *ret_size);

/* Cut the run to new_size bytes. -EBUSY: pinned, nothing changed. */
int jdb__pages_shrink(uint8_t *ptr, size_t size, size_t new_size);

/* Bytes moved so far by growth: by page tables, and by copying. */
struct lend_stats {
    uint64_t moved_bytes;
    uint64_t copied_bytes;
};

struct lend_stats jdb__pages_stats(void);

#endif
