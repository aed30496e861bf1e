/* SPDX-License-Identifier: MIT
 *
 * replace.h - what keeps a rename from giving DST its new content, found out before a byte is copied.
 *
 * A copy is written to a part file and renamed. Where that must fail, DST can often be written in place all the same: what it
 * lacks is a right in the directory, not in the file.
 */
#ifndef DIO_REPLACE_H
#define DIO_REPLACE_H

#include "base/outcome.h"

#include <stdbool.h>
#include <sys/stat.h>

/* DST as it was found. */
struct replaced {
    int directory;          /* O_PATH */
    int fd;                 /* of DST, O_PATH; -1: there is none */
    const struct stat *old; /* of fd */
};

/* Why nothing can be renamed to DST, or renamed or removed beside it; NULL: nothing is known that keeps it. */
const char *replace_obstacle(const struct replaced *replaced);

/* Refuse a file that cannot be written in any way, because of its attributes (chattr). */
int replace_refuse_attributes(struct outcome *outcome, const char *path, int fd);

#endif
