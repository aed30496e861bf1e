/* SPDX-License-Identifier: MIT
 *
 * file_order_test.c - independent writers: none overwrites what another has written, within a block, at the end of the file,
 * through one jdb_file, through two, and from two processes. Runs in TMPDIR (default /var/tmp).
 *
 * JDB_TEST_DEVICE: a block device made for this test, of a size that is no multiple of 4096.
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "file/lock.h"
#include "file/span.h"
#include "must.h"
#include "tier.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char path[512];

static int make_path(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_order_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
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

static jdb_file *open_with(uint32_t tail, uint32_t durability)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.tail = tail;
    options.durability = durability;
    jdb_file *file = NULL;
    MUST(jdb_file_open(path, &options, NULL, &file) == 0);
    return file;
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static int put(jdb_file *file, const void *bytes, size_t size, int64_t offset)
{
    const jdb_raw view = jdb_raw_from_slice((void *)(uintptr_t)bytes, size);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const int err = jdb_file_write_full(file, view, offset, &report);
    if (err != 0)
        fprintf(stderr, "%s (%s)\n", report.text, jdb_strerror(err));
    return err;
}

/* The bytes as they are in the file, by plain means. */
static size_t get(void *bytes, size_t size, int64_t offset)
{
    const int fd = open(path, O_RDONLY);
    MUST(fd >= 0);
    const ssize_t got = pread(fd, bytes, size, offset);
    MUST(got >= 0 && close(fd) == 0);
    return (size_t)got;
}

