/* SPDX-License-Identifier: MIT
 *
 * copy.c - `dio cp`: the course of one copy from the command line to the exit code.
 */
#include "cp/copy.h"

#include "base/interrupt.h"
#include "cp/pump.h"
#include "cp/report.h"
#include "base/sizes.h"

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

struct copy {
    struct copy_options options;
    struct verdict verdict;
    struct side source;
    struct target target;
    struct ranges ranges;
    struct queue queue;
    struct progress progress;
    struct copy_report report;
    int64_t length;     /* bytes that are copied, holes included */
    uint64_t *known;    /* --resume: a hash for each transfer found in the part file */
    uint64_t *recorded; /* --verify: a hash for each transfer that was copied */
};

/* ---- Beginning -------------------------------------------------------------------------------------------- */

/* Files of /proc and /sys say that they are empty and are not: a copy by size would lose all of it in silence. */
static int refuse_sizeless(const struct side *source, struct verdict *verdict)
{
    char byte = 0;
    if (source->is_device || source->size > 0 || pread(source->plain, &byte, 1, 0) <= 0)
        return 0;
    return verdict_fail(verdict, DIO_EXIT_FAILED, EINVAL,
                        "'%s' says it has 0 bytes and gives more: a file of the system; use cat", source->path);
}

static int open_source(struct copy *copy)
{
    struct side *const source = &copy->source;
    source->path = copy->options.source;
    source->must_be_direct = copy->options.require;
    /* O_NONBLOCK, so that opening a pipe returns and it can be refused. */
    source->plain = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (source->plain < 0)
        return verdict_fail_path(&copy->verdict, errno, "open", source->path);
    if (side_identify(source, &copy->verdict) != 0 || refuse_sizeless(source, &copy->verdict) != 0)
        return copy->verdict.exit_code;
    if (fcntl(source->plain, F_SETFL, O_RDONLY) != 0)
        return verdict_fail_path(&copy->verdict, errno, "open", source->path);
    return side_choose_mode(source, &copy->verdict, O_RDONLY, copy->options.best_mode);
}

static int choose_range(struct copy *copy)
{
    const struct copy_options *const options = &copy->options;
    const int64_t size = copy->source.size;
    if (options->offset > size)
        return verdict_fail(&copy->verdict, DIO_EXIT_FAILED, ERANGE,
                            "--offset=%" PRId64 " is %" PRId64 " bytes past the end of '%s', which has %" PRId64,
                            options->offset, options->offset - size, options->source, size);
    const int64_t rest = size - options->offset;
    if (options->length > rest)
        return verdict_fail(&copy->verdict, DIO_EXIT_FAILED, ERANGE,
                            "--length=%" PRId64 " is %" PRId64 " bytes more than '%s' has from there on",
                            options->length, options->length - rest, options->source);
    copy->length = options->length < 0 ? rest : options->length;
    copy->report.length = copy->length;
    return 0;
}

/* Large enough to keep the device busy, small enough that a short file fills the depth and that the frames of all are not
 * more memory than options may ask for. What a file prefers (st_blksize) is a wish and may be any number. */
static int64_t choose_block(const struct copy *copy, int64_t align, int64_t depth)
{
    const int64_t wish = smaller(larger(copy->source.best_size, copy->target.side.best_size), BLOCK_SIZE_MAX);
    const int64_t least = larger(larger(align, BLOCK_SIZE_MIN), power_of_two(wish));
    int64_t block = larger(BLOCK_SIZE_DEFAULT, least);
    while (block > larger(BLOCK_SIZE_LEAST, least) && block * depth > copy->length)
        block /= 2;
    while (block > larger(BLOCK_SIZE_MIN, align) && block * depth > MEMORY_MAX)
        block /= 2;
    return block;
}

/* A power of two that both sides take. */
static int choose_blocks(struct copy *copy)
{
    const struct side *const source = &copy->source;
    const struct side *const target = &copy->target.side;
    const int64_t align =
        larger(larger(source->read_align, source->memory_align), larger(target->write_align, target->memory_align));
    const int64_t wanted_depth = copy->options.depth > 0 ? copy->options.depth : DEPTH_DEFAULT;
    const int64_t block =
        copy->options.block_size > 0 ? copy->options.block_size : choose_block(copy, align, wanted_depth);
    if (block < align)
        return verdict_fail(&copy->verdict, DIO_EXIT_USAGE, 0,
                            "--block-size=%" PRId64 " is less than the %" PRId64 " bytes that direct I/O asks for here",
                            block, align);
    copy->report.block_size = block;
    const int64_t needed = larger(1, smaller(wanted_depth, (copy->length + block - 1) / block));
    copy->report.depth = (uint32_t)needed;
    return 0;
}

