/* SPDX-License-Identifier: MIT
 *
 * digest.h - a digest of bytes that come in parts: XXH128 (fast, against accidents), SHA-256 (against forgery).
 */
#ifndef DIO_DIGEST_H
#define DIO_DIGEST_H

#include "base/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum digest_kind {
    DIGEST_XXH128,
    DIGEST_SHA256,
    DIGEST_KINDS,
};

#define DIGEST_TEXT_SIZE 65 /* hexadecimal digits of the longest, and NUL */

struct digest {
    enum digest_kind kind;
    void *state; /* of the library that computes it */
};

/* "xxh128", "sha256". */
const char *digest_name(enum digest_kind kind);

/* The kind of a name; DIGEST_KINDS: unknown. */
enum digest_kind digest_by_name(const char *name);

/* The kind whose text has this many digits; DIGEST_KINDS: none. */
enum digest_kind digest_by_length(size_t digits);

/* Begin. Fails without memory. digest_end() follows a success. */
int digest_begin(struct digest *digest, struct outcome *outcome, enum digest_kind kind);

void digest_add(struct digest *digest, const void *ptr, size_t size);

/* The digest in small hexadecimal digits, as xxh128sum(1) and sha256sum(1) print it; frees the state. text may be NULL. */
void digest_end(struct digest *digest, char text[DIGEST_TEXT_SIZE]);

#endif
