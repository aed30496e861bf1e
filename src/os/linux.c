/* SPDX-License-Identifier: MIT
 *
 * os_linux.c - the window to the system on Linux.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* ---- Memory ----------------------------------------------------------------------------------------------- */

static int map_at(void *at, size_t size, int protection, int extra_flags, void **ret_ptr)
{
    const int fault = jdb__os_fault(OS_CALL_MAP);
    if (fault != 0)
        return fault;
    void *const ptr = mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
    if (ptr == MAP_FAILED)
        return -errno;
    *ret_ptr = ptr;
    return 0;
}

size_t jdb__os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int jdb__os_reserve(size_t size, void **ret_ptr)
{
    return map_at(NULL, size, PROT_NONE, MAP_NORESERVE, ret_ptr);
}

int jdb__os_commit(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_PROTECT);
    if (fault != 0)
        return fault;
    return mprotect(ptr, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

/* Map a range that may be a hole. The addresses are asked for and not forced: where they are not free, another thread has them.
 * -EADDRNOTAVAIL: they are not. */
static int hold(void *ptr, size_t size, int protection)
{
    void *held = NULL;
    const int err = map_at(ptr, size, protection, protection == PROT_NONE ? MAP_NORESERVE : 0, &held);
    if (err != 0 || held == ptr)
        return err;
    munmap(held, size);
    return -EADDRNOTAVAIL;
}

/* The range is ours, and no other thread can come between: the kernel exchanges the mappings under one lock. What could be refused
 * (limits, the number of mappings; no charge, as there is no access) it refuses before the old one is unmapped; since
 * Linux 6.12 a failure always brings it back. Source: mmap_region() in mm/mmap.c. A hole is closed all the same. */
int jdb__os_unreserve_commit(void *ptr, size_t size)
{
    void *same = NULL;
    const int err = map_at(ptr, size, PROT_NONE, MAP_NORESERVE | MAP_FIXED, &same);
    return err != 0 && hold(ptr, size, PROT_NONE) == 0 ? 0 : err;
}

int jdb__os_decommit(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_DONTNEED) == 0 ? 0 : -errno;
}

int jdb__os_wipe_on_fork(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_WIPEONFORK) == 0 ? 0 : -errno;
}

/* ---- Moving pages ----------------------------------------------------------------------------------------- */

/* Whether the pages lie in one mapping: a part of several, and only that, cannot be made longer with -EFAULT. 0, -EFAULT, or an
 * error that a test asks for. Source: vma_to_resize() in mm/mremap.c, check_prep_vma() since Linux 6.17. */
static int check_one_mapping(uint8_t *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_REMAP);
    if (fault != 0)
        return fault;
    const size_t page_size = jdb__os_page_size();
    if (mremap(ptr, size, size + page_size, 0) == MAP_FAILED)
        return errno == EFAULT ? -EFAULT : 0;
    munmap(ptr + size, page_size); /* the addresses behind were free */
    return 0;
}

/* A value for the first word of a range, by which it is known again. */
static uint32_t make_mark(const void *ptr)
{
    return (uint32_t)((jdb__os_clock_ns() ^ (uintptr_t)ptr) * UINT64_C(0x9e3779b97f4a7c15) >> 32) | 1;
}

/* Whether the range still begins with its mark. It may be another thread's by now, who may unmap it at any time, so the kernel
 * looks: futex(2), which would sleep on the value until a time that has passed. */
static bool has_mark(uint32_t *word, uint32_t mark)
{
    static const struct timespec past = {0, 0};
    return syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, mark, &past, NULL,
                   FUTEX_BITSET_MATCH_ANY) == 0 ||
           errno == ETIMEDOUT || errno == EINTR;
}

/* Put the mapping that [from, from + size) lies in over [to, to + size), which is ours and begins with writable memory. mremap(2)
 * unmaps `to` before it is sure that it can move, and then another thread's mmap() may be there first. So what is not our
 * own any more is not mapped by force. -EADDRNOTAVAIL: `to` is lost; another error: `to` is ours, its content is gone, and
 * where it had to be mapped again it has this protection. */
