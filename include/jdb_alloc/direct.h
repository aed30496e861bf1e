/* SPDX-License-Identifier: MIT
 *
 * direct.h - direct I/O limits of an open file, verified: what it requires, what it does, and where each number comes from.
 *
 * Direct I/O requires three alignments: of the address of the memory, of the offset and length of writes, and of the offset
 * and length of reads, which may be smaller. Some files accept O_DIRECT and use the page cache all the same. The limits
 * distinguish these cases and name the source of each number. A check says what is wrong with a request before the kernel
 * answers it with a bare EINVAL.
 *
 *     jdb_direct limits = JDB_DIRECT_INIT;
 *     if (jdb_direct_limits(fd, &limits) == 0) {
 *         jdb_direct_check wrong = JDB_DIRECT_CHECK_INIT;
 *         if (jdb_direct_check_write(&limits, view, offset, &wrong) != 0) {
 *             char line[JDB_DIRECT_TEXT_SIZE];
 *             jdb_direct_check_format(&wrong, line, sizeof line);
 *             puts(line);     // "write refused: length 1000 is 488 past a multiple of 512: use 512 or 1024"
 *         }
 *     }
 *
 * Invariants of a jdb_direct that was filled: every alignment is a power of two, 1 or more, never 0; the recommended
 * sizes are powers of two and multiples of the alignments they belong to.
 *
 * Life cycle: none; both structs are plain values. An answer can change while the file is open (a reflink copy on xfs
 * raises the alignment of writes): after an unexpected -EINVAL ask again. Direct is not durable: O_DIRECT is not
 * O_SYNC, and data still sits in the device's cache after a direct write.
 *
 * Thread safety: every function may be called from any thread.
 */
#ifndef JDB_ALLOC_DIRECT_H
#define JDB_ALLOC_DIRECT_H

#include "base.h"
#include "raw.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Limits ----------------------------------------------------------------------------------------------- */

/* What an aligned request on the file does when the file is open for direct I/O; ordered from good to bad. */
enum {
    JDB_DIRECT_STATE_DIRECT = 1,   /* bypasses the page cache */
    JDB_DIRECT_STATE_UNKNOWN = 2,  /* accepted; what happens cannot be detected from here (FUSE, network, empty file) */
    JDB_DIRECT_STATE_BUFFERED = 3, /* accepted, and served by the page cache without an error */
    JDB_DIRECT_STATE_REFUSED = 4,  /* refused, at open or at the first read */
};

/* Where a value comes from. */
enum {
    JDB_DIRECT_SOURCE_ASSUMED = 1,     /* no source knows; 4096 serves every device known */
    JDB_DIRECT_SOURCE_STATX = 2,       /* statx(2): STATX_DIOALIGN since Linux 6.1, STATX_DIO_READ_ALIGN since 6.14 */
    JDB_DIRECT_SOURCE_XFS = 3,         /* ioctl XFS_IOC_DIOINFO */
    JDB_DIRECT_SOURCE_DEVICE = 4,      /* block sizes of the device below: ioctl BLKSSZGET, BLKPBSZGET, or sysfs */
    JDB_DIRECT_SOURCE_TRIAL = 5,       /* a trial read */
    JDB_DIRECT_SOURCE_FILE_SYSTEM = 6, /* known of this kind of file system */
    JDB_DIRECT_SOURCE_OVERRIDE = 7,    /* jdb_direct_override() */
    JDB_DIRECT_SOURCE_PRETENDED = 8,   /* jdb_direct_pretend() */
};

#define JDB_DIRECT_REASON_SIZE 192 /* bytes of a reason, NUL included */
#define JDB_DIRECT_TEXT_SIZE 320   /* enough for any line of the format functions, NUL included */

