"""The report for a terminal: the plan, each finding with advice, a summary."""

from collections import Counter
from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from iotax._check.report.clauses import clauses
from iotax._check.report.findings import Finding, Report

_COLORS: Final = {"error": "31", "warning": "33", "information": "36", "accepted": "2"}
_WIDTH: Final = 100


def text(report: Report, *, color: bool = False, verbose: bool = False) -> str:
    """`verbose`: include information and accepted findings."""
    lines = [heading(report.target, report.plan)]
    for finding in report.findings:
        if verbose or not (finding.accepted or finding.severity == "information"):
            lines += ["", *_finding(finding, color)]
    lines += ["", *_summary(report, verbose)] if len(lines) > 1 else _summary(report, verbose)
    return "\n".join(lines) + "\n"


def heading(target: str, plan: str) -> str:
    return f"iotax check {target}: {plan}" if plan else f"iotax check {target}"


def _finding(finding: Finding, color: bool) -> Iterator[str]:
    clause = clauses()[finding.clause]
    kind = "accepted" if finding.accepted else finding.severity
    word = f"\x1b[{_COLORS[kind]}m{kind}\x1b[0m" if color else kind
    level = clause.level.replace("_", " ")
    yield f"{word}  {finding.clause} {level}: {_visible(finding.what)}"
    place = finding.place
    if place is not None:
        where = f"{place}, in {place.function}" if place.function else str(place)
        package = f" ({place.package} {place.version})".replace(" )", ")") if place.package else ""
        yield f"  at       {_visible(where)}{package}"
    yield f"  request  {_visible(finding.asked)}"
    for label, said in (
        ("rule", clause.text),
        ("why", clause.why),
        ("instead", clause.instead),
        ("others", clause.others),
        ("accepted", finding.accepted),
    ):
        if said:
            yield from wrap(
                _visible(said),
                _WIDTH,
                initial_indent=f"  {label:<9}",
                subsequent_indent=" " * 11,
                break_long_words=False,
            )


def _summary(report: Report, verbose: bool) -> Iterator[str]:
    yield from (_visible(note) for note in report.notes)
    for entry in report.gone:
        yield f"no longer found, remove it from the baseline: {_visible(entry)}"
    statuses = ", ".join(f"{count} x {code}" for code, count in sorted(report.statuses.items()))
    routes = "1 URL" if len(report.routes) == 1 else f"{len(report.routes)} URLs"
    ways = "1 way" if report.ways == 1 else f"{report.ways} ways"
    asked = f"{report.requests} requests" + (f", in {ways}," if report.ways else "")
    asked += f" to {routes}" if report.routes else ""
    yield f"{asked} in {report.seconds:.1f} s: {statuses or 'no responses'}"
    outcomes = Counter(result.outcome for result in report.results)
    counts = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in ("pass", "fail"))
    missing = [one.clause.id for one in report.results if one.outcome == "not exercised"]
    yield f"clauses: {counts}, {len(missing)} not exercised" + (":" if missing else "")
    yield from wrap(" ".join(missing), _WIDTH, initial_indent="  ", subsequent_indent="  ")
    yield _verdict(report, verbose)


def _verdict(report: Report, verbose: bool) -> str:
    accepted = sum(bool(finding.accepted) for finding in report.findings)
    in_packages = report.count_in_packages("error")
    errors, warnings = report.count("error") - in_packages, report.count("warning")
    information = report.count("information")
    counts = {
        "error" if errors == 1 else "errors": errors,
        # They do not fail the run: the application cannot fix them.
        f"{'error' if in_packages == 1 else 'errors'} in packages": in_packages,
        "warning" if warnings == 1 else "warnings": warnings,
        "accepted": accepted,
        "information": information,
    }
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    hidden = "" if verbose or not (accepted or information) else " (-v shows all)"
    if report.problem:
        return f"FAILED: {report.problem}"
    word = "FAILED" if report.exit_code else "passed"
    return f"{word}: {found or 'nothing found'}{hidden}"


def _visible(said: str) -> str:
    """On one line, with control characters escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in said)
