/* SPDX-License-Identifier: MIT
 *
 * report.c - what was asked of the system, what was obtained, and why not more.
 */
#include "arena/arena_internal.h"

#include "base/bits.h"
#include "base/sized.h"
#include "os/os.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(void *) != 8 || sizeof(jdb_arena_item) == 40, "the layout of 0.1 stays");
_Static_assert(JDB_ARENA_REPORT_NODES == OS_NODE_COUNT, "a report holds what the system reports");

SIZED_FORM(arena_report_form, jdb_arena_report, 8, 1008);

/* ---- Options and refusals --------------------------------------------------------------------------------- */

static const char *const report_item_names[JDB_ARENA_ITEM_COUNT] = {"pages", "fork",     "dump", "name",
                                                                    "numa",  "prefault", "lock", "memfd"};

/* A reason for one error of one item; err 0: for all others. The first that fits counts. */
static const struct {
    uint32_t item;
    int err;
    const char *reason;
} report_reasons[] = {
    {JDB_ARENA_ITEM_PAGES, -ENOMEM,
     "too few huge pages are free: raise vm.nr_hugepages, or the hugetlb limit of the cgroup"},
    {JDB_ARENA_ITEM_PAGES, -EFAULT, "over the hugetlb limit of the cgroup: raise it"},
    {JDB_ARENA_ITEM_PAGES, -EINVAL,
     "the kernel has no huge pages of this kind, or cannot move them (before Linux 5.16)"},
    {JDB_ARENA_ITEM_PAGES, 0, "the system refused huge pages"},
    {JDB_ARENA_ITEM_FORK, 0, "the system refused MADV_DONTFORK: do not fork() while I/O runs"},
    {JDB_ARENA_ITEM_DUMP, 0, "the system refused MADV_DONTDUMP: core dumps hold this memory"},
    {JDB_ARENA_ITEM_NAME, -EINVAL, "the kernel cannot name memory: CONFIG_ANON_VMA_NAME, since Linux 5.17"},
    {JDB_ARENA_ITEM_NAME, -EBADF, "huge pages of hugetlb take no name"},
    {JDB_ARENA_ITEM_NAME, 0, "the system refused the name"},
    {JDB_ARENA_ITEM_NUMA, -EINVAL, "a node of the mask does not exist or is not allowed here: see numactl --hardware"},
    {JDB_ARENA_ITEM_NUMA, -ENOSYS, "the kernel has no NUMA policies"},
    {JDB_ARENA_ITEM_NUMA, -EPERM, "NUMA policies are forbidden here: a container needs CAP_SYS_NICE"},
    {JDB_ARENA_ITEM_NUMA, 0, "the system refused the NUMA policy"},
    {JDB_ARENA_ITEM_PREFAULT, -ENOMEM, "no memory left: the rest comes when touched, if at all"},
    {JDB_ARENA_ITEM_PREFAULT, -EFAULT, "the memory cannot be written: foreign memory must be readable and writable"},
    {JDB_ARENA_ITEM_PREFAULT, 0, "the system refused to make the memory resident"},
    {JDB_ARENA_ITEM_LOCK, -ENOMEM, "over the limit of locked memory: raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)"},
    {JDB_ARENA_ITEM_LOCK, -EPERM, "locking is forbidden: RLIMIT_MEMLOCK is 0 and CAP_IPC_LOCK is missing"},
    {JDB_ARENA_ITEM_LOCK, -EAGAIN, "part of the memory could not be locked"},
    {JDB_ARENA_ITEM_LOCK, 0, "the system refused to lock the memory"},
    {JDB_ARENA_ITEM_MEMFD, -EMFILE, "too many open files: raise RLIMIT_NOFILE"},
    {JDB_ARENA_ITEM_MEMFD, 0, "the system refused a memfd sealed against shrinking"},
};

const char *jdb__arena_reason(uint32_t item, int err)
{
    for (size_t i = 0; i < sizeof report_reasons / sizeof report_reasons[0]; i++)
        if (report_reasons[i].item == item && (report_reasons[i].err == err || report_reasons[i].err == 0))
            return report_reasons[i].reason;
    return "";
}

