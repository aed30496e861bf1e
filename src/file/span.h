/* SPDX-License-Identifier: MIT
 *
 * file_span.h - which bytes of which file are being written by this process, so that a block that is read, modified and
 * written is not written by another thread in between. Floor 4.
 *
 * A write takes the span of its blocks, writes, and gives the span back. Spans of one file (device and inode, so that it
 * does not matter through which jdb_file) that overlap are granted in the order in which they were asked for; a thread
 * holds at most one, so that they cannot deadlock. A child of fork() begins without spans: the threads that held them are
 * not there.
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
    struct jdb__file_span *next; /* that was asked for later */
    uint32_t is_granted;         /* the word that the waiting thread sleeps on */
};

/* Wait until no earlier span of the file overlaps. The first four fields are filled. */
void jdb__file_span_take(struct jdb__file_span *span);
void jdb__file_span_give(struct jdb__file_span *span);

#endif
