/* SPDX-License-Identifier: MIT
 *
 * pool.pml - two models of the pool for the model checker spin, which tries every order of steps. One step here is one
 * access to shared memory there. test/pool_spin_test.sh runs them, as they are and with one safeguard taken out, which
 * must fail. The comment in front of each step names the functions of src/pool that it stands for; test/pool_model.txt has a
 * sum of the text of each, so that the test fails when one of them changes until the model was looked at.
 *
 *   -DSMALL     one thread less
 *   -DBATCHES   the stacks of src/pool/batches.c
 *               -DNO_TAG          the stack's word has no tag: a batch is owned twice (ABA)
 *   -DWAITS     the biased lock of a cache, filled and emptied by batches of one frame; stealing, waiting
 *               -DNO_MEMBARRIER   a thief trusts its plain loads
 *               -DNO_AWAIT        a thief does not wait until the owner is out
 *               -DNO_LOOK         a waiter sleeps without looking again after it has revoked the caches
 *               -DNO_COLLECT      a waiter does not look at the batches
 *               -DONE_FRAME       one frame in all, so that an owner looks for one in vain
 *               -DFEW             one owner that does anything, and one frame; -DFRESH: another one that was never lent
 *               -DNO_FRAME        no frame, and no owner that does anything
 *               -DSTEAL_TOO       a waiter that has revoked the caches steals, and so gives them back
 *               -DNO_UNMARK       caches are given back, and the pool still says that they are revoked
 *               -DNO_FULL_CLEAR   a frame comes to the free list, and the pool still says that it is full
 *               -DNO_DRY_CLEAR    with -DGROW: the pool grows, and still says that it is dry and full
 *   -DTRIM      with -DWAITS: a thread that trims the pool
 *               -DNO_TRIM_SERVE   what it has visited serves no waiter
 *               -DNO_TRIM_LIST    a get does not look at the frames that it has yet to visit, and calls the pool empty
 *   -DGROW      with -DWAITS: a thread that makes the pool one frame larger
 *               -DNO_GROW_SERVE   the new frame serves no waiter
 *
 * spin's memory is sequentially consistent. Where the code is not, in the owner's stores to its cache, the second model has
 * the store buffer of a processor: a queue per thread that a process empties whenever it likes. membarrier(2) waits until
 * all are empty, a lock until that of its taker is, a compare-and-swap until its own is.
 */

#ifdef BATCHES

#define BATCHES_COUNT 3
#define WORKERS 3
#define TAGS 16 /* 2^32 there; more than the pushes of a run */

byte top = 1; /* number of the batch + 1, 0 = empty */
byte tag = 0;
byte next[4]; /* [n]: below batch n; [0] unused */
bool owned[4];

/* batches_pop() */
inline pop(batch)
{
    /* old = load(stack) */
    atomic { old_top = top; old_tag = tag }
    do
    :: old_top == 0 -> batch = 0; break
    :: else ->
        below = next[old_top];
        /* compare-and-swap */
        atomic {
            if
#ifdef NO_TAG
            :: top == old_top -> top = below; batch = old_top
#else
            :: top == old_top && tag == old_tag -> top = below; batch = old_top
#endif
            :: else -> old_top = top; old_tag = tag; batch = 0
            fi
        }
        if
        :: batch != 0 ->
            assert(!owned[batch]);
            owned[batch] = true;
            break
        :: else
        fi
    od
}

/* batches_push() */
inline push(batch)
{
    owned[batch] = false;
    atomic { old_top = top; old_tag = tag }
    do
    ::
        next[batch] = old_top;
        atomic {
            if
            :: top == old_top && tag == old_tag -> top = batch; tag = (tag + 1) % TAGS; pushed = true
            :: else -> old_top = top; old_tag = tag; pushed = false
            fi
        }
        if
        :: pushed -> break
        :: else
        fi
    od
}

/* A thread in jdb__batches_take() and jdb__batches_give(): holds two batches at once, and gives them back in either order. */
proctype worker(byte rounds)
{
    byte old_top, old_tag, below, first, second;
    bool pushed;
    do
    :: rounds == 0 -> break
    :: else ->
        rounds--;
        pop(first);
        pop(second);
        if
        :: first != 0 -> push(first)
        :: else
        fi;
        if
        :: second != 0 -> push(second)
        :: else
        fi
    od
}

