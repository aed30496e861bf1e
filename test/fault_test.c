/* SPDX-License-Identifier: MIT
 *
 * fault_test.c - every call to the system made to fail in turn, in every public operation: the right error, outputs as
 * promised, nothing lost, and the next call works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "faults.h"
#include "must.h"
#include "tier.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* What an operation works on: the buffer, what it was before, and others around it. */
struct subject {
    jdb_buf buf;
    jdb_buf was;
    jdb_buf other;
};

struct operation {
    const char *name;
    void (*prepare)(struct subject *);
    int (*run)(struct subject *);
    size_t size;
};

static const struct operation *current;

/* ---- Preparations ----------------------------------------------------------------------------------------- */

static void fill(jdb_buf *buf)
{
    for (size_t at = 0; at < buf->cap; at += 512)
        buf->ptr[at] = (uint8_t)(at / 512 * 13 + 5);
    MUST(jdb_buf_set_len(buf, buf->cap) == 0);
}

static bool is_filled(const jdb_buf *buf, size_t size)
{
    for (size_t at = 0; at < size; at += 512)
        if (buf->ptr[at] != (uint8_t)(at / 512 * 13 + 5))
            return false;
    return true;
}

static void with_nothing(struct subject *subject)
{
    *subject = (struct subject){0};
}

static void with_buffer(struct subject *subject)
{
    with_nothing(subject);
    MUST(jdb_buf_with_cap(&subject->buf, current->size) == 0);
    fill(&subject->buf);
}

/* A neighbour behind it, so that growth has to move. */
static void with_wall(struct subject *subject)
{
    with_buffer(subject);
    MUST(jdb_buf_with_cap(&subject->other, current->size) == 0);
    fill(&subject->other);
}

static void with_half(struct subject *subject)
{
    with_buffer(subject);
    MUST(jdb_buf_set_len(&subject->buf, current->size / 2) == 0);
}

static void with_range(struct subject *subject)
{
    with_nothing(subject);
    MUST(jdb_buf_with_max(&subject->buf, 64 * KIB, current->size) == 0);
    fill(&subject->buf);
}

static void with_wide_range(struct subject *subject)
{
    with_range(subject);
    MUST(jdb_buf_reserve(&subject->buf, current->size - subject->buf.len) == 0);
    fill(&subject->buf);
    MUST(jdb_buf_set_len(&subject->buf, 8192) == 0);
}

/* Memory that was used and freed: what the next zeroed buffer finds dirty. */
static void with_dirt(struct subject *subject)
{
    with_buffer(subject);
    jdb_buf_drop(&subject->buf);
    with_nothing(subject);
}

/* ---- Operations ------------------------------------------------------------------------------------------- */

static int run_with_cap(struct subject *subject)
{
    return jdb_buf_with_cap(&subject->buf, current->size);
}

static int run_aligned(struct subject *subject)
{
    return jdb_buf_with_cap_aligned(&subject->buf, current->size, 2 * MIB);
}

static int run_with_max(struct subject *subject)
{
    return jdb_buf_with_max(&subject->buf, 4096, current->size);
}

static int run_zeroed(struct subject *subject)
{
    const int err = jdb_buf_zeroed(&subject->buf, current->size);
    for (size_t at = 0; err == 0 && current->size <= 64 * MIB && at < subject->buf.cap; at += 256)
        MUST(subject->buf.ptr[at] == 0);
    return err;
}

static int run_page(struct subject *subject)
{
    return jdb_buf_page(&subject->buf);
}

static int run_clone(struct subject *subject)
{
    if (subject->other.ptr != NULL)
        jdb_buf_drop(&subject->other);
    const int err = jdb_buf_try_clone(&subject->buf, &subject->other);
    MUST((err == 0) == (subject->other.ptr != NULL));
    MUST(err != 0 || is_filled(&subject->other, subject->other.len));
    return err;
}

static int run_reserve(struct subject *subject)
{
    const int err = jdb_buf_reserve(&subject->buf, 3 * current->size);
    if (err == 0)
        memset(subject->buf.ptr + subject->buf.len, 1, subject->buf.cap - subject->buf.len);
    return err;
}

