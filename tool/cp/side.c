/* SPDX-License-Identifier: MIT
 *
 * side.c - see side.h.
 */
#include "cp/side.h"

#include "base/refusal.h"
#include "base/sizes.h"

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

/* ---- Modes ------------------------------------------------------------------------------------------------ */

/* RWF_DONTCACHE may be refused when the file is opened. */
static enum side_mode mode_of(const struct side *side, const jdb_file *file)
{
    const uint32_t mode = side->is_target ? jdb_file_write_mode(file) : jdb_file_read_mode(file);
    return mode <= JDB_FILE_MODE_UNKNOWN ? SIDE_DIRECT : mode == JDB_FILE_MODE_UNCACHED ? SIDE_UNCACHED : SIDE_BUFFERED;
}

/* The two directions of a file may differ: btrfs with checksums reads directly, and buffers writes. */
static void set_aligns(struct side *side, const jdb_file *file)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    (void)jdb_file_known_limits(file, &limits);
    side->file_system = limits.file_system;
    const bool is_read_direct = jdb_file_read_mode(file) <= JDB_FILE_MODE_UNKNOWN;
    const bool is_write_direct = jdb_file_write_mode(file) <= JDB_FILE_MODE_UNKNOWN;
    side->memory_align = is_read_direct || is_write_direct ? limits.memory_align : 1;
    side->read_align = is_read_direct ? limits.read_align : 1;
    side->write_align = is_write_direct ? larger(limits.write_align, limits.read_align) : 1;
    side->is_unproven = false;
    if (side->mode != SIDE_DIRECT)
        return;
    DIO_ASSERT(side->memory_align > 0 && side->read_align > 0 && side->write_align > 0);
    side->best_size = side->is_target ? limits.recommended_write_size : limits.recommended_read_size;
    const uint32_t state = side->is_target ? limits.write_state : limits.read_state;
    side->is_unproven = state == JDB_DIRECT_STATE_UNKNOWN;
}

/* The first file takes `plain`, later ones copies of it, so that what is not direct goes through one open file. */
static int try_open(const struct side *side, enum side_mode best, jdb_file_report *report, jdb_file **ret_file)
{
    const int fd = side->is_taken ? fcntl(side->plain, F_DUPFD_CLOEXEC, 0) : side->plain;
    if (fd < 0)
        return -errno;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = side->access;
    options.policy = best == SIDE_DIRECT ? JDB_FILE_DIRECT_PREFER : JDB_FILE_DIRECT_OFF;
    options.flags = JDB_FILE_TAKE_FD | (best == SIDE_BUFFERED ? JDB_FILE_NO_UNCACHED : 0u);
    const int err = jdb_file_from_fd(fd, &options, report, ret_file);
    if (err != 0 && fd != side->plain)
        (void)close(fd);
    return err;
}

/* What may be enough for `plain` alone. */
static bool means_too_few(int err)
{
    return err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}

/* In the best mode down from `best`; a side that was copied for a pass may have a file of that mode already. */
static int open_file(struct side *side, struct outcome *outcome, enum side_mode best)
{
    jdb_file *file = NULL;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    int err = try_open(side, best, &report, &file);
    const bool is_short = best == SIDE_DIRECT && means_too_few(err);
    if (is_short)
        err = try_open(side, SIDE_UNCACHED, NULL, &file);
    if (err != 0)
        return outcome_fail_path(outcome, -err, "open", side->path);
    side->is_taken = true;
    side->mode = mode_of(side, file);
    set_aligns(side, file);
    if (best == SIDE_DIRECT && (side->mode != SIDE_DIRECT || side->is_unproven))
        (void)snprintf(side->reason, sizeof side->reason, "%.250s", is_short ? report.text : jdb_file_reason(file));
    if (side->files[side->mode] == NULL)
        side->files[side->mode] = file;
    else
        (void)jdb_file_close(file);
    return 0;
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
    side->mode = SIDE_BUFFERED;
    side->memory_align = side->read_align = side->write_align = 1;
    side->best_size = 1;
    return 0;
}

int side_choose_mode(struct side *side, struct outcome *outcome, uint32_t access, enum side_mode best)
{
    side->access = access;
    side->best_size = side->stat.st_blksize;
    if (best != SIDE_DIRECT)
        (void)snprintf(side->reason, sizeof side->reason, "--%s asks for that", side_mode_name(best));
    if (open_file(side, outcome, best) != 0)
        return outcome->exit_code;
    const bool is_direct = side->mode == SIDE_DIRECT && !side->is_unproven;
    return side->must_be_direct && !is_direct ? fail_not_direct(side, outcome) : 0;
}

jdb_file *side_file(const struct side *side)
{
    return side->files[side->mode];
}

bool side_can_fall_back(const struct side *side, int error)
{
    return (side->mode == SIDE_DIRECT && (error == EINVAL || error == EOPNOTSUPP)) ||
           (side->mode == SIDE_UNCACHED && means_refused(error));
}

int side_fall_back(struct side *side, struct outcome *outcome, const char *what, int error)
{
    DIO_ASSERT(side_can_fall_back(side, error));
    if (side->mode != SIDE_DIRECT)
        return open_file(side, outcome, SIDE_BUFFERED);
    (void)snprintf(side->reason, sizeof side->reason, "a direct %s was refused: %s", what, strerror(error));
    return side->must_be_direct ? fail_not_direct(side, outcome) : open_file(side, outcome, SIDE_UNCACHED);
}

int side_be_sequential(struct side *side, struct outcome *outcome)
{
    (void)snprintf(side->reason, sizeof side->reason,
                   "its file system takes bytes at the end of a file only, and one write at a time");
    if (side->must_be_direct)
        return fail_not_direct(side, outcome);
    return side->mode == SIDE_BUFFERED ? 0 : open_file(side, outcome, SIDE_BUFFERED);
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
    for (int i = 0; i < SIDE_MODE_COUNT; i++) {
        (void)jdb_file_close(side->files[i]);
        side->files[i] = NULL;
    }
    if (side->plain >= 0 && !side->is_taken)
        (void)close(side->plain);
    side->plain = -1;
}
