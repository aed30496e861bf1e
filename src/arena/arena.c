/* SPDX-License-Identifier: MIT
 *
 * arena.c - one region cut into equal frames: made, grown, freed; where frames are.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "os/os.h"
#include "page/heap.h"

#include <string.h>

/* ---- Make and free ---------------------------------------------------------------------------------------- */

/* Bytes that the span is rounded up to, so that the last page of the largest kind fits. */
static uint64_t arena_span_unit(const jdb_arena *arena)
{
    return arena->options.pages == JDB_ARENA_PAGES_HUGETLB_1G ? ARENA_HUGE_1G : ARENA_HUGE_2M;
}

/* What base is a multiple of. */
static uint64_t arena_base_align(const jdb_arena *arena, uint64_t span)
{
    const bool has_1g = arena->options.pages == JDB_ARENA_PAGES_BEST && span >= ARENA_HUGE_1G;
    const uint64_t unit = has_1g ? ARENA_HUGE_1G : arena_span_unit(arena);
    return bits_max(arena->options.frame_align, unit);
}

/* Reserve the addresses of frames and guards, and give back what only the alignment needed. */
static int arena_reserve(jdb_arena *arena)
{
    const uint64_t span = bits_round_up(arena->region.stride * arena->options.max_frame_count, arena_span_unit(arena));
    const uint64_t align = arena_base_align(arena, span);
    const uint64_t page = jdb__os_page_size();
    const uint64_t guard = bits_round_up(bits_max(arena->options.guard_size, page), page);
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
    JDB_ASSERT((uintptr_t)arena->region.base % align == 0 && arena->mapping <= arena->region.base - guard);
    JDB_ASSERT(end <= arena->mapping + arena->mapping_size); /* R7 */
    return 0;
}

/* Memory of a jdb_buf is refused: it would be pinned, grown and freed as a buffer, not frame by frame. */
static int arena_adopt(jdb_arena *arena)
{
    if (jdb__heap_overlaps(arena->options.foreign_ptr, arena->options.foreign_size))
        return -EINVAL;
    arena->region.base = arena->options.foreign_ptr;
    arena->region.span = arena->options.foreign_size;
    struct jdb__os_map_facts facts;
    if ((arena->options.flags & JDB_ARENA_LOCK) != 0 &&
        jdb__os_map_facts(arena->region.base, arena->region.span, &facts) == 0)
        arena->is_owner_locked = facts.has_locked_map;
    return 0;
}

/* Make frames usable until there are frame_count. On failure nothing changed but the items, which say what was
 * refused. */
static int arena_extend(jdb_arena *arena, uint32_t frame_count)
{
    int err = jdb__pins_commit(&arena->region.pins, frame_count);
    if (err == 0)
        err = jdb__arena_commit(arena, frame_count * arena->region.stride);
    if (err != 0)
        return err;
    JDB_ASSERT(frame_count * arena->region.stride <= arena->usable_bytes); /* R8 */
    JDB_ASSERT(frame_count >= arena_usable_count(arena));                  /* R2 */
    atomic_store_explicit(&arena->region.frame_count, frame_count, memory_order_release);
    return 0;
}

/* Bookkeeping of an arena with checked options. */
static int arena_alloc(const jdb_arena_options *options, jdb_arena **ret_arena)
{
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(struct jdb_arena), &memory);
    if (err != 0)
        return err;
    jdb_arena *const arena = memory;
    const bool is_kept = (options->flags & JDB_ARENA_KEEP_ON_FORK) != 0 || options->foreign_ptr != NULL;
    arena->options = *options;
    if (options->name != NULL)
        memcpy(arena->name, options->name, strlen(options->name));
    arena->options.name = NULL;
    arena->options.report = NULL;
    arena->fd = -1;
    arena->region.stride = bits_round_up(options->frame_size, options->frame_align);
    if (bits_is_pow2(arena->region.stride))
        arena->region.stride_shift = bits_lowest(arena->region.stride);
    arena->region.fork_mark = is_kept ? 0 : jdb__fork_mark();
    lock_init(&arena->region.lock, LOCK_ARENA, is_kept);
    *ret_arena = arena;
    return 0;
}

