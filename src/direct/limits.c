/* SPDX-License-Identifier: MIT
 *
 * direct.c - the truth about direct I/O on an open file. Floor 2: asks the system through os.h and judges.
 *
 * Each source is asked in turn and fills what it knows; what nobody knows is assumed. Then the kind of file system and
 * the trial read decide what really happens, because some accept O_DIRECT and buffer all the same.
 */
#include "jdb_alloc/direct.h"
#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ASSUMED_ALIGN 4096u
#define TRIAL_ALIGN_MAX 65536u /* the largest block size a file system has at present */
#define SIZE_0_1 sizeof(jdb_direct)
#define CHECK_SIZE_0_1 sizeof(jdb_direct_check)

/* ---- Words ------------------------------------------------------------------------------------------------ */

JDB_PRINTF(2, 3) static void set_reason(jdb_direct *limits, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(limits->reason, sizeof limits->reason, format, list);
    va_end(list);
}

static void set_state(jdb_direct *limits, uint32_t read_state, uint32_t write_state, uint32_t source)
{
    limits->read_state = read_state;
    limits->write_state = write_state;
    limits->state = read_state > write_state ? read_state : write_state;
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
    if (limits == NULL)
        return -EINVAL;
    return snprintf(text, text_size, "%s: memory %" PRIu32 " (%s), write %" PRIu32 " (%s), read %" PRIu32 " (%s)",
                    jdb_direct_state_name(limits->state), limits->memory_align,
                    jdb_direct_source_name(limits->memory_source), limits->write_align,
                    jdb_direct_source_name(limits->write_source), limits->read_align,
                    jdb_direct_source_name(limits->read_source));
}

/* ---- Alignments: the first source that knows wins ----------------------------------------------------------- */

static void set_aligns(jdb_direct *limits, uint32_t memory, uint32_t write, uint32_t read, uint32_t source)
{
    limits->memory_align = memory;
    limits->write_align = write;
    limits->read_align = read;
    limits->memory_source = source;
    limits->write_source = source;
    limits->read_source = source;
}

static bool take_statx(jdb_direct *limits, const struct jdb__os_file_stat *stat)
{
    const uint32_t read = stat->has_read_align && stat->read_align != 0 ? stat->read_align : stat->write_align;
    if (!stat->has_direct_align)
        return false;
    if (!bits_is_pow2(stat->memory_align) || !bits_is_pow2(stat->write_align) || !bits_is_pow2(read))
        return false;
    set_aligns(limits, stat->memory_align, stat->write_align, read, JDB_DIRECT_SOURCE_STATX);
    set_state(limits, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_SOURCE_STATX);
    set_reason(limits, "the file system vouches for direct I/O");
    return true;
}

static bool take_xfs(jdb_direct *limits, int fd)
{
    uint32_t memory = 0;
    uint32_t align = 0;
    if (jdb__os_xfs_direct_align(fd, &memory, &align) != 0 || !bits_is_pow2(memory) || !bits_is_pow2(align))
        return false;
    set_aligns(limits, memory, align, align, JDB_DIRECT_SOURCE_XFS);
    set_state(limits, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_SOURCE_XFS);
    set_reason(limits, "xfs vouches for direct I/O");
    return true;
}

static void ask_device(jdb_direct *limits, int fd)
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
}

/* Memory as a block, because only newer kernels say that less is enough. */
static bool take_device(jdb_direct *limits)
{
    const uint32_t logical = limits->logical_block_size;
    if (logical == 0)
        return false;
    set_aligns(limits, logical, logical, logical, JDB_DIRECT_SOURCE_DEVICE);
    return true;
}

/* ---- File systems that are known to mislead ----------------------------------------------------------------- */

#define MAGIC_BTRFS 0x9123683eu
#define MAGIC_EXT4 0xef53u
#define MAGIC_FUSE 0x65735546u
#define MAGIC_NFS 0x6969u
#define MAGIC_OVERLAY 0x794c7630u
#define MAGIC_RAMFS 0x858458f6u
#define MAGIC_SMB2 0xfe534d42u
#define MAGIC_TMPFS 0x01021994u
#define MAGIC_HUGETLBFS 0x958458f6u

