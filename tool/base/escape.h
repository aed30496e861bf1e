/* SPDX-License-Identifier: MIT
 *
 * escape.h - names of files as a terminal may show them: a name can have control characters, which would move the cursor, change
 * what stands there, or begin a line that looks like a message of dio.
 *
 * A newline, tab and return become \n, \t, \r; any other control character (of C1 too, also in UTF-8) becomes \ooo, octal. A text
 * without them stays as it is, also one that was escaped before.
 */
#ifndef DIO_ESCAPE_H
#define DIO_ESCAPE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Bytes of a message with a name in it. */
#define ESCAPE_MESSAGE_MAX 8192

/* Write the text to `to`, at most size - 1 bytes and a zero; no escape is cut in two. */
void escape_text(char *to, size_t size, const char *text);

/* printf() and vprintf() of what is escaped. */
void escape_vprint(FILE *stream, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
void escape_print(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
