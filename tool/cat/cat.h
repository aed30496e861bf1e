/* SPDX-License-Identifier: MIT
 *
 * cat.h - `dio cat`: files and block devices to standard output, past the page cache.
 */
#ifndef DIO_CAT_H
#define DIO_CAT_H

/* argv[0] is "cat". Returns the exit code of the process (outcome.h). */
int cat_main(int argc, char **argv);

#endif
