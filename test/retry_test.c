/* SPDX-License-Identifier: MIT
 *
 * retry_test.c - a file system that answers EINTR or EAGAIN: a few times it costs nothing, for ever it ends in that error.
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ATTEMPTS_MAX 33ul /* the first one and its repetitions */
#define FILE_BYTES ((size_t)9000)

static char path[512];
static uint8_t bytes[FILE_BYTES];
static uint8_t scratch[FILE_BYTES];

static int make_file(void **state)
{
    (void)state;
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb_retry_test.%ld", directory != NULL ? directory : "/var/tmp", (long)getpid());
    memset(bytes, 0x5a, sizeof bytes);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes && fsync(fd) == 0);
    return close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    faults_set_hook(NULL);
    faults_disarm();
    return unlink(path);
}

/* ---- A few refusals ----------------------------------------------------------------------------------------- */

static enum os_call refused_kind;
static int refused_err;
static unsigned refused_left;

/* Each call of the kind is refused `refused_left` times, until it is repeated once more. */
static unsigned refused_now;

static int refuse_some(enum os_call kind)
{
    if (kind != refused_kind)
        return 0;
    if (refused_now < refused_left) {
        refused_now++;
        return refused_err;
    }
    refused_now = 0;
    return 0;
}

static jdb_file *open_file(uint32_t durability)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    options.durability = durability;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    return file;
}

/* Every kind of call that a file makes; syncs are not repeated (file_error_test.c). */
static void use_file(void)
{
    jdb_file *const file = open_file(JDB_FILE_DURABLE_DATA);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, FILE_BYTES), 0, &report), 0);
    assert_int_equal(report.done_size, FILE_BYTES);
    assert_int_equal(jdb_file_write_zeros(file, 4096, 4096, &report), 0);
    jdb_raw view = jdb_raw_new(scratch, FILE_BYTES);
    assert_int_equal(jdb_file_read_full(file, &view, 0, &report), 0);
    assert_int_equal(view.len, FILE_BYTES);
    assert_memory_equal(scratch, bytes, 4096);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    assert_int_equal(jdb_file_truncate(file, FILE_BYTES), 0);
    assert_int_equal(jdb_file_sync(file, JDB_FILE_DURABLE_SYNC), 0);
    assert_int_equal(jdb_file_close(file), 0);
    assert_int_equal(jdb_file_sync_directory("/var/tmp"), 0);
}

static void a_few_refusals_are_not_seen(void **state)
{
    (void)state;
    static const enum os_call kinds[] = {OS_CALL_READ, OS_CALL_WRITE, OS_CALL_TRUNCATE, OS_CALL_OPEN, OS_CALL_IOCTL};
    static const int errs[] = {-EINTR, -EAGAIN};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (size_t k = 0; k < sizeof errs / sizeof errs[0]; k++) {
            refused_kind = kinds[i];
            refused_err = errs[k];
            refused_left = 3;
            refused_now = 0;
            faults_set_hook(refuse_some);
            use_file();
            faults_set_hook(NULL);
        }
}

/* ---- Refusals for ever -------------------------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What a call returns while every call of one kind is refused; it must end, after a bounded number of attempts. */
#define FOR_EVER(kind, err, expression)                              \
    do {                                                             \
        const unsigned long before = faults_calls(kind);             \
        faults_arm_all(kind, 0, err);                                \
        const int result = (expression);                             \
        assert_true(faults_disarm());                                \
        assert_int_equal(result, err);                               \
        assert_int_equal(faults_calls(kind) - before, ATTEMPTS_MAX); \
    } while (0)

static void refusals_for_ever_end_with(int err)
{
    jdb_file *const file = open_file(JDB_FILE_DURABLE_NONE);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    jdb_raw view = jdb_raw_new(scratch, FILE_BYTES);
    const double start = seconds();
    FOR_EVER(OS_CALL_READ, err, jdb_file_read_full(file, &view, 0, &report));
    assert_string_equal(report.call, "pread");
    assert_int_equal(view.len, 0);
    FOR_EVER(OS_CALL_WRITE, err, jdb_file_write_full(file, jdb_raw_from_slice(bytes, 100), 0, &report));
    assert_string_equal(report.call, "pwrite");
    FOR_EVER(OS_CALL_WRITE, err, jdb_file_write_zeros(file, 0, 100, &report));
    FOR_EVER(OS_CALL_TRUNCATE, err, jdb_file_truncate(file, FILE_BYTES));
    FOR_EVER(OS_CALL_OPEN, err, jdb_file_sync_directory("/var/tmp"));
    jdb_direct limits = JDB_DIRECT_INIT;
    FOR_EVER(OS_CALL_STAT, err, jdb_direct_limits(jdb_file_descriptor(file), &limits));
    jdb_file *other = NULL;
    FOR_EVER(OS_CALL_OPEN, err, jdb_file_open(path, NULL, &report, &other));
    assert_null(other);
    const double spent = seconds() - start;
    print_message("%s for ever: seven calls ended in %.3f s\n", strerror(-err), spent);
    assert_true(spent < 60);
    assert_int_equal(jdb_file_close(file), 0);
}

