/* SPDX-License-Identifier: MIT
 *
 * memcheck.h - reports to AddressSanitizer, and in the checked build to Valgrind, what memory is lent, free, or
 * defined. Nothing in a release build.
 */
#ifndef JDB_MEMCHECK_H
#define JDB_MEMCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JDB_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define JDB_ASAN 1
#endif

#ifdef JDB_ASAN
#include <sanitizer/asan_interface.h>
#endif
#if defined(JDB_CHECKED) && defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define JDB_VALGRIND 1
#include <valgrind/memcheck.h>
#endif
#endif

/* The user may touch it; its content is not defined. */
static inline void memcheck_lend(void *ptr, size_t size)
{
#ifdef JDB_ASAN
    ASAN_UNPOISON_MEMORY_REGION(ptr, size);
#endif
#ifdef JDB_VALGRIND
    VALGRIND_MAKE_MEM_UNDEFINED(ptr, size);
#endif
    (void)ptr;
    (void)size;
}

/* Nobody may touch it. */
static inline void memcheck_drop(void *ptr, size_t size)
{
#ifdef JDB_ASAN
    ASAN_POISON_MEMORY_REGION(ptr, size);
#endif
#ifdef JDB_VALGRIND
    VALGRIND_MAKE_MEM_NOACCESS(ptr, size);
#endif
    (void)ptr;
    (void)size;
}

/* Fill with zeros, whether or not it is lent: volatile, as the checkers look into memset(). */
#ifdef JDB_ASAN
__attribute__((no_sanitize("address")))
#endif
static inline void
memcheck_zero(uint8_t *ptr, size_t size)
{
#if defined(JDB_ASAN) || defined(JDB_VALGRIND)
#ifdef JDB_VALGRIND
    VALGRIND_DISABLE_ERROR_REPORTING;
#endif
    volatile uint8_t *const bytes = ptr;
    for (size_t i = 0; i < size; i++)
        bytes[i] = 0;
#ifdef JDB_VALGRIND
    VALGRIND_ENABLE_ERROR_REPORTING;
#endif
#else
    memset(ptr, 0, size);
#endif
}

/* Its content is defined: zero, or written by the kernel. */
static inline void memcheck_defined(void *ptr, size_t size)
{
#ifdef JDB_VALGRIND
    VALGRIND_MAKE_MEM_DEFINED(ptr, size);
#endif
    (void)ptr;
    (void)size;
}

/* The first byte of [ptr, ptr + size) that nobody may touch, or NULL: asked before the kernel accesses them.
 * is_read: the kernel will read them, so each must be defined too (Valgrind reports it itself). */
static inline const void *memcheck_find_free(const void *ptr, size_t size, bool is_read)
{
    (void)ptr;
    (void)size;
    (void)is_read;
#ifdef JDB_ASAN
    return __asan_region_is_poisoned((void *)(uintptr_t)ptr, size);
#elif defined(JDB_VALGRIND)
    if (is_read)
        (void)VALGRIND_CHECK_MEM_IS_DEFINED(ptr, size);
    return (const void *)VALGRIND_CHECK_MEM_IS_ADDRESSABLE(ptr, size);
#else
    return NULL;
#endif
}

#endif
