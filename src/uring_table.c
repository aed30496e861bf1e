/* SPDX-License-Identifier: MIT
 *
 * uring_table.c - slots of a ring's table of fixed buffers, filled and cleared one by one. Floor 5.
 */
#include "uring.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Newer than liburing 2.3. Source: include/uapi/linux/io_uring.h, since Linux 6.12. */
#define REGISTER_CLONE_BUFFERS 30

struct clone_buffers {
    uint32_t source_fd;
    uint32_t flags;
    uint32_t source_offset;
    uint32_t offset;
    uint32_t count;
    uint32_t zero[3];
};

/* After our own unregistering the kernel may give locked memory back some milliseconds late (it does so when the last
 * reference of the ring goes), and a new registration meets -ENOMEM until then. */
#define TEARDOWN_WINDOW_MS 100u
#define TEARDOWN_TRIES 50u

static _Atomic uint64_t teardown_ms;

/* ---- Retry ------------------------------------------------------------------------------------------------ */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool may_retry(unsigned tries)
{
    const uint64_t last = atomic_load(&teardown_ms);
    if (last == 0 || tries >= TEARDOWN_TRIES || now_ms() - last > TEARDOWN_WINDOW_MS)
        return false;
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
    return true;
}

/* ---- Slots ------------------------------------------------------------------------------------------------ */

/* One slot in one call: so each region has its own errno, and no short count can hide one. */
static int update_slot(const jdb_uring *door, uint32_t slot, const uint8_t *ptr, size_t size, uint64_t tag)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)ptr, .iov_len = size};
    const __u64 tags = tag;
    const int count = io_uring_register_buffers_update_tag(door->ring, slot, &iov, &tags, 1);
    return count == 1 ? 0 : count < 0 ? count : -EIO;
}

int jdb__uring_fill_slot(jdb_uring *door, const uint8_t *ptr, size_t size, uint64_t tag, int32_t *ret_slot)
{
    if (door->table_error != 0)
        return door->table_error;
    if (door->free_count == 0)
        return -ENOSPC;
    const uint16_t slot = door->free_slots[door->free_count - 1];
    int err = update_slot(door, slot, ptr, size, tag);
    for (unsigned tries = 0; err == -ENOMEM && may_retry(tries); tries++)
        err = update_slot(door, slot, ptr, size, tag);
    if (err != 0)
        return err;
    door->free_count--;
    *ret_slot = slot;
    return 0;
}

/* A slot that the kernel does not clear is lost to the door: it must never be filled again unseen. */
void jdb__uring_clear_slot(jdb_uring *door, int32_t slot)
{
    if (door->ring != NULL && update_slot(door, (uint32_t)slot, NULL, 0, 0) == 0)
        door->free_slots[door->free_count++] = (uint16_t)slot;
    atomic_store(&teardown_ms, now_ms());
}

int jdb__uring_clone_table(struct io_uring *ring, const struct io_uring *from)
{
    struct clone_buffers clone = {.source_fd = (uint32_t)from->ring_fd};
    const long got = syscall(SYS_io_uring_register, ring->ring_fd, REGISTER_CLONE_BUFFERS, &clone, 1);
    return got < 0 ? -errno : 0;
}
