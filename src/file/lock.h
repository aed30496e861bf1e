/* SPDX-License-Identifier: MIT
 *
 * file_lock.h - a lock for a few instructions, which a child of fork() never finds held by a thread of its parent. Floor 4.
 *
 * The word holds who has the lock: 0 nobody, else the fork mark (fork_mark.h) of the holder's process, shifted, and in
 * bit 0 whether a thread may sleep on the word. A child that finds the mark of another process takes the lock over: the
 * thread that held it does not exist there. What the lock protects keeps a mark of its own, by which the child
 * knows to begin with an empty state.
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
