/* SPDX-License-Identifier: MIT
 *
 * arena.c - one region cut into equal frames: made, grown, given back in part, freed. Floor 4.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "base/check.h"
#include "page/heap.h"
#include "base/memcheck.h"
#include "os/os.h"
#include "pin/pin_mark.h"

#include <string.h>

/* ---- Make and free ---------------------------------------------------------------------------------------- */

/* Bytes that the span is rounded up to, so that the last page of the largest kind fits. */
static uint64_t span_unit(const jdb_arena *arena)
{
    return arena->wish.pages == JDB_ARENA_PAGES_HUGETLB_1G ? ARENA_HUGE_1G : ARENA_HUGE_2M;
}

/* What base is a multiple of. */
static uint64_t base_align(const jdb_arena *arena, uint64_t span)
{
    const bool has_1g = arena->wish.pages == JDB_ARENA_PAGES_BEST && span >= ARENA_HUGE_1G;
    const uint64_t unit = has_1g ? ARENA_HUGE_1G : span_unit(arena);
    return arena->wish.frame_align > unit ? arena->wish.frame_align : unit;
}

/* Set the addresses of frames and guards aside, and give back what only the alignment needed. */
static int reserve(jdb_arena *arena)
{
    const uint64_t span = bits_round_up(arena->region.stride * arena->wish.max_frame_count, span_unit(arena));
    const uint64_t align = base_align(arena, span);
    const uint64_t page = jdb__os_page_size();
    const uint64_t guard = bits_round_up(arena->wish.guard_size > page ? arena->wish.guard_size : page, page);
    const uint64_t size = span + 2 * guard + align;
    void *start = NULL;
    const int err = jdb__os_reserve(size, &start);
    if (err != 0)
        return err;
    arena->mapping = start;
    arena->mapping_size = size;
    arena->region.base = (uint8_t *)bits_round_up((uintptr_t)start + guard, align);
    arena->region.span = span;
    uint8_t *const end = arena->region.base + span + guard;
    if (jdb__os_unmap(end, (size_t)(arena->mapping + size - end)) == 0)
        arena->mapping_size = (uint64_t)(end - arena->mapping);
    const uint64_t front = (uint64_t)(arena->region.base - guard - arena->mapping);
    if (front > 0 && jdb__os_unmap(arena->mapping, front) == 0) {
        arena->mapping += front;
        arena->mapping_size -= front;
    }
    return 0;
}

/* Memory of a jdb_buf would be pinned, grown and dropped as a buffer, past the frames. */
static int adopt(jdb_arena *arena)
{
    if (jdb__heap_overlaps(arena->wish.foreign_ptr, arena->wish.foreign_size))
        return -EINVAL;
    arena->region.base = arena->wish.foreign_ptr;
    arena->region.span = arena->wish.foreign_size;
    return 0;
}

static uint64_t pins_bytes(uint32_t frame_count)
{
    return bits_round_up((uint64_t)frame_count * sizeof(_Atomic uint32_t), jdb__os_page_size());
}

static int reserve_pins(jdb_arena *arena)
{
    void *pins = NULL;
    const uint64_t size = pins_bytes(arena->wish.max_frame_count);
    const int err = jdb__os_reserve(size, &pins);
    if (err != 0)
        return err;
    arena->region.pins = pins;
    arena->region.pins_size = size;
    return 0;
}

/* Make frames usable until there are frame_count. On failure the items tell more than before, nothing else
 * changed. */
static int extend(jdb_arena *arena, uint32_t frame_count)
{
    int err = frame_count > 0 ? jdb__os_commit((void *)arena->region.pins, pins_bytes(frame_count)) : 0;
    if (err == 0)
        err = jdb__arena_step(arena, frame_count * arena->region.stride);
    if (err == 0)
        atomic_store_explicit(&arena->region.frame_count, frame_count, memory_order_release);
    return err;
}

