/* SPDX-License-Identifier: MIT
 *
 * sizes.h - sizes of files and transfers: rounded, read from the command line, printed. No I/O.
 */
#ifndef DIO_SIZES_H
#define DIO_SIZES_H

#include "base/invariant.h"

#include <stddef.h>
#include <stdint.h>

/* Offsets are never negative here; align is a power of two. */
static inline int64_t round_down(int64_t value, int64_t align)
{
    DIO_ASSERT(value >= 0 && align > 0 && (align & (align - 1)) == 0);
    return value & ~(align - 1);
}

static inline int64_t round_up(int64_t value, int64_t align)
{
    return round_down(value + align - 1, align);
}

/* The least power of two that is not below value; value: at most 2^62. */
static inline int64_t power_of_two(int64_t value)
{
    DIO_ASSERT(value <= INT64_C(1) << 62);
    int64_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* "4096", "64K", "1M", "2G", "1T" (powers of 1024; "KiB" and so on are accepted). 0, or -EINVAL. */
int size_parse(const char *text, int64_t *ret_size);

/* Room for any text of size_text and time_text. */
#define SIZE_TEXT_SIZE 32

/* "512 bytes", "1.5 MB", "3.2 GB": powers of 1000. Returns text. */
const char *size_text(int64_t bytes, char text[SIZE_TEXT_SIZE]);

/* "4 KiB", "1 MiB", "1536 bytes": exact, in the largest power of 1024 that divides it. Returns text. */
const char *size_text_exact(int64_t bytes, char text[SIZE_TEXT_SIZE]);

#endif
