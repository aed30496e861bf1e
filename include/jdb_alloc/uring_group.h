/* SPDX-License-Identifier: MIT
 *
 * uring_group.h - frames that the kernel chooses: a provided-buffer ring of io_uring over the frames of a pool, for sockets and
 * pipes, where nobody knows which request will be answered next. Library libjdb_uring.
 *
 * Example: a connection that is read as long as it lasts, by one SQE.
 *
 *     jdb_uring_group *group;
 *     jdb_uring_group_open(&ring, pool, NULL, &group);        // 64 frames of the pool are the kernel's to choose from
 *     struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
 *     io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
 *     jdb_uring_group_select(group, sqe);
 *     ...
 *     jdb_uring_piece piece;
 *     int err = jdb_uring_group_take(group, cqe, &piece);     // each completion of it
 *     if (err == 0 && piece.view.len != 0) {
 *         use(piece.view.ptr, piece.view.len);
 *         jdb_uring_group_give(group, &piece);                // the frame goes back to the pool, on any thread
 *     }
 *     if ((cqe->flags & IORING_CQE_F_MORE) == 0)
 *         ...                                                 // the end of it, or no frame was left: prepare it again
 *
 * A frame is lent by the pool from when the kernel may choose it until it is given back, and pinned (pin.h) while the kernel
 * may write to it. Each take refills what the kernel has, as far as the pool has frames.
 *
 * Incremental: a frame is filled by one completion after another, without gaps, instead of by one each: small messages do
 * not use up whole frames. Its pieces are given back one by one, in any order, and the last brings the frame back.
 *
 * Life cycle: jdb_uring_group_open() on a ring, requests, and when all of them have ended jdb_uring_group_close(), before
 * io_uring_queue_exit() and jdb_pool_free(). Pieces may outlive the group's close where they are put as frames.
 * Thread safety: by the thread that uses the ring; jdb_uring_group_give() by any, at once.
 * fork(): the group stays the parent's; in the child jdb_uring_group_close() frees the child's copy, the others return -EPERM.
 *
 * Source: io_uring_register_buf_ring(3), since Linux 5.19; IOU_PBUF_RING_INC, since Linux 6.12. */
#ifndef JDB_ALLOC_URING_GROUP_H
#define JDB_ALLOC_URING_GROUP_H

#include "base.h"
#include "pool.h"
#include "raw.h"
#include "uring.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_uring_group jdb_uring_group;

/* The most frames of one group. Source: io_register_pbuf_ring() in io_uring/kbuf.c. */
#define JDB_URING_GROUP_MAX ((uint32_t)32768)

typedef struct jdb_uring_group_options {
    uint32_t size;           /* bytes of this struct, as the caller knows it */
    uint32_t group_id;       /* of the ring's buffer groups, 0 to 65,535; used for nothing else there */
    uint32_t frame_count;    /* frames that the kernel may choose from, a power of two to 32,768; 0 = 64 */
    uint32_t is_incremental; /* 1: where the kernel can; jdb_uring_group_is_incremental() says whether */
    uint64_t reserved[6];
} jdb_uring_group_options;

#define JDB_URING_GROUP_OPTIONS_INIT JDB__URING_INIT(jdb_uring_group_options)

/* What a completion brought: bytes in a frame of the pool. */
typedef struct jdb_uring_piece {
    jdb_raw view;       /* len = cap: the bytes; empty: none came */
    jdb_frame frame;    /* that they lie in */
    uint32_t is_shared; /* 1: other pieces, or the kernel, have parts of the frame */
    uint32_t reserved32;
    uint64_t reserved[2];
} jdb_uring_piece;