static const struct {
    uint32_t magic;
    uint32_t state;
    const char *reason;
} known_table[] = {
    {MAGIC_TMPFS, JDB_DIRECT_STATE_BUFFERED,
     "tmpfs is the page cache itself: O_DIRECT is accepted and changes nothing"},
    {MAGIC_RAMFS, JDB_DIRECT_STATE_BUFFERED, "ramfs is the page cache itself: O_DIRECT changes nothing"},
    {MAGIC_HUGETLBFS, JDB_DIRECT_STATE_BUFFERED, "hugetlbfs is memory: O_DIRECT changes nothing"},
    {MAGIC_FUSE, JDB_DIRECT_STATE_UNKNOWN, "FUSE: the daemon behind it decides, and may buffer in silence"},
    {MAGIC_NFS, JDB_DIRECT_STATE_UNKNOWN, "NFS: past this machine's page cache; what the server does is its own"},
    {MAGIC_SMB2, JDB_DIRECT_STATE_UNKNOWN, "SMB: past this machine's page cache; what the server does is its own"},
    {MAGIC_OVERLAY, JDB_DIRECT_STATE_UNKNOWN, "overlayfs on a file system that does not vouch for direct I/O"},
};

static void judge_btrfs(jdb_direct *limits, int fd)
{
    bool is_nocow = false;
    const uint32_t source = JDB_DIRECT_SOURCE_FILE_SYSTEM;
    if (jdb__os_file_is_nocow(fd, &is_nocow) != 0) {
        set_state(limits, JDB_DIRECT_STATE_UNKNOWN, JDB_DIRECT_STATE_UNKNOWN, source);
        set_reason(limits, "btrfs, and it does not say whether the file has checksums: with them, writes are buffered");
    } else if (is_nocow) {
        set_state(limits, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_DIRECT, source);
        set_reason(limits, "btrfs without checksums (chattr +C): aligned requests are direct, others are buffered");
    } else {
        set_state(limits, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_BUFFERED, source);
        set_reason(limits, "btrfs with checksums: writes go through the page cache (since Linux 6.14); chattr +C on an "
                           "empty file makes them direct");
    }
}

/* Returns whether the file system is one we know. */
static bool judge_known(jdb_direct *limits, int fd)
{
    if (limits->file_system == MAGIC_BTRFS) {
        judge_btrfs(limits, fd);
        return true;
    }
    for (size_t i = 0; i < sizeof known_table / sizeof known_table[0]; i++)
        if (limits->file_system == known_table[i].magic) {
            set_state(limits, known_table[i].state, known_table[i].state, JDB_DIRECT_SOURCE_FILE_SYSTEM);
            set_reason(limits, "%s", known_table[i].reason);
            return true;
        }
    return false;
}

/* Zero from statx: the file system itself says no. */
static void judge_unsupported(jdb_direct *limits)
{
    set_state(limits, JDB_DIRECT_STATE_BUFFERED, JDB_DIRECT_STATE_BUFFERED, JDB_DIRECT_SOURCE_STATX);
    set_reason(limits, limits->file_system == MAGIC_EXT4
                           ? "ext4 says no direct I/O for this file (data=journal, encryption, verity or inline data): "
                             "O_DIRECT is accepted and buffered"
                           : "the file system says that direct I/O on this file is not supported");
}

/* ---- Trial reads -------------------------------------------------------------------------------------------- */

/* Room for one read of the largest alignment at any excess, on addresses that are multiples of it. */
struct trial_memory {
    void *reserved;
    uint8_t *aligned;
    size_t size;
};

static int trial_memory_init(struct trial_memory *memory)
{
    memory->size = (size_t)TRIAL_ALIGN_MAX * 3;
    int err = jdb__os_reserve(memory->size, &memory->reserved);
    if (err != 0)
        return err;
    err = jdb__os_commit(memory->reserved, memory->size);
    if (err != 0) {
        jdb__os_unmap(memory->reserved, memory->size);
        return err;
    }
    memory->aligned = (uint8_t *)memory->reserved;
    memory->aligned += (TRIAL_ALIGN_MAX - (uintptr_t)memory->reserved % TRIAL_ALIGN_MAX) % TRIAL_ALIGN_MAX;
    return 0;
}

