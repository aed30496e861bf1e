/* SPDX-License-Identifier: MIT
 *
 * plan.c - plans: aligned requests for unaligned ranges, and what a short result means. Pure.
 */
#include "base/bits.h"
#include "base/check.h"
#include "direct/direct_internal.h"

static bool plan_is_align(uint32_t align)
{
    return bits_is_pow2(align) && align <= DIRECT_PLAN_ALIGN_MAX;
}

/* The most bytes of one request: a multiple of align. */
static uint64_t plan_transfer_max(uint64_t align)
{
    const uint64_t most = bits_round_down(JDB_TRANSFER_MAX, align);
    JDB_ASSERT(most != 0); /* D5: align is at most DIRECT_PLAN_ALIGN_MAX */
    return most;
}

/* The end of the last block of [offset, offset + length), or -EOVERFLOW. */
static int plan_block_end(uint32_t align, int64_t offset, uint64_t length, uint64_t *ret_end)
{
    if (length > (uint64_t)INT64_MAX - (uint64_t)offset)
        return -EOVERFLOW;
    const uint64_t end = bits_round_up((uint64_t)offset + length, align);
    if (end > (uint64_t)INT64_MAX)
        return -EOVERFLOW;
    *ret_end = end;
    return 0;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

/* The aligned envelope of a range, which may be larger than one request. */
static int plan_envelope(uint32_t align, int64_t offset, uint64_t length, jdb_read_plan *ret_plan)
{
    uint64_t end = 0;
    const int err = plan_block_end(align, offset, length, &end);
    if (err != 0)
        return err;
    const uint64_t start = bits_round_down((uint64_t)offset, align);
    *ret_plan = (jdb_read_plan){
        .offset = (int64_t)start,
        .size = length != 0 ? end - start : 0,
        .prefix = (uint64_t)offset - start,
        .wanted_size = length,
        .align = align,
    };
    JDB_ASSERT(ret_plan->prefix < align);
    JDB_ASSERT(length == 0 || ret_plan->prefix + length <= ret_plan->size);
    return 0;
}

int jdb_plan_read(uint32_t align, int64_t offset, uint64_t length, jdb_read_plan *ret_plan)
{
    if (!plan_is_align(align) || offset < 0 || ret_plan == NULL)
        return -EINVAL;
    jdb_read_plan plan;
    const int err = plan_envelope(align, offset, length, &plan);
    if (err != 0)
        return err;
    plan.size = bits_min(plan.size, plan_transfer_max(align));
    if (length != 0)
        plan.wanted_size = bits_min(length, plan.size - plan.prefix);
    JDB_ASSERT(((uint64_t)plan.offset | plan.size) % align == 0); /* D5 */
    JDB_ASSERT((plan.wanted_size != 0) == (length != 0));         /* D6: planning the rest ends */
    *ret_plan = plan;
    return 0;
}

int jdb_plan_read_start(const jdb_read_plan *plan, jdb_read_step *ret_step)
{
    if (plan == NULL || ret_step == NULL)
        return -EINVAL;
    *ret_step = (jdb_read_step){
        .next_offset = plan->offset,
        .next_size = plan->size,
        .is_done = plan->size == 0,
    };
    return 0;
}

/* Wanted bytes among the first `filled` bytes of the plan's memory; the prefix is not wanted. */
static uint64_t plan_valid_size(const jdb_read_plan *plan, uint64_t filled)
{
    return filled <= plan->prefix ? 0 : bits_min(filled - plan->prefix, plan->wanted_size);
}

static void plan_finish(jdb_read_step *step)
{
    step->next_size = 0;
    step->is_done = 1;
}

int jdb_plan_read_step(const jdb_read_plan *plan, int64_t result, int64_t file_size, jdb_read_step *step)
{
    if (plan == NULL || step == NULL || step->is_done != 0 || result < 0 || (uint64_t)result > step->next_size)
        return -EINVAL;
    const uint64_t before = step->filled_size;
    const uint64_t reached = step->next_skip + (uint64_t)result;
    if (reached > before)
        step->filled_size = reached;
    step->valid_size = plan_valid_size(plan, step->filled_size);
    const bool is_size_reached = file_size >= 0 && (uint64_t)plan->offset + step->filled_size >= (uint64_t)file_size;
    if (step->valid_size == plan->wanted_size) {
        step->is_eof =
            is_size_reached && (uint64_t)plan->offset + plan->prefix + plan->wanted_size >= (uint64_t)file_size;
        plan_finish(step);
    } else if (is_size_reached || reached <= before) {
        step->is_eof = is_size_reached || file_size < 0 || result == 0;
        step->is_stalled = step->is_eof == 0;
        plan_finish(step);
    } else {
        step->next_skip = bits_round_down(step->filled_size, plan->align);
        step->next_offset = plan->offset + (int64_t)step->next_skip;
        step->next_size = plan->size - step->next_skip;
    }
    return 0;
}

/* ---- Reading many ------------------------------------------------------------------------------------------- */

/* A group under construction, and the bytes it wants, each counted once. */
struct plan_group {
    jdb_read_group group;
    uint64_t wanted_once;
};

static uint64_t plan_wanted_end(const jdb_read_plan *plan)
{
    return (uint64_t)plan->offset + plan->prefix + plan->wanted_size;
}

/* Bytes of the range behind what the group wants already. */
static uint64_t plan_new_bytes(const struct plan_group *grown, jdb_range range)
{
    const uint64_t end = (uint64_t)range.offset + range.size;
    const uint64_t known = plan_wanted_end(&grown->group.plan);
    if (end <= known)
        return 0;
    return (uint64_t)range.offset >= known ? range.size : end - known;
}

/* Whether read_bytes are at most percent / 100 of wanted_bytes. Sizes are below 2^31, so nothing wraps. */
static bool plan_is_within(uint64_t read_bytes, uint64_t wanted_bytes, uint32_t percent)
{
    JDB_ASSERT(read_bytes <= JDB_TRANSFER_MAX && wanted_bytes <= read_bytes);
    return read_bytes * 100 <= wanted_bytes * percent;
}

/* Returns whether the range became part of the group. alone: the envelope of the range. */
static bool plan_merge(struct plan_group *grown, jdb_range range, const jdb_read_plan *alone, uint32_t percent,
                       uint64_t max_size)
{
    const jdb_read_plan *const plan = &grown->group.plan;
    const uint64_t start = (uint64_t)plan->offset + plan->prefix;
    const uint64_t range_end = (uint64_t)range.offset + range.size;
    const uint64_t end = bits_max(range_end, plan_wanted_end(plan));
    jdb_read_plan merged;
    if (plan_envelope((uint32_t)plan->align, (int64_t)start, end - start, &merged) != 0 || merged.size > max_size)
        return false;
    const uint64_t wanted_once = grown->wanted_once + plan_new_bytes(grown, range);
    if (merged.size > plan->size + alone->size && !plan_is_within(merged.size, wanted_once, percent))
        return false;
    JDB_ASSERT(merged.size >= plan->size && merged.offset == plan->offset);
    grown->group.plan = merged;
    grown->group.count++;
    grown->wanted_once = wanted_once;
    return true;
}

int jdb_plan_reads(uint32_t align, const jdb_range *ranges, size_t range_count, uint32_t max_percent, uint64_t max_size,
                   jdb_read_group *ret_groups, size_t *ret_group_count)
{
    if (!plan_is_align(align) || ranges == NULL || ret_groups == NULL || ret_group_count == NULL)
        return -EINVAL;
    const uint64_t transfer = plan_transfer_max(align);
    const uint64_t most = max_size == 0 ? transfer : bits_min(max_size, transfer);
    size_t group_count = 0;
    struct plan_group grown = {.group = {.count = 0}};
    for (size_t i = 0; i < range_count; i++) {
        if (ranges[i].offset < 0 || ranges[i].size == 0 || (i != 0 && ranges[i].offset < ranges[i - 1].offset))
            return -EINVAL;
        jdb_read_plan alone;
        const int err = plan_envelope(align, ranges[i].offset, ranges[i].size, &alone);
        if (err != 0)
            return err;
        if (alone.size > most)
            return -EOVERFLOW;
        if (grown.group.count != 0 && plan_merge(&grown, ranges[i], &alone, max_percent, most))
            continue;
        if (grown.group.count != 0)
            ret_groups[group_count++] = grown.group;
        grown = (struct plan_group){.group = {.plan = alone, .first = i, .count = 1}, .wanted_once = ranges[i].size};
    }
    if (grown.group.count != 0)
        ret_groups[group_count++] = grown.group;
    JDB_ASSERT(group_count <= range_count);
    *ret_group_count = group_count;
    return 0;
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

/* One block of which the bytes [skip, skip + length) are new. Its old bytes must be read when any of them is kept. */
static jdb_write_piece plan_partial_block(uint32_t align, uint64_t start, uint64_t skip, uint64_t length,
                                          uint64_t source, uint64_t file_size)
{
    const uint64_t has = file_size > start ? bits_min(file_size - start, align) : 0;
    const bool is_kept = (has != 0 && skip != 0) || has > skip + length;
    JDB_ASSERT(length != 0 && skip + length <= align && has <= align);
    return (jdb_write_piece){
        .offset = (int64_t)start,
        .size = align,
        .skip = skip,
        .length = length,
        .source = source,
        .old_size = is_kept ? has : 0,
    };
}

static uint64_t plan_piece_end(const jdb_write_piece *piece)
{
    return piece->size != 0 ? (uint64_t)piece->offset + piece->size : 0;
}

int jdb_plan_write(uint32_t align, int64_t offset, uint64_t length, int64_t file_size, jdb_write_plan *ret_plan)
{
    if (!plan_is_align(align) || offset < 0 || file_size < 0 || ret_plan == NULL)
        return -EINVAL;
    uint64_t last_end = 0;
    const int err = plan_block_end(align, offset, length, &last_end);
    if (err != 0)
        return err;
    const uint64_t start = (uint64_t)offset;
    const uint64_t size = (uint64_t)file_size;
    const uint64_t first = bits_round_down(start, align);
    const uint64_t skip = start - first;
    const uint64_t head_length = length != 0 && (skip != 0 || length < align) ? bits_min(align - skip, length) : 0;
    const uint64_t body_size = bits_round_down(length - head_length, align);
    const uint64_t tail_length = length - head_length - body_size;
    jdb_write_plan plan = {.final_size = file_size, .written_size = file_size};
    if (head_length != 0)
        plan.head = plan_partial_block(align, first, skip, head_length, 0, size);
    if (body_size != 0)
        plan.body = (jdb_write_piece){
            .offset = (int64_t)(start + head_length), .size = body_size, .length = body_size, .source = head_length};
    if (tail_length != 0)
        plan.tail = plan_partial_block(align, start + length - tail_length, 0, tail_length, length - tail_length, size);
    if (length != 0 && start + length > size)
        plan.final_size = (int64_t)(start + length);
    const uint64_t written = plan_piece_end(tail_length != 0 ? &plan.tail : body_size != 0 ? &plan.body : &plan.head);
    if (written > size)
        plan.written_size = (int64_t)written;
    JDB_ASSERT(plan.head.length + plan.body.length + plan.tail.length == length);
    JDB_ASSERT(plan.final_size <= plan.written_size);
    *ret_plan = plan;
    return 0;
}

int jdb_plan_write_start(uint32_t align, const jdb_write_piece *piece, jdb_write_step *ret_step)
{
    if (!plan_is_align(align) || piece == NULL || ret_step == NULL)
        return -EINVAL;
    *ret_step = (jdb_write_step){
        .next_offset = piece->offset,
        .next_size = bits_min(piece->size, plan_transfer_max(align)),
        .is_done = piece->size == 0,
    };
    return 0;
}

int jdb_plan_write_step(uint32_t align, const jdb_write_piece *piece, int64_t result, jdb_write_step *step)
{
    if (!plan_is_align(align) || piece == NULL || step == NULL || step->is_done != 0 || result < 0 ||
        (uint64_t)result > step->next_size)
        return -EINVAL;
    const uint64_t reached = step->next_skip + (uint64_t)result;
    const bool is_stalled = reached <= step->done_size;
    if (!is_stalled)
        step->done_size = reached;
    if (is_stalled || reached == piece->size) {
        step->is_stalled = is_stalled;
        step->is_done = 1;
        step->next_size = 0;
        return 0;
    }
    step->next_skip = bits_round_down(reached, align);
    step->next_offset = piece->offset + (int64_t)step->next_skip;
    step->next_size = bits_min(piece->size - step->next_skip, plan_transfer_max(align));
    return 0;
}

/* ---- Several pieces of memory ------------------------------------------------------------------------------- */

static size_t plan_view_size(const jdb_raw *view, bool is_write)
{
    return is_write ? view->len : view->cap;
}

/* Bytes of the views whose memory is aligned, up to the first that is not, or that has others behind it and ends within size_align
 * bytes. */
static int plan_vector_bytes(uint32_t memory_align, uint32_t size_align, const jdb_raw *views, size_t count,
                             bool is_write, uint64_t *ret_total)
{
    uint64_t total = 0;
    bool is_last = false;
    for (size_t i = 0; i < count && !is_last && total < JDB_TRANSFER_MAX; i++) {
        const size_t size = plan_view_size(&views[i], is_write);
        if (views[i].ptr == NULL && size != 0)
            return -EINVAL;
        if (size != 0 && (uintptr_t)views[i].ptr % memory_align != 0)
            break;
        total += bits_min(size, JDB_TRANSFER_MAX - total);
        is_last = size % size_align != 0;
    }
    *ret_total = total;
    return 0;
}

int jdb_plan_vector(uint32_t align, uint32_t memory_align, const jdb_raw *views, size_t count, bool is_write,
                    jdb_vector_plan *ret_plan)
{
    if (!plan_is_align(align) || !plan_is_align(memory_align) || views == NULL || ret_plan == NULL)
        return -EINVAL;
    const size_t most = (size_t)bits_min(count, JDB_PIECES_MAX);
    const uint32_t size_align = (uint32_t)bits_max(align, memory_align);
    uint64_t total = 0;
    const int err = plan_vector_bytes(memory_align, size_align, views, most, is_write, &total);
    if (err != 0)
        return err;
    jdb_vector_plan plan = {.total_size = bits_round_down(total, size_align)};
    for (uint64_t left = plan.total_size; left != 0; plan.count++) {
        plan.last_size = (size_t)bits_min(plan_view_size(&views[plan.count], is_write), left);
        left -= plan.last_size;
    }
    JDB_ASSERT(plan.count <= most && plan.total_size <= JDB_TRANSFER_MAX); /* D5 */
    *ret_plan = plan;
    return 0;
}
