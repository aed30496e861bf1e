/* SPDX-License-Identifier: MIT
 *
 * record.c - see record.h.
 */
#include "cp/record.h"

#include "base/sizes.h"
#include "cp/identity.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define RECORD_MAGIC "dio-cp part 1\n\n"

_Static_assert(sizeof(struct record) == 72 && sizeof(struct record) <= RECORD_ROOM, "the record is a format on disk");

static uint64_t record_hash(const struct record *record)
{
    return XXH3_64bits(record, offsetof(struct record, check));
}

struct record record_make(const struct side *source, int64_t source_offset, int64_t length)
{
    struct record record = {.magic = RECORD_MAGIC,
                            .place = source->stat.st_rdev,
                            .size = source->size,
                            .offset = source_offset,
                            .length = length};
    /* The mtime of a device node says nothing of its content. */
    if (!source->is_device) {
        record.place = identity_of_file_system(source->plain, &source->stat);
        record.inode = source->stat.st_ino;
        record.modified_ns = (int64_t)source->stat.st_mtim.tv_sec * 1000000000 + source->stat.st_mtim.tv_nsec;
    }
    record.check = record_hash(&record);
    return record;
}

int64_t record_offset(int64_t length, int64_t write_align)
{
    return round_up(length, larger(RECORD_ROOM, write_align));
}

int record_write(const struct record *record, int fd, int64_t offset)
{
    if (ftruncate(fd, offset + RECORD_ROOM) != 0)
        return -errno;
    const ssize_t put = pwrite(fd, record, sizeof *record, offset);
    return put == (ssize_t)sizeof *record ? 0 : put < 0 ? -errno : -ENOSPC;
}

bool record_read(struct record *record, int fd, int64_t file_size)
{
    const off_t offset = file_size - RECORD_ROOM;
    return offset >= 0 && pread(fd, record, sizeof *record, offset) == (ssize_t)sizeof *record &&
           memcmp(record->magic, RECORD_MAGIC, sizeof record->magic) == 0 && record->check == record_hash(record);
}

bool record_is_same(const struct record *a, const struct record *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
