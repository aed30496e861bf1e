/* SPDX-License-Identifier: MIT
 *
 * hpp_test.cpp - jdb_alloc.hpp: owners drop once, moves leave nothing behind, errors come as exceptions or codes.
 */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
extern "C" {
#include <cmocka.h>
}

#include "jdb_alloc.hpp"

#include <cstdio>
#include <cstring>
#include <sys/wait.h>
#include <type_traits>
#include <unistd.h>

static_assert(!std::is_copy_constructible<jdb::Buf>::value && std::is_nothrow_move_constructible<jdb::Buf>::value, "");
static_assert(!std::is_copy_constructible<jdb::Arena>::value, "");
static_assert(std::is_trivially_copyable<jdb::RawView>::value && sizeof(jdb::RawView) == sizeof(jdb_raw), "");

namespace
{

std::uint64_t lent_bytes()
{
    jdb_page_stats stats = {};
    stats.size = sizeof stats;
    assert_int_equal(jdb_get_page_stats(&stats), 0);
    return stats.lent_bytes;
}

void a_buffer_drops_itself_once(void **)
{
    const std::uint64_t before = lent_bytes();
    {
        jdb::Buf buf = jdb::Buf::with_cap(5000);
        assert_int_equal(buf.capacity(), 8192);
        jdb::Buf moved = std::move(buf);
        assert_null(buf.data());
        assert_int_equal(moved.capacity(), 8192);
        jdb::Buf other = jdb::Buf::zeroed(4096);
        other = std::move(moved);
        assert_int_equal(other.capacity(), 8192);
        jdb::Buf &same = other;
        other = std::move(same);
        assert_int_equal(other.capacity(), 8192);
        jdb_buf owned = other.release();
        assert_true(other.empty());
        const jdb::Buf adopted = jdb::Buf::adopt(owned);
        assert_null(owned.ptr);
        assert_int_equal(lent_bytes() - before, 8192);
    }
    assert_int_equal(lent_bytes(), before);
}

void a_buffer_does_its_work(void **)
{
    jdb::Buf buf = jdb::Buf::with_cap(4096);
    buf.extend("hello", 5);
    assert_int_equal(buf.size(), 5);
    buf.pad_to(512);
    assert_int_equal(buf.refit_tail(5, 512), 5);
    std::string text(buf.begin(), buf.end());
    assert_string_equal(text.c_str(), "hello");
    const jdb::Buf copy = buf.try_clone();
    assert_memory_equal(copy.data(), "hello", 5);
    buf.reserve(100000);
    assert_true(buf.capacity() >= 100005);
    assert_memory_equal(buf.data(), "hello", 5);
    buf.shrink();
    assert_int_equal(buf.capacity(), 4096);
    buf.clear();
    assert_true(buf.empty());
    assert_int_equal(jdb::Buf::page().size(), 4096);
    assert_int_equal(reinterpret_cast<std::uintptr_t>(jdb::Buf::with_cap_aligned(1, 65536).data()) % 65536, 0);
}

void errors_come_as_codes_and_as_exceptions(void **)
{
    std::error_code ec;
    const jdb::Buf none = jdb::Buf::with_cap(SIZE_MAX, ec);
    assert_true(none.empty());
    assert_true(ec == std::errc::value_too_large);
    assert_string_equal(ec.category().name(), "jdb_alloc");
    assert_string_equal(ec.message().c_str(), jdb_strerror(-EOVERFLOW));
    bool caught = false;
    try {
        jdb::Buf::with_cap_aligned(4096, 3);
    } catch (const std::system_error &error) {
        caught = error.code() == std::errc::invalid_argument;
    }
    assert_true(caught);
    jdb::Buf page = jdb::Buf::page();
    page.extend("x", 1, ec);
    assert_true(ec == std::errc::no_buffer_space);
    page.truncate(1);
    page.extend("x", 1, ec);
    assert_false(static_cast<bool>(ec));
}

void a_view_slices_by_value(void **)
{
    const jdb::Buf buf = jdb::Buf::zeroed(3 * JDB_PAGE_SIZE);
    const jdb::RawView part = buf.view().slice(JDB_PAGE_SIZE, JDB_PAGE_SIZE);
    assert_ptr_equal(part.data(), buf.data() + JDB_PAGE_SIZE);
    assert_int_equal(part.size(), 0);
    assert_int_equal(part.with_len(7).size(), 7);
    assert_int_equal(buf.view().slice_data(0, JDB_PAGE_SIZE).size(), JDB_PAGE_SIZE);
    std::error_code ec;
    assert_true(buf.view().slice(1, 5, ec).empty());
    assert_true(ec == std::errc::invalid_argument);
    buf.view().slice(3 * JDB_PAGE_SIZE, 1, ec);
    assert_true(ec == std::errc::result_out_of_range);
}

void an_arena_frees_itself(void **)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = 16384;
    options.frame_count = 4;
    options.max_frame_count = 8;
    jdb::Arena arena(options);
    assert_int_equal(arena.frame_count(), 4);
    assert_int_equal(arena.view(1, 2).capacity(), 2 * 16384);
    arena.grow(8);
    std::memset(arena.view(7).data(), 1, 16384);
    assert_int_equal(arena.decommit(7, 1), 16384);
    assert_int_equal(arena.view(7).data()[0], 0);
    jdb::Arena moved = std::move(arena);
    assert_null(arena.c());
    assert_int_equal(moved.frame_count(), 8);
    std::error_code ec;
    options.frame_size = 0;
    const jdb::Arena none(options, ec);
    assert_true(ec == std::errc::invalid_argument);
}

