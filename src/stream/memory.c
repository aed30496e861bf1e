/* SPDX-License-Identifier: MIT
 *
 * memory.c - options of streams; their engine and frames.
 */
#include "stream/memory.h"
#include "base/bits.h"
#include "base/check.h"
#include "base/sized.h"
#include "os/os.h"

#include <errno.h>

SIZED_FORM(stream_options_form, jdb_stream_options, 56, 112);

#define STREAM_BLOCK ((uint64_t)4096)
#define STREAM_FRAME_MAX ((uint64_t)1 << 30)
#define STREAM_FLAGS_KNOWN (uint32_t)(JDB_STREAM_BACKWARD | JDB_STREAM_READ_HOLES | JDB_STREAM_PADDED)

/* ---- Options ------------------------------------------------------------------------------------------------ */

static bool stream_options_are_valid(const jdb_stream_options *options)
{
    return (options->flags & ~STREAM_FLAGS_KNOWN) == 0 && options->offset >= 0 &&
           options->durability <= JDB_FILE_DURABLE_SYNC && options->frame_size % STREAM_BLOCK == 0 &&
           options->frame_size <= STREAM_FRAME_MAX && options->frame_count != 1;
}

int jdb__stream_read_options(const jdb_stream_options *given, jdb_stream_options *ret_options)
{
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    const int err = given != NULL ? jdb__sized_read(&stream_options_form, given, &options) : 0;
    if (err != 0)
        return err;
    if (!stream_options_are_valid(&options))
        return -EINVAL;
    *ret_options = options;
    return 0;
}

/* ---- Frames ------------------------------------------------------------------------------------------------- */

bool jdb__stream_frame_begin_get(struct stream_memory *memory)
{
    const bool may_more = memory->held_count < memory->frame_count;
    memory->held_count += may_more ? 1 : 0;
    return may_more;
}

void jdb__stream_frame_end_get(struct stream_memory *memory, int err)
{
    memory->held_count -= err != 0 ? 1 : 0;
}

int jdb__stream_frame_get_spare(struct stream_memory *memory, jdb_frame *ret_frame)
{
    if (memory->spare_count == 0)
        return -EAGAIN;
    *ret_frame = memory->spare[--memory->spare_count];
    return 0;
}

int jdb__stream_frame_get(struct stream_memory *memory, jdb_frame *ret_frame)
{
    int err = -EAGAIN;
    if (jdb__stream_frame_begin_get(memory)) {
        err = jdb_pool_get(memory->pool, ret_frame);
        jdb__stream_frame_end_get(memory, err);
    }
    return err == 0 ? 0 : jdb__stream_frame_get_spare(memory, ret_frame);
}

bool jdb__stream_frame_keep(struct stream_memory *memory, jdb_frame frame)
{
    const bool is_kept = memory->spare_count < STREAM_SPARE_COUNT;
    if (is_kept)
        memory->spare[memory->spare_count++] = frame;
    JDB_ASSERT(is_kept || memory->held_count > STREAM_SPARE_COUNT);
    memory->held_count -= is_kept ? 0 : 1;
    return is_kept;
}

void jdb__stream_frame_put(struct stream_memory *memory, jdb_frame frame)
{
    if (jdb__stream_frame_keep(memory, frame))
        return;
    const int err = jdb_pool_put(memory->pool, frame);
    JDB_ASSERT(err == 0);
    (void)err;
}

int jdb__stream_frame_leave(struct stream_memory *memory)
{
    if (memory->held_count > STREAM_SPARE_COUNT) {
        memory->held_count--;
        return 0;
    }
    JDB_ASSERT(memory->spare_count < STREAM_SPARE_COUNT); /* the one in use is not spare */
    if (jdb_pool_get(memory->pool, &memory->spare[memory->spare_count]) != 0)
        return -EAGAIN;
    memory->spare_count++;
    return 0;
}

/* ---- Objects ------------------------------------------------------------------------------------------------- */

int jdb__stream_alloc(size_t head_size, uint64_t count, size_t each_size, void **ret_object)
{
    const size_t most = (SIZE_MAX / 2 - head_size) / each_size;
    return count <= most ? jdb__os_alloc(head_size + (size_t)count * each_size, ret_object) : -ENOMEM;
}

