/* SPDX-License-Identifier: MIT
 *
 * profile.h - samples of lent buffers, each with the stack of the call that lent it and the bytes that it stands for.
 *
 * Where to sample is decided on slow paths alone, from what a thread has lent and no sample stands for yet:
 *
 *     unseen = taken out of the heap and the shared caches - given back - in the thread's cache - its samples' bytes
 *
 * This is exact however many calls took the fast path in between: those move runs between the thread's cache and the user.
 * Once unseen is over a number drawn at random, with the bytes from one sample to the next as its mean, a call is sampled, and the
 * sample stands for all that was unseen; so the samples of all threads add up to what is lent. A call whose own buffer brought it
 * there is sampled itself. Where earlier ones did, by the fast path, one of the next 16 pages is drawn, and until it is lent the
 * thread's calls go the slow way (registry.h): else it would always be the call that finds a bin empty. A buffer as large as the
 * mean or larger is sampled for its own bytes.
 *
 * A sampled run has the flag SAMPLED in its word, so that freeing it goes the slow way and its bytes are unseen again: another
 * call is drawn for them. Where that happens again and again right after the sample was taken, the thread takes none for a
 * while: a loop that allocates and frees would walk its stack each time.
 *
 * Memory: tables of a fixed size, from the system, when the profile is started first. Where they are full, a thread waits
 * with its sample, and unknown stacks count as one.
 *
 * Lock: the profile's, the last in the order of os/fork.h. Stacks are walked without it.
 */
#ifndef JDB_PROFILE_H
#define JDB_PROFILE_H

#include "os/fork.h"
#include "page/zone.h"

struct thread_cache;

/* Samples of a thread that were freed right after they were taken. */
struct profile_rest {
    uint64_t until_ms;    /* no sample before that time */
    uint32_t quick_count; /* two for each, less one for each sample */
};

/* What a thread with a cache knows of its samples. */
struct profile_thread {
    uint32_t sample_at;           /* unseen pages from which on the next sample is due */
    uint32_t skipped;             /* pages of calls to let go by before it, where it is overdue */
    uint32_t forced_count;        /* calls in a row that were made slow for a sample */
    struct profile_rest rests[2]; /* of buffers below the mean, and of others */
};

/* Pages that the calling thread took and did not give back, less those that its samples stand for: times PROFILE_PAGE, plus the
 * number of the start of the profile that they belong to, so that both take one word. */
extern _Thread_local int64_t jdb__profile_here FORK_TLS;

#define PROFILE_PAGE INT64_C(65536)

extern atomic_bool jdb__profile_is_on;

static inline bool profile_is_on(void)
{
    return atomic_load_explicit(&jdb__profile_is_on, memory_order_relaxed);
}

/* The calling thread took pages out of the heap or the shared caches, or gave pages back. */
static inline void profile_count_taken(uint64_t pages)
{
    jdb__profile_here += (int64_t)pages * PROFILE_PAGE;
}

static inline void profile_count_given(uint64_t pages)
{
    jdb__profile_here -= (int64_t)pages * PROFILE_PAGE;
}

/* The calling thread begins, with this cache. */
void jdb__profile_enter(struct thread_cache *cache);

/* A decay poll: where a sample is due, the thread's next call takes the slow path, so that it can be sampled. */
void jdb__profile_poll(struct thread_cache *cache);

/* The run at ptr was lent by a slow call, or has grown: `fresh` pages of it are new. Sample it, if one is due. cache: NULL: the
 * thread has none. */
void jdb__profile_lent(struct thread_cache *cache, const uint8_t *ptr, uint32_t fresh);

/* A sampled run is freed, before its word changes. Returns whether it is to go to the heap, past the thread's cache: a large
 * one, so that the next call that lends it is a slow one. */
bool jdb__profile_freed(const struct run *run);

/* A sampled run has grown by moving; `from` is freed. */
void jdb__profile_moved(const struct run *from, const struct run *to);

/* The calling thread ends, or has no cache: others sample what it left unseen. Where the profile was started since its last call,
 * that is what this one lent (less than 0: gave back), so many pages. */
void jdb__profile_leave(int64_t call_pages);

void jdb__profile_before_fork(void);
void jdb__profile_after_fork(void);

#endif
