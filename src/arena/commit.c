/* SPDX-License-Identifier: MIT
 *
 * arena_step.c - makes the next bytes of an arena usable, each option in its place. Floor 4.
 *
 * A step is made of parts, each on one kind of page. For every part, in this order:
 *
 *     map -> fork and dump advice, name, huge pages -> NUMA policy -> prefault -> (move) -> verify -> lock
 *
 * Huge pages of hugetlb are mapped where the kernel likes and filled there, then moved over the reserved addresses:
 * a map over them that fails for want of pages could leave a hole in the region, and a touch that finds none raises
 * SIGBUS.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"

#include <string.h>

#define FILL_CHUNK ((uint64_t)32 << 20)

struct step {
    jdb_arena *arena;
    uint64_t need;  /* bytes that shall be usable at the end */
    uint64_t total; /* bytes of the step, for progress */
    uint64_t done;  /* of these: prefaulted */
    uint64_t
        transparent; /* bytes of the arena on transparent huge pages, and on nodes not asked for, as last verified */
    uint64_t elsewhere;
    bool is_final; /* another kind of page would not help: a required wish was refused, or the caller gave up */
};

static bool is_hugetlb(uint32_t kind)
{
    return kind == JDB_ARENA_PAGES_HUGETLB_2M || kind == JDB_ARENA_PAGES_HUGETLB_1G;
}

static int refuse(struct step *step, uint32_t item, int err, const char *reason)
{
    const int failure = jdb__arena_refuse(step->arena, item, err, reason);
    if (failure != 0)
        step->is_final = true;
    return failure;
}

/* A wish that the system answered with err, 0 = granted. */
static int settle(struct step *step, uint32_t item, int err)
{
    return err == 0 ? 0 : refuse(step, item, err, jdb__arena_reason(item, err));
}

/* ---- Prefault --------------------------------------------------------------------------------------------- */

struct fill {
    struct step *step;
    uint8_t *ptr;
    uint64_t size;
    uint64_t chunk;
    bool may_touch;  /* a touch cannot raise SIGBUS */
    bool is_foreign; /* nor need its owner have made it writable: the kernel touches it */
    _Atomic uint64_t next;
    _Atomic uint64_t done;
    _Atomic int err;
};

/* Adding nothing keeps what others may have written by now (a memfd that is mapped already). */
static void touch(uint8_t *ptr, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += jdb__os_page_size())
        atomic_fetch_or_explicit((_Atomic uint8_t *)(ptr + at), 0, memory_order_relaxed);
}

static int touch_foreign(uint8_t *ptr, uint64_t size)
{
    int err = 0;
    for (uint64_t at = 0; at < size && err == 0; at += jdb__os_page_size())
        err = jdb__os_touch(ptr + at);
    return err;
}

/* The system says -EINVAL where it cannot populate, and of memory that cannot be written. */
static int fill_chunk(const struct fill *fill, uint8_t *ptr, uint64_t size)
{
    const int err = jdb__os_populate(ptr, size);
    if (err != -EINVAL || !fill->may_touch)
        return err;
    if (fill->is_foreign)
        return touch_foreign(ptr, size);
    touch(ptr, size);
    return 0;
}

static bool tell_progress(const struct step *step, uint64_t done)
{
    const jdb_arena_options *const wish = &step->arena->wish;
    const uint64_t sum = step->done + done;
    return wish->progress == NULL || wish->progress(wish->progress_context, sum, sum > step->total ? sum : step->total);
}

static void fill_work(void *context, unsigned index)
{
    struct fill *const fill = context;
    for (;;) {
        const uint64_t at = atomic_fetch_add(&fill->next, fill->chunk);
        if (at >= fill->size || atomic_load(&fill->err) != 0)
            return;
        const uint64_t size = fill->chunk < fill->size - at ? fill->chunk : fill->size - at;
        int err = fill_chunk(fill, fill->ptr + at, size);
        if (err == 0) {
            const uint64_t done = atomic_fetch_add(&fill->done, size) + size;
            if (index == 0 && done < fill->size && !tell_progress(fill->step, done))
                err = -ECANCELED;
        }
        int none = 0;
        if (err != 0)
            atomic_compare_exchange_strong(&fill->err, &none, err);
    }
}