/* Bookkeeping for a checked wish. */
static int arena_alloc(const jdb_arena_options *wish, jdb_arena **ret_arena)
{
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(struct jdb_arena), &memory);
    if (err != 0)
        return err;
    jdb_arena *const arena = memory;
    const bool is_kept = (wish->flags & JDB_ARENA_KEEP_ON_FORK) != 0 || wish->foreign_ptr != NULL;
    arena->wish = *wish;
    if (wish->name != NULL)
        memcpy(arena->name, wish->name, strlen(wish->name));
    arena->wish.name = NULL;
    arena->wish.report = NULL;
    arena->fd = -1;
    arena->region.stride = bits_round_up(wish->frame_size, wish->frame_align);
    if (bits_is_pow2(arena->region.stride))
        arena->region.stride_shift = bits_lowest(arena->region.stride);
    arena->region.fork_mark = is_kept ? 0 : jdb__fork_mark();
    lock_init(&arena->region.lock, LOCK_ARENA, is_kept);
    *ret_arena = arena;
    return 0;
}

/* Those that a child of fork() inherited are its parent's. */
static void forget_inherited_holds(jdb_arena *arena)
{
    while (arena->holds != arena_holds(arena)) {
        struct arena_hold *const hold = arena->holds;
        arena->holds = hold->next;
        jdb__os_free(hold);
    }
    arena->hold_mark = jdb__fork_mark();
}

/* Let go of all that is not mapped memory. */
static void arena_drop(jdb_arena *arena)
{
    if (arena->region.pins_size != 0)
        jdb__os_unmap((void *)arena->region.pins, arena->region.pins_size);
    if (arena->fd >= 0)
        jdb__os_fd_close(arena->fd);
    jdb__arena_parts_free(arena);
    forget_inherited_holds(arena);
    lock_destroy(&arena->region.lock);
    jdb__os_free(arena);
}

static int unmap(jdb_arena *arena)
{
    if (arena->mapping != NULL)
        return jdb__os_unmap(arena->mapping, arena->mapping_size);
    if (arena->items[JDB_ARENA_ITEM_LOCK].obtained > 0)
        jdb__os_unlock(arena->region.base, arena->usable_bytes);
    return 0;
}

/* Build an arena whose bookkeeping is there; on failure its memory is gone again. */
static int build(jdb_arena *arena)
{
    jdb__arena_items_init(arena);
    int err = arena->wish.foreign_ptr != NULL ? adopt(arena) : reserve(arena);
    if (err == 0)
        err = reserve_pins(arena);
    if (err == 0)
        err = jdb__regions_add(&arena->region); /* before memory that may be another arena's is prefaulted or locked */
    if (err == 0) {
        err = extend(arena, arena->wish.frame_count);
        if (err != 0)
            jdb__regions_remove(&arena->region);
    }
    if (err != 0 && unmap(arena) == 0) {
        arena->mapping = NULL;
        arena->mapping_size = 0;
    }
    return err;
}

static int make(const jdb_arena_options *wish, int fd, uint32_t fd_kind, jdb_arena **ret_arena)
{
    jdb_arena *arena = NULL;
    int err = arena_alloc(wish, &arena);
    if (err != 0)
        return err;
    arena->is_attached = fd >= 0;
    if (arena->is_attached || (wish->flags & JDB_ARENA_KEEP_ON_FORK) != 0) /* a child may have it */
        atomic_store(&arena->fd_state, ARENA_FD_SHARED);
    arena->fd_kind = fd_kind;
    if (fd >= 0)
        err = jdb__os_fd_duplicate(fd, &arena->fd);
    if (err == 0)
        err = build(arena);
    if (wish->report != NULL)
        jdb__arena_report_fill(arena, err == 0, wish->report);
    if (err != 0)
        arena_drop(arena);
    else
        *ret_arena = arena;
    return err;
}

int jdb_arena_new(const jdb_arena_options *options, jdb_arena **ret_arena)
{
    jdb_arena_options wish;
    if (ret_arena == NULL)
        return -EINVAL;
    const int err = jdb__arena_options_check(options, &wish);
    return err != 0 ? err : make(&wish, -1, JDB_ARENA_PAGES_NONE, ret_arena);
}

/* Magic number of hugetlbfs. Source: include/uapi/linux/magic.h */
#define HUGETLBFS 0x958458f6u

