/* SPDX-License-Identifier: MIT
 *
 * json_write.c - see json_write.h.
 */
#include "base/json_write.h"

#include <json-c/json.h>
#include <stdio.h>
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

/* NULL: no memory. */
static struct json_object *utf8_string(const char *text)
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

void json_write_text(struct json_object *to, const char *name, const char *text)
{
    (void)json_object_object_add(to, name, utf8_string(text));
}

void json_write_text_or_null(struct json_object *to, const char *name, const char *text)
{
    (void)json_object_object_add(to, name, text[0] != '\0' ? utf8_string(text) : NULL);
}

void json_write_int(struct json_object *to, const char *name, int64_t value)
{
    (void)json_object_object_add(to, name, json_object_new_int64(value));
}

void json_write_bool(struct json_object *to, const char *name, bool value)
{
    (void)json_object_object_add(to, name, json_object_new_boolean(value));
}

void json_write_real(struct json_object *to, const char *name, double value)
{
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%.6f", value);
    (void)json_object_object_add(to, name, json_object_new_double_s(value, digits));
}

void json_write_null(struct json_object *to, const char *name)
{
    (void)json_object_object_add(to, name, NULL);
}

struct json_object *json_write_object(struct json_object *to, const char *name)
{
    struct json_object *const object = json_object_new_object();
    (void)json_object_object_add(to, name, object);
    return object;
}

struct json_object *json_write_list(struct json_object *to, const char *name)
{
    struct json_object *const list = json_object_new_array();
    (void)json_object_object_add(to, name, list);
    return list;
}

struct json_object *json_write_element(struct json_object *list)
{
    struct json_object *const object = json_object_new_object();
    (void)json_object_array_add(list, object);
    return object;
}

struct json_object *json_write_begin(void)
{
    return json_object_new_object();
}

void json_write_end(struct json_object *object)
{
    const int flags = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
    (void)puts(json_object_to_json_string_ext(object, flags));
    (void)json_object_put(object);
}
