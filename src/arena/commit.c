/* SPDX-License-Identifier: MIT
 *
 * commit.c - makes the next bytes of an arena usable, each option in its place: a step.
 *
 * A step is made of parts, each on one kind of page. For every part, in this order:
 *
 *     map -> fork and dump advice, name, huge pages -> NUMA policy -> prefault -> (move) -> verify -> lock
 *
 * Huge pages of hugetlb are mapped where the kernel likes and filled there, then moved over the reserved addresses:
 * a map over them that fails for want of pages could leave a hole in the region, and a touch that finds no page raises
 * SIGBUS.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"

#include <string.h>

struct arena_step {
    jdb_arena *arena;
    uint64_t need;                  /* bytes that shall be usable at the end */
    struct arena_progress progress; /* of prefaulting */
    uint64_t transparent;           /* bytes of the arena on transparent huge pages, as last verified */
    uint64_t elsewhere;             /* bytes on nodes not asked for, as last verified */
    bool is_final; /* another kind of page would not help: a required option was refused, or the caller gave up */
};

static int step_refuse(struct arena_step *step, uint32_t item, int err, const char *reason)
{
    const int failure = jdb__arena_refuse(step->arena, item, err, reason);
    if (failure != 0)
        step->is_final = true;
    return failure;
}

/* What the system answered to an option, 0 = granted. */
static int step_answer(struct arena_step *step, uint32_t item, int err)
{
    return err == 0 ? 0 : step_refuse(step, item, err, jdb__arena_reason(item, err));
}

/* Prefaulted pages that lie elsewhere come to their place; only there they count. */
static int step_prefault(struct arena_step *step, const struct arena_part *part, uint8_t *place, void **at)
{
    jdb_arena_item *const item = &step->arena->items[JDB_ARENA_ITEM_PREFAULT];
    const bool asked = (step->arena->options.flags & JDB_ARENA_PREFAULT) != 0;
    if (!asked && !arena_is_hugetlb(part->kind))
        return 0;
    const int err = jdb__arena_fill(step->arena, &step->progress, part, *at);
    if (err == -ECANCELED)
        step->is_final = true;
    if (err != 0 && (arena_is_hugetlb(part->kind) || step->is_final))
        return err;
    if (*at != place) {
        const int move_err = jdb__os_move_over(*at, part->size, place);
        if (move_err != 0)
            return move_err;
        *at = place;
    }
    step->progress.done += part->size;
    item->asked += asked ? part->size : 0;
    item->obtained += asked && err == 0 ? part->size : 0;
    return step_answer(step, JDB_ARENA_ITEM_PREFAULT, err);
}

/* ---- Advice, names, nodes --------------------------------------------------------------------------------- */

static uint64_t step_whole_huge_bytes(const struct arena_part *part)
{
    const uint64_t first = bits_round_up(part->start, ARENA_HUGE_2M);
    const uint64_t end = bits_round_down(part->start + part->size, ARENA_HUGE_2M);
    return end > first ? end - first : 0;
}

/* Transparent huge pages for a part of kind THP; without them its kind is NONE. */
static int step_advise_pages(struct arena_step *step, struct arena_part *part, uint8_t *at)
{
    if (step->arena->is_attached || step->arena->mapping == NULL || arena_is_hugetlb(part->kind))
        return 0;
    if (part->kind == JDB_ARENA_PAGES_NONE) {
        jdb__os_advise_huge(at, part->size, false); /* refused where there are none: nothing is lost */
        return 0;
    }
    const int err = jdb__os_advise_huge(at, part->size, true);
    if (err == 0 && (part->start != 0 || step_whole_huge_bytes(part) > 0))
        return 0;
    part->kind = JDB_ARENA_PAGES_NONE;
    if (err != 0)
        return step_answer(step, JDB_ARENA_ITEM_PAGES, err);
    return step_refuse(step, JDB_ARENA_ITEM_PAGES, 0, "smaller than a huge page: make the arena larger");
}

static int step_advise_fork(struct arena_step *step, const struct arena_part *part, uint8_t *at)
{
    if (step->arena->items[JDB_ARENA_ITEM_FORK].asked == 0)
        return 0;
    const int err = jdb__os_keep_from_children(at, part->size);
    if (err != 0 && arena_is_hugetlb(part->kind) && step->arena->fd < 0)
        return err; /* a child that writes could be killed for want of pages */
    return step_answer(step, JDB_ARENA_ITEM_FORK, err);
}

static int step_name(struct arena_step *step, const struct arena_part *part, uint8_t *at)
{
    const jdb_arena *const arena = step->arena;
    if (arena->name[0] == '\0' || arena->fd >= 0)
        return 0;
    return step_answer(step, JDB_ARENA_ITEM_NAME, jdb__os_name(at, part->size, arena->name));
}

