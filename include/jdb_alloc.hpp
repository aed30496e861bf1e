/* SPDX-License-Identifier: MIT
 *
 * jdb_alloc.hpp - jdb_alloc for C++17: owners that drop, views with methods, errors as std::error_code.
 *
 * Example: a page read with O_DIRECT.
 *
 *     jdb::Buf buf = jdb::Buf::with_cap(4096);                  // throws std::system_error
 *     ssize_t n = pread(fd, buf.data(), buf.capacity(), 0);
 *     if (n >= 0)
 *         buf.set_len(static_cast<std::size_t>(n));
 *
 *     std::error_code ec;                                       // or without exceptions, as in <filesystem>
 *     jdb::Buf other = jdb::Buf::with_cap(4096, ec);
 *     if (ec == std::errc::not_enough_memory) ...
 *
 * Each class holds the C object and nothing else (c() gives it); every function is one call of the C function of its
 * name, whose header says the contract. Owners move and do not copy; try_clone() copies. A moved-from owner is empty.
 *
 * Errors: every function that can fail comes in two forms, one that throws std::system_error and one that takes a
 * std::error_code last and throws nothing. The category is jdb::error_category(): its messages are those of
 * jdb_strerror(), and its codes compare equal to std::errc. Without exceptions (-fno-exceptions) the first form ends in
 * std::terminate() where it would throw.
 *
 * Containers: jdb::aligned_allocator<T> for those of the standard library, jdb::memory_resource for std::pmr; their memory
 * can be read into and written from with O_DIRECT as it is.
 *
 * Thread safety: as the C objects. */
#ifndef JDB_ALLOC_HPP
#define JDB_ALLOC_HPP

#include "jdb_alloc.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#if defined(__cpp_exceptions)
#define JDB__THROW(exception) throw exception
#else
#define JDB__THROW(exception) std::terminate()
#endif

namespace jdb
{

/* ---- Errors ----------------------------------------------------------------------------------------------- */

class ErrorCategory final : public std::error_category
{
  public:
    const char *name() const noexcept override
    {
        return "jdb_alloc";
    }
    std::string message(int err) const override
    {
        return jdb_strerror(err);
    }
    std::error_condition default_error_condition(int err) const noexcept override
    {
        return std::error_condition(err, std::generic_category());
    }
};

inline const std::error_category &error_category() noexcept
{
    static const ErrorCategory category;
    return category;
}

/* err: 0 or a negative errno, as C functions return. */
inline std::error_code make_code(int err) noexcept
{
    return std::error_code(-err, error_category());
}

inline void throw_if(int err, const char *what)
{
    if (err != 0)
        JDB__THROW(std::system_error(make_code(err), what));
    (void)what;
}

/* ---- Views ------------------------------------------------------------------------------------------------ */

/* jdb_raw with methods: a non-owning view, copied by value. */
class RawView
{
  public:
    constexpr RawView() noexcept : raw_{nullptr, 0, 0}
    {
    }
    constexpr RawView(jdb_raw raw) noexcept : raw_(raw)
    {
    }
    /* To read into: len 0. */
    static RawView to_read(void *ptr, std::size_t cap) noexcept
    {
        return jdb_raw_new(ptr, cap);
    }
    /* To write from: len = cap. */
    static RawView to_write(void *ptr, std::size_t size) noexcept
    {
        return jdb_raw_from_slice(ptr, size);
    }
    RawView with_len(std::size_t len) const noexcept
    {
        return jdb_raw_with_len(raw_, len);
    }
    RawView slice(std::size_t offset, std::size_t len, std::error_code &ec) const noexcept
    {
        jdb_raw part = raw_;
        ec = make_code(jdb_raw_slice(raw_, offset, len, &part));
        return ec ? RawView() : RawView(part);
    }
    RawView slice(std::size_t offset, std::size_t len) const
    {
        jdb_raw part = raw_;
        throw_if(jdb_raw_slice(raw_, offset, len, &part), "jdb::RawView::slice");
        return part;
    }
    RawView slice_data(std::size_t offset, std::size_t len, std::error_code &ec) const noexcept
    {
        jdb_raw part = raw_;
        ec = make_code(jdb_raw_slice_data(raw_, offset, len, &part));
        return ec ? RawView() : RawView(part);
    }
    RawView slice_data(std::size_t offset, std::size_t len) const
    {
        jdb_raw part = raw_;
        throw_if(jdb_raw_slice_data(raw_, offset, len, &part), "jdb::RawView::slice_data");
        return part;
    }
    void set_len(std::size_t len, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_raw_set_len(&raw_, len));
    }
    void set_len(std::size_t len)
    {
        throw_if(jdb_raw_set_len(&raw_, len), "jdb::RawView::set_len");
    }
    bool is_aligned(std::size_t align) const noexcept
    {
        return jdb_raw_is_aligned(raw_, align);
    }
    std::uint8_t *data() const noexcept
    {
        return raw_.ptr;
    }
    std::size_t size() const noexcept
    {
        return raw_.len;
    }
    std::size_t capacity() const noexcept
    {
        return raw_.cap;
    }
    bool empty() const noexcept
    {
        return raw_.len == 0;
    }
    /* The bytes that are data, for a range-based for. */
    std::uint8_t *begin() const noexcept
    {
        return raw_.ptr;
    }
    std::uint8_t *end() const noexcept
    {
        return raw_.ptr + raw_.len;
    }
    jdb_raw c() const noexcept
    {
        return raw_;
    }

