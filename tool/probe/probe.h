/* SPDX-License-Identifier: MIT
 *
 * probe.h - `dio probe`.
 */
#ifndef DIO_PROBE_H
#define DIO_PROBE_H

/* argv[0] is "probe". Returns the exit code of the process: 0 all is direct, 1 a path could not be probed, 2 the command
 * line is wrong, 3 a path is not direct, 6 unknown for a path; the smallest of 1, 3, 6 that holds. */
int probe_main(int argc, char **argv);

#endif