static int move_mapping(void *from, size_t size, void *to, int flags, int protection)
{
    const int fault = jdb__os_fault(OS_CALL_REMAP);
    if (fault != 0)
        return fault;
    uint32_t *const word = to;
    const uint32_t mark = make_mark(to);
    *word = mark;
    if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | flags, to) != MAP_FAILED)
        return 0;
    const int err = -errno;
    return has_mark(word, mark) || hold(to, size, protection) == 0 ? err : -EADDRNOTAVAIL;
}

/* How far a move came: the first `moved` bytes are at `to`, and of `to` the `lost` bytes behind them are not ours. */
struct move_state {
    size_t moved;
    size_t lost;
};

/* Move the pages of one mapping after the other: before Linux 6.17 several do not move at once, and later not as a whole. */
static int move_parts(uint8_t *from, size_t size, uint8_t *to, struct move_state *state)
{
    const size_t page_size = jdb__os_page_size();
    int err = check_one_mapping(from, size);
    if (err == -EFAULT && size > page_size) {
        const size_t half = size / page_size / 2 * page_size;
        err = move_parts(from, half, to, state);
        return err != 0 ? err : move_parts(from + half, size - half, to + half, state);
    }
    if (err == 0)
        err = move_mapping(from, size, to, MREMAP_DONTUNMAP, PROT_READ | PROT_WRITE);
    if (err == 0)
        state->moved += size;
    else if (err == -EADDRNOTAVAIL)
        state->lost = size;
    return err;
}

int jdb__os_move(void *from, size_t size, void *to)
{
    struct move_state state = {0, 0};
    const int err = move_parts(from, size, to, &state);
    if (err == 0)
        return 0;
    memcpy(from, to, state.moved);
    if (err != -EADDRNOTAVAIL)
        return err;
    const size_t rest = state.moved + state.lost;
    if (state.moved > 0)
        munmap(to, state.moved);
    if (rest < size)
        munmap((uint8_t *)to + rest, size - rest);
    return err;
}

int jdb__os_move_over(void *from, size_t size, void *to)
{
    const size_t page_size = jdb__os_page_size();
    int err = jdb__os_commit(to, page_size); /* for the mark */
    if (err != 0)
        return err;
    err = move_mapping(from, size, to, 0, PROT_NONE);
    if (err != 0 && err != -EADDRNOTAVAIL)
        jdb__os_unreserve_commit(to, page_size);
    return err;
}

/* ---- More memory ------------------------------------------------------------------------------------------ */

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

int jdb__os_guard(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_GUARD_INSTALL) == 0 ? 0 : -errno;
}

int jdb__os_unguard(void *ptr, size_t size)
{
    return madvise(ptr, size, MADV_GUARD_REMOVE) == 0 ? 0 : -errno;
}

int jdb__os_unmap(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_UNMAP);
    if (fault != 0)
        return fault;
    return munmap(ptr, size) == 0 ? 0 : -errno;
}

int jdb__os_resident(void *ptr, size_t size, unsigned char *ret_pages)
{
    return mincore(ptr, size, ret_pages) == 0 ? 0 : -errno;
}

int jdb__os_alloc(size_t size, void **ret_ptr)
{
    const int fault = jdb__os_fault(OS_CALL_ALLOC);
    if (fault != 0)
        return fault;
    void *const ptr = calloc(1, size);
    if (ptr == NULL)
        return -ENOMEM;
    *ret_ptr = ptr;
    return 0;
}

void jdb__os_free(void *ptr)
{
    free(ptr);
}

/* ---- Time and process ------------------------------------------------------------------------------------- */

uint64_t jdb__os_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t jdb__os_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

