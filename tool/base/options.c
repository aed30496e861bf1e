/* SPDX-License-Identifier: MIT
 *
 * options.c - see options.h.
 */
#include "base/options.h"

#include "base/sizes.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

int option_fail(struct outcome *outcome, const char *command, const char *short_options, int result, char **argv)
{
    const char *const word = argv[optind - 1];
    if (result == ':')
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "option '%s' needs a value; see dio %s --help", word, command);
    if (optopt == 0)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "unknown option '%s'; see dio %s --help", word, command);
    if (optopt > UCHAR_MAX || strchr(short_options + 1, optopt) != NULL)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "option '%s' takes no value; see dio %s --help", word, command);
    return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "unknown option '-%c'; see dio %s --help", optopt, command);
}

int option_parse_size(struct outcome *outcome, const char *name, const char *text, int64_t *ret_size)
{
    if (size_parse(text, ret_size) == 0)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_USAGE, 0,
                        "--%s=%s is not a size; give a whole number of bytes, or with K, M, G or T of powers of 1024",
                        name, text);
}
