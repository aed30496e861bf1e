/* SPDX-License-Identifier: MIT
 *
 * cancel_test.c - no call is a cancellation point: with a request to cancel the thread pending, each call returns.
 */
#include "jdb_alloc.h"

#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char path[512];
static char directory[400];
static uint8_t bytes[1000];

static int make_path(void **state)
{
    (void)state;
    const char *const wanted = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s", wanted != NULL ? wanted : "/var/tmp");
    snprintf(path, sizeof path, "%s/jdb_cancel_test.%ld", directory, (long)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* Runs the body on a thread that is to be cancelled from the start: it returns if no call of it acts upon that. */
static void cancelled(void *(*body)(void *))
{
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, bytes);
}

/* The request is still there, and would act at the next cancellation point. It must not: sanitizers do not survive it in
 * a frame with arrays. */
static void *end(void)
{
    int before = PTHREAD_CANCEL_DISABLE;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    MUST(before == PTHREAD_CANCEL_ENABLE);
    return bytes;
}

static jdb_file *open_file(uint32_t policy)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    options.durability = JDB_FILE_DURABLE_SYNC;
    options.policy = policy;
    jdb_file *file = NULL;
    MUST(jdb_file_open(path, &options, NULL, &file) == 0);
    return file;
}

static void *use_file(void *policy)
{
    pthread_cancel(pthread_self());
    jdb_file *const file = open_file(policy != NULL ? JDB_FILE_DIRECT_OFF : JDB_FILE_DIRECT_PREFER);
    jdb_raw view = jdb_raw_from_slice(bytes, sizeof bytes);
    MUST(jdb_file_write_full(file, view, 100, NULL) == 0);
    MUST(jdb_file_read_full(file, &view, 100, NULL) == 0);
    MUST(jdb_file_write_zeros(file, 0, 10000, NULL) == 0);
    MUST(jdb_file_truncate(file, 4096) == 0);
    MUST(jdb_file_sync(file, JDB_FILE_DURABLE_DATA) == 0);
    jdb_direct limits = JDB_DIRECT_INIT;
    int64_t size = 0;
    MUST(jdb_file_limits(file, &limits) == 0 && jdb_file_size(file, &size) == 0 && size == 4096);
    MUST(jdb_file_sync_directory(directory) == 0);
    MUST(jdb_file_close(file) == 0);
    return end();
}

static void *use_file_without_direct(void *unused)
{
    (void)unused;
    return use_file(path);
}

static void files(void **state)
{
    (void)state;
    cancelled(use_file);
    cancelled(use_file_without_direct);
}

static void *use_arena(void *unused)
{
    (void)unused;
    pthread_cancel(pthread_self());
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = 65536;
    options.frame_count = 256;
    options.max_frame_count = 512;
    options.flags = JDB_ARENA_MEMFD | JDB_ARENA_PREFAULT;
    jdb_arena *arena = NULL;
    jdb_arena_report report = JDB_ARENA_REPORT_INIT;
    uint64_t given = 0;
    int err = jdb_arena_new(&options, &arena);
    if (err == -ENOTSUP) { /* memfd is Linux */
        options.flags = JDB_ARENA_PREFAULT;
        err = jdb_arena_new(&options, &arena);
    }
    MUST(err == 0);
    MUST(jdb_arena_get_report(arena, &report) == 0);
    MUST(jdb_arena_grow(arena, 512) == 0);
    MUST(jdb_arena_decommit(arena, 0, 256, &given) == 0);
    jdb_pool *pool = NULL;
    jdb_frame frame;
    MUST(jdb_pool_new(arena, NULL, &pool) == 0);
    MUST(jdb_pool_get(pool, &frame) == 0 && jdb_pool_put(pool, frame) == 0);
    jdb_frame all[512];
    MUST(jdb_pool_get_n(pool, 512, all) == 0);
    MUST(jdb_pool_get_wait(pool, 1, jdb_clock_ns() + 20000000, NULL, &frame) == -ETIMEDOUT);
    MUST(jdb_pool_put_n(pool, all, 512) == 0);
    MUST(jdb_pool_free(pool) == 0 && jdb_arena_free(arena) == 0);
    jdb_trim();
    return end();
}

static void arenas_and_pools(void **state)
{
    (void)state;
    cancelled(use_arena);
}

static void *write_for_ever(void *file)
{
    while (jdb_file_write_full(file, jdb_raw_from_slice(bytes, sizeof bytes), 100, NULL) == 0)
        pthread_testcancel();
    return NULL;
}

/* What a cancelled thread wrote and synced can be written and synced by others. */
static void a_cancelled_writer_leaves_nothing_locked(void **state)
{
    (void)state;
    jdb_file *const file = open_file(JDB_FILE_DIRECT_PREFER);
    for (unsigned i = 0; i < 20; i++) {
        pthread_t thread;
        void *result = NULL;
        const struct timespec pause = {.tv_nsec = 1000000 + (long)(i % 5) * 300000};
        assert_int_equal(pthread_create(&thread, NULL, write_for_ever, file), 0);
        nanosleep(&pause, NULL);
        assert_int_equal(pthread_cancel(thread), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_int_equal(jdb_file_write_full(file, jdb_raw_from_slice(bytes, sizeof bytes), 100, NULL), 0);
    }
    assert_int_equal(jdb_file_close(file), 0);
}

int main(void)
{
#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)
    const struct CMUnitTest tests[] = {
        WITH_PATH(files),
        WITH_PATH(arenas_and_pools),
        WITH_PATH(a_cancelled_writer_leaves_nothing_locked),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
