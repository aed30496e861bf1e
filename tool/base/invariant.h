/* SPDX-License-Identifier: MIT
 *
 * invariant.h - DIO_ASSERT: what always holds in the tool, whatever files, devices and users do. Off in release builds, on
 * in debug, checked and sanitizer builds. What others can cause is no invariant: it is a failure with a message (outcome.h).
 */
#ifndef DIO_INVARIANT_H
#define DIO_INVARIANT_H

#if defined(JDB_ASSERTIONS) || defined(JDB_CHECKED)
#undef NDEBUG
#include <assert.h>
#define DIO_ASSERT(condition) assert(condition)
#else
#define DIO_ASSERT(condition) ((void)(0 && (condition)))
#endif

#endif
