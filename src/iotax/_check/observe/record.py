"""What one call of the application shows: findings, and the clauses that it put to the test."""

from collections.abc import Sequence

from iotax._check.observe.blame import Trail, of_caller
from iotax._check.report.clauses import clauses
from iotax._check.report.findings import Finding, Place, Severity, default_severity


class Record:
    """`request`: what people call the request, e.g. "GET /x". `trail`: what ran in the call."""

    def __init__(self, request: str, trail: Trail) -> None:
        self.request = request
        self.trail = trail
        self.findings: list[Finding] = []
        self.exercised: set[str] = set()
        self.for_good = False  # from this call on the application does not work any more

    def exercise(self, *ids: str) -> None:
        self.exercised.update(ids)

    def report(
        self,
        clause: str,
        what: str,
        *,
        severity: Severity | None = None,
        place: Place | None = None,
        words: Sequence[object] | None = None,
        kind: str = "",
    ) -> None:
        """`kind`: as of a Finding; given wherever `what` holds a value. `place`: if it is known;
        else it is the line that called into the checker. `words`: the application may only have
        caused it; they stand in the line that did."""
        self.exercise(clause)
        place = place or of_caller()
        if words is not None and (place is None or place.package):
            place = self.trail.blame(words) or place
        severity = severity or default_severity(clauses()[clause])
        if severity == "error" and clauses()[clause].is_new:
            severity = "warning"
        found = Finding(clause, severity, what, (self.request,), place, kind=kind)
        self.findings.append(found)

    def forget(self, clause: str) -> None:
        """What was reported of `clause` is told better elsewhere."""
        self.findings = [finding for finding in self.findings if finding.clause != clause]

    def has(self, *ids: str) -> bool:
        """Whether one of these clauses was found broken."""
        return any(finding.clause in ids for finding in self.findings)


def shown(value: object, length: int = 60) -> str:
    """`value` as it may stand in a finding: on one line, cut off."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= length else text[: length - 3] + "..."


def a_type(value: object) -> str:
    return "None" if value is None else type(value).__name__
