/* SPDX-License-Identifier: MIT
 *
 * direct_test.c - limits of real files, the next source where a call fails, and checks of requests.
 */
#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* An unlinked file of `size` written bytes in `directory`, open with O_DIRECT or with the flags given. */
static int open_file(const char *directory, size_t size, int flags)
{
    char path[256];
    snprintf(path, sizeof path, "%s/jdb_direct_test.XXXXXX", directory);
    const int plain = mkstemp(path);
    assert_true(plain >= 0);
    char *const bytes = malloc(size + 1);
    assert_non_null(bytes);
    memset(bytes, 'x', size);
    assert_int_equal(write(plain, bytes, size), size);
    free(bytes);
    assert_int_equal(fsync(plain), 0);
    close(plain);
    const int fd = open(path, flags);
    unlink(path);
    return fd;
}

static const char *test_directory(void)
{
    const char *const directory = getenv("TMPDIR");
    return directory != NULL ? directory : "/var/tmp";
}

static bool is_pow2(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* What the header promises of every jdb_direct that was filled. */
static void assert_sane(const jdb_direct *limits)
{
    assert_true(is_pow2(limits->memory_align));
    assert_true(is_pow2(limits->write_align));
    assert_true(is_pow2(limits->read_align));
    assert_true(limits->read_align <= limits->write_align);
    assert_true(is_pow2(limits->recommended_write_size));
    assert_true(is_pow2(limits->recommended_read_size));
    assert_int_equal(limits->recommended_write_size % limits->write_align, 0);
    assert_int_equal(limits->recommended_read_size % limits->read_align, 0);
    assert_true(limits->recommended_memory_align >= 4096);
    assert_in_range(limits->state, JDB_DIRECT_STATE_DIRECT, JDB_DIRECT_STATE_REFUSED);
    assert_true(limits->state >= limits->read_state && limits->state >= limits->write_state);
    assert_int_not_equal(limits->reason[0], '\0');
    assert_string_not_equal(jdb_direct_source_name(limits->memory_source), "?");
    assert_string_not_equal(jdb_direct_source_name(limits->write_source), "?");
    assert_string_not_equal(jdb_direct_source_name(limits->read_source), "?");
    assert_string_not_equal(jdb_direct_source_name(limits->state_source), "?");
}

static void limits_of_a_file_hold(void **state)
{
    (void)state;
    const int fd = open_file(test_directory(), 1 << 20, O_RDWR | O_DIRECT);
    if (fd < 0)
        skip();
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    assert_sane(&limits);
    assert_int_equal(limits.is_open_direct, 1);
    assert_int_equal(limits.is_device, 0);
    assert_true(limits.trial_result > 0);
    if (limits.state == JDB_DIRECT_STATE_DIRECT) { /* then the kernel accepts requests of these alignments */
        uint8_t *const memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(memory != MAP_FAILED);
        assert_int_equal(pread(fd, memory + limits.memory_align, limits.read_align, limits.read_align),
                         limits.read_align);
        assert_int_equal(pwrite(fd, memory + limits.memory_align, limits.write_align, limits.write_align),
                         limits.write_align);
        munmap(memory, 1 << 20);
    }
    close(fd);
}

static void without_o_direct_nothing_is_tried(void **state)
{
    (void)state;
    const int fd = open_file(test_directory(), 8192, O_RDWR);
    const unsigned long before = faults_calls(OS_CALL_READ);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    assert_sane(&limits);
    assert_int_equal(limits.is_open_direct, 0);
    assert_int_equal(limits.trial_result, 0);
    assert_int_equal(faults_calls(OS_CALL_READ), before);
    close(fd);
}

static void tmpfs_is_buffered(void **state)
{
    (void)state;
    const int fd = open_file("/dev/shm", 8192, O_RDWR | O_DIRECT);
    if (fd < 0)
        skip(); /* before Linux 6.6 tmpfs refuses O_DIRECT */
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    assert_sane(&limits);
    if (limits.file_system == 0)
        skip(); /* src/os/posix.c does not know it */
    assert_int_equal(limits.state, JDB_DIRECT_STATE_BUFFERED);
    assert_int_equal(limits.state_source, JDB_DIRECT_SOURCE_FILE_SYSTEM);
    assert_non_null(strstr(limits.reason, "tmpfs"));
    close(fd);
}

static void an_empty_or_write_only_file_has_limits_too(void **state)
{
    (void)state;
    int fd = open_file(test_directory(), 0, O_RDWR | O_DIRECT);
    jdb_direct limits = JDB_DIRECT_INIT;
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    assert_sane(&limits);
    assert_int_equal(limits.trial_result, 0);
    close(fd);
    fd = open_file(test_directory(), 8192, O_WRONLY | O_DIRECT);
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    assert_sane(&limits);
    assert_int_equal(limits.trial_result, -EBADF);
    close(fd);
}

static void bad_arguments_leave_the_output_alone(void **state)
{
    (void)state;
    jdb_direct limits = JDB_DIRECT_INIT;
    const jdb_direct before = limits;
    assert_int_equal(jdb_direct_limits(-1, &limits), -EBADF);
    assert_memory_equal(&limits, &before, sizeof before);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(jdb_direct_limits(ends[0], &limits), -ENOTSUP);
    assert_memory_equal(&limits, &before, sizeof before);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(jdb_direct_limits(0, NULL), -EINVAL);
    limits.size = 8;
    assert_int_equal(jdb_direct_limits(0, &limits), -EINVAL);
}

static void every_call_fails_in_turn(void **state)
{
    (void)state;
    const int fd = open_file(test_directory(), 8192, O_RDWR | O_DIRECT);
    assert_true(fd >= 0);
    unsigned count = 0;
    for (;; count++) {
        jdb_direct limits = JDB_DIRECT_INIT;
        const jdb_direct before = limits;
        faults_arm(FAULTS_ANY, count, -EIO);
        const int err = jdb_direct_limits(fd, &limits);
        if (!faults_disarm())
            break;
        if (err != 0)
            assert_memory_equal(&limits, &before, sizeof before);
        else
            assert_sane(&limits);
    }
    assert_true(count >= 5);
    close(fd);
}

/* With the read refused at every size the file is refused, whichever source vouched for it. */
static void refused_reads_make_a_refused_file(void **state)
{
    (void)state;
    const int fd = open_file(test_directory(), 8192, O_RDWR | O_DIRECT);
    jdb_direct limits = JDB_DIRECT_INIT;
    faults_arm_all(OS_CALL_READ, 0, -EINVAL);
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    faults_disarm();
    assert_sane(&limits);
    assert_int_equal(limits.state, JDB_DIRECT_STATE_REFUSED);
    assert_int_equal(limits.trial_result, -EINVAL);
    close(fd);
}

static void a_refused_read_raises_the_alignment(void **state)
{
    (void)state;
    const int fd = open_file(test_directory(), 1 << 17, O_RDWR | O_DIRECT);
    jdb_direct reported = JDB_DIRECT_INIT;
    assert_int_equal(jdb_direct_limits(fd, &reported), 0);
    jdb_direct limits = JDB_DIRECT_INIT;
    faults_arm(OS_CALL_READ, 0, -EINVAL);
    assert_int_equal(jdb_direct_limits(fd, &limits), 0);
    assert_true(faults_disarm());
    assert_sane(&limits);
    assert_int_equal(limits.read_align, reported.read_align * 2);
    assert_int_equal(limits.read_source, JDB_DIRECT_SOURCE_TRIAL);
    close(fd);
}

/* ---- An older kernel ---------------------------------------------------------------------------------------- */

/* From here on statx is refused, as before Linux 4.11: the device below and the trials must do. */
static void refuse_statx(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_statx, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void query_without_statx(void *argument)
{
    const int fd = *(const int *)argument;
    jdb_direct reported = JDB_DIRECT_INIT;
    jdb_direct limits = JDB_DIRECT_INIT;
    MUST(jdb_direct_limits(fd, &reported) == 0);
    refuse_statx();
    MUST(jdb_direct_limits(fd, &limits) == 0);
    MUST(limits.write_source != JDB_DIRECT_SOURCE_STATX && limits.state_source != JDB_DIRECT_SOURCE_STATX);
    if (reported.state == JDB_DIRECT_STATE_DIRECT && reported.logical_block_size != 0) {
        MUST(limits.state == JDB_DIRECT_STATE_DIRECT);
        MUST(limits.write_align >= reported.write_align || limits.write_source == JDB_DIRECT_SOURCE_XFS);
    }
}

static void an_older_kernel_has_other_sources(void **state)
{
    (void)state;
    int fd = open_file(test_directory(), 1 << 20, O_RDWR | O_DIRECT);
    if (fd < 0)
        skip();
    char text[1024];
    const int status = must_run_child(query_without_statx, &fd, text, sizeof text);
    close(fd);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

/* ---- Known file systems ------------------------------------------------------------------------------------- */

#define OVERLAY 0x794c7630
#define FUSE 0x65735546
#define NFS 0x6969
#define TMPFS 0x01021994
#define BTRFS 0x9123683e

static uint32_t pretended_file_system; /* 0: as it is */

int fstatfs(int fd, struct statfs *ret_status)
{
    const int result = (int)syscall(SYS_fstatfs, fd, ret_status);
    if (result == 0 && pretended_file_system != 0)
        ret_status->f_type = (__typeof__(ret_status->f_type))pretended_file_system;
    return result;
}

static unsigned reads;
static unsigned first_refused; /* reads from this one on are refused, this many */
static unsigned refused_count;
static int refused_with;

static int refuse_some_reads(enum os_call kind)
{
    if (kind != OS_CALL_READ)
        return 0;
    const unsigned number = reads++;
    return number >= first_refused && number - first_refused < refused_count ? refused_with : 0;
}

/* Without statx; the file lies on a file system that does direct I/O. */
static jdb_direct query_as(int fd, uint32_t file_system, unsigned first, unsigned count, int err)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    pretended_file_system = file_system;
    reads = 0;
    first_refused = first;
    refused_count = count;
    refused_with = err;
    faults_set_hook(refuse_some_reads);
    MUST(jdb_direct_limits(fd, &limits) == 0);
    faults_set_hook(NULL);
    return limits;
}

static void query_known_file_systems(void *argument)
{
    const int fd = *(const int *)argument;
    refuse_statx();
    if (query_as(fd, 0, 0, 0, 0).state_source == JDB_DIRECT_SOURCE_XFS)
        return; /* which vouches for the file whatever the file system is said to be */
    const uint32_t hidden[] = {OVERLAY, FUSE, NFS};
    for (size_t i = 0; i < 3; i++) {
        jdb_direct limits = query_as(fd, hidden[i], 0, 0, 0);
        MUST(limits.state == JDB_DIRECT_STATE_DIRECT && limits.state_source == JDB_DIRECT_SOURCE_TRIAL);
        limits = query_as(fd, hidden[i], 1, 1, -EIO); /* the misaligned read is not refused for its address */
        MUST(limits.state == JDB_DIRECT_STATE_UNKNOWN && limits.state_source == JDB_DIRECT_SOURCE_FILE_SYSTEM);
        limits = query_as(fd, hidden[i], 0, 1, -EIO); /* nothing is learned from reads that fail */
        MUST(limits.state == JDB_DIRECT_STATE_UNKNOWN && limits.state_source == JDB_DIRECT_SOURCE_FILE_SYSTEM);
        MUST(reads == 1);
    }
    const jdb_direct memory = query_as(fd, TMPFS, 0, 0, 0);
    MUST(memory.state == JDB_DIRECT_STATE_BUFFERED);
    const jdb_direct copied = query_as(fd, BTRFS, 0, 0, 0);
    MUST(copied.read_state == JDB_DIRECT_STATE_DIRECT && copied.write_state == JDB_DIRECT_STATE_UNKNOWN);
    MUST(strstr(copied.reason, "6.15") != NULL);
}

static void query_memory_alignment(void *argument)
{
    const int fd = *(const int *)argument;
    refuse_statx();
    const jdb_direct fine = query_as(fd, 0, 0, 0, 0);
    MUST(fine.memory_source == JDB_DIRECT_SOURCE_DEVICE || fine.memory_source == JDB_DIRECT_SOURCE_XFS ||
         fine.memory_source == JDB_DIRECT_SOURCE_ASSUMED);
    if (fine.memory_source == JDB_DIRECT_SOURCE_XFS)
        return;
    const jdb_direct raised = query_as(fd, 0, 2, 2, -EINVAL); /* behind the aligned read and the misaligned one */
    MUST(raised.memory_align == fine.memory_align * 4 && raised.memory_source == JDB_DIRECT_SOURCE_TRIAL);
    MUST(raised.read_align == fine.read_align && raised.write_align == fine.write_align);
    MUST(raised.recommended_memory_align >= raised.memory_align);
}

/* A file that cannot be read has no trial, and nothing is said of one. */
static void query_without_reading(void *argument)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", *(const int *)argument);
    const int fd = open(path, O_WRONLY | O_DIRECT);
    MUST(fd >= 0);
    refuse_statx();
    const jdb_direct limits = query_as(fd, 0, 0, 0, 0);
    if (limits.state_source == JDB_DIRECT_SOURCE_XFS)
        return;
    MUST(limits.state == JDB_DIRECT_STATE_UNKNOWN && limits.state_source == JDB_DIRECT_SOURCE_ASSUMED);
    MUST(strstr(limits.reason, "no read could be tried") != NULL);
    MUST(limits.memory_source != JDB_DIRECT_SOURCE_TRIAL && limits.read_source != JDB_DIRECT_SOURCE_TRIAL);
}

static void run_with_direct_file(void (*body)(void *argument))
{
    int fd = open_file(test_directory(), 1 << 20, O_RDWR | O_DIRECT);
    jdb_direct limits = JDB_DIRECT_INIT;
    if (fd < 0 || jdb_direct_limits(fd, &limits) != 0 || limits.state != JDB_DIRECT_STATE_DIRECT ||
        limits.logical_block_size == 0) {
        print_message("no direct I/O here that a trial could see\n");
        close(fd);
        skip();
    }
    char text[1024];
    const int status = must_run_child(body, &fd, text, sizeof text);
    close(fd);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
}

static void what_statx_does_not_vouch_for_is_tried(void **state)
{
    (void)state;
    run_with_direct_file(query_known_file_systems);
}

static void a_file_that_cannot_be_read_is_not_judged(void **state)
{
    (void)state;
    run_with_direct_file(query_without_reading);
}

static void memory_that_nobody_reports_is_tried(void **state)
{
    (void)state;
    run_with_direct_file(query_memory_alignment);
}

/* ---- Pure --------------------------------------------------------------------------------------------------- */

static jdb_direct made(uint32_t memory, uint32_t write, uint32_t read)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    limits.state = JDB_DIRECT_STATE_DIRECT;
    limits.memory_align = memory;
    limits.write_align = write;
    limits.read_align = read;
    return limits;
}

