/* SPDX-License-Identifier: MIT
 *
 * quarantine.h - the checked build keeps dropped runs for a while, filled with a pattern: a write through an old pointer is
 * told when the run leaves, and a copy of a jdb_buf dropped late is told because its run was not lent again. Floor 3:
 * for pages.c. In a release build nothing is kept.
 */
#ifndef JDB_QUARANTINE_H
#define JDB_QUARANTINE_H

#include "page/heap.h"

/* Most that is kept. */
#define QUARANTINE_RUNS 256
#define QUARANTINE_BYTES (UINT64_C(64) << 20)

/* Keep a run whose word says CACHED; returns the run that has to leave for its place (after its pattern was looked at), or
 * false when none has. */
bool jdb__quarantine_put(const struct run *run, struct run *ret_leaving);

/* The oldest run leaves where more bytes are kept than shall be; false: there are not. */
bool jdb__quarantine_take_excess(struct run *ret_leaving);

/* The oldest run leaves; false: none is kept. */
bool jdb__quarantine_take(struct run *ret_leaving);

/* Pages that are kept; runs of page_count pages that are. */
uint64_t jdb__quarantine_pages(void);
uint64_t jdb__quarantine_runs(uint32_t page_count);

/* Around fork(). */
void jdb__quarantine_lock(void);
void jdb__quarantine_unlock(void);

#endif