static bool is_filled(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* ---- One writer stands still in the middle of its work ------------------------------------------------------ */

#define BLOCK ((size_t)4096)

static pthread_t slow_thread;
static enum os_call slow_call;
static atomic_int slow_calls_left; /* of the kind, before the one that stands still */
static atomic_bool is_slow_set, is_standing, may_go;

static int stand_still(enum os_call kind)
{
    if (!atomic_load(&is_slow_set) || kind != slow_call || !pthread_equal(pthread_self(), slow_thread))
        return 0;
    if (atomic_fetch_sub(&slow_calls_left, 1) != 0)
        return 0;
    atomic_store(&is_standing, true);
    while (!atomic_load(&may_go))
        sleep_ms(1);
    return 0;
}

struct put_job {
    jdb_file *file;
    const uint8_t *bytes;
    size_t size;
    int64_t offset;
    bool is_slow;
    atomic_bool is_done;
};

static void *run_put(void *argument)
{
    struct put_job *const job = argument;
    if (job->is_slow) {
        slow_thread = pthread_self();
        atomic_store(&is_slow_set, true);
    }
    MUST(put(job->file, job->bytes, job->size, job->offset) == 0);
    atomic_store(&job->is_done, true);
    return NULL;
}

static void arm_stand_still(enum os_call kind)
{
    slow_call = kind;
    atomic_store(&slow_calls_left, 0);
    atomic_store(&is_slow_set, false);
    atomic_store(&is_standing, false);
    atomic_store(&may_go, false);
    faults_set_hook(stand_still);
}

/* The slow write stands still before the first call of the kind, the other one comes, the slow one goes on. Returns whether
 * the other one had to wait. The slow one may have no such call: then it just comes first. The
 * other one has waited when it is not done after patience_ms. */
static bool meet(struct put_job *slow, struct put_job *other, enum os_call kind, unsigned patience_ms)
{
    pthread_t threads[2];
    slow->is_slow = true;
    arm_stand_still(kind);
    MUST(pthread_create(&threads[0], NULL, run_put, slow) == 0);
    while (!atomic_load(&is_standing) && !atomic_load(&slow->is_done))
        sleep_ms(1);
    MUST(pthread_create(&threads[1], NULL, run_put, other) == 0);
    for (unsigned ms = 0; ms < patience_ms && !atomic_load(&other->is_done); ms++)
        sleep_ms(1);
    const bool has_waited = !atomic_load(&other->is_done);
    atomic_store(&may_go, true);
    MUST(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
    faults_set_hook(NULL);
    return has_waited;
}

static uint8_t ones[4 * BLOCK];
static uint8_t twos[4 * BLOCK] __attribute__((aligned(4096)));
static uint8_t seen[16 * BLOCK];

static void fill_patterns(void)
{
    memset(ones, 1, sizeof ones);
    memset(twos, 2, sizeof twos);
}

/* Two parts of one block, the first writer between its read of the block and its write. */
static void meet_in_a_block(uint32_t tail, bool is_other_file)
{
    fill_patterns();
    jdb_file *const file = open_with(tail, JDB_FILE_DURABLE_NONE);
    jdb_file *const second = is_other_file ? open_with(tail, JDB_FILE_DURABLE_NONE) : file;
    MUST(jdb_file_write_zeros(file, 0, 4 * BLOCK, NULL) == 0);
    struct put_job slow = {.file = file, .bytes = ones, .size = 50, .offset = 10};
    struct put_job other = {.file = second, .bytes = twos, .size = 50, .offset = 100};
    (void)meet(&slow, &other, OS_CALL_WRITE, 100);
    assert_int_equal(get(seen, sizeof seen, 0), 4 * BLOCK);
    assert_true(is_filled(seen, 10, 0) && is_filled(seen + 10, 50, 1) && is_filled(seen + 60, 40, 0));
    assert_true(is_filled(seen + 100, 50, 2) && is_filled(seen + 150, 2 * BLOCK, 0));
    if (is_other_file)
        assert_int_equal(jdb_file_close(second), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

static void two_parts_of_a_block_are_both_kept(void **state)
{
    (void)state;
    meet_in_a_block(JDB_FILE_TAIL_BUFFERED, false);
    meet_in_a_block(JDB_FILE_TAIL_BUFFERED, true);
    meet_in_a_block(JDB_FILE_TAIL_READ_MODIFY_WRITE, false);
    meet_in_a_block(JDB_FILE_TAIL_READ_MODIFY_WRITE, true);
}

/* A whole block that comes while a part of it is modified: only the part may be as it was before. */
static void a_whole_block_is_not_undone(void **state)
{
    (void)state;
    static const uint32_t tails[] = {JDB_FILE_TAIL_BUFFERED, JDB_FILE_TAIL_READ_MODIFY_WRITE};
    fill_patterns();
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        jdb_file *const file = open_with(tails[i], JDB_FILE_DURABLE_NONE);
        MUST(jdb_file_write_zeros(file, 0, 4 * BLOCK, NULL) == 0);
        struct put_job slow = {.file = file, .bytes = ones, .size = 50, .offset = 10};
        struct put_job other = {.file = file, .bytes = twos, .size = 2 * BLOCK, .offset = 0};
        (void)meet(&slow, &other, OS_CALL_WRITE, 100);
        assert_int_equal(get(seen, sizeof seen, 0), 4 * BLOCK);
        assert_true(is_filled(seen, 10, 2) && is_filled(seen + 60, 2 * BLOCK - 60, 2));
        assert_int_equal(jdb_file_close(file), 0);
    }
}

/* Blocks that do not overlap do not wait for each other. */
static void other_blocks_do_not_wait(void **state)
{
    (void)state;
    fill_patterns();
    jdb_file *const file = open_with(JDB_FILE_TAIL_READ_MODIFY_WRITE, JDB_FILE_DURABLE_NONE);
    MUST(jdb_file_write_zeros(file, 0, 4 * BLOCK, NULL) == 0);
    struct put_job slow = {.file = file, .bytes = ones, .size = 50, .offset = 10};
    struct put_job other = {.file = file, .bytes = twos, .size = BLOCK, .offset = BLOCK};
    assert_false(meet(&slow, &other, OS_CALL_WRITE, 20000));
    struct put_job again = {.file = file, .bytes = ones, .size = 50, .offset = 10};
    struct put_job overlapping = {.file = file, .bytes = twos, .size = BLOCK, .offset = 0};
    assert_true(meet(&again, &overlapping, OS_CALL_WRITE, 100));
    assert_int_equal(jdb_file_close(file), 0);
}

/* A write inside the last block, which is not whole, and a durable append behind it. */
static void an_append_is_not_cut_off(void **state)
{
    (void)state;
    fill_patterns();
    jdb_file *const file = open_with(0, JDB_FILE_DURABLE_DATA);
    assert_int_equal(put(file, ones, 5000, 0), 0);
    struct put_job slow = {.file = file, .bytes = ones, .size = 100, .offset = 4700};
    struct put_job other = {.file = file, .bytes = twos, .size = BLOCK, .offset = 2 * (int64_t)BLOCK};
    (void)meet(&slow, &other, OS_CALL_TRUNCATE, 100);
    assert_int_equal(get(seen, sizeof seen, 0), 3 * BLOCK);
    assert_true(is_filled(seen, 5000, 1) && is_filled(seen + 5000, 2 * BLOCK - 5000, 0));
    assert_true(is_filled(seen + 2 * BLOCK, BLOCK, 2));
    assert_int_equal(jdb_file_close(file), 0);
}

static void *run_truncate(void *argument)
{
    struct put_job *const job = argument;
    MUST(jdb_file_truncate(job->file, job->offset) == 0);
    atomic_store(&job->is_done, true);
    return NULL;
}

/* A block that is being modified is not written back behind the new end. */
static void a_truncate_waits_for_the_block_behind_it(void **state)
{
    (void)state;
    fill_patterns();
    jdb_file *const file = open_with(JDB_FILE_TAIL_READ_MODIFY_WRITE, JDB_FILE_DURABLE_NONE);
    if (jdb_file_write_mode(file) > JDB_FILE_MODE_UNKNOWN) {
        assert_int_equal(jdb_file_close(file), 0);
        skip();
    }
    MUST(jdb_file_write_zeros(file, 0, 4 * BLOCK, NULL) == 0);
    struct put_job slow = {.file = file, .bytes = ones, .size = 50, .offset = 3 * (int64_t)BLOCK, .is_slow = true};
    struct put_job cut = {.file = file, .offset = 2 * (int64_t)BLOCK};
    pthread_t threads[2];
    arm_stand_still(OS_CALL_WRITE);
    assert_int_equal(pthread_create(&threads[0], NULL, run_put, &slow), 0);
    while (!atomic_load(&is_standing))
        sleep_ms(1);
    assert_int_equal(pthread_create(&threads[1], NULL, run_truncate, &cut), 0);
    sleep_ms(50);
    assert_false(atomic_load(&cut.is_done));
    atomic_store(&may_go, true);
    assert_int_equal(pthread_join(threads[0], NULL) + pthread_join(threads[1], NULL), 0);
    int64_t size = 0;
    assert_int_equal(jdb_file_size(file, &size), 0);
    assert_int_equal(size, 2 * BLOCK);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- All at once -------------------------------------------------------------------------------------------- */

#define PARTS 4u
#define PART_SIZE 33u /* so that parts share every block of 512 bytes */

static atomic_bool is_over;

struct part {
    jdb_file *file;
    unsigned number;
    uint64_t rounds;
};

/* Each writes its own part of one block again and again, and finds it as it was written. */
static void *write_part(void *argument)
{
    const struct part *const part = argument;
    const int64_t offset = 7 + (int64_t)part->number * PART_SIZE;
    uint8_t bytes[PART_SIZE];
    uint8_t back[PART_SIZE];
    for (uint64_t round = 1; round <= part->rounds; round++) {
        memset(bytes, (int)(round % 250 + 1), sizeof bytes);
        MUST(put(part->file, bytes, sizeof bytes, offset) == 0);
        jdb_raw view = jdb_raw_new(back, sizeof back);
        MUST(jdb_file_read_full(part->file, &view, offset, NULL) == 0 && view.len == sizeof back);
        MUST(memcmp(bytes, back, sizeof bytes) == 0);
    }
    return NULL;
}

static void write_parts(uint32_t tail, unsigned file_count)
{
    jdb_file *files[2] = {open_with(tail, JDB_FILE_DURABLE_NONE), open_with(tail, JDB_FILE_DURABLE_NONE)};
    MUST(jdb_file_write_zeros(files[0], 0, 4 * BLOCK, NULL) == 0);
    pthread_t threads[PARTS];
    struct part parts[PARTS];
    for (unsigned i = 0; i < PARTS; i++) {
        parts[i] = (struct part){.file = files[i % file_count], .number = i, .rounds = tier_pick(200, 2000, 50000)};
        assert_int_equal(pthread_create(&threads[i], NULL, write_part, &parts[i]), 0);
    }
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(jdb_file_close(files[0]), 0);
    assert_int_equal(jdb_file_close(files[1]), 0);
}

static void parts_of_a_block_by_many_threads(void **state)
{
    (void)state;
    write_parts(JDB_FILE_TAIL_BUFFERED, 1);
    write_parts(JDB_FILE_TAIL_BUFFERED, 2);
    write_parts(JDB_FILE_TAIL_READ_MODIFY_WRITE, 1);
    write_parts(JDB_FILE_TAIL_READ_MODIFY_WRITE, 2);
}

static void write_second_part(void *argument)
{
    (void)argument;
    alarm(300);
    struct part part = {
        .file = open_with(0, JDB_FILE_DURABLE_NONE), .number = 1, .rounds = tier_pick(300, 3000, 50000)};
    (void)write_part(&part);
    MUST(jdb_file_close(part.file) == 0);
}

static void *write_first_part(void *argument)
{
    struct part part = {.file = argument, .number = 0, .rounds = tier_pick(300, 3000, 50000)};
    return write_part(&part);
}

/* The same from two processes, with the default strategy. */
static void parts_of_a_block_by_two_processes(void **state)
{
    (void)state;
    jdb_file *const file = open_with(0, JDB_FILE_DURABLE_NONE);
    MUST(jdb_file_write_zeros(file, 0, 4 * BLOCK, NULL) == 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_first_part, file), 0);
    char text[400];
    const int status = must_run_child(write_second_part, NULL, text, sizeof text);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (status != 0)
        print_message("%s\n", text);
    assert_int_equal(status, 0);
    assert_int_equal(jdb_file_close(file), 0);
}

#define OLD_SIZE ((size_t)5000)

static void *overwrite_inside(void *argument)
{
    while (!atomic_load(&is_over))
        MUST(put(argument, ones, 100, 4700) == 0);
    return NULL;
}

static atomic_uint truncations; /* begun and ended: odd while one is going on */

/* Sees the old bytes, or these and the hole and the append: no padding. A read during a truncation may end at the block of the
   new end: btrfs gives that to pread() too, where others write in that block. */
static void *read_all(void *argument)
{
    static uint8_t bytes[4 * BLOCK];
    while (!atomic_load(&is_over)) {
        const unsigned before = atomic_load(&truncations);
        jdb_raw view = jdb_raw_new(bytes, sizeof bytes);
        MUST(jdb_file_read_full(argument, &view, 0, NULL) == 0);
        const bool is_truncated = before % 2 != 0 || atomic_load(&truncations) != before;
        MUST(view.len == OLD_SIZE || view.len == 3 * BLOCK || (is_truncated && view.len == 2 * BLOCK));
    }
    return NULL;
}

/* Durable appends during writes inside the last block, through the same file or another one. */
static void append_during(jdb_file *file, jdb_file *second)
{
    fill_patterns();
    assert_int_equal(put(file, ones, OLD_SIZE, 0), 0);
    pthread_t threads[2];
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&threads[0], NULL, overwrite_inside, second), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, read_all, file), 0);
    const uint64_t rounds = tier_pick(60, 600, 6000);
    for (uint64_t round = 0; round < rounds; round++) {
        atomic_fetch_add(&truncations, 1);
        assert_int_equal(jdb_file_truncate(file, (int64_t)OLD_SIZE), 0);
        atomic_fetch_add(&truncations, 1);
        assert_int_equal(put(file, twos, BLOCK, 2 * (int64_t)BLOCK), 0);
        sleep_ms(1);
        int64_t size = 0;
        assert_int_equal(jdb_file_size(file, &size), 0);
        assert_int_equal(size, 3 * BLOCK);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(get(seen, sizeof seen, 0), 3 * BLOCK);
    assert_true(is_filled(seen, OLD_SIZE, 1) && is_filled(seen + 2 * BLOCK, BLOCK, 2));
}

static void appends_during_writes_inside(void **state)
{
    (void)state;
    jdb_file *const file = open_with(0, JDB_FILE_DURABLE_DATA);
    jdb_file *const second = open_with(0, JDB_FILE_DURABLE_DATA);
    append_during(file, file);
    append_during(file, second);
    assert_int_equal(jdb_file_close(second), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

#define RECORD_SIZE ((size_t)333)

static atomic_size_t next_record;

struct appender {
    jdb_file *file;
    size_t count;
};

static void *append_records(void *argument)
{
    const struct appender *const appender = argument;
    uint8_t bytes[RECORD_SIZE];
    for (;;) {
        const size_t number = atomic_fetch_add(&next_record, 1);
        if (number >= appender->count)
            return NULL;
        memset(bytes, (int)(number % 255 + 1), sizeof bytes);
        MUST(put(appender->file, bytes, sizeof bytes, (int64_t)(number * RECORD_SIZE)) == 0);
    }
}

/* Records that share blocks, by several threads: all of them are there, and the size is exact where it is promised. */
static void append_with(uint32_t tail)
{
    jdb_file *const file = open_with(tail, JDB_FILE_DURABLE_NONE);
    assert_int_equal(jdb_file_truncate(file, 0), 0);
    atomic_store(&next_record, 0);
    struct appender appender = {.file = file, .count = (size_t)tier_pick(500, 5000, 50000)};
    pthread_t threads[PARTS];
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_records, &appender), 0);
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    int64_t size = 0;
    assert_int_equal(jdb_file_size(file, &size), 0);
    assert_true(size >= (int64_t)(appender.count * RECORD_SIZE));
    assert_true(tail == JDB_FILE_TAIL_READ_MODIFY_WRITE || size == (int64_t)(appender.count * RECORD_SIZE));
    uint8_t bytes[RECORD_SIZE];
    for (size_t number = 0; number < appender.count; number++) {
        assert_int_equal(get(bytes, sizeof bytes, (int64_t)(number * RECORD_SIZE)), sizeof bytes);
        assert_true(is_filled(bytes, sizeof bytes, (uint8_t)(number % 255 + 1)));
    }
    assert_int_equal(jdb_file_close(file), 0);
}

static void records_that_share_blocks(void **state)
{
    (void)state;
    append_with(JDB_FILE_TAIL_BUFFERED);
    append_with(JDB_FILE_TAIL_READ_MODIFY_WRITE);
}

/* ---- Block devices ------------------------------------------------------------------------------------------ */

static jdb_file *open_device(const char *device, uint32_t tail, uint32_t align)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    options.tail = tail;
    options.write_align = align;
    options.read_align = align;
    jdb_file *file = NULL;
    MUST(jdb_file_open(device, &options, NULL, &file) == 0);
    return file;
}

