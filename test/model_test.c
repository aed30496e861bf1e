/* SPDX-License-Identifier: MIT
 *
 * model_test.c - random operation lists on buffers against a naive model: a
 * malloc'd copy of what each must hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "must.h"
#include "random.h"
#include "tier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define MOST (MIB)

enum { SLOT_COUNT = 48, MAILBOX_COUNT = 32, THREAD_COUNT = 4 };

/* A buffer and its model. A slot without memory is the empty buffer; bytes has
 * room for MOST then too. */
struct slot {
    jdb_buf buf;
    uint8_t *bytes; /* the model: buf.len bytes */
    size_t max;     /* of jdb_buf_with_max(), 0 = none */
    size_t align;   /* asked for at creation */
    unsigned pins;
};

struct player {
    uint64_t random;
    uint64_t steps;
    struct slot *slots[SLOT_COUNT];
};

/* Slots on their way from one thread to another. */
static _Atomic(struct slot *) mailbox[MAILBOX_COUNT];

static struct slot *slot_new(void)
{
    struct slot *const slot = calloc(1, sizeof *slot);
    MUST(slot != NULL);
    slot->bytes = malloc(2 * MOST);
    MUST(slot->bytes != NULL);
    return slot;
}

static void check(const struct slot *slot)
{
    const jdb_buf *const buf = &slot->buf;
    MUST((buf->ptr == NULL) == (buf->cap == 0));
    MUST((uintptr_t)buf->ptr % 4096 == 0 && buf->cap % 4096 == 0);
    MUST(buf->len <= buf->cap);
    MUST(slot->align == 0 || (uintptr_t)buf->ptr % slot->align == 0);
    MUST(slot->max == 0 || buf->cap <= slot->max);
    MUST(buf->len == 0 || memcmp(buf->ptr, slot->bytes, buf->len) == 0);
    MUST(buf->cap == 0 || jdb_is_pinned(buf->ptr, buf->cap) == (slot->pins > 0));
}

static void unpin_all(struct slot *slot, const uint8_t *ptr, size_t cap)
{
    for (; slot->pins > 0; slot->pins--) {
        MUST(jdb_is_pinned(ptr, cap));
        MUST(jdb_unpin(ptr, cap) == 0);
    }
}

/* Free the buffer; while it is pinned its bytes must stay what they were. */
static void drop(struct slot *slot)
{
    uint8_t *const ptr = slot->buf.ptr;
    const size_t len = slot->buf.len;
    const size_t cap = slot->buf.cap;
    check(slot);
    jdb_buf_drop(&slot->buf);
    MUST(slot->buf.ptr == NULL && slot->buf.len == 0 && slot->buf.cap == 0);
    if (slot->pins > 0)
        MUST(memcmp(ptr, slot->bytes, len) == 0);
    unpin_all(slot, ptr, cap);
    slot->max = 0;
    slot->align = 0;
}

static size_t random_size(struct player *player)
{
    if (random_below(&player->random, 2) == 0)
        return random_below(&player->random, 20000);
    return random_log_uniform(&player->random, 1, MOST);
}

static void write_random(struct player *player, uint8_t *bytes, size_t size)
{
    const uint64_t word = random_next(&player->random);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(word >> (i % 8 * 8)) ^ (uint8_t)(i >> 8);
}

/* Fill the buffer to len bytes, and the model with it. */
static void set_content(struct player *player, struct slot *slot, size_t len)
{
    write_random(player, slot->bytes, len);
    if (len > 0)
        memcpy(slot->buf.ptr, slot->bytes, len);
    MUST(jdb_buf_set_len(&slot->buf, len) == 0);
}

static void make(struct player *player, struct slot *slot)
{
    drop(slot);
    const size_t size = random_size(player);
    const size_t whole = size == 0 ? 4096 : (size + 4095) / 4096 * 4096;
    MUST(jdb_buf_with_cap(&slot->buf, size) == 0);
    MUST(slot->buf.cap == whole && slot->buf.len == 0);
    set_content(player, slot, random_below(&player->random, whole + 1));
}

static void make_aligned(struct player *player, struct slot *slot)
{
    drop(slot);
    slot->align = (size_t)4096 << random_below(&player->random, 8);
    const size_t size = random_size(player) + 1;
    MUST(jdb_buf_with_cap_aligned(&slot->buf, size, slot->align) == 0);
    MUST(slot->buf.cap == (size + slot->align - 1) / slot->align * slot->align);
    set_content(player, slot, size);
}

static void make_zeroed(struct player *player, struct slot *slot)
{
    drop(slot);
    const size_t size = random_size(player);
    MUST(jdb_buf_zeroed(&slot->buf, size) == 0);
    MUST(slot->buf.len == size);
    MUST(jdb_buf_set_len(&slot->buf, slot->buf.cap) == 0);
    memset(slot->bytes, 0, slot->buf.cap);
}