/* Make a part resident, in parallel. */
static int fill_part(struct step *step, const struct arena_part *part, uint8_t *at)
{
    struct fill fill = {.step = step, .ptr = at, .size = part->size, .may_touch = !is_hugetlb(part->kind)};
    fill.is_foreign = step->arena->mapping == NULL;
    fill.chunk = part->kind == JDB_ARENA_PAGES_HUGETLB_1G ? ARENA_HUGE_1G : FILL_CHUNK;
    const uint64_t chunk_count = (fill.size + fill.chunk - 1) / fill.chunk;
    const uint64_t threads = step->arena->wish.prefault_threads;
    jdb__os_run_parallel((unsigned)(threads < chunk_count ? threads : chunk_count), fill_work, &fill);
    int err = atomic_load(&fill.err);
    if (err == 0 && !tell_progress(step, fill.size))
        err = -ECANCELED;
    if (err == -ECANCELED)
        step->is_final = true;
    return err;
}

static int prefault(struct step *step, const struct arena_part *part, uint8_t *at)
{
    jdb_arena_item *const item = &step->arena->items[JDB_ARENA_ITEM_PREFAULT];
    const bool asked = (step->arena->wish.flags & JDB_ARENA_PREFAULT) != 0;
    if (!asked && !is_hugetlb(part->kind))
        return 0;
    const int err = fill_part(step, part, at);
    if (err != 0 && (is_hugetlb(part->kind) || step->is_final))
        return err;
    step->done += part->size;
    item->asked += asked ? part->size : 0;
    item->obtained += asked && err == 0 ? part->size : 0;
    return settle(step, JDB_ARENA_ITEM_PREFAULT, err);
}

/* ---- Advice, names, nodes --------------------------------------------------------------------------------- */

static uint64_t whole_huge_bytes(const struct arena_part *part)
{
    const uint64_t first = bits_round_up(part->start, ARENA_HUGE_2M);
    const uint64_t end = bits_round_down(part->start + part->size, ARENA_HUGE_2M);
    return end > first ? end - first : 0;
}

/* Transparent huge pages for a part of kind THP; without them its kind is NONE. */
static int advise_pages(struct step *step, struct arena_part *part, uint8_t *at)
{
    if (step->arena->is_attached || step->arena->mapping == NULL || is_hugetlb(part->kind))
        return 0;
    if (part->kind == JDB_ARENA_PAGES_NONE) {
        jdb__os_advise_huge(at, part->size, false); /* refused where there are none: nothing is lost */
        return 0;
    }
    const int err = jdb__os_advise_huge(at, part->size, true);
    if (err == 0 && (part->start != 0 || whole_huge_bytes(part) > 0))
        return 0;
    part->kind = JDB_ARENA_PAGES_NONE;
    if (err != 0)
        return settle(step, JDB_ARENA_ITEM_PAGES, err);
    return refuse(step, JDB_ARENA_ITEM_PAGES, 0, "smaller than a huge page: make the arena larger");
}

static int advise_fork(struct step *step, const struct arena_part *part, uint8_t *at)
{
    if (step->arena->items[JDB_ARENA_ITEM_FORK].asked == 0)
        return 0;
    const int err = jdb__os_keep_from_children(at, part->size);
    if (err != 0 && is_hugetlb(part->kind) && step->arena->fd < 0)
        return err; /* a child that writes could be killed for want of pages */
    return settle(step, JDB_ARENA_ITEM_FORK, err);
}

static int name_part(struct step *step, const struct arena_part *part, uint8_t *at)
{
    const jdb_arena *const arena = step->arena;
    if (arena->name[0] == '\0' || arena->fd >= 0)
        return 0;
    return settle(step, JDB_ARENA_ITEM_NAME, jdb__os_name(at, part->size, arena->name));
}

