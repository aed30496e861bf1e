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
    struct stat stat; /* of from; of a tree, symbolic links are not followed */
    size_t original;  /* of a file with several names: the index of the first of them that is copied; else its own */
    size_t parent;    /* the index of the directory that it lies in; of what is named on the command line its own */
    bool is_named;    /* on the command line: a directory `to` may be reached by a symbolic link */
    bool is_whole;    /* a file: it was copied, or is complete, and other names may be linked to it */
    bool is_made;     /* a directory: it was not there before, and is this one: */
    dev_t made_device;
    ino_t made_inode;
};

struct entries {
    struct tree_entry *items;
    size_t count;
    size_t room;
    int64_t total;   /* bytes of the files, by their sizes */
    void *originals; /* files with several names, by device and inode (tsearch(3)) */
    void *targets;   /* what is not a directory, by `to` */
};

/* Whether the mode is that of a named pipe, a socket or a device. */
bool tree_is_node(mode_t mode);

/* Whether the path leads to a directory. */
bool tree_is_directory(const char *path);

/* The last name of a path, without slashes at its end; inside of path, up to its end or a slash, or ".": what the path leads to has no
 * name there ("", "/", ".", ".."). */
const char *tree_name(const char *path);

/* "DIRECTORY/NAME", or "DIRECTORY" for "."; name ends at a slash or NUL. NULL: no memory. The caller frees it. */
char *tree_join(const char *directory, const char *name);

/* Add `from`, to be copied as `to`, with all that a directory holds. What cannot be listed, or has the same `to` as another file, is
 * reported on stderr and recorded in the outcome, and the rest is added. entries_free() follows in any case. */
void entries_add(struct entries *entries, struct outcome *outcome, const char *from, const char *to, bool is_recursive);

void entries_free(struct entries *entries);

#endif
