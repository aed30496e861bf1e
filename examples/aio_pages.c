/* SPDX-License-Identifier: MIT
 *
 * aio_pages.c - four pages of a file in flight at once with libaio.
 *
 *     aio_pages FILE
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/aio.h"

#define PAGES 4

/* Start a read of each page, all from one buffer. */
static int start_all(int fd, const jdb_buf *buf, jdb_aio_op *ops, struct iocb **list)
{
    for (size_t i = 0; i < PAGES; i++) {
        jdb_raw page = JDB_RAW_INIT;
        int err = jdb_raw_slice(jdb_buf_as_raw_view(buf), i * JDB_PAGE_SIZE, JDB_PAGE_SIZE, &page);
        if (err == 0)
            err = jdb_aio_read(&ops[i], fd, page, (int64_t)(i * JDB_PAGE_SIZE));
        if (err != 0)
            return err;
        list[i] = &ops[i].iocb;
    }
    return 0;
}

static int finish_all(io_context_t context, const jdb_aio_op *ops)
{
    struct io_event events[PAGES];
    const int count = io_getevents(context, PAGES, PAGES, events, NULL);
    for (int i = 0; i < count; i++) {
        jdb_aio_op *const op = jdb_aio_of(events[i].obj);
        const int err = jdb_aio_complete(op, &events[i]);
        if (err != 0)
            return err;
        printf("page %td: %zu bytes\n", op - ops, op->view.len);
    }
    return count < 0 ? count : 0;
}

static int read_pages(int fd, io_context_t context)
{
    jdb_aio_op ops[PAGES] = {JDB_AIO_OP_INIT, JDB_AIO_OP_INIT, JDB_AIO_OP_INIT, JDB_AIO_OP_INIT};
    struct iocb *list[PAGES];
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    int err = jdb_buf_with_cap(&buf, PAGES * JDB_PAGE_SIZE);
    if (err == 0)
        err = start_all(fd, &buf, ops, list);
    if (err == 0 && io_submit(context, PAGES, list) == PAGES)
        err = finish_all(context, ops);
    for (size_t i = 0; i < PAGES; i++)
        jdb_aio_release(&ops[i]);
    return err;
}

int main(int argc, char **argv)
{
    io_context_t context = NULL;
    const int fd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC) : -1;
    if (fd < 0 || io_setup(PAGES, &context) < 0) {
        perror("usage: aio_pages FILE");
        return 1;
    }
    const int err = read_pages(fd, context);
    if (err != 0)
        fprintf(stderr, "aio_pages: %s\n", strerror(-err));
    io_destroy(context);
    close(fd);
    return err != 0;
}
