/* SPDX-License-Identifier: MIT
 *
 * uring_hpp_test.cpp - uring.hpp: both forms of each call by one list, what was moved from, ends of scopes, forks.
 */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
extern "C" {
#include <cmocka.h>
}

#include <cstring>
#include <fcntl.h>
#include <liburing.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <type_traits>
#include <unistd.h>

#include "jdb_alloc/uring_group.hpp"

#include "both_forms.hpp"

namespace
{

constexpr std::size_t block = 4096;

struct io_uring ring;
int fd = -1;

jdb_arena_options four_frames()
{
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = block;
    options.frame_count = 4;
    return options;
}

/* The answer to the SQE that was prepared. */
int submit_and_wait()
{
    io_uring_cqe *cqe = nullptr;
    assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
    assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
    const int res = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return res;
}

/* ---- Both forms ------------------------------------------------------------------------------------------- */

/* Of calls without another argument. */
#define FAILS_ALIKE_BARE(err, call)               \
    fails_alike(err, [&](std::error_code *code) { \
        if (code != nullptr)                      \
            (void)call(*code);                    \
        else                                      \
            (void)call();                         \
    })

void each_call_of_the_object_has_both_forms(void **)
{
    jdb_uring_options wrong = JDB_URING_OPTIONS_INIT;
    wrong.region_size = 3;
    jdb_uring_range_options old = JDB_URING_RANGE_OPTIONS_INIT;
    old.size = 1;
    const jdb::Arena arena(four_frames());
    jdb::Uring none;
    jdb::Uring uring = jdb::Uring::open(ring);
    FAILS_ALIKE(EINVAL, jdb::Uring::open, ring, &wrong);
    FAILS_ALIKE(EINVAL, none.clone, ring);
    FAILS_ALIKE(EINVAL, uring.add, arena.view(0).data(), 0, nullptr);
    FAILS_ALIKE(EINVAL, uring.add_arena, arena, &old);
    FAILS_ALIKE(EINVAL, uring.remove, &wrong);
    FAILS_ALIKE(EINVAL, uring.refresh, &wrong);
    FAILS_ALIKE(EINVAL, uring.decommit, arena, 0, 1, true);
    FAILS_ALIKE(EINVAL, none.drain, 0, false, [](const io_uring_cqe &) {});
    FAILS_ALIKE_BARE(EINVAL, none.stats);
    FAILS_ALIKE(EINVAL, uring.range, &wrong);
    FAILS_ALIKE(EINVAL, uring.region, &wrong, 0);
    FAILS_ALIKE(EINVAL, uring.need, &wrong, 0, nullptr);
    jdb::Operation op;
    io_uring_sqe sqe;
    op.prep_read(uring, &sqe, fd, arena.view(0), 0);
    FAILS_ALIKE_BARE(EBUSY, uring.close);
    assert_true(static_cast<bool>(uring));
    assert_int_equal(uring.in_flight(), 1);
    assert_true(op.complete(block));
    uring.close();
    assert_false(static_cast<bool>(uring));
}

void each_call_of_an_operation_has_both_forms(void **)
{
    unsigned char bytes[block];
    jdb_raw raw = jdb_raw_new(bytes, block);
    struct iovec iov;
    io_uring_sqe sqe;
    const jdb::RawView view = jdb::RawView::to_read(bytes, block);
    const jdb::Uring plain;
    jdb::Operation op;
    FAILS_ALIKE(EINVAL, op.prep_read, plain, &sqe, fd, view, -1);
    FAILS_ALIKE(EINVAL, op.prep_read_any, plain, &sqe, fd, view, 1, jdb::RawView());
    FAILS_ALIKE(EINVAL, op.prep_write, plain, &sqe, fd, view, 0); /* no bytes */
    FAILS_ALIKE(EINVAL, op.prep_write_sync, plain, &sqe, fd, view.with_len(1), 0, 9);
    FAILS_ALIKE(EINVAL, op.prep_readv, plain, &sqe, fd, &raw, 0, &iov, 0);
    FAILS_ALIKE(EINVAL, op.prep_writev, plain, &sqe, fd, &raw, 1, &iov, 0);
    FAILS_ALIKE(EINVAL, op.prep_writev_sync, plain, &sqe, fd, &raw, 1, &iov, 0, 1);
    FAILS_ALIKE(EINVAL, op.prep_sync, plain, &sqe, fd, 9);
    FAILS_ALIKE(EINVAL, op.prep_allocate, plain, &sqe, fd, 0, 0, 0);
    FAILS_ALIKE(EINVAL, op.prep_read_file, plain, &sqe, jdb::File(), view, 0);
    FAILS_ALIKE(EINVAL, op.prep_write_file, plain, &sqe, jdb::File(), view.with_len(1), 0, JDB_FILE_DURABLE_NONE);
    FAILS_ALIKE(EINVAL, op.prep_readv_file, plain, &sqe, jdb::File(), &raw, 1, &iov, 0);
    FAILS_ALIKE(EINVAL, op.prep_writev_file, plain, &sqe, jdb::File(), &raw, 1, &iov, 0, JDB_FILE_DURABLE_NONE);
    FAILS_ALIKE(EINVAL, op.complete, 0);
    FAILS_ALIKE_BARE(EINVAL, op.run);
    FAILS_ALIKE(EINVAL, op.cancel, 0, &sqe);
    op.prep_read(plain, &sqe, fd, view, 0);
    FAILS_ALIKE_BARE(EBUSY, op.release);
    FAILS_ALIKE_BARE(EBUSY, op.run);
    FAILS_ALIKE(EBUSY, op.prep, nullptr);
    assert_true(op.complete(block));
}

void each_call_of_a_group_has_both_forms(void **)
{
    jdb_uring_group_options wrong = JDB_URING_GROUP_OPTIONS_INIT;
    wrong.frame_count = 3;
    const jdb::Arena arena(four_frames());
    const jdb::Pool pool(arena);
    io_uring_cqe completion = {};
    io_uring_cqe *const cqe = &completion; /* clang captures no struct with a flexible array */
    jdb::Group none;
    jdb::Group group = jdb::Group::open(ring, pool);
    FAILS_ALIKE(EINVAL, jdb::Group::open, ring, pool, &wrong);
    FAILS_ALIKE(EINVAL, none.select, nullptr);
    FAILS_ALIKE(EINVAL, none.take, *cqe);
    FAILS_ALIKE_BARE(EINVAL, none.refill);
    io_uring_sqe sqe = {};
    group.select(&sqe);
    FAILS_ALIKE_BARE(EBUSY, group.close);
    cqe->res = -ENOBUFS;
    FAILS_ALIKE(ENOBUFS, group.take, *cqe);
    group.close();
    assert_false(static_cast<bool>(group));
}

static_assert(noexcept(std::declval<jdb::Uring &>().close(std::declval<std::error_code &>())),
              "a code is no exception");
static_assert(!noexcept(std::declval<jdb::Uring &>().close()), "else it throws");
static_assert(!std::is_move_constructible_v<jdb::Operation>, "user_data names its place");

/* ---- Use -------------------------------------------------------------------------------------------------- */

void a_page_is_written_and_read_back(void **)
{
    const jdb::Arena arena(four_frames());
    jdb::Uring uring = jdb::Uring::open(ring);
    uring.add_arena(arena);
    const jdb::RawView from = arena.view(0).with_len(block);
    const jdb::RawView into = arena.view(1);
    std::memset(from.data(), 0x5a, block);
    jdb::Operation op;
    op.prep_write_sync(uring, io_uring_get_sqe(&ring), fd, from, 0, JDB_URING_SYNC_DATA);
    assert_false(op.complete(submit_and_wait())); /* the sync is next */
    op.prep(io_uring_get_sqe(&ring));
    assert_true(op.complete(submit_and_wait()));
    assert_int_equal(op.done_size(), block);
    op.prep_read_any(uring, io_uring_get_sqe(&ring), fd, jdb::RawView::to_read(into.data() + 1, 100), 10,
                     arena.view(2));
    assert_true(op.complete(submit_and_wait()));
    assert_int_equal(op.view().size(), 100);
    assert_int_equal(op.view().data()[99], 0x5a);
    op.prep_read(uring, JDB_URING_LATER, fd, into, block);
    op.run();
    assert_true(op.is_eof());
    op.prep_read(uring, JDB_URING_LATER, fd, into, 0); /* released at the end of its scope */
    const jdb_uring_stats stats = uring.stats();
    assert_int_equal(stats.fixed_count + stats.plain_count, 2);
}

void a_drain_passes_completions_on(void **)
{
    const jdb::Arena arena(four_frames());
    jdb::Uring uring = jdb::Uring::open(ring);
    jdb::Operation ops[3];
    for (std::uint32_t i = 0; i < 3; i++) {
        io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
        ops[i].prep_read(uring, sqe, fd, arena.view(i), 0);
        io_uring_sqe_set_data(sqe, &ops[i]);
    }
    unsigned count = 0;
    uring.drain(UINT64_MAX, false, [&count](const io_uring_cqe &cqe) {
        std::error_code ec;
        (void)static_cast<jdb::Operation *>(io_uring_cqe_get_data(&cqe))->complete(cqe.res, ec);
        count++;
    });
    assert_int_equal(count, 3);
    assert_int_equal(uring.in_flight(), 0);
}

void pieces_give_themselves_back(void **)
{
    int ends[2];
    const jdb::Arena arena(four_frames());
    jdb::Pool pool(arena);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    {
        jdb::Group group = jdb::Group::open(ring, pool);
        assert_int_equal(group.refill(), 4);
        for (int i = 0; i < 10; i++) {
            io_uring_sqe *const sqe = io_uring_get_sqe(&ring);
            io_uring_prep_recv(sqe, ends[0], nullptr, block, 0);
            group.select(sqe);
            assert_int_equal(write(ends[1], "bytes", 5), 5);
            io_uring_cqe *cqe = nullptr;
            assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
            assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
            jdb::Piece piece = group.take(*cqe);
            io_uring_cqe_seen(&ring, cqe);
            jdb::Piece moved = std::move(piece);
            assert_true(piece.empty());
            assert_int_equal(moved.size(), 5);
            assert_memory_equal(moved.data(), "bytes", 5);
            piece = std::move(moved);
            assert_null(moved.data());
            if (i == 9) {
                const jdb_uring_piece own = piece.release();
                assert_int_equal(jdb_pool_put(pool.c(), own.frame), 0);
            }
        }
        jdb::Group other = std::move(group);
        assert_null(group.c());
        assert_int_equal(other.in_flight(), 0);
        group = std::move(other);
        assert_null(other.c());
    }
    jdb_frame frames[4];
    assert_int_equal(jdb_pool_get_n(pool.c(), 4, frames), 0); /* all came back */
    assert_int_equal(jdb_pool_put_n(pool.c(), frames, 4), 0);
    close(ends[0]);
    close(ends[1]);
}

/* ---- Life cycle ------------------------------------------------------------------------------------------- */

void what_was_moved_from_is_empty(void **)
{
    jdb::Uring first = jdb::Uring::open(ring);
    jdb_uring *const object = first.c();
    jdb::Uring second = std::move(first);
    assert_null(first.c());
    assert_ptr_equal(second.c(), object);
    first = std::move(second);
    assert_null(second.c());
    assert_ptr_equal(first.c(), object);
    jdb::Uring &same = first;
    first = std::move(same);
    assert_ptr_equal(first.c(), object);
    first = jdb::Uring(); /* the one that it had is closed: its table is gone */
    const jdb::Uring again = jdb::Uring::open(ring);
    assert_int_equal(again.stats().table_error, 0);
    assert_int_equal(second.in_flight(), 0);
    assert_int_equal(second.abandon(), 0);
}

void an_object_in_flight_is_abandoned(void **)
{
    jdb::Buf buf = jdb::Buf::page();
    jdb::Operation op;
    io_uring_sqe sqe;
    {
        jdb::Uring uring = jdb::Uring::open(ring);
        uring.add(buf.data(), buf.capacity());
        op.prep_read(uring, &sqe, fd, buf.view(), 0);
    }
    assert_true(jdb_is_pinned(buf.data(), 1));
    assert_true(op.complete(block));
    assert_false(jdb_is_pinned(buf.data(), 1));
    assert_int_equal(io_uring_unregister_buffers(&ring), 0);
}

[[noreturn]] void end_with_42()
{
    _exit(42);
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
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void an_operation_in_flight_must_not_go(void **)
{
    const int code = child_that([] {
        unsigned char bytes[block];
        io_uring_sqe sqe;
        jdb::Operation op;
        op.prep_read(jdb::Uring(), &sqe, fd, jdb::RawView::to_read(bytes, block), 0);
    });
    assert_int_equal(code, 42);
}

/* Destroys in the child what its parent has in flight, in the order of scopes or the other way round. */
void a_child_of_fork_destroys_what_its_parent_has_in_flight(void **)
{
    for (int kind = 0; kind < 8; kind++) {
        const jdb::Arena arena(four_frames());
        jdb::Buf buf = jdb::Buf::page();
        auto *const uring = new jdb::Uring(jdb::Uring::open(ring));
        auto *const op = new jdb::Operation;
        auto *const resumed = new jdb::Operation;
        const jdb::Uring none;
        const jdb::Uring &with = kind < 4 ? *uring : none;
        io_uring_sqe sqe;
        if (kind % 2 == 0)
            uring->add_arena(arena);
        uring->add(buf.data(), buf.capacity());
        op->c()->guards = 1;
        const jdb::RawView view = kind % 4 < 2 ? arena.view(0) : buf.view();
        op->prep_write(with, &sqe, fd, view.with_len(block), 0);
        resumed->prep_read(with, &sqe, fd, view, 0);
        assert_int_equal(child_that([&] {
                             if (kind % 3 == 0)
                                 delete uring;
                             delete op;
                             delete resumed;
                             if (kind % 3 != 0)
                                 delete uring;
                         }),
                         0);
        assert_int_equal(uring->in_flight(), kind < 4 ? 2 : 0);
        assert_true(op->complete(block));
        assert_true(resumed->complete(block));
        delete resumed;
        delete op;
        delete uring;
    }
}

int open_ring(void **)
{
    return io_uring_queue_init(8, &ring, 0);
}

int exit_ring(void **)
{
    io_uring_queue_exit(&ring);
    return 0;
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, exit_ring)

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        WITH_RING(each_call_of_the_object_has_both_forms),
        WITH_RING(each_call_of_an_operation_has_both_forms),
        WITH_RING(each_call_of_a_group_has_both_forms),
        WITH_RING(a_page_is_written_and_read_back),
        WITH_RING(pieces_give_themselves_back),
        WITH_RING(a_drain_passes_completions_on),
        WITH_RING(what_was_moved_from_is_empty),
        WITH_RING(an_object_in_flight_is_abandoned),
        WITH_RING(an_operation_in_flight_must_not_go),
        WITH_RING(a_child_of_fork_destroys_what_its_parent_has_in_flight),
    };
    const int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        print_message("skipped: no io_uring here: %s\n", jdb_uring_explain_ring(err).reason);
        return 77;
    }
    io_uring_queue_exit(&ring);
    char path[] = "uring_hpp_test.XXXXXX";
    close(mkstemp(path));
    fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    unlink(path);
    const jdb::Buf zeros = jdb::Buf::page();
    if (fd < 0 || pwrite(fd, zeros.data(), block, 0) != static_cast<ssize_t>(block)) {
        print_message("skipped: no direct I/O in this directory\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
