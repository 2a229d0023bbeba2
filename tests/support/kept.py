"""Clients of tests/e2e/apps/keeps_objects.py, which check every byte that they receive.

A response may contain: its own X-Id, early hints and tokens with the ID of the request, in a body
with correct framing. Everything else was made for another client.
"""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
from dataclasses import dataclass, field

from .server import Server
from .wire import Connection

CLIENTS = 8
WAYS = {
    f"{name}, {threads}": [*options, "--threads", threads]
    for name, options in {"buffered": [], "unbuffered": ["--no-request-buffering"]}.items()
    for threads in ("1", "8")
}
KINDS = [
    "blocks",
    "no_blocks",
    "writes",
    "reads",
    "reads_and_returns_nothing",
    "streams",
    "streams_at_once",
    "file",
]
SIZES = [0, 1, 11, 1200, 90_000, 400_000]
NOT_IN_LOG = re.compile(r"^(WRONG.*|Traceback.*|.*[Cc]heck failed.*|.*AddressSanitizer.*)$", re.M)


@dataclass
class Played:
    """The observations of the clients of one server."""

    requests: int = 0
    raised: int = 0
    in_time: int = 0
    wrong: list[str] = field(default_factory=list)


class Player:
    """Clients that send requests until `requests` got a response, or for `seconds`."""

    def __init__(self, server: Server, seed: int, requests: int, seconds: float) -> None:
        self.server = server
        self.requests = requests
        self.ends = time.monotonic() + seconds if seconds else None
        self.played = Played()
        self.numbers = itertools.count()
        self.seed = seed
        self.lock = threading.Lock()

    def play(self) -> Played:
        pid = self.counts()[0]
        threads = [
            threading.Thread(target=self.client, args=(random.Random(f"{self.seed} {number}"),))
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            now, self.played.raised, self.played.in_time = self.counts()
        except (AssertionError, OSError):
            now = 0
        if now != pid:
            self.wrong(f"the worker has ended: {self.server.err.text[-2000:]}")
        for line in NOT_IN_LOG.findall(self.server.err.text)[:5]:
            self.wrong(line)
        return self.played

    def counts(self) -> list[int]:
        with Connection(self.server.port) as connection:
            return [int(word) for word in connection.ask("/counts").text.split()]

    def wrong(self, text: str) -> None:
        with self.lock:
            self.played.wrong.append(text)

    def is_over(self) -> bool:
        if self.played.wrong:
            return True
        if self.ends is not None:
            return time.monotonic() >= self.ends
        return self.played.requests >= self.requests

    def client(self, chance: random.Random) -> None:
        try:
            while not self.is_over():
                with Connection(self.server.port) as connection:
                    for _ in range(chance.choice([1, 5, 30])):
                        if not self.one_request(connection, chance) or self.is_over():
                            break
        except (AssertionError, OSError, ValueError) as error:
            self.wrong(f"{type(error).__name__}: {error}")

    def one_request(self, connection: Connection, chance: random.Random) -> bool:
        """False: the server closes the connection, as it does after an unread body."""
        kind = chance.choice(KINDS)
        own = f"r{next(self.numbers):011x}"  # no part of a body matches another one
        body = (own.encode() * (chance.choice(SIZES) // len(own) + 1))[: chance.choice(SIZES)]
        head = f"POST /{kind}/{own} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        if chance.random() < 0.5:
            connection.send(head.encode() + body)
        else:  # the end arrives later: the application may wait for it
            connection.send(head.encode() + body[: len(body) // 2])
            time.sleep(chance.random() * 0.005)
            connection.send(body[len(body) // 2 :])
        answer = connection.answer()
        while answer.status == 103:
            assert answer.get("Link") == f"</{own}>", f"{own} was told {answer.fields}"
            answer = connection.answer()
        while answer.status == 100:
            answer = connection.answer()
        assert answer.complete, f"{kind}/{own} was cut off: {answer}"
        assert answer.status == 200, f"{kind}/{own} was answered {answer}"
        assert answer.get("X-Id") == own, f"{own} got the head of {answer.get('X-Id')}"
        tokens = re.findall(rb"\[(\w{12}) (begin|end|late)\]", answer.body)
        found = b"".join(b"[%s %s]" % token for token in tokens)
        foreign = [token for token in tokens if token[0].decode() != own]
        assert found == answer.body, f"{kind}/{own} got {answer.body!r}"
        assert not foreign, f"{kind}/{own} got {answer.body!r}"
        with self.lock:
            self.played.requests += 1
        return answer.get("Connection") != "close"


def play(way: str, seed: int, requests: int = 0, seconds: float = 0) -> Played:
    """One server of WAYS; stopped at the end, with exit code 0."""
    server = Server("keeps_objects", "--no-access-log", "--limit-body", "0", *WAYS[way])
    try:
        server.wait_until_listening()
        played = Player(server, seed, requests, seconds).play()
        if not played.wrong:
            server.stop()
        return played
    finally:
        server.kill()
