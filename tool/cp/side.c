/* SPDX-License-Identifier: MIT
 *
 * side.c - see side.h.
 */
#include "cp/side.h"

#include "base/refusal.h"
#include "base/rw_flags.h"

#include <jdb_alloc/direct.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a pipe";
    case S_IFCHR:
        return "a character device";
    case S_IFSOCK:
        return "a socket";
    default:
        return "neither a file nor a block device";
    }
}

int side_identify(struct side *side, struct outcome *outcome)
{
    if (fstat(side->plain, &side->stat) != 0)
        return outcome_fail_path(outcome, errno, "examine", side->path);
    side->is_device = S_ISBLK(side->stat.st_mode);
    side->size = (int64_t)side->stat.st_size;
    if (S_ISREG(side->stat.st_mode))
        return 0;
    if (!side->is_device)
        return outcome_fail(outcome, DIO_EXIT_FAILED, S_ISDIR(side->stat.st_mode) ? EISDIR : EINVAL,
                            "'%s' is %s; dio cp copies one file or block device to another", side->path,
                            kind_of(side->stat.st_mode));
    uint64_t bytes = 0;
    if (ioctl(side->plain, BLKGETSIZE64, &bytes) != 0)
        return outcome_fail_path(outcome, errno, "get the size of", side->path);
    side->size = (int64_t)bytes;
    return 0;
}

static void leave_direct(struct side *side, enum side_mode mode)
{
    side->mode = mode;
    side->memory_align = side->read_align = side->write_align = 1;
    side->is_unproven = false;
}

static void be_direct(struct side *side, const jdb_direct *limits)
{
    side->mode = SIDE_DIRECT;
    side->memory_align = limits->memory_align;
    side->read_align = limits->read_align;
    side->write_align = limits->write_align;
    DIO_ASSERT(side->direct >= 0 && side->memory_align > 0 && side->read_align > 0 && side->write_align > 0);
    side->best_size = side->is_target ? limits->recommended_write_size : limits->recommended_read_size;
    const uint32_t state = side->is_target ? limits->write_state : limits->read_state;
    side->is_unproven = state == JDB_DIRECT_STATE_UNKNOWN;
    if (side->is_unproven)
        (void)snprintf(side->reason, sizeof side->reason, "%s", limits->reason);
}

static void choose_from_limits(struct side *side)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    const int err = jdb_direct_limits(side->direct, &limits);
    const uint32_t state = side->is_target ? limits.write_state : limits.read_state;
    if (err == 0 && (state == JDB_DIRECT_STATE_DIRECT || state == JDB_DIRECT_STATE_UNKNOWN)) {
        be_direct(side, &limits);
        return;
    }
    (void)snprintf(side->reason, sizeof side->reason, "%s", err != 0 ? strerror(-err) : limits.reason);
}

/* -1 and the reason where open refuses O_DIRECT. Opened by its descriptor: the name may lead to another file by now. */
static int open_direct(struct side *side, int access)
{
    char same[32];
    (void)snprintf(same, sizeof same, "/proc/self/fd/%d", side->plain);
    const int fd = open(same, access | O_DIRECT | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        (void)snprintf(side->reason, sizeof side->reason, "open with O_DIRECT: %s%s", strerror(errno),
                       errno == ENOENT ? " (is /proc mounted?)" : "");
    return fd;
}

static int fail_not_direct(const struct side *side, struct outcome *outcome)
{
    return outcome_fail(outcome, DIO_EXIT_NOT_DIRECT, EINVAL,
                        "'%s' cannot be %s with direct I/O (--require): %s; leave --require out to copy it anyway",
                        side->path, side->is_target ? "written" : "read", side->reason);
}

int side_open_stream(struct side *side, struct outcome *outcome, const char *path)
{
    side->path = path;
    side->is_stream = true;
    side->plain = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (side->plain < 0 || fstat(side->plain, &side->stat) != 0)
        return outcome_fail(outcome, DIO_EXIT_FAILED, errno, "cannot read %s: %s", path, strerror(errno));
    leave_direct(side, SIDE_BUFFERED);
    side->best_size = 1;
    return 0;
}

int side_choose_mode(struct side *side, struct outcome *outcome, int access, enum side_mode best)
{
    side->best_size = side->stat.st_blksize;
    leave_direct(side, best == SIDE_DIRECT ? SIDE_UNCACHED : best);
    if (best != SIDE_DIRECT) {
        (void)snprintf(side->reason, sizeof side->reason, "--%s asks for that", side_mode_name(best));
    } else {
        side->direct = open_direct(side, access);
        if (side->direct >= 0)
            choose_from_limits(side);
    }
    if (side->must_be_direct && (side->mode != SIDE_DIRECT || side->is_unproven))
        return fail_not_direct(side, outcome);
    return 0;
}

int side_fd(const struct side *side)
{
    return side->mode == SIDE_DIRECT ? side->direct : side->plain;
}

int side_rw_flags(const struct side *side)
{
    return side->mode == SIDE_UNCACHED ? RWF_DONTCACHE : 0;
}

bool side_can_fall_back(const struct side *side, int error)
{
    return (side->mode == SIDE_DIRECT && (error == EINVAL || error == EOPNOTSUPP)) ||
           (side->mode == SIDE_UNCACHED && means_refused(error));
}

int side_fall_back(struct side *side, struct outcome *outcome, const char *what, int error)
{
    DIO_ASSERT(side_can_fall_back(side, error));
    if (side->mode != SIDE_DIRECT) {
        leave_direct(side, SIDE_BUFFERED);
        return 0;
    }
    (void)snprintf(side->reason, sizeof side->reason, "a direct %s was refused: %s", what, strerror(error));
    leave_direct(side, SIDE_UNCACHED);
    return side->must_be_direct ? fail_not_direct(side, outcome) : 0;
}

int side_be_sequential(struct side *side, struct outcome *outcome)
{
    (void)snprintf(side->reason, sizeof side->reason,
                   "its file system takes bytes at the end of a file only, and one write at a time");
    leave_direct(side, SIDE_BUFFERED);
    return side->must_be_direct ? fail_not_direct(side, outcome) : 0;
}

void side_count(struct side *side, enum side_mode mode, int64_t bytes)
{
    if (mode == SIDE_DIRECT)
        side->direct_bytes += bytes;
    else if (mode == SIDE_UNCACHED)
        side->uncached_bytes += bytes;
    else
        side->buffered_bytes += bytes;
}

const char *side_mode_name(enum side_mode mode)
{
    return mode == SIDE_DIRECT ? "direct" : mode == SIDE_UNCACHED ? "uncached" : "buffered";
}

void side_close(struct side *side)
{
    if (side->direct >= 0)
        (void)close(side->direct);
    if (side->plain >= 0)
        (void)close(side->plain);
    side->direct = side->plain = -1;
}
