/* SPDX-License-Identifier: MIT
 *
 * uring_plain_test.cpp - uring.hpp in a program without exceptions and run-time types: codes, and std::terminate() where it
 * would throw.
 */
#include "jdb_alloc/uring.hpp"

#include <cstdio>
#include <cstdlib>
#include <liburing.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "built with exceptions or run-time types"
#endif

namespace
{

[[noreturn]] void end_with_42()
{
    _exit(42);
}

void must(bool is_met, const char *what)
{
    if (is_met)
        return;
    std::fprintf(stderr, "uring_plain_test: %s\n", what);
    std::exit(1);
}

} // namespace

int main()
{
    std::error_code ec;
    struct io_uring_sqe sqe;
    char bytes[16] = {};
    jdb::Uring none;
    none.add(bytes, sizeof bytes, nullptr, ec);
    must(ec.value() == EINVAL, "an error is a code");
    jdb::Operation op;
    op.prep_read(none, &sqe, -1, jdb::RawView::to_read(bytes, sizeof bytes), 0, ec);
    must(!ec && op.complete(16, ec) && !ec && op.view().size() == 16, "what works, works");
    const pid_t child = fork();
    if (child == 0) {
        std::set_terminate(end_with_42);
        none.refresh(bytes);
        _exit(0);
    }
    int status = 0;
    must(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child ends");
    must(WEXITSTATUS(status) == 42, "an error ends in std::terminate()");
    return 0;
}
