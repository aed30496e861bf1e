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
#include <sys/xattr.h>
#include <unistd.h>

static int read_rights(const char *from, struct rights *ret_rights)
{
    const int fd = open(from, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int err = rights_read(fd, ret_rights);
    (void)close(fd);
    return err;
}

/* The owner first: a mode on a node of another owner could grant him more. What is refused leaves less. */
static int give_rights(const struct tree_entry *entry, const char *path, const struct rights *like, bool preserve,
                       mode_t mask)
{
    struct stat now;
    if (preserve && fchownat(AT_FDCWD, path, like->uid, like->gid, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != EPERM || geteuid() == 0)
            note_refused(NOTE_OWNER, entry->to, errno);
        (void)(fchownat(AT_FDCWD, path, (uid_t)-1, like->gid, AT_SYMLINK_NOFOLLOW) != 0);
    }
    if (preserve && like->list_size > 0)
        note_refused(NOTE_LIST, entry->to, ENOTSUP);
    if (fstatat(AT_FDCWD, path, &now, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    const mode_t mode = rights_plain_mode(like, now.st_uid, now.st_gid) & ~(preserve ? 0 : mask);
    if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (!means_refused(errno))
        return -errno;
    note_refused(NOTE_MODE, entry->to, errno);
    return 0;
}

int node_make(const struct tree_entry *entry, const char *path, bool preserve, mode_t mask)
{
    struct rights like;
    int err = read_rights(entry->from, &like);
    if (err != 0)
        return err;
    if (mknod(path, (entry->stat.st_mode & S_IFMT) | 0600, entry->stat.st_rdev) != 0)
        return -errno;
    /* A directory may give a list to what is new in it, which lets in others than these permissions do. */
    (void)lremovexattr(path, "system.posix_acl_access");
    err = give_rights(entry, path, &like, preserve, mask);
    if (err != 0)
        (void)unlink(path);
    return err;
}
