/* SPDX-License-Identifier: MIT
 *
 * report.c - see report.h.
 */
#include "cp/report.h"

#include "base/json_text.h"
#include "base/sizes.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static void note_side(const struct side *side)
{
    const char *const verb = side->is_target ? "written" : "read";
    if (side->is_unproven)
        verdict_note("'%s' is %s with O_DIRECT, and whether that is direct is not known: %s", side->path, verb,
                     side->reason);
    else if (side->mode != SIDE_DIRECT)
        verdict_note("'%s' is %s %s: %s", side->path, verb, side_mode_name(side->mode), side->reason);
}

void report_notes(const struct copy_report *report, const struct side *source, const struct side *target)
{
    note_side(source);
    note_side(target);
    if (report->engine_reason[0] != '\0')
        verdict_note("%s", report->engine_reason);
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

static void add_text(json_object *object, const char *name, const char *text)
{
    (void)json_object_object_add(object, name, text[0] == '\0' ? NULL : json_text(text));
}

static void add_int(json_object *object, const char *name, int64_t value)
{
    (void)json_object_object_add(object, name, json_object_new_int64(value));
}

static void add_bool(json_object *object, const char *name, bool value)
{
    (void)json_object_object_add(object, name, json_object_new_boolean(value));
}

static void add_real(json_object *object, const char *name, double value)
{
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%.6f", value);
    (void)json_object_object_add(object, name, json_object_new_double_s(value, digits));
}

static json_object *describe_side(const struct side *side, const char *path)
{
    json_object *const object = json_object_new_object();
    add_text(object, "path", path);
    if (side->plain < 0)
        return object;
    add_text(object, "kind", side->is_device ? "block device" : "file");
    add_text(object, "mode", side->is_unproven ? "unknown" : side_mode_name(side->mode));
    add_text(object, "reason", side->reason);
    add_int(object, "memory_align", side->memory_align);
    add_int(object, "offset_align", side->is_target ? side->write_align : side->read_align);
    add_int(object, "direct_bytes", side->direct_bytes);
    add_int(object, "uncached_bytes", side->uncached_bytes);
    add_int(object, "buffered_bytes", side->buffered_bytes);
    return object;
}

static json_object *describe_error(const struct verdict *verdict)
{
    if (verdict->exit_code == 0)
        return NULL;
    json_object *const object = json_object_new_object();
    add_text(object, "message", verdict->text);
    add_int(object, "errno", verdict->error);
    return object;
}

void report_json(const struct copy_report *report, const struct copy_options *options, const struct verdict *verdict,
                 const struct side *source, const struct side *target)
{
    json_object *const object = json_object_new_object();
    add_int(object, "schema_version", REPORT_SCHEMA_VERSION);
    add_text(object, "command", "cp");
    add_int(object, "exit_code", verdict->exit_code);
    (void)json_object_object_add(object, "error", describe_error(verdict));
    (void)json_object_object_add(object, "source", describe_side(source, options->source));
    (void)json_object_object_add(object, "target", describe_side(target, options->target));
    add_int(object, "bytes", report->length);
    add_int(object, "data_bytes", report->data_bytes);
    add_int(object, "hole_bytes", report->length - report->data_bytes);
    add_bool(object, "resumed", report->is_resumed);
    add_int(object, "found_in_place_bytes", report->skipped_bytes);
    add_bool(object, "source_changed", report->source_changed);
    add_real(object, "seconds", report->copy_seconds);
    add_bool(object, "verified", report->is_verified);
    add_real(object, "verify_seconds", report->verify_seconds);
    add_text(object, "engine", report->engine == NULL ? "" : report->engine);
    add_text(object, "engine_reason", report->engine_reason);
    add_bool(object, "frames_registered", report->is_registered);
    add_int(object, "depth", report->depth);
    add_real(object, "mean_depth", report->mean_depth);
    add_int(object, "block_size", report->block_size);
    add_bool(object, "part_kept", report->part_is_kept);
    (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
    (void)json_object_put(object);
}
