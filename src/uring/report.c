/* SPDX-License-Identifier: MIT
 *
 * report.c - what was registered, what was counted, and what registering would need.
 */
#include "uring/state.h"

#include "base/bits.h"
#include "base/sized.h"

SIZED_FORM(range_form, jdb_uring_range, 52, 80);
SIZED_FORM(region_form, jdb_uring_region, 48, 80);
SIZED_FORM(stats_form, jdb_uring_stats, 64, 112);
SIZED_FORM(need_form, jdb_uring_need, 60, 96);

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
    JDB_ASSERT(sum->registered_bytes <= range->size);                                      /* U1 */
    JDB_ASSERT((sum->first_error == 0) == (sum->registered_count == range->region_count)); /* U2 */
}

int jdb_uring_get_range(const jdb_uring *uring, const void *ptr, jdb_uring_range *ret_range)
{
    if (uring == NULL || ptr == NULL || ret_range == NULL)
        return -EINVAL;
    const struct uring_range *const range = *jdb__uring_range_find(uring, ptr);
    if (range == NULL)
        return -EINVAL;
    jdb_uring_range sum = {.region_count = range->region_count,
                           .range_bytes = range->size,
                           .region_size = (uint64_t)1 << range->shift,
                           .overlap_size = range->overlap_size,
                           .is_tagged = range->release_tag != 0 && range->tag_slot >= 0};
    sum_regions(range, &sum);
    return jdb__sized_write(&range_form, &sum, ret_range);
}

int jdb_uring_get_region(const jdb_uring *uring, const void *ptr, uint32_t index, jdb_uring_region *ret_region)
{
    if (uring == NULL || ptr == NULL || ret_region == NULL)
        return -EINVAL;
    const struct uring_range *const range = *jdb__uring_range_find(uring, ptr);
    if (range == NULL)
        return -EINVAL;
    if (index >= range->region_count)
        return -ERANGE;
    const int32_t slot = range->slots[index];
    const jdb_uring_region region = {.slot = slot < 0 ? -1 : slot,
                                     .ptr = uring_region_ptr(range, index),
                                     .region_bytes = uring_region_size(range, range->size, index),
                                     .why = jdb_uring_explain(slot < 0 ? slot : 0)};
    return jdb__sized_write(&region_form, &region, ret_region);
}

int jdb_uring_get_stats(const jdb_uring *uring, jdb_uring_stats *ret_stats)
{
    if (uring == NULL || ret_stats == NULL)
        return -EINVAL;
    const jdb_uring_stats sum = {.table_error = uring->table_error,
                                 .slot_count = uring->slot_count,
                                 .slots_used = uring->slot_count - uring->free_count,
                                 .is_cloned = uring->is_cloned,
                                 .has_vectored = uring->has_vectored,
                                 .fixed_count = uring_hot(uring)->fixed_count,
                                 .plain_count = uring->plain_count,
                                 .fixed_bytes = uring_hot(uring)->fixed_bytes,
                                 .plain_bytes = uring->plain_bytes,
                                 .resume_count = uring->resume_count};
    return jdb__sized_write(&stats_form, &sum, ret_stats);
}

/* ---- Need ------------------------------------------------------------------------------------------------- */

#define HUGE_PAGE_SIZE ((uint64_t)2 << 20)

/* Bytes of the pages under [ptr, ptr + size). */
static uint64_t charge(const void *ptr, size_t size, uint64_t page_size)
{
    const uint64_t start = bits_round_down((uintptr_t)ptr, page_size);
    return bits_round_up((uintptr_t)ptr + size, page_size) - start;
}

/* What the object's regions cost on small pages. */
static uint64_t charged(const jdb_uring *uring)
{
    const uint64_t page_size = jdb__ring_page_size();
    uint64_t bytes = 0;
    for (const struct uring_range *range = uring->ranges; range != NULL; range = range->next) {
        bytes += range->tag_slot >= 0 ? page_size : 0;
        for (uint32_t i = 0; !range->is_shared && i < range->region_count; i++)
            if (range->slots[i] >= 0)
                bytes += charge(uring_region_ptr(range, i), uring_region_size(range, range->size, i), page_size);
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
        need->need_bytes += charge(uring_region_ptr(range, i), uring_region_size(range, size, i), page_size);
    need->need_huge_bytes = charge(range->ptr, size, HUGE_PAGE_SIZE);
    if (range->release_tag != 0) {
        need->need_bytes += page_size;
        need->need_huge_bytes += page_size;
    }
}

int jdb_uring_get_need(const jdb_uring *uring, const void *ptr, size_t size, const jdb_uring_range_options *options,
                       jdb_uring_need *ret_need)
{
    if (uring == NULL || ptr == NULL || size == 0 || size > PTRDIFF_MAX || (uintptr_t)ptr % JDB_PAGE_SIZE != 0 ||
        ret_need == NULL)
        return -EINVAL;
    jdb_uring_range_options wanted;
    struct uring_range *range = NULL;
    int err = jdb__sized_check(&need_form, ret_need);
    if (err == 0)
        err = jdb__uring_read_range_options(options, &wanted);
    if (err == 0)
        err = jdb__uring_range_new(uring, ptr, size, 0, &wanted, &range);
    if (err != 0)
        return err;
    jdb_uring_need need = {.limit_bytes = UINT64_MAX, .hard_limit_bytes = UINT64_MAX, .own_bytes = charged(uring)};
    bool may_lock = false;
    (void)jdb__ring_lock_limit(&need.limit_bytes, &need.hard_limit_bytes);
    (void)jdb__ring_may_lock(&may_lock);
    need.is_exempt = may_lock ? 1 : 0;
    sum_need(range, size, &need);
    jdb__ring_free(range);
    need.verdict = judge(&need, need.need_bytes);
    need.huge_verdict = judge(&need, need.need_huge_bytes);
    return jdb__sized_write(&need_form, &need, ret_need);
}
