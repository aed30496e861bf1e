/* SPDX-License-Identifier: MIT
 *
 * pool.h - a pool from the inside. Floor 4: for pool.c, pool_cache.c and pool_wait.c.
 *
 * A free frame is in one of these places, named by its number; links stand outside the frames:
 *
 *   cache of a thread   an array; the owner takes and puts at its end without an atomic read-modify-write
 *   batches             shared, without a lock (pool_batches.h)
 *   loose               a list under the pool's lock: what is no whole batch, and what is kept for waiters
 *
 * Locks: the list of all pools (pool_cache.c), then the pool's own lock (fork.h). Neither is taken by a get or put that
 * its cache and the batches can serve.
 *
 * The cache of a thread is guarded by a biased lock. Its owner enters by storing `busy` and loading `attention`; another
 * thread, holding the pool's lock, stores REVOKED there, makes a barrier, and waits until `busy` is 0: from then on the cache
 * is guarded by the pool's lock, until REVOKED is cleared under it. One of the two must see the other's store, because a
 * barrier stands between store and load on both sides: the owner's is the system's membarrier call that the other
 * thread makes for both. `busy` is set for a few instructions and never over a lock or system call. Where the system has
 * no membarrier, caches stay revoked for good: every get and put goes to the lock, and works.
 *
 * Who waits revokes all caches first and then looks at all places again, before it sleeps. So either a put is seen by
 * that look, or the put sees `attention` and goes to the pool's lock, where it finds the waiter: no wake-up is lost.
 * While anyone waits all free frames are loose. test/pool.pml is the model of this and of the batches.
 *
 * Memory model: `busy` is cleared by release and read by acquire, `attention` likewise, so the cache's plain words go from
 * owner to thief and back with them. Words of frames (frames.h) are stored by whoever owns the frame at the moment, and go
 * from thread to thread with the places above.
 *
 * Generations. That of a frame grows by one with each lending, and has POOL_LENT besides while it is lent. It does not
 * wrap: a frame whose last generation (POOL_LAST) ends is set aside, with generation 0, and begins anew only when no other
 * frame is free. No frame is set aside while anyone waits. A pool begins where the last pool over its arena ended, so that
 * handles of that one are stale in it.
 *
 * Fork: in a child the token is 0, so no cache matches it, the slow path sees the 0 and returns -EPERM. The pool lies in
 * memory that the kernel wipes in a child; where it cannot, for one pool or for all, the handler of fork() stores the 0. So
 * the list of pools lies outside of that memory.
 */
#ifndef JDB_POOL_H
#define JDB_POOL_H

#include "base/check.h"
#include "os/fork.h"
#include "jdb_alloc/pool.h"
#include "pool/batches.h"

#define CACHE_FRAMES_MAX (2 * BATCH_MAX)
#define CACHE_SLOTS 16u
#define CACHE_GOT (UINT64_C(1) << 8) /* one frame got, in the state of a cache; below it the frames in the cache */
#define POOL_GEN (UINT64_C(1) << 32)
#define POOL_LENT UINT32_C(0x80000000)
#define POOL_LAST UINT32_C(0xffffffff) /* of a handle */
#define POOL_SEED_MAX (UINT32_C(1) << 30)
#define NO_FRAME UINT32_MAX
_Static_assert(CACHE_FRAMES_MAX <= UINT8_MAX, "the frames of a cache are counted below those got from it");

#define ATTENTION_REVOKED 1u /* the cache is guarded by the pool's lock */
#define ATTENTION_ZERO 2u    /* a frame got has to be zeroed */

struct pool_thread;

/* The cache that a thread has in a pool. Made by the thread's first slow call, kept by the pool for the next thread when it
 * ends, freed with the pool. */
struct pool_cache {
    _Alignas(64) _Atomic uint32_t busy;
    _Atomic uint32_t attention; /* why the fast paths may not serve; its bits are ATTENTION_x */
    _Atomic uint64_t state;     /* frames in it, and above them frames got from it (CACHE_GOT), so that a get stores one
                                 * word; by who holds the biased lock, a load by others is a hint */
    uint32_t limit;             /* twice the batch size */
    uint32_t reserved32;
    _Atomic uint64_t
        moved_count; /* frames that left it other than by a get, less those that came other than by a put */
    _Atomic uint64_t batch_count;
    uint64_t items[CACHE_FRAMES_MAX]; /* free frames: number, and generation above it (POOL_GEN), as in a handle */
    struct pool_thread *owner;        /* NULL: of a thread that ended. Under the pool's lock */
    struct pool_cache *next;
    void *memory;
};

