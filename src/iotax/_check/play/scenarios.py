"""Scenarios for one request: sent plainly, and in each variation that PEP 3333 allows a server.
Each scenario blames a clause if the application behaves differently.

A difference is an exception or another status; also another body, if the body is always the same
and does not just show what was changed. It counts only if the variation causes it: the plain
request and the variation are sent alternately several times (see caused()), so that pages with a
clock, a counter or advertisements, or with rate limits, are not blamed.
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from iotax._check.observe.outcome import MAY_BE_EMPTY, Outcome, TimeIsUp, Variation
from iotax._check.observe.record import shown
from iotax._check.play.behavior import TIMES, Behavior, Difference, difference_of, report_difference
from iotax._check.play.sender import Sender
from iotax._check.report.findings import Severity
from iotax._check.requests import HERE, RequestSpec

# A page that shows one of two things at random is blamed wrongly once in 4,000 times.
ROUNDS: Final = 6
GUARANTEED: Final = frozenset(
    {
        *MAY_BE_EMPTY,
        *("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"),
    }
)
HOP_BY_HOP: Final[Mapping[str, Mapping[str, object]]] = {
    "connection close": {"HTTP_CONNECTION": "close", "HTTP_TE": "trailers"},
    # Not websocket: applications that support it rely on an extension of their server.
    "upgrade": {"HTTP_CONNECTION": "Upgrade, HTTP2-Settings", "HTTP_UPGRADE": "h2c"},
    "keep-alive": {"HTTP_CONNECTION": "keep-alive", "HTTP_KEEP_ALIVE": "timeout=5"},
    "chunked already decoded": {"HTTP_TRANSFER_ENCODING": "chunked"},
}
STRANGE_TEXT: Final = "caf%C3%A9%FF"
STRANGE_BYTES: Final = "caf\xc3\xa9\xff"


Judge = Callable[[Outcome], Difference | None]


@dataclass(frozen=True)
class Caused:
    """A difference caused by a variation, the first call that showed it, and later ones that
    confirm it. `for_good`: since then, the application fails without the variation too."""

    call: Outcome
    difference: Difference
    later: tuple[Outcome, ...]
    for_good: bool


def caused(
    before: Behavior,
    usual: Callable[[], Outcome],
    other: Callable[[], Outcome],
    judge: Judge,
) -> Caused | None:
    """The difference that `judge` finds in other(), if other() causes it; None: there is none, or
    it occurs without other() too.

    Both are sent alternately, ROUNDS times. other() causes the difference if it always shows it and
    usual() never does, or if both always fail from then on: it broke something permanently. If
    usual() changes by itself, bodies are not compared any more.
    """
    first = other()
    difference = judge(first)
    if difference is None or isinstance(first.raised, TimeIsUp):
        return None
    later = []
    broken = 0
    for _ in range(ROUNDS):
        as_usual = usual()
        itself = judge(as_usual)
        if itself is not None and not (itself.fails and difference.fails):
            before.steady = False
            return None
        if itself is not None:
            broken += 1
            later.append(as_usual)
        later.append(other())
        again = judge(later[-1])
        if again is None or (again.kind != difference.kind and not broken):
            return None
    if broken not in (0, ROUNDS):
        return None
    return Caused(first, difference, tuple(later), for_good=broken > 0)


def plain(sender: Sender, spec: RequestSpec) -> None:
    """The plain request, several times. A-CALL-03."""
    sender.behavior(spec)


def interleaved(sender: Sender, spec: RequestSpec) -> None:
    """Two requests; the second starts before the first is iterated. A-CALL-03."""
    before = sender.behavior(spec)
    if not before.steady or before.call.raised is not None:
        return

    def both() -> Outcome:
        first, second = sender.send_interleaved(spec)
        for call in (first, second):
            call.record.exercise("A-CALL-03")
        return first if before.differs(first) else second

    found = caused(before, lambda: sender.send(spec), both, before.differs)
    _blame_cause(found, "A-CALL-03", "While another request is in progress in the same thread")


def empty_and_absent(sender: Sender, spec: RequestSpec) -> None:
    """A-ENV-02: a variable that may be empty may be absent."""
    before = sender.behavior(spec)
    names = [name for name in MAY_BE_EMPTY if _may_be_empty(spec, name)]
    for left_out in [[name] for name in names] + [names]:
        listed = " and ".join(left_out)

        def empty(left_out: list[str] = left_out) -> Outcome:
            return sender.send(spec, Variation("empty", environ=dict.fromkeys(left_out, "")))

        def absent(left_out: list[str] = left_out) -> Outcome:
            call = sender.send(spec, Variation("absent", environ=dict.fromkeys(left_out)))
            call.record.exercise("A-ENV-02")
            return call

        if "PATH_INFO" not in left_out:
            found = caused(before, lambda: sender.send(spec), empty, before.fails)
            if _blame_cause(found, "A-ENV-02", f"With {listed} empty"):
                absent()
                continue
        with_empty = Behavior(empty(), before.steady)
        found = caused(with_empty, empty, absent, with_empty.fails)
        if _blame_cause(found, "A-ENV-02", f"Without {listed}"):
            return


def minimal(sender: Sender, spec: RequestSpec) -> None:
    """A-ENV-03: only variables that every server sets. A-CFG-01: without those that the deployment
    sets."""
    before = sender.behavior(spec)
    optional = [name for name in sender.names_seen if name not in GUARANTEED and name.isupper()]

    def needs_a_name(call: Outcome) -> Difference | None:
        return before.differs(call) if isinstance(call.raised, KeyError) else None

    def send(clause: str, variation: str, left_out: Iterable[str]) -> Outcome:
        call = sender.send(spec, Variation(variation, environ=dict.fromkeys(left_out)))
        call.record.exercise(clause)
        return call

    def usual() -> Outcome:
        return sender.send(spec)

    found = caused(
        before, usual, lambda: send("A-ENV-03", "minimal environ", optional), needs_a_name
    )
    _blame_cause(found, "A-ENV-03", "Without variables that servers need not set")
    if not sender.environ:
        return
    settings = sender.environ
    found = caused(
        before, usual, lambda: send("A-CFG-01", "without settings", settings), needs_a_name
    )
    _blame_cause(found, "A-CFG-01", f"Without {' and '.join(settings)}", ", which does not say so")


def flags(sender: Sender, spec: RequestSpec) -> None:
    """A-ENV-04: flags are tested for truth only."""
    names = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")
    for true, false in ((1, 0), ("yes", "")):
        for yes in (True, False):
            usual = dict(zip(names, (yes, yes, False), strict=True))
            other = {name: true if value else false for name, value in usual.items()}

            def send_usual(environ: Mapping[str, object] = usual) -> Outcome:
                return sender.send(spec, Variation("flags", environ=environ))

            def send_other(environ: Mapping[str, object] = other) -> Outcome:
                call = sender.send(spec, Variation("flags of another type", environ=environ))
                call.record.exercise("A-ENV-04")
                return call

            before = Behavior(send_usual(), sender.behavior(spec).steady)

            def judge(
                call: Outcome, before: Behavior = before, added: object = true
            ) -> Difference | None:
                return before.differs(call, [added])

            found = caused(before, send_usual, send_other, judge)
            shown_as = f"{true!r} and {false!r} instead of True and False"
            if _blame_cause(found, "A-ENV-04", f"With flags that are {shown_as}"):
                return


def run_once(sender: Sender, spec: RequestSpec) -> None:
    """A-ENV-05: wsgi.run_once is only a hint."""
    before = sender.behavior(spec)

    def send() -> Outcome:
        call = sender.send(spec, Variation("run_once", environ={"wsgi.run_once": True}))
        call.record.exercise("A-ENV-05")
        return call

    for _ in range(TIMES):
        found = caused(
            before, lambda: sender.send(spec), send, lambda call: before.differs(call, [True])
        )
        what = f"With wsgi.run_once true, called {TIMES} times,"
        if _blame_cause(found, "A-ENV-05", what):
            return


def header_list(sender: Sender, spec: RequestSpec) -> None:
    """A-SR-07: the list that was passed to start_response belongs to the server."""
    before = sender.behavior(spec)

    def send() -> Outcome:
        """Twice, since the first call has its headers before the list is emptied."""
        variation = Variation("the server empties the list", takes_headers=True)
        first, second = sender.send(spec, variation), sender.send(spec, variation)
        second.record.exercise("A-SR-07")
        if before.lacks_fields(second):
            first.record.forget("A-EXC-01")
        return second

    found = caused(before, lambda: sender.send(spec), send, before.lacks_fields)
    if found and not found.call.record.has("A-SR-07"):
        what = "When the server has emptied the list of headers, as it may,"
        _blame_cause(found, "A-SR-07", what)


def untouchable(sender: Sender, spec: RequestSpec) -> None:
    """A-CALL-01: start_response is only called."""
    before = sender.behavior(spec)

    def send() -> Outcome:
        call = sender.send(spec, Variation("start_response is an object", untouchable=True))
        call.record.exercise("A-CALL-01")
        return call

    found = caused(before, lambda: sender.send(spec), send, before.differs)
    _blame_cause(found, "A-CALL-01", "When start_response is an object, not a function,")


def hop_by_hop(sender: Sender, spec: RequestSpec) -> None:
    """A-HTTP-02: headers of the connection do not concern the application."""
    before = sender.behavior(spec)
    for name, environ in HOP_BY_HOP.items():

        def send(name: str = name, environ: Mapping[str, object] = environ) -> Outcome:
            call = sender.send(spec, Variation(name, environ=environ))
            call.record.exercise("A-HTTP-02")
            return call

        def judge(call: Outcome, environ: Mapping[str, object] = environ) -> Difference | None:
            return before.differs(call, [*environ, *environ.values()])

        found = caused(before, lambda: sender.send(spec), send, judge)
        if _blame_cause(found, "A-HTTP-02", f"With {' and '.join(environ)} in environ"):
            return


def strange_text(sender: Sender, spec: RequestSpec) -> None:
    """A-UNI-01: bytes that are not valid UTF-8 arrive as Latin-1, wherever a client can send
    them."""
    path, _, query = spec.target.partition("?")
    several = [
        replace(spec, target=f"{path.rstrip('/')}/{STRANGE_TEXT}"),
        replace(spec, target=f"{path}?{query}{'&' if query else ''}q={STRANGE_TEXT}"),
    ]
    for name in ("Cookie", "Referer", "User-Agent", "X-Text"):
        value = f"a={STRANGE_BYTES}" if name == "Cookie" else STRANGE_BYTES
        several.append(replace(spec, headers=(*spec.headers, (name, value))))

    def cannot_decode(call: Outcome) -> Difference | None:
        return difference_of(call.raised) if isinstance(call.raised, UnicodeError) else None

    for one in several:

        def send(one: RequestSpec = one) -> Outcome:
            call = sender.send(one)
            call.record.exercise("A-UNI-01")
            return call

        found = caused(sender.behavior(spec), lambda: sender.send(spec), send, cannot_decode)
        if found and not isinstance(sender.behavior(spec).call.raised, UnicodeError):
            _blame_cause(found, "A-UNI-01", "With text that is not valid UTF-8")


def client_leaves(sender: Sender, spec: RequestSpec) -> None:
    """A-ITER-04: the iterable may be closed at any block."""
    before = sender.behavior(spec)
    if before.call.raised is not None:
        return
    for blocks in sorted({0, 1, before.call.items // 2}):
        variation = Variation(f"the client disconnects after {blocks} blocks", blocks_max=blocks)
        call, unclosed = _left_open(sender, spec, variation)
        call.record.exercise("A-ITER-04")
        # What the complete response leaves open too is not caused by closing early.
        if unclosed and not _left_open(sender, spec, Variation())[1]:
            what = f"Closed early, it leaves something open: {shown(unclosed[0])}."
            kind = "Closed early, it leaves something open."
            call.record.report("A-ITER-04", what, words=(), kind=kind)
            return


def _left_open(
    sender: Sender, spec: RequestSpec, variation: Variation
) -> tuple[Outcome, list[str]]:
    """A call, and Python's warnings about files and sockets that it did not close."""
    gc.collect()  # leftovers of earlier calls
    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always", ResourceWarning)
        call = sender.send(spec, variation)
        call.result = None
        gc.collect()
    return call, [str(one.message) for one in unclosed if issubclass(one.category, ResourceWarning)]


