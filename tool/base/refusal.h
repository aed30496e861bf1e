/* SPDX-License-Identifier: MIT
 *
 * refusal.h - an errno that means "not here": the file system does not know a call, or a filter (seccomp) forbids it.
 *
 * What a copy does not need may be refused so, and gets a note. An error of the device, or a lack of space, is no refusal.
 */
#ifndef DIO_REFUSAL_H
#define DIO_REFUSAL_H

#include <stdbool.h>

/* error: a positive errno. */
bool means_refused(int error);

/* The same of a sync: a file system that has become read-only (EROFS) has lost what was written. */
bool means_sync_refused(int error);

#endif
