/* SPDX-License-Identifier: MIT
 *
 * file_test.c - files for direct I/O: any range, any memory, EOF, tails, durability, every call failing in turn.
 * Runs in TMPDIR (default /var/tmp), so that other tests can run it on any file system.
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "random.h"
#include "tier.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CHECK(condition)                \
    do {                                \
        if (!(condition))               \
            fail_msg("%s", #condition); \
    } while (0)

/* ---- A file and its model ----------------------------------------------------------------------------------- */

#define MODEL_MAX ((size_t)1 << 19)
#define RANDOM_MAX ((size_t)1 << 17)

static char path[512];

struct model {
    uint8_t bytes[MODEL_MAX];
    size_t size;
};

static struct model model;
static uint8_t scratch[MODEL_MAX];

static int make_path(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_file_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    unlink(path);
    model.size = 0;
    memset(model.bytes, 0, sizeof model.bytes);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    faults_disarm();
    unlink(path);
    return 0;
}

static jdb_file *open_with(uint32_t tail, uint32_t pretend_align)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.tail = tail;
    options.pretend_align = pretend_align;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    return file;
}

static void model_write(size_t offset, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return;
    memcpy(model.bytes + offset, bytes, size);
    if (offset + size > model.size)
        model.size = offset + size;
}

static void model_truncate(size_t size)
{
    if (size < model.size)
        memset(model.bytes + size, 0, model.size - size);
    model.size = size;
}

/* What is on disk, read by plain means, is the model; longer only by zeros of padding where that is the strategy. */
static void assert_model(bool is_padded)
{
    const int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    struct stat stat;
    CHECK(fstat(fd, &stat) == 0);
    const size_t size = (size_t)stat.st_size;
    CHECK(size >= model.size && (is_padded || size == model.size));
    CHECK(pread(fd, scratch, size, 0) == stat.st_size);
    CHECK(memcmp(scratch, model.bytes, size) == 0); /* the model is zero behind its size */
    close(fd);
}

/* Memory with an excess over any alignment, filled with old bytes that must not get anywhere. */
static uint8_t *dirty_memory(jdb_buf *buf, size_t size, size_t excess)
{
    assert_int_equal(jdb_buf_with_cap_aligned(buf, size + excess + 1, 65536), 0);
    memset(buf->ptr, 0xee, buf->cap);
    return buf->ptr + excess;
}

static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((i * 7 + seed * 13) % 251 + 1);
}

/* ---- Every size --------------------------------------------------------------------------------------------- */

static void write_one(jdb_file *file, size_t offset, size_t size, size_t excess, bool is_padded)
{
    jdb_buf buf = JDB_BUF_INIT;
    uint8_t *const bytes = dirty_memory(&buf, size, excess);
    fill(bytes, size, offset + size);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    CHECK(jdb_file_write_full(file, jdb_raw_from_slice(bytes, size), (int64_t)offset, &report) == 0);
    CHECK(report.done_size == size && report.direct_size + report.buffered_size == size);
    CHECK(report.text[0] == '\0' && report.err == 0 && report.call == NULL);
    model_write(offset, bytes, size);
    jdb_buf_drop(&buf);
    assert_model(is_padded);
}

static void read_one(jdb_file *file, size_t offset, size_t size, size_t excess, size_t file_size)
{
    jdb_buf buf = JDB_BUF_INIT;
    uint8_t *const bytes = dirty_memory(&buf, size, excess);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_raw view = jdb_raw_from_slice(bytes, size);
    CHECK(jdb_file_read_full(file, &view, (int64_t)offset, &report) == 0);
    const size_t there = file_size > offset ? file_size - offset : 0;
    const size_t wanted = there < size ? there : size;
    CHECK(view.len == wanted && report.done_size == wanted);
    CHECK((report.is_eof != 0) == (wanted < size));
    CHECK(memcmp(bytes, model.bytes + offset, wanted) == 0);
    CHECK(bytes[-1 * (excess != 0)] == (excess != 0 ? 0xee : bytes[0]));
    jdb_buf_drop(&buf);
}

static void every_size_with(uint32_t tail, uint32_t pretend)
{
    jdb_file *const file = open_with(tail, pretend);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    const size_t align = limits.write_align < 512 ? 512 : limits.write_align;
    const size_t offsets[] = {1, align - 1, align, align + align / 3, 2 * align};
    const size_t step = align > 4096  ? align / 16 + 1
                        : align > 512 ? (size_t)tier_pick(509, 127, 7)
                                      : (size_t)tier_pick(97, 7, 1);
    uint64_t count = 0;
    for (size_t at = 0; at < sizeof offsets / sizeof offsets[0]; at++)
        for (size_t size = 0; size <= 3 * align; size += step) {
            /* A short old file, so that the end of the range meets old bytes, the end of the file, and nothing. */
            model_truncate(count % 3 * align + count % 7);
            assert_int_equal(jdb_file_truncate(file, (int64_t)model.size), 0);
            write_one(file, offsets[at], size, count % 4 == 0 ? 0 : count % 512,
                      tail == JDB_FILE_TAIL_READ_MODIFY_WRITE);
            int64_t now = 0;
            assert_int_equal(jdb_file_size(file, &now), 0);
            read_one(file, offsets[at] / 2, size + 3, count % 3 * 100, (size_t)now);
            read_one(file, align, size, 0, (size_t)now);
            count++;
        }
    print_message("tail strategy %u, blocks of %zu: %llu writes, each compared byte for byte\n", tail, align,
                  (unsigned long long)count);
    assert_int_equal(jdb_file_close(file), 0);
}

