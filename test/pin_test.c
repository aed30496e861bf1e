/* SPDX-License-Identifier: MIT
 *
 * pin_test.c - "the kernel may touch this": what a pin forbids, what it allows, who frees at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "must.h"
#include "tier.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static const size_t sizes[] = {4096, 8192, 64 * KIB, 300 * KIB, MIB, 20 * MIB};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };

/* Whether (ptr, cap) is lent: taking it as raw parts shows it, and hands it out again. */
static bool is_lent(uint8_t *ptr, size_t cap)
{
    jdb_buf buf;
    if (jdb_buf_from_raw_parts(&buf, ptr, 0, cap) != 0)
        return false;
    jdb_buf_into_raw_parts(&buf, NULL, NULL, NULL);
    return true;
}

static void pins_count_and_are_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        assert_false(jdb_is_pinned(buf.ptr, buf.cap));
        assert_int_equal(jdb_pin(buf.ptr, buf.cap), 0);
        assert_int_equal(jdb_pin(buf.ptr, 1), 0);
        assert_int_equal(jdb_pin(buf.ptr + buf.cap - 1, 1), 0);
        assert_true(jdb_is_pinned(buf.ptr, buf.cap));
        assert_true(jdb_is_pinned(buf.ptr + buf.cap / 2, 1));
        assert_int_equal(jdb_unpin(buf.ptr, buf.cap), 0);
        assert_int_equal(jdb_unpin(buf.ptr, 1), 0);
        assert_true(jdb_is_pinned(buf.ptr, 1));
        assert_int_equal(jdb_unpin(buf.ptr + buf.cap - 1, 1), 0);
        assert_false(jdb_is_pinned(buf.ptr, buf.cap));
        assert_int_equal(jdb_unpin(buf.ptr, buf.cap), -EINVAL);
        jdb_buf_drop(&buf);
    }
}

static void range_that_leaves_the_buffer_is_erange(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        assert_int_equal(jdb_pin(buf.ptr, buf.cap + 1), -ERANGE);
        assert_int_equal(jdb_pin(buf.ptr + 1, buf.cap), -ERANGE);
        assert_int_equal(jdb_pin(buf.ptr + buf.cap - 1, 2), -ERANGE);
        assert_int_equal(jdb_pin(buf.ptr, SIZE_MAX), -ERANGE);
        assert_int_equal(jdb_pin(buf.ptr + 1, SIZE_MAX - 1), -ERANGE);
        assert_int_equal(jdb_pin(buf.ptr + 1, SIZE_MAX), -ERANGE);
        assert_int_equal(jdb_pin(buf.ptr + buf.cap - 1, SIZE_MAX - buf.cap + 3), -ERANGE);
        assert_false(jdb_is_pinned(buf.ptr, 1));
        assert_int_equal(jdb_pin(buf.ptr, buf.cap), 0);
        assert_int_equal(jdb_unpin(buf.ptr, buf.cap + 1), -ERANGE);
        assert_true(jdb_is_pinned(buf.ptr, 1));
        assert_int_equal(jdb_unpin(buf.ptr, buf.cap), 0);
        jdb_buf_drop(&buf);
    }
}

static void null_and_no_bytes_are_einval(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_page(&buf), 0);
    assert_int_equal(jdb_pin(NULL, 1), -EINVAL);
    assert_int_equal(jdb_pin(NULL, 0), -EINVAL);
    assert_int_equal(jdb_pin(buf.ptr, 0), -EINVAL);
    assert_int_equal(jdb_unpin(NULL, 1), -EINVAL);
    assert_int_equal(jdb_unpin(buf.ptr, 0), -EINVAL);
    assert_int_equal(jdb_unpin(buf.ptr, 1), -EINVAL);
    assert_false(jdb_is_pinned(NULL, 1));
    jdb_buf_drop(&buf);
}

static void foreign_memory_is_enotsup(void **state)
{
    (void)state;
    static jdb_page at_rest;
    jdb_page on_stack;
    void *const heap = malloc(100);
    assert_non_null(heap);
    void *const foreign[] = {at_rest.bytes, on_stack.bytes, heap, (void *)1, (void *)(UINTPTR_MAX - 4095)};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(jdb_pin(foreign[i], 1), -ENOTSUP);
        assert_int_equal(jdb_unpin(foreign[i], 1), -ENOTSUP);
        assert_false(jdb_is_pinned(foreign[i], 1));
    }
    free(heap);
}

