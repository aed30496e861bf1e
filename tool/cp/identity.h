/* SPDX-License-Identifier: MIT
 *
 * identity.h - what a file or directory is known by: a number for the file system that it lies in, the same after that was unmounted
 * and mounted again, and an inode.
 */
#ifndef DIO_IDENTITY_H
#define DIO_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* fd: an open file, whose stat is `file`. Not of st_dev: that is another after a new mount, or a device with another number. 0:
 * the file system has no identity. */
uint64_t identity_of_file_system(int fd, const struct stat *file);

/* Whether an inode has the same number for as long as it exists. FAT, exFAT, SMB and FUSE may give it another once it was not
 * cached for a while. fd may be of O_PATH. */
bool identity_inodes_last(int fd);

#endif
