/* SPDX-License-Identifier: MIT
 *
 * jdb_alloc - memory for Direct I/O. This header includes the core; the adapters to I/O runtimes
 * (jdb_alloc/uring.h, aio.h, uv.h, iov.h) are included one by one.
 *
 *   base.h    words and numbers: the page, the errors
 *   raw.h     jdb_raw: a non-owning view, copied by value into asynchronous I/O
 *   buf.h     jdb_buf: an owning buffer of whole pages
 *   pages.h   the memory behind jdb_buf: options, limits, counts
 *   profile.h a sampled profile of what is lent, for pprof
 *   pin.h     pins: the kernel may access this memory
 *   direct.h  direct I/O limits of an open file, checks, plans
 *   file.h    files opened with a policy: any range, EOF and tails
 *   stream.h  readers with readahead, writers with write-behind, engines that keep requests in flight
 *   arena.h   one region cut into equal frames
 *   pool.h    lends the frames of an arena to threads
 */
#ifndef JDB_ALLOC_H
#define JDB_ALLOC_H

#include "jdb_alloc/base.h"
#include "jdb_alloc/raw.h"
#include "jdb_alloc/buf.h"
#include "jdb_alloc/pages.h"
#include "jdb_alloc/profile.h"
#include "jdb_alloc/pin.h"
#include "jdb_alloc/direct.h"
#include "jdb_alloc/file.h"
#include "jdb_alloc/arena.h"
#include "jdb_alloc/pool.h"
#include "jdb_alloc/stream.h"

#endif
