/* SPDX-License-Identifier: MIT
 *
 * file.h - a file opened with a policy for direct I/O: reads and writes of any range and any memory.
 *
 *     jdb_file *file = NULL;
 *     jdb_file_options options = JDB_FILE_OPTIONS_INIT;      // prefer direct I/O, read only
 *     jdb_file_report report = JDB_FILE_REPORT_INIT;
 *     if (jdb_file_open("data", &options, &report, &file) != 0) {
 *         puts(report.text);                                 // which call failed, its error, what to do
 *         return;
 *     }
 *     jdb_raw view = jdb_buf_as_raw(&buf);
 *     if (jdb_file_read_full(file, &view, 1000, &report) == 0)
 *         use(view.ptr, view.len);                           // report.is_eof: the file ended there
 *     jdb_file_close(file);
 *
 * Aligned requests pass directly between the caller's memory and the file. Memory that is not aligned is copied through an
 * aligned bounce buffer; the blocks at the two ends of a write of which only a part is new are written by the tail strategy
 * of the options. The report counts the bytes of each way, so every fallback is reported.
 *
 * What to know before use:
 *   - Direct is not durable. O_DIRECT is not O_SYNC: set a durability in the options, or call jdb_file_sync().
 *   - Writers need no order for bytes that do not overlap, whether they extend the file or not: nothing truncates the file
 *     behind them. With JDB_FILE_TAIL_BUFFERED (the default) the kernel orders the writes, those of other processes too, on
 *     file systems that keep direct and cached I/O to a file coherent (tested: ext4, xfs, btrfs, FUSE; GlusterFS only as
 *     docs/tuning.md says), and readers see no padding. With JDB_FILE_TAIL_READ_MODIFY_WRITE, and on block devices, the library
 *     orders all writes that one process makes by jdb_file_write_x(), through any number of jdb_file; the caller must order
 *     those of other processes that fall within one block (of limits.write_align bytes). The caller must also order direct writes in flight in io_uring
 *     on jdb_file_descriptor() against calls that write a part of the same block or page.
 *   - The first error of a write or of a sync stays with the file. Until jdb_file_clear_error() every later durable write
 *     and every jdb_file_sync() returns it without doing anything, on all threads: the kernel reports lost data once and
 *     then treats it as written. jdb_file_clear_error() says what to write again.
 *   - Memory under I/O must not change: checksumming devices and file systems see torn data otherwise. Memory of this
 *     library is pinned (pin.h) during the call.
 *   - A file that is open for direct I/O has a second descriptor without O_DIRECT. As with every file, closing it drops
 *     the POSIX record locks that the process holds on the same file.
 *   - The required alignments can grow while the file is open (a reflink copy on xfs). After a request that the kernel
 *     refused with EINVAL the limits are queried again, and the request continues with them; jdb_file_limits() queries
 *     them at any time.
 *   - A system call that answers EINTR or EAGAIN is repeated; after 33 such answers (with EAGAIN in 0.4 s), that error is
 *     returned, with the count of the bytes that were moved before. close(2), fsync(2) and fdatasync(2) are never repeated.
 *
 * Life cycle: jdb_file_open() allocates, jdb_file_close() closes and frees. Thread safety: any number of threads may read,
 * write and truncate one file; jdb_file_close() must be the last call. A child of fork() may use the file; its writes and
 * those of its parent are then ordered as those of any two processes. Its first write or sync opens the file again, under the
 * same descriptors, so that lost data is reported to each of the two. Where that is refused (permissions were given up,
 * /proc is not there), the error of open(2) stays with the child's file, as that of a write does.
 */
#ifndef JDB_ALLOC_FILE_H
#define JDB_ALLOC_FILE_H

#include "base.h"
#include "direct.h"
#include "raw.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_file jdb_file;

/* ---- Constants ------------------------------------------------------------------------------------------ */

/* What the file is opened for; a sum. */
enum {
    JDB_FILE_READ = 1,
    JDB_FILE_WRITE = 2,
    JDB_FILE_CREATE = 4,
    JDB_FILE_EXCLUSIVE = 8, /* with CREATE: -EEXIST when it is there */
    JDB_FILE_TRUNCATE = 16,
};

