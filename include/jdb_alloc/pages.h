/* SPDX-License-Identifier: MIT
 *
 * pages.h - the memory behind every jdb_buf: how long it is kept for reuse, counted, limited and given back.
 *
 * Nobody needs this header to use buffers. It is for the program that watches its memory.
 *
 *     jdb_page_stats stats = JDB_PAGE_STATS_INIT;
 *     jdb_get_page_stats(&stats);
 *     printf("%" PRIu64 " bytes lent, %" PRIu64 " cached\n", stats.lent_bytes, stats.cached_bytes);
 *
 * Where memory is:   lent   - owned by a jdb_buf (or by raw parts)
 *                    cached - freed and kept for reuse: in a thread's cache, in the caches that threads share, or as
 *                             free pages that are still resident (dirty)
 *                    gone   - given back to the system: no page of it is resident. Its addresses stay, and the
 *                             library's tables for them (bookkeeping_bytes, 16 bytes for each 4 KiB). They stay
 *                             readable (mapped_bytes) until jdb_trim()
 *
 * Freed memory goes back to the system by demand and time. What bursts free and take again within the delay
 * (jdb_page_options) stays, however much it is; what nobody took for the delay goes: on the next call of the thread that
 * left it cached, and at the latest within 64 frees of any one thread, since reading the clock on each would cost more than
 * the call. No such call makes more than 64 system calls: where more is to go, the calls after it go on. At once, as many
 * as it takes, by jdb_trim(); from a thread going idle by jdb_thread_flush(). The first call of a child of fork() takes over what
 * threads of its parent had cached, with as many as that takes. The library starts no thread: a program that
 * frees much and then calls nothing keeps it, unless it calls jdb_trim(). What the program has locked (mlock, mlockall)
 * stays while it is locked: the system refuses to take it.
 *
 * Limits of the system, and what counts:
 *
 *   RLIMIT_AS              reserved_bytes: 1 TiB, where the system gives it. Else zones of 256 MiB or less, each as large as all
 *                          before it where that can be had. They stay reserved. Over it -ENOMEM
 *   RLIMIT_DATA            mapped_bytes and bookkeeping_bytes: memory that is lent, cached, or gone but readable. Over it -ENOMEM,
 *                          for malloc() beside the library too: jdb_trim() makes what is gone addresses alone again, in pieces
 *                          of 1 MiB and more. Source: getrlimit(2), which counts mmap(2) since Linux 4.7
 *   vm.overcommit_memory   2: the same bytes, of all processes, against CommitLimit; reserved addresses are not charged.
 *                          0 and 1: none of them. Source: Documentation/mm/overcommit-accounting
 *   vm.max_map_count       two mappings for each buffer with a maximum, one for each that grew by moving (from 128 KiB on).
 *                          Over it a buffer with a maximum is -ENOMEM, and any other whose memory would begin a mapping, not
 *                          extend one; growth copies; what cannot be given back stays cached and is tried again.
 *                          Source: proc_sys_vm(5)
 *   memory of a cgroup     resident bytes: lent and touched, cached. Over it no call fails: the kernel kills, when memory is
 *                          touched. jdb_set_limit() below it is -ENOMEM instead. Source: Documentation/admin-guide/cgroup-v2
 *
 * Fork: page memory is inherited by the child (never DONTFORK), which can go on allocating. Handlers of the program
 * (pthread_atfork) may use the library, in the process that forks and in the child: it registers its own when it is
 * loaded, and lets the forking thread pass. With a library that dlopen() brings later than a prepare handler, that
 * handler may not wait for another thread that uses the library.
 *
 * A thread whose first call of the library comes from the last round of its destructors (pthread_key_create(3)) would be known
 * after its end: call it once before, or not from there.
 */
#ifndef JDB_ALLOC_PAGES_H
#define JDB_ALLOC_PAGES_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Options of the page allocator. 0 in a field means the default. */
typedef struct jdb_page_options {
    uint32_t size;         /* bytes of this struct, as the caller knows it */
    uint32_t delay_ms;     /* how long freed memory stays cached; default 1,000; or JDB_DELAY_NONE */
    uint64_t dirty_bytes;  /* most bytes of free pages that stay resident, and of the caches that threads share;
                            * default: what went out of use within the delay, and a tenth of the most that was in use
                            * then, at least 64 MiB */
    uint64_t thread_bytes; /* most bytes of runs above 256 KiB in the cache of a thread; default 32 MiB */
    uint32_t
        huge_pages; /* JDB_HUGE_PAGES_ON or _OFF; default: as it is, at first what the environment says. Since 0.2 */
    uint32_t reserved0; /* 0 */
    uint64_t reserved[3];
} jdb_page_options;

