/* SPDX-License-Identifier: MIT
 *
 * identity.h - a number for the file system that a file lies in, the same after it was unmounted and mounted again.
 */
#ifndef DIO_IDENTITY_H
#define DIO_IDENTITY_H

#include <stdint.h>
#include <sys/stat.h>

/* fd: an open file, whose stat is `file`. Not of st_dev: that is another after a new mount, or a device with another number. 0:
 * the file system has no identity. */
uint64_t identity_of_file_system(int fd, const struct stat *file);

#endif
