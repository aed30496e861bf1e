/* SPDX-License-Identifier: MIT
 *
 * file_error_test.c - errors of writes and syncs that the kernel reports once, to one thread: no thread treats lost bytes as
 * durable afterwards. Runs in TMPDIR (default /var/tmp).
 *
 * JDB_TEST_SICK_FILE: a file of 20 MiB of which the part behind 16 MiB cannot be written to the device.
 * JDB_TEST_SYNC_FAILS: a file whose first fsync fails and all later ones succeed.
 * JDB_TEST_WRITEBACK_REFUSED: a file whose first writeback is refused with EINTR or EAGAIN and all later ones succeed.
 * JDB_TEST_WRITEBACK_LOST: a file whose first writeback fails and all later ones succeed.
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "file/file_internal.h"
#include "must.h"
#include "tier.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char path[512];
static uint8_t bytes[16384] __attribute__((aligned(4096)));

static int make_path(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_error_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    unlink(path);
    memset(bytes, 0x3c, sizeof bytes);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    faults_set_hook(NULL);
    faults_disarm();
    unlink(path);
    return 0;
}

static jdb_file *open_at(const char *at, uint32_t durability)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.durability = durability;
    options.tail = JDB_FILE_TAIL_BUFFERED;
    jdb_file *file = NULL;
    MUST(jdb_file_open(at, &options, NULL, &file) == 0);
    return file;
}

static int put(jdb_file *file, size_t size, int64_t offset, jdb_file_report *report)
{
    return jdb_file_write_full(file, jdb_raw_from_slice(bytes, size), offset, report);
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* ---- One thread --------------------------------------------------------------------------------------------- */

/* The call returned an earlier error and did nothing. */
static void assert_earlier(const jdb_file_report *report, int err, const char *call)
{
    assert_int_equal(report->err, err);
    assert_int_equal(report->is_earlier_error, 1);
    assert_int_equal(report->done_size, 0);
    assert_int_equal(report->request_count, 0);
    assert_string_equal(report->call, call);
    assert_non_null(strstr(report->text, "jdb_file_clear_error()"));
}

/* Every durable call returns err, and none reaches the kernel. */
static void assert_stands(jdb_file *file, int err, const char *call)
{
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const unsigned long before = faults_calls(OS_CALL_SYNC) + faults_calls(OS_CALL_WRITE);
    assert_int_equal(jdb_file_error(file), err);
    assert_int_equal(put(file, 100, 10, &report), err);
    assert_earlier(&report, err, call);
    assert_int_equal(put(file, 0, 10, &report), err);
    assert_int_equal(put(file, 4096, 4096, &report), err);
    assert_earlier(&report, err, call);
    assert_int_equal(jdb_file_write_zeros(file, 0, 5000, &report), err);
    assert_earlier(&report, err, call);
    assert_int_equal(jdb_file_write_atomic(file, jdb_raw_from_slice(bytes, 4096), 0, &report), err);
    assert_earlier(&report, err, call);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), err);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_SYNC), err);
    assert_int_equal(faults_calls(OS_CALL_SYNC) + faults_calls(OS_CALL_WRITE), before);
}

static void assert_works(jdb_file *file)
{
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_error(file), 0);
    assert_int_equal(put(file, 100, 10, &report), 0);
    assert_int_equal(report.is_earlier_error, 0);
    assert_int_equal(jdb_file_write_zeros(file, 0, 5000, &report), 0);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_SYNC), 0);
}

