/* SPDX-License-Identifier: MIT
 *
 * limits.c - the direct I/O limits of an open file: sources of the alignments, known file systems, overrides, and their text.
 */
#include "base/bits.h"
#include "base/check.h"
#include "direct/direct_internal.h"
#include "os/os.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- State and text ----------------------------------------------------------------------------------------- */

void jdb__direct_set_reason(jdb_direct *limits, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(limits->reason, sizeof limits->reason, format, list);
    va_end(list);
}

void jdb__direct_set_state(jdb_direct *limits, uint32_t read_state, uint32_t write_state, uint32_t source)
{
    JDB_ASSERT(read_state >= JDB_DIRECT_STATE_DIRECT && read_state <= JDB_DIRECT_STATE_REFUSED);
    JDB_ASSERT(write_state >= JDB_DIRECT_STATE_DIRECT && write_state <= JDB_DIRECT_STATE_REFUSED);
    limits->read_state = read_state;
    limits->write_state = write_state;
    limits->state = (uint32_t)bits_max(read_state, write_state); /* D2 */
    limits->state_source = source;
}

const char *jdb_direct_state_name(uint32_t state)
{
    static const char *const names[] = {"?", "direct", "unknown", "buffered", "refused"};
    return names[state < sizeof names / sizeof names[0] ? state : 0];
}

const char *jdb_direct_source_name(uint32_t source)
{
    static const char *const names[] = {"?",     "assumed",     "statx",    "xfs ioctl", "device",
                                        "trial", "file system", "override", "pretended"};
    return names[source < sizeof names / sizeof names[0] ? source : 0];
}

int jdb_direct_format(const jdb_direct *limits, char *text, size_t text_size)
{
    if (limits == NULL || jdb__sized_check(&direct_form, limits) != 0)
        return -EINVAL;
    return snprintf(text, text_size, "%s: memory %" PRIu32 " (%s), write %" PRIu32 " (%s), read %" PRIu32 " (%s)",
                    jdb_direct_state_name(limits->state), limits->memory_align,
                    jdb_direct_source_name(limits->memory_source), limits->write_align,
                    jdb_direct_source_name(limits->write_source), limits->read_align,
                    jdb_direct_source_name(limits->read_source));
}

/* ---- Alignments: the first source that knows them ----------------------------------------------------------- */

static void limits_set_aligns(jdb_direct *limits, uint32_t memory, uint32_t write, uint32_t read, uint32_t source)
{
    limits->memory_align = memory;
    limits->write_align = write;
    limits->read_align = read;
    limits->memory_source = source;
    limits->write_source = source;
    limits->read_source = source;
    JDB_ASSERT(direct_has_aligns(limits)); /* D1 */
}

static bool limits_from_statx(jdb_direct *limits, const struct jdb__os_file_stat *stat)
{
    const uint32_t read = stat->has_read_align && stat->read_align != 0 ? stat->read_align : stat->write_align;
    if (!stat->has_direct_align)
        return false;
    if (!bits_is_pow2(stat->memory_align) || !bits_is_pow2(stat->write_align) || !bits_is_pow2(read))
        return false;
    limits_set_aligns(limits, stat->memory_align, stat->write_align, read, JDB_DIRECT_SOURCE_STATX);
    jdb__direct_set_state(limits, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_SOURCE_STATX);
    jdb__direct_set_reason(limits, "the file system vouches for direct I/O");
    return true;
}

static bool limits_from_xfs(jdb_direct *limits, int fd)
{
    uint32_t memory = 0;
    uint32_t align = 0;
    if (jdb__os_xfs_direct_align(fd, &memory, &align) != 0 || !bits_is_pow2(memory) || !bits_is_pow2(align))
        return false;
    limits_set_aligns(limits, memory, align, align, JDB_DIRECT_SOURCE_XFS);
    jdb__direct_set_state(limits, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_SOURCE_XFS);
    jdb__direct_set_reason(limits, "xfs vouches for direct I/O");
    return true;
}

