#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Streams beside the page cache, a loop of direct calls, and fio: rate, CPU and page cache of a scan and of an append by records of
4 KiB, 64 KiB and 1 MiB; commits a second of a log synced by 1, 8 and 64 threads. The contenders in turn, several rounds; what is
measured is kept, and drawn.

    bench/stream_bench.py                     4 GiB, 3 rounds, in /var/tmp
    bench/stream_bench.py --size 1G --rounds 5 --dir DIR --program build-bench/bench/stream-jdb --plot FILE.svg --json FILE
    bench/stream_bench.py --works scan --scans uring,buffered,fio --rounds 15

fio runs with the block size and depth that took the least time in a trial of its own before, beside the scan of each record size.

Goals: time of a scan at most fio's / 0.98; CPU of a GiB at most 0.3 of the buffered scan's; the page cache as it was.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORDS = {"4 KiB": 4096, "64 KiB": 65536, "1 MiB": 1 << 20}
SCANS = ["uring", "threads", "buffered", "advised", "direct", "fio"]
APPENDS = ["uring", "threads", "buffered", "direct"]
LOGS = ["uring", "threads", "each"]
FIO_BLOCKS = ["256k", "1m"]


def parse():
    parser = argparse.ArgumentParser(prog="bench/stream_bench.py")
    parser.add_argument("--size", default="4G", help="of the file: a number with K, M or G")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--works", default="scan,append,log", help="a list of these")
    parser.add_argument("--scans", default=",".join(SCANS), help="a list of who scans, in turn")
    parser.add_argument("--seconds", type=float, default=2, help="of a log")
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--program", type=Path, default=HERE.parent / "build-bench/bench/stream-jdb")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def bytes_of(text):
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]] if text[-1] in "KMG" else int(text)


def cached_kib():
    return int(next(line for line in open("/proc/meminfo") if line.startswith("Cached:")).split()[1])


