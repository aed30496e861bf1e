/* SPDX-License-Identifier: MIT
 *
 * plain_frames.h - for examples/buffer_pool.c compiled with this before it: the same program with what is at hand without the
 * library in place of an arena and a pool. A frame is allocated by posix_memalign(), free ones are in a list behind a mutex, a
 * frame that is evicted is used again as it is, and I/O is not registered.
 */
#ifndef BENCH_PLAIN_FRAMES_H
#define BENCH_PLAIN_FRAMES_H

#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>

#include <pthread.h>
#include <stdlib.h>

static struct plain {
    jdb_frame *frames; /* free ones */
    uint32_t free_count;
    uint32_t frame_count;
    size_t frame_size;
    size_t user_size;
    uint8_t *users;
    pthread_mutex_t lock;
} plain = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline int plain_make(const jdb_arena_options *options, jdb_arena **ret_arena)
{
    plain.frame_count = options->frame_count;
    plain.frame_size = options->frame_size;
    plain.frames = calloc(plain.frame_count, sizeof *plain.frames);
    *ret_arena = NULL;
    return plain.frames != NULL ? 0 : -ENOMEM;
}

static inline int plain_fill(const jdb_pool_options *options, jdb_pool **ret_pool)
{
    plain.user_size = options->user_size;
    plain.users = calloc(plain.frame_count, plain.user_size);
    *ret_pool = NULL;
    for (; plain.users != NULL && plain.free_count < plain.frame_count; plain.free_count++) {
        void *ptr = NULL;
        if (posix_memalign(&ptr, JDB_PAGE_SIZE, plain.frame_size) != 0)
            return -ENOMEM;
        plain.frames[plain.free_count] = (jdb_frame){ptr, plain.free_count, 0};
    }
    return plain.users != NULL ? 0 : -ENOMEM;
}

static inline int plain_get(jdb_frame *ret_frame)
{
    pthread_mutex_lock(&plain.lock);
    const int err = plain.free_count > 0 ? 0 : -EAGAIN;
    if (err == 0)
        *ret_frame = plain.frames[--plain.free_count];
    pthread_mutex_unlock(&plain.lock);
    return err;
}

static inline int plain_put(jdb_frame frame)
{
    pthread_mutex_lock(&plain.lock);
    plain.frames[plain.free_count++] = frame;
    pthread_mutex_unlock(&plain.lock);
    return 0;
}

static inline int plain_free(void)
{
    while (plain.free_count > 0)
        free(plain.frames[--plain.free_count].ptr);
    free(plain.frames);
    free(plain.users);
    return 0;
}

#define jdb_arena_new(options, ret_arena) plain_make(options, ret_arena)
#define jdb_arena_free(arena) ((void)(arena), 0)
#define jdb_pool_new(arena, options, ret_pool) plain_fill(options, ret_pool)
#define jdb_pool_free(pool) ((void)(pool), plain_free())
#define jdb_pool_get(pool, ret_frame) ((void)(pool), plain_get(ret_frame))
#define jdb_pool_put(pool, frame) ((void)(pool), plain_put(frame))
#define jdb_pool_recycle(pool, old, ret_frame) ((void)(pool), *(ret_frame) = (old), 0)
#define jdb_pool_user(pool, index) ((void)(pool), (void *)(plain.users + (index)*plain.user_size))
#define jdb_pool_view(pool, frame) ((void)(pool), jdb_raw_new((frame).ptr, plain.frame_size))
#define jdb_uring_open(ring, options, ret_uring) ((void)(ring), *(ret_uring) = NULL, 0)
#define jdb_uring_add_arena(uring, arena, options) ((void)(uring), (void)(arena), 0)

#endif
