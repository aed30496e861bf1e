/* SPDX-License-Identifier: MIT
 *
 * cxx_test.cpp - the headers of the core from C++17: they compile without a cast, link, and mean the same.
 */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
extern "C" {
#include <cmocka.h>
}

#include "jdb_alloc.h"

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>

static_assert(std::is_standard_layout<jdb_buf>::value && std::is_trivially_copyable<jdb_buf>::value, "three words");
static_assert(std::is_standard_layout<jdb_raw>::value && std::is_trivially_copyable<jdb_raw>::value, "three words");
static_assert(alignof(jdb_page) == JDB_PAGE_SIZE && sizeof(jdb_page) == JDB_PAGE_SIZE, "a page");

namespace
{

void empty_objects_have_initialisers(void **)
{
    const jdb_buf buf = JDB_BUF_INIT;
    const jdb_raw raw = JDB_RAW_INIT;
    assert_null(buf.ptr);
    assert_int_equal(buf.len + buf.cap, 0);
    assert_null(raw.ptr);
    assert_int_equal(raw.len + raw.cap, 0);
}

void sized_structs_have_initialisers(void **)
{
    const jdb_page_options options = JDB_PAGE_OPTIONS_INIT;
    assert_int_equal(jdb_set_page_options(&options), 0);
    jdb_page_stats stats = JDB_PAGE_STATS_INIT;
    assert_int_equal(jdb_get_page_stats(&stats), 0);
    jdb_page_class_stats class_stats = JDB_PAGE_CLASS_STATS_INIT;
    assert_int_equal(jdb_get_page_class_stats(1, &class_stats), 0);
    assert_int_equal(class_stats.page_count, 1);
}

void buffer_does_its_work(void **)
{
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_with_cap(&buf, 5000), 0);
    assert_int_equal(buf.cap, 8192);
    const std::string text = "direct";
    assert_int_equal(jdb_buf_extend(&buf, text.data(), text.size()), 0);
    assert_int_equal(jdb_buf_pad_to(&buf, 512), 0);
    assert_int_equal(jdb_buf_len(&buf), 512);
    assert_int_equal(jdb_buf_set_len(&buf, 9000), -ENOBUFS);
    assert_memory_equal(jdb_buf_as_ptr(&buf), "direct", 6);
}

void view_is_a_value(void **)
{
    jdb_page pages[2];
    const jdb_raw whole = jdb_raw_from_slice(pages, sizeof pages);
    jdb_raw page = JDB_RAW_INIT;
    assert_int_equal(jdb_raw_slice(whole, 4096, 4096, &page), 0);
    assert_ptr_equal(page.ptr, pages[1].bytes);
    assert_int_equal(jdb_raw_slice(whole, 1, 4096, &page), -EINVAL);
    assert_int_equal(jdb_raw_len(jdb_raw_with_len(page, 7)), 7);
    assert_int_equal(jdb_raw_slice(whole, 4097, 4096, &page), -ERANGE);
}

void frames_are_walked(void **)
{
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_zeroed(&buf, 5 * JDB_PAGE_SIZE), 0);
    jdb_raw_iter iter;
    jdb_raw frame;
    unsigned count = 0;
    assert_int_equal(jdb_buf_slice_into_raws(&buf, 2 * JDB_PAGE_SIZE, &iter), 0);
    while (jdb_raw_iter_next(&iter, &frame))
        count++;
    assert_int_equal(count, 2);
    assert_int_equal(jdb_raw_iter_rest(&iter).cap, JDB_PAGE_SIZE);
}

struct dropper {
    void operator()(jdb_buf *buf) const
    {
        jdb_buf_drop(buf);
        delete buf;
    }
};

void owners_of_cxx_hold_a_buffer(void **)
{
    std::unique_ptr<jdb_buf, dropper> buf(new jdb_buf{});
    assert_int_equal(jdb_buf_page(buf.get()), 0);
    std::thread other([moved = std::move(buf)]() mutable { moved.reset(); });
    other.join();
    assert_true(buf == nullptr);
}

void pins_and_errors_speak(void **)
{
    JDB_AUTO_BUF buf = JDB_BUF_INIT;
    assert_int_equal(jdb_buf_page(&buf), 0);
    assert_int_equal(jdb_pin(buf.ptr, buf.cap), 0);
    assert_true(jdb_is_pinned(buf.ptr, 1));
    assert_int_equal(jdb_unpin(buf.ptr, buf.cap), 0);
    assert_true(std::strlen(jdb_strerror(-ENOBUFS)) > 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(empty_objects_have_initialisers),
        cmocka_unit_test(sized_structs_have_initialisers),
        cmocka_unit_test(buffer_does_its_work),
        cmocka_unit_test(view_is_a_value),
        cmocka_unit_test(frames_are_walked),
        cmocka_unit_test(owners_of_cxx_hold_a_buffer),
        cmocka_unit_test(pins_and_errors_speak),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
