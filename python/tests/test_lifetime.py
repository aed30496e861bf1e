# SPDX-License-Identifier: MIT
"""Memory that is used too late, too long or in the wrong process: an exception, or memory that is still there. Never a crash."""
import gc
import os
import signal
import subprocess
import sys
import threading

import jdb_alloc
import numpy as np
import pytest

FRAME = 1 << 16


def in_child(work):
    """The exit code of a child of fork() that does the work; 0: no exception. A child that waits for ever is killed by its alarm."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            work()
            os._exit(0)
        except BaseException as error:  # the child must not go on with the tests
            os._exit({PermissionError: 3, BufferError: 4, ValueError: 5, AssertionError: 6}.get(type(error), 1))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def resources():
    gc.collect()
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def run(program, *args):
    return subprocess.run([sys.executable, "-X", "dev", "-c", program, *args], capture_output=True, text=True, timeout=60)


# ---- Views ----

def test_view_that_was_released_exports_nothing(path, content):
    with jdb_alloc.File(path) as file, file.stream(frame_size=FRAME) as reader:
        with next(reader) as view:
            assert bytes(view) == content[:len(view)].tobytes()
        with pytest.raises(BufferError, match="released"):
            memoryview(view)
        with pytest.raises(BufferError, match="released"):
            np.frombuffer(view, dtype="u1")
        with pytest.raises(BufferError, match="in use"):
            with next(reader) as view:
                kept = memoryview(view)
        assert kept[0] == content[view.offset]  # what could not be released is still there


def test_view_of_a_loop_that_was_left_by_an_exception(path, content):
    before = resources()
    with jdb_alloc.File(path) as file:
        with pytest.raises(ZeroDivisionError):
            for view in file.stream(frame_size=FRAME):
                array = np.frombuffer(view, dtype="u1")
                raise ZeroDivisionError
        assert (array == content[:array.size]).all()
        del view, array
    gc.collect()
    assert resources() == before


def test_views_of_another_thread(path, content):
    """Views are made here, and used and dropped there, while reading goes on."""
    wrong = []
    with jdb_alloc.File(path) as file:
        reader = file.stream(frame_size=FRAME)
        for view in reader:
            def use(view=view):
                if bytes(view) != content[view.offset:view.offset + len(view)].tobytes():
                    wrong.append(view.offset)
            thread = threading.Thread(target=use)
            del view, use
            thread.start()
            if threading.active_count() > 5:
                thread.join()
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join()
    assert not wrong


def test_threads_share_a_reader(path, content):
    found = {}
    with jdb_alloc.File(path) as file, file.stream(frame_size=FRAME) as reader:
        def take():
            for view in reader:
                found[view.offset] = bytes(view)
        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert b"".join(found[offset] for offset in sorted(found)) == content.tobytes()


def test_close_beside_a_thread_that_reads(path):
    with jdb_alloc.File(path, "x+") as file:
        file.truncate(256 << 20)
        for _ in range(10):
            reader = file.stream(frame_size=FRAME)
            ends = []

            def take():
                try:
                    for view in reader:
                        memoryview(view)[0]
                except ValueError as error:
                    ends.append(str(error))

            threads = [threading.Thread(target=take) for _ in range(3)]
            for thread in threads:
                thread.start()
            next(reader, None)
            reader.close()
            for thread in threads:
                thread.join()
            assert set(ends) <= {"the reader is closed"}


def test_reader_ends_with_its_last_view(path, content):
    with jdb_alloc.File(path) as file:
        before = resources()
        reader = file.stream()
        view = next(reader)
        reader.close()
        assert reader.closed and resources() != before
        view.release()
        assert resources() == before  # the reader's threads, though its name is still there
        with pytest.raises(ValueError, match="closed"):
            reader.position
        with pytest.raises(ValueError, match="closed"):
            reader.readinto(bytearray(1))


def test_cycle_is_collected(path, content):
    class Table(jdb_alloc.File):
        pass

    before = resources()
    for _ in range(5):
        table = Table(path)
        table.reader = table.stream(frame_size=FRAME)
        table.view = next(table.reader)
        table.memory = memoryview(table.view)
    del table
    gc.collect()
    assert resources() == before


def test_subclass_that_forgets_its_base(path, content):
    class Table(jdb_alloc.File):
        def __init__(self, path, extra):
            self.extra = extra

        def __new__(cls, path, extra):
            return super().__new__(cls, path)

    with Table(path, 5) as table:
        assert bytes(table.pread(100, 7)) == content[7:107].tobytes() and table.extra == 5
    for kind in (jdb_alloc.View, jdb_alloc.Reader, jdb_alloc.Frame, jdb_alloc.Writer):
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(TypeError):
            object.__new__(kind)


def test_resizing_what_is_read_into(path, content):
    """A bytearray cannot change its size while a call has its memory."""
    memory = bytearray(2 << 20)
    stop = threading.Event()

    def resize():
        while not stop.is_set():
            try:
                memory.extend(b"x")
                del memory[-1:]
            except BufferError:
                pass

    thread = threading.Thread(target=resize)
    thread.start()
    with jdb_alloc.File(path) as file:
        for _ in range(50):
            count = file.pread_into(memoryview(memory)[:1 << 20], 0)
            assert count == 1 << 20
    stop.set()
    thread.join()
    assert memory[:1 << 20] == content[:1 << 20].tobytes()


# ---- Processes ----

def test_child_reads_memory_of_its_parent_and_not_its_streams(path, content):
    with jdb_alloc.File(path) as file:
        reader = file.stream(frame_size=FRAME)
        view = next(reader)
        array = np.frombuffer(view, dtype="u1")
        pool = jdb_alloc.Pool(4096, 2)
        frame = pool.get()
        np.frombuffer(frame, dtype="u1")[:] = 7

        def reads():
            assert (array == content[:array.size]).all() and bytes(view) == array.tobytes()
            assert bytes(frame) == bytes([7]) * 4096
            assert bytes(file.pread(100, 7)) == content[7:107].tobytes()

        assert in_child(reads) == 0
        assert in_child(lambda: next(reader)) == 3
        assert in_child(lambda: reader.seek(0)) == 3
        assert in_child(reader.stats) == 3
        assert in_child(pool.get) == 3
        assert in_child(reader.close) == 0

        def drops():
            nonlocal reader, view, array, pool, frame
            reader = view = array = pool = frame = None
            for part in file.stream():
                assert bytes(part) == content[part.offset:part.offset + len(part)].tobytes()

        assert in_child(drops) == 0
        for part in reader:  # the parent's goes on
            assert bytes(part) == content[part.offset:part.offset + len(part)].tobytes()


def test_child_does_not_wait_for_a_lock_that_nobody_has(path):
    with jdb_alloc.File(path, "x+") as file:
        file.truncate(64 << 20)
        readers, stop = [], threading.Event()

        def read():
            while not stop.is_set():
                readers.append(file.stream(frame_size=FRAME))
                for _ in readers[0]:
                    pass
                readers.clear()

        thread = threading.Thread(target=read)
        thread.start()

        def drops():
            for reader in list(readers):
                reader.close()
            readers.clear()

        try:
            for _ in range(30):
                assert in_child(drops) == 0
        finally:
            stop.set()
            thread.join()


def test_interpreter_ends_with_all_of_it_in_use(path, content):
    program = """
import jdb_alloc, sys, threading
file = jdb_alloc.File(sys.argv[1])
reader = file.stream(frame_size=65536)
view = next(reader)
memory = memoryview(view)
frame = jdb_alloc.Pool(4096, 2).get()
buf = jdb_alloc.Buf(4096)
capsule = buf.__dlpack__()
def read():
    while True:
        for part in file.stream(frame_size=65536):
            part.release()
thread = threading.Thread(target=read, daemon=True)
thread.start()
cycle = [reader, view]
cycle.append(cycle)
print(memory[5])
"""
    for _ in range(3):
        ended = run(program, path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{content[5]}\n", "")
