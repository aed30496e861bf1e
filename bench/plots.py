# SPDX-License-Identifier: MIT
"""Draws raw results as SVG with gnuplot: bars for the timed rows, lines for the curves."""
import subprocess

from report import library_of, minima
from rows import CURVE_TITLES, FLOOR, SHARED, STATIC

SERIES = {SHARED: ("jdb_alloc, shared", "#c0392b"), STATIC: ("jdb_alloc, static + LTO", "#e67e22"),
          "tcmalloc": ("tcmalloc", "#2471a3"), "mimalloc": ("mimalloc", "#17a589"),
          "jemalloc": ("jemalloc", "#7d3c98"), "glibc": ("glibc", "#7f8c8d"), FLOOR: ("empty functions", "#d5d8dc")}
STYLE = """set encoding utf8
set terminal svg noenhanced size 1000,460 font "Helvetica,13" background "#ffffff"
set output "{output}"
set border 3 lc rgb "#555555"
set tics nomirror
set grid y lc rgb "#e5e7e9"
set key outside top center horizontal reverse Left samplen 1.5
set title "{title}"
"""


def by_series(row, results):
    """Shortest time by series; a peer is its best call."""
    out = {}
    for contender, value in minima(row, results).items():
        name = library_of(contender)
        if name in SERIES:
            out[name] = min(value, out.get(name, value))
    return out


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def data_block(name, lines):
    return f"${name} << END\n" + "\n".join(lines) + "\nEND\n"


def wrapped(label):
    """A long label on several lines, or it runs into its neighbours."""
    return label if len(label) < 8 else label.replace(" ", "\\n")


def draw_bars(rows, results, path):
    table = {row.name: by_series(row, results) for row in rows}
    lines = [" ".join(['"' + wrapped(row.label or row.name) + '"',
                       *(f"{table[row.name][s]:.3f}" if s in table[row.name] else "NaN" for s in SERIES)])
             for row in rows]
    bars = [f'$bars using {i}:xtic(1) title "{title}" lc rgb "{color}"'
            for i, (title, color) in enumerate(SERIES.values(), 2)]
    gnuplot(STYLE.format(output=path, title="Allocate + free, ns, shortest of all rounds (logarithmic)")
            + "set logscale y\nset ylabel \"ns\"\nset style data histogram\nset style histogram clustered gap 1.5\n"
            + "set style fill solid 1 noborder\nset yrange [0.5:*]\nset bmargin 4\n"
            + data_block("bars", lines) + "plot " + ", ".join(bars) + "\n")


def axis(curve):
    if curve == "size":
        labels = ["4 KiB", "16 KiB", "64 KiB", "256 KiB", "1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB", "1 GiB"]
        tics = ", ".join(f'"{label}" {4096 * 4**i}' for i, label in enumerate(labels))
        return f"set logscale x 4\nset xtics ({tics})\nset xrange [3000:1.5e9]\n"
    if curve == "live":
        return "set logscale x 10\nset xrange [700:1.4e6]\n" \
               "set xtics (\"1,000\" 1e3, \"10,000\" 1e4, \"100,000\" 1e5, \"1,000,000\" 1e6)\n"
    return "set logscale x 2\nset xrange [0.9:9]\n"


def draw_curve(curve, rows, results, path):
    blocks, lines = "", []
    for name, (title, color) in SERIES.items():
        points = [(row.x, by_series(row, results).get(name)) for row in rows]
        points = [f"{x} {y:.3f}" for x, y in points if y is not None]
        if points:
            block = f"series{len(lines)}"
            blocks += data_block(block, points)
            lines.append(f'${block} using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb "{color}" title "{title}"')
    title, label = CURVE_TITLES[curve]
    gnuplot(STYLE.format(output=path, title=f"{title}, ns (logarithmic)") + axis(curve)
            + f'set logscale y\nset ylabel "ns"\nset xlabel "{label}"\n' + blocks + "plot " + ", ".join(lines) + "\n")


def draw(raw, rows, folder):
    folder.mkdir(parents=True, exist_ok=True)
    results = raw["results"]
    bars = [row for row in rows if row.group == "time" and row.name in results]
    drawn = []
    if bars:
        drawn.append(folder / "time.svg")
        draw_bars(bars, results, drawn[-1])
    for curve in CURVE_TITLES:
        points = [row for row in rows if row.curve == curve and row.name in results]
        if points:
            drawn.append(folder / f"{curve}.svg")
            draw_curve(curve, points, results, drawn[-1])
    return drawn
