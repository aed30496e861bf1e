/* SPDX-License-Identifier: MIT
 *
 * pin.c - jdb_pin() and its kin: memory of a buffer is pinned as one run, in its word (page/word.h says who may store
 * it); memory of an arena is pinned frame by frame (regions.h).
 */
#include "page/heap.h"
#include "page/lend.h"
#include "pin/pin_mark.h"
#include "pin/regions.h"

/* The run that holds [ptr, ptr + size). 0, -ENOTSUP, -ERANGE, -EINVAL. */
static int pin_find(const void *ptr, size_t size, struct run *ret_run)
{
    struct run run;
    if (ptr == NULL || size == 0)
        return -EINVAL;
    if (!jdb__heap_find(ptr, &run))
        return -ENOTSUP;
    const size_t offset = (size_t)((const uint8_t *)ptr - run_address(&run));
    const enum word_state state = word_state(word_load_freed(run_word(&run)));
    if (state != WORD_LENT && state != WORD_DYING)
        return -EINVAL;
    const size_t run_size = run_bytes(&run);
    if (offset >= run_size || size > run_size - offset)
        return -ERANGE;
    *ret_run = run;
    return 0;
}

/* The last unpin of a run that is dying gives it back. */
static int pin_end(const struct run *run)
{
    uint64_t word = 0;
    if (!word_unpin(run_word(run), &word))
        return -EINVAL;
    if (word_pins(word) > 0 || word_state(word) != WORD_DYING)
        return 0;
    struct run last = *run;
    last.page_count = word_pages(word); /* the owner may have grown it in place since it was found */
    jdb__pages_release(&last);
    return 0;
}

int jdb_pin(const void *ptr, size_t size)
{
    struct run run;
    const int err = pin_find(ptr, size, &run);
    if (err == -ENOTSUP)
        return jdb__regions_pin(ptr, size);
    return err == 0 ? word_pin(run_word(&run)) : err;
}

int jdb_unpin(const void *ptr, size_t size)
{
    struct run run;
    const int err = pin_find(ptr, size, &run);
    if (err == -ENOTSUP)
        return jdb__regions_unpin(ptr, size);
    return err == 0 ? pin_end(&run) : err;
}

int jdb_pin_marked(const void *ptr, size_t size, jdb_pin_mark *ret_mark)
{
    struct run run;
    if (ret_mark == NULL)
        return -EINVAL;
    int err = pin_find(ptr, size, &run);
    if (err == -ENOTSUP) {
        _Atomic uint32_t *count = NULL;
        err = jdb__regions_pin_marked(ptr, size, &count);
        if (err == 0)
            pin_mark_set(ret_mark, ptr, size, PIN_MARK_FRAME, count);
        return err;
    }
    if (err == 0)
        err = word_pin(run_word(&run));
    if (err == 0)
        pin_mark_set(ret_mark, ptr, size, PIN_MARK_RUN, run_word(&run));
    return err;
}

int jdb_unpin_marked(const jdb_pin_mark *mark)
{
    if (mark == NULL)
        return -EINVAL;
    if (mark->kind == PIN_MARK_FRAME)
        return JDB_LIKELY(pins_decrement(mark->count) == 0) ? 0 : jdb__regions_unpin_error(mark->ptr, mark->size);
    if (mark->kind == PIN_MARK_RUN && word_unpin_lent(mark->count))
        return 0;
    return jdb_unpin(mark->ptr, mark->size);
}

bool jdb_is_pinned(const void *ptr, size_t size)
{
    struct run run;
    const int err = pin_find(ptr, size, &run);
    if (err == -ENOTSUP)
        return jdb__regions_is_pinned(ptr, size);
    return err == 0 && word_pins(word_load_freed(run_word(&run))) > 0;
}
