/* SPDX-License-Identifier: MIT
 *
 * copy_out.h - `dio cp SRC -`: a copy to standard output. Nothing of it is durable, resumed or checked: where the bytes go is not
 * known.
 */
#ifndef DIO_COPY_OUT_H
#define DIO_COPY_OUT_H

#include "cp/copy_options.h"

/* Copy options->source. Prints the result or the failure on stderr. Returns the exit code. */
int copy_out(const struct copy_options *options);

#endif
