/* SPDX-License-Identifier: MIT
 *
 * text_file.c - see text_file.h.
 */
#include "base/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool text_file_line(const char *path, char *text, size_t text_size)
{
    FILE *const file = fopen(path, "re");
    if (file == NULL)
        return false;
    const bool is_read = fgets(text, (int)text_size, file) != NULL;
    (void)fclose(file);
    if (is_read)
        text[strcspn(text, "\n")] = '\0';
    return is_read;
}

int64_t text_file_number(const char *path, int64_t otherwise)
{
    char text[64];
    return text_file_line(path, text, sizeof text) ? strtoll(text, NULL, 10) : otherwise;
}
