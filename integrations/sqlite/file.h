/* SPDX-License-Identifier: MIT
 *
 * file.h - an open file of the VFS "jdb": the file of the default VFS, and the store that its bytes pass through.
 *
 * The file of the default VFS does all but reads, writes and syncs: locks, shared memory of a WAL, size, truncation, file controls.
 * Where there is no store it does these too. So do requests of a database that are no whole blocks: the 16 bytes at offset 24 that
 * each read transaction starts with stay in the page cache, which the kernel keeps coherent with direct writes.
 */
#ifndef SQLITE_FILE_H
#define SQLITE_FILE_H

#include "ahead.h"
#include "store.h"

#include <sqlite3ext.h>

struct file {
    sqlite3_file parent;
    sqlite3_file *base;  /* of the default VFS, behind this struct */
    struct store *store; /* NULL: all is done by base */
    const char *path;    /* SQLite's, until the file is closed */
    uint32_t block;      /* bytes: requests that are no whole blocks are done by base */
    bool is_database;
    bool has_new_name; /* a log that was created: the directory is synced behind the first sync */
    struct ahead ahead;
    uint64_t direct_size; /* bytes read and written with O_DIRECT */
    uint64_t copied_size; /* of them, through a bounce buffer: SQLite's memory was not aligned */
    uint64_t ahead_size;  /* bytes that SQLite read and that had been read ahead */
    uint64_t cached_size; /* bytes read and written through the page cache */
    char reason[JDB_DIRECT_TEXT_SIZE];
};

/* Open a database or a log; base is open, and is closed on failure. policy: JDB_FILE_DIRECT_x. Returns SQLITE_OK, or
 * SQLITE_CANTOPEN: direct I/O is required and not possible. */
int file_open(struct file *file, const char *path, int flags, bool is_writable, uint32_t policy);

#endif
