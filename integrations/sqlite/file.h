/* SPDX-License-Identifier: MIT
 *
 * file.h - an open file of the VFS "jdb": the file of the default VFS, and the store that its bytes pass through.
 *
 * The file of the default VFS does all but reads, writes and syncs: locks, shared memory of a WAL, size, truncation, file controls.
 * Where there is no store it does these too. So do requests of a database that are no whole blocks: the 16 bytes at offset 24 that
 * each read transaction starts with stay in the page cache, which the kernel keeps coherent with direct writes.
 *
 * Writes that follow each other are held, to be written as one, where SQLite takes an error of them before it relies on them:
 *   - frames of a WAL, up to the frame that commits: the write of its page writes them all, before the wal-index names any;
 *   - pages of a checkpoint that covers the WAL, up to the last one: before the wal-index says that they are in the database;
 *   - pages of a database under the EXCLUSIVE lock of a rollback journal, up to SQLITE_FCNTL_SYNC, which each commit passes.
 * When a held write fails its bytes are lost: each call that reports it ends the transaction or the checkpoint. Reads are no such
 * calls, so they are served from memory and write nothing. Journals are not held: SQLite would go on when a record of an earlier page is
 * lost.
 *
 * What is held of a transaction that was rolled back is given up, not written: the database by the truncate of the rollback, the WAL
 * when the lock of writers is released.
 */
#ifndef SQLITE_FILE_H
#define SQLITE_FILE_H

#include "ahead.h"
#include "held.h"
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
    struct held held;
    int held_result;      /* an error of a held write that is not reported yet, or SQLITE_OK */
    int lock;             /* of a database: SQLITE_LOCK_x */
    bool is_checkpoint;   /* of a database: between CKPT_START and CKPT_DONE */
    bool has_walindex;    /* of a database: SQLite has mapped its shared memory */
    bool is_commit;       /* of a WAL: the page of a frame that commits is next */
    uint32_t last_page;   /* that the checkpoint writes; 0: not known */
    sqlite3_int64 end;    /* of the last write; -1: none */
    struct file *peer;    /* of a WAL: its database; of a database: its WAL; NULL: none that is held */
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
