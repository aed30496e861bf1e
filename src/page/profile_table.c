/* SPDX-License-Identifier: MIT
 *
 * profile_table.c - samples and stacks in tables of a fixed size, found by a hash, chained by numbers.
 */
#include "page/profile_table.h"

#include "base/bits.h"
#include "base/check.h"
#include "os/fork.h"
#include "os/os.h"
#include "page/profile.h"

#include <string.h>

#define NONE UINT32_MAX

/* The first stack has no frames: it stands for all those that found no room. */
#define STACK_OTHERS 0

/* The peak is noted again when the live bytes exceed the last one by this part of it, and when it is asked for. */
#define PEAK_SHARE 64

struct sample_item {
    struct profile_sample sample;
    uint32_t stack;
    uint32_t next; /* in its chain, or of the free ones */
};

struct profile_tables {
    uint32_t sample_heads[PROFILE_SAMPLES_MAX]; /* number + 1 of the first sample of a chain, or 0 */
    uint32_t stack_heads[PROFILE_STACKS_MAX];   /* of stacks */
    struct sample_item samples[PROFILE_SAMPLES_MAX];
    struct profile_stack stacks[PROFILE_STACKS_MAX];
};

static struct lock profile_lock = LOCK_INIT(LOCK_PROFILE);
static struct profile_tables *profile_tables; /* never freed */
static uint32_t profile_sample_count;         /* items that were used at least once */
static uint32_t profile_free_sample;          /* number + 1, or 0 */
static uint32_t profile_stack_count;
static struct profile_sum profile_live;
static struct profile_sum profile_peak;

int jdb__profile_open(void)
{
    const size_t size = (size_t)bits_round_up(sizeof(struct profile_tables), jdb__os_page_size());
    void *memory = NULL;
    int err = 0;
    lock_take(&profile_lock);
    if (profile_tables == NULL)
        err = jdb__os_reserve(size, &memory);
    if (memory != NULL) {
        err = jdb__os_commit(memory, size);
        if (err == 0)
            profile_tables = memory;
        else
            jdb__os_unmap(memory, size);
        profile_stack_count = STACK_OTHERS + 1;
    }
    lock_release(&profile_lock);
    return err;
}

/* ---- Stacks ----------------------------------------------------------------------------------------------- */

