# SPDX-License-Identifier: MIT
"""The short tables of README.md and README.zh.md, from raw results: ours beside the best peer, on each machine."""
from report import figure, library_of, markdown, minima, processor_of, write_between_markers
from rows import ROWS, SHARED

LANGUAGES = ("README.md", "README.zh.md")
HEADS = ("ns, shared library : best peer", "纳秒，共享库 : 最快的同类")
PEERS = {"hand-fixed": ("by hand", "手写"), "rte_mempool": ("rte_mempool, which checks nothing", "rte_mempool，不做检查")}

# Row, ours, theirs ("" = the best of all peers), its name in each language.
LINES = [
    ("4k", SHARED, "", ("4 KiB made and dropped", "分配并释放 4 KiB")),
    ("zeroed", SHARED, "", ("a zeroed page made and dropped", "分配并释放一个清零的页")),
    ("random", SHARED, "", ("4,096 pages made, touched, dropped in random order", "分配、写入、乱序释放 4096 页")),
    ("threads", SHARED, "", ("two threads, 64 at a time", "两个线程，每次 64 块")),
    ("handoff", SHARED, "", ("made on one thread, dropped on another", "一个线程分配，另一个线程释放")),
    ("1m", SHARED, "", ("1 MiB made and dropped", "分配并释放 1 MiB")),
    ("16m", SHARED, "", ("16 MiB made and dropped", "分配并释放 16 MiB")),
    ("pool-pair", SHARED, "rte_mempool", ("a frame got from a pool and put, all checks on", "从池中取放一帧，检查全开")),
    ("pool-bulk", SHARED, "rte_mempool", ("32 frames at once, per frame, all checks on", "一次 32 帧，每帧，检查全开")),
    ("read-4k-32-ns", "door-fixed", "hand-fixed",
     ("4 KiB random direct read, queue 32, by the door to io_uring", "4 KiB 随机直接读，队列 32，经 io_uring 之门")),
]


def cell(row, low, ours, theirs, language):
    name = theirs or min((c for c in row.peers if c in low), key=low.get, default="")
    if ours not in low or name not in low:
        return ""
    peer = PEERS[name][language] if name in PEERS else library_of(name)
    return f"{figure(low[ours])} : {figure(low[name])} ({peer})"


def table(raws, language):
    rows = {row.name: row for row in ROWS}
    lines = [[names[language], *(cell(rows[name], minima(rows[name], raw["results"]), ours, theirs, language)
                                 for raw in raws)] for name, ours, theirs, names in LINES]
    return markdown([HEADS[language], *map(processor_of, raws)], lines)


def write(raws, repository):
    for language, page in enumerate(LANGUAGES):
        write_between_markers(repository / page, table(raws, language))
