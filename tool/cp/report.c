/* SPDX-License-Identifier: MIT
 *
 * report.c - see report.h.
 */
#include "cp/report.h"

#include "base/json_write.h"
#include "base/sizes.h"
#include "cp/note.h"

#include <stdio.h>

void report_side_note(const struct side *side)
{
    const char *const verb = side->is_target ? "written" : "read";
    if (side->is_unproven)
        note_print("'%s' is %s with O_DIRECT, but whether that bypasses the page cache is unknown: %s", side->path,
                   verb, side->reason);
    else if (side->mode != SIDE_DIRECT)
        note_print("'%s' is %s %s: %s", side->path, verb, side_mode_name(side->mode), side->reason);
}

void report_notes(const struct copy_report *report, const struct side *source, const struct side *target)
{
    if (!source->is_stream)
        report_side_note(source);
    report_side_note(target);
    if (report->engine_reason[0] != '\0')
        note_print("%s", report->engine_reason);
}

/* "all", "none", "97.3 %": of the bytes that were moved. */
static const char *direct_share(const struct side *side, char text[SIZE_TEXT_SIZE])
{
    const int64_t moved = side->direct_bytes + side->uncached_bytes + side->buffered_bytes;
    if (side->direct_bytes == moved)
        return "all";
    if (side->direct_bytes == 0)
        return "none";
    (void)snprintf(text, SIZE_TEXT_SIZE, "%.1f %%", 100.0 * (double)side->direct_bytes / (double)moved);
    return text;
}

void report_line(const struct copy_report *report, const struct side *source, const struct side *target)
{
    char rate[SIZE_TEXT_SIZE];
    char text[SIZE_TEXT_SIZE];
    const double seconds = report->copy_seconds > 0 ? report->copy_seconds : 1e-9;
    (void)printf("%lld bytes in %.2f s, %s/s; direct: %lld read (%s)", (long long)report->length, seconds,
                 size_text((int64_t)((double)report->data_bytes / seconds), rate), (long long)source->direct_bytes,
                 direct_share(source, text));
    (void)printf(", %lld written (%s)", (long long)target->direct_bytes, direct_share(target, text));
    if (report->length != report->data_bytes)
        (void)printf("; holes kept: %lld", (long long)(report->length - report->data_bytes));
    if (report->is_resumed)
        (void)printf("; found in place: %lld", (long long)report->skipped_bytes);
    (void)printf("; %s, mean depth %.1f of %u %sframes of %s", report->engine, report->mean_depth, report->depth,
                 report->is_registered ? "registered " : "", size_text_exact(report->block_size, text));
    if (report->is_verified)
        (void)printf("; verified in %.2f s", report->verify_seconds);
    (void)putchar('\n');
}

/* ---- JSON ------------------------------------------------------------------------------------------------- */

static void add_side(struct json_object *to, const char *name, const struct side *side, const char *path)
{
    struct json_object *const object = json_write_object(to, name);
    json_write_text_or_null(object, "path", path);
    if (side->plain < 0)
        return;
    json_write_text(object, "kind", side->is_device ? "block device" : side->is_stream ? "stream" : "file");
    json_write_text(object, "mode", side->is_unproven ? "unknown" : side_mode_name(side->mode));
    json_write_text_or_null(object, "reason", side->reason);
    json_write_int(object, "memory_align", side->memory_align);
    json_write_int(object, "offset_align", side->is_target ? side->write_align : side->read_align);
    json_write_int(object, "direct_bytes", side->direct_bytes);
    json_write_int(object, "uncached_bytes", side->uncached_bytes);
    json_write_int(object, "buffered_bytes", side->buffered_bytes);
}

static void add_error(struct json_object *to, const struct outcome *outcome)
{
    if (outcome->exit_code == 0) {
        json_write_null(to, "error");
        return;
    }
    struct json_object *const object = json_write_object(to, "error");
    json_write_text(object, "message", outcome->text);
    json_write_int(object, "errno", outcome->error);
    if (outcome->is_at_byte)
        json_write_int(object, "offset", outcome->offset);
}

void report_json(const struct copy_report *report, const struct copy_options *options, const struct outcome *outcome,
                 const struct side *source, const struct side *target)
{
    struct json_object *const object = json_write_begin();
    json_write_int(object, "schema_version", REPORT_SCHEMA_VERSION);
    json_write_text(object, "command", "cp");
    json_write_int(object, "exit_code", outcome->exit_code);
    add_error(object, outcome);
    add_side(object, "source", source, options->source);
    add_side(object, "target", target, options->target);
    json_write_int(object, "bytes", report->length);
    json_write_int(object, "data_bytes", report->data_bytes);
    json_write_int(object, "hole_bytes", report->length - report->data_bytes);
    json_write_bool(object, "resumed", report->is_resumed);
    json_write_int(object, "found_in_place_bytes", report->skipped_bytes);
    json_write_bool(object, "source_changed", report->source_changed);
    json_write_real(object, "seconds", report->copy_seconds);
    json_write_bool(object, "verified", report->is_verified);
    json_write_real(object, "verify_seconds", report->verify_seconds);
    json_write_text_or_null(object, "engine", report->engine == NULL ? "" : report->engine);
    json_write_text_or_null(object, "engine_reason", report->engine_reason);
    json_write_bool(object, "frames_registered", report->is_registered);
    json_write_int(object, "depth", report->depth);
    json_write_real(object, "mean_depth", report->mean_depth);
    json_write_int(object, "block_size", report->block_size);
    json_write_bool(object, "part_kept", report->part_is_kept);
    json_write_end(object);
}