/* The policy: what is done about direct I/O. */
enum {
    JDB_FILE_DIRECT_PREFER = 0,  /* direct, else uncached, else buffered, and the reason in the report */
    JDB_FILE_DIRECT_REQUIRE = 1, /* direct, or jdb_file_open() fails with -ENOTSUP and the reason */
    JDB_FILE_DIRECT_OFF = 2,     /* uncached, else buffered */
};

/* The mode: what was obtained; ordered from good to bad. */
enum {
    JDB_FILE_MODE_DIRECT = 1,   /* bypasses the page cache */
    JDB_FILE_MODE_UNKNOWN = 2,  /* O_DIRECT is accepted; what happens behind it cannot be detected (FUSE, network) */
    JDB_FILE_MODE_UNCACHED = 3, /* RWF_DONTCACHE: through the page cache and evicted from it; no alignment needed */
    JDB_FILE_MODE_BUFFERED = 4, /* the page cache */
};

/* The tail strategy: how the first and last block of a write are written when only a part of them is new; 0 = BUFFERED.
 * Block devices, whose size does not change, are read, modified and written wherever they can be read. There is no strategy
 * that pads the last block and truncates the file behind it: the truncate would cut off what another writer appended
 * meanwhile, readers would see the padding, and a crash would keep it. */
enum {
    /* Write just the new bytes through the page cache and evict them, when they are clean: by the next writes, and with a sync. The
     * file's size is exact at every moment.
     * With DURABLE_NONE the kernel writes them to the device later, and jdb_file_sync() returns the error if it cannot. */
    JDB_FILE_TAIL_BUFFERED = 1,
    /* Read, modify and write the block directly: the file ends at a multiple of write_align, with zeros behind the data, and
     * the caller keeps the true length. Where the file is not direct, or cannot be opened for reading, the block is written as by
     * BUFFERED, and zeros behind it: the length is the same whatever the mode. For logs and for devices. */
    JDB_FILE_TAIL_READ_MODIFY_WRITE = 2,
};

/* The durability: what has reached stable storage when a write returns. */
enum {
    JDB_FILE_DURABLE_NONE = 0, /* nothing */
    JDB_FILE_DURABLE_DATA = 1, /* the data and its metadata: RWF_DSYNC where all is direct, else fdatasync */
    JDB_FILE_DURABLE_SYNC =
        2, /* all metadata too, as times: fsync. The name of a new file: jdb_file_sync_directory() */
};

/* Flags; a sum. */
enum {
    JDB_FILE_ACCEPT_UNKNOWN = 1, /* with REQUIRE: JDB_FILE_MODE_UNKNOWN is accepted */
    JDB_FILE_NO_COPY = 2,        /* a request that is not aligned fails with -EINVAL and the reason; no bounce buffer */
    JDB_FILE_NO_UNCACHED = 4,    /* no RWF_DONTCACHE: what is not direct may stay in the page cache */
    JDB_FILE_TAKE_FD = 8,        /* of jdb_file_from_fd() only: fd is the file's own, and is closed with it */
};

typedef struct jdb_file_options {
    uint32_t size;       /* bytes of this struct, as the caller knows it */
    uint32_t access;     /* sum of READ, WRITE, CREATE, EXCLUSIVE, TRUNCATE; 0 = READ */
    uint32_t policy;     /* JDB_FILE_DIRECT_x; 0 = PREFER */
    uint32_t tail;       /* JDB_FILE_TAIL_x; 0 = BUFFERED */
    uint32_t durability; /* JDB_FILE_DURABLE_x */
    uint32_t flags;      /* sum of ACCEPT_UNKNOWN, NO_COPY, NO_UNCACHED */
    uint32_t
        permissions;    /* of a new file, before the umask; 0 = 0666; its owner may read and write while it is opened */
    uint32_t copy_size; /* bytes of the bounce buffer of a call, which has one when it needs it; 0 = 256 KiB */
    uint32_t memory_align; /* overrides a limit of the file, as jdb_direct_override(); 0 = none */
    uint32_t write_align;
    uint32_t read_align;
    uint32_t pretend_align; /* strict mode, as jdb_direct_pretend(); 0 = off */
    uint64_t reserved[4];
} jdb_file_options;

