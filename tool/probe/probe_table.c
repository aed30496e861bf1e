/* SPDX-License-Identifier: MIT
 *
 * probe_table.c - see probe_print.h.
 */
#include "probe/probe_print.h"

#include "base/escape.h"
#include "base/sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LABEL_WIDTH 14

/* "  label         text" */
__attribute__((format(printf, 2, 3))) static void row(const char *label, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)printf("  %-*s ", LABEL_WIDTH, label);
    escape_vprint(stdout, format, arguments);
    (void)putchar('\n');
    va_end(arguments);
}

static int end_of_part(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -1;
}

/* ---- Paths -------------------------------------------------------------------------------------------------- */

static const char *state_text(const jdb_direct *limits, char text[64])
{
    if (limits->read_state == limits->write_state)
        return jdb_direct_state_name(limits->state);
    (void)snprintf(text, 64, "reads %s, writes %s", jdb_direct_state_name(limits->read_state),
                   jdb_direct_state_name(limits->write_state));
    return text;
}

static void print_devices(const struct device_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        const struct device_link *const link = &chain->links[i];
        row(i == 0 ? "device" : "", "%*s%s%s: logical %" PRIu32 ", physical %" PRIu32 ", memory %" PRIu32 "%s%s%s%s",
            (int)(2 * link->depth), "", link->depth != 0 ? "on " : "", link->name, link->logical_size,
            link->physical_size, link->memory_align, link->is_partition ? ", partition" : "",
            link->backing[0] != '\0' ? ", loop over " : "", link->backing,
            link->backing[0] == '\0'  ? ""
            : link->is_backing_direct ? " (direct)"
                                      : " (buffered)");
    }
    if (chain->count == 0)
        row("device", "unknown to the system");
}

static void print_limits(const jdb_direct *limits)
{
    row("must", "address %" PRIu32 " (%s), write %" PRIu32 " (%s), read %" PRIu32 " (%s)", limits->memory_align,
        jdb_direct_source_name(limits->memory_source), limits->write_align,
        jdb_direct_source_name(limits->write_source), limits->read_align, jdb_direct_source_name(limits->read_source));
    row("should", "address %" PRIu32 ", write %" PRIu32 ", read %" PRIu32, limits->recommended_memory_align,
        limits->recommended_write_size, limits->recommended_read_size);
}

static const char *result_text(const struct trial *trial)
{
    if (trial->result >= 0)
        return trial->result > 0 ? "ok" : "no bytes";
    if (trial->result == -EINVAL)
        return "refused";
    return trial->result == -EOPNOTSUPP ? "not supported" : strerror(-(int)trial->result);
}

static void add_trial(char *line, size_t line_size, const struct trial *trial)
{
    const size_t used = strlen(line);
    if (!trial->is_made)
        return;
    (void)snprintf(line + used, line_size - used, "%s%s: %s", used != 0 ? ", " : "", trial->name, result_text(trial));
}

static void print_trials(const char *label, const struct trial *trials, size_t count)
{
    char line[512] = "";
    for (size_t i = 0; i < count; i++)
        add_trial(line, sizeof line, &trials[i]);
    if (line[0] != '\0')
        row(label, "%s", line);
}

static void print_abilities(const struct path_facts *facts)
{
    char least[SIZE_TEXT_SIZE];
    char most[SIZE_TEXT_SIZE];
    const jdb_direct *const limits = &facts->limits;
    if (facts->uncached.is_made)
        row("uncached", "%s", facts->uncached.result >= 0 ? "yes (RWF_DONTCACHE)" : result_text(&facts->uncached));
    if (limits->atomic_min_size != 0)
        row("atomic writes", "%s to %s", size_text_exact(limits->atomic_min_size, least),
            size_text_exact(limits->atomic_max_size, most));
    else
        row("atomic writes", "none");
    if (facts->polled.is_made)
        row("polled I/O", "%s", facts->polled.result >= 0 ? "yes (IOPOLL)" : result_text(&facts->polled));
}