def without_file_wrapper(sender: Sender, spec: RequestSpec) -> None:
    """A-FW-01: wsgi.file_wrapper is optional."""
    before = sender.behavior(spec)
    if "A-FW-01" not in before.call.record.exercised:
        return
    variation = Variation("without wsgi.file_wrapper", has_file_wrapper=False)
    found = caused(
        before,
        lambda: sender.send(spec),
        lambda: sender.send(spec, variation),
        lambda call: before.differs(call, removed=["wsgi.file_wrapper"]),
    )
    _blame_cause(found, "A-FW-01", "Without wsgi.file_wrapper", severity="warning")


def cache_and_range(sender: Sender, spec: RequestSpec) -> None:
    """A-HTTP-04: validators. A-HTTP-06: ranges. A-URL-01: URLs of the application itself."""
    before = sender.behavior(spec).call
    fields = {name.lower(): value for name, value in before.fields}
    if HERE in fields.get("location", "") or HERE.encode() in before.body:
        sender.record(spec).exercise("A-URL-01")
    if before.code != 200:
        return
    conditions = [
        (ours, fields[theirs])
        for theirs, ours in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
        if theirs in fields
    ]
    if conditions:
        call = sender.send(replace(spec, headers=(*spec.headers, *conditions)))
        call.record.exercise("A-HTTP-04")
        now = {name.lower(): value for name, value in call.fields}
        is_same = all(now.get(name) == fields.get(name) for name in ("etag", "last-modified"))
        if call.code == 200 and is_same:
            what = "It responds with 200 and the body to a client that has the same version."
            call.record.report("A-HTTP-04", what, severity="information", words=())
    if "bytes" in fields.get("accept-ranges", ""):
        call = sender.send(replace(spec, headers=(*spec.headers, ("Range", "bytes=0-0"))))
        call.record.exercise("A-HTTP-06")
        if call.code not in (206, 416):
            what = f"It sends Accept-Ranges: bytes, and responds to a range with {call.code}."
            call.record.report("A-HTTP-06", what, severity="information", words=("Accept-Ranges",))


