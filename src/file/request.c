/* SPDX-License-Identifier: MIT
 *
 * request.c - requests of a transfer: one system call, and the loops that resume short results.
 */
#include "base/check.h"
#include "file/transfer.h"
#include "os/os.h"

/* ---- One system call ---------------------------------------------------------------------------------------- */

/* Turn off the flag that the file has just refused. Returns whether there is one, so that the request can be repeated. */
static bool request_drop_flag(struct transfer *transfer, uint32_t flags)
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

static uint32_t request_plain_flags(const struct transfer *transfer)
{
    return atomic_load_explicit(&transfer->file->is_uncached, memory_order_relaxed) ? (uint32_t)OS_IO_UNCACHED : 0;
}

/* The descriptor of a request, which fits it. */
static int request_fd(const struct transfer *transfer, bool is_direct, uint64_t size, int64_t offset)
{
    const jdb_file *const file = transfer->file;
    JDB_ASSERT(file->plain_fd >= 0 && (!is_direct || file->direct_fd >= 0));    /* I1, I2 */
    JDB_ASSERT(!is_direct || transfer_is_whole_blocks(transfer, size, offset)); /* I5 */
    JDB_ASSERT(size != 0 && size <= JDB_TRANSFER_MAX && offset >= 0);           /* D5 */
    return is_direct ? file->direct_fd : file->plain_fd;
}

/* A part of the memory, as the call takes it. */
struct request_pieces {
    struct jdb__os_piece pieces[OS_PIECES_MAX];
    uint32_t count;
};

/* The pieces of bytes [skip, skip + size) of the memory. */
static void request_fill(struct request_pieces *filled, const struct transfer_memory *memory, bool is_write,
                         uint64_t skip, uint64_t size)
{
    JDB_ASSERT(memory->count <= OS_PIECES_MAX);
    filled->count = 0;
    for (uint32_t i = 0; i < memory->count && size != 0; i++) {
        const uint64_t bytes = is_write ? memory->views[i].len : memory->views[i].cap;
        const uint64_t passed = bits_min(skip, bytes);
        const uint64_t taken = bits_min(bytes - passed, size);
        if (taken != 0)
            filled->pieces[filled->count++] =
                (struct jdb__os_piece){.ptr = memory->views[i].ptr + passed, .size = (size_t)taken};
        skip -= passed;
        size -= taken;
    }
    JDB_ASSERT(size == 0 && filled->count != 0);
}

/* Bytes [skip, skip + size) of the memory. */
static int64_t request_read(struct transfer *transfer, bool is_direct, const struct transfer_memory *memory,
                            uint64_t skip, uint64_t size, int64_t offset)
{
    const int fd = request_fd(transfer, is_direct, size, offset);
    struct request_pieces filled;
    request_fill(&filled, memory, false, skip, size);
    for (;;) {
        const uint32_t flags = is_direct ? 0 : request_plain_flags(transfer);
        transfer->report.request_count++;
        const int64_t got = jdb__os_read_pieces_at(fd, filled.pieces, filled.count, offset, flags);
        if (got != -EOPNOTSUPP || !request_drop_flag(transfer, flags))
            return got >= 0 ? got : jdb__transfer_failed(transfer, "pread", (int)got, size, offset);
    }
}

static int64_t request_write(struct transfer *transfer, bool is_direct, const struct transfer_memory *memory,
                             uint64_t skip, uint64_t size, int64_t offset)
{
    const int fd = request_fd(transfer, is_direct, size, offset);
    JDB_ASSERT(is_direct || (transfer->write_flags & OS_IO_DATA_SYNC) == 0); /* I8 */
    struct request_pieces filled;
    request_fill(&filled, memory, true, skip, size);
    for (;;) {
        const uint32_t flags = transfer->write_flags | (is_direct ? 0 : request_plain_flags(transfer));
        transfer->report.request_count++;
        const int64_t put = jdb__os_write_pieces_at(fd, filled.pieces, filled.count, offset, flags);
        if (put != -EOPNOTSUPP || !request_drop_flag(transfer, flags))
            return put >= 0 ? put : jdb__transfer_write_failed(transfer, "pwrite", (int)put, size, offset);
    }
}

/* Whether a short write ends at the limit: the next would raise SIGXFSZ. */
static bool request_is_at_limit(int64_t end)
{
    return (uint64_t)end >= jdb__os_file_size_limit();
}

/* ---- The plain descriptor ----------------------------------------------------------------------------------- */

static void request_count_plain(struct transfer *transfer, uint64_t size)
{
    transfer->report.done_size += size;
    transfer->report.buffered_size += size;
}

int jdb__transfer_read_plain_into(struct transfer *transfer, const struct transfer_memory *memory, uint64_t size,
                                  int64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        const uint64_t next = bits_min(size - done, JDB_TRANSFER_MAX);
        const int64_t got = request_read(transfer, false, memory, done, next, offset + (int64_t)done);
        if (got < 0)
            return (int)got;
        if (got == 0) {
            transfer->report.is_eof = 1;
            return 0;
        }
        done += (uint64_t)got;
        request_count_plain(transfer, (uint64_t)got);
    }
    return 0;
}

