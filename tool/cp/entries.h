/* SPDX-License-Identifier: MIT
 *
 * entries.h - what a copy of several files and trees consists of: a list, made before anything is written, in which a directory
 * stands before what it holds.
 */
#ifndef DIO_ENTRIES_H
#define DIO_ENTRIES_H

#include "base/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct tree_entry {
    char *from;
    char *to;
    struct stat stat; /* of from, symbolic links not followed below the command line */
    size_t original;  /* of a file with several names: the index of the first of them that is copied; else its own */
    bool is_made;     /* a directory: it was not there before */
};

struct entries {
    struct tree_entry *items;
    size_t count;
    size_t room;
    int64_t total;   /* bytes of the files, by their sizes */
    void *originals; /* files with several names, by device and inode (tsearch(3)) */
};

/* Whether the path leads to a directory. */
bool tree_is_directory(const char *path);

/* The last name of a path, without slashes at its end; static or inside of path, up to its end or a slash. */
const char *tree_name(const char *path);

/* "DIRECTORY/NAME"; name ends at a slash or NUL. NULL: no memory. The caller frees it. */
char *tree_join(const char *directory, const char *name);

/* Add `from`, to be copied as `to`, with all that a directory holds. What cannot be listed is reported on stderr and recorded in
 * the outcome, and the rest is added. entries_free() follows in any case. */
void entries_add(struct entries *entries, struct outcome *outcome, const char *from, const char *to, bool is_recursive);

void entries_free(struct entries *entries);

#endif
