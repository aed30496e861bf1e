/* SPDX-License-Identifier: MIT
 *
 * queue.h - transfers in flight: io_uring with registered frames where the system lets us, else pread and pwrite.
 *
 * A queue owns the memory: one jdb_buf cut into `depth` frames. Each frame carries at most one transfer at a time, so the
 * number of the frame names the transfer. From queue_start() to the completion that queue_wait() gives, the view is
 * pinned and belongs to the kernel (jdb_alloc/uring.h).
 */
#ifndef DIO_QUEUE_H
#define DIO_QUEUE_H

#include "base/patience.h"
#include "cp/side.h"

#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>
#include <liburing.h>

/* Which engine moves the bytes. */
enum queue_engine {
    QUEUE_AUTO,  /* io_uring, falling back with a reason */
    QUEUE_URING, /* io_uring, or the copy fails */
    QUEUE_PREAD, /* pread and pwrite, one at a time */
};

/* A frame and what is in flight in it. */
struct queue_slot {
    jdb_raw frame;   /* all of it, len 0 */
    jdb_uring_op op; /* pins its view from queue_start() to queue_wait() */
    bool is_write;
    bool is_in_flight;
    const struct side *side; /* of the operation, and where its view begins in the file */
    jdb_raw view;
    int64_t offset;
    size_t done_size; /* of op when it was refused last */
    struct patience patience;
};

struct queue {
    jdb_buf memory;
    struct queue_slot *slots;
    uint32_t depth;
    uint32_t in_flight_count;
    bool is_uring;
    bool is_registered; /* the frames are fixed buffers of the ring */
    bool is_ending;     /* set by the owner when a pass has failed: nothing is tried again, nothing new is started */
    bool is_stuck;      /* the ring was given up with operations in the kernel: the frames are the kernel's for ever */
    struct io_uring ring;
    jdb_uring *door;
    uint32_t *waiting; /* the pread engine: slots in the order they were asked for */
    uint32_t waiting_head;
    char reason[320];     /* why not io_uring, or why not registered; empty where both are */
    double depth_seconds; /* integral of in_flight_count over time */
    double busy_seconds;  /* time with something in flight */
    double last_change;
};

/* Make the frames (frame_size: a multiple of 4096) and the engine. Closed by queue_close(), on failure too. */
int queue_open(struct queue *queue, struct verdict *verdict, enum queue_engine engine, uint32_t depth,
               size_t frame_size);

/* Start to read into view (its capacity), or to write from it (its len). The slot must not be in flight and the view
 * lies in its frame. side: which file, how, and with which alignment. Returns 0 or -errno. */
int queue_start(struct queue *queue, uint32_t slot, const struct side *side, bool is_write, jdb_raw view,
                int64_t offset);

/* Wait until one transfer is complete: all its bytes, the end of the file, or an error; short results are resumed here, and
 * what the system refuses for the moment (EAGAIN, EINTR) is tried again for as long as patience.h has it. What is in the
 * kernel is waited for however long it takes; but not where the system call of the same transfer is refused as well, as
 * io_uring itself tries again for ever, and not for more than a second after a signal.
 *
 * Returns 0: *ret_slot is complete with *ret_error (0 or -errno; -EAGAIN, -EINTR: given up; -ECANCELED: is_ending) and its
 * op says how much (done_size); or -errno where waiting itself failed. Requires in_flight_count > 0. */
int queue_wait(struct queue *queue, uint32_t *ret_slot, int *ret_error);

/* Mean number of transfers in flight while there were any. */
double queue_mean_depth(const struct queue *queue);

void queue_close(struct queue *queue);

#endif
