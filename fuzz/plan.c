/* SPDX-License-Identifier: MIT
 *
 * plan.c - fuzz target: plans, run to their end against short results that the input chooses.
 */
#include "jdb_alloc/direct.h"

#include <string.h>

#define CHECK(condition) ((condition) ? (void)0 : __builtin_trap())
#define RANGES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *next;
    size_t left;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    const size_t taken = bytes < input->left ? bytes : input->left;
    if (taken > 0)
        memcpy(&value, input->next, taken);
    input->next += taken;
    input->left -= taken;
    return value;
}

static uint32_t take_align(struct input *input)
{
    const uint64_t kind = take(input, 1);
    return kind < 240 ? UINT32_C(1) << kind % 32 : (uint32_t)take(input, 4);
}

/* Mostly small numbers: a file of some blocks. */
static uint64_t take_number(struct input *input)
{
    const uint64_t kind = take(input, 1);
    return kind < 224 ? take(input, 3) : take(input, 8);
}

static void fuzz_read(struct input *input)
{
    jdb_read_plan plan;
    jdb_read_step step;
    const uint32_t align = take_align(input);
    const int64_t offset = (int64_t)take_number(input);
    const uint64_t length = take_number(input);
    if (jdb_plan_read(align, offset, length, &plan) != 0)
        return;
    CHECK((plan.size == 0) == (length == 0));
    if (length == 0)
        return;
    CHECK(plan.offset % align == 0 && plan.size % align == 0 && plan.prefix < align);
    CHECK(plan.size <= JDB_TRANSFER_MAX && plan.wanted_size <= length);
    CHECK(plan.offset + (int64_t)plan.prefix == offset && plan.prefix + plan.wanted_size <= plan.size);
    CHECK(plan.wanted_size > 0);
    const int64_t file_size = take(input, 1) % 2 == 0 ? -1 : (int64_t)(take_number(input) >> 1);
    CHECK(jdb_plan_read_start(&plan, &step) == 0);
    for (unsigned rounds = 0; step.is_done == 0; rounds++) {
        CHECK(step.next_offset % align == 0 && step.next_size % align == 0 && step.next_skip % align == 0);
        CHECK(step.next_size > 0 && step.next_skip + step.next_size <= plan.size);
        CHECK(step.next_offset == plan.offset + (int64_t)step.next_skip);
        if (rounds > 100)
            return;
        const uint64_t result = take_number(input) % (step.next_size + 1);
        CHECK(jdb_plan_read_step(&plan, (int64_t)step.next_size + 1, file_size, &step) == -EINVAL);
        CHECK(jdb_plan_read_step(&plan, (int64_t)result, file_size, &step) == 0);
        CHECK(step.valid_size <= plan.wanted_size);
    }
    CHECK(jdb_plan_read_step(&plan, 0, file_size, &step) == -EINVAL);
}

static void check_piece(const jdb_write_piece *piece, uint32_t align, int64_t offset)
{
    if (piece->size == 0)
        return;
    CHECK(piece->offset % align == 0 && piece->size % align == 0 && piece->length > 0);
    CHECK(piece->skip + piece->length <= piece->size && piece->old_size <= piece->size);
    CHECK(piece->offset + (int64_t)piece->skip == offset + (int64_t)piece->source);
}

static void fuzz_piece(struct input *input, const jdb_write_piece *piece, uint32_t align)
{
    jdb_write_step step;
    if (jdb_plan_write_start(align, piece, &step) != 0)
        return;
    for (unsigned rounds = 0; step.is_done == 0 && rounds < 100; rounds++) {
        CHECK(step.next_offset % align == 0 && step.next_size % align == 0 && step.next_size > 0);
        CHECK(step.next_skip + step.next_size <= piece->size);
        CHECK(jdb_plan_write_step(align, piece, (int64_t)(take_number(input) % (step.next_size + 1)), &step) == 0);
        CHECK(step.done_size <= piece->size);
    }
}

static void fuzz_write(struct input *input)
{
    jdb_write_plan plan;
    const uint32_t align = take_align(input);
    const int64_t offset = (int64_t)take_number(input);
    const uint64_t length = take_number(input);
    const int64_t file_size = (int64_t)take_number(input);
    if (jdb_plan_write(align, offset, length, file_size, &plan) != 0)
        return;
    check_piece(&plan.head, align, offset);
    check_piece(&plan.body, align, offset);
    check_piece(&plan.tail, align, offset);
    CHECK(plan.head.length + plan.body.length + plan.tail.length == length);
    CHECK(plan.final_size >= file_size && plan.written_size >= plan.final_size);
    fuzz_piece(input, &plan.head, align);
    fuzz_piece(input, &plan.body, align);
    fuzz_piece(input, &plan.tail, align);
}

static void fuzz_reads(struct input *input)
{
    jdb_range ranges[RANGES_MAX];
    jdb_read_group groups[RANGES_MAX];
    const size_t count = take(input, 1) % (RANGES_MAX + 1);
    const uint32_t align = take_align(input);
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++)
        ranges[i] = (jdb_range){(int64_t)(at += take(input, 2)), take(input, 2)};
    size_t group_count = 0;
    if (jdb_plan_reads(align, ranges, count, (uint32_t)take(input, 2), take_number(input), groups, &group_count) != 0)
        return;
    size_t served = 0;
    for (size_t i = 0; i < group_count; i++) {
        const jdb_read_plan *const plan = &groups[i].plan;
        CHECK(groups[i].first == served && groups[i].count > 0);
        for (size_t k = served; k < served + groups[i].count; k++) {
            CHECK(ranges[k].offset >= plan->offset);
            CHECK((uint64_t)(ranges[k].offset - plan->offset) + ranges[k].size <= plan->size);
        }
        served += groups[i].count;
    }
    CHECK(served == count);
}

static void fuzz_vector(struct input *input)
{
    jdb_raw views[64];
    const uint32_t align = take_align(input);
    const uint32_t memory_align = take_align(input);
    const size_t count = take(input, 1) % 65;
    for (size_t i = 0; i < count; i++) {
        const uint64_t odd = take(input, 1) % 4 == 0 ? take(input, 2) : 0;
        const uintptr_t address = (uintptr_t)((take(input, 2) + 1) << 30 | odd);
        views[i] = jdb_raw_from_slice((void *)address, (size_t)take_number(input)); /* never accessed */
    }
    jdb_vector_plan plan;
    if (jdb_plan_vector(align, memory_align, views, count, true, &plan) != 0)
        return;
    CHECK(plan.count <= count && plan.total_size % align == 0 && plan.total_size % memory_align == 0);
    CHECK(plan.total_size <= JDB_TRANSFER_MAX);
    uint64_t total = 0;
    for (size_t i = 0; i < plan.count; i++) {
        const bool is_last = i + 1 == plan.count;
        CHECK(views[i].len == 0 || (uintptr_t)views[i].ptr % memory_align == 0);
        CHECK(is_last ? plan.last_size <= views[i].len : views[i].len % memory_align == 0 && views[i].len % align == 0);
        total += is_last ? plan.last_size : views[i].len;
    }
    CHECK(total == plan.total_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    static void (*const planners[])(struct input *) = {fuzz_read, fuzz_write, fuzz_reads, fuzz_vector};
    planners[take(&input, 1) % 4](&input);
    return 0;
}