init
{
    atomic {
        next[1] = 2;
        next[2] = 3;
        next[3] = 0;
        run worker(2);
        run worker(1)
#ifndef SMALL
        ;
        run worker(1)
#endif
    }
}

#endif

#ifdef WAITS

#define OWNERS 2
#ifdef SMALL
#define WAITERS 1
#else
#define WAITERS 2
#endif
#if defined(NO_FRAME)
#define FRAMES 0
#elif defined(ONE_FRAME) || (defined(FEW) && !defined(FRESH))
#define FRAMES 1
#else
#define FRAMES 2
#endif
#ifdef TRIM
#define TRIMMERS 1
#else
#define TRIMMERS 0
#endif
#ifdef GROW
#define GROWERS 1
#else
#define GROWERS 0
#endif
#define THREADS (OWNERS + WAITERS + TRIMMERS + GROWERS)
#define LIMIT 1 /* frames of a cache, and of a batch; there two batches and 32 */
#define BUSY 0
#define COUNT 1
#define NOBODY 255

/* Shared memory. */
byte busy[OWNERS];
byte revoked[OWNERS];
byte count[OWNERS];
bool lock;
bool is_revoked;  /* jdb_pool.is_revoked */
bool is_trimming; /* jdb_pool.is_trimming */
bool is_dry;      /* jdb_pool.is_dry */
bool is_full;     /* jdb_pool.is_full, which a get looks at without the lock */
byte free;        /* count of the free list */
byte shared;      /* frames in full batches, and those that were never lent */
byte cold;        /* count of the list that a trim has yet to visit */
byte waiter_count;
bool handed[WAITERS];
chan queue = [WAITERS] of { byte }; /* under the lock */

/* Store buffers of the owners; what an owner itself loads is its own last store. */
chan stores[OWNERS] = [6] of { byte, byte };
byte pending[OWNERS]; /* stores to count in the buffer */
byte last[OWNERS];

byte ended;

/* The processor: one buffered store after the other reaches memory. */
proctype drain(byte me)
{
    byte place, value;
    do
    :: atomic {
            stores[me]?place,value ->
            if
            :: place == BUSY -> busy[me] = value
            :: else -> count[me] = value; pending[me]--
            fi
        }
    :: ended == THREADS && empty(stores[me]) -> break
    od
}

/* The pool's lock. */
inline take_lock()
{
    atomic { !lock -> lock = true }
}

inline release_lock()
{
    lock = false
}

/* free_make_barrier() */
inline make_barrier()
{
#ifndef NO_MEMBARRIER
    empty(stores[0]) && empty(stores[1])
#else
    skip
#endif
}

/* free_enter(): frames come to the free list */
inline enter_free(frames)
{
    if
    :: frames > 0 ->
#ifndef NO_FULL_CLEAR
        is_full = false;
#endif
        free = free + frames
    :: else
    fi
}

/* pool_forget_dry() */
inline forget_dry()
{
#ifndef NO_DRY_CLEAR
    is_dry = false;
    is_full = false
#else
    skip
#endif
}

/* jdb__free_note_full() */
inline note_full()
{
    if
    :: is_dry && free == 0 -> is_full = true
    :: else
    fi
}

/* free_take_over(): free_await_owner(), then jdb__free_empty_cache() */
inline take_over(whose)
{
#ifndef NO_AWAIT
    busy[whose] == 0;
#endif
    moved = count[whose];
    enter_free(moved);
    count[whose] = 0
}

/* free_restore_all(), jdb__free_restore_caches() */
inline restore_all()
{
    forget_dry();
    revoked[0] = 0;
    revoked[1] = 0;
#ifndef NO_UNMARK
    is_revoked = false
#endif
}

/* jdb__free_rebatch(), free_is_enough_for_caches(): caches are given back where frames suffice for one, and batches made of the
 * free list */
inline rebatch()
{
    if
    :: waiter_count == 0 && !is_trimming ->
        if
        :: is_revoked && (free >= LIMIT || (!is_dry && shared > 0)) -> restore_all()
        :: else
        fi;
        do
        :: free >= LIMIT -> atomic { free = free - LIMIT; shared = shared + LIMIT }
        :: break /* not more than some at a time */
        od
    :: else
    fi
}

/* jdb__free_collect_shared(), jdb__free_collect_batches(), jdb__batches_take_fresh(): wanted frames on the free list, out of
 * batches and frames never lent, then out of those that a trim has yet to visit */
