/* SPDX-License-Identifier: MIT
 *
 * copy_pass.c - see copy_pass.h.
 */
#include "cp/copy_pass.h"

#include "base/input.h"
#include "base/interrupt.h"
#include "base/sizes.h"
#include "cp/bad_block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* The transfer of a slot. */
struct in_flight {
    struct transfer transfer;
    int64_t skew; /* of the first byte wanted in the frame: the read began earlier, on an aligned offset */
};

/* A pass while it runs. */
struct pass_run {
    struct copy_pass *pass;
    struct outcome *outcome;
    struct in_flight *in_flight; /* one for each slot of the queue */
    struct transfer_cursor cursor;
    bool is_stream_ended;
};

size_t copy_pass_frame_size(const struct side *source, int64_t source_offset, int64_t block_size)
{
    const int64_t skew = source_offset % source->read_align == 0 ? 0 : source->read_align;
    return (size_t)round_up(block_size + skew, (int64_t)JDB_PAGE_SIZE);
}

static void data_is_read(struct pass_run *run, uint32_t number);

static int start_transfer(struct pass_run *run, uint32_t number, const struct side *side, bool is_write, int64_t from,
                          int64_t size, int64_t offset)
{
    struct queue *const queue = run->pass->queue;
    const jdb_raw frame = queue->slots[number].frame;
    DIO_ASSERT(from >= 0 && from + size <= (int64_t)frame.cap); /* C3 */
    const jdb_raw view = jdb_raw_from_slice(frame.ptr + from, (size_t)size);
    const int err = queue_start(queue, number, side_file(side), is_write, view, offset);
    if (err != 0)
        return outcome_fail(run->outcome, DIO_EXIT_FAILED, -err,
                            "cannot start to %s '%s' at byte %" PRId64 ": %s; try --engine=pread",
                            is_write ? "write" : "read", side->path, offset, jdb_strerror(err));
    return 0;
}

int hashes_reserve(struct hashes *hashes, struct outcome *outcome, size_t count)
{
    if (count <= hashes->room)
        return 0;
    const size_t room = count > 2 * hashes->room ? count : 2 * hashes->room;
    uint64_t *const items = realloc(hashes->items, room * sizeof *items);
    if (items == NULL)
        return outcome_fail(outcome, DIO_EXIT_FAILED, ENOMEM,
                            "no memory for %zu hashes of transfers; make them larger (--block-size)", room);
    memset(items + hashes->room, 0, (room - hashes->room) * sizeof *items);
    *hashes = (struct hashes){.items = items, .room = room};
    return 0;
}

/* ---- Reading ---------------------------------------------------------------------------------------------- */

static int start_read(struct pass_run *run, uint32_t number)
{
    struct in_flight *const in_flight = &run->in_flight[number];
    const struct side *const source = run->pass->source;
    const int64_t position = run->pass->source_offset + in_flight->transfer.start;
    in_flight->skew = position - round_down(position, source->read_align);
    const int64_t size = round_up(in_flight->skew + in_flight->transfer.size, source->read_align);
    return start_transfer(run, number, source, false, 0, size, position - in_flight->skew);
}

/* Read up to `size` bytes of the stream: fewer at its end only. Returns the bytes, or -1 where it failed. */
static int64_t fill_frame(struct pass_run *run, uint8_t *frame, int64_t size)
{
    const struct side *const source = run->pass->source;
    int64_t done = 0;
    while (done < size) {
        const ssize_t got = input_read(source->plain, frame + done, (size_t)(size - done));
        if (got == 0) {
            run->is_stream_ended = true;
            break;
        }
        if (got > 0)
            done += got;
        else if (got != -EINTR)
            (void)outcome_fail(run->outcome, DIO_EXIT_FAILED, (int)-got, "cannot read %s at byte %" PRId64 ": %s",
                               source->path, run->pass->stream_bytes + done, strerror((int)-got));
        if (interrupt_check(run->outcome) != 0 || run->outcome->exit_code != 0)
            return -1;
    }
    return done;
}

