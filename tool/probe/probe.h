/* SPDX-License-Identifier: MIT
 *
 * probe.h - `dio probe`: what direct I/O requires of each path, whether it happens there, and what the machine allows.
 *
 * Course of a probe:
 *   path_facts      one path at a time: its limits (jdb_alloc/direct.h), its mount (mount_facts), the devices below it
 *                   (device_chain), reads that are tried, and with --write-test writes to a temporary file (write_test)
 *   machine_facts   io_uring, locked memory, huge pages, NUMA
 *   probe_table     prints a path when it was probed, and the machine at the end; or
 *   probe_json      collects all and prints one object
 *
 * What always holds:
 *   R1  A path is only read. Only --write-test writes, and only to a file that it created, never on a device.
 *   R2  What is unknown is said to be unknown, with 0, -1 or an empty text in its field; a fact that cannot be found fails
 *       nothing else.
 *   R3  A path that cannot be probed has its error in path_facts, and the others are probed all the same.
 */
#ifndef DIO_PROBE_H
#define DIO_PROBE_H

/* argv[0] is "probe". Returns the exit code of the process: 0 every path is direct, 1 a path could not be probed, 2 the
 * command line is wrong, 3 a path is not direct, 6 it is unknown for a path; the smallest of 1, 3, 6 that applies. */
int probe_main(int argc, char **argv);

#endif
