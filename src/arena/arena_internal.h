/* SPDX-License-Identifier: MIT
 *
 * arena_internal.h - what an arena is made of, for this folder and for pool/, which reads the region and the counts.
 *
 * Files, each of which calls those before it only:
 *
 *   options   what may be asked of an arena: checked, brought to this version's size, defaults filled in
 *   report    what was asked of the system, what was obtained, and why not more
 *   prefault  makes a part resident, on several threads
 *   memfd     the file behind an arena that other processes can map
 *   commit    makes the next bytes usable: one step, of parts
 *   holds     ranges registered with the kernel; pins by offset
 *   decommit  gives memory of frames back to the system
 *   arena     make, grow, free; where frames are
 *
 * Lock: region.lock (LOCK_ARENA, os/fork.h). jdb_arena_new() and jdb_arena_free() have the arena for themselves.
 *
 * Invariants, besides R1 to R5 of docs/design.md:
 *   R6  usable_bytes, parts, holds and items change under region.lock only
 *   R7  mapping <= base - guard and base + span + guard <= mapping + mapping_size, or the memory is foreign; where addresses
 *       were lost to another thread the mapping ends before the span, and then the arena does not grow
 *   R8  [base, base + usable_bytes) is readable and writable; frame_count * stride <= usable_bytes <= span
 *   R9  parts are in order, touch each other, and cover [0, usable_bytes); neighbours differ in kind
 *   R10 the file behind an arena reaches to usable_bytes and never shrinks; its pages are of one kind
 */
#ifndef JDB_ARENA_INTERNAL_H
#define JDB_ARENA_INTERNAL_H

#include "jdb_alloc/arena.h"
#include "pin/regions.h"

/* ---- Limits and defaults ---------------------------------------------------------------------------------- */

#define ARENA_HUGE_2M ((uint64_t)1 << 21)
#define ARENA_HUGE_1G ((uint64_t)1 << 30)
#define ARENA_NAME_SIZE 65 /* bytes with the NUL */
#define ARENA_FRAME_ALIGN_DEFAULT JDB_ALIGNMENT
#define ARENA_FRAME_ALIGN_MIN 512u
#define ARENA_FRAME_ALIGN_MAX ARENA_HUGE_1G
#define ARENA_PREFAULT_THREADS_MAX 16u
#define ARENA_PREFAULT_CHUNK ((uint64_t)32 << 20)  /* bytes that one thread fills at a time */
#define ARENA_SIZE_MAX ((uint64_t)PTRDIFF_MAX / 2) /* bytes; leaves room to round up */

/* ---- Structs ---------------------------------------------------------------------------------------------- */

/* Who may use the bytes of the memfd. A step that failed gives the memory of a private one back; in a shared one it may be
 * another process's frame by now. PUNCHED: it is being given back at this moment, and not handed out. */
#define ARENA_FD_PRIVATE 0u
#define ARENA_FD_SHARED 1u
#define ARENA_FD_PUNCHED 2u

/* Bytes [start, start + size) of the arena lie on one kind of page: NONE, THP, HUGETLB_2M or HUGETLB_1G. */
struct arena_part {
    struct arena_part *next;
    uint64_t start;
    uint64_t size;
    uint32_t kind;
};

/* A range that is registered with a ring, count times. */
struct arena_hold {
    struct arena_hold *next;
    uint64_t offset;
    uint64_t size;
    uint64_t count;
};

/* Of the last growth, where it failed. */
struct arena_refusal {
    uint32_t frame_count; /* that it was to reach; 0: it did not fail */
    uint32_t item;        /* required and refused, or JDB_ARENA_ITEM_COUNT */
    int err;
    const char *reason;
};

struct jdb_arena {
    struct region region;
    jdb_arena_options options; /* checked, defaults filled in; name and report are not kept */
    uint8_t *mapping;          /* all addresses reserved; NULL for foreign memory */
    uint64_t mapping_size;
    uint64_t usable_bytes;
    struct arena_part *parts;
    struct arena_part *last_part;
    struct arena_hold *holds;  /* see arena_holds() */
    uint64_t hold_mark;        /* fork mark of the process that made them, or 0 */
    int fd;                    /* the memfd, or -1 */
    uint32_t fd_kind;          /* kind of its pages, NONE for all small ones */
    uint64_t fd_size;          /* bytes; it never shrinks, not even when a step fails */
    bool is_attached;          /* fd is another process's */
    bool is_owner_locked;      /* foreign memory, some of which was locked when it was adopted: it stays so */
    _Atomic uint32_t fd_state; /* ARENA_FD_x */
    _Atomic uint64_t
        pool_mark;     /* fork mark of the process in which a pool lends its frames, or 0: it is not freed under it */
    uint32_t next_gen; /* generation that frames of the next pool begin with, or 0: there was none */
    char name[ARENA_NAME_SIZE];
    jdb_arena_item items[JDB_ARENA_ITEM_COUNT];
    struct arena_refusal refusal; /* under region.lock */
};