static int step_bind(struct arena_step *step, const struct arena_part *part, uint8_t *at)
{
    static const enum os_numa policies[] = {
        [JDB_ARENA_NUMA_BIND] = OS_NUMA_BIND,
        [JDB_ARENA_NUMA_PREFER] = OS_NUMA_PREFER,
        [JDB_ARENA_NUMA_INTERLEAVE] = OS_NUMA_INTERLEAVE,
    };
    const jdb_arena_options *const options = &step->arena->options;
    if (options->numa_policy == JDB_ARENA_NUMA_NONE)
        return 0;
    const int err = jdb__os_bind(at, part->size, policies[options->numa_policy], options->numa_nodes);
    return step_answer(step, JDB_ARENA_ITEM_NUMA, err);
}

static int step_advise(struct arena_step *step, struct arena_part *part, uint8_t *at)
{
    int err = step_advise_fork(step, part, at);
    if (err == 0 && (step->arena->options.flags & JDB_ARENA_DONTDUMP) != 0)
        err = step_answer(step, JDB_ARENA_ITEM_DUMP, jdb__os_keep_from_dumps(at, part->size));
    if (err == 0)
        err = step_name(step, part, at);
    if (err == 0)
        err = step_advise_pages(step, part, at);
    return err == 0 ? step_bind(step, part, at) : err;
}

/* ---- Map -------------------------------------------------------------------------------------------------- */

/* Map a part: small pages in their place, huge pages anywhere. */
static int step_map(struct arena_step *step, const struct arena_part *part, uint8_t *place, void **ret_at)
{
    const jdb_arena *const arena = step->arena;
    if ((arena->options.flags & JDB_ARENA_MEMFD) != 0)
        return jdb__arena_memfd_map(step->arena, part, place, ret_at);
    if (arena_is_hugetlb(part->kind))
        return jdb__os_map_huge(part->size, jdb__arena_page_bytes(part->kind), ret_at);
    const int err = arena->mapping == NULL ? 0 : jdb__os_commit(place, part->size);
    if (err == 0)
        *ret_at = place;
    return err;
}

static void step_unmap(jdb_arena *arena, const struct arena_part *part, uint8_t *at)
{
    if (at != arena->region.base + part->start)
        jdb__os_unmap(at, part->size);
    else if (arena->mapping != NULL)
        jdb__os_decommit_to_reserved(at, part->size);
    jdb__arena_memfd_punch(arena, part);
}

/* ---- Verify and lock -------------------------------------------------------------------------------------- */

static uint64_t step_bytes_elsewhere(const struct jdb__os_map_facts *facts, const uint64_t *nodes)
{
    uint64_t bytes = facts->other_nodes;
    for (unsigned node = 0; node < OS_NODE_COUNT; node++)
        if ((nodes[node / 64] >> node % 64 & 1) == 0)
            bytes += facts->node[node];
    return bytes;
}

static bool step_is_verified(const jdb_arena *arena)
{
    return (arena->options.flags & JDB_ARENA_PREFAULT) != 0 &&
           (arena->options.pages != JDB_ARENA_PAGES_NONE || arena->options.numa_policy == JDB_ARENA_NUMA_BIND);
}

/* Mappings of neighbouring parts may be one, so the whole arena is looked at, before and after. */
static int step_look(struct arena_step *step)
{
    struct jdb__os_map_facts facts;
    const jdb_arena *const arena = step->arena;
    const int err = jdb__os_map_facts(arena->region.base, arena->region.span, &facts);
    step->transparent = facts.transparent;
    step->elsewhere = step_bytes_elsewhere(&facts, arena->options.numa_nodes);
    return err;
}

static int step_verify_pages(struct arena_step *step, struct arena_part *part, uint8_t *at, uint64_t before)
{
    const uint64_t whole = step_whole_huge_bytes(part);
    if (part->kind != JDB_ARENA_PAGES_THP || step->transparent - before >= whole)
        return 0;
    const uint64_t skip = bits_round_up(part->start, ARENA_HUGE_2M) - part->start;
    const int err = jdb__os_collapse(at + skip, whole);
    step_look(step);
    if (step->transparent - before >= whole)
        return 0;
    part->kind = JDB_ARENA_PAGES_NONE;
    return step_refuse(
        step, JDB_ARENA_ITEM_PAGES, err,
        "fewer huge pages than asked: memory is fragmented, or /sys/kernel/mm/transparent_hugepage/enabled "
        "(shmem_enabled for a memfd) says never");
}

