/* SPDX-License-Identifier: MIT
 *
 * linux.c - the window to the system on Linux: memory, time, threads.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/cancel.h"
#include "os/os.h"

#include <errno.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* ---- Memory ----------------------------------------------------------------------------------------------- */

static int os_map_at(void *at, size_t size, int protection, int extra_flags, void **ret_ptr)
{
    const int fault = jdb__os_fault(OS_CALL_MAP);
    if (fault != 0)
        return fault;
    void *const ptr = mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
    if (ptr == MAP_FAILED)
        return -errno;
    *ret_ptr = ptr;
    return 0;
}

size_t jdb__os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int jdb__os_reserve(size_t size, void **ret_ptr)
{
    return os_map_at(NULL, size, PROT_NONE, MAP_NORESERVE, ret_ptr);
}

int jdb__os_commit(void *ptr, size_t size)
{
    JDB_ASSERT(os_is_pages(ptr, size));
    const int fault = jdb__os_fault(OS_CALL_PROTECT);
    if (fault != 0)
        return fault;
    return mprotect(ptr, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

/* Map a range that may be a hole. The addresses are asked for and not forced: where they are not free, another thread has them.
 * -EADDRNOTAVAIL: they are not. */
static int os_map_free(void *ptr, size_t size, int protection)
{
    void *held = NULL;
    const int err = os_map_at(ptr, size, protection, protection == PROT_NONE ? MAP_NORESERVE : 0, &held);
    if (err != 0 || held == ptr)
        return err;
    munmap(held, size);
    return -EADDRNOTAVAIL;
}

/* The range is ours, and no other thread can come between: the kernel exchanges the mappings under one lock. What could be refused
 * (limits, the number of mappings; no charge, as there is no access) it refuses before the old one is unmapped; since
 * Linux 6.12 a failure always brings it back. Source: mmap_region() in mm/mmap.c. A hole is closed all the same. */
int jdb__os_decommit_to_reserved(void *ptr, size_t size)
{
    JDB_ASSERT(os_is_pages(ptr, size));
    void *same = NULL;
    const int err = os_map_at(ptr, size, PROT_NONE, MAP_NORESERVE | MAP_FIXED, &same);
    return err != 0 && os_map_free(ptr, size, PROT_NONE) == 0 ? 0 : err;
}

int jdb__os_decommit(void *ptr, size_t size)
{
    JDB_ASSERT(os_is_pages(ptr, size));
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_DONTNEED) == 0 ? 0 : -errno;
}

int jdb__os_wipe_on_fork(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_WIPEONFORK) == 0 ? 0 : -errno;
}

/* ---- Moving pages ----------------------------------------------------------------------------------------- */

/* Whether the pages lie in one mapping: a part of several, and only that, cannot be made longer with -EFAULT. 0, -EFAULT, or an
 * error that a test asks for. Source: vma_to_resize() in mm/mremap.c, check_prep_vma() since Linux 6.17. */
static int os_check_one_mapping(uint8_t *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_REMAP);
    if (fault != 0)
        return fault;
    const size_t page_size = jdb__os_page_size();
    if (mremap(ptr, size, size + page_size, 0) == MAP_FAILED)
        return errno == EFAULT ? -EFAULT : 0;
    munmap(ptr + size, page_size); /* the addresses behind were free */
    return 0;
}

/* A value for the first word of a range, by which it is known again. */
static uint32_t os_make_mark(const void *ptr)
{
    return (uint32_t)((jdb__os_clock_ns() ^ (uintptr_t)ptr) * UINT64_C(0x9e3779b97f4a7c15) >> 32) | 1;
}

/* Whether the range still begins with its mark. It may be another thread's by now, who may unmap it at any time, so the kernel
 * looks: futex(2), which would sleep on the value until a time that has passed. */
static bool os_has_mark(uint32_t *word, uint32_t mark)
{
    static const struct timespec past = {0, 0};
    return syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, mark, &past, NULL,
                   FUTEX_BITSET_MATCH_ANY) == 0 ||
           errno == ETIMEDOUT || errno == EINTR;
}

/* Put the mapping that [from, from + size) lies in over [to, to + size), which is ours and begins with writable memory. mremap(2)
 * unmaps `to` before it is sure that it can move, and then another thread's mmap() may be there first. So what is not our
 * own any more is not mapped by force. -EADDRNOTAVAIL: `to` is lost; another error: `to` is ours, its content is gone, and
 * where it had to be mapped again it has this protection. */
