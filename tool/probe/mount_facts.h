/* SPDX-License-Identifier: MIT
 *
 * mount_facts.h - which mount a path lies on: /proc/self/mountinfo, proc(5).
 */
#ifndef DIO_MOUNT_FACTS_H
#define DIO_MOUNT_FACTS_H

#include <limits.h>
#include <stdbool.h>

struct mount_facts {
    char type[64];         /* "ext4", "fuse.sshfs"; empty = not found */
    char point[PATH_MAX];  /* where it is mounted */
    char source[PATH_MAX]; /* "/dev/vda", "overlay" */
    char options[1024];    /* those of the mount and of the file system, with commas */
};

/* Find the mount of a path. Returns whether there is one. */
bool mount_facts_find(struct mount_facts *facts, const char *path);

/* The value of an option "NAME=VALUE" of the mount. Returns whether it is there. */
bool mount_facts_option(const struct mount_facts *facts, const char *name, char value[PATH_MAX]);

#endif
