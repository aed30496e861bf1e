/* SPDX-License-Identifier: MIT
 *
 * os.h - the one window to the system: this folder alone makes system calls and calls malloc.
 *
 *   linux.c         memory, time, threads        posix.c         all of it, by POSIX alone
 *   linux_file.c    files                        posix_absent.c  what POSIX does not have: refused
 *   linux_btrfs.c   files of btrfs
 *   linux_arena.c   what arenas ask for          fork.{c,h}      the locks, their order, what fork() does with them
 *   linux_uring.c   for libjdb_uring, os_uring.h fork_mark.{c,h} which process an object belongs to
 *
 * Every function returns 0 (or a result of 0 or more) or -errno, and does not report by errno; outputs are untouched on
 * failure. A feature is found by trying: -ENOTSUP, -ENOSYS and -EINVAL mean "not here"; no version is compared.
 * Addresses and sizes of memory calls are multiples of jdb__os_page_size() unless the comment says otherwise.
 *
 * Fault injection: built with JDB_FAULTS, each function asks jdb__os_fault() first, which the tests define; a release
 * build has no trace of it.
 */
#ifndef JDB_OS_H
#define JDB_OS_H

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One name per kind of call that can be made to fail. */
enum os_call {
    OS_CALL_MAP,
    OS_CALL_UNMAP,
    OS_CALL_PROTECT,
    OS_CALL_ADVISE,
    OS_CALL_REMAP,
    OS_CALL_ALLOC,
    OS_CALL_OPEN,
    OS_CALL_CLOSE,
    OS_CALL_STAT,  /* statx, fstatfs, fcntl, sysfs */
    OS_CALL_IOCTL, /* ioctl that asks */
    OS_CALL_READ,
    OS_CALL_WRITE,
    OS_CALL_TRUNCATE,
    OS_CALL_SYNC,
    OS_CALL_POPULATE,
    OS_CALL_TOUCH,
    OS_CALL_LOCK,
    OS_CALL_BIND,
    OS_CALL_NAME,
    OS_CALL_MEMFD, /* memfd_create and its seals */
    OS_CALL_THREAD,
    OS_CALL_FACTS,     /* /proc/self/smaps and numa_maps */
    OS_CALL_RESIDENT,  /* mincore */
    OS_CALL_BARRIER,   /* the registration for jdb__os_membarrier() */
    OS_CALL_NODES,     /* move_pages(2) that asks */
    OS_CALL_RING,      /* io_uring_register(2) */
    OS_CALL_RING_WAIT, /* io_uring_enter(2) that submits and waits */
    OS_CALL_COUNT,
};

/* Nodes of memory. */
struct os_topology {
    unsigned node_count;
    unsigned (*node_here)(void);
    int (*node_of)(const void *page); /* or -errno */
};

#ifdef JDB_FAULTS
/* 0, or the -errno that this call shall fail with. Defined by the tests. */
int jdb__os_fault(enum os_call call);

/* One that a test makes up; false: the system's counts. */
bool jdb__os_topology(struct os_topology *ret_topology);
#else
static inline bool jdb__os_topology(struct os_topology *ret_topology)
{
    (void)ret_topology;
    return false;
}

static inline int jdb__os_fault(enum os_call call)
{
    (void)call;
    return 0;
}
#endif

/* ---- Memory ----------------------------------------------------------------------------------------------- */

/* Bytes of a page of the system: 4, 16 or 64 KiB. */
size_t jdb__os_page_size(void);

/* Whether a range begins and ends with a page. */
static inline bool os_is_pages(const void *ptr, size_t size)
{
    return ((uintptr_t)ptr | size) % jdb__os_page_size() == 0;
}

/* Reserve addresses: no access, no memory, no charge. -ENOMEM. */
int jdb__os_reserve(size_t size, void **ret_ptr);

/* Make reserved addresses readable and writable; their bytes are zero and untouched. -ENOMEM. */
int jdb__os_commit(void *ptr, size_t size);

/* Replace a range by fresh reserved addresses: memory and charge go back, and so does a mapping that was moved here. On an
 * error the range is as it was. */
int jdb__os_decommit_to_reserved(void *ptr, size_t size);

/* Give the memory back; the range stays readable and writable and reads as zero (private memory). */
int jdb__os_decommit(void *ptr, size_t size);

/* Move the pages of [from, from + size) to `to`, which is committed and loses its content; `from` stays readable and
 * writable and reads as zero, so no other thread's mapping can appear there. Source: mremap(2), MREMAP_DONTUNMAP, since
 * Linux 5.7. On an error `from` is as it was and the caller copies. After -EADDRNOTAVAIL `to` is not ours any more and must
 * not be accessed: another thread's mapping may be there. */
