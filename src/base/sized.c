/* SPDX-License-Identifier: MIT
 *
 * sized.c - reads and writes structs that carry their size.
 */
#include "base/sized.h"

#include "base/bits.h"
#include "base/check.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static uint32_t sized_size_of(const void *sized)
{
    uint32_t size = 0;
    memcpy(&size, sized, sizeof size);
    return size;
}

static bool sized_is_zero(const void *sized, uint32_t from, uint32_t end)
{
    const uint8_t *const bytes = sized;
    for (uint32_t i = from; i < end; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static bool sized_is_form(const struct sized_form *form)
{
    return form->least >= sizeof(uint32_t) && form->least <= form->reserved && form->reserved <= form->size;
}

int jdb__sized_read(const struct sized_form *form, const void *given, void *known)
{
    JDB_ASSERT(sized_is_form(form));
    const uint32_t size = sized_size_of(given);
    if (size < form->least)
        return -EINVAL;
    if (!sized_is_zero(given, form->reserved, size))
        return -E2BIG;
    memset(known, 0, form->size);
    memcpy(known, given, bits_min(size, form->reserved));
    memcpy(known, &form->size, sizeof form->size);
    return 0;
}

int jdb__sized_check(const struct sized_form *form, const void *report)
{
    JDB_ASSERT(sized_is_form(form));
    return sized_size_of(report) < form->least ? -EINVAL : 0;
}

int jdb__sized_write(const struct sized_form *form, const void *filled, void *report)
{
    const uint32_t head = sizeof(uint32_t);
    const uint32_t size = sized_size_of(report);
    if (jdb__sized_check(form, report) != 0)
        return -EINVAL;
    const uint32_t shared = (uint32_t)bits_min(size, form->size);
    memcpy((uint8_t *)report + head, (const uint8_t *)filled + head, shared - head);
    memset((uint8_t *)report + shared, 0, size - shared);
    return 0;
}
