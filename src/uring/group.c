/* SPDX-License-Identifier: MIT
 *
 * group.c - frames that the kernel chooses: a ring of buffers that it takes from, filled with frames of a pool.
 *
 * Invariants:
 *   G1  a buffer number is in exactly one place: free_ids, or the kernel's with a frame that is lent to the group
 *   G2  a frame has one pin for the kernel and one for each shared piece that was not given back. Who takes the last of them
 *       off puts the frame
 *   G3  the first filled bytes of a frame that the kernel has are pieces; the next completion that names it begins there
 */
#include "uring/state.h"

#include "base/bits.h"
#include "base/memcheck.h"
#include "base/sized.h"
#include "jdb_alloc/direct.h"
#include "jdb_alloc/pin.h"
#include "jdb_alloc/uring_group.h"

#include <string.h>

#define GROUP_DEFAULT_FRAMES 64u
#define GROUP_ID_MAX 65535u

/* Newer than liburing 2.3. Source: include/uapi/linux/io_uring.h, since Linux 6.12 and 6.10. */
#define CQE_BUFFER_MORE (1u << 4)
#define RECEIVE_BUNDLE (1u << 4) /* one completion for the bytes of several buffers */

struct group_buffer {
    jdb_frame frame; /* ptr NULL: the kernel does not have this number */
    uint32_t filled; /* bytes */
};

struct jdb_uring_group {
    struct io_uring *ring;
    struct io_uring_buf_ring *buffer_ring; /* shared with the kernel, which has the parent's pages after fork() */
    jdb_pool *pool;
    uint32_t process; /* jdb__uring_process */
    uint32_t frame_count;
    uint32_t free_count;
    uint16_t group_id;
    bool is_incremental;
    uint64_t in_flight;
    uint16_t *free_ids;
    struct group_buffer buffers[];
};

SIZED_FORM(group_options_form, jdb_uring_group_options, 16, 64);

static bool group_is_here(const jdb_uring_group *group)
{
    return atomic_load_explicit(&jdb__uring_process, memory_order_relaxed) == group->process;
}

static size_t ring_bytes(const jdb_uring_group *group)
{
    return (size_t)bits_round_up(group->frame_count * sizeof(struct io_uring_buf), jdb__ring_page_size());
}

/* ---- Frames ----------------------------------------------------------------------------------------------- */

/* Returns how many the kernel has. */
static uint32_t fill(jdb_uring_group *group)
{
    const int mask = io_uring_buf_ring_mask(group->frame_count);
    int added = 0;
    while (group->free_count > 0) {
        jdb_frame frame;
        if (jdb_pool_get(group->pool, &frame) != 0)
            break;
        const jdb_raw view = jdb_pool_view(group->pool, frame);
        if (jdb_pin(frame.ptr, 1) != 0) {
            (void)jdb_pool_put(group->pool, frame);
            break;
        }
        const uint16_t id = group->free_ids[--group->free_count];
        JDB_ASSERT(group->buffers[id].frame.ptr == NULL); /* G1 */
        group->buffers[id] = (struct group_buffer){.frame = frame};
        io_uring_buf_ring_add(group->buffer_ring, view.ptr, (unsigned)bits_min(view.cap, JDB_TRANSFER_MAX), id, mask,
                              added++);
    }
    if (added > 0)
        io_uring_buf_ring_advance(group->buffer_ring, added);
    return group->frame_count - group->free_count;
}

/* The number is free again; its frame is somebody else's now. */
static void release_id(jdb_uring_group *group, uint16_t id)
{
    JDB_ASSERT(group->free_count < group->frame_count); /* G1 */
    group->buffers[id] = (struct group_buffer){.filled = 0};
    group->free_ids[group->free_count++] = id;
}

static void take_back(jdb_uring_group *group)
{
    for (uint32_t id = 0; id < group->frame_count; id++) {
        const jdb_frame frame = group->buffers[id].frame;
        if (frame.ptr == NULL)
            continue;
        (void)jdb_unpin(frame.ptr, 1);
        (void)jdb_pool_put(group->pool, frame); /* -EBUSY: pieces of it are not given back yet */
    }
}

