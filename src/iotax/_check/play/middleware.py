"""Obligations of middleware toward its server and its application: the M- clauses.

The middleware wraps a probe (probe.py) and is called through guarded_call.py: the latter checks its
side toward the server, the probe its side toward the application.
"""

import gc
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from iotax._check.observe.blame import of_object
from iotax._check.observe.outcome import Outcome, Variation
from iotax._check.observe.record import shown
from iotax._check.play.probe import Conduct, Probe, ProbeError
from iotax._check.play.sender import Sender
from iotax._check.requests import RequestSpec

REQUEST: Final = RequestSpec("GET", "/")
TOKENS: Final = ("iotaxone", "iotaxtwo")
LINES: Final = Conduct()
FRAGMENTS: Final = Conduct(blocks=(b"fir", b"st li", b"ne\nsec", b"ond", b"\n"))
EMPTIES: Final = Conduct(blocks=(b"first\n", b"", b"second\n", b"", b"third\n"))
# The clause for middleware that breaks a rule of applications although its application is correct.
FOR_MIDDLEWARE: Final[Mapping[str, str]] = {
    "A-SR-10": "M-SR-01",
    "A-TE-01": "M-TE-01",
    "A-CL-01": "M-GEN-02",
    "A-WR-01": "M-BLK-05",
    "A-CALL-01": "M-CALL-01",
}


class Bench:
    """One middleware, and the probes that it wraps."""

    def __init__(self, sender: Sender, middleware: Callable[..., Any]) -> None:
        self.sender = sender
        self._middleware = middleware

    def send(
        self, conduct: Conduct, variation: Variation | None = None, spec: RequestSpec = REQUEST
    ) -> tuple[Probe, Outcome]:
        """Send one request through the middleware."""
        probe = Probe(conduct)
        wrapped = self._middleware(probe.application)
        call = self.sender.send(spec, variation, application=wrapped, before=probe.meet)
        _translate(call, probe)
        for what in dict.fromkeys(probe.wrong):
            clause = "M-GEN-03" if "start_response" in what else "M-GEN-01"
            self.report(call, clause, f"It {what}.")
        call.record.exercise("M-GEN-01", "M-GEN-03")
        return probe, call

    def report(self, call: Outcome, clause: str, what: str) -> None:
        call.record.report(clause, what, place=of_object(self._middleware), words=())


def _translate(call: Outcome, probe: Probe) -> None:
    """Replace the findings for applications by those for middleware."""
    record = call.record
    found, record.findings = record.findings, []
    for one in found:
        own_error = one.clause == "A-EXC-01" and isinstance(call.raised, ProbeError)
        writes_too = one.clause == "A-WR-01" and probe.conduct.written
        if own_error or writes_too or one.severity == "information":
            continue
        clause = FOR_MIDDLEWARE.get(one.clause, "M-GEN-01")
        suffix = f" ({one.clause})" if clause == "M-GEN-01" else ""
        what, kind = f"{one.what}{suffix}", f"{one.type}{suffix}"
        severity = "error" if clause == "M-BLK-05" else one.severity
        record.report(clause, what, severity=severity, place=one.place, kind=kind)
    record.exercised = {one for one in record.exercised if one.startswith(("M-", "C-"))}


def blocks(bench: Bench) -> None:
    """M-BLK-01 to -05, M-BUF-01: each block is passed on before the next one is requested."""
    for conduct, clause in (
        (LINES, "M-BLK-01"),
        (FRAGMENTS, "M-BLK-02"),
        (EMPTIES, "M-BLK-03"),
    ):
        probe, call = bench.send(conduct)
        call.record.exercise("M-BLK-01", "M-BLK-02", "M-BLK-03", "M-BLK-04", "M-BLK-05")
        if probe.at_return:
            what = f"It requests {probe.at_return} blocks before it returns its iterable."
            bench.report(call, "M-BLK-04", what)
            return
        in_a_row = max(Counter(probe.asked).values(), default=0)
        if in_a_row > 1:
            what = f"It requests {in_a_row} blocks before it yields one."
            bench.report(call, clause, what)
            return
    _delays(bench)


