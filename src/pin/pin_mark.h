/* SPDX-License-Identifier: MIT
 *
 * pin_mark.h - where the pin of a jdb_pin_mark is kept.
 */
#ifndef JDB_PIN_MARK_H
#define JDB_PIN_MARK_H

#include "jdb_alloc/pin.h"

#define PIN_MARK_SEARCH 0u /* in several frames: the range is searched again */
#define PIN_MARK_FRAME 1u  /* count is of a frame */
#define PIN_MARK_RUN 2u    /* count is the word of a run */

/* count: NULL = in several places. */
static inline void pin_mark_set(jdb_pin_mark *mark, const void *ptr, size_t size, uint32_t kind, void *count)
{
    mark->ptr = ptr;
    mark->size = size;
    mark->count = count;
    mark->kind = count != NULL ? kind : PIN_MARK_SEARCH;
    mark->reserved32 = 0;
    mark->reserved = 0;
}

#endif
