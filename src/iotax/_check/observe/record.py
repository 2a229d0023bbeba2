"""The record of one call: findings, and the clauses that it exercised."""

from collections.abc import Sequence

from iotax._check.observe.blame import Trail, of_caller
from iotax._check.report.clauses import clauses
from iotax._check.report.findings import Finding, Place, Severity, default_severity


class Record:
    """`request`: as text, e.g. "GET /x". `trail`: the functions that ran in the call."""

    def __init__(self, request: str, trail: Trail) -> None:
        self.request = request
        self.trail = trail
        self.findings: list[Finding] = []
        self.exercised: set[str] = set()
        self.for_good = False  # since this call, the application does not work any more

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
        """`kind`: as in Finding; required if `what` contains a value. `place`: default: the line
        that called the checker. `words`: for something that the application may only have caused;
        the line that contains one of them is blamed."""
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
        """Drop the findings for `clause`; another finding describes the problem better."""
        self.findings = [finding for finding in self.findings if finding.clause != clause]

    def has(self, *ids: str) -> bool:
        """Whether there is a finding for one of these clauses."""
        return any(finding.clause in ids for finding in self.findings)


def shown(value: object, length: int = 60) -> str:
    """Format `value` for a finding: on one line, truncated."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= length else text[: length - 3] + "..."


def a_type(value: object) -> str:
    return "None" if value is None else type(value).__name__