inline collect_shared(wanted)
{
    do
    :: free < wanted ->
        atomic {
            if
            :: shared > 0 -> shared--; enter_free(1)
#ifndef NO_TRIM_LIST
            :: shared == 0 && cold > 0 -> cold--; enter_free(1)
            :: shared == 0 && cold == 0 -> break
#else
            :: shared == 0 -> break
#endif
            fi
        }
    :: else -> break
    od
}

/* jdb__free_revoke_all(): free_revoke(), free_make_barrier(), free_take_over() */
inline revoke_all()
{
    if
    :: !is_revoked ->
        revoked[0] = 1;
        revoked[1] = 1;
        make_barrier();
#ifndef NO_LOOK
        take_over(0);
        take_over(1);
#endif
        is_revoked = true
    :: else
    fi
}

/* jdb__waiters_serve(): as many waiters, oldest first, as there are frames on the free list */
inline serve()
{
    do
    :: free > 0 && waiter_count > 0 ->
        queue?served;
        free--;
        waiter_count--;
        handed[served] = true
    :: else -> break
    od
}

/* pool_put_under_lock(): jdb__free_return(), then jdb__waiters_serve(), then jdb__free_rebatch() */
inline put_under_lock()
{
    enter_free(1);
    serve();
    rebatch()
}

/* pool_cache_enter(): inside says whether it succeeded */
inline enter()
{
    stores[me]!BUSY,1;
    if
    :: revoked[me] == 0 ->
        inside = true;
        atomic {
            if
            :: pending[me] > 0 -> mine = last[me]
            :: else -> mine = count[me]
            fi
        }
    :: else ->
        inside = false;
        stores[me]!BUSY,0
    fi
}

/* pool_cache_set_state(), pool_cache_set_count() */
inline set_count(value)
{
    atomic { stores[me]!COUNT,value; pending[me]++; last[me] = value }
}

/* pool_cache_leave() */
inline leave()
{
    stores[me]!BUSY,0
}

/* jdb__pool_cache_spill(): jdb__batches_give(), then the cache has a batch less */
inline spill()
{
    empty(stores[me]);
    shared = shared + LIMIT;
    mine = mine - LIMIT;
    set_count(mine)
}

/* jdb__pool_cache_fill(): jdb__batches_take() or jdb__batches_take_fresh(), then the cache has a batch more */
inline fill()
{
    empty(stores[me]);
    atomic {
        if
        :: shared >= LIMIT -> shared = shared - LIMIT; mine = mine + LIMIT
        :: else
        fi
    }
    if
    :: mine > 0 -> set_count(mine)
    :: else
    fi
}

/* jdb_pool_put(), the fast path; else pool_put_slow(), pool_put_in_cache() */
inline put()
{
    enter();
    if
    :: inside ->
        if
        :: mine == LIMIT -> spill()
        :: else
        fi;
        set_count(mine + 1);
        leave()
    :: else ->
        empty(stores[me]);
        take_lock();
        put_under_lock();
        release_lock()
    fi;
    has_frame = false
}

/* free_steal(), of one other cache: free_revoke(), free_take_over(), free_restore() */
inline steal(whose)
{
    if
    :: free == 0 && !is_revoked && count[whose] > 0 ->
        revoked[whose] = 1;
        make_barrier();
        take_over(whose);
        revoked[whose] = 0
    :: else
    fi
}

/* jdb__free_collect_rest(): a pool without a budget is dry where it finds too few */
inline collect_rest(wanted)
{
    if
    :: !is_dry ->
        collect_shared(wanted);
        if
        :: free < wanted -> is_dry = true
        :: else
        fi
    :: else
    fi
}

/* jdb__free_collect(), jdb__free_collect_rest(): the last look revokes all caches, and leaves them so where it finds nothing */
inline collect()
{
    if
    :: !is_revoked ->
        collect_shared(1);
        steal(1 - me);
        if
        :: free == 0 -> revoke_all()
        :: else
        fi
    :: else
    fi;
    if
    :: free == 0 -> collect_rest(1)
    :: else
    fi
}

/* jdb_pool_get(), the fast path; else pool_get_once(), pool_get_of_full(), pool_gather(); else pool_get_under_lock(),
 * pool_get_anywhere() */