static void limits_query_device(jdb_direct *limits, int fd)
{
    uint32_t logical = 0;
    uint32_t physical = 0;
    int err = limits->is_device != 0 ? jdb__os_device_block_sizes(fd, &logical, &physical) : -ENOTTY;
    if (err != 0)
        err = jdb__os_device_block_sizes_by_number(limits->device_major, limits->device_minor, &logical, &physical);
    if (err != 0 || !bits_is_pow2(logical) || !bits_is_pow2(physical))
        return;
    limits->logical_block_size = logical;
    limits->physical_block_size = physical;
    bool is_stable = false;
    limits->is_stable =
        jdb__os_device_is_stable(limits->device_major, limits->device_minor, &is_stable) == 0 && is_stable;
}

/* The memory is aligned as a block is, because only newer kernels report that less is enough. */
static bool limits_from_device(jdb_direct *limits)
{
    const uint32_t logical = limits->logical_block_size;
    if (logical == 0)
        return false;
    limits_set_aligns(limits, logical, logical, logical, JDB_DIRECT_SOURCE_DEVICE);
    return true;
}

/* ---- State: file systems that buffer, or hide what they do ---------------------------------------------------- */

#define LIMITS_BTRFS_MAGIC 0x9123683eu
#define LIMITS_EXT4_MAGIC 0xef53u
#define LIMITS_HUGETLBFS_MAGIC 0x958458f6u
#define LIMITS_NFS_MAGIC 0x6969u
#define LIMITS_OVERLAY_MAGIC 0x794c7630u
#define LIMITS_RAMFS_MAGIC 0x858458f6u
#define LIMITS_SMB2_MAGIC 0xfe534d42u
#define LIMITS_TMPFS_MAGIC 0x01021994u

static const struct {
    uint32_t magic;
    uint32_t state;
    const char *reason;
} limits_known_file_systems[] = {
    {LIMITS_TMPFS_MAGIC, JDB_DIRECT_STATE_BUFFERED,
     "tmpfs is the page cache itself: O_DIRECT is accepted and changes nothing"},
    {LIMITS_RAMFS_MAGIC, JDB_DIRECT_STATE_BUFFERED, "ramfs is the page cache itself: O_DIRECT changes nothing"},
    {LIMITS_HUGETLBFS_MAGIC, JDB_DIRECT_STATE_BUFFERED, "hugetlbfs is memory: O_DIRECT changes nothing"},
    {OS_FUSE_MAGIC, JDB_DIRECT_STATE_UNKNOWN, "FUSE: the daemon behind it decides, and may buffer without an error"},
    {LIMITS_NFS_MAGIC, JDB_DIRECT_STATE_UNKNOWN,
     "NFS: bypasses the page cache of this machine; what the server does is not known"},
    {LIMITS_SMB2_MAGIC, JDB_DIRECT_STATE_UNKNOWN,
     "SMB: bypasses the page cache of this machine; what the server does is not known"},
    {LIMITS_OVERLAY_MAGIC, JDB_DIRECT_STATE_UNKNOWN, "overlayfs on a file system that does not vouch for direct I/O"},
};

/* Reads are direct, with checksums too. */
static void limits_set_btrfs(jdb_direct *limits, uint32_t write_state, const char *reason)
{
    jdb__direct_set_state(limits, JDB_DIRECT_STATE_DIRECT, write_state, JDB_DIRECT_SOURCE_FILE_SYSTEM);
    jdb__direct_set_reason(limits, "%s", reason);
}

/* Only the superuser may ask for the flags of an inode; the mount option holds for files that were created under it. */
static void limits_judge_btrfs(jdb_direct *limits, int fd)
{
    bool is_nocow = false;
    bool has_checksums = true;
    bool is_mounted_without = false;
    if (jdb__os_file_is_nocow(fd, &is_nocow) == 0 && is_nocow)
        limits_set_btrfs(limits, JDB_DIRECT_STATE_DIRECT,
                         "btrfs without checksums (chattr +C): aligned requests are direct, others are buffered");
    else if (jdb__os_btrfs_has_checksums(fd, &has_checksums) == 0 && !has_checksums)
        limits_set_btrfs(limits, JDB_DIRECT_STATE_DIRECT,
                         "btrfs without checksums (nodatasum): aligned requests are direct, others are buffered");
    else if (jdb__os_mount_has_option(fd, "nodatasum", &is_mounted_without) == 0 && is_mounted_without)
        limits_set_btrfs(limits, JDB_DIRECT_STATE_UNKNOWN,
                         "btrfs mounted with nodatasum: writes are direct if the file was created so");
    else
        limits_set_btrfs(
            limits, JDB_DIRECT_STATE_UNKNOWN,
            "btrfs with checksums: writes are direct before Linux 6.15 and go through the page cache since; "
            "chattr +C on an empty file makes them direct");
}

