/* SPDX-License-Identifier: MIT
 *
 * base.h - words and numbers: the version, the page, the error form. Includes no other header of the library.
 *
 * Error form. Every function that can fail returns `int`: 0 for success, a negative errno value for failure,
 * the same form as the `res` of an io_uring completion. Outputs are untouched on failure unless the function
 * says "left empty". There is no thread-local error and the library never logs. Each number has one cause:
 *
 *   -ENOMEM     no memory, the limit set by jdb_set_limit() would be exceeded, or no run of neighbouring frames is free
 *   -EOVERFLOW  size overflow: it wraps, or exceeds PTRDIFF_MAX
 *   -ENOBUFS    over the capacity of a buffer or view
 *   -ERANGE     outside the bounds of a buffer, view or arena
 *   -EINVAL     an argument or an alignment is wrong
 *   -EAGAIN     every frame of the pool is lent
 *   -ETIMEDOUT  the deadline passed
 *   -ECANCELED  the wait was cancelled
 *   -ESTALE     put twice, or a handle whose frame was put since
 *   -EXDEV      the frame, or the wait, belongs to another pool, or the frame to another owner
 *   -EDQUOT     the owner would have more frames than its maximum
 *   -EBUSY      the memory is pinned: the kernel may still touch it
 *   -E2BIG      an options struct from a newer version sets a field that this version does not know
 *   -EPERM      called in a child of fork() on memory that stayed with the parent
 *   -ENOTSUP    the system, the file or the memory cannot do this
 *
 * What a call to the kernel returned comes in a report of the function that made it (what was tried, errno,
 * reason, remedy), not through this table.
 *
 * No call is a cancellation point of pthread_cancel(3): a thread that is to be cancelled ends the call first. Callbacks return
 * to the library, and asynchronous cancellation is off while it is in a call. Since 0.2.
 *
 * A broken contract that would corrupt memory (freeing a buffer twice, say) is detected in every build where that takes
 * O(1) work: the function returns an error, or where it returns none, writes one line to stderr and aborts.
 */
#ifndef JDB_ALLOC_BASE_H
#define JDB_ALLOC_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JDB_VERSION_MAJOR 0
#define JDB_VERSION_MINOR 2
#define JDB_VERSION_PATCH 0
#define JDB_VERSION_STRING "0.2.0"

/* Bytes of a page and alignment of every buffer, on every platform, whatever the system's page size. */
#define JDB_PAGE_SIZE ((size_t)4096)
#define JDB_ALIGNMENT JDB_PAGE_SIZE

#if defined(__GNUC__) || defined(__clang__)
#define JDB_API __attribute__((visibility("default")))
#define JDB_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#define JDB_MUST_USE __attribute__((warn_unused_result))
#else
#define JDB_API
#define JDB_PRINTF(format_index, first)
#define JDB_MUST_USE
#endif

/* Functions of the by-value view are C11 inline and exported too, so that a call costs nothing in C and a binding of
 * another language still finds the symbol. */
#define JDB_INLINE JDB_API inline

#ifdef __cplusplus
extern "C" {
#endif

/* jdb_strerror - cause and remedy of an error of this library, in its own terms.
 *
 * err: 0, or an error returned by this library (negative; the positive form is accepted too).
 * Returns a static string, never NULL; "unknown error" for a number outside the table above.
 * Any thread. Since 0.1. */
JDB_API const char *jdb_strerror(int err);

/* jdb_version - version of the library that runs: major * 1,000,000 + minor * 1,000 + patch.
 * Any thread. Since 0.1. */
JDB_API uint32_t jdb_version(void);

#ifdef __cplusplus
}
#endif

#endif
