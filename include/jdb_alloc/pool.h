/* SPDX-License-Identifier: MIT
 *
 * pool.h - jdb_pool: lends the frames of an arena to the threads of a program.
 *
 * Example: read a page into a frame, waiting up to a second for one.
 *
 *     jdb_pool *pool;
 *     int err = jdb_pool_new(arena, NULL, &pool);
 *     ...
 *     jdb_frame frame;
 *     err = jdb_pool_get_wait(pool, 1, jdb_clock_ns() + 1000000000, NULL, &frame);
 *     if (err == 0) {
 *         pread(fd, frame.ptr, frame_size, offset);
 *         ...
 *         jdb_pool_put(pool, frame);
 *     }
 *     ...
 *     err = jdb_pool_free(pool);                          // -EBUSY: jdb_pool_next_lent() walks the frames
 *
 * The handle, jdb_frame, is a value: where the frame is, its number, and the generation of this lending. A put ends the
 * generation, so every copy of the handle is stale from then on. What each wrong put returns, in every build and in O(1),
 * with the pool unharmed:
 *
 *     put twice, or a handle of an earlier lending          -ESTALE
 *     a frame of another pool                               -EXDEV
 *     an index past the frames of the pool                  -ERANGE
 *     a handle that no pool gave out                        -EINVAL
 *     a frame that is pinned (pin.h) or being decommitted   -EBUSY
 *
 * Each frame has 2^30 generations or more. One that has used its last is set aside until no other frame is free. So a stale
 * handle is detected for as long as its frame was lent fewer than 2^30 times since, and beyond that for as long as the pool
 * has had another frame to lend.
 *
 * Two threads that race to put the same frame with the same handle are detected only in the checked build: release builds
 * do without an atomic read-modify-write, which would double the cost of a put. The same holds for a put that races with
 * jdb_pool_owner_take() of the same handle: the frame may then count for that owner for ever.
 *
 * Where frames are: lent, in the cache of a thread, or shared. A cache is filled and emptied by batches, half of it at a
 * time, so that a thread that gets and puts in turn stays within its cache. A get that finds its cache and the shared
 * frames empty takes frames out of other threads' caches: -EAGAIN means that every frame is lent, kept for a thread that
 * waits, or in the hands of a get of many that is about to fail. Finding that out the first time takes a barrier over all
 * threads; from then on, until frames for a cache are free again, gets and puts take a lock and caches stay empty. A thread
 * that ends returns its cache.
 *
 * Where the system has several nodes of memory (NUMA), shared frames are sorted by the node that they lie on, as move_pages(2)
 * reports it once for each frame, and a thread's cache is filled by frames of its node first, then by frames never lent, which the
 * kernel places where they are first written, then by others. A frame that a thread puts may be lent to it again from its cache,
 * whatever its node; so it is with the frames of a full pool. Runs are not chosen by node.
 *
 * A program whose pool is full evicts: jdb_pool_recycle() makes a frame that nobody uses any more a new one, in one call.
 *
 * Short of frames: a pool may make its arena grow (grow_frames), and before a wait is queued it asks the program for frames
 * (on_pressure).
 *
 * Waiting: first come, first served, over all threads and both forms (the blocking call, and the entry for event loops).
 * While anyone waits, every put serves the oldest waiter, and no get overtakes. A waiter for n frames sleeps until n
 * are free at once for it; those behind it wait for it. Put what you hold before you wait for more, or two threads
 * will wait for each other for ever. Nothing is allocated.
 *
 * Life cycle: jdb_pool_new() over an arena, jdb_pool_free() before the arena's; one pool per arena at a time. Frames
 * stay the arena's memory; the caller of a get owns a frame until it puts it. Frames of a pool are never moved.
 *
 * Threads: any thread may put what another got. Any threads may call any function at once, except jdb_pool_free().
 * Signal handlers may call none. Fork: a pool stays with the parent, its calls return -EPERM in the child.
 */
#ifndef JDB_ALLOC_POOL_H
#define JDB_ALLOC_POOL_H

