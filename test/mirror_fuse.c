/* SPDX-License-Identifier: MIT
 *
 * mirror_fuse.c - a FUSE file system for tests: shows a directory, drops O_DIRECT as some daemons do, and can fail.
 *
 *     mirror_fuse DIRECTORY MOUNTPOINT [-o FUSE_OPTIONS]
 *
 * In the environment:
 *   MIRROR_FAIL_NAME=NAME MIRROR_FAIL_AT=OFFSET   reading the byte at OFFSET of a file with that name, or writing it, fails
 *   MIRROR_FAIL_NEXT=OFFSET                       the same for a second byte
 *   MIRROR_FAIL_ERRNO=NUMBER                      with that errno; without it EIO
 *   MIRROR_FAIL_COUNT=COUNT                       the first COUNT times for each of the two; without it always
 *   MIRROR_SHORT=1                                a read that begins before the page of such a byte ends at that page
 *   MIRROR_FLOCK_ERRNO=NUMBER                     flock(2) fails with that errno; without it the kernel locks
 *   MIRROR_WRITEBACK=1                            the kernel keeps what is written, and sends it later
 *   MIRROR_FAIL_SYNC=NAME                         the first fsync of a file with that name is EIO, later ones succeed
 *   MIRROR_REFUSE=CALLS                           chmod, chown, utimens, fallocate, fsyncdir: those of them fail
 *   MIRROR_REFUSE_ERRNO=NUMBER                    with that errno; without it EPERM
 *   MIRROR_SEQUENTIAL=1                           bytes are written at the end of a file only, and no file is cut or made longer
 *   MIRROR_NEW_INODES=1                           a directory has another inode number each time it is asked for
 *   MIRROR_NAME_MAX=COUNT                         longer names are ENAMETOOLONG
 */
#define FUSE_USE_VERSION 31
#include <fuse.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char directory[PATH_MAX];
static const char *fail_name;
static off_t fail_at[2];
static const char *fail_sync; /* NULL: none, or it has failed */
static pthread_mutex_t fail_sync_lock = PTHREAD_MUTEX_INITIALIZER;
static int fail_errno;
static atomic_long fails_left[2];
static bool is_short;
static int flock_errno;
static const char *refused_calls;
static int refuse_errno;
static bool is_sequential;
static bool has_new_inodes;
static _Atomic ino_t next_inode = 1000;
static size_t name_max;

static long number_in(const char *name, long otherwise)
{
    const char *const text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

static bool is_refused(const char *call)
{
    const char *const found = strstr(refused_calls, call);
    return found != NULL && strcspn(found, " ") == strlen(call);
}

static bool is_too_long(const char *path)
{
    return strlen(strrchr(path, '/') + 1) > name_max;
}

/* Where the file of a sequential-only file system would end elsewhere. */
static bool is_out_of_order(int fd, off_t offset)
{
    struct stat now;
    return is_sequential && fstat(fd, &now) == 0 && now.st_size != offset;
}

static void real_path(const char *path, char real[2 * PATH_MAX])
{
    (void)snprintf(real, 2 * PATH_MAX, "%s%s", directory, path);
}

static int failed(int result)
{
    return result < 0 ? -errno : 0;
}

static bool is_failing_at(int number, size_t size, off_t offset)
{
    return offset <= fail_at[number] && fail_at[number] < offset + (off_t)size &&
           atomic_fetch_sub(&fails_left[number], 1) > 0;
}

static bool is_failing(const char *path, size_t size, off_t offset)
{
    const char *const name = strrchr(path, '/');
    return fail_name != NULL && name != NULL && strcmp(name + 1, fail_name) == 0 &&
           (is_failing_at(0, size, offset) || is_failing_at(1, size, offset));
}

/* How much of a read is answered. */
static size_t short_size(const char *path, size_t size, off_t offset)
{
    const char *const name = strrchr(path, '/');
    if (!is_short || fail_name == NULL || name == NULL || strcmp(name + 1, fail_name) != 0)
        return size;
    for (int number = 0; number < 2; number++) {
        const off_t end = fail_at[number] & ~(off_t)0xfff;
        if (offset < end && end < offset + (off_t)size)
            size = (size_t)(end - offset);
    }
    return size;
}

static int mirror_getattr(const char *path, struct stat *stat, struct fuse_file_info *file)
{
    char real[2 * PATH_MAX];
    (void)file;
    if (is_too_long(path))
        return -ENAMETOOLONG;
    real_path(path, real);
    const int err = failed(lstat(real, stat));
    if (err == 0 && has_new_inodes && S_ISDIR(stat->st_mode))
        stat->st_ino = atomic_fetch_add(&next_inode, 1);
    return err;
}

static int mirror_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                          struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
    char real[2 * PATH_MAX];
    (void)offset;
    (void)file;
    (void)flags;
    real_path(path, real);
    DIR *const open_directory = opendir(real);
    if (open_directory == NULL)
        return -errno;
    for (const struct dirent *entry = readdir(open_directory); entry != NULL; entry = readdir(open_directory))
        (void)fill(buffer, entry->d_name, NULL, 0, 0);
    (void)closedir(open_directory);
    return 0;
}

