/* SPDX-License-Identifier: MIT
 *
 * open.c - opening a file by its policy, and closing it.
 */
#include "base/check.h"
#include "file/file_internal.h"
#include "os/fork_mark.h"
#include "os/os.h"

#include <stdio.h>

#define OPEN_TRIES_MAX 8u
#define OPEN_OWNER_BOTH 0600u /* what opening a file again requires of its permissions */

/* Where a file is opened from: a path, or a descriptor of the caller's. */
struct open_source {
    int directory_fd;
    const char *path; /* NULL: from fd */
    int fd;
    uint32_t fd_flags; /* OS_OPEN_x */
};

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

static int open_identify(jdb_file *file, struct jdb__os_file_stat *ret_stat, jdb_file_report *report)
{
    const int err = jdb__os_file_stat(file->plain_fd, ret_stat);
    if (err != 0)
        return jdb__file_report_failure(report, "fstat", err);
    if (ret_stat->kind == OS_FILE_OTHER)
        return open_refuse_kind(report);
    file->device = (uint64_t)ret_stat->device_major << 32 | ret_stat->device_minor;
    file->inode = ret_stat->inode;
    return 0;
}

/* A new file whose permissions deny its owner what the second descriptor requires has them in full until both are open. Whether it
 * is new shows when it is created. */
static int open_restricted(jdb_file *file, const struct open_source *source, uint32_t flags)
{
    const uint32_t permissions = file->options.permissions;
    for (unsigned tries = 0; tries < OPEN_TRIES_MAX; tries++) {
        int err = -ENOENT;
        if ((flags & OS_OPEN_EXCLUSIVE) == 0)
            err = jdb__os_file_open(source->directory_fd, source->path, flags & ~(uint32_t)OS_OPEN_CREATE, 0,
                                    &file->plain_fd);
        if (err != -ENOENT)
            return err;
        err = jdb__os_file_open(source->directory_fd, source->path, flags | OS_OPEN_EXCLUSIVE,
                                permissions | OPEN_OWNER_BOTH, &file->plain_fd);
        file->is_to_restrict = err == 0;
        if (err != -EEXIST || (flags & OS_OPEN_EXCLUSIVE) != 0)
            return err;
    } /* a link to nothing, or others create and delete it all the time */
    return jdb__os_file_open(source->directory_fd, source->path, flags, permissions, &file->plain_fd);
}

/* What is neither a regular file nor a block device is not opened where it is there already: that could wait for ever. With
 * EXCLUSIVE whatever is there is -EEXIST. */
static int open_path(jdb_file *file, const struct open_source *source, jdb_file_report *report)
{
    const jdb_file_options *const options = &file->options;
    const uint32_t flags = open_system_flags(options);
    if ((options->access & JDB_FILE_EXCLUSIVE) == 0 && jdb__os_path_is_other(source->directory_fd, source->path))
        return open_refuse_kind(report);
    const bool is_restricted =
        (flags & OS_OPEN_CREATE) != 0 && (options->permissions & OPEN_OWNER_BOTH) != OPEN_OWNER_BOTH;
    const int err = is_restricted ? open_restricted(file, source, flags)
                                  : jdb__os_file_open(source->directory_fd, source->path, flags, options->permissions,
                                                      &file->plain_fd);
    return err == 0 ? 0 : jdb__file_report_failure(report, "open", err);
}

static bool open_is_taken(const jdb_file *file)
{
    return (file->options.flags & JDB_FILE_TAKE_FD) != 0;
}

/* The caller's descriptor opened again, so that each of the two has lost data reported; else a copy, where it has no O_DIRECT. */
static int open_descriptor(jdb_file *file, const struct open_source *source, jdb_file_report *report)
{
    if (open_is_taken(file)) {
        file->plain_fd = source->fd;
        return 0;
    }
    int err = jdb__os_file_reopen(source->fd, open_system_flags(&file->options), &file->plain_fd);
    if (err != 0 && (source->fd_flags & OS_OPEN_DIRECT) == 0)
        err = jdb__os_fd_duplicate(source->fd, &file->plain_fd);
    return err == 0 ? 0 : jdb__file_report_failure(report, "open without O_DIRECT", err);
}

static int open_plain(jdb_file *file, const struct open_source *source, struct jdb__os_file_stat *ret_stat,
                      jdb_file_report *report)
{
    const int err = source->path != NULL ? open_path(file, source, report) : open_descriptor(file, source, report);
    return err == 0 ? open_identify(file, ret_stat, report) : err;
}

static void open_refuse_direct(jdb_direct *limits, const char *reason)
{
    limits->state = JDB_DIRECT_STATE_REFUSED;
    limits->read_state = JDB_DIRECT_STATE_REFUSED;
    limits->write_state = JDB_DIRECT_STATE_REFUSED;
    limits->state_source = JDB_DIRECT_SOURCE_TRIAL;
    snprintf(limits->reason, sizeof limits->reason, "%.190s", reason);
}

