/* SPDX-License-Identifier: MIT
 *
 * profile_test.c - the sampled profile: its sums are what is lent, its stacks those of the calls, at any moment and at the peak;
 * its file is what pprof reads. Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "tier.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define NOINLINE __attribute__((noinline))

static char path[256];

static void assert_child(void (*body)(void *))
{
    char text[4096];
    const char *const directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/jdb-profile-%d", directory != NULL ? directory : "/var/tmp", (int)getpid());
    const int status = must_run_child(body, NULL, text, sizeof text);
    unlink(path);
    if (status != 0)
        fail_msg("status %d: %s", status, text);
    if (text[0] != '\0')
        print_message("%s", text);
}

static uint64_t lent_bytes(void)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats.lent_bytes;
}

/* ---- Walks of the stack ----------------------------------------------------------------------------------- */

static unsigned walk_count;

int backtrace(void **frames, int max);

/* In the place of the system's. */
int backtrace(void **frames, int max)
{
    static int (*real)(void **, int);
    walk_count++;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "backtrace");
    return real == NULL ? 0 : real(frames, max);
}

/* ---- Calls that are distinguished -------------------------------------------------------------------------- */

enum { CALL_SMALL, CALL_MIDDLE, CALL_LARGE, CALL_MAX, CALL_GROWN, CALL_BRIEF, CALL_COUNT };

enum { KEPT_MAX = 1 << 17, FULL_COUNT = 66000 };

static jdb_buf kept[KEPT_MAX];
static size_t kept_count;
static volatile unsigned behind; /* so that no call is the last thing a function does */

static NOINLINE void keep_small(void)
{
    jdb_buf *const buf = &kept[kept_count++];
    MUST(jdb_buf_with_cap(buf, 4096) == 0);
    buf->ptr[0] = 1;
    behind++;
}

static NOINLINE void keep_middle(void)
{
    jdb_buf *const buf = &kept[kept_count++];
    MUST(jdb_buf_zeroed(buf, 16384) == 0);
    memset(buf->ptr, 1, buf->cap);
    behind++;
}

static NOINLINE void keep_large(void)
{
    MUST(jdb_buf_with_cap(&kept[kept_count++], 8 * MIB) == 0);
    behind++;
}

static NOINLINE void keep_with_max(void)
{
    MUST(jdb_buf_with_max(&kept[kept_count++], 2 * MIB, 64 * MIB) == 0);
    behind++;
}

/* Two in turn, so that they move. */
static NOINLINE void keep_grown(void)
{
    jdb_buf *const bufs = &kept[kept_count];
    kept_count += 2;
    for (unsigned i = 0; i < 64; i++) {
        MUST(jdb_buf_reserve(&bufs[i % 2], 128 * KIB) == 0);
        MUST(jdb_buf_set_len(&bufs[i % 2], (i / 2 + 1) * 128 * KIB) == 0);
    }
    behind++;
}

static NOINLINE void use_briefly(void)
{
    jdb_buf buf;
    MUST(jdb_buf_with_cap(&buf, 4096) == 0);
    jdb_buf_drop(&buf);
    behind++;
}

static void drop_kept(void)
{
    while (kept_count > 0)
        jdb_buf_drop(&kept[--kept_count]);
}

static void (*const calls[CALL_COUNT])(void) = {keep_small,    keep_middle, keep_large,
                                                keep_with_max, keep_grown,  use_briefly};

/* The call that an address lies in: the last that begins before it, and not long before; CALL_COUNT: none. */
static int call_of(uintptr_t address)
{
    int found = CALL_COUNT;
    uintptr_t nearest = 400;
    for (int call = 0; call < CALL_COUNT; call++)
        if (address > (uintptr_t)calls[call] && address - (uintptr_t)calls[call] < nearest) {
            nearest = address - (uintptr_t)calls[call];
            found = call;
        }
    return found;
}

struct profile {
    uint64_t count;
    uint64_t total; /* of the first line */
    uint64_t bytes[CALL_COUNT + 1];
    bool has_mappings;
};

static void read_stack(const char *line, struct profile *profile)
{
    uint64_t bytes = 0;
    int call = CALL_COUNT;
    MUST(sscanf(line, "%*u: %" SCNu64, &bytes) == 1);
    char *next = strchr(line, '@') + 1;
    for (char *end = next; call == CALL_COUNT; next = end) {
        const uintptr_t address = (uintptr_t)strtoull(next, &end, 16);
        if (end == next)
            break;
        call = call_of(address);
    }
    profile->bytes[call] += bytes;
}

