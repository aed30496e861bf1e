/* SPDX-License-Identifier: MIT
 *
 * node.c - see node.h.
 */
#include "cp/node.h"

#include "base/refusal.h"
#include "cp/note.h"
#include "cp/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Whoever may write in a directory can give its names to other files at any time: what is read from or changed is a node of this
 * kind, and the same device. */
static bool is_like(const struct stat *one, const struct stat *other)
{
    const bool is_device =
        S_ISCHR(one->st_mode) || S_ISBLK(one->st_mode); /* of others, file systems may give any number */
    return (one->st_mode & S_IFMT) == (other->st_mode & S_IFMT) && (!is_device || one->st_rdev == other->st_rdev);
}

/* As a descriptor of O_PATH, which opens nothing; or -errno, -ESTALE of something else. */
static int find_node(int directory, const char *path, const struct tree_entry *entry)
{
    struct stat found;
    const int fd = openat(directory, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int err = fstat(fd, &found) != 0 ? -errno : is_like(&found, &entry->stat) ? 0 : -ESTALE;
    if (err != 0)
        (void)close(fd);
    return err != 0 ? err : fd;
}

static int read_rights(const struct tree_entry *entry, struct rights *ret_rights)
{
    const int fd = find_node(AT_FDCWD, entry->from, entry);
    if (fd < 0)
        return fd;
    const int err = rights_read(fd, ret_rights);
    (void)close(fd);
    return err;
}

/* Only root can change the owner; others can choose one of their groups. */
static int give_owner(const struct tree_entry *entry, int fd, const struct rights *like)
{
    if (fchownat(fd, "", like->uid, like->gid, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno == EIO)
        return -errno;
    if (errno != EPERM || geteuid() == 0)
        note_refused(NOTE_OWNER, entry->to, errno);
    (void)(fchownat(fd, "", (uid_t)-1, like->gid, AT_EMPTY_PATH) != 0);
    return 0;
}

/* The owner first: a mode on a node of another owner could grant him more. What is refused leaves less. */
static int give_rights(const struct tree_entry *entry, int fd, const struct rights *like, bool preserve, mode_t mask)
{
    struct stat now;
    char same[32]; /* fchmod() refuses a descriptor of O_PATH */
    (void)snprintf(same, sizeof same, "/proc/self/fd/%d", fd);
    /* A directory may give a list to what is new in it, which lets in others than these permissions do. */
    (void)removexattr(same, "system.posix_acl_access");
    const int err = preserve ? give_owner(entry, fd, like) : 0;
    if (err != 0)
        return err;
    if (preserve && like->list_size > 0)
        note_refused(NOTE_LIST, entry->to, ENOTSUP);
    if (fstat(fd, &now) != 0)
        return -errno;
    const mode_t mode = rights_plain_mode(like, now.st_uid, now.st_gid) & ~(preserve ? 0 : mask);
    if (chmod(same, mode) == 0)
        return 0;
    const int error = errno == ENOENT ? EOPNOTSUPP : errno; /* no /proc */
    if (!means_refused(error))
        return -error;
    note_refused(NOTE_MODE, entry->to, error);
    return 0;
}

int node_make(const struct tree_entry *entry, int directory, const char *name, bool preserve, mode_t mask)
{
    struct rights like;
    int err = read_rights(entry, &like);
    if (err != 0)
        return err;
    if (mknodat(directory, name, (entry->stat.st_mode & S_IFMT) | 0600, entry->stat.st_rdev) != 0)
        return -errno;
    const int fd = find_node(directory, name, entry);
    err = fd < 0 ? fd : give_rights(entry, fd, &like, preserve, mask);
    if (fd >= 0)
        (void)close(fd);
    if (err != 0)
        (void)unlinkat(directory, name, 0);
    return err;
}
