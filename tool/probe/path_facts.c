/* SPDX-License-Identifier: MIT
 *
 * path_facts.c - see path_facts.h.
 */
#include "probe/path_facts.h"

#include "base/lease.h"
#include "base/rw_flags.h"
#include "probe/write_test.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ROOM ((size_t)256 * 1024)
#define ROOM_ALIGN ((size_t)64 * 1024)

/* ---- Trials of reading -------------------------------------------------------------------------------------- */

/* excess: bytes that the address is past a multiple of 64 KiB. */
static void try_read(struct trial *trial, const char *name, int fd, uint8_t *memory, size_t excess, size_t size,
                     off_t offset)
{
    const ssize_t got = pread(fd, memory + excess, size, offset);
    *trial = (struct trial){.name = name, .is_made = true, .result = got >= 0 ? got : -errno};
}

static void try_reads(struct path_facts *facts, int direct, uint8_t *memory)
{
    try_read(&facts->reads[0], "512 bytes", direct, memory, 0, 512, 0);
    try_read(&facts->reads[1], "4096 bytes", direct, memory, 0, 4096, 0);
    try_read(&facts->reads[2], "address + 1", direct, memory, 1, 4096, 0);
    try_read(&facts->reads[3], "offset + 1", direct, memory, 0, 4096, 1);
    try_read(&facts->reads[4], "length - 1", direct, memory, 0, 4095, 0);
}

static void try_uncached(struct trial *trial, int plain, uint8_t *memory)
{
    const struct iovec whole = {.iov_base = memory, .iov_len = 1};
    const ssize_t got = preadv2(plain, &whole, 1, 0, RWF_DONTCACHE);
    *trial = (struct trial){.name = "RWF_DONTCACHE", .is_made = true, .result = got >= 0 ? got : -errno};
}

/* A ring for polling can always be made; whether the device polls shows in the read alone. */
static void try_polled(struct trial *trial, int direct, uint8_t *memory)
{
    struct io_uring ring;
    struct io_uring_cqe *cqe = NULL;
    *trial =
        (struct trial){.name = "IOPOLL", .is_made = true, .result = io_uring_queue_init(2, &ring, IORING_SETUP_IOPOLL)};
    if (trial->result < 0)
        return;
    struct io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
    io_uring_prep_read(sqe, direct, memory, 4096, 0);
    trial->result = io_uring_submit(&ring);
    if (trial->result >= 0)
        trial->result = io_uring_wait_cqe(&ring, &cqe);
    if (trial->result >= 0) {
        trial->result = cqe->res;
        io_uring_cqe_seen(&ring, cqe);
    }
    io_uring_queue_exit(&ring);
}

static void try_all(struct path_facts *facts, int direct, int plain)
{
    void *memory = NULL;
    if (posix_memalign(&memory, ROOM_ALIGN, ROOM) != 0)
        return;
    if (direct >= 0)
        try_reads(facts, direct, memory);
    try_uncached(&facts->uncached, plain, memory);
    if (direct >= 0)
        try_polled(&facts->polled, direct, memory);
    free(memory);
}

/* ---- Where it lies ------------------------------------------------------------------------------------------ */

/* Some file systems have no device number that sysfs knows: their mount names the device, overlayfs a directory. */
static void find_chain(struct path_facts *facts, const struct stat *stat_of_path)
{
    const dev_t own = S_ISBLK(stat_of_path->st_mode) ? stat_of_path->st_rdev : stat_of_path->st_dev;
    struct stat other;
    char upper[PATH_MAX];
    device_chain_add(&facts->chain, major(own), minor(own), 0);
    if (facts->chain.count != 0)
        return;
    if (facts->mount.source[0] == '/' && stat(facts->mount.source, &other) == 0 && S_ISBLK(other.st_mode))
        device_chain_add(&facts->chain, major(other.st_rdev), minor(other.st_rdev), 0);
    else if (mount_facts_option(&facts->mount, "upperdir", upper) && stat(upper, &other) == 0)
        device_chain_add(&facts->chain, major(other.st_dev), minor(other.st_dev), 0);
}

/* ---- One path ----------------------------------------------------------------------------------------------- */

static void fail_path(struct path_facts *facts, const char *failed, int error)
{
    facts->failed = failed;
    facts->error = error;
}

/* Limits and trials of the descriptors; direct is -1 where O_DIRECT is refused. */
static void find_limits(struct path_facts *facts, int direct, int plain)
{
    facts->limits = JDB_DIRECT_INIT;
    const int err = jdb_direct_limits(direct >= 0 ? direct : plain, &facts->limits);
    if (err != 0) {
        fail_path(facts, "cannot get its direct I/O limits", err);
        return;
    }
    if (direct < 0) {
        facts->limits.state = JDB_DIRECT_STATE_REFUSED;
        facts->limits.read_state = JDB_DIRECT_STATE_REFUSED;
        facts->limits.write_state = JDB_DIRECT_STATE_REFUSED;
        facts->limits.state_source = JDB_DIRECT_SOURCE_TRIAL;
        (void)snprintf(facts->limits.reason, sizeof facts->limits.reason, "open with O_DIRECT: %s",
                       strerror(-facts->direct_error));
    }
    try_all(facts, direct, plain);
}

static void find_file(struct path_facts *facts)
{
    const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
    const int plain = lease_open(facts->path, flags);
    if (plain < 0) {
        fail_path(facts, "cannot open it", -errno);
        return;
    }
    const int direct = open(facts->path, flags | O_DIRECT);
    facts->direct_error = direct < 0 ? -errno : 0;
    find_limits(facts, direct, plain);
    if (direct >= 0)
        (void)close(direct);
    (void)close(plain);
}

/* The limits are those of a file: without one in it nothing is known of a directory. */
static void find_directory(struct path_facts *facts)
{
    facts->limits = JDB_DIRECT_INIT;
    facts->limits.state = JDB_DIRECT_STATE_UNKNOWN;
    facts->limits.read_state = JDB_DIRECT_STATE_UNKNOWN;
    facts->limits.write_state = JDB_DIRECT_STATE_UNKNOWN;
    facts->limits.state_source = JDB_DIRECT_SOURCE_ASSUMED;
    (void)snprintf(facts->limits.reason, sizeof facts->limits.reason,
                   "a directory: name a file in it, or use --write-test to try with a temporary one");
}

void path_facts_find(struct path_facts *facts, const char *path, bool is_write_test)
{
    struct stat stat_of_path;
    memset(facts, 0, sizeof *facts);
    facts->path = path;
    if (stat(path, &stat_of_path) != 0) {
        fail_path(facts, "cannot find it", -errno);
        return;
    }
    facts->is_directory = S_ISDIR(stat_of_path.st_mode);
    facts->is_device = S_ISBLK(stat_of_path.st_mode);
    if (!facts->is_directory && !facts->is_device && !S_ISREG(stat_of_path.st_mode)) {
        fail_path(facts, "neither a regular file, a directory nor a block device", -ENOTSUP);
        return;
    }
    if (!facts->is_device)
        (void)mount_facts_find(&facts->mount, path);
    find_chain(facts, &stat_of_path);
    if (facts->is_directory)
        find_directory(facts);
    else
        find_file(facts);
    int direct = -1;
    int plain = -1;
    if (!is_write_test || facts->is_device || facts->error != 0 || !write_test_run(facts, &direct, &plain))
        return;
    if (facts->is_directory) {
        facts->is_on_temporary = true;
        find_limits(facts, direct, plain);
    }
    if (direct >= 0)
        (void)close(direct);
    (void)close(plain);
}
