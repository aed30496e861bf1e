#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the shortest sample of each row that criterion measured last, in ns, as a table of markdown.

    cargo bench -p jdb_alloc-bench && python3 bench/minima.py [TARGET_DIR]

The shortest and not the mean: on a machine with other work the mean measures the others.
"""
import json
import os
import sys
from pathlib import Path

TARGET = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CARGO_TARGET_DIR") or "target")


def shortest(directory):
    sample = json.loads((directory / "sample.json").read_text(encoding="utf-8"))
    return min(time / count for time, count in zip(sample["times"], sample["iters"]))


def main():
    rows = {}
    for facts in sorted((TARGET / "criterion").glob("*/*/new/benchmark.json")):
        names = json.loads(facts.read_text(encoding="utf-8"))
        rows.setdefault(names["group_id"], {})[names["function_id"]] = shortest(facts.parent)
    for group, functions in rows.items():
        print(f"\n| {group} | ns |\n|---|---|")
        for name, ns in sorted(functions.items(), key=lambda row: row[1]):
            print(f"| {name} | {ns:,.1f} |" if ns < 1000 else f"| {name} | {ns:,.0f} |")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
