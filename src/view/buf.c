/* SPDX-License-Identifier: MIT
 *
 * buf.c - the owning buffer: three words over a lent run. Floor 3.
 */
#include "jdb_alloc/buf.h"

#include "base/bits.h"
#include "base/check.h"
#include "base/memcheck.h"
#include "page/lend.h"
#include "base/zero.h"

#include <stdio.h>
#include <string.h>

static const jdb_buf empty_buf = {NULL, 0, 0};

/* ---- Make and drop ---------------------------------------------------------------------------------------- */

/* Capacity for size bytes at a granularity of align (a power of two, 4096 or more); 0 when it cannot be. */
static size_t round_capacity(size_t size, size_t align)
{
    const size_t least = size == 0 ? 1 : size;
    if (least > (size_t)PTRDIFF_MAX || align > (size_t)PTRDIFF_MAX + 1 - least)
        return 0;
    return (size_t)bits_round_up(least, align);
}

/* Bytes of the whole pages that hold size bytes; 0, of which no bin is open, for 0 and for sizes that cannot be. */
static inline size_t whole_pages(size_t size)
{
    return (size + (JDB_PAGE_SIZE - 1)) & ~(size_t)(JDB_PAGE_SIZE - 1);
}

/* A run of a bin is this buffer's now; len 0. */
static inline void lend(jdb_buf *buf, struct cache_run run, uint64_t lent_word, size_t cap)
{
    atomic_store_explicit(run.word, lent_word, memory_order_relaxed);
    *buf = (jdb_buf){run.ptr, 0, cap};
    memcheck_lend(run.ptr, cap);
}

static JDB_COLD int make(jdb_buf *buf, size_t size, size_t align, bool zeroed)
{
    if (buf == NULL)
        return -EINVAL;
    *buf = empty_buf;
    const size_t cap = round_capacity(size, align);
    if (cap == 0)
        return -EOVERFLOW;
    const int err = jdb__pages_lend(cap, align, zeroed, &buf->ptr);
    if (err != 0)
        return err;
    buf->cap = cap;
    return 0;
}

/* Past the bins: one of the larger runs that the thread keeps, else the slow path. */
static JDB_NOINLINE int make_large(jdb_buf *buf, size_t size)
{
    const size_t cap = whole_pages(size);
    uint32_t index = 0;
    if (buf == NULL || cap <= CACHE_CLASS_BYTES || cap > (size_t)PTRDIFF_MAX ||
        !cache_pop_large(jdb__cache, cap / JDB_PAGE_SIZE, JDB_PAGE_SIZE, &index))
        return make(buf, size, JDB_PAGE_SIZE, false);
    const struct cache_run run = cache_run_at(index);
    const uint64_t moved = cache_load(run.word) & RUNS_FLAG_MOVED;
    lend(buf, run, runs_make_word(RUNS_LENT, moved, (uint32_t)(cap / JDB_PAGE_SIZE)), cap);
    return 0;
}

int jdb_buf_with_cap(jdb_buf *buf, size_t cap)
{
    const size_t size = whole_pages(cap);
    if (JDB_LIKELY(buf != NULL && cache_has_bin(size))) {
        struct cache_bin *const bin = cache_bin_of_size(jdb__cache, size);
        struct cache_run run = cache_run_beside(bin);
        if (JDB_LIKELY(cache_load(run.word) == bin->beside_word || cache_pop_stack(bin, &run))) {
            lend(buf, run, bin->lent_word, size);
            return 0;
        }
    }
    return make_large(buf, cap);
}

int jdb_buf_with_cap_aligned(jdb_buf *buf, size_t cap, size_t align)
{
    if (buf == NULL)
        return -EINVAL;
    *buf = empty_buf;
    if (align < JDB_ALIGNMENT || !bits_is_pow2(align))
        return -EINVAL;
    return make(buf, cap, align, false);
}