/* What a call did. Filled on success and on failure. */
typedef struct jdb_file_report {
    uint32_t size;          /* bytes of this struct, as the caller knows it */
    uint32_t mode;          /* JDB_FILE_MODE_x of the file now: the worse of reading and writing; 0 = not open */
    int32_t err;            /* what the call returned: 0 or negative */
    uint32_t is_eof;        /* of a read: 1: fewer bytes than asked because the file ended */
    const char *call;       /* what failed: a system call, or "querying the limits"; a static string; NULL: nothing */
    uint64_t done_size;     /* bytes moved, counted from the start of the range; exact on failure too */
    uint64_t direct_size;   /* of them, with O_DIRECT, or zeros by the device */
    uint64_t buffered_size; /* of them, through the page cache, uncached ones included */
    uint64_t copied_size;   /* of the direct ones, through the bounce buffer */
    uint64_t request_count; /* reads and writes made, those of blocks to modify included */
    /* 1: err is of another call on the file, which jdb_file_error() keeps. done_size 0: nothing was written; else the bytes
     * are written, and not known to be durable. Since 0.2 */
    uint32_t is_earlier_error;
    char text[JDB_DIRECT_TEXT_SIZE]; /* one line: what failed, its error, the cause, what to do; "" = nothing to say */
    uint32_t reserved[7];
} jdb_file_report;

#ifdef __cplusplus
#define JDB_FILE_OPTIONS_INIT                                        \
    ([] {                                                            \
        jdb_file_options init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_file_options)); \
        return init;                                                 \
    }())
#define JDB_FILE_REPORT_INIT                                        \
    ([] {                                                           \
        jdb_file_report init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_file_report)); \
        return init;                                                \
    }())
#else
#define JDB_FILE_OPTIONS_INIT ((jdb_file_options){.size = sizeof(jdb_file_options)})
#define JDB_FILE_REPORT_INIT ((jdb_file_report){.size = sizeof(jdb_file_report)})
#endif

/* ---- Life cycle ------------------------------------------------------------------------------------------- */

/* jdb_file_open - open a regular file or a block device.
 *
 * path: as open(2). options: NULL = JDB_FILE_OPTIONS_INIT. ret_report: may be NULL; set its size first; its text is the mode
 * with its reason, or why the call failed and what to do.
 * O_DIRECT is set at open, never later by fcntl, which succeeds on files where I/O and close() then fail.
 *
 * Returns 0 and *ret_file, which the caller owns; -ENOTSUP: REQUIRE and the file is not direct, or it is no regular file
 * or block device; nothing is truncated then, and a file that was created stays; -EINVAL: an argument; -E2BIG: reserved
 * or newer fields are set; -ENOMEM; else the error of open(2). *ret_file is untouched on failure. Any thread. Since 0.1. */
JDB_API int jdb_file_open(const char *path, const jdb_file_options *options, jdb_file_report *ret_report,
                          jdb_file **ret_file);

/* jdb_file_openat - the same of a path that begins at a directory.
 *
 * directory_fd: an open directory, or AT_FDCWD of <fcntl.h>; the caller's, and not needed afterwards. path: as openat(2). Else as
 * jdb_file_open(). Since 0.2. */
JDB_API int jdb_file_openat(int directory_fd, const char *path, const jdb_file_options *options,
                            jdb_file_report *ret_report, jdb_file **ret_file);

/* jdb_file_from_fd - a file of a descriptor that is open already: passed by another process, a memfd, O_TMPFILE.
 *
 * fd: borrowed: it stays the caller's, on success and on failure, and may be closed when this returns. Its file is opened again
 * (/proc/self/fd), with O_DIRECT and without, whichever fd has; where that is refused (permissions, no /proc) a copy of fd
 * serves as the one of the two that it is. Such a copy shares the open file with fd: a sync of fd would take the error of a
 * lost write from it. With JDB_FILE_TAKE_FD, fd itself is the one without O_DIRECT: one descriptor and two calls fewer. On success it
 * is the file's then: the caller may use it until jdb_file_close() closes it, though syncs should go by one of the two alone.
 * options: access without CREATE and EXCLUSIVE, and no more than fd is open for.
 * Returns as jdb_file_open(); -EBADF: no descriptor, not open for the access, or O_PATH with JDB_FILE_TAKE_FD; -EINVAL: also
 * O_APPEND with WRITE, as each write would go to the end of the file, and O_DIRECT with JDB_FILE_TAKE_FD. Where fd has O_DIRECT
 * and its file cannot be opened without, the error of that. Since 0.2. */