static void every_size_with_a_buffered_tail(void **state)
{
    (void)state;
    every_size_with(JDB_FILE_TAIL_BUFFERED, 0);
}

static void every_size_read_modified_written(void **state)
{
    (void)state;
    every_size_with(JDB_FILE_TAIL_READ_MODIFY_WRITE, 0);
}

static void every_size_as_if_blocks_were_larger(void **state)
{
    (void)state;
    static const uint32_t tails[] = {JDB_FILE_TAIL_BUFFERED, JDB_FILE_TAIL_READ_MODIFY_WRITE};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
        for (uint32_t align = 4096; align <= 65536; align *= 16) {
            every_size_with(tails[i], align);
            remove_path(NULL);
            model_truncate(0);
        }
}

/* ---- Random operations against the model -------------------------------------------------------------------- */

static void random_step(jdb_file *file, uint64_t *random)
{
    const size_t offset = (size_t)random_below(random, RANDOM_MAX);
    const size_t size = (size_t)random_below(random, random_below(random, 4) == 0 ? RANDOM_MAX : 5000);
    const size_t excess = random_below(random, 2) == 0 ? 0 : (size_t)random_below(random, 5000);
    const bool is_aligned = random_below(random, 3) == 0;
    const size_t from = is_aligned ? offset / 4096 * 4096 : offset;
    const size_t bytes = is_aligned ? size / 4096 * 4096 : size;
    switch (random_below(random, 5)) {
    case 0:
    case 1:
        write_one(file, from, bytes, excess, false);
        break;
    case 2:
        model_truncate(offset);
        CHECK(jdb_file_truncate(file, (int64_t)offset) == 0);
        break;
    case 3:
        CHECK(jdb_file_write_zeros(file, (int64_t)from, bytes, NULL) == 0);
        memset(scratch, 0, bytes);
        model_write(from, scratch, bytes);
        assert_model(false);
        break;
    default:
        read_one(file, from, bytes, excess, model.size);
    }
}

static void random_operations_with(uint32_t tail, uint64_t seed, uint64_t count)
{
    uint64_t random = seed;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.tail = tail;
    options.copy_size = 8192; /* small, so that copying goes round more than once */
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    for (uint64_t i = 0; i < count; i++)
        random_step(file, &random);
    assert_int_equal(jdb_file_close(file), 0);
}

static void random_operations(void **state)
{
    (void)state;
    const uint64_t seed = random_seed("files");
    random_operations_with(JDB_FILE_TAIL_BUFFERED, seed, tier_pick(140, 3000, 70000));
}

/* ---- Modes -------------------------------------------------------------------------------------------------- */

static void a_direct_file_says_so_and_counts(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), 0);
    assert_int_not_equal(report.text[0], '\0');
    assert_in_range(report.mode, JDB_FILE_MODE_DIRECT, JDB_FILE_MODE_BUFFERED);
    assert_string_not_equal(jdb_file_mode_name(report.mode), "?");
    assert_true(jdb_file_descriptor(file) >= 0);
    assert_true(jdb_file_read_mode(file) <= report.mode && jdb_file_write_mode(file) <= report.mode);
    assert_true(jdb_file_read_mode(file) == report.mode || jdb_file_write_mode(file) == report.mode);
    assert_int_equal(jdb_file_read_mode(NULL), JDB_FILE_MODE_BUFFERED);
    assert_int_equal(jdb_file_write_mode(NULL), JDB_FILE_MODE_BUFFERED);
    if (jdb_file_write_mode(file) > JDB_FILE_MODE_UNKNOWN) {
        print_message("not direct here: %s\n", jdb_file_reason(file));
        assert_int_equal(jdb_file_close(file), 0);
        skip();
    }
    jdb_buf buf = JDB_BUF_INIT;
    dirty_memory(&buf, 131072, 0);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr, 131072), 0, &report), 0);
    assert_int_equal(report.direct_size, 131072);
    assert_int_equal(report.copied_size, 0);
    assert_int_equal(report.request_count, 1);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr + 1, 65536), 0, &report), 0);
    assert_int_equal(report.direct_size, 65536);
    assert_int_equal(report.copied_size, 65536);
    jdb_raw view = jdb_raw_new(buf.ptr, 131072);
    assert_int_equal(jdb_file_read_full(file, &view, 0, &report), 0);
    assert_int_equal(report.request_count, 1);
    assert_int_equal(report.copied_size + report.buffered_size, 0);
    assert_int_equal(report.is_eof, 0);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_file_close(file), 0);
}

