/* SPDX-License-Identifier: MIT
 *
 * arena.h - jdb_arena: one region of memory cut into equal frames, which a storage engine keeps for its whole run.
 *
 *       guard | frame 0 | frame 1 | ... | frame_count - 1 | reserved for growth, no access  | guard
 *             ^ base              ^ base + index * stride                                   ^ base + reserved size
 *
 * Example: 4 GiB of 16 KiB frames on huge pages, in memory before the first request comes.
 *
 *     jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
 *     options.frame_size = 16384;
 *     options.frame_count = 262144;
 *     options.pages = JDB_ARENA_PAGES_BEST;
 *     options.flags = JDB_ARENA_PREFAULT;
 *     jdb_arena *arena;
 *     int err = jdb_arena_new(&options, &arena);
 *     if (err != 0)
 *         return err;
 *     jdb_arena_report report = JDB_ARENA_REPORT_INIT;
 *     jdb_arena_get_report(arena, &report);             // what was obtained, not what was asked
 *     jdb_raw page;
 *     jdb_arena_view(arena, 7, 1, &page);               // frame 7, to read into
 *     ...
 *     err = jdb_arena_free(arena);                      // -EBUSY while the kernel may access a frame
 *
 * Asked and obtained. Where the system refuses an option (huge pages, NUMA placement, locking and so on), the arena is
 * made without it, and the report names the option with the reason. An option whose bit is set in options.required makes
 * jdb_arena_new() fail instead.
 *
 * Invariants (between calls):
 *   - base is a multiple of 2 MiB, of frame_align and of the huge page asked for; it never changes
 *   - stride = frame_size rounded up to a multiple of frame_align
 *   - frames [0, frame_count) are readable and writable; frame_count only grows, up to max_frame_count
 *   - a frame not written yet, or decommitted, reads as zero; of memory that came from outside (foreign_ptr,
 *     jdb_arena_map_fd()) only a decommitted one does
 *   - no header stands in, between or before frames
 *
 * Order, built in: map -> fork and dump advice, name, huge pages -> NUMA policy -> prefault -> verify -> lock.
 * Registering with a ring comes after (uring.h does it); the end is the reverse: the ring lets go, jdb_arena_free() unlocks
 * and unmaps.
 *
 * Life cycle: jdb_arena_new() or jdb_arena_map_fd() makes, jdb_arena_free() frees. A pool, or a ring that the arena is
 * registered with, uses the arena and does not own it: end those first.
 *
 * Thread safety: any thread may call any function at any time, except that jdb_arena_free() must be the last call.
 *
 * Fork: the memory stays with the parent (MADV_DONTFORK), so fork() is cheap and no page is copied under a running
 * I/O; in the child every call on the arena returns -EPERM (or 0, or NULL, where it returns no error) and its memory
 * is not mapped. With JDB_ARENA_KEEP_ON_FORK both processes have the memory: a copy each, or shared when it is a
 * memfd. Foreign memory follows its owner. Pins and holds are of the parent's operations: the child starts with none.
 * Sources: madvise(2), MADV_DONTFORK and MADV_WIPEONFORK.
 */
#ifndef JDB_ALLOC_ARENA_H
#define JDB_ALLOC_ARENA_H

#include "base.h"
#include "pin.h"
#include "raw.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_arena jdb_arena;

/* ---- Options ---------------------------------------------------------------------------------------------- */

/* Page policy, jdb_arena_options.pages. A policy that is not available falls to the next one below it:
 * hugetlb 1G -> hugetlb 2M -> THP -> small pages. Each step of an arena (its start, each growth) gets a kind of page
 * for all its whole pages or for none.
 *   NONE        small pages; the system is asked not to make huge ones of them
 *   THP         transparent huge pages, where the system finds them
 *   HUGETLB_2M  pages reserved by the administrator (vm.nr_hugepages); the size is rounded up to 2 MiB
 *   HUGETLB_1G  the same of 1 GiB
 *   BEST        the largest page that fits, for each part; no rounding up */
#define JDB_ARENA_PAGES_NONE 0u
#define JDB_ARENA_PAGES_THP 1u
#define JDB_ARENA_PAGES_HUGETLB_2M 2u
#define JDB_ARENA_PAGES_HUGETLB_1G 3u
#define JDB_ARENA_PAGES_BEST 4u