typedef struct jdb_direct {
    uint32_t size;        /* bytes of this struct, as the caller knows it */
    uint32_t state;       /* JDB_DIRECT_STATE_x: the worse of the next two */
    uint32_t read_state;  /* of aligned reads */
    uint32_t write_state; /* of aligned writes */

    uint32_t memory_align; /* address of the memory, bytes */
    uint32_t write_align;  /* offset and length of a write, bytes */
    uint32_t read_align;   /* offset and length of a read, bytes; at most write_align unless overridden */

    uint32_t state_source; /* JDB_DIRECT_SOURCE_x of the four above */
    uint32_t memory_source;
    uint32_t write_source;
    uint32_t read_source;

    uint32_t recommended_memory_align; /* bytes; 4096 or more */
    uint32_t recommended_write_size;   /* bytes; smaller writes may cost a read of the rest of a physical block */
    uint32_t recommended_read_size;    /* bytes; smaller reads gain nothing */

    uint32_t logical_block_size;    /* of the device below, bytes; 0 = not known */
    uint32_t physical_block_size;   /* of the device below, bytes; 0 = not known */
    uint32_t preferred_block_size;  /* st_blksize of the file, bytes */
    uint32_t atomic_min_size;       /* smallest atomic write: whole or not at all, bytes; 0 = no atomic writes */
    uint32_t atomic_max_size;       /* largest, bytes; lengths are powers of two, offsets multiples of the length */
    uint32_t atomic_segments_count; /* most pieces of memory in one atomic write */

    uint32_t file_system;  /* magic number of statfs(2); 0 = not known */
    uint32_t device_major; /* of the file system, or of the block device itself */
    uint32_t device_minor;
    uint32_t is_device;                  /* 1: a block device */
    uint32_t is_open_direct;             /* 1: the descriptor has O_DIRECT */
    int32_t trial_result;                /* of the trial read: bytes or -errno; 0 = no bytes to read, or no trial */
    char reason[JDB_DIRECT_REASON_SIZE]; /* why state is what it is, one sentence */
    /* Atomic writes up to this size are done by the device, larger ones more slowly by the file system, bytes; 0 = no such boundary.
     * Since Linux 6.16, statx(2), stx_atomic_write_unit_max_opt. Since 0.2 */
    uint32_t atomic_max_optimal_size;
    /* 1: the device below computes checksums (queue/stable_writes), so memory must not change while it is written; newer kernels copy
     * direct writes to such a device. 0 also where it is not known. Since 0.2 */
    uint32_t is_stable;
    uint64_t reserved[5];
} jdb_direct;

#ifdef __cplusplus
#define JDB_DIRECT_INIT                                        \
    ([] {                                                      \
        jdb_direct init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_direct)); \
        return init;                                           \
    }())
#else
#define JDB_DIRECT_INIT ((jdb_direct){.size = sizeof(jdb_direct)})
#endif

/* jdb_direct_limits - query every available source for what direct I/O on this file requires and does.
 *
 * fd: an open regular file or block device, best opened with O_DIRECT. Then one aligned read at offset 0 is tried, and a
 * misaligned one where no source vouches for direct I/O; nothing is ever written. Without O_DIRECT (or without the right to
 * read) there is no trial: the descriptor is not reopened, as closing the second one would drop the POSIX locks that the
 * process holds on the file, and O_DIRECT is not switched on by fcntl, which succeeds where I/O then fails.
 * ret_limits: set its size first (JDB_DIRECT_INIT).
 *
 * The sources, in order: statx by raw system call with its own copy of the struct (zero alignments mean "not supported"),
 * the XFS ioctl, the block device or the device below the file system (for a partition its parent), the table of file
 * systems that are known to buffer (tmpfs) or to hide what they do (FUSE, network; btrfs with checksums, whose writes are direct
 * before Linux 6.15 and go through the page cache since), the trial. Where none of them vouches for direct I/O, a file that
 * refuses a misaligned read is direct. The alignment of memory is tried too unless statx or XFS report it.
 *
 * Returns 0 and fills *ret_limits (whatever the state); -EINVAL: NULL or size too small; -ENOTSUP: neither a regular
 * file nor a block device; else the error of the kernel (-EBADF). Untouched on failure. Takes no ownership of fd.
 * Any thread. Since 0.1. */
JDB_API int jdb_direct_limits(int fd, jdb_direct *ret_limits);

/* jdb_direct_override - replace alignments by the caller's own (some devices report wrong ones).
 *
 * memory_align, write_align, read_align: powers of two, in bytes; 0 keeps what is there. Their source becomes
 * JDB_DIRECT_SOURCE_OVERRIDE. Returns 0; -EINVAL: NULL, size too small, or no power of two (nothing changed). Pure.
 * Since 0.1. */
JDB_API int jdb_direct_override(jdb_direct *limits, uint32_t memory_align, uint32_t write_align, uint32_t read_align);

/* jdb_direct_pretend - strict mode: raise every alignment to at least `align` (4096 or 65536, say), so that a laptop
 * detects requests that a server with larger blocks will refuse. Values already larger stay.
 *
 * Returns 0; -EINVAL: NULL, size too small, or align is no power of two (nothing changed). Pure. Since 0.1. */
JDB_API int jdb_direct_pretend(jdb_direct *limits, uint32_t align);

/* jdb_direct_state_name, jdb_direct_source_name - one word, a static string: "direct", "statx"; "?" for any other
 * number. Since 0.1. */