static void buffered_files_are_named_and_refused_where_direct_is_required(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/dev/shm/jdb_file_test.%ld", (long)getpid());
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), 0);
    assert_true(report.mode >= JDB_FILE_MODE_UNCACHED);
    write_one(file, 5, 1000, 3, false);
    read_one(file, 3, 5000, 1, model.size);
    assert_int_equal(jdb_file_write_atomic(file, jdb_raw_from_slice(scratch, 4096), 0, &report), -ENOTSUP);
    assert_int_not_equal(report.text[0], '\0');
    assert_int_equal(jdb_file_close(file), 0);

    options.policy = JDB_FILE_DIRECT_REQUIRE;
    jdb_file *const before = (jdb_file *)(uintptr_t)1;
    file = before;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), -ENOTSUP);
    assert_ptr_equal(file, before);
    assert_int_equal(report.err, -ENOTSUP);
    assert_non_null(strstr(report.text, "required"));
}

/* A file of 5 bytes, opened with options.access and TRUNCATE: returns what the opening said, *ret_size what it left. */
static int open_truncating(jdb_file_options options, off_t *ret_size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "bytes", 5), 5);
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_TRUNCATE;
    jdb_file *file = NULL;
    const int err = jdb_file_open(path, &options, NULL, &file);
    struct stat now;
    assert_int_equal(fstat(fd, &now), 0);
    *ret_size = now.st_size;
    (void)jdb_file_close(file); /* may be the call that fails */
    (void)close(fd);
    return err;
}

static unsigned opened_count;

/* Every stat behind the opening of the direct descriptor fails. */
static int fail_late_stat(enum os_call kind)
{
    opened_count += kind == OS_CALL_OPEN;
    return kind == OS_CALL_STAT && opened_count > 1 ? -EIO : 0;
}

/* It is the same file: what the stat of the first descriptor has reported holds for the second one. */
static void the_stat_of_one_descriptor_serves_both(void **state)
{
    (void)state;
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    (void)close(fd);
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, NULL, NULL, &file), 0);
    const uint32_t mode = jdb_file_read_mode(file);
    assert_int_equal(jdb_file_close(file), 0);
    opened_count = 0;
    faults_set_hook(fail_late_stat);
    const int err = jdb_file_open(path, NULL, NULL, &file);
    faults_set_hook(NULL);
    assert_int_equal(err, 0);
    assert_true(opened_count > 1);
    const uint32_t now = jdb_file_read_mode(file);
    if (mode == JDB_FILE_MODE_DIRECT)
        assert_true(now == mode || now == JDB_FILE_MODE_UNKNOWN); /* btrfs is asked more than the stat */
    assert_int_equal(jdb_file_close(file), 0);
}

static void what_is_refused_keeps_its_bytes(void **state)
{
    (void)state;
    off_t size = 0;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    assert_int_equal(open_truncating(options, &size), 0);
    assert_int_equal(size, 0);
    bool is_over = false;
    for (unsigned count = 0; !is_over; count++) {
        faults_arm(FAULTS_ANY, count, -ENOMEM);
        const int err = open_truncating(options, &size);
        is_over = !faults_disarm();
        assert_int_equal(size, err == 0 ? 0 : 5);
    }
    snprintf(path, sizeof path, "/dev/shm/jdb_file_test.%ld", (long)getpid());
    options.policy = JDB_FILE_DIRECT_REQUIRE;
    assert_int_equal(open_truncating(options, &size), -ENOTSUP);
    assert_int_equal(size, 5);
}

static void direct_can_be_switched_off(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.policy = JDB_FILE_DIRECT_OFF;
    for (unsigned round = 0; round < 2; round++) {
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        jdb_file *file = NULL;
        assert_int_equal(jdb_file_open(path, &options, &report, &file), 0);
        print_message("without direct: %s\n", jdb_file_mode_name(report.mode));
        assert_true(round == 0 ? report.mode >= JDB_FILE_MODE_UNCACHED : report.mode == JDB_FILE_MODE_BUFFERED);
        write_one(file, 700, 3000, 1, false);
        read_one(file, 0, 10000, 0, model.size);
        assert_int_equal(jdb_file_close(file), 0);
        options.flags = JDB_FILE_NO_UNCACHED;
    }
}

/* Whether a write-only file accepts RWF_DONTCACHE is found by its first write. */
static void a_refused_flag_is_dropped_and_the_write_goes_on(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.policy = JDB_FILE_DIRECT_OFF;
    options.durability = JDB_FILE_DURABLE_DATA;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), 0);
    assert_int_equal(report.mode, JDB_FILE_MODE_UNCACHED);
    assert_int_equal(jdb_file_read_mode(file), JDB_FILE_MODE_UNCACHED);
    const unsigned long syncs = faults_calls(OS_CALL_SYNC);
    faults_arm_all(OS_CALL_WRITE, 0, -EOPNOTSUPP);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(scratch, 100), 0, &report), -EOPNOTSUPP);
    assert_true(faults_disarm());
    assert_int_equal(report.request_count, 2); /* with the flag, and without */
    assert_string_equal(report.call, "pwrite");
    assert_int_equal(jdb_file_write_mode(file), JDB_FILE_MODE_BUFFERED);
    assert_int_equal(jdb_file_read_mode(file), JDB_FILE_MODE_BUFFERED);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(scratch, 100), 0, &report), 0);
    assert_int_equal(faults_calls(OS_CALL_SYNC), syncs + 1);
    jdb_raw view = jdb_raw_new(scratch, 10);
    assert_int_equal(jdb_file_read_full(file, &view, 0, &report), -EBADF);
    assert_int_equal(jdb_file_close(file), 0);
    options.policy = JDB_FILE_DIRECT_PREFER;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), 0);
    if (report.mode == JDB_FILE_MODE_DIRECT) {
        jdb_buf buf = JDB_BUF_INIT;
        dirty_memory(&buf, 65536, 0);
        faults_arm(OS_CALL_WRITE, 0, -EOPNOTSUPP);
        assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr, 65536), 0, &report), 0);
        assert_true(faults_disarm());
        assert_int_equal(report.request_count, 2);               /* with RWF_DSYNC, and without */
        assert_int_equal(faults_calls(OS_CALL_SYNC), syncs + 2); /* the sync that the flag would have been */
        jdb_buf_drop(&buf);
    }
    assert_int_equal(jdb_file_close(file), 0);
}

