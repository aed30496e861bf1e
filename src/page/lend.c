/* SPDX-License-Identifier: MIT
 *
 * lend.c - lends runs through caches and heap, takes them back, grows and shrinks them.
 */
#include "page/lend.h"

#include "base/bits.h"
#include "base/memcheck.h"
#include "base/zero.h"
#include "jdb_alloc/pages.h"
#include "os/os.h"
#include "page/decay.h"
#include "page/quarantine.h"
#include "page/registry.h"
#include "page/shared_cache.h"

#include <string.h>

/* Up to this many bytes a dirty run of a thread's cache, or of the heap, is cleared; above, a zeroed run is a clean
 * one, or the system empties it. */
#define LEND_CLEAR_MAX ((size_t)1 << 20)

/* Below this many bytes of data a run that has to move is copied; from it on its page tables are moved. */
#define LEND_COPY_MAX ((size_t)128 << 10)

static _Atomic uint64_t lend_moved_bytes;
static _Atomic uint64_t lend_copied_bytes;

struct lend_stats jdb__pages_stats(void)
{
    return (struct lend_stats){
        .moved_bytes = atomic_load_explicit(&lend_moved_bytes, memory_order_relaxed),
        .copied_bytes = atomic_load_explicit(&lend_copied_bytes, memory_order_relaxed),
    };
}

/* ---- Limit ------------------------------------------------------------------------------------------------ */

/* Other threads are looked at so often even where they keep nothing: what they did may have been on its way. */
#define LEND_TAKE_TRIES 3

/* Over the limit by `missing` pages: make room, without giving memory back to the system, which would not count. False:
 * nothing more to give. step counts the tries of one call: first what the thread and the shared caches hold, then what other
 * threads do. The user's callback is called only for what a call cannot do without: not for a batch, nor for the better
 * of two sizes. Meanwhile the thread is inside of no cache, so that no other waits for it. */
static bool lend_make_room(uint64_t missing, unsigned step)
{
    const struct heap_limit limit = jdb__heap_limit();
    cache_leave();
    const bool has_taken = step > 0 && jdb__decay_take_caches();
    if (step > 0 && (step <= LEND_TAKE_TRIES || (has_taken && limit.callback == NULL)))
        return true;
    if (step > 0 && (limit.callback == NULL || !limit.callback(limit.context, missing * JDB_PAGE_SIZE)))
        return false;
    jdb__decay_empty_caches();
    if (step == 0)
        jdb__heap_purge_excess();
    return true;
}

/* Tries for one allocation, so that a callback which frees nothing cannot hang it. */
#define LEND_ROOM_TRIES (8 + LEND_TAKE_TRIES)

/* room_tries: how often room is made under the limit; 0: never, a smaller wish follows when this one fails. */
static int lend_take_run(const struct heap_wish *wish, unsigned room_tries, struct run *ret_run)
{
    uint64_t missing = 0;
    int err = jdb__heap_take(wish, ret_run, &missing);
    for (unsigned step = 0; err == -EDQUOT && step < room_tries && lend_make_room(missing, step); step++)
        err = jdb__heap_take(wish, ret_run, &missing);
    return err == 0 ? 0 : -ENOMEM;
}

/* ---- Lend ------------------------------------------------------------------------------------------------- */

/* A cached run is the user's now. */
static uint8_t *lend_cached(struct cached_run run, uint32_t page_count, bool zeroed)
{
    const uint64_t before = word_load(run.word);
    JDB_ASSERT(word_pages(before) == page_count);
    JDB_ASSERT(page_count > CLASS_PAGES_MAX || (before & WORD_MOVED) == 0); /* P8 */
    word_lend(run.word, word_when_lent(before));
    memcheck_lend(run.ptr, page_count * JDB_PAGE_SIZE);
    if (zeroed && (before & WORD_ZERO) == 0)
        jdb__zero(run.ptr, page_count * JDB_PAGE_SIZE);
    else if (zeroed)
        memcheck_defined(run.ptr, page_count * JDB_PAGE_SIZE);
    return run.ptr;
}

/* A run of a size class. An empty bin is filled; in one that is not, a run that is aligned well enough is sought. */
static bool lend_pop_small(struct thread_cache *cache, uint32_t page_count, size_t align, struct cached_run *ret_run)
{
    struct bin *const bin = cache_bin(cache, page_count);
    uint64_t missing = 0;
    if (bin_pop_aligned(bin, align, ret_run))
        return true;
    if (atomic_load_explicit(&bin->count, memory_order_relaxed) == 0 &&
        jdb__thread_cache_fill(cache, page_count, &missing) != 0)
        return false;
    return jdb__thread_cache_pop_aligned(cache, page_count, align, ret_run);
}