int jdb__transfer_read_plain(struct transfer *transfer, uint8_t *ptr, uint64_t size, int64_t offset)
{
    const jdb_raw whole = {ptr, 0, (size_t)size};
    return jdb__transfer_read_plain_into(transfer, &(struct transfer_memory){&whole, 1}, size, offset);
}

int jdb__transfer_write_plain_from(struct transfer *transfer, const struct transfer_memory *memory, uint64_t size,
                                   int64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        const uint64_t next = bits_min(size - done, JDB_TRANSFER_MAX);
        const int64_t put = request_write(transfer, false, memory, done, next, offset + (int64_t)done);
        if (put < 0)
            return (int)put;
        if (put == 0)
            return jdb__transfer_write_stalled(transfer, "pwrite", offset + (int64_t)done);
        done += (uint64_t)put;
        request_count_plain(transfer, (uint64_t)put);
        const int64_t end = offset + (int64_t)done;
        if ((uint64_t)put < next && request_is_at_limit(end))
            return jdb__transfer_write_failed(transfer, "pwrite", -EFBIG, size - done, end);
    }
    return 0;
}

int jdb__transfer_write_plain(struct transfer *transfer, const uint8_t *ptr, uint64_t size, int64_t offset)
{
    const jdb_raw whole = {(uint8_t *)(uintptr_t)ptr, (size_t)size, (size_t)size};
    return jdb__transfer_write_plain_from(transfer, &(struct transfer_memory){&whole, 1}, size, offset);
}

/* ---- The direct descriptor ---------------------------------------------------------------------------------- */

void jdb__transfer_count_read(struct transfer *transfer, const jdb_read_plan *plan, const jdb_read_step *step)
{
    transfer->report.done_size += step->valid_size;
    transfer->report.direct_size += step->valid_size;
    transfer->report.is_eof = step->valid_size < plan->wanted_size && step->is_eof != 0;
}

int jdb__transfer_read_plan_into(struct transfer *transfer, const jdb_read_plan *plan,
                                 const struct transfer_memory *memory, jdb_read_step *step)
{
    int64_t file_size = -1; /* queried when a result is short, and not for a device, whose end is aligned */
    (void)jdb_plan_read_start(plan, step);
    while (step->is_done == 0) {
        const int64_t got = request_read(transfer, true, memory, step->next_skip, step->next_size, step->next_offset);
        if (got < 0)
            return (int)got;
        if ((uint64_t)got < step->next_size && transfer->file->limits.is_device == 0) {
            const int err = jdb_file_size(transfer->file, &file_size);
            if (err != 0)
                return jdb__transfer_failed(transfer, "fstat", err, step->next_size, step->next_offset);
        }
        if (jdb_plan_read_step(plan, got, file_size, step) != 0)
            return jdb__transfer_stalled(transfer, "pread returned more than asked and", step->next_offset);
    }
    JDB_ASSERT(step->valid_size <= plan->wanted_size);
    return step->is_stalled != 0 ? jdb__transfer_stalled(transfer, "pread", plan->offset + (int64_t)step->filled_size)
                                 : 0;
}

int jdb__transfer_read_plan(struct transfer *transfer, const jdb_read_plan *plan, uint8_t *memory, jdb_read_step *step)
{
    const jdb_raw whole = {memory, 0, (size_t)plan->size};
    return jdb__transfer_read_plan_into(transfer, plan, &(struct transfer_memory){&whole, 1}, step);
}

int jdb__transfer_write_piece_from(struct transfer *transfer, const jdb_write_piece *piece,
                                   const struct transfer_memory *memory, uint64_t *ret_done)
{
    jdb_write_step step;
    int err = jdb_plan_write_start(transfer->align, piece, &step);
    *ret_done = 0;
    while (err == 0 && step.is_done == 0) {
        const int64_t put = request_write(transfer, true, memory, step.next_skip, step.next_size, step.next_offset);
        if (put < 0)
            return (int)put;
        const int64_t end = step.next_offset + put;
        const bool is_cut = (uint64_t)put < step.next_size && request_is_at_limit(end);
        err = jdb_plan_write_step(transfer->align, piece, put, &step);
        *ret_done = step.done_size;
        if (is_cut && step.is_done == 0)
            return jdb__transfer_write_failed(transfer, "pwrite", -EFBIG, piece->size - step.done_size, end);
    }
    if (err == 0 && step.is_stalled != 0)
        err = jdb__transfer_write_stalled(transfer, "pwrite", piece->offset + (int64_t)step.done_size);
    JDB_ASSERT(err != 0 || *ret_done == piece->size);
    return err;
}

int jdb__transfer_write_piece(struct transfer *transfer, const jdb_write_piece *piece, const uint8_t *memory,
                              uint64_t *ret_done)
{
    const jdb_raw whole = {(uint8_t *)(uintptr_t)memory, (size_t)piece->size, (size_t)piece->size};
    return jdb__transfer_write_piece_from(transfer, piece, &(struct transfer_memory){&whole, 1}, ret_done);
}