inline get()
{
    enter();
    if
    :: inside ->
        if
        :: mine == 0 -> fill()
        :: else
        fi;
        if
        :: mine > 0 -> set_count(mine - 1); has_frame = true
        :: else
        fi;
        leave()
    :: else
    fi;
    atomic {
        saw_full = !has_frame && is_full;
        assert(!saw_full || (free == 0 && shared == 0 && cold == 0 && count[0] + count[1] == 0)) /* -EAGAIN, as below */
    }
    if
    :: !has_frame && !saw_full ->
        empty(stores[me]);
        take_lock();
        serve();
        if
        :: waiter_count == 0 ->
            collect();
            if
            :: free > 0 -> free--; has_frame = true
            :: else -> assert(shared == 0 && cold == 0) /* -EAGAIN: no frame is free but in a hand */
            fi
        :: else
        fi;
        rebatch();
        note_full();
        release_lock()
    :: else
    fi
}

/* A thread with a cache; ends without a frame. */
proctype owner(byte me; byte rounds; bool has_frame)
{
    byte mine, moved, served;
    bool inside, saw_full;
    do
    :: rounds == 0 -> break
    :: else ->
        rounds--;
        if
        :: has_frame -> put()
        :: else
        fi;
        if
        :: rounds > 0 -> get()
        :: else
        fi
    od;
    ended++
}

/* A thread without a cache, which waits for a frame, and puts it: wait_take_or_queue() with jdb__free_revoke_all(),
 * jdb__free_collect_rest() and jdb__waiters_enter(), then wait_sleep() */
proctype waiter(byte me)
{
    byte moved, served;
    bool has_frame = false;
    take_lock();
    if
    :: waiter_count == 0 ->
        revoke_all();
#ifndef NO_COLLECT
        if
        :: free == 0 -> collect_rest(1)
        :: else
        fi;
#endif
#ifdef STEAL_TOO
        if
        :: free == 0 && (busy[0] != 0 || busy[1] != 0) ->
            make_barrier();
            take_over(0);
            take_over(1);
            restore_all()
        :: else
        fi;
#endif
        if
        :: free > 0 -> free--; has_frame = true; rebatch()
        :: else -> waiter_count++; queue!me
        fi
    :: else -> waiter_count++; queue!me
    fi;
    release_lock();
    if
    :: !has_frame -> handed[me] /* sleeps until then: a lost wake-up ends the run here */
    :: else
    fi;
    take_lock();
    put_under_lock();
    release_lock();
    ended++
}

/* jdb_pool_trim(): trim_begin(), then trim_step() for one frame after the other */
proctype trimmer()
{
    byte moved, served, hand;
    take_lock();
    if
    :: waiter_count == 0 ->
        revoke_all();
        enter_free(shared);
        shared = 0;
        is_trimming = true;
        forget_dry();
        cold = free;
        free = 0;
        do
        :: cold > 0 ->
            cold--;
            hand = 1;
            release_lock();
            take_lock();
            enter_free(hand);
            hand = 0;
#ifndef NO_TRIM_SERVE
            serve();
#endif
            release_lock();
            take_lock()
        :: else -> break
        od;
        is_trimming = false;
        rebatch()
    :: else
    fi;
    release_lock();
    ended++
}

/* jdb__pool_grow(): jdb_pool_extend() */
proctype grower()
{
    byte moved, served;
    take_lock();
    forget_dry();
    shared++;
#ifndef NO_GROW_SERVE
    collect_shared(waiter_count);
    serve();
#endif
    rebatch();
    release_lock();
    ended++
}

init
{
    atomic {
        run drain(0);
        run drain(1);
#if defined(NO_FRAME)
        run owner(0, 0, false);
        run owner(1, 0, false);
#elif defined(FEW)
        shared = FRAMES - 1;
        run owner(0, 3, true);
        run owner(1, 0, false);
#else
        run owner(0, 3, FRAMES > 1);
        run owner(1, 2, true);
#endif
        run waiter(0)
#ifndef SMALL
        ;
        run waiter(1)
#endif
#ifdef TRIM
        ;
        run trimmer()
#endif
#ifdef GROW
        ;
        run grower()
#endif
    }
    ended == THREADS && empty(stores[0]) && empty(stores[1]);
    assert(count[0] + count[1] + free + shared == FRAMES + GROWERS);
    assert(waiter_count == 0 && cold == 0 && revoked[0] == is_revoked && revoked[1] == is_revoked);
    assert(!is_revoked || count[0] + count[1] == 0)
}

#endif
