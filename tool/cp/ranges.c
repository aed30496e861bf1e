/* SPDX-License-Identifier: MIT
 *
 * ranges.c - see ranges.h.
 */
#include "cp/ranges.h"

#include "base/refusal.h"
#include "base/sizes.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <unistd.h>

/* Adds [start, end), or makes the last range longer where they touch. False: no memory. */
static bool add_range(struct ranges *ranges, int64_t start, int64_t end)
{
    DIO_ASSERT(start >= 0 && start < end);
    DIO_ASSERT(ranges->count == 0 || ranges->items[ranges->count - 1].end <= end);
    if (ranges->count > 0 && ranges->items[ranges->count - 1].end >= start) {
        struct range *const last = &ranges->items[ranges->count - 1];
        ranges->total += end - last->end;
        last->end = end;
        return true;
    }
    if (ranges->count == ranges->room) {
        const size_t room = ranges->room == 0 ? 16 : ranges->room * 2;
        struct range *const items = realloc(ranges->items, room * sizeof *items);
        if (items == NULL)
            return false;
        ranges->items = items;
        ranges->room = room;
    }
    ranges->items[ranges->count++] = (struct range){start, end};
    ranges->total += end - start;
    return true;
}

/* A FUSE daemon answers for what has come to it: pages that the kernel keeps (writeback cache), or writes that the daemon itself
 * delays (GlusterFS), are holes to it. Returns whether its answers hold from now on. */
static bool make_holes_true(const struct side *source)
{
    return source->file_system != FUSE_SUPER_MAGIC || fdatasync(source->plain) == 0;
}

/* The next data at or after `from` in SRC. 1 found, 0 none, -errno. */
static int next_data(int fd, int64_t from, int64_t end, int64_t *ret_start, int64_t *ret_end)
{
    const off_t start = lseek(fd, from, SEEK_DATA);
    if (start < 0)
        return errno == ENXIO ? 0 : -errno;
    if (start >= end)
        return 0;
    const off_t stop = lseek(fd, start, SEEK_HOLE);
    if (stop < 0)
        return errno == ENXIO ? 0 : -errno;
    *ret_start = start;
    *ret_end = smaller(stop, end);
    return 1;
}

int ranges_find(struct ranges *ranges, struct outcome *outcome, const struct side *source, int64_t source_offset,
                int64_t length, int64_t align, bool keep_holes)
{
    *ranges = (struct ranges){0};
    if (length == 0)
        return 0;
    const int64_t source_end = source_offset + length;
    int64_t position = source_offset;
    bool has_memory = true;
    keep_holes = keep_holes && make_holes_true(source);
    while (keep_holes && has_memory && position < source_end) {
        int64_t start = 0;
        int64_t end = 0;
        const int found = next_data(source->plain, position, source_end, &start, &end);
        if (found == 0)
            return 0;
        if (means_refused(-found)) {
            keep_holes = false;
            break;
        }
        if (found < 0)
            return outcome_fail_path(outcome, -found, "find the holes of", source->path);
        if (start < end) /* else a hole was made there meanwhile */
            has_memory = add_range(ranges, round_down(start - source_offset, align),
                                   smaller(round_up(end - source_offset, align), length));
        position = end;
    }
    if (!keep_holes) {
        ranges->count = 0;
        ranges->total = 0;
        has_memory = add_range(ranges, 0, length);
    }
    return has_memory ? 0 : outcome_fail(outcome, DIO_EXIT_FAILED, ENOMEM, "no memory for the list of holes");
}

void ranges_done(struct ranges *ranges)
{
    free(ranges->items);
    *ranges = (struct ranges){0};
}

bool transfer_next(struct transfer_cursor *cursor, const struct ranges *ranges, int64_t block_size,
                   struct transfer *ret_transfer)
{
    if (cursor->range < ranges->count && cursor->position >= ranges->items[cursor->range].end)
        cursor->range++;
    if (cursor->range >= ranges->count)
        return false;
    const struct range range = ranges->items[cursor->range];
    const int64_t start = larger(cursor->position, range.start);
    const int64_t end = smaller(round_down(start, block_size) + block_size, range.end);
    DIO_ASSERT(start < end && round_down(start, block_size) == round_down(end - 1, block_size)); /* C4 */
    *ret_transfer = (struct transfer){.number = cursor->number++, .start = start, .size = end - start};
    cursor->position = end;
    return true;
}

size_t transfer_count(const struct ranges *ranges, int64_t block_size)
{
    size_t count = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        const struct range range = ranges->items[i];
        count += (size_t)((round_up(range.end, block_size) - round_down(range.start, block_size)) / block_size);
    }
    return count;
}
