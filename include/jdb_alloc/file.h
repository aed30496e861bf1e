/* SPDX-License-Identifier: MIT
 *
 * file.h - a file for direct I/O that says what it really does: any range, any memory, EOF and tails solved once.
 *
 *     jdb_file *file = NULL;
 *     jdb_file_options options = JDB_FILE_OPTIONS_INIT;      // direct preferred, read only
 *     jdb_file_report report = JDB_FILE_REPORT_INIT;
 *     if (jdb_file_open("data", &options, &report, &file) != 0) {
 *         puts(report.text);                                 // what was tried, what came back, what to do
 *         return;
 *     }
 *     jdb_raw view = jdb_buf_as_raw(&buf);
 *     if (jdb_file_read_full(file, &view, 1000, &report) == 0)
 *         use(view.ptr, view.len);                           // report.is_eof: the file ended there
 *     jdb_file_close(file);
 *
 * Aligned requests go straight between the caller's memory and the file. What is not aligned in memory is copied through
 * aligned memory; the blocks at the two ends of a write of which only a part is new are written by the tail strategy of
 * the options. The report counts which bytes went which way, so that a fallback is never silent.
 *
 * What to know before use:
 *   - Direct is not durable. O_DIRECT is not O_SYNC: ask for durability in the options, or call jdb_file_sync().
 *   - Writers need no order for bytes that do not overlap, whether they extend the file or not: nothing truncates the file
 *     behind them. With JDB_FILE_TAIL_BUFFERED (the default) the kernel orders the writes, those of other processes too, on
 *     file systems that keep direct and cached I/O to a file coherent (tested: ext4, xfs, btrfs, FUSE), and readers see no
 *     padding. With JDB_FILE_TAIL_READ_MODIFY_WRITE, and on block devices, the library orders all writes that one process
 *     makes by jdb_file_write_x(), through any number of jdb_file; the caller must order those of other processes that
 *     fall within one block (of limits.write_align bytes). The caller must also order direct writes that are on their way
 *     by io_uring on jdb_file_descriptor() against calls that write a part of the same block or page.
 *   - The first error of a write or of a sync stays with the file. Until jdb_file_clear_error() every later write that shall
 *     be durable, and every jdb_file_sync(), returns it without doing anything, on all threads: the kernel reports lost
 *     data once and then takes it for written. What to write again stands at jdb_file_clear_error().
 *   - Memory under I/O must not change: checksumming devices and file systems see torn data otherwise. Memory of this
 *     library is pinned (pin.h) for the time of the call.
 *   - A file that is open for direct I/O has a second descriptor without O_DIRECT. As with every file, closing it drops
 *     the POSIX record locks that the process holds on the same file.
 *   - What a file demands can grow while it is open (a reflink copy on xfs). A request that the kernel refuses with EINVAL
 *     makes the file ask again, and the request goes on with what it learned; jdb_file_limits() asks at any time.
 *   - A system call that answers EINTR or EAGAIN is repeated; when it has answered so for 33 attempts (with EAGAIN for
 *     0.4 s), that error is returned, with the bytes that were moved before. close(2) is never repeated.
 *
 * Life cycle: jdb_file_open() makes, jdb_file_close() ends. Thread safety: any number of threads may read, write and
 * truncate one file; jdb_file_close() must be the last call. A child of fork() may use the file; the order of writes says
 * nothing about writes of its parent then, as of any other process.
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

/* ---- Words ------------------------------------------------------------------------------------------------ */

/* What the file is opened for; a sum. */
enum {
    JDB_FILE_READ = 1,
    JDB_FILE_WRITE = 2,
    JDB_FILE_CREATE = 4,
    JDB_FILE_EXCLUSIVE = 8, /* with CREATE: -EEXIST when it is there */
    JDB_FILE_TRUNCATE = 16,
};

/* What is wanted. */
enum {
    JDB_FILE_DIRECT_PREFERRED = 0, /* direct, else uncached, else buffered, and the reason in the report */
    JDB_FILE_DIRECT_REQUIRED = 1,  /* direct, or jdb_file_open() fails with -ENOTSUP and the reason */
    JDB_FILE_DIRECT_OFF = 2,       /* uncached, else buffered */
};

