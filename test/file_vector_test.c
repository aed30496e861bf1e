/* SPDX-License-Identifier: MIT
 *
 * file_vector_test.c - reads and writes of several views: bytes as those of an array, what goes in place and what is copied, every
 * call failing in turn. Runs in TMPDIR (default /var/tmp).
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "random.h"
#include "tier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCK ((size_t)4096)
#define MODEL_MAX (96 * BLOCK)
#define VIEWS_MAX 400u

static char path[512];
static jdb_file *file;
static jdb_buf memory = JDB_BUF_INIT;
static uint8_t model[MODEL_MAX];
static size_t model_size;
static jdb_raw views[VIEWS_MAX];

static int make_path(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_vector_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    unlink(path);
    model_size = 0;
    memset(model, 0, sizeof model);
    return jdb_buf_with_cap(&memory, MODEL_MAX);
}

static int remove_path(void **state)
{
    (void)state;
    faults_disarm();
    (void)jdb_file_close(file);
    file = NULL;
    unlink(path);
    const bool is_pinned = jdb_is_pinned(memory.ptr, memory.cap);
    jdb_buf_drop(&memory);
    return is_pinned ? -1 : 0;
}

static void open_with(uint32_t policy, uint32_t tail, uint32_t durability, uint32_t flags)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE;
    options.policy = policy;
    options.tail = tail;
    options.durability = durability;
    options.flags = flags;
    options.copy_size = 16384;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
}

static void open_direct(uint32_t durability, uint32_t flags)
{
    open_with(JDB_FILE_DIRECT_PREFER, JDB_FILE_TAIL_BUFFERED, durability, flags);
    if (jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT) {
        print_message("no direct I/O here: %s\n", jdb_file_reason(file));
        skip();
    }
}

/* `count` views of `size` bytes, one every `stride` bytes of the memory. */
static void cut_memory(uint32_t count, size_t size, size_t stride, size_t excess)
{
    for (uint32_t i = 0; i < count; i++)
        views[i] = jdb_raw_from_slice(memory.ptr + excess + i * stride, size);
}

/* ---- What goes in place ----------------------------------------------------------------------------------- */

static void aligned_views_go_in_one_request(void **state)
{
    (void)state;
    open_direct(JDB_FILE_DURABLE_DATA, JDB_FILE_NO_COPY);
    cut_memory(40, BLOCK, 2 * BLOCK, 0);
    for (size_t i = 0; i < MODEL_MAX; i++)
        memory.ptr[i] = (uint8_t)(i / BLOCK + 1);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const unsigned long syncs = faults_calls(OS_CALL_SYNC);
    assert_int_equal(jdb_file_writev(file, views, 40, BLOCK, &report), 0);
    assert_int_equal(report.request_count, 1);
    assert_int_equal(report.direct_size, 40 * BLOCK);
    assert_int_equal(report.copied_size, 0);
    assert_int_equal(faults_calls(OS_CALL_SYNC), syncs); /* RWF_DSYNC */
    memset(memory.ptr, 0, MODEL_MAX);
    cut_memory(20, 2 * BLOCK, 4 * BLOCK, 0);
    assert_int_equal(jdb_file_readv(file, views, 20, BLOCK, &report), 0);
    assert_int_equal(report.request_count, 1);
    assert_int_equal(report.copied_size, 0);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(views[i].len, 2 * BLOCK);
        assert_int_equal(views[i].ptr[0], 4 * i + 1);
        assert_int_equal(views[i].ptr[2 * BLOCK - 1], 4 * i + 3);
        assert_int_equal(views[i].ptr[2 * BLOCK], 0);
    }
}

