/* SPDX-License-Identifier: MIT
 *
 * vector.c - reads and writes of several views that follow each other in the file.
 *
 * The front of what is left goes in one request as far as its memory is aligned and it is whole blocks (jdb_plan_vector()). Where
 * that is nothing, a part up to the next block that can be moved in place passes through a buffer.
 */
#include "base/check.h"
#include "file/transfer.h"
#include "os/os.h"

#include "jdb_alloc/pin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is left: views[0] from `skip` on, and all behind it. */
struct vector_rest {
    const jdb_raw *views;
    uint32_t count;
    size_t skip;
    bool is_write;
    uint64_t size; /* bytes */
    int64_t offset;
};

static void vector_pass(struct vector_rest *rest, uint64_t size)
{
    JDB_ASSERT(size <= rest->size);
    rest->size -= size;
    rest->offset += (int64_t)size;
    size += rest->skip;
    while (rest->count != 0 && size >= transfer_view_size(rest->views, rest->is_write)) {
        size -= transfer_view_size(rest->views, rest->is_write);
        rest->views++;
        rest->count--;
    }
    rest->skip = (size_t)size;
    JDB_ASSERT(rest->count != 0 || (rest->skip == 0 && rest->size == 0));
}

/* ---- In place ----------------------------------------------------------------------------------------------- */

/* The views of one request, the first without what was passed. */
struct vector_front {
    jdb_raw views[OS_PIECES_MAX];
    struct transfer_memory memory;
    uint64_t size; /* bytes that the request moves; 0: not one block can be moved in place */
};

static void vector_plan_front(const struct transfer *transfer, const struct vector_rest *rest, bool is_direct,
                              struct vector_front *front)
{
    const uint32_t count = (uint32_t)bits_min(rest->count, OS_PIECES_MAX);
    const uint32_t align = is_direct ? transfer->align : 1;
    jdb_vector_plan plan = {.total_size = 0};
    for (uint32_t i = 0; i < count; i++) {
        const size_t skip = i == 0 ? rest->skip : 0;
        const size_t size = transfer_view_size(&rest->views[i], rest->is_write) - skip;
        front->views[i] = (jdb_raw){rest->views[i].ptr + skip, rest->is_write ? size : 0, size};
    }
    if (((uint64_t)rest->offset & (align - 1)) == 0)
        (void)jdb_plan_vector(align, is_direct ? transfer->memory_align : 1, front->views, count, rest->is_write,
                              &plan);
    front->memory = (struct transfer_memory){front->views, (uint32_t)plan.count};
    front->size = plan.total_size;
}

/* ---- Through a buffer --------------------------------------------------------------------------------------- */

/* Bytes up to the next block that begins in place, with a block of aligned memory or more, or as many as the buffer has room for. */
static uint64_t vector_detour(const struct transfer *transfer, const struct vector_rest *rest, uint64_t room)
{
    const uint64_t most = bits_round_down((uint64_t)rest->offset + room, transfer->align) - (uint64_t)rest->offset;
    uint64_t size = transfer_view_size(rest->views, rest->is_write) - rest->skip;
    for (uint32_t i = 1; i < rest->count && size < most; i++) {
        const uint64_t view_size = transfer_view_size(&rest->views[i], rest->is_write);
        if (view_size >= transfer->align && transfer_is_memory_aligned(transfer, rest->views[i].ptr) &&
            (((uint64_t)rest->offset + size) & (transfer->align - 1)) == 0)
            break;
        size += view_size;
    }
    return bits_min(bits_min(size, most), rest->size);
}

/* Copy between the first `size` bytes of what is left and a buffer. */
static void vector_copy(const struct vector_rest *rest, uint8_t *buffer, uint64_t size)
{
    size_t skip = rest->skip;
    for (uint32_t i = 0; size != 0; i++) {
        JDB_ASSERT(i < rest->count);
        const size_t part = (size_t)bits_min(transfer_view_size(&rest->views[i], rest->is_write) - skip, size);
        if (part != 0 && rest->is_write)
            memcpy(buffer, rest->views[i].ptr + skip, part);
        else if (part != 0)
            memcpy(rest->views[i].ptr + skip, buffer, part);
        buffer += part;
        size -= part;
        skip = 0;
    }
}

/* ---- Read --------------------------------------------------------------------------------------------------- */

static int vector_read_front(struct transfer *transfer, const struct vector_rest *rest,
                             const struct vector_front *front)
{
    jdb_read_plan plan;
    jdb_read_step step;
    int err = jdb_plan_read(transfer->align, rest->offset, front->size, &plan);
    if (err != 0)
        return err;
    err = jdb__transfer_read_plan_into(transfer, &plan, &front->memory, &step);
    jdb__transfer_count_read(transfer, &plan, &step);
    return err;
}

