/* SPDX-License-Identifier: MIT
 *
 * bad_block.c - see bad_block.h.
 */
#include "cp/bad_block.h"

#include "base/interrupt.h"
#include "base/sizes.h"

#include <jdb_alloc/buf.h>

#include <unistd.h>

/* Through the page cache whole pages fail. */
#define BLOCK_SIZE_BUFFERED ((int64_t)4096)

int64_t bad_block_find(const struct side *side, int64_t start, int64_t end)
{
    const int64_t size = side->mode == SIDE_DIRECT ? larger(side->read_align, side->memory_align) : BLOCK_SIZE_BUFFERED;
    int64_t found = start;
    jdb_buf block;
    if (jdb_buf_with_cap(&block, (size_t)size) != 0)
        return start;
    for (int64_t at = round_down(start, size); at < end && interrupt_signal() == 0; at += size) {
        if (pread(jdb_file_descriptor(side_file(side)), block.ptr, (size_t)size, (off_t)at) >= 0)
            continue;
        found = larger(at, start);
        break;
    }
    jdb_buf_drop(&block);
    return found;
}