#include "arena.h"
#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jdb_pool jdb_pool;
typedef struct jdb_budget jdb_budget; /* bytes that several pools share */

/* A frame lent: a value, copied freely. Fields are read-only. */
typedef struct jdb_frame {
    uint8_t *ptr;   /* first byte */
    uint32_t index; /* number of the frame in its arena */
    uint32_t gen;   /* generation: which lending of the frame this is */
} jdb_frame;

/* ---- Make and free ---------------------------------------------------------------------------------------- */

/* Which bytes of a frame are set to zero before it is lent, so that no old data reaches a disk. With NEVER a frame that was
 * not lent before reads as zero too, unless its memory came from outside: adopted, or the memfd of another process
 * (jdb_arena_map_fd()), or put by an earlier pool over the arena. */
#define JDB_POOL_ZERO_NEVER 0u /* none: the frame holds what was last written to it */
#define JDB_POOL_ZERO_TAIL \
    1u /* the bytes from the frame's size to its stride, that a write of whole blocks takes along */
#define JDB_POOL_ZERO_ALWAYS 2u /* the whole stride */

/* Options of a pool. size = sizeof(jdb_pool_options); 0 in a field means the default. */
typedef struct jdb_pool_options {
    uint32_t size;          /* bytes of this struct, as the caller knows it */
    uint32_t zero_policy;   /* JDB_POOL_ZERO_x */
    uint32_t thread_frames; /* most frames that a thread's cache keeps, rounded down to an even number, 2 to 64; default
                             * 64, or an eighth of the frames where that is less */
    uint32_t user_size;     /* bytes of the caller's own for each frame, see jdb_pool_user(); at most 4096. Since 0.2 */
    /* Called on the thread of a wait for frame_count frames that is about to be queued, without a lock held; what it puts,
     * and what others put meanwhile, is looked at before the wait is queued. It may call all but jdb_pool_free(); a wait that
     * it begins itself does not call it. Since 0.2 */
    void (*on_pressure)(jdb_pool *pool, uint32_t frame_count, void *user);
    void *pressure_user; /* the caller's. Since 0.2 */
    uint32_t
        grow_frames; /* where too few frames are free, a get or wait first grows the arena, by so many frames or by what
                           * is wanted where that is more, as long as it is below max_frame_count; 0: never. Since 0.2 */
    jdb_budget *budget; /* that the memory of its frames counts for, see jdb_budget_new(); NULL: none. Since 0.2 */
    uint32_t reserved[4];
} jdb_pool_options;

#ifdef __cplusplus
#define JDB_POOL_OPTIONS_INIT                                        \
    ([] {                                                            \
        jdb_pool_options init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_pool_options)); \
        return init;                                                 \
    }())
#else
#define JDB_POOL_OPTIONS_INIT ((jdb_pool_options){.size = sizeof(jdb_pool_options)})
#endif

/* jdb_pool_new - a pool that lends all frames of an arena.
 *
 * arena: stays the caller's, and must outlive the pool. options: NULL for the defaults.
 * Returns 0 and *ret_pool, which the caller frees; -EINVAL: NULL, size too small, an unknown zero_policy or user_size above
 * 4096; -E2BIG: an option this version does not know is set; -EBUSY: another pool lends this arena; -EPERM: the arena stayed with the
 * parent of a fork; -ENOMEM. With a budget also:
 *   -EINVAL   the arena's stride is no multiple of the system's page
 *   -EBUSY    a frame is pinned, or held by a ring (jdb_arena_hold())
 *   -EPERM    the budget stayed with the parent of a fork
 *   -ENOTSUP  the arena's memory cannot be given back (pages other than JDB_ARENA_PAGES_NONE, foreign memory, and as
 *             jdb_arena_decommit()), is there before it is counted (PREFAULT), or is another process's too (jdb_arena_map_fd())
 * Costs 41 bytes for each frame of the arena's maximum (up to 49 with a small thread_frames), one more where the system has several
 * nodes of memory, and user_size; they become resident as frames are used. Any thread. Since 0.1. */
