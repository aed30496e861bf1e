/* SPDX-License-Identifier: MIT
 *
 * part.c - see part.h.
 */
#include "cp/part.h"

#include "cp/note.h"
#include "cp/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

/* Each try that fails is another copy that began or ended meanwhile. */
#define OPEN_TRIES_MAX 100

/* Two private names are the same once in 2^64. */
#define PRIVATE_TRIES_MAX 3

#define PART_ENDING ".dio-part"

bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- Names ------------------------------------------------------------------------------------------------ */

/* ".DST" and the tag; a name that would be too long is replaced by its hash. */
static void compose(char name[NAME_MAX + 1], const struct part *part, const char *tag)
{
    char text[2 * NAME_MAX];
    const char *const target_name = part->target_name;
    const int length = snprintf(text, sizeof text, ".%s%s", target_name, tag);
    if (length > part->name_max)
        (void)snprintf(text, sizeof text, ".%016" PRIx64 "%s", (uint64_t)XXH3_64bits(target_name, strlen(target_name)),
                       tag);
    memcpy(name, text, strlen(text) + 1);
}

static void make_private_name(const struct part *part, char name[NAME_MAX + 1])
{
    char tag[64];
    struct timespec now;
    uint64_t number = 0;
    /* Before the system has random numbers, a number that no other copy has at this moment. */
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        const int64_t seed[] = {(int64_t)getpid(), (int64_t)now.tv_sec, (int64_t)now.tv_nsec};
        number = XXH3_64bits(seed, sizeof seed);
    }
    (void)snprintf(tag, sizeof tag, ".%016" PRIx64 PART_ENDING, number);
    compose(name, part, tag);
}

/* Bytes in a name: some file systems have shorter ones (eCryptfs 143). */
static int find_name_max(int directory)
{
    struct statfs found;
    const bool is_known = fstatfs(directory, &found) == 0 && found.f_namelen > 0 && found.f_namelen < NAME_MAX;
    return is_known ? (int)found.f_namelen : NAME_MAX;
}

static void set_names(struct part *part)
{
    part->name_max = find_name_max(part->directory);
    const char *const slash = strrchr(part->target_path, '/');
    const char *const base = slash == NULL ? part->target_path : slash + 1;
    const int directory_length = (int)(base - part->target_path);
    (void)snprintf(part->target_name, sizeof part->target_name, "%s", base);
    compose(part->usual_name, part, PART_ENDING);
    (void)snprintf(part->path, sizeof part->path, "%.*s%s", directory_length, part->target_path, part->usual_name);
}

unsigned part_endings(const char *name)
{
    const size_t ending_size = strlen(PART_ENDING);
    size_t size = strlen(name);
    unsigned count = 0;
    while (name[0] == '.' && size > ending_size && strncmp(name + size - ending_size, PART_ENDING, ending_size) == 0) {
        size -= ending_size;
        count++;
    }
    return count;
}

bool part_is_left(const char *target_path)
{
    struct part part = PART_INIT;
    const char *const slash = strrchr(target_path, '/');
    char parent[PATH_MAX] = ".";
    if (slash != NULL)
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - target_path) + 1, target_path);
    part.directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    part.target_path = target_path;
    if (part.directory < 0)
        return false;
    set_names(&part);
    const bool is_left = faccessat(part.directory, part.usual_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    (void)close(part.directory);
    return is_left;
}