static uint32_t stack_hash(void *const *frames, unsigned depth)
{
    uint64_t hash = depth;
    for (unsigned i = 0; i < depth; i++)
        hash = (hash ^ (uintptr_t)frames[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) % PROFILE_STACKS_MAX;
}

/* The number of a stack, which is made where it is new. */
static uint32_t stack_number(void *const *frames, unsigned depth)
{
    uint32_t *const head = &profile_tables->stack_heads[stack_hash(frames, depth)];
    for (uint32_t place = *head; place != 0; place = profile_tables->stacks[place - 1].next) {
        const struct profile_stack *const stack = &profile_tables->stacks[place - 1];
        if (stack->depth == depth && memcmp(stack->frames, frames, depth * sizeof *frames) == 0)
            return place - 1;
    }
    if (profile_stack_count == PROFILE_STACKS_MAX)
        return STACK_OTHERS;
    struct profile_stack *const stack = &profile_tables->stacks[profile_stack_count++];
    memcpy(stack->frames, frames, depth * sizeof *frames);
    stack->depth = depth;
    stack->next = *head;
    *head = profile_stack_count;
    return profile_stack_count - 1;
}

/* ---- Sums ------------------------------------------------------------------------------------------------- */

static void note_peak(void)
{
    profile_peak = profile_live;
    for (uint32_t i = 0; i < profile_stack_count; i++)
        profile_tables->stacks[i].peak = profile_tables->stacks[i].live;
}

/* Buffers of its size that a sample stands for. */
static uint64_t sample_count(const struct profile_sample *sample)
{
    return bits_max((sample->bytes + sample->size / 2) / sample->size, 1);
}

static void sum_add(const struct sample_item *item)
{
    struct profile_sum *const sum = &profile_tables->stacks[item->stack].live;
    const uint64_t count = sample_count(&item->sample);
    sum->count += count;
    sum->bytes += item->sample.bytes;
    profile_live.count += count;
    profile_live.bytes += item->sample.bytes;
    if (profile_live.bytes > profile_peak.bytes + profile_peak.bytes / PEAK_SHARE)
        note_peak();
}

static void sum_remove(const struct sample_item *item)
{
    struct profile_sum *const sum = &profile_tables->stacks[item->stack].live;
    const uint64_t count = sample_count(&item->sample);
    JDB_ASSERT(sum->count >= count && sum->bytes >= item->sample.bytes);
    sum->count -= count;
    sum->bytes -= item->sample.bytes;
    profile_live.count -= count;
    profile_live.bytes -= item->sample.bytes;
}

/* ---- Samples ---------------------------------------------------------------------------------------------- */

/* Where the number of the sample at an address stands, or the end of its chain. */
static uint32_t *sample_place(uintptr_t address)
{
    const uint64_t hash = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    uint32_t *place = &profile_tables->sample_heads[hash % PROFILE_SAMPLES_MAX];
    while (*place != 0 && profile_tables->samples[*place - 1].sample.address != address)
        place = &profile_tables->samples[*place - 1].next;
    return place;
}

static struct sample_item *sample_new(void)
{
    uint32_t number = profile_free_sample;
    if (number != 0) {
        profile_free_sample = profile_tables->samples[number - 1].next;
    } else {
        if (profile_sample_count == PROFILE_SAMPLES_MAX)
            return NULL;
        number = ++profile_sample_count;
    }
    return &profile_tables->samples[number - 1];
}

/* Take it out of its chain; it is free then. */
static void sample_unlink(uint32_t *place)
{
    const uint32_t number = *place;
    struct sample_item *const item = &profile_tables->samples[number - 1];
    *place = item->next;
    item->next = profile_free_sample;
    profile_free_sample = number;
}

static void sample_grow(struct sample_item *item, uint64_t size, uint64_t bytes)
{
    sum_remove(item);
    item->sample.size = size;
    item->sample.bytes += bytes;
    sum_add(item);
}

static bool sample_add(const struct profile_sample *sample, void *const *frames, unsigned depth)
{
    uint32_t *const place = sample_place(sample->address);
    if (*place != 0) {
        sample_grow(&profile_tables->samples[*place - 1], sample->size, sample->bytes);
        return true;
    }
    struct sample_item *const item = sample_new();
    if (item == NULL)
        return false;
    *item = (struct sample_item){*sample, stack_number(frames, depth), 0};
    *place = (uint32_t)(item - profile_tables->samples) + 1;
    sum_add(item);
    return true;
}

bool jdb__profile_add(const struct profile_sample *sample, void *const *frames, unsigned depth)
{
    JDB_ASSERT(depth <= PROFILE_FRAMES_MAX && sample->size > 0);
    lock_take(&profile_lock);
    const bool is_added = sample_add(sample, frames, depth);
    lock_release(&profile_lock);
    return is_added;
}

bool jdb__profile_remove(uintptr_t address, struct profile_sample *ret_sample)
{
    lock_take(&profile_lock);
    uint32_t *const place = sample_place(address);
    const bool is_found = *place != 0;
    if (is_found) {
        const struct sample_item *const item = &profile_tables->samples[*place - 1];
        *ret_sample = item->sample;
        sum_remove(item);
        sample_unlink(place);
    }
    lock_release(&profile_lock);
    return is_found;
}

static bool sample_rename(uintptr_t from, uintptr_t to)
{
    uint32_t *const place = sample_place(from);
    if (*place == 0)
        return false;
    const uint32_t number = *place;
    struct sample_item *const item = &profile_tables->samples[number - 1];
    uint32_t *const new_place = sample_place(to);
    if (*new_place != 0) {
        struct sample_item *const other = &profile_tables->samples[*new_place - 1];
        sum_remove(item);
        sample_grow(other, other->sample.size, item->sample.bytes);
        sample_unlink(place);
        return false;
    }
    *place = item->next;
    item->next = 0;
    item->sample.address = to;
    *sample_place(to) = number;
    return true;
}

bool jdb__profile_rename(uintptr_t from, uintptr_t to)
{
    lock_take(&profile_lock);
    const bool is_renamed = sample_rename(from, to);
    lock_release(&profile_lock);
    return is_renamed;
}

/* ---- Look ------------------------------------------------------------------------------------------------- */

struct profile_sum jdb__profile_total(bool is_peak)
{
    lock_take(&profile_lock);
    if (profile_live.bytes > profile_peak.bytes)
        note_peak();
    const struct profile_sum sum = is_peak ? profile_peak : profile_live;
    lock_release(&profile_lock);
    return sum;
}

bool jdb__profile_stack(uint32_t number, struct profile_stack *ret_stack)
{
    lock_take(&profile_lock);
    const bool is_found = number < profile_stack_count;
    if (is_found)
        *ret_stack = profile_tables->stacks[number];
    lock_release(&profile_lock);
    return is_found;
}

void jdb__profile_before_fork(void)
{
    pthread_mutex_lock(&profile_lock.mutex);
}

void jdb__profile_after_fork(void)
{
    pthread_mutex_unlock(&profile_lock.mutex);
}
