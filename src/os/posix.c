/* SPDX-License-Identifier: MIT
 *
 * posix.c - the window to the system where it is not Linux: mmap, mprotect, fstat, pread and nothing newer. A port begins
 * with this file; posix_absent.c refuses the rest. Built by -DJDB_OS=posix, on Linux too, where its tests run.
 */
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
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
static int os_map_free(void *ptr, size_t size, int protection, int extra_flags)
{
    void *held = NULL;
    const int err = os_map_at(ptr, size, protection, extra_flags, &held);
    if (err != 0 || held == ptr)
        return err;
    munmap(held, size);
    return -EADDRNOTAVAIL;
}

/* Replace what is ours by a fresh mapping. mmap(2) of POSIX may have unmapped it when it fails: a hole is closed. */
static int os_map_anew(void *ptr, size_t size, int protection, int extra_flags)
{
    void *same = NULL;
    const int err = os_map_at(ptr, size, protection, extra_flags | MAP_FIXED, &same);
    return err != 0 && os_map_free(ptr, size, protection, extra_flags) == 0 ? 0 : err;
}

int jdb__os_decommit_to_reserved(void *ptr, size_t size)
{
    JDB_ASSERT(os_is_pages(ptr, size));
    return os_map_anew(ptr, size, PROT_NONE, MAP_NORESERVE);
}

/* POSIX_MADV_DONTNEED promises neither that memory goes back nor that it reads as zero; a fresh mapping does both. */
int jdb__os_decommit(void *ptr, size_t size)
{
    JDB_ASSERT(os_is_pages(ptr, size));
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    return fault != 0 ? fault : os_map_anew(ptr, size, PROT_READ | PROT_WRITE, 0);
}

int jdb__os_unmap(void *ptr, size_t size)
{
    JDB_ASSERT(os_is_pages(ptr, size));
    const int fault = jdb__os_fault(OS_CALL_UNMAP);
    if (fault != 0)
        return fault;
    return munmap(ptr, size) == 0 ? 0 : -errno;
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
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *jdb__os_environment(const char *name)
{
    return getuid() == geteuid() && getgid() == getegid() ? getenv(name) : NULL;
}

uint64_t jdb__os_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

/* Sleepers of all words share one condition: a wake-up is for all of them, and each looks at its own word. */
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sleep_over;
static pthread_once_t sleep_once = PTHREAD_ONCE_INIT;

static void start_sleep(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sleep_over, &attributes);
    pthread_condattr_destroy(&attributes);
}

void jdb__os_sleep(uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    const struct timespec deadline = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    const int before = os_cancel_put_off(); /* pthread_cond_wait() would leave the lock held */
    pthread_once(&sleep_once, start_sleep);
    pthread_mutex_lock(&sleep_lock);
    const bool is_due = __atomic_load_n(word, __ATOMIC_ACQUIRE) != expected;
    if (!is_due && deadline_ns == UINT64_MAX)
        pthread_cond_wait(&sleep_over, &sleep_lock);
    else if (!is_due)
        pthread_cond_timedwait(&sleep_over, &sleep_lock, &deadline);
    pthread_mutex_unlock(&sleep_lock);
    os_cancel_restore(before);
}

void jdb__os_wake(uint32_t *word)
{
    (void)word;
    pthread_once(&sleep_once, start_sleep);
    pthread_mutex_lock(&sleep_lock);
    pthread_cond_broadcast(&sleep_over);
    pthread_mutex_unlock(&sleep_lock);
}

void jdb__os_wake_all(uint32_t *word)
{
    jdb__os_wake(word);
}

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

void jdb__os_before_fork(void)
{
    pthread_once(&sleep_once, start_sleep);
    pthread_mutex_lock(&sleep_lock);
}

/* The condition of a child still counts sleepers who are not there. */
void jdb__os_after_fork(bool is_child)
{
    if (is_child)
        start_sleep();
    pthread_mutex_unlock(&sleep_lock);
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

_Static_assert(sizeof(off_t) == 8, "offsets are 64 bits");

static int os_stat_once(int fd, struct jdb__os_file_stat *ret_stat)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    struct stat now;
    if (fstat(fd, &now) != 0)
        return -errno;
    *ret_stat = (struct jdb__os_file_stat){
        .kind = S_ISREG(now.st_mode)   ? OS_FILE_REGULAR
                : S_ISBLK(now.st_mode) ? OS_FILE_DEVICE
                                       : OS_FILE_OTHER,
        .size = S_ISREG(now.st_mode) ? (int64_t)now.st_size : 0,
        .preferred_block_size = (uint32_t)now.st_blksize,
        .inode = (uint64_t)(S_ISBLK(now.st_mode) ? now.st_rdev : now.st_ino), /* a device may have several nodes */
    };
    return 0;
}

int jdb__os_file_stat(int fd, struct jdb__os_file_stat *ret_stat)
{
    int err = 0;
    OS_RETRY(err, os_stat_once(fd, ret_stat));
    return err;
}

int jdb__os_file_flags(int fd, uint32_t *ret_flags)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    const int access = flags & O_ACCMODE;
    *ret_flags = (access != O_WRONLY ? (uint32_t)OS_OPEN_READ : 0) |
                 (access != O_RDONLY ? (uint32_t)OS_OPEN_WRITE : 0) |
                 ((flags & O_APPEND) != 0 ? (uint32_t)OS_OPEN_APPEND : 0);
#ifdef O_DIRECT
    *ret_flags |= (flags & O_DIRECT) != 0 ? (uint32_t)OS_OPEN_DIRECT : 0;
#endif
    return 0;
}

int jdb__os_working_directory(void)
{
    return AT_FDCWD;
}

