/* SPDX-License-Identifier: MIT
 *
 * regions.c - the register of arena regions, and pins of ranges of addresses.
 */
#include "pin/regions.h"

#include "base/bits.h"
#include "base/check.h"
#include "base/radix.h"
#include "os/os.h"

#include <errno.h>

static struct radix region_tree;
static const struct radix_memory region_tree_memory = {jdb__os_alloc, jdb__os_free};

static struct lock region_register_lock = LOCK_INIT(LOCK_REGIONS);
static struct region *region_list; /* all that are in the register */

static void region_enlist(struct region *region)
{
    region->next = region_list;
    region_list = region;
}

static void region_unlist(const struct region *region)
{
    struct region **link = &region_list;
    while (*link != NULL && *link != region)
        link = &(*link)->next;
    if (*link != NULL)
        *link = region->next;
}

/* ---- fork() ----------------------------------------------------------------------------------------------- */

static void region_unlock_kept(const struct region *end)
{
    for (struct region *region = region_list; region != end; region = region->next)
        if (region->lock.is_kept)
            pthread_mutex_unlock(&region->lock.mutex);
}

/* Under the register's lock, so that no region is removed. Arenas come first in the order of locks, so these are
 * only tried. */
static bool region_try_lock_kept(void)
{
    for (struct region *region = region_list; region != NULL; region = region->next)
        if (region->lock.is_kept && pthread_mutex_trylock(&region->lock.mutex) != 0) {
            region_unlock_kept(region);
            return false;
        }
    return true;
}

#define REGION_RETRY_NS UINT64_C(200000)

static void region_nap(void)
{
    uint32_t word = 0;
    jdb__os_sleep(&word, 0, jdb__os_clock_ns() + REGION_RETRY_NS);
}

void jdb__regions_before_fork(void)
{
    pthread_mutex_lock(&region_register_lock.mutex);
    while (!region_try_lock_kept()) { /* an arena grows: its callback may want the register */
        pthread_mutex_unlock(&region_register_lock.mutex);
        region_nap();
        pthread_mutex_lock(&region_register_lock.mutex);
    }
}

void jdb__regions_after_fork(void)
{
    region_unlock_kept(NULL);
    pthread_mutex_unlock(&region_register_lock.mutex);
}

/* In the child nothing is pinned: the kernel accesses the parent's memory. */
void jdb__regions_in_child(void)
{
    for (const struct region *region = region_list; region != NULL; region = region->next)
        jdb__pins_forget(&region->pins, atomic_load_explicit(&region->frame_count, memory_order_relaxed));
}

/* ---- The register ----------------------------------------------------------------------------------------- */

static struct radix_range region_range(const struct region *region)
{
    return (struct radix_range){region->base, region->span};
}

static struct region *region_find(const void *ptr)
{
    return jdb__radix_find(&region_tree, ptr);
}

/* In a child of fork(): a region whose memory stayed with the parent. */
static bool region_stayed_with_parent(const void *object)
{
    return !fork_mark_is_mine(((const struct region *)object)->fork_mark);
}

int jdb__regions_add(struct region *region)
{
    JDB_ASSERT(((uintptr_t)region->base | region->span) % 4096 == 0 && region->span > 0); /* R1 */
    JDB_ASSERT(region->frame_count <= region->span / region->stride);                     /* R2 */
    int err = jdb__fork_watch();
    if (err != 0)
        return err;
    lock_take(&region_register_lock);
    err = jdb__radix_add(&region_tree, region_range(region), region, region_stayed_with_parent, &region_tree_memory);
    if (err == 0)
        region_enlist(region);
    lock_release(&region_register_lock);
    return err == -EEXIST || err == -ERANGE ? -EINVAL : err;
}

void jdb__regions_remove(struct region *region)
{
    lock_take(&region_register_lock);
    jdb__radix_remove(&region_tree, region_range(region));
    region_unlist(region);
    lock_release(&region_register_lock);
}

bool jdb__regions_has(const void *ptr)
{
    lock_take(&region_register_lock); /* it may be a pointer into an arena that another thread frees */
    const struct region *const region = region_find(ptr);
    const bool is_here = region != NULL && fork_mark_is_mine(region->fork_mark);
    lock_release(&region_register_lock);
    return is_here;
}

/* ---- Pins ------------------------------------------------------------------------------------------------- */

struct frame_range {
    struct region *region;
    uint32_t first;
    uint32_t last;
};

/* The frames under a range. */
static int region_frames_under(const void *ptr, size_t size, struct frame_range *ret_frames)
{
    if (ptr == NULL || size == 0)
        return -EINVAL;
    struct region *const region = region_find(ptr);
    if (region == NULL)
        return -ENOTSUP;
    ret_frames->region = region;
    return region_frames(region, (uint64_t)((const uint8_t *)ptr - region->base), size, &ret_frames->first,
                         &ret_frames->last);
}

int jdb__regions_pin_marked(const void *ptr, size_t size, _Atomic uint32_t **ret_count)
{
    struct frame_range frames;
    const int err = region_frames_under(ptr, size, &frames);
    if (err != 0)
        return err;
    *ret_count = frames.first == frames.last ? pins_of(&frames.region->pins, frames.first) : NULL;
    return jdb__pins_add(&frames.region->pins, frames.first, frames.last);
}

int jdb__regions_pin(const void *ptr, size_t size)
{
    _Atomic uint32_t *count = NULL;
    return jdb__regions_pin_marked(ptr, size, &count);
}

static bool region_are_all_pinned(const struct frame_range *frames)
{
    for (uint64_t i = frames->first; i <= frames->last; i++) {
        const uint32_t count = atomic_load_explicit(pins_of(&frames->region->pins, (uint32_t)i), memory_order_relaxed);
        if (count == 0 || count >= PINS_BLOCKED)
            return false;
    }
    return true;
}

/* All or nothing. A caller who unpins what was pinned cannot fail after the first look. For one who does not, no pin
 * of another caller is taken off: it might not be possible to restore it, since the frame may be blocked at once. */
int jdb__regions_unpin(const void *ptr, size_t size)
{
    struct frame_range frames;
    int err = region_frames_under(ptr, size, &frames);
    if (err != 0)
        return err;
    if (frames.first < frames.last && !region_are_all_pinned(&frames))
        return -EINVAL;
    for (uint64_t i = frames.first; err == 0 && i <= frames.last; i++)
        err = pins_decrement(pins_of(&frames.region->pins, (uint32_t)i));
    return err;
}

int jdb__regions_unpin_error(const void *ptr, size_t size)
{
    struct frame_range frames;
    const int err = region_frames_under(ptr, size, &frames);
    return err != 0 ? err : -EINVAL;
}

bool jdb__regions_is_pinned(const void *ptr, size_t size)
{
    struct frame_range frames;
    if (region_frames_under(ptr, size, &frames) != 0)
        return false;
    for (uint64_t i = frames.first; i <= frames.last; i++)
        if (pins_has(&frames.region->pins, (uint32_t)i))
            return true;
    return false;
}
