/* SPDX-License-Identifier: MIT
 *
 * check.h - contracts: what is checked in which build, and what happens then.
 *
 *   caller error     returns -EINVAL and so on, in every build (written out in each function)
 *   JDB_BREACH       memory would be corrupted and the function returns no error: one line and abort, in every build
 *   JDB_ASSERT       an invariant of the library, O(1); off in release, on in debug, sanitizer, test and checked builds
 *   JDB_ASSERT_WALK  an invariant that costs a walk; on in the checked build alone
 */
#ifndef JDB_CHECK_H
#define JDB_CHECK_H

#include <stddef.h>

#if defined(__GNUC__) || defined(__clang__)
#define JDB_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define JDB_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define JDB_COLD __attribute__((cold, noinline))
#define JDB_NOINLINE __attribute__((noinline))
#else
#define JDB_LIKELY(condition) (condition)
#define JDB_UNLIKELY(condition) (condition)
#define JDB_COLD
#define JDB_NOINLINE
#endif

/* Writes "jdb_alloc: WHAT (at PTR)" to stderr and aborts. */
JDB_COLD _Noreturn void jdb__breach(const char *what, const void *ptr);

#define JDB_BREACH(what, ptr) jdb__breach((what), (ptr))

#if defined(JDB_CHECKED) || defined(JDB_ASSERTIONS)
#define JDB_ASSERT(condition) ((condition) ? (void)0 : jdb__breach("assertion failed: " #condition, NULL))
#else
#define JDB_ASSERT(condition) ((void)(0 && (condition)))
#endif

/* Whether this is the checked build: for `if`, so that both ways are always compiled. */
#ifdef JDB_CHECKED
#define JDB_IS_CHECKED 1
#else
#define JDB_IS_CHECKED 0
#endif

#ifdef JDB_CHECKED
#define JDB_ASSERT_WALK(condition) JDB_ASSERT(condition)
#else
#define JDB_ASSERT_WALK(condition) ((void)(0 && (condition)))
#endif

#endif
