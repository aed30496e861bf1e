/* SPDX-License-Identifier: MIT
 *
 * defaults.h - how much freed memory is kept, and how long, unless jdb_set_page_options() says otherwise (pages.h).
 */
#ifndef JDB_PAGE_DEFAULTS_H
#define JDB_PAGE_DEFAULTS_H

#include <stdint.h>

#define DEFAULT_DELAY_MS 1000u

/* Bytes of the runs above 256 KiB that one thread keeps. */
#define DEFAULT_THREAD_BYTES (UINT64_C(32) << 20)

/* Bytes of free pages that stay resident beyond the most that was in use within the delay, or a tenth of that most where
 * it is more: free memory in pieces that nobody can use. */
#define DEFAULT_SLACK_BYTES (UINT64_C(64) << 20)

#endif
