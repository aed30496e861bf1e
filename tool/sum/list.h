/* SPDX-License-Identifier: MIT
 *
 * list.h - lines of "DIGEST  NAME", as sha256sum(1) and xxh128sum(1) print and read them. A name with a backslash or a newline
 * is escaped, and its line begins with a backslash.
 */
#ifndef DIO_LIST_H
#define DIO_LIST_H

#include "sum/digest.h"

#include <stdio.h>

struct list_line {
    enum digest_kind kind;
    const char *digest;
    const char *name;
};

/* Print one line on stdout. */
void list_print(const char *digest, const char *name);

/* Parse a line without its newline, in place; the result points into it. False: it is no such line. */
bool list_parse(char *text, struct list_line *line);

#endif