static void strict_files_copy_nothing_and_say_why(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.flags = JDB_FILE_NO_COPY;
    options.pretend_align = 65536;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), 0);
    if (report.mode > JDB_FILE_MODE_UNKNOWN) {
        assert_int_equal(jdb_file_close(file), 0);
        skip();
    }
    jdb_buf buf = JDB_BUF_INIT;
    dirty_memory(&buf, 131072, 0);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr, 4096), 0, &report), -EINVAL);
    assert_string_equal(report.text, "write refused: length 4096 is 4096 past a multiple of 65536: use 0 or 65536");
    assert_int_equal(report.done_size, 0);
    jdb_raw view = jdb_raw_new(buf.ptr, 65536);
    assert_int_equal(jdb_file_read_full(file, &view, 4096, &report), -EINVAL);
    assert_non_null(strstr(report.text, "offset 4096"));
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr, 65536), 65536, &report), 0);
    assert_int_equal(jdb_file_write_zeros(file, 0, (3 << 20) + 4096, &report), -EINVAL);
    assert_int_equal(report.done_size, 0);
    assert_int_equal(jdb_file_write_zeros(file, 0, 3 << 20, &report), 0);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Atomic writes ------------------------------------------------------------------------------------------ */

/* Where the file has them (xfs on a device with small sectors), and the refusal with its reason everywhere else. */
static void atomic_writes_are_whole_or_refused(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    write_one(file, 0, 262144, 0, false);
    jdb_buf buf = JDB_BUF_INIT;
    uint8_t *const bytes = dirty_memory(&buf, 4 << 20, 0);
    fill(bytes, 131072, 77);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const jdb_raw whole = jdb_raw_from_slice(bytes, limits.atomic_min_size);
    if (limits.atomic_min_size == 0 || jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT) {
        assert_int_equal(jdb_file_write_atomic(file, jdb_raw_from_slice(bytes, 4096), 0, &report), -ENOTSUP);
        assert_non_null(strstr(report.text, "atomic"));
    } else {
        print_message("atomic writes of %u to %u bytes\n", limits.atomic_min_size, limits.atomic_max_size);
        assert_int_equal(jdb_file_write_atomic(file, whole, 4 * (int64_t)whole.len, &report), 0);
        assert_int_equal(report.direct_size, whole.len);
        model_write(4 * whole.len, bytes, whole.len);
        assert_int_equal(jdb_file_write_atomic(file, jdb_raw_from_slice(bytes, whole.len * 3), 0, &report), -EINVAL);
        assert_non_null(strstr(report.text, "power of two"));
        assert_int_equal(jdb_file_write_atomic(file, whole, (int64_t)whole.len / 2, &report), -EINVAL);
        assert_non_null(strstr(report.text, "offset"));
        const jdb_raw odd = jdb_raw_from_slice(bytes + 1, whole.len);
        assert_int_equal(jdb_file_write_atomic(file, odd, 0, &report), -EINVAL);
        assert_non_null(strstr(report.text, "memory"));
        const jdb_raw huge = jdb_raw_from_slice(bytes, 3 << 20);
        assert_int_equal(jdb_file_write_atomic(file, huge, 0, &report), -EINVAL);
    }
    assert_model(false);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

#define THREAD_COUNT 4
#define THREAD_BYTES ((size_t)65536)

struct worker {
    jdb_file *file;
    size_t number;
};

/* Aligned writes and reads within the file, of its own part, while others do so and ask for limits. */
static void *work(void *argument)
{
    const struct worker *const worker = argument;
    const int64_t offset = (int64_t)(worker->number * THREAD_BYTES);
    jdb_buf buf = JDB_BUF_INIT;
    MUST(jdb_buf_with_cap_aligned(&buf, THREAD_BYTES, 65536) == 0);
    const uint64_t rounds = tier_pick(10, 100, 1000);
    for (uint64_t round = 0; round < rounds; round++) {
        const int mark = (int)(round * THREAD_COUNT + worker->number) % 251;
        memset(buf.ptr, mark, THREAD_BYTES);
        MUST(jdb_file_write_full(worker->file, jdb_raw_from_slice(buf.ptr, THREAD_BYTES), offset, NULL) == 0);
        memset(buf.ptr, 255, THREAD_BYTES);
        jdb_raw view = jdb_raw_new(buf.ptr, THREAD_BYTES);
        MUST(jdb_file_read_full(worker->file, &view, offset, NULL) == 0 && view.len == THREAD_BYTES);
        for (size_t i = 0; i < THREAD_BYTES; i++)
            MUST(buf.ptr[i] == mark);
        jdb_direct limits = JDB_DIRECT_INIT;
        MUST(jdb_file_limits(worker->file, &limits) == 0);
    }
    jdb_buf_drop(&buf);
    return NULL;
}

static void threads_share_a_file(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    assert_int_equal(jdb_file_write_zeros(file, 0, THREAD_COUNT * THREAD_BYTES, NULL), 0);
    pthread_t threads[THREAD_COUNT];
    struct worker workers[THREAD_COUNT];
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        workers[i] = (struct worker){.file = file, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Durability --------------------------------------------------------------------------------------------- */

static void durability_costs_what_it_must(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    jdb_buf buf = JDB_BUF_INIT;
    dirty_memory(&buf, 131072, 0);
    const int plain = open(path, O_RDWR | O_CREAT, 0600);
    const bool has_flags = jdb__os_write_at(plain, buf.ptr, 1, 0, OS_IO_DATA_SYNC) == 1; /* not on every system */
    close(plain);
    for (uint32_t durability = 0; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        options.durability = durability;
        jdb_file *file = NULL;
        assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
        unsigned long before = faults_calls(OS_CALL_SYNC);
        const bool is_flag_enough =
            has_flags && durability == JDB_FILE_DURABLE_DATA && jdb_file_write_mode(file) == JDB_FILE_MODE_DIRECT;
        assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr, 131072), 0, NULL), 0);
        assert_int_equal(faults_calls(OS_CALL_SYNC) - before, durability != JDB_FILE_DURABLE_NONE && !is_flag_enough);
        before = faults_calls(OS_CALL_SYNC);
        assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr, 1000), 100, NULL), 0);
        assert_int_equal(faults_calls(OS_CALL_SYNC) - before, durability != JDB_FILE_DURABLE_NONE);
        assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), 0);
        assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_SYNC), 0);
        assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_NONE), -EINVAL);
        assert_int_equal(jdb_file_close(file), 0);
    }
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_file_sync_directory("/var/tmp"), 0);
    assert_int_equal(jdb_file_sync_directory("/var/tmp/no such directory"), -ENOENT);
    assert_int_equal(jdb_file_sync_directory(NULL), -EINVAL);
}

