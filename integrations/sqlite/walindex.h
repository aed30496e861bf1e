/* SPDX-License-Identifier: MIT
 *
 * walindex.h - what the shared memory of a WAL shows of a checkpoint: sqlite.org/walformat.html, "WAL-Index File Format".
 */
#ifndef SQLITE_WALINDEX_H
#define SQLITE_WALINDEX_H

#include <sqlite3ext.h>

#include <stdint.h>

/* The last page that a checkpoint which starts now writes to the database, as it writes them in the order of their numbers. 0: not
 * known, as the checkpoint does not cover all of the WAL. base: the database of the default VFS, with its shared memory mapped. */
uint32_t walindex_last_page(sqlite3_file *base);

#endif
