/* SPDX-License-Identifier: MIT
 *
 * uring.hpp - uring.h for C++17: a uring object that closes itself, operations that end with their scope. Library
 * libjdb_uring.
 *
 * Example: a page of a file opened with O_DIRECT.
 *
 *     jdb::Uring uring = jdb::Uring::open(ring);                     // throws std::system_error
 *     uring.add(buf.data(), buf.capacity());
 *     jdb::Operation op;
 *     io_uring_sqe *sqe = io_uring_get_sqe(&ring);
 *     op.prep_read(uring, sqe, fd, buf.view(), offset);
 *     io_uring_sqe_set_data(sqe, &op);
 *     io_uring_submit_and_wait(&ring, 1);
 *     ...
 *     auto *done = static_cast<jdb::Operation *>(io_uring_cqe_get_data(cqe));
 *     if (!done->complete(cqe->res))                                 // a short result goes on with another SQE
 *         done->prep(io_uring_get_sqe(&ring));
 *
 * Every function that can fail has two forms, of one definition: without a last argument it throws std::system_error, with
 * a std::error_code as the last argument it sets that and throws nothing. Else as jdb_alloc.hpp. Since 0.2.
 *
 * Thread safety and fork(): as the C objects. Destructors do no harm in a child of fork(). */
#ifndef JDB_ALLOC_URING_HPP
#define JDB_ALLOC_URING_HPP

#include "jdb_alloc.hpp"
#include "jdb_alloc/uring.h"

#include <memory>
#include <type_traits>

namespace jdb
{

/* How an error is reported: by the two forms of a call. */
inline void report(int err, const char *what)
{
    throw_if(err, what);
}
inline void report(int err, const char *, std::error_code &ec) noexcept
{
    ec = make_code(err);
}

/* ---- The uring object ------------------------------------------------------------------------------------- */

/* jdb_uring that closes itself, before io_uring_queue_exit(). Where operations are in flight then, or on another thread than a
 * ring with IORING_SETUP_SINGLE_ISSUER has, it is abandoned: their memory stays pinned. */
class Uring
{
  public:
    Uring() noexcept = default;
    Uring(Uring &&other) noexcept : uring_(std::exchange(other.uring_, nullptr))
    {
    }
    Uring &operator=(Uring &&other) noexcept
    {
        Uring taken(std::move(other));
        std::swap(uring_, taken.uring_);
        return *this;
    }
    Uring(const Uring &) = delete;
    Uring &operator=(const Uring &) = delete;
    ~Uring()
    {
        if (jdb_uring_close(uring_) != 0)
            (void)jdb_uring_abandon(uring_);
    }

    template <typename... Ec>
    static Uring open(io_uring &ring, const jdb_uring_options *options = nullptr, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        Uring uring;
        report(jdb_uring_open(&ring, options, &uring.uring_), "jdb::Uring::open", ec...);
        return uring;
    }
    template <typename... Ec> Uring clone(io_uring &ring, Ec &...ec) const noexcept(sizeof...(Ec) > 0)
    {
        Uring uring;
        report(jdb_uring_clone(uring_, &ring, &uring.uring_), "jdb::Uring::clone", ec...);
        return uring;
    }
    /* With an error it stays open. */
    template <typename... Ec> void close(Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        const int err = jdb_uring_close(uring_);
        uring_ = err == 0 ? nullptr : uring_;
        report(err, "jdb::Uring::close", ec...);
    }
    /* Returns how many operations were in flight. */
    std::uint64_t abandon() noexcept
    {
        return jdb_uring_abandon(std::exchange(uring_, nullptr));
    }

