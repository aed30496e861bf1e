/* SPDX-License-Identifier: MIT
 *
 * file_internal.h - the open file: its parts, how they work together, and what holds of it.
 *
 * Descriptors. plain_fd is opened first, without O_DIRECT: that creates the file once, and distinguishes a missing file from
 * one that refuses O_DIRECT (before Linux 6.6 a refused O_DIRECT|O_CREAT leaves a new file behind). direct_fd is that very
 * file opened again with O_DIRECT, where the policy and the limits of the file allow it.
 *
 * A transfer is one call that moves bytes (transfer.h). It checks its arguments, pins the memory, moves the bytes, and reports.
 * A direct transfer has three parts: whole blocks in the middle, and at each end a block that is not whole. The middle moves
 * directly where the memory is aligned, else through a bounce buffer. Reads of the ends go through the bounce buffer; writes
 * of the ends go by the tail strategy (edge.c). The planner (direct.h) makes each request and resumes short results. A request
 * that is refused with EINVAL queries the limits again, and the transfer continues behind what is done.
 *
 *     options, report, open, file    the object: options, reports, opening by the policy, modes, limits, size
 *     transfer, request              one call; one system call, and the loops over plans
 *     read, edge, write              the two directions
 *     vector                         both, of several views
 *     atomic, zeros                  other writes
 *     external                       requests that others make: io_uring
 *     cached                         pages that the ends of direct writes left in the page cache
 *     span, sync, lock               order of writes, order of syncs with the errors they found, and the lock of both
 *
 * A write takes the span of its blocks (span.h) while it writes, and syncs behind it (sync.h). Locks: one for each list of
 * spans, one for each gate of syncs; both are leaves, held for a few instructions (lock.h), never together, and survive fork().
 *
 * Invariants (docs/design.md): I1 to I10.
 */
#ifndef JDB_FILE_INTERNAL_H
#define JDB_FILE_INTERNAL_H

#include "file/cached.h"
#include "file/span.h"
#include "file/sync.h"
#include "os/os.h"

#include "jdb_alloc/file.h"

#include <stdatomic.h>

/* ---- Defaults ----------------------------------------------------------------------------------------------- */

#define FILE_COPY_SIZE_DEFAULT (UINT32_C(256) * 1024) /* bytes of the bounce buffer */
#define FILE_PERMISSIONS_DEFAULT 0666u
#define FILE_ZEROS_SIZE ((size_t)1 << 20) /* bytes of one write of zeros */

/* ---- The object --------------------------------------------------------------------------------------------- */

struct jdb_file {
    int plain_fd;
    int direct_fd; /* or -1 */
    bool is_read_direct;
    bool is_write_direct;
    uint32_t direct_read_mode; /* JDB_FILE_MODE_DIRECT or _UNKNOWN where is_read_direct; else not used */
    uint32_t direct_write_mode;
    bool can_modify;     /* direct_fd can be read: blocks can be read, modified and written */
    bool is_edge_plain;  /* of blocks of which a part is new just the new bytes are written, through plain_fd */
    bool is_to_restrict; /* new, and with more permissions than asked until both descriptors are open */
    uint64_t device;     /* with inode: identifies the file among all of the process (span.h) */
    uint64_t inode;
    jdb_file_options options;
    jdb_direct limits;       /* as they were at open */
    atomic_bool is_uncached; /* plain requests use RWF_DONTCACHE; turned off when the file refuses it */
    struct jdb__file_cached cached;
    struct jdb__file_gate gate; /* syncs of plain_fd, and the errors of the file */
    _Atomic uint32_t memory_align;
    _Atomic uint32_t write_align;
    _Atomic uint32_t read_align;
    char reason[JDB_DIRECT_TEXT_SIZE];
};

/* The worse of the modes of the directions that the file is open for. */
uint32_t jdb__file_mode(const jdb_file *file);

/* Query the limits of fd, with the overrides of the options applied. */
int jdb__file_query_limits(const jdb_file_options *options, int fd, jdb_direct *limits);

/* The same where the stat of the file is known, and whether fd is open with O_DIRECT. */
int jdb__file_find_limits(const jdb_file_options *options, int fd, const struct jdb__os_file_stat *stat, bool is_direct,
                          jdb_direct *limits);

/* Open both descriptors again, under their numbers, in a child of fork(). */
int jdb__file_detach(const jdb_file *file);

/* Raise the alignments of the file to those of `now`, where these are larger. Any thread. */
void jdb__file_raise_aligns(jdb_file *file, const jdb_direct *now);

/* Bytes [start, end) of the file, for jdb__file_span_take(). */
struct jdb__file_span jdb__file_span_of(const jdb_file *file, uint64_t start, uint64_t end);

/* Free what is allocated in [from, to) behind the end of the file, which stays where it is. Waits for writes of other threads from the
 * block of `from` on, and those that begin later wait. */
int jdb__file_free_space(jdb_file *file, int64_t from, int64_t to);

/* ---- Options and reports ------------------------------------------------------------------------------------ */

/* The caller's options (may be NULL), checked and with defaults filled in. -EINVAL, -E2BIG. */
int jdb__file_read_options(const jdb_file_options *given, jdb_file_options *ret_options);

/* Whether the caller's report can be written: 0 (also for NULL) or -EINVAL. */
int jdb__file_check_report(const jdb_file_report *report);

/* Write the caller's report, which may be NULL. */
void jdb__file_write_report(const jdb_file_report *filled, jdb_file_report *ret_report);

/* Report that a call failed; returns err. */
int jdb__file_report_failure(jdb_file_report *report, const char *call, int err);

#endif
