/* SPDX-License-Identifier: MIT
 *
 * buf.c - fuzz target: the input is a list of operations on four buffers, each followed by the invariants of buf.h.
 */
#include "jdb_alloc.h"

#include <string.h>

#define CHECK(condition) ((condition) ? (void)0 : __builtin_trap())
#define SIZE_MOST ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *next;
    size_t left;
};

struct slot {
    jdb_buf buf;
    unsigned pins;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    const size_t taken = bytes < input->left ? bytes : input->left;
    if (taken > 0)
        memcpy(&value, input->next, taken);
    input->next += taken;
    input->left -= taken;
    return value;
}

/* Small sizes, sizes about edges, and sizes that cannot be. */
static size_t take_size(struct input *input)
{
    const uint64_t kind = take(input, 1);
    const uint64_t value = take(input, 4);
    if (kind < 200)
        return (size_t)(value % SIZE_MOST);
    if (kind < 230)
        return (size_t)(value % 64 * 4096 + kind % 3 - 1);
    return SIZE_MAX - (size_t)value % 8192;
}

static void check(const struct slot *slot)
{
    const jdb_buf *const buf = &slot->buf;
    CHECK((buf->ptr == NULL) == (buf->cap == 0));
    CHECK((uintptr_t)buf->ptr % 4096 == 0 && buf->cap % 4096 == 0 && buf->len <= buf->cap);
    CHECK(buf->ptr == NULL || jdb_is_pinned(buf->ptr, buf->cap) == (slot->pins > 0));
    if (buf->ptr != NULL) {
        buf->ptr[0] ^= 1;
        buf->ptr[buf->cap - 1] ^= 1;
    }
}

static void drop(struct slot *slot)
{
    uint8_t *const ptr = slot->buf.ptr;
    jdb_buf_drop(&slot->buf);
    for (; slot->pins > 0; slot->pins--)
        CHECK(jdb_unpin(ptr, 1) == 0);
}

static void make(struct slot *slot, struct input *input, uint64_t kind)
{
    drop(slot);
    const size_t size = take_size(input);
    int err = 0;
    if (kind == 0)
        err = jdb_buf_with_cap(&slot->buf, size);
    else if (kind == 1)
        err = jdb_buf_zeroed(&slot->buf, size);
    else if (kind == 2)
        err = jdb_buf_with_cap_aligned(&slot->buf, size, (size_t)1 << take(input, 1) % 24);
    else
        err = jdb_buf_with_max(&slot->buf, size, take_size(input));
    CHECK((err == 0) == (slot->buf.ptr != NULL));
    for (size_t at = 0; kind == 1 && err == 0 && at < slot->buf.cap; at += 509)
        CHECK(slot->buf.ptr[at] == 0);
}

static void change(struct slot *slot, struct input *input, uint64_t kind)
{
    const jdb_buf was = slot->buf;
    const size_t size = take_size(input);
    const size_t align = (size_t)take(input, 2);
    int err = 0;
    if (kind == 4)
        err = jdb_buf_set_len(&slot->buf, size);
    else if (kind == 5)
        err = jdb_buf_set_init(&slot->buf, size);
    else if (kind == 6)
        err = jdb_buf_pad_to(&slot->buf, align);
    else if (kind == 7)
        err = jdb_buf_refit_tail(&slot->buf, size, align, NULL);
    else if (kind == 8)
        err = size > SIZE_MOST && size < (size_t)PTRDIFF_MAX ? 0 : jdb_buf_reserve(&slot->buf, size);
    else if (kind == 9)
        err = jdb_buf_shrink(&slot->buf);
    else
        jdb_buf_truncate(&slot->buf, size);
    CHECK(err == 0 || memcmp(&was, &slot->buf, sizeof was) == 0);
    CHECK(kind != 8 || slot->pins == 0 || slot->buf.ptr == was.ptr);
}

static void hand_over(struct slot *slot, struct slot *other, struct input *input, uint64_t kind)
{
    uint8_t *ptr = NULL;
    size_t len = 0;
    size_t cap = 0;
    const size_t part = take_size(input);
    if (kind == 11 && slot != other) {
        drop(other);
        CHECK(jdb_buf_try_clone(&slot->buf, &other->buf) == 0);
        CHECK(other->buf.cap == slot->buf.cap && other->buf.len == slot->buf.len);
        CHECK(slot->buf.len == 0 || memcmp(slot->buf.ptr, other->buf.ptr, slot->buf.len) == 0);
    } else if (kind == 12) {
        jdb_buf_into_raw_parts(&slot->buf, &ptr, &len, &cap);
        if (part != cap)
            CHECK(jdb_buf_from_raw_parts(&slot->buf, ptr, 0, part) == -EINVAL);
        CHECK(jdb_buf_from_raw_parts(&slot->buf, ptr, len, cap) == 0);
    } else if (kind == 13 && slot->buf.len > 0) {
        const size_t from = part % slot->buf.len;
        const int err = jdb_buf_extend(&slot->buf, slot->buf.ptr + from, slot->buf.len - from);
        CHECK(err == 0 || err == -ENOBUFS);
    } else if (kind == 14 && slot->buf.ptr != NULL && slot->pins < 3) {
        CHECK(jdb_pin(slot->buf.ptr + part % slot->buf.cap, 1) == 0);
        slot->pins++;
    } else {
        drop(slot);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slot slots[4] = {{JDB_BUF_INIT, 0}};
    struct input input = {data, size};
    while (input.left > 0) {
        const uint64_t kind = take(&input, 1);
        struct slot *const slot = &slots[kind / 16 % 4];
        if (kind % 16 < 4)
            make(slot, &input, kind % 16);
        else if (kind % 16 < 11)
            change(slot, &input, kind % 16);
        else
            hand_over(slot, &slots[kind / 64 % 4], &input, kind % 16);
        for (size_t i = 0; i < 4; i++)
            check(&slots[i]);
    }
    for (size_t i = 0; i < 4; i++)
        drop(&slots[i]);
    return 0;
}