void jdb__os_sleep(uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    const struct timespec deadline = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
            deadline_ns == UINT64_MAX ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

void jdb__os_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

void jdb__os_yield(void)
{
    sched_yield();
}

/* futex(2) keeps nothing in this process. */
void jdb__os_before_fork(void)
{
}

void jdb__os_after_fork(bool is_child)
{
    (void)is_child;
}

int jdb__os_membarrier_register(void)
{
    const int fault = jdb__os_fault(OS_CALL_BARRIER);
    if (fault != 0)
        return fault;
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : -errno;
}

/* A registered process cannot be refused; exec() alone forgets the registration. */
void jdb__os_membarrier(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

_Static_assert(sizeof(off_t) == 8, "offsets are 64 bits");

/* The kernel's struct statx, include/uapi/linux/stat.h; it is padded to 256 bytes for ever. */
struct kernel_statx {
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
    uint64_t spare[9];
};
_Static_assert(sizeof(struct kernel_statx) == 256, "struct statx is 256 bytes");
_Static_assert(offsetof(struct kernel_statx, dio_mem_align) == 0x98, "as in the kernel");
_Static_assert(offsetof(struct kernel_statx, atomic_write_unit_min) == 0xa8, "as in the kernel");
_Static_assert(offsetof(struct kernel_statx, dio_read_offset_align) == 0xb4, "as in the kernel");

#define STATX_BASIC 0x7ffu
#define STATX_DIRECT_ALIGN 0x2000u
#define STATX_ATOMIC 0x10000u
#define STATX_DIRECT_READ_ALIGN 0x20000u
#define AT_EMPTY 0x1000

static enum os_file_kind kind_of(mode_t mode)
{
    return S_ISREG(mode) ? OS_FILE_REGULAR : S_ISBLK(mode) ? OS_FILE_DEVICE : OS_FILE_OTHER;
}

/* Before Linux 4.11, and where a sandbox forbids statx. */
static int stat_of_old(int fd, struct jdb__os_file_stat *ret_stat)
{
    struct stat old;
    if (fstat(fd, &old) != 0)
        return -errno;
    const dev_t device = S_ISBLK(old.st_mode) ? old.st_rdev : old.st_dev;
    *ret_stat = (struct jdb__os_file_stat){
        .kind = kind_of(old.st_mode),
        .size = S_ISREG(old.st_mode) ? (int64_t)old.st_size : 0,
        .preferred_block_size = (uint32_t)old.st_blksize,
        .device_major = major(device),
        .device_minor = minor(device),
        .inode = S_ISBLK(old.st_mode) ? 0 : (uint64_t)old.st_ino,
    };
    return 0;
}

static void stat_of_kernel(const struct kernel_statx *from, struct jdb__os_file_stat *ret_stat)
{
    const bool is_device = S_ISBLK(from->mode);
    const bool has_direct = (from->mask & STATX_DIRECT_ALIGN) != 0;
    const bool has_read = (from->mask & STATX_DIRECT_READ_ALIGN) != 0;
    const bool has_atomic = (from->mask & STATX_ATOMIC) != 0;
    *ret_stat = (struct jdb__os_file_stat){
        .kind = kind_of(from->mode),
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
    };
}

static int stat_once(int fd, struct jdb__os_file_stat *ret_stat)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    struct kernel_statx kernel;
    memset(&kernel, 0, sizeof kernel);
    const unsigned mask = STATX_BASIC | STATX_DIRECT_ALIGN | STATX_ATOMIC | STATX_DIRECT_READ_ALIGN;
    if (syscall(SYS_statx, fd, "", AT_EMPTY, mask, &kernel) != 0)
        return errno == EBADF || errno == EINTR || errno == EAGAIN ? -errno : stat_of_old(fd, ret_stat);
    stat_of_kernel(&kernel, ret_stat);
    return 0;
}

int jdb__os_file_stat(int fd, struct jdb__os_file_stat *ret_stat)
{
    int err = 0;
    OS_RETRY(err, stat_once(fd, ret_stat));
    return err;
}

static int file_system_once(int fd, uint32_t *ret_magic)
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
    OS_RETRY(err, file_system_once(fd, ret_magic));
    return err;
}

int jdb__os_file_is_direct(int fd, bool *ret_direct)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    *ret_direct = (flags & O_DIRECT) != 0;
    return 0;
}

static int ask_once(int fd, unsigned long request, void *ret_answer)
{
    const int fault = jdb__os_fault(OS_CALL_IOCTL);
    if (fault != 0)
        return fault;
    return ioctl(fd, request, ret_answer) == 0 ? 0 : -errno;
}

