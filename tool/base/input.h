/* SPDX-License-Identifier: MIT
 *
 * input.h - what a command reads from its first byte to its last: a file or block device past the page cache, by a jdb_reader, or
 * standard input.
 *
 *     struct input input;
 *     if (input_open(&input, outcome, path, &options) == 0)
 *         while (input_next(&input, outcome) == 0 && input.len != 0)
 *             use(input.ptr, input.len);
 *     input_close(&input);                  // always
 */
#ifndef DIO_INPUT_H
#define DIO_INPUT_H

#include "base/outcome.h"

#include <jdb_alloc.h>
#include <jdb_alloc/stream.h>
#include <sys/types.h>

struct input_options {
    int64_t offset; /* of the first byte */
    int64_t length; /* bytes; -1 = to the end */
    bool require;   /* direct, or exit code 3 */
};

struct input {
    const uint8_t *ptr; /* of input_next() */
    size_t len;         /* 0: the end */
    bool is_zero;       /* all of it is a hole of the file */
    int64_t total;      /* bytes that will be read; -1: not known, of standard input */
    int64_t done;       /* bytes that were read, those of ptr included */
    const char *path;   /* for messages */
    jdb_file *file;     /* NULL: standard input */
    jdb_engine *engine;
    jdb_reader *reader;
    jdb_stream_view view;
    jdb_buf buffer; /* for standard input */
    struct input_options options;
};

/* Read once. A descriptor that another program made non-blocking is waited for. Returns bytes, or -errno: -EINTR too. */
ssize_t input_read(int fd, void *ptr, size_t size);

/* Whether a file that ended before `end` still reports to reach it: those of sysfs have "4096 bytes". */
bool input_is_misreported(int fd, int64_t end);

/* Whether the name stands for standard input or output: "-". */
bool input_is_standard(const char *path);

/* Open the file, or standard input for "-". A failure is recorded; input_close() follows in any case. */
int input_open(struct input *input, struct outcome *outcome, const char *path, const struct input_options *options);

/* The next bytes, which stay until the next call. */
int input_next(struct input *input, struct outcome *outcome);

/* Fail where the input is also standard output: a file that is read and appended to at once never ends. */
int input_refuse_output(const struct input *input, struct outcome *outcome);

/* JDB_FILE_MODE_x of the reads; 0: standard input. */
uint32_t input_mode(const struct input *input);

void input_close(struct input *input);

#endif
