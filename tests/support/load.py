"""Load that records the outcome of every request.

Many clients, each a thread with a plain socket; nothing is retried without the test. Every request
has a token of its own, which the application (e2e/apps/echoes.py) puts into the response together
with its process id; every response is checked: status, framing, the complete body, no bytes after
it, and the close that it announced.

A request is lost if it was written, completely or in part, and got no complete response, for any
reason. RFC 9112 9.5 lets a client repeat a GET whose connection was closed under it, but a proxy
may not repeat a POST, so it counts here too. A server can avoid it: a server that closes a
connection announces it in the response before. So a server that keeps idle connections for one more
request while it drains loses none, if clients do not pause for as long as it waits: PAUSE_MS is far
below every such time (2 s after TERM, --keep-alive otherwise).

Not lost: a connection that was found closed before the first byte of the next request, which then
uses a new one (`closed_idle`); a client that is refused after `stopping()` (`refused_late`).
"""

import collections
import enum
import hashlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from . import patience
from .wire import Answer, Connection, Ended

PAUSE_MS = 400
STREAM_MS = (200, 500)
UPLOAD_BYTES = 20_000


class Fate(enum.StrEnum):
    """Outcomes of a request without a correct response."""

    WRONG = "wrong"  # a wrong response, or bytes that are not a response
    BROKEN = "broken"  # a response started, and the connection ended before its end
    UNANSWERED = "unanswered"  # the connection ended without a response
    SILENT = "silent"  # no bytes arrive, and the connection stays open
    REFUSED = "refused"  # connecting failed


@dataclass(frozen=True)
class Failure:
    fate: Fate
    token: str
    worker: int | None  # that sent the last bytes on this connection; None: none
    reused: bool  # not the first request of its connection
    began: float  # time.monotonic() before connecting or writing
    ended: float
    detail: str


