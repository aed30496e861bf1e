# SPDX-License-Identifier: MIT
"""What a user of the Python package could lose. The directory is that of JDB_TEST_DIR, which does direct I/O, else the default."""
import _thread
import errno
import gc
import os
import signal
import threading

import jdb_alloc
import numpy as np
import pytest

MIB = 1 << 20


def is_direct(path):
    return jdb_alloc.probe(path)["state"] == "direct"


def address(array):
    return array.__array_interface__["data"][0]


# ---- Memory ----

@pytest.mark.parametrize("size, align", [(1, 4096), (4096, 4096), (100_000, 4096), (5000, 65536), (0, 4096)])
def test_buf_is_aligned_zeroed_and_of_its_size(size, align):
    buf = jdb_alloc.Buf(size, align)
    assert len(buf) == size and buf.capacity % align == 0 and buf.capacity >= size and buf.address % align == 0
    assert bytes(buf) == bytes(size)


def test_array_is_the_memory_and_keeps_it():
    buf = jdb_alloc.Buf(1 << 16)
    array = np.frombuffer(buf, dtype="<u4")
    assert address(array) == buf.address
    array[5] = 0x01020304
    assert bytes(memoryview(buf)[20:24]) == b"\4\3\2\1"
    with pytest.raises(BufferError, match="in use by 1"):
        buf.close()
    del buf
    gc.collect()
    assert array[5] == 0x01020304
    buf = jdb_alloc.Buf(10)
    buf.close()
    with pytest.raises(BufferError, match="closed"):
        memoryview(buf)


def test_buf_refuses_what_cannot_be():
    with pytest.raises(OSError) as refused:
        jdb_alloc.Buf(1 << 62)
    assert refused.value.errno in (errno.ENOMEM, errno.EOVERFLOW)
    with pytest.raises(OSError):
        jdb_alloc.Buf(-1)
    with pytest.raises(OSError):
        jdb_alloc.Buf(4096, 5000)


def test_pool_lends_each_frame_once():
    pool = jdb_alloc.Pool(16384, 4)
    frames = [pool.get() for _ in range(4)]
    assert sorted(frame.index for frame in frames) == [0, 1, 2, 3] and (pool.frame_size, pool.frame_count) == (16384, 4)
    with pytest.raises(BlockingIOError):
        pool.get()
    with pytest.raises(TimeoutError):
        pool.get(timeout=0.01)
    frames.pop()  # is put when nobody uses it
    with pool.get() as frame:
        assert len(frame) == 16384
    with pytest.raises(BufferError, match="released"):
        memoryview(frame)
    frame.release()  # again: nothing
    assert pool.get().index == frame.index
    with pytest.raises(ValueError):
        pool.get(timeout=-1)


def test_frame_in_use_is_not_put():
    pool = jdb_alloc.Pool(4096, 1)
    frame = pool.get()
    array = np.frombuffer(frame, dtype="u1")
    assert address(array) % 4096 == 0
    with pytest.raises(BufferError):
        frame.release()
    del frame, pool
    gc.collect()
    array[:] = 7  # the frame and its pool are there
    assert array.sum() == 7 * 4096


def test_pool_waits_for_another_thread():
    pool = jdb_alloc.Pool(4096, 1)
    held = [pool.get()]
    timer = threading.Timer(0.05, held.clear)
    timer.start()
    assert pool.get(timeout=None).index == 0
    timer.join()


def test_wait_for_a_frame_ends_with_ctrl_c():
    pool = jdb_alloc.Pool(4096, 1)
    frame = pool.get()
    # A job in the background ignores SIGINT, and Python leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.05, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        pool.get(timeout=None)
    timer.join()
    with pytest.raises(TimeoutError):
        pool.get(timeout=0.6)
    signal.signal(signal.SIGINT, before)
    assert len(frame) == 4096


# ---- Files ----

@pytest.mark.parametrize("offset, size", [(0, 4096), (4096, MIB), (1, 5000), (3 * MIB, 5000), (0, 4 * MIB), (3 * MIB + 1000, 9)])
def test_reads_of_any_range(path, content, offset, size):
    wanted = content[offset:offset + size].tobytes()
    with jdb_alloc.File(path) as file:
        assert bytes(file.pread(size, offset)) == wanted
        array = np.zeros(size, dtype="u1")
        assert file.pread_into(array, offset) == len(wanted)
        assert array[:len(wanted)].tobytes() == wanted
        file.seek(offset)
        assert file.readinto(bytearray(size)) == len(wanted) and file.position == offset + len(wanted)


def test_aligned_read_into_an_array_is_direct_and_not_copied(path, content):
    if not is_direct(path):
        pytest.skip("no direct I/O in this directory")
    array = np.frombuffer(jdb_alloc.Buf(2 * MIB), dtype="u1")
    with jdb_alloc.File(path, policy="require") as file:
        assert file.pread_into(array, 4096) == 2 * MIB
        report = file.report()
    assert (array == content[4096:4096 + 2 * MIB]).all()
    assert (report["direct_bytes"], report["buffered_bytes"], report["copied_bytes"]) == (2 * MIB, 0, 0)
    assert report["read_mode"] == "direct" and report["requests"] >= 1


def test_a_copy_is_reported(path, content):
    if not is_direct(path):
        pytest.skip("no direct I/O in this directory")
    with jdb_alloc.File(path) as file:
        file.pread_into(np.frombuffer(jdb_alloc.Buf(8192), dtype="u1")[1:4097], 0)
        assert file.report()["copied_bytes"] == 4096


