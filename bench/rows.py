# SPDX-License-Identifier: MIT
"""What is measured, against whom, and the goal: one Row for each line of a table or point of a curve.

To add a row: write a program that prints a line of JSON with a list of numbers under a key (sample.h does it), build it
as SOURCE-CONTENDER in CMakeLists.txt, and add a Row with its contenders. A row is measured in a process of its own
for each contender and round.
"""
from dataclasses import dataclass, field

SHARED, STATIC, FLOOR = "jdb-shared", "jdb-static", "floor"
OURS = (SHARED, STATIC)
CALLS = {
    "glibc": ["posix_memalign", "aligned_alloc"],
    "jemalloc": ["posix_memalign", "aligned_alloc", "mallocx"],
    "mimalloc": ["posix_memalign", "aligned_alloc", "mi_malloc_aligned"],
    "tcmalloc": ["posix_memalign", "aligned_alloc", "tc_memalign"],
}
PEERS = [f"{library}-{call}" for library, calls in CALLS.items() for call in calls]
BUFFERS = [SHARED, STATIC, *PEERS, FLOOR]
# One call of each library where every call would take too long.
CURVES = [SHARED, STATIC, "glibc-posix_memalign", "jemalloc-aligned_alloc", "mimalloc-aligned_alloc",
          "tcmalloc-aligned_alloc"]
COUNTS = [*CURVES, FLOOR]
MEMORY = [SHARED, "glibc-posix_memalign", "jemalloc-mallocx", "mimalloc-mi_malloc_aligned", "tcmalloc-tc_memalign"]


@dataclass(frozen=True)
class Goal:
    """The minimum of `contender` is at most factor * (minimum of `against`) + plus.

    against: a contender, "best" for the best call of any peer, or "" for the bare number `plus`."""

    contender: str
    factor: float = 0
    against: str = ""
    plus: float = 0

    def bound(self, minima, peers):
        if not self.against:
            return self.plus
        known = [minima[c] for c in (peers if self.against == "best" else [self.against]) if c in minima]
        return self.factor * min(known) + self.plus if known else None

    def text(self):
        who = {SHARED: "shared", STATIC: "static"}.get(self.contender, self.contender)
        if not self.against:
            return f"{who} ≤ {self.plus:g}"
        of = "best peer" if self.against == "best" else self.against
        left = of if self.factor == 1 else f"{self.factor:g} × {of}"
        return f"{who} ≤ {left}" + (f" + {self.plus:g}" if self.plus else "")


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    arguments: list  # of the program: the work and its numbers
    goals: list = field(default_factory=list)
    group: str = "time"  # the table it stands in
    source: str = "buffers"  # programs are SOURCE-CONTENDER
    contenders: list = field(default_factory=lambda: BUFFERS)
    extra: dict = field(default_factory=dict)  # contender -> (program, arguments) where the rule does not serve
    metric: str = "ns"  # key of the program's JSON, less is better; "instructions" runs it under callgrind
    unit: str = "ns"
    every: int = 1  # measured in each so many-th round
    timed: bool = True  # the program takes --samples and --ms
    quick: bool = True  # part of --quick
    label: str = ""  # under its bars, where the name does not serve
    curve: str = ""  # belongs to this curve, at x
    x: float = 0

    @property
    def peers(self):
        return [c for c in self.contenders if c not in (*OURS, FLOOR, *self.extra)]

    def command(self, contender):
        return self.extra.get(contender, (f"{self.source}-{contender}", self.arguments))


KIB, MIB, GIB = 1024, 1024**2, 1024**3
MEMSET = {"memset": ("buffers-floor", ["memset"])}


def fast():
    """Goals of the shortest paths: against the best peer, against an empty call, and with everything inlined."""
    return [Goal(SHARED, 0.9, "best"), Goal(SHARED, 1, FLOOR, 2), Goal(STATIC, 0.5, "best")]


def against_best(factor):
    return [Goal(SHARED, factor, "best")]


def at_most(number):
    return [Goal(SHARED, plus=number)]