/* Write the profile and read it as pprof would. */
static struct profile take_profile(uint32_t kind)
{
    struct profile profile = {0};
    char line[2048];
    uint64_t sum = 0;
    MUST(jdb_profile_write(path, kind) == 0);
    FILE *const file = fopen(path, "r");
    MUST(file != NULL && fgets(line, sizeof line, file) != NULL);
    MUST(sscanf(line, "heap profile: %" SCNu64 ": %" SCNu64 " [", &profile.count, &profile.total) == 2);
    MUST(strstr(line, "] @ heapprofile\n") != NULL);
    while (fgets(line, sizeof line, file) != NULL && line[0] != '\n')
        read_stack(line, &profile);
    MUST(fgets(line, sizeof line, file) != NULL && strcmp(line, "MAPPED_LIBRARIES:\n") == 0);
    while (fgets(line, sizeof line, file) != NULL)
        profile.has_mappings |= strstr(line, "profile_test") != NULL;
    fclose(file);
    for (int call = 0; call <= CALL_COUNT; call++)
        sum += profile.bytes[call];
    MUST(sum == profile.total);
    return profile;
}

static bool is_near(uint64_t bytes, uint64_t wanted, uint64_t off)
{
    return bytes + off >= wanted && bytes <= wanted + off;
}

/* ---- What is lent ----------------------------------------------------------------------------------------- */

#define SAMPLE (64 * KIB)

/* Before the next sample, and before a thread looks whether it is due. */
#define UNSEEN_MAX (2 * SAMPLE + 384 * KIB)

static void body_sums(void *argument)
{
    (void)argument;
    MUST(jdb_profile_start(SAMPLE) == 0);
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
    for (unsigned i = 0; i < 8192; i++)
        keep_small();
    MUST(is_near(take_profile(JDB_PROFILE_LIVE).total, 32 * MIB, UNSEEN_MAX));
    for (unsigned i = 0; i < 4; i++)
        keep_large();
    struct profile profile = take_profile(JDB_PROFILE_LIVE);
    MUST(is_near(profile.total, lent_bytes(), UNSEEN_MAX));
    MUST(profile.bytes[CALL_LARGE] == 32 * MIB && is_near(profile.count, 8192 + 4, UNSEEN_MAX / 4096));
    MUST(profile.has_mappings);
    drop_kept();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
    profile = take_profile(JDB_PROFILE_PEAK);
    MUST(is_near(profile.total, 64 * MIB, MIB) && profile.bytes[CALL_LARGE] == 32 * MIB);
}

static void sums_are_what_is_lent(void **state)
{
    (void)state;
    assert_child(body_sums);
}

/* Small ones, of which one in two is freed at once; four times as large ones, a quarter as many; grown ones. */
static void body_stacks(void *argument)
{
    (void)argument;
    MUST(jdb_profile_start(SAMPLE) == 0);
    for (unsigned i = 0; i < 32768; i++) {
        use_briefly();
        keep_small();
        if (i % 4 == 0)
            keep_middle();
    }
    const struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL); /* the thread may rest */
    for (unsigned i = 0; i < 128; i++)
        use_briefly(); /* so that the thread looks whether a sample is due */
    const struct profile profile = take_profile(JDB_PROFILE_LIVE);
    fprintf(stderr, "128 MiB small: %" PRIu64 " MiB; 128 MiB middle: %" PRIu64 " MiB; brief: %" PRIu64 " KiB\n",
            profile.bytes[CALL_SMALL] / MIB, profile.bytes[CALL_MIDDLE] / MIB, profile.bytes[CALL_BRIEF] / KIB);
    MUST(is_near(profile.total, 256 * MIB, 32 * MIB));
    MUST(is_near(profile.bytes[CALL_SMALL], 128 * MIB, 72 * MIB));
    MUST(is_near(profile.bytes[CALL_MIDDLE], 128 * MIB, 72 * MIB));
    MUST(profile.bytes[CALL_BRIEF] <= MIB && profile.bytes[CALL_COUNT] == 0);
}

static void each_stack_has_about_what_it_holds(void **state)
{
    (void)state;
    if (!tier_is_measurable())
        skip();
    assert_child(body_stacks);
}

