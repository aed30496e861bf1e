/* SPDX-License-Identifier: MIT
 *
 * note.h - what a copy says besides its result: "dio cp: note: ...", a line on stderr that is no failure.
 */
#ifndef DIO_NOTE_H
#define DIO_NOTE_H

#include "base/outcome.h"

/* Print one line on stderr. */
void note_print(const char *format, ...) DIO_PRINTF(1, 2);

#endif
