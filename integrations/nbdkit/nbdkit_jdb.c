/* SPDX-License-Identifier: MIT
 *
 * nbdkit_jdb.c - a plugin of nbdkit: serves a file or block device with direct I/O, so that clients do not fill the page cache of
 * the host.
 *
 *     nbdkit ./nbdkit-jdb-plugin.so file=disk.img [policy=require|prefer|off]
 *
 * One file serves all connections: requests of any size and offset, sparse extents, FUA and flush as the durability of the file.
 *
 * An error of a sync stays for the life of the server: the kernel reports lost data once, and a second flush would succeed. That of a
 * write does not: the client knows what was not written, and a full disk may get room again. The jdb_file keeps the first error of
 * either kind, so requests hold `requests_lock` shared, and what was kept is judged while none is running.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <jdb_alloc.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* Bytes of a direct request for the buffers of nbdkit, which are not aligned. */
#define COPY_SIZE (1u << 20)

static char *path;
static uint32_t policy = JDB_FILE_DIRECT_PREFER;
static jdb_file *file;        /* of all connections */
static bool is_file_writable; /* whether it was opened for writing */

static pthread_rwlock_t requests_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_bool has_failed_write; /* since the last judgement */
static atomic_int failed_sync;       /* since the last judgement: an error, negative */
static atomic_int lost_data;         /* the first error of a sync that stays, negative; 0: none */

/* 0, or -1 with the error set for the client. */
static int plugin_result(int err, const char *call, const char *text)
{
    if (err == 0)
        return 0;
    nbdkit_error("%s: %s: %s", path, call, text[0] != '\0' ? text : strerror(-err));
    nbdkit_set_error(-err);
    return -1;
}

static void plugin_unload(void)
{
    free(path);
}

static int plugin_config(const char *key, const char *value)
{
    if (strcmp(key, "file") == 0) {
        free(path);
        path = nbdkit_realpath(value);
        return path != NULL ? 0 : -1;
    }
    static const char *const names[] = {"prefer", "require", "off"};
    for (uint32_t i = 0; i < 3 && strcmp(key, "policy") == 0; i++) {
        if (strcmp(value, names[i]) == 0) {
            policy = i; /* JDB_FILE_DIRECT_x in this order */
            return 0;
        }
    }
    nbdkit_error("'%s=%s' is not file=PATH nor policy=prefer, require or off", key, value);
    return -1;
}

static int plugin_config_complete(void)
{
    if (path == NULL)
        nbdkit_error("name what is to be served: file=PATH");
    return path != NULL ? 0 : -1;
}

/* ETXTBSY: a program that runs, or swap space that is in use. */
static int plugin_open_file(void)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    options.policy = policy;
    options.copy_size = COPY_SIZE;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    int err = jdb_file_open(path, &options, &report, &file);
    is_file_writable = err == 0;
    if (err == -EACCES || err == -EROFS || err == -EPERM || err == -ETXTBSY) {
        options.access = JDB_FILE_READ;
        err = jdb_file_open(path, &options, &report, &file);
    }
    nbdkit_debug("%s: %s: %s", path, jdb_file_mode_name(report.mode), report.text);
    return plugin_result(err, "open", report.text);
}

/* A file that cannot be served is refused here, where whoever starts nbdkit sees it: behind the fork the exit code is 0 already, and a
 * client waits at a socket that nobody serves. */
static int plugin_get_ready(void)
{
    if (plugin_open_file() != 0)
        return -1;
    const int result = plugin_result(jdb_file_close(file), "close", "");
    file = NULL;
    return result;
}

/* In the process that serves: a file that was opened before a fork would be opened once more. */
static int plugin_after_fork(void)
{
    return plugin_open_file();
}

static void plugin_cleanup(void)
{
    (void)plugin_result(jdb_file_close(file), "close", "");
    file = NULL;
}

static void *plugin_open(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t plugin_get_size(void *handle)
{
    (void)handle;
    int64_t size = 0;
    return plugin_result(jdb_file_size(file, &size), "size", "") == 0 ? size : -1;
}

static int plugin_can_write(void *handle)
{
    (void)handle;
    return is_file_writable;
}

/* One file, and a flush of it covers the writes of all connections. */
static int plugin_can_multi_conn(void *handle)
{
    (void)handle;
    return 1;
}

static int plugin_can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE;
}

/* Any request is served; those of the preferred size are not rounded. */
static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    (void)handle;
    jdb_direct limits = JDB_DIRECT_INIT;
    const int err = jdb_file_limits(file, &limits);
    *minimum = 1;
    *preferred = err == 0 && limits.write_align > 4096 ? limits.write_align : 4096;
    *maximum = 0xffffffff;
    return 0;
}

static int plugin_pread(void *handle, void *memory, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle;
    (void)flags;
    jdb_raw view = jdb_raw_new(memory, count);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    int err = jdb_file_read_full(file, &view, (int64_t)offset, &report);
    if (err == 0 && view.len != count)
        err = -EIO; /* the file was cut under the client */
    return plugin_result(err, "read", report.text);
}

