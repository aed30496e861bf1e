/* SPDX-License-Identifier: MIT
 *
 * buf.c - the owning buffer: three words over a lent run.
 *
 * The fast paths of allocate and free are here, over the bins of page/thread_cache.h: the thread owns the runs in its
 * cache, so it stores their words without a lock (page/word.h). Everything else goes through page/lend.h.
 *
 * Invariants of a buffer, as buf.h states them: the empty one is {NULL, 0, 0}; of every other, ptr is a multiple of
 * 4096, cap is a positive one, and len <= cap.
 */
#include "jdb_alloc/buf.h"

#include "base/bits.h"
#include "base/check.h"
#include "base/memcheck.h"
#include "base/zero.h"
#include "page/decay.h"
#include "page/lend.h"
#include "page/thread_cache.h"

#include <stdio.h>
#include <string.h>

static const jdb_buf empty_buf = {NULL, 0, 0};

/* ---- Allocate and free ------------------------------------------------------------------------------------ */

/* Capacity for size bytes at a granularity of align (a power of two, 4096 or more); 0: size overflow. */
static size_t buf_capacity(size_t size, size_t align)
{
    const size_t least = size == 0 ? 1 : size;
    if (least > (size_t)PTRDIFF_MAX || align > (size_t)PTRDIFF_MAX + 1 - least)
        return 0;
    return (size_t)bits_round_up(least, align);
}

/* Bytes of the whole pages that hold size bytes. 0, whose bin is shut, for 0 and where it overflows. */
static inline size_t buf_whole_pages(size_t size)
{
    return (size + (JDB_PAGE_SIZE - 1)) & ~(size_t)(JDB_PAGE_SIZE - 1);
}

/* A run out of a bin is this buffer's now; len 0. */
static inline void buf_lend(jdb_buf *buf, struct cached_run run, const struct bin *bin)
{
    word_lend(run.word, bin->lent_word);
    *buf = (jdb_buf){run.ptr, bin->lent_len, bin->lent_cap};
    cache_leave();
    memcheck_lend(buf->ptr, buf->cap);
}

static JDB_COLD int buf_alloc_slowly(jdb_buf *buf, size_t size, size_t align, bool zeroed)
{
    if (buf == NULL)
        return -EINVAL;
    *buf = empty_buf;
    const size_t cap = buf_capacity(size, align);
    if (cap == 0)
        return -EOVERFLOW;
    const int err = jdb__pages_lend(cap, align, zeroed, &buf->ptr);
    if (err != 0)
        return err;
    buf->cap = cap;
    return 0;
}

/* No run in a bin: one of the larger runs that the thread keeps, where the size is theirs; else the slow path. */
static JDB_NOINLINE int buf_alloc_past_bins(jdb_buf *buf, size_t size)
{
    const size_t cap = buf_whole_pages(size);
    struct cached_run run;
    if (buf == NULL || cap <= CLASS_BYTES_MAX || cap > (size_t)PTRDIFF_MAX ||
        !cache_pop_large(cache_enter(), cap / JDB_PAGE_SIZE, JDB_PAGE_SIZE, &run)) {
        cache_leave();
        return buf_alloc_slowly(buf, size, JDB_PAGE_SIZE, false);
    }
    cache_leave();
    JDB_ASSERT(word_pages(word_load(run.word)) == cap / JDB_PAGE_SIZE);
    word_lend(run.word, word_when_lent(word_load(run.word)));
    *buf = (jdb_buf){run.ptr, 0, cap};
    memcheck_lend(run.ptr, cap);
    return 0;
}

int jdb_buf_with_cap(jdb_buf *buf, size_t cap)
{
    const size_t last = cap + (JDB_PAGE_SIZE - 1); /* in a bin that is shut, for 0 and where it overflows */
    if (JDB_LIKELY(buf != NULL && last < (size_t)BIN_COUNT * JDB_PAGE_SIZE)) {
        struct bin *const bin = cache_bin_up_to(cache_enter(), last);
        struct cached_run run = bin_hot_run(bin);
        if (JDB_LIKELY(word_load(run.word) == bin->hot_word || bin_pop_stack(bin, &run))) {
            buf_lend(buf, run, bin);
            return 0;
        }
        cache_leave();
    }
    return buf_alloc_past_bins(buf, cap);
}

static JDB_COLD int buf_alloc_aligned_slowly(jdb_buf *buf, size_t cap, size_t align)
{
    if (buf == NULL)
        return -EINVAL;
    *buf = empty_buf;
    if (align < JDB_ALIGNMENT || !bits_is_pow2(align))
        return -EINVAL;
    return buf_alloc_slowly(buf, cap, align, false);
}

int jdb_buf_with_cap_aligned(jdb_buf *buf, size_t cap, size_t align)
{
    const size_t size = (cap + (align - 1)) & ~(align - 1); /* 0, whose bin is shut, for 0 and where it overflows */
    if (JDB_LIKELY(buf != NULL && align >= JDB_ALIGNMENT && bits_is_pow2(align) && size_has_bin(size))) {
        struct bin *const bin = cache_bin_of_size(cache_enter(), size);
        struct cached_run run;
        if (JDB_LIKELY(bin_pop_aligned(bin, align, &run))) {
            buf_lend(buf, run, bin);
            return 0;
        }
        cache_leave();
    }
    return buf_alloc_aligned_slowly(buf, cap, align);
}

int jdb_buf_with_max(jdb_buf *buf, size_t cap, size_t max)
{
    if (buf == NULL)
        return -EINVAL;
    *buf = empty_buf;
    if (max < cap)
        return -EINVAL;
    const size_t max_cap = buf_capacity(max, JDB_PAGE_SIZE);
    if (max_cap == 0)
        return -EOVERFLOW;
    const size_t first_cap = buf_capacity(cap, JDB_PAGE_SIZE);
    const int err = jdb__pages_lend_max(first_cap, max_cap, &buf->ptr);
    if (err != 0)
        return err;
    buf->cap = first_cap;
    return 0;
}