static void body_growth(void *argument)
{
    (void)argument;
    MUST(jdb_profile_start(SAMPLE) == 0);
    for (unsigned i = 0; i < 8; i++) {
        keep_grown();
        keep_with_max();
    }
    struct profile profile = take_profile(JDB_PROFILE_LIVE);
    const uint64_t lent = lent_bytes();
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    MUST(jdb_get_page_stats(&stats) == 0 && stats.moved_bytes >= MIB);
    MUST(is_near(profile.total, lent, UNSEEN_MAX) && lent >= 80 * MIB);
    MUST(profile.bytes[CALL_MAX] == 16 * MIB && is_near(profile.bytes[CALL_GROWN], lent - 16 * MIB, UNSEEN_MAX));
    for (size_t i = 0; i < kept_count; i++) {
        jdb_buf_clear(&kept[i]);
        MUST(jdb_buf_shrink(&kept[i]) == 0 && kept[i].cap == 4096);
    }
    drop_kept();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
}

static void buffers_that_grow_and_shrink_are_followed(void **state)
{
    (void)state;
    assert_child(body_growth);
}

/* Where no sample is taken any more, the one that there is goes with its buffer. */
static void body_moved(void *argument)
{
    (void)argument;
    jdb_buf buf;
    jdb_buf wall;
    MUST(jdb_profile_start(SAMPLE) == 0);
    MUST(jdb_buf_zeroed(&buf, MIB) == 0 && jdb_buf_with_cap(&wall, MIB) == 0);
    memset(buf.ptr, 1, MIB);
    jdb_profile_stop();
    const uint8_t *const ptr = buf.ptr;
    MUST(jdb_buf_reserve(&buf, 4 * MIB) == 0 && buf.ptr != ptr);
    jdb_buf_drop(&wall);
    MUST(take_profile(JDB_PROFILE_LIVE).total == MIB);
    jdb_buf_drop(&buf);
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
}

static void a_sample_goes_with_its_buffer(void **state)
{
    (void)state;
    assert_child(body_moved);
}

/* ---- Threads and children --------------------------------------------------------------------------------- */

static jdb_buf passed[8192];

static void *allocate_all(void *argument)
{
    for (size_t i = 0; i < 8192; i++)
        MUST(jdb_buf_with_cap(&passed[i], 4096) == 0);
    return argument;
}

static void *drop_all(void *argument)
{
    for (size_t i = 0; i < 8192; i++)
        jdb_buf_drop(&passed[i]);
    return argument;
}

/* Allocated by threads that end, freed by others that end. */
static void body_threads(void *argument)
{
    (void)argument;
    pthread_t thread;
    MUST(jdb_profile_start(SAMPLE) == 0);
    for (unsigned round = 0; round < 20; round++) {
        MUST(pthread_create(&thread, NULL, allocate_all, NULL) == 0 && pthread_join(thread, NULL) == 0);
        const uint64_t total = take_profile(JDB_PROFILE_LIVE).total;
        const bool is_right = is_near(total, 32 * MIB, TIER_CHECKED ? 2 * MIB : MIB); /* the quarantine is no cache */
        if (!is_right)
            fprintf(stderr, "round %u: %" PRIu64 " KiB in the profile, 32 MiB lent\n", round, total / KIB);
        MUST(is_right);
        MUST(pthread_create(&thread, NULL, drop_all, NULL) == 0 && pthread_join(thread, NULL) == 0);
        MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
    }
}

static void threads_hand_buffers_to_each_other(void **state)
{
    (void)state;
    assert_child(body_threads);
}

static void *keep_a_few(void *argument)
{
    for (unsigned i = 0; i < 4; i++)
        keep_small();
    return argument;
}

/* Each lends less than a sample stands for; what it leaves waits for one that is sampled. */
static void body_short_lives(void *argument)
{
    (void)argument;
    pthread_t thread;
    MUST(jdb_profile_start(SAMPLE) == 0);
    for (unsigned i = 0; i < 1000; i++)
        MUST(pthread_create(&thread, NULL, keep_a_few, NULL) == 0 && pthread_join(thread, NULL) == 0);
    const struct profile profile = take_profile(JDB_PROFILE_LIVE);
    fprintf(stderr, "%" PRIu64 " of 4000 pages in the profile, %" PRIu64 " where they were lent\n",
            profile.total / 4096, profile.bytes[CALL_SMALL] / 4096);
    MUST(is_near(profile.total, 4000 * 4096, 1200 * 4096) && profile.bytes[CALL_SMALL] == profile.total);
    drop_kept();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
}

static void what_short_lived_threads_lend_is_seen(void **state)
{
    (void)state;
    assert_child(body_short_lives);
}

static void look_in_child(void *argument)
{
    (void)argument;
    struct profile profile = take_profile(JDB_PROFILE_LIVE);
    MUST(profile.bytes[CALL_LARGE] == 16 * MIB);
    keep_large();
    profile = take_profile(JDB_PROFILE_LIVE);
    MUST(profile.bytes[CALL_LARGE] == 24 * MIB);
    drop_kept();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
}

