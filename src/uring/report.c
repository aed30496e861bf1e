/* SPDX-License-Identifier: MIT
 *
 * uring_report.c - what was obtained and why not more; what registering would need. Floor 5.
 */
#include "uring/state.h"

#include "base/bits.h"
#include "os/os_uring.h"

#include <string.h>

/* ---- Reasons ---------------------------------------------------------------------------------------------- */

static const jdb_uring_reason reasons[] = {
    {0, 0, "registered", "nothing to do"},
    {-ENOMEM, 0, "over RLIMIT_MEMLOCK of this user (all its processes and rings count together), or no memory",
     "raise it: ulimit -l, LimitMEMLOCK= of systemd, or give the program CAP_IPC_LOCK"},
    {-ENOSPC, 0, "every slot of this door is taken", "raise slot_count or region_size"},
    {-EBUSY, 0, "the ring has a table of fixed buffers already, or the frames are being decommitted",
     "lend the door a part of the table (uses_caller_table, first_slot), or jdb_uring_refresh() later"},
    {-EFAULT, 0, "a page cannot be written, is not mapped, or belongs to a file",
     "register memory that is readable and writable, private or of a memfd"},
    {-EOPNOTSUPP, 0, "this kind of memory cannot be registered (a mapping of a file)",
     "use anonymous memory or a memfd"},
    {-EINVAL, 0, "the kernel knows no sparse tables of fixed buffers, or the slot is outside the caller's table",
     "Linux 5.19 or newer, or check first_slot and slot_count"},
    {-EAGAIN, 0, "not tried since the memory was given back", "jdb_uring_refresh() registers it"},
    {-ENXIO, 0, "the ring has no table of fixed buffers", "register one before lending a part of it"},
    {-EPERM, 0, "the system forbids registering on this ring", "see seccomp filters and io_uring restrictions"},
};

static const jdb_uring_reason ring_reasons[] = {
    {0, 0, "the ring was made", "nothing to do"},
    {-EPERM, 0, "io_uring is forbidden here: sysctl kernel.io_uring_disabled, or a seccomp filter (containers)",
     "set kernel.io_uring_disabled to 0 or join kernel.io_uring_group; allow io_uring_setup in the seccomp profile"},
    {-ENOSYS, 0, "io_uring is absent: an old kernel, one built without it, or a seccomp filter that says so",
     "Linux 5.6 or newer with CONFIG_IO_URING; allow io_uring_setup in the seccomp profile"},
    {-EOPNOTSUPP, 0, "io_uring is refused by the sandbox or the emulated kernel",
     "run outside it, or do without a ring"},
    {-ENOMEM, 0, "no memory for the ring, or over RLIMIT_MEMLOCK (Linux before 5.12)",
     "ask for fewer entries, or raise the limit: ulimit -l"},
    {-EMFILE, 0, "too many open files in this process", "raise ulimit -n"},
    {-ENFILE, 0, "too many open files in the system", "raise fs.file-max"},
    {-EINVAL, 0, "this kernel does not know the flags, or the number of entries is out of range",
     "make the ring with fewer flags"},
};

static jdb_uring_reason find_reason(const jdb_uring_reason *table, size_t count, int err)
{
    const int number = err > 0 ? -err : err;
    for (size_t i = 0; i < count; i++)
        if (table[i].err == number)
            return table[i];
    return (jdb_uring_reason){number, 0, strerror(-number), "none known: do without"};
}

jdb_uring_reason jdb_uring_explain(int err)
{
    return find_reason(reasons, sizeof reasons / sizeof reasons[0], err);
}

jdb_uring_reason jdb_uring_explain_ring(int err)
{
    return find_reason(ring_reasons, sizeof ring_reasons / sizeof ring_reasons[0], err);
}

/* ---- Status ----------------------------------------------------------------------------------------------- */

/* Each byte once, though regions overlap. */
static void sum_regions(const struct uring_range *range, jdb_uring_range *sum)
{
    size_t covered = 0;
    for (uint32_t i = 0; i < range->region_count; i++) {
        if (range->slots[i] < 0) {
            sum->first_error = sum->first_error == 0 ? range->slots[i] : sum->first_error;
            continue;
        }
        const size_t start = (size_t)i << range->shift;
        const size_t end = start + uring_region_size(range, range->size, i);
        sum->registered_bytes += end - (start > covered ? start : covered);
        covered = end;
        sum->registered_count++;
    }
}

int jdb_uring_get_range(const jdb_uring *door, const void *ptr, jdb_uring_range *ret_range)
{
    if (door == NULL || ptr == NULL || ret_range == NULL)
        return -EINVAL;
    const struct uring_range *const range = *jdb__uring_range_find(door, ptr);
    if (range == NULL)
        return -EINVAL;
    jdb_uring_range sum = {.region_count = range->region_count,
                           .range_bytes = range->size,
                           .region_size = (uint64_t)1 << range->shift,
                           .overlap_size = range->overlap_size,
                           .is_tagged = range->release_tag != 0 && range->tag_slot >= 0};
    sum_regions(range, &sum);
    return jdb__uring_write_report(ret_range, &sum, sizeof sum);
}

