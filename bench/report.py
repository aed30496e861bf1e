# SPDX-License-Identifier: MIT
"""Tables in markdown from results.

Results are kept as four numbers of each row and contender: results[row][contender] = [minimum, median, middle half,
samples]. The samples themselves, tens of thousands in a run, are not kept."""
import statistics

from rows import CALLS, FLOOR, GROUPS, IO_WORKS, SHARED, STATIC

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
KEPT = ["minimum", "median", "middle half", "samples"]
MAIN_GROUPS = ("time", "memory", "pool")  # whose tables docs/benchmarks.md has


def numbers(row, said):
    return sorted(value for process in said for value in process.get(row.metric, []))


def kept(values):
    """values: sorted. The middle half is how far the quartiles lie apart."""
    quarter = len(values) // 4
    return [*(round(value, 4) for value in (values[0], statistics.median(values), values[-1 - quarter] - values[quarter])),
            len(values)]


def summarize(rows, said):
    """said[row name][contender]: what the processes printed, one for each round."""
    out = {}
    for row in rows:
        pairs = [(c, numbers(row, said[row.name][c])) for c in row.contenders if c in said.get(row.name, {})]
        if any(values for _, values in pairs):
            out[row.name] = {contender: kept(values) for contender, values in pairs if values}
    return out


def minima(row, results):
    return {c: results[row.name][c][0] for c in row.contenders if c in results.get(row.name, {})}


def figure(value):
    if value is None:
        return ""
    for limit, form in ((2, ".3f"), (10, ".2f"), (100, ".1f")):
        if value < limit:
            return format(value, form).rstrip("0").rstrip(".") or "0"
    return format(value, ",.0f")


def markdown(head, lines):
    """A table without the columns that are empty in every line."""
    used = [i for i in range(len(head)) if any(line[i] for line in lines)]
    out = ["| " + " | ".join(head[i] for i in used) + " |", "|" + "---|" * len(used)]
    return "\n".join(out + ["| " + " | ".join(line[i] for i in used) + " |" for line in lines])


def library_of(contender):
    return contender.split("-")[0] if contender.split("-")[0] in CALLS else contender


def best_of_library(row, low, library):
    return min((low[c] for c in row.contenders if c in low and library_of(c) == library), default=None)


def best_peer(row, low):
    return min((low[c] for c in row.peers if c in low), default=None)


def verdicts(row, low):
    """(goal, bound, met) of each goal whose contenders were measured."""
    out = []
    for goal in row.goals:
        bound = goal.bound(low, row.peers)
        if bound is not None and goal.contender in low:
            out.append((goal, bound, low[goal.contender] <= bound))
    return out


def verdict_text(goal, bound, met):
    text = goal.text() + (f" = {figure(bound)}" if goal.against else "")
    return ("met: " if met else "**missed**: ") + text


def ratio(value, base):
    return f"{value / base:.2f}" if value is not None and base else ""


def titled(row):
    return f"{row.title}, {row.unit}" if row.unit else row.title


# ---- Tables of one machine -----------------------------------------------------------------------------------------

def group_table(rows, results, has_goals=True):
    """Minima. A peer's column is its best call."""
    others = dict.fromkeys(library_of(c) for row in rows for c in row.contenders if c not in (SHARED, STATIC, FLOOR))
    lines = []
    for row in rows:
        low = minima(row, results)
        best = best_peer(row, low) if row.unit in ("ns", "") else None
        lines.append([titled(row), figure(low.get(SHARED)), figure(low.get(STATIC)),
                      *(figure(best_of_library(row, low, library)) for library in others), figure(low.get(FLOOR)),
                      ratio(low.get(SHARED), best), ratio(low.get(STATIC), best),
                      "; ".join(verdict_text(*verdict) for verdict in verdicts(row, low)) if has_goals else ""])
    head = ["work", "shared", "static + LTO", *others, "floor", "shared : best", "static : best", "goals"]
    return markdown(head, lines)


def summary(rows, results, groups=None, has_goals=True):
    """groups: those of the tables that are wanted; None: all that were measured."""
    measured = [row for row in rows if row.name in results]
    wanted = dict.fromkeys(row.group for row in measured if groups is None or row.group in groups)
    return "\n\n".join(f"### {GROUPS.get(group, group)}\n\n"
                       + group_table([row for row in measured if row.group == group], results, has_goals)
                       for group in wanted)


def spread(rows, results):
    """Every contender: minimum, median, and how far the middle half of the samples lies apart."""
    lines = []
    for row in rows:
        for contender in row.contenders:
            if contender in results.get(row.name, {}):
                low, median, half, count = results[row.name][contender]
                lines.append([row.name, contender, figure(low), figure(median), figure(half), str(count)])
    return markdown(["row", "contender", *KEPT], lines)


