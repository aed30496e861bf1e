/* SPDX-License-Identifier: MIT
 *
 * uring_flight.c - operations in flight: counted, cancelled, waited for. Floor 5.
 *
 * Only a completion ends an operation: the kernel may write to its memory until then, whatever became of the ring. So nothing
 * here unpins; cancel asks the kernel to hurry, drain hands completions to the caller until none is missing.
 */
#include "uring/state.h"

#include "jdb_alloc/pool.h"

uint64_t jdb_uring_in_flight(const jdb_uring *ring)
{
    return ring != NULL ? ring->in_flight_count : 0;
}

int jdb_uring_cancel(jdb_uring *ring, jdb_uring_op *op, uint64_t user_data, struct io_uring_sqe *sqe)
{
    if (ring == NULL || op == NULL || sqe == NULL || (op->state & STATE_IN_FLIGHT) == 0 || op->flight_door != ring)
        return -EINVAL;
    if (!uring_is_here(ring))
        return -EPERM;
    const uint64_t own_data = sqe->user_data;
    io_uring_prep_cancel64(sqe, user_data, 0);
    sqe->user_data = own_data;
    op->state |= STATE_CANCELLED;
    return 0;
}

/* ---- Drain ------------------------------------------------------------------------------------------------ */

/* Hand over the completions that are there now, no more: others may come as fast as they go. Returns how many there were. */
static unsigned deliver(jdb_uring *ring, jdb_uring_completion on_completion, void *context)
{
    const unsigned count = io_uring_cq_ready(ring->ring);
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe = NULL;
        if (io_uring_peek_cqe(ring->ring, &cqe) != 0)
            return i;
        on_completion(context, cqe);
        io_uring_cqe_seen(ring->ring, cqe);
    }
    return count;
}

static uint64_t time_left(uint64_t deadline_ns)
{
    const uint64_t now = jdb_clock_ns();
    if (deadline_ns == UINT64_MAX)
        return UINT64_MAX;
    return deadline_ns > now ? deadline_ns - now : 0;
}

static bool may_go_away(int err)
{
    return err == -EINTR || err == -EAGAIN || err == -EBUSY;
}

static int drain(jdb_uring *ring, uint64_t deadline_ns, jdb_uring_completion on_completion, void *context)
{
    bool is_last = false;
    for (unsigned tries = 0;; tries++) {
        if (deliver(ring, on_completion, context) > 0)
            tries = 0;
        if (ring->in_flight_count == 0)
            return 0;
        if (is_last)
            return -ETIMEDOUT;
        const uint64_t left = time_left(deadline_ns);
        is_last = left == 0;
        const int err = jdb__ring_submit_and_wait(ring->ring, left);
        if (err != 0 && err != -ETIME && (!may_go_away(err) || tries >= RETRIES_MAX))
            return err;
        if (err == -EAGAIN || err == -EBUSY)
            jdb__ring_sleep_ms(1);
    }
}

int jdb_uring_drain(jdb_uring *ring, uint64_t deadline_ns, bool cancels, jdb_uring_completion on_completion,
                    void *context)
{
    if (ring == NULL || on_completion == NULL)
        return -EINVAL;
    if (!uring_is_here(ring))
        return -EPERM;
    if (cancels && ring->in_flight_count > 0) {
        (void)jdb__ring_submit_and_wait(ring->ring, 0); /* what is prepared only cannot be found */
        (void)jdb__ring_cancel_all(ring->ring);
    }
    ring->is_cancelling = cancels;
    const int err = drain(ring, deadline_ns, on_completion, context);
    ring->is_cancelling = false;
    return err;
}
