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

#include "both_forms.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <list>
#include <sys/wait.h>
#include <type_traits>
#include <unistd.h>
#include <vector>

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

/* ---- Both forms ------------------------------------------------------------------------------------------- */

jdb_arena_options four_frames()
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = 4096;
    options.frame_count = 4;
    return options;
}

void each_call_has_both_forms(void **)
{
    std::error_code ec;
    jdb::Buf buf = jdb::Buf::page(ec);
    assert_int_equal(ec.value(), 0);
    jdb::RawView view = buf.view();
    FAILS_ALIKE(ERANGE, view.slice, 8192, 1);
    FAILS_ALIKE(ERANGE, view.slice_data, 8192, 1);
    FAILS_ALIKE(ENOBUFS, view.set_len, 4097);
    FAILS_ALIKE(EOVERFLOW, jdb::Buf::with_cap, SIZE_MAX);
    FAILS_ALIKE(EINVAL, jdb::Buf::with_cap_aligned, 1, 3);
    FAILS_ALIKE(EOVERFLOW, jdb::Buf::with_max, 1, SIZE_MAX);
    FAILS_ALIKE(EOVERFLOW, jdb::Buf::zeroed, SIZE_MAX);
    FAILS_ALIKE(ENOBUFS, buf.extend, "x", 4097);
    FAILS_ALIKE(EOVERFLOW, buf.reserve, SIZE_MAX);
    FAILS_ALIKE(ENOBUFS, buf.set_len, 4097);
    FAILS_ALIKE(ENOBUFS, buf.set_init, 4097);
    FAILS_ALIKE(EINVAL, buf.pad_to, 3);
    FAILS_ALIKE(EINVAL, buf.refit_tail, 10, 3);
    jdb::Arena arena(four_frames(), ec);
    assert_int_equal(ec.value(), 0);
    FAILS_ALIKE(ERANGE, arena.view, 4, 1);
    FAILS_ALIKE(ERANGE, arena.grow, 5);
    FAILS_ALIKE(ERANGE, arena.decommit, 4, 1);
    jdb::Pool pool(arena, nullptr, ec);
    assert_int_equal(ec.value(), 0);
    const jdb::Pool none(jdb::Arena(), nullptr, ec);
    assert_int_equal(ec.value(), EINVAL);
    jdb::Frame frames[4];
    for (jdb::Frame &frame : frames)
        frame = pool.get(ec);
    assert_int_equal(ec.value(), 0);
    assert_null(pool.get(ec).data());
    assert_int_equal(ec.value(), EAGAIN);
    FAILS_ALIKE(ETIMEDOUT, pool.get_wait, 0);
}

