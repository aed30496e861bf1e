/* SPDX-License-Identifier: MIT
 *
 * bad_block.h - which block of a transfer that failed is the one that cannot be read.
 */
#ifndef DIO_BAD_BLOCK_H
#define DIO_BAD_BLOCK_H

#include "cp/side.h"

/* Read [start, end) again, a block of the least size at a time. Returns the offset of the first that fails, or start where none
 * does: the device has recovered, or there is no memory. */
int64_t bad_block_find(const struct side *side, int64_t start, int64_t end);

#endif
