"""What is done with one request: sent as it is, and sent in every manner that PEP 3333 leaves to a
server. Each scenario blames a clause where the application behaves differently from before.

A difference is an exception or another status; another body too, where the body is the same each
time and does not simply show what was changed.
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from iotax.check.findings import Severity
from iotax.check.guard import MAY_BE_EMPTY, GuardedCall, Manner, TimeIsUp
from iotax.check.place import of_error
from iotax.check.record import shown
from iotax.check.requests import RequestSpec

if TYPE_CHECKING:
    from iotax.check.player import Player

TIMES: Final = 3
GUARANTEED: Final = frozenset(
    {
        *MAY_BE_EMPTY,
        *("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"),
    }
)
HOP_BY_HOP: Final[Mapping[str, Mapping[str, object]]] = {
    "connection close": {"HTTP_CONNECTION": "close", "HTTP_TE": "trailers"},
    # Not to websocket: who answers that has an extension of its server's.
    "upgrade": {"HTTP_CONNECTION": "Upgrade, HTTP2-Settings", "HTTP_UPGRADE": "h2c"},
    "keep-alive": {"HTTP_CONNECTION": "keep-alive", "HTTP_KEEP_ALIVE": "timeout=5"},
    "chunked already decoded": {"HTTP_TRANSFER_ENCODING": "chunked"},
}
HERE: Final = "http://localhost"  # as in Host
STRANGE_TEXT: Final = "caf%C3%A9%FF"
STRANGE_BYTES: Final = "caf\xc3\xa9\xff"


@dataclass(frozen=True)
class Behaviour:
    """How the application answers a request that is sent as it is. `steady`: the same each
    time."""

    call: GuardedCall
    steady: bool

    def differs(self, other: GuardedCall, added: Iterable[object] = ()) -> str:
        """What is different in `other`, as the end of a sentence; empty: nothing. `added`: values
        that its environ has and the former did not."""
        before = self.call
        if other.raised is not None:
            if before.raised is not None:
                return ""
            return f"it fails with {type(other.raised).__name__}: {shown(str(other.raised))}"
        if other.code != before.code:
            return f"it answers {other.status or 'nothing'!r} instead of {before.status!r}"
        if not self.steady or other.cut_off or other.body == before.body:
            return ""
        body = bytes(other.body)
        echoes = any(str(value).encode("latin-1", "replace") in body for value in added if value)
        return "" if echoes else "its body is another one"

    def fails(self, other: GuardedCall) -> str:
        """As differs(), but only where a client would not get what it asked for."""
        is_worse = other.raised is not None or other.code >= 400
        return self.differs(other) if is_worse and self.call.code < 400 else ""


def plain(player: "Player", spec: RequestSpec) -> None:
    """The request as it is, several times. A-CALL-03."""
    player.behaviour(spec)


def learn(player: "Player", spec: RequestSpec) -> Behaviour:
    calls: list[GuardedCall] = []
    for _ in range(TIMES if spec.method == "GET" else 2):
        calls.append(player.send(spec))
        if isinstance(calls[-1].raised, TimeIsUp):
            break
    first = calls[0]
    for call in calls[1:]:
        first.record.exercise("A-CALL-03")
        said = Behaviour(first, steady=False).differs(call)
        if not said and first.bytes and call.complete and not call.bytes:
            said = "its body is empty"
        worse = call.raised is not None or call.code >= 500 or not call.bytes
        if said and worse and first.raised is None and first.code < 500:
            for later in calls:
                later.record.forget("A-EXC-01")
            _blame(call, "A-CALL-03", f"Called again with the same request {said}.")
            break
    steady = all(
        (one.status, one.body) == (two.status, two.body) and one.fields == two.fields
        for one, two in pairwise(calls)
    )
    return Behaviour(first, steady and len(calls) >= TIMES)


def interleaved(player: "Player", spec: RequestSpec) -> None:
    """Two requests, the second begun before the first is iterated. A-CALL-03."""
    before = player.behaviour(spec)
    if not before.steady or before.call.raised is not None:
        return
    first, second = player.send_interleaved(spec)
    for call in (first, second):
        call.record.exercise("A-CALL-03")
        if said := before.differs(call):
            what = f"While another request is answered in the same thread {said}."
            _blame(call, "A-CALL-03", what)


def empty_and_absent(player: "Player", spec: RequestSpec) -> None:
    """A-ENV-02: a variable that may be empty may be absent."""
    before = player.behaviour(spec)
    names = [name for name in MAY_BE_EMPTY if _may_be_empty(spec, name)]
    for left_out in [[name] for name in names] + [names]:
        empty = player.send(spec, Manner("empty", environ=dict.fromkeys(left_out, "")))
        absent = player.send(spec, Manner("absent", environ=dict.fromkeys(left_out)))
        absent.record.exercise("A-ENV-02")
        listed = " and ".join(left_out)
        if "PATH_INFO" not in left_out and (said := before.fails(empty)):
            _blame(empty, "A-ENV-02", f"With {listed} empty {said}.")
        elif said := Behaviour(empty, before.steady).fails(absent):
            _blame(absent, "A-ENV-02", f"Without {listed} {said}.")
            return


def minimal(player: "Player", spec: RequestSpec) -> None:
    """A-ENV-03: only what every server has. A-CFG-01: without what the deployment sets."""
    before = player.behaviour(spec)
    gone = [name for name in player.names_seen if name not in GUARANTEED and name.isupper()]
    call = player.send(spec, Manner("minimal environ", environ=dict.fromkeys(gone)))
    call.record.exercise("A-ENV-03")
    if isinstance(call.raised, KeyError) and before.call.raised is None:
        _blame(call, "A-ENV-03", f"Without variables that servers need not set {_said(call)}.")
    if not player.environ:
        return
    call = player.send(spec, Manner("without settings", environ=dict.fromkeys(player.environ)))
    call.record.exercise("A-CFG-01")
    if isinstance(call.raised, KeyError) and before.call.raised is None:
        what = f"Without {' and '.join(player.environ)} {_said(call)}, which does not say so."
        _blame(call, "A-CFG-01", what)


def flags(player: "Player", spec: RequestSpec) -> None:
    """A-ENV-04: the flags are looked at for truth. A-ENV-05: run_once promises nothing."""
    names = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")
    for true, false in ((1, 0), ("yes", "")):
        for yes in (True, False):
            usual = dict(zip(names, (yes, yes, False), strict=True))
            other = {name: true if value else false for name, value in usual.items()}
            before = Behaviour(
                player.send(spec, Manner("flags", environ=usual)), player.behaviour(spec).steady
            )
            call = player.send(spec, Manner("flags of another type", environ=other))
            call.record.exercise("A-ENV-04")
            if said := before.differs(call, [true]):
                shown_as = f"{true!r} and {false!r} instead of True and False"
                _blame(call, "A-ENV-04", f"With flags that are {shown_as} {said}.")
                return


def run_once(player: "Player", spec: RequestSpec) -> None:
    before = player.behaviour(spec)
    for _ in range(TIMES):
        call = player.send(spec, Manner("run_once", environ={"wsgi.run_once": True}))
        call.record.exercise("A-ENV-05")
        if said := before.differs(call, [True]):
            _blame(call, "A-ENV-05", f"With wsgi.run_once true, called {TIMES} times, {said}.")
            return


def header_list(player: "Player", spec: RequestSpec) -> None:
    """A-SR-07: the list that start_response was given is the server's."""
    before = player.behaviour(spec)
    for _ in range(2):
        call = player.send(spec, Manner("the server empties the list", takes_headers=True))
        call.record.exercise("A-SR-07")
        said = before.differs(call)
        if not said and len(call.fields) < len(before.call.fields):
            said = "headers are missing"
        if said and not call.record.has("A-SR-07"):
            what = f"When the server has emptied the list of headers, as it may, {said}."
            _blame(call, "A-SR-07", what)
            return


