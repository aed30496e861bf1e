/* SPDX-License-Identifier: MIT
 *
 * ahead.h - the bytes that a connection has read ahead of a scan, as the page cache would.
 *
 * They hold for one transaction: within it no other connection changes a page that this one reads from the database, neither under
 * the SHARED lock of a rollback journal, nor beside a WAL, where a checkpoint writes only pages whose frames each reader takes from the
 * WAL, or that a reader of the whole database excludes by its lock. So ahead_forget() is called at each change of a lock, and at each write
 * of the connection.
 */
#ifndef SQLITE_AHEAD_H
#define SQLITE_AHEAD_H

#include <jdb_alloc.h>

struct ahead {
    bool is_off;
    jdb_buf memory;
    int64_t offset; /* of the bytes in memory */
    uint64_t size;  /* of them; 0: none */
    int64_t next;   /* where a scan goes on */
    unsigned count; /* requests of a scan so far */
    uint64_t window;
};

void ahead_forget(struct ahead *ahead);

/* Fill the view from what was read ahead, or reads ahead now, where the request continues a scan. Returns whether it was filled. */
bool ahead_read(struct ahead *ahead, jdb_file *file, jdb_raw *view, int64_t offset, jdb_file_report *report);

void ahead_free(struct ahead *ahead);

#endif
