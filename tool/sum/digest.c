/* SPDX-License-Identifier: MIT
 *
 * digest.c - see digest.h.
 */
#include "sum/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const struct {
    const char *name;
    size_t digits;
} kinds[DIGEST_KINDS] = {[DIGEST_XXH128] = {"xxh128", 32}, [DIGEST_SHA256] = {"sha256", 64}};

const char *digest_name(enum digest_kind kind)
{
    return kinds[kind].name;
}

enum digest_kind digest_by_name(const char *name)
{
    enum digest_kind kind = DIGEST_XXH128;
    while (kind < DIGEST_KINDS && strcmp(kinds[kind].name, name) != 0)
        kind++;
    return kind;
}

enum digest_kind digest_by_length(size_t digits)
{
    enum digest_kind kind = DIGEST_XXH128;
    while (kind < DIGEST_KINDS && kinds[kind].digits != digits)
        kind++;
    return kind;
}

/* NULL: no memory, or the library has no SHA-256 (a provider that is switched off). */
static void *sha256_begin(void)
{
    EVP_MD_CTX *const state = EVP_MD_CTX_new();
    if (state != NULL && EVP_DigestInit_ex(state, EVP_sha256(), NULL) == 1)
        return state;
    EVP_MD_CTX_free(state);
    return NULL;
}

static void *xxh128_begin(void)
{
    XXH3_state_t *const state = XXH3_createState();
    if (state != NULL)
        (void)XXH3_128bits_reset(state);
    return state;
}

int digest_begin(struct digest *digest, struct outcome *outcome, enum digest_kind kind)
{
    *digest = (struct digest){.kind = kind, .state = kind == DIGEST_SHA256 ? sha256_begin() : xxh128_begin()};
    if (digest->state != NULL)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_FAILED, ENOMEM, "cannot begin to compute %s: no memory, or not provided",
                        digest_name(kind));
}

void digest_add(struct digest *digest, const void *ptr, size_t size)
{
    if (digest->kind == DIGEST_SHA256)
        (void)EVP_DigestUpdate(digest->state, ptr, size);
    else
        (void)XXH3_128bits_update(digest->state, ptr, size);
}

static void print_digits(char *text, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void digest_end(struct digest *digest, char text[DIGEST_TEXT_SIZE])
{
    unsigned char bytes[EVP_MAX_MD_SIZE] = {0};
    if (digest->kind == DIGEST_SHA256) {
        (void)EVP_DigestFinal_ex(digest->state, bytes, NULL);
        EVP_MD_CTX_free(digest->state);
    } else {
        XXH128_canonicalFromHash((XXH128_canonical_t *)(void *)bytes, XXH3_128bits_digest(digest->state));
        (void)XXH3_freeState(digest->state);
    }
    if (text != NULL)
        print_digits(text, bytes, kinds[digest->kind].digits / 2);
}