JDB_API int jdb_file_from_fd(int fd, const jdb_file_options *options, jdb_file_report *ret_report, jdb_file **ret_file);

/* jdb_file_close - close and free; NULL is legal. Not a sync.
 *
 * Returns 0; the error that jdb_file_error() keeps and that was not cleared; else the error of close(2), which may be the only
 * report of lost buffered data. The file is closed and freed in every case. Any thread, the last call. Since 0.1. */
JDB_API int jdb_file_close(jdb_file *file);

/* ---- Query ------------------------------------------------------------------------------------------------ */

/* jdb_file_limits - query the limits of the file again, with the overrides of the options applied.
 *
 * Alignments that have grown since open (on xfs a reflink copy makes writes of less than a block go through the page cache,
 * without an error) hold for every later call on the file. Costs some system calls and a small read.
 * ret_limits: set its size first. Returns 0; -EINVAL: NULL or size too small; else the error of the system; untouched on
 * failure. Any thread. Since 0.1. */
JDB_API int jdb_file_limits(jdb_file *file, jdb_direct *ret_limits);

/* jdb_file_known_limits - the limits by which requests are made now, without a system call: those at open, with the alignments that
 * have grown since. For a caller that aligns its own requests; jdb_file_limits() finds out what nobody has met yet.
 * ret_limits: set its size first. Returns 0; -EINVAL: NULL or size too small; untouched on failure. Any thread. Since 0.2. */
JDB_API int jdb_file_known_limits(const jdb_file *file, jdb_direct *ret_limits);

/* jdb_file_read_mode, jdb_file_write_mode - JDB_FILE_MODE_x of the two directions, which may differ (btrfs with checksums
 * reads directly, and may buffer writes). BUFFERED for NULL. Any thread. Since 0.1. */
JDB_API uint32_t jdb_file_read_mode(const jdb_file *file);
JDB_API uint32_t jdb_file_write_mode(const jdb_file *file);

/* jdb_file_durability - JDB_FILE_DURABLE_x of the options. 0 for NULL. Any thread. Since 0.2. */
JDB_API uint32_t jdb_file_durability(const jdb_file *file);

/* jdb_file_mode_name - "direct", "unknown", "uncached", "buffered", a static string; "?" for other numbers. Since 0.1. */
JDB_API const char *jdb_file_mode_name(uint32_t mode);

/* jdb_file_reason - why the modes are what they are, one sentence, valid until jdb_file_close(). Since 0.1. */
JDB_API const char *jdb_file_reason(const jdb_file *file);

/* jdb_file_descriptor - the descriptor of direct requests (else the plain one), for io_uring and for calls that are not here.
 * The file owns it; do not close it. Where writes are not direct, sync the file by this library alone: a sync of the
 * descriptor by other means could take the error of a lost write, and jdb_file_sync() would return 0. -EINVAL: NULL.
 * Since 0.1. */
JDB_API int jdb_file_descriptor(const jdb_file *file);

/* jdb_file_size - bytes of the file, or of the device, now. Returns 0; -EINVAL; else the error of the system.
 * Any thread. Since 0.1. */
JDB_API int jdb_file_size(const jdb_file *file, int64_t *ret_size);

/* jdb_file_find_data - the first data at or behind an offset: what lies between is a hole, which reads as zeros.
 *
 * offset: bytes, 0 or more. ret_data: the data from there on as far as it reaches, up to the end of the file; size 0 and the
 * file's size: there is none. What is allocated and not written counts as a hole.
 * Returns 0; -EINVAL: NULL or negative; -ENOTSUP: this cannot be queried here, or the answer is not to be trusted: a FUSE daemon says
 * nothing of what was written and has not come to it (writeback cache), or what it delays itself (GlusterFS); else the error of the
 * system. *ret_data is untouched on failure. Any thread. Since 0.2. Source: lseek(2), SEEK_DATA and SEEK_HOLE. */
