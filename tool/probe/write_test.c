/* SPDX-License-Identifier: MIT
 *
 * write_test.c - see write_test.h.
 */
#include "probe/write_test.h"

#include "base/invariant.h"
#include "base/rw_flags.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITE_SIZE ((size_t)16 << 20)
#define WRITE_ALIGN ((size_t)64 * 1024)
#define PAGE ((size_t)4096)

/* Pages that the system has dirtied since it started; -1 = unknown. */
static int64_t dirtied_pages(void)
{
    FILE *const file = fopen("/proc/vmstat", "re");
    if (file == NULL)
        return -1;
    char line[128];
    int64_t pages = -1;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "nr_dirtied ", 11) == 0)
            pages = strtoll(line + 11, NULL, 10);
    (void)fclose(file);
    return pages;
}

/* A file without a name, or one that loses it at once where the file system has no such thing. */
static int make_file(const char *directory)
{
    const int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%.4000s/.dio-probe.XXXXXX", directory);
    const int named = mkostemp(path, O_CLOEXEC);
    if (named >= 0)
        (void)unlink(path);
    return named;
}

static void directory_of(const struct path_facts *facts, char directory[PATH_MAX])
{
    (void)snprintf(directory, PATH_MAX, "%s", facts->path);
    if (facts->is_directory)
        return;
    char copy[PATH_MAX];
    memcpy(copy, directory, sizeof copy);
    (void)snprintf(directory, PATH_MAX, "%s", dirname(copy));
}

static void try_write(struct trial *trial, const char *name, int fd, uint8_t *memory, size_t size, int flags)
{
    const struct iovec whole = {.iov_base = memory, .iov_len = size};
    const ssize_t put = fd >= 0 ? pwritev2(fd, &whole, 1, 0, flags) : -1;
    *trial = (struct trial){.name = name, .is_made = fd >= 0, .result = put >= 0 ? put : -errno};
}

/* The large write goes last into an empty file, so that what it dirties is its own. */
static void try_writes(struct write_facts *write_facts, int direct, int plain, uint8_t *memory)
{
    try_write(&write_facts->trials[0], "4096 bytes", direct, memory, 4096, 0);
    try_write(&write_facts->trials[1], "address + 1", direct, memory + 1, 4096, 0);
    try_write(&write_facts->trials[2], "RWF_DSYNC", direct, memory, 4096, RWF_DSYNC);
    try_write(&write_facts->trials[3], "RWF_DONTCACHE", plain, memory, 4096, RWF_DONTCACHE);
    try_write(&write_facts->trials[4], "RWF_ATOMIC", direct, memory, 4096, RWF_ATOMIC);
    (void)fsync(plain);
    write_facts->dirtied_pages = -1;
    const int64_t before = dirtied_pages();
    const ssize_t put = direct >= 0 ? pwrite(direct, memory, WRITE_SIZE, 0) : -1;
    const int64_t after = dirtied_pages();
    if (put <= 0 || before < 0 || after < 0)
        return;
    write_facts->written_pages = put / (ssize_t)PAGE;
    write_facts->dirtied_pages = after - before;
}

bool write_test_run(struct path_facts *facts, int *ret_direct, int *ret_plain)
{
    char directory[PATH_MAX];
    char same[64];
    void *memory = NULL;
    DIO_ASSERT(!facts->is_device); /* R1 */
    directory_of(facts, directory);
    facts->write.is_made = true;
    const int plain = make_file(directory);
    if (plain < 0) {
        facts->write.error = -errno;
        return false;
    }
    (void)snprintf(same, sizeof same, "/proc/self/fd/%d", plain);
    const int direct = open(same, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (facts->is_directory)
        facts->direct_error = direct < 0 ? -errno : 0;
    if (posix_memalign(&memory, WRITE_ALIGN, WRITE_SIZE) == 0) {
        memset(memory, 0x5a, WRITE_SIZE);
        try_writes(&facts->write, direct, plain, memory);
        free(memory);
    }
    *ret_direct = direct;
    *ret_plain = plain;
    return true;
}
