/* SPDX-License-Identifier: MIT
 *
 * extent.c - which parts of a file are data, and space for more.
 */
#include "file/file_internal.h"
#include "os/os.h"

#include <errno.h>

/* A FUSE daemon answers for what has come to it. */
static int extent_check(const jdb_file *file)
{
    uint32_t magic = 0;
    const int err = jdb__os_file_system(file->plain_fd, &magic);
    return err == 0 && magic == OS_FUSE_MAGIC ? -ENOTSUP : err;
}

int jdb_file_find_data(const jdb_file *file, int64_t offset, jdb_range *ret_data)
{
    if (file == NULL || offset < 0 || ret_data == NULL)
        return -EINVAL;
    int64_t start = 0;
    int64_t end = 0;
    int err = extent_check(file);
    if (err == 0)
        err = jdb__os_file_find_data(file->plain_fd, offset, &start, &end);
    if (err == -ENXIO) {
        err = jdb_file_size(file, &start);
        end = start;
    }
    if (err != 0)
        return err == -EINVAL ? -ENOTSUP : err;
    *ret_data = (jdb_range){.offset = start, .size = (uint64_t)(end - start)};
    return 0;
}

int jdb_file_preallocate(jdb_file *file, int64_t offset, uint64_t size)
{
    if (file == NULL || offset < 0 || size == 0)
        return -EINVAL;
    if (size > (uint64_t)(INT64_MAX - offset))
        return -EOVERFLOW;
    if ((uint64_t)offset + size > jdb__os_file_size_limit()) /* where the system would raise SIGXFSZ, as tmpfs does */
        return -EFBIG;
    const int err = jdb__os_file_allocate(file->plain_fd, offset, size);
    return err == -EOPNOTSUPP || err == -ENOSYS ? -ENOTSUP : err;
}
