/* SPDX-License-Identifier: MIT
 *
 * batches.h - the free frames that threads share, in batches, without a lock.
 *
 *   full    stack of batches that hold batch_size frame numbers each
 *   spare   stack of batches that hold none
 *   fresh   frames that were never lent: the numbers from `fresh_frame` up to the count of frames
 *
 * A stack is one word, moved by compare-and-swap: the number of its first batch + 1 (0: empty), and a tag that each push
 * changes. The tag is what makes a pop safe that was preempted between reading the first batch's `next` and its
 * compare-and-swap: if the same batch has come back on top meanwhile, the tag differs (ABA). It would have to wrap, 2^32
 * pushes within one preemption, to fail. test/pool.pml is the model of this file.
 *
 * Nobody waits for anybody: a thread that is preempted holding a batch keeps that batch from the others, nothing else.
 *
 * Memory model: a push publishes the batch's items by release, a pop takes them over by acquire. Whoever has popped a
 * batch owns its items (F7). Whoever finds frames gone from here also sees that the cache they went to is entered
 * (state.h, F8): its owner set `busy` before, and takes by release.
 *
 * There are max_count / batch_size batches, so one that is needed is nearly always there: only a thread that holds
 * batch_size frames wants a spare, and those frames are in no other batch.
 */
#ifndef JDB_POOL_BATCHES_H
#define JDB_POOL_BATCHES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MAX 32u /* frames of a batch */

struct batches {
    _Alignas(64) _Atomic uint64_t full;
    _Alignas(64) _Atomic uint64_t spare;
    _Alignas(64) _Atomic uint32_t fresh_frame;
    _Atomic uint32_t fresh_batch; /* batches from here on were never used: spare too */
    _Alignas(64) uint32_t batch_size;
    uint32_t batch_count;
    _Atomic uint32_t *next; /* batch_count of them: number of the batch below + 1, or 0 */
    uint32_t *items;        /* batch_count * batch_size frame numbers */
};

/* Take batch_size frames of a full batch. False: there is none. */
bool jdb__batches_take(struct batches *batches, uint32_t *ret_items);

/* Share batch_size frames. False: every spare batch was on its way between two threads, the caller keeps the frames. */
bool jdb__batches_give(struct batches *batches, const uint32_t *items);

/* Take up to count frames that were never lent, out of frame_count. Returns how many, *ret_first and up. */
uint32_t jdb__batches_take_fresh(struct batches *batches, uint32_t frame_count, uint32_t count, uint32_t *ret_first);

/* Whether no batch is full, and none of frame_count frames is left that was never lent. */
bool jdb__batches_is_empty(const struct batches *batches, uint32_t frame_count);

/* Frames in full batches, and of frame_count frames those never lent. While no thread takes or gives. */
uint64_t jdb__batches_count(const struct batches *batches);
uint32_t jdb__batches_fresh_count(const struct batches *batches, uint32_t frame_count);

#endif