/* ---- Open --------------------------------------------------------------------------------------------------- */

static void memory_drop_pool(struct stream_memory *memory)
{
    if (memory->arena == NULL)
        return;
    (void)jdb_pool_free(memory->pool);
    (void)jdb_engine_remove_arena(memory->engine, memory->arena);
    (void)jdb_arena_free(memory->arena);
}

static int memory_make_pool(struct stream_memory *memory)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = memory->frame_size;
    options.frame_count = memory->frame_count;
    int err = jdb_arena_new(&options, &memory->arena);
    if (err != 0)
        return err;
    err = jdb_pool_new(memory->arena, NULL, &memory->pool);
    if (err != 0) {
        (void)jdb_arena_free(memory->arena);
        memory->arena = NULL;
        return err;
    }
    (void)jdb_engine_add_arena(memory->engine, memory->arena); /* what is refused goes plain */
    return 0;
}

/* The frames of a pool may be smaller than what is asked for. */
static int memory_fit_frame(struct stream_memory *memory)
{
    const uint64_t cap = bits_round_down(jdb_pool_view(memory->pool, memory->spare[0]).cap, STREAM_BLOCK);
    if (cap == 0)
        return -EINVAL;
    memory->frame_size = bits_min(memory->frame_size, bits_min(cap, STREAM_FRAME_MAX));
    return 0;
}

static int memory_get_spare(struct stream_memory *memory)
{
    int err = jdb_pool_get_n(memory->pool, STREAM_SPARE_COUNT, memory->spare);
    if (err != 0)
        return err == -ERANGE ? -EAGAIN : err;
    err = memory_fit_frame(memory);
    if (err != 0) {
        (void)jdb_pool_put_n(memory->pool, memory->spare, STREAM_SPARE_COUNT);
        return err;
    }
    memory->spare_count = STREAM_SPARE_COUNT;
    memory->held_count = STREAM_SPARE_COUNT;
    return 0;
}

static int memory_open_engine(struct stream_memory *memory, const jdb_stream_options *options)
{
    memory->engine = options->engine;
    memory->is_engine_own = options->engine == NULL;
    if (memory->is_engine_own)
        return jdb_engine_open(NULL, &memory->engine);
    return jdb__engine_is_mine(memory->engine) ? 0 : -EPERM;
}

static uint32_t memory_count_frames(const struct stream_memory *memory, const jdb_stream_options *options)
{
    if (options->frame_count != 0)
        return options->frame_count;
    return (uint32_t)bits_min(memory->engine->depth, STREAM_FRAMES_MAX - STREAM_SPARE_COUNT) + STREAM_SPARE_COUNT;
}

int jdb__stream_memory_open(struct stream_memory *memory, const jdb_stream_options *options)
{
    *memory = (struct stream_memory){.pool = options->pool};
    int err = memory_open_engine(memory, options);
    if (err != 0)
        return err;
    memory->frame_size = options->frame_size != 0 ? options->frame_size : JDB_STREAM_FRAME_DEFAULT;
    memory->frame_count = memory_count_frames(memory, options);
    if (options->pool == NULL)
        err = memory_make_pool(memory);
    if (err == 0)
        err = memory_get_spare(memory);
    if (err == 0) {
        jdb__engine_join(memory->engine);
        return 0;
    }
    memory_drop_pool(memory);
    if (memory->is_engine_own)
        (void)jdb_engine_close(memory->engine);
    return err;
}

int jdb__stream_memory_close(struct stream_memory *memory)
{
    jdb_pool_stats stats = JDB_POOL_STATS_INIT;
    JDB_ASSERT(memory->held_count == memory->spare_count);
    if (memory->arena != NULL && jdb_pool_get_stats(memory->pool, &stats) == 0 &&
        stats.lent_count > memory->spare_count)
        return -EBUSY;
    const int err = jdb_pool_put_n(memory->pool, memory->spare, memory->spare_count);
    JDB_ASSERT(err == 0);
    (void)err;
    memory_drop_pool(memory);
    jdb__engine_leave(memory->engine);
    if (memory->is_engine_own)
        (void)jdb_engine_close(memory->engine);
    return 0;
}
