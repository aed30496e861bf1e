/* SPDX-License-Identifier: MIT
 *
 * consumer.c - uses the package that was just made.
 */
#include <jdb_alloc.h>

#include <stdio.h>

int main(void)
{
    jdb_buf buf = JDB_BUF_INIT;
    const int err = jdb_buf_zeroed(&buf, 10000);
    printf("jdb_alloc %u: %zu bytes, %s\n", jdb_version(), buf.cap, jdb_strerror(err));
    jdb_buf_drop(&buf);
    return err != 0;
}