static int bind_part(struct step *step, const struct arena_part *part, uint8_t *at)
{
    static const enum os_numa policies[] = {
        [JDB_ARENA_NUMA_BIND] = OS_NUMA_BIND,
        [JDB_ARENA_NUMA_PREFER] = OS_NUMA_PREFER,
        [JDB_ARENA_NUMA_INTERLEAVE] = OS_NUMA_INTERLEAVE,
    };
    const jdb_arena_options *const wish = &step->arena->wish;
    if (wish->numa_policy == JDB_ARENA_NUMA_NONE)
        return 0;
    const int err = jdb__os_bind(at, part->size, policies[wish->numa_policy], wish->numa_nodes);
    return settle(step, JDB_ARENA_ITEM_NUMA, err);
}

static int dress(struct step *step, struct arena_part *part, uint8_t *at)
{
    int err = advise_fork(step, part, at);
    if (err == 0 && (step->arena->wish.flags & JDB_ARENA_DONTDUMP) != 0)
        err = settle(step, JDB_ARENA_ITEM_DUMP, jdb__os_keep_from_dumps(at, part->size));
    if (err == 0)
        err = name_part(step, part, at);
    if (err == 0)
        err = advise_pages(step, part, at);
    return err == 0 ? bind_part(step, part, at) : err;
}

/* ---- Map -------------------------------------------------------------------------------------------------- */

static int make_memfd(jdb_arena *arena, uint32_t kind)
{
    const char *const name = arena->name[0] != '\0' ? arena->name : "jdb_arena";
    int fd = -1;
    int err = jdb__os_memfd_new(name, is_hugetlb(kind) ? jdb__arena_page_bytes(kind) : 0, &fd);
    if (err != 0)
        return err;
    err = jdb__os_memfd_seal_size(fd);
    if (err != 0) {
        jdb__os_fd_close(fd);
        return err;
    }
    arena->fd = fd;
    arena->fd_kind = is_hugetlb(kind) ? kind : JDB_ARENA_PAGES_NONE;
    arena->fd_size = 0;
    return 0;
}

/* Note how large the file is by now. -ERANGE: it does not reach to `end`. */
static int look_at_memfd(jdb_arena *arena, uint64_t end)
{
    struct jdb__os_file_stat stat;
    const int err = jdb__os_file_stat(arena->fd, &stat);
    arena->fd_size = err == 0 ? (uint64_t)stat.size : arena->fd_size;
    return err == 0 && end > arena->fd_size ? -ERANGE : err;
}

/* Have the memfd reach to the end of a part. A process that inherited it may have made it longer meanwhile: it cannot
 * shrink, and making it shorter is -EPERM. */
static int extend_memfd(jdb_arena *arena, const struct arena_part *part)
{
    const uint64_t end = part->start + part->size;
    if (end <= arena->fd_size)
        return 0;
    if (arena->is_attached)
        return look_at_memfd(arena, end);
    const int err = jdb__os_memfd_resize(arena->fd, (int64_t)end);
    if (err == -EPERM && look_at_memfd(arena, end) == 0)
        return 0;
    arena->fd_size = err == 0 ? end : arena->fd_size;
    return err;
}

static int map_memfd(struct step *step, const struct arena_part *part, uint8_t *place, void **ret_at)
{
    jdb_arena *const arena = step->arena;
    int err = arena->fd < 0 ? make_memfd(arena, part->kind) : 0;
    if (err != 0 && !is_hugetlb(part->kind)) {
        refuse(step, JDB_ARENA_ITEM_MEMFD, err, jdb__arena_reason(JDB_ARENA_ITEM_MEMFD, err));
        return err == -ENOMEM ? -ENOMEM : -ENOTSUP;
    }
    if (err == 0)
        err = extend_memfd(arena, part);
    if (err != 0)
        return err;
    if (is_hugetlb(part->kind))
        return jdb__os_map_file(arena->fd, (int64_t)part->start, part->size, ret_at);
    err = jdb__os_map_file_at(arena->fd, (int64_t)part->start, part->size, place);
    if (err == 0)
        *ret_at = place;
    const bool is_read_only = arena->is_attached && (err == -EACCES || err == -EPERM); /* as opened, or sealed */
    return is_read_only ? -EINVAL : err;
}