/* Free all that is not memory of frames. */
static void arena_delete(jdb_arena *arena)
{
    jdb__pins_release(&arena->region.pins);
    if (arena->fd >= 0)
        jdb__os_fd_close(arena->fd);
    jdb__arena_parts_free(arena);
    JDB_ASSERT(arena_holds(arena) == NULL); /* R5 */
    jdb__arena_forget_inherited_holds(arena);
    lock_destroy(&arena->region.lock);
    jdb__os_free(arena);
}

static int arena_unmap(jdb_arena *arena)
{
    if (arena->mapping != NULL)
        return jdb__os_unmap(arena->mapping, arena->mapping_size);
    if (arena->items[JDB_ARENA_ITEM_LOCK].obtained > 0 && !arena->is_owner_locked)
        jdb__os_unlock(arena->region.base, arena->usable_bytes);
    return 0;
}

/* Build an arena whose bookkeeping is there; on failure its memory is unmapped. */
static int arena_build(jdb_arena *arena)
{
    jdb__arena_items_init(arena);
    int err = arena->options.foreign_ptr != NULL ? arena_adopt(arena) : arena_reserve(arena);
    if (err == 0)
        err = jdb__pins_reserve(&arena->region.pins, arena->options.max_frame_count);
    if (err == 0)
        err = jdb__regions_add(&arena->region); /* before memory that may be another arena's is prefaulted or locked */
    if (err == 0) {
        err = arena->options.frame_count > 0 ? arena_extend(arena, arena->options.frame_count)
                                             : jdb__arena_memfd_begin(arena);
        if (err != 0)
            jdb__regions_remove(&arena->region);
    }
    if (err != 0 && arena_unmap(arena) == 0) {
        arena->mapping = NULL;
        arena->mapping_size = 0;
    }
    return err;
}

static int arena_make(const jdb_arena_options *options, int fd, uint32_t fd_kind, jdb_arena **ret_arena)
{
    jdb_arena *arena = NULL;
    int err = arena_alloc(options, &arena);
    if (err != 0)
        return err;
    arena->is_attached = fd >= 0;
    if (arena->is_attached)
        atomic_store(&arena->fd_state, ARENA_FD_SHARED);
    arena->fd_kind = fd_kind;
    if (fd >= 0)
        err = jdb__os_fd_duplicate(fd, &arena->fd);
    if (err == 0)
        err = arena_build(arena);
    if ((options->flags & JDB_ARENA_KEEP_ON_FORK) != 0) /* a child may have it */
        atomic_store(&arena->fd_state, ARENA_FD_SHARED);
    if (options->report != NULL)
        jdb__arena_report_fill(arena, err == 0, options->report);
    if (err != 0)
        arena_delete(arena);
    else
        *ret_arena = arena;
    return err;
}

int jdb_arena_new(const jdb_arena_options *options, jdb_arena **ret_arena)
{
    jdb_arena_options known;
    if (ret_arena == NULL)
        return -EINVAL;
    const int err = jdb__arena_options_check(options, false, &known);
    return err != 0 ? err : arena_make(&known, -1, JDB_ARENA_PAGES_NONE, ret_arena);
}

int jdb_arena_map_fd(const jdb_arena_options *options, int fd, jdb_arena **ret_arena)
{
    jdb_arena_options known;
    if (ret_arena == NULL || fd < 0)
        return -EINVAL;
    int err = jdb__arena_options_check(options, true, &known);
    if (err != 0)
        return err;
    err = jdb__arena_memfd_kind(fd, &known.pages);
    if (err != 0)
        return err;
    return arena_make(&known, fd, known.pages, ret_arena);
}