JDB_API int jdb_file_find_data(const jdb_file *file, int64_t offset, jdb_range *ret_data);

/* jdb_file_preallocate - allocate space for [offset, offset + size), so that writes there find room; the file's size and bytes
 * stay. What is left of it behind the end is freed by jdb_file_truncate().
 * Returns 0; -EINVAL: NULL, negative, or size 0; -EOVERFLOW; -ENOTSUP: not by this file or system; -EFBIG: past RLIMIT_FSIZE,
 * without the signal that some file systems send; else the error of the kernel (-ENOSPC). Any thread. Since 0.2. Source:
 * fallocate(2), FALLOC_FL_KEEP_SIZE. */
JDB_API int jdb_file_preallocate(jdb_file *file, int64_t offset, uint64_t size);

/* ---- Read and write --------------------------------------------------------------------------------------- */

/* jdb_file_read_full - read [offset, offset + view->cap) into the view: all of it, or up to the end of the file.
 *
 * view: any address and capacity; afterwards view->len is the count of bytes read. Bytes behind len are not defined:
 * a direct read may fill the rest of the last block. offset: any, 0 or more. ret_report: may be NULL.
 *
 * Returns 0, at the end of the file too (view->len short, ret_report->is_eof 1); -EINVAL: an argument, or not aligned
 * under NO_COPY; -EOVERFLOW: the range ends past INT64_MAX; -EIO also when the file reports more bytes and reads make
 * no progress; -ENOMEM; -EBADF: not open for reading; else the error of the kernel, with view->len the bytes read before it.
 * The caller keeps the view's memory. Any thread. Since 0.1. */
JDB_API int jdb_file_read_full(jdb_file *file, jdb_raw *view, int64_t offset, jdb_file_report *ret_report);

/* jdb_file_write_full - write all of the view's len bytes to offset.
 *
 * view: any address and length. offset: any, 0 or more. ret_report: may be NULL. Blocks of which only a part is new are
 * written by the tail strategy of the options; padding is zeros, never old memory. Waits for writes of other threads to
 * the same blocks.
 *
 * Returns 0: all is written, and durable as the options say; -EINVAL, -EOVERFLOW, -ENOMEM, -EBADF as jdb_file_read_full();
 * -EFBIG: over RLIMIT_FSIZE or what the file system can hold; a write that begins behind RLIMIT_FSIZE raises SIGXFSZ, as write(2);
 * the error of another call (ret_report->is_earlier_error), where the options ask for durability; else the error of the
 * kernel (-ENOSPC, -EIO), which then stays with the file unless the write was refused as a whole (-EINVAL, -EOPNOTSUPP,
 * -EINTR, -EAGAIN, -EFAULT, -EBADF, -EFBIG), with ret_report->done_size the bytes from the start that were written.
 * The caller keeps the memory and must not change it during the call. Any thread. Since 0.1. */
JDB_API int jdb_file_write_full(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report);

/* jdb_file_readv, jdb_file_writev - the same of several views that follow each other in the file.
 *
 * views: an array of view_count, 1 or more, none without bytes (-EINVAL). A read sets the len of each to its part of the bytes
 * read. As much as is aligned goes in place, 128 views in one system call: views of which address and size are multiples of
 * limits.memory_align, at an offset that is one of the file's alignment. What lies between is copied through a buffer, up to the
 * next block at which such a view begins; under NO_COPY it is -EINVAL. A durable write that is one request is its own sync.
 * Another writer of the same bytes may come in between parts of a write. Else as jdb_file_read_full() and
 * jdb_file_write_full(). Any thread. Since 0.2. */
JDB_API int jdb_file_readv(jdb_file *file, jdb_raw *views, uint32_t view_count, int64_t offset,
                           jdb_file_report *ret_report);
JDB_API int jdb_file_writev(jdb_file *file, const jdb_raw *views, uint32_t view_count, int64_t offset,
                            jdb_file_report *ret_report);

