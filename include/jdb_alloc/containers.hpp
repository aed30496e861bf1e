/* SPDX-License-Identifier: MIT
 *
 * containers.hpp - page memory for containers of the standard library. Part of jdb_alloc.hpp.
 *
 *     std::vector<char, jdb::aligned_allocator<char>> block(65536);      // its bytes can be written with O_DIRECT
 *
 *     jdb::memory_resource pages;
 *     std::pmr::monotonic_buffer_resource records(1 << 20, &pages);
 */
#ifndef JDB_ALLOC_CONTAINERS_HPP
#define JDB_ALLOC_CONTAINERS_HPP

#include "jdb_alloc.hpp"

#include <limits>
#include <memory_resource>
#include <new>

namespace jdb
{

/* Memory of jdb_buf_with_cap_aligned(): whole pages at a multiple of align, or of 4096. nullptr: none. */
inline void *allocate_pages(std::size_t size, std::size_t align) noexcept
{
    jdb_buf buf = JDB_BUF_INIT;
    const std::size_t least = align < JDB_ALIGNMENT ? std::size_t{JDB_ALIGNMENT} : align;
    return jdb_buf_with_cap_aligned(&buf, size, least) == 0 ? buf.ptr : nullptr;
}

/* size, align: as they were allocated. Any other memory: std::terminate(). */
inline void free_pages(void *ptr, std::size_t size, std::size_t align) noexcept
{
    const std::size_t least = align < JDB_ALIGNMENT ? std::size_t{JDB_ALIGNMENT} : align;
    const std::size_t wanted = size != 0 ? size : 1;
    const std::size_t cap = (wanted + (least - 1)) / least * least;
    jdb_buf buf = JDB_BUF_INIT;
    if (ptr == nullptr)
        return;
    if (jdb_buf_from_raw_parts(&buf, static_cast<std::uint8_t *>(ptr), 0, cap) != 0)
        std::terminate();
    jdb_buf_drop(&buf);
}

/* An allocator of the standard library: std::vector<char, jdb::aligned_allocator<char>> can be written with O_DIRECT. Align: a
 * power of two, 4096 or more. Every allocation is whole pages: for few large blocks. */
template <typename T, std::size_t Align = JDB_ALIGNMENT> class aligned_allocator
{
    static_assert(Align >= JDB_ALIGNMENT && (Align & (Align - 1)) == 0, "a power of two, 4096 or more");
    static_assert(Align >= alignof(T), "T is aligned more than that");

  public:
    using value_type = T;
    template <typename U> struct rebind {
        using other = aligned_allocator<U, Align>;
    };
    constexpr aligned_allocator() noexcept = default;
    template <typename U> constexpr aligned_allocator(const aligned_allocator<U, Align> &) noexcept
    {
    }
    /* std::bad_alloc. */
    T *allocate(std::size_t count)
    {
        void *const ptr = count <= std::numeric_limits<std::size_t>::max() / sizeof(T)
                              ? allocate_pages(count * sizeof(T), Align)
                              : nullptr;
        if (ptr == nullptr)
            JDB__THROW(std::bad_alloc());
        return static_cast<T *>(ptr);
    }
    void deallocate(T *ptr, std::size_t count) noexcept
    {
        free_pages(ptr, count * sizeof(T), Align);
    }
    template <typename U> constexpr bool operator==(const aligned_allocator<U, Align> &) const noexcept
    {
        return true;
    }
    template <typename U> constexpr bool operator!=(const aligned_allocator<U, Align> &) const noexcept
    {
        return false;
    }
};

/* The same for std::pmr. It has no state: any two are equal (without run-time types only one and itself), and memory of
 * one may be given back to the other. */
class memory_resource final : public std::pmr::memory_resource
{
    void *do_allocate(std::size_t size, std::size_t align) override
    {
        void *const ptr = allocate_pages(size, align);
        if (ptr == nullptr)
            JDB__THROW(std::bad_alloc());
        return ptr;
    }
    void do_deallocate(void *ptr, std::size_t size, std::size_t align) override
    {
        free_pages(ptr, size, align);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        return this == &other || is_one(other);
    }
    static bool is_one(const std::pmr::memory_resource &other) noexcept
    {
#if defined(__cpp_rtti)
        return dynamic_cast<const memory_resource *>(&other) != nullptr;
#else
        return static_cast<void>(other), false;
#endif
    }
};

} // namespace jdb

#endif
