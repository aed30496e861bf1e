/* SPDX-License-Identifier: MIT
 *
 * hpp_plain_test.cpp - jdb_alloc.hpp in a program without exceptions and run-time types, and what it does where it would
 * throw: std::terminate().
 */
#include "jdb_alloc.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

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
    std::fprintf(stderr, "hpp_plain_test: %s\n", what);
    std::exit(1);
}

/* The exit code of a child that makes the call. */
template <typename Call> int child_that(Call call)
{
    const pid_t child = fork();
    if (child == 0) {
        std::set_terminate(end_with_42);
        call();
        _exit(0);
    }
    int status = 0;
    must(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child ends");
    return WEXITSTATUS(status);
}

} // namespace

int main()
{
    std::error_code ec;
    const jdb::Buf none = jdb::Buf::with_cap(SIZE_MAX, ec);
    must(ec.value() == EOVERFLOW && none.data() == nullptr, "an error is a code");
    must(std::strcmp(ec.category().name(), "jdb_alloc") == 0, "of the category");
    const jdb::Buf page = jdb::Buf::page();
    must(page.capacity() == 4096, "what works, works");
    std::vector<char, jdb::aligned_allocator<char>> block(10000);
    jdb::memory_resource pages;
    must(pages == pages, "a resource is itself");
    pages.deallocate(pages.allocate(5000, 8), 5000, 8);
    must(child_that([] { (void)jdb::Buf::with_cap(4096); }) == 0, "no error, no end");
    must(child_that([] { (void)jdb::Buf::with_cap(SIZE_MAX); }) == 42, "an error ends in std::terminate()");
    must(child_that([&] { (void)pages.allocate(SIZE_MAX / 2, 8); }) == 42, "so does no memory");
    return 0;
}
