/* SPDX-License-Identifier: MIT
 *
 * wait.c - get that waits: the blocking call, the entry with a callback, the cancel.
 */
#include "os/os.h"
#include "pool/waiters.h"

static bool wait_is_cancelled(const jdb_pool_wait *wait)
{
    return __atomic_load_n(&wait->is_cancelled, __ATOMIC_ACQUIRE) != 0;
}

/* Under the lock. The caches are revoked before the last look, so that a put from now on comes to the lock. They are empty
 * then, and stay revoked: what is left to look at is shared. */
static int wait_take_or_queue(jdb_pool *pool, jdb_pool_wait *wait)
{
    if (wait_is_cancelled(wait))
        return -ECANCELED;
    if (pool->waiter_count == 0) {
        jdb__free_revoke_all(pool);
        if (jdb__free_collect_rest(pool, wait->frame_count)) {
            jdb__free_lend(pool, wait->frame_count, wait->frames);
            jdb__free_rebatch(pool);
            return 0;
        }
    }
    jdb__waiters_enter(pool, wait);
    return -EAGAIN;
}

/* Under the lock. -EINVAL: another thread was first with this entry. */
static int wait_claim_and_queue(jdb_pool *pool, jdb_pool_wait *wait, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (!wait_claim(wait, pool))
        return -EINVAL;
    int err = -EINVAL;
    if (!wait_is_in_use(wait)) {
        wait->frames = ret_frames;
        wait->frame_count = frame_count;
        err = wait_take_or_queue(pool, wait);
    }
    if (err != -EAGAIN)
        wait_disclaim(wait);
    return err;
}

/* Ask the program for frames, and look again. Not from within on_pressure, where it would ask without end, nor where nobody
 * can remember that it runs. */
static int wait_press(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames)
{
    struct pool_thread *const thread = jdb__pool_thread_here();
    if (thread == NULL || thread->is_pressing)
        return -EAGAIN;
    lock_take(&pool->lock);
    pool->pressure_count++;
    lock_release(&pool->lock);
    thread->is_pressing = true;
    pool->on_pressure(pool, frame_count, pool->pressure_user);
    thread->is_pressing = false;
    return jdb_pool_get_n(pool, frame_count, ret_frames);
}

static int wait_begin(jdb_pool *pool, jdb_pool_wait *wait, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (wait_is_in_use(wait))
        return -EINVAL;
    if (wait_is_cancelled(wait))
        return -ECANCELED;
    if (pool->budget != NULL && frame_count > 1) /* budget.h */
        return -ENOTSUP;
    int err = jdb_pool_get_n(pool, frame_count, ret_frames);
    if (err == -EAGAIN && pool->on_pressure != NULL)
        err = wait_press(pool, frame_count, ret_frames);
    if (err != -EAGAIN)
        return err;
    jdb__share_want(pool, frame_count);
    lock_take(&pool->lock);
    err = wait_claim_and_queue(pool, wait, frame_count, ret_frames);
    lock_release(&pool->lock);
    if (err == -EAGAIN)
        jdb__share_want_queued(pool);
    else
        jdb__budget_want_no_more(pool, frame_count);
    if (err == 0)
        jdb__frame_zero(pool, ret_frames, frame_count);
    return err;
}

/* ---- By callback ------------------------------------------------------------------------------------------ */

void jdb_pool_wait_init(jdb_pool_wait *wait, void (*on_frames)(jdb_pool_wait *wait), void *user)
{
    if (wait != NULL)
        *wait = (jdb_pool_wait){.on_frames = on_frames, .user = user};
}

int jdb_pool_wait_start(jdb_pool *pool, jdb_pool_wait *wait, uint32_t frame_count, jdb_frame *ret_frames)
{
    if (pool == NULL || wait == NULL || ret_frames == NULL || wait->on_frames == NULL)
        return -EINVAL;
    return wait_begin(pool, wait, frame_count, ret_frames);
}

int jdb_pool_wait_cancel(jdb_pool *pool, jdb_pool_wait *wait)
{
    if (pool == NULL || wait == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    jdb_pool_wait *served = NULL;
    lock_take(&pool->lock);
    const uint64_t token = wait_token(wait);
    if (token != 0 && token != pool->token) {
        lock_release(&pool->lock);
        return -EXDEV;
    }
    __atomic_store_n(&wait->is_cancelled, 1, __ATOMIC_RELEASE);
    const bool is_blocking = wait->on_frames == NULL;
    const bool was_queued = jdb__waiters_leave(pool, wait, WAIT_CANCELLED, &served);
    pool->cancel_count += was_queued ? 1 : 0;
    lock_release(&pool->lock);
    if (was_queued && is_blocking)
        jdb__os_wake(&wait->state);
    jdb__share_feed(pool);
    jdb__waiters_call(pool, served);
    return was_queued ? 0 : -ESTALE;
}

/* ---- Blocking --------------------------------------------------------------------------------------------- */

static bool wait_give_up(jdb_pool *pool, jdb_pool_wait *wait, uint64_t lateness_ns)
{
    jdb_pool_wait *served = NULL;
    lock_take(&pool->lock);
    const bool was_queued = jdb__waiters_leave(pool, wait, WAIT_IDLE, &served);
    pool->timeout_count += was_queued ? 1 : 0;
    if (was_queued && lateness_ns > pool->lateness_max_ns)
        pool->lateness_max_ns = lateness_ns;
    lock_release(&pool->lock);
    jdb__share_feed(pool);
    jdb__waiters_call(pool, served);
    return was_queued;
}

/* What a deadline that has passed before is late by, is not the pool's. */
static uint64_t wait_due_ns(uint64_t deadline_ns)
{
    const uint64_t now_ns = jdb__os_clock_ns();
    return deadline_ns > now_ns ? deadline_ns : now_ns;
}

static int wait_sleep(jdb_pool *pool, jdb_pool_wait *wait, uint64_t deadline_ns)
{
    const uint64_t due_ns = wait_due_ns(deadline_ns);
    for (;;) {
        const uint32_t state = wait_state(wait);
        if (state == WAIT_DONE || state == WAIT_CANCELLED)
            return state == WAIT_DONE ? 0 : -ECANCELED;
        JDB_ASSERT(state == WAIT_QUEUED || state == WAIT_HANDED);
        const uint64_t now_ns = jdb__os_clock_ns();
        const bool is_late = state == WAIT_QUEUED && due_ns != JDB_DEADLINE_NONE && now_ns >= due_ns;
        if (is_late && wait_give_up(pool, wait, now_ns - due_ns))
            return -ETIMEDOUT;
        if (!is_late)
            jdb__os_sleep(&wait->state, state, state == WAIT_QUEUED ? due_ns : JDB_DEADLINE_NONE);
    }
}

int jdb_pool_get_wait(jdb_pool *pool, uint32_t frame_count, uint64_t deadline_ns, jdb_pool_wait *wait,
                      jdb_frame *ret_frames)
{
    if (pool == NULL || ret_frames == NULL || (wait != NULL && wait->on_frames != NULL))
        return -EINVAL;
    jdb_pool_wait own = {.on_frames = NULL};
    jdb_pool_wait *const entry = wait != NULL ? wait : &own;
    const int err = wait_begin(pool, entry, frame_count, ret_frames);
    return err == -EAGAIN ? wait_sleep(pool, entry, deadline_ns) : err;
}

uint64_t jdb_clock_ns(void)
{
    return jdb__os_clock_ns();
}
