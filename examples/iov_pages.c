/* SPDX-License-Identifier: MIT
 *
 * iov_pages.c - two buffers, one call: the first 12 KiB of a file by preadv2 into memory that does not lie together.
 *
 *     iov_pages FILE
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/iov.h"

static int read_pages(int fd)
{
    JDB_AUTO_BUF head = JDB_BUF_INIT;
    JDB_AUTO_BUF body = JDB_BUF_INIT;
    int err = jdb_buf_with_cap(&head, 4096);
    if (err == 0)
        err = jdb_buf_with_cap(&body, 8192);
    if (err != 0)
        return err;
    jdb_raw views[2] = {jdb_buf_as_raw(&head), jdb_buf_as_raw(&body)};
    struct iovec iovs[2];
    const ssize_t got = jdb_iov_read(fd, views, 2, iovs, 0, 0);
    if (got < 0)
        return (int)got;
    printf("read %zd bytes: %zu and %zu\n", got, views[0].len, views[1].len);
    return 0;
}

int main(int argc, char **argv)
{
    const int fd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC) : -1;
    if (fd < 0) {
        perror("usage: iov_pages FILE");
        return 1;
    }
    const int err = read_pages(fd);
    if (err != 0)
        fprintf(stderr, "iov_pages: %s\n", strerror(-err));
    close(fd);
    return err != 0;
}
