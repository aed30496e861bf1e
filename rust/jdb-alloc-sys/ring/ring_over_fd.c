/* SPDX-License-Identifier: MIT
 *
 * ring_over_fd.c - a liburing ring object over a descriptor that somebody else opened, for registering buffers only. */
#include <errno.h>
#include <stdlib.h>

#include <liburing.h>

int jdb_rust_ring_over_fd(int ring_fd, struct io_uring **ret_ring);
void jdb_rust_ring_free(struct io_uring *ring);

/* Register calls of liburing use the descriptor alone: the queues stay with the crate that maps them.
 * Returns 0 and *ret_ring, for jdb_rust_ring_free(); -ENOMEM. */
int jdb_rust_ring_over_fd(int ring_fd, struct io_uring **ret_ring)
{
    struct io_uring *const ring = calloc(1, sizeof *ring);
    if (ring == NULL)
        return -ENOMEM;
    ring->ring_fd = ring_fd;
    ring->enter_ring_fd = ring_fd;
    *ret_ring = ring;
    return 0;
}

void jdb_rust_ring_free(struct io_uring *ring)
{
    free(ring);
}