static void make_with_max(struct player *player, struct slot *slot)
{
    drop(slot);
    const size_t max = random_size(player) + 1;
    const size_t cap = random_below(&player->random, max + 1);
    MUST(jdb_buf_with_max(&slot->buf, cap, max) == 0);
    slot->max = (max + 4095) / 4096 * 4096;
    MUST(slot->buf.len == 0);
    set_content(player, slot, cap);
}

static void extend(struct player *player, struct slot *slot)
{
    const jdb_buf was = slot->buf;
    const size_t size = random_below(&player->random, 9000);
    uint8_t data[9000] = {0};
    write_random(player, data, size);
    const int err = jdb_buf_extend(&slot->buf, data, size);
    MUST(err == (size > was.cap - was.len ? -ENOBUFS : 0));
    MUST(slot->buf.ptr == was.ptr && slot->buf.cap == was.cap);
    MUST(slot->buf.len == was.len + (err == 0 ? size : 0));
    if (err == 0)
        memcpy(slot->bytes + was.len, data, size);
}

static void extend_by_itself(struct player *player, struct slot *slot)
{
    const jdb_buf was = slot->buf;
    if (was.len == 0)
        return;
    const size_t from = random_below(&player->random, was.len);
    const size_t size = random_below(&player->random, was.len - from + 1);
    if (jdb_buf_extend(&slot->buf, was.ptr + from, size) == 0)
        memmove(slot->bytes + was.len, slot->bytes + from, size);
    else
        MUST(size > was.cap - was.len);
}

static void reserve(struct player *player, struct slot *slot)
{
    const jdb_buf was = slot->buf;
    const size_t more = random_size(player);
    if (was.len + more > MOST)
        return;
    const int err = jdb_buf_reserve(&slot->buf, more);
    const bool fits = more <= was.cap - was.len;
    MUST(err == 0 || (!fits && slot->max > 0 && err == -ENOBUFS) || (!fits && slot->pins > 0 && err == -EBUSY));
    MUST(slot->max == 0 || fits || (err == 0) == (was.len + more <= slot->max));
    if (err != 0 || fits)
        MUST(memcmp(&slot->buf, &was, sizeof was) == 0);
    MUST(err != 0 || slot->buf.cap - slot->buf.len >= more);
    MUST(slot->buf.ptr == was.ptr || (slot->max == 0 && slot->pins == 0));
    if (slot->buf.ptr != was.ptr)
        slot->align = 0;
    if (slot->buf.ptr != NULL)
        memset(slot->buf.ptr + slot->buf.len, 0xdb, slot->buf.cap - slot->buf.len);
}

static void shrink(struct player *player, struct slot *slot)
{
    (void)player;
    const jdb_buf was = slot->buf;
    const size_t least = was.len == 0 ? 4096 : (was.len + 4095) / 4096 * 4096;
    const bool is_needed = was.cap > least;
    const int err = jdb_buf_shrink(&slot->buf);
    MUST(err == (is_needed && slot->pins > 0 ? -EBUSY : 0));
    MUST(slot->buf.ptr == was.ptr && slot->buf.len == was.len);
    MUST(slot->buf.cap == (err == 0 && is_needed ? least : was.cap));
}

static void cut(struct player *player, struct slot *slot)
{
    const size_t len = slot->buf.len;
    const size_t new_len = random_below(&player->random, len + 2);
    if (random_below(&player->random, 8) == 0) {
        jdb_buf_clear(&slot->buf);
        MUST(slot->buf.len == 0);
        return;
    }
    jdb_buf_truncate(&slot->buf, new_len);
    MUST(slot->buf.len == (new_len < len ? new_len : len));
}

static void pad(struct player *player, struct slot *slot)
{
    const jdb_buf was = slot->buf;
    const size_t align = (size_t)1 << random_below(&player->random, 14);
    const size_t padded = (was.len + align - 1) / align * align;
    const int err = jdb_buf_pad_to(&slot->buf, align);
    MUST(err == (padded > was.cap ? -ENOBUFS : 0));
    MUST(slot->buf.len == (err == 0 ? padded : was.len));
    memset(slot->bytes + was.len, 0, slot->buf.len - was.len);
}

static void refit(struct player *player, struct slot *slot)
{
    const size_t align = (size_t)1 << random_below(&player->random, 14);
    const size_t data_len = random_below(&player->random, slot->buf.len + 1);
    size_t kept = SIZE_MAX;
    MUST(jdb_buf_refit_tail(&slot->buf, data_len, align, &kept) == 0);
    MUST(kept == data_len % align && slot->buf.len == kept);
    memmove(slot->bytes, slot->bytes + data_len - kept, kept);
}

