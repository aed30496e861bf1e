# SPDX-License-Identifier: MIT
"""Memory that goes to NumPy and torch, or comes from them, without a copy. Torch is tested where it is installed."""
import errno
import gc
import os
import threading

import jdb_alloc
import numpy as np
import pytest

MIB = 1 << 20


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed (large: pip install torch)")


def address(array):
    return array.__array_interface__["data"][0]


# ---- Into memory of others ----

@pytest.mark.parametrize("dtype, shape, skip", [("u1", (5000,), 0), ("<f8", (17, 31), 0), ("<i2", (9, 4096), 1), ("u1", (MIB,), 3)])
def test_reads_into_an_array_that_exists(path, content, dtype, shape, skip):
    count = int(np.prod(shape))
    array = np.zeros(count + skip, dtype=dtype)[skip:].reshape(shape)
    with jdb_alloc.File(path) as file:
        assert file.pread_into(array, 1000) == array.nbytes
        assert array.tobytes() == content[1000:1000 + array.nbytes].tobytes()
        file.seek(1000)
        again = np.zeros(count + skip, dtype=dtype)[skip:].reshape(shape)
        assert file.readinto(again) == array.nbytes and (again.view("u1") == array.view("u1")).all()


def test_array_that_cannot_be_filled_is_refused(path, content):
    fixed = np.zeros(100, dtype="u1")
    fixed.flags.writeable = False
    with jdb_alloc.File(path) as file:
        for array in (np.zeros((100, 100), dtype="u1")[:, ::2], np.zeros((10, 10), order="F")[1:], fixed):
            with pytest.raises((BufferError, ValueError)):
                file.pread_into(array, 0)
            assert not array.any()


def test_vectors_of_any_memory(path, content):
    pieces = [np.frombuffer(jdb_alloc.Buf(8192), dtype="u1"), bytearray(0), bytearray(1000), np.zeros(3, dtype="<u4"),
              np.frombuffer(jdb_alloc.Buf(4096), dtype="u1")]
    size = sum(memoryview(piece).nbytes for piece in pieces)
    with jdb_alloc.File(path, "r+") as file:
        assert file.preadv(pieces, 4096) == size
        assert b"".join(bytes(piece) for piece in pieces) == content[4096:4096 + size].tobytes()
        assert file.pwritev([b"abc", memoryview(b""), pieces[2]], 10) == 1003
        assert bytes(file.pread(1003, 10)) == b"abc" + bytes(pieces[2])
        assert file.preadv([], 0) == 0 and file.pwritev([b""], 0) == 0
        assert file.preadv([bytearray(100), bytearray(100)], content.size - 150) == 150
        with pytest.raises(BufferError):
            file.preadv([bytearray(5), b"fixed"], 0)
        with pytest.raises(TypeError):
            file.preadv([bytearray(5), 7], 0)
        bytearray(5).extend(b"x")


def test_vector_that_was_refused_lets_go_of_its_memory(path, content):
    memory = bytearray(5)
    with jdb_alloc.File(path) as file:
        with pytest.raises(TypeError):
            file.preadv([memory, 7], 0)
    memory.extend(b"x")  # BufferError, were it still exported


def test_aligned_vector_is_direct_and_not_copied(path, content):
    if jdb_alloc.probe(path)["state"] != "direct":
        pytest.skip("no direct I/O in this directory")
    pieces = [np.frombuffer(jdb_alloc.Buf(size), dtype="u1") for size in (8192, 4096, 65536)]
    with jdb_alloc.File(path) as file:
        file.preadv(pieces, 4096)
        report = file.report()
    assert (report["direct_bytes"], report["copied_bytes"], report["requests"]) == (77824, 0, 1)


def test_read_is_new_memory_at_the_position(path, content):
    with jdb_alloc.File(path) as file:
        file.seek(100)
        buf = file.read(5000)
        assert bytes(buf) == content[100:5100].tobytes() and file.position == 5100
        file.seek(content.size)
        assert len(file.read(10)) == 0
        with pytest.raises(OSError):
            file.read(-1)


def test_sync_and_space(path):
    with jdb_alloc.File(path, "w+") as file:
        file.preallocate(0, MIB)
        assert file.size() == 0 and os.stat(path).st_blocks * 512 >= MIB
        file.write(b"abc")
        file.sync(data_only=True)
        file.sync()
        file.clear_error()
        with pytest.raises(OSError):
            file.preallocate(-1, 5)