static bool lend_small(struct thread_cache *cache, uint32_t page_count, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    struct cached_run run;
    if (!lend_pop_small(cache, page_count, align, &run))
        return false;
    *ret_ptr = lend_cached(run, page_count, zeroed);
    return true;
}

/* Runs that are taken for a shared cache at once. */
#define LEND_SHARED_RUNS 16

/* Put runs of a class into the shared caches, or the heap. */
static void lend_share(uint32_t page_count, const uint32_t *indices, unsigned count)
{
    if (count == 0 || jdb__shared_cache_push(page_count, indices, count))
        return;
    jdb__heap_give_batch(indices, count, true);
}

/* A run of a size class for a thread without a cache. */
static bool lend_shared(uint32_t page_count, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    uint32_t indices[LEND_SHARED_RUNS];
    uint64_t missing = 0;
    unsigned count = jdb__shared_cache_pop(page_count, 1, indices);
    if (count == 0 && jdb__heap_take_batch(page_count, LEND_SHARED_RUNS, indices, &count, &missing) != 0)
        return false;
    const struct cached_run run = cached_run_at(indices[count - 1]);
    const bool is_aligned = ((uintptr_t)run.ptr & (align - 1)) == 0;
    lend_share(page_count, indices, is_aligned ? count - 1 : count);
    if (is_aligned)
        *ret_ptr = lend_cached(run, page_count, zeroed);
    return is_aligned;
}

static bool lend_from_cache(size_t size, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    struct thread_cache *const cache = jdb__decay_enter();
    const uint32_t page_count = (uint32_t)(size / JDB_PAGE_SIZE);
    struct cached_run run;
    if (cache == NULL)
        return !JDB_IS_CHECKED && page_count <= CLASS_PAGES_MAX && lend_shared(page_count, align, zeroed, ret_ptr);
    if (page_count <= CLASS_PAGES_MAX)
        return lend_small(cache, page_count, align, zeroed, ret_ptr);
    if ((zeroed && size > LEND_CLEAR_MAX) || !cache_pop_large(cache, page_count, align, &run))
        return false;
    *ret_ptr = lend_cached(run, page_count, zeroed);
    return true;
}

static bool lend_has_count(size_t size)
{
    return size / JDB_PAGE_SIZE <= WORD_PAGE_MAX;
}

static void lend_zero(const struct run *run, uint8_t *ptr, size_t size)
{
    if (run->is_zero)
        memcheck_defined(ptr, size);
    else if (size <= LEND_CLEAR_MAX || size % jdb__os_page_size() != 0 || jdb__os_decommit(ptr, size) != 0)
        jdb__zero(ptr, size);
}

static int lend_run(const struct heap_wish *wish, unsigned room_tries, uint8_t **ret_ptr)
{
    const size_t size = (size_t)wish->page_count * JDB_PAGE_SIZE;
    const size_t align = (size_t)wish->align_pages * JDB_PAGE_SIZE;
    const bool is_cached = lend_from_cache(size, align, wish->want_zero, ret_ptr);
    cache_leave();
    if (is_cached)
        return 0;
    struct run run;
    const int err = lend_take_run(wish, room_tries, &run);
    if (err != 0)
        return err;
    uint8_t *const ptr = run_address(&run);
    memcheck_lend(ptr, size);
    if (wish->want_zero)
        lend_zero(&run, ptr, size);
    *ret_ptr = ptr;
    return 0;
}

/* `fresh` bytes of the run at ptr are lent by this call. */
static void lend_profile(const uint8_t *ptr, size_t fresh)
{
    if (!profile_is_on())
        return;
    jdb__profile_lent(jdb__registry_here(), ptr, (uint32_t)(fresh / JDB_PAGE_SIZE));
    cache_leave();
}

int jdb__pages_lend(size_t size, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    if (!lend_has_count(size) || !lend_has_count(align))
        return -ENOMEM;
    const struct heap_wish wish = {
        .page_count = (uint32_t)(size / JDB_PAGE_SIZE),
        .align_pages = (uint32_t)(align / JDB_PAGE_SIZE),
        .want_zero = zeroed,
    };
    const int err = lend_run(&wish, LEND_ROOM_TRIES, ret_ptr);
    if (err == 0)
        lend_profile(*ret_ptr, size);
    return err;
}

