/* SPDX-License-Identifier: MIT
 *
 * note.c - see note.h.
 */
#include "cp/note.h"

#include "base/escape.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void note_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("dio cp: note: ", stderr);
    escape_vprint(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

static const struct {
    const char *what;
    const char *consequence;
} refusals[NOTE_REFUSED_COUNT] = {
    [NOTE_OWNER] = {"set the owner of", "it belongs to the user who copies"},
    [NOTE_MODE] = {"set the mode of", "the copy has the mode that its file system gives"},
    [NOTE_TIMES] = {"set the times of", "the copy has the time at which it was written"},
    [NOTE_LIST] = {"set the access control list of", "its mode grants nobody more than the list did"},
    [NOTE_SYNC] = {"sync", "whether the copy survives a crash is unknown"},
    [NOTE_DIRECTORY_SYNC] = {"sync the directory of", "whether the new name survives a crash is unknown"},
};

void note_refused(enum note_refused refused, const char *path, int error)
{
    static atomic_bool is_said[NOTE_REFUSED_COUNT];
    if (!atomic_exchange(&is_said[refused], true))
        note_print("cannot %s '%s': %s; %s", refusals[refused].what, path, strerror(error),
                   refusals[refused].consequence);
}
