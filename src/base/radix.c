/* SPDX-License-Identifier: MIT
 *
 * radix.c - the tree of radix.h.
 */
#include "base/radix.h"

#include "base/check.h"

#include <errno.h>

#define RADIX_LEVEL_COUNT 3u
#define RADIX_PAGE_SIZE ((uint64_t)1 << RADIX_PAGE_BITS)

typedef _Atomic uintptr_t radix_entry;

/* Pages (4 KiB) that an entry of a level covers, as a power of two, and entries of a table of that level. */
static const unsigned radix_entry_bits[RADIX_LEVEL_COUNT] = {22, 9, 0};
static const unsigned radix_table_bits[RADIX_LEVEL_COUNT] = {RADIX_TOP_BITS, 13, 9};

_Static_assert(RADIX_PAGE_BITS + 22 + RADIX_TOP_BITS == RADIX_ADDRESS_BITS && 9 + 13 == 22,
               "the levels meet without a gap");

#define RADIX_IS_OBJECT ((uintptr_t)1)

static void *radix_object_of(uintptr_t word)
{
    return (word & RADIX_IS_OBJECT) != 0 ? (void *)(word & ~RADIX_IS_OBJECT) : NULL;
}

static radix_entry *radix_table_of(uintptr_t word)
{
    return (word & RADIX_IS_OBJECT) == 0 ? (radix_entry *)word : NULL;
}

void *jdb__radix_find(const struct radix *radix, const void *ptr)
{
    const uint64_t page = (uintptr_t)ptr >> RADIX_PAGE_BITS;
    if (page >> (RADIX_ADDRESS_BITS - RADIX_PAGE_BITS) != 0)
        return NULL;
    const radix_entry *table = radix->top;
    for (unsigned level = 0; level < RADIX_LEVEL_COUNT; level++) {
        const uint64_t index = (page >> radix_entry_bits[level]) & ((1u << radix_table_bits[level]) - 1);
        const uintptr_t word = atomic_load_explicit(&table[index], memory_order_acquire);
        if (word == 0 || (word & RADIX_IS_OBJECT) != 0)
            return radix_object_of(word);
        table = radix_table_of(word);
    }
    return NULL;
}

/* A piece of a range of pages: what one entry has of it. */
struct radix_piece {
    radix_entry *entry;
    uint64_t first; /* pages, counted from the start of the entry */
    uint64_t last;
    bool is_whole;
};

/* The piece of [first, last] (pages counted from the start of the table) that begins at first. */
static struct radix_piece radix_first_piece(radix_entry *table, unsigned level, uint64_t first, uint64_t last)
{
    JDB_ASSERT(level < RADIX_LEVEL_COUNT && first <= last &&
               last >> radix_entry_bits[level] < (uint64_t)1 << radix_table_bits[level]);
    const uint64_t entry_pages = (uint64_t)1 << radix_entry_bits[level];
    const uint64_t index = first >> radix_entry_bits[level];
    const uint64_t start = index << radix_entry_bits[level];
    const uint64_t end = last < start + entry_pages - 1 ? last : start + entry_pages - 1;
    return (struct radix_piece){
        .entry = &table[index],
        .first = first - start,
        .last = end - start,
        .is_whole = first == start && end == start + entry_pages - 1,
    };
}

/* Whether an object that is not gone has a page of [first, last]. */
static bool radix_is_taken(radix_entry *table, unsigned level, uint64_t first, uint64_t last,
                           bool (*is_gone)(const void *))
{
    while (first <= last) {
        const struct radix_piece piece = radix_first_piece(table, level, first, last);
        const uintptr_t word = atomic_load_explicit(piece.entry, memory_order_relaxed);
        const void *const object = radix_object_of(word);
        if (object != NULL && (is_gone == NULL || !is_gone(object)))
            return true;
        if (object == NULL && word != 0 &&
            radix_is_taken(radix_table_of(word), level + 1, piece.first, piece.last, is_gone))
            return true;
        first += piece.last - piece.first + 1;
    }
    return false;
}

