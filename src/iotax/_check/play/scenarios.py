"""What is done with one request: sent as it is, and sent in every manner that PEP 3333 leaves to a
server. Each scenario blames a clause where the application behaves differently from before.

A difference is an exception or another status; another body too, where the body is the same each
time and does not simply show what was changed. It counts only if it is the manner that makes it:
the request is sent again several times as it is and in that manner by turns (see caused()), so that
a page with a clock, a counter or an advertisement, or one behind a limit of requests, is not
blamed.
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from iotax._check.observe.blame import of_error
from iotax._check.observe.guarded_call import MAY_BE_EMPTY, GuardedCall, Manner, TimeIsUp
from iotax._check.observe.record import shown
from iotax._check.report.findings import Severity
from iotax._check.requests import RequestSpec

if TYPE_CHECKING:
    from iotax._check.play.strict_server import Player

TIMES: Final = 3
# A page that shows one of two things at random is taken for a difference once in 4,000 times.
ROUNDS: Final = 6
SAFE: Final = ("GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH")
NOT_NOW: Final = (502, 503, 504, 507)  # RFC 9110 section 15.6, RFC 4918 section 11.5
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
class Difference:
    """`said`: the end of a sentence. `kind`: the same without values that may differ from call to
    call. `fails`: the client does not get its answer, through a fault of the application."""

    said: str
    kind: str
    fails: bool


Judge = Callable[[GuardedCall], Difference | None]


@dataclass
class Behaviour:
    """How the application answers a request that is sent as it is. `steady`: the same each time.
    `names`: of the header fields that it always has, in lower case."""

    call: GuardedCall
    steady: bool
    names: frozenset[str] = frozenset()

    def differs(
        self, other: GuardedCall, added: Iterable[object] = (), removed: Iterable[str] = ()
    ) -> Difference | None:
        """What is different in `other`; None: nothing. `added`: values that its environ has and the
        former did not; `removed`: names that it has not."""
        before = self.call
        if other.raised is not None:
            return _of_error(other.raised) if before.raised is None else None
        if other.code != before.code:
            said = f"it answers {other.status or 'nothing'!r} instead of {before.status!r}"
            kind = f"it answers {other.code} instead of {before.code}"
            return Difference(said, kind, _is_fault(other))
        if not self.steady or other.cut_off or other.body == before.body:
            return None
        now, then = bytes(other.body), bytes(before.body)
        echoes = any(str(value).encode("latin-1", "replace") in now for value in added if value)
        echoes = echoes or any(name.encode("latin-1", "replace") in then for name in removed)
        said = "its body is another one"
        return None if echoes else Difference(said, said, fails=not other.bytes)

    def fails(self, other: GuardedCall) -> Difference | None:
        """As differs(), but only where a client would not get what it asked for."""
        is_worse = other.raised is not None or other.code >= 400
        return self.differs(other) if is_worse and self.call.code < 400 else None

    def lacks_fields(self, other: GuardedCall) -> Difference | None:
        """As differs(), and header fields that are missing."""
        if found := self.differs(other):
            return found
        said = "headers are missing"
        is_missing = not self.names <= _names_of(other)
        return Difference(said, said, fails=True) if is_missing else None


def _of_error(error: BaseException) -> Difference:
    kind = f"it fails with {type(error).__name__}"
    return Difference(f"{kind}: {shown(str(error))}", kind, fails=True)


def _is_fault(call: GuardedCall) -> bool:
    """Whether the response reports a failure of the application itself: not an overload, a full
    disk or a failure of another server."""
    return call.raised is not None or (call.code >= 500 and call.code not in NOT_NOW)


def _names_of(call: GuardedCall) -> frozenset[str]:
    return frozenset(name.lower() for name, _ in call.fields)


@dataclass(frozen=True)
class Caused:
    """A difference that a manner makes, the first call that showed it, and the later ones that say
    the same. `for_good`: the application fails from then on, whatever the manner."""

    call: GuardedCall
    difference: Difference
    later: tuple[GuardedCall, ...]
    for_good: bool


def caused(
    before: Behaviour,
    usual: Callable[[], GuardedCall],
    other: Callable[[], GuardedCall],
    judge: Judge,
) -> Caused | None:
    """What `judge` finds different in other(), if other() is what makes it so; None: it finds
    nothing, or it comes and goes by itself.

    Both are sent by turns, ROUNDS times. other() makes the difference if it has it each time and
    usual() never has. The other way to make it is to break something for good: then both fail from
    there on. Where usual() has changed by itself, bodies are not compared any more.
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
        if _worse(first, call) and _stays_worse(player, spec, calls):
            _blame_repetition(first, call, calls)
            break
    steady = all(
        (one.status, one.body) == (two.status, two.body) and one.fields == two.fields
        for one, two in pairwise(calls)
    )
    names = frozenset.intersection(*map(_names_of, calls))
    # A method that changes something has done so in the first call: PUT makes, then replaces.
    usual = first if spec.method in SAFE or _is_fault(calls[-1]) else calls[-1]
    return Behaviour(usual, steady and len(calls) >= TIMES, names)


