/* SPDX-License-Identifier: MIT
 *
 * file_io.h - the open file as file.c makes it and file_io.c moves bytes with it. Floor 4.
 */
#ifndef JDB_FILE_IO_H
#define JDB_FILE_IO_H

#include "file/span.h"
#include "file/sync.h"

#include "jdb_alloc/buf.h"
#include "jdb_alloc/file.h"

#include <stdatomic.h>

/* Invariants:
 *   - plain_fd is open as long as the file is; direct_fd is -1 or the same file with O_DIRECT
 *   - is_read_direct or is_write_direct imply direct_fd >= 0 and the access of that direction
 *   - the three alignments only grow after open; limits holds them as they were at open */
struct jdb_file {
    int plain_fd;
    int direct_fd;
    uint32_t read_state; /* JDB_FILE_MODE_DIRECT or _UNKNOWN when is_read_direct, and so on */
    uint32_t write_state;
    bool is_read_direct;
    bool is_write_direct;
    bool can_modify;    /* direct_fd can be read: blocks can be read, modified and written */
    bool is_edge_plain; /* blocks of which a part is new go to plain_fd, as just the new bytes */
    uint64_t device;    /* with inode: what spans of this file are known by */
    uint64_t inode;
    jdb_file_options options;
    jdb_direct limits;
    atomic_bool is_uncached;    /* plain requests go with RWF_DONTCACHE; turned off when the file refuses it */
    struct jdb__file_gate gate; /* of syncs of plain_fd, with the errors of the file */
    _Atomic uint32_t memory_align;
    _Atomic uint32_t write_align;
    _Atomic uint32_t read_align;
    char reason[JDB_DIRECT_TEXT_SIZE];
};

/* The worse of the modes of the directions that the file is open for. */
uint32_t jdb__file_mode(const jdb_file *file);

/* Ask limits of fd, with override and pretence of the options applied. */
int jdb__file_ask(const jdb_file_options *options, int fd, jdb_direct *limits);

/* Take alignments that are larger than those known; any thread. */
void jdb__file_learn(jdb_file *file, const jdb_direct *now);

/* Wait until no other write of this process overlaps [start, end), a byte range that is not empty. */
void jdb__file_take_span(const jdb_file *file, uint64_t start, uint64_t end, struct jdb__file_span *span);

/* Whether a report can be filled: NULL or large enough. */
bool jdb__file_is_report(const jdb_file_report *report);

/* Put what happened into the caller's report, which may be NULL. */
void jdb__file_give(jdb_file_report *ret_report, const jdb_file_report *from);

/* Say in the report that a system call failed; returns err. */
int jdb__file_failed(jdb_file_report *report, const char *call, int err);

#endif