def _delays(bench: Bench) -> None:
    """Blocks that are passed on unchanged, but late."""
    probe, call = bench.send(LINES)
    call.record.exercise("M-BUF-01")
    late = [
        given < sum(map(len, probe.conduct.blocks[:number]))
        for number, given in enumerate(probe.given)
    ]
    if any(late) and bytes(call.body) == probe.body:
        bench.report(call, "M-BUF-01", "It passes a block on only after it requested the next.")


def length(bench: Bench) -> None:
    """M-GEN-02: Content-Length is the length of the body that is sent."""
    _, call = bench.send(Conduct(gives_length=True))
    call.record.exercise("M-GEN-02", "M-SR-01", "M-TE-01")


def start_response(bench: Bench) -> None:
    """M-GEN-03, M-BLK-06, M-EXC-01: the third argument and write() work as on a server."""
    bench.send(Conduct(third_argument="none"))
    probe, call = bench.send(Conduct(written=(b"written\n",), blocks=(b"given\n",)))
    call.record.exercise("M-BLK-06")
    if not call.body_bytes and call.raised is None:
        bench.report(call, "M-GEN-03", "It loses what the application passes to write().")
    probe, call = bench.send(Conduct(third_argument="exc_info"))
    call.record.exercise("M-EXC-01", "M-SR-02")
    if isinstance(call.raised, ProbeError) or call.record.has("M-GEN-03"):
        return
    if call.code < 400:
        what = f"The application changes its status to 500, but it sends {shown(call.status)}."
        bench.report(call, "M-GEN-03", what)
    call.result = None
    gc.collect()
    if probe.error is not None and probe.error() is not None:
        bench.report(call, "M-SR-02", "It keeps exc_info after the call of start_response.")


def close(bench: Bench) -> None:
    """M-GEN-04: close() of the application's iterable is called once, however it ends."""
    several = {
        "read to its end": (LINES, Variation("read to the end")),
        "not read": (LINES, Variation("the client disconnects immediately", blocks_max=0)),
        "read partly": (LINES, Variation("the client disconnects", blocks_max=1)),
        "ended by an error": (Conduct(raises_after=1), Variation("an error in the middle")),
    }
    for how, (conduct, variation) in several.items():
        probe, call = bench.send(conduct, variation)
        call.record.exercise("M-GEN-04")
        call.result = None
        if probe.calls and probe.closed != 1:
            times = "not closed" if probe.closed == 0 else f"closed {probe.closed} times"
            what = f"The application's iterable, {how}, is {times}."
            bench.report(call, "M-GEN-04", what)
            return


def introspection(bench: Bench) -> None:
    """M-CALL-01."""
    probe, call = bench.send(LINES, Variation("start_response is an object", untouchable=True))
    call.record.exercise("M-CALL-01")
    for name in dict.fromkeys(probe.touched):
        bench.report(call, "M-CALL-01", f"It accesses {name} of the application.")


def extensions(bench: Bench) -> None:
    """M-EXT-01: its extensions to environ respect changes that the application makes to
    environ."""
    calls = []
    for token in TOKENS:
        fields = (("Cookie", f"session={token}"),)
        spec = RequestSpec("GET", f"/{token}?q={token}", fields)
        calls.append((token, *bench.send(LINES, spec=spec)))
    usual = bench.sender.names_seen
    for name in sorted(calls[0][1].environ.keys() - usual.keys()):
        call = calls[0][2]
        call.record.exercise("M-EXT-01")
        if all(_holds(probe.environ.get(name), token) for token, probe, _ in calls):
            what = f"It stores what it read from the request in environ, as {name}."
            bench.report(call, "M-EXT-01", what)


def _holds(value: object, token: str) -> bool:
    return not callable(value) and token in shown(value, 100_000)


CHECKS: Final[Mapping[str, Callable[[Bench], None]]] = {
    "blocks": blocks,
    "length": length,
    "start_response": start_response,
    "close": close,
    "introspection": introspection,
    "extensions": extensions,
}
