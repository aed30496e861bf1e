/* SPDX-License-Identifier: MIT
 *
 * linux_file.c - the window to the system on Linux: files.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "offsets are 64 bits");

/* ---- What a file is --------------------------------------------------------------------------------------- */

/* The kernel's struct statx, include/uapi/linux/stat.h; it is padded to 256 bytes for ever. */
struct os_kernel_statx {
    uint32_t mask;
    uint32_t block_size;
    uint64_t attributes;
    uint32_t link_count, uid, gid;
    uint16_t mode, spare0;
    uint64_t inode, size, blocks, attributes_mask;
    uint64_t times[8];
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mount_id;
    uint32_t dio_mem_align, dio_offset_align;
    uint64_t subvolume;
    uint32_t atomic_write_unit_min, atomic_write_unit_max, atomic_write_segments_max;
    uint32_t dio_read_offset_align;
    uint32_t atomic_write_unit_max_opt, spare1;
    uint64_t spare[8];
};
_Static_assert(sizeof(struct os_kernel_statx) == 256, "struct statx is 256 bytes");
_Static_assert(offsetof(struct os_kernel_statx, dio_mem_align) == 0x98, "as in the kernel");
_Static_assert(offsetof(struct os_kernel_statx, atomic_write_unit_min) == 0xa8, "as in the kernel");
_Static_assert(offsetof(struct os_kernel_statx, dio_read_offset_align) == 0xb4, "as in the kernel");
_Static_assert(offsetof(struct os_kernel_statx, atomic_write_unit_max_opt) == 0xb8, "as in the kernel");

#define STATX_BASIC 0x7ffu
#define STATX_DIRECT_ALIGN 0x2000u
#define STATX_ATOMIC 0x10000u
#define STATX_DIRECT_READ_ALIGN 0x20000u
#define AT_EMPTY 0x1000

static enum os_file_kind os_kind_of_mode(mode_t mode)
{
    return S_ISREG(mode) ? OS_FILE_REGULAR : S_ISBLK(mode) ? OS_FILE_DEVICE : OS_FILE_OTHER;
}

/* Before Linux 4.11, and where a sandbox forbids statx. */
static int os_stat_without_statx(int fd, struct jdb__os_file_stat *ret_stat)
{
    struct stat old;
    if (fstat(fd, &old) != 0)
        return -errno;
    const dev_t device = S_ISBLK(old.st_mode) ? old.st_rdev : old.st_dev;
    *ret_stat = (struct jdb__os_file_stat){
        .kind = os_kind_of_mode(old.st_mode),
        .size = S_ISREG(old.st_mode) ? (int64_t)old.st_size : 0,
        .preferred_block_size = (uint32_t)old.st_blksize,
        .device_major = major(device),
        .device_minor = minor(device),
        .inode = S_ISBLK(old.st_mode) ? 0 : (uint64_t)old.st_ino,
    };
    return 0;
}

static void os_stat_from_kernel(const struct os_kernel_statx *from, struct jdb__os_file_stat *ret_stat)
{
    const bool is_device = S_ISBLK(from->mode);
    const bool has_direct = (from->mask & STATX_DIRECT_ALIGN) != 0;
    const bool has_read = (from->mask & STATX_DIRECT_READ_ALIGN) != 0;
    const bool has_atomic = (from->mask & STATX_ATOMIC) != 0;
    *ret_stat = (struct jdb__os_file_stat){
        .kind = os_kind_of_mode(from->mode),
        .size = S_ISREG(from->mode) ? (int64_t)from->size : 0,
        .preferred_block_size = from->block_size,
        .device_major = is_device ? from->rdev_major : from->dev_major,
        .device_minor = is_device ? from->rdev_minor : from->dev_minor,
        .inode = is_device ? 0 : from->inode, /* a device may have several nodes */
        .has_direct_align = has_direct,
        .memory_align = has_direct ? from->dio_mem_align : 0,
        .write_align = has_direct ? from->dio_offset_align : 0,
        .has_read_align = has_read,
        .read_align = has_read ? from->dio_read_offset_align : 0,
        .atomic_min_size = has_atomic ? from->atomic_write_unit_min : 0,
        .atomic_max_size = has_atomic ? from->atomic_write_unit_max : 0,
        .atomic_segments_count = has_atomic ? from->atomic_write_segments_max : 0,
        .atomic_max_optimal_size = has_atomic ? from->atomic_write_unit_max_opt : 0,
    };
}

