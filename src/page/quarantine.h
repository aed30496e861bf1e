/* SPDX-License-Identifier: MIT
 *
 * quarantine.h - the checked build keeps freed runs for a while, filled with a pattern. A write through an old pointer
 * is detected when the run leaves; freeing a copy of a jdb_buf late is detected because its run was not lent again
 * meanwhile. In other builds nothing is kept.
 *
 * A run in quarantine has a word of state CACHED (P7). Lock: the quarantine's, before the heap's; it guards the ring.
 */
#ifndef JDB_QUARANTINE_H
#define JDB_QUARANTINE_H

#include "page/heap.h"

/* Most that is kept. */
#define QUARANTINE_RUNS 256
#define QUARANTINE_BYTES (UINT64_C(64) << 20)

/* Keep a run whose word says CACHED; returns the run that has to leave for its place (after its pattern was
 * verified), or false when none has. */
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