static void override_and_pretend(void **state)
{
    (void)state;
    jdb_direct limits = made(512, 512, 512);
    assert_int_equal(jdb_direct_override(&limits, 3, 0, 0), -EINVAL);
    assert_int_equal(limits.memory_align, 512);
    assert_int_equal(jdb_direct_override(&limits, 0, 3, 0), -EINVAL);
    assert_int_equal(limits.write_align, 512);
    assert_int_equal(jdb_direct_override(&limits, 0, 0, 3), -EINVAL);
    assert_int_equal(limits.read_align, 512);
    assert_int_equal(jdb_direct_override(NULL, 1, 1, 1), -EINVAL);
    assert_int_equal(jdb_direct_override(&limits, 4, 0, 1024), 0);
    assert_int_equal(limits.memory_align, 4);
    assert_int_equal(limits.write_align, 512);
    assert_int_equal(limits.read_align, 1024);
    assert_int_equal(limits.memory_source, JDB_DIRECT_SOURCE_OVERRIDE);
    assert_int_equal(jdb_direct_pretend(&limits, 1000), -EINVAL);
    assert_int_equal(jdb_direct_pretend(&limits, 0), -EINVAL);
    assert_int_equal(jdb_direct_pretend(&limits, 65536), 0);
    assert_int_equal(limits.memory_align, 65536);
    assert_int_equal(limits.write_align, 65536);
    assert_int_equal(limits.read_align, 65536);
    assert_int_equal(limits.recommended_memory_align, 65536);
    assert_int_equal(limits.recommended_write_size, 65536);
    assert_int_equal(limits.write_source, JDB_DIRECT_SOURCE_PRETENDED);
    assert_int_equal(jdb_direct_pretend(&limits, 4096), 0);
    assert_int_equal(limits.write_align, 65536);
}