/* An ioctl that asks and fills *ret_answer. */
static int ask(int fd, unsigned long request, void *ret_answer)
{
    int err = 0;
    OS_RETRY(err, ask_once(fd, request, ret_answer));
    return err;
}

int jdb__os_file_is_nocow(int fd, bool *ret_nocow)
{
    int flags = 0; /* the kernel fills an int, whatever the number of the request says */
    const int err = ask(fd, FS_IOC_GETFLAGS, &flags);
    if (err == 0)
        *ret_nocow = (flags & FS_NOCOW_FL) != 0;
    return err;
}

int jdb__os_xfs_direct_align(int fd, uint32_t *ret_memory_align, uint32_t *ret_align)
{
    struct {
        uint32_t memory, smallest, largest;
    } info = {0};
    const int err = ask(fd, _IOR('X', 30, info), &info); /* XFS_IOC_DIOINFO, fs/xfs/libxfs/xfs_fs.h */
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
    int err = ask(fd, BLKSSZGET, &logical);
    if (err == 0)
        err = ask(fd, BLKPBSZGET, &physical);
    if (err == 0) {
        *ret_logical = (uint32_t)logical;
        *ret_physical = physical;
    }
    return err;
}

int jdb__os_device_size(int fd, int64_t *ret_size)
{
    uint64_t size = 0;
    const int err = ask(fd, BLKGETSIZE64, &size);
    if (err == 0)
        *ret_size = (int64_t)size;
    return err;
}

/* One number of /sys/dev/block/MAJOR:MINOR/WHERE/queue/NAME. */
static int sysfs_number(uint32_t major, uint32_t minor, const char *where, const char *name, uint32_t *ret_number)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    char path[128];
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%squeue/%s", major, minor, where, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    char text[32];
    const ssize_t got = read(fd, text, sizeof text - 1);
    const int err = got < 0 ? -errno : 0;
    close(fd);
    if (err != 0)
        return err;
    text[got] = '\0';
    *ret_number = (uint32_t)strtoul(text, NULL, 10);
    return *ret_number != 0 ? 0 : -ENOENT;
}

int jdb__os_device_block_sizes_by_number(uint32_t major, uint32_t minor, uint32_t *ret_logical, uint32_t *ret_physical)
{
    /* A partition has no queue of its own; behind the symbolic link the disk is its parent directory. */
    const char *where = "";
    uint32_t logical = 0;
    uint32_t physical = 0;
    int err = sysfs_number(major, minor, where, "logical_block_size", &logical);
    if (err != 0) {
        where = "../";
        err = sysfs_number(major, minor, where, "logical_block_size", &logical);
    }
    if (err == 0)
        err = sysfs_number(major, minor, where, "physical_block_size", &physical);
    if (err != 0)
        return err;
    *ret_logical = logical;
    *ret_physical = physical;
    return 0;
}