/* ---- Open and close --------------------------------------------------------------------------------------- */

static int group_options(const jdb_uring_group_options *given, jdb_uring_group_options *ret_options)
{
    jdb_uring_group_options options = JDB_URING_GROUP_OPTIONS_INIT;
    const int err = given == NULL ? 0 : jdb__sized_read(&group_options_form, given, &options);
    if (err != 0)
        return err;
    if (options.frame_count == 0)
        options.frame_count = GROUP_DEFAULT_FRAMES;
    if (!bits_is_pow2(options.frame_count) || options.frame_count > JDB_URING_GROUP_MAX ||
        options.group_id > GROUP_ID_MAX || options.is_incremental > 1)
        return -EINVAL;
    *ret_options = options;
    return 0;
}

static int group_new(const jdb_uring_group_options *options, jdb_uring_group **ret_group)
{
    const size_t buffers_size = options->frame_count * sizeof(struct group_buffer);
    void *memory = NULL;
    void *ring_memory = NULL;
    int err =
        jdb__ring_alloc(sizeof(jdb_uring_group) + buffers_size + options->frame_count * sizeof(uint16_t), &memory);
    if (err != 0)
        return err;
    jdb_uring_group *const group = memory;
    group->frame_count = options->frame_count;
    err = jdb__ring_map(ring_bytes(group), &ring_memory);
    if (err != 0) {
        jdb__ring_free(group);
        return err;
    }
    group->buffer_ring = ring_memory;
    group->process = atomic_load_explicit(&jdb__uring_process, memory_order_relaxed);
    group->group_id = (uint16_t)options->group_id;
    group->free_ids = (uint16_t *)(void *)((uint8_t *)group->buffers + buffers_size);
    for (uint32_t id = options->frame_count; id > 0; id--)
        group->free_ids[group->free_count++] = (uint16_t)(id - 1);
    *ret_group = group;
    return 0;
}

static void group_free(jdb_uring_group *group)
{
    jdb__ring_unmap(group->buffer_ring, ring_bytes(group));
    jdb__ring_free(group);
}

/* With the frames that the pool has. */
static int group_register(jdb_uring_group *group, bool is_incremental)
{
    int err = -EINVAL;
    if (is_incremental)
        err = jdb__ring_register_group(group->ring, group->buffer_ring, group->frame_count, group->group_id, true);
    group->is_incremental = err == 0;
    if (err == -EINVAL)
        err = jdb__ring_register_group(group->ring, group->buffer_ring, group->frame_count, group->group_id, false);
    if (err != 0)
        return err;
    if (fill(group) != 0)
        return 0;
    (void)jdb__ring_unregister_group(group->ring, group->group_id);
    return -EAGAIN;
}

int jdb_uring_group_open(struct io_uring *ring, jdb_pool *pool, const jdb_uring_group_options *options,
                         jdb_uring_group **ret_group)
{
    if (ring == NULL || pool == NULL || ret_group == NULL)
        return -EINVAL;
    jdb_uring_group_options wanted;
    jdb_uring_group *group = NULL;
    int err = group_options(options, &wanted);
    if (err == 0)
        err = jdb__uring_check_thread(ring);
    if (err == 0)
        err = group_new(&wanted, &group);
    if (err != 0)
        return err;
    group->ring = ring;
    group->pool = pool;
    err = group_register(group, wanted.is_incremental != 0);
    if (err != 0) {
        group_free(group);
        return err;
    }
    *ret_group = group;
    return 0;
}

int jdb_uring_group_close(jdb_uring_group *group)
{
    if (group == NULL)
        return 0;
    if (group_is_here(group)) {
        int err = group->in_flight > 0 ? -EBUSY : jdb__uring_check_thread(group->ring);
        if (err == 0)
            err = jdb__ring_unregister_group(group->ring, group->group_id);
        if (err != 0)
            return err;
        take_back(group);
    }
    group_free(group);
    return 0;
}