  private:
    jdb_raw raw_;
};

/* ---- Buffers ---------------------------------------------------------------------------------------------- */

/* jdb_buf that drops itself. */
class Buf
{
  public:
    constexpr Buf() noexcept : buf_{nullptr, 0, 0}
    {
    }
    Buf(Buf &&other) noexcept : buf_(other.release())
    {
    }
    Buf &operator=(Buf &&other) noexcept
    {
        if (this != &other) {
            jdb_buf_drop(&buf_);
            buf_ = other.release();
        }
        return *this;
    }
    Buf(const Buf &) = delete;
    Buf &operator=(const Buf &) = delete;
    ~Buf()
    {
        jdb_buf_drop(&buf_);
    }

    static Buf with_cap(std::size_t cap, std::error_code &ec) noexcept
    {
        return make(ec, jdb_buf_with_cap, cap);
    }
    static Buf with_cap(std::size_t cap)
    {
        return make("jdb::Buf::with_cap", jdb_buf_with_cap, cap);
    }
    static Buf with_cap_aligned(std::size_t cap, std::size_t align, std::error_code &ec) noexcept
    {
        return make(ec, jdb_buf_with_cap_aligned, cap, align);
    }
    static Buf with_cap_aligned(std::size_t cap, std::size_t align)
    {
        return make("jdb::Buf::with_cap_aligned", jdb_buf_with_cap_aligned, cap, align);
    }
    static Buf with_max(std::size_t cap, std::size_t max, std::error_code &ec) noexcept
    {
        return make(ec, jdb_buf_with_max, cap, max);
    }
    static Buf with_max(std::size_t cap, std::size_t max)
    {
        return make("jdb::Buf::with_max", jdb_buf_with_max, cap, max);
    }
    static Buf zeroed(std::size_t size, std::error_code &ec) noexcept
    {
        return make(ec, jdb_buf_zeroed, size);
    }
    static Buf zeroed(std::size_t size)
    {
        return make("jdb::Buf::zeroed", jdb_buf_zeroed, size);
    }
    static Buf page(std::error_code &ec) noexcept
    {
        return make(ec, jdb_buf_page);
    }
    static Buf page()
    {
        return make("jdb::Buf::page", jdb_buf_page);
    }
    /* Owns what a C function made; the source becomes empty. */
    static Buf adopt(jdb_buf &buf) noexcept
    {
        Buf owner;
        owner.buf_ = buf;
        buf = JDB_BUF_INIT;
        return owner;
    }

