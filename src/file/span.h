/* SPDX-License-Identifier: MIT
 *
 * span.h - which bytes of which file this process is writing, so that no other thread writes a block while it is read, modified
 * and written.
 *
 * A write takes the span of its blocks, writes, and gives the span back. A file is known by device and inode, so that it does not
 * matter through which jdb_file it is written. Overlapping spans of a file are granted in the order in which they were
 * requested. A thread holds at most one span, so spans cannot deadlock. A child of fork() begins without spans: the threads
 * that held them do not exist there.
 */
#ifndef JDB_FILE_SPAN_H
#define JDB_FILE_SPAN_H

#include <stdint.h>

/* On the caller's stack from take to give. */
struct jdb__file_span {
    uint64_t device;
    uint64_t inode;
    uint64_t start; /* bytes [start, end) */
    uint64_t end;
    struct jdb__file_span *next; /* the span of the list that was requested next */
    uint32_t is_granted;         /* the word that the waiting thread sleeps on */
};

/* Wait until no earlier span of the file overlaps. The first four fields are filled. */
void jdb__file_span_take(struct jdb__file_span *span);
void jdb__file_span_give(struct jdb__file_span *span);

#endif
