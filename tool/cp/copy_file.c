/* SPDX-License-Identifier: MIT
 *
 * copy_file.c - see copy_file.h.
 */
#include "cp/copy_file.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/lease.h"
#include "base/sizes.h"
#include "cp/note.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_SIZE_DEFAULT ((int64_t)1 << 20)
#define BLOCK_SIZE_LEAST ((int64_t)64 << 10) /* blocks are not cut smaller than this for the sake of depth */
#define DEPTH_DEFAULT 16

/* ---- Beginning -------------------------------------------------------------------------------------------- */

/* Files of /proc and /sys report size 0 and have data: a copy by size would lose all of it without an error. */
static int refuse_sizeless(const struct side *source, struct outcome *outcome)
{
    char byte = 0;
    if (source->is_device || source->size > 0)
        return 0;
    const ssize_t got = pread(source->plain, &byte, 1, 0);
    if (got < 0)
        return outcome_fail_path(outcome, errno, "read", source->path);
    if (got == 0)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_FAILED, EINVAL, "'%s' reports size 0 but has data (procfs or sysfs); use cat",
                        source->path);
}

static int open_source(struct copy *copy)
{
    struct side *const source = &copy->source;
    if (copy->options.from_stream)
        return side_open_stream(source, &copy->outcome, "standard input");
    source->path = copy->options.source;
    source->must_be_direct = copy->options.require;
    /* Opening a pipe returns, so that it can be refused. */
    const int links = copy->options.in_tree && copy->options.recursive ? O_NOFOLLOW : 0; /* it was listed as a file */
    source->plain = lease_open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | links);
    if (source->plain < 0 && interrupt_check(&copy->outcome) != 0)
        return copy->outcome.exit_code;
    if (source->plain < 0)
        return outcome_fail_path(&copy->outcome, errno, "open", source->path);
    if (side_identify(source, &copy->outcome) != 0 || refuse_sizeless(source, &copy->outcome) != 0)
        return copy->outcome.exit_code;
    if (fcntl(source->plain, F_SETFL, O_RDONLY) != 0)
        return outcome_fail_path(&copy->outcome, errno, "open", source->path);
    return side_choose_mode(source, &copy->outcome, JDB_FILE_READ, copy->options.best_mode);
}

static int choose_range(struct copy *copy)
{
    const struct copy_options *const options = &copy->options;
    const int64_t size = copy->source.size;
    if (options->from_stream)
        return 0;
    if (options->offset > size)
        return outcome_fail(&copy->outcome, DIO_EXIT_FAILED, ERANGE,
                            "--offset=%" PRId64 " is %" PRId64 " bytes past the end of '%s', which has %" PRId64
                            " bytes; choose an offset of at most that",
                            options->offset, options->offset - size, options->source, size);
    const int64_t rest = size - options->offset;
    if (options->length > rest)
        return outcome_fail(&copy->outcome, DIO_EXIT_FAILED, ERANGE,
                            "--length=%" PRId64 " is %" PRId64 " bytes more than '%s' has from --offset on; choose at "
                            "most %" PRId64,
                            options->length, options->length - rest, options->source, rest);
    copy->length = options->length < 0 ? rest : options->length;
    copy->report.length = copy->length;
    return 0;
}

/* Of all frames of one queue. */
static int64_t memory_max(const struct copy *copy)
{
    return copy->options.in_tree ? MEMORY_MAX / TREE_THREADS : MEMORY_MAX;
}

/* Large enough to keep the device busy, small enough that a short file fills the depth and that the frames of all are not
 * more memory than options may ask for. What a file prefers (st_blksize) is a wish and may be any number. */
static int64_t choose_block(const struct copy *copy, int64_t align, int64_t depth)
{
    const bool is_known = !copy->options.from_stream;
    const int64_t wish = smaller(larger(copy->source.best_size, copy->target.side.best_size), BLOCK_SIZE_MAX);
    const int64_t least = larger(larger(align, BLOCK_SIZE_MIN), power_of_two(wish));
    int64_t block = larger(BLOCK_SIZE_DEFAULT, least);
    while (is_known && block > larger(BLOCK_SIZE_LEAST, least) && block * depth > copy->length)
        block /= 2;
    while (block > larger(BLOCK_SIZE_MIN, align) && block * depth > memory_max(copy))
        block /= 2;
    return block;
}

