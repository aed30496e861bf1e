/* SPDX-License-Identifier: MIT
 *
 * uring.c - memory registered as fixed buffers on the caller's ring, region by region. Floor 5, its own library.
 */
#include "uring.h"

#include "bits.h"
#include "jdb_alloc/pin.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_SLOT_COUNT 1024u
#define DEFAULT_OVERLAP ((uint64_t)1 << 20)

/* ---- Options ---------------------------------------------------------------------------------------------- */

/* Copy the fields that both sides know; what only the caller knows must be zero. */
static int read_options(void *known, uint32_t known_size, const void *given)
{
    uint32_t given_size = 0;
    memcpy(&given_size, given, sizeof given_size);
    if (given_size < sizeof given_size)
        return -EINVAL;
    const uint8_t *const bytes = given;
    for (uint32_t i = known_size; i < given_size; i++)
        if (bytes[i] != 0)
            return -E2BIG;
    memcpy(known, given, given_size < known_size ? given_size : known_size);
    return 0;
}

static int door_options(const jdb_uring_options *given, jdb_uring_options *ret_options)
{
    jdb_uring_options options = {.size = sizeof options};
    const int err = given == NULL ? 0 : read_options(&options, sizeof options, given);
    if (err != 0)
        return err;
    if (options.slot_count == 0)
        options.slot_count = DEFAULT_SLOT_COUNT;
    if (options.region_size == 0)
        options.region_size = JDB_URING_REGION_MAX;
    if (!bits_is_pow2(options.region_size) || options.region_size < JDB_URING_REGION_MIN ||
        options.region_size > JDB_URING_REGION_MAX)
        return -EINVAL;
    if (options.slot_count > JDB_URING_SLOTS_MAX || options.uses_caller_table > 1 ||
        options.first_slot > JDB_URING_SLOTS_MAX - options.slot_count ||
        (options.first_slot != 0 && options.uses_caller_table == 0))
        return -EINVAL;
    *ret_options = options;
    return 0;
}

static int range_options(const jdb_uring_range_options *given, jdb_uring_range_options *ret_options)
{
    jdb_uring_range_options options = {.size = sizeof options};
    const int err = given == NULL ? 0 : read_options(&options, sizeof options, given);
    if (err != 0)
        return err;
    if (options.overlap_size == 0)
        options.overlap_size = DEFAULT_OVERLAP;
    if (options.is_atomic > 1)
        return -EINVAL;
    *ret_options = options;
    return 0;
}

/* ---- Slots ------------------------------------------------------------------------------------------------ */

/* After our own unregistering the kernel may give locked memory back some milliseconds late (it does so when the last
 * reference of the ring goes), and a new registration meets -ENOMEM until then. */
#define TEARDOWN_WINDOW_MS 100u
#define TEARDOWN_TRIES 50u

static _Atomic uint64_t teardown_ms;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool may_retry(unsigned tries)
{
    const uint64_t last = atomic_load(&teardown_ms);
    if (last == 0 || tries >= TEARDOWN_TRIES || now_ms() - last > TEARDOWN_WINDOW_MS)
        return false;
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
    return true;
}

/* One slot for one call: so each region has its own errno, and no short count can hide one. */
static int update_slot(const jdb_uring *door, uint32_t slot, const uint8_t *ptr, size_t size, uint64_t tag)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)ptr, .iov_len = size};
    const __u64 tags = tag;
    const int count = io_uring_register_buffers_update_tag(door->ring, slot, &iov, &tags, 1);
    return count == 1 ? 0 : count < 0 ? count : -EIO;
}

static int fill_slot(jdb_uring *door, const uint8_t *ptr, size_t size, uint64_t tag, int32_t *ret_slot)
{
    if (door->table_error != 0)
        return door->table_error;
    if (door->free_count == 0)
        return -ENOSPC;
    const uint16_t slot = door->free_slots[door->free_count - 1];
    int err = update_slot(door, slot, ptr, size, tag);
    for (unsigned tries = 0; err == -ENOMEM && may_retry(tries); tries++)
        err = update_slot(door, slot, ptr, size, tag);
    if (err != 0)
        return err;
    door->free_count--;
    *ret_slot = slot;
    return 0;
}