static void parts_of_a_block_of_a_device(const char *device, uint32_t tail)
{
    jdb_file *const file = open_device(device, tail, 0);
    pthread_t threads[PARTS];
    struct part parts[PARTS];
    for (unsigned i = 0; i < PARTS; i++) {
        parts[i] = (struct part){.file = file, .number = i, .rounds = tier_pick(200, 2000, 20000)};
        assert_int_equal(pthread_create(&threads[i], NULL, write_part, &parts[i]), 0);
    }
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(ones, 100), 1000, &report), 0);
    assert_int_equal(report.buffered_size, 0); /* whatever the strategy */
    assert_int_equal(jdb_file_close(file), 0);
}

/* Blocks of 4096 by override, and a last one that the device has a part of. */
static void the_last_part_of_a_device_is_written(const char *device)
{
    jdb_file *const file = open_device(device, 0, 4096);
    int64_t size = 0;
    assert_int_equal(jdb_file_size(file, &size), 0);
    assert_int_not_equal(size % 4096, 0);
    const int64_t offset = size - 200;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(ones, 100), offset, &report), 0);
    assert_int_equal(report.done_size, 100);
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(twos, 8100), offset - 8000, &report), 0);
    struct put_job slow = {.file = file, .bytes = ones, .size = 50, .offset = 10};
    struct put_job other = {.file = file, .bytes = twos, .size = 100, .offset = offset};
    assert_true(meet(&slow, &other, OS_CALL_WRITE, 100)); /* by the page cache: all of the device waits */
    assert_int_equal(jdb_file_close(file), 0);
    const int fd = open(device, O_RDONLY);
    assert_int_equal(pread(fd, seen, 8200, offset - 8000), 8200);
    close(fd);
    assert_true(is_filled(seen, 8100, 2));
}