JDB_API const char *jdb_direct_state_name(uint32_t state);
JDB_API const char *jdb_direct_source_name(uint32_t source);

/* jdb_direct_format - the limits as one line, as snprintf does: "direct: memory 512 (statx), write 4096 (statx), read
 * 512 (statx)". text may be NULL when text_size is 0.
 * Returns the length that the whole text has; -EINVAL: limits is NULL or its size too small. Since 0.1. */
JDB_API int jdb_direct_format(const jdb_direct *limits, char *text, size_t text_size);

/* ---- Check ------------------------------------------------------------------------------------------------ */

/* Which part of a request is wrong. */
enum {
    JDB_DIRECT_WRONG_ADDRESS = 1,
    JDB_DIRECT_WRONG_OFFSET = 2,
    JDB_DIRECT_WRONG_LENGTH = 4,
};

/* One part of a request: its value, what it must be a multiple of, and the nearest right values. */
typedef struct jdb_direct_demand {
    uint64_t value;
    uint64_t align;
    uint64_t excess; /* bytes above the multiple below; 0 = aligned */
    uint64_t below;  /* the nearest multiple at or below */
    uint64_t above;  /* the nearest multiple at or above; UINT64_MAX where it would wrap */
} jdb_direct_demand;

typedef struct jdb_direct_check {
    uint32_t size;  /* bytes of this struct, as the caller knows it */
    uint32_t wrong; /* sum of JDB_DIRECT_WRONG_x; 0 = the request is aligned */
    jdb_direct_demand address;
    jdb_direct_demand offset;
    jdb_direct_demand length; /* of a read the capacity of the view, of a write its len */
    uint32_t is_write;        /* 1: a write was checked, 0: a read */
    uint32_t reserved[9];
} jdb_direct_check;

#ifdef __cplusplus
#define JDB_DIRECT_CHECK_INIT                                        \
    ([] {                                                            \
        jdb_direct_check init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_direct_check)); \
        return init;                                                 \
    }())
#else
#define JDB_DIRECT_CHECK_INIT ((jdb_direct_check){.size = sizeof(jdb_direct_check)})
#endif

/* jdb_direct_check_read, jdb_direct_check_write - whether this request is aligned for direct I/O.
 *
 * view: a read fills [ptr, ptr + cap), a write takes [ptr, ptr + len). offset: in bytes, 0 or more. ret_check: may be
 * NULL; else set its size first (JDB_DIRECT_CHECK_INIT).
 *
 * Returns 0: aligned; -EINVAL: address, offset or length is not, and *ret_check is filled, as on success; or an argument is
 * wrong (limits NULL or not filled, offset negative, size too small), and *ret_check is untouched. Pure. Since 0.1. */
JDB_API int jdb_direct_check_read(const jdb_direct *limits, jdb_raw view, int64_t offset, jdb_direct_check *ret_check);
JDB_API int jdb_direct_check_write(const jdb_direct *limits, jdb_raw view, int64_t offset, jdb_direct_check *ret_check);

/* jdb_direct_check_format - the result of a check as one line, as snprintf does. text may be NULL when text_size is 0.
 * Returns the length that the whole text has; -EINVAL: check is NULL or its size too small. Pure. Since 0.1. */
JDB_API int jdb_direct_check_format(const jdb_direct_check *check, char *text, size_t text_size);

/* ---- Plans ------------------------------------------------------------------------------------------------
 *
 * Arithmetic without I/O: the aligned requests that serve a byte range which is not aligned, and what a short result means.
 * The same plans serve pread and io_uring. align is the limits' read_align or write_align, a power of two.
 *
 *     jdb_read_plan plan;
 *     jdb_read_step step;
 *     if (jdb_plan_read(limits.read_align, offset, length, &plan) == 0) {       // memory: plan.size bytes, aligned
 *         jdb_plan_read_start(&plan, &step);
 *         while (!step.is_done) {
 *             ssize_t got = pread(fd, memory + step.next_skip, step.next_size, step.next_offset);
 *             if (got < 0) break;
 *             jdb_plan_read_step(&plan, got, -1, &step);
 *         }
 *         use(memory + plan.prefix, step.valid_size);   // step.is_eof: the file ended there
 *     }
 */

/* The most bytes that Linux moves in one call, MAX_RW_COUNT in include/linux/fs.h. */
#define JDB_TRANSFER_MAX ((uint64_t)0x7ffff000)

/* The most pieces of memory in one call, UIO_MAXIOV in include/uapi/linux/uio.h. */
#define JDB_PIECES_MAX ((size_t)1024)

/* An aligned read around the wanted bytes.
 *
 *     offset          offset + prefix                                     offset + size
 *        |<--prefix-->|<--------- wanted_size --------->|<--- rest --->|
 */
