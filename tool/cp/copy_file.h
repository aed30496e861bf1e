/* SPDX-License-Identifier: MIT
 *
 * copy_file.h - one copy from SRC to DST, by one thread.
 *
 * Course of a copy, each step in a file of its own:
 *   copy_options   reads the command line
 *   side           opens a file: direct, uncached or buffered, and the alignment that it requires
 *   target, part   find out what DST is, and create the part file, or take the one that an earlier copy left (record)
 *   ranges         finds the data of SRC and cuts it into transfers
 *   queue          allocates the frames and opens the ring
 *   copy_pass      one pass over all transfers: check (--resume), copy, verify (--verify)
 *   target         makes the data durable, sets the rights, renames the part file to DST
 *   report, note   print the result
 * Each step that can fail records its failure in the outcome (base/outcome.h) and returns its exit code; the steps behind it
 * are left out, and copy_main() closes what was opened.
 *
 * What always holds (assertions name it):
 *   C1  DST is what it was until target_commit() renames the part file; not in place, where is_written says that it changed.
 *   C2  Nothing is in flight between two passes. After a wait that failed there is no further pass.
 *   C3  A slot has at most one transfer in flight, and its view lies in its frame.
 *   C4  All passes cut the same ranges into the same transfers: number n is the same bytes, and its hash is at index n.
 *   C5  A write that ends without an error has written all of its bytes.
 *   C6  The part file has a record of its source while it is written, and none when it becomes DST.
 *   C7  A part file of an earlier copy is changed only with its lock held.
 */
#ifndef DIO_COPY_FILE_H
#define DIO_COPY_FILE_H

#include "cp/copy_pass.h"
#include "cp/report.h"

/* Large: not on a stack. */
struct copy {
    struct copy_options options;
    struct outcome outcome;
    struct side source;
    struct target target;
    struct ranges ranges;
    struct queue *queue; /* the caller's; opened anew where it does not fit */
    struct progress progress;
    struct copy_report report;
    int64_t length;         /* bytes that are copied, holes included */
    bool is_source_bad;     /* a block of SRC cannot be read: the part file stays, for a device that recovers */
    struct hashes known;    /* --resume: a hash for each transfer found in the part file */
    struct hashes recorded; /* --verify: a hash for each transfer that was copied */
};

/* Copy options->source to options->target. queue: QUEUE_INIT or of an earlier copy by this thread, and closed by the caller. whole:
 * the progress of a tree that the copy is a part of, or NULL. The outcome says how it ended. copy_file_close() follows. */
void copy_file(struct copy *copy, const struct copy_options *options, struct queue *queue, struct progress *whole);

/* Close the files; the part file goes, unless a signal ended the copy. */
void copy_file_close(struct copy *copy);

#endif