/* Whether a pool of this process lends the frames: one of the parent is not a child's. */
static bool arena_is_pooled(const jdb_arena *arena)
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
    if (arena_holds(arena) != NULL || arena_is_pooled(arena) ||
        jdb__pins_count(&arena->region.pins, arena_usable_count(arena)) > 0)
        return -EBUSY;
    const jdb_arena_options options = arena->options;
    jdb__regions_remove(&arena->region);
    const int err = arena_unmap(arena);
    if (err != 0) {
        jdb__regions_add(&arena->region); /* it was there before: needs no memory */
        return err;
    }
    arena_delete(arena);
    if (options.foreign_release != NULL)
        options.foreign_release(options.foreign_context, options.foreign_ptr, options.foreign_size);
    return 0;
}

/* ---- Frames ----------------------------------------------------------------------------------------------- */

uint8_t *jdb_arena_base(const jdb_arena *arena)
{
    return arena_is_here(arena) ? arena->region.base : NULL;
}

uint64_t jdb_arena_frame_size(const jdb_arena *arena)
{
    return arena_is_here(arena) ? arena->options.frame_size : 0;
}

uint64_t jdb_arena_stride(const jdb_arena *arena)
{
    return arena_is_here(arena) ? arena->region.stride : 0;
}

uint32_t jdb_arena_frame_count(const jdb_arena *arena)
{
    return arena_is_here(arena) ? arena_usable_count(arena) : 0;
}

uint32_t jdb_arena_max_frame_count(const jdb_arena *arena)
{
    return arena_is_here(arena) ? arena->options.max_frame_count : 0;
}

uint64_t jdb_arena_size(const jdb_arena *arena)
{
    return arena_is_here(arena) ? arena_usable_count(arena) * arena->region.stride : 0;
}

uint64_t jdb_arena_reserved_size(const jdb_arena *arena)
{
    return arena_is_here(arena) ? arena->region.span : 0;
}

int jdb_arena_frame_at(const jdb_arena *arena, uint32_t index, uint8_t **ret_ptr)
{
    if (!arena_is_here(arena) || ret_ptr == NULL)
        return ret_ptr == NULL ? -EINVAL : arena_not_here(arena);
    if (index >= arena_usable_count(arena))
        return -ERANGE;
    *ret_ptr = arena->region.base + index * arena->region.stride;
    return 0;
}

int jdb_arena_index_of(const jdb_arena *arena, const void *ptr, uint32_t *ret_index)
{
    if (!arena_is_here(arena) || ptr == NULL || ret_index == NULL)
        return ptr == NULL || ret_index == NULL ? -EINVAL : arena_not_here(arena);
    const uint64_t offset = (uintptr_t)ptr - (uintptr_t)arena->region.base; /* wraps to a large one when below */
    if (offset >= arena_usable_count(arena) * arena->region.stride)
        return -ERANGE;
    *ret_index = region_index(&arena->region, offset);
    return 0;
}

int jdb_arena_view(const jdb_arena *arena, uint32_t first, uint32_t count, jdb_raw *ret_view)
{
    if (!arena_is_here(arena) || count == 0 || ret_view == NULL)
        return count == 0 || ret_view == NULL ? -EINVAL : arena_not_here(arena);
    const uint32_t usable = arena_usable_count(arena);
    if (first >= usable || count > usable - first)
        return -ERANGE;
    const uint64_t stride = arena->region.stride;
    *ret_view = jdb_raw_new(arena->region.base + first * stride, (count - 1) * stride + arena->options.frame_size);
    return 0;
}

/* ---- Grow ------------------------------------------------------------------------------------------------- */

int jdb_arena_grow(jdb_arena *arena, uint32_t frame_count)
{
    if (!arena_is_here(arena))
        return arena_not_here(arena);
    if (frame_count > arena->options.max_frame_count)
        return -ERANGE;
    lock_take(&arena->region.lock);
    int err = 0;
    if (frame_count > arena_usable_count(arena)) {
        jdb_arena_item before[JDB_ARENA_ITEM_COUNT];
        memcpy(before, arena->items, sizeof before);
        arena->refusal = (struct arena_refusal){.item = JDB_ARENA_ITEM_COUNT};
        err = arena_extend(arena, frame_count);
        if (err != 0) {
            memcpy(arena->items, before, sizeof before);
            arena->refusal.frame_count = frame_count;
            arena->refusal.err = err;
        }
    }
    lock_release(&arena->region.lock);
    return err;
}