/* Map a part: small pages in their place, huge pages anywhere. */
static int map_part(struct step *step, const struct arena_part *part, uint8_t *place, void **ret_at)
{
    const jdb_arena *const arena = step->arena;
    if ((arena->wish.flags & JDB_ARENA_MEMFD) != 0)
        return map_memfd(step, part, place, ret_at);
    if (is_hugetlb(part->kind))
        return jdb__os_map_huge(part->size, jdb__arena_page_bytes(part->kind), ret_at);
    const int err = arena->mapping == NULL ? 0 : jdb__os_commit(place, part->size);
    if (err == 0)
        *ret_at = place;
    return err;
}

static void unmap_part(jdb_arena *arena, const struct arena_part *part, uint8_t *at)
{
    if (at != arena->region.base + part->start)
        jdb__os_unmap(at, part->size);
    else if (arena->mapping != NULL)
        jdb__os_decommit_to_reserved(at, part->size);
    uint32_t state = ARENA_FD_PRIVATE;
    if (arena->fd < 0 || !atomic_compare_exchange_strong(&arena->fd_state, &state, ARENA_FD_PUNCHED))
        return;
    jdb__os_memfd_punch(arena->fd, (int64_t)part->start, (int64_t)part->size);
    atomic_store(&arena->fd_state, ARENA_FD_PRIVATE);
}

/* ---- Verify and lock -------------------------------------------------------------------------------------- */

static uint64_t bytes_elsewhere(const struct jdb__os_map_facts *facts, const uint64_t *nodes)
{
    uint64_t bytes = facts->other_nodes;
    for (unsigned node = 0; node < OS_NODE_COUNT; node++)
        if ((nodes[node / 64] >> node % 64 & 1) == 0)
            bytes += facts->node[node];
    return bytes;
}

static bool is_verified(const jdb_arena *arena)
{
    return (arena->wish.flags & JDB_ARENA_PREFAULT) != 0 &&
           (arena->wish.pages != JDB_ARENA_PAGES_NONE || arena->wish.numa_policy == JDB_ARENA_NUMA_BIND);
}

/* Mappings of neighbouring parts may be one, so the whole arena is looked at, before and after. */
static int look(struct step *step)
{
    struct jdb__os_map_facts facts;
    const jdb_arena *const arena = step->arena;
    const int err = jdb__os_map_facts(arena->region.base, arena->region.span, &facts);
    step->transparent = facts.transparent;
    step->elsewhere = bytes_elsewhere(&facts, arena->wish.numa_nodes);
    return err;
}

static int verify_pages(struct step *step, struct arena_part *part, uint8_t *at, uint64_t before)
{
    const uint64_t whole = whole_huge_bytes(part);
    if (part->kind != JDB_ARENA_PAGES_THP || step->transparent - before >= whole)
        return 0;
    const uint64_t skip = bits_round_up(part->start, ARENA_HUGE_2M) - part->start;
    const int err = jdb__os_collapse(at + skip, whole);
    look(step);
    if (step->transparent - before >= whole)
        return 0;
    part->kind = JDB_ARENA_PAGES_NONE;
    return refuse(step, JDB_ARENA_ITEM_PAGES, err,
                  "fewer huge pages than asked: memory is fragmented, or /sys/kernel/mm/transparent_hugepage/enabled "
                  "(shmem_enabled for a memfd) says never");
}

/* What was asked can be checked once the pages are there; where the system does not tell, it is taken as obtained. */
static int verify(struct step *step, struct arena_part *part, uint8_t *at)
{
    const uint64_t transparent = step->transparent;
    const uint64_t elsewhere = step->elsewhere;
    if (!is_verified(step->arena) || look(step) != 0)
        return 0;
    const int err = verify_pages(step, part, at, transparent);
    const bool is_bound = step->arena->items[JDB_ARENA_ITEM_NUMA].obtained == JDB_ARENA_NUMA_BIND;
    if (err != 0 || !is_bound || step->elsewhere <= elsewhere)
        return err;
    return refuse(step, JDB_ARENA_ITEM_NUMA, 0, "pages lie on other nodes than asked");
}

