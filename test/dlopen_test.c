/* SPDX-License-Identifier: MIT
 *
 * dlopen_test.c - the shared library as a plug-in finds it: loaded late, in many threads, closed while buffers live.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "must.h"
#include "tier.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

static char library[PATH_MAX];

/* The library stands in the build directory, one above the tests. */
static int find_library(void **state)
{
    (void)state;
    const char *const build = getenv("JDB_BUILD_DIR");
    char self[PATH_MAX - 64];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return -1;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    if (build != NULL)
        snprintf(library, sizeof library, "%s/libjdb_alloc.so", build);
    else
        snprintf(library, sizeof library, "%s/../libjdb_alloc.so", self);
    return 0;
}

/* A function pointer from a symbol: POSIX promises that the two have one representation. */
static void find(void *handle, const char *name, void *ret_function)
{
    void *const symbol = dlsym(handle, name);
    if (symbol == NULL)
        fprintf(stderr, "%s: %s\n", name, dlerror());
    MUST(symbol != NULL);
    memcpy(ret_function, &symbol, sizeof symbol);
}

/* argument: NULL, or a barrier: no thread opens the library before all are there, as one that is being created meanwhile may
 * get no thread-local storage of it (glibc; README.md, limits). */
static void *use_it(void *argument)
{
    if (argument != NULL)
        pthread_barrier_wait(argument);
    void *const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fprintf(stderr, "%s\n", dlerror());
    MUST(handle != NULL);
    int (*zeroed)(jdb_buf *, size_t) = NULL;
    void (*drop)(jdb_buf *) = NULL;
    find(handle, "jdb_buf_zeroed", &zeroed);
    find(handle, "jdb_buf_drop", &drop);
    jdb_buf buf;
    MUST(zeroed(&buf, 70000) == 0);
    memset(buf.ptr, 1, buf.cap);
    MUST(dlclose(handle) == 0);
    buf.ptr[buf.cap - 1] = 2;
    drop(&buf);
    return NULL;
}

static void many_threads_open_use_and_close(void **state)
{
    (void)state;
    const uint64_t rounds = tier_pick(10, 100, 1000);
    for (uint64_t round = 0; round < rounds; round++) {
        pthread_t threads[16];
        pthread_barrier_t start;
        assert_int_equal(pthread_barrier_init(&start, NULL, 16), 0);
        for (size_t i = 0; i < 16; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, use_it, &start), 0);
        for (size_t i = 0; i < 16; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        pthread_barrier_destroy(&start);
    }
}

/* Closed by all, it stays: threads that used it run its clean-up when they end. */
static void library_stays_after_the_last_close(void **state)
{
    (void)state;
    use_it(NULL);
    void *const handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(handle);
    dlclose(handle);
}

static void twins_agree_with_the_inline_functions(void **state)
{
    (void)state;
    static jdb_page pages[2];
    void *const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    jdb_raw (*new)(void *, size_t) = NULL;
    jdb_raw (*from_slice)(void *, size_t) = NULL;
    jdb_raw (*with_len)(jdb_raw, size_t) = NULL;
    int (*slice)(jdb_raw, size_t, size_t, jdb_raw *) = NULL;
    int (*slice_data)(jdb_raw, size_t, size_t, jdb_raw *) = NULL;
    int (*sub)(jdb_raw, size_t, size_t, size_t, jdb_raw *) = NULL;
    bool (*is_aligned)(jdb_raw, size_t) = NULL;
    int (*set_init)(jdb_raw *, size_t) = NULL;
    find(handle, "jdb_raw_new", &new);
    find(handle, "jdb_raw_from_slice", &from_slice);
    find(handle, "jdb_raw_with_len", &with_len);
    find(handle, "jdb_raw_slice", &slice);
    find(handle, "jdb_raw_slice_data", &slice_data);
    find(handle, "jdb_raw_sub", &sub);
    find(handle, "jdb_raw_is_aligned", &is_aligned);
    find(handle, "jdb_raw_set_init", &set_init);
    const jdb_raw whole = new (pages, sizeof pages);
    const jdb_raw inlined = jdb_raw_new(pages, sizeof pages);
    assert_memory_equal(&whole, &inlined, sizeof whole);
    assert_int_equal(from_slice(pages, 8192).len, 8192);
    assert_int_equal(with_len(whole, 9999).len, 8192);
    jdb_raw page = {0};
    assert_int_equal(slice(whole, 4096, 4096, &page), 0);
    assert_ptr_equal(page.ptr, pages[1].bytes);
    assert_int_equal(slice(whole, 4097, 4096, &page), -ERANGE);
    assert_int_equal(slice_data(whole, 1, 4096, &page), -EINVAL);
    assert_int_equal(sub(whole, 512, 512, 512, &page), 0);
    assert_int_equal(page.cap, 512);
    assert_true(is_aligned(whole, 4096));
    assert_int_equal(set_init(&page, 513), -ENOBUFS);
    dlclose(handle);
}

static void every_twin_is_exported(void **state)
{
    (void)state;
    static const char *const names[] = {"new",      "from_raw_parts", "from_slice", "with_len",        "is_aligned",
                                        "sub",      "slice",          "slice_data", "slice_unchecked", "len",
                                        "cap",      "is_empty",       "as_ptr",     "as_mut_ptr",      "set_len",
                                        "set_init", "format",         "iter_next",  "iter_rest"};
    void *const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "jdb_raw_%s", names[i]);
        if (dlsym(handle, name) == NULL)
            fail_msg("%s is not exported", name);
    }
    assert_null(dlsym(handle, "jdb__pages_lend"));
    dlclose(handle);
}

/* ---- fork(): handlers that the program registered before the library came ----------------------------------- */

static int (*buf_zeroed)(jdb_buf *, size_t);
static void (*buf_drop)(jdb_buf *);
static unsigned handled_count;

static void use_a_buffer(void)
{
    jdb_buf buf;
    if (buf_zeroed == NULL)
        return;
    MUST(buf_zeroed(&buf, (size_t)100 << 20) == 0); /* more than a cache of threads keeps */
    buf.ptr[buf.cap - 1] = 1;
    buf_drop(&buf);
    handled_count++;
}

static void load_late_and_fork(void *context)
{
    (void)context;
    alarm(30); /* a lock that is never released would hang */
    MUST(pthread_atfork(use_a_buffer, use_a_buffer, use_a_buffer) == 0);
    MUST(dlopen(library, RTLD_NOW | RTLD_NOLOAD) == NULL);
    void *const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    MUST(handle != NULL);
    find(handle, "jdb_buf_zeroed", &buf_zeroed);
    find(handle, "jdb_buf_drop", &buf_drop);
    use_a_buffer();
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        alarm(30);
        use_a_buffer();
        _exit(handled_count == 4 ? 0 : 1);
    }
    int status = 0;
    MUST(waitpid(child, &status, 0) == child && status == 0 && handled_count == 3);
    use_a_buffer();
}

/* The first case, as the library stays. */
static void handlers_older_than_the_library_may_use_it(void **state)
{
    (void)state;
    char text[1000];
    const int status = must_run_child(load_late_and_fork, NULL, text, sizeof text);
    if (status != 0)
        fail_msg("the child ended with %d: %s", status, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_older_than_the_library_may_use_it),
        cmocka_unit_test(many_threads_open_use_and_close),
        cmocka_unit_test(library_stays_after_the_last_close),
        cmocka_unit_test(twins_agree_with_the_inline_functions),
        cmocka_unit_test(every_twin_is_exported),
    };
    return cmocka_run_group_tests(tests, find_library, NULL);
}