/* Huge pages: blocks of 2 MiB of page memory, each on one page of the processor, so that a block costs one page fault in place
 * of 512 and random access fewer misses of the TLB. The first touch of a block takes as long as clearing 2 MiB does.
 *
 * ON: memory that is taken from the system from now on is advised to be huge, block by block (madvise(2), MADV_HUGEPAGE),
 * where a block is filled by buffers: a whole block of one buffer always, one of several as long as free pages that are
 * resident stay below a sixteenth of those in use. So a program that holds less than 32 MiB in small buffers has none. What is
 * free in such a block is used first, and counts as cached; as much as a sixteenth of what is in use stays beyond the delay,
 * until jdb_trim(). A block goes back to the system as a whole; where a part of it has to go, the rest is on 4 KiB
 * pages from then on. OFF: no more blocks are advised; those in use stay. Since 0.2.
 *
 * The environment variable JDB_HUGE_PAGES=1 says ON, unless the program has said either; it is read when the first buffer
 * is allocated, and ignored where the program has more rights than who started it. jdb_page_stats.huge_bytes counts the
 * blocks; whether the system has a huge page for each, /proc/self/smaps says (AnonHugePages). It needs Linux with pages of
 * 4 KiB and "madvise" or "always" in /sys/kernel/mm/transparent_hugepage/enabled; elsewhere, in the checked build, and for
 * buffers of jdb_buf_with_max(), pages stay small. Source: the kernel's Documentation/admin-guide/mm/transhuge.rst. */
#define JDB_HUGE_PAGES_ON 1u
#define JDB_HUGE_PAGES_OFF 2u

/* Freed memory stays cached no longer than until its thread polls the clock, which it does every 64 calls. */
#define JDB_DELAY_NONE UINT32_MAX

/* jdb_set_page_options - set them for the process; takes effect on each thread's next slow call.
 * Returns 0; -EINVAL: NULL, size too small, or huge_pages is no value above; -E2BIG: a field this version does not know is
 * set. On an error nothing changed. Any thread. Since 0.1. */
JDB_API int jdb_set_page_options(const jdb_page_options *options);

/* Called when a limit would be exceeded: needed = bytes missing. May free buffers of this library on the calling
 * thread, may not allocate any. Returns true to try again, false to give up (-ENOMEM). Called without any lock held. */
typedef bool (*jdb_limit_callback)(void *context, uint64_t needed);

/* jdb_set_limit - most bytes lent and kept in caches together. 0 = no limit (the default).
 *
 * Over the limit the library first takes what the calling thread and the shared caches keep, then what all other threads keep,
 * whether they sleep or run, then calls callback (may be NULL), then returns -ENOMEM. A thread that stays in the middle of a call
 * is waited for some 100 ms, and keeps its cache then. Where the system has no membarrier(2) (Linux since 4.14 has), the
 * others keep theirs. Free pages do not count, so none go back to the system for it. Setting a limit below what is lent is
 * legal: new memory is refused until enough is freed.
 * Returns 0. Any thread. Since 0.1. */
JDB_API int jdb_set_limit(uint64_t bytes, jdb_limit_callback callback, void *context);

/* jdb_trim - give all memory that is not lent back to the system, now: the calling thread's cache, shared caches, free
 * pages. Other threads' own caches stay (jdb_thread_flush). What is gone counts neither as data nor as promised memory any
 * more, in pieces of 1 MiB and more: malloc() may have it under RLIMIT_DATA. The next buffers there cost a system call for
 * each 4 MiB.
 * Returns the bytes given back, with those that other threads gave back meanwhile. Any thread. Since 0.1. */
JDB_API uint64_t jdb_trim(void);

/* jdb_thread_flush - hand the calling thread's cache to the other threads: for a thread going idle. A thread that
 * ends does it by itself. Any thread. Since 0.1. */