/* NUMA policy, jdb_arena_options.numa_policy. Source: mbind(2). */
#define JDB_ARENA_NUMA_NONE 0u
#define JDB_ARENA_NUMA_BIND 1u       /* the nodes of the mask and no other */
#define JDB_ARENA_NUMA_PREFER 2u     /* the lowest node of the mask first */
#define JDB_ARENA_NUMA_INTERLEAVE 3u /* the nodes of the mask one after the other, page by page */

/* Bits of jdb_arena_options.flags.
 *   PREFAULT      make all frames resident, in parallel, at creation and at each growth
 *   LOCK          never swapped out, limited by RLIMIT_MEMLOCK; without PREFAULT a page is locked when it is first
 *                 touched. Source: mlock2(2), MLOCK_ONFAULT
 *   KEEP_ON_FORK  a child of fork() gets the memory; together with a hugetlb policy on private memory: -ENOTSUP
 *   DONTDUMP      leave the memory out of core dumps
 *   MEMFD         back it with a memfd, sealed against shrinking, that other processes can map. A ublk server with
 *                 UBLK_F_SHMEM_ZC that registers it (UBLK_U_CMD_REG_BUF) gets direct I/O of such frames without a copy, where
 *                 the data of a request is contiguous. Source: Linux 7.1, Documentation/block/ublk.rst */
#define JDB_ARENA_PREFAULT 1u
#define JDB_ARENA_LOCK 2u
#define JDB_ARENA_KEEP_ON_FORK 4u
#define JDB_ARENA_DONTDUMP 8u
#define JDB_ARENA_MEMFD 16u

/* What can be asked for and not obtained: index of jdb_arena_report.items, and bit (1u << item) of
 * jdb_arena_options.required. */
#define JDB_ARENA_ITEM_PAGES 0u    /* asked, obtained: JDB_ARENA_PAGES_x; obtained is the smallest kind in use */
#define JDB_ARENA_ITEM_FORK 1u     /* 1 = kept from children of fork() */
#define JDB_ARENA_ITEM_DUMP 2u     /* 1 = left out of core dumps */
#define JDB_ARENA_ITEM_NAME 3u     /* 1 = named in /proc/self/maps */
#define JDB_ARENA_ITEM_NUMA 4u     /* asked, obtained: JDB_ARENA_NUMA_x; verified page by page when prefaulted */
#define JDB_ARENA_ITEM_PREFAULT 5u /* bytes */
#define JDB_ARENA_ITEM_LOCK 6u     /* bytes */
#define JDB_ARENA_ITEM_MEMFD 7u    /* 1 = a memfd, sealed; always required when asked for */
#define JDB_ARENA_ITEM_COUNT 8u
#define JDB_ARENA_REQUIRE_ALL ((1u << JDB_ARENA_ITEM_COUNT) - 1)

/* Called by jdb_arena_new() and jdb_arena_grow() while they prefault, on the thread that called them. done and total:
 * bytes. Returns true to go on; false gives the step up: it is undone (except for pages of a memfd that other processes
 * may have) and the call returns -ECANCELED. Must not call into the same arena, nor fork(). */
typedef bool (*jdb_arena_progress)(void *context, uint64_t done, uint64_t total);

/* Called once by a successful jdb_arena_free() of foreign memory: the arena is done with it. */
typedef void (*jdb_arena_foreign_release)(void *context, void *ptr, uint64_t size);

struct jdb_arena_report;

