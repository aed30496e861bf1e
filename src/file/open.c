/* SPDX-License-Identifier: MIT
 *
 * open.c - opening a file by its policy, and closing it.
 */
#include "base/check.h"
#include "file/file_internal.h"
#include "os/fork_mark.h"
#include "os/os.h"

#include <stdio.h>

static uint32_t open_system_flags(const jdb_file_options *options)
{
    const uint32_t access = options->access;
    return ((access & JDB_FILE_READ) != 0 ? (uint32_t)OS_OPEN_READ : 0) |
           ((access & JDB_FILE_WRITE) != 0 ? (uint32_t)OS_OPEN_WRITE : 0) |
           ((access & JDB_FILE_CREATE) != 0 ? (uint32_t)OS_OPEN_CREATE : 0) |
           ((access & JDB_FILE_EXCLUSIVE) != 0 ? (uint32_t)OS_OPEN_EXCLUSIVE : 0);
}

/* ---- The plain descriptor ----------------------------------------------------------------------------------- */

static int open_refuse_kind(jdb_file_report *report)
{
    snprintf(report->text, sizeof report->text, "neither a regular file nor a block device");
    return -ENOTSUP;
}

static int open_identify(jdb_file *file, jdb_file_report *report)
{
    struct jdb__os_file_stat stat;
    const int err = jdb__os_file_stat(file->plain_fd, &stat);
    if (err != 0)
        return jdb__file_report_failure(report, "fstat", err);
    file->device = (uint64_t)stat.device_major << 32 | stat.device_minor;
    file->inode = stat.inode;
    return 0;
}

/* What is neither a regular file nor a block device is not opened where it is there already: that could wait for ever. With
 * EXCLUSIVE whatever is there is -EEXIST. */
static int open_plain(jdb_file *file, const char *path, jdb_file_report *report)
{
    const jdb_file_options *const options = &file->options;
    if ((options->access & JDB_FILE_EXCLUSIVE) == 0 && jdb__os_path_is_other(path))
        return open_refuse_kind(report);
    int err = jdb__os_file_open(path, open_system_flags(options), options->permissions, &file->plain_fd);
    if (err != 0)
        return jdb__file_report_failure(report, "open", err);
    jdb_direct limits = JDB_DIRECT_INIT;
    err = jdb__file_query_limits(options, file->plain_fd, &limits);
    if (err == -ENOTSUP)
        return open_refuse_kind(report);
    if (err != 0)
        return jdb__file_report_failure(report, "querying the limits", err);
    file->limits = limits;
    snprintf(file->reason, sizeof file->reason, "direct I/O is switched off");
    return open_identify(file, report);
}

/* A read of one byte shows whether the file takes RWF_DONTCACHE; a file that cannot be read is tried at its first write. */
static void open_try_uncached(jdb_file *file)
{
    bool is_uncached = (file->options.flags & JDB_FILE_NO_UNCACHED) == 0;
    uint8_t byte = 0;
    if (is_uncached && (file->options.access & JDB_FILE_READ) != 0)
        is_uncached = jdb__os_read_at(file->plain_fd, &byte, 1, 0, OS_IO_UNCACHED) >= 0;
    atomic_store_explicit(&file->is_uncached, is_uncached, memory_order_relaxed);
}

/* ---- The direct descriptor ---------------------------------------------------------------------------------- */

/* The same file with O_DIRECT; for reading too where the permissions allow it, as blocks are read to be modified. */
static int open_direct(jdb_file *file)
{
    const uint32_t access = open_system_flags(&file->options) & (OS_OPEN_READ | OS_OPEN_WRITE);
    int err = jdb__os_file_reopen(file->plain_fd, access | OS_OPEN_READ | OS_OPEN_DIRECT, &file->direct_fd);
    file->can_modify = err == 0;
    if (err == -EACCES && (access & OS_OPEN_READ) == 0)
        err = jdb__os_file_reopen(file->plain_fd, access | OS_OPEN_DIRECT, &file->direct_fd);
    return err;
}

