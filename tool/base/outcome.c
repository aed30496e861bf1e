/* SPDX-License-Identifier: MIT
 *
 * outcome.c - see outcome.h.
 */
#include "base/outcome.h"

#include "base/escape.h"
#include "base/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int outcome_fail(struct outcome *outcome, int exit_code, int error, const char *format, ...)
{
    DIO_ASSERT(exit_code != 0 && error >= 0);
    if (outcome->exit_code != 0)
        return outcome->exit_code;
    va_list arguments;
    va_start(arguments, format);
    char text[ESCAPE_MESSAGE_MAX];
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    escape_text(outcome->text, sizeof outcome->text, text);
    outcome->exit_code = exit_code;
    outcome->error = error;
    return exit_code;
}

static const char *remedy(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return "; check the permissions of the file and of its directory, or run as its owner";
    case EROFS:
        return "; choose a file system that is mounted for writing";
    case ENOSPC:
        return "; free some space there";
    case EDQUOT:
        return "; free some space or ask for a larger quota";
    case EFBIG:
        return "; raise the limit (ulimit -f) or choose a file system that holds files of this size";
    case EMFILE:
    case ENFILE:
        return "; raise the limit of open files (ulimit -n)";
    case EIO:
        return "; the device or the server reported it, see the kernel log (dmesg)";
    case ETXTBSY:
        return "; the file is being executed: stop the program first";
    default:
        return "";
    }
}

int outcome_fail_path(struct outcome *outcome, int error, const char *what, const char *path)
{
    if (error == EINTR && interrupt_check(outcome) != 0)
        return outcome->exit_code;
    return outcome_fail(outcome, DIO_EXIT_FAILED, error, "cannot %s '%s': %s%s", what, path, strerror(error),
                        remedy(error));
}

int outcome_fail_at(struct outcome *outcome, int error, const char *what, const char *path, int64_t offset)
{
    if (outcome->exit_code == 0) {
        outcome->is_at_byte = true;
        outcome->offset = offset;
    }
    return outcome_fail(outcome, DIO_EXIT_FAILED, error, "cannot %s '%s' at byte %" PRId64 ": %s%s", what, path, offset,
                        strerror(error), remedy(error));
}
