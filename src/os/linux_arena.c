/* SPDX-License-Identifier: MIT
 *
 * linux_arena.c - the window to the system on Linux: what arenas ask for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers of the kernel that older headers of libc lack; source: include/uapi of Linux 6.18. */
#define ADVICE_POPULATE_WRITE 23
#define ADVICE_DONTNEED_LOCKED 24
#define ADVICE_COLLAPSE 25
#define SET_VMA 0x53564d41
#define SET_VMA_ANON_NAME 0
#define LOCK_ON_FAULT 1u
#define HUGE_SHIFT 26
#define MEMFD_CLOEXEC 1u
#define MEMFD_ALLOW_SEALING 2u
#define MEMFD_HUGETLB 4u
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SHRINK 2
#endif

/* ---- Advice ----------------------------------------------------------------------------------------------- */

static int os_advise(enum os_call call, void *ptr, size_t size, int advice)
{
    const int fault = jdb__os_fault(call);
    if (fault != 0)
        return fault;
    return madvise(ptr, size, advice) == 0 ? 0 : -errno;
}

int jdb__os_keep_from_children(void *ptr, size_t size)
{
    return os_advise(OS_CALL_ADVISE, ptr, size, MADV_DONTFORK);
}

int jdb__os_keep_from_dumps(void *ptr, size_t size)
{
    return os_advise(OS_CALL_ADVISE, ptr, size, MADV_DONTDUMP);
}

int jdb__os_advise_huge(void *ptr, size_t size, bool huge)
{
    return os_advise(OS_CALL_ADVISE, ptr, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

int jdb__os_collapse(void *ptr, size_t size)
{
    return os_advise(OS_CALL_ADVISE, ptr, size, ADVICE_COLLAPSE);
}

int jdb__os_name(void *ptr, size_t size, const char *name)
{
    const int fault = jdb__os_fault(OS_CALL_NAME);
    if (fault != 0)
        return fault;
    return prctl(SET_VMA, SET_VMA_ANON_NAME, ptr, size, name) == 0 ? 0 : -errno;
}

int jdb__os_bind(void *ptr, size_t size, enum os_numa policy, const uint64_t *nodes)
{
    const int fault = jdb__os_fault(OS_CALL_BIND);
    if (fault != 0)
        return fault;
    const unsigned long max_node = 256 + 1; /* the kernel looks at one bit less */
    return syscall(SYS_mbind, ptr, size, (int)policy, nodes, max_node, 0u) == 0 ? 0 : -errno;
}

int jdb__os_populate(void *ptr, size_t size)
{
    int err;
    OS_RETRY(err, os_advise(OS_CALL_POPULATE, ptr, size, ADVICE_POPULATE_WRITE));
    return err;
}

int jdb__os_touch(void *ptr)
{
    const int fault = jdb__os_fault(OS_CALL_TOUCH);
    if (fault != 0)
        return fault;
    uint32_t nobody = 0; /* who would be woken: nobody sleeps on it */
    const long woken = syscall(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, NULL, ptr,
                               FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, 0));
    return woken >= 0 ? 0 : -errno;
}

int jdb__os_lock(void *ptr, size_t size, bool on_fault)
{
    const int fault = jdb__os_fault(OS_CALL_LOCK);
    if (fault != 0)
        return fault;
    return syscall(SYS_mlock2, ptr, size, on_fault ? LOCK_ON_FAULT : 0u) == 0 ? 0 : -errno;
}

int jdb__os_unlock(void *ptr, size_t size)
{
    const int fault = jdb__os_fault(OS_CALL_LOCK);
    if (fault != 0)
        return fault;
    return munlock(ptr, size) == 0 ? 0 : -errno;
}

int jdb__os_decommit_locked(void *ptr, size_t size)
{
    return os_advise(OS_CALL_ADVISE, ptr, size, ADVICE_DONTNEED_LOCKED);
}

/* ---- Maps ------------------------------------------------------------------------------------------------- */

static int os_log2_of(size_t power)
{
    return __builtin_ctzll(power);
}

static int os_map_pages(void *at, size_t size, int flags, int fd, int64_t offset, void **ret_ptr)
{
    const int fault = jdb__os_fault(OS_CALL_MAP);
    if (fault != 0)
        return fault;
    void *const ptr = mmap(at, size, PROT_READ | PROT_WRITE, flags, fd, offset);
    if (ptr == MAP_FAILED)
        return -errno;
    *ret_ptr = ptr;
    return 0;
}

int jdb__os_map_huge(size_t size, size_t page_size, void **ret_ptr)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (os_log2_of(page_size) << HUGE_SHIFT);
    return os_map_pages(NULL, size, flags, -1, 0, ret_ptr);
}

