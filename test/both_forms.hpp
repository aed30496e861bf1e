/* SPDX-License-Identifier: MIT
 *
 * both_forms.hpp - for tests of C++: a call that can fail has two forms, by an error code and by an exception. Behind <cmocka.h>.
 */
#ifndef JDB_TEST_BOTH_FORMS_HPP
#define JDB_TEST_BOTH_FORMS_HPP

#include <system_error>

/* Each call that can fail, as an error code; the throwing form has the same cause. */
template <typename Call> void fails_alike(int err, Call call)
{
    std::error_code ec;
    call(&ec);
    assert_int_equal(ec.value(), err);
    int thrown = 0;
    try {
        call(static_cast<std::error_code *>(nullptr));
    } catch (const std::system_error &error) {
        thrown = error.code().value();
    }
    assert_int_equal(thrown, err);
}

#define FAILS_ALIKE(err, call, ...)               \
    fails_alike(err, [&](std::error_code *code) { \
        if (code != nullptr)                      \
            (void)(call(__VA_ARGS__, *code));     \
        else                                      \
            (void)(call(__VA_ARGS__));            \
    })

#endif
