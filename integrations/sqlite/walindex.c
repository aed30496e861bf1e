/* SPDX-License-Identifier: MIT
 *
 * walindex.c - reads the wal-index.
 *
 * Words, in the byte order of the machine. Region 0 begins with two copies of the header, of which a commit writes the second first,
 * and what checkpoints keep; in each region follow the page numbers of frames, and a hash table of them.
 */
#include "walindex.h"

#include <stdbool.h>
#include <stddef.h>

SQLITE_EXTENSION_INIT3

#define VERSION 3007000u
#define REGION_SIZE 32768
#define REGION_FRAMES 4096u
#define HEADER_WORDS 12u /* of each copy */
#define HEAD_WORDS 34u   /* in front of the page numbers of region 0 */
#define FIRST_FRAMES (REGION_FRAMES - HEAD_WORDS)

/* Indices of words. */
enum { WORD_VERSION = 0, WORD_LAST_FRAME = 4, WORD_PAGE_COUNT = 5, WORD_BACKFILLED = 24, WORD_BACKFILL_ATTEMPTED = 32 };

static const volatile uint32_t *walindex_region(sqlite3_file *base, uint32_t number)
{
    volatile void *memory = NULL;
    const int result = base->pMethods->xShmMap(base, (int)number, REGION_SIZE, 0, &memory);
    return result == SQLITE_OK ? memory : NULL;
}

static uint32_t walindex_word(const volatile uint32_t *words, uint32_t index)
{
    return __atomic_load_n(&words[index], __ATOMIC_ACQUIRE);
}

/* Whether the checkpoint ends at the last frame that is committed, and how large the database is then. The first copy is read first:
 * had a commit begun, one of the two would name a later frame. */
static bool walindex_is_covered(const volatile uint32_t *words, uint32_t last_frame, uint32_t *ret_page_count)
{
    const uint32_t first_frame = walindex_word(words, WORD_LAST_FRAME);
    const uint32_t first_count = walindex_word(words, WORD_PAGE_COUNT);
    const uint32_t second_frame = walindex_word(words, HEADER_WORDS + WORD_LAST_FRAME);
    const uint32_t second_count = walindex_word(words, HEADER_WORDS + WORD_PAGE_COUNT);
    *ret_page_count = first_count;
    return walindex_word(words, WORD_VERSION) == VERSION && first_frame == last_frame && second_frame == last_frame &&
           first_count == second_count;
}

uint32_t walindex_last_page(sqlite3_file *base)
{
    const volatile uint32_t *words = walindex_region(base, 0);
    uint32_t page_count = 0;
    uint32_t last_page = 0;
    if (words == NULL)
        return 0;
    const uint32_t last_frame = walindex_word(words, WORD_BACKFILL_ATTEMPTED);
    uint32_t frame = walindex_word(words, WORD_BACKFILLED); /* counted from 0: the first that is to be written */
    if (!walindex_is_covered(words, last_frame, &page_count))
        return 0;
    for (uint32_t number = UINT32_MAX; frame < last_frame; frame++) {
        const uint32_t region = frame < FIRST_FRAMES ? 0 : (frame - FIRST_FRAMES) / REGION_FRAMES + 1;
        const uint32_t index = frame < FIRST_FRAMES ? HEAD_WORDS + frame : (frame - FIRST_FRAMES) % REGION_FRAMES;
        if (region != number)
            words = walindex_region(base, region);
        if (words == NULL)
            return 0;
        number = region;
        const uint32_t page = walindex_word(words, index);
        if (page <= page_count && page > last_page)
            last_page = page;
    }
    return last_page;
}