static void memory_that_is_not_lent_cannot_be_pinned(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        uint8_t *const ptr = buf.ptr;
        jdb_buf_drop(&buf);
        const int err = jdb_pin(ptr, 4096);
        assert_true(err == -EINVAL || err == -ENOTSUP);
        assert_false(jdb_is_pinned(ptr, 4096));
        assert_true(jdb_unpin(ptr, 4096) < 0);
    }
}

static void buffer_dropped_while_pinned_is_freed_by_the_last_unpin(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        memset(buf.ptr, 0x21, buf.cap);
        uint8_t *const ptr = buf.ptr;
        const size_t cap = buf.cap;
        assert_int_equal(jdb_pin(ptr, cap), 0);
        assert_int_equal(jdb_pin(ptr, 1), 0);
        jdb_buf_drop(&buf);
        assert_null(buf.ptr);
        assert_int_equal(buf.cap, 0);
        assert_true(jdb_is_pinned(ptr, cap));
        assert_int_equal(jdb_pin(ptr, cap), -EINVAL);
        jdb_buf others[20];
        for (size_t k = 0; k < 20; k++) {
            assert_int_equal(jdb_buf_with_cap(&others[k], k % 2 == 0 ? cap : 4096), 0);
            assert_ptr_not_equal(others[k].ptr, ptr);
            memset(others[k].ptr, 0x42, 4096);
        }
        assert_int_equal(jdb_unpin(ptr, cap), 0);
        for (size_t at = 0; at < cap; at += 511)
            assert_int_equal(ptr[at], 0x21);
        assert_true(jdb_is_pinned(ptr, cap));
        assert_int_equal(jdb_unpin(ptr, 1), 0);
        assert_false(jdb_is_pinned(ptr, cap));
        assert_false(is_lent(ptr, cap));
        for (size_t k = 0; k < 20; k++)
            jdb_buf_drop(&others[k]);
    }
}

static void parts_of_a_dropped_pinned_buffer_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        uint8_t *const ptr = buf.ptr;
        const size_t cap = buf.cap;
        assert_int_equal(jdb_pin(ptr, cap), 0);
        assert_true(is_lent(ptr, cap));
        jdb_buf_drop(&buf);
        assert_false(is_lent(ptr, cap));
        assert_int_equal(jdb_unpin(ptr, cap), 0);
    }
}

static void pinned_buffer_does_not_shrink(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_zeroed(&buf, sizes[i]), 0);
        assert_int_equal(jdb_buf_set_len(&buf, 1), 0);
        assert_int_equal(jdb_pin(buf.ptr, 1), 0);
        const jdb_buf was = buf;
        assert_int_equal(jdb_buf_shrink(&buf), sizes[i] == 4096 ? 0 : -EBUSY);
        assert_memory_equal(&buf, &was, sizeof buf);
        buf.ptr[buf.cap - 1] = 1;
        assert_int_equal(jdb_unpin(buf.ptr, 1), 0);
        assert_int_equal(jdb_buf_shrink(&buf), 0);
        assert_int_equal(buf.cap, 4096);
        jdb_buf_drop(&buf);
    }
}

/* Growth of pinned memory either stays in its place or is refused; it never moves. */
static void pinned_buffer_never_moves(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        jdb_buf walls[8];
        assert_int_equal(jdb_buf_zeroed(&buf, sizes[i]), 0);
        for (size_t k = 0; k < 8; k++)
            assert_int_equal(jdb_buf_with_cap(&walls[k], sizes[i]), 0);
        memset(buf.ptr, 0x63, buf.cap);
        assert_int_equal(jdb_pin(buf.ptr, buf.cap), 0);
        const jdb_buf was = buf;
        const int err = jdb_buf_reserve(&buf, 64 * MIB);
        assert_true(err == 0 || err == -EBUSY);
        assert_ptr_equal(buf.ptr, was.ptr);
        if (err != 0) {
            assert_memory_equal(&buf, &was, sizeof buf);
            refused++;
        }
        for (size_t at = 0; at < was.cap; at += 4095)
            assert_int_equal(buf.ptr[at], 0x63);
        assert_int_equal(jdb_unpin(was.ptr, was.cap), 0);
        assert_int_equal(jdb_buf_reserve(&buf, 64 * MIB), 0);
        for (size_t at = 0; at < was.cap; at += 4095)
            assert_int_equal(buf.ptr[at], 0x63);
        for (size_t k = 0; k < 8; k++)
            jdb_buf_drop(&walls[k]);
        jdb_buf_drop(&buf);
    }
    assert_true(refused > 0);
}

