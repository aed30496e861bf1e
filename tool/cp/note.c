/* SPDX-License-Identifier: MIT
 *
 * note.c - see note.h.
 */
#include "cp/note.h"

#include <stdarg.h>
#include <stdio.h>

void note_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("dio cp: note: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}
