# SPDX-License-Identifier: MIT
"""Tables in markdown from raw results."""
import statistics

from rows import CALLS, FLOOR, SHARED, STATIC


def numbers(row, results, contender):
    return [value for said in results[row.name].get(contender, []) for value in said.get(row.metric, [])]


def minima(row, results):
    return {c: min(values) for c in row.contenders if (values := numbers(row, results, c))}


def figure(value):
    if value is None:
        return ""
    for limit, form in ((10, ".2f"), (100, ".1f")):
        if value < limit:
            return format(value, form)
    return format(value, ",.0f")


def markdown(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines])


def best_call(row, low, library):
    """Shortest time of any call of this library, and the call."""
    calls = [(low[f"{library}-{call}"], call) for call in CALLS[library] if f"{library}-{call}" in low]
    return min(calls) if calls else None


def best_peer(row, low):
    known = [(low[c], c) for c in row.peers if c in low]
    return min(known) if known else (None, "")


def verdicts(row, low):
    """(goal, bound, met) of each goal that the measured contenders can tell."""
    out = []
    for goal in row.goals:
        bound = goal.bound(low, row.peers)
        if bound is not None and goal.contender in low:
            out.append((goal, bound, low[goal.contender] <= bound))
    return out


def ratio(value, base):
    return f"{value / base:.2f}" if value is not None and base else ""


def summary(rows, results):
    libraries = list(CALLS)
    head = ["work", "shared", "static + LTO", *libraries, "floor", "shared : best", "static : best", "goals"]
    lines = []
    for row in rows:
        low = minima(row, results)
        peers = [best_call(row, low, library) for library in libraries]
        best, _ = best_peer(row, low)
        goals = [f"{'met' if met else '**missed**'}: {goal.text(row.unit)}"
                 + ("" if goal.against is None else f" = {figure(bound)}") for goal, bound, met in verdicts(row, low)]
        lines.append([f"{row.title}, {row.unit}" if row.unit else row.title,
                      figure(low.get(SHARED)), figure(low.get(STATIC)), *(figure(p and p[0]) for p in peers),
                      figure(low.get(FLOOR)), ratio(low.get(SHARED), best), ratio(low.get(STATIC), best),
                      "; ".join(goals)])
    return markdown(head, lines)


def spread(rows, results):
    """Every contender: minimum, median, and how far the middle half of the samples lies apart."""
    lines = []
    for row in rows:
        for contender in row.contenders:
            values = sorted(numbers(row, results, contender))
            if not values:
                continue
            middle = statistics.median(values)
            quarter = len(values) // 4
            half = values[-1 - quarter] - values[quarter]
            lines.append([row.name, contender, figure(values[0]), figure(middle), figure(half), str(len(values))])
    return markdown(["row", "contender", "minimum", "median", "middle half", "samples"], lines)