/* What is obtained; ordered from good to bad. */
enum {
    JDB_FILE_MODE_DIRECT = 1,   /* past the page cache */
    JDB_FILE_MODE_UNKNOWN = 2,  /* O_DIRECT is accepted, what lies behind cannot be told (FUSE, network) */
    JDB_FILE_MODE_UNCACHED = 3, /* RWF_DONTCACHE: through the page cache and dropped from it; no alignment needed */
    JDB_FILE_MODE_BUFFERED = 4, /* the page cache */
};

/* How the first and last block of a write are written when only a part of them is new; 0 = BUFFERED. Block devices, whose
 * size does not change, are read, modified and written in every case where they can be read. There is no strategy that
 * pads the last block and truncates the file behind it: the truncate would cut off what another writer appended
 * meanwhile, readers would see the padding, and a crash would keep it. */
enum {
    /* Write just the new bytes through the page cache, and have them leave it. The file's size is exact at every moment.
     * With DURABLE_NONE the kernel writes them to the device later, and jdb_file_sync() returns the error if it cannot. */
    JDB_FILE_TAIL_BUFFERED = 1,
    /* Read, modify and write the block directly and leave it so: the file ends at a multiple of write_align, with
     * zeros behind the data, and the caller keeps the true length. Where the file cannot be opened for reading the block
     * is written as by BUFFERED. For logs and for devices. */
    JDB_FILE_TAIL_READ_MODIFY_WRITE = 2,
};

/* What has reached stable storage when a write returns. */
enum {
    JDB_FILE_DURABLE_NONE = 0, /* nothing */
    JDB_FILE_DURABLE_DATA =
        1, /* the data and what is needed to read it: RWF_DSYNC where all is direct, else fdatasync */
    JDB_FILE_DURABLE_SYNC = 2, /* times and the like too: fsync. The name of a new file: jdb_file_sync_directory() */
};

/* Flags; a sum. */
enum {
    JDB_FILE_ACCEPT_UNKNOWN = 1, /* with REQUIRED: JDB_FILE_MODE_UNKNOWN will do */
    JDB_FILE_NO_COPY = 2,     /* a request that is not aligned fails with -EINVAL and the reason, nothing is copied */
    JDB_FILE_NO_UNCACHED = 4, /* no RWF_DONTCACHE: what is not direct may stay in the page cache */
};

typedef struct jdb_file_options {
    uint32_t size;         /* bytes of this struct, as the caller knows it */
    uint32_t access;       /* sum of READ, WRITE, CREATE, EXCLUSIVE, TRUNCATE; 0 = READ */
    uint32_t intent;       /* JDB_FILE_DIRECT_x */
    uint32_t tail;         /* JDB_FILE_TAIL_x; 0 = BUFFERED */
    uint32_t durability;   /* JDB_FILE_DURABLE_x */
    uint32_t flags;        /* sum of ACCEPT_UNKNOWN, NO_COPY, NO_UNCACHED */
    uint32_t permissions;  /* of a file that is created, before the umask; 0 = 0666 */
    uint32_t copy_size;    /* bytes of aligned memory that unaligned requests go through, per call; 0 = 256 KiB */
    uint32_t memory_align; /* override of what the file says, as jdb_direct_override(); 0 = none */
    uint32_t write_align;
    uint32_t read_align;
    uint32_t pretend_align; /* strict mode, as jdb_direct_pretend(); 0 = off */
    uint64_t reserved[4];
} jdb_file_options;

