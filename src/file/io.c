/* SPDX-License-Identifier: MIT
 *
 * file_io.c - bytes between memory and an open file: any range, any memory. Floor 4.
 *
 * A direct read falls into three parts, and so does a direct write. The blocks at its ends that are not whole go through
 * aligned memory; so does the rest when the address is not aligned. The planners (plan.c) say what to ask next.
 */
#include "file/file_internal.h"
#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"

#include "jdb_alloc/pin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ZEROS_SIZE ((size_t)1 << 20)

/* One call of the user, while it runs. */
struct transfer {
    jdb_file *file;
    jdb_file_report report;
    uint32_t memory_align; /* as they were when the call began, or learned since */
    uint32_t align;
    uint32_t write_flags; /* OS_IO_DATA_SYNC while each write is its own sync */
    bool needs_sync;      /* a sync stands out at the end */
    uint64_t errors;      /* of the file, when the call began */
    bool is_edge_plain;   /* of a write: blocks of which a part is new go to plain_fd, as just the new bytes */
    jdb_buf copy;         /* aligned memory for what is not aligned; empty until it is needed */
};

static uint64_t smallest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t largest(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* ---- Words of failure --------------------------------------------------------------------------------------- */

static int failed(struct transfer *transfer, const char *call, int err, uint64_t size, int64_t offset)
{
    char words[64];
    transfer->report.call = call;
    snprintf(transfer->report.text, sizeof transfer->report.text,
             "%s of %" PRIu64 " bytes at offset %" PRId64 " failed: %s", call, size, offset,
             jdb__os_error_text(err, words, sizeof words));
    return err;
}

static int stalled(struct transfer *transfer, const char *verb, int64_t offset)
{
    snprintf(transfer->report.text, sizeof transfer->report.text,
             "the file has more room or bytes at offset %" PRId64 " and moves none (%s)", offset, verb);
    return -EIO;
}

/* Whether a write that ended so was refused as a whole, and cost no byte that was accepted before. */
static bool is_refusal(int err)
{
    return err == -EINVAL || err == -EOPNOTSUPP || err == -EINTR || err == -EAGAIN || err == -EFAULT || err == -EBADF ||
           err == -EFBIG;
}

/* A failed write stays with the file: others must not take what they wrote beside it for durable. */
static int write_failed(struct transfer *transfer, const char *call, int err, uint64_t size, int64_t offset)
{
    if (!is_refusal(err) && (transfer->write_flags & OS_IO_DATA_SYNC) != 0)
        jdb__file_record_direct_sync(transfer->file, call, err);
    else if (!is_refusal(err))
        jdb__file_record(transfer->file, call, err);
    return failed(transfer, call, err, size, offset);
}

static int write_stalled(struct transfer *transfer, const char *call, int64_t offset)
{
    jdb__file_record(transfer->file, call, -EIO);
    return stalled(transfer, call, offset);
}

static int refused(struct transfer *transfer, const char *why)
{
    snprintf(transfer->report.text, sizeof transfer->report.text, "%s", why);
    return -EINVAL;
}

/* ---- Requests ----------------------------------------------------------------------------------------------- */

/* Turn off what the file has just refused. Returns whether there is something to try again without. */
static bool drop_refused_flag(struct transfer *transfer, uint32_t flags)
{
    if ((flags & OS_IO_UNCACHED) != 0) {
        atomic_store_explicit(&transfer->file->is_uncached, false, memory_order_relaxed);
        return true;
    }
    if ((flags & OS_IO_DATA_SYNC) != 0) {
        transfer->write_flags &= ~(uint32_t)OS_IO_DATA_SYNC;
        transfer->needs_sync = true;
        return true;
    }
    return false;
}

static uint32_t plain_flags(const struct transfer *transfer)
{
    return atomic_load_explicit(&transfer->file->is_uncached, memory_order_relaxed) ? (uint32_t)OS_IO_UNCACHED : 0;
}

static int64_t read_once(struct transfer *transfer, bool is_direct, void *ptr, uint64_t size, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    for (;;) {
        const uint32_t flags = is_direct ? 0 : plain_flags(transfer);
        transfer->report.request_count++;
        const int64_t got =
            jdb__os_read_at(is_direct ? file->direct_fd : file->plain_fd, ptr, (size_t)size, offset, flags);
        if (got != -EOPNOTSUPP || !drop_refused_flag(transfer, flags))
            return got >= 0 ? got : failed(transfer, "pread", (int)got, size, offset);
    }
}

static int64_t write_once(struct transfer *transfer, bool is_direct, const void *ptr, uint64_t size, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    for (;;) {
        const uint32_t flags = transfer->write_flags | (is_direct ? 0 : plain_flags(transfer));
        transfer->report.request_count++;
        const int64_t put =
            jdb__os_write_at(is_direct ? file->direct_fd : file->plain_fd, ptr, (size_t)size, offset, flags);
        if (put != -EOPNOTSUPP || !drop_refused_flag(transfer, flags))
            return put >= 0 ? put : write_failed(transfer, "pwrite", (int)put, size, offset);
    }
}

/* ---- Aligned memory ----------------------------------------------------------------------------------------- */

static int need_copy(struct transfer *transfer)
{
    if (transfer->copy.cap != 0)
        return 0;
    const uint64_t least = (uint64_t)transfer->align * 2;
    const uint64_t size = transfer->file->options.copy_size < least ? least : transfer->file->options.copy_size;
    const uint32_t align = largest(transfer->memory_align, (uint32_t)JDB_ALIGNMENT);
    const int err = jdb_buf_with_cap_aligned(&transfer->copy, (size_t)bits_round_up(size, transfer->align), align);
    if (err != 0)
        snprintf(transfer->report.text, sizeof transfer->report.text, "no aligned memory to copy through");
    return err;
}

/* Alignments may have grown since the file was opened. Returns whether they have, so that a request may go on. */
static bool learn_aligns(struct transfer *transfer, bool is_write)
{
    jdb_file *const file = transfer->file;
    jdb_direct now = JDB_DIRECT_INIT;
    if (jdb__file_ask(&file->options, file->direct_fd, &now) != 0)
        return false;
    const uint32_t align = is_write ? largest(now.write_align, now.read_align) : now.read_align;
    if (now.memory_align <= transfer->memory_align && align <= transfer->align)
        return false;
    transfer->memory_align = largest(now.memory_align, transfer->memory_align);
    transfer->align = largest(align, transfer->align);
    jdb__file_learn(file, &now);
    jdb_buf_drop(&transfer->copy);
    transfer->report.call = NULL;
    transfer->report.text[0] = '\0';
    return true;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

static int read_plain(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        const uint64_t next = smallest(size - done, JDB_TRANSFER_MAX);
        const int64_t got = read_once(transfer, false, ptr + done, next, offset + (int64_t)done);
        if (got < 0)
            return (int)got;
        if (got == 0) {
            transfer->report.is_eof = 1;
            return 0;
        }
        done += (uint64_t)got;
        transfer->report.done_size += (uint64_t)got;
        transfer->report.buffered_size += (uint64_t)got;
    }
    return 0;
}

/* Read a plan's bytes to memory, as far as the file has them; *step says how far. */
static int run_read(struct transfer *transfer, const jdb_read_plan *plan, uint8_t *memory, jdb_read_step *step)
{
    int64_t file_size = -1; /* asked when a result is short, and not for a device, whose end is aligned */
    (void)jdb_plan_read_start(plan, step);
    while (step->is_done == 0) {
        const int64_t got = read_once(transfer, true, memory + step->next_skip, step->next_size, step->next_offset);
        if (got < 0)
            return (int)got;
        if ((uint64_t)got < step->next_size && transfer->file->limits.is_device == 0) {
            const int err = jdb_file_size(transfer->file, &file_size);
            if (err != 0)
                return failed(transfer, "fstat", err, step->next_size, step->next_offset);
        }
        if (jdb_plan_read_step(plan, got, file_size, step) != 0)
            return stalled(transfer, "pread gave more than asked", step->next_offset);
    }
    return step->is_stalled != 0 ? stalled(transfer, "pread", plan->offset + (int64_t)step->filled_size) : 0;
}

/* Add what a plan brought, and tell whether the file ended in it. */
static void count_read(struct transfer *transfer, const jdb_read_plan *plan, const jdb_read_step *step)
{
    transfer->report.done_size += step->valid_size;
    transfer->report.direct_size += step->valid_size;
    transfer->report.is_eof = step->valid_size < plan->wanted_size && step->is_eof != 0;
}

/* ptr, size and offset are aligned. */
static int read_straight(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    for (uint64_t done = 0; done < size && transfer->report.is_eof == 0;) {
        jdb_read_plan plan;
        jdb_read_step step;
        int err = jdb_plan_read(transfer->align, offset + (int64_t)done, size - done, &plan);
        if (err == 0) {
            err = run_read(transfer, &plan, ptr + done, &step);
            count_read(transfer, &plan, &step);
        }
        if (err != 0)
            return err;
        done += step.valid_size;
    }
    return 0;
}

/* Anything is aligned or not. */
static int read_copied(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    int err = size != 0 ? need_copy(transfer) : 0;
    for (uint64_t done = 0; err == 0 && done < size && transfer->report.is_eof == 0;) {
        jdb_read_plan plan;
        jdb_read_step step;
        const uint64_t room =
            transfer->copy.cap - transfer->align; /* the prefix may take up to one block less a byte */
        err = jdb_plan_read(transfer->align, offset + (int64_t)done, smallest(size - done, room), &plan);
        if (err != 0)
            return err;
        err = run_read(transfer, &plan, transfer->copy.ptr, &step);
        memcpy(ptr + done, transfer->copy.ptr + plan.prefix, step.valid_size);
        count_read(transfer, &plan, &step);
        transfer->report.copied_size += step.valid_size;
        done += step.valid_size;
    }
    return err;
}

static bool is_memory_aligned(const struct transfer *transfer, const uint8_t *ptr)
{
    return ((uintptr_t)ptr & (transfer->memory_align - 1)) == 0;
}

/* Bytes up to the next block, at most size. */
static uint64_t head_of(const struct transfer *transfer, uint64_t size, int64_t offset)
{
    const uint64_t at = (uint64_t)offset;
    return smallest(bits_round_up(at, transfer->align) - at, size);
}

static int read_direct(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    const uint64_t head = head_of(transfer, size, offset);
    const uint64_t body = bits_round_down(size - head, transfer->align);
    if (body == 0 || !is_memory_aligned(transfer, ptr + head))
        return read_copied(transfer, ptr, size, offset);
    int err = read_copied(transfer, ptr, head, offset);
    if (err == 0 && transfer->report.is_eof == 0)
        err = read_straight(transfer, ptr + head, body, offset + (int64_t)head);
    const uint64_t before = head + body;
    if (err == 0 && transfer->report.is_eof == 0)
        err = read_copied(transfer, ptr + before, size - before, offset + (int64_t)before);
    return err;
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

/* Write to the plain descriptor; returns the bytes written in *ret_done, on failure too. */
static int write_plain(struct transfer *transfer, const uint8_t *ptr, uint64_t size, int64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        const uint64_t next = smallest(size - done, JDB_TRANSFER_MAX);
        const int64_t put = write_once(transfer, false, ptr + done, next, offset + (int64_t)done);
        if (put < 0)
            return (int)put;
        if (put == 0)
            return write_stalled(transfer, "pwrite", offset + (int64_t)done);
        done += (uint64_t)put;
        transfer->report.done_size += (uint64_t)put;
        transfer->report.buffered_size += (uint64_t)put;
    }
    return 0;
}

/* Write a piece from aligned memory that holds it whole; *ret_done: bytes of the piece that are written. */
static int run_write(struct transfer *transfer, const jdb_write_piece *piece, const uint8_t *memory, uint64_t *ret_done)
{
    jdb_write_step step;
    int err = jdb_plan_write_start(transfer->align, piece, &step);
    *ret_done = 0;
    while (err == 0 && step.is_done == 0) {
        const int64_t put = write_once(transfer, true, memory + step.next_skip, step.next_size, step.next_offset);
        if (put < 0)
            return (int)put;
        err = jdb_plan_write_step(transfer->align, piece, put, &step);
        *ret_done = step.done_size;
    }
    if (err == 0 && step.is_stalled != 0)
        err = write_stalled(transfer, "pwrite", piece->offset + (int64_t)step.done_size);
    return err;
}

static int write_straight(struct transfer *transfer, const uint8_t *ptr, const jdb_write_piece *body)
{
    uint64_t done = 0;
    const int err = run_write(transfer, body, ptr, &done);
    transfer->report.done_size += done;
    transfer->report.direct_size += done;
    return err;
}

/* Whole blocks from memory that is not aligned. */
static int write_copied(struct transfer *transfer, const uint8_t *ptr, const jdb_write_piece *body)
{
    int err = need_copy(transfer);
    for (uint64_t at = 0; err == 0 && at < body->size;) {
        const uint64_t size = smallest(body->size - at, transfer->copy.cap);
        const jdb_write_piece piece = {.offset = body->offset + (int64_t)at, .size = size, .length = size};
        uint64_t done = 0;
        memcpy(transfer->copy.ptr, ptr + at, size);
        err = run_write(transfer, &piece, transfer->copy.ptr, &done);
        transfer->report.done_size += done;
        transfer->report.direct_size += done;
        transfer->report.copied_size += done;
        at += size;
    }
    return err;
}

/* Fill the copy with the block as the file has it, zeros where it has nothing: never with old memory. */
static int read_block(struct transfer *transfer, const jdb_write_piece *piece)
{
    uint64_t valid = 0;
    if (piece->old_size != 0) {
        jdb_read_plan plan;
        jdb_read_step step;
        int err = jdb_plan_read(transfer->align, piece->offset, piece->old_size, &plan);
        if (err == 0)
            err = run_read(transfer, &plan, transfer->copy.ptr, &step);
        if (err != 0)
            return err;
        valid = step.valid_size;
    }
    memset(transfer->copy.ptr + valid, 0, piece->size - valid);
    return 0;
}

static int modify_block(struct transfer *transfer, const uint8_t *source, const jdb_write_piece *piece)
{
    int err = need_copy(transfer);
    if (err == 0)
        err = read_block(transfer, piece);
    if (err != 0)
        return err;
    memcpy(transfer->copy.ptr + piece->skip, source, piece->length);
    uint64_t written = 0;
    err = run_write(transfer, piece, transfer->copy.ptr, &written);
    const uint64_t done = written > piece->skip ? smallest(written - piece->skip, piece->length) : 0;
    transfer->report.done_size += done;
    transfer->report.direct_size += done;
    transfer->report.copied_size += done;
    return err;
}

/* Drop the whole pages around [offset, offset + size) from the page cache; those that are dirty are written first, and stay
 * until then. */
static void drop_cache(const struct transfer *transfer, int64_t offset, uint64_t size)
{
    const uint64_t page = jdb__os_page_size();
    const uint64_t start = bits_round_down((uint64_t)offset, page);
    if (!atomic_load_explicit(&transfer->file->is_uncached, memory_order_relaxed)) /* else the kernel does it */
        jdb__os_file_drop_cache(transfer->file->plain_fd, (int64_t)start,
                                bits_round_up((uint64_t)offset + size, page) - start);
}

/* Just the new bytes, through the page cache: the kernel orders them against every other write to the file, in other
 * processes too, and the file never ends behind them. On a device it does not, and the cached page must not stay: the
 * span of the write covers the device, and the page is written before it is given back. */
static int write_edge_plain(struct transfer *transfer, const uint8_t *source, const jdb_write_piece *piece)
{
    const int64_t offset = piece->offset + (int64_t)piece->skip;
    int err = write_plain(transfer, source, piece->length, offset);
    if (err != 0)
        return err;
    if (transfer->file->limits.is_device != 0)
        err = jdb__file_sync(transfer->file, true);
    if (err != 0)
        return failed(transfer, "fdatasync", err, piece->length, offset);
    drop_cache(transfer, offset, piece->length);
    return 0;
}

static bool is_whole_blocks(const struct transfer *transfer, uint64_t size, int64_t offset)
{
    return (((uint64_t)offset | size) & (transfer->align - 1)) == 0;
}

/* Decide how the edges of this range are written. The last block of a device whose size is no multiple of the alignment
 * cannot be written whole. */
static int choose_edges(struct transfer *transfer, uint64_t size, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    transfer->is_edge_plain = file->is_edge_plain;
    if (file->limits.is_device == 0 || file->is_edge_plain || is_whole_blocks(transfer, size, offset))
        return 0;
    int64_t device_size = 0;
    const int err = jdb_file_size(file, &device_size);
    if (err != 0)
        return failed(transfer, "ioctl", err, size, offset);
    transfer->is_edge_plain = bits_round_up((uint64_t)offset + size, transfer->align) > (uint64_t)device_size;
    return 0;
}

static int write_edge(struct transfer *transfer, const uint8_t *ptr, const jdb_write_piece *piece)
{
    if (piece->size == 0)
        return 0;
    return transfer->is_edge_plain ? write_edge_plain(transfer, ptr + piece->source, piece)
                                   : modify_block(transfer, ptr + piece->source, piece);
}

/* The span of the range's blocks is taken, so that the file's size and the blocks at the ends stay as they are. */
static int write_direct(struct transfer *transfer, const uint8_t *ptr, uint64_t size, int64_t offset)
{
    int64_t file_size = 0; /* asked where old bytes are read */
    const bool is_asked = !transfer->is_edge_plain && !is_whole_blocks(transfer, size, offset);
    jdb_write_plan plan;
    int err = is_asked ? jdb_file_size(transfer->file, &file_size) : 0;
    if (err != 0)
        return failed(transfer, "fstat", err, size, offset);
    err = jdb_plan_write(transfer->align, offset, size, file_size, &plan);
    if (err == 0)
        err = write_edge(transfer, ptr, &plan.head);
    const uint8_t *const body = ptr + plan.body.source;
    if (err == 0 && plan.body.size != 0)
        err = is_memory_aligned(transfer, body) ? write_straight(transfer, body, &plan.body)
                                                : write_copied(transfer, body, &plan.body);
    if (err == 0)
        err = write_edge(transfer, ptr, &plan.tail);
    return err;
}

/* ---- Calls -------------------------------------------------------------------------------------------------- */

static void begin(struct transfer *transfer, jdb_file *file, bool is_write)
{
    const uint32_t read_align = atomic_load_explicit(&file->read_align, memory_order_relaxed);
    const uint32_t write_align = atomic_load_explicit(&file->write_align, memory_order_relaxed);
    *transfer = (struct transfer){.file = file, .report = JDB_FILE_REPORT_INIT, .copy = JDB_BUF_INIT};
    transfer->memory_align = atomic_load_explicit(&file->memory_align, memory_order_relaxed);
    transfer->align = is_write ? largest(write_align, read_align) : read_align;
    transfer->errors = jdb__file_errors(file);
}

/* A write that shall be durable is refused while an earlier error stands. */
static int check_earlier(struct transfer *transfer)
{
    const int err = transfer->file->options.durability != JDB_FILE_DURABLE_NONE
                        ? jdb__file_check(transfer->file, transfer->errors)
                        : 0;
    return err == 0 ? 0 : jdb__file_say_earlier(transfer->file, err, &transfer->report);
}

static int end(struct transfer *transfer, int err, jdb_file_report *ret_report)
{
    jdb_buf_drop(&transfer->copy);
    transfer->report.err = err;
    transfer->report.mode = jdb__file_mode(transfer->file);
    jdb__file_give(ret_report, &transfer->report);
    return err;
}

/* The bounds of a call; what is wrong is the caller's. */
static int check_range(struct transfer *transfer, uint32_t access, jdb_raw view, uint64_t size, int64_t offset)
{
    if (offset < 0 || (view.ptr == NULL && size != 0))
        return -EINVAL;
    if (size > (uint64_t)INT64_MAX - (uint64_t)offset)
        return -EOVERFLOW;
    if ((transfer->file->options.access & access) != 0)
        return 0;
    snprintf(transfer->report.text, sizeof transfer->report.text, "the file is not open for %s",
             access == JDB_FILE_READ ? "reading" : "writing");
    return -EBADF;
}

/* Under NO_COPY what is not aligned is the caller's mistake, and is said in full. */
static int check_alignment(struct transfer *transfer, jdb_raw view, int64_t offset, bool is_write)
{
    if ((transfer->file->options.flags & JDB_FILE_NO_COPY) == 0)
        return 0;
    jdb_direct limits = transfer->file->limits;
    limits.memory_align = transfer->memory_align;
    limits.write_align = transfer->align;
    limits.read_align = transfer->align;
    jdb_direct_check found = JDB_DIRECT_CHECK_INIT;
    const int err = is_write ? jdb_direct_check_write(&limits, view, offset, &found)
                             : jdb_direct_check_read(&limits, view, offset, &found);
    if (err != 0)
        (void)jdb_direct_check_format(&found, transfer->report.text, sizeof transfer->report.text);
    return err;
}

/* Pin memory of ours; foreign memory is as safe as the caller makes it. */
static int pin_view(struct transfer *transfer, jdb_raw view, size_t size, bool *ret_pinned)
{
    const int err = size != 0 ? jdb_pin(view.ptr, size) : -ENOTSUP;
    *ret_pinned = err == 0;
    if (err == 0 || err == -ENOTSUP)
        return 0;
    snprintf(transfer->report.text, sizeof transfer->report.text, "the memory cannot be pinned: %s", jdb_strerror(err));
    return err;
}

/* A direct request that the kernel refuses asks the file again, and goes on behind what is done. */
static int read_view(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    if (!transfer->file->is_read_direct)
        return read_plain(transfer, view.ptr, view.cap, offset);
    int err = check_alignment(transfer, view, offset, false);
    if (err != 0)
        return err;
    do {
        const uint64_t done = transfer->report.done_size;
        err = read_direct(transfer, view.ptr + done, view.cap - done, offset + (int64_t)done);
    } while (err == -EINVAL && learn_aligns(transfer, false));
    return err;
}

int jdb_file_read_full(jdb_file *file, jdb_raw *view, int64_t offset, jdb_file_report *ret_report)
{
    if (file == NULL || view == NULL || !jdb__file_is_report(ret_report))
        return -EINVAL;
    struct transfer transfer;
    begin(&transfer, file, false);
    int err = check_range(&transfer, JDB_FILE_READ, *view, view->cap, offset);
    if (err != 0)
        return end(&transfer, err, ret_report);
    bool is_pinned = false;
    err = pin_view(&transfer, *view, view->cap, &is_pinned);
    if (err == 0) {
        view->len = 0; /* no stale byte counts as data */
        err = view->cap != 0 ? read_view(&transfer, *view, offset) : 0;
        view->len = (size_t)transfer.report.done_size;
    }
    if (is_pinned)
        (void)jdb_unpin(view->ptr, view->cap);
    return end(&transfer, err, ret_report);
}

/* Each write its own sync when there is but one: a flag is cheaper than a call. Only where nothing passes the page cache,
 * whose errors this would take from the syncs of other threads (file_sync.h). */
static void plan_durability(struct transfer *transfer, const uint8_t *ptr, uint64_t size, int64_t offset)
{
    const uint32_t durability = transfer->file->options.durability;
    const bool is_whole = (((uint64_t)offset | size) & (transfer->align - 1)) == 0 && is_memory_aligned(transfer, ptr);
    const bool is_direct = transfer->file->is_write_direct && transfer->file->write_state == JDB_FILE_MODE_DIRECT;
    if (durability == JDB_FILE_DURABLE_DATA && size <= JDB_TRANSFER_MAX && is_direct && is_whole)
        transfer->write_flags = OS_IO_DATA_SYNC;
    else
        transfer->needs_sync = durability != JDB_FILE_DURABLE_NONE;
}

/* The blocks of a range; the whole device when edges go through its page cache, see write_edge_plain(). */
static void take_blocks(const struct transfer *transfer, uint64_t size, int64_t offset, struct jdb__file_span *span)
{
    const jdb_file *const file = transfer->file;
    const uint64_t start = bits_round_down((uint64_t)offset, transfer->align);
    const uint64_t end = bits_round_up((uint64_t)offset + size, transfer->align);
    const bool is_all = file->limits.is_device != 0 && transfer->is_edge_plain;
    jdb__file_take_span(file, is_all ? 0 : start, is_all ? UINT64_MAX : end, span);
}

static int write_view(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    const bool is_direct = transfer->file->is_write_direct;
    int err = is_direct ? check_alignment(transfer, view, offset, true) : 0;
    if (err != 0)
        return err;
    do {
        const uint64_t done = transfer->report.done_size;
        const uint8_t *const ptr = view.ptr + done;
        struct jdb__file_span span;
        err = is_direct ? choose_edges(transfer, view.len - done, offset + (int64_t)done) : 0;
        if (err != 0)
            return err;
        take_blocks(transfer, view.len - done, offset + (int64_t)done, &span);
        err = is_direct ? write_direct(transfer, ptr, view.len - done, offset + (int64_t)done)
                        : write_plain(transfer, ptr, view.len - done, offset + (int64_t)done);
        jdb__file_span_give(&span);
    } while (is_direct && err == -EINVAL && learn_aligns(transfer, true));
    return err;
}

/* What edges left in the page cache is clean after a sync, and can go. */
static int finish_write(struct transfer *transfer, int64_t offset, uint64_t size)
{
    jdb_file *const file = transfer->file;
    if (file->options.durability == JDB_FILE_DURABLE_NONE)
        return 0;
    const bool is_data_only = file->options.durability == JDB_FILE_DURABLE_DATA;
    int err = transfer->needs_sync ? jdb__file_sync(file, is_data_only) : 0;
    if (err != 0)
        return jdb__file_failed(&transfer->report, is_data_only ? "fdatasync" : "fsync", err);
    err = jdb__file_check(file, transfer->errors);
    if (err != 0)
        return jdb__file_say_earlier(file, err, &transfer->report);
    if (file->is_write_direct && transfer->report.buffered_size != 0)
        drop_cache(transfer, offset, size);
    return 0;
}

int jdb_file_write_full(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report)
{
    if (file == NULL || !jdb__file_is_report(ret_report))
        return -EINVAL;
    struct transfer transfer;
    begin(&transfer, file, true);
    int err = check_range(&transfer, JDB_FILE_WRITE, view, view.len, offset);
    if (err == 0)
        err = check_earlier(&transfer);
    if (err != 0 || view.len == 0)
        return end(&transfer, err, ret_report);
    bool is_pinned = false;
    err = pin_view(&transfer, view, view.len, &is_pinned);
    plan_durability(&transfer, view.ptr, view.len, offset);
    if (err == 0)
        err = write_view(&transfer, view, offset);
    if (err == 0)
        err = finish_write(&transfer, offset, view.len);
    if (is_pinned)
        (void)jdb_unpin(view.ptr, view.len);
    return end(&transfer, err, ret_report);
}

/* ---- Atomic writes ------------------------------------------------------------------------------------------ */

static int check_atomic(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    const jdb_direct *const limits = &file->limits;
    if (!file->is_write_direct || limits->atomic_min_size == 0) {
        (void)refused(transfer,
                      "the file has no atomic writes: they need direct I/O and a file system and device that can");
        return -ENOTSUP;
    }
    if (!bits_is_pow2(view.len) || view.len < limits->atomic_min_size || view.len > limits->atomic_max_size) {
        snprintf(transfer->report.text, sizeof transfer->report.text,
                 "an atomic write has a power of two of bytes from %" PRIu32 " to %" PRIu32 ", not %zu",
                 limits->atomic_min_size, limits->atomic_max_size, view.len);
        return -EINVAL;
    }
    if (((uint64_t)offset & (view.len - 1)) != 0)
        return refused(transfer, "the offset of an atomic write is a multiple of its length");
    return is_memory_aligned(transfer, view.ptr) ? 0
                                                 : refused(transfer, "the memory of an atomic write is not aligned");
}

static int write_atomic(struct transfer *transfer, jdb_raw view, int64_t offset)
{
    const int err = check_atomic(transfer, view, offset);
    if (err != 0)
        return err;
    const bool is_data = transfer->file->options.durability == JDB_FILE_DURABLE_DATA;
    transfer->write_flags = is_data ? (uint32_t)OS_IO_DATA_SYNC : 0;
    transfer->needs_sync = transfer->file->options.durability == JDB_FILE_DURABLE_SYNC;
    transfer->report.request_count++;
    struct jdb__file_span span;
    take_blocks(transfer, view.len, offset, &span);
    const int64_t put = jdb__os_write_at(transfer->file->direct_fd, view.ptr, view.len, offset,
                                         transfer->write_flags | (uint32_t)OS_IO_ATOMIC);
    jdb__file_span_give(&span);
    if (put < 0)
        return write_failed(transfer, "pwritev2 with RWF_ATOMIC", (int)put, view.len, offset);
    transfer->report.done_size = (uint64_t)put;
    transfer->report.direct_size = (uint64_t)put;
    return (uint64_t)put == view.len ? finish_write(transfer, offset, view.len)
                                     : write_stalled(transfer, "pwritev2", offset + put);
}

int jdb_file_write_atomic(jdb_file *file, jdb_raw view, int64_t offset, jdb_file_report *ret_report)
{
    if (file == NULL || !jdb__file_is_report(ret_report))
        return -EINVAL;
    struct transfer transfer;
    begin(&transfer, file, true);
    int err = check_range(&transfer, JDB_FILE_WRITE, view, view.len, offset);
    if (err == 0)
        err = check_earlier(&transfer);
    if (err != 0)
        return end(&transfer, err, ret_report);
    bool is_pinned = false;
    err = pin_view(&transfer, view, view.len, &is_pinned);
    if (err == 0)
        err = write_atomic(&transfer, view, offset);
    if (is_pinned)
        (void)jdb_unpin(view.ptr, view.len);
    return end(&transfer, err, ret_report);
}

/* ---- Zeros -------------------------------------------------------------------------------------------------- */

/* Zeros are written in steps that end at multiples of ZEROS_SIZE, so that the inner ones are whole blocks. */
static int write_zeros(struct transfer *transfer, jdb_raw zeros, int64_t offset, uint64_t size)
{
    int err = 0;
    for (uint64_t done = 0; err == 0 && done < size;) {
        const int64_t at = offset + (int64_t)done;
        const uint64_t step = smallest(zeros.cap - (uint64_t)at % zeros.cap, size - done);
        const uint64_t before = transfer->report.done_size;
        transfer->report.done_size = 0; /* of this step, for a step that is tried again */
        err = write_view(transfer, jdb_raw_with_len(zeros, (size_t)step), at);
        transfer->report.done_size += before;
        done += step;
    }
    return err;
}

int jdb_file_write_zeros(jdb_file *file, int64_t offset, uint64_t size, jdb_file_report *ret_report)
{
    if (file == NULL || !jdb__file_is_report(ret_report))
        return -EINVAL;
    struct transfer transfer;
    begin(&transfer, file, true);
    int err = check_range(&transfer, JDB_FILE_WRITE, jdb_raw_new(NULL, 0), 0, offset);
    if (err == 0 && size > (uint64_t)INT64_MAX - (uint64_t)offset)
        err = -EOVERFLOW;
    if (err == 0)
        err = check_earlier(&transfer);
    jdb_buf zeros = JDB_BUF_INIT;
    const uint32_t align = largest(transfer.memory_align, transfer.align);
    if (err == 0 && size != 0)
        err = jdb_buf_with_cap_aligned(&zeros, ZEROS_SIZE, largest(align, (uint32_t)JDB_ALIGNMENT));
    if (err == 0 && size != 0) {
        memset(zeros.ptr, 0, zeros.cap);
        transfer.needs_sync = true;
        const jdb_raw all = {zeros.ptr, (size_t)size, (size_t)size}; /* never touched as a whole */
        if (file->is_write_direct)
            err = check_alignment(&transfer, all, offset, true);
    }
    if (err == 0 && size != 0) {
        err = write_zeros(&transfer, jdb_buf_as_raw(&zeros), offset, size);
    }
    if (err == 0 && size != 0)
        err = finish_write(&transfer, offset, size);
    jdb_buf_drop(&zeros);
    return end(&transfer, err, ret_report);
}
