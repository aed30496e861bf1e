#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the rows of rows.py: every round goes through the rows, every row through its contenders, each in a process of
its own, so that all of them meet the machine's fast and slow minutes alike. Minima are compared."""
import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import report
from rows import ROWS

REPOSITORY = Path(__file__).resolve().parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures jdb_alloc against its peers.")
    parser.add_argument("--quick", action="store_true", help="under 2 minutes: fewer rounds")
    parser.add_argument("--only", metavar="ROW[,ROW]", help="these rows only; see --list")
    parser.add_argument("--against", metavar="NAME[,NAME]", help="these contenders only (a prefix is enough: jdb, tc)")
    parser.add_argument("--rounds", type=int, help="rounds, instead of the usual number")
    parser.add_argument("--samples", type=int, default=3, help="samples of a process (3)")
    parser.add_argument("--ms", type=int, default=20, help="milliseconds of a sample (20)")
    parser.add_argument("--spread", action="store_true", help="also print every contender's minimum, median, spread")
    parser.add_argument("--list", action="store_true", help="name the rows and contenders")
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen_rows(options):
    if not options.only:
        return ROWS
    names = options.only.split(",")
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"bench: no row {', '.join(sorted(unknown))}; see --list")
    return [row for row in ROWS if row.name in names]


def chosen_contenders(row, options):
    prefixes = tuple(options.against.split(",")) if options.against else ("",)
    return [contender for contender in row.contenders if contender.startswith(prefixes)]


class Bench:
    """Raw results: results[row name][contender] = list of what the processes said, one for each round."""

    def __init__(self, options):
        self.options = options
        self.results = {}
        self.said = {}  # of this round, by command: rows that read another number of the same process share it

    def measure(self, row, contender):
        program, arguments = row.command(contender)
        command = [str(self.options.programs / program), *map(str, arguments)]
        if row.metric == "ns":
            command += ["--samples", str(self.options.samples), "--ms", str(self.options.ms)]
        key = tuple(command)
        if key not in self.said:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode != 0:
                sys.exit(f"bench: {program} {' '.join(map(str, arguments))} failed: {done.stderr.strip()}")
            self.said[key] = json.loads(done.stdout)
        self.results.setdefault(row.name, {}).setdefault(contender, []).append(self.said[key])

    def run(self, rows, rounds):
        started = time.monotonic()
        for number in range(rounds):
            self.said = {}
            for row in rows:
                if row.rounds and number >= row.rounds:
                    continue
                for contender in chosen_contenders(row, self.options):
                    self.measure(row, contender)
            print(f"\rbench: round {number + 1} of {rounds}, {time.monotonic() - started:.0f} s",
                  end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)


def main():
    options = parse_arguments()
    if options.list:
        for row in ROWS:
            print(f"{row.name:12} {row.title}: {', '.join(row.contenders)}")
        return
    rows = chosen_rows(options)
    bench = Bench(options)
    bench.run(rows, options.rounds or (4 if options.quick else 20))
    print(report.summary(rows, bench.results))
    if options.spread:
        print("\n" + report.spread(rows, bench.results))


if __name__ == "__main__":
    main()
