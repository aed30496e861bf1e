/* SPDX-License-Identifier: MIT
 *
 * record.h - what a part file is a copy of: which source (file system, inode, size, mtime) and which range of it.
 *
 * The record stands behind the data of the part file, padded to RECORD_ROOM bytes, and is the last thing in it; so a later copy
 * finds it without knowing the length. target_finish() cuts it off. One machine reads and writes it, in its own byte order.
 */
#ifndef DIO_RECORD_H
#define DIO_RECORD_H

#include "cp/side.h"

#define RECORD_ROOM ((int64_t)4096)

struct record {
    char magic[16];
    uint64_t place; /* the identity of the file system, or the number of a device */
    uint64_t inode; /* 0 of a device: that of its node says nothing */
    int64_t size;
    int64_t modified_ns;
    int64_t offset;
    int64_t length;
    uint64_t check; /* XXH3 of all above */
};

/* The record of a copy of [source_offset, source_offset + length) of source. */
struct record record_make(const struct side *source, int64_t source_offset, int64_t length);

/* Where it stands in a part file of that length: behind the last write, which is padded to write_align. */
int64_t record_offset(int64_t length, int64_t write_align);

/* Write it to its place, and end the file behind it. Returns 0 or -errno. */
int record_write(const struct record *record, int fd, int64_t offset);

/* Read the record at the end of a file of file_size bytes. False: there is none, or it is spoilt. */
bool record_read(struct record *record, int fd, int64_t file_size);

bool record_is_same(const struct record *a, const struct record *b);

#endif
