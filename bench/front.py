# SPDX-License-Identifier: MIT
"""The three lines of README.md and README.zh.md, from results: jdb_alloc beside the best peer, on each machine. What is lost
to the peer is bold."""
from report import figure, library_of, markdown, minima, processor_of, write_between_markers
from rows import ROWS, SHARED

LANGUAGES = ("README.md", "README.zh.md")
HEADS = ("ns, jdb_alloc : best peer", "纳秒，jdb_alloc : 最快的同类库")
PEERS = {"hand-fixed": ("a loop by hand", "手写循环"), "rte_mempool": ("rte_mempool, no checks", "rte_mempool，无检查")}

# Each line: its name in each language, and its pairs: row, ours, theirs ("" = the best of all peers).
LINES = [
    (("Buffers: 4 KiB allocated and freed; freed on another thread", "缓冲区：分配并释放 4 KiB；由另一线程释放"),
     [("4k", SHARED, ""), ("handoff", SHARED, "")]),
    (("Pools: a frame got and put; 32 at once, per frame", "帧池：取出并归还一帧；一次取还 32 帧，折合每帧"),
     [("pool-pair", SHARED, "rte_mempool"), ("pool-bulk", SHARED, "rte_mempool")]),
    (("io_uring: 4 KiB random direct read, queue depth 32", "io_uring：4 KiB 随机直接读，队列深度 32"),
     [("read-4k-32-ns", "jdb-fixed", "hand-fixed")]),
]


def pair(row, low, ours, theirs, language):
    name = theirs or min((c for c in row.peers if c in low), key=low.get, default="")
    if ours not in low or name not in low:
        return ""
    peer = PEERS[name][language] if name in PEERS else library_of(name)
    text = f"{figure(low[ours])} : {figure(low[name])}"
    return f"{text if low[ours] <= low[name] else f'**{text}**'} ({peer})"


def cell(pairs, results, language):
    rows = {row.name: row for row in ROWS}
    return "; ".join(pair(rows[name], minima(rows[name], results), ours, theirs, language) for name, ours, theirs in pairs)


def table(raws, language):
    lines = [[names[language], *(cell(pairs, raw["results"], language) for raw in raws)] for names, pairs in LINES]
    return markdown([HEADS[language], *map(processor_of, raws)], lines)


def write(raws, repository):
    for language, page in enumerate(LANGUAGES):
        write_between_markers(repository / page, table(raws, language))
