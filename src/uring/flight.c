/* SPDX-License-Identifier: MIT
 *
 * flight.c - operations in flight: counted, cancelled, waited for.
 *
 * Nothing here unpins, since only a completion ends an operation: cancel asks the kernel to end it early, drain passes
 * completions to the caller until none is missing.
 */
#include "uring/op.h"

#include "jdb_alloc/pool.h"

uint64_t jdb_uring_in_flight(const jdb_uring *uring)
{
    return uring != NULL ? uring_hot(uring)->in_flight : 0;
}

int jdb_uring_cancel(jdb_uring_op *op, uint64_t user_data, struct io_uring_sqe *sqe)
{
    if (op == NULL || sqe == NULL || (op->state & STATE_IN_FLIGHT) == 0)
        return -EINVAL;
    if (op->uring != NULL && op->uring->ring == NULL)
        return -EINVAL;
    if (op->uring != NULL && !uring_is_here(op->uring))
        return -EPERM;
    const uint64_t own_data = sqe->user_data;
    io_uring_prep_cancel64(sqe, user_data, 0);
    sqe->user_data = own_data;
    op->state |= STATE_CANCELLED;
    return 0;
}

/* ---- Drain ------------------------------------------------------------------------------------------------ */

/* Pass on the completions that are there now, no more: others may arrive as fast as these are taken. Returns how many
 * there were. */
static unsigned deliver(jdb_uring *uring, jdb_uring_completion on_completion, void *context)
{
    const unsigned count = io_uring_cq_ready(uring->ring);
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe = NULL;
        if (io_uring_peek_cqe(uring->ring, &cqe) != 0)
            return i;
        on_completion(context, cqe);
        io_uring_cqe_seen(uring->ring, cqe);
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

static int drain(jdb_uring *uring, uint64_t deadline_ns, jdb_uring_completion on_completion, void *context)
{
    JDB_ASSERT(uring->ring != NULL);
    bool is_last = false;
    for (unsigned tries = 0;; tries++) {
        if (deliver(uring, on_completion, context) > 0)
            tries = 0;
        if (uring_hot(uring)->in_flight == 0)
            return 0;
        if (is_last)
            return -ETIMEDOUT;
        const uint64_t left = time_left(deadline_ns);
        is_last = left == 0;
        const int err = jdb__ring_submit_and_wait(uring->ring, left);
        if (err != 0 && err != -ETIME && (!may_go_away(err) || tries >= URING_RETRIES_MAX))
            return err;
        if (err == -EAGAIN || err == -EBUSY)
            jdb__ring_sleep_ms(1);
    }
}

int jdb_uring_drain(jdb_uring *uring, uint64_t deadline_ns, bool cancels, jdb_uring_completion on_completion,
                    void *context)
{
    if (uring == NULL || on_completion == NULL)
        return -EINVAL;
    int err = jdb__uring_check_owner(uring);
    if (err != 0)
        return err;
    if (cancels && uring_hot(uring)->in_flight > 0) {
        (void)jdb__ring_submit_and_wait(uring->ring, 0); /* the kernel finds only what was submitted */
        (void)jdb__ring_cancel_all(uring->ring);
    }
    uring->is_cancelling = cancels;
    uring_set_quiet(uring);
    err = drain(uring, deadline_ns, on_completion, context);
    uring->is_cancelling = false;
    uring_set_quiet(uring);
    return err;
}
