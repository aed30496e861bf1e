/* SPDX-License-Identifier: MIT
 *
 * fork.c - the one registration of fork() handlers. Floor 3.
 */
#include "os/fork.h"

#include "os/os.h"

#include <errno.h>

_Thread_local bool jdb__is_forking;

#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)
_Thread_local uint32_t jdb__held_ranks;
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_watched;

static void before_fork(void)
{
    JDB_ASSERT(lock_is_none_held());
    jdb__regions_before_fork();
    jdb__pools_before_fork();
    jdb__caches_before_fork();
    jdb__os_before_fork();
    jdb__is_forking = true;
}

static void release_all(bool is_child)
{
    jdb__is_forking = false;
    jdb__os_after_fork(is_child);
    jdb__caches_after_fork();
    jdb__pools_after_fork();
    jdb__regions_after_fork();
}

static void after_fork_in_parent(void)
{
    release_all(false);
}

/* The mark first: from then on what stayed with the parent is refused. */
static void after_fork_in_child(void)
{
    jdb__fork_mark_in_child();
    release_all(true);
    jdb__regions_in_child();
    jdb__pools_in_child();
    jdb__caches_in_child();
}

/* An allocator that stands in for malloc registers its own handlers at its first call. They have to come before ours:
 * then they stop it after ours have waited for all who allocate under a lock of the library. */
static void watch(void)
{
    void *memory = NULL;
    if (jdb__os_alloc(1, &memory) == 0)
        jdb__os_free(memory);
    is_watched = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

int jdb__fork_watch(void)
{
    pthread_once(&once, watch);
    return is_watched ? 0 : -ENOMEM;
}

/* 101 is the first priority that is not the compiler's: before every constructor of the program that names none, which a
 * static library would not be otherwise. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((constructor(101))) static void watch_from_the_start(void)
{
    jdb__fork_watch();
}
#endif