def _worse(first: GuardedCall, again: GuardedCall) -> Difference | None:
    """Why the response to the second of two equal requests shows that the application works only
    once; None: it does not. The state of the resource may have changed: PUT gets 201 and then 204,
    DELETE gets 204 and then 404 (RFC 9110 section 9.3)."""
    if _is_fault(first) or isinstance(again.raised, TimeIsUp):  # C-TIME-01 tells of the latter
        return None
    if _is_fault(again):
        return Behaviour(first, steady=False).differs(again)
    is_empty = first.bytes and again.complete and not again.bytes and again.code == first.code
    said = "its body is empty"
    is_same_iterable = first.gives_same_iterable(again)
    if is_empty and (first.method == "GET" or is_same_iterable):
        return Difference(said, said, fails=is_same_iterable)
    return None


def _stays_worse(player: "Player", spec: RequestSpec, calls: list[GuardedCall]) -> bool:
    """Whether no later call works: one that fails now and then is no proof."""
    first, *others = calls
    at = next(number for number, call in enumerate(others) if _worse(first, call))
    others = others[at:]
    for _ in range(TIMES):
        calls.append(player.send(spec))
        others.append(calls[-1])
    return all(_worse(first, call) for call in others)


def _blame_repetition(first: GuardedCall, call: GuardedCall, calls: list[GuardedCall]) -> None:
    for later in calls:
        later.record.forget("A-EXC-01")
    if difference := _worse(first, call):
        # A queue that was read is empty as well. An iterable that is returned twice is an error.
        severity: Severity = "error" if difference.fails else "warning"
        _blame(call, "A-CALL-03", "Called again with the same request", difference, severity)


def interleaved(player: "Player", spec: RequestSpec) -> None:
    """Two requests, the second begun before the first is iterated. A-CALL-03."""
    before = player.behaviour(spec)
    if not before.steady or before.call.raised is not None:
        return

    def both() -> GuardedCall:
        first, second = player.send_interleaved(spec)
        for call in (first, second):
            call.record.exercise("A-CALL-03")
        return first if before.differs(first) else second

    found = caused(before, lambda: player.send(spec), both, before.differs)
    _blame_cause(found, "A-CALL-03", "While another request is answered in the same thread")


def empty_and_absent(player: "Player", spec: RequestSpec) -> None:
    """A-ENV-02: a variable that may be empty may be absent."""
    before = player.behaviour(spec)
    names = [name for name in MAY_BE_EMPTY if _may_be_empty(spec, name)]
    for left_out in [[name] for name in names] + [names]:
        listed = " and ".join(left_out)

        def empty(left_out: list[str] = left_out) -> GuardedCall:
            return player.send(spec, Manner("empty", environ=dict.fromkeys(left_out, "")))

        def absent(left_out: list[str] = left_out) -> GuardedCall:
            call = player.send(spec, Manner("absent", environ=dict.fromkeys(left_out)))
            call.record.exercise("A-ENV-02")
            return call

        if "PATH_INFO" not in left_out:
            found = caused(before, lambda: player.send(spec), empty, before.fails)
            if _blame_cause(found, "A-ENV-02", f"With {listed} empty"):
                absent()
                continue
        with_empty = Behaviour(empty(), before.steady)
        found = caused(with_empty, empty, absent, with_empty.fails)
        if _blame_cause(found, "A-ENV-02", f"Without {listed}"):
            return


