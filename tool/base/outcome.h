/* SPDX-License-Identifier: MIT
 *
 * outcome.h - how a run of dio ends: one exit code, and the one sentence that says why it failed.
 *
 * A function of the tool that can fail takes the outcome and returns 0 or the exit code that outcome_fail() recorded.
 * The first failure is kept: what fails while cleaning up does not hide the cause. Nothing is printed before main ends
 * the run, so that the sentence stands once on stderr and, with --json, once in the report.
 *
 * A message says what is wrong, by how much, and what to do: "cannot WHAT 'PATH': CAUSE; REMEDY".
 */
#ifndef DIO_OUTCOME_H
#define DIO_OUTCOME_H

#include "base/invariant.h"

#include <stdbool.h>
#include <stdint.h>

/* The documented exit codes; 128 + N stands for an end by signal N. */
#define DIO_EXIT_FAILED 1     /* the system refused something; DST is as it was */
#define DIO_EXIT_USAGE 2      /* the command line is wrong */
#define DIO_EXIT_NOT_DIRECT 3 /* --require, and a side cannot do direct I/O; probe: a path is not direct */
#define DIO_EXIT_DIFFERENT 4  /* --verify read back something else than was written */
#define DIO_EXIT_CHANGED 5    /* SRC shrank while it was copied */
#define DIO_EXIT_UNKNOWN 6    /* probe: whether a path is direct is not known */
#define DIO_EXIT_SIGNAL 128   /* plus the number of the signal */

struct outcome {
    int exit_code; /* 0 = all is well */
    int error;     /* errno behind it, 0 where there is none */
    bool is_at_byte;
    int64_t offset; /* of that byte of the file, where is_at_byte is set */
    char text[640]; /* control characters are escaped (escape.h) */
};

#define DIO_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* Record a failure unless one is recorded. error: a positive errno, 0 = none; its text is not appended.
 * Returns the exit code recorded. */
int outcome_fail(struct outcome *outcome, int exit_code, int error, const char *format, ...) DIO_PRINTF(4, 5);

/* "cannot WHAT 'PATH': CAUSE; REMEDY", with the remedy of the errnos that have one. Exit code 1. EINTR by a signal that ends the
 * program: as interrupt_check(). */
int outcome_fail_path(struct outcome *outcome, int error, const char *what, const char *path);

/* "cannot WHAT 'PATH' at byte OFFSET: CAUSE; REMEDY". */
int outcome_fail_at(struct outcome *outcome, int error, const char *what, const char *path, int64_t offset);

#endif
