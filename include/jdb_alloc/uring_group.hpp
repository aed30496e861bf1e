/* SPDX-License-Identifier: MIT
 *
 * uring_group.hpp - uring_group.h for C++17: pieces that give themselves back. Library libjdb_uring.
 *
 *     jdb::Group group = jdb::Group::open(ring, pool);
 *     io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
 *     group.select(sqe);
 *     ...
 *     const jdb::Piece piece = group.take(*cqe);          // each completion of it; given back at the end of its scope
 *     use(piece.data(), piece.size());
 *
 * Both forms of each call, as uring.hpp has them. Thread safety and fork(): as the C objects. Since 0.2. */
#ifndef JDB_ALLOC_URING_GROUP_HPP
#define JDB_ALLOC_URING_GROUP_HPP

#include "jdb_alloc/uring.hpp"
#include "jdb_alloc/uring_group.h"

namespace jdb
{

class Group;

/* Bytes that a completion brought, given back at the end of their scope, on any thread, before the group is closed. */
class Piece
{
  public:
    constexpr Piece() noexcept : group_(nullptr), piece_{}
    {
    }
    Piece(Piece &&other) noexcept
        : group_(std::exchange(other.group_, nullptr)), piece_(std::exchange(other.piece_, jdb_uring_piece{}))
    {
    }
    Piece &operator=(Piece &&other) noexcept
    {
        Piece taken(std::move(other));
        std::swap(group_, taken.group_);
        std::swap(piece_, taken.piece_);
        return *this;
    }
    Piece(const Piece &) = delete;
    Piece &operator=(const Piece &) = delete;
    /* One whose frame was put by other means: std::terminate(). */
    ~Piece()
    {
        const int err = group_ != nullptr ? jdb_uring_group_give(group_, &piece_) : 0;
        if (err != 0 && err != -EPERM)
            std::terminate();
    }
    std::uint8_t *data() const noexcept
    {
        return piece_.view.ptr;
    }
    std::size_t size() const noexcept
    {
        return piece_.view.len;
    }
    bool empty() const noexcept
    {
        return piece_.view.len == 0;
    }
    std::uint8_t *begin() const noexcept
    {
        return piece_.view.ptr;
    }
    std::uint8_t *end() const noexcept
    {
        return piece_.view.ptr + piece_.view.len;
    }
    const jdb_uring_piece &c() const noexcept
    {
        return piece_;
    }
    /* The C object, to be given back by the caller from now on. */
    jdb_uring_piece release() noexcept
    {
        group_ = nullptr;
        return std::exchange(piece_, jdb_uring_piece{});
    }

  private:
    friend class Group;
    const jdb_uring_group *group_;
    jdb_uring_piece piece_;
};

/* jdb_uring_group that closes itself, before io_uring_queue_exit(). One that cannot be closed, as requests are in flight, stays
 * with its frames until the process ends. */
class Group
{
  public:
    Group() noexcept = default;
    Group(Group &&other) noexcept : group_(std::exchange(other.group_, nullptr))
    {
    }
    Group &operator=(Group &&other) noexcept
    {
        Group taken(std::move(other));
        std::swap(group_, taken.group_);
        return *this;
    }
    Group(const Group &) = delete;
    Group &operator=(const Group &) = delete;
    ~Group()
    {
        (void)jdb_uring_group_close(group_);
    }
    template <typename... Ec>
    static Group open(io_uring &ring, const Pool &pool, const jdb_uring_group_options *options = nullptr,
                      Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        Group group;
        report(jdb_uring_group_open(&ring, pool.c(), options, &group.group_), "jdb::Group::open", ec...);
        return group;
    }
    /* With an error it stays open. */
    template <typename... Ec> void close(Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        const int err = jdb_uring_group_close(group_);
        group_ = err == 0 ? nullptr : group_;
        report(err, "jdb::Group::close", ec...);
    }
    template <typename... Ec> void select(io_uring_sqe *sqe, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        report(jdb_uring_group_select(group_, sqe), "jdb::Group::select", ec...);
    }
    /* Empty at the end of the stream. */
    template <typename... Ec> Piece take(const io_uring_cqe &cqe, Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        Piece piece;
        piece.group_ = group_;
        report(jdb_uring_group_take(group_, &cqe, &piece.piece_), "jdb::Group::take", ec...);
        return piece;
    }
    /* Returns how many frames the kernel may choose from. */
    template <typename... Ec> std::uint32_t refill(Ec &...ec) noexcept(sizeof...(Ec) > 0)
    {
        const int count = jdb_uring_group_refill(group_);
        report(count < 0 ? count : 0, "jdb::Group::refill", ec...);
        return count < 0 ? 0 : static_cast<std::uint32_t>(count);
    }
    bool is_incremental() const noexcept
    {
        return jdb_uring_group_is_incremental(group_);
    }
    std::uint64_t in_flight() const noexcept
    {
        return jdb_uring_group_in_flight(group_);
    }
    explicit operator bool() const noexcept
    {
        return group_ != nullptr;
    }
    /* The C object, still owned here. */
    jdb_uring_group *c() const noexcept
    {
        return group_;
    }

  private:
    jdb_uring_group *group_ = nullptr;
};

} // namespace jdb

#endif
