/* SPDX-License-Identifier: MIT
 *
 * file_edge_test.c - what a write promises at its edges: zeros that are durable, a block that another program cut, and
 * alignments that differ. Runs in TMPDIR (default /var/tmp).
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"

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

static char path[512];

static int make_path(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_edge_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    unlink(path);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    faults_set_hook(NULL);
    unlink(path);
    return 0;
}

static jdb_file_options options_of(uint32_t durability)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.durability = durability;
    return options;
}

static jdb_file *open_with(const jdb_file_options *options)
{
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, options, NULL, &file), 0);
    return file;
}

/* ---- The page cache ----------------------------------------------------------------------------------------- */

/* Pages of the file in the page cache, or -1: cachestat(2), since Linux 6.5. */
static long cached_pages(int fd)
{
    struct {
        uint64_t offset, size;
    } range = {0, 0};
    struct {
        uint64_t cached, dirty, writeback, evicted, recently_evicted;
    } found = {0};
    return syscall(451, fd, &range, &found, 0) == 0 ? (long)found.cached : -1;
}

static void appends_leave_nothing_in_the_page_cache(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 6; kind++) {
        jdb_file_options options = options_of(kind % 3);
        options.flags = kind >= 3 ? JDB_FILE_NO_UNCACHED : 0;
        jdb_file *const file = open_with(&options);
        const int fd = open(path, O_RDONLY);
        if (jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT || cached_pages(fd) < 0) {
            print_message("no direct I/O here, or no cachestat(2)\n");
            skip();
        }
        uint8_t bytes[5000];
        memset(bytes, 1, sizeof bytes);
        int64_t offset = 0;
        assert_int_equal(jdb_file_size(file, &offset), 0);
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, sizeof bytes), offset, NULL), 0);
            offset += (int64_t)sizeof bytes;
            const long left = cached_pages(fd);
            if (left > (kind % 3 != 0 ? 2 : 40))
                fail_msg("kind %u, write %u: %ld pages", kind, i, left);
        }
        assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), 0);
        assert_int_equal(cached_pages(fd), 0);
        close(fd);
        assert_int_equal(jdb_file_close(file), 0);
    }
}

/* ---- Length --------------------------------------------------------------------------------------------------- */

/* As file.h has it: the end of the write rounded up to whole blocks, or the size that the file had. */
static int64_t padded(int64_t size, int64_t end, uint32_t align)
{
    const int64_t rounded = (end + align - 1) / align * align;
    return rounded > size ? rounded : size;
}

static int put_by(unsigned way, jdb_file *file, int64_t offset, size_t size)
{
    static uint8_t bytes[3 * BLOCK];
    const jdb_raw views[2] = {jdb_raw_from_slice(bytes, 1), jdb_raw_from_slice(bytes + 1, size - 1)};
    memset(bytes, 0x3c, sizeof bytes);
    return way == 0   ? jdb_file_write_full(file, jdb_raw_from_slice(bytes, size), offset, NULL)
           : way == 1 ? jdb_file_writev(file, views, 2, offset, NULL)
                      : jdb_file_write_zeros(file, offset, size, NULL);
}

static void a_file_has_one_length_whatever_its_mode(void **state)
{
    (void)state;
    const struct {
        uint32_t policy, flags;
    } modes[] = {{JDB_FILE_DIRECT_PREFER, 0}, {JDB_FILE_DIRECT_OFF, 0}, {JDB_FILE_DIRECT_OFF, JDB_FILE_NO_UNCACHED}};
    const int64_t starts[][2] = {{0, 100}, {50, 10}, {4000, 4000}, {5000, 2}, {20000, 7000}, {100, 200}};
    for (unsigned mode = 0; mode < 3; mode++)
        for (unsigned way = 0; way < 3; way++) {
            jdb_file_options options = options_of(JDB_FILE_DURABLE_NONE);
            options.tail = JDB_FILE_TAIL_READ_MODIFY_WRITE;
            options.policy = modes[mode].policy;
            options.flags = modes[mode].flags;
            jdb_file *const file = open_with(&options);
            jdb_direct limits = JDB_DIRECT_INIT;
            assert_int_equal(jdb_file_limits(file, &limits), 0);
            assert_int_equal(jdb_file_truncate(file, 0), 0);
            int64_t expected = 0;
            for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
                int64_t size = -1;
                assert_int_equal(put_by(way, file, starts[i][0], (size_t)starts[i][1]), 0);
                expected = padded(expected, starts[i][0] + starts[i][1], limits.write_align);
                assert_int_equal(jdb_file_size(file, &size), 0);
                assert_int_equal(size, expected);
            }
            uint8_t last[7000];
            jdb_raw view = jdb_raw_new(last, sizeof last);
            assert_int_equal(jdb_file_read_full(file, &view, 27000, NULL), 0);
            for (size_t i = 0; i < view.len; i++)
                assert_int_equal(last[i], 0);
            assert_int_equal(jdb_file_close(file), 0);
        }
}