def test_failed_write_says_how_many_bytes_it_wrote(path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with jdb_alloc.File(path, "w+") as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
        try:
            with pytest.raises(OSError) as refused:
                file.pwrite(bytes(4 * MIB), 0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert refused.value.errno == errno.EFBIG and refused.value.done_bytes == file.size() <= MIB


# ---- Stream into memory of others ----

def test_reader_copies_records_of_any_length(path, content):
    random = np.random.default_rng(3)
    with jdb_alloc.File(path) as file, file.stream(frame_size=1 << 16) as reader:
        for _ in range(50):
            offset = int(random.integers(0, content.size))
            record = np.zeros(int(random.integers(1, 200_000)), dtype="u1")
            assert reader.seek(offset) == offset == reader.position
            count = reader.readinto(record)
            assert count == min(record.size, content.size - offset) and reader.position == offset + count
            assert (record[:count] == content[offset:offset + count]).all()
        assert reader.seek(content.size) and reader.readinto(bytearray(5)) == 0
        with pytest.raises(OSError):
            reader.seek(-1)


# ---- DLPack ----

def test_numpy_takes_memory_by_dlpack():
    buf = jdb_alloc.Buf(8192)
    array = np.from_dlpack(buf)
    assert array.dtype == np.uint8 and array.shape == (8192,) and address(array) == buf.address
    memoryview(buf)[5] = 9
    assert array[5] == 9
    with pytest.raises(BufferError, match="in use by 1"):
        buf.close()
    del buf
    gc.collect()
    assert array[5] == 9


def test_memory_by_dlpack_is_given_back():
    pool = jdb_alloc.Pool(4096, 1)
    array = np.from_dlpack(pool.get())
    with pytest.raises(BlockingIOError):
        pool.get()
    del array
    pool.get().__dlpack__()  # a capsule that nobody consumes
    pool.get().__dlpack__(max_version=(1, 0))
    assert pool.get().index == 0


def test_dlpack_refuses_what_it_is_not(path, content):
    buf = jdb_alloc.Buf(4096)
    assert buf.__dlpack_device__() == (1, 0)
    for wanted in ({"stream": 1}, {"dl_device": (2, 0)}, {"copy": True}):
        with pytest.raises(BufferError):
            buf.__dlpack__(**wanted)
    with jdb_alloc.File(path) as file:
        view = next(file.stream())
        with pytest.raises(BufferError, match="read-only"):
            view.__dlpack__()
        if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
            array = np.from_dlpack(view)
            assert not array.flags.writeable and (array == content[:array.size]).all()
            # NumPy 2.2 makes its own arrays read-only this way, too.
            assert np.from_dlpack(buf).flags.writeable == np.from_dlpack(np.zeros(1)).flags.writeable
    buf.close()
    with pytest.raises(BufferError, match="closed"):
        buf.__dlpack__()


def test_dlpack_that_ends_on_another_thread():
    pool = jdb_alloc.Pool(4096, 1)
    for _ in range(20):
        held = [np.from_dlpack(pool.get())]
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
    assert pool.get().index == 0


# ---- Torch ----

def test_torch_takes_memory(torch, path, content):
    buf = jdb_alloc.Buf(8192)
    for tensor in (torch.frombuffer(buf, dtype=torch.uint8), torch.from_dlpack(buf)):
        assert tensor.data_ptr() == buf.address and tensor.numel() == 8192
        tensor[7] += 1
        with pytest.raises(BufferError, match="in use"):
            buf.close()
    assert memoryview(buf)[7] == 2
    del tensor
    gc.collect()
    buf.close()
    with jdb_alloc.File(path) as file:
        loaded = torch.frombuffer(file.pread(4000, 0), dtype=torch.float32)
    assert loaded.numpy().tobytes() == content[:4000].tobytes()


@pytest.mark.parametrize("skip", [0, 3])
def test_reads_into_a_tensor_that_exists(torch, path, content, skip):
    tensor = torch.zeros(50_000 + skip, dtype=torch.float32)[skip:].reshape(500, 100)
    half = torch.zeros(1000, dtype=torch.bfloat16)
    with jdb_alloc.File(path, "r+") as file:
        assert file.pread_into(tensor, 1000) == 200_000
        assert tensor.numpy().tobytes() == content[1000:201_000].tobytes()
        assert file.preadv([tensor[:1], tensor[1:]], 1000) == 200_000
        assert file.pread_into(half.view(torch.uint8), 0) == 2000
        assert file.pwrite(tensor, 5) == 200_000 and bytes(file.pread(200_000, 5)) == tensor.numpy().tobytes()
        with pytest.raises((BufferError, ValueError)):
            file.pread_into(tensor.T, 0)
        with pytest.raises(RuntimeError):
            file.pread_into(torch.zeros(5, requires_grad=True), 0)


def test_tensor_whose_numpy_is_a_copy_is_refused(path, content):
    class Tensor:
        array = np.zeros(100, dtype="u1")

        def numpy(self):
            return self.array.copy()

        def data_ptr(self):
            return address(self.array)

    with jdb_alloc.File(path) as file, pytest.raises(BufferError, match="copy"):
        file.pread_into(Tensor(), 0)