int jdb__pages_lend_max(size_t size, size_t max, uint8_t **ret_ptr)
{
    if (!lend_has_count(max))
        return -ENOMEM;
    const struct heap_wish wish = {
        .page_count = (uint32_t)(size / JDB_PAGE_SIZE),
        .max_pages = (uint32_t)(max / JDB_PAGE_SIZE),
    };
    struct run run;
    JDB_ASSERT(wish.page_count > 0 && wish.page_count <= wish.max_pages);
    jdb__decay_enter();
    cache_leave();
    const int err = lend_take_run(&wish, LEND_ROOM_TRIES, &run);
    if (err == 0) {
        *ret_ptr = run_address(&run);
        memcheck_lend(*ret_ptr, size);
        lend_profile(*ret_ptr, size);
    }
    return err;
}

/* ---- Take back -------------------------------------------------------------------------------------------- */

static void lend_keep_small(struct thread_cache *cache, const struct run *run)
{
    struct bin *const bin = cache_bin(cache, run->page_count);
    const struct cached_run kept = cached_run_at(run->index);
    if (bin_push(bin, kept))
        return;
    jdb__thread_cache_spill(cache, run->page_count);
    jdb__decay_note(cache);
    bin_push(bin, kept);
}

static void lend_quarantine(const struct run *run)
{
    struct run leaving;
    const uint64_t word = word_load(run_word(run));
    word_cache(run_word(run), (word & ~WORD_STATE_MASK) | WORD_CACHED);
    if (jdb__quarantine_put(run, &leaving))
        jdb__heap_give(&leaving);
    while (jdb__quarantine_take_excess(&leaving))
        jdb__heap_give(&leaving);
}

/* Past the caches: to the heap, in the checked build after a while. */
static void lend_give(const struct run *run)
{
    if (JDB_IS_CHECKED)
        lend_quarantine(run);
    else
        jdb__heap_give(run);
}

/* The first larger run of a decay epoch makes the thread's next call poll the clock, so that a thread which keeps
 * large runs and goes idle gives them back. */
static void lend_keep_large(struct thread_cache *cache, const struct run *run)
{
    const uint64_t word = word_load(run_word(run));
    word_cache(run_word(run), word_make(WORD_CACHED, word & WORD_MOVED, run->page_count));
    if (cache->large_limit == 0)
        jdb__registry_poll_next(cache);
    if (!jdb__thread_cache_keep_large(cache, run->page_count, (struct cached_run){run_address(run), run_word(run)}))
        jdb__decay_note(cache);
}

void jdb__pages_release(const struct run *run)
{
    struct thread_cache *const cache = jdb__registry_here();
    const uint32_t page_count = cache == NULL ? run_pages(run) : 0;
    memcheck_drop(run_address(run), run_bytes(run));
    const bool is_sampled = (word_load(run_word(run)) & WORD_SAMPLED) != 0;
    const bool is_kept_out = is_sampled && jdb__profile_freed(run);
    const bool may_keep = !JDB_IS_CHECKED && !is_kept_out && cache_may_keep(run, word_load(run_word(run)));
    if (cache == NULL && may_keep && run->page_count <= CLASS_PAGES_MAX) {
        word_cache(run_word(run), word_make(WORD_CACHED, 0, run->page_count));
        lend_share(run->page_count, &run->index, 1);
        jdb__decay_note(NULL);
    } else if (cache == NULL || !may_keep) {
        cache_leave();
        lend_give(run);
        jdb__decay_note(cache);
    } else if (run->page_count <= CLASS_PAGES_MAX) {
        lend_keep_small(cache, run);
    } else {
        lend_keep_large(cache, run);
    }
    if (cache == NULL && profile_is_on())
        jdb__profile_leave(-(int64_t)page_count);
    cache_leave();
}

static bool lend_is_run(const struct run *run, const uint8_t *ptr, size_t size)
{
    return word_state(word_load(run_word(run))) == WORD_LENT && run_address(run) == ptr && run_bytes(run) == size;
}

/* The lent run (ptr, size); aborts when it is none. */
static struct run lend_own_run(const uint8_t *ptr, size_t size)
{
    struct run run;
    if (!jdb__heap_find(ptr, &run) || !lend_is_run(&run, ptr, size))
        JDB_BREACH("not a buffer that is lent: freed twice, or its ptr or cap was changed", ptr);
    return run;
}

void jdb__pages_take_back(uint8_t *ptr, size_t size)
{
    const struct run run = lend_own_run(ptr, size);
    jdb__decay_enter();
    if (word_die(run_word(&run)))
        cache_leave();
    else
        jdb__pages_release(&run);
}