def test_writes_of_any_range(path):
    model = bytearray(300_000)
    random = np.random.default_rng(2)
    with jdb_alloc.File(path, "w+") as file:
        file.pwrite(model, 0)
        for _ in range(50):
            offset = int(random.integers(0, 290_000))
            piece = random.integers(0, 256, int(random.integers(1, 10_000)), dtype="u1")
            assert file.pwrite(piece, offset) == piece.size
            model[offset:offset + piece.size] = piece.tobytes()
        file.sync()
        assert bytes(file.pread(len(model), 0)) == model
        file.truncate(10)
        assert file.size() == 10
    with open(path, "rb") as file:
        assert file.read() == model[:10]


def test_errors_of_files(path, content, directory):
    with pytest.raises(FileNotFoundError):
        jdb_alloc.File(os.path.join(directory, "none"))
    with pytest.raises(FileExistsError):
        jdb_alloc.File(path, "x")
    with pytest.raises(ValueError, match="mode must be"):
        jdb_alloc.File(path, "rb")
    with pytest.raises(ValueError, match="policy must be"):
        jdb_alloc.File(path, policy="must")
    file = jdb_alloc.File(path)
    with pytest.raises(OSError):
        file.pwrite(b"x", 0)
    with pytest.raises(OSError):
        file.pread(1, -1)
    with pytest.raises(BufferError):
        file.readinto(b"read only")
    with pytest.raises(TypeError):
        file.pread_into(5, 0)
    assert os.fstat(file.fileno()).st_size == file.size()
    file.close()
    file.close()
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.pread(1, 0)


def test_threads_share_a_file(path, content):
    with jdb_alloc.File(path) as file:
        wrong = []

        def read(seed):
            random = np.random.default_rng(seed)
            for _ in range(30):
                offset = int(random.integers(0, content.size))
                if bytes(file.pread(70_000, offset)) != content[offset:offset + 70_000].tobytes():
                    wrong.append(offset)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


# ---- Streams ----

def test_stream_has_every_byte_in_order(path, content):
    with jdb_alloc.File(path) as file:
        for start in (0, 12345, content.size):
            offset, parts = start, []
            for view in file.stream(offset=start, frame_size=1 << 16):
                assert view.offset == offset
                parts.append(bytes(view))
                offset += len(view)
            assert b"".join(parts) == content[start:].tobytes()
        backward = [bytes(view) for view in file.stream(backward=True)]
        assert b"".join(reversed(backward)) == content.tobytes()


def test_views_are_lent_until_nobody_uses_them(path, content):
    with jdb_alloc.File(path) as file:
        reader = file.stream(frame_size=1 << 16)
        arrays = [np.frombuffer(next(reader), dtype="u1")]
        with pytest.raises(ValueError):
            arrays[0][0] = 1
        with pytest.raises(OSError) as refused:
            while True:
                arrays.append(np.frombuffer(next(reader), dtype="u1"))
        assert refused.value.errno == errno.EBUSY
        assert (np.concatenate(arrays) == content[:sum(array.size for array in arrays)]).all()
        arrays.clear()
        view = next(reader)
        memory = memoryview(view)
        with pytest.raises(BufferError):
            view.release()
        memory.release()
        view.release()
        view.release()
        assert reader.stats()["read_bytes"] > 0
        reader.close()
        reader.close()
        with pytest.raises(ValueError, match="closed"):
            next(reader)


def test_closed_under_a_view(path, content):
    with jdb_alloc.File(path) as file:
        with file.stream() as reader:
            view = next(reader)
        assert bytes(view) == content[:len(view)].tobytes()
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.stream()
    count = len(os.listdir("/proc/self/fd"))
    array = np.frombuffer(view, dtype="u1")
    del view, reader, file
    assert (array == content[:array.size]).all()
    del array
    assert len(os.listdir("/proc/self/fd")) < count


def test_a_view_outlives_the_names_of_its_reader_and_file(path, content):
    array = np.frombuffer(next(iter(jdb_alloc.File(path).stream())), dtype="u1")
    gc.collect()
    assert (array == content[:array.size]).all()


def test_holes_are_not_read(path):
    with open(path, "wb") as file:
        file.truncate(8 * MIB)
    with jdb_alloc.File(path) as file:
        reader = file.stream()
        sizes = [len(view) for view in reader if not np.frombuffer(view, dtype="u1").any()]
        assert sum(sizes) == 8 * MIB and reader.stats()["read_bytes"] in (0, 8 * MIB)


# ---- The rest ----

def test_probe(path, content):
    facts = jdb_alloc.probe(path)
    assert facts["reason"] and facts["memory_align"] & (facts["memory_align"] - 1) == 0
    assert facts["state"] in ("direct", "unknown", "uncached", "buffered", "not direct") and facts["is_device"] is False
    with jdb_alloc.File(path) as file:
        assert file.limits()["read_align"] == facts["read_align"]
    with pytest.raises(FileNotFoundError):
        jdb_alloc.probe(path + "none")


def test_nothing_leaks(path, content):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def work():
        with jdb_alloc.File(path) as file:
            for _ in file.stream():
                pass
            np.frombuffer(file.pread(MIB, 0), dtype="u1").sum()
        pool = jdb_alloc.Pool(MIB, 2)
        np.frombuffer(pool.get(), dtype="u1")[:] = 1

    for _ in range(5):
        work()
    gc.collect()
    before = resident()
    for _ in range(40):
        work()
    gc.collect()
    assert resident() - before < 12 * MIB
    assert len(os.listdir("/proc/self/fd")) < 40


def test_version():
    assert jdb_alloc.__version__.count(".") == 2
