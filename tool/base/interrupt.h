/* SPDX-License-Identifier: MIT
 *
 * interrupt.h - an orderly end on SIGINT, SIGTERM, SIGHUP: what is in flight completes, the part file stays, and the
 * process still ends by the signal, so that a shell sees it.
 */
#ifndef DIO_INTERRUPT_H
#define DIO_INTERRUPT_H

#include "base/outcome.h"

/* Catch the signals; SIGXFSZ is ignored, so that passing a size limit is an error (EFBIG) and not a death. */
void interrupt_catch(void);

/* The signal that was caught, 0 = none. */
int interrupt_signal(void);

/* Record a caught signal in the outcome and return its exit code; 0 where there was none. */
int interrupt_check(struct outcome *outcome);

/* End by the caught signal, when everything is cleaned up. Returns where there was none. */
void interrupt_die(void);

#endif
