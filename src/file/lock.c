/* SPDX-License-Identifier: MIT
 *
 * lock.c - a lock on one word that survives fork().
 */
#include "file/lock.h"
#include "base/check.h"
#include "os/fork_mark.h"
#include "os/os.h"

#define FILE_LOCK_AWAITED 1u

uint64_t jdb__file_lock(struct jdb__file_lock *lock)
{
    const uint64_t mark = jdb__fork_mark();
    const uint32_t mine = (uint32_t)mark << 1;
    uint32_t taken = mine; /* with FILE_LOCK_AWAITED once this thread has slept: others may still sleep */
    JDB_ASSERT(mark != 0 && mark <= UINT32_MAX >> 1);
    for (;;) {
        uint32_t seen = 0;
        if (__atomic_compare_exchange_n(&lock->word, &seen, taken, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return mark;
        if ((seen & ~FILE_LOCK_AWAITED) != mine) { /* of a thread that fork() did not copy */
            if (__atomic_compare_exchange_n(&lock->word, &seen, taken, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return mark;
            continue;
        }
        taken = mine | FILE_LOCK_AWAITED;
        if (seen == taken ||
            __atomic_compare_exchange_n(&lock->word, &seen, taken, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            jdb__os_sleep(&lock->word, taken, UINT64_MAX);
    }
}

void jdb__file_unlock(struct jdb__file_lock *lock)
{
    const uint32_t before = __atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE);
    JDB_ASSERT((before & ~FILE_LOCK_AWAITED) == (uint32_t)jdb__fork_mark() << 1); /* this process holds it */
    if ((before & FILE_LOCK_AWAITED) != 0)
        jdb__os_wake(&lock->word);
}
