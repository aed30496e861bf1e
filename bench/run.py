#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the rows of rows.py: every round goes through the rows, every row through its contenders, each in a process of
its own, so that all of them meet the machine's fast and slow minutes alike. Minima are compared; what is kept of the samples,
report.py says."""
import argparse
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import front
import machine
import plots
import report
from rows import ROWS

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"
FULL_SECONDS, QUICK_SECONDS = 760, 70
COUNTED = (20000, 60000)  # operations of the two runs whose difference is free of start-up


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures jdb_alloc against its peers.")
    parser.add_argument("--quick", action="store_true", help="under 2 minutes: no curves, no instruction counts")
    parser.add_argument("--only", metavar="ROW[,ROW]", help="these rows or groups only; see --list")
    parser.add_argument("--against", metavar="NAME[,NAME]", help="these contenders only (a prefix is enough: jdb, tc)")
    parser.add_argument("--rounds", type=int, help="so many rounds, instead of as many as the time allows")
    parser.add_argument("--samples", type=int, default=12, help="samples of a process (12)")
    parser.add_argument("--ms", type=int, default=4, help="milliseconds of a sample (4)")
    parser.add_argument("--spread", action="store_true", help="also print every contender's minimum, median, spread")
    parser.add_argument("--list", action="store_true", help="name the rows and contenders")
    parser.add_argument("--report", action="store_true", help="write documents and plots from the results kept")
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen_rows(options):
    if not options.only:
        return [row for row in ROWS if row.quick or not options.quick]
    names = options.only.split(",")
    unknown = set(names) - {row.name for row in ROWS} - {row.group for row in ROWS}
    if unknown:
        sys.exit(f"bench: no row {', '.join(sorted(unknown))}; see --list")
    return [row for row in ROWS if row.name in names or row.group in names]


def chosen_contenders(row, options):
    prefixes = tuple(options.against.split(",")) if options.against else ("",)
    return [contender for contender in row.contenders if contender.startswith(prefixes)]


class Bench:
    """results[row name][contender] is a list of what the processes said, one for each round."""

    def __init__(self, options):
        self.options = options
        self.results = {}
        self.failures = {}
        self.cost = {}  # seconds that a row took when it was last measured
        self.said = {}  # in this round, by command: rows that read another number of the same process share it
        self.started = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.started

    def process(self, command):
        """Output of a command, or None when it failed: the other rows go on and the run ends with an error."""
        text = " ".join([Path(part).name for part in command])
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        except subprocess.CalledProcessError as error:
            self.failures[text] = error.stderr.strip() or f"ended with {error.returncode}"
        except (subprocess.TimeoutExpired, OSError) as error:
            self.failures[text] = type(error).__name__
        return None

    def keep(self, row, contender, said):
        if said is not None:
            self.results.setdefault(row.name, {}).setdefault(contender, []).append(said)

    def command(self, row, contender):
        program, arguments = row.command(contender)
        return [str(self.options.programs / program), *map(str, arguments)]

    def measure(self, row, contender):
        command = self.command(row, contender)
        if row.timed:
            command += ["--samples", str(self.options.samples), "--ms", str(self.options.ms)]
        key = tuple(command)
        if key not in self.said:
            done = self.process(command)
            self.said[key] = json.loads(done.stdout) if done else None
        self.keep(row, contender, self.said[key])

    def count(self, row, contender):
        """Instructions of one operation."""
        totals = []
        for operations in COUNTED:
            done = self.process(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                                 *self.command(row, contender), "--count", str(operations)])
            found = re.search(r"Collected : (\d+)", done.stderr) if done else None
            if not found:
                return None
            totals.append(int(found[1]))
        return {"instructions": [(totals[1] - totals[0]) / (COUNTED[1] - COUNTED[0])]}

    def count_all(self, rows):
        """Counts do not depend on what else runs, so they use every processor."""
        pairs = [(row, contender) for row in rows for contender in chosen_contenders(row, self.options)]
        with ThreadPoolExecutor(max_workers=machine.processors()) as pool:
            for (row, contender), said in zip(pairs, pool.map(lambda pair: self.count(*pair), pairs)):
                self.keep(row, contender, said)

    def measure_all(self, row):
        started = self.elapsed()
        for contender in chosen_contenders(row, self.options):
            self.measure(row, contender)
        self.cost[row.name] = self.elapsed() - started

    def round(self, rows, number, seconds):
        """Rows that are due; from the second round on, only what fits in the time left. False: nothing did."""
        self.said = {}
        done = False
        for row in rows:
            is_due = number % row.every == 0 or self.options.only
            if is_due and (self.elapsed() + self.cost.get(row.name, 0) < seconds or number == 0):
                self.measure_all(row)
                done = True
        return done

    def run(self, rows):
        self.count_all([row for row in rows if row.metric == "instructions"])
        rows = [row for row in rows if row.metric != "instructions"]
        seconds = QUICK_SECONDS if self.options.quick or self.options.only else FULL_SECONDS
        rounds = self.options.rounds or 10**6
        number = 0
        while rows and number < rounds and (self.options.rounds or self.elapsed() < seconds):
            if not self.round(rows, number, float("inf") if self.options.rounds else seconds):
                break
            number += 1
            print(f"bench: round {number}, {self.elapsed():.0f} s", file=sys.stderr)


def results_file(facts):
    name = re.sub(r"[^a-z0-9]+", "-", facts["processor"].lower()).strip("-")
    return RESULTS / f"{facts['date']}-{name}-{facts['processors']}.json"


def json_text(raw):
    """A line for each row, so that git shows what changed."""
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(contenders)}" for name, contenders in raw["results"].items())
    return (f'{{\n"machine": {json.dumps(raw["machine"])},\n"kept": {json.dumps(report.KEPT)},\n'
            f'"results": {{\n{rows}\n}}\n}}\n')


def write_documents():
    """From all results that are kept; the plots are of the newest."""
    raws = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    newest = report.results_of(raws)
    front.write(newest, REPOSITORY)
    page = REPOSITORY / "docs" / "benchmarks.md"
    report.write_between_markers(page, report.document(raws, ROWS))
    (RESULTS / "tables.md").write_text(report.all_tables(raws, ROWS), encoding="utf-8")
    drawn = plots.draw(newest[0], ROWS, REPOSITORY / "docs" / "plots")
    print(f"bench: wrote {page.relative_to(REPOSITORY)} and {len(drawn)} plots", file=sys.stderr)


def finish(options, bench, rows):
    results = report.summarize(rows, bench.results)
    print(report.summary(rows, results))
    if options.spread:
        print("\n" + report.spread(rows, results))
    if not (options.quick or options.only or options.against):
        raw = {"machine": machine.facts(REPOSITORY), "results": results}
        path = results_file(raw["machine"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json_text(raw), encoding="utf-8")
        write_documents()
    for command, reason in bench.failures.items():
        print(f"bench: failed: {command}: {reason}", file=sys.stderr)
    return 1 if bench.failures else 0


def main():
    options = parse_arguments()
    if options.list:
        for row in ROWS:
            print(f"{row.name:20} {row.group:12} {row.title}: {', '.join(row.contenders)}")
        return 0
    if options.report:
        write_documents()
        return 0
    rows = chosen_rows(options)
    bench = Bench(options)
    bench.run(rows)
    return finish(options, bench, rows)


if __name__ == "__main__":
    sys.exit(main())
