"""Makes the table of ratios: every server under the same loads, in interleaved rounds."""

from dataclasses import dataclass, field
from statistics import median

from . import accounting, instructions, load
from .servers import FLOORS, Running, Unavailable, takes_threads

BASE = "B"


@dataclass(frozen=True)
class Scenario:
    key: str
    title: str
    threads: int = 1
    wrk: dict = field(default_factory=dict)

    def applies(self, name):
        if name == "A'":
            return self.key == "close"
        if self.key == "close":  # the other floors never close
            return name not in FLOORS
        return self.threads == 1 or name in FLOORS or takes_threads(name)


SCENARIOS = (
    Scenario("hello", "64 connections"),
    Scenario("pipelined", "64, pipelined x16", wrk={"pipeline": 16}),
    Scenario("close", "64, closed each time", wrk={"close": True}),
    Scenario("threads", "64, 16 threads", threads=16),
)


@dataclass
class Cost:
    """CPU microseconds per request."""

    total: float
    user: float
    system: float
    per_second: float
    failed: int


def cost(context, server, scenario, seconds):
    load.wrk(context, server.port, seconds=1, connections=64, **scenario.wrk)  # warm-up
    before = accounting.usage(server.pid)
    result = load.wrk(context, server.port, seconds=seconds, connections=64, **scenario.wrk)
    used = accounting.usage(server.pid) - before
    count = max(1, result["requests"])
    return Cost(
        total=used.total / count * 1e6,
        user=used.user / count * 1e6,
        system=used.system / count * 1e6,
        per_second=result["requests"] / result["us"] * 1e6,
        failed=result["failed"],
    )


class Results:
    """costs[name][scenario key] has one Cost per round; notes explain missing results."""

    def __init__(self):
        self.costs = {}
        self.instructions = {}
        self.notes = {}

    def middle(self, name, key, what="total"):
        costs = self.costs.get(name, {}).get(key)
        return median(getattr(one, what) for one in costs) if costs else None

    def ratio(self, name, key, what="total"):
        """Median over the rounds: this server's cost divided by the base's in the same round."""
        mine = self.costs.get(name, {}).get(key, [])
        base = self.costs.get("A'" if key == "close" else BASE, {}).get(
            "hello" if key == "threads" else key, []
        )
        pairs = [
            getattr(a, what) / getattr(b, what)
            for a, b in zip(mine, base, strict=False)
            if getattr(b, what)
        ]
        return median(pairs) if pairs else None


def run(context, names, *, rounds, seconds, quick, say):
    results = Results()
    for turn in range(rounds):
        # The order rotates, so that a drift of the machine's speed favors no server.
        order = names[turn % len(names) :] + names[: turn % len(names)]
        for scenario in SCENARIOS:
            for name in order:
                if not scenario.applies(name) or name in results.notes:
                    continue
                if scenario.key == "threads" and name in FLOORS:
                    continue
                say(f"round {turn + 1}/{rounds}, {scenario.title}: {name}")
                try:
                    with Running(name, context, threads=scenario.threads) as server:
                        measured = cost(context, server, scenario, seconds)
                except Unavailable as why:
                    results.notes[name] = str(why)
                    continue
                results.costs.setdefault(name, {}).setdefault(scenario.key, []).append(measured)
    for name in names:
        if name == "A'" or name in results.notes:
            continue
        say(f"instructions: {name}")
        try:
            results.instructions[name] = instructions.per_request(name, context, quick=quick)
        except Unavailable as why:
            results.notes[name] = str(why)
        except (OSError, RuntimeError) as why:
            results.notes[name] = f"instructions not counted: {why}"
    return results


def table(results, names):
    """Return lines of text. Times are CPU microseconds per request, x B is the ratio to floor B."""
    columns = [
        "server",
        "CPU",
        "x B",
        "user",
        "x B",
        "instr.",
        "x B",
        "piped",
        "x B",
        "closed",
        "x A'",
        "16 thr.",
        "x B",
    ]
    rows = [columns]
    base_instructions = results.instructions.get(BASE)
    for name in names:
        count = results.instructions.get(name)
        row = [name]
        row += [number(results.middle(name, "hello"), 2), times(results.ratio(name, "hello"))]
        row += [
            number(results.middle(name, "hello", "user"), 2),
            times(results.ratio(name, "hello", "user")),
        ]
        row += [
            number(count, 0),
            times(count / base_instructions if count and base_instructions else None),
        ]
        row += [
            number(results.middle(name, "pipelined"), 2),
            times(results.ratio(name, "pipelined")),
        ]
        row += [number(results.middle(name, "close"), 1), times(results.ratio(name, "close"))]
        row += [number(results.middle(name, "threads"), 2), times(results.ratio(name, "threads"))]
        rows.append(row)
    lines = aligned(rows)
    for name, by_key in results.costs.items():
        for key, costs in by_key.items():
            if failed := sum(one.failed for one in costs):
                lines.append(f"{name}, {key}: {failed} requests failed")
            elif not all(one.per_second > 0 for one in costs):
                lines.append(f"{name}, {key}: no response in a complete run")
    lines += [f"{name}: {why}" for name, why in results.notes.items()]
    return lines


def number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def times(value):
    return "-" if value is None else f"{value:.2f}"


def aligned(rows):
    """Align the first column left and numbers right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return lines
