/* SPDX-License-Identifier: MIT
 *
 * quarantine.c - a ring of freed runs.
 */
#include "page/quarantine.h"

#include "base/bits.h"
#include "base/check.h"
#include "base/memcheck.h"
#include "os/fork.h"

#include <string.h>

#define QUARANTINE_PATTERN 0xdb
#define QUARANTINE_PATTERN_MAX ((size_t)64 << 10) /* bytes of a run that are filled and verified */
#define QUARANTINE_PAGES (QUARANTINE_BYTES / JDB_PAGE_SIZE)

static struct {
    struct lock lock;
    struct run runs[QUARANTINE_RUNS];
    unsigned first;
    unsigned count;
    uint64_t pages;
} quarantine = {.lock = LOCK_INIT(LOCK_QUARANTINE)};

static size_t quarantine_pattern_size(const struct run *run)
{
    return bits_min(run_bytes(run), QUARANTINE_PATTERN_MAX);
}

static void quarantine_fill(const struct run *run)
{
    memcheck_lend(run_address(run), quarantine_pattern_size(run));
    memset(run_address(run), QUARANTINE_PATTERN, quarantine_pattern_size(run));
    memcheck_drop(run_address(run), quarantine_pattern_size(run));
}

static void quarantine_verify(const struct run *run)
{
    uint8_t *const bytes = run_address(run);
    const size_t size = quarantine_pattern_size(run);
    memcheck_lend(bytes, size);
    memcheck_defined(bytes, size);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != QUARANTINE_PATTERN)
            JDB_BREACH("a buffer was written to after it was freed", bytes + i);
    memcheck_drop(bytes, size);
}

static bool quarantine_take_oldest(struct run *ret_leaving)
{
    JDB_ASSERT(lock_is_held(&quarantine.lock) && quarantine.count <= QUARANTINE_RUNS);
    if (quarantine.count == 0)
        return false;
    *ret_leaving = quarantine.runs[quarantine.first];
    quarantine.first = (quarantine.first + 1) % QUARANTINE_RUNS;
    quarantine.count--;
    JDB_ASSERT(quarantine.pages >= run_pages(ret_leaving));
    quarantine.pages -= run_pages(ret_leaving);
    return true;
}

bool jdb__quarantine_put(const struct run *run, struct run *ret_leaving)
{
    JDB_ASSERT(word_state(word_load(run_word(run))) == WORD_CACHED); /* P7 */
    quarantine_fill(run);
    lock_take(&quarantine.lock);
    const bool is_leaving = quarantine.count == QUARANTINE_RUNS && quarantine_take_oldest(ret_leaving);
    quarantine.runs[(quarantine.first + quarantine.count) % QUARANTINE_RUNS] = *run;
    quarantine.count++;
    quarantine.pages += run_pages(run);
    lock_release(&quarantine.lock);
    if (is_leaving)
        quarantine_verify(ret_leaving);
    return is_leaving;
}

static bool quarantine_take(uint64_t page_count, struct run *ret_leaving)
{
    lock_take(&quarantine.lock);
    const bool is_leaving = quarantine.pages > page_count && quarantine_take_oldest(ret_leaving);
    lock_release(&quarantine.lock);
    if (is_leaving)
        quarantine_verify(ret_leaving);
    return is_leaving;
}

bool jdb__quarantine_take(struct run *ret_leaving)
{
    return quarantine_take(0, ret_leaving);
}

bool jdb__quarantine_take_excess(struct run *ret_leaving)
{
    return quarantine_take(QUARANTINE_PAGES, ret_leaving);
}

uint64_t jdb__quarantine_pages(void)
{
    lock_take(&quarantine.lock);
    const uint64_t pages = quarantine.pages;
    lock_release(&quarantine.lock);
    return pages;
}

uint64_t jdb__quarantine_runs(uint32_t page_count)
{
    uint64_t count = 0;
    lock_take(&quarantine.lock);
    for (unsigned i = 0; i < quarantine.count; i++)
        count += run_pages(&quarantine.runs[(quarantine.first + i) % QUARANTINE_RUNS]) == page_count;
    lock_release(&quarantine.lock);
    return count;
}

void jdb__quarantine_lock(void)
{
    lock_take(&quarantine.lock);
}

void jdb__quarantine_unlock(void)
{
    lock_release(&quarantine.lock);
}