/* What was asked for can be checked once the pages are there; where the system does not report it, it counts as obtained. */
static int step_verify(struct arena_step *step, struct arena_part *part, uint8_t *at)
{
    const uint64_t transparent = step->transparent;
    const uint64_t elsewhere = step->elsewhere;
    if (!step_is_verified(step->arena) || step_look(step) != 0)
        return 0;
    const int err = step_verify_pages(step, part, at, transparent);
    const bool is_bound = step->arena->items[JDB_ARENA_ITEM_NUMA].obtained == JDB_ARENA_NUMA_BIND;
    if (err != 0 || !is_bound || step->elsewhere <= elsewhere)
        return err;
    return step_refuse(step, JDB_ARENA_ITEM_NUMA, 0, "pages lie on other nodes than asked");
}

static int step_lock(struct arena_step *step, const struct arena_part *part, uint8_t *at)
{
    const uint32_t flags = step->arena->options.flags;
    jdb_arena_item *const item = &step->arena->items[JDB_ARENA_ITEM_LOCK];
    if ((flags & JDB_ARENA_LOCK) == 0)
        return 0;
    const bool on_fault = (flags & JDB_ARENA_PREFAULT) == 0;
    const int err =
        arena_is_hugetlb(part->kind) ? 0 : jdb__os_lock(at, part->size, on_fault); /* hugetlb is never swapped */
    if (err != 0 && !step->arena->is_owner_locked)
        jdb__os_unlock(at, part->size); /* what was locked before it failed */
    item->asked += part->size;
    item->obtained += err == 0 ? part->size : 0;
    return step_answer(step, JDB_ARENA_ITEM_LOCK, err);
}

/* ---- Parts ------------------------------------------------------------------------------------------------ */

static void arena_add_part(jdb_arena *arena, struct arena_part *part)
{
    struct arena_part *const last = arena->last_part;
    JDB_ASSERT(part->start == arena->usable_bytes && (last == NULL) == (part->start == 0)); /* R9 */
    JDB_ASSERT(last == NULL || last->start + last->size == part->start);                    /* R9 */
    arena->usable_bytes += part->size;
    if (last != NULL && last->kind == part->kind) {
        last->size += part->size;
        jdb__os_free(part);
        return;
    }
    *(last != NULL ? &last->next : &arena->parts) = part;
    arena->last_part = part;
}

/* Forget what lies behind `end`, which is not mapped any more. */
static void arena_cut_parts(jdb_arena *arena, uint64_t end)
{
    struct arena_part **link = &arena->parts;
    arena->last_part = NULL;
    while (*link != NULL) {
        struct arena_part *const part = *link;
        if (part->start >= end) {
            *link = part->next;
            jdb__os_free(part);
            continue;
        }
        part->size = bits_min(part->size, end - part->start);
        arena->last_part = part;
        link = &part->next;
    }
    arena->usable_bytes = end;
}

void jdb__arena_parts_free(jdb_arena *arena)
{
    arena_cut_parts(arena, 0);
}

/* Addresses that were reserved may have become another thread's: the arena ends before them (R7). */
static int step_end_before(struct arena_step *step, const struct arena_part *part)
{
    jdb_arena *const arena = step->arena;
    uint8_t *const lost = arena->region.base + part->start;
    uint8_t *const behind = lost + part->size;
    JDB_ASSERT(behind <= arena->mapping + arena->mapping_size); /* R7 */
    jdb__os_unmap(behind, (size_t)(arena->mapping + arena->mapping_size - behind));
    arena->mapping_size = (uint64_t)(lost - arena->mapping);
    step->is_final = true;
    return -ENOMEM;
}

static int step_commit_part(struct arena_step *step, struct arena_part *part)
{
    uint8_t *const place = step->arena->region.base + part->start;
    void *at = NULL;
    int err = step_map(step, part, place, &at);
    if (err != 0)
        return err == -EADDRNOTAVAIL ? step_end_before(step, part) : err;
    err = step_advise(step, part, at);
    if (err == 0)
        err = step_prefault(step, part, place, &at);
    if (err == 0)
        err = step_verify(step, part, at);
    if (err == 0)
        err = step_lock(step, part, at);
    if (err != 0)
        step_unmap(step->arena, part, at);
    return err == -EADDRNOTAVAIL ? step_end_before(step, part) : err;
}

static int step_commit_kind(struct arena_step *step, uint32_t kind, uint64_t size)
{
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(struct arena_part), &memory);
    if (err != 0) {
        step->is_final = true;
        return err;
    }
    struct arena_part *const part = memory;
    JDB_ASSERT(size > 0 && size <= step->arena->region.span - step->arena->usable_bytes); /* R8 */
    *part = (struct arena_part){.start = step->arena->usable_bytes, .size = size, .kind = kind};
    const int failure = step_commit_part(step, part);
    if (failure == 0)
        arena_add_part(step->arena, part);
    else
        jdb__os_free(part);
    return failure;
}