bool jdb__os_path_is_other(int directory_fd, const char *path)
{
    struct stat now;
    return fstatat(directory_fd, path, &now, 0) == 0 && !S_ISREG(now.st_mode) && !S_ISBLK(now.st_mode);
}

static int os_open_once(int directory_fd, const char *path, uint32_t flags, uint32_t permissions, int *ret_fd)
{
    const int fault = jdb__os_fault(OS_CALL_OPEN);
    if (fault != 0)
        return fault;
    if ((flags & OS_OPEN_DIRECT) != 0)
        return -ENOTSUP;
    const uint32_t access = flags & (OS_OPEN_READ | OS_OPEN_WRITE);
    const int fd =
        openat(directory_fd, path,
               (access == OS_OPEN_WRITE  ? O_WRONLY
                : access == OS_OPEN_READ ? O_RDONLY
                                         : O_RDWR) |
                   O_CLOEXEC | ((flags & OS_OPEN_CREATE) != 0 ? O_CREAT : 0) |
                   ((flags & OS_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0) | ((flags & OS_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0),
               (mode_t)permissions);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int jdb__os_file_open(int directory_fd, const char *path, uint32_t flags, uint32_t permissions, int *ret_fd)
{
    int err = 0;
    OS_RETRY(err, os_open_once(directory_fd, path, flags, permissions, ret_fd));
    return err;
}

static int os_restrict_once(int fd, uint32_t permissions)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    struct stat now;
    if (fstat(fd, &now) != 0)
        return -errno;
    return fchmod(fd, now.st_mode & (mode_t)permissions) == 0 ? 0 : -errno;
}

int jdb__os_file_restrict(int fd, uint32_t permissions)
{
    int err = 0;
    OS_RETRY(err, os_restrict_once(fd, permissions));
    return err;
}

int jdb__os_file_close(int fd)
{
    const int fault = jdb__os_fault(OS_CALL_CLOSE);
    const int err = os_close_uncancelled(fd);
    return fault != 0 ? fault : err;
}

static int64_t os_read_once(int fd, void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_READ);
    if (fault != 0)
        return fault;
    if (flags != 0)
        return -EOPNOTSUPP;
    const ssize_t got = pread(fd, ptr, size, offset);
    return got >= 0 ? got : -errno;
}

int64_t jdb__os_read_pieces_at(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset,
                               uint32_t flags)
{
    (void)count;
    return jdb__os_read_at(fd, pieces[0].ptr, pieces[0].size, offset, flags);
}

int64_t jdb__os_read_at(int fd, void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    int64_t got = 0;
    OS_RETRY(got, os_read_once(fd, ptr, size, offset, flags));
    return got;
}

static int64_t os_write_once(int fd, const void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_WRITE);
    if (fault != 0)
        return fault;
    if (flags != 0)
        return -EOPNOTSUPP;
    const ssize_t put = pwrite(fd, ptr, size, offset);
    return put >= 0 ? put : -errno;
}

int64_t jdb__os_write_pieces_at(int fd, const struct jdb__os_piece *pieces, uint32_t count, int64_t offset,
                                uint32_t flags)
{
    (void)count;
    return jdb__os_write_at(fd, pieces[0].ptr, pieces[0].size, offset, flags);
}

int64_t jdb__os_write_at(int fd, const void *ptr, size_t size, int64_t offset, uint32_t flags)
{
    int64_t put = 0;
    OS_RETRY(put, os_write_once(fd, ptr, size, offset, flags));
    return put;
}

static int os_truncate_once(int fd, int64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    return ftruncate(fd, size) == 0 ? 0 : -errno;
}

int jdb__os_file_truncate(int fd, int64_t size)
{
    int err = 0;
    OS_RETRY(err, os_truncate_once(fd, size));
    return err;
}

uint64_t jdb__os_file_size_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

/* Never repeated, whatever the error: os.h. */
int jdb__os_file_sync(int fd, bool is_data_only)
{
    (void)is_data_only; /* fdatasync is not everywhere, and never stronger */
    const int fault = jdb__os_fault(OS_CALL_SYNC);
    if (fault != 0)
        return fault;
    int err = 0;
    OS_UNCANCELLED(err, fsync(fd) == 0 ? 0 : -errno);
    return err;
}

int jdb__os_directory_sync(const char *path)
{
    int fd = -1;
    int err = jdb__os_file_open(AT_FDCWD, path, OS_OPEN_READ, 0, &fd);
    if (err != 0)
        return err;
    err = jdb__os_file_sync(fd, false);
    (void)os_close_uncancelled(fd);
    return err;
}

const char *jdb__os_error_text(int err, char *text, size_t text_size)
{
    snprintf(text, text_size, "%s", strerror(-err));
    return text;
}

/* ---- Arenas ----------------------------------------------------------------------------------------------- */

int jdb__os_lock(void *ptr, size_t size, bool on_fault)
{
    const int fault = jdb__os_fault(OS_CALL_LOCK);
    if (fault != 0)
        return fault;
    if (on_fault)
        return -ENOTSUP;
    return mlock(ptr, size) == 0 ? 0 : -errno;
}

int jdb__os_unlock(void *ptr, size_t size)
{
    return munlock(ptr, size) == 0 ? 0 : -errno;
}

int jdb__os_fd_duplicate(int fd, int *ret_fd)
{
    const int fault = jdb__os_fault(OS_CALL_OPEN);
    if (fault != 0)
        return fault;
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    *ret_fd = copy;
    return 0;
}

int jdb__os_fd_close(int fd)
{
    return os_close_uncancelled(fd);
}

unsigned jdb__os_cpu_count(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (unsigned)count;
}

/* The calling thread does it all: the others help, they are not needed. */
void jdb__os_run_parallel(unsigned count, void (*work)(void *context, unsigned index), void *context)
{
    (void)count;
    work(context, 0);
}