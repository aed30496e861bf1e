/* SPDX-License-Identifier: MIT
 *
 * largest.h - the largest file that can be written.
 */
#ifndef DIO_LARGEST_H
#define DIO_LARGEST_H

#include <stdint.h>

/* The limit of the process, ulimit -f; INT64_MAX: none. */
int64_t largest_by_limit(void);

/* What the file system takes: found by setting the size of the open file, which is 0 afterwards. */
int64_t largest_by_file_system(int fd);

#endif
