# SPDX-License-Identifier: MIT
"""What a reader must know of the machine to judge the numbers. No names, no paths."""
import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

PACKAGES = ["libc6", "libjemalloc2", "libmimalloc2.0", "libtcmalloc-minimal4", "libgoogle-perftools4", "libdpdk-dev",
            "liburing2", "fio", "gcc"]


def processors():
    return len(os.sched_getaffinity(0))


def read(path, otherwise="unknown"):
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return otherwise


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpuinfo(key):
    found = re.search(rf"^{key}\s*: (.+)$", read("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else "unknown"


def packages():
    said = output("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES)
    if said == "unknown":  # one of them is missing: ask one by one
        said = "\n".join(output("dpkg-query", "-W", "-f", "${Package} ${Version}", name) for name in PACKAGES)
    return dict(line.split() for line in said.splitlines() if " " in line)


def facts(repository):
    memory_kib = int(re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo", "MemTotal: 0"))[1])
    huge = re.search(r"\[(\w+)\]", read("/sys/kernel/mm/transparent_hugepage/enabled"))
    return {
        "date": datetime.date.today().isoformat(),
        "commit": output("git", "-C", str(repository), "rev-parse", "--short", "HEAD"),
        "processor": cpuinfo("model name"),
        "family": f"{cpuinfo('cpu family')}/{cpuinfo('model')}",
        "processors": processors(),
        "virtual": "hypervisor" in cpuinfo("flags"),
        "memory_gib": round(memory_kib / 1024**2),
        "kernel": platform.release(),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "huge_pages": huge[1] if huge else "unknown",
        "compiler": output("gcc", "-dumpfullversion"),
        "packages": packages(),
    }