static int vector_read_detour(struct transfer *transfer, const struct vector_rest *rest)
{
    int err = jdb__transfer_need_bounce(transfer);
    if (err != 0)
        return err;
    jdb_read_plan plan;
    jdb_read_step step;
    const uint64_t size = vector_detour(transfer, rest, transfer->bounce.cap - transfer->align);
    err = jdb_plan_read(transfer->align, rest->offset, size, &plan);
    if (err != 0)
        return err;
    err = jdb__transfer_read_plan(transfer, &plan, transfer->bounce.ptr, &step);
    vector_copy(rest, transfer->bounce.ptr + plan.prefix, step.valid_size);
    jdb__transfer_count_read(transfer, &plan, &step);
    transfer->report.copied_size += step.valid_size;
    return err;
}

static int vector_read_some(struct transfer *transfer, const struct vector_rest *rest)
{
    const bool is_direct = transfer->file->is_read_direct;
    struct vector_front front;
    vector_plan_front(transfer, rest, is_direct, &front);
    if (!is_direct)
        return jdb__transfer_read_plain_into(transfer, &front.memory, front.size, rest->offset);
    return front.size != 0 ? vector_read_front(transfer, rest, &front) : vector_read_detour(transfer, rest);
}

/* ---- Write -------------------------------------------------------------------------------------------------- */

static int vector_write_front(struct transfer *transfer, const struct vector_rest *rest,
                              const struct vector_front *front)
{
    const jdb_write_piece piece = {.offset = rest->offset, .size = front->size, .length = front->size};
    uint64_t done = 0;
    struct jdb__file_span span = jdb__transfer_span(transfer, front->size, rest->offset);
    jdb__file_span_take(&span);
    const int err = jdb__transfer_write_piece_from(transfer, &piece, &front->memory, &done);
    jdb__file_span_give(&span);
    transfer->report.done_size += done;
    transfer->report.direct_size += done;
    return err;
}

static int vector_write_plain(struct transfer *transfer, const struct vector_rest *rest,
                              const struct vector_front *front)
{
    struct jdb__file_span span = jdb__transfer_span(transfer, front->size, rest->offset);
    jdb__file_span_take(&span);
    const int err = jdb__transfer_write_plain_from(transfer, &front->memory, front->size, rest->offset);
    jdb__file_span_give(&span);
    return err;
}

/* The buffer has the bytes at the place that they have in their block, so that whole blocks go from there directly. */
static int vector_write_detour(struct transfer *transfer, const struct vector_rest *rest)
{
    const uint64_t align = bits_max(bits_max(transfer->align, transfer->memory_align), JDB_ALIGNMENT);
    const uint64_t prefix = (uint64_t)rest->offset & (transfer->align - 1);
    const uint64_t room = bits_max(transfer->file->options.copy_size, align * 2);
    const uint64_t size = vector_detour(transfer, rest, room - prefix);
    jdb_buf gathered = JDB_BUF_INIT;
    int err = jdb_buf_with_cap_aligned(&gathered, (size_t)(prefix + size), (size_t)align);
    if (err != 0)
        return err;
    const uint64_t direct_before = transfer->report.direct_size;
    const uint64_t copied_before = transfer->report.copied_size;
    vector_copy(rest, gathered.ptr + prefix, size);
    err = jdb__transfer_write_view(transfer, jdb_raw_from_slice(gathered.ptr + prefix, (size_t)size), rest->offset);
    transfer->report.copied_size = copied_before + (transfer->report.direct_size - direct_before);
    jdb_buf_drop(&gathered);
    return err;
}

static int vector_write_some(struct transfer *transfer, const struct vector_rest *rest)
{
    const bool is_direct = transfer->file->is_write_direct;
    struct vector_front front;
    vector_plan_front(transfer, rest, is_direct, &front);
    if (!is_direct)
        return vector_write_plain(transfer, rest, &front);
    return front.size != 0 ? vector_write_front(transfer, rest, &front) : vector_write_detour(transfer, rest);
}

/* A flag serves where all is one request; else a sync follows (I8). */
static void vector_plan_durability(struct transfer *transfer, const struct vector_rest *rest)
{
    const jdb_file *const file = transfer->file;
    const uint32_t durability = file->options.durability;
    struct vector_front front = {.size = 0};
    if (file->is_write_direct && file->direct_write_mode == JDB_FILE_MODE_DIRECT)
        vector_plan_front(transfer, rest, true, &front);
    if (durability == JDB_FILE_DURABLE_DATA && front.size == rest->size)
        transfer->write_flags = OS_IO_DATA_SYNC;
    else
        transfer->needs_sync = durability != JDB_FILE_DURABLE_NONE;
}

/* ---- A call ------------------------------------------------------------------------------------------------- */

/* Why nothing of what is left can go in place. */
static int vector_refuse(struct transfer *transfer, const struct vector_rest *rest)
{
    const jdb_raw view = {rest->views[0].ptr + rest->skip, (size_t)rest->size, (size_t)rest->size};
    const int err = jdb__transfer_check_alignment(transfer, view, rest->offset, rest->is_write);
    if (err == 0)
        snprintf(transfer->report.text, sizeof transfer->report.text,
                 "a view that is not the last has a size that is no multiple of %" PRIu32,
                 (uint32_t)bits_max(transfer->align, transfer->memory_align));
    return -EINVAL;
}