int jdb_buf_with_max(jdb_buf *buf, size_t cap, size_t max)
{
    if (buf == NULL)
        return -EINVAL;
    *buf = empty_buf;
    if (max < cap)
        return -EINVAL;
    const size_t max_cap = round_capacity(max, JDB_PAGE_SIZE);
    if (max_cap == 0)
        return -EOVERFLOW;
    const size_t first_cap = round_capacity(cap, JDB_PAGE_SIZE);
    const int err = jdb__pages_lend_max(first_cap, max_cap, &buf->ptr);
    if (err != 0)
        return err;
    buf->cap = first_cap;
    return 0;
}

static JDB_COLD int make_zeroed(jdb_buf *buf, size_t size)
{
    const int err = make(buf, size, JDB_PAGE_SIZE, true);
    if (err == 0)
        buf->len = size;
    return err;
}

int jdb_buf_zeroed(jdb_buf *buf, size_t size)
{
    const size_t cap = whole_pages(size);
    if (JDB_UNLIKELY(buf == NULL || !cache_has_bin(cap)))
        return make_zeroed(buf, size);
    struct cache_bin *const bin = cache_bin_of_size(jdb__cache, cap);
    struct cache_run run;
    if (JDB_UNLIKELY(!cache_pop(bin, &run)))
        return make_zeroed(buf, size);
    const uint64_t before = cache_load(run.word);
    lend(buf, run, bin->lent_word, cap);
    buf->len = size;
    if (JDB_LIKELY((before & RUNS_FLAG_ZERO) == 0))
        jdb__zero(run.ptr, cap);
    else
        memcheck_defined(run.ptr, cap);
    return 0;
}

int jdb_buf_page(jdb_buf *buf)
{
    return jdb_buf_zeroed(buf, JDB_PAGE_SIZE);
}

int jdb_buf_try_clone(const jdb_buf *src, jdb_buf *dst)
{
    if (src == NULL || dst == NULL || src == dst)
        return -EINVAL;
    *dst = empty_buf;
    if (src->ptr == NULL)
        return 0;
    const int err = make(dst, src->cap, JDB_PAGE_SIZE, false);
    if (err != 0)
        return err;
    memcpy(dst->ptr, src->ptr, src->len);
    dst->len = src->len;
    return 0;
}

/* value / 4096, when value is a multiple of 4096; a number too large for any index or class when it is not. */
static inline uint64_t exact_pages(uint64_t value)
{
    return value >> 12 | value << 52;
}

static JDB_COLD void drop_slowly(jdb_buf *buf)
{
    if (buf->ptr != NULL)
        jdb__pages_take_back(buf->ptr, buf->cap);
    *buf = empty_buf;
}

/* The run is in a cache: nobody's. */
static inline void leave_buf(jdb_buf *buf, struct cache *cache)
{
    memcheck_drop(buf->ptr, buf->cap);
    *buf = empty_buf;
    pages_count_call(cache);
}

/* A larger run of the first zone, exactly as it was lent, not pinned, stays with the thread when there is room. */
static JDB_NOINLINE void drop_large(jdb_buf *buf, uint64_t index, uint64_t page_count)
{
    _Atomic uint64_t *const word = &heap_front_words()[index];
    const uint64_t before = cache_load_dropped(word);
    const uint64_t moved = before & RUNS_FLAG_MOVED;
    if (JDB_UNLIKELY(page_count - 1 >= RUNS_PAGE_MAX || page_count <= CACHE_CLASS_MAX ||
                     before != runs_make_word(RUNS_LENT, moved, (uint32_t)page_count) ||
                     !cache_push_large(jdb__cache, page_count, (uint32_t)index))) {
        drop_slowly(buf);
        return;
    }
    atomic_store_explicit(word, runs_make_word(RUNS_CACHED, moved, (uint32_t)page_count), memory_order_relaxed);
    leave_buf(buf, jdb__cache);
}

/* Any run of the first zone. One comparison of the word tells that it is lent, of this size, not pinned and of no special
 * kind. */