static void a_failed_sync_stands_until_it_is_cleared(void **state)
{
    (void)state;
    for (uint32_t durability = JDB_FILE_DURABLE_DATA; durability <= JDB_FILE_DURABLE_SYNC; durability++) {
        const char *const call = durability == JDB_FILE_DURABLE_DATA ? "fdatasync" : "fsync";
        jdb_file *const file = open_at(path, durability);
        jdb_file *const other = open_at(path, durability);
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        assert_works(file);
        faults_arm(OS_CALL_SYNC, 0, -EIO);
        assert_int_equal(put(file, 100, 10, &report), -EIO);
        assert_true(faults_disarm());
        assert_string_equal(report.call, call);
        assert_int_equal(report.is_earlier_error, 0);
        assert_int_equal(report.done_size, 100);
        assert_stands(file, -EIO, call);
        assert_works(other);
        jdb_raw view = jdb_raw_new(bytes, 100);
        assert_int_equal(jdb_file_read_full(file, &view, 0, &report), 0);
        assert_int_equal(jdb_file_clear_error(file), 0);
        assert_works(file);
        faults_arm(OS_CALL_SYNC, 0, -ENOSPC);
        assert_int_equal(jdb_file_sync(file, durability), -ENOSPC);
        assert_true(faults_disarm());
        assert_stands(file, -ENOSPC, call);
        assert_int_equal(jdb_file_close(other), 0);
        assert_int_equal(jdb_file_close(file), -ENOSPC); /* that nobody has cleared */
    }
    assert_int_equal(jdb_file_error(NULL), -EINVAL);
    assert_int_equal(jdb_file_clear_error(NULL), -EINVAL);
}

/* Without durability writes continue; a sync returns the error of the one that failed. */
static void a_failed_write_stands_too(void **state)
{
    (void)state;
    static const int kept[] = {-EIO, -ENOSPC, -EDQUOT, -EROFS};
    static const int refusals[] = {-EFBIG, -EBADF, -EFAULT, -EINTR, -EAGAIN};
    static const size_t sizes[] = {100, 4096}; /* through the page cache, and directly */
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_NONE);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
            faults_arm(OS_CALL_WRITE, 0, kept[i]);
            assert_int_equal(put(file, sizes[k], 0, &report), kept[i]);
            assert_true(faults_disarm());
            assert_int_equal(report.is_earlier_error, 0);
            assert_int_equal(put(file, sizes[k], 0, &report), 0);
            assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), kept[i]);
            assert_int_equal(jdb_file_clear_error(file), 0);
        }
        for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
            faults_arm_all(OS_CALL_WRITE, 0, refusals[i]);
            assert_int_equal(put(file, sizes[k], 0, &report), refusals[i]);
            assert_true(faults_disarm());
            assert_int_equal(jdb_file_error(file), 0);
        }
    }
    if (jdb_file_write_mode(file) <= JDB_FILE_MODE_UNKNOWN) {
        faults_arm_all(OS_CALL_WRITE, 0, 1); /* one byte of the block, each time the same */
        assert_int_equal(put(file, 4096, 0, &report), -EIO);
        assert_true(faults_disarm());
        assert_int_equal(jdb_file_error(file), -EIO);
        assert_int_equal(jdb_file_clear_error(file), 0);
    }
    assert_works(file);
    assert_int_equal(jdb_file_close(file), 0);
}

/* EINTR and EAGAIN of a sync may be the error of a writeback: it is made once, and the error stands. */
static void a_sync_that_was_interrupted_stands_too(void **state)
{
    (void)state;
    static const int errs[] = {-EINTR, -EAGAIN};
    for (size_t i = 0; i < sizeof errs / sizeof errs[0]; i++) {
        jdb_file *const file = open_at(path, JDB_FILE_DURABLE_SYNC);
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        faults_arm(OS_CALL_SYNC, 0, errs[i]);
        assert_int_equal(put(file, 100, 10, &report), errs[i]);
        assert_string_equal(report.call, "fsync");
        assert_true(faults_disarm());
        assert_stands(file, errs[i], "fsync");
        assert_int_equal(jdb_file_clear_error(file), 0);
        assert_works(file);
        faults_arm(OS_CALL_SYNC, 0, errs[i]);
        assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), errs[i]);
        assert_true(faults_disarm());
        assert_int_equal(jdb_file_close(file), errs[i]);
        faults_arm(OS_CALL_SYNC, 0, errs[i]);
        assert_int_equal(jdb_file_sync_directory("/var/tmp"), errs[i]);
        assert_true(faults_disarm());
    }
}