static void pin_does_not_stop_the_rest(void **state)
{
    (void)state;
    jdb_buf buf;
    jdb_buf clone;
    assert_int_equal(jdb_buf_with_cap(&buf, 8192), 0);
    assert_int_equal(jdb_pin(buf.ptr, buf.cap), 0);
    assert_int_equal(jdb_buf_extend(&buf, "abc", 3), 0);
    assert_int_equal(jdb_buf_pad_to(&buf, 512), 0);
    assert_int_equal(jdb_buf_refit_tail(&buf, 3, 512, NULL), 0);
    assert_int_equal(jdb_buf_try_clone(&buf, &clone), 0);
    assert_false(jdb_is_pinned(clone.ptr, 1));
    uint8_t *ptr = NULL;
    jdb_buf_into_raw_parts(&buf, &ptr, NULL, NULL);
    assert_int_equal(jdb_buf_from_raw_parts(&buf, ptr, 3, 8192), 0);
    assert_true(jdb_is_pinned(ptr, 1));
    assert_int_equal(jdb_unpin(ptr, 8192), 0);
    jdb_buf_drop(&buf);
    jdb_buf_drop(&clone);
}

/* ---- Marks ------------------------------------------------------------------------------------------------ */

static void a_mark_ends_the_pin_of_a_buffer(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        jdb_buf buf;
        jdb_pin_mark mark;
        jdb_pin_mark other;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[i]), 0);
        uint8_t *const ptr = buf.ptr;
        const size_t cap = buf.cap;
        assert_int_equal(jdb_pin_marked(ptr + 1, cap - 1, &mark), 0);
        assert_int_equal(jdb_unpin_marked(&mark), 0);
        assert_false(jdb_is_pinned(ptr, cap));
        assert_int_equal(jdb_unpin_marked(&mark), -EINVAL);
        assert_int_equal(jdb_pin_marked(ptr, 1, &mark), 0);
        assert_int_equal(jdb_pin_marked(ptr, cap, &other), 0);
        jdb_buf_drop(&buf);
        assert_int_equal(jdb_unpin_marked(&mark), 0);
        assert_true(jdb_is_pinned(ptr, cap));
        assert_int_equal(jdb_unpin_marked(&other), 0);
        assert_false(jdb_is_pinned(ptr, cap));
        assert_false(is_lent(ptr, cap));
    }
}

static jdb_arena *arena_of_frames(uint32_t count)
{
    const jdb_arena_options options = {.size = sizeof options, .frame_size = 4096, .frame_count = count};
    jdb_arena *arena = NULL;
    assert_int_equal(jdb_arena_new(&options, &arena), 0);
    return arena;
}

static void a_mark_is_untouched_when_nothing_is_pinned(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    jdb_page on_stack;
    jdb_arena *const arena = arena_of_frames(4);
    assert_int_equal(jdb_buf_with_cap(&buf, 8192), 0);
    jdb_pin_mark mark;
    jdb_pin_mark before;
    memset(&mark, 0x5a, sizeof mark);
    memcpy(&before, &mark, sizeof mark);
    assert_int_equal(jdb_pin_marked(on_stack.bytes, 1, &mark), -ENOTSUP);
    assert_int_equal(jdb_pin_marked(NULL, 1, &mark), -EINVAL);
    assert_int_equal(jdb_pin_marked(buf.ptr, 0, &mark), -EINVAL);
    assert_int_equal(jdb_pin_marked(buf.ptr, 8193, &mark), -ERANGE);
    assert_int_equal(jdb_pin_marked(buf.ptr, 1, NULL), -EINVAL);
    assert_int_equal(jdb_arena_pin(NULL, 0, 1, &mark), -EINVAL);
    assert_int_equal(jdb_arena_pin(arena, 0, 0, &mark), -EINVAL);
    assert_int_equal(jdb_arena_pin(arena, 0, 1, NULL), -EINVAL);
    assert_int_equal(jdb_arena_pin(arena, 16384, 1, &mark), -ERANGE);
    assert_int_equal(jdb_arena_pin(arena, 16383, 2, &mark), -ERANGE);
    assert_int_equal(jdb_arena_pin(arena, UINT64_MAX, SIZE_MAX, &mark), -ERANGE);
    assert_int_equal(jdb_unpin_marked(NULL), -EINVAL);
    assert_memory_equal(&mark, &before, sizeof mark);
    assert_false(jdb_is_pinned(buf.ptr, 8192));
    assert_int_equal(jdb_arena_free(arena), 0); /* no frame is pinned */
}