/* Options of an arena. size = sizeof(jdb_arena_options); 0 in a field means the default. */
typedef struct jdb_arena_options {
    uint32_t size;             /* bytes of this struct, as the caller knows it */
    uint32_t flags;            /* JDB_ARENA_PREFAULT ... */
    uint64_t frame_size;       /* bytes that a frame holds, 1 or more: 4120, 16384, 1 MiB */
    uint64_t frame_align;      /* bytes, a power of two from 512 to 1 GiB; default 4096 */
    uint32_t frame_count;      /* frames at the start; may be 0 when max_frame_count is not */
    uint32_t max_frame_count;  /* address space is reserved for so many; default frame_count */
    uint32_t pages;            /* JDB_ARENA_PAGES_x */
    uint32_t required;         /* bits 1u << JDB_ARENA_ITEM_x: fail rather than go without, where asked for */
    uint32_t numa_policy;      /* JDB_ARENA_NUMA_x */
    uint32_t prefault_threads; /* most threads that prefault, the caller's included; default one per CPU, 16 at most */
    uint64_t numa_nodes[4];    /* bit n of word n / 64 = node n */
    uint64_t guard_size;       /* bytes without access at each end, rounded up to system pages; default one page */
    const char *name; /* for /proc/self/maps, 64 bytes at most, letters, digits, space, - _ . : /; may be NULL */
    jdb_arena_progress progress; /* may be NULL */
    void *progress_context;
    void *foreign_ptr;     /* adopt this memory instead of mapping some: a multiple of 4096 and of frame_align */
    uint64_t foreign_size; /* its bytes, a multiple of 4096, room for max_frame_count frames */
    jdb_arena_foreign_release foreign_release; /* may be NULL */
    void *foreign_context;
    struct jdb_arena_report *report; /* filled also when the call fails: says what was refused and why; may be NULL */
    uint64_t reserved[8];
} jdb_arena_options;

#ifdef __cplusplus
#define JDB_ARENA_OPTIONS_INIT                                        \
    ([] {                                                             \
        jdb_arena_options init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_arena_options)); \
        return init;                                                  \
    }())
#else
#define JDB_ARENA_OPTIONS_INIT ((jdb_arena_options){.size = sizeof(jdb_arena_options)})
#endif

/* ---- Make and free ---------------------------------------------------------------------------------------- */

/* jdb_arena_new - reserve address space for max_frame_count frames and make the first frame_count usable.
 *
 * Address space costs nothing: it is reserved without access (PROT_NONE), which no overcommit setting counts, and made
 * usable step by step.
 * Huge pages of hugetlb: never MAP_NORESERVE, populated at once, so a touch cannot end in SIGBUS; private ones
 * always stay with the parent at fork(). Moving them into the region needs Linux 5.16; elsewhere they count as
 * refused. Foreign memory (foreign_ptr): frames are cut from it as it is; flags may be PREFAULT and LOCK, all other
 * options and a name are -ENOTSUP. It stays its owner's when the call fails; on success the arena uses it until
 * jdb_arena_free() hands it back through foreign_release, unlocked where the arena locked it and no part was locked before. Memory of a jdb_buf or of another arena cannot be adopted
 * (-EINVAL).
 *
 * Returns 0 and *ret_arena, which the caller owns;
 *   -EINVAL     NULL; size too small; an unknown flag, policy or required bit; frame_size 0; no frames at all;
 *               frame_count above max_frame_count; frame_align; a NUMA policy without nodes; a name; an address
 *   -E2BIG      a field this version does not know is set
 *   -EOVERFLOW  size overflow: frames times stride, or a size or address of the options
 *   -ERANGE     foreign_size does not hold max_frame_count frames
 *   -ENOTSUP    a required option was refused, or options that exclude each other (see the flags)
 *   -ENOMEM     no memory or address space (RLIMIT_AS); or a required option was refused for lack of memory
 *   -ECANCELED  progress returned false
 * *ret_arena is untouched on failure, nothing is left behind, and options->report says what was refused.
 * Any thread. Since 0.1. */
JDB_API int jdb_arena_new(const jdb_arena_options *options, jdb_arena **ret_arena);

/* jdb_arena_map_fd - make an arena over the memfd of another process's arena (jdb_arena_fd() there, sent over a
 * socket).
 *
 * options: as for jdb_arena_new(); frame_size, frame_align and counts should be those of the other side; the file decides
 * the kind of page, so `pages` and the flag MEMFD change nothing, whatever their values. Both sides see each other's bytes, also those of frames
 * that this side has not written yet. Pins, holds and pools are each process's own: agree between the processes who uses
 * which frame.
 * fd: stays the caller's; the arena keeps a duplicate.
 *
 * Returns 0 and *ret_arena; -EINVAL also for foreign memory, and when fd is no memfd sealed against shrinking (a file that
 * can shrink ends in SIGBUS) or may not be written; -ERANGE: it is shorter than frame_count frames; else as
 * jdb_arena_new(). Any thread. Since 0.1. */