TIME = [
    Row("4k", "4 KiB allocate + free", ["pair"], fast(), label="4 KiB"),
    Row("64k", "64 KiB allocate + free", ["pair", "--size", 64 * KIB], fast(), label="64 KiB"),
    # memset: the C library's, over one hot page, no allocator.
    Row("zeroed", "zeroed page allocate + free", ["zeroed"], [Goal(SHARED, 0.85, "memset"), *against_best(0.75)],
        contenders=[*BUFFERS, "memset"], extra=MEMSET, label="zeroed page"),
    Row("random", "4,096 pages allocated, touched, freed in random order", ["random"], against_best(0.4),
        label="4,096 at random"),
    Row("threads", "two threads, 64 at a time", ["threads"], against_best(0.6), label="two threads"),
    # Addresses travel through a ring of pointers; the floor is what the ring costs.
    Row("handoff", "allocated on one thread, freed on another", ["handoff"], against_best(0.35),
        label="to another thread"),
    Row("1m", "1 MiB allocate + free", ["pair", "--size", MIB], against_best(0.6), label="1 MiB"),
    Row("16m", "16 MiB allocate + free", ["pair", "--size", 16 * MIB], against_best(0.6), label="16 MiB"),
]


BYTES = "bytes per byte"


def memory(name, title, work, metric, unit, goals):
    return Row(name, title, [work], goals, group="memory", source="memory", contenders=MEMORY, metric=metric,
               unit=unit, every=12, timed=False)


def pattern(name, title, work, goals, **more):
    return Row(name, title, work, goals, **{"group": "pattern", "contenders": MEMORY, "every": 6, "quick": False, **more})


def counted(name, title, work, metric, unit, goals):
    return pattern(name, title, [work], goals, source="patterns", metric=metric, unit=unit, timed=False)


# What engines do beyond a pair at a time. Rows of `counted` read processor time and faults, so that they serve where a page
# fault costs ten times as much as on another machine.
PATTERNS = [
    pattern("aligned", "16 KiB aligned to 16 KiB, 64 at a time", ["aligned"],
            [Goal(SHARED, 1.1, "unaligned"), *against_best(1)], contenders=[*MEMORY, "unaligned"],
            extra={"unaligned": ("buffers-jdb-shared", ["threads", "--threads", 1, "--size", 16 * KIB])}),
    pattern("queue", "64 KiB through a queue of 64, written, freed by the other thread", ["queue"], against_best(0.8)),
    pattern("middle", "17 to 64 pages, four threads", ["middle"], against_best(1)),
    pattern("sizes", "4 KiB to 16 MiB, 256 alive, one page written", ["sizes"], against_best(1)),
    # Most of it is malloc: "with tcmalloc" is the library beside tcmalloc's, the floor writes the pages and allocates none.
    pattern("small", "one of 10,000 pages and 8 small allocations replaced", ["small"],
            [*against_best(0.95), Goal("with tcmalloc", 1, "tcmalloc-tc_memalign")], contenders=[*MEMORY, "with tcmalloc", FLOOR],
            extra={"with tcmalloc": ("buffers-jdb-tcmalloc", ["small"])}),
    *[pattern(f"{size // MIB}m", f"{size // MIB} MiB allocate + free", ["pair", "--size", size],
              [Goal(SHARED, 1, "tcmalloc-tc_memalign")]) for size in (64 * MIB, 256 * MIB, GIB)],
    counted("burst", "50,000 of 16 KiB allocated here, freed there, processor time", "burst", "cpu_ns", "ns",
            at_most(300)),
    counted("burst-faults", "the same, page faults of a buffer", "burst", "faults", "faults", at_most(0.01)),
    counted("burst-after", "the same, resident 2.5 s after the end", "burst", "after_mib", "MiB", at_most(3)),
    counted("pages", "100,000 pages allocated, written, freed in order, processor time", "pages", "cpu_ns", "ns",
            against_best(1)),
    counted("mixed", "4 KiB to 16 MiB, 1 GiB alive, processor time", "mixed", "cpu_ns", "ns", against_best(1)),
    counted("mixed-calls", "the same, calls that gave memory back", "mixed", "purge_calls", "calls", at_most(200)),
    counted("whole", "the same with 256 MiB, every page written, processor time", "mixed-whole", "cpu_ns", "ns",
            against_best(1)),
    counted("whole-resident", "the same, resident at most", "mixed-whole", "resident", BYTES, at_most(1.1)),
    counted("touch", "65,536 fresh pages written, a page", "touch", "cpu_ns", "ns", against_best(1)),
    counted("sleepers", "10,000 threads that worked, resident 2.5 s later", "sleepers", "after_mib", "MiB", at_most(64)),
]