/* Frames that are pinned, a bit for each. */
static unsigned pinned_frames(const jdb_arena *arena)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < jdb_arena_frame_count(arena); i++)
        bits |= (unsigned)jdb_is_pinned(jdb_arena_base(arena) + (size_t)i * 4096, 1) << i;
    return bits;
}

static int pin_bytes(jdb_arena *arena, bool by_address, uint64_t offset, size_t size, jdb_pin_mark *ret_mark)
{
    return by_address ? jdb_pin_marked(jdb_arena_base(arena) + offset, size, ret_mark)
                      : jdb_arena_pin(arena, offset, size, ret_mark);
}

static void bytes_of_an_arena_are_pinned_frame_by_frame(void **state)
{
    (void)state;
    for (int by_address = 0; by_address < 2; by_address++) {
        jdb_arena *const arena = arena_of_frames(8);
        jdb_pin_mark several;
        jdb_pin_mark one;
        assert_int_equal(pin_bytes(arena, by_address != 0, 3 * 4096 + 100, 2 * 4096, &several), 0);
        assert_int_equal(pinned_frames(arena), 0x38);
        assert_int_equal(pin_bytes(arena, by_address != 0, 4 * 4096 + 4095, 1, &one), 0);
        assert_int_equal(jdb_arena_decommit(arena, 5, 1, NULL), -EBUSY);
        assert_int_equal(jdb_unpin_marked(&several), 0);
        assert_int_equal(pinned_frames(arena), 0x10);
        assert_int_equal(jdb_unpin_marked(&several), -EINVAL);
        assert_int_equal(pinned_frames(arena), 0x10);
        assert_int_equal(jdb_unpin_marked(&one), 0);
        assert_int_equal(jdb_unpin_marked(&one), -EINVAL);
        assert_int_equal(pinned_frames(arena), 0);
        assert_int_equal(jdb_arena_free(arena), 0);
    }
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

static void *unpin_it(void *argument)
{
    const jdb_raw *const view = argument;
    for (size_t at = 0; at < view->cap; at += 4096)
        MUST(view->ptr[at] == 0x7d);
    MUST(jdb_unpin(view->ptr, view->cap) == 0);
    return NULL;
}

static void any_thread_may_unpin(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        jdb_buf buf;
        assert_int_equal(jdb_buf_with_cap(&buf, sizes[(size_t)round % 5]), 0);
        memset(buf.ptr, 0x7d, buf.cap);
        jdb_raw view = jdb_buf_as_raw(&buf);
        pthread_t threads[2];
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(jdb_pin(view.ptr, view.cap), 0);
            assert_int_equal(pthread_create(&threads[i], NULL, unpin_it, &view), 0);
        }
        jdb_buf_drop(&buf);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(is_lent(view.ptr, view.cap));
    }
}

struct pinned {
    uint8_t *ptr;
    jdb_pin_mark mark;
};

static void *write_and_unpin(void *argument)
{
    struct pinned *const pinned = argument;
    pinned->ptr[0] = 1;
    MUST(jdb_unpin_marked(&pinned->mark) == 0);
    return NULL;
}

/* The free, and who gets the memory next, come after all that the other thread did before its unpin, and nothing else orders
 * them: for the thread sanitizer. */
