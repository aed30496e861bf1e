/* SPDX-License-Identifier: MIT
 *
 * raw.c - the inline functions of the view as exported symbols, and the view as text.
 */
#include "jdb_alloc/raw.h"

#include <inttypes.h>
#include <stdio.h>

extern inline jdb_raw jdb_raw_new(void *ptr, size_t cap);
extern inline jdb_raw jdb_raw_from_raw_parts(void *ptr, size_t len, size_t cap);
extern inline jdb_raw jdb_raw_from_slice(void *ptr, size_t size);
extern inline jdb_raw jdb_raw_with_len(jdb_raw raw, size_t len);
extern inline bool jdb_raw_is_aligned(jdb_raw raw, size_t align);
extern inline int jdb_raw_sub(jdb_raw raw, size_t offset, size_t len, size_t align, jdb_raw *ret_raw);
extern inline int jdb_raw_slice(jdb_raw raw, size_t offset, size_t len, jdb_raw *ret_raw);
extern inline int jdb_raw_slice_data(jdb_raw raw, size_t offset, size_t len, jdb_raw *ret_raw);
extern inline jdb_raw jdb_raw_slice_unchecked(jdb_raw raw, size_t offset, size_t len);
extern inline size_t jdb_raw_len(jdb_raw raw);
extern inline size_t jdb_raw_cap(jdb_raw raw);
extern inline bool jdb_raw_is_empty(jdb_raw raw);
extern inline const uint8_t *jdb_raw_as_ptr(jdb_raw raw);
extern inline uint8_t *jdb_raw_as_mut_ptr(jdb_raw raw);
extern inline int jdb_raw_set_len(jdb_raw *raw, size_t len);
extern inline int jdb_raw_set_init(jdb_raw *raw, size_t initialised);

int jdb_raw_format(const jdb_raw *raw, char *text, size_t text_size)
{
    if (raw == NULL)
        return -EINVAL;
    /* Not by %p, whose form is the C library's choice. */
    return snprintf(text, text_size, "RawIoBuf { ptr: 0x%" PRIxPTR ", len: %zu, cap: %zu }", (uintptr_t)raw->ptr,
                    raw->len, raw->cap);
}
