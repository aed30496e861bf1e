/* SPDX-License-Identifier: MIT
 *
 * patience.c - see patience.h.
 */
#include "base/patience.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/invariant.h"

#include <time.h>

#define DELAY_FIRST_NS 1000000L
#define DELAY_MAX_NS 100000000L

bool patience_sleep_through(struct patience *patience)
{
    const double now = seconds_now();
    if (patience->since == 0)
        *patience = (struct patience){.since = now, .delay_ns = DELAY_FIRST_NS};
    if (now - patience->since >= PATIENCE_SECONDS)
        return false;
    DIO_ASSERT(patience->delay_ns >= DELAY_FIRST_NS && patience->delay_ns <= DELAY_MAX_NS);
    const struct timespec delay = {.tv_nsec = patience->delay_ns};
    (void)nanosleep(&delay, NULL); /* a signal ends it early */
    patience->delay_ns = patience->delay_ns * 2 < DELAY_MAX_NS ? patience->delay_ns * 2 : DELAY_MAX_NS;
    return true;
}

bool patience_sleep(struct patience *patience)
{
    return interrupt_signal() == 0 && patience_sleep_through(patience) && interrupt_signal() == 0;
}

void patience_reset(struct patience *patience)
{
    patience->since = 0;
}