static void clone_slot(struct player *player, struct slot *slot)
{
    struct slot *const other = player->slots[random_below(&player->random, SLOT_COUNT)];
    if (other == slot)
        return;
    drop(other);
    MUST(jdb_buf_try_clone(&slot->buf, &other->buf) == 0);
    MUST(other->buf.len == slot->buf.len && other->buf.cap == slot->buf.cap);
    MUST(slot->buf.cap == 0 || other->buf.ptr != slot->buf.ptr);
    memcpy(other->bytes, slot->bytes, slot->buf.len);
    check(other);
}

static void parts(struct player *player, struct slot *slot)
{
    (void)player;
    const jdb_buf was = slot->buf;
    uint8_t *ptr = NULL;
    size_t len = 0;
    size_t cap = 0;
    jdb_buf_into_raw_parts(&slot->buf, &ptr, &len, &cap);
    MUST(slot->buf.ptr == NULL);
    jdb_buf wrong;
    if (cap > 0)
        MUST(jdb_buf_from_raw_parts(&wrong, ptr, 0, cap + 4096) == -EINVAL);
    if (cap > 4096)
        MUST(jdb_buf_from_raw_parts(&wrong, ptr + 4096, 0, cap - 4096) == -EINVAL);
    MUST(jdb_buf_from_raw_parts(&slot->buf, ptr, len, cap) == 0);
    MUST(memcmp(&slot->buf, &was, sizeof was) == 0);
}

static void change_pins(struct player *player, struct slot *slot)
{
    if (slot->buf.ptr == NULL)
        return;
    if (slot->pins > 0 && random_below(&player->random, 2) == 0)
        unpin_all(slot, slot->buf.ptr, slot->buf.cap);
    else if (slot->pins < 5 && jdb_pin(slot->buf.ptr, slot->buf.cap) == 0)
        slot->pins++;
}

static void drop_slot(struct player *player, struct slot *slot)
{
    (void)player;
    drop(slot);
}

/* Hand the slot to whoever looks into the same box next, and take what is
 * there. */
static void pass_on(struct player *player, struct slot *slot)
{
    _Atomic(struct slot *) *const box = &mailbox[random_below(&player->random, MAILBOX_COUNT)];
    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (player->slots[i] == slot) {
            struct slot *const taken = atomic_exchange(box, slot);
            player->slots[i] = taken != NULL ? taken : slot_new();
            check(player->slots[i]);
        }
}

static void (*const operations[])(struct player *, struct slot *) = {
    make, make, make_aligned, make_zeroed, make_with_max, extend,  extend_by_itself, reserve,   reserve,   shrink,
    cut,  pad,  refit,        clone_slot,  parts,         pass_on, change_pins,      drop_slot, drop_slot, pass_on};

static void *play(void *argument)
{
    struct player *const player = argument;
    for (size_t i = 0; i < SLOT_COUNT; i++)
        player->slots[i] = slot_new();
    for (uint64_t step = 0; step < player->steps; step++) {
        struct slot *const slot = player->slots[random_below(&player->random, SLOT_COUNT)];
        const uint64_t operation = random_below(&player->random, sizeof operations / sizeof operations[0]);
        check(slot);
        operations[operation](player, slot);
        if (operations[operation] != pass_on)
            check(slot);
        if (step % 1000 == 0)
            for (size_t i = 0; i < SLOT_COUNT; i++)
                check(player->slots[i]);
    }
    return NULL;
}

static void slot_free(struct slot *slot)
{
    if (slot == NULL)
        return;
    drop(slot);
    free(slot->bytes);
    free(slot);
}

static void clear_up(struct player *players, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < SLOT_COUNT; k++)
            slot_free(players[i].slots[k]);
    for (size_t i = 0; i < MAILBOX_COUNT; i++)
        slot_free(atomic_exchange(&mailbox[i], NULL));
}

static uint64_t lent_bytes(void)
{
    jdb_page_stats stats = {.size = sizeof stats};
    MUST(jdb_get_page_stats(&stats) == 0);
    return stats.lent_bytes;
}

static void one_thread_agrees_with_the_model(void **state)
{
    (void)state;
    const uint64_t before = lent_bytes();
    struct player player = {.random = random_seed("one thread"), .steps = tier_pick(20000, 400000, 20000000)};
    play(&player);
    clear_up(&player, 1);
    assert_int_equal(lent_bytes(), before);
}

static void many_threads_agree_with_the_model(void **state)
{
    (void)state;
    const uint64_t before = lent_bytes();
    const uint64_t seed = random_seed("many threads");
    static struct player players[THREAD_COUNT];
    pthread_t threads[THREAD_COUNT];
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        players[i].random = seed + i * 1000003;
        players[i].steps = tier_pick(10000, 150000, 10000000);
        assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    clear_up(players, THREAD_COUNT);
    assert_int_equal(lent_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_agrees_with_the_model),
        cmocka_unit_test(many_threads_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