/* Whether the name leads to the open file: 1, or 0, or -errno. */
static int leads_to(const struct part *part, const char *name, int fd)
{
    struct stat file;
    struct stat named;
    if (fstat(fd, &file) != 0)
        return -errno;
    if (fstatat(part->directory, name, &named, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -errno;
    return is_same_file(&file, &named);
}

/* ---- Creating --------------------------------------------------------------------------------------------- */

/* A new file that nobody else can open. Returns it, or -errno. */
static int create(const struct part *part, const char *name)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;
    const int fd = openat(part->directory, name, flags, 0600);
    if (fd < 0)
        return -errno;
    const int err = rights_restrict(fd);
    if (err == 0)
        return fd;
    (void)unlinkat(part->directory, name, 0);
    (void)close(fd);
    return err;
}

static int create_private(struct part *part)
{
    int fd = -EEXIST;
    for (int tries = 0; fd == -EEXIST && tries < PRIVATE_TRIES_MAX; tries++) {
        char name[NAME_MAX + 1];
        make_private_name(part, name);
        fd = create(part, name);
        if (fd >= 0)
            memcpy(part->name, name, sizeof name);
    }
    return fd;
}

/* Who has the lock of the file. */
enum lock_owner {
    LOCK_OURS,
    LOCK_OTHERS,
    LOCK_REFUSED, /* the file system has no locks: whether another copy runs is unknown */
};

static enum lock_owner try_lock(int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return LOCK_OURS;
    return errno == EWOULDBLOCK ? LOCK_OTHERS : LOCK_REFUSED;
}

static void forget_file(struct part *part)
{
    if (part->fd >= 0)
        (void)close(part->fd);
    part->fd = -1;
    part->name[0] = '\0';
}

/* What a step of opening came to; FAILED: the reason is in the outcome. */
enum step { STEP_DONE, STEP_AGAIN, STEP_FAILED };

/* Between its creation and its lock another copy may take the file for a leftover, lock it, and replace it by its own. */
static enum step open_new(struct part *part, int fd)
{
    part->fd = fd;
    const enum lock_owner whose = try_lock(fd);
    if (whose == LOCK_OTHERS || leads_to(part, part->usual_name, fd) != 1) {
        forget_file(part);
        return STEP_AGAIN;
    }
    memcpy(part->name, part->usual_name, sizeof part->name);
    part->is_locked = whose == LOCK_OURS;
    return STEP_DONE;
}

/* ---- What stands under the usual name --------------------------------------------------------------------- */

/* What is no part file is neither emptied nor removed. */
static int refuse_kind(const struct part *part, struct outcome *outcome, const struct stat *found,
                       const struct side *source)
{
    if (is_same_file(found, &source->stat))
        return outcome_fail(outcome, DIO_EXIT_FAILED, 0,
                            "SRC '%s' is the part file of DST '%s', '%s'; rename the part file first", source->path,
                            part->given_path, part->path);
    if (!S_ISREG(found->st_mode))
        return outcome_fail(outcome, DIO_EXIT_FAILED, EINVAL,
                            "the part file '%s' exists and is not a regular file; rename it first", part->path);
    if (found->st_nlink > 1)
        return outcome_fail(outcome, DIO_EXIT_FAILED, EMLINK,
                            "the part file '%s' exists and has %ju names (hard links); rename it first", part->path,
                            (uintmax_t)found->st_nlink);
    return 0;
}

/* Whoever created it can read what is written to it, and change it later. */
static int refuse_owner(const struct part *part, struct outcome *outcome, const struct stat *found,
                        const struct stat *fresh)
{
    if (found->st_uid == fresh->st_uid)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_FAILED, EPERM,
                        "the part file '%s' exists and belongs to another user (%ju), who could read the copy; have it "
                        "removed, or choose another name for DST",
                        part->path, (uintmax_t)found->st_uid);
}

static int fail_busy(const struct part *part, struct outcome *outcome)
{
    return outcome_fail(outcome, DIO_EXIT_FAILED, EBUSY, "another dio cp is writing '%s'; wait for it to end",
                        part->target_path);
}

/* Opens the file that was found. -ENOENT: it was replaced; or another -errno. */
static int open_found(const struct part *part, const struct stat *found)
{
    struct stat opened;
    /* Without O_CREAT, and O_NONBLOCK for a pipe that takes its name in this moment. */
    const int fd = openat(part->directory, part->usual_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &opened) == 0 && is_same_file(&opened, found) && opened.st_nlink == 1)
        return fd;
    (void)close(fd);
    return -ENOENT;
}

/* The new file has a private name. What has the usual one is kept in leftover_fd where it may be resumed or replaced. */
static enum step lock_found(struct part *part, struct outcome *outcome, const struct stat *found)
{
    const int fd = open_found(part, found);
    if (fd == -ENOENT || fd == -ELOOP)
        return STEP_AGAIN;
    if (fd < 0) {
        (void)outcome_fail_path(outcome, -fd, "open", part->path);
        return STEP_FAILED;
    }
    const enum lock_owner whose = try_lock(fd);
    part->is_locked = whose == LOCK_OURS && try_lock(part->fd) == LOCK_OURS;
    if (part->is_locked && leads_to(part, part->usual_name, fd) == 1) {
        part->leftover_fd = fd;
        return STEP_DONE;
    }
    (void)close(fd);
    if (whose == LOCK_OTHERS) {
        (void)fail_busy(part, outcome);
        return STEP_FAILED;
    }
    if (whose == LOCK_OURS)
        return STEP_AGAIN;
    note_print(
        "the part file '%s' may belong to a copy that is running, as this file system has no locks; it is left alone, "
        "remove it when no copy runs",
        part->path);
    return STEP_DONE;
}