static void devices_keep_every_part(void **state)
{
    (void)state;
    const char *const device = getenv("JDB_TEST_DEVICE");
    if (device == NULL) {
        print_message("no JDB_TEST_DEVICE\n");
        skip();
    }
    fill_patterns();
    parts_of_a_block_of_a_device(device, JDB_FILE_TAIL_BUFFERED);
    parts_of_a_block_of_a_device(device, JDB_FILE_TAIL_READ_MODIFY_WRITE);
    the_last_part_of_a_device_is_written(device);
}

/* ---- Spans and fork() --------------------------------------------------------------------------------------- */

static void write_in_child(void *argument)
{
    alarm(20);
    faults_set_hook(NULL);
    MUST(put(argument, twos, 50, 100) == 0);
}

/* A child does not wait for a thread of its parent that is not there. */
static void a_child_does_not_wait_for_its_parent(void **state)
{
    (void)state;
    fill_patterns();
    jdb_file *const file = open_with(JDB_FILE_TAIL_READ_MODIFY_WRITE, JDB_FILE_DURABLE_NONE);
    MUST(jdb_file_write_zeros(file, 0, BLOCK, NULL) == 0);
    struct put_job slow = {.file = file, .bytes = ones, .size = 50, .offset = 10, .is_slow = true};
    pthread_t thread;
    arm_stand_still(OS_CALL_WRITE);
    assert_int_equal(pthread_create(&thread, NULL, run_put, &slow), 0);
    while (!atomic_load(&is_standing))
        sleep_ms(1);
    char text[400];
    assert_int_equal(must_run_child(write_in_child, file, text, sizeof text), 0);
    atomic_store(&may_go, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

static struct jdb__file_lock held_lock;

static void lock_in_child(void *argument)
{
    (void)argument;
    alarm(20);
    for (unsigned i = 0; i < 3; i++) {
        MUST(jdb__file_lock(&held_lock) != 0);
        jdb__file_unlock(&held_lock);
    }
}

static void a_child_takes_over_a_lock(void **state)
{
    (void)state;
    assert_true(jdb__file_lock(&held_lock) != 0);
    char text[400];
    assert_int_equal(must_run_child(lock_in_child, NULL, text, sizeof text), 0);
    jdb__file_unlock(&held_lock);
    lock_in_child(NULL);
    alarm(0);
}

static uint64_t guarded;

static void *count_guarded(void *argument)
{
    for (uint64_t i = 0; i < *(const uint64_t *)argument; i++) {
        (void)jdb__file_lock(&held_lock);
        guarded++;
        jdb__file_unlock(&held_lock);
    }
    return NULL;
}

static void a_lock_excludes(void **state)
{
    (void)state;
    uint64_t rounds = tier_pick(20000, 200000, 2000000);
    pthread_t threads[PARTS];
    guarded = 0;
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_guarded, &rounds), 0);
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(guarded, PARTS * rounds);
}

