/* SPDX-License-Identifier: MIT
 *
 * tree.h - `dio cp -r`, and several SRC: the entries are listed, then directories are made, files copied in parallel, each as
 * `dio cp` copies one, names of one file linked, symbolic links made; last, directories get their rights and are synced.
 *
 * What fails is reported and does not keep the rest from being copied; the exit code is that of the first failure.
 */
#ifndef DIO_TREE_H
#define DIO_TREE_H

#include "cp/copy_options.h"
#include "cp/entries.h"

/* Returns the exit code. */
int tree_copy(const struct copy_options *options);

#endif