static JDB_NOINLINE void drop_any(jdb_buf *buf, struct cache *cache)
{
    const uint32_t front_pages = atomic_load_explicit(&jdb__front.page_count, memory_order_acquire);
    const uint64_t index = exact_pages((uintptr_t)buf->ptr - (uintptr_t)heap_front_base());
    if (JDB_UNLIKELY(index >= front_pages)) {
        drop_slowly(buf);
        return;
    }
    if (JDB_LIKELY(cache_has_bin(buf->cap))) {
        struct cache_bin *const bin = cache_bin_of_size(cache, buf->cap);
        const struct cache_run run = {buf->ptr, &heap_front_words()[index]};
        if (JDB_LIKELY(cache_load_dropped(run.word) == bin->lent_word && cache_push(bin, run))) {
            leave_buf(buf, cache);
            return;
        }
    }
    drop_large(buf, index, exact_pages(buf->cap));
}

/* The run that was made last in its class is found without a search: its word stands in the bin. */
void jdb_buf_drop(jdb_buf *buf)
{
    if (JDB_UNLIKELY(buf == NULL))
        return;
    struct cache *const cache = jdb__cache;
    const size_t cap = buf->cap;
    if (JDB_LIKELY(cache_has_bin(cap))) {
        struct cache_bin *const bin = cache_bin_of_size(cache, cap);
        const struct cache_run run = cache_run_beside(bin);
        if (JDB_LIKELY(buf->ptr == run.ptr && cache_load_dropped(run.word) == bin->lent_word)) {
            atomic_store_explicit(run.word, bin->beside_word, memory_order_relaxed);
            leave_buf(buf, cache);
            return;
        }
    }
    drop_any(buf, cache);
}

void jdb_buf_into_raw_parts(jdb_buf *buf, uint8_t **ptr, size_t *len, size_t *cap)
{
    const jdb_buf parts = buf == NULL ? empty_buf : *buf;
    if (ptr != NULL)
        *ptr = parts.ptr;
    if (len != NULL)
        *len = parts.len;
    if (cap != NULL)
        *cap = parts.cap;
    if (buf != NULL)
        *buf = empty_buf;
}

int jdb_buf_from_raw_parts(jdb_buf *buf, uint8_t *ptr, size_t len, size_t cap)
{
    if (buf == NULL)
        return -EINVAL;
    *buf = empty_buf;
    if (len > cap)
        return -EINVAL;
    if (ptr == NULL && cap == 0)
        return 0;
    if (ptr == NULL || !jdb__pages_is_lent(ptr, cap))
        return -EINVAL;
    *buf = (jdb_buf){ptr, len, cap};
    return 0;
}

/* ---- View ------------------------------------------------------------------------------------------------- */

jdb_raw jdb_buf_as_raw(jdb_buf *buf)
{
    return jdb_buf_as_raw_view(buf);
}

jdb_raw jdb_buf_as_raw_view(const jdb_buf *buf)
{
    return buf == NULL ? JDB_RAW_INIT : jdb_raw_from_raw_parts(buf->ptr, buf->len, buf->cap);
}

int jdb_buf_slice_into_raws(const jdb_buf *buf, size_t chunk, jdb_raw_iter *ret_iter)
{
    if (buf == NULL || ret_iter == NULL || chunk == 0 || chunk % JDB_PAGE_SIZE != 0)
        return -EINVAL;
    *ret_iter = (jdb_raw_iter){.next = buf->ptr, .left = buf->cap, .chunk = chunk};
    return 0;
}

bool jdb_raw_iter_next(jdb_raw_iter *iter, jdb_raw *ret_frame)
{
    if (iter == NULL || ret_frame == NULL || iter->left < iter->chunk)
        return false;
    *ret_frame = jdb_raw_new(iter->next, iter->chunk);
    iter->next += iter->chunk;
    iter->left -= iter->chunk;
    return true;
}

jdb_raw jdb_raw_iter_rest(const jdb_raw_iter *iter)
{
    if (iter == NULL || iter->left == 0)
        return JDB_RAW_INIT;
    return jdb_raw_new(iter->next, iter->left);
}

/* ---- Content ---------------------------------------------------------------------------------------------- */

int jdb_buf_extend(jdb_buf *buf, const void *data, size_t size)
{
    if (buf == NULL || (data == NULL && size > 0))
        return -EINVAL;
    if (size > buf->cap - buf->len)
        return -ENOBUFS;
    if (size > 0)
        memmove(buf->ptr + buf->len, data, size);
    buf->len += size;
    return 0;
}