#define CELLS 16u

static uint32_t cells[CELLS]; /* how many spans hold each */
static unsigned spans_at_once, most_at_once;

/* Spans of random ranges and of two files: each cell is held by one at most; cells of the other file are not waited for. */
static void *hold_spans(void *argument)
{
    const uint64_t seed = (uint64_t)(uintptr_t)argument;
    uint64_t random = seed * 2654435761u + 1;
    const uint64_t rounds = tier_pick(5000, 50000, 500000);
    for (uint64_t i = 0; i < rounds; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const uint64_t start = (random >> 33) % CELLS;
        const uint64_t end = start + 1 + (random >> 48) % (CELLS - start);
        struct jdb__file_span span = {.device = 1, .inode = 2, .start = start, .end = end};
        jdb__file_span_take(&span);
        const unsigned now = __atomic_add_fetch(&spans_at_once, 1, __ATOMIC_RELAXED);
        if (now > __atomic_load_n(&most_at_once, __ATOMIC_RELAXED))
            __atomic_store_n(&most_at_once, now, __ATOMIC_RELAXED);
        for (uint64_t cell = start; cell < end; cell++)
            MUST(cells[cell]++ == 0); /* not atomic: the span is what orders it */
        for (uint64_t cell = start; cell < end; cell++)
            cells[cell]--;
        __atomic_sub_fetch(&spans_at_once, 1, __ATOMIC_RELAXED);
        jdb__file_span_give(&span);
    }
    return NULL;
}