int jdb__file_detach(const jdb_file *file)
{
    const uint32_t access = open_system_flags(&file->options) & (OS_OPEN_READ | OS_OPEN_WRITE);
    const uint32_t direct = access | OS_OPEN_DIRECT | (file->can_modify ? (uint32_t)OS_OPEN_READ : 0);
    const int err = jdb__os_file_detach(file->plain_fd, access);
    return err == 0 && file->direct_fd >= 0 ? jdb__os_file_detach(file->direct_fd, direct) : err;
}

/* A state of the limits as a mode of the file. Files that refuse or buffer are better served without O_DIRECT. */
static uint32_t open_mode_of(uint32_t state)
{
    return state == JDB_DIRECT_STATE_DIRECT    ? JDB_FILE_MODE_DIRECT
           : state == JDB_DIRECT_STATE_UNKNOWN ? JDB_FILE_MODE_UNKNOWN
                                               : JDB_FILE_MODE_BUFFERED;
}

/* Decide from the limits which direction is direct. */
static void open_set_modes(jdb_file *file)
{
    const uint32_t access = file->options.access;
    file->direct_read_mode = open_mode_of(file->limits.read_state);
    file->direct_write_mode = open_mode_of(file->limits.write_state);
    file->is_read_direct = (access & JDB_FILE_READ) != 0 && file->direct_read_mode != JDB_FILE_MODE_BUFFERED;
    file->is_write_direct = (access & JDB_FILE_WRITE) != 0 && file->direct_write_mode != JDB_FILE_MODE_BUFFERED;
}

static void open_refuse_direct(jdb_direct *limits, const char *reason)
{
    limits->state = JDB_DIRECT_STATE_REFUSED;
    limits->read_state = JDB_DIRECT_STATE_REFUSED;
    limits->write_state = JDB_DIRECT_STATE_REFUSED;
    limits->state_source = JDB_DIRECT_SOURCE_TRIAL;
    snprintf(limits->reason, sizeof limits->reason, "%.190s", reason);
}

/* Returns the error of opening the direct descriptor; the file works without it. */
static int open_try_direct(jdb_file *file, jdb_file_report *report)
{
    int err = open_direct(file);
    if (err != 0) {
        (void)jdb__file_report_failure(report, "open with O_DIRECT", err);
        snprintf(file->reason, sizeof file->reason, "%s", report->text);
        open_refuse_direct(&file->limits, file->reason);
        return err;
    }
    jdb_direct limits = JDB_DIRECT_INIT;
    err = jdb__file_query_limits(&file->options, file->direct_fd, &limits);
    if (err != 0) {
        (void)jdb__file_report_failure(report, "querying the limits", err);
        snprintf(file->reason, sizeof file->reason, "%s", report->text);
        return err;
    }
    file->limits = limits;
    snprintf(file->reason, sizeof file->reason, "%s", limits.reason);
    open_set_modes(file);
    if (file->is_read_direct || file->is_write_direct)
        return 0;
    err = jdb__os_file_close(file->direct_fd);
    file->direct_fd = -1;
    return err;
}

/* ---- The policy --------------------------------------------------------------------------------------------- */

/* A device is read, modified and written wherever it can be read: its size does not change, so nothing needs padding, and its
 * page cache takes no lock against direct writes of neighbouring blocks, as file systems do. */
static bool open_is_edge_plain(const jdb_file *file)
{
    const bool is_modified = file->limits.is_device != 0 || file->options.tail == JDB_FILE_TAIL_READ_MODIFY_WRITE;
    return !file->can_modify || !is_modified;
}

static bool open_is_plain_needed(const jdb_file *file)
{
    const uint32_t access = file->options.access;
    return ((access & JDB_FILE_READ) != 0 && !file->is_read_direct) ||
           ((access & JDB_FILE_WRITE) != 0 && (!file->is_write_direct || file->is_edge_plain));
}