/* The kind of page of a memfd that cannot shrink; any other file is -EINVAL. */
static int kind_of_memfd(int fd, uint32_t *ret_kind)
{
    bool is_sealed = false;
    uint32_t file_system = 0;
    struct jdb__os_file_stat stat;
    int err = jdb__os_memfd_is_sealed(fd, &is_sealed);
    if (err == -EINVAL || err == -EBADF || (err == 0 && !is_sealed))
        return -EINVAL;
    if (err != 0 || (err = jdb__os_file_system(fd, &file_system)) != 0 || (err = jdb__os_file_stat(fd, &stat)) != 0)
        return err;
    if (file_system != HUGETLBFS)
        *ret_kind = JDB_ARENA_PAGES_NONE;
    else
        *ret_kind =
            stat.preferred_block_size == ARENA_HUGE_1G ? JDB_ARENA_PAGES_HUGETLB_1G : JDB_ARENA_PAGES_HUGETLB_2M;
    return 0;
}

int jdb_arena_map_fd(const jdb_arena_options *options, int fd, jdb_arena **ret_arena)
{
    jdb_arena_options wish;
    if (ret_arena == NULL || fd < 0 || options == NULL || options->size < sizeof *options)
        return -EINVAL;
    if (options->foreign_ptr != NULL)
        return -EINVAL;
    int err = jdb__arena_options_check(options, &wish);
    if (err != 0)
        return err;
    err = kind_of_memfd(fd, &wish.pages);
    if (err != 0)
        return err;
    wish.flags |= JDB_ARENA_MEMFD;
    return make(&wish, fd, wish.pages, ret_arena);
}

/* A child of fork() that keeps the arena has no part in its maker's pool. */
static bool is_pooled(const jdb_arena *arena)
{
    const uint64_t mark = atomic_load(&arena->pool_mark);
    return mark != 0 && fork_mark_is_mine(mark);
}

int jdb_arena_free(jdb_arena *arena)
{
    if (arena == NULL)
        return 0;
    if (!fork_mark_is_mine(arena->region.fork_mark))
        return -EPERM;
    if (arena_holds(arena) != NULL || is_pooled(arena) || jdb__region_pinned_count(&arena->region) > 0)
        return -EBUSY;
    const jdb_arena_options wish = arena->wish;
    jdb__regions_remove(&arena->region);
    const int err = unmap(arena);
    if (err != 0) {
        jdb__regions_add(&arena->region); /* it was there: needs no memory */
        return err;
    }
    arena_drop(arena);
    if (wish.foreign_release != NULL)
        wish.foreign_release(wish.foreign_context, wish.foreign_ptr, wish.foreign_size);
    return 0;
}

/* ---- Frames ----------------------------------------------------------------------------------------------- */

/* Whether there is an arena and its memory is in this process. */
static bool is_here(const jdb_arena *arena)
{
    return JDB_LIKELY(arena != NULL && fork_mark_is_mine(arena->region.fork_mark));
}

/* The error of a call on an arena that is not here. */
static int not_here(const jdb_arena *arena)
{
    return arena == NULL ? -EINVAL : -EPERM;
}

static uint32_t usable_count(const jdb_arena *arena)
{
    return atomic_load_explicit(&arena->region.frame_count, memory_order_acquire);
}

uint8_t *jdb_arena_base(const jdb_arena *arena)
{
    return is_here(arena) ? arena->region.base : NULL;
}

uint64_t jdb_arena_frame_size(const jdb_arena *arena)
{
    return is_here(arena) ? arena->wish.frame_size : 0;
}

uint64_t jdb_arena_stride(const jdb_arena *arena)
{
    return is_here(arena) ? arena->region.stride : 0;
}

uint32_t jdb_arena_frame_count(const jdb_arena *arena)
{
    return is_here(arena) ? usable_count(arena) : 0;
}

uint32_t jdb_arena_max_frame_count(const jdb_arena *arena)
{
    return is_here(arena) ? arena->wish.max_frame_count : 0;
}

uint64_t jdb_arena_size(const jdb_arena *arena)
{
    return is_here(arena) ? usable_count(arena) * arena->region.stride : 0;
}

uint64_t jdb_arena_reserved_size(const jdb_arena *arena)
{
    return is_here(arena) ? arena->region.span : 0;
}

int jdb_arena_frame_at(const jdb_arena *arena, uint32_t index, uint8_t **ret_ptr)
{
    if (!is_here(arena) || ret_ptr == NULL)
        return ret_ptr == NULL ? -EINVAL : not_here(arena);
    if (index >= usable_count(arena))
        return -ERANGE;
    *ret_ptr = arena->region.base + index * arena->region.stride;
    return 0;
}

