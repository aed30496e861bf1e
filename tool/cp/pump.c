/* SPDX-License-Identifier: MIT
 *
 * pump.c - see pump.h.
 */
#include "cp/pump.h"

#include "base/interrupt.h"
#include "base/sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* Where the transfer in a frame stands. */
struct moving {
    struct transfer transfer;
    int64_t skew;        /* of the first byte wanted in the frame: the read began earlier, on an aligned offset */
    enum side_mode mode; /* of the side when the transfer was started */
};

struct pass {
    struct pump *pump;
    struct verdict *verdict;
    struct moving *moving; /* one for each slot of the queue */
    struct transfer_cursor cursor;
};

size_t pump_frame_size(const struct side *source, int64_t source_offset, int64_t block_size)
{
    const int64_t skew = source_offset % source->read_align == 0 ? 0 : source->read_align;
    return (size_t)round_up(block_size + skew, (int64_t)JDB_PAGE_SIZE);
}

static int start_transfer(struct pass *pass, uint32_t number, const struct side *side, bool is_write, int64_t from,
                          int64_t size, int64_t offset)
{
    struct queue *const queue = pass->pump->queue;
    const jdb_raw view = jdb_raw_from_slice(queue->slots[number].frame.ptr + from, (size_t)size);
    pass->moving[number].mode = side->mode;
    const int err = queue_start(queue, number, side, is_write, view, offset);
    if (err != 0)
        return verdict_fail(pass->verdict, DIO_EXIT_FAILED, -err, "cannot start a transfer: %s", jdb_strerror(err));
    return 0;
}

/* ---- Reading ---------------------------------------------------------------------------------------------- */

static int start_read(struct pass *pass, uint32_t number)
{
    struct moving *const moving = &pass->moving[number];
    const struct side *const source = pass->pump->source;
    const int64_t position = pass->pump->source_offset + moving->transfer.start;
    moving->skew = position - round_down(position, source->read_align);
    const int64_t size = round_up(moving->skew + moving->transfer.size, source->read_align);
    return start_transfer(pass, number, source, false, 0, size, position - moving->skew);
}

/* Takes the next transfer of the pass into the slot. False: there is none, or the pass has ended early. */
static bool start_next(struct pass *pass, uint32_t number)
{
    struct pump *const pump = pass->pump;
    if (interrupt_check(pass->verdict) != 0 || pass->verdict->exit_code != 0 ||
        !transfer_next(&pass->cursor, pump->ranges, pump->block_size, &pass->moving[number].transfer))
        return false;
    return start_read(pass, number) == 0;
}

/* A read met the end too early: the file is shorter than it was. SRC may be changed by others; the part file is our own. */
static void fail_short(const struct pass *pass, uint32_t number)
{
    const struct side *const source = pass->pump->source;
    struct stat now;
    const int64_t size = fstat(source->plain, &now) == 0 && !source->is_device ? (int64_t)now.st_size : -1;
    const jdb_uring_op *const op = &pass->pump->queue->slots[number].op;
    const int64_t end = op->offset + (int64_t)op->done_size;
    if (!source->is_target)
        (void)verdict_fail(pass->verdict, DIO_EXIT_CHANGED, 0,
                           "'%s' shrank while it was read: nothing is left at byte %" PRId64 " (it had %" PRId64
                           " bytes, now %" PRId64 "); copy it again when nobody changes it",
                           source->path, end, source->size, size);
    else
        (void)verdict_fail(pass->verdict, pass->pump->expected != NULL ? DIO_EXIT_DIFFERENT : DIO_EXIT_FAILED, 0,
                           "%s failed: nothing is left at byte %" PRId64 " of the copy of '%s' (it has %" PRId64
                           " bytes now); copy it again when no other program writes there",
                           pass->pump->expected != NULL ? "verification" : "resuming", end, source->path, size);
}

/* ---- Writing ---------------------------------------------------------------------------------------------- */

/* A device ends a copy in the middle of a sector: the sector's other bytes stay what they are. */
static int keep_rest_of_sector(struct pass *pass, uint8_t *data, int64_t position, int64_t size, int64_t end)
{
    const struct side *const target = pass->pump->target;
    jdb_buf sector;
    const int64_t sector_start = round_down(size, target->write_align);
    int err = jdb_buf_with_cap(&sector, (size_t)target->write_align);
    if (err == 0 && pread(side_fd(target), sector.ptr, (size_t)target->write_align, (off_t)(position + sector_start)) !=
                        (ssize_t)target->write_align)
        err = errno != 0 ? -errno : -EIO;
    if (err != 0) {
        jdb_buf_drop(&sector);
        return verdict_fail_path(pass->verdict, -err, "read the last sector of", target->path);
    }
    memcpy(data + size, sector.ptr + (size - sector_start), (size_t)(end - size));
    jdb_buf_drop(&sector);
    return 0;
}

static int start_write(struct pass *pass, uint32_t number)
{
    const struct moving *const moving = &pass->moving[number];
    const struct side *const target = pass->pump->target;
    const int64_t size = round_up(moving->transfer.size, target->write_align);
    return start_transfer(pass, number, target, true, moving->skew, size, moving->transfer.start);
}