    template <typename... Ec>
    void add(const void *ptr, std::size_t size, const jdb_uring_range_options *options = nullptr,
             Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_add(uring_, ptr, size, options), "jdb::Uring::add", ec...);
    }
    template <typename... Ec>
    void add_arena(const Arena &arena, const jdb_uring_range_options *options = nullptr,
                   Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_add_arena(uring_, arena.c(), options), "jdb::Uring::add_arena", ec...);
    }
    template <typename... Ec> void remove(const void *ptr, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_remove(uring_, ptr), "jdb::Uring::remove", ec...);
    }
    template <typename... Ec> void refresh(const void *ptr, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_refresh(uring_, ptr), "jdb::Uring::refresh", ec...);
    }
    /* Returns the bytes given back. */
    template <typename... Ec>
    std::uint64_t decommit(const Arena &arena, std::uint32_t first, std::uint32_t count, bool registers_again,
                           Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        std::uint64_t bytes = 0;
        report(jdb_uring_decommit(uring_, arena.c(), first, count, registers_again, &bytes), "jdb::Uring::decommit",
               ec...);
        return bytes;
    }

    /* on_completion(const io_uring_cqe &): an exception of it ends in std::terminate(). */
    template <typename OnCompletion, typename... Ec>
    void drain(std::uint64_t deadline_ns, bool cancels, OnCompletion &&on_completion,
               Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        const auto pass_on = [](void *context, const io_uring_cqe *cqe) noexcept {
            (*static_cast<std::remove_reference_t<OnCompletion> *>(context))(*cqe);
        };
        void *const context = const_cast<void *>(static_cast<const void *>(std::addressof(on_completion)));
        report(jdb_uring_drain(uring_, deadline_ns, cancels, pass_on, context), "jdb::Uring::drain", ec...);
    }
    std::uint64_t in_flight() const noexcept
    {
        return jdb_uring_in_flight(uring_);
    }

    template <typename... Ec> jdb_uring_stats stats(Ec &...ec) const noexcept(sizeof...(Ec) > 0)
    {
        jdb_uring_stats stats = JDB_URING_STATS_INIT;
        report(jdb_uring_get_stats(uring_, &stats), "jdb::Uring::stats", ec...);
        return stats;
    }
    template <typename... Ec> jdb_uring_range range(const void *ptr, Ec &...ec) const noexcept(sizeof...(Ec) > 0)
    {
        jdb_uring_range range = JDB_URING_RANGE_INIT;
        report(jdb_uring_get_range(uring_, ptr, &range), "jdb::Uring::range", ec...);
        return range;
    }
    template <typename... Ec>
    jdb_uring_region region(const void *ptr, std::uint32_t index, Ec &...ec) const noexcept(sizeof...(Ec) > 0)
    {
        jdb_uring_region region = JDB_URING_REGION_INIT;
        report(jdb_uring_get_region(uring_, ptr, index, &region), "jdb::Uring::region", ec...);
        return region;
    }
    template <typename... Ec>
    jdb_uring_need need(const void *ptr, std::size_t size, const jdb_uring_range_options *options = nullptr,
                        Ec &...ec) const noexcept(sizeof...(Ec) > 0)
    {
        jdb_uring_need need = JDB_URING_NEED_INIT;
        report(jdb_uring_get_need(uring_, ptr, size, options, &need), "jdb::Uring::need", ec...);
        return need;
    }

    explicit operator bool() const noexcept
    {
        return uring_ != nullptr;
    }
    /* The C object, still owned here. */
    jdb_uring *c() const noexcept
    {
        return uring_;
    }

  private:
    jdb_uring *uring_ = nullptr;
};

/* ---- Operations ------------------------------------------------------------------------------------------- */

/* jdb_uring_op: it stays where it is made, as user_data names it. Its inputs (align, rw_flags, sqe_flags, ...) are set by c().
 * An empty Uring: the operation goes plain, on any ring. In flight at the end of its scope: std::terminate(), but for one
 * of the parent in a child of fork(). */
class Operation
{
  public:
    Operation() noexcept : op_(JDB_URING_OP_INIT)
    {
    }
    Operation(const Operation &) = delete;
    Operation &operator=(const Operation &) = delete;
    ~Operation()
    {
        if (jdb_uring_release(&op_) != 0)
            std::terminate();
    }