static void body_fork(void *argument)
{
    (void)argument;
    char text[1024];
    MUST(jdb_profile_start(SAMPLE) == 0);
    keep_large();
    keep_large();
    const int status = must_run_child(look_in_child, NULL, text, sizeof text);
    if (status != 0)
        fprintf(stderr, "%s", text);
    MUST(status == 0);
    MUST(take_profile(JDB_PROFILE_LIVE).bytes[CALL_LARGE] == 16 * MIB);
}

static void a_child_goes_on_with_a_copy(void **state)
{
    (void)state;
    assert_child(body_fork);
}

/* ---- Start, stop, errors ---------------------------------------------------------------------------------- */

static void body_stop(void *argument)
{
    (void)argument;
    keep_large();
    MUST(jdb_profile_write(path, JDB_PROFILE_LIVE) == 0);
    MUST(jdb_profile_start(SAMPLE) == 0);
    keep_large();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 8 * MIB); /* what was lent before is not in it */
    jdb_profile_stop();
    keep_large();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 8 * MIB);
    drop_kept();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
    MUST(jdb_profile_start(SAMPLE) == 0);
    keep_large();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 8 * MIB);
    MUST(take_profile(JDB_PROFILE_PEAK).total == 8 * MIB);
}

static void stopped_it_takes_no_samples_and_starts_again(void **state)
{
    (void)state;
    assert_child(body_stop);
}

static void body_errors(void *argument)
{
    (void)argument;
    MUST(jdb_profile_write(NULL, JDB_PROFILE_LIVE) == -EINVAL);
    MUST(jdb_profile_write(path, JDB_PROFILE_PEAK + 1) == -EINVAL && access(path, F_OK) != 0);
    MUST(jdb_profile_write("/nowhere/at/all", JDB_PROFILE_LIVE) == -ENOENT);
    for (unsigned n = 0; n < 2; n++) {
        faults_arm(n == 0 ? OS_CALL_MAP : OS_CALL_PROTECT, 0, -ENOMEM);
        MUST(jdb_profile_start(0) == -ENOMEM);
        MUST(faults_disarm());
    }
    MUST(jdb_profile_start(1) == 0);
    keep_large();
    static const enum os_call kinds[] = {OS_CALL_OPEN, OS_CALL_WRITE, OS_CALL_CLOSE};
    for (unsigned n = 0; n < 3; n++) {
        faults_arm_all(kinds[n], 0, -EIO);
        MUST(jdb_profile_write(path, JDB_PROFILE_LIVE) == -EIO);
        MUST(faults_disarm());
    }
    MUST(take_profile(JDB_PROFILE_LIVE).total == 8 * MIB);
}

static void errors_of_the_profile(void **state)
{
    (void)state;
    assert_child(body_errors);
}

static pthread_barrier_t started_turn;

/* Lends much before the start, and little behind it. */
static void *lend_before_the_start(void *argument)
{
    for (size_t i = 0; i < 4096; i++)
        MUST(jdb_buf_with_cap(&passed[i], 4096) == 0);
    pthread_barrier_wait(&started_turn);
    pthread_barrier_wait(&started_turn);
    return argument;
}

/* A thread that lent before the start ends behind it. */
static void body_started_late(void *argument)
{
    const bool is_restarted = *(const bool *)argument;
    pthread_t thread;
    MUST(!is_restarted || jdb_profile_start(UINT64_MAX) == 0); /* so that it takes no sample */
    MUST(pthread_barrier_init(&started_turn, NULL, 2) == 0);
    MUST(pthread_create(&thread, NULL, lend_before_the_start, NULL) == 0);
    pthread_barrier_wait(&started_turn);
    MUST(jdb_profile_start(SAMPLE) == 0);
    pthread_barrier_wait(&started_turn);
    MUST(pthread_join(thread, NULL) == 0);
    for (unsigned i = 0; i < 8192; i++)
        keep_small();
    const uint64_t total = take_profile(JDB_PROFILE_LIVE).total;
    fprintf(stderr, "%" PRIu64 " KiB in the profile, %" PRIu64 " lent after the start\n", total / KIB, 32 * MIB / KIB);
    MUST(is_near(total, 32 * MIB, UNSEEN_MAX));
}

