/* SPDX-License-Identifier: MIT
 *
 * compression.h - whether the file system compresses what is written to a file: btrfs and F2FS by a mount option or an attribute.
 *
 * They do not compress what is written to space that was allocated in advance, nor, before Linux 6.15, what btrfs takes with
 * O_DIRECT.
 */
#ifndef DIO_COMPRESSION_H
#define DIO_COMPRESSION_H

#include <stdbool.h>
#include <stdint.h>

/* fd: open for writing. file_system: f_type of statfs(2). Where the mount options cannot be read (no /proc), yes. */
bool compression_is_on(int fd, uint32_t file_system);

/* Whether this kernel compresses direct writes. */
bool compression_is_of_direct(void);

#endif
