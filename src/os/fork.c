/* SPDX-License-Identifier: MIT
 *
 * fork.c - the one registration of fork() handlers.
 */
#include "os/fork.h"

#include "os/os.h"

#include <errno.h>

_Thread_local bool jdb__is_forking;

#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)
_Thread_local uint32_t jdb__held_ranks;
#endif

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static bool fork_is_watched;

static void fork_prepare(void)
{
    JDB_ASSERT(lock_is_none_held());
    jdb__regions_before_fork();
    jdb__pools_before_fork();
    jdb__caches_before_fork();
    jdb__os_before_fork();
    jdb__is_forking = true;
}

static void fork_release_all(bool is_child)
{
    jdb__is_forking = false;
    jdb__os_after_fork(is_child);
    jdb__caches_after_fork();
    jdb__pools_after_fork();
    jdb__regions_after_fork();
}

static void fork_in_parent(void)
{
    fork_release_all(false);
}

/* The mark first: from then on what stayed with the parent is refused. */
static void fork_in_child(void)
{
    jdb__fork_mark_in_child();
    fork_release_all(true);
    jdb__regions_in_child();
    jdb__pools_in_child();
    jdb__caches_in_child();
}

/* An allocator that stands in for malloc registers its own handlers at its first call. They have to come before ours:
 * then they stop it after ours have waited for all who allocate under a lock of the library. */
static void fork_watch(void)
{
    void *memory = NULL;
    if (jdb__os_alloc(1, &memory) == 0)
        jdb__os_free(memory);
    fork_is_watched = pthread_atfork(fork_prepare, fork_in_parent, fork_in_child) == 0;
}

int jdb__fork_watch(void)
{
    pthread_once(&fork_once, fork_watch);
    return fork_is_watched ? 0 : -ENOMEM;
}

/* 101 is the first priority that is not the compiler's: before every constructor of the program that names none, which a
 * static library would not be otherwise. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((constructor(101))) static void fork_watch_at_load(void)
{
    jdb__fork_watch();
}
#endif
