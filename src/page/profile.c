/* SPDX-License-Identifier: MIT
 *
 * profile.c - when to sample, and the tables of samples and stacks.
 */
#include "page/profile.h"

#include "base/bits.h"
#include "base/check.h"
#include "jdb_alloc/pages.h"
#include "jdb_alloc/profile.h"
#include "os/os.h"
#include "page/heap.h"
#include "page/profile_table.h"
#include "page/registry.h"

/* A sample that was freed within this time is of little use. After so many more of them than of others the thread takes none
 * for a while. */
#define PROFILE_QUICK_MS 8
#define PROFILE_QUICK_MAX 16
#define PROFILE_REST_MS 5

/* Calls of a thread that go the slow way for a sample, from one decay poll to the next, where they lend nothing. */
#define PROFILE_FORCED_MAX 2

/* Pages of the calls among which an overdue sample is drawn. */
#define PROFILE_SKIPPED 16

_Thread_local int64_t jdb__profile_here;
atomic_bool jdb__profile_is_on;

static _Atomic int64_t profile_left_pages; /* unseen pages of threads that ended or have no cache */
static _Atomic uint64_t profile_random;
static _Atomic uint32_t profile_mean_pages;
static _Atomic uint16_t profile_starts; /* their number, below PROFILE_PAGE */

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
static uint64_t profile_draw(void)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = atomic_fetch_add_explicit(&profile_random, step, memory_order_relaxed) + step;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t profile_mean(void)
{
    return atomic_load_explicit(&profile_mean_pages, memory_order_relaxed);
}

static void profile_draw_next(struct profile_thread *thread)
{
    const uint64_t drawn = profile_draw();
    const uint64_t mean = profile_mean();
    thread->sample_at = (uint32_t)(1 + drawn % (2 * mean));
    thread->skipped = (uint32_t)(drawn >> 40) % PROFILE_SKIPPED;
}

static int64_t profile_pages(void)
{
    return (jdb__profile_here - (uint16_t)jdb__profile_here) / PROFILE_PAGE;
}

static void profile_set_pages(int64_t pages)
{
    jdb__profile_here = pages * PROFILE_PAGE + (uint16_t)jdb__profile_here;
}

/* Whether the profile was started since the thread looked last: it has no pages then. */
static bool profile_is_begun(void)
{
    const uint16_t start = atomic_load_explicit(&profile_starts, memory_order_acquire); /* the mean too */
    if ((uint16_t)jdb__profile_here == start)
        return false;
    jdb__profile_here = start;
    return true;
}

void jdb__profile_enter(struct thread_cache *cache)
{
    cache->profile = (struct profile_thread){0};
    (void)profile_is_begun();
    if (profile_mean() > 0)
        profile_draw_next(&cache->profile);
}

/* Where the profile was started since: what the thread lent before this call, `fresh` pages of it, is seen. */
static void profile_begin(struct thread_cache *cache, uint32_t fresh)
{
    if (!profile_is_begun())
        return;
    cache->profile = (struct profile_thread){0};
    profile_draw_next(&cache->profile);
    profile_set_pages((int64_t)(jdb__thread_cache_pages(cache) + fresh));
}

/* Pages that the thread lent and that no sample stands for. The thread takes over what others left. */
static int64_t profile_unseen(struct thread_cache *cache)
{
    if (atomic_load_explicit(&profile_left_pages, memory_order_relaxed) != 0)
        profile_set_pages(profile_pages() + atomic_exchange_explicit(&profile_left_pages, 0, memory_order_relaxed));
    return profile_pages() - (int64_t)jdb__thread_cache_pages(cache);
}

/* Whether a buffer is sampled for its own bytes: large, and lent by the slow path or from the list of larger runs. */
static bool profile_is_large(uint64_t pages)
{
    return pages >= profile_mean() && pages > CLASS_PAGES_MAX;
}

static struct profile_rest *profile_rest_of(struct thread_cache *cache, uint64_t pages)
{
    return &cache->profile.rests[profile_is_large(pages)];
}

/* Whether a sample is due, and *ret_unseen. What is cached is counted only where it matters. */
static bool profile_is_due(struct thread_cache *cache, int64_t *ret_unseen)
{
    const struct profile_thread *const thread = &cache->profile;
    if (profile_pages() < (int64_t)thread->sample_at)
        return false;
    *ret_unseen = profile_unseen(cache);
    return *ret_unseen >= (int64_t)thread->sample_at && jdb__os_coarse_ms() >= thread->rests[0].until_ms;
}

/* Of calls that only free there may be many: not each goes the slow way. */
void jdb__profile_poll(struct thread_cache *cache)
{
    int64_t unseen = 0;
    struct profile_thread *const thread = &cache->profile;
    profile_begin(cache, 0);
    if (profile_is_due(cache, &unseen) && thread->forced_count < PROFILE_FORCED_MAX) {
        thread->forced_count++;
        jdb__registry_poll_next(cache);
    } else {
        thread->forced_count = 0;
    }
}

/* A sample that stands for so many pages. False: there is no room for it. The frame of this function is left out of the stack. */
static JDB_NOINLINE bool profile_sample(struct thread_cache *cache, const uint8_t *ptr, int64_t pages)
{
    void *frames[PROFILE_FRAMES_MAX];
    struct run run;
    const unsigned depth = jdb__os_stack(1, PROFILE_FRAMES_MAX, frames);
    if (!jdb__heap_find(ptr, &run))
        JDB_BREACH("the tables of the page allocator were overwritten", ptr);
    const struct profile_sample sample = {
        .address = (uintptr_t)ptr,
        .size = run_bytes(&run),
        .bytes = (uint64_t)pages * JDB_PAGE_SIZE,
        .taken_ms = jdb__os_coarse_ms(),
    };
    if (!jdb__profile_add(&sample, frames, depth))
        return false;
    word_mark_sampled(run_word(&run));
    profile_set_pages(profile_pages() - pages);
    if (cache == NULL)
        return true;
    struct profile_rest *const rest = profile_rest_of(cache, run_pages(&run));
    rest->quick_count -= rest->quick_count > 0;
    profile_draw_next(&cache->profile);
    return true;
}

