/* SPDX-License-Identifier: MIT
 *
 * file.hpp - file.h for C++17: a file that closes itself. Part of jdb_alloc.hpp. */
#ifndef JDB_ALLOC_FILE_HPP
#define JDB_ALLOC_FILE_HPP

#include "jdb_alloc.hpp"

namespace jdb
{

/* jdb_file that closes itself. The destructor drops the error of closing: call close() where writes must not be lost. */
class File
{
  public:
    File() noexcept = default;
    File(File &&other) noexcept : file_(std::exchange(other.file_, nullptr))
    {
    }
    File &operator=(File &&other) noexcept
    {
        File taken(std::move(other));
        std::swap(file_, taken.file_);
        return *this;
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    ~File()
    {
        (void)jdb_file_close(file_);
    }

    static File open(const char *path, const jdb_file_options &options, std::error_code &ec) noexcept
    {
        File file;
        ec = make_code(jdb_file_open(path, &options, nullptr, &file.file_));
        return file;
    }
    static File open(const char *path, const jdb_file_options &options)
    {
        File file;
        throw_if(jdb_file_open(path, &options, nullptr, &file.file_), "jdb::File::open");
        return file;
    }
    static File openat(int directory_fd, const char *path, const jdb_file_options &options,
                       std::error_code &ec) noexcept
    {
        File file;
        ec = make_code(jdb_file_openat(directory_fd, path, &options, nullptr, &file.file_));
        return file;
    }
    static File openat(int directory_fd, const char *path, const jdb_file_options &options)
    {
        File file;
        throw_if(jdb_file_openat(directory_fd, path, &options, nullptr, &file.file_), "jdb::File::openat");
        return file;
    }
    /* fd stays the caller's. */
    static File from_fd(int fd, const jdb_file_options &options, std::error_code &ec) noexcept
    {
        File file;
        ec = make_code(jdb_file_from_fd(fd, &options, nullptr, &file.file_));
        return file;
    }
    static File from_fd(int fd, const jdb_file_options &options)
    {
        File file;
        throw_if(jdb_file_from_fd(fd, &options, nullptr, &file.file_), "jdb::File::from_fd");
        return file;
    }
    /* The file is closed whatever is returned. */
    void close(std::error_code &ec) noexcept
    {
        ec = make_code(jdb_file_close(std::exchange(file_, nullptr)));
    }
    void close()
    {
        throw_if(jdb_file_close(std::exchange(file_, nullptr)), "jdb::File::close");
    }

    /* The part of the view that holds bytes of the file: shorter than the view where the file ends. */
    RawView read_full(RawView view, std::int64_t offset, std::error_code &ec) const noexcept
    {
        jdb_raw raw = view.c();
        ec = make_code(jdb_file_read_full(file_, &raw, offset, nullptr));
        return raw;
    }
    RawView read_full(RawView view, std::int64_t offset) const
    {
        jdb_raw raw = view.c();
        throw_if(jdb_file_read_full(file_, &raw, offset, nullptr), "jdb::File::read_full");
        return raw;
    }
    void write_full(RawView view, std::int64_t offset, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_file_write_full(file_, view.c(), offset, nullptr));
    }
    void write_full(RawView view, std::int64_t offset)
    {
        throw_if(jdb_file_write_full(file_, view.c(), offset, nullptr), "jdb::File::write_full");
    }
    /* Each view gets its part of the bytes that were read, as its len. */
    void readv(jdb_raw *views, std::uint32_t view_count, std::int64_t offset, std::error_code &ec) const noexcept
    {
        ec = make_code(jdb_file_readv(file_, views, view_count, offset, nullptr));
    }
    void readv(jdb_raw *views, std::uint32_t view_count, std::int64_t offset) const
    {
        throw_if(jdb_file_readv(file_, views, view_count, offset, nullptr), "jdb::File::readv");
    }
    void writev(const jdb_raw *views, std::uint32_t view_count, std::int64_t offset, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_file_writev(file_, views, view_count, offset, nullptr));
    }
    void writev(const jdb_raw *views, std::uint32_t view_count, std::int64_t offset)
    {
        throw_if(jdb_file_writev(file_, views, view_count, offset, nullptr), "jdb::File::writev");
    }
    void write_zeros(std::int64_t offset, std::uint64_t size, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_file_write_zeros(file_, offset, size, nullptr));
    }
    void write_zeros(std::int64_t offset, std::uint64_t size)
    {
        throw_if(jdb_file_write_zeros(file_, offset, size, nullptr), "jdb::File::write_zeros");
    }
    void truncate(std::int64_t size, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_file_truncate(file_, size));
    }
    void truncate(std::int64_t size)
    {
        throw_if(jdb_file_truncate(file_, size), "jdb::File::truncate");
    }
    /* durability: JDB_FILE_DURABLE_x. */
    void sync(std::uint32_t durability, std::error_code &ec) noexcept
    {
        ec = make_code(jdb_file_sync(file_, durability));
    }
    void sync(std::uint32_t durability)
    {
        throw_if(jdb_file_sync(file_, durability), "jdb::File::sync");
    }
    std::int64_t size(std::error_code &ec) const noexcept
    {
        std::int64_t bytes = 0;
        ec = make_code(jdb_file_size(file_, &bytes));
        return bytes;
    }
    std::int64_t size() const
    {
        std::int64_t bytes = 0;
        throw_if(jdb_file_size(file_, &bytes), "jdb::File::size");
        return bytes;
    }
    explicit operator bool() const noexcept
    {
        return file_ != nullptr;
    }
    /* The C object, still owned here. */
    jdb_file *c() const noexcept
    {
        return file_;
    }

  private:
    jdb_file *file_ = nullptr;
};

} // namespace jdb

#endif
