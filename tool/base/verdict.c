/* SPDX-License-Identifier: MIT
 *
 * verdict.c - see verdict.h.
 */
#include "base/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int verdict_fail(struct verdict *verdict, int exit_code, int error, const char *format, ...)
{
    if (verdict->exit_code != 0)
        return verdict->exit_code;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(verdict->text, sizeof verdict->text, format, arguments);
    va_end(arguments);
    verdict->exit_code = exit_code;
    verdict->error = error;
    return exit_code;
}

static const char *remedy(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return "; look at the rights of the file and of its directory, or run as its owner";
    case EROFS:
        return "; choose a directory on a file system that is mounted for writing";
    case ENOSPC:
        return "; free some space there";
    case EDQUOT:
        return "; free some space or ask for more quota";
    case EFBIG:
        return "; raise the limit (ulimit -f) or choose a file system that holds files of this size";
    case EMFILE:
    case ENFILE:
        return "; raise the limit of open files (ulimit -n)";
    case EIO:
        return "; the device or the server reported it: look into the kernel log (dmesg)";
    case ETXTBSY:
        return "; the file is being executed: stop the program first";
    default:
        return "";
    }
}

int verdict_fail_path(struct verdict *verdict, int error, const char *what, const char *path)
{
    return verdict_fail(verdict, DIO_EXIT_FAILED, error, "cannot %s '%s': %s%s", what, path, strerror(error),
                        remedy(error));
}

void verdict_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("dio cp: note: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}
