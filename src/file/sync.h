/* SPDX-License-Identifier: MIT
 *
 * sync.h - the syncs of a file, one at a time, and the first error that may have lost data.
 *
 * The kernel reports a failed writeback once for each open descriptor, to whichever thread syncs first, and marks the lost
 * pages clean: a sync that follows returns 0. So all syncs of plain_fd, the descriptor that dirty pages are written
 * through, pass a gate. One runs at a time and serves every thread that requested it before it began; its error is recorded
 * before any of them, or the next sync, continues. Source: errseq_set() and file_check_and_advance_wb_err(),
 * Documentation/core-api/errseq.rst and mm/filemap.c of Linux.
 *
 * Invariants (docs/design.md): I8, no other call checks the writeback errors of plain_fd (no write with RWF_DSYNC, no
 * sync_file_range() that waits); I9, an error is recorded before the call that found it returns. What a child of fork() finds
 * of its parent's syncs (another mark) is void: those threads do not exist there. It opens the descriptors again before its
 * first write or sync: with the open files of its parent, the sync of either would take the error from the other.
 */
#ifndef JDB_FILE_SYNC_H
#define JDB_FILE_SYNC_H

#include "file/lock.h"

#include "jdb_alloc/file.h"

#include <stdatomic.h>

struct jdb__file_sync_request;

struct jdb__file_gate {
    struct jdb__file_lock lock;
    uint64_t mark;                        /* fork mark of the process that the next two are of */
    struct jdb__file_sync_request *first; /* that wait for the next sync */
    bool is_running;
    const char *call;       /* what failed first, a static string; under the lock */
    _Atomic uint64_t owner; /* fork mark of the process that opened the descriptors; changed under the lock */

    /* Count of errors << 32 | the last << 16 | the first that was not cleared; errno, positive. */
    _Atomic uint64_t errors;
};

/* At the begin of each write and sync: in a child of fork() that has the open files of its parent they are opened again. An
 * error of that is recorded. */
void jdb__file_own(jdb_file *file);

/* The state of the errors, for jdb__file_check_errors(). */
uint64_t jdb__file_errors(const jdb_file *file);

/* Whether an error was recorded since `before`, or was there then and is not cleared: 0 or the error. */
int jdb__file_check_errors(const jdb_file *file, uint64_t before);

/* Record an error (negative) of a write or sync: the first stays until it is cleared. call: a static string. */
void jdb__file_record(jdb_file *file, const char *call, int err);

/* A write to direct_fd with RWF_DSYNC failed: record it, and what the kernel would report of it again. */
void jdb__file_record_direct_sync(jdb_file *file, const char *call, int err);

/* Report that err is of another call on the file; returns err. */
int jdb__file_report_earlier(jdb_file *file, int err, jdb_file_report *report);

/* Sync plain_fd: the data that any thread wrote to the file before. Returns 0 or -errno, which is recorded. */
int jdb__file_sync(jdb_file *file, bool is_data_only);

#endif
