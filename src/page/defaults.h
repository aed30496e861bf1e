/* SPDX-License-Identifier: MIT
 *
 * defaults.h - how much freed memory is kept, and how long, unless jdb_set_page_options() says otherwise (pages.h).
 */
#ifndef JDB_PAGE_DEFAULTS_H
#define JDB_PAGE_DEFAULTS_H

#include <stdint.h>

#define DEFAULT_DELAY_MS 1000u

/* Bytes of the runs above 64 KiB that one thread keeps. */
#define DEFAULT_THREAD_BYTES (UINT64_C(32) << 20)

#endif