static int os_stat_once(int fd, struct jdb__os_file_stat *ret_stat)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    struct os_kernel_statx kernel;
    memset(&kernel, 0, sizeof kernel);
    const unsigned mask = STATX_BASIC | STATX_DIRECT_ALIGN | STATX_ATOMIC | STATX_DIRECT_READ_ALIGN;
    if (syscall(SYS_statx, fd, "", AT_EMPTY, mask, &kernel) != 0)
        return errno == EBADF || errno == EINTR || errno == EAGAIN ? -errno : os_stat_without_statx(fd, ret_stat);
    os_stat_from_kernel(&kernel, ret_stat);
    return 0;
}

int jdb__os_file_stat(int fd, struct jdb__os_file_stat *ret_stat)
{
    int err = 0;
    OS_RETRY(err, os_stat_once(fd, ret_stat));
    return err;
}

static int os_file_system_once(int fd, uint32_t *ret_magic)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return -errno;
    *ret_magic = (uint32_t)fs.f_type;
    return 0;
}

int jdb__os_file_system(int fd, uint32_t *ret_magic)
{
    int err = 0;
    OS_RETRY(err, os_file_system_once(fd, ret_magic));
    return err;
}

int jdb__os_file_flags(int fd, uint32_t *ret_flags)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    const int access = flags & O_ACCMODE;
    *ret_flags =
        (access != O_WRONLY ? (uint32_t)OS_OPEN_READ : 0) | (access != O_RDONLY ? (uint32_t)OS_OPEN_WRITE : 0) |
        ((flags & O_DIRECT) != 0 ? (uint32_t)OS_OPEN_DIRECT : 0) |
        ((flags & O_APPEND) != 0 ? (uint32_t)OS_OPEN_APPEND : 0) | ((flags & O_PATH) != 0 ? (uint32_t)OS_OPEN_PATH : 0);
    return 0;
}

static int os_ask_once(int fd, unsigned long request, void *ret_answer)
{
    const int fault = jdb__os_fault(OS_CALL_IOCTL);
    if (fault != 0)
        return fault;
    return ioctl(fd, request, ret_answer) == 0 ? 0 : -errno;
}

/* An ioctl that asks and fills *ret_answer. */
static int os_ask(int fd, unsigned long request, void *ret_answer)
{
    int err = 0;
    OS_RETRY(err, os_ask_once(fd, request, ret_answer));
    return err;
}

int jdb__os_file_is_nocow(int fd, bool *ret_nocow)
{
    int flags = 0; /* the kernel fills an int, whatever the number of the request says */
    const int err = os_ask(fd, FS_IOC_GETFLAGS, &flags);
    if (err == 0)
        *ret_nocow = (flags & FS_NOCOW_FL) != 0;
    return err;
}

int jdb__os_xfs_direct_align(int fd, uint32_t *ret_memory_align, uint32_t *ret_align)
{
    struct {
        uint32_t memory, smallest, largest;
    } info = {0};
    const int err = os_ask(fd, _IOR('X', 30, info), &info); /* XFS_IOC_DIOINFO, fs/xfs/libxfs/xfs_fs.h */
    if (err == 0) {
        *ret_memory_align = info.memory;
        *ret_align = info.smallest;
    }
    return err;
}

