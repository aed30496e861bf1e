/* SPDX-License-Identifier: MIT
 *
 * reader_slot.c - one slot of a reader: its request, its result, the search for a bad block.
 */
#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"
#include "stream/reader_internal.h"

#include <errno.h>
#include <string.h>

/* ---- Free and given up -------------------------------------------------------------------------------------- */

static jdb_frame slot_end(jdb_reader *reader, struct reader_slot *slot)
{
    JDB_ASSERT(slot->is_ready && slot->lent_count == 0 && slot->used_size <= slot->read_size);
    reader->stats.unused_bytes += slot->read_size - slot->used_size;
    slot->state = READER_FREE;
    return slot->frame;
}

static void slot_free(jdb_reader *reader, struct reader_slot *slot)
{
    jdb__stream_frame_put(&reader->memory, slot_end(reader, slot));
}

static void slot_take_result(jdb_reader *reader, struct reader_slot *slot)
{
    slot->is_ready = true;
    slot->err = slot->io.err;
    slot->begin = slot->offset;
    slot->end = slot->offset + (int64_t)slot->io.view.len;
    slot->read_size = slot->io.view.len;
    reader->stats.read_bytes += slot->io.view.len;
    reader->stats.direct_bytes += slot->io.direct_size;
}

static void slot_end_dropped(jdb_reader *reader, struct reader_slot *slot)
{
    (void)jdb_engine_wait(reader->memory.engine, &slot->io);
    slot_take_result(reader, slot);
    slot_free(reader, slot);
}

bool jdb__reader_reclaim(jdb_reader *reader)
{
    for (uint32_t i = 0; i < reader->slot_count; i++)
        if (reader->slots[i].state == READER_DROPPED) {
            slot_end_dropped(reader, &reader->slots[i]);
            return true;
        }
    return false;
}

static struct reader_slot *slot_find(jdb_reader *reader)
{
    struct reader_slot *found = NULL;
    for (uint32_t i = 0; i < reader->slot_count; i++) {
        struct reader_slot *const slot = &reader->slots[i];
        if (slot->state == READER_DROPPED && jdb_engine_is_complete(&slot->io))
            slot_end_dropped(reader, slot);
        if (slot->state == READER_FREE && found == NULL)
            found = slot;
    }
    return found;
}

/* ---- Begin and wait ----------------------------------------------------------------------------------------- */

static void slot_enqueue(jdb_reader *reader, struct reader_slot *slot)
{
    slot->next = NULL;
    if (reader->first == NULL)
        reader->first = slot;
    else
        reader->last->next = slot;
    reader->last = slot;
    reader->queue_count++;
    reader->queued += slot->size;
}

static void slot_fill_hole(jdb_reader *reader, struct reader_slot *slot)
{
    const uint64_t valid = bits_min(slot->size, (uint64_t)(reader->file_size - slot->offset));
    memset(slot->frame.ptr, 0, valid);
    slot->is_ready = true;
    slot->begin = slot->offset;
    slot->end = slot->offset + (int64_t)valid;
    slot->read_size = valid;
    reader->stats.hole_bytes += valid;
}

/* A request that the engine refuses is done at once: a refusal for lack of room is no error of the file. */
static void slot_request(jdb_reader *reader, struct reader_slot *slot)
{
    slot->io = JDB_ENGINE_IO_INIT;
    slot->io.file = reader->file;
    slot->io.view = jdb_raw_new(slot->frame.ptr, slot->size);
    slot->io.offset = slot->offset;
    reader->stats.request_count++;
    if (jdb_engine_start(reader->memory.engine, &slot->io) == 0)
        return;
    slot->io.err = jdb_engine_run(&slot->io);
    slot_take_result(reader, slot);
}

int jdb__reader_begin(jdb_reader *reader, int64_t offset, uint64_t size, bool is_hole)
{
    JDB_ASSERT(size != 0 && size <= reader->memory.frame_size &&
               ((uint64_t)offset | size) % reader->align == 0); /* S1 */
    struct reader_slot *const slot = slot_find(reader);
    jdb_frame frame;
    if (slot == NULL || jdb__stream_frame_get(&reader->memory, &frame) != 0)
        return -EAGAIN;
    *slot = (struct reader_slot){
        .state = READER_QUEUED, .is_hole = is_hole, .frame = frame, .offset = offset, .size = size};
    slot->serial = ++reader->serial;
    if (is_hole)
        slot_fill_hole(reader, slot);
    else
        slot_request(reader, slot);
    slot_enqueue(reader, slot);
    return 0;
}

void jdb__reader_wait(jdb_reader *reader, struct reader_slot *slot)
{
    if (slot->is_ready)
        return;
    const bool is_hit = jdb_engine_is_complete(&slot->io);
    const uint64_t start_ns = is_hit ? 0 : jdb__os_clock_ns();
    (void)jdb_engine_wait(reader->memory.engine, &slot->io);
    slot_take_result(reader, slot);
    reader->stats.hit_count += is_hit ? 1 : 0;
    reader->stats.wait_count += is_hit ? 0 : 1;
    reader->stats.wait_ns += is_hit ? 0 : jdb__os_clock_ns() - start_ns;
}