int jdb__os_map_file(int fd, int64_t offset, size_t size, void **ret_ptr)
{
    return os_map_pages(NULL, size, MAP_SHARED, fd, offset, ret_ptr);
}

/* Not by MAP_FIXED: before Linux 6.12 the kernel unmaps what was there, and only then asks the file. */
int jdb__os_map_file_at(int fd, int64_t offset, size_t size, void *at)
{
    void *file = NULL;
    int err = jdb__os_map_file(fd, offset, size, &file);
    if (err != 0)
        return err;
    err = jdb__os_move_over(file, size, at);
    if (err != 0)
        munmap(file, size);
    return err;
}

/* ---- Files in memory -------------------------------------------------------------------------------------- */

int jdb__os_memfd_new(const char *name, size_t page_size, int *ret_fd)
{
    const int fault = jdb__os_fault(OS_CALL_MEMFD);
    if (fault != 0)
        return fault;
    unsigned flags = MEMFD_CLOEXEC | MEMFD_ALLOW_SEALING;
    if (page_size != 0)
        flags |= MEMFD_HUGETLB | (unsigned)os_log2_of(page_size) << HUGE_SHIFT;
    const long fd = syscall(SYS_memfd_create, name, flags);
    if (fd < 0)
        return -errno;
    *ret_fd = (int)fd;
    return 0;
}

int jdb__os_memfd_seal_size(int fd)
{
    const int fault = jdb__os_fault(OS_CALL_MEMFD);
    if (fault != 0)
        return fault;
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0 ? 0 : -errno;
}

int jdb__os_memfd_is_sealed(int fd, bool *ret_sealed)
{
    const int fault = jdb__os_fault(OS_CALL_MEMFD);
    if (fault != 0)
        return fault;
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return -errno;
    *ret_sealed = (seals & F_SEAL_SHRINK) != 0;
    return 0;
}

int jdb__os_memfd_resize(int fd, int64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_TRUNCATE);
    if (fault != 0)
        return fault;
    return ftruncate(fd, size) == 0 ? 0 : -errno;
}

int jdb__os_memfd_punch(int fd, int64_t offset, int64_t size)
{
    const int fault = jdb__os_fault(OS_CALL_ADVISE);
    if (fault != 0)
        return fault;
    int err = 0;
    OS_UNCANCELLED(err, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) == 0 ? 0 : -errno);
    return err;
}

int jdb__os_fd_duplicate(int fd, int *ret_fd)
{
    const int fault = jdb__os_fault(OS_CALL_OPEN);
    if (fault != 0)
        return fault;
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    *ret_fd = copy;
    return 0;
}

