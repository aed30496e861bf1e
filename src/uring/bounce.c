/* SPDX-License-Identifier: MIT
 *
 * bounce.c - a read of any range into any memory, by way of memory that the file takes.
 *
 * Each SQE reads the aligned blocks around what is left of the range, as many as the bounce memory holds, to its front. Their
 * wanted bytes are copied to the view, and what is left is planned anew: so a short result goes on at the last aligned
 * offset at or below its end. next_size is how many of the first bytes of the next SQE are not wanted; a result that has
 * no more, and is not the first, has made no progress and met the end of the file.
 */
#include "uring/op.h"

#include <string.h>

static jdb_read_plan bounce_plan(const jdb_uring_op *op)
{
    jdb_read_plan plan = {.size = 0};
    const size_t left = op->asked_size - op->moved_size;
    const int err = jdb_plan_read((uint32_t)op_align(op), op->offset + (int64_t)op->moved_size, left, &plan);
    JDB_ASSERT(err == 0 && left > 0); /* planned before, from an earlier offset */
    (void)err;
    plan.size = bits_min(plan.size, op->bounce_size);
    plan.wanted_size = bits_min(plan.wanted_size, plan.size - plan.prefix);
    return plan;
}

struct uring_request jdb__uring_bounce_request(const jdb_uring_op *op)
{
    const jdb_read_plan plan = bounce_plan(op);
    return (struct uring_request){op->bounce, (size_t)plan.size, plan.offset};
}

int jdb__uring_advance_bounced(jdb_uring_op *op, size_t got)
{
    const jdb_read_plan plan = bounce_plan(op);
    const int64_t file_size = op->file_size > 0 ? op->file_size : -1;
    jdb_read_step step = {.next_size = op->flight_size, .filled_size = op->next_size};
    if (jdb_plan_read_step(&plan, (int64_t)got, file_size, &step) != 0)
        return -EIO;
    memcheck_defined(op->bounce, got);
    memcpy(op->view.ptr + op->moved_size, op->bounce + plan.prefix, (size_t)step.valid_size);
    op->moved_size += (size_t)step.valid_size;
    JDB_ASSERT(op->moved_size <= op->asked_size);
    const uint64_t at = (uint64_t)op->offset + op->moved_size;
    op->next_size = (size_t)at & (op_align(op) - 1);
    const bool has_ended = step.is_done != 0 && (step.valid_size != plan.wanted_size || step.is_eof != 0);
    op->is_eof = has_ended && op->moved_size < op->asked_size;
    return has_ended || op->moved_size == op->asked_size ? 0 : JDB_URING_RESUME;
}