static int find_ranges(struct copy *copy)
{
    const struct target *const target = &copy->target;
    /* In place old bytes stand where the holes would be, so zeros are written. */
    const bool keep_holes = !copy->source.is_device && !target->is_in_place;
    const int64_t align = larger(4096, larger(target->side.write_align, target->side.memory_align));
    int failed = ranges_find(&copy->ranges, &copy->verdict, &copy->source, copy->options.offset, copy->length, align,
                             keep_holes);
    /* Where SRC has a hole by now an earlier copy may have put data: if that cannot go, zeros are written there, too. */
    if (failed == 0 && target->is_resumed && !target_punch(target, &copy->ranges, copy->length)) {
        ranges_done(&copy->ranges);
        failed =
            ranges_find(&copy->ranges, &copy->verdict, &copy->source, copy->options.offset, copy->length, align, false);
    }
    copy->report.data_bytes = copy->ranges.total;
    return failed;
}

static int allocate_hashes(struct copy *copy)
{
    const size_t count = transfer_count(&copy->ranges, copy->report.block_size) + 1;
    if (copy->target.is_resumed)
        copy->known = calloc(count, sizeof *copy->known);
    if (copy->options.verify)
        copy->recorded = calloc(count, sizeof *copy->recorded);
    if ((copy->target.is_resumed && copy->known == NULL) || (copy->options.verify && copy->recorded == NULL))
        return verdict_fail(&copy->verdict, DIO_EXIT_FAILED, ENOMEM, "no memory for %zu hashes", count);
    return 0;
}

static int open_queue(struct copy *copy)
{
    struct copy_report *const report = &copy->report;
    const size_t frame_size = pump_frame_size(&copy->source, copy->options.offset, report->block_size);
    if (queue_open(&copy->queue, &copy->verdict, copy->options.engine, report->depth, frame_size) != 0)
        return copy->verdict.exit_code;
    report->engine = copy->queue.is_uring ? "io_uring" : "pread";
    report->is_registered = copy->queue.is_registered;
    memcpy(report->engine_reason, copy->queue.reason, sizeof report->engine_reason);
    return 0;
}

/* ---- The passes ------------------------------------------------------------------------------------------- */

static int run_pass(struct copy *copy, struct pump *pump, const char *what)
{
    pump->queue = &copy->queue;
    pump->ranges = &copy->ranges;
    pump->block_size = copy->report.block_size;
    pump->progress = &copy->progress;
    progress_start(&copy->progress, what, copy->ranges.total, !copy->options.quiet);
    const int failed = pump_run(pump, &copy->verdict);
    progress_end(&copy->progress);
    return failed;
}

/* Hashes what an earlier copy has left. */
static int resume_pass(struct copy *copy)
{
    struct side part = copy->target.side; /* its own counts: these bytes are not of the copy */
    struct pump pump = {.source = &part, .recorded = copy->known};
    return run_pass(copy, &pump, "check");
}

static int copy_pass(struct copy *copy)
{
    struct pump pump = {.source = &copy->source,
                        .target = &copy->target.side,
                        .source_offset = copy->options.offset,
                        .recorded = copy->recorded,
                        .expected = copy->known};
    const int failed = run_pass(copy, &pump, "copy");
    copy->report.skipped_bytes = pump.skipped_bytes;
    copy->report.mean_depth = queue_mean_depth(&copy->queue);
    return failed;
}

static int verify_pass(struct copy *copy)
{
    struct side reread = copy->target.side;
    struct pump pump = {.source = &reread, .expected = copy->recorded};
    const double started = seconds_now();
    if (run_pass(copy, &pump, "verify") != 0)
        return copy->verdict.exit_code;
    copy->report.verify_seconds = seconds_now() - started;
    copy->report.is_verified = true;
    return 0;
}