/* The ranges that this process holds: those that a child inherited are its parent's. */
static inline struct arena_hold *arena_holds(const jdb_arena *arena)
{
    return fork_mark_is_mine(arena->hold_mark) ? arena->holds : NULL;
}

/* Whether there is an arena and its memory is in this process. */
static inline bool arena_is_here(const jdb_arena *arena)
{
    return JDB_LIKELY(arena != NULL && fork_mark_is_mine(arena->region.fork_mark));
}

/* The error of a call on an arena that is not here. */
static inline int arena_not_here(const jdb_arena *arena)
{
    return arena == NULL ? -EINVAL : -EPERM;
}

static inline uint32_t arena_usable_count(const jdb_arena *arena)
{
    return atomic_load_explicit(&arena->region.frame_count, memory_order_acquire);
}

static inline bool arena_is_hugetlb(uint32_t kind)
{
    return kind == JDB_ARENA_PAGES_HUGETLB_2M || kind == JDB_ARENA_PAGES_HUGETLB_1G;
}

/* ---- options.c -------------------------------------------------------------------------------------------- */

/* Check the caller's options, bring them to this version's size, fill in defaults: errors of jdb_arena_new(), or with
 * is_attached of jdb_arena_map_fd(). */
int jdb__arena_options_check(const jdb_arena_options *options, bool is_attached, jdb_arena_options *ret_options);

/* Bytes of a page of a kind: JDB_ARENA_PAGES_NONE and THP count as the system's page. */
uint64_t jdb__arena_page_bytes(uint32_t kind);

/* ---- report.c --------------------------------------------------------------------------------------------- */

/* Note what was asked for. */
void jdb__arena_items_init(jdb_arena *arena);

/* Note a refusal. err: what the system returned, 0 when the arena itself found the option not obtained. */
void jdb__arena_note(jdb_arena *arena, uint32_t item, int err, const char *reason);

/* The same, and returns 0 when the arena can do without, else the error that the step fails with; the refusal names it then. */
int jdb__arena_refuse(jdb_arena *arena, uint32_t item, int err, const char *reason);

/* Why the system may have refused an option with an error. */
const char *jdb__arena_reason(uint32_t item, int err);

/* Whether a caller's report can be filled: -EINVAL when it is too small. */
int jdb__arena_report_check(const jdb_arena_report *report);

/* As jdb_arena_get_report(), of an arena that is not finished; is_made false: it will not be, nothing was obtained. */
void jdb__arena_report_fill(const jdb_arena *arena, bool is_made, jdb_arena_report *report);

/* ---- prefault.c ------------------------------------------------------------------------------------------- */

/* Of one step. Bytes. */
struct arena_progress {
    uint64_t total;
    uint64_t done;
};

/* Make the pages of a part resident, which is at `at` for now. -ECANCELED: the progress callback gave up. */
int jdb__arena_fill(const jdb_arena *arena, const struct arena_progress *progress, const struct arena_part *part,
                    uint8_t *at);

/* ---- memfd.c ---------------------------------------------------------------------------------------------- */

/* Make the file of an arena that has no frames yet. Where its pages are to be of hugetlb it is made with the first frames, as
 * these decide of which kind. */
int jdb__arena_memfd_begin(jdb_arena *arena);

/* Map a part of the file, which is made and extended as needed: small pages at `place`, huge ones anywhere. -EACCES: the
 * file of another process may not be written. */
int jdb__arena_memfd_map(jdb_arena *arena, const struct arena_part *part, uint8_t *place, void **ret_at);

/* The memory of a part that is not mapped any more goes back, unless another process may use it. */
void jdb__arena_memfd_punch(jdb_arena *arena, const struct arena_part *part);

/* A file of huge pages that are not available gives way to one of smaller pages: close one of which nothing is used. */
void jdb__arena_memfd_close_unused(jdb_arena *arena);

/* The kind of page of a memfd that cannot shrink; any other file is -EINVAL. */
int jdb__arena_memfd_kind(int fd, uint32_t *ret_kind);

/* ---- commit.c --------------------------------------------------------------------------------------------- */

/* Make bytes usable from arena->usable_bytes to `need` (at most the span), with every option of the arena. On failure
 * nothing changed but the items, which say what was refused. */
int jdb__arena_commit(jdb_arena *arena, uint64_t need);

/* Forget all parts. */
void jdb__arena_parts_free(jdb_arena *arena);

/* ---- holds.c ---------------------------------------------------------------------------------------------- */

/* Whether a byte of [start, end) is held. */
bool jdb__arena_is_held(const jdb_arena *arena, uint64_t start, uint64_t end);

/* Bytes held; a byte held twice counts twice. */
uint64_t jdb__arena_held_bytes(const jdb_arena *arena);

/* Free the holds that a child of fork() inherited. */
void jdb__arena_forget_inherited_holds(jdb_arena *arena);

#endif
