/* SPDX-License-Identifier: MIT
 *
 * pool_wait.c - who waits for frames of a pool: a queue under the pool's lock, first come, first served. Floor 4.
 *
 *            start            a put suffices        frames are zeroed, reader of the list is past it
 *     IDLE ---------> QUEUED ---------------> HANDED ----------------------------------------------> DONE
 *                       |
 *                       +--> CANCELLED by another thread, IDLE by the deadline
 *
 * The state changes under the pool's lock, but for HANDED to DONE, which the serving thread does as its last touch of
 * the entry (it calls or wakes after that): a sleeper that finds its entry HANDED waits for DONE, whatever its
 * deadline, because it owns the frames by then.
 *
 * An entry is in the queue of the pool whose token it carries, and in no other: the token is claimed by compare-and-swap
 * from 0 under that pool's lock before the entry is touched, and given up under the same lock. So a cancel at the wrong
 * pool, whose lock protects nothing here, does no harm, nor do two threads that start one entry.
 */
#include "os/os.h"
#include "pool/state.h"

enum { IDLE, QUEUED, HANDED, DONE, CANCELLED };

static uint32_t state_of(const jdb_pool_wait *wait)
{
    return __atomic_load_n(&wait->state, __ATOMIC_ACQUIRE);
}

static void set_state(jdb_pool_wait *wait, uint32_t state)
{
    __atomic_store_n(&wait->state, state, __ATOMIC_RELEASE);
}

static uint64_t token_of(const jdb_pool_wait *wait)
{
    return __atomic_load_n(&wait->token, __ATOMIC_ACQUIRE);
}

