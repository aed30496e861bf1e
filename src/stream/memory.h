/* SPDX-License-Identifier: MIT
 *
 * memory.h - the engine and the frames of one stream: its own, or shared with others.
 *
 * A stream holds at most frame_count frames. Two of them (`spare`) it never gives back to a shared pool, so that it can always
 * make progress, whatever others hold; a frame that is put fills the spare ones first.
 */
#ifndef JDB_STREAM_MEMORY_H
#define JDB_STREAM_MEMORY_H

#include "stream/engine.h"

#define STREAM_SPARE_COUNT 2u
#define STREAM_FRAMES_MAX 64u /* by default */

struct stream_memory {
    jdb_engine *engine;
    jdb_pool *pool;
    jdb_arena *arena; /* of an own pool, or NULL */
    bool is_engine_own;
    uint64_t frame_size;
    uint32_t frame_count; /* most frames held */
    uint32_t held_count;  /* spare ones included */
    uint32_t spare_count;
    jdb_frame spare[STREAM_SPARE_COUNT];
};

/* The caller's options (may be NULL), checked; defaults that depend on the engine are left to jdb__stream_memory_open(). */
int jdb__stream_read_options(const jdb_stream_options *given, jdb_stream_options *ret_options);

/* On failure nothing is left. */
int jdb__stream_memory_open(struct stream_memory *memory, const jdb_stream_options *options);

/* Every frame has been put, and nothing is in flight. -EBUSY: frames of an own pool are lent to the caller; nothing is
 * closed. */
int jdb__stream_memory_close(struct stream_memory *memory);

/* -EAGAIN: the stream has its frames, or the pool has none. */
int jdb__stream_frame_get(struct stream_memory *memory, jdb_frame *ret_frame);
void jdb__stream_frame_put(struct stream_memory *memory, jdb_frame frame);

/* The same in parts, for a stream with a lock. Without it: jdb_pool_get(), which may make the arena grow, and jdb_pool_put(),
 * which calls those that wait for a frame.
 *   begin_get   whether to ask the pool for a frame; end_get() follows
 *   end_get     err: of the pool
 *   get_spare   -EAGAIN: there is none
 *   keep        the frame is a spare one; false: it has left the stream, to be put into the pool */
bool jdb__stream_frame_begin_get(struct stream_memory *memory);
void jdb__stream_frame_end_get(struct stream_memory *memory, int err);
int jdb__stream_frame_get_spare(struct stream_memory *memory, jdb_frame *ret_frame);
bool jdb__stream_frame_keep(struct stream_memory *memory, jdb_frame frame);

/* A zeroed object with an array at its end. -ENOMEM: also a size that no memory has. */
int jdb__stream_alloc(size_t head_size, uint64_t count, size_t each_size, void **ret_object);

/* A frame that is in use is the caller's from now on. -EAGAIN: it is one of the last two, and the pool has no other. */
int jdb__stream_frame_leave(struct stream_memory *memory);

#endif
