/* SPDX-License-Identifier: MIT
 *
 * replace.c - see replace.h.
 */
#include "cp/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The longest name that a part file needs, see compose() in part.c. */
#define PART_NAME_SIZE 43

/* Of the open file; 0: unknown. */
static uint64_t attributes_of(int fd)
{
    struct statx found;
    return statx(fd, "", AT_EMPTY_PATH, 0, &found) == 0 ? found.stx_attributes : 0;
}

/* CAP_FOWNER: the user is treated as the owner of each file. Where the kernel does not say, the rename at the end decides. */
static bool is_owner_of_all(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    return syscall(SYS_capget, &header, sets) != 0 || (sets[0].effective >> CAP_FOWNER & 1) != 0;
}

static bool is_kept_by_sticky(const struct replaced *replaced)
{
    struct stat directory;
    if (fstat(replaced->directory, &directory) != 0 || (directory.st_mode & S_ISVTX) == 0)
        return false;
    return replaced->old->st_uid != geteuid() && directory.st_uid != geteuid() && !is_owner_of_all();
}

static bool has_short_names(int directory)
{
    struct statfs found;
    return fstatfs(directory, &found) == 0 && found.f_namelen > 0 && found.f_namelen < PART_NAME_SIZE;
}

const char *replace_obstacle(const struct replaced *replaced)
{
    const uint64_t of_directory = attributes_of(replaced->directory);
    if ((of_directory & STATX_ATTR_APPEND) != 0)
        return "its directory is append-only (chattr +a), where names are neither replaced nor removed";
    if (has_short_names(replaced->directory))
        return "its file system has no names that are long enough for a part file";
    if (replaced->fd < 0)
        return NULL; /* whatever keeps a part file from being created keeps DST from it, too */
    if ((of_directory & STATX_ATTR_IMMUTABLE) != 0)
        return "its directory is immutable (chattr +i)";
    if ((attributes_of(replaced->fd) & STATX_ATTR_MOUNT_ROOT) != 0)
        return "it is a mount point";
    if (is_kept_by_sticky(replaced))
        return "it belongs to another user, and in a directory with the sticky bit only its owner can replace it";
    if (faccessat(replaced->directory, ".", W_OK | X_OK, AT_EACCESS) != 0 && errno == EACCES)
        return "its directory cannot be written";
    return NULL;
}

int replace_refuse_attributes(struct outcome *outcome, const char *path, int fd)
{
    const uint64_t attributes = attributes_of(fd);
    if ((attributes & STATX_ATTR_IMMUTABLE) != 0)
        return outcome_fail(
            outcome, DIO_EXIT_FAILED, EPERM,
            "'%s' is immutable (chattr +i), so it can be neither written nor replaced; chattr -i it first", path);
    if ((attributes & STATX_ATTR_APPEND) != 0)
        return outcome_fail(outcome, DIO_EXIT_FAILED, EPERM,
                            "'%s' is append-only (chattr +a), so it can be neither overwritten nor replaced; chattr -a "
                            "it first",
                            path);
    return 0;
}
