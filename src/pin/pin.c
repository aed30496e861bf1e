/* SPDX-License-Identifier: MIT
 *
 * pin.c - jdb_pin() and its kin: memory of a buffer is pinned as one run, in its word (page/lend.c says who may store it); memory
 * of an arena frame by frame (regions.h).
 */
#include "page/lend.h"
#include "pin/pin_mark.h"
#include "pin/regions.h"

/* The run that holds [ptr, ptr + size). 0, -ENOTSUP, -ERANGE, -EINVAL. */
static int find_pinnable(const void *ptr, size_t size, struct heap_run *ret_run)
{
    struct heap_run run;
    if (ptr == NULL || size == 0)
        return -EINVAL;
    if (!jdb__heap_find(ptr, &run))
        return -ENOTSUP;
    const size_t offset = (size_t)((const uint8_t *)ptr - jdb__heap_address(&run));
    const enum runs_state state = runs_state_of(atomic_load_explicit(jdb__heap_word(&run), memory_order_acquire));
    if (state != RUNS_LENT && state != RUNS_DYING)
        return -EINVAL;
    const size_t run_size = (size_t)jdb__heap_size(&run) * JDB_PAGE_SIZE;
    if (offset >= run_size || size > run_size - offset)
        return -ERANGE;
    *ret_run = run;
    return 0;
}

static int pin_run(const struct heap_run *run)
{
    _Atomic uint64_t *const place = jdb__heap_word(run);
    uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
    do {
        if (runs_state_of(word) != RUNS_LENT)
            return -EINVAL;
        if (runs_pins_of(word) == RUNS_PIN_MASK >> RUNS_PIN_SHIFT)
            return -EBUSY;
    } while (!atomic_compare_exchange_weak(place, &word, word + RUNS_PIN_ONE));
    return 0;
}

static int unpin_run(const struct heap_run *run)
{
    _Atomic uint64_t *const place = jdb__heap_word(run);
    uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
    do {
        if (runs_pins_of(word) == 0 || (runs_state_of(word) != RUNS_LENT && runs_state_of(word) != RUNS_DYING))
            return -EINVAL; /* or dropped since it was found: there may be a cache's number where pins were */
    } while (!atomic_compare_exchange_weak(place, &word, word - RUNS_PIN_ONE));
    if (runs_pins_of(word) > 1 || runs_state_of(word) != RUNS_DYING)
        return 0;
    struct heap_run last = *run;
    last.page_count = runs_pages_of(word); /* the owner may have grown it in place since it was found */
    jdb__pages_release(&last);
    return 0;
}

int jdb_pin(const void *ptr, size_t size)
{
    struct heap_run run;
    const int err = find_pinnable(ptr, size, &run);
    if (err == -ENOTSUP)
        return jdb__regions_pin(ptr, size);
    return err == 0 ? pin_run(&run) : err;
}

int jdb_unpin(const void *ptr, size_t size)
{
    struct heap_run run;
    const int err = find_pinnable(ptr, size, &run);
    if (err == -ENOTSUP)
        return jdb__regions_unpin(ptr, size);
    return err == 0 ? unpin_run(&run) : err;
}

int jdb_pin_marked(const void *ptr, size_t size, jdb_pin_mark *ret_mark)
{
    struct heap_run run;
    if (ret_mark == NULL)
        return -EINVAL;
    int err = find_pinnable(ptr, size, &run);
    if (err == -ENOTSUP) {
        _Atomic uint32_t *count = NULL;
        err = jdb__regions_pin_marked(ptr, size, &count);
        if (err == 0)
            pin_mark_set(ret_mark, ptr, size, PIN_MARK_FRAME, count);
        return err;
    }
    if (err == 0)
        err = pin_run(&run);
    if (err == 0)
        pin_mark_set(ret_mark, ptr, size, PIN_MARK_RUN, jdb__heap_word(&run));
    return err;
}

/* Take one pin off a run that stays lent. False: it is dropped already, or not pinned. */
static bool unpin_lent(_Atomic uint64_t *place)
{
    uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
    do {
        if (runs_state_of(word) != RUNS_LENT || runs_pins_of(word) == 0)
            return false;
    } while (!atomic_compare_exchange_weak(place, &word, word - RUNS_PIN_ONE));
    return true;
}

int jdb_unpin_marked(const jdb_pin_mark *mark)
{
    if (mark == NULL)
        return -EINVAL;
    if (mark->kind == PIN_MARK_FRAME)
        return JDB_LIKELY(region_unpin_frame(mark->count) == 0) ? 0 : jdb__regions_unpin_error(mark->ptr, mark->size);
    if (mark->kind == PIN_MARK_RUN && unpin_lent(mark->count))
        return 0;
    return jdb_unpin(mark->ptr, mark->size);
}

bool jdb_is_pinned(const void *ptr, size_t size)
{
    struct heap_run run;
    const int err = find_pinnable(ptr, size, &run);
    if (err == -ENOTSUP)
        return jdb__regions_is_pinned(ptr, size);
    return err == 0 && runs_pins_of(atomic_load_explicit(jdb__heap_word(&run), memory_order_acquire)) > 0;
}
