/* SPDX-License-Identifier: MIT
 *
 * target.h - DST: the bytes go to a part file in the same directory, which is renamed to DST when all is written and durable.
 *
 * Life of a target:
 *   target_open      finds out what DST is, refuses what must not be overwritten, opens the part file (or DST in place)
 *   target_punch     when it is resumed: makes holes where SRC has them by now
 *   target_prepare   allocates its space and writes the record for --resume (record.h)
 *   target_sync      makes the data durable, so that what is read back comes from the device: before --verify
 *   target_finish    cuts it to its length, makes all of it durable; in place: sets owner, mode and times where asked
 *   target_commit    sets owner, mode and times, renames it to DST and makes that durable
 *   target_close     always; a part file that was not committed is removed, or kept when asked
 *
 * Nobody but its owner can open the part file until target_commit().
 *
 * The path DST is followed once, by target_open(). From then on DST is a name in an open directory, and a descriptor of
 * what had this name: what others do to the path meanwhile changes neither.
 */
#ifndef DIO_TARGET_H
#define DIO_TARGET_H

#include "cp/copy_options.h"
#include "cp/part.h"
#include "cp/ranges.h"

#include <limits.h>

struct target {
    struct side side;    /* of the part file, or of DST itself */
    char path[PATH_MAX]; /* DST, symbolic links followed */
    int named_in;        /* as target_directory of the options */
    int directory;       /* of DST */
    const char *name;    /* DST in it: the end of path */
    int old_fd;          /* DST as it was, O_PATH; -1 where there was none */
    struct stat old;
    struct part part; /* unused in place */
    mode_t mask;      /* as of umask(2) */
    bool existed;
    bool is_in_place;
    bool is_resumed; /* the part file holds some of the same copy */
    bool is_written; /* target_prepare() was called: in place, DST is changed */
    bool has_record; /* the part file has its record and can be found and locked: worth keeping for --resume */
    bool is_committed;
    bool is_sequential; /* the file system takes bytes at the end of a file only: no record, and written in order */
};

/* A target that target_close() accepts. */
#define TARGET_INIT \
    ((struct target){.side = SIDE_INIT, .named_in = AT_FDCWD, .directory = -1, .old_fd = -1, .part = PART_INIT})

/* source: identified. length: bytes that will be copied from source_offset on. */
int target_open(struct target *target, struct outcome *outcome, const struct copy_options *options,
                const struct side *source, int64_t source_offset, int64_t length);

/* Make holes of what an earlier copy has left between the ranges, where no pass looks. False: the file system refuses,
 * and zeros must be written there. */
bool target_punch(const struct target *target, const struct ranges *ranges, int64_t length);

int target_prepare(struct target *target, struct outcome *outcome, const struct side *source, int64_t source_offset,
                   int64_t length, const struct ranges *ranges);

int target_sync(const struct target *target, struct outcome *outcome);

int target_finish(struct target *target, struct outcome *outcome, const struct side *source, int64_t length,
                  bool preserve);

int target_commit(struct target *target, struct outcome *outcome, const struct side *source, bool preserve);

void target_close(struct target *target, bool keep_part);

#endif