JDB_API int jdb_pool_new(jdb_arena *arena, const jdb_pool_options *options, jdb_pool **ret_pool);

/* jdb_pool_extend - lend the frames too that the arena has grown by since; waiters are served.
 *
 * Returns 0 and *ret_frame_count, the frames of the pool now (may be NULL); -EPERM; -EINVAL: NULL. Since 0.1. */
JDB_API int jdb_pool_extend(jdb_pool *pool, uint32_t *ret_frame_count);

/* jdb_pool_user - the caller's own memory of a frame: user_size bytes, rounded up to a multiple of 8. O(1).
 *
 * index: of the frame in its arena, below max_frame_count. The memory is zero at first. Get, put and recycle leave it alone:
 * what it says about the frame is the caller's, and so is the order in which threads access it.
 * Returns the memory, aligned to 8 (to 64 where the size is a multiple of 64), good until jdb_pool_free(); NULL: the pool was
 * made without, no such frame, NULL, or in a child of fork(). Any thread. Since 0.2. */
JDB_API void *jdb_pool_user(const jdb_pool *pool, uint32_t index);

/* jdb_pool_free - close the pool. The arena keeps its memory.
 *
 * Returns 0, the pool is gone; -EBUSY: frames are lent (jdb_pool_next_lent() walks them), somebody waits, or an owner
 * (jdb_pool_owner_new()) is not freed, and the pool lives on; -EPERM. NULL is accepted. No other thread may use the pool during the call. Since 0.1. */
JDB_API int jdb_pool_free(jdb_pool *pool);

/* jdb_pool_trim - give the memory of free frames back to the system, but for keep_count of them, about those put last.
 *
 * They stay the pool's, and read as zero when they are lent next. Frames never lent are not visited, and frames that a ring
 * holds (jdb_arena_hold()) keep their memory. *ret_bytes (may be NULL): bytes of the whole pages given back, resident before
 * or not. While anyone waits every free frame is kept for a waiter: 0 bytes. While anyone waits in another pool of its budget, more
 * than keep_count allows goes to that wait, and is not counted here.
 * Returns 0; -ENOTSUP as jdb_arena_decommit(); -EBUSY: another thread trims the pool; -EPERM; -EINVAL: NULL. On an error a part
 * may have been given back. Meanwhile gets and puts take a lock, and up to 256 free frames at a time are not found by a get
 * (-EAGAIN); a wait gets them. Any thread, not in a callback of jdb_arena_grow(). Since 0.2. */
JDB_API int jdb_pool_trim(jdb_pool *pool, uint32_t keep_count, uint64_t *ret_bytes);

/* jdb_pool_next_lent - walk the frames that are lent: handles as their getters have them.
 *
 *     uint32_t cursor = 0;
 *     while (jdb_pool_next_lent(pool, &cursor, &frame))
 *         ...
 *
 * Returns false at the end (and in a child of fork()), *ret_frame untouched. While others get and put, each answer was true
 * at some moment. Any thread. Since 0.1. */
JDB_API bool jdb_pool_next_lent(const jdb_pool *pool, uint32_t *cursor, jdb_frame *ret_frame);

/* ---- Get and put ------------------------------------------------------------------------------------------ */

/* jdb_pool_get - one frame, without waiting.
 *
 * Returns 0 and *ret_frame, which the caller owns until it puts it; -EAGAIN: every frame is lent or kept for a
 * waiter, and the arena did not grow; -ERANGE: the pool has no frames yet and does not grow; -EPERM; -EINVAL: NULL. Any thread. Since 0.1. */
JDB_API int jdb_pool_get(jdb_pool *pool, jdb_frame *ret_frame);

/* jdb_pool_get_n - frame_count frames at once, or none.
 *
 * ret_frames: room for frame_count handles, untouched on failure. They need not be neighbours. Since 0.1.
 * Returns as jdb_pool_get(); -ERANGE: more than the pool has or may grow to. Of 0 frames: 0, whatever the pool. */
JDB_API int jdb_pool_get_n(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames);

