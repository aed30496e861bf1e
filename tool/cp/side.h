/* SPDX-License-Identifier: MIT
 *
 * side.h - one file of a copy: how it is reached (direct, uncached, buffered), why, and the alignment that it requires.
 *
 * Its bytes are moved by a jdb_file, which takes `plain`, the descriptor for all else (truncate, allocate, sync, seek). Where
 * the file system refuses a direct transfer of a file that it let us open for that, the side falls back to a second jdb_file. The
 * first one stays open, since other transfers of it may be in flight.
 */
#ifndef DIO_SIDE_H
#define DIO_SIDE_H

#include "base/outcome.h"

#include <jdb_alloc/file.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* How the bytes of a side are moved, best first. */
enum side_mode {
    SIDE_DIRECT,   /* O_DIRECT */
    SIDE_UNCACHED, /* RWF_DONTCACHE: through the page cache and out of it again */
    SIDE_BUFFERED, /* through the page cache */
};
#define SIDE_MODE_COUNT 3

struct side {
    const char *path;
    bool is_target;      /* written to; else only read */
    bool must_be_direct; /* --require: falling back is a failure */
    int plain;
    bool is_taken;                    /* plain belongs to one of `files`, and is closed with it */
    jdb_file *files[SIDE_MODE_COUNT]; /* that of `mode`, and those of modes before; NULL: not opened */
    uint32_t access;                  /* of `files` */
    bool is_device;
    bool is_stream;   /* standard input: read once from its start, of unknown length */
    struct stat stat; /* when opened */
    int64_t size;     /* bytes, also of a device */
    enum side_mode mode;
    int64_t memory_align; /* powers of two; 1 where the mode requires none */
    int64_t read_align;
    int64_t write_align;
    uint32_t file_system; /* f_type of statfs(2); 0: not known, or a device */
    int64_t best_size;    /* transfers below it waste work: physical block, file system block */
    bool is_unproven;     /* O_DIRECT was accepted, and whether it bypasses the page cache is unknown (FUSE, network) */
    char reason[256];     /* why the mode is not direct; empty where it is */
    int64_t direct_bytes; /* moved with O_DIRECT */
    int64_t uncached_bytes;
    int64_t buffered_bytes;
};

/* A side that side_close() accepts. */
#define SIDE_INIT ((struct side){.plain = -1})

/* Find out what `plain` is and how large; sets stat, size, is_device. path, is_target and plain are set. */
int side_identify(struct side *side, struct outcome *outcome);

/* Make the side standard input; path is for messages. */
int side_open_stream(struct side *side, struct outcome *outcome, const char *path);

/* Open the file of `plain` for transfers with `access` (a sum of JDB_FILE_READ and JDB_FILE_WRITE), in the best mode down from
 * `best`. Fails where must_be_direct cannot be met; the file is unchanged then. */
int side_choose_mode(struct side *side, struct outcome *outcome, uint32_t access, enum side_mode best);

/* The file that transfers in the present mode are made of. NULL: a stream. */
jdb_file *side_file(const struct side *side);

/* Whether a failed transfer means "not in this mode" and a lesser mode is left. */
bool side_can_fall_back(const struct side *side, int error);

/* Fall back by one mode because a transfer (what: "read", "write") failed with `error`. Fails where must_be_direct. */
int side_fall_back(struct side *side, struct outcome *outcome, const char *what, int error);

/* Go through the page cache from now on, whatever the mode was: transfers of any length, one behind the other. Fails where
 * must_be_direct. */
int side_be_sequential(struct side *side, struct outcome *outcome);

/* Count bytes that were moved in `mode`. */
void side_count(struct side *side, enum side_mode mode, int64_t bytes);

/* "direct", "uncached", "buffered". */
const char *side_mode_name(enum side_mode mode);

void side_close(struct side *side);

#endif