static int32_t try_read(int fd, const struct trial_memory *memory, size_t excess, uint32_t size)
{
    const int64_t got = jdb__os_read_at(fd, memory->aligned + excess, size, 0, 0);
    return (int32_t)got;
}

/* The smallest size from `least` up to TRIAL_ALIGN_MAX at which an aligned read is taken; 0: none. */
static uint32_t try_sizes(jdb_direct *limits, int fd, const struct trial_memory *memory, uint32_t least)
{
    for (uint32_t size = least; size <= TRIAL_ALIGN_MAX; size *= 2) {
        limits->trial_result = try_read(fd, memory, 0, size);
        if (limits->trial_result != -EINVAL)
            return size;
    }
    return 0;
}

/* The alignments that were told are too small when the aligned read wants more. */
static void raise_aligns(jdb_direct *limits, uint32_t least)
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

static void judge_refused(jdb_direct *limits)
{
    set_state(limits, JDB_DIRECT_STATE_REFUSED, JDB_DIRECT_STATE_REFUSED, JDB_DIRECT_SOURCE_TRIAL);
    set_reason(limits, "O_DIRECT was taken at open, and reads aligned to 64 KiB are refused with EINVAL");
}

static void judge_unknown(jdb_direct *limits, const char *reason)
{
    set_state(limits, JDB_DIRECT_STATE_UNKNOWN, JDB_DIRECT_STATE_UNKNOWN, JDB_DIRECT_SOURCE_TRIAL);
    set_reason(limits, "%s", reason);
}

/* Nobody vouches for the file: a file that minds misaligned memory does direct I/O, one that does not copies. */
static void judge_by_misaligned_read(jdb_direct *limits, int fd, const struct trial_memory *memory)
{
    if (limits->trial_result == -EBADF)
        return; /* not open for reading: no trial */
    if (limits->trial_result < 0) {
        judge_unknown(limits, "the trial read failed, and nobody vouches for direct I/O");
        return;
    }
    /* Across pages: within one page Linux takes any address (seen on 6.18). */
    const int32_t result = limits->trial_result > 0 ? try_read(fd, memory, 1, TRIAL_ALIGN_MAX) : 0;
    if (limits->trial_result == 0) {
        judge_unknown(limits, "no bytes to try a read on, and nobody vouches for direct I/O");
    } else if (result != -EINVAL) {
        judge_unknown(limits, "misaligned reads are taken too, so the file copies or buffers");
    } else {
        set_state(limits, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_SOURCE_TRIAL);
        set_reason(limits, "an aligned read was taken and a misaligned one refused");
    }
}

static int try_reads(jdb_direct *limits, int fd, bool is_judged)
{
    struct trial_memory memory;
    const int err = trial_memory_init(&memory);
    if (err != 0)
        return err;
    if (limits->read_align <= TRIAL_ALIGN_MAX) {
        const uint32_t least = try_sizes(limits, fd, &memory, limits->read_align);
        if (least == 0)
            judge_refused(limits);
        else if (limits->trial_result >= 0)
            raise_aligns(limits, least);
        if (least != 0 && !is_judged)
            judge_by_misaligned_read(limits, fd, &memory);
    }
    jdb__os_unmap(memory.reserved, memory.size);
    return 0;
}

/* ---- Limits ------------------------------------------------------------------------------------------------- */