static int open_real(const char *path, int flags, mode_t mode, struct fuse_file_info *file)
{
    char real[2 * PATH_MAX];
    real_path(path, real);
    const int fd = open(real, (flags & ~O_DIRECT) | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    file->fh = (uint64_t)fd;
    return 0;
}

static int mirror_open(const char *path, struct fuse_file_info *file)
{
    return open_real(path, file->flags, 0, file);
}

static int mirror_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
    return open_real(path, file->flags | O_CREAT, mode, file);
}

static int mirror_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *file)
{
    const size_t answered = short_size(path, size, offset);
    if (is_failing(path, answered, offset))
        return -fail_errno;
    const ssize_t got = pread((int)file->fh, buffer, answered, offset);
    return got < 0 ? -errno : (int)got;
}

static int mirror_write(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *file)
{
    if (is_failing(path, size, offset))
        return -fail_errno;
    if (is_out_of_order((int)file->fh, offset))
        return -EINVAL;
    const ssize_t put = pwrite((int)file->fh, buffer, size, offset);
    return put < 0 ? -errno : (int)put;
}

static int mirror_release(const char *path, struct fuse_file_info *file)
{
    (void)path;
    return failed(close((int)file->fh));
}

static int is_first_sync_failing(const char *path)
{
    const char *const name = strrchr(path, '/');
    (void)pthread_mutex_lock(&fail_sync_lock);
    const int is_failing_now = fail_sync != NULL && name != NULL && strcmp(name + 1, fail_sync) == 0;
    if (is_failing_now)
        fail_sync = NULL;
    (void)pthread_mutex_unlock(&fail_sync_lock);
    return is_failing_now;
}

static int mirror_fsync(const char *path, int is_data_only, struct fuse_file_info *file)
{
    if (is_first_sync_failing(path))
        return -EIO;
    return failed(is_data_only != 0 ? fdatasync((int)file->fh) : fsync((int)file->fh));
}

static off_t mirror_lseek(const char *path, off_t offset, int whence, struct fuse_file_info *file)
{
    (void)path;
    const off_t found = lseek((int)file->fh, offset, whence);
    return found < 0 ? -errno : found;
}

static int mirror_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
    char real[2 * PATH_MAX];
    if (file != NULL && is_out_of_order((int)file->fh, size))
        return -EINVAL;
    real_path(path, real);
    return failed(file != NULL ? ftruncate((int)file->fh, size) : truncate(real, size));
}

static int mirror_fallocate(const char *path, int mode, off_t offset, off_t length, struct fuse_file_info *file)
{
    (void)path;
    if (is_sequential || is_refused("fallocate"))
        return -refuse_errno;
    return failed(fallocate((int)file->fh, mode, offset, length));
}

static int mirror_fsyncdir(const char *path, int is_data_only, struct fuse_file_info *file)
{
    (void)path;
    (void)is_data_only;
    (void)file;
    return is_refused("fsyncdir") ? -refuse_errno : 0;
}

static int mirror_flock(const char *path, struct fuse_file_info *file, int operation)
{
    (void)path;
    (void)file;
    (void)operation;
    return -flock_errno;
}

static int mirror_unlink(const char *path)
{
    char real[2 * PATH_MAX];
    real_path(path, real);
    return failed(unlink(real));
}

static int mirror_mkdir(const char *path, mode_t mode)
{
    char real[2 * PATH_MAX];
    real_path(path, real);
    return failed(mkdir(real, mode));
}

