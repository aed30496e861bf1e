/* SPDX-License-Identifier: MIT
 *
 * faults.h - makes the calls of src/os/os.h fail, one kind or any, after a number of calls that work.
 *
 *     for (unsigned n = 0; ; n++) {
 *         faults_arm(FAULTS_ANY, n, -ENOMEM);
 *         err = operation();
 *         if (!faults_disarm())       // nothing was left to fail: every call has failed once
 *             break;
 *         assert(err == -ENOMEM && outputs untouched && nothing leaked);
 *     }
 */
#ifndef JDB_TEST_FAULTS_H
#define JDB_TEST_FAULTS_H

#include "os/os.h"

#include <stdbool.h>

#define FAULTS_ANY OS_CALL_COUNT

/* The next `after` calls of the kind work, the one behind them returns err (negative), all later ones work. */
void faults_arm(enum os_call kind, unsigned after, int err);

/* As faults_arm(), and all calls behind it fail too. */
void faults_arm_all(enum os_call kind, unsigned after, int err);

/* Returns whether a call was made to fail since arming. */
bool faults_disarm(void);

/* At each call the hook is asked on the calling thread, with no lock of the library held but where memory is made readable:
 * 0, or the error (negative) to fail with. NULL: no hook. Set before threads start. */
void faults_set_hook(int (*hook)(enum os_call kind));

/* The nodes of memory are those of `topology`, which stays; NULL: the system's. Set before pools are made. */
void faults_set_topology(const struct os_topology *topology);

/* At each lock of the library that the calling thread took, and before it is released. NULL: no hook. Set before threads
 * start. */
void faults_set_lock_hook(void (*hook)(bool is_held));

/* Before each lock of the library that the calling thread takes. NULL: no hook. What the hook does is done by another thread, to
 * the call: where it makes calls of its own, it has to let their locks pass. */
void faults_set_wanted_hook(void (*hook)(const void *lock));

/* Calls of the kind since the program started, failed ones included. */
unsigned long faults_calls(enum os_call kind);

#endif