/* jdb_pool_view - the memory of a frame that is lent, as a view to read into: len 0, cap = the arena's frame_size. O(1).
 *
 * Returns the view; an empty one (ptr NULL) where jdb_pool_put() would refuse the handle (a pin aside), where the frame is
 * not lent by it, and for a NULL pool. The view is good until the frame is put. Any thread. Since 0.2. */
JDB_API jdb_raw jdb_pool_view(const jdb_pool *pool, jdb_frame frame);

/* jdb_pool_put - give a frame back; a waiter gets it at once, and its callback runs on the calling thread.
 *
 * Returns 0, the frame is the pool's; or -ESTALE, -EXDEV, -ERANGE, -EINVAL, -EBUSY as in the table above, -EPERM: nothing
 * changed. Any thread. Since 0.1. */
JDB_API int jdb_pool_put(jdb_pool *pool, jdb_frame frame);

/* jdb_pool_put_n - give frame_count frames back, or none: the error is that of the first wrong one (the same frame
 * named twice is -ESTALE). Any thread. Since 0.1. */
JDB_API int jdb_pool_put_n(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

/* jdb_pool_recycle - put a frame and get the same one at once, as a new lending: for a program that evicts what the frame
 * held and reuses it. Every copy of the handle `old` is stale from then on.
 *
 * The frame is never free in between: no waiter is served by it, and the call does not fail for want of a frame. Zeroed as
 * the policy says. A frame that ends its last generation starts anew: stale handles of a frame are detected for as long as
 * it was lent fewer than 2^30 times since.
 * Returns 0 and *ret_frame (may be the memory that `old` was copied from), which has the same ptr and index; the errors of
 * jdb_pool_put(): nothing changed. Counts as neither got nor put. Any thread. Since 0.2. */
JDB_API int jdb_pool_recycle(jdb_pool *pool, jdb_frame old, jdb_frame *ret_frame);

/* ---- Runs ------------------------------------------------------------------------------------------------- */

/* jdb_pool_get_run - frame_count neighbouring frames at once, or none: memory for one large read or write.
 *
 * ret_frames: room for frame_count handles, untouched on failure; they come in the order of the frames, index by index. Each is
 * a handle as of any get: frames of a run are put one by one or together, recycled and pinned as others.
 * A run is looked for among all free frames. Those in the caches of threads, and in batches, are gathered only where no run
 * is found without them, which takes a barrier over all threads and as long as there are free frames in them. Gets and puts of
 * single frames mix the order of free frames, so in a pool that has been full few runs are left: a program that needs them keeps its
 * runs together, by jdb_pool_put_run(), or has a pool for them.
 * Returns 0;
 *   -EAGAIN  fewer than frame_count frames are free, or all are kept for a waiter, and the arena did not grow: put some
 *   -ENOMEM  as many are free, but they are no neighbours: move the data in parts (jdb_pool_get_n() and a vectored call), or
 *            evict the frames between two free ones. Of the free frames that gave their memory back for a budget, only
 *            frame_count are tried
 *   -ERANGE  more than the pool has or may grow to; -EPERM; -EINVAL: NULL
 * Of 0 frames: 0. There is no wait for a run. Takes the pool's lock. Any thread. Since 0.2. */
JDB_API int jdb_pool_get_run(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames);

/* jdb_pool_put_run - jdb_pool_put_n() past the cache of the thread: the frames are where the next jdb_pool_get_run() looks
 * first.
 *
 * They need be no neighbours. Returns as jdb_pool_put_n(). Takes the pool's lock. Any thread. Since 0.2. */
JDB_API int jdb_pool_put_run(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

/* jdb_pool_view_run - the memory of neighbouring frames that are lent, as one view to read into: len 0, cap = (frame_count - 1) *
 * stride + frame_size. O(frame_count).
 *
 * frames: handles in the order of the frames, however they were got; a program that writes dirty frames back, sorted by their index,
 * has one write for those that follow each other. Where frame_size is no multiple of the alignment, the bytes between two frames
 * are part of the view.
 * Returns the view; an empty one (ptr NULL) where two are no neighbours, or where jdb_pool_view() returns an empty one for a
 * frame. The view is good until one of the frames is put. Any thread. Since 0.2. */
JDB_API jdb_raw jdb_pool_view_run(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

/* ---- Owners ----------------------------------------------------------------------------------------------- */

/* An owner is a part of the program (a query, a tenant, a table) whose frames are counted, and may be no more than a maximum. A
 * frame counts for its owner from jdb_pool_owner_get() or jdb_pool_owner_take() until it is put, by whatever call: the put
 * finds the owner. Recycled, it goes on counting. Frames without an owner cost nothing more in a pool with owners. */
typedef struct jdb_pool_owner jdb_pool_owner;

/* jdb_pool_owner_new - an owner of up to max_frame_count frames of a pool (UINT32_MAX: no maximum).
 *
 * The maxima of all owners may add up to more than the pool has: nothing is set apart.
 * Returns 0 and *ret_owner, which the caller frees before the pool; -ENOMEM; -EPERM; -EINVAL: NULL. Any thread. Since 0.2. */
JDB_API int jdb_pool_owner_new(jdb_pool *pool, uint32_t max_frame_count, jdb_pool_owner **ret_owner);

/* jdb_pool_owner_free - end an owner that has no frames. NULL is accepted.
 *
 * Returns 0, it is gone; -EBUSY: frames count for it (jdb_pool_owner_next() walks them); -EPERM. No other thread may use the owner
 * during the call. Since 0.2. */
JDB_API int jdb_pool_owner_free(jdb_pool_owner *owner);

/* jdb_pool_owner_set_max - another maximum. Below what the owner has: it gets none until it has fewer.
 *
 * Returns 0; -EPERM; -EINVAL: NULL. Any thread. Since 0.2. */
JDB_API int jdb_pool_owner_set_max(jdb_pool_owner *owner, uint32_t max_frame_count);

/* jdb_pool_owner_get - jdb_pool_get_n() for an owner: frame_count frames at once, or none.
 *
 * Returns as that, and -EDQUOT: the owner would have more than its maximum, though the pool may have free ones: it has to put
 * some of its own. ret_frames is untouched on failure. Any thread. Since 0.2. */
JDB_API int jdb_pool_owner_get(jdb_pool_owner *owner, uint32_t frame_count, jdb_frame *ret_frames);

/* jdb_pool_owner_take - count frames for an owner that were got without: by a wait, or as a run. All of them or none.
 *
 * frames: handles of frames that are lent and have no owner yet; the handles stay as they are.
 * Returns 0; -EDQUOT as above; -EXDEV: a frame has an owner, this one or another; -ESTALE: it was put; -EINVAL: NULL, or no frame
 * of the pool; -EPERM. On an error they stay lent without. Any thread. Since 0.2. */
JDB_API int jdb_pool_owner_take(jdb_pool_owner *owner, const jdb_frame *frames, uint32_t frame_count);

/* jdb_pool_owner_next - walk the frames of an owner, as jdb_pool_next_lent() walks all: to put what an ended query left.
 *
 * Returns false at the end, *ret_frame untouched. Looks at all frames that were ever lent. Any thread. Since 0.2. */
JDB_API bool jdb_pool_owner_next(const jdb_pool_owner *owner, uint32_t *cursor, jdb_frame *ret_frame);

/* Counts of an owner, always on. Set size before the call. */
typedef struct jdb_pool_owner_stats {
    uint32_t size;            /* bytes of this struct, as the caller knows it */
    uint32_t frame_count;     /* frames that count for it now */
    uint32_t max_frame_count; /* its maximum */
    uint32_t peak_count;      /* most frames that it had at once, when it had got some */
    uint64_t got_count;       /* frames that it got or took */
    uint64_t refused_count;   /* calls that returned -EDQUOT */
    uint64_t reserved[4];
} jdb_pool_owner_stats;

#ifdef __cplusplus
#define JDB_POOL_OWNER_STATS_INIT                                        \
    ([] {                                                                \
        jdb_pool_owner_stats init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_pool_owner_stats)); \
        return init;                                                     \
    }())
#else
#define JDB_POOL_OWNER_STATS_INIT ((jdb_pool_owner_stats){.size = sizeof(jdb_pool_owner_stats)})
#endif

/* jdb_pool_owner_get_stats - fill the fields that stats->size covers. Returns 0; -EPERM; -EINVAL: NULL or size too small. Any
 * thread. Since 0.2. */
JDB_API int jdb_pool_owner_get_stats(const jdb_pool_owner *owner, jdb_pool_owner_stats *stats);

/* ---- Budgets ---------------------------------------------------------------------------------------------- */

/* Several pools, say one for each size of frame, share one budget of bytes. A frame counts, stride bytes, from when a get first finds
 * it (a batch of frames, half of thread_frames, comes to the cache of a thread at once) until its memory is given back to the system,
 * lent or free; other frames never lent count nothing. Where a get or wait would exceed the budget, the other pools give back the
 * memory of free frames, about those put longest ago, a batch or more at a time. No get or wait makes frames count beyond the
 * budget; more count only after jdb_budget_set_max() made it smaller. A get that caches and batches serve knows nothing of it and
 * costs what it does without. What is lent stays lent: a pool whose frames others shall have evicts them, by a signal of the program's
 * own (-EAGAIN of a get, on_pressure).
 *
 * While a wait is queued in one of the pools, gets and puts of all of them take a lock, and each put gives its frame's memory
 * back for the wait where the wait is another pool's: it is served as soon as there are bytes enough and frames enough of its pool,
 * on the thread that put, or whose get, wait or trim made a pool give back. Waits of two pools are not in one order. A wait is for one
 * frame (more: -ENOTSUP), or two pools could wait with a part each of what the other lacks. Callbacks do not free a pool of the
 * budget. What a queued wait lacks is kept for it, where its pool has a frame: a get of another pool that would take it returns -EAGAIN.
 * So does a get whose bytes those of other threads take again and again, 64 times. */

/* jdb_budget_new - a budget of max_bytes, for jdb_pool_options.budget of jdb_pool_new(), which says what arenas it is for.
 *
 * A pool with a budget gives back the memory that its arena has, first: the content of its frames is lost, but where jdb_pool_new()
 * fails. Frames that a ring holds (jdb_arena_hold()) once the pool is made keep their memory, and count.
 * Returns 0 and *ret_budget, which the caller frees after its pools; -ENOMEM; -EINVAL: NULL. Any thread. Since 0.2. */
JDB_API int jdb_budget_new(uint64_t max_bytes, jdb_budget **ret_budget);

/* jdb_budget_free - end a budget. NULL is accepted.
 *
 * Returns 0, it is gone; -EBUSY: pools have it; -EPERM: in a child of fork(). No other thread may use it during the call.
 * Since 0.2. */
JDB_API int jdb_budget_free(jdb_budget *budget);

/* jdb_budget_set_max - another maximum. A larger one serves those who wait. With a smaller one the pools give back the memory of
 * free frames; where lent ones exceed it nothing is got for the first time until enough was put and given back (jdb_pool_trim(), or
 * this call again).
 *
 * Returns 0; -EPERM; -EINVAL: NULL. Any thread; callbacks of waits may run on it. Since 0.2. */
JDB_API int jdb_budget_set_max(jdb_budget *budget, uint64_t max_bytes);

/* Counts of a budget. Set size before the call. */
typedef struct jdb_budget_stats {
    uint32_t size;       /* bytes of this struct, as the caller knows it */
    uint32_t pool_count; /* pools that have it */
    uint64_t max_bytes;
    uint64_t used_bytes;    /* of the frames that count */
    uint64_t peak_bytes;    /* most that were used at once */
    uint64_t wanted_bytes;  /* of the waits in all pools */
    uint64_t taken_bytes;   /* given back by pools for others, or for a smaller maximum */
    uint64_t refused_count; /* gets for which the other pools had too little to give */
    uint64_t reserved[4];
} jdb_budget_stats;

#ifdef __cplusplus
#define JDB_BUDGET_STATS_INIT                                        \
    ([] {                                                            \
        jdb_budget_stats init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_budget_stats)); \
        return init;                                                 \
    }())