void a_frame_is_put_at_the_end_of_its_scope(void **)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = 4096;
    options.frame_count = 2;
    const jdb::Arena arena(options);
    jdb::Pool pool(arena);
    {
        jdb::Frame first = pool.get();
        jdb::Frame second = pool.get_wait(0);
        std::memset(second.data(), 1, 4096);
        bool caught = false;
        try {
            pool.get();
        } catch (const std::system_error &error) {
            caught = error.code() == std::errc::resource_unavailable_try_again;
        }
        assert_true(caught);
        assert_ptr_equal(second.view().data(), second.data());
        assert_int_equal(second.view().capacity(), 4096);
        assert_true(second.view().empty());
        second = std::move(first);
        const jdb_frame mine = second.release();
        assert_int_equal(second.view().capacity(), 0);
        assert_int_equal(jdb_pool_put(pool.c(), mine), 0);
    }
    jdb::Frame again = pool.get();
    jdb::Frame both = pool.get();
    assert_non_null(again.data());
}

/* The owners of the parent go out of scope in the child too. */
void leave_scope(std::uint32_t flags)
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = 4096;
    options.frame_count = 2;
    options.flags = flags;
    pid_t child = 0;
    {
        const jdb::Buf buf = jdb::Buf::page();
        const jdb::Arena arena(options);
        jdb::Pool pool(arena);
        jdb::Frame frame = pool.get();
        jdb::Frame other = pool.get();
        std::fflush(nullptr);
        child = fork();
        if (child == 0)
            other = std::move(frame);
    }
    if (child == 0)
        _exit(0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

void a_child_of_fork_destroys_what_its_parent_owns(void **)
{
    leave_scope(0);
    leave_scope(JDB_ARENA_KEEP_ON_FORK);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_drops_itself_once),
        cmocka_unit_test(a_buffer_does_its_work),
        cmocka_unit_test(errors_come_as_codes_and_as_exceptions),
        cmocka_unit_test(a_view_slices_by_value),
        cmocka_unit_test(an_arena_frees_itself),
        cmocka_unit_test(a_frame_is_put_at_the_end_of_its_scope),
        cmocka_unit_test(a_child_of_fork_destroys_what_its_parent_owns),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