/* The next block of the stream into the slot, and on its way to the target. False: there is none, or it failed. */
static bool start_next_of_stream(struct pass_run *run, uint32_t number)
{
    struct copy_pass *const pass = run->pass;
    if (interrupt_check(run->outcome) != 0 || run->outcome->exit_code != 0 || run->is_stream_ended)
        return false;
    const int64_t size = fill_frame(run, pass->queue->slots[number].frame.ptr, pass->block_size);
    if (size <= 0)
        return false;
    run->in_flight[number] =
        (struct in_flight){.transfer = {.number = run->cursor.number++, .start = pass->stream_bytes, .size = size}};
    pass->stream_bytes += size;
    if (pass->recorded != NULL && hashes_reserve(pass->recorded, run->outcome, run->cursor.number) != 0)
        return false;
    side_count(pass->source, SIDE_BUFFERED, size);
    data_is_read(run, number);
    return run->outcome->exit_code == 0;
}

/* Takes the next transfer of the pass into the slot. False: there is none, or the pass has ended early. */
static bool start_next(struct pass_run *run, uint32_t number)
{
    struct copy_pass *const pass = run->pass;
    if (pass->source->is_stream)
        return start_next_of_stream(run, number);
    if (interrupt_check(run->outcome) != 0 || run->outcome->exit_code != 0 ||
        !transfer_next(&run->cursor, pass->ranges, pass->block_size, &run->in_flight[number].transfer))
        return false;
    return start_read(run, number) == 0;
}

/* The first byte of the slot's request that was not moved. */
static int64_t first_missing(const struct pass_run *run, uint32_t number)
{
    const jdb_engine_io *const io = &run->pass->queue->slots[number].io;
    return io->offset + (int64_t)io->done_size;
}

/* A read met the end too early: the file is shorter than it was. SRC may be changed by others; the part file is our own. */
static void fail_short(const struct pass_run *run, uint32_t number)
{
    const struct side *const source = run->pass->source;
    const int64_t end = first_missing(run, number);
    const bool is_verifying = run->pass->expected != NULL;
    if (!source->is_target && input_is_misreported(source->plain, source->size))
        (void)outcome_fail(run->outcome, DIO_EXIT_FAILED, EINVAL,
                           "'%s' reports %" PRId64 " bytes and has %" PRId64 " (procfs or sysfs); use cat",
                           source->path, source->size, end);
    else if (!source->is_target)
        (void)outcome_fail(run->outcome, DIO_EXIT_CHANGED, 0,
                           "'%s' shrank while it was read: it had %" PRId64 " bytes and ended at byte %" PRId64
                           "; copy it again when nobody changes it",
                           source->path, source->size, end);
    else
        (void)outcome_fail(run->outcome, is_verifying ? DIO_EXIT_DIFFERENT : DIO_EXIT_FAILED, 0,
                           "%s failed: the new '%s' ends at byte %" PRId64 ", at least %" PRId64
                           " bytes too early; copy it again when no other program writes there",
                           is_verifying ? "verification" : "resuming", source->path, end,
                           run->in_flight[number].transfer.start + run->in_flight[number].transfer.size - end);
}

/* ---- Writing ---------------------------------------------------------------------------------------------- */

/* A device ends a copy in the middle of a sector: the sector's other bytes stay what they are. */
static int keep_rest_of_sector(struct pass_run *run, uint8_t *data, int64_t position, int64_t size, int64_t end)
{
    const struct side *const target = run->pass->target;
    jdb_raw rest = jdb_raw_from_slice(data + size, (size_t)(end - size));
    rest.len = 0;
    const int err = jdb_file_read_full(side_file(target), &rest, position + size, NULL);
    if (err != 0 || rest.len < rest.cap)
        return outcome_fail_path(run->outcome, err != 0 ? -err : EIO, "read the last sector of", target->path);
    return 0;
}

static int start_write(struct pass_run *run, uint32_t number)
{
    const struct in_flight *const in_flight = &run->in_flight[number];
    const struct side *const target = run->pass->target;
    const int64_t size = round_up(in_flight->transfer.size, target->write_align);
    return start_transfer(run, number, target, true, in_flight->skew, size, in_flight->transfer.start);
}