static int run_reserve_in_range(struct subject *subject)
{
    const int err = jdb_buf_reserve(&subject->buf, current->size - subject->buf.len);
    if (err == 0)
        memset(subject->buf.ptr + subject->buf.len, 1, subject->buf.cap - subject->buf.len);
    return err;
}

static int run_shrink(struct subject *subject)
{
    return jdb_buf_shrink(&subject->buf);
}

static int run_drop(struct subject *subject)
{
    jdb_buf_drop(&subject->buf);
    MUST(subject->buf.ptr == NULL);
    return 0;
}

static int run_drop_pinned(struct subject *subject)
{
    const jdb_buf buf = subject->buf;
    MUST(jdb_pin(buf.ptr, buf.cap) == 0);
    jdb_buf_drop(&subject->buf);
    MUST(jdb_unpin(buf.ptr, buf.cap) == 0);
    return 0;
}

static int run_trim(struct subject *subject)
{
    (void)subject;
    jdb_trim();
    return 0;
}

static void *make_and_drop_in_a_thread(void *argument)
{
    struct subject *const subject = argument;
    jdb_buf mine;
    const int err = jdb_buf_with_cap(&mine, current->size);
    jdb_buf_drop(&mine);
    subject->was.len = (size_t)-err;
    return NULL;
}

static int run_in_a_fresh_thread(struct subject *subject)
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, make_and_drop_in_a_thread, subject) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    const int err = -(int)subject->was.len;
    *subject = (struct subject){0};
    return err;
}

static int run_flush(struct subject *subject)
{
    jdb_buf_drop(&subject->buf);
    jdb_thread_flush();
    return 0;
}

static int run_limit(struct subject *subject)
{
    (void)subject;
    MUST(jdb_set_limit(GIB, NULL, NULL) == 0);
    jdb_buf buf;
    const int err = jdb_buf_with_cap(&buf, current->size);
    jdb_buf_drop(&buf);
    MUST(jdb_set_limit(0, NULL, NULL) == 0);
    return err;
}

static int run_pin(struct subject *subject)
{
    const int err = jdb_pin(subject->buf.ptr, 1);
    if (err == 0)
        MUST(jdb_unpin(subject->buf.ptr, 1) == 0);
    return err;
}

static const struct operation operations[] = {
    {"with_cap of a page", with_nothing, run_with_cap, 4096},
    {"with_cap of 64 KiB", with_nothing, run_with_cap, 64 * KIB},
    {"with_cap of 68 KiB", with_nothing, run_with_cap, 68 * KIB},
    {"with_cap of 5 MiB", with_nothing, run_with_cap, 5 * MIB},
    {"with_cap of 600 MiB", with_nothing, run_with_cap, 600 * MIB},
    {"with_cap_aligned", with_nothing, run_aligned, 3 * MIB},
    {"with_max", with_nothing, run_with_max, 100 * MIB},
    {"page", with_nothing, run_page, 4096},
    {"zeroed of 64 KiB", with_dirt, run_zeroed, 64 * KIB},
    {"zeroed of 1 MiB", with_dirt, run_zeroed, MIB},
    {"zeroed of 3 MiB", with_dirt, run_zeroed, 3 * MIB},
    {"zeroed of 20 MiB", with_dirt, run_zeroed, 20 * MIB},
    {"zeroed of 1 GiB", with_nothing, run_zeroed, GIB},
    {"clone of 8 KiB", with_buffer, run_clone, 8 * KIB},
    {"clone of 2 MiB", with_buffer, run_clone, 2 * MIB},
    {"reserve of a page", with_buffer, run_reserve, 4096},
    {"reserve of a page behind a wall", with_wall, run_reserve, 4096},
    {"reserve of 64 KiB behind a wall", with_wall, run_reserve, 64 * KIB},
    {"reserve of 256 KiB", with_buffer, run_reserve, 256 * KIB},
    {"reserve of 256 KiB behind a wall", with_wall, run_reserve, 256 * KIB},
    {"reserve of 8 MiB behind a wall", with_wall, run_reserve, 8 * MIB},
    {"reserve in a range", with_range, run_reserve_in_range, 4 * MIB},
    {"shrink of 64 KiB", with_half, run_shrink, 64 * KIB},
    {"shrink of 4 MiB", with_half, run_shrink, 4 * MIB},
    {"shrink in a range", with_wide_range, run_shrink, 4 * MIB},
    {"free of a page", with_buffer, run_drop, 4096},
    {"free of 64 KiB", with_buffer, run_drop, 64 * KIB},
    {"free of 8 MiB", with_buffer, run_drop, 8 * MIB},
    {"free of a range", with_wide_range, run_drop, 4 * MIB},
    {"free while pinned", with_buffer, run_drop_pinned, 2 * MIB},
    {"trim", with_dirt, run_trim, 30 * MIB},
    {"first call of a thread, a page", with_nothing, run_in_a_fresh_thread, 4096},
    {"first call of a thread, 2 MiB", with_nothing, run_in_a_fresh_thread, 2 * MIB},
    {"thread_flush", with_buffer, run_flush, MIB},
    {"under a limit", with_dirt, run_limit, 2 * MIB},
    {"pin", with_buffer, run_pin, 8192},
};
enum { OPERATION_COUNT = sizeof operations / sizeof operations[0] };