static enum step open_existing(struct part *part, struct outcome *outcome, const struct side *source)
{
    struct stat found;
    struct stat fresh;
    if (fstatat(part->directory, part->usual_name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return STEP_AGAIN;
        (void)outcome_fail_path(outcome, errno, "examine", part->path);
        return STEP_FAILED;
    }
    if (refuse_kind(part, outcome, &found, source) != 0)
        return STEP_FAILED;
    const int fd = create_private(part);
    if (fd < 0 || fstat(fd, &fresh) != 0) {
        (void)outcome_fail_path(outcome, fd < 0 ? -fd : errno, "create", part->path);
        part->fd = fd < 0 ? -1 : fd;
        return STEP_FAILED;
    }
    /* Owner and mode are compared with what the file system makes of a new file: it may map users, or have no modes. */
    part->fd = fd;
    part->is_leftover_private = (found.st_mode & 07777) == (fresh.st_mode & 07777);
    return refuse_owner(part, outcome, &found, &fresh) != 0 ? STEP_FAILED : lock_found(part, outcome, &found);
}

int part_open(struct part *part, struct outcome *outcome, int directory, const char *target_path,
              const char *given_path, const struct side *source)
{
    part->directory = directory;
    part->target_path = target_path;
    part->given_path = given_path;
    set_names(part);
    for (int tries = 0; tries < OPEN_TRIES_MAX; tries++) {
        const int fd = create(part, part->usual_name);
        if (fd < 0 && fd != -EEXIST)
            return outcome_fail_path(outcome, -fd, "create", part->path);
        const enum step step = fd >= 0 ? open_new(part, fd) : open_existing(part, outcome, source);
        if (step == STEP_DONE)
            return 0;
        part_remove(part);
        forget_file(part);
        if (step == STEP_FAILED)
            return outcome->exit_code;
    }
    return fail_busy(part, outcome);
}

/* ---- The leftover ----------------------------------------------------------------------------------------- */

void part_resume(struct part *part)
{
    DIO_ASSERT(part->leftover_fd >= 0 && part->is_locked); /* C7 */
    part_remove(part);
    forget_file(part);
    part->fd = part->leftover_fd;
    part->leftover_fd = -1;
    memcpy(part->name, part->usual_name, sizeof part->name);
}

int part_replace(struct part *part, struct outcome *outcome)
{
    DIO_ASSERT(part->leftover_fd >= 0 && part->is_locked); /* C7 */
    if (renameat(part->directory, part->name, part->directory, part->usual_name) != 0)
        return outcome_fail_path(outcome, errno, "replace", part->path);
    memcpy(part->name, part->usual_name, sizeof part->name);
    part_close(part);
    return 0;
}

bool part_is_resumable(const struct part *part)
{
    return part->is_locked && strcmp(part->name, part->usual_name) == 0;
}

/* ---- The end ---------------------------------------------------------------------------------------------- */

static int fail_swapped(struct part *part, struct outcome *outcome, int err)
{
    if (err < 0)
        return outcome_fail_path(outcome, -err, "examine", part->path);
    part->name[0] = '\0';
    return outcome_fail(outcome, DIO_EXIT_FAILED, ESTALE,
                        "the part file '%s' was removed or replaced while it was written; copy again when no other "
                        "program writes there",
                        part->path);
}

int part_claim(struct part *part, struct outcome *outcome)
{
    char name[NAME_MAX + 1];
    DIO_ASSERT(part->fd >= 0 && part->name[0] != '\0' && part->leftover_fd < 0); /* C1 */
    int is_ours = leads_to(part, part->name, part->fd);
    if (is_ours != 1)
        return fail_swapped(part, outcome, is_ours);
    if (strcmp(part->name, part->usual_name) != 0)
        return 0;
    make_private_name(part, name);
    if (renameat(part->directory, part->usual_name, part->directory, name) != 0)
        return outcome_fail_path(outcome, errno, "rename", part->path);
    is_ours = leads_to(part, name, part->fd);
    if (is_ours == 0) {
        /* Replaced in this moment: it belongs to another copy, and gets its name back unless that is in use again. */
        (void)renameat2(part->directory, name, part->directory, part->usual_name, RENAME_NOREPLACE);
        return fail_swapped(part, outcome, 0);
    }
    memcpy(part->name, name, sizeof name);
    return is_ours == 1 ? 0 : fail_swapped(part, outcome, is_ours);
}

void part_remove(struct part *part)
{
    if (part->name[0] != '\0' && leads_to(part, part->name, part->fd) != 0)
        (void)unlinkat(part->directory, part->name, 0);
    part->name[0] = '\0';
}

void part_keep(struct part *part)
{
    part->name[0] = '\0';
}

void part_close(struct part *part)
{
    if (part->leftover_fd >= 0)
        (void)close(part->leftover_fd);
    part->leftover_fd = -1;
}