JDB_API int jdb_arena_map_fd(const jdb_arena_options *options, int fd, jdb_arena **ret_arena);

/* jdb_arena_free - give everything back: unlock, unmap, close, or hand foreign memory back.
 *
 * NULL is accepted. Pools over it must be freed before, and it must be removed from rings.
 * Returns 0 and the arena is gone; -EBUSY: a frame is pinned (pin.h), a range is held, or a pool lends the frames, and the
 * arena is unharmed; -EPERM: child of fork(). Any thread, as the arena's last call. Since 0.1. */
JDB_API int jdb_arena_free(jdb_arena *arena);

/* ---- Frames ----------------------------------------------------------------------------------------------- */

/* Where frames lie. Any thread. NULL, or in a child of fork() that has no such memory: NULL and 0. Since 0.1.
 *   base                first byte of frame 0
 *   frame_size          bytes that a frame holds, as asked
 *   stride              bytes from one frame to the next
 *   frame_count         frames usable now
 *   max_frame_count     frames that address space is reserved for
 *   size                bytes of the usable frames: frame_count * stride
 *   reserved_size       bytes reserved from base on, rounded up to whole pages of the policy */
JDB_API uint8_t *jdb_arena_base(const jdb_arena *arena);
JDB_API uint64_t jdb_arena_frame_size(const jdb_arena *arena);
JDB_API uint64_t jdb_arena_stride(const jdb_arena *arena);
JDB_API uint32_t jdb_arena_frame_count(const jdb_arena *arena);
JDB_API uint32_t jdb_arena_max_frame_count(const jdb_arena *arena);
JDB_API uint64_t jdb_arena_size(const jdb_arena *arena);
JDB_API uint64_t jdb_arena_reserved_size(const jdb_arena *arena);

/* jdb_arena_frame_at - the address of a frame. O(1).
 *
 * Returns 0 and *ret_ptr; -ERANGE: index is not below the frame count; -EINVAL: NULL; -EPERM. Any thread. Since
 * 0.1. */
JDB_API int jdb_arena_frame_at(const jdb_arena *arena, uint32_t index, uint8_t **ret_ptr);

/* jdb_arena_index_of - the frame that an address lies in; any byte of its stride counts. O(1).
 *
 * Returns 0 and *ret_index; -ERANGE: not in a usable frame of this arena; -EINVAL: NULL; -EPERM. Any thread.
 * Since 0.1. */
JDB_API int jdb_arena_index_of(const jdb_arena *arena, const void *ptr, uint32_t *ret_index);

/* jdb_arena_view - a run of count frames, contiguous in memory, as one view to read into: len 0,
 * cap = (count - 1) * stride + frame_size. O(1).
 *
 * Returns 0 and *ret_view; -ERANGE: a frame of the run is not usable; -EINVAL: NULL or count 0; -EPERM. The arena
 * keeps the memory. Any thread. Since 0.1. */
JDB_API int jdb_arena_view(const jdb_arena *arena, uint32_t first, uint32_t count, jdb_raw *ret_view);

/* ---- Grow and give back ----------------------------------------------------------------------------------- */

/* jdb_arena_grow - make frames usable until there are frame_count of them in all. Nothing moves.
 *
 * The new frames get every option of the arena. frame_count not above the present count: 0, nothing changes.
 * Returns 0; -ERANGE: above max_frame_count, or above what the memfd holds and another process made it (jdb_arena_map_fd()) or
 * sealed it against growing; -ENOMEM,
 * -ENOTSUP, -ECANCELED as jdb_arena_new(); -EINVAL: NULL; -EPERM. On failure nothing changed, except that a memfd may be
 * longer: another process that maps it may grow into it, and what it writes there stays. Any thread; growers wait for each
 * other. The report says what was refused, until a growth succeeds. Since 0.1. */
JDB_API int jdb_arena_grow(jdb_arena *arena, uint32_t frame_count);