/* ---- Alignments that grow ---------------------------------------------------------------------------- */

/* On xfs the alignment of a file that is reflinked while it is open grows: the write goes on, and limits follow. */
static void a_reflink_copy_is_learned(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    write_one(file, 0, 65536, 0, false);
    char copy_path[600];
    snprintf(copy_path, sizeof copy_path, "%s.copy", path);
    const int copy = open(copy_path, O_RDWR | O_CREAT, 0600);
    const bool is_cloned = ioctl(copy, FICLONE, jdb_file_descriptor(file)) == 0;
    close(copy);
    unlink(copy_path);
    write_one(file, 512, 512, 0, false);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    write_one(file, 8192, 1536, 0, false);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(model.bytes + 4096, 512), 4096, &report), 0);
    if (jdb_file_write_mode(file) ==
        JDB_FILE_MODE_DIRECT) { /* a part of a block goes by the page cache, a whole one does not */
        const bool is_part = limits.write_align > 512;
        const bool is_odd = ((uintptr_t)model.bytes & (limits.memory_align - 1)) != 0;
        assert_int_equal(report.buffered_size, is_part ? 512 : 0);
        assert_int_equal(report.copied_size, !is_part && is_odd ? 512 : 0);
    }
    print_message("%s: write alignment %u (%s)\n", is_cloned ? "reflinked" : "no reflink here", limits.write_align,
                  jdb_direct_source_name(limits.write_source));
    read_one(file, 100, 65536, 0, model.size);
    assert_int_equal(jdb_file_close(file), 0);
}

/* Refuses the first write, and from then on the first trial read of each query of the limits: their alignment is doubled. */
static unsigned growth_step;

static int grow_aligns(enum os_call kind)
{
    if (kind == OS_CALL_WRITE && growth_step == 0) {
        growth_step = 1;
        return -EINVAL;
    }
    if (kind == OS_CALL_READ && growth_step == 1) {
        growth_step = 2;
        return -EINVAL;
    }
    return 0;
}

/* A durable write of one whole block is its own sync. When the block has become larger meanwhile, a part of it goes through the
 * page cache, and a sync follows. */