/* Under NO_COPY all of it has to go in place. */
static int vector_check_alignment(struct transfer *transfer, struct vector_rest rest, bool is_direct)
{
    if (!is_direct || (transfer->file->options.flags & JDB_FILE_NO_COPY) == 0)
        return 0;
    while (rest.size != 0) {
        struct vector_front front;
        vector_plan_front(transfer, &rest, true, &front);
        if (front.size == 0)
            return vector_refuse(transfer, &rest);
        vector_pass(&rest, front.size);
    }
    return 0;
}

static int vector_move(struct transfer *transfer, struct vector_rest *rest)
{
    const jdb_file *const file = transfer->file;
    const bool is_direct = rest->is_write ? file->is_write_direct : file->is_read_direct;
    int err = vector_check_alignment(transfer, *rest, is_direct);
    while (err == 0 && rest->size != 0 && transfer->report.is_eof == 0) {
        const uint64_t before = transfer->report.done_size;
        err = rest->is_write ? vector_write_some(transfer, rest) : vector_read_some(transfer, rest);
        vector_pass(rest, transfer->report.done_size - before);
        if (is_direct && err == -EINVAL && jdb__transfer_learn_aligns(transfer, rest->is_write))
            err = vector_check_alignment(transfer, *rest, is_direct);
    }
    return err;
}

static void vector_unpin(const struct vector_rest *rest, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        (void)jdb_unpin(rest->views[i].ptr, transfer_view_size(&rest->views[i], rest->is_write));
}

/* Pin every view, or none. Memory that is not this library's is passed over, and by vector_unpin() too. */
static int vector_pin(struct transfer *transfer, const struct vector_rest *rest)
{
    for (uint32_t i = 0; i < rest->count; i++) {
        bool is_pinned = false;
        const size_t size = transfer_view_size(&rest->views[i], rest->is_write);
        const int err = jdb__transfer_pin(transfer, rest->views[i], size, &is_pinned);
        if (err != 0) {
            vector_unpin(rest, i);
            return err;
        }
    }
    return 0;
}

/* The bytes of all views: -EINVAL, -EOVERFLOW. */
static int vector_begin(struct vector_rest *rest, const jdb_raw *views, uint32_t view_count, int64_t offset,
                        bool is_write)
{
    *rest = (struct vector_rest){.views = views, .count = view_count, .is_write = is_write, .offset = offset};
    return jdb__transfer_views_size(views, view_count, is_write, &rest->size);
}

static void vector_share_out(jdb_raw *views, uint32_t view_count, uint64_t size)
{
    for (uint32_t i = 0; i < view_count; i++) {
        views[i].len = (size_t)bits_min(size, views[i].cap);
        size -= views[i].len;
    }
}

int jdb_file_readv(jdb_file *file, jdb_raw *views, uint32_t view_count, int64_t offset, jdb_file_report *ret_report)
{
    struct vector_rest rest;
    if (file == NULL || views == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    int err = vector_begin(&rest, views, view_count, offset, false);
    if (err != 0)
        return err;
    struct transfer transfer;
    jdb__transfer_begin(&transfer, file, false);
    err = jdb__transfer_check_range(&transfer, JDB_FILE_READ, views[0], rest.size, offset);
    if (err == 0)
        err = vector_pin(&transfer, &rest);
    if (err != 0)
        return jdb__transfer_end(&transfer, err, ret_report);
    const struct vector_rest whole = rest;
    vector_share_out(views, view_count, 0); /* old bytes do not count as data */
    err = vector_move(&transfer, &rest);
    vector_share_out(views, view_count, transfer.report.done_size);
    vector_unpin(&whole, whole.count);
    return jdb__transfer_end(&transfer, err, ret_report);
}

int jdb_file_writev(jdb_file *file, const jdb_raw *views, uint32_t view_count, int64_t offset,
                    jdb_file_report *ret_report)
{
    struct vector_rest rest;
    if (file == NULL || views == NULL || jdb__file_check_report(ret_report) != 0)
        return -EINVAL;
    int err = vector_begin(&rest, views, view_count, offset, true);
    if (err != 0)
        return err;
    const uint64_t size = rest.size;
    struct transfer transfer;
    jdb__transfer_begin(&transfer, file, true);
    err = jdb__transfer_check_range(&transfer, JDB_FILE_WRITE, views[0], size, offset);
    if (err == 0)
        err = jdb__transfer_check_earlier(&transfer);
    if (err == 0)
        err = vector_pin(&transfer, &rest);
    if (err != 0)
        return jdb__transfer_end(&transfer, err, ret_report);
    const struct vector_rest whole = rest;
    vector_plan_durability(&transfer, &rest);
    err = vector_move(&transfer, &rest);
    if (err == 0)
        err = jdb__transfer_end_block(&transfer, offset + (int64_t)size);
    if (err == 0)
        err = jdb__transfer_finish_write(&transfer);
    vector_unpin(&whole, whole.count);
    return jdb__transfer_end(&transfer, err, ret_report);
}
