"""The live level: every case over loopback against a running server, with many connections.

Three ways of sending: in one piece, byte by byte, and in random pieces. Each connection has a
loopback address of its own (127.1.0.1 and up), by which the recorded requests of the application
are found. One thread, no sleeps: waits end with an event or the half second of silence that the
cases define.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import resource
import selectors
import socket
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cases import Case, show
from server import Server
from verdict import Seen, describe, objection

TURN_S = 0.02
QUIET_S = 0.5  # "pending" and "stays open" mean: nothing happens for this time
PATIENCE_S = 20.0  # limit of everything else; only a failing case reaches it
CONNECTIONS_MAX = 256
LONG_BYTES = 4096
PIECES_PER_TURN = 64  # of cases longer than LONG_BYTES, each in a send of its own; of others one

Pieces = Callable[[bytes], Iterator[bytes]]


def in_one_piece(data: bytes) -> Iterator[bytes]:
    if data:
        yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


def in_random_pieces(source: random.Random) -> Pieces:
    def pieces(data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = source.choice((1, 1, 2, 3, 5, 8, 20, 60, max(1, len(data) // 3)))
            yield data[at : at + size]
            at += size

    return pieces


class Connection:
    """A client that plays one case."""

    def __init__(self, case: Case, pieces: Pieces, address: str, port: int) -> None:
        self.case = case
        self.address = address
        self.seen = Seen()
        self.done = False
        self.blocked = False  # the script waits for the server or for time
        self.sending = True
        self._pieces = pieces
        self._script = self._play()
        self._unsent = b""
        self._changed = time.monotonic()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))

    def _play(self) -> Iterator[bytes]:
        """The next bytes to send; none while it waits."""
        for step in self.case.steps:
            heard_bytes = len(self.seen.data)
            yield from self._pieces(step.data)
            awaited = f"HTTP/1.1 {step.wait_for} ".encode()
            while step.wait_for and awaited not in self.seen.data[heard_bytes:]:
                yield b""
            until = time.monotonic() + step.pause
            while time.monotonic() < until:
                yield b""
        if self.case.eof:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def on_writable(self) -> None:
        for _ in range(PIECES_PER_TURN if len(self.case.raw) > LONG_BYTES else 1):
            if not self._unsent:
                piece = next(self._script, None)
                self.sending = piece is not None
                self.blocked = piece == b""
                if not piece:
                    return
                self._unsent = piece
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:
                self.sending = False  # the server has closed; its bytes may still be read
                return
            self._unsent = self._unsent[sent:]
            self._changed = time.monotonic()

    def on_readable(self) -> None:
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._changed = time.monotonic()
        self.blocked = False
        self.seen.data += data
        if not data:
            self.seen.closed = self.done = True

    def on_time(self, now: float) -> None:
        self.blocked = False
        quiet = now - self._changed
        if self.sending:
            if quiet >= PATIENCE_S:
                self.seen.trouble = (
                    f"nothing happened for {PATIENCE_S} s while the client waited to send"
                )
                self.done = True
        elif quiet >= QUIET_S:
            as_expected = not objection(self.case, self.seen, final=False)
            self.done = as_expected or quiet >= PATIENCE_S


def play(
    cases: list[Case], pieces: Pieces, port: int, addresses: Iterator[str]
) -> list[Connection]:
    """All cases, at most CONNECTIONS_MAX at a time."""
    waiting = iter(cases)
    running: list[Connection] = []
    finished: list[Connection] = []
    both = selectors.EVENT_READ | selectors.EVENT_WRITE
    with selectors.DefaultSelector() as selector:
        while True:
            for case in itertools.islice(waiting, CONNECTIONS_MAX - len(running)):
                connection = Connection(case, pieces, next(addresses), port)
                selector.register(connection.socket, both, connection)
                running.append(connection)
            if not running:
                return finished
            for key, events in selector.select(TURN_S):
                if events & selectors.EVENT_READ:
                    key.data.on_readable()
                if events & selectors.EVENT_WRITE and not key.data.done:
                    key.data.on_writable()
            now = time.monotonic()
            for connection in running:
                if not connection.done:
                    connection.on_time(now)
                if connection.done:
                    selector.unregister(connection.socket)
                    connection.socket.close()
                    finished.append(connection)
                    continue
                wants = (
                    both if connection.sending and not connection.blocked else selectors.EVENT_READ
                )
                if selector.get_key(connection.socket).events != wants:
                    selector.modify(connection.socket, wants, connection)
            running = [connection for connection in running if not connection.done]


def loopback_addresses() -> Iterator[str]:
    return (f"127.1.{number // 250}.{number % 250 + 1}" for number in itertools.count())


def recorded(log: Path) -> dict[str, list[dict[str, Any]]]:
    """Requests by the address of the client, in order."""
    requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in log.read_text("ascii").splitlines() if log.exists() else []:
        request = json.loads(line)
        requests[request["environ"].get("REMOTE_ADDR", "")].append(request)
    return requests


def run(cases: list[Case], command: str, seed: int) -> bool:
    """Run all three ways of sending and print the outcome. Returns True if all passed."""
    ways: dict[str, Pieces] = {
        "in one piece": in_one_piece,
        "byte by byte": byte_by_byte,
        f"in random pieces (--seed {seed})": in_random_pieces(random.Random(seed)),
    }
    addresses = loopback_addresses()
    played: list[tuple[str, Connection]] = []
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        log = Path(directory) / "requests"
        with Server(command, log) as server:
            for way, pieces in ways.items():
                played += [
                    (way, connection) for connection in play(cases, pieces, server.port, addresses)
                ]
        requests = recorded(log)
        output = server.output()
    failed: set[str] = set()
    for way, connection in played:
        connection.seen.requests = requests[connection.address]
        why = objection(connection.case, connection.seen)
        if why and connection.case.id not in failed:
            failed.add(connection.case.id)
            print(f"FAILED {connection.case.id}, {way}: {why}")
            print(show(connection.case), describe(connection.seen), sep="\n", end="\n\n")
    print(f"random pieces: --seed {seed}")
    print(f"live: {len(cases) - len(failed)} of {len(cases)}")
    if server.exit_code != 0:
        print(f"the server ended with {server.exit_code}: {output}")
    return not failed and server.exit_code == 0


def raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
