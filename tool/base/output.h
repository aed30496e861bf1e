/* SPDX-License-Identifier: MIT
 *
 * output.h - standard output as a stream of bytes: pipe, terminal, socket or file.
 */
#ifndef DIO_OUTPUT_H
#define DIO_OUTPUT_H

#include "base/outcome.h"

#include <stddef.h>

/* Write all of the bytes to standard output. A reader that went away is SIGPIPE, or this failure. */
int output_write(struct outcome *outcome, const void *ptr, size_t size);

/* Flush stdout: a result that could not be printed is no success. Returns the exit code, or 1. command: "cat". */
int output_flush(const char *command, int exit_code);

#endif
