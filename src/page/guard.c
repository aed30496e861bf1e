/* SPDX-License-Identifier: MIT
 *
 * guard.c - guards and the walk of the checked build.
 */
#include "page/guard.h"

#include "base/check.h"
#include "page/heap_state.h"

#ifdef JDB_CHECKED

uint32_t jdb__guard_pages(void)
{
    return system_pages() == 1 ? 1 : 0;
}

void jdb__guard_raise(struct zone *zone, uint32_t at)
{
    JDB_ASSERT(heap_is_locked());
    if (jdb__guard_pages() == 0)
        return;
    jdb__extents_start(&zone->extents, at, word_make(WORD_CACHED, 0, 1));
    jdb__os_guard(zone_address(zone, at), JDB_PAGE_SIZE);
}

uint32_t jdb__guard_lower(struct zone *zone, uint32_t at)
{
    JDB_ASSERT(heap_is_locked());
    if (jdb__guard_pages() == 0)
        return 0;
    JDB_ASSERT(extents_word(&zone->extents, at) == word_make(WORD_CACHED, 0, 1));
    jdb__os_unguard(zone_address(zone, at), JDB_PAGE_SIZE);
    jdb__extents_end(&zone->extents, at);
    return 1;
}

/* A walk over the zone, as far as its tables are readable, costs too much for each call. */
#define GUARD_WALK_EVERY 4096

void jdb__guard_walk(void)
{
    static unsigned calls;
    const uint32_t limit = primary_pages();
    JDB_ASSERT(heap_is_locked());
    if (limit > 0 && ++calls % GUARD_WALK_EVERY == 0)
        JDB_ASSERT_WALK(jdb__extents_is_valid(&jdb__heap.primary->extents, limit));
}

#endif