/* ---- Requests --------------------------------------------------------------------------------------------- */

int jdb_uring_group_select(jdb_uring_group *group, struct io_uring_sqe *sqe)
{
    if (group == NULL || sqe == NULL)
        return -EINVAL;
    if (!group_is_here(group))
        return -EPERM;
    if (sqe->opcode == IORING_OP_RECV && (sqe->ioprio & RECEIVE_BUNDLE) != 0)
        return -EINVAL;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = group->group_id;
    group->in_flight++;
    return 0;
}

/* The bytes that the kernel wrote to a buffer; it is done with the buffer unless more will come. */
static void take_bytes(jdb_uring_group *group, uint16_t id, uint32_t size, bool has_more, jdb_uring_piece *ret_piece)
{
    struct group_buffer *const buffer = &group->buffers[id];
    const jdb_frame frame = buffer->frame;
    ret_piece->view = jdb_raw_from_slice(frame.ptr + buffer->filled, size);
    ret_piece->frame = frame;
    ret_piece->is_shared = has_more || buffer->filled > 0;
    memcheck_defined(ret_piece->view.ptr, size);
    buffer->filled += size;
    if (has_more) {
        (void)jdb_pin(frame.ptr, 1); /* G2: of the piece */
        return;
    }
    if (ret_piece->is_shared == 0) /* else the kernel's pin is the piece's from now on */
        (void)jdb_unpin(frame.ptr, 1);
    release_id(group, id);
}

/* A buffer that was chosen, and that nothing came into. */
static void take_nothing(jdb_uring_group *group, uint16_t id, bool has_more)
{
    jdb_uring_piece none = {.view = JDB_RAW_INIT};
    take_bytes(group, id, 0, has_more, &none);
    (void)jdb_uring_group_give(group, &none);
}

int jdb_uring_group_take(jdb_uring_group *group, const struct io_uring_cqe *cqe, jdb_uring_piece *ret_piece)
{
    if (group == NULL || cqe == NULL || ret_piece == NULL)
        return -EINVAL;
    memset(ret_piece, 0, sizeof *ret_piece);
    if (!group_is_here(group))
        return -EPERM;
    const uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    const bool has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
    const bool has_more = (cqe->flags & CQE_BUFFER_MORE) != 0;
    if (has_buffer && (id >= group->frame_count || group->buffers[id].frame.ptr == NULL))
        return -ESTALE;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0 && group->in_flight > 0)
        group->in_flight--;
    if (has_buffer && cqe->res > 0)
        take_bytes(group, (uint16_t)id, (uint32_t)cqe->res, has_more, ret_piece);
    else if (has_buffer)
        take_nothing(group, (uint16_t)id, has_more);
    (void)fill(group);
    return cqe->res < 0 ? cqe->res : 0;
}

int jdb_uring_group_give(const jdb_uring_group *group, jdb_uring_piece *piece)
{
    if (group == NULL || piece == NULL)
        return -EINVAL;
    const jdb_uring_piece given = *piece;
    if (given.frame.ptr == NULL)
        return 0;
    if (!group_is_here(group))
        return -EPERM;
    memset(piece, 0, sizeof *piece);
    if (given.is_shared != 0) {
        (void)jdb_unpin(given.frame.ptr, 1);
        if (jdb_is_pinned(given.frame.ptr, 1))
            return 0;
    }
    const int err = jdb_pool_put(group->pool, given.frame);
    return err == -ESTALE && given.is_shared != 0 ? 0 : err; /* two threads have ended the last two pieces at once */
}

int jdb_uring_group_refill(jdb_uring_group *group)
{
    if (group == NULL)
        return -EINVAL;
    return group_is_here(group) ? (int)fill(group) : -EPERM;
}

bool jdb_uring_group_is_incremental(const jdb_uring_group *group)
{
    return group != NULL && group->is_incremental;
}

uint64_t jdb_uring_group_in_flight(const jdb_uring_group *group)
{
    return group != NULL && group_is_here(group) ? group->in_flight : 0;
}