def bounded_input(sender: Sender, spec: RequestSpec) -> None:
    """A-IN-01: if wsgi.input may not end, at most CONTENT_LENGTH bytes are read."""
    before = sender.behavior(spec)
    variation = Variation("wsgi.input does not end", input_ends=False)
    found = caused(
        before, lambda: sender.send(spec), lambda: sender.send(spec, variation), before.differs
    )
    _blame_cause(found, "A-IN-01", "Without wsgi.input_terminated")


def while_it_arrives(sender: Sender, spec: RequestSpec) -> None:
    """The length of the body is unknown, or the client disconnects after half of it."""
    # iotax reads a chunked body before the call; other servers call without CONTENT_LENGTH.
    variation = Variation(
        "a chunked body, without CONTENT_LENGTH", environ={"CONTENT_LENGTH": None}
    )
    sender.send(spec, variation, chunked=True, buffered=False)
    variation = Variation("the client disconnects in the body")
    call = sender.send(spec, variation, buffered=False, half=True)
    if isinstance(call.raised, OSError):
        call.record.forget("A-EXC-01")


def configuration(sender: Sender, spec: RequestSpec) -> None:
    """A-CFG-02: files named by variables of the deployment are read once, not in every call."""
    files = {os.path.abspath(text) for text in sender.environ.values() if os.path.isfile(text)}
    if not files:
        return
    opened = sender.count_opens(files, lambda: [sender.send(spec) for _ in range(10)])
    record = sender.record(spec)
    record.exercise("A-CFG-02")
    for file, times in opened.items():
        if times >= 10:
            what = f"It opens {os.path.basename(file)}, which environ names, in every call."
            record.report("A-CFG-02", what, severity="information", words=())