int jdb_uring_get_region(const jdb_uring *door, const void *ptr, uint32_t index, jdb_uring_region *ret_region)
{
    if (door == NULL || ptr == NULL || ret_region == NULL)
        return -EINVAL;
    const struct uring_range *const range = *jdb__uring_range_find(door, ptr);
    if (range == NULL)
        return -EINVAL;
    if (index >= range->region_count)
        return -ERANGE;
    const int32_t slot = range->slots[index];
    const jdb_uring_region region = {.slot = slot < 0 ? -1 : slot,
                                     .ptr = range->ptr + ((size_t)index << range->shift),
                                     .region_bytes = uring_region_size(range, range->size, index),
                                     .why = jdb_uring_explain(slot < 0 ? slot : 0)};
    return jdb__uring_write_report(ret_region, &region, sizeof region);
}

int jdb_uring_get_stats(const jdb_uring *door, jdb_uring_stats *stats)
{
    if (door == NULL || stats == NULL)
        return -EINVAL;
    const jdb_uring_stats sum = {.table_error = door->table_error,
                                 .slot_count = door->slot_count,
                                 .slots_used = door->slot_count - door->free_count,
                                 .is_cloned = door->is_cloned,
                                 .has_vectored = door->has_vectored,
                                 .fixed_count = door->fixed_count,
                                 .plain_count = door->plain_count,
                                 .fixed_bytes = door->fixed_bytes,
                                 .plain_bytes = door->plain_bytes,
                                 .resume_count = door->resume_count};
    return jdb__uring_write_report(stats, &sum, sizeof sum);
}

/* ---- Need ------------------------------------------------------------------------------------------------- */

#define HUGE_PAGE_SIZE ((uint64_t)2 << 20)

/* Bytes of the pages under [ptr, ptr + size). */
static uint64_t charge(const void *ptr, size_t size, uint64_t page_size)
{
    const uint64_t start = bits_round_down((uintptr_t)ptr, page_size);
    return bits_round_up((uintptr_t)ptr + size, page_size) - start;
}

/* What the door's regions cost on small pages. */
static uint64_t charged(const jdb_uring *door)
{
    const uint64_t page_size = jdb__ring_page_size();
    uint64_t bytes = 0;
    for (const struct uring_range *range = door->ranges; range != NULL; range = range->next) {
        bytes += range->tag_slot >= 0 ? page_size : 0;
        for (uint32_t i = 0; !range->is_shared && i < range->region_count; i++)
            if (range->slots[i] >= 0)
                bytes += charge(range->ptr + ((size_t)i << range->shift), uring_region_size(range, range->size, i),
                                page_size);
    }
    return bytes;
}

static uint32_t judge(const jdb_uring_need *need, uint64_t bytes)
{
    if (need->is_exempt != 0 || need->limit_bytes == UINT64_MAX)
        return JDB_URING_NEED_NONE;
    return bytes + need->own_bytes > need->limit_bytes ? JDB_URING_NEED_OVER : JDB_URING_NEED_UNKNOWN;
}

static void sum_need(const struct uring_range *range, size_t size, jdb_uring_need *need)
{
    const uint64_t page_size = jdb__ring_page_size();
    need->region_count = jdb__uring_count_regions(range, size);
    for (uint32_t i = 0; i < need->region_count; i++)
        need->need_bytes +=
            charge(range->ptr + ((size_t)i << range->shift), uring_region_size(range, size, i), page_size);
    need->need_huge_bytes = charge(range->ptr, size, HUGE_PAGE_SIZE);
    if (range->release_tag != 0) {
        need->need_bytes += page_size;
        need->need_huge_bytes += page_size;
    }
}

int jdb_uring_get_need(const jdb_uring *door, const void *ptr, size_t size, const jdb_uring_range_options *options,
                       jdb_uring_need *ret_need)
{
    if (door == NULL || ptr == NULL || size == 0 || size > PTRDIFF_MAX || (uintptr_t)ptr % JDB_PAGE_SIZE != 0 ||
        ret_need == NULL)
        return -EINVAL;
    struct uring_range *range = NULL;
    const int err = jdb__uring_range_make(door, ptr, size, 0, options, &range);
    if (err != 0)
        return err;
    jdb_uring_need need = {.limit_bytes = UINT64_MAX, .hard_limit_bytes = UINT64_MAX, .own_bytes = charged(door)};
    bool may_lock = false;
    (void)jdb__ring_lock_limit(&need.limit_bytes, &need.hard_limit_bytes);
    (void)jdb__ring_may_lock(&may_lock);
    need.is_exempt = may_lock ? 1 : 0;
    sum_need(range, size, &need);
    jdb__ring_free(range);
    need.verdict = judge(&need, need.need_bytes);
    need.huge_verdict = judge(&need, need.need_huge_bytes);
    return jdb__uring_write_report(ret_need, &need, sizeof need);
}