/* ---- The rule --------------------------------------------------------------------------------------------- */

static uint64_t lent_bytes(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats.lent_bytes;
}

static void drop_all(struct subject *subject)
{
    jdb_buf_drop(&subject->buf);
    jdb_buf_drop(&subject->other);
}

/* After an error the buffer is what it was; after success it holds what it held. */
static void check_subject(const struct subject *subject, int err)
{
    const jdb_buf *const buf = &subject->buf;
    if (err != 0)
        MUST(memcmp(buf, &subject->was, sizeof *buf) == 0);
    if (subject->was.ptr != NULL && buf->ptr != NULL)
        MUST(is_filled(buf, subject->was.len < buf->len ? subject->was.len : buf->len));
    if (subject->other.ptr != NULL)
        MUST(is_filled(&subject->other, subject->other.len));
    MUST(buf->len <= buf->cap && buf->cap % 4096 == 0 && (buf->ptr == NULL) == (buf->cap == 0));
}

struct fault {
    enum os_call kind;
    unsigned n;
    int err;
    bool all_later;
};

#define NOTHING_FAILED 3

/* One run with the call number n failing, in a process that has allocated nothing before. */
static void body_run_once(void *argument)
{
    const struct fault *const fault = argument;
    struct subject subject;
    current->prepare(&subject);
    jdb_trim();
    subject.was = subject.buf;
    const uint64_t before = lent_bytes() - subject.buf.cap - subject.other.cap;
    (fault->all_later ? faults_arm_all : faults_arm)(fault->kind, fault->n, fault->err);
    const int err = current->run(&subject);
    const bool has_failed = faults_disarm();
    MUST(err == 0 || has_failed);
    MUST(err == 0 || err == -ENOMEM);
    check_subject(&subject, err);
    if (err != 0)
        MUST(current->run(&subject) == 0);
    check_subject(&subject, 0);
    drop_all(&subject);
    MUST(lent_bytes() == before);
    if (!has_failed)
        _exit(NOTHING_FAILED);
}

/* Returns how many calls could fail. */
static unsigned fail_each_call_of(const struct operation *operation, struct fault fault)
{
    current = operation;
    for (fault.n = 0; fault.n < 100; fault.n++) {
        char text[512];
        const int status = must_run_child(body_run_once, &fault, text, sizeof text);
        if (WIFEXITED(status) && WEXITSTATUS(status) == NOTHING_FAILED)
            return fault.n;
        if (status != 0)
            fail_msg("%s: call %u of kind %d failed with %d: status %d: %s", operation->name, fault.n, (int)fault.kind,
                     fault.err, status, text);
    }
    fail_msg("%s: does not end", operation->name);
    return 0;
}

static unsigned fail_each_call(struct fault fault)
{
    unsigned failed = 0;
    for (size_t i = 0; i < OPERATION_COUNT; i++)
        failed += fail_each_call_of(&operations[i], fault);
    return failed;
}

static void every_call_fails_once(void **state)
{
    (void)state;
    const unsigned failed = fail_each_call((struct fault){FAULTS_ANY, 0, -ENOMEM, false});
    print_message("%u calls failed\n", failed);
    assert_true(failed > 2 * OPERATION_COUNT);
}

