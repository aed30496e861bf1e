/* SPDX-License-Identifier: MIT
 *
 * preferred_block.c - loaded before a program (LD_PRELOAD): fstat() says that transfers of PREFERRED_BLOCK bytes, a variable of
 * the environment, are best. A file system may say any number there; some on the network say none that is a power of two.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

__attribute__((visibility("default"))) int fstat(int fd, struct stat *ret_stat)
{
    const int result = fstatat(fd, "", ret_stat, AT_EMPTY_PATH);
    const char *const size = getenv("PREFERRED_BLOCK");
    if (result == 0 && size != NULL)
        ret_stat->st_blksize = (blksize_t)strtoll(size, NULL, 10);
    return result;
}