#else
#define JDB_BUDGET_STATS_INIT ((jdb_budget_stats){.size = sizeof(jdb_budget_stats)})
#endif

/* jdb_budget_get_stats - fill the fields that stats->size covers. Returns 0; -EPERM; -EINVAL: NULL or size too small. Any
 * thread. Since 0.2. */
JDB_API int jdb_budget_get_stats(jdb_budget *budget, jdb_budget_stats *stats);

/* ---- Wait ------------------------------------------------------------------------------------------------- */

/* A wait-queue entry. Owned by the caller, who keeps it in place while it is queued. All of its fields but the first two
 * are private. */
typedef struct jdb_pool_wait {
    void (*on_frames)(struct jdb_pool_wait *wait); /* NULL: for the blocking call */
    void *user;                                    /* the caller's */
    jdb_frame *frames;
    struct jdb_pool_wait *next;
    struct jdb_pool_wait *previous;
    uint32_t frame_count;
    uint32_t state;
    uint32_t is_cancelled;
    uint32_t reserved32;
    uint64_t token; /* of the pool it is queued in, or 0 */
    uint64_t reserved[3];
} jdb_pool_wait;

/* Nanoseconds of the clock that deadlines are read on: CLOCK_MONOTONIC. Since 0.1. */
JDB_API uint64_t jdb_clock_ns(void);