void jdb__arena_items_init(jdb_arena *arena)
{
    const jdb_arena_options *const options = &arena->options;
    const bool is_foreign = options->foreign_ptr != NULL;
    const uint64_t asked[JDB_ARENA_ITEM_COUNT] = {
        [JDB_ARENA_ITEM_PAGES] = arena->is_attached ? 0 : options->pages,
        [JDB_ARENA_ITEM_FORK] = (options->flags & JDB_ARENA_KEEP_ON_FORK) == 0 && !is_foreign ? 1 : 0,
        [JDB_ARENA_ITEM_DUMP] = (options->flags & JDB_ARENA_DONTDUMP) != 0 ? 1 : 0,
        [JDB_ARENA_ITEM_NAME] = arena->name[0] != '\0' ? 1 : 0,
        [JDB_ARENA_ITEM_NUMA] = options->numa_policy,
        [JDB_ARENA_ITEM_MEMFD] = (options->flags & JDB_ARENA_MEMFD) != 0 ? 1 : 0,
    };
    for (uint32_t i = 0; i < JDB_ARENA_ITEM_COUNT; i++)
        arena->items[i] =
            (jdb_arena_item){.name = report_item_names[i], .reason = "", .asked = asked[i], .obtained = asked[i]};
    if (options->pages == JDB_ARENA_PAGES_BEST && (options->flags & JDB_ARENA_KEEP_ON_FORK) != 0 &&
        (options->flags & JDB_ARENA_MEMFD) == 0)
        jdb__arena_note(
            arena, JDB_ARENA_ITEM_PAGES, -ENOTSUP,
            "children of fork() cannot keep private huge pages of hugetlb: use a memfd, or do not keep them");
}

void jdb__arena_note(jdb_arena *arena, uint32_t item, int err, const char *reason)
{
    JDB_ASSERT(item < JDB_ARENA_ITEM_COUNT && reason != NULL);
    jdb_arena_item *const noted = &arena->items[item];
    noted->err = err;
    noted->reason = reason;
    if (item != JDB_ARENA_ITEM_PREFAULT && item != JDB_ARENA_ITEM_LOCK) /* bytes: counted where they are obtained */
        noted->obtained = 0;
}

int jdb__arena_refuse(jdb_arena *arena, uint32_t item, int err, const char *reason)
{
    jdb__arena_note(arena, item, err, reason);
    if ((arena->options.required >> item & 1) == 0)
        return 0;
    arena->refusal.item = item;
    arena->refusal.reason = reason;
    return err == -ENOMEM ? -ENOMEM : -ENOTSUP;
}

/* ---- The report ------------------------------------------------------------------------------------------- */

static uint32_t report_smallest_kind(const jdb_arena *arena)
{
    uint32_t smallest = arena->parts != NULL ? JDB_ARENA_PAGES_BEST : arena->options.pages;
    for (const struct arena_part *part = arena->parts; part != NULL; part = part->next)
        smallest = (uint32_t)bits_min(part->kind, smallest);
    return smallest;
}

/* The file is there from the start, or where its pages are to be of hugetlb from the first frames on. */
static void report_fill_memfd(const jdb_arena *arena, jdb_arena_item *item)
{
    if (item->asked == 0 || arena->fd >= 0)
        return;
    item->obtained = 0;
    if (item->reason[0] == '\0')
        item->reason = "made with the first frames, which decide the kind of page";
}

static void report_fill_items(const jdb_arena *arena, bool is_made, jdb_arena_report *report)
{
    report->item_count = JDB_ARENA_ITEM_COUNT;
    memcpy(report->items, arena->items, sizeof arena->items);
    jdb_arena_item *const pages = &report->items[JDB_ARENA_ITEM_PAGES];
    if (pages->asked != 0 && arena->parts != NULL)
        pages->obtained = report_smallest_kind(arena);
    report_fill_memfd(arena, &report->items[JDB_ARENA_ITEM_MEMFD]);
    for (uint32_t i = 0; i < JDB_ARENA_ITEM_COUNT && !is_made; i++)
        report->items[i].obtained = 0;
    for (uint32_t i = 0; i < JDB_ARENA_ITEM_COUNT; i++)
        report->items[i].is_obtained = report->items[i].obtained >= report->items[i].asked ? 1 : 0;
    if (pages->asked == JDB_ARENA_PAGES_BEST && is_made)
        pages->is_obtained = pages->obtained != JDB_ARENA_PAGES_NONE ? 1 : 0;
}

