/* SPDX-License-Identifier: MIT
 *
 * shared_cache.c - a stack of page indices for each size class.
 */
#include "page/shared_cache.h"

#include "base/bits.h"
#include "base/check.h"
#include "os/fork.h"
#include "page/heap.h"
#include "page/profile.h"

#include <string.h>

/* Indices that a shared stack has room for: 32 MiB of runs of one page. */
#define SHARED_MAX 8192

/* Classes of more pages have less room, a MiB each, since they are many, and larger runs use what is theirs. */
#define SHARED_SMALL_PAGES 16
#define SHARED_LARGE_PAGES 256

/* Runs that go to the heap at once. */
#define SHARED_DRAIN_BATCH 512

/* A stack of one class. */
struct shared {
    uint32_t count;
    uint32_t low; /* least count since the last drain: what lay below it was not touched */
};

/* Classes that differ by a multiple of 16 share a lock: fork() takes all of them. */
#define SHARED_LOCKS 16

struct shared_group {
    struct lock lock;
    uint64_t lock_count;
    struct shared stacks[CLASS_PAGES_MAX / SHARED_LOCKS];
};

/* Beside each other and apart from their items, of which only what is used is ever touched. */
#define SHARED_INIT                    \
    {                                  \
        .lock = LOCK_INIT(LOCK_SHARED) \
    }
#define SHARED_INIT_4 SHARED_INIT, SHARED_INIT, SHARED_INIT, SHARED_INIT
static struct shared_group shared_groups[SHARED_LOCKS] = {SHARED_INIT_4, SHARED_INIT_4, SHARED_INIT_4, SHARED_INIT_4};
static uint32_t shared_items[CLASS_PAGES_MAX + 1][SHARED_MAX];
static _Atomic int64_t shared_pages;
static _Atomic int64_t shared_pages_max = INT64_MAX;

static struct shared_group *shared_group(uint32_t page_count)
{
    return &shared_groups[(page_count - 1) % SHARED_LOCKS];
}

static struct shared *shared_stack(uint32_t page_count)
{
    return &shared_group(page_count)->stacks[(page_count - 1) / SHARED_LOCKS];
}

/* The stack of a class, locked. */
static struct shared *shared_lock(uint32_t page_count)
{
    struct shared_group *const group = shared_group(page_count);
    lock_take(&group->lock);
    group->lock_count++;
    return shared_stack(page_count);
}

static void shared_unlock(uint32_t page_count)
{
    lock_release(&shared_group(page_count)->lock);
}

unsigned jdb__shared_cache_pop(uint32_t page_count, unsigned wanted, uint32_t *ret_indices)
{
    struct shared *const shared = shared_lock(page_count);
    const unsigned taken = (unsigned)bits_min(wanted, shared->count);
    shared->count -= taken;
    memcpy(ret_indices, shared_items[page_count] + shared->count, taken * sizeof *ret_indices);
    shared->low = (uint32_t)bits_min(shared->low, shared->count);
    shared_unlock(page_count);
    if (taken > 0)
        atomic_fetch_sub_explicit(&shared_pages, (int64_t)taken * page_count, memory_order_relaxed);
    profile_count_taken((uint64_t)taken * page_count);
    return taken;
}

bool jdb__shared_cache_push(uint32_t page_count, const uint32_t *indices, unsigned count)
{
    const int64_t pages = (int64_t)count * page_count;
    JDB_ASSERT(page_count > 0 && page_count <= CLASS_PAGES_MAX);
    JDB_ASSERT(word_state(word_load(&primary_words()[indices[0]])) == WORD_CACHED); /* P7 */
    JDB_ASSERT(word_load(&primary_words()[indices[0]]) >> WORD_PAGE_SHIFT == page_count);
    const int64_t pages_max = atomic_load_explicit(&shared_pages_max, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&shared_pages, pages, memory_order_relaxed) + pages > pages_max) {
        atomic_fetch_sub_explicit(&shared_pages, pages, memory_order_relaxed);
        return false;
    }
    struct shared *const shared = shared_lock(page_count);
    const uint32_t max = page_count <= SHARED_SMALL_PAGES ? SHARED_MAX : SHARED_LARGE_PAGES / page_count;
    const bool has_room = shared->count + count <= max;
    if (has_room) {
        memcpy(shared_items[page_count] + shared->count, indices, count * sizeof *indices);
        shared->count += count;
    }
    shared_unlock(page_count);
    if (has_room)
        profile_count_given((uint64_t)pages);
    else
        atomic_fetch_sub_explicit(&shared_pages, pages, memory_order_relaxed);
    return has_room;
}

/* Take the oldest runs from the bottom of a shared stack. */
static unsigned shared_take_bottom(uint32_t page_count, unsigned wanted, uint32_t *ret_indices)
{
    struct shared *const shared = shared_stack(page_count);
    uint32_t *const items = shared_items[page_count];
    JDB_ASSERT(lock_is_held(&shared_group(page_count)->lock));
    const unsigned taken = (unsigned)bits_min(wanted, shared->count);
    memcpy(ret_indices, items, taken * sizeof *items);
    shared->count -= taken;
    memmove(items, items + taken, shared->count * sizeof *items);
    return taken;
}

static void shared_drain_class(uint32_t page_count, bool all)
{
    uint32_t indices[SHARED_DRAIN_BATCH];
    struct shared *const shared = shared_lock(page_count);
    unsigned left = all ? shared->count : shared->low;
    while (left > 0 && shared->count > 0) {
        const unsigned wanted = (unsigned)bits_min(left, SHARED_DRAIN_BATCH);
        const unsigned taken = shared_take_bottom(page_count, wanted, indices);
        left -= taken;
        shared_unlock(page_count);
        atomic_fetch_sub_explicit(&shared_pages, (int64_t)taken * page_count, memory_order_relaxed);
        profile_count_taken((uint64_t)taken * page_count); /* so that giving them counts as nothing */
        jdb__heap_give_batch(indices, taken, false);
        shared_lock(page_count);
    }
    shared->low = shared->count;
    shared_unlock(page_count);
}

void jdb__shared_cache_drain(bool all)
{
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++)
        shared_drain_class(page_count, all);
}

void jdb__shared_cache_set_max(uint64_t bytes)
{
    const uint64_t pages = bytes / JDB_PAGE_SIZE;
    atomic_store_explicit(&shared_pages_max, bytes != 0 ? (int64_t)pages : INT64_MAX, memory_order_relaxed);
}

uint64_t jdb__shared_cache_count(uint32_t page_count)
{
    lock_take(&shared_group(page_count)->lock);
    const uint64_t count = shared_stack(page_count)->count;
    lock_release(&shared_group(page_count)->lock);
    return count;
}

struct shared_cache_stats jdb__shared_cache_stats(void)
{
    struct shared_cache_stats stats = {0};
    for (uint32_t page_count = 1; page_count <= CLASS_PAGES_MAX; page_count++) {
        struct shared_group *const group = shared_group(page_count);
        lock_take(&group->lock);
        stats.lock_count += page_count <= SHARED_LOCKS ? group->lock_count : 0;
        stats.pages += (uint64_t)shared_stack(page_count)->count * page_count;
        lock_release(&group->lock);
    }
    return stats;
}

void jdb__shared_cache_before_fork(void)
{
    for (unsigned i = 0; i < SHARED_LOCKS; i++)
        pthread_mutex_lock(&shared_groups[i].lock.mutex);
}

void jdb__shared_cache_after_fork(void)
{
    for (unsigned i = 0; i < SHARED_LOCKS; i++)
        pthread_mutex_unlock(&shared_groups[i].lock.mutex);
}
