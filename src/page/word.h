/* SPDX-License-Identifier: MIT
 *
 * word.h - the word of a page: what starts or ends there, who may store it, and every change of its state.
 *
 *     63           34 33                  8 7     4 3     0
 *    [ page_count:30 | pin_count:26        | flags | state ]
 *
 * The first page of each run and extent has a word, the last page of an extent has one of state TAIL; the word of every
 * other page is 0 (INSIDE).
 *
 *   field         of            meaning
 *   page_count    all           pages of the run or extent; of a bounded run its maximum (bounded.c)
 *   pin_count     LENT, DYING   pins
 *                 CACHED        0; or, in a hot slot, the number of the cache that has the run (thread_cache.h)
 *   kind, 4 and 5 FREE, TAIL    enum extent_kind (extents.h)
 *   ZERO, 4       CACHED        every byte is known to be zero
 *   MOVED, 6      LENT, DYING, CACHED: the mapping came here by moving page tables
 *   SAMPLED, 7    LENT, DYING: the profile has a sample of it (profile.h)
 *
 * Bits of the flags are shared: test the state first.
 *
 * Who may store it, with which order, and why it is enough:
 *
 *   FREE -> CACHED, LENT   extents_set_word()   any thread under the heap's lock, relaxed: the lock orders it; and back
 *   CACHED -> LENT         word_lend()          the owner of the cached run, relaxed: between caches it passes a lock
 *   LENT, DYING -> CACHED  word_cache()         the thread that frees it, after word_load_freed() and a look at the
 *                                               whole word: its acquire pairs with the last unpin. Release: who
 *                                               takes a hot slot of another thread has seen no lock
 *   CACHED -> CACHED       word_cache_again()   the owner, relaxed
 *   LENT, pins             word_pin() and so on any thread, compare-and-swap: whoever finds pins changes the word so
 *   LENT -> DYING          word_die()           the thread that frees it, compare-and-swap: the run is pinned
 *   LENT, page_count       word_grow()          the owner under the heap's lock, atomic add: a pin may arrive
 *                          word_cut()           the owner under the heap's lock, compare-and-swap; -EBUSY: pinned
 *   LENT, MOVED            word_mark_moved()    the owner, atomic or: a pin may arrive
 *   SAMPLED                word_mark_sampled()  the owner, atomic or and and: a pin may arrive
 *   LENT -> LOST           word_lose()          the owner under the heap's lock, relaxed: nobody has the address yet
 *
 * A free that races with a first pin is the caller's error (pin.h): whoever pins knows that the memory stays lent
 * meanwhile.
 */
#ifndef JDB_WORD_H
#define JDB_WORD_H

#include "base/check.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum word_state {
    WORD_INSIDE = 0, /* inside a run or an extent, or nothing known */
    WORD_TAIL,       /* last page of an extent */
    WORD_FREE,       /* first page of an extent; its kind is in the flags */
    WORD_CACHED,     /* a run that the library keeps for reuse, or one on its way to the system */
    WORD_LENT,       /* a run that the user owns */
    WORD_DYING,      /* a run that was freed while it was pinned */
    WORD_LOST,       /* a run whose addresses another thread's mapping may have taken: never touched again */
};

#define WORD_STATE_MASK UINT64_C(0x0f)
#define WORD_KIND_SHIFT 4
#define WORD_KIND_MASK UINT64_C(0x30)
#define WORD_ZERO UINT64_C(0x10)
#define WORD_MOVED UINT64_C(0x40)
#define WORD_SAMPLED UINT64_C(0x80)
#define WORD_PIN_SHIFT 8
#define WORD_PIN_ONE (UINT64_C(1) << WORD_PIN_SHIFT)
#define WORD_PIN_MASK ((UINT64_C(1) << 34) - WORD_PIN_ONE)
#define WORD_PIN_MAX (WORD_PIN_MASK >> WORD_PIN_SHIFT)
#define WORD_PAGE_SHIFT 34
#define WORD_PAGE_MAX ((UINT32_C(1) << 30) - 1)