#define JDB_DEADLINE_NONE UINT64_MAX

/* jdb_pool_get_wait - frame_count frames, waiting for them where needed.
 *
 * deadline_ns: a moment of jdb_clock_ns(), or JDB_DEADLINE_NONE; with one that has passed the call does not sleep.
 * wait: an entry for jdb_pool_wait_cancel() by another thread, initialised with on_frames NULL; NULL when nobody cancels.
 * Returns 0 and the frames; -ETIMEDOUT: not before the deadline; -ECANCELED; -ERANGE: more than the pool has; -ENOTSUP:
 * more than one frame of a pool with a budget; -EPERM; -EINVAL: NULL, or wait is queued or has a callback. ret_frames is untouched on failure. Since 0.1. */
JDB_API int jdb_pool_get_wait(jdb_pool *pool, uint32_t frame_count, uint64_t deadline_ns, jdb_pool_wait *wait,
                              jdb_frame *ret_frames);

/* jdb_pool_wait_init - make an entry ready. on_frames: called once when the frames are there, on the thread whose call brought the
 * last of them (a put; in pools with a budget also a get, wait, trim or free of another of them), without a lock held: it may call every
 * function of the pool but jdb_pool_get_wait(), as other callbacks of that thread come after it. Since 0.1. */
JDB_API void jdb_pool_wait_init(jdb_pool_wait *wait, void (*on_frames)(jdb_pool_wait *wait), void *user);