static int mirror_rmdir(const char *path)
{
    char real[2 * PATH_MAX];
    real_path(path, real);
    return failed(rmdir(real));
}

static int mirror_rename(const char *from, const char *to, unsigned flags)
{
    char real_from[2 * PATH_MAX];
    char real_to[2 * PATH_MAX];
    real_path(from, real_from);
    real_path(to, real_to);
    return failed(renameat2(AT_FDCWD, real_from, AT_FDCWD, real_to, flags));
}

static int mirror_chmod(const char *path, mode_t mode, struct fuse_file_info *file)
{
    char real[2 * PATH_MAX];
    (void)file;
    if (is_refused("chmod"))
        return -refuse_errno;
    real_path(path, real);
    return failed(chmod(real, mode));
}

static int mirror_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *file)
{
    char real[2 * PATH_MAX];
    (void)file;
    if (is_refused("chown"))
        return -refuse_errno;
    real_path(path, real);
    return failed(lchown(real, user, group));
}

static int mirror_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file)
{
    char real[2 * PATH_MAX];
    (void)file;
    if (is_refused("utimens"))
        return -refuse_errno;
    real_path(path, real);
    return failed(utimensat(AT_FDCWD, real, times, AT_SYMLINK_NOFOLLOW));
}

static int mirror_statfs(const char *path, struct statvfs *stat)
{
    char real[2 * PATH_MAX];
    real_path(path, real);
    if (statvfs(real, stat) != 0)
        return -errno;
    stat->f_namemax = name_max;
    return 0;
}

static void *mirror_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    if (has_new_inodes) {
        config->use_ino = 1;
        config->attr_timeout = 0;
    }
    if (getenv("MIRROR_WRITEBACK") != NULL)
        connection->want |= FUSE_CAP_WRITEBACK_CACHE;
    return NULL;
}

int main(int argc, char **argv)
{
    const bool is_unlocked = getenv("MIRROR_FLOCK_ERRNO") != NULL;
    refused_calls = getenv("MIRROR_REFUSE") != NULL ? getenv("MIRROR_REFUSE") : "";
    const struct fuse_operations operations = {
        .init = mirror_init,
        .getattr = mirror_getattr,
        .readdir = mirror_readdir,
        .open = mirror_open,
        .create = mirror_create,
        .read = mirror_read,
        .write = mirror_write,
        .release = mirror_release,
        .fsync = mirror_fsync,
        .lseek = mirror_lseek,
        .truncate = mirror_truncate,
        .unlink = mirror_unlink,
        .mkdir = mirror_mkdir,
        .rmdir = mirror_rmdir,
        .rename = mirror_rename,
        .chmod = mirror_chmod,
        .chown = mirror_chown,
        .utimens = mirror_utimens,
        .statfs = mirror_statfs,
        .fallocate = refused_calls[0] != '\0' ? mirror_fallocate : NULL,
        .fsyncdir = mirror_fsyncdir,
        .flock = is_unlocked ? mirror_flock : NULL,
    };
    if (argc < 3 || realpath(argv[1], directory) == NULL) {
        (void)fputs("usage: mirror_fuse DIRECTORY MOUNTPOINT [-o FUSE_OPTIONS]\n", stderr);
        return 2;
    }
    fail_name = getenv("MIRROR_FAIL_NAME");
    fail_sync = getenv("MIRROR_FAIL_SYNC");
    fail_at[0] = (off_t)number_in("MIRROR_FAIL_AT", 0);
    fail_at[1] = (off_t)number_in("MIRROR_FAIL_NEXT", -1);
    fail_errno = (int)number_in("MIRROR_FAIL_ERRNO", EIO);
    fails_left[0] = fails_left[1] = number_in("MIRROR_FAIL_COUNT", LONG_MAX);
    is_short = getenv("MIRROR_SHORT") != NULL;
    flock_errno = (int)number_in("MIRROR_FLOCK_ERRNO", 0);
    refuse_errno = (int)number_in("MIRROR_REFUSE_ERRNO", EPERM);
    is_sequential = getenv("MIRROR_SEQUENTIAL") != NULL;
    has_new_inodes = getenv("MIRROR_NEW_INODES") != NULL;
    name_max = (size_t)number_in("MIRROR_NAME_MAX", NAME_MAX);
    argv[1] = argv[0];
    return fuse_main(argc - 1, argv + 1, &operations, NULL);
}