/* What a call did. Filled on success and on failure. */
typedef struct jdb_file_report {
    uint32_t size;      /* bytes of this struct, as the caller knows it */
    uint32_t mode;      /* JDB_FILE_MODE_x of the file at this moment: the worse of reading and writing; 0 = not open */
    int32_t err;        /* what the call returned: 0 or negative */
    uint32_t is_eof;    /* of a read: 1: fewer bytes than asked because the file ended */
    const char *call;   /* the system call that failed, a static string; NULL: none did */
    uint64_t done_size; /* bytes moved, counted from the start of the range; true on failure too */
    uint64_t direct_size;   /* of them, with O_DIRECT */
    uint64_t buffered_size; /* of them, through the page cache, uncached ones included */
    uint64_t copied_size;   /* of the direct ones, by way of aligned memory */
    uint64_t request_count; /* reads and writes made, those of blocks to modify included */
    uint32_t
        is_earlier_error; /* 1: err is of another call on the file, which jdb_file_error() keeps. done_size 0: nothing
                                * was written; else the bytes are written, and not known to be durable. Since 0.2 */
    uint32_t reserved0;
    uint64_t reserved[3];
    char
        text[JDB_DIRECT_TEXT_SIZE]; /* one line: what was tried, what came back, why, what to do; "" = nothing to say */
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
 * path: as open(2). options: NULL = JDB_FILE_OPTIONS_INIT. ret_report: may be NULL; size set first; its text says the mode
 * with its reason, or why it failed and what to do.
 * O_DIRECT is given at open, never set later by fcntl, which succeeds on files where I/O and close() then fail.
 *
 * Returns 0 and *ret_file, which the caller owns; -ENOTSUP: REQUIRED and the file is not direct, or it is no regular file
 * or block device (a file that was created or truncated stays so); -EINVAL: an argument; -E2BIG: reserved or newer fields
 * are set; -ENOMEM; else what open(2) said. *ret_file is untouched on failure. Any thread. Since 0.1. */
JDB_API int jdb_file_open(const char *path, const jdb_file_options *options, jdb_file_report *ret_report,
                          jdb_file **ret_file);

/* jdb_file_close - close and free; NULL is legal. Not a sync: an error of close(2) may be the only news of lost
 * buffered data, so it is returned; before it an error that jdb_file_error() keeps and nobody has cleared. The file is gone
 * in every case. Any thread, the last call. Since 0.1. */
JDB_API int jdb_file_close(jdb_file *file);

/* ---- Ask -------------------------------------------------------------------------------------------------- */

/* jdb_file_limits - ask the file again what it demands and does, with override and pretence applied.
 *
 * What has grown since open (a reflink copy on xfs makes writes of less than a block go by the page cache, without a
 * word) holds for every later call on the file. Costs some system calls and a small read.
 * ret_limits: set its size first. Returns 0; -EINVAL; what the system said; untouched on failure. Any thread. Since 0.1. */
JDB_API int jdb_file_limits(jdb_file *file, jdb_direct *ret_limits);

/* jdb_file_read_mode, jdb_file_write_mode - JDB_FILE_MODE_x of the two directions, which may differ (btrfs with checksums
 * reads directly and buffers writes). The worse of all for NULL. Any thread. Since 0.1. */
JDB_API uint32_t jdb_file_read_mode(const jdb_file *file);
JDB_API uint32_t jdb_file_write_mode(const jdb_file *file);

/* jdb_file_mode_name - "direct", "unknown", "uncached", "buffered", a static string; "?" for other numbers. Since 0.1. */
JDB_API const char *jdb_file_mode_name(uint32_t mode);

/* jdb_file_reason - why the modes are what they are, one sentence, valid until jdb_file_close(). Since 0.1. */
JDB_API const char *jdb_file_reason(const jdb_file *file);

/* jdb_file_descriptor - the descriptor that direct requests go to (else the plain one), for doors and for calls that
 * are not here. The file keeps it; do not close it. -EINVAL: NULL. Since 0.1. */
JDB_API int jdb_file_descriptor(const jdb_file *file);

/* jdb_file_size - bytes of the file, or of the device, now. Returns 0; -EINVAL; what the system said. Any thread.
 * Since 0.1. */
JDB_API int jdb_file_size(const jdb_file *file, int64_t *ret_size);

/* ---- Read and write --------------------------------------------------------------------------------------- */

/* jdb_file_read_full - read [offset, offset + view->cap) into the view: all of it, or up to the end of the file.
 *
 * view: any address and capacity; afterwards view->len is the bytes that are the file's. Bytes behind len are not defined:
 * a direct read may fill the rest of the last block. offset: any, 0 or more. ret_report: may be NULL.
 *
 * Returns 0, at the end of the file too (view->len short, ret_report->is_eof 1); -EINVAL: an argument, or not aligned
 * under NO_COPY; -EOVERFLOW: the range ends past INT64_MAX; -EIO also when the file claims more bytes and never gives
 * them; -ENOMEM; -EBADF: not open for reading; else what the kernel said, with view->len the bytes that came before.
 * The view's memory stays the caller's. Any thread. Since 0.1. */
JDB_API int jdb_file_read_full(jdb_file *file, jdb_raw *view, int64_t offset, jdb_file_report *ret_report);

/* jdb_file_write_full - write the view's len bytes to offset, all of them.
 *
 * view: any address and length. offset: any, 0 or more. ret_report: may be NULL. Blocks of which only a part is new are
 * written by the tail strategy of the options; padding is zeros, never old memory. Waits for writes of other threads to
 * the same blocks.
 *
 * Returns 0: all is written, and durable as the options say; -EINVAL, -EOVERFLOW, -ENOMEM, -EBADF as jdb_file_read_full();
 * the error of another call (ret_report->is_earlier_error), where the options ask for durability; else what the kernel
 * said (-ENOSPC, -EIO), which then stays with the file unless the write was refused as a whole (-EINVAL, -EOPNOTSUPP,
 * -EINTR, -EAGAIN, -EFAULT, -EBADF, -EFBIG), with ret_report->done_size the bytes from the start that were written.
 * The memory stays the caller's and must not change during the call. Any thread. Since 0.1. */
JDB_API int jdb_file_write_full(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report);

/* jdb_file_write_atomic - write the view's len bytes so that after a crash all are there or none is: RWF_ATOMIC.
 *
 * len: a power of two from limits.atomic_min_size to atomic_max_size; offset: a multiple of len; address: a multiple of
 * limits.memory_align. Nothing is copied, and nothing is durable before a sync unless the options say so.
 * Returns 0; -ENOTSUP: the file cannot (limits.atomic_min_size is 0, or the mode is not direct); -EINVAL: one of the
 * rules is broken, ret_report says which; else as jdb_file_write_full(). Any thread. Since 0.1. Source: open(2), statx(2),
 * STATX_WRITE_ATOMIC, since Linux 6.11. */
JDB_API int jdb_file_write_atomic(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report);

/* jdb_file_write_zeros - make [offset, offset + size) written zeros: preallocation after which an overwrite changes no
 * metadata (fallocate(2) leaves extents to be converted at the first write). What was in the range is lost.
 * Errors as jdb_file_write_full(). Any thread. Since 0.1. */
JDB_API int jdb_file_write_zeros(jdb_file *file, int64_t offset, uint64_t size, jdb_file_report *ret_report);

/* jdb_file_truncate - set the size in bytes. Not for devices (-EINVAL from the kernel). Waits for writes of other threads
 * to blocks behind the new end; one that begins later extends the file again. Returns 0; -EINVAL; what the kernel said.
 * Any thread. Since 0.1. */
JDB_API int jdb_file_truncate(jdb_file *file, int64_t size);

/* jdb_file_sync - wait until what was written is on stable storage, the device's cache included.
 * durability: JDB_FILE_DURABLE_DATA (fdatasync) or _SYNC (fsync). Threads that sync at the same time share one sync. Covers
 * what was written through this jdb_file by calls that returned before, of any thread; what went to the descriptor by
 * other means too, when it has completed.
 * Returns 0; -EINVAL; the error that jdb_file_error() keeps, without a sync; what the kernel said, which is kept from then
 * on unless it is -EINTR or -EAGAIN: these lose nothing. Any thread. Since 0.1. */
JDB_API int jdb_file_sync(jdb_file *file, uint32_t durability);

/* jdb_file_error - the first error of a write or of a sync through this jdb_file since it was opened or cleared.
 * Returns 0: none; the error (negative); -EINVAL: NULL. Any thread. Since 0.2. */
JDB_API int jdb_file_error(const jdb_file *file);

/* jdb_file_clear_error - take responsibility for the error that jdb_file_error() keeps: durable writes and syncs work again.
 *
 * What is lost: what a failed write did not write, as its report says; and after a failed sync any bytes written since the
 * last jdb_file_sync() that returned 0, by any thread, except those of durable writes that returned 0. The page cache may
 * show them still, and a sync that now returns 0 says nothing of them. So stop the writers, clear, write all of that again
 * from memory (do not read it back from the file), and sync. A write that was on its way when the error came returns it,
 * cleared or not.
 * Returns 0, with no error kept too; -EINVAL: NULL. Any thread. Since 0.2. */
JDB_API int jdb_file_clear_error(jdb_file *file);

/* jdb_file_sync_directory - make the names in a directory durable: after creating or renaming a file, sync the file,
 * then its directory. path: of the directory. Returns 0; -EINVAL; what the kernel said. Any thread. Since 0.1. */
JDB_API int jdb_file_sync_directory(const char *path);

#ifdef __cplusplus
}
#endif

#endif