SPACE = [
    memory("resident", "resident, 65,536 fresh pages touched", "resident", "lent", BYTES, at_most(1.01)),
    memory("trimmed", "resident after all were freed and trimmed", "resident", "trimmed", BYTES, at_most(0.02)),
    memory("gib", "zeroed(1 GiB), time", "gib", "us", "us", at_most(50)),
    memory("gib-resident", "zeroed(1 GiB), resident", "gib", "resident_kib", "KiB", at_most(64)),
    memory("append-copied", "append 512 MiB in 64 KiB steps, copied", "append", "copied_kib", "KiB", at_most(128)),
    memory("append-faults", "append, minor faults against writing in place", "append", "fault_ratio", "ratio",
           at_most(1.01)),
    memory("append-time", "append, time", "append", "ms", "ms", []),
    memory("churn16k", "16 KiB frames replaced among small allocations, resident", "churn16k", "resident", BYTES,
           at_most(1.1)),
    memory("churn64k", "64 KiB frames replaced among small allocations, resident", "churn64k", "resident", BYTES,
           at_most(1.1)),
]


MEMPOOL = "rte_mempool"
POOL = [SHARED, STATIC, MEMPOOL, FLOOR]


def pool(name, title, arguments, goals):
    return Row(name, title, arguments, goals, group="pool", source="pool", contenders=POOL)


def pool_past(threads):
    """A ring that is preempted may cost it minutes: it is asked with two threads alone."""
    contenders = [SHARED, STATIC, MEMPOOL] if threads == 2 else [SHARED, STATIC]
    return Row(f"pool-past-{threads}", f"{threads} threads, 256 frames held by each, worst of 10 runs",
               ["past", threads], at_most(8), group="pool", source="pool", contenders=contenders, metric="worst",
               every=6, timed=False, quick=False)


def pool_full(name, title, work, goals, contenders):
    """Empty functions cannot find a pool full."""
    return Row(name, title, [work], goals, group="pool", source="pool", contenders=contenders)


POOLS = [
    pool("pool-pair", "frame got + put, all checks on", ["pair"],
         [Goal(SHARED, 1.25, MEMPOOL), Goal(STATIC, 1, MEMPOOL)]),
    pool("pool-bulk", "32 frames got + put at once, per frame", ["bulk"], at_most(0.9)),
    pool("pool-threads", "two threads, one frame each", ["threads"], [Goal(SHARED, 1.25, MEMPOOL)]),
    *[pool_past(threads) for threads in (2, 4, 8)],
    pool_full("pool-full", "full pool: a get that fails, a put, a get", "full", at_most(45), POOL[:-1]),
    # rte_mempool has no such call: a put and a get.
    pool_full("pool-recycle", "full pool: a frame made a new one", "recycle", [Goal(SHARED, 1, MEMPOOL)], POOL[:-1]),
    pool_full("pool-pins", "two threads pin + unpin neighbouring frames, a thread", "pins", at_most(20), [SHARED, STATIC]),
]


def arena(name, title, metric, unit, works, goals):
    """One program; the contenders are options of an arena: {contender: work}."""
    return Row(name, title, [], goals, group="arena", contenders=list(works), metric=metric, unit=unit, every=12,
               extra={contender: ("arena-jdb-shared", [work]) for contender, work in works.items()}, timed=False,
               quick=False)