/* A read needs no more than a block of the device; a write is best as large as what is rewritten as a whole. */
static void recommended_sizes_follow_from_the_limits(void **state)
{
    (void)state;
    jdb_direct limits = made(4, 512, 1024);
    limits.logical_block_size = 2048;
    limits.physical_block_size = 4096;
    limits.preferred_block_size = 16384;
    assert_int_equal(jdb_direct_override(&limits, 0, 0, 0), 0);
    assert_int_equal(limits.recommended_memory_align, 4096);
    assert_int_equal(limits.recommended_read_size, 2048);
    assert_int_equal(limits.recommended_write_size, 16384);
    limits.physical_block_size = 32768;
    assert_int_equal(jdb_direct_override(&limits, 8192, 0, 4096), 0);
    assert_int_equal(limits.recommended_memory_align, 8192);
    assert_int_equal(limits.recommended_read_size, 4096);
    assert_int_equal(limits.recommended_write_size, 32768);
    assert_int_equal(jdb_direct_override(&limits, 0, 65536, 0), 0);
    assert_int_equal(limits.recommended_write_size, 65536);
}

static void assert_demand(const jdb_direct_demand *demand)
{
    assert_int_equal(demand->below % demand->align, 0);
    assert_int_equal(demand->below + demand->excess, demand->value);
    assert_true(demand->excess < demand->align);
    if (demand->above != UINT64_MAX)
        assert_int_equal(demand->above, demand->excess == 0 ? demand->value : demand->below + demand->align);
}

