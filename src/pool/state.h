/* SPDX-License-Identifier: MIT
 *
 * state.h - a pool from the inside: its structs, its protocol, and what each file of the folder offers the others.
 *
 * A free frame is in one of these places (F1), named by its number; links are outside of the frames:
 *
 *   cache of a thread   an array; the owner takes and puts at its end without an atomic read-modify-write
 *   batches             shared, without a lock (batches.h)
 *   free list           under the pool's lock: what is no whole batch, runs that were put, and all free frames while anyone
 *                       waits
 *   set aside           under the pool's lock: frames that have used their last generation (frame.h)
 *   bare                under the pool's lock: frames without memory, which the pool's budget does not count (budget.h)
 *
 * Files, each of which calls those before it only:
 *
 *   batches   stacks of whole batches, and frames that were never lent
 *   frame     generations; lend, take back, refuse
 *   budget    charges frames to a budget of several pools
 *   free      the free list; how frames get there: from batches, by revoking caches, by stealing from them
 *   nodes     on which node of memory a frame lies
 *   registry  all pools of the process, and the threads that use them: ends of threads, fork
 *   cache     the calling thread's cache: found, filled by a batch, emptied by a batch
 *   waiters   the queue: enter, leave, serve, call back
 *   trim      gives the memory of free frames back
 *   share     pools of one budget give back for each other
 *   grow      more frames: those that the arena has grown by, those that it is made to grow by
 *   owned     frames that count for an owner: how their puts find it
 *   pool      get and put
 *   wait      get that waits: blocking, by callback, cancelled
 *   run       get of neighbouring frames
 *   owner     quota and counts of a part of the program
 *   stats     counts; a walk over the frames that are lent
 *   lifecycle make and free
 *
 * Locks: the registry's, then the pool's own (os/fork.h). Neither is taken by a get or put that the thread's cache and the
 * batches can serve.
 *
 * The cache of a thread is guarded by a biased lock (F5). Its owner enters by storing `busy` and loading `attention`;
 * another thread, holding the pool's lock, stores REVOKED there, makes a barrier, and waits until `busy` is 0: from then on
 * the cache is guarded by the pool's lock, until REVOKED is cleared under it. One of the two sees the other's store, because
 * a barrier stands between store and load on both sides: the owner's is the system's membarrier call that the other thread
 * makes for both. `busy` is set while one call works on the cache, which is a loop over n frames for a get or put of n, and
 * never over a lock, nor over a system call but one: where there are several nodes of memory, a batch that leaves the cache asks
 * for the nodes of frames that no batch asked for before (nodes.c). Where the system has no membarrier, caches stay revoked for
 * good: every get and put takes the lock.
 *
 * A look that finds too few frames ends with all caches revoked and empty, and they stay so until there are frames for a
 * cache again (jdb__free_rebatch()): while a pool is full each get that finds a frame and each put takes the lock, and none
 * makes a barrier. The pool is dry then: no frame comes to be anywhere but on the free list or set aside, by a put (F11).
 * While these are empty too it is full, and a get ends at that word without the lock. A put clears it under the lock, so
 * whoever knows of the put finds the frame.
 *
 * A waiter revokes all caches first and then looks at all places again, before it sleeps. So either that look sees a put, or
 * the put sees `attention` and goes to the pool's lock, where it finds the waiter: no wake-up is lost. While anyone waits
 * all free frames are on the free list (F6). test/pool.pml is the model of this and of the batches.
 *
 * Memory model: `busy` is cleared by release and read by acquire, `attention` likewise, so the cache's plain words go from
 * owner to taker and back with them. Whoever finds frames gone from the shared places also sees that the cache they went to
 * is entered (F8): its owner set `busy` before, and takes by release.
 *
 * Fork: in a child the token is 0, so no cache matches it, the slow path sees the 0 and returns -EPERM. The pool lies in
 * memory that the kernel wipes in a child; where it cannot, for one pool or for all, the handler of fork() stores the 0. So
 * the list of pools lies outside of that memory.
 *
 * Invariants F1 to F10: docs/pool.md.
 */
#ifndef JDB_POOL_STATE_H
#define JDB_POOL_STATE_H

