/* SPDX-License-Identifier: MIT
 *
 * check.c - what is printed when a contract is broken and memory would be corrupted.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void jdb__breach(const char *what, const void *ptr)
{
    fprintf(stderr, "jdb_alloc: %s (at %p)\n", what, ptr);
    abort();
}
