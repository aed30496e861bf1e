/* SPDX-License-Identifier: MIT
 *
 * file_zeros_test.c - zeros that the device writes: which part of a range, and what happens where it cannot. Few devices can, so
 * fallocate(2) is replaced by one that writes the zeros. Runs in TMPDIR (default /var/tmp).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "jdb_alloc.h"

#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCK 4096
#define WRITE_ZEROES 0x80

static char path[512];
static uint8_t bytes[64 * BLOCK] __attribute__((aligned(BLOCK)));
static int zeros_error; /* what fallocate returns: 0, or a positive errno */
static unsigned zeros_count;
static off_t zeros_offset;
static off_t zeros_size;

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    if (mode != WRITE_ZEROES)
        return (int)syscall(SYS_fallocate, fd, mode, offset, size);
    zeros_count++;
    zeros_offset = offset;
    zeros_size = size;
    errno = zeros_error;
    if (zeros_error != 0)
        return -1;
    static const uint8_t zeros[64 * BLOCK];
    return pwrite(fd, zeros, (size_t)size, offset) == size ? 0 : -1;
}

static int make_path(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_zeros_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    unlink(path);
    zeros_error = 0;
    zeros_count = 0;
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    faults_disarm();
    unlink(path);
    return 0;
}

/* A file of 40 blocks of 0x3c. */
static jdb_file *open_with(uint32_t policy, uint32_t durability)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.policy = policy;
    options.durability = durability;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    memset(bytes, 0x3c, sizeof bytes);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 40 * BLOCK), 0, NULL), 0);
    return file;
}

static void assert_zeros(jdb_file *file, size_t start, size_t end, size_t file_size)
{
    jdb_raw view = jdb_raw_new(bytes, sizeof bytes);
    assert_int_equal(jdb_file_read_full(file, &view, 0, NULL), 0);
    assert_int_equal(view.len, file_size);
    for (size_t i = 0; i < file_size; i++)
        assert_int_equal(bytes[i], i >= start && i < end ? 0 : 0x3c);
}

static void the_device_writes_whole_blocks(void **state)
{
    (void)state;
    for (uint32_t policy = JDB_FILE_DIRECT_PREFER; policy <= JDB_FILE_DIRECT_OFF; policy += 2) {
        jdb_file *const file = open_with(policy, 0);
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        zeros_count = 0;
        assert_int_equal(jdb_file_write_zeros(file, 2 * BLOCK + 100, 20 * BLOCK, &report), 0);
        assert_int_equal(zeros_count, 1);
        assert_int_equal(zeros_offset, 3 * BLOCK);
        assert_int_equal(zeros_size, 19 * BLOCK);
        assert_int_equal(report.done_size, 20 * BLOCK);
        assert_true(report.direct_size >= 19 * BLOCK);
        assert_zeros(file, 2 * BLOCK + 100, 22 * BLOCK + 100, 40 * BLOCK);
        assert_int_equal(jdb_file_write_zeros(file, 39 * BLOCK, 10 * BLOCK, &report), 0);
        assert_int_equal(report.request_count, 1);
        int64_t size = 0;
        assert_int_equal(jdb_file_size(file, &size), 0);
        assert_int_equal(size, 49 * BLOCK);
        assert_int_equal(jdb_file_write_zeros(file, 100, 200, &report), 0); /* a part of a block */
        assert_int_equal(zeros_count, 2);
        assert_int_equal(jdb_file_close(file), 0);
        unlink(path);
    }
}

static void where_it_cannot_they_come_from_memory(void **state)
{
    (void)state;
    const int refusals[] = {EOPNOTSUPP, ENOSYS, EINVAL};
    for (size_t i = 0; i < 3; i++) {
        jdb_file *const file = open_with(JDB_FILE_DIRECT_PREFER, 0);
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        zeros_error = refusals[i];
        assert_int_equal(jdb_file_write_zeros(file, 100, 30 * BLOCK, &report), 0);
        assert_int_equal(report.done_size, 30 * BLOCK);
        assert_zeros(file, 100, 30 * BLOCK + 100, 40 * BLOCK);
        assert_int_equal(jdb_file_error(file), 0);
        assert_int_equal(jdb_file_close(file), 0);
    }
}

static void a_failure_is_that_of_a_write(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_DIRECT_PREFER, 0);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    zeros_error = ENOSPC;
    assert_int_equal(jdb_file_write_zeros(file, 100, 30 * BLOCK, &report), -ENOSPC);
    assert_string_equal(report.call, "fallocate");
    assert_int_equal(report.done_size, BLOCK - 100);
    assert_int_equal(jdb_file_error(file), -ENOSPC);
    assert_int_equal(jdb_file_close(file), -ENOSPC);
}

static void zeros_of_the_device_are_synced(void **state)
{
    (void)state;
    for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        jdb_file *const file = open_with(JDB_FILE_DIRECT_PREFER, durability);
        const unsigned long before = faults_calls(OS_CALL_SYNC);
        assert_int_equal(jdb_file_write_zeros(file, 0, 8 * BLOCK, NULL), 0);
        assert_int_equal(faults_calls(OS_CALL_SYNC) - before, durability != 0);
        assert_int_equal(jdb_file_close(file), 0);
    }
    assert_true(zeros_count > 0);
}

#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PATH(the_device_writes_whole_blocks),
        WITH_PATH(where_it_cannot_they_come_from_memory),
        WITH_PATH(a_failure_is_that_of_a_write),
        WITH_PATH(zeros_of_the_device_are_synced),
    };
    if (jdb__os_file_write_zeros(-1, 0, 1) == -ENOTSUP) {
        print_message("skipped: a system without fallocate(2)\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
