/* SPDX-License-Identifier: MIT
 *
 * pages.c - lends runs of pages, each a mapping of its own, from one list under one lock. Floor 3.
 */
#include "pages.h"

#include "bits.h"
#include "check.h"
#include "jdb_alloc/pages.h"
#include "jdb_alloc/pin.h"
#include "os.h"
#include "regions.h"

#include <pthread.h>
#include <string.h>

struct run {
    struct run *next;
    uint8_t *ptr;
    size_t size;
    size_t max;
    size_t pins;
    bool dying;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct run *runs;

static struct run **find(const uint8_t *ptr)
{
    struct run **link = &runs;
    while (*link != NULL && !(ptr >= (*link)->ptr && (size_t)(ptr - (*link)->ptr) < (*link)->max))
        link = &(*link)->next;
    return link;
}

static int lend(size_t size, size_t max, size_t align, uint8_t **ret_ptr)
{
    void *base = NULL;
    void *node = NULL;
    int err = os_alloc(sizeof(struct run), &node);
    if (err != 0)
        return err;
    if (max > PTRDIFF_MAX - align || (err = os_reserve(max + align, &base)) != 0) {
        os_free(node);
        return -ENOMEM;
    }
    uint8_t *const start = (uint8_t *)bits_round_up((uintptr_t)base, align);
    err = os_commit(start, bits_round_up(size, os_page_size()));
    if (err != 0) {
        os_unmap(base, max + align);
        os_free(node);
        return err;
    }
    struct run *const run = node;
    if (start != base)
        os_unmap(base, (size_t)(start - (uint8_t *)base));
    os_unmap(start + max, align - (size_t)(start - (uint8_t *)base));
    *run = (struct run){.ptr = start, .size = size, .max = max};
    pthread_mutex_lock(&lock);
    run->next = runs;
    runs = run;
    pthread_mutex_unlock(&lock);
    *ret_ptr = start;
    return 0;
}

int jdb__pages_lend(size_t size, size_t align, bool zeroed, uint8_t **ret_ptr)
{
    (void)zeroed;
    return lend(size, size, align, ret_ptr);
}

int jdb__pages_lend_max(size_t size, size_t max, uint8_t **ret_ptr)
{
    return lend(size, max, JDB_PAGE_SIZE, ret_ptr);
}

static void release(struct run **link)
{
    struct run *const run = *link;
    *link = run->next;
    os_unmap(run->ptr, run->max);
    os_free(run);
}

void jdb__pages_take_back(uint8_t *ptr, size_t size)
{
    pthread_mutex_lock(&lock);
    struct run **const link = find(ptr);
    if (*link == NULL || (*link)->ptr != ptr || (*link)->size != size || (*link)->dying)
        JDB_BREACH("drop of a buffer that is not lent: dropped twice, or its ptr or cap was changed", ptr);
    if ((*link)->pins > 0)
        (*link)->dying = true;
    else
        release(link);
    pthread_mutex_unlock(&lock);
}

bool jdb__pages_is_lent(const uint8_t *ptr, size_t size)
{
    pthread_mutex_lock(&lock);
    const struct run *const run = *find(ptr);
    const bool lent = run != NULL && run->ptr == ptr && run->size == size && !run->dying;
    pthread_mutex_unlock(&lock);
    return lent;
}

int jdb__pages_grow(uint8_t *ptr, size_t size, size_t data_size, size_t least, size_t best, uint8_t **ret_ptr,
                    size_t *ret_size)
{
    pthread_mutex_lock(&lock);
    struct run *const run = *find(ptr);
    const bool in_place = run != NULL && run->max >= least;
    const bool bounded = run != NULL && run->max > size;
    const bool pinned = run != NULL && run->pins > 0;
    int err = 0;
    if (in_place && (err = os_commit(ptr, least)) == 0)
        run->size = least;
    pthread_mutex_unlock(&lock);
    if (run == NULL || (bounded && !in_place))
        return -ENOBUFS;
    if (in_place) {
        *ret_ptr = ptr;
        *ret_size = least;
        return err;
    }
    if (pinned)
        return -EBUSY;
    uint8_t *moved = NULL;
    err = lend(best, best, JDB_PAGE_SIZE, &moved);
    if (err != 0)
        return err;
    memcpy(moved, ptr, data_size);
    jdb__pages_take_back(ptr, size);
    *ret_ptr = moved;
    *ret_size = best;
    return 0;
}

int jdb__pages_shrink(uint8_t *ptr, size_t size, size_t new_size)
{
    (void)size;
    pthread_mutex_lock(&lock);
    struct run *const run = *find(ptr);
    const int err = run->pins > 0 ? -EBUSY : 0;
    if (err == 0) {
        os_unmap(ptr + new_size, run->max - new_size);
        run->size = new_size;
        run->max = new_size;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

static int change_pins(const void *ptr, size_t size, bool add)
{
    if (ptr == NULL || size == 0)
        return -EINVAL;
    pthread_mutex_lock(&lock);
    struct run **const link = find(ptr);
    struct run *const run = *link;
    int err = 0;
    if (run == NULL)
        err = -ENOTSUP;
    else if (size > run->size - (size_t)((const uint8_t *)ptr - run->ptr))
        err = -ERANGE;
    else if (add)
        run->pins++;
    else if (run->pins == 0)
        err = -EINVAL;
    else if (--run->pins == 0 && run->dying)
        release(link);
    pthread_mutex_unlock(&lock);
    return err;
}

int jdb_pin(const void *ptr, size_t size)
{
    const int err = change_pins(ptr, size, true);
    return err == -ENOTSUP ? jdb__regions_pin(ptr, size) : err;
}

int jdb_unpin(const void *ptr, size_t size)
{
    const int err = change_pins(ptr, size, false);
    return err == -ENOTSUP ? jdb__regions_unpin(ptr, size) : err;
}

bool jdb_is_pinned(const void *ptr, size_t size)
{
    pthread_mutex_lock(&lock);
    const struct run *const run = *find(ptr);
    const bool pinned = run != NULL && run->pins > 0;
    pthread_mutex_unlock(&lock);
    return pinned || (run == NULL && jdb__regions_is_pinned(ptr, size));
}
