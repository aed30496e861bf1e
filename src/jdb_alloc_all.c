/* SPDX-License-Identifier: MIT
 *
 * jdb_alloc_all.c - the whole core as one source, for those who keep a copy of it in their own tree:
 *
 *     cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude -Isrc -c src/jdb_alloc_all.c
 *
 * The system calls are those of Linux there, and plain POSIX elsewhere. The core alone: libjdb_uring is a library of its own.
 */

#include "base/check.c"
#include "base/error.c"
#include "base/radix.c"
#include "base/sized.c"
#include "base/zero.c"

#if defined(__linux__)
#include "os/linux.c"
#include "os/linux_arena.c"
#include "os/linux_file.c"
#else
#include "os/posix.c"
#include "os/posix_absent.c"
#endif
#include "os/fork.c"
#include "os/fork_mark.c"

#include "page/bounded.c"
#include "page/decay.c"
#include "page/extents.c"
#include "page/extents_check.c"
#include "page/guard.c"
#include "page/heap.c"
#include "page/huge.c"
#include "page/lend.c"
#include "page/purge.c"
#include "page/quarantine.c"
#include "page/registry.c"
#include "page/shared_cache.c"
#include "page/stats.c"
#include "page/thread_cache.c"
#include "page/zone.c"

#include "pin/frame_pins.c"
#include "pin/pin.c"
#include "pin/regions.c"

#include "view/buf.c"
#include "view/raw.c"

#include "arena/arena.c"
#include "arena/commit.c"
#include "arena/decommit.c"
#include "arena/holds.c"
#include "arena/memfd.c"
#include "arena/options.c"
#include "arena/prefault.c"
#include "arena/report.c"

#include "pool/batches.c"
#include "pool/budget.c"
#include "pool/cache.c"
#include "pool/frame.c"
#include "pool/free.c"
#include "pool/grow.c"
#include "pool/lifecycle.c"
#include "pool/owned.c"
#include "pool/owner.c"
#include "pool/pool.c"
#include "pool/registry.c"
#include "pool/run.c"
#include "pool/share.c"
#include "pool/stats.c"
#include "pool/trim.c"
#include "pool/wait.c"
#include "pool/waiters.c"

#include "direct/check.c"
#include "direct/limits.c"
#include "direct/plan.c"
#include "direct/trial.c"

#include "file/atomic.c"
#include "file/cached.c"
#include "file/edge.c"
#include "file/extent.c"
#include "file/external.c"
#include "file/file.c"
#include "file/lock.c"
#include "file/open.c"
#include "file/options.c"
#include "file/read.c"
#include "file/report.c"
#include "file/request.c"
#include "file/span.c"
#include "file/sync.c"
#include "file/transfer.c"
#include "file/vector.c"
#include "file/write.c"
#include "file/zeros.c"

#include "stream/engine.c"
#include "stream/engine_threads.c"
#include "stream/memory.c"
#include "stream/reader.c"
#include "stream/reader_slot.c"
#include "stream/reader_window.c"
#include "stream/writer.c"
#include "stream/writer_flight.c"
#include "stream/writer_sync.c"