static void the_first_of_several_errors_stands(void **state)
{
    (void)state;
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_NONE);
    faults_arm(OS_CALL_WRITE, 0, -ENOSPC);
    assert_int_equal(put(file, 100, 0, NULL), -ENOSPC);
    faults_arm(OS_CALL_WRITE, 0, -EIO);
    assert_int_equal(put(file, 100, 0, NULL), -EIO);
    faults_disarm();
    assert_int_equal(jdb_file_error(file), -ENOSPC);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), -ENOSPC);
    assert_int_equal(jdb_file_clear_error(file), 0);
    assert_works(file);
    assert_int_equal(jdb_file_close(file), 0);
}

/* A write that is its own sync failed: what the plain descriptor would report of it is taken at once, and a sync that
 * failed takes what the direct one would. */
static void both_descriptors_are_asked(void **state)
{
    (void)state;
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_DATA);
    if (jdb_file_write_mode(file) != JDB_FILE_MODE_DIRECT) {
        assert_int_equal(jdb_file_close(file), 0);
        skip();
    }
    unsigned long syncs = faults_calls(OS_CALL_SYNC);
    faults_arm(OS_CALL_WRITE, 0, -EIO);
    assert_int_equal(put(file, 4096, 0, NULL), -EIO);
    assert_true(faults_disarm());
    assert_int_equal(faults_calls(OS_CALL_SYNC), syncs + 1);
    assert_int_equal(jdb_file_clear_error(file), 0);
    syncs = faults_calls(OS_CALL_SYNC);
    faults_arm(OS_CALL_SYNC, 0, -EIO);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_SYNC), -EIO);
    assert_true(faults_disarm());
    assert_int_equal(faults_calls(OS_CALL_SYNC), syncs + 2);
    assert_int_equal(jdb_file_clear_error(file), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

static pthread_t slow_thread;
static atomic_bool is_slow_set, is_standing, may_go;
static enum os_call slow_call;
static int slow_err;

/* The first call of the kind by the slow thread stands still, then fails with slow_err. */
static int stand_still(enum os_call kind)
{
    if (kind != slow_call || !atomic_load(&is_slow_set) || !pthread_equal(pthread_self(), slow_thread) ||
        atomic_load(&is_standing))
        return 0;
    atomic_store(&is_standing, true);
    while (!atomic_load(&may_go))
        sleep_ms(1);
    return slow_err;
}

struct job {
    jdb_file *file;
    bool is_slow;
    bool is_sync; /* jdb_file_sync() instead of a write */
    int err;
    jdb_file_report report;
    atomic_bool is_done;
};

static void *run(void *argument)
{
    struct job *const job = argument;
    if (job->is_slow) {
        slow_thread = pthread_self();
        atomic_store(&is_slow_set, true);
    }
    job->report = (jdb_file_report)JDB_FILE_REPORT_INIT;
    job->err = job->is_sync ? jdb_file_sync(job->file, JDB_FILE_DURABLE_DATA) : put(job->file, 100, 10, &job->report);
    atomic_store(&job->is_done, true);
    return NULL;
}

static pthread_t start_slow(struct job *job, enum os_call kind, int err)
{
    pthread_t thread;
    slow_call = kind;
    slow_err = err;
    job->is_slow = true;
    atomic_store(&is_slow_set, false);
    atomic_store(&is_standing, false);
    atomic_store(&may_go, false);
    faults_set_hook(stand_still);
    MUST(pthread_create(&thread, NULL, run, job) == 0);
    while (!atomic_load(&is_standing))
        sleep_ms(1);
    return thread;
}

#define OTHERS 4u

/* The sync of one thread has got the error, and has not returned yet; writes and syncs of others that follow would succeed. */
static void no_sync_overtakes_the_one_that_fails(void **state)
{
    (void)state;
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_DATA);
    assert_works(file);
    struct job slow = {.file = file};
    struct job others[OTHERS];
    pthread_t threads[OTHERS];
    const pthread_t slow_one = start_slow(&slow, OS_CALL_SYNC, -EIO);
    for (unsigned i = 0; i < OTHERS; i++) {
        others[i] = (struct job){.file = file, .is_sync = i % 2 == 1};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &others[i]), 0);
    }
    sleep_ms(100);
    for (unsigned i = 0; i < OTHERS; i++)
        assert_false(atomic_load(&others[i].is_done));
    atomic_store(&may_go, true);
    assert_int_equal(pthread_join(slow_one, NULL), 0);
    assert_int_equal(slow.err, -EIO);
    for (unsigned i = 0; i < OTHERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(others[i].err, -EIO);
        assert_int_equal(others[i].report.is_earlier_error, i % 2 == 0);
        assert_int_equal(others[i].report.done_size, i % 2 == 0 ? 100 : 0);
    }
    assert_int_equal(jdb_file_clear_error(file), 0);
    assert_works(file);
    assert_int_equal(jdb_file_close(file), 0);
}

