"""How an application responds to a plain request, and what counts as a difference from that."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from iotax._check.observe.blame import of_error
from iotax._check.observe.outcome import Outcome, TimeIsUp
from iotax._check.observe.record import shown
from iotax._check.report.findings import Severity
from iotax._check.requests import RequestSpec

TIMES: Final = 3
SAFE: Final = ("GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH")
NOT_NOW: Final = (502, 503, 504, 507)  # RFC 9110 section 15.6, RFC 4918 section 11.5

Send = Callable[[RequestSpec], Outcome]


@dataclass(frozen=True)
class Difference:
    """`said`: the end of a sentence. `kind`: the same without values that may differ from call to
    call. `fails`: through an error of the application, the client does not get its response."""

    said: str
    kind: str
    fails: bool


@dataclass
class Behavior:
    """How the application responds to a plain request. `steady`: always the same. `names`: of the
    headers that are always sent, in lower case."""

    call: Outcome
    steady: bool
    names: frozenset[str] = frozenset()

    def differs(
        self, other: Outcome, added: Iterable[object] = (), removed: Iterable[str] = ()
    ) -> Difference | None:
        """The difference of `other`; None: there is none. `added`: values that only its environ
        contains; `removed`: names that are missing from it."""
        before = self.call
        if other.raised is not None:
            return difference_of(other.raised) if before.raised is None else None
        if other.code != before.code:
            said = f"it responds with {other.status or 'nothing'!r} instead of {before.status!r}"
            kind = f"it responds with {other.code} instead of {before.code}"
            return Difference(said, kind, _is_fault(other))
        if not self.steady or other.cut_off or other.body == before.body:
            return None
        now, then = bytes(other.body), bytes(before.body)
        echoes = any(str(value).encode("latin-1", "replace") in now for value in added if value)
        echoes = echoes or any(name.encode("latin-1", "replace") in then for name in removed)
        said = "its body is different"
        return None if echoes else Difference(said, said, fails=not other.body_bytes)

    def fails(self, other: Outcome) -> Difference | None:
        """Like differs(), but only if the client gets an error in place of a response."""
        is_worse = other.raised is not None or other.code >= 400
        return self.differs(other) if is_worse and self.call.code < 400 else None

    def lacks_fields(self, other: Outcome) -> Difference | None:
        """Like differs(), and also for missing headers."""
        if found := self.differs(other):
            return found
        said = "headers are missing"
        is_missing = not self.names <= _names_of(other)
        return Difference(said, said, fails=True) if is_missing else None


def difference_of(error: BaseException) -> Difference:
    kind = f"it fails with {type(error).__name__}"
    return Difference(f"{kind}: {shown(str(error))}", kind, fails=True)


def _is_fault(call: Outcome) -> bool:
    """Whether the response reports a failure of the application itself: not an overload, a full
    disk or a failure of another server."""
    return call.raised is not None or (call.code >= 500 and call.code not in NOT_NOW)


def _names_of(call: Outcome) -> frozenset[str]:
    return frozenset(name.lower() for name, _ in call.fields)


def learn(send: Send, spec: RequestSpec) -> Behavior:
    """Send `spec` several times, and report if it does not work again. A-CALL-03."""
    calls: list[Outcome] = []
    for _ in range(TIMES if spec.method == "GET" else 2):
        calls.append(send(spec))
        if isinstance(calls[-1].raised, TimeIsUp):
            break
    first = calls[0]
    for call in calls[1:]:
        first.record.exercise("A-CALL-03")
        if _worse(first, call) and _stays_worse(send, spec, calls):
            _blame_repetition(first, call, calls)
            break
    steady = all(
        (one.status, one.body) == (two.status, two.body) and one.fields == two.fields
        for one, two in pairwise(calls)
    )
    names = frozenset.intersection(*map(_names_of, calls))
    # The first call of an unsafe method changes the state: PUT creates, then replaces.
    usual = first if spec.method in SAFE or _is_fault(calls[-1]) else calls[-1]
    return Behavior(usual, steady and len(calls) >= TIMES, names)


def _worse(first: Outcome, again: Outcome) -> Difference | None:
    """Why the second of two equal requests shows that the application works only once; None: it
    does not show that. The state of the resource may have changed: PUT gets 201 and then 204,
    DELETE gets 204 and then 404 (RFC 9110 section 9.3)."""
    if _is_fault(first) or isinstance(again.raised, TimeIsUp):  # the latter is C-TIME-01
        return None
    if _is_fault(again):
        return Behavior(first, steady=False).differs(again)
    is_empty = first.body_bytes and again.complete and not again.body_bytes
    is_empty = is_empty and again.code == first.code
    said = "its body is empty"
    is_same_iterable = first.gives_same_iterable(again)
    if is_empty and (first.method == "GET" or is_same_iterable):
        return Difference(said, said, fails=is_same_iterable)
    return None


def _stays_worse(send: Send, spec: RequestSpec, calls: list[Outcome]) -> bool:
    """Whether every later call is worse too: sometimes is not enough."""
    first, *others = calls
    at = next(number for number, call in enumerate(others) if _worse(first, call))
    others = others[at:]
    for _ in range(TIMES):
        calls.append(send(spec))
        others.append(calls[-1])
    return all(_worse(first, call) for call in others)


def _blame_repetition(first: Outcome, call: Outcome, calls: list[Outcome]) -> None:
    for later in calls:
        later.record.forget("A-EXC-01")
    if difference := _worse(first, call):
        # A queue that was read is empty too. An iterable that is returned twice is an error.
        severity: Severity = "error" if difference.fails else "warning"
        report_difference(
            call, "A-CALL-03", "Called again with the same request", difference, severity
        )


def report_difference(
    call: Outcome,
    clause: str,
    how: str,
    difference: Difference,
    severity: Severity | None = None,
    more: str = "",
) -> None:
    """Report that a variation caused the difference. Replaces the call's own report of its
    failure."""
    call.record.forget("A-EXC-01")
    if call.record.has(clause):
        return
    place = of_error(call.raised) if call.raised is not None else None
    words = None if place is not None else ()
    what, kind = f"{how} {difference.said}{more}.", f"{how} {difference.kind}{more}."
    call.record.report(clause, what, severity=severity, place=place, words=words, kind=kind)
