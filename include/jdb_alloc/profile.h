/* SPDX-License-Identifier: MIT
 *
 * profile.h - a sampled profile of page memory: which calls hold it now, and held it when it was most.
 *
 *     jdb_profile_start(0);
 *     ...
 *     jdb_profile_write("heap.live", JDB_PROFILE_LIVE);
 *     jdb_profile_write("heap.peak", JDB_PROFILE_PEAK);
 *
 *     $ pprof -http=: ./program heap.live          or: go tool pprof
 *
 * For each stack the file has the buffers and bytes that are lent there. One call in some MiB of memory that is newly lent is
 * sampled and stands for the bytes since the sample before it. So sums are right, and what a stack holds is an estimate, good
 * where it holds many times the bytes of a sample. A buffer as large as the bytes of a sample, and above 64 KiB, is
 * exact, but where such buffers are freed at once again and again. Memory of arenas is not in it: they say their size when they are created.
 *
 * Without a change of the program: JDB_PROFILE=PREFIX in its environment starts the profile as the library is loaded, with the
 * default, and writes PREFIX.PID.live and PREFIX.PID.peak when the process exits. Not in a program that is set-user-ID.
 *
 * Cost: none while it is off. While it is on, calls that allocate and free in turn out of a thread's cache stay as they are; a
 * sample takes a walk of the stack, a few microseconds. Its tables take 5 MiB of addresses, resident as they are used: at most
 * 65,536 samples at a time and 8,192 stacks of 30 frames; what does not fit waits, or counts as jdb_profile_start().
 *
 * A child of fork() goes on with a copy of it.
 */
#ifndef JDB_ALLOC_PROFILE_H
#define JDB_ALLOC_PROFILE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* jdb_profile_start - take samples from now on, one in sample_bytes on average (0: 16 MiB). What is lent already is not in the
 * profile, and when a thread frees some of it, as much that the thread lends later may not be either: so start it first. Started
 * again, it goes on with the new number.
 * Returns 0; -ENOMEM; -ENOTSUP: no stacks can be walked here (a libc without backtrace(3), as musl). Any thread. Since 0.2. */
JDB_API int jdb_profile_start(uint64_t sample_bytes);

/* jdb_profile_stop - take no more samples. Those that were taken stay in the profile until their buffers are freed. Any thread.
 * Since 0.2. */
JDB_API void jdb_profile_stop(void);

/* Kinds of profile. */
#define JDB_PROFILE_LIVE 0u /* what is lent now */
#define JDB_PROFILE_PEAK 1u /* what was lent when it was most, within 2 %; at most as old as the start */

/* jdb_profile_write - write the profile to a file, which is created (for its owner alone) or overwritten. The text is that of
 * gperftools, with the mappings of the process: pprof finds names by the program's and libraries' symbols.
 * Returns 0; -EINVAL: NULL or another kind; what the system said of the file. On failure the file may have a part.
 * Any thread; others go on meanwhile. Since 0.2. */
JDB_API int jdb_profile_write(const char *path, uint32_t kind);

#ifdef __cplusplus
}
#endif

#endif
