/* SPDX-License-Identifier: MIT
 *
 * guard.h - a page behind each run that nobody may touch, in the checked build, where the system has such pages; and a
 * walk over the invariants of extents. Nothing in other builds. Under the heap's lock.
 *
 * A guard is a run of its own, of one page and state CACHED, that comes and goes with the run before it.
 */
#ifndef JDB_PAGE_GUARD_H
#define JDB_PAGE_GUARD_H

#include "page/zone.h"

#ifdef JDB_CHECKED

/* Pages of a guard: 1; 0 where the system's pages are larger. */
uint32_t jdb__guard_pages(void);

/* Put a guard at a page that was taken. */
void jdb__guard_raise(struct zone *zone, uint32_t at);

/* Remove the guard of a run that ends at `at`. Returns its pages, which go back with the run. */
uint32_t jdb__guard_lower(struct zone *zone, uint32_t at);

/* Each 4,096th call checks P1 to P5 in the primary zone. */
void jdb__guard_walk(void);

#else

static inline uint32_t jdb__guard_pages(void)
{
    return 0;
}

static inline void jdb__guard_raise(struct zone *zone, uint32_t at)
{
    (void)zone;
    (void)at;
}

static inline uint32_t jdb__guard_lower(struct zone *zone, uint32_t at)
{
    (void)zone;
    (void)at;
    return 0;
}

static inline void jdb__guard_walk(void)
{
}

#endif
#endif