/* The limits of a file that is not open for direct I/O. direct_err: why not; 0 = nobody asks for it. */
static int open_query_plain(jdb_file *file, const struct jdb__os_file_stat *stat, int direct_err,
                            jdb_file_report *report)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    const int err = jdb__file_find_limits(&file->options, file->plain_fd, stat, false, &limits);
    if (err != 0)
        return jdb__file_report_failure(report, "querying the limits", err);
    file->limits = limits;
    if (direct_err != 0)
        open_refuse_direct(&file->limits, file->reason);
    else
        snprintf(file->reason, sizeof file->reason, "direct I/O is switched off");
    return 0;
}

#define OPEN_BEHIND_ALL (INT64_MAX - 4096)

/* A read shows whether the file takes RWF_DONTCACHE: behind every end, so that nothing enters the page cache. A file that cannot be
 * read is tried at its first write, and one of which only the edges of direct writes are plain too. */
static void open_try_uncached(jdb_file *file)
{
    bool is_uncached = (file->options.flags & JDB_FILE_NO_UNCACHED) == 0;
    uint8_t byte = 0;
    if (is_uncached && (file->options.access & JDB_FILE_READ) != 0 && !(file->is_read_direct && file->is_write_direct))
        is_uncached = jdb__os_read_at(file->plain_fd, &byte, 1, OPEN_BEHIND_ALL, OS_IO_UNCACHED) >= 0;
    atomic_store_explicit(&file->is_uncached, is_uncached, memory_order_relaxed);
}

/* ---- The direct descriptor ---------------------------------------------------------------------------------- */

static bool open_is_same(const jdb_file *file, int fd)
{
    struct jdb__os_file_stat stat;
    return jdb__os_file_stat(fd, &stat) == 0 && file->inode == stat.inode &&
           file->device == ((uint64_t)stat.device_major << 32 | stat.device_minor);
}

/* Without /proc by the path again, where the same file is still there. */
static int open_path_again(const jdb_file *file, const struct open_source *source, uint32_t flags, int *ret_fd)
{
    int fd = -1;
    if (jdb__os_path_is_other(source->directory_fd, source->path))
        return -ENOENT;
    const int err = jdb__os_file_open(source->directory_fd, source->path, flags, 0, &fd);
    if (err != 0)
        return err;
    if (!open_is_same(file, fd)) {
        (void)jdb__os_file_close(fd);
        return -ENOENT;
    }
    *ret_fd = fd;
    return 0;
}

static int open_again(const jdb_file *file, const struct open_source *source, uint32_t flags, int *ret_fd)
{
    const int err = jdb__os_file_reopen(file->plain_fd, flags, ret_fd);
    if (err == -ENOENT && source->path != NULL && open_path_again(file, source, flags, ret_fd) == 0)
        return 0;
    return err;
}