#include "base/check.h"
#include "jdb_alloc/pool.h"
#include "os/fork.h"
#include "pool/batches.h"
#include "pool/budget.h"
#include "pool/frame.h"

/* ---- Limits and defaults ---------------------------------------------------------------------------------- */

#define CACHE_FRAMES_MAX (2 * BATCH_MAX)
#define CACHE_FRAMES_MIN 2u
#define CACHE_POOL_SHARE 8u /* by default a cache holds this part of the pool's frames at most */
#define KEPT_POOL_SHARE 32u /* a cache keeps this part of the pool's batches at most */
#define USER_SIZE_MAX 4096u /* bytes of the caller's own for each frame */
#define SLOTS_MIN 16u       /* of a thread */
#define REVOKED_GETS 256u   /* gets in a row that find a frame, after which caches are given back */
#define REBATCH_MAX 64u     /* batches made of the free list at a time, so that the lock is not held long */

/* ---- Structs ---------------------------------------------------------------------------------------------- */

#define CACHE_GOT (UINT64_C(1) << 8) /* one frame got, in the state of a cache; below it the frames in the cache */
_Static_assert(CACHE_FRAMES_MAX <= UINT8_MAX, "the frames of a cache are counted below those got from it");

#define ATTENTION_REVOKED 1u /* the cache is guarded by the pool's lock */

struct pool_thread;

/* The cache that a thread has in a pool. Allocated by the thread's first slow call, kept by the pool for the next thread
 * when that one ends, freed with the pool. */
struct pool_cache {
    _Alignas(64) _Atomic uint32_t busy;
    _Atomic uint32_t attention; /* 0, or ATTENTION_REVOKED: its owner may not enter */
    _Atomic uint64_t state;     /* frames in it, and above them frames got from it (CACHE_GOT), so that a get stores one
                                 * word; stored by who holds the biased lock, a load by others is a hint */
    uint32_t limit;             /* twice the batch size (F4) */
    uint32_t home;              /* of the stacks of full batches, where there is one node of memory */
    _Atomic uint64_t
        moved_count; /* frames that left it other than by a get, less those that came other than by a put */
    _Atomic uint64_t batch_count;
    _Atomic uint64_t far_count;       /* of them out of another node's stack */
    _Atomic uint64_t recycle_count;   /* stored by the owner, whoever has the lock, as the next one */
    _Atomic uint64_t empty_count;     /* gets that found the pool full without the lock */
    uint64_t items[CACHE_FRAMES_MAX]; /* free frames, see frame_item() */
    uint32_t kept[BATCH_KEPT_MAX];    /* batches that it emptied, and gives frames in later */
    uint32_t kept_count;
    const struct pool_thread *owner; /* NULL: of a thread that ended. Under the pool's lock */
    struct pool_cache *next;
    struct pool_cache *next_unowned;
    void *memory;
};

/* Where a thread's cache is in a pool that it used. A token is given once, so a slot of a pool that is gone matches no
 * other, whatever its address. */
struct pool_slot {
    uint64_t token;
    struct pool_cache *cache; /* not NULL where the token is that of a pool */
};

/* What belongs to a thread, in all pools. Pools that live at the same time have different slots, so whatever cache a thread
 * owns is in its slot of the pool. */
struct pool_thread {
    struct pool_slot *slots; /* slot_count of them */
    uint32_t slot_count;
    struct jdb_pool_wait *served; /* waiters whose callbacks this thread still has to call, oldest first */
    bool is_serving;
    bool is_pressing; /* on_pressure runs on this thread */
};

/* Of the pool that the calling thread used last. Initial-exec, as a call through __tls_get_addr would cost as much as the
 * rest of a get. */
#if defined(__GNUC__) || defined(__clang__)
extern _Thread_local struct pool_slot jdb__pool_last __attribute__((tls_model("initial-exec")));
#else
extern _Thread_local struct pool_slot jdb__pool_last;
#endif

/* Frames linked by jdb_pool.links. */
struct pool_list {
    uint32_t first; /* or FRAME_NONE */
    uint32_t last;  /* while there is a first */
    uint32_t count;
};

