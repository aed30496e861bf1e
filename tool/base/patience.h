/* SPDX-License-Identifier: MIT
 *
 * patience.h - how long to retry what the system refuses for the moment: EAGAIN, EINTR, EBUSY.
 *
 * Between two tries the process sleeps, longer each time. It gives up after PATIENCE_SECONDS without progress, and at once
 * on a signal that ends the copy (interrupt.h). A zeroed object is ready for use.
 */
#ifndef DIO_PATIENCE_H
#define DIO_PATIENCE_H

#include <stdbool.h>

#define PATIENCE_SECONDS 5

struct patience {
    double since; /* seconds_now() of the first refusal in a row; 0 = none */
    long delay_ns;
};

/* Sleep before the next try. False: give up, because the time is over or a signal came. */
bool patience_sleep(struct patience *patience);

/* The same, but a signal does not end the wait: for memory that the kernel may still access. */
bool patience_sleep_through(struct patience *patience);

/* There was progress: the next refusal is the first of a row. */
void patience_reset(struct patience *patience);

#endif
