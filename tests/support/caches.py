"""Redis and memcached, each a server of the test's own on a free port, and their counters."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import patience


@dataclass(frozen=True)
class Kind:
    """`question`: the command for its counters; the reply ends with `end`. `is_open` and
    `accepted`: the names of the counters."""

    program: str
    options: tuple[str, ...]
    question: bytes
    end: bytes
    is_open: bytes
    accepted: bytes


REDIS = Kind(
    "redis-server",
    ("--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--dir", "{directory}"),
    b"INFO clients\r\nINFO stats\r\nPING\r\n",
    b"+PONG\r\n",
    b"connected_clients",
    b"total_connections_received",
)
MEMCACHED = Kind(
    "memcached",
    ("-p", "{port}", "-l", "127.0.0.1", "-U", "0", "-u", "root"),
    b"stats\r\n",
    b"END\r\n",
    b"curr_connections",
    b"total_connections",
)


class Cache:
    """Read on the connection `asking`, which is not counted."""

    def __init__(self, kind: Kind, port: int, asking: socket.socket) -> None:
        self.port = port
        self._kind = kind
        self._asking = asking
        self._own = (0, 0)
        self._own = self.connections()

    def connections(self) -> tuple[int, int]:
        """How many connections are open, and how many were accepted since the start."""
        kind = self._kind
        self._asking.sendall(kind.question)
        said = b""
        while not said.endswith(kind.end):
            data = self._asking.recv(1 << 16)
            assert data, f"{kind.program} has closed the connection after {said!r}"
            said += data
        words = said.replace(b":", b" ").split()
        is_open, accepted = (int(words[words.index(n) + 1]) for n in (kind.is_open, kind.accepted))
        return is_open - self._own[0], accepted - self._own[1]


@contextmanager
def running(kind: Kind, directory: Path) -> Iterator[Cache]:
    path = shutil.which(kind.program, path=f"{os.environ['PATH']}:/usr/sbin")
    assert path, f"{kind.program} is not installed; the set-up script installs it"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [path, *(option.format(port=port, directory=directory) for option in kind.options)]
    with (directory / kind.program).open("w+b") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            while (asking := _connect(port)) is None:
                assert process.poll() is None, (directory / kind.program).read_text()
            with asking:
                yield Cache(kind, port, asking)
            process.send_signal(signal.SIGTERM)
            process.wait(patience.SECONDS)
        finally:
            process.kill()
            process.wait()


def _connect(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), patience.SECONDS)
    except ConnectionRefusedError:
        return None
