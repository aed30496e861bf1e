/* SPDX-License-Identifier: MIT
 *
 * rights.c - see rights.h.
 */
#include "cp/rights.h"

#include "base/refusal.h"
#include "cp/note.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LIST_NAME "system.posix_acl_access"
#define DEFAULT_LIST_NAME "system.posix_acl_default"
#define ALL ((mode_t)07) /* read, write, execute */

/* No list, or a file system that has none. */
static bool means_no_list(int error)
{
    return error == ENODATA || error == EOPNOTSUPP || error == ENOSYS;
}

/* There may be a list: the call is forbidden, or there is no /proc to make it by. */
static bool is_unreadable(int error)
{
    return means_refused(error) || error == ENOENT;
}

/* ---- Reading ---------------------------------------------------------------------------------------------- */

/* fgetxattr() refuses a descriptor of O_PATH. */
static ssize_t read_list(int fd, uint8_t list[RIGHTS_LIST_MAX])
{
    const ssize_t size = fgetxattr(fd, LIST_NAME, list, RIGHTS_LIST_MAX);
    if (size >= 0 || errno != EBADF)
        return size;
    char same[32];
    (void)snprintf(same, sizeof same, "/proc/self/fd/%d", fd);
    return getxattr(same, LIST_NAME, list, RIGHTS_LIST_MAX);
}

/* A header, then entries: of the version that is known here. */
static bool is_list(const uint8_t *list, size_t size)
{
    struct posix_acl_xattr_header header;
    if (size < sizeof header || (size - sizeof header) % sizeof(struct posix_acl_xattr_entry) != 0)
        return false;
    memcpy(&header, list, sizeof header);
    return le32toh(header.a_version) == POSIX_ACL_XATTR_VERSION;
}

int rights_read(int fd, struct rights *ret_rights)
{
    struct stat now;
    if (fstat(fd, &now) != 0)
        return -errno;
    const ssize_t size = read_list(fd, ret_rights->list);
    if (size < 0 && !means_no_list(errno) && !is_unreadable(errno))
        return -errno;
    const bool is_unknown = size < 0 && !means_no_list(errno);
    if (size > 0 && !is_list(ret_rights->list, (size_t)size))
        return -EBADMSG;
    ret_rights->uid = now.st_uid;
    ret_rights->gid = now.st_gid;
    /* The group bits may be the mask of a list: the group gets what all have. */
    const mode_t group = now.st_mode & (is_unknown ? now.st_mode << 3 & 0070 : 0070);
    ret_rights->mode = (now.st_mode & 07707) | group;
    ret_rights->list_size = size > 0 ? (size_t)size : 0;
    return 0;
}

/* ---- The plain mode --------------------------------------------------------------------------------------- */

/* What each class may do, and the least that any listed user or group may do. */
struct classes {
    mode_t owner;
    mode_t group;
    mode_t other;
    mode_t mask;
    mode_t least_user;
    mode_t least_group;
};

static void add_entry(struct classes *classes, const struct posix_acl_xattr_entry *entry)
{
    const mode_t permissions = le16toh(entry->e_perm) & ALL;
    switch (le16toh(entry->e_tag)) {
    case ACL_USER_OBJ:
        classes->owner = permissions;
        break;
    case ACL_USER:
        classes->least_user &= permissions;
        break;
    case ACL_GROUP_OBJ:
        classes->group = permissions;
        break;
    case ACL_GROUP:
        classes->least_group &= permissions;
        break;
    case ACL_MASK:
        classes->mask = permissions;
        break;
    default:
        classes->other = permissions;
    }
}

static struct classes classes_of(const struct rights *rights)
{
    const mode_t mode = rights->mode;
    struct classes classes = {.owner = mode >> 6 & ALL,
                              .group = mode >> 3 & ALL,
                              .other = mode & ALL,
                              .mask = ALL,
                              .least_user = ALL,
                              .least_group = ALL};
    bool has_users = false;
    bool has_groups = false;
    for (size_t at = sizeof(struct posix_acl_xattr_header); at < rights->list_size;
         at += sizeof(struct posix_acl_xattr_entry)) {
        struct posix_acl_xattr_entry entry;
        memcpy(&entry, rights->list + at, sizeof entry);
        add_entry(&classes, &entry);
        has_users |= le16toh(entry.e_tag) == ACL_USER;
        has_groups |= le16toh(entry.e_tag) == ACL_GROUP;
    }
    classes.group &= classes.mask;
    classes.least_user &= has_users ? classes.mask : ALL;
    classes.least_group &= has_groups ? classes.mask : ALL;
    return classes;
}

