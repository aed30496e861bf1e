/* SPDX-License-Identifier: MIT
 *
 * uring_cxx_test.cpp - the initialisers of uring.h in C++, where a macro of C would not compile.
 */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
extern "C" {
#include <cmocka.h>
}

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"

template <typename T> static void assert_init(const T &sized)
{
    const auto *const bytes = reinterpret_cast<const unsigned char *>(&sized);
    assert_int_equal(sized.size, sizeof sized);
    for (std::size_t i = sizeof sized.size; i < sizeof sized; i++)
        assert_int_equal(bytes[i], 0);
}

static void each_struct_has_its_size_and_zeros(void **state)
{
    (void)state;
    assert_init(JDB_URING_OPTIONS_INIT);
    assert_init(JDB_URING_RANGE_OPTIONS_INIT);
    assert_init(JDB_URING_RANGE_INIT);
    assert_init(JDB_URING_REGION_INIT);
    assert_init(JDB_URING_NEED_INIT);
    assert_init(JDB_URING_STATS_INIT);
}

static void an_operation_runs(void **state)
{
    (void)state;
    unsigned char bytes[16];
    jdb_uring_op op = JDB_URING_OP_INIT;
    assert_int_equal(jdb_uring_read(nullptr, &op, -1, jdb_raw_new(bytes, sizeof bytes), 0), 0);
    assert_int_equal(jdb_uring_run(&op), -EBADF);
    assert_int_equal(jdb_uring_explain_op(-EBADF).err, -EBADF);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_struct_has_its_size_and_zeros),
        cmocka_unit_test(an_operation_runs),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
