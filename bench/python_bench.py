#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package beside what a program without it does: a cold file read in pieces into memory for NumPy.

    pip install ./python numpy && python3 bench/python_bench.py --directory DIR [--mib 1024] [--rounds 5]

Each row is a process of its own, the rows of a round run in turn, in an order that is drawn anew (a row that takes memory just after
another has freed some may find it cheaper), and the file is evicted from the page cache before each. MiB/s and
CPU seconds of the whole loop; "left" is what of the file is in the page cache afterwards (fincore). "touch" sums one byte in 4096, so
that mapped pages are read. Then one read of 4 KiB at a time, at random offsets, and the same in memory (tmpfs, --memory), where the
time is that of the calls alone. The table has the best and the median of the rounds.
"""
import argparse
import json
import mmap
import os
import random
import resource
import statistics
import subprocess
import sys
import time

PIECE = 1 << 20
SMALL = 4096
SMALL_COUNT = 4000


# ---- Rows: each reads all of the file, and returns a sum of what it has read ----

def touch(array):
    return int(array[::4096].sum(dtype="u8"))


def jdb_pread(path, size):
    import jdb_alloc
    import numpy
    array = numpy.frombuffer(jdb_alloc.Buf(PIECE), dtype="u1")
    with jdb_alloc.File(path, policy="require") as file:
        return sum(touch(array[:file.pread_into(array, offset)]) for offset in range(0, size, PIECE))


def jdb_stream(path, _size):
    import jdb_alloc
    import numpy
    with jdb_alloc.File(path, policy="require") as file:
        return sum(touch(numpy.frombuffer(view, dtype="u1")) for view in file.stream())


def mmap_preadv(path, size):
    import numpy
    memory = mmap.mmap(-1, PIECE)
    array = numpy.frombuffer(memory, dtype="u1")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    total = sum(touch(array[:os.preadv(fd, [memory], offset)]) for offset in range(0, size, PIECE))
    os.close(fd)
    return total


def buffered_readinto(path, _size):
    import numpy
    array = numpy.empty(PIECE, dtype="u1")
    total = 0
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(array):
            total += touch(array[:count])
    return total


def numpy_fromfile(path, size):
    import numpy
    with open(path, "rb", buffering=0) as file:
        return sum(touch(numpy.fromfile(file, dtype="u1", count=PIECE)) for _ in range(0, size, PIECE))


def numpy_memmap(path, size):
    import numpy
    array = numpy.memmap(path, dtype="u1", mode="r")
    return sum(touch(array[offset:offset + PIECE]) for offset in range(0, size, PIECE))


# ---- Rows of one small read at a time: each returns a function of an offset ----

def small_jdb(path, is_direct):
    import jdb_alloc
    buf = jdb_alloc.Buf(SMALL)
    file = jdb_alloc.File(path, policy="require" if is_direct else "off")
    return lambda offset: file.pread_into(buf, offset)


def small_jdb_new(path, is_direct):
    import jdb_alloc
    file = jdb_alloc.File(path, policy="require" if is_direct else "off")
    return lambda offset: file.pread(SMALL, offset)


def small_mmap(path, is_direct):
    memory = mmap.mmap(-1, SMALL)
    fd = os.open(path, os.O_RDONLY | (os.O_DIRECT if is_direct else 0))
    return lambda offset: os.preadv(fd, [memory], offset)


ROWS = {
    "jdb_alloc File.pread_into": jdb_pread,
    "jdb_alloc File.stream()": jdb_stream,
    "mmap(-1) + os.preadv, O_DIRECT": mmap_preadv,
    "open().readinto, page cache": buffered_readinto,
    "numpy.fromfile, page cache": numpy_fromfile,
    "numpy.memmap, page cache": numpy_memmap,
}

SMALL_ROWS = {
    "jdb_alloc File.pread_into": small_jdb,
    "jdb_alloc File.pread": small_jdb_new,
    "mmap(-1) + os.preadv": small_mmap,
}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure_scan(name, path):
    """In the child: one row."""
    size = os.path.getsize(path)
    import numpy  # not measured
    if name.startswith("jdb_alloc"):
        import jdb_alloc
    cpu, start = cpu_seconds(), time.perf_counter()
    total = ROWS[name](path, size)
    seconds = time.perf_counter() - start
    return {"rate": size / PIECE / seconds, "cpu": cpu_seconds() - cpu, "total": total}


def measure_small(name, path, is_direct=True):
    random.seed(1)
    pages = os.path.getsize(path) // SMALL
    offsets = [random.randrange(pages) * SMALL for _ in range(SMALL_COUNT)]
    read = SMALL_ROWS[name](path, is_direct)
    read(0)
    cpu, start = cpu_seconds(), time.perf_counter()
    for offset in offsets:
        read(offset)
    seconds = time.perf_counter() - start
    return {"latency": seconds / SMALL_COUNT * 1e6, "cpu": (cpu_seconds() - cpu) / SMALL_COUNT * 1e6}


def measure_call(name, path):
    return measure_small(name, path, is_direct=False)


# ---- The parent ----

def evict(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def cached_mib(path):
    run = subprocess.run(["fincore", "-bno", "RES", path], capture_output=True, text=True, check=True)
    return int(run.stdout) / PIECE


def run_row(kind, name, path):
    evict(path)
    run = subprocess.run([sys.executable, __file__, "--row", kind, name, "--file", path], capture_output=True, text=True, check=True)
    return {**json.loads(run.stdout), "left": cached_mib(path)}


def make_file(path, mib):
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(PIECE))
        os.fsync(file.fileno())


def print_scans(results):
    print("| row | MiB/s, best | median | CPU s, least | median | MiB left in the page cache |")
    print("|---|---|---|---|---|---|")
    for name, rounds in results.items():
        rates, cpus = [row["rate"] for row in rounds], [row["cpu"] for row in rounds]
        print(f"| {name} | {max(rates):.0f} | {statistics.median(rates):.0f} | {min(cpus):.3f} | {statistics.median(cpus):.3f} | "
              f"{max(row['left'] for row in rounds):.0f} |")


def print_small(title, results):
    print(f"\n| {title} | us, least | median | CPU us, least | median |")
    print("|---|---|---|---|---|")
    for name, rounds in results.items():
        times, cpus = [row["latency"] for row in rounds], [row["cpu"] for row in rounds]
        print(f"| {name} | {min(times):.1f} | {statistics.median(times):.1f} | {min(cpus):.2f} | {statistics.median(cpus):.2f} |")


def run_rounds(path, memory_path, rounds):
    results = {"scan": {name: [] for name in ROWS}, "small": {name: [] for name in SMALL_ROWS}, "call": {name: [] for name in SMALL_ROWS}}
    rows = [(kind, name) for kind, names in results.items() for name in names]
    random.seed(1)
    for _ in range(rounds):
        random.shuffle(rows)
        for kind, name in rows:
            results[kind][name].append(run_row(kind, name, memory_path if kind == "call" else path))
    totals = {row["total"] for measured in results["scan"].values() for row in measured}
    assert len(totals) == 1, "rows have read different bytes"
    print_scans(results["scan"])
    print_small("one read of 4 KiB, cold", results["small"])
    print_small("one read of 4 KiB in tmpfs", results["call"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", default=".", help="where the file is made; on a file system with direct I/O")
    parser.add_argument("--memory", default="/dev/shm", help="a directory on tmpfs")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps({"scan": measure_scan, "small": measure_small, "call": measure_call}[options.row[0]](options.row[1], options.file)))
        return
    path = os.path.join(options.directory, "python_bench.data")
    memory_path = os.path.join(options.memory, f"python_bench.{os.getpid()}")
    try:
        make_file(path, options.mib)
        make_file(memory_path, 16)
        run_rounds(path, memory_path, options.rounds)
    finally:
        for name in (path, memory_path):
            if os.path.exists(name):
                os.remove(name)


if __name__ == "__main__":
    main()