struct jdb_pool {
    /* Constant after jdb_pool_new(), but for frame_count, which only grows, and owner_count. */
    uint64_t token; /* 0 in a child of fork() */
    uint32_t slot;  /* of struct pool_thread: no other pool that lives has it */
    _Atomic uint32_t frame_count;
    struct pool_frames frames;
    uint32_t gen_seed; /* generation of a frame that begins, 1 or more */
    uint32_t max_count;
    uint32_t cache_limit;
    uint32_t kept_limit;  /* of batches that a cache keeps */
    uint32_t attention;   /* of a cache that is not revoked */
    uint32_t grow_frames; /* 0: a get does not grow the arena */
    size_t zero_offset;   /* what is zeroed of a frame that is lent again */
    size_t zero_size;
    uint8_t *user_memory; /* per frame user_stride bytes; not accessed here */
    size_t user_stride;
    jdb_arena *arena;
    jdb_budget *budget;           /* or NULL */
    uint8_t *nodes;               /* per frame, see nodes.c; NULL where there is one node */
    uint32_t *links;              /* per frame, while it is in a list: the next one, or FRAME_NONE */
    uint32_t *previous;           /* per frame, while it is on the free list and not the first: the one before it */
    _Atomic uintptr_t *owners;    /* per frame: the owner that it counts for, see owned.c, or 0 */
    uint64_t *free_bits;          /* bit i % 64 of word i / 64: frame i is on the free list (F9). Under the lock */
    size_t map_size;              /* bytes of the mapping that this struct is the start of */
    _Atomic uint32_t owner_count; /* objects that live */

    struct batches batches;

    /* Under the lock. */
    _Alignas(64) struct lock lock;
    struct pool_list free;  /* the free list, last in first out */
    struct pool_list aside; /* frames set aside, first in first out */
    struct pool_list cold;  /* free frames that a trim has yet to visit */
    struct pool_list bare;  /* free frames without memory, of a pool with a budget */
    uint32_t waiter_count;
    _Atomic uint32_t revoked_get_count; /* frames lent under the lock since a get found too few. A hint */
    bool is_revoked;                    /* all caches are revoked, and empty */
    bool is_dry; /* and there are no frames but lent ones, those of the free list, those set aside, those in a hand */
    _Atomic bool is_full; /* and none is on the free list or set aside */
    bool is_trimming;
    bool has_more_to_give; /* bytes were wanted while a trim ran */
    bool has_membarrier;   /* constant, as the next two */
    void (*on_pressure)(jdb_pool *pool, uint32_t frame_count, void *user);
    void *pressure_user;
    struct pool_cache *caches;
    struct pool_cache *unowned; /* of them those of threads that ended */
    jdb_pool_wait *first_wait;  /* oldest */
    jdb_pool_wait *last_wait;
    uint64_t got_count; /* by threads without a cache, and for waiters */
    uint64_t put_count;
    uint64_t steal_count;
    uint64_t wait_count;
    uint64_t timeout_count;
    uint64_t cancel_count;
    uint64_t lateness_max_ns;
    uint64_t grow_count;
    uint64_t grow_err; /* errno of the last refusal, positive */
    uint64_t grow_wanted_count;
    uint64_t pressure_count;
    uint64_t run_count;
    uint64_t fragmented_count;
    _Atomic uint64_t refused_count;
    _Atomic uint64_t empty_count;   /* under the lock, or by threads without a cache */
    _Atomic uint64_t recycle_count; /* by threads without a cache */

    /* Of a pool with a budget. */
    _Atomic uint32_t want_count; /* waits, queued or about to be */
    uint32_t budget_visits;      /* threads that visit this pool. Under the budget's lock */
    jdb_pool *budget_next;       /* under the budget's lock */
    uint64_t kept_bytes;         /* of the budget's, for waits. Under the pool's lock */
};

static inline uint32_t pool_frame_count(const jdb_pool *pool)
{
    return atomic_load_explicit(&pool->frame_count, memory_order_relaxed);
}

/* Under the lock: frames may be anywhere again. */
static inline void pool_forget_dry(jdb_pool *pool)
{
    pool->is_dry = false;
    atomic_store_explicit(&pool->is_full, false, memory_order_relaxed);
}

