/* SPDX-License-Identifier: MIT
 *
 * raw.c - fuzz target: slices of views with any words. Nothing is dereferenced: a view is arithmetic.
 */
#include "jdb_alloc.h"

#include <string.h>

#define CHECK(condition) ((condition) ? (void)0 : __builtin_trap())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct words {
    size_t base;
    size_t len;
    size_t cap;
    size_t offset;
    size_t size;
    size_t align;
};

static int expect(const struct words *words, size_t align)
{
    if (align == 0 || (align & (align - 1)) != 0)
        return -EINVAL;
    if ((unsigned __int128)words->offset + words->size > words->cap)
        return -ERANGE;
    return (words->base + words->offset) % align == 0 ? 0 : -EINVAL;
}

static void check_slice(const struct words *words, jdb_raw raw, size_t align)
{
    const jdb_raw was = {(uint8_t *)8, 16, 24};
    jdb_raw sub = was;
    const int err = jdb_raw_sub(raw, words->offset, words->size, align, &sub);
    CHECK(err == expect(words, align));
    if (err != 0) {
        CHECK(memcmp(&sub, &was, sizeof sub) == 0);
        return;
    }
    CHECK(sub.len == 0 && sub.cap == words->size);
    CHECK(raw.ptr == NULL || (uintptr_t)sub.ptr == words->base + words->offset);
    CHECK(raw.ptr == NULL || jdb_raw_is_aligned(sub, align));
    CHECK(jdb_raw_set_init(&sub, words->len) == (words->len > sub.cap ? -ENOBUFS : 0));
    CHECK(sub.len <= sub.cap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct words words = {0};
    memcpy(&words, data, size < sizeof words ? size : sizeof words);
    words.base &= ((size_t)1 << 47) - 1;
    words.cap %= ((size_t)1 << 47) - words.base;
    if (words.base == 0)
        words.cap = 0;
    const jdb_raw raw = jdb_raw_from_raw_parts((void *)words.base, words.len, words.cap);
    CHECK(raw.len <= raw.cap);
    check_slice(&words, raw, words.align);
    check_slice(&words, raw, (size_t)1 << words.align % 64);
    jdb_raw slice;
    jdb_raw slice_data;
    const int err = jdb_raw_slice(raw, words.offset, words.size, &slice);
    CHECK(err == expect(&words, 4096));
    CHECK(jdb_raw_slice_data(raw, words.offset, words.size, &slice_data) == err);
    CHECK(err != 0 || (slice.ptr == slice_data.ptr && slice_data.len == slice.cap));
    char text[128];
    CHECK(jdb_raw_format(&raw, text, sizeof text) == (int)strlen(text));
    return 0;
}