static int lock_part(struct step *step, const struct arena_part *part, uint8_t *at)
{
    const uint32_t flags = step->arena->wish.flags;
    jdb_arena_item *const item = &step->arena->items[JDB_ARENA_ITEM_LOCK];
    if ((flags & JDB_ARENA_LOCK) == 0)
        return 0;
    const bool on_fault = (flags & JDB_ARENA_PREFAULT) == 0;
    const int err = is_hugetlb(part->kind) ? 0 : jdb__os_lock(at, part->size, on_fault); /* hugetlb is never swapped */
    item->asked += part->size;
    item->obtained += err == 0 ? part->size : 0;
    return settle(step, JDB_ARENA_ITEM_LOCK, err);
}

/* ---- Parts ------------------------------------------------------------------------------------------------ */

static void add_part(jdb_arena *arena, struct arena_part *part)
{
    struct arena_part *const last = arena->last_part;
    arena->usable_bytes += part->size;
    if (last != NULL && last->kind == part->kind) {
        last->size += part->size;
        jdb__os_free(part);
        return;
    }
    *(last != NULL ? &last->next : &arena->parts) = part;
    arena->last_part = part;
}

/* Forget what lies behind `end`; it is not mapped any more. */
static void cut_parts(jdb_arena *arena, uint64_t end)
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
        part->size = part->start + part->size > end ? end - part->start : part->size;
        arena->last_part = part;
        link = &part->next;
    }
    arena->usable_bytes = end;
}

void jdb__arena_parts_free(jdb_arena *arena)
{
    cut_parts(arena, 0);
}

/* Prefaulted pages that lie elsewhere come to their place. */
static int settle_in_place(struct step *step, const struct arena_part *part, uint8_t *place, void **at)
{
    int err = prefault(step, part, *at);
    if (err == 0 && *at != place && (err = jdb__os_move_over(*at, part->size, place)) == 0)
        *at = place;
    return err;
}

/* Addresses that were set aside may have become another thread's: the arena ends before them. */
static int end_before(struct step *step, const struct arena_part *part)
{
    jdb_arena *const arena = step->arena;
    uint8_t *const lost = arena->region.base + part->start;
    uint8_t *const behind = lost + part->size;
    jdb__os_unmap(behind, (size_t)(arena->mapping + arena->mapping_size - behind));
    arena->mapping_size = (uint64_t)(lost - arena->mapping);
    step->is_final = true;
    return -ENOMEM;
}

static int commit_part(struct step *step, struct arena_part *part)
{
    uint8_t *const place = step->arena->region.base + part->start;
    void *at = NULL;
    int err = map_part(step, part, place, &at);
    if (err != 0)
        return err == -EADDRNOTAVAIL ? end_before(step, part) : err;
    err = dress(step, part, at);
    if (err == 0)
        err = settle_in_place(step, part, place, &at);
    if (err == 0)
        err = verify(step, part, at);
    if (err == 0)
        err = lock_part(step, part, at);
    if (err != 0)
        unmap_part(step->arena, part, at);
    return err == -EADDRNOTAVAIL ? end_before(step, part) : err;
}

static int commit_kind(struct step *step, uint32_t kind, uint64_t size)
{
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(struct arena_part), &memory);
    if (err != 0) {
        step->is_final = true;
        return err;
    }
    struct arena_part *const part = memory;
    *part = (struct arena_part){.start = step->arena->usable_bytes, .size = size, .kind = kind};
    const int failure = commit_part(step, part);
    if (failure == 0)
        add_part(step->arena, part);
    else
        jdb__os_free(part);
    return failure;
}

/* ---- Which kind of page ----------------------------------------------------------------------------------- */

