/* SPDX-License-Identifier: MIT
 *
 * pages.c - lends runs through caches and heap, pins them, moves them, and decides when memory goes back. Floor 3.
 *
 * Words. The thread that lends or drops a run owns it: it stores the first word plainly. Pins may come from any thread,
 * so whoever finds pins in a word changes it by compare-and-swap from then on. A drop that races a first pin is
 * the caller's breach (pin.h).
 *
 * Time. The clock is looked at on the slow paths, and by each thread every CACHE_TICKS calls; a thread that left
 * memory warm beyond its bins looks on its next call.
 */
#include "page/lend.h"

#include "base/bits.h"
#include "jdb_alloc/pages.h"
#include "base/memcheck.h"
#include "os/os.h"
#include "page/quarantine.h"
#include "base/zero.h"

#include <string.h>

#define DEFAULT_DELAY_MS 1000u
#define DEFAULT_WARM_BYTES (UINT64_C(64) << 20)
#define DEFAULT_THREAD_BYTES (UINT64_C(32) << 20)

/* Up to this many bytes a warm run is cleared; above, a zeroed run is one that was never touched. */
#define CLEAR_MAX ((size_t)1 << 20)

/* Below this many bytes of data a run that has to move is copied; from it on its page tables are moved. */
#define COPY_MAX ((size_t)128 << 10)

static _Atomic uint32_t delay_ms = DEFAULT_DELAY_MS;
static _Atomic uint64_t last_drop_ms; /* when memory was last left warm beyond the bins of a thread */
static _Atomic uint64_t last_turn_ms; /* when shared caches and heap last turned */
static atomic_bool is_warm;           /* shared caches or heap may have memory to give back */

static _Atomic uint64_t moved_bytes;
static _Atomic uint64_t copied_bytes;

/* ---- Giving back ------------------------------------------------------------------------------------------ */