/* jdb_file_write_atomic - write the view's len bytes so that after a crash all or none of them are there: RWF_ATOMIC.
 *
 * len: a power of two from limits.atomic_min_size to atomic_max_size; offset: a multiple of len; address: a multiple of
 * limits.memory_align. Nothing is copied, and nothing is durable before a sync unless the options say so.
 * Returns 0; -ENOTSUP: the file has no atomic writes (limits.atomic_min_size is 0, or the mode is not direct); -EINVAL: one
 * of these rules is broken, ret_report says which; else as jdb_file_write_full(). Any thread. Since 0.1. Source: open(2), statx(2),
 * STATX_WRITE_ATOMIC, since Linux 6.11. */
JDB_API int jdb_file_write_atomic(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report);

/* jdb_file_write_zeros - fill [offset, offset + size) with written zeros: preallocation after which an overwrite changes no
 * metadata (fallocate(2) leaves extents to be converted at the first write). The old bytes of the range are lost.
 * The device writes whole blocks itself where it can (FALLOC_FL_WRITE_ZEROES, since Linux 6.17), in whatever mode the file is, and
 * they count as direct; else they are written from memory. Errors as jdb_file_write_full(). Any thread. Since 0.1. */
JDB_API int jdb_file_write_zeros(jdb_file *file, int64_t offset, uint64_t size, jdb_file_report *ret_report);

/* jdb_file_truncate - set the size in bytes. Not for devices (-EINVAL from the kernel). Waits for writes of other threads
 * to blocks behind the new end; one that begins later extends the file again. Returns 0; -EINVAL; else the error of the
 * kernel. Any thread. Since 0.1. */
JDB_API int jdb_file_truncate(jdb_file *file, int64_t size);

/* jdb_file_sync - wait until all written bytes are on stable storage, past the device's cache too.
 *
 * durability: JDB_FILE_DURABLE_DATA (fdatasync) or _SYNC (fsync). Threads that sync at the same time share one sync. It covers
 * writes through this jdb_file by calls that returned before, of any thread, and completed writes to the descriptor by
 * other means.
 * Returns 0; -EINVAL; the error that jdb_file_error() keeps, without a sync; else the error of the kernel, which is kept from
 * then on. -EINTR and -EAGAIN are kept too: a FUSE daemon that answers a writeback so has lost its bytes, and a second sync
 * would return 0. Any thread. Since 0.1. */
JDB_API int jdb_file_sync(jdb_file *file, uint32_t durability);

/* jdb_file_error - the first error of a write or of a sync through this jdb_file since it was opened or cleared.
 * Returns 0: none; the error (negative); -EINVAL: NULL. Any thread. Since 0.2. */
JDB_API int jdb_file_error(const jdb_file *file);

/* jdb_file_clear_error - take responsibility for the error that jdb_file_error() keeps: durable writes and syncs work again.
 *
 * What is lost: what a failed write did not write, as its report says; and after a failed sync any bytes written since the
 * last jdb_file_sync() that returned 0, by any thread, except those of durable writes that returned 0. The page cache may
 * still show them, and a sync that now returns 0 does not cover them. So stop the writers, clear, write all of these bytes
 * again from memory (do not read them back from the file), and sync. A write in flight when the error was recorded returns
 * it, cleared or not.
 * Returns 0, with no error kept too; -EINVAL: NULL. Any thread. Since 0.2. */
JDB_API int jdb_file_clear_error(jdb_file *file);

/* ---- Requests made by others ------------------------------------------------------------------------------ */

/* Flags of preadv2(2) and pwritev2(2), which the C library's headers may be too old for. Source: include/uapi/linux/fs.h. */
#define JDB_FILE_RWF_DSYNC ((uint32_t)0x2)      /* RWF_DSYNC, since Linux 4.7 */
#define JDB_FILE_RWF_DONTCACHE ((uint32_t)0x80) /* RWF_DONTCACHE, since Linux 6.14 */

/* One read or write of a file by other means than this library: libaio, a runtime of your own. With io_uring
 * jdb_uring_prep_read_file() and jdb_uring_prep_write_file() do all of this. */
