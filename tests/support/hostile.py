"""Hostile clients and wrong applications as data: one row for each thing that somebody does.

e2e/test_bad_applications.py and e2e/test_starvation.py ask iotax, conformance/starve asks any
server. The application is e2e/apps/bad.py.
"""

import contextlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from . import patience
from .wire import SMALL, Connection, Ended

CASES = Path(__file__).resolve().parent.parent.parent / "conformance/http1"
APPLICATION = "bad:application"
HELLO = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"


def get(path: str, method: str = "GET", *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *fields, "", ""]).encode()


# ---- one exchange: a request that is wrong, or an application that is


@dataclass(frozen=True)
class Exchange:
    """`sends` goes out in one piece. `iotax`: what outcome() says of iotax. `log`: what its log
    says; empty: nothing is asked of it."""

    does: str
    sends: bytes
    iotax: str
    log: str = ""
    method: str = "GET"
    answers: int = 1
    content: bytes = b""  # sent behind a 100
    half_closes: bool = False


def outcome(port: int, row: Exchange, seconds: float | None = None) -> str:
    """What a client sees, in words: the answers, then what becomes of another request over the same
    connection: "then 200", "closes", or "waits" when nothing comes for `seconds` (without: for as
    long as tests wait)."""
    seen: list[str] = []
    with Connection(port) as connection:
        connection.socket.settimeout(seconds or patience.SECONDS)
        try:
            connection.socket.sendall(row.sends)
            if row.half_closes:
                connection.end_sending()
            for _ in range(row.answers):
                _see_answer(connection, row, seen)
            if not row.half_closes:
                connection.socket.sendall(HELLO)
            seen.append(f"then {connection.answer().status}")
        except TimeoutError:
            seen.append("waits")
        except (Ended, ConnectionError):
            seen.append("closes")
        except (AssertionError, ValueError):
            seen.append("then bytes that are no answer")
    return ", ".join(seen)


def _see_answer(connection: Connection, row: Exchange, seen: list[str]) -> None:
    """Each status line, and what is wrong with the answer."""
    status = 0
    while status < 200:
        answer = connection.answer(row.method)
        status = answer.status
        seen.append(str(status))
        if status == 100:
            connection.socket.sendall(row.content)
    if not answer.complete:
        seen.append(f"breaks off after {len(answer.body)} octets")
    said = [value.lower() for name, value in answer.fields if name.lower() == "connection"]
    if status < 400 and "close" in said:
        seen.append(f"says {' and '.join(said)}")
    if answer.get("X-Injected"):
        seen.append("injected")


def case(name: str) -> bytes:
    """The octets of a case of conformance/http1."""
    for file in CASES.glob("*.jsonl"):
        for line in file.read_text("ascii").splitlines():
            entry = json.loads(line)
            if entry["id"] == name:
                return str(entry["raw"]).encode("latin-1")
    raise LookupError(f"no case {name}")


REFUSED = "400, closes"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

REQUESTS = (
    Exchange("Transfer-Encoding: gzip", case("te-bad-gzip"), "501, closes"),
    Exchange("TE identity and a Content-Length", case("te-cl-te-identity"), REFUSED),
    Exchange("TE chunked and a Content-Length", case("te-clte"), REFUSED),
    Exchange("two different Content-Lengths", case("cl-dup-diff-05"), REFUSED),
    Exchange("Content-Length: +5", case("cl-bad-plus"), REFUSED),
    Exchange("bare LF as line end", case("rl-lf-everywhere"), REFUSED),
    Exchange("space before the colon", case("hn-bad-sp-colon"), REFUSED),
    Exchange("folded field", case("of-sp"), REFUSED),
    Exchange("no Host", case("h-missing"), REFUSED),
    Exchange("control octet in the path", case("t-ctl"), REFUSED),
    Exchange("raw UTF-8 in the path", case("t-utf8"), REFUSED),
    Exchange("path of 20 kB", case("lm-target-20k"), "414, closes"),
    Exchange("TLS on a clear port", case("rl-tls-hello"), REFUSED),
    Exchange("HTTP/2 preface", PREFACE, "505, closes"),
    Exchange(
        "half-close after the request",
        get("/digest", "POST", "Content-Length: 5") + b"whole",
        "200, closes",
        half_closes=True,
    ),
    Exchange(
        "half-close in the content",
        get("/digest", "POST", "Content-Length: 10") + b"half",
        REFUSED,
        half_closes=True,
    ),
    Exchange("three requests at once", HELLO * 3, "200, 200, 200, then 200", answers=3),
)

APPLICATIONS = (
    Exchange("HEAD, content all the same", get("/content", "HEAD"), "200, then 200", method="HEAD"),
    Exchange("204 with content", get("/content-with-204"), "204, then 200"),
    Exchange(
        "Content-Length 10, 3 octets",
        get("/short"),
        "200, breaks off after 3 octets, closes",
        "less than its Content-Length",
    ),
    Exchange(
        "Content-Length 3, 10 octets", get("/long"), "200, then 200", "more than its Content-Length"
    ),
    Exchange("CR LF in a value", get("/inject"), "500, then 200", "ValueError: .*X-Name"),
    Exchange("no start_response", get("/no-start"), "500, then 200", "did not call start_response"),
    Exchange("a list of str", get("/text"), "500, then 200", "TypeError: .* gave str"),
    Exchange(
        "Connection: close",
        get("/close"),
        "500, then 200",
        "ValueError: .Connection. is a hop-by-hop",
    ),
    Exchange(
        "Expect, and the content is never read",
        get("/unread", "POST", "Expect: 100-continue", "Content-Length: 10"),
        "100, 200, then 200",
        content=b"0123456789",
    ),
)