int jdb_arena_index_of(const jdb_arena *arena, const void *ptr, uint32_t *ret_index)
{
    if (!is_here(arena) || ptr == NULL || ret_index == NULL)
        return ptr == NULL || ret_index == NULL ? -EINVAL : not_here(arena);
    const uint64_t offset = (uintptr_t)ptr - (uintptr_t)arena->region.base; /* wraps to a large one when below */
    if (offset >= usable_count(arena) * arena->region.stride)
        return -ERANGE;
    *ret_index = region_index(&arena->region, offset);
    return 0;
}

int jdb_arena_view(const jdb_arena *arena, uint32_t first, uint32_t count, jdb_raw *ret_view)
{
    if (!is_here(arena) || count == 0 || ret_view == NULL)
        return count == 0 || ret_view == NULL ? -EINVAL : not_here(arena);
    const uint32_t usable = usable_count(arena);
    if (first >= usable || count > usable - first)
        return -ERANGE;
    const uint64_t stride = arena->region.stride;
    *ret_view = jdb_raw_new(arena->region.base + first * stride, (count - 1) * stride + arena->wish.frame_size);
    return 0;
}

/* ---- Grow and give back ----------------------------------------------------------------------------------- */

int jdb_arena_grow(jdb_arena *arena, uint32_t frame_count)
{
    if (!is_here(arena))
        return not_here(arena);
    if (frame_count > arena->wish.max_frame_count)
        return -ERANGE;
    lock_take(&arena->region.lock);
    int err = 0;
    if (frame_count > usable_count(arena)) {
        jdb_arena_item before[JDB_ARENA_ITEM_COUNT];
        memcpy(before, arena->items, sizeof before);
        err = extend(arena, frame_count);
        if (err != 0)
            memcpy(arena->items, before, sizeof before);
    }
    lock_release(&arena->region.lock);
    return err;
}

static bool is_held(const jdb_arena *arena, uint64_t start, uint64_t end)
{
    for (const struct arena_hold *hold = arena_holds(arena); hold != NULL; hold = hold->next)
        if (hold->size > 0 && hold->offset < end && start < hold->offset + hold->size)
            return true;
    return false;
}

static bool is_on_hugetlb(const jdb_arena *arena, uint64_t start, uint64_t end)
{
    for (const struct arena_part *part = arena->parts; part != NULL; part = part->next)
        if (part->kind >= JDB_ARENA_PAGES_HUGETLB_2M && part->start < end && start < part->start + part->size)
            return true;
    return false;
}

/* Whole pages [start, end) go back. */
static int give_back(const jdb_arena *arena, uint64_t start, uint64_t end)
{
    if (arena->fd >= 0)
        return jdb__os_memfd_punch(arena->fd, (int64_t)start, (int64_t)(end - start));
    uint8_t *const ptr = arena->region.base + start;
    int err = jdb__os_decommit(ptr, end - start);
    if (err == -EINVAL) /* locked */
        err = jdb__os_decommit_locked(ptr, end - start);
    return err == -EINVAL ? -ENOTSUP : err;
}

/* The bytes [start, end): whole pages go back, what is left at both ends is zeroed. */
static int decommit_bytes(const jdb_arena *arena, uint64_t start, uint64_t end, uint64_t *ret_bytes)
{
    const uint64_t page = jdb__os_page_size();
    uint64_t first = bits_round_up(start, page);
    uint64_t last = bits_round_down(end, page);
    if (first >= last) { /* no whole page */
        first = end;
        last = end;
    }
    const int err = first < last ? give_back(arena, first, last) : 0;
    if (err != 0)
        return err;
    /* They may be of frames that a pool has free. */
    memcheck_zero(arena->region.base + start, first - start);
    memcheck_zero(arena->region.base + last, end - last);
    *ret_bytes = last - first;
    return 0;
}

static int decommit(jdb_arena *arena, uint32_t first, uint32_t count, uint64_t *ret_bytes)
{
    const uint64_t start = first * arena->region.stride;
    const uint64_t end = start + count * arena->region.stride;
    if (is_held(arena, start, end))
        return -EBUSY;
    if (arena->mapping == NULL || is_on_hugetlb(arena, start, end))
        return -ENOTSUP;
    int err = jdb__region_block(&arena->region, first, count);
    if (err != 0)
        return err;
    err = decommit_bytes(arena, start, end, ret_bytes);
    jdb__region_unblock(&arena->region, first, count);
    return err;
}