static void print_write_test(const struct path_facts *facts)
{
    const struct write_facts *const written = &facts->write;
    if (!written->is_made)
        return;
    if (written->error != 0) {
        row("write test", "cannot create a temporary file: %s", strerror(-written->error));
        return;
    }
    print_trials("write test", written->trials, WRITE_TRIAL_COUNT);
    if (written->written_pages != 0 && written->dirtied_pages >= 0)
        row("", "%" PRId64 " pages written; meanwhile %" PRId64 " pages of the page cache became dirty, system-wide%s",
            written->written_pages, written->dirtied_pages,
            device_chain_has_loop(&facts->chain) ? " (those of a loop device's file too)" : "");
}

int probe_table_path(const struct path_facts *facts)
{
    char text[64];
    escape_print(stdout, "%s", facts->path);
    (void)putchar('\n');
    if (facts->error != 0) {
        row("failed", "%s: %s", facts->failed, strerror(-facts->error));
        return end_of_part();
    }
    row("direct I/O", "%s%s", state_text(&facts->limits, text), facts->is_on_temporary ? " (temporary file)" : "");
    row("because", "%s [%s]", facts->limits.reason, jdb_direct_source_name(facts->limits.state_source));
    if (facts->mount.type[0] != '\0')
        row("file system", "%s on %s, mounted at %s", facts->mount.type, facts->mount.source, facts->mount.point);
    print_devices(&facts->chain);
    if (!facts->is_directory || facts->is_on_temporary) {
        print_limits(&facts->limits);
        print_trials("trial reads", facts->reads, READ_TRIAL_COUNT);
        print_abilities(facts);
    }
    print_write_test(facts);
    return end_of_part();
}

/* ---- The machine -------------------------------------------------------------------------------------------- */

static const char *limit_text(uint64_t limit, char text[SIZE_TEXT_SIZE])
{
    return limit == UINT64_MAX ? "unlimited" : size_text_exact((int64_t)limit, text);
}

static void print_memlock(const struct machine_facts *facts)
{
    char soft[SIZE_TEXT_SIZE];
    char hard[SIZE_TEXT_SIZE];
    char need[SIZE_TEXT_SIZE];
    row("locked memory", "soft %s, hard %s%s", limit_text(facts->memlock_soft, soft),
        limit_text(facts->memlock_hard, hard),
        facts->has_ipc_lock ? "; CAP_IPC_LOCK: the limit does not count here" : "");
    if (facts->has_ipc_lock || facts->memlock_need <= facts->memlock_soft)
        return;
    row("", "registering %s with io_uring takes a limit of at least that (for all rings of the user):",
        size_text_exact((int64_t)facts->memlock_need, need));
    row("", "  systemd: LimitMEMLOCK=%" PRIu64 "   docker: --ulimit memlock=%" PRIu64, facts->memlock_need,
        facts->memlock_need);
    row("", "  /etc/security/limits.conf: * - memlock %" PRIu64 "   shell: ulimit -l %" PRIu64,
        facts->memlock_need / 1024, facts->memlock_need / 1024);
}

static void print_huge_pages(const struct machine_facts *facts)
{
    char text[SIZE_TEXT_SIZE];
    row("huge pages", "transparent: %s", facts->thp[0] != '\0' ? facts->thp : "unknown");
    for (size_t i = 0; i < facts->huge_count; i++) {
        const struct huge_facts *const huge = &facts->huge[i];
        (void)size_text_exact((int64_t)huge->page_size, text);
        if (huge->total != 0)
            row("", "%s: %" PRIu64 " of %" PRIu64 " free", text, huge->free, huge->total);
        else
            row("", "%s: none; echo N > /sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages", text,
                huge->page_size / 1024);
    }
}

int probe_table_machine(const struct machine_facts *facts)
{
    (void)printf("this machine\n");
    row("kernel", "%s, pages of %" PRIu64, facts->kernel, facts->page_size);
    if (facts->uring_error == 0)
        row("io_uring", "yes");
    else
        row("io_uring", "no: %s; %s", strerror(-facts->uring_error), facts->uring_hint);
    print_memlock(facts);
    print_huge_pages(facts);
    if (facts->node_count != 0)
        row("NUMA nodes", "%" PRIu32, facts->node_count);
    return end_of_part();
}
