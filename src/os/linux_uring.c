/* SPDX-License-Identifier: MIT
 *
 * linux_uring.c - see os_uring.h. Part of libjdb_uring.
 */
#include "os/os_uring.h"

#include "os/cancel.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Newer than liburing 2.3. Source: include/uapi/linux/io_uring.h. */
#define REGISTER_CLONE_BUFFERS 30

struct clone_buffers {
    uint32_t source_fd;
    uint32_t flags;
    uint32_t source_offset;
    uint32_t offset;
    uint32_t count;
    uint32_t zero[3];
};

/* struct io_uring_buf_reg, whose flags came later. */
#define GROUP_INCREMENTAL 2u

struct buffer_group {
    uint64_t memory;
    uint32_t count;
    uint16_t id;
    uint16_t flags;
    uint64_t zero[3];
};
_Static_assert(sizeof(struct buffer_group) == sizeof(struct io_uring_buf_reg), "the kernel's layout");

/* ---- Memory and process ----------------------------------------------------------------------------------- */

int jdb__ring_alloc(size_t size, void **ret_ptr)
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

void jdb__ring_free(void *ptr)
{
    free(ptr);
}

size_t jdb__ring_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int jdb__ring_map(size_t size, void **ret_ptr)
{
    const int fault = jdb__os_fault(OS_CALL_MAP);
    if (fault != 0)
        return fault;
    void *const ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ptr == MAP_FAILED)
        return -ENOMEM;
    *ret_ptr = ptr;
    return 0;
}

void jdb__ring_unmap(void *ptr, size_t size)
{
    (void)munmap(ptr, size);
}

int jdb__ring_wipe_on_fork(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, MADV_WIPEONFORK) == 0 ? 0 : -errno;
}

int jdb__ring_protect(void *ptr, size_t size, bool is_writable)
{
    const int fault = jdb__os_fault(OS_CALL_PROTECT);
    if (fault != 0)
        return fault;
    return mprotect(ptr, size, is_writable ? PROT_READ | PROT_WRITE : PROT_READ) == 0 ? 0 : -errno;
}

int jdb__ring_at_fork(void (*child)(void))
{
    const int fault = jdb__os_fault(OS_CALL_THREAD);
    return fault != 0 ? fault : -pthread_atfork(NULL, NULL, child);
}

static uint64_t limit_of(rlim_t limit)
{
    return limit == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit;
}

int jdb__ring_lock_limit(uint64_t *ret_soft, uint64_t *ret_hard)
{
    const int fault = jdb__os_fault(OS_CALL_FACTS);
    if (fault != 0)
        return fault;
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return -errno;
    *ret_soft = limit_of(limit.rlim_cur);
    *ret_hard = limit_of(limit.rlim_max);
    return 0;
}

int jdb__ring_may_lock(bool *ret_may)
{
    const int fault = jdb__os_fault(OS_CALL_FACTS);
    if (fault != 0)
        return fault;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &head, data) != 0)
        return -errno;
    *ret_may = (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
    return 0;
}

uint64_t jdb__ring_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

void jdb__ring_sleep_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    const int cancel_before = os_cancel_put_off();
    nanosleep(&pause, NULL);
    os_cancel_restore(cancel_before);
}

/* ---- Rings ------------------------------------------------------------------------------------------------ */

int jdb__ring_register_table(struct io_uring *ring, uint32_t count)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    return fault != 0 ? fault : io_uring_register_buffers_sparse(ring, count);
}

int jdb__ring_unregister_table(struct io_uring *ring)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    return fault != 0 ? fault : io_uring_unregister_buffers(ring);
}

int jdb__ring_update_slot(struct io_uring *ring, uint32_t slot, const void *ptr, size_t size, uint64_t tag)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    if (fault != 0)
        return fault;
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)ptr, .iov_len = size};
    const __u64 tags = tag;
    const int count = io_uring_register_buffers_update_tag(ring, slot, &iov, &tags, 1);
    return count == 1 ? 0 : count < 0 ? count : -EIO;
}

int jdb__ring_clone_table(struct io_uring *ring, const struct io_uring *from)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    if (fault != 0)
        return fault;
    struct clone_buffers clone = {.source_fd = (uint32_t)from->ring_fd};
    const long got = syscall(SYS_io_uring_register, ring->ring_fd, REGISTER_CLONE_BUFFERS, &clone, 1);
    return got < 0 ? -errno : 0;
}

int jdb__ring_knows(struct io_uring *ring, unsigned opcode, bool *ret_knows)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    if (fault != 0)
        return fault;
    struct io_uring_probe *const probe = io_uring_get_probe_ring(ring);
    if (probe == NULL)
        return -ENOTSUP;
    *ret_knows = probe->last_op >= opcode && io_uring_opcode_supported(probe, (int)opcode) != 0;
    io_uring_free_probe(probe);
    return 0;
}

int jdb__ring_ask(struct io_uring *ring)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    if (fault != 0)
        return fault;
    struct io_uring_probe none = {0};
    return io_uring_register_probe(ring, &none, 0);
}

int jdb__ring_register_group(struct io_uring *ring, void *memory, uint32_t count, uint16_t id, bool is_incremental)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    if (fault != 0)
        return fault;
    struct buffer_group group = {
        .memory = (uintptr_t)memory, .count = count, .id = id, .flags = is_incremental ? GROUP_INCREMENTAL : 0};
    const long got = syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_PBUF_RING, &group, 1);
    return got < 0 ? -errno : 0;
}

