/* SPDX-License-Identifier: MIT
 *
 * owner.c - quota and counts of a part of the program that uses a pool.
 */
#include "base/sized.h"
#include "os/os.h"
#include "pool/state.h"

SIZED_FORM(owner_stats_form, jdb_pool_owner_stats, 32, 64);

static int owner_check(const jdb_pool_owner *owner)
{
    if (owner == NULL)
        return -EINVAL;
    return owner->pool->token == 0 ? -EPERM : 0;
}

/* ---- Make and free ---------------------------------------------------------------------------------------- */

int jdb_pool_owner_new(jdb_pool *pool, uint32_t max_frame_count, jdb_pool_owner **ret_owner)
{
    if (pool == NULL || ret_owner == NULL)
        return -EINVAL;
    if (pool->token == 0)
        return -EPERM;
    void *memory = NULL;
    const int err = jdb__os_alloc(sizeof(jdb_pool_owner), &memory);
    if (err != 0)
        return err;
    jdb_pool_owner *const owner = memory;
    owner->pool = pool;
    atomic_store(&owner->max_frame_count, max_frame_count);
    atomic_fetch_add(&pool->owner_count, 1);
    *ret_owner = owner;
    return 0;
}

int jdb_pool_owner_free(jdb_pool_owner *owner)
{
    if (owner == NULL)
        return 0;
    const int err = owner_check(owner);
    if (err != 0)
        return err;
    if (atomic_load(&owner->frame_count) > 0)
        return -EBUSY;
    atomic_fetch_sub(&owner->pool->owner_count, 1);
    jdb__os_free(owner);
    return 0;
}

int jdb_pool_owner_set_max(jdb_pool_owner *owner, uint32_t max_frame_count)
{
    const int err = owner_check(owner);
    if (err == 0)
        atomic_store(&owner->max_frame_count, max_frame_count);
    return err;
}

/* ---- Get and take ----------------------------------------------------------------------------------------- */

static int owner_charge(jdb_pool_owner *owner, uint32_t frame_count)
{
    if (frame_count == 0)
        return 0;
    uint32_t count = atomic_load(&owner->frame_count);
    do {
        const uint32_t max_count = atomic_load(&owner->max_frame_count);
        if (count > max_count || frame_count > max_count - count) {
            atomic_fetch_add(&owner->refused_count, 1);
            return -EDQUOT;
        }
    } while (!atomic_compare_exchange_weak(&owner->frame_count, &count, count + frame_count));
    return 0;
}

/* Frames were got. */
static void owner_note(jdb_pool_owner *owner, uint32_t frame_count)
{
    const uint32_t count = atomic_load(&owner->frame_count);
    uint32_t peak = atomic_load(&owner->peak_count);
    while (peak < count && !atomic_compare_exchange_weak(&owner->peak_count, &peak, count))
        continue;
    atomic_fetch_add(&owner->got_count, frame_count);
}

/* All of them, which are charged already, or none. */
static int owner_attach(jdb_pool_owner *owner, const jdb_frame *frames, uint32_t frame_count)
{
    jdb_pool *const pool = owner->pool;
    for (uint32_t i = 0; i < frame_count; i++) {
        const int err = jdb__owned_attach(pool, owner, frames[i]);
        if (err == 0)
            continue;
        jdb__owned_detach(pool, frames, i);
        jdb__owned_discharge(pool, frames, i);
        atomic_fetch_sub(&owner->frame_count, frame_count - i);
        return err;
    }
    owner_note(owner, frame_count);
    return 0;
}

int jdb_pool_owner_get(jdb_pool_owner *owner, uint32_t frame_count, jdb_frame *ret_frames)
{
    int err = ret_frames == NULL ? -EINVAL : owner_check(owner);
    if (err == 0)
        err = owner_charge(owner, frame_count);
    if (err != 0)
        return err;
    err = jdb_pool_get_n(owner->pool, frame_count, ret_frames);
    if (err != 0)
        atomic_fetch_sub(&owner->frame_count, frame_count);
    else
        err = owner_attach(owner, ret_frames, frame_count);
    return err;
}

int jdb_pool_owner_take(jdb_pool_owner *owner, const jdb_frame *frames, uint32_t frame_count)
{
    int err = frames == NULL ? -EINVAL : owner_check(owner);
    if (err == 0)
        err = owner_charge(owner, frame_count);
    return err != 0 ? err : owner_attach(owner, frames, frame_count);
}

/* ---- Read ------------------------------------------------------------------------------------------------- */

bool jdb_pool_owner_next(const jdb_pool_owner *owner, uint32_t *cursor, jdb_frame *ret_frame)
{
    if (cursor == NULL || ret_frame == NULL || owner_check(owner) != 0)
        return false;
    const jdb_pool *const pool = owner->pool;
    const uint32_t used_count = pool_used_count(pool);
    for (uint32_t i = *cursor; i < used_count; i++) {
        const uint32_t gen = jdb__owned_gen_of(pool, owner, i);
        if (gen == 0)
            continue;
        *cursor = i + 1;
        *ret_frame = (jdb_frame){frame_ptr(&pool->frames, i), i, gen};
        return true;
    }
    *cursor = used_count;
    return false;
}

int jdb_pool_owner_get_stats(const jdb_pool_owner *owner, jdb_pool_owner_stats *stats)
{
    if (stats == NULL || jdb__sized_check(&owner_stats_form, stats) != 0)
        return -EINVAL;
    const int err = owner_check(owner);
    if (err != 0)
        return err;
    const jdb_pool_owner_stats all = {
        .frame_count = atomic_load(&owner->frame_count),
        .max_frame_count = atomic_load(&owner->max_frame_count),
        .peak_count = atomic_load(&owner->peak_count),
        .got_count = atomic_load(&owner->got_count),
        .refused_count = atomic_load(&owner->refused_count),
    };
    return jdb__sized_write(&owner_stats_form, &all, stats);
}
