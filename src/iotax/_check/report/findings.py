"""The result of a check: source locations, findings, the result of each clause, the exit code. Does
not know how findings are made (observe, play) or printed (the other modules of this package).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from iotax._check.report.clauses import Clause, clauses

Severity = Literal["error", "warning", "information"]
ClauseOutcome = Literal["pass", "fail", "not exercised", "not checkable"]

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
_REQUESTS_SHOWN: Final = 3


@dataclass(frozen=True)
class Place:
    """A line of Python. `file`: relative to the current directory when it is below it. `package`
    and `version`: of the distribution that the file belongs to; empty: of none."""

    file: str
    line: int
    function: str = ""
    package: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """One violation of a clause at one place. `what`: a sentence. `requests`: those that showed it,
    as text ("GET /x"), in order. `times`: how often. `accepted`: why it does not count (an entry of
    the settings or the baseline); empty: it counts. `kind`: `what` without values that may differ
    from call to call, such as the text of an exception; empty: `what` has no such values."""

    clause: str
    severity: Severity
    what: str
    requests: tuple[str, ...]
    place: Place | None = None
    times: int = 1
    accepted: str = ""
    kind: str = ""

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Finding":
        """The inverse of asdict()."""
        place = given["place"] and Place(**given["place"])
        return cls(**{**given, "requests": tuple(given["requests"]), "place": place})

    @property
    def type(self) -> str:
        """Together with clause and place, identifies a finding across runs."""
        return self.kind or self.what

    @property
    def asked(self) -> str:
        """The first few requests, each once. A variation is named only if the plain request did
        not show the finding."""
        found: dict[str, str] = {}
        for request in self.requests:
            plain = request.partition(" (")[0]
            if plain not in found or request == plain:
                found[plain] = request
        more = len(found) - _REQUESTS_SHOWN
        shown = ", ".join(list(found.values())[:_REQUESTS_SHOWN])
        return f"{shown} and {more} more" if more > 0 else shown

    def fails(self, *, strict: bool) -> bool:
        """Whether it gives exit code 1."""
        if self.accepted or self.severity == "information":
            return False
        return strict or (self.severity == "error" and not self.is_in_a_package)

    @property
    def is_in_a_package(self) -> bool:
        return self.place is not None and bool(self.place.package)


@dataclass(frozen=True)
class ClauseResult:
    """`outcome`: "fail" if a finding other than information is not accepted."""

    clause: Clause
    outcome: ClauseOutcome
    findings: tuple[Finding, ...] = ()


@dataclass
class Report:
    """The data of a report, in any format.

    `sides`: whose clauses were checked. `plan`: what is sent, in one line. `ways`: number of
    scenarios, each of them with one request or more, which `requests` counts. `statuses`: number of
    responses by status. `routes`: paths that were requested. `notes`: other information, e.g. about
    a URL that took too long. `problem`: why the run proves nothing, e.g. because no request got a
    2xx or 3xx; empty: none. `gone`: entries of the baseline that were not found again.
    """

    target: str
    plan: str = ""
    strict: bool = False
    sides: tuple[str, ...] = ("application",)
    requests: int = 0
    ways: int = 0
    seconds: float = 0.0
    routes: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    exercised: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def results(self) -> list[ClauseResult]:
        """A result for each checked clause, in the order of the PEP."""
        return [self._result(clause) for clause in clauses().values() if clause.side in self.sides]

    def _result(self, clause: Clause) -> ClauseResult:
        found = tuple(finding for finding in self.findings if finding.clause == clause.id)
        outcome: ClauseOutcome
        if any(one.severity != "information" and not one.accepted for one in found):
            outcome = "fail"
        elif clause.id in self.exercised or found:
            outcome = "pass"
        else:
            outcome = "not checkable" if clause.not_checkable else "not exercised"
        return ClauseResult(clause, outcome, found)

    def count(self, severity: Severity) -> int:
        """Findings that are not accepted."""
        return sum(one.severity == severity and not one.accepted for one in self.findings)

    def count_in_packages(self, severity: Severity) -> int:
        """Those of count() that are in installed packages; 0 if `strict`, which counts them as the
        application's own."""
        if self.strict:
            return 0
        return sum(
            one.severity == severity and not one.accepted and one.is_in_a_package
            for one in self.findings
        )

    @property
    def exit_code(self) -> int:
        failing = any(finding.fails(strict=self.strict) for finding in self.findings)
        return EXIT_FINDINGS if failing or self.problem else EXIT_CLEAN


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings of the same type and place, with all their requests. Sorted by severity, then
    by clause."""
    found: dict[tuple[object, ...], Finding] = {}
    for one in findings:
        key = (one.clause, one.severity, one.type, one.place)
        if before := found.get(key):
            requests = dict.fromkeys((*before.requests, *one.requests))
            one = replace(before, requests=tuple(requests), times=before.times + one.times)
        found[key] = one
    order = list(clauses())
    severities = ("error", "warning", "information")
    return sorted(
        found.values(), key=lambda one: (severities.index(one.severity), order.index(one.clause))
    )


def default_severity(clause: Clause) -> Severity:
    """The severity of a finding unless its check sets another."""
    return "error" if clause.is_must else "warning"