int jdb__os_device_block_sizes(int fd, uint32_t *ret_logical, uint32_t *ret_physical)
{
    int logical = 0;
    unsigned physical = 0;
    int err = os_ask(fd, BLKSSZGET, &logical);
    if (err == 0)
        err = os_ask(fd, BLKPBSZGET, &physical);
    if (err == 0) {
        *ret_logical = (uint32_t)logical;
        *ret_physical = physical;
    }
    return err;
}

int jdb__os_device_size(int fd, int64_t *ret_size)
{
    uint64_t size = 0;
    const int err = os_ask(fd, BLKGETSIZE64, &size);
    if (err == 0)
        *ret_size = (int64_t)size;
    return err;
}

/* The start of a file: bytes or -errno. */
static ssize_t os_read_text(const char *path, char *text, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const ssize_t got = read(fd, text, size);
    const ssize_t result = got < 0 ? -errno : got;
    close(fd);
    return result;
}

/* One number of /sys/dev/block/MAJOR:MINOR/WHERE/queue/NAME. */
static int os_sysfs_number(uint32_t major, uint32_t minor, const char *where, const char *name, uint32_t *ret_number)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    char path[128];
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%squeue/%s", major, minor, where, name);
    char text[32];
    ssize_t got = 0;
    OS_UNCANCELLED(got, os_read_text(path, text, sizeof text - 1));
    if (got < 0)
        return (int)got;
    text[got] = '\0';
    *ret_number = (uint32_t)strtoul(text, NULL, 10);
    return 0;
}

/* Of the device, or of its disk: a partition has no queue of its own; behind the symbolic link the disk is its parent directory. */
static int os_queue_number(uint32_t major, uint32_t minor, const char *name, uint32_t *ret_number)
{
    const int err = os_sysfs_number(major, minor, "", name, ret_number);
    return err == 0 ? 0 : os_sysfs_number(major, minor, "../", name, ret_number);
}

int jdb__os_device_is_stable(uint32_t major, uint32_t minor, bool *ret_stable)
{
    uint32_t is_stable = 0;
    const int err = os_queue_number(major, minor, "stable_writes", &is_stable);
    if (err == 0)
        *ret_stable = is_stable != 0;
    return err;
}

int jdb__os_device_block_sizes_by_number(uint32_t major, uint32_t minor, uint32_t *ret_logical, uint32_t *ret_physical)
{
    uint32_t logical = 0;
    uint32_t physical = 0;
    int err = os_queue_number(major, minor, "logical_block_size", &logical);
    if (err == 0)
        err = os_queue_number(major, minor, "physical_block_size", &physical);
    if (err != 0 || logical == 0 || physical == 0)
        return err != 0 ? err : -ENOENT;
    *ret_logical = logical;
    *ret_physical = physical;
    return 0;
}

/* ---- Open and close --------------------------------------------------------------------------------------- */