void what_was_moved_from_is_empty(void **)
{
    jdb::Arena arena(four_frames());
    jdb::Arena other(four_frames());
    {
        jdb::Pool pool(other);
        jdb::Pool second(arena);
        second = std::move(pool); /* the one that it had is freed */
        assert_null(pool.c());
        pool = jdb::Pool(arena);
        jdb::Frame frame = second.get();
        jdb::Frame taken = second.get();
        taken = std::move(frame); /* the one that it had is put */
        assert_null(frame.data());
        assert_non_null(taken.data());
        const jdb::Frame last = std::move(taken);
        assert_null(taken.data());
    }
    arena = std::move(other);
    assert_null(other.c());
    assert_int_equal(arena.frame_count(), 4);
    jdb::Arena &same = arena;
    arena = std::move(same);
    assert_int_equal(arena.frame_count(), 4);
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

void a_file_does_its_work_and_closes_itself(void **)
{
    char path[] = "/var/tmp/jdb_hpp_test.XXXXXX";
    close(mkstemp(path));
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE;
    std::error_code ec;
    jdb::Buf buf = jdb::Buf::zeroed(8192);
    std::memset(buf.data(), 7, 5000);
    {
        jdb::File file = jdb::File::open(path, options);
        file.write_full(buf.view().with_len(5000), 0);
        file.write_zeros(5000, 1000);
        file.sync(JDB_FILE_DURABLE_DATA);
        assert_int_equal(file.size(), 6000);
        file.truncate(5500);
        std::memset(buf.data(), 1, 8192);
        const jdb::RawView found = file.read_full(jdb::RawView::to_read(buf.data(), 8192), 0);
        assert_int_equal(found.size(), 5500);
        assert_int_equal(found.data()[4999], 7);
        assert_int_equal(found.data()[5000], 0);
        FAILS_ALIKE(EINVAL, file.write_full, found, -1);
        FAILS_ALIKE(EINVAL, file.read_full, found, -1);
        FAILS_ALIKE(EINVAL, file.write_zeros, -1, 1);
        FAILS_ALIKE(EINVAL, file.truncate, -1);
        FAILS_ALIKE(EINVAL, file.sync, 99);
        jdb::File moved = std::move(file);
        assert_false(static_cast<bool>(file));
        moved.close(ec);
        assert_int_equal(ec.value(), 0);
        assert_false(static_cast<bool>(moved));
        (void)moved.size(ec);
        assert_int_equal(ec.value(), EINVAL);
    }
    const int fd = ::open(path, O_RDWR);
    jdb::File files[] = {jdb::File::openat(AT_FDCWD, path, options), jdb::File::from_fd(fd, options)};
    for (jdb::File &file : files) {
        jdb_raw views[2] = {jdb_raw_from_slice(buf.data(), 4096), jdb_raw_from_slice(buf.data() + 4096, 100)};
        file.writev(views, 2, 0);
        file.readv(views, 2, 0);
        assert_int_equal(views[1].len, 100);
        FAILS_ALIKE(EINVAL, file.writev, views, 0, 0);
        FAILS_ALIKE(EINVAL, file.readv, views, 0, 0);
    }
    assert_int_equal(::close(fd), 0);
    unlink(path);
    FAILS_ALIKE(ENOENT, jdb::File::open, path, options);
    FAILS_ALIKE(ENOENT, jdb::File::openat, AT_FDCWD, path, options);
    FAILS_ALIKE(EBADF, jdb::File::from_fd, fd, options);
    assert_int_equal(ec.value(), EINVAL);
}

/* ---- Containers ------------------------------------------------------------------------------------------- */

void containers_have_whole_pages_and_give_them_back(void **)
{
    const std::uint64_t before = lent_bytes();
    const std::size_t sizes[] = {0, 1, 4095, 4096, 4097, 65536, 100000, (1u << 20) + 1, (5u << 20) + 4096};
    jdb::memory_resource first;
    jdb::memory_resource second;
    assert_true(first == second);
    assert_false(first == *std::pmr::new_delete_resource());
    for (const std::size_t size : sizes)
        for (std::size_t align = 1; align <= (1u << 21); align *= 8) {
            void *const ptr = first.allocate(size, align);
            assert_int_equal(reinterpret_cast<std::uintptr_t>(ptr) % (align < 4096 ? 4096 : align), 0);
            second.deallocate(ptr, size, align);
            assert_int_equal(lent_bytes(), before);
        }
    {
        std::pmr::vector<char> bytes(&first);
        std::vector<int, jdb::aligned_allocator<int, 65536>> numbers(3);
        std::vector<char, jdb::aligned_allocator<char>> block;
        for (int i = 0; i < 300000; i++) {
            bytes.push_back(static_cast<char>(i));
            block.push_back(static_cast<char>(i));
            numbers.push_back(i);
        }
        assert_int_equal(reinterpret_cast<std::uintptr_t>(bytes.data()) % 4096, 0);
        assert_int_equal(reinterpret_cast<std::uintptr_t>(block.data()) % 4096, 0);
        assert_int_equal(reinterpret_cast<std::uintptr_t>(numbers.data()) % 65536, 0);
        assert_int_equal(numbers[300002], 299999);
        assert_int_equal(block[299999], bytes[299999]);
        const std::list<int, jdb::aligned_allocator<int>> rebound(2, 5);
        assert_int_equal(rebound.back(), 5);
    }
    assert_int_equal(lent_bytes(), before);
}

void memory_that_cannot_be_had_is_bad_alloc(void **)
{
    jdb::memory_resource pages;
    jdb::aligned_allocator<long> longs;
    const std::size_t huge = SIZE_MAX / sizeof(long);
    int thrown = 0;
    for (int i = 0; i < 3; i++)
        try {
            if (i == 0)
                (void)pages.allocate(SIZE_MAX / 2, 8);
            else
                (void)longs.allocate(i == 1 ? huge : huge + 2);
        } catch (const std::bad_alloc &) {
            thrown++;
        }
    assert_int_equal(thrown, 3);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_has_both_forms),
        cmocka_unit_test(what_was_moved_from_is_empty),
        cmocka_unit_test(a_file_does_its_work_and_closes_itself),
        cmocka_unit_test(containers_have_whole_pages_and_give_them_back),
        cmocka_unit_test(memory_that_cannot_be_had_is_bad_alloc),
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
