/* SPDX-License-Identifier: MIT
 *
 * os_posix.c - the window to the system where it is not Linux: mmap, mprotect, fstat, pread and nothing newer.
 *
 * What only Linux has is refused with -ENOTSUP, which every caller takes for "not here": memory is grown by copying,
 * limits of a file are the assumed ones. Built by -DJDB_OS=posix, on Linux too, where its tests run.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
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

/* POSIX_MADV_DONTNEED promises neither that memory goes back nor that it reads as zero; a fresh mapping does both. */
int os_decommit(void *ptr, size_t size)
{
    const int fault = os_fault(OS_CALL_ADVISE);
    return fault != 0 ? fault : os_renew(ptr, size);
}

int os_move(void *from, size_t size, void *to)
{
    (void)from, (void)size, (void)to;
    const int fault = os_fault(OS_CALL_REMAP);
    return fault != 0 ? fault : -ENOTSUP;
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
    (void)ptr, (void)size, (void)ret_pages;
    return -ENOTSUP;
}

int os_wipe_on_fork(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    const int fault = os_fault(OS_CALL_ADVISE);
    return fault != 0 ? fault : -ENOTSUP;
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
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

_Static_assert(sizeof(off_t) == 8, "offsets are 64 bits");

int os_file_stat(int fd, struct os_file_stat *ret_stat)
{
    const int fault = os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    struct stat now;
    if (fstat(fd, &now) != 0)
        return -errno;
    *ret_stat = (struct os_file_stat){
        .kind = S_ISREG(now.st_mode)   ? OS_FILE_REGULAR
                : S_ISBLK(now.st_mode) ? OS_FILE_DEVICE
                                       : OS_FILE_OTHER,
        .size = S_ISREG(now.st_mode) ? (int64_t)now.st_size : 0,
        .preferred_block_size = (uint32_t)now.st_blksize,
    };
    return 0;
}

int os_file_system(int fd, uint32_t *ret_magic)
{
    (void)fd, (void)ret_magic;
    return -ENOTSUP;
}

int os_file_is_direct(int fd, bool *ret_direct)
{
    const int fault = os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
#ifdef O_DIRECT
    *ret_direct = (flags & O_DIRECT) != 0;
#else
    *ret_direct = false;
#endif
    return 0;
}

int os_file_is_nocow(int fd, bool *ret_nocow)
{
    (void)fd, (void)ret_nocow;
    return -ENOTSUP;
}

int os_xfs_direct_align(int fd, uint32_t *ret_memory_align, uint32_t *ret_align)
{
    (void)fd, (void)ret_memory_align, (void)ret_align;
    return -ENOTSUP;
}

int os_device_block_sizes(int fd, uint32_t *ret_logical, uint32_t *ret_physical)
{
    (void)fd, (void)ret_logical, (void)ret_physical;
    return -ENOTSUP;
}

int os_device_size(int fd, int64_t *ret_size)
{
    (void)fd, (void)ret_size;
    return -ENOTSUP;
}

int os_device_block_sizes_by_number(uint32_t major, uint32_t minor, uint32_t *ret_logical, uint32_t *ret_physical)
{
    (void)major, (void)minor, (void)ret_logical, (void)ret_physical;
    return -ENOTSUP;
}

int64_t os_read_at(int fd, void *ptr, size_t size, int64_t offset)
{
    const int fault = os_fault(OS_CALL_READ);
    if (fault != 0)
        return fault;
    for (;;) {
        const ssize_t got = pread(fd, ptr, size, offset);
        if (got >= 0)
            return got;
        if (errno != EINTR)
            return -errno;
    }
}
