/* SPDX-License-Identifier: MIT
 *
 * file_open_test.c - files opened from a directory, from a descriptor, without /proc, and with permissions that deny opening them
 * again. Runs in TMPDIR (default /var/tmp).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "tier.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BOTH (JDB_FILE_READ | JDB_FILE_WRITE)

static char directory[400];
static char path[512];
static uint8_t bytes[8192] __attribute__((aligned(4096)));

static int make_directory(void **state)
{
    (void)state;
    const char *const base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/jdb_open_test.%ld", base != NULL ? base : "/var/tmp", (long)getpid());
    snprintf(path, sizeof path, "%s/file", directory);
    memset(bytes, 0x5d, sizeof bytes);
    return mkdir(directory, 0777) != 0 || chmod(directory, 0777) != 0;
}

static int remove_directory(void **state)
{
    (void)state;
    faults_set_hook(NULL);
    faults_disarm();
    unlink(path);
    return rmdir(directory);
}

static jdb_file_options options_of(uint32_t access)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = access;
    return options;
}

/* Whether a new file in the directory is direct. */
static bool is_direct_here(void)
{
    const jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    jdb_file *file = NULL;
    MUST(jdb_file_open(path, &options, NULL, &file) == 0);
    const bool is_direct = jdb_file_write_mode(file) == JDB_FILE_MODE_DIRECT;
    MUST(jdb_file_close(file) == 0);
    MUST(unlink(path) == 0);
    return is_direct;
}

/* Whether the system can open the file of a descriptor again. */
static void need_reopen(void)
{
    int fd = -1;
    const int null = open("/dev/null", O_RDONLY);
    const int err = jdb__os_file_reopen(null, OS_OPEN_READ, &fd);
    close(null);
    close(fd);
    if (err != 0) {
        print_message("a file cannot be opened again here\n");
        skip();
    }
}

/* Direct requests, a part of a block, a sync: all that needs either descriptor. */
static void use(jdb_file *file)
{
    MUST(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 8192), 0, NULL) == 0);
    MUST(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 100), 8192, NULL) == 0);
    MUST(jdb_file_sync(file, JDB_FILE_DURABLE_SYNC) == 0);
    uint8_t seen[9000];
    jdb_raw view = jdb_raw_new(seen, sizeof seen);
    MUST(jdb_file_read_full(file, &view, 0, NULL) == 0);
    MUST(view.len == 8292);
    for (size_t i = 0; i < view.len; i++)
        MUST(seen[i] == 0x5d);
}

/* ---- From a directory --------------------------------------------------------------------------------------- */

static void a_path_begins_at_the_directory(void **state)
{
    (void)state;
    const int at = open(directory, O_RDONLY | O_DIRECTORY);
    assert_true(at >= 0);
    const jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    jdb_file *file = NULL;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    assert_int_equal(jdb_file_openat(at, "file", &options, &report, &file), 0);
    assert_int_equal(report.mode, jdb_file_write_mode(file));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(close(at), 0);
    use(file);
    assert_int_equal(jdb_file_close(file), 0);
    file = NULL;
    assert_int_equal(jdb_file_openat(AT_FDCWD, path, NULL, NULL, &file), 0);
    assert_int_equal(jdb_file_close(file), 0);
    file = NULL;
    assert_int_equal(jdb_file_openat(at, "file", NULL, NULL, &file), -EBADF);
    assert_int_equal(jdb_file_openat(AT_FDCWD, NULL, NULL, NULL, &file), -EINVAL);
    assert_int_equal(jdb_file_openat(AT_FDCWD, path, NULL, NULL, NULL), -EINVAL);
    assert_null(file);
}

/* ---- From a descriptor -------------------------------------------------------------------------------------- */

static void a_descriptor_is_borrowed(void **state)
{
    (void)state;
    need_reopen();
    const bool is_direct = is_direct_here();
    const int flags[] = {O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_DIRECT};
    for (size_t i = 0; i < 2; i++) {
        const int fd = open(path, flags[i], 0600);
        if (fd < 0)
            continue; /* no O_DIRECT here */
        assert_int_equal(unlink(path), 0);
        const jdb_file_options options = options_of(BOTH);
        jdb_file *file = NULL;
        assert_int_equal(jdb_file_from_fd(fd, &options, NULL, &file), 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, flags[i] & O_DIRECT);
        assert_int_equal(jdb_file_write_mode(file) == JDB_FILE_MODE_DIRECT, is_direct);
        assert_int_not_equal(jdb_file_descriptor(file), fd);
        assert_int_equal(close(fd), 0); /* it was still open */
        use(file);
        assert_int_equal(jdb_file_close(file), 0);
        assert_int_equal(fcntl(fd, F_GETFL), -1);
    }
}

