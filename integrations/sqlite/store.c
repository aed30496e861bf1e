/* SPDX-License-Identifier: MIT
 *
 * store.c - stores: the files of this process behind databases, journals and WALs.
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_SIZE (64u << 10) /* the largest page of SQLite */

static pthread_mutex_t stores_lock = PTHREAD_MUTEX_INITIALIZER;
static struct store *stores; /* of databases, under the lock */

/* ---- Locks of the process ----------------------------------------------------------------------------------- */

/* Whether a descriptor has POSIX locks on the inode. Each shows in /proc at the descriptor that took it: show_fd_locks() in fs/locks.c
 * of Linux, since 4.1. Inodes of other file systems with the same number count too. */
static bool store_descriptor_has_locks(int directory_fd, const char *name, ino_t inode)
{
    char line[256];
    const int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);
    FILE *const info = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (info == NULL) {
        if (fd >= 0)
            close(fd);
        return fd >= 0 || errno != ENOENT; /* closed meanwhile, or not known */
    }
    bool is_locked = false;
    while (!is_locked && fgets(line, sizeof line, info) != NULL) {
        const char *const range =
            strncmp(line, "lock:", 5) == 0 && strstr(line, " POSIX ") != NULL ? strrchr(line, ':') : NULL;
        is_locked = range != NULL && strtoull(range + 1, NULL, 10) == inode;
    }
    fclose(info);
    return is_locked;
}

/* Whether the process has POSIX locks on the file; true where that is not known. The first query is cheap and about all processes. */
static bool store_has_locks(const struct store *store)
{
    struct flock any = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(store->fd, F_OFD_GETLK, &any) == 0 && any.l_type == F_UNLCK)
        return false;
    DIR *const descriptors = opendir("/proc/self/fdinfo");
    if (descriptors == NULL)
        return true;
    bool is_locked = false;
    const struct dirent *entry = NULL;
    while (!is_locked && (entry = readdir(descriptors)) != NULL)
        is_locked =
            entry->d_name[0] != '.' && store_descriptor_has_locks(dirfd(descriptors), entry->d_name, store->inode);
    closedir(descriptors);
    return is_locked;
}

/* ---- The list ----------------------------------------------------------------------------------------------- */

static struct store *store_new(int fd, bool is_writable)
{
    struct store *const store = calloc(1, sizeof *store);
    if (store == NULL)
        return NULL;
    store->fd = fd;
    store->is_writable = is_writable;
    return store;
}

/* Close those that nobody uses and that no lock keeps. */
static void stores_close_idle(void)
{
    struct store **link = &stores;
    while (*link != NULL) {
        struct store *const store = *link;
        if (store->use_count != 0 || store_has_locks(store)) {
            link = &store->next;
            continue;
        }
        *link = store->next;
        (void)jdb_file_close(store->file);
        close(store->fd);
        free(store);
    }
}

static struct store *stores_find(const struct stat *stat)
{
    struct store *store = stores;
    while (store != NULL && (store->device != stat->st_dev || store->inode != stat->st_ino))
        store = store->next;
    return store;
}

/* ---- Databases ---------------------------------------------------------------------------------------------- */

/* Opened for writing where that is allowed, as later connections share it. */
static int store_open_fd(const char *path, bool *ret_writable)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    *ret_writable = fd >= 0;
    if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

/* Another file of that name than a moment ago may be one that is in the list: its descriptor is kept there all the same. */
static int stores_add(const char *path, struct store **ret_store)
{
    bool is_writable = false;
    struct stat stat;
    const int fd = store_open_fd(path, &is_writable);
    if (fd < 0)
        return fd;
    struct store *const store = store_new(fd, is_writable);
    if (store == NULL || fstat(fd, &stat) != 0) {
        free(store); /* the descriptor stays open: nobody would know whose locks close(2) drops */
        return -ENOMEM;
    }
    store->device = stat.st_dev;
    store->inode = stat.st_ino;
    store->next = stores;
    stores = store;
    *ret_store = store;
    return 0;
}

/* Opening a file that is not direct closes a descriptor: not while the process has locks on it. */
static int store_open_file(struct store *store, uint32_t policy, jdb_file_report *report)
{
    if (store_has_locks(store)) {
        snprintf(report->text, sizeof report->text, "this process has locks on the file through another VFS");
        return -EBUSY;
    }
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = store->is_writable ? JDB_FILE_READ | JDB_FILE_WRITE : JDB_FILE_READ;
    options.policy = policy;
    options.copy_size = COPY_SIZE;
    return jdb_file_from_fd(store->fd, &options, report, &store->file);
}

static void store_report(const struct store *store, jdb_file_report *report)
{
    const uint32_t read_mode = jdb_file_read_mode(store->file);
    const uint32_t write_mode = store->is_writable ? jdb_file_write_mode(store->file) : 0;
    report->mode = read_mode > write_mode ? read_mode : write_mode;
    snprintf(report->text, sizeof report->text, "%s: %.250s", jdb_file_mode_name(report->mode),
             jdb_file_reason(store->file));
}

int store_open_database(const char *path, uint32_t policy, bool is_writable, jdb_file_report *report,
                        struct store **ret_store)
{
    struct stat stat_now;
    struct store *store = NULL;
    pthread_mutex_lock(&stores_lock);
    stores_close_idle();
    int err = stat(path, &stat_now) == 0 ? 0 : -errno;
    if (err == 0)
        store = stores_find(&stat_now);
    if (err == 0 && store == NULL)
        err = stores_add(path, &store);
    if (err == 0 && store->file == NULL)
        err = store_open_file(store, policy, report);
    if (err == 0 && is_writable && !store->is_writable)
        err = -EROFS;
    if (err == 0) {
        store->use_count++;
        store_report(store, report);
        *ret_store = store;
    }
    pthread_mutex_unlock(&stores_lock);
    return err;
}

/* ---- Logs --------------------------------------------------------------------------------------------------- */

int store_open_log(const char *path, bool is_writable, struct store **ret_store)
{
    struct store *const store = store_new(-1, is_writable);
    if (store == NULL)
        return -ENOMEM;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = is_writable ? JDB_FILE_READ | JDB_FILE_WRITE : JDB_FILE_READ;
    options.policy = JDB_FILE_DIRECT_OFF;
    options.flags = JDB_FILE_NO_UNCACHED;
    const int err = jdb_file_open(path, &options, NULL, &store->file);
    if (err != 0)
        free(store);
    else
        *ret_store = store;
    return err;
}

void store_close(struct store *store)
{
    if (store->fd < 0) {
        (void)jdb_file_close(store->file);
        free(store);
        return;
    }
    pthread_mutex_lock(&stores_lock);
    store->use_count--;
    stores_close_idle();
    pthread_mutex_unlock(&stores_lock);
}

/* ---- Writes and syncs --------------------------------------------------------------------------------------- */

int store_write(struct store *store, jdb_raw view, int64_t offset, jdb_file_report *report)
{
    const int err = jdb_file_write_full(store->file, view, offset, report);
    if (err != 0 && atomic_load(&store->sync_err) == 0)
        (void)jdb_file_clear_error(store->file); /* SQLite knows what is not written, and writes the old bytes again */
    return err;
}

int store_sync(struct store *store)
{
    int err = atomic_load(&store->sync_err);
    if (err != 0)
        return err;
    err = jdb_file_sync(store->file, JDB_FILE_DURABLE_DATA);
    if (err != 0)
        atomic_store(&store->sync_err, err);
    return err;
}