/* A view that is not aligned is copied, and what is aligned again behind it is not. */
static void just_what_is_not_aligned_is_copied(void **state)
{
    (void)state;
    open_direct(0, 0);
    memset(memory.ptr, 7, MODEL_MAX);
    views[0] = jdb_raw_from_slice(memory.ptr, 8 * BLOCK);
    views[1] = jdb_raw_from_slice(memory.ptr + 9 * BLOCK + 1, BLOCK);
    views[2] = jdb_raw_from_slice(memory.ptr + 16 * BLOCK, 8 * BLOCK);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_writev(file, views, 3, 0, &report), 0);
    assert_int_equal(report.copied_size, BLOCK);
    assert_int_equal(report.direct_size, 17 * BLOCK);
    assert_int_equal(report.request_count, 3);
    assert_int_equal(jdb_file_readv(file, views, 3, 0, &report), 0);
    assert_int_equal(report.copied_size, BLOCK);
    assert_int_equal(report.direct_size, 17 * BLOCK);
    assert_int_equal(report.request_count, 3);
}

static void strict_files_refuse_what_would_be_copied(void **state)
{
    (void)state;
    open_direct(0, JDB_FILE_NO_COPY);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    cut_memory(3, BLOCK, 2 * BLOCK, 0);
    views[0].ptr++;
    assert_int_equal(jdb_file_writev(file, views, 3, 0, &report), -EINVAL);
    assert_non_null(strstr(report.text, "address"));
    views[0] = jdb_raw_from_slice(memory.ptr, 100);
    views[1] = jdb_raw_from_slice(memory.ptr + BLOCK, BLOCK - 100);
    assert_int_equal(jdb_file_writev(file, views, 2, 0, &report), -EINVAL);
    assert_non_null(strstr(report.text, "not the last"));
    cut_memory(3, 1000, BLOCK, 0);
    assert_int_equal(jdb_file_writev(file, views, 3, 0, &report), -EINVAL);
    assert_int_equal(jdb_file_readv(file, views, 3, 0, &report), -EINVAL);
    cut_memory(3, BLOCK, BLOCK, 0);
    assert_int_equal(jdb_file_writev(file, views, 3, 100, &report), -EINVAL);
    assert_non_null(strstr(report.text, "offset"));
    assert_int_equal(report.request_count, 0);
    int64_t size = -1;
    assert_int_equal(jdb_file_size(file, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(jdb_file_writev(file, views, 3, 0, &report), 0);
}

/* Two views that are a block together: parts of a block, in memory that is aligned as the file wants it. */
static void a_block_of_two_views_is_moved(void **state)
{
    (void)state;
    open_direct(0, 0);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    const size_t part = limits.memory_align < BLOCK ? limits.memory_align : BLOCK / 2;
    for (size_t i = 0; i < BLOCK; i++)
        memory.ptr[i] = (uint8_t)(i % 251);
    views[0] = jdb_raw_from_slice(memory.ptr, part);
    views[1] = jdb_raw_from_slice(memory.ptr + part, BLOCK - part);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_writev(file, views, 2, 0, &report), 0);
    assert_int_equal(report.done_size, BLOCK);
    views[0] = jdb_raw_new(memory.ptr + 2 * BLOCK, part);
    views[1] = jdb_raw_new(memory.ptr + 3 * BLOCK, BLOCK - part);
    assert_int_equal(jdb_file_readv(file, views, 2, 0, &report), 0);
    assert_int_equal(report.done_size, BLOCK);
    assert_memory_equal(memory.ptr + 2 * BLOCK, memory.ptr, part);
    assert_memory_equal(memory.ptr + 3 * BLOCK, memory.ptr + part, BLOCK - part);
}

/* Where a block is larger than the alignment of memory: not block by block. */
static void parts_of_blocks_pass_together(void **state)
{
    (void)state;
    open_direct(0, 0);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    if (limits.memory_align >= limits.write_align || limits.memory_align >= limits.read_align) {
        print_message("a block has %u bytes here, as many as memory is aligned to\n", limits.write_align);
        skip();
    }
    const uint32_t count = 4096 / limits.memory_align * 4; /* 16 KiB: copy_size */
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    memset(memory.ptr, 9, MODEL_MAX);
    assert_in_range(count, 1, sizeof views / sizeof views[0]);
    cut_memory(count, limits.memory_align, limits.memory_align, 0);
    assert_int_equal(jdb_file_writev(file, views, count, 0, &report), 0);
    assert_in_range(report.request_count, 1, 2);
    assert_int_equal(jdb_file_readv(file, views, count, 0, &report), 0);
    assert_in_range(report.request_count, 1, 2);
}

/* ---- Errors ----------------------------------------------------------------------------------------------- */

static void bad_views_are_refused(void **state)
{
    (void)state;
    open_with(JDB_FILE_DIRECT_PREFER, 0, 0, 0);
    cut_memory(2, BLOCK, BLOCK, 0);
    assert_int_equal(jdb_file_readv(NULL, views, 2, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_readv(file, NULL, 2, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_readv(file, views, 0, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_readv(file, views, 2, -1, NULL), -EINVAL);
    assert_int_equal(jdb_file_readv(file, views, 2, INT64_MAX - 4096, NULL), -EOVERFLOW);
    assert_int_equal(jdb_file_writev(NULL, views, 2, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_writev(file, NULL, 2, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_writev(file, views, 0, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_writev(file, views, 2, -1, NULL), -EINVAL);
    views[1].cap = 0;
    assert_int_equal(jdb_file_readv(file, views, 2, 0, NULL), -EINVAL);
    views[1] = jdb_raw_new(memory.ptr, BLOCK); /* nothing to write */
    assert_int_equal(jdb_file_writev(file, views, 2, 0, NULL), -EINVAL);
    views[1] = (jdb_raw){NULL, 1, 1};
    assert_int_equal(jdb_file_writev(file, views, 2, 0, NULL), -EINVAL);
    views[1] = (jdb_raw){memory.ptr, (size_t)INT64_MAX, (size_t)INT64_MAX};
    assert_int_equal(jdb_file_writev(file, views, 2, 0, NULL), -EOVERFLOW);
    jdb_file_report small = {.size = 8};
    cut_memory(2, BLOCK, BLOCK, 0);
    assert_int_equal(jdb_file_writev(file, views, 2, 0, &small), -EINVAL);
    assert_int_equal(jdb_file_close(file), 0);
    assert_int_equal(jdb_file_open(path, NULL, NULL, &file), 0);
    assert_int_equal(jdb_file_writev(file, views, 2, 0, NULL), -EBADF);
}

/* Some views in place, some copied, an unaligned end. */
static uint32_t mixed_views(void)
{
    views[0] = jdb_raw_from_slice(memory.ptr, 4 * BLOCK);
    views[1] = jdb_raw_from_slice(memory.ptr + 5 * BLOCK + 3, 3 * BLOCK + 9);
    views[2] = jdb_raw_from_slice(memory.ptr + 10 * BLOCK, BLOCK);
    views[3] = jdb_raw_from_slice(memory.ptr + 12 * BLOCK, 5000);
    return 4;
}

static void every_call_fails_in_turn(void **state)
{
    (void)state;
    for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        open_with(JDB_FILE_DIRECT_PREFER, JDB_FILE_TAIL_BUFFERED, durability, 0);
        for (unsigned n = 0;; n++) {
            const uint32_t count = mixed_views();
            memset(memory.ptr, (int)n + 1, MODEL_MAX);
            jdb_file_report report = JDB_FILE_REPORT_INIT;
            faults_arm(FAULTS_ANY, n, -EIO);
            const int err = jdb_file_writev(file, views, count, 0, &report);
            if (!faults_disarm())
                break;
            assert_int_equal(report.err, err);
            (void)jdb_file_clear_error(file);
            assert_false(jdb_is_pinned(memory.ptr, memory.cap));
            uint8_t seen[10 * BLOCK];
            jdb_raw view = jdb_raw_new(seen, sizeof seen);
            assert_int_equal(jdb_file_read_full(file, &view, 0, NULL), 0);
            assert_true(view.len >= report.done_size);
            for (size_t i = 0; i < report.done_size; i++)
                assert_int_equal(seen[i], (uint8_t)(n + 1));
        }
        for (unsigned n = 0;; n++) {
            const uint32_t count = mixed_views();
            jdb_file_report report = JDB_FILE_REPORT_INIT;
            faults_arm(FAULTS_ANY, n, -EIO);
            const int err = jdb_file_readv(file, views, count, 0, &report);
            if (!faults_disarm())
                break;
            size_t sum = 0;
            for (uint32_t i = 0; i < count; i++)
                sum += views[i].len;
            assert_true(err == 0 || sum == report.done_size);
            assert_false(jdb_is_pinned(memory.ptr, memory.cap));
        }
        assert_int_equal(jdb_file_close(file), 0);
        file = NULL;
    }
}

/* The bytes before it are moved and reported, and the error is returned, in place and through the buffer. */
static void a_request_that_fails_ends_the_call(void **state)
{
    (void)state;
    for (uint32_t policy = JDB_FILE_DIRECT_PREFER; policy <= JDB_FILE_DIRECT_OFF; policy += 2) {
        open_with(policy, JDB_FILE_TAIL_BUFFERED, 0, 0);
        memset(memory.ptr, 9, MODEL_MAX);
        unsigned requests = 0;
        for (unsigned n = 0;; n++) {
            const uint32_t count = mixed_views();
            jdb_file_report report = JDB_FILE_REPORT_INIT;
            faults_arm(OS_CALL_WRITE, n, -EIO);
            const int err = jdb_file_writev(file, views, count, 0, &report);
            if (!faults_disarm()) {
                requests = n;
                break;
            }
            assert_int_equal(err, -EIO);
            assert_true(n == 0 ? report.done_size == 0 : report.done_size > 0);
        }
        (void)jdb_file_clear_error(file);
        assert_true(requests > (policy == JDB_FILE_DIRECT_PREFER && jdb_file_write_mode(file) <= 2 ? 3 : 0));
        for (unsigned n = 0; n < requests; n++) {
            const uint32_t count = mixed_views();
            jdb_file_report report = JDB_FILE_REPORT_INIT;
            memset(memory.ptr, 1, MODEL_MAX);
            faults_arm(OS_CALL_READ, n, -EIO);
            const int err = jdb_file_readv(file, views, count, 0, &report);
            const bool is_failed = faults_disarm();
            assert_int_equal(err, is_failed ? -EIO : 0);
            size_t left = (size_t)report.done_size;
            for (uint32_t i = 0; i < count; i++) {
                const size_t part = views[i].cap < left ? views[i].cap : left;
                assert_int_equal(views[i].len, part);
                for (size_t k = 0; k < part; k++)
                    assert_int_equal(views[i].ptr[k], 9);
                left -= part;
            }
        }
        assert_int_equal(jdb_file_close(file), 0);
        file = NULL;
    }
}

/* A write in place of one request that is durable by its flag fails, and the file keeps the error. */
static void a_failed_write_stays_with_the_file(void **state)
{
    (void)state;
    open_direct(JDB_FILE_DURABLE_DATA, 0);
    cut_memory(3, BLOCK, 2 * BLOCK, 0);
    faults_arm(OS_CALL_WRITE, 0, -EIO);
    assert_int_equal(jdb_file_writev(file, views, 3, 0, NULL), -EIO);
    assert_true(faults_disarm());
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_writev(file, views, 3, 0, &report), -EIO);
    assert_int_equal(report.is_earlier_error, 1);
    assert_int_equal(report.request_count, 0);
}

/* ---- Random operations ------------------------------------------------------------------------------------ */

/* Views that share no byte, aligned or not, from 1 byte to 8 blocks; returns how many, and their bytes. */
static uint32_t random_views(uint64_t *random, size_t *ret_size)
{
    const bool is_small = random_below(random, 4) == 0;
    const uint32_t most = 1 + (uint32_t)random_below(random, is_small ? VIEWS_MAX : 12);
    size_t at = 0;
    size_t size = 0;
    uint32_t count = 0;
    while (count < most) {
        const bool is_aligned = random_below(random, 3) != 0;
        const size_t start = is_aligned ? (at + BLOCK - 1) / BLOCK * BLOCK : at + random_below(random, 100);
        const size_t bytes = is_small                       ? 1 + random_below(random, 600)
                             : random_below(random, 3) != 0 ? (1 + random_below(random, 8)) * BLOCK
                                                            : 1 + random_below(random, 3 * BLOCK);
        if (start + bytes > MODEL_MAX || size + bytes > MODEL_MAX / 2)
            break;
        views[count++] = jdb_raw_from_slice(memory.ptr + start, bytes);
        at = start + bytes;
        size += bytes;
    }
    *ret_size = size;
    return count;
}

static void random_write(uint64_t *random, size_t offset, uint32_t count, size_t size)
{
    for (size_t i = 0; i < MODEL_MAX; i += 1 + random_below(random, 64))
        memory.ptr[i] = (uint8_t)random_next(random);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_writev(file, views, count, (int64_t)offset, &report), 0);
    assert_int_equal(report.done_size, size);
    if (offset > model_size)
        memset(model + model_size, 0, offset - model_size);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(model + offset, views[i].ptr, views[i].len);
        offset += views[i].len;
    }
    model_size = offset > model_size ? offset : model_size;
}

static void random_read(size_t offset, uint32_t count, size_t size, int64_t file_size)
{
    memset(memory.ptr, 0xee, MODEL_MAX);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_readv(file, views, count, (int64_t)offset, &report), 0);
    const size_t there = offset < (size_t)file_size ? (size_t)file_size - offset : 0;
    assert_int_equal(report.done_size, size < there ? size : there);
    assert_int_equal(report.is_eof, size > there);
    for (uint32_t i = 0; i < count; i++) {
        const size_t left = offset < (size_t)file_size ? (size_t)file_size - offset : 0;
        assert_int_equal(views[i].len, views[i].cap < left ? views[i].cap : left);
        for (size_t k = 0; k < views[i].len; k++)
            assert_int_equal(views[i].ptr[k], offset + k < model_size ? model[offset + k] : 0);
        offset += views[i].len;
    }
}

static void random_operations(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t random = random_seed("vectors");
        const uint32_t tail = kind % 2 == 0 ? JDB_FILE_TAIL_BUFFERED : JDB_FILE_TAIL_READ_MODIFY_WRITE;
        open_with(kind < 2 ? JDB_FILE_DIRECT_PREFER : JDB_FILE_DIRECT_OFF, tail, 0, 0);
        model_size = 0;
        for (uint64_t i = 0; i < tier_pick(60, 600, 8000); i++) {
            size_t size = 0;
            const uint32_t count = random_views(&random, &size);
            const size_t unit = random_below(&random, 2) == 0 ? BLOCK : 1;
            const size_t offset = random_below(&random, MODEL_MAX / 2) / unit * unit;
            int64_t file_size = 0;
            assert_int_equal(jdb_file_size(file, &file_size), 0);
            if (random_below(&random, 2) == 0)
                random_write(&random, offset, count, size);
            else
                random_read(offset, count, size, file_size);
        }
        assert_int_equal(jdb_file_close(file), 0);
        file = NULL;
    }
}

#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PATH(aligned_views_go_in_one_request),
        WITH_PATH(just_what_is_not_aligned_is_copied),
        WITH_PATH(strict_files_refuse_what_would_be_copied),
        WITH_PATH(a_block_of_two_views_is_moved),
        WITH_PATH(parts_of_blocks_pass_together),
        WITH_PATH(bad_views_are_refused),
        WITH_PATH(every_call_fails_in_turn),
        WITH_PATH(a_request_that_fails_ends_the_call),
        WITH_PATH(a_failed_write_stays_with_the_file),
        WITH_PATH(random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
