/* SPDX-License-Identifier: MIT
 *
 * maker.h - one aligned block allocated and freed, by the contender that the program is compiled for. The rows are the
 * same source for all of them; exactly one BENCH_x is defined by CMakeLists.txt.
 *
 * block_make() gives size bytes at a multiple of 4096; block_make_zeroed() also clears them the way a careful user of
 * that contender would; block_make_aligned() takes a multiple of align for both size and address. All return 0 or an
 * error. block_drop() gets the size: contenders with a sized free
 * use it. block_at() is the same block again, from its address and size. blocks_trim() gives everything that is not
 * in use back to the system, by the contender's strongest means.
 */
#ifndef BENCH_MAKER_H
#define BENCH_MAKER_H

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_ALIGN ((size_t)4096)

#if defined(BENCH_JDB)

#include <jdb_alloc.h>

typedef jdb_buf block;

static inline int block_make(block *it, size_t size)
{
    return jdb_buf_with_cap(it, size);
}

static inline int block_make_aligned(block *it, size_t size, size_t align)
{
    return jdb_buf_with_cap_aligned(it, size, align);
}

static inline int block_make_zeroed(block *it, size_t size)
{
    return size == JDB_PAGE_SIZE ? jdb_buf_page(it) : jdb_buf_zeroed(it, size);
}

static inline void block_drop(block *it, size_t size)
{
    (void)size;
    jdb_buf_drop(it);
}

static inline void blocks_trim(void)
{
    jdb_trim();
}

static inline block block_at(uint8_t *ptr, size_t size)
{
    return (block){.ptr = ptr, .len = 0, .cap = size};
}

#elif defined(BENCH_FLOOR)

#include "floor.h"

typedef floor_buf block;

static inline int block_make(block *it, size_t size)
{
    return floor_with_cap(it, size);
}

static inline int block_make_zeroed(block *it, size_t size)
{
    return floor_with_cap(it, size);
}

static inline int block_make_aligned(block *it, size_t size, size_t align)
{
    (void)align;
    return floor_with_cap(it, size);
}

static inline void block_drop(block *it, size_t size)
{
    (void)size;
    floor_drop(it);
}

static inline block block_at(uint8_t *ptr, size_t size)
{
    return (block){.ptr = ptr, .len = 0, .cap = size};
}

#else

typedef struct block {
    uint8_t *ptr;
} block;

static inline block block_at(uint8_t *ptr, size_t size)
{
    (void)size;
    return (block){.ptr = ptr};
}

#if defined(BENCH_POSIX_MEMALIGN)

static inline int block_make_aligned(block *it, size_t size, size_t align)
{
    void *ptr;
    const int err = posix_memalign(&ptr, align, size);
    it->ptr = ptr;
    return err;
}

static inline void block_drop(block *it, size_t size)
{
    (void)size;
    free(it->ptr);
}

static inline void blocks_trim(void)
{
    malloc_trim(0);
}

#elif defined(BENCH_ALIGNED_ALLOC)

static inline int block_make_aligned(block *it, size_t size, size_t align)
{
    it->ptr = aligned_alloc(align, size);
    return it->ptr == NULL ? ENOMEM : 0;
}

static inline void block_drop(block *it, size_t size)
{
    (void)size;
    free(it->ptr);
}

#elif defined(BENCH_MALLOCX)

#include <jemalloc/jemalloc.h>

static inline int block_make_aligned(block *it, size_t size, size_t align)
{
    it->ptr = mallocx(size, MALLOCX_ALIGN(align));
    return it->ptr == NULL ? ENOMEM : 0;
}

static inline void block_drop(block *it, size_t size)
{
    sdallocx(it->ptr, size, MALLOCX_ALIGN(BLOCK_ALIGN));
}

static inline void blocks_trim(void)
{
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
}

#elif defined(BENCH_MI_MALLOC_ALIGNED)

#include <mimalloc.h>

static inline int block_make_aligned(block *it, size_t size, size_t align)
{
    it->ptr = mi_malloc_aligned(size, align);
    return it->ptr == NULL ? ENOMEM : 0;
}

static inline void block_drop(block *it, size_t size)
{
    mi_free_size_aligned(it->ptr, size, BLOCK_ALIGN);
}

static inline void blocks_trim(void)
{
    mi_collect(true);
}

#elif defined(BENCH_TC_MEMALIGN)

#include <gperftools/malloc_extension_c.h>
#include <gperftools/tcmalloc.h>

static inline int block_make_aligned(block *it, size_t size, size_t align)
{
    it->ptr = tc_memalign(align, size);
    return it->ptr == NULL ? ENOMEM : 0;
}

static inline void block_drop(block *it, size_t size)
{
    tc_free_sized(it->ptr, size);
}

static inline void blocks_trim(void)
{
    MallocExtension_MarkThreadIdle();
    MallocExtension_ReleaseFreeMemory();
}

#else
#error "no contender chosen"
#endif

static inline int block_make(block *it, size_t size)
{
    return block_make_aligned(it, size, BLOCK_ALIGN);
}

static inline int block_make_zeroed(block *it, size_t size)
{
    const int err = block_make(it, size);
    if (err == 0)
        memset(it->ptr, 0, size);
    return err;
}

#endif

/* Of block_make_aligned(): tc_memalign() may have taken a larger class than tc_free_sized() looks for. */
static inline void block_drop_aligned(block *it, size_t size)
{
#ifdef BENCH_TC_MEMALIGN
    (void)size;
    tc_free(it->ptr);
#else
    block_drop(it, size);
#endif
}

/* The compiler must believe that somebody reads and writes the block's words and bytes. */
static inline void block_escape(block *it)
{
    __asm__ volatile("" : : "r"(it) : "memory");
}

#endif
