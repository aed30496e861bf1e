/* SPDX-License-Identifier: MIT
 *
 * trial.c - trial reads: whether the file takes the alignments that were reported, and what it does where no source vouches.
 */
#include "base/check.h"
#include "direct/direct_internal.h"
#include "os/os.h"

/* Room for one read of the largest alignment at any address within a block of that size. */
struct trial_memory {
    void *reserved;
    uint8_t *aligned;
    size_t size;
};

static int trial_memory_init(struct trial_memory *memory)
{
    memory->reserved = NULL;
    memory->size = (size_t)DIRECT_TRIAL_ALIGN_MAX * 3;
    int err = jdb__os_reserve(memory->size, &memory->reserved);
    if (err != 0)
        return err;
    err = jdb__os_commit(memory->reserved, memory->size);
    if (err != 0) {
        jdb__os_unmap(memory->reserved, memory->size);
        return err;
    }
    const uintptr_t excess = (uintptr_t)memory->reserved % DIRECT_TRIAL_ALIGN_MAX;
    memory->aligned = (uint8_t *)memory->reserved + (excess != 0 ? DIRECT_TRIAL_ALIGN_MAX - excess : 0);
    return 0;
}

static int32_t trial_read(int fd, const struct trial_memory *memory, size_t excess, uint32_t size)
{
    JDB_ASSERT((uintptr_t)memory->aligned % DIRECT_TRIAL_ALIGN_MAX == 0);
    JDB_ASSERT(memory->aligned + excess + size <= (uint8_t *)memory->reserved + memory->size);
    return (int32_t)jdb__os_read_at(fd, memory->aligned + excess, size, 0, 0);
}

/* The smallest size from `least` up to DIRECT_TRIAL_ALIGN_MAX at which an aligned read is accepted; 0: none. */
static uint32_t trial_find_size(jdb_direct *limits, int fd, const struct trial_memory *memory, uint32_t least)
{
    JDB_ASSERT(bits_is_pow2(least)); /* D1: so that every size is */
    for (uint32_t size = least; size <= DIRECT_TRIAL_ALIGN_MAX; size *= 2) {
        limits->trial_result = trial_read(fd, memory, 0, size);
        if (limits->trial_result != -EINVAL)
            return size;
    }
    return 0;
}

/* The reported alignments are too small where the aligned read requires more. */
static void trial_raise_aligns(jdb_direct *limits, uint32_t least)
{
    if (limits->read_align < least) {
        limits->read_align = least;
        limits->read_source = JDB_DIRECT_SOURCE_TRIAL;
    }
    if (limits->write_align < least) {
        limits->write_align = least;
        limits->write_source = JDB_DIRECT_SOURCE_TRIAL;
    }
}

static void trial_judge(jdb_direct *limits, uint32_t state, const char *reason)
{
    jdb__direct_set_state(limits, state, state, JDB_DIRECT_SOURCE_TRIAL);
    jdb__direct_set_reason(limits, "%s", reason);
}

/* No source vouches for the file: one that refuses misaligned memory does direct I/O, one that accepts it copies. */
static void trial_judge_by_misaligned_read(jdb_direct *limits, int fd, const struct trial_memory *memory)
{
    if (limits->trial_result == -EBADF)
        return; /* not open for reading: no trial */
    if (limits->trial_result < 0) {
        trial_judge(limits, JDB_DIRECT_STATE_UNKNOWN, "the trial read failed, and no source vouches for direct I/O");
        return;
    }
    if (limits->trial_result == 0) {
        trial_judge(limits, JDB_DIRECT_STATE_UNKNOWN,
                    "no bytes for a trial read, and no source vouches for direct I/O");
        return;
    }
    /* Across pages: within one page Linux takes any address (seen on 6.18). */
    if (trial_read(fd, memory, 1, DIRECT_TRIAL_ALIGN_MAX) != -EINVAL)
        trial_judge(limits, JDB_DIRECT_STATE_UNKNOWN,
                    "misaligned reads are accepted too, so the file copies or buffers");
    else
        trial_judge(limits, JDB_DIRECT_STATE_DIRECT, "an aligned read was accepted and a misaligned one refused");
}

/* What is known of the file system leaves it open: one that refuses misaligned memory does direct I/O all the same, as a file below
 * overlayfs may. */
static void trial_judge_unknown(jdb_direct *limits, int fd, const struct trial_memory *memory)
{
    if (limits->trial_result > 0 && trial_read(fd, memory, 1, DIRECT_TRIAL_ALIGN_MAX) == -EINVAL)
        trial_judge(limits, JDB_DIRECT_STATE_DIRECT, "an aligned read was accepted and a misaligned one refused");
}

/* The alignment of memory is too small where a read at just this alignment is refused. Across pages, as above. */
static void trial_raise_memory(jdb_direct *limits, int fd, const struct trial_memory *memory)
{
    JDB_ASSERT(bits_is_pow2(limits->memory_align)); /* D1 */
    uint32_t align = limits->memory_align;
    while (align < DIRECT_TRIAL_ALIGN_MAX && trial_read(fd, memory, align, DIRECT_TRIAL_ALIGN_MAX) == -EINVAL)
        align *= 2;
    if (align == limits->memory_align)
        return;
    limits->memory_align = align;
    limits->memory_source = JDB_DIRECT_SOURCE_TRIAL;
}

static bool trial_is_reported(uint32_t source)
{
    return source == JDB_DIRECT_SOURCE_STATX || source == JDB_DIRECT_SOURCE_XFS;
}

int jdb__direct_try_reads(jdb_direct *limits, int fd, bool is_judged)
{
    JDB_ASSERT(limits->is_open_direct != 0);
    if (limits->read_align > DIRECT_TRIAL_ALIGN_MAX)
        return 0;
    struct trial_memory memory;
    const int err = trial_memory_init(&memory);
    if (err != 0)
        return err;
    const uint32_t least = trial_find_size(limits, fd, &memory, limits->read_align);
    if (least == 0)
        trial_judge(limits, JDB_DIRECT_STATE_REFUSED,
                    "O_DIRECT was accepted at open, and reads aligned to 64 KiB are refused with EINVAL");
    else if (limits->trial_result >= 0)
        trial_raise_aligns(limits, least);
    if (least != 0 && !is_judged)
        trial_judge_by_misaligned_read(limits, fd, &memory);
    else if (least != 0 && limits->read_state == JDB_DIRECT_STATE_UNKNOWN)
        trial_judge_unknown(limits, fd, &memory);
    if (limits->trial_result > 0 && !trial_is_reported(limits->memory_source))
        trial_raise_memory(limits, fd, &memory);
    jdb__os_unmap(memory.reserved, memory.size);
    return 0;
}