def untouchable(player: "Player", spec: RequestSpec) -> None:
    """A-CALL-01: start_response is only called."""
    before = player.behaviour(spec)
    call = player.send(spec, Manner("start_response is an object", untouchable=True))
    call.record.exercise("A-CALL-01")
    if said := before.differs(call):
        _blame(call, "A-CALL-01", f"When start_response is an object, not a function, {said}.")


def hop_by_hop(player: "Player", spec: RequestSpec) -> None:
    """A-HTTP-02: fields of the connection say nothing to the application."""
    before = player.behaviour(spec)
    for name, environ in HOP_BY_HOP.items():
        call = player.send(spec, Manner(name, environ=environ))
        call.record.exercise("A-HTTP-02")
        if said := before.differs(call, environ.values()):
            listed = " and ".join(environ)
            _blame(call, "A-HTTP-02", f"With {listed} in environ {said}.")
            return


def strange_text(player: "Player", spec: RequestSpec) -> None:
    """A-UNI-01: bytes that are no UTF-8 come as Latin-1, wherever a client can put them."""
    path, _, query = spec.target.partition("?")
    several = [
        replace(spec, target=f"{path.rstrip('/')}/{STRANGE_TEXT}"),
        replace(spec, target=f"{path}?{query}{'&' if query else ''}q={STRANGE_TEXT}"),
    ]
    for name in ("Cookie", "Referer", "User-Agent", "X-Text"):
        value = f"a={STRANGE_BYTES}" if name == "Cookie" else STRANGE_BYTES
        several.append(replace(spec, headers=(*spec.headers, (name, value))))
    for one in several:
        call = player.send(one)
        call.record.exercise("A-UNI-01")
        if isinstance(call.raised, UnicodeError):
            _blame(call, "A-UNI-01", f"With text that is no UTF-8 {_said(call)}.")


