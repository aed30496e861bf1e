/* SPDX-License-Identifier: MIT
 *
 * file_external_test.c - requests on a file that others make, here with preadv2 and pwritev2: how each is made, and what the
 * file keeps of their results. Runs in TMPDIR (default /var/tmp).
 */
#include "jdb_alloc.h"

#include "faults.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

static char path[512];
static uint8_t bytes[16384] __attribute__((aligned(4096)));
static jdb_file *file;

static int make_path(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_external_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    unlink(path);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    faults_disarm();
    (void)jdb_file_close(file);
    file = NULL;
    unlink(path);
    return 0;
}

static void open_with(uint32_t access, uint32_t policy)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = access;
    options.policy = policy;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
}

static jdb_file_request request_of(uint32_t is_write, uint32_t durability)
{
    jdb_file_request request = JDB_FILE_REQUEST_INIT;
    request.is_write = is_write;
    request.durability = durability;
    return request;
}

/* One write as a caller of preadv2 makes it. */
static int put(jdb_raw view, int64_t offset, uint32_t durability)
{
    jdb_file_request request = request_of(1, durability);
    int err = jdb_file_begin_request(file, &view, 1, offset, &request);
    if (err != 0)
        return err;
    const struct iovec whole = {view.ptr, view.len};
    const ssize_t put =
        syscall(SYS_pwritev2, request.fd, &whole, 1L, (long)offset, 0L, (long)request.rw_flags); /* not in musl */
    err = put < 0 ? -errno : (size_t)put == view.len ? 0 : -EIO;
    const int sync_err = err == 0 && request.sync != 0 && fsync(request.fd) != 0 ? -errno : 0;
    return jdb_file_end_request(file, &request, err, sync_err);
}

static void writes_are_read_back_whatever_the_policy(void **state)
{
    (void)state;
    for (uint32_t policy = JDB_FILE_DIRECT_PREFER; policy <= JDB_FILE_DIRECT_OFF; policy += 2)
        for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
            open_with(JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE, policy);
            memset(bytes, (int)(0x30 + durability), sizeof bytes);
            assert_int_equal(put(jdb_raw_from_slice(bytes, 8192), 0, durability), 0);
            memset(bytes, 0x7a, sizeof bytes);
            assert_int_equal(put(jdb_raw_from_slice(bytes + 1, 5000), 4000, durability), 0);
            jdb_raw view = jdb_raw_new(bytes, sizeof bytes);
            assert_int_equal(jdb_file_read_full(file, &view, 0, NULL), 0);
            assert_int_equal(view.len, 9000);
            for (size_t i = 0; i < view.len; i++)
                assert_int_equal(bytes[i], i < 4000 ? 0x30 + durability : 0x7a);
            assert_int_equal(jdb_file_close(file), 0);
            file = NULL;
        }
}

static void the_sync_at_the_end_is_the_file_s(void **state)
{
    (void)state;
    open_with(JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE, JDB_FILE_DIRECT_OFF);
    const jdb_raw view = jdb_raw_from_slice(bytes, 100);
    for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        jdb_file_request request = request_of(1, durability);
        assert_int_equal(jdb_file_begin_request(file, &view, 1, 0, &request), 0);
        assert_int_equal(request.is_direct, 0);
        assert_int_equal(request.sync, 0);
        assert_int_equal(request.end_sync, durability);
        const unsigned long before = faults_calls(OS_CALL_SYNC);
        faults_arm(OS_CALL_SYNC, 0, -EIO);
        assert_int_equal(jdb_file_end_request(file, &request, 0, 0), durability != 0 ? -EIO : 0);
        assert_int_equal(faults_disarm(), durability != 0);
        assert_int_equal(faults_calls(OS_CALL_SYNC) - before, durability != 0);
        assert_int_equal(jdb_file_error(file), durability != 0 ? -EIO : 0);
        assert_int_equal(jdb_file_clear_error(file), 0);
    }
}