static void every_call_and_all_behind_it_fail(void **state)
{
    (void)state;
    const unsigned failed = fail_each_call((struct fault){FAULTS_ANY, 0, -ENOMEM, true});
    assert_true(failed > OPERATION_COUNT);
}

/* Whatever number the system gives, the caller gets the one of the table. */
static void other_numbers_of_the_system_do_not_come_through(void **state)
{
    (void)state;
    static const int numbers[] = {-EAGAIN, -EPERM, -EINVAL, -EFAULT};
    const size_t count = (size_t)tier_pick(1, 4, 4);
    for (size_t i = 0; i < count; i++)
        fail_each_call((struct fault){FAULTS_ANY, 0, numbers[i], false});
}

/* As under a filter of system calls, or at a limit of mappings: the rest of the system works. */
static void one_kind_of_call_fails_for_good(void **state)
{
    (void)state;
    const int last = (int)tier_pick(OS_CALL_MAP, OS_CALL_ALLOC, OS_CALL_ALLOC);
    for (int kind = OS_CALL_MAP; kind <= last; kind++)
        fail_each_call((struct fault){(enum os_call)kind, 0, -EPERM, true});
}

/* ---- The first call of a process -------------------------------------------------------------------------- */

static size_t mapping_count(void)
{
    FILE *const file = fopen("/proc/self/maps", "r");
    size_t count = 0;
    for (int c = 0; file != NULL && (c = getc(file)) != EOF;)
        count += c == '\n';
    if (file != NULL)
        fclose(file);
    return count;
}

/* Bytes of address space. */
static uint64_t address_bytes(void)
{
    FILE *const file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    MUST(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What was reserved before a failure is given back: of the addresses taken, all but tables are reserved for pages. */
static void check_addresses(uint64_t before)
{
    jdb_page_stats stats = {.size = sizeof stats};
    MUST(jdb_get_page_stats(&stats) == 0);
    MUST(address_bytes() - before <= stats.reserved_bytes + stats.reserved_bytes / 200 + 64 * MIB);
}

struct first {
    unsigned n;
    size_t size;
    bool all_later;
};

static void body_first_call(void *argument)
{
    const struct first *const first = argument;
    jdb_buf buf;
    size_t mappings = 0;
    bool has_failed = false;
    int err = -ENOMEM;
    const uint64_t addresses = address_bytes();
    for (int round = 0; round < 30 && err != 0; round++) {
        (first->all_later ? faults_arm_all : faults_arm)(FAULTS_ANY, first->n, -ENOMEM);
        err = jdb_buf_zeroed(&buf, first->size);
        has_failed = faults_disarm() || has_failed;
        MUST(err == 0 || (err == -ENOMEM && buf.ptr == NULL && buf.len == 0 && buf.cap == 0));
        if (round == 2)
            mappings = mapping_count();
        MUST(round < 3 || first->all_later || mapping_count() <= mappings + 1);
    }
    if (err != 0)
        MUST(jdb_buf_zeroed(&buf, first->size) == 0);
    memset(buf.ptr, 1, buf.cap);
    jdb_buf_drop(&buf);
    MUST(lent_bytes() == 0);
    if (!first->all_later && !TIER_SANITIZED)
        check_addresses(addresses);
    if (!has_failed)
        _exit(NOTHING_FAILED);
}

static void first_call_of_a_process_fails_at_each_call(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 64 * KIB, 4 * MIB};
    for (size_t i = 0; i < 6; i++) {
        struct first first = {0, sizes[i % 3], i >= 3};
        for (int status = 0; status == 0; first.n++) {
            char text[512];
            assert_true(first.n < 100);
            status = must_run_child(body_first_call, &first, text, sizeof text);
            if (status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == NOTHING_FAILED))
                fail_msg("size %zu, call %u: status %d: %s", first.size, first.n, status, text);
        }
        assert_true(first.n > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_call_of_a_process_fails_at_each_call),
        cmocka_unit_test(every_call_fails_once),
        cmocka_unit_test(every_call_and_all_behind_it_fail),
        cmocka_unit_test(other_numbers_of_the_system_do_not_come_through),
        cmocka_unit_test(one_kind_of_call_fails_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
