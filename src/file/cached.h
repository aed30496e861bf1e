/* SPDX-License-Identifier: MIT
 *
 * cached.h - what a direct file leaves in the page cache: the pages that ends of writes went through. They are evicted when they
 * are clean: those of one write by the next, all of them by every 16th write and after a sync.
 *
 * RWF_DONTCACHE is not enough: the kernel evicts a page behind its writeback where it was new to the page cache and nobody looked at
 * it meanwhile, and a block of which a part is new was read, or is written again, before (seen on Linux 6.18, ext4).
 */
#ifndef JDB_FILE_CACHED_H
#define JDB_FILE_CACHED_H

#include "jdb_alloc/file.h"

#include <stdint.h>

/* Bytes [start, end) of whole pages; start >= end: none. */
struct jdb__file_pages {
    uint64_t start;
    uint64_t end;
};

/* Under the lock of the gate of the file (sync.h). */
struct jdb__file_cached {
    struct jdb__file_pages last; /* of the last write */
    struct jdb__file_pages all;  /* since the last sync, and what lies between */
    uint32_t count;              /* of writes */
};

/* [offset, offset + size) is written through the page cache, or will be. */
void jdb__file_cached_note(jdb_file *file, int64_t offset, uint64_t size);

/* The same, now; start its writeback, and evict what the write before left clean. */
void jdb__file_cached_add(jdb_file *file, int64_t offset, uint64_t size);

/* All that was noted, which is forgotten. Evict it when it is clean. */
struct jdb__file_pages jdb__file_cached_take(jdb_file *file);
void jdb__file_cached_evict(const jdb_file *file, struct jdb__file_pages pages);

#endif
