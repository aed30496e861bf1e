/* SPDX-License-Identifier: MIT
 *
 * write_test.h - writing to a temporary file that has no name, to see what direct writes do.
 */
#ifndef DIO_WRITE_TEST_H
#define DIO_WRITE_TEST_H

#include "probe/path_facts.h"

/* Make a temporary file in the directory of facts->path (in the path itself, if it is a directory), write to it, and record
 * what happened in facts->write. Returns whether the file was made; then *ret_plain and *ret_direct (-1: O_DIRECT is refused) are open on
 * it, for the caller to close, and it is gone with them. */
bool write_test_run(struct path_facts *facts, int *ret_direct, int *ret_plain);

#endif