typedef struct jdb_read_plan {
    int64_t offset;       /* where to read: a multiple of align */
    uint64_t size;        /* how much: a multiple of align, at most JDB_TRANSFER_MAX; 0: nothing was wanted */
    uint64_t prefix;      /* bytes in front of the wanted ones, less than align */
    uint64_t wanted_size; /* wanted bytes that this plan reads; less than asked when size reached its limit */
    uint64_t align;
    uint64_t reserved[2];
} jdb_read_plan;

/* jdb_plan_read - the aligned envelope of [offset, offset + length).
 *
 * When ret_plan->wanted_size is less than length, plan the rest from offset + wanted_size.
 * Returns 0; -EINVAL: align no power of two or above 1 GiB, offset negative, ret_plan NULL; -EOVERFLOW: the envelope
 * ends past INT64_MAX. *ret_plan is untouched on failure. Pure. Since 0.1. */
JDB_API int jdb_plan_read(uint32_t align, int64_t offset, uint64_t length, jdb_read_plan *ret_plan);

/* Progress of a plan, and the next request. */
typedef struct jdb_read_step {
    int64_t next_offset;  /* the next request: a multiple of align */
    uint64_t next_size;   /* a multiple of align; 0 when done */
    uint64_t next_skip;   /* where in the plan's memory it goes: a multiple of align */
    uint64_t filled_size; /* bytes of the plan's memory that hold the file's bytes */
    uint64_t valid_size;  /* of them the wanted ones, from memory + prefix on; never counts the prefix */
    uint32_t is_done;     /* 1: no request is left */
    uint32_t is_eof;      /* 1: the file ends behind the valid bytes; all were read when valid_size is wanted_size */
    uint32_t is_stalled;  /* 1: a request made no progress although the file reports more bytes */
    uint32_t reserved0;
    uint64_t reserved[2];
} jdb_read_step;

/* jdb_plan_read_start - the first request of a plan. Returns 0; -EINVAL: NULL. Pure. Since 0.1. */
JDB_API int jdb_plan_read_start(const jdb_read_plan *plan, jdb_read_step *ret_step);

/* jdb_plan_read_step - take the result of the request in *step and make the next one.
 *
 * result: bytes that the request read, 0 or more. file_size: of the file now, or -1 when it is not known.
 * A short result is resumed at the multiple of align at or below its end (the bytes there are read again), so that
 * no request is ever misaligned. The plan ends when all wanted bytes are there, at result 0, at file_size, or when a request
 * made no progress. Every request but the last reads at least one new byte, so the plan always ends.
 * Returns 0; -EINVAL: NULL, step is done, result negative or more than was asked (nothing changed). Pure. Since 0.1. */
JDB_API int jdb_plan_read_step(const jdb_read_plan *plan, int64_t result, int64_t file_size, jdb_read_step *step);

/* A byte range of a file. */
typedef struct jdb_range {
    int64_t offset;
    uint64_t size;
} jdb_range;

/* One read for several ranges that lie near each other. */
typedef struct jdb_read_group {
    jdb_read_plan plan; /* its wanted bytes reach from the first range's start to the furthest end */
    size_t first;       /* index of the first range it serves */
    size_t count;       /* how many ranges, one behind the other */
    uint64_t reserved[2];
} jdb_read_group;

/* jdb_plan_reads - merge the reads of many ranges.
 *
 * ranges: range_count of them, sorted by offset (overlap is allowed), each with size 1 or more. Neighbours are merged
 * when together they read no more bytes than apart, or when the bytes read are at most max_percent / 100 times the bytes
 * wanted (each byte counted once): 100 merges nothing that adds waste, 200 reads at most twice what is wanted.
 * max_size: most bytes of a merged read; 0 = JDB_TRANSFER_MAX. ret_groups: room for range_count groups.
 *
 * Returns 0 and *ret_group_count; -EINVAL: not sorted, an empty range, a bad align, NULL; -EOVERFLOW: as jdb_plan_read(),
 * or a single range is larger than max_size or one transfer. On failure *ret_group_count is untouched and the content of
 * ret_groups is not defined. Pure. Since 0.1. */
JDB_API int jdb_plan_reads(uint32_t align, const jdb_range *ranges, size_t range_count, uint32_t max_percent,
                           uint64_t max_size, jdb_read_group *ret_groups, size_t *ret_group_count);

/* A part of a write: whole blocks, or one block of which only some bytes are new. Bytes of the block that are neither new nor
 * old are zeros. */
