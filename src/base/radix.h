/* SPDX-License-Identifier: MIT
 *
 * radix.h - from an address to the object whose memory it lies in: a tree over the 48 bits of a user address.
 *
 * The tree is laid out as page tables are: three levels; an entry is empty, names an object, or leads to a table of the
 * next level. An entry of any level can name an object that covers all of it, so terabytes cost a few entries, and a
 * look-up of memory in units of 2 MiB reads two words.
 *
 *     bits of the address   47..34          33..21          20..12
 *     level                 0, 16 GiB each  1, 2 MiB each   2, 4 KiB each
 *
 * Invariants:
 *   - ranges are whole pages of 4096 bytes below 2^48; two objects share no page
 *   - an object's address is even: the lowest bit of an entry is 1 for an object and 0 for a table
 *   - an entry changes by one store with release order; a table, once allocated, stays until jdb__radix_free()
 *
 * Thread safety: jdb__radix_find() takes no lock and may run beside one writer; writers are serialised by the caller.
 * The caller guarantees that the object found stays alive.
 */
#ifndef JDB_BASE_RADIX_H
#define JDB_BASE_RADIX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RADIX_PAGE_BITS 12u
#define RADIX_ADDRESS_BITS 48u
#define RADIX_TOP_BITS 14u

/* All zero is an empty tree. */
struct radix {
    _Atomic uintptr_t top[1u << RADIX_TOP_BITS];
};

/* Where tables come from. */
struct radix_memory {
    int (*alloc)(size_t size, void **ret_ptr); /* zeroed; 0 or a negative errno */
    void (*free)(void *ptr);
};

/* A range of whole pages. */
struct radix_range {
    const void *ptr;
    uint64_t size; /* bytes, above 0 */
};

/* The object whose range holds ptr, or NULL. */
void *jdb__radix_find(const struct radix *radix, const void *ptr);

/* Enter an object for a range. is_gone: whether the memory of an entered object does not exist any more, so that the
 * object may be replaced; NULL: all exist. -EEXIST: another object has a page of the range; -ERANGE: the range ends
 * past 2^48; else what memory->alloc returned. On failure nothing changed, except that objects which are gone may
 * have left the range. */
int jdb__radix_add(struct radix *radix, struct radix_range range, void *object, bool (*is_gone)(const void *object),
                   const struct radix_memory *memory);

/* Empty a range. */
void jdb__radix_remove(struct radix *radix, struct radix_range range);

/* Free all tables; the tree is empty then. */
void jdb__radix_free(struct radix *radix, const struct radix_memory *memory);

#endif