def minimal(player: "Player", spec: RequestSpec) -> None:
    """A-ENV-03: only what every server has. A-CFG-01: without what the deployment sets."""
    before = player.behaviour(spec)
    gone = [name for name in player.names_seen if name not in GUARANTEED and name.isupper()]

    def needs_a_name(call: GuardedCall) -> Difference | None:
        return before.differs(call) if isinstance(call.raised, KeyError) else None

    def send(clause: str, manner: str, left_out: Iterable[str]) -> GuardedCall:
        call = player.send(spec, Manner(manner, environ=dict.fromkeys(left_out)))
        call.record.exercise(clause)
        return call

    def usual() -> GuardedCall:
        return player.send(spec)

    found = caused(before, usual, lambda: send("A-ENV-03", "minimal environ", gone), needs_a_name)
    _blame_cause(found, "A-ENV-03", "Without variables that servers need not set")
    if not player.environ:
        return
    settings = player.environ
    found = caused(
        before, usual, lambda: send("A-CFG-01", "without settings", settings), needs_a_name
    )
    _blame_cause(found, "A-CFG-01", f"Without {' and '.join(settings)}", ", which does not say so")


def flags(player: "Player", spec: RequestSpec) -> None:
    """A-ENV-04: the flags are looked at for truth. A-ENV-05: run_once promises nothing."""
    names = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")
    for true, false in ((1, 0), ("yes", "")):
        for yes in (True, False):
            usual = dict(zip(names, (yes, yes, False), strict=True))
            other = {name: true if value else false for name, value in usual.items()}

            def send_usual(environ: Mapping[str, object] = usual) -> GuardedCall:
                return player.send(spec, Manner("flags", environ=environ))

            def send_other(environ: Mapping[str, object] = other) -> GuardedCall:
                call = player.send(spec, Manner("flags of another type", environ=environ))
                call.record.exercise("A-ENV-04")
                return call

            before = Behaviour(send_usual(), player.behaviour(spec).steady)

            def judge(
                call: GuardedCall, before: Behaviour = before, added: object = true
            ) -> Difference | None:
                return before.differs(call, [added])

            found = caused(before, send_usual, send_other, judge)
            shown_as = f"{true!r} and {false!r} instead of True and False"
            if _blame_cause(found, "A-ENV-04", f"With flags that are {shown_as}"):
                return


def run_once(player: "Player", spec: RequestSpec) -> None:
    before = player.behaviour(spec)

    def send() -> GuardedCall:
        call = player.send(spec, Manner("run_once", environ={"wsgi.run_once": True}))
        call.record.exercise("A-ENV-05")
        return call

    for _ in range(TIMES):
        found = caused(
            before, lambda: player.send(spec), send, lambda call: before.differs(call, [True])
        )
        what = f"With wsgi.run_once true, called {TIMES} times,"
        if _blame_cause(found, "A-ENV-05", what):
            return


def header_list(player: "Player", spec: RequestSpec) -> None:
    """A-SR-07: the list that start_response was given is the server's."""
    before = player.behaviour(spec)

    def send() -> GuardedCall:
        """Twice, since the first call has its headers before the list is emptied."""
        manner = Manner("the server empties the list", takes_headers=True)
        first, second = player.send(spec, manner), player.send(spec, manner)
        second.record.exercise("A-SR-07")
        if before.lacks_fields(second):
            first.record.forget("A-EXC-01")
        return second

    found = caused(before, lambda: player.send(spec), send, before.lacks_fields)
    if found and not found.call.record.has("A-SR-07"):
        what = "When the server has emptied the list of headers, as it may,"
        _blame_cause(found, "A-SR-07", what)


def untouchable(player: "Player", spec: RequestSpec) -> None:
    """A-CALL-01: start_response is only called."""
    before = player.behaviour(spec)

    def send() -> GuardedCall:
        call = player.send(spec, Manner("start_response is an object", untouchable=True))
        call.record.exercise("A-CALL-01")
        return call

    found = caused(before, lambda: player.send(spec), send, before.differs)
    _blame_cause(found, "A-CALL-01", "When start_response is an object, not a function,")


def hop_by_hop(player: "Player", spec: RequestSpec) -> None:
    """A-HTTP-02: fields of the connection say nothing to the application."""
    before = player.behaviour(spec)
    for name, environ in HOP_BY_HOP.items():

        def send(name: str = name, environ: Mapping[str, object] = environ) -> GuardedCall:
            call = player.send(spec, Manner(name, environ=environ))
            call.record.exercise("A-HTTP-02")
            return call

        def judge(call: GuardedCall, environ: Mapping[str, object] = environ) -> Difference | None:
            return before.differs(call, [*environ, *environ.values()])

        found = caused(before, lambda: player.send(spec), send, judge)
        if _blame_cause(found, "A-HTTP-02", f"With {' and '.join(environ)} in environ"):
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

    def cannot_decode(call: GuardedCall) -> Difference | None:
        return _of_error(call.raised) if isinstance(call.raised, UnicodeError) else None

    for one in several:

        def send(one: RequestSpec = one) -> GuardedCall:
            call = player.send(one)
            call.record.exercise("A-UNI-01")
            return call

        found = caused(player.behaviour(spec), lambda: player.send(spec), send, cannot_decode)
        if found and not isinstance(player.behaviour(spec).call.raised, UnicodeError):
            _blame_cause(found, "A-UNI-01", "With text that is no UTF-8")