@dataclass
class Report:
    """The outcomes of all requests so far."""

    answered: int = 0
    closed_idle: int = 0
    refused_late: int = 0
    announced: int = 0  # responses that said close although the client had not asked for it
    workers: collections.Counter[int] = field(default_factory=collections.Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def wrong(self) -> list[Failure]:
        return [one for one in self.failures if one.fate is Fate.WRONG]

    @property
    def lost(self) -> list[Failure]:
        return [one for one in self.failures if one.fate is not Fate.WRONG]

    def count(self, fate: Fate) -> int:
        return sum(one.fate is fate for one in self.failures)

    def explained(self, victim: int, began: float, died: float) -> list[Failure]:
        """The failures that the exit of process `victim` between `began` and `died` explains:
        they are visible, were in progress then, and no other process had responded on their
        connection."""
        visible = (Fate.BROKEN, Fate.UNANSWERED)
        return [
            one
            for one in self.failures
            if one.fate in visible
            and one.worker in (victim, None)
            and one.began <= died
            and one.ended >= began
        ]

    def __str__(self) -> str:
        kinds = ", ".join(f"{self.count(fate)} {fate}" for fate in Fate)
        lines = [
            f"{self.answered} answered by {len(self.workers)} processes, {kinds},"
            f" {self.closed_idle} idle connections closed, {self.announced} closes announced,"
            f" {self.refused_late} refused late"
        ]
        lines += [str(one) for one in self.failures[:5]]
        return "\n".join(lines)

    def must_be_clean(self, *, closed_idle: bool = False) -> None:
        """Every request got a correct response; `closed_idle`: idle connections may be closed."""
        assert self.answered, "there was no load"
        assert not self.failures, str(self)
        assert closed_idle or not self.closed_idle, str(self)


class Load:
    """`with Load(port) as load:` sends requests until the end of the block; `load.report` has
    the outcomes."""

    def __init__(
        self, port: int, sorts: "Sequence[type[Client]] | None" = None, *, seed: int = 1
    ) -> None:
        self.port = port
        self.report = Report()
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._stopping = False
        self._clients = [
            sort(self, f"{seed}-{number}", random.Random(f"{seed}-{number}"))
            for number, sort in enumerate(sorts or mix())
        ]
        self._threads = [
            threading.Thread(target=client.run, name=f"client {client.name}", daemon=True)
            for client in self._clients
        ]

    def start(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> Report:
        """Let every client finish its request, and return the report."""
        self._over.set()
        return self.join()

    def join(self) -> Report:
        """Wait for clients that end by themselves, because they are refused after stopping()."""
        deadline = time.monotonic() + 2 * patience.SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        assert not left, f"{', '.join(left)} did not end: {self.report}"
        return self.report

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stopping(self) -> None:
        """From now on the server may refuse connections; a refused client ends."""
        self._stopping = True

    # ---- for tests to wait

    def wait_for_answers(self, count: int, *, by: Iterable[int] = ()) -> None:
        """Wait until `count` more requests got a correct response, by each of the processes `by`
        if given."""
        processes = list(by)

        def found() -> list[int]:
            if not processes:
                return [self.report.answered]
            return [self.report.workers[one] for one in processes]

        with self._changed:
            before = found()
        what = f"{count} more answers" + (f" by each of {processes}" if processes else "")
        self.wait_until(
            lambda: all(now - then >= count for now, then in zip(found(), before, strict=True)),
            what,
        )

    def wait_for_workers(self, count: int) -> None:
        """Wait until this number of processes has responded since the start."""
        self.wait_until(lambda: len(self.report.workers) >= count, f"{count} processes")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """`condition` is evaluated after each event of a request."""
        with self._changed:
            # Longer than a client waits, so that silence is detected as such.
            came = self._changed.wait_for(condition, 2 * patience.SECONDS)
        assert came, f"no {what}: {self.report}"

    # ---- for the clients

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    def pause(self, seconds: float) -> None:
        self._over.wait(seconds)

    def note(self, change: Callable[[Report], None]) -> None:
        with self._changed:
            change(self.report)
            self._changed.notify_all()


@dataclass
class Request:
    token: str
    pieces: list[bytes]
    body: bytes  # of the correct response
    closes: bool = False  # asks the server to close the connection


class _Wrong(Exception):
    """The response is not correct; the text says why."""


class Client:
    """One request after the other, as fast as responses arrive."""

    def __init__(self, load: Load, name: str, dice: random.Random) -> None:
        self.name = name
        self.dice = dice
        self._load = load
        self._numbers = itertools.count()

    # ---- differences between the kinds

    def request(self) -> Request:
        token = self.token()
        return Request(token, [_head("GET", f"/echo/{token}")], f"{token}\n".encode())

    def before_next(self) -> None:
        """Between a response and the next request of the same connection."""

    def keeps(self) -> bool:
        """Whether the connection is used again after a response that allows it."""
        return True

    def token(self) -> str:
        return f"{self.name}-{next(self._numbers)}"

    # ---- the same for all

    def run(self) -> None:
        while not self._load.is_over:
            began = time.monotonic()
            try:
                connection = Connection(self._load.port)
            except (ConnectionRefusedError, ConnectionResetError, TimeoutError) as why:
                if self._load.is_stopping and isinstance(why, ConnectionRefusedError):
                    self._load.note(_one_refused_late)
                    return
                self._fail(Fate.REFUSED, Exchange(self.token(), began), repr(why))
                self._load.pause(0.02)
                continue
            with connection:
                self._use(connection, began)

    def _use(self, connection: Connection, began: float) -> None:
        """Send requests until the connection, opened at that time, or the load ends."""
        worker = None
        for number in itertools.count():
            if number:
                if self._load.is_over or not self.keeps():
                    return
                self.before_next()
                began = time.monotonic()
            request = self.request()
            exchange = Exchange(request.token, began, worker, reused=number > 0)
            if number and not connection.is_silent():
                self._note_idle_end(connection, exchange)
                return
            if not self._ask(connection, request, exchange):
                return
            worker = exchange.worker

    def _note_idle_end(self, connection: Connection, exchange: "Exchange") -> None:
        try:
            unasked = connection.receive()
        except ConnectionResetError:
            unasked = b""
        if unasked:
            self._fail(Fate.WRONG, exchange, f"unasked: {unasked[:200]!r}")
        else:
            self._load.note(_one_closed_idle)

    def _ask(self, connection: Connection, request: Request, exchange: "Exchange") -> bool:
        """Write the request and judge the response. Returns whether the connection continues."""
        sent = 0
        try:
            for piece in request.pieces:
                connection.send(piece)
                sent += 1
        except (BrokenPipeError, ConnectionResetError):
            # A response may still have arrived, if the server did not want to read the whole
            # request.
            if sent == 0 and exchange.reused:
                self._load.note(_one_closed_idle)
                return False
        begun = False
        try:
            begun = connection.begins()
            if not begun:
                raise Ended("instead of a response")
            goes_on = _judge(connection, request, exchange)
        except (Ended, ConnectionResetError, BrokenPipeError) as why:
            self._fail(Fate.BROKEN if begun else Fate.UNANSWERED, exchange, repr(why))
            return False
        except TimeoutError as why:
            self._fail(Fate.SILENT, exchange, repr(why))
            return False
        except (_Wrong, AssertionError, ValueError) as why:
            self._fail(Fate.WRONG, exchange, repr(why))
            return False

        def note(report: Report) -> None:
            report.answered += 1
            report.workers[exchange.worker or 0] += 1
            report.announced += not goes_on and not request.closes

        self._load.note(note)
        return goes_on

    def _fail(self, fate: Fate, exchange: "Exchange", detail: str) -> None:
        failure = Failure(
            fate,
            exchange.token,
            exchange.worker,
            exchange.reused,
            exchange.began,
            time.monotonic(),
            detail,
        )
        self._load.note(lambda report: report.failures.append(failure))


@dataclass
class Exchange:
    """One request in progress."""

    token: str
    began: float
    worker: int | None = None
    reused: bool = False


class Fresh(Client):
    """A new connection for each request; half of them announce that to the server."""

    def request(self) -> Request:
        token = self.token()
        closes = self.dice.random() < 0.5
        head = _head("GET", f"/echo/{token}", *(["Connection: close"] if closes else []))
        return Request(token, [head], f"{token}\n".encode(), closes)

    def keeps(self) -> bool:
        return False


class Pausing(Client):
    """Idle most of the time, with a connection that it will use again."""

    def before_next(self) -> None:
        self._load.pause(self.dice.uniform(0, PAUSE_MS / 1000))


class Streaming(Client):
    """Responses that take some time, so that a draining worker has to wait."""

    def request(self) -> Request:
        token = self.token()
        path = f"/stream/{token}?ms={self.dice.randint(*STREAM_MS)}"
        lines = [f"{token} {number}\n" for number in [*range(5), "end"]]
        return Request(token, [_head("GET", path)], "".join(lines).encode())


class Uploading(Client):
    """A body in two pieces."""

    def request(self) -> Request:
        token = self.token()
        content = self.dice.randbytes(UPLOAD_BYTES)
        head = _head("POST", f"/digest/{token}", f"Content-Length: {len(content)}")
        digest = hashlib.sha256(content).hexdigest()
        middle = len(content) // 2
        pieces = [head + content[:middle], content[middle:]]
        return Request(token, pieces, f"{token} {digest}\n".encode())


def mix(
    *, steady: int = 8, fresh: int = 4, pausing: int = 8, streaming: int = 2, uploading: int = 2
) -> list[type[Client]]:
    """This number of clients of each kind."""
    counts = {
        Client: steady,
        Fresh: fresh,
        Pausing: pausing,
        Streaming: streaming,
        Uploading: uploading,
    }
    return [sort for sort, count in counts.items() for _ in range(count)]


def _head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *fields, "", ""]).encode()


