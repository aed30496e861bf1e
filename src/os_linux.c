/* SPDX-License-Identifier: MIT
 *
 * os_linux.c - the window to the system on Linux.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* ---- Memory ----------------------------------------------------------------------------------------------- */

static int map_at(void *at, size_t size, int protection, int extra_flags, void **ret_ptr)
{
    const int fault = os_fault(OS_CALL_MAP);
    if (fault != 0)
        return fault;
    void *const ptr = mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
    if (ptr == MAP_FAILED)
        return -errno;
    *ret_ptr = ptr;
    return 0;
}

size_t os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int os_reserve(size_t size, void **ret_ptr)
{
    return map_at(NULL, size, PROT_NONE, MAP_NORESERVE, ret_ptr);
}

int os_commit(void *ptr, size_t size)
{
    const int fault = os_fault(OS_CALL_PROTECT);
    if (fault != 0)
        return fault;
    return mprotect(ptr, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

int os_unreserve_commit(void *ptr, size_t size)
{
    void *same = NULL;
    return map_at(ptr, size, PROT_NONE, MAP_NORESERVE | MAP_FIXED, &same);
}

int os_renew(void *ptr, size_t size)
{
    void *same = NULL;
    return map_at(ptr, size, PROT_READ | PROT_WRITE, MAP_FIXED, &same);
}

int os_decommit(void *ptr, size_t size)
{
    const int fault = os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_DONTNEED) == 0 ? 0 : -errno;
}

int os_move(void *from, size_t size, void *to)
{
    const int fault = os_fault(OS_CALL_REMAP);
    if (fault != 0)
        return fault;
    void *const moved = mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
    return moved != MAP_FAILED ? 0 : -errno;
}

int os_unmap(void *ptr, size_t size)
{
    const int fault = os_fault(OS_CALL_UNMAP);
    if (fault != 0)
        return fault;
    return munmap(ptr, size) == 0 ? 0 : -errno;
}

int os_resident(void *ptr, size_t size, unsigned char *ret_pages)
{
    return mincore(ptr, size, ret_pages) == 0 ? 0 : -errno;
}

int os_alloc(size_t size, void **ret_ptr)
{
    const int fault = os_fault(OS_CALL_ALLOC);
    if (fault != 0)
        return fault;
    void *const ptr = calloc(1, size);
    if (ptr == NULL)
        return -ENOMEM;
    *ret_ptr = ptr;
    return 0;
}

void os_free(void *ptr)
{
    free(ptr);
}

/* ---- Time and process ------------------------------------------------------------------------------------- */

uint64_t os_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
