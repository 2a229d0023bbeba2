"""A receiver of lines for statsd, over UDP or a Unix socket."""

import re
import socket
from collections import Counter
from pathlib import Path
from typing import Self

from . import patience


class Statsd:
    """`with Statsd() as statsd:` receives on a free UDP port of `host`, or on a Unix socket at
    `path`. `datagrams`: all that have arrived so far."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, path: Path | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(
            socket.AF_UNIX if path is not None else family, socket.SOCK_DGRAM
        )
        self._socket.bind(str(path) if path is not None else (host, port))
        self._socket.settimeout(patience.SECONDS)
        self.port = 0 if path is not None else int(self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        self.address = f"unix:{path}" if path is not None else f"{shown}:{self.port}"
        self.datagrams: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    @property
    def lines(self) -> list[str]:
        return [line for datagram in self.datagrams for line in datagram.decode().split("\n")]

    @property
    def counts(self) -> Counter[str]:
        """The lines, without the durations."""
        return Counter(re.sub(r":[0-9.]+\|ms", ":T|ms", line) for line in self.lines)

    def receive(self) -> str:
        """The next datagram."""
        self.datagrams.append(self._socket.recv(65536))
        return self.datagrams[-1].decode()

    def wait_for(self, line: str, count: int = 1) -> None:
        """Until this line, with T in place of a duration, has come so often."""
        while self.counts[line] < count:
            try:
                self.receive()
            except TimeoutError:
                raise AssertionError(f"{line} has not come {count} times: {self.lines}") from None

    def receive_rest(self) -> None:
        """What has been sent by processes that have exited."""
        self._socket.setblocking(False)
        try:
            while True:
                self.receive()
        except BlockingIOError:
            self._socket.settimeout(patience.SECONDS)