/* The old bytes behind a write are kept. */
static void padding_overwrites_nothing(void **state)
{
    (void)state;
    jdb_file_options options = options_of(JDB_FILE_DURABLE_NONE);
    options.policy = JDB_FILE_DIRECT_OFF;
    options.tail = JDB_FILE_TAIL_READ_MODIFY_WRITE;
    options.write_align = BLOCK;
    jdb_file *const file = open_with(&options);
    const int fd = open(path, O_WRONLY);
    uint8_t bytes[1000];
    memset(bytes, 0x77, sizeof bytes);
    assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
    close(fd);
    assert_int_equal(put_by(0, file, 100, 50), 0);
    uint8_t seen[BLOCK];
    jdb_raw view = jdb_raw_new(seen, sizeof seen);
    assert_int_equal(jdb_file_read_full(file, &view, 0, NULL), 0);
    assert_int_equal(view.len, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        assert_int_equal(seen[i], i >= 100 && i < 150 ? 0x3c : i < 1000 ? 0x77 : 0);
    assert_int_equal(jdb_file_close(file), 0);
}

/* From here on files end at `size`. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = size;
    MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* SIGXFSZ would end this process. */
static void write_over_the_limit(void *argument)
{
    (void)argument;
    static uint8_t bytes[8 * BLOCK] __attribute__((aligned(BLOCK)));
    for (unsigned kind = 0; kind < 6; kind++) {
        jdb_file_options options = options_of(JDB_FILE_DURABLE_NONE);
        options.policy = kind < 3 ? JDB_FILE_DIRECT_PREFER : JDB_FILE_DIRECT_OFF;
        jdb_file *file = NULL;
        MUST(jdb_file_open(path, &options, NULL, &file) == 0);
        MUST(jdb_file_truncate(file, 0) == 0);
        limit_files(kind % 3 == 0 ? 10000 : kind % 3 == 1 ? 2 * BLOCK : 2 * BLOCK + 512);
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        MUST(jdb_file_write_full(file, jdb_raw_from_slice(bytes, sizeof bytes), 0, &report) == -EFBIG);
        MUST(report.done_size <= 10000 && strstr(report.text, "failed") != NULL);
        int64_t size = 0;
        MUST(jdb_file_size(file, &size) == 0 && (uint64_t)size >= report.done_size && size <= 10000);
        MUST(kind < 3 || report.done_size == (kind == 3 ? 10000 : kind == 4 ? 2 * BLOCK : 2 * BLOCK + 512));
        MUST(jdb_file_error(file) == 0); /* what is there is as good as before */
        MUST(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 2 * BLOCK), 0, &report) == 0);
        MUST(jdb_file_close(file) == 0);
        limit_files(RLIM_INFINITY);
    }
}

static void the_limit_of_a_file_is_an_error_and_no_signal(void **state)
{
    (void)state;
    char text[1000];
    if (must_run_child(write_over_the_limit, NULL, text, sizeof text) != 0)
        fail_msg("%s", text);
}

/* ---- Zeros -------------------------------------------------------------------------------------------------- */

static void zeros_are_as_durable_as_other_writes(void **state)
{
    (void)state;
    const uint32_t durabilities[] = {JDB_FILE_DURABLE_NONE, JDB_FILE_DURABLE_DATA, JDB_FILE_DURABLE_SYNC};
    for (unsigned i = 0; i < 3; i++) {
        const jdb_file_options options = options_of(durabilities[i]);
        jdb_file *const file = open_with(&options);
        const unsigned long before = faults_calls(OS_CALL_SYNC);
        assert_int_equal(jdb_file_write_zeros(file, 0, 3 * BLOCK, NULL), 0);
        assert_int_equal(faults_calls(OS_CALL_SYNC) - before, i == 0 ? 0 : 1);
        if (i > 0) {
            faults_arm(OS_CALL_SYNC, 0, -EIO);
            assert_int_equal(jdb_file_write_zeros(file, 0, 3 * BLOCK, NULL), -EIO);
            assert_true(faults_disarm());
            assert_int_equal(jdb_file_error(file), -EIO);
        }
        assert_int_equal(jdb_file_close(file), i == 0 ? 0 : -EIO);
    }
}

