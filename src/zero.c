/* SPDX-License-Identifier: MIT
 *
 * zero.c - clearing by the widest stores that the processor has, chosen at run time. Floor 0.
 */
#include "zero.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>

/* Above this, memset: it knows when to go around the cache. */
#define WIDE_STORES_MAX ((size_t)64 << 10)

__attribute__((target("avx2"))) static void zero_avx2(void *ptr, size_t size)
{
    const __m256i zero = _mm256_setzero_si256();
    char *const end = (char *)ptr + size;
    for (char *at = ptr; at != end; at += 256) {
        _mm256_store_si256((__m256i *)(void *)at, zero);
        _mm256_store_si256((__m256i *)(void *)(at + 32), zero);
        _mm256_store_si256((__m256i *)(void *)(at + 64), zero);
        _mm256_store_si256((__m256i *)(void *)(at + 96), zero);
        _mm256_store_si256((__m256i *)(void *)(at + 128), zero);
        _mm256_store_si256((__m256i *)(void *)(at + 160), zero);
        _mm256_store_si256((__m256i *)(void *)(at + 192), zero);
        _mm256_store_si256((__m256i *)(void *)(at + 224), zero);
    }
}

void jdb__zero(void *ptr, size_t size)
{
    static atomic_int has_avx2 = -1;
    int has = atomic_load_explicit(&has_avx2, memory_order_relaxed);
    if (has < 0) {
        has = __builtin_cpu_supports("avx2") != 0;
        atomic_store_explicit(&has_avx2, has, memory_order_relaxed);
    }
    if (has && size <= WIDE_STORES_MAX)
        zero_avx2(ptr, size);
    else
        memset(ptr, 0, size);
}
#else
void jdb__zero(void *ptr, size_t size)
{
    memset(ptr, 0, size);
}
#endif
