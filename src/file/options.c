/* SPDX-License-Identifier: MIT
 *
 * options.c - the options of a file: their defaults, and which are valid. Pure.
 */
#include "base/bits.h"
#include "base/sized.h"
#include "file/file_internal.h"

SIZED_FORM(file_options_form, jdb_file_options, 48, 80);

#define FILE_ACCESS_BOTH (uint32_t)(JDB_FILE_READ | JDB_FILE_WRITE)
#define FILE_ACCESS_CREATES (uint32_t)(JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE | JDB_FILE_TRUNCATE)
#define FILE_FLAGS_KNOWN \
    (uint32_t)(JDB_FILE_ACCEPT_UNKNOWN | JDB_FILE_NO_COPY | JDB_FILE_NO_UNCACHED | JDB_FILE_TAKE_FD)

static bool file_access_is_valid(uint32_t access)
{
    if ((access & ~(FILE_ACCESS_BOTH | FILE_ACCESS_CREATES)) != 0 || (access & FILE_ACCESS_BOTH) == 0)
        return false;
    if ((access & FILE_ACCESS_CREATES) != 0 && (access & JDB_FILE_WRITE) == 0)
        return false;
    return (access & JDB_FILE_EXCLUSIVE) == 0 || (access & JDB_FILE_CREATE) != 0;
}

static bool file_align_is_valid(uint32_t align)
{
    return align == 0 || bits_is_pow2(align);
}

static bool file_options_are_valid(const jdb_file_options *options)
{
    return file_access_is_valid(options->access) && options->policy <= JDB_FILE_DIRECT_OFF &&
           options->tail <= JDB_FILE_TAIL_READ_MODIFY_WRITE && options->durability <= JDB_FILE_DURABLE_SYNC &&
           (options->flags & ~FILE_FLAGS_KNOWN) == 0 && file_align_is_valid(options->memory_align) &&
           file_align_is_valid(options->write_align) && file_align_is_valid(options->read_align) &&
           file_align_is_valid(options->pretend_align);
}

int jdb__file_read_options(const jdb_file_options *given, jdb_file_options *ret_options)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    const int err = given != NULL ? jdb__sized_read(&file_options_form, given, &options) : 0;
    if (err != 0)
        return err;
    if (options.access == 0)
        options.access = JDB_FILE_READ;
    if (options.permissions == 0)
        options.permissions = FILE_PERMISSIONS_DEFAULT;
    if (options.copy_size == 0)
        options.copy_size = FILE_COPY_SIZE_DEFAULT;
    if (!file_options_are_valid(&options))
        return -EINVAL;
    *ret_options = options;
    return 0;
}
