/* SPDX-License-Identifier: MIT
 *
 * patience.h - how long to try again what the system refuses for the moment: EAGAIN, EINTR, EBUSY.
 *
 * Between two tries the process sleeps, longer each time. It gives up when nothing was reached for PATIENCE_SECONDS, and at
 * once on a signal that ends the copy (interrupt.h). A zeroed object is ready for use.
 */
#ifndef DIO_PATIENCE_H
#define DIO_PATIENCE_H

#include <stdbool.h>

#define PATIENCE_SECONDS 5

struct patience {
    double since; /* seconds_now() of the first refusal in a row; 0 = none */
    long delay_ns;
};

/* Sleep before the next try. False: give up, also because a signal came. */
bool patience_sleep(struct patience *patience);

/* The same where a signal does not end the wait: for what the kernel still does with our memory. */
bool patience_sleep_through(struct patience *patience);

/* Something was reached: the next refusal is the first. */
void patience_renew(struct patience *patience);

/* Seconds of the monotonic clock. */
double seconds_now(void);

#endif
