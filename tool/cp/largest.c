/* SPDX-License-Identifier: MIT
 *
 * largest.c - see largest.h.
 */
#include "cp/largest.h"

#include <sys/resource.h>
#include <unistd.h>

int64_t largest_by_limit(void)
{
    struct rlimit limit;
    const int failed = getrlimit(RLIMIT_FSIZE, &limit);
    return failed != 0 || limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

int64_t largest_by_file_system(int fd)
{
    int64_t largest = 0;
    for (int64_t step = INT64_C(1) << 62; step > 0; step /= 2) {
        if (ftruncate(fd, (off_t)(largest + step)) == 0)
            largest += step;
    }
    (void)ftruncate(fd, 0);
    return largest;
}