/* A power of two that both sides accept. */
static int choose_blocks(struct copy *copy)
{
    const struct side *const source = &copy->source;
    const struct side *const target = &copy->target.side;
    const int64_t align = larger(larger(source->read_align, source->memory_align),
                                 larger(larger(target->write_align, target->read_align), target->memory_align));
    const int64_t wanted_depth = copy->options.depth > 0 ? copy->options.depth : DEPTH_DEFAULT;
    const int64_t block =
        copy->options.block_size > 0 ? copy->options.block_size : choose_block(copy, align, wanted_depth);
    if (block < align)
        return outcome_fail(&copy->outcome, DIO_EXIT_USAGE, 0,
                            "--block-size=%" PRId64 " is less than the %" PRId64
                            " bytes that direct I/O requires here; choose at least that",
                            block, align);
    DIO_ASSERT(block >= BLOCK_SIZE_MIN && (block & (block - 1)) == 0);
    copy->report.block_size = block;
    const int64_t count = copy->options.from_stream ? wanted_depth : (copy->length + block - 1) / block;
    const int64_t needed = larger(1, smaller(wanted_depth, count));
    DIO_ASSERT(needed <= DEPTH_MAX);
    copy->report.depth = (uint32_t)needed;
    return 0;
}

static int find_ranges(struct copy *copy)
{
    const struct target *const target = &copy->target;
    if (copy->options.from_stream)
        return 0;
    /* In place there are old bytes where the holes would be, so zeros are written. */
    const bool keep_holes = !copy->source.is_device && !target->is_in_place && !target->is_sequential;
    const int64_t align = larger(4096, larger(target->side.write_align, target->side.memory_align));
    int failed = ranges_find(&copy->ranges, &copy->outcome, &copy->source, copy->options.offset, copy->length, align,
                             keep_holes);
    /* Where SRC has a hole now, an earlier copy may have written data: if it cannot be removed, zeros are written there too. */
    if (failed == 0 && target->is_resumed && !target_punch(target, &copy->ranges, copy->length)) {
        ranges_done(&copy->ranges);
        failed =
            ranges_find(&copy->ranges, &copy->outcome, &copy->source, copy->options.offset, copy->length, align, false);
    }
    copy->report.data_bytes = copy->ranges.total;
    return failed;
}

static int allocate_hashes(struct copy *copy)
{
    const size_t count = transfer_count(&copy->ranges, copy->report.block_size) + 1;
    if (copy->target.is_resumed && hashes_reserve(&copy->known, &copy->outcome, count) != 0)
        return copy->outcome.exit_code;
    return copy->options.verify ? hashes_reserve(&copy->recorded, &copy->outcome, count) : 0;
}

static int open_queue(struct copy *copy)
{
    struct copy_report *const report = &copy->report;
    /* In a tree the queue is for files to come, too. */
    const bool in_tree = copy->options.in_tree;
    const uint32_t depth = in_tree ? (uint32_t)copy->options.depth : report->depth;
    int64_t block = report->block_size;
    while (in_tree && copy->options.block_size == 0 && block < BLOCK_SIZE_DEFAULT &&
           2 * block * depth <= memory_max(copy))
        block *= 2;
    const size_t frame_size = copy_pass_frame_size(&copy->source, copy->options.offset, block);
    struct queue *const queue = copy->queue;
    if (!queue_fits(queue, depth, frame_size)) {
        queue_close(queue);
        if (queue_open(queue, &copy->outcome, copy->options.engine, depth, frame_size) != 0)
            return copy->outcome.exit_code;
    }
    report->engine = queue_is_uring(queue) ? "io_uring" : "pread";
    report->is_registered = queue->is_registered;
    memcpy(report->engine_reason, queue->reason, sizeof report->engine_reason);
    return 0;
}

/* ---- The passes ------------------------------------------------------------------------------------------- */

static int run_pass(struct copy *copy, struct copy_pass *pass, const char *what)
{
    pass->queue = copy->queue;
    pass->ranges = &copy->ranges;
    pass->block_size = copy->report.block_size;
    pass->progress = &copy->progress;
    progress_start(&copy->progress, what, copy->ranges.total, !copy->options.quiet);
    const int failed = copy_pass_run(pass, &copy->outcome);
    progress_end(&copy->progress);
    return failed;
}

/* The length of a stream is known at its end. */
static int find_stream_range(struct copy *copy, int64_t length)
{
    copy->length = length;
    copy->report.length = length;
    copy->report.data_bytes = length;
    return ranges_find(&copy->ranges, &copy->outcome, &copy->source, 0, length, 1, false);
}

/* Hashes what an earlier copy has left. */
static int run_check_pass(struct copy *copy)
{
    struct side part = copy->target.side; /* its own mode, where a read is refused */
    struct copy_pass pass = {.source = &part, .recorded = &copy->known};
    const int failed = run_pass(copy, &pass, "check");
    memcpy(copy->target.side.files, part.files, sizeof part.files);
    return failed;
}

static int run_copy_pass(struct copy *copy)
{
    struct copy_pass pass = {.source = &copy->source,
                             .target = &copy->target.side,
                             .source_offset = copy->options.offset,
                             .is_in_order = copy->target.is_sequential,
                             .recorded = copy->options.verify ? &copy->recorded : NULL,
                             .expected = copy->known.items};
    const int failed = run_pass(copy, &pass, "copy");
    copy->report.skipped_bytes = pass.skipped_bytes;
    copy->is_source_bad = pass.is_source_bad;
    copy->report.mean_depth = queue_mean_depth(copy->queue);
    return failed == 0 && copy->options.from_stream ? find_stream_range(copy, pass.stream_bytes) : failed;
}