Scenario = Callable[[Sender, RequestSpec], None]

FOR_ANY: Final[Mapping[str, Scenario]] = {"plain": plain}
FOR_SAFE: Final[Mapping[str, Scenario]] = {
    "plain": plain,
    "untouchable": untouchable,
    "header_list": header_list,
    "client_leaves": client_leaves,
    "interleaved": interleaved,
    "empty_and_absent": empty_and_absent,
    "minimal": minimal,
    "flags": flags,
    "run_once": run_once,
    "hop_by_hop": hop_by_hop,
    "strange_text": strange_text,
    "without_file_wrapper": without_file_wrapper,
    "cache_and_range": cache_and_range,
    "configuration": configuration,
}
FOR_BODIES: Final[Mapping[str, Scenario]] = {
    "plain": plain,
    "untouchable": untouchable,
    "bounded_input": bounded_input,
    "while_it_arrives": while_it_arrives,
}
SCENARIOS: Final = {**FOR_ANY, **FOR_SAFE, **FOR_BODIES}


def scenarios_for(spec: RequestSpec) -> Mapping[str, Scenario]:
    """The scenarios for a request: all for GET, few if a call may change something."""
    if spec.method == "GET" and not spec.body:
        return FOR_SAFE
    return FOR_BODIES if spec.body else FOR_ANY


def _may_be_empty(spec: RequestSpec, name: str) -> bool:
    if name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return not spec.body
    return name != "QUERY_STRING" or "?" not in spec.target


def _blame_cause(
    found: Caused | None,
    clause: str,
    how: str,
    more: str = "",
    *,
    severity: Severity | None = None,
) -> bool:
    """Report `found` as "HOW DIFFERENCE MORE.". Returns False if it is None."""
    if found is None:
        return False
    for call in found.later:
        call.record.forget("A-EXC-01")
    found.call.record.for_good = found.for_good
    report_difference(found.call, clause, how, found.difference, severity, more)
    return True


def opens_counted(files: set[str], counts: dict[str, int]) -> Callable[[str, Any], None]:
    """A hook for sys.addaudithook() that counts how often each of `files` is opened."""

    def saw(event: str, args: Any) -> None:
        if event == "open" and isinstance(args[0], str):
            path = os.path.abspath(args[0])
            if path in files:
                counts[path] = counts.get(path, 0) + 1

    return saw
