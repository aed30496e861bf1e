/* SPDX-License-Identifier: MIT
 *
 * pump.h - one pass over the ranges of a copy with many transfers in flight: read, hash, compare, write.
 *
 * One pump makes all three passes of a copy:
 *   resume   source = the part file, target = NULL   records the hash of each transfer
 *   copy     source = SRC, target = DST              writes but what the hashes say is there already
 *   verify   source = DST, target = NULL             compares with the hashes that the copy recorded
 *
 * A transfer goes through its frame: read the aligned envelope of its bytes, again after a short read; then write it,
 * padded with zeros to the alignment, again after a short write. An EINVAL or EOPNOTSUPP makes the side that gave it fall
 * back and the transfer is tried again.
 */
#ifndef DIO_PUMP_H
#define DIO_PUMP_H

#include "cp/progress.h"
#include "cp/queue.h"
#include "cp/ranges.h"

struct pump {
    struct queue *queue;
    struct side *source;
    struct side *target;   /* NULL: read only */
    int64_t source_offset; /* of byte 0 of the target in the source */
    const struct ranges *ranges;
    int64_t block_size;
    struct progress *progress;
    uint64_t *recorded;       /* out, one hash for each transfer; NULL: not wanted */
    const uint64_t *expected; /* with a target: do not write what is the same; without: fail where it differs */
    int64_t skipped_bytes;    /* out: found the same and not written */
};

/* Run the pass. On failure or a signal no transfer is left in flight, unless waiting itself failed. */
int pump_run(struct pump *pump, struct verdict *verdict);

/* Bytes a frame must have. */
size_t pump_frame_size(const struct side *source, int64_t source_offset, int64_t block_size);

#endif