ARENA = [
    arena("arena-read", "random 8-byte reads over 4 GiB, each waits for the one before", "ns", "ns",
          {"4K pages": "read-small", "THP": "read-thp"}, [Goal("THP", 1, "4K pages")]),
    arena("arena-fork", "fork() with 4 GiB of 4K pages resident", "us", "us",
          {"kept": "fork-kept", "DONTFORK": "fork-dontfork"}, [Goal("DONTFORK", 0.1, "kept")]),
    arena("arena-pin", "pin + unpin a 16 KiB frame by its address", "ns", "ns", {SHARED: "pin"}, []),
]


def instructions(name, title, work):
    return Row(name, title, work, group="instructions", contenders=COUNTS, metric="instructions", unit="",
               every=1000, timed=False, quick=False)


INSTRUCTIONS = [
    instructions("4k-instructions", "4 KiB allocate + free", ["pair"]),
    instructions("64k-instructions", "64 KiB allocate + free", ["pair", "--size", 64 * KIB]),
    instructions("zeroed-instructions", "zeroed page allocate + free", ["zeroed"]),
    instructions("handoff-instructions", "allocated on one thread, freed on another, by the thousand", ["steps"]),
]


def points(curve, title, work, option, values):
    return [Row(f"{curve}-{value}", f"{title}: {value:,}", [*work, option, value], group=curve, contenders=CURVES,
                every=10, quick=False, curve=curve, x=value) for value in values]


CURVE_TITLES = {
    "live": ("One of n live 4 KiB buffers replaced", "live buffers"),
    "size": ("Allocate + free by size", "bytes"),
    "thread": ("Allocate + free, 64 at a time, by threads", "threads"),
}
CURVE_POINTS = [
    *points("live", "one of n live 4 KiB buffers replaced", ["live"], "--live", [10**3, 10**4, 10**5, 10**6]),
    *points("size", "allocate + free by size", ["pair"], "--size", [4 * KIB * 4**i for i in range(10)]),
    *points("thread", "allocate + free, 64 at a time, by threads", ["threads"], "--threads", [1, 2, 4, 8]),
]

IO = ["jdb-fixed", "jdb-lto", "jdb-plain", "jdb-thp", "hand-fixed", "hand-plain", "fio"]
IO_WORKS = {"read-4k": "4 KiB random direct reads", "write-4k": "4 KiB random direct writes",
            "read-128k": "128 KiB sequential direct reads", "write-128k": "128 KiB sequential direct writes"}


def io_row(work, depth, metric, title, goals, contenders):
    return Row(f"{work}-{depth}-{metric.removesuffix('_ns')}", f"{IO_WORKS[work]}, queue {depth}: {title}",
               [work, "--depth", depth], goals, group="io", source="uring", contenders=contenders, metric=metric,
               every=5, timed=False, quick=(work, depth) == ("read-4k", 32))


# The reference is a loop written by hand: at least 0.99 of its I/O per second; in the program itself at most 25 ns more at
# queue 1, where the device's time empties the caches, and 15 from 8 on.
DIRECT_IO = [row for work in IO_WORKS for depth in (1, 8, 32, 128) for row in (
    io_row(work, depth, "ns", "wall clock", [Goal("jdb-fixed", 1 / 0.99, "hand-fixed")], IO),
    io_row(work, depth, "user_ns", "in the program", [Goal("jdb-fixed", 1, "hand-fixed", 25 if depth == 1 else 15)], IO[:-1]),
    io_row(work, depth, "cpu_ns", "user and system", [], IO))]

ROWS = [*TIME, *PATTERNS, *SPACE, *POOLS, *ARENA, *INSTRUCTIONS, *DIRECT_IO, *CURVE_POINTS]
GROUPS = {"time": "Time", "pattern": "Patterns of engines", "io": "Direct I/O with io_uring, one I/O",
          "memory": "Memory", "pool": "Frames of a pool", "arena": "Options of an arena",
          "instructions": "Instructions of one operation, by callgrind"}
