/* SPDX-License-Identifier: MIT
 *
 * linux_btrfs.c - the window to the system on Linux: whether a file of btrfs has checksums, which decides whether its writes may be
 * direct.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* ---- The inode ---------------------------------------------------------------------------------------------- */

/* As in include/uapi/linux/btrfs.h and btrfs_tree.h, which old headers do not have. */
struct btrfs_search {
    uint64_t tree_id; /* 0: the subvolume of the descriptor */
    uint64_t min_objectid, max_objectid, min_offset, max_offset, min_transid, max_transid;
    uint32_t min_type, max_type, item_count, unused;
    uint64_t more_unused[4];
    uint8_t found[4096 - 104];
};
_Static_assert(sizeof(struct btrfs_search) == 4096, "struct btrfs_ioctl_search_args is 4096 bytes");

#define BTRFS_SEARCH _IOWR(0x94, 17, struct btrfs_search)
#define BTRFS_INODE_ITEM 1u
#define BTRFS_HEADER_SIZE 32u  /* of an item that was found */
#define BTRFS_FLAGS_OFFSET 64u /* of the flags in struct btrfs_inode_item */
#define BTRFS_NODATASUM 1u

static int btrfs_search(int fd, uint64_t inode, struct btrfs_search *search)
{
    const int fault = jdb__os_fault(OS_CALL_IOCTL);
    if (fault != 0)
        return fault;
    *search = (struct btrfs_search){.min_objectid = inode,
                                    .max_objectid = inode,
                                    .max_transid = UINT64_MAX,
                                    .min_type = BTRFS_INODE_ITEM,
                                    .max_type = BTRFS_INODE_ITEM,
                                    .item_count = 1};
    if (ioctl(fd, BTRFS_SEARCH, search) != 0)
        return -errno;
    return search->item_count == 1 ? 0 : -ENOENT;
}

int jdb__os_btrfs_has_checksums(int fd, bool *ret_has)
{
    struct stat now;
    if (fstat(fd, &now) != 0)
        return -errno;
    struct btrfs_search search;
    int err = 0;
    OS_RETRY(err, btrfs_search(fd, (uint64_t)now.st_ino, &search));
    if (err != 0)
        return err;
    uint64_t flags = 0; /* little-endian on the device */
    for (unsigned i = 0; i < 8; i++)
        flags |= (uint64_t)search.found[BTRFS_HEADER_SIZE + BTRFS_FLAGS_OFFSET + i] << (8 * i);
    *ret_has = (flags & BTRFS_NODATASUM) == 0;
    return 0;
}

/* ---- The mount ---------------------------------------------------------------------------------------------- */

/* The number behind `name` in /proc/self/fdinfo/FD. */
static int mount_id_of(int fd, unsigned *ret_id)
{
    char path[64];
    char line[128];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *const file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    int err = -ENOENT;
    while (err != 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "mnt_id:", 7) == 0) {
            *ret_id = (unsigned)strtoul(line + 7, NULL, 10);
            err = 0;
        }
    (void)fclose(file);
    return err;
}

/* Whether `option` is one of the comma-separated words of the options of the file system, the last field of a line. */
static bool line_has_option(const char *line, const char *option)
{
    const char *const options = strrchr(line, ' ');
    const size_t size = strlen(option);
    if (options == NULL)
        return false;
    for (const char *at = strstr(options, option); at != NULL; at = strstr(at + 1, option))
        if ((at[-1] == ',' || at[-1] == ' ') && (at[size] == ',' || at[size] == '\n' || at[size] == '\0'))
            return true;
    return false;
}

static int mount_has_option(int fd, const char *option, bool *ret_has)
{
    const int fault = jdb__os_fault(OS_CALL_FACTS);
    unsigned id = 0;
    const int err = fault != 0 ? fault : mount_id_of(fd, &id);
    if (err != 0)
        return err;
    FILE *const file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return -errno;
    char *line = NULL;
    size_t room = 0;
    bool is_found = false;
    while (!is_found && getline(&line, &room, file) > 0)
        if (strtoul(line, NULL, 10) == id) {
            is_found = true;
            *ret_has = line_has_option(line, option);
        }
    free(line);
    (void)fclose(file);
    return is_found ? 0 : -ENOENT;
}

int jdb__os_mount_has_option(int fd, const char *option, bool *ret_has)
{
    int err = 0;
    OS_UNCANCELLED(err, mount_has_option(fd, option, ret_has));
    return err;
}
