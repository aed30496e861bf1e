#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fio's io_uring engine on the file of bench/uring.c, with fixed buffers and a registered file, said as uring.c says it.

    uring-fio WORK --depth N --ms N
"""
import json
import subprocess
import sys
from pathlib import Path

WORKS = {"read-4k": ("randread", "4k"), "write-4k": ("randwrite", "4k"), "read-128k": ("read", "128k"),
         "write-128k": ("write", "128k")}


def main():
    work = sys.argv[1]
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    pattern, size = WORKS[work]
    data = Path(sys.argv[0]).resolve().parent / "uring.data"
    done = subprocess.run(["fio", "--name=bench", f"--filename={data}", f"--rw={pattern}", f"--bs={size}",
                           f"--iodepth={options.get('--depth', 32)}", "--ioengine=io_uring", "--fixedbufs=1",
                           "--registerfiles=1", "--direct=1", "--thread=1", "--norandommap=1", "--randrepeat=1",
                           "--time_based=1", f"--runtime={6 * int(options.get('--ms', 50))}ms", "--size=256m", "--output-format=json"],
                          capture_output=True, text=True, check=True)
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    side = job["read" if "read" in pattern else "write"]
    each = side["runtime"] * 1e6 / side["total_ios"]
    print(json.dumps({"work": work, "ns": [each], "user_ns": [each * job["usr_cpu"] / 100],
                      "cpu_ns": [each * (job["usr_cpu"] + job["sys_cpu"]) / 100]}))


if __name__ == "__main__":
    main()