/* What a thread knows: where its cache is in the pools it used last. A token is given once, so a slot of a pool that is
 * gone matches no other, whatever its address. */
struct pool_slot {
    uint64_t token;
    struct pool_cache *cache; /* not NULL where the token is that of a pool */
};

struct pool_thread {
    struct pool_slot slots[CACHE_SLOTS];
    struct jdb_pool_wait *served; /* waiters whose callbacks this thread still has to call, oldest first */
    bool is_serving;
};

/* Of the pool that the calling thread used last. Initial-exec, as a call through __tls_get_addr would cost as much as the
 * rest of a get. */
#if defined(__GNUC__) || defined(__clang__)
extern _Thread_local struct pool_slot jdb__pool_last __attribute__((tls_model("initial-exec")));
#else
extern _Thread_local struct pool_slot jdb__pool_last;
#endif

/* Where frames are and how they stand. Constant after jdb_pool_new(). */
struct pool_frames {
    uint8_t *base; /* frame i is at base + i * stride */
    size_t stride;
    _Atomic uint32_t *gens;       /* per frame; 0: never lent, or set aside */
    const _Atomic uint32_t *pins; /* per frame: 0, or the kernel may touch it; the arena's */
};

struct jdb_pool {
    /* Constant after jdb_pool_new(), but for frame_count, which only grows. */
    uint64_t token; /* 0 in a child of fork() */
    uint32_t slot;  /* of struct pool_thread */
    _Atomic uint32_t frame_count;
    struct pool_frames frames;
    uint32_t gen_seed; /* generation of a frame that begins, 1 or more */
    uint32_t max_count;
    uint32_t cache_limit;
    uint32_t attention; /* of a cache that is not revoked */
    size_t zero_offset; /* what is zeroed of a frame that is lent again */
    size_t zero_size;
    bool has_membarrier;
    jdb_arena *arena;
    uint32_t *links; /* per frame, while it is loose or being gathered: the next one, or NO_FRAME */
    size_t map_size; /* bytes of the mapping that this struct is the start of */

    struct batches batches;

    /* Under the lock. */
    _Alignas(64) struct lock lock;
    uint32_t loose;
    uint32_t loose_count;
    uint32_t aside; /* frames set aside, the longest so first; linked as loose ones are */
    uint32_t last_aside;
    uint32_t aside_count;
    struct pool_cache *caches;
    jdb_pool_wait *first_wait; /* oldest */
    jdb_pool_wait *last_wait;
    uint32_t waiter_count;
    uint64_t got_count; /* by threads without a cache, and for waiters */
    uint64_t put_count;
    uint64_t empty_count;
    uint64_t steal_count;
    uint64_t wait_count;
    uint64_t timeout_count;
    uint64_t cancel_count;
    uint64_t lateness_max_ns;
    _Atomic uint64_t refused_count;
};

static inline uint32_t pool_frame_count(const jdb_pool *pool)
{
    return atomic_load_explicit(&pool->frame_count, memory_order_relaxed);
}

/* A free frame as caches keep it, so that a get need not look its generation up: its number, and above it the generation
 * of its next handle without POOL_LENT. */
static inline uint64_t pool_free_item(const struct pool_frames *frames, uint32_t index)
{
    return index + atomic_load_explicit(&frames->gens[index], memory_order_relaxed) * POOL_GEN;
}

/* ---- The biased lock -------------------------------------------------------------------------------------- */

/* Whether jdb__pool_last is of this pool, and has the calling thread's cache in it. */
static inline bool pool_is_last(const jdb_pool *pool)
{
    return JDB_LIKELY(jdb__pool_last.token == pool->token);
}

