/* SPDX-License-Identifier: MIT
 *
 * uring_limit_test.c - as another user under RLIMIT_MEMLOCK: none, some or all regions registered, and I/O right in
 * each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <grp.h>
#include <liburing.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "file_rig.h"
#include "must.h"

#define FIRST_USER 1000000 /* above those of systems */

static int file_fd = -1;

struct limit_case {
    rlim_t limit;
    size_t range_size;
    uint32_t least; /* regions registered */
    uint32_t most;
    uint32_t verdict;
    bool may_lock;
};

/* What is left of root's rights: CAP_IPC_LOCK, or nothing. */
static void keep_lock_right(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective = CAP_TO_MASK(CAP_IPC_LOCK);
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].permitted = CAP_TO_MASK(CAP_IPC_LOCK);
    MUST(syscall(SYS_capset, &head, data) == 0);
}

/* A user of this process alone: the limit counts over all processes of a user, and what a ring that ended held is given back
 * some time later. */
static void become_user(rlim_t limit, bool may_lock)
{
    const uid_t user = FIRST_USER + (uid_t)getpid();
    MUST(!may_lock || prctl(PR_SET_KEEPCAPS, 1) == 0);
    const struct rlimit memlock = {limit, limit};
    MUST(setrlimit(RLIMIT_MEMLOCK, &memlock) == 0);
    MUST(setgroups(0, NULL) == 0);
    MUST(setresgid(user, user, user) == 0);
    MUST(setresuid(user, user, user) == 0);
    if (may_lock)
        keep_lock_right();
}

static void read_block(struct io_uring *ring, jdb_uring *uring, uint8_t *ptr)
{
    jdb_uring_op op = JDB_URING_OP_INIT;
    MUST(jdb_uring_read(uring, &op, file_fd, jdb_raw_new(ptr, BLOCK), BLOCK) == 0);
    jdb_uring_prep(&op, io_uring_get_sqe(ring));
    MUST(io_uring_submit_and_wait(ring, 1) == 1);
    struct io_uring_cqe *cqe = NULL;
    MUST(io_uring_wait_cqe(ring, &cqe) == 0);
    MUST(jdb_uring_complete(&op, cqe->res) == 0);
    io_uring_cqe_seen(ring, cqe);
    for (size_t i = 0; i < BLOCK; i++)
        MUST(ptr[i] == rig_byte(BLOCK + i));
}

static void check_need(const jdb_uring *uring, const uint8_t *ptr, const struct limit_case *expected)
{
    const jdb_uring_range_options overlap = {.size = sizeof overlap, .overlap_size = BLOCK};
    jdb_uring_need need = {.size = sizeof need};
    MUST(jdb_uring_get_need(uring, ptr, expected->range_size, &overlap, &need) == 0);
    MUST(need.is_exempt == expected->may_lock);
    MUST(need.verdict == expected->verdict);
    MUST(need.region_count == expected->range_size / JDB_URING_REGION_MIN);
    MUST(need.need_bytes == expected->range_size + (need.region_count - 1) * BLOCK);
    MUST(need.need_huge_bytes >= expected->range_size);
    MUST(need.limit_bytes == (expected->limit == RLIM_INFINITY ? UINT64_MAX : expected->limit));
    MUST(need.own_bytes == 0);
}

static void check_status(const jdb_uring *uring, const uint8_t *ptr, const struct limit_case *expected)
{
    jdb_uring_range range = {.size = sizeof range};
    MUST(jdb_uring_get_range(uring, ptr, &range) == 0);
    fprintf(stderr, "%u of %u regions\n", range.registered_count, range.region_count);
    MUST(range.registered_count >= expected->least && range.registered_count <= expected->most);
    MUST((range.first_error == 0) == (range.registered_count == range.region_count));
    for (uint32_t i = 0; i < range.region_count; i++) {
        jdb_uring_region region = {.size = sizeof region};
        MUST(jdb_uring_get_region(uring, ptr, i, &region) == 0);
        MUST(region.slot >= 0 || region.why.err == -ENOMEM);
        MUST(region.slot >= 0 || strstr(region.why.reason, "RLIMIT_MEMLOCK") != NULL);
        MUST(region.slot >= 0 || strstr(region.why.remedy, "LimitMEMLOCK") != NULL);
    }
}