static void a_durable_write_survives_growing_alignments(void **state)
{
    (void)state;
    jdb_file *const first = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    write_one(first, 0, 262144, 0, false);
    assert_int_equal(jdb_file_close(first), 0);
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    options.durability = JDB_FILE_DURABLE_DATA;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    if (jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT || limits.write_align != limits.read_align) {
        assert_int_equal(jdb_file_close(file), 0);
        skip();
    }
    jdb_buf buf = JDB_BUF_INIT;
    dirty_memory(&buf, 131072, 0);
    const size_t size = limits.write_align;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    growth_step = 0;
    const unsigned long syncs = faults_calls(OS_CALL_SYNC);
    faults_set_hook(grow_aligns);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr, size), (int64_t)size, &report), 0);
    faults_set_hook(NULL);
    assert_int_equal(growth_step, 2);
    jdb_direct known = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_known_limits(file, &known), 0);
    assert_true(known.write_align > limits.write_align);
    assert_int_equal(report.done_size, size);
    assert_int_equal(report.buffered_size, size);
    assert_int_equal(faults_calls(OS_CALL_SYNC) - syncs, 1);
    model_write(size, buf.ptr, size);
    assert_model(false);
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Arguments ---------------------------------------------------------------------------------------------- */

static void bad_options_are_refused(void **state)
{
    (void)state;
    jdb_file *const before = (jdb_file *)(uintptr_t)1;
    jdb_file *file = before;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    static const uint32_t bad_access[] = {JDB_FILE_CREATE, JDB_FILE_READ | JDB_FILE_CREATE,
                                          JDB_FILE_WRITE | JDB_FILE_EXCLUSIVE, 1u << 20 | JDB_FILE_READ};
    for (size_t i = 0; i < sizeof bad_access / sizeof bad_access[0]; i++) {
        jdb_file_options options = JDB_FILE_OPTIONS_INIT;
        options.access = bad_access[i];
        assert_int_equal(jdb_file_open(path, &options, &report, &file), -EINVAL);
    }
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.pretend_align = 1000;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), -EINVAL);
    options = JDB_FILE_OPTIONS_INIT;
    options.reserved[2] = 1;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), -E2BIG);
    options = JDB_FILE_OPTIONS_INIT;
    options.size = 4;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), -EINVAL);
    options = JDB_FILE_OPTIONS_INIT;
    options.policy = 3;
    assert_int_equal(jdb_file_open(path, &options, &report, &file), -EINVAL);
    assert_int_equal(jdb_file_open(NULL, NULL, &report, &file), -EINVAL);
    assert_int_equal(jdb_file_open(path, NULL, &report, NULL), -EINVAL);
    assert_int_equal(jdb_file_open(path, NULL, &report, &file), -ENOENT);
    assert_string_equal(report.call, "open");
    assert_int_equal(report.err, -ENOENT);
    assert_int_equal(jdb_file_open("/", NULL, &report, &file), -ENOTSUP);
    options = (jdb_file_options)JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE;
    assert_int_equal(jdb_file_open("/dev/null", &options, &report, &file), -EEXIST);
    char fifo[sizeof path + 8];
    snprintf(fifo, sizeof fifo, "%s.fifo", path);
    if (mkfifo(fifo, 0600) == 0) {                                 /* vfat has none */
        const int err = jdb_file_open(fifo, NULL, &report, &file); /* and does not wait for a writer */
        unlink(fifo);
        assert_int_equal(err, -ENOTSUP);
        assert_string_equal(report.text, "neither a regular file nor a block device");
    }
    report.size = 8;
    assert_int_equal(jdb_file_open(path, NULL, &report, &file), -EINVAL);
    assert_ptr_equal(file, before);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    jdb_raw view = jdb_raw_from_slice(scratch, 100);
    assert_int_equal(jdb_file_read_full(NULL, &view, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_read_full(file, NULL, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_read_full(file, &view, -1, NULL), -EINVAL);
    assert_int_equal(jdb_file_read_full(file, &view, INT64_MAX - 50, NULL), -EOVERFLOW);
    assert_int_equal(jdb_file_write_full(NULL, view, 0, NULL), -EINVAL);
    assert_int_equal(jdb_file_write_full(file, view, -5, NULL), -EINVAL);
    assert_int_equal(jdb_file_write_full(file, view, INT64_MAX - 50, NULL), -EOVERFLOW);
    assert_int_equal(jdb_file_write_zeros(NULL, 0, 1, NULL), -EINVAL);
    assert_int_equal(jdb_file_write_zeros(file, -1, 1, NULL), -EINVAL);
    assert_int_equal(jdb_file_write_zeros(file, 1, UINT64_MAX, NULL), -EOVERFLOW);
    assert_int_equal(jdb_file_write_zeros(file, 1, 0, NULL), 0);
    assert_int_equal(jdb_file_truncate(file, -1), -EINVAL);
    assert_int_equal(jdb_file_truncate(NULL, 0), -EINVAL);
    assert_int_equal(jdb_file_size(file, NULL), -EINVAL);
    assert_int_equal(jdb_file_limits(NULL, NULL), -EINVAL);
    assert_int_equal(jdb_file_descriptor(NULL), -EINVAL);
    assert_int_equal(jdb_file_close(NULL), 0);
    assert_int_equal(view.len, 100);
    view = jdb_raw_new(NULL, 0);
    assert_int_equal(jdb_file_read_full(file, &view, 0, NULL), 0);
    assert_int_equal(jdb_file_write_full(file, view, 0, NULL), 0);
    assert_model(false);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Every call fails in turn ------------------------------------------------------------------------------- */

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *const directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static uint64_t lent_bytes(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    assert_int_equal(jdb_get_page_stats(&stats), 0);
    return stats.lent_bytes;
}

static int use_file(const jdb_file_options *options, jdb_file_report *report)
{
    jdb_file *file = NULL;
    int err = jdb_file_open(path, options, report, &file);
    if (err != 0) {
        assert_null(file);
        return err;
    }
    jdb_buf buf = JDB_BUF_INIT;
    err = jdb_buf_with_cap(&buf, 65536);
    if (err == 0) {
        memset(buf.ptr, 0xa5, 65536);
        err = jdb_file_write_full(file, jdb_raw_from_slice(buf.ptr + 1, 20000), 777, report);
        assert_true(err != 0 || report->done_size == 20000);
    }
    if (err == 0)
        err = jdb_file_write_zeros(file, 30000, 5000, report);
    jdb_raw view = jdb_raw_new(buf.ptr, buf.cap);
    if (err == 0) {
        err = jdb_file_read_full(file, &view, 100, report);
        assert_int_equal(view.len, report->done_size);
        const bool is_padded = options->tail == JDB_FILE_TAIL_READ_MODIFY_WRITE;
        assert_true(err != 0 || ((view.len == 34900 || (is_padded && view.len > 34900)) && buf.ptr[677] == 0xa5));
        assert_true(err != 0 || report->is_eof == 1);
    }
    jdb_buf_drop(&buf);
    const int close_err = jdb_file_close(file);
    return err != 0 ? err : close_err;
}

static void every_call_fails_in_turn_with(uint32_t tail, uint32_t durability, int fault)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE;
    options.tail = tail;
    options.durability = durability;
    options.copy_size = 4096;
    const unsigned descriptors = open_descriptors();
    const uint64_t lent = lent_bytes();
    unsigned reported = 0;
    unsigned count = 0;
    for (;; count++) {
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        faults_arm(FAULTS_ANY, count, fault);
        const int err = use_file(&options, &report);
        const bool is_over = !faults_disarm();
        assert_int_equal(open_descriptors(), descriptors);
        assert_int_equal(lent_bytes(), lent);
        reported += err != 0;
        /* Whatever the system says to the allocator, a buffer is not to be had: -ENOMEM. */
        if (err != 0 && err != fault && err != -ENOTSUP && err != -ENOMEM)
            fail_msg("call %u failing with %s: %s", count, strerror(-fault), strerror(-err));
        if (is_over)
            break;
    }
    print_message("tail %u, durability %u, %s: %u calls failed, %u errors reported\n", tail, durability,
                  strerror(-fault), count, reported);
    assert_true(count >= 10 && reported > 5);
}

static void every_call_fails_in_turn(void **state)
{
    (void)state;
    every_call_fails_in_turn_with(JDB_FILE_TAIL_BUFFERED, JDB_FILE_DURABLE_NONE, -EIO);
    every_call_fails_in_turn_with(JDB_FILE_TAIL_READ_MODIFY_WRITE, JDB_FILE_DURABLE_DATA, -ENOSPC);
    every_call_fails_in_turn_with(JDB_FILE_TAIL_BUFFERED, JDB_FILE_DURABLE_SYNC, -EIO);
    every_call_fails_in_turn_with(JDB_FILE_TAIL_BUFFERED, JDB_FILE_DURABLE_NONE, -ENOMEM);
}

/* A write that fails in the middle reports its progress, and the bytes up to there are the new ones. */
static void a_failed_write_reports_its_progress(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.copy_size = 8192;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    jdb_buf buf = JDB_BUF_INIT;
    uint8_t *const bytes = dirty_memory(&buf, 100000, 1);
    fill(bytes, 100000, 3);
    for (unsigned after = 0;; after++) {
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        assert_int_equal(jdb_file_truncate(file, 0), 0);
        faults_arm(OS_CALL_WRITE, after, -ENOSPC);
        const int err = jdb_file_write_full(file, jdb_raw_from_slice(bytes, 100000), 1000, &report);
        if (!faults_disarm())
            break;
        assert_int_equal(err, -ENOSPC);
        assert_string_equal(report.call, "pwrite");
        assert_non_null(strstr(report.text, "No space left"));
        jdb_raw view = jdb_raw_new(scratch, 100000);
        assert_int_equal(jdb_file_read_full(file, &view, 1000, NULL), 0);
        assert_true(view.len >= report.done_size);
        assert_memory_equal(scratch, bytes, report.done_size);
        assert_int_equal(jdb_file_error(file), -ENOSPC);
        assert_int_equal(jdb_file_clear_error(file), 0);
    }
    jdb_buf_drop(&buf);
    assert_int_equal(jdb_file_close(file), 0);
}

/* Memory of the library is pinned during a call, and no longer; a failure changes nothing in that. */
static void no_call_keeps_a_pin(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    jdb_buf buf = JDB_BUF_INIT;
    dirty_memory(&buf, 65536, 0);
    const jdb_raw whole = jdb_raw_from_slice(buf.ptr, 65536);
    for (int fault = 0; fault >= -EIO; fault -= EIO) {
        if (fault != 0)
            faults_arm_all(OS_CALL_WRITE, 0, fault);
        assert_int_equal(jdb_file_write_full(file, whole, 0, NULL), fault);
        assert_false(jdb_is_pinned(buf.ptr, buf.cap));
        (void)jdb_file_write_atomic(file, whole, 0, NULL);
        assert_false(jdb_is_pinned(buf.ptr, buf.cap));
        faults_disarm();
        if (fault != 0)
            faults_arm_all(OS_CALL_READ, 0, fault);
        jdb_raw view = jdb_raw_new(buf.ptr, 65536);
        assert_int_equal(jdb_file_read_full(file, &view, 0, NULL), fault);
        assert_false(jdb_is_pinned(buf.ptr, buf.cap));
        faults_disarm();
    }
    assert_int_equal(jdb_unpin(buf.ptr, buf.cap), -EINVAL);
    jdb_buf_drop(&buf);
    (void)jdb_file_clear_error(file);
    assert_int_equal(jdb_file_close(file), 0);
}

/* An EINVAL from a file whose limits have not changed is reported, not repeated for ever. */
static void a_lasting_refusal_ends(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    write_one(file, 0, 65536, 0, false);
    jdb_raw view = jdb_raw_new(scratch, 65536);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    faults_arm_all(OS_CALL_WRITE, 0, -EINVAL);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(scratch, 65536), 0, &report), -EINVAL);
    faults_disarm();
    assert_string_equal(report.call, "pwrite");
    faults_arm_all(OS_CALL_READ, 0, -EINVAL);
    assert_int_equal(jdb_file_read_full(file, &view, 0, &report), -EINVAL);
    faults_disarm();
    assert_string_equal(report.call, "pread");
    assert_int_equal(view.len, 0);
    assert_int_equal(jdb_file_close(file), 0);
}