    Buf try_clone(std::error_code &ec) const noexcept
    {
        Buf copy;
        ec = make_code(jdb_buf_try_clone(&buf_, &copy.buf_));
        return copy;
    }
    Buf try_clone() const
    {
        Buf copy;
        throw_if(jdb_buf_try_clone(&buf_, &copy.buf_), "jdb::Buf::try_clone");
        return copy;
    }
    void extend(const void *data, std::size_t size)
    {
        throw_if(jdb_buf_extend(&buf_, data, size), "jdb::Buf::extend");
    }
    void extend(const void *data, std::size_t size, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_buf_extend(&buf_, data, size));
    }
    void reserve(std::size_t additional)
    {
        throw_if(jdb_buf_reserve(&buf_, additional), "jdb::Buf::reserve");
    }
    void reserve(std::size_t additional, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_buf_reserve(&buf_, additional));
    }
    void shrink()
    {
        throw_if(jdb_buf_shrink(&buf_), "jdb::Buf::shrink");
    }
    void shrink(std::error_code &ec) noexcept
    {
        ec = make_code(jdb_buf_shrink(&buf_));
    }
    void set_len(std::size_t len, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_buf_set_len(&buf_, len));
    }
    void set_len(std::size_t len)
    {
        throw_if(jdb_buf_set_len(&buf_, len), "jdb::Buf::set_len");
    }
    void set_init(std::size_t initialised, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_buf_set_init(&buf_, initialised));
    }
    void set_init(std::size_t initialised)
    {
        throw_if(jdb_buf_set_init(&buf_, initialised), "jdb::Buf::set_init");
    }
    void pad_to(std::size_t align, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_buf_pad_to(&buf_, align));
    }
    void pad_to(std::size_t align)
    {
        throw_if(jdb_buf_pad_to(&buf_, align), "jdb::Buf::pad_to");
    }
    /* Returns the bytes kept. */
    std::size_t refit_tail(std::size_t data_len, std::size_t align, std::error_code &ec) noexcept
    {
        std::size_t kept = 0;
        ec = make_code(jdb_buf_refit_tail(&buf_, data_len, align, &kept));
        return kept;
    }
    std::size_t refit_tail(std::size_t data_len, std::size_t align)
    {
        std::size_t kept = 0;
        throw_if(jdb_buf_refit_tail(&buf_, data_len, align, &kept), "jdb::Buf::refit_tail");
        return kept;
    }
    void truncate(std::size_t len) noexcept
    {
        jdb_buf_truncate(&buf_, len);
    }
    void clear() noexcept
    {
        jdb_buf_clear(&buf_);
    }

    std::uint8_t *data() const noexcept
    {
        return buf_.ptr;
    }
    std::size_t size() const noexcept
    {
        return buf_.len;
    }
    std::size_t capacity() const noexcept
    {
        return buf_.cap;
    }
    bool empty() const noexcept
    {
        return buf_.len == 0;
    }
    std::uint8_t *begin() const noexcept
    {
        return buf_.ptr;
    }
    std::uint8_t *end() const noexcept
    {
        return buf_.ptr + buf_.len;
    }
    RawView view() const noexcept
    {
        return jdb_buf_as_raw_view(&buf_);
    }
    /* The C object, still owned here. */
    jdb_buf *c() noexcept
    {
        return &buf_;
    }
    const jdb_buf *c() const noexcept
    {
        return &buf_;
    }
    /* The C object, owned by the caller from now on. */
    jdb_buf release() noexcept
    {
        const jdb_buf owned = buf_;
        buf_ = JDB_BUF_INIT;
        return owned;
    }

  private:
    template <typename Function, typename... Sizes>
    static Buf make(std::error_code &ec, Function function, Sizes... sizes) noexcept
    {
        Buf buf;
        ec = make_code(function(&buf.buf_, sizes...));
        return buf;
    }
    template <typename Function, typename... Sizes> static Buf make(const char *what, Function function, Sizes... sizes)
    {
        Buf buf;
        throw_if(function(&buf.buf_, sizes...), what);
        return buf;
    }

    jdb_buf buf_;
};

/* ---- Arenas and pools ------------------------------------------------------------------------------------- */

/* jdb_arena that frees itself. When it does, its memory must be neither pinned nor held by a ring: else std::terminate().
 * End what is built over it first, which the order of declaration does. */
class Arena
{
  public:
    Arena() noexcept = default;
    explicit Arena(const jdb_arena_options &options)
    {
        throw_if(jdb_arena_new(&options, &arena_), "jdb::Arena");
    }
    Arena(const jdb_arena_options &options, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_arena_new(&options, &arena_));
    }
    Arena(Arena &&other) noexcept : arena_(std::exchange(other.arena_, nullptr))
    {
    }
    Arena &operator=(Arena &&other) noexcept
    {
        Arena taken(std::move(other));
        std::swap(arena_, taken.arena_);
        return *this;
    }
    Arena(const Arena &) = delete;
    Arena &operator=(const Arena &) = delete;
    ~Arena()
    {
        const int err = jdb_arena_free(arena_);
        if (err != 0 && err != -EPERM)
            std::terminate();
    }
    RawView view(std::uint32_t first, std::uint32_t count, std::error_code &ec) const noexcept
    {
        jdb_raw raw = JDB_RAW_INIT;
        ec = make_code(jdb_arena_view(arena_, first, count, &raw));
        return raw;
    }
    RawView view(std::uint32_t first, std::uint32_t count = 1) const
    {
        jdb_raw raw = JDB_RAW_INIT;
        throw_if(jdb_arena_view(arena_, first, count, &raw), "jdb::Arena::view");
        return raw;
    }
    void grow(std::uint32_t frame_count, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_arena_grow(arena_, frame_count));
    }
    void grow(std::uint32_t frame_count)
    {
        throw_if(jdb_arena_grow(arena_, frame_count), "jdb::Arena::grow");
    }
    /* Returns the bytes given back. */
    std::uint64_t decommit(std::uint32_t first, std::uint32_t count, std::error_code &ec) noexcept
    {
        std::uint64_t bytes = 0;
        ec = make_code(jdb_arena_decommit(arena_, first, count, &bytes));
        return bytes;
    }
    std::uint64_t decommit(std::uint32_t first, std::uint32_t count)
    {
        std::uint64_t bytes = 0;
        throw_if(jdb_arena_decommit(arena_, first, count, &bytes), "jdb::Arena::decommit");
        return bytes;
    }
    std::uint32_t frame_count() const noexcept
    {
        return jdb_arena_frame_count(arena_);
    }
    jdb_arena *c() const noexcept
    {
        return arena_;
    }

  private:
    jdb_arena *arena_ = nullptr;
};

