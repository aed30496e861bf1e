/* SPDX-License-Identifier: MIT
 *
 * fork_mark.h - distinguishes a child of fork() from the process that made an object.
 *
 * The mark of a process is a number in a page that the kernel wipes in each child (MADV_WIPEONFORK, since Linux
 * 4.14), as a handler of fork() does. An object keeps the mark of its maker; in a child the two differ.
 */
#ifndef JDB_FORK_MARK_H
#define JDB_FORK_MARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* For fork_mark_is_mine() only. */
extern _Atomic uint64_t *jdb__fork_word;

/* The mark of this process, never 0. Any thread. */
uint64_t jdb__fork_mark(void);

/* Whether an object that keeps this mark was made by this process; 0 stands for an object that children keep. */
static inline bool fork_mark_is_mine(uint64_t mark)
{
    return mark == 0 || atomic_load_explicit(jdb__fork_word, memory_order_relaxed) == mark;
}

#endif