/* Turns the word of a lent run into that of the same run cached, and back. */
#define WORD_FLIP ((uint64_t)WORD_LENT ^ (uint64_t)WORD_CACHED)

/* ---- Read ------------------------------------------------------------------------------------------------- */

static inline uint64_t word_make(enum word_state state, uint64_t flags, uint32_t page_count)
{
    JDB_ASSERT(page_count <= WORD_PAGE_MAX);
    JDB_ASSERT((flags & WORD_STATE_MASK) == 0 && flags >> WORD_PAGE_SHIFT == 0);
    return (uint64_t)state | flags | (uint64_t)page_count << WORD_PAGE_SHIFT;
}

static inline enum word_state word_state(uint64_t word)
{
    return (enum word_state)(word & WORD_STATE_MASK);
}

static inline uint32_t word_pages(uint64_t word)
{
    return (uint32_t)(word >> WORD_PAGE_SHIFT);
}

static inline uint64_t word_pins(uint64_t word)
{
    return (word & WORD_PIN_MASK) >> WORD_PIN_SHIFT;
}

/* By its owner, or under the heap's lock; by others where the answer may be old. */
static inline uint64_t word_load(const _Atomic uint64_t *place)
{
    return atomic_load_explicit(place, memory_order_relaxed);
}

/* Of a run that is freed, grown or cut: the last unpin by another thread is over, and what came before it is seen. Or of one
 * that its owner has freed. */
static inline uint64_t word_load_freed(const _Atomic uint64_t *place)
{
    return atomic_load_explicit(place, memory_order_acquire);
}

/* Whether it is the word of a run of page_count pages, lent, not pinned. */
static inline bool word_is_plain(uint64_t word, uint32_t page_count)
{
    return (word & ~WORD_MOVED) == word_make(WORD_LENT, 0, page_count);
}

/* ---- CACHED and LENT: the run's owner, without a lock -------------------------------------------------------- */

/* CACHED -> LENT. */
static inline void word_lend(_Atomic uint64_t *place, uint64_t lent_word)
{
    JDB_ASSERT(word_state(word_load(place)) == WORD_CACHED); /* P7 */
    JDB_ASSERT(word_state(lent_word) == WORD_LENT && word_pins(lent_word) == 0);
    atomic_store_explicit(place, lent_word, memory_order_relaxed);
}

/* LENT or DYING -> CACHED. */
static inline void word_cache(_Atomic uint64_t *place, uint64_t cached_word)
{
    JDB_ASSERT(word_state(word_load(place)) == WORD_LENT || word_state(word_load(place)) == WORD_DYING);
    JDB_ASSERT(word_pins(word_load(place)) == 0); /* P8 */
    JDB_ASSERT(word_state(cached_word) == WORD_CACHED && word_pages(cached_word) == word_pages(word_load(place)));
    atomic_store_explicit(place, cached_word, memory_order_release);
}

/* CACHED -> CACHED: out of a hot slot. */
static inline void word_cache_again(_Atomic uint64_t *place, uint64_t cached_word)
{
    JDB_ASSERT(word_state(word_load(place)) == WORD_CACHED); /* P7 */
    JDB_ASSERT(word_state(cached_word) == WORD_CACHED);
    atomic_store_explicit(place, cached_word, memory_order_relaxed);
}

/* The word with which a cached run is lent. */
static inline uint64_t word_when_lent(uint64_t cached_word)
{
    return word_make(WORD_LENT, cached_word & WORD_MOVED, word_pages(cached_word));
}

/* ---- Pins: any thread ----------------------------------------------------------------------------------------- */

