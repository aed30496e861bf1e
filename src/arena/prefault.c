/* SPDX-License-Identifier: MIT
 *
 * prefault.c - makes a part of an arena resident, on several threads.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "os/os.h"

struct arena_fill {
    const jdb_arena *arena;
    const struct arena_progress *progress;
    uint8_t *ptr;
    uint64_t size;
    uint64_t chunk;
    bool may_touch;  /* a touch cannot raise SIGBUS */
    bool is_foreign; /* nor need its owner have made it writable: the kernel touches it */
    _Atomic uint64_t next;
    _Atomic uint64_t done;
    _Atomic int err;
};

/* Adding nothing keeps what others may have written by now (a memfd that is mapped already). */
static void arena_touch(uint8_t *ptr, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += jdb__os_page_size())
        atomic_fetch_or_explicit((_Atomic uint8_t *)(ptr + at), 0, memory_order_relaxed);
}

static int arena_touch_foreign(uint8_t *ptr, uint64_t size)
{
    int err = 0;
    for (uint64_t at = 0; at < size && err == 0; at += jdb__os_page_size())
        err = jdb__os_touch(ptr + at);
    return err;
}

/* The system returns -EINVAL where it cannot populate, and for memory that cannot be written. */
static int arena_fill_chunk(const struct arena_fill *fill, uint8_t *ptr, uint64_t size)
{
    const int err = jdb__os_populate(ptr, size);
    if (err != -EINVAL || !fill->may_touch)
        return err;
    if (fill->is_foreign)
        return arena_touch_foreign(ptr, size);
    arena_touch(ptr, size);
    return 0;
}

/* False: the callback gives up. */
static bool arena_report_progress(const struct arena_fill *fill, uint64_t done)
{
    const jdb_arena_options *const options = &fill->arena->options;
    const struct arena_progress *const progress = fill->progress;
    const uint64_t sum = progress->done + done;
    return options->progress == NULL ||
           options->progress(options->progress_context, sum, bits_max(sum, progress->total));
}

static void arena_fill_work(void *context, unsigned index)
{
    struct arena_fill *const fill = context;
    for (;;) {
        const uint64_t at = atomic_fetch_add(&fill->next, fill->chunk);
        if (at >= fill->size || atomic_load(&fill->err) != 0)
            return;
        const uint64_t size = bits_min(fill->chunk, fill->size - at);
        int err = arena_fill_chunk(fill, fill->ptr + at, size);
        if (err == 0) {
            const uint64_t done = atomic_fetch_add(&fill->done, size) + size;
            JDB_ASSERT(done <= fill->size);
            if (index == 0 && done < fill->size && !arena_report_progress(fill, done))
                err = -ECANCELED;
        }
        int none = 0;
        if (err != 0)
            atomic_compare_exchange_strong(&fill->err, &none, err);
    }
}

int jdb__arena_fill(const jdb_arena *arena, const struct arena_progress *progress, const struct arena_part *part,
                    uint8_t *at)
{
    struct arena_fill fill = {.arena = arena, .progress = progress, .ptr = at, .size = part->size};
    fill.may_touch = !arena_is_hugetlb(part->kind);
    fill.is_foreign = arena->mapping == NULL;
    fill.chunk = part->kind == JDB_ARENA_PAGES_HUGETLB_1G ? ARENA_HUGE_1G : ARENA_PREFAULT_CHUNK;
    const uint64_t chunk_count = (fill.size + fill.chunk - 1) / fill.chunk;
    jdb__os_run_parallel((unsigned)bits_min(arena->options.prefault_threads, chunk_count), arena_fill_work, &fill);
    const int err = atomic_load(&fill.err);
    JDB_ASSERT(err != 0 || atomic_load(&fill.done) == fill.size);
    return err == 0 && !arena_report_progress(&fill, fill.size) ? -ECANCELED : err;
}