    template <typename... Ec>
    void prep_read(const Uring &uring, io_uring_sqe *sqe, int fd, RawView view, std::int64_t offset,
                   Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_read(uring.c(), &op_, sqe, fd, view.c(), offset), "jdb::Operation::prep_read", ec...);
    }
    template <typename... Ec>
    void prep_read_any(const Uring &uring, io_uring_sqe *sqe, int fd, RawView view, std::int64_t offset, RawView bounce,
                       Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_read_any(uring.c(), &op_, sqe, fd, view.c(), offset, bounce.c()),
               "jdb::Operation::prep_read_any", ec...);
    }
    template <typename... Ec>
    void prep_write(const Uring &uring, io_uring_sqe *sqe, int fd, RawView view, std::int64_t offset,
                    Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_write(uring.c(), &op_, sqe, fd, view.c(), offset), "jdb::Operation::prep_write", ec...);
    }
    /* sync: JDB_URING_SYNC_x. */
    template <typename... Ec>
    void prep_write_sync(const Uring &uring, io_uring_sqe *sqe, int fd, RawView view, std::int64_t offset,
                         std::uint32_t sync, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_write_sync(uring.c(), &op_, sqe, fd, view.c(), offset, sync),
               "jdb::Operation::prep_write_sync", ec...);
    }
    /* views, iovs: view_count of each, the caller's, which stay until the operation ends. */
    template <typename... Ec>
    void prep_readv(const Uring &uring, io_uring_sqe *sqe, int fd, jdb_raw *views, std::uint32_t view_count,
                    iovec *iovs, std::int64_t offset, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_readv(uring.c(), &op_, sqe, fd, views, view_count, iovs, offset),
               "jdb::Operation::prep_readv", ec...);
    }
    template <typename... Ec>
    void prep_writev(const Uring &uring, io_uring_sqe *sqe, int fd, jdb_raw *views, std::uint32_t view_count,
                     iovec *iovs, std::int64_t offset, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_writev(uring.c(), &op_, sqe, fd, views, view_count, iovs, offset),
               "jdb::Operation::prep_writev", ec...);
    }
    template <typename... Ec>
    void prep_writev_sync(const Uring &uring, io_uring_sqe *sqe, int fd, jdb_raw *views, std::uint32_t view_count,
                          iovec *iovs, std::int64_t offset, std::uint32_t sync, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_writev_sync(uring.c(), &op_, sqe, fd, views, view_count, iovs, offset, sync),
               "jdb::Operation::prep_writev_sync", ec...);
    }
    template <typename... Ec>
    void prep_sync(const Uring &uring, io_uring_sqe *sqe, int fd, std::uint32_t sync,
                   Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_sync(uring.c(), &op_, sqe, fd, sync), "jdb::Operation::prep_sync", ec...);
    }
    template <typename... Ec>
    void prep_allocate(const Uring &uring, io_uring_sqe *sqe, int fd, std::uint32_t mode, std::int64_t offset,
                       std::uint64_t size, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_allocate(uring.c(), &op_, sqe, fd, mode, offset, size), "jdb::Operation::prep_allocate",
               ec...);
    }

    /* file: open until the operation ends. */
    template <typename... Ec>
    void prep_read_file(const Uring &uring, io_uring_sqe *sqe, const File &file, RawView view, std::int64_t offset,
                        Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_read_file(uring.c(), &op_, sqe, file.c(), view.c(), offset),
               "jdb::Operation::prep_read_file", ec...);
    }
    /* durability: JDB_FILE_DURABLE_x, for this write alone. */
    template <typename... Ec>
    void prep_write_file(const Uring &uring, io_uring_sqe *sqe, const File &file, RawView view, std::int64_t offset,
                         std::uint32_t durability, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_write_file(uring.c(), &op_, sqe, file.c(), view.c(), offset, durability),
               "jdb::Operation::prep_write_file", ec...);
    }
    /* views, iovs: as for prep_readv(). */
    template <typename... Ec>
    void prep_readv_file(const Uring &uring, io_uring_sqe *sqe, const File &file, jdb_raw *views,
                         std::uint32_t view_count, iovec *iovs, std::int64_t offset,
                         Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_readv_file(uring.c(), &op_, sqe, file.c(), views, view_count, iovs, offset),
               "jdb::Operation::prep_readv_file", ec...);
    }
    template <typename... Ec>
    void prep_writev_file(const Uring &uring, io_uring_sqe *sqe, const File &file, jdb_raw *views,
                          std::uint32_t view_count, iovec *iovs, std::int64_t offset, std::uint32_t durability,
                          Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep_writev_file(uring.c(), &op_, sqe, file.c(), views, view_count, iovs, offset, durability),
               "jdb::Operation::prep_writev_file", ec...);
    }

    /* What is left of it; it must be started, else the program is stopped. */
    template <typename... Ec> void prep(io_uring_sqe *sqe, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_prep(&op_, sqe), "jdb::Operation::prep", ec...);
    }
    /* res: of its CQE. Returns whether it has ended, with an error too; else it wants another SQE: prep(). */
    template <typename... Ec> bool complete(std::int32_t res, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        const int err = jdb_uring_complete(&op_, res);
        report(err == JDB_URING_RESUME ? 0 : err, "jdb::Operation::complete", ec...);
        return err != JDB_URING_RESUME;
    }
    /* Without a ring, of one that was prepared with JDB_URING_LATER. */
    template <typename... Ec> void run(Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_run(&op_), "jdb::Operation::run", ec...);
    }
    /* user_data: that its SQE carries. sqe: of the request to cancel it. */
    template <typename... Ec>
    void cancel(std::uint64_t user_data, io_uring_sqe *sqe, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_cancel(&op_, user_data, sqe), "jdb::Operation::cancel", ec...);
    }
    template <typename... Ec> void release(Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_release(&op_), "jdb::Operation::release", ec...);
    }

    /* Of a read: what was read. */
    RawView view() const noexcept
    {
        return op_.view;
    }
    /* Bytes read or written, after an error too. */
    std::size_t done_size() const noexcept
    {
        return jdb_uring_done_size(&op_);
    }
    bool is_eof() const noexcept
    {
        return op_.is_eof != 0;
    }
    jdb_uring_op *c() noexcept
    {
        return &op_;
    }

  private:
    jdb_uring_op op_;
};

} // namespace jdb

#endif