static void refusals_for_ever_end(void **state)
{
    (void)state;
    refusals_for_ever_end_with(-EINTR);
    refusals_for_ever_end_with(-EAGAIN);
}

/* The trial read of the limits ends too, and its result says why the file is not vouched for. */
static void a_trial_that_is_refused_for_ever_ends(void **state)
{
    (void)state;
    const int fd = open(path, O_RDONLY | O_DIRECT);
    if (fd < 0)
        skip();
    jdb_direct limits = JDB_DIRECT_INIT;
    faults_arm_all(OS_CALL_READ, 0, -EINTR);
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    assert_true(faults_disarm());
    assert_int_equal(limits.trial_result, -EINTR);
    close(fd);
}

/* Of the calls on memory one can answer so: the one that fills an arena in advance. */
static void a_prefault_that_is_refused_for_ever_ends(void **state)
{
    (void)state;
    const int errors[] = {-EINTR, -EAGAIN};
    const jdb_arena_options options = {.size = sizeof options,
                                       .frame_size = 4096,
                                       .frame_count = 4,
                                       .flags = JDB_ARENA_PREFAULT,
                                       .required = JDB_ARENA_REQUIRE_ALL};
    jdb_arena *arena = NULL;
    if (jdb_arena_new(&options, &arena) != 0) {
        print_message("this system does not prefault: skipped\n");
        skip();
    }
    assert_int_equal(jdb_arena_free(arena), 0);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        arena = NULL;
        const unsigned long before = faults_calls(OS_CALL_POPULATE);
        faults_arm_all(OS_CALL_POPULATE, 0, errors[i]);
        assert_int_equal(jdb_arena_new(&options, &arena), -ENOTSUP);
        assert_true(faults_disarm());
        assert_null(arena);
        assert_int_equal(faults_calls(OS_CALL_POPULATE) - before, ATTEMPTS_MAX);
    }
}

/* ---- The kernel itself answers EINTR for ever --------------------------------------------------------------- */

static int refuse_system_call(unsigned number)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINTR),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

/* The child ends by SIGALRM when a call hangs. */
static void read_interrupted(void *argument)
{
    jdb_file *const file = argument;
    alarm(20);
    if (refuse_system_call(SYS_pread64) != 0)
        _exit(77);
    jdb_raw view = jdb_raw_new(scratch, FILE_BYTES);
    MUST(jdb_file_read_full(file, &view, 0, NULL) == -EINTR);
}

static void write_interrupted(void *argument)
{
    jdb_file *const file = argument;
    alarm(20);
    if (refuse_system_call(SYS_pwrite64) != 0)
        _exit(77);
    MUST(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 100), 0, NULL) == -EINTR);
}

/* Not by way of fstat, which knows no alignments. */
static void stat_interrupted(void *argument)
{
    const int fd = jdb_file_descriptor(argument);
    jdb_direct limits = JDB_DIRECT_INIT;
    alarm(20);
    if (refuse_system_call(SYS_statx) != 0)
        _exit(77);
    MUST(jdb_direct_limits(fd, &limits) == -EINTR);
}

static void the_kernel_interrupts_for_ever(void **state)
{
    (void)state;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    options.flags = JDB_FILE_NO_UNCACHED; /* so that the plain calls are made */
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    char text[400];
    const int read_status = must_run_child(read_interrupted, file, text, sizeof text);
    if (WIFEXITED(read_status) && WEXITSTATUS(read_status) == 77) {
        assert_int_equal(jdb_file_close(file), 0);
        print_message("no seccomp here\n");
        skip();
    }
    assert_int_equal(read_status, 0);
    assert_int_equal(must_run_child(write_interrupted, file, text, sizeof text), 0);
    uint32_t magic = 0;
    if (jdb__os_file_system(jdb_file_descriptor(file), &magic) != -ENOTSUP) /* else the window has no statx */
        assert_int_equal(must_run_child(stat_interrupted, file, text, sizeof text), 0);
    assert_int_equal(jdb_file_close(file), 0);
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)
    const struct CMUnitTest tests[] = {
        WITH_FILE(a_few_refusals_are_not_seen),
        WITH_FILE(refusals_for_ever_end),
        WITH_FILE(a_trial_that_is_refused_for_ever_ends),
        WITH_FILE(the_kernel_interrupts_for_ever),
        cmocka_unit_test(a_prefault_that_is_refused_for_ever_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
