# SPDX-License-Identifier: MIT
"""Writers: what is appended is in the file, in order and whole; what may be lost is said."""
import errno
import gc
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings

import jdb_alloc
import numpy as np
import pytest

MIB = 1 << 20


def read_all(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.fixture
def size_limit():
    """A function that limits the size of files, for a write to fail beyond it."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ---- Bytes ----

@pytest.mark.parametrize("padded", [False, True])
def test_appends_of_any_length(path, padded):
    random = np.random.default_rng(4)
    model = bytearray()
    with jdb_alloc.File(path, "w") as file:
        with file.writer(frame_size=1 << 16, padded=padded, preallocate=MIB) as writer:
            for _ in range(200):
                piece = random.integers(0, 256, int(random.integers(0, 40_000)), dtype="u1")
                if random.integers(2):
                    assert writer.write(piece) == piece.size
                else:
                    assert writer.append(piece) == len(model)
                model += piece.tobytes()
                assert writer.position == len(model)
                step = int(random.integers(20))
                if step == 0:
                    writer.flush()
                    assert read_all(path)[:len(model)] == model
                elif step == 1:
                    writer.sync()
                    assert writer.status()["durable_end"] == len(model)
        assert writer.closed and writer.position == len(model) == file.size()
    assert read_all(path) == model


def test_writes_what_has_a_buffer(path):
    array = np.arange(50_000, dtype="<f8").reshape(100, 500)
    saved = io.BytesIO()
    np.save(saved, array)
    with jdb_alloc.File(path, "w") as file, file.writer() as writer:
        assert writer.write(memoryview(array)) == array.nbytes and writer.write(b"") == 0
        writer.write(jdb_alloc.Buf(5000))
        np.save(writer, array)
        pickle.dump({"array": array}, writer)
        with pytest.raises(TypeError):
            writer.write("text")
        with pytest.raises((BufferError, ValueError)):
            writer.write(array[:, ::2])
    data = read_all(path)
    assert data[:array.nbytes] == array.tobytes() and data[array.nbytes:array.nbytes + 5000] == bytes(5000)
    rest = data[array.nbytes + 5000:]
    assert rest[:len(saved.getvalue())] == saved.getvalue()
    assert (pickle.loads(rest[len(saved.getvalue()):])["array"] == array).all()


def test_writer_begins_at_the_end_or_where_it_is_told(path, content):
    with jdb_alloc.File(path, "r+") as file:
        with file.writer() as writer:
            assert writer.append(b"end") == content.size
        with file.writer(offset=10) as writer:
            assert writer.append(b"ten") == 10 and writer.position == 13
    wanted = content.tobytes() + b"end"
    assert read_all(path) == wanted[:10] + b"ten" + wanted[13:]


def test_padding_and_space_are_truncated_at_close(path):
    with jdb_alloc.File(path, "w") as file:
        with file.writer(padded=True, preallocate=8 * MIB) as writer:
            writer.write(bytes(2 * MIB + 5000))
            writer.sync()
            assert file.size() == 8 * MIB and os.stat(path).st_blocks * 512 >= 8 * MIB  # the end moves with the space
        assert file.size() == 2 * MIB + 5000 and os.stat(path).st_blocks * 512 < 3 * MIB


def test_writer_is_direct(path):
    if not os.path.exists(path):
        open(path, "wb").close()
    if jdb_alloc.probe(path)["write_align"] == 1:
        pytest.skip("no direct I/O in this directory")
    with jdb_alloc.File(path, "r+") as file, file.writer() as writer:
        writer.write(bytes(8 * MIB))
        writer.flush()
        status = writer.status()
    assert status["requests"] == 8 and status["written_end"] == 8 * MIB and status["errno"] == 0


@pytest.mark.parametrize("durability", [None, "data", "sync"])
def test_durability_at_close(path, durability):
    with jdb_alloc.File(path, "w") as file, file.writer(durability=durability) as writer:
        writer.write(b"abc")
    assert read_all(path) == b"abc"


# ---- Threads ----

def test_threads_append_whole_records(path):
    count = 300
    offsets = {}
    with jdb_alloc.File(path, "w") as file, file.writer(frame_size=1 << 16) as writer:
        def append(number):
            random = np.random.default_rng(number)
            for i in range(count):
                record = bytes([number]) * int(random.integers(1, 5000))
                offsets[writer.append(record)] = record
                if i % 50 == 0:
                    writer.sync()

        threads = [threading.Thread(target=append, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = writer.status()
    data = read_all(path)
    assert len(offsets) == 4 * count and status["syncs"] == 4 * 6 and status["group_syncs"] <= status["syncs"]
    assert b"".join(offsets[offset] for offset in sorted(offsets)) == data


def test_close_beside_a_thread_that_writes(path):
    """EBUSY while it is in a call; nothing that write() has taken is lost."""
    with jdb_alloc.File(path, "w") as file:
        for _ in range(20):
            writer = file.writer(offset=0, frame_size=1 << 16)
            lengths = []

            def append():
                try:
                    for _ in range(200):
                        lengths.append(writer.write(b"x" * 10_000))
                except ValueError:
                    pass

            thread = threading.Thread(target=append)
            thread.start()
            while not writer.closed:
                try:
                    writer.close()
                except OSError as error:
                    assert error.errno == errno.EBUSY
            thread.join()
            assert writer.position == sum(lengths)


def test_other_threads_run_while_one_waits(path):
    steps = []
    with jdb_alloc.File(path, "w") as file, file.writer() as writer:
        thread = threading.Thread(target=lambda: [writer.write(bytes(MIB)) and writer.sync() for _ in range(32)])
        thread.start()
        while thread.is_alive():
            steps.append(writer.position)
        thread.join()
    assert len(set(steps)) > 1


# ---- Errors ----

def test_error_says_what_is_not_durable_and_stays(path, size_limit):
    with jdb_alloc.File(path, "w") as file:
        writer = file.writer(frame_size=1 << 16)
        writer.write(b"a" * 100_000)
        writer.sync()
        size_limit(2 * MIB)
        with pytest.raises(OSError) as lost:
            for _ in range(64):
                writer.write(bytes(1 << 16))
            writer.flush()
        assert lost.value.errno == errno.EFBIG and lost.value.durable_end == 100_000
        assert lost.value.strerror == f"{os.strerror(errno.EFBIG)} (bytes from offset 100000 on may be lost)"
        for call in (writer.flush, writer.sync, lambda: writer.write(b"x"), writer.close):
            with pytest.raises(OSError) as again:
                call()
            assert (again.value.errno, again.value.durable_end) == (errno.EFBIG, 100_000)
        assert writer.closed and writer.status()["errno"] == errno.EFBIG
        writer.close()
    assert read_all(path)[:100_000] == b"a" * 100_000


def test_error_of_close_is_raised_by_with(path, size_limit):
    with jdb_alloc.File(path, "w") as file:
        size_limit(MIB)
        with pytest.raises(OSError) as lost:
            with file.writer() as writer:
                writer.write(bytes(2 * MIB + 5))
        assert lost.value.errno == errno.EFBIG and lost.value.durable_end == 0 and writer.closed


@pytest.mark.parametrize("durability, durable", [(None, 100), ("data", 5000), ("sync", 5000)])
def test_status_after_close_covers_the_sync_of_close(path, durability, durable):
    with jdb_alloc.File(path, "w") as file:
        with file.writer(durability=durability) as writer:
            writer.write(bytes(100))
            writer.sync()
            writer.write(bytes(4900))
        assert (writer.status()["durable_end"], writer.status()["end"]) == (durable, 5000)


def test_exception_in_with_keeps_what_was_appended(path):
    with jdb_alloc.File(path, "w") as file:
        with pytest.raises(ZeroDivisionError):
            with file.writer() as writer:
                writer.write(b"abc")
                raise ZeroDivisionError
    assert read_all(path) == b"abc"


def test_closed_writer_refuses(path):
    with jdb_alloc.File(path, "w") as file:
        writer = file.writer()
        writer.close()
        for call in (writer.flush, writer.sync, lambda: writer.write(b"x"), lambda: writer.append(b"x")):
            with pytest.raises(ValueError, match="closed"):
                call()
        writer.close()
        assert writer.position == 0 and writer.status()["end"] == 0
    with pytest.raises(ValueError, match="closed"):
        file.writer()


def test_options_that_cannot_be(path, content):
    with jdb_alloc.File(path) as file:
        with pytest.raises(OSError) as refused:
            file.writer()
        assert refused.value.errno == errno.EBADF
    with jdb_alloc.File(path, "w") as file:
        with pytest.raises(OSError) as refused:
            file.stream()
        assert refused.value.errno == errno.EBADF
        for options in ({"offset": -5}, {"frame_size": 1000}):
            with pytest.raises(OSError):
                file.writer(**options)
        with pytest.raises(TypeError):
            file.writer(offset="x")
        with pytest.raises(ValueError, match="durability"):
            file.writer(durability="always")


# ---- Life ----

def test_writer_that_nobody_closed_is_written_and_warned_of(path):
    with jdb_alloc.File(path, "w") as file:
        writer = file.writer()
        writer.write(b"abc")
        with pytest.warns(ResourceWarning, match="not closed"):
            del writer
            gc.collect()
    assert read_all(path) == b"abc"


def test_error_of_a_writer_that_nobody_closed_is_shown(path, size_limit):
    shown = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda event: shown.append(event.exc_value)
    try:
        file = jdb_alloc.File(path, "w")
        size_limit(MIB)
        writer = file.writer()
        writer.write(bytes(2 * MIB + 5))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del writer
    except OSError:
        pytest.fail("the error came before its writer was dropped")
    finally:
        sys.unraisablehook = hook
    assert [error.errno for error in shown] == [errno.EFBIG] and shown[0].durable_end == 0


def test_file_that_is_closed_under_its_writer(path):
    with jdb_alloc.File(path, "w") as file:
        writer = file.writer()
        writer.write(b"abc")
    with writer:
        writer.write(b"def")
    assert read_all(path) == b"abcdef"


def test_cycle_is_collected(path):
    class Log(jdb_alloc.File):
        pass

    def count():
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    before = count()
    log = Log(path, "w")
    log.writer_of_it = log.writer()
    log.writer_of_it.write(b"abc")
    with pytest.warns(ResourceWarning):
        del log
        gc.collect()
    assert count() == before and read_all(path) == b"abc"


def test_child_is_refused_and_writes_nothing(path):
    with jdb_alloc.File(path, "w") as file:
        writer = file.writer()
        writer.write(b"abc")
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            wrong = 0
            for call in (writer.flush, writer.sync, lambda: writer.write(b"x"), writer.status, writer.close):
                try:
                    call()
                    wrong += 1
                except PermissionError:
                    pass
            del writer
            gc.collect()
            os._exit(wrong)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert file.size() == 0
        writer.write(b"def")
        writer.close()
    assert read_all(path) == b"abcdef"


def test_interpreter_that_ends_writes_what_it_has(path):
    program = "import jdb_alloc, sys; file = jdb_alloc.File(sys.argv[1], 'w'); writer = file.writer(); writer.write(b'x' * 3_000_000)"
    ended = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "") and read_all(path) == b"x" * 3_000_000


def test_nothing_leaks(path):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def work():
        with jdb_alloc.File(path, "w") as file:
            with file.writer() as writer:
                writer.write(bytes(100_000))
                for _ in range(100):
                    writer.append(memoryview(b"abc"))
            with pytest.raises(ValueError):
                writer.flush()

    for _ in range(10):
        work()
    before = resident()
    for _ in range(100):
        work()
    gc.collect()
    assert resident() - before < 8 * MIB
