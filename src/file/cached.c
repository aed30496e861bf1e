/* SPDX-License-Identifier: MIT
 *
 * cached.c - evicts what ends of direct writes left in the page cache.
 */
#include "file/cached.h"
#include "base/bits.h"
#include "file/file_internal.h"
#include "os/os.h"

#define CACHED_WRITES_MAX 16u /* of which the pages may stay, when their writeback takes longer than the next write */

static struct jdb__file_pages cached_pages_of(int64_t offset, uint64_t size)
{
    const uint64_t page = jdb__os_page_size();
    return (struct jdb__file_pages){bits_round_down((uint64_t)offset, page),
                                    bits_round_up((uint64_t)offset + size, page)};
}

static bool cached_is_none(struct jdb__file_pages pages)
{
    return pages.start >= pages.end;
}

/* Both, and what lies between. */
static struct jdb__file_pages cached_join(struct jdb__file_pages a, struct jdb__file_pages b)
{
    if (cached_is_none(a))
        return b;
    return (struct jdb__file_pages){bits_min(a.start, b.start), bits_max(a.end, b.end)};
}

void jdb__file_cached_note(jdb_file *file, int64_t offset, uint64_t size)
{
    const struct jdb__file_pages pages = cached_pages_of(offset, size);
    (void)jdb__file_lock(&file->gate.lock);
    file->cached.all = cached_join(file->cached.all, pages);
    jdb__file_unlock(&file->gate.lock);
}

void jdb__file_cached_add(jdb_file *file, int64_t offset, uint64_t size)
{
    const struct jdb__file_pages pages = cached_pages_of(offset, size);
    (void)jdb__file_lock(&file->gate.lock);
    const struct jdb__file_pages before = file->cached.last;
    file->cached.last = pages;
    const struct jdb__file_pages all = cached_join(file->cached.all, pages);
    const bool is_full = ++file->cached.count % CACHED_WRITES_MAX == 0;
    file->cached.all = all;
    jdb__file_unlock(&file->gate.lock);
    const bool is_near = before.start <= pages.end && pages.start <= before.end;
    if (is_full || is_near) {
        jdb__file_cached_evict(file, is_full ? all : cached_join(before, pages));
        return;
    }
    jdb__file_cached_evict(file, pages);
    jdb__file_cached_evict(file, before);
}

struct jdb__file_pages jdb__file_cached_take(jdb_file *file)
{
    const struct jdb__file_pages none = {0, 0};
    (void)jdb__file_lock(&file->gate.lock);
    const struct jdb__file_pages all = file->cached.all;
    file->cached.all = none;
    file->cached.last = none;
    jdb__file_unlock(&file->gate.lock);
    return all;
}

/* POSIX_FADV_DONTNEED starts the writeback of what is dirty, and does not wait: generic_fadvise() of Linux. */
void jdb__file_cached_evict(const jdb_file *file, struct jdb__file_pages pages)
{
    if (!cached_is_none(pages))
        jdb__os_file_drop_cache(file->plain_fd, (int64_t)pages.start, pages.end - pages.start);
}
