/* SPDX-License-Identifier: MIT
 *
 * os.h - the one window to the system. Floor 1: the only place with system calls and with malloc.
 *
 * Every function returns 0 (or a non-negative result) or -errno, never errno; outputs are untouched on failure.
 * Feature discovery is by trying: -ENOTSUP, -ENOSYS and -EINVAL mean "not here", never a version.
 * Addresses and sizes of memory calls are multiples of os_page_size() unless the line says otherwise.
 *
 * Fault injection: built with JDB_FAULTS, each function asks os_fault() first, which the tests define; a release
 * build has no trace of it.
 */
#ifndef JDB_OS_H
#define JDB_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One name per kind of call that can be made to fail. */
enum os_call {
    OS_CALL_MAP,
    OS_CALL_UNMAP,
    OS_CALL_PROTECT,
    OS_CALL_ADVISE,
    OS_CALL_REMAP,
    OS_CALL_ALLOC,
    OS_CALL_COUNT,
};

#ifdef JDB_FAULTS
/* 0, or the -errno that this call shall fail with. Defined by the tests. */
int os_fault(enum os_call call);
#else
static inline int os_fault(enum os_call call)
{
    (void)call;
    return 0;
}
#endif

/* ---- Memory ----------------------------------------------------------------------------------------------- */

/* Bytes of a page of the system: 4, 16 or 64 KiB. */
size_t os_page_size(void);

/* Set addresses aside: no access, no memory, no charge. -ENOMEM. */
int os_reserve(size_t size, void **ret_ptr);

/* Make reserved addresses readable and writable; their bytes are zero and untouched. -ENOMEM. */
int os_commit(void *ptr, size_t size);

/* Replace a range by fresh reserved addresses: memory and charge go back. */
int os_unreserve_commit(void *ptr, size_t size);

/* Replace a range by fresh readable and writable zero pages; heals a mapping that was moved here. */
int os_renew(void *ptr, size_t size);

/* Give the memory back; the range stays readable and writable and reads as zero (private memory). */
int os_decommit(void *ptr, size_t size);

/* Move the pages of [from, from + size) to `to`, which is committed and loses its content; `from` stays readable and
 * writable and reads as zero, so no other thread's mapping can appear there.
 * Source: mremap(2), MREMAP_DONTUNMAP, since Linux 5.7. -ENOTSUP or -ENOMEM: the caller copies. */
int os_move(void *from, size_t size, void *to);

/* Unmap. */
int os_unmap(void *ptr, size_t size);

/* Fill one byte for each system page of the range with its low bit set where resident: mincore(2). */
int os_resident(void *ptr, size_t size, unsigned char *ret_pages);

/* Zeroed memory for bookkeeping, from malloc. -ENOMEM. */
int os_alloc(size_t size, void **ret_ptr);
void os_free(void *ptr);

/* ---- Time and process ------------------------------------------------------------------------------------- */

/* Milliseconds of a clock that never goes back; cheap, a few milliseconds coarse. */
uint64_t os_coarse_ms(void);

#endif
