/* SPDX-License-Identifier: MIT
 *
 * sizes.c - see sizes.h.
 */
#include "base/sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int size_parse(const char *text, int64_t *ret_size)
{
    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0)
        return -EINVAL;

    static const char units[] = "KMGT";
    unsigned shift = 0;
    if (*end != '\0') {
        const char *const unit = strchr(units, *end);
        if (unit == NULL || (strcmp(end + 1, "") != 0 && strcmp(end + 1, "iB") != 0))
            return -EINVAL;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (value > ((uint64_t)INT64_MAX >> shift))
        return -EINVAL;
    *ret_size = (int64_t)(value << shift);
    return 0;
}

const char *size_text(int64_t bytes, char text[SIZE_TEXT_SIZE])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(text, SIZE_TEXT_SIZE, unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

const char *size_text_exact(int64_t bytes, char text[SIZE_TEXT_SIZE])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, SIZE_TEXT_SIZE, "%" PRId64 " %s", bytes, units[unit]);
    return text;
}