/* The table under an entry; a new one where there is none: over an object that is gone, or over nothing. */
static int radix_table_under(radix_entry *entry, unsigned level, const struct radix_memory *memory,
                             radix_entry **ret_table)
{
    JDB_ASSERT(level > 0 && level < RADIX_LEVEL_COUNT);
    uintptr_t table = atomic_load_explicit(entry, memory_order_relaxed);
    if (table == 0 || (table & RADIX_IS_OBJECT) != 0) {
        void *memory_ptr = NULL;
        JDB_ASSERT(memory != NULL); /* what empties a range finds a table, or nothing to empty */
        const int err = memory->alloc(sizeof(radix_entry) << radix_table_bits[level], &memory_ptr);
        if (err != 0)
            return err;
        table = (uintptr_t)memory_ptr;
        atomic_store_explicit(entry, table, memory_order_release);
    }
    *ret_table = (radix_entry *)table;
    return 0;
}

/* Write a value over the pages [first, last]. 0 makes no tables, so it cannot fail. An error: written in part. */
static int radix_fill(radix_entry *table, unsigned level, uint64_t first, uint64_t last, uintptr_t value,
                      const struct radix_memory *memory)
{
    while (first <= last) {
        const struct radix_piece piece = radix_first_piece(table, level, first, last);
        const uintptr_t old = atomic_load_explicit(piece.entry, memory_order_relaxed);
        const bool is_table = old != 0 && (old & RADIX_IS_OBJECT) == 0;
        if (piece.is_whole && !is_table) {
            atomic_store_explicit(piece.entry, value, memory_order_release);
        } else if (is_table || value != 0) {
            radix_entry *under = NULL;
            int err = radix_table_under(piece.entry, level + 1, memory, &under);
            if (err == 0)
                err = radix_fill(under, level + 1, piece.first, piece.last, value, memory);
            if (err != 0)
                return err;
        }
        first += piece.last - piece.first + 1;
    }
    return 0;
}

static uint64_t radix_first_page(struct radix_range range)
{
    JDB_ASSERT((uintptr_t)range.ptr % RADIX_PAGE_SIZE == 0 && range.size > 0 && range.size % RADIX_PAGE_SIZE == 0);
    return (uintptr_t)range.ptr >> RADIX_PAGE_BITS;
}

static uint64_t radix_last_page(struct radix_range range)
{
    return radix_first_page(range) + (range.size >> RADIX_PAGE_BITS) - 1;
}

int jdb__radix_add(struct radix *radix, struct radix_range range, void *object, bool (*is_gone)(const void *object),
                   const struct radix_memory *memory)
{
    JDB_ASSERT(object != NULL && ((uintptr_t)object & RADIX_IS_OBJECT) == 0);
    const uint64_t first = radix_first_page(range);
    const uint64_t last = radix_last_page(range);
    if (last >> (RADIX_ADDRESS_BITS - RADIX_PAGE_BITS) != 0)
        return -ERANGE;
    if (radix_is_taken(radix->top, 0, first, last, is_gone))
        return -EEXIST;
    const int err = radix_fill(radix->top, 0, first, last, (uintptr_t)object | RADIX_IS_OBJECT, memory);
    if (err != 0)
        radix_fill(radix->top, 0, first, last, 0, memory);
    return err;
}

void jdb__radix_remove(struct radix *radix, struct radix_range range)
{
    radix_fill(radix->top, 0, radix_first_page(range), radix_last_page(range), 0, NULL);
}

static void radix_free_tables(radix_entry *table, unsigned level, const struct radix_memory *memory)
{
    JDB_ASSERT(level < RADIX_LEVEL_COUNT);
    for (size_t i = 0; i < (size_t)1 << radix_table_bits[level]; i++) {
        const uintptr_t word = atomic_load_explicit(&table[i], memory_order_relaxed);
        if (word != 0 && (word & RADIX_IS_OBJECT) == 0) {
            radix_free_tables(radix_table_of(word), level + 1, memory);
            memory->free(radix_table_of(word));
        }
        atomic_store_explicit(&table[i], 0, memory_order_relaxed);
    }
}

void jdb__radix_free(struct radix *radix, const struct radix_memory *memory)
{
    radix_free_tables(radix->top, 0, memory);
}
