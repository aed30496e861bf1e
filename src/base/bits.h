/* SPDX-License-Identifier: MIT
 *
 * bits.h - arithmetic on powers of two and on bits; the smaller and the larger of two. Pure.
 */
#ifndef JDB_BITS_H
#define JDB_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t bits_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t bits_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline bool bits_is_pow2(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* align: a power of two. */
static inline uint64_t bits_round_down(uint64_t value, uint64_t align)
{
    return value & ~(align - 1);
}

/* align: a power of two; value + align - 1 must not wrap. */
static inline uint64_t bits_round_up(uint64_t value, uint64_t align)
{
    return (value + (align - 1)) & ~(align - 1);
}

/* Index of the highest set bit. value != 0. */
static inline unsigned bits_highest(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value);
}

/* Index of the lowest set bit. value != 0. */
static inline unsigned bits_lowest(uint64_t value)
{
    return (unsigned)__builtin_ctzll(value);
}

#endif
