/* SPDX-License-Identifier: MIT
 *
 * held.h - writes of a file that follow each other, held in aligned memory to be written as one.
 */
#ifndef SQLITE_HELD_H
#define SQLITE_HELD_H

#include <jdb_alloc.h>

struct held {
    jdb_buf memory; /* allocated by the first write */
    int64_t offset; /* of the bytes in memory */
    size_t size;    /* of them; 0: none */
};

/* Whether the bytes were taken: not if they do not continue those that are held, do not fit behind them, or memory is out. */
bool held_add(struct held *held, const void *bytes, size_t size, int64_t offset);

bool held_overlaps(const struct held *held, size_t size, int64_t offset);

/* Whether all of the bytes are held, and were copied. */
bool held_read(const struct held *held, void *bytes, size_t size, int64_t offset);

/* What is held at and behind the offset is given up. */
void held_cut(struct held *held, int64_t offset);

void held_free(struct held *held);

#endif
