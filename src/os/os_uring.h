/* SPDX-License-Identifier: MIT
 *
 * os_uring.h - the window to the system of libjdb_uring: the ring's system calls and what else it asks the kernel.
 *
 * A library of its own cannot reach the hidden functions of os.h, so it has these. The same rules hold: every function
 * returns 0 (or a non-negative result) or -errno, outputs are untouched on failure, and with JDB_FAULTS each call can
 * be made to fail.
 */
#ifndef JDB_OS_URING_H
#define JDB_OS_URING_H

#include "os/os.h"

#include <pthread.h>

struct io_uring;
struct iovec;

/* ---- Memory and process ----------------------------------------------------------------------------------- */

/* Zeroed memory for bookkeeping, from malloc. -ENOMEM. */
int jdb__ring_alloc(size_t size, void **ret_ptr);
void jdb__ring_free(void *ptr);

/* Bytes of a page of the system. */
size_t jdb__ring_page_size(void);

/* Zeroed memory of whole pages. -ENOMEM. */
int jdb__ring_map(size_t size, void **ret_ptr);
void jdb__ring_unmap(void *ptr, size_t size);

/* The pages are zero in a child of fork(): MADV_WIPEONFORK, since Linux 4.14. */
int jdb__ring_wipe_on_fork(void *ptr, size_t size);

/* Make pages writable, or readable only: mprotect(2). */
int jdb__ring_protect(void *ptr, size_t size, bool is_writable);

/* Run `child` in each child of fork() from now on: pthread_atfork(3). -ENOMEM. */
int jdb__ring_at_fork(void (*child)(void));

/* RLIMIT_MEMLOCK in bytes, UINT64_MAX = none. */
int jdb__ring_lock_limit(uint64_t *ret_soft, uint64_t *ret_hard);

/* Whether the process has CAP_IPC_LOCK in effect: capget(2). */
int jdb__ring_may_lock(bool *ret_may);

/* Milliseconds of a clock that never goes back, a few milliseconds coarse. */
uint64_t jdb__ring_coarse_ms(void);
void jdb__ring_sleep_ms(unsigned ms);

/* ---- Rings ------------------------------------------------------------------------------------------------ */

/* An empty table of count fixed buffers: io_uring_register_buffers_sparse(3), since Linux 5.19. */
int jdb__ring_register_table(struct io_uring *ring, uint32_t count);
int jdb__ring_unregister_table(struct io_uring *ring);

/* Put [ptr, ptr + size) into one slot of the table; NULL and 0 empty it. tag: user_data of a completion that the kernel
 * posts when it is done with the buffer; 0 = none. Source: io_uring_register_buffers_update_tag(3). */
int jdb__ring_update_slot(struct io_uring *ring, uint32_t slot, const void *ptr, size_t size, uint64_t tag);

/* Share the whole table of another ring: IORING_REGISTER_CLONE_BUFFERS of io_uring_register(2), since Linux 6.12. */
int jdb__ring_clone_table(struct io_uring *ring, const struct io_uring *from);

/* Whether the kernel knows an opcode: IORING_REGISTER_PROBE, since Linux 5.6. */
int jdb__ring_knows(struct io_uring *ring, unsigned opcode, bool *ret_knows);

/* Whether the ring takes calls of this thread. -EEXIST: it was made with IORING_SETUP_SINGLE_ISSUER, by another thread. Source:
 * __io_uring_register() in io_uring/register.c, which asks that first. */
int jdb__ring_ask(struct io_uring *ring);

/* Let requests choose their memory from a ring of count buffers (struct io_uring_buf_ring) at memory, as group `id`; incremental:
 * a buffer is used up bit by bit. -EINVAL: not here. Source: io_uring_register_buf_ring(3), since Linux 5.19; IOU_PBUF_RING_INC,
 * since 6.12. */
int jdb__ring_register_group(struct io_uring *ring, void *memory, uint32_t count, uint16_t id, bool is_incremental);
int jdb__ring_unregister_group(struct io_uring *ring, uint16_t id);

/* Ask every request of the ring to end early, and do not wait: IORING_REGISTER_SYNC_CANCEL, since Linux 6.0. -EINVAL:
 * not here. */
int jdb__ring_cancel_all(struct io_uring *ring);

/* Submit what was prepared and wait for a completion, at most timeout_ns (UINT64_MAX: for ever). -ETIME; -EINTR,
 * -EAGAIN and -EBUSY may go away. */
int jdb__ring_submit_and_wait(struct io_uring *ring, uint64_t timeout_ns);

/* A ring for `depth` requests: io_uring_queue_init(3). */
int jdb__ring_open(struct io_uring *ring, uint32_t depth);
void jdb__ring_close(struct io_uring *ring);

/* Submit what was prepared, and do not wait: io_uring_submit(3). */
int jdb__ring_submit(struct io_uring *ring);

/* Wait for a completion, at most timeout_ns (UINT64_MAX: for ever), without submitting: another thread may submit meanwhile.
 * -ETIME, -EINTR. */
int jdb__ring_wait(struct io_uring *ring, uint64_t timeout_ns);

/* ---- Threads ---------------------------------------------------------------------------------------------- */

/* A condition of pthreads, for deadlines of jdb_clock_ns(). */
void jdb__ring_condition_init(pthread_cond_t *condition);

/* Sleep on it, with the lock; returns when it was signalled, at deadline_ns (UINT64_MAX: none), or without a cause. */
void jdb__ring_sleep(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t deadline_ns);

/* ---- Files ------------------------------------------------------------------------------------------------ */

/* preadv2(2) and pwritev2(2): bytes moved. */
int64_t jdb__ring_read_at(int fd, const struct iovec *iovs, uint32_t count, int64_t offset, uint32_t flags);
int64_t jdb__ring_write_at(int fd, const struct iovec *iovs, uint32_t count, int64_t offset, uint32_t flags);

/* fallocate(2). */
int jdb__ring_allocate(int fd, uint32_t mode, int64_t offset, uint64_t size);

/* fdatasync(2) or fsync(2), made once: os.h. */
int jdb__ring_sync(int fd, bool is_data_only);

/* Whether each write of the descriptor goes to the end of the file: fcntl(2), O_APPEND. */
int jdb__ring_appends(int fd, bool *ret_appends);

#endif