# ---- clients that begin and do not come to the end

STEPS = 30
BIG = 1_000_000  # more than socket buffers hold
DIGEST = get("/digest", "POST", "Content-Length: 31")
CHUNKS = get("/digest", "POST", "Transfer-Encoding: chunked")
EXPECTS = get("/digest", "POST", "Content-Length: 31", "Expect: 100-continue")


@dataclass(frozen=True)
class Slow:
    """A client that sends `begins`, and `ends`, with which it would be an honest one, not at all or
    only `drips` octets at each step. `reads`: it takes one octet of its answer at each step.
    `interim`: the status that it is answered before it goes on; 0: none."""

    does: str
    begins: bytes
    ends: bytes = b""
    drips: int = 0
    reads: bool = False
    interim: int = 0


IDLE = Slow("idle after an answer", HELLO, HELLO, interim=200)
SLOW = (
    Slow("idle from the start", b"", HELLO),
    IDLE,
    Slow("one octet, then nothing", HELLO[:1], HELLO[1:]),
    Slow("half a head, then nothing", HELLO[:20], HELLO[20:]),
    Slow("a head octet by octet", b"", HELLO, drips=1),
    Slow("half the content, then nothing", DIGEST + b"x" * 15, b"x" * 16),
    Slow("content octet by octet", DIGEST, b"x" * 31, drips=1),
    Slow("content octet by octet after a 100", EXPECTS, b"x" * 31, drips=1, interim=100),
    Slow("content chunk by chunk", CHUNKS, b"1\r\nx\r\n" * STEPS + b"0\r\n\r\n", drips=6),
    Slow("an answer read octet by octet", get(f"/big?bytes={BIG}"), reads=True),
)


def source(number: int) -> str:
    """The address that a client comes from: one has too few ports for all of them."""
    return f"127.0.0.{2 + number % 8}"


class Crowd:
    """`count` clients of one sort."""

    def __init__(self, row: Slow, port: int, count: int) -> None:
        self._row, self._steps = row, 0
        self.connections: list[Connection] = []
        buffer = SMALL if row.reads else 0
        for number in range(count):
            client = Connection(port, source=source(number), receive_buffer=buffer)
            self.connections.append(client)
            client.socket.sendall(row.begins)

    def wait_until_begun(self, *tolerated: type[Exception]) -> None:
        """Until each has been answered as far as it is before it goes on, or will not be."""
        for connection in self.connections:
            with contextlib.suppress(*tolerated):
                if self._row.reads:
                    connection.head()
                elif self._row.interim:
                    assert connection.answer().status == self._row.interim

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.close()

    def step(self, *tolerated: type[Exception]) -> None:
        """Each moves on, or finds that it can not. At most STEPS times."""
        at = self._row.drips * self._steps
        self._steps += 1
        for connection in self.connections:
            with contextlib.suppress(*tolerated):
                if self._row.reads:
                    assert connection.receive(1)
                elif self._row.drips:
                    connection.socket.sendall(self._row.ends[at : at + self._row.drips])

    def left_alone(self) -> int:
        """How many of them nothing has come to, not even the end of the connection."""
        return sum(connection.is_silent() for connection in self.connections)

    def finish(self) -> None:
        """Each becomes an honest client, and is answered as one."""
        for connection in self.connections:
            if self._row.reads:
                assert len(connection.exactly(BIG - self._steps)) == BIG - self._steps
            else:
                connection.socket.sendall(self._row.ends[self._row.drips * self._steps :])
                answer = connection.answer()
                assert answer.status == 200
                assert answer.complete


# ---- clients that leave, and clients that send anything

RESETS = {
    "before the first octet": b"",
    "in the head": HELLO[:20],
    "behind the head": DIGEST,
    "in the content": DIGEST + b"x" * 15,
    "in a chunk": CHUNKS + b"1f\r\nxxx",
    "behind the request": HELLO,
    "behind three requests": HELLO * 3,
    "while the answer is read": get(f"/big?bytes={20 * BIG}"),
    "behind a head that is refused": get("/hello") + b"\x00" * 100,
}


def reset(port: int, octets: bytes) -> None:
    """Send them and die."""
    with Connection(port, receive_buffer=SMALL) as connection:
        connection.socket.sendall(octets)
        if b"/big" in octets:
            connection.head()
        connection.reset()


def noise(seed: int) -> bytes:
    """Anything; one in two begins like a request."""
    source = random.Random(seed)
    begins = b"" if seed % 2 else HELLO[: source.randrange(len(HELLO))]
    return begins + source.randbytes(source.randrange(1, 3000))