static uint32_t largest(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The next power of two; a size that is none (some network file systems) is rounded up. */
static uint32_t pow2_at_least(uint32_t value)
{
    if (value == 0 || value > UINT32_C(1) << 31)
        return 1;
    return bits_is_pow2(value) ? value : UINT32_C(1) << (bits_highest(value) + 1);
}

static void recommend(jdb_direct *limits)
{
    const uint32_t block = pow2_at_least(limits->preferred_block_size);
    limits->recommended_memory_align = largest(limits->memory_align, (uint32_t)JDB_ALIGNMENT);
    limits->recommended_read_size = largest(limits->read_align, pow2_at_least(limits->logical_block_size));
    limits->recommended_write_size =
        largest(largest(limits->write_align, block), pow2_at_least(limits->physical_block_size));
}

static void take_stat(jdb_direct *limits, const struct jdb__os_file_stat *stat)
{
    limits->is_device = stat->kind == OS_FILE_DEVICE;
    limits->device_major = stat->device_major;
    limits->device_minor = stat->device_minor;
    limits->preferred_block_size = stat->preferred_block_size;
    limits->atomic_min_size = stat->atomic_min_size;
    limits->atomic_max_size = stat->atomic_max_size;
    limits->atomic_segments_count = stat->atomic_segments_count;
}

/* A trial of a file that is not judged yet needs no vouching; without one the state stays unknown. */
static void judge_without_trial(jdb_direct *limits)
{
    set_state(limits, JDB_DIRECT_STATE_UNKNOWN, JDB_DIRECT_STATE_UNKNOWN, JDB_DIRECT_SOURCE_ASSUMED);
    set_reason(limits, "nobody vouches for direct I/O, and no read could be tried (not open with O_DIRECT to read)");
}

static int judge(jdb_direct *limits, int fd, const struct jdb__os_file_stat *stat)
{
    const bool is_vouched = take_statx(limits, stat) || (!stat->has_direct_align && take_xfs(limits, fd));
    bool is_judged = is_vouched;
    if (!is_vouched && !take_device(limits))
        set_aligns(limits, ASSUMED_ALIGN, ASSUMED_ALIGN, ASSUMED_ALIGN, JDB_DIRECT_SOURCE_ASSUMED);
    if (!is_vouched && stat->has_direct_align) {
        judge_unsupported(limits);
        is_judged = true;
    } else if (!is_vouched) {
        judge_without_trial(limits);
        is_judged = judge_known(limits, fd);
    }
    return limits->is_open_direct != 0 ? try_reads(limits, fd, is_judged) : 0;
}

int jdb_direct_limits(int fd, jdb_direct *ret_limits)
{
    if (ret_limits == NULL || ret_limits->size < SIZE_0_1)
        return -EINVAL;
    struct jdb__os_file_stat stat;
    int err = jdb__os_file_stat(fd, &stat);
    if (err != 0)
        return err;
    if (stat.kind == OS_FILE_OTHER)
        return -ENOTSUP;
    jdb_direct limits = {.size = ret_limits->size};
    take_stat(&limits, &stat);
    bool is_direct = false;
    err = jdb__os_file_is_direct(fd, &is_direct);
    if (err != 0)
        return err;
    limits.is_open_direct = is_direct;
    if (limits.is_device == 0)
        (void)jdb__os_file_system(fd, &limits.file_system); /* 0 = not known */
    ask_device(&limits, fd);
    err = judge(&limits, fd, &stat);
    if (err != 0)
        return err;
    recommend(&limits);
    *ret_limits = limits;
    return 0;
}

int jdb_direct_override(jdb_direct *limits, uint32_t memory_align, uint32_t write_align, uint32_t read_align)
{
    if (limits == NULL || (memory_align & (memory_align - 1)) != 0 || (write_align & (write_align - 1)) != 0 ||
        (read_align & (read_align - 1)) != 0)
        return -EINVAL;
    if (memory_align != 0) {
        limits->memory_align = memory_align;
        limits->memory_source = JDB_DIRECT_SOURCE_OVERRIDE;
    }
    if (write_align != 0) {
        limits->write_align = write_align;
        limits->write_source = JDB_DIRECT_SOURCE_OVERRIDE;
    }
    if (read_align != 0) {
        limits->read_align = read_align;
        limits->read_source = JDB_DIRECT_SOURCE_OVERRIDE;
    }
    recommend(limits);
    return 0;
}

static void pretend(uint32_t *value, uint32_t *source, uint32_t align)
{
    if (*value >= align)
        return;
    *value = align;
    *source = JDB_DIRECT_SOURCE_PRETENDED;
}

int jdb_direct_pretend(jdb_direct *limits, uint32_t align)
{
    if (limits == NULL || !bits_is_pow2(align))
        return -EINVAL;
    pretend(&limits->memory_align, &limits->memory_source, align);
    pretend(&limits->write_align, &limits->write_source, align);
    pretend(&limits->read_align, &limits->read_source, align);
    recommend(limits);
    return 0;
}

/* ---- Check -------------------------------------------------------------------------------------------------- */

static jdb_direct_demand demand_of(uint64_t value, uint64_t align)
{
    const uint64_t below = bits_round_down(value, align);
    jdb_direct_demand demand = {
        .value = value, .align = align, .excess = value - below, .below = below, .above = below};
    if (below != value)
        demand.above = below > UINT64_MAX - align ? UINT64_MAX : below + align;
    return demand;
}

static bool is_usable(const jdb_direct *limits)
{
    return limits != NULL && limits->size >= SIZE_0_1 && bits_is_pow2(limits->memory_align) &&
           bits_is_pow2(limits->write_align) && bits_is_pow2(limits->read_align);
}

static int check(const jdb_direct *limits, jdb_raw view, int64_t offset, bool is_write, jdb_direct_check *ret_check)
{
    if (!is_usable(limits) || offset < 0 || (ret_check != NULL && ret_check->size < CHECK_SIZE_0_1))
        return -EINVAL;
    const uint64_t align = is_write ? limits->write_align : limits->read_align;
    jdb_direct_check result = {
        .size = ret_check != NULL ? ret_check->size : (uint32_t)sizeof result,
        .is_write = is_write,
        .address = demand_of((uintptr_t)view.ptr, limits->memory_align),
        .offset = demand_of((uint64_t)offset, align),
        .length = demand_of(is_write ? view.len : view.cap, align),
    };
    result.wrong = (result.address.excess != 0 ? (uint32_t)JDB_DIRECT_WRONG_ADDRESS : 0) |
                   (result.offset.excess != 0 ? (uint32_t)JDB_DIRECT_WRONG_OFFSET : 0) |
                   (result.length.excess != 0 ? (uint32_t)JDB_DIRECT_WRONG_LENGTH : 0);
    if (ret_check != NULL)
        *ret_check = result;
    return result.wrong == 0 ? 0 : -EINVAL;
}

int jdb_direct_check_read(const jdb_direct *limits, jdb_raw view, int64_t offset, jdb_direct_check *ret_check)
{
    return check(limits, view, offset, false, ret_check);
}

int jdb_direct_check_write(const jdb_direct *limits, jdb_raw view, int64_t offset, jdb_direct_check *ret_check)
{
    return check(limits, view, offset, true, ret_check);
}

/* Text that is added piece by piece, as snprintf does: the length counts on when the room has ended. */
struct line {
    char *text;
    size_t size;
    size_t length;
};

JDB_PRINTF(2, 3) static void add(struct line *line, const char *format, ...)
{
    const size_t room = line->length < line->size ? line->size - line->length : 0;
    va_list list;
    va_start(list, format);
    const int added = vsnprintf(room != 0 ? line->text + line->length : NULL, room, format, list);
    va_end(list);
    line->length += added > 0 ? (size_t)added : 0;
}

static void add_number(struct line *line, const char *name, const jdb_direct_demand *demand, const char *between)
{
    if (demand->excess == 0)
        return;
    add(line, "%s%s %" PRIu64 " is %" PRIu64 " past a multiple of %" PRIu64 ": use %" PRIu64, between, name,
        demand->value, demand->excess, demand->align, demand->below);
    if (demand->above != UINT64_MAX)
        add(line, " or %" PRIu64, demand->above);
}

int jdb_direct_check_format(const jdb_direct_check *check_result, char *text, size_t text_size)
{
    if (check_result == NULL)
        return -EINVAL;
    struct line line = {.text = text, .size = text_size};
    const char *const verb = check_result->is_write != 0 ? "write" : "read";
    if (check_result->wrong == 0) {
        add(&line, "%s is aligned", verb);
        return (int)line.length;
    }
    add(&line, "%s refused:", verb);
    const char *between = " ";
    if (check_result->address.excess != 0) {
        add(&line, " address 0x%" PRIx64 " is %" PRIu64 " past a multiple of %" PRIu64, check_result->address.value,
            check_result->address.excess, check_result->address.align);
        between = "; ";
    }
    add_number(&line, "offset", &check_result->offset, between);
    if (check_result->offset.excess != 0)
        between = "; ";
    add_number(&line, "length", &check_result->length, between);
    return (int)line.length;
}