def evict(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def run(arguments):
    before = cached_kib()
    done = json.loads(subprocess.run([str(a) for a in arguments], check=True, capture_output=True, text=True).stdout)
    return done | {"cached_kib": cached_kib() - before}


def run_fio(path, size, block, depth):
    """fio reports its own processor time."""
    out = subprocess.run(["fio", "--name=scan", f"--filename={path}", "--rw=read", f"--bs={block}", f"--iodepth={depth}",
                          "--ioengine=io_uring", "--direct=1", "--thread=1", f"--size={size}", "--output-format=json"],
                         check=True, capture_output=True, text=True).stdout
    job = json.loads(out[out.index("{"):])["jobs"][0]
    seconds = job["read"]["runtime"] / 1e3
    cpu = seconds * (job["usr_cpu"] + job["sys_cpu"]) / 100
    return {"seconds": seconds, "cpu_seconds": cpu, "done": size, "cached_kib": 0, "block": block, "depth": depth}


def best_of_fio(path, size):
    """The block size and depth of the least of three times."""
    shapes = [(block, depth) for block in FIO_BLOCKS for depth in (4, 16)]
    times = {shape: min(run_fio(path, size, *shape)["seconds"] for _ in range(3)) for shape in shapes}
    return min(times, key=times.get)


def measure(options, data, other):
    size = bytes_of(options.size)
    results = []
    works = options.works.split(",")
    scans = [name for name in options.scans.split(",") if name != "fio" or shutil.which("fio") is not None]
    shape = best_of_fio(data, size) if "scan" in works and "fio" in scans else None
    for number in range(options.rounds):
        for title, record in RECORDS.items():
            for contender in scans if "scan" in works else []:
                evict(data)
                done = run_fio(data, size, *shape) if contender == "fio" else run([options.program, "scan", contender, record, data])
                results.append({"work": "scan", "contender": contender, "record": title, "round": number} | done)
            for contender in APPENDS if "append" in works else []:
                other.unlink(missing_ok=True)
                done = run([options.program, "append", contender, record, other, size // 2])
                results.append({"work": "append", "contender": contender, "record": title, "round": number} | done)
        other.unlink(missing_ok=True)
        for threads in (1, 8, 64) if "log" in works else []:
            for contender in LOGS:
                done = run([options.program, "log", contender, threads, other, options.seconds])
                results.append({"work": "log", "contender": contender, "record": str(threads), "round": number} | done)
                other.unlink(missing_ok=True)
    return results


def of(results, work, contender, record):
    return [r for r in results if (r["work"], r["contender"], r["record"]) == (work, contender, record)]


def row(rows):
    rates = [r["done"] / r["seconds"] / (1 << 20) for r in rows]
    cpus = [r["cpu_seconds"] / r["done"] * (1 << 30) for r in rows]
    cache = statistics.median(r["cached_kib"] for r in rows) / 1024
    return f"{max(rates):.0f} | {statistics.median(rates):.0f} | {min(cpus):.3f} | {statistics.median(cpus):.3f} | {cache:.0f}"


def print_tables(results):
    for work, contenders in (("scan", SCANS), ("append", APPENDS)):
        if not any(r["work"] == work for r in results):
            continue
        print(f"| {work}, records of | by | MiB/s best | median | CPU s/GiB least | median | page cache, MiB |")
        print("|---|---|---|---|---|---|---|")
        for record in RECORDS:
            for contender in contenders:
                rows = of(results, work, contender, record)
                if rows:
                    print(f"| {record if contender != 'fio' else rows[0]['block'] + ', depth ' + str(rows[0]['depth'])} | {contender} | {row(rows)} |")
        print()
    if not any(r["work"] == "log" for r in results):
        return
    print("| log, threads | by | commits/s best | median |")
    print("|---|---|---|---|")
    for threads in ("1", "8", "64"):
        for contender in LOGS:
            rates = [r["done"] / r["seconds"] for r in of(results, "log", contender, threads)]
            print(f"| {threads} | {contender} | {max(rates):.0f} | {statistics.median(rates):.0f} |")
    print()


def best(results, key):
    return min(key(r) for r in results)


def print_goals(results):
    for record in RECORDS:
        ours, fio, buffered = (of(results, "scan", name, record) for name in ("uring", "fio", "buffered"))
        if not (ours and fio and buffered):
            continue
        cpu = best(ours, lambda r: r["cpu_seconds"]) / best(buffered, lambda r: r["cpu_seconds"])
        rate = best(fio, lambda r: r["seconds"]) / best(ours, lambda r: r["seconds"])
        median = statistics.median(r["seconds"] for r in fio) / statistics.median(r["seconds"] for r in ours)
        cache = statistics.median(r["cached_kib"] for r in ours)
        print(f"scan, {record}: rate {rate:.3f} of fio's by the best of {len(ours)} rounds, {median:.3f} by the medians (goal 0.98), "
              f"CPU {cpu:.2f} of buffered (goal 0.30), page cache {cache:+.0f} KiB")


def plot(results, path):
    """Rate and CPU of a scan against the size of a record, by gnuplot."""
    blocks = []
    for contender in ("uring", "threads", "buffered", "direct"):
        lines = []
        for title, record in RECORDS.items():
            rows = of(results, "scan", contender, title)
            lines.append(f"{record} {best(rows, lambda r: -r['done'] / r['seconds']) / -(1 << 20)} "
                         f"{best(rows, lambda r: r['cpu_seconds'] / r['done']) * (1 << 30)}")
        blocks.append((contender, "\n".join(lines)))
    data = "".join(f"${name} << EOD\n{lines}\nEOD\n" for name, lines in blocks)
    names = [name for name, _ in blocks]
    rate = ", ".join(f"${name} using 1:2 with linespoints title '{name}'" for name in names)
    cpu = ", ".join(f"${name} using 1:3 with linespoints title '{name}'" for name in names)
    script = (f"{data}set terminal svg size 900,360 background rgb 'white'\nset output '{path}'\nset multiplot layout 1,2\n"
              "set logscale x 2\nset xlabel 'bytes of a record'\nset yrange [0:*]\nset key bottom right\n"
              f"set ylabel 'MiB/s'\nplot {rate}\nset key top right\nset ylabel 'CPU seconds of a GiB'\nplot {cpu}\n")
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="stream-bench.", dir=options.dir) as directory:
        data, other = Path(directory) / "data", Path(directory) / "other"
        size = bytes_of(options.size)
        with open(data, "wb") as out:  # written extents, of bytes that do not compress
            part = os.urandom(1 << 20)
            for _ in range(size >> 20):
                out.write(part)
        results = measure(options, data, other)
    if options.json:
        options.json.write_text("[\n" + ",\n".join(json.dumps(r) for r in results) + "\n]\n")
    print_tables(results)
    print_goals(results)
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
