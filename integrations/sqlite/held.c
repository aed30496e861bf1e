/* SPDX-License-Identifier: MIT
 *
 * held.c - writes that are held to be written as one.
 */
#include "held.h"

#include <string.h>

#define HELD_MAX ((size_t)512 << 10) /* bytes */

bool held_add(struct held *held, const void *bytes, size_t size, int64_t offset)
{
    if (held->size != 0 && offset != held->offset + (int64_t)held->size)
        return false;
    if (held->memory.cap == 0 && jdb_buf_with_cap(&held->memory, HELD_MAX) != 0)
        return false;
    if (size > held->memory.cap - held->size)
        return false;
    if (held->size == 0)
        held->offset = offset;
    memcpy(held->memory.ptr + held->size, bytes, size);
    held->size += size;
    return true;
}

bool held_overlaps(const struct held *held, size_t size, int64_t offset)
{
    return held->size != 0 && offset < held->offset + (int64_t)held->size && held->offset < offset + (int64_t)size;
}

bool held_read(const struct held *held, void *bytes, size_t size, int64_t offset)
{
    const uint64_t skip = (uint64_t)offset - (uint64_t)held->offset; /* wraps to more than size in front of the bytes */
    if (skip >= held->size || size > held->size - skip)
        return false;
    memcpy(bytes, held->memory.ptr + skip, size);
    return true;
}

void held_cut(struct held *held, int64_t offset)
{
    if (offset <= held->offset)
        held->size = 0;
    else if (held_overlaps(held, 1, offset))
        held->size = (size_t)(offset - held->offset);
}

void held_free(struct held *held)
{
    jdb_buf_drop(&held->memory);
}