/* Bytes of foreign memory that are resident: its mappings may reach beyond it, so each page is looked up. */
static int report_foreign_resident(const jdb_arena *arena, uint64_t *ret_bytes)
{
    const uint64_t page = jdb__os_page_size();
    uint64_t pages = 0;
    for (uint64_t at = 0; at < arena->region.span;) {
        unsigned char is_resident[1024];
        const uint64_t left = arena->region.span - at;
        const uint64_t size = bits_min(left, sizeof is_resident * page);
        const int err = jdb__os_resident(arena->region.base + at, size, is_resident);
        if (err != 0)
            return err;
        for (uint64_t i = 0; i < size / page; i++)
            pages += is_resident[i] & 1u;
        at += size;
    }
    *ret_bytes = pages * page;
    return 0;
}

/* Small pages that were advised to be huge, of memory that the arena mapped, may be larger than they are called. */
static uint64_t report_mthp_size(const jdb_arena *arena)
{
    const uint32_t pages = arena->options.pages;
    const bool is_advised = pages == JDB_ARENA_PAGES_THP || pages == JDB_ARENA_PAGES_BEST;
    if (!is_advised || arena->is_attached || arena->mapping == NULL || arena_is_hugetlb(arena->fd_kind))
        return 0;
    return jdb__os_mthp_size(arena->fd >= 0);
}

static void report_fill_facts(const jdb_arena *arena, jdb_arena_report *report)
{
    struct jdb__os_map_facts facts = {0};
    int err = jdb__os_map_facts(arena->region.base, arena->region.span, &facts);
    if (arena->mapping == NULL) {
        const bool is_locked = arena->usable_bytes > 0 && arena->items[JDB_ARENA_ITEM_LOCK].obtained > 0;
        const int resident_err = report_foreign_resident(arena, &facts.resident);
        err = err == 0 ? resident_err : err;
        facts.locked = is_locked ? facts.resident : facts.locked;
    }
    report->facts_err = (uint64_t)-err;
    report->resident_bytes = facts.resident;
    report->thp_bytes = facts.transparent;
    const uint64_t large = facts.transparent + facts.huge_1g + facts.huge_2m;
    report->small_bytes = facts.resident - bits_min(large, facts.resident);
    report->locked_bytes = facts.locked;
    report->mthp_size = report_mthp_size(arena);
    memcpy(report->node_bytes, facts.node, sizeof facts.node);
    report->other_node_bytes = facts.other_nodes;
}

int jdb__arena_report_check(const jdb_arena_report *report)
{
    return jdb__sized_check(&arena_report_form, report);
}

static void report_fill_refusal(const jdb_arena *arena, jdb_arena_report *report)
{
    const struct arena_refusal *const refusal = &arena->refusal;
    const bool is_refused = refusal->frame_count > 0;
    report->refused_frame_count = refusal->frame_count;
    report->refused_item = is_refused ? refusal->item : JDB_ARENA_ITEM_COUNT;
    report->refused_err = refusal->err;
    report->refused_reason = is_refused && refusal->reason != NULL ? refusal->reason : "";
}

void jdb__arena_report_fill(const jdb_arena *arena, bool is_made, jdb_arena_report *report)
{
    const bool is_foreign = is_made && arena->mapping == NULL;
    jdb_arena_report full = {.usable_bytes = arena->usable_bytes};
    full.reserved_bytes = is_foreign ? arena->region.span : arena->mapping_size;
    full.held_bytes = jdb__arena_held_bytes(arena);
    if (arena->mapping_size > arena->region.span)
        full.guard_bytes = arena->mapping_size - arena->region.span;
    for (const struct arena_part *part = arena->parts; part != NULL; part = part->next) {
        full.hugetlb_1g_bytes += part->kind == JDB_ARENA_PAGES_HUGETLB_1G ? part->size : 0;
        full.hugetlb_2m_bytes += part->kind == JDB_ARENA_PAGES_HUGETLB_2M ? part->size : 0;
    }
    if (is_made) {
        full.pinned_frames = jdb__pins_count(&arena->region.pins, arena_usable_count(arena));
        report_fill_facts(arena, &full);
    }
    report_fill_items(arena, is_made, &full);
    report_fill_refusal(arena, &full);
    jdb__sized_write(&arena_report_form, &full, report);
}

