/* SPDX-License-Identifier: MIT
 *
 * model_test.c - random operation lists on buffers against a naive model: a
 * malloc'd copy of what each must hold. The last case lets a seed choose threads, sizes, options, limits, refusals of the
 * system and forks, round by round, for an hour in the long tier; JDB_TEST_SECONDS=N for so long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

#include "cost.h"
#include "faults.h"
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
    size_t size_max; /* of the larger half of sizes; 0 = MOST */
    struct slot *slots[SLOT_COUNT];
    const struct slot *busy[2]; /* in an operation */
};

/* Slots on their way from one thread to another. */
static _Atomic(struct slot *) mailbox[MAILBOX_COUNT];

/* Whether -ENOMEM is an answer: there is a limit, or the system refuses. */
static bool may_refuse;

/* Whether a buffer was made; a refused one is empty. */
static bool is_made(struct slot *slot, int err)
{
    MUST(err == 0 || (may_refuse && err == -ENOMEM));
    MUST((err == 0) == (slot->buf.ptr != NULL));
    return err == 0;
}

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
    return random_log_uniform(&player->random, 1, player->size_max == 0 ? MOST : player->size_max);
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
    if (!is_made(slot, jdb_buf_with_cap(&slot->buf, size)))
        return;
    MUST(slot->buf.cap == whole && slot->buf.len == 0);
    set_content(player, slot, random_below(&player->random, whole + 1));
}

static void make_aligned(struct player *player, struct slot *slot)
{
    drop(slot);
    const size_t align = (size_t)4096 << random_below(&player->random, 8);
    const size_t size = random_size(player) + 1;
    if (!is_made(slot, jdb_buf_with_cap_aligned(&slot->buf, size, align)))
        return;
    slot->align = align;
    MUST(slot->buf.cap == (size + align - 1) / align * align);
    set_content(player, slot, size);
}

static void make_zeroed(struct player *player, struct slot *slot)
{
    drop(slot);
    const size_t size = random_size(player);
    if (!is_made(slot, jdb_buf_zeroed(&slot->buf, size)))
        return;
    MUST(slot->buf.len == size);
    MUST(jdb_buf_set_len(&slot->buf, slot->buf.cap) == 0);
    memset(slot->bytes, 0, slot->buf.cap);
}