/* A slot that the kernel does not clear is lost to the door: it must never be filled again unseen. */
static void clear_slot(jdb_uring *door, int32_t slot)
{
    if (door->ring != NULL && update_slot(door, (uint32_t)slot, NULL, 0, 0) == 0)
        door->free_slots[door->free_count++] = (uint16_t)slot;
}

/* ---- Index ------------------------------------------------------------------------------------------------ */

static struct uring_granule *granule_at(const jdb_uring *door, uint64_t address)
{
    struct uring_middle *const middle = door->root[address >> (URING_GRANULE_BITS + URING_MIDDLE_BITS)];
    if (middle == NULL)
        return NULL;
    return &middle->granules[(address >> URING_GRANULE_BITS) & ((1u << URING_MIDDLE_BITS) - 1)];
}

static int make_granule(jdb_uring *door, uint64_t address, bool needs_leaf)
{
    struct uring_middle **const middle = &door->root[address >> (URING_GRANULE_BITS + URING_MIDDLE_BITS)];
    if (*middle == NULL && (*middle = calloc(1, sizeof **middle)) == NULL)
        return -ENOMEM;
    struct uring_granule *const granule = granule_at(door, address);
    if (needs_leaf && granule->whole != NULL)
        return -EEXIST;
    if (needs_leaf && granule->leaf == NULL && (granule->leaf = calloc(1, sizeof *granule->leaf)) == NULL)
        return -ENOMEM;
    return !needs_leaf && (granule->whole != NULL || granule->leaf != NULL) ? -EEXIST : 0;
}

static void drop_empty_leaf(struct uring_granule *granule)
{
    for (size_t i = 0; i < sizeof granule->leaf->pages / sizeof granule->leaf->pages[0]; i++)
        if (granule->leaf->pages[i] != NULL)
            return;
    free(granule->leaf);
    granule->leaf = NULL;
}

/* What one step of a walk over [address, end) covers: the rest of a granule. */
static uint64_t granule_end(uint64_t address, uint64_t end)
{
    const uint64_t next =
        bits_round_down(address, (uint64_t)1 << URING_GRANULE_BITS) + ((uint64_t)1 << URING_GRANULE_BITS);
    return next < end ? next : end;
}

static bool fills_granule(uint64_t address, uint64_t end)
{
    return end - address == (uint64_t)1 << URING_GRANULE_BITS;
}

/* Put `value` (a range, or NULL) wherever `old` stands in [address, end), a part of one granule. -EEXIST. */
static int swap_granule(struct uring_granule *granule, uint64_t address, uint64_t end, struct uring_range *old,
                        struct uring_range *value)
{
    if (fills_granule(address, end) && granule->leaf == NULL) {
        granule->whole = value;
        return 0;
    }
    assert(granule->leaf != NULL); /* whoever splits a granule makes its leaf first */
    const uint64_t mask = (1u << URING_LEAF_BITS) - 1;
    int err = 0;
    for (uint64_t at = address; at < end; at += JDB_PAGE_SIZE) {
        struct uring_range **const page = &granule->leaf->pages[(at >> URING_PAGE_BITS) & mask];
        if (*page == old)
            *page = value;
        else
            err = -EEXIST;
    }
    return err;
}

static void index_remove(jdb_uring *door, struct uring_range *range)
{
    const uint64_t end = bits_round_up((uintptr_t)range->ptr + range->size, JDB_PAGE_SIZE);
    for (uint64_t at = (uintptr_t)range->ptr; at < end; at = granule_end(at, end)) {
        struct uring_granule *const granule = granule_at(door, at);
        if (granule == NULL || (granule->leaf == NULL && granule->whole != range))
            continue;
        swap_granule(granule, at, granule_end(at, end), range, NULL);
        if (granule->leaf != NULL)
            drop_empty_leaf(granule);
    }
}

static int index_add(jdb_uring *door, struct uring_range *range)
{
    const uint64_t end = bits_round_up((uintptr_t)range->ptr + range->size, JDB_PAGE_SIZE);
    if (end >> URING_ADDRESS_BITS != 0)
        return -ENOTSUP;
    int err = 0;
    for (uint64_t at = (uintptr_t)range->ptr; err == 0 && at < end; at = granule_end(at, end)) {
        const uint64_t stop = granule_end(at, end);
        err = make_granule(door, at, !fills_granule(at, stop));
        if (err == 0)
            err = swap_granule(granule_at(door, at), at, stop, NULL, range);
    }
    if (err != 0)
        index_remove(door, range);
    return err;
}

