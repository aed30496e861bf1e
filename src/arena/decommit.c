/* SPDX-License-Identifier: MIT
 *
 * decommit.c - gives the memory of frames back to the system; they stay usable and read as zero.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "base/memcheck.h"
#include "os/os.h"

static bool arena_is_on_hugetlb(const jdb_arena *arena, uint64_t start, uint64_t end)
{
    for (const struct arena_part *part = arena->parts; part != NULL; part = part->next)
        if (arena_is_hugetlb(part->kind) && part->start < end && start < part->start + part->size)
            return true;
    return false;
}

/* Whole pages [start, end) go back. */
static int arena_give_back(const jdb_arena *arena, uint64_t start, uint64_t end)
{
    uint8_t *const ptr = arena->region.base + start;
    int err = 0;
    if (arena->fd >= 0) {
        err = jdb__os_memfd_punch(arena->fd, (int64_t)start, (int64_t)(end - start));
        return err == -EPERM ? -ENOTSUP : err; /* sealed */
    }
    err = jdb__os_decommit(ptr, end - start);
    if (err == -EINVAL) /* locked */
        err = jdb__os_decommit_locked(ptr, end - start);
    return err == -EINVAL ? -ENOTSUP : err;
}

/* The bytes [start, end): whole pages go back, what is left at both ends is zeroed. */
static int arena_decommit_bytes(const jdb_arena *arena, uint64_t start, uint64_t end, uint64_t *ret_bytes)
{
    const uint64_t page = jdb__os_page_size();
    uint64_t first = bits_round_up(start, page);
    uint64_t last = bits_round_down(end, page);
    if (first >= last) { /* no whole page */
        first = end;
        last = end;
    }
    const int err = first < last ? arena_give_back(arena, first, last) : 0;
    if (err != 0)
        return err;
    /* By memcheck_zero(), as the frames may be free ones of a pool. */
    memcheck_zero(arena->region.base + start, first - start);
    memcheck_zero(arena->region.base + last, end - last);
    *ret_bytes = last - first;
    return 0;
}

static int arena_decommit(jdb_arena *arena, uint32_t first, uint32_t count, uint64_t *ret_bytes)
{
    const uint64_t start = first * arena->region.stride;
    const uint64_t end = start + count * arena->region.stride;
    JDB_ASSERT(lock_is_held(&arena->region.lock)); /* R6 */
    JDB_ASSERT(end <= arena->usable_bytes);        /* R8 */
    if (jdb__arena_is_held(arena, start, end))
        return -EBUSY;
    if (arena->mapping == NULL || arena_is_on_hugetlb(arena, start, end))
        return -ENOTSUP;
    int err = jdb__pins_block(&arena->region.pins, first, count);
    if (err != 0)
        return err;
    err = arena_decommit_bytes(arena, start, end, ret_bytes);
    jdb__pins_unblock(&arena->region.pins, first, count);
    return err;
}

int jdb_arena_decommit(jdb_arena *arena, uint32_t first, uint32_t count, uint64_t *ret_bytes)
{
    if (!arena_is_here(arena) || count == 0)
        return count == 0 ? -EINVAL : arena_not_here(arena);
    const uint32_t usable = arena_usable_count(arena);
    if (first >= usable || count > usable - first)
        return -ERANGE;
    uint64_t bytes = 0;
    lock_take(&arena->region.lock);
    const int err = arena_decommit(arena, first, count, &bytes);
    lock_release(&arena->region.lock);
    if (err == 0 && ret_bytes != NULL)
        *ret_bytes = bytes;
    return err;
}
