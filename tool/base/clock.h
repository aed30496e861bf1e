/* SPDX-License-Identifier: MIT
 *
 * clock.h - the clock of the tool: seconds that only go forward.
 */
#ifndef DIO_CLOCK_H
#define DIO_CLOCK_H

/* Seconds of CLOCK_MONOTONIC. */
double seconds_now(void);

#endif
