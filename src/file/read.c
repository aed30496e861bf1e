/* SPDX-License-Identifier: MIT
 *
 * read.c - reads of any range into any memory.
 */
#include "base/check.h"
#include "file/transfer.h"

#include "jdb_alloc/pin.h"

#include <string.h>

/* Whole blocks, into aligned memory. */
static int read_straight(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    JDB_ASSERT(transfer_is_memory_aligned(transfer, ptr)); /* I5 */
    for (uint64_t done = 0; done < size && transfer->report.is_eof == 0;) {
        jdb_read_plan plan;
        jdb_read_step step;
        int err = jdb_plan_read(transfer->align, offset + (int64_t)done, size - done, &plan);
        if (err == 0) {
            err = jdb__transfer_read_plan(transfer, &plan, ptr + done, &step);
            jdb__transfer_count_read(transfer, &plan, &step);
        }
        if (err != 0)
            return err;
        done += step.valid_size;
    }
    return 0;
}

/* Any range into any memory, through the bounce buffer. */
static int read_bounced(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    int err = size != 0 ? jdb__transfer_need_bounce(transfer) : 0;
    for (uint64_t done = 0; err == 0 && done < size && transfer->report.is_eof == 0;) {
        jdb_read_plan plan;
        jdb_read_step step;
        const uint64_t room = transfer->bounce.cap - transfer->align; /* less a block, in which the prefix may lie */
        err = jdb_plan_read(transfer->align, offset + (int64_t)done, bits_min(size - done, room), &plan);
        if (err != 0)
            return err;
        JDB_ASSERT(plan.size <= transfer->bounce.cap);
        err = jdb__transfer_read_plan(transfer, &plan, transfer->bounce.ptr, &step);
        memcpy(ptr + done, transfer->bounce.ptr + plan.prefix, step.valid_size);
        jdb__transfer_count_read(transfer, &plan, &step);
        transfer->report.copied_size += step.valid_size;
        done += step.valid_size;
    }
    return err;
}

/* Bytes up to the next block, at most size. */
static uint64_t read_head_size(const struct transfer *transfer, uint64_t size, int64_t offset)
{
    const uint64_t at = (uint64_t)offset;
    return bits_min(bits_round_up(at, transfer->align) - at, size);
}

static int read_direct(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    const uint64_t head = read_head_size(transfer, size, offset);
    const uint64_t body = bits_round_down(size - head, transfer->align);
    if (body == 0 || !transfer_is_memory_aligned(transfer, ptr + head))
        return read_bounced(transfer, ptr, size, offset);
    int err = read_bounced(transfer, ptr, head, offset);
    if (err == 0 && transfer->report.is_eof == 0)
        err = read_straight(transfer, ptr + head, body, offset + (int64_t)head);
    const uint64_t before = head + body;
    if (err == 0 && transfer->report.is_eof == 0)
        err = read_bounced(transfer, ptr + before, size - before, offset + (int64_t)before);
    return err;
}

static int read_view(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    if (!transfer->file->is_read_direct)
        return jdb__transfer_read_plain(transfer, view.ptr, view.cap, offset);
    int err = jdb__transfer_check_alignment(transfer, view, offset, false);
    if (err != 0)
        return err;
    do {
        const uint64_t done = transfer->report.done_size;
        err = read_direct(transfer, view.ptr + done, view.cap - done, offset + (int64_t)done);
    } while (err == -EINVAL && jdb__transfer_learn_aligns(transfer, false));
    return err;
}

int jdb_file_read_full(jdb_file *file, jdb_raw *view, int64_t offset, jdb_file_report *ret_report)
{
    if (file == NULL || view == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    struct transfer transfer;
    jdb__transfer_begin(&transfer, file, false);
    int err = jdb__transfer_check_range(&transfer, JDB_FILE_READ, *view, view->cap, offset);
    if (err != 0)
        return jdb__transfer_end(&transfer, err, ret_report);
    bool is_pinned = false;
    err = jdb__transfer_pin(&transfer, *view, view->cap, &is_pinned);
    if (err == 0) {
        view->len = 0; /* old bytes do not count as data */
        err = view->cap != 0 ? read_view(&transfer, *view, offset) : 0;
        view->len = (size_t)transfer.report.done_size;
        JDB_ASSERT(view->len <= view->cap);
    }
    if (is_pinned)
        (void)jdb_unpin(view->ptr, view->cap);
    return jdb__transfer_end(&transfer, err, ret_report);
}
