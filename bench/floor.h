/* SPDX-License-Identifier: MIT
 *
 * floor.h - what a program pays for calling at all: functions of jdb_buf's signature with empty bodies, in a shared
 * library. A block keeps the address it had before, so rows that touch memory give it one first.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>

typedef struct floor_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
} floor_buf;

int floor_with_cap(floor_buf *buf, size_t cap);
void floor_drop(floor_buf *buf);

#endif
