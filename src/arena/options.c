/* SPDX-License-Identifier: MIT
 *
 * options.c - what may be asked of an arena. Pure.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "base/sized.h"
#include "os/os.h"

#include <string.h>

#define ARENA_KNOWN_FLAGS \
    (JDB_ARENA_PREFAULT | JDB_ARENA_LOCK | JDB_ARENA_KEEP_ON_FORK | JDB_ARENA_DONTDUMP | JDB_ARENA_MEMFD)

SIZED_FORM(arena_options_form, jdb_arena_options, 152, 216);

static bool options_name_is_valid(const char *name)
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

static bool options_have_nodes(const jdb_arena_options *options)
{
    return (options->numa_nodes[0] | options->numa_nodes[1] | options->numa_nodes[2] | options->numa_nodes[3]) != 0;
}

/* Values that no arena can have. */
static int options_check_values(const jdb_arena_options *options)
{
    if ((options->flags & ~ARENA_KNOWN_FLAGS) != 0 || (options->required & ~JDB_ARENA_REQUIRE_ALL) != 0)
        return -EINVAL;
    if (options->pages > JDB_ARENA_PAGES_BEST || options->numa_policy > JDB_ARENA_NUMA_INTERLEAVE)
        return -EINVAL;
    if (options_have_nodes(options) != (options->numa_policy != JDB_ARENA_NUMA_NONE))
        return -EINVAL;
    if (options->frame_align < ARENA_FRAME_ALIGN_MIN || options->frame_align > ARENA_FRAME_ALIGN_MAX ||
        !bits_is_pow2(options->frame_align))
        return -EINVAL;
    if (options->frame_size == 0 || options->max_frame_count == 0 || options->frame_count > options->max_frame_count)
        return -EINVAL;
    if (options->name != NULL && !options_name_is_valid(options->name))
        return -EINVAL;
    return options->report != NULL ? jdb__arena_report_check(options->report) : 0;
}

/* Options that exclude each other. */
static int options_check_together(const jdb_arena_options *options)
{
    const bool is_hugetlb =
        options->pages == JDB_ARENA_PAGES_HUGETLB_2M || options->pages == JDB_ARENA_PAGES_HUGETLB_1G;
    const bool is_shared = (options->flags & JDB_ARENA_MEMFD) != 0;
    if (is_hugetlb && !is_shared && (options->flags & JDB_ARENA_KEEP_ON_FORK) != 0)
        return -ENOTSUP;
    return 0;
}

static int options_check_size(const jdb_arena_options *options)
{
    if (options->frame_size > ARENA_SIZE_MAX || options->guard_size > ARENA_SIZE_MAX / 4)
        return -EOVERFLOW;
    const uint64_t stride = bits_round_up(options->frame_size, options->frame_align);
    return stride > ARENA_SIZE_MAX / 4 / options->max_frame_count ? -EOVERFLOW : 0;
}

static int options_check_foreign(const jdb_arena_options *options)
{
    if (options->foreign_ptr == NULL)
        return options->foreign_size != 0 || options->foreign_release != NULL ? -EINVAL : 0;
    const uint64_t align = bits_max(options->frame_align, JDB_PAGE_SIZE);
    if ((uintptr_t)options->foreign_ptr % align != 0 || options->foreign_size % JDB_PAGE_SIZE != 0)
        return -EINVAL;
    if (options->foreign_size > UINTPTR_MAX - (uintptr_t)options->foreign_ptr)
        return -EOVERFLOW;
    if (bits_round_up(options->frame_size, options->frame_align) * options->max_frame_count > options->foreign_size)
        return -ERANGE;
    const uint32_t others = options->flags & ~(JDB_ARENA_PREFAULT | JDB_ARENA_LOCK);
    const bool more = options->pages != JDB_ARENA_PAGES_NONE || options->numa_policy != JDB_ARENA_NUMA_NONE ||
                      options->name != NULL || options->guard_size != 0;
    return others != 0 || more ? -ENOTSUP : 0;
}

static uint32_t options_threads(uint32_t asked)
{
    return (uint32_t)bits_min(asked != 0 ? asked : jdb__os_cpu_count(), ARENA_PREFAULT_THREADS_MAX);
}

int jdb__arena_options_check(const jdb_arena_options *options, bool is_attached, jdb_arena_options *ret_options)
{
    jdb_arena_options known;
    int err = options == NULL ? -EINVAL : jdb__sized_read(&arena_options_form, options, &known);
    if (err != 0)
        return err;
    if (is_attached && known.foreign_ptr != NULL)
        return -EINVAL;
    known.pages = is_attached ? JDB_ARENA_PAGES_NONE : known.pages; /* the file decides */
    known.flags |= is_attached ? JDB_ARENA_MEMFD : 0;
    known.frame_align = known.frame_align != 0 ? known.frame_align : ARENA_FRAME_ALIGN_DEFAULT;
    known.max_frame_count = known.max_frame_count != 0 ? known.max_frame_count : known.frame_count;
    known.prefault_threads = options_threads(known.prefault_threads);
    if ((err = options_check_values(&known)) != 0 || (err = options_check_together(&known)) != 0 ||
        (err = options_check_size(&known)) != 0 || (err = options_check_foreign(&known)) != 0)
        return err;
    *ret_options = known;
    return 0;
}

uint64_t jdb__arena_page_bytes(uint32_t kind)
{
    if (kind == JDB_ARENA_PAGES_HUGETLB_1G)
        return ARENA_HUGE_1G;
    return kind == JDB_ARENA_PAGES_HUGETLB_2M ? ARENA_HUGE_2M : jdb__os_page_size();
}