static int os_move_mapping(void *from, size_t size, void *to, int flags, int protection)
{
    const int fault = jdb__os_fault(OS_CALL_REMAP);
    if (fault != 0)
        return fault;
    uint32_t *const word = to;
    const uint32_t mark = os_make_mark(to);
    *word = mark;
    if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | flags, to) != MAP_FAILED)
        return 0;
    const int err = -errno;
    return os_has_mark(word, mark) || os_map_free(to, size, protection) == 0 ? err : -EADDRNOTAVAIL;
}

/* How far a move came: the first `moved` bytes are at `to`, and of `to` the `lost` bytes behind them are not ours. */
struct os_move_state {
    size_t moved;
    size_t lost;
};

/* A buffer has one mapping more each time that it has moved and then grows in place. It is half as large again at least after
 * each move, and below OS_MOVE_LEAST_BITS nothing moves: the logarithm to the base of 1.5 is less than twice that to the base
 * of 2. Bits are of a number of pages; the largest zone has OS_MOVE_MOST_BITS. */
#define OS_MOVE_LEAST_BITS 4u
#define OS_MOVE_MOST_BITS 28u
#define OS_MOVE_BORDERS_MAX(bits) (2 * ((bits)-OS_MOVE_LEAST_BITS))

/* Pieces of a range, each in one mapping: every border is looked for in so many halves, and leaves a piece on one side in each. A
 * range that has more mappings than growth makes is not moved, as looking for them could take longer than to copy it. */
#define OS_MOVE_PIECES_MAX (1 + OS_MOVE_BORDERS_MAX(OS_MOVE_MOST_BITS) * OS_MOVE_MOST_BITS)

struct os_pieces {
    unsigned count;
    unsigned max;
    unsigned splits;
    uint32_t pages[OS_MOVE_PIECES_MAX];
};

static unsigned os_pieces_max(size_t page_count)
{
    unsigned bits = OS_MOVE_LEAST_BITS + 1;
    while (bits < OS_MOVE_MOST_BITS && page_count >> bits != 0)
        bits++;
    return 1 + OS_MOVE_BORDERS_MAX(bits) * bits;
}

/* By halves: a buffer that grew by doubling has its borders there. */
static int os_find_pieces(uint8_t *from, size_t page_count, struct os_pieces *pieces)
{
    const size_t page_size = jdb__os_page_size();
    int err = os_check_one_mapping(from, page_count * page_size);
    if (err == 0)
        pieces->pages[pieces->count++] = (uint32_t)page_count;
    if (err != -EFAULT || page_count == 1)
        return err;
    if (++pieces->splits == pieces->max)
        return -ENOTSUP;
    const size_t half = page_count / 2;
    err = os_find_pieces(from, half, pieces);
    return err != 0 ? err : os_find_pieces(from + half * page_size, page_count - half, pieces);
}

/* Move the pages of one mapping after the other: before Linux 6.17 several do not move at once, and later not as a whole. An
 * attempt is no way to find them, as before 6.17 it unmaps `to` first. */
static int os_move_parts(uint8_t *from, size_t size, uint8_t *to, struct os_move_state *state)
{
    const size_t page_size = jdb__os_page_size();
    struct os_pieces pieces = {.max = os_pieces_max(size / page_size)};
    int err = os_find_pieces(from, size / page_size, &pieces);
    for (unsigned i = 0; err == 0 && state->moved < size; i++) {
        const size_t at = state->moved;
        const size_t piece = pieces.pages[i] * page_size;
        err = os_move_mapping(from + at, piece, to + at, MREMAP_DONTUNMAP, PROT_READ | PROT_WRITE);
        if (err == 0)
            state->moved += piece;
        else if (err == -EADDRNOTAVAIL)
            state->lost = piece;
    }
    return err;
}

int jdb__os_move(void *from, size_t size, void *to)
{
    JDB_ASSERT(os_is_pages(from, size) && os_is_pages(to, size) && size > 0);
    struct os_move_state state = {0, 0};
    const int err = os_move_parts(from, size, to, &state);
    if (err == 0)
        return 0;
    memcpy(from, to, state.moved);
    if (err != -EADDRNOTAVAIL)
        return err;
    const size_t rest = state.moved + state.lost;
    if (state.moved > 0)
        munmap(to, state.moved);
    if (rest < size)
        munmap((uint8_t *)to + rest, size - rest);
    return err;
}