static int os_open_flags(uint32_t flags)
{
    const uint32_t access = flags & (OS_OPEN_READ | OS_OPEN_WRITE);
    return (access == OS_OPEN_WRITE  ? O_WRONLY
            : access == OS_OPEN_READ ? O_RDONLY
                                     : O_RDWR) |
           O_CLOEXEC | ((flags & OS_OPEN_CREATE) != 0 ? O_CREAT : 0) | ((flags & OS_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0) |
           ((flags & OS_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0) | ((flags & OS_OPEN_DIRECT) != 0 ? O_DIRECT : 0);
}

int jdb__os_working_directory(void)
{
    return AT_FDCWD;
}

bool jdb__os_path_is_other(int directory_fd, const char *path)
{
    struct stat now;
    return fstatat(directory_fd, path, &now, 0) == 0 && !S_ISREG(now.st_mode) && !S_ISBLK(now.st_mode);
}

static int os_open_once(int directory_fd, const char *path, uint32_t flags, uint32_t permissions, int *ret_fd)
{
    const int fault = jdb__os_fault(OS_CALL_OPEN);
    if (fault != 0)
        return fault;
    const int fd = openat(directory_fd, path, os_open_flags(flags), (mode_t)permissions);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int jdb__os_file_open(int directory_fd, const char *path, uint32_t flags, uint32_t permissions, int *ret_fd)
{
    int err = 0;
    OS_RETRY(err, os_open_once(directory_fd, path, flags, permissions, ret_fd));
    return err;
}

int jdb__os_file_reopen(int fd, uint32_t flags, int *ret_fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return jdb__os_file_open(AT_FDCWD, path, flags, 0, ret_fd);
}

int jdb__os_file_detach(int fd, uint32_t flags)
{
    int own = -1;
    int err = jdb__os_file_reopen(fd, flags, &own);
    if (err != 0)
        return err;
    err = jdb__os_fault(OS_CALL_OPEN);
    if (err == 0 && dup3(own, fd, O_CLOEXEC) < 0)
        err = -errno;
    (void)os_close_uncancelled(own); /* nothing was written through it */
    return err;
}

static int os_restrict_once(int fd, uint32_t permissions)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    struct stat now;
    if (fstat(fd, &now) != 0)
        return -errno;
    return fchmod(fd, now.st_mode & (mode_t)permissions) == 0 ? 0 : -errno;
}

int jdb__os_file_restrict(int fd, uint32_t permissions)
{
    int err = 0;
    OS_RETRY(err, os_restrict_once(fd, permissions));
    return err;
}

int jdb__os_file_close(int fd)
{
    const int fault = jdb__os_fault(OS_CALL_CLOSE);
    const int err = os_close_uncancelled(fd);
    return fault != 0 ? fault : err;
}

/* ---- Read and write --------------------------------------------------------------------------------------- */

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x02
#endif
#define RWF_ATOMIC_BIT 0x40 /* RWF_ATOMIC and RWF_DONTCACHE, include/uapi/linux/fs.h */
#define RWF_DONTCACHE_BIT 0x80

static int os_io_flags(uint32_t flags)
{
    return ((flags & OS_IO_DATA_SYNC) != 0 ? RWF_DSYNC : 0) | ((flags & OS_IO_UNCACHED) != 0 ? RWF_DONTCACHE_BIT : 0) |
           ((flags & OS_IO_ATOMIC) != 0 ? RWF_ATOMIC_BIT : 0);
}

/* A kernel without the call has none of its flags. */
static int64_t os_io_result(ssize_t moved)
{
    if (moved >= 0)
        return moved;
    return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

/* By system call, since musl has the wrappers only from 1.2.5 on. On 64 bits the offset fills the first of its two words. */
_Static_assert(sizeof(long) == 8, "the offset of preadv2 is one word");

_Static_assert(sizeof(struct jdb__os_piece) == sizeof(struct iovec) &&
                   offsetof(struct jdb__os_piece, size) == offsetof(struct iovec, iov_len),
               "a piece is an iovec");

/* The plain call for one piece, which is a little faster. */
static ssize_t os_read_pieces(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset, int flags)
{
    if (count == 1 && flags == 0)
        return pread(fd, pieces[0].ptr, pieces[0].size, offset);
    return syscall(SYS_preadv2, fd, pieces, (long)count, (long)offset, 0L, (long)flags);
}

static ssize_t os_write_pieces(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset, int flags)
{
    if (count == 1 && flags == 0)
        return pwrite(fd, pieces[0].ptr, pieces[0].size, offset);
    return syscall(SYS_pwritev2, fd, pieces, (long)count, (long)offset, 0L, (long)flags);
}

static int64_t os_read_once(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_READ);
    return fault != 0 ? fault : os_io_result(os_read_pieces(fd, pieces, count, offset, os_io_flags(flags)));
}

int64_t jdb__os_read_pieces_at(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset,
                               uint32_t flags)
{
    int64_t got = 0;
    OS_RETRY(got, os_read_once(fd, pieces, count, offset, flags));
    return got;
}

int64_t jdb__os_read_at(int fd, void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    const struct jdb__os_piece whole = {.ptr = ptr, .size = size};
    return jdb__os_read_pieces_at(fd, &whole, 1, offset, flags);
}

static int64_t os_write_once(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_WRITE);
    return fault != 0 ? fault : os_io_result(os_write_pieces(fd, pieces, count, offset, os_io_flags(flags)));
}

int64_t jdb__os_write_pieces_at(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset,
                                uint32_t flags)
{
    int64_t put = 0;
    OS_RETRY(put, os_write_once(fd, pieces, count, offset, flags));
    return put;
}

int64_t jdb__os_write_at(int fd, const void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    const struct jdb__os_piece whole = {.ptr = (void *)(uintptr_t)ptr, .size = size};
    return jdb__os_write_pieces_at(fd, &whole, 1, offset, flags);
}

/* ---- Size, durability, cache ------------------------------------------------------------------------------ */

static int os_truncate_once(int fd, int64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    return ftruncate(fd, size) == 0 ? 0 : -errno;
}

int jdb__os_file_truncate(int fd, int64_t size)
{
    int err = 0;
    OS_RETRY(err, os_truncate_once(fd, size));
    return err;
}

uint64_t jdb__os_file_size_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

/* Never repeated, whatever the error: os.h. */
int jdb__os_file_sync(int fd, bool is_data_only)
{
    const int fault = jdb__os_fault(OS_CALL_SYNC);
    if (fault != 0)
        return fault;
    int err = 0;
    OS_UNCANCELLED(err, (is_data_only ? fdatasync(fd) : fsync(fd)) == 0 ? 0 : -errno);
    return err;
}

static int os_directory_open_once(const char *path, int *ret_fd)
{
    const int fault = jdb__os_fault(OS_CALL_OPEN);
    if (fault != 0)
        return fault;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int jdb__os_directory_sync(const char *path)
{
    int fd = -1;
    int err = 0;
    OS_RETRY(err, os_directory_open_once(path, &fd));
    if (err != 0)
        return err;
    err = jdb__os_file_sync(fd, false);
    (void)os_close_uncancelled(fd);
    return err;
}

int jdb__os_file_find_data(int fd, int64_t offset, int64_t *ret_start, int64_t *ret_end)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    const off_t start = lseek(fd, offset, SEEK_DATA); /* the position of the descriptor is used by nobody */
    if (start < 0)
        return -errno;
    const off_t end = lseek(fd, start, SEEK_HOLE);
    if (end < 0)
        return -errno;
    *ret_start = start;
    *ret_end = end;
    return 0;
}

static int os_allocate_once(int fd, int64_t offset, uint64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, (off_t)size) == 0 ? 0 : -errno;
}