/* Every remainder of the three against the definition. */
static void check_agrees_with_the_definition(void **state)
{
    (void)state;
    const jdb_direct limits = made(8, 32, 16);
    uint8_t *const base = (uint8_t *)(uintptr_t)0x10000;
    for (unsigned address = 0; address < 16; address++)
        for (unsigned offset = 0; offset < 64; offset++)
            for (unsigned length = 0; length < 64; length++)
                for (unsigned is_write = 0; is_write < 2; is_write++) {
                    const unsigned align = is_write != 0 ? 32 : 16;
                    const unsigned wrong =
                        (address % 8 != 0 ? 1u : 0) | (offset % align != 0 ? 2u : 0) | (length % align != 0 ? 4u : 0);
                    const jdb_raw view = is_write != 0 ? jdb_raw_from_raw_parts(base + address, length, 64)
                                                       : jdb_raw_new(base + address, length);
                    jdb_direct_check found = JDB_DIRECT_CHECK_INIT;
                    const int err = is_write != 0 ? jdb_direct_check_write(&limits, view, offset, &found)
                                                  : jdb_direct_check_read(&limits, view, offset, &found);
                    assert_int_equal(err, wrong == 0 ? 0 : -EINVAL);
                    assert_int_equal(found.wrong, wrong);
                    assert_int_equal(found.is_write, is_write);
                    assert_demand(&found.address);
                    assert_demand(&found.offset);
                    assert_demand(&found.length);
                    char line[JDB_DIRECT_TEXT_SIZE];
                    const int size = jdb_direct_check_format(&found, line, sizeof line);
                    assert_in_range(size, 1, sizeof line - 1);
                    assert_int_equal(strlen(line), size);
                    assert_int_equal(strstr(line, "address") != NULL, (wrong & 1) != 0);
                    assert_int_equal(strstr(line, "offset") != NULL, (wrong & 2) != 0);
                    assert_int_equal(strstr(line, "length") != NULL, (wrong & 4) != 0);
                }
}