bool jdb__pages_is_lent(const uint8_t *ptr, size_t size)
{
    struct run run;
    return jdb__heap_find(ptr, &run) && lend_is_run(&run, ptr, size);
}

/* ---- Grow and shrink -------------------------------------------------------------------------------------- */

static int lend_grow_bounded(const struct run *run, size_t least, size_t *ret_size)
{
    uint64_t missing = 0;
    if (!lend_has_count(least))
        return -ENOBUFS;
    const uint32_t page_count = (uint32_t)(least / JDB_PAGE_SIZE);
    int err = jdb__heap_resize_bounded(run, page_count, &missing);
    for (unsigned step = 0; err == -EDQUOT && step < LEND_ROOM_TRIES && lend_make_room(missing, step); step++)
        err = jdb__heap_resize_bounded(run, page_count, &missing);
    if (err == 0)
        *ret_size = least;
    return err == -EDQUOT ? -ENOMEM : err;
}

static void lend_copy(const struct run *from, const struct run *to, size_t data_size)
{
    memcpy(run_address(to), run_address(from), data_size);
    atomic_fetch_add_explicit(&lend_copied_bytes, data_size, memory_order_relaxed);
}

/* Bring data_size bytes from one run to another: by page tables where it pays and the system can. -EADDRNOTAVAIL:
 * `to` is lost. */
static int lend_move(const struct run *from, const struct run *to, size_t data_size)
{
    const size_t from_size = (size_t)from->page_count * JDB_PAGE_SIZE;
    const int err = data_size >= LEND_COPY_MAX ? jdb__heap_move(from, to) : -ENOTSUP;
    if (err == 0)
        atomic_fetch_add_explicit(&lend_moved_bytes, from_size, memory_order_relaxed);
    else if (err != -EADDRNOTAVAIL)
        lend_copy(from, to, data_size);
    return err == -EADDRNOTAVAIL ? err : 0;
}

struct lend_growth {
    size_t least;
    size_t best;  /* a multiple of align, or `least` */
    size_t align; /* of the address */
};

/* A run to move to: of the best size, or the least where memory is short. */
static int lend_grown(const struct lend_growth *growth, struct run *ret_run, size_t *ret_size)
{
    uint8_t *ptr = NULL;
    size_t size = growth->best;
    struct heap_wish wish = {
        .page_count = (uint32_t)(growth->best / JDB_PAGE_SIZE),
        .align_pages = (uint32_t)(growth->align / JDB_PAGE_SIZE),
    };
    const bool is_optional = growth->least < growth->best;
    int err = lend_run(&wish, is_optional ? 0 : LEND_ROOM_TRIES, &ptr);
    if (err != 0 && is_optional) {
        size = growth->least;
        wish.page_count = (uint32_t)(growth->least / JDB_PAGE_SIZE);
        err = lend_run(&wish, LEND_ROOM_TRIES, &ptr);
    }
    if (err != 0)
        return err;
    if (!jdb__heap_find(ptr, ret_run))
        JDB_BREACH("the tables of the page allocator were overwritten", ptr);
    *ret_size = size;
    return 0;
}

/* Where the addresses to move to are lost, the data is copied into other ones. */
static int lend_grow_by_moving(const struct run *run, size_t data_size, const struct lend_growth *growth,
                               uint8_t **ret_ptr, size_t *ret_size)
{
    struct run to;
    size_t size = 0;
    int err = lend_grown(growth, &to, &size);
    if (err == 0 && lend_move(run, &to, data_size) != 0) {
        err = lend_grown(growth, &to, &size);
        if (err == 0)
            lend_copy(run, &to, data_size);
    }
    if (err != 0)
        return err;
    if ((word_load(run_word(run)) & WORD_SAMPLED) != 0)
        jdb__profile_moved(run, &to);
    jdb__pages_release(run);
    *ret_ptr = run_address(&to);
    *ret_size = size;
    return 0;
}

/* Into the free pages behind, to `least` bytes at least, or more that is a multiple of `step`. Errors as
 * jdb__heap_extend(). */
static int lend_grow_in_place(struct run *run, size_t least, size_t best, size_t step, size_t *ret_size,
                              uint64_t *ret_missing)
{
    uint8_t *const end = run_address(run) + (size_t)run->page_count * JDB_PAGE_SIZE;
    const size_t size = (size_t)run->page_count * JDB_PAGE_SIZE;
    const int err = jdb__heap_extend(run, (uint32_t)(least / JDB_PAGE_SIZE), (uint32_t)(best / JDB_PAGE_SIZE),
                                     (uint32_t)(step / JDB_PAGE_SIZE), ret_missing);
    if (err != 0)
        return err;
    *ret_size = (size_t)run->page_count * JDB_PAGE_SIZE;
    memcheck_lend(end, *ret_size - size);
    return 0;
}

