/* SPDX-License-Identifier: MIT
 *
 * posix_absent.c - what POSIX does not have. Each function refuses, and its caller does without: docs/porting.md says how. A
 * port moves what its system has into a file of its own.
 */
#include "os/os.h"

#include <errno.h>

static int os_refuse(enum os_call call)
{
    const int fault = jdb__os_fault(call);
    return fault != 0 ? fault : -ENOTSUP;
}

/* ---- Memory ----------------------------------------------------------------------------------------------- */

int jdb__os_move(void *from, size_t size, void *to)
{
    (void)from, (void)size, (void)to;
    return -ENOTSUP; /* no call that could be made to fail: -EADDRNOTAVAIL would say that `to` is lost */
}

int jdb__os_guard(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    return -ENOTSUP;
}

int jdb__os_unguard(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    return -ENOTSUP;
}

int jdb__os_resident(void *ptr, size_t size, unsigned char *ret_pages)
{
    (void)ptr, (void)size, (void)ret_pages;
    return -ENOTSUP;
}

int jdb__os_wipe_on_fork(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    return os_refuse(OS_CALL_ADVISE);
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

int jdb__os_membarrier_register(void)
{
    return os_refuse(OS_CALL_BARRIER);
}

int jdb__os_membarrier(void)
{
    return -ENOTSUP;
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

int jdb__os_file_system(int fd, uint32_t *ret_magic)
{
    (void)fd, (void)ret_magic;
    return -ENOTSUP;
}

int jdb__os_btrfs_has_checksums(int fd, bool *ret_has)
{
    (void)fd;
    (void)ret_has;
    return -ENOTSUP;
}

int jdb__os_mount_has_option(int fd, const char *option, bool *ret_has)
{
    (void)fd;
    (void)option;
    (void)ret_has;
    return -ENOTSUP;
}

int jdb__os_device_is_stable(uint32_t major, uint32_t minor, bool *ret_stable)
{
    (void)major;
    (void)minor;
    (void)ret_stable;
    return -ENOTSUP;
}

int jdb__os_file_is_nocow(int fd, bool *ret_nocow)
{
    (void)fd, (void)ret_nocow;
    return -ENOTSUP;
}

int jdb__os_xfs_direct_align(int fd, uint32_t *ret_memory_align, uint32_t *ret_align)
{
    (void)fd, (void)ret_memory_align, (void)ret_align;
    return -ENOTSUP;
}

int jdb__os_device_block_sizes(int fd, uint32_t *ret_logical, uint32_t *ret_physical)
{
    (void)fd, (void)ret_logical, (void)ret_physical;
    return -ENOTSUP;
}

int jdb__os_device_size(int fd, int64_t *ret_size)
{
    (void)fd, (void)ret_size;
    return -ENOTSUP;
}

int jdb__os_device_block_sizes_by_number(uint32_t major, uint32_t minor, uint32_t *ret_logical, uint32_t *ret_physical)
{
    (void)major, (void)minor, (void)ret_logical, (void)ret_physical;
    return -ENOTSUP;
}

int jdb__os_file_reopen(int fd, uint32_t flags, int *ret_fd)
{
    (void)fd, (void)flags, (void)ret_fd;
    return -ENOTSUP;
}

/* That errors of writeback are reported once for each open file is Linux. */
int jdb__os_file_detach(int fd, uint32_t flags)
{
    (void)fd;
    (void)flags;
    return 0;
}

int jdb__os_file_find_data(int fd, int64_t offset, int64_t *ret_start, int64_t *ret_end)
{
    (void)fd;
    (void)offset;
    (void)ret_start;
    (void)ret_end;
    return -ENOTSUP;
}

int jdb__os_file_allocate(int fd, int64_t offset, uint64_t size)
{
    (void)fd;
    (void)offset;
    (void)size;
    return -ENOTSUP;
}

int jdb__os_file_write_zeros(int fd, int64_t offset, uint64_t size)
{
    (void)fd;
    (void)offset;
    (void)size;
    return -ENOTSUP;
}

void jdb__os_file_drop_cache(int fd, int64_t offset, uint64_t size)
{
    (void)fd, (void)offset, (void)size;
}

/* ---- Arenas ----------------------------------------------------------------------------------------------- */

int jdb__os_keep_from_children(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    return os_refuse(OS_CALL_ADVISE);
}

int jdb__os_keep_from_dumps(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    return os_refuse(OS_CALL_ADVISE);
}

int jdb__os_advise_huge(void *ptr, size_t size, bool huge)
{
    (void)ptr, (void)size, (void)huge;
    return os_refuse(OS_CALL_ADVISE);
}

int jdb__os_collapse(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    return os_refuse(OS_CALL_ADVISE);
}

int jdb__os_name(void *ptr, size_t size, const char *name)
{
    (void)ptr, (void)size, (void)name;
    return os_refuse(OS_CALL_NAME);
}

unsigned jdb__os_node_count(void)
{
    return 1;
}

unsigned jdb__os_node_here(void)
{
    return 0;
}

int jdb__os_nodes_of(const void *const *pages, size_t count, int *ret_nodes)
{
    (void)pages, (void)count, (void)ret_nodes;
    return os_refuse(OS_CALL_NODES);
}

int jdb__os_bind(void *ptr, size_t size, enum os_numa policy, const uint64_t *nodes)
{
    (void)ptr, (void)size, (void)policy, (void)nodes;
    return os_refuse(OS_CALL_BIND);
}

int jdb__os_populate(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    const int fault = jdb__os_fault(OS_CALL_POPULATE);
    return fault != 0 ? fault : -EINVAL; /* the caller touches */
}

int jdb__os_touch(void *ptr)
{
    (void)ptr;
    return os_refuse(OS_CALL_TOUCH);
}

int jdb__os_decommit_locked(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    return fault != 0 ? fault : -EINVAL;
}

int jdb__os_map_huge(size_t size, size_t page_size, void **ret_ptr)
{
    (void)size, (void)page_size, (void)ret_ptr;
    return os_refuse(OS_CALL_MAP);
}

int jdb__os_move_over(void *from, size_t size, void *to)
{
    (void)from, (void)size, (void)to;
    return os_refuse(OS_CALL_REMAP);
}

int jdb__os_map_facts(const void *ptr, size_t size, struct jdb__os_map_facts *ret_facts)
{
    (void)ptr, (void)size, (void)ret_facts;
    return os_refuse(OS_CALL_FACTS);
}

uint64_t jdb__os_mthp_size(bool is_shared)
{
    (void)is_shared;
    return 0;
}

/* ---- Files in memory -------------------------------------------------------------------------------------- */

/* Without the first nobody calls the others. */
int jdb__os_memfd_new(const char *name, size_t page_size, int *ret_fd)
{
    (void)name, (void)page_size, (void)ret_fd;
    return os_refuse(OS_CALL_MEMFD);
}

int jdb__os_memfd_seal_size(int fd)
{
    (void)fd;
    return os_refuse(OS_CALL_MEMFD);
}

int jdb__os_memfd_is_sealed(int fd, bool *ret_sealed)
{
    (void)fd, (void)ret_sealed;
    return os_refuse(OS_CALL_MEMFD);
}

int jdb__os_memfd_resize(int fd, int64_t size)
{
    (void)fd, (void)size;
    return os_refuse(OS_CALL_TRUNCATE);
}

int jdb__os_memfd_punch(int fd, int64_t offset, int64_t size)
{
    (void)fd, (void)offset, (void)size;
    return os_refuse(OS_CALL_ADVISE);
}

int jdb__os_map_file(int fd, int64_t offset, size_t size, void **ret_ptr)
{
    (void)fd, (void)offset, (void)size, (void)ret_ptr;
    return os_refuse(OS_CALL_MAP);
}

int jdb__os_map_file_at(int fd, int64_t offset, size_t size, void *at)
{
    (void)fd, (void)offset, (void)size, (void)at;
    return os_refuse(OS_CALL_MAP);
}

unsigned jdb__os_stack(unsigned skipped, unsigned max, void **ret_frames)
{
    (void)skipped;
    (void)max;
    (void)ret_frames;
    return 0;
}