/* What a part of the program may have of a pool, and has. */
struct jdb_pool_owner {
    jdb_pool *pool;
    _Atomic uint32_t frame_count; /* at most max_frame_count, where that was not lowered since */
    _Atomic uint32_t max_frame_count;
    _Atomic uint32_t peak_count;
    _Atomic uint64_t got_count;
    _Atomic uint64_t refused_count;
};

/* Frames below this number were lent or are on their way; those from here on never. */
static inline uint32_t pool_used_count(const jdb_pool *pool)
{
    const uint32_t frame_count = pool_frame_count(pool);
    const uint32_t fresh = atomic_load_explicit(&pool->batches.fresh_frame, memory_order_acquire);
    return fresh < frame_count ? fresh : frame_count;
}

static inline void pool_list_push(const jdb_pool *pool, struct pool_list *list, uint32_t index)
{
    if (list->first == FRAME_NONE)
        list->last = index;
    pool->links[index] = list->first;
    list->first = index;
    list->count++;
}

/* At its end. */
static inline void pool_list_append(const jdb_pool *pool, struct pool_list *list, uint32_t index)
{
    pool->links[index] = FRAME_NONE;
    if (list->first == FRAME_NONE)
        list->first = index;
    else
        pool->links[list->last] = index;
    list->last = index;
    list->count++;
}

/* Under the lock: free frames that a budget does not count. */
static inline uint64_t pool_bare_count(const jdb_pool *pool)
{
    return (uint64_t)pool->bare.count + jdb__batches_fresh_count(&pool->batches, pool_frame_count(pool));
}

/* Take up to count frames that were never lent, and that the pool's budget allows. Returns how many, *ret_first and up. */
static inline uint32_t pool_take_fresh(jdb_pool *pool, uint32_t count, uint32_t *ret_first)
{
    if (JDB_UNLIKELY(pool->budget != NULL))
        return jdb__budget_take_fresh(pool, count, ret_first);
    return jdb__batches_take_fresh(&pool->batches, pool_frame_count(pool), count, ret_first);
}

/* The list is not empty. */
static inline uint32_t pool_list_pop(const jdb_pool *pool, struct pool_list *list)
{
    const uint32_t index = list->first;
    JDB_ASSERT(list->count > 0 && index < pool->max_count);
    list->first = pool->links[index];
    list->count--;
    return index;
}

/* Lend a frame that the caller has taken out of its place. */
static inline void pool_lend(const jdb_pool *pool, uint32_t index, jdb_frame *ret_frame)
{
    frame_lend(&pool->frames, frame_item(&pool->frames, index), ret_frame);
}

/* ---- The biased lock of a cache --------------------------------------------------------------------------- */

/* Whether jdb__pool_last is of this pool, and has the calling thread's cache in it. */
static inline bool pool_is_last(const jdb_pool *pool)
{
    return JDB_LIKELY(jdb__pool_last.token == pool->token);
}

static inline void pool_cache_leave(struct pool_cache *cache)
{
    atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* By the owner. False: the cache is revoked, the owner is not inside. */
static inline bool pool_cache_enter(struct pool_cache *cache)
{
    atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (JDB_LIKELY(atomic_load(&cache->attention) == 0))
        return true;
    pool_cache_leave(cache);
    return false;
}

/* Whether a thread is inside of a cache, which only its owner can be (F5). */
static inline bool pool_cache_is_busy(const struct pool_cache *cache)
{
    return atomic_load(&cache->busy) != 0;
}

static inline bool pool_cache_is_revoked(const struct pool_cache *cache)
{
    return (atomic_load_explicit(&cache->attention, memory_order_relaxed) & ATTENTION_REVOKED) != 0;
}

/* ---- What a cache holds, by who holds its lock ------------------------------------------------------------ */

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
    JDB_ASSERT(count <= cache->limit); /* F4 */
    pool_cache_set_state(cache, (pool_cache_state(cache) & ~(CACHE_GOT - 1)) | count);
}

