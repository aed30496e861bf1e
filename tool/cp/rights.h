/* SPDX-License-Identifier: MIT
 *
 * rights.h - who may do what with a file: owner, group, mode, and the access control list of POSIX (acl(5)).
 *
 * The group bits of a mode are two things. Without a list they are what the owning group may do; with one they are its mask,
 * the most that the group and all who are listed may do. So chmod() on a file with a list gives to those who are listed, and
 * the mode of such a file, given to one without a list, gives the mask to the group.
 */
#ifndef DIO_RIGHTS_H
#define DIO_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RIGHTS_LIST_MAX 65536 /* bytes: XATTR_SIZE_MAX */

struct rights {
    uid_t uid;
    gid_t gid;
    mode_t mode;      /* 07777; the group bits are the mask where there is a list */
    size_t list_size; /* bytes; 0 = no access control list */
    uint8_t list[RIGHTS_LIST_MAX];
};

/* What the system refused to set: a negative errno each, 0 = nothing. */
struct rights_refused {
    int owner; /* a file belongs to who may give it away: -EPERM is usual for others than root, and 0 here */
    int mode;
    int list;
};

/* Read the rights of an open file; fd may be of O_PATH. A list that cannot be read is taken for one that gives the group no
 * more than all have. Returns 0 or -errno. */
int rights_read(int fd, struct rights *ret_rights);

/* The largest mode (of 0777) that, on a file of this owner and group without a list, grants nobody but that owner anything
 * that `rights` does not grant: neither a mask nor somebody who is listed with less than the others have. */
mode_t rights_plain_mode(const struct rights *rights, uid_t uid, gid_t gid);

/* Take everything from all but the owner: mode 0600, and the list that a directory gives to new files removed. File
 * systems that refuse to set modes or lists keep theirs. Returns 0 or -errno. */
int rights_restrict(int fd);

/* Give a restricted file the permissions of `like`, as far as `mask` (as of umask(2)) lets; owner and group stay. Never
 * more than `like` grants, see rights_plain_mode(). A mode that is refused stays. Returns 0 or -errno. */
int rights_give(int fd, const struct rights *like, mode_t mask, struct rights_refused *ret_refused);

/* Give a restricted file the owner, group, mode and list of `like`. Where the system refuses owner or group, or the list,
 * never more than `like` grants to anyone, and no set-user-ID and set-group-ID bits on a file of another owner or group.
 * Returns 0 or -errno. */
int rights_give_all(int fd, const struct rights *like, struct rights_refused *ret_refused);

/* A note for each refusal. path: of the file. */
void rights_note(const struct rights_refused *refused, const char *path);

/* The list that a directory gives to new files: as that of the directory `from`; from -1: none. Returns 0 or -errno. */
int rights_give_default(int fd, int from);

#endif
