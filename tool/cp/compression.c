/* SPDX-License-Identifier: MIT
 *
 * compression.c - see compression.h.
 */
#include "cp/compression.h"

#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

/* The number of the mount that the file was opened through; 0: unknown. */
static unsigned long mount_of(int fd)
{
    char path[64];
    char line[128];
    unsigned long id = 0;
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *const file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (id == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "mnt_id:", 7) == 0)
            id = strtoul(line + 7, NULL, 10);
    (void)fclose(file);
    return id;
}

/* The options of the file system are the last field of a line in /proc/self/mountinfo. */
static bool is_mounted_so(int fd)
{
    const unsigned long id = mount_of(fd);
    FILE *const file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    bool is_on = file == NULL || id == 0;
    while (!is_on && getline(&line, &room, file) > 0) {
        const char *const options = strrchr(line, ' ');
        is_on = strtoul(line, NULL, 10) == id && options != NULL && strstr(options, ",compress") != NULL;
    }
    free(line);
    if (file != NULL)
        (void)fclose(file);
    return is_on;
}

bool compression_is_on(int fd, uint32_t file_system)
{
    int flags = 0;
    if (file_system != BTRFS_SUPER_MAGIC && file_system != F2FS_SUPER_MAGIC)
        return false;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & (FS_NOCOW_FL | FS_NOCOMP_FL)) != 0)
        return false;
    return (flags & FS_COMPR_FL) != 0 || is_mounted_so(fd);
}

bool compression_is_of_direct(void)
{
    struct utsname system;
    if (uname(&system) != 0)
        return true;
    char *end = NULL;
    const unsigned long major = strtoul(system.release, &end, 10);
    if (*end != '.')
        return true;
    const unsigned long minor = strtoul(end + 1, NULL, 10);
    return major > 6 || (major == 6 && minor >= 15);
}
