/* SPDX-License-Identifier: MIT
 *
 * sum.h - `dio sum`: digests of files and block devices, read past the page cache, and the check of a list of them.
 */
#ifndef DIO_SUM_H
#define DIO_SUM_H

/* argv[0] is "sum". Returns the exit code of the process (outcome.h). */
int sum_main(int argc, char **argv);

#endif