/* A request is never larger than what the kernel moves. It fails before it reaches the memory, which is not there. */
static void a_request_has_at_most_two_gigabytes(void **state)
{
    (void)state;
    const size_t size = (size_t)3 << 30;
    void *const memory = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    for (uint32_t policy = JDB_FILE_DIRECT_PREFER; policy <= JDB_FILE_DIRECT_OFF; policy += 2) {
        jdb_file_options options = JDB_FILE_OPTIONS_INIT;
        options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
        options.policy = policy;
        jdb_file *file = NULL;
        assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        jdb_raw view = jdb_raw_new(memory, size);
        faults_arm(OS_CALL_READ, 0, -EIO);
        assert_int_equal(jdb_file_read_full(file, &view, 0, &report), -EIO);
        assert_true(faults_disarm());
        assert_non_null(strstr(report.text, " 2147479552 bytes"));
        faults_arm(OS_CALL_WRITE, 0, -EFBIG);
        assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(memory, size), 0, &report), -EFBIG);
        assert_true(faults_disarm());
        assert_non_null(strstr(report.text, " 2147479552 bytes"));
        assert_int_equal(jdb_file_close(file), 0);
    }
    munmap(memory, size);
}

static void a_failed_read_reports_its_progress(void **state)
{
    (void)state;
    jdb_file *const file = open_with(JDB_FILE_TAIL_BUFFERED, 0);
    write_one(file, 0, 100000, 0, false);
    for (unsigned after = 0;; after++) {
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        jdb_raw view = jdb_raw_new(scratch + 1, 90000);
        faults_arm(OS_CALL_READ, after, -EIO);
        const int err = jdb_file_read_full(file, &view, 333, &report);
        if (!faults_disarm())
            break;
        assert_int_equal(err, -EIO);
        assert_int_equal(view.len, report.done_size);
        assert_memory_equal(view.ptr, model.bytes + 333, view.len);
    }
    assert_int_equal(jdb_file_close(file), 0);
}