int jdb__os_file_allocate(int fd, int64_t offset, uint64_t size)
{
    int err = 0;
    OS_RETRY(err, os_allocate_once(fd, offset, size));
    return err;
}

#define WRITE_ZEROES_BIT 0x80 /* FALLOC_FL_WRITE_ZEROES, include/uapi/linux/falloc.h */

static int os_write_zeros_once(int fd, int64_t offset, uint64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_WRITE);
    if (fault != 0)
        return fault;
    return fallocate(fd, WRITE_ZEROES_BIT, offset, (off_t)size) == 0 ? 0 : -errno;
}

int jdb__os_file_write_zeros(int fd, int64_t offset, uint64_t size)
{
    int err = 0;
    OS_RETRY(err, os_write_zeros_once(fd, offset, size));
    return err;
}

void jdb__os_file_drop_cache(int fd, int64_t offset, uint64_t size)
{
    (void)posix_fadvise(fd, offset, (off_t)size, POSIX_FADV_DONTNEED);
}

const char *jdb__os_error_text(int err, char *text, size_t text_size)
{
#ifdef __GLIBC__
    return strerror_r(-err, text, text_size);
#else
    return strerror_r(-err, text, text_size) == 0 ? text : "unknown error"; /* as POSIX has it */
#endif
}