static void index_free(jdb_uring *door)
{
    for (size_t i = 0; i < sizeof door->root / sizeof door->root[0]; i++)
        free(door->root[i]);
}

/* ---- Ranges ----------------------------------------------------------------------------------------------- */

static struct uring_range **find_added(const jdb_uring *door, const void *ptr)
{
    struct uring_range **link = (struct uring_range **)(uintptr_t)&door->ranges;
    while (*link != NULL && (*link)->ptr != ptr)
        link = &(*link)->next;
    return link;
}

/* The last region is left out when the overlap of the one before covers it. */
static uint32_t count_regions(size_t size, unsigned shift, size_t overlap_size)
{
    const uint64_t count = ((uint64_t)size + ((uint64_t)1 << shift) - 1) >> shift;
    if (count > 1 && size - ((count - 1) << shift) <= overlap_size)
        return (uint32_t)(count - 1);
    return (uint32_t)count;
}

static int make_range(const jdb_uring *door, const void *ptr, size_t size, const jdb_uring_range_options *options,
                      struct uring_range **ret_range)
{
    const unsigned shift = bits_highest(door->region_size);
    const uint64_t most = JDB_URING_BUFFER_MAX - door->region_size;
    const size_t overlap_size = (size_t)(options->overlap_size < most ? options->overlap_size : most);
    if (size >> shift > UINT32_MAX / 2)
        return -EINVAL;
    const uint32_t region_count = count_regions(size, shift, overlap_size);
    struct uring_range *const range = calloc(1, sizeof *range + region_count * sizeof range->slots[0]);
    if (range == NULL)
        return -ENOMEM;
    range->ptr = (uint8_t *)(uintptr_t)ptr;
    range->size = size;
    range->overlap_size = overlap_size;
    range->release_tag = options->release_tag;
    range->shift = shift;
    range->region_count = region_count;
    *ret_range = range;
    return 0;
}

/* Registering pins every page before it asks whether it may, so after -ENOMEM nothing of the same size is tried again. */
static int fill_regions(jdb_uring *door, struct uring_range *range)
{
    size_t too_big = SIZE_MAX;
    int first_error = 0;
    for (uint32_t i = 0; i < range->region_count; i++) {
        const size_t size = uring_region_size(range, i);
        int err = -ENOMEM;
        if (size < too_big)
            err = fill_slot(door, range->ptr + ((size_t)i << range->shift), size, range->release_tag, &range->slots[i]);
        if (err == 0)
            continue;
        range->slots[i] = err;
        first_error = first_error == 0 ? err : first_error;
        too_big = err == -ENOMEM && size < too_big ? size : too_big;
    }
    return first_error;
}

static void empty_regions(jdb_uring *door, struct uring_range *range)
{
    for (uint32_t i = 0; i < range->region_count; i++)
        if (range->slots[i] >= 0)
            clear_slot(door, range->slots[i]);
    atomic_store(&teardown_ms, now_ms());
}

static int pin_range(struct uring_range *range)
{
    const int err = jdb_pin(range->ptr, range->size);
    range->is_pinned = err == 0;
    return err == -ENOTSUP ? 0 : err;
}

static void free_range(struct uring_range *range)
{
    if (range->is_pinned)
        jdb_unpin(range->ptr, range->size);
    free(range);
}

static int enter_range(jdb_uring *door, struct uring_range *range, bool is_atomic)
{
    int err = pin_range(range);
    if (err == 0)
        err = index_add(door, range);
    if (err != 0)
        return err;
    const int first_error = fill_regions(door, range);
    if (first_error != 0 && is_atomic) {
        empty_regions(door, range);
        index_remove(door, range);
        return first_error;
    }
    range->next = door->ranges;
    door->ranges = range;
    return 0;
}

int jdb_uring_add(jdb_uring *door, const void *ptr, size_t size, const jdb_uring_range_options *options)
{
    if (door == NULL || ptr == NULL || size == 0 || size > PTRDIFF_MAX || (uintptr_t)ptr % JDB_PAGE_SIZE != 0)
        return -EINVAL;
    jdb_uring_range_options wanted;
    int err = range_options(options, &wanted);
    struct uring_range *range = NULL;
    if (err == 0)
        err = make_range(door, ptr, size, &wanted, &range);
    if (err != 0)
        return err;
    err = enter_range(door, range, wanted.is_atomic != 0);
    if (err != 0)
        free_range(range);
    return err;
}

