/* SPDX-License-Identifier: MIT
 *
 * span.c - the spans that are being written: lists in order of request, by a hash of the file.
 *
 * Under the lock of a list (I7):
 *   - a span is granted once no earlier span of its file overlaps it, and stays granted until it is given back
 *   - every span in the list is on the stack of a thread of this process between take and give; a list with the mark of another
 *     process is empty
 */
#include "file/span.h"
#include "base/check.h"
#include "file/lock.h"
#include "os/os.h"

#include <stdbool.h>
#include <stddef.h>

#define SPAN_LIST_BITS 6

static struct span_list {
    _Alignas(64) struct jdb__file_lock lock;
    uint64_t mark; /* fork mark of the process that the spans are of */
    struct jdb__file_span *first;
} span_lists[1 << SPAN_LIST_BITS];

static struct span_list *span_list_of(const struct jdb__file_span *span)
{
    const uint64_t mixed = (span->inode ^ span->device << 32) * UINT64_C(0x9e3779b97f4a7c15);
    return &span_lists[mixed >> (64 - SPAN_LIST_BITS)];
}

static void span_lock(struct span_list *list)
{
    const uint64_t mark = jdb__file_lock(&list->lock);
    if (list->mark == mark)
        return;
    list->mark = mark;
    list->first = NULL;
}

static bool span_overlaps(const struct jdb__file_span *a, const struct jdb__file_span *b)
{
    return a->start < b->end && b->start < a->end && a->inode == b->inode && a->device == b->device;
}

/* Whether an earlier span overlaps this one, which is in the list. */
static bool span_is_blocked(const struct span_list *list, const struct jdb__file_span *span)
{
    for (const struct jdb__file_span *earlier = list->first; earlier != span; earlier = earlier->next) {
        JDB_ASSERT(earlier != NULL);
        if (span_overlaps(earlier, span))
            return true;
    }
    return false;
}

/* The link that leads to the span, or to the end of the list for NULL. */
static struct jdb__file_span **span_link_to(struct span_list *list, const struct jdb__file_span *span)
{
    struct jdb__file_span **link = &list->first;
    while (*link != span) {
        JDB_ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    return link;
}

void jdb__file_span_take(struct jdb__file_span *span)
{
    struct span_list *const list = span_list_of(span);
    JDB_ASSERT(span->start < span->end && (span->device | span->inode) != 0);
    span->next = NULL;
    span_lock(list);
    *span_link_to(list, NULL) = span;
    span->is_granted = !span_is_blocked(list, span);
    jdb__file_unlock(&list->lock);
    while (__atomic_load_n(&span->is_granted, __ATOMIC_ACQUIRE) == 0)
        jdb__os_sleep(&span->is_granted, 0, UINT64_MAX);
}

void jdb__file_span_give(struct jdb__file_span *span)
{
    struct span_list *const list = span_list_of(span);
    span_lock(list);
    JDB_ASSERT(span->is_granted != 0 && !span_is_blocked(list, span)); /* I7 */
    *span_link_to(list, span) = span->next;
    for (struct jdb__file_span *later = span->next; later != NULL; later = later->next)
        if (later->is_granted == 0 && span_overlaps(span, later) && !span_is_blocked(list, later)) {
            __atomic_store_n(&later->is_granted, 1, __ATOMIC_RELEASE);
            jdb__os_wake(&later->is_granted); /* it stays on its stack until the lock is free */
        }
    jdb__file_unlock(&list->lock);
}