def client_leaves(player: "Player", spec: RequestSpec) -> None:
    """A-ITER-04: the iterable may be closed at any block."""
    before = player.behaviour(spec)
    if before.call.raised is not None:
        return
    for blocks in sorted({0, 1, before.call.items // 2}):
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always", ResourceWarning)
            manner = Manner(f"the client leaves after {blocks} blocks", blocks_max=blocks)
            call = player.send(spec, manner)
            call.record.exercise("A-ITER-04")
            call.let_go()
            gc.collect()
        for warning in unclosed:
            if issubclass(warning.category, ResourceWarning):
                what = f"Closed early, it leaves something open: {shown(str(warning.message))}."
                call.record.report("A-ITER-04", what, words=())
                return


def without_file_wrapper(player: "Player", spec: RequestSpec) -> None:
    """A-FW-01: it need not be there."""
    before = player.behaviour(spec)
    if "A-FW-01" not in before.call.record.exercised:
        return
    call = player.send(spec, Manner("without wsgi.file_wrapper", has_file_wrapper=False))
    if said := before.differs(call):
        _blame(call, "A-FW-01", f"Without wsgi.file_wrapper {said}.", severity="warning")


def cache_and_range(player: "Player", spec: RequestSpec) -> None:
    """A-HTTP-04: validators. A-HTTP-06: ranges. A-URL-01: links to itself."""
    before = player.behaviour(spec).call
    fields = {name.lower(): value for name, value in before.fields}
    if HERE in fields.get("location", "") or HERE.encode() in before.body:
        player.record(spec).exercise("A-URL-01")
    if before.code != 200:
        return
    conditions = [
        (ours, fields[theirs])
        for theirs, ours in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
        if theirs in fields
    ]
    if conditions:
        call = player.send(replace(spec, headers=(*spec.headers, *conditions)))
        call.record.exercise("A-HTTP-04")
        if call.code == 200:
            what = "It answers 200, with the body, to a client that has the very same version."
            call.record.report("A-HTTP-04", what, severity="information", words=())
    if "bytes" in fields.get("accept-ranges", ""):
        call = player.send(replace(spec, headers=(*spec.headers, ("Range", "bytes=0-0"))))
        call.record.exercise("A-HTTP-06")
        if call.code not in (206, 416):
            what = f"It says Accept-Ranges: bytes, and answers {call.code} to a range."
            call.record.report("A-HTTP-06", what, severity="information", words=("Accept-Ranges",))


def bounded_input(player: "Player", spec: RequestSpec) -> None:
    """A-IN-01: where wsgi.input need not end, not a byte more than CONTENT_LENGTH is read."""
    before = player.behaviour(spec)
    call = player.send(spec, Manner("wsgi.input does not end", input_ends=False))
    if said := before.differs(call):
        _blame(call, "A-IN-01", f"Without wsgi.input_terminated {said}.")


def while_it_arrives(player: "Player", spec: RequestSpec) -> None:
    """The body comes while the application reads, or only half of it does and the client leaves."""
    player.send(spec, Manner("the body arrives late"), chunked=True, buffered=False)
    call = player.send(spec, Manner("the client leaves in the body"), buffered=False, half=True)
    if isinstance(call.raised, OSError):
        call.record.forget("A-EXC-01")


def configuration(player: "Player", spec: RequestSpec) -> None:
    """A-CFG-02: files that the deployment's variables name are read once, not in every call."""
    files = {os.path.abspath(text) for text in player.environ.values() if os.path.isfile(text)}
    if not files:
        return
    opened = player.count_opens(files, lambda: [player.send(spec) for _ in range(10)])
    record = player.record(spec)
    record.exercise("A-CFG-02")
    for file, times in opened.items():
        if times >= 10:
            what = f"It opens {os.path.basename(file)}, which environ names, in every call."
            record.report("A-CFG-02", what, severity="information", words=())


Scenario = Callable[["Player", RequestSpec], None]

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
    """Those that are played for a request: all for GET, few where a call may change something."""
    if spec.method == "GET" and not spec.body:
        return FOR_SAFE
    return FOR_BODIES if spec.body else FOR_ANY


def _may_be_empty(spec: RequestSpec, name: str) -> bool:
    if name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return not spec.body
    return name != "QUERY_STRING" or "?" not in spec.target


def _said(call: GuardedCall) -> str:
    return f"it fails with {type(call.raised).__name__}: {shown(str(call.raised))}"


def _blame(call: GuardedCall, clause: str, what: str, *, severity: Severity | None = None) -> None:
    """The way a request was sent made the difference: what the call itself reports of its failure
    is that."""
    call.record.forget("A-EXC-01")
    if call.record.has(clause):
        return
    place = of_error(call.raised) if call.raised is not None else None
    words = None if place is not None else ()
    call.record.report(clause, what, severity=severity, place=place, words=words)


def opens_counted(files: set[str], counts: dict[str, int]) -> Callable[[str, Any], None]:
    """For sys.addaudithook()."""

    def saw(event: str, args: Any) -> None:
        if event == "open" and isinstance(args[0], str):
            path = os.path.abspath(args[0])
            if path in files:
                counts[path] = counts.get(path, 0) + 1

    return saw