/* jdb_arena_decommit - give the memory of count frames from `first` on back to the system; they stay usable and read
 * as zero.
 *
 * Whole system pages go back (for a memfd, from every process that maps it); a page shared with a frame outside the
 * run stays and the run's part of it is zeroed. Locked memory is locked again when next touched.
 * *ret_bytes (may be NULL): bytes of the whole pages given back, resident before or not.
 * Returns 0; -EBUSY: a frame is pinned or being decommitted, or a byte is held, nothing changed; -ERANGE: a frame is
 * not usable; -ENOTSUP: hugetlb pages (the next touch could end in SIGBUS), foreign memory, locked memory before
 * Linux 5.18, or a memfd that was sealed against further writing (F_SEAL_FUTURE_WRITE); -EINVAL: NULL or count 0; -EPERM. The caller makes sure that no thread uses the frames meanwhile. Any thread.
 * Since 0.1. */
JDB_API int jdb_arena_decommit(jdb_arena *arena, uint32_t first, uint32_t count, uint64_t *ret_bytes);

/* ---- For adapters to rings -------------------------------------------------------------------------------- */

/* jdb_arena_hold - the caller has registered the bytes [offset, offset + size) with the kernel: from now on they are
 * neither decommitted nor freed (-EBUSY), because the kernel would keep accessing the old physical pages. Holds count;
 * they may overlap.
 *
 * offset: bytes from base; the range may reach past the usable frames, within reserved_size. Frames in a held range
 * can still be got and put. size 0: no byte is held, and the arena is not freed.
 * Returns 0; -ERANGE: outside the reserved size; -ENOMEM: no memory for the bookkeeping; -EINVAL: NULL; -EPERM.
 * Any thread. Since 0.1. */
JDB_API int jdb_arena_hold(jdb_arena *arena, uint64_t offset, uint64_t size);

/* jdb_arena_pin - jdb_pin_marked() of the bytes [offset, offset + size) from base on, for a caller that knows the arena:
 * nothing is looked up. Ends with jdb_unpin_marked(). Returns as jdb_pin(). Any thread. Since 0.1. */
JDB_API int jdb_arena_pin(jdb_arena *arena, uint64_t offset, size_t size, jdb_pin_mark *ret_mark);

/* Where the pins of an arena's frames are counted. */
typedef struct jdb_arena_pins {
    void *counts;          /* one for each frame, as jdb_arena_pin() and jdb_unpin_marked() count; private */
    uint32_t stride_shift; /* the stride is 1 << stride_shift bytes */
    uint32_t reserved[5];
} jdb_arena_pins;

/* jdb_arena_get_pins - for libjdb_uring of the same version, which pins a frame without a call. The counts stay where they
 * are until jdb_arena_free().
 *
 * Returns 0; -ENOTSUP: the stride is no power of two; -EINVAL: NULL; -EPERM. Any thread. Since 0.2. */
JDB_API int jdb_arena_get_pins(const jdb_arena *arena, jdb_arena_pins *ret_pins);

/* jdb_arena_unhold - end exactly one earlier hold of the same range: the kernel has let go of it.
 *
 * Returns 0; -EINVAL: NULL, or no such hold; -EPERM. Any thread. Since 0.1. */
JDB_API int jdb_arena_unhold(jdb_arena *arena, uint64_t offset, uint64_t size);

/* jdb_arena_fd - the memfd, for sending it to another process. It stays the arena's: duplicate it to keep it.
 *
 * Frame 0 starts at offset 0. The file has the size of the usable frames, rounded up, and cannot shrink. An arena that starts
 * without frames has the file too, of 0 bytes, unless pages are HUGETLB_x or BEST: those decide with the first frames.
 * Returns the descriptor; -ENOTSUP: not backed by a memfd, or none yet; -EINVAL: NULL; -EPERM. Any thread. Since 0.1. */
JDB_API int jdb_arena_fd(const jdb_arena *arena);

/* ---- The report ------------------------------------------------------------------------------------------- */

#define JDB_ARENA_REPORT_NODES 64