/* Bytes that a kind of hugetlb page takes of what is left; 0 = none. */
static uint64_t share(const struct step *step, uint32_t kind)
{
    const jdb_arena *const arena = step->arena;
    const uint64_t page = jdb__arena_page_bytes(kind);
    const uint64_t left = step->need - arena->usable_bytes;
    if (arena->usable_bytes % page != 0 || arena->mapping == NULL)
        return 0;
    if (arena->fd >= 0)
        return arena->fd_kind == kind ? bits_round_up(left, page) : 0;
    if (arena->wish.pages == kind)
        return bits_round_up(left, page);
    if (arena->wish.pages < kind)
        return 0;
    if ((arena->wish.flags & JDB_ARENA_MEMFD) != 0) /* one kind of page for all of the file, and nothing rounded up */
        return left % page == 0 && arena->region.stride * arena->wish.max_frame_count % page == 0 ? left : 0;
    return bits_round_down(left, page);
}

/* A memfd of huge pages that cannot be had gives way to one of smaller pages. */
static void drop_unused_memfd(jdb_arena *arena)
{
    if (arena->fd < 0 || arena->usable_bytes != 0 || arena->is_attached)
        return;
    jdb__os_fd_close(arena->fd);
    arena->fd = -1;
}

/* hugetlb pages of one kind were refused: 0 when smaller ones do. */
static int fall_back(struct step *step, int err)
{
    jdb_arena *const arena = step->arena;
    const char *const reason = jdb__arena_reason(JDB_ARENA_ITEM_PAGES, err);
    drop_unused_memfd(arena);
    if (arena->fd >= 0) {
        step->is_final = true;
        return err == -ERANGE ? -ERANGE : -ENOMEM;
    }
    if (arena->wish.pages != JDB_ARENA_PAGES_BEST)
        return refuse(step, JDB_ARENA_ITEM_PAGES, err, reason);
    jdb__arena_note(arena, JDB_ARENA_ITEM_PAGES, err, reason);
    return 0;
}

static bool may_have_hugetlb(const jdb_arena *arena)
{
    const bool is_private = (arena->wish.flags & JDB_ARENA_MEMFD) == 0;
    return arena->wish.pages >= JDB_ARENA_PAGES_HUGETLB_2M &&
           !(is_private && (arena->wish.flags & JDB_ARENA_KEEP_ON_FORK) != 0);
}

/* One more part, of the largest pages that can be had. */
static int next_part(struct step *step)
{
    const jdb_arena *const arena = step->arena;
    uint32_t kind = may_have_hugetlb(arena) ? JDB_ARENA_PAGES_HUGETLB_1G : JDB_ARENA_PAGES_NONE;
    for (; is_hugetlb(kind); kind--) {
        const uint64_t size = share(step, kind);
        if (size == 0)
            continue;
        int err = commit_kind(step, kind, size);
        if (err == 0 || step->is_final)
            return err;
        err = fall_back(step, err);
        if (err != 0)
            return err;
    }
    kind = arena->wish.pages == JDB_ARENA_PAGES_NONE ? JDB_ARENA_PAGES_NONE : JDB_ARENA_PAGES_THP;
    const uint64_t end = bits_round_up(step->need, jdb__os_page_size());
    return commit_kind(step, kind, (end < arena->region.span ? end : arena->region.span) - arena->usable_bytes);
}

/* Whether addresses were lost, see end_before(). */
static bool is_cut(const jdb_arena *arena)
{
    return arena->mapping != NULL && arena->mapping + arena->mapping_size < arena->region.base + arena->region.span;
}

int jdb__arena_step(jdb_arena *arena, uint64_t need)
{
    const uint64_t start = arena->usable_bytes;
    struct step step = {.arena = arena, .need = need, .total = need > start ? need - start : 0};
    int err = 0;
    JDB_ASSERT(need <= arena->region.span);
    if (is_cut(arena))
        return -ENOMEM;
    if (start > 0 && is_verified(arena))
        look(&step);
    while (err == 0 && arena->usable_bytes < need)
        err = next_part(&step);
    if (err == 0 || arena->usable_bytes == start)
        return err;
    JDB_ASSERT(arena->fd < 0 && arena->mapping != NULL); /* these have one part in a step */
    jdb__os_decommit_to_reserved(arena->region.base + start, arena->usable_bytes - start);
    cut_parts(arena, start);
    return err;
}
