# SPDX-License-Identifier: MIT
"""What is measured, against whom, and the goal: one Row for each line of the table.

To add a row: write a program that prints a line of JSON with a list of numbers under a key (sample.h does it), build it
as SOURCE-CONTENDER in CMakeLists.txt, and add a Row with its contenders. A row is measured in a process of its own
for each contender and round.
"""
from dataclasses import dataclass, field

SHARED, STATIC, FLOOR = "jdb-shared", "jdb-static", "floor"
CALLS = {
    "glibc": ["posix_memalign", "aligned_alloc"],
    "jemalloc": ["posix_memalign", "aligned_alloc", "mallocx"],
    "mimalloc": ["posix_memalign", "aligned_alloc", "mi_malloc_aligned"],
    "tcmalloc": ["posix_memalign", "aligned_alloc", "tc_memalign"],
}
PEERS = [f"{library}-{call}" for library, calls in CALLS.items() for call in calls]
BUFFERS = [SHARED, STATIC, *PEERS, FLOOR]


@dataclass(frozen=True)
class Goal:
    """The minimum of `contender` is at most factor * (minimum of `against`) + plus.

    against: a contender, "best" for the best call of any peer, or None for the bare number `plus`."""

    contender: str
    factor: float = 0
    against: str | None = None
    plus: float = 0

    def bound(self, minima, peers):
        if self.against is None:
            return self.plus
        known = [minima[c] for c in (peers if self.against == "best" else [self.against]) if c in minima]
        return self.factor * min(known) + self.plus if known else None

    def text(self, unit):
        who = {SHARED: "shared", STATIC: "static"}.get(self.contender, self.contender)
        if self.against is None:
            return f"{who} ≤ {self.plus:g} {unit}".rstrip()
        of = "best peer" if self.against == "best" else self.against
        left = of if self.factor == 1 else f"{self.factor:g} × {of}"
        return f"{who} ≤ {left}" + (f" + {self.plus:g}" if self.plus else "")


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    arguments: list  # of the program: the work and its numbers
    goals: list = field(default_factory=list)
    source: str = "buffers"  # programs are SOURCE-CONTENDER
    contenders: list = field(default_factory=lambda: BUFFERS)
    extra: dict = field(default_factory=dict)  # contender -> (program, arguments) that differ from the rule
    metric: str = "ns"  # key of the program's JSON
    unit: str = "ns"
    rounds: int = 0  # at most; 0 = as many as the run makes
    note: str = ""

    @property
    def peers(self):
        ours = (SHARED, STATIC, FLOOR, *self.extra)
        return [c for c in self.contenders if c not in ours]

    def command(self, contender):
        if contender in self.extra:
            return self.extra[contender]
        return f"{self.source}-{contender}", self.arguments


def fast(best_shared, best_static):
    """Goals of the shortest paths: against the best peer, against an empty call, and with everything inlined."""
    return [Goal(SHARED, best_shared, "best"), Goal(SHARED, 1, FLOOR, 2), Goal(STATIC, best_static, "best")]


MEMSET = {"memset": ("buffers-floor", ["memset"])}
KIB, MIB = 1024, 1024 * 1024

ROWS = [
    Row("4k", "4 KiB make + drop", ["pair"], fast(0.9, 0.5)),
    Row("64k", "64 KiB make + drop", ["pair", "--size", 64 * KIB], fast(0.9, 0.5)),
    Row("zeroed", "zeroed page make + drop", ["zeroed"],
        [Goal(SHARED, 0.85, "memset"), Goal(SHARED, 0.75, "best")], contenders=[*BUFFERS, "memset"], extra=MEMSET,
        note="memset: the C library's, over one hot page, no allocator"),
    Row("random", "4,096 pages made, touched, dropped in random order", ["random"], [Goal(SHARED, 0.4, "best")]),
    Row("threads", "two threads, 64 at a time", ["threads"], [Goal(SHARED, 0.6, "best")]),
    Row("handoff", "made on one thread, dropped on another", ["handoff"], [Goal(SHARED, 0.35, "best")],
        note="floor: the ring of pointers between the threads"),
    Row("1m", "1 MiB make + drop", ["pair", "--size", MIB], [Goal(SHARED, 0.6, "best")]),
    Row("16m", "16 MiB make + drop", ["pair", "--size", 16 * MIB], [Goal(SHARED, 0.6, "best")]),
]