/* Those that wait for a sync share the next one. */
static void waiting_syncs_share_one(void **state)
{
    (void)state;
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_DATA);
    struct job slow = {.file = file};
    struct job others[OTHERS];
    pthread_t threads[OTHERS];
    const unsigned long syncs = faults_calls(OS_CALL_SYNC);
    const pthread_t slow_one = start_slow(&slow, OS_CALL_SYNC, 0);
    for (unsigned i = 0; i < OTHERS; i++) {
        others[i] = (struct job){.file = file, .is_sync = i % 2 == 1};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &others[i]), 0);
    }
    sleep_ms(100);
    atomic_store(&may_go, true);
    assert_int_equal(pthread_join(slow_one, NULL), 0);
    for (unsigned i = 0; i < OTHERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(slow.err, 0);
    for (unsigned i = 0; i < OTHERS; i++)
        assert_int_equal(others[i].err, 0);
    assert_int_equal(faults_calls(OS_CALL_SYNC), syncs + 2);
    assert_int_equal(jdb_file_close(file), 0);
}

/* A write that was on its way when an error came and was cleared does not know whether its bytes were among the lost ones. */
static void clearing_does_not_hide_an_error_from_a_write_on_its_way(void **state)
{
    (void)state;
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_DATA);
    assert_works(file);
    struct job slow = {.file = file};
    const pthread_t slow_one = start_slow(&slow, OS_CALL_WRITE, 0);
    faults_arm(OS_CALL_SYNC, 0, -EIO);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), -EIO);
    assert_true(faults_disarm());
    assert_int_equal(jdb_file_clear_error(file), 0);
    atomic_store(&may_go, true);
    assert_int_equal(pthread_join(slow_one, NULL), 0);
    assert_int_equal(slow.err, -EIO);
    assert_int_equal(slow.report.is_earlier_error, 1);
    assert_int_equal(slow.report.done_size, 100);
    assert_works(file);
    assert_int_equal(jdb_file_close(file), 0);
}

static void sync_in_child(void *argument)
{
    alarm(20);
    faults_set_hook(NULL);
    MUST(jdb_file_sync(argument, JDB_FILE_DURABLE_DATA) == 0);
    MUST(put(argument, 100, 10, NULL) == 0);
}

