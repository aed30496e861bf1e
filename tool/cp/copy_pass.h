/* SPDX-License-Identifier: MIT
 *
 * copy_pass.h - one pass over the ranges of a copy with many transfers in flight: read, hash, compare, write.
 *
 * The same code makes all three passes of a copy:
 *   check    source = the part file, target = NULL   records the hash of each transfer, for --resume
 *   copy     source = SRC, target = DST              writes what the hashes do not show to be there already
 *   verify   source = DST, target = NULL             compares with the hashes that the copy recorded
 *
 * A source that is standard input is read here, each transfer at once when its slot is free: writes go on meanwhile. Its transfers
 * are the blocks from position 0 on, the last one shorter.
 *
 * A transfer has one slot of the queue from its read to its end: read the aligned envelope of its bytes, again after a short
 * read; then write it, padded with zeros to the alignment, again after a short write. After EINVAL or EOPNOTSUPP the side in
 * question falls back and the transfer is started once more.
 */
#ifndef DIO_COPY_PASS_H
#define DIO_COPY_PASS_H

#include "base/progress.h"
#include "cp/queue.h"
#include "cp/ranges.h"
#include "cp/side.h"

/* A hash for each transfer of a pass. */
struct hashes {
    uint64_t *items;
    size_t room;
};

struct copy_pass {
    struct queue *queue;
    struct side *source;
    struct side *target;   /* NULL: read only */
    int64_t source_offset; /* of byte 0 of the target in the source */
    const struct ranges *ranges;
    int64_t block_size;
    bool is_in_order; /* each transfer ends before the next begins */
    struct progress *progress;
    struct hashes *recorded;  /* out, one hash for each transfer; NULL: not wanted */
    const uint64_t *expected; /* with a target: do not write what is the same; without: fail where it differs */
    int64_t skipped_bytes;    /* out: found the same and not written */
    int64_t stream_bytes;     /* out: read from a source that is a stream */
    bool is_source_bad;       /* out: a block of the source cannot be read; what was written is right */
};

/* Make room for `count` hashes, at least. */
int hashes_reserve(struct hashes *hashes, struct outcome *outcome, size_t count);

/* Run the pass. On failure or a signal no transfer is left in flight, unless waiting itself failed. */
int copy_pass_run(struct copy_pass *pass, struct outcome *outcome);

/* Bytes a frame must have. */
size_t copy_pass_frame_size(const struct side *source, int64_t source_offset, int64_t block_size);

#endif
