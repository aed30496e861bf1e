/* SPDX-License-Identifier: MIT
 *
 * plan_test.c - the planners against a byte-wise model: every offset, length, file size and alignment of a small file,
 * and every result that each request may have.
 */
#include "jdb_alloc/direct.h"

#include "tier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 64 /* bytes of the largest file, padding included */

static uint64_t case_count;

/* Largest file of the exhaustive runs, in bytes. */
static int64_t largest_file(void)
{
    return (int64_t)tier_pick(13, 16, 18);
}

/* cmocka's asserts are too slow for tens of millions of calls. */
#define CHECK(condition)                \
    do {                                \
        if (!(condition))               \
            fail_msg("%s", #condition); \
    } while (0)

/* The byte of the model's file at an offset; never 0, so that padding shows. */
static uint8_t old_byte(uint64_t offset)
{
    return (uint8_t)(offset * 7 % 100 + 1);
}

static uint8_t new_byte(uint64_t index)
{
    return (uint8_t)(index * 5 % 100 + 101);
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

struct reading {
    jdb_read_plan plan;
    int64_t offset;
    uint64_t length;
    int64_t file_size;
    int64_t known_size; /* the file size that the planner gets: file_size or -1 */
    unsigned cut_zero;  /* 1: a request may also give 0 before the end: the file was truncated under it */
};

static void assert_finished(const struct reading *reading, const jdb_read_step *step, const uint8_t *memory,
                            bool was_cut)
{
    const int64_t there = reading->file_size > reading->offset ? reading->file_size - reading->offset : 0;
    const uint64_t wanted = (uint64_t)there < reading->length ? (uint64_t)there : reading->length;
    case_count++;
    CHECK(step->is_stalled == 0);
    CHECK(step->next_size == 0);
    CHECK(step->valid_size <= wanted);
    CHECK(was_cut || step->valid_size == wanted);
    CHECK(was_cut || step->is_eof == 1 || wanted == reading->length);
    if (reading->known_size >= 0 && !was_cut && reading->length != 0)
        CHECK((step->is_eof != 0) == (reading->offset + (int64_t)reading->length >= reading->file_size));
    for (uint64_t i = 0; i < step->valid_size; i++)
        CHECK(memory[reading->plan.prefix + i] == old_byte((uint64_t)reading->offset + i));
}

/* Every result that the next request may have, then every one of the request behind it. */
static void explore(const struct reading *reading, const jdb_read_step *at, const uint8_t *filled, bool was_cut)
{
    if (at->is_done != 0) {
        assert_finished(reading, at, filled, was_cut);
        return;
    }
    const int64_t align = (int64_t)reading->plan.align;
    CHECK(at->next_offset % align == 0 && at->next_size % (uint64_t)align == 0 && at->next_skip % (uint64_t)align == 0);
    CHECK(at->next_size != 0 && at->next_skip + at->next_size <= reading->plan.size);
    CHECK(at->next_offset == reading->plan.offset + (int64_t)at->next_skip);
    const int64_t left = reading->file_size > at->next_offset ? reading->file_size - at->next_offset : 0;
    const int64_t most = left < (int64_t)at->next_size ? left : (int64_t)at->next_size;
    const int64_t fresh =
        (int64_t)(at->filled_size - at->next_skip) + 1; /* a real file reads again what it read before */
    for (int64_t result = most < fresh             ? most
                          : reading->cut_zero != 0 ? 0
                                                   : fresh;
         result <= most; result = result == 0 && fresh <= most ? fresh : result + 1) {
        uint8_t memory[ROOM];
        memcpy(memory, filled, sizeof memory);
        for (int64_t i = 0; i < result; i++)
            memory[at->next_skip + (uint64_t)i] = old_byte((uint64_t)(at->next_offset + i));
        jdb_read_step step = *at;
        CHECK(jdb_plan_read_step(&reading->plan, result, reading->known_size, &step) == 0);
        explore(reading, &step, memory, was_cut || (result == 0 && most != 0));
    }
}

static void read_range(uint32_t align, int64_t offset, uint64_t length, int64_t file_size)
{
    struct reading reading = {.offset = offset, .length = length, .file_size = file_size};
    CHECK(jdb_plan_read(align, offset, length, &reading.plan) == 0);
    CHECK(reading.plan.offset % align == 0 && reading.plan.size % align == 0 && reading.plan.prefix < align);
    CHECK(reading.plan.wanted_size == length);
    CHECK(reading.plan.offset + (int64_t)reading.plan.prefix == offset);
    CHECK(length == 0 || reading.plan.size < reading.plan.prefix + length + align);
    jdb_read_step step;
    CHECK(jdb_plan_read_start(&reading.plan, &step) == 0);
    const uint8_t stale[ROOM] = {0};
    for (unsigned i = 0; i < 4; i++) {
        reading.known_size = (i & 1) != 0 ? file_size : -1;
        reading.cut_zero = i >> 1;
        explore(&reading, &step, stale, false);
    }
}

static void every_read_of_a_small_file(void **state)
{
    (void)state;
    case_count = 0;
    const int64_t largest = largest_file();
    for (uint32_t align = 1; align <= 8; align *= 2)
        for (int64_t file_size = 0; file_size <= largest; file_size++)
            for (int64_t offset = 0; offset <= largest + 2; offset++)
                for (int64_t length = 0; length <= largest + 2 - offset; length++)
                    read_range(align, offset, (uint64_t)length, file_size);
    print_message("reading: %llu cases\n", (unsigned long long)case_count);
}

/* A file that reads the same first bytes of a block again and again, or reports more than it has, ends the plan. */
static void a_file_that_makes_no_progress_stalls(void **state)
{
    (void)state;
    jdb_read_plan plan;
    jdb_read_step step;
    assert_int_equal(jdb_plan_read(512, 0, 2048, &plan), 0);
    assert_int_equal(jdb_plan_read_start(&plan, &step), 0);
    assert_int_equal(jdb_plan_read_step(&plan, 700, 4096, &step), 0);
    assert_int_equal(step.next_offset, 512);
    assert_int_equal(jdb_plan_read_step(&plan, 188, 4096, &step), 0);
    assert_int_equal(step.is_done, 1);
    assert_int_equal(step.is_stalled, 1);
    assert_int_equal(step.is_eof, 0);
    assert_int_equal(step.valid_size, 700);
    assert_int_equal(jdb_plan_read_step(&plan, 0, 4096, &step), -EINVAL);
}

static void reads_are_capped(void **state)
{
    (void)state;
    jdb_read_plan plan = {.size = 77};
    assert_int_equal(jdb_plan_read(65536, 100, UINT64_C(3) << 30, &plan), 0);
    assert_int_equal(plan.size, 0x7fff0000);
    assert_int_equal(plan.wanted_size, 0x7fff0000 - 100);
    assert_int_equal(jdb_plan_read(4096, 0, JDB_TRANSFER_MAX, &plan), 0);
    assert_int_equal(plan.wanted_size, JDB_TRANSFER_MAX);
    const jdb_read_plan before = plan;
    assert_int_equal(jdb_plan_read(4096, INT64_MAX, 0, &plan), -EOVERFLOW);
    assert_int_equal(jdb_plan_read(4096, INT64_MAX - 10, 100, &plan), -EOVERFLOW);
    assert_int_equal(jdb_plan_read(4096, 0, UINT64_MAX, &plan), -EOVERFLOW);
    assert_int_equal(jdb_plan_read(4096, -1, 1, &plan), -EINVAL);
    assert_int_equal(jdb_plan_read(0, 0, 1, &plan), -EINVAL);
    assert_int_equal(jdb_plan_read(513, 0, 1, &plan), -EINVAL);
    assert_int_equal(jdb_plan_read(UINT32_C(1) << 31, 0, 1, &plan), -EINVAL);
    assert_int_equal(jdb_plan_read(512, 0, 1, NULL), -EINVAL);
    assert_memory_equal(&plan, &before, sizeof plan);
    jdb_read_step step;
    assert_int_equal(jdb_plan_read_start(NULL, &step), -EINVAL);
    assert_int_equal(jdb_plan_read_start(&plan, &step), 0);
    assert_int_equal(jdb_plan_read_step(&plan, -1, -1, &step), -EINVAL);
    assert_int_equal(jdb_plan_read_step(&plan, (int64_t)plan.size + 1, -1, &step), -EINVAL);
}

/* ---- Reading many ------------------------------------------------------------------------------------------- */

/* A set of bytes of a file below ROOM, one bit each. */
static uint64_t bytes_of(uint64_t start, uint64_t end)
{
    uint64_t set = 0;
    for (uint64_t i = start; i < end; i++)
        set |= UINT64_C(1) << i;
    return set;
}

static uint64_t blocks_of(uint32_t align, uint64_t set)
{
    uint64_t first = 0;
    while ((set >> first & 1) == 0)
        first++;
    uint64_t end = ROOM;
    while ((set >> (end - 1) & 1) == 0)
        end--;
    return bytes_of(first / align * align, (end + align - 1) / align * align);
}

static uint64_t count_of(uint64_t set)
{
    return (uint64_t)__builtin_popcountll(set);
}

/* The rule of the header, in terms of sets of bytes. */
static void assert_groups(uint32_t align, const jdb_range *ranges, size_t count, uint32_t percent, uint64_t max_size)
{
    jdb_read_group groups[4];
    size_t group_count = 99;
    CHECK(jdb_plan_reads(align, ranges, count, percent, max_size, groups, &group_count) == 0);
    case_count++;
    size_t next_group = 0;
    size_t i = 0;
    while (i < count) {
        uint64_t wanted = bytes_of((uint64_t)ranges[i].offset, (uint64_t)ranges[i].offset + ranges[i].size);
        const size_t first = i++;
        for (; i < count; i++) {
            const uint64_t more = bytes_of((uint64_t)ranges[i].offset, (uint64_t)ranges[i].offset + ranges[i].size);
            const uint64_t apart = count_of(blocks_of(align, wanted)) + count_of(blocks_of(align, more));
            const uint64_t together = count_of(blocks_of(align, wanted | more));
            if (together > max_size || (together > apart && together * 100 > count_of(wanted | more) * percent))
                break;
            wanted |= more;
        }
        CHECK(next_group < group_count);
        const jdb_read_group *const group = &groups[next_group++];
        CHECK(group->first == first && group->count == i - first);
        CHECK(bytes_of((uint64_t)group->plan.offset, (uint64_t)group->plan.offset + group->plan.size) ==
              blocks_of(align, wanted));
    }
    CHECK(next_group == group_count);
}

static void every_three_ranges(void **state)
{
    (void)state;
    case_count = 0;
    const int64_t end = (int64_t)tier_pick(10, 14, 14);
    static const uint32_t percents[] = {100, 150, 400};
    for (int64_t a = 0; a < end; a += 2)
        for (uint64_t a_size = 1; a_size <= 7; a_size += 2)
            for (int64_t b = a; b < end; b++)
                for (uint64_t b_size = 1; b_size <= 6; b_size++)
                    for (int64_t c = b; c < end; c++)
                        for (unsigned way = 0; way < 18; way++) {
                            const jdb_range ranges[] = {{a, a_size}, {b, b_size}, {c, way % 5 + 1}};
                            assert_groups(way % 2 != 0 ? 4 : 2, ranges, 3, percents[way / 2 % 3], way < 9 ? 12 : 32);
                        }
    print_message("reading many: %llu cases\n", (unsigned long long)case_count);
}

static void reads_refuse_what_is_wrong(void **state)
{
    (void)state;
    jdb_read_group groups[2];
    size_t count = 7;
    const jdb_range unsorted[] = {{4096, 1}, {0, 1}};
    const jdb_range empty[] = {{0, 0}};
    const jdb_range negative[] = {{-1, 1}};
    const jdb_range huge[] = {{0, UINT64_C(1) << 32}};
    assert_int_equal(jdb_plan_reads(512, unsorted, 2, 100, 0, groups, &count), -EINVAL);
    assert_int_equal(jdb_plan_reads(512, empty, 1, 100, 0, groups, &count), -EINVAL);
    assert_int_equal(jdb_plan_reads(512, negative, 1, 100, 0, groups, &count), -EINVAL);
    assert_int_equal(jdb_plan_reads(512, huge, 1, 100, 0, groups, &count), -EOVERFLOW);
    assert_int_equal(jdb_plan_reads(7, huge, 1, 100, 0, groups, &count), -EINVAL);
    assert_int_equal(jdb_plan_reads(512, NULL, 1, 100, 0, groups, &count), -EINVAL);
    assert_int_equal(jdb_plan_reads(512, huge, 1, 100, 0, NULL, &count), -EINVAL);
    assert_int_equal(jdb_plan_reads(512, huge, 1, 100, 0, groups, NULL), -EINVAL);
    assert_int_equal(count, 7);
    assert_int_equal(jdb_plan_reads(512, huge, 0, 100, 0, groups, &count), 0);
    assert_int_equal(count, 0);
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

struct model_file {
    uint8_t bytes[ROOM];
    int64_t size;
};

static void model_write(struct model_file *file, int64_t offset, const uint8_t *bytes, uint64_t size)
{
    if (size == 0)
        return;
    memcpy(file->bytes + offset, bytes, size);
    if (offset + (int64_t)size > file->size)
        file->size = offset + (int64_t)size;
}

/* Writes one piece as file.c does: the block is read, filled and written as a whole. */
static void write_piece(struct model_file *file, uint32_t align, const jdb_write_piece *piece, const uint8_t *source)
{
    if (piece->size == 0)
        return;
    CHECK(piece->offset % align == 0 && piece->size % align == 0);
    CHECK(piece->skip + piece->length <= piece->size && piece->length != 0);
    CHECK(piece->old_size == 0 || piece->offset + (int64_t)piece->old_size <= file->size);
    uint8_t block[ROOM] = {0};
    memcpy(block, file->bytes + piece->offset, piece->old_size);
    memcpy(block + piece->skip, source + piece->source, piece->length);
    model_write(file, piece->offset, block, piece->size);
}

static void write_range(uint32_t align, int64_t offset, uint64_t length, int64_t file_size)
{
    uint8_t source[ROOM];
    struct model_file wanted = {.size = file_size};
    for (uint64_t i = 0; i < ROOM; i++)
        source[i] = new_byte(i);
    for (int64_t i = 0; i < file_size; i++)
        wanted.bytes[i] = old_byte((uint64_t)i);
    struct model_file file = wanted;
    model_write(&wanted, offset, source, length);

    jdb_write_plan plan;
    CHECK(jdb_plan_write(align, offset, length, file_size, &plan) == 0);
    CHECK(plan.head.length + plan.body.length + plan.tail.length == length);
    CHECK(plan.head.size == 0 || plan.head.size == align);
    CHECK(plan.tail.size == 0 || plan.tail.size == align);
    CHECK(plan.head.length < align && plan.tail.length < align);
    CHECK(plan.body.skip == 0 && plan.body.length == plan.body.size && plan.body.old_size == 0);
    write_piece(&file, align, &plan.head, source);
    write_piece(&file, align, &plan.body, source);
    write_piece(&file, align, &plan.tail, source);
    CHECK(file.size == plan.written_size);
    CHECK(plan.final_size == wanted.size && plan.final_size <= plan.written_size);
    memset(file.bytes + plan.final_size, 0, (size_t)(plan.written_size - plan.final_size));
    file.size = plan.final_size;
    CHECK(memcmp(file.bytes, wanted.bytes, ROOM) == 0);
    case_count++;
}

static void every_write_of_a_small_file(void **state)
{
    (void)state;
    case_count = 0;
    for (uint32_t align = 1; align <= 8; align *= 2)
        for (int64_t file_size = 0; file_size <= 28; file_size++)
            for (int64_t offset = 0; offset <= 30; offset++)
                for (int64_t length = 0; length <= 30; length++)
                    write_range(align, offset, (uint64_t)length, file_size);
    print_message("writing: %llu cases\n", (unsigned long long)case_count);
}

static void explore_write(uint32_t align, const jdb_write_piece *piece, const jdb_write_step *at)
{
    if (at->is_done != 0) {
        case_count++;
        CHECK(at->is_stalled != 0 || at->done_size == piece->size);
        return;
    }
    CHECK(at->next_offset % align == 0 && at->next_size % align == 0 && at->next_size != 0);
    CHECK(at->next_offset == piece->offset + (int64_t)at->next_skip && at->next_skip <= at->done_size);
    CHECK(at->next_skip + at->next_size <= piece->size);
    for (uint64_t result = 0; result <= at->next_size; result++) {
        jdb_write_step step = *at;
        CHECK(jdb_plan_write_step(align, piece, (int64_t)result, &step) == 0);
        const uint64_t reached = at->next_skip + result;
        CHECK((step.is_stalled != 0) == (reached <= at->done_size));
        CHECK(step.done_size == (reached > at->done_size ? reached : at->done_size));
        explore_write(align, piece, &step);
    }
}

static void every_short_write(void **state)
{
    (void)state;
    case_count = 0;
    for (uint32_t align = 1; align <= 8; align *= 2)
        for (uint64_t size = 0; size <= tier_pick(8, 16, 16); size += align) {
            const jdb_write_piece piece = {.offset = 24, .size = size, .length = size};
            jdb_write_step step;
            CHECK(jdb_plan_write_start(align, &piece, &step) == 0);
            explore_write(align, &piece, &step);
        }
    print_message("short writes: %llu cases\n", (unsigned long long)case_count);
}

static void writes_at_the_extremes(void **state)
{
    (void)state;
    jdb_write_plan plan = {.final_size = 5};
    const jdb_write_plan before = plan;
    assert_int_equal(jdb_plan_write(512, -1, 1, 0, &plan), -EINVAL);
    assert_int_equal(jdb_plan_write(512, 0, 1, -1, &plan), -EINVAL);
    assert_int_equal(jdb_plan_write(100, 0, 1, 0, &plan), -EINVAL);
    assert_int_equal(jdb_plan_write(512, 0, 1, 0, NULL), -EINVAL);
    assert_int_equal(jdb_plan_write(512, INT64_MAX, 0, 0, &plan), -EOVERFLOW);
    assert_int_equal(jdb_plan_write(512, 1, UINT64_MAX, 0, &plan), -EOVERFLOW);
    assert_memory_equal(&plan, &before, sizeof plan);
    assert_int_equal(jdb_plan_write(4096, 0, UINT64_C(8) << 30, 0, &plan), 0);
    assert_int_equal(plan.body.size, UINT64_C(8) << 30);
    jdb_write_step step;
    assert_int_equal(jdb_plan_write_start(4096, &plan.body, &step), 0);
    assert_int_equal(step.next_size, JDB_TRANSFER_MAX);
    assert_int_equal(jdb_plan_write_step(4096, &plan.body, (int64_t)JDB_TRANSFER_MAX, &step), 0);
    assert_int_equal(step.next_offset, JDB_TRANSFER_MAX);
    assert_int_equal(step.next_size, JDB_TRANSFER_MAX);
    assert_int_equal(jdb_plan_write_step(4096, &plan.body, -1, &step), -EINVAL);
    assert_int_equal(jdb_plan_write_start(4096, NULL, &step), -EINVAL);
    assert_int_equal(jdb_plan_write_start(0, &plan.body, &step), -EINVAL);
}

/* ---- Several pieces of memory ------------------------------------------------------------------------------- */

/* Whether the first `total` bytes of the views may be one call. */
static bool is_vector(const jdb_raw *views, size_t count, uint32_t align, uint32_t memory_align, size_t total)
{
    if (total % align != 0 || total % memory_align != 0)
        return false;
    for (size_t i = 0; i < count && total != 0; i++) {
        const size_t part = views[i].len < total ? views[i].len : total;
        if (part != 0 && (uintptr_t)views[i].ptr % memory_align != 0)
            return false;
        total -= part;
        if (total != 0 && (part % memory_align != 0 || part % align != 0))
            return false;
    }
    return true;
}

static void check_vector(const jdb_raw *views, size_t count, uint32_t align, uint32_t memory_align)
{
    jdb_vector_plan plan;
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        most += views[i].len;
    while (!is_vector(views, count, align, memory_align, most))
        most--;
    CHECK(jdb_plan_vector(align, memory_align, views, count, true, &plan) == 0);
    size_t sum = 0;
    for (size_t i = 0; i < plan.count; i++)
        sum += i + 1 == plan.count ? plan.last_size : views[i].len;
    CHECK(sum == most && plan.total_size == most);
    CHECK(plan.count == 0 || (plan.last_size <= views[plan.count - 1].len && plan.last_size != 0));
    case_count++;
}

/* Against the longest front part of all, by the definition. */
static void every_vector(void **state)
{
    (void)state;
    static uint8_t memory[64] __attribute__((aligned(64)));
    case_count = 0;
    for (unsigned code = 0; code < 7 * 7 * 7 * 7; code++)
        for (unsigned odd = 0; odd < 27; odd++) {
            const size_t sizes[] = {code % 7, code / 7 % 7, code / 49 % 7, code / 343};
            const size_t excesses[] = {odd % 3, odd / 3 % 3, odd / 9, 0};
            jdb_raw views[4];
            for (size_t i = 0; i < 4; i++)
                views[i] = jdb_raw_from_slice(memory + 16 * i + excesses[i], sizes[i]);
            for (uint32_t align = 1; align <= 8; align *= 2)
                for (uint32_t memory_align = 1; memory_align <= 4; memory_align *= 2)
                    check_vector(views, 4, align, memory_align);
        }
    print_message("vectors: %llu cases\n", (unsigned long long)case_count);
}

static void vectors_are_capped(void **state)
{
    (void)state;
    static jdb_raw views[2000];
    static uint8_t memory[4096] __attribute__((aligned(4096)));
    for (size_t i = 0; i < 2000; i++)
        views[i] = (jdb_raw){memory, 513, 1};
    jdb_vector_plan plan;
    assert_int_equal(jdb_plan_vector(1, 1, views, 2000, true, &plan), 0);
    assert_int_equal(plan.total_size, JDB_PIECES_MAX * 513);
    assert_int_equal(plan.count, JDB_PIECES_MAX);
    assert_int_equal(jdb_plan_vector(512, 1, views, 2000, true, &plan), 0);
    assert_int_equal(plan.total_size, 512); /* the first ends within a block */
    assert_int_equal(plan.count, 1);
    assert_int_equal(jdb_plan_vector(4096, 512, views, 2000, true, &plan), 0);
    assert_int_equal(plan.count, 0); /* the first is no whole number of 512 bytes, so it is the last */
    assert_int_equal(jdb_plan_vector(512, 512, views, 2000, true, &plan), 0);
    assert_int_equal(plan.total_size, 512);
    assert_int_equal(plan.count, 1);
    assert_int_equal(jdb_plan_vector(1, 1, views, 2000, false, &plan), 0);
    assert_int_equal(plan.total_size, 1024); /* of a read the capacities */
    for (size_t i = 0; i < 2000; i++)
        views[i].len = SIZE_MAX;
    assert_int_equal(jdb_plan_vector(65536, 512, views, 2000, true, &plan), 0);
    assert_int_equal(plan.total_size, 0x7fff0000);
    assert_int_equal(plan.count, 1);
    const jdb_vector_plan before = plan;
    assert_int_equal(jdb_plan_vector(65536, 512, NULL, 1, true, &plan), -EINVAL);
    assert_int_equal(jdb_plan_vector(3, 512, views, 1, true, &plan), -EINVAL);
    assert_int_equal(jdb_plan_vector(512, 3, views, 1, true, &plan), -EINVAL);
    assert_int_equal(jdb_plan_vector(512, 512, views, 1, true, NULL), -EINVAL);
    views[0].ptr = NULL;
    assert_int_equal(jdb_plan_vector(512, 512, views, 1, true, &plan), -EINVAL);
    assert_memory_equal(&plan, &before, sizeof plan);
}

/* Each request is at most what the kernel moves, and whole blocks. */
static void plans_over_two_gibibytes_are_cut(void **state)
{
    (void)state;
    for (uint32_t align = 4096; align <= 65536; align *= 16) {
        const uint64_t most = JDB_TRANSFER_MAX / align * align;
        const uint64_t size = (uint64_t)5 << 30;
        for (uint64_t done = 0; done < size; done += most) {
            const uint64_t want = size - done < most ? size - done : most;
            jdb_read_plan plan;
            jdb_read_step step;
            assert_int_equal(jdb_plan_read(align, (int64_t)done, size - done, &plan), 0);
            assert_int_equal(plan.size, want);
            assert_int_equal(plan.wanted_size, want);
            assert_int_equal(jdb_plan_read_start(&plan, &step), 0);
            assert_int_equal(step.next_size, want);
            assert_int_equal(jdb_plan_read_step(&plan, (int64_t)want, -1, &step), 0);
            assert_int_equal(step.valid_size, want);
            assert_int_equal(step.is_done, 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_over_two_gibibytes_are_cut),
        cmocka_unit_test(every_read_of_a_small_file),
        cmocka_unit_test(a_file_that_makes_no_progress_stalls),
        cmocka_unit_test(reads_are_capped),
        cmocka_unit_test(every_three_ranges),
        cmocka_unit_test(reads_refuse_what_is_wrong),
        cmocka_unit_test(every_write_of_a_small_file),
        cmocka_unit_test(every_short_write),
        cmocka_unit_test(writes_at_the_extremes),
        cmocka_unit_test(every_vector),
        cmocka_unit_test(vectors_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
