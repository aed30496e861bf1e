/* SPDX-License-Identifier: MIT
 *
 * queue.h - transfers in flight: the frames of a copy and the engine (jdb_alloc/stream.h) that moves their bytes, on io_uring with
 * registered frames where the system allows it, else by pread and pwrite.
 *
 * A queue owns the memory: an arena of `depth` frames, one for each slot. A slot has at most one transfer in flight,
 * so its number names the transfer. From queue_start() until queue_wait() returns the slot, the view belongs to the engine.
 */
#ifndef DIO_QUEUE_H
#define DIO_QUEUE_H

#include "base/outcome.h"
#include "base/patience.h"

#include <jdb_alloc.h>
#include <stdbool.h>

/* How the bytes are moved. */
enum queue_engine {
    QUEUE_AUTO,  /* io_uring, falling back with a reason */
    QUEUE_URING, /* io_uring, or the copy fails */
    QUEUE_PREAD, /* pread and pwrite, one at a time */
};

/* A frame and the transfer that is in flight in it. */
struct queue_slot {
    jdb_engine_io io; /* first: a pointer to one is a pointer to the other */
    jdb_raw frame;    /* all of it, len 0 */
    struct patience patience;
    uint64_t most_done; /* bytes, of all tries */
};

struct queue {
    jdb_arena *arena;
    jdb_engine *engine;
    struct queue_slot *slots;
    jdb_engine_io **in_flight; /* in_flight_count of them, in the order of their starts */
    uint32_t depth;
    uint32_t in_flight_count;
    bool is_registered;   /* the frames are fixed buffers of the ring */
    bool is_ending;       /* set by the owner when a pass has failed: nothing is retried, nothing new is started */
    bool is_stuck;        /* waiting failed with operations in the kernel, which may access the frames from now on */
    char reason[320];     /* why not io_uring, or why not registered; empty where both are */
    double depth_seconds; /* integral of in_flight_count over time */
    double busy_seconds;  /* time with something in flight */
    double last_change;
};

/* Allocate the frames (frame_size: a multiple of 4096) and open the engine. The caller calls queue_close(), on failure too. */
int queue_open(struct queue *queue, struct outcome *outcome, enum queue_engine engine, uint32_t depth,
               size_t frame_size);

/* Whether an open queue can serve a copy of this depth and frame size. */
bool queue_fits(const struct queue *queue, uint32_t depth, size_t frame_size);

/* Whether the engine is on io_uring. */
bool queue_is_uring(const struct queue *queue);

/* Start to read into view (its capacity), or to write from it (its len). The slot is not in flight, and the view lies in its
 * frame. file: how, and with which alignment; it stays open until the transfer ends or the queue is closed. Returns 0 or
 * -errno. */
int queue_start(struct queue *queue, uint32_t slot, jdb_file *file, bool is_write, jdb_raw view, int64_t offset);

/* Wait until one transfer is complete: all its bytes, the end of the file, or an error. What the system refuses for the moment
 * (EAGAIN, EINTR) is retried for PATIENCE_SECONDS. A transfer that is in the kernel is waited for without a limit, with two
 * exceptions: a second after a signal the wait fails, and a transfer whose system call is refused as well (io_uring itself retries
 * without a limit) is given up.
 *
 * Returns 0: *ret_slot is complete with *ret_error (0 or -errno; -EAGAIN, -EINTR: given up) and the results of its io;
 * or -errno where waiting itself failed. Requires in_flight_count > 0 and not is_stuck. */
int queue_wait(struct queue *queue, uint32_t *ret_slot, int *ret_error);

/* Mean number of transfers in flight while there were any. */
double queue_mean_depth(const struct queue *queue);

/* Drain what is in flight, as long as that takes a few seconds, and free all. is_stuck stays. */
void queue_close(struct queue *queue);

#endif