def machine_text(facts):
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return (f"Measured on {facts['date']} at {facts['commit']}: {facts['processor']} (family/model {facts['family']}), "
            f"{facts['processors']} processors{' of a virtual machine' if facts['virtual'] else ''}, "
            f"{facts['memory_gib']} GiB, Linux {facts['kernel']}, governor {facts['governor']}, transparent huge pages "
            f"{facts['huge_pages']}, gcc {facts['compiler']}; {versions}.")


# ---- All machines --------------------------------------------------------------------------------------------------

def is_tabled(row):
    return not row.curve


def results_of(raws):
    """The newest results of each processor, newest first."""
    by_age = sorted(raws, key=lambda raw: raw["machine"]["date"], reverse=True)
    return list({raw["machine"]["family"]: raw for raw in reversed(by_age)}.values())[::-1]


def processor_of(raw):
    return f"{raw['machine']['processor']}, {raw['machine']['family']}"


def goal_cell(row, goal, results):
    low = minima(row, results)
    bound = goal.bound(low, row.peers)
    if bound is None or goal.contender not in low:
        return ""
    value = low[goal.contender]
    return f"{figure(value)} ≤ {figure(bound)}" if value <= bound else f"**{figure(value)} > {figure(bound)}**"


def goals_met(raw, rows):
    met = [verdict[2] for row in filter(is_tabled, rows) for verdict in verdicts(row, minima(row, raw["results"]))]
    return f"{sum(met)} of {len(met)}"


def goal_table(raws, rows):
    """Each goal on each machine, but those of I/O: what was measured, and the bound; bold = missed."""
    lines = [[titled(row), goal.text(), *(goal_cell(row, goal, raw["results"]) for raw in raws)]
             for row in filter(is_tabled, rows) if row.group != "io" for goal in row.goals]
    return markdown(["work", "goal", *map(processor_of, raws)], lines)


def io_cell(row, results):
    """Ours : by hand; bold = the goal was missed."""
    low = minima(row, results)
    if not {"jdb-fixed", "hand-fixed"} <= set(low):
        return ""
    text = f"{figure(low['jdb-fixed'])} : {figure(low['hand-fixed'])}"
    return text if all(met for _, _, met in verdicts(row, low)) else f"**{text}**"


def io_table(raws, rows):
    """A line for each work and queue depth: wall clock and time in the program, on each machine."""
    rows = {(*row.arguments[:1], row.arguments[-1], row.metric): row for row in rows if row.group == "io"}
    depths = sorted({depth for _, depth, _ in rows})
    lines = [[f"{title}, {depth}", *(io_cell(rows[work, depth, metric], raw["results"])
                                     for raw in raws for metric in ("ns", "user_ns"))]
             for work, title in IO_WORKS.items() for depth in depths]
    head = [f"{name}: {raw['machine']['processor']}" for raw in raws for name in ("wall clock", "in the program")]
    return markdown(["work, queue depth", *head], lines)


def document(raws, rows):
    """What docs/benchmarks.md has: all goals on all machines, and the main tables."""
    raws = results_of(raws)
    met = "; ".join(f"{goals_met(raw, rows)} on {processor_of(raw)}" for raw in raws)
    parts = ["## Goals", f"Met: {met}. A bold figure missed its goal.", goal_table(raws, rows),
             "## Direct I/O with io_uring",
             "Nanoseconds of one I/O, `libjdb_uring` : the same loop by hand. Goals: at most 1.0101 times the wall clock of "
             "the loop by hand, and at most 25 ns more in the program at queue 1, 15 from 8 on. A bold pair missed its goal.",
             io_table(raws, rows)]
    for raw in raws:
        parts += [f"## Main tables: {processor_of(raw)}", machine_text(raw["machine"]),
                  summary(filter(is_tabled, rows), raw["results"], MAIN_GROUPS, has_goals=False)]
    return "\n\n".join(parts)


def all_tables(raws, rows):
    """What bench/results/tables.md has: every table of every machine, and the spread of every contender."""
    parts = ["# All tables", "Written by `script/bench`; [docs/benchmarks.md](../../docs/benchmarks.md) says how it is measured. "
             "Shortest times; a peer's column is its best call."]
    for raw in results_of(raws):
        tabled = list(filter(is_tabled, rows))
        parts += [f"## {processor_of(raw)}", machine_text(raw["machine"]), f"Goals met: {goals_met(raw, rows)}.",
                  summary(tabled, raw["results"]), f"### Every contender: {processor_of(raw)}",
                  spread(rows, raw["results"])]
    return "\n\n".join(parts) + "\n"


def write_between_markers(page, text):
    old = page.read_text(encoding="utf-8")
    before, rest = old.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