/* In place, where room can be made under the limit, or not at all: the run is pinned and cannot move, or the limit is all
 * that is in the way, and moving would need more. -EBUSY: the pages behind are not free. */
static int lend_grow_here(struct run *run, size_t least, size_t best, size_t *ret_size)
{
    uint64_t missing = 0;
    int err = lend_grow_in_place(run, least, best, JDB_PAGE_SIZE, ret_size, &missing);
    for (unsigned step = 0; err == -EDQUOT && step < LEND_ROOM_TRIES && lend_make_room(missing, step); step++)
        err = lend_grow_in_place(run, least, best, JDB_PAGE_SIZE, ret_size, &missing);
    if (err == -EDQUOT)
        return -ENOMEM;
    return err == 0 ? 0 : -EBUSY;
}

/* The largest alignment that growth keeps. Addresses and sizes have larger ones by chance, and growth would become
 * too coarse. */
#define LEND_KEPT_ALIGN ((size_t)2 << 20)

/* Address and size stay multiples of what both are multiples of; the size, where memory is not short. */
static struct lend_growth lend_plan_growth(const uint8_t *ptr, size_t size, size_t least, size_t best)
{
    const size_t align = (size_t)1 << bits_lowest((uintptr_t)ptr | size | LEND_KEPT_ALIGN);
    const size_t whole = (size_t)bits_round_up(best, align);
    return (struct lend_growth){least, lend_has_count(whole) ? whole : least, align};
}

static int lend_grow(uint8_t *ptr, size_t size, size_t data_size, size_t least, size_t best, uint8_t **ret_ptr,
                     size_t *ret_size)
{
    struct run run = lend_own_run(ptr, size);
    const uint64_t word = word_load_freed(run_word(&run));
    if (run.zone->is_bounded) {
        const int err = lend_grow_bounded(&run, least, ret_size);
        if (err == 0)
            memcheck_lend(ptr + size, least - size);
        return err;
    }
    JDB_ASSERT(least > size && best >= least && data_size <= size);
    const struct lend_growth growth = lend_plan_growth(ptr, size, least, best);
    if (!lend_has_count(growth.least))
        return -ENOMEM;
    const size_t half_more = size + (size_t)bits_round_up(size / 2, growth.align);
    const bool is_pinned = word_pins(word) > 0;
    const size_t whole_least = (size_t)bits_round_up(least, growth.align);
    const size_t enough = is_pinned || whole_least > half_more || half_more > growth.best ? whole_least : half_more;
    uint64_t missing = 0;
    const int err_here = lend_grow_in_place(&run, enough, growth.best, growth.align, ret_size, &missing);
    if (err_here == 0)
        return 0;
    if (is_pinned || err_here == -EDQUOT) { /* -EBUSY: another thread may have taken the pages behind meanwhile */
        const int err_room = lend_grow_here(&run, least, growth.best, ret_size);
        if (is_pinned || err_room != -EBUSY)
            return err_room;
    }
    const int err = lend_grow_by_moving(&run, data_size, &growth, ret_ptr, ret_size);
    return err != 0 && lend_grow_in_place(&run, least, least, JDB_PAGE_SIZE, ret_size, &missing) == 0 ? 0 : err;
}

int jdb__pages_grow(uint8_t *ptr, size_t size, size_t data_size, size_t least, size_t best, uint8_t **ret_ptr,
                    size_t *ret_size)
{
    const int err = lend_grow(ptr, size, data_size, least, best, ret_ptr, ret_size);
    if (err == 0)
        lend_profile(*ret_ptr, *ret_size - size);
    return err;
}

int jdb__pages_shrink(uint8_t *ptr, size_t size, size_t new_size)
{
    struct run run = lend_own_run(ptr, size);
    const uint32_t page_count = (uint32_t)(new_size / JDB_PAGE_SIZE);
    uint64_t missing = 0;
    memcheck_drop(ptr + new_size, size - new_size);
    const int err =
        run.zone->is_bounded ? jdb__heap_resize_bounded(&run, page_count, &missing) : jdb__heap_cut(&run, page_count);
    if (err == 0) {
        jdb__decay_note(jdb__registry_here());
        cache_leave();
    } else {
        memcheck_lend(ptr + new_size, size - new_size);
        memcheck_defined(ptr + new_size, size - new_size);
    }
    return err;
}