static void spans_exclude_each_other(void **state)
{
    (void)state;
    pthread_t threads[PARTS];
    for (uintptr_t i = 0; i < PARTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_spans, (void *)i), 0);
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    print_message("at most %u spans at once\n", most_at_once);
}

static void spans_that_do_not_overlap_are_granted_at_once(void **state)
{
    (void)state;
    struct jdb__file_span first = {.device = 1, .inode = 2, .start = 100, .end = 200};
    struct jdb__file_span behind = {.device = 1, .inode = 2, .start = 200, .end = 300};
    struct jdb__file_span before = {.device = 1, .inode = 2, .start = 0, .end = 100};
    struct jdb__file_span other_file = {.device = 1, .start = 100, .end = 200};
    struct jdb__file_span other_device = {.inode = 2, .start = 100, .end = 200};
    alarm(20); /* a span that waits here waits for ever */
    jdb__file_span_take(&first);
    jdb__file_span_take(&behind);
    jdb__file_span_take(&before);
    for (uint64_t number = 10; number < 1000; number++) { /* so that some share their list with the first */
        other_file.inode = number;
        other_device.device = number;
        jdb__file_span_take(&other_file);
        jdb__file_span_take(&other_device);
        jdb__file_span_give(&other_device);
        jdb__file_span_give(&other_file);
    }
    jdb__file_span_give(&before);
    jdb__file_span_give(&first);
    jdb__file_span_give(&behind);
    alarm(0);
}

int main(void)
{
#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)
    const struct CMUnitTest tests[] = {
        WITH_PATH(two_parts_of_a_block_are_both_kept),
        WITH_PATH(a_whole_block_is_not_undone),
        WITH_PATH(other_blocks_do_not_wait),
        WITH_PATH(an_append_is_not_cut_off),
        WITH_PATH(a_truncate_waits_for_the_block_behind_it),
        WITH_PATH(parts_of_a_block_by_many_threads),
        WITH_PATH(parts_of_a_block_by_two_processes),
        WITH_PATH(appends_during_writes_inside),
        WITH_PATH(records_that_share_blocks),
        WITH_PATH(devices_keep_every_part),
        WITH_PATH(a_child_does_not_wait_for_its_parent),
        cmocka_unit_test(a_child_takes_over_a_lock),
        cmocka_unit_test(a_lock_excludes),
        cmocka_unit_test(spans_exclude_each_other),
        cmocka_unit_test(spans_that_do_not_overlap_are_granted_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
