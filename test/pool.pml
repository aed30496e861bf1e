/* SPDX-License-Identifier: MIT
 *
 * pool.pml - two models of the pool for the model checker spin, which tries every order of steps. One step here is one
 * access to shared memory there. test/pool_spin_test.sh runs them, as they are and with one safeguard taken out, which
 * must fail; it also looks whether the functions of src/pool that the comments name are still there.
 *
 *   -DSMALL     one thread less
 *   -DBATCHES   the stacks of src/pool/batches.c
 *               -DNO_TAG          the stack's word has no tag: a batch is owned twice (ABA)
 *   -DWAITS     the biased lock of a cache, stealing, waiting
 *               -DNO_MEMBARRIER   a thief trusts its plain loads
 *               -DNO_AWAIT        a thief does not wait until the owner is out
 *               -DNO_LOOK         a waiter sleeps without looking again after it has revoked the caches
 *               -DONE_FRAME       one frame in all, so that an owner looks for one in vain
 *               -DSTEAL_TOO       a waiter that has revoked the caches steals, and so gives them back
 *               -DNO_UNMARK       caches are given back, and the pool still says that they are revoked
 *
 * spin's memory is sequentially consistent. Where the code is not, in the owner's stores to its cache, the second model has
 * the store buffer of a processor: a queue per thread that a process empties whenever it likes. membarrier(2) waits until
 * all are empty, a lock until that of its taker is.
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
#ifdef ONE_FRAME
#define FRAMES 1
#else
#define FRAMES 2
#endif
#define BATCH FRAMES /* so many free frames, and caches are given back */
#define BUSY 0
#define COUNT 1
#define NOBODY 255

/* Shared memory. */
byte busy[OWNERS];
byte revoked[OWNERS];
byte count[OWNERS];
bool lock;
bool is_revoked; /* jdb_pool.is_revoked */
byte free; /* count of the free list */
byte waiter_count;
bool handed[WAITERS];
chan queue = [WAITERS] of { byte }; /* under the lock */

/* Store buffers of the owners; what an owner itself loads is its own last store. */
chan stores[OWNERS] = [4] of { byte, byte };
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
    :: ended == OWNERS + WAITERS && empty(stores[me]) -> break
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

/* free_take_over(): free_await_owner(), then jdb__free_empty_cache() */
inline take_over(whose)
{
#ifndef NO_AWAIT
    busy[whose] == 0;
#endif
    moved = count[whose];
    free = free + moved;
    count[whose] = 0
}

/* free_restore_all() */
inline restore_all()
{
    revoked[0] = 0;
    revoked[1] = 0;
#ifndef NO_UNMARK
    is_revoked = false
#endif
}

/* jdb__free_rebatch() */
inline rebatch()
{
    if
    :: is_revoked && waiter_count == 0 && free >= BATCH -> restore_all()
    :: else
    fi
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
    free++;
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

/* pool_cache_set_state() */
inline set_count(value)
{
    atomic { stores[me]!COUNT,value; pending[me]++; last[me] = value }
}

/* pool_cache_leave() */
inline leave()
{
    stores[me]!BUSY,0
}

/* jdb_pool_put(): the fast path, else pool_put_slow() */
inline put()
{
    enter();
    if
    :: inside ->
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
    :: free == 0 && !is_revoked && (busy[whose] != 0 || count[whose] > 0) ->
        revoked[whose] = 1;
        make_barrier();
        take_over(whose);
        revoked[whose] = 0
    :: else
    fi
}

/* jdb_pool_get(): the fast path, else pool_get_under_lock() and jdb__free_collect(), whose last look revokes all caches and
 * leaves them so where it finds nothing */
inline get()
{
    enter();
    if
    :: inside && mine > 0 ->
        set_count(mine - 1);
        leave();
        has_frame = true
    :: inside && mine == 0 -> leave()
    :: else
    fi;
    if
    :: !has_frame ->
        empty(stores[me]);
        take_lock();
        if
        :: waiter_count == 0 ->
            steal(1 - me);
            if
            :: free == 0 -> revoke_all()
            :: else
            fi;
            if
            :: free > 0 -> free--; has_frame = true
            :: else
            fi;
            rebatch()
        :: else
        fi;
        release_lock()
    :: else
    fi
}

/* A thread with a cache; ends without a frame. */
proctype owner(byte me; byte rounds; bool has_frame)
{
    byte mine, moved, served;
    bool inside;
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

/* A thread without a cache, which waits for a frame, and puts it: wait_take_or_queue() with jdb__free_revoke_all() and
 * jdb__waiters_enter(), then wait_sleep() */
proctype waiter(byte me)
{
    byte moved, served;
    bool has_frame = false;
    take_lock();
    if
    :: waiter_count == 0 ->
        revoke_all();
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

init
{
    atomic {
        run drain(0);
        run drain(1);
        run owner(0, 3, FRAMES > 1);
        run owner(1, 2, true);
        run waiter(0)
#ifndef SMALL
        ;
        run waiter(1)
#endif
    }
    ended == OWNERS + WAITERS && empty(stores[0]) && empty(stores[1]);
    assert(count[0] + count[1] + free == FRAMES);
    assert(waiter_count == 0 && revoked[0] == is_revoked && revoked[1] == is_revoked);
    assert(!is_revoked || count[0] + count[1] == 0)
}

#endif