JDB_API void jdb_thread_flush(void);

/* Counts, always on. Read while other threads work, each is exact for some moment near
 * the call and lent may be off by what is on its way between caches. */
typedef struct jdb_page_stats {
    uint32_t size;    /* bytes of this struct, as the caller knows it */
    uint32_t threads; /* that have a cache of their own: at most 64, or four for each processor where that is more */
    uint64_t lent_bytes;
    uint64_t cached_bytes;      /* thread, shared, and free pages that are still resident */
    uint64_t thread_bytes;      /* of these: in caches of threads */
    uint64_t shared_bytes;      /* of these: in caches that threads share */
    uint64_t mapped_bytes;      /* readable and writable address space */
    uint64_t reserved_bytes;    /* address space reserved in all */
    uint64_t bookkeeping_bytes; /* readable and writable, for the library's own tables */
    uint64_t limit_bytes;       /* 0 = none */
    uint64_t map_calls;         /* mmap and mprotect */
    uint64_t unmap_calls;       /* munmap */
    uint64_t decommit_calls;    /* madvise and mmap that give memory back */
    uint64_t remap_calls;       /* mremap */
    uint64_t shared_locks;      /* times a lock of the shared caches or of the free pages was taken */
    uint64_t moved_bytes;       /* grown by moving page tables */
    uint64_t copied_bytes;      /* grown by copying */
    uint64_t huge_bytes; /* of blocks that are advised to be huge pages, and of which some is in use. Since 0.2 */
    uint64_t reserved[7];
} jdb_page_stats;

/* jdb_get_page_stats - fill the fields that stats->size covers.
 * Returns 0; -EINVAL: NULL or size too small. Any thread. Since 0.1. */
JDB_API int jdb_get_page_stats(jdb_page_stats *stats);

/* Counts of one size class: runs of exactly page_count pages, 1 to jdb_page_class_count(). */
typedef struct jdb_page_class_stats {
    uint32_t size;
    uint32_t page_count;
    uint64_t lent_count;   /* runs */
    uint64_t thread_count; /* runs in caches of threads */
    uint64_t shared_count; /* runs in the cache that threads share */
    uint64_t reserved[4];
} jdb_page_class_stats;

/* Initial values: the size set, all else 0. Since 0.2. */
#ifdef __cplusplus
#define JDB_PAGE_OPTIONS_INIT                                        \
    ([] {                                                            \
        jdb_page_options init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_page_options)); \
        return init;                                                 \
    }())
#define JDB_PAGE_STATS_INIT                                        \
    ([] {                                                          \
        jdb_page_stats init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_page_stats)); \
        return init;                                               \
    }())
#define JDB_PAGE_CLASS_STATS_INIT                                        \
    ([] {                                                                \
        jdb_page_class_stats init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_page_class_stats)); \
        return init;                                                     \
    }())
#else
#define JDB_PAGE_OPTIONS_INIT ((jdb_page_options){.size = sizeof(jdb_page_options)})
#define JDB_PAGE_STATS_INIT ((jdb_page_stats){.size = sizeof(jdb_page_stats)})
#define JDB_PAGE_CLASS_STATS_INIT ((jdb_page_class_stats){.size = sizeof(jdb_page_class_stats)})
#endif

/* jdb_get_page_class_stats - counts of runs of page_count pages. Returns 0; -EINVAL: NULL or size too small; -ERANGE:
 * page_count is 0 or above jdb_page_class_count(). Any thread. Since 0.1. */
JDB_API int jdb_get_page_class_stats(uint32_t page_count, jdb_page_class_stats *stats);

/* jdb_page_class_count - the largest page_count that has a class of its own. Since 0.1. */
JDB_API uint32_t jdb_page_class_count(void);

/* jdb_resident_bytes - how much of the page memory is resident, by asking the system for each page: slow (a walk of
 * mincore over everything mapped), for reports.
 * Returns 0 and *ret_bytes; -ENOTSUP: the system cannot say; -EINVAL: NULL. Any thread. Since 0.1. */
JDB_API int jdb_resident_bytes(uint64_t *ret_bytes);

#ifdef __cplusplus
}
#endif

#endif