static void register_and_read(void *argument)
{
    const struct limit_case *const expected = argument;
    become_user(expected->limit, expected->may_lock);
    struct io_uring ring;
    MUST(io_uring_queue_init(4, &ring, 0) == 0);
    const jdb_uring_options options = {.size = sizeof options, .region_size = JDB_URING_REGION_MIN};
    jdb_uring *uring = NULL;
    MUST(jdb_uring_open(&ring, &options, &uring) == 0);
    uint8_t *const area = mmap(NULL, expected->range_size + JDB_URING_REGION_MIN, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(area != MAP_FAILED);
    madvise(area, expected->range_size + JDB_URING_REGION_MIN, MADV_NOHUGEPAGE);
    check_need(uring, area, expected);
    const jdb_uring_range_options overlap = {.size = sizeof overlap, .overlap_size = BLOCK};
    MUST(jdb_uring_add(uring, area, expected->range_size, &overlap) == 0);
    check_status(uring, area, expected);
    for (size_t at = 0; at < expected->range_size; at += JDB_URING_REGION_MIN)
        read_block(&ring, uring, area + at);
    jdb_uring_range range = {.size = sizeof range};
    MUST(jdb_uring_get_range(uring, area, &range) == 0);
    jdb_uring_stats stats = {.size = sizeof stats};
    MUST(jdb_uring_get_stats(uring, &stats) == 0);
    MUST(stats.fixed_count == range.registered_count);
    MUST(stats.plain_count == range.region_count - range.registered_count);
    jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
}

static void run_case(struct limit_case expected)
{
    char text[1024];
    const int status = must_run_child(register_and_read, &expected, text, sizeof text);
    print_message("%s", text);
    assert_int_equal(status, 0);
}

static void a_small_limit_registers_nothing(void **state)
{
    (void)state;
    run_case((struct limit_case){(rlim_t)64 << 10, (size_t)16 << 20, 0, 0, JDB_URING_NEED_OVER, false});
}

static void a_middling_limit_registers_some(void **state)
{
    (void)state;
    run_case((struct limit_case){(rlim_t)8 << 20, (size_t)16 << 20, 1, 3, JDB_URING_NEED_OVER, false});
}

static void enough_registers_all(void **state)
{
    (void)state;
    run_case((struct limit_case){(rlim_t)8 << 20, (size_t)6 << 20, 3, 3, JDB_URING_NEED_UNKNOWN, false});
}

static void the_right_to_lock_needs_no_limit(void **state)
{
    (void)state;
    run_case((struct limit_case){(rlim_t)64 << 10, (size_t)16 << 20, 8, 8, JDB_URING_NEED_NONE, true});
}

static void no_limit_registers_all(void **state)
{
    (void)state;
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) {
        print_message("skipped: RLIMIT_MEMLOCK may not be raised here\n");
        skip();
    }
    run_case((struct limit_case){RLIM_INFINITY, (size_t)16 << 20, 8, 8, JDB_URING_NEED_NONE, false});
}

/* A ring gone without unregistering gives locked memory back late, by a worker of the kernel. The library waits for it a while;
 * on a busy machine the worker may take longer, and a refresh succeeds later. */
static void register_again_after_a_ring_died(void *argument)
{
    (void)argument;
    become_user((rlim_t)4 << 20, false);
    uint8_t *const area = mmap(NULL, 3 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(area != MAP_FAILED);
    for (int round = 0; round < 5; round++) {
        struct io_uring ring;
        MUST(io_uring_queue_init(4, &ring, 0) == 0);
        jdb_uring *uring = NULL;
        MUST(jdb_uring_open(&ring, NULL, &uring) == 0);
        MUST(jdb_uring_add(uring, area, 3 << 20, NULL) == 0);
        jdb_uring_range range = {.size = sizeof range};
        MUST(jdb_uring_get_range(uring, area, &range) == 0);
        const struct timespec pause = {0, 20000000};
        for (int i = 0; i < 250 && range.registered_count == 0; i++) {
            nanosleep(&pause, NULL);
            MUST(jdb_uring_refresh(uring, area) == 0 && jdb_uring_get_range(uring, area, &range) == 0);
        }
        MUST(range.registered_count == 1);
        io_uring_queue_exit(&ring);
        jdb_uring_abandon(uring);
    }
}

static void our_own_teardown_is_waited_for(void **state)
{
    (void)state;
    char text[1024];
    const int status = must_run_child(register_again_after_a_ring_died, NULL, text, sizeof text);
    print_message("%s", text);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_limit_registers_nothing),
        cmocka_unit_test(a_middling_limit_registers_some),
        cmocka_unit_test(enough_registers_all),
        cmocka_unit_test(the_right_to_lock_needs_no_limit),
        cmocka_unit_test(no_limit_registers_all),
        cmocka_unit_test(our_own_teardown_is_waited_for),
    };
    struct io_uring ring;
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0 || geteuid() != 0) {
        print_message("skipped: %s\n", err < 0 ? jdb_uring_explain_ring(err).reason : "needs root to become a user");
        return 77;
    }
    io_uring_queue_exit(&ring);
    file_fd = rig_file(2 * BLOCK);
    if (file_fd < 0) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
