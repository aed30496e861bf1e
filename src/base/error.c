/* SPDX-License-Identifier: MIT
 *
 * error.c - what an error number means, and the version.
 */
#include "jdb_alloc/base.h"

#include <stddef.h>

_Static_assert(JDB_PAGE_SIZE == 4096, "the page is 4096 bytes on every platform");
_Static_assert(sizeof(size_t) == sizeof(void *), "sizes cover the address space");

static const struct {
    int number;
    const char *text;
} error_table[] = {
    {0, "success"},
    {ENOMEM, "no memory, over the limit of jdb_set_limit(), or no run of free frames: free buffers or frames, call "
             "jdb_trim() or "
             "raise the limit"},
    {EOVERFLOW, "size overflow: it wraps or exceeds PTRDIFF_MAX; check the arithmetic that led to it"},
    {ENOBUFS, "over the capacity of the buffer or view: reserve first, or pass less"},
    {ERANGE, "outside the bounds of the buffer, view or arena: offset + length must stay within its capacity"},
    {EINVAL, "an argument or its alignment is wrong: pages, chunks and slices need multiples of 4096"},
    {EAGAIN, "every frame of the pool is lent: put one back, or wait"},
    {ETIMEDOUT,
     "the deadline passed before a frame was put back: put frames sooner, wait longer, or make the pool larger"},
    {ECANCELED, "the wait was cancelled, no frame was lent: wait again when one is wanted"},
    {ESTALE, "put twice, or a handle whose frame was put since: keep one handle per get"},
    {EXDEV, "the frame or wait belongs to another pool, or the frame to another owner: put or cancel it there"},
    {EDQUOT, "the owner has as many frames as it may: put some of its own, or raise its maximum"},
    {EBUSY, "the memory is pinned, the kernel may still touch it: wait for the completion, then try again"},
    {E2BIG, "an options struct sets a field that this version does not know: zero it, or update the library"},
    {EPERM, "called in a child of fork() on memory that stayed with the parent: create it again in the child"},
    {ENOTSUP, "not supported by this system, file or memory: use the fallback that the function names"},
};

const char *jdb_strerror(int err)
{
    for (size_t i = 0; i < sizeof error_table / sizeof error_table[0]; i++)
        if (err == error_table[i].number || err == -error_table[i].number)
            return error_table[i].text;
    return "unknown error: not one of jdb_alloc";
}

uint32_t jdb_version(void)
{
    return JDB_VERSION_MAJOR * 1000000u + JDB_VERSION_MINOR * 1000u + JDB_VERSION_PATCH;
}
