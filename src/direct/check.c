/* SPDX-License-Identifier: MIT
 *
 * check.c - compares a request with the limits of a file, and says what is wrong with it. Pure.
 */
#include "base/check.h"
#include "direct/direct_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static jdb_direct_demand demand_of(uint64_t value, uint64_t align)
{
    const uint64_t below = bits_round_down(value, align);
    jdb_direct_demand demand = {
        .value = value, .align = align, .excess = value - below, .below = below, .above = below};
    if (below != value)
        demand.above = below > UINT64_MAX - align ? UINT64_MAX : below + align;
    JDB_ASSERT(demand.excess < align && demand.below <= value && value <= demand.above);
    return demand;
}

static uint32_t demand_wrong(const jdb_direct_demand *demand, uint32_t bit)
{
    return demand->excess != 0 ? bit : 0;
}

static int check_request(const jdb_direct *limits, jdb_raw view, int64_t offset, bool is_write,
                         jdb_direct_check *ret_check)
{
    if (limits == NULL || jdb__sized_check(&direct_form, limits) != 0 || !direct_has_aligns(limits) || offset < 0)
        return -EINVAL;
    const uint64_t align = is_write ? limits->write_align : limits->read_align;
    jdb_direct_check result = {
        .size = sizeof result,
        .address = demand_of((uintptr_t)view.ptr, limits->memory_align),
        .offset = demand_of((uint64_t)offset, align),
        .length = demand_of(is_write ? view.len : view.cap, align),
        .is_write = is_write,
    };
    result.wrong = demand_wrong(&result.address, JDB_DIRECT_WRONG_ADDRESS) |
                   demand_wrong(&result.offset, JDB_DIRECT_WRONG_OFFSET) |
                   demand_wrong(&result.length, JDB_DIRECT_WRONG_LENGTH);
    if (ret_check != NULL && jdb__sized_write(&direct_check_form, &result, ret_check) != 0)
        return -EINVAL;
    return result.wrong == 0 ? 0 : -EINVAL;
}

int jdb_direct_check_read(const jdb_direct *limits, jdb_raw view, int64_t offset, jdb_direct_check *ret_check)
{
    return check_request(limits, view, offset, false, ret_check);
}

int jdb_direct_check_write(const jdb_direct *limits, jdb_raw view, int64_t offset, jdb_direct_check *ret_check)
{
    return check_request(limits, view, offset, true, ret_check);
}

/* ---- Text --------------------------------------------------------------------------------------------------- */

/* Text that grows piece by piece, as snprintf does: the length counts on when the room has ended. */
struct check_line {
    char *text;
    size_t size;
    size_t length;
};

JDB_PRINTF(2, 3) static void check_line_add(struct check_line *line, const char *format, ...)
{
    const size_t room = line->length < line->size ? line->size - line->length : 0;
    va_list list;
    va_start(list, format);
    const int added = vsnprintf(room != 0 ? line->text + line->length : NULL, room, format, list);
    va_end(list);
    line->length += added > 0 ? (size_t)added : 0;
}

static void check_line_add_number(struct check_line *line, const char *name, const jdb_direct_demand *demand,
                                  const char *between)
{
    if (demand->excess == 0)
        return;
    check_line_add(line, "%s%s %" PRIu64 " is %" PRIu64 " past a multiple of %" PRIu64 ": use %" PRIu64, between, name,
                   demand->value, demand->excess, demand->align, demand->below);
    if (demand->above != UINT64_MAX)
        check_line_add(line, " or %" PRIu64, demand->above);
}

int jdb_direct_check_format(const jdb_direct_check *check, char *text, size_t text_size)
{
    if (check == NULL || jdb__sized_check(&direct_check_form, check) != 0)
        return -EINVAL;
    struct check_line line = {.text = text, .size = text_size};
    const char *const verb = check->is_write != 0 ? "write" : "read";
    if (check->wrong == 0) {
        check_line_add(&line, "%s is aligned", verb);
        return (int)line.length;
    }
    check_line_add(&line, "%s refused:", verb);
    const char *between = " ";
    if (check->address.excess != 0) {
        check_line_add(&line, " address 0x%" PRIx64 " is %" PRIu64 " past a multiple of %" PRIu64, check->address.value,
                       check->address.excess, check->address.align);
        between = "; ";
    }
    check_line_add_number(&line, "offset", &check->offset, between);
    if (check->offset.excess != 0)
        between = "; ";
    check_line_add_number(&line, "length", &check->length, between);
    return (int)line.length;
}