/* REQUIRE: every direction that the file is open for is direct, or unknown where that is accepted. */
static int open_apply_policy(const jdb_file *file, int direct_err, jdb_file_report *report)
{
    const uint32_t worst =
        (file->options.flags & JDB_FILE_ACCEPT_UNKNOWN) != 0 ? JDB_FILE_MODE_UNKNOWN : JDB_FILE_MODE_DIRECT;
    if (file->options.policy != JDB_FILE_DIRECT_REQUIRE || jdb__file_mode(file) <= worst)
        return 0;
    report->call = direct_err != 0 ? "open" : NULL;
    snprintf(report->text, sizeof report->text,
             "direct I/O is required and the file is %s: %.180s; move the file, or use JDB_FILE_DIRECT_PREFER",
             jdb_file_mode_name(jdb__file_mode(file)), file->reason);
    return -ENOTSUP;
}

/* Errors that are not about O_DIRECT end the opening: without memory or descriptors nothing is known of the file. */
static bool open_is_fatal(int err)
{
    return err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}

/* The last step of opening: a file that is refused keeps its bytes. A device has no length. */
static int open_truncate(jdb_file *file, jdb_file_report *report)
{
    if ((file->options.access & JDB_FILE_TRUNCATE) == 0 || file->limits.is_device != 0)
        return 0;
    const int err = jdb__os_file_truncate(file->plain_fd, 0);
    return err == 0 ? 0 : jdb__file_report_failure(report, "truncate", err);
}

static int open_by_policy(jdb_file *file, const char *path, jdb_file_report *report)
{
    int err = open_plain(file, path, report);
    if (err != 0)
        return err;
    const int direct_err = file->options.policy != JDB_FILE_DIRECT_OFF ? open_try_direct(file, report) : 0;
    if (open_is_fatal(direct_err))
        return direct_err;
    file->is_edge_plain = open_is_edge_plain(file);
    if (open_is_plain_needed(file))
        open_try_uncached(file);
    jdb__file_raise_aligns(file, &file->limits);
    err = open_apply_policy(file, direct_err, report);
    return err == 0 ? open_truncate(file, report) : err;
}

/* ---- Open and close ----------------------------------------------------------------------------------------- */

static void open_report_mode(const jdb_file *file, jdb_file_report *report)
{
    report->mode = jdb__file_mode(file);
    report->call = NULL;
    report->err = 0;
    snprintf(report->text, sizeof report->text, "%s: %.250s", jdb_file_mode_name(report->mode), file->reason);
}

int jdb_file_open(const char *path, const jdb_file_options *options, jdb_file_report *ret_report, jdb_file **ret_file)
{
    jdb_file_options taken;
    if (path == NULL || ret_file == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    int err = jdb__file_read_options(options, &taken);
    if (err != 0)
        return err;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    void *memory = NULL;
    err = jdb__os_alloc(sizeof(jdb_file), &memory); /* zeroed */
    if (err != 0) {
        report.err = err;
        jdb__file_write_report(&report, ret_report);
        return err;
    }
    jdb_file *const file = memory;
    file->plain_fd = -1;
    file->direct_fd = -1;
    file->options = taken;
    atomic_store_explicit(&file->gate.owner, jdb__fork_mark(), memory_order_relaxed);
    err = open_by_policy(file, path, &report);
    if (err == 0)
        open_report_mode(file, &report);
    report.err = err;
    jdb__file_write_report(&report, ret_report);
    if (err != 0)
        (void)jdb_file_close(file);
    else
        *ret_file = file;
    return err;
}

int jdb_file_close(jdb_file *file)
{
    if (file == NULL)
        return 0;
    const int kept_err = jdb_file_error(file);
    const int direct_err = file->direct_fd >= 0 ? jdb__os_file_close(file->direct_fd) : 0;
    const int plain_err = file->plain_fd >= 0 ? jdb__os_file_close(file->plain_fd) : 0;
    jdb__os_free(file);
    if (kept_err != 0)
        return kept_err;
    return direct_err != 0 ? direct_err : plain_err;
}
