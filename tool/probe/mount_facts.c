/* SPDX-License-Identifier: MIT
 *
 * mount_facts.c - see mount_facts.h.
 */
#include "probe/mount_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define FIELD_MAX 64

/* "\040" is a space, and so on: three octal digits. In place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        const bool is_escape = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
                               from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
        if (is_escape) {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* Cut the line at its spaces. Returns the number of fields. */
static size_t split(char *line, char *fields[FIELD_MAX])
{
    size_t count = 0;
    char *rest = line;
    while (rest != NULL && count < FIELD_MAX)
        fields[count++] = strsep(&rest, " \n");
    return count;
}

static bool is_below(const char *path, const char *point)
{
    const size_t length = strlen(point);
    if (strcmp(point, "/") == 0)
        return true;
    return strncmp(path, point, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* Take the mount of one line if the path lies below it, and at least as deep as below the one found before. */
static void take_line(struct mount_facts *facts, char *line, const char *path)
{
    char *fields[FIELD_MAX];
    const size_t count = split(line, fields);
    size_t dash = 6;
    while (dash < count && strcmp(fields[dash], "-") != 0)
        dash++;
    if (dash + 3 >= count)
        return;
    unescape(fields[4]);
    if (!is_below(path, fields[4]) || strlen(fields[4]) < strlen(facts->point))
        return;
    unescape(fields[dash + 2]);
    unescape(fields[dash + 3]);
    (void)snprintf(facts->point, sizeof facts->point, "%s", fields[4]);
    (void)snprintf(facts->type, sizeof facts->type, "%s", fields[dash + 1]);
    (void)snprintf(facts->source, sizeof facts->source, "%s", fields[dash + 2]);
    (void)snprintf(facts->options, sizeof facts->options, "%s,%s", fields[5], fields[dash + 3]);
}

bool mount_facts_find(struct mount_facts *facts, const char *path)
{
    char real[PATH_MAX];
    memset(facts, 0, sizeof *facts);
    if (realpath(path, real) == NULL)
        return false;
    FILE *const file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return false;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) >= 0)
        take_line(facts, line, real);
    free(line);
    (void)fclose(file);
    return facts->type[0] != '\0';
}

bool mount_facts_option(const struct mount_facts *facts, const char *name, char value[PATH_MAX])
{
    const size_t length = strlen(name);
    for (const char *at = facts->options; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            const size_t value_length = strcspn(at + length + 1, ",");
            (void)snprintf(value, PATH_MAX, "%.*s", (int)value_length, at + length + 1);
            return true;
        }
    }
    return false;
}
