/* SPDX-License-Identifier: MIT
 *
 * regions.c - the register of arena regions, and the pins of their frames. Floor 3.
 *
 * The register is a tree over the bits of an address, as page tables are: three levels, an entry is empty, a region,
 * or a table of the next level. Because an entry of any level can name a region that covers all of it, terabytes
 * cost a few entries; because arenas take whole entries of the middle level, a look-up reads two words. Only adopted
 * memory goes down to single pages.
 *
 *     bits of the address   47..34          33..21          20..12
 *     level                 0, 16 GiB each  1, 2 MiB each   2, 4 KiB each
 *
 * Readers take no lock: an entry changes by one store, and tables, once made, stay. A region that a reader found
 * cannot go away under it, because the caller of jdb_pin() keeps the memory alive during the call.
 */
#include "regions.h"

#include "bits.h"
#include "check.h"
#include "os.h"

#include <errno.h>

#define PAGE_BITS 12u
#define ADDRESS_BITS 48u
#define LEVEL_COUNT 3u

/* Pages (4 KiB) that an entry of a level covers, as a power of two, and entries of a table of that level. */
static const unsigned entry_bits[LEVEL_COUNT] = {22, 9, 0};
static const unsigned table_bits[LEVEL_COUNT] = {14, 13, 9};

_Static_assert(PAGE_BITS + 22 + 14 == ADDRESS_BITS && 9 + 13 == 22 && 0 + 9 == 9, "levels meet without a gap");

typedef _Atomic uintptr_t entry;

#define IS_REGION ((uintptr_t)1)

static entry top_table[1u << 14];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct region *kept; /* regions that children of fork() keep */

/* ---- fork(): the child finds every lock free -------------------------------------------------------------- */

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
    for (struct region *region = kept; region != NULL; region = region->next_kept)
        pthread_mutex_lock(&region->lock);
}

static void after_fork(void)
{
    for (struct region *region = kept; region != NULL; region = region->next_kept)
        pthread_mutex_unlock(&region->lock);
    pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

static void keep(struct region *region)
{
    if (region->fork_mark != 0)
        return;
    region->next_kept = kept;
    kept = region;
}

static void unkeep(const struct region *region)
{
    struct region **link = &kept;
    while (*link != NULL && *link != region)
        link = &(*link)->next_kept;
    if (*link != NULL)
        *link = region->next_kept;
}

/* ---- The tree --------------------------------------------------------------------------------------------- */

static struct region *region_of(uintptr_t word)
{
    return (word & IS_REGION) != 0 ? (struct region *)(word & ~IS_REGION) : NULL;
}

static struct region *find(const void *ptr)
{
    const uint64_t page = (uintptr_t)ptr >> PAGE_BITS;
    if (page >> (ADDRESS_BITS - PAGE_BITS) != 0)
        return NULL;
    entry *table = top_table;
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        const uint64_t index = (page >> entry_bits[level]) & ((1u << table_bits[level]) - 1);
        const uintptr_t word = atomic_load_explicit(&table[index], memory_order_acquire);
        if (word == 0 || (word & IS_REGION) != 0)
            return region_of(word);
        table = (entry *)word;
    }
    return NULL;
}

/* A piece of a page range: what one entry has of it. */
struct piece {
    entry *entry;
    uint64_t first; /* pages, counted from the start of the entry */
    uint64_t last;
    bool is_whole;
};

/* The piece of [first, last] (pages counted from the start of the table) that begins at first. */
static struct piece first_piece(entry *table, unsigned level, uint64_t first, uint64_t last)
{
    JDB_ASSERT(level < LEVEL_COUNT);
    const uint64_t entry_pages = (uint64_t)1 << entry_bits[level];
    const uint64_t index = first >> entry_bits[level];
    const uint64_t start = index << entry_bits[level];
    const uint64_t end = last < start + entry_pages - 1 ? last : start + entry_pages - 1;
    return (struct piece){
        .entry = &table[index],
        .first = first - start,
        .last = end - start,
        .is_whole = first == start && end == start + entry_pages - 1,
    };
}

/* Whether a region that lives in this process has a page of [first, last]. */
static bool is_taken(entry *table, unsigned level, uint64_t first, uint64_t last)
{
    while (first <= last) {
        const struct piece piece = first_piece(table, level, first, last);
        const uintptr_t word = atomic_load_explicit(piece.entry, memory_order_relaxed);
        const struct region *const region = region_of(word);
        if (region != NULL && fork_mark_is_mine(region->fork_mark))
            return true;
        if (region == NULL && word != 0 && is_taken((entry *)word, level + 1, piece.first, piece.last))
            return true;
        first += piece.last - piece.first + 1;
    }
    return false;
}

/* The table under an entry, made when there is none: over a region that stayed with the parent, or over nothing. */
static int table_under(entry *word, unsigned level, entry **ret_table)
{
    JDB_ASSERT(level < LEVEL_COUNT);
    uintptr_t table = atomic_load_explicit(word, memory_order_relaxed);
    if (table == 0 || (table & IS_REGION) != 0) {
        void *made = NULL;
        const int err = jdb__os_alloc(sizeof(entry) << table_bits[level], &made);
        if (err != 0)
            return err;
        table = (uintptr_t)made;
        atomic_store_explicit(word, table, memory_order_release);
    }
    *ret_table = (entry *)table;
    return 0;
}