/* Returns whether the file system is in the table. */
static bool limits_judge_known(jdb_direct *limits, int fd)
{
    if (limits->file_system == LIMITS_BTRFS_MAGIC) {
        limits_judge_btrfs(limits, fd);
        return true;
    }
    for (size_t i = 0; i < sizeof limits_known_file_systems / sizeof limits_known_file_systems[0]; i++)
        if (limits->file_system == limits_known_file_systems[i].magic) {
            const uint32_t state = limits_known_file_systems[i].state;
            jdb__direct_set_state(limits, state, state, JDB_DIRECT_SOURCE_FILE_SYSTEM);
            jdb__direct_set_reason(limits, "%s", limits_known_file_systems[i].reason);
            return true;
        }
    return false;
}

/* Alignments of zero from statx: the file system denies direct I/O. */
static void limits_judge_denied(jdb_direct *limits)
{
    jdb__direct_set_state(limits, JDB_DIRECT_STATE_BUFFERED, JDB_DIRECT_STATE_BUFFERED, JDB_DIRECT_SOURCE_STATX);
    jdb__direct_set_reason(limits,
                           limits->file_system == LIMITS_EXT4_MAGIC
                               ? "ext4 reports no direct I/O for this file (data=journal, encryption, verity or "
                                 "inline data): O_DIRECT is accepted and buffered"
                               : "the file system reports that direct I/O on this file is not supported");
}

/* A trial may replace this state; without one it stays. */
static void limits_judge_unknown(jdb_direct *limits)
{
    jdb__direct_set_state(limits, JDB_DIRECT_STATE_UNKNOWN, JDB_DIRECT_STATE_UNKNOWN, JDB_DIRECT_SOURCE_ASSUMED);
    jdb__direct_set_reason(limits,
                           "no source vouches for direct I/O, and no read could be tried (not open with O_DIRECT "
                           "to read)");
}

/* ---- Limits ------------------------------------------------------------------------------------------------- */

/* The next power of two: some network file systems report sizes that are none. */
static uint32_t limits_round_size(uint32_t value)
{
    if (value == 0 || value > UINT32_C(1) << 31)
        return 1;
    const uint32_t size = bits_is_pow2(value) ? value : UINT32_C(1) << (bits_highest(value) + 1);
    JDB_ASSERT(size >= value);
    return size;
}

static void limits_recommend(jdb_direct *limits)
{
    const uint32_t block = limits_round_size(limits->preferred_block_size);
    const uint32_t logical = limits_round_size(limits->logical_block_size);
    const uint32_t physical = limits_round_size(limits->physical_block_size);
    limits->recommended_memory_align = (uint32_t)bits_max(limits->memory_align, JDB_ALIGNMENT);
    limits->recommended_read_size = (uint32_t)bits_max(limits->read_align, logical);
    limits->recommended_write_size = (uint32_t)bits_max(bits_max(limits->write_align, block), physical);
    JDB_ASSERT(!direct_has_aligns(limits) || bits_is_pow2(limits->recommended_read_size));  /* D3 */
    JDB_ASSERT(!direct_has_aligns(limits) || bits_is_pow2(limits->recommended_write_size)); /* D3 */
}

static void limits_from_stat(jdb_direct *limits, const struct jdb__os_file_stat *stat)
{
    limits->is_device = stat->kind == OS_FILE_DEVICE;
    limits->device_major = stat->device_major;
    limits->device_minor = stat->device_minor;
    limits->preferred_block_size = stat->preferred_block_size;
    limits->atomic_min_size = stat->atomic_min_size;
    limits->atomic_max_size = stat->atomic_max_size;
    limits->atomic_segments_count = stat->atomic_segments_count;
    limits->atomic_max_optimal_size = stat->atomic_max_optimal_size;
}