typedef struct jdb_write_piece {
    int64_t offset;    /* of the block or blocks: a multiple of align */
    uint64_t size;     /* of the block or blocks: a multiple of align; 0: there is no such piece */
    uint64_t skip;     /* bytes of the block in front of the new ones */
    uint64_t length;   /* new bytes */
    uint64_t source;   /* where they start in the caller's bytes */
    uint64_t old_size; /* bytes from offset on that the file has and that must be read first; 0: nothing to read */
    uint64_t reserved[2];
} jdb_write_piece;

/*      head                  body                   tail
 *   |..old..[new]|[new block][new block]...|[new]..old or zeros..|
 */
typedef struct jdb_write_plan {
    jdb_write_piece head; /* the first block, when the range starts within it */
    jdb_write_piece body; /* whole blocks; skip 0, length = size, old_size 0 */
    jdb_write_piece tail; /* the last block, when the range ends within it and it is not the head */
    int64_t final_size;   /* what the file's size is meant to be: the larger of file_size and the range's end */
    int64_t written_size; /* what it is when the pieces are written as whole blocks */
    uint64_t reserved[4];
} jdb_write_plan;

/* jdb_plan_write - whole blocks that write [offset, offset + length) and keep every other byte.
 *
 * file_size: of the file now. When written_size is more than final_size, the bytes between them would be padding. A truncate
 * behind the writes would cut off what another writer appends meanwhile, and readers would see the padding: write just the
 * new bytes of the last piece through a descriptor without O_DIRECT, or keep the true length elsewhere.
 * Returns 0; -EINVAL: align no power of two or above 1 GiB, offset or file_size negative, ret_plan NULL; -EOVERFLOW: the
 * last block ends past INT64_MAX. Untouched on failure. Pure. Since 0.1. */
JDB_API int jdb_plan_write(uint32_t align, int64_t offset, uint64_t length, int64_t file_size,
                           jdb_write_plan *ret_plan);

/* Progress of the writing of one piece, and the next request. */
typedef struct jdb_write_step {
    int64_t next_offset;
    uint64_t next_size;  /* a multiple of align, at most JDB_TRANSFER_MAX; 0 when done */
    uint64_t next_skip;  /* where in the piece's memory it starts */
    uint64_t done_size;  /* bytes of the piece that are written */
    uint32_t is_done;    /* 1: no request is left */
    uint32_t is_stalled; /* 1: a request made no progress */
    uint64_t reserved[2];
} jdb_write_step;

/* jdb_plan_write_start - the first request for a piece. Returns 0; -EINVAL: NULL, or align no power of two.
 * jdb_plan_write_step - take the result (0 or more bytes) of the request in *step and make the next one; a short write is
 * resumed at the multiple of align at or below its end. Returns 0; -EINVAL: as jdb_plan_read_step(). Pure. Since 0.1.
 */
JDB_API int jdb_plan_write_start(uint32_t align, const jdb_write_piece *piece, jdb_write_step *ret_step);
JDB_API int jdb_plan_write_step(uint32_t align, const jdb_write_piece *piece, int64_t result, jdb_write_step *step);

/* The part of several views that goes into one vectored call. */
typedef struct jdb_vector_plan {
    size_t count;        /* views that take part; 0: not one block can be moved */
    size_t last_size;    /* bytes of the last of them that take part */
    uint64_t total_size; /* bytes in all: a multiple of align */
    uint64_t reserved[2];
} jdb_vector_plan;

/* jdb_plan_vector - the longest front part of views[0 .. count) that one readv or writev moves in whole blocks.
 *
 * align: of the offset, and of the bytes of each view that takes part unless it is the last: Linux 6.1 refuses two views
 * that are a block together (-EINVAL), 6.18 does not. memory_align: of the address of each, and of its bytes too; 1 where the file is not
 * direct. is_write: the bytes of a view are its len, else its cap. At most JDB_PIECES_MAX views and JDB_TRANSFER_MAX bytes take part.
 * The part ends in front of memory that is not aligned, and is cut so that its total is a multiple of both alignments.
 * Returns 0; -EINVAL: an alignment is no power of two or above 1 GiB, NULL, or a view of NULL with bytes. Pure. Since 0.2; 0.1
 * had sizes in place of views. Source: bdev_iter_is_aligned() of Linux 6.1; "block: relax direct io memory
 * alignment" of Linux 6.0: "every segment length is still required to be a multiple of the block size". */
JDB_API int jdb_plan_vector(uint32_t align, uint32_t memory_align, const jdb_raw *views, size_t count, bool is_write,
                            jdb_vector_plan *ret_plan);

#ifdef __cplusplus
}
#endif

#endif