static int open_flags(uint32_t flags)
{
    const uint32_t access = flags & (OS_OPEN_READ | OS_OPEN_WRITE);
    return (access == OS_OPEN_WRITE  ? O_WRONLY
            : access == OS_OPEN_READ ? O_RDONLY
                                     : O_RDWR) |
           O_CLOEXEC | ((flags & OS_OPEN_CREATE) != 0 ? O_CREAT : 0) | ((flags & OS_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0) |
           ((flags & OS_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0) | ((flags & OS_OPEN_DIRECT) != 0 ? O_DIRECT : 0);
}

bool jdb__os_path_is_other(const char *path)
{
    struct stat now;
    return stat(path, &now) == 0 && !S_ISREG(now.st_mode) && !S_ISBLK(now.st_mode);
}

static int open_once(const char *path, uint32_t flags, uint32_t permissions, int *ret_fd)
{
    const int fault = jdb__os_fault(OS_CALL_OPEN);
    if (fault != 0)
        return fault;
    const int fd = open(path, open_flags(flags), (mode_t)permissions);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int jdb__os_file_open(const char *path, uint32_t flags, uint32_t permissions, int *ret_fd)
{
    int err = 0;
    OS_RETRY(err, open_once(path, flags, permissions, ret_fd));
    return err;
}

int jdb__os_file_reopen(int fd, uint32_t flags, int *ret_fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return jdb__os_file_open(path, flags, 0, ret_fd);
}

int jdb__os_file_close(int fd)
{
    /* The descriptor is gone whatever close returns: close(2), Linux. */
    const int fault = jdb__os_fault(OS_CALL_CLOSE);
    const int err = close(fd) == 0 ? 0 : -errno;
    return fault != 0 ? fault : err;
}

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x02
#endif
#define RWF_ATOMIC_BIT 0x40 /* RWF_ATOMIC and RWF_DONTCACHE, include/uapi/linux/fs.h */
#define RWF_DONTCACHE_BIT 0x80

static int io_flags(uint32_t flags)
{
    return ((flags & OS_IO_DATA_SYNC) != 0 ? RWF_DSYNC : 0) | ((flags & OS_IO_UNCACHED) != 0 ? RWF_DONTCACHE_BIT : 0) |
           ((flags & OS_IO_ATOMIC) != 0 ? RWF_ATOMIC_BIT : 0);
}

/* A kernel without the call has none of its flags. */
static int64_t io_result(ssize_t moved)
{
    if (moved >= 0)
        return moved;
    return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

/* By system call, since musl has the wrappers only from 1.2.5 on. On 64 bits the offset fills the first of its two words. */
_Static_assert(sizeof(long) == 8, "the offset of preadv2 is one word");

static ssize_t read_with_flags(int fd, const struct iovec *whole, int64_t offset, int flags)
{
    return syscall(SYS_preadv2, fd, whole, 1L, (long)offset, 0L, (long)flags);
}

static ssize_t write_with_flags(int fd, const struct iovec *whole, int64_t offset, int flags)
{
    return syscall(SYS_pwritev2, fd, whole, 1L, (long)offset, 0L, (long)flags);
}

static int64_t read_once(int fd, void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_READ);
    if (fault != 0)
        return fault;
    const struct iovec whole = {.iov_base = ptr, .iov_len = size};
    const ssize_t got =
        flags == 0 ? pread(fd, ptr, size, offset) : read_with_flags(fd, &whole, offset, io_flags(flags));
    return io_result(got);
}

int64_t jdb__os_read_at(int fd, void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    int64_t got = 0;
    OS_RETRY(got, read_once(fd, ptr, size, offset, flags));
    return got;
}

static int64_t write_once(int fd, const void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_WRITE);
    if (fault != 0)
        return fault;
    const struct iovec whole = {.iov_base = (void *)(uintptr_t)ptr, .iov_len = size};
    const ssize_t put =
        flags == 0 ? pwrite(fd, ptr, size, offset) : write_with_flags(fd, &whole, offset, io_flags(flags));
    return io_result(put);
}

int64_t jdb__os_write_at(int fd, const void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    int64_t put = 0;
    OS_RETRY(put, write_once(fd, ptr, size, offset, flags));
    return put;
}

static int truncate_once(int fd, int64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    return ftruncate(fd, size) == 0 ? 0 : -errno;
}

int jdb__os_file_truncate(int fd, int64_t size)
{
    int err = 0;
    OS_RETRY(err, truncate_once(fd, size));
    return err;
}

static int sync_once(int fd, bool is_data_only)
{
    const int fault = jdb__os_fault(OS_CALL_SYNC);
    if (fault != 0)
        return fault;
    return (is_data_only ? fdatasync(fd) : fsync(fd)) == 0 ? 0 : -errno;
}

int jdb__os_file_sync(int fd, bool is_data_only)
{
    int err = 0;
    OS_RETRY(err, sync_once(fd, is_data_only));
    return err;
}

static int directory_open_once(const char *path, int *ret_fd)
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
    OS_RETRY(err, directory_open_once(path, &fd));
    if (err != 0)
        return err;
    err = jdb__os_file_sync(fd, false);
    close(fd);
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
