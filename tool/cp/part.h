/* SPDX-License-Identifier: MIT
 *
 * part.h - the part file: where a copy is written until it is whole, in the directory of DST.
 *
 * Its usual name is ".DST.dio-part", the same for each copy to DST, so that --resume finds it. What holds:
 *   - a copy writes to a file that it created itself (O_EXCL, mode 0600, no access control list), or to one that it resumes:
 *     a regular file with one name, and with the owner and mode that a new file of this copy has here
 *   - a file under the usual name is resumed or replaced only when this process has its lock (flock(2), the only lock of the
 *     tool). Where locks are refused, it may belong to a copy that runs: it is left alone, and this copy writes to a file with a
 *     private name
 *   - a private name is ".DST.RANDOM.dio-part", with 64 random bits: no other copy ever uses it
 *   - DST is renamed from a private name, and only after that name was seen to lead to the file that was written. So even two
 *     copies that both believe to have the lock give DST whole files
 * The directory is reached only by its descriptor; paths are for messages.
 */
#ifndef DIO_PART_H
#define DIO_PART_H

#include "cp/side.h"

#include <limits.h>

struct part {
    int directory;            /* of DST; the target's */
    int fd;                   /* open for reading and writing; -1 = none. The target's side closes it */
    int leftover_fd;          /* of an earlier copy, locked, under the usual name; -1 = none */
    bool is_locked;           /* no other copy on this machine touches it */
    bool is_leftover_private; /* its mode is that of a part file: nobody else could open it */
    char name[NAME_MAX + 1];  /* of fd; empty: nothing is ours to remove */
    char usual_name[NAME_MAX + 1];
    char path[PATH_MAX + NAME_MAX]; /* the usual name, for messages */
    char target_name[NAME_MAX + 1];
    int name_max;            /* bytes of a name in the directory */
    const char *target_path; /* symbolic links followed */
    const char *given_path;  /* DST as on the command line */
};

/* A part that part_close() accepts. */
#define PART_INIT ((struct part){.directory = -1, .fd = -1, .leftover_fd = -1})

bool is_same_file(const struct stat *a, const struct stat *b);

/* How often a name ends as that of a part file does: a file of such a name may be taken for the part file of another, unless it is
 * copied after all of fewer endings. */
unsigned part_endings(const char *name);

/* Whether the directory of DST, which has this path, has a file under the usual name. */
bool part_is_left(const char *target_path);

/* Create the part file. directory: of DST, which has the name target_path; given_path: as on the command line. Both strings
 * stay the caller's and must outlive the part. Fails where the usual name belongs to something that is no part file of this
 * user, or to a copy that runs. With leftover_fd >= 0 on return, part_resume() or part_replace() comes next. */
int part_open(struct part *part, struct outcome *outcome, int directory, const char *target_path,
              const char *given_path, const struct side *source);

/* Go on in the leftover instead of the new file. */
void part_resume(struct part *part);

/* The new file takes the place of the leftover, which is lost. */
int part_replace(struct part *part, struct outcome *outcome);

/* Whether a later copy can find and lock the part file: it has the usual name, and locks work. */
bool part_is_resumable(const struct part *part);

/* Give the file a private name, and check that this name leads to it. Fails where the part file was removed or replaced by
 * somebody else, whose file stays. */
int part_claim(struct part *part, struct outcome *outcome);

/* Remove the file, unless its name leads to another by now. */
void part_remove(struct part *part);

/* Leave the file where it is: part_remove() does nothing from now on. */
void part_keep(struct part *part);

/* Close the leftover. The part file itself is closed by its side. */
void part_close(struct part *part);

#endif
