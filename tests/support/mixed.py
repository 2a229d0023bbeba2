"""Requests of every kind, for the application e2e/apps/mixed.py.

A kind is a function that sends one request over a connection, checks its outcome, and returns
whether the connection continues.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .wire import Connection

BODY = b"line one\nline two\n" * 40
CHUNKS = b"5\r\nhello\r\n7;ext=1\r\n, again\r\n0\r\nX-Trailer: 1\r\n\r\n"


Kind = Callable[[Connection], bool]


def _asks(path: str, status: int = 200, **how: Any) -> Kind:
    def kind(connection: Connection) -> bool:
        answer = connection.ask(path, **how)
        assert (answer.status, answer.complete) == (status, True), answer
        return answer.get("Connection") != "close"

    return kind


def _raw(data: bytes, status: int, method: str = "GET") -> Kind:
    def kind(connection: Connection) -> bool:
        connection.send(data)
        answer = connection.answer(method)
        assert answer.status == status, answer
        return answer.get("Connection") != "close"

    return kind


def _breaks(connection: Connection) -> bool:
    connection.get("/breaks")
    assert not connection.answer().complete
    return False


def _leaves(path: str, data: bytes = b"", *, reset: bool) -> Kind:
    """Disconnects in the middle of its request, or of the response."""

    def kind(connection: Connection) -> bool:
        if data:
            connection.send(data)
        else:
            connection.get(path)
            connection.until(b"\r\n\r\n")
        if reset:
            connection.reset()
        return False

    return kind


def _expects(connection: Connection) -> bool:
    connection.request("POST", "/content", "Expect: 100-continue", "Content-Length: 5")
    assert connection.answer().status == 100
    connection.send(b"hello")
    return connection.answer().text == "5"


def _post(path: str, *fields: bytes, body: bytes = b"") -> bytes:
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"Host: test", *fields, b"", b""]
    return b"\r\n".join(lines) + body


KINDS: dict[str, Kind] = {
    "get": _asks("/hello"),
    "head": _asks("/hello", method="HEAD"),
    "generator": _asks("/generator"),
    "big": _asks("/big"),
    "write": _asks("/write"),
    "file": _asks("/file"),
    "objects": _asks("/objects"),
    "raises": _asks("/raises", 500),
    "breaks": _breaks,
    "changes its mind": _asks("/changes_its_mind", 500),
    "content": _asks("/content", method="POST", body=BODY),
    "lines": _asks("/lines", method="POST", body=BODY),
    "unread content": _asks("/hello", method="POST", body=BODY),
    "chunks": _raw(_post("/content", b"Transfer-Encoding: chunked", body=CHUNKS), 200),
    "expects": _expects,
    "refused head": _raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "refused line": _raw(b"\x16\x03\x01 nothing known\r\n", 400),
    "refused content": _raw(_post("/content", b"Transfer-Encoding: chunked", body=b"zz\r\n"), 400),
    "options": _raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204),
    "leaves a head": _leaves("", b"GET /hello HT", reset=False),
    "resets a head": _leaves("", b"GET /hello HT", reset=True),
    "resets content": _leaves("", _post("/content", b"Content-Length: 900", body=b"x"), reset=True),
    "resets a response": _leaves("/big", reset=True),
}


# Only with --request-timeout.
INTERRUPTED = _asks("/hangs", 504)


class Client:
    """One client that sends one kind after the other, over the same connection while it continues.

    `connect` opens a connection: functools.partial(Connection, port).
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def play(self, kind: Kind, times: int = 1) -> None:
        for _ in range(times):
            if self._connection is None:
                self._connection = self._connect()
            if not kind(self._connection):
                self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def counts(connect: Callable[[], Connection], descriptors: int | None = None) -> dict[str, int]:
    """Counts of what is alive in the server (apps/mixed.py), after its descriptors have dropped
    to the given number, so that abandoned connections are gone. Asks again if a short
    --request-timeout has interrupted the counting."""
    while True:
        with connect() as connection:
            response = connection.ask("/counts", "Connection: close")
        if response.status == 504:
            continue
        found = dict(json.loads(response.body))
        if descriptors is None or found["descriptors"] <= descriptors:
            return found


@dataclass
class Soak:
    """A worker's resident memory after each part, and the number of requests of each kind."""

    resident_kib: list[int]
    done: dict[str, int]

    def is_flat(self) -> bool:
        """The second half has added less than 2 % and 1 MiB."""
        middle, end = self.resident_kib[len(self.resident_kib) // 2], self.resident_kib[-1]
        return end - middle < min(middle * 0.02, 1024)


def soak(port: int, pid: int, requests: int, seed: int, parts: int = 20) -> Soak:
    """Requests of all kinds in a random order."""
    chance = random.Random(seed)
    soaked = Soak([], dict.fromkeys(KINDS, 0))
    client = Client(partial(Connection, port))
    for _ in range(parts):
        for name in chance.choices(list(KINDS), k=requests // parts):
            client.play(KINDS[name])
            soaked.done[name] += 1
        soaked.resident_kib.append(resident_kib(pid))
    client.close()
    return soaked


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