/* jdb_pool_wait_start - frame_count frames at once, or a callback when they are there: for event loops.
 *
 * wait and ret_frames stay the caller's and in place until the callback has begun or the cancel has returned 0.
 * Returns 0: the frames are in ret_frames, no callback will come; -EAGAIN: queued; -ECANCELED: jdb_pool_wait_cancel() came
 * first; -ERANGE, -ENOTSUP, -EPERM as above; -EINVAL: NULL, queued already (here or in another pool), or without a callback. Since
 * 0.1. */
JDB_API int jdb_pool_wait_start(jdb_pool *pool, jdb_pool_wait *wait, uint32_t frame_count, jdb_frame *ret_frames);

/* jdb_pool_wait_cancel - end a wait: on a timer, on shutdown.
 *
 * Returns 0: it was removed from the queue: its callback will not come, its blocking call returns -ECANCELED;
 * -ESTALE: it was not queued, see below; -EXDEV: it is queued in another pool, and nothing changed; -EPERM; -EINVAL: NULL.
 * After 0 and -ESTALE the entry stays cancelled: the next start or blocking call with it returns -ECANCELED until
 * jdb_pool_wait_init(), so that a cancel that comes too early is not lost.
 *
 * What ends after -ESTALE depends on what the entry was at that moment:
 *   not started, or over    nothing: the entry and its frames are the caller's
 *   start returned -EAGAIN  its frames were handed over: the callback comes once, or has come, on the thread that put. The entry and
 *                           ret_frames stay in place until it has begun; the frames are the callback's, to put
 *   a start that runs       it returns 0 with frames, or -ECANCELED without; if -EAGAIN, it was queued, and served, before the cancel:
 *                           the callback comes
 *   a blocking call         it returns 0 with frames, and -ECANCELED or -ETIMEDOUT without
 * So a program that ends its waits cancels each, and waits for the callback of those that are -ESTALE and have not had one.
 * Any thread. Since 0.1. */