int jdb__os_move(void *from, size_t size, void *to);

/* Make readable pages inaccessible without splitting the mapping, their content is gone; and undo it. Source: madvise(2),
 * MADV_GUARD_INSTALL, since Linux 6.13. -EINVAL or -ENOTSUP elsewhere: the pages stay readable. */
int jdb__os_guard(void *ptr, size_t size);
int jdb__os_unguard(void *ptr, size_t size);

/* Unmap. */
int jdb__os_unmap(void *ptr, size_t size);

/* Fill one byte for each system page of the range with its low bit set where resident: mincore(2). */
int jdb__os_resident(void *ptr, size_t size, unsigned char *ret_pages);

/* The range is zero in a child of fork(): MADV_WIPEONFORK, since Linux 4.14. */
int jdb__os_wipe_on_fork(void *ptr, size_t size);

/* Zeroed memory for bookkeeping, from malloc. -ENOMEM. */
int jdb__os_alloc(size_t size, void **ret_ptr);
void jdb__os_free(void *ptr);

/* ---- Time and process ------------------------------------------------------------------------------------- */

/* Milliseconds of a clock that never goes back; cheap, a few milliseconds coarse. */
uint64_t jdb__os_coarse_ms(void);

/* Nanoseconds of the clock that jdb__os_sleep() reads deadlines on; never goes back. */
uint64_t jdb__os_clock_ns(void);

/* What a variable of the environment says, or NULL; NULL too where the program has more rights than who started it:
 * secure_getenv(3). */
const char *jdb__os_environment(const char *name);

/* ---- Threads ---------------------------------------------------------------------------------------------- */

/* Sleep while *word is `expected`, at most until deadline_ns of jdb__os_clock_ns() (UINT64_MAX: for ever). May return
 * for no reason: look again. Source: futex(2), FUTEX_WAIT_BITSET. */