int jdb__os_move_over(void *from, size_t size, void *to)
{
    JDB_ASSERT(os_is_pages(from, size) && os_is_pages(to, size) && size > 0);
    const size_t page_size = jdb__os_page_size();
    int err = jdb__os_commit(to, page_size); /* for the mark */
    if (err != 0)
        return err;
    err = os_move_mapping(from, size, to, 0, PROT_NONE);
    if (err != 0 && err != -EADDRNOTAVAIL)
        jdb__os_decommit_to_reserved(to, page_size);
    return err;
}

/* ---- More memory ------------------------------------------------------------------------------------------ */

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

int jdb__os_guard(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_GUARD_INSTALL) == 0 ? 0 : -errno;
}

int jdb__os_unguard(void *ptr, size_t size)
{
    return madvise(ptr, size, MADV_GUARD_REMOVE) == 0 ? 0 : -errno;
}

int jdb__os_unmap(void *ptr, size_t size)
{
    JDB_ASSERT(os_is_pages(ptr, size));
    const int fault = jdb__os_fault(OS_CALL_UNMAP);
    if (fault != 0)
        return fault;
    return munmap(ptr, size) == 0 ? 0 : -errno;
}

int jdb__os_resident(void *ptr, size_t size, unsigned char *ret_pages)
{
    const int fault = jdb__os_fault(OS_CALL_RESIDENT);
    if (fault != 0)
        return fault;
    return mincore(ptr, size, ret_pages) == 0 ? 0 : -errno;
}

int jdb__os_alloc(size_t size, void **ret_ptr)
{
    const int fault = jdb__os_fault(OS_CALL_ALLOC);
    if (fault != 0)
        return fault;
    void *const ptr = calloc(1, size);
    if (ptr == NULL)
        return -ENOMEM;
    *ret_ptr = ptr;
    return 0;
}

void jdb__os_free(void *ptr)
{
    free(ptr);
}

/* ---- Time and process ------------------------------------------------------------------------------------- */

uint64_t jdb__os_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *jdb__os_environment(const char *name)
{
    return secure_getenv(name);
}

uint64_t jdb__os_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

void jdb__os_sleep(uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    const struct timespec deadline = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
            deadline_ns == UINT64_MAX ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

void jdb__os_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

void jdb__os_wake_all(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

#ifdef __GLIBC__
#define OS_STACK_MAX 64

JDB_NOINLINE unsigned jdb__os_stack(unsigned skipped, unsigned max, void **ret_frames)
{
    void *frames[OS_STACK_MAX];
    const unsigned own = skipped + 1;
    JDB_ASSERT(max + own <= OS_STACK_MAX);
    const int count = backtrace(frames, (int)(max + own));
    if (count <= (int)own)
        return 0;
    memcpy(ret_frames, frames + own, ((size_t)count - own) * sizeof *frames);
    return (unsigned)count - own;
}
#else
unsigned jdb__os_stack(unsigned skipped, unsigned max, void **ret_frames)
{
    (void)skipped;
    (void)max;
    (void)ret_frames;
    return 0;
}
#endif

long jdb__os_process(void)
{
    return (long)getpid();
}

void jdb__os_yield(void)
{
    sched_yield();
}

struct os_thread {
    pthread_t thread;
    void (*run)(void *context);
    void *context;
};

static void *os_thread_run(void *context)
{
    const struct os_thread *const thread = context;
    thread->run(thread->context);
    return NULL;
}

int jdb__os_thread_start(void (*run)(void *context), void *context, void **ret_thread)
{
    void *memory = NULL;
    int err = jdb__os_fault(OS_CALL_THREAD);
    if (err == 0)
        err = jdb__os_alloc(sizeof(struct os_thread), &memory);
    if (err != 0)
        return err;
    struct os_thread *const thread = memory;
    *thread = (struct os_thread){.run = run, .context = context};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the program's handlers run on the program's threads */
    err = -pthread_create(&thread->thread, NULL, os_thread_run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0) {
        jdb__os_free(thread);
        return err;
    }
    *ret_thread = thread;
    return 0;
}

void jdb__os_thread_join(void *thread)
{
    const int cancel_before = os_cancel_put_off();
    pthread_join(((struct os_thread *)thread)->thread, NULL);
    os_cancel_restore(cancel_before);
    jdb__os_free(thread);
}

/* futex(2) keeps nothing in this process. */
void jdb__os_before_fork(void)
{
}

void jdb__os_after_fork(bool is_child)
{
    (void)is_child;
}

int jdb__os_membarrier_register(void)
{
    const int fault = jdb__os_fault(OS_CALL_BARRIER);
    if (fault != 0)
        return fault;
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : -errno;
}

int jdb__os_membarrier(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : -errno;
}