int jdb__ring_unregister_group(struct io_uring *ring, uint16_t id)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    return fault != 0 ? fault : io_uring_unregister_buf_ring(ring, id);
}

int jdb__ring_cancel_all(struct io_uring *ring)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    if (fault != 0)
        return fault;
    struct io_uring_sync_cancel_reg all = {.fd = -1, .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL};
    const int got = io_uring_register_sync_cancel(ring, &all);
    return got >= 0 || got == -ENOENT || got == -ETIME ? 0 : got;
}

int jdb__ring_open(struct io_uring *ring, uint32_t depth)
{
    const int fault = jdb__os_fault(OS_CALL_RING);
    return fault != 0 ? fault : io_uring_queue_init(depth, ring, IORING_SETUP_CLAMP);
}

void jdb__ring_close(struct io_uring *ring)
{
    io_uring_queue_exit(ring);
}

int jdb__ring_submit(struct io_uring *ring)
{
    const int fault = jdb__os_fault(OS_CALL_RING_WAIT);
    if (fault != 0)
        return fault;
    const int got = io_uring_submit(ring);
    return got < 0 ? got : 0;
}

/* Before Linux 5.11 a timeout is a request, which liburing would put into the queue, unseen by who counts what is in it. */
static bool waits_by_poll(const struct io_uring *ring, uint64_t timeout_ns)
{
    return timeout_ns != UINT64_MAX && (ring->features & IORING_FEAT_EXT_ARG) == 0;
}

static int wait_by_poll(struct io_uring *ring, uint64_t timeout_ns)
{
    struct pollfd ready = {.fd = ring->ring_fd, .events = POLLIN};
    const struct timespec timeout = timespec_of(timeout_ns);
    int got = 0;
    OS_UNCANCELLED(got, ppoll(&ready, 1, &timeout, NULL));
    return got > 0 ? 0 : got == 0 ? -ETIME : -errno;
}

int jdb__ring_submit_and_wait(struct io_uring *ring, uint64_t timeout_ns)
{
    const int fault = jdb__os_fault(OS_CALL_RING_WAIT);
    if (fault != 0)
        return fault;
    if (waits_by_poll(ring, timeout_ns)) {
        const int submitted = io_uring_submit(ring);
        return submitted < 0 ? submitted : wait_by_poll(ring, timeout_ns);
    }
    struct __kernel_timespec timeout = {.tv_sec = (long long)(timeout_ns / 1000000000),
                                        .tv_nsec = (long long)(timeout_ns % 1000000000)};
    struct io_uring_cqe *cqe = NULL;
    const bool is_bounded = timeout_ns != UINT64_MAX;
    const int got = io_uring_submit_and_wait_timeout(ring, &cqe, 1, is_bounded ? &timeout : NULL, NULL);
    return got < 0 ? got : 0;
}

int jdb__ring_wait(struct io_uring *ring, uint64_t timeout_ns)
{
    const int fault = jdb__os_fault(OS_CALL_RING_WAIT);
    if (fault != 0)
        return fault;
    struct io_uring_cqe *cqe = NULL;
    if (waits_by_poll(ring, timeout_ns))
        return wait_by_poll(ring, timeout_ns);
    const struct timespec timeout = timespec_of(timeout_ns);
    struct __kernel_timespec wide = {.tv_sec = timeout.tv_sec, .tv_nsec = timeout.tv_nsec};
    const int got =
        timeout_ns == UINT64_MAX ? io_uring_wait_cqe(ring, &cqe) : io_uring_wait_cqe_timeout(ring, &cqe, &wide);
    return got < 0 ? got : 0;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

void jdb__ring_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

void jdb__ring_sleep(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t deadline_ns)
{
    const int before = os_cancel_put_off();
    const struct timespec deadline = timespec_of(deadline_ns);
    if (deadline_ns == UINT64_MAX)
        (void)pthread_cond_wait(condition, lock);
    else
        (void)pthread_cond_timedwait(condition, lock, &deadline);
    os_cancel_restore(before);
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

int64_t jdb__ring_read_at(int fd, const struct iovec *iovs, uint32_t count, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_READ);
    if (fault != 0)
        return fault;
    int64_t got = 0;
    OS_UNCANCELLED(got, preadv2(fd, iovs, (int)count, (off_t)offset, (int)flags));
    return got < 0 ? -errno : got;
}

int64_t jdb__ring_write_at(int fd, const struct iovec *iovs, uint32_t count, int64_t offset, uint32_t flags)
{
    const int fault = jdb__os_fault(OS_CALL_WRITE);
    if (fault != 0)
        return fault;
    int64_t got = 0;
    OS_UNCANCELLED(got, pwritev2(fd, iovs, (int)count, (off_t)offset, (int)flags));
    return got < 0 ? -errno : got;
}

int jdb__ring_allocate(int fd, uint32_t mode, int64_t offset, uint64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    int err = 0;
    OS_UNCANCELLED(err, fallocate(fd, (int)mode, (off_t)offset, (off_t)size) == 0 ? 0 : -errno);
    return err;
}

int jdb__ring_sync(int fd, bool is_data_only)
{
    const int fault = jdb__os_fault(OS_CALL_SYNC);
    if (fault != 0)
        return fault;
    int err = 0;
    OS_UNCANCELLED(err, (is_data_only ? fdatasync(fd) : fsync(fd)) == 0 ? 0 : -errno);
    return err;
}

int jdb__ring_appends(int fd, bool *ret_appends)
{
    const int fault = jdb__os_fault(OS_CALL_STAT);
    if (fault != 0)
        return fault;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    *ret_appends = (flags & O_APPEND) != 0;
    return 0;
}