/* The data of the transfer is in the frame: put it where it can be written from, and pad it. */
static int begin_writing(struct pass_run *run, uint32_t number)
{
    struct in_flight *const in_flight = &run->in_flight[number];
    const struct side *const target = run->pass->target;
    uint8_t *const frame = run->pass->queue->slots[number].frame.ptr;
    const int64_t size = in_flight->transfer.size;
    if (in_flight->skew % target->memory_align != 0) {
        memmove(frame, frame + in_flight->skew, (size_t)size);
        in_flight->skew = 0;
    }
    uint8_t *const data = frame + in_flight->skew;
    const int64_t end = round_up(size, target->write_align);
    if (end > size && target->is_device && keep_rest_of_sector(run, data, in_flight->transfer.start, size, end) != 0)
        return run->outcome->exit_code;
    if (end > size && !target->is_device)
        memset(data + size, 0, (size_t)(end - size));
    return start_write(run, number);
}

/* ---- Completions ------------------------------------------------------------------------------------------ */

static void transfer_done(struct pass_run *run, uint32_t number)
{
    progress_add(run->pass->progress, run->in_flight[number].transfer.size);
    (void)start_next(run, number);
}

static void fail_different(struct pass_run *run, const struct transfer *transfer)
{
    (void)outcome_fail(run->outcome, DIO_EXIT_DIFFERENT, 0,
                       "verification failed: bytes %" PRId64 " to %" PRId64
                       " of '%s' differ from what was written; check the device and the memory (dmesg, smartctl)",
                       transfer->start, transfer->start + transfer->size - 1, run->pass->source->path);
}

static void data_is_read(struct pass_run *run, uint32_t number)
{
    struct copy_pass *const pass = run->pass;
    const struct in_flight *const in_flight = &run->in_flight[number];
    bool is_same = false;
    DIO_ASSERT(in_flight->transfer.number < run->cursor.number); /* C4 */
    if (pass->recorded != NULL || pass->expected != NULL) {
        const uint8_t *const data = pass->queue->slots[number].frame.ptr + in_flight->skew;
        const uint64_t hash = XXH3_64bits(data, (size_t)in_flight->transfer.size);
        is_same = pass->expected != NULL && pass->expected[in_flight->transfer.number] == hash;
        if (pass->recorded != NULL)
            pass->recorded->items[in_flight->transfer.number] = hash;
    }
    if (pass->target != NULL && !is_same) {
        (void)begin_writing(run, number);
        return;
    }
    if (pass->target != NULL)
        pass->skipped_bytes += in_flight->transfer.size;
    else if (pass->expected != NULL && !is_same)
        fail_different(run, &in_flight->transfer);
    transfer_done(run, number);
}

/* Refused for the moment until the queue gave up, or a signal ended that. */
static void fail_refused(struct pass_run *run, uint32_t number, const char *what, const struct side *side, int error)
{
    if (interrupt_check(run->outcome) != 0)
        return;
    (void)outcome_fail(run->outcome, DIO_EXIT_FAILED, error,
                       "cannot %s '%s' at byte %" PRId64 ": %s (retried for %d seconds); copy again when the device or "
                       "the server is less busy",
                       what, side->path, first_missing(run, number), strerror(error), PATIENCE_SECONDS);
}

/* No lesser mode helps. */
static void fail_transfer(struct pass_run *run, uint32_t number, const struct side *side, int error)
{
    const bool is_write = run->pass->queue->slots[number].io.is_write != 0;
    const int64_t missing = first_missing(run, number);
    if (is_write) {
        (void)outcome_fail_path(run->outcome, error, "write", side->path);
        return;
    }
    const int64_t bad = bad_block_find(side, missing,
                                       run->pass->source_offset + run->in_flight[number].transfer.start +
                                           run->in_flight[number].transfer.size);
    run->pass->is_source_bad = run->pass->target != NULL;
    (void)outcome_fail_at(run->outcome, error, "read", side->path, bad);
}

