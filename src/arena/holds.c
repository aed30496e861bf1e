/* SPDX-License-Identifier: MIT
 *
 * holds.c - ranges of an arena that are registered with the kernel, and pins for whoever knows the arena.
 */
#include "arena/arena_internal.h"

#include "os/os.h"
#include "pin/pin_mark.h"

/* ---- Holds ------------------------------------------------------------------------------------------------ */

bool jdb__arena_is_held(const jdb_arena *arena, uint64_t start, uint64_t end)
{
    for (const struct arena_hold *hold = arena_holds(arena); hold != NULL; hold = hold->next)
        if (hold->size > 0 && hold->offset < end && start < hold->offset + hold->size)
            return true;
    return false;
}

uint64_t jdb__arena_held_bytes(const jdb_arena *arena)
{
    uint64_t bytes = 0;
    for (const struct arena_hold *hold = arena_holds(arena); hold != NULL; hold = hold->next)
        bytes += hold->size * hold->count;
    return bytes;
}

void jdb__arena_forget_inherited_holds(jdb_arena *arena)
{
    while (arena->holds != arena_holds(arena)) {
        struct arena_hold *const hold = arena->holds;
        arena->holds = hold->next;
        jdb__os_free(hold);
    }
    arena->hold_mark = jdb__fork_mark();
}

static struct arena_hold **arena_find_hold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    struct arena_hold **link = &arena->holds;
    while (*link != NULL && ((*link)->offset != offset || (*link)->size != size))
        link = &(*link)->next;
    return link;
}

static int arena_add_hold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    struct arena_hold *const old = *arena_find_hold(arena, offset, size);
    JDB_ASSERT(lock_is_held(&arena->region.lock)); /* R6 */
    if (old != NULL) {
        old->count++;
        return 0;
    }
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(struct arena_hold), &memory);
    if (err != 0)
        return err;
    struct arena_hold *const hold = memory;
    *hold = (struct arena_hold){.next = arena->holds, .offset = offset, .size = size, .count = 1};
    arena->holds = hold;
    return 0;
}

int jdb_arena_hold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    if (!arena_is_here(arena))
        return arena_not_here(arena);
    if (offset > arena->region.span || size > arena->region.span - offset)
        return -ERANGE;
    lock_take(&arena->region.lock);
    jdb__arena_forget_inherited_holds(arena);
    const int err = arena_add_hold(arena, offset, size);
    lock_release(&arena->region.lock);
    return err;
}

int jdb_arena_unhold(jdb_arena *arena, uint64_t offset, uint64_t size)
{
    if (!arena_is_here(arena))
        return arena_not_here(arena);
    lock_take(&arena->region.lock);
    jdb__arena_forget_inherited_holds(arena);
    struct arena_hold **const link = arena_find_hold(arena, offset, size);
    struct arena_hold *const found = *link;
    JDB_ASSERT(found == NULL || found->count > 0);
    if (found != NULL && --found->count == 0) {
        *link = found->next;
        jdb__os_free(found);
    }
    lock_release(&arena->region.lock);
    return found != NULL ? 0 : -EINVAL;
}

/* ---- Pins by offset --------------------------------------------------------------------------------------- */

/* Out of line, so that one frame is pinned without a register saved for this. */
static JDB_NOINLINE int arena_pin_frames(jdb_arena *arena, uint32_t first, uint32_t last, uint64_t offset, size_t size,
                                         jdb_pin_mark *ret_mark)
{
    const int err = jdb__pins_add(&arena->region.pins, first, last);
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
        return arena_pin_frames(arena, first, last, offset, size, ret_mark);
    pins_note(&arena->region.pins, first);
    _Atomic uint32_t *const count = pins_of(&arena->region.pins, first);
    err = pins_increment(count);
    if (JDB_UNLIKELY(err != 0))
        return err;
    pin_mark_set(ret_mark, arena->region.base + offset, size, PIN_MARK_FRAME, count);
    return 0;
}

int jdb_arena_get_pins(const jdb_arena *arena, jdb_arena_pins *ret_pins)
{
    if (!arena_is_here(arena))
        return arena_not_here(arena);
    if (ret_pins == NULL)
        return -EINVAL;
    if (arena->region.stride_shift == 0)
        return -ENOTSUP;
    *ret_pins =
        (jdb_arena_pins){.counts = (void *)arena->region.pins.counts, .stride_shift = arena->region.stride_shift};
    return 0;
}
