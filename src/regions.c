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

static struct lock register_lock = LOCK_INIT(LOCK_REGIONS);
static struct region *regions; /* all that are in the register */

static void list(struct region *region)
{
    region->next = regions;
    regions = region;
}

static void unlist(const struct region *region)
{
    struct region **link = &regions;
    while (*link != NULL && *link != region)
        link = &(*link)->next;
    if (*link != NULL)
        *link = region->next;
}

/* ---- fork() ----------------------------------------------------------------------------------------------- */

static void unlock_kept(const struct region *end)
{
    for (struct region *region = regions; region != end; region = region->next)
        if (region->lock.is_kept)
            pthread_mutex_unlock(&region->lock.mutex);
}

/* Under the register's lock, so that no region goes away; arenas come first in the order of locks, so only by trying. */
static bool try_lock_kept(void)
{
    for (struct region *region = regions; region != NULL; region = region->next)
        if (region->lock.is_kept && pthread_mutex_trylock(&region->lock.mutex) != 0) {
            unlock_kept(region);
            return false;
        }
    return true;
}

#define RETRY_NS UINT64_C(200000)

static void nap(void)
{
    uint32_t word = 0;
    jdb__os_sleep(&word, 0, jdb__os_clock_ns() + RETRY_NS);
}

void jdb__regions_before_fork(void)
{
    pthread_mutex_lock(&register_lock.mutex);
    while (!try_lock_kept()) { /* an arena grows: its callback may want the register */
        pthread_mutex_unlock(&register_lock.mutex);
        nap();
        pthread_mutex_lock(&register_lock.mutex);
    }
}

void jdb__regions_after_fork(void)
{
    unlock_kept(NULL);
    pthread_mutex_unlock(&register_lock.mutex);
}

/* What the kernel still touches, it touches in the parent. A new mapping of zeros costs nothing, whatever the arena's size. */
static void forget_pins(const struct region *region)
{
    const uint32_t frame_count = atomic_load_explicit(&region->frame_count, memory_order_relaxed);
    const uint64_t size = bits_round_up((uint64_t)frame_count * sizeof *region->pins, jdb__os_page_size());
    if (region->pins_size >= size && size > 0 && jdb__os_decommit((void *)region->pins, size) == 0)
        return;
    for (uint32_t i = 0; i < frame_count; i++)
        atomic_store_explicit(&region->pins[i], 0, memory_order_relaxed);
}

void jdb__regions_in_child(void)
{
    for (const struct region *region = regions; region != NULL; region = region->next)
        forget_pins(region);
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
    int err = jdb__fork_watch();
    if (err != 0)
        return err;
    lock_take(&register_lock);
    err = enter(region);
    if (err == 0)
        list(region);
    lock_release(&register_lock);
    return err;
}

void jdb__regions_remove(struct region *region)
{
    const uint64_t first = (uintptr_t)region->base >> PAGE_BITS;
    lock_take(&register_lock);
    fill(top_table, 0, first, first + (region->span >> PAGE_BITS) - 1, 0);
    unlist(region);
    lock_release(&register_lock);
}

bool jdb__regions_has(const void *ptr)
{
    lock_take(&register_lock); /* it may be a pointer into an arena that another thread frees */
    const struct region *const region = find(ptr);
    const bool is_here = region != NULL && fork_mark_is_mine(region->fork_mark);
    lock_release(&register_lock);
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

static bool are_all_pinned(const struct frames *frames)
{
    for (uint64_t i = frames->first; i <= frames->last; i++) {
        const uint32_t count = atomic_load_explicit(&frames->region->pins[i], memory_order_relaxed);
        if (count == 0 || count >= REGION_BLOCKED)
            return false;
    }
    return true;
}

/* All or nothing: one who unpins what he pinned cannot fail behind the first look, and to one who does not, no pin of
 * another is given up that could not be had again (the frame might be blocked at once). */
int jdb__regions_unpin(const void *ptr, size_t size)
{
    struct frames frames;
    int err = frames_under(ptr, size, &frames);
    if (err == 0 && frames.first < frames.last && !are_all_pinned(&frames))
        err = -EINVAL;
    for (uint64_t i = frames.first; err == 0 && i <= frames.last; i++)
        err = region_unpin_frame(&frames.region->pins[i]);
    return err;
}

int jdb__regions_unpin_error(const void *ptr, size_t size)
{
    struct frames frames;
    const int err = frames_under(ptr, size, &frames);
    return err != 0 ? err : -EINVAL;
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
    for (uint64_t i = first; i < (uint64_t)first + count; i++) {
        JDB_ASSERT(atomic_load_explicit(&region->pins[i], memory_order_relaxed) == REGION_BLOCKED);
        atomic_store_explicit(&region->pins[i], 0, memory_order_release);
    }
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