static void a_descriptor_serves_where_it_cannot_be_opened_again(void **state)
{
    (void)state;
    need_reopen();
    const bool is_direct = is_direct_here();
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    const int direct_fd = is_direct ? open(path, O_RDWR | O_DIRECT) : -1;
    assert_true(fd >= 0);
    const jdb_file_options options = options_of(BOTH);
    jdb_file *file = NULL;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    /* Both are refused: a copy without O_DIRECT. */
    faults_arm_all(OS_CALL_OPEN, 0, -EACCES);
    assert_int_equal(jdb_file_from_fd(fd, &options, &report, &file), -EACCES);
    assert_string_equal(report.call, "open without O_DIRECT");
    assert_true(faults_disarm());
    assert_null(file);
    /* Just the one with O_DIRECT is refused. */
    faults_arm(OS_CALL_OPEN, 1, -EACCES);
    assert_int_equal(jdb_file_from_fd(fd, &options, &report, &file), 0);
    assert_true(faults_disarm());
    assert_true(jdb_file_write_mode(file) >= JDB_FILE_MODE_UNCACHED);
    assert_non_null(strstr(jdb_file_reason(file), "open with O_DIRECT failed"));
    use(file);
    assert_int_equal(jdb_file_close(file), 0);
    if (is_direct) { /* the caller's has it */
        faults_arm(OS_CALL_OPEN, 1, -EACCES);
        assert_int_equal(jdb_file_from_fd(direct_fd, &options, &report, &file), 0);
        assert_true(faults_disarm());
        assert_int_equal(jdb_file_write_mode(file), JDB_FILE_MODE_DIRECT);
        use(file);
        assert_int_equal(jdb_file_close(file), 0);
        jdb_file_options modifies = options;
        modifies.tail = JDB_FILE_TAIL_READ_MODIFY_WRITE;
        faults_arm(OS_CALL_OPEN, 1, -EACCES);
        assert_int_equal(jdb_file_from_fd(direct_fd, &modifies, &report, &file), 0);
        assert_true(faults_disarm());
        assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 100), 50, &report), 0);
        assert_int_equal(report.direct_size, 100); /* the copy can be read */
        assert_int_equal(jdb_file_close(file), 0);
        file = NULL;
        faults_arm(OS_CALL_OPEN, 0, -EACCES);
        assert_int_equal(jdb_file_from_fd(direct_fd, &options, &report, &file), -EACCES);
        assert_true(faults_disarm());
        close(direct_fd);
    }
    assert_true(fcntl(fd, F_GETFL) >= 0); /* the caller's on failure too */
    close(fd);
}

static void a_copy_serves_where_nothing_can_be_opened_again(void **state)
{
    (void)state;
    need_reopen();
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    const jdb_file_options options = options_of(BOTH);
    jdb_file *file = NULL;
    faults_arm(OS_CALL_OPEN, 0, -ENOENT); /* no /proc; then the copy, then the one with O_DIRECT */
    assert_int_equal(jdb_file_from_fd(fd, &options, NULL, &file), 0);
    assert_true(faults_disarm());
    assert_int_equal(close(fd), 0);
    use(file);
    assert_int_equal(jdb_file_close(file), 0);
}

static int take_fd(int fd, jdb_file **ret_file)
{
    jdb_file_options options = options_of(BOTH);
    options.flags = JDB_FILE_TAKE_FD;
    return jdb_file_from_fd(fd, &options, NULL, ret_file);
}

static void a_descriptor_is_taken(void **state)
{
    (void)state;
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    jdb_file *file = NULL;
    bool is_over = false;
    for (unsigned count = 0; !is_over; count++) { /* a failure leaves it to the caller */
        faults_arm(FAULTS_ANY, count, -ENOMEM);
        const int err = take_fd(fd, &file);
        is_over = !faults_disarm();
        if (err == 0 && !is_over) { /* what failed was not needed */
            assert_int_equal(jdb_file_close(file), 0);
            assert_int_equal(open(path, O_RDWR), fd);
        }
        assert_true(fcntl(fd, F_GETFL) >= 0);
    }
    assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, 0);
    use(file);
    assert_int_equal(jdb_file_close(file), 0);
    assert_int_equal(fcntl(fd, F_GETFL), -1);
}