static void make_with_max(struct player *player, struct slot *slot)
{
    drop(slot);
    const size_t max = random_size(player) + 1;
    const size_t cap = random_below(&player->random, max + 1);
    if (!is_made(slot, jdb_buf_with_max(&slot->buf, cap, max)))
        return;
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
    const bool is_refused = !fits && may_refuse && err == -ENOMEM;
    MUST(err == 0 || is_refused || (!fits && slot->max > 0 && err == -ENOBUFS) ||
         (!fits && slot->pins > 0 && err == -EBUSY));
    MUST(slot->max == 0 || fits || is_refused || (err == 0) == (was.len + more <= slot->max));
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
    MUST(err == (is_needed && slot->pins > 0 ? -EBUSY : 0) || (is_needed && may_refuse && err == -ENOMEM));
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
    player->busy[1] = other;
    drop(other);
    const int err = jdb_buf_try_clone(&slot->buf, &other->buf);
    if (slot->buf.ptr != NULL && !is_made(other, err))
        return;
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

static void play_step(struct player *player, bool is_alone)
{
    struct slot *const slot = player->slots[random_below(&player->random, SLOT_COUNT)];
    const uint64_t operation = random_below(&player->random, sizeof operations / sizeof operations[0]);
    if (is_alone && operations[operation] == pass_on)
        return;
    player->busy[0] = slot;
    player->busy[1] = NULL;
    check(slot);
    operations[operation](player, slot);
    if (operations[operation] != pass_on)
        check(slot);
}

static void *play(void *argument)
{
    struct player *const player = argument;
    for (size_t i = 0; i < SLOT_COUNT; i++)
        player->slots[i] = player->slots[i] == NULL ? slot_new() : player->slots[i];
    for (uint64_t step = 0; step < player->steps; step++) {
        play_step(player, false);
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
        for (size_t k = 0; k < SLOT_COUNT; k++) {
            slot_free(players[i].slots[k]);
            players[i].slots[k] = NULL;
        }
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

/* ---- Rounds that a seed drives ---------------------------------------------------------------------------- */

enum { DRIVEN_MAX = 6, CHILD_STEPS = 300 };

static _Thread_local struct player *driven;

static uint64_t pick(uint64_t *random, size_t count, const uint64_t *values)
{
    return values[random_below(random, count)];
}

static void set_random_options(uint64_t *random)
{
    const jdb_page_options options = {
        .size = sizeof options,
        .delay_ms = (uint32_t)pick(random, 4, (const uint64_t[]){0, 1, 20, JDB_DELAY_NONE}),
        .dirty_bytes = pick(random, 4, (const uint64_t[]){0, 0, 4096, 4 * MIB}),
        .thread_bytes = pick(random, 3, (const uint64_t[]){0, 4096, MIB}),
        .huge_pages = (uint32_t)pick(random, 3, (const uint64_t[]){0, JDB_HUGE_PAGES_ON, JDB_HUGE_PAGES_OFF}),
    };
    MUST(jdb_set_page_options(&options) == 0);
}

/* Free a buffer that no operation of this thread has in hand. */
static bool drop_another(void *context, uint64_t needed)
{
    (void)context;
    struct slot *const slot = driven == NULL ? NULL : driven->slots[random_below(&driven->random, SLOT_COUNT)];
    MUST(needed > 0);
    if (slot == NULL || slot == driven->busy[0] || slot == driven->busy[1] || slot->buf.ptr == NULL)
        return false;
    drop(slot);
    return true;
}

/* One call to the system in 32 is refused. */
static int refuse_some(enum os_call kind)
{
    (void)kind;
    static _Thread_local uint64_t random;
    return random_below(&random, 32) == 0 ? -ENOMEM : 0;
}

/* The child has the buffers of the thread that forked, and goes on with them. */
static void fork_and_go_on(struct player *player)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0)
        return;
    if (child == 0) {
        for (size_t i = 0; i < SLOT_COUNT; i++)
            check(player->slots[i]);
        for (unsigned step = 0; step < CHILD_STEPS; step++)
            play_step(player, true);
        for (size_t i = 0; i < SLOT_COUNT; i++)
            drop(player->slots[i]);
        jdb_trim();
        _exit(0);
    }
    int status = 0;
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void change_the_whole(struct player *player)
{
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    jdb_page_class_stats of_class = JDB_PAGE_CLASS_STATS_INIT;
    uint64_t bytes = 0;
    switch (random_below(&player->random, TIER_SANITIZED ? 7 : 8)) { /* the last: fork_test.c */
    case 0:
        set_random_options(&player->random);
        break;
    case 1:
        jdb_trim();
        break;
    case 2:
        jdb_thread_flush();
        break;
    case 3:
        MUST(jdb_get_page_stats(&stats) == 0);
        MUST(jdb_get_page_class_stats((uint32_t)random_below(&player->random, jdb_page_class_count()) + 1, &of_class) ==
             0);
        break;
    case 4:
        (void)jdb_resident_bytes(&bytes);
        break;
    case 5:
        (void)jdb_profile_start((uint64_t)4096 << random_below(&player->random, 10));
        break;
    case 6:
        jdb_profile_stop();
        break;
    default:
        fork_and_go_on(player);
    }
}

static void *play_driven(void *argument)
{
    struct player *const player = argument;
    const uint64_t steps = player->steps;
    driven = player;
    while (player->steps > 0) {
        play_step(player, false);
        if (random_below(&player->random, 200) == 0)
            change_the_whole(player);
        player->steps--;
    }
    for (size_t i = 0; i < SLOT_COUNT; i++)
        check(player->slots[i]);
    player->steps = steps;
    return NULL;
}

/* Threads play, end, and others go on with their buffers. */
static void body_round(void *argument)
{
    uint64_t random = *(const uint64_t *)argument;
    static struct player players[DRIVEN_MAX];
    pthread_t threads[DRIVEN_MAX];
    const size_t count = 1 + random_below(&random, DRIVEN_MAX);
    const uint64_t lives = 1 + random_below(&random, 3);
    const uint64_t limit = pick(&random, 4, (const uint64_t[]){0, 0, 2 * MIB, 16 * MIB});
    const bool is_refusing = random_below(&random, 4) == 0;
    for (size_t i = 0; i < count; i++) {
        players[i].random = random_next(&random);
        players[i].steps = 200 + random_below(&random, 2000);
        players[i].size_max = pick(&random, 4, (const uint64_t[]){16 * KIB, 64 * KIB, 256 * KIB, MIB});
        for (size_t k = 0; k < SLOT_COUNT; k++)
            players[i].slots[k] = slot_new();
    }
    may_refuse = limit != 0 || is_refusing;
    set_random_options(&random);
    MUST(jdb_set_limit(limit, random_below(&random, 2) == 0 ? drop_another : NULL, NULL) == 0);
    faults_set_hook(is_refusing ? refuse_some : NULL);
    for (uint64_t life = 0; life < lives; life++) {
        for (size_t i = 0; i < count; i++)
            MUST(pthread_create(&threads[i], NULL, play_driven, &players[i]) == 0);
        for (size_t i = 0; i < count; i++)
            MUST(pthread_join(threads[i], NULL) == 0);
    }
    faults_set_hook(NULL);
    clear_up(players, count);
    jdb_trim();
    MUST(lent_bytes() == 0);
}

static void what_a_seed_chooses_agrees_with_the_model(void **state)
{
    (void)state;
    const char *const given = getenv("JDB_TEST_SECONDS");
    const uint64_t seconds = given != NULL ? strtoull(given, NULL, 10) : tier_pick(2, 20, 3600);
    const uint64_t end = cost_now_ns() + seconds * UINT64_C(1000000000);
    const uint64_t first = random_seed("rounds");
    uint64_t round = 0;
    char text[4096];
    do {
        uint64_t seed = first + round;
        const int status = must_run_child(body_round, &seed, text, sizeof text);
        if (status != 0)
            fail_msg("JDB_TEST_SEED=%" PRIu64 ": status %d: %s", seed, status, text);
        round++;
    } while (cost_now_ns() < end);
    print_message("%" PRIu64 " rounds\n", round);
}

int main(void)
{
    cmocka_set_test_filter(getenv("JDB_TEST_ONLY"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_agrees_with_the_model),
        cmocka_unit_test(many_threads_agree_with_the_model),
        cmocka_unit_test(what_a_seed_chooses_agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
