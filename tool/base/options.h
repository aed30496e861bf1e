/* SPDX-License-Identifier: MIT
 *
 * options.h - what the commands say of a command line that is wrong. Exit code 2 each.
 */
#ifndef DIO_OPTIONS_H
#define DIO_OPTIONS_H

#include "base/outcome.h"

/* For '?' and ':' of getopt_long(). short_options: as given to it, beginning with ':'; long options that have no short form
 * return numbers above UCHAR_MAX. command: "cp". */
int option_fail(struct outcome *outcome, const char *command, const char *short_options, int result, char **argv);

/* A size in bytes, as size_parse(). name: of the option, without dashes. */
int option_parse_size(struct outcome *outcome, const char *name, const char *text, int64_t *ret_size);

#endif
