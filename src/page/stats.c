/* SPDX-License-Identifier: MIT
 *
 * stats.c - the options and counts of pages.h.
 */
#include "jdb_alloc/pages.h"

#include "base/check.h"
#include "base/sized.h"
#include "page/decay.h"
#include "page/defaults.h"
#include "page/lend.h"
#include "page/quarantine.h"
#include "page/registry.h"
#include "page/shared_cache.h"

/* Frozen: see sized.h. */
SIZED_FORM(page_options_form, jdb_page_options, 24, 56);
SIZED_FORM(page_stats_form, jdb_page_stats, 128, 192);
SIZED_FORM(page_class_stats_form, jdb_page_class_stats, 32, 64);

int jdb_set_page_options(const jdb_page_options *options)
{
    jdb_page_options wish;
    if (options == NULL)
        return -EINVAL;
    const int err = jdb__sized_read(&page_options_form, options, &wish);
    if (err != 0)
        return err;
    if (wish.reserved0 != 0)
        return -E2BIG;
    if (wish.huge_pages > JDB_HUGE_PAGES_OFF)
        return -EINVAL;
    if (wish.huge_pages != 0)
        jdb__heap_set_huge(wish.huge_pages == JDB_HUGE_PAGES_ON);
    jdb__decay_set_delay(wish.delay_ms != 0 ? wish.delay_ms : DEFAULT_DELAY_MS);
    jdb__heap_set_dirty_max(wish.dirty_bytes);
    jdb__shared_cache_set_max(wish.dirty_bytes);
    jdb__thread_cache_set_large_max(wish.thread_bytes != 0 ? wish.thread_bytes : DEFAULT_THREAD_BYTES);
    return 0;
}

int jdb_set_limit(uint64_t bytes, jdb_limit_callback callback, void *context)
{
    const struct heap_limit limit = {bytes, callback, context};
    jdb__heap_set_limit(&limit);
    return 0;
}

/* What is out of the heap and not kept by the library. The counts are of slightly different moments. */
static uint64_t stats_lent(uint64_t taken, uint64_t kept)
{
    return taken > kept ? taken - kept : 0;
}

static jdb_page_stats stats_collect(void)
{
    struct heap_stats heap;
    const struct registry_stats threads = jdb__registry_stats();
    const struct shared_cache_stats shared = jdb__shared_cache_stats();
    const struct lend_stats growth = jdb__pages_stats();
    jdb__heap_stats(&heap);
    const uint64_t quarantined = JDB_IS_CHECKED ? jdb__quarantine_pages() : 0;
    const uint64_t kept_pages = threads.pages + shared.pages + quarantined;
    return (jdb_page_stats){
        .size = sizeof(jdb_page_stats),
        .threads = (uint32_t)threads.thread_count,
        .lent_bytes = stats_lent(heap.taken_pages, kept_pages) * JDB_PAGE_SIZE,
        .cached_bytes = (kept_pages + heap.dirty_pages) * JDB_PAGE_SIZE,
        .thread_bytes = threads.pages * JDB_PAGE_SIZE,
        .shared_bytes = shared.pages * JDB_PAGE_SIZE,
        .mapped_bytes = heap.mapped_pages * JDB_PAGE_SIZE,
        .reserved_bytes = heap.reserved_pages * JDB_PAGE_SIZE,
        .bookkeeping_bytes = heap.bookkeeping_bytes,
        .huge_bytes = heap.huge_pages * JDB_PAGE_SIZE,
        .limit_bytes = heap.limit_pages * JDB_PAGE_SIZE,
        .map_calls = heap.map_calls,
        .unmap_calls = heap.unmap_calls,
        .decommit_calls = heap.decommit_calls,
        .remap_calls = heap.remap_calls,
        .shared_locks = heap.lock_count + shared.lock_count,
        .moved_bytes = growth.moved_bytes,
        .copied_bytes = growth.copied_bytes,
    };
}

int jdb_get_page_stats(jdb_page_stats *stats)
{
    if (stats == NULL || jdb__sized_check(&page_stats_form, stats) != 0)
        return -EINVAL;
    const jdb_page_stats filled = stats_collect();
    return jdb__sized_write(&page_stats_form, &filled, stats);
}

uint32_t jdb_page_class_count(void)
{
    return CLASS_PAGES_MAX;
}

int jdb_get_page_class_stats(uint32_t page_count, jdb_page_class_stats *stats)
{
    if (stats == NULL || jdb__sized_check(&page_class_stats_form, stats) != 0)
        return -EINVAL;
    if (page_count == 0 || page_count > CLASS_PAGES_MAX)
        return -ERANGE;
    struct heap_stats heap;
    jdb_page_class_stats filled = {
        .size = sizeof filled,
        .page_count = page_count,
        .thread_count = jdb__registry_count(page_count),
        .shared_count = jdb__shared_cache_count(page_count),
    };
    jdb__heap_stats(&heap);
    const uint64_t quarantined = JDB_IS_CHECKED ? jdb__quarantine_runs(page_count) : 0;
    filled.lent_count =
        stats_lent(heap.class_counts[page_count], filled.thread_count + filled.shared_count + quarantined);
    return jdb__sized_write(&page_class_stats_form, &filled, stats);
}

int jdb_resident_bytes(uint64_t *ret_bytes)
{
    return ret_bytes == NULL ? -EINVAL : jdb__heap_resident(ret_bytes);
}
