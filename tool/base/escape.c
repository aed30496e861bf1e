/* SPDX-License-Identifier: MIT
 *
 * escape.c - see escape.h.
 */
#include "base/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ESCAPE_SIZE 4 /* of the longest one, \ooo */

/* A byte of 0x80 to 0x9f that continues no character of UTF-8. before: how many bytes of such a character may still follow. */
static bool is_lone_control(uint8_t byte, int before)
{
    return byte >= 0x80 && byte < 0xa0 && before == 0;
}

/* Bytes that follow the first one of a character of UTF-8. */
static int following(uint8_t first)
{
    return first >= 0xf0 && first < 0xf5   ? 3
           : first >= 0xe0 && first < 0xf0 ? 2
           : first >= 0xc2 && first < 0xe0 ? 1
                                           : 0;
}

/* What stands for the byte, which is a control character. */
static void name_of(uint8_t byte, char name[ESCAPE_SIZE + 1])
{
    const char *const found = byte != 0 ? strchr("\nn\tt\rr", byte) : NULL;
    if (found != NULL && byte < 0x20)
        (void)snprintf(name, ESCAPE_SIZE + 1, "\\%c", found[1]);
    else
        (void)snprintf(name, ESCAPE_SIZE + 1, "\\%03o", byte);
}

void escape_text(char *to, size_t size, const char *text)
{
    const uint8_t *from = (const uint8_t *)text;
    char *const end = to + size - 1;
    int left = 0; /* bytes of a character */
    for (; *from != '\0'; from++) {
        const bool is_c1 = from[0] == 0xc2 && from[1] >= 0x80 && from[1] < 0xa0;
        const bool is_control = *from < 0x20 || *from == 0x7f || is_c1 || is_lone_control(*from, left);
        char name[ESCAPE_SIZE + 1] = {(char)*from};
        left = (*from & 0xc0) == 0x80 && left > 0 ? left - 1 : following(*from);
        if (is_control)
            name_of(is_c1 ? *++from : *from, name);
        if (is_c1)
            left = 0;
        const size_t length = strlen(name);
        if ((size_t)(end - to) < length)
            break;
        memcpy(to, name, length);
        to += length;
    }
    *to = '\0';
}

void escape_vprint(FILE *stream, const char *format, va_list arguments)
{
    char text[ESCAPE_MESSAGE_MAX];
    char escaped[ESCAPE_MESSAGE_MAX];
    (void)vsnprintf(text, sizeof text, format, arguments);
    escape_text(escaped, sizeof escaped, text);
    (void)fputs(escaped, stream);
}

void escape_print(FILE *stream, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    escape_vprint(stream, format, arguments);
    va_end(arguments);
}