/* Steps 2 to 4. */
static int limits_judge(jdb_direct *limits, int fd, const struct jdb__os_file_stat *stat)
{
    const bool is_vouched = limits_from_statx(limits, stat) || (!stat->has_direct_align && limits_from_xfs(limits, fd));
    bool is_judged = is_vouched;
    if (!is_vouched && !limits_from_device(limits))
        limits_set_aligns(limits, DIRECT_ALIGN_ASSUMED, DIRECT_ALIGN_ASSUMED, DIRECT_ALIGN_ASSUMED,
                          JDB_DIRECT_SOURCE_ASSUMED);
    if (!is_vouched && stat->has_direct_align) {
        limits_judge_denied(limits);
        is_judged = true;
    } else if (!is_vouched) {
        limits_judge_unknown(limits);
        is_judged = limits_judge_known(limits, fd);
    }
    return limits->is_open_direct != 0 ? jdb__direct_try_reads(limits, fd, is_judged) : 0;
}

int jdb__direct_find_limits(int fd, const struct jdb__os_file_stat *stat, bool is_open_direct, jdb_direct *limits)
{
    if (stat->kind == OS_FILE_OTHER)
        return -ENOTSUP;
    limits_from_stat(limits, stat);
    limits->is_open_direct = is_open_direct;
    if (limits->is_device == 0)
        (void)jdb__os_file_system(fd, &limits->file_system); /* 0 = not known */
    limits_query_device(limits, fd);
    const int err = limits_judge(limits, fd, stat);
    if (err != 0)
        return err;
    limits_recommend(limits);
    JDB_ASSERT(direct_has_aligns(limits));                                                          /* D1 */
    JDB_ASSERT(limits->state_source != 0 && limits->memory_source != 0);                            /* D4 */
    JDB_ASSERT(limits->write_source != 0 && limits->read_source != 0 && limits->reason[0] != '\0'); /* D4 */
    return 0;
}

int jdb_direct_limits(int fd, jdb_direct *ret_limits)
{
    if (ret_limits == NULL || jdb__sized_check(&direct_form, ret_limits) != 0)
        return -EINVAL;
    struct jdb__os_file_stat stat;
    uint32_t flags = 0;
    jdb_direct limits = JDB_DIRECT_INIT;
    int err = jdb__os_file_stat(fd, &stat);
    if (err == 0)
        err = jdb__os_file_flags(fd, &flags);
    if (err == 0)
        err = jdb__direct_find_limits(fd, &stat, (flags & OS_OPEN_DIRECT) != 0, &limits);
    return err == 0 ? jdb__sized_write(&direct_form, &limits, ret_limits) : err;
}

/* ---- Overrides ---------------------------------------------------------------------------------------------- */

static bool limits_is_align_or_zero(uint32_t align)
{
    return align == 0 || bits_is_pow2(align);
}

static void limits_replace(uint32_t *value, uint32_t *source, uint32_t align)
{
    if (align == 0)
        return;
    *value = align;
    *source = JDB_DIRECT_SOURCE_OVERRIDE;
}

int jdb_direct_override(jdb_direct *limits, uint32_t memory_align, uint32_t write_align, uint32_t read_align)
{
    if (limits == NULL || jdb__sized_check(&direct_form, limits) != 0)
        return -EINVAL;
    if (!limits_is_align_or_zero(memory_align) || !limits_is_align_or_zero(write_align) ||
        !limits_is_align_or_zero(read_align))
        return -EINVAL;
    limits_replace(&limits->memory_align, &limits->memory_source, memory_align);
    limits_replace(&limits->write_align, &limits->write_source, write_align);
    limits_replace(&limits->read_align, &limits->read_source, read_align);
    limits_recommend(limits);
    return 0;
}

static void limits_raise(uint32_t *value, uint32_t *source, uint32_t align)
{
    if (*value >= align)
        return;
    *value = align;
    *source = JDB_DIRECT_SOURCE_PRETENDED;
}

int jdb_direct_pretend(jdb_direct *limits, uint32_t align)
{
    if (limits == NULL || jdb__sized_check(&direct_form, limits) != 0 || !bits_is_pow2(align))
        return -EINVAL;
    limits_raise(&limits->memory_align, &limits->memory_source, align);
    limits_raise(&limits->write_align, &limits->write_source, align);
    limits_raise(&limits->read_align, &limits->read_source, align);
    limits_recommend(limits);
    return 0;
}
