/* SPDX-License-Identifier: MIT
 *
 * ahead.c - reads ahead of a scan.
 */
#include "ahead.h"

#include <string.h>

#define COUNT_MIN 4u                    /* requests that make a scan */
#define SKIP_MAX 4u                     /* requests that it may skip: pages that SQLite has already */
#define WINDOW_MIN ((uint64_t)64 << 10) /* bytes; twice as many each time */
#define WINDOW_MAX ((uint64_t)512 << 10)

void ahead_forget(struct ahead *ahead)
{
    ahead->size = 0;
}

void ahead_free(struct ahead *ahead)
{
    jdb_buf_drop(&ahead->memory);
}

static void ahead_observe(struct ahead *ahead, uint64_t size, int64_t offset)
{
    const bool is_scan = offset >= ahead->next && (uint64_t)(offset - ahead->next) <= SKIP_MAX * size;
    ahead->count = is_scan ? ahead->count + 1 : 0;
    ahead->next = offset + (int64_t)size;
    if (!is_scan || ahead->window == 0)
        ahead->window = WINDOW_MIN;
}

static bool ahead_copy(const struct ahead *ahead, jdb_raw *view, int64_t offset)
{
    const uint64_t skip =
        (uint64_t)offset - (uint64_t)ahead->offset; /* wraps to more than size in front of the bytes */
    if (skip >= ahead->size || view->cap > ahead->size - skip)
        return false;
    memcpy(view->ptr, ahead->memory.ptr + skip, view->cap);
    view->len = view->cap;
    return true;
}

static bool ahead_fill(struct ahead *ahead, jdb_file *file, int64_t offset, jdb_file_report *report)
{
    if (ahead->memory.cap == 0 && jdb_buf_with_cap(&ahead->memory, WINDOW_MAX) != 0)
        return false;
    jdb_raw view = jdb_raw_new(ahead->memory.ptr, ahead->window);
    ahead->size = 0;
    if (jdb_file_read_full(file, &view, offset, report) != 0)
        return false;
    ahead->offset = offset;
    ahead->size = view.len;
    ahead->window = ahead->window < WINDOW_MAX ? ahead->window * 2 : WINDOW_MAX;
    return true;
}

bool ahead_read(struct ahead *ahead, jdb_file *file, jdb_raw *view, int64_t offset, jdb_file_report *report)
{
    if (ahead->is_off)
        return false;
    ahead_observe(ahead, view->cap, offset);
    if (ahead_copy(ahead, view, offset))
        return true;
    return ahead->count >= COUNT_MIN && ahead_fill(ahead, file, offset, report) && ahead_copy(ahead, view, offset);
}