static inline void pool_cache_leave(struct pool_cache *cache)
{
    atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* By the owner. False: one of the bits asked about needs attention, the owner is not inside. */
static inline bool pool_cache_enter(struct pool_cache *cache, uint32_t attention)
{
    atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (JDB_LIKELY((atomic_load(&cache->attention) & attention) == 0))
        return true;
    pool_cache_leave(cache);
    return false;
}

static inline uint64_t pool_cache_state(const struct pool_cache *cache)
{
    return atomic_load_explicit(&cache->state, memory_order_relaxed);
}

static inline void pool_cache_set_state(struct pool_cache *cache, uint64_t state)
{
    atomic_store_explicit(&cache->state, state, memory_order_relaxed);
}

static inline uint32_t pool_state_count(uint64_t state)
{
    return (uint32_t)(state & (CACHE_GOT - 1));
}

static inline uint32_t pool_cache_count(const struct pool_cache *cache)
{
    return pool_state_count(pool_cache_state(cache));
}

static inline void pool_cache_set_count(struct pool_cache *cache, uint32_t count)
{
    pool_cache_set_state(cache, (pool_cache_state(cache) & ~(CACHE_GOT - 1)) | count);
}

/* A counter with one writer at a time. */
static inline void pool_bump(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* ---- Caches: pool_cache.c --------------------------------------------------------------------------------- */

/* Make the pool known to ending threads and give it its token. -EBUSY: a pool over the same arena is there; -ENOMEM. */
int jdb__pool_register(jdb_pool *pool);

/* The pool is forgotten and its caches are freed. */
void jdb__pool_unregister(jdb_pool *pool);

/* The calling thread's table, made where it has none yet; NULL where memory is short. */
struct pool_thread *jdb__pool_thread_here(void);

/* The calling thread's cache, made or adopted where it has none yet, for which it takes the pool's lock; NULL where memory is
 * short. The pool is then the one it used last. */
struct pool_cache *jdb__pool_cache_here(jdb_pool *pool);

/* Fill an entered cache, that has room, by a batch out of the shared frames. False: there is none. */
bool jdb__pool_cache_fill(jdb_pool *pool, struct pool_cache *cache);

/* Empty an entered cache by a batch, the frames that were put first. False: try again under the pool's lock. */
bool jdb__pool_cache_spill(jdb_pool *pool, struct pool_cache *cache);

/* Under the pool's lock: make at least count frames loose if there are so many in batches and among frames never lent.
 * Returns whether so many are loose. */
bool jdb__pool_loosen_shared(jdb_pool *pool, uint32_t count);

/* The same, and out of other threads' caches, which are given back. With nobody waiting, and none about to. */
bool jdb__pool_loosen(jdb_pool *pool, uint32_t count);

/* Under the pool's lock: take all caches from their owners and make all frames in them loose. */
void jdb__pool_revoke_all(jdb_pool *pool);

/* Under the pool's lock: give all caches back to their owners. */
void jdb__pool_unrevoke_all(jdb_pool *pool);

/* Under the pool's lock: whether all caches are taken from their owners, and empty. So it is while anyone waits. */
bool jdb__pool_is_revoked(const jdb_pool *pool);

/* Under the pool's lock: begin frames anew that were set aside, until count are loose. Returns whether so many are. */
bool jdb__pool_loosen_aside(jdb_pool *pool, uint32_t count);

/* Under the pool's lock: a frame that was taken back, where it belongs. */
void jdb__pool_push_free(jdb_pool *pool, uint32_t index);

/* Under the pool's lock. */
void jdb__pool_push_loose(jdb_pool *pool, uint32_t index);
uint32_t jdb__pool_pop_loose(jdb_pool *pool); /* loose_count > 0 */

/* Under the pool's lock, with nobody waiting: whole batches of loose frames become batches. */
void jdb__pool_settle(jdb_pool *pool);

/* ---- Frames: pool.c --------------------------------------------------------------------------------------- */

/* Lend a frame that the caller has taken out of its place. */
void jdb__pool_lend(jdb_pool *pool, uint32_t index, jdb_frame *ret_frame);

/* Fill frames just lent with zeros, as the policy says. */
void jdb__pool_zero(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

/* ---- Waiters: pool_wait.c --------------------------------------------------------------------------------- */

/* Under the pool's lock: hand loose frames to the waiters in front that they suffice for. Returns those served, for
 * jdb__pool_call_served() once the lock is released. */
jdb_pool_wait *jdb__pool_serve(jdb_pool *pool);

/* Without a lock: wake and call the waiters served. */
void jdb__pool_call_served(const jdb_pool *pool, jdb_pool_wait *served);

#endif