static void what_was_lent_before_the_start_is_not_in_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        char text[4096];
        bool is_restarted = i != 0;
        snprintf(path, sizeof path, "/var/tmp/jdb-profile-%d", (int)getpid());
        const int status = must_run_child(body_started_late, &is_restarted, text, sizeof text);
        unlink(path);
        if (status != 0)
            fail_msg("restarted %d: status %d: %s", is_restarted, status, text);
    }
}

/* Each is sampled, and there is room for 65,536 of them: the bytes of the others wait. When all are freed, samples stand for what
 * is lent as before. */
static void body_full(void *argument)
{
    (void)argument;
    const struct timespec pause = {0, 20000000};
    MUST(jdb_profile_start(SAMPLE) == 0);
    walk_count = 0;
    while (kept_count < FULL_COUNT)
        MUST(jdb_buf_with_cap(&kept[kept_count++], 260 * KIB) == 0);
    MUST(walk_count < (65536 + FULL_COUNT) / 2); /* not one for each that has no room */
    const uint64_t total = take_profile(JDB_PROFILE_LIVE).total;
    fprintf(stderr, "%" PRIu64 " of %d buffers in the profile\n", total / (260 * KIB), FULL_COUNT);
    MUST(total == 65536 * 260 * KIB);
    drop_kept();
    MUST(take_profile(JDB_PROFILE_LIVE).total == 0);
    nanosleep(&pause, NULL); /* the thread may rest */
    for (unsigned i = 0; i < 8192; i++)
        keep_small();
    MUST(is_near(take_profile(JDB_PROFILE_LIVE).total, 32 * MIB, UNSEEN_MAX));
}

static void more_samples_than_there_is_room_for(void **state)
{
    (void)state;
    if (TIER_CHECKED) /* what is in quarantine counts for buffers smaller than a sample */
        skip();
    assert_child(body_full);
}

/* ---- By the environment ----------------------------------------------------------------------------------- */

/* What the program does when it is run again. */
static int run_again(void)
{
    for (unsigned i = 0; i < 8; i++)
        keep_large();
    drop_kept();
    keep_large();
    printf("%d\n", (int)getpid());
    return 0;
}

static void body_environment(void *argument)
{
    (void)argument;
    char command[512];
    char line[64] = "";
    snprintf(command, sizeof command, "JDB_PROFILE=%s /proc/%d/exe again", path, (int)getpid());
    FILE *const pipe = popen(command, "r");
    MUST(pipe != NULL && fgets(line, sizeof line, pipe) != NULL && pclose(pipe) == 0);
    static const char *const kinds[] = {"live", "peak"};
    for (unsigned kind = 0; kind < 2; kind++) {
        char name[512];
        uint64_t total = 0;
        snprintf(name, sizeof name, "%s.%d.%s", path, (int)strtol(line, NULL, 10), kinds[kind]);
        FILE *const file = fopen(name, "r");
        MUST(file != NULL && fscanf(file, "heap profile: %*u: %" SCNu64, &total) == 1);
        fclose(file);
        unlink(name);
        MUST(is_near(total, kind == 0 ? 8 * MIB : 64 * MIB, 34 * MIB)); /* of samples of 16 MiB */
    }
}

static void the_environment_starts_it_and_the_exit_writes_it(void **state)
{
    (void)state;
    if (tier_is_emulated() || TIER_CHECKED) /* what is in quarantine counts for buffers smaller than a sample */
        skip();
    assert_child(body_environment);
}

static void body_start(void *argument)
{
    (void)argument;
    MUST(jdb_profile_start(0) != -ENOTSUP);
}

int main(int argument_count, char **arguments)
{
    (void)arguments;
    if (argument_count > 1)
        return run_again();
    char text[64];
    if (must_run_child(body_start, NULL, text, sizeof text) != 0) {
        printf("skipped: no stacks can be walked here\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_what_is_lent),
        cmocka_unit_test(each_stack_has_about_what_it_holds),
        cmocka_unit_test(buffers_that_grow_and_shrink_are_followed),
        cmocka_unit_test(a_sample_goes_with_its_buffer),
        cmocka_unit_test(threads_hand_buffers_to_each_other),
        cmocka_unit_test(what_short_lived_threads_lend_is_seen),
        cmocka_unit_test(a_child_goes_on_with_a_copy),
        cmocka_unit_test(stopped_it_takes_no_samples_and_starts_again),
        cmocka_unit_test(what_was_lent_before_the_start_is_not_in_it),
        cmocka_unit_test(errors_of_the_profile),
        cmocka_unit_test(more_samples_than_there_is_room_for),
        cmocka_unit_test(the_environment_starts_it_and_the_exit_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
