# SPDX-License-Identifier: MIT
"""Tables in markdown from raw results."""
import statistics

from rows import CALLS, FLOOR, GROUPS, SHARED, STATIC

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def numbers(row, results, contender):
    return [value for said in results.get(row.name, {}).get(contender, []) for value in said.get(row.metric, [])]


def minima(row, results):
    return {c: min(values) for c in row.contenders if (values := numbers(row, results, c))}


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
    """(goal, bound, met) of each goal that the measured contenders can tell."""
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


def group_table(rows, results):
    """Minima. A peer's column is its best call."""
    others = dict.fromkeys(library_of(c) for row in rows for c in row.contenders if c not in (SHARED, STATIC, FLOOR))
    lines = []
    for row in rows:
        low = minima(row, results)
        best = best_peer(row, low) if row.unit in ("ns", "") else None
        lines.append([f"{row.title}, {row.unit}" if row.unit else row.title,
                      figure(low.get(SHARED)), figure(low.get(STATIC)),
                      *(figure(best_of_library(row, low, library)) for library in others), figure(low.get(FLOOR)),
                      ratio(low.get(SHARED), best), ratio(low.get(STATIC), best),
                      "; ".join(verdict_text(*verdict) for verdict in verdicts(row, low))])
    head = ["work", "shared", "static + LTO", *others, "floor", "shared : best", "static : best", "goals"]
    return markdown(head, lines)


def summary(rows, results):
    measured = [row for row in rows if row.name in results]
    groups = dict.fromkeys(row.group for row in measured)
    return "\n\n".join(f"### {GROUPS.get(group, group)}\n\n"
                       + group_table([row for row in measured if row.group == group], results) for group in groups)


def spread(rows, results):
    """Every contender: minimum, median, and how far the middle half of the samples lies apart."""
    lines = []
    for row in rows:
        for contender in row.contenders:
            values = sorted(numbers(row, results, contender))
            if values:
                quarter = len(values) // 4
                lines.append([row.name, contender, figure(values[0]), figure(statistics.median(values)),
                              figure(values[-1 - quarter] - values[quarter]), str(len(values))])
    return markdown(["row", "contender", "minimum", "median", "middle half", "samples"], lines)


def machine_text(facts):
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return (f"Measured on {facts['date']} at {facts['commit']}: {facts['processor']} (family/model {facts['family']}), "
            f"{facts['processors']} processors{' of a virtual machine' if facts['virtual'] else ''}, "
            f"{facts['memory_gib']} GiB, Linux {facts['kernel']}, governor {facts['governor']}, transparent huge pages "
            f"{facts['huge_pages']}, gcc {facts['compiler']}; {versions}.")


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
    """Each goal on each machine: what was measured, and the bound; bold = missed."""
    lines = [[row.title + (f", {row.unit}" if row.unit else ""), goal.text(),
              *(goal_cell(row, goal, raw["results"]) for raw in raws)]
             for row in filter(is_tabled, rows) for goal in row.goals]
    lines.append(["goals met", "", *(goals_met(raw, rows) for raw in raws)])
    return markdown(["work", "goal", *map(processor_of, raws)], lines)


def document(raws, rows):
    """All goals on all machines; then the tables of each, and the spread of the newest."""
    raws = results_of(raws)
    parts = ["## Goals, by machine", goal_table(raws, rows)]
    for raw in raws:
        parts += [f"## Results: {processor_of(raw)}", machine_text(raw["machine"]),
                  f"Goals met: {goals_met(raw, rows)}.", summary(filter(is_tabled, rows), raw["results"])]
    parts += [f"## Every contender: {processor_of(raws[0])}", spread(filter(is_tabled, rows), raws[0]["results"])]
    return "\n\n".join(parts)


def write_between_markers(page, text):
    old = page.read_text(encoding="utf-8")
    before, rest = old.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