/* Shrunk in the moment between: what was taken for a hole may have been cut off. Other changes are told. */
static int check_source(struct copy *copy)
{
    struct stat now;
    const struct stat *const then = &copy->source.stat;
    if (copy->source.is_device)
        return 0;
    if (fstat(copy->source.plain, &now) != 0)
        return verdict_fail_path(&copy->verdict, errno, "examine", copy->source.path);
    if ((int64_t)now.st_size < copy->options.offset + copy->length)
        return verdict_fail(&copy->verdict, DIO_EXIT_CHANGED, 0,
                            "'%s' shrank while it was copied, from %" PRId64 " to %" PRId64
                            " bytes; copy it again when nobody changes it",
                            copy->source.path, copy->source.size, (int64_t)now.st_size);
    copy->report.source_changed = now.st_size != then->st_size || now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
                                  now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
    if (copy->report.source_changed)
        verdict_note("'%s' changed while it was copied; the copy may hold some of the old and some of the new",
                     copy->source.path);
    return 0;
}

/* Each step returns 0 or the exit code that stands in the verdict. */
static int prepare(struct copy *copy)
{
    int failed = open_source(copy);
    if (failed == 0)
        failed = choose_range(copy);
    if (failed == 0)
        failed = target_open(&copy->target, &copy->verdict, &copy->options, &copy->source, copy->options.offset,
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

static int run(struct copy *copy)
{
    struct target *const target = &copy->target;
    if (prepare(copy) != 0 || (target->is_resumed && resume_pass(copy) != 0))
        return copy->verdict.exit_code;
    const double started = seconds_now();
    int failed =
        target_prepare(target, &copy->verdict, &copy->source, copy->options.offset, copy->length, &copy->ranges);
    if (failed == 0)
        failed = copy_pass(copy);
    if (failed == 0)
        failed = check_source(copy);
    if (failed == 0 && copy->options.verify)
        failed = target_sync(target, &copy->verdict);
    if (failed == 0 && copy->options.verify)
        failed = verify_pass(copy);
    if (failed == 0)
        failed = target_finish(target, &copy->verdict, &copy->source, copy->length, copy->options.preserve);
    copy->report.copy_seconds = seconds_now() - started - copy->report.verify_seconds;
    if (failed == 0)
        failed = target_commit(target, &copy->verdict, &copy->source, copy->options.preserve);
    return failed;
}

/* ---- The end ---------------------------------------------------------------------------------------------- */

static void tell(const struct copy *copy)
{
    const struct verdict *const verdict = &copy->verdict;
    const struct target *const target = &copy->target;
    if (!copy->options.quiet && !copy->options.json && verdict->exit_code == 0) {
        report_notes(&copy->report, &copy->source, &target->side);
        report_line(&copy->report, &copy->source, &target->side);
    }
    if (verdict->exit_code != 0)
        (void)fprintf(stderr, "dio cp: %s\n", verdict->text);
    if (copy->report.part_is_kept)
        verdict_note("what was copied is kept in '%s'; continue with --resume", target->part.path);
    if (verdict->exit_code != 0 && target->is_in_place && target->is_written)
        verdict_note("'%s' was being written in place and holds a part of the copy", target->path);
    if (copy->options.json)
        report_json(&copy->report, &copy->options, verdict, &copy->source, &target->side);
}

/* Flushes stdout: a result that could not be printed is no success. */
static int flush(int exit_code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return exit_code;
    (void)fprintf(stderr, "dio cp: cannot print the result: %s\n", strerror(errno));
    return exit_code != 0 ? exit_code : DIO_EXIT_FAILED;
}

int copy_main(int argc, char **argv)
{
    static struct copy copy; /* large, and zero at the start */
    copy.source = SIDE_INIT;
    copy.target = TARGET_INIT;
    if (copy_options_parse(&copy.options, &copy.verdict, argc, argv) != 0) {
        (void)fprintf(stderr, "dio cp: %s\n", copy.verdict.text);
        return copy.verdict.exit_code;
    }
    if (copy.options.help) {
        (void)fputs(copy_help, stdout);
        return flush(0);
    }
    interrupt_catch();
    (void)run(&copy);
    copy.report.part_is_kept = copy.verdict.exit_code > 128 && copy.target.has_record;
    tell(&copy);
    queue_close(&copy.queue);
    target_close(&copy.target, copy.report.part_is_kept);
    side_close(&copy.source);
    ranges_done(&copy.ranges);
    free(copy.known);
    free(copy.recorded);
    const int exit_code = flush(copy.verdict.exit_code);
    if (exit_code > 128)
        interrupt_die();
    return exit_code;
}