mode_t rights_plain_mode(const struct rights *rights, uid_t uid, gid_t gid)
{
    const struct classes classes = classes_of(rights);
    /* A user who is not in the owning group is one of the others, or is listed. */
    const mode_t stranger = classes.other & classes.least_user & classes.least_group;
    mode_t group = classes.group & classes.least_user;
    mode_t other = stranger;
    /* Another group owns the file: members of the new group were strangers or members before, and former members may be
     * strangers now. */
    if (gid != rights->gid)
        group = other = stranger & classes.group;
    /* Another user owns the file: the former owner is in the group or one of the others now. */
    if (uid != rights->uid) {
        group &= classes.owner;
        other &= classes.owner;
    }
    return classes.owner << 6 | group << 3 | other;
}

/* ---- Giving ----------------------------------------------------------------------------------------------- */

int rights_restrict(int fd)
{
    /* First the mode: with a list it sets the mask, so that nobody gains what the mask denied when the list is removed. */
    if (fchmod(fd, 0600) != 0 && !means_refused(errno))
        return -errno;
    return fremovexattr(fd, LIST_NAME) == 0 || means_no_list(errno) || means_refused(errno) ? 0 : -errno;
}

/* 0 also where it is refused, see *ret_refused. A file system without modes may give the one that is wanted. */
static int give_mode(int fd, mode_t mode, int *ret_refused)
{
    struct stat now;
    *ret_refused = fchmod(fd, mode) == 0 ? 0 : -errno;
    if (means_refused(-*ret_refused) && fstat(fd, &now) == 0 && (now.st_mode & 07777) == mode)
        *ret_refused = 0;
    return means_refused(-*ret_refused) ? 0 : *ret_refused;
}

int rights_give(int fd, const struct rights *like, mode_t mask, struct rights_refused *ret_refused)
{
    struct stat now;
    *ret_refused = (struct rights_refused){0};
    if (fstat(fd, &now) != 0)
        return -errno;
    return give_mode(fd, rights_plain_mode(like, now.st_uid, now.st_gid) & ~mask, &ret_refused->mode);
}

/* Only root can change the owner; others can choose one of their groups. */
static int give_owner(int fd, const struct rights *like)
{
    if (fchown(fd, like->uid, like->gid) == 0)
        return 0;
    const int err = errno == EPERM && geteuid() != 0 ? 0 : -errno;
    (void)(fchown(fd, (uid_t)-1, like->gid) != 0);
    return err;
}

int rights_give_all(int fd, const struct rights *like, struct rights_refused *ret_refused)
{
    struct stat now;
    *ret_refused = (struct rights_refused){.owner = give_owner(fd, like)};
    if (ret_refused->owner == -EIO)
        return -EIO;
    if (fstat(fd, &now) != 0)
        return -errno;
    const bool is_same = now.st_uid == like->uid && now.st_gid == like->gid;
    const bool has_list = is_same && like->list_size > 0;
    const bool is_listed = has_list && fsetxattr(fd, LIST_NAME, like->list, like->list_size, 0) == 0;
    ret_refused->list = has_list && !is_listed ? -errno : 0;
    if (ret_refused->list == -EIO)
        return -EIO;
    const mode_t mode = is_listed ? like->mode & 0777 : rights_plain_mode(like, now.st_uid, now.st_gid);
    const mode_t special = like->mode & (is_same ? S_ISUID | S_ISGID | S_ISVTX : S_ISVTX);
    return give_mode(fd, mode | special, &ret_refused->mode);
}

void rights_note(const struct rights_refused *refused, const char *path)
{
    if (refused->owner != 0)
        note_refused(NOTE_OWNER, path, -refused->owner);
    if (refused->mode != 0)
        note_refused(NOTE_MODE, path, -refused->mode);
    if (refused->list != 0)
        note_refused(NOTE_LIST, path, -refused->list);
}

int rights_give_default(int fd, int from)
{
    uint8_t list[RIGHTS_LIST_MAX];
    const ssize_t size = from >= 0 ? fgetxattr(from, DEFAULT_LIST_NAME, list, sizeof list) : 0;
    if (size < 0 && !means_no_list(errno) && !means_refused(errno))
        return -errno;
    if (size > 0)
        return fsetxattr(fd, DEFAULT_LIST_NAME, list, (size_t)size, 0) == 0 ? 0 : -errno;
    return fremovexattr(fd, DEFAULT_LIST_NAME) == 0 || means_no_list(errno) || means_refused(errno) ? 0 : -errno;
}