/* A transfer failed: falls back and tries again where that can help. */
static void transfer_failed(struct pass_run *run, uint32_t number, struct side *side, int error)
{
    const jdb_engine_io *const io = &run->pass->queue->slots[number].io;
    const bool is_write = io->is_write != 0;
    const char *const what = is_write ? "write" : "read";
    const bool is_stale = io->file != side_file(side); /* another transfer fell back before */
    if (error == EAGAIN || error == EINTR) {
        fail_refused(run, number, what, side, error);
        return;
    }
    if (!is_stale) {
        if (!side_can_fall_back(side, error)) {
            fail_transfer(run, number, side, error);
            return;
        }
        if (side_fall_back(side, run->outcome, what, error) != 0)
            return;
    }
    (void)(is_write ? start_write(run, number) : start_read(run, number));
}

/* The mode in which the bytes of a request were moved. Where a file refuses RWF_DONTCACHE, or a direct transfer as alignments have grown,
 * its own calls have moved them in a lesser one, and the side falls back. */
static enum side_mode mode_of_transfer(struct pass_run *run, const jdb_engine_io *io, struct side *side)
{
    const bool is_direct = io->file == side->files[SIDE_DIRECT];
    if (is_direct && io->direct_size == io->done_size)
        return SIDE_DIRECT;
    if (!is_direct && io->uncached_size == io->done_size)
        return SIDE_UNCACHED;
    if (io->file == side_file(side) && side->mode != SIDE_BUFFERED)
        (void)side_fall_back(side, run->outcome, io->is_write != 0 ? "write" : "read", is_direct ? EINVAL : EOPNOTSUPP);
    return SIDE_BUFFERED;
}

static void transfer_ended(struct pass_run *run, uint32_t number, int error)
{
    const struct in_flight *const in_flight = &run->in_flight[number];
    const jdb_engine_io *const io = &run->pass->queue->slots[number].io;
    const bool is_write = io->is_write != 0;
    struct side *const side = is_write ? run->pass->target : run->pass->source;
    const int64_t wanted = in_flight->transfer.size + (is_write ? 0 : in_flight->skew);
    if (error != 0) {
        transfer_failed(run, number, side, -error);
        return;
    }
    if ((int64_t)io->done_size < wanted) {
        DIO_ASSERT(!is_write); /* C5 */
        fail_short(run, number);
        return;
    }
    if (run->pass->target != NULL) /* else the bytes are not of the copy */
        side_count(side, mode_of_transfer(run, io, side), in_flight->transfer.size);
    if (run->outcome->exit_code != 0)
        return;
    if (is_write)
        transfer_done(run, number);
    else
        data_is_read(run, number);
}

/* Waits for all that is in flight and starts what comes next. */
static void run_to_the_end(struct pass_run *run)
{
    struct queue *const queue = run->pass->queue;
    struct outcome *const outcome = run->outcome;
    while (queue->in_flight_count > 0 && !queue->is_stuck) {
        uint32_t number = 0;
        int error = 0;
        const int err = queue_wait(queue, &number, &error);
        if (err != 0 && interrupt_check(outcome) != 0)
            return;
        if (err != 0) {
            (void)outcome_fail(outcome, DIO_EXIT_FAILED, -err, "cannot wait for io_uring: %s; try --engine=pread",
                               strerror(-err));
            return;
        }
        DIO_ASSERT(number < queue->depth && error <= 0);
        /* After a failure what is in flight is only waited for. */
        if (outcome->exit_code == 0)
            transfer_ended(run, number, error);
        queue->is_ending = outcome->exit_code != 0;
    }
}

int copy_pass_run(struct copy_pass *pass, struct outcome *outcome)
{
    struct pass_run run = {.pass = pass, .outcome = outcome};
    DIO_ASSERT(pass->queue->in_flight_count == 0); /* C2 */
    DIO_ASSERT((pass->block_size & (pass->block_size - 1)) == 0);
    pass->queue->is_ending = false;
    run.in_flight = calloc(pass->queue->depth, sizeof *run.in_flight);
    if (run.in_flight == NULL)
        return outcome_fail(outcome, DIO_EXIT_FAILED, ENOMEM, "no memory for %u transfers; take fewer (--depth)",
                            pass->queue->depth);
    const uint32_t depth = pass->is_in_order ? 1 : pass->queue->depth;
    for (uint32_t number = 0; number < depth; number++) {
        if (!start_next(&run, number))
            break;
    }
    run_to_the_end(&run);
    free(run.in_flight);
    return outcome->exit_code;
}