/* ---- A block that is cut ------------------------------------------------------------------------------------ */

/* Another program cuts the file between the query of its size and the read of the block. */
static int cut_at_read(enum os_call kind)
{
    if (kind == OS_CALL_READ) {
        faults_set_hook(NULL);
        assert_int_equal(truncate(path, 0), 0); /* so that the kernel fills no byte of the memory */
    }
    return 0;
}

/* What pages held before. */
static void leave_old_bytes(void)
{
    jdb_buf buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, (size_t)256 * 1024), 0);
    memset(buf.ptr, 0xee, buf.cap);
    jdb_buf_drop(&buf);
}

static void behind_the_cut_are_zeros_and_no_old_memory(void **state)
{
    (void)state;
    jdb_file_options options = options_of(JDB_FILE_DURABLE_NONE);
    options.tail = JDB_FILE_TAIL_READ_MODIFY_WRITE;
    jdb_file *const file = open_with(&options);
    if (jdb_file_write_mode(file) > JDB_FILE_MODE_UNKNOWN) {
        assert_int_equal(jdb_file_close(file), 0);
        print_message("skipped: no direct writes in %s\n", path);
        return;
    }
    static uint8_t bytes[BLOCK] __attribute__((aligned(BLOCK)));
    memset(bytes, 0x3c, sizeof bytes);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, BLOCK), 0, NULL), 0);
    leave_old_bytes();
    faults_set_hook(cut_at_read);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const int err = jdb_file_write_full(file, jdb_raw_from_slice(bytes, 10), 50, &report);
    faults_set_hook(NULL);
    assert_int_equal(err, 0);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t found[BLOCK];
    const ssize_t size = pread(fd, found, sizeof found, 0);
    assert_true(size >= 60);
    for (ssize_t i = 0; i < size; i++)
        assert_int_equal(found[i], i >= 50 && i < 60 ? 0x3c : 0);
    close(fd);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Alignments that differ --------------------------------------------------------------------------------- */

/* A block that cannot be read alone cannot be modified alone. */
static void a_write_is_aligned_for_reading_too(void **state)
{
    (void)state;
    jdb_file_options options = options_of(JDB_FILE_DURABLE_NONE);
    options.write_align = BLOCK;
    options.read_align = 4 * BLOCK;
    jdb_file *const file = open_with(&options);
    if (jdb_file_write_mode(file) > JDB_FILE_MODE_UNKNOWN) {
        assert_int_equal(jdb_file_close(file), 0);
        print_message("skipped: no direct writes in %s\n", path);
        return;
    }
    static uint8_t bytes[8 * BLOCK] __attribute__((aligned(BLOCK)));
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 8 * BLOCK), 0, &report), 0);
    assert_int_equal(report.direct_size, 8 * BLOCK);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 6 * BLOCK), BLOCK, &report), 0);
    assert_int_equal(report.direct_size, 0);
    assert_int_equal(report.buffered_size, 6 * BLOCK);
    jdb_raw view = jdb_raw_new(bytes, 6 * BLOCK);
    assert_int_equal(jdb_file_read_full(file, &view, BLOCK, &report), 0);
    assert_true(report.copied_size > 0); /* through whole blocks of the larger size */
    assert_int_equal(jdb_file_close(file), 0);
}

static void an_override_that_is_no_alignment_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        jdb_file_options options = options_of(JDB_FILE_DURABLE_NONE);
        uint32_t *const fields[] = {&options.memory_align, &options.write_align, &options.read_align,
                                    &options.pretend_align};
        jdb_file *file = NULL;
        *fields[i] = 3 * BLOCK;
        assert_int_equal(jdb_file_open(path, &options, NULL, &file), -EINVAL);
        assert_null(file);
        assert_int_equal(access(path, F_OK), -1); /* refused before the file was made */
    }
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_path, remove_path)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(appends_leave_nothing_in_the_page_cache),
        FILE_TEST(a_file_has_one_length_whatever_its_mode),
        FILE_TEST(padding_overwrites_nothing),
        FILE_TEST(the_limit_of_a_file_is_an_error_and_no_signal),
        FILE_TEST(zeros_are_as_durable_as_other_writes),
        FILE_TEST(behind_the_cut_are_zeros_and_no_old_memory),
        FILE_TEST(a_write_is_aligned_for_reading_too),
        FILE_TEST(an_override_that_is_no_alignment_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
