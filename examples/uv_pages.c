/* SPDX-License-Identifier: MIT
 *
 * uv_pages.c - the first 8 KiB of a file with libuv, opened with UV_FS_O_DIRECT.
 *
 *     uv_pages FILE
 */
#include <stdio.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uv.h"

static void on_read(uv_fs_t *req)
{
    jdb_uv_op *const op = jdb_uv_of(req);
    int *const result = req->data;
    *result = jdb_uv_complete(op);
    if (*result == 0)
        printf("read %zu bytes: %zu and %zu\n", op->done_size, op->views[0].len, op->views[1].len);
}

static int read_pages(uv_loop_t *loop, uv_file file)
{
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    int result = jdb_buf_with_cap(&buf, 2 * JDB_PAGE_SIZE);
    if (result != 0)
        return result;
    jdb_raw views[2] = {jdb_raw_new(buf.ptr, JDB_PAGE_SIZE), jdb_raw_new(buf.ptr + JDB_PAGE_SIZE, JDB_PAGE_SIZE)};
    uv_buf_t bufs[2];
    jdb_uv_op op = JDB_UV_OP_INIT;
    op.req.data = &result;
    const int err = jdb_uv_read(loop, &op, file, views, 2, bufs, 0, on_read);
    if (err != 0)
        return err;
    uv_run(loop, UV_RUN_DEFAULT);
    return result;
}

int main(int argc, char **argv)
{
    uv_loop_t *const loop = uv_default_loop();
    uv_fs_t request;
    const int file =
        argc == 2 ? uv_fs_open(loop, &request, argv[1], UV_FS_O_RDONLY | UV_FS_O_DIRECT, 0, NULL) : UV_EINVAL;
    if (file < 0) {
        fprintf(stderr, "usage: uv_pages FILE (%s)\n", uv_strerror(file));
        return 1;
    }
    const int err = read_pages(loop, file);
    if (err != 0)
        fprintf(stderr, "uv_pages: %s\n", uv_strerror(err));
    uv_fs_close(loop, &request, file, NULL);
    uv_loop_close(loop);
    return err != 0;
}