static void a_taken_descriptor_costs_one_call_to_open(void **state)
{
    (void)state;
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    jdb_file *file = NULL;
    const unsigned long before = faults_calls(OS_CALL_OPEN);
    assert_int_equal(take_fd(fd, &file), 0);
    const unsigned long taken = faults_calls(OS_CALL_OPEN);
    assert_int_equal(jdb_file_close(file), 0);
    const jdb_file_options options = options_of(BOTH);
    const int borrowed = open(path, O_RDWR);
    const unsigned long again = faults_calls(OS_CALL_OPEN);
    assert_int_equal(jdb_file_from_fd(borrowed, &options, NULL, &file), 0);
    assert_int_equal(faults_calls(OS_CALL_OPEN) - again, taken - before + 1);
    assert_int_equal(jdb_file_close(file), 0);
    assert_int_equal(close(borrowed), 0);
}

static void what_cannot_be_taken(void **state)
{
    (void)state;
    jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    options.flags = JDB_FILE_TAKE_FD;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), -EINVAL);
    assert_int_equal(access(path, F_OK), -1);
    options.access = JDB_FILE_READ;
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
    const int path_fd = open(path, O_PATH);
    assert_int_equal(jdb_file_from_fd(path_fd, &options, NULL, &file), -EBADF);
    assert_int_equal(close(path_fd), 0);
    const int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (fd < 0)
        return; /* no O_DIRECT here */
    assert_int_equal(take_fd(fd, &file), -EINVAL);
    assert_int_equal(close(fd), 0); /* it is still the caller's */
}

static int from_fd(int fd, uint32_t access)
{
    const jdb_file_options options = options_of(access);
    jdb_file *file = NULL;
    const int err = jdb_file_from_fd(fd, &options, NULL, &file);
    assert_int_equal(err == 0, file != NULL);
    if (err == 0)
        assert_int_equal(jdb_file_close(file), 0);
    return err;
}

