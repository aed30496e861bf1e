/* SPDX-License-Identifier: MIT
 *
 * copy.h - `dio cp`: one file (copy_file.h), a stream (copy_out.h), or several files and trees (tree.h).
 */
#ifndef DIO_COPY_H
#define DIO_COPY_H

/* argv[0] is "cp". Returns the exit code of the process (outcome.h); does not return after a signal. */
int copy_main(int argc, char **argv);

#endif