static void check_refuses_bad_arguments(void **state)
{
    (void)state;
    const jdb_direct limits = made(512, 512, 512);
    const jdb_direct empty = JDB_DIRECT_INIT;
    const jdb_raw view = jdb_raw_new((void *)(uintptr_t)4096, 4096);
    jdb_direct_check found = JDB_DIRECT_CHECK_INIT;
    const jdb_direct_check before = found;
    assert_int_equal(jdb_direct_check_read(NULL, view, 0, &found), -EINVAL);
    assert_int_equal(jdb_direct_check_read(&empty, view, 0, &found), -EINVAL);
    assert_int_equal(jdb_direct_check_write(&limits, view, -1, &found), -EINVAL);
    assert_memory_equal(&found, &before, sizeof before);
    found.size = 4;
    assert_int_equal(jdb_direct_check_read(&limits, view, 0, &found), -EINVAL);
    assert_int_equal(jdb_direct_check_read(&limits, view, 0, NULL), 0);
    assert_int_equal(jdb_direct_check_format(NULL, NULL, 0), -EINVAL);
}

static void lines_read_well_at_the_extremes(void **state)
{
    (void)state;
    const jdb_direct limits = made(4096, 65536, 65536);
    const jdb_raw view = jdb_raw_from_raw_parts((void *)UINTPTR_MAX, SIZE_MAX, SIZE_MAX);
    jdb_direct_check found = JDB_DIRECT_CHECK_INIT;
    assert_int_equal(jdb_direct_check_write(&limits, view, INT64_MAX, &found), -EINVAL);
    assert_int_equal(found.length.above, UINT64_MAX);
    char line[JDB_DIRECT_TEXT_SIZE];
    const int size = jdb_direct_check_format(&found, line, sizeof line);
    assert_in_range(size, 1, sizeof line - 1);
    char part[10];
    assert_int_equal(jdb_direct_check_format(&found, part, sizeof part), size);
    assert_memory_equal(part, line, 9);
    assert_int_equal(part[9], '\0');
    assert_int_equal(jdb_direct_check_format(&found, NULL, 0), size);

    const jdb_direct small = made(512, 512, 512);
    const jdb_raw thousand = jdb_raw_from_raw_parts((void *)(uintptr_t)4096, 1000, 4096);
    assert_int_equal(jdb_direct_check_write(&small, thousand, 0, &found), -EINVAL);
    jdb_direct_check_format(&found, line, sizeof line);
    assert_string_equal(line, "write refused: length 1000 is 488 past a multiple of 512: use 512 or 1024");
    assert_true(jdb_direct_format(&small, line, sizeof line) > 0);
    assert_int_equal(jdb_direct_format(NULL, line, sizeof line), -EINVAL);
    assert_string_equal(jdb_direct_state_name(99), "?");
    assert_string_equal(jdb_direct_source_name(99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_of_a_file_hold),
        cmocka_unit_test(without_o_direct_nothing_is_tried),
        cmocka_unit_test(tmpfs_is_buffered),
        cmocka_unit_test(an_empty_or_write_only_file_has_limits_too),
        cmocka_unit_test(bad_arguments_leave_the_output_alone),
        cmocka_unit_test(every_call_fails_in_turn),
        cmocka_unit_test(refused_reads_make_a_refused_file),
        cmocka_unit_test(a_refused_read_raises_the_alignment),
        cmocka_unit_test(an_older_kernel_has_other_sources),
        cmocka_unit_test(what_statx_does_not_vouch_for_is_tried),
        cmocka_unit_test(a_file_that_cannot_be_read_is_not_judged),
        cmocka_unit_test(memory_that_nobody_reports_is_tried),
        cmocka_unit_test(override_and_pretend),
        cmocka_unit_test(recommended_sizes_follow_from_the_limits),
        cmocka_unit_test(check_agrees_with_the_definition),
        cmocka_unit_test(check_refuses_bad_arguments),
        cmocka_unit_test(lines_read_well_at_the_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