static void a_descriptor_gives_no_more_than_it_has(void **state)
{
    (void)state;
    const int creator = open(path, O_RDWR | O_CREAT, 0600);
    const int reader = open(path, O_RDONLY);
    const int writer = open(path, O_WRONLY);
    const int appender = open(path, O_RDWR | O_APPEND);
    const int memfd = memfd_create("file", 0);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(from_fd(reader, 0), 0);
    assert_int_equal(from_fd(reader, JDB_FILE_WRITE), -EBADF);
    assert_int_equal(from_fd(reader, BOTH), -EBADF);
    assert_int_equal(from_fd(writer, JDB_FILE_WRITE), 0);
    assert_int_equal(from_fd(writer, JDB_FILE_READ), -EBADF);
    assert_int_equal(from_fd(appender, JDB_FILE_READ), 0);
    assert_int_equal(from_fd(appender, BOTH), -EINVAL);
    assert_int_equal(from_fd(creator, BOTH | JDB_FILE_CREATE), -EINVAL);
    assert_int_equal(from_fd(creator, BOTH | JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE), -EINVAL);
    assert_int_equal(from_fd(memfd, BOTH), 0);
    assert_int_equal(from_fd(ends[0], JDB_FILE_READ), -ENOTSUP);
    assert_int_equal(from_fd(-1, JDB_FILE_READ), -EBADF);
    assert_int_equal(jdb_file_from_fd(creator, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(write(creator, bytes, 100), 100);
    assert_int_equal(from_fd(creator, BOTH | JDB_FILE_TRUNCATE), 0);
    assert_int_equal(lseek(creator, 0, SEEK_END), 0);
    const int all[] = {creator, reader, writer, appender, memfd, ends[0], ends[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_int_equal(close(all[i]), 0); /* each was still open */
}

/* ---- Without /proc ------------------------------------------------------------------------------------------ */

static unsigned opens;

/* The second file that is opened is /proc/self/fd/N. */
static int hide_proc(enum os_call kind)
{
    return kind == OS_CALL_OPEN && opens++ == 1 ? -ENOENT : 0;
}

/* Meanwhile another file takes the place. */
static int swap_file(enum os_call kind)
{
    if (kind != OS_CALL_OPEN || opens++ != 1)
        return 0;
    MUST(unlink(path) == 0);
    const int other = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    MUST(other >= 0);
    close(other);
    return -ENOENT;
}

static void without_proc_the_path_is_opened_again(void **state)
{
    (void)state;
    need_reopen();
    const bool is_direct = is_direct_here();
    const jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    jdb_file *file = NULL;
    opens = 0;
    faults_set_hook(hide_proc);
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    faults_set_hook(NULL);
    assert_int_equal(jdb_file_write_mode(file) == JDB_FILE_MODE_DIRECT, is_direct);
    use(file);
    assert_int_equal(jdb_file_close(file), 0);
    opens = 0;
    faults_set_hook(swap_file);
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    faults_set_hook(NULL);
    assert_true(jdb_file_write_mode(file) >= JDB_FILE_MODE_UNCACHED);
    use(file); /* the file that was opened first */
    struct stat now;
    assert_int_equal(stat(path, &now), 0);
    assert_int_equal(now.st_size, 0);
    assert_int_equal(jdb_file_close(file), 0);
}

static void open_without_proc(void *argument)
{
    (void)argument;
    MUST(unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    MUST(umount2("/proc", MNT_DETACH) == 0 && access("/proc/self", F_OK) != 0);
    jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    options.policy = JDB_FILE_DIRECT_REQUIRE;
    jdb_file *file = NULL;
    MUST(jdb_file_open(path, &options, NULL, &file) == 0);
    use(file);
    MUST(jdb_file_close(file) == 0);
    const int fd = open(path, O_RDWR);
    options = options_of(BOTH);
    MUST(jdb_file_from_fd(fd, &options, NULL, &file) == 0);
    MUST(strstr(jdb_file_reason(file), "(is /proc mounted?)") != NULL);
    use(file);
    MUST(jdb_file_close(file) == 0);
}

static void a_system_without_proc(void **state)
{
    (void)state;
    if (geteuid() != 0 || !is_direct_here() || TIER_SANITIZED) {
        print_message("unmounting /proc wants root, direct I/O, and no sanitizer\n");
        skip();
    }
    char text[1000];
    const int status = must_run_child(open_without_proc, NULL, text, sizeof text);
    if (strstr(text, "unshare") != NULL || strstr(text, "umount2") != NULL) {
        print_message("no mount namespace here: %s\n", text);
        skip();
    }
    if (status != 0)
        fail_msg("%s", text);
}

/* ---- Permissions -------------------------------------------------------------------------------------------- */

static const uint32_t stingy[] = {0444, 0400, 0200, 0004, 0555, 0066};

static void open_as_nobody(void *argument)
{
    const bool is_direct = *(const bool *)argument;
    MUST(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    umask(0022);
    for (size_t i = 0; i < sizeof stingy / sizeof stingy[0]; i++)
        for (uint32_t extra = 0; extra <= JDB_FILE_EXCLUSIVE; extra += JDB_FILE_EXCLUSIVE) {
            jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE | extra);
            options.permissions = stingy[i];
            jdb_file *file = NULL;
            MUST(jdb_file_open(path, &options, NULL, &file) == 0);
            struct stat now;
            MUST(stat(path, &now) == 0 && (now.st_mode & 07777) == (stingy[i] & 0755));
            MUST((jdb_file_write_mode(file) == JDB_FILE_MODE_DIRECT) == is_direct);
            MUST((jdb_file_read_mode(file) == JDB_FILE_MODE_DIRECT) == is_direct);
            use(file);
            MUST(jdb_file_close(file) == 0);
            MUST(unlink(path) == 0);
        }
}

/* A file that may be written and not read is direct for writing. */
static void write_as_nobody(void *argument)
{
    const bool is_direct = *(const bool *)argument;
    MUST(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    umask(0);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0222);
    MUST(fd >= 0 && close(fd) == 0);
    const jdb_file_options options = options_of(JDB_FILE_WRITE);
    jdb_file *file = NULL;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    MUST(jdb_file_open(path, &options, NULL, &file) == 0);
    MUST((jdb_file_write_mode(file) <= JDB_FILE_MODE_UNKNOWN) == is_direct);
    MUST(jdb_file_write_full(file, jdb_raw_from_slice(bytes, 8192), 0, &report) == 0);
    MUST(jdb_file_close(file) == 0);
}

static void a_file_that_cannot_be_read_is_written_directly(void **state)
{
    (void)state;
    bool is_direct = is_direct_here();
    char text[1000];
    if (must_run_child(write_as_nobody, &is_direct, text, sizeof text) != 0)
        fail_msg("%s", text);
}

static void permissions_that_deny_opening_again(void **state)
{
    (void)state;
    bool is_direct = is_direct_here();
    char text[1000];
    if (must_run_child(open_as_nobody, &is_direct, text, sizeof text) != 0)
        fail_msg("%s", text);
}

static mode_t mode_of_path(void)
{
    struct stat now;
    assert_int_equal(stat(path, &now), 0);
    return now.st_mode & 07777;
}

static void a_file_that_was_there_keeps_its_permissions(void **state)
{
    (void)state;
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0666), 0);
    close(fd);
    jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    options.permissions = 0400;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    assert_int_equal(jdb_file_close(file), 0);
    assert_int_equal(mode_of_path(), 0666);
    options.access |= JDB_FILE_EXCLUSIVE;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), -EEXIST);
    assert_int_equal(mode_of_path(), 0666);
}

/* Whatever fails, the file does not keep what was lent to it, and the call says so where it cannot be taken away. */
static void what_is_new_does_not_keep_more(void **state)
{
    (void)state;
    for (unsigned n = 0;; n++) {
        jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE);
        options.permissions = 0400;
        jdb_file *file = NULL;
        jdb_file_report report = JDB_FILE_REPORT_INIT;
        faults_arm(FAULTS_ANY, n, -ENOMEM);
        const int err = jdb_file_open(path, &options, &report, &file);
        const bool is_over = !faults_disarm();
        assert_int_equal(err == 0, file != NULL);
        if (access(path, F_OK) == 0 && (report.call == NULL || strcmp(report.call, "fchmod") != 0))
            assert_int_equal(mode_of_path(), 0400);
        assert_int_equal(err == 0 ? jdb_file_close(file) : 0, 0);
        unlink(path);
        if (is_over)
            break;
    }
}