def client_leaves(player: "Player", spec: RequestSpec) -> None:
    """A-ITER-04: the iterable may be closed at any block."""
    before = player.behaviour(spec)
    if before.call.raised is not None:
        return
    for blocks in sorted({0, 1, before.call.items // 2}):
        manner = Manner(f"the client leaves after {blocks} blocks", blocks_max=blocks)
        call, unclosed = _left_open(player, spec, manner)
        call.record.exercise("A-ITER-04")
        # What the whole answer leaves open too has nothing to do with leaving early.
        if unclosed and not _left_open(player, spec, Manner())[1]:
            what = f"Closed early, it leaves something open: {shown(unclosed[0])}."
            kind = "Closed early, it leaves something open."
            call.record.report("A-ITER-04", what, words=(), kind=kind)
            return


def _left_open(
    player: "Player", spec: RequestSpec, manner: Manner
) -> tuple[GuardedCall, list[str]]:
    """A call, and what Python says of files and sockets that were left to the garbage collector."""
    gc.collect()  # what former calls left
    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always", ResourceWarning)
        call = player.send(spec, manner)
        call.let_go()
        gc.collect()
    return call, [str(one.message) for one in unclosed if issubclass(one.category, ResourceWarning)]


def without_file_wrapper(player: "Player", spec: RequestSpec) -> None:
    """A-FW-01: it need not be there."""
    before = player.behaviour(spec)
    if "A-FW-01" not in before.call.record.exercised:
        return
    manner = Manner("without wsgi.file_wrapper", has_file_wrapper=False)
    found = caused(
        before,
        lambda: player.send(spec),
        lambda: player.send(spec, manner),
        lambda call: before.differs(call, removed=["wsgi.file_wrapper"]),
    )
    _blame_cause(found, "A-FW-01", "Without wsgi.file_wrapper", severity="warning")


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
        now = {name.lower(): value for name, value in call.fields}
        is_same = all(now.get(name) == fields.get(name) for name in ("etag", "last-modified"))
        if call.code == 200 and is_same:
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
    manner = Manner("wsgi.input does not end", input_ends=False)
    found = caused(
        before, lambda: player.send(spec), lambda: player.send(spec, manner), before.differs
    )
    _blame_cause(found, "A-IN-01", "Without wsgi.input_terminated")


def while_it_arrives(player: "Player", spec: RequestSpec) -> None:
    """The body has no length that the server knows, or only half of it comes and the client
    leaves."""
    # iotax counts a chunked body before the call; other servers call without CONTENT_LENGTH.
    manner = Manner("a chunked body, without CONTENT_LENGTH", environ={"CONTENT_LENGTH": None})
    player.send(spec, manner, chunked=True, buffered=False)
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


def _blame_cause(
    found: Caused | None,
    clause: str,
    how: str,
    more: str = "",
    *,
    severity: Severity | None = None,
) -> bool:
    """`found` is told as "HOW DIFFERENCE MORE.". False: there is nothing to tell."""
    if found is None:
        return False
    for call in found.later:
        call.record.forget("A-EXC-01")
    found.call.record.for_good = found.for_good
    _blame(found.call, clause, how, found.difference, severity, more)
    return True


def _blame(
    call: GuardedCall,
    clause: str,
    how: str,
    difference: Difference,
    severity: Severity | None = None,
    more: str = "",
) -> None:
    """The way a request was sent made the difference: what the call itself reports of its failure
    is that."""
    call.record.forget("A-EXC-01")
    if call.record.has(clause):
        return
    place = of_error(call.raised) if call.raised is not None else None
    words = None if place is not None else ()
    what, kind = f"{how} {difference.said}{more}.", f"{how} {difference.kind}{more}."
    call.record.report(clause, what, severity=severity, place=place, words=words, kind=kind)


def opens_counted(files: set[str], counts: dict[str, int]) -> Callable[[str, Any], None]:
    """For sys.addaudithook()."""

    def saw(event: str, args: Any) -> None:
        if event == "open" and isinstance(args[0], str):
            path = os.path.abspath(args[0])
            if path in files:
                counts[path] = counts.get(path, 0) + 1

    return saw
