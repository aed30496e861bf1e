/* SPDX-License-Identifier: MIT
 *
 * interrupt.h - an orderly end on SIGINT, SIGTERM, SIGHUP: what is in flight completes, the part file stays, and the
 * process still ends by the signal, so that a shell sees it.
 */
#ifndef DIO_INTERRUPT_H
#define DIO_INTERRUPT_H

#include "base/verdict.h"

/* Catch the signals; SIGXFSZ is ignored, so that passing a size limit is an error (EFBIG) and not a death. */
void interrupt_catch(void);

/* The signal that came, 0 = none. */
int interrupt_signal(void);

/* Record in the verdict that a signal came; 0 where none did. */
int interrupt_check(struct verdict *verdict);

/* Die by the signal that came, after everything is cleaned up. Returns where none came. */
void interrupt_die(void);

#endif
