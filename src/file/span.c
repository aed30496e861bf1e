/* SPDX-License-Identifier: MIT
 *
 * file_span.c - the spans that are being written: lists in order of arrival, by a hash of the file. Floor 4.
 *
 * Invariants, under the lock of a list:
 *   - a span is granted when no earlier span of its file overlaps it, and stays so until it is given back
 *   - every span in the list is on the stack of a thread of this process that is within take and give; a list whose mark
 *     is another process's is empty
 */
#include "file/span.h"
#include "base/check.h"
#include "file/lock.h"
#include "os/os.h"

#include <stdbool.h>
#include <stddef.h>

#define LIST_BITS 6

static struct span_list {
    _Alignas(64) struct jdb__file_lock lock;
    uint64_t mark; /* fork mark of the process that the spans are of */
    struct jdb__file_span *first;
} lists[1 << LIST_BITS];

static struct span_list *list_of(const struct jdb__file_span *span)
{
    const uint64_t mixed = (span->inode ^ span->device << 32) * UINT64_C(0x9e3779b97f4a7c15);
    return &lists[mixed >> (64 - LIST_BITS)];
}

static void lock(struct span_list *list)
{
    const uint64_t mark = jdb__file_lock(&list->lock);
    if (list->mark == mark)
        return;
    list->mark = mark;
    list->first = NULL;
}

static bool overlap(const struct jdb__file_span *a, const struct jdb__file_span *b)
{
    return a->start < b->end && b->start < a->end && a->inode == b->inode && a->device == b->device;
}

/* Whether an earlier span overlaps this one, which is in the list. */
static bool is_blocked(const struct span_list *list, const struct jdb__file_span *span)
{
    for (const struct jdb__file_span *earlier = list->first; earlier != span; earlier = earlier->next)
        if (overlap(earlier, span))
            return true;
    return false;
}

/* The link that leads to the span, or to the end of the list for NULL. */
static struct jdb__file_span **link_to(struct span_list *list, const struct jdb__file_span *span)
{
    struct jdb__file_span **link = &list->first;
    while (*link != span)
        link = &(*link)->next;
    return link;
}

void jdb__file_span_take(struct jdb__file_span *span)
{
    struct span_list *const list = list_of(span);
    JDB_ASSERT(span->start < span->end);
    span->next = NULL;
    lock(list);
    *link_to(list, NULL) = span;
    span->is_granted = !is_blocked(list, span);
    jdb__file_unlock(&list->lock);
    while (__atomic_load_n(&span->is_granted, __ATOMIC_ACQUIRE) == 0)
        jdb__os_sleep(&span->is_granted, 0, UINT64_MAX);
}

void jdb__file_span_give(struct jdb__file_span *span)
{
    struct span_list *const list = list_of(span);
    lock(list);
    JDB_ASSERT(span->is_granted != 0 && !is_blocked(list, span));
    *link_to(list, span) = span->next;
    for (struct jdb__file_span *later = span->next; later != NULL; later = later->next)
        if (later->is_granted == 0 && overlap(span, later) && !is_blocked(list, later)) {
            __atomic_store_n(&later->is_granted, 1, __ATOMIC_RELEASE);
            jdb__os_wake(&later->is_granted); /* it stays in the list, and so on its stack, until the lock is free */
        }
    jdb__file_unlock(&list->lock);
}
