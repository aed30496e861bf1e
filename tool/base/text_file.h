/* SPDX-License-Identifier: MIT
 *
 * text_file.h - the small files of procfs and sysfs: one line, one number.
 */
#ifndef DIO_TEXT_FILE_H
#define DIO_TEXT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first line, without its newline, cut at text_size. False: the file cannot be read or is empty; text is as it was. */
bool text_file_line(const char *path, char *text, size_t text_size);

/* The number that the file begins with, or `otherwise` where it cannot be read. */
int64_t text_file_number(const char *path, int64_t otherwise);

#endif
