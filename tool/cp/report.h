/* SPDX-License-Identifier: MIT
 *
 * report.h - the result of a copy: the last line for people, or one JSON object for programs.
 */
#ifndef DIO_REPORT_H
#define DIO_REPORT_H

#include "cp/copy_options.h"
#include "cp/target.h"

/* Version of the JSON object: raised when a field changes its meaning or is removed; new fields do not raise it. */
#define REPORT_SCHEMA_VERSION 1

struct copy_report {
    int64_t length;        /* bytes of the copy, holes included */
    int64_t data_bytes;    /* without the holes */
    int64_t skipped_bytes; /* found in place by --resume */
    double copy_seconds;   /* from the allocation of space until all is durable, without verify_seconds */
    double verify_seconds;
    bool is_verified;
    bool is_resumed;
    bool source_changed; /* its mtime, or it grew */
    const char *engine;  /* "io_uring", "pread" */
    char engine_reason[320];
    bool is_registered;
    uint32_t depth;
    double mean_depth;
    int64_t block_size;
    bool part_is_kept;
};

/* Lines on stderr that say which side is not direct, and why. */
void report_notes(const struct copy_report *report, const struct side *source, const struct side *target);

/* The line of one side, where it is not direct. */
void report_side_note(const struct side *side);

/* The last line, on stdout. */
void report_line(const struct copy_report *report, const struct side *source, const struct side *target);

/* The JSON object, on stdout. */
void report_json(const struct copy_report *report, const struct copy_options *options, const struct outcome *outcome,
                 const struct side *source, const struct side *target);

#endif
