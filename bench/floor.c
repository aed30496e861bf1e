/* SPDX-License-Identifier: MIT */
#include "floor.h"

int floor_with_cap(floor_buf *buf, size_t cap)
{
    (void)buf;
    (void)cap;
    return 0;
}

void floor_drop(floor_buf *buf)
{
    (void)buf;
}

int floor_get(void *pool, floor_frame *ret_frame)
{
    (void)pool;
    (void)ret_frame;
    return 0;
}

int floor_get_n(void *pool, uint32_t frame_count, floor_frame *ret_frames)
{
    (void)pool;
    (void)frame_count;
    (void)ret_frames;
    return 0;
}

int floor_put(void *pool, floor_frame frame)
{
    (void)pool;
    (void)frame;
    return 0;
}

int floor_put_n(void *pool, const floor_frame *frames, uint32_t frame_count)
{
    (void)pool;
    (void)frames;
    (void)frame_count;
    return 0;
}
