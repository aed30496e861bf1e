/* SPDX-License-Identifier: MIT
 *
 * guard.c - pages that are read-only while they are written from; a page stays so until its last guard ends.
 *
 * Operations of all rings and threads that guard pages at this moment are in one list, under one lock: guards find
 * errors of a program, they are not made for speed. Each of them has STATE_GUARDED and at least one whole page. A child
 * of fork() starts with an empty list.
 */
#include "uring/op.h"

#include <pthread.h>

static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static jdb_uring_op *guards; /* linked by next_guard */

struct guard_span {
    uintptr_t start;
    uintptr_t end;
};

/* Pages that lie whole in the view: one that is shared with a neighbour stays writable. Empty: start >= end. */
static struct guard_span whole_pages(const jdb_uring_op *op)
{
    const uint64_t page_size = jdb__ring_page_size();
    return (struct guard_span){(uintptr_t)bits_round_up((uintptr_t)op->view.ptr, page_size),
                               (uintptr_t)bits_round_down((uintptr_t)op->view.ptr + op->asked_size, page_size)};
}

/* [start, end) lies within the view. */
static int guard_protect(const jdb_uring_op *op, uintptr_t start, uintptr_t end, bool is_writable)
{
    uint8_t *const ptr = op->view.ptr + (start - (uintptr_t)op->view.ptr);
    return jdb__ring_protect(ptr, end - start, is_writable);
}

void jdb__uring_guard(jdb_uring_op *op)
{
    const struct guard_span pages = whole_pages(op);
    if (pages.start >= pages.end)
        return;
    pthread_mutex_lock(&guard_lock);
    if (guard_protect(op, pages.start, pages.end, false) == 0) {
        op->state |= STATE_GUARDED;
        op->next_guard = guards;
        guards = op;
    }
    pthread_mutex_unlock(&guard_lock);
}

/* The end of the guards that cover `at`, or `at` when there is none. *ret_next: where the next guard behind it starts,
 * or end. */
static uintptr_t guard_end(uintptr_t at, uintptr_t end, uintptr_t *ret_next)
{
    uintptr_t until = at;
    *ret_next = end;
    for (const jdb_uring_op *op = guards; op != NULL; op = op->next_guard) {
        const struct guard_span pages = whole_pages(op);
        if (pages.start <= at && pages.end > until)
            until = pages.end;
        else if (pages.start > at && pages.start < *ret_next)
            *ret_next = pages.start;
    }
    return until;
}

static void guard_remove(const jdb_uring_op *op)
{
    jdb_uring_op **link = &guards;
    while (*link != NULL && *link != op)
        link = &(*link)->next_guard;
    if (*link != NULL)
        *link = op->next_guard;
}

void jdb__uring_unguard(jdb_uring_op *op)
{
    const struct guard_span pages = whole_pages(op);
    JDB_ASSERT(pages.start < pages.end);
    pthread_mutex_lock(&guard_lock);
    guard_remove(op);
    uintptr_t at = pages.start;
    while (at < pages.end) {
        uintptr_t next = 0;
        const uintptr_t until = guard_end(at, pages.end, &next);
        if (until == at)
            (void)guard_protect(op, at, next, true);
        at = until == at ? next : until;
    }
    pthread_mutex_unlock(&guard_lock);
}

void jdb__uring_forget_guards(void)
{
    guards = NULL;
    pthread_mutex_init(&guard_lock, NULL);
}