class Pool;

/* A frame lent, put back at the end of its scope. */
class Frame
{
  public:
    constexpr Frame() noexcept : pool_(nullptr), frame_{nullptr, 0, 0}
    {
    }
    Frame(Frame &&other) noexcept : pool_(std::exchange(other.pool_, nullptr)), frame_(other.release())
    {
    }
    Frame &operator=(Frame &&other) noexcept
    {
        Frame taken(std::move(other));
        std::swap(pool_, taken.pool_);
        std::swap(frame_, taken.frame_);
        return *this;
    }
    Frame(const Frame &) = delete;
    Frame &operator=(const Frame &) = delete;
    /* A frame that the kernel may still access cannot be put: std::terminate(). In a child of fork() the frame is its
     * parent's: nothing happens. */
    ~Frame()
    {
        const int err = pool_ != nullptr ? jdb_pool_put(pool_, frame_) : 0;
        if (err != 0 && err != -EPERM)
            std::terminate();
    }
    std::uint8_t *data() const noexcept
    {
        return frame_.ptr;
    }
    /* To read into; empty when the frame was moved from or released. */
    RawView view() const noexcept
    {
        return jdb_pool_view(pool_, frame_);
    }
    const jdb_frame &c() const noexcept
    {
        return frame_;
    }
    /* The handle, to be put by the caller from now on. */
    jdb_frame release() noexcept
    {
        pool_ = nullptr;
        return std::exchange(frame_, jdb_frame{nullptr, 0, 0});
    }

  private:
    friend class Pool;
    Frame(jdb_pool *pool, jdb_frame frame) noexcept : pool_(pool), frame_(frame)
    {
    }
    jdb_pool *pool_;
    jdb_frame frame_;
};

/* jdb_pool that frees itself; every frame must have been put by then, else std::terminate(). */
class Pool
{
  public:
    Pool() noexcept = default;
    Pool(const Arena &arena, const jdb_pool_options *options, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_pool_new(arena.c(), options, &pool_));
    }
    explicit Pool(const Arena &arena, const jdb_pool_options *options = nullptr)
    {
        throw_if(jdb_pool_new(arena.c(), options, &pool_), "jdb::Pool");
    }
    Pool(Pool &&other) noexcept : pool_(std::exchange(other.pool_, nullptr))
    {
    }
    Pool &operator=(Pool &&other) noexcept
    {
        Pool taken(std::move(other));
        std::swap(pool_, taken.pool_);
        return *this;
    }
    Pool(const Pool &) = delete;
    Pool &operator=(const Pool &) = delete;
    ~Pool()
    {
        const int err = pool_ != nullptr ? jdb_pool_free(pool_) : 0;
        if (err != 0 && err != -EPERM)
            std::terminate();
    }
    /* std::errc::resource_unavailable_try_again: every frame is lent. */
    Frame get(std::error_code &ec) noexcept
    {
        jdb_frame frame = {nullptr, 0, 0};
        ec = make_code(jdb_pool_get(pool_, &frame));
        return ec ? Frame() : Frame(pool_, frame);
    }
    Frame get()
    {
        jdb_frame frame = {nullptr, 0, 0};
        throw_if(jdb_pool_get(pool_, &frame), "jdb::Pool::get");
        return Frame(pool_, frame);
    }
    /* deadline_ns: of jdb_clock_ns(). std::errc::timed_out. */
    Frame get_wait(std::uint64_t deadline_ns, std::error_code &ec) noexcept
    {
        jdb_frame frame = {nullptr, 0, 0};
        ec = make_code(jdb_pool_get_wait(pool_, 1, deadline_ns, nullptr, &frame));
        return ec ? Frame() : Frame(pool_, frame);
    }
    Frame get_wait(std::uint64_t deadline_ns)
    {
        jdb_frame frame = {nullptr, 0, 0};
        throw_if(jdb_pool_get_wait(pool_, 1, deadline_ns, nullptr, &frame), "jdb::Pool::get_wait");
        return Frame(pool_, frame);
    }
    jdb_pool *c() const noexcept
    {
        return pool_;
    }

  private:
    jdb_pool *pool_ = nullptr;
};

} // namespace jdb

#include "jdb_alloc/containers.hpp"
#include "jdb_alloc/file.hpp"

#endif