JDB_API int jdb_pool_wait_cancel(jdb_pool *pool, jdb_pool_wait *wait);

/* ---- Read ------------------------------------------------------------------------------------------------- */

/* Counts, always on. Set size before the call. They are exact while no other thread uses the pool; else a put may be
 * counted whose get is not yet. */
typedef struct jdb_pool_stats {
    uint32_t size;             /* bytes of this struct, as the caller knows it */
    uint32_t frame_count;      /* frames of the pool */
    uint32_t lent_count;       /* of them lent */
    uint32_t cached_count;     /* of them in caches of threads */
    uint32_t thread_count;     /* threads that have a cache */
    uint32_t waiter_count;     /* waiting at present */
    uint64_t got_count;        /* frames lent since jdb_pool_new() */
    uint64_t put_count;        /* frames put */
    uint64_t empty_count;      /* gets, and first tries of waits, that found too few frames */
    uint64_t refused_count;    /* puts that returned an error */
    uint64_t batch_count;      /* times a cache was filled from shared frames, tried to be, or was emptied to them */
    uint64_t steal_count;      /* times a cache was emptied for another thread */
    uint64_t wait_count;       /* waits that were queued */
    uint64_t timeout_count;    /* of them ended by their deadline */
    uint64_t cancel_count;     /* of them cancelled */
    uint64_t lateness_max_ns;  /* longest time between a deadline, or a call past it, and the end of the wait */
    uint64_t aside_count;      /* frames set aside, as they have used their last generation */
    uint64_t recycle_count;    /* frames recycled */
    uint64_t grow_count;       /* times that a get or wait made the arena grow */
    uint64_t grow_err;         /* errno (positive) of the last growth that was refused; 0: none was */
    uint64_t pressure_count;   /* calls of on_pressure */
    uint64_t run_count;        /* runs lent. Since 0.2, as the next one */
    uint64_t fragmented_count; /* gets of a run that found frames enough, and no neighbours enough */
    uint64_t bare_count;       /* free frames without memory, which the budget does not count */
    uint64_t
        grow_wanted_count; /* frames that the arena was to have by the growth of grow_err; jdb_arena_get_report() says why it was refused */
    uint64_t far_count; /* times a cache was filled by frames of another node of memory; 0 where there is one node */
    uint64_t reserved[3];
} jdb_pool_stats;

#ifdef __cplusplus
#define JDB_POOL_STATS_INIT                                        \
    ([] {                                                          \
        jdb_pool_stats init{};                                     \
        init.size = static_cast<uint32_t>(sizeof(jdb_pool_stats)); \
        return init;                                               \
    }())
#else
#define JDB_POOL_STATS_INIT ((jdb_pool_stats){.size = sizeof(jdb_pool_stats)})
#endif

/* jdb_pool_get_stats - fill the fields that stats->size covers. Returns 0; -EPERM; -EINVAL: NULL or size too small.
 * Any thread; takes the pool's lock. Since 0.1. */
JDB_API int jdb_pool_get_stats(jdb_pool *pool, jdb_pool_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
