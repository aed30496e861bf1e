/* SPDX-License-Identifier: MIT
 *
 * batches.h - the free frames that threads share, in batches, without a lock.
 *
 *   full    stacks of batches that hold batch_size frames each, as items (frame.h). A cache takes from and gives to its
 *           home among them first, so that threads meet less often; where there are several nodes of memory each has a
 *           stack (nodes.c)
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
 * batch owns it with its items (F7), and a cache keeps some that it has emptied for its next gives. Whoever finds frames gone from here also sees that the cache they went to is entered
 * (state.h, F8): its owner set `busy` before, and takes by release.
 *
 * There are twice as many batches as all frames fill, and caches keep up to a 32nd of them each, so one that is needed is
 * nearly always there.
 */
#ifndef JDB_POOL_BATCHES_H
#define JDB_POOL_BATCHES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MAX 32u     /* frames of a batch */
#define BATCH_STACKS 4u   /* of full batches */
#define BATCH_KEPT_MAX 8u /* emptied batches of a cache */

struct batch_stack {
    _Alignas(64) _Atomic uint64_t top;
};

struct batches {
    struct batch_stack full[BATCH_STACKS];
    _Alignas(64) _Atomic uint64_t spare;
    _Alignas(64) _Atomic uint32_t fresh_frame;
    _Atomic uint32_t fresh_batch; /* batches from here on were never used: spare too */
    _Alignas(64) uint32_t batch_size;
    uint32_t batch_count;
    _Atomic uint32_t *next; /* batch_count of them: number of the batch below + 1, or 0 */
    uint64_t *items;        /* batch_count * batch_size */
};

/* Take batch_size frames of a full batch, of the stack `home` first. Returns the number of the batch + 1, which is the
 * caller's now and holds none; 0: no batch is full. */
uint32_t jdb__batches_take(struct batches *batches, uint32_t home, uint64_t *ret_items);

/* The same out of the stack `home` alone. */
uint32_t jdb__batches_take_home(struct batches *batches, uint32_t home, uint64_t *ret_items);

/* A batch that holds no frames, which is the caller's then: its number + 1; 0: caches and threads on their way have all. */
uint32_t jdb__batches_claim(struct batches *batches);

/* Share batch_size frames by a batch of the caller's, on the stack `home`. */
void jdb__batches_give(struct batches *batches, uint32_t home, uint32_t batch, const uint64_t *items);

/* Give up a batch of the caller's that holds no frames. */
void jdb__batches_drop(struct batches *batches, uint32_t batch);

/* Take up to count frames that were never lent, out of frame_count. Returns how many, *ret_first and up. */
uint32_t jdb__batches_take_fresh(struct batches *batches, uint32_t frame_count, uint32_t count, uint32_t *ret_first);

/* Whether no batch is full, and none of frame_count frames is left that was never lent. */
bool jdb__batches_is_empty(const struct batches *batches, uint32_t frame_count);

/* Frames in full batches, and of frame_count frames those never lent. While no thread takes or gives. */
uint64_t jdb__batches_count(const struct batches *batches);
uint32_t jdb__batches_fresh_count(const struct batches *batches, uint32_t frame_count);

#endif
