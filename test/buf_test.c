/* SPDX-License-Identifier: MIT
 *
 * buf_test.c - the contract of jdb_buf.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "jdb_alloc.h"

static void capacity_is_rounded_up_to_pages(void **state)
{
    (void)state;
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 5000), 0);
    assert_int_equal(buf.cap, 8192);
    assert_int_equal(buf.len, 0);
    assert_int_equal((uintptr_t)buf.ptr % 4096, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_is_rounded_up_to_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