/* ---- End ---------------------------------------------------------------------------------------------------- */

void jdb__reader_pop(jdb_reader *reader)
{
    struct reader_slot *const slot = reader->first;
    reader->first = slot->next;
    reader->queue_count--;
    reader->queued -= slot->size;
    JDB_ASSERT((reader->first == NULL) == (reader->queue_count == 0) &&
               (reader->first != NULL || reader->queued == 0)); /* S2 */
    if (!slot->is_ready) {
        (void)jdb_engine_cancel(reader->memory.engine, &slot->io);
        slot->state = READER_DROPPED;
    } else if (slot->lent_count != 0) {
        slot->state = READER_LENT;
    } else {
        slot_free(reader, slot);
    }
}

void jdb__reader_unlend(jdb_reader *reader, struct reader_slot *slot)
{
    slot->lent_count--;
    if (slot->lent_count == 0 && slot->state == READER_LENT)
        slot_free(reader, slot);
}

jdb_frame jdb__reader_hand_over(jdb_reader *reader, struct reader_slot *slot)
{
    JDB_ASSERT(slot->state == READER_LENT && slot->lent_count == 1);
    slot->lent_count = 0;
    return slot_end(reader, slot);
}

/* ---- Bad blocks --------------------------------------------------------------------------------------------- */

/* Errors of a medium, which may be of one block; others hold for the whole request. */
static bool slot_may_narrow(int err)
{
    return err == -EIO || err == -ENODATA || err == -EILSEQ || err == -EREMOTEIO;
}

/* Read [offset, offset + size) into the slot at its place. Returns whether all of it, up to the end of the file, is there. */
static bool slot_read_part(jdb_reader *reader, struct reader_slot *slot, int64_t offset, uint64_t size,
                           uint64_t *ret_len)
{
    jdb_engine_io io = JDB_ENGINE_IO_INIT;
    io.file = reader->file;
    io.view = jdb_raw_new(slot->frame.ptr + (offset - slot->offset), size);
    io.offset = offset;
    reader->stats.request_count++;
    if (jdb_engine_start(reader->memory.engine, &io) != 0)
        io.err = jdb_engine_run(&io);
    else
        (void)jdb_engine_wait(reader->memory.engine, &io);
    if (io.err != 0)
        return false;
    *ret_len = io.view.len;
    slot->read_size += io.view.len;
    reader->stats.read_bytes += io.view.len;
    reader->stats.direct_bytes += io.direct_size;
    return true;
}

/* From the last byte that is there on, which may be lent, or from the block of `position` on, in pieces that are halved at each
 * failure. */
static void narrow_forward(jdb_reader *reader, struct reader_slot *slot, int64_t position)
{
    const int64_t limit = slot->offset + (int64_t)slot->size;
    const int64_t block = (int64_t)bits_round_down((uint64_t)position, reader->align);
    if (block > slot->end) {
        slot->begin = block;
        slot->end = block;
    }
    uint64_t step = bits_round_up((uint64_t)(limit - slot->end + 1) / 2, reader->align);
    while (slot->end < limit) {
        uint64_t len = 0;
        const uint64_t stop = bits_round_down((uint64_t)slot->end, reader->align) + step;
        const uint64_t size = bits_min(stop, (uint64_t)limit) - (uint64_t)slot->end;
        if (slot_read_part(reader, slot, slot->end, size, &len)) {
            slot->end += (int64_t)len;
            if (len < size)
                break;
        } else if (step == reader->align) {
            return;
        } else {
            step = bits_round_up(step / 2, reader->align);
        }
    }
    slot->err = 0; /* it could be read after all */
}

/* From the first block that is there on, which may be lent, or from the end of the block of `position` on. */
static void narrow_backward(jdb_reader *reader, struct reader_slot *slot, int64_t position)
{
    const int64_t limit =
        (int64_t)bits_min(bits_round_up((uint64_t)position, reader->align), (uint64_t)slot->offset + slot->size);
    uint64_t step = bits_round_up((uint64_t)(limit - slot->offset) / 2, reader->align);
    if (limit != slot->begin) {
        slot->begin = limit;
        slot->end = limit;
    }
    while (slot->begin > slot->offset) {
        uint64_t len = 0;
        const uint64_t size = bits_min(step, (uint64_t)(slot->begin - slot->offset));
        if (slot_read_part(reader, slot, slot->begin - (int64_t)size, size, &len)) {
            slot->begin -= (int64_t)size;
            if (len < size)
                slot->end = slot->begin + (int64_t)len;
        } else if (step == reader->align) {
            return;
        } else {
            step = bits_round_up(step / 2, reader->align);
        }
    }
    slot->err = 0;
}

bool jdb__reader_narrow(jdb_reader *reader, struct reader_slot *slot, int64_t position)
{
    if (!slot_may_narrow(slot->err))
        return false;
    if (reader->is_backward)
        narrow_backward(reader, slot, position);
    else
        narrow_forward(reader, slot, position);
    return reader_has(reader, slot, position);
}
