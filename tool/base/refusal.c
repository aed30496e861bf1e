/* SPDX-License-Identifier: MIT
 *
 * refusal.c - see refusal.h.
 */
#include "base/refusal.h"

#include <errno.h>

bool means_refused(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
    case EINVAL:
    case ENOTTY:
    case EOPNOTSUPP:
    case ENOSYS:
    case EROFS:
        return true;
    default:
        return false;
    }
}

bool means_sync_refused(int error)
{
    return means_refused(error) && error != EROFS;
}