/* Sample, unless the thread rests; it does where there is no room. */
static void profile_try(struct thread_cache *cache, struct profile_rest *rest, const uint8_t *ptr, int64_t pages)
{
    const uint64_t now = jdb__os_coarse_ms();
    if (now >= rest->until_ms && !profile_sample(cache, ptr, pages))
        rest->until_ms = now + PROFILE_REST_MS;
}

/* Of a thread without a cache: what all those leave is sampled together. */
static void profile_lent_without_cache(const uint8_t *ptr, uint32_t fresh)
{
    const int64_t mean = (int64_t)profile_mean();
    jdb__profile_leave((int64_t)fresh);
    if (fresh < mean && atomic_load_explicit(&profile_left_pages, memory_order_relaxed) < mean)
        return;
    profile_set_pages(atomic_exchange_explicit(&profile_left_pages, 0, memory_order_relaxed));
    if (fresh >= mean || profile_pages() >= mean)
        profile_sample(NULL, ptr, fresh >= mean ? (int64_t)fresh : profile_pages());
    jdb__profile_leave(0);
}

void jdb__profile_lent(struct thread_cache *cache, const uint8_t *ptr, uint32_t fresh)
{
    if (cache == NULL) {
        profile_lent_without_cache(ptr, fresh);
        return;
    }
    struct profile_thread *const thread = &cache->profile;
    int64_t unseen = 0;
    profile_begin(cache, fresh);
    if (profile_is_large(fresh)) {
        profile_try(cache, &thread->rests[1], ptr, (int64_t)fresh);
        return;
    }
    if (!profile_is_due(cache, &unseen))
        return;
    const bool is_overdue = unseen - (int64_t)fresh >= (int64_t)thread->sample_at;
    if (is_overdue && thread->skipped >= fresh) {
        thread->skipped -= fresh;
        thread->forced_count = 0;
        jdb__registry_poll_next(cache);
        return;
    }
    profile_try(cache, &thread->rests[0], ptr, unseen);
}

/* The thread has unseen bytes again, and rests where that comes too often. */
static void profile_take_back(const struct profile_sample *sample)
{
    const int64_t pages = (int64_t)(sample->bytes / JDB_PAGE_SIZE);
    struct thread_cache *const cache = jdb__registry_here();
    const uint64_t now = jdb__os_coarse_ms();
    profile_set_pages(profile_pages() + pages);
    if (cache == NULL)
        jdb__profile_leave(pages);
    if (cache == NULL || now - sample->taken_ms >= PROFILE_QUICK_MS)
        return;
    struct profile_rest *const rest = profile_rest_of(cache, sample->size / JDB_PAGE_SIZE);
    rest->quick_count += 2;
    if (rest->quick_count < PROFILE_QUICK_MAX)
        return;
    rest->quick_count = 0;
    rest->until_ms = now + PROFILE_REST_MS;
}

bool jdb__profile_freed(const struct run *run)
{
    struct profile_sample sample;
    word_clear_sampled(run_word(run));
    if (!jdb__profile_remove((uintptr_t)run_address(run), &sample))
        return false;
    profile_take_back(&sample);
    return profile_is_on() && profile_is_large(run_pages(run));
}

void jdb__profile_moved(const struct run *from, const struct run *to)
{
    word_clear_sampled(run_word(from));
    if (jdb__profile_rename((uintptr_t)run_address(from), (uintptr_t)run_address(to)))
        word_mark_sampled(run_word(to));
}

void jdb__profile_leave(int64_t call_pages)
{
    if (profile_is_begun())
        profile_set_pages(call_pages);
    if (profile_is_on())
        atomic_fetch_add_explicit(&profile_left_pages, profile_pages(), memory_order_relaxed);
    profile_set_pages(0);
}

/* ---- Start and stop --------------------------------------------------------------------------------------- */

/* Bytes from one sample to the next, on average. */
#define PROFILE_DEFAULT_BYTES (UINT64_C(16) << 20)

int jdb_profile_start(uint64_t sample_bytes)
{
    const uint64_t bytes = sample_bytes == 0 ? PROFILE_DEFAULT_BYTES : sample_bytes;
    const uint64_t pages = bits_min(bits_max(bytes / JDB_PAGE_SIZE, 1), UINT32_MAX / 2);
    void *frame = NULL;
    if (jdb__os_stack(0, 1, &frame) == 0)
        return -ENOTSUP;
    const int err = jdb__profile_open();
    if (err != 0)
        return err;
    atomic_store_explicit(&profile_mean_pages, (uint32_t)pages, memory_order_relaxed);
    atomic_fetch_add_explicit(&profile_random, jdb__os_clock_ns(), memory_order_relaxed);
    atomic_fetch_add_explicit(&profile_starts, 1, memory_order_release);
    atomic_store_explicit(&profile_left_pages, 0, memory_order_relaxed);
    atomic_store_explicit(&jdb__profile_is_on, true, memory_order_relaxed);
    jdb_thread_flush(); /* what this thread lends from now on is unseen */
    return 0;
}

void jdb_profile_stop(void)
{
    atomic_store_explicit(&jdb__profile_is_on, false, memory_order_relaxed);
}
