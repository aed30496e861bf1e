/* SPDX-License-Identifier: MIT
 *
 * ranges.h - which bytes of SRC hold data, and the transfers they are cut into.
 *
 * Positions are those of DST: byte p of DST is byte p + source_offset of SRC. Ranges are in order, apart from each other,
 * and begin and end on multiples of `align`, but for the end of the copy. A transfer never crosses a multiple of the block
 * size, so the list of transfers is the same in every pass over the same ranges (C4).
 */
#ifndef DIO_RANGES_H
#define DIO_RANGES_H

#include "cp/side.h"

#include <stddef.h>

struct range {
    int64_t start;
    int64_t end;
};

struct ranges {
    struct range *items;
    size_t count;
    size_t room;
    int64_t total; /* bytes in all ranges */
};

/* Find the data of SRC in [source_offset, source_offset + length). keep_holes false, or a file system that does not
 * report holes: one range for all. align: a power of two. The caller frees with ranges_done(), on failure too. */
int ranges_find(struct ranges *ranges, struct outcome *outcome, const struct side *source, int64_t source_offset,
                int64_t length, int64_t align, bool keep_holes);

void ranges_done(struct ranges *ranges);

struct transfer {
    size_t number; /* 0, 1, 2 ... */
    int64_t start; /* in DST */
    int64_t size;
};

/* Where a pass stands; starts as {0}. */
struct transfer_cursor {
    size_t number;
    size_t range;
    int64_t position;
};

/* The next transfer of at most block_size bytes (a power of two). False at the end. */
bool transfer_next(struct transfer_cursor *cursor, const struct ranges *ranges, int64_t block_size,
                   struct transfer *ret_transfer);

/* How many transfers a pass has. */
size_t transfer_count(const struct ranges *ranges, int64_t block_size);

#endif
