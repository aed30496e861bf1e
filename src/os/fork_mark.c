/* SPDX-License-Identifier: MIT
 *
 * fork_mark.c - a number that a child of fork() finds wiped. Floor 3.
 */
#include "os/fork_mark.h"

#include "os/fork.h"
#include "os/os.h"

#include <pthread.h>
#include <stddef.h>

static _Atomic uint64_t plain_word;
_Atomic uint64_t *jdb__fork_word = &plain_word;

static _Atomic uint64_t last_mark;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The kernel has done it already, but for older ones; emulators say that they do, and do not. */
void jdb__fork_mark_in_child(void)
{
    atomic_store_explicit(jdb__fork_word, 0, memory_order_relaxed);
}

static void make_word(void)
{
    void *page = NULL;
    if (jdb__os_reserve(jdb__os_page_size(), &page) != 0)
        return;
    if (jdb__os_commit(page, jdb__os_page_size()) == 0 && jdb__os_wipe_on_fork(page, jdb__os_page_size()) == 0)
        jdb__fork_word = page;
    else
        jdb__os_unmap(page, jdb__os_page_size());
}

uint64_t jdb__fork_mark(void)
{
    pthread_once(&once, make_word);
    uint64_t mark = atomic_load_explicit(jdb__fork_word, memory_order_relaxed);
    if (mark != 0)
        return mark;
    const uint64_t fresh = atomic_fetch_add_explicit(&last_mark, 1, memory_order_relaxed) + 1;
    return atomic_compare_exchange_strong(jdb__fork_word, &mark, fresh) ? fresh : mark;
}
