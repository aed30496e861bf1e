/* SPDX-License-Identifier: MIT
 *
 * sized.h - the one protocol of public structs that carry their size: options, reports, limits, statistics.
 *
 * Such a struct begins with `uint32_t size`, its bytes as the caller knows it, and ends with an array `reserved` that
 * newer versions use for fields. Caller and library may be of different versions:
 *
 *   read   (options)  fields that an older caller lacks are 0, the default; what a newer caller has beyond what this
 *                     library knows must be 0, else -E2BIG: the library cannot do what it does not know
 *   write  (reports)  the caller gets the fields that both know, 0 in those that only the caller knows, and keeps its
 *          size
 *   both              a size below `least` is -EINVAL, and nothing is written
 *
 * `least` is the size that the first release of the struct needs, a number that never changes: written with sizeof it
 * would grow with the struct and refuse the very callers that it is for. SIZED_FORM() checks the number against the
 * layout when this library is compiled.
 */
#ifndef JDB_BASE_SIZED_H
#define JDB_BASE_SIZED_H

#include <stddef.h>
#include <stdint.h>

/* What the library knows of a struct. Bytes. */
struct sized_form {
    uint32_t least;    /* smallest size of a caller that is served */
    uint32_t reserved; /* from here on nothing is known: offset of `reserved` */
    uint32_t size;     /* sizeof */
};

#define SIZED_SMALLER(a, b) ((a) < (b) ? (a) : (b))

/* The form of a struct. least, size: frozen numbers of the layout with pointers of 8 bytes; with smaller ones the fields of the
 * first release may end earlier. */
#define SIZED_FORM(name, type, least_bytes, bytes)                                                 \
    _Static_assert(sizeof(void *) != 8 || sizeof(type) == (bytes), #type " keeps its size");       \
    _Static_assert(offsetof(type, size) == 0, #type " begins with its size");                      \
    _Static_assert(sizeof(void *) != 8 || (least_bytes) <= offsetof(type, reserved),               \
                   #type " takes room from `reserved`");                                           \
    static const struct sized_form name = {SIZED_SMALLER((least_bytes), offsetof(type, reserved)), \
                                           offsetof(type, reserved), sizeof(type)}

/* Read a caller's options into *known, a struct of form->size bytes with known->size set to that. -EINVAL, -E2BIG:
 * nothing is written. */
int jdb__sized_read(const struct sized_form *form, const void *given, void *known);

/* Whether a caller's report can be written: -EINVAL when it is too small. */
int jdb__sized_check(const struct sized_form *form, const void *report);

/* Write `filled`, a struct of form->size bytes, into a caller's report. -EINVAL: nothing is written. */
int jdb__sized_write(const struct sized_form *form, const void *filled, void *report);

#endif
