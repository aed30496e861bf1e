/* SPDX-License-Identifier: MIT
 *
 * node.h - named pipes, sockets and device nodes of a tree. They are made anew and never opened, as that could wait for a
 * writer, or rewind a tape.
 */
#ifndef DIO_NODE_H
#define DIO_NODE_H

#include "cp/entries.h"

/* Make `name` in the directory, where there must be none, like entry->from: its kind, and its permissions as far as mask lets (as of umask(2)); with
 * preserve all of them, and the owner where the system lets. Never more than entry->from grants; access control lists are not
 * kept. What is refused is a note. Returns 0 or -errno, and then there is no such name. Devices want CAP_MKNOD: mknod(2). */
int node_make(const struct tree_entry *entry, int directory, const char *name, bool preserve, mode_t mask);

#endif