static void remove_range(jdb_uring *door, struct uring_range **link)
{
    struct uring_range *const range = *link;
    *link = range->next;
    index_remove(door, range);
    empty_regions(door, range);
    free_range(range);
}

int jdb_uring_remove(jdb_uring *door, const void *ptr)
{
    if (door == NULL || ptr == NULL)
        return -EINVAL;
    struct uring_range **const link = find_added(door, ptr);
    if (*link == NULL)
        return -EINVAL;
    remove_range(door, link);
    return 0;
}

/* ---- Door ------------------------------------------------------------------------------------------------- */

int jdb_uring_open(struct io_uring *ring, const jdb_uring_options *options, jdb_uring **ret_door)
{
    if (ring == NULL || ret_door == NULL)
        return -EINVAL;
    jdb_uring_options wanted;
    const int err = door_options(options, &wanted);
    if (err != 0)
        return err;
    jdb_uring *const door = calloc(1, sizeof *door + wanted.slot_count * sizeof door->free_slots[0]);
    if (door == NULL)
        return -ENOMEM;
    door->ring = ring;
    door->is_callers_table = wanted.uses_caller_table != 0;
    door->slot_count = wanted.slot_count;
    door->region_size = wanted.region_size;
    if (!door->is_callers_table)
        door->table_error = io_uring_register_buffers_sparse(ring, wanted.slot_count);
    while (door->free_count < wanted.slot_count) {
        door->free_slots[door->free_count] = (uint16_t)(wanted.first_slot + wanted.slot_count - 1 - door->free_count);
        door->free_count++;
    }
    *ret_door = door;
    return 0;
}

static void free_door(jdb_uring *door)
{
    while (door->ranges != NULL)
        remove_range(door, &door->ranges);
    index_free(door);
    free(door);
}

void jdb_uring_close(jdb_uring *door)
{
    if (door == NULL)
        return;
    struct io_uring *const ring = door->ring;
    const bool has_table = !door->is_callers_table && door->table_error == 0;
    free_door(door);
    if (has_table)
        io_uring_unregister_buffers(ring);
}

void jdb_uring_abandon(jdb_uring *door)
{
    if (door == NULL)
        return;
    door->ring = NULL;
    free_door(door);
}

/* ---- Status ----------------------------------------------------------------------------------------------- */

static const jdb_uring_reason reasons[] = {
    {0, 0, "registered", "nothing to do"},
    {-ENOMEM, 0, "over RLIMIT_MEMLOCK of this user (all its processes and rings count together), or no memory",
     "raise it: ulimit -l, LimitMEMLOCK= of systemd, or give the program CAP_IPC_LOCK"},
    {-ENOSPC, 0, "every slot of this door is taken", "raise slot_count or region_size"},
    {-EBUSY, 0, "the ring has a table of fixed buffers already", "lend a part of it: uses_caller_table, first_slot"},
    {-EFAULT, 0, "a page cannot be written, is not mapped, or belongs to a file",
     "register memory that is readable and writable, private or of a memfd"},
    {-EOPNOTSUPP, 0, "this kind of memory cannot be registered (a mapping of a file)",
     "use anonymous memory or a memfd"},
    {-EINVAL, 0, "the kernel knows no sparse tables of fixed buffers, or the slot is outside the caller's table",
     "Linux 5.19 or newer, or check first_slot and slot_count"},
    {-ENXIO, 0, "the ring has no table of fixed buffers", "register one before lending a part of it"},
    {-EPERM, 0, "the system forbids registering on this ring", "see seccomp filters and io_uring restrictions"},
};

