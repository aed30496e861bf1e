/* SPDX-License-Identifier: MIT
 *
 * quarantine.c - a ring of dropped runs. Floor 3.
 */
#include "page/quarantine.h"

#include "base/check.h"
#include "os/fork.h"
#include "base/memcheck.h"

#include <string.h>

#define PATTERN 0xdb
#define PATTERN_MAX ((size_t)64 << 10) /* bytes of a run that are filled and looked at */
#define KEPT_PAGES (QUARANTINE_BYTES / JDB_PAGE_SIZE)

static struct {
    struct lock lock;
    struct run runs[QUARANTINE_RUNS];
    unsigned first;
    unsigned count;
    uint64_t pages;
} kept = {.lock = LOCK_INIT(LOCK_QUARANTINE)};

static size_t pattern_size(const struct run *run)
{
    const size_t size = (size_t)run_pages(run) * JDB_PAGE_SIZE;
    return size < PATTERN_MAX ? size : PATTERN_MAX;
}

static void fill(const struct run *run)
{
    memcheck_lend(run_address(run), pattern_size(run));
    memset(run_address(run), PATTERN, pattern_size(run));
    memcheck_drop(run_address(run), pattern_size(run));
}

static void look_at(const struct run *run)
{
    uint8_t *const bytes = run_address(run);
    const size_t size = pattern_size(run);
    memcheck_lend(bytes, size);
    memcheck_defined(bytes, size);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != PATTERN)
            JDB_BREACH("a buffer was written to after its drop", bytes + i);
    memcheck_drop(bytes, size);
}

static bool take_oldest(struct run *ret_leaving)
{
    if (kept.count == 0)
        return false;
    *ret_leaving = kept.runs[kept.first];
    kept.first = (kept.first + 1) % QUARANTINE_RUNS;
    kept.count--;
    kept.pages -= run_pages(ret_leaving);
    return true;
}

bool jdb__quarantine_put(const struct run *run, struct run *ret_leaving)
{
    fill(run);
    lock_take(&kept.lock);
    const bool is_leaving = kept.count == QUARANTINE_RUNS && take_oldest(ret_leaving);
    kept.runs[(kept.first + kept.count) % QUARANTINE_RUNS] = *run;
    kept.count++;
    kept.pages += run_pages(run);
    lock_release(&kept.lock);
    if (is_leaving)
        look_at(ret_leaving);
    return is_leaving;
}

static bool take(uint64_t page_count, struct run *ret_leaving)
{
    lock_take(&kept.lock);
    const bool is_leaving = kept.pages > page_count && take_oldest(ret_leaving);
    lock_release(&kept.lock);
    if (is_leaving)
        look_at(ret_leaving);
    return is_leaving;
}

bool jdb__quarantine_take(struct run *ret_leaving)
{
    return take(0, ret_leaving);
}

bool jdb__quarantine_take_excess(struct run *ret_leaving)
{
    return take(KEPT_PAGES, ret_leaving);
}

uint64_t jdb__quarantine_pages(void)
{
    lock_take(&kept.lock);
    const uint64_t pages = kept.pages;
    lock_release(&kept.lock);
    return pages;
}

uint64_t jdb__quarantine_runs(uint32_t page_count)
{
    uint64_t count = 0;
    lock_take(&kept.lock);
    for (unsigned i = 0; i < kept.count; i++)
        count += run_pages(&kept.runs[(kept.first + i) % QUARANTINE_RUNS]) == page_count;
    lock_release(&kept.lock);
    return count;
}

void jdb__quarantine_lock(void)
{
    lock_take(&kept.lock);
}

void jdb__quarantine_unlock(void)
{
    lock_release(&kept.lock);
}