static JDB_COLD int buf_zeroed_slowly(jdb_buf *buf, size_t size)
{
    cache_leave();
    const int err = buf_alloc_slowly(buf, size, JDB_PAGE_SIZE, true);
    if (err == 0)
        buf->len = size;
    return err;
}

int jdb_buf_zeroed(jdb_buf *buf, size_t size)
{
    const size_t cap = buf_whole_pages(size);
    if (JDB_UNLIKELY(buf == NULL || !size_has_bin(cap)))
        return buf_zeroed_slowly(buf, size);
    struct bin *const bin = cache_bin_of_size(cache_enter(), cap);
    struct cached_run run;
    if (JDB_UNLIKELY(!bin_pop(bin, &run)))
        return buf_zeroed_slowly(buf, size);
    const uint64_t before = word_load(run.word);
    word_lend(run.word, bin->lent_word);
    cache_leave();
    *buf = (jdb_buf){run.ptr, size, cap};
    memcheck_lend(run.ptr, cap);
    if (JDB_LIKELY((before & WORD_ZERO) == 0))
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
    const int err = buf_alloc_slowly(dst, src->cap, JDB_PAGE_SIZE, false);
    if (err != 0)
        return err;
    memcpy(dst->ptr, src->ptr, src->len);
    dst->len = src->len;
    return 0;
}

/* value / 4096, when value is a multiple of 4096; a number too large for any index or class when it is not. */
static inline uint64_t buf_exact_pages(uint64_t value)
{
    return value >> 12 | value << 52;
}

static JDB_COLD void buf_free_slowly(jdb_buf *buf)
{
    if (buf->ptr != NULL)
        jdb__pages_take_back(buf->ptr, buf->cap);
    *buf = empty_buf;
}

/* The run is in a cache, where another thread may take it from now on: the buffer is empty. */
static inline void buf_leave(jdb_buf *buf, struct thread_cache *cache)
{
    *buf = empty_buf;
    decay_count_call(cache);
}

/* A larger run of the primary zone, exactly as it was lent, not pinned, stays with the thread when there is room
 * (P8). */
static JDB_NOINLINE void buf_free_large(jdb_buf *buf, struct thread_cache *cache, uint64_t index, uint64_t page_count)
{
    _Atomic uint64_t *const word = &primary_words()[index];
    const uint64_t before = word_load_freed(word);
    if (JDB_UNLIKELY(page_count - 1 >= WORD_PAGE_MAX || page_count <= CLASS_PAGES_MAX ||
                     !word_is_plain(before, (uint32_t)page_count) ||
                     !cache_push_large(cache, page_count, (struct cached_run){buf->ptr, word}))) {
        cache_leave();
        buf_free_slowly(buf);
        return;
    }
    word_cache(word, before ^ WORD_FLIP);
    memcheck_drop(buf->ptr, buf->cap);
    cache_leave();
    buf_leave(buf, cache);
}

/* Any run of the primary zone, where none is bounded. Of a size class: one comparison of the word shows that it is lent, of this
 * size, and neither pinned, moved (P8) nor sampled. */
static JDB_NOINLINE void buf_free_any(jdb_buf *buf)
{
    const uint32_t page_count = primary_pages();
    const uint64_t index = buf_exact_pages((uintptr_t)buf->ptr - (uintptr_t)primary_base());
    if (JDB_UNLIKELY(index >= page_count)) {
        buf_free_slowly(buf);
        return;
    }
    struct thread_cache *const cache = cache_enter();
    if (JDB_LIKELY(size_has_bin(buf->cap))) {
        struct bin *const bin = cache_bin_of_size(cache, buf->cap);
        const struct cached_run run = {buf->ptr, &primary_words()[index]};
        if (JDB_LIKELY(word_load_freed(run.word) == bin->lent_word && bin_push(bin, run))) {
            memcheck_drop(buf->ptr, buf->cap);
            cache_leave();
            buf_leave(buf, cache);
            return;
        }
    }
    buf_free_large(buf, cache, index, buf_exact_pages(buf->cap));
}

/* The run that was allocated last in its class needs no search: its word stands in the bin. */
void jdb_buf_drop(jdb_buf *buf)
{
    if (JDB_UNLIKELY(buf == NULL))
        return;
    struct thread_cache *const cache = cache_here();
    const size_t cap = buf->cap;
    if (JDB_LIKELY(size_has_bin(cap))) {
        struct bin *const bin = cache_bin_of_size(cache, cap);
        const struct cached_run run = bin_hot_run(bin);
        if (JDB_LIKELY(buf->ptr == run.ptr && word_load_freed(run.word) == bin->lent_word)) {
            memcheck_drop(run.ptr, cap);
            word_cache(run.word, bin->hot_word);
            buf_leave(buf, cache);
            return;
        }
    }
    buf_free_any(buf);
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
    const size_t least = buf_capacity(buf->len + additional, JDB_PAGE_SIZE);
    if (least == 0)
        return -EOVERFLOW;
    if (buf->ptr == NULL)
        return buf_alloc_slowly(buf, least, JDB_PAGE_SIZE, false);
    const size_t best = (size_t)bits_max(least, buf->cap * 2);
    return jdb__pages_grow(buf->ptr, buf->cap, buf->len, least, best, &buf->ptr, &buf->cap);
}

int jdb_buf_shrink(jdb_buf *buf)
{
    if (buf == NULL)
        return -EINVAL;
    const size_t new_cap = buf_capacity(buf->len, JDB_PAGE_SIZE);
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