static void a_link_to_nothing_is_followed(void **state)
{
    (void)state;
    char target[600];
    snprintf(target, sizeof target, "%s/target", directory);
    assert_int_equal(symlink("target", path), 0);
    jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    options.permissions = 0400;
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    assert_int_equal(access(target, F_OK), 0);
    assert_int_equal(mode_of_path(), 0400);
    assert_int_equal(jdb_file_close(file), 0);
    assert_int_equal(unlink(target), 0);
}

/* ---- Limits --------------------------------------------------------------------------------------------------- */

static void known_limits_need_no_call(void **state)
{
    (void)state;
    const jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    jdb_file *file = NULL;
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    jdb_direct asked = JDB_DIRECT_INIT;
    jdb_direct known = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &asked), 0);
    faults_arm_all(FAULTS_ANY, 0, -EIO);
    const int err = jdb_file_known_limits(file, &known);
    assert_false(faults_disarm());
    assert_int_equal(err, 0);
    assert_memory_equal(&known, &asked, sizeof known);
    assert_int_equal(jdb_file_known_limits(NULL, &known), -EINVAL);
    assert_int_equal(jdb_file_known_limits(file, NULL), -EINVAL);
    known.size = 1;
    known.write_align = 7;
    assert_int_equal(jdb_file_known_limits(file, &known), -EINVAL);
    assert_int_equal(known.write_align, 7);
    assert_int_equal(jdb_file_close(file), 0);
}

/* Each query costs some ten calls: those of the descriptor without O_DIRECT are needed only where that one is refused. */
static void opening_queries_the_limits_once(void **state)
{
    (void)state;
    if (!is_direct_here())
        skip();
    const jdb_file_options options = options_of(BOTH | JDB_FILE_CREATE);
    jdb_file *file = NULL;
    const unsigned long before = faults_calls(OS_CALL_STAT);
    assert_int_equal(jdb_file_open(path, &options, NULL, &file), 0);
    const unsigned long opened = faults_calls(OS_CALL_STAT);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_file_limits(file, &limits), 0);
    const unsigned long asked = faults_calls(OS_CALL_STAT) - opened;
    assert_true(asked >= 3);
    assert_true(opened - before < 2 * asked);
    assert_int_equal(jdb_file_close(file), 0);
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(a_path_begins_at_the_directory),
        WITH_DIRECTORY(a_descriptor_is_borrowed),
        WITH_DIRECTORY(a_descriptor_serves_where_it_cannot_be_opened_again),
        WITH_DIRECTORY(a_copy_serves_where_nothing_can_be_opened_again),
        WITH_DIRECTORY(a_descriptor_is_taken),
        WITH_DIRECTORY(a_taken_descriptor_costs_one_call_to_open),
        WITH_DIRECTORY(what_cannot_be_taken),
        WITH_DIRECTORY(a_descriptor_gives_no_more_than_it_has),
        WITH_DIRECTORY(without_proc_the_path_is_opened_again),
        WITH_DIRECTORY(a_system_without_proc),
        WITH_DIRECTORY(permissions_that_deny_opening_again),
        WITH_DIRECTORY(a_file_that_cannot_be_read_is_written_directly),
        WITH_DIRECTORY(a_file_that_was_there_keeps_its_permissions),
        WITH_DIRECTORY(what_is_new_does_not_keep_more),
        WITH_DIRECTORY(a_link_to_nothing_is_followed),
        WITH_DIRECTORY(known_limits_need_no_call),
        WITH_DIRECTORY(opening_queries_the_limits_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