static void a_child_does_not_wait_for_a_sync_of_its_parent(void **state)
{
    (void)state;
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_DATA);
    struct job slow = {.file = file};
    const pthread_t slow_one = start_slow(&slow, OS_CALL_SYNC, 0);
    char text[400];
    assert_int_equal(must_run_child(sync_in_child, file, text, sizeof text), 0);
    atomic_store(&may_go, true);
    assert_int_equal(pthread_join(slow_one, NULL), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Open files of a child ---------------------------------------------------------------------------------- */

/* The flags of an open file are shared by all descriptors of it. */
static bool shares_open_file(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static void mark_open_file(int fd)
{
    MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

static void write_in_child(void *argument)
{
    jdb_file *const file = argument;
    MUST(put(file, 4096, 0, NULL) == 0);
    MUST(!shares_open_file(file->plain_fd) && (fcntl(file->plain_fd, F_GETFD) & FD_CLOEXEC) != 0);
    MUST(file->direct_fd < 0 ||
         (!shares_open_file(file->direct_fd) && (fcntl(file->direct_fd, F_GETFL) & O_DIRECT) != 0));
    mark_open_file(file->plain_fd);
    MUST(put(file, 4096, 0, NULL) == 0);
    MUST(shares_open_file(file->plain_fd)); /* once, not with each write */
    MUST(jdb_file_sync(file, JDB_FILE_DURABLE_DATA) == 0 && jdb_file_close(file) == 0);
}

static void sync_alone_in_child(void *argument)
{
    jdb_file *const file = argument;
    MUST(jdb_file_sync(file, JDB_FILE_DURABLE_DATA) == 0);
    MUST(!shares_open_file(file->plain_fd));
}

static void a_child_has_open_files_of_its_own(void **state)
{
    (void)state;
    char text[400];
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_NONE);
    mark_open_file(file->plain_fd);
    if (file->direct_fd >= 0)
        mark_open_file(file->direct_fd);
    assert_int_equal(put(file, 4096, 0, NULL), 0);
    assert_true(shares_open_file(file->plain_fd)); /* the parent keeps those that it has */
    assert_int_equal(must_run_child(write_in_child, file, text, sizeof text), 0);
    assert_int_equal(must_run_child(sync_alone_in_child, file, text, sizeof text), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

static int refuse_open(enum os_call call)
{
    return call == OS_CALL_OPEN ? -EACCES : 0;
}

/* Without an open file of its own a child does not know what was lost: a write works, and nothing is durable. */
static void refused_in_child(void *argument)
{
    jdb_file *const file = argument;
    faults_set_hook(refuse_open);
    MUST(put(file, 4096, 0, NULL) == 0);
    MUST(jdb_file_error(file) == -EACCES && jdb_file_sync(file, JDB_FILE_DURABLE_DATA) == -EACCES);
    MUST(jdb_file_clear_error(file) == 0 && jdb_file_sync(file, JDB_FILE_DURABLE_DATA) == 0);
    MUST(jdb_file_close(file) == 0);
}

static void a_child_that_cannot_open_the_file_knows(void **state)
{
    (void)state;
    char text[400];
    jdb_file *const file = open_at(path, JDB_FILE_DURABLE_NONE);
    assert_int_equal(must_run_child(refused_in_child, file, text, sizeof text), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

/* ---- Real devices ------------------------------------------------------------------------------------------- */

#define SICK_PART ((int64_t)16 << 20)

static atomic_bool is_over;

struct healthy {
    jdb_file *file;
    uint64_t done_count;
    uint64_t error_count;
};

static void *write_healthy(void *argument)
{
    struct healthy *const healthy = argument;
    while (!atomic_load(&is_over)) {
        const int err = put(healthy->file, 100, 100, NULL);
        healthy->done_count += err == 0;
        healthy->error_count += err != 0;
    }
    return NULL;
}

/* No write to the sick part that returned 0 is missing, whatever the syncs of the other thread return. */
static void a_sick_device_loses_nothing_that_was_promised(void **state)
{
    (void)state;
    const char *const sick = getenv("JDB_TEST_SICK_FILE");
    if (sick == NULL) {
        print_message("no JDB_TEST_SICK_FILE\n");
        skip();
    }
    struct healthy healthy = {.file = open_at(sick, JDB_FILE_DURABLE_DATA)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_healthy, &healthy), 0);
    unsigned errors = 0;
    unsigned lost = 0;
    unsigned long promised = 0;
    uint8_t part[100];
    uint8_t back[100];
    for (unsigned i = 0; i < 300; i++) {
        memset(part, (int)(i % 200 + 1), sizeof part);
        const int64_t offset = SICK_PART + 4096 * (int64_t)(i % 200) + 100;
        const jdb_raw from = jdb_raw_from_slice(part, sizeof part);
        if (jdb_file_write_full(healthy.file, from, offset, NULL) != 0) {
            errors++;
            assert_int_equal(jdb_file_clear_error(healthy.file), 0);
            continue;
        }
        promised++;
        jdb_raw view = jdb_raw_new(back, sizeof back);
        lost += jdb_file_read_full(healthy.file, &view, offset, NULL) != 0 || memcmp(part, back, sizeof back) != 0;
    }
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("sick part: %u errors, %lu writes promised, %u of them lost; healthy part: %lu done, %lu errors\n",
                  errors, promised, lost, (unsigned long)healthy.done_count, (unsigned long)healthy.error_count);
    assert_int_equal(lost, 0);
    assert_true(errors != 0);
    (void)jdb_file_clear_error(healthy.file);
    assert_int_equal(jdb_file_close(healthy.file), 0);
}

static void a_sync_that_failed_once_is_not_forgotten(void **state)
{
    (void)state;
    const char *const at = getenv("JDB_TEST_SYNC_FAILS");
    if (at == NULL) {
        print_message("no JDB_TEST_SYNC_FAILS\n");
        skip();
    }
    jdb_file *const file = open_at(at, JDB_FILE_DURABLE_SYNC);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(put(file, 100, 10, &report), -EIO);
    assert_string_equal(report.call, "fsync");
    assert_stands(file, -EIO, "fsync");
    assert_int_equal(jdb_file_clear_error(file), 0);
    assert_works(file);
    assert_int_equal(jdb_file_close(file), 0);
}

static void a_writeback_that_was_refused_is_not_forgotten(void **state)
{
    (void)state;
    const char *const at = getenv("JDB_TEST_WRITEBACK_REFUSED");
    if (at == NULL) {
        print_message("no JDB_TEST_WRITEBACK_REFUSED\n");
        skip();
    }
    jdb_file *const file = open_at(at, JDB_FILE_DURABLE_SYNC);
    const int err = put(file, 100, 10, NULL);
    assert_true(err == -EINTR || err == -EAGAIN);
    assert_stands(file, err, "fsync");
    assert_int_equal(jdb_file_clear_error(file), 0);
    assert_works(file);
    assert_int_equal(jdb_file_close(file), 0);
}

static void sync_in_vain(void *argument)
{
    MUST(jdb_file_sync(argument, JDB_FILE_DURABLE_DATA) == -EIO);
}

static void a_sync_of_a_child_does_not_take_the_error(void **state)
{
    (void)state;
    const char *const at = getenv("JDB_TEST_WRITEBACK_LOST");
    if (at == NULL) {
        print_message("no JDB_TEST_WRITEBACK_LOST\n");
        skip();
    }
    jdb_file *const file = open_at(at, JDB_FILE_DURABLE_NONE);
    char text[400];
    assert_int_equal(put(file, 100, 10, NULL), 0);
    assert_int_equal(must_run_child(sync_in_vain, file, text, sizeof text), 0);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_DATA), -EIO);
    assert_int_equal(jdb_file_close(file), -EIO);
}

int main(void)
{
#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)
    const struct CMUnitTest tests[] = {
        WITH_PATH(a_failed_sync_stands_until_it_is_cleared),
        WITH_PATH(a_failed_write_stands_too),
        WITH_PATH(a_sync_that_was_interrupted_stands_too),
        WITH_PATH(the_first_of_several_errors_stands),
        WITH_PATH(both_descriptors_are_asked),
        WITH_PATH(no_sync_overtakes_the_one_that_fails),
        WITH_PATH(waiting_syncs_share_one),
        WITH_PATH(clearing_does_not_hide_an_error_from_a_write_on_its_way),
        WITH_PATH(a_child_does_not_wait_for_a_sync_of_its_parent),
        WITH_PATH(a_child_has_open_files_of_its_own),
        WITH_PATH(a_child_that_cannot_open_the_file_knows),
        WITH_PATH(a_sick_device_loses_nothing_that_was_promised),
        WITH_PATH(a_sync_that_failed_once_is_not_forgotten),
        WITH_PATH(a_writeback_that_was_refused_is_not_forgotten),
        WITH_PATH(a_sync_of_a_child_does_not_take_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