static void a_drop_comes_after_the_last_unpin(void **state)
{
    (void)state;
    const size_t caps[] = {4096, 17 * 4096};
    for (size_t i = 0; i < 40; i++) {
        jdb_buf buf;
        pthread_t thread;
        assert_int_equal(jdb_buf_with_cap(&buf, caps[i % 2]), 0);
        struct pinned pinned = {.ptr = buf.ptr};
        assert_int_equal(jdb_pin_marked(buf.ptr, 1, &pinned.mark), 0);
        assert_int_equal(pthread_create(&thread, NULL, write_and_unpin, &pinned), 0);
        const struct timespec time = {0, i < 20 ? 2000000 : 0};
        nanosleep(&time, NULL);
        jdb_buf_drop(&buf);
        assert_int_equal(jdb_buf_with_cap(&buf, caps[i % 2]), 0);
        buf.ptr[0] = 2;
        pthread_join(thread, NULL);
        jdb_buf_drop(&buf);
    }
}

static void *pin_and_unpin(void *argument)
{
    const jdb_raw *const view = argument;
    for (int i = 0; i < 20000; i++) {
        MUST(jdb_pin(view->ptr, view->cap) == 0);
        MUST(jdb_is_pinned(view->ptr, 1));
        MUST(jdb_unpin(view->ptr, view->cap) == 0);
    }
    return NULL;
}

static void pins_of_many_threads_add_up(void **state)
{
    (void)state;
    jdb_buf buf;
    assert_int_equal(jdb_buf_with_cap(&buf, 64 * KIB), 0);
    jdb_raw view = jdb_buf_as_raw(&buf);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pin_and_unpin, &view), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(jdb_is_pinned(view.ptr, view.cap));
    assert_int_equal(jdb_unpin(view.ptr, view.cap), -EINVAL);
    jdb_buf_drop(&buf);
}

/* ---- The last unpin, stopped at each of its instructions ---------------------------------------------------- */

#if defined(__x86_64__) && defined(__linux__) && !TIER_SANITIZED
#define TRAP_FLAG 0x100 /* of rflags: the processor stops after each instruction, SIGTRAP */

enum race_stage { RACE_WAIT, RACE_GO, RACE_DONE, RACE_END };

static struct {
    jdb_buf buf;
    size_t more;
    _Atomic int stage;
    int steps_left;
    unsigned grown, refused;
} race;

/* The owner: grows the pinned buffer and frees it, as soon as it may. */
static void *grow_and_drop(void *argument)
{
    (void)argument;
    for (;;) {
        while (atomic_load(&race.stage) == RACE_WAIT || atomic_load(&race.stage) == RACE_DONE)
            sched_yield();
        if (atomic_load(&race.stage) == RACE_END)
            return NULL;
        const int err = jdb_buf_reserve(&race.buf, race.more);
        MUST(err == 0 || err == -EBUSY);
        race.grown += err == 0;
        race.refused += err != 0; /* what a thread keeps, or a guard, lies behind it */
        jdb_buf_drop(&race.buf);
        atomic_store(&race.stage, RACE_DONE);
    }
}

static void let_owner_drop(void)
{
    atomic_store(&race.stage, RACE_GO);
    while (atomic_load(&race.stage) != RACE_DONE)
        sched_yield();
}

static void on_step(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    ucontext_t *const stopped = context;
    if (--race.steps_left > 0)
        return;
    stopped->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    let_owner_drop();
}