static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void store(_Atomic uint64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

/* Memory was left warm: this thread looks at the clock on its next call. */
static void note_warm(struct cache *cache)
{
    store(&last_drop_ms, jdb__os_coarse_ms());
    atomic_store_explicit(&is_warm, true, memory_order_relaxed);
    if (cache != NULL)
        jdb__cache_wake_next(cache);
}

/* What the quarantine of the checked build keeps goes to the heap; not what other threads put there meanwhile, or this
 * might never end. */
static void end_quarantine(void)
{
    struct heap_run run;
    for (unsigned i = 0; JDB_IS_CHECKED && i < QUARANTINE_RUNS && jdb__quarantine_take(&run); i++)
        jdb__heap_give(&run);
}

static void give_all_back(void)
{
    atomic_store_explicit(&is_warm, false, memory_order_relaxed);
    end_quarantine();
    jdb__cache_drain_shared(true);
    jdb__heap_purge();
}

static uint64_t current_delay(void)
{
    const uint32_t delay = atomic_load_explicit(&delay_ms, memory_order_relaxed);
    return delay == JDB_DELAY_NONE ? 0 : delay;
}

/* Whether so much time has passed since `then`, which another thread may have stored after `now` was read. */
static bool has_passed(uint64_t now, uint64_t then, uint64_t delay)
{
    return now >= then && now - then >= delay;
}

/* Turn shared caches and heap when their time has come. One thread does it, the others see the new time. */
static void turn_process(uint64_t now, uint64_t delay)
{
    if (!atomic_load_explicit(&is_warm, memory_order_relaxed))
        return;
    uint64_t turned = load(&last_turn_ms);
    if (has_passed(now, load(&last_drop_ms), delay)) {
        give_all_back();
    } else if (has_passed(now, turned, delay) && atomic_compare_exchange_strong(&last_turn_ms, &turned, now)) {
        jdb__cache_drain_shared(false);
        jdb__heap_turn();
    }
}

void jdb__pages_tick(struct cache *cache)
{
    const uint64_t now = jdb__os_coarse_ms();
    const uint64_t delay = current_delay();
    cache->ticks = CACHE_TICKS;
    if (now - cache->seen_ms >= delay) {
        jdb__cache_flush(cache);
        atomic_store_explicit(&is_warm, true, memory_order_relaxed);
    } else if (now - cache->turn_ms >= delay) {
        jdb__cache_turn(cache);
        cache->turn_ms = now;
        atomic_store_explicit(&is_warm, true, memory_order_relaxed);
    }
    cache->seen_ms = now;
    turn_process(now, delay);
}

/* The calling thread's cache on a slow path, which is also where the clock is looked at. NULL: it has none. */
static struct cache *enter(void)
{
    struct cache *const cache = jdb__cache_own();
    if (cache != NULL)
        pages_count_call(cache);
    else
        turn_process(jdb__os_coarse_ms(), current_delay());
    return cache;
}

static uint64_t given_pages(void)
{
    struct heap_stats heap;
    jdb__heap_stats(&heap);
    return heap.given_pages;
}

uint64_t jdb_trim(void)
{
    const uint64_t before = given_pages();
    end_quarantine();
    struct cache *const cache = jdb__cache_own();
    if (cache != NULL)
        jdb__cache_flush(cache);
    jdb__cache_drain_shared(true);
    jdb__heap_purge();
    return (given_pages() - before) * JDB_PAGE_SIZE;
}

void jdb_thread_flush(void)
{
    struct cache *const cache = jdb__cache_own();
    if (cache == NULL)
        return;
    jdb__cache_flush(cache);
    note_warm(cache);
}

/* ---- Limit ------------------------------------------------------------------------------------------------ */

/* Over the limit by `missing` pages: make room. False: nothing more to give. step counts the tries of one call. The user's
 * callback is asked for what a call cannot do without: not for a batch, nor for the better of two sizes. */
static bool make_room(uint64_t missing, unsigned step)
{
    if (step == 0) {
        jdb_trim();
        return true;
    }
    const struct heap_limit limit = jdb__heap_limit();
    if (limit.callback == NULL || !limit.callback(limit.context, missing * JDB_PAGE_SIZE))
        return false;
    jdb_trim();
    return true;
}

/* Calls of the user's callback for one allocation, so that one which frees nothing cannot hang it. */
#define ROOM_TRIES 8

struct taking {
    uint32_t page_count;
    uint32_t align_pages;
    uint32_t max_pages; /* 0: not bounded */
    bool want_zero;
    bool is_optional; /* there is a smaller wish behind this one: over the limit, no room is made */
};

static int take_once(const struct taking *taking, struct heap_run *ret_run, uint64_t *ret_missing)
{
    if (taking->max_pages > 0)
        return jdb__heap_take_bounded(taking->page_count, taking->max_pages, ret_run, ret_missing);
    return jdb__heap_take(taking->page_count, taking->align_pages, taking->want_zero, ret_run, ret_missing);
}

static int take_run(const struct taking *taking, struct heap_run *ret_run)
{
    uint64_t missing = 0;
    int err = take_once(taking, ret_run, &missing);
    for (unsigned step = 0; err == -EDQUOT && step < ROOM_TRIES && !taking->is_optional; step++) {
        if (!make_room(missing, step))
            return -ENOMEM;
        err = take_once(taking, ret_run, &missing);
    }
    if (err == 0)
        return 0;
    return -ENOMEM;
}

/* ---- Lend ------------------------------------------------------------------------------------------------- */

/* A cached run is the user's now. */
static uint8_t *lend_cached(struct cache_run run, uint32_t page_count, bool zeroed)
{
    const uint64_t before = atomic_load_explicit(run.word, memory_order_relaxed);
    const uint64_t moved = page_count > CACHE_CLASS_MAX ? before & RUNS_FLAG_MOVED : 0;
    atomic_store_explicit(run.word, runs_make_word(RUNS_LENT, moved, page_count), memory_order_relaxed);
    memcheck_lend(run.ptr, page_count * JDB_PAGE_SIZE);
    if (zeroed && (before & RUNS_FLAG_ZERO) == 0)
        jdb__zero(run.ptr, page_count * JDB_PAGE_SIZE);
    else if (zeroed)
        memcheck_defined(run.ptr, page_count * JDB_PAGE_SIZE);
    return run.ptr;
}

/* A run of a size class; aligned beyond a page only when the one beside happens to be. */
static bool lend_small(struct cache *cache, uint32_t page_count, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    struct cache_bin *const bin = cache_bin_for(cache, page_count);
    struct cache_run run;
    uint64_t missing = 0;
    if (align > JDB_PAGE_SIZE && (!cache_has_beside(bin) || ((uintptr_t)bin->ptr & (align - 1)) != 0))
        return false;
    if (!cache_pop(bin, &run) && (jdb__cache_fill(cache, page_count, &missing) != 0 || !cache_pop(bin, &run)))
        return false;
    *ret_ptr = lend_cached(run, page_count, zeroed);
    return true;
}

static bool lend_from_cache(size_t size, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    struct cache *const cache = enter();
    const uint32_t page_count = (uint32_t)(size / JDB_PAGE_SIZE);
    uint32_t index = 0;
    if (cache == NULL)
        return false;
    if (page_count <= CACHE_CLASS_MAX)
        return lend_small(cache, page_count, align, zeroed, ret_ptr);
    if ((zeroed && size > CLEAR_MAX) || !cache_pop_large(cache, page_count, align, &index))
        return false;
    *ret_ptr = lend_cached(cache_run_at(index), page_count, zeroed);
    return true;
}

static bool is_page_count(size_t size)
{
    return size / JDB_PAGE_SIZE <= RUNS_PAGE_MAX;
}

static void make_zero(const struct heap_run *run, uint8_t *ptr, size_t size)
{
    if (run->is_zero)
        memcheck_defined(ptr, size);
    else if (size <= CLEAR_MAX || size % jdb__os_page_size() != 0 || jdb__os_decommit(ptr, size) != 0)
        jdb__zero(ptr, size);
}

static int lend(const struct taking *taking, uint8_t **ret_ptr)
{
    const size_t size = (size_t)taking->page_count * JDB_PAGE_SIZE;
    if (lend_from_cache(size, (size_t)taking->align_pages * JDB_PAGE_SIZE, taking->want_zero, ret_ptr))
        return 0;
    struct heap_run run;
    const int err = take_run(taking, &run);
    if (err != 0)
        return err;
    uint8_t *const ptr = jdb__heap_address(&run);
    memcheck_lend(ptr, size);
    if (taking->want_zero)
        make_zero(&run, ptr, size);
    *ret_ptr = ptr;
    return 0;
}

int jdb__pages_lend(size_t size, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    if (!is_page_count(size) || !is_page_count(align))
        return -ENOMEM;
    const struct taking taking = {
        .page_count = (uint32_t)(size / JDB_PAGE_SIZE),
        .align_pages = (uint32_t)(align / JDB_PAGE_SIZE),
        .want_zero = zeroed,
    };
    return lend(&taking, ret_ptr);
}

int jdb__pages_lend_max(size_t size, size_t max, uint8_t **ret_ptr)
{
    if (!is_page_count(max))
        return -ENOMEM;
    const struct taking taking = {
        .page_count = (uint32_t)(size / JDB_PAGE_SIZE),
        .max_pages = (uint32_t)(max / JDB_PAGE_SIZE),
    };
    struct heap_run run;
    enter();
    const int err = take_run(&taking, &run);
    if (err != 0)
        return err;
    *ret_ptr = jdb__heap_address(&run);
    memcheck_lend(*ret_ptr, size);
    return 0;
}

/* ---- Take back -------------------------------------------------------------------------------------------- */

static void keep_small(struct cache *cache, const struct heap_run *run)
{
    struct cache_bin *const bin = cache_bin_for(cache, run->page_count);
    const struct cache_run kept = cache_run_at(run->index);
    if (cache_push(bin, kept))
        return;
    jdb__cache_spill(cache, run->page_count);
    note_warm(cache);
    cache_push(bin, kept);
}

static void keep_in_quarantine(const struct heap_run *run)
{
    struct heap_run leaving;
    const uint64_t word = atomic_load_explicit(jdb__heap_word(run), memory_order_relaxed);
    atomic_store_explicit(jdb__heap_word(run), (word & ~RUNS_STATE_MASK) | RUNS_CACHED, memory_order_relaxed);
    if (jdb__quarantine_put(run, &leaving))
        jdb__heap_give(&leaving);
    while (jdb__quarantine_take_excess(&leaving))
        jdb__heap_give(&leaving);
}

/* Past the caches: to the heap, in the checked build after a while. */
static void give_run(const struct heap_run *run)
{
    if (JDB_IS_CHECKED)
        keep_in_quarantine(run);
    else
        jdb__heap_give(run);
}

void jdb__pages_release(const struct heap_run *run)
{
    const uint64_t word = atomic_load_explicit(jdb__heap_word(run), memory_order_relaxed);
    const bool is_bounded = (word & RUNS_FLAG_BOUNDED) != 0;
    const bool is_moved = (word & RUNS_FLAG_MOVED) != 0;
    struct cache *const cache = jdb__cache_own();
    memcheck_drop(jdb__heap_address(run), (size_t)jdb__heap_size(run) * JDB_PAGE_SIZE);
    const bool is_small = run->page_count <= CACHE_CLASS_MAX;
    if (cache == NULL || is_bounded || !jdb__heap_is_front(run) || (is_small && is_moved)) {
        give_run(run);
        note_warm(cache);
        return;
    }
    if (is_small) {
        keep_small(cache, run);
        return;
    }
    atomic_store_explicit(jdb__heap_word(run), runs_make_word(RUNS_CACHED, word & RUNS_FLAG_MOVED, run->page_count),
                          memory_order_relaxed);
    if (!jdb__cache_keep_large(cache, run->page_count, run->index))
        note_warm(cache);
}

static bool is_run(const struct heap_run *run, uint64_t word, const uint8_t *ptr, size_t size)
{
    return runs_state_of(word) == RUNS_LENT && jdb__heap_address(run) == ptr &&
           (size_t)jdb__heap_size(run) * JDB_PAGE_SIZE == size;
}

/* The lent run (ptr, size); aborts when it is none. */
static struct heap_run own_run(const uint8_t *ptr, size_t size)
{
    struct heap_run run;
    if (!jdb__heap_find(ptr, &run) ||
        !is_run(&run, atomic_load_explicit(jdb__heap_word(&run), memory_order_relaxed), ptr, size))
        JDB_BREACH("not a buffer that is lent: dropped twice, or its ptr or cap was changed", ptr);
    return run;
}

void jdb__pages_take_back(uint8_t *ptr, size_t size)
{
    const struct heap_run run = own_run(ptr, size);
    uint64_t word = atomic_load_explicit(jdb__heap_word(&run), memory_order_acquire);
    enter();
    while (runs_pins_of(word) > 0) {
        const uint64_t dying = (word & ~RUNS_STATE_MASK) | RUNS_DYING;
        if (atomic_compare_exchange_weak(jdb__heap_word(&run), &word, dying))
            return;
    }
    jdb__pages_release(&run);
}

bool jdb__pages_is_lent(const uint8_t *ptr, size_t size)
{
    struct heap_run run;
    return jdb__heap_find(ptr, &run) &&
           is_run(&run, atomic_load_explicit(jdb__heap_word(&run), memory_order_relaxed), ptr, size);
}

/* ---- Grow and shrink -------------------------------------------------------------------------------------- */

static int grow_bounded(const struct heap_run *run, size_t least, size_t *ret_size)
{
    uint64_t missing = 0;
    if (!is_page_count(least))
        return -ENOBUFS;
    const uint32_t page_count = (uint32_t)(least / JDB_PAGE_SIZE);
    int err = jdb__heap_resize_bounded(run, page_count, &missing);
    for (unsigned step = 0; err == -EDQUOT && step < ROOM_TRIES && make_room(missing, step); step++)
        err = jdb__heap_resize_bounded(run, page_count, &missing);
    if (err == 0)
        *ret_size = least;
    return err == -EDQUOT ? -ENOMEM : err;
}

static void copy_data(const struct heap_run *from, const struct heap_run *to, size_t data_size)
{
    memcpy(jdb__heap_address(to), jdb__heap_address(from), data_size);
    atomic_fetch_add_explicit(&copied_bytes, data_size, memory_order_relaxed);
}

/* Bring data_size bytes from one run to another: by page tables where it pays and the system can. -EADDRNOTAVAIL: `to` is lost. */
static int move_data(const struct heap_run *from, const struct heap_run *to, size_t data_size)
{
    const size_t from_size = (size_t)from->page_count * JDB_PAGE_SIZE;
    const int err = data_size >= COPY_MAX ? jdb__heap_move(from, to) : -ENOTSUP;
    if (err == 0)
        atomic_fetch_add_explicit(&moved_bytes, from_size, memory_order_relaxed);
    else if (err != -EADDRNOTAVAIL)
        copy_data(from, to, data_size);
    return err == -EADDRNOTAVAIL ? err : 0;
}

struct growth {
    size_t least;
    size_t best;  /* a multiple of align, or `least` */
    size_t align; /* of the address */
};

/* A run to move to: of the best size, or the least where memory is short. */
static int lend_grown(const struct growth *growth, struct heap_run *ret_run, size_t *ret_size)
{
    uint8_t *ptr = NULL;
    size_t size = growth->best;
    struct taking taking = {
        .page_count = (uint32_t)(growth->best / JDB_PAGE_SIZE),
        .align_pages = (uint32_t)(growth->align / JDB_PAGE_SIZE),
        .is_optional = growth->least < growth->best,
    };
    int err = lend(&taking, &ptr);
    if (err != 0 && taking.is_optional) {
        size = growth->least;
        taking.page_count = (uint32_t)(growth->least / JDB_PAGE_SIZE);
        taking.is_optional = false;
        err = lend(&taking, &ptr);
    }
    if (err != 0)
        return err;
    if (!jdb__heap_find(ptr, ret_run))
        JDB_BREACH("the tables of the page allocator were overwritten", ptr);
    *ret_size = size;
    return 0;
}

/* Where the addresses to move to are lost, into other ones by copying. */
static int grow_by_moving(const struct heap_run *run, size_t data_size, const struct growth *growth, uint8_t **ret_ptr,
                          size_t *ret_size)
{
    struct heap_run to;
    size_t size = 0;
    int err = lend_grown(growth, &to, &size);
    if (err == 0 && move_data(run, &to, data_size) != 0) {
        err = lend_grown(growth, &to, &size);
        if (err == 0)
            copy_data(run, &to, data_size);
    }
    if (err != 0)
        return err;
    jdb__pages_release(run);
    *ret_ptr = jdb__heap_address(&to);
    *ret_size = size;
    return 0;
}

/* Into the free pages behind, to `least` bytes at least, or more that is a multiple of `step`. */
static bool grow_in_place(struct heap_run *run, size_t least, size_t best, size_t step, size_t *ret_size)
{
    uint8_t *const end = jdb__heap_address(run) + (size_t)run->page_count * JDB_PAGE_SIZE;
    const size_t size = (size_t)run->page_count * JDB_PAGE_SIZE;
    if (!jdb__heap_extend(run, (uint32_t)(least / JDB_PAGE_SIZE), (uint32_t)(best / JDB_PAGE_SIZE),
                          (uint32_t)(step / JDB_PAGE_SIZE)))
        return false;
    *ret_size = (size_t)run->page_count * JDB_PAGE_SIZE;
    memcheck_lend(end, *ret_size - size);
    return true;
}

/* The largest alignment that growth keeps: of more, chance would give address and size too much, and growth be too coarse. */
#define KEPT_ALIGN ((size_t)2 << 20)

/* Address and size stay multiples of what both are multiples of; the size, where memory is not short. */
static struct growth plan_growth(const uint8_t *ptr, size_t size, size_t least, size_t best)
{
    const size_t align = (size_t)1 << bits_lowest((uintptr_t)ptr | size | KEPT_ALIGN);
    const size_t whole = (size_t)bits_round_up(best, align);
    return (struct growth){least, is_page_count(whole) ? whole : least, align};
}

int jdb__pages_grow(uint8_t *ptr, size_t size, size_t data_size, size_t least, size_t best, uint8_t **ret_ptr,
                    size_t *ret_size)
{
    struct heap_run run = own_run(ptr, size);
    const uint64_t word = atomic_load_explicit(jdb__heap_word(&run), memory_order_acquire);
    if ((word & RUNS_FLAG_BOUNDED) != 0) {
        const int err = grow_bounded(&run, least, ret_size);
        if (err == 0)
            memcheck_lend(ptr + size, least - size);
        return err;
    }
    const struct growth growth = plan_growth(ptr, size, least, best);
    if (!is_page_count(growth.least))
        return -ENOMEM;
    const size_t half_more = size + (size_t)bits_round_up(size / 2, growth.align);
    const bool is_pinned = runs_pins_of(word) > 0;
    const size_t whole_least = (size_t)bits_round_up(least, growth.align);
    const size_t enough = is_pinned || whole_least > half_more || half_more > growth.best ? whole_least : half_more;
    if (grow_in_place(&run, enough, growth.best, growth.align, ret_size))
        return 0;
    if (is_pinned)
        return grow_in_place(&run, least, growth.best, JDB_PAGE_SIZE, ret_size) ? 0 : -EBUSY;
    const int err = grow_by_moving(&run, data_size, &growth, ret_ptr, ret_size);
    return err != 0 && grow_in_place(&run, least, least, JDB_PAGE_SIZE, ret_size) ? 0 : err;
}

int jdb__pages_shrink(uint8_t *ptr, size_t size, size_t new_size)
{
    struct heap_run run = own_run(ptr, size);
    const uint32_t page_count = (uint32_t)(new_size / JDB_PAGE_SIZE);
    const uint64_t word = atomic_load_explicit(jdb__heap_word(&run), memory_order_acquire);
    uint64_t missing = 0;
    memcheck_drop(ptr + new_size, size - new_size);
    const int err = (word & RUNS_FLAG_BOUNDED) != 0 ? jdb__heap_resize_bounded(&run, page_count, &missing)
                                                    : jdb__heap_cut(&run, page_count);
    if (err == 0) {
        note_warm(jdb__cache_own());
    } else {
        memcheck_lend(ptr + new_size, size - new_size);
        memcheck_defined(ptr + new_size, size - new_size);
    }
    return err;
}

/* ---- Options ---------------------------------------------------------------------------------------------- */

int jdb_set_page_options(const jdb_page_options *options)
{
    if (options == NULL || options->size < offsetof(jdb_page_options, reserved))
        return -EINVAL;
    const uint8_t *const bytes = (const uint8_t *)options;
    for (size_t i = offsetof(jdb_page_options, reserved); i < options->size; i++)
        if (bytes[i] != 0)
            return -E2BIG;
    const uint64_t warm_bytes = options->warm_bytes != 0 ? options->warm_bytes : DEFAULT_WARM_BYTES;
    const uint64_t thread_bytes = options->thread_bytes != 0 ? options->thread_bytes : DEFAULT_THREAD_BYTES;
    atomic_store_explicit(&delay_ms, options->delay_ms != 0 ? options->delay_ms : DEFAULT_DELAY_MS,
                          memory_order_relaxed);
    jdb__heap_set_warm(options->warm_bytes);
    jdb__cache_set_shared_bytes(warm_bytes);
    jdb__cache_set_thread_bytes(thread_bytes);
    return 0;
}

int jdb_set_limit(uint64_t bytes, jdb_limit_callback callback, void *context)
{
    const struct heap_limit limit = {bytes, callback, context};
    jdb__heap_set_limit(&limit);
    return 0;
}

/* ---- Counts ----------------------------------------------------------------------------------------------- */

static jdb_page_stats collect_stats(void)
{
    struct cache_stats caches;
    struct heap_stats heap;
    jdb__cache_stats(&caches);
    jdb__heap_stats(&heap);
    const uint64_t quarantined = JDB_IS_CHECKED ? jdb__quarantine_pages() : 0;
    const uint64_t kept_pages = caches.thread_pages + caches.shared_pages + quarantined;
    const uint64_t lent_pages = heap.taken_pages > kept_pages ? heap.taken_pages - kept_pages : 0;
    return (jdb_page_stats){
        .size = sizeof(jdb_page_stats),
        .threads = (uint32_t)caches.thread_count,
        .lent_bytes = lent_pages * JDB_PAGE_SIZE,
        .cached_bytes = (kept_pages + heap.dirty_pages) * JDB_PAGE_SIZE,
        .thread_bytes = caches.thread_pages * JDB_PAGE_SIZE,
        .shared_bytes = caches.shared_pages * JDB_PAGE_SIZE,
        .mapped_bytes = heap.mapped_pages * JDB_PAGE_SIZE,
        .reserved_bytes = heap.reserved_pages * JDB_PAGE_SIZE,
        .bookkeeping_bytes = heap.bookkeeping_bytes,
        .limit_bytes = heap.limit_pages * JDB_PAGE_SIZE,
        .map_calls = heap.map_calls,
        .unmap_calls = heap.unmap_calls,
        .decommit_calls = heap.decommit_calls,
        .remap_calls = heap.remap_calls,
        .shared_locks = heap.lock_count + caches.lock_count,
        .moved_bytes = load(&moved_bytes),
        .copied_bytes = load(&copied_bytes),
    };
}

/* Fill a caller's struct that may be older or newer than this library: its own `size` field stays. */
static void fill_sized(void *to, const void *from, size_t caller_size, size_t our_size)
{
    const size_t head = sizeof(uint32_t);
    const size_t shared = caller_size < our_size ? caller_size : our_size;
    memcpy((uint8_t *)to + head, (const uint8_t *)from + head, shared - head);
    if (caller_size > our_size)
        memset((uint8_t *)to + our_size, 0, caller_size - our_size);
}

int jdb_get_page_stats(jdb_page_stats *stats)
{
    if (stats == NULL || stats->size < offsetof(jdb_page_stats, reserved))
        return -EINVAL;
    const jdb_page_stats ours = collect_stats();
    fill_sized(stats, &ours, stats->size, sizeof ours);
    return 0;
}

uint32_t jdb_page_class_count(void)
{
    return CACHE_CLASS_MAX;
}

int jdb_get_page_class_stats(uint32_t page_count, jdb_page_class_stats *stats)
{
    if (stats == NULL || stats->size < offsetof(jdb_page_class_stats, reserved))
        return -EINVAL;
    if (page_count == 0 || page_count > CACHE_CLASS_MAX)
        return -ERANGE;
    jdb_page_class_stats ours = {.size = sizeof ours, .page_count = page_count};
    struct heap_stats heap;
    jdb__cache_class_stats(page_count, &ours.thread_count, &ours.shared_count);
    jdb__heap_stats(&heap);
    const uint64_t quarantined = JDB_IS_CHECKED ? jdb__quarantine_runs(page_count) : 0;
    const uint64_t kept = ours.thread_count + ours.shared_count + quarantined;
    const uint64_t out = heap.class_counts[page_count];
    ours.lent_count = out > kept ? out - kept : 0;
    fill_sized(stats, &ours, stats->size, sizeof ours);
    return 0;
}

int jdb_resident_bytes(uint64_t *ret_bytes)
{
    return ret_bytes == NULL ? -EINVAL : jdb__heap_resident(ret_bytes);
}
