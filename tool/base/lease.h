/* SPDX-License-Identifier: MIT
 *
 * lease.h - open a file that another program may have a lease on (fcntl(2), F_SETLEASE: file servers, Samba).
 */
#ifndef DIO_LEASE_H
#define DIO_LEASE_H

/* open(path, flags | O_NONBLOCK): a pipe does not keep it waiting. A lease does, as long as the kernel lets its holder take to
 * end it, or until a signal comes. Returns the descriptor, or -1 and errno. */
int lease_open(const char *path, int flags);

#endif