def _judge(connection: Connection, request: Request, exchange: Exchange) -> bool:
    """Read the response to its end. Returns whether the connection continues.

    Errors: Ended, ConnectionResetError, TimeoutError, as raised by the connection; _Wrong,
    AssertionError and ValueError for an incorrect response.
    """
    answer = connection.head()
    worker = answer.get("X-Worker")
    exchange.worker = int(worker) if worker else exchange.worker
    body = _body(connection, answer)
    if answer.status != 200:
        raise _Wrong(f"{answer.status} {answer.reason}: {body[:200]!r}")
    if body != request.body:
        raise _Wrong(f"{body[:200]!r} instead of {request.body[:200]!r}")
    if request.closes or (answer.get("Connection") or "").lower() == "close":
        _expect_end(connection)
        return False
    return True


def _body(connection: Connection, answer: Answer) -> bytes:
    if (answer.get("Transfer-Encoding") or "").lower() == "chunked":
        if answer.get("Content-Length") is not None:
            raise _Wrong("chunked, with a length")
        body = b""
        while data := connection.chunk():
            body += data
        return body
    length = answer.get("Content-Length")
    if length is None:
        raise _Wrong("neither chunked nor with a length")
    return connection.exactly(int(length))


def _expect_end(connection: Connection) -> None:
    try:
        more = connection.receive()
    except ConnectionResetError:
        return  # after the last byte of the response, as announced
    except TimeoutError:
        raise _Wrong("the announced close does not happen") from None
    if more:
        raise _Wrong(f"after the last response: {more[:200]!r}")


def _one_closed_idle(report: Report) -> None:
    report.closed_idle += 1


def _one_refused_late(report: Report) -> None:
    report.refused_late += 1


def runs(path: object) -> collections.Counter[str]:
    """The number of calls for each token, from the file that RAN names."""
    with open(str(path)) as lines:
        return collections.Counter(line.split()[0] for line in lines)