static int run_verify_pass(struct copy *copy)
{
    struct side reread = copy->target.side;
    struct copy_pass pass = {.source = &reread, .expected = copy->recorded.items};
    const double started = seconds_now();
    const int failed = run_pass(copy, &pass, "verify");
    memcpy(copy->target.side.files, reread.files, sizeof reread.files);
    if (failed != 0)
        return failed;
    copy->report.verify_seconds = seconds_now() - started;
    copy->report.is_verified = true;
    return 0;
}

/* SRC may have shrunk after its end was read: what was taken for a hole may have been cut off. Other changes get a note. */
static int check_source(struct copy *copy)
{
    struct stat now;
    const struct stat *const then = &copy->source.stat;
    if (copy->source.is_device || copy->source.is_stream)
        return 0;
    if (fstat(copy->source.plain, &now) != 0)
        return outcome_fail_path(&copy->outcome, errno, "examine", copy->source.path);
    if ((int64_t)now.st_size < copy->options.offset + copy->length)
        return outcome_fail(&copy->outcome, DIO_EXIT_CHANGED, 0,
                            "'%s' shrank while it was copied, from %" PRId64 " to %" PRId64
                            " bytes; copy it again when nobody changes it",
                            copy->source.path, copy->source.size, (int64_t)now.st_size);
    copy->report.source_changed = now.st_size != then->st_size || now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
                                  now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
    if (copy->report.source_changed)
        note_print(
            "'%s' changed while it was copied, and the copy may be a mixture of old and new; copy again when nobody "
            "changes it",
            copy->source.path);
    return 0;
}

/* Each step returns 0 or the exit code that the outcome has. */
static int prepare_copy(struct copy *copy)
{
    int failed = open_source(copy);
    if (failed == 0)
        failed = choose_range(copy);
    if (failed == 0)
        failed = target_open(&copy->target, &copy->outcome, &copy->options, &copy->source, copy->options.offset,
                             copy->length);
    if (failed == 0)
        failed = choose_blocks(copy);
    if (failed == 0)
        failed = find_ranges(copy);
    if (failed == 0)
        failed = allocate_hashes(copy);
    if (failed == 0)
        failed = open_queue(copy);
    copy->report.is_resumed = copy->target.is_resumed;
    return failed;
}

static int run_copy(struct copy *copy)
{
    struct target *const target = &copy->target;
    if (prepare_copy(copy) != 0 || (target->is_resumed && run_check_pass(copy) != 0))
        return copy->outcome.exit_code;
    const double started = seconds_now();
    int failed =
        target_prepare(target, &copy->outcome, &copy->source, copy->options.offset, copy->length, &copy->ranges);
    if (failed == 0 && target->is_sequential) { /* from the start, without the holes: there is nothing to leave out */
        ranges_done(&copy->ranges);
        free(copy->known.items);
        copy->known = (struct hashes){0};
        failed = find_ranges(copy);
        if (failed == 0)
            failed = allocate_hashes(copy);
    }
    if (failed == 0)
        failed = run_copy_pass(copy);
    if (failed == 0)
        failed = check_source(copy);
    if (failed == 0 && copy->options.verify)
        failed = target_sync(target, &copy->outcome);
    if (failed == 0 && copy->options.verify)
        failed = run_verify_pass(copy);
    if (failed == 0)
        failed = target_finish(target, &copy->outcome, &copy->source, copy->length, copy->options.preserve);
    copy->report.copy_seconds = seconds_now() - started - copy->report.verify_seconds;
    if (failed == 0)
        failed = target_commit(target, &copy->outcome, &copy->source, copy->options.preserve);
    return failed;
}

/* ---- Begin and end ----------------------------------------------------------------------------------------- */

void copy_file(struct copy *copy, const struct copy_options *options, struct queue *queue, struct progress *whole)
{
    *copy = (struct copy){.options = *options, .source = SIDE_INIT, .target = TARGET_INIT, .queue = queue};
    copy->progress.whole = whole;
    (void)run_copy(copy);
    const bool is_worth_it = copy->outcome.exit_code > DIO_EXIT_SIGNAL || copy->is_source_bad;
    copy->report.part_is_kept = is_worth_it && copy->target.has_record;
}

void copy_file_close(struct copy *copy)
{
    if (copy->queue->is_stuck)
        queue_close(copy->queue); /* what is in flight uses the files */
    target_close(&copy->target, copy->report.part_is_kept);
    side_close(&copy->source);
    ranges_done(&copy->ranges);
    free(copy->known.items);
    free(copy->recorded.items);
}