int jdb_arena_decommit(jdb_arena *arena, uint32_t first, uint32_t count, uint64_t *ret_bytes)
{
    if (!is_here(arena) || count == 0)
        return count == 0 ? -EINVAL : not_here(arena);
    const uint32_t usable = usable_count(arena);
    if (first >= usable || count > usable - first)
        return -ERANGE;
    uint64_t bytes = 0;
    lock_take(&arena->region.lock);
    const int err = decommit(arena, first, count, &bytes);
    lock_release(&arena->region.lock);
    if (err == 0 && ret_bytes != NULL)
        *ret_bytes = bytes;
    return err;
}

/* ---- For doors -------------------------------------------------------------------------------------------- */

static struct arena_hold **find_hold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    struct arena_hold **link = &arena->holds;
    while (*link != NULL && ((*link)->offset != offset || (*link)->size != size))
        link = &(*link)->next;
    return link;
}

static int hold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    struct arena_hold *const old = *find_hold(arena, offset, size);
    if (old != NULL) {
        old->count++;
        return 0;
    }
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(struct arena_hold), &memory);
    if (err != 0)
        return err;
    struct arena_hold *const made = memory;
    *made = (struct arena_hold){.next = arena->holds, .offset = offset, .size = size, .count = 1};
    arena->holds = made;
    return 0;
}

/* Out of line, so that one frame is pinned without a register saved for this. */
static JDB_NOINLINE int pin_frames(jdb_arena *arena, uint32_t first, uint32_t last, uint64_t offset, size_t size,
                                   jdb_pin_mark *ret_mark)
{
    const int err = jdb__region_pin_frames(&arena->region, first, last);
    if (err == 0)
        pin_mark_set(ret_mark, arena->region.base + offset, size, PIN_MARK_FRAME, NULL);
    return err;
}

int jdb_arena_pin(jdb_arena *arena, uint64_t offset, size_t size, jdb_pin_mark *ret_mark)
{
    if (JDB_UNLIKELY(arena == NULL || size == 0 || ret_mark == NULL))
        return -EINVAL;
    uint32_t first = 0;
    uint32_t last = 0;
    int err = region_frames(&arena->region, offset, size, &first, &last);
    if (JDB_UNLIKELY(err != 0))
        return err;
    if (JDB_UNLIKELY(first != last))
        return pin_frames(arena, first, last, offset, size, ret_mark);
    _Atomic uint32_t *const count = &arena->region.pins[first];
    err = region_pin_frame(count);
    if (JDB_UNLIKELY(err != 0))
        return err;
    pin_mark_set(ret_mark, arena->region.base + offset, size, PIN_MARK_FRAME, count);
    return 0;
}

int jdb_arena_hold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    if (!is_here(arena))
        return not_here(arena);
    if (offset > arena->region.span || size > arena->region.span - offset)
        return -ERANGE;
    lock_take(&arena->region.lock);
    forget_inherited_holds(arena);
    const int err = hold(arena, offset, size);
    lock_release(&arena->region.lock);
    return err;
}

int jdb_arena_unhold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    if (!is_here(arena))
        return not_here(arena);
    lock_take(&arena->region.lock);
    forget_inherited_holds(arena);
    struct arena_hold **const link = find_hold(arena, offset, size);
    struct arena_hold *const found = *link;
    if (found != NULL && --found->count == 0) {
        *link = found->next;
        jdb__os_free(found);
    }
    lock_release(&arena->region.lock);
    return found != NULL ? 0 : -EINVAL;
}

/* Before it is handed out: no step that fails takes memory from it any more. */
static void share_fd(jdb_arena *arena)
{
    uint32_t state = ARENA_FD_PRIVATE;
    while (!atomic_compare_exchange_weak(&arena->fd_state, &state, ARENA_FD_SHARED) && state != ARENA_FD_SHARED) {
        jdb__os_yield();
        state = ARENA_FD_PRIVATE;
    }
}

int jdb_arena_fd(const jdb_arena *arena)
{
    if (!is_here(arena))
        return not_here(arena);
    if (arena->fd < 0)
        return -ENOTSUP;
    share_fd((jdb_arena *)arena); /* const means what the arena holds */
    return arena->fd;
}