/* The same file with O_DIRECT; for reading too where the permissions allow it, as blocks are read to be modified. */
static int open_direct(jdb_file *file, const struct open_source *source)
{
    const uint32_t access = open_system_flags(&file->options) & (OS_OPEN_READ | OS_OPEN_WRITE);
    int err = open_again(file, source, access | OS_OPEN_READ | OS_OPEN_DIRECT, &file->direct_fd);
    file->can_modify = err == 0;
    if (err == -EACCES && (access & OS_OPEN_READ) == 0)
        err = open_again(file, source, access | OS_OPEN_DIRECT, &file->direct_fd);
    if (err != 0 && source->path == NULL && (source->fd_flags & OS_OPEN_DIRECT) != 0) {
        err = jdb__os_fd_duplicate(source->fd, &file->direct_fd);
        file->can_modify = err == 0 && (source->fd_flags & OS_OPEN_READ) != 0;
    }
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

/* Returns the error of opening the direct descriptor; the file works without it. */
static int open_try_direct(jdb_file *file, const struct open_source *source, const struct jdb__os_file_stat *stat,
                           jdb_file_report *report)
{
    int err = open_direct(file, source);
    if (err != 0) {
        const bool is_by_descriptor = err == -ENOENT && source->path == NULL;
        (void)jdb__file_report_failure(report, "open with O_DIRECT", err);
        snprintf(file->reason, sizeof file->reason, "%.200s%s", report->text,
                 is_by_descriptor ? " (is /proc mounted?)" : "");
        return err;
    }
    jdb_direct limits = JDB_DIRECT_INIT;
    err = jdb__file_find_limits(&file->options, file->direct_fd, stat, true, &limits);
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

static int open_by_policy(jdb_file *file, const struct open_source *source, jdb_file_report *report)
{
    struct jdb__os_file_stat stat;
    int err = open_plain(file, source, &stat, report);
    if (err != 0)
        return err;
    const int direct_err =
        file->options.policy != JDB_FILE_DIRECT_OFF ? open_try_direct(file, source, &stat, report) : 0;
    if (open_is_fatal(direct_err))
        return direct_err;
    if (file->limits.size == 0) /* the direct descriptor did not report them */
        err = open_query_plain(file, &stat, direct_err, report);
    if (err != 0)
        return err;
    file->is_edge_plain = open_is_edge_plain(file);
    if (open_is_plain_needed(file))
        open_try_uncached(file);
    jdb__file_raise_aligns(file, &file->limits);
    err = open_apply_policy(file, direct_err, report);
    return err == 0 ? open_truncate(file, report) : err;
}

/* Both descriptors are open, or will not be. */
static int open_restrict(const jdb_file *file, int err, jdb_file_report *report)
{
    const int restrict_err =
        file->is_to_restrict ? jdb__os_file_restrict(file->plain_fd, file->options.permissions) : 0;
    return err != 0 || restrict_err == 0 ? err : jdb__file_report_failure(report, "fchmod", restrict_err);
}

/* ---- Open and close ----------------------------------------------------------------------------------------- */

static void open_report_mode(const jdb_file *file, jdb_file_report *report)
{
    report->mode = jdb__file_mode(file);
    report->call = NULL;
    report->err = 0;
    snprintf(report->text, sizeof report->text, "%s: %.250s", jdb_file_mode_name(report->mode), file->reason);
}

/* -ENOMEM. */
static int open_new(const jdb_file_options *options, jdb_file **ret_file)
{
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(jdb_file), &memory); /* zeroed */
    if (err != 0)
        return err;
    jdb_file *const file = memory;
    file->plain_fd = -1;
    file->direct_fd = -1;
    file->options = *options;
    atomic_store_explicit(&file->gate.owner, jdb__fork_mark(), memory_order_relaxed);
    *ret_file = file;
    return 0;
}

static int open_file(const struct open_source *source, const jdb_file_options *options, jdb_file_report *ret_report,
                     jdb_file **ret_file)
{
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_file *file = NULL;
    int err = open_new(options, &file);
    if (err == 0) {
        err = open_by_policy(file, source, &report);
        err = open_restrict(file, err, &report);
    }
    if (err == 0)
        open_report_mode(file, &report);
    report.err = err;
    jdb__file_write_report(&report, ret_report);
    if (err == 0) {
        *ret_file = file;
        return 0;
    }
    if (file != NULL && open_is_taken(file))
        file->plain_fd = -1; /* stays the caller's */
    (void)jdb_file_close(file);
    return err;
}

int jdb_file_openat(int directory_fd, const char *path, const jdb_file_options *options, jdb_file_report *ret_report,
                    jdb_file **ret_file)
{
    jdb_file_options taken;
    if (path == NULL || ret_file == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    int err = jdb__file_read_options(options, &taken);
    if (err == 0 && (taken.flags & JDB_FILE_TAKE_FD) != 0)
        err = -EINVAL;
    const struct open_source source = {.directory_fd = directory_fd, .path = path, .fd = -1};
    return err == 0 ? open_file(&source, &taken, ret_report, ret_file) : err;
}

int jdb_file_open(const char *path, const jdb_file_options *options, jdb_file_report *ret_report, jdb_file **ret_file)
{
    return jdb_file_openat(jdb__os_working_directory(), path, options, ret_report, ret_file);
}

/* Linux writes at the end whatever the offset is where the descriptor has O_APPEND: pwrite(2), BUGS. */
static int open_check_descriptor(const jdb_file_options *options, uint32_t fd_flags)
{
    const bool is_taken = (options->flags & JDB_FILE_TAKE_FD) != 0;
    if ((options->access & (JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE)) != 0 ||
        (is_taken && (fd_flags & OS_OPEN_DIRECT) != 0))
        return -EINVAL;
    const uint32_t access = open_system_flags(options);
    if ((access & ~fd_flags) != 0 || (is_taken && (fd_flags & OS_OPEN_PATH) != 0))
        return -EBADF;
    return (access & OS_OPEN_WRITE) != 0 && (fd_flags & OS_OPEN_APPEND) != 0 ? -EINVAL : 0;
}

int jdb_file_from_fd(int fd, const jdb_file_options *options, jdb_file_report *ret_report, jdb_file **ret_file)
{
    jdb_file_options taken;
    struct open_source source = {.directory_fd = -1, .fd = fd};
    if (ret_file == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    int err = jdb__file_read_options(options, &taken);
    if (err == 0)
        err = jdb__os_file_flags(fd, &source.fd_flags);
    if (err == 0)
        err = open_check_descriptor(&taken, source.fd_flags);
    return err == 0 ? open_file(&source, &taken, ret_report, ret_file) : err;
}

int jdb_file_close(jdb_file *file)
{
    if (file == NULL)
        return 0;
    const int kept_err = jdb_file_error(file);
    if (file->plain_fd >= 0)
        jdb__file_cached_evict(file, jdb__file_cached_take(file));
    const int direct_err = file->direct_fd >= 0 ? jdb__os_file_close(file->direct_fd) : 0;
    const int plain_err = file->plain_fd >= 0 ? jdb__os_file_close(file->plain_fd) : 0;
    jdb__os_free(file);
    if (kept_err != 0)
        return kept_err;
    return direct_err != 0 ? direct_err : plain_err;
}