/* Add a pin. -EINVAL: the run is not lent; -EBUSY: no more pins fit. */
static inline int word_pin(_Atomic uint64_t *place)
{
    uint64_t word = word_load(place);
    do {
        if (word_state(word) != WORD_LENT)
            return -EINVAL;
        if (word_pins(word) == WORD_PIN_MAX)
            return -EBUSY;
    } while (!atomic_compare_exchange_weak(place, &word, word + WORD_PIN_ONE));
    return 0;
}

/* Take a pin off a run that is lent. False: it is freed already, or not pinned. */
static inline bool word_unpin_lent(_Atomic uint64_t *place)
{
    uint64_t word = word_load(place);
    do {
        if (word_state(word) != WORD_LENT || word_pins(word) == 0)
            return false;
    } while (!atomic_compare_exchange_weak(place, &word, word - WORD_PIN_ONE));
    return true;
}

/* Take a pin off a run that is lent or dying; *ret_word: what it is then. False: neither, or not pinned: where the run
 * was freed since it was found, the number of a cache may stand where pins were. */
static inline bool word_unpin(_Atomic uint64_t *place, uint64_t *ret_word)
{
    uint64_t word = word_load(place);
    do {
        if (word_pins(word) == 0 || (word_state(word) != WORD_LENT && word_state(word) != WORD_DYING))
            return false;
    } while (!atomic_compare_exchange_weak(place, &word, word - WORD_PIN_ONE));
    *ret_word = word - WORD_PIN_ONE;
    return true;
}

/* LENT -> DYING, where it is pinned. False: it is not, and the caller owns it now. */
static inline bool word_die(_Atomic uint64_t *place)
{
    uint64_t word = word_load_freed(place);
    while (word_pins(word) > 0) {
        JDB_ASSERT(word_state(word) == WORD_LENT);
        if (atomic_compare_exchange_weak(place, &word, (word & ~WORD_STATE_MASK) | WORD_DYING))
            return true;
    }
    return false;
}

/* ---- Size and place: the owner of a lent run, while pins may arrive --------------------------------------------- */

/* By more pages. Heap's lock. */
static inline void word_grow(_Atomic uint64_t *place, uint32_t more)
{
    JDB_ASSERT(word_state(word_load(place)) == WORD_LENT);
    JDB_ASSERT(more <= WORD_PAGE_MAX - word_pages(word_load(place)));
    atomic_fetch_add_explicit(place, (uint64_t)more << WORD_PAGE_SHIFT, memory_order_relaxed);
}

/* To page_count pages. -EBUSY: it is pinned, nothing changed. Heap's lock. */
static inline int word_cut(_Atomic uint64_t *place, uint32_t page_count)
{
    uint64_t word = word_load(place);
    JDB_ASSERT(word_state(word) == WORD_LENT);
    JDB_ASSERT(page_count > 0 && page_count < word_pages(word));
    const uint64_t cut_word = word_make(WORD_LENT, word & (WORD_MOVED | WORD_SAMPLED), page_count);
    return word_pins(word) == 0 && atomic_compare_exchange_strong(place, &word, cut_word) ? 0 : -EBUSY;
}

static inline void word_mark_moved(_Atomic uint64_t *place)
{
    JDB_ASSERT(word_state(word_load(place)) == WORD_LENT);
    atomic_fetch_or_explicit(place, WORD_MOVED, memory_order_relaxed);
}

static inline void word_mark_sampled(_Atomic uint64_t *place)
{
    JDB_ASSERT(word_state(word_load(place)) == WORD_LENT);
    atomic_fetch_or_explicit(place, WORD_SAMPLED, memory_order_relaxed);
}

static inline void word_clear_sampled(_Atomic uint64_t *place)
{
    atomic_fetch_and_explicit(place, ~WORD_SAMPLED, memory_order_relaxed);
}

/* LENT -> LOST. Heap's lock. */
static inline void word_lose(_Atomic uint64_t *place)
{
    JDB_ASSERT(word_state(word_load(place)) == WORD_LENT);
    atomic_store_explicit(place, word_make(WORD_LOST, 0, word_pages(word_load(place))), memory_order_relaxed);
}

#endif