static bool claim(jdb_pool_wait *wait, const jdb_pool *pool)
{
    uint64_t none = 0;
    return __atomic_compare_exchange_n(&wait->token, &none, pool->token, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void disclaim(jdb_pool_wait *wait)
{
    __atomic_store_n(&wait->token, 0, __ATOMIC_RELEASE);
}

/* ---- The queue, under the lock ---------------------------------------------------------------------------- */

static void enqueue(jdb_pool *pool, jdb_pool_wait *wait)
{
    JDB_ASSERT(jdb__pool_is_revoked(pool) && pool->aside_count == 0);
    wait->next = NULL;
    wait->previous = pool->last_wait;
    if (pool->last_wait != NULL)
        pool->last_wait->next = wait;
    else
        pool->first_wait = wait;
    pool->last_wait = wait;
    pool->waiter_count++;
    pool->wait_count++;
    set_state(wait, QUEUED);
}

/* The last one gone, caches serve again. */
static void dequeue(jdb_pool *pool, const jdb_pool_wait *wait)
{
    JDB_ASSERT(token_of(wait) == pool->token && pool->waiter_count > 0);
    if (wait->next != NULL)
        wait->next->previous = wait->previous;
    else
        pool->last_wait = wait->previous;
    if (wait->previous != NULL)
        wait->previous->next = wait->next;
    else
        pool->first_wait = wait->next;
    if (--pool->waiter_count == 0)
        jdb__pool_unrevoke_all(pool);
}

static void take_loose(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    for (uint32_t i = 0; i < frame_count; i++)
        jdb__pool_lend(pool, jdb__pool_pop_loose(pool), &ret_frames[i]);
    pool->got_count += frame_count;
}

jdb_pool_wait *jdb__pool_serve(jdb_pool *pool)
{
    jdb_pool_wait *served = NULL;
    jdb_pool_wait **end = &served;
    jdb_pool_wait *wait;
    while ((wait = pool->first_wait) != NULL && wait->frame_count <= pool->loose_count) {
        dequeue(pool, wait);
        take_loose(pool, wait->frame_count, wait->frames);
        set_state(wait, HANDED);
        disclaim(wait);
        wait->next = NULL;
        *end = wait;
        end = &wait->next;
    }
    return served;
}

/* ---- Serving ---------------------------------------------------------------------------------------------- */

static void finish(jdb_pool_wait *wait)
{
    void (*const on_frames)(jdb_pool_wait *) = wait->on_frames;
    set_state(wait, DONE);
    if (on_frames != NULL)
        on_frames(wait);
    else
        jdb__os_wake(&wait->state);
}

/* Threads that sleep are woken at once; the others are moved to the end of a list. */
static void wake_sleepers(jdb_pool_wait *served, jdb_pool_wait **list)
{
    while (*list != NULL)
        list = &(*list)->next;
    while (served != NULL) {
        jdb_pool_wait *const wait = served;
        served = wait->next;
        wait->next = NULL;
        if (wait->on_frames == NULL) {
            finish(wait);
        } else {
            *list = wait;
            list = &wait->next;
        }
    }
}

/* A callback may put, and so serve the next waiter: that one is called when the first callback has returned, so the
 * depth of the stack does not grow with the queue. */
void jdb__pool_call_served(const jdb_pool *pool, jdb_pool_wait *served)
{
    if (served == NULL)
        return;
    for (const jdb_pool_wait *wait = served; wait != NULL; wait = wait->next)
        jdb__pool_zero(pool, wait->frames, wait->frame_count);
    struct pool_thread *const thread = jdb__pool_thread_here();
    jdb_pool_wait *own = NULL;
    jdb_pool_wait **const first = thread != NULL ? &thread->served : &own;
    wake_sleepers(served, first);
    if (thread != NULL && thread->is_serving)
        return;
    if (thread != NULL)
        thread->is_serving = true;
    while (*first != NULL) {
        jdb_pool_wait *const wait = *first;
        *first = wait->next;
        finish(wait);
    }
    if (thread != NULL)
        thread->is_serving = false;
}

/* ---- Waiting ---------------------------------------------------------------------------------------------- */

/* Under the lock. The caches are revoked before the last look, so that a put from now on comes to the lock. They are empty
 * then, and stay revoked: what is left to look at is shared. */
static int take_or_queue(jdb_pool *pool, jdb_pool_wait *wait)
{
    if (__atomic_load_n(&wait->is_cancelled, __ATOMIC_ACQUIRE) != 0)
        return -ECANCELED;
    if (pool->waiter_count == 0) {
        jdb__pool_revoke_all(pool);
        if (jdb__pool_loosen_shared(pool, wait->frame_count) || jdb__pool_loosen_aside(pool, wait->frame_count)) {
            take_loose(pool, wait->frame_count, wait->frames);
            jdb__pool_unrevoke_all(pool);
            jdb__pool_settle(pool);
            return 0;
        }
    }
    enqueue(pool, wait);
    return -EAGAIN;
}

static bool is_in_use(const jdb_pool_wait *wait)
{
    const uint32_t state = state_of(wait);
    return state == QUEUED || state == HANDED;
}

/* Under the lock. -EINVAL: another thread was first with this entry. */
static int claim_and_queue(jdb_pool *pool, jdb_pool_wait *wait, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (!claim(wait, pool))
        return -EINVAL;
    int err = -EINVAL;
    if (!is_in_use(wait)) {
        wait->frames = ret_frames;
        wait->frame_count = frame_count;
        err = take_or_queue(pool, wait);
    }
    if (err != -EAGAIN)
        disclaim(wait);
    return err;
}

static int begin(jdb_pool *pool, jdb_pool_wait *wait, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (is_in_use(wait))
        return -EINVAL;
    if (__atomic_load_n(&wait->is_cancelled, __ATOMIC_ACQUIRE) != 0)
        return -ECANCELED;
    int err = jdb_pool_get_n(pool, frame_count, ret_frames);
    if (err != -EAGAIN)
        return err;
    lock_take(&pool->lock);
    err = claim_and_queue(pool, wait, frame_count, ret_frames);
    lock_release(&pool->lock);
    if (err == 0)
        jdb__pool_zero(pool, ret_frames, frame_count);
    return err;
}

void jdb_pool_wait_init(jdb_pool_wait *wait, void (*on_frames)(jdb_pool_wait *wait), void *user)
{
    if (wait != NULL)
        *wait = (jdb_pool_wait){.on_frames = on_frames, .user = user};
}

int jdb_pool_wait_start(jdb_pool *pool, jdb_pool_wait *wait, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (pool == NULL || wait == NULL || ret_frames == NULL || wait->on_frames == NULL)
        return -EINVAL;
    return begin(pool, wait, frame_count, ret_frames);
}

/* Take the wait out of the queue if it is there still; those behind it may be served by what was kept for it. */
static bool leave_queue(jdb_pool *pool, jdb_pool_wait *wait, uint32_t new_state, uint64_t *counter,
                        jdb_pool_wait **ret_served)
{
    if (token_of(wait) != pool->token)
        return false;
    JDB_ASSERT(state_of(wait) == QUEUED);
    dequeue(pool, wait);
    (*counter)++;
    *ret_served = jdb__pool_serve(pool);
    if (pool->waiter_count == 0)
        jdb__pool_settle(pool);
    disclaim(wait);
    set_state(wait, new_state); /* last: a sleeper that sees it returns, and takes its entry along */
    return true;
}

int jdb_pool_wait_cancel(jdb_pool *pool, jdb_pool_wait *wait)
{
    if (pool == NULL || wait == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    jdb_pool_wait *served = NULL;
    lock_take(&pool->lock);
    const uint64_t token = token_of(wait);
    if (token != 0 && token != pool->token) {
        lock_release(&pool->lock);
        return -EXDEV;
    }
    __atomic_store_n(&wait->is_cancelled, 1, __ATOMIC_RELEASE);
    const bool is_blocking = wait->on_frames == NULL;
    const bool was_queued = leave_queue(pool, wait, CANCELLED, &pool->cancel_count, &served);
    lock_release(&pool->lock);
    if (was_queued && is_blocking)
        jdb__os_wake(&wait->state);
    jdb__pool_call_served(pool, served);
    return was_queued ? 0 : -ESTALE;
}

static bool give_up(jdb_pool *pool, jdb_pool_wait *wait, uint64_t lateness_ns)
{
    jdb_pool_wait *served = NULL;
    lock_take(&pool->lock);
    const bool was_queued = leave_queue(pool, wait, IDLE, &pool->timeout_count, &served);
    if (was_queued && lateness_ns > pool->lateness_max_ns)
        pool->lateness_max_ns = lateness_ns;
    lock_release(&pool->lock);
    jdb__pool_call_served(pool, served);
    return was_queued;
}

/* What a deadline that has passed before is late by, is not the pool's. */
static uint64_t due_ns_of(uint64_t deadline_ns)
{
    const uint64_t now_ns = jdb__os_clock_ns();
    return deadline_ns > now_ns ? deadline_ns : now_ns;
}

static int sleep_until_served(jdb_pool *pool, jdb_pool_wait *wait, uint64_t deadline_ns)
{
    const uint64_t due_ns = due_ns_of(deadline_ns);
    for (;;) {
        const uint32_t state = state_of(wait);
        if (state == DONE || state == CANCELLED)
            return state == DONE ? 0 : -ECANCELED;
        const uint64_t now_ns = jdb__os_clock_ns();
        const bool is_late = state == QUEUED && due_ns != JDB_DEADLINE_NONE && now_ns >= due_ns;
        if (is_late && give_up(pool, wait, now_ns - due_ns))
            return -ETIMEDOUT;
        if (!is_late)
            jdb__os_sleep(&wait->state, state, state == QUEUED ? due_ns : JDB_DEADLINE_NONE);
    }
}

int jdb_pool_get_wait(jdb_pool *pool, uint32_t frame_count, uint64_t deadline_ns, jdb_pool_wait *wait,
                      jdb_frame *ret_frames)
{
    if (pool == NULL || ret_frames == NULL || (wait != NULL && wait->on_frames != NULL))
        return -EINVAL;
    jdb_pool_wait own = {.on_frames = NULL};
    jdb_pool_wait *const entry = wait != NULL ? wait : &own;
    const int err = begin(pool, entry, frame_count, ret_frames);
    return err == -EAGAIN ? sleep_until_served(pool, entry, deadline_ns) : err;
}

uint64_t jdb_clock_ns(void)
{
    return jdb__os_clock_ns();
}