int jdb_arena_get_report(const jdb_arena *arena, jdb_arena_report *report)
{
    if (arena == NULL || report == NULL || jdb__arena_report_check(report) != 0)
        return -EINVAL;
    if (!arena_is_here(arena))
        return -EPERM;
    struct lock *const lock = (struct lock *)&arena->region.lock; /* const means what the arena holds */
    lock_take(lock);
    jdb__arena_report_fill(arena, true, report);
    lock_release(lock);
    return 0;
}

/* ---- As text ---------------------------------------------------------------------------------------------- */

/* Text of limited room whose whole length is counted. */
struct report_text {
    char *start;
    size_t size;
    size_t length;
};

JDB_PRINTF(2, 3) static void text_add(struct report_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const size_t room = text->length < text->size ? text->size - text->length : 0;
    const int length = vsnprintf(room > 0 ? text->start + text->length : NULL, room, format, arguments);
    va_end(arguments);
    text->length += length > 0 ? (size_t)length : 0;
}

static void text_add_bytes(struct report_text *text, const char *what, uint64_t bytes)
{
    if (bytes != 0)
        text_add(text, "%-12s %" PRIu64 " bytes\n", what, bytes);
}

static void text_add_item(struct report_text *text, const jdb_arena_item *item)
{
    if (item->asked == 0 || item->reason[0] == '\0')
        return;
    text_add(text, "%-12s asked %" PRIu64 ", obtained %" PRIu64 ": %s", item->name, item->asked, item->obtained,
             item->reason);
    text_add(text, item->err != 0 ? " (errno %d)\n" : "\n", -item->err);
}

static void text_add_refusal(struct report_text *text, const jdb_arena_report *report)
{
    if (report->refused_frame_count == 0)
        return;
    text_add(text, "%-12s to %" PRIu32 " frames refused", "growth", report->refused_frame_count);
    if (report->refused_item < JDB_ARENA_ITEM_COUNT)
        text_add(text, ", %s: %s", report_item_names[report->refused_item], report->refused_reason);
    text_add(text, " (errno %d)\n", -report->refused_err);
}

int jdb_arena_report_format(const jdb_arena_report *report, char *text, size_t text_size)
{
    if (report == NULL || (text == NULL && text_size > 0) || report->size < offsetof(jdb_arena_report, mthp_size))
        return -EINVAL; /* a smaller one may end within a pointer to a reason */
    struct report_text out = {text, text_size, 0};
    text_add(&out, "%-12s %" PRIu64 " bytes\n", "usable", report->usable_bytes);
    text_add(&out, "%-12s %" PRIu64 " bytes\n", "reserved", report->reserved_bytes);
    text_add_bytes(&out, "hugetlb 1G", report->hugetlb_1g_bytes);
    text_add_bytes(&out, "hugetlb 2M", report->hugetlb_2m_bytes);
    text_add_bytes(&out, "THP", report->thp_bytes);
    text_add_bytes(&out, "small pages", report->small_bytes);
    text_add(&out, "%-12s %" PRIu64 " bytes\n", "resident", report->resident_bytes);
    if (report->size >= offsetof(jdb_arena_report, reserved))
        text_add_bytes(&out, "mTHP up to", report->mthp_size);
    text_add_bytes(&out, "locked", report->locked_bytes);
    text_add_bytes(&out, "held", report->held_bytes);
    for (unsigned node = 0; node < JDB_ARENA_REPORT_NODES; node++)
        if (report->node_bytes[node] != 0)
            text_add(&out, "node %-7u %" PRIu64 " bytes\n", node, report->node_bytes[node]);
    if (report->pinned_frames != 0)
        text_add(&out, "%-12s %" PRIu64 " frames\n", "pinned", report->pinned_frames);
    if (report->facts_err != 0)
        text_add(&out, "%-12s unknown (errno %" PRIu64 ")\n", "resident", report->facts_err);
    for (uint32_t i = 0; i < report->item_count && i < JDB_ARENA_ITEM_COUNT; i++)
        text_add_item(&out, &report->items[i]);
    if (report->size >= offsetof(jdb_arena_report, reserved))
        text_add_refusal(&out, report);
    return (int)out.length;
}
