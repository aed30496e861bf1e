/* SPDX-License-Identifier: MIT
 *
 * target.c - see target.h.
 */
#include "cp/target.h"

#include "base/interrupt.h"
#include "base/patience.h"
#include "base/refusal.h"
#include "base/sizes.h"
#include "cp/compression.h"
#include "cp/largest.h"
#include "cp/note.h"
#include "cp/record.h"
#include "cp/replace.h"
#include "cp/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Each try that fails is another file that has taken the name of DST meanwhile. */
#define RESOLVE_TRIES_MAX 100

/* As the kernel. */
#define LINKS_MAX 40

/* ---- Finding out ------------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The directory that `path` names something in, where it begins at the directory `from`; as open(2). */
static int open_parent(int from, const char *path)
{
    char parent[PATH_MAX];
    const int size = (int)(base_name(path) - path);
    (void)snprintf(parent, sizeof parent, "%.*s", size, path);
    return openat(from, size > 0 ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The directory that DST is named in, before its symbolic links are followed. */
static int open_first_parent(const struct target *target, const char *path)
{
    return target->named_in == AT_FDCWD ? open_parent(AT_FDCWD, path) : fcntl(target->named_in, F_DUPFD_CLOEXEC, 0);
}

/* The same path, seen from target->named_in. */
static const char *path_in(const struct target *target, const char *path)
{
    return target->named_in == AT_FDCWD ? path : base_name(path);
}

/* path: what a symbolic link at target->path contains, or DST itself. It is for messages but for its last name. */
static void set_path(struct target *target, const char *path)
{
    char whole[2 * PATH_MAX];
    const int before = path[0] == '/' ? 0 : (int)(base_name(target->path) - target->path);
    const int size = snprintf(whole, sizeof whole, "%.*s%s", before, target->path, path);
    if (size < (int)sizeof target->path)
        memcpy(target->path, whole, (size_t)size + 1);
    else
        (void)snprintf(target->path, sizeof target->path, "%s", path);
    target->name = base_name(target->path);
}

static int fail_directory(struct outcome *outcome, const char *path, int error)
{
    return outcome_fail(outcome, DIO_EXIT_FAILED, error, "cannot create '%s', as its directory cannot be opened: %s",
                        path, strerror(error));
}

/* Opens the directory that DST is in when its symbolic links are followed, one by one: a path from the root may be too long,
 * or lead through directories that cannot be searched. */
static int find_directory(struct target *target, struct outcome *outcome, const char *path)
{
    char link[PATH_MAX];
    set_path(target, path);
    int directory = open_first_parent(target, path);
    for (int links = 0; directory >= 0 && links < LINKS_MAX; links++) {
        const ssize_t size = readlinkat(directory, target->name, link, sizeof link - 1);
        if (size < 0) {
            target->directory = directory;
            return 0;
        }
        link[size] = '\0';
        set_path(target, link);
        const int next = open_parent(directory, link);
        const int error = errno;
        (void)close(directory);
        directory = next;
        errno = error;
    }
    const int error = directory >= 0 ? ELOOP : errno;
    if (directory >= 0)
        (void)close(directory);
    return fail_directory(outcome, path, error);
}

/* The file that the kernel finds under the path, which it may refuse to follow (fs.protected_symlinks), and the directory
 * and name of that very file. *ret_is_changed: it has lost this name meanwhile. */
static int resolve_old(struct target *target, struct outcome *outcome, const char *path, bool *ret_is_changed)
{
    struct stat named;
    if (fstat(target->old_fd, &target->old) != 0)
        return outcome_fail_path(outcome, errno, "examine", path);
    target->existed = true;
    if (!S_ISREG(target->old.st_mode) && !S_ISBLK(target->old.st_mode))
        return 0;
    if (find_directory(target, outcome, path) != 0)
        return outcome->exit_code;
    const int failed = fstatat(target->directory, target->name, &named, AT_SYMLINK_NOFOLLOW);
    if (failed != 0 && errno != ENOENT)
        return outcome_fail_path(outcome, errno, "examine", path);
    *ret_is_changed = failed != 0 || !is_same_file(&named, &target->old);
    return 0;
}

/* A new name in an existing directory. *ret_is_changed: there is something by now. */
static int resolve_new(struct target *target, struct outcome *outcome, const char *path, bool *ret_is_changed)
{
    struct stat link;
    if (fstatat(target->named_in, path_in(target, path), &link, AT_SYMLINK_NOFOLLOW) == 0) {
        *ret_is_changed = !S_ISLNK(link.st_mode);
        return *ret_is_changed ? 0
                               : outcome_fail(outcome, DIO_EXIT_FAILED, ENOENT,
                                              "'%s' is a symbolic link that leads nowhere; remove it or create what it "
                                              "points to",
                                              path);
    }
    if (base_name(path)[0] == '\0')
        return outcome_fail(outcome, DIO_EXIT_FAILED, EISDIR, "'%s' names a directory that does not exist; name a file",
                            path);
    set_path(target, path);
    target->directory = open_first_parent(target, path);
    return target->directory >= 0 ? 0 : fail_directory(outcome, path, errno);
}

static void close_places(struct target *target)
{
    if (target->old_fd >= 0)
        (void)close(target->old_fd);
    if (target->directory >= 0)
        (void)close(target->directory);
    target->directory = target->old_fd = -1;
}

/* Resolves DST: the file that a symbolic link leads to, or a new name. Other copies may give and take it meanwhile. */
static int resolve(struct target *target, struct outcome *outcome, const char *path)
{
    for (int tries = 0; tries < RESOLVE_TRIES_MAX; tries++) {
        bool is_changed = false;
        close_places(target);
        target->existed = false;
        target->path[0] = '\0';
        target->old_fd = openat(target->named_in, path_in(target, path), O_PATH | O_CLOEXEC);
        if (target->old_fd < 0 && errno != ENOENT)
            return outcome_fail_path(outcome, errno, "open", path);
        const int failed = target->old_fd >= 0 ? resolve_old(target, outcome, path, &is_changed)
                                               : resolve_new(target, outcome, path, &is_changed);
        if (failed != 0 || !is_changed)
            return failed;
    }
    return outcome_fail(outcome, DIO_EXIT_FAILED, ESTALE,
                        "'%s' was replaced each time it was opened; copy again when nobody changes it", path);
}

static int refuse_device(const struct target *target, struct outcome *outcome, const struct copy_options *options,
                         const struct side *source)
{
    if (source->is_device && source->stat.st_rdev == target->old.st_rdev)
        return outcome_fail(outcome, DIO_EXIT_FAILED, 0, "'%s' and '%s' are the same device; nothing to copy",
                            options->source, options->target);
    if (!options->force)
        return outcome_fail(outcome, DIO_EXIT_FAILED, EPERM,
                            "'%s' is a block device, and a copy destroys its content; use --force if that is intended",
                            target->path);
    if (options->resume)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0,
                            "a device is written in place, so there is nothing to resume; leave --resume out");
    return 0;
}

/* False: not, and errno says why. A filter that does not know faccessat2() refuses it with anything: then opening decides. */
static bool may_write(const struct target *target)
{
    return faccessat(target->directory, target->name, W_OK, AT_EACCESS) == 0 ||
           (means_refused(errno) && errno != EACCES && errno != EROFS);
}

/* What must not be overwritten, before anything is opened for writing. */
static int refuse(const struct target *target, struct outcome *outcome, const struct copy_options *options,
                  const struct side *source)
{
    const struct stat *const old = &target->old;
    if (!target->existed)
        return 0;
    if (S_ISBLK(old->st_mode))
        return refuse_device(target, outcome, options, source);
    if (S_ISDIR(old->st_mode))
        return outcome_fail(outcome, DIO_EXIT_FAILED, EISDIR, "'%s' is a directory; name the file: '%s/%s'",
                            options->target, options->target, base_name(options->source));
    if (!S_ISREG(old->st_mode))
        return outcome_fail(outcome, DIO_EXIT_FAILED, EINVAL,
                            "'%s' is neither a file nor a block device; dio cp writes only to those", options->target);
    if (is_same_file(old, &source->stat))
        return outcome_fail(outcome, DIO_EXIT_FAILED, 0, "'%s' and '%s' are the same file; nothing to copy",
                            options->source, options->target);
    const bool is_linked_anew = options->recursive && source->stat.st_nlink > 1; /* the names of a tree */
    if (old->st_nlink > 1 && !options->in_place && !is_linked_anew)
        return outcome_fail(
            outcome, DIO_EXIT_FAILED, EMLINK,
            "'%s' has %ju names (hard links), and the others would keep the old file; use --in-place to "
            "write into it, or remove it first",
            options->target, (uintmax_t)old->st_nlink);
    if (replace_refuse_attributes(outcome, options->target, target->old_fd) != 0)
        return outcome->exit_code;
    if (!may_write(target))
        return outcome_fail_path(outcome, errno, "write", options->target);
    return 0;
}

/* Sets is_in_place where DST is written itself: when that is asked for, on a device, and for a new DST where no part file could
 * be renamed to it. */
static int choose_place(struct target *target, struct outcome *outcome, const struct copy_options *options)
{
    const struct replaced replaced = {.directory = target->directory, .fd = target->old_fd, .old = &target->old};
    target->is_in_place = target->existed && (options->in_place || S_ISBLK(target->old.st_mode));
    if (target->is_in_place)
        return 0;
    const char *const obstacle = replace_obstacle(&replaced);
    if (obstacle != NULL && target->existed)
        return outcome_fail(outcome, DIO_EXIT_FAILED, EPERM,
                            "'%s' cannot be replaced, as %s; use --in-place to write into it, or choose another name",
                            options->target, obstacle);
    target->is_in_place = obstacle != NULL;
    if (target->is_in_place)
        note_print("'%s' has its name from the start, and a copy that fails leaves a part of it there: %s",
                   options->target, obstacle);
    return 0;
}

/* ---- Opening ---------------------------------------------------------------------------------------------- */

/* Two copies into one file would leave a mixture. Devices are held by O_EXCL; without locks it cannot be known. */
static int lock_in_place(const struct target *target, struct outcome *outcome)
{
    if (target->side.is_device || flock(target->side.plain, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_FAILED, EBUSY,
                        "'%s' is locked by another program, which may be writing it; wait for it to end", target->path);
}

/* The kernel opens such a device for writing, and refuses the first write. */
static bool is_read_only(int device)
{
    int is_set = 0;
    return ioctl(device, BLKROGET, &is_set) == 0 && is_set != 0;
}

static int open_in_place(struct target *target, struct outcome *outcome, int64_t length)
{
    struct stat old;
    /* O_EXCL on a device: the kernel refuses what is mounted, part of a RAID, or swapped to. */
    const int exclusive = !target->existed ? O_CREAT | O_EXCL : S_ISBLK(target->old.st_mode) ? O_EXCL : 0;
    target->side.plain =
        openat(target->directory, target->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | exclusive, 0600);
    if (target->side.plain < 0 && errno == EBUSY)
        return outcome_fail(
            outcome, DIO_EXIT_FAILED, EBUSY,
            "'%s' is in use: it is mounted, or part of a RAID, a volume group or swap; unmount it first "
            "(lsblk shows what uses it)",
            target->path);
    if (target->side.plain < 0)
        return outcome_fail_path(outcome, errno, "write", target->path);
    if (side_identify(&target->side, outcome) != 0)
        return outcome->exit_code;
    if (!target->existed)
        (void)rights_restrict(target->side.plain);
    /* Examined once more: an overlay may have given the file another inode when it was opened for writing. */
    if (target->existed && (fstat(target->old_fd, &old) != 0 || !is_same_file(&old, &target->side.stat)))
        return outcome_fail(outcome, DIO_EXIT_FAILED, ESTALE,
                            "'%s' was replaced while it was opened; copy again when nobody changes it", target->path);
    if (target->side.is_device && is_read_only(target->side.plain))
        return outcome_fail(outcome, DIO_EXIT_FAILED, EROFS,
                            "'%s' is read-only (blockdev --getro), so nothing was written; make it writable, or choose "
                            "another device",
                            target->path);
    if (target->side.is_device && target->side.size < length)
        return outcome_fail(outcome, DIO_EXIT_FAILED, ENOSPC,
                            "'%s' has %" PRId64 " bytes, %" PRId64 " too few for this copy; choose a larger device or "
                            "--length=%" PRId64,
                            target->path, target->side.size, length - target->side.size, target->side.size);
    return lock_in_place(target, outcome);
}

/* Whether the leftover part file holds some of this copy; prints why not, as --resume asked for it. */
static bool can_resume(const struct part *part, const struct side *source, int64_t source_offset, int64_t length)
{
    const struct record wanted = record_make(source, source_offset, length);
    struct record found;
    struct stat leftover;
    if (part->leftover_fd < 0 || fstat(part->leftover_fd, &leftover) != 0 || leftover.st_size == 0) {
        note_print("there is nothing to resume; the copy starts over");
        return false;
    }
    if (!record_read(&found, part->leftover_fd, (int64_t)leftover.st_size)) {
        note_print("the part file has no valid record of its source; the copy starts over");
        return false;
    }
    if (!record_is_same(&found, &wanted)) {
        note_print(
            "the part file was made from another source or range, or from '%s' before it changed; the copy starts over",
            source->path);
        return false;
    }
    if (!part->is_leftover_private) {
        note_print(
            "the part file has mode %03o, not that of a new part file, so others may have it open; the copy starts "
            "over",
            (unsigned)(leftover.st_mode & 07777));
        return false;
    }
    return true;
}

/* The directory once more, for its fsync. One that cannot be read has its names written by syncfs(2), see sync_name(). */
static int reopen_directory(struct target *target, struct outcome *outcome)
{
    const int fd = openat(target->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        return 0;
    if (fd < 0)
        return outcome_fail_path(outcome, errno, "open the directory of", target->path);
    (void)close(target->directory);
    target->directory = fd;
    return 0;
}

/* The side of the part file. A leftover is replaced only when this copy is known to be possible. */
static int open_part(struct target *target, struct outcome *outcome, const struct copy_options *options,
                     const struct side *source, int64_t source_offset, int64_t length)
{
    struct part *const part = &target->part;
    if (reopen_directory(target, outcome) != 0 ||
        part_open(part, outcome, target->directory, target->path, options->target, source) != 0)
        return outcome->exit_code;
    target->is_resumed = options->resume && can_resume(part, source, source_offset, length);
    if (target->is_resumed)
        part_resume(part);
    target->side.plain = part->fd;
    target->has_record = target->is_resumed;
    if (side_identify(&target->side, outcome) != 0 ||
        side_choose_mode(&target->side, outcome, JDB_FILE_READ | JDB_FILE_WRITE, options->best_mode) != 0) {
        if (target->is_resumed)
            part_keep(part);
        return outcome->exit_code;
    }
    return part->leftover_fd < 0 ? 0 : part_replace(part, outcome);
}

int target_open(struct target *target, struct outcome *outcome, const struct copy_options *options,
                const struct side *source, int64_t source_offset, int64_t length)
{
    target->side.path = options->target;
    target->side.is_target = true;
    target->mask = options->mask;
    target->named_in = options->target_directory;
    target->side.must_be_direct = options->require;
    if (resolve(target, outcome, options->target) != 0 || refuse(target, outcome, options, source) != 0 ||
        choose_place(target, outcome, options) != 0)
        return outcome->exit_code;
    if (!target->is_in_place)
        return open_part(target, outcome, options, source, source_offset, length);
    if (open_in_place(target, outcome, length) != 0)
        return outcome->exit_code;
    return side_choose_mode(&target->side, outcome, JDB_FILE_READ | JDB_FILE_WRITE, options->best_mode);
}

/* ---- Preparing -------------------------------------------------------------------------------------------- */

/* Bytes that the copy can have: free ones, and those that its file has already. -1: unknown. */
static int64_t find_space(const struct target *target)
{
    struct statvfs space;
    struct stat now;
    if (fstatvfs(target->side.plain, &space) != 0 || fstat(target->side.plain, &now) != 0)
        return -1;
    return (int64_t)space.f_bavail * (int64_t)space.f_frsize + (int64_t)now.st_blocks * 512;
}

/* Whether the old file's space would do, which the part file cannot have. */
static bool has_room_in_place(const struct target *target, int64_t needed, int64_t space)
{
    return !target->is_in_place && target->existed && space + (int64_t)target->old.st_blocks * 512 >= needed;
}

/* space: of find_space(), called before the allocation that failed: a file system may keep what it had allocated by then. */
static int fail_no_space(const struct target *target, struct outcome *outcome, int64_t needed, int64_t space)
{
    if (space < 0)
        return outcome_fail_path(outcome, ENOSPC, "write", target->path);
    return outcome_fail(outcome, DIO_EXIT_FAILED, ENOSPC,
                        "no space for '%s': the copy needs %" PRId64 " bytes, %" PRId64 " are free there; free %" PRId64
                        " bytes or choose another file system%s",
                        target->path, needed, space, larger(needed - space, 1),
                        has_room_in_place(target, needed, space)
                            ? ", or use --in-place: the old file's space is enough for one, not for two"
                            : "");
}

/* The part file is of no use any more: it gives its size to find out the largest. */
static int fail_too_large(const struct target *target, struct outcome *outcome, int64_t needed)
{
    const int64_t limit = largest_by_limit();
    if (needed > limit)
        return outcome_fail(outcome, DIO_EXIT_FAILED, EFBIG,
                            "'%s' would have %" PRId64 " bytes, and this process may write files of %" PRId64
                            "; raise the limit (ulimit -f)",
                            target->path, needed, limit);
    const int64_t largest = target->is_in_place ? 0 : largest_by_file_system(target->side.plain);
    if (largest == 0)
        return outcome_fail_path(outcome, EFBIG, "write", target->path);
    return outcome_fail(outcome, DIO_EXIT_FAILED, EFBIG,
                        "'%s' would have %" PRId64 " bytes, and its file system holds files of at most %" PRId64
                        "; choose another file system",
                        target->path, needed, largest);
}

/* fallocate() from start to end; retried after a signal that does not end the copy. 0, or a positive errno. */
static int change_space(const struct target *target, int mode, int64_t start, int64_t end)
{
    struct patience patience = {0};
    int error = 0;
    do {
        error = fallocate(target->side.plain, mode, start, end - start) == 0 ? 0 : errno;
    } while (error == EINTR && patience_sleep(&patience));
    return error;
}

/* ext2 and FAT can neither allocate in advance nor compress: what does not fit is known without a try. */
static bool is_never_compressed(const struct target *target)
{
    return target->side.file_system == EXT2_SUPER_MAGIC || target->side.file_system == MSDOS_SUPER_MAGIC;
}

/* Space for all ranges, so that a copy that cannot fit fails at once, and so that writes do not move the end of
 * the file, which a file system must do one at a time. */
static int allocate(const struct target *target, struct outcome *outcome, const struct ranges *ranges, int64_t space)
{
    for (size_t i = 0; i < ranges->count; i++) {
        const int error = change_space(target, 0, ranges->items[i].start, ranges->items[i].end);
        if (error == 0)
            continue;
        if (error == ENOSPC)
            return fail_no_space(target, outcome, ranges->total, space);
        if (error == EFBIG)
            return fail_too_large(target, outcome, ranges->items[ranges->count - 1].end);
        if (means_refused(error))
            return space >= 0 && space < ranges->total && is_never_compressed(target)
                       ? fail_no_space(target, outcome, ranges->total, space)
                       : 0;
        return outcome_fail_path(outcome, error, "allocate space for", target->path);
    }
    return 0;
}

bool target_punch(const struct target *target, const struct ranges *ranges, int64_t length)
{
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    int64_t from = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        if (from < ranges->items[i].start && change_space(target, mode, from, ranges->items[i].start) != 0)
            return false;
        from = ranges->items[i].end;
    }
    return from >= length || change_space(target, mode, from, record_offset(length, target->side.write_align)) == 0;
}

/* Whether the new file cannot be made longer than what is written: some network file systems upload from start to end. */
static bool refuses_gaps(const struct target *target)
{
    return ftruncate(target->side.plain, RECORD_ROOM) != 0 || ftruncate(target->side.plain, 0) != 0;
}

static int be_sequential(struct target *target, struct outcome *outcome)
{
    target->is_sequential = true;
    (void)ftruncate(target->side.plain, 0); /* where the record alone was refused */
    return side_be_sequential(&target->side, outcome);
}

static void note_uncompressed(const struct target *target)
{
    if (target->side.mode == SIDE_DIRECT && !compression_is_of_direct())
        note_print(
            "'%s' is not compressed: its file system compresses no direct writes before Linux 6.15; use --uncached",
            target->path);
}

int target_prepare(struct target *target, struct outcome *outcome, const struct side *source, int64_t source_offset,
                   int64_t length, const struct ranges *ranges)
{
    target->is_written = true;
    if (target->side.is_device || (source->is_stream && target->is_in_place))
        return 0;
    if (source->is_stream)
        return refuses_gaps(target) ? be_sequential(target, outcome) : 0;
    const int64_t space = find_space(target);
    if (!target->is_in_place) {
        const struct record record = record_make(source, source_offset, length);
        const int err = record_write(&record, target->side.plain, record_offset(length, target->side.write_align));
        if (err == -EFBIG)
            return fail_too_large(target, outcome, length);
        if (means_refused(-err))
            return be_sequential(target, outcome);
        if (err != 0)
            return err == -ENOSPC ? fail_no_space(target, outcome, ranges->total, space)
                                  : outcome_fail_path(outcome, -err, "write", target->part.path);
        target->has_record = part_is_resumable(&target->part);
    }
    if (compression_is_on(target->side.plain, target->side.file_system)) {
        note_uncompressed(target);
        return 0;
    }
    const int failed = allocate(target, outcome, ranges, space);
    if (failed != 0 && target->is_in_place && ftruncate(target->side.plain, target->old.st_size) == 0)
        target->is_written = false; /* its bytes are what they were */
    return failed;
}

/* ---- Finishing -------------------------------------------------------------------------------------------- */

/* Owner, mode and access control list: of DST as it is, with -p of SRC. A new DST has those permissions of SRC that the
 * umask lets, and no list. Nobody gets more than that file grants, whatever the system refuses to set. */
static int set_rights(const struct target *target, struct outcome *outcome, const struct side *source, bool preserve)
{
    const bool is_like_old = target->existed && !preserve;
    struct rights like;
    struct rights_refused refused = {0};
    int err = 0;
    if (source->is_stream && !is_like_old)
        like = (struct rights){.uid = geteuid(), .gid = getegid(), .mode = 0666};
    else
        err = rights_read(is_like_old ? target->old_fd : source->plain, &like);
    if (err != 0)
        return outcome_fail_path(outcome, -err, "read the permissions of", is_like_old ? target->path : source->path);
    if (target->is_in_place)
        err = rights_restrict(target->side.plain);
    if (err == 0 && (is_like_old || preserve)) {
        err = rights_give_all(target->side.plain, &like, &refused);
    } else if (err == 0) {
        err = rights_give(target->side.plain, &like, target->mask, &refused);
    }
    if (err != 0)
        return outcome_fail_path(outcome, -err, "set the owner or the mode of", target->path);
    rights_note(&refused, target->path);
    const struct timespec times[2] = {source->stat.st_atim, source->stat.st_mtim};
    if (!preserve || source->is_device || futimens(target->side.plain, times) == 0)
        return 0;
    if (!means_refused(errno))
        return outcome_fail_path(outcome, errno, "set the times of", target->path);
    note_refused(NOTE_TIMES, target->path, errno);
    return 0;
}

/* A file system that cannot sync is no reason to lose the copy; an error of the device is. */
static int sync_file(const struct target *target, struct outcome *outcome)
{
    if (fsync(target->side.plain) == 0)
        return 0;
    if (!means_sync_refused(errno))
        return outcome_fail_path(outcome, errno, "sync", target->path);
    note_refused(NOTE_SYNC, target->path, errno);
    return 0;
}

int target_sync(const struct target *target, struct outcome *outcome)
{
    if (sync_file(target, outcome) != 0)
        return outcome->exit_code;
    /* What went through the page cache is on the disk now: leave it as it was found. */
    if (target->side.mode != SIDE_DIRECT)
        (void)posix_fadvise(target->side.plain, 0, 0, POSIX_FADV_DONTNEED);
    return 0;
}

static bool has_length(const struct target *target, int64_t length)
{
    struct stat now;
    return fstat(target->side.plain, &now) == 0 && (int64_t)now.st_size == length;
}

int target_finish(struct target *target, struct outcome *outcome, const struct side *source, int64_t length,
                  bool preserve)
{
    if (!target->side.is_device) {
        target->has_record = false;
        if (!(target->is_sequential && has_length(target, length)) && ftruncate(target->side.plain, length) != 0)
            return outcome_fail_path(outcome, errno, "set the length of", target->path);
        if (target->is_in_place && (preserve || !target->existed) && set_rights(target, outcome, source, preserve) != 0)
            return outcome->exit_code;
    }
    return target_sync(target, outcome);
}

/* Makes the rename durable. */
static int sync_name(const struct target *target, struct outcome *outcome)
{
    if (fsync(target->directory) == 0 || (errno == EBADF && syncfs(target->side.plain) == 0))
        return 0;
    if (errno == EINTR && interrupt_check(outcome) != 0)
        return outcome->exit_code;
    if (!means_sync_refused(errno))
        return outcome_fail(outcome, DIO_EXIT_FAILED, errno,
                            "'%s' is copied, but its name may not survive a crash: fsync of the directory: %s",
                            target->path, strerror(errno));
    note_refused(NOTE_DIRECTORY_SYNC, target->path, errno);
    return 0;
}

/* The rights come last, when all data is durable: a copy that is killed before leaves a part file that nobody else can
 * open, and that the next copy takes. */
int target_commit(struct target *target, struct outcome *outcome, const struct side *source, bool preserve)
{
    if (target->is_in_place) {
        target->is_committed = true;
        return target->existed ? 0 : sync_name(target, outcome);
    }
    DIO_ASSERT(!target->is_committed && target->is_written && !target->has_record); /* C1, C6 */
    if (part_claim(&target->part, outcome) != 0 || set_rights(target, outcome, source, preserve) != 0)
        return outcome->exit_code;
    if (sync_file(target, outcome) != 0)
        return outcome->exit_code;
    if (renameat(target->directory, target->part.name, target->directory, target->name) != 0)
        return outcome_fail_path(outcome, errno, "rename the part file to", target->path);
    target->is_committed = true;
    return sync_name(target, outcome);
}

/* A new DST that was created in place goes with its copy, where the directory lets it. */
static void remove_new(const struct target *target)
{
    struct stat named;
    if (fstatat(target->directory, target->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        is_same_file(&named, &target->side.stat))
        (void)unlinkat(target->directory, target->name, 0);
}

void target_close(struct target *target, bool keep_part)
{
    if (target->is_in_place && !target->existed && !target->is_committed && target->side.plain >= 0)
        remove_new(target);
    if (keep_part || target->is_committed)
        part_keep(&target->part);
    part_remove(&target->part);
    part_close(&target->part);
    side_close(&target->side);
    close_places(target);
}
