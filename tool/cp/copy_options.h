/* SPDX-License-Identifier: MIT
 *
 * copy_options.h - the command line of `dio cp`.
 */
#ifndef DIO_COPY_OPTIONS_H
#define DIO_COPY_OPTIONS_H

#include "cp/queue.h"
#include "cp/side.h"

#include <sys/types.h>

#define BLOCK_SIZE_MIN 4096
#define BLOCK_SIZE_MAX ((int64_t)64 << 20)
#define DEPTH_MAX 1024
#define TREE_THREADS 4                /* that copy files of a tree, each with frames of its own */
#define MEMORY_MAX ((int64_t)1 << 30) /* of all frames: what the kernel takes for one fixed buffer */

struct copy_options {
    char **sources; /* of argv, source_count of them */
    int source_count;
    const char *source; /* of one copy */
    const char *target;
    int target_directory; /* of one copy, O_PATH: DST is its last name there; AT_FDCWD: the path says where */
    int64_t block_size;   /* bytes; 0 = chosen */
    int64_t depth;        /* transfers in flight; 0 = chosen */
    int64_t offset;       /* of the first byte in SRC */
    int64_t length;       /* bytes; -1 = to the end */
    enum queue_engine engine;
    enum side_mode best_mode;
    bool require;
    bool verify;
    bool resume;
    bool recursive;
    bool in_tree; /* of one copy: it is one of several */
    bool preserve;
    bool in_place;
    bool force;
    bool json;
    bool quiet;
    bool from_stream; /* SRC is standard input */
    bool to_stream;   /* DST is standard output */
    bool help;
    mode_t mask; /* as of umask(2) */
};

/* Read argv (argv[0] is "cp"). Exit code 2 and the reason in the outcome where the command line is wrong. */
int copy_options_parse(struct copy_options *options, struct outcome *outcome, int argc, char **argv);

/* The text of --help: one screen of 24 lines and 80 columns. */
extern const char copy_help[];

#endif