/* jdb_uring_group_open - let the kernel choose among frames of a pool.
 *
 * ring: initialised, stays where it is until jdb_uring_group_close(). pool: outlives the group; frame_count of its frames are
 * taken, or as many as it has. options: NULL = JDB_URING_GROUP_OPTIONS_INIT.
 * Returns 0, and the caller owns *ret_group; -EINVAL: NULL, an option out of range, size too small, or the kernel knows no
 * such groups; -E2BIG: an option of a newer version; -EEXIST: the ring has a group with this number; -EAGAIN: the pool has no frame;
 * -EPERM: child of fork(), or the ring is another thread's; -ENOMEM; else the kernel's error. *ret_group is untouched on failure.
 * Since 0.2. */
JDB_API int jdb_uring_group_open(struct io_uring *ring, jdb_pool *pool, const jdb_uring_group_options *options,
                                 jdb_uring_group **ret_group);

/* jdb_uring_group_close - take the frames back from the kernel, put them, free the group.
 *
 * Returns 0, also for NULL and in a child of fork(); -EBUSY: requests are in flight, and nothing is closed; -EPERM: the ring
 * is another thread's; else the kernel's error, and nothing is closed. Since 0.2. */
JDB_API int jdb_uring_group_close(jdb_uring_group *group);

/* jdb_uring_group_select - let a request that is prepared choose its memory from the group: a read or receive of a
 * pipe or socket (io_uring_prep_read(3), _recv, _recv_multishot and their kin) with address NULL.
 *
 * Each of its completions is passed to jdb_uring_group_take(), errors too; until the last one it is in flight. An SQE that
 * shall not be submitted afterwards: io_uring_prep_nop(3) and IOSQE_BUFFER_SELECT off, its completion is passed all the same.
 * Returns 0; -EINVAL: NULL, or a bundle (IORING_RECVSEND_BUNDLE), whose completions are for several frames; -EPERM: child of
 * fork(). Since 0.2. */
JDB_API int jdb_uring_group_select(jdb_uring_group *group, struct io_uring_sqe *sqe);

/* jdb_uring_group_take - what a completion of a request of the group brought. Once for each, in the order of the queue.
 *
 * ret_piece: the bytes, which are the caller's until jdb_uring_group_give(). One that is not shared is a frame of the caller's: it may
 * be kept and given back by jdb_pool_put() as well. Empty (view.len 0) at the end of the stream and with an error: then there
 * is nothing to give.
 * Returns 0; the error of the completion: -ENOBUFS: the kernel had no frame left, give some back and prepare the
 * request again; -EINVAL: NULL; -ESTALE: a frame that the kernel does not have: a completion taken twice, or of another
 * group; -EPERM: child of fork(). *ret_piece is empty on failure. Since 0.2. */
JDB_API int jdb_uring_group_take(jdb_uring_group *group, const struct io_uring_cqe *cqe, jdb_uring_piece *ret_piece);

/* jdb_uring_group_give - end the use of a piece; the last of a frame puts that into the pool. The piece becomes empty; an empty one
 * is legal.
 *
 * Returns 0; -EINVAL: NULL; -ESTALE: a copy of it was given before, where it was not shared: a second copy of one that was takes
 * the place of another piece of the frame, which is not detected; -EPERM: child of fork(). Any thread. Since 0.2. */
JDB_API int jdb_uring_group_give(const jdb_uring_group *group, jdb_uring_piece *piece);

/* jdb_uring_group_refill - give the kernel as many frames as the group may have, after some came back to the pool: each take
 * does it.
 *
 * Returns how many frames the kernel may choose from now; -EINVAL: NULL; -EPERM: child of fork(). Since 0.2. */
JDB_API int jdb_uring_group_refill(jdb_uring_group *group);

/* jdb_uring_group_is_incremental - whether frames are filled by several completions. false for NULL. Since 0.2. */
JDB_API bool jdb_uring_group_is_incremental(const jdb_uring_group *group);

/* jdb_uring_group_in_flight - requests that were selected and have not ended. 0 for NULL, and in a child. Since 0.2. */
JDB_API uint64_t jdb_uring_group_in_flight(const jdb_uring_group *group);

#ifdef __cplusplus
}
#endif

#endif
