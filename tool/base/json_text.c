/* SPDX-License-Identifier: MIT
 *
 * json_text.c - see json_text.h.
 */
#include "base/json_text.h"

#include <json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Bytes of the character that text begins with; 0: it begins with none. Table 3-7 of the Unicode standard: an overlong form,
 * a surrogate, or above U+10FFFF shows in the second byte. */
static size_t character_size(const uint8_t *text)
{
    const uint8_t first = text[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    const size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < least || text[1] > most)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

struct json_object *json_text(const char *text)
{
    char *const clean = malloc(strlen(text) * (sizeof replacement - 1) + 1);
    if (clean == NULL)
        return NULL;
    char *end = clean;
    while (*text != '\0') {
        const size_t size = character_size((const uint8_t *)text);
        const size_t added = size > 0 ? size : sizeof replacement - 1;
        memcpy(end, size > 0 ? text : replacement, added);
        end += added;
        text += size > 0 ? size : 1;
    }
    struct json_object *const string = json_object_new_string_len(clean, (int)(end - clean));
    free(clean);
    return string;
}
