/* SPDX-License-Identifier: MIT
 *
 * machine_facts.c - see machine_facts.h.
 */
#include "probe/machine_facts.h"

#include "base/text_file.h"

#include <jdb_alloc/uring.h>

#include <dirent.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CAP_IPC_LOCK_BIT 14 /* capability.h */
#define HUGE_DIRECTORY "/sys/kernel/mm/hugepages"

/* The value of a line "NAME:  VALUE" of /proc/self/status. */
static bool read_status(const char *name, char *value, size_t value_size)
{
    FILE *const file = fopen("/proc/self/status", "re");
    if (file == NULL)
        return false;
    char line[256];
    bool is_found = false;
    const size_t length = strlen(name);
    while (!is_found && fgets(line, sizeof line, file) != NULL) {
        is_found = strncmp(line, name, length) == 0 && line[length] == ':';
        if (is_found) {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(value, value_size, "%s", line + length + 1 + strspn(line + length + 1, " \t"));
        }
    }
    (void)fclose(file);
    return is_found;
}

static void find_uring(struct machine_facts *facts)
{
    struct io_uring ring;
    facts->uring_disabled = text_file_number("/proc/sys/kernel/io_uring_disabled", -1);
    facts->uring_error = io_uring_queue_init(8, &ring, 0);
    if (facts->uring_error == 0) {
        io_uring_queue_exit(&ring);
        return;
    }
    const jdb_uring_reason why = jdb_uring_explain_ring(facts->uring_error);
    const char *const by_sysctl = facts->uring_disabled > 0 ? "sysctl kernel.io_uring_disabled is set: " : "";
    const char *const by_seccomp =
        facts->uring_disabled <= 0 && facts->seccomp_mode > 0 ? "a seccomp filter is active: " : "";
    (void)snprintf(facts->uring_hint, sizeof facts->uring_hint, "%s%s%s; %s", by_sysctl, by_seccomp, why.reason,
                   why.remedy);
}

static void find_memlock(struct machine_facts *facts)
{
    struct rlimit limit;
    char text[64];
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
        facts->memlock_soft = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
        facts->memlock_hard = limit.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit.rlim_max;
    }
    if (read_status("CapEff", text, sizeof text))
        facts->has_ipc_lock = (strtoull(text, NULL, 16) >> CAP_IPC_LOCK_BIT & 1) != 0;
}

static void find_huge_pages(struct machine_facts *facts)
{
    char text[128];
    if (text_file_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text)) {
        const char *const chosen = strchr(text, '[');
        if (chosen != NULL)
            (void)snprintf(facts->thp, sizeof facts->thp, "%.*s", (int)strcspn(chosen + 1, "]"), chosen + 1);
    }
    DIR *const directory = opendir(HUGE_DIRECTORY);
    if (directory == NULL)
        return;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char path[512];
        if (strncmp(entry->d_name, "hugepages-", 10) != 0 || facts->huge_count == HUGE_SIZE_MAX)
            continue;
        struct huge_facts *const huge = &facts->huge[facts->huge_count++];
        huge->page_size = strtoull(entry->d_name + 10, NULL, 10) * 1024;
        (void)snprintf(path, sizeof path, HUGE_DIRECTORY "/%s/nr_hugepages", entry->d_name);
        huge->total = (uint64_t)text_file_number(path, 0);
        (void)snprintf(path, sizeof path, HUGE_DIRECTORY "/%s/free_hugepages", entry->d_name);
        huge->free = (uint64_t)text_file_number(path, 0);
    }
    (void)closedir(directory);
}

static void find_nodes(struct machine_facts *facts)
{
    DIR *const directory = opendir("/sys/devices/system/node");
    if (directory == NULL)
        return;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        facts->node_count +=
            strncmp(entry->d_name, "node", 4) == 0 && entry->d_name[4] >= '0' && entry->d_name[4] <= '9';
    (void)closedir(directory);
}

void machine_facts_find(struct machine_facts *facts, uint64_t arena_size)
{
    struct utsname system_name;
    char text[32];
    memset(facts, 0, sizeof *facts);
    if (uname(&system_name) == 0)
        (void)snprintf(facts->kernel, sizeof facts->kernel, "%.20s %.80s %.20s", system_name.sysname,
                       system_name.release, system_name.machine);
    facts->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    facts->seccomp_mode = read_status("Seccomp", text, sizeof text) ? strtoll(text, NULL, 10) : -1;
    facts->memlock_need = arena_size;
    find_uring(facts);
    find_memlock(facts);
    find_huge_pages(facts);
    find_nodes(facts);
}
