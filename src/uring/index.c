/* SPDX-License-Identifier: MIT
 *
 * index.c - which range an address lies in. A range that is smaller than its last page still owns that page.
 */
#include "base/bits.h"
#include "os/os_uring.h"
#include "uring/state.h"

static const struct radix_memory memory = {jdb__ring_alloc, jdb__ring_free};

static struct radix_range pages_of(const struct uring_range *range)
{
    return (struct radix_range){range->ptr, bits_round_up(range->max_size, JDB_PAGE_SIZE)};
}

int jdb__uring_index_add(jdb_uring *door, struct uring_range *range)
{
    const int err = jdb__radix_add(&door->index, pages_of(range), range, NULL, &memory);
    return err == -ERANGE ? -ENOTSUP : err;
}

void jdb__uring_index_remove(jdb_uring *door, const struct uring_range *range)
{
    jdb__radix_remove(&door->index, pages_of(range));
}

struct uring_range *jdb__uring_index_find(jdb_uring *door, const void *ptr)
{
    struct uring_range *const range = jdb__radix_find(&door->index, ptr);
    if (range == NULL || (uintptr_t)ptr - (uintptr_t)range->ptr >= range->size)
        return NULL;
    door->last = range;
    return range;
}

void jdb__uring_index_free(jdb_uring *door)
{
    jdb__radix_free(&door->index, &memory);
}