/* A file that ends with whole blocks in every mode takes no others. */
static void a_part_of_a_block_would_change_the_length(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.policy = JDB_FILE_DIRECT_OFF;
    options.tail = JDB_FILE_TAIL_READ_MODIFY_WRITE;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    assert_int_equal(put(jdb_raw_from_slice(bytes, 100), 0, 0), -EINVAL);
    assert_int_equal(put(jdb_raw_from_slice(bytes, 4096), 100, 0), -EINVAL);
    assert_int_equal(put(jdb_raw_from_slice(bytes + 1, 4096), 4096, 0), 0);
    int64_t size = 0;
    assert_int_equal(jdb_file_size(file, &size), 0);
    assert_int_equal(size, 8192);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    open_with(JDB_FILE_WRITE | JDB_FILE_CREATE, JDB_FILE_DIRECT_PREFER);
    const jdb_raw view = jdb_raw_from_slice(bytes, 4096);
    const jdb_raw nothing = {NULL, 1, 1};
    const jdb_raw empty = jdb_raw_new(bytes, 4096);
    static jdb_raw many[JDB_PIECES_MAX + 1];
    for (size_t i = 0; i < JDB_PIECES_MAX + 1; i++)
        many[i] = view;
    jdb_file_request request = request_of(1, 0);
    const jdb_file_request before = request;
    assert_int_equal(jdb_file_begin_request(NULL, &view, 1, 0, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, &view, 1, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, &nothing, 1, 0, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, &empty, 1, 0, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, NULL, 1, 0, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, &view, 0, 0, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, many, JDB_PIECES_MAX + 1, 0, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, (const jdb_raw[]){view, empty}, 2, 0, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, &view, 1, -1, &request), -EINVAL);
    assert_int_equal(jdb_file_begin_request(file, &view, 1, INT64_MAX - 4095, &request), -EOVERFLOW);
    assert_memory_equal(&request, &before, sizeof request);
    const jdb_file_request wrong[] = {
        request_of(2, 0), request_of(1, 3), request_of(0, 1), {.size = 47, .is_write = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        request = wrong[i];
        assert_int_equal(jdb_file_begin_request(file, &view, 1, 0, &request), -EINVAL);
        assert_memory_equal(&request, &wrong[i], sizeof request);
    }
    request = request_of(0, 0);
    assert_int_equal(jdb_file_begin_request(file, &view, 1, 0, &request), -EBADF);
    request = request_of(1, 0);
    assert_int_equal(jdb_file_begin_request(file, &view, 1, 0, &request), 0);
    assert_int_equal(jdb_file_end_request(NULL, &request, 0, 0), -EINVAL);
    assert_int_equal(jdb_file_end_request(file, NULL, 0, 0), -EINVAL);
    assert_int_equal(jdb_file_end_request(file, &request, 1, 0), -EINVAL);
    assert_int_equal(jdb_file_end_request(file, &request, 0, 1), -EINVAL);
    assert_int_equal(jdb_file_end_request(file, &(jdb_file_request){.size = 47}, 0, 0), -EINVAL);
    assert_int_equal(jdb_file_error(file), 0);
}

/* A caller of an older version knows fewer fields, one of a newer version more. */
static void requests_of_other_sizes_are_filled(void **state)
{
    (void)state;
    open_with(JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE, JDB_FILE_DIRECT_OFF);
    struct {
        jdb_file_request request;
        uint64_t more;
    } newer = {.request = request_of(1, JDB_FILE_DURABLE_DATA), .more = 7};
    const jdb_raw ten = jdb_raw_from_slice(bytes, 10);
    const uint32_t sizes[] = {48, sizeof(jdb_file_request), sizeof newer};
    for (size_t i = 0; i < 3; i++) {
        newer.request.size = sizes[i];
        assert_int_equal(jdb_file_begin_request(file, &ten, 1, 3, &newer.request), 0);
        assert_int_equal(newer.request.size, sizes[i]);
        assert_int_equal(newer.request.fd, jdb_file_descriptor(file));
        assert_int_equal(newer.request.end_sync, JDB_FILE_DURABLE_DATA);
        assert_int_equal(newer.more, i == 2 ? 0 : 7);
        assert_int_equal(jdb_file_end_request(file, &newer.request, 0, 0), 0);
    }
}

#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PATH(writes_are_read_back_whatever_the_policy),  WITH_PATH(the_sync_at_the_end_is_the_file_s),
        WITH_PATH(a_part_of_a_block_would_change_the_length), WITH_PATH(bad_requests_are_refused),
        WITH_PATH(requests_of_other_sizes_are_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