int jdb__os_fd_close(int fd)
{
    const int fault = jdb__os_fault(OS_CALL_CLOSE);
    const int err = os_close_uncancelled(fd);
    return err == 0 ? fault : err;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

#define OS_THREADS_MAX 16

unsigned jdb__os_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

struct os_job {
    void (*work)(void *context, unsigned index);
    void *context;
    unsigned index;
};

static void *os_run_job(void *context)
{
    const struct os_job *const job = context;
    job->work(job->context, job->index);
    return NULL;
}

static int os_start_thread(struct os_job *job, pthread_t *ret_thread)
{
    const int fault = jdb__os_fault(OS_CALL_THREAD);
    return fault != 0 ? fault : -pthread_create(ret_thread, NULL, os_run_job, job);
}

void jdb__os_run_parallel(unsigned count, void (*work)(void *context, unsigned index), void *context)
{
    pthread_t threads[OS_THREADS_MAX];
    struct os_job jobs[OS_THREADS_MAX];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the program's handlers run on the program's threads */
    unsigned started = 1;
    for (; started < count && started < OS_THREADS_MAX; started++) {
        jobs[started] = (struct os_job){work, context, started};
        if (os_start_thread(&jobs[started], &threads[started]) != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    work(context, 0);
    const int cancel_before = os_cancel_put_off();
    for (unsigned i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
    os_cancel_restore(cancel_before);
}

/* ---- Facts ------------------------------------------------------------------------------------------------ */

struct os_range {
    uint64_t start;
    uint64_t end;
};

static int os_read_lines_once(const char *path, void (*take)(void *context, const char *line), void *context)
{
    FILE *const file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    char line[1024];
    bool is_start = true;
    while (fgets(line, sizeof line, file) != NULL) {
        if (is_start)
            take(context, line);
        is_start = strchr(line, '\n') != NULL;
    }
    const int err = ferror(file) != 0 ? -EIO : 0;
    fclose(file);
    return err;
}

/* Hands each line of a file to take(); of a longer one the start. */
static int os_read_lines(const char *path, void (*take)(void *context, const char *line), void *context)
{
    int err = jdb__os_fault(OS_CALL_FACTS);
    if (err == 0)
        OS_UNCANCELLED(err, os_read_lines_once(path, take, context));
    return err;
}

struct os_smaps_reader {
    struct os_range range;
    struct jdb__os_map_facts *facts;
    uint64_t page_size; /* of the mapping whose lines come, 0 = outside of the range */
    uint64_t resident;  /* of that mapping */
    bool touches;       /* it has a byte of the range */
};

/* "7f12a000-7f12c000 rw-p ..." */
static bool os_is_map_head(const char *line, struct os_range *ret_range)
{
    char *end = NULL;
    ret_range->start = strtoull(line, &end, 16);
    if (end == line || *end != '-')
        return false;
    const char *const second = end + 1;
    ret_range->end = strtoull(second, &end, 16);
    return end != second && *end == ' ';
}

/* Bytes of a line "Key:   123 kB". */
static bool os_is_map_key(const char *line, const char *key, uint64_t *ret_bytes)
{
    const size_t length = strlen(key);
    if (strncmp(line, key, length) != 0 || line[length] != ':')
        return false;
    *ret_bytes = strtoull(line + length + 1, NULL, 10) * 1024;
    return true;
}

/* "VmFlags: rd wr mr mw me lo ac". The number in "Locked:" is a share of what other mappings of the same pages have too
 * (PSS). */
static bool os_is_locked_map(const char *line)
{
    return strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " lo") != NULL;
}

static void os_take_smaps(void *context, const char *line)
{
    struct os_smaps_reader *const reader = context;
    struct jdb__os_map_facts *const facts = reader->facts;
    struct os_range head;
    uint64_t bytes = 0;
    if (os_is_map_head(line, &head)) {
        const bool inside = head.start >= reader->range.start && head.end <= reader->range.end;
        reader->page_size = inside ? 1 : 0;
        reader->resident = 0;
        reader->touches = head.start < reader->range.end && head.end > reader->range.start;
    } else if (reader->touches && os_is_locked_map(line)) {
        facts->has_locked_map = true;
        facts->locked += reader->resident;
    } else if (reader->page_size == 0) {
        return;
    } else if (os_is_map_key(line, "KernelPageSize", &bytes)) {
        reader->page_size = bytes;
    } else if (os_is_map_key(line, "Rss", &bytes)) {
        facts->resident += bytes;
        reader->resident = bytes;
    } else if (os_is_map_key(line, "AnonHugePages", &bytes) || os_is_map_key(line, "ShmemPmdMapped", &bytes)) {
        facts->transparent += bytes;
    } else if (os_is_map_key(line, "Shared_Hugetlb", &bytes) || os_is_map_key(line, "Private_Hugetlb", &bytes)) {
        facts->resident += bytes;
        *(reader->page_size > (2u << 20) ? &facts->huge_1g : &facts->huge_2m) += bytes;
    }
}

struct os_numa_reader {
    struct os_range range;
    struct jdb__os_map_facts *facts;
};

static void os_add_node(struct jdb__os_map_facts *facts, const char *word, uint64_t page_size)
{
    char *end = NULL;
    const unsigned long node = strtoul(word + 1, &end, 10);
    if (end == word + 1 || *end != '=')
        return;
    const uint64_t bytes = strtoull(end + 1, NULL, 10) * page_size;
    *(node < OS_NODE_COUNT ? &facts->node[node] : &facts->other_nodes) += bytes;
}

/* "7f12a000 bind:0 anon=3 N0=2 N1=1 kernelpagesize_kB=4" */
static void os_take_numa_maps(void *context, const char *line)
{
    const struct os_numa_reader *const reader = context;
    char *word = NULL;
    const uint64_t start = strtoull(line, &word, 16);
    const char *const size = strstr(line, "kernelpagesize_kB=");
    if (word == line || size == NULL || start < reader->range.start || start >= reader->range.end)
        return;
    const uint64_t page_size = strtoull(size + strlen("kernelpagesize_kB="), NULL, 10) * 1024;
    for (const char *next = strstr(word, " N"); next != NULL; next = strstr(next + 1, " N"))
        os_add_node(reader->facts, next + 1, page_size);
}

int jdb__os_map_facts(const void *ptr, size_t size, struct jdb__os_map_facts *ret_facts)
{
    const struct os_range range = {(uintptr_t)ptr, (uintptr_t)ptr + size};
    *ret_facts = (struct jdb__os_map_facts){0};
    struct os_smaps_reader smaps = {.range = range, .facts = ret_facts};
    struct os_numa_reader numa = {range, ret_facts};
    const int err = os_read_lines("/proc/self/smaps", os_take_smaps, &smaps);
    const int numa_err = os_read_lines("/proc/self/numa_maps", os_take_numa_maps, &numa);
    return err != 0 ? err : numa_err;
}

/* ---- Transparent huge pages of several sizes --------------------------------------------------------------- */

#define THP_DIRECTORY "/sys/kernel/mm/transparent_hugepage/"
#define MTHP_MAX_KIB 1024u

/* "always inherit [madvise] never": whether one of these words is the chosen one. */
static bool os_has_chosen(const char *line, const char *const *words)
{
    const char *const chosen = strchr(line, '[');
    for (; chosen != NULL && *words != NULL; words++)
        if (strncmp(chosen + 1, *words, strlen(*words)) == 0)
            return true;
    return false;
}

struct os_thp_reader {
    bool is_allowed;
    bool is_inherited;
};

static void os_take_thp(void *context, const char *line)
{
    static const char *const allowed[] = {"always]", "madvise]", "advise]", "within_size]", "force]", NULL};
    static const char *const inherited[] = {"inherit]", NULL};
    struct os_thp_reader *const reader = context;
    reader->is_allowed = os_has_chosen(line, allowed);
    reader->is_inherited = os_has_chosen(line, inherited);
}

uint64_t jdb__os_mthp_size(bool is_shared)
{
    const char *const name = is_shared ? "shmem_enabled" : "enabled";
    struct os_thp_reader all = {0};
    char path[128];
    snprintf(path, sizeof path, THP_DIRECTORY "%s", name);
    if (os_read_lines(path, os_take_thp, &all) != 0)
        return 0;
    for (uint64_t kib = MTHP_MAX_KIB; kib * 1024 > jdb__os_page_size(); kib /= 2) {
        struct os_thp_reader one = {0};
        snprintf(path, sizeof path, THP_DIRECTORY "hugepages-%ukB/%s", (unsigned)kib, name);
        if (os_read_lines(path, os_take_thp, &one) == 0 && (one.is_allowed || (one.is_inherited && all.is_allowed)))
            return kib * 1024;
    }
    return 0;
}

/* ---- Nodes ------------------------------------------------------------------------------------------------ */

/* "0-3,8": the last number. */
static void os_take_nodes(void *context, const char *line)
{
    const char *last = line;
    for (const char *at = line; *at != '\0'; at++)
        if (*at == '-' || *at == ',')
            last = at + 1;
    *(unsigned *)context = (unsigned)strtoul(last, NULL, 10) + 1;
}

unsigned jdb__os_node_count(void)
{
    static _Atomic unsigned known;
    struct os_topology made_up;
    if (jdb__os_topology(&made_up))
        return made_up.node_count;
    unsigned count = known;
    if (count == 0 && os_read_lines("/sys/devices/system/node/online", os_take_nodes, &count) != 0)
        return 1;
    known = count;
    return count != 0 ? count : 1;
}

unsigned jdb__os_node_here(void)
{
    unsigned node = 0;
    struct os_topology made_up;
    if (jdb__os_topology(&made_up))
        return made_up.node_here();
    return syscall(SYS_getcpu, NULL, &node, NULL) == 0 ? node : 0;
}

int jdb__os_nodes_of(const void *const *pages, size_t count, int *ret_nodes)
{
    const int fault = jdb__os_fault(OS_CALL_NODES);
    if (fault != 0)
        return fault;
    struct os_topology made_up;
    if (!jdb__os_topology(&made_up))
        return syscall(SYS_move_pages, 0, count, pages, NULL, ret_nodes, 0) == 0 ? 0 : -errno;
    for (size_t i = 0; i < count; i++)
        ret_nodes[i] = made_up.node_of(pages[i]);
    return 0;
}
