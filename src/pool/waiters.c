/* SPDX-License-Identifier: MIT
 *
 * waiters.c - enters, leaves and serves the queue of those who wait.
 */
#include "pool/waiters.h"

#include "base/bits.h"
#include "os/os.h"

/* ---- The queue, under the lock ---------------------------------------------------------------------------- */

/* So many of the queue have frames, and lack bytes alone: a get of another pool does not charge those. */
static void waiters_keep_bytes(jdb_pool *pool)
{
    if (pool->budget == NULL)
        return;
    const uint64_t bytes = bits_min(pool_bare_count(pool), pool->waiter_count) * pool->frames.stride;
    atomic_fetch_add(&pool->budget->kept_bytes, bytes - pool->kept_bytes);
    pool->kept_bytes = bytes;
}

void jdb__waiters_enter(jdb_pool *pool, jdb_pool_wait *wait)
{
    JDB_ASSERT(lock_is_held(&pool->lock) && wait_token(wait) == pool->token && !wait_is_in_use(wait));
    JDB_ASSERT(jdb__free_is_revoked(pool) && pool->aside.count == 0); /* F6 */
    wait->next = NULL;
    wait->previous = pool->last_wait;
    if (pool->last_wait != NULL)
        pool->last_wait->next = wait;
    else
        pool->first_wait = wait;
    pool->last_wait = wait;
    pool->waiter_count++;
    pool->wait_count++;
    wait_set_state(wait, WAIT_QUEUED);
    waiters_keep_bytes(pool);
}

static void waiters_unlink(jdb_pool *pool, const jdb_pool_wait *wait)
{
    JDB_ASSERT(lock_is_held(&pool->lock) && wait_token(wait) == pool->token);
    JDB_ASSERT(wait_state(wait) == WAIT_QUEUED && pool->waiter_count > 0);
    if (wait->next != NULL)
        wait->next->previous = wait->previous;
    else
        pool->last_wait = wait->previous;
    if (wait->previous != NULL)
        wait->previous->next = wait->next;
    else
        pool->first_wait = wait->next;
    JDB_ASSERT((pool->first_wait == NULL) == (pool->waiter_count == 1));
    pool->waiter_count--;
    jdb__budget_want_no_more(pool, wait->frame_count);
}

/* Whether there are frames for the oldest waiter; those that the budget allows it now come to the free list. */
static bool waiters_can_serve(jdb_pool *pool, const jdb_pool_wait *wait)
{
    return wait->frame_count <= pool->free.count ||
           (pool->budget != NULL && jdb__free_collect_shared(pool, wait->frame_count));
}

jdb_pool_wait *jdb__waiters_serve(jdb_pool *pool)
{
    jdb_pool_wait *served = NULL;
    jdb_pool_wait **end = &served;
    jdb_pool_wait *wait;
    JDB_ASSERT(pool->waiter_count == 0 || jdb__free_is_revoked(pool)); /* F6 */
    while ((wait = pool->first_wait) != NULL && waiters_can_serve(pool, wait)) {
        waiters_unlink(pool, wait);
        jdb__free_lend(pool, wait->frame_count, wait->frames);
        wait_set_state(wait, WAIT_HANDED);
        wait_disclaim(wait);
        wait->next = NULL;
        *end = wait;
        end = &wait->next;
    }
    waiters_keep_bytes(pool);
    return served;
}

bool jdb__waiters_leave(jdb_pool *pool, jdb_pool_wait *wait, uint32_t new_state, jdb_pool_wait **ret_served)
{
    if (wait_token(wait) != pool->token)
        return false;
    waiters_unlink(pool, wait);
    *ret_served = jdb__waiters_serve(pool);
    jdb__free_rebatch(pool);
    wait_disclaim(wait);
    wait_set_state(wait, new_state); /* last: a sleeper that sees it returns, and takes its entry along */
    return true;
}

/* ---- Those who were served, without a lock ---------------------------------------------------------------- */

static void waiters_finish(jdb_pool_wait *wait)
{
    void (*const on_frames)(jdb_pool_wait *) = wait->on_frames;
    JDB_ASSERT(wait_state(wait) == WAIT_HANDED);
    wait_set_state(wait, WAIT_DONE);
    if (on_frames != NULL)
        on_frames(wait);
    else
        jdb__os_wake(&wait->state);
}

/* Threads that sleep are woken at once; the others are moved to the end of a list. */
static void waiters_wake_sleepers(jdb_pool_wait *served, jdb_pool_wait **list)
{
    while (*list != NULL)
        list = &(*list)->next;
    while (served != NULL) {
        jdb_pool_wait *const wait = served;
        served = wait->next;
        wait->next = NULL;
        if (wait->on_frames == NULL) {
            waiters_finish(wait);
        } else {
            *list = wait;
            list = &wait->next;
        }
    }
}

/* A callback may put, and so serve the next waiter: that one is called when the first callback has returned, so the
 * depth of the stack does not grow with the queue. */
void jdb__waiters_call(const jdb_pool *pool, jdb_pool_wait *served)
{
    if (served == NULL)
        return;
    for (const jdb_pool_wait *wait = served; wait != NULL; wait = wait->next)
        jdb__frame_zero(pool, wait->frames, wait->frame_count);
    struct pool_thread *const thread = jdb__pool_thread_here();
    jdb_pool_wait *own = NULL;
    jdb_pool_wait **const first = thread != NULL ? &thread->served : &own;
    waiters_wake_sleepers(served, first);
    if (thread != NULL && thread->is_serving)
        return;
    if (thread != NULL)
        thread->is_serving = true;
    while (*first != NULL) {
        jdb_pool_wait *const wait = *first;
        *first = wait->next;
        waiters_finish(wait);
    }
    if (thread != NULL)
        thread->is_serving = false;
}
