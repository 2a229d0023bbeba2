"""Clients that use resources without need, or send invalid requests: for tests and for
tests/starve.

A hostile behavior is a function of a new connection; the caller keeps the connection open, and
calls it again for each step of an endless one.
"""

import contextlib
import os
import random
import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .wire import SMALL, Connection, Ended

Way = Callable[[Connection], object]
HEAD = b"GET /hello HTTP/1.1\r\nHost: test\r\n"
POST = b"POST /digest HTTP/1.1\r\nHost: test\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(64))
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)


def _sends(data: bytes) -> Way:
    return lambda connection: connection.send(data)


def _half_closes(connection: Connection) -> None:
    connection.send(HEAD)
    connection.end_sending()


def _asks_and_reads_nothing(connection: Connection) -> None:
    connection.get("/big?bytes=50000000")


@dataclass(frozen=True)
class Hostile:
    begin: Way
    goes_on: Way | None = None  # a step that it repeats endlessly
    receive_buffer: int = 0
    is_over: bool = False  # the server may close it immediately
    keeps_content: bool = False  # a call that reads the body waits for more


CLIENTS: dict[str, Hostile] = {
    "sends nothing": Hostile(lambda connection: None),
    "one octet": Hostile(_sends(b"G")),
    "half a head": Hostile(_sends(HEAD)),
    "drips a head": Hostile(_sends(HEAD + b"X-Drip: "), _sends(b"x")),
    "half of its body": Hostile(
        _sends(POST + b"Content-Length: 1000\r\n\r\nx"), keeps_content=True
    ),
    "sends its body slowly": Hostile(
        _sends(POST + b"Content-Length: 100000\r\n\r\n"), _sends(b"x"), keeps_content=True
    ),
    "drips chunks": Hostile(
        _sends(POST + b"Transfer-Encoding: chunked\r\n\r\n"),
        _sends(b"1\r\nx\r\n"),
        keeps_content=True,
    ),
    "half of a chunk": Hostile(
        _sends(POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\nx"), keeps_content=True
    ),
    "reads nothing": Hostile(_asks_and_reads_nothing, receive_buffer=SMALL),
    "reads a little": Hostile(
        _asks_and_reads_nothing, lambda connection: connection.receive(1), receive_buffer=SMALL
    ),
    "half-closes a head": Hostile(_half_closes, is_over=True),
    "TLS": Hostile(_sends(TLS_HELLO), is_over=True),
    "HTTP/2": Hostile(_sends(HTTP2), is_over=True),
    "an HTTP/0.9 request": Hostile(_sends(b"GET /hello\r\n"), is_over=True),
}


@contextlib.contextmanager
def going_on(way: Hostile, connections: Sequence[Connection]) -> Iterator[None]:
    """Each takes a step every second, if it has steps."""
    over = threading.Event()

    def steps() -> None:
        while way.goes_on and not over.wait(1):
            for connection in connections:
                with contextlib.suppress(OSError):
                    way.goes_on(connection)

    thread = threading.Thread(target=steps, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


# Requests that no server may accept: smuggling, and other differences between servers.
STRICT: dict[str, tuple[bytes, set[int]]] = {
    "TE: gzip": (POST + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "TE: identity with CL": (
        POST + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
        {400, 501},
    ),
    "TE: chunked with CL": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "two different CL": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", {400}),
    "CL: +2": (POST + b"Content-Length: +2\r\n\r\nab", {400}),
    "bare LF line ends": (b"GET /hello HTTP/1.1\nHost: test\n\n", {400}),
    "space before colon": (HEAD + b"X-A : b\r\n\r\n", {400}),
    "folded header": (HEAD + b"X-A: b\r\n c\r\n\r\n", {400}),
    "no Host in 1.1": (b"GET /hello HTTP/1.1\r\n\r\n", {400}),
    "control byte in path": (b"GET /hel\x01lo HTTP/1.1\r\nHost: test\r\n\r\n", {400}),
    "raw UTF-8 in path": (b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: test\r\n\r\n", {400}),
    "20 kB path": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n", {414}),
}


# The bytes of a client before it resets its connection.
RESETS = {
    "before the first byte": b"",
    "in the head": HEAD,
    "after the head": POST + b"Content-Length: 10\r\n\r\n",
    "in its body": POST + b"Content-Length: 10\r\n\r\nx",
    "in a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\nx",
    "after a request": HEAD + b"\r\n",
    "after three requests": (HEAD + b"\r\n") * 3,
    "in its response": b"GET /big?bytes=20000000 HTTP/1.1\r\nHost: test\r\n\r\n",
    "after a rejected request": b"\0\r\n\r\n",
}


def reset(port: int, data: bytes) -> None:
    """Send them, start to read a large response, and reset the connection."""
    with Connection(port, receive_buffer=SMALL) as connection:
        connection.send(data)
        if b"/big" in data:
            connection.head()
        connection.reset()


@contextlib.contextmanager
def crowd(port: int, count: int) -> Iterator[list[socket.socket]]:
    """This number of connections at the same time. Those without room are retried by the kernel."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
        yield sockets


def ask_all(crowd: Sequence[socket.socket], patience_s: float) -> int:
    """Each sends a request when its connection is open, and disconnects after the response.
    Returns how many got a 200 in time."""
    end = time.monotonic() + patience_s
    served = 0
    with selectors.DefaultSelector() as selector:
        for one in crowd:
            selector.register(one, selectors.EVENT_WRITE)
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, event in selector.select(left):
                try:
                    if event == selectors.EVENT_WRITE:
                        key.fileobj.send(HEAD + b"Connection: close\r\n\r\n")
                        selector.modify(key.fileobj, selectors.EVENT_READ)
                        continue
                    served += key.fileobj.recv(4096)[8:12] == b" 200"
                except OSError:
                    pass  # was reset
                selector.unregister(key.fileobj)
                key.fileobj.close()
    return served


def noise(seed: int) -> bytes:
    """Random bytes, half of them with words of a request in between."""
    chance = random.Random(seed)
    data = chance.randbytes(chance.randrange(1, 400))
    words = [
        b"GET ",
        b"POST / ",
        b" HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"\r\n\r\n",
        b"Content-Length: ",
    ]
    if chance.random() < 0.5:
        data = b"".join(chance.choice([*words, chance.randbytes(3)]) for _ in range(12))
    return data


def small_files() -> None:
    """For a server before it starts: none of its files may grow beyond 64 KiB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))


def few_descriptors() -> None:
    """For a server before it starts."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@dataclass(frozen=True)
class Seen:
    """The client's view of a bad application, requested first, with an honest request after it."""

    status: int  # 0: no response
    body: bytes = b""
    complete: bool = False
    injected: bool = False  # a header that the application smuggled in
    goes_on: bool = False  # the connection stays open, with the response to the next request

    def __str__(self) -> str:
        if not self.status:
            return "no response"
        words = [str(self.status), repr(self.body[:12].decode("latin-1"))]
        words += [] if self.complete else ["truncated"]
        words += ["injected"] if self.injected else []
        return ", ".join([*words, "goes on" if self.goes_on else "closes"])


def ask_badly(port: int, view: str, method: str = "GET", expect: bool = False) -> Seen:
    """One request to e2e/apps/bad.py. AssertionError: an invalid response, or one more than
    there were requests."""
    with Connection(port) as connection:
        if expect:
            connection.request("POST", f"/{view}", "Expect: 100-continue", "Content-Length: 5")
        else:
            connection.get(f"/{view}", method=method)
        try:
            answer = connection.answer(method)
            if answer.status == 100:
                connection.send(b"hello")
                answer = connection.answer(method)
        except (Ended, ConnectionResetError):
            return Seen(0)
        goes_on = False
        if answer.complete and answer.get("Connection") != "close":
            try:
                connection.get("/hello", "Connection: close")
                goes_on = connection.answer().body == b"hello"
            except (Ended, OSError):
                goes_on = False
            assert not goes_on or connection.rest() == b"", "more than one response to a request"
    injected = answer.get("X-Injected") is not None
    return Seen(answer.status, answer.body, answer.complete, injected, goes_on)


# By row of the table: the request, and what a client must see.
BAD: dict[str, tuple[dict[str, object], Seen]] = {
    "HEAD, and the application returns a body": (
        {"view": "content_to_head", "method": "HEAD"},
        Seen(200, b"", True, goes_on=True),
    ),
    "204 with a body": ({"view": "content_in_204"}, Seen(204, b"", True, goes_on=True)),
    "Content-Length 10, 3 data": ({"view": "too_short"}, Seen(200, b"abc", False)),
    "Content-Length 3, 10 data": ({"view": "too_long"}, Seen(200, b"abc", True, goes_on=True)),
    "a field with CR LF": ({"view": "line_end_in_a_field"}, Seen(500)),
    "no start_response": ({"view": "no_start_response"}, Seen(500)),
    "a block of str": ({"view": "text_block"}, Seen(500)),
    "Connection: close of the application": ({"view": "closes"}, Seen(500)),
    "Expect, and the body is never read": (
        {"view": "refuses_content", "expect": True},
        Seen(403, b"no", True),  # continues if 100 was sent
    ),
}
