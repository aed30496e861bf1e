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

/* The same for jdb_pool. */
typedef struct floor_frame {
    uint8_t *ptr;
    uint32_t index;
    uint32_t gen;
} floor_frame;

int floor_get(void *pool, floor_frame *ret_frame);
int floor_get_n(void *pool, uint32_t frame_count, floor_frame *ret_frames);
int floor_put(void *pool, floor_frame frame);
int floor_put_n(void *pool, const floor_frame *frames, uint32_t frame_count);

#endif