int jdb_buf_set_len(jdb_buf *buf, size_t len)
{
    if (buf == NULL)
        return -EINVAL;
    if (len > buf->cap)
        return -ENOBUFS;
    buf->len = len;
    return 0;
}

int jdb_buf_set_init(jdb_buf *buf, size_t initialised)
{
    if (buf != NULL && initialised < buf->len)
        return 0;
    return jdb_buf_set_len(buf, initialised);
}

void jdb_buf_truncate(jdb_buf *buf, size_t new_len)
{
    if (buf != NULL && new_len < buf->len)
        buf->len = new_len;
}

void jdb_buf_clear(jdb_buf *buf)
{
    jdb_buf_truncate(buf, 0);
}

int jdb_buf_pad_to(jdb_buf *buf, size_t align)
{
    if (buf == NULL || !bits_is_pow2(align))
        return -EINVAL;
    const size_t padding = (align - (buf->len & (align - 1))) & (align - 1);
    if (padding > buf->cap - buf->len)
        return -ENOBUFS;
    if (padding > 0)
        memset(buf->ptr + buf->len, 0, padding);
    buf->len += padding;
    return 0;
}

int jdb_buf_refit_tail(jdb_buf *buf, size_t data_len, size_t align, size_t *ret_kept)
{
    if (buf == NULL || !bits_is_pow2(align))
        return -EINVAL;
    if (data_len > buf->len)
        return -ENOBUFS;
    const size_t written = (size_t)bits_round_down(data_len, align);
    const size_t kept = data_len - written;
    if (written > 0 && kept > 0)
        memmove(buf->ptr, buf->ptr + written, kept);
    buf->len = kept;
    if (ret_kept != NULL)
        *ret_kept = kept;
    return 0;
}

/* ---- Grow and shrink -------------------------------------------------------------------------------------- */

int jdb_buf_reserve(jdb_buf *buf, size_t additional)
{
    if (buf == NULL)
        return -EINVAL;
    if (additional <= buf->cap - buf->len)
        return 0;
    if (additional > (size_t)PTRDIFF_MAX - buf->len)
        return -EOVERFLOW;
    const size_t least = round_capacity(buf->len + additional, JDB_PAGE_SIZE);
    if (least == 0)
        return -EOVERFLOW;
    if (buf->ptr == NULL)
        return make(buf, least, JDB_PAGE_SIZE, false);
    const size_t best = least > buf->cap * 2 ? least : buf->cap * 2;
    return jdb__pages_grow(buf->ptr, buf->cap, buf->len, least, best, &buf->ptr, &buf->cap);
}

int jdb_buf_shrink(jdb_buf *buf)
{
    if (buf == NULL)
        return -EINVAL;
    const size_t new_cap = round_capacity(buf->len, JDB_PAGE_SIZE);
    if (new_cap >= buf->cap)
        return 0;
    const int err = jdb__pages_shrink(buf->ptr, buf->cap, new_cap);
    if (err == 0)
        buf->cap = new_cap;
    return err;
}

/* ---- Read ------------------------------------------------------------------------------------------------- */

size_t jdb_buf_len(const jdb_buf *buf)
{
    return buf == NULL ? 0 : buf->len;
}

size_t jdb_buf_cap(const jdb_buf *buf)
{
    return buf == NULL ? 0 : buf->cap;
}

bool jdb_buf_is_empty(const jdb_buf *buf)
{
    return jdb_buf_len(buf) == 0;
}

const uint8_t *jdb_buf_as_ptr(const jdb_buf *buf)
{
    return buf == NULL ? NULL : buf->ptr;
}

uint8_t *jdb_buf_as_mut_ptr(jdb_buf *buf)
{
    return buf == NULL ? NULL : buf->ptr;
}

int jdb_buf_format(const jdb_buf *buf, char *text, size_t text_size)
{
    if (buf == NULL)
        return -EINVAL;
    return snprintf(text, text_size, "AlignedBuf { len: %zu, cap: %zu }", buf->len, buf->cap);
}
