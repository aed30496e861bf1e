/* SPDX-License-Identifier: MIT
 *
 * file.c - modes, limits and size of an open file.
 */
#include "file/file_internal.h"
#include "base/bits.h"
#include "base/check.h"
#include "direct/direct_internal.h"
#include "os/os.h"

/* ---- Modes -------------------------------------------------------------------------------------------------- */

static uint32_t file_plain_mode(const jdb_file *file)
{
    return atomic_load_explicit(&file->is_uncached, memory_order_relaxed) ? JDB_FILE_MODE_UNCACHED
                                                                          : JDB_FILE_MODE_BUFFERED;
}

uint32_t jdb_file_read_mode(const jdb_file *file)
{
    if (file == NULL)
        return JDB_FILE_MODE_BUFFERED;
    JDB_ASSERT(!file->is_read_direct || file->direct_read_mode <= JDB_FILE_MODE_UNKNOWN); /* I2 */
    return file->is_read_direct ? file->direct_read_mode : file_plain_mode(file);
}

uint32_t jdb_file_durability(const jdb_file *file)
{
    return file != NULL ? file->options.durability : 0;
}

uint32_t jdb_file_write_mode(const jdb_file *file)
{
    if (file == NULL)
        return JDB_FILE_MODE_BUFFERED;
    JDB_ASSERT(!file->is_write_direct || file->direct_write_mode <= JDB_FILE_MODE_UNKNOWN); /* I2 */
    return file->is_write_direct ? file->direct_write_mode : file_plain_mode(file);
}

uint32_t jdb__file_mode(const jdb_file *file)
{
    const uint32_t read_mode = (file->options.access & JDB_FILE_READ) != 0 ? jdb_file_read_mode(file) : 0;
    const uint32_t write_mode = (file->options.access & JDB_FILE_WRITE) != 0 ? jdb_file_write_mode(file) : 0;
    return (uint32_t)bits_max(read_mode, write_mode);
}

const char *jdb_file_reason(const jdb_file *file)
{
    return file != NULL ? file->reason : "no file";
}

int jdb_file_descriptor(const jdb_file *file)
{
    if (file == NULL)
        return -EINVAL;
    return file->is_read_direct || file->is_write_direct ? file->direct_fd : file->plain_fd;
}

/* ---- Limits ------------------------------------------------------------------------------------------------- */

static int file_override_limits(const jdb_file_options *options, jdb_direct *limits)
{
    const int err = jdb_direct_override(limits, options->memory_align, options->write_align, options->read_align);
    return err == 0 && options->pretend_align != 0 ? jdb_direct_pretend(limits, options->pretend_align) : err;
}

int jdb__file_query_limits(const jdb_file_options *options, int fd, jdb_direct *limits)
{
    const int err = jdb_direct_limits(fd, limits);
    return err == 0 ? file_override_limits(options, limits) : err;
}

int jdb__file_find_limits(const jdb_file_options *options, int fd, const struct jdb__os_file_stat *stat, bool is_direct,
                          jdb_direct *limits)
{
    const int err = jdb__direct_find_limits(fd, stat, is_direct, limits);
    return err == 0 ? file_override_limits(options, limits) : err;
}

static void file_raise_align(_Atomic uint32_t *align, uint32_t value)
{
    uint32_t known = atomic_load_explicit(align, memory_order_relaxed);
    while (known < value &&
           !atomic_compare_exchange_weak_explicit(align, &known, value, memory_order_relaxed, memory_order_relaxed))
        continue;
}

void jdb__file_raise_aligns(jdb_file *file, const jdb_direct *now)
{
    JDB_ASSERT(direct_has_aligns(now)); /* I3 */
    file_raise_align(&file->memory_align, now->memory_align);
    file_raise_align(&file->write_align, now->write_align);
    file_raise_align(&file->read_align, now->read_align);
}

int jdb_file_limits(jdb_file *file, jdb_direct *ret_limits)
{
    if (file == NULL || ret_limits == NULL || jdb__sized_check(&direct_form, ret_limits) != 0)
        return -EINVAL;
    jdb_direct now = file->limits;
    if (file->direct_fd >= 0) {
        const int err = jdb__file_query_limits(&file->options, file->direct_fd, &now);
        if (err != 0)
            return err;
        jdb__file_raise_aligns(file, &now);
    }
    return jdb__sized_write(&direct_form, &now, ret_limits);
}

int jdb_file_known_limits(const jdb_file *file, jdb_direct *ret_limits)
{
    if (file == NULL || ret_limits == NULL || jdb__sized_check(&direct_form, ret_limits) != 0)
        return -EINVAL;
    jdb_direct known = file->limits;
    known.memory_align = atomic_load_explicit(&file->memory_align, memory_order_relaxed);
    known.write_align = atomic_load_explicit(&file->write_align, memory_order_relaxed);
    known.read_align = atomic_load_explicit(&file->read_align, memory_order_relaxed);
    return jdb__sized_write(&direct_form, &known, ret_limits);
}

/* ---- Size --------------------------------------------------------------------------------------------------- */

int jdb_file_size(const jdb_file *file, int64_t *ret_size)
{
    if (file == NULL || ret_size == NULL)
        return -EINVAL;
    if (file->limits.is_device != 0)
        return jdb__os_device_size(file->plain_fd, ret_size);
    struct jdb__os_file_stat stat;
    const int err = jdb__os_file_stat(file->plain_fd, &stat);
    if (err == 0)
        *ret_size = stat.size;
    return err;
}

struct jdb__file_span jdb__file_span_of(const jdb_file *file, uint64_t start, uint64_t end)
{
    return (struct jdb__file_span){.device = file->device, .inode = file->inode, .start = start, .end = end};
}

/* A block that is being modified would be written back whole, behind the new end: the truncate waits for it. */
int jdb_file_truncate(jdb_file *file, int64_t size)
{
    if (file == NULL || size < 0)
        return -EINVAL;
    const uint32_t align = atomic_load_explicit(&file->write_align, memory_order_relaxed);
    struct jdb__file_span span = jdb__file_span_of(file, bits_round_down((uint64_t)size, align), UINT64_MAX);
    jdb__file_span_take(&span);
    const int err = jdb__os_file_truncate(file->plain_fd, size);
    jdb__file_span_give(&span);
    return err;
}

int jdb__file_free_space(jdb_file *file, int64_t from, int64_t to)
{
    const uint32_t align = atomic_load_explicit(&file->write_align, memory_order_relaxed);
    struct jdb__file_span span = jdb__file_span_of(file, bits_round_down((uint64_t)from, align), UINT64_MAX);
    int64_t size = 0;
    jdb__file_span_take(&span);
    int err = jdb_file_size(file, &size);
    if (err == 0 && size < to)
        err = jdb__os_file_truncate(file->plain_fd, size);
    jdb__file_span_give(&span);
    return err;
}

int jdb_file_sync_directory(const char *path)
{
    return path != NULL ? jdb__os_directory_sync(path) : -EINVAL;
}