/* A counter with one writer at a time. */
static inline void pool_bump(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* ---- free.c, under the pool's lock ------------------------------------------------------------------------ */

/* A frame that was taken back goes to the free list, or is set aside. */
void jdb__free_return(jdb_pool *pool, uint32_t index);

/* A frame on its way goes to the end of the free list. */
void jdb__free_append(jdb_pool *pool, uint32_t index);

/* Bring the frames of all batches to the free list. */
void jdb__free_collect_batches(jdb_pool *pool);

/* The frames of a list go to the free list. */
void jdb__free_join(jdb_pool *pool, struct pool_list *list);

/* Make the frames of the free list cold, but for the first keep_count. */
void jdb__free_make_cold(jdb_pool *pool, uint32_t keep_count);

/* The first of the lowest frame_count neighbours on the free list, or FRAME_NONE. */
uint32_t jdb__free_find_run(const jdb_pool *pool, uint32_t frame_count);

/* Lend neighbours of the free list from `first` on. */
void jdb__free_lend_run(jdb_pool *pool, uint32_t first, uint32_t frame_count, jdb_frame *ret_frames);

/* Lend frames of the free list, which has so many. */
void jdb__free_lend(jdb_pool *pool, uint32_t frame_count, jdb_frame *ret_frames);

/* Give the caches back to their owners where frames suffice for that. While anyone waits, or a trim runs: nothing (F6). */
void jdb__free_restore_caches(jdb_pool *pool);

/* The same, and then make whole batches of the free list, REBATCH_MAX at most: whoever finds none comes here again. While
 * anyone waits, or a trim runs: nothing, all free frames stay on the list (F6). */
void jdb__free_rebatch(jdb_pool *pool);

/* Bring count frames that were never lent, or that have no memory, to the free list, or those that are left and that the budget
 * allows. */
void jdb__free_collect_fresh(jdb_pool *pool, uint32_t count);
void jdb__free_collect_bare(jdb_pool *pool, uint32_t count);

/* Bring frames to the free list until it has count, out of the batches and of the frames never lent. Returns whether it
 * has. */
bool jdb__free_collect_shared(jdb_pool *pool, uint32_t count);

/* The same, and then out of the frames that were set aside, which begin anew. While pool->is_revoked. False: the pool is dry, where
 * it has no budget. */
bool jdb__free_collect_rest(jdb_pool *pool, uint32_t count);

/* Frames that were set aside begin anew until the free list has count. */
void jdb__free_collect_aside(jdb_pool *pool, uint32_t count);

/* The same out of every place, the caches too. With nobody waiting. False: all caches are revoked and empty. */
bool jdb__free_collect(jdb_pool *pool, uint32_t count);

/* A get may have taken the last frame of a dry pool: whether it is full. */
void jdb__free_note_full(jdb_pool *pool);

/* Bring the frames of a cache, which nobody is in, to the free list, and give its batches up. */
void jdb__free_empty_cache(jdb_pool *pool, struct pool_cache *cache);

/* Take all caches from their owners and bring all frames in them to the free list: pool->is_revoked. */
void jdb__free_revoke_all(jdb_pool *pool);

/* Whether all caches are taken from their owners, and empty, as pool->is_revoked says: so it is while anyone waits (F6). */
bool jdb__free_is_revoked(const jdb_pool *pool);

/* ---- nodes.c, where pool->nodes is not NULL --------------------------------------------------------------- */

/* The stack of the node that the calling thread runs on. */
uint32_t jdb__nodes_here(void);

/* Bring those of the items to the front that lie on the node which most of them lie on, the others stay in order. Returns the
 * stack of that node. */
uint32_t jdb__nodes_sort(const jdb_pool *pool, uint64_t *items, uint32_t count);

/* The memory of a frame was given back. In any pool. */
void jdb__nodes_forget(const jdb_pool *pool, uint32_t index);

/* ---- registry.c ------------------------------------------------------------------------------------------- */

/* Enter the pool into the list, and give it its token and the first generation of its frames. -EBUSY: a pool over the same
 * arena is there; -ENOMEM. */
int jdb__pool_register(jdb_pool *pool);

/* Take the pool out of the list and free its caches. */
void jdb__pool_unregister(jdb_pool *pool);

/* What belongs to the calling thread, allocated where it has none yet; NULL where memory is short. */
struct pool_thread *jdb__pool_thread_here(void);

/* The slot of a pool in it, empty or of a pool that is gone where the thread did not use this one yet; NULL where memory is
 * short. */
struct pool_slot *jdb__pool_thread_slot(struct pool_thread *thread, const jdb_pool *pool);

/* ---- trim.c ----------------------------------------------------------------------------------------------- */

/* Give the memory of up to frame_count free frames back, those put longest ago, and add the bytes. Without a lock. -EBUSY: a trim
 * runs. *ret_has_more: another thread got that from this one, while bytes were wanted: what it had put is to be given back too. */
int jdb__trim_give_back(jdb_pool *pool, uint32_t frame_count, uint64_t *bytes, bool *ret_has_more);

/* ---- share.c, without a lock; nothing where the pool has no budget ---------------------------------------- */

/* A get of so many frames found too few, or a run no neighbours among enough (is_fragmented): make other pools give back.
 * Returns whether it may find them now. */
bool jdb__share_reclaim(jdb_pool *pool, uint32_t frame_count, bool is_fragmented);

/* A wait for so many frames is about to look for the last time: from now on a put in any pool of the budget sees it. */
void jdb__share_want(jdb_pool *pool, uint32_t frame_count);

/* It found too few and was queued, and from then on the budget keeps bytes for it: what was given back for it before may have gone to
 * a get of a third pool. */
void jdb__share_want_queued(jdb_pool *pool);

/* Frames became free: those who wait, in whatever pool, may have their memory. */
void jdb__share_feed(jdb_pool *pool);

/* The pool, of which no frame is lent, is about to be freed. */
void jdb__share_close(const jdb_pool *pool);

/* ---- grow.c ----------------------------------------------------------------------------------------------- */

/* Make the arena grow where the pool may and frame_count frames are wanted. Without a lock. False: it did not. */
bool jdb__pool_grow(jdb_pool *pool, uint32_t frame_count);

/* ---- owned.c ---------------------------------------------------------------------------------------------- */

/* The generation of the handle by which a frame is lent; 0: it is free. */
uint32_t jdb__owned_lent_gen(const jdb_pool *pool, uint32_t index);

/* The same of a frame that counts for the owner; 0: it does not, or is being put. */
uint32_t jdb__owned_gen_of(const jdb_pool *pool, const jdb_pool_owner *owner, uint32_t index);

/* Count a frame that is lent, and for nobody, for an owner that has it in its count. -EXDEV: it has an owner; -ESTALE, -EINVAL:
 * not lent by this handle. */
int jdb__owned_attach(const jdb_pool *pool, jdb_pool_owner *owner, jdb_frame frame);

/* Make those of the frames that have an owner frames as any other, which can be taken back. Returns whether there were any. */
bool jdb__owned_detach(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

/* After that: those that were detached have their owner again. */
void jdb__owned_reattach(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

/* After that, and taken back: the owners of those that were detached have them no more. */
void jdb__owned_discharge(const jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count);

/* ---- pool.c ----------------------------------------------------------------------------------------------- */

/* Take back all of the frames, or none and the error of the first wrong one. *ret_has_last is set where one ended its last
 * lending. */
int jdb__pool_take_back_all(jdb_pool *pool, const jdb_frame *frames, uint32_t frame_count, bool *ret_has_last);

/* ---- cache.c ---------------------------------------------------------------------------------------------- */

/* The calling thread's cache, allocated or adopted where it has none yet, for which it takes the pool's lock; NULL where
 * memory is short. The pool is then the one it used last. */
struct pool_cache *jdb__pool_cache_here(jdb_pool *pool);

/* Fill an entered cache, that has room, by a batch out of the shared frames. False: there is none. */
bool jdb__pool_cache_fill(jdb_pool *pool, struct pool_cache *cache);

/* Empty an entered cache by a batch, the frames that were put first. False: try again under the pool's lock. */
bool jdb__pool_cache_spill(jdb_pool *pool, struct pool_cache *cache);

#endif