static void start_steps(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

static void end_steps(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

/* The owner grows and frees the buffer when the unpin has come `steps` instructions far. False: it ended before. */
static bool unpin_with_drop_inside(int steps, bool is_marked)
{
    jdb_pin_mark mark;
    MUST(jdb_pin_marked(race.buf.ptr, 1, &mark) == 0);
    atomic_store(&race.stage, RACE_WAIT);
    race.steps_left = steps;
    start_steps();
    const int err = is_marked ? jdb_unpin_marked(&mark) : jdb_unpin(mark.ptr, 1);
    end_steps();
    MUST(err == 0);
    const bool was_inside = race.steps_left <= 0;
    if (!was_inside)
        let_owner_drop();
    return was_inside;
}

static uint64_t lent_bytes(void)
{
    jdb_trim();
    jdb_page_stats stats = {.size = sizeof stats};
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats.lent_bytes;
}

static void unpin_at_each_step(bool is_bounded, bool is_marked)
{
    const uint64_t before = lent_bytes();
    bool was_inside = true;
    for (int steps = 1; was_inside; steps++) {
        MUST(steps < 100000);
        race.more = 21 * 4096;
        if (is_bounded)
            MUST(jdb_buf_with_max(&race.buf, 20 * 4096, 64 * 4096) == 0);
        else
            MUST(jdb_buf_with_cap(&race.buf, 20 * 4096) == 0);
        was_inside = unpin_with_drop_inside(steps, is_marked);
        const uint64_t lost = lent_bytes() - before;
        if (lost != 0)
            fail_msg("%d bytes are lost where the owner grows and frees after %d instructions", (int)lost, steps);
    }
}

/* Whatever the owner does meanwhile, the last unpin frees all of the buffer. */
static void the_last_unpin_frees_what_the_owner_grew(void **state)
{
    (void)state;
    if (tier_is_emulated())
        skip();
    pthread_t owner;
    struct sigaction old;
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    atomic_store(&race.stage, RACE_WAIT);
    assert_int_equal(sigaction(SIGTRAP, &action, &old), 0);
    assert_int_equal(pthread_create(&owner, NULL, grow_and_drop, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        unpin_at_each_step(i % 2 != 0, i / 2 != 0);
    atomic_store(&race.stage, RACE_END);
    assert_int_equal(pthread_join(owner, NULL), 0);
    assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
    assert_true(TIER_CHECKED || race.grown > 10 * race.refused);
}
#else
static void the_last_unpin_frees_what_the_owner_grew(void **state)
{
    (void)state;
    print_message("needs single steps of an x86-64 processor, and no sanitizer\n");
    skip();
}
#endif

/* ---- An unpin too many ------------------------------------------------------------------------------------- */

static atomic_bool is_over;

static void *unpin_in_vain(void *argument)
{
    while (!atomic_load(&is_over))
        jdb_unpin(argument, 1);
    return NULL;
}

/* It may find the buffer lent and reach its word when it lies in a cache: the run must not be lost to all caches. */
static void an_unpin_too_many_loses_no_memory(void **state)
{
    (void)state;
    jdb_page_stats stats = {.size = sizeof stats};
    jdb_buf buf;
    pthread_t thread;
    assert_int_equal(jdb_get_page_stats(&stats), 0);
    const uint64_t lent = stats.lent_bytes;
    assert_int_equal(jdb_buf_page(&buf), 0);
    uint8_t *const ptr = buf.ptr;
    jdb_buf_drop(&buf);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, unpin_in_vain, ptr), 0);
    for (uint64_t i = 0; i < tier_pick(20000000, 50000000, 500000000) / (TIER_CHECKED || TIER_SANITIZED ? 100 : 1);
         i++) {
        assert_int_equal(jdb_buf_with_cap(&buf, 4096), 0);
        jdb_buf_drop(&buf);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    jdb_trim();
    assert_int_equal(jdb_get_page_stats(&stats), 0);
    assert_int_equal(stats.lent_bytes, lent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_count_and_are_seen),
        cmocka_unit_test(range_that_leaves_the_buffer_is_erange),
        cmocka_unit_test(null_and_no_bytes_are_einval),
        cmocka_unit_test(foreign_memory_is_enotsup),
        cmocka_unit_test(memory_that_is_not_lent_cannot_be_pinned),
        cmocka_unit_test(buffer_dropped_while_pinned_is_freed_by_the_last_unpin),
        cmocka_unit_test(parts_of_a_dropped_pinned_buffer_are_refused),
        cmocka_unit_test(pinned_buffer_does_not_shrink),
        cmocka_unit_test(pinned_buffer_never_moves),
        cmocka_unit_test(pin_does_not_stop_the_rest),
        cmocka_unit_test(a_mark_ends_the_pin_of_a_buffer),
        cmocka_unit_test(a_mark_is_untouched_when_nothing_is_pinned),
        cmocka_unit_test(bytes_of_an_arena_are_pinned_frame_by_frame),
        cmocka_unit_test(any_thread_may_unpin),
        cmocka_unit_test(a_drop_comes_after_the_last_unpin),
        cmocka_unit_test(pins_of_many_threads_add_up),
        cmocka_unit_test(the_last_unpin_frees_what_the_owner_grew),
        cmocka_unit_test(an_unpin_too_many_loses_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
