/* SPDX-License-Identifier: MIT
 *
 * direct_internal.h - how the limits of an open file are found, and what holds of limits and plans.
 *
 * Protocol of jdb_direct_limits(); each step fills fields of one jdb_direct, which is written to the caller's at the end:
 *
 *   1. stat    kind, device, preferred block size, atomic write sizes
 *   2. aligns  the first source that knows them: statx, the XFS ioctl, the block sizes of the device; else assumed
 *   3. state   statx or XFS vouch for direct I/O; statx denies it (alignments of zero); else the table of known file systems
 *              decides; else it is unknown
 *   4. trial   on a descriptor with O_DIRECT: an aligned read, larger ones while the kernel answers EINVAL, and a misaligned
 *              one where step 3 left the state open or unknown; memory aligned as assumed. Nothing is ever written
 *   5. sizes   recommended sizes follow from the alignments, and again after each override
 *
 * limits.c has steps 1, 2, 3 and 5, trial.c step 4. check.c compares a request with limits, plan.c makes requests: both are
 * pure, without system calls, memory or state. There are no locks: every function may be called from any thread.
 *
 * Invariants (docs/design.md): D1 to D6.
 */
#ifndef JDB_DIRECT_INTERNAL_H
#define JDB_DIRECT_INTERNAL_H

#include "base/bits.h"
#include "base/sized.h"
#include "os/os.h"

#include "jdb_alloc/direct.h"

/* ---- Defaults ----------------------------------------------------------------------------------------------- */

#define DIRECT_ALIGN_ASSUMED 4096u                /* where no source knows */
#define DIRECT_TRIAL_ALIGN_MAX 65536u             /* the largest block size a file system has at present */
#define DIRECT_PLAN_ALIGN_MAX (UINT32_C(1) << 30) /* the largest alignment a plan accepts */

/* ---- Forms -------------------------------------------------------------------------------------------------- */

SIZED_FORM(direct_form, jdb_direct, 296, 344);
SIZED_FORM(direct_check_form, jdb_direct_check, 132, 168);

/* ---- State -------------------------------------------------------------------------------------------------- */

void jdb__direct_set_state(jdb_direct *limits, uint32_t read_state, uint32_t write_state, uint32_t source);
JDB_PRINTF(2, 3) void jdb__direct_set_reason(jdb_direct *limits, const char *format, ...);

/* Whether the three alignments are powers of two (D1). */
static inline bool direct_has_aligns(const jdb_direct *limits)
{
    return bits_is_pow2(limits->memory_align) && bits_is_pow2(limits->write_align) && bits_is_pow2(limits->read_align);
}

/* ---- Limits ------------------------------------------------------------------------------------------------- */

/* jdb_direct_limits() of a file whose stat is known, and whether fd is open with O_DIRECT. limits is as JDB_DIRECT_INIT. Returns 0,
 * -ENOTSUP or -ENOMEM; *limits may be changed on failure. */
int jdb__direct_find_limits(int fd, const struct jdb__os_file_stat *stat, bool is_open_direct, jdb_direct *limits);

/* ---- Trial -------------------------------------------------------------------------------------------------- */

/* Try reads on fd, which is open with O_DIRECT: raises alignments that are too small, and finds the state where it is not
 * judged yet. Returns 0, or -ENOMEM. */
int jdb__direct_try_reads(jdb_direct *limits, int fd, bool is_judged);

#endif
