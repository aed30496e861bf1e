/* SPDX-License-Identifier: MIT
 *
 * lock.h - a lock that is held for a few instructions (once in a child of fork(), while it opens a file again), and that such
 * a child can always take.
 *
 * The word says who holds the lock: 0 nobody, else the fork mark (os/fork_mark.h) of the holder's process, shifted, and in bit
 * 0 whether a thread may sleep on the word. A child that finds the mark of another process takes the lock over: the thread
 * that held it does not exist there. What the lock protects keeps a mark of its own, by which the child knows that it has
 * to begin with an empty state. No other lock is taken, and no function of the user called, while it is held.
 */
#ifndef JDB_FILE_LOCK_H
#define JDB_FILE_LOCK_H

#include <stdint.h>

struct jdb__file_lock {
    uint32_t word; /* zero to begin with */
};

/* Returns the fork mark of this process, never 0. */
uint64_t jdb__file_lock(struct jdb__file_lock *lock);
void jdb__file_unlock(struct jdb__file_lock *lock);

#endif
