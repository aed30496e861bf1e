/* SPDX-License-Identifier: MIT
 *
 * list.c - see list.h.
 */
#include "sum/list.h"

#include <ctype.h>
#include <string.h>

void list_print(const char *digest, const char *name)
{
    if (strpbrk(name, "\\\n\r") != NULL)
        (void)fputc('\\', stdout);
    (void)printf("%s  ", digest);
    for (; *name != '\0'; name++) {
        switch (*name) {
        case '\\':
            (void)fputs("\\\\", stdout);
            break;
        case '\n':
            (void)fputs("\\n", stdout);
            break;
        case '\r':
            (void)fputs("\\r", stdout);
            break;
        default:
            (void)fputc(*name, stdout);
        }
    }
    (void)fputc('\n', stdout);
}

/* False: a backslash that begins nothing. */
static bool unescape(char *name)
{
    char *to = name;
    for (const char *from = name; *from != '\0'; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from != '\\' && *from != 'n' && *from != 'r')
            return false;
        *to++ = *from == 'n' ? '\n' : *from == 'r' ? '\r' : '\\';
    }
    *to = '\0';
    return true;
}

bool list_parse(char *text, struct list_line *line)
{
    const bool is_escaped = text[0] == '\\';
    char *const digest = text + (is_escaped ? 1 : 0);
    size_t digits = 0;
    for (; isxdigit((unsigned char)digest[digits]); digits++)
        digest[digits] = (char)tolower((unsigned char)digest[digits]);
    line->kind = digest_by_length(digits);
    char *const between = digest + digits;
    if (line->kind == DIGEST_KINDS || between[0] != ' ' || (between[1] != ' ' && between[1] != '*') ||
        between[2] == '\0')
        return false;
    between[0] = '\0';
    line->digest = digest;
    line->name = between + 2;
    return !is_escaped || unescape(between + 2);
}