int main(void)
{
#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)
    const struct CMUnitTest tests[] = {
        WITH_PATH(every_size_with_a_buffered_tail),
        WITH_PATH(every_size_read_modified_written),
        WITH_PATH(every_size_as_if_blocks_were_larger),
        WITH_PATH(random_operations),
        WITH_PATH(a_direct_file_says_so_and_counts),
        WITH_PATH(buffered_files_are_named_and_refused_where_direct_is_required),
        WITH_PATH(the_stat_of_one_descriptor_serves_both),
        WITH_PATH(what_is_refused_keeps_its_bytes),
        WITH_PATH(direct_can_be_switched_off),
        WITH_PATH(a_refused_flag_is_dropped_and_the_write_goes_on),
        WITH_PATH(strict_files_copy_nothing_and_say_why),
        WITH_PATH(atomic_writes_are_whole_or_refused),
        WITH_PATH(threads_share_a_file),
        WITH_PATH(durability_costs_what_it_must),
        WITH_PATH(a_reflink_copy_is_learned),
        WITH_PATH(a_durable_write_survives_growing_alignments),
        WITH_PATH(bad_options_are_refused),
        WITH_PATH(bad_requests_are_refused),
        WITH_PATH(every_call_fails_in_turn),
        WITH_PATH(a_failed_write_reports_its_progress),
        WITH_PATH(no_call_keeps_a_pin),
        WITH_PATH(a_lasting_refusal_ends),
        WITH_PATH(a_failed_read_reports_its_progress),
        WITH_PATH(a_request_has_at_most_two_gigabytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