static const jdb_uring_reason ring_reasons[] = {
    {0, 0, "the ring was made", "nothing to do"},
    {-EPERM, 0, "io_uring is forbidden here: sysctl kernel.io_uring_disabled, or a seccomp filter (containers)",
     "set kernel.io_uring_disabled to 0 or join kernel.io_uring_group; allow io_uring_setup in the seccomp profile"},
    {-ENOSYS, 0, "io_uring is absent: an old kernel, one built without it, or a seccomp filter that says so",
     "Linux 5.6 or newer with CONFIG_IO_URING; allow io_uring_setup in the seccomp profile"},
    {-EOPNOTSUPP, 0, "io_uring is refused by the sandbox or the emulated kernel",
     "run outside it, or do without a ring"},
    {-ENOMEM, 0, "no memory for the ring, or over RLIMIT_MEMLOCK (Linux before 5.12)",
     "ask for fewer entries, or raise the limit: ulimit -l"},
    {-EMFILE, 0, "too many open files in this process", "raise ulimit -n"},
    {-ENFILE, 0, "too many open files in the system", "raise fs.file-max"},
    {-EINVAL, 0, "this kernel does not know the flags, or the number of entries is out of range",
     "make the ring with fewer flags"},
};

static jdb_uring_reason find_reason(const jdb_uring_reason *table, size_t count, int err)
{
    const int number = err > 0 ? -err : err;
    for (size_t i = 0; i < count; i++)
        if (table[i].err == number)
            return table[i];
    return (jdb_uring_reason){number, 0, strerror(-number), "none known: do without"};
}

jdb_uring_reason jdb_uring_explain(int err)
{
    return find_reason(reasons, sizeof reasons / sizeof reasons[0], err);
}

jdb_uring_reason jdb_uring_explain_ring(int err)
{
    return find_reason(ring_reasons, sizeof ring_reasons / sizeof ring_reasons[0], err);
}

/* Copy the fields that both sides know, and keep the caller's size. */
static int write_report(void *report, const void *filled, uint32_t filled_size)
{
    uint32_t size = 0;
    memcpy(&size, report, sizeof size);
    if (size < sizeof size)
        return -EINVAL;
    memcpy(report, filled, size < filled_size ? size : filled_size);
    memcpy(report, &size, sizeof size);
    return 0;
}

/* Each byte once, though regions overlap. */
static void sum_regions(const struct uring_range *range, jdb_uring_range *sum)
{
    size_t covered = 0;
    for (uint32_t i = 0; i < range->region_count; i++) {
        if (range->slots[i] < 0) {
            sum->first_error = sum->first_error == 0 ? range->slots[i] : sum->first_error;
            continue;
        }
        const size_t start = (size_t)i << range->shift;
        const size_t end = start + uring_region_size(range, i);
        sum->registered_bytes += end - (start > covered ? start : covered);
        covered = end;
        sum->registered_count++;
    }
}

int jdb_uring_get_range(const jdb_uring *door, const void *ptr, jdb_uring_range *ret_range)
{
    if (door == NULL || ptr == NULL || ret_range == NULL)
        return -EINVAL;
    const struct uring_range *const range = *find_added(door, ptr);
    if (range == NULL)
        return -EINVAL;
    jdb_uring_range sum = {.region_count = range->region_count,
                           .range_bytes = range->size,
                           .region_size = (uint64_t)1 << range->shift,
                           .overlap_size = range->overlap_size};
    sum_regions(range, &sum);
    return write_report(ret_range, &sum, sizeof sum);
}

int jdb_uring_get_region(const jdb_uring *door, const void *ptr, uint32_t index, jdb_uring_region *ret_region)
{
    if (door == NULL || ptr == NULL || ret_region == NULL)
        return -EINVAL;
    const struct uring_range *const range = *find_added(door, ptr);
    if (range == NULL)
        return -EINVAL;
    if (index >= range->region_count)
        return -ERANGE;
    const int32_t slot = range->slots[index];
    const jdb_uring_region region = {.slot = slot < 0 ? -1 : slot,
                                     .ptr = range->ptr + ((size_t)index << range->shift),
                                     .region_bytes = uring_region_size(range, index),
                                     .why = jdb_uring_explain(slot < 0 ? slot : 0)};
    return write_report(ret_region, &region, sizeof region);
}

int jdb_uring_get_stats(const jdb_uring *door, jdb_uring_stats *stats)
{
    if (door == NULL || stats == NULL)
        return -EINVAL;
    const jdb_uring_stats sum = {.table_error = door->table_error,
                                 .slot_count = door->slot_count,
                                 .slots_used = door->slot_count - door->free_count,
                                 .fixed_count = door->fixed_count,
                                 .plain_count = door->plain_count,
                                 .fixed_bytes = door->fixed_bytes,
                                 .plain_bytes = door->plain_bytes,
                                 .resume_count = door->resume_count};
    return write_report(stats, &sum, sizeof sum);
}