/* ---- Which kind of page ----------------------------------------------------------------------------------- */

/* Bytes that a kind of hugetlb page takes of what is left; 0 = none. */
static uint64_t step_share(const struct arena_step *step, uint32_t kind)
{
    const jdb_arena *const arena = step->arena;
    const uint64_t page = jdb__arena_page_bytes(kind);
    const uint64_t left = step->need - arena->usable_bytes;
    if (arena->usable_bytes % page != 0 || arena->mapping == NULL)
        return 0;
    if (arena->fd >= 0)
        return arena->fd_kind == kind ? bits_round_up(left, page) : 0;
    if (arena->options.pages == kind)
        return bits_round_up(left, page);
    if (arena->options.pages < kind)
        return 0;
    if ((arena->options.flags & JDB_ARENA_MEMFD) !=
        0) /* one kind of page for all of the file, and nothing rounded up */
        return left % page == 0 && arena->region.stride * arena->options.max_frame_count % page == 0 ? left : 0;
    return bits_round_down(left, page);
}

/* hugetlb pages of one kind were refused: 0 when smaller ones do. */
static int step_fall_back(struct arena_step *step, int err)
{
    jdb_arena *const arena = step->arena;
    const char *const reason = jdb__arena_reason(JDB_ARENA_ITEM_PAGES, err);
    jdb__arena_memfd_close_unused(arena);
    if (arena->fd >= 0) {
        step->is_final = true;
        return err == -ERANGE || err == -EACCES ? err : -ENOMEM;
    }
    if (arena->options.pages != JDB_ARENA_PAGES_BEST)
        return step_refuse(step, JDB_ARENA_ITEM_PAGES, err, reason);
    jdb__arena_note(arena, JDB_ARENA_ITEM_PAGES, err, reason);
    return 0;
}

static bool step_may_have_hugetlb(const jdb_arena *arena)
{
    const bool is_private = (arena->options.flags & JDB_ARENA_MEMFD) == 0;
    return arena->options.pages >= JDB_ARENA_PAGES_HUGETLB_2M &&
           !(is_private && (arena->options.flags & JDB_ARENA_KEEP_ON_FORK) != 0);
}

/* One more part, of the largest pages that are available. */
static int step_next_part(struct arena_step *step)
{
    const jdb_arena *const arena = step->arena;
    uint32_t kind = step_may_have_hugetlb(arena) ? JDB_ARENA_PAGES_HUGETLB_1G : JDB_ARENA_PAGES_NONE;
    for (; arena_is_hugetlb(kind); kind--) {
        const uint64_t size = step_share(step, kind);
        if (size == 0)
            continue;
        int err = step_commit_kind(step, kind, size);
        if (err == 0 || step->is_final)
            return err;
        err = step_fall_back(step, err);
        if (err != 0)
            return err;
    }
    kind = arena->options.pages == JDB_ARENA_PAGES_NONE ? JDB_ARENA_PAGES_NONE : JDB_ARENA_PAGES_THP;
    const uint64_t end = bits_round_up(step->need, jdb__os_page_size());
    return step_commit_kind(step, kind, bits_min(end, arena->region.span) - arena->usable_bytes);
}

/* Whether addresses were lost, see step_end_before(). */
static bool arena_is_cut(const jdb_arena *arena)
{
    return arena->mapping != NULL && arena->mapping + arena->mapping_size < arena->region.base + arena->region.span;
}

int jdb__arena_commit(jdb_arena *arena, uint64_t need)
{
    const uint64_t start = arena->usable_bytes;
    struct arena_step step = {.arena = arena, .need = need, .progress.total = need > start ? need - start : 0};
    int err = 0;
    JDB_ASSERT(need <= arena->region.span);                                          /* R8 */
    JDB_ASSERT(arena_usable_count(arena) == 0 || lock_is_held(&arena->region.lock)); /* R6 */
    if (arena_is_cut(arena))
        return -ENOMEM;
    if (start > 0 && step_is_verified(arena))
        step_look(&step);
    while (err == 0 && arena->usable_bytes < need)
        err = step_next_part(&step);
    JDB_ASSERT(err != 0 || (arena->usable_bytes >= need && arena->usable_bytes <= arena->region.span)); /* R8 */
    if (err == 0 || arena->usable_bytes == start)
        return err == -EACCES ? -EINVAL : err;
    JDB_ASSERT(arena->fd < 0 && arena->mapping != NULL); /* a step of these has one part */
    jdb__os_decommit_to_reserved(arena->region.base + start, arena->usable_bytes - start);
    arena_cut_parts(arena, start);
    return err;
}