typedef struct jdb_file_request {
    uint32_t size;       /* bytes of this struct, as the caller knows it */
    uint32_t is_write;   /* input: 1: the views up to their len are written, 0: up to their cap are read */
    uint32_t durability; /* input, of a write: JDB_FILE_DURABLE_x */
    int32_t fd;          /* the descriptor of the request; the file owns it */
    uint32_t is_direct;  /* 1: fd has O_DIRECT, and the request is aligned as the file requires */
    uint32_t rw_flags;   /* sum of JDB_FILE_RWF_x; DONTCACHE may be refused (-EOPNOTSUPP): repeat without it */
    uint32_t align;      /* a short result is resumed at a multiple of it, bytes */
    uint32_t sync;       /* what must follow the write on fd: JDB_FILE_DURABLE_SYNC: fsync(2); 0: nothing */
    uint32_t end_sync;   /* JDB_FILE_DURABLE_x of the sync that jdb_file_end_request() makes, on its thread; 0: none */
    uint32_t reserved32;
    uint64_t errors; /* private: of the file, when the request began */
    uint64_t reserved[3];
} jdb_file_request;

#ifdef __cplusplus
#define JDB_FILE_REQUEST_INIT                                        \
    ([] {                                                            \
        jdb_file_request init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_file_request)); \
        return init;                                                 \
    }())
#else
#define JDB_FILE_REQUEST_INIT ((jdb_file_request){.size = sizeof(jdb_file_request)})
#endif

/* jdb_file_begin_request - how a request is made, by the limits and modes of the file as they are now.
 *
 * views, view_count, offset: the whole of it, 1 to JDB_PIECES_MAX views that follow each other in the file. request: set its size
 * (JDB_FILE_REQUEST_INIT) and inputs first; the rest is filled.
 * Aligned is a request of whole blocks, in each view too, in memory that is aligned as the file wants it.
 * A direct file takes aligned requests directly; a write that is not aligned goes through the page cache where
 * jdb_file_write_full() would send its ends there (JDB_FILE_TAIL_BUFFERED, without JDB_FILE_NO_COPY). A file that is not
 * direct takes any request, but whole blocks alone with JDB_FILE_TAIL_READ_MODIFY_WRITE. Nothing is pinned. Order a direct write in flight against calls that write a part of the same
 * block or page.
 * Durable: a direct write carries RWF_DSYNC, or is followed by `sync`; for any other write jdb_file_end_request() waits for the
 * sync itself, since the kernel reports a lost writeback to one sync of a descriptor alone.
 *
 * Returns 0, and the caller owes a jdb_file_end_request() if the request is made; -EINVAL: an argument, no bytes, or not aligned
 * (jdb_file_read_full() and jdb_file_write_full() take any range); -EOVERFLOW; -EBADF: not open in this direction; the
 * error that jdb_file_error() keeps, for a durable write. Untouched on failure. Any thread. Since 0.2. */
JDB_API int jdb_file_begin_request(jdb_file *file, const jdb_raw *views, uint32_t view_count, int64_t offset,
                                   jdb_file_request *request);

/* jdb_file_end_request - what the result of a request means for the file.
 *
 * write_err: 0: all bytes are moved, or a read has met the end of the file; else the error (negative), -EIO for a write that made
 * no progress. sync_err: 0, or the error of the sync that request->sync asked for. Errors stay with the file as those of
 * jdb_file_write_full() do, -ECANCELED not. After -EINVAL the limits are queried again, for the next request.
 * Returns 0: the write is as durable as it was to be; write_err or sync_err; else the error of the sync made here, or of another
 * call on the file, for a durable write: it may be lost. -EINVAL: NULL, size too small, or errors above 0. May wait for the device
 * where request->end_sync is set, and after an error. Any thread. Since 0.2. */
JDB_API int jdb_file_end_request(jdb_file *file, const jdb_file_request *request, int write_err, int sync_err);

/* jdb_file_sync_directory - make the names in a directory durable: after creating or renaming a file, sync the file,
 * then its directory. path: of the directory. Returns 0; -EINVAL; else the error of the kernel. Any thread. Since 0.1. */
JDB_API int jdb_file_sync_directory(const char *path);

#ifdef __cplusplus
}
#endif

#endif