/* Where a write and a sync failed at once the file's error may be that of either: the client has both, and none stays. */
static void judge_errors(void)
{
    pthread_rwlock_wrlock(&requests_lock);
    const bool is_of_write = atomic_exchange(&has_failed_write, false);
    const int sync_err = atomic_exchange(&failed_sync, 0);
    if (is_of_write)
        (void)jdb_file_clear_error(file);
    else if (sync_err != 0 && lost_data == 0)
        lost_data = sync_err;
    pthread_rwlock_unlock(&requests_lock);
}

/* An error that the file kept before is that of a write: one of a sync is in lost_data, and ends all syncs. */
static int sync_file(void)
{
    if (lost_data == 0 && jdb_file_error(file) != 0)
        judge_errors();
    if (lost_data != 0)
        return lost_data;
    pthread_rwlock_rdlock(&requests_lock);
    const int err = jdb_file_sync(file, JDB_FILE_DURABLE_DATA);
    if (err != 0)
        failed_sync = err;
    pthread_rwlock_unlock(&requests_lock);
    if (err != 0)
        judge_errors();
    return err;
}

static int plugin_sync(uint32_t flags)
{
    return (flags & NBDKIT_FLAG_FUA) != 0 ? plugin_result(sync_file(), "sync", "") : 0;
}

static int plugin_pwrite(void *handle, const void *memory, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const jdb_raw view = jdb_raw_from_raw_parts((void *)memory, count, count);
    pthread_rwlock_rdlock(&requests_lock);
    const int err = jdb_file_write_full(file, view, (int64_t)offset, &report);
    if (err != 0)
        has_failed_write = true;
    pthread_rwlock_unlock(&requests_lock);
    return plugin_result(err, "write", report.text) == 0 ? plugin_sync(flags) : -1;
}

/* 0, or the error: not by this file, or of a device no whole blocks. */
static int punch_hole(uint32_t count, uint64_t offset)
{
    int ret;
    do
        ret = fallocate(jdb_file_descriptor(file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                        (off_t)count);
    while (ret != 0 && errno == EINTR);
    return ret == 0 ? 0 : -errno;
}

static int write_zeros(uint32_t count, uint64_t offset, jdb_file_report *report)
{
    pthread_rwlock_rdlock(&requests_lock);
    const int err = jdb_file_write_zeros(file, (int64_t)offset, count, report);
    if (err != 0)
        has_failed_write = true;
    pthread_rwlock_unlock(&requests_lock);
    return err;
}

/* A hole, where the client allows one; else the space is allocated, so that later writes find room. */
static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    if ((flags & NBDKIT_FLAG_FAST_ZERO) != 0) {
        nbdkit_set_error(EOPNOTSUPP); /* zeros are written */
        return -1;
    }
    if ((flags & NBDKIT_FLAG_MAY_TRIM) != 0 && punch_hole(count, offset) == 0)
        return plugin_sync(flags);
    return plugin_result(write_zeros(count, offset, &report), "write zeros", report.text) == 0 ? plugin_sync(flags)
                                                                                               : -1;
}

/* Advice: what cannot be freed stays. */
static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle;
    const int err = punch_hole(count, offset);
    const bool is_refused = err == -EOPNOTSUPP || err == -EINVAL || err == -ENODEV || err == -ENOSYS;
    return plugin_result(is_refused ? 0 : err, "trim", "") == 0 ? plugin_sync(flags) : -1;
}

static int plugin_flush(void *handle, uint32_t flags)
{
    (void)handle;
    (void)flags;
    return plugin_sync(NBDKIT_FLAG_FUA);
}

static int plugin_can_extents(void *handle)
{
    (void)handle;
    jdb_range data;
    return jdb_file_find_data(file, 0, &data) == 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
    (void)handle;
    const uint64_t end = offset + count;
    while (offset < end) {
        jdb_range data;
        const int err = jdb_file_find_data(file, (int64_t)offset, &data);
        if (err != 0)
            return plugin_result(err, "query of holes", "");
        const uint64_t hole_end = data.size != 0 ? (uint64_t)data.offset : end;
        if (hole_end > offset &&
            nbdkit_add_extent(extents, offset, hole_end - offset, NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO) != 0)
            return -1;
        if (data.size != 0 && nbdkit_add_extent(extents, hole_end, data.size, 0) != 0)
            return -1;
        offset = hole_end + data.size;
        if ((flags & NBDKIT_FLAG_REQ_ONE) != 0)
            break;
    }
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "jdb",
    .longname = "direct I/O by jdb_alloc",
    .version = JDB_VERSION_STRING,
    .description = "Serves a file or block device past the page cache of the host.",
    .magic_config_key = "file",
    .config_help = "file=PATH                       (required) what is served\n"
                   "policy=prefer|require|off       what to do where direct I/O is not possible",
    .unload = plugin_unload,
    .config = plugin_config,
    .config_complete = plugin_config_complete,
    .get_ready = plugin_get_ready,
    .after_fork = plugin_after_fork,
    .cleanup = plugin_cleanup,
    .open = plugin_open,
    .get_size = plugin_get_size,
    .can_write = plugin_can_write,
    .can_multi_conn = plugin_can_multi_conn,
    .can_fua = plugin_can_fua,
    .can_extents = plugin_can_extents,
    .block_size = plugin_block_size,
    .pread = plugin_pread,
    .pwrite = plugin_pwrite,
    .zero = plugin_zero,
    .trim = plugin_trim,
    .flush = plugin_flush,
    .extents = plugin_extents,
    .errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