/* The data of the transfer is in the frame: put it where it can be written from, and pad it. */
static int begin_writing(struct pass *pass, uint32_t number)
{
    struct moving *const moving = &pass->moving[number];
    const struct side *const target = pass->pump->target;
    uint8_t *const frame = pass->pump->queue->slots[number].frame.ptr;
    const int64_t size = moving->transfer.size;
    if (moving->skew % target->memory_align != 0) {
        memmove(frame, frame + moving->skew, (size_t)size);
        moving->skew = 0;
    }
    uint8_t *const data = frame + moving->skew;
    const int64_t end = round_up(size, target->write_align);
    if (end > size && target->is_device && keep_rest_of_sector(pass, data, moving->transfer.start, size, end) != 0)
        return pass->verdict->exit_code;
    if (end > size && !target->is_device)
        memset(data + size, 0, (size_t)(end - size));
    return start_write(pass, number);
}

/* ---- Completions ------------------------------------------------------------------------------------------ */

static void finish(struct pass *pass, uint32_t number)
{
    progress_add(pass->pump->progress, pass->moving[number].transfer.size);
    (void)start_next(pass, number);
}

static void fail_different(struct pass *pass, const struct transfer *transfer)
{
    (void)verdict_fail(pass->verdict, DIO_EXIT_DIFFERENT, 0,
                       "verification failed: the bytes %" PRId64 " to %" PRId64
                       " of '%s' read back different from what "
                       "was written; the device or the memory is at fault: check them (dmesg, smartctl)",
                       transfer->start, transfer->start + transfer->size - 1, pass->pump->source->path);
}

static void data_is_read(struct pass *pass, uint32_t number)
{
    struct pump *const pump = pass->pump;
    const struct moving *const moving = &pass->moving[number];
    bool is_same = false;
    if (pump->recorded != NULL || pump->expected != NULL) {
        const uint8_t *const data = pump->queue->slots[number].frame.ptr + moving->skew;
        const uint64_t hash = XXH3_64bits(data, (size_t)moving->transfer.size);
        is_same = pump->expected != NULL && pump->expected[moving->transfer.number] == hash;
        if (pump->recorded != NULL)
            pump->recorded[moving->transfer.number] = hash;
    }
    if (pump->target != NULL && !is_same) {
        (void)begin_writing(pass, number);
        return;
    }
    if (pump->target != NULL)
        pump->skipped_bytes += moving->transfer.size;
    else if (pump->expected != NULL && !is_same)
        fail_different(pass, &moving->transfer);
    finish(pass, number);
}

/* Refused for the moment until the queue gave up, or a signal ended that. */
static void fail_refused(struct pass *pass, uint32_t number, const char *what, const struct side *side, int error)
{
    const jdb_uring_op *const op = &pass->pump->queue->slots[number].op;
    if (interrupt_check(pass->verdict) != 0)
        return;
    (void)verdict_fail(pass->verdict, DIO_EXIT_FAILED, error,
                       "cannot %s '%s' at byte %" PRId64 ": %s, again and again for %d seconds; copy again when the "
                       "device or the server is less busy",
                       what, side->path, op->offset + (int64_t)op->done_size, strerror(error), PATIENCE_SECONDS);
}

/* A transfer failed: falls back and tries again where that can help. */
static void transfer_failed(struct pass *pass, uint32_t number, struct side *side, int error)
{
    const bool is_write = pass->pump->queue->slots[number].is_write;
    const char *const what = is_write ? "write" : "read";
    const bool is_stale = side->mode != pass->moving[number].mode; /* another transfer fell back before */
    if (error == EAGAIN || error == EINTR) {
        fail_refused(pass, number, what, side, error);
        return;
    }
    if (!is_stale) {
        if (!side_can_fall_back(side, error)) {
            (void)verdict_fail_path(pass->verdict, error, what, side->path);
            return;
        }
        if (side_fall_back(side, pass->verdict, what, error) != 0)
            return;
    }
    (void)(is_write ? start_write(pass, number) : start_read(pass, number));
}

static void complete(struct pass *pass, uint32_t number, int error)
{
    const struct moving *const moving = &pass->moving[number];
    const struct queue_slot *const slot = &pass->pump->queue->slots[number];
    struct side *const side = slot->is_write ? pass->pump->target : pass->pump->source;
    const int64_t wanted = moving->transfer.size + (slot->is_write ? 0 : moving->skew);
    if (error != 0) {
        transfer_failed(pass, number, side, -error);
        return;
    }
    if ((int64_t)slot->op.done_size < wanted) {
        fail_short(pass, number);
        return;
    }
    side_count(side, moving->mode, moving->transfer.size);
    if (slot->is_write)
        finish(pass, number);
    else
        data_is_read(pass, number);
}

int pump_run(struct pump *pump, struct verdict *verdict)
{
    struct pass pass = {.pump = pump, .verdict = verdict};
    pump->queue->is_ending = false;
    pass.moving = calloc(pump->queue->depth, sizeof *pass.moving);
    if (pass.moving == NULL)
        return verdict_fail(verdict, DIO_EXIT_FAILED, ENOMEM, "no memory");
    for (uint32_t number = 0; number < pump->queue->depth; number++) {
        if (!start_next(&pass, number))
            break;
    }
    while (pump->queue->in_flight_count > 0) {
        uint32_t number = 0;
        int error = 0;
        const int err = queue_wait(pump->queue, &number, &error);
        if (err != 0 && interrupt_check(verdict) != 0)
            break;
        if (err != 0) {
            (void)verdict_fail(verdict, DIO_EXIT_FAILED, -err, "cannot wait for io_uring: %s; try --engine=pread",
                               strerror(-err));
            break;
        }
        /* After a failure what is in flight is only waited for. */
        if (verdict->exit_code == 0)
            complete(&pass, number, error);
        pump->queue->is_ending = verdict->exit_code != 0;
    }
    free(pass.moving);
    return verdict->exit_code;
}
