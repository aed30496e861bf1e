/* SPDX-License-Identifier: MIT
 *
 * arena.h - what an arena is made of. Floor 4: for the files of the arena, and for pool.c, which reads region and
 * counts.
 *
 * Invariants:
 *   - mapping <= base - guard, base + span + guard <= mapping + mapping_size, or foreign;
 *     mapping ends before the span where addresses were lost to another thread, and then the arena does not grow
 *   - [base, base + usable_bytes) is readable and writable; frame_count * stride <= usable_bytes <= span
 *   - parts are in order, touch each other, and cover [0, usable_bytes); neighbours differ in kind
 *   - usable_bytes, parts, holds, items change under region.lock alone
 */
#ifndef JDB_ARENA_H
#define JDB_ARENA_H

#include "jdb_alloc/arena.h"
#include "pin/regions.h"

#define ARENA_HUGE_2M ((uint64_t)1 << 21)
#define ARENA_HUGE_1G ((uint64_t)1 << 30)
#define ARENA_NAME_SIZE 65

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

/* A range that a door has registered, count times. */
struct arena_hold {
    struct arena_hold *next;
    uint64_t offset;
    uint64_t size;
    uint64_t count;
};

struct jdb_arena {
    struct region region;
    jdb_arena_options wish; /* checked, defaults filled in; its pointers to the caller's words are not kept */
    uint8_t *mapping;       /* all addresses set aside; NULL for foreign memory */
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
    _Atomic uint32_t fd_state; /* ARENA_FD_x */
    _Atomic uint64_t
        pool_mark;     /* fork mark of the process in which a pool lends its frames, or 0: it is not freed under it */
    uint32_t next_gen; /* generation that frames of the next pool begin with, or 0: there was none */
    char name[ARENA_NAME_SIZE];
    jdb_arena_item items[JDB_ARENA_ITEM_COUNT];
};

/* The ranges that doors of this process hold: those that a child inherited are its parent's. */
static inline struct arena_hold *arena_holds(const jdb_arena *arena)
{
    return fork_mark_is_mine(arena->hold_mark) ? arena->holds : NULL;
}

/* ---- arena_options.c --------------------------------------------------------------------------------------- */

/* Check the options, bring them to this version's size, fill in defaults: errors of jdb_arena_new(). */
int jdb__arena_options_check(const jdb_arena_options *options, jdb_arena_options *ret_wish);

/* Bytes of a page of a kind: JDB_ARENA_PAGES_NONE and THP count as the system's page. */
uint64_t jdb__arena_page_bytes(uint32_t kind);

/* ---- arena_step.c ------------------------------------------------------------------------------------------ */

/* Make bytes usable from arena->usable_bytes to `need` (at most the span), with every option of the arena. On failure
 * nothing changed but the items, which say what was refused. */
int jdb__arena_step(jdb_arena *arena, uint64_t need);

/* Forget all parts. */
void jdb__arena_parts_free(jdb_arena *arena);

/* ---- arena_report.c ---------------------------------------------------------------------------------------- */

/* Note what was asked for. */
void jdb__arena_items_init(jdb_arena *arena);

/* Note a refusal. err: what the system said, 0 when the arena itself found the wish not met. */
void jdb__arena_note(jdb_arena *arena, uint32_t item, int err, const char *reason);

/* The same, and returns 0 when the arena can do without, else the error that the step fails with. */
int jdb__arena_refuse(jdb_arena *arena, uint32_t item, int err, const char *reason);

/* Why the system may have refused an option with an error. */
const char *jdb__arena_reason(uint32_t item, int err);

/* As jdb_arena_get_report(), of an arena that is not finished; facts: whether to ask the system. */
void jdb__arena_report_fill(const jdb_arena *arena, bool facts, jdb_arena_report *report);

#endif