/* Write a value over the pages [first, last]. 0 makes no tables, so it cannot fail. -ENOMEM: written in part. */
static int fill(entry *table, unsigned level, uint64_t first, uint64_t last, uintptr_t value)
{
    while (first <= last) {
        const struct piece piece = first_piece(table, level, first, last);
        const uintptr_t old = atomic_load_explicit(piece.entry, memory_order_relaxed);
        const bool is_table = old != 0 && (old & IS_REGION) == 0;
        if (piece.is_whole && !is_table) {
            atomic_store_explicit(piece.entry, value, memory_order_release);
        } else if (is_table || value != 0) {
            entry *under = NULL;
            int err = table_under(piece.entry, level + 1, &under);
            if (err == 0)
                err = fill(under, level + 1, piece.first, piece.last, value);
            if (err != 0)
                return err;
        }
        first += piece.last - piece.first + 1;
    }
    return 0;
}

static int enter(struct region *region)
{
    const uint64_t first = (uintptr_t)region->base >> PAGE_BITS;
    const uint64_t last = first + (region->span >> PAGE_BITS) - 1;
    if (last >> (ADDRESS_BITS - PAGE_BITS) != 0 || is_taken(top_table, 0, first, last))
        return -EINVAL;
    const int err = fill(top_table, 0, first, last, (uintptr_t)region | IS_REGION);
    if (err != 0)
        fill(top_table, 0, first, last, 0);
    return err;
}

int jdb__regions_add(struct region *region)
{
    JDB_ASSERT(region->span > 0 && region->span % (1u << PAGE_BITS) == 0);
    JDB_ASSERT((uintptr_t)region->base % (1u << PAGE_BITS) == 0);
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
    const int err = enter(region);
    if (err == 0)
        keep(region);
    pthread_mutex_unlock(&lock);
    return err;
}

void jdb__regions_remove(struct region *region)
{
    const uint64_t first = (uintptr_t)region->base >> PAGE_BITS;
    pthread_mutex_lock(&lock);
    fill(top_table, 0, first, first + (region->span >> PAGE_BITS) - 1, 0);
    unkeep(region);
    pthread_mutex_unlock(&lock);
}

bool jdb__regions_has(const void *ptr)
{
    pthread_mutex_lock(&lock); /* it may be a pointer into an arena that another thread frees */
    const struct region *const region = find(ptr);
    const bool is_here = region != NULL && fork_mark_is_mine(region->fork_mark);
    pthread_mutex_unlock(&lock);
    return is_here;
}

/* ---- Pins ------------------------------------------------------------------------------------------------- */

struct frames {
    struct region *region;
    uint32_t first;
    uint32_t last;
};

/* The frames under a range. */
static int frames_under(const void *ptr, size_t size, struct frames *ret_frames)
{
    if (ptr == NULL || size == 0)
        return -EINVAL;
    struct region *const region = find(ptr);
    if (region == NULL)
        return -ENOTSUP;
    ret_frames->region = region;
    return region_frames(region, (uint64_t)((const uint8_t *)ptr - region->base), size, &ret_frames->first,
                         &ret_frames->last);
}

int jdb__region_pin_frames(struct region *region, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last; i++) {
        const int err = region_pin_frame(&region->pins[i]);
        if (err == 0)
            continue;
        while (i-- > first)
            region_unpin_frame(&region->pins[i]);
        return err;
    }
    return 0;
}

int jdb__regions_pin_marked(const void *ptr, size_t size, _Atomic uint32_t **ret_count)
{
    struct frames frames;
    const int err = frames_under(ptr, size, &frames);
    if (err != 0)
        return err;
    *ret_count = frames.first == frames.last ? &frames.region->pins[frames.first] : NULL;
    return jdb__region_pin_frames(frames.region, frames.first, frames.last);
}

int jdb__regions_pin(const void *ptr, size_t size)
{
    _Atomic uint32_t *count = NULL;
    return jdb__regions_pin_marked(ptr, size, &count);
}

/* All or nothing when the pins of the range are the caller's own; of a range that is pinned in part, the frames
 * before the first that is not are put back as they were. */
int jdb__regions_unpin(const void *ptr, size_t size)
{
    struct frames frames;
    int err = frames_under(ptr, size, &frames);
    if (err != 0)
        return err;
    for (uint64_t i = frames.first; i <= frames.last; i++) {
        err = region_unpin_frame(&frames.region->pins[i]);
        if (err == 0)
            continue;
        while (i-- > frames.first)
            region_pin_frame(&frames.region->pins[i]);
        return err;
    }
    return 0;
}

bool jdb__regions_is_pinned(const void *ptr, size_t size)
{
    struct frames frames;
    if (frames_under(ptr, size, &frames) != 0)
        return false;
    for (uint64_t i = frames.first; i <= frames.last; i++)
        if (region_is_pinned(frames.region, (uint32_t)i))
            return true;
    return false;
}

/* ---- Frames that are given back --------------------------------------------------------------------------- */

void jdb__region_unblock(struct region *region, uint32_t first, uint32_t count)
{
    for (uint64_t i = first; i < (uint64_t)first + count; i++)
        atomic_fetch_sub_explicit(&region->pins[i], REGION_BLOCKED, memory_order_release);
}

int jdb__region_block(struct region *region, uint32_t first, uint32_t count)
{
    for (uint32_t done = 0; done < count; done++) {
        uint32_t none = 0;
        if (atomic_compare_exchange_strong_explicit(&region->pins[first + done], &none, REGION_BLOCKED,
                                                    memory_order_acquire, memory_order_relaxed))
            continue;
        jdb__region_unblock(region, first, done);
        return -EBUSY;
    }
    return 0;
}

uint32_t jdb__region_pinned_count(const struct region *region)
{
    const uint32_t frame_count = atomic_load_explicit(&region->frame_count, memory_order_acquire);
    uint32_t pinned = 0;
    for (uint32_t i = 0; i < frame_count; i++)
        pinned += region_is_pinned(region, i) ? 1 : 0;
    return pinned;
}
