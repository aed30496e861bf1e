/* SPDX-License-Identifier: MIT
 *
 * arena_options.c - what may be asked of an arena. Pure. Floor 4.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "os/os.h"

#include <string.h>

#define KNOWN_FLAGS \
    (JDB_ARENA_PREFAULT | JDB_ARENA_LOCK | JDB_ARENA_KEEP_ON_FORK | JDB_ARENA_DONTDUMP | JDB_ARENA_MEMFD)
#define FRAME_ALIGN_MIN 512u
#define PREFAULT_THREADS_MAX 16u

_Static_assert(sizeof(void *) != 8 || sizeof(jdb_arena_options) == 216, "the layout of 0.1 stays");

/* Bring the caller's struct, older or newer, to this version's. */
static int options_read(const jdb_arena_options *options, jdb_arena_options *ret_wish)
{
    if (options == NULL || options->size < sizeof *options)
        return -EINVAL;
    const uint8_t *const bytes = (const uint8_t *)options;
    for (size_t i = sizeof *options; i < options->size; i++)
        if (bytes[i] != 0)
            return -E2BIG;
    for (size_t i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        if (options->reserved[i] != 0)
            return -E2BIG;
    *ret_wish = *options;
    ret_wish->size = sizeof *ret_wish;
    return 0;
}

static bool name_is_valid(const char *name)
{
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        const char c = name[length];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (length == ARENA_NAME_SIZE - 1 || (!is_letter && strchr(" -_.:/", c) == NULL))
            return false;
    }
    return length > 0;
}

static bool has_nodes(const jdb_arena_options *wish)
{
    return (wish->numa_nodes[0] | wish->numa_nodes[1] | wish->numa_nodes[2] | wish->numa_nodes[3]) != 0;
}

/* Wishes that are no wishes at all. */
static int check_values(const jdb_arena_options *wish)
{
    if ((wish->flags & ~KNOWN_FLAGS) != 0 || (wish->required & ~JDB_ARENA_REQUIRE_ALL) != 0)
        return -EINVAL;
    if (wish->pages > JDB_ARENA_PAGES_BEST || wish->numa_policy > JDB_ARENA_NUMA_INTERLEAVE)
        return -EINVAL;
    if (has_nodes(wish) != (wish->numa_policy != JDB_ARENA_NUMA_NONE))
        return -EINVAL;
    if (wish->frame_align < FRAME_ALIGN_MIN || wish->frame_align > ARENA_HUGE_1G || !bits_is_pow2(wish->frame_align))
        return -EINVAL;
    if (wish->frame_size == 0 || wish->max_frame_count == 0 || wish->frame_count > wish->max_frame_count)
        return -EINVAL;
    if (wish->name != NULL && !name_is_valid(wish->name))
        return -EINVAL;
    if (wish->report != NULL && wish->report->size < sizeof(uint64_t))
        return -EINVAL;
    return 0;
}

/* Wishes that exclude each other. */
static int check_together(const jdb_arena_options *wish)
{
    const bool is_hugetlb = wish->pages == JDB_ARENA_PAGES_HUGETLB_2M || wish->pages == JDB_ARENA_PAGES_HUGETLB_1G;
    const bool is_shared = (wish->flags & JDB_ARENA_MEMFD) != 0;
    if (is_hugetlb && !is_shared && (wish->flags & JDB_ARENA_KEEP_ON_FORK) != 0)
        return -ENOTSUP;
    return 0;
}

static int check_size(const jdb_arena_options *wish)
{
    const uint64_t most = (uint64_t)PTRDIFF_MAX / 2;
    if (wish->frame_size > most || wish->guard_size > most / 4)
        return -EOVERFLOW;
    const uint64_t stride = bits_round_up(wish->frame_size, wish->frame_align);
    return stride > most / 4 / wish->max_frame_count ? -EOVERFLOW : 0;
}

static int check_foreign(const jdb_arena_options *wish)
{
    if (wish->foreign_ptr == NULL)
        return wish->foreign_size != 0 || wish->foreign_release != NULL ? -EINVAL : 0;
    const uint64_t align = wish->frame_align > JDB_PAGE_SIZE ? wish->frame_align : JDB_PAGE_SIZE;
    if ((uintptr_t)wish->foreign_ptr % align != 0 || wish->foreign_size % JDB_PAGE_SIZE != 0)
        return -EINVAL;
    if (wish->foreign_size > UINTPTR_MAX - (uintptr_t)wish->foreign_ptr)
        return -EOVERFLOW;
    if (bits_round_up(wish->frame_size, wish->frame_align) * wish->max_frame_count > wish->foreign_size)
        return -ERANGE;
    const uint32_t others = wish->flags & ~(JDB_ARENA_PREFAULT | JDB_ARENA_LOCK);
    const bool more = wish->pages != JDB_ARENA_PAGES_NONE || wish->numa_policy != JDB_ARENA_NUMA_NONE ||
                      wish->name != NULL || wish->guard_size != 0;
    return others != 0 || more ? -ENOTSUP : 0;
}

static uint32_t default_threads(uint32_t asked)
{
    const uint32_t wanted = asked != 0 ? asked : jdb__os_cpu_count();
    return wanted < PREFAULT_THREADS_MAX ? wanted : PREFAULT_THREADS_MAX;
}

int jdb__arena_options_check(const jdb_arena_options *options, jdb_arena_options *ret_wish)
{
    jdb_arena_options wish;
    int err = options_read(options, &wish);
    if (err != 0)
        return err;
    wish.frame_align = wish.frame_align != 0 ? wish.frame_align : JDB_ALIGNMENT;
    wish.max_frame_count = wish.max_frame_count != 0 ? wish.max_frame_count : wish.frame_count;
    wish.prefault_threads = default_threads(wish.prefault_threads);
    if ((err = check_values(&wish)) != 0 || (err = check_together(&wish)) != 0 || (err = check_size(&wish)) != 0 ||
        (err = check_foreign(&wish)) != 0)
        return err;
    *ret_wish = wish;
    return 0;
}

uint64_t jdb__arena_page_bytes(uint32_t kind)
{
    if (kind == JDB_ARENA_PAGES_HUGETLB_1G)
        return ARENA_HUGE_1G;
    return kind == JDB_ARENA_PAGES_HUGETLB_2M ? ARENA_HUGE_2M : jdb__os_page_size();
}
