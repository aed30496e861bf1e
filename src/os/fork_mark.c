/* SPDX-License-Identifier: MIT
 *
 * fork_mark.c - a number that a child of fork() finds wiped.
 */
#include "os/fork_mark.h"

#include "os/fork.h"
#include "os/os.h"

#include <pthread.h>
#include <stddef.h>

static _Atomic uint64_t fork_mark_plain_word;
_Atomic uint64_t *jdb__fork_word = &fork_mark_plain_word;

static _Atomic uint64_t fork_mark_last;
static pthread_once_t fork_mark_once = PTHREAD_ONCE_INIT;

/* The kernel has done it already, but for older ones; emulators say that they do, and do not. */
void jdb__fork_mark_in_child(void)
{
    atomic_store_explicit(jdb__fork_word, 0, memory_order_relaxed);
}

static void fork_mark_make_word(void)
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
    pthread_once(&fork_mark_once, fork_mark_make_word);
    uint64_t mark = atomic_load_explicit(jdb__fork_word, memory_order_relaxed);
    if (mark != 0)
        return mark;
    const uint64_t fresh = atomic_fetch_add_explicit(&fork_mark_last, 1, memory_order_relaxed) + 1;
    return atomic_compare_exchange_strong(jdb__fork_word, &mark, fresh) ? fresh : mark;
}
