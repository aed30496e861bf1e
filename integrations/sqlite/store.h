/* SPDX-License-Identifier: MIT
 *
 * store.h - a store: the jdb_file through which a database, journal or WAL is read and written.
 *
 * POSIX record locks belong to the process and the inode, and closing any descriptor of the inode drops all of them. So all
 * connections of the process to a database share one store, and its descriptors are opened and closed only while the process has no
 * lock on the inode: the kernel is asked, so that those of connections of the default VFS count. A store that cannot be closed yet
 * stays idle, to be used again or closed later.
 *
 * Errors of a sync stay: the kernel reports lost data once, and a second sync would return 0. What a write did not write is known
 * to SQLite, which rolls back: after a full disk the file may be synced again.
 */
#ifndef SQLITE_STORE_H
#define SQLITE_STORE_H

#include <jdb_alloc.h>

#include <stdatomic.h>
#include <sys/types.h>

struct store {
    jdb_file *file; /* NULL: of a database that could not be opened, while a lock forbids to close fd */
    int fd;         /* of a database: locks are queried with it, and file is opened from it; -1: of a log */
    dev_t device;
    ino_t inode;
    bool is_writable;
    unsigned use_count;
    atomic_int sync_err; /* the first error of a sync; 0: none */
    struct store *next;
};

/* The store of a database that the process shares. policy: JDB_FILE_DIRECT_x. report: as of jdb_file_open(), with the reason.
 * Returns 0; -EBUSY: connections of another VFS in this process have locks on it; -EROFS: it cannot be written; else as
 * jdb_file_open(). */
int store_open_database(const char *path, uint32_t policy, bool is_writable, jdb_file_report *report,
                        struct store **ret_store);

/* A store for a journal or WAL: its requests are no whole blocks and it is read back soon, so it passes the page cache. */
int store_open_log(const char *path, bool is_writable, struct store **ret_store);

/* The last user's call closes it, or leaves it idle. */
void store_close(struct store *store);

int store_write(struct store *store, jdb_raw view, int64_t offset, jdb_file_report *report);
int store_sync(struct store *store);

#endif