/* One option and what was obtained. Strings are static. */
typedef struct jdb_arena_item {
    const char *name;   /* "pages", "fork", "dump", "name", "numa", "prefault", "lock", "memfd" */
    const char *reason; /* why less than asked was obtained, with the remedy; "" when all of it was, or nothing asked */
    uint64_t asked;     /* 0 = not asked for; the unit is the item's, see JDB_ARENA_ITEM_x */
    uint64_t obtained;  /* the same unit */
    int32_t err;        /* -errno of the system's refusal, 0 = none */
    uint32_t is_obtained; /* 1 when all that was asked was obtained, or nothing was asked */
} jdb_arena_item;

/* What was obtained. Bytes come from /proc/self/smaps and numa_maps at the time of the call. In the report of a call that
 * failed no bytes are usable, and nothing that was asked for is obtained; reasons are those of what was refused. Set size before
 * the call. */
typedef struct jdb_arena_report {
    uint32_t size; /* bytes of this struct, as the caller knows it */
    uint32_t item_count;
    uint64_t usable_bytes;     /* readable and writable */
    uint64_t reserved_bytes;   /* address space reserved, guards included; adopted: foreign_size */
    uint64_t guard_bytes;      /* of these: guards at both ends */
    uint64_t hugetlb_1g_bytes; /* usable, on pages of 1 GiB */
    uint64_t hugetlb_2m_bytes; /* usable, on pages of 2 MiB */
    uint64_t thp_bytes;        /* resident, on transparent huge pages */
    uint64_t small_bytes;      /* resident, on small pages; adopted memory whose mappings reach beyond it counts here */
    uint64_t resident_bytes;   /* all four kinds together */
    uint64_t locked_bytes;     /* resident and locked, whoever else has the same pages */
    uint64_t held_bytes;       /* registered with the kernel; a byte held twice counts twice */
    uint64_t pinned_frames;    /* frames with at least one pin */
    uint64_t facts_err; /* 0, or the errno (positive) that kept smaps or numa_maps from being read: bytes above that
                                * are "resident" or "node" are 0 then */
    uint64_t node_bytes[JDB_ARENA_REPORT_NODES]; /* resident on node n */
    uint64_t other_node_bytes;                   /* resident on nodes beyond */
    jdb_arena_item items[JDB_ARENA_ITEM_COUNT];
    uint64_t
        mthp_size; /* largest page below 2 MiB that the system may use for the arena, which counts as small; 0: none.
                         * Source: Linux, Documentation/admin-guide/mm/transhuge.rst. Since 0.2 */
    const char *refused_reason; /* of a growth, where an option was refused: why, with the remedy; else "". Since 0.2 */
    uint32_t refused_frame_count; /* frames that the last jdb_arena_grow() was to reach, where the system or progress
                                   * refused it; 0: it was not refused. Since 0.2, as the next two */
    uint32_t refused_item;        /* JDB_ARENA_ITEM_x that was required; JDB_ARENA_ITEM_COUNT: none, see refused_err */
    int32_t refused_err;          /* what it returned */
    uint32_t reserved32;
    uint64_t reserved[4];
} jdb_arena_report;

#ifdef __cplusplus
#define JDB_ARENA_REPORT_INIT                                        \
    ([] {                                                            \
        jdb_arena_report init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_arena_report)); \
        return init;                                                 \
    }())
#else
#define JDB_ARENA_REPORT_INIT ((jdb_arena_report){.size = sizeof(jdb_arena_report)})
#endif

/* jdb_arena_get_report - fill the fields that report->size covers. Slow: the system walks the process's page tables.
 *
 * Returns 0; -EINVAL: NULL or size too small; -EPERM. Any thread. Since 0.1. */
JDB_API int jdb_arena_get_report(const jdb_arena *arena, jdb_arena_report *report);

/* jdb_arena_report_format - the report as text for people, a line for each fact and for each option not obtained.
 *
 * text: room for text_size bytes, NUL included; may be NULL when text_size is 0.
 * Returns the length that the whole text has (cut when it is text_size or more); -EINVAL: NULL, or a
 * size that does not cover the items. Fields that this version does not know are left out. Any thread. Since 0.1. */
JDB_API int jdb_arena_report_format(const jdb_arena_report *report, char *text, size_t text_size);

#ifdef __cplusplus
}
#endif

#endif
