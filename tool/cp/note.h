/* SPDX-License-Identifier: MIT
 *
 * note.h - what a copy says besides its result: "dio cp: note: ...", a line on stderr that is no failure.
 */
#ifndef DIO_NOTE_H
#define DIO_NOTE_H

#include "base/outcome.h"

/* Print one line on stderr. */
void note_print(const char *format, ...) DIO_PRINTF(1, 2);

/* What the system may refuse and a copy does not need. */
enum note_refused {
    NOTE_OWNER,
    NOTE_MODE,
    NOTE_TIMES,
    NOTE_LIST,
    NOTE_SYNC,
    NOTE_DIRECTORY_SYNC,
    NOTE_REFUSED_COUNT,
};

/* Say that it was refused for the file `path`, with the errno, once for each kind: in a tree it is so for each file. From any
 * thread. */
void note_refused(enum note_refused refused, const char *path, int error);

#endif