void jdb__os_sleep(uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* Wake one thread that sleeps on the word, by its address: the memory may be gone. */
void jdb__os_wake(uint32_t *word);

/* Wake all of them. */
void jdb__os_wake_all(uint32_t *word);

/* The return addresses of the calls that led here, the one in the caller first where skipped is 0, at most max of them. No memory
 * is allocated but in the process's first call. Returns how many; 0: not here. Source: backtrace(3), of glibc. */
unsigned jdb__os_stack(unsigned skipped, unsigned max, void **ret_frames);

/* The number of this process. */
long jdb__os_process(void);

/* Let another thread run. */
void jdb__os_yield(void);

/* Run run(context) on a thread of its own that takes no signals; jdb__os_thread_join() waits for its end, and must be called
 * once. -EAGAIN, -ENOMEM. */
int jdb__os_thread_start(void (*run)(void *context), void *context, void **ret_thread);
void jdb__os_thread_join(void *thread);

/* Around fork(), the innermost locks: those of the functions above, where they have any. */
void jdb__os_before_fork(void);
void jdb__os_after_fork(bool is_child);

/* Once, before jdb__os_membarrier() may be called. -ENOTSUP, -ENOSYS, -EINVAL: the system has none. */
int jdb__os_membarrier_register(void);

/* When it returns 0, every thread of the process has passed a full barrier since the call. A registered process
 * is not refused, but where the kernel has no memory at all (-ENOMEM), or a filter of system calls came later.
 * Source: membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED, since Linux 4.14. */
int jdb__os_membarrier(void);

/* ---- Files ------------------------------------------------------------------------------------------------
 *
 * All of them but those that close are repeated, a bounded number of times, when they return -EINTR or -EAGAIN: retry.h.
 */

enum os_file_kind {
    OS_FILE_OTHER,
    OS_FILE_REGULAR,
    OS_FILE_DEVICE, /* a block device */
};

/* Where the system reports nothing on direct I/O, the has_ field is false and its numbers are 0. */
struct jdb__os_file_stat {
    enum os_file_kind kind;
    int64_t size;                  /* bytes; 0 for a device */
    uint32_t preferred_block_size; /* bytes */
    uint32_t device_major;         /* of the file system, or of the device itself */
    uint32_t device_minor;
    uint64_t inode;        /* with the device: the same for every descriptor of a file */
    bool has_direct_align; /* statx STATX_DIOALIGN, since Linux 6.1; zeros mean that direct I/O is not supported */
    uint32_t memory_align;
    uint32_t write_align;
    bool has_read_align; /* statx STATX_DIO_READ_ALIGN, since Linux 6.14; 0 means the same as write_align */
    uint32_t read_align;
    uint32_t atomic_min_size; /* statx STATX_WRITE_ATOMIC, since Linux 6.11; 0 = no atomic writes */
    uint32_t atomic_max_size;
    uint32_t atomic_segments_count;
    uint32_t atomic_max_optimal_size; /* stx_atomic_write_unit_max_opt, since 6.16; 0 = no such boundary */
};

/* statx(2) by raw system call with a copy of the kernel's struct, so that neither libc nor headers need to be new. */
int jdb__os_file_stat(int fd, struct jdb__os_file_stat *ret_stat);

/* Magic number of the file system: fstatfs(2). */
#define OS_FUSE_MAGIC 0x65735546u
int jdb__os_file_system(int fd, uint32_t *ret_magic);

/* Whether the file is exempt from copy on write and checksums: FS_IOC_GETFLAGS, FS_NOCOW_FL. */
int jdb__os_file_is_nocow(int fd, bool *ret_nocow);

/* Whether the data of a file of btrfs has checksums: BTRFS_IOC_TREE_SEARCH, which wants CAP_SYS_ADMIN (-EPERM). What
 * jdb__os_file_is_nocow() reports may not be in the tree yet. */
int jdb__os_btrfs_has_checksums(int fd, bool *ret_has);

/* Whether the file system of the file is mounted with an option of its own: /proc/self/mountinfo. -ENOENT: no /proc. */
int jdb__os_mount_has_option(int fd, const char *option, bool *ret_has);

/* XFS_IOC_DIOINFO: alignment of memory, and smallest unit of offset and length. -ENOTTY elsewhere. */
int jdb__os_xfs_direct_align(int fd, uint32_t *ret_memory_align, uint32_t *ret_align);

/* Block sizes of a block device that is open: BLKSSZGET, BLKPBSZGET. */
int jdb__os_device_block_sizes(int fd, uint32_t *ret_logical, uint32_t *ret_physical);

/* Bytes of a block device that is open: BLKGETSIZE64. */
int jdb__os_device_size(int fd, int64_t *ret_size);

/* Block sizes of the device that a file system lies on, from sysfs; for a partition those of its disk.
 * -ENOENT: there is no such device (btrfs, overlayfs, network file systems have none). */
int jdb__os_device_block_sizes_by_number(uint32_t major, uint32_t minor, uint32_t *ret_logical, uint32_t *ret_physical);

/* Whether memory that is written to the device must not change meanwhile: queue/stable_writes in sysfs. -ENOENT: no such
 * device. */
int jdb__os_device_is_stable(uint32_t major, uint32_t minor, bool *ret_stable);

/* How a file is opened; closed by exec. */
enum {
    OS_OPEN_READ = 1,
    OS_OPEN_WRITE = 2,
    OS_OPEN_CREATE = 4,
    OS_OPEN_EXCLUSIVE = 8,
    OS_OPEN_TRUNCATE = 16,
    OS_OPEN_DIRECT = 32,
    OS_OPEN_APPEND = 64, /* of a descriptor that others opened */
    OS_OPEN_PATH = 128,  /* the same: names a file, and is open for nothing */
};

/* How the descriptor was opened: OS_OPEN_READ, _WRITE, _DIRECT, _APPEND, _PATH. */
int jdb__os_file_flags(int fd, uint32_t *ret_flags);

/* The directory that relative paths begin at where no other is given: AT_FDCWD. */
int jdb__os_working_directory(void);

/* Whether there is something at path that is neither a regular file nor a block device: opening it could wait for ever (a
 * FIFO), or have effects (a device). */
bool jdb__os_path_is_other(int directory_fd, const char *path);

/* openat(2). permissions: of a file that is created, before the umask. */
int jdb__os_file_open(int directory_fd, const char *path, uint32_t flags, uint32_t permissions, int *ret_fd);

/* Take from the file the permissions that are not in `permissions`: fchmod(2). */
int jdb__os_file_restrict(int fd, uint32_t permissions);

/* Open the same file again with other flags (no create, exclusive or truncate), by /proc/self/fd: nobody can put another
 * file in its place in between. -ENOENT: no /proc. */
int jdb__os_file_reopen(int fd, uint32_t flags, int *ret_fd);

/* Open the same file again under the same descriptor: a child of fork() shares the open file with its parent, and what the
 * kernel reports once for each open file it reports to one of the two. Threads that use fd at this moment end with the old
 * one. On failure fd is as it was. Errors as jdb__os_file_reopen(). */
int jdb__os_file_detach(int fd, uint32_t flags);

int jdb__os_file_close(int fd);

/* How bytes are moved: RWF_ flags of preadv2(2) and pwritev2(2). -EOPNOTSUPP: not by this file or this kernel. */
enum {
    OS_IO_DATA_SYNC = 1, /* RWF_DSYNC, since Linux 4.7 */
    OS_IO_UNCACHED = 2,  /* RWF_DONTCACHE, since 6.14 */
    OS_IO_ATOMIC = 4,    /* RWF_ATOMIC, since 6.11 */
};

/* A piece of memory of a vectored request; laid out as struct iovec. */
struct jdb__os_piece {
    void *ptr;
    size_t size;
};

/* preadv2(2) and pwritev2(2) of at most OS_PIECES_MAX pieces: bytes moved, a read 0 at the end of the file. A system without them
 * may move the first piece alone. */
#define OS_PIECES_MAX 128u
int64_t jdb__os_read_pieces_at(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset,
                               uint32_t flags);
int64_t jdb__os_write_pieces_at(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset,
                                uint32_t flags);

/* The same of one piece: pread(2) and pwrite(2). */
int64_t jdb__os_read_at(int fd, void *ptr, size_t size, int64_t offset, uint32_t flags);
int64_t jdb__os_write_at(int fd, const void *ptr, size_t size, int64_t offset, uint32_t flags);

int jdb__os_file_truncate(int fd, int64_t size);

/* RLIMIT_FSIZE: the most bytes that a file may grow to by this process; UINT64_MAX = no limit. */
uint64_t jdb__os_file_size_limit(void);

/* fdatasync(2) or fsync(2). An error is final, -EINTR and -EAGAIN too: it may be that of a writeback (a FUSE daemon answered a
 * write so), which the kernel reports once, and a second sync would return 0 although the bytes are lost. */
int jdb__os_file_sync(int fd, bool is_data_only);

/* Open the directory, fsync it, close it. */
int jdb__os_directory_sync(const char *path);

/* The first data at or behind offset, and its end: SEEK_DATA and SEEK_HOLE of lseek(2). -ENXIO: none; -EINVAL, -ENOTSUP: not
 * here. */
int jdb__os_file_find_data(int fd, int64_t offset, int64_t *ret_start, int64_t *ret_end);

/* Allocate space for the range and keep the size: fallocate(2), FALLOC_FL_KEEP_SIZE. -EOPNOTSUPP, -ENOTSUP, -ENOSYS: not here. */
int jdb__os_file_allocate(int fd, int64_t offset, uint64_t size);

/* Fill the range with zeros that are written extents, by the device where it can: fallocate(2), FALLOC_FL_WRITE_ZEROES, since
 * Linux 6.17 (ext4 and block devices whose device unmaps what it zeroes). -EOPNOTSUPP, -ENOTSUP, -ENOSYS, -EINVAL: not here. */
int jdb__os_file_write_zeros(int fd, int64_t offset, uint64_t size);

/* Drop clean pages of the range from the page cache, as far as it likes: posix_fadvise(2). */
void jdb__os_file_drop_cache(int fd, int64_t offset, uint64_t size);

/* What errno err (negative) means, in words; returns text. */
const char *jdb__os_error_text(int err, char *text, size_t text_size);

/* ---- Arenas ----------------------------------------------------------------------------------------------- */

/* madvise(2): DONTFORK, DONTDUMP, HUGEPAGE or NOHUGEPAGE; COLLAPSE makes huge pages of small ones now, since Linux
 * 6.1. */
int jdb__os_keep_from_children(void *ptr, size_t size);
int jdb__os_keep_from_dumps(void *ptr, size_t size);
int jdb__os_advise_huge(void *ptr, size_t size, bool huge);
int jdb__os_collapse(void *ptr, size_t size);

/* Name anonymous memory in /proc/self/maps: prctl(2), PR_SET_VMA_ANON_NAME, since Linux 5.17. -EINVAL, -EBADF. */
int jdb__os_name(void *ptr, size_t size, const char *name);

enum os_numa {
    OS_NUMA_PREFER = 1, /* the kernel's numbers */
    OS_NUMA_BIND = 2,
    OS_NUMA_INTERLEAVE = 3,
};

/* NUMA policy of untouched memory: mbind(2) by raw system call. nodes: 256 bits. */
int jdb__os_bind(void *ptr, size_t size, enum os_numa policy, const uint64_t *nodes);

/* Make pages resident and writable, content kept: MADV_POPULATE_WRITE, since Linux 5.14. -EINVAL: not here, touch
 * instead; -ENOMEM; -EFAULT: a touch would have raised SIGBUS. */
int jdb__os_populate(void *ptr, size_t size);

/* The same for the page of one word (ptr: a multiple of 4), by the kernel: where a touch would raise a signal, -EFAULT.
 * -ENOTSUP, -ENOSYS: not here. Source: futex(2), FUTEX_WAKE_OP, whose "or 0" is atomic and keeps the word. */
int jdb__os_touch(void *ptr);

/* mlock2(2); on_fault: pages are locked as they are touched. -ENOMEM, -EPERM: over RLIMIT_MEMLOCK; a part may be locked. */
int jdb__os_lock(void *ptr, size_t size, bool on_fault);
int jdb__os_unlock(void *ptr, size_t size);

/* As jdb__os_decommit(), for locked memory too: MADV_DONTNEED_LOCKED, since Linux 5.18. -EINVAL: not here. */
int jdb__os_decommit_locked(void *ptr, size_t size);

/* Map private huge pages, reserved but untouched, where the kernel likes. page_size: 2 MiB or 1 GiB. -ENOMEM: too
 * few. */
int jdb__os_map_huge(size_t size, size_t page_size, void **ret_ptr);

/* Map a file, shared: over reserved addresses, or where the kernel likes. -EADDRNOTAVAIL: the addresses are lost, as with
 * jdb__os_move(); after any other error they are still reserved. */
int jdb__os_map_file_at(int fd, int64_t offset, size_t size, void *at);
int jdb__os_map_file(int fd, int64_t offset, size_t size, void **ret_ptr);

/* Move a whole mapping over reserved addresses: mremap(2); of huge pages since Linux 5.16. -EINVAL: not here; else as
 * jdb__os_map_file_at(). On an error `from` is as it was. */
int jdb__os_move_over(void *from, size_t size, void *to);

/* A file without a name, in memory, that can be sealed. page_size: 0 for small pages, else 2 MiB or 1 GiB. */
int jdb__os_memfd_new(const char *name, size_t page_size, int *ret_fd);
int jdb__os_memfd_seal_size(int fd); /* it cannot shrink from now on */
int jdb__os_memfd_is_sealed(int fd, bool *ret_sealed);
int jdb__os_memfd_resize(int fd, int64_t size);

/* Give the memory of a part of a memfd back; it reads as zero: fallocate(2), FALLOC_FL_PUNCH_HOLE. */
int jdb__os_memfd_punch(int fd, int64_t offset, int64_t size);

int jdb__os_fd_duplicate(int fd, int *ret_fd);
int jdb__os_fd_close(int fd);

/* CPUs that this thread may run on. */
unsigned jdb__os_cpu_count(void);

/* Run work(context, i) once for each i below count at the same time, i = 0 on the calling thread, the others on
 * threads that take no signals; returns when all have returned. Fewer run when the system gives fewer threads. */
void jdb__os_run_parallel(unsigned count, void (*work)(void *context, unsigned index), void *context);

/* Nodes of memory that are online, as the highest number + 1; 1 where that is not known: /sys/devices/system/node. */
unsigned jdb__os_node_count(void);

/* The node of the processor that this thread runs on: getcpu(2). */
unsigned jdb__os_node_here(void);

/* The node that each page lies on, or a negative number: it is not there yet. Source: move_pages(2) without nodes. -ENOSYS,
 * -EPERM: not here. */
int jdb__os_nodes_of(const void *const *pages, size_t count, int *ret_nodes);

#define OS_NODE_COUNT 64

/* Bytes. */
struct jdb__os_map_facts {
    uint64_t resident; /* on all kinds of pages */
    uint64_t huge_1g;
    uint64_t huge_2m;
    uint64_t transparent; /* on transparent huge pages */
    uint64_t locked;      /* resident bytes of mappings that are locked */
    uint64_t node[OS_NODE_COUNT];
    uint64_t other_nodes;
    bool has_locked_map; /* a mapping that has a byte of the range is locked */
};

/* What the mappings in a range are made of: /proc/self/smaps, and numa_maps for the nodes. Slow. Both are read as far as they
 * can be; the first error is returned, and then the numbers that it concerns are 0. */
int jdb__os_map_facts(const void *ptr, size_t size, struct jdb__os_map_facts *ret_facts);

/* Bytes of the largest page below 2 MiB that the system may use for memory advised to be huge (mTHP); is_shared: of a memfd.
 * 0: none, or unknown. Source: Documentation/admin-guide/mm/transhuge.rst of Linux, hugepages-<size>kB, since 6.8. */
uint64_t jdb__os_mthp_size(bool is_shared);

#endif
